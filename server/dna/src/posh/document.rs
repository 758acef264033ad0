//! A POSH document, read (RFC 7711 3.1, 3.2).
//!
//! Refuses: whatever is not exactly one of the two kinds (POSH-45), the key sets of the drafts, base64 other than
//! RFC 4648 4 but for missing padding, which an example of the RFC lacks (POSH-11).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Most descriptors that are read.
const DESCRIPTORS: usize = 64;

/// Zero padding bits, `=` or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The hash functions that count, strongest first. `sha-1`, `md5` and what we do not know are passed over (POSH-29).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// `sha-512`
    Sha512,
    /// `sha-384`
    Sha384,
    /// `sha-256`
    Sha256,
}

impl Hash {
    const ALL: [Self; 3] = [Self::Sha512, Self::Sha384, Self::Sha256];

    /// Its IANA textual name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha512 => "sha-512",
            Self::Sha384 => "sha-384",
            Self::Sha256 => "sha-256",
        }
    }

    fn of(self, der: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha512 => Sha512::digest(der).to_vec(),
            Self::Sha384 => Sha384::digest(der).to_vec(),
            Self::Sha256 => Sha256::digest(der).to_vec(),
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha512 => 64,
            Self::Sha384 => 48,
            Self::Sha256 => 32,
        }
    }
}

/// One certificate, by the strongest of its digests that we know (POSH-30).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Hash function.
    pub hash: Hash,
    /// Of the whole certificate in DER (POSH-09).
    pub digest: Vec<u8>,
}

impl Descriptor {
    /// As text, hash and lower-case hex: `sha-256 3f…`.
    pub fn spelled(&self) -> String {
        let hex: String = self
            .digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{} {hex}", self.hash.name())
    }

    /// Every spelling under which a certificate (DER) may be listed.
    pub fn spellings(der: &[u8]) -> Vec<String> {
        Hash::ALL
            .into_iter()
            .map(|hash| {
                let digest = hash.of(der);
                Self { hash, digest }.spelled()
            })
            .collect()
    }

    /// Reads what [`Self::spelled`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let (name, hex) = text.split_once(' ')?;
        let hash = Hash::ALL.into_iter().find(|hash| hash.name() == name)?;
        let digest: Option<Vec<u8>> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        let digest = digest.filter(|digest| digest.len() == hash.length())?;
        Some(Self { hash, digest })
    }

    /// Whether it describes this certificate.
    pub fn describes(&self, der: &[u8]) -> bool {
        self.hash.of(der) == self.digest
    }
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// The certificates themselves.
    Fingerprints {
        /// Those with a hash function that we know; may be empty.
        list: Vec<Descriptor>,
        /// Seconds, above zero.
        expires: u64,
    },
    /// Where the fingerprints are.
    Reference {
        /// As written.
        url: String,
        /// Seconds, above zero.
        expires: u64,
    },
}

impl Document {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it; a sentence that goes on after "the document".
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
            return Err("is not a JSON object");
        };
        let expires = object
            .get("expires")
            .and_then(Value::as_u64)
            .ok_or("has no \"expires\" that is a whole number of seconds")?;
        let document = match (object.get("fingerprints"), object.get("url")) {
            (Some(_), Some(_)) => return Err("has both \"fingerprints\" and \"url\""),
            (None, None) => return Err("has neither \"fingerprints\" nor \"url\""),
            (Some(Value::Array(list)), None) if !list.is_empty() => Self::Fingerprints {
                list: descriptors(list)?,
                expires,
            },
            (Some(_), None) => return Err("has no list of \"fingerprints\" with anything in it"),
            (None, Some(Value::String(url))) => Self::Reference {
                url: url.clone(),
                expires,
            },
            (None, Some(_)) => return Err("has a \"url\" that is not a text"),
        };
        if expires == 0 {
            return Err("says that it has expired (\"expires\" is 0)");
        }
        Ok(document)
    }

    /// Seconds.
    pub fn expires(&self) -> u64 {
        match self {
            Self::Fingerprints { expires, .. } | Self::Reference { expires, .. } => *expires,
        }
    }
}

/// A fingerprints document for these certificates (DER), in this order: always by SHA-256, which both ends can rely on
/// (POSH-05 to POSH-10). Never a key (POSH-42). `None` for no certificate: there is no such document (POSH-04).
pub fn fingerprints<'a>(
    certificates: impl IntoIterator<Item = &'a [u8]>,
    expires_seconds: u32,
) -> Option<String> {
    let list: Vec<Value> = certificates
        .into_iter()
        .map(|der| {
            let digest = base64::engine::general_purpose::STANDARD.encode(Hash::Sha256.of(der));
            serde_json::json!({ Hash::Sha256.name(): digest })
        })
        .collect();
    (!list.is_empty()).then(|| {
        serde_json::json!({ "fingerprints": list, "expires": expires_seconds }).to_string()
    })
}

/// A reference document that leads to `url`, an HTTPS address (POSH-17).
pub fn reference(url: &str, expires_seconds: u32) -> String {
    serde_json::json!({ "url": url, "expires": expires_seconds }).to_string()
}

fn descriptors(list: &[Value]) -> Result<Vec<Descriptor>, &'static str> {
    let mut found = Vec::new();
    for entry in list.iter().take(DESCRIPTORS) {
        let Value::Object(entry) = entry else {
            return Err("has a fingerprint that is not an object");
        };
        found.extend(descriptor(entry)?);
    }
    Ok(found)
}

fn descriptor(entry: &Map<String, Value>) -> Result<Option<Descriptor>, &'static str> {
    if entry.values().any(|digest| !digest.is_string()) {
        return Err("has a digest that is not a text");
    }
    let mut strongest = None;
    for hash in Hash::ALL {
        let Some(text) = entry.get(hash.name()).and_then(Value::as_str) else {
            continue;
        };
        let digest = BASE64
            .decode(text)
            .map_err(|_| "has a digest that is not base64 (RFC 4648 4)")?;
        if digest.len() != hash.length() {
            return Err("has a digest of the wrong length");
        }
        strongest.get_or_insert(Descriptor { hash, digest });
    }
    Ok(strongest)
}
