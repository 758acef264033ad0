//! The other SASL profile and what comes along with it (XEP-0388, XEP-0386, XEP-0484).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::sasl::{TokenKey, TokenMechanism};

const SASL2: &str = "xmlns='urn:xmpp:sasl:2'";
const FROM_ALICE: &str = "from='alice@one.example' to=";
const PHONE: &str =
    "<user-agent id='phone'><software>Test</software><device>Desk</device></user-agent>";
const TOKEN: &str =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Features have been sent.
fn ready() -> World {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.sent.clear();
    world
}

fn authenticate(mechanism: &str, data: &[u8], more: &str) -> String {
    format!(
        "<authenticate {SASL2} mechanism='{mechanism}'><initial-response>{}</initial-response>{more}</authenticate>",
        sasl::encode(data)
    )
}

fn plain2(password: &str, more: &str) -> String {
    authenticate("PLAIN", format!("\0alice\0{password}").as_bytes(), more)
}

/// What a client with this token sends, on a connection bound to these bytes.
fn proof(binding: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(TOKEN.as_bytes()).expect("any length");
    mac.update(b"Initiator");
    mac.update(binding);
    [b"alice\0", &mac.finalize().into_bytes()[..]].concat()
}

fn with_token(mechanism: TokenMechanism, expires: i64) -> World {
    let mut world = ready();
    world.tokens = vec![IssuedToken {
        id: 7,
        mechanism: mechanism.name().to_owned(),
        key: TokenKey::of(TOKEN),
        expires: Timestamp(expires),
    }];
    world
}

#[test]
fn sasl_30_36_the_profile_and_what_comes_with_it_are_offered() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let (_, offered) = world
        .sent
        .split_once("<authentication xmlns='urn:xmpp:sasl:2'>")
        .expect("the profile");
    assert!(offered.starts_with("<mechanism>SCRAM-SHA-512-PLUS</mechanism>"));
    let (_, inline) = offered.split_once("<inline>").expect("more");
    assert!(inline.starts_with(
        "<sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/>\
         <feature var='urn:xmpp:csi:0'/><feature var='urn:xmpp:carbons:2'/></inline></bind>\
         <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism>"
    ), "{inline}");
    let mut world = World::new();
    world.say(OPEN);
    assert!(!world.sent.contains("urn:xmpp:sasl:2"), "not before TLS");
}

#[test]
fn sasl_32_success_names_the_account_and_features_follow() {
    let mut world = ready();
    world.say(&plain2("pw", PHONE));
    assert!(world.sent.starts_with(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@one.example</authorization-identifier></success>\
         <stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    ), "{}", world.sent);
    world.say(&bind("r"));
    assert_eq!(world.machine.phase(), Phase::Open, "no restart");
    assert!(world.granted.is_empty(), "no token was asked for");
}

#[test]
fn sasl_32_scram_tells_its_last_word_in_success() {
    let mut world = ready();
    world.say(&authenticate("SCRAM-SHA-256", b"n,,n=alice,r=abc", ""));
    let challenge = world
        .sent
        .strip_prefix("<challenge xmlns='urn:xmpp:sasl:2'>")
        .expect("a challenge");
    let challenge = challenge
        .strip_suffix("</challenge>")
        .expect("its end")
        .to_owned();
    let first = sasl::decode(&challenge).expect("base64").expect("data");
    let first = String::from_utf8(first.to_vec()).expect("text");
    assert!(first.contains(",h="), "SASL-29: {first}");
    world.say(&format!(
        "<response {SASL2}>{}</response>",
        sasl::encode(b"c=biws,r=wrong,p=AAAA")
    ));
    assert_eq!(
        world
            .sent
            .rsplit_once("</challenge>")
            .expect("the failure")
            .1,
        "<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>"
    );
    assert!(!world.closing, "another attempt is allowed");
}

#[test]
fn sasl_31_nothing_else_during_an_exchange() {
    let first = authenticate("SCRAM-SHA-256", b"n,,n=alice,r=abc", "");
    for other in [
        "<message to='bob@one.example'/>".to_owned(),
        plain("alice", "pw"),
        plain2("pw", ""),
        format!("<next {SASL2}/>"),
    ] {
        let mut world = ready();
        world.say(&first);
        world.say(&other);
        assert!(
            world.disconnected && !world.sent.contains("<success"),
            "{other}: {}",
            world.sent
        );
    }
    let mut world = ready();
    world.say(&authenticate("SCRAM-MD5", b"n,,n=alice,r=abc", ""));
    assert!(world.sent.contains("<invalid-mechanism "), "not offered");
    world.say(&first);
    world.say(&format!("<abort {SASL2}/>"));
    assert!(world.sent.contains("<aborted ") && !world.closing);
}

#[test]
fn sasl_33_what_was_asked_along_with_a_failure_is_not_done() {
    let mut world = ready();
    world.say(&plain2(
        "wrong",
        "<bind xmlns='urn:xmpp:bind:0'/><resume xmlns='urn:xmpp:sm:3' previd='left' h='0'/>",
    ));
    assert!(world.sent.contains("<not-authorized "));
    assert!(
        !world
            .asked
            .iter()
            .any(|asked| asked.contains("Bind") || asked.contains("Resume"))
    );
}

#[test]
fn sasl_34_one_proof_a_stream() {
    let mut world = ready();
    world.say(&plain2("pw", ""));
    world.sent.push_str("<stream:stream >");
    world.say(&plain2("pw", ""));
    world.ends_with_error("unsupported-stanza-type");
}

#[test]
fn layer_10_the_account_is_the_one_of_the_header() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='bob@one.example' to="));
    world.say(&plain2("pw", ""));
    assert!(
        world.sent.contains("<invalid-authzid ") && !world.sent.contains("<success"),
        "{}",
        world.sent
    );
    assert!(world.closing);
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", FROM_ALICE));
    world.say(&plain2("pw", ""));
    assert!(world.sent.contains("<success"), "{}", world.sent);
}

#[test]
fn layer_11_from_and_to_are_of_one_domain() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='alice@two.example' to="));
    world.ends_with_error("invalid-from");
    // A machine's name claims nobody's account.
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='localhost' to="));
    assert!(world.sent.contains("<stream:features>"), "{}", world.sent);
}

#[test]
fn sasl_37_39_binding_along_with_the_proof() {
    let bind = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/>\
                <inactive xmlns='urn:xmpp:csi:0'/><enable xmlns='urn:xmpp:carbons:2'/><enable xmlns='urn:x'/></bind>";
    let mut world = ready();
    world.say(&plain2("pw", &format!("{PHONE}{bind}")));
    let jid = world.machine.jid().expect("bound").clone();
    assert!(jid.as_str().starts_with("alice@one.example/Test/"), "{jid}");
    assert!(!jid.as_str().contains("phone"), "SASL-39: {jid}");
    let (success, features) = world.sent.split_once("</success>").expect("success");
    assert!(success.contains(&format!(
        "<authorization-identifier>{jid}</authorization-identifier>"
    )));
    let (_, bound) = success
        .split_once("<bound xmlns='urn:xmpp:bind:0'>")
        .expect("bound");
    assert!(
        bound.starts_with("<enabled xmlns='urn:xmpp:sm:3' resume='true' id='"),
        "{bound}"
    );
    assert!(
        bound.contains("urn:xmpp:carbons:2") && !bound.contains("urn:x'"),
        "what modules say: {bound}"
    );
    assert!(
        features.starts_with("<stream:features>") && !features.contains("xmpp-bind"),
        "{features}"
    );
    assert_eq!(world.machine.left(), Some(0), "SM-13");
    assert!(
        world
            .events
            .iter()
            .any(|event| matches!(event, Event::Resumable { .. }))
    );
    assert!(matches!(world.events.last(), Some(Event::Active(false))));
    // The same client, the same place; another one, another.
    let again = |agent: &str| {
        let mut world = ready();
        world.say(&plain2(
            "pw",
            &format!("{}{bind}", PHONE.replace("phone", agent)),
        ));
        world.machine.jid().expect("bound").clone()
    };
    assert_eq!(again("phone"), jid);
    assert_ne!(again("desk"), jid);
}

#[test]
fn sasl_38_sm_13_resuming_comes_before_binding() {
    let both = |previd: &str| {
        format!(
            "<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='3'/><bind xmlns='urn:xmpp:bind:0'/>"
        )
    };
    let mut world = ready();
    world.say(&plain2("pw", &both("left")));
    assert_eq!(
        world.sent,
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@one.example/before</authorization-identifier>\
         <resumed xmlns='urn:xmpp:sm:3' previd='left' h='41'/></success>",
        "no features"
    );
    assert_eq!(world.machine.left(), Some(41));
    let mut world = ready();
    world.say(&plain2("pw", &both("expired")));
    assert!(
        world
            .sent
            .contains("<failed xmlns='urn:xmpp:sm:3' h='5'><item-not-found "),
        "{}",
        world.sent
    );
    assert!(
        world.sent.contains("<bound xmlns='urn:xmpp:bind:0'"),
        "{}",
        world.sent
    );
    assert_eq!(world.machine.phase(), Phase::Open);
}

#[test]
fn sasl_40_a_token_after_a_full_proof_only() {
    let wanted = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>";
    let mut world = ready();
    world.say(&plain2("wrong", &format!("{PHONE}{wanted}")));
    assert!(world.granted.is_empty());
    world.say(&plain2("pw", &format!("{PHONE}{wanted}")));
    let grant = &world.granted[0];
    assert_eq!(grant.wanted, Some(TokenMechanism::Exporter));
    assert_eq!(
        (grant.agent.software.as_str(), grant.agent.device.as_str()),
        ("Test", "Desk")
    );
    let (_, token) = world
        .sent
        .split_once("<token xmlns='urn:xmpp:fast:0' expiry='1970-01-02T00:00:00")
        .expect("a token");
    let token = token.split_once(" token='").expect("itself").1;
    let token = token.split('\'').next().expect("its end");
    assert_eq!(grant.key, TokenKey::of(token));
    // A client that does not say which one it is gets none.
    let mut world = ready();
    world.say(&plain2("pw", wanted));
    assert!(world.sent.contains("<success") && world.granted.is_empty());
}

#[test]
fn sasl_40_a_token_proves_its_account_on_its_channel_by_its_mechanism() {
    for (mechanism, binding) in [
        (TokenMechanism::Exporter, vec![7; 32]),
        (TokenMechanism::EndPoint, vec![8; 32]),
        (TokenMechanism::Unbound, Vec::new()),
    ] {
        let fast = format!("{PHONE}<fast xmlns='urn:xmpp:fast:0'/>");
        let mut world = with_token(mechanism, 1);
        world.say(&authenticate(mechanism.name(), &proof(&binding), &fast));
        assert!(
            world.sent.contains("<additional-data>"),
            "the server has it too: {}",
            world.sent
        );
        assert!(
            world
                .sent
                .contains("<authorization-identifier>alice@one.example<"),
            "{}",
            world.sent
        );
        assert_eq!(world.granted[0].used, Some(7));
        // Bound to another connection.
        let mut world = with_token(mechanism, 1);
        world.say(&authenticate(mechanism.name(), &proof(b"another"), &fast));
        assert!(world.sent.contains("<not-authorized "), "{}", world.sent);
    }
    // Issued for another mechanism.
    let mut world = with_token(TokenMechanism::Exporter, 1);
    world.say(&authenticate(
        "HT-SHA-256-NONE",
        &proof(b""),
        &format!("{PHONE}<fast xmlns='urn:xmpp:fast:0'/>"),
    ));
    assert!(world.sent.contains("<not-authorized ") && world.granted.is_empty());
}

#[test]
fn sasl_42_a_token_that_has_ended_and_one_that_shall_end() {
    let fast = |more: &str| format!("{PHONE}<fast xmlns='urn:xmpp:fast:0'{more}/>");
    let mut world = with_token(TokenMechanism::Unbound, 100);
    world.now = Timestamp(100);
    world.say(&authenticate("HT-SHA-256-NONE", &proof(b""), &fast("")));
    assert!(
        world.sent.contains("<credentials-expired "),
        "{}",
        world.sent
    );
    assert!(!world.closing, "a password may follow");
    world.say(&plain2("pw", ""));
    assert!(world.sent.contains("<success"));
    let mut world = with_token(TokenMechanism::Unbound, 100);
    world.say(&authenticate(
        "HT-SHA-256-NONE",
        &proof(b""),
        &fast(" invalidate='true'"),
    ));
    assert!(world.granted[0].invalidate && world.sent.contains("<success"));
}

/// C-01: what is bound to the exporter is tried once.
#[test]
fn sasl_28_one_attempt_over_an_exporter() {
    let mut world = with_token(TokenMechanism::Exporter, 1);
    world.say(&authenticate(
        "HT-SHA-256-EXPR",
        &proof(b"wrong"),
        &format!("{PHONE}<fast xmlns='urn:xmpp:fast:0'/>"),
    ));
    assert!(
        world.closing && world.sent.contains("<policy-violation "),
        "{}",
        world.sent
    );
}

#[test]
fn ext_13_clients_say_whether_anybody_looks() {
    let mut world = World::open();
    world.say("<inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>");
    assert!(matches!(
        world.events[..],
        [.., Event::Active(false), Event::Active(true)]
    ));
    assert!(world.sent.is_empty() && world.stanzas.is_empty());
}
