//! The elements of server dialback (XEP-0220 2), read and written for both machines.
//!
//! Why apart: who asks and who answers differ, the four elements do not. Refuses: an element without both addresses.

use super::header::escape;
use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::DomainName;
use crate::ns;
use crate::stanza::{Condition, StanzaError};

/// Not a dialback element that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DialbackError;

/// `<db:result/>` or `<db:verify/>` without `type`.
pub(super) struct Request {
    /// `<db:verify/>`
    pub(super) verify: bool,
    pub(super) from: DomainName,
    pub(super) to: DomainName,
    /// Of a verify.
    pub(super) id: Option<String>,
    pub(super) key: String,
}

impl Request {
    pub(super) fn read(raw: &RawElement<'_>) -> Result<Self, DialbackError> {
        let (from, to) = addresses(raw)?;
        Ok(Self {
            verify: is_verify(raw)?,
            from,
            to,
            id: raw.attr("id").map(|id| id.into_owned()),
            key: raw.to_element().text_content().trim().to_owned(),
        })
    }

    /// The answer, addresses swapped.
    pub(super) fn reply(&self, type_: &str) -> String {
        match (self.verify, &self.id) {
            (true, Some(id)) => verify(&self.to, &self.from, id, type_),
            _ => result(&self.to, &self.from, type_),
        }
    }

    /// The answer that says why there is none.
    pub(super) fn reply_error(&self, error: &StanzaError) -> String {
        match (self.verify, &self.id) {
            (true, Some(id)) => verify_error(&self.to, &self.from, id, error),
            _ => result_error(&self.to, &self.from, error),
        }
    }
}

/// A typed `<db:result/>` or `<db:verify/>`.
pub(super) struct Response {
    /// `<db:verify/>`
    pub(super) verify: bool,
    pub(super) from: DomainName,
    pub(super) to: DomainName,
    /// Of a verify.
    pub(super) id: Option<String>,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Valid,
    Invalid,
    Error(StanzaError),
}

impl Response {
    pub(super) fn read(raw: &RawElement<'_>) -> Result<Self, DialbackError> {
        let (from, to) = addresses(raw)?;
        let outcome = match raw.attr("type").as_deref() {
            Some("valid") => Outcome::Valid,
            Some("invalid") => Outcome::Invalid,
            Some("error") => Outcome::Error(error_of(raw)),
            _ => return Err(DialbackError),
        };
        Ok(Self {
            verify: is_verify(raw)?,
            from,
            to,
            id: raw.attr("id").map(|id| id.into_owned()),
            outcome,
        })
    }
}

/// The `<error/>` child. Peers put it into different namespaces, and conditions that RFC 6120 does not have (C-17).
fn error_of(raw: &RawElement<'_>) -> StanzaError {
    let tree = raw.to_element();
    let Some(error) = tree.children().find(|child| child.name() == "error") else {
        return Condition::UndefinedCondition.into();
    };
    let mut stanza = Element::new("message", ns::SERVER);
    let mut copy = Element::new("error", ns::SERVER).attr_opt("type", error.get_attr("type"));
    let mut unknown = None;
    for child in error.children() {
        if child.ns() == ns::STANZA_ERRORS
            && child.name() != "text"
            && Condition::from_name(child.name()).is_none()
        {
            unknown = Some(child.name().to_owned());
        }
        copy.push(child.clone());
    }
    stanza.push(copy);
    let mut read =
        StanzaError::from_stanza(&stanza).unwrap_or(Condition::UndefinedCondition.into());
    if read.text.is_none() {
        read.text = unknown;
    }
    read
}

fn is_verify(raw: &RawElement<'_>) -> Result<bool, DialbackError> {
    match raw.name() {
        "result" => Ok(false),
        "verify" => Ok(true),
        _ => Err(DialbackError),
    }
}

fn addresses(raw: &RawElement<'_>) -> Result<(DomainName, DomainName), DialbackError> {
    let domain = |name| {
        raw.attr(name)
            .and_then(|text| DomainName::parse(&text).ok())
            .ok_or(DialbackError)
    };
    Ok((domain("from")?, domain("to")?))
}

/// Step 1: our key. Prefix `db`, since some peers accept no other (DIALBACK-01).
pub(super) fn send_key(from: &DomainName, to: &DomainName, key: &str) -> String {
    write("result", from, to, None, "", key)
}

/// Step 2: somebody's key.
pub(super) fn ask(from: &DomainName, to: &DomainName, id: &str, key: &str) -> String {
    write("verify", from, to, Some(id), "", key)
}

/// Step 4.
pub(super) fn result(from: &DomainName, to: &DomainName, type_: &str) -> String {
    write("result", from, to, None, type_, "")
}

/// Step 4 with an error (DIALBACK-18).
pub(super) fn result_error(from: &DomainName, to: &DomainName, error: &StanzaError) -> String {
    write_error("result", from, to, None, error)
}

/// Step 3.
pub(super) fn verify(from: &DomainName, to: &DomainName, id: &str, type_: &str) -> String {
    write("verify", from, to, Some(id), type_, "")
}

/// Step 3 with an error.
pub(super) fn verify_error(
    from: &DomainName,
    to: &DomainName,
    id: &str,
    error: &StanzaError,
) -> String {
    write_error("verify", from, to, Some(id), error)
}

fn start(name: &str, from: &DomainName, to: &DomainName, id: Option<&str>, type_: &str) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(b"<db:");
    out.extend_from_slice(name.as_bytes());
    let typed = Some(type_).filter(|type_| !type_.is_empty());
    for (key, value) in [
        ("from", Some(from.as_str())),
        ("to", Some(to.as_str())),
        ("id", id),
        ("type", typed),
    ] {
        if let Some(value) = value {
            out.push(b' ');
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"='");
            escape(value, &mut out);
            out.push(b'\'');
        }
    }
    out
}

fn write(
    name: &str,
    from: &DomainName,
    to: &DomainName,
    id: Option<&str>,
    type_: &str,
    text: &str,
) -> String {
    let mut out = start(name, from, to, id, type_);
    if text.is_empty() {
        out.extend_from_slice(b"/>");
    } else {
        out.push(b'>');
        escape(text, &mut out);
        out.extend_from_slice(b"</db:");
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
    }
    String::from_utf8(out).unwrap_or_default()
}

fn write_error(
    name: &str,
    from: &DomainName,
    to: &DomainName,
    id: Option<&str>,
    error: &StanzaError,
) -> String {
    let mut out = start(name, from, to, id, "error");
    out.push(b'>');
    let mut element = error.to_element();
    element.rescope(ns::CLIENT, ns::SERVER);
    // `jabber:server` is the default namespace of the stream.
    element.write(&mut out, ns::SERVER);
    out.extend_from_slice(b"</db:");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    String::from_utf8(out).unwrap_or_default()
}
