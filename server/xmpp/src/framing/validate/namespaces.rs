//! Namespaces in XML 1.0: declarations, prefixes, uniqueness of expanded names; and which elements belong to the stream's
//! content namespace.
//!
//! Why apart: XML-03 is its own specification. Refuses: undeclared prefixes, reserved names, prefixes on stanzas.

use super::{Attribute, Binding, FrameError, Ns, Open, Pass, Span, Tag, ill};
use crate::ns;

impl Pass<'_, '_> {
    /// Whether the element continues the content namespace; marks what cannot be forwarded as it is.
    pub(super) fn content(
        &mut self,
        tag: &Tag,
        ns: Ns,
        outer: Option<Open>,
        default: Ns,
    ) -> Result<bool, FrameError> {
        let Some(outer) = outer else {
            let name = self.str(ns);
            let content = name == ns::CLIENT || name == ns::SERVER;
            // STREAM-24: prefixes on the content namespace are refused at the first level and removed below it.
            if content && tag.colon != 0 {
                return Err(FrameError::ContentPrefix);
            }
            return Ok(content);
        };
        if tag.colon != 0 {
            let name = self.str(ns);
            self.unusual |= name == ns::CLIENT || name == ns::SERVER;
            return Ok(false);
        }
        if default == outer.default {
            return Ok(outer.content);
        }
        // A child that repeats `xmlns='jabber:server'` would keep it when the stanza moves to a client stream.
        if outer.content && self.str(default) == self.str(outer.default) {
            self.unusual = true;
            return Ok(true);
        }
        Ok(false)
    }

    /// Namespace declarations, uniqueness of names and of expanded names. Returns the default namespace inside.
    pub(super) fn declarations(&mut self, mut default: Ns) -> Result<Ns, FrameError> {
        let text = self.text;
        let mut prefixed = false;
        // By index: the loop adds bindings. The number of attributes is limited, so comparing each with each is bounded.
        let first = self.v.own;
        for i in first..self.v.attributes.len() {
            let a = self.v.attributes[i];
            let name = a.name.bytes(text);
            if self.v.attributes[first..i]
                .iter()
                .any(|b| b.name.len() == name.len() && b.name.bytes(text) == name)
            {
                return Err(ill("attribute given twice"));
            }
            if a.colon == 0 {
                if name == b"xmlns" {
                    default = self.declared(a, "")?;
                    self.v.bindings.push(Binding {
                        prefix: Span { from: 0, to: 0 },
                        ns: default,
                    });
                }
            } else if name.starts_with(b"xmlns:") {
                let ns = self.declared(a, a.local(text))?;
                self.v.bindings.push(Binding {
                    prefix: Span {
                        from: a.colon + 1,
                        to: a.name.to,
                    },
                    ns,
                });
            } else {
                prefixed = true;
            }
        }
        if prefixed {
            self.expanded_names()?;
        }
        Ok(default)
    }

    pub(super) fn expanded_names(&mut self) -> Result<(), FrameError> {
        let text = self.text;
        let first = self.v.own;
        for i in first..self.v.attributes.len() {
            let a = self.v.attributes[i];
            if a.colon == 0 || a.name.of(text).starts_with("xmlns:") {
                continue;
            }
            let ns = self.resolve(Span {
                from: a.name.from,
                to: a.colon,
            })?;
            for j in first..i {
                let b = self.v.attributes[j];
                if b.colon == 0
                    || b.name.of(text).starts_with("xmlns:")
                    || text.get(b.colon..b.name.to) != text.get(a.colon..a.name.to)
                {
                    continue;
                }
                let other = self.resolve(Span {
                    from: b.name.from,
                    to: b.colon,
                })?;
                if self.str(other) == self.str(ns) {
                    return Err(ill("attribute given twice through two prefixes"));
                }
            }
        }
        Ok(())
    }

    /// Checks one `xmlns` or `xmlns:prefix` (Namespaces in XML 3, 5).
    pub(super) fn declared(&mut self, given: Attribute, prefix: &str) -> Result<Ns, FrameError> {
        let ns = if given.value.len() == 0 {
            Ns::None
        } else if given.plain {
            Ns::Text(given.value)
        } else {
            let from = self.v.unescaped.len();
            self.v.unescaped.push_str(&given.value(self.text));
            Ns::Unescaped(Span {
                from,
                to: self.v.unescaped.len(),
            })
        };
        let name = self.str(ns);
        let fine = match prefix {
            "xml" => name == ns::XML,
            "xmlns" => false,
            "" => name != ns::XML && name != ns::XMLNS,
            _ => !name.is_empty() && name != ns::XML && name != ns::XMLNS,
        };
        if fine {
            Ok(ns)
        } else {
            Err(ill("bad namespace declaration"))
        }
    }

    pub(super) fn element_ns(&mut self, tag: &Tag, default: Ns) -> Result<Ns, FrameError> {
        if tag.colon == 0 {
            Ok(default)
        } else {
            self.resolve(Span {
                from: tag.name.from,
                to: tag.colon,
            })
        }
    }

    pub(super) fn resolve(&mut self, prefix: Span) -> Result<Ns, FrameError> {
        let text = self.text;
        let wanted = prefix.of(text);
        if let Some(b) = self
            .v
            .bindings
            .iter()
            .rev()
            .find(|b| b.prefix.bytes(text) == wanted.as_bytes())
        {
            return Ok(b.ns);
        }
        if wanted == "xml" {
            return Ok(Ns::Xml);
        }
        if let Some(i) = self.header.prefixes.iter().position(|(p, _)| p == wanted) {
            self.header_prefixes |= 1 << i;
            return Ok(Ns::Header(i));
        }
        Err(ill("prefix without a declaration"))
    }
}
