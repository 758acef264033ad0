//! Where the next top-level item of an XML stream ends, and what its start tag and its texts say.
//!
//! As little of XML as a load generator needs, written apart from the server's own framing: what is measured does not check
//! itself. Refuses: validating; a server that sends ill-formed XML shows as an item that is not the expected one.

use memchr::{memchr, memchr3, memmem};

/// What lies at the beginning of the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<stream:stream …>`.
    Header,
    /// One whole element.
    Element,
    /// `</stream:stream>`.
    Close,
}

/// The next whole item: its kind and where it lies. `None`: more bytes are needed.
pub fn next(bytes: &[u8]) -> Option<(Kind, usize, usize)> {
    let mut start = 0;
    loop {
        start += bytes[start..]
            .iter()
            .take_while(|b| b.is_ascii_whitespace())
            .count();
        let rest = &bytes[start..];
        if rest.starts_with(b"<?") {
            start += memmem::find(rest, b"?>")? + 2;
            continue;
        }
        if rest.starts_with(b"</") {
            return Some((Kind::Close, start, start + memchr(b'>', rest)? + 1));
        }
        if rest.len() < b"<stream:stream".len() && b"<stream:stream".starts_with(rest) {
            return None;
        }
        if rest.starts_with(b"<stream:stream") {
            return Some((Kind::Header, start, start + tag_end(rest)?));
        }
        return element_end(rest).map(|end| (Kind::Element, start, start + end));
    }
}

/// One past the `>` of the tag that begins here.
fn tag_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr3(b'>', b'"', b'\'', bytes.get(at..)?)?;
        match bytes[at] {
            b'>' => return Some(at + 1),
            quote => at += memchr(quote, &bytes[at + 1..])? + 2,
        }
    }
}

fn element_end(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        at += memchr(b'<', bytes.get(at..)?)?;
        let end = at + tag_end(&bytes[at..])?;
        if bytes[at + 1] == b'/' {
            depth = depth.saturating_sub(1);
        } else if bytes[end - 2] != b'/' {
            depth += 1;
        }
        at = end;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Whether the item is an element of this name, whatever its prefix.
pub fn is(item: &[u8], name: &str) -> bool {
    let end = item
        .iter()
        .position(|b| b" />\t\r\n".contains(b))
        .unwrap_or(item.len());
    let tag = item.get(1..end).unwrap_or_default();
    let local = memchr(b':', tag).map_or(tag, |colon| &tag[colon + 1..]);
    local == name.as_bytes()
}

/// The value of an attribute of the item's start tag, as written.
pub fn attribute<'a>(item: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let tag = &item[..tag_end(item)?];
    for at in memmem::find_iter(tag, name.as_bytes()) {
        let after = at + name.len();
        let (Some(b'='), Some(&quote)) = (tag.get(after), tag.get(after + 1)) else {
            continue;
        };
        if tag[at - 1].is_ascii_whitespace() && (quote == b'"' || quote == b'\'') {
            let value = &tag[after + 2..];
            return Some(&value[..memchr(quote, value)?]);
        }
    }
    None
}

/// The text of the first element of this name inside, without markup of its own.
pub fn text<'a>(item: &'a [u8], name: &str) -> Option<&'a [u8]> {
    for at in memmem::find_iter(item, name.as_bytes()) {
        if at == 0 || item[at - 1] != b'<' {
            continue;
        }
        if !item
            .get(at + name.len())
            .is_some_and(|b| b" >\t\r\n".contains(b))
        {
            continue;
        }
        let start = at - 1 + tag_end(&item[at - 1..])?;
        let length = memchr(b'<', &item[start..])?;
        return Some(&item[start..start + length]);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<(Kind, &str)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while let Some((kind, start, end)) = next(&text.as_bytes()[at..]) {
            found.push((kind, &text[at + start..at + end]));
            at += end;
        }
        found
    }

    const STREAM: &str = "<?xml version='1.0'?><stream:stream from=\"a\" id='>'> <stream:features><a/><b x='/>'>t</b>\
        </stream:features>\n<message from='a@b/c' to=\"d\"><body>hello</body></message><presence/></stream:stream>";

    #[test]
    fn items_are_whole() {
        let found = items(STREAM);
        let kinds: Vec<Kind> = found.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Header,
                Kind::Element,
                Kind::Element,
                Kind::Element,
                Kind::Close
            ]
        );
        assert_eq!(found[3].1, "<presence/>");
        assert!(found[1].1.ends_with("</stream:features>"));
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        for cut in 0..STREAM.len() {
            let mut found: Vec<String> = items(&STREAM[..cut])
                .into_iter()
                .map(|(_, text)| text.to_owned())
                .collect();
            let used = found.last().map_or(0, |last| {
                STREAM[..cut].rfind(last.as_str()).expect("it is there") + last.len()
            });
            found.extend(
                items(&STREAM[used..])
                    .into_iter()
                    .map(|(_, text)| text.to_owned()),
            );
            let whole: Vec<String> = items(STREAM)
                .into_iter()
                .map(|(_, text)| text.to_owned())
                .collect();
            assert_eq!(found, whole, "cut at {cut}");
        }
    }

    #[test]
    fn tags_and_texts_are_read() {
        let item = b"<message xfrom='no' from='a@b/c' to=\"d\"><bodyx>no</bodyx><body xml:lang='en'>hello</body></message>";
        assert!(is(item, "message") && !is(item, "mess"));
        assert!(is(b"<stream:features/>", "features"));
        assert_eq!(attribute(item, "from"), Some(&b"a@b/c"[..]));
        assert_eq!(attribute(item, "to"), Some(&b"d"[..]));
        assert_eq!(attribute(item, "id"), None);
        assert_eq!(text(item, "body"), Some(&b"hello"[..]));
    }
}
