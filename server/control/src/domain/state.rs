//! Where a domain stands, and how it moves: a pure function of the former state and what was seen.

use serde::{Deserialize, Serialize};

/// Where a domain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody says it is theirs.
    Claimed,
    /// They have shown it. From here on we answer for the domain.
    Verified,
    /// Records are appearing; identity is being obtained.
    Publishing,
    /// Everything on our side stands: switching the SRV records is safe.
    Ready,
    /// DNS, identity and a probe through the public door are good.
    Live,
    /// Was live; something that people feel is wrong.
    Degraded,
    /// Stopped, by the owner, the platform, or a lapsed proof.
    Suspended,
    /// Being erased.
    Releasing,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 8] = [
        Self::Claimed,
        Self::Verified,
        Self::Publishing,
        Self::Ready,
        Self::Live,
        Self::Degraded,
        Self::Suspended,
        Self::Releasing,
    ];

    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Verified => "verified",
            Self::Publishing => "publishing",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Suspended => "suspended",
            Self::Releasing => "releasing",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Does the server answer streams for the domain?
    pub fn is_served(self) -> bool {
        matches!(
            self,
            Self::Verified | Self::Publishing | Self::Ready | Self::Live | Self::Degraded
        )
    }
}

/// What one look established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Is the token published?
    pub ownership: Seen,
    /// Has the token been gone for longer than the grace period?
    pub proof_lapsed: bool,
    /// Is any other record of ours published?
    pub any_record: Seen,
    /// Is every needed record right, and nothing critical wrong in the DNS?
    pub records: Seen,
    /// Is there a valid certificate for the domain?
    pub identity: bool,
    /// Did the probe get in?
    pub probe: Seen,
}

/// The next state; the same state if nothing moves. Called again until it does not. What is unknown moves nothing: a
/// resolver's silence neither makes a domain live nor takes one down.
pub fn next(state: State, facts: &Facts) -> State {
    use State::{Claimed, Degraded, Live, Publishing, Ready, Releasing, Suspended, Verified};
    if state.is_served() && facts.proof_lapsed {
        return Suspended;
    }
    let door = facts.identity && facts.probe == Seen::Yes;
    match state {
        Claimed if facts.ownership == Seen::Yes => Verified,
        Verified if facts.any_record == Seen::Yes || facts.identity => Publishing,
        // Our side stands: identity is there and the door is not seen closed. Switching SRV leaves no gap.
        Publishing if facts.identity && facts.probe != Seen::No => Ready,
        Ready if !facts.identity || facts.probe == Seen::No => Publishing,
        Ready if facts.records == Seen::Yes && door => Live,
        Live if facts.records == Seen::No || !facts.identity || facts.probe == Seen::No => Degraded,
        Degraded if facts.records == Seen::Yes && door => Live,
        // Leaving these two is an operation, never an observation.
        Suspended | Releasing => state,
        Claimed | Verified | Publishing | Ready | Live | Degraded => state,
    }
}

/// Answer to a question about the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Could not ask.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::State::{
        Claimed, Degraded, Live, Publishing, Ready, Releasing, Suspended, Verified,
    };
    use super::*;

    const NOTHING: Facts = Facts {
        ownership: Seen::No,
        proof_lapsed: false,
        any_record: Seen::No,
        records: Seen::No,
        identity: false,
        probe: Seen::Unknown,
    };
    const GOOD: Facts = Facts {
        ownership: Seen::Yes,
        proof_lapsed: false,
        any_record: Seen::Yes,
        records: Seen::Yes,
        identity: true,
        probe: Seen::Yes,
    };
    const UNKNOWN: Facts = Facts {
        ownership: Seen::Unknown,
        proof_lapsed: false,
        any_record: Seen::Unknown,
        records: Seen::Unknown,
        identity: true,
        probe: Seen::Unknown,
    };

    fn settle(mut state: State, facts: &Facts) -> State {
        for _ in 0..State::ALL.len() {
            state = next(state, facts);
        }
        state
    }

    #[test]
    fn table_of_transitions() {
        let table: &[(State, Facts, State)] = &[
            (Claimed, NOTHING, Claimed),
            (
                Claimed,
                Facts {
                    ownership: Seen::Yes,
                    ..NOTHING
                },
                Verified,
            ),
            // Records without ownership open nothing.
            (
                Claimed,
                Facts {
                    ownership: Seen::No,
                    ..GOOD
                },
                Claimed,
            ),
            (
                Claimed,
                Facts {
                    ownership: Seen::Unknown,
                    ..GOOD
                },
                Claimed,
            ),
            (Verified, NOTHING, Verified),
            (
                Verified,
                Facts {
                    any_record: Seen::Yes,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Verified,
                Facts {
                    identity: true,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Publishing,
                Facts {
                    records: Seen::Yes,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Publishing,
                Facts {
                    identity: true,
                    ..NOTHING
                },
                Ready,
            ),
            (
                Publishing,
                Facts {
                    identity: true,
                    probe: Seen::No,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Ready,
                Facts {
                    records: Seen::No,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    probe: Seen::Unknown,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    records: Seen::Unknown,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    identity: false,
                    ..GOOD
                },
                Publishing,
            ),
            // Whoever switched now would find the door closed.
            (
                Ready,
                Facts {
                    probe: Seen::No,
                    ..GOOD
                },
                Publishing,
            ),
            (Ready, GOOD, Live),
            (Live, GOOD, Live),
            (
                Live,
                Facts {
                    records: Seen::No,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Live,
                Facts {
                    probe: Seen::No,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Live,
                Facts {
                    identity: false,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Degraded,
                Facts {
                    records: Seen::Unknown,
                    ..GOOD
                },
                Degraded,
            ),
            (Degraded, GOOD, Live),
            (Suspended, GOOD, Suspended),
            (Releasing, GOOD, Releasing),
        ];
        for (from, facts, to) in table {
            assert_eq!(next(*from, facts), *to, "{from:?} {facts:?}");
        }
    }

    #[test]
    fn unknown_moves_nothing() {
        for state in [Claimed, Ready, Live, Degraded, Suspended, Releasing] {
            assert_eq!(settle(state, &UNKNOWN), state);
        }
    }

    #[test]
    fn a_lapsed_proof_stops_whatever_is_served() {
        for state in State::ALL {
            let lapsed = Facts {
                ownership: Seen::No,
                proof_lapsed: true,
                ..GOOD
            };
            assert_eq!(
                next(state, &lapsed),
                if state.is_served() {
                    Suspended
                } else {
                    next(
                        state,
                        &Facts {
                            proof_lapsed: false,
                            ..lapsed
                        },
                    )
                }
            );
        }
    }

    #[test]
    fn one_good_look_goes_all_the_way() {
        assert_eq!(settle(Claimed, &GOOD), Live);
    }
}
