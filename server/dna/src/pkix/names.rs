//! The names in a certificate, and when one is the name that was claimed (RFC 6125 6.4, 6.5; RFC 6120 13.7.1).

use std::fmt;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;
use xmpp::jid::{DomainName, Jid};

use crate::Service;

/// id-on-dnsSRV (RFC 4985 2)
const SRV_NAME: &str = "1.3.6.1.5.5.7.8.7";
/// id-on-xmppAddr (RFC 6120 13.7.1.4)
const XMPP_ADDR: &str = "1.3.6.1.5.5.7.8.5";

/// A presented identifier. Text as in the certificate, lower-cased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// dNSName, A-labels; the left-most may be `*`.
    Dns(String),
    /// SRVName, like `_xmpp-server.example.com`.
    Srv(String),
    /// XmppAddr, a JID.
    Xmpp(String),
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS-ID {name}"),
            Self::Srv(name) => write!(f, "SRV-ID {name}"),
            Self::Xmpp(name) => write!(f, "XmppAddr {name}"),
        }
    }
}

/// All identifiers of a certificate that we know. The Common Name is none (CERT-10).
pub fn identifiers(certificate: &X509Certificate<'_>) -> Vec<Identifier> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(Identifier::Dns(name.to_ascii_lowercase())),
            GeneralName::OtherName(oid, value) => match oid.to_id_string().as_str() {
                SRV_NAME => Some(Identifier::Srv(string(value)?.to_ascii_lowercase())),
                XMPP_ADDR => Some(Identifier::Xmpp(string(value)?.to_owned())),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// The string inside `[0] EXPLICIT`, UTF8String or IA5String whichever was meant: issuers mix them up.
fn string(value: &[u8]) -> Option<&str> {
    let inner = content(0xa0, value).unwrap_or(value);
    std::str::from_utf8(content(0x0c, inner).or_else(|| content(0x16, inner))?).ok()
}

/// Content of one DER value with this tag and a definite length of up to two bytes.
fn content(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (
            usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?),
            rest.get(2..)?,
        ),
        _ => return None,
    };
    (first == tag && rest.len() == length).then_some(rest)
}

/// The identifier that is this domain (A-labels) for this service.
pub(super) fn find<'a>(
    found: &'a [Identifier],
    domain: &str,
    service: Service,
) -> Option<&'a Identifier> {
    found.iter().find(|identifier| match identifier {
        Identifier::Dns(pattern) => dns_matches(pattern, domain),
        Identifier::Srv(name) => srv_matches(name, domain, service),
        Identifier::Xmpp(address) => xmpp_matches(address, domain),
    })
}

/// The DNS-ID that is this host: the only kind that names a host (RFC 7673 4.1).
pub(super) fn find_host<'a>(found: &'a [Identifier], host: &str) -> Option<&'a Identifier> {
    found.iter().find(
        |identifier| matches!(identifier, Identifier::Dns(pattern) if dns_matches(pattern, host)),
    )
}

/// Label by label, case-insensitively; `*` only as the whole left-most label, for exactly one label, with at least two
/// labels behind it (CERT-09, CERT-11).
fn dns_matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    if let Some(parent) = pattern.strip_prefix("*.") {
        return match name.split_once('.') {
            Some((first, rest)) => {
                !first.is_empty() && parent.contains('.') && same_name(rest, parent)
            }
            None => false,
        };
    }
    same_name(pattern, name)
}

/// No wildcard, and a name that some issuers write in U-labels against the rules matches nothing.
fn same_name(one: &str, other: &str) -> bool {
    !one.is_empty() && !one.contains('*') && one.eq_ignore_ascii_case(other)
}

/// `_service.name`; both parts match, no transport label (CERT-05).
fn srv_matches(identifier: &str, domain: &str, service: Service) -> bool {
    identifier
        .strip_prefix('_')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(named, name)| {
            named.eq_ignore_ascii_case(service.name()) && dns_matches(name, domain)
        })
}

/// A bare domain as JID (CERT-06); U-labels there, so both sides are canonicalised.
fn xmpp_matches(address: &str, domain: &str) -> bool {
    Jid::parse(address).is_ok_and(|jid| {
        jid.local().is_none()
            && jid.resource().is_none()
            && DomainName::parse(domain).is_ok_and(|domain| jid.domain() == domain.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cert_09_wildcards() {
        for (pattern, name, matches) in [
            ("example.com", "example.com", true),
            ("EXAMPLE.com", "example.COM", true),
            ("example.com.", "example.com", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("a*.example.com", "ab.example.com", false),
            ("a.*.com", "a.example.com", false),
            ("*.*.com", "a.example.com", false),
            ("*.com", "example.com", false),
            ("*", "com", false),
            ("*.", "com", false),
            ("", "", false),
        ] {
            assert_eq!(dns_matches(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn cert_11_a_labels_whatever_their_case() {
        for (pattern, name, matches) in [
            ("xn--bcher-kva.example", "b\u{fc}cher.example", true),
            ("XN--Bcher-KVA.Example", "B\u{dc}CHER.example", true),
            ("*.xn--bcher-kva.example", "a.b\u{fc}cher.example", true),
            ("xn--bcher-kva.example", "bucher.example", false),
            // U-labels have no place in a certificate.
            ("b\u{fc}cher.example", "b\u{fc}cher.example", false),
        ] {
            let domain = DomainName::parse(name).expect("a domain");
            let found = [Identifier::Dns(pattern.into())];
            assert_eq!(
                find(&found, &domain.to_ascii(), Service::Server).is_some(),
                matches,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn cert_05_srv_id_names_service_and_domain() {
        for (name, service, matches) in [
            ("_xmpp-server.example.com", Service::Server, true),
            ("_XMPP-Server.Example.com", Service::Server, true),
            ("_xmpp-client.example.com", Service::Server, false),
            ("_xmpp-client.example.com", Service::Client, true),
            ("_xmpp-server._tcp.example.com", Service::Server, false),
            ("xmpp-server.example.com", Service::Server, false),
            ("_xmpp-server.other.example", Service::Server, false),
        ] {
            assert_eq!(srv_matches(name, "example.com", service), matches, "{name}");
        }
    }

    #[test]
    fn cert_06_xmpp_addr_of_a_domain() {
        assert!(xmpp_matches("example.com", "example.com"));
        assert!(xmpp_matches("b\u{fc}cher.example", "xn--bcher-kva.example"));
        assert!(!xmpp_matches("juliet@example.com", "example.com"));
        assert!(!xmpp_matches("example.com/resource", "example.com"));
    }

    #[test]
    fn other_name_with_either_string_tag() {
        assert_eq!(string(b"\xa0\x05\x0c\x03a.b"), Some("a.b"));
        assert_eq!(string(b"\xa0\x05\x16\x03a.b"), Some("a.b"));
        assert_eq!(string(b"\x16\x03a.b"), Some("a.b"));
        for cut in [
            &b""[..],
            b"\xa0",
            b"\xa0\x05\x0c\x03a.",
            b"\xa0\x80\x0c\x03a.b",
        ] {
            assert_eq!(string(cut), None);
        }
    }
}
