//! Questions under way between a component and somebody else: what a component asks in an account's name (XEP-0356 5), and what
//! somebody asks that a component answers in the domain's place (XEP-0355 4.3).
//!
//! Either has an id that nobody can guess, and is answered once: by whoever was asked, or by an error when the component has gone
//! or time is up. Bounded by component, and of strangers by their domains. Refuses: answers from whoever was not asked.

use std::collections::{HashMap, HashSet};

use dashmap::DashMap;
use rand::RngExt as _;
use xmpp::jid::Jid;
use xmpp::stanza::{Condition, Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::context::Context;
use crate::{delegation, privilege};

/// What was asked is answered: whoever waits for it hears so.
pub(crate) fn answered(cx: &Context<'_>, errand: &Errand, answer: &Stanza) {
    match errand.way {
        Way::Privileged => privilege::answered(cx, errand, answer),
        Way::Delegated => delegation::answered(cx, errand, answer),
    }
}

/// It will not be answered any more; `gone`: the component is not there.
pub(crate) fn ended(cx: &Context<'_>, errand: &Errand, gone: bool) {
    match errand.way {
        Way::Delegated => cx.refuse(&errand.iq, Condition::ServiceUnavailable),
        Way::Privileged if gone => {}
        Way::Privileged => cx.refuse(&errand.iq, Condition::RemoteServerTimeout),
    }
}

/// Questions of one component under way.
const QUESTIONS: usize = 500;
/// How many of them strangers' domains have put to it, all together, and each: the domain's own people and the component itself are
/// answered though strangers keep it busy.
const STRANGERS: usize = 250;
const SHARE: usize = 50;
/// Whoever was asked has so long for an answer, in microseconds.
const PATIENCE: i64 = 60_000_000;

/// What is said to whoever puts one too many.
pub(crate) fn too_many() -> String {
    format!(
        "at most {QUESTIONS} questions of a component wait for an answer at a time, and {SHARE} of them from another domain; ask again once some \
         have been answered"
    )
}

/// Which way a question went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The component asks, somebody else is to answer.
    Privileged,
    /// Somebody asks, the component is to answer.
    Delegated,
}

/// A question under way.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) way: Way,
    pub(crate) at: Timestamp,
    /// Whose it is.
    pub(crate) component: Jid,
    /// Who is to answer.
    pub(crate) asked: Jid,
    /// What is to be answered then.
    pub(crate) iq: Stanza,
    /// Id of what was asked, as whoever asked has written it.
    pub(crate) id: String,
}

/// All of them. Neither of the maps is one for all on the way of a stanza: each question and each component has a place of its own.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    /// By the id that they went on with.
    by_id: DashMap<String, Errand>,
    /// Of each component that has any.
    of: DashMap<Jid, OfComponent>,
}

/// Questions of one component.
#[derive(Debug, Default)]
struct OfComponent {
    ids: HashSet<String>,
    /// How many of them each stranger's domain has put.
    strangers: HashMap<String, usize>,
}

impl OfComponent {
    /// Whether there is room for another question of whoever asks.
    fn has_room(&self, stranger: Option<&str>) -> bool {
        let of_strangers = || {
            let own = |domain| self.strangers.get(domain).copied().unwrap_or_default();
            let all: usize = self.strangers.values().sum();
            stranger.is_none_or(|domain| all < STRANGERS && own(domain) < SHARE)
        };
        self.ids.len() < QUESTIONS && of_strangers()
    }

    fn forget(&mut self, id: &str, stranger: Option<&str>) {
        self.ids.remove(id);
        if let Some(domain) = stranger
            && let Some(count) = self.strangers.get_mut(domain)
        {
            *count -= 1;
            if *count == 0 {
                self.strangers.remove(domain);
            }
        }
    }
}

impl Errand {
    /// Domain of whoever asks, unless it is the component or its own domain.
    fn stranger(&self) -> Option<&str> {
        let from = self.iq.from()?.domain();
        let component = self.component.domain();
        let own = component.split_once('.').map(|(_, parent)| parent);
        (from != component && Some(from) != own).then_some(from)
    }
}

impl Errands {
    /// Notes one; its id, or `None`: the component has too many, or such as ask have.
    pub(crate) fn note(&self, errand: Errand) -> Option<String> {
        let mut of = self.of.entry(errand.component.clone()).or_default();
        let stranger = errand.stranger();
        if !of.has_room(stranger) {
            return None;
        }
        let id = format!("errand-{:032x}", rand::rng().random::<u128>());
        of.ids.insert(id.clone());
        if let Some(domain) = stranger {
            *of.strangers.entry(domain.to_owned()).or_default() += 1;
        }
        self.by_id.insert(id.clone(), errand);
        Some(id)
    }

    /// Whether this is the answer to one of them.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from)) = (iq.id(), iq.from()) else {
            return false;
        };
        let answer = matches!(iq.type_(), StanzaType::Result | StanzaType::Error);
        answer && self.by_id.get(id).is_some_and(|e| e.asked == *from)
    }

    /// The question that this answers; it is closed with that.
    pub(crate) fn take(&self, iq: &Stanza) -> Option<Errand> {
        if !self.expects(iq) {
            return None;
        }
        self.remove(iq.id()?)
    }

    /// Nothing was asked after all.
    pub(crate) fn forget(&self, id: &str) {
        self.remove(id);
    }

    fn remove(&self, id: &str) -> Option<Errand> {
        let (_, errand) = self.by_id.remove(id)?;
        if let Some(mut of) = self.of.get_mut(&errand.component) {
            of.forget(id, errand.stranger());
        }
        self.of
            .remove_if(&errand.component, |_, of| of.ids.is_empty());
        Some(errand)
    }

    /// The component that asks this in an account's name: its id is that of a question under way, and addresses are the question's. Whoever
    /// is asked sees the id, and can do nothing with it in a name of their own.
    pub(crate) fn on_behalf(&self, iq: &Stanza) -> Option<Jid> {
        let (id, from) = (iq.id()?, iq.from()?);
        let errand = self.by_id.get(id)?;
        let of_account = from.is_bare() && errand.iq.to().is_some_and(|account| account == from);
        let asked = iq.to() == Some(&errand.asked);
        (errand.way == Way::Privileged && of_account && asked).then(|| errand.component.clone())
    }

    /// Questions of a component whose time is up; `all`: the component has gone, and with it every question.
    pub(crate) fn due(&self, component: &Jid, all: bool, now: Timestamp) -> Vec<Errand> {
        let ids = self.of.get(component).map(|of| of.ids.clone());
        let late = |id: &String| {
            let errand = self.by_id.get(id);
            errand.is_some_and(|e| all || now.0.saturating_sub(e.at.0) >= PATIENCE)
        };
        let due: Vec<_> = ids.into_iter().flatten().filter(late).collect();
        due.iter().filter_map(|id| self.remove(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stanza;

    fn errand(component: &str, from: &str) -> Errand {
        let iq = format!(
            "<iq from='{from}' to='alice@one.example' type='get' id='q'><x xmlns='y'/></iq>"
        );
        let component = Jid::parse(component).expect("an address");
        Errand {
            way: Way::Delegated,
            at: Timestamp(0),
            asked: component.clone(),
            component,
            iq: stanza(&iq),
            id: "q".into(),
        }
    }

    #[test]
    fn strangers_do_not_shut_a_component_for_its_own_domain() {
        let errands = Errands::default();
        let bridge = "bridge.one.example";
        let put = |component: &str, from: &str, times: usize| {
            let put = |_: &usize| errands.note(errand(component, from)).is_some();
            (0..times).filter(put).count()
        };
        assert_eq!(put(bridge, "mallory@evil.example/x", 100), SHARE);
        for n in 0..10 {
            put(bridge, &format!("x@s{n}.example"), 100);
        }
        assert_eq!(
            put(bridge, "romeo@peer.example", 1),
            0,
            "strangers have their part"
        );
        assert_eq!(put("other.one.example", "mallory@evil.example/x", 1), 1);
        let own = put(bridge, "alice@one.example/phone", 1_000);
        assert_eq!(own + STRANGERS, QUESTIONS);

        let component = Jid::parse(bridge).expect("an address");
        assert!(
            errands
                .due(&component, false, Timestamp(PATIENCE - 1))
                .is_empty()
        );
        let due = errands.due(&component, false, Timestamp(PATIENCE));
        assert_eq!(due.len(), QUESTIONS);
        assert_eq!(
            put(bridge, "romeo@peer.example", 1),
            1,
            "there is room again"
        );
        assert_eq!(errands.due(&component, true, Timestamp(0)).len(), 1);
        assert_eq!(errands.by_id.len(), 1, "the other component's");
        assert_eq!(errands.of.len(), 1);
    }

    #[test]
    fn an_id_serves_only_what_it_was_made_for() {
        let errands = Errands::default();
        let ask = Errand {
            way: Way::Privileged,
            asked: Jid::parse("one.example").expect("an address"),
            ..errand("bridge.one.example", "bridge.one.example")
        };
        let id = errands.note(ask).expect("room");
        let by = |from: &str, to: &str| {
            let iq =
                format!("<iq from='{from}' to='{to}' type='get' id='{id}'><x xmlns='y'/></iq>");
            errands.on_behalf(&stanza(&iq)).is_some()
        };
        assert!(by("alice@one.example", "one.example"));
        assert!(!by("alice@one.example/phone", "one.example"));
        assert!(!by("mallory@evil.example", "one.example"));
        assert!(!by("alice@one.example", "bob@one.example"));
    }
}
