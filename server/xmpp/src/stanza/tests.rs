//! Stanzas taken in, rewritten, answered.

use super::*;
use crate::framing::{Frame, Framer, Limits};

const CLIENT: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:e='urn:e&amp;f'>";
const SERVER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                      xmlns:db='jabber:server:dialback'>";

fn take(
    header: &str,
    body: &str,
    from: From<'_>,
    lang: Option<&str>,
) -> Result<Stanza, StanzaSyntaxError> {
    let mut framer = Framer::new(Limits::default());
    framer.push(header.as_bytes());
    framer.push(body.as_bytes());
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    let Ok(Some(Frame::Element(raw))) = framer.next() else {
        panic!("{body}")
    };
    Stanza::from_raw(&raw, from, lang)
}

fn juliet() -> Jid {
    Jid::parse("juliet@example.com/balcony").unwrap()
}

fn text(stanza: &Stanza) -> &str {
    std::str::from_utf8(stanza.bytes()).unwrap()
}

/// A client's stanza as it leaves for its recipient.
#[track_caller]
fn check(body: &str, expected: &str) {
    let stanza = take(CLIENT, body, From::Stamp(&juliet()), None).expect(body);
    assert_eq!(text(&stanza), expected);
    let again = Stanza::from_bytes(stanza.bytes()).expect(expected);
    assert_eq!(again, stanza, "what was written is read back unchanged");
    assert_eq!(
        (again.id(), again.lang(), again.to()),
        (stanza.id(), stanza.lang(), stanza.to())
    );
}

#[test]
fn only_the_start_tag_is_rewritten() {
    check(
        "<message from='x@y' to='Romeo@Example.NET' type='chat' id='1'><body>hi</body></message>",
        "<message from='juliet@example.com/balcony' to='romeo@example.net' type='chat' id='1'><body>hi</body></message>",
    );
    check(
        "<presence/>",
        "<presence from='juliet@example.com/balcony'/>",
    );
    check(
        "<presence ></presence >",
        "<presence from='juliet@example.com/balcony'></presence >",
    );
    check(
        "<message  to=\"a@b/it's\"\n id=\"it's\" ><x xmlns='u'  y = '1'/>\n</message>",
        "<message from='juliet@example.com/balcony' to='a@b/it&apos;s' id=\"it's\"><x xmlns='u'  y = '1'/>\n</message>",
    );
}

#[test]
fn stream_21_content_namespace_is_left_to_the_stream() {
    check(
        "<presence xmlns='jabber:client'/>",
        "<presence from='juliet@example.com/balcony'/>",
    );
    check(
        "<message><body xmlns='jabber:client'>x</body></message>",
        "<message from='juliet@example.com/balcony'><body>x</body></message>",
    );
    let forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body/></message></forwarded>";
    check(
        &format!("<message>{forwarded}</message>"),
        &format!("<message from='juliet@example.com/balcony'>{forwarded}</message>"),
    );
    let stanza = take(
        SERVER,
        "<message from='a@b' to='c@d'><body xmlns='jabber:server'/></message>",
        From::Keep,
        None,
    );
    assert_eq!(
        text(&stanza.unwrap()),
        "<message from='a@b' to='c@d'><body/></message>"
    );
    let stanza = take(
        SERVER,
        "<message xmlns='jabber:server' from='a@b' to='c@d'/>",
        From::Keep,
        None,
    )
    .unwrap();
    assert_eq!(text(&stanza), "<message from='a@b' to='c@d'/>");
}

#[test]
fn stream_23_what_is_no_stanza() {
    for (header, body) in [
        (CLIENT, "<foo/>"),
        (CLIENT, "<message xmlns='u'/>"),
        (CLIENT, "<message xmlns=''/>"),
        (CLIENT, "<message xmlns='jabber:server'/>"),
        (SERVER, "<message xmlns='jabber:client'/>"),
        (CLIENT, "<e:message/>"),
        (SERVER, "<db:result/>"),
        (CLIENT, "<stream:features/>"),
    ] {
        assert_eq!(
            take(header, body, From::Keep, None),
            Err(StanzaSyntaxError::NotAStanza),
            "{body}"
        );
    }
}

#[test]
fn stream_25_stanza_13_prefixes_of_the_header_come_along() {
    check(
        "<message><e:x e:a='1'/></message>",
        "<message from='juliet@example.com/balcony' xmlns:e='urn:e&amp;f'><e:x e:a='1'/></message>",
    );
    check(
        "<message e:a='1'/>",
        "<message from='juliet@example.com/balcony' e:a='1' xmlns:e='urn:e&amp;f'/>",
    );
    check(
        "<message xmlns:e='v'><e:x/></message>",
        "<message from='juliet@example.com/balcony' xmlns:e='v'><e:x/></message>",
    );
    check(
        "<message><stream:x/></message>",
        "<message from='juliet@example.com/balcony' xmlns:stream='http://etherx.jabber.org/streams'><stream:x/></message>",
    );
}

#[test]
fn stream_18_language_of_the_stream() {
    let stanza = take(CLIENT, "<message/>", From::Stamp(&juliet()), Some("de")).unwrap();
    assert_eq!(
        text(&stanza),
        "<message from='juliet@example.com/balcony' xml:lang='de'/>"
    );
    assert_eq!(stanza.lang(), Some("de"));
    let stanza = take(
        CLIENT,
        "<message xml:lang='en'/>",
        From::Stamp(&juliet()),
        Some("de"),
    )
    .unwrap();
    assert_eq!(stanza.lang(), Some("en"));
    assert_eq!(
        text(&stanza),
        "<message from='juliet@example.com/balcony' xml:lang='en'/>"
    );
}

#[test]
fn unusual_but_legal_payloads_are_written_plainly() {
    check(
        "<message><body><![CDATA[a<b]]>\r\n&#x0000041;</body></message>",
        "<message from='juliet@example.com/balcony'><body>a&lt;b\nA</body></message>",
    );
    check(
        "<message><x xmlns='u'><c:message xmlns:c='jabber:client'/></x></message>",
        "<message from='juliet@example.com/balcony'><x xmlns='u'><message xmlns='jabber:client'/></x></message>",
    );
}

#[test]
fn attributes_are_understood() {
    let stanza = take(
        CLIENT,
        "<iq type='g&#x65;t' id='a&amp;b' to='a@b/c&amp;d'><q xmlns='u'/></iq>",
        From::Keep,
        None,
    );
    let stanza = stanza.unwrap();
    assert_eq!(
        (stanza.kind(), stanza.type_(), stanza.id()),
        (Kind::Iq, StanzaType::Get, Some("a&b"))
    );
    assert_eq!(stanza.to().map(Jid::as_str), Some("a@b/c&d"));
    assert_eq!(stanza.payload().unwrap().get_attr("id"), Some("a&b"));
    assert_eq!(stanza.with_to(&juliet()).id(), Some("a&b"));
    for (body, type_) in [
        ("<message/>", StanzaType::Normal),
        ("<message type='sarcastic'/>", StanzaType::Normal),
        ("<message type='groupchat'/>", StanzaType::Groupchat),
        ("<message type='error'/>", StanzaType::Error),
        ("<presence/>", StanzaType::Available),
        ("<presence type='probe'/>", StanzaType::Probe),
        ("<iq type='result' id='1'/>", StanzaType::Result),
    ] {
        assert_eq!(
            take(CLIENT, body, From::Keep, None).unwrap().type_(),
            type_,
            "{body}"
        );
    }
}

/// The condition, and the reply as text.
#[track_caller]
fn refused(body: &str, condition: Condition, reply: Option<&str>) {
    match take(CLIENT, body, From::Stamp(&juliet()), None) {
        Err(StanzaSyntaxError::Refused { error, reply: sent }) => {
            assert_eq!(error.condition, condition, "{body}");
            let sent = sent.map(|s| text(&s).to_owned());
            match reply {
                None => assert_eq!(sent, None, "{body}"),
                Some(start) => assert!(
                    sent.as_deref().is_some_and(|s| s.starts_with(start)),
                    "{body}: {sent:?}"
                ),
            }
        }
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn addr_07_malformed_addresses_are_answered() {
    refused(
        "<message to='a b@c' id='1'/>",
        Condition::JidMalformed,
        Some(
            "<message to='juliet@example.com/balcony' type='error' id='1'><error type='modify'><jid-malformed",
        ),
    );
    refused(
        "<message to='' type='error'/>",
        Condition::JidMalformed,
        None,
    );
    let error = take(SERVER, "<message from='@' to='a@b'/>", From::Keep, None);
    assert!(matches!(error, Err(StanzaSyntaxError::Refused { .. })));
}

#[test]
fn addr_08_addresses_in_payloads_stay_as_they_are() {
    let payload =
        "<x xmlns='jabber:x:conference' jid='Room@ROOMS.Example.COM./N'/><body>A@B.C</body>";
    check(
        &format!("<message to='Romeo@Example.NET'>{payload}</message>"),
        &format!(
            "<message from='juliet@example.com/balcony' to='romeo@example.net'>{payload}</message>"
        ),
    );
}

#[test]
fn stanza_06_iq_rules() {
    let to = "<iq from='a@b' to='juliet@example.com/balcony' type='error'";
    refused(
        "<iq type='get' to='a@b'><q xmlns='u'/></iq>",
        Condition::BadRequest,
        Some(&format!("{to} id=''>")),
    );
    refused(
        "<iq id='1' to='a@b'><q xmlns='u'/></iq>",
        Condition::BadRequest,
        Some(&format!("{to} id='1'>")),
    );
    refused(
        "<iq id='1' type='put'/>",
        Condition::BadRequest,
        Some("<iq to="),
    );
    refused(
        "<iq id='1' type='get'/>",
        Condition::BadRequest,
        Some("<iq to="),
    );
    refused(
        "<iq id='1' type='get'>text</iq>",
        Condition::BadRequest,
        Some("<iq to="),
    );
    refused(
        "<iq id='1' type='set'><a/>x<b/></iq>",
        Condition::BadRequest,
        Some("<iq to="),
    );
    refused(
        "<iq id='1' type='result'><a/><b/></iq>",
        Condition::BadRequest,
        None,
    );
    refused(
        "<presence type='busy'/>",
        Condition::BadRequest,
        Some("<presence to="),
    );
    for fine in [
        "<iq id='1' type='get'> <a><b/><c/></a> </iq>",
        "<iq id='1' type='result'/>",
        "<iq id='1' type='result'><a/></iq>",
        "<iq id='1' type='error'><a/><error type='cancel'/></iq>",
        "<iq id='' type='set'><a b='>' c='</iq>'.replace/></iq>"
            .replace("'</iq>'.replace", "'/'")
            .as_str(),
    ] {
        assert!(take(CLIENT, fine, From::Keep, None).is_ok(), "{fine}");
    }
}

#[test]
fn stanza_05_08_09_error_replies() {
    let stanza = take(
        CLIENT,
        "<message to='a@b' id='x&lt;'><body>s</body></message>",
        From::Stamp(&juliet()),
        None,
    );
    // The payload is not repeated (STANZA-09).
    let error = StanzaError::new(Condition::ServiceUnavailable).with_text("no <such> account");
    let reply = stanza.unwrap().error_reply(&error).unwrap();
    assert_eq!(
        text(&reply),
        "<message from='a@b' to='juliet@example.com/balcony' type='error' id='x&lt;'><error type='cancel'>\
         <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no &lt;such&gt; account</text></error></message>"
    );
    assert_eq!((reply.type_(), reply.id()), (StanzaType::Error, Some("x<")));
    assert_eq!(
        StanzaError::from_stanza(&reply.payload().unwrap()),
        Some(error)
    );
}

#[test]
fn stanza_07_errors_and_results_are_never_answered() {
    for body in [
        "<message type='error'/>",
        "<iq type='result' id='1'/>",
        "<iq type='error' id='1'/>",
    ] {
        let stanza = take(CLIENT, body, From::Keep, None).unwrap();
        assert_eq!(
            stanza.error_reply(&Condition::BadRequest.into()),
            None,
            "{body}"
        );
    }
}

#[test]
fn stanza_14_default_types() {
    for (condition, kind) in [
        (Condition::JidMalformed, ErrorType::Modify),
        (Condition::RemoteServerTimeout, ErrorType::Wait),
        (Condition::ServiceUnavailable, ErrorType::Cancel),
        (Condition::NotAuthorized, ErrorType::Auth),
    ] {
        assert_eq!(StanzaError::new(condition).kind, kind);
    }
    for condition in Condition::ALL {
        assert_eq!(Condition::from_name(condition.name()), Some(*condition));
    }
}

#[test]
fn stanza_15_alternatives() {
    let mut error = StanzaError::new(Condition::Gone).with_by(juliet());
    error.alternative = Some("xmpp:romeo@afterlife.example.net".to_owned());
    error.app = Some(Box::new(Element::new("too-bad", "urn:app")));
    let stanza = Element::new("message", ns::CLIENT)
        .attr("type", "error")
        .child(error.to_element());
    assert_eq!(StanzaError::from_stanza(&stanza), Some(error));
}

#[test]
fn iq_results() {
    let iq = take(
        CLIENT,
        "<iq type='get' id='1' to='b'><q xmlns='u'/></iq>",
        From::Stamp(&juliet()),
        None,
    )
    .unwrap();
    assert_eq!(
        text(&iq.iq_result(None)),
        "<iq from='b' to='juliet@example.com/balcony' type='result' id='1'/>"
    );
    let full = iq.iq_result(Some(Element::new("q", "u")));
    assert_eq!(full.first_child(), Some(("q", "u")));
    assert_eq!(full.type_(), StanzaType::Result);
}

#[test]
fn children_without_a_tree() {
    let body = "<message xmlns:p='u:p'>t<a x='>'><a/></a><![CDATA[<no/>]]><p:b/><q:c xmlns:q='u:q'/><d xmlns='u:d'></d></message>";
    let mut framer = Framer::new(Limits::default());
    framer.push(format!("{CLIENT}{}", body.replace("<![CDATA[<no/>]]>", "")).as_bytes());
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    let Ok(Some(Frame::Element(raw))) = framer.next() else {
        panic!()
    };
    let stanza = Stanza::from_raw(&raw, From::Keep, None).unwrap();
    let expected = [("a", ns::CLIENT), ("b", "u:p"), ("c", "u:q"), ("d", "u:d")];
    assert_eq!(stanza.children().collect::<Vec<_>>(), expected);
    assert!(stanza.has_child("d", "u:d") && !stanza.has_child("no", ns::CLIENT));
    assert_eq!(
        take(CLIENT, "<presence/>", From::Keep, None)
            .unwrap()
            .children()
            .count(),
        0
    );
    // With CDATA the stanza is written anew, as text.
    let stanza = take(CLIENT, body, From::Keep, None).unwrap();
    assert_eq!(stanza.children().collect::<Vec<_>>(), expected);
}

#[test]
fn rewriting_keeps_everything_else() {
    let stanza = take(
        CLIENT,
        "<message to='a@b' id='1' xml:lang='x'><body/></message>",
        From::Stamp(&juliet()),
        None,
    )
    .unwrap();
    let other = stanza
        .with_to(&Jid::parse("c@d/e").unwrap())
        .with_from(&Jid::parse("f").unwrap());
    assert_eq!(
        text(&other),
        "<message from='f' to='c@d/e' id='1' xml:lang='x'><body/></message>"
    );
    assert_eq!(
        (
            other.id(),
            other.lang(),
            other.has_child("body", ns::CLIENT)
        ),
        (Some("1"), Some("x"), true)
    );
    let delayed = stanza.with_child(&delay(&Jid::parse("example.com").unwrap(), Timestamp(0)));
    assert_eq!(
        text(&delayed),
        "<message from='juliet@example.com/balcony' to='a@b' id='1' xml:lang='x'><body/>\
         <delay xmlns='urn:xmpp:delay' from='example.com' stamp='1970-01-01T00:00:00Z'/></message>"
    );
    let presence = take(CLIENT, "<presence/>", From::Keep, None)
        .unwrap()
        .with_child(&Element::new("x", "u"));
    assert_eq!(text(&presence), "<presence><x xmlns='u'/></presence>");
}

#[test]
fn trees_become_stanzas() {
    let tree = Element::new("message", ns::SERVER)
        .attr("to", "A@b")
        .child(Element::new("body", ns::SERVER).text("x"));
    assert_eq!(
        text(&Stanza::from_element(&tree).unwrap()),
        "<message to='a@b'><body>x</body></message>"
    );
    assert_eq!(
        Stanza::from_element(&Element::new("x", ns::CLIENT)),
        Err(StanzaSyntaxError::NotAStanza)
    );
    assert!(Stanza::from_bytes(b"<message>").is_err());
    assert!(Stanza::from_bytes(b"\xff").is_err());
}

#[test]
fn debug_output_holds_no_body() {
    let stanza = take(
        CLIENT,
        "<message><body>secret</body></message>",
        From::Keep,
        None,
    )
    .unwrap();
    assert!(!format!("{stanza:?}").contains("secret"));
}
