//! What a stream says about itself: the opening tag, the features, the version and the language (RFC 6120 4.7, 4.3.2).
//!
//! Why apart: the machines write the same few tags. Refuses: choosing addresses; the machines know the rules for
//! `to` and `from` (STREAM-12, -14, -15, VHOST-04, -05).

use crate::element::Element;
use crate::framing::StreamHeader;
use crate::ns;

/// Language of our own texts, and of streams whose peer names none that we speak (STREAM-17).
pub const DEFAULT_LANG: &str = "en";

/// `</stream:stream>`
pub const CLOSE: &[u8] = b"</stream:stream>";

/// An opening tag to be written.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Default namespace: [`ns::CLIENT`] or [`ns::SERVER`] (STREAM-21).
    pub content_ns: &'a str,
    /// `from`
    pub from: Option<&'a str>,
    /// `to`
    pub to: Option<&'a str>,
    /// `id`: the receiving side's alone (STREAM-12, -16).
    pub id: Option<&'a str>,
    /// `xml:lang`
    pub lang: &'a str,
    /// `version`; left out towards a peer that sent none.
    pub version: bool,
    /// Declares the dialback prefix `db` (XEP-0220 2.1).
    pub dialback: bool,
}

impl Opening<'_> {
    /// Appends the XML declaration (XML-04) and the tag.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
        out.extend_from_slice(self.content_ns.as_bytes());
        out.extend_from_slice(b"' xmlns:stream='http://etherx.jabber.org/streams'");
        if self.dialback {
            attribute("xmlns:db", ns::DIALBACK, out);
        }
        for (name, value) in [("from", self.from), ("to", self.to), ("id", self.id)] {
            if let Some(value) = value {
                attribute(name, value, out);
            }
        }
        attribute("xml:lang", self.lang, out);
        if self.version {
            attribute("version", "1.0", out);
        }
        out.push(b'>');
    }
}

/// Appends `<stream:features/>` with these children. They are in neither the stream nor the content namespace (STREAM-01).
pub fn write_features(features: &[Element], out: &mut Vec<u8>) {
    if features.is_empty() {
        out.extend_from_slice(b"<stream:features/>");
        return;
    }
    out.extend_from_slice(b"<stream:features>");
    for feature in features {
        feature.write(out, "");
    }
    out.extend_from_slice(b"</stream:features>");
}

/// Whether our answer carries a version: the lower of both is 1.0 whenever the peer speaks at least that, and a peer without
/// `version`, or below 1.0, gets none (STREAM-19).
pub fn speaks_version_1(header: &StreamHeader) -> bool {
    header.version.is_some_and(|version| version >= (1, 0))
}

/// Language of the response header: what the peer asked for if we speak it or a parent of it, else our own (STREAM-17,
/// look-up of RFC 4647 3.4).
pub fn response_lang(asked: Option<&str>) -> &str {
    match asked {
        Some(asked) if asked.eq_ignore_ascii_case(DEFAULT_LANG) => asked,
        _ => DEFAULT_LANG,
    }
}

fn attribute(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape(value, out);
    out.push(b'\'');
}

/// Appends text, safe both as character data and inside single-quoted attributes.
pub(crate) fn escape(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\'' => out.extend_from_slice(b"&apos;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_04_declaration_before_the_header() {
        let mut out = Vec::new();
        Opening {
            content_ns: ns::CLIENT,
            from: Some("one.example"),
            to: None,
            id: Some("a'b"),
            lang: "en",
            version: true,
            dialback: false,
        }
        .write(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' from='one.example' id='a&apos;b' \
             xml:lang='en' version='1.0'>"
        );
    }

    #[test]
    fn stream_19_lower_version_wins() {
        let with = |version| {
            speaks_version_1(&StreamHeader {
                version,
                ..StreamHeader::default()
            })
        };
        assert!(with(Some((1, 0))) && with(Some((2, 13))));
        assert!(!with(Some((0, 9))) && !with(None));
    }

    #[test]
    fn stream_17_language_falls_back_to_ours() {
        assert_eq!(response_lang(Some("EN")), "EN");
        assert_eq!(response_lang(Some("en-GB")), "en");
        assert_eq!(response_lang(Some("de")), "en");
        assert_eq!(response_lang(None), "en");
    }
}
