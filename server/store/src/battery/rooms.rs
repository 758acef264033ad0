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
        hats: None,
        vcard: None,
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

pub(super) fn said(at: i64, sender: &str, nick: &str) -> RoomMessage {
    RoomMessage {
        id: ArchiveId { at, salt: -at },
        sender: sender.into(),
        nick: nick.into(),
        open: at % 2 == 0,
        stanza: vec![b'x'; 100],
    }
}

battery! {
    ext_28_what_is_said_in_a_room_is_kept_and_found(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let room_id = d.room_add(&room("coven"), &[]).await.expect("added");
        for at in 1..=9 {
            let (sender, nick) = if at % 3 == 0 { ("a@x.example", "A") } else { ("b@x.example", "B") };
            assert!(d.room_archive_add(room_id, said(at, sender, nick)).await.expect("kept"));
        }
        assert!(!d.room_archive_add(RoomId(999), said(1, "a@x.example", "A")).await.expect("asked"), "no such room");
        let times = async |query: ArchiveQuery<'_>| -> Vec<i64> {
            d.room_archive_page(room_id, &query).await.expect("read").iter().map(|m| m.id.at).collect()
        };
        let all = ArchiveQuery::default();
        assert_eq!(times(all).await, (1..=9).collect::<Vec<_>>());
        assert_eq!(times(ArchiveQuery { last: true, limit: 2, ..all }).await, [8, 9]);
        assert_eq!(times(ArchiveQuery { after: 2, before: 6, ..all }).await, [3, 4, 5]);
        assert_eq!(times(ArchiveQuery { with: Some(("a@x.example", None)), ..all }).await, [3, 6, 9]);
        assert_eq!(times(ArchiveQuery { with: Some(("", Some("A"))), ..all }).await, [3, 6, 9]);
        let count = async |query: ArchiveQuery<'_>| d.room_archive_count(room_id, &query).await.expect("read");
        assert_eq!(count(all).await, 9);
        assert_eq!(count(ArchiveQuery { with: Some(("a@x.example", None)), after: 3, ..all }).await, 2);
        let id = ArchiveId { at: 3, salt: -3 };
        assert_eq!(d.room_archive_get(room_id, id).await.expect("read"), Some(said(3, "a@x.example", "A")));
        assert_eq!(d.room_archive_get(room_id, ArchiveId { salt: 3, ..id }).await.expect("read"), None, "guessed");
        assert!(d.room_archive_replace(room_id, id, b"tombstone").await.expect("done"));
        assert_eq!(d.room_archive_get(room_id, id).await.expect("read").expect("there").stanza, b"tombstone");
        assert!(d.tenant_archive_bytes().await.expect("read") >= 900, "it counts for the tenant");
        assert_eq!(d.room_archive_expire(Timestamp(3)).await.expect("done"), 2);
        assert_eq!(d.room_archive_trim(250).await.expect("done"), 5);
        assert_eq!(times(all).await, [8, 9]);
        d.account_add("romeo", &[], NOW).await.expect("added");
        assert!(d.room_archive_add(room_id, said(20, "romeo@example.com", "R")).await.expect("kept"));
        assert!(d.account_remove("romeo", NOW).await.expect("removed"));
        let id = ArchiveId { at: 20, salt: -20 };
        let left = d.room_archive_get(room_id, id).await.expect("read").expect("there");
        assert_eq!((left.sender.as_str(), left.nick.as_str()), ("", "R"), "whoever gets the name next did not say it");
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        assert_eq!(other.room_archive_page(room_id, &all).await.expect("read"), [], "another domain's");
        assert!(d.room_hats(room_id, Some("{}")).await.expect("written"));
        assert!(d.room_vcard(room_id, Some(b"<vCard/>")).await.expect("written"));
        let (_, row, _) = d.room_load("coven").await.expect("read").expect("there");
        assert_eq!((row.hats.as_deref(), row.vcard.as_deref()), (Some("{}"), Some(&b"<vCard/>"[..])));
    }

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

    roles_that_were_given_in_a_room_are_kept(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        d.account_add("romeo", &[], NOW).await.expect("added");
        let id = d.room_add(&room("coven"), &[]).await.expect("added");
        let role = |jid: &str, role: &str| (bare(jid), Some(role.to_owned()));
        let given = [role("romeo@example.com", "participant"), role("x@example.net", "visitor"), role("y@example.net", "moderator")];
        assert!(d.room_give_roles(id, &given).await.expect("written"));
        assert!(d.room_give_roles(id, &[role("x@example.net", "participant"), (bare("y@example.net"), None)]).await.expect("written"));
        let left = |jid: &str| (bare(jid), "participant".to_owned());
        assert_eq!(d.room_roles(id).await.expect("read"), [left("romeo@example.com"), left("x@example.net")]);
        assert!(d.account_remove("romeo", NOW).await.expect("removed"));
        assert_eq!(d.room_roles(id).await.expect("read"), [left("x@example.net")], "whoever gets the name next");
        assert_eq!(other.room_roles(id).await.expect("read"), [], "another domain's");
        assert!(!other.room_give_roles(id, &given).await.expect("asked"));
        d.room_remove(id).await.expect("removed");
        assert!(!d.room_give_roles(id, &given).await.expect("asked"), "it is gone");
        assert_eq!(d.room_roles(id).await.expect("read"), []);
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
        let hats = |worn: &str| Some(format!("{{\"all\":[{{\"title\":\"Host\",\"uri\":\"urn:h\"}}],\"worn\":{{{worn}}}}}"));
        let other = "\"x@example.net\":[\"urn:h\"]";
        let coven = RoomRow { hats: hats(&format!("\"juliet@example.com\":[\"urn:h\"],{other}")), ..room("coven") };
        d.room_add(&coven, &[affiliation("juliet@example.com", "owner"), affiliation("x@example.net", "member")]).await.expect("added");
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let (_, row, people) = d.room_load("coven").await.expect("read").expect("there");
        assert_eq!(people, [affiliation("x@example.net", "member")]);
        assert_eq!(row.hats, hats(other), "whoever gets the name next wears nothing");
    }
}
