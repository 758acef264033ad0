//! Flows of registration (XEP-0389): in their order, each response of its challenge's kind, and nothing where none is offered.

use super::super::super::flow::Flow;
use super::*;

static FLOWS: [Flow; 2] = [
    Flow {
        id: "question",
        name: "Answer a question",
        challenges: &[Kind::Form],
    },
    Flow {
        id: "web",
        name: "On a web page",
        challenges: &[Kind::Elsewhere],
    },
];

const QUESTION: &str = "<register xmlns='urn:xmpp:register:0'><flow id='question'/></register>";
const WEB: &str = "<register xmlns='urn:xmpp:register:0'><flow id='web'/></register>";
const CANCEL: &str = "<cancel xmlns='urn:xmpp:register:0'/>";
const SUCCESS: &str = "<success xmlns='urn:xmpp:register:0'/>";
const ASKED: &str = "<challenge xmlns='urn:xmpp:register:0' type='jabber:x:data'><x xmlns='jabber:x:data' type='form'/></challenge>";

fn response(type_: &str, answer: &str) -> String {
    format!(
        "<response xmlns='urn:xmpp:register:0'><x xmlns='jabber:x:data' type='{type_}'>\
         <field var='qa'><value>{answer}</value></field></x></response>"
    )
}

fn open() -> World {
    let mut world = World::direct("one.example");
    world.host = Some(Host::Served(Box::new(Served {
        flows: &FLOWS,
        ..served()
    })));
    world.say(OPEN);
    world
}

impl World {
    /// Says it, and must hear exactly this.
    #[track_caller]
    fn hears(&mut self, text: &str, answer: &str) {
        let before = self.sent.len();
        self.say(text);
        assert_eq!(&self.sent[before..], answer);
    }
}

/// XEP-0389
#[test]
fn ext_33_flows_are_offered_over_tls_where_there_are_some() {
    let offered = "<register xmlns='urn:xmpp:register:0'>\
        <flow id='question'><name>Answer a question</name><challenge type='jabber:x:data'/></flow>\
        <flow id='web'><name>On a web page</name><challenge type='jabber:x:oob'/></flow></register>";
    assert!(open().sent.contains(offered), "{}", open().sent);
    let mut none = World::direct("one.example");
    none.say(OPEN);
    assert!(!none.sent.contains("urn:xmpp:register:0"), "{}", none.sent);
    none.say(QUESTION);
    none.ends_with_error("unsupported-stanza-type");
    assert!(!none.asked.iter().any(|ask| ask.contains("Flow")));

    let mut plain = World::new();
    plain.host = open().host;
    plain.say(OPEN);
    assert!(!plain.sent.contains("<register "), "{}", plain.sent);
    plain.say(QUESTION);
    plain.ends_with_error("unsupported-stanza-type");
}

/// XEP-0389
#[test]
fn ext_33_a_flow_asks_until_there_is_an_account() {
    let mut world = open();
    assert_eq!(world.machine.phase(), Phase::Unauthenticated);
    world.hears(QUESTION, ASKED);
    assert_eq!(world.machine.phase(), Phase::Registering);
    world.hears(&response("submit", "owl"), ASKED);
    world.hears(&response("submit", "lark"), SUCCESS);
    assert_eq!(world.machine.phase(), Phase::Unauthenticated);
    assert!(
        !world.asked.join(" ").contains("lark"),
        "no log shows what was filled in: {:?}",
        world.asked
    );
    // Whoever has an account goes on as everybody does.
    world.say(&plain("alice", "pw"));
    assert!(
        world.sent.contains("<success xmlns='urn:ietf:"),
        "{}",
        world.sent
    );
}

#[test]
fn ext_33_a_page_is_acknowledged_with_nothing() {
    let page = "<challenge xmlns='urn:xmpp:register:0' type='jabber:x:oob'><x xmlns='jabber:x:oob'><url>https://web.example/</url></x></challenge>";
    let mut world = open();
    world.hears(WEB, page);
    world.hears("<response xmlns='urn:xmpp:register:0'/>", SUCCESS);
    world.hears(WEB, page);
    world.say("<response xmlns='urn:xmpp:register:0'><x xmlns='jabber:x:oob'/></response>");
    world.ends_with_error("bad-format");
}

#[test]
fn ext_33_a_flow_ends_when_either_side_has_had_enough() {
    let mut world = open();
    world.hears(QUESTION, ASKED);
    world.hears(&response("submit", "stop"), CANCEL);
    for cancel in [CANCEL, &response("cancel", "")] {
        world.hears(QUESTION, ASKED);
        world.hears(cancel, "");
        assert_eq!(world.machine.phase(), Phase::Unauthenticated, "{cancel}");
    }
    world.hears(CANCEL, "");
    // Another flow takes the place of the first.
    world.hears(WEB, "<challenge xmlns='urn:xmpp:register:0' type='jabber:x:oob'><x xmlns='jabber:x:oob'><url>https://web.example/</url></x></challenge>");
    world.hears(QUESTION, ASKED);
    world.hears(&response("submit", "lark"), SUCCESS);
    // Who authenticates has left it.
    world.hears(QUESTION, ASKED);
    world.say(&plain("alice", "wrong"));
    world.say(&response("submit", "lark"));
    world.ends_with_error("bad-format");
}

/// XEP-0389
#[test]
fn ext_33_what_is_out_of_order_or_makes_no_sense_is_said_to_be_so() {
    for (before, wrong, condition, told) in [
        (
            "",
            response("submit", "lark").as_str(),
            "bad-format",
            "choose a flow first: question, web",
        ),
        (
            "",
            "<register xmlns='urn:xmpp:register:0'/>",
            "bad-format",
            "question, web",
        ),
        (
            "",
            "<register xmlns='urn:xmpp:register:0'><flow id='sms'/></register>",
            "bad-format",
            "question, web",
        ),
        (
            "",
            "<register xmlns='urn:xmpp:register:0'><flow id='web'/><flow id='question'/></register>",
            "bad-format",
            "question, web",
        ),
        (
            "",
            "<register xmlns='urn:xmpp:register:0'><flow xmlns='urn:other' id='web'/></register>",
            "bad-format",
            "question, web",
        ),
        (
            "",
            "<recovery xmlns='urn:xmpp:register:0'><flow id='0'/></recovery>",
            "unsupported-stanza-type",
            "ask whoever looks after the domain",
        ),
        (
            "",
            "<challenge xmlns='urn:xmpp:register:0'/>",
            "unsupported-stanza-type",
            "",
        ),
        (
            QUESTION,
            "<response xmlns='urn:xmpp:register:0'/>",
            "bad-format",
            "its form",
        ),
        (
            QUESTION,
            &response("form", "lark"),
            "bad-format",
            "its form",
        ),
        (
            QUESTION,
            "<response xmlns='urn:xmpp:register:0'><x xmlns='jabber:x:oob'/></response>",
            "bad-format",
            "its form",
        ),
        // For another domain's account, or somebody's: nothing of it is a stanza before there is a session.
        (
            "",
            "<iq type='set' id='r' to='two.example'><register xmlns='urn:xmpp:register:0'><flow id='web'/></register></iq>",
            "not-authorized",
            "",
        ),
        (
            "",
            "<iq type='get' id='r'><register xmlns='urn:xmpp:register:0'/></iq>",
            "not-authorized",
            "",
        ),
    ] {
        let mut world = open();
        world.say(before);
        world.say(wrong);
        assert!(world.sent.contains(told), "{wrong}: {}", world.sent);
        world.ends_with_error(condition);
    }
}

#[test]
fn ext_33_steps_are_counted_with_all_other_requests() {
    let mut world = open();
    for _ in 0..10 {
        world.hears(QUESTION, ASKED);
        world.hears(&response("submit", "owl"), ASKED);
    }
    world.say(&response("submit", "lark"));
    assert!(!world.sent.contains(SUCCESS), "{}", world.sent);
    world.ends_with_error("policy-violation");
}

#[test]
fn sasl_31_no_flow_begins_in_the_middle_of_an_exchange() {
    let mut world = open();
    world.say(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>biwsbj1hbGljZSxyPWE=\
         </initial-response></authenticate>",
    );
    world.say(QUESTION);
    assert!(world.disconnected, "{}", world.sent);
}
