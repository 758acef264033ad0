//! The fuzz bodies on stable Rust: generated near-XML, mutated recorded stanzas, and a seed corpus.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use proptest::prelude::*;

/// Stanzas as clients and servers send them.
const RECORDED: &[&str] = &[
    "<message to='romeo@example.net' type='chat' id='a1' xml:lang='en'><body>Art thou not Romeo?</body>\
     <active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    "<presence><show>xa</show><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://x.example' \
     ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>",
    "<iq type='set' id='x&amp;y'><query xmlns='jabber:iq:roster'><item jid='a@b' name='&#x41;&lt;'><group>G</group>\
     </item></query></iq>",
    "<message><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@b'><body>\u{e9}\u{1f600}\
     </body></message></forwarded></message>",
    "<h:x h:a='1' xmlns:p='urn:p' p:b=\"it's\"><p:y/><z xmlns=''>]]&gt;</z></h:x>",
    "<message><body><![CDATA[<not/>]]>&apos;</body></message>",
];

/// Pieces of which nearly everything is well-formed once in a while.
const PIECES: &[&str] = &[
    "<a",
    "<b",
    "<message",
    "<p:a",
    "<h:b",
    "<iq",
    "</a>",
    "</b>",
    "</message>",
    "</p:a>",
    ">",
    "/>",
    " ",
    "\n",
    "\t",
    " a='",
    " b=\"",
    " p:a='",
    " h:a='",
    " xmlns='",
    " xmlns:p='",
    " xmlns:q='",
    " xml:lang='",
    "'",
    "\"",
    "=",
    "urn:p",
    "jabber:client",
    "http://www.w3.org/XML/1998/namespace",
    "x",
    "1",
    ".",
    "-",
    ":",
    "&lt;",
    "&amp;",
    "&#65;",
    "&#x1;",
    "&nbsp;",
    "&",
    ";",
    "<![CDATA[",
    "]]>",
    "]]",
    "<!--",
    "-->",
    "<?",
    "?>",
    "<!DOCTYPE",
    "\u{e9}",
    "\u{b7}",
    "\u{d7}",
    "\u{1f600}",
    "\u{0}",
    "\u{1}",
    "\u{7f}",
    "\u{fffe}",
    "<",
    "</",
    "<stream:x/>",
    "type='get'",
    " id='1'",
];

fn near_xml() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 1..24).prop_map(|pieces| pieces.concat())
}

/// Well-formed more often than not: an element with attributes and content.
fn shaped_xml() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&["a", "b", "message", "h:x", "p:y", "iq"][..]);
    let attribute = (
        prop::sample::select(&["a", "b", "h:a", "p:a", "xmlns", "xmlns:p", "id", "type"][..]),
        value(),
    )
        .prop_map(|(name, value)| format!(" {name}='{value}'"));
    let attributes = prop::collection::vec(attribute, 0..4).prop_map(|a| a.concat());
    let leaf = (name, attributes)
        .prop_map(|(name, attributes)| (name.to_owned(), attributes, String::new()));
    leaf.prop_recursive(4, 16, 4, move |inner| {
        let content = prop_oneof![inner.prop_map(written), value()];
        let name = prop::sample::select(&["a", "message", "p:y"][..]);
        let declared =
            prop::sample::select(&["", " xmlns:p='urn:p'", " xmlns='urn:d'", " xmlns=''"][..]);
        (name, declared, prop::collection::vec(content, 0..4)).prop_map(
            |(name, declared, content)| (name.to_owned(), declared.to_owned(), content.concat()),
        )
    })
    .prop_map(written)
}

fn value() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(
        &[
            "x", "urn:p", "urn:d", "", " ", "\n", "\t", "&lt;", "&#x26;", "&#9;", ">", "\"",
            "\u{e9}", "]]", "a@b/c",
        ][..],
    );
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn written((name, attributes, content): (String, String, String)) -> String {
    if content.is_empty() {
        format!("<{name}{attributes}/>")
    } else {
        format!("<{name}{attributes}>{content}</{name}>")
    }
}

/// A recorded stanza with a few bytes changed, dropped or doubled.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        0..4_u8,
        any::<u8>(),
        prop::sample::select(PIECES),
    );
    (
        prop::sample::select(RECORDED),
        prop::collection::vec(edit, 1..4),
    )
        .prop_map(|(text, edits)| {
            let mut bytes = text.as_bytes().to_vec();
            for (at, how, byte, piece) in edits {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    2 => drop(bytes.splice(at..at, piece.bytes())),
                    _ => {
                        let end = (at + usize::from(byte % 16)).min(bytes.len());
                        let copy = bytes[at..end].to_vec();
                        bytes.splice(at..at, copy);
                    }
                }
            }
            bytes
        })
}

#[test]
fn recorded_stanzas() {
    for text in RECORDED {
        bodies::element(text.as_bytes());
        bodies::framing(format!("{}{text}</stream:stream>", bodies::HEADER).as_bytes());
    }
}

/// 3,000, or PROPTEST_CASES for a long run.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(3000),
        ..config
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn near_xml_agrees_with_rxml(text in near_xml()) {
        bodies::element(text.as_bytes());
        bodies::framing(format!("{}{text}", bodies::HEADER).as_bytes());
    }

    #[test]
    fn shaped_xml_agrees_with_rxml(text in shaped_xml()) {
        bodies::element(text.as_bytes());
    }

    #[test]
    fn mutated_stanzas_agree_with_rxml(bytes in mutated()) {
        bodies::element(&bytes);
        bodies::framing(&[bodies::HEADER.as_bytes(), &bytes].concat());
    }

    #[test]
    fn addresses(text in "\\PC{0,12}(@|/|\\.)?\\PC{0,12}(@|/|\\.)?\\PC{0,12}") {
        bodies::jid(text.as_bytes());
    }

    #[test]
    fn sasl_messages(
        choice in any::<u8>(),
        text in "(n|y|p=tls-exporter),(a=a@example.com)?,n=[a-z=,]{0,4},r=[a-z]{0,3}\n\
                 c=[A-Za-z+/=]{0,8},r=[a-z]{0,9},p=[A-Za-z+/=]{0,28}",
    ) {
        let mut data = vec![choice];
        data.extend_from_slice(text.as_bytes());
        bodies::sasl(&data);
    }
}
