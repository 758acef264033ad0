//! A small XML tree with namespaces.

/// Why a text is not an element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a well-formed element: {0}")]
pub struct ElementError(pub String);

/// One attribute; `ns` is `None` for the usual unprefixed kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Namespace of a prefixed attribute, e.g. [`crate::ns::XML`] for `xml:lang`.
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

impl Element {
    /// Parses one element; `default_ns` is the namespace in scope without a prefix.
    pub fn parse(_text: &str, _default_ns: &str) -> Result<Self, ElementError> {
        todo!()
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
    pub fn attr(self, _key: &str, _value: impl Into<String>) -> Self {
        todo!()
    }
    /// Builder: adds or replaces an attribute when there is a value.
    #[must_use]
    pub fn attr_opt(self, _key: &str, _value: Option<impl Into<String>>) -> Self {
        todo!()
    }
    /// Builder: appends a child.
    #[must_use]
    pub fn child(self, _child: Self) -> Self {
        todo!()
    }
    /// Builder: appends character data.
    #[must_use]
    pub fn text(self, _text: impl Into<String>) -> Self {
        todo!()
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
    pub fn get_attr(&self, _key: &str) -> Option<&str> {
        todo!()
    }
    /// Sets an attribute.
    pub fn set_attr(&mut self, _key: &str, _value: impl Into<String>) {
        todo!()
    }
    /// Removes an attribute.
    pub fn remove_attr(&mut self, _key: &str) -> Option<String> {
        todo!()
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
    pub fn retain_children(&mut self, _keep: impl FnMut(&Self) -> bool) {
        todo!()
    }
    /// Character data directly inside, concatenated.
    pub fn text_content(&self) -> String {
        todo!()
    }
    /// Serialises; `parent_ns` is the default namespace in scope where it is written.
    pub fn write(&self, _out: &mut Vec<u8>, _parent_ns: &str) {
        todo!()
    }
    /// Serialised text, see [`Element::write`].
    pub fn to_xml(&self, _parent_ns: &str) -> String {
        todo!()
    }
}
