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
        let place = async |token: &str, prefix: &str| store.upload_place(token, prefix).await.expect("asked");
        assert_eq!(place("t1", "files/").await, Some(key("t1")));
        assert_eq!(place("t1", "elsewhere/").await, Some(key("t1")), "once said");
        assert_eq!(place("t2", "files/").await, Some(key("t2")));
        assert_eq!(place("nobody's", "files/").await, None);
        assert!(store.upload_stored("t1", NEVER).await.expect("written"));
        assert_eq!(place("t1", "files/").await, None, "filled");
        let found = store.upload_find("t1").await.expect("read").expect("there");
        assert_eq!(found.place, Some(key("t1")));

        let gone = async || store.uploads_gone("", 10).await.expect("read");
        assert!(gone().await.is_empty());
        // A slot that ended while bytes may have been on their way, and one that nothing ever went into.
        assert_eq!(store.uploads_end(Timestamp(NOW.0 + 10), 10).await.expect("ended").len(), 2);
        assert_eq!(gone().await, [key("t2")]);
        assert!(store.domain_remove(&row, false, NOW).await.expect("removed"));
        assert_eq!(gone().await, [key("t1"), key("t2")], "with the domain");
        assert_eq!(store.uploads_gone(&key("t1"), 10).await.expect("read"), [key("t2")]);
        store.upload_forgotten(&key("t1")).await.expect("forgotten");
        assert_eq!(gone().await, [key("t2")]);
    }

    block_lists_are_a_domain_s_own_and_stay_until_they_are_read_anew(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let list = d.block_list_follow("rtbl.example", "n").await.expect("followed");
        assert_eq!(d.block_list_follow("rtbl.example", "n").await.expect("followed"), list);
        assert_ne!(d.block_list_follow("rtbl.example", "m").await.expect("followed"), list);
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let at = |seconds: i64| Timestamp(NOW.0 + seconds);
        assert!(d.block_list_add(list, &[a, b, a], NOW).await.expect("kept"));
        assert!(other.block_list_add(list, &[c], NOW).await.expect("asked"), "another's list");
        let on = async |d: &DomainStore, entry| !d.block_listed(&entry, &[9; 32]).await.expect("read").is_empty();
        assert!(on(&d, a).await && on(&d, b).await && !on(&d, c).await && !on(&other, a).await);
        assert_eq!(d.block_listed(&[9; 32], &b).await.expect("read"), [("rtbl.example".into(), "n".into())]);
        d.block_list_failed(list, "out of reach").await.expect("kept");
        let row = |lists: Vec<BlockListRow>| lists.into_iter().find(|row| row.id == list).expect("there");
        let failed = row(d.block_lists().await.expect("read"));
        assert_eq!((failed.entries, failed.read, failed.problem.as_str()), (2, None, "out of reach"));
        // The next reading finds one of them, and a new one.
        assert!(d.block_list_add(list, &[b, c], at(2)).await.expect("kept"));
        other.block_list_read(list, at(9), at(9), "").await.expect("asked");
        assert!(on(&d, a).await, "nobody else says what has gone");
        d.block_list_read(list, at(1), at(3), "").await.expect("kept");
        assert!(!on(&d, a).await && on(&d, b).await && on(&d, c).await);
        let read = row(d.block_lists().await.expect("read"));
        assert_eq!((read.entries, read.read, read.problem.as_str()), (2, Some(at(3)), ""));
        other.block_list_remove(list, &b).await.expect("asked");
        assert!(on(&d, b).await);
        d.block_list_remove(list, &b).await.expect("removed");
        assert!(!on(&d, b).await);
        let many: Vec<BlockListEntry> = (0..BLOCK_LIST_ENTRIES)
            .map(|n| std::array::from_fn(|i| n.to_be_bytes().get(i).copied().unwrap_or(7)))
            .collect();
        assert!(!d.block_list_add(list, &many, at(4)).await.expect("kept"), "one too many");
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
