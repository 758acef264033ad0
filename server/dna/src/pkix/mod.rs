//! Certificates (RFC 6120 13.7, RFC 5280, RFC 6125).
//!
//! The proof: a certificate whose key the peer holds, which TLS has checked. The matching rule: a path to a trust anchor,
//! valid now, for use as a server, and a DNS-ID, SRV-ID or XmppAddr that is the domain claimed (`names`). The material is
//! what the peer showed and our own anchors. Secure DNS is needed only to let the SRV target stand for the domain
//! (DANE-29).
//!
//! Refuses: the Common Name (CERT-10), a certificate for clients only (CERT-30), an SRV target that the DNS did not vouch
//! for (DNA-27), the general anchors for a peer that has its own (CERT-22).

mod client;
mod describe;
mod names;
pub mod ocsp;
pub mod revocation;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, VerifiedPath};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::client::{ClientLeaf, ClientRefused, client_addresses, client_leaf};
pub use self::describe::{Description, EndPointHash, Names, covers, describe, end_point_hash};
pub use self::names::{Identifier, identifiers};

use crate::verdict::{Fault, Proof, Prooftype, Refusal};
use crate::{Claim, Evidence, Finding, Role, Security, Service};

/// Most certificates of a chain that are looked at.
const CHAIN_LENGTH: usize = 10;
/// Most names of a certificate that a refusal lists.
const NAMES: usize = 8;

/// Trust anchors.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    list: Vec<TrustAnchor<'static>>,
}

/// Why anchors could not be read. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// Not PEM.
    #[error("the file of trust anchors is not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// A certificate that cannot be an anchor.
    #[error("certificate {0} cannot be a trust anchor")]
    Certificate(usize, #[source] webpki::Error),
    /// Nothing in it.
    #[error("there is no certificate in it")]
    Empty,
}

impl Anchors {
    /// From certificates. Those that cannot be anchors are left out, as stores of operating systems hold some.
    pub fn lenient<'a>(certificates: impl IntoIterator<Item = CertificateDer<'a>>) -> Self {
        let list = certificates
            .into_iter()
            .filter_map(|der| Some(webpki::anchor_from_trusted_cert(&der).ok()?.to_owned()))
            .collect();
        Self { list }
    }

    /// From a PEM file.
    ///
    /// # Errors
    /// [`AnchorError`]
    pub fn from_pem(pem: &[u8]) -> Result<Self, AnchorError> {
        let mut list = Vec::new();
        for (index, der) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let der = der.map_err(AnchorError::Pem)?;
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|error| AnchorError::Certificate(index + 1, error))?;
            list.push(anchor.to_owned());
        }
        if list.is_empty() {
            return Err(AnchorError::Empty);
        }
        Ok(Self { list })
    }

    /// The anchors, for a TLS library's own verifier.
    pub fn list(&self) -> &[TrustAnchor<'static>] {
        &self.list
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none: then no certificate proves anything.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// What a peer showed in the handshake. TLS has checked that it holds the key of the leaf, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedChain {
    /// DER, leaf first.
    pub certificates: Arc<[Vec<u8>]>,
    /// The OCSP response that came stapled, empty where none came; `None`: we did not ask for one (CERT-28).
    pub staple: Option<Arc<[u8]>>,
}

impl PresentedChain {
    /// A chain as TLS gives it; `None` when the peer showed none.
    pub fn new(certificates: &[Vec<u8>], staple: Option<Arc<[u8]>>) -> Option<Self> {
        (!certificates.is_empty()).then(|| Self {
            certificates: certificates.into(),
            staple,
        })
    }

    /// The stapled response, where one came that can be read.
    fn staple(&self) -> Option<ocsp::Answer> {
        ocsp::Answer::from_der(self.staple.as_deref()?)
    }

    /// The end-entity certificate.
    pub fn leaf(&self) -> Option<&[u8]> {
        self.certificates.first().map(Vec::as_slice)
    }
}

pub(crate) fn examine(claim: &Claim, evidence: &Evidence, now: Timestamp) -> Finding {
    let Some(chain) = &evidence.chain else {
        if !evidence.tls {
            return Finding::Silent;
        }
        return Finding::Fails(refusal(
            "certificate-missing",
            Fault::Peer,
            format!("{} showed no certificate", claim.remote),
        ));
    };
    match prove(claim, evidence, chain, now) {
        Ok(proof) => Finding::Holds(proof),
        Err(refusal) => Finding::Fails(refusal),
    }
}

fn prove(
    claim: &Claim,
    evidence: &Evidence,
    chain: &PresentedChain,
    now: Timestamp,
) -> Result<Proof, Refusal> {
    // Pinned anchors take the place of the general ones, never stand beside them (CERT-22).
    let (anchors, pinned) = match &evidence.pinned {
        Some(pinned) => (pinned, true),
        None => (&evidence.anchors, false),
    };
    let references = References::new(claim, evidence);
    let matched = validate(
        chain,
        &anchors.list,
        &references,
        evidence.revocation.as_ref(),
        now,
        (evidence.profile, None),
    )
    .map_err(|problem| problem.refusal(Prooftype::Pkix, &claim.remote, pinned))?;
    // The certificate is the host's: that the host serves the domain is the DNS's to say, now and then.
    let until = match matched.by_host {
        true => matched.until.min(now.after(crate::RECHECK)),
        false => matched.until,
    };
    Ok(Proof {
        by: Prooftype::Pkix,
        identifier: matched.identifier.to_string(),
        dnssec: matched.by_host,
        until,
        revocable: true,
        path: Some(matched.path),
    })
}

/// The names that a certificate may bear, made from the claim and from what the DNS vouched for, before the certificate
/// is looked at (CERT-12).
pub(crate) struct References {
    domain: String,
    hosts: Vec<String>,
    service: Service,
}

impl References {
    /// The domain claimed, and the host that a secure delegation leads to, on streams that we opened (DANE-29).
    pub(crate) fn new(claim: &Claim, evidence: &Evidence) -> Self {
        let target = evidence
            .target
            .as_ref()
            .filter(|target| claim.role == Role::Initiator && target.security == Security::Secure);
        Self {
            domain: claim.remote.to_ascii().into_owned(),
            hosts: target
                .map(|target| target.host.clone())
                .into_iter()
                .collect(),
            service: claim.service,
        }
    }

    /// One more host that secure DNS stands for (RFC 7671 7).
    pub(crate) fn and_host(mut self, host: &str) -> Self {
        if !self.hosts.iter().any(|known| known == host) {
            self.hosts.push(host.to_owned());
        }
        self
    }
}

/// A certificate that holds.
pub(crate) struct Matched {
    pub(crate) identifier: Identifier,
    /// The identifier is the host's, for which secure DNS vouches.
    pub(crate) by_host: bool,
    pub(crate) until: Timestamp,
    /// Its certificate and those that lead from it to an anchor, as places in the chain.
    pub(crate) path: Vec<usize>,
}

/// What is asked of the certificates on a path beside that the path holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// What public authorities issue today: an issuer has a name and, where it says what its key is for, may sign others
    /// (C-07).
    #[default]
    Public,
    /// All that RFC 6120 13.7.1.1 asks of a certificate and of those that issued it; the anchor itself is trusted as such. The
    /// address of a responder, which it wants (SHOULD), may be that of a list.
    Full,
}

/// A further condition on a path.
pub(crate) type Through<'a> = &'a dyn Fn(&VerifiedPath<'_>) -> bool;

/// Conditions on a path: what is asked of its certificates, and what else.
pub(crate) type Conditions<'a> = (Profile, Option<Through<'a>>);

/// Path, dates, usage, staple, revocation, names: everything that RFC 5280 and RFC 6125 ask for, from these anchors.
pub(crate) fn validate(
    chain: &PresentedChain,
    anchors: &[TrustAnchor<'static>],
    references: &References,
    revocation: Option<&revocation::Evidence>,
    now: Timestamp,
    conditions: Conditions<'_>,
) -> Result<Matched, Problem> {
    let Path {
        leaf,
        places,
        mut until,
    } = check_path(chain, anchors, now, revocation, conditions)?;
    if let Some(revocation) = revocation {
        // Also where nobody could be asked: whoever keeps us from a list is not to do so for as long as the stream lasts.
        until = until.min(revocation.until);
    }
    let found = identifiers(&leaf);
    let matched = |identifier: &Identifier, by_host| Matched {
        identifier: identifier.clone(),
        by_host,
        until,
        path: places.clone(),
    };
    if let Some(identifier) = names::find(&found, &references.domain, references.service) {
        return Ok(matched(identifier, false));
    }
    let mut hosts = references.hosts.iter();
    if let Some(identifier) = hosts.find_map(|host| names::find_host(&found, host)) {
        return Ok(matched(identifier, true));
    }
    Err(Problem::Name(found))
}

/// What remains to be checked of a certificate whose name and issuer something else vouches for: it can be read, is valid
/// now, for use as a server, and not known to be revoked (POSH-32, POSH-33). Returns its end.
pub(crate) fn check_alone(
    chain: &PresentedChain,
    revocation: Option<&revocation::Evidence>,
    now: Timestamp,
) -> Result<Timestamp, Problem> {
    let leaf = parse(chain.leaf().unwrap_or_default())?;
    let validity = leaf.validity();
    let (from, until) = (
        describe::time(&validity.not_before),
        describe::time(&validity.not_after),
    );
    if now < from {
        return Err(Problem::NotYet);
    }
    if now > until {
        return Err(Problem::Expired);
    }
    if let Ok(Some(usage)) = leaf.extended_key_usage() {
        let usage = usage.value;
        let others = !usage.other.is_empty()
            || usage.email_protection
            || usage.code_signing
            || usage.time_stamping
            || usage.ocsp_signing;
        if !(usage.any || usage.server_auth) && (usage.client_auth || others) {
            return Err(if usage.client_auth {
                Problem::ClientOnly
            } else {
                Problem::OtherUse
            });
        }
    }
    match revocation {
        Some(revocation) if revocation.revokes(chain, now) => Err(Problem::Revoked),
        Some(revocation) => Ok(until.min(revocation.until)),
        None => Ok(until),
    }
}

/// Why a certificate does not hold.
#[derive(Debug)]
pub(crate) enum Problem {
    Unreadable,
    Expired,
    NotYet,
    UnknownIssuer,
    SelfSigned,
    ClientOnly,
    OtherUse,
    Revoked,
    CannotSign,
    Weak,
    StapleMissing,
    /// It holds, and lacks what the operator asks of certificates.
    Profile(&'static str),
    /// It names these, and not whom it should.
    Name(Vec<Identifier>),
    Other(webpki::Error),
}

impl Problem {
    /// As the refusal of a prooftype.
    pub(crate) fn refusal(&self, by: Prooftype, remote: &DomainName, pinned: bool) -> Refusal {
        let (code, why) = self.say(pinned);
        let text = format!("the certificate of {remote} {why}");
        Refusal::new(Some(by), code, Fault::Peer, text)
    }

    /// Code, and a sentence that goes on after "the certificate of …".
    pub(crate) fn say(&self, pinned: bool) -> (&'static str, String) {
        match self {
            Self::Unreadable => ("certificate-unreadable", "cannot be read".into()),
            Self::Expired => ("certificate-expired", "has expired".into()),
            Self::NotYet => ("certificate-not-yet-valid", "is not valid yet".into()),
            Self::SelfSigned => ("certificate-self-signed", "is self-signed".into()),
            Self::UnknownIssuer if pinned => (
                "certificate-not-pinned",
                "was not issued by the authority pinned for this peer".into(),
            ),
            Self::UnknownIssuer => (
                "certificate-issuer-unknown",
                "was issued by an authority we do not know, or an intermediate certificate is missing".into(),
            ),
            Self::ClientOnly => (
                "certificate-client-only",
                "is for clients only (extended key usage without serverAuth)".into(),
            ),
            Self::OtherUse => (
                "certificate-other-use",
                "is for another use (extended key usage without serverAuth)".into(),
            ),
            Self::Revoked => ("certificate-revoked", "has been revoked".into()),
            Self::CannotSign => (
                "certificate-issuer-may-not-sign",
                "was signed by a certificate that may not sign others".into(),
            ),
            Self::Weak => (
                "certificate-weak",
                "uses a key or signature that is too weak or unknown".into(),
            ),
            Self::StapleMissing => (
                "staple-missing",
                "demands a stapled OCSP response, and none came that vouches for it".into(),
            ),
            Self::Profile(what) => (
                "certificate-profile",
                format!("lacks what this server asks of certificates (RFC 6120 13.7.1.1): {what}"),
            ),
            Self::Name(found) if found.is_empty() => (
                "certificate-name-mismatch",
                "does not name it: there is no name in it that counts".into(),
            ),
            Self::Name(found) => (
                "certificate-name-mismatch",
                format!(
                    "does not name it: {}",
                    found
                        .iter()
                        .take(NAMES)
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ),
            Self::Other(error) => ("certificate-invalid", format!("does not hold: {error}")),
        }
    }
}

/// A path to an anchor that holds.
struct Path<'a> {
    /// The end-entity certificate, read.
    leaf: X509Certificate<'a>,
    /// Its certificates as places in the chain, leaf first.
    places: Vec<usize>,
    /// Its end: the earliest `notAfter` in it, the anchor's left out since an anchor is trusted as such.
    until: Timestamp,
}

/// Path validation (RFC 5280 6, by webpki) with our rule for key usages.
fn check_path<'a>(
    chain: &'a PresentedChain,
    anchors: &[TrustAnchor<'static>],
    now: Timestamp,
    revocation: Option<&revocation::Evidence>,
    conditions: Conditions<'_>,
) -> Result<Path<'a>, Problem> {
    check_path_for(FOR_SERVERS, chain, anchors, now, revocation, conditions)
}

fn check_path_for<'a>(
    usage: Purpose,
    chain: &'a PresentedChain,
    anchors: &[TrustAnchor<'static>],
    now: Timestamp,
    revocation: Option<&revocation::Evidence>,
    (profile, through): Conditions<'_>,
) -> Result<Path<'a>, Problem> {
    let ders: Vec<CertificateDer<'_>> = chain
        .certificates
        .iter()
        .take(CHAIN_LENGTH)
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let (leaf_der, intermediates) = ders.split_first().ok_or(Problem::Unreadable)?;
    let leaf = EndEntityCert::try_from(leaf_der).map_err(|_| Problem::Unreadable)?;
    let condition = |path: &VerifiedPath<'_>| {
        issuers_may_sign(path)?;
        match through {
            Some(through) if !through(path) => Err(webpki::Error::UnknownIssuer),
            _ => Ok(()),
        }
    };
    let path = leaf
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            anchors,
            intermediates,
            unix(now),
            usage,
            None,
            Some(&condition),
        )
        .map_err(|error| problem(error, &leaf))?;
    let places = revocation::places(chain, &path);
    let certificates = places
        .iter()
        .map(|place| parse(&chain.certificates[*place]))
        .collect::<Result<Vec<_>, _>>()?;
    let ends = certificates
        .iter()
        .map(|read| describe::time(&read.validity().not_after));
    let mut until = ends.min().ok_or(Problem::Unreadable)?;
    match keeps_full_profile(&certificates) {
        Err(departs) if profile == Profile::Full => return Err(departs),
        // C-07: public authorities issue such certificates; who wonders finds it said.
        Err(Problem::Profile(how)) => tracing::debug!(
            how,
            "a certificate departs from RFC 6120 13.7.1.1 and is taken; tls.full_profile would refuse it"
        ),
        Err(_) | Ok(()) => {}
    }
    if let Some(lists) = revocation {
        let between = path.intermediate_certificates().map(|one| one.serial());
        let serials: Vec<_> = std::iter::once(leaf.serial()).chain(between).collect();
        if lists.revoke(&serials, &leaf, anchors, intermediates, now) {
            return Err(Problem::Revoked);
        }
    }
    let asked = revocation.map_or(&[][..], |revocation| &revocation.answers);
    if ocsp::standing(&path, asked.iter(), now).revoked {
        return Err(Problem::Revoked);
    }
    let leaf = certificates.into_iter().next();
    let leaf = leaf.ok_or(Problem::Unreadable)?;
    if chain.staple.is_some() {
        let stapled = match chain.staple() {
            Some(answer) => ocsp::standing(&path, std::iter::once(&answer), now),
            None => ocsp::Standing::silent(),
        };
        if stapled.revoked {
            return Err(Problem::Revoked);
        }
        match stapled.leaf_good {
            Some(good) => until = until.min(good),
            // CERT-28: a response that vouches for nothing is as good as none.
            None if must_staple(&leaf) => return Err(Problem::StapleMissing),
            None => {}
        }
    }
    Ok(Path {
        leaf,
        places,
        until,
    })
}

fn unix(now: Timestamp) -> UnixTime {
    let seconds = u64::try_from(now.0 / 1_000_000).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}

fn problem(error: webpki::Error, leaf: &EndEntityCert<'_>) -> Problem {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => Problem::Expired,
        Error::CertNotValidYet { .. } => Problem::NotYet,
        Error::UnknownIssuer | Error::CaUsedAsEndEntity if leaf.issuer() == leaf.subject() => {
            Problem::SelfSigned
        }
        // The second: an authority of the same name as one we know, with another key.
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Problem::UnknownIssuer,
        Error::CertRevoked => Problem::Revoked,
        Error::RequiredEkuNotFoundContext(context) => {
            if context.present.iter().any(|oid| oid[..] == CLIENT_AUTH) {
                Problem::ClientOnly
            } else {
                Problem::OtherUse
            }
        }
        Error::EndEntityUsedAsCa => Problem::CannotSign,
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Problem::Weak,
        error => Problem::Other(error),
    }
}

const SERVER_AUTH: [usize; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: [usize; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 2];
const ANY_USAGE: [usize; 5] = [2, 5, 29, 37, 0];

/// Extended key usage that a certificate must allow: no restriction, any usage, or one that names this.
struct Purpose {
    usage: [usize; 9],
    required: fn() -> webpki::KeyUsage,
}

/// CERT-30: in either role of a server stream. A restriction to clientAuth comes from authorities that do not verify server
/// names (C-08).
const FOR_SERVERS: Purpose = Purpose {
    usage: SERVER_AUTH,
    required: webpki::KeyUsage::server_auth,
};

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for usage in usages {
            let oid = usage?.to_decoded_oid();
            if oid == self.usage || oid == ANY_USAGE {
                return Ok(());
            }
            present.push(oid);
        }
        if present.is_empty() {
            return Ok(());
        }
        // The same error as the library's own check, so that one place makes sense of it.
        Err(webpki::Error::RequiredEkuNotFoundContext(
            webpki::RequiredEkuNotFoundContext {
                required: (self.required)(),
                present,
            },
        ))
    }
}

/// CERT-03, as C-07 has it: an issuer has a name (RFC 5280 4.1.2.6), and its keyUsage, where there is one, allows signing
/// certificates. webpki leaves both to us.
fn issuers_may_sign(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    for certificate in path.intermediate_certificates() {
        let der = certificate.der();
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| webpki::Error::EndEntityUsedAsCa)?;
        if parsed.subject().iter().next().is_none() {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        let usage = parsed
            .key_usage()
            .map_err(|_| webpki::Error::EndEntityUsedAsCa)?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
    }
    Ok(())
}

/// RFC 6120 13.7.1.1, as far as RFC 5280's path validation and [`issuers_may_sign`] have not asked it already (CERT-03, C-07).
/// The certificates of a path, leaf first.
fn keeps_full_profile(path: &[X509Certificate<'_>]) -> Result<(), Problem> {
    let named = |certificate: &X509Certificate<'_>| certificate.subject().iter().next().is_some();
    let revocable = |certificate: &X509Certificate<'_>| {
        ocsp::responder(certificate).is_some() || revocation::source(certificate).is_some()
    };
    let (leaf, issuers) = path.split_first().ok_or(Problem::Unreadable)?;
    if !named(leaf) {
        return Err(Problem::Profile("its subject is empty"));
    }
    if !revocable(leaf) {
        return Err(Problem::Profile(
            "it says neither whom to ask nor where to look whether it is revoked",
        ));
    }
    for issuer in issuers {
        let usage = issuer.key_usage().map_err(|_| Problem::Unreadable)?;
        if !usage.is_some_and(|usage| usage.value.digital_signature()) {
            return Err(Problem::Profile(
                "an issuer's keyUsage lacks digitalSignature",
            ));
        }
        if !revocable(issuer) {
            return Err(Problem::Profile(
                "an issuer's certificate says neither whom to ask nor where to look whether it is revoked",
            ));
        }
    }
    Ok(())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Problem> {
    X509Certificate::from_der(der)
        .map(|(_, parsed)| parsed)
        .map_err(|_| Problem::Unreadable)
}

/// RFC 7633: the TLS feature extension lists status_request (5).
fn must_staple(certificate: &X509Certificate<'_>) -> bool {
    /// id-pe-tlsfeature
    const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";
    certificate.extensions().iter().any(|extension| {
        if extension.oid.to_id_string() != TLS_FEATURE {
            return false;
        }
        debug_assert!(matches!(
            extension.parsed_extension(),
            ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. }
        ));
        // SEQUENCE OF INTEGER with small values: 30 len (02 01 xx)*
        extension
            .value
            .get(2..)
            .unwrap_or_default()
            .chunks(3)
            .any(|integer| integer == [2, 1, 5])
    })
}

fn refusal(code: &'static str, fault: Fault, text: String) -> Refusal {
    Refusal::new(Some(Prooftype::Pkix), code, fault, text)
}
