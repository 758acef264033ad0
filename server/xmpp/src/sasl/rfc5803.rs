//! Verifiers as text (RFC 5803 2): what other servers and directories export in place of passwords, and what we export.
//!
//! Refuses what would weaken or stop a login: fewer iterations than RFC 5802 5.1 asks for, more than a phone can pay, keys of
//! another length than the hash's.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, ScramVerifier};

/// Iterations that are taken: RFC 5802 5.1 asks for 4096 at least, and the client pays them at every login.
const ITERATIONS: RangeInclusive<u32> = 4096..=1_000_000;
/// Bytes of salt that are taken.
const SALT: RangeInclusive<usize> = 8..=64;

/// Why a written verifier cannot be used. Whose fault: whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Not the form of RFC 5803.
    #[error(
        "it is not of the form SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY, with SHA-1, SHA-256 or SHA-512"
    )]
    Form,
    /// Too few or too many.
    #[error("it has fewer than 4096 or more than 1000000 iterations")]
    Iterations,
    /// Too short or too long.
    #[error("its salt is shorter than 8 or longer than 64 bytes")]
    Salt,
    /// Not as long as the hash.
    #[error("its keys are not as long as the hash")]
    Keys,
}

impl FromStr for ScramVerifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let mut parts = text.split('$');
        let (Some(scheme), Some(info), Some(keys), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifierError::Form);
        };
        let pair = |text: &'_ str| {
            let (a, b) = text.split_once(':').ok_or(VerifierError::Form)?;
            Ok((a.to_owned(), b.to_owned()))
        };
        let decode = |text: String| STANDARD.decode(text).map_err(|_| VerifierError::Form);
        let hash = scheme
            .strip_prefix("SCRAM-")
            .and_then(Hash::from_name)
            .ok_or(VerifierError::Form)?;
        let (iterations, salt) = pair(info)?;
        let (stored_key, server_key) = pair(keys)?;
        let verifier = Self {
            hash,
            salt: decode(salt)?,
            iterations: iterations.parse().map_err(|_| VerifierError::Form)?,
            stored_key: decode(stored_key)?,
            server_key: decode(server_key)?,
        };
        if !ITERATIONS.contains(&verifier.iterations) {
            return Err(VerifierError::Iterations);
        }
        if !SALT.contains(&verifier.salt.len()) {
            return Err(VerifierError::Salt);
        }
        let long = hash.output_bytes();
        if verifier.stored_key.len() != long || verifier.server_key.len() != long {
            return Err(VerifierError::Keys);
        }
        Ok(verifier)
    }
}

impl ScramVerifier {
    /// The form of RFC 5803 2. It is as good as a password to whoever can guess offline: never log it.
    pub fn to_rfc5803(&self) -> impl fmt::Display {
        format!(
            "SCRAM-{}${}:{}${}:{}",
            self.hash.name(),
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(&self.stored_key),
            STANDARD.encode(&self.server_key),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user of RFC 5802 5 and RFC 7677 3, whose password is `pencil`; keys computed with Python's hashlib.
    const SHA_1: &str = "SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=";
    const SHA_256: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn a_written_verifier_fits_its_password_and_is_written_alike() {
        for text in [SHA_1, SHA_256] {
            let verifier: ScramVerifier = text.parse().unwrap();
            assert!(verifier.verify_plain("pencil"), "{text}");
            assert!(!verifier.verify_plain("pencils"), "{text}");
            assert_eq!(verifier.to_rfc5803().to_string(), text);
        }
    }

    #[test]
    fn what_would_weaken_or_stop_a_login_is_refused() {
        for (text, error) in [
            (SHA_1.replace("4096", "4095"), VerifierError::Iterations),
            (SHA_1.replace("4096", "1000001"), VerifierError::Iterations),
            (SHA_1.replace("4096", "many"), VerifierError::Form),
            (
                SHA_1.replace("QSXCR+Q6sek8bf92", "QSXC"),
                VerifierError::Salt,
            ),
            (SHA_1.replace("SHA-1", "SHA-256"), VerifierError::Keys),
            (SHA_1.replace("SHA-1", "MD5"), VerifierError::Form),
            (SHA_1.replace("SCRAM-", ""), VerifierError::Form),
            (format!("{SHA_1}$"), VerifierError::Form),
            (SHA_1.replace('=', ""), VerifierError::Form),
            (String::new(), VerifierError::Form),
        ] {
            assert_eq!(text.parse::<ScramVerifier>(), Err(error), "{text}");
        }
    }
}
