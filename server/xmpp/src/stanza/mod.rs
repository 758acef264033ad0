//! Message, presence, iq (RFC 6120 8): bytes with a known start tag.
//!
//! Why bytes: nearly every stanza is only passed on, and the payload must arrive as it was sent (STANZA-11). A
//! [`Stanza`] keeps the validated bytes; only the start tag is written anew, once, when it is taken in. The bytes carry no
//! `xmlns` for `jabber:client` or `jabber:server`: they inherit it from whatever stream they are written to (STREAM-21).
//! Refuses: prefixes that only the sender's stream header declared are not left dangling (STREAM-25), and payloads that
//! weak receivers stumble over (CDATA and the like) are re-serialised.

mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::error::{Condition, ErrorType, StanzaError};
use crate::element::Element;
use crate::framing::tag::{Attributes, Children, StartTag, escape_into, unescape};
use crate::framing::{self, Limits, RawElement};
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
        let text = self.str();
        let own = text
            .get(self.rest..self.rest + self.attributes)
            .unwrap_or_default();
        let end = self.rest + self.attributes;
        // At a `/>` there is no content, and nothing behind it either.
        Children::new(text, end + 1).map(move |child| child_name(&child, own))
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
        let mut out = Vec::with_capacity(self.bytes.len() + 256);
        match self.bytes.strip_suffix(b"/>") {
            Some(open) => {
                out.extend_from_slice(open);
                out.push(b'>');
                child.write(&mut out, ns::CLIENT);
                end_tag(&mut out, self.kind);
            }
            None => {
                let end = memchr::memrchr(b'<', &self.bytes).unwrap_or(self.bytes.len());
                out.extend_from_slice(&self.bytes[..end]);
                child.write(&mut out, ns::CLIENT);
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
        reply.write(StanzaType::Result, "result", payload.as_ref())
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

/// Start tag up to and including the addresses.
fn open(out: &mut Vec<u8>, kind: Kind, from: Option<&Jid>, to: Option<&Jid>) {
    out.push(b'<');
    out.extend_from_slice(kind.name().as_bytes());
    for (name, jid) in [(&b" from='"[..], from), (b" to='", to)] {
        if let Some(jid) = jid {
            out.extend_from_slice(name);
            escape_into(out, jid.as_str());
            out.push(b'\'');
        }
    }
}

fn end_tag(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(kind.name().as_bytes());
    out.push(b'>');
}

/// ` name='raw value'`; returns where the value is.
fn raw_attribute(out: &mut Vec<u8>, name: &str, raw: &str) -> (usize, usize) {
    let quote = if raw.contains('\'') { b'"' } else { b'\'' };
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&[b'=', quote]);
    let from = out.len();
    out.extend_from_slice(raw.as_bytes());
    out.push(quote);
    (from, out.len() - 1)
}

/// Validates text this crate wrote or the store kept.
fn reparse<T>(
    text: &str,
    take: impl FnOnce(RawElement<'_>) -> Result<T, StanzaSyntaxError>,
) -> Result<T, StanzaSyntaxError> {
    // The stream's own limits applied when the stanza came in; a copy of it is never refused for them.
    const ANY: Limits = Limits {
        element_bytes: usize::MAX,
        depth: usize::MAX,
        attributes: usize::MAX,
    };
    framing::with_element(text, ns::CLIENT, ANY, take).map_err(|_| StanzaSyntaxError::NotAStanza)?
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

/// The hot path: one pass over the attributes, one copy.
fn take_in(
    raw: &RawElement<'_>,
    stamp: From<'_>,
    default_lang: Option<&str>,
) -> Result<Stanza, StanzaSyntaxError> {
    let kind = match raw.name() {
        "message" => Kind::Message,
        "presence" => Kind::Presence,
        "iq" => Kind::Iq,
        _ => return Err(StanzaSyntaxError::NotAStanza),
    };
    if (raw.ns() != ns::CLIENT && raw.ns() != ns::SERVER) || raw.is_of_another_stream() {
        return Err(StanzaSyntaxError::NotAStanza);
    }
    let (mut to, mut from, mut type_, mut id, mut lang) = (None, None, None, None, None);
    for (name, value) in raw.attributes() {
        match name {
            "to" => to = Some(value),
            "from" => from = Some(value),
            "type" => type_ = Some(value),
            "id" => id = Some(value),
            "xml:lang" => lang = Some(value),
            _ => {}
        }
    }
    let type_name = type_.map(unescape);
    let type_ = stanza_type(kind, type_name.as_deref());
    let parsed_from = match stamp {
        From::Stamp(jid) => Ok(Some(jid.clone())),
        From::Keep => from.map(|raw| Jid::parse(&unescape(raw))).transpose(),
    };
    let parsed_to = to.map(|raw| Jid::parse(&unescape(raw))).transpose();
    let refused = |error: StanzaError| {
        let id = id.map(unescape);
        // The offending address is left out of the answer (RFC 6120 8.3.1 rule 2).
        let reply = Reply {
            kind,
            from: parsed_to.as_ref().ok().and_then(Option::as_ref),
            to: parsed_from.as_ref().ok().and_then(Option::as_ref),
            id: id.as_deref(),
        };
        let answered = !matches!(type_, Some(StanzaType::Error | StanzaType::Result));
        let reply = answered.then(|| Box::new(reply.error(&error)));
        StanzaSyntaxError::Refused {
            error: Box::new(error),
            reply,
        }
    };
    let (Ok(from), Ok(to)) = (&parsed_from, &parsed_to) else {
        return Err(refused(Condition::JidMalformed.into()));
    };
    let Some(type_) = type_ else {
        return Err(refused(
            StanzaError::new(Condition::BadRequest).with_text("unknown type"),
        ));
    };
    if kind == Kind::Iq
        && let Err(text) = check_iq(raw, type_, id)
    {
        return Err(refused(
            StanzaError::new(Condition::BadRequest).with_text(text),
        ));
    }

    let after = raw.after_attributes();
    let mut out = Vec::with_capacity(raw.as_str().len() + 160);
    open(&mut out, kind, from.as_ref(), to.as_ref());
    let rest = out.len();
    let (mut id, mut lang_at) = (Text::None, Text::None);
    for (name, value) in raw.attributes() {
        if matches!(name, "to" | "from" | "xmlns") {
            continue;
        }
        let (from, to) = raw_attribute(&mut out, name, value);
        match name {
            "id" => id = Text::of(value, from - rest, to - rest),
            "xml:lang" => lang_at = Text::of(value, from - rest, to - rest),
            _ => {}
        }
    }
    if let (None, Some(default)) = (lang, default_lang) {
        out.extend_from_slice(b" xml:lang='");
        escape_into(&mut out, default);
        out.push(b'\'');
        lang_at = Text::Unescaped(Arc::from(default));
    }
    for (prefix, ns) in raw.borrowed_prefixes() {
        out.extend_from_slice(b" xmlns:");
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(b"='");
        escape_into(&mut out, ns);
        out.push(b'\'');
    }
    let attributes = out.len() - rest;
    out.extend_from_slice(after.as_bytes());
    Ok(Stanza {
        kind,
        type_,
        to: to.clone(),
        from: from.clone(),
        id,
        lang: lang_at,
        bytes: Bytes::from(out),
        rest,
        attributes,
    })
}

impl Text {
    fn of(raw: &str, from: usize, to: usize) -> Self {
        match unescape(raw) {
            std::borrow::Cow::Borrowed(_) => Self::Raw(from, to),
            std::borrow::Cow::Owned(value) => Self::Unescaped(Arc::from(value)),
        }
    }
}

/// `None`: a type that this kind does not have.
fn stanza_type(kind: Kind, name: Option<&str>) -> Option<StanzaType> {
    Some(match (kind, name) {
        (_, Some("error")) => StanzaType::Error,
        (Kind::Message, Some("chat")) => StanzaType::Chat,
        (Kind::Message, Some("groupchat")) => StanzaType::Groupchat,
        (Kind::Message, Some("headline")) => StanzaType::Headline,
        (Kind::Message, _) => StanzaType::Normal,
        (Kind::Presence, None) => StanzaType::Available,
        (Kind::Presence, Some("unavailable")) => StanzaType::Unavailable,
        (Kind::Presence, Some("subscribe")) => StanzaType::Subscribe,
        (Kind::Presence, Some("subscribed")) => StanzaType::Subscribed,
        (Kind::Presence, Some("unsubscribe")) => StanzaType::Unsubscribe,
        (Kind::Presence, Some("unsubscribed")) => StanzaType::Unsubscribed,
        (Kind::Presence, Some("probe")) => StanzaType::Probe,
        (Kind::Iq, Some("get")) => StanzaType::Get,
        (Kind::Iq, Some("set")) => StanzaType::Set,
        (Kind::Iq, Some("result")) => StanzaType::Result,
        (Kind::Presence | Kind::Iq, _) => return None,
    })
}

/// STANZA-06.
fn check_iq(raw: &RawElement<'_>, type_: StanzaType, id: Option<&str>) -> Result<(), &'static str> {
    if id.is_none() {
        return Err("an iq needs an id");
    }
    let after = raw.after_attributes();
    // Two are as many as need counting. `>` is at 0; at `/>` there are no children.
    let children = Children::new(after, 1).take(2).count();
    match type_ {
        StanzaType::Get | StanzaType::Set if children != 1 => {
            Err("a get or set has exactly one child element")
        }
        StanzaType::Result if children > 1 => Err("a result has at most one child element"),
        _ => Ok(()),
    }
}

/// An answer being written.
struct Reply<'a> {
    kind: Kind,
    from: Option<&'a Jid>,
    to: Option<&'a Jid>,
    id: Option<&'a str>,
}

impl Reply<'_> {
    fn error(&self, error: &StanzaError) -> Stanza {
        self.write(StanzaType::Error, "error", Some(&error.to_element()))
    }

    fn write(&self, type_: StanzaType, type_name: &str, child: Option<&Element>) -> Stanza {
        let mut out = Vec::with_capacity(256);
        open(&mut out, self.kind, self.from, self.to);
        let rest = out.len();
        out.extend_from_slice(b" type='");
        out.extend_from_slice(type_name.as_bytes());
        out.push(b'\'');
        // An iq error must have an id, empty when the request had none (RFC 6120 8.3.1 rule 3).
        let id = self.id.or((self.kind == Kind::Iq).then_some(""));
        if let Some(id) = id {
            out.extend_from_slice(b" id='");
            escape_into(&mut out, id);
            out.push(b'\'');
        }
        let attributes = out.len() - rest;
        match child {
            Some(child) => {
                out.push(b'>');
                child.write(&mut out, ns::CLIENT);
                end_tag(&mut out, self.kind);
            }
            None => out.extend_from_slice(b"/>"),
        }
        Stanza {
            kind: self.kind,
            type_,
            to: self.to.cloned(),
            from: self.from.cloned(),
            id: id.map_or(Text::None, |id| Text::Unescaped(Arc::from(id))),
            lang: Text::None,
            bytes: Bytes::from(out),
            rest,
            attributes,
        }
    }
}
