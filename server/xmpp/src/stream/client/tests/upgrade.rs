//! Further verifiers of a proved password (XEP-0480).

use super::*;

const SASL2: &str = "xmlns='urn:xmpp:sasl:2'";
const UPGRADE: &str = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>\
                       <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>\
                       <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>\
                       <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-NONSENSE</upgrade>";

/// A domain that has come from a server which kept SHA-1; features have been sent.
fn moved(lacking: &[Hash]) -> World {
    let mut world = World::new();
    world.host = Some(Host::Served(Box::new(Served {
        hashes: vec![Hash::Sha1],
        ..served()
    })));
    world.input(Input::Connected(Some(tls("one.example"))));
    world.lacking = lacking.to_vec();
    world.say(OPEN);
    world
}

fn log_in(world: &mut World, more: &str) {
    world.sent.clear();
    let data = sasl::encode(b"\0alice\0pw");
    world.say(&format!(
        "<authenticate {SASL2} mechanism='PLAIN'><initial-response>{data}</initial-response>{more}</authenticate>"
    ));
}

/// What a client computes from what it was given.
fn salted(world: &World, hash: Hash) -> (ScramVerifier, String) {
    let (_, rest) = world.sent.split_once("<salt ").expect("a salt");
    assert!(rest.contains("iterations='10000'"), "{rest}");
    let (_, rest) = rest.split_once('>').expect("a tag");
    let (salt, _) = rest.split_once('<').expect("an end");
    let salt = sasl::decode(salt).expect("base64").expect("some");
    let mut out = vec![0; hash.output_bytes()];
    match hash {
        Hash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(b"pw", &salt, 10_000, &mut out),
        _ => pbkdf2::pbkdf2_hmac::<sha2::Sha512>(b"pw", &salt, 10_000, &mut out),
    }
    let expected = ScramVerifier::derive(hash, "pw", &salt, 10_000).expect("a password");
    let answer = format!(
        "<task-data {SASL2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash></task-data>",
        sasl::encode(&out)
    );
    (expected, answer)
}

#[test]
fn sasl_43_a_client_gives_what_its_account_lacks_and_never_the_password() {
    let mut world = moved(&[Hash::Sha256, Hash::Sha512]);
    assert!(
        world.sent.contains(
            "</inline><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>\
             <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication>"
        ),
        "{}",
        world.sent
    );
    log_in(&mut world, UPGRADE);
    for hash in [Hash::Sha512, Hash::Sha256] {
        let task = format!("UPGR-SCRAM-{}", hash.name());
        assert_eq!(
            world.sent,
            format!("<continue {SASL2}><tasks><task>{task}</task></tasks></continue>")
        );
        world.sent.clear();
        world.say(&format!("<next {SASL2} task='{task}'/>"));
        let (expected, answer) = salted(&world, hash);
        world.sent.clear();
        world.say(&answer);
        let got = world.upgraded.pop().expect("kept");
        assert_eq!(got.hash, hash);
        assert!(got.stored_key == expected.stored_key && got.server_key == expected.server_key);
    }
    assert!(world.sent.starts_with("<success "), "{}", world.sent);
}

#[test]
fn sasl_43_what_is_there_or_was_not_asked_for_costs_nothing() {
    // Nothing is lacking; nothing is asked for; a domain that has all offers nothing.
    let mut world = moved(&[]);
    log_in(&mut world, UPGRADE);
    assert!(world.sent.starts_with("<success "), "{}", world.sent);
    let mut world = moved(&[Hash::Sha256]);
    log_in(&mut world, "");
    assert!(world.sent.starts_with("<success "), "{}", world.sent);
    let mut world = World::direct("one.example");
    world.lacking = vec![Hash::Sha256];
    world.say(OPEN);
    assert!(!world.sent.contains("UPGR-"));
    log_in(&mut world, UPGRADE);
    assert!(world.sent.starts_with("<success "), "{}", world.sent);
}

#[test]
fn sasl_43_anything_else_in_between_ends_it_without_success() {
    let next = format!("<next {SASL2} task='UPGR-SCRAM-SHA-256'/>");
    let data = |text: &str| {
        format!(
            "<task-data {SASL2}><hash xmlns='urn:xmpp:scram-upgrade:0'>{text}</hash></task-data>"
        )
    };
    for (before, hostile, error) in [
        ("", data("AAAA"), "policy-violation"),
        (
            "",
            format!("<next {SASL2} task='UPGR-SCRAM-SHA-512'/>"),
            "policy-violation",
        ),
        ("", "<message/>".to_owned(), "policy-violation"),
        ("", format!("<abort {SASL2}/>"), "not-authorized"),
        (&next[..], data("AAAA"), "not-authorized"),
        (&next, data(""), "not-authorized"),
        (&next, data("not base64!"), "not-authorized"),
        (&next, next.clone(), "policy-violation"),
    ] {
        let mut world = moved(&[Hash::Sha256]);
        log_in(&mut world, UPGRADE);
        world.say(before);
        world.say(&hostile);
        let ends = format!("<stream:error><{error} ");
        assert!(
            world.closing && world.sent.contains(&ends),
            "{}",
            world.sent
        );
        assert!(!world.sent.contains("<success"), "{hostile}");
        assert!(world.upgraded.is_empty(), "{hostile}");
    }
}
