//! What the budgets ask of the rooms: a presence broadcast per contact, and a roster of 20 fetched; without sockets and
//! queues, which are measured elsewhere.

use std::collections::HashMap;
use std::hint::black_box;

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use modules::hooks;
use modules::{DomainSettings, Hosted, Mark, Modules, SessionUpdate, SessionView, Switchboard};
use store::{
    DomainId, DomainRow, ItemEdit, RequestEdit, RosterEdit, RosterItem, Sealer, Store, Subscription,
};
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::stanza::Stanza;
use xmpp::stream::StreamCondition;
use xmpp::timestamp::Timestamp;

const CONTACTS: usize = 20;

/// One session per account; deliveries are taken and thrown away.
struct Sink {
    sessions: HashMap<BareJid, SessionView>,
}

#[async_trait]
impl Switchboard for Sink {
    fn hosts(&self, domain: &str) -> bool {
        domain == "one.example"
    }
    fn is_component(&self, _: &str) -> bool {
        false
    }
    fn route(&self, stanza: Stanza) -> Option<modules::Later> {
        black_box(stanza);
        None
    }
    async fn local(&self, stanza: Stanza) {
        black_box(stanza);
    }
    fn admit_recipient(&self, _: &BareJid, _: &BareJid) -> Result<(), modules::Refusal> {
        Ok(())
    }
    fn deliver(&self, _: &Jid, stanza: Stanza) -> bool {
        black_box(stanza.bytes());
        true
    }
    fn deliver_available(&self, account: &BareJid, stanza: &Stanza) {
        if self.sessions.contains_key(account) {
            black_box(stanza.bytes().clone());
        }
    }
    fn copies(&self, _: &str, _: &mut dyn FnMut(&Jid, Option<i8>) -> Option<Stanza>) {}

    fn sessions(&self, account: &BareJid) -> Vec<SessionView> {
        self.sessions.get(account).cloned().into_iter().collect()
    }
    async fn waits(&self, stanza: Stanza) {
        black_box(stanza);
    }
    fn session_update(&self, _: &Jid, _: SessionUpdate) {}
    fn deliver_marked(&self, _: &Jid, stanzas: Vec<Stanza>, mark: Mark) {
        black_box((stanzas, mark));
    }
    fn close(&self, _: &Jid, _: StreamCondition) {}
}

fn stanza(xml: &str) -> Stanza {
    let element = Element::parse(xml, ns::CLIENT).expect("well-formed");
    Stanza::from_element(&element).expect("a stanza")
}

fn available(jid: &Jid) -> SessionView {
    let mut view = SessionView::new(jid.clone());
    view.update(SessionUpdate::Available {
        presence: stanza("<presence/>").with_from(jid),
        priority: 0,
    });
    view
}

async fn house(dir: &std::path::Path) -> (Hosted, Sink, Jid) {
    let url = format!("sqlite://{}", dir.join("store.db").display());
    let sealer = Sealer::from_bytes(&[7; 32]).expect("a key");
    let database = Store::open(&url, sealer).await.expect("a store");
    let now = Timestamp(1);
    let tenant = database
        .tenant_add("tenant", "active", "{}", now)
        .await
        .expect("a tenant");
    let domain = DomainName::parse("one.example").expect("a name");
    let row = DomainRow {
        id: DomainId(0),
        tenant,
        name: domain.clone(),
        label: "one".into(),
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
    };
    let id = database.domain_add(&row).await.expect("a domain");
    let store = database.domain(id, &domain);
    let alice = store.account_add("alice", &[], now).await.expect("added");
    let session = Jid::parse("alice@one.example/phone").expect("an address");
    let mut sessions = HashMap::from([(session.bare(), available(&session))]);
    for n in 0..CONTACTS {
        let contact = Jid::parse(&format!("contact{n}@one.example/desk")).expect("an address");
        let seen = store.roster_load(alice).await.expect("read").version;
        let item = RosterItem {
            name: format!("Contact number {n}"),
            groups: vec!["Friends".into()],
            subscription: Subscription::Both,
            ..RosterItem::new(contact.bare())
        };
        let edit = RosterEdit {
            item: ItemEdit::Put(item),
            request: RequestEdit::Keep,
        };
        store.roster_apply(alice, seen, &edit).await.expect("done");
        sessions.insert(contact.bare(), available(&contact));
    }
    let hosted = Hosted::new(domain, store, DomainSettings::default(), Default::default());
    (hosted, Sink { sessions }, session)
}

fn rooms(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let (hosted, sink, session) = runtime.block_on(house(dir.path()));
    let modules = Modules::default();
    let presence = stanza(
        "<presence id='p1'><show>away</show><status>At lunch</status>\
         <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>\
         </presence>",
    )
    .with_from(&session);
    c.bench_function("presence broadcast to 20 contacts here", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let cx = modules.context(&hosted, &sink, Timestamp(2));
                hooks::presence_outbound(&cx, &presence).await;
            });
        });
    });
    let get = stanza("<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>");
    let get = get.with_from(&session);
    c.bench_function("roster of 20 fetched", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let cx = modules.context(&hosted, &sink, Timestamp(2));
                hooks::iq_to_account(&cx, &get).await;
            });
        });
    });
    let ping = stanza("<iq type='get' id='p1' to='one.example'><ping xmlns='urn:xmpp:ping'/></iq>");
    let ping = ping.with_from(&session);
    c.bench_function("ping answered", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let cx = modules.context(&hosted, &sink, Timestamp(2));
                hooks::iq_to_server(&cx, &ping).await;
            });
        });
    });
}

criterion_group!(benches, rooms);
criterion_main!(benches);
