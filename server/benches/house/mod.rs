//! One domain and its sessions without sockets, for whoever measures what becomes of a stanza in the process.

use std::sync::Arc;

use domicile::metrics::Metrics;
use domicile::net::limits::Recipients;
use domicile::router::Router;
use domicile::session::{Outbox, Session, Sessions};
use domicile::tenancy::{Defaults, Tenancy};
use modules::{Modules, SessionUpdate};
use store::{DomainId, DomainRow, Sealer, Store};
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

/// A router with one domain and its sessions.
pub(crate) struct House {
    /// Where stanzas go.
    pub(crate) router: Arc<Router>,
    /// All available, each of an account of its own.
    pub(crate) sessions: Vec<Arc<Session>>,
    _directory: tempfile::TempDir,
}

/// Builds one, its domain without an archive: what is archived waits for a commit.
pub(crate) async fn house(sessions: usize) -> House {
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
        settings: r#"{"modules_off": ["archive"]}"#.into(),
        look: None,
        checked_at: None,
        next_check_at: None,
        created: now,
        revision: 0,
    };
    let id = store.domain_add(&row).await.expect("a domain");
    let accounts = store.domain(id, &row.name);
    for i in 0..sessions {
        let name = format!("user{i}");
        accounts.account_add(&name, &[], now).await.expect("a user");
    }
    let tenancy = Tenancy::load(store, None, Defaults::default())
        .await
        .expect("the domains");
    let registry = Sessions::new(10);
    let router = Router::new(
        tenancy,
        registry,
        Modules::default(),
        Recipients::default(),
        Arc::new(Metrics::new()),
    );
    let mut bound = Vec::new();
    for i in 0..sessions {
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
