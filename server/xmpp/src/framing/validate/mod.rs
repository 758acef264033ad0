//! One strict pass over a complete tag or element: XML 1.0 and Namespaces in XML 1.0 well-formedness.
//!
//! Why own: `quick-xml` leaves most of these checks to its caller, and the server forwards the very bytes it received, so
//! what it lets through it vouches for (XML-02, XML-03). Scratch vectors are kept between elements: no allocation per
//! stanza. Refuses: comments, processing instructions, DTDs, entities (XML-01).
//!
//! Never panics, whatever the text.

mod markup;
mod namespaces;

use std::borrow::Cow;

use super::chars::{White, forbidden};
use super::{FrameError, Limits, StreamHeader, tag};
use crate::ns;

/// Scratch of the validator.
#[derive(Debug, Default)]
pub(super) struct Validator {
    /// Those of the element's own tag, then those of the tag being read.
    attributes: Vec<Attribute>,
    /// How many are the element's own.
    own: usize,
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
pub(super) struct Attribute {
    name: Span,
    colon: usize,
    value: Span,
    /// Stands for itself: no reference, no white space to normalise.
    plain: bool,
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
    white: White,
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
        let white = forbidden(text.as_bytes())?;
        let mut pass = Pass {
            v: self,
            text,
            header,
            limits,
            header_prefixes: 0,
            unusual: white.returns,
            white,
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
        let white = forbidden(text.as_bytes())?;
        let nothing = StreamHeader::default();
        let mut pass = Pass {
            v: self,
            text,
            header: &nothing,
            limits,
            header_prefixes: 0,
            unusual: false,
            white,
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
            *slot = Some(attribute.value(text).into_owned());
        }
        Ok(read)
    }

    /// Attributes of the element that was validated last.
    pub(super) fn own_attributes(&self) -> &[Attribute] {
        self.attributes.get(..self.own).unwrap_or_default()
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
        self.own = 0;
        self.open.clear();
        self.bindings.clear();
        self.unescaped.clear();
    }
}

/// Bits of [`Checked::header_prefixes`].
const MAX_HEADER_PREFIXES: usize = 64;

impl Attribute {
    /// Qualified name.
    pub(super) fn name<'a>(&self, text: &'a str) -> &'a str {
        self.name.of(text)
    }

    /// Value as written.
    pub(super) fn raw<'a>(&self, text: &'a str) -> &'a str {
        self.value.of(text)
    }

    /// Value with references replaced and white space normalised.
    pub(super) fn value<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let raw = self.raw(text);
        if self.plain {
            Cow::Borrowed(raw)
        } else {
            tag::unescape(raw)
        }
    }

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
