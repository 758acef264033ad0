//! Domains: their states and what an owner can do with them.
//!
//! The state is a pure function of the former state and the facts of the last look ([`next`]); what could not be seen
//! (`Unknown`) never moves a state. Ownership comes before any stream, account or order.

use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::certificate::CertificateView;
use crate::error::Result;
use crate::findings::FindingView;
use crate::records::{DesiredRecord, Mode};
use crate::{Actor, Control};

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
        Ready if !facts.identity => Publishing,
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

/// A new domain.
#[derive(Debug, Clone, Deserialize)]
pub struct DomainNew {
    /// In any spelling.
    pub domain: String,
    /// For which tenant (by id); `None`: the actor's own.
    #[serde(default)]
    pub tenant: Option<i64>,
}

/// Changes of a domain's settings; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DomainSet {
    /// `permissive`, `verified`, `encrypted`, `authenticated` (XEP-0238).
    #[serde(default)]
    pub policy: Option<String>,
    /// How its identity is obtained (words of [`Mode`]).
    #[serde(default)]
    pub mode: Option<String>,
    /// Labels of services that are switched on.
    #[serde(default)]
    pub services: Option<Vec<String>>,
    /// Peers that alone may talk to it; empty: all.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    /// Peers that may not.
    #[serde(default)]
    pub block: Option<Vec<String>>,
}

/// A domain in a list.
#[derive(Debug, Clone, Serialize)]
pub struct DomainView {
    /// Id.
    pub id: i64,
    /// Canonical spelling.
    pub domain: String,
    /// DNS spelling.
    pub ascii: String,
    /// Whose (id).
    pub tenant: i64,
    /// Where it stands.
    pub state: State,
    /// Status chip of the panel: `live`, `ready`, `waiting for you`, `waiting for the world`, `degraded`, `stopped`.
    pub chip: &'static str,
    /// One sentence of status.
    pub status: String,
    /// Accounts.
    pub accounts: u64,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
}

/// One of the four stations Ownership → Records → Identity → Live.
#[derive(Debug, Clone, Serialize)]
pub struct Station {
    /// `Ownership`, `Records`, `Identity`, `Live`.
    pub name: &'static str,
    /// `done`, `now`, `later`, `trouble`.
    pub standing: &'static str,
    /// What it waits for, or what was reached.
    pub text: String,
}

/// The next-step card.
#[derive(Debug, Clone, Serialize)]
pub struct NextStep {
    /// Heading.
    pub title: String,
    /// One or two sentences.
    pub text: String,
    /// What the one button does: `records`, `check`, `publish`, `users`, `certificate`, `resume`, `none`.
    pub action: &'static str,
}

/// Who would accept us how: a row of the matrix (DNA-31).
#[derive(Debug, Clone, Serialize)]
pub struct VerdictView {
    /// `example.com` or a service under it.
    pub name: String,
    /// `phones and desktops`, `strict servers`, `servers with DANE`, …
    pub who: &'static str,
    /// `pkix`, `dane`, `posh`, `dialback`.
    pub prooftype: &'static str,
    /// Would they?
    pub accepted: Seen,
    /// Why.
    pub why: String,
}

/// Everything about a domain: the owner's home page.
#[derive(Debug, Clone, Serialize)]
pub struct DomainShow {
    /// The list's view.
    #[serde(flatten)]
    pub view: DomainView,
    /// Its target in the platform's zone, without last dot.
    pub target: String,
    /// How its identity is obtained.
    pub mode: Mode,
    /// Federation policy.
    pub policy: String,
    /// Services that are switched on.
    pub services: Vec<String>,
    /// Peers that alone may talk to it; empty: all.
    pub allow: Vec<String>,
    /// Peers that may not.
    pub block: Vec<String>,
    /// Four stations.
    pub stations: Vec<Station>,
    /// The next step.
    pub next_step: NextStep,
    /// What the world shows: one row per check, good ones too, worst first.
    pub checks: Vec<FindingView>,
    /// How many of the checks are critical.
    pub critical: usize,
    /// Who would accept us how.
    pub verdicts: Vec<VerdictView>,
    /// The certificate in use.
    pub certificate: Option<CertificateView>,
    /// What happens next at the certificate authority, in words; empty if nothing.
    pub certificate_note: String,
    /// When ownership was last proven.
    #[serde(serialize_with = "crate::time::maybe")]
    pub verified: Option<Timestamp>,
    /// Last look.
    #[serde(serialize_with = "crate::time::maybe")]
    pub checked: Option<Timestamp>,
    /// Next look.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next_check: Option<Timestamp>,
    /// Sessions now.
    pub sessions: usize,
    /// May this actor publish the records with one button (sandbox)?
    pub can_publish: bool,
}

/// What a removed domain leaves in other hands.
#[derive(Debug, Clone, Serialize)]
pub struct Removed {
    /// The domain.
    pub domain: String,
    /// Records in the owner's zone that now point at nothing, or let somebody else answer: to be deleted by the owner.
    pub dangling: Vec<DesiredRecord>,
}

impl Control {
    /// Adds a domain: claimed, with a token to publish.
    pub async fn domain_add(&self, actor: &Actor, new: DomainNew) -> Result<DomainShow> {
        let _ = (actor, new);
        todo!()
    }

    /// Domains of a tenant (by id); `None`: all that the actor may see. The most urgent first.
    pub async fn domain_list(&self, actor: &Actor, tenant: Option<i64>) -> Result<Vec<DomainView>> {
        let _ = (actor, tenant);
        todo!()
    }

    /// One domain, from the last look; asks nobody.
    pub async fn domain_show(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let _ = (actor, domain);
        todo!()
    }

    /// Has the worker look at once; returns before it has.
    pub async fn domain_check(&self, actor: &Actor, domain: &str) -> Result<()> {
        let _ = (actor, domain);
        todo!()
    }

    /// Looks now, in this call, moves the state, and returns what was found (CLI: `domain check`).
    pub async fn domain_check_now(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let _ = (actor, domain);
        todo!()
    }

    /// Publishes the records in the owner's zone; only where [`Control::can_publish`].
    pub async fn domain_publish(&self, actor: &Actor, domain: &str) -> Result<()> {
        let _ = (actor, domain);
        todo!()
    }

    /// Changes settings.
    pub async fn domain_set(
        &self,
        actor: &Actor,
        domain: &str,
        set: DomainSet,
    ) -> Result<DomainShow> {
        let _ = (actor, domain, set);
        todo!()
    }

    /// Stops a domain: streams end, nothing is erased.
    pub async fn domain_suspend(
        &self,
        actor: &Actor,
        domain: &str,
        reason: &str,
    ) -> Result<DomainShow> {
        let _ = (actor, domain, reason);
        todo!()
    }

    /// Undoes that; what the platform stopped, only the platform resumes.
    pub async fn domain_resume(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let _ = (actor, domain);
        todo!()
    }

    /// Erases a domain: afterwards no row, key, certificate or record of ours speaks of it (ACME-15).
    pub async fn domain_remove(&self, actor: &Actor, domain: &str) -> Result<Removed> {
        let _ = (actor, domain);
        todo!()
    }
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
