//! Bytes to stream header, first-level elements and stream close.

use std::borrow::Cow;

use crate::element::Element;
use crate::stream::StreamCondition;

/// What one stream may ask of us (RFC 6120 13.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one first-level element or of the stream header.
    pub element_bytes: usize,
    /// Nesting inside a first-level element, itself counted as 1.
    pub depth: usize,
    /// Attributes (declarations included) of one tag.
    pub attributes: usize,
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct Framer {}

/// One frame.
#[derive(Debug)]
pub enum Frame<'a> {
    /// The opening `<stream:stream>`.
    Header(StreamHeader),
    /// A complete, validated first-level element.
    Element(RawElement<'a>),
    /// `</stream:stream>`.
    Close,
}

/// The opening tag of a stream (RFC 6120 4.7). Addresses are unparsed: the machine decides what to make of bad ones.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamHeader {
    /// `to`
    pub to: Option<String>,
    /// `from`
    pub from: Option<String>,
    /// `id`
    pub id: Option<String>,
    /// `xml:lang`
    pub lang: Option<String>,
    /// `version`, major and minor; `None` when absent or unreadable, which means 0.9 (STREAM-19).
    pub version: Option<(u32, u32)>,
    /// Default namespace, `""` when none is declared.
    pub content_ns: String,
    /// Namespace of the root element.
    pub ns: String,
    /// Prefixes declared on the header with their namespaces (default namespace not included).
    pub prefixes: Vec<(String, String)>,
    /// Whether a prefix for `jabber:server:dialback` is declared (XEP-0220 2.1).
    pub dialback: bool,
}

/// A complete first-level element, validated, still bytes.
#[derive(Debug, Clone, Copy)]
pub struct RawElement<'a> {
    text: &'a str,
}

/// What was wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not well-formed XML.
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
}

impl FrameError {
    /// Stream error condition to close with.
    pub fn condition(&self) -> StreamCondition {
        todo!()
    }
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new(_limits: Limits) -> Self {
        todo!()
    }
    /// Appends bytes read.
    pub fn push(&mut self, _bytes: &[u8]) {
        todo!()
    }
    /// Next complete frame; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "lends from self")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        todo!()
    }
    /// Bytes pushed and not yet returned in a frame.
    pub fn buffered(&self) -> usize {
        todo!()
    }
    /// Starts a new XML document (after STARTTLS or SASL success). Bytes already buffered are dropped; check [`Framer::buffered`] first.
    pub fn reset(&mut self) {
        todo!()
    }
    /// Changes the limits, effective at once.
    pub fn set_limits(&mut self, _limits: Limits) {
        todo!()
    }
    /// Frees the buffer when nothing is in it.
    pub fn shrink(&mut self) {
        todo!()
    }
}

impl<'a> RawElement<'a> {
    /// Local name.
    pub fn name(&self) -> &'a str {
        todo!()
    }
    /// Prefix as written.
    pub fn prefix(&self) -> Option<&'a str> {
        todo!()
    }
    /// Resolved namespace.
    pub fn ns(&self) -> &'a str {
        todo!()
    }
    /// Whether name and namespace are these.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }
    /// Value of an attribute of the start tag, unescaped.
    pub fn attr(&self, _name: &str) -> Option<Cow<'a, str>> {
        todo!()
    }
    /// The whole element as received.
    pub fn as_str(&self) -> &'a str {
        self.text
    }
    /// The element as a tree, prefixes of the stream header resolved.
    pub fn to_element(&self) -> Element {
        todo!()
    }
}
