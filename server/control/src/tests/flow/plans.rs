//! Plans, what is used of them, and edits at the same time.

use super::*;
use crate::plan::PlanSet;
use crate::tenant::TenantSet;

fn plan(name: &str, usual: bool, limits: LimitsSet) -> PlanSet {
    PlanSet {
        name: Some(name.into()),
        usual: Some(usual),
        limits,
        ..PlanSet::default()
    }
}

fn accounts(accounts: u32) -> LimitsSet {
    LimitsSet {
        accounts: Some(accounts),
        ..LimitsSet::default()
    }
}

#[tokio::test]
async fn dos_10_a_plan_feeds_limits_and_what_a_customer_was_given_stands_before_it() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let tenant = actor.tenant().unwrap().0;
    let limit = async || {
        control
            .tenant_show(&actor, tenant)
            .await
            .unwrap()
            .limits
            .accounts
    };
    assert_eq!(limit().await, 5, "the configuration's");
    let usual = control
        .plan_add(&system(), plan("Garage", true, accounts(2)))
        .await
        .unwrap();
    assert_eq!(limit().await, 2, "the usual plan's");
    let large = control
        .plan_add(&system(), plan("Hall", false, accounts(9)))
        .await
        .unwrap();
    let give = |plan| TenantSet {
        plan: Some(plan),
        ..TenantSet::default()
    };
    let view = control
        .tenant_set_limits(&system(), tenant, give(large.id))
        .await
        .unwrap();
    assert_eq!((view.plan_name.as_str(), view.limits.accounts), ("Hall", 9));
    control
        .tenant_set_limits(&system(), tenant, accounts(7))
        .await
        .unwrap();
    assert_eq!(limit().await, 7, "its own");
    let view = control
        .tenant_set_limits(&system(), tenant, give(0))
        .await
        .unwrap();
    assert_eq!((view.plan, view.plan_name.as_str()), (None, "Garage"));
    assert_eq!(view.limits.accounts, 7, "its own stays beside another plan");
    control
        .tenant_set_limits(&system(), tenant, accounts(2))
        .await
        .unwrap();
    control
        .plan_set(&system(), usual.id, plan("Garage", true, accounts(3)))
        .await
        .unwrap();
    assert_eq!(
        limit().await,
        3,
        "set to what the plan says, it follows the plan"
    );

    let gone = control
        .tenant_set_limits(&system(), tenant, give(4711))
        .await
        .unwrap_err();
    assert_eq!(gone.field(), Some("plan"));
    let twice = control
        .plan_add(&system(), plan("Hall", false, accounts(1)))
        .await
        .unwrap_err();
    assert!(matches!(twice, ControlError::Exists { what: "plan", .. }));
    control
        .tenant_set_limits(&system(), tenant, give(large.id))
        .await
        .unwrap();
    let kept = control.plan_remove(&system(), large.id).await.unwrap_err();
    assert!(matches!(kept, ControlError::State { .. }), "{kept}");
    control.plan_remove(&system(), usual.id).await.unwrap();
}

#[tokio::test]
async fn dos_10_the_owner_is_warned_first_and_refused_later() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    control
        .plan_add(&system(), plan("Garage", true, accounts(5)))
        .await
        .unwrap();
    let add = async |local: &str| {
        let new = AccountNew {
            local: local.into(),
            password: Some(PASSWORD.into()),
        };
        control.account_add(&actor, "example.com", new).await
    };
    let level = async || {
        let views = control.usage(&actor, None, "", 0).await.unwrap().usage;
        assert_eq!(views.len(), 1);
        let quota = views[0].quotas.iter().find(|q| q.kind == "accounts");
        let quota = quota.unwrap().clone();
        (quota.level, quota.used, quota.note)
    };
    for local in ["a", "b", "c"] {
        add(local).await.unwrap();
    }
    assert_eq!(level().await, ("ok", Some(3), String::new()));
    add("d").await.unwrap();
    let (word, _, note) = level().await;
    assert_eq!(word, "soft");
    assert!(
        note.contains("4 of 5 accounts") && note.contains("larger plan"),
        "{note}"
    );
    add("e").await.unwrap();
    assert_eq!(level().await.0, "hard");
    let full = add("f").await.unwrap_err();
    assert_eq!(full.to_string(), "accounts: 5 of 5 are in use");
    assert!(full.remedy().contains("larger plan"), "{}", full.remedy());

    house.live("example.net", "you@example.org").await;
    let own = control.usage_csv(&actor, None, None).await.unwrap();
    assert_eq!(own.next, None);
    let own = own.text;
    assert!(own.starts_with("tenant,name,plan,at,kind,used,soft,hard,level\r\n"));
    assert!(own.contains(",accounts,5,4,5,hard\r\n"), "{own}");
    assert!(!own.contains("example.net"));
    let all = control.usage_csv(&system(), None, None).await.unwrap();
    assert_eq!(all.text.lines().count(), 1 + 2 * 9);
    // The next part begins where this one ended, without another line of headings, and the last one is empty.
    let rest = control.usage_csv(&system(), None, all.next).await.unwrap();
    assert_eq!((rest.text.as_str(), rest.next), ("", None));
    let everybody = control.usage(&system(), None, "", 0).await.unwrap();
    assert_eq!((everybody.total, everybody.next), (2, None));
    let name = everybody.usage[1].name.to_uppercase();
    let found = control.usage(&system(), None, &name, 0).await.unwrap();
    assert_eq!(
        (found.total, found.usage[0].tenant),
        (1, everybody.usage[1].tenant)
    );
}

#[tokio::test]
async fn what_somebody_else_has_changed_meanwhile_is_not_overwritten() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let tenant = actor.tenant().unwrap().0;
    let stale = |error: ControlError| {
        assert_eq!(
            (error.code(), error.http_status()),
            ("stale", 412),
            "{error}"
        );
    };
    let seen = control
        .domain_show(&actor, "example.com")
        .await
        .unwrap()
        .version;
    let block = |name: &str, version: &str| DomainSet {
        block: Some(vec![name.into()]),
        version: Some(version.into()),
        ..DomainSet::default()
    };
    let first = control
        .domain_set(&actor, "example.com", block("a.example", &seen))
        .await
        .unwrap();
    assert_ne!(first.version, seen);
    stale(
        control
            .domain_set(&actor, "example.com", block("b.example", &seen))
            .await
            .unwrap_err(),
    );
    let show = control.domain_show(&actor, "example.com").await.unwrap();
    assert_eq!(show.block, ["a.example"]);
    // What befalls the domain by itself is no change of its settings.
    house.later(HOUR).await;
    let show = control.domain_show(&actor, "example.com").await.unwrap();
    assert_eq!(show.version, first.version);

    let seen = control
        .tenant_show(&system(), tenant)
        .await
        .unwrap()
        .version;
    let set = |n| TenantSet {
        limits: accounts(n),
        version: Some(seen.clone()),
        ..TenantSet::default()
    };
    control
        .tenant_set_limits(&system(), tenant, set(6))
        .await
        .unwrap();
    stale(
        control
            .tenant_set_limits(&system(), tenant, set(7))
            .await
            .unwrap_err(),
    );
    let made = control
        .plan_add(&system(), plan("Garage", false, accounts(1)))
        .await
        .unwrap();
    let set = |n| PlanSet {
        version: Some(made.version.clone()),
        ..plan("Garage", false, accounts(n))
    };
    control.plan_set(&system(), made.id, set(2)).await.unwrap();
    stale(
        control
            .plan_set(&system(), made.id, set(3))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        control
            .plan_show(&system(), made.id)
            .await
            .unwrap()
            .limits
            .accounts,
        2
    );
}
