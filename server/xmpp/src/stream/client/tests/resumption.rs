//! Stream management: counting, asking, and sessions that go on over another stream (XEP-0198).

use super::super::super::acks::Acks;
use super::*;

const SM: &str = "xmlns='urn:xmpp:sm:3'";
const MESSAGE: &str = "<message to='bob@one.example' id='1'><body>hi</body></message>";

/// Open, with stream management that may be resumed.
fn enabled() -> World {
    let mut world = World::open();
    world.say(&format!("<enable {SM} resume='true'/>"));
    assert!(world.sent.starts_with("<enabled "), "{}", world.sent);
    world.sent.clear();
    world
}

fn resume(world: &mut World, previd: &str, handled: u32) {
    world.say(&format!("<resume {SM} previd='{previd}' h='{handled}'/>"));
}

#[test]
fn sm_01_offered_behind_sasl_and_enabled_behind_binding() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let (_, last) = world
        .sent
        .split_once("</authentication>")
        .expect("what can be asked along");
    assert!(!last.contains("urn:xmpp:sm:3"), "but not by itself: {last}");
    world.say(&plain("alice", "pw"));
    world.say(OPEN);
    assert!(world.sent.contains("<sm xmlns='urn:xmpp:sm:3'/>"));
    world.sent.clear();
    world.say(&format!("<enable {SM}/>"));
    assert!(
        world.sent.contains("<unexpected-request "),
        "{}",
        world.sent
    );
    world.say(&bind("r"));
    assert_eq!(world.machine.phase(), Phase::Open);
    world.sent.clear();
    world.say(&format!("<enable {SM}/>"));
    assert_eq!(world.sent, format!("<enabled {SM}/>"));
    assert!(matches!(world.events.last(), Some(Event::AcksBegin)));
    assert_eq!(world.machine.left(), None, "not asked for");
}

#[test]
fn sm_02_a_second_enable_ends_the_stream() {
    let mut world = enabled();
    world.sent.push_str("<stream:stream >");
    world.say(&format!("<enable {SM}/>"));
    assert!(world.sent.contains("<unexpected-request "));
    world.ends_with_error("policy-violation");
}

#[test]
fn sm_03_04_stanzas_count_and_nothing_else() {
    let mut world = World::open();
    world.say(MESSAGE);
    world.say(&format!("<enable {SM}/><r {SM}/>"));
    assert!(
        world.sent.ends_with(&format!("<a {SM} h='0'/>")),
        "{}",
        world.sent
    );
    world.sent.clear();
    // A refused one has been handled as well.
    world.say(&format!(
        "{MESSAGE}<presence/><iq type='get' to='one.example' id='x'/><r {SM}/>"
    ));
    assert!(
        world.sent.ends_with(&format!("<a {SM} h='3'/>")),
        "{}",
        world.sent
    );
    world.say(&format!("<a {SM} h='2'/>"));
    assert!(matches!(
        world.events.last(),
        Some(Event::Acked { handled: 2 })
    ));
}

#[test]
fn sm_03_the_count_wraps() {
    let mut session = Acks::from(u32::MAX);
    session.count();
    assert_eq!(session.handled(), 0);
}

#[test]
fn sm_06_a_session_that_may_be_resumed_has_a_name_and_a_time() {
    let mut world = World::open();
    world.say(&format!("<enable {SM} resume='1' max='60'/>"));
    let Some(Event::Resumable { id, seconds: 60 }) = world.events.last() else {
        panic!("{:?}", world.events)
    };
    assert_eq!(
        world.sent,
        format!("<enabled {SM} resume='true' id='{id}' max='60'/>")
    );
    assert_eq!(id.len(), 32);
    let mut world = World::open();
    world.say(&format!("<enable {SM} resume='true' max='999999'/>"));
    assert!(
        world.sent.contains("max='600'"),
        "no longer than we will: {}",
        world.sent
    );
}

#[test]
fn sm_06_not_where_the_domain_does_not() {
    let mut world = World::direct("one.example");
    world.host = Some(Host::Served(Box::new(Served {
        resumption: None,
        ..served()
    })));
    world.say(OPEN);
    world.say(&plain("alice", "pw"));
    world.say(OPEN);
    world.say(&bind("r"));
    world.sent.clear();
    world.say(&format!("<enable {SM} resume='true'/>"));
    assert_eq!(world.sent, format!("<enabled {SM}/>"));
}

#[test]
fn sm_07_a_session_goes_on() {
    let mut world = World::authenticated();
    resume(&mut world, "left", 7);
    assert_eq!(
        world.sent,
        format!("<resumed {SM} previd='left' h='41'/>"),
        "no features, no binding"
    );
    assert_eq!(world.machine.phase(), Phase::Open);
    assert_eq!(
        world.machine.jid().map(Jid::as_str),
        Some("alice@one.example/before")
    );
    world.say(MESSAGE);
    let from = world.stanzas[0].from().map(Jid::as_str);
    assert_eq!(from, Some("alice@one.example/before"));
    world.sent.clear();
    world.say(&format!("<r {SM}/>"));
    assert_eq!(world.sent, format!("<a {SM} h='42'/>"), "counting goes on");
    assert_eq!(world.machine.left(), Some(42), "and it may be left again");
}

#[test]
fn sm_08_an_unknown_session_leaves_the_way_to_binding() {
    let mut world = World::authenticated();
    resume(&mut world, "nobody", 0);
    assert!(world.sent.contains("<item-not-found "), "{}", world.sent);
    assert!(!world.sent.contains(" h='"), "nothing is known of it");
    world.sent.clear();
    resume(&mut world, "expired", 0);
    assert!(
        world.sent.contains(&format!("<failed {SM} h='5'>")),
        "{}",
        world.sent
    );
    world.say(&bind("r"));
    assert_eq!(world.machine.phase(), Phase::Open);
}

#[test]
fn sm_08_guessing_has_an_end() {
    let mut world = World::authenticated();
    for _ in 0..8 {
        assert!(!world.closing);
        resume(&mut world, "guess", 0);
    }
    assert!(world.closing && world.sent.contains("<policy-violation "));
}

#[test]
fn sm_05_more_handled_than_sent_ends_the_stream() {
    let mut world = World::authenticated();
    world.sent.push_str("<stream:stream >");
    resume(&mut world, "left", 8);
    world.ends_with_error("undefined-condition");
    assert!(
        world
            .sent
            .contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='8' send-count='7'/>"),
        "{}",
        world.sent
    );
}

#[test]
fn sm_12_no_resuming_before_authentication_nor_once_bound() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    resume(&mut world, "left", 0);
    world.ends_with_error("unsupported-stanza-type");
    assert!(!world.asked.iter().any(|asked| asked.contains("Resume")));
    let mut world = World::open();
    resume(&mut world, "left", 0);
    assert!(
        world.sent.contains("<unexpected-request "),
        "{}",
        world.sent
    );
    assert!(!world.asked.iter().any(|asked| asked.contains("Resume")));
}

#[test]
fn layer_12_the_account_is_the_authenticated_one() {
    let mut world = World::authenticated();
    resume(&mut world, "left", 0);
    let asked = world.asked.last().expect("a question");
    assert!(
        asked.contains("alice@one.example") && asked.contains("left"),
        "{asked}"
    );
}

/// A stream that is closed ends its session; one that breaks, or that we close because the client is gone, does not.
#[test]
fn sm_11_what_ends_a_session_and_what_does_not() {
    let mut world = enabled();
    world.say(MESSAGE);
    assert_eq!(world.machine.left(), Some(1), "the connection breaks");
    world.say("</stream:stream>");
    assert_eq!(world.machine.left(), None, "closed by the client");
    assert!(
        world
            .sent
            .ends_with(&format!("<a {SM} h='1'/></stream:stream>")),
        "the last word: {}",
        world.sent
    );
    for (condition, left) in [
        (StreamCondition::ConnectionTimeout, Some(0)),
        (StreamCondition::SystemShutdown, Some(0)),
        (StreamCondition::NotAuthorized, None),
        (StreamCondition::PolicyViolation, None),
    ] {
        let mut world = enabled();
        world.input(Input::Order(Order::Close(condition.into())));
        assert!(world.sent.starts_with(&format!("<a {SM} h='0'/>")));
        assert_eq!(world.machine.left(), left, "{condition:?}");
        // What comes behind our closing tag is not handled, and comes again.
        world.say(MESSAGE);
        world.say("</stream:stream>");
        assert_eq!(world.machine.left(), left, "{condition:?}");
        assert!(world.stanzas.is_empty());
    }
    let mut world = enabled();
    world.say("<!-- no -->");
    assert_eq!(world.machine.left(), None, "no XML");
}

#[test]
fn sm_09_another_connection_takes_it_up() {
    let mut world = enabled();
    world.input(Input::Order(Order::Yield));
    assert!(world.sent.contains("<conflict "), "{}", world.sent);
    assert!(world.disconnected, "at once");
    assert_eq!(world.machine.left(), Some(0));
}
