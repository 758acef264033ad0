//! Presence subscriptions as data: nine states, eight tables, 72 cells (RFC 6121 Appendix A), and what follows from each.
//!
//! [`step`] is a plain function: no store, no sessions. It is told the state, who speaks and what they say, and tells
//! whether the stanza is passed on, the state afterwards, whether the account's server answers, and whether the account's
//! own sessions get a roster push and the contact gets presence. Refuses: decisions about order and delivery; those are in
//! the module.

use store::Subscription;
use xmpp::stanza::StanzaType;

/// Where an account stands with a contact (RFC 6121 A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Neither subscribed, nothing asked.
    None,
    /// "None + Pending Out": we asked.
    NoneOut,
    /// "None + Pending In": they asked.
    NoneIn,
    /// "None + Pending Out+In": both asked.
    NoneOutIn,
    /// We see them.
    To,
    /// "To + Pending In": we see them and they asked.
    ToIn,
    /// They see us.
    From,
    /// "From + Pending Out": they see us and we asked.
    FromOut,
    /// Both see each other.
    Both,
}

impl State {
    /// In the order of the tables.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::NoneOut,
        Self::NoneIn,
        Self::NoneOutIn,
        Self::To,
        Self::ToIn,
        Self::From,
        Self::FromOut,
        Self::Both,
    ];

    /// From what is stored. Combinations that the RFC does not know (asking for what one has) count as the state without
    /// the superfluous half.
    pub fn new(subscription: Subscription, ask: bool, request: bool) -> Self {
        match (subscription, ask, request) {
            (Subscription::None, false, false) => Self::None,
            (Subscription::None, true, false) => Self::NoneOut,
            (Subscription::None, false, true) => Self::NoneIn,
            (Subscription::None, true, true) => Self::NoneOutIn,
            (Subscription::To, _, false) => Self::To,
            (Subscription::To, _, true) => Self::ToIn,
            (Subscription::From, false, _) => Self::From,
            (Subscription::From, true, _) => Self::FromOut,
            (Subscription::Both, _, _) => Self::Both,
        }
    }

    /// `subscription` of the roster item.
    pub fn subscription(self) -> Subscription {
        match self {
            Self::None | Self::NoneOut | Self::NoneIn | Self::NoneOutIn => Subscription::None,
            Self::To | Self::ToIn => Subscription::To,
            Self::From | Self::FromOut => Subscription::From,
            Self::Both => Subscription::Both,
        }
    }

    /// `ask='subscribe'` of the roster item: Pending Out.
    pub fn ask(self) -> bool {
        matches!(self, Self::NoneOut | Self::NoneOutIn | Self::FromOut)
    }

    /// Pending In: a request waits for an answer.
    pub fn request(self) -> bool {
        matches!(self, Self::NoneIn | Self::NoneOutIn | Self::ToIn)
    }

    /// They see our presence.
    pub fn shows(self) -> bool {
        matches!(self, Self::From | Self::FromOut | Self::Both)
    }

    /// We see theirs.
    pub fn sees(self) -> bool {
        matches!(self, Self::To | Self::ToIn | Self::Both)
    }
}

/// Who speaks, seen from the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The account to the contact.
    Outbound,
    /// The contact to the account.
    Inbound,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// "Let me see your presence."
    Subscribe,
    /// "I do not want to see your presence (any more)."
    Unsubscribe,
    /// "You may see mine."
    Subscribed,
    /// "You may not (any more)."
    Unsubscribed,
}

impl Verb {
    /// In the order of the tables.
    pub const ALL: [Self; 4] = [
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Subscribed,
        Self::Unsubscribed,
    ];

    /// `None` for presence that is not about subscriptions.
    pub fn of(type_: StanzaType) -> Option<Self> {
        Some(match type_ {
            StanzaType::Subscribe => Self::Subscribe,
            StanzaType::Unsubscribe => Self::Unsubscribe,
            StanzaType::Subscribed => Self::Subscribed,
            StanzaType::Unsubscribed => Self::Unsubscribed,
            _ => return None,
        })
    }

    /// The stanza type that says it.
    pub fn type_(self) -> StanzaType {
        match self {
            Self::Subscribe => StanzaType::Subscribe,
            Self::Unsubscribe => StanzaType::Unsubscribe,
            Self::Subscribed => StanzaType::Subscribed,
            Self::Unsubscribed => StanzaType::Unsubscribed,
        }
    }
}

/// What is known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The state.
    pub state: State,
    /// The contact is in the roster. A request alone puts nobody there (IM-12).
    pub in_roster: bool,
    /// Pre-approved (RFC 6121 3.4).
    pub approved: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Outbound: route it to the contact. Inbound: deliver it to the account's sessions.
    pub pass: bool,
    /// The state afterwards.
    pub state: State,
    /// Pre-approved afterwards.
    pub approved: bool,
    /// Inbound: what the server answers to the contact on the account's behalf.
    pub reply: Option<Verb>,
    /// The roster item changed as far as the account can see: push it.
    pub push: bool,
    /// Presence of the account's sessions to the contact.
    pub presence: Presence,
}

/// Presence that a step sends to the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// None.
    Nothing,
    /// The current one of every available session, after everything else.
    Current,
    /// Unavailable from every available session: outbound before the stanza is routed, inbound after the push.
    Unavailable,
}

/// A cell: passed on, and the state afterwards.
type Cell = (bool, State);

/// The eight tables: a row per table, a column per state in the order of [`State::ALL`]. "MUST" is `true`, "SHOULD NOT" and
/// "MUST NOT" are `false`. "Pre-approval" is no change of state; [`step`] adds it.
const TABLES: [[Cell; 9]; 8] = {
    use State::{Both, From, FromOut, None, NoneIn, NoneOut, NoneOutIn, To, ToIn};
    const Y: bool = true;
    const N: bool = false;
    [
        // existing:  None         NoneOut       NoneIn          NoneOutIn       To        ToIn         From          FromOut       Both
        // Table 2, outbound subscribe
        [
            (Y, NoneOut),
            (Y, NoneOut),
            (Y, NoneOutIn),
            (Y, NoneOutIn),
            (Y, To),
            (Y, ToIn),
            (Y, FromOut),
            (Y, FromOut),
            (Y, Both),
        ],
        // Table 3, outbound unsubscribe
        [
            (Y, None),
            (Y, None),
            (Y, NoneIn),
            (Y, NoneIn),
            (Y, None),
            (Y, NoneIn),
            (Y, From),
            (Y, From),
            (Y, From),
        ],
        // Table 4, outbound subscribed
        [
            (N, None),
            (N, NoneOut),
            (Y, From),
            (Y, FromOut),
            (N, To),
            (Y, Both),
            (N, From),
            (N, FromOut),
            (N, Both),
        ],
        // Table 5, outbound unsubscribed
        [
            (N, None),
            (N, NoneOut),
            (Y, None),
            (Y, NoneOut),
            (N, To),
            (Y, To),
            (Y, None),
            (Y, NoneOut),
            (Y, To),
        ],
        // Table 6, inbound subscribe
        [
            (Y, NoneIn),
            (Y, NoneOutIn),
            (N, NoneIn),
            (N, NoneOutIn),
            (Y, ToIn),
            (N, ToIn),
            (N, From),
            (N, FromOut),
            (N, Both),
        ],
        // Table 7, inbound unsubscribe
        [
            (N, None),
            (N, NoneOut),
            (Y, None),
            (Y, NoneOut),
            (N, To),
            (Y, To),
            (Y, None),
            (Y, NoneOut),
            (Y, To),
        ],
        // Table 8, inbound subscribed
        [
            (N, None),
            (Y, To),
            (N, NoneIn),
            (Y, ToIn),
            (N, To),
            (N, ToIn),
            (N, From),
            (Y, Both),
            (N, Both),
        ],
        // Table 9, inbound unsubscribed
        [
            (N, None),
            (Y, None),
            (N, NoneIn),
            (Y, NoneIn),
            (Y, None),
            (Y, NoneIn),
            (N, From),
            (Y, From),
            (Y, From),
        ],
    ]
};

/// One cell of the tables, and what the rest of RFC 6121 3 and the project's choices C-11 to C-13 add to it.
pub fn step(before: Situation, direction: Direction, verb: Verb) -> Step {
    let (pass, state) = cell(before.state, direction, verb);
    let mut step = Step {
        pass,
        state,
        approved: before.approved,
        reply: None,
        push: false,
        presence: Presence::Nothing,
    };
    match (direction, verb) {
        (Direction::Outbound, Verb::Subscribed) => {
            if state != before.state {
                step.presence = Presence::Current; // IM-15
            } else if !before.state.shows() {
                step.approved = true; // IM-09
            }
        }
        (Direction::Outbound, Verb::Unsubscribed) => {
            step.approved = false;
            // A denial shows no session to a stranger (C-13).
            if before.state.shows() {
                step.presence = Presence::Unavailable;
            }
        }
        (Direction::Inbound, Verb::Subscribe) => {
            if before.state.shows() {
                step.reply = Some(Verb::Subscribed); // IM-13
            } else if before.approved {
                // Granted beforehand, without asking again (IM-09).
                step.pass = false;
                step.state = granted(before.state);
                step.reply = Some(Verb::Subscribed);
                step.presence = Presence::Current;
            }
        }
        (Direction::Inbound, Verb::Unsubscribe) => {
            if before.state.request() && !before.in_roster {
                // They take back a request that nobody has answered: nothing more to say (C-11).
                step.pass = false;
            } else if state != before.state {
                step.reply = Some(Verb::Unsubscribed); // Table 7
            }
            if before.state.shows() {
                step.presence = Presence::Unavailable; // IM-19
            }
        }
        (Direction::Outbound, Verb::Subscribe | Verb::Unsubscribe)
        | (Direction::Inbound, Verb::Subscribed | Verb::Unsubscribed) => {}
    }
    step.push = visible(before.state, before.approved) != visible(step.state, step.approved);
    step
}

/// What is in the table.
fn cell(state: State, direction: Direction, verb: Verb) -> Cell {
    let table = match direction {
        Direction::Outbound => 0,
        Direction::Inbound => 4,
    } + match verb {
        Verb::Subscribe => 0,
        Verb::Unsubscribe => 1,
        Verb::Subscribed => 2,
        Verb::Unsubscribed => 3,
    };
    TABLES[table][state as usize]
}

/// The state after our consent.
fn granted(state: State) -> State {
    match state {
        State::None | State::NoneIn => State::From,
        State::NoneOut | State::NoneOutIn => State::FromOut,
        State::To | State::ToIn => State::Both,
        State::From | State::FromOut | State::Both => state,
    }
}

/// What a roster item shows of it.
fn visible(state: State, approved: bool) -> (Subscription, bool, bool) {
    (state.subscription(), state.ask(), approved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: State) -> Situation {
        Situation {
            state,
            in_roster: true,
            approved: false,
        }
    }

    /// `expected`: for each state in the order of the tables "pass state", `=` for no change.
    fn check(direction: Direction, verb: Verb, expected: [(bool, State); 9]) {
        for (state, (pass, after)) in State::ALL.into_iter().zip(expected) {
            let step = step(at(state), direction, verb);
            assert_eq!(
                (step.pass, step.state),
                (pass, after),
                "{direction:?} {verb:?} in {state:?}"
            );
            assert_eq!(
                step.push,
                state.subscription() != after.subscription()
                    || state.ask() != after.ask()
                    || step.approved,
                "push: {direction:?} {verb:?} in {state:?}"
            );
        }
    }

    // Copied from the RFC a second time, by rows as printed there, so that a slip in one copy shows.
    #[test]
    fn im_20_appendix_a_outbound() {
        use State::*;
        check(
            Direction::Outbound,
            Verb::Subscribe,
            [
                (true, NoneOut),
                (true, NoneOut),
                (true, NoneOutIn),
                (true, NoneOutIn),
                (true, To),
                (true, ToIn),
                (true, FromOut),
                (true, FromOut),
                (true, Both),
            ],
        );
        check(
            Direction::Outbound,
            Verb::Unsubscribe,
            [
                (true, None),
                (true, None),
                (true, NoneIn),
                (true, NoneIn),
                (true, None),
                (true, NoneIn),
                (true, From),
                (true, From),
                (true, From),
            ],
        );
        check(
            Direction::Outbound,
            Verb::Subscribed,
            [
                (false, None),
                (false, NoneOut),
                (true, From),
                (true, FromOut),
                (false, To),
                (true, Both),
                (false, From),
                (false, FromOut),
                (false, Both),
            ],
        );
        check(
            Direction::Outbound,
            Verb::Unsubscribed,
            [
                (false, None),
                (false, NoneOut),
                (true, None),
                (true, NoneOut),
                (false, To),
                (true, To),
                (true, None),
                (true, NoneOut),
                (true, To),
            ],
        );
    }

    #[test]
    fn im_20_appendix_a_inbound() {
        use State::*;
        check(
            Direction::Inbound,
            Verb::Subscribe,
            [
                (true, NoneIn),
                (true, NoneOutIn),
                (false, NoneIn),
                (false, NoneOutIn),
                (true, ToIn),
                (false, ToIn),
                (false, From),
                (false, FromOut),
                (false, Both),
            ],
        );
        check(
            Direction::Inbound,
            Verb::Unsubscribe,
            [
                (false, None),
                (false, NoneOut),
                (true, None),
                (true, NoneOut),
                (false, To),
                (true, To),
                (true, None),
                (true, NoneOut),
                (true, To),
            ],
        );
        check(
            Direction::Inbound,
            Verb::Subscribed,
            [
                (false, None),
                (true, To),
                (false, NoneIn),
                (true, ToIn),
                (false, To),
                (false, ToIn),
                (false, From),
                (true, Both),
                (false, Both),
            ],
        );
        check(
            Direction::Inbound,
            Verb::Unsubscribed,
            [
                (false, None),
                (true, None),
                (false, NoneIn),
                (true, NoneIn),
                (true, None),
                (true, NoneIn),
                (false, From),
                (true, From),
                (true, From),
            ],
        );
    }

    #[test]
    fn states_are_what_is_stored() {
        for state in State::ALL {
            assert_eq!(
                State::new(state.subscription(), state.ask(), state.request()),
                state
            );
        }
    }

    #[test]
    fn im_09_pre_approval_is_noted_in_three_states_and_never_routed() {
        for state in State::ALL {
            let step = step(at(state), Direction::Outbound, Verb::Subscribed);
            let noted = matches!(state, State::None | State::NoneOut | State::To);
            assert_eq!(step.approved, noted, "{state:?}");
            assert!(!(noted && step.pass), "{state:?}");
            assert_eq!(step.push, noted || step.state != state, "{state:?}");
        }
    }

    #[test]
    fn im_09_a_pre_approved_request_is_granted_without_delivery() {
        for (state, after) in [
            (State::None, State::From),
            (State::NoneOut, State::FromOut),
            (State::To, State::Both),
        ] {
            let situation = Situation {
                approved: true,
                ..at(state)
            };
            let step = step(situation, Direction::Inbound, Verb::Subscribe);
            assert_eq!(step.state, after);
            assert!(!step.pass && step.push);
            assert_eq!(step.reply, Some(Verb::Subscribed));
            assert_eq!(step.presence, Presence::Current);
        }
    }

    #[test]
    fn im_13_who_has_a_subscription_is_told_so() {
        for state in State::ALL {
            let step = step(at(state), Direction::Inbound, Verb::Subscribe);
            let told = step.reply == Some(Verb::Subscribed);
            assert_eq!(told, state.shows(), "{state:?}");
            assert!(!(told && step.push), "{state:?}");
        }
    }

    #[test]
    fn im_17_cancelling_clears_the_pre_approval() {
        let situation = Situation {
            approved: true,
            ..at(State::None)
        };
        let step = step(situation, Direction::Outbound, Verb::Unsubscribed);
        assert!(!step.approved && step.push && !step.pass);
        assert_eq!(step.presence, Presence::Nothing);
    }

    #[test]
    fn c_11_a_request_taken_back_is_dropped_unless_the_sender_is_in_the_roster() {
        let stranger = Situation {
            in_roster: false,
            ..at(State::NoneIn)
        };
        let quiet = step(stranger, Direction::Inbound, Verb::Unsubscribe);
        assert_eq!(quiet.state, State::None);
        assert!(!quiet.pass && quiet.reply.is_none() && !quiet.push);
        let told = step(at(State::NoneIn), Direction::Inbound, Verb::Unsubscribe);
        assert!(told.pass);
        assert_eq!(told.reply, Some(Verb::Unsubscribed));
    }

    #[test]
    fn c_13_a_denial_shows_no_session() {
        for state in State::ALL {
            let step = step(at(state), Direction::Outbound, Verb::Unsubscribed);
            let shown = step.presence == Presence::Unavailable;
            assert_eq!(shown, state.shows(), "{state:?}");
        }
    }

    #[test]
    fn im_19_whoever_unsubscribes_is_told_that_nobody_is_there() {
        for state in State::ALL {
            let step = step(at(state), Direction::Inbound, Verb::Unsubscribe);
            assert_eq!(step.presence == Presence::Unavailable, state.shows());
            assert_eq!(step.reply.is_some(), step.state != state);
        }
    }

    #[test]
    fn only_four_types_are_about_subscriptions() {
        for verb in Verb::ALL {
            assert_eq!(Verb::of(verb.type_()), Some(verb));
        }
        assert_eq!(Verb::of(StanzaType::Probe), None);
    }
}
