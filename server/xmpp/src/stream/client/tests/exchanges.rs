//! SASL on a client's stream: what is offered, and how an exchange goes.

use super::*;

#[test]
fn sasl_02_mechanisms_in_order_with_plain_last() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let (profile, _) = world.sent.split_once("</mechanisms>").expect("a list");
    let listed: Vec<_> = profile
        .split("<mechanism>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    assert_eq!(
        listed,
        [
            "SCRAM-SHA-512-PLUS",
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-512",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1",
            "PLAIN"
        ]
    );
    assert!(!world.sent.contains("xmpp-bind"), "STREAM-02");
}

#[test]
fn sasl_21_23_27_binding_types_match_the_connection() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    assert!(world.sent.contains("type='tls-exporter'"));
    assert!(world.sent.contains("type='tls-server-end-point'"));
    let mut world = World::new();
    world.input(Input::Connected(Some(TlsInfo {
        exporter: None,
        end_point: None,
        ..tls("one.example")
    })));
    world.say(OPEN);
    assert!(!world.sent.contains("-PLUS") && !world.sent.contains("sasl-channel-binding"));
}

#[test]
fn sasl_15_plain_is_the_domain_s_choice() {
    let mut world = World::direct("one.example");
    world.host = Some(Host::Served(Box::new(Served {
        plain: false,
        hashes: crate::sasl::Hash::ALL.to_vec(),
        ..served()
    })));
    world.say(OPEN);
    assert!(!world.sent.contains("PLAIN"));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<invalid-mechanism/>"));
}

#[test]
fn sasl_01_success_restarts_the_stream() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.sent.clear();
    world.say(&plain("alice", "pw"));
    assert_eq!(
        world.sent,
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    );
    assert_eq!(world.machine.phase(), Phase::Authenticated);
    world.sent.clear();
    world.say(OPEN);
    assert!(
        world
            .sent
            .contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>")
    );
    assert!(
        world
            .sent
            .contains("<ver xmlns='urn:xmpp:features:rosterver'/>")
    );
    assert!(!world.sent.contains("mechanism"));
}

#[test]
fn sasl_10_failures_are_counted() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    for attempt in 1..=4 {
        assert!(!world.closing, "attempt {attempt} is allowed");
        world.say(&plain("alice", "wrong"));
    }
    assert_eq!(world.sent.matches("<not-authorized/>").count(), 4);
    world.ends_with_error("policy-violation");
}

#[test]
fn sasl_10_success_after_a_failure() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.say(&plain("alice", "wrong"));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn sasl_11_unknown_user_and_wrong_password_look_the_same() {
    let answers: Vec<String> = ["alice", "nobody"]
        .into_iter()
        .map(|user| {
            let mut world = World::direct("one.example");
            world.say(OPEN);
            world.sent.clear();
            world.say(&plain(user, "wrong"));
            world.sent
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    // SCRAM: the challenge comes for both, salt and all.
    for user in ["alice", "nobody"] {
        let mut world = World::direct("one.example");
        world.say(OPEN);
        world.sent.clear();
        let first = sasl::encode(format!("n,,n={user},r=abc").as_bytes());
        world.say(&format!(
            "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
        ));
        assert!(world.sent.starts_with("<challenge "), "{}", world.sent);
    }
}

#[test]
fn sasl_08_abort() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&format!("<abort {SASL_NS}/>"));
    assert!(
        world.sent.ends_with("<aborted/></failure>"),
        "{}",
        world.sent
    );
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn sasl_07_a_second_auth_cancels_the_first() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
    assert!(!world.sent.contains("<failure"));
}

#[test]
fn sasl_04_stray_characters_in_base64() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.say(&format!("<auth {SASL_NS} mechanism='PLAIN'>a*b=</auth>"));
    assert!(world.sent.contains("<incorrect-encoding/>"));
}

#[test]
fn c_01_sasl_28_a_failed_exchange_bound_to_the_exporter_is_the_last() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"p=tls-exporter,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256-PLUS'>{first}</auth>"
    ));
    let last = sasl::encode(b"c=AAAA,r=abc,p=AAAA");
    world.say(&format!("<response {SASL_NS}>{last}</response>"));
    assert!(world.sent.contains("<failure"), "{}", world.sent);
    world.ends_with_error("policy-violation");
}

#[test]
fn layer_02_stream_from_against_the_account() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='bob@one.example' to="));
    world.say(&plain("alice", "pw"));
    assert!(!world.sent.contains("<success"));
    world.ends_with_error("invalid-from");
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='ALICE@one.example/x' to="));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn a_store_that_does_not_answer_is_a_temporary_failure() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.mute = true;
    world.say(&plain("alice", "pw"));
    world.input(Input::Answer(Answer::Credentials(Err(
        super::super::super::Unavailable,
    ))));
    assert!(world.sent.contains("<temporary-auth-failure/>"));
    assert!(!world.closing);
}

#[test]
fn sasl_05_no_whitespace_between_the_elements_of_an_exchange() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.sent.clear();
    world.say(&format!("<auth {SASL_NS} mechanism='PLAIN'/>"));
    world.say(&format!("<response {SASL_NS}>=</response>"));
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&format!("<abort {SASL_NS}/>"));
    world.say(&plain("alice", "pw"));
    let sent = &world.sent;
    assert!(sent.contains("<challenge ") && sent.contains("<success "));
    assert!(sent.starts_with('<') && sent.ends_with('>'), "{sent}");
    for gap in sent.split('>').skip(1) {
        assert!(
            !gap.starts_with(char::is_whitespace) && !gap.ends_with(char::is_whitespace),
            "{sent}"
        );
    }
}

#[test]
fn sasl_09_a_failure_carries_one_condition() {
    let first = sasl::encode(b"n,,n=alice,r=abc");
    let other = sasl::encode(b"bob\0alice\0pw");
    for (mechanism, data, condition) in [
        ("PLAIN", "a*b=", "incorrect-encoding"),
        ("PLAIN", "AAA=", "malformed-request"),
        ("PLAIN", other.as_str(), "invalid-authzid"),
        ("X-NONE", "=", "invalid-mechanism"),
        // SASL-47: nobody comes in without a name.
        ("ANONYMOUS", "=", "invalid-mechanism"),
        ("SCRAM-SHA-256-PLUS", first.as_str(), "malformed-request"),
    ] {
        let mut world = World::direct("one.example");
        world.say(OPEN);
        assert!(!world.sent.contains("ANONYMOUS"));
        world.sent.clear();
        world.say(&format!(
            "<auth {SASL_NS} mechanism='{mechanism}'>{data}</auth>"
        ));
        let start = format!("<failure {SASL_NS}><{condition}/>");
        assert!(
            world.sent.starts_with(&start),
            "{mechanism}: {}",
            world.sent
        );
        assert_eq!(world.sent.matches("/>").count(), 1, "{}", world.sent);
    }
}
