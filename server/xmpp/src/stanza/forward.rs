//! Stanzas inside stanzas (XEP-0297), children taken out, and messages around content that is written already.
//!
//! Why bytes: copies and archived messages are many, and what is inside must be what was sent (STANZA-11, E2E-06). Refuses:
//! trees; whoever needs one has [`Stanza::payload`].

use super::reply::Reply;
use super::{Kind, Stanza, StanzaType, child_name};
use crate::framing::tag::{Attributes, unescape};
use crate::jid::Jid;
use crate::ns;

/// A child element as it is written, for whoever looks for one.
#[derive(Clone, Copy, Debug)]
pub struct ChildTag<'a> {
    /// Local name.
    pub name: &'a str,
    /// Namespace.
    pub ns: &'a str,
    /// It is written without content (`<query/>`); an element without content may be written otherwise.
    pub empty: bool,
    inside: &'a str,
}

impl ChildTag<'_> {
    /// Value of an attribute without a prefix.
    pub fn attr(&self, name: &str) -> Option<String> {
        Attributes::new(self.inside)
            .find(|(n, _)| *n == name)
            .map(|(_, value)| unescape(value).into_owned())
    }
}

impl Stanza {
    /// A message by this server around content that it has serialised itself: well-formed, namespaces declared.
    #[must_use]
    pub fn message_written(
        type_: StanzaType,
        from: &Jid,
        to: &Jid,
        id: Option<&str>,
        content: &[u8],
    ) -> Self {
        let reply = Reply {
            kind: Kind::Message,
            from: Some(from),
            to: Some(to),
            id,
        };
        let (type_, name) = match type_ {
            StanzaType::Chat => (StanzaType::Chat, "chat"),
            StanzaType::Headline => (StanzaType::Headline, "headline"),
            StanzaType::Groupchat => (StanzaType::Groupchat, "groupchat"),
            StanzaType::Error => (StanzaType::Error, "error"),
            _ => (StanzaType::Normal, ""),
        };
        reply.around(type_, name, content)
    }

    /// Writes the stanza as a child of an element of another namespace (`<forwarded/>`, XEP-0297).
    pub fn write_nested(&self, out: &mut Vec<u8>) {
        write_nested(self.kind, &self.bytes, out);
    }

    /// Writes what the store kept of a message ([`Stanza::bytes`]) as [`Stanza::write_nested`] does.
    pub fn write_kept_message(kept: &[u8], out: &mut Vec<u8>) {
        write_nested(Kind::Message, kept, out);
    }

    /// The first direct child with this name and namespace.
    pub fn child_tag(&self, name: &str, ns: &str) -> Option<ChildTag<'_>> {
        let own = self.own();
        self.content().find_map(|tag| {
            let found = child_name(&tag, own);
            (found == (name, ns)).then_some(ChildTag {
                name: found.0,
                ns: found.1,
                empty: tag.empty,
                inside: tag.inside,
            })
        })
    }

    /// Without the direct children for which `drop` holds; `None` if there is none.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&ChildTag<'_>) -> bool) -> Option<Self> {
        let own = self.own();
        let mut content = self.content();
        let (mut out, mut kept) = (Vec::new(), 0);
        while let Some((tag, whole)) = content.next_whole() {
            let (name, ns) = child_name(&tag, own);
            let child = ChildTag {
                name,
                ns,
                empty: tag.empty,
                inside: tag.inside,
            };
            if drop(&child) {
                out.extend_from_slice(&self.bytes[kept..whole.start]);
                kept = whole.end;
            }
        }
        if kept == 0 {
            return None;
        }
        out.extend_from_slice(&self.bytes[kept..]);
        Some(Self {
            bytes: out.into(),
            ..self.clone()
        })
    }
}

fn write_nested(kind: Kind, bytes: &[u8], out: &mut Vec<u8>) {
    // What is written at the top of a stream has no `xmlns`: it inherits the stream's.
    let name = 1 + kind.name().len();
    out.reserve(bytes.len() + 32);
    out.extend_from_slice(&bytes[..name.min(bytes.len())]);
    out.extend_from_slice(b" xmlns='");
    out.extend_from_slice(ns::CLIENT.as_bytes());
    out.push(b'\'');
    out.extend_from_slice(bytes.get(name..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;

    fn stanza(xml: &str) -> Stanza {
        let element = Element::parse(xml, ns::CLIENT).expect("well-formed");
        Stanza::from_element(&element).expect("a stanza")
    }

    fn text(stanza: &Stanza) -> &str {
        std::str::from_utf8(stanza.bytes()).expect("UTF-8")
    }

    #[test]
    fn what_is_nested_keeps_its_namespace() {
        let mut out = b"<forwarded xmlns='urn:xmpp:forward:0'>".to_vec();
        stanza("<message type='chat' id='a'><body>x</body></message>").write_nested(&mut out);
        out.extend_from_slice(b"</forwarded>");
        let tree = Element::parse(std::str::from_utf8(&out).expect("UTF-8"), "urn:x")
            .expect("well-formed");
        let inner = tree.find("message", ns::CLIENT).expect("a message");
        assert!(inner.find("body", ns::CLIENT).is_some(), "{tree:?}");
        assert_eq!(inner.get_attr("id"), Some("a"));
    }

    #[test]
    fn ext_19_children_are_taken_out_and_nothing_else_changes() {
        let forged = stanza(
            "<message xmlns:s='urn:xmpp:sid:0'><body>a &lt;stanza-id/&gt; b</body><s:stanza-id by='one' id='1'><x/></s:stanza-id>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='two' id='2'/><y xmlns='urn:y'><stanza-id xmlns='urn:xmpp:sid:0' by='one'/></y></message>",
        );
        let of_one = |tag: &ChildTag<'_>| {
            (tag.name, tag.ns) == ("stanza-id", "urn:xmpp:sid:0")
                && tag.attr("by").as_deref() == Some("one")
        };
        let clean = forged.without(of_one).expect("there was one");
        assert!(
            text(&clean).contains("a &lt;stanza-id/&gt; b"),
            "{}",
            text(&clean)
        );
        assert!(!text(&clean).contains("id='1'"), "{}", text(&clean));
        assert!(
            text(&clean).contains("by='two'") && text(&clean).contains("<y "),
            "{}",
            text(&clean)
        );
        assert!(Stanza::from_bytes(clean.bytes()).is_ok());
        assert!(clean.without(of_one).is_none());
        assert_eq!(
            clean
                .child_tag("stanza-id", "urn:xmpp:sid:0")
                .and_then(|t| t.attr("id"))
                .as_deref(),
            Some("2")
        );
        assert!(stanza("<message/>").without(|_| true).is_none());
    }

    #[test]
    fn messages_around_written_content() {
        let from = Jid::parse("a@one.example").expect("an address");
        let to = Jid::parse("a@one.example/x'y").expect("an address");
        let message =
            Stanza::message_written(StanzaType::Chat, &from, &to, None, b"<x xmlns='urn:x'/>");
        assert_eq!(
            text(&message),
            "<message from='a@one.example' to='a@one.example/x&apos;y' type='chat'><x xmlns='urn:x'/></message>"
        );
        assert!(message.has_child("x", "urn:x"));
    }
}
