//! Certificates made for the purpose: paths, usages, names, dates.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, OtherNameValue, SanType,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::*;
use crate::{Policy, PolicyLevel, Service, judge};

/// 2026-06-01, inside the validity of every certificate here unless said otherwise.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse_xep0082("2026-06-01T00:00:00Z").expect("a time")
}

/// What is unusual about a certificate.
#[derive(Default, Clone)]
pub(crate) struct Shape {
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) others: Vec<(Vec<u64>, String)>,
    pub(crate) expired: bool,
    pub(crate) future: bool,
    pub(crate) must_staple: bool,
    pub(crate) serial: Option<u64>,
    /// Where lists of revoked certificates are.
    pub(crate) lists: Vec<String>,
    /// Whom to ask whether it is revoked.
    pub(crate) responder: Option<&'static str>,
    /// Signed by an intermediate that is sent along; `Some(false)`: whose keyUsage does not allow it.
    pub(crate) intermediate: Option<bool>,
    /// Its subject is empty.
    pub(crate) nameless: bool,
    /// What else is different about that intermediate.
    pub(crate) middle: Option<fn(&mut CertificateParams)>,
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).expect("a CA").der().clone();
        Self {
            issuer: Issuer::new(params, key),
            der,
        }
    }

    pub(crate) fn anchors(&self) -> Arc<Anchors> {
        Arc::new(Anchors::lenient([self.der.clone()]))
    }

    /// Its own certificate.
    pub(crate) fn der(&self) -> Vec<u8> {
        self.der.to_vec()
    }

    /// A list that names these serial numbers, signed by it.
    pub(crate) fn list(&self, revoked: &[u64]) -> revocation::List {
        let entry = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: rcgen::date_time_ymd(2026, 5, 1),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 5, 2),
            next_update: rcgen::date_time_ymd(2026, 6, 2),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).expect("a list");
        revocation::List::from_der(signed.der()).expect("readable")
    }

    pub(crate) fn chain(&self, names: &[&str], shape: Shape) -> PresentedChain {
        let mut leaf = params("nobody.example");
        for name in names {
            let name = (*name).try_into().expect("IA5");
            leaf.subject_alt_names.push(SanType::DnsName(name));
        }
        for (oid, text) in &shape.others {
            let value = OtherNameValue::Utf8String(text.clone());
            leaf.subject_alt_names
                .push(SanType::OtherName((oid.clone(), value)));
        }
        if shape.nameless {
            leaf.distinguished_name = DistinguishedName::new();
        }
        leaf.extended_key_usages = shape.usages;
        if shape.expired {
            leaf.not_after = rcgen::date_time_ymd(2026, 2, 1);
        }
        if shape.future {
            leaf.not_before = rcgen::date_time_ymd(2026, 12, 1);
        }
        if shape.must_staple {
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
            leaf.custom_extensions
                .push(CustomExtension::from_oid_content(
                    &oid,
                    vec![0x30, 3, 2, 1, 5],
                ));
        }
        leaf.serial_number = shape.serial.map(Into::into);
        for uri in &shape.lists {
            leaf.crl_distribution_points
                .push(rcgen::CrlDistributionPoint {
                    uris: vec![uri.clone()],
                });
        }
        if let Some(url) = shape.responder {
            leaf.custom_extensions.push(access(url));
        }
        let key = KeyPair::generate().expect("a key");
        let mut ders = Vec::new();
        match shape.intermediate {
            None => ders.push(signed(&leaf, &key, &self.issuer)),
            Some(may_sign) => {
                let middle_key = KeyPair::generate().expect("a key");
                let mut middle = params("Intermediate");
                middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                middle.not_after = rcgen::date_time_ymd(2026, 9, 1);
                middle.key_usages = vec![if may_sign {
                    KeyUsagePurpose::KeyCertSign
                } else {
                    KeyUsagePurpose::DigitalSignature
                }];
                if let Some(change) = shape.middle {
                    change(&mut middle);
                }
                let middle_der = signed(&middle, &middle_key, &self.issuer);
                ders.push(signed(&leaf, &key, &Issuer::new(middle, middle_key)));
                ders.push(middle_der);
            }
        }
        PresentedChain::new(&ders, None).expect("a chain")
    }
}

/// Authority information access with one responder (RFC 5280 4.2.2.1).
fn access(url: &str) -> CustomExtension {
    let of = |tag: u8, content: &[u8]| {
        let mut der = vec![tag, u8::try_from(content.len()).expect("short")];
        der.extend_from_slice(content);
        der
    };
    let method = of(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
    let description = of(0x30, &[method, of(0x86, url.as_bytes())].concat());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], of(0x30, &description))
}

impl Authority {
    /// Somebody who may answer for it, by a certificate for this use.
    pub(super) fn responder(&self, usage: ExtendedKeyUsagePurpose) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().expect("a key");
        let mut own = params("Responder");
        own.extended_key_usages = vec![usage];
        let der = signed(&own, &key, &self.issuer);
        (key, der)
    }

    pub(super) fn sign(&self, data: &[u8]) -> Vec<u8> {
        rcgen::SigningKey::sign(self.issuer.key(), data).expect("signed")
    }
}

fn signed(params: &CertificateParams, key: &KeyPair, issuer: &Issuer<'_, KeyPair>) -> Vec<u8> {
    params
        .signed_by(key, issuer)
        .expect("a certificate")
        .der()
        .to_vec()
}

/// A certificate that nobody else signed.
pub(crate) fn self_signed(names: &[&str]) -> PresentedChain {
    let key = KeyPair::generate().expect("a key");
    let mut own = params("own");
    for name in names {
        let name = (*name).try_into().expect("IA5");
        own.subject_alt_names.push(SanType::DnsName(name));
    }
    let der = own.self_signed(&key).expect("a certificate").der().to_vec();
    PresentedChain::new(&[der], None).expect("a chain")
}

/// `ok`, or the code of the refusal, for `peer.example`.
pub(super) fn check(ca: &Authority, chain: &PresentedChain, role: Role) -> String {
    check_as(Profile::Public, ca, chain, role)
}

fn check_as(profile: Profile, ca: &Authority, chain: &PresentedChain, role: Role) -> String {
    let name = |name| DomainName::parse(name).expect("a domain");
    let claim = Claim {
        local: name("one.example"),
        remote: name("peer.example"),
        role,
        service: Service::Server,
    };
    let evidence = Evidence {
        tls: true,
        chain: Some(chain.clone()),
        profile,
        ..Evidence::none(ca.anchors())
    };
    let policy = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = judge(&claim, &evidence, &policy, now());
    match verdict.proven() {
        Some(_) => "ok".to_owned(),
        None => verdict.refusals()[0].code.to_owned(),
    }
}

#[test]
fn cert_30_extended_key_usages_in_both_roles() {
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, EmailProtection, ServerAuth};
    let ca = Authority::new("Authority");
    for (usages, expected) in [
        (vec![], "ok"),
        (vec![ServerAuth], "ok"),
        (vec![ServerAuth, ClientAuth], "ok"),
        (vec![Any], "ok"),
        (vec![ClientAuth], "certificate-client-only"),
        (vec![EmailProtection], "certificate-other-use"),
    ] {
        let chain = ca.chain(
            &["peer.example"],
            Shape {
                usages: usages.clone(),
                ..Shape::default()
            },
        );
        for role in [Role::Initiator, Role::Receiver] {
            assert_eq!(check(&ca, &chain, role), expected, "{usages:?} {role:?}");
        }
    }
}

#[test]
fn cert_30_the_stock_client_verifier_refuses_server_auth_only() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(
        &["peer.example"],
        Shape {
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
            ..Shape::default()
        },
    );
    let der = CertificateDer::from(chain.leaf().expect("a leaf"));
    let leaf = EndEntityCert::try_from(&der).expect("a certificate");
    let anchors = ca.anchors();
    let at = std::time::Duration::from_micros(now().0.unsigned_abs());
    let stock = |usage: KeyUsage| {
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors.list,
            &[],
            UnixTime::since_unix_epoch(at),
            usage,
            None,
            None,
        )
        .is_ok()
    };
    assert!(stock(KeyUsage::server_auth()));
    assert!(
        !stock(KeyUsage::client_auth()),
        "which is why we have a rule of our own"
    );
}

#[test]
fn cert_05_06_07_names_other_than_dns() {
    const SRV: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 7];
    const XMPP: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 8, 5];
    let ca = Authority::new("Authority");
    for (oid, text, expected) in [
        (&SRV, "_xmpp-server.peer.example", "ok"),
        (
            &SRV,
            "_xmpp-client.peer.example",
            "certificate-name-mismatch",
        ),
        (&XMPP, "peer.example", "ok"),
        (&XMPP, "romeo@peer.example", "certificate-name-mismatch"),
    ] {
        let chain = ca.chain(
            &[],
            Shape {
                others: vec![(oid.to_vec(), text.to_owned())],
                ..Shape::default()
            },
        );
        assert_eq!(check(&ca, &chain, Role::Receiver), expected, "{text}");
    }
}

#[test]
fn cert_10_the_common_name_is_no_name() {
    let ca = Authority::new("Authority");
    let mut leaf = params("peer.example");
    leaf.subject_alt_names = Vec::new();
    let key = KeyPair::generate().expect("a key");
    let der = signed(&leaf, &key, &ca.issuer);
    let chain = PresentedChain::new(&[der], None).expect("a chain");
    assert_eq!(
        check(&ca, &chain, Role::Receiver),
        "certificate-name-mismatch"
    );
}

/// As far as C-07 goes: public authorities leave digitalSignature out of their intermediates.
#[test]
fn cert_03_what_an_issuer_must_be() {
    const MAY_NOT: &str = "certificate-issuer-may-not-sign";
    let ca = Authority::new("Authority");
    type Change = fn(&mut CertificateParams);
    let changes: [(Change, &str); 7] = [
        (|_| {}, "ok"),
        (
            |middle| middle.key_usages.push(KeyUsagePurpose::DigitalSignature),
            "ok",
        ),
        (|middle| middle.key_usages = Vec::new(), "ok"),
        (
            |middle| middle.key_usages = vec![KeyUsagePurpose::DigitalSignature],
            MAY_NOT,
        ),
        (|middle| middle.is_ca = IsCa::NoCa, MAY_NOT),
        (|middle| middle.is_ca = IsCa::ExplicitNoCa, MAY_NOT),
        (
            |middle| middle.distinguished_name = DistinguishedName::new(),
            MAY_NOT,
        ),
    ];
    for (at, (change, expected)) in changes.into_iter().enumerate() {
        let shape = Shape {
            intermediate: Some(true),
            middle: Some(change),
            ..Shape::default()
        };
        let chain = ca.chain(&["peer.example"], shape);
        for role in [Role::Initiator, Role::Receiver] {
            assert_eq!(check(&ca, &chain, role), expected, "{at}");
        }
    }
}

/// C-07: where the operator asks for it, the whole profile of RFC 6120 13.7.1.1, which public authorities do not keep. Each of
/// its conditions broken once; none of them is asked otherwise. CERT-03, CERT-16, CERT-17
#[test]
fn cert_03_c_07_the_full_profile_where_it_is_asked_for() {
    const LIST: &str = "http://lists.example/it.crl";
    let lacks = "certificate-profile";
    let ca = Authority::new("Authority");
    type Change = fn(&mut CertificateParams);
    fn good(middle: &mut CertificateParams) {
        middle.key_usages.push(KeyUsagePurpose::DigitalSignature);
        middle.custom_extensions.push(access("http://ask.example/"));
    }
    let responder = Some("http://ask.example/");
    let list = || vec![LIST.to_owned()];
    type Case = (
        &'static str,
        Option<Change>,
        Option<&'static str>,
        Vec<String>,
        bool,
        &'static str,
    );
    let cases: [Case; 8] = [
        ("all of it", Some(good), responder, vec![], false, "ok"),
        (
            "a list instead of a responder",
            Some(good),
            None,
            list(),
            false,
            "ok",
        ),
        (
            "nothing above it but the anchor",
            None,
            responder,
            vec![],
            false,
            "ok",
        ),
        ("nobody to ask", Some(good), None, vec![], false, lacks),
        ("no subject", Some(good), responder, vec![], true, lacks),
        (
            "an issuer without digitalSignature",
            Some(|middle| middle.custom_extensions.push(access("http://ask.example/"))),
            responder,
            vec![],
            false,
            lacks,
        ),
        (
            "an issuer that does not say what its key is for",
            Some(|middle| {
                good(middle);
                middle.key_usages = Vec::new();
            }),
            responder,
            vec![],
            false,
            lacks,
        ),
        (
            "nobody to ask about an issuer",
            Some(|middle| middle.key_usages.push(KeyUsagePurpose::DigitalSignature)),
            responder,
            vec![],
            false,
            lacks,
        ),
    ];
    for (what, middle, responder, lists, nameless, expected) in cases {
        let shape = Shape {
            intermediate: middle.map(|_| true),
            middle,
            responder,
            lists,
            nameless,
            ..Shape::default()
        };
        let chain = ca.chain(&["peer.example"], shape);
        for role in [Role::Initiator, Role::Receiver] {
            assert_eq!(
                check_as(Profile::Full, &ca, &chain, role),
                expected,
                "{what}"
            );
            assert_eq!(check(&ca, &chain, role), "ok", "{what}");
        }
    }
}

/// Made by OpenSSL from `subjectAltName=otherName:id-on-xmppAddr;UTF8:peer.example`.
const BY_NAME: &str = "-----BEGIN CERTIFICATE-----
MIIBlzCCATygAwIBAgIUCoqsFHAxhzQmnP1nKPLqJ2Pp4XAwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcGVlcjAgFw0yNjExMjYwNzM2MjZaGA8yMTI2MTEwMjA3MzYy
NlowDzENMAsGA1UEAwwEcGVlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGez
Ic9CFGtHm7ZWL5Y16tI8Sh0VHBEI/juXk4bXr7aqBDlg4xn3o4KuKU5bgq1egKm1
F+SNvr8ul3uowtKl96yjdDByMB0GA1UdDgQWBBRjtRf6eDrf/dV21etjWS524vYS
5zAfBgNVHSMEGDAWgBRjtRf6eDrf/dV21etjWS524vYS5zAlBgNVHREEHjAcoBoG
CCsGAQUFBwgFoA4MDHBlZXIuZXhhbXBsZTAJBgNVHRMEAjAAMAoGCCqGSM49BAMC
A0kAMEYCIQDlg4Ib/bnoDw9nksBgtfJj/hypW4/0MfgpxnDlOxo8AgIhAOojmlp0
4oFmqTZiNqOEuTI73UzHIk2T3WEgxDyUdTai
-----END CERTIFICATE-----
";
/// The same from `otherName:1.3.6.1.5.5.7.8.5;UTF8:peer.example`.
const DOTTED: &str = "-----BEGIN CERTIFICATE-----
MIIBlzCCATygAwIBAgIUMNr7AniHyVwBuCj8CU+nkwOlEjcwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEcGVlcjAgFw0yNjExMjYwNzM2MjZaGA8yMTI2MTEwMjA3MzYy
NlowDzENMAsGA1UEAwwEcGVlcjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNHP
0h6DOIDyxftkomtf1Iib+81JUC8fGy8VT4HggqXxjnzejmli6ASk+j6is4nM9xfX
B3QBjlioUAao2Ef6X0ujdDByMB0GA1UdDgQWBBT+jXKNzjrw4RTVauoRqA3QpzSU
LTAfBgNVHSMEGDAWgBT+jXKNzjrw4RTVauoRqA3QpzSULTAlBgNVHREEHjAcoBoG
CCsGAQUFBwgFoA4MDHBlZXIuZXhhbXBsZTAJBgNVHRMEAjAAMAoGCCqGSM49BAMC
A0kAMEYCIQCCNR6sSsbtOC2gSCkFIQ31ePj4w4Vm+702cfR477eObwIhAPkrORjI
myABf0CR1PwCQpyUNekf9a2W7L2ITkuYIaR+
-----END CERTIFICATE-----
";

/// A certificate holds the same bytes however whoever asked for it wrote the identifier: by name, dotted, or as
/// `urn:oid:1.3.6.1.5.5.7.8.5`, which OpenSSL does not read (RFC 6120 13.7.1.4).
#[test]
fn cert_07_xmpp_addr_is_a_utf8_string_under_its_object_identifier() {
    use rustls_pki_types::pem::PemObject as _;
    /// `[0] EXPLICIT UTF8String`, behind the OBJECT IDENTIFIER.
    const ENCODED: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x05\xa0\x0e\x0c\x0cpeer.example";
    for pem in [BY_NAME, DOTTED] {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        assert!(der.windows(ENCODED.len()).any(|part| part == ENCODED));
        let found = identifiers(&parse(&der).expect("a certificate"));
        assert_eq!(found, [Identifier::Xmpp("peer.example".into())]);
    }
    let ca = Authority::new("Authority");
    for (last, text, found) in [
        (
            5,
            "b\u{fc}cher.example",
            vec![Identifier::Xmpp("b\u{fc}cher.example".into())],
        ),
        (4, "peer.example", vec![]),
    ] {
        let shape = Shape {
            others: vec![(vec![1, 3, 6, 1, 5, 5, 7, 8, last], text.to_owned())],
            ..Shape::default()
        };
        let chain = ca.chain(&[], shape);
        let leaf = parse(chain.leaf().expect("a leaf")).expect("a certificate");
        assert_eq!(identifiers(&leaf), found, "{last}");
    }
}

#[test]
fn dates_issuers_and_paths() {
    let ca = Authority::new("Authority");
    let stranger = Authority::new("Stranger");
    let of = |shape| ca.chain(&["peer.example"], shape);
    for (chain, expected) in [
        (
            of(Shape {
                expired: true,
                ..Shape::default()
            }),
            "certificate-expired",
        ),
        (
            of(Shape {
                future: true,
                ..Shape::default()
            }),
            "certificate-not-yet-valid",
        ),
        (
            stranger.chain(&["peer.example"], Shape::default()),
            "certificate-issuer-unknown",
        ),
        (
            Authority::new("Authority").chain(&["peer.example"], Shape::default()),
            "certificate-issuer-unknown",
        ),
        (
            of(Shape {
                intermediate: Some(true),
                ..Shape::default()
            }),
            "ok",
        ),
        (
            of(Shape {
                intermediate: Some(false),
                ..Shape::default()
            }),
            "certificate-issuer-may-not-sign",
        ),
        (
            PresentedChain::new(&[b"not a certificate".to_vec()], None).expect("a chain"),
            "certificate-unreadable",
        ),
    ] {
        assert_eq!(check(&ca, &chain, Role::Receiver), expected);
    }
    let key = KeyPair::generate().expect("a key");
    let mut own = params("peer.example");
    own.subject_alt_names = vec![SanType::DnsName("peer.example".try_into().expect("IA5"))];
    let der = own.self_signed(&key).expect("a certificate").der().to_vec();
    let chain = PresentedChain::new(&[der], None).expect("a chain");
    assert_eq!(
        check(&ca, &chain, Role::Receiver),
        "certificate-self-signed"
    );
}

#[test]
fn cert_23_until_is_the_earliest_end_on_the_path() {
    let ca = Authority::new("Authority");
    let end = |shape| {
        let chain = ca.chain(&["peer.example"], shape);
        check_path(
            &chain,
            &ca.anchors().list,
            now(),
            None,
            (Profile::Public, None),
        )
        .expect("a path")
        .until
    };
    let at = |text| Timestamp::parse_xep0082(text).expect("a time");
    assert_eq!(end(Shape::default()), at("2027-01-01T00:00:00Z"));
    assert_eq!(
        end(Shape {
            intermediate: Some(true),
            ..Shape::default()
        }),
        at("2026-09-01T00:00:00Z")
    );
}

#[test]
fn cert_28_must_staple() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(
        &["peer.example"],
        Shape {
            must_staple: true,
            ..Shape::default()
        },
    );
    for (staple, expected) in [
        (None, "ok"),
        (Some(&b""[..]), "staple-missing"),
        (Some(b"nothing that can be read"), "staple-missing"),
    ] {
        let chain = PresentedChain {
            staple: staple.map(Into::into),
            ..chain.clone()
        };
        assert_eq!(check(&ca, &chain, Role::Initiator), expected);
    }
    let without = PresentedChain {
        staple: Some([].into()),
        ..ca.chain(&["peer.example"], Shape::default())
    };
    assert_eq!(check(&ca, &without, Role::Initiator), "ok");
}

#[test]
fn a_certificate_described() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(&["peer.example", "*.peer.example"], Shape::default());
    let leaf = chain.leaf().expect("a leaf");
    let seen = describe(leaf).expect("readable");
    assert_eq!(
        seen.names,
        [
            Identifier::Dns("peer.example".into()),
            Identifier::Dns("*.peer.example".into())
        ]
    );
    assert_eq!(
        (seen.issuer.as_str(), seen.key.as_str()),
        ("CN=Authority", "EC P-256")
    );
    assert_eq!(end_point_hash(leaf), Some(EndPointHash::Sha256));
    let name = |name| DomainName::parse(name).expect("a domain");
    assert!(covers(leaf, &name("peer.example"), Service::Server));
    assert!(covers(leaf, &name("chat.peer.example"), Service::Client));
    assert!(!covers(leaf, &name("other.example"), Service::Server));
}

#[test]
fn anchors_from_pem() {
    assert!(matches!(
        Anchors::from_pem(b"nothing"),
        Err(AnchorError::Empty)
    ));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        Anchors::from_pem(broken),
        Err(AnchorError::Certificate(1, _))
    ));
}

fn asked<'a>(
    chain: &'a PresentedChain,
    anchors: &Anchors,
    known: Option<&[usize]>,
) -> revocation::Asked<'a> {
    revocation::Asked::of(chain, anchors, known, now())
}

/// What a proof has found of the path is what is found without it, whatever else was shown, and in whatever order: the same is
/// asked of the same.
#[test]
fn cert_16_24_the_path_of_a_proof_is_the_one_that_is_asked_about() {
    let (ca, other) = (Authority::new("Authority"), Authority::new("Other"));
    let speaks = |list: &str, intermediate| Shape {
        lists: vec![list.to_owned()],
        responder: Some("http://ocsp.example"),
        intermediate,
        middle: Some(|middle| {
            middle
                .custom_extensions
                .push(access("http://middle.example"));
        }),
        ..Shape::default()
    };
    let short = ca.chain(&["peer.example"], speaks("http://a.example/1", None));
    let long = ca.chain(&["peer.example"], speaks("http://a.example/2", Some(true)));
    let silent = ca.chain(&["peer.example"], Shape::default());
    let stray = other.chain(
        &["stray.example"],
        speaks("http://stray.example/3", Some(true)),
    );
    let [leaf, middle] = &long.certificates[..] else {
        panic!("two certificates");
    };
    let (stray_leaf, stray_middle) = (&stray.certificates[0], &stray.certificates[1]);
    let chains = [
        (short.certificates.to_vec(), vec![0], 1),
        (long.certificates.to_vec(), vec![0, 1], 2),
        (
            vec![
                leaf.clone(),
                stray_middle.clone(),
                stray_leaf.clone(),
                middle.clone(),
            ],
            vec![0, 3],
            2,
        ),
        (
            vec![
                leaf.clone(),
                b"nothing".to_vec(),
                middle.clone(),
                middle.clone(),
            ],
            vec![0, 2],
            2,
        ),
        (
            vec![short.certificates[0].clone(), stray_middle.clone()],
            vec![0],
            1,
        ),
        (silent.certificates.to_vec(), vec![0], 0),
    ];
    for (ders, path, asks) in chains {
        let chain = PresentedChain::new(&ders, None).expect("a chain");
        let (claim, evidence) = claim_of(&ca, &chain);
        let verdict = judge(&claim, &evidence, &Policy::default(), now());
        let known = verdict
            .proven()
            .and_then(crate::Proven::path)
            .expect("proven by a path");
        assert_eq!(known, path);
        let (fast, plain) = (
            asked(&chain, &ca.anchors(), Some(known)),
            asked(&chain, &ca.anchors(), None),
        );
        assert_eq!(fast.sources(), plain.sources());
        assert!(
            fast.sources().iter().all(|list| !list.contains("stray")),
            "{:?}",
            fast.sources()
        );
        let questions = |asked| ocsp::questions(&asked, &ca.anchors(), now());
        let (fast, plain) = (questions(fast), questions(plain));
        assert_eq!((fast.len(), &fast), (asks, &plain));
    }
}

fn claim_of(ca: &Authority, chain: &PresentedChain) -> (Claim, Evidence) {
    let name = |name| DomainName::parse(name).expect("a domain");
    let claim = Claim {
        local: name("one.example"),
        remote: name("peer.example"),
        role: Role::Receiver,
        service: Service::Server,
    };
    let evidence = Evidence {
        tls: true,
        chain: Some(chain.clone()),
        ..Evidence::none(ca.anchors())
    };
    (claim, evidence)
}

#[test]
fn cert_16_a_list_that_its_issuer_signed_revokes() {
    let ca = Authority::new("Authority");
    let other = Authority::new("Authority");
    let shape = || Shape {
        serial: Some(7),
        lists: vec!["http://crl.example/1.crl".into()],
        ..Shape::default()
    };
    let chain = ca.chain(&["peer.example"], shape());
    let sources = |chain: &PresentedChain| asked(chain, &ca.anchors(), None).sources();
    assert_eq!(sources(&chain), ["http://crl.example/1.crl"]);
    // What leads nowhere chooses no address.
    let made_up = Shape {
        lists: vec!["http://made-up.example/2.crl".into()],
        ..Shape::default()
    };
    let beside = other.chain(&["beside.example"], made_up);
    let all = [&chain.certificates[..], &beside.certificates[..]].concat();
    let all = PresentedChain::new(&all, None).expect("a chain");
    assert_eq!(sources(&all), ["http://crl.example/1.crl"]);
    for (lists, expected) in [
        (vec![], "ok"),
        (vec![ca.list(&[6, 8])], "ok"),
        (vec![ca.list(&[7])], "certificate-revoked"),
        (vec![ca.list(&[6]), ca.list(&[7])], "certificate-revoked"),
        // Of the same name, with another key: it has nothing to say.
        (vec![other.list(&[7])], "ok"),
        (vec![other.list(&[7]), ca.list(&[7])], "certificate-revoked"),
    ] {
        let (claim, mut evidence) = claim_of(&ca, &chain);
        evidence.revocation = Some(revocation::Evidence {
            lists,
            answers: Vec::new(),
            until: now().after(Duration::from_secs(60)),
        });
        let strict = Policy {
            level: PolicyLevel::Authenticated,
            ..Policy::default()
        };
        let verdict = judge(&claim, &evidence, &strict, now());
        let found = match verdict.proven() {
            // CERT-24: it is looked at again, also where nobody could be asked.
            Some(proven) if proven.until() <= now().after(Duration::from_secs(60)) => "ok",
            Some(_) => "never looked at again",
            None => verdict.refusals()[0].code,
        };
        assert_eq!(found, expected);
    }
    assert!(revocation::List::from_der(b"nothing").is_none());
}
