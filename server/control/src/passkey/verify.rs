//! What an authenticator says, read and checked (Web Authentication Level 3, 7.1 and 7.2), with the keys of aws-lc-rs.
//!
//! Attestation is neither asked for nor looked at: whose make an authenticator is says nothing about who holds it. So a new
//! key is what the browser hands over (5.2.1.1, `getPublicKey`), and there is no CBOR to be read. Why our own: what there is
//! either brings a second crypto provider or is younger than this; these are a hundred lines over a verified signature.
//! Refuses: other origins and sites, a person who did not touch it or, where that is asked, did not unlock it, and algorithms
//! that nobody asked for.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

/// Algorithms that are taken, the best first (RFC 9053, RFC 8812): ES256, EdDSA with Ed25519, RS256 (older Windows).
pub(crate) const ALGORITHMS: [i64; 3] = [-7, -8, -257];

/// Longest client data and signature looked at, in bytes.
const CLIENT_DATA: usize = 4096;
const SIGNATURE: usize = 1024;
/// Longest authenticator data: extensions may follow.
const AUTHENTICATOR_DATA: usize = 4096;
/// Longest name of a credential (WebAuthn 4).
const CREDENTIAL: usize = 1023;

/// Why something is not believed; for the log, not for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// Made for something else: another ceremony, site or origin.
    #[error("it was made for something else")]
    Elsewhere,
    /// Nobody touched the authenticator, or unlocked it where that is asked.
    #[error("nobody was there")]
    NobodyThere,
    /// The algorithm is none of ours, or the key none of it.
    #[error("its key cannot be used")]
    Key,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
}

/// Where ceremonies happen: the panel's own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// `https://panel.hosting.example`
    pub origin: String,
    /// `panel.hosting.example`
    pub rp_id: String,
}

impl Site {
    /// Of an address; `None` where browsers know no passkeys: at IP addresses, and without TLS but on this machine.
    pub(crate) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, Some(port)),
            _ => (authority.as_str(), None),
        };
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let here = host == "localhost" || host.ends_with(".localhost");
        if host.is_empty() || is_address || !(scheme == "https" || (scheme == "http" && here)) {
            return None;
        }
        let usual = if scheme == "https" { "443" } else { "80" };
        let port = port.filter(|port| *port != usual);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self {
            origin: format!("{scheme}://{host}{port}"),
            rp_id: host.to_owned(),
        })
    }
}

/// What a browser says about a ceremony (WebAuthn 5.8.1).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// The challenge that a browser's words are about, if they are of this ceremony (`webauthn.create`, `webauthn.get`) at this
/// site.
///
/// # Errors
/// [`Flaw::Unreadable`], [`Flaw::Elsewhere`]
pub(crate) fn challenge_of(json: &[u8], ceremony: &str, site: &Site) -> Result<String, Flaw> {
    if json.len() > CLIENT_DATA {
        return Err(Flaw::Unreadable);
    }
    let said: ClientData = serde_json::from_slice(json).map_err(|_| Flaw::Unreadable)?;
    if said.r#type != ceremony || said.origin != site.origin || said.cross_origin {
        return Err(Flaw::Elsewhere);
    }
    Ok(said.challenge)
}

/// What an authenticator says (WebAuthn 6.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The person was asked for a finger, a face or a PIN.
    pub verified: bool,
    /// How often it has signed; 0: it does not count.
    pub counter: u32,
    /// The name of a new credential.
    pub credential: Option<Vec<u8>>,
}

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const CREDENTIAL_FOLLOWS: u8 = 0x40;

impl Said {
    /// Reads what was said at this site; somebody was there, and was verified where that is asked.
    ///
    /// # Errors
    /// [`Flaw::Unreadable`], [`Flaw::Elsewhere`], [`Flaw::NobodyThere`]
    pub(crate) fn read(data: &[u8], site: &Site, verified: bool) -> Result<Self, Flaw> {
        if data.len() > AUTHENTICATOR_DATA {
            return Err(Flaw::Unreadable);
        }
        let (rp, rest) = data.split_at_checked(32).ok_or(Flaw::Unreadable)?;
        let (&flags, rest) = rest.split_first().ok_or(Flaw::Unreadable)?;
        let (counter, rest) = rest.split_first_chunk::<4>().ok_or(Flaw::Unreadable)?;
        if rp != digest(&SHA256, site.rp_id.as_bytes()).as_ref() {
            return Err(Flaw::Elsewhere);
        }
        if flags & PRESENT == 0 || (verified && flags & VERIFIED == 0) {
            return Err(Flaw::NobodyThere);
        }
        let credential = if flags & CREDENTIAL_FOLLOWS == 0 {
            None
        } else {
            // The make of the authenticator, which says nothing about its owner.
            let (_, rest) = rest.split_at_checked(16).ok_or(Flaw::Unreadable)?;
            let (length, rest) = rest.split_first_chunk::<2>().ok_or(Flaw::Unreadable)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let name = rest.get(..length).ok_or(Flaw::Unreadable)?;
            if name.is_empty() || length > CREDENTIAL {
                return Err(Flaw::Unreadable);
            }
            Some(name.to_vec())
        };
        Ok(Self {
            verified: flags & VERIFIED != 0,
            counter: u32::from_be_bytes(*counter),
            credential,
        })
    }
}

/// A key (SubjectPublicKeyInfo, DER) of an algorithm (COSE).
///
/// # Errors
/// [`Flaw::Key`]
pub(crate) fn key_of(cose: i64, key: &[u8]) -> Result<ParsedPublicKey, Flaw> {
    let algorithm: &'static dyn VerificationAlgorithm = match cose {
        -7 => &ECDSA_P256_SHA256_ASN1,
        -8 => &ED25519,
        -257 => &RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(Flaw::Key),
    };
    ParsedPublicKey::new(algorithm, key).map_err(|_| Flaw::Key)
}

/// Checks an assertion's signature (WebAuthn 7.2, steps 20 and 21).
///
/// # Errors
/// [`Flaw::Signature`]
pub(crate) fn check_signature(
    key: &ParsedPublicKey,
    authenticator_data: &[u8],
    client_data: &[u8],
    signature: &[u8],
) -> Result<(), Flaw> {
    if signature.len() > SIGNATURE {
        return Err(Flaw::Signature);
    }
    let signed = [authenticator_data, digest(&SHA256, client_data).as_ref()].concat();
    key.verify_sig(&signed, signature)
        .map_err(|_| Flaw::Signature)
}

/// Base64url without padding, as browsers' JSON has bytes.
///
/// # Errors
/// [`Flaw::Unreadable`]
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Flaw> {
    BASE64URL_NOPAD
        .decode(text.trim_end_matches('=').as_bytes())
        .map_err(|_| Flaw::Unreadable)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    };

    pub(crate) const SITE: &str = "https://panel.hosting.example";

    /// An authenticator in software.
    pub(crate) struct Token {
        key: EcdsaKeyPair,
        pub(crate) credential: Vec<u8>,
        pub(crate) counter: u32,
    }

    impl Token {
        pub(crate) fn new(credential: &[u8]) -> Self {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
            Self {
                key,
                credential: credential.to_vec(),
                counter: 0,
            }
        }

        pub(crate) fn public_key(&self) -> Vec<u8> {
            let der = self.key.public_key().as_der().expect("an encoding");
            der.as_ref().to_vec()
        }

        pub(crate) fn data(&self, flags: u8, new: bool) -> Vec<u8> {
            let mut data = digest(&SHA256, b"panel.hosting.example").as_ref().to_vec();
            data.push(flags | if new { CREDENTIAL_FOLLOWS } else { 0 });
            data.extend(self.counter.to_be_bytes());
            if new {
                data.extend([0; 16]);
                let length = u16::try_from(self.credential.len()).expect("short");
                data.extend(length.to_be_bytes());
                data.extend(&self.credential);
                data.extend(b"the key, which is not read");
            }
            data
        }

        pub(crate) fn sign(&self, data: &[u8], client: &[u8]) -> Vec<u8> {
            let signed = [data, digest(&SHA256, client).as_ref()].concat();
            let signature = self.key.sign(&SystemRandom::new(), &signed);
            signature.expect("a signature").as_ref().to_vec()
        }
    }

    pub(crate) fn client(ceremony: &str, challenge: &str, origin: &str) -> Vec<u8> {
        format!(r#"{{"type":"{ceremony}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
            .into_bytes()
    }

    fn site() -> Site {
        Site::of(SITE).expect("a site")
    }

    #[test]
    fn a_site_is_where_browsers_know_passkeys() {
        for (url, origin, rp_id) in [
            (SITE, SITE, "panel.hosting.example"),
            (
                "https://Panel.example:443/x",
                "https://panel.example",
                "panel.example",
            ),
            (
                "https://panel.example:8443/",
                "https://panel.example:8443",
                "panel.example",
            ),
            (
                "http://localhost:8080",
                "http://localhost:8080",
                "localhost",
            ),
        ] {
            let site = Site::of(url).expect(url);
            assert_eq!((site.origin.as_str(), site.rp_id.as_str()), (origin, rp_id));
        }
        for url in [
            "http://127.0.0.1:8080",
            "https://[::1]/",
            "http://panel.example",
            "panel.example",
            "",
        ] {
            assert_eq!(Site::of(url), None, "{url}");
        }
    }

    #[test]
    fn words_of_another_ceremony_site_or_frame_are_not_believed() {
        let said = |json: &[u8]| challenge_of(json, "webauthn.get", &site());
        assert_eq!(said(&client("webauthn.get", "abc", SITE)), Ok("abc".into()));
        assert_eq!(
            said(&client("webauthn.create", "abc", SITE)),
            Err(Flaw::Elsewhere)
        );
        assert_eq!(
            said(&client("webauthn.get", "abc", "https://evil.example")),
            Err(Flaw::Elsewhere)
        );
        let framed = String::from_utf8(client("webauthn.get", "abc", SITE)).expect("text");
        assert_eq!(
            said(framed.replace("false", "true").as_bytes()),
            Err(Flaw::Elsewhere)
        );
        assert_eq!(said(b"{"), Err(Flaw::Unreadable));
        assert_eq!(said(&[b' '; CLIENT_DATA + 1]), Err(Flaw::Unreadable));
    }

    #[test]
    fn what_an_authenticator_says_is_read_to_its_last_byte_or_not_at_all() {
        let mut token = Token::new(b"name");
        token.counter = 7;
        let new = token.data(PRESENT | VERIFIED, true);
        let said = Said::read(&new, &site(), true).expect("good");
        assert_eq!(
            (said.verified, said.counter, said.credential.as_deref()),
            (true, 7, Some(&b"name"[..]))
        );
        for length in 0..new.len() - b"the key, which is not read".len() {
            let cut = Said::read(&new[..length], &site(), true);
            assert_eq!(cut, Err(Flaw::Unreadable), "{length}");
        }
        let touched = token.data(PRESENT, false);
        assert!(Said::read(&touched, &site(), false).is_ok());
        assert_eq!(Said::read(&touched, &site(), true), Err(Flaw::NobodyThere));
        assert_eq!(
            Said::read(&token.data(VERIFIED, false), &site(), false),
            Err(Flaw::NobodyThere)
        );
        let other = Site::of("https://other.example").expect("a site");
        assert_eq!(Said::read(&touched, &other, false), Err(Flaw::Elsewhere));
    }

    #[test]
    fn a_signature_is_good_for_its_key_and_words_only() {
        let (token, other) = (Token::new(b"a"), Token::new(b"b"));
        let (data, words) = (
            token.data(PRESENT, false),
            client("webauthn.get", "abc", SITE),
        );
        let signature = token.sign(&data, &words);
        let check = |of: &Token, data: &[u8], words: &[u8]| {
            let key = key_of(-7, &of.public_key()).expect("a key");
            check_signature(&key, data, words, &signature)
        };
        assert_eq!(check(&token, &data, &words), Ok(()));
        for (of, data, words) in [
            (&other, &data, &words),
            (&token, &token.data(PRESENT | VERIFIED, false), &words),
            (&token, &data, &client("webauthn.get", "abd", SITE)),
        ] {
            assert_eq!(check(of, data, words), Err(Flaw::Signature));
        }
        for (cose, key) in [
            (-8, token.public_key()),
            (-257, token.public_key()),
            (-35, token.public_key()),
            (-7, b"no key".to_vec()),
        ] {
            assert_eq!(key_of(cose, &key).err(), Some(Flaw::Key), "{cose}");
        }
        let edwards = Ed25519KeyPair::generate().expect("a key");
        let key = edwards.public_key().as_der().expect("an encoding");
        let signed = [&data[..], digest(&SHA256, &words).as_ref()].concat();
        let signature = edwards.sign(&signed);
        let key = key_of(-8, key.as_ref()).expect("a key");
        assert_eq!(
            check_signature(&key, &data, &words, signature.as_ref()),
            Ok(())
        );
    }
}
