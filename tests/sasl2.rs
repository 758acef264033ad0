//! Logging in at once, over real sockets: SASL2 with what comes along with it (XEP-0388, XEP-0386, XEP-0198 9, XEP-0280), and
//! coming back with tokens (XEP-0484), which follow one another and end.
//!
//! The client is this file: what it sends and computes is written from the specifications.

use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::tools::domicile_with;
use crate::harness::xmpp::{Client, Connection, between};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use sha2::{Digest as _, Sha256};

const ALICE: &str = "alice@one.example";
const PHONE: &str = "0a9c8b5e-0000-4000-8000-000000000001";
const TABLET: &str = "0a9c8b5e-0000-4000-8000-000000000002";
const EVERYTHING: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag><enable xmlns='urn:xmpp:carbons:2'/>\
    <enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>";
const BIND: &str = "<bind xmlns='urn:xmpp:bind:0'><tag>Test</tag></bind>";
const WANTED: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>";

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = parts
        .iter()
        .fold(Sha256::new().chain_update(pad(0x36)), |hash, part| {
            hash.chain_update(part)
        });
    let outer = Sha256::new().chain_update(pad(0x5c));
    outer.chain_update(inner.finalize()).finalize().to_vec()
}

/// A connection of a client that is about to log in.
struct Coming {
    connection: Connection,
    /// What binds a token to this connection (RFC 5929 4.1; the certificate's signature uses SHA-256).
    binding: Vec<u8>,
}

impl Coming {
    fn to(demo: &Demo) -> Self {
        let mut connection = Connection::open(demo.info.c2s, "one.example");
        connection.negotiate_tls(demo.roots());
        let binding = Sha256::digest(connection.peer_leaf()).to_vec();
        connection.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
             from='{ALICE}' to='one.example' version='1.0'>"
        ));
        connection.item();
        let features = connection.item();
        for part in [
            "<authentication xmlns='urn:xmpp:sasl:2'>",
            "<feature var='urn:xmpp:carbons:2'/>",
            "<feature var='urn:xmpp:sm:3'/>",
            "<mechanism>HT-SHA-256-ENDP</mechanism>",
        ] {
            assert!(features.contains(part), "{part} in {features}");
        }
        Self {
            connection,
            binding,
        }
    }

    fn authenticate(&mut self, mechanism: &str, data: &[u8], agent: &str, more: &str) -> String {
        let data = BASE64.encode(data);
        self.connection.send(&format!(
            "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>{data}</initial-response>\
             <user-agent id='{agent}'><software>Test</software><device>Desk</device></user-agent>{more}</authenticate>"
        ));
        self.connection.item()
    }

    /// With the password; the answer.
    fn password(&mut self, demo: &Demo, agent: &str, more: &str) -> String {
        let data = format!("\0alice\0{}", demo.password(ALICE));
        self.authenticate("PLAIN", data.as_bytes(), agent, more)
    }

    /// With a token; the answer, which proves that the server knows the token too.
    fn token(&mut self, token: &str, agent: &str, more: &str) -> String {
        let proof = hmac(token.as_bytes(), &[b"Initiator", &self.binding]);
        let data = [b"alice\0", proof.as_slice()].concat();
        let fast = format!("<fast xmlns='urn:xmpp:fast:0'/>{more}");
        let fast = if more.contains("<fast ") { more } else { &fast };
        let answer = self.authenticate("HT-SHA-256-ENDP", &data, agent, fast);
        if answer.starts_with("<success") {
            let proof = hmac(token.as_bytes(), &[b"Responder", &self.binding]);
            let data = format!(
                "<additional-data>{}</additional-data>",
                BASE64.encode(proof)
            );
            assert!(answer.contains(&data), "{answer}");
        }
        answer
    }

    /// After success: the session.
    fn session(mut self, success: &str) -> Session {
        assert!(
            success.starts_with("<success xmlns='urn:xmpp:sasl:2'>"),
            "{success}"
        );
        if !success.contains("<resumed ") {
            let features = self.connection.item();
            assert!(features.starts_with("<stream:features"), "{features}");
        }
        let jid = between(success, "<authorization-identifier>", "<").expect("who it is");
        Session {
            jid: jid.to_owned(),
            connection: self.connection,
        }
    }
}

struct Session {
    jid: String,
    connection: Connection,
}

impl Session {
    fn iq(&mut self, type_: &str, payload: &str) -> String {
        self.connection
            .send(&format!("<iq type='{type_}' id='asked'>{payload}</iq>"));
        self.connection.until("id='asked'")
    }

    fn available(mut self) -> Self {
        self.connection.send("<presence/>");
        self.connection.until(&format!("from='{}'", self.jid));
        self
    }
}

fn token_of(success: &str) -> String {
    let element = between(success, "<token ", "/>").unwrap_or_else(|| panic!("{success}"));
    between(element, "token='", "'")
        .expect("a token")
        .to_owned()
}

fn logged_in(demo: &Demo, agent: &str, more: &str) -> (Session, String) {
    let mut coming = Coming::to(demo);
    let success = coming.password(demo, agent, more);
    (coming.session(&success), success)
}

#[test]
fn sasl_35_37_one_round_trip_binds_and_enables_acknowledgements_and_copies() {
    let demo = Demo::start();
    let (mut phone, success) = logged_in(&demo, PHONE, EVERYTHING);
    assert!(
        phone.jid.starts_with("alice@one.example/Test/"),
        "{}",
        phone.jid
    );
    assert!(
        !phone.jid.contains(PHONE),
        "nobody learns the client's name for itself"
    );
    let bound = between(&success, "<bound ", "</bound>").expect("bound");
    assert!(
        bound.contains("<enabled xmlns='urn:xmpp:sm:3'") && bound.contains("resume='true'"),
        "{bound}"
    );
    phone.connection.send("<r xmlns='urn:xmpp:sm:3'/>");
    let answer = phone.connection.item();
    assert!(
        answer.contains("<a ") && answer.contains("h='0'"),
        "{answer}"
    );
    // EXT-12: copies are on from the first message, without an iq.
    let mut phone = phone.available();
    let mut bob = Client::online(&demo, "bob@one.example", "b");
    let mut desk = Client::online(&demo, ALICE, "desk");
    desk.message("bob@one.example", "m1", "to bob");
    bob.until("to bob");
    let copy = phone.connection.until("to bob");
    assert!(copy.contains("<sent xmlns='urn:xmpp:carbons:2'>"), "{copy}");
    bob.send(&format!(
        "<message to='{}' type='chat' id='m2'><body>to the desk</body></message>",
        desk.jid
    ));
    desk.until("to the desk");
    let copy = phone.connection.until("to the desk");
    assert!(
        copy.contains("<received xmlns='urn:xmpp:carbons:2'>"),
        "{copy}"
    );
}

#[test]
fn sasl_38_a_session_is_taken_up_along_with_the_log_in_or_bound_anew() {
    let demo = Demo::start();
    let (phone, success) = logged_in(&demo, PHONE, EVERYTHING);
    let id = between(&success, "id='", "'").expect("an id").to_owned();
    let phone = phone.available();
    let jid = phone.jid.clone();
    // The connection breaks without a word; what comes meanwhile waits.
    drop(phone);
    let mut bob = Client::online(&demo, "bob@one.example", "b");
    bob.message(ALICE, "m1", "while away");
    bob.settle();
    let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>");
    let mut coming = Coming::to(&demo);
    let success = coming.password(&demo, PHONE, &format!("{resume}{EVERYTHING}"));
    assert!(
        success.contains("<resumed ") && !success.contains("<bound "),
        "{success}"
    );
    let mut phone = coming.session(&success);
    assert_eq!(phone.jid, jid);
    phone.connection.until("while away");
    // What cannot be resumed is bound, in the same round trip (SM-13).
    let resume = "<resume xmlns='urn:xmpp:sm:3' previd='nonsense' h='0'/>";
    let mut coming = Coming::to(&demo);
    let success = coming.password(&demo, TABLET, &format!("{resume}{EVERYTHING}"));
    assert!(
        success.contains("<failed ") && success.contains("<bound "),
        "{success}"
    );
    let tablet = coming.session(&success);
    assert_ne!(tablet.jid, jid);
}

#[test]
fn sasl_40_tokens_follow_one_another_and_the_old_ones_end() {
    let demo = Demo::start();
    let (_, success) = logged_in(&demo, PHONE, &format!("{BIND}{WANTED}"));
    let first = token_of(&success);
    assert!(success.contains("expiry='"), "{success}");
    // It opens the account, and no other's.
    let mut coming = Coming::to(&demo);
    let answer = coming.token(&first, TABLET, BIND);
    assert!(
        answer.starts_with("<failure"),
        "it is the phone's: {answer}"
    );
    let mut coming = Coming::to(&demo);
    let success = coming.token(&first, PHONE, &format!("{BIND}{WANTED}"));
    let second = token_of(&success);
    assert_ne!(first, second);
    drop(coming.session(&success));
    // The answer might have been lost: until the second has been used, the first is good.
    for token in [&first, &second] {
        let mut coming = Coming::to(&demo);
        let success = coming.token(token, PHONE, BIND);
        drop(coming.session(&success));
    }
    let mut coming = Coming::to(&demo);
    let answer = coming.token(&first, PHONE, BIND);
    assert!(answer.starts_with("<failure"), "{answer}");
    // A client that does not want to come back says so.
    let mut coming = Coming::to(&demo);
    let invalidate = format!("<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>{BIND}");
    let success = coming.token(&second, PHONE, &invalidate);
    drop(coming.session(&success));
    let mut coming = Coming::to(&demo);
    let answer = coming.token(&second, PHONE, BIND);
    assert!(answer.starts_with("<failure"), "{answer}");
}

#[test]
fn sasl_40_tokens_end_with_the_password_and_when_the_owner_takes_them_away() {
    let demo = Demo::start();
    let (mut phone, success) = logged_in(&demo, PHONE, &format!("{BIND}{WANTED}"));
    let token = token_of(&success);
    let (mut tablet, success) = logged_in(&demo, TABLET, &format!("{BIND}{WANTED}"));
    let other = token_of(&success);
    // XEP-0494: the tablet takes the phone's way in away, and keeps its own.
    let listed = tablet.iq("get", "<list xmlns='urn:xmpp:cam:0'/>");
    let id = format!("id='agent-{PHONE}'");
    assert!(
        listed.contains(&id) && listed.contains("connected='true'"),
        "{listed}"
    );
    let revoked = tablet.iq("set", &format!("<revoke xmlns='urn:xmpp:cam:0' {id}/>"));
    assert!(revoked.contains("type='result'"), "{revoked}");
    let end = phone.connection.rest();
    assert!(end.contains("<not-authorized"), "its session ends: {end}");
    let mut coming = Coming::to(&demo);
    let answer = coming.token(&token, PHONE, BIND);
    assert!(answer.starts_with("<failure"), "{answer}");
    let mut coming = Coming::to(&demo);
    let success = coming.token(&other, TABLET, BIND);
    let mut tablet = coming.session(&success);
    let changed = tablet.iq(
        "set",
        "<query xmlns='jabber:iq:register'><username>alice</username><password>another one</password></query>",
    );
    assert!(changed.contains("type='result'"), "{changed}");
    let mut coming = Coming::to(&demo);
    let answer = coming.token(&other, TABLET, BIND);
    assert!(answer.starts_with("<failure"), "{answer}");
}

/// A client that comes again takes its own place, and nobody else's: not other sessions, not their wishes, not their tokens,
/// not what waits.
#[test]
fn sasl_39_binding_along_with_the_log_in_clears_nothing_of_others() {
    let demo = Demo::start();
    let (tablet, success) = logged_in(&demo, TABLET, &format!("{EVERYTHING}{WANTED}"));
    let token = token_of(&success);
    let mut tablet = tablet.available();
    let mut desk = Client::online(&demo, ALICE, "desk");
    let (phone, _) = logged_in(&demo, PHONE, EVERYTHING);
    let mut phone = phone.available();
    let jid = phone.jid.clone();
    let (again, _) = logged_in(&demo, PHONE, EVERYTHING);
    assert_eq!(again.jid, jid, "its own place");
    let end = phone.connection.rest();
    assert!(end.contains("<conflict"), "{end}");
    let mut again = again.available();
    // The others are there, and still get copies.
    desk.settle();
    let mut bob = Client::online(&demo, "bob@one.example", "b");
    again
        .connection
        .send("<message to='bob@one.example' type='chat' id='m'><body>still</body></message>");
    bob.until("still");
    tablet.connection.until("<sent xmlns='urn:xmpp:carbons:2'>");
    let mut coming = Coming::to(&demo);
    let success = coming.token(&token, TABLET, BIND);
    assert!(success.starts_with("<success"), "{success}");
}

#[test]
fn whoever_looks_after_people_sees_their_devices_and_signs_one_out() {
    let demo = Demo::start();
    let api = Api::sign_in(&demo.info, &demo.info.owner);
    let devices = |of: &str| {
        api.get(&format!("/domains/one.example/accounts/alice{of}"))
            .json()
    };
    let listed = |connected: bool| {
        let all = devices("/devices");
        let all = all["devices"].as_array().expect("a list").clone();
        let those = all
            .into_iter()
            .filter(|device| device["connected"] == connected);
        those.collect::<Vec<_>>()
    };
    let (mut phone, success) = logged_in(&demo, PHONE, &format!("{EVERYTHING}{WANTED}"));
    let token = token_of(&success);
    let mut tablet = logged_in(&demo, TABLET, &format!("{BIND}{WANTED}")).0;
    let mut desk = Client::online(&demo, ALICE, "desk");
    let there = listed(true);
    assert_eq!(there.len(), 3, "{there:?}");
    let of = |jid: &str| {
        let resource = jid.split_once('/').expect("a resource").1;
        let is_its = |device: &&serde_json::Value| device["resources"][0] == resource;
        there.iter().find(is_its).expect("listed").clone()
    };
    let (phone_is, desk_is) = (of(&phone.jid), of(&desk.jid));
    assert_eq!(
        (&phone_is["software"], &phone_is["device"]),
        (&json!("Test"), &json!("Desk"))
    );
    assert_eq!(
        (&phone_is["way"], &desk_is["way"]),
        (&json!("token"), &json!("password"))
    );
    assert!(
        !devices("/devices").to_string().contains(PHONE),
        "its own name is its own"
    );

    // The phone is cut off at once, and its token opens nothing; nobody else notices.
    let gone = api.delete(&format!(
        "/domains/one.example/accounts/alice/devices/{}",
        phone_is["id"].as_str().expect("an id")
    ));
    assert_eq!(gone.status, 204, "{gone:?}");
    let rest = phone.connection.rest();
    assert!(
        rest.contains("<not-authorized") && rest.ends_with("</stream:stream>"),
        "{rest}"
    );
    let refused = Coming::to(&demo).token(&token, PHONE, BIND);
    assert!(refused.starts_with("<failure"), "{refused}");
    assert!(
        tablet
            .iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            .contains("type='result'")
    );

    // The desk has no token: its session ends by its resource, from the command line as well.
    let place = demo.data_dir.to_string_lossy().into_owned();
    let id = desk_is["id"].as_str().expect("an id");
    let (code, out, err) =
        domicile_with(&["user", "sign-out", ALICE, id, "--data-dir", &place], "");
    assert_eq!(code, 0, "{out}{err}");
    let rest = desk.connection.rest();
    assert!(rest.contains("<not-authorized"), "{rest}");
    assert!(
        tablet
            .iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            .contains("type='result'")
    );
    let page = api.get("/domains/one.example/accounts/alice").json();
    assert_eq!(page["connected"], true);
    // Who has the password comes in again, and is another device.
    let again = logged_in(&demo, PHONE, &format!("{BIND}{WANTED}")).0;
    assert!(listed(true).len() >= 2);
    drop(again);
    assert_eq!(devices("/storage")["uploads"], 0);
}
