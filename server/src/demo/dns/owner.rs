//! "Publish for me": the sandbox's owner zones, written in the owner's stead.

use control::outside::{OwnerZone, ZoneError};
use control::records::{DesiredRecord, RecordValue};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{CNAME, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use xmpp::jid::DomainName;

use super::answer::zone_for;
use super::zone::Signing;
use super::{Dns, absolute};

/// A TXT string holds this many bytes (RFC 1035 3.3.14).
const TXT_BYTES: usize = 255;

#[async_trait::async_trait]
impl OwnerZone for Dns {
    async fn publish(
        &self,
        domain: &DomainName,
        records: &[DesiredRecord],
    ) -> Result<(), ZoneError> {
        let origin = self.name(&domain.to_ascii())?;
        let records = records
            .iter()
            .map(|record| self.record(record))
            .collect::<Result<Vec<_>, _>>()?;
        let mut zones = self.shared.zones.write();
        // A domain inside somebody's zone stays there; one that hangs below a top level gets a zone of its own.
        let inside = zone_for(&zones, &origin, RecordType::SOA)
            .map(|zone| zone.origin().clone())
            .filter(|zone| zone.num_labels() > 1);
        let zone = match inside {
            Some(zone) => zone,
            None => {
                self.shared
                    .zone_add(&mut zones, &origin, Signing::Secure)
                    .map_err(|error| self.refused(&error.to_string()))?;
                origin
            }
        };
        let zone = zones
            .get_mut(&zone)
            .ok_or_else(|| self.refused("the zone has gone"))?;
        let done = self.shared.change(zone, |zone| {
            for record in &records {
                match record.record_type() {
                    RecordType::CNAME => zone.remove_name(&record.name),
                    record_type => {
                        zone.remove_set(&record.name, RecordType::CNAME);
                        zone.remove_set(&record.name, record_type);
                    }
                }
            }
            for record in &records {
                zone.insert(record.clone()).map_err(|error| {
                    tracing::warn!(%error, "a record cannot be published");
                    ResponseCode::Refused
                })?;
            }
            zone.bump();
            Ok(())
        });
        done.map_err(|code| self.refused(&code.to_string()))
    }

    async fn withdraw(&self, domain: &DomainName) -> Result<(), ZoneError> {
        let name = self.name(&domain.to_ascii())?;
        let mut zones = self.shared.zones.write();
        let Some(origin) =
            zone_for(&zones, &name, RecordType::SOA).map(|zone| zone.origin().clone())
        else {
            return Ok(());
        };
        let Some(zone) = zones.get_mut(&origin) else {
            return Ok(());
        };
        let done = self.shared.change(zone, |zone| {
            // What we published stands at names that begin with an underscore; the rest is the owner's own.
            let ours: Vec<Name> = zone
                .plain()
                .filter(|record| {
                    name.zone_of(&record.name)
                        && record
                            .name
                            .iter()
                            .next()
                            .is_some_and(|label| label.starts_with(b"_"))
                })
                .map(|record| record.name.clone())
                .collect();
            ours.iter().for_each(|name| zone.remove_name(name));
            zone.bump();
            Ok(())
        });
        done.map_err(|code| self.refused(&code.to_string()))
    }
}

impl Dns {
    fn refused(&self, why: &str) -> ZoneError {
        ZoneError::Refused {
            server: self.address.to_string(),
            code: why.to_owned(),
        }
    }

    fn name(&self, name: &str) -> Result<Name, ZoneError> {
        absolute(name).map_err(|problem| self.refused(&problem))
    }

    fn record(&self, record: &DesiredRecord) -> Result<Record, ZoneError> {
        let data = match &record.value {
            RecordValue::Txt { text } => {
                let strings: Vec<&[u8]> = if text.is_empty() {
                    vec![b""]
                } else {
                    text.as_bytes().chunks(TXT_BYTES).collect()
                };
                RData::TXT(TXT::from_bytes(strings))
            }
            RecordValue::Srv {
                priority,
                weight,
                port,
                target,
            } => RData::SRV(SRV::new(*priority, *weight, *port, self.name(target)?)),
            RecordValue::Cname { target } => RData::CNAME(CNAME(self.name(target)?)),
        };
        Ok(Record::from_rdata(
            self.name(&record.name)?,
            record.ttl_seconds,
            data,
        ))
    }
}
