//! What this server writes itself: error stanzas, iq results, presence without content; and the start tag all stanzas of
//! ours have.
//!
//! Why apart: a stanza that could not be taken in is answered too. Refuses: to repeat the payload (STANZA-09).

use std::sync::Arc;

use bytes::Bytes;

use super::{Kind, Stanza, StanzaError, StanzaType, Text};
use crate::framing::tag::escape_into;
use crate::jid::Jid;
use crate::ns;

/// An answer being written.
pub(super) struct Reply<'a> {
    pub(super) kind: Kind,
    pub(super) from: Option<&'a Jid>,
    pub(super) to: Option<&'a Jid>,
    pub(super) id: Option<&'a str>,
}

impl Reply<'_> {
    pub(super) fn error(&self, error: &StanzaError) -> Stanza {
        self.write(StanzaType::Error, "error", |out| {
            error.to_element().write(out, ns::CLIENT);
        })
    }

    /// Around content that is serialised already. An empty `type_name` is none.
    pub(super) fn around(&self, type_: StanzaType, type_name: &str, content: &[u8]) -> Stanza {
        self.write_into(256 + content.len(), type_, type_name, |out| {
            out.extend_from_slice(content);
        })
    }

    /// An empty `type_name` is none.
    pub(super) fn write(
        &self,
        type_: StanzaType,
        type_name: &str,
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Stanza {
        self.write_into(256, type_, type_name, content)
    }

    /// `room`: bytes that it takes, about.
    fn write_into(
        &self,
        room: usize,
        type_: StanzaType,
        type_name: &str,
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Stanza {
        let mut out = Vec::with_capacity(room);
        open(&mut out, self.kind, self.from, self.to);
        let rest = out.len();
        if !type_name.is_empty() {
            out.extend_from_slice(b" type='");
            out.extend_from_slice(type_name.as_bytes());
            out.push(b'\'');
        }
        // An iq error must have an id, empty when the request had none (RFC 6120 8.3.1 rule 3).
        let id = self.id.or((self.kind == Kind::Iq).then_some(""));
        if let Some(id) = id {
            out.extend_from_slice(b" id='");
            escape_into(&mut out, id);
            out.push(b'\'');
        }
        let attributes = out.len() - rest;
        out.push(b'>');
        let empty = out.len();
        content(&mut out);
        if out.len() == empty {
            out.pop();
            out.extend_from_slice(b"/>");
        } else {
            end_tag(&mut out, self.kind);
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

/// Start tag up to and including the addresses.
pub(super) fn open(out: &mut Vec<u8>, kind: Kind, from: Option<&Jid>, to: Option<&Jid>) {
    out.push(b'<');
    out.extend_from_slice(kind.name().as_bytes());
    for (name, jid) in [(&b" from='"[..], from), (b" to='", to)] {
        if let Some(jid) = jid {
            out.extend_from_slice(name);
            // Only a resourcepart can hold what has to be escaped (RFC 7622 3.2, 3.3.1).
            out.extend_from_slice(jid.bare_str().as_bytes());
            if let Some(resource) = jid.resource() {
                out.push(b'/');
                escape_into(out, resource);
            }
            out.push(b'\'');
        }
    }
}

pub(super) fn end_tag(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(kind.name().as_bytes());
    out.push(b'>');
}
