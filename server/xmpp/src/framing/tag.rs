//! Reading what has been validated: attributes of a start tag, children of an element, unescaped values.
//!
//! Why apart: routing asks a stanza for three attributes, and a tree would cost more than everything else together.
//! Refuses: text that was not validated. It would not panic on it, but what it says then means nothing.

use std::borrow::Cow;
use std::ops::Range;

use super::chars::is_space;

/// Attributes of a validated tag as written: qualified name and raw value.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a str,
}

impl<'a> Attributes<'a> {
    /// `inside` is the tag between the element name and `>` or `/>`.
    pub(crate) const fn new(inside: &'a str) -> Self {
        Self { rest: inside }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.rest.as_bytes();
        let start = bytes.iter().position(|b| !is_space(*b))?;
        let name_end = start
            + bytes[start..]
                .iter()
                .position(|b| *b == b'=' || is_space(*b))?;
        let open = name_end
            + bytes[name_end..]
                .iter()
                .position(|b| *b == b'\'' || *b == b'"')?;
        let length = memchr::memchr(bytes[open], &bytes[open + 1..])?;
        let item = (
            &self.rest[start..name_end],
            &self.rest[open + 1..open + 1 + length],
        );
        self.rest = &self.rest[open + length + 2..];
        Some(item)
    }
}

/// Where the tag that begins at `at` ends: the index of its `>`.
pub(crate) fn tag_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr3(b'>', b'"', b'\'', bytes.get(at..)?)?;
        match bytes[at] {
            b'>' => return Some(at),
            quote => at += 2 + memchr::memchr(quote, &bytes[at + 1..])?,
        }
    }
}

/// A start tag found in validated text.
#[derive(Clone, Debug)]
pub(crate) struct StartTag<'a> {
    /// Qualified name.
    pub(crate) name: &'a str,
    /// Between name and `>` or `/>`.
    pub(crate) inside: &'a str,
    /// `<name/>`
    pub(crate) empty: bool,
    /// One past the `>`, relative to the text it was read from.
    pub(crate) end: usize,
}

impl<'a> StartTag<'a> {
    /// The start tag whose `<` is at `at`.
    pub(crate) fn read(text: &'a str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let close = tag_end(bytes, at)?;
        let empty = bytes[close - 1] == b'/';
        let inside_end = if empty { close - 1 } else { close };
        let inner = text.get(at + 1..inside_end)?;
        let name_end = inner.bytes().position(is_space).unwrap_or(inner.len());
        let (name, inside) = inner.split_at(name_end);
        Some(Self {
            name,
            inside,
            empty,
            end: close + 1,
        })
    }

    /// Raw value of an attribute.
    pub(crate) fn raw_attribute(&self, name: &str) -> Option<&'a str> {
        Attributes::new(self.inside)
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }
}

/// Start tags of the direct children, in order.
#[derive(Clone, Debug)]
pub(crate) struct Children<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Children<'a> {
    /// `content_start` is one past the `>` of the parent's start tag.
    pub(crate) const fn new(text: &'a str, content_start: usize) -> Self {
        Self {
            text,
            at: content_start,
        }
    }

    /// The next child, and where the whole element is in the text.
    pub(crate) fn next_whole(&mut self) -> Option<(StartTag<'a>, Range<usize>)> {
        let bytes = self.text.as_bytes();
        let at = next_tag(bytes, self.at)?;
        if bytes.get(at + 1) == Some(&b'/') {
            self.at = bytes.len();
            return None;
        }
        let tag = StartTag::read(self.text, at)?;
        self.at = tag.end;
        if !tag.empty {
            self.at = element_end(bytes, tag.end)?;
        }
        Some((tag, at..self.at))
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = StartTag<'a>;

    fn next(&mut self) -> Option<StartTag<'a>> {
        self.next_whole().map(|(tag, _)| tag)
    }
}

/// The next `<` that begins a tag, past character data and CDATA sections.
fn next_tag(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr(b'<', bytes.get(at..)?)?;
        if bytes.get(at + 1) != Some(&b'!') {
            return Some(at);
        }
        at += memchr::memmem::find(&bytes[at..], b"]]>")? + 3;
    }
}

/// One past the end tag of the element whose content begins at `at`.
pub(super) fn element_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1_usize;
    loop {
        at = next_tag(bytes, at)?;
        let closing = bytes.get(at + 1) == Some(&b'/');
        let close = tag_end(bytes, at)?;
        at = close + 1;
        if closing {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        } else if bytes[close - 1] != b'/' {
            depth += 1;
        }
    }
}

/// An attribute value with references replaced and white space normalised (XML 3.3.3).
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    let Some(first) = raw
        .bytes()
        .position(|b| matches!(b, b'&' | b'\t' | b'\n' | b'\r'))
    else {
        return Cow::Borrowed(raw);
    };
    let mut out = String::with_capacity(raw.len());
    out.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while let Some(c) = rest.chars().next() {
        let mut used = c.len_utf8();
        match c {
            '&' => {
                let end = rest.find(';').unwrap_or(0);
                used = end + 1;
                out.push(rest.get(1..end).and_then(referenced).unwrap_or('\u{fffd}'));
            }
            // A CR LF pair is one line end (XML 2.11).
            '\r' => {
                used += usize::from(rest.as_bytes().get(1) == Some(&b'\n'));
                out.push(' ');
            }
            '\t' | '\n' => out.push(' '),
            other => out.push(other),
        }
        rest = &rest[used..];
    }
    Cow::Owned(out)
}

/// The character between `&` and `;`.
pub(crate) fn referenced(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => {
            let number = name.strip_prefix('#')?;
            let value = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            value.ok().and_then(char::from_u32)
        }
    }
}

/// Writes text so that it can stand in an attribute value between apostrophes or quotation marks, or as character data.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    // Nearly every text is plain: it is looked through by table and copied whole.
    while let Some(at) = rest.iter().position(|b| ESCAPED[usize::from(*b)]) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            b'\'' => b"&apos;",
            b'"' => b"&quot;",
            b'\t' => b"&#x9;",
            b'\n' => b"&#xA;",
            _ => b"&#xD;",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Bytes that [`escape_into`] does not copy; of the white space, what normalisation at the receiver would lose.
const ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 8 {
        table[b"&<>'\"\t\n\r"[i] as usize] = true;
        i += 1;
    }
    table
};
