//! Cases of DANE: which records count, what they match, what is asked of the DNS.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use rcgen::ExtendedKeyUsagePurpose;
use sha2::{Digest, Sha256, Sha512};
use xmpp::jid::DomainName;

use super::*;
use crate::lookup::{self, Answer, Lookup, Outcome, RecordData, RecordType, Security};
use crate::pkix::tests::{Authority, Shape, now, self_signed};
use crate::{Claim, Delegation, Policy, PolicyLevel, Service, Target, judge};

/// A record that describes a certificate.
pub(crate) fn record(usage: u8, selector: u8, matching: u8, der: &[u8]) -> Record {
    let selected = match selector {
        0 => der.to_vec(),
        _ => {
            use x509_parser::prelude::FromDer;
            let (_, parsed) =
                x509_parser::prelude::X509Certificate::from_der(der).expect("a certificate");
            parsed.tbs_certificate.subject_pki.raw.to_vec()
        }
    };
    let data = match matching {
        0 => selected,
        1 => Sha256::digest(&selected).to_vec(),
        _ => Sha512::digest(&selected).to_vec(),
    };
    Record {
        usage,
        selector,
        matching,
        data,
    }
}

pub(crate) fn association(tlsa: Tlsa) -> Association {
    Association {
        owner: "_5269._tcp.xmpp.host.example".into(),
        host: "xmpp.host.example".into(),
        tlsa,
        until: now().after(std::time::Duration::from_secs(3600)),
    }
}

fn target(security: Security) -> Target {
    Target {
        host: "xmpp.host.example".into(),
        port: 5269,
        direct: false,
        priority: 0,
        security,
        delegated: true,
    }
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

/// `dane` and what it matched, or the code of the refusal, for `peer.example` on a stream that we opened.
fn check_with(
    ca: &Authority,
    chain: &PresentedChain,
    records: Vec<Record>,
    pkix_ta: bool,
) -> String {
    let claim = Claim {
        local: domain("one.example"),
        remote: domain("peer.example"),
        role: Role::Initiator,
        service: Service::Server,
    };
    let evidence = crate::Evidence {
        tls: true,
        chain: Some(chain.clone()),
        target: Some(target(Security::Secure)),
        tlsa: Some(Evidence {
            associations: vec![association(Tlsa::Secure(records))],
            pkix_ta,
        }),
        ..crate::Evidence::none(ca.anchors())
    };
    let policy = Policy {
        level: PolicyLevel::Permissive,
        ..Policy::default()
    };
    let verdict = judge(&claim, &evidence, &policy, now());
    match verdict.proven() {
        Some(proven) => {
            assert_eq!(proven.dnssec(), proven.by() == Prooftype::Dane);
            proven.by().name().to_owned()
        }
        None if verdict.may_dial_back() => "dialback?".into(),
        None => verdict.refusals()[0].code.to_owned(),
    }
}

fn check(ca: &Authority, chain: &PresentedChain, records: Vec<Record>) -> String {
    check_with(ca, chain, records, false)
}

#[test]
fn dane_37_every_selector_and_matching_type() {
    let ca = Authority::new("Authority");
    let (shown, other) = (
        self_signed(&["nobody.example"]),
        self_signed(&["x.example"]),
    );
    for selector in [0, 1] {
        for matching in [0, 1, 2] {
            let of = |chain: &PresentedChain| {
                record(3, selector, matching, chain.leaf().expect("a leaf"))
            };
            assert_eq!(check(&ca, &shown, vec![of(&shown)]), "dane");
            assert_eq!(check(&ca, &shown, vec![of(&other)]), "tlsa-mismatch");
            assert_eq!(check(&ca, &shown, vec![of(&other), of(&shown)]), "dane");
        }
    }
}

#[test]
fn dane_31_dane_ee_asks_for_neither_names_nor_dates_nor_use() {
    let ca = Authority::new("Authority");
    for shape in [
        Shape {
            expired: true,
            ..Shape::default()
        },
        Shape {
            usages: vec![ExtendedKeyUsagePurpose::EmailProtection],
            ..Shape::default()
        },
    ] {
        let chain = ca.chain(&["other.example"], shape);
        let leaf = chain.leaf().expect("a leaf");
        assert_eq!(check(&ca, &chain, vec![record(3, 1, 1, leaf)]), "dane");
    }
}

/// DNA-22, with the tests of DANE-31 and DANE-37: the leaf under usage 1 or 3, by value or hash, of itself or its key.
#[test]
fn dane_32_pkix_ee_asks_for_everything() {
    let (ca, stranger) = (Authority::new("Authority"), Authority::new("Stranger"));
    let expired = Shape {
        expired: true,
        ..Shape::default()
    };
    for (chain, expected) in [
        (ca.chain(&["peer.example"], Shape::default()), "dane"),
        // RFC 7673 4.1: the host's name does as well.
        (ca.chain(&["xmpp.host.example"], Shape::default()), "dane"),
        (
            ca.chain(&["other.example"], Shape::default()),
            "certificate-name-mismatch",
        ),
        (ca.chain(&["peer.example"], expired), "certificate-expired"),
        (
            stranger.chain(&["peer.example"], Shape::default()),
            "certificate-issuer-unknown",
        ),
        (self_signed(&["peer.example"]), "certificate-self-signed"),
    ] {
        let leaf = chain.leaf().expect("a leaf");
        assert_eq!(check(&ca, &chain, vec![record(1, 1, 1, leaf)]), expected);
    }
}

#[test]
fn dane_33_dane_ta_is_an_anchor_of_its_own() {
    let (ca, own) = (Authority::new("Authority"), Authority::new("Own"));
    let with = |chain: &PresentedChain, more: Vec<u8>| {
        let mut ders = chain.certificates.to_vec();
        ders.push(more);
        PresentedChain::new(&ders, None).expect("a chain")
    };
    let expired = Shape {
        expired: true,
        ..Shape::default()
    };
    let middle = Shape {
        intermediate: Some(true),
        ..Shape::default()
    };
    let good = own.chain(&["peer.example"], Shape::default());
    let full = with(&good, own.der());
    let long = own.chain(&["xmpp.host.example"], middle);
    let inner = long.certificates[1].clone();
    for (chain, records, expected) in [
        (&full, vec![record(2, 0, 1, &own.der())], "dane"),
        (&full, vec![record(2, 1, 1, &own.der())], "dane"),
        (&full, vec![record(2, 1, 0, &own.der())], "dane"),
        // The whole certificate is in the DNS and need not be shown; a digest of it is not enough (DANE-08).
        (&good, vec![record(2, 0, 0, &own.der())], "dane"),
        (&good, vec![record(2, 0, 1, &own.der())], "tlsa-mismatch"),
        // An intermediate may be the anchor.
        (&long, vec![record(2, 0, 1, &inner)], "dane"),
        (
            &with(&long, own.der()),
            vec![record(2, 0, 1, &own.der())],
            "dane",
        ),
        // The leaf is no authority, also if it is described.
        (
            &full,
            vec![record(2, 0, 1, full.leaf().expect("a leaf"))],
            "tlsa-mismatch",
        ),
        (
            &with(&own.chain(&["other.example"], Shape::default()), own.der()),
            vec![record(2, 0, 1, &own.der())],
            "certificate-name-mismatch",
        ),
        (
            &with(&own.chain(&["peer.example"], expired), own.der()),
            vec![record(2, 0, 1, &own.der())],
            "certificate-expired",
        ),
        // Described, shown, and has not signed anything here.
        (
            &with(&ca.chain(&["peer.example"], Shape::default()), own.der()),
            vec![record(2, 0, 1, &own.der())],
            "certificate-issuer-unknown",
        ),
    ] {
        assert_eq!(check(&ca, chain, records.clone()), expected, "{records:?}");
    }
}

#[test]
fn dane_34_dane_38_usage_0_counts_only_where_it_is_asked_for() {
    let (ca, other) = (Authority::new("Authority"), Authority::new("Other"));
    let middle = Shape {
        intermediate: Some(true),
        ..Shape::default()
    };
    let chain = ca.chain(&["peer.example"], middle);
    let inner = chain.certificates[1].clone();
    let mut ders = chain.certificates.to_vec();
    ders.push(ca.der());
    let whole = PresentedChain::new(&ders, None).expect("a chain");
    for (chain, der, expected) in [
        (&chain, &inner, "dane"),
        (&whole, &ca.der(), "dane"),
        (&chain, &other.der(), "tlsa-mismatch"),
    ] {
        let records = || vec![record(0, 0, 1, der)];
        assert_eq!(check_with(&ca, chain, records(), true), expected);
        assert_eq!(check_with(&ca, chain, records(), false), "pkix");
    }
}

#[test]
fn dane_28_dane_36_what_is_unusable_is_as_if_it_were_not_there() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(&["peer.example"], Shape::default());
    let stranger = self_signed(&["peer.example"]);
    let leaf = chain.leaf().expect("a leaf");
    let digest = Sha256::digest(leaf).to_vec();
    let of = |usage, selector, matching, data: &[u8]| Record {
        usage,
        selector,
        matching,
        data: data.to_vec(),
    };
    let unusable = [
        of(4, 1, 1, &digest),
        of(255, 1, 1, &digest),
        of(0, 1, 1, &digest),
        of(3, 2, 1, &digest),
        of(3, 1, 3, &digest),
        of(3, 1, 1, &digest[..31]),
        of(3, 1, 2, &digest),
        of(3, 0, 0, b"not a certificate"),
        of(3, 1, 0, leaf),
        of(3, 1, 1, b""),
    ];
    for record in &unusable {
        assert_eq!(check(&ca, &chain, vec![record.clone()]), "pkix", "{record}");
    }
    assert_eq!(check(&ca, &chain, unusable.to_vec()), "pkix");
    assert_eq!(check(&ca, &stranger, unusable.to_vec()), "dialback?");
    // One usable record among them, and they count for nothing.
    let mut with = unusable.to_vec();
    with.push(record(3, 1, 1, stranger.leaf().expect("a leaf")));
    assert_eq!(check(&ca, &stranger, with.clone()), "dane");
    assert_eq!(check(&ca, &chain, with), "tlsa-mismatch");
}

#[test]
fn dane_35_a_public_certificate_does_not_rescue_a_mismatch() {
    let ca = Authority::new("Authority");
    let chain = ca.chain(&["peer.example"], Shape::default());
    let other = self_signed(&["peer.example"]);
    let records = vec![record(3, 1, 1, other.leaf().expect("a leaf"))];
    assert_eq!(check(&ca, &chain, records), "tlsa-mismatch");
}

#[test]
fn dane_39_the_strongest_digest_decides() {
    let ca = Authority::new("Authority");
    let (shown, other) = (self_signed(&["a.example"]), self_signed(&["b.example"]));
    let (shown_leaf, other_leaf) = (shown.leaf().expect("a leaf"), other.leaf().expect("a leaf"));
    for (records, expected) in [
        // Whoever can forge SHA-256 finds SHA-512 in the way.
        (
            vec![record(3, 1, 1, shown_leaf), record(3, 1, 2, other_leaf)],
            "tlsa-mismatch",
        ),
        (
            vec![record(3, 1, 1, other_leaf), record(3, 1, 2, shown_leaf)],
            "dane",
        ),
        // Another selector or usage is another matter, and whole data is no digest.
        (
            vec![record(3, 0, 1, shown_leaf), record(3, 1, 2, other_leaf)],
            "dane",
        ),
        (
            vec![record(3, 1, 0, shown_leaf), record(3, 1, 2, other_leaf)],
            "dane",
        ),
    ] {
        assert_eq!(check(&ca, &shown, records), expected);
    }
}

/// A DNS from a table, which remembers what it was asked.
#[derive(Default)]
struct Table {
    answers: HashMap<(String, RecordType), Answer>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    fn with(mut self, name: &str, rtype: RecordType, answer: Answer) -> Self {
        self.answers.insert((name.into(), rtype), answer);
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Lookup for Table {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        let name = name.trim_end_matches('.').to_owned();
        self.asked
            .lock()
            .expect("not poisoned")
            .push(format!("{} {name}", rtype.name()));
        self.answers
            .get(&(name, rtype))
            .cloned()
            .unwrap_or_else(|| none(Security::Secure))
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<lookup::ServerAnswer> {
        Vec::new()
    }
}

fn none(security: Security) -> Answer {
    Answer {
        outcome: Outcome::NoRecords { nxdomain: false },
        security,
        ttl_seconds: 60,
        asked: "table".into(),
        aliases: Vec::new(),
    }
}

fn found(security: Security, data: RecordData) -> Answer {
    Answer {
        outcome: Outcome::Found(vec![lookup::Record {
            name: "name".into(),
            ttl_seconds: 60,
            data,
        }]),
        ..none(security)
    }
}

fn tlsa() -> RecordData {
    RecordData::Tlsa {
        usage: 3,
        selector: 1,
        matching: 1,
        data: vec![7; 32],
    }
}

const HOST: &str = "xmpp.host.example";
const OWNER: &str = "_5269._tcp.xmpp.host.example";

#[tokio::test]
async fn dane_20_to_27_what_each_security_of_the_answers_means() {
    use Security::{Bogus, Insecure, Secure, Unknown};
    let address = |security| found(security, RecordData::A([192, 0, 2, 1].into()));
    let failed = || Answer::failed("no answer in time", "table");
    let seven = Tlsa::Secure(vec![Record {
        usage: 3,
        selector: 1,
        matching: 1,
        data: vec![7; 32],
    }]);
    let unjudged = "its signatures could not be judged".to_owned();
    // SRV, address, TLSA answer, what it means, whether TLSA was asked, whether the host may be connected to
    let rows = [
        (
            Secure,
            address(Secure),
            found(Secure, tlsa()),
            seven,
            true,
            true,
        ),
        (
            Secure,
            address(Secure),
            none(Secure),
            Tlsa::Absent,
            true,
            true,
        ),
        (
            Secure,
            address(Secure),
            none(Insecure),
            Tlsa::Absent,
            true,
            true,
        ),
        (
            Secure,
            address(Secure),
            found(Insecure, tlsa()),
            Tlsa::Absent,
            true,
            true,
        ),
        (
            Secure,
            address(Secure),
            found(Bogus, tlsa()),
            Tlsa::Bogus,
            true,
            false,
        ),
        (
            Secure,
            address(Secure),
            Answer {
                security: Bogus,
                ..failed()
            },
            Tlsa::Bogus,
            true,
            false,
        ),
        (
            Secure,
            address(Secure),
            found(Unknown, tlsa()),
            Tlsa::Unknown(unjudged),
            true,
            false,
        ),
        (
            Secure,
            address(Secure),
            failed(),
            Tlsa::Unknown("no answer in time".into()),
            true,
            false,
        ),
        (
            Secure,
            address(Insecure),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            true,
        ),
        (
            Secure,
            address(Bogus),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            false,
        ),
        (
            Secure,
            address(Unknown),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            false,
        ),
        (
            Secure,
            failed(),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            false,
        ),
        (
            Insecure,
            address(Secure),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            true,
        ),
        (
            Insecure,
            address(Insecure),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            true,
        ),
        (
            Insecure,
            address(Bogus),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            false,
        ),
        (
            Unknown,
            address(Secure),
            found(Secure, tlsa()),
            Tlsa::Off,
            false,
            true,
        ),
    ];
    for (at, (srv, address, answer, expected, asked, connect)) in rows.into_iter().enumerate() {
        let table = Table::default().with(HOST, RecordType::A, address).with(
            OWNER,
            RecordType::Tlsa,
            answer,
        );
        let endpoint = endpoint(&table, &target(srv), now()).await;
        assert_eq!(endpoint.association.tlsa, expected, "row {at}");
        let question = format!("TLSA {OWNER}");
        assert_eq!(table.asked().contains(&question), asked, "row {at}");
        let addresses = endpoint.six.len() + endpoint.four.len();
        let connects = addresses > 0 && endpoint.association.bars().is_none();
        assert_eq!(connects, connect, "row {at}");
    }
}

#[tokio::test]
async fn dane_22_without_srv_records_there_is_no_dane() {
    let table = Table::default().with(
        HOST,
        RecordType::A,
        found(Security::Secure, RecordData::A([192, 0, 2, 1].into())),
    );
    let itself = Target {
        delegated: false,
        ..target(Security::Secure)
    };
    let endpoint = endpoint(&table, &itself, now()).await;
    assert_eq!(endpoint.association.tlsa, Tlsa::Off);
    assert_eq!(endpoint.four.len(), 1);
}

/// The whole way without SRV records: the domain's own addresses (RFC 6120 3.2.2), and no question about TLSA.
#[tokio::test]
async fn dna_23_without_srv_records_the_domain_itself_is_called() {
    let address = found(Security::Secure, RecordData::A([192, 0, 2, 1].into()));
    let table = Table::default().with("peer.example", RecordType::A, address);
    let domain = domain("peer.example");
    let delegation = Delegation::look_up(&table, &domain, Service::Server).await;
    let targets = delegation.targets(&mut |_| 0).expect("a target");
    let endpoint = endpoint(&table, &targets[0], now()).await;
    assert_eq!((targets.len(), targets[0].port), (1, 5269));
    assert_eq!(endpoint.four, [std::net::IpAddr::from([192, 0, 2, 1])]);
    assert!(!table.asked().iter().any(|asked| asked.starts_with("TLSA")));
}

/// Under the host and port that the SRV record names, and all of it in A-labels.
#[tokio::test]
async fn dane_01_02_where_tlsa_records_are_looked_for() {
    let srv = RecordData::Srv {
        priority: 0,
        weight: 5,
        port: 443,
        target: "XMPP.xn--hst-rna.example.".into(),
    };
    let host = "xmpp.xn--hst-rna.example";
    let address = RecordData::A([192, 0, 2, 1].into());
    let table = Table::default()
        .with(
            "_xmpp-server._tcp.xn--bcher-kva.example",
            RecordType::Srv,
            found(Security::Secure, srv),
        )
        .with(host, RecordType::A, found(Security::Secure, address));
    let domain = domain("B\u{fc}cher.example");
    let delegation = Delegation::look_up(&table, &domain, Service::Server).await;
    let targets = delegation.targets(&mut |_| 0).expect("a target");
    endpoint(&table, &targets[0], now()).await;
    let asked = table.asked();
    let tlsa: Vec<_> = asked.iter().filter(|q| q.starts_with("TLSA")).collect();
    assert_eq!(tlsa, [&format!("TLSA _443._tcp.{host}")]);
    assert!(
        asked.iter().all(|question| question.is_ascii()),
        "{asked:?}"
    );
}

#[tokio::test]
async fn dane_43_the_end_of_an_alias_comes_first() {
    let aliased = Answer {
        aliases: vec!["real.host.example".into()],
        ..found(Security::Secure, RecordData::A([192, 0, 2, 1].into()))
    };
    let real = "_5269._tcp.real.host.example";
    for (at, host) in [(real, "real.host.example"), (OWNER, HOST)] {
        let table = Table::default()
            .with(HOST, RecordType::A, aliased.clone())
            .with(at, RecordType::Tlsa, found(Security::Secure, tlsa()));
        let endpoint = endpoint(&table, &target(Security::Secure), now()).await;
        assert!(matches!(endpoint.association.tlsa, Tlsa::Secure(_)), "{at}");
        assert_eq!(endpoint.association.owner, at);
        assert_eq!(endpoint.association.host, host);
    }
}

#[tokio::test]
async fn dane_45_targets_of_a_peer_that_called_are_asked_for_where_the_delegation_is_secure() {
    let srv = |security| {
        found(
            security,
            RecordData::Srv {
                priority: 0,
                weight: 0,
                port: 5269,
                target: HOST.into(),
            },
        )
    };
    for (security, expected) in [(Security::Secure, 1), (Security::Insecure, 0)] {
        let table = Table::default()
            .with(
                "_xmpp-server._tcp.peer.example",
                RecordType::Srv,
                srv(security),
            )
            .with(OWNER, RecordType::Tlsa, found(Security::Secure, tlsa()));
        let delegation =
            Delegation::look_up(&table, &domain("peer.example"), Service::Server).await;
        let found = associations(&table, &delegation, now()).await;
        assert_eq!(found.len(), expected);
        assert_eq!(table.asked().len(), 2 + expected);
    }
}

#[test]
fn dane_19_presentation_form_is_three_decimal_octets_and_hex() {
    let record = Record::of_key(vec![0x8a; 32]);
    let text = record.spelled();
    assert_eq!(text, format!("3 1 1 {}", "8a".repeat(32)));
    assert_eq!(Record::read(&text).as_ref(), Some(&record));
    assert_eq!(
        Record::read(&format!("3 1 1 {} {}", "8A".repeat(16), "8A".repeat(16))),
        Some(record)
    );
    for bad in [
        "",
        "3 1",
        "3 1 1",
        "3 1 1 8",
        "3 1 1 xx",
        "300 1 1 8a",
        "3 1 1 \u{e9}\u{e9}",
    ] {
        assert_eq!(Record::read(bad), None, "{bad}");
    }
}
