//! Panel passwords: argon2id on a blocking thread, a few at a time; and what makes a password good enough.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rand::RngExt;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::error::{ControlError, Result};
use crate::secret::Secret;

/// Passwords checked at the same time: each takes 19 MiB and some 20 ms.
const PARALLEL: usize = 2;
/// Checks that may wait for their turn; beyond that the caller is told to wait.
const WAITING: usize = 32;
/// Shortest password of an operator, in characters.
pub(crate) const OPERATOR_LENGTH: usize = 10;
/// Shortest password of an account, in characters.
pub(crate) const ACCOUNT_LENGTH: usize = 8;
/// Longest password, in bytes.
const LONGEST: usize = 1024;

/// Hashes and verifies, bounded.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(PARALLEL)),
            queue: Arc::new(Semaphore::new(PARALLEL + WAITING)),
        }
    }
}

impl Passwords {
    /// The PHC string to store.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String> {
        let password = password.clone();
        self.run(move || {
            argon2id()
                .hash_password(password.expose().as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|error| ControlError::internal(error.to_string()))
    }

    /// Does the password fit `stored`? Without a stored hash the same work is done, and the answer is no.
    pub(crate) async fn verify(&self, password: &Secret, stored: Option<String>) -> Result<bool> {
        let password = password.clone();
        self.run(move || {
            let known = stored.is_some();
            let text = stored.unwrap_or_else(|| decoy().to_owned());
            let fits = PasswordHash::new(&text).is_ok_and(|hash| {
                argon2id()
                    .verify_password(password.expose().as_bytes(), &hash)
                    .is_ok()
            });
            known && fits
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let Ok(_place) = self.queue.clone().try_acquire_owned() else {
            return Err(ControlError::TooMany { wait_seconds: 5 });
        };
        let _turn = self
            .turns
            .clone()
            .acquire_owned()
            .await
            .map_err(ControlError::internal)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(ControlError::internal)
    }
}

/// The defaults of the crate (19 MiB, 2 passes, as OWASP asks); next to nothing in tests, which check many passwords.
fn argon2id() -> Argon2<'static> {
    let params = if cfg!(test) {
        argon2::Params::new(16, 1, 1, None).unwrap_or_default()
    } else {
        argon2::Params::DEFAULT
    };
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

/// A hash that no password fits, of the same cost as a real one.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| {
        argon2id()
            .hash_password(token(16).expose().as_bytes())
            .map(|hash| hash.to_string())
            .unwrap_or_default()
    })
}

/// So many random bytes.
pub(crate) fn bytes(count: usize) -> Zeroizing<Vec<u8>> {
    let mut raw = Zeroizing::new(vec![0_u8; count]);
    rand::rng().fill(&mut raw[..]);
    raw
}

/// So many random bytes as lower-case base32 without padding: safe in URLs, cookies and TXT records.
pub(crate) fn token(bytes: usize) -> Secret {
    let mut raw = vec![0_u8; bytes];
    rand::rng().fill(&mut raw[..]);
    data_encoding::BASE32_NOPAD
        .encode(&raw)
        .to_ascii_lowercase()
        .into()
}

/// A password to read aloud: four groups of four letters and digits without look-alikes, some 80 bits.
pub(crate) fn draw() -> Secret {
    const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    let mut text = String::with_capacity(19);
    for index in 0..16 {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    text.into()
}

/// Is the password good enough? `field` is the form's; `names` are what it must not be (login, localpart, domain).
pub(crate) fn check(
    field: &'static str,
    password: &Secret,
    shortest: usize,
    names: &[&str],
) -> Result<()> {
    let text = password.expose();
    let remedy = "Take a few unrelated words, or let your password manager make one.";
    let refuse = |problem: String| Err(ControlError::invalid(field, "", problem, remedy));
    if text.chars().count() < shortest {
        return refuse(format!(
            "the password is shorter than {shortest} characters"
        ));
    }
    if text.len() > LONGEST {
        return refuse(format!("the password is longer than {LONGEST} bytes"));
    }
    let lower = text.to_lowercase();
    if names
        .iter()
        .filter(|name| !name.is_empty())
        .any(|name| lower == name.to_lowercase())
    {
        return refuse("the password is the name itself".into());
    }
    let mut letters: Vec<char> = lower.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 4 {
        return refuse("the password repeats a few characters".into());
    }
    if COMMON.iter().any(|common| {
        lower.trim_matches(|c: char| c.is_ascii_digit() || "!.?-_".contains(c)) == *common
            || lower == *common
    }) {
        return refuse("the password is one of those that are tried first".into());
    }
    Ok(())
}

/// What is tried first, without trailing digits.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "motdepasse",
    "contraseña",
    "qwertyuiop",
    "qwertzuiop",
    "qwerty",
    "azertyuiop",
    "letmein",
    "iloveyou",
    "welcome",
    "administrator",
    "admin",
    "changeme",
    "football",
    "baseball",
    "superman",
    "sunshine",
    "princess",
    "dragon",
    "monkey",
    "trustno",
    "12345678",
    "123456789",
    "1234567890",
    "0123456789",
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "abcdefgh",
    "abc12345",
    "password1",
    "p@ssw0rd",
    "passw0rd",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_enough() {
        let check =
            |text: &str| check("password", &text.into(), ACCOUNT_LENGTH, &["juliet"]).is_ok();
        assert!(check("tin soldier 9"));
        assert!(check("кошка-печь"));
        for bad in [
            "short",
            "password123",
            "aaaaaaaaaa",
            "Juliet",
            "12345678",
            "Qwertzuiop!",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(!check(&"long".repeat(300)));
    }

    #[test]
    fn a_drawn_password_is_good_enough() {
        assert!(check("password", &draw(), OPERATOR_LENGTH, &[]).is_ok());
        assert_ne!(draw(), draw());
        assert_eq!(token(20).expose().len(), 32);
    }

    #[tokio::test]
    async fn an_unknown_login_is_refused_after_the_same_work() {
        let passwords = Passwords::default();
        let hash = passwords.hash(&"tin soldier 9".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(
            passwords
                .verify(&"tin soldier 9".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(&"tin soldier 8".into(), Some(hash))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(&"tin soldier 9".into(), None)
                .await
                .unwrap()
        );
    }
}
