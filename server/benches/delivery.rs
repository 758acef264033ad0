//! What a chat message costs between the sender's TLS record and the recipient's: framing, validation, the stamped copy,
//! the look-up, the queue; and the queue being taken. Sockets and TLS are measured by the load test.

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domicile::metrics::Metrics;
use domicile::net::limits::Recipients;
use domicile::router::Router;
use domicile::session::outbox::Taken;
use domicile::session::{Outbox, Session, Sessions};
use domicile::tenancy::{Defaults, Tenancy};
use modules::{Modules, SessionUpdate};
use store::{DomainId, DomainRow, Sealer, Store};
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::{From, Stanza};
use xmpp::timestamp::Timestamp;

/// Sessions in the map.
const SESSIONS: usize = 1_000;
const OPEN: &[u8] = b"<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>";

struct House {
    router: Arc<Router>,
    sessions: Vec<Arc<Session>>,
    _directory: tempfile::TempDir,
}

async fn house() -> House {
    let directory = tempfile::tempdir().expect("a directory");
    let sealer = Sealer::from_bytes(&[7; 32]).expect("a key");
    let url = format!("sqlite://{}", directory.path().join("b.db").display());
    let store = Store::open(&url, sealer).await.expect("a store");
    let now = Timestamp(1);
    let tenant = store.tenant_add("bench", "active", "{}", now).await;
    let row = DomainRow {
        id: DomainId(0),
        tenant: tenant.expect("a tenant"),
        name: DomainName::parse("one.example").expect("a name"),
        label: "d1".into(),
        state: "live".into(),
        reason: String::new(),
        suspended_by: String::new(),
        mode: "acme".into(),
        token: String::new(),
        verified_at: Some(now),
        policy: "encrypted".into(),
        allow: Vec::new(),
        block: Vec::new(),
        settings: "{}".into(),
        look: None,
        checked_at: None,
        next_check_at: None,
        created: now,
        revision: 0,
    };
    store.domain_add(&row).await.expect("a domain");
    let tenancy = Tenancy::load(store, None, Defaults::default())
        .await
        .expect("the domains");
    let sessions = Sessions::new(10);
    let router = Router::new(
        tenancy,
        sessions,
        Modules::default(),
        Recipients::default(),
        Arc::new(Metrics::new()),
    );
    let mut bound = Vec::new();
    for i in 0..SESSIONS {
        let jid = Jid::parse(&format!("user{i}@one.example/r")).expect("an address");
        let outbox = Outbox::new(1 << 20);
        let session = router
            .bind(&jid.bare(), "r", outbox, domicile::net::now())
            .await
            .expect("a session");
        let presence = xmpp::element::Element::new("presence", xmpp::ns::CLIENT);
        let presence = Stanza::from_element(&presence).expect("presence");
        session.update(SessionUpdate::Available {
            presence: presence.with_from(&jid),
            priority: 0,
        });
        bound.push(session);
    }
    House {
        router,
        sessions: bound,
        _directory: directory,
    }
}

fn delivery(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let house = runtime.block_on(house());
    let body = "x".repeat(200);
    let mut group = c.benchmark_group("delivery");
    group.throughput(Throughput::Elements(1));
    for (name, resource) in [("message to full", "/r"), ("message to bare", "")] {
        let messages: Vec<String> = (0..SESSIONS)
            .map(|i| {
                format!("<message to='user{i}@one.example{resource}' type='chat' id='m{i}'><body>{body}</body></message>")
            })
            .collect();
        let mut framer = Framer::new(Limits::default());
        framer.push(OPEN);
        assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
        let sender = &house.sessions[0];
        let (mut items, mut taken) = (Vec::new(), Taken::default());
        let mut i = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                i = (i + 7) % SESSIONS;
                framer.push(messages[i].as_bytes());
                let Ok(Some(Frame::Element(raw))) = framer.next() else {
                    unreachable!("a whole message was pushed");
                };
                let stanza = Stanza::from_raw(&raw, From::Stamp(&sender.jid), None)
                    .expect("a valid message");
                assert!(house.router.from_client(sender, stanza).is_none());
                let mut cx = Context::from_waker(Waker::noop());
                let outbox = &house.sessions[i].outbox;
                let ready = outbox.poll_take(&mut cx, true, &mut items, &mut taken);
                assert!(ready.is_ready());
                black_box(&items);
                items.clear();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, delivery);
criterion_main!(benches);
