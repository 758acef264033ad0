//! Client streams seen from outside: raw XML over real sockets, one demo for all tests of this file. Tests are named
//! after the obligation they show (group and number of the requirements, or the RFC section).

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use crate::harness::demo::Demo;
use crate::harness::xmpp::{Client, Connection, between, tls_config};
use rustls::RootCertStore;

static DEMO: LazyLock<Demo> = LazyLock::new(Demo::start);

const ONE: &str = "one.example";
const TWO: &str = "two.example";

fn plain(domain: &str) -> Connection {
    Connection::open(DEMO.info.c2s, domain)
}

fn secured(domain: &str) -> Connection {
    let mut c = plain(domain);
    c.negotiate_tls(DEMO.roots());
    c
}

/// A connection whose TLS is up and whose features are read.
fn ready_for_sasl(domain: &str) -> Connection {
    let mut c = secured(domain);
    c.header();
    let features = c.item();
    assert!(features.contains("<mechanisms"), "{features}");
    c
}

/// Sends text on a fresh stream before TLS and returns all that the server says until it closes.
fn refused(text: &str) -> String {
    let mut c = plain(ONE);
    c.send(text);
    c.rest()
}

fn header_with(attributes: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' {attributes}>"
    )
}

// ---- identity by `to` ------------------------------------------------------------------------------------------

/// DNA-01: what is proved on a client's stream is the name that the client asked for.
#[test]
fn vhost_01_each_domain_presents_its_own_certificate() {
    // Verification against the domain's own name is what rustls does here; the leaves must also differ.
    let leaves: HashSet<Vec<u8>> = DEMO
        .info
        .domains
        .iter()
        .map(|d| secured(d).peer_leaf())
        .collect();
    assert_eq!(leaves.len(), DEMO.info.domains.len());
}

#[test]
fn vhost_02_sni_does_not_decide_on_starttls() {
    let mut c = plain(ONE);
    c.header();
    c.item();
    c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    c.item();
    // SNI says two.example, the stream said one.example: the handshake completes with one.example's chain, which the
    // client (asking for two.example) then refuses.
    let error = c
        .start_tls(tls_config(DEMO.roots(), &[]), TWO)
        .expect_err("the chain of one.example");
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn vhost_03_another_to_after_tls_is_a_policy_violation() {
    let mut c = secured(ONE);
    c.header_to(TWO);
    let rest = c.rest();
    assert!(rest.contains("<policy-violation"), "{rest}");
}

#[test]
fn vhost_05_unknown_and_missing_domains_get_host_unknown_and_no_certificate() {
    for attributes in [
        "to='nobody-hosts-this.example' version='1.0'",
        "version='1.0'",
    ] {
        let said = refused(&header_with(attributes));
        assert!(said.contains("<host-unknown"), "{said}");
        for domain in &DEMO.info.domains {
            assert!(
                !said.contains(domain.as_str()),
                "no tenant's name in {said}"
            );
        }
        assert!(
            said.contains(" from='") || said.contains(" from=\""),
            "a full header comes first: {said}"
        );
    }
}

#[test]
fn vhost_04_the_response_is_from_the_domain_asked() {
    for domain in &DEMO.info.domains {
        let header = plain(domain).header();
        assert_eq!(
            between(&header, "from='", "'"),
            Some(domain.as_str()),
            "{header}"
        );
    }
}

// ---- direct TLS ------------------------------------------------------------------------------------------------

#[test]
fn tls_31_direct_tls_selects_by_sni_and_offers_no_starttls() {
    for domain in &DEMO.info.domains {
        let config = tls_config(DEMO.roots(), &["xmpp-client"]);
        let mut c = Connection::open_tls(DEMO.info.c2s_tls, domain, config, domain)
            .expect("the domain's certificate");
        c.header();
        let features = c.item();
        assert!(
            features.contains("<mechanisms") && !features.contains("<starttls"),
            "{features}"
        );
    }
}

#[test]
fn tls_29_unknown_sni_fails_with_unrecognized_name() {
    let config = tls_config(DEMO.roots(), &["xmpp-client"]);
    let name = "nobody-hosts-this.example";
    let error = Connection::open_tls(DEMO.info.c2s_tls, name, config, name)
        .err()
        .expect("no handshake");
    assert!(
        error.to_string().contains("UnrecognisedName")
            || error.to_string().contains("UnrecognizedName"),
        "{error}"
    );
}

#[test]
fn tls_30_a_foreign_protocol_fails_with_no_application_protocol() {
    let config = tls_config(DEMO.roots(), &["http/1.1"]);
    let error = Connection::open_tls(DEMO.info.c2s_tls, ONE, config, ONE)
        .err()
        .expect("no handshake");
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
}

// ---- STARTTLS --------------------------------------------------------------------------------------------------

#[test]
fn tls_02_starttls_is_required_and_alone() {
    let mut c = plain(ONE);
    c.header();
    let features = c.item();
    assert!(features.contains("<required"), "{features}");
    assert!(
        !features.contains("mechanism"),
        "SASL-15: no mechanism without TLS: {features}"
    );
}

#[test]
fn tls_05_sasl_before_tls_is_refused() {
    let mut c = plain(ONE);
    c.header();
    c.item();
    let token = "AGFsaWNlAHB3";
    c.send(&format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
    ));
    let said = c.rest();
    assert!(
        said.contains("<encryption-required")
            || said.contains("<not-authorized")
            || said.contains("<policy-violation"),
        "{said}"
    );
    assert!(!said.contains("<success"), "{said}");
}

#[test]
fn tls_08_plaintext_behind_starttls_never_becomes_stream_content() {
    let mut c = plain(ONE);
    c.header();
    c.item();
    let injected = header_with(&format!("to='{ONE}' version='1.0'"));
    c.send(&format!(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{injected}"
    ));
    let proceed = c.next();
    match proceed {
        // Discarded: the handshake then works and the stream starts with what comes through TLS.
        Some(p) if p.contains("<proceed") => {
            if c.start_tls(tls_config(DEMO.roots(), &[]), ONE).is_ok() {
                let header = c.header();
                assert!(
                    header.starts_with("<?xml") || header.contains("<stream:stream"),
                    "{header}"
                );
                let features = c.item();
                assert!(features.contains("<mechanisms"), "{features}");
            }
        }
        // Or the connection ends.
        other => assert!(other.is_none_or(|o| !o.contains("<mechanisms"))),
    }
}

// ---- headers ---------------------------------------------------------------------------------------------------

#[test]
fn stream_16_ids_are_new_for_every_stream_and_restart() {
    let mut ids = HashSet::new();
    for _ in 0..5 {
        let mut c = plain(ONE);
        let first = c.header();
        assert!(ids.insert(between(&first, "id='", "'").expect("id").to_owned()));
        c.item();
        c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        c.item();
        c.start_tls(tls_config(DEMO.roots(), &[]), ONE)
            .expect("TLS");
        let second = c.header();
        assert!(ids.insert(between(&second, "id='", "'").expect("id").to_owned()));
    }
    assert!(ids.iter().all(|id| id.len() >= 16), "{ids:?}");
}

#[test]
fn stream_17_and_19_language_and_version_are_answered() {
    let mut c = plain(ONE);
    c.send(&header_with(&format!(
        "to='{ONE}' version='1.7' xml:lang='de'"
    )));
    let header = c.item();
    assert!(
        header.contains("version='1.0'"),
        "the lower of the two: {header}"
    );
    assert!(header.contains("xml:lang='"), "{header}");
}

#[test]
fn stream_20_and_22_wrong_namespaces() {
    let wrong_stream = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.example/' to='one.example' version='1.0'>";
    assert!(refused(wrong_stream).contains("<invalid-namespace"));
    let wrong_content = "<?xml version='1.0'?><stream:stream xmlns='jabber:wrong' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>";
    assert!(refused(wrong_content).contains("<invalid-namespace"));
    // jabber:server belongs to the other listener (STREAM-21).
    let server = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>";
    assert!(refused(server).contains("<invalid-namespace"));
}

#[test]
fn xml_01_restricted_constructs() {
    let header = header_with(&format!("to='{ONE}' version='1.0'"));
    for bad in [
        "<!-- comment -->",
        "<?target data?>",
        "<message>&custom;</message>",
    ] {
        let said = refused(&format!("{header}{bad}"));
        assert!(said.contains("<restricted-xml"), "{bad}: {said}");
    }
    let doctype = format!(
        "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]>{}",
        &header[21..]
    );
    assert!(refused(&doctype).contains("<restricted-xml"));
}

#[test]
fn xml_02_and_03_ill_formed_input() {
    let header = header_with(&format!("to='{ONE}' version='1.0'"));
    for bad in [
        "<message><body></message></body>",
        "<a b='1' b='2'/>",
        "<undeclared:x/>",
        "<message to=one/>",
        "<1x/>",
        "<a>&#0;</a>",
    ] {
        let said = refused(&format!("{header}{bad}"));
        assert!(said.contains("<not-well-formed"), "{bad}: {said}");
    }
}

#[test]
fn xml_05_only_utf_8() {
    let mut c = plain(ONE);
    c.header();
    c.item();
    c.send_bytes(b"<message><body>\xff\xfe</body></message>")
        .expect("written");
    let said = c.rest();
    assert!(
        said.contains("<unsupported-encoding") || said.contains("<not-well-formed"),
        "{said}"
    );
    let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>";
    assert!(refused(latin).contains("<unsupported-encoding"));
}

#[test]
fn dos_05_oversized_input_is_a_policy_violation_before_and_after_authentication() {
    let mut c = plain(ONE);
    c.header();
    c.item();
    let big = format!("<message><body>{}</body></message>", "x".repeat(1 << 20));
    let _ = c.send_bytes(big.as_bytes());
    let said = c.rest();
    assert!(
        said.is_empty() || said.contains("<policy-violation"),
        "{said}"
    );

    let mut alice = Client::login(&DEMO, "alice@one.example", "big");
    // DOS-04: ten thousand bytes always pass.
    alice.message("alice@one.example", "fits", &"y".repeat(9000));
    alice.settle();
    let _ = alice
        .connection
        .send_bytes(format!("<message><body>{}</body></message>", "x".repeat(4 << 20)).as_bytes());
    let said = alice.connection.rest();
    assert!(
        said.is_empty() || said.contains("<policy-violation"),
        "{said}"
    );
}

// ---- SASL ------------------------------------------------------------------------------------------------------

#[test]
fn sasl_02_mechanisms_in_order_of_preference_with_channel_binding() {
    let mut c = secured(ONE);
    c.header();
    let features = c.item();
    let at = |name: &str| {
        features
            .find(&format!(">{name}<"))
            .unwrap_or_else(|| panic!("{name} in {features}"))
    };
    assert!(at("SCRAM-SHA-256-PLUS") < at("SCRAM-SHA-256"), "{features}");
    assert!(at("SCRAM-SHA-1") < at("PLAIN"), "{features}");
    assert!(
        features.contains("urn:xmpp:sasl-cb:0") && features.contains("tls-exporter"),
        "SASL-27: {features}"
    );
    assert!(
        features.contains("tls-server-end-point"),
        "SASL-25: {features}"
    );
}

#[test]
fn sasl_11_unknown_user_and_wrong_password_look_alike() {
    let wrong = ready_for_sasl(ONE).plain("alice", "wrong");
    let unknown = ready_for_sasl(ONE).plain("nobody", "wrong");
    assert_eq!(wrong, unknown);
    assert!(wrong.contains("<not-authorized"), "{wrong}");
    // And with SCRAM: both get a challenge.
    for user in ["alice", "nobody"] {
        let mut c = ready_for_sasl(ONE);
        let first = base64(&format!("n,,n={user},r=clientnonce"));
        c.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{first}</auth>"));
        let challenge = c.item();
        assert!(challenge.contains("<challenge"), "{challenge}");
    }
}

#[test]
fn sasl_04_and_08_encoding_and_abort() {
    let mut c = ready_for_sasl(ONE);
    c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>=AAA=</auth>");
    let said = c.item();
    assert!(said.contains("<incorrect-encoding"), "{said}");
    c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'/>");
    let said = c.item();
    assert!(
        said.contains("<challenge"),
        "SASL-06: no initial response: {said}"
    );
    c.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    let said = c.item();
    assert!(said.contains("<aborted"), "{said}");
    c.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NO-SUCH'/>");
    let said = c.item();
    assert!(said.contains("<invalid-mechanism"), "{said}");
}

#[test]
fn sasl_10_retries_end_with_policy_violation() {
    let mut c = ready_for_sasl(ONE);
    let mut failures = 0;
    loop {
        let token = base64("\0alice\0wrong");
        let written = c.send_bytes(
            format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
            )
            .as_bytes(),
        );
        match c.next() {
            Some(said) if said.contains("<failure") && written.is_ok() => failures += 1,
            Some(said) => {
                assert!(said.contains("<policy-violation"), "{said}");
                break;
            }
            None => break,
        }
        assert!(failures <= 6, "retries are not limited");
    }
    assert!((2..=6).contains(&failures), "{failures} tries");
}

#[test]
fn stream_05_stanzas_before_authentication_are_refused() {
    let mut c = ready_for_sasl(ONE);
    c.send("<message to='bob@one.example'><body>hi</body></message>");
    let said = c.rest();
    assert!(said.contains("<not-authorized"), "{said}");
}

#[test]
fn bind_07_stanzas_before_binding_are_refused() {
    let mut c = ready_for_sasl(ONE);
    let said = c.plain("alice", DEMO.password("alice@one.example"));
    assert!(said.contains("<success"), "{said}");
    c.header();
    c.item();
    c.send("<message to='bob@one.example'><body>hi</body></message>");
    let said = c.rest();
    assert!(said.contains("<not-authorized"), "{said}");
}

#[test]
fn vhost_11_an_account_of_one_domain_is_none_of_another() {
    let said = ready_for_sasl(TWO).plain("alice", DEMO.password("alice@one.example"));
    assert!(said.contains("<not-authorized"), "{said}");
}

#[test]
fn bind_04_the_same_resource_ends_the_older_session() {
    let mut old = Client::online(&DEMO, "bob@two.example", "same");
    let mut new = Client::online(&DEMO, "bob@two.example", "same");
    let said = old.connection.rest();
    assert!(said.contains("<conflict"), "{said}");
    new.settle();
}

#[test]
fn bind_02_the_server_makes_unpredictable_resources() {
    let names: HashSet<String> = (0..3)
        .map(|_| {
            let mut c = ready_for_sasl(ONE);
            c.plain("alice", DEMO.password("alice@one.example"));
            c.header();
            c.item();
            c.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
            let bound = c.item();
            between(&bound, "<jid>alice@one.example/", "</jid>")
                .expect("a full JID")
                .to_owned()
        })
        .collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|n| n.len() >= 8), "{names:?}");
}

// ---- stanzas ---------------------------------------------------------------------------------------------------

#[test]
fn layer_03_from_is_stamped_whatever_the_client_says() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "stamp");
    let mut bob = Client::online(&DEMO, "bob@one.example", "stamp");
    let (from, to) = (alice.jid.clone(), bob.jid.clone());
    alice.send(&format!("<message to='{to}' id='stamp-1' type='chat'><body>a &amp; b</body><x xmlns='urn:example:unknown' a='1'><y/></x></message>"));
    let got = bob.until("stamp-1");
    assert!(got.contains(&format!("from='{from}'")), "{got}");
    assert!(
        got.contains("<x xmlns='urn:example:unknown' a='1'><y/></x>"),
        "STANZA-11: {got}"
    );
    assert!(got.contains("a &amp; b"), "{got}");
}

#[test]
fn route_08_domains_of_one_service_chat_without_leaving_it() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "cross");
    let mut bob = Client::online(&DEMO, "bob@two.example", "cross");
    let (a, b) = (alice.jid.clone(), bob.jid.clone());
    for i in 0..50 {
        alice.message(&b, &format!("cross-{i:02}"), "there");
    }
    for i in 0..50 {
        let got = bob.until("cross-");
        assert!(
            got.contains(&format!("cross-{i:02}")),
            "ROUTE-02, order: {got}"
        );
    }
    bob.message(&a, "back", "again");
    alice.until("back");
}

/// What a client says and what it hears go over the one connection it has made.
#[test]
fn stream_09_one_connection_carries_both_directions() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "both");
    let mut bob = Client::online(&DEMO, "bob@two.example", "both");
    let (a, b) = (alice.jid.clone(), bob.jid.clone());
    for i in 0..20 {
        // Both ways at once, again and again.
        alice.message(&b, &format!("there-{i:02}"), "there");
        bob.message(&a, &format!("back-{i:02}"), "back");
        alice.until(&format!("back-{i:02}"));
        bob.until(&format!("there-{i:02}"));
    }
}

#[test]
fn im_34_offline_messages_come_later_with_the_time_of_sending() {
    let mut alice = Client::online(&DEMO, "alice@two.example", "sender");
    // An account of its own, so that no other test's session is online.
    let jid = "offline-tester@two.example";
    add_user(jid);
    alice.message(jid, "later-1", "first");
    alice.message(jid, "later-2", "second");
    alice.send(&format!(
        "<message to='{jid}' type='headline' id='never'><body>news</body></message>"
    ));
    alice.settle();
    let mut reader = Client::login_with(&DEMO, jid, "a-long-enough-secret-1", "reader");
    reader.send("<presence/>");
    let first = reader.until("<body>");
    assert!(
        first.contains("later-1") && first.contains("urn:xmpp:delay"),
        "{first}"
    );
    let second = reader.until("<body>");
    assert!(second.contains("later-2"), "{second}");
    assert!(
        !reader.settle().iter().any(|s| s.contains("never")),
        "headlines are not stored"
    );
    reader.close();
    let mut again = Client::login_with(&DEMO, jid, "a-long-enough-secret-1", "reader");
    again.send("<presence/>");
    assert!(
        !again.settle().iter().any(|s| s.contains("<body>")),
        "delivered once"
    );
}

#[test]
fn route_10_unknown_and_offline_accounts_look_alike_to_strangers() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "stranger");
    let jid = "quiet@two.example";
    add_user(jid);
    let normal = |answer: String, who: &str| {
        answer
            .replace(who, "X")
            .split("id='")
            .next()
            .map(str::to_owned)
    };
    let ask =
        |c: &mut Client, to: &str| c.iq("get", Some(to), "<query xmlns='jabber:iq:version'/>");
    let exists = ask(&mut alice, jid);
    let missing = ask(&mut alice, "missing@two.example");
    assert!(exists.contains("<service-unavailable"), "{exists}");
    assert_eq!(
        normal(exists, "quiet@two.example"),
        normal(missing, "missing@two.example")
    );
    let full_exists = ask(&mut alice, "quiet@two.example/phone");
    let full_missing = ask(&mut alice, "missing@two.example/phone");
    assert!(
        full_exists.contains("<service-unavailable"),
        "{full_exists}"
    );
    assert!(
        full_missing.contains("<service-unavailable"),
        "{full_missing}"
    );
}

#[test]
fn stanza_06_malformed_iq_gets_bad_request_and_the_stream_lives() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "iq");
    alice.send("<iq type='get' id='empty'/>");
    assert!(alice.until("id='empty'").contains("<bad-request"));
    alice.send("<iq type='nonsense' id='type'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert!(alice.until("id='type'").contains("<bad-request"));
    let unknown = alice.iq("get", Some(ONE), "<q xmlns='urn:example:unknown'/>");
    assert!(
        unknown.contains("<service-unavailable") && unknown.contains("type='error'"),
        "STANZA-12: {unknown}"
    );
    alice.send("<message to='@@' id='bad-jid'><body>x</body></message>");
    assert!(
        alice.until("id='bad-jid'").contains("<jid-malformed"),
        "ADDR-07"
    );
}

#[test]
fn stream_23_first_level_elements_that_are_no_stanzas() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "unknown");
    alice.send("<foo xmlns='jabber:client'/>");
    let said = alice.connection.rest();
    assert!(
        said.is_empty() || said.contains("<unsupported-stanza-type"),
        "{said}"
    );
}

// ---- RFC 6121 and services -------------------------------------------------------------------------------------

#[test]
fn im_08_roster_with_versions_and_pushes() {
    let jid = "roster-tester@one.example";
    add_user(jid);
    let login = |r: &str| Client::login_with(&DEMO, jid, "a-long-enough-secret-1", r);
    let mut first = login("first");
    let mut second = login("second");
    for c in [&mut first, &mut second] {
        let roster = c.iq("get", None, "<query xmlns='jabber:iq:roster' ver=''/>");
        assert!(
            roster.contains("ver='") && !roster.contains("<item"),
            "IM-01: {roster}"
        );
    }
    let set = "<query xmlns='jabber:iq:roster'><item jid='bob@two.example' name='Bob'><group>Friends</group></item></query>";
    first.send(&format!("<iq type='set' id='set-1'>{set}</iq>"));
    let push = second.until("jabber:iq:roster");
    assert!(
        push.contains("jid='bob@two.example'") && push.contains("subscription='none'"),
        "{push}"
    );
    let ver = between(&push, "ver='", "'")
        .expect("a version on the push")
        .to_owned();
    let known = second.iq(
        "get",
        None,
        &format!("<query xmlns='jabber:iq:roster' ver='{ver}'/>"),
    );
    assert!(!known.contains("<item"), "nothing new since {ver}: {known}");
    let two = "<query xmlns='jabber:iq:roster'><item jid='a@two.example'/><item jid='b@two.example'/></query>";
    assert!(
        second.iq("set", None, two).contains("<bad-request"),
        "IM-03"
    );
    let remove = "<query xmlns='jabber:iq:roster'><item jid='nobody@two.example' subscription='remove'/></query>";
    assert!(
        second.iq("set", None, remove).contains("<item-not-found"),
        "IM-07"
    );
}

#[test]
fn im_11_to_28_subscription_and_presence_between_domains() {
    let (a, b) = ("subscriber@one.example", "publisher@two.example");
    add_user(a);
    add_user(b);
    let password = "a-long-enough-secret-1";
    let mut sub = Client::login_with(&DEMO, a, password, "s");
    let mut publ = Client::login_with(&DEMO, b, password, "p");
    for c in [&mut sub, &mut publ] {
        c.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
        c.send("<presence><priority>5</priority></presence>");
    }
    sub.send(&format!("<presence type='subscribe' to='{b}/ignored'/>"));
    let push = sub.until("ask='subscribe'");
    assert!(push.contains(&format!("jid='{b}'")), "{push}");
    let request = publ.until("type='subscribe'");
    assert!(
        request.contains(&format!("from='{a}'")),
        "IM-10, bare from: {request}"
    );
    publ.send(&format!("<presence type='subscribed' to='{a}'/>"));
    publ.until("subscription='from'");
    sub.until("type='subscribed'");
    sub.until("subscription='to'");
    let presence = sub.until("<presence");
    assert!(
        presence.contains(&format!("from='{}'", publ.jid)),
        "IM-15: {presence}"
    );
    assert!(
        presence.contains("<priority>5</priority>"),
        "IM-27, complete: {presence}"
    );
    publ.send("<presence><show>away</show></presence>");
    sub.until("<show>away</show>");
    // IM-28: a connection that just breaks is told to the contacts all the same.
    let full = publ.jid.clone();
    drop(publ);
    let gone = sub.until("type='unavailable'");
    assert!(gone.contains(&format!("from='{full}'")), "{gone}");
}

/// EXT-38, XEP-0283 4: a contact who has moved is let in at the new address because the old one says so, without a question;
/// whoever only says so is a stranger who asks.
#[test]
fn ext_38_a_contact_who_has_moved_is_let_in_once_the_old_address_confirms_it() {
    let (old, new, contact) = (
        "juliet@one.example",
        "capulet@one.example",
        "montague@two.example",
    );
    let password = "a-long-enough-secret-1";
    let [mut before, mut after, mut romeo] = [old, new, contact].map(|jid| {
        add_user(jid);
        let mut client = Client::login_with(&DEMO, jid, password, "x").available();
        client.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
        client
    });
    // Romeo and the old address see each other.
    let said = |to: &str, type_: &str| format!("<presence to='{to}' type='{type_}'/>");
    before.send(&said(contact, "subscribe"));
    romeo.until("type='subscribe'");
    romeo.send(&said(old, "subscribed"));
    romeo.send(&said(old, "subscribe"));
    before.until("type='subscribe'");
    before.send(&said(contact, "subscribed"));
    romeo.until("subscription='both'");
    let notification = format!(
        "<presence to='{contact}' type='subscribe'><moved xmlns='urn:xmpp:moved:1'><old-jid>{old}</old-jid></moved></presence>"
    );
    // Nothing is published at the old address yet: a request like any other, as it came.
    after.send(&notification);
    let shown = romeo.until("type='subscribe'");
    assert!(shown.contains(new) && shown.contains("<moved "), "{shown}");
    romeo.send(&said(new, "unsubscribed"));
    after.until("type='unsubscribed'");
    let published = before.iq(
        "set",
        None,
        &format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:moved:1'><item id='current'>\
             <moved xmlns='urn:xmpp:moved:1'><new-jid>{new}</new-jid></moved></item></publish></pubsub>"
        ),
    );
    assert!(published.contains("type='result'"), "{published}");
    after.send(&notification);
    after.until("type='subscribed'");
    let asked_back = after.until("type='subscribe'");
    assert!(asked_back.contains(contact), "{asked_back}");
    before.until("type='unsubscribed'");
    after.send(&said(contact, "subscribed"));
    romeo.until("subscription='both'");
    let seen = romeo.settle().join("");
    assert!(
        !seen.contains("type='subscribe'"),
        "nobody was asked: {seen}"
    );
    let roster = romeo.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    for (jid, subscription) in [(old, "to"), (new, "both")] {
        let item = roster.split("<item").find(|item| item.contains(jid));
        let item = item.unwrap_or_else(|| panic!("{roster}"));
        assert!(
            item.contains(&format!("subscription='{subscription}'")),
            "{roster}"
        );
    }
}

#[test]
fn ping_01_and_the_small_services() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "services");
    for to in [None, Some(ONE), Some("alice@one.example")] {
        let pong = alice.iq("get", to, "<ping xmlns='urn:xmpp:ping'/>");
        assert!(pong.contains("type='result'"), "{to:?}: {pong}");
    }
    let version = alice.iq("get", Some(ONE), "<query xmlns='jabber:iq:version'/>");
    assert!(
        version.contains("<name>Domicile</name>") && version.contains("<version>"),
        "{version}"
    );
    let time = alice.iq("get", Some(ONE), "<time xmlns='urn:xmpp:time'/>");
    assert!(time.contains("<utc>") && time.contains("<tzo>"), "{time}");
    let info = alice.iq(
        "get",
        Some(ONE),
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    );
    for feature in [
        "urn:xmpp:ping",
        "jabber:iq:version",
        "urn:xmpp:time",
        "http://jabber.org/protocol/disco#info",
    ] {
        assert!(
            info.contains(&format!("var='{feature}'")),
            "{feature} in {info}"
        );
    }
    assert!(info.contains("category='server'"), "{info}");
}

#[test]
fn ext_33_password_change_in_band() {
    let jid = "changer@one.example";
    add_user(jid);
    let mut c = Client::login_with(&DEMO, jid, "a-long-enough-secret-1", "c");
    let weak = "<query xmlns='jabber:iq:register'><username>changer</username><password>x</password></query>";
    assert!(
        c.iq("set", Some(ONE), weak).contains("type='error'"),
        "SASL-16"
    );
    let new = "<query xmlns='jabber:iq:register'><username>changer</username><password>another-long-secret-2</password></query>";
    let answer = c.iq("set", Some(ONE), new);
    assert!(answer.contains("type='result'"), "{answer}");
    let said = ready_for_sasl(ONE).plain("changer", "a-long-enough-secret-1");
    assert!(said.contains("<not-authorized"), "{said}");
    Client::login_with(&DEMO, jid, "another-long-secret-2", "d").settle();
}

#[test]
fn route_13_secrets_and_addresses_stay_out_of_the_log() {
    let mut alice = Client::online(&DEMO, "alice@one.example", "log");
    alice.message("bob@one.example", "log-1", "a-body-nobody-may-log");
    alice.settle();
    let log = DEMO.log();
    for user in &DEMO.info.users {
        assert!(!log.contains(&user.password), "a password is in the log");
    }
    assert!(
        !log.contains("a-body-nobody-may-log"),
        "a message body is in the log"
    );
}

#[test]
fn an_untrusted_root_is_refused_by_the_client() {
    // The harness itself must be able to fail: without the sandbox CA no handshake succeeds.
    let mut c = plain(ONE);
    c.header();
    c.item();
    c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    c.item();
    c.start_tls(tls_config(Arc::new(RootCertStore::empty()), &[]), ONE)
        .expect_err("an unknown issuer");
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Adds an account through the command line, as an operator beside the running server would.
fn add_user(jid: &str) {
    let data = DEMO.data_dir.to_string_lossy().into_owned();
    let args = ["user", "add", jid, "--password-stdin", "--data-dir", &data];
    let (code, out, err) = crate::harness::tools::domicile_with(&args, "a-long-enough-secret-1\n");
    assert_eq!(code, 0, "user add: {out}{err}");
}
