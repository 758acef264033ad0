//! A customer who does not answer, step by step and back.

use super::*;
use crate::audit::AuditQuery;
use crate::ladder::{LadderSet, Step};

fn set() -> LadderSet {
    LadderSet {
        reason: "the invoice is open".into(),
        read_only_days: Some(7),
        no_federation_days: Some(14),
        no_login_days: Some(21),
        erased_days: Some(60),
        version: None,
    }
}

/// The owner as the panel would see them now.
async fn owner_now(house: &House) -> Actor {
    let request = LoginRequest {
        login: "me@example.org".into(),
        password: PASSWORD.into(),
    };
    let login = house.control.login(request, &Origin::default()).await;
    login.unwrap().resumed.actor
}

#[tokio::test]
async fn each_step_comes_on_its_day_and_all_of_it_is_undone() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let step = async || {
        let view = control.tenant_show(&owner, tenant).await.unwrap();
        view.ladder.map(|ladder| ladder.step)
    };
    assert_eq!(step().await, None);
    let view = control.ladder_set(&system(), tenant, set()).await.unwrap();
    let ladder = view.ladder.unwrap();
    assert_eq!((ladder.step, ladder.steps.len()), (Step::Warned, 5));
    assert!(ladder.steps[0].reached && !ladder.steps[1].reached);
    let block = || DomainSet {
        block: Some(vec!["a.example".into()]),
        ..DomainSet::default()
    };
    let me = owner_now(&house).await;
    control
        .domain_set(&me, "example.com", block())
        .await
        .unwrap();

    house.later(7 * DAY).await;
    assert_eq!(step().await, Some(Step::ReadOnly));
    let me = owner_now(&house).await;
    let refused = control
        .domain_set(&me, "example.com", block())
        .await
        .unwrap_err();
    assert!(matches!(&refused, ControlError::State { state, .. } if state == "read-only"));
    control.domain_show(&me, "example.com").await.unwrap();
    let foreign = control.domain_set(&me, "example.net", block()).await;
    assert!(matches!(foreign, Err(ControlError::NotFound { .. })));
    // The operator is not concerned.
    control
        .domain_set(&system(), "example.com", block())
        .await
        .unwrap();

    house.later(14 * DAY).await;
    assert_eq!(
        step().await,
        Some(Step::NoLogin),
        "a step that was slept through"
    );
    control.ladder_end(&system(), tenant, None).await.unwrap();
    assert_eq!(step().await, None);
    let me = owner_now(&house).await;
    control
        .domain_set(&me, "example.com", block())
        .await
        .unwrap();
    let again = control
        .ladder_end(&system(), tenant, None)
        .await
        .unwrap_err();
    assert!(matches!(again, ControlError::State { .. }));
    let query = AuditQuery {
        operation: "ladder".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&owner, &query).await.unwrap();
    let said: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| (entry.operation.as_str(), entry.actor.as_str()))
        .collect();
    let worker = ("ladder.step", "worker");
    assert_eq!(
        said,
        [
            ("ladder.set", "test"),
            worker,
            worker,
            ("ladder.end", "test")
        ]
    );
}

#[tokio::test]
async fn the_last_step_erases() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let other = house.live("example.net", "you@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    control.ladder_set(&system(), tenant, set()).await.unwrap();
    house.later(61 * DAY).await;
    let gone = control.tenant_show(&system(), tenant).await.unwrap_err();
    assert!(matches!(gone, ControlError::NotFound { .. }));
    assert!(control.domain_show(&system(), "example.com").await.is_err());
    control.domain_show(&other, "example.net").await.unwrap();
    let query = AuditQuery {
        operation: "tenant.remove".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&system(), &query).await.unwrap();
    assert_eq!(entries[0].actor, "worker");
}

/// Everything of a customer is gone as when each domain had been removed by itself.
async fn all_is_gone(house: &House, tenant: i64, target: &str) {
    let control = &house.control;
    let gone = control.tenant_show(&system(), tenant).await.unwrap_err();
    assert!(matches!(gone, ControlError::NotFound { .. }));
    let names: Vec<String> = {
        let records = house.world.records.lock().unwrap();
        records.keys().map(|(name, _)| name.clone()).collect()
    };
    assert!(!names.iter().any(|name| name.ends_with(target)));
    assert!(!house.world.revoked.lock().unwrap().is_empty());
    let name = xmpp::jid::DomainName::parse("example.com").unwrap();
    let departed = control.store().domain_departed(&name).await.unwrap();
    assert!(departed.is_some(), "peers read host-gone");
    let query = AuditQuery {
        operation: "domain.remove".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&system(), &query).await.unwrap();
    assert!(entries.iter().any(|entry| entry.detail == "erased"));
}

#[tokio::test]
async fn a_customer_goes_when_the_platform_s_zone_has_let_go_of_every_domain() {
    for by_ladder in [false, true] {
        let house = House::open(false).await;
        let control = &house.control;
        let owner = house.live("example.com", "me@example.org").await;
        let tenant = owner.tenant().unwrap().0;
        let show = control.domain_show(&owner, "example.com").await.unwrap();
        if by_ladder {
            control.ladder_set(&system(), tenant, set()).await.unwrap();
            house.later(59 * DAY).await;
        }
        house.world.fault(|faults| faults.zone_unreachable = true);
        if by_ladder {
            house.later(2 * DAY).await;
        } else {
            let dangling = control.tenant_remove(&system(), tenant).await.unwrap();
            assert!(!dangling.is_empty());
        }
        assert_eq!(state(&house, "example.com").await, State::Releasing);
        let view = control.tenant_show(&system(), tenant).await.unwrap();
        assert_eq!(view.ladder.unwrap().step, Step::Erased);
        house.later(HOUR).await;
        control.tenant_show(&system(), tenant).await.unwrap();
        house.world.fault(|faults| faults.zone_unreachable = false);
        house.later(HOUR).await;
        house.later(HOUR).await;
        all_is_gone(&house, tenant, &show.target).await;
    }
}

#[tokio::test]
async fn an_erasure_that_was_broken_off_goes_on_unless_it_is_taken_back() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    control.ladder_set(&system(), tenant, set()).await.unwrap();
    // As a process leaves it that ended between the step and what follows from it.
    let mut row = control
        .store()
        .tenant_get(owner.tenant().unwrap())
        .await
        .unwrap()
        .unwrap();
    row.step = Step::Erased.as_str().into();
    let now = control.now();
    assert!(control.store().tenant_update(&row, now).await.unwrap());
    house.world.advance(61 * DAY);
    control.ladder_end(&system(), tenant, None).await.unwrap();
    house.turn().await;
    control.tenant_show(&system(), tenant).await.unwrap();

    control.ladder_set(&system(), tenant, set()).await.unwrap();
    let mut row = control
        .store()
        .tenant_get(owner.tenant().unwrap())
        .await
        .unwrap()
        .unwrap();
    row.step = Step::Erased.as_str().into();
    house.world.advance(61 * DAY);
    let now = control.now();
    assert!(control.store().tenant_update(&row, now).await.unwrap());
    house.later(HOUR).await;
    let gone = control.tenant_show(&system(), tenant).await.unwrap_err();
    assert!(matches!(gone, ControlError::NotFound { .. }));
}

/// What the team may not do by the panel, an admin of the domain may not do by an app (XEP-0133).
#[tokio::test]
async fn an_admin_of_the_domain_looks_when_the_team_may_only_look() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let domain = xmpp::jid::DomainName::parse("example.com").unwrap();
    let add = async |local: &str| {
        let admin = control.domain_admin(&domain, "admin@example.com").await;
        let new = AccountNew {
            local: local.into(),
            password: Some(PASSWORD.into()),
        };
        control
            .account_add(&admin.unwrap(), "example.com", new)
            .await
    };
    add("juliet").await.unwrap();
    control.ladder_set(&system(), tenant, set()).await.unwrap();
    add("nurse").await.unwrap();
    house.later(7 * DAY).await;
    let refused = add("romeo").await.unwrap_err();
    assert!(matches!(&refused, ControlError::State { state, .. } if state == "read-only"));
    let admin = control.domain_admin(&domain, "admin@example.com").await;
    let admin = admin.unwrap();
    let removed = control.account_remove(&admin, "example.com", "nurse").await;
    assert!(matches!(removed, Err(ControlError::State { .. })));
    let page = control.account_list(&admin, "example.com", None, 10).await;
    assert_eq!(page.unwrap().accounts.len(), 2);
    control.ladder_end(&system(), tenant, None).await.unwrap();
    add("romeo").await.unwrap();
}

#[tokio::test]
async fn dates_and_roles_that_were_changed_meanwhile_are_not_written_over() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let at = |version: &str| LadderSet {
        version: Some(version.into()),
        ..set()
    };
    let before = control.tenant_show(&owner, tenant).await.unwrap().version;
    let after = control.ladder_set(&system(), tenant, at(&before)).await;
    let after = after.unwrap().version;
    let stale = |done: crate::error::Result<crate::tenant::TenantView>| {
        matches!(done, Err(ControlError::Stale { .. }))
    };
    assert!(stale(
        control.ladder_set(&system(), tenant, at(&before)).await
    ));
    let end = async |version| control.ladder_end(&system(), tenant, Some(version)).await;
    assert!(stale(end(before.as_str()).await));
    end(after.as_str()).await.unwrap();

    house.operator(tenant, "support", "sam@example.org").await;
    let team = control.team_list(&system(), tenant).await.unwrap();
    let sam = team
        .iter()
        .find(|one| one.login == "sam@example.org")
        .unwrap()
        .id;
    let system = system();
    let give = async |role, was| {
        let given = control.team_set_role(&system, tenant, sam, role, Some(was));
        given.await
    };
    give("admin", "support").await.unwrap();
    let refused = give("auditor", "support").await.unwrap_err();
    assert!(matches!(refused, ControlError::Stale { .. }), "{refused}");
}
