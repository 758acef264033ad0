//! Following a list: the domain subscribes to its node (XEP-0060 6.1), reads it from the beginning to the end, page by page where
//! the service knows pages (XEP-0059), and from then on hears of every change ([`super::news`]).
//!
//! What it missed while it could not be told comes with the next reading: when the list's server has connected anew, and
//! again after hours, each list at a time of its own. When that is, the store says: what is known is not read again because this
//! process has started. What is known stays until it has been read anew, whatever becomes of the service; whom the domain
//! follows no more is told so. Refuses: the word of anybody but the service, lists without end, and more readings at once than
//! [`READINGS`].

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use dashmap::DashMap;
use store::{BLOCK_LIST_ENTRIES, DueBlockList, FollowedRow, Store, StoreError};
use xmpp::element::Element;
use xmpp::jid::BareJid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};
use xmpp::timestamp::Timestamp;

use super::news::Heard;
use super::{Found, PUBSUB, entries};
use crate::context::{Context, Hosted};
use crate::info::Hooks;
use crate::memory::{Aging, SHARDS, Sharded, lock};
use crate::rsm;

/// Between two readings of a list, in microseconds; each list's are up to an [`HOUR`] closer, so that they are not all at once.
const EVERY: i64 = 6 * HOUR;
const HOUR: i64 = 3_600_000_000;
/// From the beginning of one that comes to nothing to the next, and from when something was missed to when it is asked for.
pub(super) const AGAIN: i64 = 600_000_000;
/// Items of a page.
const PAGE: u64 = 1_000;
/// Readings under way in this process: what public services are asked at once.
const READINGS: usize = 200;
/// Lists that are noted as to be read before long.
const WANTED: usize = 10_000;
/// Answers about somebody that are remembered, and lists whose news are counted, in each of two generations.
const REMEMBERED: usize = 50_000;
const COUNTED: usize = 10_000;
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

impl FollowedList {
    pub(super) fn is(&self, row: &FollowedRow) -> bool {
        self.service.as_str() == row.service && self.node == row.node
    }
}

/// What was asked of a service.
#[derive(Clone, Debug)]
struct Question {
    domain: String,
    list: FollowedRow,
    /// Number of this reading.
    reading: i64,
    /// When it began.
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

/// What is remembered of lists; all of it is bounded and may be lost: then a list is read once more.
#[derive(Debug)]
pub(crate) struct Following {
    /// The one question of each reading under way, by its id.
    open: Mutex<HashMap<String, Question>>,
    /// Lists of domains that may have missed something.
    wanted: Mutex<HashSet<(String, FollowedList)>>,
    /// How often what is known to a domain has changed: an answer from before the last change is none any more.
    changes: DashMap<String, u64>,
    pub(super) found: Sharded<Aging<String, Found>>,
    pub(super) heard: Aging<(String, FollowedList), Heard>,
}

impl Default for Following {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            wanted: Mutex::default(),
            changes: DashMap::new(),
            found: Sharded::with(|| Aging::new(REMEMBERED / SHARDS)),
            heard: Aging::new(COUNTED),
        }
    }
}

impl Following {
    /// How many changes there have been of what this domain knows.
    pub(super) fn changes(&self, domain: &str) -> u64 {
        self.changes.get(domain).map_or(0, |changes| *changes)
    }

    pub(super) fn changed(&self, domain: &str) {
        *self.changes.entry(domain.to_owned()).or_default() += 1;
    }

    /// Whether this may be an answer: the id is one of ours, and it comes from whom we asked.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from), Some(to)) = (iq.id(), iq.from(), iq.to()) else {
            return false;
        };
        lock(&self.open)
            .get(id)
            .is_some_and(|asked| asked.list.service == from.as_str() && asked.domain == to.as_str())
    }

    fn take(&self, iq: &Stanza) -> Option<Question> {
        let id = iq.id().filter(|_| self.expects(iq))?;
        lock(&self.open).remove(id)
    }

    /// How many readings may begin now. Those that nobody has answered for too long are over.
    fn room(&self, now: Timestamp) -> usize {
        let mut open = lock(&self.open);
        open.retain(|_, asked| (0..AGAIN).contains(&(now.0 - asked.began.0)));
        READINGS.saturating_sub(open.len())
    }

    /// A server has connected to the domain: what it did not say meanwhile is to be read.
    pub(crate) fn connected(&self, hosted: &Hosted, remote: &str) {
        let theirs = |list: &&FollowedList| list.service.domain() == remote;
        for list in hosted.settings.lists.iter().filter(theirs) {
            let mut wanted = lock(&self.wanted);
            if wanted.len() < WANTED {
                wanted.insert((hosted.domain.to_string(), list.clone()));
            }
        }
    }

    /// Domains with lists that may have missed something, and these.
    fn take_wanted(&self) -> HashSet<(String, FollowedList)> {
        std::mem::take(&mut *lock(&self.wanted))
    }
}

/// What the domain follows: nothing, where the module is off.
fn followed<'a>(cx: &Context<'a>) -> &'a [FollowedList] {
    match cx.hosted.has(Hooks::SCREENING) {
        true => &cx.hosted.settings.lists,
        false => &[],
    }
}

/// The domain was changed, or this process has started: leaves what is not followed any more, and begins with what is new.
pub(crate) async fn follow(cx: &Context<'_>) -> Result<(), StoreError> {
    let followed = followed(cx);
    let known = cx.store().block_lists_followed().await?;
    for row in known
        .iter()
        .filter(|row| !followed.iter().any(|list| list.is(row)))
    {
        leave(cx, row).await?;
    }
    for list in followed
        .iter()
        .filter(|list| !known.iter().any(|row| list.is(row)))
    {
        let row = cx
            .store()
            .block_list_follow(list.service.as_str(), &list.node);
        row.await?;
    }
    if followed.is_empty() {
        return Ok(());
    }
    let room = cx.modules.following.room(cx.now).min(followed.len());
    let again = Timestamp(cx.now.0.saturating_add(AGAIN));
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    let claimed = cx.store().block_lists_claim(cx.now, again, limit);
    for due in claimed.await? {
        begin(cx, due).await?;
    }
    Ok(())
}

/// Notes in the store what may have been missed, and takes from it what is due, of any domain: no more than may begin now.
pub(crate) async fn claim(
    following: &Following,
    store: &Store,
    rows: impl Fn(&str) -> Option<store::DomainStore>,
    now: Timestamp,
) -> Result<Vec<DueBlockList>, StoreError> {
    let again = Timestamp(now.0.saturating_add(AGAIN));
    for (domain, list) in following.take_wanted() {
        if let Some(rows) = rows(&domain) {
            rows.block_list_soon(list.service.as_str(), &list.node, again)
                .await?;
        }
    }
    match u32::try_from(following.room(now)).unwrap_or(u32::MAX) {
        0 => Ok(Vec::new()),
        room => store.block_lists_claim(now, again, room).await,
    }
}

/// Begins to read a list whose time has come; one that the domain follows no more is left.
pub(crate) async fn begin(cx: &Context<'_>, due: DueBlockList) -> Result<(), StoreError> {
    let following = &cx.modules.following;
    if !followed(cx).iter().any(|list| list.is(&due.list)) {
        return leave(cx, &due.list).await;
    }
    // A reading that takes long is not begun twice.
    if lock(&following.open)
        .values()
        .any(|asked| asked.list.id == due.list.id)
    {
        return Ok(());
    }
    let subscribe = subscription(cx, "subscribe", &due.list);
    let question = Question {
        domain: cx.hosted.domain.to_string(),
        list: due.list,
        reading: due.reading,
        began: cx.now,
        step: Step::Subscribe,
    };
    ask(cx, question, "set", subscribe);
    Ok(())
}

/// Tells the service that the domain follows its list no more (XEP-0060 6.2), and forgets what is on it.
async fn leave(cx: &Context<'_>, list: &FollowedRow) -> Result<(), StoreError> {
    // Nothing hangs on the answer: a service that cannot be reached is told with the errors that its news get.
    let id = format!("left-{:016x}", rand::random::<u64>());
    let asked = subscription(cx, "unsubscribe", list);
    if let Some(iq) = request(cx.hosted.domain.as_str(), list, "set", &id, asked) {
        cx.send(iq);
    }
    cx.store().block_list_leave(list.id).await?;
    cx.modules.following.changed(cx.store().name());
    Ok(())
}

fn subscription(cx: &Context<'_>, what: &str, list: &FollowedRow) -> Element {
    let said = Element::new(what, PUBSUB)
        .attr("node", list.node.as_str())
        .attr("jid", cx.hosted.domain.as_str());
    Element::new("pubsub", PUBSUB).child(said)
}

fn request(
    domain: &str,
    list: &FollowedRow,
    type_: &str,
    id: &str,
    asked: Element,
) -> Option<Stanza> {
    let iq = Element::new("iq", ns::CLIENT)
        .attr("from", domain)
        .attr("to", list.service.as_str())
        .attr("type", type_)
        .attr("id", id)
        .child(asked);
    Stanza::from_element(&iq).ok()
}

fn ask(cx: &Context<'_>, question: Question, type_: &str, asked: Element) {
    let id = format!("list-{:016x}", rand::random::<u64>());
    if let Some(iq) = request(&question.domain, &question.list, type_, &id, asked) {
        lock(&cx.modules.following.open).insert(id, question);
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
    if let Err(error) = cx.store().block_list_failed(asked.list.id, &why).await {
        tracing::error!(domain = %cx.hosted.domain, %error, "what is wrong with a block list cannot be kept");
    }
}

/// How much sooner than others a list is read again, in microseconds.
fn spread(list: i64) -> i64 {
    // A step that has no common divisor with the hour goes round through all of it.
    list.wrapping_mul(1_618_033_989).rem_euclid(HOUR)
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
    let (store, reading) = (cx.store(), Some(asked.reading));
    let learnt = store.block_list_change(asked.list.id, &[], &known, reading);
    let learnt = learnt.await?;
    if learnt.changed {
        cx.modules.following.changed(store.name());
    }
    let (room, read) = (learnt.room, read + count);
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
    let due = Timestamp(cx.now.0.saturating_add(EVERY - spread(asked.list.id)));
    let gone = store.block_list_read(asked.list.id, asked.reading, cx.now, due, &problem);
    if gone.await? {
        cx.modules.following.changed(store.name());
    }
    tracing::info!(domain = %cx.hosted.domain, list = %asked.list.service, entries = read, "a block list has been read");
    Ok(())
}
