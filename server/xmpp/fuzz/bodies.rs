//! What the fuzz targets check, as plain functions.
//!
//! Why here: the coverage-guided targets beside this file and the stable tests in `server/xmpp/tests/hostile_input.rs` run the same
//! bodies, so that a build without cargo-fuzz still exercises them. Each body panics when a property is broken.

use rxml::{Parse, Parser};
use xmpp::element::{Element, Node};
use xmpp::framing::{Frame, FrameError, Framer, Limits};
use xmpp::jid::{DomainName, Jid};
use xmpp::sasl::{self, ChannelBindings, Context, Exchange, Hash, Mechanism, ScramVerifier, Step};
use xmpp::stanza::{From, Kind, Stanza};

/// The stream every element is tried in.
pub(crate) const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                          xmlns:h='urn:header'>";

const LIMITS: Limits = Limits {
    element_bytes: 4096,
    depth: 16,
    attributes: 16,
};

/// Any bytes, in any pieces: no panic, the same frames, nothing kept beyond the limit.
pub(crate) fn framing(data: &[u8]) {
    let whole = frames(data, data.len().max(1));
    let chunk = usize::from(data.first().copied().unwrap_or(0) % 7) + 1;
    assert_eq!(frames(data, chunk), whole, "in pieces of {chunk}");
}

fn frames(data: &[u8], chunk: usize) -> (Vec<String>, Option<FrameError>) {
    let mut framer = Framer::new(LIMITS);
    let mut seen = Vec::new();
    for part in data.chunks(chunk) {
        framer.push(part);
        loop {
            match framer.next() {
                Ok(Some(Frame::Header(header))) => seen.push(format!("{header:?}")),
                Ok(Some(Frame::Element(raw))) => seen.push(raw.as_str().to_owned()),
                Ok(Some(Frame::Close)) => seen.push("close".to_owned()),
                Ok(None) => break,
                Err(e) => return (seen, Some(e)),
            }
        }
        assert!(
            framer.buffered() <= LIMITS.element_bytes,
            "kept {} bytes",
            framer.buffered()
        );
    }
    (seen, None)
}

/// One element inside a stream: our verdict and tree against rxml's. Then, if it is a stanza, that rewriting keeps it.
pub(crate) fn element(data: &[u8]) {
    let ours = ours(data);
    if let Ok(text) = std::str::from_utf8(data)
        && !rxml_differs(text)
    {
        match (&ours, rxml(text)) {
            (Ours::Accepted(tree), Some(theirs)) => assert_eq!(dump(tree), theirs, "{text}"),
            (Ours::Refused(_), None) | (Ours::OwnRule, _) => {}
            (Ours::Accepted(_), None) => panic!("only we accept {text:?}"),
            // The first level of a stream holds elements only, which a document's root need not.
            (Ours::Refused(FrameError::NotWellFormed("text at the first level")), Some(_)) => {}
            (Ours::Refused(FrameError::NotWellFormed("bad markup")), Some(_))
                if text.contains("<![CDATA[") => {}
            (Ours::Refused(e), Some(_)) => panic!("only rxml accepts {text:?}: {e}"),
        }
    }
}

enum Ours {
    Accepted(Element),
    Refused(FrameError),
    /// Refused, or not exactly one element, for reasons that are ours alone.
    OwnRule,
}

fn ours(data: &[u8]) -> Ours {
    let mut framer = Framer::new(LIMITS);
    framer.push(HEADER.as_bytes());
    framer.push(data);
    framer.push(b"</stream:stream>");
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    let tree = match framer.next() {
        Ok(Some(Frame::Element(raw))) => {
            stanza(&raw);
            raw.to_element()
        }
        Err(e @ (FrameError::NotWellFormed(_) | FrameError::Restricted(_))) => {
            return Ours::Refused(e);
        }
        Err(_) => return Ours::OwnRule,
        // Nothing but white space, or an element that is not complete, or our end tag came early.
        Ok(_) => return Ours::OwnRule,
    };
    match framer.next() {
        Ok(Some(Frame::Close)) => Ours::Accepted(tree),
        _ => Ours::OwnRule,
    }
}

/// What is taken in as a stanza is read back the same, and its tree is the tree that was sent.
fn stanza(raw: &xmpp::framing::RawElement<'_>) {
    let me = Jid::parse("juliet@example.com/balcony").expect("an address");
    let Ok(stanza) = Stanza::from_raw(raw, From::Stamp(&me), Some("en")) else {
        return;
    };
    let again = Stanza::from_bytes(stanza.bytes()).expect("our own bytes");
    assert_eq!(again, stanza);
    let (mut sent, mut kept) = (raw.to_element(), stanza.payload().expect("a tree"));
    // Only what the server itself rewrites may differ.
    for tree in [&mut sent, &mut kept] {
        for name in ["from", "to", "xml:lang"] {
            tree.remove_attr(name);
        }
    }
    assert_eq!(dump(&kept), dump(&sent), "{}", raw.as_str());
    assert_eq!(
        stanza
            .children()
            .map(|(name, _)| name.to_owned())
            .collect::<Vec<_>>(),
        sent.children()
            .map(|e| e.name().to_owned())
            .collect::<Vec<_>>()
    );
    let mut moved = stanza.with_from(&me.bare().into()).with_to(&me);
    if moved.kind() != Kind::Iq {
        moved = moved.with_child(&Element::new("x", "urn:x"));
    }
    let moved = Stanza::from_bytes(moved.bytes()).expect("our own bytes");
    assert_eq!((moved.id(), moved.to()), (stanza.id(), Some(&me)));
}

/// Names, namespaces, attributes in a fixed order, text: everything that counts and nothing else.
fn dump(tree: &Element) -> String {
    let mut out = String::new();
    dump_into(&mut out, tree);
    out
}

fn dump_into(out: &mut String, tree: &Element) {
    let mut attributes: Vec<_> = tree
        .attributes()
        .iter()
        .map(|a| {
            (
                a.ns.clone().unwrap_or_default(),
                a.name.clone(),
                a.value.clone(),
            )
        })
        .collect();
    attributes.sort();
    out.push_str(&format!("<{}|{} {attributes:?}>", tree.ns(), tree.name()));
    for node in tree.nodes() {
        match node {
            Node::Element(child) => dump_into(out, child),
            Node::Text(text) => out.push_str(&format!("{text:?}")),
        }
    }
    out.push_str("</>");
}

/// The same dump by rxml; `None` when it refuses.
fn rxml(text: &str) -> Option<String> {
    let document = format!("{HEADER}{text}</stream:stream>");
    let mut bytes = document.as_bytes();
    let mut parser = Parser::new();
    let (mut out, mut depth, mut pending) = (String::new(), 0, String::new());
    let flush = |out: &mut String, pending: &mut String| {
        if !pending.is_empty() {
            out.push_str(&format!("{pending:?}"));
            pending.clear();
        }
    };
    loop {
        match parser.parse(&mut bytes, true) {
            Ok(Some(rxml::Event::XmlDeclaration(..))) => {}
            Ok(Some(rxml::Event::StartElement(_, (ns, name), attributes))) => {
                flush(&mut out, &mut pending);
                depth += 1;
                if depth > 1 {
                    let mut attributes: Vec<_> = attributes
                        .iter()
                        .map(|((ns, name), value)| {
                            (ns.to_string(), name.to_string(), value.to_string())
                        })
                        .collect();
                    attributes.sort();
                    out.push_str(&format!("<{ns}|{name} {attributes:?}>"));
                }
            }
            Ok(Some(rxml::Event::EndElement(_))) => {
                flush(&mut out, &mut pending);
                depth -= 1;
                if depth > 0 {
                    out.push_str("</>");
                }
            }
            Ok(Some(rxml::Event::Text(_, text))) => {
                if depth > 1 {
                    pending.push_str(&text);
                }
            }
            Ok(None) => return Some(out),
            Err(_) => return None,
        }
    }
}

/// rxml 0.14 differs from XML 1.0 here, or sees a document where we see a stream.
fn rxml_differs(text: &str) -> bool {
    let long_reference = text
        .split('&')
        .skip(1)
        .any(|r| r.find(';').is_some_and(|end| end > 6));
    let doubled_declaration = text.split('<').any(|tag| {
        tag.split("xmlns")
            .skip(1)
            .filter(|rest| !rest.starts_with(':'))
            .count()
            > 1
    });
    long_reference
        || doubled_declaration
        // Names may hold U+FDF0 to U+FFFD (XML 1.0 2.3); its table ends before them.
        || text.contains(|c| ('\u{fdf0}'..='\u{fffd}').contains(&c))
        || text.contains('\r')
        || text.contains("</stream:stream")
}

/// Any text as an address: what is accepted is its own canonical form.
pub(crate) fn jid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(jid) = Jid::parse(text) else { return };
    assert_eq!(Jid::parse(jid.as_str()).as_ref(), Ok(&jid), "{text:?}");
    let domain = jid.domain_name();
    let ascii = domain.to_ascii();
    assert!(ascii.is_ascii(), "{text:?}");
    assert_eq!(DomainName::parse(&ascii).as_ref(), Ok(&domain), "{text:?}");
    assert!(jid.local().is_none_or(|l| !l.is_empty() && l.len() <= 1023));
    assert!(
        jid.resource()
            .is_none_or(|r| !r.is_empty() && r.len() <= 1023)
    );
}

/// Any client messages: no panic, and no success without the password.
pub(crate) fn sasl(data: &[u8]) {
    let (choice, rest) = data
        .split_first()
        .map_or((0, data), |(first, rest)| (*first, rest));
    let mechanism = Mechanism::PREFERENCE[usize::from(choice) % Mechanism::PREFERENCE.len()];
    let mut messages = rest.split(|b| *b == b'\n').map(<[u8]>::to_vec);
    let context = Context {
        nonce: "server".to_owned(),
        channel_bindings: ChannelBindings {
            exporter: Some([1; 32]),
            end_point: Some(vec![2; 32]),
        },
        plus_offered: choice & 0x80 != 0,
        domain: DomainName::parse("example.com").expect("a domain"),
        fake_secret: b"secret".to_vec(),
        external: Vec::new(),
        advertised: None,
    };
    let (mut exchange, mut step) = Exchange::start(mechanism, messages.next(), context);
    for _ in 0..4 {
        step = match step {
            Step::Challenge(_) => match messages.next() {
                Some(message) => exchange.respond(message),
                None => return,
            },
            // One iteration, or a run would spend its time hashing; of a password that no input spells.
            Step::NeedVerifier { hash, .. } => exchange.supply(Some(
                ScramVerifier::derive(
                    hash.unwrap_or(Hash::Sha1),
                    "correct horse battery staple",
                    b"salt",
                    1,
                )
                .expect("a password"),
            )),
            Step::Success { .. } => panic!("success without the password: {data:?}"),
            Step::Failure(_) => return,
        };
    }
    if let Ok(text) = std::str::from_utf8(rest)
        && let Ok(Some(decoded)) = sasl::decode(text)
    {
        assert_eq!(sasl::encode(&decoded), text, "base64 has one spelling");
    }
}
