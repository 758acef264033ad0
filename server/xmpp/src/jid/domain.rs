//! Domainparts (RFC 7622 3.2): DNS names in U-label form, IPv4 and bracketed IPv6 literals.
//!
//! Why apart: this is where IDNA lives. Stored and compared as U-labels; DNS, TLS and ACME ask for [`DomainName::to_ascii`].
//! Refuses: labels that IDNA2008 does not allow even where browsers would map them (ligatures, soft hyphens, emoji).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::{JidError, enforce};

/// A domainpart in canonical U-label form. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DomainName {
    pub(super) text: Arc<str>,
}

impl DomainName {
    /// Canonical form of a domainpart (ADDR-03): one final dot is stripped, case and width are mapped, A-labels become
    /// U-labels; IPv4 and bracketed IPv6 literals are accepted.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        Ok(Self {
            text: Arc::from(&*canonical(text)?),
        })
    }

    /// U-label form, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the other name lies below this one.
    pub fn is_parent_of(&self, other: &Self) -> bool {
        let rest = other.text.strip_suffix(&*self.text);
        rest.is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
    }

    /// A-label form, for DNS, TLS and ACME; IP literals unchanged.
    pub fn to_ascii(&self) -> Cow<'_, str> {
        if self.text.is_ascii() {
            return Cow::Borrowed(&self.text);
        }
        // `canonical` has already converted this very text; an error here cannot happen, and the U-labels would then be
        // refused by whatever wanted A-labels.
        ascii(&self.text).unwrap_or(Cow::Borrowed(&self.text))
    }

    /// Whether this is an IPv4 or bracketed IPv6 literal: no SRV look-up, no certificate by name.
    pub fn is_ip(&self) -> bool {
        self.text.starts_with('[') || self.text.parse::<Ipv4Addr>().is_ok()
    }
}

/// What [`DomainName::parse`] keeps; borrowed when the text was canonical already.
pub(super) fn canonical(text: &str) -> Result<Cow<'_, str>, JidError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(JidError::Domain);
    }
    if text.len() > enforce::RAW_PART_BYTES {
        return Err(JidError::TooLong);
    }
    if let Some(inner) = text.strip_prefix('[') {
        return ipv6(inner, text);
    }
    match ascii_labels(text) {
        Labels::Canonical => Ok(Cow::Borrowed(text)),
        Labels::UpperCase => Ok(Cow::Owned(text.to_ascii_lowercase())),
        Labels::Bad => Err(JidError::Domain),
        Labels::International => international(text).map(Cow::Owned),
    }
}

fn ipv6<'a>(inner: &str, whole: &'a str) -> Result<Cow<'a, str>, JidError> {
    let address: Ipv6Addr = inner
        .strip_suffix(']')
        .and_then(|a| a.parse().ok())
        .ok_or(JidError::Domain)?;
    let written = format!("[{address}]");
    Ok(if written == whole {
        Cow::Borrowed(whole)
    } else {
        Cow::Owned(written)
    })
}

enum Labels {
    Canonical,
    UpperCase,
    International,
    Bad,
}

/// One pass over an all-ASCII name. Anything with a non-ASCII byte or an `xn--` label goes the long way.
fn ascii_labels(text: &str) -> Labels {
    if !text.is_ascii() {
        return Labels::International;
    }
    let mut upper = false;
    let mut international = false;
    for label in text.as_bytes().split(|&b| b == b'.') {
        match label {
            [] | [b'-', ..] | [.., b'-'] => return Labels::Bad,
            [b'x' | b'X', b'n' | b'N', b'-', b'-', ..] => international = true,
            // R-LDH labels other than A-labels are reserved (RFC 5890 2.3.1).
            [_, _, b'-', b'-', ..] => return Labels::Bad,
            _ if label.len() > 63 => return Labels::Bad,
            _ => {}
        }
        for b in label {
            match b {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
                b'A'..=b'Z' => upper = true,
                _ => return Labels::Bad,
            }
        }
    }
    if international {
        Labels::International
    } else if text.len() > 253 {
        Labels::Bad
    } else if upper {
        Labels::UpperCase
    } else {
        Labels::Canonical
    }
}

fn international(text: &str) -> Result<String, JidError> {
    // The ideographic full stop separates labels too (RFC 5895 2 step 4).
    let mapped = enforce::width_case_nfc(text)
        .ok_or(JidError::Domain)?
        .replace('\u{3002}', ".");
    let (unicode, outcome) = Uts46::new().to_unicode(
        mapped.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
    );
    outcome.map_err(|_| JidError::Domain)?;
    // UTS 46 maps more than IDNA2008 allows; a label it had to change was not a U-label.
    let mut labels = mapped.split('.');
    for label in unicode.split('.') {
        let written = labels.next().ok_or(JidError::Domain)?;
        if (!written.starts_with("xn--") && written != label) || !nr_ldh_or_u_label(label) {
            return Err(JidError::Domain);
        }
    }
    if labels.next().is_some() || unicode.len() > enforce::PART_BYTES {
        return Err(JidError::Domain);
    }
    ascii(&unicode).ok_or(JidError::Domain)?;
    Ok(unicode.into_owned())
}

fn nr_ldh_or_u_label(label: &str) -> bool {
    let reserved = label.as_bytes().get(2..4) == Some(b"--");
    !label.is_empty() && !reserved && (label.is_ascii() || enforce::identifier(label))
}

fn ascii(unicode: &str) -> Option<Cow<'_, str>> {
    Uts46::new()
        .to_ascii(
            unicode.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()
}
