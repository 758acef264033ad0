//! SCRAM messages (RFC 5802 7): reading the client's, writing the server's.
//!
//! Why apart: pure text, tested against the vectors of RFC 5802 and RFC 7677. Refuses: mandatory extensions (`m=`), names
//! with stray `=` (SASL-19).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ChannelBindings, SaslFailure};

/// GS2 header and client-first-message-bare.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst {
    pub(super) binding: Binding,
    /// The GS2 header as sent, with its final comma: it comes back inside `c=`.
    pub(super) gs2_header: String,
    pub(super) authzid: Option<String>,
    pub(super) username: String,
    pub(super) nonce: String,
    /// From `n=` on.
    pub(super) bare: String,
}

/// The GS2 flag (RFC 5802 6).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// `n`: the client cannot.
    Unsupported,
    /// `y`: the client could, and believes the server cannot.
    ServerCannot,
    /// `p=type`.
    Used(String),
}

impl ClientFirst {
    pub(super) fn parse(message: &[u8]) -> Result<Self, SaslFailure> {
        const BAD: SaslFailure = SaslFailure::MalformedRequest;
        let message = std::str::from_utf8(message).map_err(|_| BAD)?;
        let mut parts = message.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(BAD);
        };
        let binding = match flag {
            "n" => Binding::Unsupported,
            "y" => Binding::ServerCannot,
            _ => Binding::Used(
                flag.strip_prefix("p=")
                    .filter(|name| is_binding_name(name))
                    .ok_or(BAD)?
                    .to_owned(),
            ),
        };
        let authzid = match authzid {
            "" => None,
            given => Some(name(given.strip_prefix("a=").ok_or(BAD)?)?),
        };
        // A reserved `m=` would stand here, and fails like anything else that is not `n=`.
        let mut attributes = bare.split(',');
        let username = name(
            attributes
                .next()
                .and_then(|a| a.strip_prefix("n="))
                .ok_or(BAD)?,
        )?;
        let nonce = attributes
            .next()
            .and_then(|a| a.strip_prefix("r="))
            .ok_or(BAD)?;
        if !is_nonce(nonce) || !attributes.all(is_extension) {
            return Err(BAD);
        }
        Ok(Self {
            binding,
            gs2_header: message[..message.len() - bare.len()].to_owned(),
            authzid,
            username,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        })
    }

    /// What `c=` must hold: the GS2 header and, with `p`, the data of this connection. `None`: a type we do not have here.
    pub(super) fn binding_input(&self, bindings: &ChannelBindings) -> Option<Vec<u8>> {
        let mut input = self.gs2_header.clone().into_bytes();
        if let Binding::Used(name) = &self.binding {
            input.extend_from_slice(bindings.get(name)?);
        }
        Some(input)
    }
}

/// client-final-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal {
    pub(super) binding_input: Vec<u8>,
    pub(super) nonce: String,
    pub(super) proof: Vec<u8>,
    pub(super) without_proof: String,
}

impl ClientFinal {
    pub(super) fn parse(message: &[u8]) -> Result<Self, SaslFailure> {
        const BAD: SaslFailure = SaslFailure::MalformedRequest;
        let message = std::str::from_utf8(message).map_err(|_| BAD)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(BAD)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|a| a.strip_prefix("c="))
            .ok_or(BAD)?;
        let nonce = attributes
            .next()
            .and_then(|a| a.strip_prefix("r="))
            .ok_or(BAD)?;
        if !attributes.all(is_extension) {
            return Err(BAD);
        }
        Ok(Self {
            binding_input: STANDARD.decode(binding).map_err(|_| BAD)?,
            nonce: nonce.to_owned(),
            proof: STANDARD.decode(proof).map_err(|_| BAD)?,
            without_proof: without_proof.to_owned(),
        })
    }
}

/// server-first-message.
pub(super) fn server_first(
    nonce: &str,
    salt: &[u8],
    iterations: u32,
    downgrade: Option<&[u8]>,
) -> String {
    let mut message = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
    if let Some(hash) = downgrade {
        message.push_str(",h=");
        message.push_str(&STANDARD.encode(hash));
    }
    message
}

/// server-final-message.
pub(super) fn server_final(signature: &[u8]) -> Vec<u8> {
    format!("v={}", STANDARD.encode(signature)).into_bytes()
}

/// A saslname: `=2C` and `=3D` stand for comma and equals sign, no other `=` may occur (SASL-19).
fn name(text: &str) -> Result<String, SaslFailure> {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (c, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(SaslFailure::MalformedRequest),
        };
        out.push(c);
        out.push_str(rest);
    }
    if out.is_empty() || out.contains('\0') {
        Err(SaslFailure::MalformedRequest)
    } else {
        Ok(out)
    }
}

/// `cb-name` of RFC 5802 7.
fn is_binding_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Printable ASCII without comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| (0x21..=0x7e).contains(&b) && b != b',')
}

/// `attr-val`: one letter, `=`, a value. Unknown ones are ignored (SASL-19), `m=` is never unknown.
fn is_extension(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b'=', _, ..] if letter.is_ascii_alphabetic() && *letter != b'm')
}
