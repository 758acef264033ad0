//! Slots, files, and how much of them there may be; components and their secrets.

use super::*;

pub(super) fn slot(token: &str, domain: DomainId, account: AccountId, size: u64) -> UploadRow {
    UploadRow {
        token: token.into(),
        domain,
        account,
        name: "cat.jpg".into(),
        media_type: "image/jpeg".into(),
        size,
        created: NOW,
        ends: Timestamp(NOW.0 + 10),
        stored: false,
        place: None,
        bucket: None,
    }
}

battery! {
    ext_30_slots_are_counted_for_account_and_domain(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let mut accounts = Vec::new();
        for local in ["juliet", "romeo"] {
            d.account_add(local, &[], NOW).await.expect("added");
            accounts.push(d.account_find(local).await.expect("read").expect("there").id);
        }
        let of = |token: &str, at: usize, size| slot(token, row.id, accounts[at], size);
        let ask = async |slot: UploadRow| d.upload_slot(&slot, 100, 150, 150).await.expect("asked");
        assert_eq!(ask(of("t1", 0, 60)).await, SlotMade::Made);
        assert_eq!(ask(of("t2", 0, 41)).await, SlotMade::AccountFull(60));
        assert_eq!(ask(of("t3", 1, 90)).await, SlotMade::Made);
        assert_eq!(ask(of("t4", 0, 1)).await, SlotMade::DomainFull(150));
        assert_eq!(store.upload_find("t1").await.expect("read"), Some(of("t1", 0, 60)));
        assert!(store.upload_stored("t1", NEVER).await.expect("written"));
        assert!(!store.upload_stored("t1", NEVER).await.expect("asked"), "it is filled once");
        let listed = d.uploads_of(accounts[0], 10).await.expect("read");
        assert_eq!(listed.len(), 1);
        assert!(listed[0].stored && listed[0].ends == NEVER);
        assert_eq!(d.uploads_of(accounts[1], 10).await.expect("read"), []);

        // An empty slot that has ended makes room.
        assert_eq!(store.uploads_end(Timestamp(NOW.0 + 10), 10).await.expect("ended"), ["t3"]);
        assert_eq!(ask(of("t5", 0, 1)).await, SlotMade::Made);
        assert!(!d.upload_remove(accounts[1], "t1").await.expect("asked"), "another's");
        assert!(d.upload_remove(accounts[0], "t1").await.expect("removed"));
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let unknown = store.uploads_unknown(vec!["t1".into(), "t5".into()]).await.expect("read");
        assert_eq!(unknown, ["t1", "t5"], "files leave with the account");
    }

    ext_30_an_object_is_known_until_it_has_gone(store) {
        let (tenant, row, d) = house(&store, "example.com", "aaa").await;
        let account = d.account_add("juliet", &[], NOW).await.expect("added");
        for token in ["t1", "t2", "t3"] {
            assert_eq!(d.upload_slot(&slot(token, row.id, account, 1), 9, 9, 9).await.expect("asked"), SlotMade::Made);
        }
        let key = |token: &str| format!("files/{tenant}/{}/{token}", row.id);
        let place = async |token: &str, prefix: &str| {
            let placed = store.upload_place(token, "one", prefix).await.expect("asked");
            placed.map(|(place, bucket)| {
                assert_eq!(bucket, "one");
                place
            })
        };
        assert_eq!(place("t1", "files/").await, Some(key("t1")));
        assert_eq!(place("t1", "elsewhere/").await, Some(key("t1")), "once said");
        assert_eq!(place("t2", "files/").await, Some(key("t2")));
        assert_eq!(place("nobody's", "files/").await, None);
        // As a version has left it that knew of one bucket only.
        let before = crate::wr!(store, p => sqlx::query("UPDATE uploads SET bucket = NULL WHERE token = 't1'").execute(p).await.map(|_| ()));
        before.expect("written");
        store.uploads_adopt("one").await.expect("written");
        store.uploads_adopt("two").await.expect("written");
        assert!(store.upload_stored("t1", NEVER).await.expect("written"));
        assert_eq!(place("t1", "files/").await, None, "filled");
        let found = store.upload_find("t1").await.expect("read").expect("there");
        assert_eq!((found.place, found.bucket.as_deref()), (Some(key("t1")), Some("one")));

        let gone = async || store.uploads_gone("one", "", 10).await.expect("read");
        assert!(gone().await.is_empty());
        // A slot that ended while bytes may have been on their way, and one that nothing ever went into.
        assert_eq!(store.uploads_end(Timestamp(NOW.0 + 10), 10).await.expect("ended").len(), 2);
        assert_eq!(gone().await, [key("t2")]);
        assert!(store.domain_remove(&row, false, NOW).await.expect("removed"));
        assert_eq!(gone().await, [key("t1"), key("t2")], "with the domain");
        assert_eq!(store.uploads_gone("one", &key("t1"), 10).await.expect("read"), [key("t2")]);
        assert!(store.uploads_gone("two", "", 10).await.expect("read").is_empty(), "it is not there");
        assert_eq!(store.uploads_elsewhere("two").await.expect("read"), 2);
        assert_eq!(store.uploads_elsewhere("one").await.expect("read"), 0);
        store.upload_forgotten(&key("t1")).await.expect("forgotten");
        assert_eq!(gone().await, [key("t2")]);
        // Its bytes came after all, from another process.
        store.upload_left_behind("t1", &key("t1"), "one").await.expect("kept");
        assert_eq!(gone().await, [key("t1"), key("t2")]);
    }

    ext_38_a_link_to_one_s_own_data_is_good_once_for_a_while_and_for_one_account(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        for local in ["juliet", "nurse"] {
            d.account_add(local, &[], NOW).await.expect("added");
        }
        let later = Timestamp(NOW.0 + 10);
        assert!(!d.own_export_put("nobody", b"n", later).await.expect("asked"));
        assert!(!other.own_export_put("juliet", b"n", later).await.expect("asked"));
        for (local, token) in [("juliet", b"j1"), ("juliet", b"j2"), ("nurse", b"n1")] {
            assert!(d.own_export_put(local, token, later).await.expect("kept"));
        }
        let whose = async |token: &[u8], now| store.own_export_find(token, now).await.expect("read").map(|row| row.local);
        assert_eq!(whose(b"j1", NOW).await, None, "another took its place");
        assert_eq!(whose(b"j2", NOW).await.as_deref(), Some("juliet"));
        assert_eq!(whose(b"j2", later).await, None, "over");
        assert!(!other.own_export_take(b"j2", NOW).await.expect("asked"), "another domain's");
        assert!(!d.own_export_take(b"j2", later).await.expect("asked"));
        assert!(d.own_export_take(b"j2", NOW).await.expect("asked"));
        assert!(!d.own_export_take(b"j2", NOW).await.expect("asked"), "once");
        d.account_set_state("nurse", "suspended", NOW).await.expect("set");
        assert_eq!(whose(b"n1", NOW).await, None, "stopped");
        assert!(!d.own_export_take(b"n1", NOW).await.expect("asked"));
        assert!(!d.own_export_put("nurse", b"n2", later).await.expect("asked"));
        d.account_set_state("nurse", "active", NOW).await.expect("set");
        store.own_exports_sweep(NOW).await.expect("swept");
        assert!(whose(b"n1", NOW).await.is_some());
        store.own_exports_sweep(later).await.expect("swept");
        assert_eq!(whose(b"n1", NOW).await, None);
    }

    ext_31_the_secret_of_a_domain_s_relays_is_its_own(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let secret = async |d: &DomainStore| d.external_secret().await.expect("read").map(|secret| secret.to_vec());
        assert_eq!(secret(&d).await, None);
        d.external_secret_put(b"one").await.expect("kept");
        d.external_secret_put(b"two").await.expect("kept");
        assert_eq!(secret(&d).await.as_deref(), Some(&b"two"[..]));
        assert_eq!(secret(&other).await, None);
        assert!(!other.external_secret_remove().await.expect("asked"), "another domain's is not there");
        assert!(d.external_secret_known().await.expect("asked") && !other.external_secret_known().await.expect("asked"));
        assert!(secret(&d).await.is_some());
        assert!(d.external_secret_remove().await.expect("forgotten"));
        assert_eq!(secret(&d).await, None);
    }

    block_lists_are_a_domain_s_own_and_stay_until_they_are_read_anew(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let list = d.block_list_follow("rtbl.example", "n").await.expect("followed");
        assert_eq!(d.block_list_follow("rtbl.example", "n").await.expect("followed"), list);
        assert_ne!(d.block_list_follow("rtbl.example", "m").await.expect("followed"), list);
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let at = |seconds: i64| Timestamp(NOW.0 + seconds);
        let claim = async |now| store.block_lists_claim(now, at(600), 9).await.expect("claimed");
        assert!(other.block_lists_claim(NOW, at(600), 9).await.expect("asked").is_empty());
        let mine = d.block_lists_claim(NOW, at(600), 9).await.expect("claimed");
        assert_eq!(mine.len(), 2, "both of them are new");
        assert!(mine.iter().all(|due| due.domain == d.id() && due.name == "example.com"));
        let first = mine.into_iter().find(|due| due.list.id == list).expect("due").reading;
        assert!(claim(at(599)).await.is_empty(), "somebody reads them");
        let change = async |d: &DomainStore, gone: &[BlockListEntry], new: &[BlockListEntry], reading| {
            let learnt = d.block_list_change(list, gone, new, reading).await.expect("kept");
            assert!(learnt.room);
            learnt.changed
        };
        assert!(change(&d, &[], &[a, b, a], Some(first)).await);
        assert!(!change(&d, &[], &[a, b], Some(first)).await, "nothing new");
        assert!(!change(&other, &[a], &[c], None).await, "another's list");
        let on = async |d: &DomainStore, entry| !d.block_listed(&entry, &[9; 32]).await.expect("read").is_empty();
        assert!(on(&d, a).await && on(&d, b).await && !on(&d, c).await && !on(&other, a).await);
        assert_eq!(d.block_listed(&[9; 32], &b).await.expect("read"), [("rtbl.example".into(), "n".into())]);
        d.block_list_failed(list, "out of reach").await.expect("kept");
        let row = |lists: Vec<BlockListRow>| lists.into_iter().find(|row| row.id == list).expect("there");
        let failed = row(d.block_lists().await.expect("read"));
        assert_eq!((failed.entries, failed.read, failed.problem.as_str()), (2, None, "out of reach"));
        // The next reading finds one of them, and a new one comes meanwhile. The clock has gone back: that decides nothing.
        let second = claim(at(600)).await.into_iter().find(|due| due.list.id == list).expect("due again").reading;
        let third = store.block_lists_claim(at(600), NOW, 9).await.expect("claimed");
        let third = third.into_iter().find(|due| due.list.id == list).expect("due again").reading;
        assert!(first < second && second < third);
        assert!(!change(&d, &[], &[b], Some(third)).await);
        assert!(change(&d, &[], &[c], None).await);
        assert!(!other.block_list_read(list, third + 1, at(9), at(9), "").await.expect("asked"));
        assert!(on(&d, a).await, "nobody else says what has gone");
        assert!(d.block_list_read(list, third, at(3), at(700), "").await.expect("kept"));
        assert!(!on(&d, a).await && on(&d, b).await && on(&d, c).await);
        let read = row(d.block_lists().await.expect("read"));
        assert_eq!((read.entries, read.read, read.problem.as_str()), (2, Some(at(3)), ""));
        let due = async |now| claim(now).await.iter().any(|due| due.list.id == list);
        other.block_list_soon("rtbl.example", "n", at(5)).await.expect("asked");
        assert!(!due(at(650)).await);
        d.block_list_soon("rtbl.example", "n", at(660)).await.expect("asked");
        d.block_list_soon("rtbl.example", "n", at(690)).await.expect("asked");
        assert!(due(at(660)).await, "the sooner of both");
        assert!(change(&d, &[b, a], &[], None).await);
        assert!(!on(&d, b).await && on(&d, c).await);
        assert!(!other.block_list_purge(list).await.expect("asked"));
        assert!(d.block_list_purge(list).await.expect("purged") && !on(&d, c).await);
        assert!(change(&d, &[], &[c], None).await);
        let followed = d.block_lists_followed().await.expect("read");
        assert_eq!(followed.len(), 2);
        let many: Vec<BlockListEntry> = (0..BLOCK_LIST_ENTRIES)
            .map(|n| std::array::from_fn(|i| n.to_be_bytes().get(i).copied().unwrap_or(7)))
            .collect();
        let learnt = d.block_list_change(list, &[], &many, None).await.expect("kept");
        assert!(learnt.changed && !learnt.room, "one too many");
        assert_eq!(row(d.block_lists().await.expect("read")).entries, BLOCK_LIST_ENTRIES);
        other.block_list_leave(list).await.expect("asked");
        assert!(on(&d, c).await);
        d.block_list_leave(list).await.expect("left");
        assert!(!on(&d, c).await);
    }

    comp_02_a_component_s_secret_is_kept_for_its_domain(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let secret = async |d: &DomainStore| d.component_secret("bridge").await.expect("read").map(|s| s.to_string());
        assert_eq!(secret(&d).await, None);
        d.component_put("bridge", "one", NOW).await.expect("kept");
        d.component_put("bridge", "two", Timestamp(NOW.0 + 1)).await.expect("kept");
        assert_eq!(secret(&d).await.as_deref(), Some("two"));
        assert_eq!(secret(&other).await, None);
        assert_eq!(d.component_list().await.expect("read"), [("bridge".into(), Timestamp(NOW.0 + 1))]);
        assert!(!other.component_remove("bridge").await.expect("asked"));
        assert!(d.component_remove("bridge").await.expect("removed"));
        assert_eq!(secret(&d).await, None);
    }
}
