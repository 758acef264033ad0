//! A change and what the audit log says of it are one: neither is there without the other, on both engines.

use super::together::tables;
use super::*;

/// From now on an entry of the audit log fails, in the middle of the transaction that wants it.
async fn break_the_log(store: &Store) {
    match &store.0.db {
        Db::Pg(p) => {
            let function = "CREATE OR REPLACE FUNCTION torn() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'torn'; END $$ LANGUAGE plpgsql";
            sqlx::query(function).execute(p).await.expect("made");
            sqlx::query(
                "CREATE TRIGGER torn BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION torn()",
            )
            .execute(p)
            .await
            .expect("made");
        }
        Db::Lite { write, .. } => {
            sqlx::query(
                "CREATE TRIGGER torn BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'torn'); END",
            )
            .execute(write)
            .await
            .expect("made");
        }
    }
}

async fn mend_the_log(store: &Store) {
    match &store.0.db {
        Db::Pg(p) => sqlx::query("DROP TRIGGER torn ON audit")
            .execute(p)
            .await
            .map(|_| ()),
        Db::Lite { write, .. } => sqlx::query("DROP TRIGGER torn")
            .execute(write)
            .await
            .map(|_| ()),
    }
    .expect("mended");
}

/// Every row of every table.
async fn everything(store: &Store) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for table in tables(store).await {
        let (rows,): (String,) = match &store.0.db {
            Db::Pg(p) => {
                let text = sqlx::AssertSqlSafe(format!(
                    "SELECT COALESCE(STRING_AGG(t::text, ';' ORDER BY t::text), '') FROM {table} t"
                ));
                sqlx::query_as(text).fetch_one(p).await.expect("rows")
            }
            Db::Lite { read, .. } => {
                let columns = sqlx::AssertSqlSafe(format!(
                    "SELECT GROUP_CONCAT('QUOTE(' || name || ')', ' || ') FROM pragma_table_info('{table}')"
                ));
                let (columns,): (String,) = sqlx::query_as(columns)
                    .fetch_one(read)
                    .await
                    .expect("columns");
                let text = sqlx::AssertSqlSafe(format!(
                    "SELECT COALESCE(GROUP_CONCAT(line, ';'), '') FROM (SELECT {columns} AS line FROM {table} ORDER BY 1)"
                ));
                sqlx::query_as(text).fetch_one(read).await.expect("rows")
            }
        };
        all.push((table, rows));
    }
    all
}

/// Does every recorded change there is, by number; `None`: there are no more. What each needs is there.
async fn change(store: &Store, number: usize, of: &Objects) -> Option<Result<bool>> {
    let d = store.domain(of.row.id, &of.row.name);
    let identity = || Identity {
        chain_pem: "chain".into(),
        key_pem: "key".to_owned().into(),
    };
    let mut edited = of.row.clone();
    edited.policy = format!("p{number}");
    let mut tenant = of.tenant.clone();
    tenant.reason = format!("r{number}");
    let claim = domain(TenantId(0), "signed.example", "signed");
    let new = TenantNew {
        name: "New",
        state: "active",
        limits: "{}",
        person: Some(("new@example.com", "hash", "owner")),
        domain: Some(&claim),
    };
    Some(match number {
        0 => store
            .operator_add("b@example.com", "hash", "admin", Some(of.tenant.id), NOW)
            .await
            .map(|_| true),
        1 => store.operator_set_password(of.person, "other").await,
        2 => store.login_remove(of.person, of.login).await,
        3 => store.token_remove(of.person, of.token).await,
        4 => store
            .token_add(b"t2", &token(of.person))
            .await
            .map(|_| true),
        5 => store.tenant_update(&tenant, NOW).await,
        6 => store.tenant_open(new, NOW).await.map(|_| true),
        7 => store
            .domain_add(&domain(of.tenant.id, "more.example", "more"))
            .await
            .map(|_| true),
        8 => store
            .domain_import(
                &[(domain(of.tenant.id, "moved.example", "moved"), None)],
                NOW,
            )
            .await
            .map(|added| added == [true]),
        9 => store.domain_update(&edited, NOW).await,
        10 => d
            .certificate_add(&identity(), NOW, "uploaded", "current", NOW)
            .await
            .map(|_| true),
        11 => d
            .account_add("romeo", &verifiers("p"), NOW)
            .await
            .map(|_| true),
        12 => d
            .account_import(&[("nurse".into(), verifiers("p"))], NOW)
            .await
            .map(|existing| existing.is_empty()),
        13 => {
            d.account_reset_credentials("juliet", &verifiers("q"), NOW)
                .await
        }
        14 => d.external_secret_put(b"shared").await.map(|()| true),
        15 => d.own_export_put("juliet", b"link", NOW).await,
        16 => d.account_set_state("juliet", "suspended", NOW).await,
        17 => d.account_remove("juliet", NOW).await,
        18 => store.domain_remove(&of.row, true, NOW).await,
        19 => store.operator_leave(of.tenant.id, of.person, "").await,
        20 => store.tenant_remove(of.empty).await,
        _ => return None,
    })
}

struct Objects {
    tenant: TenantRow,
    /// A customer without a domain.
    empty: TenantId,
    row: DomainRow,
    person: OperatorId,
    login: i64,
    token: i64,
}

async fn objects(store: &Store) -> Objects {
    let (tenant, row, d) = house(store, "example.com", "aaa").await;
    d.account_add("juliet", &verifiers("p"), NOW)
        .await
        .expect("added");
    let person = store
        .operator_add("a@example.com", "hash", "owner", Some(tenant), NOW)
        .await
        .expect("added");
    let login = LoginRow {
        id: 0,
        operator: person,
        csrf: "c".into(),
        agent: String::new(),
        address: String::new(),
        created: NOW,
        expires: Timestamp(NOW.0 + 10),
        viewing: None,
    };
    Objects {
        tenant: store
            .tenant_get(tenant)
            .await
            .expect("read")
            .expect("there"),
        empty: store
            .tenant_add("Empty", "active", "{}", NOW)
            .await
            .expect("added"),
        row,
        person,
        login: store.login_add(b"l", &login).await.expect("added"),
        token: store.token_add(b"t", &token(person)).await.expect("added"),
    }
}

fn token(operator: OperatorId) -> TokenRow {
    TokenRow {
        id: 0,
        operator,
        name: "ci".into(),
        domains: vec![],
        operations: vec![],
        created: NOW,
        expires: Timestamp(NOW.0 + 10),
        used: None,
    }
}

fn entry(number: usize) -> AuditRow {
    AuditRow {
        at: NOW,
        actor: "a@example.com".into(),
        role: "owner".into(),
        operation: format!("change.{number}"),
        domain: "example.com".into(),
        object: "example.com".into(),
        ..AuditRow::default()
    }
}

battery! {
    a_change_that_cannot_be_written_down_has_not_happened(store) {
        let of = objects(&store).await;
        break_the_log(&store).await;
        let before = everything(&store).await;
        for number in 0.. {
            let recorded = store.recorded(Some(of.tenant.id), entry(number), "test");
            let Some(done) = change(&recorded, number, &of).await else { break };
            assert!(done.is_err(), "{number}: {done:?}");
            assert_eq!(everything(&store).await, before, "{number} left something behind");
        }
        mend_the_log(&store).await;
        // What a handle without an entry changes is nobody's operation.
        assert!(change(&store, 9, &of).await.expect("there is one").expect("done"));
    }

    a_change_that_happened_is_written_down_once(store) {
        let mut of = objects(&store).await;
        for number in 0.. {
            let recorded = store.recorded(Some(of.tenant.id), entry(number), "test");
            // An account, login or person may have been taken away by a change before.
            if let Some(row) = store.tenant_get(of.tenant.id).await.expect("read") {
                of.tenant = row;
            }
            let Some(done) = change(&recorded, number, &of).await else { break };
            // A new password ends logins.
            let wanted = !matches!(number, 2);
            assert_eq!(done.expect("done"), wanted, "{number}");
            let filter = AuditFilter { operation: format!("change.{number}"), ..AuditFilter::default() };
            let found = store.audit_list(&filter, 10).await.expect("read");
            assert_eq!(found.len(), usize::from(wanted), "{number}");
        }
    }

    the_log_is_chosen_from_by_domain_noun_actor_and_time(store) {
        let (tenant, ..) = house(&store, "example.com", "aaa").await;
        for (n, (operation, domain, actor)) in [
            ("domain.add", "one.example", "a@example.com"),
            ("domainish.add", "one.example", "a@example.com"),
            ("account.add", "two.example", "b@example.com"),
            ("domain.set", "two.example", "a@example.com"),
        ].into_iter().enumerate() {
            let row = AuditRow {
                at: Timestamp(NOW.0 + n as i64), actor: actor.into(), operation: operation.into(), domain: domain.into(),
                ..entry(0)
            };
            store.recorded(Some(tenant), row, "test").audit_add().await.expect("added");
        }
        let all = AuditFilter { tenant: Some(tenant), ..AuditFilter::default() };
        for (filter, wanted) in [
            (all.clone(), &["domain.set", "account.add", "domainish.add", "domain.add"][..]),
            (AuditFilter { domain: "one.example".into(), ..all.clone() }, &["domainish.add", "domain.add"]),
            (AuditFilter { operation: "domain".into(), ..all.clone() }, &["domain.set", "domain.add"]),
            (AuditFilter { operation: "domain.add".into(), ..all.clone() }, &["domain.add"]),
            (AuditFilter { operation: "%".into(), ..all.clone() }, &[]),
            (AuditFilter { actor: "b@example.com".into(), ..all.clone() }, &["account.add"]),
            (AuditFilter { since: Some(Timestamp(NOW.0 + 1)), until: Some(Timestamp(NOW.0 + 3)), ..all.clone() }, &["account.add", "domainish.add"]),
            (AuditFilter { tenant: Some(TenantId(999)), ..all.clone() }, &[]),
        ] {
            let found = store.audit_list(&filter, 10).await.expect("read");
            let found: Vec<_> = found.iter().map(|row| row.operation.as_str()).collect();
            assert_eq!(found, wanted, "{filter:?}");
        }
    }
}
