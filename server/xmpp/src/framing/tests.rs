//! Framing and validation: recorded streams cut at every byte, the table of ill-formed input, limits.

use super::*;
use crate::ns;

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='example.com' version='1.0' xml:lang='en' \
                      xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const SERVER_HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                             xmlns:db='jabber:server:dialback' to='a.example' from='b.example' version='1.0'>";

/// What came out, as text: comparing it compares everything that matters.
fn run(input: &[u8], chunk: usize, limits: Limits) -> (Vec<String>, Option<FrameError>) {
    let mut framer = Framer::new(limits);
    let mut frames = Vec::new();
    let mut failed = None;
    'chunks: for part in input.chunks(chunk) {
        framer.push(part);
        loop {
            match framer.next() {
                Ok(Some(frame)) => frames.push(describe(&frame)),
                Ok(None) => break,
                Err(e) => {
                    failed = Some(e);
                    break 'chunks;
                }
            }
        }
    }
    if failed.is_none() {
        assert_eq!(framer.looked_at, input.len(), "each byte is looked at once");
    }
    (frames, failed)
}

fn describe(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Header(h) => format!("{h:?}"),
        Frame::Element(e) => format!(
            "{}{{{}}} {}",
            e.name(),
            e.ns(),
            e.to_element().to_xml("jabber:client")
        ),
        Frame::Close => "close".to_owned(),
    }
}

/// Frames of a whole input, after checking that no way of cutting it changes them.
#[track_caller]
fn frames(input: &str) -> (Vec<String>, Option<FrameError>) {
    let limits = Limits::default();
    let whole = run(input.as_bytes(), usize::MAX, limits);
    for chunk in 1..=input.len() {
        assert_eq!(
            run(input.as_bytes(), chunk, limits),
            whole,
            "in pieces of {chunk}"
        );
    }
    whole
}

/// The same for two pieces, cut at every byte.
#[track_caller]
fn cut_everywhere(input: &str) -> Vec<String> {
    let whole = run(input.as_bytes(), usize::MAX, Limits::default());
    assert_eq!(whole.1, None);
    for at in 0..=input.len() {
        let mut framer = Framer::new(Limits::default());
        let mut frames = Vec::new();
        for part in [&input.as_bytes()[..at], &input.as_bytes()[at..]] {
            framer.push(part);
            while let Some(frame) = framer.next().expect("well-formed") {
                frames.push(describe(&frame));
            }
            framer.shrink();
        }
        assert_eq!(frames, whole.0, "cut at {at}");
    }
    whole.0
}

const CLIENT_STREAM: &str = "<?xml version='1.0' encoding=\"UTF-8\" standalone='yes' ?>\n<stream:stream \
    to='b\u{fc}cher.example' version='1.0' xml:lang='en' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' >\n \
    <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth> \
    <message to='a@b' type=\"chat\" id='1>2'><body>Gr\u{fc}\u{df}e \u{1f600} &lt;&amp;&#x1F600;</body>\
    <![CDATA[<not/>]]></message>\t<presence/>\n<iq type='get' id='x'><query xmlns='jabber:iq:roster'/></iq>\
    <a><b><c/></b><b ></b ></a></stream:stream >\n";

const SERVER_STREAM: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
    xmlns:db='jabber:server:dialback' to='a.example' from='b.example' id='++TR84Sm6A3hnt3Q065SnAbbk3Y=' \
    version='1.0'><stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>\
    <db:result from='a.example' to='b.example'>1e701f120f66824b57303384e83b51feba858024fd2221d39f7acc52dcf767a9\
    </db:result><stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
    </stream:stream>";

#[test]
fn recorded_client_stream_in_any_pieces() {
    let (all, failed) = frames(CLIENT_STREAM);
    assert_eq!(failed, None);
    assert_eq!(all, cut_everywhere(CLIENT_STREAM));
    assert_eq!(all.len(), 7);
    assert!(
        all[0].contains("b\u{fc}cher.example") && all[0].contains("Some((1, 0))"),
        "{}",
        all[0]
    );
    assert!(all[2].starts_with("message{jabber:client}"));
    assert_eq!(all[6], "close");
}

#[test]
fn recorded_server_stream_in_any_pieces() {
    let (all, failed) = frames(SERVER_STREAM);
    assert_eq!(failed, None);
    assert_eq!(all, cut_everywhere(SERVER_STREAM));
    assert!(all[1].starts_with("features{http://etherx.jabber.org/streams}"));
    assert!(all[2].starts_with("result{jabber:server:dialback}"));
    assert!(all[3].starts_with("error{http://etherx.jabber.org/streams}"));
}

/// `body` as the first-level content of a client stream must fail like this, however it is cut.
#[track_caller]
fn refused(body: &str, condition: StreamCondition) {
    let (_, failed) = frames(&format!("{HEADER}{body}"));
    assert_eq!(failed.map(|e| e.condition()), Some(condition), "{body:?}");
}

#[track_caller]
fn accepted(body: &str) {
    let (all, failed) = frames(&format!("{HEADER}{body}"));
    assert_eq!((all.len(), failed), (2, None), "{body:?}");
}

#[test]
fn xml_01_restricted_xml() {
    for body in [
        "<!-- c -->",
        "<a><!-- c --></a>",
        "<?pi x?>",
        "<a><?pi x?></a>",
        "<?xml version='1.0'?>",
        "<a><?xml version='1.0'?></a>",
        "<!DOCTYPE a>",
        "<a><!DOCTYPE a></a>",
        "<a><!ENTITY x 'y'></a>",
        "<a>&nbsp;</a>",
        "<a b='&nbsp;'/>",
    ] {
        refused(body, StreamCondition::RestrictedXml);
    }
    for start in [
        "<!DOCTYPE stream>",
        "<!-- c -->",
        "<?pi?>",
        "<?xml-stylesheet x?>",
        "<?xml version='1.0'?><?pi?>",
    ] {
        assert_eq!(
            frames(start).1.map(|e| e.condition()),
            Some(StreamCondition::RestrictedXml),
            "{start}"
        );
    }
}

#[test]
fn xml_02_ill_formed_xml() {
    for body in [
        "text",
        "<a></b>",
        "<a></ab>",
        "<ab></a>",
        "<a></a b>",
        "<a></a b='1'>",
        "<a></ a>",
        "< a/>",
        "<>",
        "<1x/>",
        "<-x/>",
        "<.x/>",
        "<a b/>",
        "<a b=/>",
        "<a b=1/>",
        "<a b='1'c='2'/>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a / b='1'/>",
        "<a/ ></a>",
        "<a b='&'/>",
        "<a b='&lt'/>",
        "<a>&</a>",
        "<a>& lt;</a>",
        "<a>&lt</a>",
        "<a>&#;</a>",
        "<a>&#x;</a>",
        "<a>&#xg;</a>",
        "<a>&#12a;</a>",
        "<a>&#X41;</a>",
        "<a>&#0;</a>",
        "<a>&#8;</a>",
        "<a>&#xD800;</a>",
        "<a>&#xFFFE;</a>",
        "<a>&#x110000;</a>",
        "<a>&#99999999999999999999;</a>",
        "<a>]]></a>",
        "<a>x\u{0}</a>",
        "<a>\u{8}</a>",
        "<a>\u{1f}</a>",
        "<a b='\u{b}'/>",
        "<a>\u{fffe}</a>",
        "<a>\u{ffff}</a>",
        "<mes$age/>",
        "<a b$='1'/>",
        "<\u{d7}/>",
        "<![CDATA[x]]>",
        "<a><![CDAT[x]]></a>",
        "<a><![INCLUDE[x]]></a>",
        "<a><!x></a>",
        "<a><!></a>",
        "\u{feff}<a/>",
        "<a/>\u{feff}",
        "</stream>",
        "</stream:streams>",
        "</stream:stream x>",
        "</stream:stream><a/>",
    ] {
        refused(body, StreamCondition::NotWellFormed);
    }
}

#[test]
fn xml_03_ill_formed_namespaces() {
    for body in [
        "<p:a/>",
        "<a p:b='1'/>",
        "<a:b:c/>",
        "<:a/>",
        "<a:/>",
        "<a:1/>",
        "<a b:c:d='1'/>",
        "<a :b='1'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:='u'/>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
        "<a xmlns:p='http://www.w3.org/2000/xmlns&#x2f;'/>",
        "<xmlns:a/>",
        "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>",
        "<a xmlns:p='u&#x26;' xmlns:q='u&amp;' p:x='1' q:x='2'/>",
        "<a xmlns='u' xmlns='v'/>",
        "<a xmlns:p='u' xmlns:p='u'/>",
        "<a><b xmlns:p='u'/><p:c/></a>",
        "<p:a xmlns:p='u'></q:a>",
    ] {
        refused(body, StreamCondition::NotWellFormed);
    }
}

#[test]
fn what_is_legal_is_accepted() {
    for body in [
        "<a b='>' c=\"'\" d='\"'/>",
        "<a b = '1'\n\tc\r=\r'2' />",
        "<a>]] > ]]&gt;]></a>",
        "<a><![CDATA[]]]]><![CDATA[>]]></a>",
        "<a><![CDATA[<a>&nbsp;]]></a>",
        "<a>\u{feff}\u{7f}\u{85}</a>",
        "<a xml:lang='en' xml:space='preserve'/>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns=''><b/></a>",
        "<p:a xmlns:p='u' xmlns:q='u' p:x='1' x='2'><q:b/></p:a>",
        "<\u{e9}l\u{e9}ment \u{3b1}='1'/>",
        "<_a.b-c1/>",
        "<a>&#x10FFFF;&#9;&#xA;&#xd;&apos;&quot;</a>",
        "<a xmlns='u'><a xmlns='v'><a/></a></a>",
        "<stream:error/>",
    ] {
        accepted(body);
    }
}

#[test]
fn xml_05_only_utf_8() {
    for start in [
        &b"\xff\xfe<\0s\0"[..],
        b"\xfe\xff\0<",
        b"\0<\0s",
        b"<?xml version='1.0' encoding='latin1'?>",
    ] {
        assert_eq!(
            run(start, 1, Limits::default()).1,
            Some(FrameError::Encoding),
            "{start:?}"
        );
    }
    for bad in [
        &b"<a>\xff</a>"[..],
        b"<a>\xc3</a>",
        b"<a>\xed\xa0\x80</a>",
        b"<a>\xc0\x80</a>",
        b"<\xff/>",
    ] {
        let input = [HEADER.as_bytes(), bad].concat();
        assert_eq!(
            run(&input, 3, Limits::default()).1,
            Some(FrameError::Encoding),
            "{bad:?}"
        );
    }
}

#[test]
fn xml_06_a_mark_is_a_character_like_any_other() {
    let body = "<message><body>\u{feff}a\u{feff}</body></message>";
    let (got, failed) = frames(&format!("{HEADER}{body}"));
    assert_eq!(failed, None);
    assert!(got[1].contains("\u{feff}a\u{feff}"), "{got:?}");
    // Text before the document or between stanzas is not well-formed, and this is text.
    for input in [
        format!("\u{feff}{HEADER}"),
        format!("{HEADER}\u{feff}<presence/>"),
    ] {
        let error = frames(&input).1.map(|e| e.condition());
        assert_eq!(error, Some(StreamCondition::NotWellFormed), "{input}");
    }
}

#[test]
fn xml_07_white_space_between_stanzas() {
    let (with, failed) = frames(&format!(
        "{HEADER} \r\n<presence/>\t \n<presence/> </stream:stream>"
    ));
    assert_eq!(failed, None);
    assert_eq!(
        with,
        frames(&format!("{HEADER}<presence/><presence/></stream:stream>")).0
    );
}

#[test]
fn xml_declaration_is_checked() {
    let rest = &HEADER[HEADER.find("<stream").unwrap()..];
    for good in [
        "<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding='utf-8'?>",
        "<?xml version = '1.0' ?>",
        "",
    ] {
        assert_eq!(frames(&format!("{good}{rest}")).1, None, "{good}");
    }
    for bad in [
        "<?xml?>",
        "<?xml ?>",
        "<?xml version='1.1'?>",
        "<?xml version='1.0'encoding='utf-8'?>",
        "<?xml encoding='utf-8'?>",
        "<?xml encoding='utf-8' version='1.0'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?xml version='1.0' x='y'?>",
        "<?xml version='1.0>",
        "<?xml version='1.0' >",
    ] {
        assert_eq!(
            frames(&format!("{bad}{rest}")).1.map(|e| e.condition()),
            Some(StreamCondition::NotWellFormed),
            "{bad}"
        );
    }
    // White space before it makes it a forbidden processing instruction.
    assert_eq!(
        frames(&format!(" {HEADER}")).1.map(|e| e.condition()),
        Some(StreamCondition::RestrictedXml)
    );
    assert_eq!(frames(&format!("\n{rest}")).1, None);
}

#[test]
fn stream_20_root_element() {
    for (start, condition) in [
        (
            "<stream:stream xmlns:stream='http://etherx.jabber.org/stream'>",
            StreamCondition::InvalidNamespace,
        ),
        (
            "<stream xmlns='jabber:client'>",
            StreamCondition::InvalidNamespace,
        ),
        ("<stream>", StreamCondition::InvalidNamespace),
        (
            "<s:streams xmlns:s='http://etherx.jabber.org/streams'>",
            StreamCondition::BadFormat,
        ),
        ("<stream:stream>", StreamCondition::NotWellFormed),
        ("GET / HTTP/1.1\r\n", StreamCondition::NotWellFormed),
        ("</stream:stream>", StreamCondition::NotWellFormed),
    ] {
        assert_eq!(
            frames(start).1.map(|e| e.condition()),
            Some(condition),
            "{start}"
        );
    }
    let (all, failed) = frames(
        "<stream xmlns='http://etherx.jabber.org/streams'><message xmlns='jabber:client'/></stream>",
    );
    assert_eq!((all.len(), failed), (3, None));
    let (all, failed) = frames("<x:stream xmlns:x='http://etherx.jabber.org/streams'/>");
    assert_eq!((all.len(), failed), (2, None));
}

#[test]
fn stream_24_no_prefix_on_the_content_namespace() {
    refused(
        "<c:message xmlns:c='jabber:client'/>",
        StreamCondition::BadNamespacePrefix,
    );
    refused(
        "<c:message xmlns:c='jabber:server'/>",
        StreamCondition::BadNamespacePrefix,
    );
    accepted("<x xmlns='u'><c:message xmlns:c='jabber:client'/></x>");
}

#[test]
fn header_is_read() {
    let mut framer = Framer::new(Limits::default());
    framer.push(SERVER_HEADER.as_bytes());
    assert!(framer.header().is_none());
    let Ok(Some(Frame::Header(h))) = framer.next() else {
        panic!("a header")
    };
    assert_eq!(
        (h.to.as_deref(), h.from.as_deref(), h.id),
        (Some("a.example"), Some("b.example"), None)
    );
    assert_eq!(
        (h.version, h.content_ns.as_str(), h.dialback),
        (Some((1, 0)), "jabber:server", true)
    );
    assert_eq!(h.prefixes.len(), 2);
    assert!(framer.header().is_some());
    for (text, expected) in [
        ("1.0", Some((1, 0))),
        ("2.13", Some((2, 13))),
        ("01.00", Some((1, 0))),
        ("1", None),
        ("1.", None),
        ("+1.0", None),
        ("1.0.0", None),
        ("99999999999.0", None),
    ] {
        let mut framer = Framer::new(Limits::default());
        framer.push(
            SERVER_HEADER
                .replace("version='1.0'", &format!("version='{text}'"))
                .as_bytes(),
        );
        let Ok(Some(Frame::Header(h))) = framer.next() else {
            panic!("a header")
        };
        assert_eq!(h.version, expected, "{text}");
    }
}

#[test]
fn limits_hold_while_the_element_is_incomplete() {
    let limits = Limits {
        element_bytes: 400,
        depth: 3,
        attributes: 5,
    };
    let with = |body: &str, chunk| run(format!("{HEADER}{body}").as_bytes(), chunk, limits).1;
    for chunk in [1, 7, 10_000] {
        assert_eq!(
            with(&"x".repeat(401).replace('x', " "), chunk),
            None,
            "white space is not kept"
        );
        assert_eq!(
            with(&format!("<a>{}", "x".repeat(398)), chunk),
            Some(FrameError::TooLong)
        );
        assert_eq!(with(&format!("<a>{}</a>", "x".repeat(393)), chunk), None);
        assert_eq!(
            with(&format!("<a>{}</a>", "x".repeat(394)), chunk),
            Some(FrameError::TooLong)
        );
        assert_eq!(
            with(&format!("<a b='{}", "x".repeat(396)), chunk),
            Some(FrameError::TooLong)
        );
        assert_eq!(with("<a><b><c/></b></a>", chunk), None);
        assert_eq!(with("<a><b><c><d>", chunk), Some(FrameError::TooDeep));
        assert_eq!(
            with("<a><b><c><d/></c></b></a>", chunk),
            Some(FrameError::TooDeep)
        );
        assert_eq!(with("<a b='' c='' d='' e='' f=''/>", chunk), None);
        assert_eq!(
            with("<a b='' c='' d='' e='' f='' g=''/>", chunk),
            Some(FrameError::TooManyAttributes)
        );
    }
    let too_long = FrameError::TooLong.stream_error();
    assert_eq!(too_long.condition, StreamCondition::PolicyViolation);
    assert_eq!(too_long.app.expect("XEP-0205 4.5").name(), "stanza-too-big");
    assert_eq!(FrameError::TooDeep.stream_error().app, None);
}

#[test]
fn an_error_is_final_and_frees_the_buffer() {
    let mut framer = Framer::new(Limits::default());
    framer.push(b"<!DOCTYPE x>");
    let error = framer.next().err();
    assert!(error.is_some());
    framer.push(HEADER.as_bytes());
    assert_eq!(framer.next().err(), error);

    let mut framer = Framer::new(Limits::default());
    framer.push(format!("{HEADER}<a><b></a></a><c/>").as_bytes());
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    let error = framer.next().err();
    assert!(error.is_some());
    assert_eq!(
        framer.buffered(),
        0,
        "what comes behind a bad element is not kept"
    );
    assert_eq!(framer.next().err(), error);
}

#[test]
fn bytes_before_tls_are_seen_and_dropped() {
    let mut framer = Framer::new(Limits::default());
    framer.push(
        format!("{HEADER}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><presence/>")
            .as_bytes(),
    );
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    assert!(matches!(framer.next(), Ok(Some(Frame::Element(e))) if e.is("starttls", ns::TLS)));
    assert_eq!(framer.buffered(), "<presence/>".len());
    framer.reset();
    assert_eq!(framer.buffered(), 0);
    framer.push(HEADER.as_bytes());
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
}

#[test]
fn after_sasl_the_next_document_may_already_be_there() {
    let mut framer = Framer::new(Limits::default());
    framer.push(
        format!("{HEADER}<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>{HEADER}").as_bytes(),
    );
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    assert!(matches!(framer.next(), Ok(Some(Frame::Element(_)))));
    framer.restart();
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    assert!(matches!(framer.next(), Ok(None)));
}

#[test]
fn xml_07_white_space_behind_a_document_is_not_the_next_one_s() {
    for (between, good) in [
        ("", true),
        ("\n", true),
        (" \r\n\t", true),
        ("\nx", false),
        ("\n<?pi?>", false),
    ] {
        let mut framer = Framer::new(Limits::default());
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
        framer.push(format!("{HEADER}{auth}{between}").as_bytes());
        assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
        assert!(matches!(framer.next(), Ok(Some(Frame::Element(_)))));
        framer.restart();
        framer.push(HEADER.as_bytes());
        let header = matches!(framer.next(), Ok(Some(Frame::Header(_))));
        assert_eq!(header, good, "{between:?}");
    }
    // There is no former document: white space is in the way of a declaration.
    let mut framer = Framer::new(Limits::default());
    framer.push(format!("\n{HEADER}").as_bytes());
    assert!(framer.next().is_err());
}

#[test]
fn raw_elements_can_be_asked() {
    let mut framer = Framer::new(Limits::default());
    framer.push(
        format!("{HEADER}<db:x xmlns:db='u' a='&lt;\n1' b=\"2\">te&amp;xt</db:x>").as_bytes(),
    );
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    let Ok(Some(Frame::Element(e))) = framer.next() else {
        panic!("an element")
    };
    assert_eq!((e.name(), e.prefix(), e.ns()), ("x", Some("db"), "u"));
    assert_eq!(
        (e.attr("a").as_deref(), e.attr("b").as_deref(), e.attr("c")),
        (Some("< 1"), Some("2"), None)
    );
    assert_eq!(e.simple_text().as_deref(), Some("te&xt"));
}
