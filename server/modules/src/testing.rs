//! A house in memory for the modules' tests: two hosted domains on a real store, a switchboard that records.
//!
//! The store is a SQLite file, or with `DOMICILE_TEST_ENGINE=postgres` in the environment a database of a real PostgreSQL.
//!
//! `one.example` has alice, bob and carol and the services `rooms.one.example` and `upload.one.example`, `two.example` has dave; everybody else is
//! remote. Stanzas are compared as text, in the order in which they came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use store::testing::Database;
use store::{
    AccountId, Applied, DomainId, DomainRow, DomainStore, ItemEdit, RequestEdit, RosterEdit,
    RosterItem, Sealer, Store, Subscription, TenantId,
};
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Kind, Stanza, StanzaType};
use xmpp::stream::StreamCondition;
use xmpp::timestamp::Timestamp;

use crate::administration::{NotDone, Work};
use crate::context::{Context, DomainSettings, Hosted, Refusal};
use crate::hooks;
use crate::memory::{Limits, Modules, lock};
use crate::offline::Mark;
use crate::passage::{Direction, Glance, Passage, Taken};
use crate::switchboard::{SessionUpdate, SessionView, Switchboard};

/// The house.
pub(crate) struct House {
    modules: Modules,
    hosted: Vec<Hosted>,
    pub(crate) database: Store,
    state: Mutex<State>,
    _place: Place,
}

/// Where the store is; gone with it.
enum Place {
    Directory(tempfile::TempDir),
    Postgres(Database),
}

impl Place {
    /// # Panics
    /// For an engine that there is none of.
    async fn new() -> Self {
        match std::env::var("DOMICILE_TEST_ENGINE").as_deref() {
            Err(_) | Ok("sqlite") => Self::Directory(tempfile::tempdir().expect("a directory")),
            Ok("postgres") => Self::Postgres(Database::new().await),
            Ok(other) => panic!("DOMICILE_TEST_ENGINE={other}: sqlite or postgres"),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Directory(dir) => format!("sqlite://{}", dir.path().join("store.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }
}

#[derive(Default)]
struct State {
    now: i64,
    sessions: Vec<(SessionView, VecDeque<Stanza>)>,
    sent: VecDeque<Stanza>,
    closed: Vec<Jid>,
    marks: Vec<(Jid, Mark)>,
    administered: Vec<(String, Work)>,
    /// Stanzas that a queue takes before it is full.
    room: Option<usize>,
    /// Whom accounts have written to by way of services, and how many they may.
    written_to: Vec<BareJid>,
    recipients: Option<usize>,
}

/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000_000;

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let place = Place::new().await;
        let sealer = Sealer::from_bytes(&[7; 32]).expect("a key");
        let database = Store::open(&place.url(), sealer).await.expect("a store");
        let now = Timestamp(START);
        let tenant = database
            .tenant_add("tenant", "active", "{}", now)
            .await
            .expect("a tenant");
        let mut hosted = Vec::new();
        for (name, accounts) in [
            ("one.example", &["alice", "bob", "carol"][..]),
            ("two.example", &["dave"]),
        ] {
            let domain = DomainName::parse(name).expect("a name");
            let id = database
                .domain_add(&domain_row(tenant, &domain, now))
                .await
                .expect("a domain");
            let store = database.domain(id, &domain);
            for account in accounts {
                store.account_add(account, &[], now).await.expect("added");
            }
            let settings = DomainSettings {
                services: vec!["rooms".into(), "upload".into()],
                ..DomainSettings::default()
            };
            hosted.push(Hosted::new(domain, store, settings, Arc::default()));
        }
        let rooms = DomainName::parse("rooms.one.example").expect("a name");
        hosted.push(hosted[0].as_service(rooms));
        let upload = DomainName::parse("upload.one.example").expect("a name");
        hosted.push(hosted[0].as_service(upload));
        let state = State {
            now: START,
            ..State::default()
        };
        Self {
            modules: Modules::new(limits).with_start(now),
            hosted,
            database,
            state: Mutex::new(state),
            _place: place,
        }
    }

    pub(crate) fn store(&self) -> &DomainStore {
        &self.hosted[0].store
    }

    pub(crate) fn settings(&mut self, change: impl FnOnce(&mut DomainSettings)) {
        let mut settings = self.hosted[0].settings.clone();
        change(&mut settings);
        // Its service has what it has.
        for at in [0, 2, 3] {
            let old = self.hosted[at].clone();
            self.hosted[at] = Hosted::new(old.domain, old.store, settings.clone(), old.quota);
        }
    }

    /// What the tenant may keep.
    pub(crate) fn quota(&self) -> &crate::Quota {
        &self.hosted[0].quota
    }

    pub(crate) fn modules(&self) -> &Modules {
        &self.modules
    }

    pub(crate) fn context(&self, domain: &str) -> Context<'_> {
        let hosted = self.hosted.iter().find(|h| h.domain.as_str() == domain);
        let now = Timestamp(lock(&self.state).now);
        self.modules
            .context(hosted.expect("a hosted domain"), self, now)
    }

    pub(crate) fn later(&self, seconds: i64) {
        lock(&self.state).now += seconds * 1_000_000;
    }

    /// Services outside of the process.
    pub(crate) fn external(&mut self, external: crate::External) {
        self.modules = Modules::new(Limits::default())
            .with_external(external)
            .with_start(Timestamp(START));
    }

    /// The session's client is not there any more; the session waits for it.
    pub(crate) fn away(&self, session: &Jid) {
        let mut state = lock(&self.state);
        let mut sessions = state.sessions.iter_mut();
        let found = sessions.find(|(view, _)| view.jid == *session);
        found.expect("bound").0.away = true;
    }

    /// The session's stream is ending: it takes nothing any more.
    pub(crate) fn ending(&self, session: &Jid) {
        let mut state = lock(&self.state);
        let mut sessions = state.sessions.iter_mut();
        let found = sessions.find(|(view, _)| view.jid == *session);
        found.expect("bound").0.ending = true;
    }

    /// The session's connection has ended, and its client has not said that it has got these messages.
    pub(crate) async fn leaves_behind(&self, session: &Jid, left: &[&str]) {
        let left: Vec<Stanza> = left.iter().map(|xml| stanza(xml)).collect();
        hooks::session_asleep(&self.context(session.domain()), session, &left).await;
    }

    /// Stanzas that every queue takes from now on before it is full.
    pub(crate) fn room(&self, room: usize) {
        lock(&self.state).room = Some(room);
    }

    /// A connected session.
    /// How many others accounts may write to by way of services.
    pub(crate) fn recipients(&self, most: usize) {
        lock(&self.state).recipients = Some(most);
    }

    pub(crate) fn bind(&self, jid: &str) -> Jid {
        let jid = Jid::parse(jid).expect("an address");
        let view = SessionView::new(jid.clone());
        lock(&self.state).sessions.push((view, VecDeque::new()));
        jid
    }

    /// An available and interested session; what it got until then is thrown away, and so is what left for other servers.
    pub(crate) async fn online(&self, jid: &str) -> Jid {
        let jid = self.bind(jid);
        self.session_update(&jid, SessionUpdate::Interested);
        self.presence(&jid, "<presence/>").await;
        self.clear();
        jid
    }

    /// What admins had done, and which.
    pub(crate) fn administered(&self) -> Vec<(String, Work)> {
        std::mem::take(&mut lock(&self.state).administered)
    }

    /// Forgets what was sent to whomever.
    pub(crate) fn clear(&self) {
        let mut state = lock(&self.state);
        state.sent.clear();
        state
            .sessions
            .iter_mut()
            .for_each(|(_, queue)| queue.clear());
    }

    /// Presence from a session.
    pub(crate) async fn presence(&self, session: &Jid, xml: &str) {
        let presence = stanza(xml).with_from(session);
        hooks::presence_outbound(&self.context(session.domain()), &presence).await;
    }

    /// Presence from elsewhere.
    pub(crate) async fn presence_in(&self, xml: &str) {
        let presence = stanza(xml);
        let domain = presence.to().expect("to").domain().to_owned();
        hooks::presence_inbound(&self.context(&domain), &presence).await;
    }

    /// An iq with id `q` from a session.
    pub(crate) async fn iq(&self, session: &Jid, type_: &str, to: Option<&str>, payload: &str) {
        let to_attr = to.map(|to| format!(" to='{to}'")).unwrap_or_default();
        let iq = stanza(&format!(
            "<iq type='{type_}' id='q'{to_attr}>{payload}</iq>"
        ));
        self.iq_by(&iq.with_from(session)).await;
    }

    /// The same from elsewhere.
    pub(crate) async fn iq_from(&self, from: &str, type_: &str, to: &str, payload: &str) {
        let iq = stanza(&format!(
            "<iq from='{from}' to='{to}' type='{type_}' id='q'>{payload}</iq>"
        ));
        self.iq_by(&iq).await;
    }

    /// An answer to a bare address of a hosted domain; false if nobody waits for it.
    pub(crate) async fn answered(&self, xml: &str) -> bool {
        let iq = stanza(xml);
        let expected = self.modules.expects(&iq);
        if expected {
            let domain = iq.to().expect("to").domain().to_owned();
            hooks::iq_answered(&self.context(&domain), &iq).await;
        }
        expected
    }

    async fn iq_by(&self, iq: &Stanza) {
        let to = iq.to().or(iq.from()).expect("an address");
        let cx = self.context(to.domain());
        if to.local().is_some() {
            hooks::iq_to_account(&cx, iq).await;
        } else {
            hooks::iq_to_server(&cx, iq).await;
        }
    }

    /// A stanza to the service of rooms.
    pub(crate) async fn at_service(&self, from: &str, to: &str, xml: &str) {
        let address = |text: &str| Jid::parse(text).expect("an address");
        let stanza = stanza(xml).with_from(&address(from)).with_to(&address(to));
        self.to_service(&stanza).await;
    }

    pub(crate) async fn to_service(&self, stanza: &Stanza) {
        let to = stanza.to().expect("an address").domain().to_owned();
        let cx = self.context(&to);
        let label = to.split('.').next().unwrap_or_default();
        let service = hooks::services().find(|service| service.label == label);
        hooks::to_service(&cx, service.expect("a service"), stanza).await;
    }

    /// A stanza to a service itself.
    pub(crate) async fn at(&self, service: &str, from: &str, xml: &str) {
        self.at_service(from, service, xml).await;
    }

    /// A message that passes the account of `session`, which sends it; as it goes on, empty if it was stopped.
    pub(crate) async fn sends(&self, session: &Jid, xml: &str) -> String {
        let message = stanza(xml).with_from(session);
        let cx = self.context(session.domain());
        let mut passage = passage(Direction::Sent, message);
        if !hooks::message_passing(&cx, &mut passage).await {
            return String::new();
        }
        hooks::message_passed(&cx, &mut passage, &Taken::Nobody).await;
        text(passage.message)
    }

    /// A message that passes the account that it is for; these sessions of it get it.
    pub(crate) async fn receives(&self, xml: &str, taken: Taken) -> String {
        match self.comes(xml).await {
            Some(passage) => self.passes(passage, taken).await,
            None => String::new(),
        }
    }

    /// The first half of it, after which the message is handed out; `None`: it was stopped.
    pub(crate) async fn comes(&self, xml: &str) -> Option<Passage> {
        let message = stanza(xml);
        let cx = self.context(message.to().expect("to").domain());
        let mut passage = passage(Direction::Received, message);
        let passes = hooks::message_passing(&cx, &mut passage).await;
        passes.then_some(passage)
    }

    /// The second.
    pub(crate) async fn passes(&self, mut passage: Passage, taken: Taken) -> String {
        let cx = self.context(passage.account.domain());
        hooks::message_passed(&cx, &mut passage, &taken).await;
        text(passage.message)
    }

    /// A message past the account that it is for, as the router hands it out, in short: to the session that is meant, else to the
    /// first that is available; what would reach nobody but sessions whose clients are not there is kept first.
    async fn message(&self, message: Stanza) {
        let to = message.to().expect("an addressee").clone();
        if to.is_bare() && message.type_() == StanzaType::Error {
            return;
        }
        let cx = self.context(to.domain());
        let mut passage = passage(Direction::Received, message);
        if !hooks::message_passing(&cx, &mut passage).await {
            return;
        }
        let sessions = self.sessions(&to.bare());
        let meant = sessions.iter().find(|session| session.jid == to);
        let taker = meant.or_else(|| sessions.iter().find(|session| session.available()));
        let absent = sessions.iter().all(|session| session.away);
        if let Some(taker) = taker.filter(|_| !absent || !hooks::keeps(cx.hosted, &passage.message))
        {
            self.deliver(&taker.jid, passage.message.clone());
            let taken = Taken::Session(taker.jid.clone());
            hooks::message_passed(&cx, &mut passage, &taken).await;
        } else if hooks::message_passed(&cx, &mut passage, &Taken::Nobody).await {
            hooks::message_undeliverable(&cx, &passage.message).await;
        }
    }

    /// A message for which the router found nobody.
    pub(crate) async fn undeliverable(&self, xml: &str) {
        let message = stanza(xml);
        let domain = message.to().expect("to").domain().to_owned();
        hooks::message_undeliverable(&self.context(&domain), &message).await;
    }

    /// The session ends without a word.
    pub(crate) async fn gone(&self, session: &Jid) {
        let (view, marks) = {
            let mut state = lock(&self.state);
            let at = state.sessions.iter().position(|(s, _)| s.jid == *session);
            let (view, _) = state.sessions.remove(at.expect("bound"));
            let marks = std::mem::take(&mut state.marks);
            let (lost, marks) = marks.into_iter().partition(|(of, _)| of == session);
            state.marks = marks;
            let lost: Vec<(Jid, Mark)> = lost;
            (view, lost)
        };
        let cx = self.context(session.domain());
        hooks::session_gone(&cx, &view).await;
        for (_, mark) in marks {
            hooks::session_unwritten(&cx, session, mark).await;
        }
    }

    /// The session's socket takes everything up to the oldest mark; false if there is none.
    pub(crate) async fn written(&self, session: &Jid) -> bool {
        let Some(mark) = self.take_mark(session) else {
            return false;
        };
        self.heard_written(session, mark).await;
        true
    }

    /// The same, before anybody has heard of it.
    pub(crate) fn take_mark(&self, session: &Jid) -> Option<Mark> {
        let mut state = lock(&self.state);
        let at = state.marks.iter().position(|(of, _)| of == session)?;
        Some(state.marks.remove(at).1)
    }

    /// The router says that everything up to the mark was written.
    pub(crate) async fn heard_written(&self, session: &Jid, mark: Mark) {
        hooks::session_written(&self.context(session.domain()), session, mark).await;
    }

    /// Puts a contact into the roster of an account of one.example.
    pub(crate) async fn item(&self, local: &str, jid: &str, subscription: &str) {
        let item = RosterItem {
            subscription: subscription_of(subscription),
            ..RosterItem::new(BareJid::parse(jid).expect("an address"))
        };
        self.write(local, item).await;
        self.forget(local);
    }

    /// Writes an item as another process would: this one's cache is not told.
    pub(crate) async fn write(&self, local: &str, item: RosterItem) {
        let account = self.account(local).await;
        let seen = self
            .store()
            .roster_load(account)
            .await
            .expect("read")
            .version;
        let edit = RosterEdit {
            item: ItemEdit::Put(item),
            request: RequestEdit::Keep,
        };
        let applied = self.store().roster_apply(account, seen, &edit).await;
        assert_ne!(applied.expect("written"), Applied::Stale);
    }

    pub(crate) async fn account(&self, local: &str) -> AccountId {
        let row = self.store().account_find(local).await.expect("readable");
        row.expect("an account").id
    }

    fn forget(&self, local: &str) {
        let account = BareJid::parse(&format!("{local}@one.example")).expect("an address");
        self.modules.forget_account(&account);
    }

    /// An item of an account of one.example as the store has it: `subscription[ ask][ approved][ request]`, `-` without.
    pub(crate) async fn state(&self, local: &str, contact: &str) -> String {
        let account = self.account(local).await;
        let jid = BareJid::parse(contact).expect("an address");
        let roster = self.store().roster_load(account).await.expect("read");
        let item = roster.items.into_iter().find(|i| i.jid == jid);
        let mut state = match item {
            None => String::from("-"),
            Some(item) => {
                let mut words = item.subscription.as_str().to_owned();
                if item.ask {
                    words += " ask";
                }
                if item.approved {
                    words += " approved";
                }
                words
            }
        };
        if roster.requests.contains(&jid) {
            state += " request";
        }
        state
    }

    /// The next stanza in a session's queue.
    pub(crate) fn take(&self, session: &Jid) -> String {
        let mut state = lock(&self.state);
        let (_, queue) = state
            .sessions
            .iter_mut()
            .find(|(s, _)| s.jid == *session)
            .expect("bound");
        queue.pop_front().map(text).unwrap_or_default()
    }

    /// Everything in a session's queue.
    pub(crate) fn all(&self, session: &Jid) -> Vec<String> {
        let mut got = Vec::new();
        loop {
            match self.take(session) {
                end if end.is_empty() => return got,
                stanza => got.push(stanza),
            }
        }
    }

    /// A session as the switchboard has it.
    pub(crate) fn session(&self, session: &Jid) -> SessionView {
        let all = self.sessions(&session.bare());
        all.into_iter().find(|s| s.jid == *session).expect("bound")
    }

    /// The next stanza in a session's queue is this; an empty text is none.
    pub(crate) fn got(&self, session: &Jid, xml: &str) {
        assert_eq!(self.take(session), xml, "to {session}");
    }

    /// The next stanza in a session's queue is an error.
    pub(crate) fn got_error(&self, session: &Jid, condition: &str) {
        is_error(&self.take(session), condition);
    }

    /// A roster push of version `version` of this item is next in a session's queue.
    pub(crate) fn got_push(&self, session: &Jid, item: &str) {
        let push = self.take(session);
        let (start, rest) = push
            .split_once("'><query xmlns='jabber:iq:roster' ver='")
            .unwrap_or_default();
        assert!(
            start.starts_with(&format!("<iq to='{session}' type='set' id='roster-")),
            "{item} to {session}, got {push}"
        );
        let (_, got) = rest.split_once("'>").unwrap_or_default();
        assert_eq!(got, format!("{item}</query></iq>"), "to {session}");
    }

    /// The next stanza to another server.
    pub(crate) fn take_sent(&self) -> String {
        let mut state = lock(&self.state);
        state.sent.pop_front().map(text).unwrap_or_default()
    }

    /// The next stanza to another server is this; an empty text is none.
    pub(crate) fn sent(&self, xml: &str) {
        assert_eq!(self.take_sent(), xml);
    }

    /// The next stanza to another server is an error from here.
    pub(crate) fn sent_error(&self, from: &str, condition: &str) {
        let error = self.take_sent();
        assert!(error.contains(&format!(" from='{from}'")), "{error}");
        is_error(&error, condition);
    }

    /// Sessions that were closed.
    pub(crate) fn closed(&self) -> Vec<Jid> {
        lock(&self.state).closed.clone()
    }
}

fn domain_row(tenant: TenantId, name: &DomainName, now: Timestamp) -> DomainRow {
    DomainRow {
        id: DomainId(0),
        tenant,
        name: name.clone(),
        label: name.as_str().replace('.', "-"),
        state: "live".into(),
        reason: String::new(),
        suspended_by: String::new(),
        mode: "certificate".into(),
        token: "token".into(),
        verified_at: Some(now),
        policy: "verified".into(),
        allow: Vec::new(),
        block: Vec::new(),
        settings: "{}".into(),
        look: None,
        checked_at: None,
        next_check_at: None,
        created: now,
        revision: 0,
    }
}

/// A stanza from its text.
pub(crate) fn stanza(xml: &str) -> Stanza {
    let element = Element::parse(xml, ns::CLIENT).expect("well-formed");
    Stanza::from_element(&element).expect("a stanza")
}

fn passage(direction: Direction, message: Stanza) -> Passage {
    let seen = Glance::of(direction, &message).map(|glance| glance.seen());
    Passage::new(seen.expect("addresses"), message).expect("addresses")
}

fn text(stanza: Stanza) -> String {
    String::from_utf8(stanza.bytes().to_vec()).expect("UTF-8")
}

fn is_error(text: &str, condition: &str) {
    assert!(text.contains(" type='error'"), "{condition}: {text}");
    assert!(
        text.contains(&format!("<{condition} ")),
        "{condition}: {text}"
    );
}

#[async_trait]
impl Switchboard for House {
    fn hosts(&self, domain: &str) -> bool {
        self.hosted.iter().any(|h| h.domain.as_str() == domain)
    }

    fn is_component(&self, name: &str) -> bool {
        let of = |(label, parent): (&str, &str)| {
            let parent = self.hosted.iter().find(|h| h.domain.as_str() == parent)?;
            let own = parent.settings.components.iter();
            own.into_iter().find(|own| *own == label)
        };
        !self.hosts(name) && name.split_once('.').and_then(of).is_some()
    }

    fn route(&self, stanza: Stanza) -> Option<crate::Later> {
        let to = stanza.to().expect("an addressee");
        assert!(!self.hosts(to.domain()), "ROUTE-08");
        lock(&self.state).sent.push_back(stanza);
        None
    }

    async fn local(&self, stanza: Stanza) {
        let to = stanza.to().expect("an addressee").clone();
        if to.domain() == "rooms.one.example" {
            self.to_service(&stanza).await;
        } else if stanza.kind() == Kind::Presence && to.local().is_some() {
            let cx = self.context(to.domain());
            hooks::presence_inbound(&cx, &stanza).await;
        } else if stanza.kind() == Kind::Message && to.local().is_some() {
            self.message(stanza).await;
        } else if to.resource().is_some() {
            self.deliver(&to, stanza);
        } else if stanza.kind() == Kind::Iq {
            match self.modules.expects(&stanza) {
                true => hooks::iq_answered(&self.context(to.domain()), &stanza).await,
                false => self.iq_by(&stanza).await,
            }
        }
    }

    async fn waits(&self, message: Stanza) {
        let domain = message.to().expect("an addressee").domain().to_owned();
        let session = message.to().expect("to");
        hooks::message_waits(&self.context(&domain), session, &message).await;
    }

    fn admit_recipient(&self, _: &BareJid, to: &BareJid) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        if state.written_to.contains(to) {
            return Ok(());
        }
        if state
            .recipients
            .is_some_and(|most| state.written_to.len() >= most)
        {
            return Err(Condition::PolicyViolation.into());
        }
        state.written_to.push(to.clone());
        Ok(())
    }

    fn deliver(&self, session: &Jid, stanza: Stanza) -> bool {
        let mut state = lock(&self.state);
        let room = state.room;
        let Some((_, queue)) = state.sessions.iter_mut().find(|(s, _)| s.jid == *session) else {
            return false;
        };
        if room.is_some_and(|room| queue.len() >= room) {
            return false;
        }
        queue.push_back(stanza);
        true
    }

    fn copies(&self, account: &str, copy: &mut dyn FnMut(&Jid, Option<i8>) -> Option<Stanza>) {
        let account = BareJid::parse(account).expect("an account");
        for session in self.sessions(&account).iter().filter(|s| s.carbons) {
            let priority = session.available().then_some(session.priority);
            if let Some(stanza) = copy(&session.jid, priority) {
                self.deliver(&session.jid, stanza);
            }
        }
    }

    fn sessions(&self, account: &BareJid) -> Vec<SessionView> {
        lock(&self.state)
            .sessions
            .iter()
            .filter(|(s, _)| s.jid.bare_str() == account.as_str())
            .map(|(s, _)| s.clone())
            .collect()
    }

    fn session_update(&self, session: &Jid, update: SessionUpdate) {
        let mut state = lock(&self.state);
        if let Some((view, _)) = state.sessions.iter_mut().find(|(s, _)| s.jid == *session) {
            view.update(update);
        }
    }

    async fn administer(
        &self,
        _: &DomainName,
        by: &BareJid,
        work: Work,
    ) -> Result<Vec<String>, NotDone> {
        let made: &[&str] = match work {
            Work::Invite | Work::InviteAccount { .. } => &[
                "xmpp:bob@one.example?roster;preauth=t",
                "https://x/t",
                "2026",
            ],
            Work::ExportOwn => &["https://x/t", "2026"],
            _ => &[],
        };
        lock(&self.state).administered.push((by.to_string(), work));
        Ok(made.iter().map(|line| (*line).to_owned()).collect())
    }

    fn deliver_marked(&self, session: &Jid, stanzas: Vec<Stanza>, mut mark: Mark) {
        let taken = stanzas
            .into_iter()
            .take_while(|stanza| self.deliver(session, stanza.clone()))
            .count();
        mark.shorten(taken);
        lock(&self.state).marks.push((session.clone(), mark));
    }

    fn close(&self, session: &Jid, _: StreamCondition) {
        lock(&self.state).closed.push(session.clone());
    }
}

/// By the word on the wire.
fn subscription_of(word: &str) -> Subscription {
    match word {
        "none" => Subscription::None,
        "to" => Subscription::To,
        "from" => Subscription::From,
        "both" => Subscription::Both,
        other => panic!("no subscription {other}"),
    }
}
