//! Dynamic updates (RFC 2136), signed with TSIG (RFC 8945): how tests, people with `nsupdate` and the platform itself change
//! the sandbox's zones. All or nothing; prerequisites are honoured; the zone is signed again before the answer goes out.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigResponseContext, TSigner};
use hickory_server::server::Request;

use super::zone::Zone;

/// May this request change anything? The answer's signature context comes with it, either way (RFC 8945 5.2, 5.3).
pub(super) fn authenticate(
    request: &Request,
    key: &TSigner,
    now: u64,
) -> Result<TSigResponseContext, (ResponseCode, Option<TSigResponseContext>)> {
    let id = request.metadata.id;
    let Some(signature) = &request.signature else {
        return Err((ResponseCode::Refused, None));
    };
    if signature.name != *key.signer_name() || signature.data.algorithm != *key.algorithm() {
        return Err((
            ResponseCode::NotAuth,
            Some(TSigResponseContext::unknown_key(
                id,
                now,
                signature.name.clone(),
            )),
        ));
    }
    match key.verify_message_byte(request.as_slice(), None, true) {
        Err(_) => Err((
            ResponseCode::NotAuth,
            Some(TSigResponseContext::bad_signature(id, now, key.clone())),
        )),
        Ok((mac, _, valid)) if !valid.contains(&now) => Err((
            ResponseCode::NotAuth,
            Some(TSigResponseContext::new(
                id,
                now,
                key.clone(),
                mac,
                Some(TsigError::BadTime),
            )),
        )),
        Ok((mac, _, _)) => Ok(TSigResponseContext::new(id, now, key.clone(), mac, None)),
    }
}

/// The prerequisite section (RFC 2136 3.2).
pub(super) fn check(zone: &Zone, prerequisites: &[Record]) -> Result<(), ResponseCode> {
    // Value-dependent ones count as whole sets (3.2.3).
    let mut whole: Vec<(Name, RecordType, Vec<&RData>)> = Vec::new();
    for record in prerequisites {
        if !zone.origin().zone_of(&record.name) {
            return Err(ResponseCode::NotZone);
        }
        if record.ttl != 0 {
            return Err(ResponseCode::FormErr);
        }
        let record_type = record.record_type();
        let any = record_type == RecordType::ANY;
        match record.dns_class {
            DNSClass::ANY if any && zone.plain_types(&record.name).is_empty() => {
                return Err(ResponseCode::NXDomain);
            }
            DNSClass::ANY if !any && zone.plain_set(&record.name, record_type).is_empty() => {
                return Err(ResponseCode::NXRRSet);
            }
            DNSClass::NONE if any && !zone.plain_types(&record.name).is_empty() => {
                return Err(ResponseCode::YXDomain);
            }
            DNSClass::NONE if !any && !zone.plain_set(&record.name, record_type).is_empty() => {
                return Err(ResponseCode::YXRRSet);
            }
            DNSClass::ANY | DNSClass::NONE => {}
            DNSClass::IN => match whole
                .iter_mut()
                .find(|(name, kind, _)| *name == record.name && *kind == record_type)
            {
                Some((_, _, values)) => values.push(&record.data),
                None => whole.push((record.name.clone(), record_type, vec![&record.data])),
            },
            _ => return Err(ResponseCode::FormErr),
        }
    }
    for (name, record_type, values) in whole {
        let there = zone.plain_set(&name, record_type);
        if there.len() != values.len() || !there.iter().all(|record| values.contains(&&record.data))
        {
            return Err(ResponseCode::NXRRSet);
        }
    }
    Ok(())
}

/// The update section (RFC 2136 3.4). The caller throws the zone away when this fails.
pub(super) fn apply(zone: &mut Zone, updates: &[Record]) -> Result<(), ResponseCode> {
    for record in updates {
        if !zone.origin().zone_of(&record.name) {
            return Err(ResponseCode::NotZone);
        }
        let record_type = record.record_type();
        match record.dns_class {
            DNSClass::IN => zone.insert(record.clone()).map_err(|error| {
                tracing::info!(zone = %zone.origin(), %error, "a dynamic update is refused");
                ResponseCode::Refused
            })?,
            DNSClass::ANY if record.ttl == 0 && record_type == RecordType::ANY => {
                zone.remove_name(&record.name)
            }
            DNSClass::ANY if record.ttl == 0 => zone.remove_set(&record.name, record_type),
            DNSClass::NONE if record.ttl == 0 => zone.remove(&record.name, &record.data),
            _ => return Err(ResponseCode::FormErr),
        }
    }
    zone.bump();
    Ok(())
}
