//! What a server keeps instead of a password (RFC 5802 3), and the hashing under it.
//!
//! Why apart: storing and setting passwords needs this much of SASL and no more. Refuses: to keep or print a password;
//! key material leaves memory when dropped.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::jid;

/// Iterations of new verifiers and of fakes (SASL-17). The client pays them too.
pub const DEFAULT_ITERATIONS: u32 = 10_000;

/// Bytes of salt in new verifiers and in fakes.
pub const SALT_BYTES: usize = 16;

/// Hash function of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl Hash {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// `SHA-1`, `SHA-256`, `SHA-512`: also what the store writes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }

    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.name() == name)
    }

    /// Bytes of output.
    pub fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// H(data).
    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    /// HMAC(key, parts joined).
    pub(super) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        fn run<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
            // HMAC takes keys of any length (RFC 2104 2), so this cannot fail.
            let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
                return Vec::new();
            };
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().to_vec()
        }
        Zeroizing::new(match self {
            Self::Sha1 => run::<Hmac<Sha1>>(key, parts),
            Self::Sha256 => run::<Hmac<Sha256>>(key, parts),
            Self::Sha512 => run::<Hmac<Sha512>>(key, parts),
        })
    }

    /// Hi(password, salt, iterations): PBKDF2 (RFC 5802 2.2).
    pub(super) fn salted(self, password: &str, salt: &[u8], iterations: u32) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(vec![0; self.output_bytes()]);
        let password = password.as_bytes();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, iterations, &mut out),
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        }
        out
    }
}

/// What a server keeps to check a password (RFC 5802 3). Stealing it does not give the password, but allows to pose as
/// the server and to guess offline: the store seals or guards it.
#[derive(Clone)]
pub struct ScramVerifier {
    /// Hash function.
    pub hash: Hash,
    /// Salt, [`SALT_BYTES`] random bytes.
    pub salt: Vec<u8>,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Vec<u8>,
}

/// Why a password cannot be used. Whose fault: whoever chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Empty, or characters outside OpaqueString (RFC 8265 4.2).
    #[error("the password is empty or holds control characters")]
    Disallowed,
    /// More than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than 1023 bytes")]
    TooLong,
}

/// Longest password; a login must not make us hash megabytes.
pub const MAX_PASSWORD_BYTES: usize = 1023;

impl ScramVerifier {
    /// Derives from a password, enforcing OpaqueString. Costs PBKDF2, about 1 ms of CPU at 10,000 iterations of SHA-256:
    /// call it where blocking is allowed. `salt` comes from the caller's randomness.
    pub fn derive(
        hash: Hash,
        password: &str,
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self, PasswordError> {
        let password = prepare(password)?;
        let salted = hash.salted(&password, salt, iterations);
        Ok(Self::of_salted(hash, &salted, salt, iterations))
    }

    /// From a SaltedPassword that a client has computed (RFC 5802 3, XEP-0480 3); `None`: it is not as long as the hash.
    pub fn from_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: u32) -> Option<Self> {
        (salted.len() == hash.output_bytes())
            .then(|| Self::of_salted(hash, salted, salt, iterations))
    }

    fn of_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: u32) -> Self {
        let client_key = hash.hmac(salted, &[b"Client Key"]);
        Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(salted, &[b"Server Key"]).to_vec(),
        }
    }

    /// Verifier of an account that does not exist: the same salt every time, and no password fits, so that an exchange
    /// with an unknown user looks and costs like one with a wrong password (SASL-11).
    pub fn fake(hash: Hash, server_secret: &[u8], bare: &str) -> Self {
        let make = |what: &[u8], bytes: usize| {
            let parts: [&[u8]; 5] = [what, b"\0", hash.name().as_bytes(), b"\0", bare.as_bytes()];
            Hash::Sha512.hmac(server_secret, &parts)[..bytes].to_vec()
        };
        Self {
            hash,
            salt: make(b"scram salt", SALT_BYTES),
            iterations: DEFAULT_ITERATIONS,
            stored_key: make(b"scram stored key", hash.output_bytes()),
            server_key: make(b"scram server key", hash.output_bytes()),
        }
    }

    /// Whether the password is the one (PLAIN, password change). Costs as much as [`ScramVerifier::derive`].
    pub fn verify_plain(&self, password: &str) -> bool {
        match Self::derive(self.hash, password, &self.salt, self.iterations) {
            Ok(given) => bool::from(given.stored_key.ct_eq(&self.stored_key)),
            Err(_) => false,
        }
    }
}

/// OpaqueString (RFC 8265 4.2), which SCRAM's SASLprep became.
pub(super) fn prepare(password: &str) -> Result<Zeroizing<String>, PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    let printable = |b: u8| (0x20..=0x7e).contains(&b);
    if !password.is_empty() && password.bytes().all(printable) {
        return Ok(Zeroizing::new(password.to_owned()));
    }
    let prepared = jid::opaque_string(password).ok_or(PasswordError::Disallowed)?;
    Ok(Zeroizing::new(prepared.into_owned()))
}

impl PartialEq for ScramVerifier {
    fn eq(&self, other: &Self) -> bool {
        let keys =
            self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key);
        self.hash == other.hash
            && self.iterations == other.iterations
            && self.salt == other.salt
            && bool::from(keys)
    }
}

impl Eq for ScramVerifier {}

impl Drop for ScramVerifier {
    fn drop(&mut self) {
        self.stored_key.zeroize();
        self.server_key.zeroize();
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
