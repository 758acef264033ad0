//! The receiver against scripted peers, honest and not.

use super::super::KeyOutcome;
use super::super::joined::{PROVEN, Side, WEAK, domain, header, served, tls};
use super::dialback::{PAIRS, REFUSED_KEYS};
use super::*;

const REFUSED: Judgement = Judgement {
    proven: false,
    dialback: false,
    refused: None,
};

fn secured(judgement: Judgement) -> Side<PeerIn> {
    let mut side = Side::secured(&header("peer.example", "one.example"), judgement);
    side.take();
    side
}

/// A stream on which `peer.example` was proved.
fn open() -> Side<PeerIn> {
    let mut side = secured(PROVEN);
    side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    side.read(&header("peer.example", "one.example"));
    side.take();
    assert_eq!(side.machine.phase(), Phase::Open);
    side
}

const MESSAGE: &str =
    "<message from='a@peer.example/x' to='b@one.example' id='1'><body>hi</body></message>";

#[test]
fn tls_01_02_dialback_01_starttls_alone_and_required() {
    let mut side = Side::receiver();
    side.read(&header("peer.example", "one.example"));
    side.answer(Answer::Host(served("one.example")));
    let said = side.take();
    assert!(
        said.contains("from='one.example' to='peer.example'"),
        "{said}"
    );
    assert!(
        said.contains("xmlns:db='jabber:server:dialback'"),
        "DIALBACK-01"
    );
    assert!(said.ends_with(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    ));
    side.read("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(side.start_tls, Some(domain("one.example")));
}

#[test]
fn dialback_18_before_tls_is_against_policy() {
    let mut side = Side::receiver();
    side.read(&header("peer.example", "one.example"));
    side.answer(Answer::Host(served("one.example")));
    side.take();
    side.read("<db:result from='peer.example' to='one.example'>k</db:result>");
    let said = side.take();
    assert!(
        said.starts_with("<db:result from='one.example' to='peer.example' type='error'><error type='modify'><policy-violation"),
        "{said}"
    );
    assert!(!side.closed);
}

#[test]
fn vhost_05_unknown_and_departed_hosts() {
    for (host, condition) in [
        (Host::Unknown, "<host-unknown "),
        (Host::Gone, "<host-gone "),
    ] {
        let mut side = Side::receiver();
        side.read(&header("peer.example", "nowhere.example"));
        side.answer(Answer::Host(host));
        assert!(
            side.said.contains("from='provider.example'"),
            "{}",
            side.said
        );
        assert!(side.said.contains(condition) && side.closed);
    }
}

#[test]
fn vhost_03_no_other_domain_after_tls() {
    let mut side = Side::new(PeerIn::new(Seed::new([1; 32]), None));
    side.feed(Input::Connected(Some(tls(Some("one.example")))));
    side.read(&header("peer.example", "two.example"));
    assert!(side.said.contains("<policy-violation "), "{}", side.said);
    assert!(side.asks.is_empty());
}

#[test]
fn sasl_03_dialback_02_external_is_offered_only_when_it_will_succeed() {
    let proven = Side::secured(&header("peer.example", "one.example"), PROVEN);
    assert!(proven.said.contains("<mechanism>EXTERNAL</mechanism>"));
    for other in [
        Side::secured(&header("peer.example", "one.example"), WEAK),
        Side::secured(&header("", "one.example"), PROVEN),
    ] {
        assert!(!other.said.contains("EXTERNAL"));
        assert!(
            other
                .said
                .contains("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"),
            "DIALBACK-02"
        );
    }
}

#[test]
fn sasl_45_layer_08_authorization_identities() {
    for (authzid, ok) in [
        ("=", true),
        ("cGVlci5leGFtcGxl", true),
        ("UEVFUi5leGFtcGxl", true),
        ("b3RoZXIuZXhhbXBsZQ==", false),
        ("!", false),
    ] {
        let mut side = secured(PROVEN);
        side.read(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{authzid}</auth>"
        ));
        let said = side.take();
        assert_eq!(said.starts_with("<success "), ok, "{authzid}");
        assert_eq!(
            said.contains("<invalid-authzid/>"),
            authzid == "b3RoZXIuZXhhbXBsZQ==",
            "{authzid}: {said}"
        );
        assert_eq!(side.accepted().len(), usize::from(ok));
    }
}

#[test]
fn external_without_data_is_asked_for_it() {
    let mut side = secured(PROVEN);
    side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>");
    assert!(side.take().starts_with("<challenge "));
    side.read("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(side.take().starts_with("<success "));
}

#[test]
fn dna_07_external_unoffered_is_refused_and_dialback_may_follow() {
    let mut side = secured(WEAK);
    side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    assert!(side.take().contains("<not-authorized/>"));
    assert!(!side.closed);
    side.read("<db:result from='peer.example' to='one.example'>k</db:result>");
    assert!(matches!(side.asks.pop_front(), Some(Ask::Judge { .. })));
}

#[test]
fn stream_05_no_stanza_before_a_pair() {
    let mut side = secured(PROVEN);
    side.read(MESSAGE);
    assert!(side.said.contains("<not-authorized ") && side.stanzas.is_empty());
}

#[test]
fn dna_19_stanza_03_route_06_only_pairs_proved_here() {
    for (stanza, condition) in [
        (
            "<message from='a@other.example' to='b@one.example'/>",
            "invalid-from",
        ),
        (
            "<message from='a@peer.example' to='b@two.example'/>",
            "host-unknown",
        ),
        ("<message from='a@peer.example'/>", "improper-addressing"),
        ("<message to='b@one.example'/>", "improper-addressing"),
        (
            "<message from='a@peer.example' to=''/>",
            "improper-addressing",
        ),
        (
            "<message from='@@' to='b@one.example'/>",
            "improper-addressing",
        ),
        ("<x xmlns='urn:x'/>", "unsupported-stanza-type"),
    ] {
        let mut side = open();
        side.read(MESSAGE);
        assert_eq!(side.stanzas.len(), 1);
        side.read(stanza);
        assert!(
            side.said.contains(&format!("<{condition} ")),
            "{stanza}: {}",
            side.said
        );
        assert_eq!(side.stanzas.len(), 1);
    }
}

#[test]
fn layer_06_another_from_after_sasl() {
    let mut side = secured(PROVEN);
    side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    side.read(&header("other.example", "one.example"));
    assert!(side.said.contains("<invalid-from "), "{}", side.said);
    let mut side = secured(PROVEN);
    side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    side.read(&header("peer.example", "two.example"));
    assert!(side.said.contains("<policy-violation "), "{}", side.said);
}

fn judged(side: &mut Side<PeerIn>, remote: &str, judgement: Judgement) {
    side.answer(Answer::Judged {
        local: domain("one.example"),
        remote: domain(remote),
        judgement,
    });
}

#[test]
fn dialback_21_22_a_certificate_spares_dialling_back() {
    let mut side = secured(WEAK);
    side.read("<db:result from='other.example' to='one.example'>k</db:result>");
    assert!(
        matches!(side.asks.pop_front(), Some(Ask::Judge { remote, .. }) if remote.as_str() == "other.example"),
        "DIALBACK-22: judged now, for the domain named"
    );
    judged(&mut side, "other.example", PROVEN);
    assert_eq!(
        side.take(),
        "<db:result from='one.example' to='other.example' type='valid'/>"
    );
    assert!(side.asks.is_empty());
    side.read("<message from='a@other.example' to='b@one.example'/>");
    assert_eq!(side.stanzas.len(), 1);
}

#[test]
fn dna_21_a_policy_that_wants_more_than_dialback() {
    let mut side = secured(WEAK);
    side.read("<db:result from='other.example' to='one.example'>k</db:result>");
    judged(&mut side, "other.example", REFUSED);
    let said = side.take();
    assert!(
        said.contains("type='error'") && said.contains("<not-authorized "),
        "{said}"
    );
    assert!(!side.closed);
}

#[test]
fn dialback_14_verified_pairs_go_on_while_another_is_pending() {
    let mut side = open();
    side.read("<db:result from='other.example' to='one.example'>k</db:result>");
    judged(&mut side, "other.example", WEAK);
    assert!(matches!(side.asks.pop_back(), Some(Ask::VerifyKey { .. })));
    side.read(MESSAGE);
    assert_eq!(side.stanzas.len(), 1);
    side.answer(Answer::KeyVerified {
        local: domain("one.example"),
        remote: domain("other.example"),
        outcome: KeyOutcome::Invalid,
    });
    assert!(side.take().contains("type='invalid'"));
    assert!(!side.closed, "DIALBACK-15: the other pair keeps the stream");
}

#[test]
fn dialback_15_an_invalid_key_and_no_other_pair_close_the_stream() {
    let mut side = secured(WEAK);
    side.read("<db:result from='peer.example' to='one.example'>k</db:result>");
    judged(&mut side, "peer.example", WEAK);
    side.answer(Answer::KeyVerified {
        local: domain("one.example"),
        remote: domain("peer.example"),
        outcome: KeyOutcome::Invalid,
    });
    assert!(side.closed);
}

#[test]
fn dialback_17_a_domain_that_is_not_here_is_no_reason_to_close() {
    let mut side = secured(WEAK);
    side.read("<db:result from='peer.example' to='two.example'>k</db:result>");
    let elsewhere = Judgement {
        refused: Some(StreamCondition::HostUnknown.into()),
        ..REFUSED
    };
    side.answer(Answer::Judged {
        local: domain("two.example"),
        remote: domain("peer.example"),
        judgement: elsewhere,
    });
    let said = side.take();
    assert!(
        said.starts_with("<db:result from='two.example' to='peer.example' type='error'>")
            && said.contains("<item-not-found "),
        "{said}"
    );
    side.read("<db:verify from='peer.example' to='two.example' id='x'>k</db:verify>");
    side.answer(Answer::KeyChecked {
        stream: "x".into(),
        local: domain("two.example"),
        remote: domain("peer.example"),
        valid: None,
    });
    let said = side.take();
    assert!(
        said.starts_with("<db:verify from='two.example' to='peer.example' id='x' type='error'>")
            && said.contains("<item-not-found "),
        "{said}"
    );
    assert!(!side.closed);
}

#[test]
fn dialback_11_the_outcome_is_reported_on_the_stream_of_the_key() {
    let timeout = KeyOutcome::Failed(Box::new(Condition::RemoteServerTimeout.into()));
    for (outcome, type_) in [
        (KeyOutcome::Valid, "valid"),
        (KeyOutcome::Invalid, "invalid"),
        (timeout, "error"),
    ] {
        let mut side = open();
        side.read("<db:result from='other.example' to='one.example'>k</db:result>");
        judged(&mut side, "other.example", WEAK);
        assert!(side.take().is_empty(), "nothing before the answer");
        side.answer(Answer::KeyVerified {
            local: domain("one.example"),
            remote: domain("other.example"),
            outcome,
        });
        let said = side.take();
        let start = format!("<db:result from='one.example' to='other.example' type='{type_}'");
        assert!(said.starts_with(&start), "{said}");
    }
}

#[test]
fn dialback_13_an_answer_without_its_question_or_its_stream_is_dropped() {
    let late = || Answer::KeyVerified {
        local: domain("one.example"),
        remote: domain("other.example"),
        outcome: KeyOutcome::Valid,
    };
    let mut side = open();
    side.answer(late());
    assert!(side.take().is_empty() && !side.closed);
    assert_eq!(side.accepted().len(), 1, "the pair that EXTERNAL proved");
    // The stream ended while the key was being verified.
    let mut side = open();
    side.read("<db:result from='other.example' to='one.example'>k</db:result>");
    judged(&mut side, "other.example", WEAK);
    side.read("</stream:stream>");
    side.take();
    side.answer(late());
    assert!(side.take().is_empty());
    assert_eq!(side.accepted().len(), 1);
}

#[test]
fn layer_09_what_was_said_before_tls_is_dropped() {
    let mut side = Side::receiver();
    side.read(&header("early.example", "one.example"));
    side.answer(Answer::Host(served("one.example")));
    let early = side.take();
    side.read("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    side.secure(tls(Some("one.example")));
    side.asks.clear();
    side.take();
    side.read(&header("peer.example", "one.example"));
    assert!(
        matches!(side.asks.front(), Some(Ask::Host { .. })),
        "looked up again"
    );
    side.answer(Answer::Host(served("one.example")));
    // CERT-14, DNA-04: judged is the `from` of this header.
    assert!(matches!(
        side.asks.back(),
        Some(Ask::Judge { local, remote })
            if local.as_str() == "one.example" && remote.as_str() == "peer.example"
    ));
    side.answer(Answer::Judged {
        local: domain("one.example"),
        remote: domain("peer.example"),
        judgement: PROVEN,
    });
    let said = side.take();
    assert!(said.contains("to='peer.example'") && !said.contains("early.example"));
    let id = |text: &str| {
        let (_, rest) = text.split_once(" id='").expect("an ID");
        rest.split('\'').next().map(str::to_owned)
    };
    assert_ne!(id(&early), id(&said));
}

#[test]
fn dialback_12_typed_elements_are_dropped() {
    let mut side = secured(WEAK);
    for stray in [
        "<db:result from='peer.example' to='one.example' type='valid'/>",
        "<db:verify from='peer.example' to='one.example' id='x' type='valid'/>",
        "<db:result from='peer.example'>k</db:result>",
        "<db:other from='peer.example' to='one.example'/>",
    ] {
        side.read(stray);
    }
    assert!(side.asks.is_empty() && side.take().is_empty() && side.accepted().is_empty());
}

#[test]
fn dialback_24_the_number_of_pairs_is_bounded() {
    let mut side = secured(WEAK);
    for i in 0..PAIRS + 1 {
        side.read(&format!(
            "<db:result from='d{i}.example' to='one.example'>k</db:result>"
        ));
    }
    assert_eq!(side.asks.len(), PAIRS);
    assert!(side.take().contains("<resource-constraint "));
}

#[test]
fn dialback_24_wrong_keys_are_not_looked_at_for_ever() {
    let mut side = open();
    for i in 0..=REFUSED_KEYS {
        let remote = format!("d{i}.example");
        side.read(&format!(
            "<db:result from='{remote}' to='one.example'>k</db:result>"
        ));
        judged(&mut side, &remote, REFUSED);
    }
    assert_eq!(side.asks.len(), REFUSED_KEYS);
    assert!(side.take().contains("<resource-constraint "));
    assert!(!side.closed);
}

#[test]
fn stream_10_a_stream_that_had_a_key_checked_ends_quietly() {
    let mut side = secured(WEAK);
    side.answer(Answer::KeyChecked {
        stream: "x".into(),
        local: domain("one.example"),
        remote: domain("peer.example"),
        valid: Some(true),
    });
    side.take();
    side.feed(Input::Order(Order::Close(
        StreamCondition::ConnectionTimeout.into(),
    )));
    assert_eq!(side.take(), "</stream:stream>");
    assert!(side.closed);
}

#[test]
fn stanza_06_a_bad_iq_is_answered_over_our_own_stream() {
    let mut side = open();
    side.read("<iq from='a@peer.example/x' to='b@one.example' type='get' id='1'/>");
    assert!(side.stanzas.is_empty() && !side.closed);
    let reply = side.events.iter().find_map(|event| match event {
        Event::Reply(reply) => Some(reply),
        _ => None,
    });
    assert_eq!(
        reply.and_then(|r| r.to()).map(|to| to.as_str()),
        Some("a@peer.example/x")
    );
}

#[test]
fn every_cut_of_a_script_gives_the_same() {
    let script = format!(
        "<db:result from='other.example' to='one.example'>k</db:result>{MESSAGE}<db:verify from='peer.example' to='one.example' id='x'>k</db:verify>"
    );
    let mut whole = open();
    whole.read(&script);
    for cut in (0..script.len()).filter(|&at| script.is_char_boundary(at)) {
        let mut side = open();
        side.read(&script[..cut]);
        side.read(&script[cut..]);
        assert_eq!(side.stanzas, whole.stanzas);
        assert_eq!(side.asks.len(), whole.asks.len());
        assert_eq!(side.said, whole.said);
    }
}

#[test]
fn bidi_01_offered_over_tls_and_taken_before_authentication_only() {
    let side = Side::secured(&header("peer.example", "one.example"), PROVEN);
    assert!(side.said.contains("<bidi xmlns='urn:xmpp:features:bidi'/>"));
    // COMPAT: the namespace of the feature is what some ejabberd send.
    for namespace in ["urn:xmpp:bidi", "urn:xmpp:features:bidi"] {
        let mut side = secured(PROVEN);
        side.read(&format!(
            "<bidi xmlns='{namespace}'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes></limits></bidi>"
        ));
        side.read("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
        assert!(
            side.events
                .iter()
                .any(|e| matches!(e, Event::PairAccepted { bidi: true, .. }))
        );
        assert!(
            side.events
                .iter()
                .any(|e| matches!(e, Event::PeerLimits { max_bytes: 20_000 }))
        );
    }
    let mut late = open();
    late.read("<bidi xmlns='urn:xmpp:bidi'/>");
    assert!(late.said.contains("<policy-violation "));
}

#[test]
fn sm_01_02_08_only_once_and_only_when_open() {
    let mut side = secured(PROVEN);
    side.read("<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(side.take().contains("<unexpected-request "));
    let mut side = open();
    side.read("<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>");
    assert!(side.take().contains("<item-not-found "), "no resumption");
    side.read("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert_eq!(side.take(), "<enabled xmlns='urn:xmpp:sm:3'/>");
    side.read("<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(side.take().contains("<unexpected-request ") && side.closed);
}

#[test]
fn dna_18_another_target_on_the_same_channel_is_a_pair_of_its_own() {
    let mut side = open();
    side.read("<db:result from='peer.example' to='rooms.one.example'>k</db:result>");
    // LAYER-06: nothing before it is proved, although `peer.example` is, towards another domain.
    let mut early = open();
    early.read("<message from='a@peer.example' to='r@rooms.one.example'/>");
    assert!(early.said.contains("<host-unknown ") && early.stanzas.is_empty());
    side.answer(Answer::Judged {
        local: domain("rooms.one.example"),
        remote: domain("peer.example"),
        judgement: PROVEN,
    });
    assert_eq!(
        side.take(),
        "<db:result from='rooms.one.example' to='peer.example' type='valid'/>"
    );
    side.read("<message from='a@peer.example' to='r@rooms.one.example'/>");
    side.read(MESSAGE);
    assert_eq!(side.stanzas.len(), 2);
    // A second sender is proved towards one of them and not the other.
    side.read("<db:result from='other.example' to='rooms.one.example'>k</db:result>");
    side.answer(Answer::Judged {
        local: domain("rooms.one.example"),
        remote: domain("other.example"),
        judgement: PROVEN,
    });
    side.read("<message from='a@other.example' to='b@one.example'/>");
    assert!(side.said.contains("<host-unknown "), "the pair is the unit");
}

#[test]
fn a_key_for_one_pair_answers_for_no_other() {
    let mut side = secured(WEAK);
    for to in ["one.example", "rooms.one.example"] {
        side.read(&format!(
            "<db:result from='peer.example' to='{to}'>k</db:result>"
        ));
        side.answer(Answer::Judged {
            local: domain(to),
            remote: domain("peer.example"),
            judgement: WEAK,
        });
    }
    side.answer(Answer::KeyVerified {
        local: domain("rooms.one.example"),
        remote: domain("peer.example"),
        outcome: KeyOutcome::Valid,
    });
    side.read(MESSAGE);
    assert!(side.said.contains("<host-unknown ") && side.stanzas.is_empty());
}

#[test]
fn tls_04_no_stanza_in_plaintext() {
    let mut side = Side::receiver();
    side.read(&header("peer.example", "one.example"));
    side.answer(Answer::Host(served("one.example")));
    side.read(MESSAGE);
    assert!(side.closed && side.stanzas.is_empty(), "{}", side.said);
}

#[test]
fn tls_12_the_certificate_is_judged_before_features_are_offered() {
    let mut side = Side::new(PeerIn::new(Seed::new([1; 32]), None));
    side.feed(Input::Connected(Some(tls(Some("one.example")))));
    side.read(&header("peer.example", "one.example"));
    side.answer(Answer::Host(served("one.example")));
    assert!(
        matches!(side.asks.pop_back(), Some(Ask::Judge { local, remote })
            if local.as_str() == "one.example" && remote.as_str() == "peer.example")
    );
    assert!(side.said.is_empty(), "{}", side.said);
}

#[test]
fn stream_07_the_domain_is_the_one_proved() {
    for authzid in ["=", "UEVFUi5leGFtcGxl"] {
        let mut side = secured(PROVEN);
        side.read(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{authzid}</auth>"
        ));
        assert_eq!(
            side.accepted(),
            [("peer.example".to_owned(), "EXTERNAL")],
            "{authzid}"
        );
    }
    // Without SASL: what the key was verified for, whatever the header said.
    let mut side = secured(WEAK);
    side.read("<db:result from='Other.Example' to='one.example'>k</db:result>");
    judged(&mut side, "other.example", WEAK);
    assert!(side.accepted().is_empty());
    side.answer(Answer::KeyVerified {
        local: domain("one.example"),
        remote: domain("other.example"),
        outcome: KeyOutcome::Valid,
    });
    assert_eq!(side.accepted(), [("other.example".to_owned(), "dialback")]);
    side.read(MESSAGE);
    assert!(side.said.contains("<invalid-from ") && side.stanzas.is_empty());
}

#[test]
fn stream_12_an_id_of_the_caller_is_ignored() {
    let theirs = header("peer.example", "one.example").replace(" to=", " id='theirs' to=");
    let side = Side::secured(&theirs, WEAK);
    assert!(side.said.contains(" id='") && !side.said.contains("theirs"));
}

#[test]
fn stream_13_without_from_the_peer_is_heard_and_not_believed() {
    for from in ["", "''"] {
        let theirs = header("", "one.example");
        let theirs = match from {
            "" => theirs,
            _ => theirs.replace(" to=", " from='' to="),
        };
        let mut side = Side::secured(&theirs, PROVEN);
        assert!(!side.closed && side.said.ends_with("</stream:features>"));
        assert!(!side.said.contains(" to='"), "nobody to name");
        side.read("<db:result from='peer.example' to='one.example'>k</db:result>");
        judged(&mut side, "peer.example", WEAK);
        assert!(matches!(side.asks.pop_back(), Some(Ask::VerifyKey { .. })));
        side.read(MESSAGE);
        assert!(side.said.contains("<not-authorized ") && side.stanzas.is_empty());
    }
}

#[test]
fn stream_15_the_answer_is_to_the_domain_of_the_peer() {
    let side = Side::secured(&header("PEER.example.", "one.example"), WEAK);
    assert!(side.said.contains(" to='peer.example'"), "{}", side.said);
}

#[test]
fn stream_28_faults_of_the_header() {
    let good = header("peer.example", "one.example");
    for (header, condition) in [
        (good.replace(" to='one.example'", ""), "host-unknown"),
        (good.replace("peer.example", "a b"), "invalid-from"),
        (
            good.replace("jabber:server'", "jabber:client'"),
            "invalid-namespace",
        ),
        (good.replace(" version='1.0'>", ">"), "unsupported-version"),
        (good.replace("to=", "to"), "not-well-formed"),
        (format!("{good}<!-- x -->"), "restricted-xml"),
        (
            good.replace("?>", " encoding='latin1'?>"),
            "unsupported-encoding",
        ),
    ] {
        let mut side = Side::receiver();
        side.read(&header);
        if !side.asks.is_empty() {
            side.answer(Answer::Host(served("one.example")));
        }
        assert!(
            side.said.contains(&format!("<stream:error><{condition} ")) && side.closed,
            "{header}: {}",
            side.said
        );
    }
    // Those that are decided elsewhere are written as they are told.
    for condition in [
        StreamCondition::Conflict,
        StreamCondition::InternalServerError,
        StreamCondition::RemoteConnectionFailed,
        StreamCondition::Reset,
        StreamCondition::ResourceConstraint,
        StreamCondition::SystemShutdown,
    ] {
        let mut side = open();
        side.feed(Input::Order(Order::Close(condition.into())));
        assert_eq!(
            side.take(),
            format!(
                "<stream:error><{} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
                condition.name()
            )
        );
    }
}

fn drop_pair(side: &mut Side<PeerIn>, local: &str, condition: StreamCondition) {
    side.feed(Input::Order(Order::DropPair {
        local: domain(local),
        remote: domain("peer.example"),
        error: StreamError::new(condition).with_text("has changed"),
    }));
}

/// A stream on which `peer.example` was proved towards two domains of ours.
fn shared(bidi: bool) -> Side<PeerIn> {
    let mut side = secured(PROVEN);
    if bidi {
        side.read("<bidi xmlns='urn:xmpp:bidi'/>");
    }
    for local in ["one.example", "two.example"] {
        side.read(&format!(
            "<db:result from='peer.example' to='{local}'>k</db:result>"
        ));
        side.answer(Answer::Judged {
            local: domain(local),
            remote: domain("peer.example"),
            judgement: PROVEN,
        });
    }
    assert_eq!(side.accepted().len(), 2);
    side.take();
    side
}

#[test]
fn cert_23_a_dropped_pair_that_was_alone_closes_the_stream() {
    let mut side = open();
    drop_pair(&mut side, "one.example", StreamCondition::Reset);
    let said = side.take();
    assert!(said.contains("<reset ") && said.contains("has changed"));
    assert!(side.closed);
}

/// DOS-10: what one domain no longer takes is no matter of the others on the stream.
#[test]
fn dos_10_a_dropped_pair_leaves_the_others_on_a_shared_stream() {
    for bidi in [true, false] {
        let mut side = shared(bidi);
        drop_pair(&mut side, "one.example", StreamCondition::PolicyViolation);
        assert!(!side.closed && side.take().is_empty());
        assert!(
            matches!(&side.events.last(), Some(Event::PairDropped { local, .. }) if local.as_str() == "one.example")
        );
        let other = MESSAGE.replace("one.example", "two.example");
        side.read(&other);
        assert_eq!(side.stanzas.len(), 1, "the other pair goes on");
        // Nobody waits for an answer to these.
        side.read(&MESSAGE.replace("id='1'", "id='1' type='error'"));
        assert!(!side.closed && side.stanzas.len() == 1);
        if !bidi {
            // Nothing can be written back, and nothing is swallowed.
            side.read(MESSAGE);
            assert!(side.take().contains("<policy-violation ") && side.closed);
            continue;
        }
        for _ in 0..super::super::passage::ANSWERED {
            side.read(MESSAGE);
            let said = side.refusals();
            assert!(
                said.starts_with("<message from='b@one.example' to='a@peer.example/x'")
                    && said.contains("<policy-violation "),
                "{said}"
            );
            assert!(!side.closed);
        }
        side.read(MESSAGE);
        assert!(side.closed, "it does not listen");
        assert_eq!(side.stanzas.len(), 1);
    }
}

#[test]
fn a_dropped_pair_may_be_proved_anew() {
    let mut side = shared(true);
    drop_pair(&mut side, "one.example", StreamCondition::Reset);
    side.read(MESSAGE);
    assert!(side.refusals().contains("<not-authorized "));
    side.read("<db:result from='peer.example' to='one.example'>k</db:result>");
    judged(&mut side, "peer.example", PROVEN);
    side.read(MESSAGE);
    assert_eq!(side.stanzas.len(), 1, "{}", side.said);
}

/// RFC 6120 4.4 (2): whoever closes refrains from sending, and goes on taking what was under way.
#[test]
fn stream_08_what_comes_behind_our_end_is_taken() {
    let mut side = open();
    side.feed(Input::Order(Order::Finish));
    assert!(side.take().ends_with("</stream:stream>"));
    side.read(MESSAGE);
    side.read(&MESSAGE.replace("peer.example", "other.example"));
    assert_eq!((side.stanzas.len(), side.take().as_str()), (1, ""));
    side.read("</stream:stream>");
    assert!(side.disconnected);
    // Behind an error nothing is.
    let mut side = open();
    side.feed(Input::Order(Order::Close(StreamCondition::Reset.into())));
    side.read(MESSAGE);
    assert!(side.stanzas.is_empty());
}

/// XEP-0198 4: what has arrived is acknowledged before our end; what comes behind it cannot be any more, so it is left to come
/// again, while what the peer acknowledges still counts.
#[test]
fn sm_what_has_arrived_is_acknowledged_before_the_end() {
    let mut side = open();
    side.read("<enable xmlns='urn:xmpp:sm:3'/>");
    side.read(MESSAGE);
    side.take();
    side.feed(Input::Order(Order::Finish));
    assert_eq!(
        side.take(),
        "<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>"
    );
    side.read(MESSAGE);
    side.read("<a xmlns='urn:xmpp:sm:3' h='3'/>");
    assert_eq!(side.stanzas.len(), 1);
    assert!(matches!(
        side.events.last(),
        Some(Event::Acked { handled: 3 })
    ));
    // The same where the peer closes first.
    let mut side = open();
    side.read("<enable xmlns='urn:xmpp:sm:3'/>");
    side.read(MESSAGE);
    side.take();
    side.read("</stream:stream>");
    assert_eq!(
        side.take(),
        "<a xmlns='urn:xmpp:sm:3' h='1'/></stream:stream>"
    );
}
