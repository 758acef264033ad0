//! The table of RFC 6121 8.5.4: what becomes of a message to an account, as a pure function.
//!
//! Where the table leaves a choice, the one made here looks the same to a stranger whether the account exists or not and
//! whichever of its resources are online (ROUTE-10, ROUTE-11).

use xmpp::stanza::StanzaType;

/// How a message is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// To the bare address.
    Bare,
    /// To the full address of a bound session, available or not.
    Match,
    /// To a full address that nobody has.
    NoMatch,
}

/// Which sessions the account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resources {
    /// None that is available; perhaps the account does not exist.
    None,
    /// Available ones, all of negative priority.
    OnlyNegative,
    /// At least one of priority 0 or more.
    NonNegative,
}

/// What becomes of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// D: to the session that it names.
    Match,
    /// M: to the most available session.
    Most,
    /// A: to every session of priority 0 or more.
    All,
    /// O: to the offline store if the account exists, where it may still be refused.
    Offline,
    /// x: an error to those who know of the account, silence to strangers (IM-41).
    Refused,
    /// E: the same error to everyone.
    Error,
    /// S: dropped.
    Silent,
}

/// The table (IM-34, IM-35, IM-36, IM-37).
pub fn fate(type_: StanzaType, address: Address, resources: Resources) -> Fate {
    use StanzaType::{Chat, Error, Groupchat, Headline};
    match (type_, address, resources) {
        (_, Address::Match, _) => Fate::Match,
        (Error, _, _) => Fate::Silent,
        (Headline, Address::Bare, Resources::NonNegative) => Fate::All,
        (Headline, _, _) => Fate::Silent,
        (Groupchat, Address::Bare, _) => Fate::Error,
        (Groupchat, Address::NoMatch, _) => Fate::Refused,
        (Chat, _, Resources::NonNegative) => Fate::Most,
        (Chat, _, _) => Fate::Offline,
        // Normal, and whatever else a message may be (IM-32).
        (_, Address::Bare, Resources::NonNegative) => Fate::All,
        (_, Address::Bare, _) => Fate::Offline,
        (_, Address::NoMatch, _) => Fate::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row of the printed table: situation, address, then normal, chat, groupchat, headline.
    const TABLE: &[(Resources, Address, [Fate; 4])] = &[
        (
            Resources::None,
            Address::Bare,
            [Fate::Offline, Fate::Offline, Fate::Error, Fate::Silent],
        ),
        (
            Resources::None,
            Address::NoMatch,
            [Fate::Refused, Fate::Offline, Fate::Refused, Fate::Silent],
        ),
        (
            Resources::OnlyNegative,
            Address::Bare,
            [Fate::Offline, Fate::Offline, Fate::Error, Fate::Silent],
        ),
        (Resources::OnlyNegative, Address::Match, [Fate::Match; 4]),
        (
            Resources::OnlyNegative,
            Address::NoMatch,
            [Fate::Refused, Fate::Offline, Fate::Refused, Fate::Silent],
        ),
        (
            Resources::NonNegative,
            Address::Bare,
            [Fate::All, Fate::Most, Fate::Error, Fate::All],
        ),
        (Resources::NonNegative, Address::Match, [Fate::Match; 4]),
        (
            Resources::NonNegative,
            Address::NoMatch,
            [Fate::Refused, Fate::Most, Fate::Refused, Fate::Silent],
        ),
    ];

    #[test]
    fn im_34_every_cell_of_the_table() {
        let types = [
            StanzaType::Normal,
            StanzaType::Chat,
            StanzaType::Groupchat,
            StanzaType::Headline,
        ];
        for (resources, address, row) in TABLE {
            for (type_, expected) in types.into_iter().zip(row) {
                assert_eq!(
                    fate(type_, *address, *resources),
                    *expected,
                    "{type_:?} {address:?} {resources:?}"
                );
            }
        }
    }

    #[test]
    fn im_36_errors_are_dropped_unless_matched() {
        for resources in [
            Resources::None,
            Resources::OnlyNegative,
            Resources::NonNegative,
        ] {
            for address in [Address::Bare, Address::NoMatch] {
                assert_eq!(fate(StanzaType::Error, address, resources), Fate::Silent);
            }
            assert_eq!(
                fate(StanzaType::Error, Address::Match, resources),
                Fate::Match
            );
        }
    }
}
