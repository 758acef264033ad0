//! Questions under way between a component and somebody else: what a component asks in an account's name (XEP-0356 5), and what
//! somebody asks that a component answers in the domain's place (XEP-0355 4.3).
//!
//! Either has an id that nobody can guess, and is answered once: by whoever was asked, or by an error when the component has gone
//! or time is up. Bounded by component. Refuses: answers from whoever was not asked.

use std::collections::HashMap;
use std::sync::Mutex;

use rand::RngExt as _;
use xmpp::jid::Jid;
use xmpp::stanza::{Condition, Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::context::Context;
use crate::memory::lock;
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
/// Whoever was asked has so long for an answer, in microseconds.
const PATIENCE: i64 = 60_000_000;

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

/// All of them, by the id that they went on with.
#[derive(Debug, Default)]
pub(crate) struct Errands(Mutex<HashMap<String, Errand>>);

impl Errands {
    /// Notes one; its id, or `None`: the component has too many.
    pub(crate) fn note(&self, errand: Errand) -> Option<String> {
        let mut errands = lock(&self.0);
        let own = |other: &&Errand| other.component == errand.component;
        if errands.values().filter(own).count() >= QUESTIONS {
            return None;
        }
        let id = format!("errand-{:032x}", rand::rng().random::<u128>());
        errands.insert(id.clone(), errand);
        Some(id)
    }

    /// Whether this is the answer to one of them.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from)) = (iq.id(), iq.from()) else {
            return false;
        };
        let answer = matches!(iq.type_(), StanzaType::Result | StanzaType::Error);
        answer && lock(&self.0).get(id).is_some_and(|e| e.asked == *from)
    }

    /// The question that this answers; it is closed with that.
    pub(crate) fn take(&self, iq: &Stanza) -> Option<Errand> {
        if !self.expects(iq) {
            return None;
        }
        lock(&self.0).remove(iq.id()?)
    }

    /// Nothing was asked after all.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// The component that asks this in an account's name.
    pub(crate) fn on_behalf(&self, iq: &Stanza) -> Option<Jid> {
        let errands = lock(&self.0);
        let errand = errands.get(iq.id()?)?;
        (errand.way == Way::Privileged).then(|| errand.component.clone())
    }

    /// Questions of a component whose time is up; `all`: the component has gone, and with it every question.
    pub(crate) fn due(&self, component: &Jid, all: bool, now: Timestamp) -> Vec<Errand> {
        let late = |errand: &Errand| all || now.0.saturating_sub(errand.at.0) >= PATIENCE;
        let mut errands = lock(&self.0);
        let due = errands.extract_if(|_, e| e.component == *component && late(e));
        due.map(|(_, errand)| errand).collect()
    }
}
