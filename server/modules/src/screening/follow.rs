//! Following a list: the domain subscribes to its node (XEP-0060 6.1), reads it from the beginning to the end, page by page where
//! the service knows pages (XEP-0059), and from then on hears of every change.
//!
//! What it missed while it could not be told comes with the next reading: when the list's server has connected anew, and
//! again after hours. What is known stays until it has been read anew, whatever becomes of the service. Refuses: the word of anybody
//! but the service, and lists without end.

use std::sync::atomic::{AtomicU64, Ordering};

use store::BLOCK_LIST_ENTRIES;
use xmpp::element::Element;
use xmpp::jid::BareJid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};
use xmpp::timestamp::Timestamp;

use super::{Found, entries};
use crate::context::{Context, Hosted};
use crate::memory::Aging;
use crate::rsm;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const EVENT: &str = "http://jabber.org/protocol/pubsub#event";

/// Between two readings of a list, in microseconds …
const EVERY: i64 = 6 * 3_600_000_000;
/// … and between two that were asked for, or of which the first came to nothing.
const AGAIN: i64 = 600_000_000;
/// Items of a page.
const PAGE: u64 = 1_000;
/// Questions without an answer, and answers about somebody that are remembered, in each of two generations.
const OPEN: usize = 10_000;
const REMEMBERED: usize = 50_000;
/// Bytes of what is kept of a problem.
const PROBLEM_BYTES: usize = 500;

/// A list that a domain follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowedList {
    /// The pubsub service.
    pub service: BareJid,
    /// Its node.
    pub node: String,
}

/// What was asked of a service.
#[derive(Clone, Debug)]
struct Question {
    domain: String,
    list: FollowedList,
    /// In the store.
    row: i64,
    /// When this reading began.
    began: Timestamp,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe,
    /// A page; entries read so far, and what is wrong although it can be read.
    Page {
        read: u64,
        problem: String,
    },
}

/// A reading of a list.
#[derive(Clone, Copy, Debug)]
struct Reading {
    began: Timestamp,
    failed: bool,
    /// Somebody wants it to be read again before long.
    wanted: bool,
}

/// What is remembered of lists; all of it is bounded and may be lost: then a list is read once more.
#[derive(Debug)]
pub(crate) struct Following {
    open: Aging<String, Question>,
    readings: Aging<(String, FollowedList), Reading>,
    changes: AtomicU64,
    pub(super) found: Aging<String, Found>,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            open: Aging::new(OPEN),
            readings: Aging::new(OPEN),
            changes: AtomicU64::default(),
            found: Aging::new(REMEMBERED),
        }
    }
}

impl Following {
    /// How many changes of lists there have been: an answer from before the last is none any more.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this may be an answer: the id is one of ours, and it comes from whom we asked.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from), Some(to)) = (iq.id(), iq.from(), iq.to()) else {
            return false;
        };
        self.open.look(id, |asked| {
            asked.is_some_and(|asked| {
                asked.list.service.as_str() == from.as_str() && asked.domain == to.as_str()
            })
        })
    }

    fn take(&self, iq: &Stanza) -> Option<Question> {
        let id = iq.id().filter(|_| self.expects(iq))?.to_owned();
        let asked = self.open.get(&id)?;
        self.open.remove(&id);
        Some(asked)
    }

    /// A server has connected to the domain: what it did not say meanwhile is to be read.
    pub(crate) fn connected(&self, hosted: &Hosted, remote: &str) {
        let theirs = |list: &&FollowedList| list.service.domain() == remote;
        for list in hosted.settings.lists.iter().filter(theirs) {
            let key = (hosted.domain.to_string(), list.clone());
            if let Some(reading) = self.readings.get(&key) {
                let reading = Reading {
                    wanted: true,
                    ..reading
                };
                self.readings.insert(key, reading, 1);
            }
        }
    }

    fn is_due(&self, key: &(String, FollowedList), now: Timestamp) -> bool {
        self.readings.look(key, |reading| {
            reading.is_none_or(|reading| {
                let age = now.0.saturating_sub(reading.began.0);
                age >= EVERY || (age >= AGAIN && (reading.failed || reading.wanted))
            })
        })
    }

    fn ended(&self, asked: &Question, failed: bool) {
        let key = (asked.domain.clone(), asked.list.clone());
        if let Some(reading) = self.readings.get(&key) {
            self.readings.insert(key, Reading { failed, ..reading }, 1);
        }
    }
}

/// Begins to read those of the domain's lists whose time has come.
pub(crate) async fn follow(cx: &Context<'_>) {
    for list in &cx.hosted.settings.lists {
        let key = (cx.hosted.domain.to_string(), list.clone());
        if !cx.modules.following.is_due(&key, cx.now) {
            continue;
        }
        let row = cx
            .store()
            .block_list_follow(list.service.as_str(), &list.node);
        let row = match row.await {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(domain = %cx.hosted.domain, %error, "a block list cannot be followed");
                continue;
            }
        };
        let reading = Reading {
            began: cx.now,
            failed: true,
            wanted: false,
        };
        cx.modules.following.readings.insert(key, reading, 1);
        let subscribe = Element::new("subscribe", PUBSUB)
            .attr("node", list.node.as_str())
            .attr("jid", cx.hosted.domain.as_str());
        let question = Question {
            domain: cx.hosted.domain.to_string(),
            list: list.clone(),
            row,
            began: cx.now,
            step: Step::Subscribe,
        };
        let asked = Element::new("pubsub", PUBSUB).child(subscribe);
        ask(cx, question, "set", asked);
    }
}

fn ask(cx: &Context<'_>, question: Question, type_: &str, asked: Element) {
    let id = format!("list-{:016x}", rand::random::<u64>());
    let iq = Element::new("iq", ns::CLIENT)
        .attr("from", question.domain.as_str())
        .attr("to", question.list.service.as_str())
        .attr("type", type_)
        .attr("id", id.as_str())
        .child(asked);
    if let Ok(iq) = Stanza::from_element(&iq) {
        cx.modules.following.open.insert(id, question, 1);
        cx.send(iq);
    }
}

/// Asks for the page after this item; without one, for the first.
fn ask_page(cx: &Context<'_>, question: Question, after: Option<String>) {
    let items = Element::new("items", PUBSUB).attr("node", question.list.node.as_str());
    let after = after.map(|after| Element::new("after", rsm::NS).text(after));
    let set = Element::new("set", rsm::NS)
        .child(Element::new("max", rsm::NS).text(PAGE.to_string()))
        .child_opt(after);
    let asked = Element::new("pubsub", PUBSUB).child(items).child(set);
    ask(cx, question, "get", asked);
}

/// A service has answered, or nobody could ask it.
pub(super) async fn answered(cx: &Context<'_>, iq: &Stanza) {
    let Some(asked) = cx.modules.following.take(iq) else {
        return;
    };
    let Ok(tree) = iq.payload() else { return };
    let error = StanzaError::from_stanza(&tree).filter(|_| iq.type_() == StanzaType::Error);
    match (asked.step.clone(), error) {
        (Step::Subscribe, Some(error)) if is_unreachable(error.condition) => {
            failed(cx, &asked, &error).await;
        }
        (Step::Subscribe, error) => {
            let problem = error.map(|error| {
                let why = said(&error);
                format!("the service does not tell us of changes ({why}); the list is read again every few hours")
            });
            let step = Step::Page {
                read: 0,
                problem: problem.unwrap_or_default(),
            };
            ask_page(cx, Question { step, ..asked }, None);
        }
        (Step::Page { .. }, Some(error)) => failed(cx, &asked, &error).await,
        (Step::Page { read, problem }, None) => {
            if let Err(error) = page(cx, asked, &tree, read, problem).await {
                tracing::error!(domain = %cx.hosted.domain, %error, "a block list cannot be kept");
            }
        }
    }
}

fn is_unreachable(condition: Condition) -> bool {
    matches!(
        condition,
        Condition::RemoteServerNotFound | Condition::RemoteServerTimeout
    )
}

fn said(error: &StanzaError) -> String {
    let text = error.text.as_deref().unwrap_or_default();
    let mut said = match text {
        "" => error.condition.name().to_owned(),
        text => format!("{}: {text}", error.condition.name()),
    };
    let end = (0..=PROBLEM_BYTES.min(said.len()))
        .rev()
        .find(|at| said.is_char_boundary(*at));
    said.truncate(end.unwrap_or_default());
    said
}

/// What is known of the list stays.
async fn failed(cx: &Context<'_>, asked: &Question, error: &StanzaError) {
    let why = said(error);
    tracing::warn!(domain = %cx.hosted.domain, list = %asked.list.service, why, "a block list could not be read");
    if let Err(error) = cx.store().block_list_failed(asked.row, &why).await {
        tracing::error!(domain = %cx.hosted.domain, %error, "what is wrong with a block list cannot be kept");
    }
}

/// A page of the list: what is on it is kept, and the next one asked for, if there is one.
async fn page(
    cx: &Context<'_>,
    asked: Question,
    tree: &Element,
    read: u64,
    problem: String,
) -> Result<(), store::StoreError> {
    let pubsub = tree.find("pubsub", PUBSUB);
    let items = pubsub
        .and_then(|pubsub| pubsub.find("items", PUBSUB))
        .filter(|items| items.get_attr("node") == Some(asked.list.node.as_str()));
    let known = items.map(|items| entries(items, "item", PUBSUB));
    let known = known.unwrap_or_default();
    let count = items.map_or(0, |items| items.children().count() as u64);
    let room = cx.store().block_list_add(asked.row, &known, cx.now).await?;
    cx.modules.following.changed();
    let read = read + count;
    let set = pubsub.and_then(|pubsub| pubsub.find("set", rsm::NS));
    let text = |name| Some(set?.find(name, rsm::NS)?.text_content());
    let last = text("last").filter(|last| !last.is_empty());
    let all = text("count").and_then(|count| count.trim().parse::<u64>().ok());
    if let Some(last) = last
        && count > 0
        && room
        && read < BLOCK_LIST_ENTRIES
        && all.is_none_or(|all| read < all)
    {
        let step = Step::Page { read, problem };
        ask_page(cx, Question { step, ..asked }, Some(last));
        return Ok(());
    }
    let problem = match room && read <= BLOCK_LIST_ENTRIES {
        true => problem,
        false => format!("only the first {BLOCK_LIST_ENTRIES} entries are kept"),
    };
    let store = cx.store();
    let done = store.block_list_read(asked.row, asked.began, cx.now, &problem);
    done.await?;
    cx.modules.following.changed();
    cx.modules.following.ended(&asked, false);
    tracing::info!(domain = %cx.hosted.domain, list = %asked.list.service, entries = read, "a block list has been read");
    Ok(())
}

/// Whether a message to the domain may be news of a list that it follows.
pub(super) fn is_event(hosted: &Hosted, message: &Stanza) -> bool {
    let Some(from) = message.from() else {
        return false;
    };
    let mut lists = hosted.settings.lists.iter();
    lists.any(|list| list.service.as_str() == from.as_str()) && message.has_child("event", EVENT)
}

/// News of lists (XEP-0060 7.1.2.1, 7.2.2.1, 8.4.3, 8.5.3).
pub(super) async fn event(cx: &Context<'_>, message: &Stanza) {
    let (Some(from), Ok(tree)) = (message.from(), message.payload()) else {
        return;
    };
    let Some(event) = tree.find("event", EVENT) else {
        return;
    };
    for news in event.children() {
        let node = news.get_attr("node");
        let theirs = |list: &&FollowedList| {
            list.service.as_str() == from.as_str() && Some(list.node.as_str()) == node
        };
        let Some(list) = cx.hosted.settings.lists.iter().find(theirs) else {
            continue;
        };
        if let Err(error) = learn(cx, list, news).await {
            tracing::error!(domain = %cx.hosted.domain, %error, "news of a block list cannot be kept");
        }
        cx.modules.following.changed();
    }
}

async fn learn(
    cx: &Context<'_>,
    list: &FollowedList,
    news: &Element,
) -> Result<(), store::StoreError> {
    let store = cx.store();
    let row = store
        .block_list_follow(list.service.as_str(), &list.node)
        .await?;
    match news.name() {
        "items" => {
            for gone in entries(news, "retract", EVENT) {
                store.block_list_remove(row, &gone).await?;
            }
            let new = entries(news, "item", EVENT);
            store.block_list_add(row, &new, cx.now).await?;
        }
        "purge" => {
            // Whatever has come until this very moment.
            let since = Timestamp(cx.now.0 + 1);
            store.block_list_read(row, since, cx.now, "").await?;
        }
        "delete" => {
            let problem = "the service has taken the list down; what was known of it stays";
            store.block_list_failed(row, problem).await?;
        }
        _ => {}
    }
    Ok(())
}
