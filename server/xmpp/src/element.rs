//! A small XML tree with namespaces, for payloads the server itself reads or makes.
//!
//! Why own: routing needs no tree at all, and what needs one wants five methods. `quick-xml` reads it. Refuses:
//! comments, processing instructions, prefixes (only names and namespaces survive), and anything not well-formed.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::framing::{self, FrameError, Limits, tag};
use crate::ns;

pub use crate::framing::tag::escape_into;

/// Why a text is not an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an element")]
pub struct ElementError(#[from] FrameError);

/// One attribute; `ns` is `None` for the usual unprefixed kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Namespace of a prefixed attribute, e.g. [`ns::XML`] for `xml:lang`.
    pub ns: Option<String>,
    /// Local name.
    pub name: String,
    /// Value, unescaped.
    pub value: String,
}

/// Child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Character data, unescaped.
    Text(String),
}

/// An element with its resolved namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    name: String,
    ns: String,
    attributes: Vec<Attribute>,
    nodes: Vec<Node>,
}

/// Bounds of [`Element::parse`]: nesting is bounded because writing and dropping a tree recurse.
const PARSE_LIMITS: Limits = Limits {
    element_bytes: 16 * 1024 * 1024,
    depth: 128,
    attributes: 256,
};

impl Element {
    /// Parses exactly one element (white space around it is ignored); `default_ns` is the namespace in scope without a
    /// prefix.
    pub fn parse(text: &str, default_ns: &str) -> Result<Self, ElementError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        Ok(framing::with_element(
            text,
            default_ns,
            PARSE_LIMITS,
            |raw| raw.to_element(),
        )?)
    }

    /// A new element without attributes or children.
    pub fn new(name: impl Into<String>, ns: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ns: ns.into(),
            attributes: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Builder: adds or replaces an attribute (`xml:lang` is understood).
    #[must_use]
    pub fn attr(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set_attr(key, value);
        self
    }

    /// Builder: adds or replaces an attribute when there is a value.
    #[must_use]
    pub fn attr_opt(mut self, key: &str, value: Option<impl Into<String>>) -> Self {
        if let Some(value) = value {
            self.set_attr(key, value);
        }
        self
    }

    /// Builder: appends a child.
    #[must_use]
    pub fn child(mut self, child: Self) -> Self {
        self.push(child);
        self
    }

    /// Builder: appends a child when there is one.
    #[must_use]
    pub fn child_opt(mut self, child: Option<Self>) -> Self {
        if let Some(child) = child {
            self.push(child);
        }
        self
    }

    /// Builder: appends children.
    #[must_use]
    pub fn children_from(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.nodes.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Builder: appends character data. Characters that XML cannot carry become U+FFFD.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.push_text(&representable(text.into()));
        self
    }

    /// Local name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace.
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// Whether name and namespace are these.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// Value of an attribute (`xml:lang` is understood).
    pub fn get_attr(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|a| a.matches(key))
            .map(|a| a.value.as_str())
    }

    /// Adds or replaces an attribute. Characters that XML cannot carry become U+FFFD.
    pub fn set_attr(&mut self, key: &str, value: impl Into<String>) {
        let value = representable(value.into());
        if let Some(a) = self.attributes.iter_mut().find(|a| a.matches(key)) {
            a.value = value;
            return;
        }
        let (ns, name) = match key.strip_prefix("xml:") {
            Some(name) => (Some(ns::XML.to_owned()), name),
            None => (None, key),
        };
        self.attributes.push(Attribute {
            ns,
            name: name.to_owned(),
            value,
        });
    }

    /// Removes an attribute and returns its value.
    pub fn remove_attr(&mut self, key: &str) -> Option<String> {
        let at = self.attributes.iter().position(|a| a.matches(key))?;
        Some(self.attributes.remove(at).value)
    }

    /// All attributes.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Child elements.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.nodes.iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// First child of this name and namespace.
    pub fn find(&self, name: &str, ns: &str) -> Option<&Self> {
        self.children().find(|e| e.is(name, ns))
    }

    /// Appends a child.
    pub fn push(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    /// Keeps only the child elements for which `keep` holds; text stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        self.nodes.retain(|n| match n {
            Node::Element(e) => keep(e),
            Node::Text(_) => true,
        });
    }

    /// Character data directly inside, concatenated.
    pub fn text_content(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|n| match n {
                Node::Text(t) => Some(t.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// Serialises; `parent_ns` is the default namespace in scope where it is written.
    pub fn write(&self, out: &mut Vec<u8>, parent_ns: &str) {
        out.push(b'<');
        out.extend_from_slice(self.name.as_bytes());
        if self.ns != parent_ns {
            attribute(out, "xmlns", &self.ns);
        }
        for (i, a) in self.attributes.iter().enumerate() {
            match a.ns.as_deref() {
                None => attribute(out, &a.name, &a.value),
                Some(ns::XML) => attribute(out, &format!("xml:{}", a.name), &a.value),
                Some(ns) => {
                    attribute(out, &format!("xmlns:n{i}"), ns);
                    attribute(out, &format!("n{i}:{}", a.name), &a.value);
                }
            }
        }
        if self.nodes.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        for node in &self.nodes {
            match node {
                Node::Element(e) => e.write(out, &self.ns),
                Node::Text(t) => write_text(out, t),
            }
        }
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'>');
    }

    /// Serialised text, see [`Element::write`].
    pub fn to_xml(&self, parent_ns: &str) -> String {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out, parent_ns);
        // Built from `str` pieces only.
        String::from_utf8(out).unwrap_or_default()
    }

    /// The tree of a text the validator has accepted. `prefixes` are in scope from outside.
    pub(crate) fn from_validated(
        text: &str,
        default_ns: &str,
        prefixes: &[(String, String)],
    ) -> Self {
        Builder::new(default_ns, prefixes).read(text)
    }

    /// Changes `from` to `to` on this element and on every descendant reached through elements in `from` only.
    pub(crate) fn rescope(&mut self, from: &str, to: &str) {
        if self.ns != from {
            return;
        }
        self.ns = to.to_owned();
        for node in &mut self.nodes {
            if let Node::Element(e) = node {
                e.rescope(from, to);
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Node::Text(last)) = self.nodes.last_mut() {
            last.push_str(text);
        } else {
            self.nodes.push(Node::Text(text.to_owned()));
        }
    }
}

impl Attribute {
    fn matches(&self, key: &str) -> bool {
        match (key.strip_prefix("xml:"), self.ns.as_deref()) {
            (Some(name), Some(ns::XML)) => self.name == name,
            (None, None) => self.name == key,
            _ => false,
        }
    }
}

/// Builds the tree from `quick-xml` events. Namespaces are resolved here because the reader compares declarations before
/// unescaping them.
struct Builder {
    /// Prefix (empty: default) and namespace, innermost last.
    bindings: Vec<(String, String)>,
    /// Open elements with the number of bindings outside of them.
    open: Vec<(Element, usize)>,
}

impl Builder {
    fn new(default_ns: &str, prefixes: &[(String, String)]) -> Self {
        let mut bindings = vec![
            ("xml".to_owned(), ns::XML.to_owned()),
            (String::new(), default_ns.to_owned()),
        ];
        bindings.extend_from_slice(prefixes);
        Self {
            bindings,
            open: Vec::new(),
        }
    }

    fn read(mut self, text: &str) -> Element {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_end_names = false; // checked already
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => self.start(&tag),
                Ok(Event::Empty(tag)) => {
                    self.start(&tag);
                    if let Some(done) = self.end() {
                        return done;
                    }
                }
                Ok(Event::End(_)) => {
                    if let Some(done) = self.end() {
                        return done;
                    }
                }
                Ok(Event::Text(t)) => self.characters(&t.xml10_content()),
                Ok(Event::CData(t)) => self.characters(&t.xml10_content()),
                Ok(Event::GeneralRef(r)) => {
                    let c = tag::referenced(&r.into_inner()).unwrap_or('\u{fffd}');
                    self.characters(c.encode_utf8(&mut [0; 4]));
                }
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
                // The validator accepted the text, so this is not reached; close what is open rather than lose it.
                Ok(Event::Eof) | Err(_) => loop {
                    match self.end() {
                        Some(done) => return done,
                        None if self.open.is_empty() => return Element::new("", ""),
                        None => {}
                    }
                },
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        let outside = self.bindings.len();
        let inside = tag.attributes_raw();
        for (name, value) in tag::Attributes::new(inside) {
            if name == "xmlns" {
                self.bindings
                    .push((String::new(), tag::unescape(value).into_owned()));
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                self.bindings
                    .push((prefix.to_owned(), tag::unescape(value).into_owned()));
            }
        }
        let qualified = tag.name().into_inner();
        let (prefix, name) = qualified.split_once(':').unwrap_or(("", qualified));
        let mut element = Element::new(name, self.resolve(prefix));
        for (name, value) in tag::Attributes::new(inside) {
            let (ns, name) = match name.split_once(':') {
                Some(("xmlns", _)) => continue,
                Some((prefix, name)) => (Some(self.resolve(prefix).to_owned()), name),
                None if name == "xmlns" => continue,
                None => (None, name),
            };
            let value = tag::unescape(value).into_owned();
            element.attributes.push(Attribute {
                ns,
                name: name.to_owned(),
                value,
            });
        }
        self.open.push((element, outside));
    }

    /// Closes the innermost element; returns it when it was the root.
    fn end(&mut self) -> Option<Element> {
        let (element, outside) = self.open.pop()?;
        self.bindings.truncate(outside);
        match self.open.last_mut() {
            Some((parent, _)) => {
                parent.push(element);
                None
            }
            None => Some(element),
        }
    }

    fn characters(&mut self, text: &str) {
        if let Some((element, _)) = self.open.last_mut() {
            element.push_text(text);
        }
    }

    fn resolve(&self, prefix: &str) -> &str {
        self.bindings
            .iter()
            .rev()
            .find(|(p, _)| p == prefix)
            .map_or("", |(_, ns)| ns)
    }
}

fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    tag::escape_into(out, value);
    out.push(b'\'');
}

/// Character data: line ends and tabs stay readable, only a carriage return must be kept from normalisation.
fn write_text(out: &mut Vec<u8>, text: &str) {
    for b in text.bytes() {
        match b {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'\r' => out.extend_from_slice(b"&#xD;"),
            _ => out.push(b),
        }
    }
}

fn representable(text: String) -> String {
    let fine = |c: char| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    if text.chars().all(fine) {
        return text;
    }
    text.chars()
        .map(|c| if fine(c) { c } else { '\u{fffd}' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, written: &str) {
        let element = Element::parse(text, "jabber:client").expect(text);
        assert_eq!(element.to_xml("jabber:client"), written);
        assert_eq!(
            Element::parse(written, "jabber:client").as_ref(),
            Ok(&element),
            "{written}"
        );
    }

    #[test]
    fn trees_survive_writing() {
        check("<a/>", "<a/>");
        check(" <a></a>\n", "<a/>");
        check(
            "<a b=\"1\" c='&lt;&#x26;&apos;'>x<b/>y</a>",
            "<a b='1' c='&lt;&amp;&apos;'>x<b/>y</a>",
        );
        check(
            "<a xmlns='u'><b xmlns=''/><c xmlns='u'/></a>",
            "<a xmlns='u'><b xmlns=''/><c/></a>",
        );
        check(
            "<p:a xmlns:p='u'><p:b/><c/></p:a>",
            "<a xmlns='u'><b/><c xmlns='jabber:client'/></a>",
        );
        check("<a xml:lang='de'/>", "<a xml:lang='de'/>");
        check("<a xmlns:p='u' p:b='1'/>", "<a xmlns:n0='u' n0:b='1'/>");
        check("<a><![CDATA[<x>&]]></a>", "<a>&lt;x&gt;&amp;</a>");
        check("<a>1\r\n2\r3&#13;</a>", "<a>1\n2\n3&#xD;</a>");
        check("<a b='1\n2\t&#10;'/>", "<a b='1 2 &#xA;'/>");
        check("<a xmlns='u?a&amp;b'/>", "<a xmlns='u?a&amp;b'/>");
    }

    #[test]
    fn only_one_well_formed_element_is_an_element() {
        for bad in [
            "",
            "a",
            "<a>",
            "<a/><b/>",
            "<a/>x",
            "<a><!-- c --></a>",
            "<p:a/>",
            "<a>&x;</a>",
            "<a b='1' b='2'/>",
        ] {
            assert!(Element::parse(bad, "").is_err(), "{bad}");
        }
        let deep = "<a>".repeat(200) + &"</a>".repeat(200);
        assert!(Element::parse(&deep, "").is_err());
    }

    #[test]
    fn attributes_and_children() {
        let mut e = Element::new("query", "q")
            .attr("xml:lang", "en")
            .attr("node", "n")
            .attr_opt("ver", None::<String>)
            .child(Element::new("item", "q").text("a").text("b"))
            .text("c");
        assert_eq!(e.get_attr("xml:lang"), Some("en"));
        assert_eq!(e.get_attr("lang"), None);
        e.set_attr("node", "m");
        assert_eq!(e.remove_attr("node").as_deref(), Some("m"));
        assert_eq!(
            e.find("item", "q").map(Element::text_content).as_deref(),
            Some("ab")
        );
        assert_eq!(e.text_content(), "c");
        e.retain_children(|_| false);
        assert_eq!(e.to_xml("q"), "<query xml:lang='en'>c</query>");
    }

    #[test]
    fn characters_that_xml_cannot_carry_do_not_break_the_stream() {
        let e = Element::new("a", "")
            .attr("b", "\u{0}x")
            .text("\u{b}\u{ffff}");
        assert_eq!(e.to_xml(""), "<a b='\u{fffd}x'>\u{fffd}\u{fffd}</a>");
    }
}
