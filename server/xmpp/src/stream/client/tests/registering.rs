//! Registration before authentication (XEP-0077, XEP-0445): announced where the domain takes somebody in, and then only.

use super::*;

const PREAUTH: &str =
    "<iq type='set' id='p' to='one.example'><preauth xmlns='urn:xmpp:pars:0' token='good'/></iq>";
const WANT: &str = "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>";
const MAKE: &str = "<iq type='set' id='s'><query xmlns='jabber:iq:register'><username>bob</username>\
                    <password>secret horse</password></query></iq>";

fn open() -> World {
    let mut world = World::direct("one.example");
    world.host = Some(Host::Served(Box::new(Served {
        registers: true,
        ..served()
    })));
    world.say(OPEN);
    world
}

#[test]
fn ext_33_34_features_say_whether_somebody_is_taken_in() {
    let world = open();
    for feature in [
        "<register xmlns='urn:xmpp:ibr-token:0'/>",
        "<register xmlns='http://jabber.org/features/iq-register'/>",
    ] {
        assert!(world.sent.contains(feature), "{}", world.sent);
    }
    let mut closed = World::direct("one.example");
    closed.say(OPEN);
    assert!(!closed.sent.contains("<register "), "{}", closed.sent);
    closed.say(WANT);
    closed.ends_with_error("not-authorized");
    assert!(!closed.asked.iter().any(|ask| ask.contains("Register")));
}

#[test]
fn ext_33_nobody_is_taken_in_without_tls() {
    let mut world = World::new();
    world.host = Some(Host::Served(Box::new(Served {
        registers: true,
        ..served()
    })));
    world.say(OPEN);
    assert!(!world.sent.contains("<register "), "{}", world.sent);
    world.say(MAKE);
    world.ends_with_error("not-authorized");
}

#[test]
fn ext_34_an_invitation_then_a_form_then_the_account() {
    let mut world = open();
    world.sent.clear();
    world.say(PREAUTH);
    assert_eq!(world.sent, "<iq type='result' from='one.example' id='p'/>");
    world.sent.clear();
    world.say(&PREAUTH.replace("good", "guessed"));
    assert!(world.sent.contains("<item-not-found "), "{}", world.sent);
    world.sent.clear();
    world.say(WANT);
    assert!(world.sent.contains("<query xmlns='jabber:iq:register'/>"));
    world.sent.clear();
    world.say(MAKE);
    assert_eq!(world.sent, "<iq type='result' from='one.example' id='s'/>");
    let told = world.asked.join(" ");
    for secret in ["good", "guessed", "secret horse"] {
        assert!(!told.contains(secret), "no log shows it: {told}");
    }
    // Whoever has an account goes on as everybody does.
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success "), "{}", world.sent);
}

#[test]
fn ext_33_only_registration_with_this_domain_and_not_for_ever() {
    for other in [
        "<iq type='set' id='p' to='two.example'><preauth xmlns='urn:xmpp:pars:0' token='good'/></iq>",
        "<iq type='get' id='p'><preauth xmlns='urn:xmpp:pars:0' token='good'/></iq>",
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        "<message to='alice@one.example'><body>hi</body></message>",
    ] {
        let mut world = open();
        world.say(other);
        world.ends_with_error("not-authorized");
    }
    let mut world = open();
    for _ in 0..20 {
        world.say(WANT);
    }
    assert!(!world.closing);
    world.say(WANT);
    world.ends_with_error("policy-violation");
}

#[test]
fn sasl_31_not_in_the_middle_of_an_exchange() {
    let mut world = open();
    world.say(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>biwsbj1hbGljZSxyPWE=\
         </initial-response></authenticate>",
    );
    world.say(WANT);
    assert!(world.disconnected, "{}", world.sent);
}
