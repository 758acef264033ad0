//! What survives a crash, on SQLite and on PostgreSQL: kill -9 in the middle of traffic, then a start on the same directory.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::harness::DEADLINE;
use crate::harness::demo::{Demo, loopback};
use crate::harness::engine::{Engine, on_both};
use crate::harness::peers::{Trust, prosody};
use crate::harness::tools::domicile;
use crate::harness::xmpp::{Client, between};

on_both! {
    acknowledged_messages_survive_kill_9;
    acknowledged_messages_are_archived_after_kill_9;
    route_02_acknowledged_messages_to_another_server_survive_the_end;
    route_02_messages_on_their_way_to_another_server_survive_kill_9;
}

/// Design rule "acknowledged means durable": an iq result that follows messages on the same stream acknowledges them,
/// because a stream is processed in order (ROUTE-01).
fn acknowledged_messages_survive_kill_9(engine: &Engine) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = engine.start(loopback(), dir.path());
    let (alice, bob) = ("alice@one.example".to_owned(), "bob@two.example".to_owned());
    let (alice_password, bob_password) = (
        demo.password(&alice).to_owned(),
        demo.password(&bob).to_owned(),
    );

    let mut sender = Client::login_with(&demo, &alice, &alice_password, "sender");
    let mut acknowledged = 0;
    for batch in 0..10 {
        for i in 0..10 {
            sender.message(
                &bob,
                &format!("m-{batch}-{i}"),
                &format!("body {batch}-{i}"),
            );
        }
        sender.settle();
        acknowledged = batch + 1;
    }
    // More in flight, never acknowledged: these may or may not survive, but nothing may break.
    for i in 0..200 {
        sender.message(&bob, &format!("loose-{i}"), "unacknowledged");
    }
    demo.kill_9();

    let demo = engine.start(loopback(), dir.path());
    let mut reader = Client::login_with(&demo, &bob, &bob_password, "reader");
    reader.send("<presence/>");
    // Offline messages come in batches, each when the one before has been written: read up to the last acknowledged.
    let last = format!("{}-9", acknowledged - 1);
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    while !seen.contains(&last) {
        let stanza = reader.until("id='m-");
        let id = between(&stanza, "id='m-", "'").expect("an id");
        seen.insert(id.to_owned());
        order.push(id.to_owned());
    }
    for batch in 0..acknowledged {
        for i in 0..10 {
            assert!(
                seen.contains(&format!("{batch}-{i}")),
                "m-{batch}-{i} was acknowledged and is lost"
            );
        }
    }
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted, "in the order of sending");
}

/// Ids (`m-…`) of everything in an account's archive.
fn archived(demo: &Demo, jid: &str) -> BTreeSet<String> {
    let mut client = Client::login_with(demo, jid, demo.password(jid), "archive");
    let (mut found, mut after) = (BTreeSet::new(), String::new());
    loop {
        client.send(&format!(
            "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>\
             <max>100</max>{after}</set></query></iq>"
        ));
        let fin = loop {
            let stanza = client.until("urn:xmpp:mam:2");
            if stanza.starts_with("<iq ") {
                break stanza;
            }
            let id = between(&stanza, "id='m-", "'").expect("an id");
            assert!(found.insert(id.to_owned()), "{id} twice");
        };
        if fin.contains("complete='true'") {
            return found;
        }
        let last = between(&fin, "<last>", "</last>").expect("a last one");
        after = format!("<after>{last}</after>");
    }
}

/// EXT-18: what was delivered and acknowledged is in the archives of both sides.
fn acknowledged_messages_are_archived_after_kill_9(engine: &Engine) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = engine.start(loopback(), dir.path());
    let mut sender = Client::online(&demo, "alice@one.example", "sender");
    let mut reader = Client::online(&demo, "bob@two.example", "reader");
    let mut due = BTreeSet::new();
    for batch in 0..5 {
        for i in 0..40 {
            sender.message("bob@two.example", &format!("m-{batch}-{i}"), "body");
            due.insert(format!("{batch}-{i}"));
        }
        sender.settle();
    }
    reader.until("id='m-4-39'");
    // Under way when it ends: may be there or not.
    for i in 0..100 {
        sender.message("bob@two.example", &format!("m-loose-{i}"), "body");
    }
    demo.kill_9();

    let demo = engine.start(loopback(), dir.path());
    for jid in ["alice@one.example", "bob@two.example"] {
        let found = archived(&demo, jid);
        let lost: Vec<_> = due.difference(&found).collect();
        assert!(lost.is_empty(), "{jid}: {lost:?}");
    }
}

/// A session of bob's that acknowledges only when it is told to (XEP-0198 4).
fn forgetful(demo: &Demo, resource: &str) -> Client {
    let mut bob = Client::online(demo, BOB, resource);
    bob.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    bob.until("<enabled ");
    bob
}

const BOB: &str = "bob@two.example";

/// Ids of messages that wait for bob.
fn waiting(demo: &Demo) -> Vec<String> {
    let mut bob = Client::login_with(demo, BOB, demo.password(BOB), "later");
    bob.send("<presence/>");
    let mut seen = bob.settle();
    // What is handed over bit by bit is over with what comes behind it.
    let mut alice = Client::online(demo, "alice@one.example", "later");
    alice.message(&bob.jid, "m-now", "the last");
    while !seen.last().is_some_and(|item| item.contains("id='m-now'")) {
        seen.push(bob.until("id='m-"));
    }
    let ids = seen.iter().filter_map(|item| between(item, "id='m-", "'"));
    ids.map(str::to_owned).filter(|id| id != "now").collect()
}

/// EXT-22, SM-10: what is acknowledged to its sender survives where only the memory of a session has it: the archive is off, or
/// does not take it, and the client has not acknowledged it. What it has acknowledged does not come again.
#[test]
fn what_only_a_session_has_survives_kill_9_until_it_is_acknowledged() {
    for (off, hint) in [
        ("archive", ""),
        ("", "<no-permanent-store xmlns='urn:xmpp:hints'/>"),
    ] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let listen = loopback();
        let demo = Demo::start_in(listen, dir.path(), &[]);
        let place = demo.data_dir.to_string_lossy().into_owned();
        let set = ["domain", "set", "two.example", "--modules-off", off];
        let (code, out, err) = domicile(&[&set[..], &["--data-dir", &place]].concat());
        assert_eq!(code, 0, "{out}{err}");
        // A change comes to the running server by its feed.
        let mut looks = Client::login_with(&demo, BOB, demo.password(BOB), "looks");
        let end = Instant::now() + DEADLINE;
        let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        while looks
            .iq("get", Some(BOB), disco)
            .contains("'urn:xmpp:mam:2'")
            != off.is_empty()
        {
            assert!(Instant::now() < end, "the archive is as it was");
        }
        let mut bob = forgetful(&demo, "phone");
        let mut alice = Client::online(&demo, "alice@one.example", "sender");
        let say = |alice: &mut Client, id: &str| {
            alice.send(&format!(
                "<message to='{BOB}' type='chat' id='m-{id}'><body>{id}</body>{hint}</message>"
            ));
        };
        // The ten that he acknowledges, and an answer behind that.
        for i in 0..10 {
            say(&mut alice, &format!("had-{i}"));
        }
        alice.settle();
        bob.until("id='m-had-9'");
        bob.send("<a xmlns='urn:xmpp:sm:3' h='10'/>");
        bob.settle();
        let due: Vec<String> = (0..50).map(|i| format!("due-{i:02}")).collect();
        for id in &due {
            say(&mut alice, id);
        }
        alice.settle();
        let came = bob.until("id='m-due-49'");
        assert!(!came.contains("urn:xmpp:delay"), "{came}");
        demo.kill_9();
        let demo = Demo::start_in(listen, dir.path(), &[]);
        let seen = waiting(&demo);
        let had: Vec<_> = seen.iter().filter(|id| id.starts_with("had-")).collect();
        assert!(had.is_empty(), "{off}{hint}: {had:?} were acknowledged");
        assert_eq!(seen, due, "{off}{hint}");
    }
}

#[test]
fn sigterm_says_goodbye_and_ends_cleanly() {
    let demo = Demo::start();
    let mut client = Client::online(&demo, "alice@one.example", "bye");
    let pid = demo.pid();
    let status = demo.terminate();
    assert!(status.success(), "{status:?} of {pid}");
    let rest = client.connection.rest();
    assert!(rest.contains("<system-shutdown"), "{rest}");
}

/// What is acknowledged goes to another server, whatever happens here: also what waited while that server answered nobody, once
/// and in order, with the time it was written (XEP-0203); after an orderly stop as after a crash.
fn route_02_acknowledged_messages_to_another_server_survive_the_end(engine: &Engine) {
    let (dir, listen) = (tempfile::tempdir().expect("directory"), loopback());
    let mut demo = engine.start(listen, dir.path());
    let peer = prosody(&demo, "prosody.example", Trust::Strict);
    let romeo = format!("romeo@{}", peer.domain);
    let mut reader = peer.online("romeo", "reader");
    // A domain for each, so that no stream is open: on that everything leaves the process at once.
    for (how, who) in [
        ("killed", "alice@one.example"),
        ("stopped", "bob@two.example"),
    ] {
        peer.service.signal("STOP");
        let mut writer = Client::online(&demo, who, how);
        for i in 0..20 {
            writer.message(&romeo, &format!("m-{how}-{i:02}"), "acknowledged");
        }
        let meanwhile = writer.settle();
        assert!(
            !meanwhile.iter().any(|item| item.contains("type='error'")),
            "{meanwhile:?}"
        );
        match how {
            "killed" => drop(demo.kill_9()),
            _ => assert!(demo.terminate().success()),
        }
        peer.service.signal("CONT");
        demo = engine.start(listen, dir.path());
        let mut writer = Client::online(&demo, who, "again");
        writer.message(&romeo, &format!("m-{how}-last"), "afterwards");
        let mut seen = Vec::new();
        while seen.last().is_none_or(|id| id != "last") {
            let stanza = reader.until(&format!("id='m-{how}-"));
            let id = between(&stanza, &format!("id='m-{how}-"), "'").expect("an id");
            assert_eq!(stanza.contains("urn:xmpp:delay"), id != "last", "{stanza}");
            seen.push(id.to_owned());
        }
        let due = (0..20).map(|i| format!("{i:02}"));
        let due: Vec<_> = due.chain(["last".to_owned()]).collect();
        assert_eq!(seen, due, "{how}: once and in order");
    }
}

/// On a stream that is open nothing is committed: what is acknowledged has left the process.
fn route_02_messages_on_their_way_to_another_server_survive_kill_9(engine: &Engine) {
    let (dir, listen) = (tempfile::tempdir().expect("directory"), loopback());
    let demo = engine.start(listen, dir.path());
    let peer = prosody(&demo, "prosody.example", Trust::Strict);
    let romeo = format!("romeo@{}", peer.domain);
    let mut reader = peer.online("romeo", "reader");
    let mut alice = Client::online(&demo, "alice@one.example", "sender");
    alice.message(&romeo, "m-first", "opens the stream");
    reader.until("id='m-first'");
    let mut meanwhile = Vec::new();
    for batch in 0..20 {
        for i in 0..10 {
            alice.message(&romeo, &format!("m-{batch:02}-{i}"), "acknowledged");
            reader.message(
                "alice@one.example",
                &format!("back-{batch:02}-{i}"),
                "meanwhile",
            );
        }
        meanwhile.extend(alice.settle());
    }
    // A process that ends with bytes that it has not read makes the kernel reset the connection, and throw away what waits in it
    // to be sent: whatever the peer says has to be read by then.
    while !meanwhile.iter().any(|item| item.contains("id='back-19-9'")) {
        meanwhile.push(alice.until("id='back-"));
    }
    for i in 0..200 {
        alice.message(&romeo, &format!("m-loose-{i}"), "unacknowledged");
    }
    demo.kill_9();
    let due: Vec<_> = (0..20)
        .flat_map(|batch| (0..10).map(move |i| format!("{batch:02}-{i}")))
        .collect();
    let mut seen = Vec::new();
    while seen.len() < due.len() {
        let stanza = reader.until("id='m-");
        seen.push(between(&stanza, "id='m-", "'").expect("an id").to_owned());
    }
    assert_eq!(seen, due, "once and in order");
    let demo = engine.start(listen, dir.path());
    let mut alice = Client::online(&demo, "alice@one.example", "sender");
    alice.message(&romeo, "m-last", "afterwards");
    let mut after = Vec::new();
    while after.last().is_none_or(|id| id != "last") {
        let stanza = reader.until("id='m-");
        after.push(between(&stanza, "id='m-", "'").expect("an id").to_owned());
    }
    let twice: Vec<_> = after.iter().filter(|id| due.contains(id)).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
