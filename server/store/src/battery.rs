//! The battery: one suite, run on SQLite and on a real PostgreSQL that it starts itself. None of it is skipped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::{Hash, ScramVerifier};
use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::roster::RosterChange;
use crate::*;

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

/// A PostgreSQL cluster in a temporary directory, one a test process, reached over a Unix socket.
struct Postgres {
    dir: PathBuf,
}

fn postgres() -> &'static Postgres {
    static ONE: OnceLock<Postgres> = OnceLock::new();
    ONE.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("domicile-pg").tempdir().expect("directory").keep();
        let script = r#"
            set -e
            bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)")
            [ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb)")
            as() { if [ "$(id -u)" = 0 ]; then chown -R postgres "$D"; setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }
            cd "$D"
            as "$bin/initdb" --no-sync -A trust -U domicile -D "$D/data" >"$D/initdb.log" 2>&1
            # The server ends with this process: no test leaves one behind.
            as "$bin/pg_ctl" -w -D "$D/data" -l "$D/server.log" -o "-k $D -c listen_addresses='' -c fsync=off -c max_connections=200" start >"$D/start.log" 2>&1
        "#;
        let out = Command::new("bash").arg("-c").arg(script).env("D", &dir).output().expect("bash");
        let log = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert!(
            out.status.success(),
            "PostgreSQL does not start; install it with tests/install\n{}\n{}{}{}",
            String::from_utf8_lossy(&out.stderr),
            log("initdb.log"),
            log("start.log"),
            log("server.log"),
        );
        watch_over(&dir);
        Postgres { dir }
    })
}

/// Stops the cluster when this process has ended, however it ended.
fn watch_over(dir: &std::path::Path) {
    let script = r#"
        while kill -0 "$P" 2>/dev/null; do sleep 1; done
        kill -INT "$(head -n 1 "$D/data/postmaster.pid")" 2>/dev/null
        sleep 2; rm -rf "$D"
    "#;
    let spawned = Command::new("setsid")
        .args(["bash", "-c", script])
        .env("P", std::process::id().to_string())
        .env("D", dir)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    drop(spawned.expect("setsid"));
}

async fn fresh_postgres() -> Store {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let cluster = postgres();
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = |db: &str| {
        format!(
            "postgres://domicile@localhost/{db}?host={}",
            cluster.dir.display()
        )
    };
    let admin = sqlx::PgPool::connect(&url("postgres"))
        .await
        .expect("PostgreSQL answers");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create)
        .execute(&admin)
        .await
        .expect("a database");
    Store::open(&url(&name), sealer()).await.expect("opens")
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
            $(#[test]
            fn $name() {
                let dir = tempfile::tempdir().expect("directory");
                super::runtime().block_on(async { super::$name(super::fresh_sqlite(dir.path()).await).await });
            })+
        }

        mod postgres {
            $(#[test]
            fn $name() {
                super::runtime().block_on(async { super::$name(super::fresh_postgres().await).await });
            })+
        }
    };
}

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

battery! {
    tenants_and_their_people(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("added");
        let mut row = store.tenant_get(tenant).await.expect("read").expect("there");
        row.state = "suspended".into();
        assert!(store.tenant_update(&row).await.expect("written"));
        assert_eq!(store.tenant_list(TenantId(0), 10).await.expect("read"), vec![row]);
        let o = store.operator_add("a@example.com", "hash", "owner", Some(tenant), NOW).await.expect("added");
        let twice = store.operator_add("a@example.com", "hash", "owner", None, NOW).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        let p = store.operator_add("root@example.com", "hash", "platform", None, NOW).await.expect("added");
        assert_eq!(store.operator_list(Some(tenant)).await.expect("read").len(), 1);
        assert_eq!(store.operator_list(None).await.expect("read")[0].id, p);
        assert_eq!(store.operator_find("a@example.com").await.expect("read").expect("there").id, o);

        let login = LoginRow {
            id: 0, operator: o, csrf: "c".into(), agent: "b".into(), address: "192.0.2.1".into(),
            created: NOW, expires: Timestamp(NOW.0 + 10),
        };
        let id = store.login_add(b"hash1", &login).await.expect("added");
        assert_eq!(store.login_find(b"hash1", NOW).await.expect("read").expect("good").id, id);
        assert!(store.login_find(b"hash1", Timestamp(NOW.0 + 10)).await.expect("read").is_none(), "expired");
        store.login_extend(id, Timestamp(NOW.0 + 100)).await.expect("extended");
        assert!(store.login_find(b"hash1", Timestamp(NOW.0 + 50)).await.expect("read").is_some());
        assert!(!store.login_remove(p, id).await.expect("asked"), "another person's login");
        assert!(store.operator_set_password(o, "hash2").await.expect("set"));
        assert!(store.login_find(b"hash1", NOW).await.expect("read").is_none(), "a new password ends logins");
        let t = store.token_add(o, b"tok", "ci", NOW, Timestamp(NOW.0 + 5)).await.expect("added");
        assert_eq!(store.token_find(b"tok", NOW).await.expect("read").expect("good").id, t);
        assert_eq!(store.token_list(o, NOW).await.expect("read").len(), 1);
        assert!(store.token_remove(o, t).await.expect("removed"));
        store.logins_sweep(Timestamp(NOW.0 + 1000)).await.expect("swept");
        assert!(store.operator_remove(o).await.expect("removed"));
        assert!(store.tenant_remove(tenant).await.expect("removed"));
        assert!(store.tenant_get(tenant).await.expect("read").is_none());
    }

    names_are_claimed_by_many_and_proved_by_one(store) {
        let (_, first, _) = house(&store, "example.com", "aaa").await;
        let other = store.tenant_add("Other", "active", "{}", NOW).await.expect("tenant");
        let mut claim = domain(other, "example.com", "bbb");
        claim.id = store.domain_add(&claim).await.expect("a claim beside the proof");
        let again = store.domain_add(&domain(other, "example.com", "ccc")).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
        let label = store.domain_add(&domain(other, "example.org", "aaa")).await;
        assert!(matches!(label, Err(StoreError::Conflict { .. })), "{label:?}");
        claim.verified_at = Some(NOW);
        let stolen = store.domain_update(&claim, NOW).await;
        assert!(matches!(stolen, Err(StoreError::Conflict { .. })), "{stolen:?}");
        let found = store.domain_find(&first.name).await.expect("read");
        assert_eq!(found.iter().map(|d| d.id).collect::<Vec<_>>(), [first.id, claim.id]);
        assert_eq!(store.domain_hosted(&first.name).await.expect("read").expect("hosted"), first);
        assert_eq!(store.domain_find_label("bbb").await.expect("read").expect("there").id, claim.id);
        assert_eq!(store.domain_list(Some(other), DomainId(0), 10).await.expect("read").len(), 1);
        assert_eq!(store.domain_list(None, DomainId(0), 10).await.expect("read").len(), 2);
        assert_eq!(store.domain_count(None).await.expect("read"), 2);
        assert_eq!(store.domain_count(Some(other)).await.expect("read"), 1);
        let mut lapsed = first.clone();
        lapsed.verified_at = None;
        assert!(store.domain_update(&lapsed, NOW).await.expect("written"));
        assert!(store.domain_update(&claim, NOW).await.expect("now free"));
        assert_eq!(store.domain_states().await.expect("read"), [("claimed".to_owned(), 2)]);
    }

    due_domains_are_leased_to_one(store) {
        let (_, row, _) = house(&store, "example.com", "aaa").await;
        let until = Timestamp(NOW.0 + 100);
        assert!(store.domain_claim_due(Timestamp(NOW.0 - 1), "a", until, 5).await.expect("asked").is_empty(), "not due");
        assert_eq!(store.domain_claim_due(NOW, "a", until, 5).await.expect("asked").len(), 1);
        assert!(store.domain_claim_due(NOW, "b", until, 5).await.expect("asked").is_empty(), "a has it");
        store.domain_lease_release(row.id, "b", None).await.expect("ignored");
        assert!(store.domain_claim_due(NOW, "b", until, 5).await.expect("asked").is_empty());
        assert_eq!(store.domain_claim_due(Timestamp(NOW.0 + 101), "b", Timestamp(NOW.0 + 200), 5).await.expect("asked").len(), 1, "a's lease ran out");
        store.domain_lease_release(row.id, "b", Some(Timestamp(NOW.0 + 500))).await.expect("released");
        assert!(store.domain_claim_due(Timestamp(NOW.0 + 400), "a", until, 5).await.expect("asked").is_empty());
        store.domain_check_at(row.id, Some(NOW)).await.expect("check now");
        assert_eq!(store.domain_claim_due(NOW, "a", until, 5).await.expect("asked").len(), 1);
        store.domain_looked(row.id, "{\"x\":1}", NOW).await.expect("stored");
        assert_eq!(store.domain_get(row.id).await.expect("read").expect("there").look.as_deref(), Some("{\"x\":1}"));
    }

    identities_are_sealed_and_swapped(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let identity = |n: u8| Identity { chain_pem: format!("chain {n}"), key_pem: Zeroizing::new(format!("key {n}")) };
        assert!(d.identity_current().await.expect("read").is_none());
        for n in 0..5 {
            d.certificate_add(&identity(n), Timestamp(NOW.0 + i64::from(n)), "acme", "current", NOW).await.expect("added");
        }
        let now = d.identity_current().await.expect("read").expect("there");
        assert_eq!((now.chain_pem.as_str(), now.key_pem.as_str()), ("chain 4", "key 4"));
        let all = d.certificate_list().await.expect("read");
        assert_eq!(all.iter().map(|c| c.state.as_str()).collect::<Vec<_>>(), ["current", "retired", "retired"]);
        assert_eq!(store.certificate_ends().await.expect("read"), [Timestamp(NOW.0 + 4)]);
        let order = OrderRow { url: "https://ca/1".into(), key_pem: Zeroizing::new("key".into()), csr: vec![1, 2] };
        d.order_set(&order).await.expect("set");
        d.order_set(&order).await.expect("again");
        assert_eq!(d.order_get().await.expect("read").expect("there").csr, [1, 2]);
        d.order_clear().await.expect("cleared");
        assert!(d.order_get().await.expect("read").is_none());
        store.acme_account_set("https://ca", b"cred").await.expect("set");
        assert_eq!(&**store.acme_account_get("https://ca").await.expect("read").expect("there"), b"cred");
        assert_eq!(store.keys_rotate().await.expect("nothing to do"), 0);
    }

    secrets_are_made_once(store) {
        assert!(store.setting_get("dialback").await.expect("read").is_none());
        assert_eq!(&**store.setting_get_or("dialback", b"one").await.expect("made"), b"one");
        assert_eq!(&**store.setting_get_or("dialback", b"two").await.expect("kept"), b"one");
        store.setting_set("dialback", b"three").await.expect("set");
        assert_eq!(&**store.setting_get("dialback").await.expect("read").expect("there"), b"three");
    }

    accounts_and_credentials(store) {
        let (tenant, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.account_add("juliet", &verifiers("one"), NOW).await.expect("added");
        let twice = d.account_add("juliet", &verifiers("x"), NOW).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        let got = d.credentials_for("juliet", Hash::Sha256).await.expect("read").expect("there");
        assert_eq!((got.iterations, got.stored_key.as_slice()), (10_000, b"one".as_slice()));
        assert!(d.credentials_for("romeo", Hash::Sha256).await.expect("read").is_none());
        assert!(d.account_set_credentials("juliet", &verifiers("two"), NOW).await.expect("set"));
        assert_eq!(d.credentials_for("juliet", Hash::Sha1).await.expect("read").expect("there").stored_key, b"two");
        assert!(d.account_set_state("juliet", "suspended", NOW).await.expect("set"));
        assert!(d.credentials_for("juliet", Hash::Sha1).await.expect("read").is_none(), "suspended");
        let many: Vec<(String, Vec<ScramVerifier>)> = (0..500).map(|n| (format!("u{n:03}"), verifiers("p"))).collect();
        assert!(d.account_import(&many, NOW).await.expect("imported").is_empty());
        assert_eq!(d.account_import(&many[..2], NOW).await.expect("imported"), ["u000", "u001"]);
        assert_eq!(d.account_count().await.expect("read"), 501);
        assert_eq!(store.tenant_account_count(tenant).await.expect("read"), 501);
        let page = d.account_list("u498", 10).await.expect("read");
        assert_eq!(page.iter().map(|a| a.local.as_str()).collect::<Vec<_>>(), ["u499"]);
        assert_eq!(d.account_find("juliet").await.expect("read").expect("there").id, id);
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        assert!(!d.account_remove("juliet", NOW).await.expect("gone already"));
    }

    im_08_rosters_tell_what_changed_since(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        assert_eq!(d.roster_list(a).await.expect("read"), (0, vec![]));
        let mut item = RosterItem::new(bare("romeo@example.net"));
        item.groups = vec!["Friends".into(), "Ünïcödé".into()];
        item.name = "Romeo".into();
        assert_eq!(d.roster_set(a, &item).await.expect("set"), Some(1));
        item.subscription = Subscription::Both;
        item.ask = true;
        assert_eq!(d.roster_set(a, &item).await.expect("set"), Some(2));
        assert_eq!(d.roster_set(a, &RosterItem::new(bare("nurse@example.com"))).await.expect("set"), Some(3));
        assert_eq!(d.roster_remove(a, &bare("romeo@example.net")).await.expect("removed"), Some(4));
        assert!(d.roster_get(a, &bare("romeo@example.net")).await.expect("read").is_none());
        assert_eq!(d.roster_count(a).await.expect("read"), 1);
        let changes = d.roster_since(a, 2).await.expect("read").expect("known");
        assert_eq!(changes.iter().map(|c| c.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(changes[1].1, RosterChange::Removed(bare("romeo@example.net")));
        assert_eq!(d.roster_since(a, 4).await.expect("read"), Some(vec![]));
        assert_eq!(d.roster_since(a, 5).await.expect("read"), None, "never had that version");
        assert_eq!(d.roster_set(a, &item).await.expect("back"), Some(5));
        assert_eq!(d.roster_get(a, &item.jid).await.expect("read"), Some(item));
        assert_eq!(d.roster_set(AccountId(999), &RosterItem::new(bare("x@y.example"))).await.expect("asked"), None);
    }

    im_14_requests_wait_one_a_sender(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let from = bare("romeo@example.net");
        d.request_set(a, &from, b"<presence 1/>", NOW).await.expect("set");
        d.request_set(a, &from, b"<presence 2/>", NOW).await.expect("set");
        assert_eq!(d.request_list(a).await.expect("read"), [(from.clone(), b"<presence 2/>".to_vec())]);
        assert!(d.request_waits(a, &from).await.expect("read"));
        assert!(d.request_remove(a, &from).await.expect("removed"));
        assert!(!d.request_remove(a, &from).await.expect("gone already"));
    }

    ext_22_offline_messages_in_order_and_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        for n in 0..5u8 {
            assert!(d.offline_add(a, &[n], Timestamp(i64::from(n)), 4).await.expect("asked") == (n < 4));
        }
        let waiting = d.offline_list(a, 0, 10).await.expect("read");
        assert_eq!(waiting.iter().map(|m| m.stanza[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
        d.offline_remove(a, waiting[1].id).await.expect("removed");
        assert_eq!(d.offline_count(a).await.expect("read"), 2);
        assert_eq!(d.offline_list(a, waiting[2].id, 10).await.expect("read").len(), 1);
        assert!(!d.offline_add(AccountId(999), b"x", NOW, 4).await.expect("asked"));
    }

    dos_10_a_handle_reaches_no_other_domain(store) {
        let (_, _, ours) = house(&store, "example.com", "aaa").await;
        let (_, _, theirs) = house(&store, "example.net", "bbb").await;
        let victim = theirs.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        theirs.roster_set(victim, &RosterItem::new(bare("a@b.example"))).await.expect("set");
        theirs.request_set(victim, &bare("a@b.example"), b"x", NOW).await.expect("set");
        theirs.offline_add(victim, b"x", NOW, 9).await.expect("kept");
        assert!(ours.account_find("juliet").await.expect("read").is_none());
        assert!(!ours.account_remove("juliet", NOW).await.expect("asked"));
        assert_eq!(ours.roster_list(victim).await.expect("read"), (0, vec![]));
        assert_eq!(ours.roster_set(victim, &RosterItem::new(bare("evil@b.example"))).await.expect("asked"), None);
        ours.request_set(victim, &bare("evil@b.example"), b"x", NOW).await.expect("asked");
        assert!(!ours.request_remove(victim, &bare("a@b.example")).await.expect("asked"));
        assert!(ours.request_list(victim).await.expect("read").is_empty());
        assert!(!ours.offline_add(victim, b"x", NOW, 9).await.expect("asked"));
        ours.offline_remove(victim, i64::MAX).await.expect("asked");
        assert!(ours.offline_list(victim, 0, 9).await.expect("read").is_empty());
        assert_eq!(theirs.roster_list(victim).await.expect("read").1.len(), 1);
        assert_eq!(theirs.request_list(victim).await.expect("read").len(), 1);
        assert_eq!(theirs.offline_count(victim).await.expect("read"), 1);
    }

    acme_15_a_removed_domain_leaves_no_row(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        d.roster_set(a, &RosterItem::new(bare("a@b.example"))).await.expect("set");
        d.request_set(a, &bare("a@b.example"), b"x", NOW).await.expect("set");
        d.offline_add(a, b"x", NOW, 9).await.expect("kept");
        d.certificate_add(&Identity { chain_pem: "c".into(), key_pem: Zeroizing::new("k".into()) }, NOW, "acme", "current", NOW).await.expect("added");
        d.order_set(&OrderRow { url: "u".into(), key_pem: Zeroizing::new("k".into()), csr: vec![] }).await.expect("set");
        d.findings_set(&[finding("srv-missing", NOW)]).await.expect("set");
        d.peer_set("b.example", "[]", NOW).await.expect("set");
        assert!(store.domain_departed(&row.name).await.expect("read").is_none());
        assert!(store.domain_remove(&row, true, NOW).await.expect("removed"));
        assert_eq!(store.domain_departed(&row.name).await.expect("read"), Some(NOW));
        for table in ["domains", "accounts", "credentials", "roster", "subscription_requests", "offline_messages",
                      "certificates", "acme_orders", "findings", "peers"] {
            let text = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let (n,): (i64,) = rd!(store, p => sqlx::query_as(text).fetch_one(p).await).expect("counted");
            assert_eq!(n, 0, "{table} still has rows");
        }
    }

    findings_keep_their_beginning(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        d.findings_set(&[finding("srv-missing", NOW)]).await.expect("set");
        let later = Timestamp(NOW.0 + 50);
        d.findings_set(&[finding("srv-missing", later), finding("acme-cname-missing", later)]).await.expect("set");
        let since: Vec<_> = d.finding_list().await.expect("read").into_iter().map(|f| (f.code, f.since)).collect();
        assert_eq!(since, [("acme-cname-missing".to_owned(), later), ("srv-missing".to_owned(), NOW)]);
        assert_eq!(store.finding_severities().await.expect("read"), [("critical".to_owned(), 2)]);
    }

    peers_are_remembered(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        d.peer_set("a.example", "[1]", NOW).await.expect("set");
        d.peer_set("b.example", "[2]", Timestamp(NOW.0 + 1)).await.expect("set");
        d.peer_set("a.example", "[1,3]", Timestamp(NOW.0 + 2)).await.expect("set");
        assert_eq!(d.peer_get("a.example").await.expect("read").expect("there").attempts, "[1,3]");
        let order: Vec<_> = d.peer_list(10).await.expect("read").into_iter().map(|p| p.peer).collect();
        assert_eq!(order, ["a.example", "b.example"]);
    }

    the_audit_log_is_the_tenants(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("tenant");
        let entry = |op: &str| AuditRow {
            id: 0, at: NOW, actor: "a@example.com".into(), role: "owner".into(), operation: op.into(),
            object: "example.com".into(), detail: String::new(),
        };
        store.audit_add(Some(tenant), &entry("domain add")).await.expect("added");
        store.audit_add(None, &entry("platform")).await.expect("added");
        store.audit_add(Some(tenant), &entry("domain remove")).await.expect("added");
        let ours = store.audit_list(Some(tenant), i64::MAX, 10).await.expect("read");
        assert_eq!(ours.iter().map(|a| a.operation.as_str()).collect::<Vec<_>>(), ["domain remove", "domain add"]);
        assert_eq!(store.audit_list(None, i64::MAX, 10).await.expect("read").len(), 3);
        assert_eq!(store.audit_list(Some(tenant), ours[0].id, 10).await.expect("read").len(), 1);
    }

    changes_are_heard_once_and_by_every_process(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let mut feed = store.change_feed().await.expect("feed");
        assert!(feed.poll().await.expect("read").is_empty(), "the past is no news");
        d.account_add("juliet", &[], NOW).await.expect("added");
        store.domain_update(&row, NOW).await.expect("written");
        let news = feed.poll().await.expect("read");
        assert_eq!(news, [Change::Account("juliet@example.com".into()), Change::Domain("example.com".into())]);
        assert!(feed.poll().await.expect("read").is_empty());
        feed.wait().await;
        store.changes_sweep(Timestamp(i64::MAX)).await.expect("swept");
        assert!(feed.poll().await.expect("read").is_empty());
    }

    writers_do_not_lose_each_others_work(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let tasks: Vec<_> = (0..40).map(|n| {
            let d = d.clone();
            tokio::spawn(async move {
                d.roster_set(a, &RosterItem::new(bare(&format!("c{n}@b.example")))).await.expect("set").expect("there");
                d.offline_add(a, b"x", NOW, 1000).await.expect("kept");
            })
        }).collect();
        for t in tasks {
            t.await.expect("done");
        }
        let (version, items) = d.roster_list(a).await.expect("read");
        assert_eq!((version, items.len()), (40, 40), "each change has its own version");
        assert_eq!(d.offline_count(a).await.expect("read"), 40);
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

#[test]
fn keys_are_rotated_and_a_wrong_key_says_so() {
    let dir = tempfile::tempdir().expect("directory");
    let url = format!("sqlite://{}/t.db", dir.path().display());
    runtime().block_on(async {
        let store = Store::open(&url, sealer()).await.expect("opens");
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let identity = Identity {
            chain_pem: "c".into(),
            key_pem: Zeroizing::new("k".into()),
        };
        d.certificate_add(&identity, NOW, "acme", "current", NOW)
            .await
            .expect("added");
        store.setting_set("s", b"v").await.expect("set");
        store.close().await;

        let new = || Sealer::from_bytes(&[9; seal::KEY_BYTES]).expect("key");
        let wrong = Store::open(&url, new()).await.expect("opens");
        let refused = wrong.domain(row.id, &row.name).identity_current().await;
        assert!(
            matches!(refused, Err(StoreError::Sealed { .. })),
            "{refused:?}"
        );
        let both = Store::open(&url, new().with_older(sealer()))
            .await
            .expect("opens");
        assert_eq!(both.keys_rotate().await.expect("rotated"), 2);
        assert_eq!(
            wrong
                .domain(row.id, &row.name)
                .identity_current()
                .await
                .expect("opens")
                .expect("there")
                .key_pem
                .as_str(),
            "k"
        );
    });
}

#[test]
fn a_full_database_says_so_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let Db::Lite { write, .. } = &store.0.db else {
            unreachable!("SQLite")
        };
        let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count")
            .fetch_one(write)
            .await
            .expect("pages");
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 4));
        sqlx::query(limit).execute(write).await.expect("limited");
        let mut kept = 0;
        let error = loop {
            match d.offline_add(a, &[0; 3000], NOW, 10_000).await {
                Ok(true) => kept += 1,
                Ok(false) => panic!("not the limit of the account"),
                Err(e) => break e,
            }
        };
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        assert_eq!(d.offline_count(a).await.expect("still readable"), kept);
        sqlx::query("PRAGMA max_page_count = 100000")
            .execute(write)
            .await
            .expect("room again");
        assert!(
            d.offline_add(a, &[0; 3000], NOW, 10_000)
                .await
                .expect("works again")
        );
    });
}

#[test]
fn urls_that_lead_nowhere_are_explained() {
    runtime().block_on(async {
        for (url, part) in [
            ("mysql://u:hunter2@h/d", "no engine for \"mysql:\""),
            ("sqlite:///nonexistent/dir/t.db", "unable to open"),
        ] {
            let error = Store::open(url, sealer())
                .await
                .expect_err("refused")
                .to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let gone = Store::open("postgres://u:hunter2@127.0.0.1:1/d", sealer())
            .await
            .expect_err("refused");
        assert!(matches!(gone, StoreError::Unavailable(_)), "{gone:?}");
        assert!(!gone.to_string().contains("hunter2"), "{gone}");
    });
}
