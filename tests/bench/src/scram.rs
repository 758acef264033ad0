//! The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), with the slow part done once per salt.
//!
//! The hashing of the password would cost the load's core more than everything else together, and nothing of it is the
//! server's: whoever has the salt's keys already does not hash again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Outcome;

/// Keys of a salted password.
#[derive(Clone)]
struct Keys {
    client: [u8; 32],
    server: [u8; 32],
}

/// Keys that were derived already, by password, salt and iterations.
#[derive(Default)]
pub struct Known(RefCell<HashMap<Salted, Keys>>);

/// Password, salt, iterations.
type Salted = (String, Vec<u8>, u32);

fn sign(key: &[u8], text: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let mut out = [0; 32];
    out.copy_from_slice(tag.as_ref());
    out
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Keys {
    let mut salted = [0u8; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    Keys {
        client: sign(&salted, b"Client Key"),
        server: sign(&salted, b"Server Key"),
    }
}

/// `StoredKey` and `ServerKey`: what a server keeps of a password.
pub fn verifier(password: &str, salt: &[u8], iterations: u32) -> ([u8; 32], [u8; 32]) {
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let keys = derive(password, salt, iterations);
    (hash(&keys.client), keys.server)
}

/// The password's verifiers as RFC 5803 writes them, for each hash that Domicile keeps, separated by blanks.
pub fn rfc5803(password: &str, salt: &[u8], iterations: u32) -> String {
    let count = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    let all = [
        (
            "1",
            pbkdf2::PBKDF2_HMAC_SHA1,
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
        ),
        (
            "256",
            pbkdf2::PBKDF2_HMAC_SHA256,
            hmac::HMAC_SHA256,
            &digest::SHA256,
        ),
        (
            "512",
            pbkdf2::PBKDF2_HMAC_SHA512,
            hmac::HMAC_SHA512,
            &digest::SHA512,
        ),
    ];
    let each = all.map(|(name, slow, quick, plain)| {
        let mut salted = vec![0u8; plain.output_len()];
        pbkdf2::derive(slow, count, salt, password.as_bytes(), &mut salted);
        let key = hmac::Key::new(quick, &salted);
        let stored = digest::digest(plain, hmac::sign(&key, b"Client Key").as_ref());
        let (salt, stored) = (BASE64.encode(salt), BASE64.encode(stored));
        let server = BASE64.encode(hmac::sign(&key, b"Server Key"));
        format!("SCRAM-SHA-{name}${iterations}:{salt}${stored}:{server}")
    });
    each.join(" ")
}

/// One exchange.
pub struct Exchange {
    bare: String,
    expected: [u8; 32],
}

impl Exchange {
    /// A new exchange, and its first message (not yet in base64).
    pub fn begin(user: &str) -> Outcome<(Self, String)> {
        let mut nonce = [0u8; 18];
        rand::fill(&mut nonce).map_err(|_| "no randomness")?;
        let bare = format!("n={user},r={}", BASE64.encode(nonce));
        let first = format!("n,,{bare}");
        Ok((
            Self {
                bare,
                expected: [0; 32],
            },
            first,
        ))
    }

    /// The answer to the server's first message (decoded), not yet in base64.
    pub fn answer(&mut self, known: &Known, password: &str, server_first: &str) -> Outcome<String> {
        let field = |name: &str| {
            server_first
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or_else(|| format!("SCRAM: no {name} in \"{server_first}\""))
        };
        let (nonce, salt, count) = (field("r=")?, field("s=")?, field("i=")?);
        let salt = BASE64
            .decode(salt)
            .map_err(|e| format!("SCRAM salt: {e}"))?;
        let iterations: NonZeroU32 = count
            .parse()
            .map_err(|e| format!("SCRAM iterations: {e}"))?;
        let index = (password.to_owned(), salt, iterations.get());
        let found = known.0.borrow().get(&index).cloned();
        let keys = found.unwrap_or_else(|| {
            let keys = derive(password, &index.1, iterations);
            known.0.borrow_mut().insert(index, keys.clone());
            keys
        });
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{server_first},{without_proof}", self.bare);
        let signature = sign(&hash(&keys.client), signed.as_bytes());
        let proof: Vec<u8> = keys
            .client
            .iter()
            .zip(signature)
            .map(|(k, s)| k ^ s)
            .collect();
        self.expected = sign(&keys.server, signed.as_bytes());
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Whether the server's last message (decoded) shows that it knows the account.
    pub fn verify(&self, server_final: &str) -> Outcome<()> {
        let shown = server_final
            .split(',')
            .find_map(|part| part.strip_prefix("v="));
        let shown = shown.and_then(|text| BASE64.decode(text).ok());
        if shown.as_deref() == Some(&self.expected[..]) {
            return Ok(());
        }
        Err(format!("SCRAM: the server's signature is wrong: \"{server_final}\"").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_are_those_of_the_examples() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let all = rfc5803("pencil", &salt, 4096);
        let known = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                     wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(all.split(' ').nth(1), Some(known));
    }

    /// RFC 7677 3.
    #[test]
    fn the_example_of_rfc_7677() {
        let mut exchange = Exchange {
            bare: "n=user,r=rOprNGfwEbeRWgbNEkqO".into(),
            expected: [0; 32],
        };
        let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = exchange
            .answer(&Known::default(), "pencil", first)
            .expect("an answer");
        assert!(
            answer.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
            "{answer}"
        );
        exchange
            .verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
            .expect("the right signature");
        assert!(exchange.verify("v=AAAA").is_err());
    }
}
