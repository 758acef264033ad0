//! Tenants and what hosts their domains: claims, leases, identities, secrets, findings, peers, the audit log.

use zeroize::Zeroizing;

use super::together::count;
use super::*;

pub(super) fn hook(tenant: TenantId, url: &str, events: &[&str]) -> WebhookRow {
    WebhookRow {
        id: 0,
        tenant,
        url: url.into(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        secret: Zeroizing::new(b"secret".to_vec()),
        created: NOW,
    }
}

pub(super) fn passkey(operator: OperatorId, credential: &[u8]) -> PasskeyRow {
    PasskeyRow {
        id: 0,
        operator,
        credential: credential.to_vec(),
        public_key: b"spki".to_vec(),
        algorithm: -7,
        counter: 0,
        name: "phone".into(),
        created: NOW,
        used: None,
    }
}

battery! {
    passkeys_and_what_they_are_asked(store) {
        let o = store.operator_add("a@example.com", "hash", "platform", None, NOW).await.expect("added");
        let p = store.operator_add("b@example.com", "hash", "platform", None, NOW).await.expect("added");
        let id = store.passkey_add(&passkey(o, b"one")).await.expect("added");
        let twice = store.passkey_add(&passkey(p, b"one")).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        let known = PasskeyRow { id, ..passkey(o, b"one") };
        assert_eq!(store.passkey_list(o).await.expect("read"), std::slice::from_ref(&known));
        assert!(store.passkey_list(p).await.expect("read").is_empty());
        assert_eq!(store.passkey_find(b"one").await.expect("read"), Some(known.clone()));
        assert_eq!(store.factor_list(None).await.expect("read"), [o], "it is a second factor");
        let later = Timestamp(NOW.0 + 1);
        assert!(store.passkey_used(id, 0, 7, later).await.expect("noted"));
        assert!(!store.passkey_used(id, 0, 7, later).await.expect("asked"), "used meanwhile");
        let used = PasskeyRow { counter: 7, used: Some(later), ..known };
        assert_eq!(store.passkey_find(b"one").await.expect("read"), Some(used));
        assert!(!store.passkey_remove(p, id).await.expect("asked"), "somebody else's");
        assert!(store.passkey_remove(o, id).await.expect("removed"));
        store.passkey_add(&passkey(o, b"two")).await.expect("added");
        assert!(store.factors_reset(o).await.expect("reset"));
        assert!(!store.factors_reset(o).await.expect("asked"));

        let end = Timestamp(NOW.0 + 5);
        store.passkey_challenge_add(b"one", Some(o), NOW, end).await.expect("added");
        store.passkey_challenge_add(b"two", None, NOW, end).await.expect("added");
        assert_eq!(store.passkey_challenge_take(b"one", NOW).await.expect("taken"), Some(Some(o)));
        assert_eq!(store.passkey_challenge_take(b"one", NOW).await.expect("asked"), None, "once");
        assert_eq!(store.passkey_challenge_take(b"two", end).await.expect("asked"), None, "over");
        assert_eq!(store.passkey_challenge_take(b"two", NOW).await.expect("taken"), Some(None));
    }

    tenants_and_their_people(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("added");
        let mut row = store.tenant_get(tenant).await.expect("read").expect("there");
        row.state = "suspended".into();
        assert!(store.tenant_update(&row, NOW).await.expect("written"));
        assert!(!store.tenant_update(&row, NOW).await.expect("asked"), "made on a row that was edited since");
        row.revision += 1;
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
            created: NOW, expires: Timestamp(NOW.0 + 10), viewing: None,
};
        let id = store.login_add(b"hash1", &login).await.expect("added");
        assert_eq!(store.login_find(b"hash1", NOW).await.expect("read").expect("good").id, id);
        assert!(store.login_find(b"hash1", Timestamp(NOW.0 + 10)).await.expect("read").is_none(), "expired");
        assert!(!store.login_remove(p, id).await.expect("asked"), "another person's login");
        assert!(store.operator_set_password(o, "hash2").await.expect("set"));
        assert!(store.login_find(b"hash1", NOW).await.expect("read").is_none(), "a new password ends logins");
        let token = TokenRow {
            id: 0, operator: o, name: "ci".into(), domains: vec!["example.com".into()], operations: vec!["domain.show".into()],
            created: NOW, expires: Timestamp(NOW.0 + 5), used: None,
        };
        let t = store.token_add(b"tok", &token).await.expect("added");
        assert_eq!(store.token_find(b"tok", NOW).await.expect("read").expect("good"), TokenRow { id: t, ..token });
        store.token_used(t, Timestamp(NOW.0 + 1)).await.expect("noted");
        assert_eq!(store.token_find(b"tok", NOW).await.expect("read").expect("good").used, Some(Timestamp(NOW.0 + 1)));
        assert_eq!(store.token_list(o, NOW).await.expect("read").len(), 1);
        assert!(store.token_remove(o, t).await.expect("removed"));
        store.logins_sweep(Timestamp(NOW.0 + 1000)).await.expect("swept");
        assert!(store.operator_leave(tenant, o, "").await.expect("removed"));
        assert!(store.tenant_remove(tenant).await.expect("removed"));
        assert!(store.tenant_get(tenant).await.expect("read").is_none());
    }

    what_is_done_is_put_in_line_with_the_doing_of_it(store) {
        let (tenant, row, _) = house(&store, "example.com", "aaa").await;
        let (other, _, _) = house(&store, "example.net", "bbb").await;
        let all = store.webhook_add(&hook(tenant, "https://all.example/", &[])).await.expect("added");
        let some = store.webhook_add(&hook(tenant, "https://some.example/", &["account", "domain.add"])).await.expect("added");
        store.webhook_add(&hook(other, "https://other.example/", &[])).await.expect("added");
        let listed = store.webhook_list(tenant).await.expect("read");
        assert_eq!(listed[1], WebhookRow { id: some, ..hook(tenant, "https://some.example/", &["account", "domain.add"]) });
        assert_eq!(store.webhook_get(all).await.expect("read").as_ref(), Some(&listed[0]));
        let entry = |operation: &str| AuditRow {
            at: NOW, actor: "me".into(), role: "owner".into(), operation: operation.into(), object: "x".into(), ..AuditRow::default()
        };
        let recorded = store.recorded(Some(tenant), entry("account.add"), "test").domain(row.id, &row.name);
        recorded.account_add("juliet", &[], NOW).await.expect("added");
        assert!(recorded.account_add("juliet", &[], NOW).await.is_err(), "nothing done, nothing told");
        assert!(store.recorded(Some(tenant), entry("domain.set"), "test").domain_update(&row, NOW).await.expect("written"));
        let told = store.delivery_list(tenant, 9).await.expect("read");
        let told: Vec<_> = told.iter().rev().map(|one| (one.webhook, one.event.as_str())).collect();
        assert_eq!(told, [(all, "account.add"), (some, "account.add"), (all, "domain.set")]);
        let lease = Timestamp(NOW.0 + 10);
        let mut claimed = store.delivery_claim(NOW, lease, 9).await.expect("claimed");
        claimed.sort_by_key(|one| one.id);
        let taken: Vec<_> = claimed.iter().map(|one| (one.webhook, one.event.as_str(), one.attempts)).collect();
        assert_eq!(taken, [(all, "account.add", 1), (some, "account.add", 1)]);
        let kind = format!(r#""type":"{}""#, claimed[0].event);
        assert!(claimed[0].body.contains(&kind), "{}", claimed[0].body);
        assert!(store.delivery_claim(NOW, lease, 9).await.expect("claimed").is_empty(), "one at a time for each");
        store.delivery_tried(claimed[0].id, Some(200), "answered 200", None).await.expect("noted");
        let next = store.delivery_claim(NOW, lease, 9).await.expect("claimed");
        assert_eq!(next.iter().map(|one| one.event.as_str()).collect::<Vec<_>>(), ["domain.set"]);
        assert_eq!(store.delivery_claim(lease, Timestamp(NOW.0 + 20), 9).await.expect("claimed").len(), 2, "whoever took them died");
        store.delivery_tried(claimed[1].id, None, "no answer", Some(Timestamp(NOW.0 + 15))).await.expect("noted");
        let due = store.delivery_claim(Timestamp(NOW.0 + 15), Timestamp(NOW.0 + 30), 9).await.expect("claimed");
        assert_eq!(due.iter().map(|one| (one.id, one.attempts)).collect::<Vec<_>>(), [(claimed[1].id, 3)]);
        assert!(!store.webhook_remove(other, all).await.expect("asked"), "another tenant's");
        assert!(!store.delivery_add(other, all, &entry("webhook.test")).await.expect("asked"));
        assert!(store.webhook_remove(tenant, all).await.expect("removed"));
        assert_eq!(store.delivery_list(tenant, 9).await.expect("read").len(), 1);
        store.deliveries_sweep(Timestamp(NOW.0 + 1)).await.expect("swept");
        assert_eq!(count(&store, "webhook_deliveries").await, 0);
        assert_eq!(store.keys_rotate().await.expect("nothing to do"), 0);
    }

    a_customer_who_answers_slowly_waits_for_themselves(store) {
        let (slow, _, _) = house(&store, "slow.example", "aaa").await;
        let (quick, _, _) = house(&store, "quick.example", "bbb").await;
        let said = |at: i64| AuditRow { at: Timestamp(at), operation: "account.add".into(), ..AuditRow::default() };
        for n in 0..4 {
            let of_slow = store.webhook_add(&hook(slow, &format!("https://slow{n}.example/"), &[])).await.expect("added");
            for at in 0..3 {
                assert!(store.delivery_add(slow, of_slow, &said(at)).await.expect("added"));
            }
        }
        let of_quick = store.webhook_add(&hook(quick, "https://quick.example/", &[])).await.expect("added");
        for at in 100..103 {
            assert!(store.delivery_add(quick, of_quick, &said(at)).await.expect("added"));
        }
        let lease = Timestamp(NOW.0 + 100);
        let claim = async |limit| store.delivery_claim(NOW, lease, limit).await.expect("claimed");
        let mut first = claim(3).await;
        first.sort_by_key(|one| one.webhook != of_quick);
        assert_eq!(first.iter().filter(|one| one.webhook == of_quick).count(), 1, "in turn, not by age");
        // As room comes, it goes to whoever has the least under way.
        for _ in 0..2 {
            store.delivery_tried(first[0].id, Some(200), "answered 200", None).await.expect("noted");
            first = claim(1).await;
            assert_eq!(first[0].webhook, of_quick);
        }
        store.delivery_tried(first[0].id, Some(200), "answered 200", None).await.expect("noted");
        let left = claim(9).await;
        assert_eq!(left.len(), 2, "one at a time for each of the four");
    }

    dos_10_room_is_counted_by_one_at_a_time(store) {
        let (tenant, row, d) = house(&store, "example.com", "aaa").await;
        let few = store.within(3);
        let domains = (0..8).map(|n| {
            let (few, more) = (few.clone(), domain(tenant, &format!("d{n}.example"), &format!("l{n}")));
            tokio::spawn(async move { few.domain_add(&more).await })
        });
        let mut added = 0;
        for one in domains.collect::<Vec<_>>() {
            match one.await.expect("no panic") {
                Ok(_) => added += 1,
                Err(error) => assert!(matches!(error, StoreError::Limit { what: "domains", used: 3, most: 3 }), "{error}"),
            }
        }
        assert_eq!((added, store.domain_count(Some(tenant)).await.expect("read")), (2, 3));
        let narrow = few.domain(row.id, &row.name);
        let accounts = (0..8).map(|n| {
            let narrow = narrow.clone();
            tokio::spawn(async move { narrow.account_add(&format!("a{n}"), &[], NOW).await })
        });
        let mut added = 0;
        for one in accounts.collect::<Vec<_>>() {
            match one.await.expect("no panic") {
                Ok(_) => added += 1,
                Err(error) => assert!(matches!(error, StoreError::Limit { what: "accounts", used: 3, most: 3 }), "{error}"),
            }
        }
        assert_eq!((added, store.tenant_account_count(tenant).await.expect("read")), (3, 3));
        let known: Vec<_> = d.account_list("", 9).await.expect("read").into_iter().map(|a| (a.local, vec![])).collect();
        assert_eq!(narrow.account_import(&known, NOW).await.expect("nothing to add").len(), 3);
        let more = [("x".to_owned(), vec![]), ("y".to_owned(), vec![])];
        assert!(matches!(narrow.account_import(&more, NOW).await, Err(StoreError::Limit { used: 3, .. })));
        assert!(d.account_find("x").await.expect("read").is_none(), "all or none");
        d.account_add("z", &[], NOW).await.expect("no limit by this handle");
    }

    a_lease_is_had_by_one_whether_it_is_due_or_not(store) {
        let (_, row, _) = house(&store, "example.com", "aaa").await;
        let until = Timestamp(NOW.0 + 10);
        store.domain_check_at(row.id, None).await.expect("set");
        let held = store.domain_claim(row.id, NOW, "one", until).await.expect("asked").expect("free");
        assert_eq!((held.id, held.next_check_at), (row.id, None));
        assert!(store.domain_claim(row.id, NOW, "two", until).await.expect("asked").is_none());
        store.domain_check_at(row.id, Some(NOW)).await.expect("set");
        assert!(store.domain_claim_due(NOW, "three", until, 9).await.expect("asked").is_empty(), "nor by those who take what is due");
        let late = Timestamp(until.0 + 1);
        assert!(store.domain_claim(row.id, late, "two", Timestamp(late.0 + 10)).await.expect("asked").is_some(), "it died");
        store.domain_lease_release(&row, "two", None).await.expect("ended");
        assert!(store.domain_claim(row.id, late, "one", Timestamp(late.0 + 10)).await.expect("asked").is_some());
    }

    a_code_is_used_once_and_a_secret_is_sealed(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("added");
        let o = store.operator_add("a@example.com", "hash", "owner", Some(tenant), NOW).await.expect("added");
        assert!(store.factor_get(o).await.expect("read").is_none());
        assert!(!store.factor_confirm(o, 7, &[], NOW).await.expect("asked"), "nothing begun");
        assert!(store.factor_begin(o, b"first").await.expect("begun"));
        assert!(store.factor_begin(o, b"second").await.expect("begun anew"));
        let row = store.factor_get(o).await.expect("read").expect("there");
        assert_eq!((&row.secret[..], row.since), (&b"second"[..], None));
        assert!(!format!("{row:?}").contains("secret"));
        assert!(!store.factor_use(o, 9).await.expect("asked"), "not shown to work");
        assert!(store.factor_list(Some(tenant)).await.expect("read").is_empty());
        assert!(store.factor_confirm(o, 7, &[b"c1".to_vec(), b"c2".to_vec()], NOW).await.expect("confirmed"));
        assert!(!store.factor_begin(o, b"third").await.expect("asked"), "there is one that works");
        assert_eq!(store.factor_list(Some(tenant)).await.expect("read"), [o]);
        for (step, fresh) in [(7, false), (8, true), (8, false), (6, false), (9, true)] {
            assert_eq!(store.factor_use(o, step).await.expect("asked"), fresh, "{step}");
        }
        assert_eq!(store.recovery_count(o).await.expect("read"), 2);
        assert!(store.recovery_use(o, b"c1").await.expect("used"));
        assert!(!store.recovery_use(o, b"c1").await.expect("asked"), "used");
        let mut row = store.tenant_get(tenant).await.expect("read").expect("there");
        assert!(!row.second_factor && !store.operator_standing(o).await.expect("read").0);
        row.second_factor = true;
        assert!(store.tenant_update(&row, NOW).await.expect("written"));
        assert!(!store.operator_standing(o).await.expect("read").0, "there is one");
        store.half_login_add(b"half", o, Timestamp(NOW.0 + 5)).await.expect("added");
        assert_eq!(store.half_login_find(b"half", NOW).await.expect("read"), Some(o));
        assert_eq!(store.half_login_find(b"half", Timestamp(NOW.0 + 5)).await.expect("read"), None);
        assert!(store.half_login_take(b"half").await.expect("taken"));
        assert!(!store.half_login_take(b"half").await.expect("asked"));
        store.half_login_add(b"half", o, Timestamp(NOW.0 + 5)).await.expect("added");
        assert!(store.operator_set_password(o, "other").await.expect("set"));
        assert_eq!(store.half_login_find(b"half", NOW).await.expect("read"), None, "it was for the old password");
        assert!(store.factor_remove(o).await.expect("removed"));
        assert!(store.operator_standing(o).await.expect("read").0 && !store.factor_remove(o).await.expect("asked"));
        assert_eq!(store.recovery_count(o).await.expect("read"), 0);
        assert_eq!(store.keys_rotate().await.expect("nothing to do"), 0);
    }

    an_invitation_is_taken_once(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("added");
        let other = store.tenant_add("Other", "active", "{}", NOW).await.expect("added");
        let end = Timestamp(NOW.0 + 10);
        let invitation = |role: &str| InvitationRow {
            id: 0, tenant, role: role.into(), note: "Ann".into(), by: "me@example.com".into(), created: NOW, expires: end,
        };
        let id = store.invitation_add(b"one", &invitation("admin")).await.expect("added");
        let found = store.invitation_find(b"one", NOW).await.expect("read").expect("good");
        assert_eq!(found, InvitationRow { id, ..invitation("admin") });
        assert_eq!(store.invitation_list(tenant, NOW).await.expect("read"), [found]);
        assert!(store.invitation_list(other, NOW).await.expect("read").is_empty());
        assert!(store.invitation_find(b"one", end).await.expect("read").is_none(), "expired");
        assert!(store.invitation_accept(b"one", "ann@example.com", "hash", end).await.expect("asked").is_none());
        assert!(!store.invitation_remove(other, id).await.expect("asked"), "another tenant's");
        store.operator_add("taken@example.com", "hash", "platform", None, NOW).await.expect("added");
        let taken = store.invitation_accept(b"one", "taken@example.com", "hash", NOW).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
        // Good still, and of those who take it at once one has it.
        let tasks: Vec<_> = (0..4).map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store.invitation_accept(b"one", &format!("ann{n}@example.com"), "hash", NOW).await.expect("asked").is_some()
            })
        }).collect();
        let mut taken = 0;
        for task in tasks {
            taken += usize::from(task.await.expect("done"));
        }
        assert_eq!(taken, 1);
        let team = store.operator_list(Some(tenant)).await.expect("read");
        assert_eq!(team.iter().map(|o| o.role.as_str()).collect::<Vec<_>>(), ["admin"]);
        let ann = team[0].id;
        let id = store.invitation_add(b"two", &invitation("owner")).await.expect("added");
        assert!(store.invitation_remove(tenant, id).await.expect("removed"));
        assert!(store.invitation_accept(b"two", "bob@example.com", "hash", NOW).await.expect("asked").is_none());
        // The last owner stays one, also when two give it up at once.
        assert!(store.operator_set_role(tenant, ann, "owner", "owner").await.expect("set"));
        assert!(!store.operator_set_role(other, ann, "auditor", "owner").await.expect("asked"), "another tenant's");
        assert!(!store.operator_set_role(tenant, ann, "auditor", "owner").await.expect("asked"));
        let bob = store.operator_add("bob@example.com", "hash", "owner", Some(tenant), NOW).await.expect("added");
        let both = [ann, bob].map(|who| {
            let store = store.clone();
            tokio::spawn(async move { store.operator_set_role(tenant, who, "auditor", "owner").await.expect("asked") })
        });
        let mut given_up = 0;
        for one in both {
            given_up += usize::from(one.await.expect("done"));
        }
        assert_eq!(given_up, 1);
        // Nor is the last one removed, also when two remove each other at once.
        for who in [ann, bob] {
            store.operator_set_role(tenant, who, "owner", "owner").await.expect("set");
        }
        assert!(!store.operator_leave(other, ann, "owner").await.expect("asked"), "another tenant's");
        let both = [ann, bob].map(|who| {
            let store = store.clone();
            tokio::spawn(async move { store.operator_leave(tenant, who, "owner").await.expect("asked") })
        });
        let mut left = 0;
        for one in both {
            left += usize::from(one.await.expect("done"));
        }
        assert_eq!(left, 1);
        assert_eq!(store.operator_list(Some(tenant)).await.expect("read").len(), 1);
        store.invitation_add(b"three", &invitation("owner")).await.expect("added");
        store.logins_sweep(end).await.expect("swept");
        assert_eq!(count(&store, "invitations").await, 0);
    }

    plans_are_one_usual_and_hold_for_whoever_has_no_other(store) {
        let plan = |name: &str, usual, limits: &str| PlanRow {
            id: PlanId(0), name: name.into(), usual, limits: limits.into(), soft_percent: 70, created: NOW, revision: 0,
        };
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("added");
        let mut feed = store.change_feed().await.expect("feed");
        let row = async || store.tenant_get(tenant).await.expect("read").expect("there");
        assert_eq!((row().await.plan_name.as_str(), row().await.plan_limits.as_str(), row().await.soft_percent), ("", "{}", 80));
        let small = store.plan_add(&plan("small", true, r#"{"domains":1}"#)).await.expect("added");
        assert_eq!(feed.poll().await.expect("read"), [Change::Plans]);
        assert_eq!((row().await.plan, row().await.plan_name.as_str(), row().await.soft_percent), (None, "small", 70));
        let large = store.plan_add(&plan("large", true, r#"{"domains":9}"#)).await.expect("added");
        assert_eq!(row().await.plan_limits, r#"{"domains":9}"#, "there is one usual plan");
        let twice = store.plan_add(&plan("small", false, "{}")).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        let mut given = row().await;
        given.plan = Some(small);
        assert!(store.tenant_update(&given, NOW).await.expect("written"));
        assert_eq!(row().await.plan_name, "small");
        assert_eq!(store.tenant_list(TenantId(0), 9).await.expect("read"), [row().await]);
        let listed = store.plan_list().await.expect("read");
        assert_eq!(listed.iter().map(|(plan, n)| (plan.id, plan.usual, *n)).collect::<Vec<_>>(), [(large, true, 0), (small, false, 1)]);
        let mut edited = store.plan_get(small).await.expect("read").expect("there");
        edited.limits = r#"{"domains":2}"#.into();
        assert!(store.plan_update(&edited, NOW).await.expect("written"));
        assert!(!store.plan_update(&edited, NOW).await.expect("asked"), "made on a row that was edited since");
        assert_eq!(row().await.plan_limits, r#"{"domains":2}"#);
        let kept = store.plan_remove(small, NOW).await;
        assert!(matches!(kept, Err(StoreError::Gone)), "{kept:?}");
        assert!(store.plan_remove(large, NOW).await.expect("removed"));
        assert!(!store.plan_remove(large, NOW).await.expect("asked"));
    }

    what_is_used_is_counted_over_all_domains_of_a_tenant(store) {
        let (tenant, _, one) = house(&store, "example.com", "aaa").await;
        let mut two = domain(tenant, "example.org", "bbb");
        two.id = store.domain_add(&two).await.expect("added");
        let two = store.domain(two.id, &two.name);
        let (_, _, foreign) = house(&store, "example.net", "ccc").await;
        let a = one.account_add("juliet", &[], NOW).await.expect("added");
        let b = two.account_add("romeo", &[], NOW).await.expect("added");
        let c = foreign.account_add("nurse", &[], NOW).await.expect("added");
        let slot = async |d: &DomainStore, account, token: &str, size| {
            let slot = UploadRow {
                token: token.into(), domain: d.id(), account, name: "n".into(), media_type: "t/t".into(), size, created: NOW,
                ends: NEVER, stored: false, place: None, bucket: None,
            };
            d.upload_slot(&slot, 1000, 1000, 100).await.expect("asked")
        };
        assert_eq!(slot(&one, a, "1", 60).await, SlotMade::Made);
        assert_eq!(slot(&two, b, "2", 41).await, SlotMade::TenantFull(60), "the tenant has no such room");
        assert_eq!(slot(&two, b, "3", 40).await, SlotMade::Made);
        assert_eq!(slot(&foreign, c, "4", 100).await, SlotMade::Made, "another tenant's");
        one.offline_add(a, NOW, b"12345", 9).await.expect("kept");
        for at in 1..4 {
            let message = NewArchived {
                id: ArchiveId { at, salt: 1 }, peer: "a@b.example".into(), resource: String::new(), sent: true, message: 0,
                stanza: b"1234567890"[..].into(),
            };
            one.archive_add(a, message).await.expect("kept");
        }
        let used = store.usage_of(tenant, NOW).await.expect("read");
        let expected = Stored { domains: 2, accounts: 2, offline_bytes: 5, archive_bytes: 30, upload_bytes: 100 };
        assert_eq!(used, expected);
        // Half of it goes, the oldest first.
        assert_eq!(store.tenant_archive_trim(tenant, 30).await.expect("trimmed"), 0);
        assert_eq!(store.tenant_archive_trim(tenant, 15).await.expect("trimmed"), 2);
        assert_eq!(store.usage_of(tenant, NOW).await.expect("read").archive_bytes, 10);
        let left = one.archive_page(a, &ArchiveQuery::default()).await.expect("read");
        assert_eq!(left.iter().map(|m| m.id.at).collect::<Vec<_>>(), [3]);
    }

    domains_come_together_with_their_identities(store) {
        let (tenant, held, _) = house(&store, "example.com", "aaa").await;
        let other = store.tenant_add("Other", "active", "{}", NOW).await.expect("tenant");
        let proved = |tenant, text: &str, label: &str| DomainRow {
            verified_at: Some(NOW),
            ..domain(tenant, text, label)
        };
        let identity = Identity { chain_pem: "chain".into(), key_pem: "key".to_owned().into() };
        let end = Timestamp(NOW.0 + 5);
        let added = store
            .domain_import(
                &[
                    (proved(tenant, "one.example", "one"), Some((identity, end))),
                    (domain(tenant, "two.example", "two"), None),
                    (domain(tenant, "example.com", "bbb"), None),
                    (proved(other, "example.com", "ccc"), None),
                    (domain(tenant, "three.example", "aaa"), None),
                ],
                NOW,
            )
            .await
            .expect("imported");
        assert_eq!(added, [true, true, false, false, false], "own name, proved by another, label taken");
        let one = store.domain_hosted(&name("one.example")).await.expect("read").expect("hosted");
        let one = store.domain(one.id, &one.name);
        assert_eq!(*one.identity_current().await.expect("opened").expect("there").key_pem, "key");
        let row = one.certificate_current().await.expect("read").expect("there");
        assert_eq!((row.not_after, row.key_since, row.source.as_str()), (end, NOW, "uploaded"));
        assert!(store.domain_hosted(&name("two.example")).await.expect("read").is_none(), "only claimed");
        assert_eq!(store.domain_hosted(&held.name).await.expect("read").expect("hosted").tenant, tenant);
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
        lapsed.policy = "authenticated".into();
        assert!(!store.domain_update(&lapsed, NOW).await.expect("asked"), "made on a row that was edited since");
        let now = store.domain_get(lapsed.id).await.expect("read").expect("there");
        assert_eq!((now.policy.as_str(), now.revision), (first.policy.as_str(), 1));
        assert_eq!(store.domain_states().await.expect("read"), [("claimed".to_owned(), 2)]);
    }

    due_domains_are_leased_to_one(store) {
        let (_, row, _) = house(&store, "example.com", "aaa").await;
        let until = Timestamp(NOW.0 + 100);
        assert!(store.domain_claim_due(Timestamp(NOW.0 - 1), "a", until, 5).await.expect("asked").is_empty(), "not due");
        assert_eq!(store.domain_claim_due(NOW, "a", until, 5).await.expect("asked").len(), 1);
        assert!(store.domain_claim_due(NOW, "b", until, 5).await.expect("asked").is_empty(), "a has it");
        store.domain_lease_release(&row, "b", None).await.expect("ignored");
        assert!(store.domain_claim_due(NOW, "b", until, 5).await.expect("asked").is_empty());
        assert!(!store.domain_lease_extend(row.id, "b", Timestamp(i64::MAX)).await.expect("asked"), "not b's");
        assert!(store.domain_lease_extend(row.id, "a", until).await.expect("asked"));
        assert_eq!(store.domain_claim_due(Timestamp(NOW.0 + 101), "b", Timestamp(NOW.0 + 200), 5).await.expect("asked").len(), 1, "a's lease ran out");
        store.domain_lease_release(&row, "b", Some(Timestamp(NOW.0 + 500))).await.expect("released");
        assert!(store.domain_claim_due(Timestamp(NOW.0 + 400), "a", until, 5).await.expect("asked").is_empty());
        store.domain_check_at(row.id, Some(NOW)).await.expect("check now");
        let claimed = store.domain_claim_due(NOW, "a", until, 5).await.expect("asked").remove(0);
        store.domain_check_at(row.id, Some(Timestamp(NOW.0 + 1))).await.expect("asked for during the look");
        store.domain_lease_release(&claimed, "a", Some(Timestamp(NOW.0 + 500))).await.expect("released");
        assert_eq!(store.domain_claim_due(Timestamp(NOW.0 + 1), "a", until, 5).await.expect("asked").len(), 1, "not forgotten");
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
        assert_eq!(all[0].key_since, NOW);
        let later = Timestamp(NOW.0 + 77);
        d.certificate_add(&identity(4), later, "acme", "current", later).await.expect("renewed, with the key");
        let renewed = d.certificate_current().await.expect("read").expect("there");
        assert_eq!((renewed.created, renewed.key_since), (later, NOW));
        d.certificate_add(&identity(5), Timestamp(NOW.0 + 4), "acme", "current", later).await.expect("another key");
        assert_eq!(d.certificate_current().await.expect("read").expect("there").key_since, later);
        assert_eq!(store.certificate_ends().await.expect("read"), [Timestamp(NOW.0 + 4)]);
        let order = OrderRow { url: "https://ca/1".into(), key_pem: Zeroizing::new("key".into()), csr: vec![1, 2], authority: "https://ca".into() };
        d.order_set(&order).await.expect("set");
        d.order_set(&order).await.expect("again");
        let held = d.order_get().await.expect("read").expect("there");
        assert_eq!((held.csr.as_slice(), held.authority.as_str()), (&[1, 2][..], "https://ca"));
        d.order_clear().await.expect("cleared");
        assert!(d.order_get().await.expect("read").is_none());
        store.acme_account_set("https://ca", b"cred").await.expect("set");
        assert_eq!(&**store.acme_account_get("https://ca").await.expect("read").expect("there"), b"cred");
        assert_eq!(store.keys_rotate().await.expect("nothing to do"), 0);
    }

    what_is_made_ahead_is_sealed_and_comes_into_use(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let identity = |n: u8| Identity { chain_pem: format!("chain {n}"), key_pem: Zeroizing::new(format!("key {n}")) };
        let at = |n: i64| Timestamp(NOW.0 + n);
        assert!(!d.certificate_promote(NOW).await.expect("asked"), "there is none");
        d.certificate_add(&identity(1), at(100), "acme", "current", NOW).await.expect("added");
        d.certificate_add(&identity(2), at(200), "acme", "next", at(1)).await.expect("made ahead");
        d.certificate_add(&identity(3), at(200), "acme", "next", at(2)).await.expect("in its place");
        assert_eq!(*d.identity_next().await.expect("opened").expect("there").key_pem, "key 3");
        assert_eq!(*d.identity_current().await.expect("opened").expect("there").key_pem, "key 1");
        assert!(d.certificate_promote(at(5)).await.expect("swapped"));
        let all: Vec<_> = d.certificate_list().await.expect("read").into_iter().map(|c| (c.state, c.since, c.key_since)).collect();
        assert_eq!(all, [("current".to_owned(), at(5), at(5)), ("retired".to_owned(), at(5), NOW)]);
        d.certificate_add(&identity(3), at(300), "acme", "next", at(6)).await.expect("the same key");
        assert!(d.certificate_promote(at(7)).await.expect("swapped"));
        let now = d.certificate_current().await.expect("read").expect("there");
        assert_eq!((now.since, now.key_since), (at(7), at(5)), "a key that was kept keeps its age");
        d.certificate_add(&identity(4), at(300), "acme", "next", at(8)).await.expect("made ahead");
        d.certificate_discard_next().await.expect("forgotten");
        assert!(d.identity_next().await.expect("read").is_none());
    }

    secrets_are_made_once(store) {
        assert!(store.setting_get("dialback").await.expect("read").is_none());
        assert_eq!(&**store.setting_get_or("dialback", b"one").await.expect("made"), b"one");
        assert_eq!(&**store.setting_get_or("dialback", b"two").await.expect("kept"), b"one");
        store.setting_set("dialback", b"three").await.expect("set");
        assert_eq!(&**store.setting_get("dialback").await.expect("read").expect("there"), b"three");
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

        d.peer_set("münchen.example", "[]", Timestamp(NOW.0 + 3)).await.expect("set");
        let page = |part: &'static str, or: &'static str, from, limit| {
            let d = d.clone();
            async move {
                let (rows, total) = d.peer_page((part, or), from, limit).await.expect("read");
                (rows.into_iter().map(|row| row.peer).collect::<Vec<_>>(), total)
            }
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(page("", "", 0, 2).await, (names(&["münchen.example", "a.example"]), 3));
        assert_eq!(page("", "", 2, 2).await, (names(&["b.example"]), 3));
        assert_eq!(page("", "", 4, 2).await, (vec![], 3));
        assert_eq!(page("b.ex", "b.ex", 0, 9).await, (names(&["b.example"]), 1));
        assert_eq!(page("xn--mnchen-3ya.example", "münchen.example", 0, 9).await, (names(&["münchen.example"]), 1));
        assert_eq!(page("%", "%", 0, 9).await, (vec![], 0));
    }

    peers_of_many_domains_are_remembered_at_once(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        d.peer_set("known.example", "[1]", NOW).await.expect("set");
        other.peer_set("theirs.example", "[7]", NOW).await.expect("set");
        let later = Timestamp(NOW.0 + 5);
        let many = (0..250).map(|n| d.peer_key(&format!("p{n}.example")));
        let mut pairs = vec![other.peer_key("known.example"), d.peer_key("known.example"), d.peer_key("known.example")];
        pairs.extend(many);
        let change = |_: &PeerKey, before: Option<&str>| format!("[2,{}]", before.unwrap_or("nothing"));
        store.peers_update(pairs, later, change).await.expect("set");
        for (domain, peer, attempts, updated) in [
            (&d, "known.example", "[2,[1]]", later),
            (&d, "p0.example", "[2,nothing]", later),
            (&d, "p249.example", "[2,nothing]", later),
            (&other, "known.example", "[2,nothing]", later),
            (&other, "theirs.example", "[7]", NOW),
        ] {
            let row = domain.peer_get(peer).await.expect("read").expect("there");
            assert_eq!((row.attempts.as_str(), row.updated), (attempts, updated), "{peer}");
        }
        assert_eq!(d.peer_list(1_000).await.expect("read").len(), 251);
        store.peers_update(Vec::new(), later, change).await.expect("nothing");
        // As many as are remembered, and the least recent go.
        for at in 0..20 {
            let more = (0..100).map(|n| d.peer_key(&format!("q{at}-{n}.example"))).collect();
            store.peers_update(more, Timestamp(later.0 + 1 + at), change).await.expect("set");
        }
        let all = d.peer_list(10_000).await.expect("read");
        assert_eq!(all.len(), 2_000);
        assert!(all.iter().all(|row| row.peer.starts_with('q')), "the newest");
        // A domain that has left takes nobody's place, and says so.
        let gone = vec![store.domain(DomainId(999_999), &name("gone.example")).peer_key("a.example"), other.peer_key("b.example")];
        assert_eq!(store.peers_update(gone, later, change).await, Err(StoreError::Gone));
        assert_eq!(other.peer_get("b.example").await.expect("read"), None);
        store.peers_update(vec![other.peer_key("b.example")], later, change).await.expect("set");
    }

    the_audit_log_is_the_tenants(store) {
        let tenant = store.tenant_add("Acme", "active", "{}", NOW).await.expect("tenant");
        let entry = |op: &str| AuditRow {
            id: 0, at: NOW, actor: "a@example.com".into(), role: "owner".into(), operation: op.into(),
            domain: "example.com".into(), object: "example.com".into(), detail: String::new(),
        };
        let of = |tenant| AuditFilter { tenant, ..AuditFilter::default() };
        store.recorded(Some(tenant), entry("domain.add"), "test").audit_add().await.expect("added");
        store.recorded(None, entry("platform"), "test").audit_add().await.expect("added");
        store.recorded(Some(tenant), entry("domain.remove"), "test").audit_add().await.expect("added");
        let ours = store.audit_list(&of(Some(tenant)), 10).await.expect("read");
        assert_eq!(ours.iter().map(|a| a.operation.as_str()).collect::<Vec<_>>(), ["domain.remove", "domain.add"]);
        assert_eq!(store.audit_list(&of(None), 10).await.expect("read").len(), 3);
        let before = AuditFilter { before: Some(ours[0].id), ..of(Some(tenant)) };
        assert_eq!(store.audit_list(&before, 10).await.expect("read").len(), 1);
    }

    lists_come_a_page_at_a_time_the_urgent_first(store) {
        let (_, first, d) = house(&store, "b.example", "l0").await;
        let mut ids = vec![first.id];
        for (name, state) in [("a.example", "live"), ("b\u{fc}cher.example", "degraded"), ("c.example", "live"), ("d.example", "claimed")] {
            let mut row = domain(first.tenant, name, name);
            row.state = state.into();
            row.verified_at = None;
            ids.push(store.domain_add(&row).await.expect("added"));
        }
        let (_, other, _) = house(&store, "z.example", "l9").await;
        let states = ["degraded", "claimed", "live"];
        let page = |filter: DomainFilter<'static>, from, limit| {
            let store = store.clone();
            async move {
                let rows = store.domain_page(filter, &states, from, limit).await.expect("read");
                rows.into_iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
            }
        };
        let of = DomainFilter { tenant: Some(first.tenant), ..DomainFilter::default() };
        assert_eq!(store.domain_page_count(of).await.expect("read"), 5);
        assert_eq!(store.domain_page_count(DomainFilter::default()).await.expect("read"), 6);
        let all = page(of, 0, 9).await;
        assert_eq!(all[0], "b\u{fc}cher.example");
        assert_eq!([page(of, 0, 2).await, page(of, 2, 2).await, page(of, 4, 2).await].concat(), all, "pages make the whole");
        let part = DomainFilter { part: "xn--bcher-kva", or: "b\u{fc}cher", ..of };
        assert_eq!(page(part, 0, 9).await, ["b\u{fc}cher.example"]);
        let nobody = DomainFilter { part: "%", or: "%", ..of };
        assert_eq!(store.domain_page_count(nobody).await.expect("read"), 0);

        d.account_add("juliet", &[], NOW).await.expect("added");
        assert_eq!(store.account_counts(&ids).await.expect("read"), [(first.id, 1)]);
        assert_eq!(store.account_total().await.expect("read"), 1);
        let failing = |code: &str, severity: &str| FindingRow { severity: severity.into(), ..finding(code, NOW) };
        d.findings_set(&[failing("srv-missing", "critical"), failing("ok", "ok")]).await.expect("set");
        store.domain(other.id, &other.name).findings_set(&[failing("srv-missing", "warning")]).await.expect("set");
        assert_eq!(store.finding_codes().await.expect("read"), [("srv-missing".to_owned(), 2)]);
        assert_eq!(store.finding_domains("srv-missing", 1).await.expect("read"), ["b.example"]);
        let (rows, total) = store.tenant_page("", 1, 1).await.expect("read");
        assert_eq!((rows.len(), total), (1, 2));
        assert_eq!(store.tenant_page("no such", 0, 9).await.expect("read").1, 0);
        // Who keeps most comes first, once it was measured; each is asked for once.
        let (rows, _) = store.tenant_page_by_use("", 0, 9).await.expect("read");
        assert_eq!(rows.len(), 2);
        let most = rows[1].id;
        let account = match most == other.tenant {
            true => store.domain(other.id, &other.name).account_add("romeo", &[], NOW).await.expect("added"),
            false => d.account_find("juliet").await.expect("read").expect("there").id,
        };
        let its = if most == other.tenant { store.domain(other.id, &other.name) } else { d.clone() };
        its.archive_add(account, super::archive::message(1, "romeo@example.net")).await.expect("kept");
        store.series_measure(&[first.id, other.id], NOW).await.expect("measured");
        store.series_total(NOW).await.expect("written");
        let (rows, total) = store.tenant_page_by_use("", 0, 1).await.expect("read");
        assert_eq!((rows[0].id, total), (most, 2));
        let used = store.usages_of(&[first.tenant, other.tenant, TenantId(999)], NOW).await.expect("read");
        assert_eq!((used.len(), used[&most].archive_bytes, used[&first.tenant].domains), (2, 100, 5));
    }

    certificates_are_counted_by_when_they_end(store) {
        let (_, _, d) = house(&store, "a.example", "l0").await;
        let identity = Identity { chain_pem: "c".into(), key_pem: Zeroizing::new("k".into()) };
        d.certificate_add(&identity, Timestamp(50), "acme", "current", NOW).await.expect("added");
        assert_eq!(store.certificates_ending(Timestamp(50), Timestamp(51)).await.expect("read"), 1);
        assert_eq!(store.certificates_ending(Timestamp(0), Timestamp(50)).await.expect("read"), 0);
    }

    a_night_s_mail_is_one_process_s_to_write(store) {
        let (tenant, _, d) = house(&store, "a.example", "l0").await;
        let (first, second) = (Timestamp(10), Timestamp(20));
        assert!(store.mail_claim(tenant, first).await.expect("written"));
        assert!(!store.mail_claim(tenant, first).await.expect("written"));
        store.mail_release(tenant, first).await.expect("written");
        assert!(store.mail_claim(tenant, first).await.expect("written"), "it could not be sent");
        assert!(store.mail_claim(tenant, second).await.expect("written"));
        assert!(!store.mail_claim(tenant, first).await.expect("written"));
        let told = async || store.tenant_told(tenant).await.expect("read");
        assert_eq!(told().await, None);
        for (before, after, swapped) in [(None, "1", true), (None, "2", false), (Some("1"), "2", true), (Some("1"), "3", false)] {
            let done = store.tenant_told_swap(tenant, before, after).await.expect("written");
            assert_eq!(done, swapped, "{before:?}");
        }
        assert_eq!(told().await.as_deref(), Some("2"));
        assert!(!store.tenant_told_swap(crate::TenantId(-1), None, "1").await.expect("written"), "nobody");
        assert_eq!(d.told_get().await.expect("read"), None);
        d.told_set("1").await.expect("set");
        d.told_set("2").await.expect("set");
        assert_eq!(d.told_get().await.expect("read").as_deref(), Some("2"));
    }

    a_request_under_a_key_is_done_once_and_its_answer_kept_for_who_asked(store) {
        use crate::Asked;
        let (tenant, _, _) = house(&store, "a.example", "l0").await;
        let anna = store.operator_add("anna@a.example", "h", "owner", Some(tenant), NOW).await.expect("added");
        let bert = store.operator_add("bert@a.example", "h", "admin", Some(tenant), NOW).await.expect("added");
        let begin = async |who, key: &[u8], request: &[u8]| {
            store.request_begin(who, key, request, 2, NOW).await.expect("written")
        };
        assert_eq!(begin(anna, b"k", b"r").await, Asked::First);
        assert_eq!(begin(anna, b"k", b"r").await, Asked::UnderWay);
        assert_eq!(begin(anna, b"k", b"other").await, Asked::Another);
        store.request_answered(anna, b"k", 201, b"a secret").await.expect("kept");
        let answered = Asked::Answered { status: 201, answer: b"a secret".to_vec().into() };
        assert_eq!(begin(anna, b"k", b"r").await, answered);
        assert_eq!(begin(bert, b"k", b"r").await, Asked::First, "somebody else's");
        assert_eq!(begin(anna, b"l", b"r").await, Asked::First);
        assert_eq!(begin(anna, b"m", b"r").await, Asked::Full);
        store.request_forget(anna, b"l").await.expect("forgotten");
        assert_eq!(begin(anna, b"m", b"r").await, Asked::First);
        store.requests_sweep(Timestamp(NOW.0 + 1)).await.expect("swept");
        assert_eq!(begin(anna, b"k", b"r").await, Asked::First);
    }

    who_ends_their_mail_is_not_written_to_and_nobody_ends_another_s(store) {
        let (tenant, _, _) = house(&store, "a.example", "l0").await;
        let anna = store.operator_add("anna@a.example", "h", "owner", Some(tenant), NOW).await.expect("added");
        let bert = store.operator_add("bert@a.example", "h", "admin", Some(tenant), NOW).await.expect("added");
        let readers = async || {
            let rows = store.mail_readers(tenant).await.expect("read");
            rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
        };
        assert_eq!(readers().await, [anna, bert]);
        let link = store.mail_link(anna).expect("sealed");
        assert_eq!(store.mail_link_open(&link), Some(anna));
        for other in ["", "AAAA", &link[1..], &format!("{link}A")] {
            assert_eq!(store.mail_link_open(other), None, "{other}");
        }
        assert!(store.mail_want(anna, false).await.expect("written"));
        assert!(!store.mail_want(anna, false).await.expect("written"), "it was so before");
        assert_eq!(readers().await, [bert]);
        assert_eq!(store.mail_wanted(anna).await.expect("read"), Some(false));
        assert!(store.mail_want(anna, true).await.expect("written"));
        assert_eq!(readers().await, [anna, bert]);
        store.operator_leave(tenant, anna, "").await.expect("removed");
        assert_eq!(store.mail_wanted(anna).await.expect("read"), None);
    }
}
