//! Certificates: what may be uploaded, when one is renewed, what stands before an order.
//!
//! A chain and key are checked before they are used ([`inspect`]); a renewal keeps its key (ACME-12) and starts at two thirds
//! of the lifetime, whatever that is; after a failure the pauses double, so no name fails five times within an hour.

use std::time::Duration;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use rcgen::PublicKeyData as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{CertificateRow, DomainRow, Identity, OrderRow};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::domain::{Choices, Memory, OrderMemory, State, state_of};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::findings::{CertificateFacts, caa_allows, covers, standing};
use crate::observe::{Observation, Rtype};
use crate::outside::{
    ChallengeSolver, Change, IssueError, IssueRequest, IssuerInfo, KeyChoice, PendingOrder,
    ZoneChange, ZoneValue,
};
use crate::permission::Operation;
use crate::records::{DesiredRecord, Mode, Purpose, Standing};
use crate::secret::Secret;
use crate::tenant::to_json;
use crate::time::{DAY, SECOND};
use crate::{Actor, Control, rate};

/// A certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateView {
    /// Id.
    pub id: i64,
    /// Names in it.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Valid from.
    #[serde(serialize_with = "crate::time::at")]
    pub not_before: Timestamp,
    /// Valid until.
    #[serde(serialize_with = "crate::time::at")]
    pub not_after: Timestamp,
    /// Renewal is planned for; `None` for uploaded ones.
    #[serde(serialize_with = "crate::time::maybe")]
    pub renew_at: Option<Timestamp>,
    /// Whole days left.
    pub days_left: i64,
    /// `acme` or `uploaded`.
    pub source: String,
    /// `current`, `next`, `retired`.
    pub state: String,
    /// SHA-256 of the certificate, hex with colons.
    pub fingerprint: String,
    /// The key has been in use since.
    #[serde(serialize_with = "crate::time::at")]
    pub key_since: Timestamp,
}

/// An upload.
#[derive(Debug, Clone, Deserialize)]
pub struct CertificateUpload {
    /// Leaf first, then intermediates; PEM.
    pub chain_pem: String,
    /// Private key; PKCS#8, PKCS#1 or SEC1 PEM, not encrypted.
    pub key_pem: Secret,
}

/// A chain and its key, found to fit.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What the checks need.
    pub facts: CertificateFacts,
    /// The chain, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The chain as PEM, without whatever else was in the file.
    pub chain_pem: String,
    /// The key, PKCS#8 PEM.
    pub key_pem: Secret,
    /// Who issued the leaf, for people.
    pub issuer: String,
    /// SHA-256 of the leaf, hex with colons.
    pub fingerprint: String,
    /// SHA-256 of the leaf's public key, hex: same key, same value.
    pub key_fingerprint: String,
}

/// Reads a certificate's facts without its key; `None` if the PEM holds no readable certificate.
pub fn read(chain_pem: &str, domain: &DomainName) -> Option<Inspected> {
    let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<std::result::Result<_, _>>()
        .ok()?;
    let leaf = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names: Vec<String> = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names)
        .into_iter()
        .flatten()
        .filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(name.to_ascii_lowercase())
            } else {
                None
            }
        })
        .collect();
    let ascii = domain.to_ascii();
    let time =
        |time: &x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(SECOND));
    let issuer = parsed.issuer();
    let attribute = issuer
        .iter_organization()
        .chain(issuer.iter_common_name())
        .find_map(|value| value.as_str().ok());
    Some(Inspected {
        facts: CertificateFacts {
            covers_domain: names.iter().any(|name| covers(name, &ascii)),
            names,
            not_before: time(&parsed.validity().not_before),
            not_after: time(&parsed.validity().not_after),
        },
        issuer: attribute.map_or_else(|| issuer.to_string(), str::to_owned),
        fingerprint: hex_colons(&Sha256::digest(leaf)),
        key_fingerprint: HEXLOWER.encode(&Sha256::digest(parsed.public_key().raw)),
        chain_pem: chain.iter().map(|der| pem("CERTIFICATE", der)).collect(),
        key_pem: Secret::default(),
        chain,
    })
}

/// Checks a chain and key before they are used: they parse, the key is the leaf's, the leaf is for a server and holds the
/// domain's name, it is valid now, and every certificate is issued by the next. Says which of these is not so.
pub fn inspect(
    chain_pem: &str,
    key_pem: &Secret,
    domain: &DomainName,
    now: Timestamp,
) -> Result<Inspected> {
    let chain_error =
        |problem: String, remedy: &str| ControlError::invalid("chain_pem", "", problem, remedy);
    let key_error =
        |problem: &str, remedy: &str| ControlError::invalid("key_pem", "", problem, remedy);
    if chain_pem.len() > PEM_BYTES || key_pem.expose().len() > PEM_BYTES {
        return Err(chain_error(
            format!("larger than {PEM_BYTES} bytes"),
            "Paste the certificate and its intermediates only.",
        ));
    }
    if chain_pem.contains("PRIVATE KEY") {
        return Err(chain_error(
            "holds a private key".into(),
            "Paste the key into the other field only.",
        ));
    }
    let mut inspected = read(chain_pem, domain).ok_or_else(|| {
        chain_error("holds no certificate that can be read".into(), "Paste the file that begins with -----BEGIN CERTIFICATE-----, the domain's own certificate first.")
    })?;
    if inspected.chain.len() > CHAIN_LENGTH {
        return Err(chain_error(
            format!("holds {} certificates", inspected.chain.len()),
            "Paste the domain's certificate and its intermediates only.",
        ));
    }
    if key_pem.expose().contains("ENCRYPTED") {
        return Err(key_error(
            "the key is protected by a passphrase",
            "Decrypt it first: openssl pkey -in key.pem -out plain.pem",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()).map_err(|_| {
        key_error(
            "holds no private key that can be read",
            "Paste the file that begins with -----BEGIN PRIVATE KEY-----.",
        )
    })?;
    let pair = rcgen::KeyPair::try_from(&key).map_err(|_| {
        key_error(
            "the key is of a kind that cannot be used here",
            "Use an RSA key of at least 2048 bits, an ECDSA P-256 or P-384 key, or an Ed25519 key.",
        )
    })?;
    let mut issued_by: Option<(String, usize)> = None;
    for (index, der) in inspected.chain.iter().enumerate() {
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Err(chain_error(
                format!("certificate {} cannot be read", index + 1),
                "Paste the files as your certificate authority gave them.",
            ));
        };
        if let Some((issuer, below)) = &issued_by {
            if parsed.subject().to_string() != *issuer {
                return Err(chain_error(
                    format!(
                        "certificate {} is not the issuer of certificate {below}: it is \"{}\", wanted is \"{issuer}\"",
                        index + 1,
                        parsed.subject()
                    ),
                    "Put the domain's certificate first, then each one's issuer.",
                ));
            }
        }
        if parsed.validity().not_after.timestamp() <= now.seconds() {
            return Err(chain_error(
                format!(
                    "certificate {} (\"{}\") expired at {}",
                    index + 1,
                    parsed.subject(),
                    Timestamp(parsed.validity().not_after.timestamp() * SECOND).to_xep0082()
                ),
                "Paste the renewed one.",
            ));
        }
        if index == 0 {
            if parsed.public_key().raw != pair.subject_public_key_info() {
                return Err(key_error(
                    "the key does not belong to the first certificate",
                    "Paste the key that the certificate was requested with; the domain's own certificate comes first.",
                ));
            }
            if parsed
                .basic_constraints()
                .ok()
                .flatten()
                .is_some_and(|constraints| constraints.value.ca)
            {
                return Err(chain_error(
                    "the first certificate is a certificate authority's".into(),
                    "Put the domain's own certificate first.",
                ));
            }
            // C-08: limited to clientAuth, it proves nothing to whoever connects.
            if let Ok(Some(usage)) = parsed.extended_key_usage() {
                if !usage.value.server_auth && !usage.value.any {
                    return Err(chain_error(
                        "the certificate is not for servers (serverAuth)".into(),
                        "Request one for a server.",
                    ));
                }
            }
        }
        issued_by = Some((parsed.issuer().to_string(), index + 1));
    }
    if !inspected.facts.covers_domain {
        let names = inspected.facts.names.join(", ");
        return Err(chain_error(
            format!(
                "the certificate is for {}, not for {domain}",
                if names.is_empty() {
                    "no host name at all".into()
                } else {
                    names
                }
            ),
            "Request one that holds the domain itself; *.example.com does not hold example.com (ACME-02), and a common name does not count.",
        ));
    }
    if inspected.facts.not_before > now {
        return Err(chain_error(
            format!(
                "the certificate is valid only from {}",
                inspected.facts.not_before.to_xep0082()
            ),
            "Come back then, or check the clocks.",
        ));
    }
    inspected.key_pem = pair.serialize_pem().into();
    Ok(inspected)
}

/// Largest upload, in bytes each.
const PEM_BYTES: usize = 64 * 1024;
/// Longest chain.
const CHAIN_LENGTH: usize = 8;

/// When renewal starts: at two thirds of the lifetime. `spread` (any number, kept per domain) moves it up to a twentieth of
/// the lifetime earlier, so that domains added together do not all order at once.
pub fn renew_at(not_before: Timestamp, not_after: Timestamp, spread: u64) -> Timestamp {
    let lifetime = (not_after.0 - not_before.0).max(0);
    let early = lifetime / 20 * i64::try_from(spread % 1000).unwrap_or(0) / 1000;
    Timestamp(not_before.0 + lifetime / 3 * 2 - early)
}

/// Pause after the `failures`-th failure in a row: the first pause doubles up to a day. With pauses of 15 minutes the fifth
/// attempt comes after nearly four hours; a shorter first pause (sandbox) is for a CA of one's own.
pub fn pause_seconds(first: u32, failures: u32) -> u32 {
    first
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(86_400)
}

fn hex_colons(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// Longest time an order may take before it is given up, and resumed later.
const ORDER_SECONDS: u64 = 180;
/// `source` of a certificate that was ordered.
const ORDERED: &str = "acme";
/// … that was uploaded.
const UPLOADED: &str = "uploaded";

impl Control {
    /// Certificates of a domain, the current one first.
    pub async fn certificate_list(
        &self,
        actor: &Actor,
        domain: &str,
    ) -> Result<Vec<CertificateView>> {
        let row = self
            .domain_row(actor, Operation::CertificateList, domain)
            .await?;
        let rows = self.domain_store(&row).certificate_list().await?;
        let mut views: Vec<_> = rows
            .iter()
            .filter_map(|held| self.view(&row, held, &rows))
            .collect();
        views.sort_by(|a, b| {
            (a.state != "current")
                .cmp(&(b.state != "current"))
                .then_with(|| b.id.cmp(&a.id))
        });
        Ok(views)
    }

    /// Takes chain and key, checks them, uses them at once.
    pub async fn certificate_upload(
        &self,
        actor: &Actor,
        domain: &str,
        upload: CertificateUpload,
    ) -> Result<CertificateView> {
        let row = self
            .domain_row(actor, Operation::CertificateUpload, domain)
            .await?;
        if row.verified_at.is_none() || matches!(state_of(&row), State::Claimed | State::Releasing)
        {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: row.state.clone(),
                problem: "a certificate can be used once the domain is shown to be yours".into(),
                remedy: "Publish the TXT record first.".into(),
            });
        }
        let inspected = inspect(&upload.chain_pem, &upload.key_pem, &row.name, self.now())?;
        self.install(&row, &inspected, UPLOADED).await?;
        self.audit(
            actor,
            Some(row.tenant),
            Operation::CertificateUpload,
            row.name.as_str(),
            &inspected.fingerprint,
        )
        .await?;
        self.soon(&row).await?;
        self.current_certificate(&row)
            .await?
            .ok_or_else(|| ControlError::internal("the uploaded certificate is not there"))
    }

    /// Has the worker order a certificate now (after the same pre-flight as ever); returns before it has.
    pub async fn certificate_order(&self, actor: &Actor, domain: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::CertificateOrder, domain)
            .await?;
        if Mode::parse(&row.mode) != Some(Mode::DelegatedChallenge) {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "set to uploaded certificates".into(),
                problem: "we order none for it".into(),
                remedy: "Change the way it is verified first, or upload one.".into(),
            });
        }
        self.gate
            .attempt(rate::ORDER, row.name.as_str(), self.now())?;
        let wanted = self.now().0;
        self.domain_edit(row.id, |fresh| {
            fresh.settings = to_json(&Choices {
                order_wanted: wanted,
                ..Choices::of(fresh)
            });
        })
        .await?;
        self.audit(
            actor,
            Some(row.tenant),
            Operation::CertificateOrder,
            row.name.as_str(),
            "",
        )
        .await?;
        self.soon(&row).await
    }

    /// The certificate in use.
    pub(crate) async fn current_certificate(
        &self,
        row: &DomainRow,
    ) -> Result<Option<CertificateView>> {
        let rows = self.domain_store(row).certificate_list().await?;
        Ok(rows
            .iter()
            .find(|held| held.state == "current")
            .and_then(|held| self.view(row, held, &rows)))
    }

    /// The same, as the checks need it; with it, whether it was ordered by us and whether its renewal is due.
    pub(crate) async fn current_facts(
        &self,
        row: &DomainRow,
    ) -> Result<Option<(CertificateFacts, bool)>> {
        Ok(self.current(row).await?.and_then(|held| {
            let facts = read(&held.chain_pem, &row.name)?.facts;
            let due = renew_at(facts.not_before, facts.not_after, spread(row)) <= self.now();
            Some((facts, due))
        }))
    }

    async fn current(&self, row: &DomainRow) -> Result<Option<CertificateRow>> {
        Ok(self.domain_store(row).certificate_current().await?)
    }

    fn view(
        &self,
        row: &DomainRow,
        held: &CertificateRow,
        all: &[CertificateRow],
    ) -> Option<CertificateView> {
        let inspected = read(&held.chain_pem, &row.name)?;
        let key_since = all
            .iter()
            .filter(|other| {
                other.id <= held.id
                    && read(&other.chain_pem, &row.name)
                        .is_some_and(|other| other.key_fingerprint == inspected.key_fingerprint)
            })
            .map(|other| other.created)
            .min()
            .unwrap_or(held.created);
        let facts = inspected.facts;
        let ordered = held.source == ORDERED;
        Some(CertificateView {
            id: held.id,
            names: facts.names,
            issuer: inspected.issuer,
            not_before: facts.not_before,
            not_after: facts.not_after,
            renew_at: ordered.then(|| renew_at(facts.not_before, facts.not_after, spread(row))),
            days_left: (facts.not_after.0 - self.now().0).div_euclid(DAY),
            source: held.source.clone(),
            state: held.state.clone(),
            fingerprint: inspected.fingerprint,
            key_since,
        })
    }

    /// Puts a checked certificate into use; the former one is kept as retired.
    async fn install(&self, row: &DomainRow, inspected: &Inspected, source: &str) -> Result<()> {
        let identity = Identity {
            chain_pem: inspected.chain_pem.clone(),
            key_pem: inspected.key_pem.expose().to_owned().into(),
        };
        self.domain_store(row)
            .certificate_add(
                &identity,
                inspected.facts.not_after,
                source,
                "current",
                self.now(),
            )
            .await?;
        self.parts
            .live
            .announce(Change::Certificate(row.name.clone()));
        self.tell(row, EventKind::Certificate);
        Ok(())
    }

    /// Orders a certificate if one is due and nothing is in the way; returns what to keep of it. Called by the worker, which
    /// has just looked: CNAME and CAA are known, so nothing is spent on an order that must fail (ACME-09).
    pub(crate) async fn order(
        &self,
        row: &DomainRow,
        desired: &[DesiredRecord],
        seen: &Observation,
        memory: &mut OrderMemory,
    ) -> Result<bool> {
        let now = self.now();
        let choices = Choices::of(row);
        if Mode::parse(&row.mode) != Some(Mode::DelegatedChallenge) || !state_of(row).is_served() {
            return Ok(false);
        }
        let asked = choices.order_wanted > memory.tried;
        if asked {
            memory.left_out.clear();
        } else if now.0 < memory.not_before {
            return Ok(false);
        }
        let names = order_names(
            row,
            desired,
            seen,
            &self.parts.issuer.describe(),
            &memory.left_out,
        );
        if names.is_empty() {
            return Ok(false);
        }
        let current = self.current(row).await?;
        let store = self.domain_store(&row);
        if !asked {
            if let Some((facts, due)) = self.current_facts(row).await? {
                let lacking = names.iter().any(|name| {
                    !facts
                        .names
                        .iter()
                        .any(|held| covers(held, &name.to_ascii()))
                });
                if !due && facts.covers_domain && !lacking {
                    return Ok(false);
                }
            }
        }
        // A renewal keeps the key (ACME-12); an uploaded one's key is the owner's, and stays theirs alone.
        let key = match &current {
            Some(held) if held.source == ORDERED => store
                .identity_current()
                .await?
                .map_or(KeyChoice::New, |identity| {
                    KeyChoice::Keep(identity.key_pem.as_str().into())
                }),
            _ => KeyChoice::New,
        };
        let resume = store.order_get().await?.map(|order| PendingOrder {
            url: order.url,
            key_pem: order.key_pem.as_str().into(),
            csr_der: order.csr,
        });
        memory.tried = now.0;
        let facts = self.facts_of(row, &Memory::of(row));
        let desk = Desk {
            control: self,
            row,
            challenge: facts.challenge(self.settings()),
            names: names.clone(),
        };
        let request = IssueRequest {
            domain_id: row.id.0,
            domain: row.name.clone(),
            names: names.clone(),
            key,
            resume,
        };
        let answer = tokio::time::timeout(
            Duration::from_secs(ORDER_SECONDS),
            self.parts.issuer.issue(request, &desk),
        )
        .await;
        let failure = match answer {
            Ok(Ok(issued)) => {
                match inspect(&issued.chain_pem, &issued.key_pem, &row.name, self.now()) {
                    Ok(inspected) => {
                        self.install(row, &inspected, ORDERED).await?;
                        store.order_clear().await?;
                        *memory = OrderMemory {
                            tried: now.0,
                            left_out: std::mem::take(&mut memory.left_out),
                            ..OrderMemory::default()
                        };
                        self.audit(
                            &Actor::system("worker"),
                            Some(row.tenant),
                            Operation::CertificateOrder,
                            row.name.as_str(),
                            &inspected.fingerprint,
                        )
                        .await?;
                        return Ok(true);
                    }
                    Err(error) => {
                        IssueError::Refused(format!("what it issued cannot be used: {error}"))
                    }
                }
            }
            Ok(Err(error)) => error,
            // The order stays stored: the next attempt resumes it.
            Err(_) => IssueError::Unavailable("no certificate in time".into()),
        };
        tracing::warn!(domain = %row.name, error = %failure, "no certificate");
        if !matches!(failure, IssueError::Unavailable(_)) {
            store.order_clear().await?;
        }
        self.order_failed(row, &failure, memory);
        self.tell(row, EventKind::Certificate);
        Ok(false)
    }

    /// Keeps what a failed order taught: when to try again, and which optional names to leave out.
    fn order_failed(&self, row: &DomainRow, failure: &IssueError, memory: &mut OrderMemory) {
        let pace = self.settings().pace;
        memory.failures = memory.failures.saturating_add(1);
        let mut pause = pause_seconds(pace.order_pause_seconds, memory.failures);
        match failure {
            IssueError::Names(refused) => {
                let optional: Vec<_> = refused
                    .iter()
                    .filter(|refused| refused.name != row.name)
                    .map(|refused| refused.name.to_string())
                    .collect();
                // One failing service never blocks the domain: leave it out, and try again soon.
                if optional.len() == refused.len()
                    && optional.iter().any(|name| !memory.left_out.contains(name))
                {
                    pause = pace.order_pause_seconds.min(60);
                }
                for name in optional {
                    if !memory.left_out.contains(&name) {
                        memory.left_out.push(name);
                    }
                }
            }
            IssueError::RateLimited { wait_seconds } => {
                pause = pause.max(u32::try_from(*wait_seconds).unwrap_or(86_400))
            }
            IssueError::Unavailable(_) | IssueError::Challenge(_) | IssueError::Refused(_) => {}
        }
        memory.not_before = crate::time::plus(self.now(), pause).0;
        memory.said = failure.to_string();
    }
}

/// Names to order: the domain and every service whose challenge record is seen and whose CAA allows it; none if the domain
/// itself is not ready.
fn order_names(
    row: &DomainRow,
    desired: &[DesiredRecord],
    seen: &Observation,
    issuer: &IssuerInfo,
    left_out: &[String],
) -> Vec<DomainName> {
    let mut names = Vec::new();
    for record in desired
        .iter()
        .filter(|record| record.purpose == Purpose::Challenge)
    {
        let name = match &record.service {
            None => Ok(row.name.clone()),
            Some(label) => DomainName::parse(&format!("{label}.{}", row.name)),
        };
        let Ok(name) = name else { continue };
        let ready = standing(record, seen) == Standing::Seen
            && !seen
                .set(Rtype::Cname, &record.name)
                .is_some_and(crate::observe::SetView::is_bogus)
            && seen
                .caa
                .get(name.to_ascii().as_ref())
                .is_none_or(|view| view.failed.is_none() && caa_allows(view, issuer))
            && !left_out.iter().any(|out| *out == name.as_str());
        match (&record.service, ready) {
            (None, false) => return Vec::new(),
            (None, true) => names.insert(0, name),
            (Some(_), true) => names.push(name),
            (Some(_), false) => {}
        }
    }
    names
}

/// A number of the domain's own, for spreading renewals.
fn spread(row: &DomainRow) -> u64 {
    let digest = Sha256::digest(row.label.as_bytes());
    u64::from(u16::from_be_bytes([digest[0], digest[1]]))
}

/// Control's side of one order, bound to one domain (ACME-08).
struct Desk<'a> {
    control: &'a Control,
    row: &'a DomainRow,
    challenge: String,
    names: Vec<DomainName>,
}

/// TTL of challenge records.
const CHALLENGE_TTL_SECONDS: u32 = 60;

#[async_trait]
impl ChallengeSolver for Desk<'_> {
    async fn present(&self, name: &DomainName, value: &str) -> std::result::Result<(), IssueError> {
        if !self.names.contains(name) {
            return Err(IssueError::Challenge(format!(
                "{name} is not a name of this order"
            )));
        }
        let value = ZoneValue::Txt(value.to_owned());
        let change = ZoneChange::Add {
            name: self.challenge.clone(),
            ttl_seconds: CHALLENGE_TTL_SECONDS,
            value,
        };
        self.control.parts.zone.apply(&[change]).await.map_err(|error| {
            tracing::warn!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "a challenge could not be published");
            IssueError::Challenge("the platform's name server did not take it".into())
        })
    }

    async fn withdraw(&self, _name: &DomainName, value: &str) {
        let change = ZoneChange::Remove {
            name: self.challenge.clone(),
            value: ZoneValue::Txt(value.to_owned()),
        };
        if let Err(error) = self.control.parts.zone.apply(&[change]).await {
            tracing::warn!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "a challenge is left over");
        }
    }

    async fn remember(&self, order: PendingOrder) -> std::result::Result<(), IssueError> {
        let store = self.control.domain_store(self.row);
        let order = OrderRow {
            url: order.url,
            key_pem: order.key_pem.expose().to_owned().into(),
            csr: order.csr_der,
        };
        store.order_set(&order).await.map_err(|error| {
            tracing::error!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "an order could not be remembered");
            IssueError::Unavailable("the order could not be remembered".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR};

    struct Made {
        chain_pem: String,
        key_pem: Secret,
    }

    /// A leaf for `names` under a small CA, valid for 90 days from 1970-01-02.
    fn made(names: &[&str], usage: Option<rcgen::ExtendedKeyUsagePurpose>) -> (Made, String) {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "Test CA");
        (ca.not_before, ca.not_after) = (
            rcgen::date_time_ymd(1970, 1, 1),
            rcgen::date_time_ymd(1990, 1, 1),
        );
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(1970, 1, 2),
            rcgen::date_time_ymd(1970, 4, 2),
        );
        params.extended_key_usages = usage.into_iter().collect();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        (
            Made {
                chain_pem: format!("{}{}", leaf.pem(), ca_cert.pem()),
                key_pem: key.serialize_pem().into(),
            },
            ca_cert.pem(),
        )
    }

    fn problem(chain_pem: &str, key_pem: &Secret, now: Timestamp) -> String {
        inspect(
            chain_pem,
            key_pem,
            &DomainName::parse("example.com").unwrap(),
            now,
        )
        .unwrap_err()
        .to_string()
    }

    const NOW: Timestamp = Timestamp(10 * DAY);

    #[test]
    fn a_good_upload() {
        let (made, _) = made(&["example.com", "rooms.example.com"], None);
        let inspected = inspect(
            &made.chain_pem,
            &made.key_pem,
            &DomainName::parse("example.com").unwrap(),
            NOW,
        )
        .unwrap();
        assert_eq!(inspected.facts.names, ["example.com", "rooms.example.com"]);
        assert_eq!(inspected.issuer, "Test CA");
        assert_eq!(inspected.chain.len(), 2);
        assert_eq!(inspected.facts.not_after, Timestamp(91 * DAY));
    }

    #[test]
    fn each_fault_is_named() {
        let (good, ca) = made(&["example.com"], None);
        let (other, other_ca) = made(&["example.com"], None);
        let (wild, _) = made(&["*.example.com"], None);
        let (client, _) = made(
            &["example.com"],
            Some(rcgen::ExtendedKeyUsagePurpose::ClientAuth),
        );
        let leaf = good.chain_pem.strip_suffix(ca.as_str()).unwrap();
        assert!(problem("hello", &good.key_pem, NOW).contains("no certificate"));
        assert!(problem(&good.chain_pem, &"hello".into(), NOW).contains("no private key"));
        assert!(problem(&good.chain_pem, &other.key_pem, NOW).contains("does not belong"));
        assert!(problem(&format!("{ca}{leaf}"), &good.key_pem, NOW).contains("does not belong"));
        assert!(
            problem(&wild.chain_pem, &wild.key_pem, NOW)
                .contains("*.example.com, not for example.com")
        );
        assert!(problem(&client.chain_pem, &client.key_pem, NOW).contains("not for servers"));
        assert!(problem(&good.chain_pem, &good.key_pem, Timestamp(92 * DAY)).contains("expired"));
        assert!(
            problem(&good.chain_pem, &good.key_pem, Timestamp(HOUR)).contains("valid only from")
        );
        assert!(problem(&format!("{leaf}{leaf}"), &good.key_pem, NOW).contains("not the issuer"));
        assert!(
            problem(
                &format!("{}{}", good.chain_pem, good.key_pem.expose()),
                &good.key_pem,
                NOW
            )
            .contains("private key")
        );
        let _ = other_ca;
    }

    #[test]
    fn renewal_at_any_lifetime() {
        for days in [6.7, 45.0, 64.0, 90.0, 365.0] {
            let end = Timestamp((days * DAY as f64) as i64);
            for spread in [0, 999] {
                let at = renew_at(Timestamp(0), end, spread);
                assert!(
                    at.0 * 10 > end.0 * 6 && at.0 * 3 <= end.0 * 2,
                    "{days} {spread}"
                );
            }
        }
    }

    #[test]
    fn failures_back_off_below_five_an_hour() {
        let mut at = 0;
        let mut within_an_hour = 1;
        for failures in 1..20 {
            at += u64::from(pause_seconds(900, failures));
            within_an_hour += u32::from(at < 3600);
        }
        assert!(within_an_hour < 5);
        assert_eq!(pause_seconds(900, 40), 86_400);
    }
}
