//! Which characters XML 1.0 (fifth edition) and Namespaces in XML allow where.
//!
//! Why apart: three tables that framer, validator and the tests share.

use super::FrameError;

/// What a byte may be; bytes from 0x80 on are in no class: they are decoded and asked as characters.
const CLASS: [u8; 256] = classes();

const NAME_START: u8 = 1;
const NAME: u8 = 2;
const SPACE: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME_START | NAME,
            b'0'..=b'9' | b'-' | b'.' => NAME,
            b' ' | b'\t' | b'\r' | b'\n' => SPACE,
            _ => 0,
        };
        b += 1;
    }
    table
}

fn class(b: u8) -> u8 {
    CLASS[usize::from(b)]
}

/// XML production 3.
pub(super) fn is_space(b: u8) -> bool {
    class(b) & SPACE != 0
}

/// Whether a tag may begin with this byte. `:` may not: names are qualified names.
pub(super) fn may_start_name(b: u8) -> bool {
    b >= 0x80 || class(b) & NAME_START != 0
}

/// XML production 2.
pub(super) fn is_char(c: u32) -> bool {
    matches!(c, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF)
}

/// XML production 4 without the colon.
fn is_name_start(c: char) -> bool {
    matches!(c, 'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

/// XML production 4a without the colon.
fn is_name(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// A qualified name beginning at `from`: where it ends, and where its colon is, 0 without one (a name never begins with
/// a colon, so 0 cannot be a place).
pub(super) fn qualified_name(text: &str, from: usize) -> Result<(usize, usize), FrameError> {
    let bytes = text.as_bytes();
    let (mut at, mut colon, mut first) = (from, 0, true);
    while let Some(rest) = bytes.get(at..)
        && let Some(&b) = rest.first()
    {
        if class(b) & (if first { NAME_START } else { NAME }) != 0 {
            // Nearly every name is one run of ASCII.
            let run = rest.iter().position(|b| class(*b) & NAME == 0);
            at += run.unwrap_or(rest.len());
        } else if b == b':' && colon == 0 && !first {
            (colon, first) = (at, true);
            at += 1;
            continue;
        } else if b < 0x80 {
            break;
        } else {
            match text.get(at..).and_then(|rest| rest.chars().next()) {
                Some(c) if is_name_start(c) || (is_name(c) && !first) => at += c.len_utf8(),
                _ => break,
            }
        }
        first = false;
    }
    // `first` here: nothing was read, or nothing after the colon. A second colon stops the loop and is then unexpected
    // where the caller looks for `=`, space or `>`.
    if first {
        Err(FrameError::NotWellFormed("bad name"))
    } else {
        Ok((at, colon))
    }
}

/// A reference whose `&` is at `at`: one past its `;`.
pub(super) fn reference(text: &str, at: usize) -> Result<usize, FrameError> {
    let rest = text.as_bytes().get(at + 1..).unwrap_or_default();
    for known in [&b"lt;"[..], b"gt;", b"amp;", b"quot;", b"apos;"] {
        if rest.starts_with(known) {
            return Ok(at + 1 + known.len());
        }
    }
    let Some((b'#', rest)) = rest.split_first() else {
        // Well-formed but undefined without a DTD, which is what RFC 6120 11.1 restricts.
        let (end, _) = qualified_name(text, at + 1)?;
        return match text.as_bytes().get(end) {
            Some(b';') => Err(FrameError::Restricted("entity reference")),
            _ => Err(FrameError::NotWellFormed("bad reference")),
        };
    };
    let (digits, radix, prefix) = match rest {
        [b'x', hex @ ..] => (hex, 16, 3),
        _ => (rest, 10, 2),
    };
    let (mut value, mut length) = (0_u32, 0);
    for &b in digits {
        let Some(digit) = char::from(b).to_digit(radix) else {
            break;
        };
        value = value.saturating_mul(radix).saturating_add(digit);
        length += 1;
    }
    if length == 0 || digits.get(length) != Some(&b';') || !is_char(value) {
        return Err(FrameError::NotWellFormed("bad character reference"));
    }
    Ok(at + prefix + length + 1)
}

/// White space other than blanks, which XML normalises in attribute values and at line ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct White {
    /// A carriage return.
    pub(super) returns: bool,
    /// A carriage return, a tab or a line feed.
    pub(super) any: bool,
}

/// One pass for what may occur nowhere: control characters, U+FFFE, U+FFFF. Tells which white space there is.
pub(super) fn forbidden(bytes: &[u8]) -> Result<White, FrameError> {
    let (mut control, mut returns, mut any, mut high) = (false, false, false, false);
    // No early exit: the compiler makes this 16 or 32 bytes at a time.
    for &b in bytes {
        let white = b == b'\t' || b == b'\n' || b == b'\r';
        control |= b < 0x20 && !white;
        any |= white;
        returns |= b == b'\r';
        high |= b == 0xEF;
    }
    if control
        || (high
            && memchr::memchr_iter(0xEF, bytes)
                .any(|i| matches!(bytes[i..], [_, 0xBF, 0xBE | 0xBF, ..])))
    {
        return Err(FrameError::NotWellFormed("character not allowed in XML"));
    }
    Ok(White { returns, any })
}
