//! The battery: one suite, run on SQLite and on a real PostgreSQL that it starts itself. None of it is skipped.

use crate::testing::{Postgres, empty_postgres};
use crate::*;
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::{Hash, ScramVerifier, TokenKey, TokenMechanism};
use xmpp::stream::{Grant, UserAgent};
use xmpp::timestamp::Timestamp;

mod archive;
mod faults;
mod hosting;
mod invites;
mod lead;
mod orders;
mod people;
mod portable;
mod pubsub;
mod record;
mod rooms;
mod series;
mod together;
mod uploads;

const NOW: Timestamp = Timestamp(1_000_000_000);

fn sealer() -> Sealer {
    Sealer::from_bytes(&[3; seal::KEY_BYTES]).expect("key")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

async fn fresh_postgres() -> Store {
    Store::open(&empty_postgres().await, sealer())
        .await
        .expect("opens")
}

async fn fresh_sqlite(dir: &std::path::Path) -> Store {
    Store::open(&format!("sqlite://{}/t.db", dir.display()), sealer())
        .await
        .expect("opens")
}

/// Defines a test that runs on both engines.
macro_rules! battery {
    ($($name:ident($store:ident) $body:block)+) => {
        $(async fn $name($store: Store) $body)+

        mod sqlite {
            use crate::battery::{fresh_sqlite, runtime};
            $(#[test]
            fn $name() {
                let dir = tempfile::tempdir().expect("directory");
                runtime().block_on(async { super::$name(fresh_sqlite(dir.path()).await).await });
            })+
        }

        mod postgres {
            use crate::battery::{fresh_postgres, runtime};
            $(#[test]
            fn $name() {
                runtime().block_on(async { super::$name(fresh_postgres().await).await });
            })+
        }
    };
}

pub(crate) use battery;

fn name(text: &str) -> DomainName {
    DomainName::parse(text).expect("domain")
}

fn bare(text: &str) -> BareJid {
    BareJid::parse(text).expect("JID")
}

fn domain(tenant: TenantId, text: &str, label: &str) -> DomainRow {
    DomainRow {
        id: DomainId(0),
        tenant,
        name: name(text),
        label: label.into(),
        state: "claimed".into(),
        reason: String::new(),
        suspended_by: String::new(),
        mode: "certificate".into(),
        token: "token".into(),
        verified_at: None,
        policy: "encrypted".into(),
        allow: vec![],
        block: vec!["bad.example".into()],
        settings: "{}".into(),
        look: None,
        checked_at: None,
        next_check_at: Some(NOW),
        created: NOW,
        revision: 0,
    }
}

fn verifiers(password: &str) -> Vec<ScramVerifier> {
    Hash::ALL
        .iter()
        .map(|h| ScramVerifier {
            hash: *h,
            salt: vec![1; 16],
            iterations: 10_000,
            stored_key: password.as_bytes().to_vec(),
            server_key: vec![2; 20],
        })
        .collect()
}

/// A tenant with one hosted domain and its handle.
async fn house(store: &Store, text: &str, label: &str) -> (TenantId, DomainRow, DomainStore) {
    let tenant = store
        .tenant_add("Acme", "active", "{}", NOW)
        .await
        .expect("tenant");
    let mut row = domain(tenant, text, label);
    row.verified_at = Some(NOW);
    row.id = store.domain_add(&row).await.expect("domain");
    let handle = store.domain(row.id, &row.name);
    (tenant, row, handle)
}

fn grant(agent: &str, account: &str) -> Grant {
    Grant {
        account: bare(account),
        agent: UserAgent {
            id: Some(agent.into()),
            software: "Test".into(),
            device: "Desk".into(),
        },
        used: None,
        invalidate: false,
        wanted: Some(TokenMechanism::EndPoint),
        key: TokenKey::of(&"x".repeat(65)),
    }
}

fn push(node: &str) -> PushRow {
    PushRow {
        service: "push.example.net".into(),
        node: node.into(),
        resource: "phone".into(),
        agent: None,
        options: Some(b"<x/>".to_vec()),
    }
}

fn client_certificate(name: &str, fingerprint: &str) -> ClientCertificateRow {
    ClientCertificateRow {
        name: name.into(),
        fingerprint: fingerprint.into(),
        certificate: vec![0x30, 0],
        manages: true,
        added: NOW,
        expires: Timestamp(NOW.0 + 1),
    }
}

fn kept_session(id: &str) -> KeptSession {
    KeptSession {
        id: id.into(),
        local: "juliet".into(),
        resource: "balcony".into(),
        presence: Some(b"<presence/>".to_vec()),
        flags: vec!["interested".into()],
        handled: u32::MAX,
        sent: 7,
        unacknowledged: 1,
        stanzas: vec![(NOW, b"<message/>".to_vec()), (Timestamp(-1), Vec::new())],
        proved: NOW,
        since: Timestamp(NOW.0 + 1),
        seconds: 60,
        ended: false,
    }
}

fn new_outgoing(local: &str, at: i64) -> NewOutgoing {
    NewOutgoing {
        local: local.into(),
        at: Timestamp(at),
        stanza: b"<message/>".to_vec(),
    }
}

fn finding(code: &str, since: Timestamp) -> FindingRow {
    FindingRow {
        code: code.into(),
        severity: "critical".into(),
        subject: "_xmpp-client._tcp".into(),
        expected: "e".into(),
        observed: "o".into(),
        asked: "ns1".into(),
        fix: "f".into(),
        since,
        next_check: None,
    }
}

fn waiting(row: &DomainRow, priority: u8, due: Timestamp) -> QueueRow {
    QueueRow {
        domain: row.id,
        tenant: row.tenant,
        priority,
        due,
        deadline: None,
        names: vec![row.name.to_string()],
        registered: row.name.to_string(),
        name_set: format!("set of {}", row.name),
        authority: "https://ca".into(),
        exempt: false,
        failures: 0,
        not_before: Timestamp(0),
        started: None,
        wait_until: None,
        why: String::new(),
    }
}

async fn put(d: &DomainStore, account: AccountId, seen: i64, item: &RosterItem) -> Applied {
    let edit = RosterEdit {
        item: ItemEdit::Put(item.clone()),
        request: RequestEdit::Keep,
    };
    d.roster_apply(account, seen, &edit).await.expect("asked")
}

async fn remove(d: &DomainStore, account: AccountId, seen: i64, jid: &str) -> Applied {
    let edit = RosterEdit {
        item: ItemEdit::Remove(bare(jid)),
        request: RequestEdit::Keep,
    };
    d.roster_apply(account, seen, &edit).await.expect("asked")
}

async fn ask(d: &DomainStore, account: AccountId, from: &BareJid, stanza: &[u8], at: Timestamp) {
    let seen = d.roster_load(account).await.expect("read").version;
    let (from, stanza) = (from.clone(), stanza.to_vec());
    let edit = RosterEdit {
        item: ItemEdit::Keep,
        request: RequestEdit::Put { from, stanza, at },
    };
    let applied = d.roster_apply(account, seen, &edit).await.expect("asked");
    assert!(matches!(applied, Applied::Done { .. }));
}
