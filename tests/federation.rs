//! Federation with real peers: Debian's Prosody and ejabberd, in both directions, over TLS, each side knowing nothing
//! but the sandbox DNS and what the other proves.

use crate::harness::demo::Demo;
use crate::harness::peers::{Peer, Trust, ejabberd, prosody};
use crate::harness::xmpp::Client;

/// A message each way; the peer's first, so that the stream towards us is proved before ours is open, and then ours.
fn chat_both_ways(demo: &Demo, peer: &Peer) {
    for user in demo
        .info
        .users
        .iter()
        .filter(|u| u.jid.starts_with("alice@"))
    {
        let mut ours = Client::online(demo, &user.jid, "here");
        let mut theirs = peer.online("romeo", "there");
        let (our_jid, their_jid) = (ours.jid.clone(), theirs.jid.clone());

        theirs.message(&our_jid, "in-1", "from the peer");
        let got = ours.until("in-1");
        assert!(
            got.contains("from the peer") && got.contains(&format!("from='{their_jid}'")),
            "{got}"
        );

        ours.message(&their_jid, "out-1", "from domicile");
        let got = theirs.until("out-1");
        assert!(
            got.contains("from domicile") && got.contains(&format!("from='{our_jid}'")),
            "{got}"
        );

        // Order holds per pair (ROUTE-02), over streams that are established by now.
        for i in 0..20 {
            ours.message(&their_jid, &format!("seq-{i:02}"), "in order");
        }
        for i in 0..20 {
            let got = theirs.until("seq-");
            assert!(
                got.contains(&format!("seq-{i:02}")),
                "expected seq-{i:02}: {got}"
            );
        }
        ours.close();
    }
}

#[test]
fn cert_30_prosody_strict_accepts_and_is_accepted_by_certificate() {
    let demo = Demo::start();
    let peer = prosody(&demo, "prosody.example", Trust::Strict);
    chat_both_ways(&demo, &peer);
    let log = peer.service.text();
    assert!(
        log.contains("EXTERNAL") || log.contains("Certificate chain validation result: valid"),
        "{log}"
    );
    // BIDI-02, whoever called first: the message each way went over one stream.
    assert!(log.contains("bidirectional stream"), "{log}");
}

#[test]
fn dialback_prosody_without_a_trusted_certificate() {
    let demo = Demo::start();
    let peer = prosody(&demo, "prosody.example", Trust::Dialback);
    chat_both_ways(&demo, &peer);
    assert!(
        peer.service.text().contains("dialback"),
        "the peer verified by dialback"
    );
}

/// ejabberd 23.01 refuses serverAuth-only certificates of connecting servers, so dialback over TLS is how it lets us in.
#[test]
fn dialback_21_ejabberd_with_certificate_of_the_ca() {
    let demo = Demo::start();
    let peer = ejabberd(&demo, "ejabberd.example", Trust::Dialback);
    chat_both_ways(&demo, &peer);
}

#[test]
fn route_05_unknown_and_unreachable_peers_are_told_apart() {
    let demo = Demo::start();
    let jid = demo.info.users[0].jid.clone();
    let mut ours = Client::online(&demo, &jid, "here");

    ours.message("nobody@does-not-exist.example", "gone-1", "hello");
    let error = ours.until("gone-1");
    assert!(
        error.contains("type='error'") && error.contains("<remote-server-not-found"),
        "{error}"
    );

    // Records that lead to a port where nothing listens: resolved, but no stream (RFC 6120 10.4.3).
    let addr = crate::harness::demo::loopback();
    let records = [
        format!("update add xmpp.silent.example. 60 A {addr}"),
        "update add _xmpp-server._tcp.silent.example. 60 SRV 0 5 5269 xmpp.silent.example."
            .to_owned(),
    ];
    crate::harness::tools::nsupdate(&demo, "silent.example", &records);
    ours.message("nobody@silent.example", "silent-1", "hello");
    let error = ours.until("silent-1");
    assert!(
        error.contains("type='error'") && error.contains("<remote-server-timeout"),
        "{error}"
    );
    assert!(
        !ours.settle().iter().any(|s| s.contains("<stream:error")),
        "the session goes on"
    );
}

/// S2S-01: a lone SRV record with target "." says that the service is not offered; addresses are no way around it.
#[test]
fn s2s_01_a_lone_dot_is_respected() {
    let demo = Demo::start();
    let jid = demo.info.users[0].jid.clone();
    let mut ours = Client::online(&demo, &jid, "here");
    let addr = crate::harness::demo::loopback();
    let records = [
        format!("update add closed.example. 60 A {addr}"),
        "update add _xmpp-server._tcp.closed.example. 60 SRV 0 0 0 .".to_owned(),
    ];
    crate::harness::tools::nsupdate(&demo, "closed.example", &records);
    ours.message("nobody@closed.example", "closed-1", "hello");
    let error = ours.until("closed-1");
    assert!(error.contains("<remote-server-not-found"), "{error}");
}

/// A customer comes to a step of the ladder, or off it, by the command line beside the running server.
fn ladder(demo: &Demo, args: &[&str]) {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let command = [&["tenant"], args, &["--data-dir", &place]].concat();
    let (code, out, err) = crate::harness::tools::domicile(&command);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
}

/// Sends message after message until `seen` says of what has come for either side that it has happened: settings of another
/// process are heard within a second.
fn until_seen(
    ours: &mut Client,
    theirs: &mut Client,
    name: &str,
    seen: impl Fn(&[String], &[String]) -> bool,
) {
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let to = theirs.jid.clone();
    for n in 0.. {
        ours.message(&to, &format!("{name}-{n}"), "is anybody there?");
        if seen(&ours.settle(), &theirs.settle()) {
            return;
        }
        assert!(std::time::Instant::now() < end, "{name}: nothing changes");
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
}

/// The ladder's `no-federation`, with a real peer whose streams are open: they end, nothing passes either way and whoever wrote
/// is told; the customer's own domains reach each other all the while; taking the customer off needs nothing undone.
#[test]
fn a_customer_without_federation_is_cut_off_from_a_real_peer_and_comes_back() {
    let demo = Demo::start();
    let peer = prosody(&demo, "prosody.example", Trust::Strict);
    let mut alice = Client::online(&demo, "alice@one.example", "here");
    let mut bob = Client::online(&demo, "bob@two.example", "here");
    let mut romeo = peer.online("romeo", "there");
    let [at_alice, at_bob, at_romeo] = [&alice, &bob, &romeo].map(|client| client.jid.clone());
    romeo.message(&at_alice, "in-1", "before");
    alice.until("in-1");
    alice.message(&at_romeo, "out-1", "before");
    romeo.until("out-1");

    let customer = "Demo customer";
    ladder(
        &demo,
        &[
            "ladder",
            customer,
            "--reason",
            "unpaid",
            "--no-federation-days",
            "0",
        ],
    );
    let is_error = |items: &[String]| items.iter().any(|item| item.contains("type='error'"));
    until_seen(&mut alice, &mut romeo, "closing", |ours, _| is_error(ours));
    alice.message(&at_romeo, "out-2", "is refused");
    let told = alice.until("out-2");
    assert!(
        told.contains("type='error'") && told.contains("<error"),
        "{told}"
    );
    romeo.message(&at_alice, "in-2", "is refused");
    let told = romeo.until("in-2");
    assert!(
        told.contains("type='error'") && told.contains("<error"),
        "{told}"
    );
    alice.message(&at_bob, "own-1", "among ourselves");
    assert!(bob.until("own-1").contains("among ourselves"));
    bob.message(&at_alice, "own-2", "among ourselves");
    let heard = alice.until("own-2");
    assert!(heard.contains("among ourselves"), "{heard}");
    let leaked = [alice.settle(), romeo.settle()].concat();
    assert!(
        !leaked
            .iter()
            .any(|item| item.contains("is refused") && !item.contains("type='error'")),
        "{leaked:?}"
    );

    ladder(&demo, &["ladder-end", customer]);
    until_seen(&mut alice, &mut romeo, "opening", |_, theirs| {
        theirs
            .iter()
            .any(|item| item.contains("id='opening-") && !item.contains("type='error'"))
    });
    romeo.message(&at_alice, "in-3", "after");
    assert!(alice.until("in-3").contains("after"));
    alice.message(&at_romeo, "out-3", "after");
    assert!(romeo.until("out-3").contains("after"));
}
