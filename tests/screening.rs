//! Strangers who are kept away by a block list that a domain follows: the list is a node of a real Prosody's pubsub service.

use std::time::Instant;

use crate::harness::demo::Demo;
use crate::harness::peers::{Peer, prosody_with_lists};
use crate::harness::tools::domicile;
use crate::harness::xmpp::Client;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const LIST: &str = "lists.prosody.example";
const NODE: &str = "muc_bans_sha256";
const ALICE: &str = "alice@one.example";
const ROMEO: &str = "romeo@prosody.example";
const MERCUTIO: &str = "mercutio@prosody.example";

/// A command beside the running demo, which must do what it is told.
fn done(demo: &Demo, args: &[&str]) -> String {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[args, &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// The domain follows these.
fn follow(demo: &Demo, lists: &str) {
    done(
        demo,
        &["domain", "set", "one.example", "--block-lists", lists],
    );
}

/// What is known of them.
fn lists(demo: &Demo) -> Value {
    let said = done(demo, &["domain", "block-lists", "one.example", "--json"]);
    serde_json::from_str(&said).expect("JSON")
}

/// Waits until what is known of the list is so.
fn known(demo: &Demo, so: impl Fn(&Value) -> bool) {
    let end = Instant::now() + crate::harness::DEADLINE;
    loop {
        let lists = lists(demo);
        if so(&lists[0]) {
            return;
        }
        assert!(Instant::now() < end, "{lists}");
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
}

fn hash(jid: &str) -> String {
    let hash = Sha256::digest(jid.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The list's keeper changes it.
fn keeper(romeo: &mut Client, change: &str) {
    let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{change}</pubsub>");
    let answer = romeo.iq("set", Some(LIST), &pubsub);
    assert!(answer.contains("type='result'"), "{answer}");
}

fn put(id: &str) -> String {
    format!(
        "<publish node='{NODE}'><item id='{id}'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></item></publish>"
    )
}

#[test]
fn strangers_on_a_followed_list_reach_nobody_and_the_last_known_list_outlives_its_service() {
    let demo = Demo::start();
    let peer: Peer = prosody_with_lists(&demo, "prosody.example");
    let mut romeo = peer.online("romeo", "keeper");
    let mut mercutio = peer.online("mercutio", "x");
    let mut alice = Client::online(&demo, ALICE, "phone");
    keeper(&mut romeo, &format!("<create node='{NODE}'/>"));
    keeper(&mut romeo, &put(&hash(MERCUTIO)));

    mercutio.message(ALICE, "m1", "have you met me?");
    alice.until("id='m1'");
    follow(&demo, LIST);
    known(&demo, |list| {
        list["entries"] == 1 && !list["read"].is_null() && list["problem"] == ""
    });

    // Whoever is on it is told; nobody else notices.
    mercutio.message(ALICE, "m2", "and now?");
    let error = mercutio.until("id='m2'");
    assert!(
        error.contains("<forbidden ") && error.contains("follows: lists.prosody.example"),
        "{error}"
    );
    mercutio.send(&format!("<presence to='{ALICE}' type='subscribe'/>"));
    let error = mercutio.until("type='error'");
    assert!(error.contains("<forbidden "), "{error}");
    mercutio.send(
        "<presence to='tea@rooms.one.example/mercutio'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    let error = mercutio.until("type='error'");
    assert!(error.contains("tea@rooms.one.example"), "{error}");
    romeo.message(ALICE, "r1", "I am not on it");
    alice.until("id='r1'");

    // What changes is heard of at once.
    keeper(&mut romeo, &put(&hash(ROMEO)));
    known(&demo, |list| list["entries"] == 2);
    romeo.message(ALICE, "r2", "oh");
    let error = romeo.until("id='r2'");
    assert!(error.contains("<forbidden "), "{error}");
    keeper(
        &mut romeo,
        &format!(
            "<retract node='{NODE}' notify='true'><item id='{}'/></retract>",
            hash(ROMEO)
        ),
    );
    known(&demo, |list| list["entries"] == 1);
    romeo.message(ALICE, "r3", "again");
    alice.until("id='r3'");
    // A contact is no stranger.
    alice.iq(
        "set",
        None,
        &format!("<query xmlns='jabber:iq:roster'><item jid='{MERCUTIO}'/></query>"),
    );
    mercutio.message(ALICE, "m3", "thank you");
    alice.until("id='m3'");

    // Another domain here follows nothing.
    let mut bob = Client::online(&demo, "bob@two.example", "x");
    mercutio.message("bob@two.example", "m4", "you do not know me");
    bob.until("id='m4'");

    // The service has gone; what was known stays.
    drop(peer);
    let known = lists(&demo);
    assert_eq!(known[0]["entries"], 1, "{known}");
    follow(&demo, "");
    assert_eq!(lists(&demo), serde_json::json!([]));
}
