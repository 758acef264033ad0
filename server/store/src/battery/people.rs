//! Accounts, rosters and what waits.

use super::*;

pub(super) fn private(name: &str, namespace: &str, payload: &[u8]) -> PrivateXml {
    PrivateXml {
        namespace: namespace.into(),
        name: name.into(),
        payload: payload.into(),
    }
}

battery! {
    accounts_and_credentials(store) {
        let (tenant, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.account_add("juliet", &verifiers("one"), NOW).await.expect("added");
        let twice = d.account_add("juliet", &verifiers("x"), NOW).await;
        assert!(matches!(twice, Err(StoreError::Conflict { .. })), "{twice:?}");
        let got = d.credentials_for("juliet", Hash::Sha256).await.expect("read").expect("there");
        assert_eq!((got.iterations, got.stored_key.as_slice()), (10_000, b"one".as_slice()));
        assert!(d.credentials_for("romeo", Hash::Sha256).await.expect("read").is_none());
        assert!(d.account_set_credentials("juliet", &verifiers("two"), NOW).await.expect("set"));
        assert_eq!(d.credentials_for("juliet", Hash::Sha1).await.expect("read").expect("there").stored_key, b"two");
        assert!(d.account_set_state("juliet", "suspended", NOW).await.expect("set"));
        assert!(d.credentials_for("juliet", Hash::Sha1).await.expect("read").is_none(), "suspended");
        let many: Vec<(String, Vec<ScramVerifier>)> = (0..500).map(|n| (format!("u{n:03}"), verifiers("p"))).collect();
        assert!(d.account_import(&many, NOW).await.expect("imported").is_empty());
        assert_eq!(d.account_import(&many[..2], NOW).await.expect("imported"), ["u000", "u001"]);
        assert_eq!(d.account_count().await.expect("read"), 501);
        assert_eq!(store.tenant_account_count(tenant).await.expect("read"), 501);
        let page = d.account_list("u498", 10).await.expect("read");
        assert_eq!(page.iter().map(|a| a.local.as_str()).collect::<Vec<_>>(), ["u499"]);
        assert_eq!(d.account_find("juliet").await.expect("read").expect("there").id, id);
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        assert!(!d.account_remove("juliet", NOW).await.expect("gone already"));
    }

    sasl_43_a_verifier_is_added_and_never_replaced(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let all = verifiers("one");
        d.account_add("juliet", &all[..1], NOW).await.expect("added");
        assert_eq!(d.account_hashes("juliet").await.expect("read"), [all[0].hash]);
        assert!(d.account_hashes("romeo").await.expect("read").is_empty());
        assert!(d.account_add_verifier("juliet", &all[1]).await.expect("asked"));
        assert!(!d.account_add_verifier("romeo", &all[1]).await.expect("asked"), "nobody");
        let other = verifiers("other");
        assert!(!d.account_add_verifier("juliet", &other[0]).await.expect("asked"), "there is one");
        assert_eq!(d.credentials_for("juliet", all[0].hash).await.expect("read").expect("there").stored_key, b"one");
        // An account without a password gets none that way.
        d.account_add("nurse", &[], NOW).await.expect("added");
        assert!(!d.account_add_verifier("nurse", &all[0]).await.expect("asked"));
        assert!(d.account_set_state("juliet", "suspended", NOW).await.expect("set"));
        assert!(!d.account_add_verifier("juliet", &all[2]).await.expect("asked"), "suspended");
    }

    a_suspended_account_is_not_active(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.account_add("juliet", &verifiers("one"), NOW).await.expect("added");
        assert_eq!(d.account_active("juliet").await.expect("read"), Some(id));
        assert_eq!(d.account_left(id).await.expect("read"), None);
        assert!(d.account_left_soon(id, NOW));
        assert_eq!(d.account_left(id).await.expect("read"), Some(NOW), "while it waits");
        store.left_write().await.expect("written");
        assert_eq!(d.account_left(id).await.expect("read"), Some(NOW));
        assert!(d.account_set_state("juliet", "suspended", NOW).await.expect("set"));
        assert_eq!(d.account_active("juliet").await.expect("read"), None);
        assert!(!d.account_set_credentials("romeo", &verifiers("x"), NOW).await.expect("asked"));
    }

    im_08_rosters_tell_what_changed_since(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let v0 = d.roster_load(a).await.expect("read").version;
        assert_eq!(v0, NOW.0, "versions begin with the account");
        let mut item = RosterItem::new(bare("romeo@example.net"));
        item.groups = vec!["Friends".into(), "Ünïcödé".into()];
        item.name = "Romeo".into();
        assert_eq!(put(&d, a, v0, &item).await, Applied::Done { version: v0 + 1 });
        item.subscription = Subscription::Both;
        item.ask = true;
        item.approved = true;
        assert_eq!(put(&d, a, v0 + 1, &item).await, Applied::Done { version: v0 + 2 });
        item.version = v0 + 2;
        let nurse = RosterItem::new(bare("nurse@example.com"));
        assert_eq!(put(&d, a, v0 + 2, &nurse).await, Applied::Done { version: v0 + 3 });
        let nurse = RosterItem { version: v0 + 3, ..nurse };
        let whole = Roster { version: v0 + 3, items: vec![nurse.clone(), item.clone()], requests: vec![] };
        assert_eq!(d.roster_load(a).await.expect("read"), whole);
        assert_eq!(remove(&d, a, v0 + 3, "romeo@example.net").await, Applied::Done { version: v0 + 4 });
        assert_eq!(d.roster_load(a).await.expect("read").items, std::slice::from_ref(&nurse));

        let gone = RosterChange { version: v0 + 4, jid: item.jid.clone(), item: None };
        let came = RosterChange { version: v0 + 3, jid: nurse.jid.clone(), item: Some(nurse) };
        assert_eq!(d.roster_since(a, v0 + 2).await.expect("read"), Some(vec![came.clone(), gone.clone()]));
        assert_eq!(d.roster_since(a, v0).await.expect("read"), Some(vec![came, gone]), "of an item the last change");
        assert_eq!(d.roster_since(a, v0 + 4).await.expect("read"), Some(vec![]));
        assert_eq!(d.roster_since(a, v0 + 5).await.expect("read"), None, "never had that version");
        assert_eq!(d.roster_since(a, v0 - 1).await.expect("read"), None, "before the account");
        assert_eq!(put(&d, a, v0 + 4, &item).await, Applied::Done { version: v0 + 5 });
        item.version = v0 + 5;
        assert_eq!(d.roster_load(a).await.expect("read").items[1], item, "back again");
    }

    im_08_an_account_of_the_same_name_repeats_no_version(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        put(&d, a, NOW.0, &RosterItem::new(bare("romeo@example.net"))).await;
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let b = d.account_add("juliet", &[], Timestamp(NOW.0 + 60_000_000)).await.expect("added");
        assert_eq!(d.roster_since(b, NOW.0 + 1).await.expect("read"), None, "another person's version");
        assert_eq!(d.roster_since(a, NOW.0 + 1).await.expect("read"), None, "gone");
        assert_eq!(d.roster_load(a).await.expect("read"), Roster::default());
    }

    im_08_tombstones_are_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        for n in 0..210 {
            remove(&d, a, NOW.0 + n, &format!("c{n}@example.net")).await;
        }
        assert_eq!(d.roster_since(a, NOW.0).await.expect("read"), None, "too long ago to be on file");
        assert_eq!(d.roster_since(a, NOW.0 + 9).await.expect("read"), None);
        let rest = d.roster_since(a, NOW.0 + 10).await.expect("read").expect("on file");
        assert_eq!(rest.len(), 200);
        assert!(rest.iter().all(|change| change.item.is_none()));
    }

    a_roster_edit_is_whole_and_needs_the_newest_version(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let romeo = bare("romeo@example.net");
        let asks = |stanza: &[u8]| RosterEdit {
            item: ItemEdit::Keep,
            request: RequestEdit::Put { from: romeo.clone(), stanza: stanza.to_vec(), at: NOW },
        };
        assert_eq!(d.roster_apply(a, NOW.0, &asks(b"<presence/>")).await.expect("asked"), Applied::Done { version: NOW.0 + 1 });
        assert_eq!(d.roster_apply(a, NOW.0, &asks(b"<presence/>")).await.expect("asked"), Applied::Stale);
        let granted = RosterEdit {
            item: ItemEdit::Put(RosterItem { subscription: Subscription::From, ..RosterItem::new(romeo.clone()) }),
            request: RequestEdit::Remove(romeo.clone()),
        };
        assert_eq!(d.roster_apply(a, NOW.0, &granted).await.expect("asked"), Applied::Stale);
        assert_eq!(d.roster_load(a).await.expect("read").requests, std::slice::from_ref(&romeo), "nothing of a stale edit is done");
        d.roster_apply(a, NOW.0 + 1, &granted).await.expect("asked");
        let roster = d.roster_load(a).await.expect("read");
        assert_eq!((roster.items[0].subscription, roster.requests.len()), (Subscription::From, 0));
        assert_eq!(d.roster_apply(AccountId(999), 0, &granted).await.expect("asked"), Applied::Stale);
    }

    im_14_requests_wait_one_a_sender(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let (first, second) = (bare("romeo@example.net"), bare("paris@example.net"));
        for (n, (from, stanza)) in [(&first, "1"), (&second, "2"), (&first, "3")].into_iter().enumerate() {
            ask(&d, a, from, stanza.as_bytes(), Timestamp(NOW.0 + n as i64)).await;
        }
        assert_eq!(
            d.request_list(a).await.expect("read"),
            [(first.clone(), b"3".to_vec()), (second.clone(), b"2".to_vec())],
            "the newest stanza in its first place"
        );
        assert_eq!(d.roster_load(a).await.expect("read").requests, [first, second]);
    }

    ext_22_offline_messages_in_order_and_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        for n in 0..5u8 {
            let kept = d.offline_add(a, Timestamp(i64::from(n)), &[n], 4).await.expect("asked");
            assert_eq!(kept.is_some(), n < 4);
        }
        let waiting = d.offline_list(a, 0, 10).await.expect("read");
        assert_eq!(waiting.iter().map(|m| m.stanza[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(waiting[3].at, Timestamp(3));
        assert_eq!(d.offline_list(a, 0, 2).await.expect("read"), waiting[..2]);
        d.offline_remove(a, &[waiting[0].id, waiting[2].id, i64::MAX]).await.expect("removed");
        assert_eq!(d.offline_count(a).await.expect("read"), 2);
        assert_eq!(d.offline_list(a, waiting[1].id, 10).await.expect("read"), waiting[3..]);
        assert_eq!(d.offline_add(AccountId(999), NOW, b"x", 4).await.expect("asked"), None);
    }

    e2e_11_certificates_of_clients_are_the_account_s_own(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.org", "bbb").await;
        let a = d.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        let b = d.account_add("nurse", &verifiers("p"), NOW).await.expect("added");
        let phone = client_certificate("Phone", "f1");
        assert_eq!(d.client_certificate_add(a, &phone).await.expect("asked"), Appended::Done);
        assert_eq!(d.client_certificate_add(a, &client_certificate("Phone", "f2")).await.expect("asked"), Appended::NameTaken);
        assert_eq!(d.client_certificate_add(a, &client_certificate("Desk", "f1")).await.expect("asked"), Appended::Known);
        assert_eq!(d.client_certificate_add(b, &phone).await.expect("asked"), Appended::Done);
        assert_eq!(d.client_certificates(a).await.expect("read"), [phone]);
        assert_eq!(other.client_certificates(a).await.expect("read"), [], "another domain's");
        assert_eq!(d.accounts_of_client_certificate("f1", 9).await.expect("read"), ["juliet", "nurse"]);
        assert_eq!(d.accounts_of_client_certificate("f1", 1).await.expect("read"), ["juliet"]);
        assert!(other.accounts_of_client_certificate("f1", 9).await.expect("read").is_empty());
        d.account_set_state("nurse", "suspended", NOW).await.expect("stopped");
        assert_eq!(d.accounts_of_client_certificate("f1", 9).await.expect("read"), ["juliet"]);

        let mut feed = store.change_feed().await.expect("a feed");
        assert_eq!(other.client_certificate_remove("juliet", "Phone", true, NOW).await.expect("asked"), None);
        assert_eq!(d.client_certificate_remove("nurse", "Phone", false, NOW).await.expect("asked").as_deref(), Some("f1"));
        assert!(feed.poll().await.expect("read").is_empty(), "disabled, not revoked");
        assert_eq!(d.client_certificate_remove("juliet", "Phone", true, NOW).await.expect("asked").as_deref(), Some("f1"));
        assert_eq!(feed.poll().await.expect("read"), [Change::ClientCertificate("juliet@example.com".into(), "f1".into())]);
        for n in 0..20 {
            let row = client_certificate(&format!("{n}"), &format!("x{n}"));
            assert_eq!(d.client_certificate_add(a, &row).await.expect("asked"), Appended::Done);
        }
        assert_eq!(d.client_certificate_add(a, &client_certificate("one more", "y")).await.expect("asked"), Appended::Full);
    }

    sasl_40_42_tokens_follow_one_another(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        let first = grant("phone", "juliet@example.com");
        let second = 1_000_000;
        assert_eq!(d.token_grant(a, &first, 60, NOW).await.expect("granted"), Some(Timestamp(NOW.0 + 60 * second)));
        let has = d.tokens_of("juliet", "phone").await.expect("read");
        assert_eq!((has.len(), &has[0].key, has[0].mechanism.as_str()), (1, &first.key, "HT-SHA-256-ENDP"));
        assert_eq!(d.tokens_of("juliet", "desk").await.expect("read").len(), 0);
        // Used soon: no other one. Used late: a new one, and the old one is good until that is used.
        let used = Grant { used: Some(has[0].id), wanted: None, key: TokenKey::of(&"y".repeat(65)), ..first.clone() };
        assert_eq!(d.token_grant(a, &used, 60, NOW).await.expect("used"), None);
        let late = Timestamp(NOW.0 + 40 * second);
        assert!(d.token_grant(a, &used, 60, late).await.expect("used").is_some());
        let both = d.tokens_of("juliet", "phone").await.expect("read");
        assert_eq!(both.len(), 2);
        let new = both.iter().find(|token| token.key == used.key).expect("the new one");
        let rotated = Grant { used: Some(new.id), ..used.clone() };
        assert_eq!(d.token_grant(a, &rotated, 60, late).await.expect("used"), None);
        let left = d.tokens_of("juliet", "phone").await.expect("read");
        assert_eq!((left.len(), left[0].id), (1, new.id), "the older one is no more");
        let clients = d.client_list(a).await.expect("read");
        assert_eq!((clients.len(), clients[0].agent.as_str(), clients[0].used), (1, "phone", Some(late)));
        let over = Grant { invalidate: true, ..rotated.clone() };
        assert_eq!(d.token_grant(a, &over, 60, late).await.expect("ended"), None);
        assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len(), 0);
        // Whoever was signed out while they logged in gets nothing; and if they got something by then, it ends.
        let asks = Grant { wanted: first.wanted, ..used.clone() };
        assert_eq!(d.token_grant(a, &asks, 60, late).await.expect("asked"), None, "the one it used is no more");
        assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len(), 0);
        for (proved, left) in [(NOW, 0), (late, 1)] {
            d.token_grant(a, &first, 60, proved).await.expect("granted");
            assert_eq!(d.tokens_end("juliet", "phone", late).await.expect("ended"), 1 - left);
            assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len() as u64, left);
        }
        // By hand, by a new password, and while the account is suspended.
        d.token_grant(a, &first, 60, NOW).await.expect("granted");
        assert!(d.push_enable(a, &PushRow { agent: Some("phone".into()), ..push("one") }).await.expect("enabled"));
        assert!(d.client_remove(a, "phone").await.expect("removed") && !d.client_remove(a, "phone").await.expect("asked"));
        assert_eq!(d.push_list(a).await.expect("read"), [], "and it is woken no more");
        d.token_grant(a, &first, 60, NOW).await.expect("granted");
        d.account_set_state("juliet", "suspended", NOW).await.expect("set");
        assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len(), 0);
        d.account_set_state("juliet", "active", NOW).await.expect("set");
        assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len(), 1);
        d.account_set_credentials("juliet", &verifiers("q"), NOW).await.expect("set");
        assert_eq!(d.tokens_of("juliet", "phone").await.expect("read").len(), 0);
        for n in 0..60 {
            d.token_grant(a, &grant(&format!("c{n}"), "juliet@example.com"), 60, Timestamp(NOW.0 + n)).await.expect("granted");
        }
        let clients = d.client_list(a).await.expect("read");
        assert_eq!((clients.len(), clients[0].agent.as_str()), (50, "c59"), "the oldest give way");
    }

    ext_14_where_sessions_are_woken(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        assert!(d.push_enable(a, &push("one")).await.expect("enabled"));
        let again = PushRow { options: None, ..push("one") };
        assert!(d.push_enable(a, &again).await.expect("enabled"), "in place of the first");
        assert!(d.push_enable(a, &push("two")).await.expect("enabled"));
        assert_eq!(d.push_list(a).await.expect("read"), [again, push("two")]);
        assert_eq!(d.push_disable(a, "push.example.net", Some("one")).await.expect("disabled"), 1);
        assert_eq!(d.push_disable(a, "push.example.net", None).await.expect("disabled"), 1);
        assert_eq!(d.push_list(a).await.expect("read"), []);
        for n in 0..20 {
            assert_eq!(d.push_enable(a, &push(&format!("n{n}"))).await.expect("asked"), n < 10, "{n}");
        }
    }

    route_02_what_waits_for_other_servers_is_kept_until_it_is_forgotten(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        d.account_add("juliet", &[], NOW).await.expect("added");
        d.account_add("nurse", &[], NOW).await.expect("added");
        let new = vec![new_outgoing("juliet", 1), new_outgoing("nobody", 2), new_outgoing("nurse", 3), new_outgoing("juliet", 4)];
        let rows = d.outgoing_add(new.clone()).await.expect("kept");
        assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true], "of accounts only");
        assert_eq!(other.outgoing_add(vec![new_outgoing("juliet", 1)]).await.expect("asked"), [None], "another domain's");
        let kept = store.outgoing(0, 10).await.expect("read");
        let of = |row: &Outgoing| (Some(row.id), row.at);
        assert_eq!(kept.iter().map(of).collect::<Vec<_>>(), [(rows[0], new[0].at), (rows[2], new[2].at), (rows[3], new[3].at)]);
        assert!(kept.iter().all(|kept| kept.stanza == new[0].stanza && kept.domain == row.id));
        assert_eq!(store.outgoing(kept[0].id, 1).await.expect("read"), kept[1..2]);
        let all: Vec<i64> = kept.iter().map(|kept| kept.id).collect();
        other.outgoing_forget(&all).await.expect("asked");
        assert_eq!(store.outgoing(0, 10).await.expect("read").len(), 3, "another domain's");
        d.outgoing_forget(&[all[0], i64::MAX]).await.expect("forgotten");
        assert_eq!(store.outgoing(0, 10).await.expect("read"), kept[1..]);
        let many: Vec<i64> = (1_000_000..1_001_200).chain([all[2]]).collect();
        d.outgoing_forget(&many).await.expect("forgotten");
        d.outgoing_forget(&[]).await.expect("nothing");
        assert_eq!(store.outgoing(0, 10).await.expect("read"), kept[1..2]);
        d.account_remove("nurse", NOW).await.expect("removed");
        assert_eq!(store.outgoing(0, 10).await.expect("read"), [], "goes with its account");
    }

    sm_10_sessions_are_kept_whole_until_they_are_forgotten(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        d.account_add("juliet", &[], NOW).await.expect("added");
        assert!(d.session_keep(kept_session("one")).await.expect("kept"));
        assert!(d.session_keep(kept_session("two")).await.expect("kept"));
        let later = KeptSession { presence: None, flags: Vec::new(), sent: 8, ..kept_session("one") };
        assert!(d.session_keep(later.clone()).await.expect("kept"), "in place of the older state");
        let nobody = KeptSession { local: "romeo".into(), ..kept_session("three") };
        assert!(!d.session_keep(nobody).await.expect("asked"));
        let kept = store.session_kept("", 10).await.expect("read");
        assert_eq!(kept, [(row.name.clone(), later), (row.name.clone(), kept_session("two"))]);
        assert_eq!(store.session_kept("one", 10).await.expect("read"), kept[1..]);
        d.session_end("two").await.expect("ended");
        let ended = KeptSession { ended: true, ..kept_session("two") };
        assert_eq!(store.session_kept("one", 10).await.expect("read"), [(row.name.clone(), ended)]);
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        other.session_forget("one").await.expect("asked");
        assert_eq!(store.session_kept("", 10).await.expect("read").len(), 2, "another domain's");
        d.session_forget("one").await.expect("forgotten");
        d.account_set_state("juliet", "suspended", NOW).await.expect("set");
        assert_eq!(store.session_kept("", 10).await.expect("read"), []);
        d.account_set_state("juliet", "active", NOW).await.expect("set");
        assert_eq!(store.session_kept("", 10).await.expect("read").len(), 1);
    }

    sm_10_a_kept_session_that_cannot_be_read_hides_no_other(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        d.account_add("juliet", &[], NOW).await.expect("added");
        for id in ["a", "b", "c", "d"] {
            assert!(d.session_keep(kept_session(id)).await.expect("kept"));
        }
        wr!(store, p => sqlx::query("UPDATE sessions SET handled = -1 WHERE id <> 'd'").execute(p).await.map(|_| ()))
            .expect("spoilt");
        // A page of nothing but those is no end.
        let kept = store.session_kept("", 2).await.expect("read");
        assert_eq!(kept, [(row.name.clone(), kept_session("d"))]);
        let since = kept_session("d").since;
        assert_eq!(store.session_sweep(since).await.expect("swept"), 0);
        assert_eq!(store.session_sweep(Timestamp(since.0 + 1)).await.expect("swept"), 4);
        assert_eq!(store.session_kept("", 2).await.expect("read"), []);
    }

    ext_15_block_lists_are_changed_by_who_has_seen_them(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let blocked = async || d.account_open("juliet").await.expect("read").expect("there").blocked;
        assert_eq!(blocked().await, None);
        assert!(d.blocked_set(a, None, Some("x")).await.expect("asked"));
        assert!(!d.blocked_set(a, None, Some("y")).await.expect("asked"), "somebody was faster");
        assert!(!other.blocked_set(a, Some("x"), None).await.expect("asked"), "another domain's");
        assert_eq!(blocked().await.as_deref(), Some("x"));
        assert!(d.blocked_set(a, Some("x"), None).await.expect("asked"));
        assert_eq!(blocked().await, None);
    }

    ext_08_private_xml_is_kept_by_name_and_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let both = [private("notes", "urn:a", b"<notes/>"), private("notes", "urn:b", b"<notes2/>")];
        assert!(d.private_put(a, &both, 100).await.expect("kept"));
        assert_eq!(d.private_get(a, "urn:a", "notes").await.expect("read").as_deref(), Some(&b"<notes/>"[..]));
        assert_eq!(d.private_get(a, "urn:a", "other").await.expect("read"), None);
        assert!(!d.private_put(a, &[private("more", "urn:a", &[b'x'; 80])], 100).await.expect("asked"), "too much");
        assert_eq!(d.private_list(a).await.expect("read"), both);
        let instead = private("notes", "urn:a", &[b'x'; 20]);
        assert!(d.private_put(a, &[instead.clone(), private("notes", "urn:b", b"")], 30).await.expect("kept"));
        assert_eq!(d.private_list(a).await.expect("read"), [instead]);
        assert!(!d.private_put(AccountId(999), &[private("n", "u", b"x")], 100).await.expect("asked"), "nobody");
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        assert_eq!(other.private_list(a).await.expect("read"), [], "another domain's");
    }

    ext_10_a_vcard_is_its_account_s(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        assert_eq!(d.vcard(a).await.expect("read"), None);
        for text in [&b"<vCard/>"[..], b"<vCard>2</vCard>"] {
            assert!(d.vcard_set(a, text).await.expect("kept"));
            assert_eq!(d.vcard(a).await.expect("read").as_deref(), Some(text));
        }
        assert!(!d.vcard_set(AccountId(999), b"x").await.expect("asked"), "nobody");
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        assert_eq!(other.vcard(a).await.expect("read"), None, "another domain's");
    }

    ext_11_the_avatar_is_the_newest_that_is_all_there(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let put = |name: &str, id: &str, access: Access, seen: Option<(NodeId, i64)>| {
            let config = NodeConfig { access, ..NodeConfig::default() };
            NodeWrite {
                name: format!("urn:xmpp:avatar:{name}"),
                seen: seen.map_or(Seen::Missing(Box::new(config)), |(node, version)| Seen::Node(node, version)),
                retract: vec![], put: vec![(id.into(), b"<x/>".to_vec())], keep: 9, at: NOW, nodes: 9, bytes: 1_000,
            }
        };
        let avatar = async || d.account_open("juliet").await.expect("read").expect("there").avatar;
        assert_eq!(avatar().await, None);
        let Written::Done { node, .. } = d.pubsub_write(a, put("metadata", "aa", Access::Open, None)).await.expect("put") else { panic!() };
        assert_eq!(avatar().await, None, "no picture");
        d.pubsub_write(a, put("data", "aa", Access::Open, None)).await.expect("put");
        assert_eq!(avatar().await, Some(Avatar { id: "aa".into(), open: true }));
        d.pubsub_configure(a, (node, 1), &NodeConfig::default(), &NodePeople::default(), 9).await.expect("done");
        assert_eq!(avatar().await, Some(Avatar { id: "aa".into(), open: false }));
        d.pubsub_write(a, put("metadata", "none", Access::Open, Some((node, 2)))).await.expect("put");
        assert_eq!(avatar().await, None, "the newest says that there is none");
    }

    ext_17_reports_are_the_domain_s_newest_first_and_bounded(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let report = |n: i64| ReportRow {
            id: n, at: Timestamp(n), account: "juliet@example.com".into(), jid: format!("u{n}@example.net"),
            reason: "spam".into(), text: "x".into(), ids: vec!["i".into()],
        };
        for n in 0..1_003 {
            d.report_add(&report(n)).await.expect("kept");
        }
        let newest = d.report_list(i64::MAX, 2).await.expect("read");
        assert_eq!(newest.iter().map(|r| r.at.0).collect::<Vec<_>>(), [1_002, 1_001]);
        let next = d.report_list(newest[1].id, 2_000).await.expect("read");
        assert_eq!((next.len(), next[997].jid.as_str()), (998, "u3@example.net"));
        assert_eq!(ReportRow { id: 1_000, ..next[0].clone() }, report(1_000));
        assert!(other.report_list(i64::MAX, 9).await.expect("read").is_empty());
    }

    dos_10_a_handle_reaches_no_other_domain(store) {
        let (_, _, ours) = house(&store, "example.com", "aaa").await;
        let (_, _, theirs) = house(&store, "example.net", "bbb").await;
        let victim = theirs.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        put(&theirs, victim, NOW.0, &RosterItem::new(bare("a@b.example"))).await;
        ask(&theirs, victim, &bare("a@b.example"), b"x", NOW).await;
        let message = theirs.offline_add(victim, NOW, b"x", 9).await.expect("kept").expect("kept");
        let before = theirs.roster_load(victim).await.expect("read");

        assert!(ours.account_find("juliet").await.expect("read").is_none());
        assert!(ours.account_active("juliet").await.expect("read").is_none());
        assert!(!ours.account_remove("juliet", NOW).await.expect("asked"));
        assert!(!ours.account_set_credentials("juliet", &verifiers("evil"), NOW).await.expect("asked"));
        assert!(ours.account_left_soon(victim, NOW));
        store.left_write().await.expect("asked");
        assert_eq!(ours.roster_load(victim).await.expect("read"), Roster::default());
        assert_eq!(ours.roster_since(victim, before.version).await.expect("read"), None);
        assert_eq!(put(&ours, victim, before.version, &RosterItem::new(bare("evil@b.example"))).await, Applied::Stale);
        assert!(ours.request_list(victim).await.expect("read").is_empty());
        assert_eq!(ours.offline_add(victim, NOW, b"x", 9).await.expect("asked"), None);
        ours.offline_remove(victim, &[message]).await.expect("asked");
        assert!(ours.offline_list(victim, 0, 9).await.expect("read").is_empty());
        assert_eq!(ours.offline_count(victim).await.expect("read"), 0);

        assert_eq!(theirs.roster_load(victim).await.expect("read"), before);
        assert_eq!(theirs.account_left(victim).await.expect("read"), None);
        assert_eq!(theirs.request_list(victim).await.expect("read").len(), 1);
        assert_eq!(theirs.offline_count(victim).await.expect("read"), 1);
        assert_eq!(theirs.credentials_for("juliet", Hash::Sha1).await.expect("read").expect("there").stored_key, b"p");
    }

    a_device_is_signed_out_with_its_tokens_and_waiting_sessions(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &verifiers("one"), NOW).await.expect("added");
        let mut feed = store.change_feed().await.expect("feed");
        for agent in ["phone", "desk"] {
            d.token_grant(a, &grant(agent, "juliet@example.com"), 60, NOW).await.expect("granted");
        }
        for (id, resource, agent) in [("s1", "a", "phone"), ("s2", "b", "phone2"), ("s3", "c", "desk")] {
            let flags = vec!["interested".to_owned(), format!("agent {agent}")];
            let session = KeptSession { resource: resource.into(), flags, ..kept_session(id) };
            assert!(d.session_keep(session).await.expect("kept"));
        }
        // By its own name, whatever resource it has; by the session that it has kept; and somebody else's.
        let of = |node: &str, agent: Option<&str>, resource: &str| {
            PushRow { agent: agent.map(str::to_owned), resource: resource.into(), ..push(node) }
        };
        let pushes = [of("n1", Some("phone"), "z"), of("n2", None, "a"), of("n3", Some("desk"), "a"), of("n4", None, "b"), of("n5", None, "c")];
        for row in &pushes {
            assert!(d.push_enable(a, row).await.expect("enabled"));
        }
        assert_eq!(d.push_list(a).await.expect("read"), pushes);
        let at = Timestamp(NOW.0 + 5);
        assert!(!d.client_sign_out("juliet", "none", at).await.expect("asked"), "nothing to end");
        assert!(!d.client_sign_out("romeo", "phone", at).await.expect("asked"), "not theirs");
        assert!(d.client_sign_out("juliet", "phone", at).await.expect("ended"));
        assert!(d.tokens_of("juliet", "phone").await.expect("read").is_empty());
        assert_eq!(d.tokens_of("juliet", "desk").await.expect("read").len(), 1);
        assert_eq!(d.push_list(a).await.expect("read"), pushes[2..]);
        d.session_sign_out("juliet", "c", at).await.expect("ended");
        assert_eq!(d.push_list(a).await.expect("read"), pushes[2..4]);
        assert!(!d.client_sign_out("juliet", "phone", at).await.expect("asked"), "it has none any more");
        // What waits for them may be nowhere else: they end at the next start.
        let waiting = store.session_kept("", 9).await.expect("read");
        let waiting: Vec<_> = waiting.iter().map(|(_, kept)| (kept.id.as_str(), kept.ended, kept.stanzas.len())).collect();
        assert_eq!(waiting, [("s1", true, 2), ("s2", false, 2), ("s3", true, 2)]);
        let jid = || "juliet@example.com".to_owned();
        let phone = Change::Client(jid(), "phone".into(), at);
        assert_eq!(feed.poll().await.expect("read"), [phone, Change::Session(jid(), "c".into(), at)]);
        assert!(d.push_enable(a, &push("one")).await.expect("enabled"));
        assert_eq!(d.push_forget("juliet", "desk").await.expect("asked"), 0);
        assert_eq!(d.push_forget("juliet", "phone").await.expect("forgotten"), 1);
    }

    what_an_account_takes_is_counted(store) {
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &verifiers("one"), NOW).await.expect("added");
        assert_eq!(d.storage_of(a, NOW).await.expect("read"), Storage::default());
        assert_eq!(d.account_find("juliet").await.expect("read").expect("there").left, None);
        let upload = super::uploads::slot("t1", row.id, a, 60);
        assert_eq!(d.upload_slot(&upload, 100, 150, 150).await.expect("asked"), SlotMade::Made);
        assert_eq!(d.storage_of(a, NOW).await.expect("read").uploads, 0, "an empty slot is no file");
        assert!(store.upload_stored("t1", crate::upload::NEVER).await.expect("written"));
        d.offline_add(a, NOW, b"whole", 9).await.expect("asked").expect("kept");
        for at in [1, 2] {
            d.archive_add(a, super::archive::message(at, "romeo@example.net")).await.expect("kept");
        }
        let all = Storage { archive_bytes: 200, uploads: 1, upload_bytes: 60, offline: 1, offline_bytes: 5 };
        assert_eq!(d.storage_of(a, NOW).await.expect("read"), all);
        // A look at one puts nobody else's messages where they belong, which takes the longer the more there are (SQLite).
        let b = d.account_add("romeo", &verifiers("one"), NOW).await.expect("added");
        let new = super::archive::message(3, "juliet@example.com");
        let id = new.id;
        d.archive_add(b, new).await.expect("kept");
        let waits = store.0.archive.waits(b, id);
        assert_eq!(d.storage_of(a, NOW).await.expect("read"), all);
        assert_eq!(store.0.archive.waits(b, id), waits);
        // Who has just left is known before it is written, in the list as well.
        assert!(d.account_left_soon(a, Timestamp(NOW.0 + 7)));
        let listed = d.account_list("", 9).await.expect("read");
        assert_eq!(listed[0].left, Some(Timestamp(NOW.0 + 7)));
        store.left_write().await.expect("written");
        assert_eq!(d.account_find("juliet").await.expect("read").expect("there").left, Some(Timestamp(NOW.0 + 7)));
    }
}
