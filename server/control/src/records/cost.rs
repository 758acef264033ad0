//! What each way of proof costs, said before it is chosen: panel, API and command line show these texts and no others.

use serde::Serialize;

use super::Mode;
use super::challenge::{challenge_url, persist_text};
use crate::Control;
use crate::error::{ControlError, Result};

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
pub const MODE_COSTS: [ModeCost; 6] = [
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
        mode: "dns-persist",
        title: "We obtain and renew the certificate by a record that stands for ever",
        owner: "You publish one TXT record, once; it names our account at the certificate authority, and leaves your own challenges alone.",
        held: "We hold a certificate and its key for your domain.",
        issuable: "The record would also let us obtain a certificate for your website, for as long as it stands.",
        accepted: "Every app and every server accepts it.",
        addable: false,
    },
    ModeCost {
        mode: "http-redirect",
        title: "We obtain and renew the certificate by a redirect of your website",
        owner: "Your website leads one address to us, once, and has to answer at port 80 for as long as you are here.",
        held: "We hold a certificate and its key for your domain.",
        issuable: "The redirect would also let us obtain a certificate for your website.",
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

/// A mode, and whether this service can offer it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModeOffer {
    /// What it costs.
    #[serde(flatten)]
    pub cost: ModeCost,
    /// May it be chosen?
    pub available: bool,
    /// Why not; empty if it may.
    pub unavailable: &'static str,
}

impl Control {
    /// Every mode, with its cost, and whether it may be chosen here.
    pub fn modes(&self) -> Vec<ModeOffer> {
        let offer = |cost: ModeCost| {
            let why = Mode::parse(cost.mode).and_then(|mode| self.not_offered(mode));
            ModeOffer {
                cost,
                available: why.is_none(),
                unavailable: why.unwrap_or_default(),
            }
        };
        MODE_COSTS.into_iter().map(offer).collect()
    }

    /// Refuses a mode that cannot be offered.
    pub(crate) fn check_offered(&self, mode: Mode) -> Result<()> {
        match self.not_offered(mode) {
            None => Ok(()),
            Some(why) => Err(ControlError::invalid(
                "mode",
                mode.as_str(),
                why,
                "Choose another one; the operator of this service can change that.",
            )),
        }
    }

    fn not_offered(&self, mode: Mode) -> Option<&'static str> {
        match mode {
            Mode::DnsPersist if persist_text(&self.parts.issuer.describe()).is_none() => {
                Some("our certificate authority was not seen to offer it")
            }
            Mode::HttpRedirect if challenge_url(self.settings(), "").is_none() => {
                Some("this service has no address that a website could lead to")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
