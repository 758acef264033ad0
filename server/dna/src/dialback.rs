//! Server dialback (XEP-0220) as weak verification, and its keys (XEP-0185).
//!
//! The proof: a key that only the domain named can have made for this very stream. The matching rule: whoever answers for
//! that domain, found by the DNS and asked on another connection, says it made the key. The material is obtained by that
//! connection. Secure DNS is not needed, which is why it is weak: whoever controls the DNS or the way to it controls the
//! answer (RFC 7712 7, DNA-21). Where both the delegation and the addresses were signed, forged DNS is no longer a way in
//! (XEP-0344); that is recorded with the proof and makes it no stronger to policy, since the way itself stays open.
//!
//! Refuses: a platform-wide secret. Each hosted domain's is derived, so that one that leaks forges nothing for others
//! (DIALBACK-06).

use std::fmt::Write;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::verdict::{Proof, Prooftype};
use crate::{Claim, Finding, Role};

/// How long weak verification is believed before the peer has to show it again.
pub const LASTS: Duration = Duration::from_secs(24 * 3600);

/// What dialback showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A peer called us and sent a key, and the authoritative server of its domain confirmed it on another connection.
    Confirmed {
        /// Address of the authoritative server.
        by: String,
        /// Signed records led there, see [`crate::dane::Endpoint::is_secure`].
        dnssec: bool,
        /// When.
        at: Timestamp,
    },
    /// We called: the DNS led us here, and the peer went on with us. That is all that dialback gives the caller about
    /// whom it called.
    Delegated {
        /// Address we were led to.
        to: String,
        /// Signed records led there, see [`crate::dane::Endpoint::is_secure`].
        dnssec: bool,
        /// When.
        at: Timestamp,
    },
}

pub(crate) fn examine(claim: &Claim, evidence: &crate::Evidence, _now: Timestamp) -> Finding {
    let (identifier, dnssec, at) = match (&evidence.dialback, claim.role) {
        (Some(Evidence::Confirmed { by, dnssec, at }), Role::Receiver) => {
            (format!("key confirmed by {by}"), *dnssec, *at)
        }
        (Some(Evidence::Delegated { to, dnssec, at }), Role::Initiator) => {
            (format!("the DNS leads to {to}"), *dnssec, *at)
        }
        // Evidence for the other direction proves nothing here (S2S-14).
        _ => return Finding::Silent,
    };
    Finding::Holds(Proof {
        by: Prooftype::Dialback,
        identifier,
        dnssec,
        until: at.after(LASTS),
        revocable: false,
        path: None,
    })
}

/// The secret behind one hosted domain's keys. Making and checking a key needs nothing else, so any node can do either
/// (DIALBACK-05).
#[derive(Clone)]
pub struct Secret {
    /// Hexadecimal SHA-256 of the secret: that is what enters the HMAC (DIALBACK-04).
    hashed: [u8; 64],
}

impl Secret {
    /// From a secret text, as configured on other servers (XEP-0185 2).
    pub fn new(secret: &[u8]) -> Self {
        let mut hashed = [0; 64];
        for (pair, byte) in hashed.chunks_exact_mut(2).zip(Sha256::digest(secret)) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Self { hashed }
    }

    /// Derives the secret of one hosted domain from the platform's (DIALBACK-06).
    pub fn for_domain(platform: &[u8], domain: &DomainName) -> Self {
        let mut mac = keyed(platform);
        mac.update(b"domicile dialback ");
        mac.update(domain.as_str().as_bytes());
        Self::new(&mac.finalize().into_bytes())
    }

    /// The key for a stream (DIALBACK-03): `receiving` is the domain it is sent to, `originating` the one it is sent for,
    /// `stream` the ID that the receiving side gave the stream.
    pub fn key(&self, receiving: &str, originating: &str, stream: &str) -> String {
        let mut mac = keyed(&self.hashed);
        mac.update(format!("{receiving} {originating} {stream}").as_bytes());
        let mut key = String::with_capacity(64);
        for byte in mac.finalize().into_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(key, "{byte:02x}");
        }
        key
    }

    /// Whether a key is ours; takes as long for a wrong one (DIALBACK-10).
    pub fn is_key(&self, key: &str, receiving: &str, originating: &str, stream: &str) -> bool {
        let ours = self.key(receiving, originating, stream);
        ours.as_bytes().ct_eq(key.trim().as_bytes()).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes keys of any length (RFC 2104 2).
        Err(_) => unreachable!("HMAC takes any key"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialback_03_vectors_of_xep_0185_and_xep_0220() {
        for (secret, receiving, originating, id, key) in [
            (
                "s3cr3tf0rd14lb4ck",
                "xmpp.example.com",
                "example.org",
                "D60000229F",
                "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643",
            ),
            (
                "s3cr3tf0rd14lb4ck",
                "montague.example",
                "capulet.example",
                "D60000229F",
                "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3",
            ),
            (
                "d14lb4ck43v3r",
                "capulet.example",
                "montague.example",
                "417GAF25",
                "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d",
            ),
        ] {
            let secret = Secret::new(secret.as_bytes());
            assert_eq!(secret.key(receiving, originating, id), key);
            assert!(secret.is_key(&format!(" {key}\n"), receiving, originating, id));
            assert!(!secret.is_key(key, originating, receiving, id));
            assert!(!secret.is_key("", receiving, originating, id));
        }
    }

    #[test]
    fn dialback_04_the_hashed_secret_is_hexadecimal() {
        assert_eq!(
            &Secret::new(b"s3cr3tf0rd14lb4ck").hashed,
            b"a7136eb1f46c9ef18c5e78c36ca257067c69b3d518285f0b18a96c33beae9acc"
        );
    }

    #[test]
    fn dialback_05_06_domains_have_secrets_of_their_own() {
        let domain = |name| DomainName::parse(name).expect("a domain");
        let one = Secret::for_domain(b"platform", &domain("one.example"));
        let two = Secret::for_domain(b"platform", &domain("two.example"));
        let again = Secret::for_domain(b"platform", &domain("one.example"));
        assert_eq!(one.key("a", "b", "c"), again.key("a", "b", "c"));
        assert_ne!(one.key("a", "b", "c"), two.key("a", "b", "c"));
    }
}
