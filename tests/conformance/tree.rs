//! XML as a tree, as far as comparing answers needs it: names with their namespaces, attributes, text. Written for the tests, so
//! that what the server wrote is not read by the server's own code.

use std::collections::BTreeMap;

const STREAMS: &str = "http://etherx.jabber.org/streams";
const DIALBACK: &str = "jabber:server:dialback";

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub ns: String,
    pub name: String,
    pub attrs: BTreeMap<String, String>,
    pub children: Vec<Self>,
    /// Its own, without that of its children.
    pub text: String,
}

/// Prefix → namespace; the default has none.
type Scope = BTreeMap<String, String>;

/// Reads one element as it would stand in a client's stream, or in one between servers.
pub fn parse(text: &str) -> Result<Tree, String> {
    let mut scope = Scope::new();
    scope.insert(String::new(), "jabber:client".into());
    scope.insert("stream".into(), STREAMS.into());
    scope.insert("db".into(), DIALBACK.into());
    let mut rest = text.trim();
    let tree = element(&mut rest, &scope).ok_or_else(|| format!("not an element: {text}"))?;
    match rest.trim() {
        "" => Ok(tree),
        more => Err(format!("more than an element: {more}")),
    }
}

fn element(rest: &mut &str, outer: &Scope) -> Option<Tree> {
    *rest = rest.strip_prefix('<')?;
    let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/')?;
    let (name, after) = rest.split_at(end);
    *rest = after;
    let mut scope = outer.clone();
    let mut attrs = BTreeMap::new();
    let open = loop {
        *rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            *rest = after;
            break false;
        }
        if let Some(after) = rest.strip_prefix('>') {
            *rest = after;
            break true;
        }
        let (key, after) = rest.split_once('=')?;
        let quote = after.chars().next().filter(|c| *c == '\'' || *c == '"')?;
        let (value, after) = after[1..].split_once(quote)?;
        *rest = after;
        let (key, value) = (key.trim(), unescaped(value));
        if key == "xmlns" {
            scope.insert(String::new(), value);
        } else if let Some(prefix) = key.strip_prefix("xmlns:") {
            scope.insert(prefix.to_owned(), value);
        } else {
            attrs.insert(key.to_owned(), value);
        }
    };
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let mut tree = Tree {
        ns: scope.get(prefix)?.clone(),
        name: local.to_owned(),
        attrs,
        ..Tree::default()
    };
    if !open {
        return Some(tree);
    }
    loop {
        let text_end = rest.find('<')?;
        tree.text.push_str(&unescaped(&rest[..text_end]));
        *rest = &rest[text_end..];
        if let Some(after) = rest.strip_prefix("</") {
            let (closing, after) = after.split_once('>')?;
            *rest = after;
            return (closing.trim() == name).then_some(tree);
        }
        tree.children.push(element(rest, &scope)?);
    }
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}
