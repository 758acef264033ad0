//! Invitations to an account: used up by success only, by one, of one domain.

use super::*;

pub(super) fn invite(kind: InviteKind, contact: Option<&str>) -> InviteRow {
    InviteRow {
        id: 0,
        domain: DomainId(0),
        kind,
        local: None,
        contact: contact.map(str::to_owned),
        note: "for the cook".into(),
        by: "juliet@example.com".into(),
        created: NOW,
        expires: Timestamp(NOW.0 + 10),
    }
}

battery! {
    ext_34_an_invitation_is_used_up_by_success_only(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let new = invite(InviteKind::Account, None);
        let id = d.invite_add(b"one", &new).await.expect("asked").expect("added");
        let found = store.invite_find(b"one", NOW).await.expect("read").expect("good");
        assert_eq!(found, InviteRow { id, domain: row.id, ..new });
        assert!(store.invite_find(b"two", NOW).await.expect("read").is_none(), "unknown");
        assert!(store.invite_find(b"one", Timestamp(NOW.0 + 10)).await.expect("read").is_none(), "over");
        assert_eq!(d.invite_list(NOW).await.expect("read"), [found]);
        assert!(other.invite_list(NOW).await.expect("read").is_empty());

        d.account_add("romeo", &[], NOW).await.expect("added");
        let taken = d.invite_take(id, "romeo", &verifiers("p"), 9, NOW).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
        assert!(other.invite_take(id, "nurse", &verifiers("p"), 9, NOW).await.expect("asked").is_none(), "another domain");
        let nurse = d.invite_take(id, "nurse", &verifiers("p"), 9, NOW).await.expect("taken").expect("made");
        assert_eq!(d.account_active("nurse").await.expect("read"), Some(nurse));
        assert!(d.invite_take(id, "cook", &verifiers("p"), 9, NOW).await.expect("asked").is_none(), "used up");
        assert!(store.invite_find(b"one", NOW).await.expect("read").is_none());
        assert!(d.account_active("cook").await.expect("read").is_none());
    }

    ext_34_of_two_at_once_one_has_it(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.invite_add(b"one", &invite(InviteKind::Account, None)).await.expect("asked").expect("added");
        let tries = (0..8).map(|n| {
            let d = d.clone();
            tokio::spawn(async move { d.invite_take(id, &format!("u{n}"), &[], 9, NOW).await.expect("asked") })
        });
        let mut made = 0;
        for one in tries.collect::<Vec<_>>() {
            made += usize::from(one.await.expect("done").is_some());
        }
        assert_eq!((made, d.account_count().await.expect("read")), (1, 1));
    }

    ext_34_who_invites_and_who_comes_are_each_other_s_contacts(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let missing = d.invite_add(b"none", &invite(InviteKind::Contact, Some("juliet"))).await.expect("asked");
        assert_eq!(missing, None, "there is no juliet");
        let juliet = d.account_add("juliet", &[], NOW).await.expect("added");
        let mut feed = store.change_feed().await.expect("feed");
        let id = d.invite_add(b"one", &invite(InviteKind::Contact, Some("juliet"))).await.expect("asked").expect("added");
        assert!(d.account_set_state("juliet", "suspended", NOW).await.expect("set"));
        assert!(store.invite_find(b"one", NOW).await.expect("read").is_none(), "while she is stopped");
        assert!(d.invite_take(id, "nurse", &[], 9, NOW).await.expect("asked").is_none());
        assert!(d.account_set_state("juliet", "active", NOW).await.expect("set"));
        let nurse = d.invite_take(id, "nurse", &[], 9, NOW).await.expect("taken").expect("made");
        for (account, contact) in [(juliet, "nurse@example.com"), (nurse, "juliet@example.com")] {
            let roster = d.roster_load(account).await.expect("read");
            assert_eq!(roster.version, NOW.0 + 1);
            let [item] = &roster.items[..] else { panic!("{roster:?}") };
            assert_eq!((item.jid.as_str(), item.subscription), (contact, Subscription::Both));
        }
        let news = feed.poll().await.expect("read");
        assert!(news.contains(&Change::Roster("juliet@example.com".into(), "nurse@example.com".into())), "{news:?}");

        let full = d.invite_add(b"two", &invite(InviteKind::Contact, Some("juliet"))).await.expect("asked").expect("added");
        let cook = d.invite_take(full, "cook", &[], 1, NOW).await.expect("taken").expect("made");
        assert!(d.roster_load(cook).await.expect("read").items.is_empty(), "her roster is full");
    }

    ext_34_a_token_greets_for_whoever_made_it(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let juliet = d.account_add("juliet", &[], NOW).await.expect("added");
        let nurse = d.account_add("nurse", &[], NOW).await.expect("added");
        d.invite_add(b"one", &invite(InviteKind::Contact, Some("juliet"))).await.expect("asked").expect("added");
        d.invite_add(b"two", &invite(InviteKind::Account, Some("juliet"))).await.expect("asked").expect("added");
        assert!(!d.invite_greet(b"one", nurse, NOW).await.expect("asked"), "somebody else's");
        assert!(!d.invite_greet(b"two", juliet, NOW).await.expect("asked"), "for an account here");
        assert!(!d.invite_greet(b"one", juliet, Timestamp(NOW.0 + 10)).await.expect("asked"), "over");
        assert!(d.invite_greet(b"one", juliet, NOW).await.expect("asked"));
        assert!(!d.invite_greet(b"one", juliet, NOW).await.expect("asked"), "used up");
        // Whoever invites takes their invitations along.
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        assert!(d.invite_list(NOW).await.expect("read").is_empty());
    }

    ext_34_a_name_is_kept_until_the_invitation_ends(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let kept = InviteRow { local: Some("nurse".into()), ..invite(InviteKind::Account, None) };
        let id = d.invite_add(b"one", &kept).await.expect("asked").expect("added");
        let free = d.invite_add(b"two", &invite(InviteKind::Account, None)).await.expect("asked").expect("added");
        assert!(d.invite_keeps("nurse", NOW).await.expect("read"));
        let taken = d.account_add("nurse", &[], NOW).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
        let taken = d.invite_take(free, "nurse", &[], 9, NOW).await;
        assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
        assert_eq!(d.account_import(&[("nurse".into(), vec![])], NOW).await.expect("imported"), ["nurse"]);
        assert!(d.invite_take(id, "cook", &[], 9, NOW).await.expect("asked").is_none(), "not that name");
        assert!(d.invite_take(id, "nurse", &[], 9, NOW).await.expect("taken").is_some());

        let kept = InviteRow { local: Some("cook".into()), ..kept };
        let id = d.invite_add(b"three", &kept).await.expect("asked").expect("added");
        let later = Timestamp(NOW.0 + 10);
        d.account_add("cook", &[], later).await.expect("its time is over");
        assert!(d.invite_remove(id).await.expect("removed"));
        assert!(!d.invite_remove(id).await.expect("gone already"));
        store.invites_sweep(Timestamp(NOW.0 + 10 + 86_400_000_000)).await.expect("swept");
        assert!(store.invite_find(b"two", NOW).await.expect("read").is_some(), "a form may still be open");
        store.invites_sweep(Timestamp(NOW.0 + 11 + 86_400_000_000)).await.expect("swept");
        assert!(store.invite_find(b"two", NOW).await.expect("read").is_none());
    }
}
