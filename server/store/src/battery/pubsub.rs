//! Nodes and items: what one transaction brings about, and what it refuses.

use super::*;

fn publish(seen: Seen, put: &[(&str, &str)], keep: u32) -> NodeWrite {
    NodeWrite {
        name: "urn:test".into(),
        seen,
        retract: Vec::new(),
        put: put
            .iter()
            .map(|(id, payload)| ((*id).to_owned(), payload.as_bytes().to_vec()))
            .collect(),
        keep,
        at: NOW,
        nodes: 2,
        bytes: 100,
    }
}

fn missing() -> Seen {
    Seen::Missing(Box::default())
}

async fn done(d: &DomainStore, account: AccountId, write: NodeWrite) -> NodeId {
    match d.pubsub_write(account, write).await.expect("asked") {
        Written::Done { node, .. } => node,
        other => panic!("{other:?}"),
    }
}

async fn ids(d: &DomainStore, account: AccountId, node: NodeId) -> Vec<String> {
    d.pubsub_ids(account, node, 100).await.expect("read")
}

battery! {
    ext_03_a_publication_makes_its_node_and_keeps_what_fits(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let node = done(&d, a, publish(missing(), &[("1", "<one/>")], 1)).await;
        let found = d.pubsub_nodes(a).await.expect("read");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].id, found[0].version, &found[0].config), (node, 1, &NodeConfig::default()));
        let last = found[0].last.clone().expect("an item");
        assert_eq!((last.id.as_str(), last.payload.as_deref()), ("1", Some(&b"<one/>"[..])));
        let again = d.pubsub_write(a, publish(missing(), &[("x", "<x/>")], 1)).await.expect("asked");
        assert_eq!(again, Written::Stale, "somebody else has made it");
        done(&d, a, publish(Seen::Node(node, 1), &[("2", "<two/>")], 1)).await;
        assert_eq!(ids(&d, a, node).await, ["2"], "the older one is one too many");
        done(&d, a, publish(Seen::Node(node, 1), &[("3", "<three/>"), ("4", "<four/>"), ("2", "<new/>")], 3)).await;
        assert_eq!(ids(&d, a, node).await, ["3", "4", "2"], "what is published again is the newest");
        let wrong = d.pubsub_write(a, publish(Seen::Node(node, 7), &[("5", "<five/>")], 3)).await.expect("asked");
        assert_eq!(wrong, Written::Stale);
        let other = d.account_add("romeo", &[], NOW).await.expect("added");
        let foreign = d.pubsub_write(other, publish(Seen::Node(node, 1), &[("5", "<five/>")], 3)).await.expect("asked");
        assert_eq!(foreign, Written::Stale, "another account's node");
        assert!(!d.pubsub_remove(other, node).await.expect("asked") && !d.pubsub_purge(other, node).await.expect("asked"));
        assert!(ids(&d, other, node).await.is_empty());
    }

    dos_10_nodes_and_bytes_of_an_account_are_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let long = "x".repeat(60);
        let node = done(&d, a, publish(missing(), &[("1", &long)], 9)).await;
        let more = |seen, name: &str, id: &str| NodeWrite { name: name.into(), ..publish(seen, &[(id, &long)], 9) };
        let full = d.pubsub_write(a, more(missing(), "second", "1")).await.expect("asked");
        assert_eq!(full, Written::Full);
        assert_eq!(d.pubsub_nodes(a).await.expect("read").len(), 1, "no empty node is left behind");
        assert_eq!(d.pubsub_write(a, more(Seen::Node(node, 1), "urn:test", "2")).await.expect("asked"), Written::Full);
        done(&d, a, more(Seen::Node(node, 1), "urn:test", "1")).await;
        assert_eq!(ids(&d, a, node).await, ["1"], "what replaces itself has room");
        done(&d, a, NodeWrite { name: "second".into(), ..publish(missing(), &[], 9) }).await;
        let third = NodeWrite { name: "third".into(), ..publish(missing(), &[], 9) };
        assert_eq!(d.pubsub_write(a, third).await.expect("asked"), Written::TooManyNodes);
        assert!(d.pubsub_purge(a, node).await.expect("purged"));
        done(&d, a, more(Seen::Node(node, 1), "urn:test", "2")).await;
        assert!(d.pubsub_remove(a, node).await.expect("removed"));
        assert!(!d.pubsub_remove(a, node).await.expect("gone already"));
        assert_eq!(d.pubsub_nodes(a).await.expect("read").len(), 1);
    }

    ext_06_items_are_paged_and_retracted(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let five = [("a", "<a/>"), ("b", "<b/>"), ("c", "<c/>"), ("d", "<d/>"), ("e", "<e/>")];
        let node = done(&d, a, publish(missing(), &five, 9)).await;
        let page = async |asked: ItemsAsked, most, bytes| {
            let page = d.pubsub_items(a, node, &asked, most, bytes).await.expect("read")?;
            let ids: String = page.items.iter().map(|i| i.id.as_str()).collect();
            Some((ids, page.index, page.count))
        };
        let is = |ids: &str, index| Some((ids.to_owned(), index, 5));
        let id = |text: &str| Some(text.to_owned());
        assert_eq!(page(ItemsAsked::After(None), 9, 999).await, is("abcde", 0));
        assert_eq!(page(ItemsAsked::After(None), 2, 999).await, is("ab", 0));
        assert_eq!(page(ItemsAsked::After(id("b")), 2, 999).await, is("cd", 2));
        assert_eq!(page(ItemsAsked::Before(None), 2, 999).await, is("de", 3));
        assert_eq!(page(ItemsAsked::Before(id("d")), 2, 999).await, is("bc", 1));
        assert_eq!(page(ItemsAsked::After(id("e")), 2, 999).await, is("", 0));
        assert_eq!(page(ItemsAsked::After(id("?")), 2, 999).await, None);
        assert_eq!(page(ItemsAsked::After(None), 9, 5).await, is("ab", 0), "begun before the bytes were spent");
        assert_eq!(page(ItemsAsked::Before(None), 9, 1).await, is("e", 4), "one at least");
        let named = ItemsAsked::Ids(vec!["d".into(), "?".into(), "b".into(), "d".into()]);
        assert_eq!(page(named, 9, 999).await, Some(("bd".into(), 0, 2)));
        let retract = NodeWrite { retract: vec!["b".into(), "?".into()], ..publish(Seen::Node(node, 1), &[], 9) };
        let gone = d.pubsub_write(a, retract).await.expect("asked");
        assert_eq!(gone, Written::Done { node, retracted: vec!["b".into()] });
        assert_eq!(ids(&d, a, node).await, ["a", "c", "d", "e"]);
    }

    ext_05_a_configuration_is_changed_by_who_has_seen_it(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let node = done(&d, a, publish(missing(), &[("a", "<a/>"), ("b", "<b/>"), ("c", "<c/>")], 9)).await;
        let config = NodeConfig { access: Access::Roster, groups: vec!["Friends".into()], max_items: None, ..NodeConfig::default() };
        let people = NodePeople { members: vec!["romeo@example.net".into()], ..NodePeople::default() };
        assert_eq!(d.pubsub_configure(a, (node, 2), &config, &people, 2).await.expect("asked"), None);
        assert_eq!(d.pubsub_configure(a, (node, 1), &config, &people, 2).await.expect("asked"), Some(2));
        let found = d.pubsub_nodes(a).await.expect("read").remove(0);
        assert_eq!((found.version, found.config, found.people), (2, config, people));
        assert_eq!(ids(&d, a, node).await, ["b", "c"], "fewer are kept now");
    }

    a_long_last_item_is_not_brought_along(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let long = "x".repeat(usize::try_from(LAST_BYTES).expect("small") + 1);
        let write = NodeWrite { bytes: 1 << 20, ..publish(missing(), &[("1", &long)], 1) };
        done(&d, a, write).await;
        let last = d.pubsub_nodes(a).await.expect("read").remove(0).last.expect("an item");
        assert_eq!((last.id.as_str(), last.payload), ("1", None));
    }

    e2e_09_an_account_of_the_same_name_finds_nothing(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let node = done(&d, a, publish(missing(), &[("1", "<one/>")], 1)).await;
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let b = d.account_add("juliet", &[], NOW).await.expect("added");
        assert!(d.pubsub_nodes(b).await.expect("read").is_empty());
        assert!(ids(&d, a, node).await.is_empty());
        let late = d.pubsub_write(a, publish(missing(), &[("1", "<one/>")], 1)).await.expect("asked");
        assert_eq!(late, Written::Stale, "the account is gone");
    }
}
