//! What survives a crash: kill -9 in the middle of traffic, then a start on the same directory.

mod harness;

use std::collections::BTreeSet;

use harness::demo::{Demo, loopback};
use harness::xmpp::Client;

/// Design rule "acknowledged means durable": an iq result that follows messages on the same stream acknowledges them,
/// because a stream is processed in order (ROUTE-01).
#[test]
fn acknowledged_messages_survive_kill_9() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
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

    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let mut reader = Client::login_with(&demo, &bob, &bob_password, "reader");
    reader.send("<presence/>");
    // Offline messages come in batches, each when the one before has been written: read up to the last acknowledged.
    let last = format!("{}-9", acknowledged - 1);
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    while !seen.contains(&last) {
        let stanza = reader.until("id='m-");
        let id = harness::xmpp::between(&stanza, "id='m-", "'").expect("an id");
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
