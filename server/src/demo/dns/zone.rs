//! One zone of the sandbox: its records as given, and the same signed, ready to be served.
//!
//! Signing is whole and by one key per zone (a combined key, ECDSA P-256), with an NSEC chain (RFC 4034 4, RFC 4035 2). A zone
//! may be left unsigned on purpose, or be made bogus (the parent's DS fits no key), to have something to fail on. A signature
//! is kept as long as its record set is the same and it is fresh, so that one dynamic update costs a few signatures only.
//!
//! Refuses what no zone may hold: names outside it, a CNAME beside other data, hand-made DNSSEC records, an apex without SOA.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, RRSIG, SigInput};
use hickory_proto::dnssec::{Algorithm, DigestType, DnssecSigner, SigningKey, TBS};
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, SerialNumber};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::DnsError;

/// Zone-signing and key-signing in one (RFC 4034 2.1.1): zone key and secure entry point.
const KEY_FLAGS: u16 = 257;
/// How long a signature is valid, in seconds.
const SIGNATURE_SECONDS: u64 = 30 * 86_400;
/// A signature is replaced when less than this is left of it, in seconds.
const SIGNATURE_REFRESH_SECONDS: u64 = 15 * 86_400;
/// Clocks of validators may be behind by this much, in seconds.
const SIGNATURE_SKEW_SECONDS: u64 = 3600;
/// TTL of the zone's own records (SOA, NS, DNSKEY, DS), in seconds. Short: a sandbox changes under one's hands.
pub(super) const APEX_TTL_SECONDS: u32 = 60;
/// How long a negative answer may be kept (RFC 2308), in seconds.
const NEGATIVE_TTL_SECONDS: u32 = 1;
/// Records of one zone.
pub(super) const ZONE_RECORDS: usize = 10_000;

/// How a zone is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// Signed, DS in the parent.
    Secure,
    /// Not signed, no DS: an insecure delegation.
    Unsigned,
    /// Signed, but the parent's DS fits another key.
    Bogus,
}

impl Signing {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Unsigned => "unsigned",
            Self::Bogus => "bogus",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Secure, Self::Unsigned, Self::Bogus]
            .into_iter()
            .find(|signing| signing.as_str() == word)
    }
}

/// The records of one name and type, with the signature if there is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub(super) records: Vec<Record>,
    pub(super) signature: Option<Record>,
}

/// Everything at one name.
pub(super) type Node = BTreeMap<RecordType, Set>;

/// Whether a name is there.
pub(super) enum Presence<'a> {
    /// With records.
    Here(&'a Node),
    /// Without records, but with names below it.
    EmptyNonTerminal,
    /// Not there; the closest ancestor that is.
    Absent { encloser: Name },
}

/// Records as they were.
pub(super) struct Snapshot(BTreeMap<(Name, RecordType), Vec<Record>>);

/// A zone.
pub(super) struct Zone {
    origin: Name,
    signing: Signing,
    signer: Option<DnssecSigner>,
    plain: BTreeMap<(Name, RecordType), Vec<Record>>,
    served: BTreeMap<Name, Node>,
}

impl Zone {
    /// A zone with SOA and NS only. `key` is PKCS#8 DER of an ECDSA P-256 key; unused when unsigned.
    pub(super) fn new(
        origin: &Name,
        server: &Name,
        signing: Signing,
        key: &[u8],
        now: u64,
    ) -> Result<Self, DnsError> {
        let mut zone = Self::bare(origin, signing, key)?;
        let serial = u32::try_from(now).unwrap_or(1);
        let hostmaster = Name::from_ascii("hostmaster")
            .and_then(|name| name.append_domain(server))
            .map_err(|error| DnsError::Name {
                name: server.to_string(),
                problem: error.to_string(),
            })?;
        let soa = SOA::new(
            server.clone(),
            hostmaster,
            serial,
            3600,
            600,
            86_400,
            NEGATIVE_TTL_SECONDS,
        );
        zone.insert(Record::from_rdata(
            origin.clone(),
            APEX_TTL_SECONDS,
            RData::SOA(soa),
        ))?;
        zone.insert(Record::from_rdata(
            origin.clone(),
            APEX_TTL_SECONDS,
            RData::NS(NS(server.clone())),
        ))?;
        zone.sign(now)?;
        Ok(zone)
    }

    /// A zone from records that were kept.
    pub(super) fn restore(
        origin: &Name,
        signing: Signing,
        key: &[u8],
        records: Vec<Record>,
        now: u64,
    ) -> Result<Self, DnsError> {
        let mut zone = Self::bare(origin, signing, key)?;
        for record in records {
            zone.insert(record)?;
        }
        if zone.soa().is_none() {
            return Err(DnsError::Zone {
                zone: origin.to_string(),
                problem: "has no SOA record".into(),
            });
        }
        zone.sign(now)?;
        Ok(zone)
    }

    fn bare(origin: &Name, signing: Signing, key: &[u8]) -> Result<Self, DnsError> {
        let origin = origin.to_lowercase();
        let signer = match signing {
            Signing::Unsigned => None,
            Signing::Secure | Signing::Bogus => Some(signer(&origin, key)?),
        };
        Ok(Self {
            origin,
            signing,
            signer,
            plain: BTreeMap::new(),
            served: BTreeMap::new(),
        })
    }

    pub(super) fn origin(&self) -> &Name {
        &self.origin
    }

    pub(super) fn signing(&self) -> Signing {
        self.signing
    }

    /// The zone's public key, if it is signed.
    pub(super) fn dnskey(&self) -> Option<&DNSKEY> {
        self.signer.as_ref().map(DnssecSigner::dnskey)
    }

    /// The DS that the parent publishes; none for an unsigned zone.
    pub(super) fn ds(&self) -> Result<Option<Record>, DnsError> {
        let Some(dnskey) = self.dnskey() else {
            return Ok(None);
        };
        let fault = |error: hickory_proto::ProtoError| DnsError::Zone {
            zone: self.origin.to_string(),
            problem: error.to_string(),
        };
        let mut digest = dnskey
            .to_digest(&self.origin, DigestType::SHA256)
            .map_err(fault)?
            .as_ref()
            .to_vec();
        if self.signing == Signing::Bogus {
            digest.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let ds = DS::new(
            dnskey.calculate_key_tag().map_err(fault)?,
            Algorithm::ECDSAP256SHA256,
            DigestType::SHA256,
            digest,
        );
        Ok(Some(Record::from_rdata(
            self.origin.clone(),
            APEX_TTL_SECONDS,
            RData::DNSSEC(DNSSECRData::DS(ds)),
        )))
    }

    /// Every record as given, for the zone file.
    pub(super) fn plain(&self) -> impl Iterator<Item = &Record> {
        self.plain.values().flatten()
    }

    /// A record set as given.
    pub(super) fn plain_set(&self, name: &Name, record_type: RecordType) -> &[Record] {
        self.plain
            .get(&(name.to_lowercase(), record_type))
            .map_or(&[], Vec::as_slice)
    }

    /// Types present at a name, as given.
    pub(super) fn plain_types(&self, name: &Name) -> Vec<RecordType> {
        let name = name.to_lowercase();
        self.plain
            .keys()
            .filter(|(owner, _)| *owner == name)
            .map(|(_, record_type)| *record_type)
            .collect()
    }

    /// Adds a record; the same record again is no change. SOA and CNAME replace what is there (RFC 2136 3.4.2.2). The TTL of
    /// the newest record counts for the whole set. Call [`Zone::sign`] after the last change.
    pub(super) fn insert(&mut self, mut record: Record) -> Result<(), DnsError> {
        let name = record.name.to_lowercase();
        let record_type = record.record_type();
        let fault = |problem: &str| DnsError::Zone {
            zone: self.origin.to_string(),
            problem: format!("{name} {record_type}: {problem}"),
        };
        if !self.origin.zone_of(&name) {
            return Err(fault("the name is outside the zone"));
        }
        if matches!(
            record_type,
            RecordType::RRSIG
                | RecordType::NSEC
                | RecordType::NSEC3
                | RecordType::NSEC3PARAM
                | RecordType::DNSKEY
        ) {
            return Err(fault("DNSSEC records are made by the server"));
        }
        if self.plain.len() >= ZONE_RECORDS {
            return Err(fault("the zone is full"));
        }
        let others = self.plain_types(&name);
        if record_type == RecordType::CNAME
            && others.iter().any(|other| *other != RecordType::CNAME)
        {
            return Err(fault("a CNAME cannot stand beside other records"));
        }
        if record_type != RecordType::CNAME && others.contains(&RecordType::CNAME) {
            return Err(fault("a CNAME already stands at this name"));
        }
        record.name = name.clone();
        record.dns_class = DNSClass::IN;
        let set = self.plain.entry((name, record_type)).or_default();
        if matches!(record_type, RecordType::SOA | RecordType::CNAME) {
            set.clear();
        }
        set.iter_mut().for_each(|old| old.ttl = record.ttl);
        if !set.iter().any(|old| old.data == record.data) {
            set.push(record);
        }
        Ok(())
    }

    /// Takes one record away; the apex keeps its SOA and its last NS (RFC 2136 3.4.2.4).
    pub(super) fn remove(&mut self, name: &Name, data: &RData) {
        let key = (name.to_lowercase(), data.record_type());
        let apex = key.0 == self.origin;
        let Some(set) = self.plain.get_mut(&key) else {
            return;
        };
        if apex && (key.1 == RecordType::SOA || (key.1 == RecordType::NS && set.len() == 1)) {
            return;
        }
        set.retain(|record| record.data != *data);
        if set.is_empty() {
            self.plain.remove(&key);
        }
    }

    /// Takes a record set away; never the apex's SOA and NS (RFC 2136 3.4.2.3).
    pub(super) fn remove_set(&mut self, name: &Name, record_type: RecordType) {
        let name = name.to_lowercase();
        if name == self.origin && matches!(record_type, RecordType::SOA | RecordType::NS) {
            return;
        }
        self.plain.remove(&(name, record_type));
    }

    /// Takes every record of a name away, with the same exception.
    pub(super) fn remove_name(&mut self, name: &Name) {
        for record_type in self.plain_types(name) {
            self.remove_set(name, record_type);
        }
    }

    /// The records as they are, to go back to.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.plain.clone())
    }

    /// Goes back. Call [`Zone::sign`] afterwards.
    pub(super) fn rollback(&mut self, snapshot: Snapshot) {
        self.plain = snapshot.0;
    }

    /// Raises the serial (RFC 1982 arithmetic).
    pub(super) fn bump(&mut self) {
        let key = (self.origin.clone(), RecordType::SOA);
        if let Some(record) = self.plain.get_mut(&key).and_then(|set| set.first_mut())
            && let RData::SOA(soa) = &mut record.data
        {
            soa.serial = soa.serial.wrapping_add(1).max(1);
        }
    }

    fn soa(&self) -> Option<&SOA> {
        match &self
            .plain
            .get(&(self.origin.clone(), RecordType::SOA))?
            .first()?
            .data
        {
            RData::SOA(soa) => Some(soa),
            _ => None,
        }
    }

    /// Makes what is served from what was given: adds DNSKEY, the NSEC chain and signatures. `now` is seconds since the epoch.
    pub(super) fn sign(&mut self, now: u64) -> Result<(), DnsError> {
        let mut fresh: BTreeMap<Name, Node> = BTreeMap::new();
        for ((name, record_type), records) in &self.plain {
            fresh.entry(name.clone()).or_default().insert(
                *record_type,
                Set {
                    records: records.clone(),
                    signature: None,
                },
            );
        }
        if let Some(signer) = &self.signer {
            let key = Record::from_rdata(
                self.origin.clone(),
                APEX_TTL_SECONDS,
                RData::DNSSEC(DNSSECRData::DNSKEY(signer.to_dnskey())),
            );
            fresh.entry(self.origin.clone()).or_default().insert(
                RecordType::DNSKEY,
                Set {
                    records: vec![key],
                    signature: None,
                },
            );
            let names: Vec<Name> = fresh
                .keys()
                .filter(|name| !self.is_below_cut(name))
                .cloned()
                .collect();
            for (index, name) in names.iter().enumerate() {
                let next = names.get(index + 1).unwrap_or(&self.origin);
                let Some(node) = fresh.get_mut(name) else {
                    continue;
                };
                let nsec =
                    NSEC::new_cover_self(next.clone(), node.keys().copied().collect::<Vec<_>>());
                let record = Record::from_rdata(
                    name.clone(),
                    NEGATIVE_TTL_SECONDS,
                    RData::DNSSEC(DNSSECRData::NSEC(nsec)),
                );
                node.insert(
                    RecordType::NSEC,
                    Set {
                        records: vec![record],
                        signature: None,
                    },
                );
                let cut = *name != self.origin && node.contains_key(&RecordType::NS);
                for (record_type, set) in node.iter_mut() {
                    // A delegation's NS belongs to the child; only DS and NSEC are the parent's (RFC 4035 2.2).
                    if cut && !matches!(record_type, RecordType::DS | RecordType::NSEC) {
                        continue;
                    }
                    let old = self.served.get(name).and_then(|node| node.get(record_type));
                    set.signature = match old {
                        Some(old)
                            if old.records == set.records
                                && old
                                    .signature
                                    .as_ref()
                                    .is_some_and(|signature| is_fresh(signature, now)) =>
                        {
                            old.signature.clone()
                        }
                        _ => Some(signature(signer, name, &set.records, now).map_err(|error| {
                            DnsError::Zone {
                                zone: self.origin.to_string(),
                                problem: format!("{name} {record_type} cannot be signed: {error}"),
                            }
                        })?),
                    };
                }
            }
        }
        self.served = fresh;
        Ok(())
    }

    /// Does a signature want renewal?
    pub(super) fn is_stale(&self, now: u64) -> bool {
        self.served
            .values()
            .flat_map(BTreeMap::values)
            .filter_map(|set| set.signature.as_ref())
            .any(|signature| !is_fresh(signature, now))
    }

    /// Looks a name up.
    pub(super) fn presence(&self, name: &Name) -> Presence<'_> {
        if let Some(node) = self.served.get(name) {
            return Presence::Here(node);
        }
        if self.has_below(name) {
            return Presence::EmptyNonTerminal;
        }
        let mut encloser = name.base_name();
        while encloser != self.origin
            && !self.served.contains_key(&encloser)
            && !self.has_below(&encloser)
        {
            encloser = encloser.base_name();
        }
        Presence::Absent { encloser }
    }

    /// The zone cut at or above `name` (below the apex), if its servers are others than ours.
    pub(super) fn cut_above(&self, name: &Name) -> Option<Name> {
        let mut at = name.clone();
        while at != self.origin && !at.is_root() {
            if self
                .served
                .get(&at)
                .is_some_and(|node| node.contains_key(&RecordType::NS))
            {
                return Some(at);
            }
            at = at.base_name();
        }
        None
    }

    /// The apex's set of this type.
    pub(super) fn apex(&self, record_type: RecordType) -> Option<&Set> {
        self.served.get(&self.origin)?.get(&record_type)
    }

    /// The NSEC that matches the name or covers it (RFC 4035 3.1.3); none in an unsigned zone.
    pub(super) fn nsec_for(&self, name: &Name) -> Option<&Set> {
        self.served
            .range((Bound::Unbounded, Bound::Included(name.clone())))
            .rev()
            .find_map(|(_, node)| node.get(&RecordType::NSEC))
    }

    fn has_below(&self, name: &Name) -> bool {
        self.served
            .range((Bound::Excluded(name.clone()), Bound::Unbounded))
            .next()
            .is_some_and(|(next, _)| name.zone_of(next))
    }

    fn is_below_cut(&self, name: &Name) -> bool {
        let mut at = name.base_name();
        while at != self.origin && self.origin.zone_of(&at) && !at.is_root() {
            if self.plain.contains_key(&(at.clone(), RecordType::NS)) {
                return true;
            }
            at = at.base_name();
        }
        false
    }
}

/// A new key, PKCS#8 DER.
pub(super) fn generate_key() -> Result<Vec<u8>, DnsError> {
    EcdsaSigningKey::generate_pkcs8(Algorithm::ECDSAP256SHA256)
        .map(|key| key.secret_pkcs8_der().to_vec())
        .map_err(|error| DnsError::Key {
            problem: error.to_string(),
        })
}

fn signer(origin: &Name, key: &[u8]) -> Result<DnssecSigner, DnsError> {
    let fault = |error: String| DnsError::Key { problem: error };
    let key =
        EcdsaSigningKey::from_pkcs8(&PrivatePkcs8KeyDer::from(key), Algorithm::ECDSAP256SHA256)
            .map_err(|error| fault(error.to_string()))?;
    let public = key
        .to_public_key()
        .map_err(|error| fault(error.to_string()))?;
    let dnskey = DNSKEY::with_flags(KEY_FLAGS, public);
    Ok(DnssecSigner::new(
        dnskey,
        Box::new(key),
        origin.clone(),
        Duration::from_secs(SIGNATURE_SECONDS),
    ))
}

fn signature(
    signer: &DnssecSigner,
    name: &Name,
    records: &[Record],
    now: u64,
) -> Result<Record, hickory_proto::ProtoError> {
    let (record_type, ttl) = records.first().map_or((RecordType::ZERO, 0), |record| {
        (record.record_type(), record.ttl)
    });
    let input = SigInput {
        type_covered: record_type,
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: name.num_labels(),
        original_ttl: ttl,
        sig_expiration: serial(now + SIGNATURE_SECONDS),
        sig_inception: serial(now.saturating_sub(SIGNATURE_SKEW_SECONDS)),
        key_tag: signer.calculate_key_tag()?,
        signer_name: signer.signer_name().clone(),
    };
    let tbs = TBS::from_input(name, DNSClass::IN, &input, records.iter())?;
    let signature = RRSIG::from_sig(input, signer.sign(&tbs)?);
    Ok(Record::from_rdata(
        name.clone(),
        ttl,
        RData::DNSSEC(DNSSECRData::RRSIG(signature)),
    ))
}

fn is_fresh(signature: &Record, now: u64) -> bool {
    match &signature.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => {
            serial(now + SIGNATURE_REFRESH_SECONDS) < signature.input().sig_expiration
        }
        _ => false,
    }
}

/// Seconds since the epoch in the 32 bits of RFC 4034 3.1.5.
#[expect(
    clippy::cast_possible_truncation,
    reason = "serial number arithmetic is modulo 2^32"
)]
fn serial(seconds: u64) -> SerialNumber {
    SerialNumber::new(seconds as u32)
}
