//! What a client computes while it logs in: SCRAM-SHA-1-PLUS (RFC 5802) and tokens (XEP-0484), both bound to the server's
//! certificate (RFC 5929 4.1); and a server's dialback keys (XEP-0185). Written from the specifications, so that the server is not
//! measured by its own code.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use crate::harness::xmpp::Connection;

/// The first message of the client in SCRAM, without the header of channel binding.
const FIRST: &str = "n=alice,r=12C4CD5C-E38E-4A98-8F6D";
/// That header where the channel is bound to, and where not (RFC 5802 6.1).
const BOUND: &str = "p=tls-server-end-point,,";
const UNBOUND: &str = "n,,";

/// The proofs that a text has names for, by their names; `wire`: what they are bound to.
///
/// `first` begins a log-in that is bound, and `scram` answers its `challenge`; `open` and `answered` do so where nothing is
/// bound, with `httpchallenge`; `fast` shows that the `token` is known.
pub fn asked_for(
    text: &str,
    known: &BTreeMap<String, String>,
    password: &str,
    wire: Option<&Connection>,
) -> Vec<(String, String)> {
    let binding = || wire.map(binding).unwrap_or_default();
    let proof = |name: &str| {
        let of = |known_as: &str| known.get(known_as).map(String::as_str);
        match name {
            "first" => Some(BASE64.encode(format!("{BOUND}{FIRST}"))),
            "open" => Some(BASE64.encode(format!("{UNBOUND}{FIRST}"))),
            "fast" => of("token").map(|token| fast(token, &binding())),
            "scram" => of("challenge").map(|said| scram(said, password, BOUND, &binding())),
            _ => of("httpchallenge").map(|said| scram(said, password, UNBOUND, &[])),
        }
    };
    let names = ["first", "open", "fast", "scram", "answered"].into_iter();
    let names = names.filter(|name| text.contains(&format!("${name}")));
    names
        .filter_map(|name| Some((name.to_owned(), proof(name)?)))
        .collect()
}

fn binding(wire: &Connection) -> Vec<u8> {
    Sha256::digest(wire.peer_leaf()).to_vec()
}

/// HT-SHA-256-ENDP: who it is, and that the token is known.
fn fast(token: &str, binding: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any key");
    mac.update(b"Initiator");
    mac.update(binding);
    BASE64.encode([b"alice\0", &*mac.finalize().into_bytes()].concat())
}

/// The client's final message of SCRAM-SHA-1, whose challenge must protect what was offered (XEP-0474).
fn scram(challenge: &str, password: &str, header: &str, binding: &[u8]) -> String {
    let challenge = BASE64.decode(challenge).expect("Base64");
    let challenge = String::from_utf8(challenge).expect("text");
    let part = |name: &str| {
        let mut parts = challenge.split(',');
        let found = parts.find_map(|part| part.strip_prefix(name));
        found.unwrap_or_else(|| panic!("no {name} in {challenge}"))
    };
    assert!(!part("h=").is_empty(), "{challenge}");
    let salt = BASE64.decode(part("s=")).expect("a salt");
    let rounds = part("i=").parse().expect("a number");
    let mut salted = [0; 20];
    pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), &salt, rounds, &mut salted);
    let mac = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any key");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    };
    let client = mac(&salted, b"Client Key");
    let bound = BASE64.encode([header.as_bytes(), binding].concat());
    let without = format!("c={bound},r={}", part("r="));
    let signed = format!("{FIRST},{challenge},{without}");
    let signature = mac(&Sha1::digest(&client), signed.as_bytes());
    let proof: Vec<u8> = client.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    BASE64.encode(format!("{without},p={}", BASE64.encode(proof)))
}

/// A key for the stream that `receiving` gave `id`, made by `own` (XEP-0185 2: the hashed secret enters in hexadecimal form).
pub fn dialback(secret: &str, receiving: &str, own: &str, id: &str) -> String {
    let hashed = hexadecimal(&Sha256::digest(secret));
    let mut mac = Hmac::<Sha256>::new_from_slice(hashed.as_bytes()).expect("any key");
    mac.update(format!("{receiving} {own} {id}").as_bytes());
    hexadecimal(&mac.finalize().into_bytes())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The example of XEP-0220 2.1.1.
#[test]
fn dialback_03_keys_of_the_tests_are_those_of_the_text() {
    let (to, from) = ("montague.example", "capulet.example");
    assert_eq!(
        dialback("s3cr3tf0rd14lb4ck", to, from, "D60000229F"),
        "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"
    );
}
