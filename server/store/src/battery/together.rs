//! Several at once: processes, tasks, whole domains that go.

use zeroize::Zeroizing;

use super::*;
use crate::series::{Activity, Whose};

battery! {
    acme_15_a_removed_domain_leaves_no_row(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        put(&d, a, NOW.0, &RosterItem::new(bare("a@b.example"))).await;
        ask(&d, a, &bare("a@b.example"), b"x", NOW).await;
        d.offline_add(a, NOW, b"x", 9).await.expect("kept");
        d.component_put("bridge", "secret", NOW).await.expect("kept");
        d.upload_slot(&uploads::slot("t", row.id, a, 1), 10, 10, 10).await.expect("made");
        let coven = d.room_add(&rooms::room("coven"), &[rooms::affiliation("juliet@example.com", "owner")]).await.expect("added");
        assert!(d.room_archive_add(coven, rooms::said(1, "a@b.example", "A")).await.expect("kept"));
        assert!(d.room_give_roles(coven, &[(bare("a@b.example"), Some("participant".into()))]).await.expect("kept"));
        assert!(d.session_keep(kept_session("one")).await.expect("kept"));
        d.outgoing_add(vec![new_outgoing("juliet", 1)]).await.expect("kept");
        d.token_grant(a, &grant("phone", "juliet@example.com"), 60, NOW).await.expect("granted");
        d.push_enable(a, &push("node")).await.expect("enabled");
        d.invite_add(b"x", &invites::invite(InviteKind::Account, None)).await.expect("asked").expect("added");
        d.client_certificate_add(a, &client_certificate("Phone", "f1")).await.expect("added");
        let message = NewArchived {
            id: ArchiveId { at: 1, salt: 1 }, peer: "a@b.example".into(), resource: String::new(), sent: true, message: 0,
            stanza: b"x"[..].into(),
        };
        d.archive_add(a, message.clone()).await.expect("kept");
        assert_eq!(d.archive_bytes(a).await.expect("read"), 1, "in the table");
        let published = NodeWrite {
            name: "n".into(), seen: Seen::Missing(Box::default()), retract: vec![], put: vec![("1".into(), b"<x/>".to_vec())],
            keep: 1, at: NOW, nodes: 1, bytes: 100,
        };
        d.pubsub_write(a, published).await.expect("published");
        let report = ReportRow {
            id: 0, at: NOW, account: "juliet@example.com".into(), jid: "a@b.example".into(), reason: "spam".into(),
            text: String::new(), ids: vec![],
        };
        d.report_add(&report).await.expect("kept");
        assert!(d.private_put(a, &[people::private("storage", "x", b"<storage/>")], 99).await.expect("kept"));
        assert!(d.vcard_set(a, b"<vCard/>").await.expect("kept"));
        let identity = Identity { chain_pem: "c".into(), key_pem: Zeroizing::new("k".into()) };
        d.certificate_add(&identity, NOW, "acme", "current", NOW).await.expect("added");
        d.order_set(&OrderRow { url: "u".into(), key_pem: Zeroizing::new("k".into()), csr: vec![], authority: String::new() }).await.expect("set");
        store.queue_put(&waiting(&row, 0, NOW)).await.expect("put");
        d.answer_put("example.com", "token", "token.key", NOW).await.expect("put");
        d.findings_set(&[finding("srv-missing", NOW)]).await.expect("set");
        d.peer_set("b.example", "[]", NOW).await.expect("set");
        store.series_add(NOW, &[(Whose::Domain(row.id), Activity::default())]).await.expect("added");
        d.told_set("{}").await.expect("set");
        d.external_secret_put(b"shared").await.expect("kept");
        assert!(d.own_export_put("juliet", b"x", NOW).await.expect("kept"));
        let list = d.block_list_follow("rtbl.example", "n").await.expect("followed");
        assert!(d.block_list_change(list, &[], &[[1; 32]], None).await.expect("kept").changed);

        // Every table there is, so that a new one has to be put either here or above.
        let not_of_a_domain = [
            "_sqlx_migrations", "sqlite_sequence", "tenants", "plans", "invitations", "second_factors",
            "recovery_codes", "half_logins", "passkeys", "passkey_challenges", "webhooks", "webhook_deliveries", "operators", "logins", "api_tokens", "audit", "settings", "changes",
            "domains_departed", "acme_accounts", "acme_spent", "acme_authorities",
            // Emptied by itself: see `sqlite_s_log_of_a_removed_domain_goes_too`.
            "archive_waiting",
            // One row for all: who remembers what archives take.
            "archive_sums",
            // What is left to do in the bucket once rows have gone: see `ext_30_an_object_is_known_until_it_has_gone`.
            "uploads_gone",
            "acme_revocations", "mails", "tenant_told", "idempotency_keys", "tenant_hours", "tenant_days", "platform_hours", "platform_days",
        ];
        let mut tables = tables(&store).await;
        tables.retain(|table| !not_of_a_domain.contains(&table.as_str()));
        for table in &tables {
            assert_ne!(count(&store, table).await, 0, "{table} is not filled by this test");
        }
        assert!(store.domain_departed(&row.name).await.expect("read").is_none());
        assert!(store.domain_remove(&row, true, NOW).await.expect("removed"));
        assert_eq!(store.domain_departed(&row.name).await.expect("read"), Some(NOW));
        for table in &tables {
            assert_eq!(count(&store, table).await, 0, "{table} still has rows");
        }
        house(&store, "example.com", "bbb").await;
        assert_eq!(store.domain_departed(&row.name).await.expect("read"), None, "it is back");
    }

    a_removed_tenant_leaves_no_row(store) {
        let (tenant, row, d) = house(&store, "example.com", "aaa").await;
        let (other, _, _) = house(&store, "example.net", "bbb").await;
        let o = store.operator_add("a@example.com", "hash", "owner", Some(tenant), NOW).await.expect("added");
        store.operator_add("b@example.com", "hash", "owner", Some(other), NOW).await.expect("added");
        let login = LoginRow {
            id: 0, operator: o, csrf: "c".into(), agent: "b".into(), address: String::new(), created: NOW, expires: NOW, viewing: None,
        };
        store.login_add(b"login", &login).await.expect("added");
        store.half_login_add(b"half", o, NOW).await.expect("added");
        let token = TokenRow {
            id: 0, operator: o, name: "ci".into(), domains: vec![], operations: vec![], created: NOW, expires: NOW, used: None,
        };
        store.token_add(b"token", &token).await.expect("added");
        assert!(store.factor_begin(o, b"secret").await.expect("begun"));
        assert!(store.factor_confirm(o, 1, &[b"code".to_vec()], NOW).await.expect("confirmed"));
        store.passkey_add(&hosting::passkey(o, b"key")).await.expect("added");
        store.passkey_challenge_add(b"asked", Some(o), NOW, Timestamp(NOW.0 + 1)).await.expect("added");
        let invitation = InvitationRow {
            id: 0, tenant, role: "admin".into(), note: String::new(), by: String::new(), created: NOW, expires: NOW,
        };
        store.invitation_add(b"invitation", &invitation).await.expect("added");
        let hook = store.webhook_add(&hosting::hook(tenant, "https://a.example/", &[])).await.expect("added");
        assert!(store.delivery_add(tenant, hook, &AuditRow::default()).await.expect("added"));
        assert!(store.mail_claim(tenant, NOW).await.expect("claimed"));
        assert!(store.tenant_told_swap(tenant, None, "{}").await.expect("kept"));
        let asked = store.request_begin(o, b"key", b"asked", 1, NOW).await.expect("begun");
        assert_eq!(asked, crate::Asked::First);
        store.series_add(NOW, &[(Whose::Tenant(tenant), Activity::default())]).await.expect("added");
        d.account_add("juliet", &[], NOW).await.expect("added");

        // What belongs to a tenant is found by its references, so that a new table cannot be forgotten; what belongs to a
        // domain has a test of its own.
        let references = references(&store).await;
        let belongs = |to: &str| {
            let mut found = std::collections::BTreeSet::from([to.to_owned()]);
            loop {
                let more: Vec<_> = references.iter().filter(|(from, to)| found.contains(to) && !found.contains(from)).collect();
                if more.is_empty() {
                    return found;
                }
                found.extend(more.into_iter().map(|(from, _)| from.clone()));
            }
        };
        let (of_tenants, of_domains) = (belongs("tenants"), belongs("domains"));
        let nobodys = [
            "_sqlx_migrations", "sqlite_sequence", "plans", "audit", "settings", "changes", "domains_departed", "acme_accounts",
            "acme_spent", "acme_authorities", "acme_revocations", "archive_waiting", "archive_sums", "platform_hours",
            "platform_days",
            // Keys of objects that are still to go, whoever's they were.
            "uploads_gone",
        ];
        for table in tables(&store).await {
            let known = of_tenants.contains(&table) != nobodys.contains(&table.as_str());
            assert!(known, "{table}: whose rows are these? Let it reference whoever they belong to");
        }
        let own: Vec<_> = of_tenants.iter().filter(|table| !of_domains.contains(*table)).collect();
        let before: Vec<_> = {
            let mut counts = Vec::new();
            for table in &own {
                counts.push(count(&store, table).await);
                assert_ne!(counts.last(), Some(&0), "{table} is not filled by this test");
            }
            counts
        };
        assert!(!store.tenant_remove(tenant).await.expect("refused"), "its domain is there, and nobody would be told");
        assert!(store.domain_get(row.id).await.expect("read").is_some());
        assert!(store.domain_remove(&row, true, NOW).await.expect("removed"));
        assert!(store.tenant_remove(tenant).await.expect("removed"));
        let picture = store.picture().await.expect("seen");
        assert!(picture.iter().any(|row| row.starts_with("tenants: ")), "the other's");
        for (table, before) in own.iter().zip(before) {
            let left = i64::from(matches!(table.as_str(), "tenants" | "operators"));
            assert_eq!(count(&store, table).await, left, "{table} had {before} rows; what is left is the other's");
        }
        assert!(store.domain_get(row.id).await.expect("read").is_none());
        assert_eq!((count(&store, "domains").await, count(&store, "accounts").await), (1, 0));
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
        // Whose wish a new password was makes a difference to the sessions that are open.
        d.account_set_credentials("juliet", &[], NOW).await.expect("set");
        d.account_reset_credentials("juliet", &[], NOW).await.expect("set");
        let mut tenant = store.tenant_get(row.tenant).await.expect("read").expect("there");
        tenant.limits = "{}".into();
        store.tenant_update(&tenant, NOW).await.expect("written");
        let news = feed.poll().await.expect("read");
        let juliet = || "juliet@example.com".to_owned();
        assert_eq!(news, [Change::Account(juliet()), Change::Password(juliet(), NOW), Change::Tenant(row.tenant)]);
        feed.wait().await;
        store.changes_sweep(Timestamp(i64::MAX)).await.expect("swept");
        assert!(feed.poll().await.expect("read").is_empty());
    }

    changes_are_heard_in_the_order_of_their_commits(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let mut feed = store.change_feed().await.expect("feed");
        let tasks: Vec<_> = (0..60).map(|n| {
            let d = d.clone();
            tokio::spawn(async move { d.account_add(&format!("u{n}"), &[], NOW).await.expect("added") })
        }).collect();
        // The reader runs beside the writers: a number that became visible late would be stepped over here.
        let mut heard = std::collections::BTreeSet::new();
        while heard.len() < 60 {
            feed.wait().await;
            for change in feed.poll().await.expect("read") {
                assert!(heard.insert(format!("{change:?}")), "heard twice: {change:?}");
            }
        }
        for task in tasks {
            task.await.expect("done");
        }
        assert!(feed.poll().await.expect("read").is_empty());
    }

    writers_do_not_lose_each_others_work(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let tasks: Vec<_> = (0..40).map(|n| {
            let d = d.clone();
            tokio::spawn(async move {
                let item = RosterItem::new(bare(&format!("c{n}@b.example")));
                loop {
                    let seen = d.roster_load(a).await.expect("read").version;
                    if put(&d, a, seen, &item).await != Applied::Stale {
                        break;
                    }
                }
                d.offline_add(a, NOW, b"x", 1000).await.expect("asked").expect("kept");
            })
        }).collect();
        for t in tasks {
            t.await.expect("done");
        }
        let roster = d.roster_load(a).await.expect("read");
        assert_eq!((roster.version, roster.items.len()), (NOW.0 + 40, 40), "each change has its own version");
        let versions: std::collections::BTreeSet<_> = roster.items.iter().map(|i| i.version).collect();
        assert_eq!(versions.len(), 40);
        assert_eq!(d.offline_count(a).await.expect("read"), 40);
    }

    a_write_that_nobody_waits_for_is_whole(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        for n in 0..20 {
            let add = d.offline_add(a, NOW, b"x", 1000);
            // Polled once or a few times, then dropped.
            let _ = tokio::time::timeout(std::time::Duration::from_micros(n * 20), add).await;
        }
        let id = d.offline_add(a, NOW, b"last", 1000).await.expect("works").expect("kept");
        let all = d.offline_list(a, 0, 100).await.expect("read");
        assert_eq!(all.last().expect("there").id, id);
    }
}

/// Which table refers to which.
async fn references(store: &Store) -> Vec<(String, String)> {
    let found: std::result::Result<Vec<(String, String)>, _> = match &store.0.db {
        Db::Pg(p) => {
            sqlx::query_as(
                "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f'",
            )
            .fetch_all(p)
            .await
        }
        Db::Lite { read, .. } => {
            sqlx::query_as(
                "SELECT m.name, f.\"table\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'",
            )
            .fetch_all(read)
            .await
        }
    };
    found.expect("references")
}

pub(super) async fn tables(store: &Store) -> Vec<String> {
    store.tables().await.expect("tables")
}

pub(super) async fn count(store: &Store, table: &str) -> i64 {
    let text = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    let (n,): (i64,) = rd!(store, p => sqlx::query_as(text).fetch_one(p).await).expect("counted");
    n
}

/// Several processes start at once on a database that is not there yet, as far as one process can play several.
async fn opened_by_many(url: &str) {
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let url = url.to_owned();
            tokio::spawn(async move { Store::open(&url, sealer()).await })
        })
        .collect();
    let mut stores = Vec::new();
    for task in tasks {
        stores.push(task.await.expect("done").expect("opens"));
    }
    house(&stores[0], "example.com", "aaa").await;
    for store in &stores {
        assert_eq!(store.domain_count(None).await.expect("read"), 1);
    }
    // A newer version has been here: its migration is not ours to judge, and we go on beside it.
    match &stores[0].0.db {
        Db::Pg(p) => {
            sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9000, 'newer', TRUE, 'x', 0)")
                .execute(p).await.map(|_| ())
        }
        Db::Lite { write, .. } => {
            sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9000, 'newer', TRUE, 'x', 0)")
                .execute(write).await.map(|_| ())
        }
    }
    .expect("written");
    Store::open(url, sealer())
        .await
        .expect("opens beside a newer version");
}

#[test]
fn several_processes_start_at_once_on_sqlite() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("t.db");
    runtime().block_on(opened_by_many(&format!("sqlite://{}", file.display())));
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["t.db", "t.db-wal", "t.db-shm"] {
        if let Ok(found) = std::fs::metadata(dir.path().join(name)) {
            assert_eq!(
                found.permissions().mode() & 0o777,
                0o600,
                "{name} is for its owner only"
            );
        }
    }
}

#[test]
fn several_processes_start_at_once_on_postgres() {
    runtime().block_on(async { opened_by_many(&empty_postgres().await).await });
}

#[test]
fn migrations_are_twins() {
    let list = |m: &Migrator| {
        m.iter()
            .map(|m| (m.version, m.description.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(&SQLITE_MIGRATIONS), list(&POSTGRES_MIGRATIONS));
}
