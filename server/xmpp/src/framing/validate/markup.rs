//! XML 1.0: tags, attributes, character data, references, CDATA sections.
//!
//! Why apart: the grammar, without namespaces. Refuses: comments, processing instructions, DTDs (XML-01).

use super::{Attribute, Checked, FrameError, Ns, Open, Pass, Span, Tag, ill, markup_error};
use crate::framing::chars::{is_space, qualified_name, reference};

impl Pass<'_, '_> {
    pub(super) fn whole(&mut self) -> Result<Checked, FrameError> {
        let bytes = self.text.as_bytes();
        let mut root: Option<Checked> = None;
        let mut at = 0;
        loop {
            // `at` is at a `<`.
            match bytes.get(at + 1) {
                Some(b'/') => at = self.end_tag(at)?,
                Some(b'!') => at = self.cdata(at)?,
                _ => {
                    let outer = self.v.open.last().copied();
                    let before = self.v.bindings.len();
                    let (tag, default) =
                        self.start_tag(at, outer.map_or(Ns::Content, |o| o.default))?;
                    let ns = self.element_ns(&tag, default)?;
                    let content = self.content(&tag, ns, outer, default)?;
                    if root.is_none() {
                        root = Some(Checked {
                            name_end: tag.name.to,
                            colon: tag.colon,
                            ns,
                            tag_end: tag.tag_end,
                            header_prefixes: 0,
                            unusual: false,
                        });
                        self.v.own = self.v.attributes.len();
                    }
                    at = tag.end;
                    if tag.empty {
                        self.v.bindings.truncate(before);
                    } else {
                        self.v.open.push(Open {
                            name: tag.name,
                            bindings: before,
                            default,
                            content,
                        });
                        if self.v.open.len() > self.limits.depth {
                            return Err(FrameError::TooDeep);
                        }
                    }
                }
            }
            if self.v.open.is_empty() {
                break;
            }
            at = self.characters(at)?;
        }
        if at != bytes.len() {
            return Err(ill("text after the element"));
        }
        let mut checked = root.ok_or(ill("no element"))?;
        checked.header_prefixes = self.header_prefixes;
        checked.unusual = self.unusual;
        Ok(checked)
    }

    pub(super) fn start_tag(&mut self, at: usize, default: Ns) -> Result<(Tag, Ns), FrameError> {
        let bytes = self.text.as_bytes();
        let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let (name_end, colon) = qualified_name(self.text, at + 1)?;
        self.v.attributes.truncate(self.v.own);
        let mut p = name_end;
        let (tag_end, end, empty) = loop {
            let before = p;
            while is_space(byte(p)) {
                p += 1;
            }
            match byte(p) {
                b'>' => break (p, p + 1, false),
                b'/' if byte(p + 1) == b'>' => break (p, p + 2, true),
                _ if p == before => return Err(ill("bad start tag")),
                _ => p = self.attribute(p)?,
            }
        };
        let tag = Tag {
            name: Span {
                from: at + 1,
                to: name_end,
            },
            colon,
            tag_end,
            end,
            empty,
        };
        let default = if self.v.attributes.len() == self.v.own {
            default
        } else {
            self.declarations(default)?
        };
        Ok((tag, default))
    }

    pub(super) fn attribute(&mut self, at: usize) -> Result<usize, FrameError> {
        let bytes = self.text.as_bytes();
        let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let (name_end, colon) = qualified_name(self.text, at)?;
        let mut p = name_end;
        while is_space(byte(p)) {
            p += 1;
        }
        if byte(p) != b'=' {
            return Err(ill("attribute without a value"));
        }
        p += 1;
        while is_space(byte(p)) {
            p += 1;
        }
        let quote = byte(p);
        if quote != b'"' && quote != b'\'' {
            return Err(ill("attribute value without quotes"));
        }
        p += 1;
        let from = p;
        let mut plain = !self.white.any;
        loop {
            let Some(i) = bytes
                .get(p..)
                .and_then(|rest| memchr::memchr3(quote, b'<', b'&', rest))
            else {
                return Err(ill("attribute value without end"));
            };
            p += i;
            match bytes[p] {
                b'<' => return Err(ill("< in an attribute value")),
                b'&' => {
                    plain = false;
                    p = self.reference(p)?;
                }
                _ => break,
            }
        }
        if self.v.attributes.len() - self.v.own >= self.limits.attributes {
            return Err(FrameError::TooManyAttributes);
        }
        self.v.attributes.push(Attribute {
            name: Span {
                from: at,
                to: name_end,
            },
            colon,
            value: Span { from, to: p },
            plain,
        });
        Ok(p + 1)
    }

    pub(super) fn end_tag(&mut self, at: usize) -> Result<usize, FrameError> {
        let Some(open) = self.v.open.pop() else {
            return Err(ill("end tag without a start"));
        };
        self.v.bindings.truncate(open.bindings);
        let name = open.name.of(self.text);
        if !self
            .text
            .get(at + 2..)
            .is_some_and(|rest| rest.starts_with(name))
        {
            return Err(ill("end tag of another element"));
        }
        let bytes = self.text.as_bytes();
        let mut p = at + 2 + name.len();
        while bytes.get(p).copied().is_some_and(is_space) {
            p += 1;
        }
        if bytes.get(p) == Some(&b'>') {
            Ok(p + 1)
        } else {
            Err(ill("bad end tag"))
        }
    }

    pub(super) fn cdata(&mut self, at: usize) -> Result<usize, FrameError> {
        const OPENING: &[u8] = b"<![CDATA[";
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        if self.v.open.is_empty() || !rest.starts_with(OPENING) {
            return Err(markup_error(rest));
        }
        self.unusual = true;
        match memchr::memmem::find(&rest[OPENING.len()..], b"]]>") {
            Some(i) => Ok(at + OPENING.len() + i + 3),
            None => Err(ill("CDATA section without end")),
        }
    }

    /// Character data from `at` to the next `<`.
    pub(super) fn characters(&mut self, at: usize) -> Result<usize, FrameError> {
        let bytes = self.text.as_bytes();
        let mut p = at;
        loop {
            let Some(i) = bytes
                .get(p..)
                .and_then(|rest| memchr::memchr3(b'<', b'&', b'>', rest))
            else {
                return Err(ill("element without end"));
            };
            p += i;
            match bytes[p] {
                b'<' => return Ok(p),
                b'&' => p = self.reference(p)?,
                _ => {
                    if bytes[at..p].ends_with(b"]]") {
                        return Err(ill("]]> in character data"));
                    }
                    p += 1;
                }
            }
        }
    }

    pub(super) fn reference(&mut self, at: usize) -> Result<usize, FrameError> {
        let end = reference(self.text, at)?;
        self.unusual |= end - at > LONGEST_USUAL_REFERENCE;
        Ok(end)
    }

    pub(super) fn str(&self, ns: Ns) -> &str {
        self.v.ns_str(ns, self.text, self.header)
    }
}

/// COMPAT: rxml-based clients refuse references longer than 8 characters.
const LONGEST_USUAL_REFERENCE: usize = 8;
