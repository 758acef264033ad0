//! Addresses (RFC 7622).

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a string is not an address. Whose fault: whoever sent it.
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
    /// A part is longer than 1023 bytes.
    #[error("a part is longer than 1023 bytes")]
    TooLong,
}

/// A domainpart in canonical U-label form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName {
    text: Arc<str>,
}

/// `local@domain` or `domain`, canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid {
    text: Arc<str>,
}

/// Any address, canonical.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jid {
    text: Arc<str>,
}

impl DomainName {
    /// Canonical form of a domainpart; A-labels, U-labels, IPv4 and bracketed IPv6 are accepted.
    pub fn parse(_text: &str) -> Result<Self, JidError> {
        todo!()
    }
    /// U-label form.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// A-label form, for DNS, TLS and ACME.
    pub fn to_ascii(&self) -> Cow<'_, str> {
        todo!()
    }
    /// Whether this is an IP literal.
    pub fn is_ip(&self) -> bool {
        todo!()
    }
}

impl BareJid {
    /// Parses an address that must have no resourcepart.
    pub fn parse(_text: &str) -> Result<Self, JidError> {
        todo!()
    }
    /// From parts; the localpart is enforced.
    pub fn new(_local: Option<&str>, _domain: &DomainName) -> Result<Self, JidError> {
        todo!()
    }
    /// Localpart.
    pub fn local(&self) -> Option<&str> {
        todo!()
    }
    /// Domainpart.
    pub fn domain(&self) -> &str {
        todo!()
    }
    /// Domainpart as its own value.
    pub fn domain_name(&self) -> DomainName {
        todo!()
    }
    /// Canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// Adds a resourcepart, enforcing it.
    pub fn with_resource(&self, _resource: &str) -> Result<Jid, JidError> {
        todo!()
    }
}

impl Jid {
    /// Parses any address.
    pub fn parse(_text: &str) -> Result<Self, JidError> {
        todo!()
    }
    /// Localpart.
    pub fn local(&self) -> Option<&str> {
        todo!()
    }
    /// Domainpart.
    pub fn domain(&self) -> &str {
        todo!()
    }
    /// Domainpart as its own value.
    pub fn domain_name(&self) -> DomainName {
        todo!()
    }
    /// Resourcepart.
    pub fn resource(&self) -> Option<&str> {
        todo!()
    }
    /// Without the resourcepart.
    pub fn bare(&self) -> BareJid {
        todo!()
    }
    /// Text without the resourcepart.
    pub fn bare_str(&self) -> &str {
        todo!()
    }
    /// Canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// Whether there is no resourcepart.
    pub fn is_bare(&self) -> bool {
        todo!()
    }
}

impl From<BareJid> for Jid {
    fn from(_: BareJid) -> Self {
        todo!()
    }
}
impl From<DomainName> for Jid {
    fn from(_: DomainName) -> Self {
        todo!()
    }
}
impl From<DomainName> for BareJid {
    fn from(_: DomainName) -> Self {
        todo!()
    }
}

macro_rules! text_like {
    ($t:ty) => {
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
        impl FromStr for $t {
            type Err = JidError;
            fn from_str(s: &str) -> Result<Self, JidError> {
                Self::parse(s)
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
    };
}
text_like!(DomainName);
text_like!(BareJid);
text_like!(Jid);
