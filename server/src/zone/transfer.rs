//! What stands in the platform's zone: a transfer of the whole of it (AXFR, RFC 5936), signed with the key that changes it.
//!
//! Every message of the answer has to be signed, as RFC 8945 5.3.1 asks of servers; those of before 2020 that sign some of them
//! only are refused. Refuses: DNSSEC's own records, which the server makes and takes away by itself.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use control::outside::{ZoneError, ZoneName};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{PATIENCE, Publisher};

/// A zone that is larger is not read: some ten records for each of 400,000 domains, and their signatures.
const MOST_BYTES: usize = 2 * 1024 * 1024 * 1024;

impl Publisher {
    /// Every name of the zone with what stands there, in order.
    pub(super) async fn transfer(&self) -> Result<Vec<ZoneName>, ZoneError> {
        let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
        message.add_query(Query::query(self.zone.clone(), RecordType::AXFR));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let verifier = message
            .finalize(&self.key, now)
            .map_err(|error| self.refused(error.to_string()))?;
        let Some(mut verifier) = verifier else {
            return Err(self.refused("the question cannot be signed"));
        };
        let request = message
            .to_vec()
            .map_err(|error| self.refused(error.to_string()))?;
        let mut stream = self.connect(&request).await?;
        let mut found = Names::default();
        let mut bytes = 0;
        while !found.complete() {
            let answer = self.next(&mut stream).await?;
            bytes += answer.len();
            if bytes > MOST_BYTES {
                return Err(self.refused(format!("the zone is larger than {MOST_BYTES} bytes")));
            }
            let parsed = Message::from_vec(&answer).map_err(|error| {
                self.unreachable(format!("the transfer makes no sense: {error}"))
            })?;
            if parsed.id != message.id || parsed.message_type != MessageType::Response {
                return Err(self.unreachable("the answer belongs to another question"));
            }
            let tsig = parsed
                .signature()
                .and_then(|record| record.data.error.as_ref());
            if parsed.response_code != ResponseCode::NoError || tsig.is_some() {
                let code = match (parsed.response_code, tsig) {
                    (ResponseCode::Refused | ResponseCode::NotAuth, None) => format!(
                        "{}, the key may not transfer the zone {}: allow it with allow-transfer",
                        parsed.response_code, self.zone
                    ),
                    (code, tsig) => self.explain(code, tsig),
                };
                return Err(self.refused(code));
            }
            verifier.verify(&answer).map_err(|error| {
                self.refused(format!(
                    "a message of the transfer is not signed, or its signature does not hold: {error}"
                ))
            })?;
            let answers = parsed.answers;
            if answers.is_empty() {
                return Err(self.refused("the transfer ends in the middle"));
            }
            for record in answers {
                found.add(record);
            }
        }
        Ok(found.list())
    }

    async fn connect(&self, request: &[u8]) -> Result<TcpStream, ZoneError> {
        let length = u16::try_from(request.len())
            .map_err(|_| self.refused("the question is larger than 64 KiB"))?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(request);
        let asked = async {
            let mut stream = TcpStream::connect(self.server).await?;
            stream.write_all(&framed).await?;
            Ok(stream)
        };
        self.in_time(asked).await
    }

    /// The next message of the answer.
    async fn next(&self, stream: &mut TcpStream) -> Result<Vec<u8>, ZoneError> {
        self.in_time(async {
            let length = stream.read_u16().await?;
            let mut answer = vec![0; usize::from(length)];
            stream.read_exact(&mut answer).await?;
            Ok(answer)
        })
        .await
    }

    async fn in_time<T>(
        &self,
        done: impl Future<Output = std::io::Result<T>>,
    ) -> Result<T, ZoneError> {
        match tokio::time::timeout(PATIENCE, done).await {
            Ok(done) => done.map_err(|error| self.unreachable(error)),
            Err(_) => Err(self.unreachable(format!(
                "nothing came within {} seconds",
                PATIENCE.as_secs()
            ))),
        }
    }
}

/// Names and what stands there; a transfer begins and ends with the zone's SOA (RFC 5936 2.2).
#[derive(Default)]
struct Names {
    soas: usize,
    found: BTreeMap<String, Vec<(String, String)>>,
}

impl Names {
    fn complete(&self) -> bool {
        self.soas > 1
    }

    fn add(&mut self, record: Record) {
        let kind = record.record_type();
        match kind {
            RecordType::SOA => self.soas += 1,
            RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM
            | RecordType::DNSKEY
            | RecordType::CDS
            | RecordType::CDNSKEY => {}
            _ if matches!(record.data, RData::Update0(_)) => {}
            _ => {
                let name = record.name.to_ascii().to_ascii_lowercase();
                let name = name.trim_end_matches('.').to_owned();
                let values = self.found.entry(name).or_default();
                values.push((kind.to_string(), record.data.to_string()));
            }
        }
    }

    fn list(self) -> Vec<ZoneName> {
        self.found
            .into_iter()
            .map(|(name, records)| ZoneName { name, records })
            .collect()
    }
}
