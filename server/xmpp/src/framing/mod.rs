//! Bytes to stream header, first-level elements and stream close (RFC 6120 4, 11).
//!
//! Why own: a socket loop needs a parser that keeps its state between reads, never buffers more than it was told, and
//! hands out a stanza as one slice. The [`Framer`] finds where things begin and end, touching each byte once; the
//! validator then passes once over each complete slice and rejects everything that is not well-formed, so that the slice
//! can be forwarded as it is. Refuses: to repair anything.

mod chars;
mod declaration;
mod framer;
mod raw;
pub(crate) mod tag;
#[cfg(test)]
mod tests;
mod validate;
pub mod web;

pub use self::framer::Framer;
pub use self::raw::RawElement;
pub(crate) use self::raw::{RawAttribute, with_element};
use crate::element::Element;
use crate::ns;
use crate::stream::{StreamCondition, StreamError};

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

impl Default for Limits {
    /// 256 KiB, 32 levels, 64 attributes.
    fn default() -> Self {
        Self {
            element_bytes: 256 * 1024,
            depth: 32,
            attributes: 64,
        }
    }
}

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
    /// Namespace of the root element; always [`crate::ns::STREAM`], anything else was refused.
    pub ns: String,
    /// Prefixes declared on the header with their namespaces (default namespace not included).
    pub prefixes: Vec<(String, String)>,
    /// Whether a prefix for `jabber:server:dialback` is declared (XEP-0220 2.1).
    pub dialback: bool,
}

/// What was wrong with the bytes. Whose fault: the other side's, always; the stream ends with [`FrameError::condition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not well-formed XML, or not namespace-well-formed (XML-02, XML-03).
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// Comment, processing instruction, DTD, entity (XML-01).
    #[error("XML that is not allowed in XMPP: {0}")]
    Restricted(&'static str),
    /// Not UTF-8, or declared as something else (XML-05).
    #[error("not UTF-8")]
    Encoding,
    /// The root element is not in the streams namespace (STREAM-20).
    #[error("the root element is not in the streams namespace")]
    RootNamespace,
    /// The root element is not called `stream`.
    #[error("the root element is not a stream")]
    NotAStream,
    /// A stanza's content namespace came with a prefix (STREAM-24).
    #[error("a prefix on the content namespace")]
    ContentPrefix,
    /// Longer than [`Limits::element_bytes`].
    #[error("the element is longer than this stream allows")]
    TooLong,
    /// Deeper than [`Limits::depth`].
    #[error("the element is nested more deeply than this stream allows")]
    TooDeep,
    /// More than [`Limits::attributes`] on one tag.
    #[error("a tag has more attributes than this stream allows")]
    TooManyAttributes,
}

impl FrameError {
    /// Stream error condition to close with (RFC 6120 4.9.3).
    pub fn condition(&self) -> StreamCondition {
        match self {
            Self::NotWellFormed(_) => StreamCondition::NotWellFormed,
            Self::Restricted(_) => StreamCondition::RestrictedXml,
            Self::Encoding => StreamCondition::UnsupportedEncoding,
            Self::RootNamespace => StreamCondition::InvalidNamespace,
            Self::NotAStream => StreamCondition::BadFormat,
            Self::ContentPrefix => StreamCondition::BadNamespacePrefix,
            Self::TooLong | Self::TooDeep | Self::TooManyAttributes => {
                StreamCondition::PolicyViolation
            }
        }
    }

    /// The stream error to close with, which says so of what is too long (XEP-0205 4.5).
    pub fn stream_error(&self) -> StreamError {
        let error = StreamError::new(self.condition()).with_text(self.to_string());
        match self {
            Self::TooLong => error.with_app(Element::new("stanza-too-big", ns::APP_ERRORS)),
            _ => error,
        }
    }
}
