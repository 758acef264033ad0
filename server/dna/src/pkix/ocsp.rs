//! What a certificate's issuer says about it when asked, or has the peer pass on (OCSP, RFC 6960; CERT-16, CERT-24, CERT-28).
//!
//! Public authorities have switched their responders off; where a certificate still names one it is asked, unless a list of
//! its issuer has said as much, or a stapled answer. An answer counts when the issuer signed it, or whoever the issuer gave
//! a certificate for exactly that (RFC 6960 4.2.2.2), when it is about this certificate of this issuer, and for as long as it
//! says. Refuses: taking no answer, or one that is none, for a bad one.
//!
//! Whether such a delegate's own certificate has been revoked is not asked, with id-pkix-ocsp-nocheck or without
//! (RFC 6960 4.2.2.2.1): it holds until its `notAfter`. Who stole a delegate's key could call good what is revoked, which is
//! no more than keeping the true answer from us gives, since without an answer nobody is refused; and asking the authority
//! about its own delegate would make each answer cost a second look-up. Only for a certificate that demands a staple is a
//! stolen delegate worth more than silence, and then for the lifetime that the authority chose for it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::Url;
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, VerifiedPath};
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::ext::pkix::CrlReason;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    OcspResponseStatus, Request, SingleResponse, TbsRequest, Version,
};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;
use xmpp::timestamp::Timestamp;

use super::{Anchors, revocation, unix};
use crate::{Fetch, Post};

#[cfg(test)]
mod tests;

/// Most questions about one chain.
const QUESTIONS: usize = 4;
/// Largest answer, in bytes.
const ANSWER_BYTES: usize = 64 * 1024;
/// Certificates in an answer that are looked at.
const SIGNERS: usize = 4;
/// Longest address with a question in it (RFC 5019 5); a longer one is posted.
const GET_BYTES: usize = 255;
/// How far a responder's clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(300);
/// An answer that does not say how long it holds is believed this long (CERT-24).
const UNSAID: Duration = Duration::from_secs(24 * 3600);

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// id-pkix-ocsp-basic
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// id-kp-OCSPSigning, as webpki wants it.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
/// id-ad-ocsp
const ACCESS: &str = "1.3.6.1.5.5.7.48.1";

/// What one responder is to be asked about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    responder: String,
    request: Vec<u8>,
    /// Where a list that speaks of the same certificate is to be had.
    pub list: Option<String>,
}

impl Question {
    /// The address that asks it (RFC 6960 A.1): the same for everybody who asks the same.
    pub fn address(&self) -> String {
        let request = STANDARD.encode(&self.request);
        let escaped: String = url::form_urlencoded::byte_serialize(request.as_bytes()).collect();
        format!("{}/{escaped}", self.responder.trim_end_matches('/'))
    }
}

/// What is worth asking about a chain that holds otherwise: each certificate of it that is ([`revocation::Asked`]), names a
/// responder and has an issuer that we know, but for a leaf that a stapled answer vouches for.
pub fn questions(
    asked: &revocation::Asked<'_>,
    anchors: &Anchors,
    now: Timestamp,
) -> Vec<Question> {
    let staple = asked.chain.staple();
    let path: Vec<_> = asked.certificates().collect();
    let mut found = Vec::new();
    for (at, (place, certificate)) in path.iter().enumerate() {
        let Some(responder) = responder(certificate) else {
            continue;
        };
        // Whoever comes next on the path has issued it; an anchor the last.
        let name = certificate.issuer().as_raw();
        let next = path
            .get(at + 1)
            .filter(|(_, next)| next.subject().as_raw() == name);
        let issuer = match next {
            Some((place, _)) => anchor(&asked.chain.certificates[*place]),
            None => issuer_of(certificate, asked, anchors),
        };
        let Some(issuer) = issuer else {
            continue;
        };
        let vouched = *place == 0
            && staple.as_ref().is_some_and(|staple| {
                matches!(staple.about(certificate, &issuer, now), Status::Good(_))
            });
        if let Some(request) = request(certificate, &issuer).filter(|_| !vouched) {
            found.push(Question {
                responder,
                request,
                list: revocation::source(certificate),
            });
        }
        if found.len() == QUESTIONS {
            break;
        }
    }
    found
}

/// Asks one question. `None`: there is no answer, for now or at all.
pub async fn ask(fetch: &dyn Fetch, question: &Question) -> Option<Answer> {
    let address = question.address();
    if address.len() <= GET_BYTES
        && let Ok(url) = Url::parse(&address)
        && let Ok(reply) = fetch.get(&url, ANSWER_BYTES).await
        && reply.status == 200
        && let Some(answer) = Answer::from_der(&reply.body)
    {
        return Some(answer);
    }
    // Not every responder takes questions in addresses.
    let url = Url::parse(&question.responder).ok()?;
    let post = Post {
        media_type: "application/ocsp-request",
        headers: Vec::new(),
        body: question.request.clone(),
    };
    let posted = fetch.post(&url, post, ANSWER_BYTES);
    let reply = posted.await.ok().filter(|reply| reply.status == 200)?;
    Answer::from_der(&reply.body)
}

/// The first web address at which the issuer says to ask.
pub(super) fn responder(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        access
            .accessdescs
            .iter()
            .find_map(|description| match &description.access_location {
                GeneralName::URI(uri)
                    if description.access_method.to_id_string() == ACCESS
                        && (uri.starts_with("http://") || uri.starts_with("https://")) =>
                {
                    Some((*uri).to_owned())
                }
                _ => None,
            })
    })
}

/// Whoever bears the issuer's name, in the chain or among the anchors.
fn issuer_of(
    certificate: &X509Certificate<'_>,
    asked: &revocation::Asked<'_>,
    anchors: &Anchors,
) -> Option<TrustAnchor<'static>> {
    let name = certificate.issuer().as_raw();
    let shown = asked.shown.iter().find(|(_, other)| {
        other.subject().as_raw() == name && other.raw_serial() != certificate.raw_serial()
    });
    if let Some((place, _)) = shown {
        return anchor(&asked.chain.certificates[*place]);
    }
    // An anchor's name is kept without its outermost tag.
    let mut reader = SliceReader::new(name).ok()?;
    let inside = Header::decode(&mut reader).ok()?.length;
    let inside = reader.read_slice(inside).ok()?;
    let mut known = anchors.list().iter();
    let known = known.find(|anchor| anchor.subject.as_ref() == inside)?;
    Some(known.clone())
}

/// A certificate as the anchor of what it has signed.
pub(super) fn anchor(der: &[u8]) -> Option<TrustAnchor<'static>> {
    let der = CertificateDer::from(der);
    Some(webpki::anchor_from_trusted_cert(&der).ok()?.to_owned())
}

fn request(certificate: &X509Certificate<'_>, issuer: &TrustAnchor<'_>) -> Option<Vec<u8>> {
    // Responders for everybody know SHA-1 only (RFC 5019 2.1.1). It identifies, and secures nothing.
    let hashes = Hashes::of(SHA1, certificate, issuer)?;
    let id = CertId {
        hash_algorithm: AlgorithmIdentifierOwned {
            oid: SHA1,
            parameters: Some(Null.into()),
        },
        issuer_name_hash: OctetString::new(hashes.name).ok()?,
        issuer_key_hash: OctetString::new(hashes.key).ok()?,
        serial_number: SerialNumber::new(certificate.raw_serial()).ok()?,
    };
    let request = OcspRequest {
        tbs_request: TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![Request {
                req_cert: id,
                single_request_extensions: None,
            }],
            request_extensions: None,
        },
        optional_signature: None,
    };
    request.to_der().ok()
}

/// How a question or an answer names an issuer.
struct Hashes {
    name: Vec<u8>,
    key: Vec<u8>,
}

impl Hashes {
    fn of(
        hash: ObjectIdentifier,
        certificate: &X509Certificate<'_>,
        issuer: &TrustAnchor<'_>,
    ) -> Option<Self> {
        let spki = webpki::spki_for_anchor(issuer);
        let (_, spki) = SubjectPublicKeyInfo::from_der(&spki).ok()?;
        let (name, key) = (certificate.issuer().as_raw(), &spki.subject_public_key.data);
        let digest = |bytes: &[u8]| match hash {
            SHA1 => Some(Sha1::digest(bytes).to_vec()),
            SHA256 => Some(Sha256::digest(bytes).to_vec()),
            _ => None,
        };
        Some(Self {
            name: digest(name)?,
            key: digest(key)?,
        })
    }
}

/// An answer, as fetched or stapled. Who signed it is checked when it is used: by then the certificate's issuer is known.
#[derive(Clone, Debug)]
pub struct Answer(Arc<Signed>);

#[derive(Debug)]
struct Signed {
    /// What the signature is over, as it came.
    data: Vec<u8>,
    /// Content of the algorithm identifier.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    /// Certificates that came along, DER.
    signers: Vec<Vec<u8>>,
    responses: Vec<SingleResponse>,
}

/// What an answer says about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not revoked, until then.
    Good(Timestamp),
    Revoked,
    /// Nothing that counts.
    Unknown,
}

impl Answer {
    /// From DER; `None` when it is no successful answer.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let response = OcspResponse::from_der(der).ok()?;
        let bytes = response.response_bytes.filter(|bytes| {
            response.response_status == OcspResponseStatus::Successful
                && bytes.response_type == BASIC
        })?;
        let basic = bytes.response.as_bytes();
        let mut reader = SliceReader::new(basic).ok()?;
        Header::decode(&mut reader).ok()?;
        let data = reader.tlv_bytes().ok()?.to_vec();
        let basic = BasicOcspResponse::from_der(basic).ok()?;
        let algorithm = basic.signature_algorithm.to_der().ok()?;
        let mut reader = SliceReader::new(&algorithm).ok()?;
        let header = Header::decode(&mut reader).ok()?;
        let content = reader.read_slice(header.length).ok()?.to_vec();
        let signers = basic.certs.unwrap_or_default();
        let signers = signers.iter().take(SIGNERS);
        Some(Self(Arc::new(Signed {
            data,
            algorithm: content,
            signature: basic.signature.as_bytes()?.to_vec(),
            signers: signers.filter_map(|signer| signer.to_der().ok()).collect(),
            responses: basic.tbs_response_data.responses,
        })))
    }

    /// For how long it may be remembered; nothing when it is out of date already.
    pub fn lasts(&self, now: Timestamp) -> Duration {
        let ends = self.0.responses.iter().map(end);
        ends.min().map_or(Duration::ZERO, |end| end.since(now))
    }

    pub(super) fn about(
        &self,
        certificate: &X509Certificate<'_>,
        issuer: &TrustAnchor<'_>,
        now: Timestamp,
    ) -> Status {
        let its = |single: &&SingleResponse| is_about(&single.cert_id, certificate, issuer);
        let Some(single) = self.0.responses.iter().find(its) else {
            return Status::Unknown;
        };
        if time(&single.this_update) > now.after(SKEW) || !self.is_signed_for(issuer, now) {
            return Status::Unknown;
        }
        let fresh = now <= end(single);
        match &single.cert_status {
            CertStatus::Good(_) if fresh => Status::Good(end(single)),
            // Who was revoked yesterday still is, unless that was to be for a time.
            CertStatus::Revoked(why)
                if fresh || why.revocation_reason != Some(CrlReason::CertificateHold) =>
            {
                Status::Revoked
            }
            _ => Status::Unknown,
        }
    }

    /// By the issuer itself, or by whom it gave a certificate for that.
    fn is_signed_for(&self, issuer: &TrustAnchor<'_>, now: Timestamp) -> bool {
        let spki = webpki::spki_for_anchor(issuer);
        let by_issuer = RawPublicKeyEntity::try_from(&spki).is_ok_and(|key| {
            self.algorithms().any(|algorithm| {
                key.verify_signature(algorithm, &self.0.data, &self.0.signature)
                    .is_ok()
            })
        });
        by_issuer
            || self
                .0
                .signers
                .iter()
                .any(|der| self.is_signed_by(der, issuer, now))
    }

    fn is_signed_by(&self, signer: &[u8], issuer: &TrustAnchor<'_>, now: Timestamp) -> bool {
        let der = CertificateDer::from(signer);
        let Ok(signer) = EndEntityCert::try_from(&der) else {
            return false;
        };
        // Names that the issuer may not sign for are no matter of a responder's.
        let issuer = TrustAnchor {
            name_constraints: None,
            ..issuer.clone()
        };
        let delegated = signer.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            std::slice::from_ref(&issuer),
            &[],
            unix(now),
            KeyUsage::required(OCSP_SIGNING),
            None,
            None,
        );
        delegated.is_ok()
            && self.algorithms().any(|algorithm| {
                signer
                    .verify_signature(algorithm, &self.0.data, &self.0.signature)
                    .is_ok()
            })
    }

    fn algorithms(&self) -> impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm> {
        let all = webpki::ALL_VERIFICATION_ALGS.iter().copied();
        all.filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.0.algorithm)
    }
}

/// RFC 6960 4.1.1: the same issuer, in name and key, and the same serial number.
fn is_about(id: &CertId, certificate: &X509Certificate<'_>, issuer: &TrustAnchor<'_>) -> bool {
    fn plain(serial: &[u8]) -> &[u8] {
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        &serial[zeros..]
    }
    plain(id.serial_number.as_bytes()) == plain(certificate.raw_serial())
        && Hashes::of(id.hash_algorithm.oid, certificate, issuer).is_some_and(|hashes| {
            hashes.name == id.issuer_name_hash.as_bytes()
                && hashes.key == id.issuer_key_hash.as_bytes()
        })
}

fn end(single: &SingleResponse) -> Timestamp {
    match &single.next_update {
        Some(next) => time(next),
        None => time(&single.this_update).after(UNSAID),
    }
}

fn time(time: &OcspGeneralizedTime) -> Timestamp {
    let since = time.0.to_unix_duration();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// What answers say about the certificates of a path: whether one is revoked, and until when its leaf is not.
pub(super) struct Standing {
    pub(super) revoked: bool,
    pub(super) leaf_good: Option<Timestamp>,
}

impl Standing {
    /// Nobody has said anything.
    pub(super) fn silent() -> Self {
        Self {
            revoked: false,
            leaf_good: None,
        }
    }
}

/// Looks a whole path up in answers.
pub(super) fn standing<'a>(
    path: &VerifiedPath<'_>,
    answers: impl Iterator<Item = &'a Answer> + Clone,
    now: Timestamp,
) -> Standing {
    let mut standing = Standing::silent();
    if answers.clone().next().is_none() {
        return standing;
    }
    let mut ders = vec![path.end_entity().der()];
    ders.extend(
        path.intermediate_certificates()
            .map(|certificate| certificate.der()),
    );
    for (at, der) in ders.iter().enumerate() {
        let issuer = match ders.get(at + 1) {
            Some(issuer) => anchor(issuer),
            None => Some(path.anchor().to_owned()),
        };
        let (Some(issuer), Ok((_, certificate))) = (issuer, X509Certificate::from_der(der)) else {
            continue;
        };
        for answer in answers.clone() {
            match answer.about(&certificate, &issuer, now) {
                Status::Revoked => standing.revoked = true,
                Status::Good(until) if at == 0 => standing.leaf_good = Some(until),
                Status::Good(_) | Status::Unknown => {}
            }
        }
    }
    standing
}
