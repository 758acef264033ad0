//! Answers made for the purpose: by whom, about what, as of when.

use rcgen::ExtendedKeyUsagePurpose;
use x509_cert::der::DateTime;
use x509_cert::der::asn1::BitString;
use x509_ocsp::{AsResponseBytes, ResponderId, ResponseData, RevokedInfo};

use super::super::tests::{Authority, Shape, check, now};
use super::*;
use crate::{Claim, Evidence, Policy, PolicyLevel, PresentedChain, Role, Service};

/// Who signs an answer.
enum By<'a> {
    Issuer(&'a Authority),
    /// With a certificate for this use, from this authority.
    Delegate(&'a Authority, ExtendedKeyUsagePurpose),
}

/// Times of an answer, in days from now.
type Days = (i64, Option<i64>);

const FRESH: Days = (-1, Some(1));

fn at(days: i64) -> OcspGeneralizedTime {
    let seconds = u64::try_from(now().0 / 1_000_000 + days * 86_400).expect("a time");
    let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).expect("a time");
    time.into()
}

fn revoked(why: Option<CrlReason>) -> CertStatus {
    CertStatus::Revoked(RevokedInfo {
        revocation_time: at(-2),
        revocation_reason: why,
    })
}

fn shape() -> Shape {
    Shape {
        serial: Some(7),
        responder: Some("http://ocsp.example"),
        ..Shape::default()
    }
}

/// The answer to the one question about a chain.
fn answer(question: &Question, status: CertStatus, by: &By<'_>, days: Days) -> Vec<u8> {
    let request = OcspRequest::from_der(&question.request).expect("a request");
    let asked = &request.tbs_request.request_list[0].req_cert;
    let data = ResponseData {
        version: Version::V1,
        responder_id: ResponderId::ByKey(OctetString::new([1; 20]).expect("short")),
        produced_at: at(days.0),
        responses: vec![SingleResponse {
            cert_id: asked.clone(),
            cert_status: status,
            this_update: at(days.0),
            next_update: days.1.map(at),
            single_extensions: None,
        }],
        response_extensions: None,
    };
    let bytes = data.to_der().expect("DER");
    let (signature, certs) = match by {
        By::Issuer(ca) => (ca.sign(&bytes), None),
        By::Delegate(ca, usage) => {
            let (key, der) = ca.responder(usage.clone());
            let signature = rcgen::SigningKey::sign(&key, &bytes).expect("signed");
            let certificate = x509_cert::Certificate::from_der(&der).expect("a certificate");
            (signature, Some(vec![certificate]))
        }
    };
    let response = BasicOcspResponse {
        tbs_response_data: data,
        signature_algorithm: AlgorithmIdentifierOwned {
            // ecdsa-with-SHA256
            oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            parameters: None,
        },
        signature: BitString::from_bytes(&signature).expect("short"),
        certs,
    };
    let response = OcspResponse {
        response_status: OcspResponseStatus::Successful,
        response_bytes: Some(response.to_response_bytes().expect("DER")),
    };
    response.to_der().expect("DER")
}

/// What is asked about a chain of which nothing is known.
fn questions(chain: &PresentedChain, anchors: &Anchors, now: Timestamp) -> Vec<Question> {
    super::questions(
        &revocation::Asked::of(chain, anchors, None, now),
        anchors,
        now,
    )
}

fn question(ca: &Authority, chain: &PresentedChain) -> Question {
    let questions = questions(chain, &ca.anchors(), now());
    assert_eq!(questions.len(), 1, "{questions:?}");
    questions.into_iter().next().expect("one")
}

/// `ok`, or the code of the refusal, once these answers were gathered.
fn judged(ca: &Authority, chain: &PresentedChain, answers: &[Vec<u8>]) -> String {
    let name = |name| xmpp::jid::DomainName::parse(name).expect("a domain");
    let claim = Claim {
        local: name("one.example"),
        remote: name("peer.example"),
        role: Role::Receiver,
        service: Service::Server,
    };
    let evidence = Evidence {
        tls: true,
        chain: Some(chain.clone()),
        revocation: Some(revocation::Evidence {
            lists: Vec::new(),
            answers: answers
                .iter()
                .filter_map(|der| Answer::from_der(der))
                .collect(),
            until: now().after(Duration::from_secs(60)),
        }),
        ..Evidence::none(ca.anchors())
    };
    let strict = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = crate::judge(&claim, &evidence, &strict, now());
    match verdict.proven() {
        Some(_) => "ok".into(),
        None => verdict.refusals()[0].code.into(),
    }
}

/// CERT-16, CERT-24: who may answer, about what, and when that counts. What does not count changes nothing.
#[test]
fn cert_16_24_an_answer_counts_from_whom_the_issuer_lets_answer_while_it_holds() {
    use ExtendedKeyUsagePurpose::{OcspSigning, ServerAuth};
    let ca = Authority::new("Authority");
    // Of the same name, with another key.
    let other = Authority::new("Authority");
    let chain = ca.chain(&["peer.example"], shape());
    let asked = question(&ca, &chain);
    let hold = Some(CrlReason::CertificateHold);
    let cases = [
        (CertStatus::good(), By::Issuer(&ca), FRESH, "ok"),
        (CertStatus::unknown(), By::Issuer(&ca), FRESH, "ok"),
        (revoked(None), By::Issuer(&ca), FRESH, "certificate-revoked"),
        (
            revoked(None),
            By::Delegate(&ca, OcspSigning),
            FRESH,
            "certificate-revoked",
        ),
        (revoked(None), By::Delegate(&ca, ServerAuth), FRESH, "ok"),
        (
            revoked(None),
            By::Delegate(&other, OcspSigning),
            FRESH,
            "ok",
        ),
        (revoked(None), By::Issuer(&other), FRESH, "ok"),
        (
            revoked(None),
            By::Issuer(&ca),
            (-9, Some(-8)),
            "certificate-revoked",
        ),
        (revoked(hold), By::Issuer(&ca), FRESH, "certificate-revoked"),
        (revoked(hold), By::Issuer(&ca), (-9, Some(-8)), "ok"),
        (revoked(None), By::Issuer(&ca), (1, Some(2)), "ok"),
        (
            revoked(None),
            By::Issuer(&ca),
            (0, None),
            "certificate-revoked",
        ),
    ];
    for (at, (status, by, days, expected)) in cases.into_iter().enumerate() {
        let said = answer(&asked, status, &by, days);
        assert_eq!(judged(&ca, &chain, &[said]), expected, "case {at}");
    }
    // About another certificate.
    let sister = ca.chain(
        &["peer.example"],
        Shape {
            serial: Some(8),
            ..shape()
        },
    );
    let said = answer(&asked, revoked(None), &By::Issuer(&ca), FRESH);
    assert_eq!(judged(&ca, &sister, std::slice::from_ref(&said)), "ok");
    // What was changed on the way is nobody's answer, and hides no other.
    let mut changed = said.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(judged(&ca, &chain, std::slice::from_ref(&changed)), "ok");
    assert_eq!(judged(&ca, &chain, &[changed, said]), "certificate-revoked");
    assert!(Answer::from_der(b"nothing").is_none());
    let later = OcspResponse::try_later().to_der().expect("DER");
    assert!(Answer::from_der(&later).is_none());
}

/// The issuer of each certificate of a path is asked about it, the anchor about the last.
#[test]
fn cert_24_the_whole_path_is_looked_up() {
    let ca = Authority::new("Authority");
    let shape = Shape {
        intermediate: Some(true),
        ..shape()
    };
    let chain = ca.chain(&["peer.example"], shape);
    // The leaf's issuer is the intermediate; whoever signs as the root says nothing of the leaf.
    let asked = question(&ca, &chain);
    let said = answer(&asked, revoked(None), &By::Issuer(&ca), FRESH);
    assert_eq!(judged(&ca, &chain, &[said]), "ok");
}

/// CERT-28: only a response that vouches for the certificate will do where it demands one; and one that says it is revoked
/// counts whether or not it was demanded.
#[test]
fn cert_28_a_staple_is_read() {
    let ca = Authority::new("Authority");
    let other = Authority::new("Authority");
    for must_staple in [true, false] {
        let shape = Shape {
            must_staple,
            ..shape()
        };
        let plain = ca.chain(&["peer.example"], shape);
        let asked = question(&ca, &plain);
        let missing = if must_staple { "staple-missing" } else { "ok" };
        for (status, by, days, expected, asks) in [
            (CertStatus::good(), By::Issuer(&ca), FRESH, "ok", 0),
            (
                CertStatus::good(),
                By::Issuer(&ca),
                (-9, Some(-8)),
                missing,
                1,
            ),
            (CertStatus::good(), By::Issuer(&other), FRESH, missing, 1),
            (CertStatus::unknown(), By::Issuer(&ca), FRESH, missing, 1),
            (
                revoked(None),
                By::Issuer(&ca),
                FRESH,
                "certificate-revoked",
                1,
            ),
        ] {
            let chain = PresentedChain {
                staple: Some(answer(&asked, status, &by, days).into()),
                ..plain.clone()
            };
            assert_eq!(check(&ca, &chain, Role::Initiator), expected);
            assert_eq!(questions(&chain, &ca.anchors(), now()).len(), asks);
        }
    }
}

#[test]
fn where_and_what_is_asked() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(&["peer.example"], shape());
    let asked = question(&ca, &chain);
    let address = asked.address();
    assert!(
        address.starts_with("http://ocsp.example/M") && address.len() <= GET_BYTES,
        "{address}"
    );
    assert!(
        !address["http://ocsp.example/".len()..].contains(['/', '+', '=']),
        "{address}"
    );
    // Nobody to ask, or nobody known to have issued it.
    let silent = ca.chain(&["peer.example"], Shape::default());
    assert!(questions(&silent, &ca.anchors(), now()).is_empty());
    let stranger = Authority::new("Stranger");
    assert!(questions(&chain, &stranger.anchors(), now()).is_empty());
}
