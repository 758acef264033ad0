//! Taking a first-level element in as a stanza: the checks, and the one copy.
//!
//! Why apart: this is the hot path, run once for every stanza of every stream. Refuses: what RFC 6120 8 does not allow,
//! with the answer ready to be sent.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::reply::{Reply, open};
use super::{Condition, From, Kind, Stanza, StanzaError, StanzaSyntaxError, StanzaType, Text};
use crate::framing::tag::{Children, escape_into};
use crate::framing::{self, Limits, RawAttribute, RawElement};
use crate::jid::Jid;
use crate::ns;

/// The hot path: one pass over the attributes, one copy.
pub(super) fn take_in(
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
    let content = [ns::CLIENT, ns::SERVER, ns::COMPONENT];
    if !content.contains(&raw.ns()) || raw.is_of_another_stream() {
        return Err(StanzaSyntaxError::NotAStanza);
    }
    let (mut to, mut from, mut type_, mut id, mut lang) = (None, None, None, None, None);
    for attribute in raw.attributes() {
        match attribute.name() {
            "to" => to = Some(attribute),
            "from" => from = Some(attribute),
            "type" => type_ = Some(attribute),
            "id" => id = Some(attribute),
            "xml:lang" => lang = Some(attribute),
            _ => {}
        }
    }
    let type_name = type_.map(|given| given.value());
    let type_ = stanza_type(kind, type_name.as_deref());
    let parsed_from = match stamp {
        From::Stamp(jid) => Ok(Some(jid.clone())),
        From::Keep => from.map(|given| Jid::parse(&given.value())).transpose(),
    };
    let parsed_to = to.map(|given| Jid::parse(&given.value())).transpose();
    let refused = |error: StanzaError| {
        let id = id.map(|given| given.value());
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
        && let Err(text) = check_iq(raw, type_, id.is_some())
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
    for attribute in raw.attributes() {
        let name = attribute.name();
        if matches!(name, "to" | "from" | "xmlns") {
            continue;
        }
        let (from, to) = raw_attribute(&mut out, name, attribute.raw());
        match name {
            "id" => id = Text::of(attribute, from - rest, to - rest),
            "xml:lang" => lang_at = Text::of(attribute, from - rest, to - rest),
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
    fn of(attribute: RawAttribute<'_>, from: usize, to: usize) -> Self {
        match attribute.value() {
            Cow::Borrowed(_) => Self::Raw(from, to),
            Cow::Owned(value) => Self::Unescaped(Arc::from(value)),
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
fn check_iq(raw: &RawElement<'_>, type_: StanzaType, id: bool) -> Result<(), &'static str> {
    if !id {
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
pub(super) fn reparse<T>(
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
