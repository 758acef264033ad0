//! The caller, joined to our own receiver and against scripted peers.

use super::super::joined::{PROVEN, Pair, Side, WEAK, domain, header, tls};
use super::*;

#[test]
fn sasl_46_external_when_the_certificate_proves_us() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    assert!(pair.open());
    assert_eq!(
        pair.out.accepted(),
        [("one.example".to_owned(), "EXTERNAL")]
    );
    assert_eq!(
        pair.into.accepted(),
        [("peer.example".to_owned(), "EXTERNAL")]
    );
    // SASL-45: base64 of our domain.
    assert!(
        pair.out
            .said
            .contains("mechanism='EXTERNAL'>cGVlci5leGFtcGxl</auth>")
    );
    assert!(!pair.out.said.contains("db:result"));
}

#[test]
fn dialback_07_without_a_certificate_that_proves_us() {
    let mut pair = Pair::new(WEAK, PROVEN);
    pair.run();
    assert!(pair.open());
    assert_eq!(
        pair.out.accepted(),
        [("one.example".to_owned(), "dialback")]
    );
    assert_eq!(
        pair.into.accepted(),
        [("peer.example".to_owned(), "dialback")]
    );
}

#[test]
fn dialback_16_an_invalid_key_ends_the_pair_and_the_stream() {
    let mut pair = Pair::new(WEAK, PROVEN);
    pair.key = KeyOutcome::Invalid;
    pair.run();
    assert!(!pair.open());
    assert!(pair.out.events.iter().any(|event| matches!(
        event,
        Event::PairRefused {
            reason: PairRefusal::KeyInvalid,
            ..
        }
    )));
    assert!(pair.out.closed || pair.out.disconnected);
}

#[test]
fn dialback_18_the_reason_of_an_error_reaches_the_caller() {
    let mut pair = Pair::new(WEAK, PROVEN);
    let error = StanzaError::new(Condition::RemoteServerTimeout).with_text("no route");
    pair.key = KeyOutcome::Failed(Box::new(error));
    pair.run();
    let why = pair.out.events.iter().find_map(|event| match event {
        Event::PairRefused {
            reason: PairRefusal::KeyUnverified,
            why,
            ..
        } => Some(why.clone()),
        _ => None,
    });
    let why = why.expect("refused");
    assert!(
        why.contains("remote-server-timeout") && why.contains("no route"),
        "{why}"
    );
}

#[test]
fn cert_27_a_peer_that_proves_nothing_and_may_not_is_left() {
    let refused = Judgement {
        proven: false,
        dialback: false,
        refused: None,
    };
    let mut pair = Pair::new(PROVEN, refused);
    pair.run();
    assert!(pair.out.said.contains("<not-authorized "));
    assert!(pair.out.accepted().is_empty() && pair.into.accepted().is_empty());
}

#[test]
fn two_pairs_on_one_connection() {
    let mut pair = Pair::new(WEAK, PROVEN);
    pair.run();
    pair.order(Order::AddPair {
        local: domain("chat.peer.example"),
        remote: domain("one.example"),
    });
    pair.run();
    let accepted = pair.into.accepted();
    assert_eq!(
        accepted[1],
        ("chat.peer.example".to_owned(), "dialback"),
        "{accepted:?}"
    );
}

#[test]
fn dialback_09_and_10_a_key_is_verified_by_its_authority() {
    for (key, outcome) in [
        ("key for s1", KeyOutcome::Valid),
        ("another", KeyOutcome::Invalid),
    ] {
        // `one.example` has sent a key to `peer.example`, which now asks `one.example` about it.
        let mut pair = Pair::with(WEAK, WEAK, Purpose::Verify);
        pair.order(Order::VerifyKey {
            stream: "s1".into(),
            local: domain("peer.example"),
            remote: domain("one.example"),
            key: key.into(),
        });
        pair.run();
        assert_eq!(pair.out.machine.phase(), Phase::Open);
        let answered = pair.out.events.iter().find_map(|event| match event {
            Event::KeyAnswered { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        assert_eq!(answered, Some(outcome));
        assert!(pair.into.accepted().is_empty(), "asking proves nothing");
    }
}

/// A caller behind TLS that has read the peer's header and been told to go on.
fn caller(external: bool) -> Side<PeerOut> {
    let machine = PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external },
    );
    let mut side = Side::new(machine);
    side.feed(Input::Connected(Some(tls(None))));
    side.read(&header("peer.example", "one.example").replace(" to=", " id='s1' to="));
    side.answer(Answer::Judged {
        local: domain("one.example"),
        remote: domain("peer.example"),
        judgement: PROVEN,
    });
    side.asks.clear();
    side.take();
    side
}

const EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";

#[test]
fn tls_15_starttls_is_asked_for_even_when_it_is_not_offered() {
    let mut side = Side::new(PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external: true },
    ));
    side.feed(Input::Connected(None));
    side.read(&header("peer.example", "one.example"));
    side.take();
    side.read("<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>");
    assert_eq!(
        side.take(),
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    );
    // TLS-42: never in plaintext.
    side.read("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(side.closed && !side.said.contains("db:result") && !side.said.contains("<auth"));
}

#[test]
fn sasl_46_dialback_on_the_same_connection_after_a_failure() {
    let mut side = caller(true);
    side.read(EXTERNAL);
    assert!(side.take().contains("<auth "));
    side.read(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>no clientAuth</text></failure>",
    );
    assert!(side.events.iter().any(
        |e| matches!(e, Event::ExternalRefused { why } if why == "not-authorized: no clientAuth")
    ));
    let Some(Ask::MakeKey { stream, .. }) = side.asks.pop_front() else {
        panic!("a key is made");
    };
    assert_eq!(stream, "s1");
}

#[test]
fn without_external_dialback_at_once() {
    let mut side = caller(false);
    side.read(EXTERNAL);
    assert!(!side.take().contains("<auth "));
    assert!(matches!(side.asks.pop_front(), Some(Ask::MakeKey { .. })));
}

#[test]
fn dialback_12_unasked_answers_are_dropped() {
    let mut side = caller(false);
    side.read(EXTERNAL);
    side.read("<db:result from='peer.example' to='one.example' type='valid'/>");
    assert!(side.accepted().is_empty(), "the key is not even out");
    side.answer(Answer::Key {
        local: domain("one.example"),
        remote: domain("peer.example"),
        key: "k".into(),
    });
    assert_eq!(
        side.take(),
        "<db:result from='one.example' to='peer.example'>k</db:result>"
    );
    side.read("<db:result from='peer.example' to='two.example' type='valid'/>");
    side.read("<db:result from='other.example' to='one.example' type='valid'/>");
    side.read("<db:verify from='peer.example' to='one.example' id='x' type='valid'/>");
    assert!(side.accepted().is_empty());
    side.read("<db:result from='peer.example' to='one.example' type='valid'/>");
    assert_eq!(side.accepted().len(), 1);
    side.read("<db:result from='peer.example' to='one.example' type='valid'/>");
    assert_eq!(side.accepted().len(), 1, "once");
}

#[test]
fn s2s_14_the_peer_may_not_send_stanzas_over_our_stream() {
    let mut side = caller(false);
    side.read(EXTERNAL);
    side.read("<message from='a@peer.example' to='b@one.example'><body>hi</body></message>");
    assert!(side.stanzas.is_empty());
    assert!(side.said.contains("<not-authorized "));
}

#[test]
fn cert_18_another_from_than_we_called() {
    let mut side = Side::new(PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external: true },
    ));
    side.feed(Input::Connected(Some(tls(None))));
    side.read(&header("other.example", "one.example"));
    assert!(side.said.contains("<invalid-from "));
}

#[test]
fn stream_27_the_error_of_the_peer_is_kept() {
    let mut side = caller(true);
    side.read(
        "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>go away</text></stream:error></stream:stream>",
    );
    assert!(
        side.events
            .iter()
            .any(|e| matches!(e, Event::RemoteError(error) if error.to_string() == "policy-violation: go away"))
    );
    assert!(side.disconnected);
}

#[test]
fn tls_10_nothing_is_said_when_the_handshake_is_cut() {
    let mut side = Side::new(PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external: true },
    ));
    side.feed(Input::Connected(None));
    side.read(&header("peer.example", "one.example"));
    side.read("<stream:features/><proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(side.start_tls, Some(domain("peer.example")));
    side.take();
    side.feed(Input::Order(Order::Close(
        StreamCondition::ConnectionTimeout.into(),
    )));
    assert!(side.disconnected && side.sent.is_empty());
}
