//! Message, presence, iq (RFC 6120 8): bytes with a known start tag.
//!
//! Why bytes: nearly every stanza is only passed on, and the payload must arrive as it was sent (STANZA-11). A
//! [`Stanza`] keeps the validated bytes; only the start tag is written anew, once, when it is taken in. The bytes carry no
//! `xmlns` for `jabber:client` or `jabber:server`: they inherit it from whatever stream they are written to (STREAM-21).
//! Refuses: prefixes that only the sender's stream header declared are not left dangling (STREAM-25), and payloads that
//! weak receivers stumble over (CDATA and the like) are re-serialised.

mod error;
mod forward;
mod intake;
mod reply;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::error::{Condition, ErrorType, StanzaError};
pub use self::forward::ChildTag;
use self::intake::{reparse, take_in};
use self::reply::{Reply, end_tag, open};
use crate::element::Element;
use crate::framing::RawElement;
use crate::framing::tag::{Attributes, Children, StartTag};
use crate::jid::Jid;
use crate::ns;
use crate::timestamp::Timestamp;

/// The three stanzas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

impl Kind {
    /// Element name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Presence => "presence",
            Self::Iq => "iq",
        }
    }
}

/// The `type` attribute over all kinds; the kind decides which may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StanzaType {
    /// Message without `type`, with an unknown one, or `normal` (RFC 6121 5.2.2).
    Normal,
    /// Message `chat`.
    Chat,
    /// Message `groupchat`.
    Groupchat,
    /// Message `headline`.
    Headline,
    /// Any kind, `error`.
    Error,
    /// Presence without `type`.
    Available,
    /// Presence `unavailable`.
    Unavailable,
    /// Presence `subscribe`.
    Subscribe,
    /// Presence `subscribed`.
    Subscribed,
    /// Presence `unsubscribe`.
    Unsubscribe,
    /// Presence `unsubscribed`.
    Unsubscribed,
    /// Presence `probe`.
    Probe,
    /// Iq `get`.
    Get,
    /// Iq `set`.
    Set,
    /// Iq `result`.
    Result,
}

/// What to do with `from` when taking a stanza in.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// Keep what the sender wrote (server streams).
    Keep,
    /// Replace it (client streams: the session's full JID, RFC 6120 8.1.2.1).
    Stamp(&'a Jid),
}

/// A stanza as bytes. Cheap to clone.
#[derive(Clone)]
pub struct Stanza {
    kind: Kind,
    type_: StanzaType,
    to: Option<Jid>,
    from: Option<Jid>,
    id: Text,
    lang: Text,
    bytes: Bytes,
    /// Where the start tag goes on after the name and the addresses this crate wrote.
    rest: usize,
    /// Length of the start tag's attributes from `rest` on, up to `>` or `/>`.
    attributes: usize,
}

/// An attribute value inside the bytes.
#[derive(Clone, Debug)]
enum Text {
    None,
    /// Needs no unescaping; place relative to `rest`.
    Raw(usize, usize),
    Unescaped(Arc<str>),
}

/// Why a first-level element is not a stanza that can be processed. Whose fault: the sender's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StanzaSyntaxError {
    /// Not message, presence or iq of the content namespace (STREAM-23).
    #[error("not a stanza of the content namespace")]
    NotAStanza,
    /// The stanza is understood well enough to be answered.
    #[error("stanza refused: {}", .error.condition.name())]
    Refused {
        /// What is wrong.
        error: Box<StanzaError>,
        /// The error stanza to send back to whoever sent it; `None` for errors and results, which are never answered
        /// (STANZA-07).
        reply: Option<Box<Stanza>>,
    },
}

impl PartialEq for Stanza {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Stanza {}

/// Names the stanza, never shows its content: logs must not hold bodies.
impl fmt::Debug for Stanza {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stanza")
            .field("kind", &self.kind)
            .field("type", &self.type_)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Stanza {
    /// Takes in a first-level element. `default_lang` is the stream's language, added where the stanza has none
    /// (STREAM-18). Checks kind, namespace, addresses (ADDR-07), `type`, and for an iq `id` and number of children
    /// (STANZA-06).
    pub fn from_raw(
        raw: &RawElement<'_>,
        from: From<'_>,
        default_lang: Option<&str>,
    ) -> Result<Self, StanzaSyntaxError> {
        if !raw.is_unusual() {
            return take_in(raw, from, default_lang);
        }
        let mut element = raw.to_element();
        element.rescope(raw.ns(), ns::CLIENT);
        reparse(&element.to_xml(ns::CLIENT), |raw| {
            take_in(&raw, from, default_lang)
        })
    }

    /// From a tree whose root is in `jabber:client` or `jabber:server`.
    pub fn from_element(element: &Element) -> Result<Self, StanzaSyntaxError> {
        let take = |element: &Element| {
            reparse(&element.to_xml(ns::CLIENT), |raw| {
                take_in(&raw, From::Keep, None)
            })
        };
        if element.ns() == ns::SERVER {
            let mut element = element.clone();
            element.rescope(ns::SERVER, ns::CLIENT);
            return take(&element);
        }
        take(element)
    }

    /// From bytes kept by the store (what [`Stanza::bytes`] returned).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StanzaSyntaxError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StanzaSyntaxError::NotAStanza)?;
        reparse(text, |raw| Self::from_raw(&raw, From::Keep, None))
    }

    /// Kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Type.
    pub fn type_(&self) -> StanzaType {
        self.type_
    }

    /// `to`
    pub fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }

    /// `from`
    pub fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }

    /// `id`
    pub fn id(&self) -> Option<&str> {
        self.text(&self.id)
    }

    /// `xml:lang`
    pub fn lang(&self) -> Option<&str> {
        self.text(&self.lang)
    }

    /// Wire bytes, without `xmlns`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole stanza as a tree (root in `jabber:client`).
    pub fn payload(&self) -> Result<Element, StanzaSyntaxError> {
        Ok(Element::from_validated(self.str(), ns::CLIENT, &[]))
    }

    /// Name and namespace of each child element in order, without building a tree.
    pub fn children(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.own();
        self.content().map(move |child| child_name(&child, own))
    }

    /// Name and namespace of the first child element: what an iq is about.
    pub fn first_child(&self) -> Option<(&str, &str)> {
        self.children().next()
    }

    /// Whether any direct child has this name and namespace, without building a tree.
    pub fn has_child(&self, name: &str, ns: &str) -> bool {
        self.children().any(|child| child == (name, ns))
    }

    /// With another `from`.
    #[must_use]
    pub fn with_from(&self, from: &Jid) -> Self {
        self.readdressed(Some(from), self.to.as_ref())
    }

    /// With another `to`.
    #[must_use]
    pub fn with_to(&self, to: &Jid) -> Self {
        self.readdressed(self.from.as_ref(), Some(to))
    }

    /// With an element appended as last child.
    #[must_use]
    pub fn with_child(&self, child: &Element) -> Self {
        self.with_content(|out| child.write(out, ns::CLIENT))
    }

    /// With an element appended as last child that this server has serialised itself: well-formed, namespace declared.
    #[must_use]
    pub fn with_child_written(&self, child: &[u8]) -> Self {
        self.with_content(|out| out.extend_from_slice(child))
    }

    fn with_content(&self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = Vec::with_capacity(self.bytes.len() + 256);
        match self.bytes.strip_suffix(b"/>") {
            Some(open) => {
                out.extend_from_slice(open);
                out.push(b'>');
                write(&mut out);
                end_tag(&mut out, self.kind);
            }
            None => {
                let end = memchr::memrchr(b'<', &self.bytes).unwrap_or(self.bytes.len());
                out.extend_from_slice(&self.bytes[..end]);
                write(&mut out);
                out.extend_from_slice(&self.bytes[end..]);
            }
        }
        Self {
            bytes: Bytes::from(out),
            ..self.clone()
        }
    }

    /// The error stanza answering this one: addresses swapped, `id` repeated (STANZA-05), payload not echoed
    /// (STANZA-09). `None` for errors and results, which are never answered (STANZA-07).
    pub fn error_reply(&self, error: &StanzaError) -> Option<Self> {
        if matches!(self.type_, StanzaType::Error | StanzaType::Result) {
            return None;
        }
        let reply = Reply {
            kind: self.kind,
            from: self.to.as_ref(),
            to: self.from.as_ref(),
            id: self.id(),
        };
        Some(reply.error(error))
    }

    /// The result answering this iq, with or without a payload.
    #[must_use]
    pub fn iq_result(&self, payload: Option<Element>) -> Self {
        let reply = Reply {
            kind: Kind::Iq,
            from: self.to.as_ref(),
            to: self.from.as_ref(),
            id: self.id(),
        };
        reply.write(StanzaType::Result, "result", |out| {
            if let Some(payload) = &payload {
                payload.write(out, ns::CLIENT);
            }
        })
    }

    /// The result answering this iq, with a payload that this server has serialised itself: well-formed, with its namespace
    /// declared. For answers that are large and frequent.
    #[must_use]
    pub fn iq_result_written(&self, payload: &[u8]) -> Self {
        let reply = Reply {
            kind: Kind::Iq,
            from: self.to.as_ref(),
            to: self.from.as_ref(),
            id: self.id(),
        };
        reply.around(StanzaType::Result, "result", payload)
    }

    /// Presence without content, written by this server. `verb` is the `type` attribute; `None` is availability.
    #[must_use]
    pub fn presence(
        verb: Option<StanzaType>,
        from: &Jid,
        to: Option<&Jid>,
        id: Option<&str>,
    ) -> Self {
        let reply = Reply {
            kind: Kind::Presence,
            from: Some(from),
            to,
            id,
        };
        let (type_, name) = match verb {
            Some(StanzaType::Unavailable) => (StanzaType::Unavailable, "unavailable"),
            Some(StanzaType::Subscribe) => (StanzaType::Subscribe, "subscribe"),
            Some(StanzaType::Subscribed) => (StanzaType::Subscribed, "subscribed"),
            Some(StanzaType::Unsubscribe) => (StanzaType::Unsubscribe, "unsubscribe"),
            Some(StanzaType::Unsubscribed) => (StanzaType::Unsubscribed, "unsubscribed"),
            Some(StanzaType::Probe) => (StanzaType::Probe, "probe"),
            _ => (StanzaType::Available, ""),
        };
        reply.write(type_, name, |_| {})
    }

    /// Text between the start tag and the end tag; empty at a `/>`.
    fn content(&self) -> Children<'_> {
        // At a `/>` there is no content, and nothing behind it either.
        Children::new(self.str(), self.rest + self.attributes + 1)
    }

    /// The attributes of the start tag that were kept as they came.
    fn own(&self) -> &str {
        self.str()
            .get(self.rest..self.rest + self.attributes)
            .unwrap_or_default()
    }

    fn text<'a>(&'a self, text: &'a Text) -> Option<&'a str> {
        match text {
            Text::None => None,
            Text::Raw(from, to) => self.str().get(self.rest + from..self.rest + to),
            Text::Unescaped(value) => Some(value),
        }
    }

    fn str(&self) -> &str {
        // Every constructor assembles the bytes from `str` pieces.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    fn readdressed(&self, from: Option<&Jid>, to: Option<&Jid>) -> Self {
        let mut out = Vec::with_capacity(self.bytes.len() + 128);
        open(&mut out, self.kind, from, to);
        let rest = out.len();
        out.extend_from_slice(&self.bytes[self.rest..]);
        Self {
            from: from.cloned(),
            to: to.cloned(),
            bytes: Bytes::from(out),
            rest,
            ..self.clone()
        }
    }
}

/// `<delay/>` (XEP-0203): `from` is who held the stanza back, `since` when it was sent first.
pub fn delay(from: &Jid, since: Timestamp) -> Element {
    Element::new("delay", ns::DELAY)
        .attr("from", from.as_str())
        .attr("stamp", since.to_xep0082())
}

/// Local name and namespace of a child; `own` are the attributes of the stanza's start tag.
fn child_name<'a>(child: &StartTag<'a>, own: &'a str) -> (&'a str, &'a str) {
    let Some((prefix, name)) = child.name.split_once(':') else {
        return (
            child.name,
            child.raw_attribute("xmlns").unwrap_or(ns::CLIENT),
        );
    };
    let declared = |attributes| {
        Attributes::new(attributes)
            .find(|(n, _)| n.strip_prefix("xmlns:") == Some(prefix))
            .map(|(_, ns)| ns)
    };
    (
        name,
        declared(child.inside)
            .or_else(|| declared(own))
            .unwrap_or_default(),
    )
}
