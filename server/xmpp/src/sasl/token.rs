//! HT-SHA-256: a token proves an account in one message each way (draft-schmaus-kitten-sasl-ht), for FAST (XEP-0484).
//!
//! A token is longer than a block of the hash, so HMAC uses it by its own hash (RFC 2104 2): that is all a server keeps of
//! it, and enough to check it. Refuses: a token with another mechanism than the one it was issued for, which is its keeper's
//! to compare; here there is only the proof.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::{ChannelBindings, Hash, SaslFailure};

/// A mechanism for tokens: SHA-256 with a binding to the TLS channel, or with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenMechanism {
    /// Bound to the exporter (RFC 9266).
    Exporter,
    /// Bound to the certificate (RFC 5929 4).
    EndPoint,
    /// Not bound.
    Unbound,
}

impl TokenMechanism {
    /// The better one first.
    pub const PREFERENCE: [Self; 3] = [Self::Exporter, Self::EndPoint, Self::Unbound];

    /// Registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exporter => "HT-SHA-256-EXPR",
            Self::EndPoint => "HT-SHA-256-ENDP",
            Self::Unbound => "HT-SHA-256-NONE",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|m| m.name() == name)
    }

    /// What it binds to on this connection; `None` where the connection has no such data.
    pub fn binding(self, bindings: &ChannelBindings) -> Option<&[u8]> {
        match self {
            Self::Exporter => bindings.get("tls-exporter"),
            Self::EndPoint => bindings.get("tls-server-end-point"),
            Self::Unbound => Some(&[]),
        }
    }
}

/// What is kept of a token: its SHA-256. Stealing it does not give the token, but allows to log in in its place: the store
/// seals it.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

/// Bytes of a token at least: one more than a block of SHA-256.
pub const TOKEN_BYTES: usize = 65;

impl TokenKey {
    /// Of a token, which has [`TOKEN_BYTES`] or more.
    pub fn of(token: &str) -> Self {
        debug_assert!(token.len() >= TOKEN_BYTES);
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// As the store kept it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// For the store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the server answers, so that the client knows that it has the token too.
    pub fn answer(&self, binding: &[u8]) -> Vec<u8> {
        Hash::Sha256
            .hmac(&self.0, &[b"Responder", binding])
            .to_vec()
    }
}

impl Drop for TokenKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenKey {}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

/// The client's one message: localpart, NUL, HMAC of the token.
#[derive(Debug)]
pub struct TokenProof {
    /// Localpart as sent.
    pub username: String,
    mac: Vec<u8>,
}

impl TokenProof {
    /// Reads the message.
    ///
    /// # Errors
    /// [`SaslFailure::MalformedRequest`]
    pub fn parse(message: &[u8]) -> Result<Self, SaslFailure> {
        const BAD: SaslFailure = SaslFailure::MalformedRequest;
        let at = message.iter().position(|byte| *byte == 0).ok_or(BAD)?;
        let username = std::str::from_utf8(&message[..at]).map_err(|_| BAD)?;
        let mac = &message[at + 1..];
        if username.is_empty() || mac.len() != Hash::Sha256.output_bytes() {
            return Err(BAD);
        }
        Ok(Self {
            username: username.to_owned(),
            mac: mac.to_vec(),
        })
    }

    /// Whether it was made with this token on this connection; in constant time (SASL-40).
    pub fn matches(&self, key: &TokenKey, binding: &[u8]) -> bool {
        let expected = Hash::Sha256.hmac(&key.0, &[b"Initiator", binding]);
        expected.ct_eq(&self.mac).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HMAC with the token itself, as a client does it, is HMAC with what is kept of it.
    #[test]
    fn the_hash_of_a_long_token_is_enough_to_check_it() {
        let token = "0123456789abcdef".repeat(6);
        let mac = |who: &[u8]| {
            Hash::Sha256
                .hmac(token.as_bytes(), &[who, b"binding"])
                .to_vec()
        };
        let message = [b"alice\0", &mac(b"Initiator")[..]].concat();
        let proof = TokenProof::parse(&message).expect("a message");
        let key = TokenKey::of(&token);
        assert_eq!(proof.username, "alice");
        assert!(proof.matches(&key, b"binding"));
        assert!(!proof.matches(&key, b"another"), "another connection");
        assert!(!proof.matches(&TokenKey::of(&"x".repeat(65)), b"binding"));
        assert_eq!(key.answer(b"binding"), mac(b"Responder"));
    }

    #[test]
    fn what_is_no_message() {
        for bad in [&b""[..], b"alice", b"alice\0short", b"\0", &[0xff; 40]] {
            assert!(TokenProof::parse(bad).is_err());
        }
    }
}
