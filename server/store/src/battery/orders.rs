//! Certificate orders that wait, what has been spent, and what http-01 shows.

use zeroize::Zeroizing;

use super::*;

const SINCE: Since = Since {
    orders: Timestamp(0),
    certificates: Timestamp(0),
    failures: Timestamp(0),
};

fn row(kind: &str, subject: &str, at: i64) -> SpentRow {
    SpentRow {
        authority: "https://ca".into(),
        kind: kind.into(),
        subject: subject.into(),
        at: Timestamp(at),
    }
}

/// Starts it if fewer than `room` orders have been spent.
async fn plan(store: &Store, domain: DomainId, now: Timestamp, room: usize) -> Planned {
    let decide = |view: &QueueView| {
        let orders = view
            .spent
            .iter()
            .filter(|spent| spent.kind == "order")
            .count();
        if orders < room {
            Planned::Start(vec![row("order", "", now.0)])
        } else {
            Planned::Wait {
                until: Timestamp(now.0 + 5),
                why: "orders".into(),
            }
        }
    };
    store
        .queue_plan(domain, now, Timestamp(0), SINCE, 100, decide)
        .await
        .expect("planned")
}

battery! {
    acme_15_a_domain_that_gives_way_keeps_its_rows_and_loses_its_certificates(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let identity = Identity { chain_pem: "chain".into(), key_pem: Zeroizing::new("key".into()) };
        let later = Timestamp(NOW.0 + 100);
        d.certificate_add(&identity, later, "acme", "current", NOW).await.expect("added");
        d.certificate_add(&identity, later, "uploaded", "next", NOW).await.expect("added");
        d.order_set(&OrderRow { url: "u".into(), key_pem: Zeroizing::new("k".into()), csr: vec![], authority: String::new() }).await.expect("set");
        d.account_add("juliet", &[], NOW).await.expect("added");
        let edited = DomainRow { revision: row.revision + 1, ..row.clone() };
        assert!(!store.domain_give_way(&edited, NOW).await.expect("asked"), "its row was edited since");
        assert!(store.domain_give_way(&row, NOW).await.expect("written"));
        assert!(store.domain_hosted(&row.name).await.expect("read").is_none());
        let left: Vec<_> = d.certificate_list().await.expect("read").into_iter().map(|held| held.source).collect();
        assert_eq!(left, ["uploaded"], "that one is not ours to revoke");
        assert!(d.order_get().await.expect("read").is_none());
        assert!(d.account_find("juliet").await.expect("read").is_some());
        let due = store.revocation_claim(NOW, later, 10).await.expect("read");
        assert_eq!(due.into_iter().map(|due| due.chain_pem).collect::<Vec<_>>(), ["chain"]);
        let other = DomainRow { label: "bbb".into(), tenant: store.tenant_add("Other", "active", "{}", NOW).await.expect("added"), ..row };
        store.domain_add(&other).await.expect("the name is free to be proven");
    }

    acme_13_the_line_takes_tenants_in_turn_and_the_urgent_first(store) {
        let (_, big, _) = house(&store, "big.example", "a0").await;
        let mut ids = vec![big.clone()];
        for n in 1..4 {
            let mut more = domain(big.tenant, &format!("big{n}.example"), &format!("a{n}"));
            more.id = store.domain_add(&more).await.expect("domain");
            ids.push(more);
        }
        let (_, small, _) = house(&store, "small.example", "b").await;
        let (_, urgent, _) = house(&store, "urgent.example", "c").await;
        for (n, row) in ids.iter().enumerate() {
            store.queue_put(&waiting(row, 1, Timestamp(NOW.0 + i64::try_from(n).expect("small")))).await.expect("put");
        }
        store.queue_put(&waiting(&small, 1, Timestamp(NOW.0 + 50))).await.expect("put");
        store.queue_put(&waiting(&urgent, 0, Timestamp(NOW.0 + 60))).await.expect("put");
        let names = |rows: Vec<QueueRow>| rows.into_iter().map(|row| row.names[0].clone()).collect::<Vec<_>>();
        assert_eq!(
            names(store.queue_list(None, 10).await.expect("read")),
            ["urgent.example", "big.example", "small.example", "big1.example", "big2.example", "big3.example"]
        );
        assert_eq!(names(store.queue_list(Some(small.tenant), 10).await.expect("read")), ["small.example"]);
        // Said anew: still one order a domain.
        store.queue_put(&waiting(&small, 0, NOW)).await.expect("put");
        assert_eq!(store.queue_list(None, 10).await.expect("read").len(), 6);
        assert_eq!(store.queue_get(small.id).await.expect("read").expect("there").priority, 0);
        store.queue_remove(small.id).await.expect("removed");
        assert!(store.queue_get(small.id).await.expect("read").is_none());
    }

    a_plan_is_alone_and_what_it_takes_is_counted(store) {
        let mut ids = Vec::new();
        for n in 0..12 {
            let (_, row, _) = house(&store, &format!("d{n}.example"), &format!("l{n}")).await;
            store.queue_put(&waiting(&row, 1, NOW)).await.expect("put");
            ids.push(row.id);
        }
        let plans: Vec<_> = ids.iter().map(|id| {
            let (store, id) = (store.clone(), *id);
            tokio::spawn(async move { plan(&store, id, NOW, 5).await })
        }).collect();
        let mut started = 0;
        for planned in plans {
            started += usize::from(matches!(planned.await.expect("no panic"), Planned::Start(_)));
        }
        assert_eq!(started, 5, "twelve at once, room for five");
        let counts = store.queue_counts().await.expect("read");
        assert_eq!(counts, [(1, "orders".to_owned(), 7), (1, "under-way".to_owned(), 5)]);
        let used = store.spent_since("order", Timestamp(0), 10).await.expect("read");
        assert_eq!(used, [("https://ca".to_owned(), String::new(), 5, NOW)]);
        assert_eq!(store.spent_sweep(Timestamp(NOW.0 + 1)).await.expect("swept"), 5);

        // Back into the line; a node that died is given up by the next plan.
        let one = store.queue_list(None, 1).await.expect("read").remove(0);
        assert!(one.started.is_some());
        store.queue_rest(one.domain, 2, Timestamp(NOW.0 + 9), "back-off").await.expect("rests");
        let rests = store.queue_get(one.domain).await.expect("read").expect("there");
        assert_eq!((rests.started, rests.failures, rests.why.as_str()), (None, 2, "back-off"));
        let decide = |view: &QueueView| {
            assert!(view.waiting.iter().all(|row| row.started.is_none()));
            Planned::Wait { until: NOW, why: "turn".into() }
        };
        store.queue_plan(one.domain, NOW, Timestamp(NOW.0 + 1), SINCE, 100, decide).await.expect("planned");
    }

    acme_13_what_no_plan_can_start_does_not_hide_the_rest_of_the_line(store) {
        let mut rows = Vec::new();
        for n in 0..3 {
            let (_, row, _) = house(&store, &format!("d{n}.example"), &format!("l{n}")).await;
            store.queue_put(&waiting(&row, u8::from(n == 2), NOW)).await.expect("put");
            rows.push(row);
        }
        let (_, elsewhere, _) = house(&store, "elsewhere.example", "e").await;
        let other = QueueRow { authority: "https://other".into(), ..waiting(&elsewhere, 0, NOW) };
        store.queue_put(&other).await.expect("put");
        let until = Timestamp(NOW.0 + 100);
        let ask = async |row: &DomainRow, now: Timestamp, limit: u32, why: &str| {
            let mut seen = Vec::new();
            let decide = |view: &QueueView| {
                seen = view.waiting.iter().map(|row| row.names[0].clone()).collect();
                Planned::Wait { until, why: why.into() }
            };
            store.queue_plan(row.id, now, Timestamp(0), SINCE, limit, decide).await.expect("planned");
            seen
        };
        assert_eq!(ask(&rows[2], NOW, 10, "turn").await, ["d0.example", "d1.example", "d2.example"], "of one authority");
        ask(&rows[0], NOW, 10, "registered-domain").await;
        ask(&rows[1], NOW, 10, "failures").await;
        assert_eq!(ask(&rows[2], NOW, 2, "orders").await, ["d2.example"]);
        assert_eq!(ask(&rows[0], NOW, 2, "duplicates").await, ["d0.example", "d2.example"], "itself, and who waits for others");
        assert_eq!(ask(&rows[2], until, 2, "turn").await, ["d0.example", "d1.example"], "their time has come");
        assert_eq!(ask(&elsewhere, NOW, 10, "turn").await, ["elsewhere.example"]);
    }

    what_matters_to_those_in_line_is_seen_by_the_plan(store) {
        let (_, one, _) = house(&store, "one.example", "a").await;
        store.queue_put(&waiting(&one, 1, NOW)).await.expect("put");
        store.spent_add(&[
            row("certificate", "one.example", 5), row("certificate", "set of one.example", 6), row("certificate", "other.example", 7),
            row("failure", "one.example", 8), row("order", "", 9),
        ]).await.expect("spent");
        let authority = AuthorityRow { directory: "https://ca".into(), not_before: Timestamp(3), said: "slow".into(), offers: "{}".into(), ..AuthorityRow::default() };
        store.authority_set(&authority).await.expect("set");
        store.authority_set(&authority).await.expect("again");
        assert_eq!(store.authority_list().await.expect("read"), std::slice::from_ref(&authority));
        let decide = |view: &QueueView| {
            let mut seen: Vec<_> = view.spent.iter().map(|row| row.at.0).collect();
            seen.sort_unstable();
            assert_eq!(seen, [5, 6, 8, 9], "nobody in line is of other.example");
            assert_eq!(view.authorities, [authority]);
            Planned::Wait { until: NOW, why: "turn".into() }
        };
        store.queue_plan(one.id, NOW, Timestamp(0), SINCE, 100, decide).await.expect("planned");
    }

    acme_08_only_the_domain_itself_answers_for_a_name(store) {
        let (_, _, one) = house(&store, "one.example", "a").await;
        let (_, _, two) = house(&store, "two.example", "b").await;
        one.answer_put("one.example", "t", "t.key", NOW).await.expect("put");
        two.answer_put("one.example", "t", "t.forged", NOW).await.expect("nothing happens");
        two.answer_remove("one.example", "t").await.expect("nothing happens");
        assert_eq!(store.answer_get("one.example", "t").await.expect("read").as_deref(), Some("t.key"));
        assert_eq!(store.answer_get("two.example", "t").await.expect("read"), None);
        one.answer_remove("one.example", "t").await.expect("removed");
        assert_eq!(store.answer_get("one.example", "t").await.expect("read"), None);
        one.answer_put("one.example", "u", "u.key", NOW).await.expect("put");
        assert_eq!(store.answers_sweep(Timestamp(NOW.0 + 1)).await.expect("swept"), 1);
    }

    acme_08_a_label_leads_to_its_own_domain_s_answers(store) {
        let (_, _, one) = house(&store, "one.example", "a").await;
        let (_, _, _two) = house(&store, "two.example", "b").await;
        one.answer_put("rooms.one.example", "t", "t.key", NOW).await.expect("put");
        assert_eq!(store.answer_get_label("a", "t").await.expect("read").as_deref(), Some("t.key"));
        assert_eq!(store.answer_get_label("b", "t").await.expect("read"), None);
        assert_eq!(store.answer_get_label("a", "u").await.expect("read"), None);
    }

    acme_15_what_was_ordered_for_a_domain_that_left_is_kept_until_it_is_revoked(store) {
        let (_, row, d) = house(&store, "one.example", "a").await;
        let identity = |chain: &str| Identity { chain_pem: chain.into(), key_pem: Zeroizing::new("k".into()) };
        let later = Timestamp(NOW.0 + 1000);
        d.certificate_add(&identity("ordered"), later, "acme", "current", NOW).await.expect("added");
        d.certificate_add(&identity("ended"), NOW, "acme", "retired", NOW).await.expect("added");
        d.certificate_add(&identity("uploaded"), later, "uploaded", "retired", NOW).await.expect("added");
        store.domain_remove(&row, true, NOW).await.expect("removed");
        let soon = Timestamp(NOW.0 + 10);
        let due = store.revocation_claim(NOW, soon, 10).await.expect("read");
        assert_eq!(due.iter().map(|due| (due.domain.as_str(), due.chain_pem.as_str())).collect::<Vec<_>>(), [("one.example", "ordered")]);
        assert!(store.revocation_claim(NOW, soon, 10).await.expect("read").is_empty(), "somebody is at it");
        store.revocation_failed(due[0].id, Timestamp(NOW.0 + 20)).await.expect("written");
        assert!(store.revocation_claim(soon, soon, 10).await.expect("read").is_empty());
        let again = store.revocation_claim(Timestamp(NOW.0 + 20), Timestamp(NOW.0 + 30), 10).await.expect("read");
        assert_eq!(again[0].failures, 1);
        assert!(store.revocation_claim(later, later, 10).await.expect("read").is_empty(), "it has ended by itself");

        let (_, row, d) = house(&store, "two.example", "b").await;
        d.certificate_add(&identity("more"), later, "acme", "current", NOW).await.expect("added");
        store.domain_remove(&row, false, NOW).await.expect("removed");
        let due = store.revocation_claim(NOW, NOW, 10).await.expect("read");
        store.revocation_done(due[0].id).await.expect("removed");
        assert!(store.revocation_claim(NOW, NOW, 10).await.expect("read").is_empty());
    }
}
