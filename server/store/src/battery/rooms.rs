//! Rooms and what people are in them.

use super::*;

pub(super) fn room(local: &str) -> RoomRow {
    RoomRow {
        local: local.into(),
        name: "Witches".into(),
        listed: true,
        config: "{}".into(),
        salt: vec![7; 32],
        subject: None,
        created: NOW,
    }
}

pub(super) fn affiliation(jid: &str, word: &str) -> RoomAffiliation {
    RoomAffiliation {
        jid: bare(jid),
        affiliation: word.into(),
        nick: None,
        reason: None,
    }
}

battery! {
    rooms_and_their_people(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        assert!(d.room_load("coven").await.expect("read").is_none());
        let owner = affiliation("crone1@example.com", "owner");
        let id = d.room_add(&room("coven"), std::slice::from_ref(&owner)).await.expect("added");
        let twice = d.room_add(&room("coven"), &[]).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        assert_eq!(d.room_load("coven").await.expect("read"), Some((id, room("coven"), vec![owner.clone()])));

        let member = RoomAffiliation { nick: Some("hag".into()), reason: Some("apt".into()), ..affiliation("hag@example.net", "member") };
        assert!(d.room_affiliate(id, &[member.clone(), affiliation("bad@example.net", "outcast")]).await.expect("written"));
        assert!(d.room_affiliate(id, &[affiliation("bad@example.net", "")]).await.expect("written"));
        assert!(d.room_configure(id, "", false, "{\"x\":1}").await.expect("written"));
        assert!(d.room_subject(id, b"<message/>", NOW).await.expect("written"));
        let changed = RoomRow { name: String::new(), listed: false, config: "{\"x\":1}".into(),
            subject: Some((b"<message/>".to_vec(), NOW)), ..room("coven") };
        assert_eq!(d.room_load("coven").await.expect("read"), Some((id, changed, vec![owner, member])));
        d.room_remove(id).await.expect("removed");
        assert!(d.room_load("coven").await.expect("read").is_none());
        assert!(!d.room_affiliate(id, &[affiliation("x@example.net", "member")]).await.expect("asked"), "it is gone");
        assert!(!d.room_configure(id, "", false, "{}").await.expect("asked"));
        assert!(!d.room_subject(id, b"x", NOW).await.expect("asked"));
    }

    rooms_are_listed_by_name_and_domain(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        for local in ["b", "a", "c"] {
            d.room_add(&room(local), &[]).await.expect("added");
        }
        d.room_add(&RoomRow { listed: false, ..room("hidden") }, &[]).await.expect("added");
        let id = other.room_add(&room("elsewhere"), &[]).await.expect("added");
        let locals = |rooms: Vec<ListedRoom>| rooms.into_iter().map(|r| r.local).collect::<Vec<_>>();
        assert_eq!(locals(d.rooms_listed("", 10).await.expect("read")), ["a", "b", "c"]);
        assert_eq!(locals(d.rooms_listed("a", 1).await.expect("read")), ["b"]);
        assert_eq!(d.room_count().await.expect("read"), 4);
        d.room_remove(id).await.expect("asked");
        assert!(other.room_load("elsewhere").await.expect("read").is_some(), "not this domain's to remove");
    }

    a_removed_account_is_nobody_in_its_domain_s_rooms(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        d.account_add("juliet", &[], NOW).await.expect("added");
        d.room_add(&room("coven"), &[affiliation("juliet@example.com", "owner"), affiliation("x@example.net", "member")]).await.expect("added");
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let (_, _, people) = d.room_load("coven").await.expect("read").expect("there");
        assert_eq!(people, [affiliation("x@example.net", "member")]);
    }
}
