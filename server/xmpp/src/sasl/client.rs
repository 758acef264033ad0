//! The client side of SCRAM, for tests of this crate and of others (feature `test-client`).
//!
//! Why: a server's exchange is only tested by someone who answers it. Refuses: to be part of a release build.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, verifier};

/// A SCRAM client at its first message.
#[derive(Debug)]
pub struct ScramClient {
    hash: Hash,
    password: String,
    gs2_header: String,
    binding: Vec<u8>,
    bare: String,
}

/// A client that has sent its proof and waits for the server's.
#[derive(Debug)]
pub struct Expected(Vec<u8>);

impl ScramClient {
    /// `gs2_header` is `n,,`, `y,,` or `p=tls-exporter,,` (with `a=...` where wanted); `binding` the data for `p`.
    pub fn new(
        hash: Hash,
        username: &str,
        password: &str,
        nonce: &str,
        gs2_header: &str,
        binding: &[u8],
    ) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password: password.to_owned(),
            gs2_header: gs2_header.to_owned(),
            binding: binding.to_vec(),
            bare: format!("n={username},r={nonce}"),
        }
    }

    /// client-first-message.
    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.gs2_header, self.bare).into_bytes()
    }

    /// client-final-message for a server-first-message; `None` when that is unreadable.
    pub fn last(&self, server_first: &[u8]) -> Option<(Vec<u8>, Expected)> {
        let server_first = std::str::from_utf8(server_first).ok()?;
        let value = |key| server_first.split(',').find_map(|a| a.strip_prefix(key));
        let salt = STANDARD.decode(value("s=")?).ok()?;
        let binding = [self.gs2_header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={}", STANDARD.encode(binding), value("r=")?);
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let password = verifier::prepare(&self.password).ok()?;
        let salted = self
            .hash
            .salted(&password, &salt, value("i=")?.parse().ok()?);
        let client_key = self.hash.hmac(&salted, &[b"Client Key"]);
        let signature = self
            .hash
            .hmac(&self.hash.digest(&client_key), &[message.as_bytes()]);
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature.iter())
            .map(|(k, s)| k ^ s)
            .collect();
        let server_key = self.hash.hmac(&salted, &[b"Server Key"]);
        let server_signature = self.hash.hmac(&server_key, &[message.as_bytes()]);
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        Some((
            last.into_bytes(),
            Expected(super::scram::server_final(&server_signature)),
        ))
    }
}

impl Expected {
    /// Whether this is the server's proof.
    pub fn is(&self, server_final: &[u8]) -> bool {
        self.0 == server_final
    }
}
