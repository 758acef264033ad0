//! One strict pass over a complete tag or element: XML 1.0 and Namespaces in XML 1.0 well-formedness.
//!
//! Why own: `quick-xml` leaves most of these checks to its caller, and the server forwards the very bytes it received, so
//! what it lets through it vouches for (XML-02, XML-03). Scratch vectors are kept between elements: no allocation per
//! stanza. Refuses: comments, processing instructions, DTDs, entities (XML-01).
//!
//! Never panics, whatever the text.

use super::chars::{forbidden, is_space, qualified_name, reference};
use super::{FrameError, Limits, StreamHeader, tag};
use crate::ns;

/// Scratch of the validator.
#[derive(Debug, Default)]
pub(super) struct Validator {
    attributes: Vec<Attribute>,
    open: Vec<Open>,
    bindings: Vec<Binding>,
    /// Namespace names that needed unescaping.
    unescaped: String,
}

/// What is known of a validated element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) name_end: usize,
    /// 0: none.
    pub(super) colon: usize,
    pub(super) ns: Ns,
    /// Index of the `>` or `/>` of the start tag.
    pub(super) tag_end: usize,
    /// Bit *i*: prefix *i* of the stream header is used and not declared in the element itself (STREAM-25).
    pub(super) header_prefixes: u64,
    /// Legal, but weak receivers stumble over it or it cannot move between streams as it is: re-serialise.
    pub(super) unusual: bool,
}

/// Where a namespace name is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ns {
    None,
    Xml,
    /// The default namespace of the stream header.
    Content,
    /// Prefix of the stream header, by index.
    Header(usize),
    Text(Span),
    Unescaped(Span),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: usize,
    to: usize,
}

#[derive(Clone, Copy, Debug)]
struct Attribute {
    name: Span,
    colon: usize,
    value: Span,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    name: Span,
    /// Bindings in force outside.
    bindings: usize,
    default: Ns,
    /// Reached from the root through elements of the content namespace only.
    content: bool,
}

#[derive(Clone, Copy, Debug)]
struct Binding {
    prefix: Span,
    ns: Ns,
}

struct Tag {
    name: Span,
    colon: usize,
    tag_end: usize,
    end: usize,
    empty: bool,
}

const fn ill(what: &'static str) -> FrameError {
    FrameError::NotWellFormed(what)
}

impl Span {
    fn of(self, text: &str) -> &str {
        text.get(self.from..self.to).unwrap_or_default()
    }

    /// Like [`Span::of`], without asking for character boundaries: for comparing.
    fn bytes(self, text: &str) -> &[u8] {
        text.as_bytes().get(self.from..self.to).unwrap_or_default()
    }

    const fn len(self) -> usize {
        self.to - self.from
    }
}

/// The surroundings of one validation.
struct Pass<'v, 't> {
    v: &'v mut Validator,
    text: &'t str,
    header: &'t StreamHeader,
    limits: Limits,
    header_prefixes: u64,
    unusual: bool,
}

impl Validator {
    /// Validates a whole first-level element.
    pub(super) fn element(
        &mut self,
        text: &str,
        header: &StreamHeader,
        limits: Limits,
    ) -> Result<Checked, FrameError> {
        self.clear();
        let returns = forbidden(text.as_bytes())?;
        let mut pass = Pass {
            v: self,
            text,
            header,
            limits,
            header_prefixes: 0,
            unusual: returns,
        };
        pass.whole()
    }

    /// Validates a stream header tag and reads it.
    pub(super) fn header(
        &mut self,
        text: &str,
        limits: Limits,
    ) -> Result<StreamHeader, FrameError> {
        self.clear();
        forbidden(text.as_bytes())?;
        let nothing = StreamHeader::default();
        let mut pass = Pass {
            v: self,
            text,
            header: &nothing,
            limits,
            header_prefixes: 0,
            unusual: false,
        };
        let (tag, default) = pass.start_tag(0, Ns::None)?;
        let root = pass.element_ns(&tag, default)?;
        let mut read = StreamHeader {
            ns: self.ns_str(root, text, &nothing).to_owned(),
            content_ns: self.ns_str(default, text, &nothing).to_owned(),
            ..StreamHeader::default()
        };
        if read.ns != ns::STREAM {
            return Err(FrameError::RootNamespace);
        }
        if tag.local(text) != "stream" {
            return Err(FrameError::NotAStream);
        }
        for binding in &self.bindings {
            let prefix = binding.prefix.of(text);
            if !prefix.is_empty() {
                read.prefixes.push((
                    prefix.to_owned(),
                    self.ns_str(binding.ns, text, &nothing).to_owned(),
                ));
            }
        }
        if read.prefixes.len() > MAX_HEADER_PREFIXES {
            return Err(FrameError::TooManyAttributes);
        }
        read.dialback = read.prefixes.iter().any(|(_, n)| n == ns::DIALBACK);
        for attribute in &self.attributes {
            let slot = match attribute.name.of(text) {
                "to" => &mut read.to,
                "from" => &mut read.from,
                "id" => &mut read.id,
                "xml:lang" => &mut read.lang,
                "version" => {
                    read.version = version(attribute.value.of(text));
                    continue;
                }
                _ => continue,
            };
            *slot = Some(tag::unescape(attribute.value.of(text)).into_owned());
        }
        Ok(read)
    }

    /// Text of a namespace found by the last validation of `text`.
    pub(super) fn ns_str<'a>(&'a self, ns: Ns, text: &'a str, header: &'a StreamHeader) -> &'a str {
        match ns {
            Ns::None => "",
            Ns::Xml => ns::XML,
            Ns::Content => &header.content_ns,
            Ns::Header(i) => header.prefixes.get(i).map_or("", |(_, n)| n),
            Ns::Text(span) => span.of(text),
            Ns::Unescaped(span) => span.of(&self.unescaped),
        }
    }

    fn clear(&mut self) {
        self.attributes.clear();
        self.open.clear();
        self.bindings.clear();
        self.unescaped.clear();
    }
}

/// Bits of [`Checked::header_prefixes`].
const MAX_HEADER_PREFIXES: usize = 64;

impl Pass<'_, '_> {
    fn whole(&mut self) -> Result<Checked, FrameError> {
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

    /// Whether the element continues the content namespace; marks what cannot be forwarded as it is.
    fn content(
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

    fn start_tag(&mut self, at: usize, default: Ns) -> Result<(Tag, Ns), FrameError> {
        let bytes = self.text.as_bytes();
        let byte = |i: usize| bytes.get(i).copied().unwrap_or(0);
        let (name_end, colon) = qualified_name(self.text, at + 1)?;
        self.v.attributes.clear();
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
        let default = if self.v.attributes.is_empty() {
            default
        } else {
            self.declarations(default)?
        };
        Ok((tag, default))
    }

    fn attribute(&mut self, at: usize) -> Result<usize, FrameError> {
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
                b'&' => p = self.reference(p)?,
                _ => break,
            }
        }
        if self.v.attributes.len() >= self.limits.attributes {
            return Err(FrameError::TooManyAttributes);
        }
        self.v.attributes.push(Attribute {
            name: Span {
                from: at,
                to: name_end,
            },
            colon,
            value: Span { from, to: p },
        });
        Ok(p + 1)
    }

    /// Namespace declarations, uniqueness of names and of expanded names. Returns the default namespace inside.
    fn declarations(&mut self, mut default: Ns) -> Result<Ns, FrameError> {
        let text = self.text;
        let mut prefixed = false;
        // By index: the loop adds bindings. The number of attributes is limited, so comparing each with each is bounded.
        for i in 0..self.v.attributes.len() {
            let a = self.v.attributes[i];
            let name = a.name.bytes(text);
            if self.v.attributes[..i]
                .iter()
                .any(|b| b.name.len() == name.len() && b.name.bytes(text) == name)
            {
                return Err(ill("attribute given twice"));
            }
            if a.colon == 0 {
                if name == b"xmlns" {
                    default = self.declared(a.value, "")?;
                    self.v.bindings.push(Binding {
                        prefix: Span { from: 0, to: 0 },
                        ns: default,
                    });
                }
            } else if name.starts_with(b"xmlns:") {
                let ns = self.declared(a.value, a.local(text))?;
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

    fn expanded_names(&mut self) -> Result<(), FrameError> {
        let text = self.text;
        for i in 0..self.v.attributes.len() {
            let a = self.v.attributes[i];
            if a.colon == 0 || a.name.of(text).starts_with("xmlns:") {
                continue;
            }
            let ns = self.resolve(Span {
                from: a.name.from,
                to: a.colon,
            })?;
            for j in 0..i {
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
    fn declared(&mut self, value: Span, prefix: &str) -> Result<Ns, FrameError> {
        let raw = value.of(self.text);
        let ns = if raw.is_empty() {
            Ns::None
        } else if raw
            .bytes()
            .any(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r'))
        {
            let from = self.v.unescaped.len();
            self.v.unescaped.push_str(&tag::unescape(raw));
            Ns::Unescaped(Span {
                from,
                to: self.v.unescaped.len(),
            })
        } else {
            Ns::Text(value)
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

    fn element_ns(&mut self, tag: &Tag, default: Ns) -> Result<Ns, FrameError> {
        if tag.colon == 0 {
            Ok(default)
        } else {
            self.resolve(Span {
                from: tag.name.from,
                to: tag.colon,
            })
        }
    }

    fn resolve(&mut self, prefix: Span) -> Result<Ns, FrameError> {
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

    fn end_tag(&mut self, at: usize) -> Result<usize, FrameError> {
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

    fn cdata(&mut self, at: usize) -> Result<usize, FrameError> {
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
    fn characters(&mut self, at: usize) -> Result<usize, FrameError> {
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

    fn reference(&mut self, at: usize) -> Result<usize, FrameError> {
        let end = reference(self.text, at)?;
        self.unusual |= end - at > LONGEST_USUAL_REFERENCE;
        Ok(end)
    }

    fn str(&self, ns: Ns) -> &str {
        self.v.ns_str(ns, self.text, self.header)
    }
}

impl Attribute {
    fn local<'a>(&self, text: &'a str) -> &'a str {
        Span {
            from: self.colon + 1,
            to: self.name.to,
        }
        .of(text)
    }
}

impl Tag {
    fn local<'a>(&self, text: &'a str) -> &'a str {
        let from = if self.colon == 0 {
            self.name.from
        } else {
            self.colon + 1
        };
        Span {
            from,
            to: self.name.to,
        }
        .of(text)
    }
}

/// COMPAT: rxml-based clients refuse references longer than 8 characters.
const LONGEST_USUAL_REFERENCE: usize = 8;

/// What `<!...` that is no CDATA section in its place means (XML-01).
pub(super) fn markup_error(from_lt: &[u8]) -> FrameError {
    match from_lt.get(2) {
        Some(b'-') => FrameError::Restricted("comment"),
        Some(b'A'..=b'Z') => FrameError::Restricted("document type declaration"),
        _ => ill("bad markup"),
    }
}

/// `major.minor` (RFC 6120 4.7.5); leading zeros are ignored there, numbers beyond `u32` are unreadable.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let number = |s: &str| {
        s.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| s.parse().ok())
            .flatten()
    };
    Some((number(major)?, number(minor)?))
}
