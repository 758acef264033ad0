//! Enforcement of localparts and resourceparts (RFC 7622 3.3, 3.4; PRECIS, RFC 8264 and 8265).
//!
//! Why apart: these are the two profiles, with an ASCII fast path each; everything else in the crate sees only results.
//! Refuses: case-mapping with context (final sigma, ADDR-12), and strings that do not become stable (ADDR-11).

use std::borrow::Cow;

use precis_core::{IdentifierClass, StringClass, profile::Rules};
use precis_profiles::{Nickname, OpaqueString, UsernameCaseMapped};
use unicode_bidi::BidiClass;

use super::JidError;

/// Most bytes of one part, after mapping (RFC 7622 3.2-3.4).
pub const PART_BYTES: usize = 1023;

/// Mapping shortens a part to a third at most (a full-width letter is three bytes), so anything longer is refused before
/// the expensive rules see it.
pub(super) const RAW_PART_BYTES: usize = 3 * PART_BYTES;

/// UsernameCaseMapped, then the characters RFC 7622 3.3.1 excludes (ADDR-04).
pub(super) fn local(text: &str) -> Result<Cow<'_, str>, JidError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(JidError::Local);
    }
    if bytes.len() > RAW_PART_BYTES {
        return Err(JidError::TooLong);
    }
    let enforced = if text.is_ascii() {
        if bytes.iter().any(|&b| !(0x21..=0x7e).contains(&b)) {
            return Err(JidError::Local);
        }
        if bytes.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    } else {
        stable(text, username_case_mapped).ok_or(JidError::Local)?
    };
    if enforced.bytes().any(excluded_from_local) {
        return Err(JidError::Local);
    }
    sized(enforced)
}

/// OpaqueString, and no leading space (ADDR-05, ADDR-10).
pub(super) fn resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(JidError::Resource);
    }
    if bytes.len() > RAW_PART_BYTES {
        return Err(JidError::TooLong);
    }
    let enforced = if text.is_ascii() {
        if bytes.iter().any(|&b| !(0x20..=0x7e).contains(&b)) {
            return Err(JidError::Resource);
        }
        Cow::Borrowed(text)
    } else {
        opaque_string(text).ok_or(JidError::Resource)?
    };
    if enforced.starts_with(' ') {
        return Err(JidError::Resource);
    }
    sized(enforced)
}

/// OpaqueString applied until stable (RFC 8265 4.2); also the preparation of passwords.
pub(crate) fn opaque_string(text: &str) -> Option<Cow<'_, str>> {
    use precis_core::profile::Profile;
    stable(text, |s| OpaqueString::new().enforce(s).ok())
}

/// By which two nicknames in a room are compared (RFC 8266 2.4, ADDR-15): the same for names that people would take for one
/// another's, in spaces, case and compatibility forms. A name that the profile refuses is compared as it is.
pub fn nickname_key(nick: &str) -> String {
    if nick.is_ascii() {
        let words: Vec<&str> = nick.split(' ').filter(|word| !word.is_empty()).collect();
        return words.join(" ").to_ascii_lowercase();
    }
    stable(nick, compared_nickname).map_or_else(|| nick.to_owned(), Cow::into_owned)
}

fn compared_nickname(text: &str) -> Option<Cow<'_, str>> {
    use precis_core::profile::Profile;
    let profile = Nickname::new();
    let s = profile.enforce(text).ok()?;
    let s = profile.case_mapping_rule(s).ok()?;
    profile.normalization_rule(s).ok()
}

/// Whether every code point of the label is PVALID, or allowed in its context, by the IdentifierClass.
pub(super) fn identifier(label: &str) -> bool {
    IdentifierClass::default().allows(label).is_ok()
}

/// Width mapping, lower-casing per code point, NFC: what RFC 7622 3.2.2 asks for domainparts before IDNA.
pub(super) fn width_case_nfc(text: &str) -> Option<String> {
    let rules = UsernameCaseMapped::new();
    let s = rules.width_mapping_rule(text).ok()?;
    let s = rules.case_mapping_rule(s).ok()?;
    Some(rules.normalization_rule(s).ok()?.into_owned())
}

/// RFC 8265 3.3.3, step by step. Not `UsernameCaseMapped::enforce`:
// COMPAT: precis-profiles 0.2.0 refuses a non-spacing mark inside a right-to-left label, although RFC 5893 2 rule 3 only
// speaks of the label's end; pointed Hebrew and Arabic names would be lost.
fn username_case_mapped(text: &str) -> Option<Cow<'_, str>> {
    let rules = UsernameCaseMapped::new();
    let s = rules.width_mapping_rule(text).ok()?;
    if s.is_empty() || !identifier(&s) {
        return None;
    }
    let s = rules.case_mapping_rule(s).ok()?;
    let s = rules.normalization_rule(s).ok()?;
    satisfies_bidi_rule(&s).then_some(s)
}

fn excluded_from_local(b: u8) -> bool {
    matches!(b, b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@')
}

fn sized(text: Cow<'_, str>) -> Result<Cow<'_, str>, JidError> {
    if text.len() > PART_BYTES {
        return Err(JidError::TooLong);
    }
    Ok(text)
}

/// Applies `rule` until nothing changes: once, then at most three times more (ADDR-11).
fn stable(
    text: &str,
    rule: impl for<'b> Fn(&'b str) -> Option<Cow<'b, str>>,
) -> Option<Cow<'_, str>> {
    let first = rule(text)?;
    if *first == *text {
        return Some(Cow::Borrowed(text));
    }
    let mut last = first.into_owned();
    for _ in 0..3 {
        let next = rule(&last)?;
        if *next == last {
            return Some(Cow::Owned(last));
        }
        last = next.into_owned();
    }
    None
}

/// The six conditions of RFC 5893 2, asked only of strings with a right-to-left character (RFC 8265 3.3.2 point 5).
fn satisfies_bidi_rule(text: &str) -> bool {
    use BidiClass::{AL, AN, BN, CS, EN, ES, ET, L, NSM, ON, R};
    let class = unicode_bidi::bidi_class;
    if !text.chars().any(|c| matches!(class(c), R | AL | AN)) {
        return true;
    }
    // Rules 1 and 5: a string that holds R, AL or AN can only be a right-to-left label.
    if !matches!(text.chars().next().map(class), Some(R | AL)) {
        return false;
    }
    let (mut european, mut arabic) = (false, false);
    for c in text.chars() {
        match class(c) {
            EN => european = true,
            AN => arabic = true,
            R | AL | ES | CS | ET | ON | BN | NSM => {}
            L => return false,
            _ => return false,
        }
    }
    let end = text.chars().rev().map(class).find(|k| *k != NSM);
    !(european && arabic) && matches!(end, Some(R | AL | EN | AN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addr_11_unstable_strings_are_refused() {
        // A pass takes one character off, down to one.
        let shorten = |text: &str| -> Option<String> {
            Some(text[..text.len().saturating_sub(1).max(1)].to_owned())
        };
        let stable = |text| stable(text, |s| shorten(s).map(Cow::Owned));
        assert!(matches!(stable("a"), Some(Cow::Borrowed("a"))));
        assert_eq!(stable("ab").as_deref(), Some("a"));
        assert_eq!(stable("abcd").as_deref(), Some("a"), "three passes more");
        assert_eq!(stable("abcde"), None);
    }
}
