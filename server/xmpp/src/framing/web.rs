//! The framing of the web, put into words of a stream and back: WebSocket messages (RFC 7395) and the children of BOSH
//! bodies (XEP-0206).
//!
//! Why here: machines, framer and pump know one kind of stream only, so what a browser says becomes the bytes that a client
//! over TCP would have written, and what is written to the stream is cut into elements that can each be parsed alone
//! (WS-03, WS-06). Refuses: judging. What is wrong here in a way that the framer would not see is told as [`FrameError`].

use std::ops::Range;

use super::declaration::xml_declaration;
use super::tag::{Attributes, Children, StartTag, element_end, escape_into};
use super::{FrameError, Limits, with_element};
use crate::ns;

/// What an element of the web became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An opening tag, for this domain.
    Opening {
        /// `to` as written.
        to: Option<String>,
    },
    /// A closing tag.
    Closing,
    /// A first-level element.
    Element,
}

/// Appends a WebSocket message to a stream: `<open/>` as opening tag, `<close/>` as closing tag, everything else as the
/// element it is (WS-03, WS-05, WS-07).
///
/// # Errors
/// It is not one element that begins with `<`, or framing of another namespace. An XML declaration is tolerated (WS-04).
pub fn from_message(message: &str, limits: Limits, out: &mut Vec<u8>) -> Result<Said, FrameError> {
    let mut text = message;
    if text.starts_with("<?") {
        let end = text
            .find("?>")
            .ok_or(FrameError::Restricted("processing instruction"))?;
        xml_declaration(&text.as_bytes()[..end + 2])?;
        text = text[end + 2..].trim_start();
    }
    let range = whole(text, 0)?;
    if !text[range.end..].trim().is_empty() {
        return Err(FrameError::NotWellFormed(
            "more than one element in a message",
        ));
    }
    let text = &text[range];
    match local_name(text) {
        name @ ("open" | "close") => framing(text, name == "open", limits, out),
        _ => {
            element(text, out);
            Ok(Said::Element)
        }
    }
}

fn framing(text: &str, opens: bool, limits: Limits, out: &mut Vec<u8>) -> Result<Said, FrameError> {
    with_element(text, "", limits, |raw| {
        if raw.ns() != ns::FRAMING {
            return Err(FrameError::RootNamespace);
        }
        if !opens {
            out.extend_from_slice(crate::stream::CLOSE);
            return Ok(Said::Closing);
        }
        let attributes = ["to", "from", "id", "version", "xml:lang"];
        opening(
            attributes.map(|name| (name, raw.attr(name).map(|value| value.into_owned()))),
            out,
        );
        Ok(Said::Opening {
            to: raw.attr("to").map(|to| to.into_owned()),
        })
    })?
}

/// Appends the opening tag of a client stream with these attributes.
pub fn opening<const N: usize>(attributes: [(&str, Option<String>); N], out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'",
    );
    for (name, value) in attributes {
        if let Some(value) = value {
            attribute(name, &value, out);
        }
    }
    out.push(b'>');
}

/// Appends ` name='value'`.
pub fn attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_into(out, value);
    out.push(b'\'');
}

/// The element that begins at `at`. What is ill-formed inside is found by the framer; here only its end is looked for.
fn whole(text: &str, at: usize) -> Result<Range<usize>, FrameError> {
    let bytes = text.as_bytes();
    match bytes.get(at..at + 2) {
        Some([b'<', b'!']) => return Err(FrameError::Restricted("comment, DTD or CDATA")),
        Some([b'<', b'?']) => return Err(FrameError::Restricted("processing instruction")),
        Some([b'<', b'/']) => return Err(FrameError::NotWellFormed("an end tag alone")),
        Some([b'<', _]) => {}
        _ => return Err(FrameError::NotWellFormed("no element")),
    }
    let incomplete = FrameError::NotWellFormed("an element that does not end");
    let tag = StartTag::read(text, at).ok_or(incomplete)?;
    let end = if tag.empty {
        tag.end
    } else {
        element_end(bytes, tag.end).ok_or(incomplete)?
    };
    Ok(at..end)
}

fn local_name(text: &str) -> &str {
    let name = StartTag::read(text, 0).map_or("", |tag| tag.name);
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Appends an element as it would stand in a stream over TCP, where `jabber:client` is declared already: what says it once
/// more would be forwarded the slow way.
fn element(text: &str, out: &mut Vec<u8>) {
    let declared = StartTag::read(text, 0).and_then(|tag| {
        let (_, value) = Attributes::new(tag.inside).find(|(name, _)| *name == "xmlns")?;
        let at = value.as_ptr() as usize - text.as_ptr() as usize;
        (value == ns::CLIENT && text[..at - 1].ends_with("xmlns=")).then_some(at)
    });
    match declared {
        Some(at) => {
            out.extend_from_slice(text[..at - "xmlns='".len()].trim_end().as_bytes());
            out.extend_from_slice(&text.as_bytes()[at + ns::CLIENT.len() + 1..]);
        }
        None => out.extend_from_slice(text.as_bytes()),
    }
}

/// The body of a BOSH request (XEP-0124 6): validated, its children still bytes.
#[derive(Debug)]
pub struct Body<'a> {
    text: &'a str,
    attributes: Vec<(String, String)>,
    content: usize,
}

impl<'a> Body<'a> {
    /// Reads a request (WS-21).
    ///
    /// # Errors
    /// It is no `<body/>` of XEP-0124, is ill-formed, too large, or holds what XML streams may not (WS-22).
    pub fn read(text: &'a str, limits: Limits) -> Result<Self, FrameError> {
        let limits = Limits {
            depth: limits.depth + 1,
            ..limits
        };
        let text = text.trim();
        let (ours, attributes) = with_element(text, "", limits, |raw| {
            let attributes = raw
                .attributes()
                .map(|a| (a.name().to_owned(), a.value().into_owned()))
                .collect();
            (raw.is("body", ns::HTTP_BIND), attributes)
        })?;
        if !ours {
            return Err(FrameError::RootNamespace);
        }
        let content = match StartTag::read(text, 0) {
            Some(tag) if !tag.empty => tag.end,
            _ => text.len(),
        };
        Ok(Self {
            text,
            attributes,
            content,
        })
    }

    /// An attribute, by its name as written.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        Some(&attributes.find(|(own, _)| own == name)?.1)
    }

    /// An attribute of a namespace, under whichever prefix the body declares for it.
    pub fn attribute_in(&self, namespace: &str, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .filter(|(_, value)| value == namespace)
            .filter_map(|(declared, _)| declared.strip_prefix("xmlns:"))
            .find_map(|prefix| self.attribute(&format!("{prefix}:{name}")))
    }

    /// Appends the children to a stream, in order; how many there were.
    pub fn children(&self, out: &mut Vec<u8>) -> usize {
        let mut children = Children::new(self.text, self.content);
        let mut count = 0;
        while let Some((_, range)) = children.next_whole() {
            element(&self.text[range], out);
            count += 1;
        }
        count
    }
}

/// A piece of a stream that we write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The opening tag: its attributes other than declarations, escaped and ready to stand in another tag.
    Opening(String),
    /// A first-level element that can be parsed alone.
    Element(String),
    /// The closing tag.
    Closing,
    /// White space between elements: a sign of life (WS-13).
    Space,
}

/// Cuts what is written to a stream into pieces. It trusts what it cuts: we wrote it.
#[derive(Debug, Default)]
pub struct Cutter {
    buffer: Vec<u8>,
}

impl Cutter {
    /// Appends bytes of the stream; they may end anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the pieces that are complete.
    pub fn pieces(&mut self) -> Vec<Piece> {
        let buffer = std::mem::take(&mut self.buffer);
        let valid = match std::str::from_utf8(&buffer) {
            Ok(text) => text,
            Err(cut) => std::str::from_utf8(&buffer[..cut.valid_up_to()]).unwrap_or_default(),
        };
        let (mut pieces, mut rest) = (Vec::new(), valid);
        while let Some((piece, used)) = first_piece(rest) {
            pieces.extend(piece);
            rest = &rest[used..];
        }
        self.buffer = buffer[valid.len() - rest.len()..].to_vec();
        pieces
    }
}

/// The first piece and its length; `None` while it is incomplete.
fn first_piece(text: &str) -> Option<(Option<Piece>, usize)> {
    let spaces = text.len() - text.trim_start().len();
    if spaces > 0 {
        return Some((Some(Piece::Space), spaces));
    }
    if text.starts_with("<?") {
        return Some((None, text.find("?>")? + 2));
    }
    if text.starts_with("</") {
        return Some((Some(Piece::Closing), text.find('>')? + 1));
    }
    let tag = StartTag::read(text, 0)?;
    if tag.name == "stream:stream" {
        let mut attributes = Vec::new();
        for (name, value) in Attributes::new(tag.inside) {
            if !name.starts_with("xmlns") {
                attributes.extend_from_slice(format!(" {name}='{value}'").as_bytes());
            }
        }
        let attributes = String::from_utf8(attributes).unwrap_or_default();
        return Some((Some(Piece::Opening(attributes)), tag.end));
    }
    let end = match tag.empty {
        true => tag.end,
        false => element_end(text.as_bytes(), tag.end)?,
    };
    Some((Some(Piece::Element(alone(&text[..end], &tag))), end))
}

/// An element with the declarations that it had from the stream's opening tag.
fn alone(text: &str, tag: &StartTag<'_>) -> String {
    let declares = |wanted: &str| Attributes::new(tag.inside).any(|(name, _)| name == wanted);
    let mut out = String::with_capacity(text.len() + 64);
    let (name, rest) = text.split_at(1 + tag.name.len());
    out.push_str(name);
    if !tag.name.contains(':') && !declares("xmlns") {
        out.push_str(" xmlns='jabber:client'");
    }
    if tag.name.starts_with("stream:") && !declares("xmlns:stream") {
        out.push_str(" xmlns:stream='http://etherx.jabber.org/streams'");
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Result<String, FrameError> {
        let mut out = Vec::new();
        from_message(text, Limits::default(), &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn ws_05_07_open_and_close_become_tags() {
        assert_eq!(
            message("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='one.example' version='1.0' xml:lang='en'/>"),
            Ok("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                to='one.example' version='1.0' xml:lang='en'>"
                .into())
        );
        assert_eq!(
            message("<f:close xmlns:f='urn:ietf:params:xml:ns:xmpp-framing'></f:close>"),
            Ok("</stream:stream>".into())
        );
        for wrong in ["<open to='one.example'/>", "<close xmlns='jabber:client'/>"] {
            assert_eq!(message(wrong), Err(FrameError::RootNamespace), "{wrong}");
        }
    }

    #[test]
    fn ws_03_one_element_a_message() {
        for (text, became) in [
            (
                "<message xmlns='jabber:client'><body/></message>",
                "<message><body/></message>",
            ),
            ("<iq to='a' xmlns=\"jabber:client\" />", "<iq to='a' />"),
            (
                "<message to=' xmlns=\"jabber:client\"'/>",
                "<message to=' xmlns=\"jabber:client\"'/>",
            ),
            ("<r xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>"),
            ("<?xml version='1.0'?><presence/>", "<presence/>"),
            ("<a><![CDATA[</a>]]></a>\n", "<a><![CDATA[</a>]]></a>"),
        ] {
            assert_eq!(message(text), Ok(became.into()), "{text}");
        }
        for text in [
            "",
            " ",
            "hello",
            " <a/>",
            "<a/><b/>",
            "<a>",
            "</stream:stream>",
            "<stream:stream>",
            "<a/>b",
            "<",
            "<>x",
            "<!-- --><a/>",
            "<?pi?><a/>",
            "<![CDATA[x]]>",
        ] {
            assert!(message(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ws_06_every_piece_stands_alone() {
        let stream = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      from='one.example' id='a&apos;b' xml:lang='en' version='1.0'><stream:features><x xmlns='y'/>\
                      </stream:features> <message to='ä'><body>é</body></message><r xmlns='urn:xmpp:sm:3'/></stream:stream>";
        let expected = vec![
            Piece::Opening(" from='one.example' id='a&apos;b' xml:lang='en' version='1.0'".into()),
            Piece::Element(
                "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><x xmlns='y'/></stream:features>".into(),
            ),
            Piece::Space,
            Piece::Element("<message xmlns='jabber:client' to='ä'><body>é</body></message>".into()),
            Piece::Element("<r xmlns='urn:xmpp:sm:3'/>".into()),
            Piece::Closing,
        ];
        for cut in 0..=stream.len() {
            let mut cutter = Cutter::default();
            cutter.push(&stream.as_bytes()[..cut]);
            let mut pieces = cutter.pieces();
            cutter.push(&stream.as_bytes()[cut..]);
            pieces.extend(cutter.pieces());
            assert_eq!(pieces, expected, "cut at {cut}");
        }
    }

    #[test]
    fn ws_21_22_bodies_of_bosh() {
        let text = "<body rid='1' xmlns='http://jabber.org/protocol/httpbind' xmlns:x='urn:xmpp:xbosh' x:version='1.0'>\
                    <presence xmlns='jabber:client'/> <message><body>hi</body></message></body>";
        let body = Body::read(text, Limits::default()).expect("a body");
        assert_eq!(body.attribute("rid"), Some("1"));
        assert_eq!(body.attribute_in(ns::XBOSH, "version"), Some("1.0"));
        let mut out = Vec::new();
        assert_eq!(body.children(&mut out), 2);
        assert_eq!(out, b"<presence/><message><body>hi</body></message>");
        for bad in [
            "<body/>",
            "<body xmlns='http://jabber.org/protocol/httpbind'>",
            "<body xmlns='http://jabber.org/protocol/httpbind'><!-- --></body>",
            "<body xmlns='http://jabber.org/protocol/httpbind'><?pi?></body>",
            "<!DOCTYPE body><body xmlns='http://jabber.org/protocol/httpbind'/>",
        ] {
            assert!(Body::read(bad, Limits::default()).is_err(), "{bad}");
        }
    }
}
