//! Addresses (RFC 7622): [`Jid`], [`BareJid`], [`DomainName`].
//!
//! Why own: the platform's identity rests on these, and RFC 7622 is PRECIS, not stringprep. A value of these types is
//! canonical: enforced once when parsed (ADDR-01..12), compared byte for byte afterwards (ADDR-06). Refuses: keeping what
//! was written before enforcement; whoever must echo the original has it in the stanza.
//!
//! All three are one shared string and two offsets, so a clone is a counter.

mod domain;
mod enforce;
#[cfg(test)]
mod tests;

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

pub use self::domain::DomainName;
pub use self::enforce::PART_BYTES;
pub use self::enforce::nickname_key;
pub(crate) use self::enforce::opaque_string;

/// Why a string is not an address. Whose fault: whoever wrote it; on a stanza the answer is `<jid-malformed/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// No domainpart, or not a valid one.
    #[error("the domainpart is not a valid domain name")]
    Domain,
    /// Empty or disallowed localpart.
    #[error("the localpart is empty or holds characters that are not allowed")]
    Local,
    /// Empty or disallowed resourcepart.
    #[error("the resourcepart is empty or holds characters that are not allowed")]
    Resource,
    /// A resourcepart where only a bare address is meant.
    #[error("a resourcepart is not allowed here")]
    NotBare,
    /// A part is longer than 1023 bytes.
    #[error("a part is longer than 1023 bytes")]
    TooLong,
}

/// `local@domain` or `domain`, canonical. Cheap to clone.
#[derive(Clone)]
pub struct BareJid {
    text: Arc<str>,
    /// Where the domainpart begins: 0, or one past the `@`.
    domain: u16,
}

/// Any address, canonical. Cheap to clone.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Where the domainpart begins: 0, or one past the `@`.
    domain: u16,
    /// Length of the bare part; the whole length when there is no resourcepart.
    bare: u16,
}

impl Jid {
    /// Parses any address: cut at the first `/`, then at the first `@`, then enforced (ADDR-01).
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let (rest, resource) = match memchr::memchr(b'/', text.as_bytes()) {
            Some(i) => (&text[..i], Some(&text[i + 1..])),
            None => (text, None),
        };
        let (local, domain) = match memchr::memchr(b'@', rest.as_bytes()) {
            Some(i) => (Some(&rest[..i]), &rest[i + 1..]),
            None => (None, rest),
        };
        let local = local.map(enforce::local).transpose()?;
        let domain = domain::canonical(domain)?;
        let resource = resource.map(enforce::resource).transpose()?;
        let start = local.as_ref().map_or(0, |l| l.len() + 1);
        let bare = start + domain.len();
        let total = bare + resource.as_ref().map_or(0, |r| r.len() + 1);
        let unchanged = total == text.len()
            && matches!(domain, Cow::Borrowed(_))
            && !matches!(local, Some(Cow::Owned(_)))
            && !matches!(resource, Some(Cow::Owned(_)));
        let text = if unchanged {
            Arc::from(text)
        } else {
            let mut s = String::with_capacity(total);
            if let Some(l) = &local {
                s.push_str(l);
                s.push('@');
            }
            s.push_str(&domain);
            if let Some(r) = &resource {
                s.push('/');
                s.push_str(r);
            }
            Arc::from(s)
        };
        Ok(Self {
            text,
            domain: offset(start)?,
            bare: offset(bare)?,
        })
    }

    /// Localpart.
    pub fn local(&self) -> Option<&str> {
        local(&self.text, self.domain)
    }

    /// Domainpart, U-labels.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.domain)..usize::from(self.bare)]
    }

    /// Domainpart as a value of its own; shares the string when the address is only a domain.
    pub fn domain_name(&self) -> DomainName {
        DomainName {
            text: part(&self.text, self.domain()),
        }
    }

    /// Resourcepart.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.bare) + 1..)
    }

    /// Without the resourcepart; shares the string when there is none.
    pub fn bare(&self) -> BareJid {
        BareJid {
            text: part(&self.text, self.bare_str()),
            domain: self.domain,
        }
    }

    /// Text without the resourcepart: a map keyed by [`BareJid`] can be asked with it.
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.bare)]
    }

    /// Canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no resourcepart.
    pub fn is_bare(&self) -> bool {
        usize::from(self.bare) == self.text.len()
    }
}

impl BareJid {
    /// Parses an address that must have no resourcepart.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let jid = Jid::parse(text)?;
        if jid.is_bare() {
            Ok(jid.bare())
        } else {
            Err(JidError::NotBare)
        }
    }

    /// From parts; the localpart is enforced.
    pub fn new(local: Option<&str>, domain: &DomainName) -> Result<Self, JidError> {
        let Some(local) = local else {
            return Ok(Self::from(domain.clone()));
        };
        let local = enforce::local(local)?;
        let text = format!("{local}@{}", domain.as_str());
        Ok(Self {
            domain: offset(local.len() + 1)?,
            text: Arc::from(text),
        })
    }

    /// Localpart.
    pub fn local(&self) -> Option<&str> {
        local(&self.text, self.domain)
    }

    /// Domainpart, U-labels.
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.domain)..]
    }

    /// Domainpart as a value of its own; shares the string when the address is only a domain.
    pub fn domain_name(&self) -> DomainName {
        DomainName {
            text: part(&self.text, self.domain()),
        }
    }

    /// Canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a resourcepart, enforcing it.
    pub fn with_resource(&self, resource: &str) -> Result<Jid, JidError> {
        let resource = enforce::resource(resource)?;
        Ok(Jid {
            text: Arc::from(format!("{}/{resource}", self.text)),
            domain: self.domain,
            bare: offset(self.text.len())?,
        })
    }
}

impl From<BareJid> for Jid {
    fn from(bare: BareJid) -> Self {
        // At most 2 x 1023 + 1 bytes: checked when `bare` was made.
        let length = u16::try_from(bare.text.len()).unwrap_or(u16::MAX);
        Self {
            bare: length,
            domain: bare.domain,
            text: bare.text,
        }
    }
}

impl From<DomainName> for BareJid {
    fn from(domain: DomainName) -> Self {
        Self {
            text: domain.text,
            domain: 0,
        }
    }
}

impl From<DomainName> for Jid {
    fn from(domain: DomainName) -> Self {
        BareJid::from(domain).into()
    }
}

fn local(text: &str, domain: u16) -> Option<&str> {
    // `domain` is one past the `@`; without a localpart it is 0 and there is nothing before it.
    usize::from(domain).checked_sub(1).map(|at| &text[..at])
}

fn part(whole: &Arc<str>, part: &str) -> Arc<str> {
    if part.len() == whole.len() {
        whole.clone()
    } else {
        Arc::from(part)
    }
}

fn offset(n: usize) -> Result<u16, JidError> {
    u16::try_from(n).map_err(|_| JidError::TooLong)
}

/// The canonical text decides equality, order and hash: the offsets follow from it.
macro_rules! is_its_text {
    ($($t:ident),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }
        impl FromStr for $t {
            type Err = JidError;
            fn from_str(s: &str) -> Result<Self, JidError> {
                Self::parse(s)
            }
        }
        impl Hash for $t {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }
        impl Borrow<str> for $t {
            fn borrow(&self) -> &str {
                &self.text
            }
        }
        impl AsRef<str> for $t {
            fn as_ref(&self) -> &str {
                &self.text
            }
        }
        impl PartialEq<str> for $t {
            fn eq(&self, other: &str) -> bool {
                *self.text == *other
            }
        }
        impl PartialEq<&str> for $t {
            fn eq(&self, other: &&str) -> bool {
                *self.text == **other
            }
        }
    )*};
}
is_its_text!(DomainName, BareJid, Jid);

macro_rules! compared_by_text {
    ($($t:ident),*) => {$(
        impl PartialEq for $t {
            fn eq(&self, other: &Self) -> bool {
                self.text == other.text
            }
        }
        impl Eq for $t {}
        impl PartialOrd for $t {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $t {
            fn cmp(&self, other: &Self) -> Ordering {
                self.text.cmp(&other.text)
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($t), "({})"), self.text)
            }
        }
    )*};
}
compared_by_text!(BareJid, Jid);
