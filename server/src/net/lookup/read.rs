//! From hickory's records to `dna`'s: the walk along aliases, and what the whole walk is worth.

use dna::{Answer, Outcome, Record, RecordData, RecordType, Security};
use hickory_proto::dnssec::Proof;
use hickory_proto::op::Message;
use hickory_proto::rr::{self, Name, RData};

/// What a walk from the name that was asked for found.
pub(super) struct Walked {
    pub(super) records: Vec<Record>,
    pub(super) aliases: Vec<String>,
    /// The weakest link, where the records carry proofs.
    pub(super) security: Security,
    pub(super) ttl_seconds: u32,
}

impl Walked {
    pub(super) fn answer(
        self,
        security: Security,
        asked: String,
        ttl_seconds: u32,
        nxdomain: bool,
    ) -> Answer {
        let outcome = if self.records.is_empty() {
            Outcome::NoRecords { nxdomain }
        } else {
            Outcome::Found(self.records)
        };
        Answer {
            outcome,
            security,
            ttl_seconds,
            asked,
            aliases: self.aliases,
        }
    }
}

/// Follows aliases from `name`. Records that are not on the way are ignored: a resolver's cache may put strangers into an answer.
pub(super) fn walk(answers: &[rr::Record], name: &Name, wanted: RecordType) -> Walked {
    let mut walked = Walked {
        records: Vec::new(),
        aliases: Vec::new(),
        security: Security::Secure,
        ttl_seconds: u32::MAX,
    };
    let mut at = name.clone();
    let kind = rtype(wanted);
    for _ in 0..=dna::ALIASES {
        let here = || answers.iter().filter(|record| record.name == at);
        let found: Vec<&rr::Record> = here()
            .filter(|record| record.record_type() == kind)
            .collect();
        if !found.is_empty() {
            for record in found {
                walked.security = walked.security.and(security_of(record.proof));
                walked.ttl_seconds = walked.ttl_seconds.min(record.ttl);
                walked.records.extend(data(&record.data).map(|data| Record {
                    name: text(&record.name),
                    ttl_seconds: record.ttl,
                    data,
                }));
            }
            break;
        }
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record, target.0.clone())),
            _ => None,
        });
        let Some((record, target)) = alias else { break };
        walked.security = walked.security.and(security_of(record.proof));
        walked.ttl_seconds = walked.ttl_seconds.min(record.ttl);
        walked.aliases.push(text(&target));
        at = target;
    }
    walked
}

/// How long a denial may be believed (RFC 2308 5).
pub(super) fn negative_ttl(message: &Message) -> u32 {
    let soa = message
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.minimum.min(record.ttl)),
            _ => None,
        });
    soa.unwrap_or(0)
}

/// What a denial is worth: secure only by validated NSEC or NSEC3 records.
pub(super) fn denial_security(authorities: &[rr::Record]) -> Security {
    let proofs = authorities.iter().filter(|record| {
        matches!(
            record.record_type(),
            rr::RecordType::NSEC | rr::RecordType::NSEC3
        )
    });
    proofs
        .map(|record| security_of(record.proof))
        .reduce(Security::and)
        .unwrap_or(Security::Insecure)
}

pub(super) fn security_of(proof: Proof) -> Security {
    match proof {
        Proof::Secure => Security::Secure,
        Proof::Insecure => Security::Insecure,
        Proof::Bogus => Security::Bogus,
        Proof::Indeterminate => Security::Unknown,
    }
}

pub(super) fn rtype(wanted: RecordType) -> rr::RecordType {
    match wanted {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Srv => rr::RecordType::SRV,
        RecordType::Txt => rr::RecordType::TXT,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Ns => rr::RecordType::NS,
        RecordType::Caa => rr::RecordType::CAA,
        RecordType::Tlsa => rr::RecordType::TLSA,
        RecordType::Soa => rr::RecordType::SOA,
    }
}

/// A name that ends at the root.
pub(crate) fn absolute(name: &str) -> Result<Name, String> {
    let mut parsed =
        Name::from_ascii(name).map_err(|error| format!("\"{name}\" is no name: {error}"))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

/// Lower case, without the final dot; the root is `.`.
pub(super) fn text(name: &Name) -> String {
    if name.is_root() {
        ".".into()
    } else {
        name.to_lowercase()
            .to_ascii()
            .trim_end_matches('.')
            .to_owned()
    }
}

fn data(data: &RData) -> Option<RecordData> {
    Some(match data {
        RData::A(address) => RecordData::A(address.0),
        RData::AAAA(address) => RecordData::Aaaa(address.0),
        RData::SRV(srv) => RecordData::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text(&srv.target),
        },
        RData::TXT(strings) => {
            RecordData::Txt(String::from_utf8_lossy(&strings.txt_data.concat()).into_owned())
        }
        RData::CNAME(target) => RecordData::Cname(text(&target.0)),
        RData::NS(server) => RecordData::Ns(text(&server.0)),
        RData::CAA(caa) => RecordData::Caa {
            flags: if caa.issuer_critical { 128 } else { 0 },
            tag: caa.tag.clone(),
            value: String::from_utf8_lossy(&caa.value).into_owned(),
        },
        RData::TLSA(tlsa) => RecordData::Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        },
        RData::SOA(soa) => RecordData::Soa {
            mname: text(&soa.mname),
        },
        _ => return None,
    })
}
