//! Sessions that are resumed (XEP-0198 5) from where nobody has seen them before: a phone that goes from one network to the next
//! has another address.

use std::net::{Ipv4Addr, SocketAddr};

use crate::harness::demo::Demo;
use crate::harness::xmpp::{Client, Connection, between};

/// SM-05: what counts is who has authenticated and which session is named, not where from; nothing is lost on the way.
#[test]
fn sm_05_a_session_is_resumed_from_another_address() {
    let demo = Demo::start();
    let alice = "alice@one.example";
    let mut bob = Client::online(&demo, "bob@two.example", "b");
    let mut phone = Client::online(&demo, alice, "phone");
    let full = phone.jid.clone();
    phone.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    let enabled = phone.until("<enabled ");
    let id = between(&enabled, " id='", "'").expect("an id").to_owned();
    // The network is gone before anybody could say goodbye.
    drop(phone);
    bob.message(&full, "away-1", "on the way");
    bob.settle();

    let from = Ipv4Addr::new(127, 0, 0, 2);
    let SocketAddr::V4(to) = demo.info.c2s else {
        panic!("the demo is on IPv4 loopback")
    };
    assert_ne!(from, *to.ip(), "another address than the server's own");
    let mut again = Connection::open_from(from, demo.info.c2s, "one.example");
    again.negotiate_tls(demo.roots());
    again.header();
    again.item();
    let answer = again.plain("alice", demo.password(alice));
    assert!(answer.contains("<success"), "{answer}");
    again.header();
    again.item();
    again.send(&format!(
        "<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"
    ));
    let resumed = again.until("<resumed ");
    assert!(resumed.contains(&format!("previd='{id}'")), "{resumed}");
    let missed = again.until("away-1");
    assert!(
        missed.contains("on the way") && missed.contains(&format!("to='{full}'")),
        "{missed}"
    );
    // It is the same session: under its address, to whoever answers.
    again.send(&format!(
        "<message to='{}' type='chat' id='back-1'><body>here again</body></message>",
        bob.jid
    ));
    let heard = bob.until("back-1");
    assert!(heard.contains(&format!("from='{full}'")), "{heard}");
}
