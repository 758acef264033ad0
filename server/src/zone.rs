//! The platform's zone, changed by dynamic updates (RFC 2136) signed with TSIG (RFC 8945), at the operator's own name server:
//! BIND, Knot, PowerDNS, or the sandbox's DNS behind the same door.
//!
//! One call of [`ZonePublisher::apply`] is one update message over TCP, so the server applies all of it or nothing. It refuses
//! to guess: server, zone and key are configured; an answer that is not signed with the key is never taken for a success.

mod transfer;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use control::outside::{ZoneChange, ZoneError, ZoneName, ZonePublisher, ZoneValue};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::rdata::{A, AAAA, TLSA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::net::lookup::absolute;

/// A TXT string holds this many bytes (RFC 1035 3.3.14).
const TXT_BYTES: usize = 255;
/// Difference between our clock and the server's, in seconds (RFC 8945 10).
const FUDGE_SECONDS: u16 = 300;
/// Connecting, sending and the answer take no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A TSIG key.
#[derive(Clone)]
pub struct UpdateKey {
    /// Name, as the server knows it.
    pub name: String,
    /// `hmac-sha256`, …
    pub algorithm: String,
    /// The shared secret.
    pub secret: Vec<u8>,
}

impl std::fmt::Debug for UpdateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpdateKey")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Reads a key file in BIND's form, as `tsig-keygen` writes it, or in Knot's, as `keymgr -t` does.
pub fn read_key(path: &Path) -> Result<UpdateKey, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    parse_key(&text)
}

/// Reads the first `key "NAME" { algorithm ALGORITHM; secret "BASE64"; };`, or the first of the list `key:` with `id: NAME`,
/// `algorithm: ALGORITHM` and `secret: BASE64`.
pub fn parse_key(text: &str) -> Result<UpdateKey, String> {
    const FORM: &str = "expected key \"NAME\" { algorithm hmac-sha256; secret \"BASE64\"; }; as tsig-keygen writes it, or the same as keymgr -t writes it for Knot";
    let words = words(text);
    let after = |word: &str| {
        let at = words.iter().position(|at| at == word)?;
        words.get(at + 1).map(String::as_str)
    };
    let named = match knot_list(text) {
        Some(named) => named,
        None => [after("key"), after("algorithm"), after("secret")],
    };
    let [Some(name), Some(algorithm), Some(secret)] = named else {
        return Err(FORM.into());
    };
    let secret = base64::engine::general_purpose::STANDARD
        .decode(secret)
        .map_err(|_| "the secret is not base64".to_owned())?;
    Ok(UpdateKey {
        name: name.to_owned(),
        algorithm: algorithm.to_ascii_lowercase(),
        secret,
    })
}

/// Name, algorithm and secret of the first key in Knot's list of them; `None`: there is no such list.
fn knot_list(text: &str) -> Option<[Option<&str>; 3]> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == "key:")?;
    let mut key = [None; 3];
    for line in lines {
        let item = line.strip_prefix("- ").unwrap_or(line);
        let Some((field, value)) = item.split_once(':') else {
            continue;
        };
        let at = match field.trim_end() {
            "id" if key[0].is_some() => break,
            "id" => 0,
            "algorithm" => 1,
            "secret" => 2,
            _ => continue,
        };
        key[at] = Some(value.trim().trim_matches('"'));
    }
    Some(key)
}

/// Words of BIND's configuration language: quotes and punctuation taken away, comments (`//`, `#`, `/* */`) left out. A
/// secret may hold `//`, which is no comment within quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = |marks: &str| rest.find(marks).map_or(rest.len(), |at| at + marks.len());
        let taken = if rest.starts_with("//") || first == '#' {
            end("\n")
        } else if rest.starts_with("/*") {
            end("*/")
        } else if first == '"' {
            let quoted = rest.get(1..).unwrap_or_default();
            let length = quoted.find('"').unwrap_or(quoted.len());
            words.push(quoted.get(..length).unwrap_or_default().to_owned());
            (length + 2).min(rest.len())
        } else if first.is_whitespace() || "{};".contains(first) {
            first.len_utf8()
        } else {
            let length = rest
                .find(|mark: char| mark.is_whitespace() || "{};\"#".contains(mark))
                .unwrap_or(rest.len());
            words.push(rest.get(..length).unwrap_or_default().to_owned());
            length
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    words
}

/// The publisher of one zone.
pub struct Publisher {
    server: SocketAddr,
    zone: Name,
    key: TSigner,
}

impl Publisher {
    /// `zone` is the apex of the zone that the server is asked to change, without the last dot. Fails with a text for the
    /// operator when name or key cannot be used.
    pub fn new(server: SocketAddr, zone: &str, key: &UpdateKey) -> Result<Self, String> {
        let algorithm = match key.algorithm.as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            other => {
                return Err(format!(
                    "algorithm {other} is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512"
                ));
            }
        };
        let name = absolute(&key.name)?;
        let key = TSigner::new(key.secret.clone(), algorithm, name, FUDGE_SECONDS)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            server,
            zone: absolute(zone)?,
            key,
        })
    }

    /// Which server.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    fn message(&self, changes: &[ZoneChange]) -> Result<Message, String> {
        let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Update);
        message.add_query(Query::query(self.zone.clone(), RecordType::SOA));
        for change in changes {
            match change {
                ZoneChange::Set {
                    name,
                    ttl_seconds,
                    values,
                } => {
                    let name = self.inside(name)?;
                    let Some(first) = values.first() else {
                        return Err(format!("{name}: no values"));
                    };
                    message.add_authority(delete(&name, data(first).record_type()));
                    for value in values {
                        message.add_authority(Record::from_rdata(
                            name.clone(),
                            *ttl_seconds,
                            data(value),
                        ));
                    }
                }
                ZoneChange::Add {
                    name,
                    ttl_seconds,
                    value,
                } => {
                    message.add_authority(Record::from_rdata(
                        self.inside(name)?,
                        *ttl_seconds,
                        data(value),
                    ));
                }
                ZoneChange::Remove { name, value } => {
                    let mut record = Record::from_rdata(self.inside(name)?, 0, data(value));
                    record.dns_class = DNSClass::NONE;
                    message.add_authority(record);
                }
                ZoneChange::Erase { name } => {
                    message.add_authority(delete(&self.inside(name)?, RecordType::ANY));
                }
            }
        }
        Ok(message)
    }

    fn inside(&self, name: &str) -> Result<Name, String> {
        let absolute = absolute(name)?;
        if self.zone.zone_of(&absolute) {
            Ok(absolute)
        } else {
            Err(format!("{name} lies outside the zone {}", self.zone))
        }
    }

    async fn exchange(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.server).await?;
        let length = u16::try_from(request.len())
            .map_err(|_| std::io::Error::other("the update is larger than 64 KiB"))?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(request);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    fn refused(&self, code: impl Into<String>) -> ZoneError {
        ZoneError::Refused {
            server: self.server.to_string(),
            code: code.into(),
        }
    }

    fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ZoneError {
        ZoneError::Unreachable {
            server: self.server.to_string(),
            source: source.into(),
        }
    }

    /// The code, in words, with what the operator can do about it.
    fn explain(&self, code: ResponseCode, tsig: Option<&TsigError>) -> String {
        let key = self.key.signer_name().to_ascii();
        let key = key.trim_end_matches('.');
        match (code, tsig) {
            (_, Some(TsigError::BadKey)) => format!(
                "BADKEY, it does not know the key \"{key}\", or (Knot) no acl of the zone {} lets the key do this: add the key to its configuration, or correct the key file or the acl",
                self.zone
            ),
            (_, Some(TsigError::BadSig)) => format!(
                "BADSIG, its secret for the key \"{key}\" is another one: copy the key file anew"
            ),
            (_, Some(TsigError::BadTime)) => {
                "BADTIME, the clocks differ by more than five minutes: set both by NTP".into()
            }
            (ResponseCode::Refused, _) => format!(
                "REFUSED, the key \"{key}\" may not change the zone {}: allow it with update-policy or allow-update; at PowerDNS with the zone's TSIG-ALLOW-DNSUPDATE, where a wrong key or secret is answered so too",
                self.zone
            ),
            (ResponseCode::NotAuth, _) => format!(
                "NOTAUTH, it is not the primary server of the zone {}: correct the server or the zone",
                self.zone
            ),
            (ResponseCode::NotZone, _) => {
                format!("NOTZONE, a name lies outside the zone {}", self.zone)
            }
            (ResponseCode::ServFail, _) => {
                "SERVFAIL, look into its log: often it may not write the zone's journal".into()
            }
            (other, _) => other.to_string(),
        }
    }
}

#[async_trait::async_trait]
impl ZonePublisher for Publisher {
    async fn apply(&self, changes: &[ZoneChange]) -> Result<(), ZoneError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut message = self
            .message(changes)
            .map_err(|problem| self.refused(problem))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let verifier = message
            .finalize(&self.key, now)
            .map_err(|error| self.refused(error.to_string()))?;
        let request = message
            .to_vec()
            .map_err(|error| self.refused(error.to_string()))?;
        let answer = match tokio::time::timeout(PATIENCE, self.exchange(&request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unreachable(error)),
            Err(_) => {
                return Err(
                    self.unreachable(format!("no answer within {} seconds", PATIENCE.as_secs()))
                );
            }
        };
        let parsed = Message::from_vec(&answer)
            .map_err(|error| self.unreachable(format!("the answer makes no sense: {error}")))?;
        if parsed.id != message.id || parsed.message_type != MessageType::Response {
            return Err(self.unreachable("the answer belongs to another question"));
        }
        let tsig = parsed
            .signature()
            .and_then(|record| record.data.error.as_ref());
        if parsed.response_code != ResponseCode::NoError || tsig.is_some() {
            return Err(self.refused(self.explain(parsed.response_code, tsig)));
        }
        let verified = verifier.map(|mut verifier| verifier.verify(&answer));
        match verified {
            Some(Ok(_)) => {
                tracing::debug!(server = %self.server, zone = %self.zone, changes = changes.len(), "zone updated");
                Ok(())
            }
            Some(Err(error)) => {
                Err(self.refused(format!("the answer's signature does not hold: {error}")))
            }
            None => Err(self.refused("the answer is not signed")),
        }
    }

    async fn names(&self) -> Result<Vec<ZoneName>, ZoneError> {
        self.transfer().await
    }
}

fn delete(name: &Name, record_type: RecordType) -> Record {
    let mut record = Record::update0(name.clone(), 0, record_type);
    record.dns_class = DNSClass::ANY;
    record
}

fn data(value: &ZoneValue) -> RData {
    match value {
        ZoneValue::A(address) => RData::A(A(*address)),
        ZoneValue::Aaaa(address) => RData::AAAA(AAAA(*address)),
        ZoneValue::Txt(text) if text.is_empty() => RData::TXT(TXT::from_bytes(vec![b""])),
        ZoneValue::Txt(text) => {
            RData::TXT(TXT::from_bytes(text.as_bytes().chunks(TXT_BYTES).collect()))
        }
        ZoneValue::Tlsa(record) => RData::TLSA(TLSA::new(
            record.usage.into(),
            record.selector.into(),
            record.matching.into(),
            record.data.clone(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_as_people_have_them() {
        let check = |text: &str| parse_key(text).map(|key| (key.name, key.algorithm, key.secret));
        let good = Ok((
            "domicile".to_owned(),
            "hmac-sha256".to_owned(),
            vec![0xff, 0xff, 0xff],
        ));
        assert_eq!(
            check("key \"domicile\" {\n\talgorithm hmac-sha256;\n\tsecret \"////\";\n};\n"),
            good
        );
        assert_eq!(
            check(
                "# made by hand\nkey domicile { // ours\n/* key x */ secret \"////\"; algorithm HMAC-SHA256; };"
            ),
            good
        );
        assert_eq!(
            check(
                "# hmac-sha256:domicile:////\nkey:\n  - id: domicile\n    algorithm: hmac-sha256\n    secret: ////\n"
            ),
            good,
            "as keymgr writes it"
        );
        for bad in [
            "",
            "key",
            "key \"x\" { algorithm hmac-sha256; };",
            "key:\n  - id: x\n    algorithm: hmac-sha256",
            "key \"x\" { algorithm hmac-sha256; secret \"?\"; };",
            "\"unclosed",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let shown = format!(
            "{:?}",
            parse_key("key a { algorithm hmac-sha256; secret \"c2VjcmV0\"; };")
        );
        assert!(
            !shown.contains("secret") && !shown.contains("115"),
            "{shown}"
        );
    }

    #[test]
    fn dane_19_the_wire_form_is_one_octet_each_and_the_data() {
        use hickory_proto::serialize::binary::{BinEncodable as _, BinEncoder};
        let digest: Vec<u8> = (0..32).collect();
        let record = dna::dane::Record::of_key(digest.clone());
        let mut bytes = Vec::new();
        data(&ZoneValue::Tlsa(record.clone()))
            .emit(&mut BinEncoder::new(&mut bytes))
            .expect("encoded");
        assert_eq!(bytes, [&[3, 1, 1][..], &digest].concat());
        // And what a server would write into its zone file is what we show to people.
        let shown = data(&ZoneValue::Tlsa(record.clone())).to_string();
        assert_eq!(dna::dane::Record::read(&shown), Some(record));
    }

    #[test]
    fn names_outside_the_zone_are_refused_before_anything_is_sent() {
        let key = UpdateKey {
            name: "k".into(),
            algorithm: "hmac-sha256".into(),
            secret: vec![7; 32],
        };
        let publisher =
            Publisher::new(([127, 0, 0, 1], 53).into(), "hosting.example", &key).unwrap();
        let erase = |name: &str| publisher.message(&[ZoneChange::Erase { name: name.into() }]);
        assert!(erase("x.hosting.example").is_ok());
        assert!(erase("xhosting.example").is_err());
        assert!(erase("hosting.example.net").is_err());
        let weak = UpdateKey {
            algorithm: "hmac-md5".into(),
            ..key
        };
        assert!(Publisher::new(([127, 0, 0, 1], 53).into(), "hosting.example", &weak).is_err());
    }
}
