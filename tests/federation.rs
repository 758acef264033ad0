//! Federation with real peers: Debian's Prosody and ejabberd, in both directions, over TLS, each side knowing nothing
//! but the sandbox DNS and what the other proves.

mod harness;

use harness::demo::Demo;
use harness::peers::{Peer, Trust, ejabberd, prosody};
use harness::xmpp::Client;

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
    let addr = harness::demo::loopback();
    let records = [
        format!("update add xmpp.silent.example. 60 A {addr}"),
        "update add _xmpp-server._tcp.silent.example. 60 SRV 0 5 5269 xmpp.silent.example."
            .to_owned(),
    ];
    harness::tools::nsupdate(&demo, "silent.example", &records);
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
    let addr = harness::demo::loopback();
    let records = [
        format!("update add closed.example. 60 A {addr}"),
        "update add _xmpp-server._tcp.closed.example. 60 SRV 0 0 0 .".to_owned(),
    ];
    harness::tools::nsupdate(&demo, "closed.example", &records);
    ours.message("nobody@closed.example", "closed-1", "hello");
    let error = ours.until("closed-1");
    assert!(error.contains("<remote-server-not-found"), "{error}");
}
