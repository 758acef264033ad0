//! Accounts made step by step on a stream (XEP-0389): by the domain's question, by an invitation, on a page; and whoever writes
//! nonsense there. No packaged client speaks it yet, so every byte is written by hand.

use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::demo::Demo;
use crate::harness::tools::domicile;
use crate::harness::web;
use crate::harness::xmpp::{Client, Connection, between};
use crate::invites::{invite, secured, token};

const DOMAIN: &str = "one.example";
const PASSWORD: &str = "tin soldier 9";
const SUCCESS: &str = "<success xmlns='urn:xmpp:register:0'/>";
const QUESTION: &str = "Which bird sings at dawn?";

fn set(demo: &Demo, choices: &[&str]) {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let head = ["domain", "set", DOMAIN];
    let (code, out, err) = domicile(&[&head[..], choices, &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{out}{err}");
}

fn open(demo: &Demo) {
    set(
        demo,
        &[
            "--registration",
            "open",
            "--question",
            QUESTION,
            "--answers",
            "lark, the lark",
        ],
    );
}

/// A stream under TLS, and its features.
fn arrive(demo: &Demo) -> (Connection, String) {
    let mut wire = Connection::open(demo.info.c2s, DOMAIN);
    wire.negotiate_tls(demo.roots());
    wire.header();
    let features = wire.item();
    (wire, features)
}

/// The same once the features are as they should be: what another process has set is heard within a second.
fn arrive_when(demo: &Demo, wanted: impl Fn(&str) -> bool) -> (Connection, String) {
    let end = Instant::now() + DEADLINE;
    loop {
        let (wire, features) = arrive(demo);
        if wanted(&features) {
            return (wire, features);
        }
        assert!(Instant::now() < end, "never as it should be: {features}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn is_open(features: &str) -> bool {
    features.contains("<flow id='question'>")
}

/// Chooses a flow: the challenge.
fn choose(wire: &mut Connection, flow: &str) -> String {
    wire.send(&format!(
        "<register xmlns='urn:xmpp:register:0'><flow id='{flow}'/></register>"
    ));
    wire.item()
}

/// Fills in a form: what comes of it.
fn fill(wire: &mut Connection, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    wire.send(&format!(
        "<response xmlns='urn:xmpp:register:0'><x xmlns='jabber:x:data' type='submit'>{fields}</x></response>"
    ));
    wire.item()
}

fn wants<'a>(local: &'a str, answer: &'a str) -> [(&'static str, &'a str); 3] {
    [("username", local), ("password", PASSWORD), ("qa", answer)]
}

/// Signs in, on the stream on which the account was made.
fn signs_in(wire: &mut Connection, local: &str) {
    let told = wire.plain(local, PASSWORD);
    assert!(told.contains("<success xmlns='urn:ietf:"), "{told}");
}

/// Entries of the log that say that somebody made an account of this name.
fn came(demo: &Demo, address: &str) -> usize {
    let log = demo.log();
    let of = |line: &&str| line.contains("account.add") && line.contains(address);
    log.lines().filter(of).count()
}

/// XEP-0389
#[test]
fn ext_33_a_question_is_asked_until_it_is_answered() {
    let demo = Demo::start();
    open(&demo);
    let (mut wire, features) = arrive_when(&demo, is_open);
    assert!(!features.contains("<recovery"), "{features}");
    let asked = choose(&mut wire, "question");
    for part in [
        "type='jabber:x:data'",
        QUESTION,
        "var='username'",
        "type='text-private'",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    for (fields, reason) in [
        (&wants("nurse", "owl")[..], "not the answer"),
        (
            &wants("postmaster", "lark"),
            "when they mean the domain itself",
        ),
        (&wants("alice", "lark"), "Choose another name"),
        (&wants("nurse@two.example", "lark"), "Use letters"),
        (
            &[("username", "nurse"), ("password", "short"), ("qa", "lark")],
            "8 characters",
        ),
        (&[("username", "nurse"), ("qa", "lark")], "password"),
    ] {
        let told = fill(&mut wire, fields);
        assert!(
            told.starts_with("<challenge ") && told.contains(reason),
            "{reason}: {told}"
        );
        // What was typed stays, but for what nobody should read over a shoulder.
        assert!(
            told.contains(&format!("<value>{}</value>", fields[0].1)),
            "{told}"
        );
        assert!(!told.contains(PASSWORD), "{told}");
    }
    let told = fill(&mut wire, &wants("nurse@one.example", "The Lark"));
    assert_eq!(told, SUCCESS);
    assert_eq!(came(&demo, "nurse@one.example"), 1);
    assert!(!demo.log().contains(PASSWORD), "no log shows a password");
    signs_in(&mut wire, "nurse");
    Client::login_with(&demo, "nurse@one.example", PASSWORD, "phone").close();

    // Every attempt counts, and together with those that were made in the older way (XEP-0077).
    let (mut wire, _) = arrive(&demo);
    choose(&mut wire, "question");
    let mut told = String::new();
    for n in 0..4 {
        told = fill(&mut wire, &wants(&format!("thief-{n}"), "owl"));
    }
    assert!(told.contains("try again in an hour"), "{told}");
    let told = fill(&mut wire, &wants("thief", "lark"));
    assert!(told.contains("try again in an hour"), "{told}");
    assert_eq!(came(&demo, "thief"), 0);
    let mut older = secured(&demo, DOMAIN);
    older.send(
        "<iq type='set' id='make'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>\
         <field var='username'><value>thief</value></field><field var='password'><value>tin soldier 9</value></field>\
         <field var='qa'><value>lark</value></field></x></query></iq>",
    );
    let told = older.until("id='make'");
    assert!(told.contains("<resource-constraint "), "{told}");
}

/// XEP-0389
#[test]
fn ext_34_an_invitation_is_asked_for_and_good_once() {
    let demo = Demo::start();
    let (mut wire, features) = arrive(&demo);
    assert!(
        features.contains("<flow id='invitation'>") && !is_open(&features),
        "{features}"
    );
    let given = invite(&demo, &["--contact", "alice", "--local", "cook"]);
    let shown = token(&given);
    let asked = choose(&mut wire, "invitation");
    assert!(
        asked.contains("var='token'") && !asked.contains("password"),
        "{asked}"
    );
    let told = fill(&mut wire, &[("token", "guessed")]);
    assert!(
        told.contains("invalid or expired") && told.contains("var='token'"),
        "{told}"
    );
    // As it came, with the whole link.
    let link = given["link"].as_str().expect("a link");
    let asked = fill(&mut wire, &[("token", link)]);
    for part in [
        "alice@one.example invites you",
        "<value>cook</value>",
        "var='password'",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let told = fill(&mut wire, &[("username", "thief"), ("password", PASSWORD)]);
    assert!(told.contains("Use that name"), "{told}");
    let told = fill(&mut wire, &[("username", "cook"), ("password", PASSWORD)]);
    assert_eq!(told, SUCCESS);
    assert_eq!(came(&demo, "cook@one.example"), 1);
    signs_in(&mut wire, "cook");

    // It is used up, here and at the other domain; one that was shown as XEP-0445 has it need not be shown again.
    let (mut wire, _) = arrive(&demo);
    choose(&mut wire, "invitation");
    let told = fill(&mut wire, &[("token", &shown)]);
    assert!(told.contains("invalid or expired"), "{told}");
    let another = invite(&demo, &[]);
    let preauth = |token: &str| {
        format!("<iq type='set' id='pa'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
    };
    let mut elsewhere = secured(&demo, "two.example");
    choose(&mut elsewhere, "invitation");
    let told = fill(&mut elsewhere, &[("token", &token(&another))]);
    assert!(told.contains("invalid or expired"), "{told}");
    wire.send(&preauth(&token(&another)));
    let told = wire.until("id='pa'");
    assert!(told.contains("type='result'"), "{told}");
    let asked = choose(&mut wire, "invitation");
    assert!(asked.contains("You are invited to one.example"), "{asked}");
    let told = fill(
        &mut wire,
        &[("username", "gardener"), ("password", PASSWORD)],
    );
    assert_eq!(told, SUCCESS);
    signs_in(&mut wire, "gardener");
}

/// XEP-0389
#[test]
fn ext_33_a_page_is_visited_and_the_stream_goes_on() {
    let demo = Demo::start();
    open(&demo);
    let (mut wire, _) = arrive_when(&demo, is_open);
    let asked = choose(&mut wire, "page");
    let page = between(&asked, "<url>", "</url>").unwrap_or_else(|| panic!("{asked}"));
    let (_, stream) = page.split_once("?stream=").expect("its stream");
    let stream = stream.to_owned();
    let empty = "<response xmlns='urn:xmpp:register:0'/>";
    wire.send(empty);
    assert_eq!(wire.item(), asked, "it has not been done");
    // Another stream's client waits for another page.
    let (mut other, _) = arrive(&demo);
    let others = choose(&mut other, "page");
    assert_ne!(others, asked);

    let path = format!("/ask/{DOMAIN}");
    let shown = web::ask(
        &demo,
        DOMAIN,
        &format!("GET {path}?stream={stream}"),
        "",
        b"",
    );
    assert_eq!(shown.status, 200);
    let hidden = format!("name=\"stream\" value=\"{stream}\"");
    assert!(shown.body.contains(&hidden), "{}", shown.body);
    let headers = "content-type: application/x-www-form-urlencoded\r\n";
    let post = |answer: &str| {
        let body = format!("stream={stream}&answer={answer}&local=nurse&password=tin+soldier+9");
        web::ask(
            &demo,
            DOMAIN,
            &format!("POST {path}"),
            headers,
            body.as_bytes(),
        )
    };
    let refused = post("owl");
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains(&hidden), "{}", refused.body);
    wire.send(empty);
    assert_eq!(wire.item(), asked, "nor has it been done now");
    let made = post("lark");
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.body.contains("Go back to your app"), "{}", made.body);
    wire.send(empty);
    assert_eq!(wire.item(), SUCCESS);
    signs_in(&mut wire, "nurse");
    other.send(empty);
    assert_eq!(other.item(), others);
}

/// XEP-0389
#[test]
fn ext_33_a_domain_without_flows_says_and_hears_nothing_of_them() {
    let demo = Demo::start();
    for choices in [
        &["--modules-off", "flows"][..],
        &["--modules-off", "register"],
        &["--modules-off", "", "--registration", "closed"],
    ] {
        set(&demo, choices);
        let (mut wire, _) =
            arrive_when(&demo, |features| !features.contains("urn:xmpp:register:0"));
        wire.send("<register xmlns='urn:xmpp:register:0'><flow id='invitation'/></register>");
        let told = wire.rest();
        assert!(
            told.contains("<unsupported-stanza-type "),
            "{choices:?}: {told}"
        );
        // The other domain of the same customer has its own.
        let mut other = Connection::open(demo.info.c2s, "two.example");
        other.negotiate_tls(demo.roots());
        other.header();
        assert!(other.item().contains("<flow id='invitation'>"));
        set(
            &demo,
            &["--modules-off", "", "--registration", "invitation"],
        );
        arrive_when(&demo, |features| {
            features.contains("<flow id='invitation'>")
        });
    }
    // Who was offered one before the domain was closed is told that nothing comes of it.
    let (mut wire, _) = arrive(&demo);
    choose(&mut wire, "invitation");
    set(&demo, &["--registration", "closed"]);
    arrive_when(&demo, |features| !features.contains("urn:xmpp:register:0"));
    let told = fill(&mut wire, &[("token", "any")]);
    assert_eq!(told, "<cancel xmlns='urn:xmpp:register:0'/>");
    let told = wire.plain("alice", demo.password("alice@one.example"));
    assert!(
        told.contains("<success "),
        "the stream is good for signing in: {told}"
    );
}

/// XEP-0389
#[test]
fn dos_04_nonsense_in_a_flow_ends_its_stream_and_nothing_else() {
    let demo = Demo::start();
    let chosen = "<register xmlns='urn:xmpp:register:0'><flow id='invitation'/></register>";
    let long = "x".repeat(20_000);
    let many: String = (0..200)
        .map(|n| format!("<field var='v{n}'><value>v</value></field>"))
        .collect();
    let form = |inside: &str| {
        format!(
            "<response xmlns='urn:xmpp:register:0'><x xmlns='jabber:x:data' type='submit'>{inside}</x></response>"
        )
    };
    for (before, said, condition) in [
        (
            "",
            "<response xmlns='urn:xmpp:register:0'/>".to_owned(),
            "bad-format",
        ),
        (
            "",
            chosen.replace("invitation", "../../etc/passwd"),
            "bad-format",
        ),
        ("", chosen.replace("id=", "name="), "bad-format"),
        (
            chosen,
            "<response xmlns='urn:xmpp:register:0'><x/></response>".to_owned(),
            "bad-format",
        ),
        (
            chosen,
            form(&format!("<field var='token'><value>{long}</value></field>")),
            "policy-violation",
        ),
        (
            chosen,
            "<response xmlns='urn:xmpp:register:0'><x></y></response>".to_owned(),
            "not-well-formed",
        ),
        (
            chosen,
            "<iq type='set' id='r' to='two.example'><query xmlns='jabber:iq:register'/></iq>"
                .to_owned(),
            "not-authorized",
        ),
        (
            chosen,
            "<message to='alice@one.example'><body>x</body></message>".to_owned(),
            "not-authorized",
        ),
    ] {
        let (mut wire, _) = arrive(&demo);
        if !before.is_empty() {
            wire.send(before);
            wire.item();
        }
        // It may be refused before all of it is written.
        let _ = wire.send_bytes(said.as_bytes());
        let told = wire.rest();
        assert!(
            told.contains(&format!("<stream:error><{condition} ")),
            "{condition}: {said:.200}: {told}"
        );
    }
    // What is odd and no more is asked again.
    let (mut wire, _) = arrive(&demo);
    choose(&mut wire, "invitation");
    for odd in [
        form(""),
        form(&many),
        form("<field var='token'><value>a</value><value>b</value></field>"),
        form("<field var='token'/>"),
        form("<field var='token'><value>&#x2603;&lt;&amp;</value></field>"),
        form("<item/><reported/><field/>"),
    ] {
        wire.send(&odd);
        let told = wire.item();
        assert!(
            told.starts_with("<challenge ") && told.contains("invalid or expired"),
            "{odd:.200}: {told}"
        );
    }
    // For as long as one stream may ask.
    for _ in 0..20 {
        let _ = wire.send_bytes(form("").as_bytes());
    }
    let told = wire.rest();
    assert!(told.contains("<policy-violation "), "{told}");
    let mut alice = Client::login(&demo, "alice@one.example", "phone");
    alice.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
}
