//! Looking into an archive (XEP-0313 4, 5), of an account or of a room: which messages, which page of them (XEP-0059), and how
//! they are handed over.

use store::{AccountId, ArchiveId, ArchiveQuery, Archived, RoomId, RoomMessage, StoreError};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use super::MAM;
use crate::context::{Context, Refusal, store_failed};
use crate::form::{Field, Form, Submitted};
use crate::module::{Answer, Ask};
use crate::rsm;

/// Messages of a page for which nothing is said.
const PAGE: u32 = 50;
/// Messages of a page at most.
const LARGEST: u32 = 250;
/// Bytes after which a page ends early: no more than a session's queue takes beside what else comes.
const PAGE_BYTES: usize = 256 << 10;
/// Messages read from the store at once.
const READ: u32 = 50;
/// Ids that may be asked for at once.
const IDS: usize = 100;
/// Names of the fields of a query.
const FIELDS: [&str; 7] = [
    "with",
    "start",
    "end",
    "before-id",
    "after-id",
    "ids",
    GROUPCHAT,
];
/// Whether what rooms say is meant too (4.1.5). It is in their archives alone, so there is nothing to leave out.
const GROUPCHAT: &str = "include-groupchat";
/// Messages that are counted; of more it is said that there are so many (XEP-0059 2.6).
const COUNTED: u32 = 100_000;

/// Whose archive is looked into.
#[derive(Debug)]
pub(crate) enum Whose<'a> {
    /// An account's, by itself.
    Account {
        /// Its address.
        jid: &'a BareJid,
        /// Its row.
        row: AccountId,
    },
    /// A room's.
    Room {
        /// Its address.
        jid: &'a Jid,
        /// Its row.
        row: RoomId,
        /// Who looks may know who everybody is …
        knows: bool,
        /// … or everybody may.
        open: bool,
    },
}

impl Whose<'_> {
    fn jid(&self) -> BareJid {
        match self {
            Self::Account { jid, .. } => (*jid).clone(),
            Self::Room { jid, .. } => jid.bare(),
        }
    }

    async fn get(&self, cx: &Context<'_>, id: ArchiveId) -> Result<Option<Archived>, StoreError> {
        match self {
            Self::Account { row, .. } => cx.store().archive_get(*row, id).await,
            Self::Room { row, .. } => {
                let message = cx.store().room_archive_get(*row, id).await?;
                Ok(message.map(|message| self.shown(message)))
            }
        }
    }

    async fn page(
        &self,
        cx: &Context<'_>,
        query: &ArchiveQuery<'_>,
    ) -> Result<Vec<Archived>, StoreError> {
        match self {
            Self::Account { row, .. } => cx.store().archive_page(*row, query).await,
            Self::Room { row, .. } => {
                let found = cx.store().room_archive_page(*row, query).await?;
                Ok(found.into_iter().map(|m| self.shown(m)).collect())
            }
        }
    }

    async fn count(&self, cx: &Context<'_>, query: &ArchiveQuery<'_>) -> Result<u64, StoreError> {
        match self {
            Self::Account { row, .. } => cx.store().archive_count(*row, query).await,
            Self::Room { row, .. } => cx.store().room_archive_count(*row, query).await,
        }
    }

    /// Waits until all is there that whoever asks can have seen: messages are delivered before they are committed.
    async fn settled(&self, cx: &Context<'_>) -> Result<(), Refusal> {
        let Self::Account { jid, row } = self else {
            // Rooms commit before they pass on.
            return Ok(());
        };
        cx.modules.archive.landed(*row).await.map_err(|_| {
            tracing::warn!(account = %jid, "messages are being archived for so long that an archive cannot be shown");
            Refusal::new(Condition::ResourceConstraint)
                .with_text("messages that came before this are still being stored; try again later")
        })
    }

    /// Nothing is shown from here on: it is not committed yet, or something before it is not.
    fn end(&self, cx: &Context<'_>) -> i64 {
        let under_way = match self {
            Self::Account { row, .. } => cx.modules.archive.first_under_way(*row),
            // There one thing is done after the other.
            Self::Room { .. } => None,
        };
        under_way.unwrap_or(i64::MAX)
    }

    /// By whom messages are looked for; `None`: nobody whom the asker may look for.
    fn with<'q>(&self, query: &'q Query) -> Option<Option<(&'q str, Option<&'q str>)>> {
        let Some(jid) = &query.with else {
            return Some(None);
        };
        match self {
            Self::Account { jid: own, .. } => {
                let own = jid.bare_str() == own.as_str();
                Some(Some((jid.bare_str(), jid.resource().filter(|_| !own))))
            }
            Self::Room { jid: room, .. } if jid.bare_str() == room.bare_str() => {
                Some(jid.resource().map(|nick| ("", Some(nick))))
            }
            Self::Room { knows: true, .. } => Some(Some((jid.bare_str(), None))),
            Self::Room { .. } => None,
        }
    }

    /// A room's message with who wrote it, for who may know (XEP-0313 6.1.2).
    fn shown(&self, message: RoomMessage) -> Archived {
        let RoomMessage {
            id,
            sender,
            open,
            stanza,
            ..
        } = message;
        let may = match self {
            Self::Room {
                knows, open: now, ..
            } => *knows || (*now && open),
            Self::Account { .. } => false,
        };
        let known = || {
            let item = Element::new("item", ROOM_USER).attr("jid", sender.as_str());
            let x = Element::new("x", ROOM_USER).child(item);
            Some(Stanza::from_bytes(&stanza).ok()?.with_child(&x))
        };
        let shown = (may && !sender.is_empty()).then(known).flatten();
        let stanza = shown.map_or_else(|| stanza.clone(), |shown| shown.bytes().to_vec());
        Archived { id, stanza }
    }
}

/// What a room says about its occupants (XEP-0045).
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";

/// A query as it was asked.
#[derive(Debug, Default)]
struct Query {
    queryid: Option<String>,
    with: Option<Jid>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// Everything that must be in the archive and comes before, or after, what is wanted.
    after: Vec<ArchiveId>,
    before: Vec<ArchiveId>,
    ids: Option<Vec<ArchiveId>>,
    last: bool,
    max: u32,
    flip: bool,
}

/// What was found.
#[derive(Default)]
struct Page {
    messages: Vec<Archived>,
    complete: bool,
    /// How many there are, where nothing else was asked (XEP-0059 2.7).
    count: Option<u64>,
}

/// The fields that a query may have.
pub(crate) fn form() -> Element {
    let open = Element::new("validate", "http://jabber.org/protocol/xdata-validate")
        .attr("datatype", "xs:string")
        .child(Element::new(
            "open",
            "http://jabber.org/protocol/xdata-validate",
        ));
    let form = FIELDS.iter().fold(Form::asking(MAM), |form, name| {
        form.field(match *name {
            "with" => Field::new(name, "jid-single"),
            "ids" => Field::new(name, "list-multi").validate(open.clone()),
            GROUPCHAT => Field::new(name, "boolean"),
            _ => Field::new(name, "text-single"),
        })
    });
    Element::new("query", MAM).child(form.into_element())
}

/// First and last message (6).
pub(crate) async fn metadata(cx: &Context<'_>, whose: &Whose<'_>) -> Result<Answer, Refusal> {
    let ends = ends(cx, whose).await?;
    Ok(Answer::Payload(as_metadata(ends)))
}

/// Ids of the first and the last message.
pub(super) async fn ends(
    cx: &Context<'_>,
    whose: &Whose<'_>,
) -> Result<Option<(ArchiveId, ArchiveId)>, Refusal> {
    let failed = |e| store_failed(&e, &whose.jid(), "reading an archive");
    whose.settled(cx).await?;
    let before = whose.end(cx);
    let one = |last| ArchiveQuery {
        last,
        before,
        limit: 1,
        ..ArchiveQuery::default()
    };
    let first = whose.page(cx, &one(false)).await.map_err(failed)?;
    let last = whose.page(cx, &one(true)).await.map_err(failed)?;
    Ok(first.first().zip(last.first()).map(|(f, l)| (f.id, l.id)))
}

/// `<metadata/>`
pub(super) fn as_metadata(ends: Option<(ArchiveId, ArchiveId)>) -> Element {
    let end = |name, id: ArchiveId| {
        Element::new(name, MAM)
            .attr("id", id.to_string())
            .attr("timestamp", Timestamp(id.at).to_xep0082())
    };
    let metadata = Element::new("metadata", MAM);
    match ends {
        Some((first, last)) => metadata.child(end("start", first)).child(end("end", last)),
        None => metadata,
    }
}

/// What was looked for and found.
pub(crate) struct Found {
    query: Query,
    page: Page,
}

impl Found {
    /// The messages as results, in the order in which they are handed over.
    pub(crate) fn results(&self, from: &Jid, to: &Jid) -> Vec<Stanza> {
        let write = |message: &Archived| result(from, to, self.query.queryid.as_deref(), message);
        let mut results: Vec<Stanza> = self.page.messages.iter().map(write).collect();
        if self.query.flip {
            results.reverse();
        }
        results
    }

    /// What is said at the end.
    pub(crate) fn fin(&self) -> Element {
        let mut set = Element::new("set", rsm::NS);
        if let Some((first, last)) = self.ends() {
            set.push(Element::new("first", rsm::NS).text(first.to_string()));
            set.push(Element::new("last", rsm::NS).text(last.to_string()));
        }
        if let Some(count) = self.page.count {
            set.push(Element::new("count", rsm::NS).text(count.to_string()));
        }
        let complete = self.page.complete.then_some("true");
        Element::new("fin", MAM)
            .attr_opt("complete", complete)
            .child(set)
    }

    fn ends(&self) -> Option<(ArchiveId, ArchiveId)> {
        let messages = &self.page.messages;
        let ends = messages.first().zip(messages.last());
        ends.map(|(first, last)| (first.id, last.id))
    }
}

/// Looks for what a query asks for.
///
/// # Errors
/// What is wrong with the query, or the store's failure.
pub(crate) async fn look(
    cx: &Context<'_>,
    whose: &Whose<'_>,
    query: &Element,
) -> Result<Found, Refusal> {
    let query = read(query)?;
    let failed = |e| store_failed(&e, &whose.jid(), "reading an archive");
    whose.settled(cx).await?;
    for id in query.after.iter().chain(&query.before) {
        if whose.get(cx, *id).await.map_err(failed)?.is_none() {
            return Err(Condition::ItemNotFound.into());
        }
    }
    let page = match &query.ids {
        Some(ids) => by_id(cx, whose, ids)
            .await
            .map_err(failed)?
            .ok_or(Condition::ItemNotFound)?,
        None if query.max == 0 => counted(cx, whose, &query).await.map_err(failed)?,
        None => find(cx, whose, &query).await.map_err(failed)?,
    };
    Ok(Found { query, page })
}

/// Hands the messages over, and says at the end what they were.
pub(super) async fn answer(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    session: &Jid,
    row: AccountId,
) -> Result<Answer, Refusal> {
    let iq = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
    let query = iq.find("query", MAM).ok_or(Condition::BadRequest)?;
    let jid = ask.account;
    let found = look(cx, &Whose::Account { jid, row }, query).await?;
    let account = Jid::from(ask.account.clone());
    for result in found.results(&account, session) {
        // A session whose queue is full is about to end.
        if !cx.switchboard.deliver(session, result) {
            break;
        }
    }
    if let (true, Some((_, last))) = (
        found.page.complete && found.query.is_everything(),
        found.ends(),
    ) {
        caught_up(cx, ask.account, session, row, last).await;
    }
    Ok(Answer::Payload(found.fin()))
}

/// A session that has not said yet that it is there has read the archive to its end: what waited for it, it has (EXT-22).
async fn caught_up(
    cx: &Context<'_>,
    account: &BareJid,
    session: &Jid,
    row: AccountId,
    last: ArchiveId,
) {
    let own = cx.switchboard.sessions(account);
    if own.iter().any(|s| s.jid == *session && !s.available())
        && let Err(error) = cx.store().offline_remove_archived(row, last.at).await
    {
        // They come once more, which is all.
        tracing::warn!(%account, %error, "messages that were read in the archive still wait");
    }
}

async fn by_id(
    cx: &Context<'_>,
    whose: &Whose<'_>,
    ids: &[ArchiveId],
) -> Result<Option<Page>, StoreError> {
    let mut messages = Vec::with_capacity(ids.len());
    let (mut bytes, mut complete) = (0, true);
    for id in ids {
        let Some(message) = whose.get(cx, *id).await? else {
            return Ok(None);
        };
        bytes += message.stanza.len();
        if bytes > PAGE_BYTES && !messages.is_empty() {
            complete = false;
        } else {
            messages.push(message);
        }
    }
    messages.sort_by_key(|message: &Archived| message.id);
    Ok(Some(Page {
        messages,
        complete,
        count: None,
    }))
}

/// Whose messages, after which moment and before which; `None`: nobody's whom the asker may look for.
fn bounds<'q>(cx: &Context<'_>, whose: &Whose<'_>, query: &'q Query) -> Option<ArchiveQuery<'q>> {
    let start = query.start.map(|start| start.0.saturating_sub(1));
    // Stamps are written to the millisecond.
    let end = query.end.map(|end| match end.0 % 1_000 {
        0 => end.0.saturating_add(1_000),
        _ => end.0.saturating_add(1),
    });
    let after = query
        .after
        .iter()
        .map(|id| id.at)
        .chain(start)
        .max()
        .unwrap_or(i64::MIN);
    let before = query.before.iter().map(|id| id.at).chain(end);
    let before = before.chain([whose.end(cx)]).min().unwrap_or(i64::MAX);
    Some(ArchiveQuery {
        with: whose.with(query)?,
        after,
        before,
        last: query.last,
        limit: COUNTED,
    })
}

async fn counted(cx: &Context<'_>, whose: &Whose<'_>, query: &Query) -> Result<Page, StoreError> {
    let count = match bounds(cx, whose, query) {
        Some(asked) => whose.count(cx, &asked).await?,
        None => 0,
    };
    Ok(Page {
        messages: Vec::new(),
        complete: count == 0,
        count: Some(count),
    })
}

async fn find(cx: &Context<'_>, whose: &Whose<'_>, query: &Query) -> Result<Page, StoreError> {
    let Some(ArchiveQuery {
        with,
        mut after,
        mut before,
        ..
    }) = bounds(cx, whose, query)
    else {
        return Ok(Page {
            complete: true,
            ..Page::default()
        });
    };
    let (mut messages, mut bytes) = (Vec::<Archived>::new(), 0);
    let mut complete = false;
    'pages: loop {
        let asked = ArchiveQuery {
            with,
            after,
            before,
            last: query.last,
            // One more than wanted says whether there is more.
            limit: (query.max + 1 - messages.len() as u32).min(READ),
        };
        let mut read = whose.page(cx, &asked).await?;
        let all = (read.len() as u32) < asked.limit;
        if query.last {
            read.reverse();
        }
        for message in read {
            let full = messages.len() as u32 >= query.max;
            bytes += message.stanza.len() + 400;
            if full || (bytes > PAGE_BYTES && !messages.is_empty()) {
                break 'pages;
            }
            match query.last {
                true => before = message.id.at,
                false => after = message.id.at,
            }
            messages.push(message);
        }
        if all {
            complete = true;
            break;
        }
    }
    if query.last {
        messages.reverse();
    }
    Ok(Page {
        messages,
        complete,
        count: None,
    })
}

/// A message as a result.
fn result(account: &Jid, session: &Jid, queryid: Option<&str>, message: &Archived) -> Stanza {
    let mut out = Vec::with_capacity(message.stanza.len() + 320);
    let mut tag = Element::new("result", MAM).attr_opt("queryid", queryid);
    tag.set_attr("id", message.id.to_string());
    tag.write(&mut out, ns::CLIENT);
    // `<result …/>` is opened again, to take the message as it is.
    out.truncate(out.len() - 2);
    out.extend_from_slice(
        b"><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='",
    );
    out.extend_from_slice(Timestamp(message.id.at).to_xep0082().as_bytes());
    out.extend_from_slice(b"'/>");
    Stanza::write_kept_message(&message.stanza, &mut out);
    out.extend_from_slice(b"</forwarded></result>");
    Stanza::message_written(StanzaType::Normal, account, session, None, &out)
}

impl Query {
    /// Nothing is left out but what is old.
    fn is_everything(&self) -> bool {
        self.with.is_none() && self.ids.is_none() && self.end.is_none() && self.before.is_empty()
    }
}

fn bad(text: &str) -> Refusal {
    Refusal::new(Condition::BadRequest).with_text(text)
}

fn read(query: &Element) -> Result<Query, Refusal> {
    if query.get_attr("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let mut asked = Query {
        queryid: query.get_attr("queryid").map(str::to_owned),
        max: PAGE,
        flip: query.find("flip-page", MAM).is_some(),
        ..Query::default()
    };
    if let Some(form) = Submitted::within(query) {
        fields(&form, &mut asked)?;
    } else if query.find("x", crate::form::DATA).is_some() {
        return Err(bad("a query's form is submitted"));
    }
    if let Some(page) = rsm::page(query)? {
        asked.max = page.max.map_or(asked.max, |max| max.min(LARGEST));
        let item = |id: Option<String>| id.as_deref().map(known).transpose();
        match page.from {
            rsm::From::After(after) => asked.after.extend(item(after)?),
            rsm::From::Before(before) => {
                asked.last = true;
                asked.before.extend(item(before)?);
            }
        }
    }
    Ok(asked)
}

fn fields(form: &Submitted, asked: &mut Query) -> Result<(), Refusal> {
    if form.is_cancelled() || form.form_type() != Some(MAM) {
        return Err(bad("a query's form is submitted, and of this namespace"));
    }
    if let Some(other) = form.names().find(|name| !FIELDS.contains(name)) {
        return Err(Refusal::new(Condition::FeatureNotImplemented)
            .with_text(format!("no such field: {other}")));
    }
    let text = |name| -> Result<Option<&str>, Refusal> {
        let value = form.text(name).map_err(|e| bad(&e.to_string()))?;
        // Some clients submit what they were shown and leave it empty.
        Ok(value.filter(|value| !value.is_empty()))
    };
    let time = |name| -> Result<Option<Timestamp>, Refusal> {
        let read =
            |value| Timestamp::parse_xep0082(value).ok_or(bad("times are written as in XEP-0082"));
        text(name)?.map(read).transpose()
    };
    if text(GROUPCHAT)?.is_some_and(|v| !matches!(v, "true" | "false" | "1" | "0")) {
        return Err(bad("whether rooms are meant is true or false"));
    }
    let with = text("with")?.map(Jid::parse).transpose();
    asked.with = with.map_err(|_| Refusal::from(Condition::JidMalformed))?;
    asked.start = time("start")?;
    asked.end = time("end")?;
    asked
        .after
        .extend(text("after-id")?.map(known).transpose()?);
    asked
        .before
        .extend(text("before-id")?.map(known).transpose()?);
    if form.names().any(|name| name == "ids") {
        let ids = form.values("ids");
        if ids.len() > IDS {
            return Err(Refusal::new(Condition::PolicyViolation).with_text(format!(
                "at most {IDS} ids at once; these are {}",
                ids.len()
            )));
        }
        let ids: Result<Vec<_>, _> = ids.iter().map(|id| known(id)).collect();
        asked.ids = Some(ids?);
    }
    Ok(())
}

/// What is not even spelt like an id of ours is not in the archive.
fn known(id: &str) -> Result<ArchiveId, Refusal> {
    ArchiveId::parse(id).ok_or_else(|| Condition::ItemNotFound.into())
}
