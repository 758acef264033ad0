//! Answers of the sandbox's DNS: authoritative data of every zone, given as a validating resolver would give it.
//!
//! One address plays all name servers of the sandbox's internet and its resolver. So an answer holds the whole CNAME chain
//! across zones (RFC 1034 4.3.2), sets RA, and sets AD when every link is signed from the root down (RFC 6840 5.7, 5.8);
//! DS is answered by the parent's side of a cut (RFC 4035 3.1.4.1); denials carry their NSEC records (RFC 4035 3.1.3). A
//! question below a delegation to servers that are not ours fails: this server never asks anybody.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::zone::{Node, Presence, Set, Signing, Zone};

/// A chain of aliases ends after this many.
const ALIASES: usize = 12;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) record_type: RecordType,
    /// DNSSEC records wanted (DO).
    pub(super) dnssec: bool,
    /// The asker validates by itself (CD): bogus data is handed out.
    pub(super) checking_disabled: bool,
}

/// What is answered.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// Every link is secure: AD.
    pub(super) secure: bool,
}

/// The zone that answers: the deepest that holds the name; for DS, the one above the cut.
pub(super) fn zone_for<'a>(
    zones: &'a BTreeMap<Name, Zone>,
    name: &Name,
    record_type: RecordType,
) -> Option<&'a Zone> {
    let mut at = name.to_lowercase();
    if record_type == RecordType::DS && !at.is_root() && zones.contains_key(&at) {
        at = at.base_name();
    }
    loop {
        if let Some(zone) = zones.get(&at) {
            return Some(zone);
        }
        if at.is_root() {
            return None;
        }
        at = at.base_name();
    }
}

/// How sure one can be of a zone: the worst of the zones from the root down.
fn standing(zones: &BTreeMap<Name, Zone>, zone: &Zone) -> Signing {
    let mut standing = Signing::Secure;
    let mut at = zone.origin().clone();
    loop {
        match zones.get(&at).map(Zone::signing) {
            // Below an insecure cut nothing is validated any more.
            Some(Signing::Unsigned) => standing = Signing::Unsigned,
            Some(Signing::Bogus) => standing = Signing::Bogus,
            Some(Signing::Secure) | None => {}
        }
        if at.is_root() {
            return standing;
        }
        at = at.base_name();
    }
}

/// Answers one question.
pub(super) fn answer(zones: &BTreeMap<Name, Zone>, question: &Question) -> Reply {
    let mut reply = Reply {
        secure: true,
        ..Reply::default()
    };
    let mut name = question.name.to_lowercase();
    if question.record_type == RecordType::RRSIG {
        reply.code = ResponseCode::Refused;
        return reply;
    }
    for _ in 0..ALIASES {
        let Some(zone) = zone_for(zones, &name, question.record_type) else {
            reply.code = ResponseCode::Refused;
            return reply;
        };
        match standing(zones, zone) {
            Signing::Secure => {}
            Signing::Unsigned => reply.secure = false,
            Signing::Bogus if question.checking_disabled => reply.secure = false,
            Signing::Bogus => return failed(),
        }
        if let Some(cut) = zone.cut_above(&name)
            && !(cut == name && question.record_type == RecordType::DS)
        {
            return failed();
        }
        match step(zone, &name, question, &mut reply) {
            Some(next) => name = next,
            None => return reply,
        }
    }
    reply
}

fn failed() -> Reply {
    Reply {
        code: ResponseCode::ServFail,
        ..Reply::default()
    }
}

/// Adds what this zone has to say; the target, if that is an alias.
fn step(zone: &Zone, name: &Name, question: &Question, reply: &mut Reply) -> Option<Name> {
    match zone.presence(name) {
        Presence::Here(node) => found(zone, name, node, None, question, reply),
        Presence::EmptyNonTerminal => {
            deny(zone, [zone.nsec_for(name)], question, reply);
            None
        }
        Presence::Absent { encloser } => {
            let cover = zone.nsec_for(name);
            let wildcard = encloser.prepend_label("*").ok()?;
            match zone.presence(&wildcard) {
                Presence::Here(node) => found(zone, name, node, cover, question, reply),
                _ => {
                    // Only the end of an alias chain decides the code (RFC 6604 3).
                    reply.code = ResponseCode::NXDomain;
                    deny(zone, [cover, zone.nsec_for(&wildcard)], question, reply);
                    None
                }
            }
        }
    }
}

/// Answers from a node: its own, or a wildcard's, which needs `cover`, the proof that nothing stands closer (RFC 4035 3.1.3.3).
fn found(
    zone: &Zone,
    name: &Name,
    node: &Node,
    cover: Option<&Set>,
    question: &Question,
    reply: &mut Reply,
) -> Option<Name> {
    let wanted: Vec<&Set> = match question.record_type {
        RecordType::ANY => node
            .iter()
            .filter(|(record_type, _)| **record_type != RecordType::NSEC)
            .map(|(_, set)| set)
            .collect(),
        record_type => node.get(&record_type).into_iter().collect(),
    };
    let alias = node.get(&RecordType::CNAME);
    if wanted.is_empty() && alias.is_none() {
        let matching = node.get(&RecordType::NSEC);
        deny(zone, [matching, cover], question, reply);
        return None;
    }
    if let Some(cover) = cover {
        push(&mut reply.authorities, cover, None, question.dnssec);
    }
    if !wanted.is_empty() {
        for set in wanted {
            push(&mut reply.answers, set, Some(name), question.dnssec);
        }
        return None;
    }
    let alias = alias?;
    push(&mut reply.answers, alias, Some(name), question.dnssec);
    match &alias.records.first()?.data {
        RData::CNAME(target) => Some(target.0.to_lowercase()),
        _ => None,
    }
}

/// The SOA, and the proofs where there are any.
fn deny<const N: usize>(
    zone: &Zone,
    proofs: [Option<&Set>; N],
    question: &Question,
    reply: &mut Reply,
) {
    if let Some(soa) = zone.apex(RecordType::SOA) {
        push(&mut reply.authorities, soa, None, question.dnssec);
        // RFC 2308 3: the SOA of a denial lives no longer than the denial itself.
        for record in reply
            .authorities
            .iter_mut()
            .filter(|record| record.record_type() == RecordType::SOA)
        {
            if let RData::SOA(soa) = &record.data {
                record.ttl = record.ttl.min(soa.minimum);
            }
        }
    }
    if question.dnssec {
        let mut seen: Vec<&Set> = Vec::new();
        for proof in proofs.into_iter().flatten() {
            if !seen.contains(&proof) {
                push(&mut reply.authorities, proof, None, true);
                seen.push(proof);
            }
        }
    }
}

/// Copies a set and its signature; `name` replaces a wildcard's owner name.
fn push(into: &mut Vec<Record>, set: &Set, name: Option<&Name>, dnssec: bool) {
    let signature = set.signature.as_ref().filter(|_| dnssec);
    for record in set.records.iter().chain(signature) {
        let mut record = record.clone();
        if let Some(name) = name {
            record.name = name.clone();
        }
        into.push(record);
    }
}
