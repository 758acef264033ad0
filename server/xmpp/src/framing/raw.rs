//! A validated first-level element that is still bytes.
//!
//! Why: most elements are only asked for a name and some attributes. Refuses: nothing; what is wrong was refused before.

use std::borrow::Cow;

use super::validate::{Attribute, Checked, Validator};
use super::{FrameError, Limits, StreamHeader};
use crate::element::Element;
use crate::ns;

/// A complete first-level element, validated, still bytes. Names resolve through the stream header it came under.
#[derive(Debug, Clone, Copy)]
pub struct RawElement<'a> {
    text: &'a str,
    header: &'a StreamHeader,
    ns: &'a str,
    attributes: &'a [Attribute],
    checked: Checked,
}

/// An attribute of the start tag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawAttribute<'a> {
    text: &'a str,
    attribute: &'a Attribute,
}

impl<'a> RawAttribute<'a> {
    /// Qualified name.
    pub(crate) fn name(&self) -> &'a str {
        self.attribute.name(self.text)
    }

    /// Value as written.
    pub(crate) fn raw(&self) -> &'a str {
        self.attribute.raw(self.text)
    }

    /// Value, unescaped.
    pub(crate) fn value(&self) -> Cow<'a, str> {
        self.attribute.value(self.text)
    }
}

impl<'a> RawElement<'a> {
    pub(super) fn assemble(
        text: &'a str,
        header: &'a StreamHeader,
        checked: Checked,
        validator: &'a Validator,
    ) -> Self {
        Self {
            text,
            header,
            ns: validator.ns_str(checked.ns, text, header),
            attributes: validator.own_attributes(),
            checked,
        }
    }

    /// Local name.
    pub fn name(&self) -> &'a str {
        let from = if self.checked.colon == 0 {
            1
        } else {
            self.checked.colon + 1
        };
        &self.text[from..self.checked.name_end]
    }

    /// Prefix as written.
    pub fn prefix(&self) -> Option<&'a str> {
        (self.checked.colon != 0).then(|| &self.text[1..self.checked.colon])
    }

    /// Resolved namespace.
    pub fn ns(&self) -> &'a str {
        self.ns
    }

    /// Whether name and namespace are these.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns == ns
    }

    /// Value of an attribute of the start tag, by its name as written (`to`, `xml:lang`), unescaped.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        self.attributes()
            .find(|attribute| attribute.name() == name)
            .map(|attribute| attribute.value())
    }

    /// Attributes of the start tag, in order.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = RawAttribute<'a>> + use<'a> {
        let text = self.text;
        let attributes = self.attributes.iter();
        attributes.map(move |attribute| RawAttribute { text, attribute })
    }

    /// The element from `>` or `/>` of its start tag on.
    pub(crate) fn after_attributes(&self) -> &'a str {
        &self.text[self.checked.tag_end..]
    }

    /// Prefixes declared only on the stream header and used here, with their namespaces (STREAM-25).
    pub(crate) fn borrowed_prefixes(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let used = self.checked.header_prefixes;
        let prefixes = self.header.prefixes.iter().enumerate();
        prefixes
            .filter(move |(i, _)| used >> i & 1 == 1)
            .map(|(_, (p, n))| (p.as_str(), n.as_str()))
    }

    /// Whether this is in a content namespace that is not the one of the stream: a `jabber:server` stanza on a
    /// `jabber:client` stream. A stream whose default namespace is no content namespace leaves it to the stanza.
    pub(crate) fn is_of_another_stream(&self) -> bool {
        let content = self.header.content_ns.as_str();
        [ns::CLIENT, ns::SERVER, ns::COMPONENT].contains(&content) && self.ns != content
    }

    /// Legal but better not forwarded as it is: CDATA, carriage returns, long references, prefixes or repeated
    /// declarations of the content namespace.
    pub(crate) fn is_unusual(&self) -> bool {
        self.checked.unusual
    }

    /// The element as received.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Character data directly inside the start of the element, unescaped: the base64 of `<auth/>`, a dialback key.
    /// `None` when the element holds child elements or CDATA; read [`RawElement::to_element`] then.
    pub fn simple_text(&self) -> Option<Cow<'a, str>> {
        let rest = self.after_attributes();
        let Some(content) = rest.strip_prefix('>') else {
            return Some(Cow::Borrowed(""));
        };
        let end = content.find('<')?;
        if content.as_bytes().get(end + 1) != Some(&b'/') {
            return None;
        }
        let text = &content[..end];
        if !text.contains('&') && !text.contains('\r') {
            return Some(Cow::Borrowed(text));
        }
        Some(Cow::Owned(self.to_element().text_content()))
    }

    /// The element as a tree, prefixes of the stream header resolved.
    pub fn to_element(&self) -> Element {
        Element::from_validated(self.text, &self.header.content_ns, &self.header.prefixes)
    }
}

/// Validates a text that must be exactly one element, outside of any stream.
pub(crate) fn with_element<T>(
    text: &str,
    default_ns: &str,
    limits: Limits,
    use_it: impl FnOnce(RawElement<'_>) -> T,
) -> Result<T, FrameError> {
    let header = StreamHeader {
        content_ns: default_ns.to_owned(),
        ns: ns::STREAM.to_owned(),
        ..StreamHeader::default()
    };
    let mut validator = Validator::default();
    if text.len() > limits.element_bytes {
        return Err(FrameError::TooLong);
    }
    if !text.starts_with('<') {
        return Err(FrameError::NotWellFormed("text before the element"));
    }
    let checked = validator.element(text, &header, limits)?;
    Ok(use_it(RawElement::assemble(
        text, &header, checked, &validator,
    )))
}
