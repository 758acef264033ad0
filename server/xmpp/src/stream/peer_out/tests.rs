//! The caller, joined to our own receiver and against scripted peers.

use super::super::KeyOutcome;
use super::super::joined::{PROVEN, Pair, Side, WEAK, domain, header, tls};
use super::*;
use crate::stanza::{Condition, StanzaError};

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

/// DIALBACK-08: `valid` is all that is waited for, however the peer came to it.
#[test]
fn dialback_07_dna_08_tls_38_without_a_certificate_that_proves_us() {
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
fn cert_27_tls_37_a_peer_that_proves_nothing_and_may_not_is_left() {
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
    called_by(PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external },
    ))
}

fn called_by(machine: PeerOut) -> Side<PeerOut> {
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
fn tls_15_42_starttls_is_asked_for_even_when_it_is_not_offered() {
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
    assert!(
        side.events.iter().any(
            |e| matches!(e, Event::PairRefused { why, .. } if why == "peer.example does not take STARTTLS")
        ),
        "{:?}",
        side.events
    );
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
fn cert_18_layer_05_another_from_than_we_called() {
    let mut side = Side::new(PeerOut::new(
        domain("one.example"),
        domain("peer.example"),
        Purpose::Send { external: true },
    ));
    side.feed(Input::Connected(Some(tls(None))));
    side.read(&header("other.example", "one.example"));
    assert!(side.said.contains("<invalid-from "));
}

/// Whatever the answer calls itself, what is judged is the domain that was called, for the domain it was called for.
#[test]
fn layer_04_cert_13_vhost_07_the_names_are_those_of_our_own_header() {
    for answer in [
        header("peer.example", "one.example"),
        header("", "one.example"),
        header("PEER.example", "one.example"),
    ] {
        let mut side = Side::new(PeerOut::new(
            domain("one.example"),
            domain("peer.example"),
            Purpose::Send { external: true },
        ));
        side.feed(Input::Connected(Some(tls(None))));
        assert!(
            side.said.contains("from='one.example' to='peer.example'"),
            "{}",
            side.said
        );
        side.read(&answer);
        assert!(
            matches!(
                side.asks.front(),
                Some(Ask::Judge { local, remote })
                    if local.as_str() == "one.example" && remote.as_str() == "peer.example"
            ),
            "{answer}"
        );
    }
}

/// Certificates prove nothing in either direction: TLS all the same, and the key only inside it.
#[test]
fn s2s_13_tls_before_dialback() {
    let mut pair = Pair::new(WEAK, WEAK);
    pair.run();
    let said = &pair.out.said;
    let at = |what: &str| said.find(what).expect(what);
    assert!(at("<starttls ") < at("<db:result "), "{said}");
    assert_eq!(
        pair.into.accepted(),
        [("peer.example".to_owned(), "dialback")]
    );
}

/// Only then may other targets be tried on the stream.
#[test]
fn dialback_20_whether_the_peer_answers_errors_is_passed_on() {
    for (feature, expected) in [
        (
            "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>",
            true,
        ),
        ("<dialback xmlns='urn:xmpp:features:dialback'/>", false),
        ("", false),
    ] {
        let mut side = caller(false);
        side.read(&format!("<stream:features>{feature}</stream:features>"));
        let ready = side.events.iter().find_map(|event| match event {
            Event::Ready { errors, .. } => Some(*errors),
            _ => None,
        });
        assert_eq!(ready, Some(expected), "{feature}");
    }
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

const BACK: &str = "<message from='a@one.example' to='b@peer.example'><body>hi</body></message>";

#[test]
fn bidi_04_both_directions_for_the_pair_and_no_other() {
    for judged_in in [PROVEN, WEAK] {
        let mut pair = Pair::new(judged_in, PROVEN);
        pair.run();
        assert!(pair.out.said.contains("<bidi xmlns='urn:xmpp:bidi'/>"));
        for side in [&pair.out.events, &pair.into.events] {
            assert!(
                side.iter()
                    .any(|e| matches!(e, Event::PairAccepted { bidi: true, .. }))
            );
        }
        pair.out.read(BACK);
        assert_eq!(pair.out.stanzas.len(), 1, "{}", pair.out.said);
    }
    for (stanza, condition) in [
        (
            "<message from='a@other.example' to='b@peer.example'/>",
            "invalid-from",
        ),
        (
            "<message from='a@one.example' to='b@other.example'/>",
            "host-unknown",
        ),
        ("<message from='a@one.example'/>", "improper-addressing"),
    ] {
        let mut pair = Pair::new(PROVEN, PROVEN);
        pair.run();
        pair.out.read(stanza);
        assert!(pair.out.stanzas.is_empty());
        assert!(
            pair.out.said.contains(&format!("<{condition} ")),
            "{stanza}"
        );
    }
}

#[test]
fn bidi_02_asked_for_before_authentication() {
    let mut side = caller(true);
    side.read(&EXTERNAL.replace(
        "<mechanisms",
        "<bidi xmlns='urn:xmpp:features:bidi'/><mechanisms",
    ));
    assert!(
        side.take()
            .starts_with("<bidi xmlns='urn:xmpp:bidi'/><auth ")
    );
    // BIDI-03: nothing comes back before.
    side.read(BACK);
    assert!(side.stanzas.is_empty() && side.said.contains("<not-authorized "));
}

#[test]
fn bidi_06_07_keys_of_the_peer_are_refused_not_ignored() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    pair.out.take();
    pair.out
        .read("<db:result from='other.example' to='peer.example'>k</db:result>");
    let said = pair.out.take();
    assert!(
        said.starts_with("<db:result from='peer.example' to='other.example' type='error'>"),
        "{said}"
    );
    // DIALBACK-12
    pair.out
        .read("<db:result from='one.example' to='peer.example' type='valid'/>");
    assert_eq!(pair.out.accepted().len(), 1);
    assert!(!pair.out.closed);
}

#[test]
fn dna_12_a_further_pair_fails_and_the_stream_goes_on() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    pair.judged_in = WEAK;
    for (name, key, ok) in [
        ("further.example", KeyOutcome::Valid, true),
        ("forged.example", KeyOutcome::Invalid, false),
        (
            "lost.example",
            KeyOutcome::Failed(Box::new(Condition::RemoteServerTimeout.into())),
            false,
        ),
    ] {
        pair.key = key;
        pair.order(Order::AddPair {
            local: domain(name),
            remote: domain("one.example"),
        });
        pair.run();
        assert!(pair.open(), "{name}");
        let message = format!("<message from='a@{name}' to='b@one.example'/>");
        let before = pair.into.stanzas.len();
        pair.into.read(&message);
        assert_eq!(pair.into.stanzas.len() > before, ok, "{name}");
        if !ok {
            // What was sent all the same ends the stream (DNA-19).
            assert!(pair.into.said.contains("<invalid-from "), "{name}");
            pair = Pair::new(PROVEN, PROVEN);
            pair.run();
            pair.judged_in = WEAK;
        }
    }
}

/// XEP-0478 3.2: whoever calls has no features to say it in.
#[test]
fn stream_34_limits_are_told_where_the_peer_may_send() {
    for (bidi, told) in [
        ("<bidi xmlns='urn:xmpp:features:bidi'/>", true),
        ("", false),
    ] {
        let purpose = Purpose::Send { external: true };
        let machine = PeerOut::new(domain("one.example"), domain("peer.example"), purpose);
        let mut side = called_by(machine.taking(20_000, 600));
        side.read(&EXTERNAL.replace("<mechanisms", &format!("{bidi}<mechanisms")));
        let limits = "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'>\
                      <max-bytes>20000</max-bytes><idle-seconds>600</idle-seconds></limits></bidi><auth ";
        let said = side.take();
        assert_eq!(said.starts_with(limits), told, "{said}");
        assert_eq!(said.contains("<limits"), told, "{said}");
    }
}

#[test]
fn stream_35_limits_of_the_peer_are_passed_on() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    assert!(
        pair.out
            .events
            .iter()
            .any(|e| matches!(e, Event::PeerLimits { max_bytes: 10_000 }))
    );
}

#[test]
fn sm_01_03_04_acknowledgements_both_ways_after_external() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    assert!(pair.out.said.contains("<enable xmlns='urn:xmpp:sm:3'/>"));
    assert!(pair.into.said.contains("<enabled xmlns='urn:xmpp:sm:3'/>"));
    for side in [&pair.out.events, &pair.into.events] {
        assert!(side.iter().any(|e| matches!(e, Event::AcksBegin)));
    }
    pair.into.take();
    pair.into
        .read("<message from='a@peer.example' to='b@one.example'/><r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(pair.into.take(), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    pair.out.take();
    pair.out.read(BACK);
    pair.out.read("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(pair.out.take(), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    pair.out.read("<a xmlns='urn:xmpp:sm:3' h='7'/>");
    assert!(
        pair.out
            .events
            .iter()
            .any(|e| matches!(e, Event::Acked { handled: 7 }))
    );
    pair.out.read("<a xmlns='urn:xmpp:sm:3' h='many'/>");
    assert!(pair.out.said.contains("<bad-format "));
}

#[test]
fn sm_a_peer_that_will_not_acknowledge() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    let mut side = caller(true);
    side.read(EXTERNAL);
    side.read("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    side.read(&header("peer.example", "one.example").replace(" to=", " id='s2' to="));
    side.read("<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>");
    side.read("<failed xmlns='urn:xmpp:sm:3'/>");
    assert!(side.events.iter().any(|e| matches!(e, Event::AcksRefused)));
    assert_eq!(side.machine.phase(), Phase::Open);
    // Unasked, it is no part of the stream.
    side.read("<r xmlns='urn:xmpp:sm:3'/>");
    assert!(side.said.contains("<unsupported-stanza-type "));
}

#[test]
fn stream_12_the_header_of_a_caller() {
    let mut pair = Pair::new(PROVEN, PROVEN);
    pair.run();
    let headers: Vec<_> = pair
        .out
        .said
        .split("<stream:stream ")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .collect();
    assert_eq!(headers.len(), 3, "before TLS, inside it, after SASL");
    for header in headers {
        assert!(
            header.contains("from='peer.example' to='one.example'"),
            "{header}"
        );
        assert!(!header.contains(" id="), "{header}");
    }
    // STREAM-03: no stream but the last is ever closed.
    assert!(!pair.out.said.contains("</stream:stream>"));
    assert!(!pair.into.said.contains("</stream:stream>"));
}

/// DOS-10: a pair that is dropped leaves the others on a shared stream; the last one takes the stream with it.
#[test]
fn dos_10_a_dropped_pair_leaves_the_others_until_it_is_the_last() {
    let drop = |local: &str| Order::DropPair {
        local: domain(local),
        remote: domain("one.example"),
        error: StreamError::new(StreamCondition::Reset),
    };
    let mut pair = Pair::new(WEAK, PROVEN);
    pair.run();
    pair.order(Order::AddPair {
        local: domain("chat.peer.example"),
        remote: domain("one.example"),
    });
    pair.run();
    assert_eq!(pair.out.accepted().len(), 2);
    pair.out
        .read("<message from='a@one.example' to='b@peer.example' id='1'><body>hi</body></message>");
    assert_eq!(pair.out.stanzas.len(), 1);
    pair.order(drop("peer.example"));
    assert!(!pair.out.closed);
    pair.out
        .read("<message from='a@one.example' to='b@peer.example' id='2'><body>hi</body></message>");
    assert_eq!(pair.out.stanzas.len(), 1, "it may pass no longer");
    let said = pair.out.refusals();
    assert!(
        said.starts_with("<message from='b@peer.example' to='a@one.example'")
            && said.contains("<not-authorized "),
        "{said}"
    );
    pair.out.read(
        "<message from='a@one.example' to='b@chat.peer.example' id='3'><body>hi</body></message>",
    );
    assert_eq!(pair.out.stanzas.len(), 2, "the other pair goes on");
    pair.order(drop("chat.peer.example"));
    assert!(pair.out.closed && pair.out.said.contains("<reset "));
}

/// XEP-0198 3, SM-01: dialback authenticates as SASL does; what the receiver offered before it is switched on behind it.
#[test]
fn sm_01_03_04_acknowledgements_both_ways_after_dialback() {
    let mut pair = Pair::new(WEAK, PROVEN);
    pair.run();
    let (valid, enable) = (
        pair.into.said.find("type='valid'"),
        pair.into.said.find("<enabled xmlns='urn:xmpp:sm:3'/>"),
    );
    assert!(valid.is_some() && valid < enable, "{}", pair.into.said);
    let began = |events: &[Event]| events.iter().any(|event| matches!(event, Event::AcksBegin));
    assert!(began(&pair.out.events) && began(&pair.into.events));
    // A further pair asks for nothing more.
    pair.order(Order::AddPair {
        local: domain("chat.peer.example"),
        remote: domain("one.example"),
    });
    pair.run();
    assert_eq!(pair.out.said.matches("<enable ").count(), 1);
    pair.into.read(
        "<message from='a@peer.example' to='b@one.example' id='1'><body>hi</body></message><r xmlns='urn:xmpp:sm:3'/>",
    );
    assert!(
        pair.into
            .take()
            .contains("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    );
}

/// A peer that offers nothing is asked for nothing: an element it does not know would cost the stream.
#[test]
fn sm_nothing_is_asked_of_a_peer_that_offers_no_acknowledgements() {
    let mut side = caller(false);
    side.read("<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>");
    let Some(Ask::MakeKey { local, remote, .. }) = side.asks.pop_front() else {
        panic!("a key");
    };
    side.answer(Answer::Key {
        local,
        remote,
        key: "k".into(),
    });
    side.read("<db:result from='peer.example' to='one.example' type='valid'/>");
    assert!(!side.accepted().is_empty() && !side.said.contains("<enable"));
}
