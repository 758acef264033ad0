//! Values that must not be readable in a stolen database: sealed with AES-256-GCM under a master key kept elsewhere.
//!
//! Form: version (1 byte), key id (4), nonce (12), ciphertext with tag. The additional data names the place (table, row),
//! so a sealed value copied to another row does not open there. Several keys may open, the first one seals: that is how
//! keys are rotated.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::error::{Result, StoreError};

/// Length of a master key in bytes.
pub const KEY_BYTES: usize = 32;

const VERSION: u8 = 1;
const ID_BYTES: usize = 4;
const HEAD: usize = 1 + ID_BYTES + NONCE_LEN;

struct Key {
    id: [u8; ID_BYTES],
    aead: LessSafeKey,
}

/// Seals and opens. `Debug` shows nothing of the keys.
pub struct Sealer {
    keys: Vec<Key>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

impl Sealer {
    /// A sealer with one key of [`KEY_BYTES`] bytes.
    ///
    /// # Errors
    /// Text for the operator when the length is wrong.
    pub fn from_bytes(key: &[u8]) -> std::result::Result<Self, String> {
        let unbound = UnboundKey::new(&AES_256_GCM, key).map_err(|_| {
            format!(
                "a master key has {KEY_BYTES} bytes, this one has {}",
                key.len()
            )
        })?;
        let hash = digest(&SHA256, key);
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash.as_ref()[..ID_BYTES]);
        Ok(Self {
            keys: vec![Key {
                id,
                aead: LessSafeKey::new(unbound),
            }],
        })
    }

    /// Do both seal with the same key?
    pub fn seals_like(&self, other: &Self) -> bool {
        let first = |sealer: &Self| sealer.keys.first().map(|key| key.id);
        first(self) == first(other)
    }

    /// Adds an older key that may still open.
    #[must_use]
    pub fn with_older(mut self, older: Self) -> Self {
        self.keys.extend(older.keys);
        self
    }

    /// Reads a key file: [`KEY_BYTES`] bytes in base64 on its first line.
    ///
    /// # Errors
    /// Text for the operator: unreadable file, or not a key.
    pub fn from_file(path: &Path) -> std::result::Result<Self, String> {
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|e| format!("master key {}: {e}", path.display()))?;
        Self::from_text(&text).map_err(|e| format!("master key {}: {e}", path.display()))
    }

    /// Reads a key in base64.
    ///
    /// # Errors
    /// Text for the operator.
    pub fn from_text(text: &str) -> std::result::Result<Self, String> {
        let bytes = BASE64.decode(text.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| "expected 32 random bytes in base64".to_owned())?;
        Self::from_bytes(&bytes)
    }

    /// Makes a key file with mode 0600; never overwrites one.
    ///
    /// # Errors
    /// Text for the operator.
    pub fn generate_file(path: &Path) -> std::result::Result<Self, String> {
        use std::io::Write as _;
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        rand::fill(&mut *key).map_err(|_| "the system has no randomness".to_owned())?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options
            .open(path)
            .map_err(|e| format!("master key {}: {e}", path.display()))?;
        let text = Zeroizing::new(BASE64.encode(key.as_slice()) + "\n");
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|e| format!("master key {}: {e}", path.display()))?;
        Self::from_bytes(&*key)
    }

    /// Seals `plain` for `place` (`certificates/17`).
    ///
    /// # Errors
    /// [`StoreError::Other`] when the system has no randomness.
    pub fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let key = self
            .keys
            .first()
            .ok_or(StoreError::Sealed { what: "any" })?;
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce)
            .map_err(|_| StoreError::Other("the system has no randomness".into()))?;
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        key.aead
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut body,
            )
            .map_err(|_| StoreError::Other("sealing failed".into()))?;
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what was sealed for the same `place`.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] with `what` when no key opens it.
    pub fn open(
        &self,
        place: &str,
        sealed: &[u8],
        what: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let fail = || StoreError::Sealed { what };
        let (head, body) = sealed.split_at_checked(HEAD).ok_or_else(fail)?;
        if head[0] != VERSION {
            return Err(fail());
        }
        let (id, nonce) = head[1..].split_at(ID_BYTES);
        let key = self.keys.iter().find(|k| k.id == id).ok_or_else(fail)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| fail())?;
        let mut body = Zeroizing::new(body.to_vec());
        let n = key
            .aead
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut body)
            .map_err(|_| fail())?
            .len();
        body.truncate(n);
        Ok(body)
    }

    /// Whether a value was sealed with the key that seals now.
    pub(crate) fn is_current(&self, sealed: &[u8]) -> bool {
        self.keys
            .first()
            .is_some_and(|k| sealed.get(1..=ID_BYTES) == Some(&k.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_in_its_place_and_with_its_key() {
        let a = Sealer::from_bytes(&[1; KEY_BYTES]).expect("key");
        let sealed = a.seal("t/1", b"secret").expect("sealed");
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert_eq!(&**a.open("t/1", &sealed, "t").expect("opens"), b"secret");
        assert!(a.open("t/2", &sealed, "t").is_err());
        let b = Sealer::from_bytes(&[2; KEY_BYTES]).expect("key");
        assert!(b.open("t/1", &sealed, "t").is_err());
        let rotated = b.with_older(a);
        assert!(rotated.open("t/1", &sealed, "t").is_ok());
        assert!(!rotated.is_current(&sealed));
        assert!(rotated.is_current(&rotated.seal("t/1", b"x").expect("sealed")));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealer = Sealer::from_bytes(&[7; KEY_BYTES]).expect("key");
        let sealed = sealer.seal("t/1", b"secret").expect("sealed");
        for i in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[i] ^= 1;
            assert!(sealer.open("t/1", &bad, "t").is_err(), "byte {i}");
            assert!(sealer.open("t/1", &sealed[..i], "t").is_err(), "cut at {i}");
        }
    }

    #[test]
    fn key_files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("master.key");
        let made = Sealer::generate_file(&path).expect("made");
        let sealed = made.seal("x", b"y").expect("sealed");
        assert!(
            Sealer::from_file(&path)
                .expect("read")
                .open("x", &sealed, "x")
                .is_ok()
        );
        assert!(Sealer::generate_file(&path).is_err());
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            std::fs::metadata(&path).expect("file").permissions().mode() & 0o777,
            0o600
        );
        assert!(Sealer::from_text("short").is_err());
    }
}
