//! What each way of proof costs, said before it is chosen: panel, API and command line show these texts and no others.

use serde::Serialize;

/// A way of proof and its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ModeCost {
    /// Word of [`super::Mode`].
    pub mode: &'static str,
    /// For people.
    pub title: &'static str,
    /// What the owner does, once or again and again.
    pub owner: &'static str,
    /// What we hold.
    pub held: &'static str,
    /// What somebody who has all that we hold could have issued.
    pub issuable: &'static str,
    /// Who accepts it.
    pub accepted: &'static str,
    /// May it be added to another mode?
    pub addable: bool,
}

/// Every mode of [`super::Mode::ALL`], in that order.
pub const MODE_COSTS: [ModeCost; 4] = [
    ModeCost {
        mode: "delegated-challenge",
        title: "We obtain and renew the certificate",
        owner: "You publish one CNAME record, once, and never think of it again.",
        held: "We hold a certificate and its key for your domain.",
        issuable: "The record would also let us obtain a certificate for your website.",
        accepted: "Every app and every server accepts it.",
        addable: false,
    },
    ModeCost {
        mode: "uploaded",
        title: "You upload the certificate",
        owner: "You obtain it, upload it with its key, and do so again before it runs out, every 45 to 90 days.",
        held: "We hold what you upload, and nothing else.",
        issuable: "Nothing can be issued with it.",
        accepted: "Every app and every server accepts it.",
        addable: false,
    },
    ModeCost {
        mode: "posh",
        title: "Your website vouches for us (POSH)",
        owner: "Your website leads two addresses to us, once.",
        held: "We hold a key of our own, and none for your domain.",
        issuable: "Nothing can be issued with it.",
        accepted: "Servers that know POSH accept it; other servers ask back (dialback), unless they insist on certificates. Ordinary apps do not know it: alone it is not for people who sign in with one.",
        addable: true,
    },
    ModeCost {
        mode: "dane",
        title: "Your signed DNS vouches for us (DANE)",
        owner: "Your zone is signed (DNSSEC), and its SRV records point at our host. We keep the TLSA records there.",
        held: "We hold a key of our own, and none for your domain.",
        issuable: "Nothing can be issued with it.",
        accepted: "Servers that know DANE accept it; other servers ask back (dialback), unless they insist on certificates. Ordinary apps do not know it: alone it is not for people who sign in with one.",
        addable: true,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Mode;

    #[test]
    fn every_mode_states_its_cost() {
        let words: Vec<_> = MODE_COSTS.iter().map(|cost| cost.mode).collect();
        let modes: Vec<_> = Mode::ALL.into_iter().map(Mode::as_str).collect();
        assert_eq!(words, modes);
        for cost in MODE_COSTS {
            for text in [
                cost.title,
                cost.owner,
                cost.held,
                cost.issuable,
                cost.accepted,
            ] {
                assert!(!text.is_empty(), "{}", cost.mode);
            }
            assert_eq!(
                cost.addable,
                Mode::parse(cost.mode).is_some_and(Mode::is_own)
            );
        }
    }
}
