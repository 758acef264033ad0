//! What an account wants kept (XEP-0441): always, never, or of people in its roster; with exceptions by address.

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::Condition;

use super::MAM;
use crate::context::{Context, Refusal, store_failed};
use crate::module::{Answer, Ask};
use crate::roster::Roster;
use store::AccountId;

/// Addresses in both lists together.
const ADDRESSES: usize = 500;

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Preferences {
    usual: Usual,
    always: Vec<Jid>,
    never: Vec<Jid>,
}

/// What happens to messages with whoever is on neither list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Usual {
    #[default]
    Always,
    Never,
    Roster,
}

impl Preferences {
    /// Whether a message with this other side is kept.
    pub(crate) fn keeps(&self, peer: &Jid, roster: &Roster) -> bool {
        let listed = |list: &[Jid]| {
            list.iter()
                .any(|jid| jid == peer || (jid.is_bare() && jid.as_str() == peer.bare_str()))
        };
        if listed(&self.never) {
            return false;
        }
        match self.usual {
            Usual::Always => true,
            Usual::Never => listed(&self.always),
            Usual::Roster => listed(&self.always) || roster.get(peer.bare_str()).is_some(),
        }
    }

    /// As the store has them; what cannot be read is as if nothing had been chosen.
    pub(crate) fn read(stored: Option<&str>) -> Self {
        let element = stored.and_then(|xml| Element::parse(xml, MAM).ok());
        element
            .and_then(|e| Self::from_element(&e).ok())
            .unwrap_or_default()
    }

    /// `<prefs/>` as somebody wrote it; `None`: it makes no sense.
    pub(crate) fn of(prefs: &Element) -> Option<Self> {
        Self::from_element(prefs).ok()
    }

    /// About what they occupy, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let lists = self.always.iter().chain(&self.never);
        lists.map(|jid| jid.as_str().len() + 40).sum()
    }

    fn from_element(prefs: &Element) -> Result<Self, Refusal> {
        let usual = match prefs.get_attr("default") {
            Some("always") => Usual::Always,
            Some("never") => Usual::Never,
            Some("roster") => Usual::Roster,
            _ => {
                return Err(Refusal::new(Condition::BadRequest)
                    .with_text("default is always, never or roster"));
            }
        };
        let list = |name| -> Result<Vec<Jid>, Refusal> {
            let jids = prefs
                .find(name, MAM)
                .into_iter()
                .flat_map(Element::children);
            let jids = jids
                .filter(|child| child.is("jid", MAM))
                .take(ADDRESSES + 1);
            jids.map(|jid| {
                Jid::parse(jid.text_content().trim()).map_err(|_| Condition::JidMalformed.into())
            })
            .collect()
        };
        let (always, never) = (list("always")?, list("never")?);
        let given = always.len() + never.len();
        if given > ADDRESSES {
            return Err(Refusal::new(Condition::PolicyViolation).with_text(format!(
                "preferences name at most {ADDRESSES} addresses; these are {given} or more"
            )));
        }
        Ok(Self {
            usual,
            always,
            never,
        })
    }

    /// `<prefs/>`
    pub(crate) fn to_element(&self) -> Element {
        let usual = match self.usual {
            Usual::Always => "always",
            Usual::Never => "never",
            Usual::Roster => "roster",
        };
        let list = |name, jids: &[Jid]| {
            let jids = jids
                .iter()
                .map(|jid| Element::new("jid", MAM).text(jid.as_str()));
            Element::new(name, MAM).children_from(jids)
        };
        Element::new("prefs", MAM)
            .attr("default", usual)
            .child(list("always", &self.always))
            .child(list("never", &self.never))
    }
}

/// The account's owner chooses; the answer is what holds from now on.
pub(super) async fn set(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    account: AccountId,
) -> Result<Answer, Refusal> {
    let iq = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
    let prefs = iq.find("prefs", MAM).ok_or(Condition::BadRequest)?;
    let chosen = Preferences::from_element(prefs)?.to_element();
    let _turn = cx.modules.turn(ask.account).await;
    let stored = chosen.to_xml(MAM);
    let set = cx.store().archive_preferences_set(account, Some(&stored));
    let set = set.await;
    // Read again with the roster, whatever came of it.
    cx.modules.rosters.forget(ask.account);
    set.map_err(|e| store_failed(&e, ask.account, "keeping archive preferences"))?;
    Ok(Answer::Payload(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_21_what_is_stored_is_read_again() {
        let xml = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@b.example</jid></always>\
                   <never><jid>c@d.example/x</jid></never></prefs>";
        let prefs = Preferences::read(Some(xml));
        assert_eq!(prefs.usual, Usual::Roster);
        assert_eq!(
            Preferences::read(Some(&prefs.to_element().to_xml(MAM))),
            prefs
        );
        for nothing in [None, Some("x"), Some("<prefs xmlns='urn:xmpp:mam:2'/>")] {
            assert_eq!(Preferences::read(nothing), Preferences::default());
        }
    }
}
