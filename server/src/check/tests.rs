//! Reports made by hand, judged and written down; the sandbox is asked in the black-box tests.

use std::sync::Arc;

use async_trait::async_trait;
use dna::{
    Anchors, Answer, Fetch, FetchError, Lookup, Outcome, Post, RecordType, Reply, Security,
    ServerAnswer, Service, Target, Url,
};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::paint::{Paint, text};
use super::streams::{Accepts, Certificate, Offered, Trouble};
use super::*;

const PLAIN: Paint = Paint { colour: false };

fn example() -> DomainName {
    DomainName::parse("example.com").expect("a domain")
}

fn document(state: &'static str) -> Document {
    Document {
        url: "https://example.com/.well-known/x".into(),
        state,
        code: "",
        text: String::new(),
    }
}

fn website() -> Website {
    Website {
        host_meta: document("found"),
        host_meta_json: document("found"),
    }
}

fn leaf() -> Certificate {
    Certificate {
        names: vec!["DNS-ID example.com".into()],
        issuer: "CN=Test CA".into(),
        key: "EC P-256".into(),
        not_before: "2026-10-01T00:00:00Z".into(),
        not_after: "2026-12-30T00:00:00Z".into(),
        days_left: 40,
        lifetime_days: 90,
        sha256: "ab".into(),
        spki_sha256: "cd".into(),
    }
}

fn proof(prooftype: &'static str, holds: Holds, code: &'static str) -> ProofVerdict {
    ProofVerdict {
        prooftype,
        holds,
        code,
        text: format!("{prooftype} says so"),
    }
}

/// A visit that went well.
fn visit(service: &str) -> Visit {
    Visit {
        address: "192.0.2.1:5222".parse().expect("an address"),
        trouble: None,
        tls: "TLS 1.3".into(),
        cipher: "TLS13_AES_256_GCM_SHA384".into(),
        alpn: None,
        accepts: Accepts {
            tls13: Some(true),
            tls12: Some(true),
            older: Some(false),
        },
        chain: vec![leaf()],
        offered: Offered {
            mechanisms: if service == "client" {
                vec!["SCRAM-SHA-256".into(), "PLAIN".into()]
            } else {
                Vec::new()
            },
            dialback: true,
            ..Offered::default()
        },
        verdicts: vec![proof("pkix", Holds::Yes, "")],
        der: vec![vec![1]],
    }
}

fn refused(code: &'static str) -> Visit {
    Visit {
        trouble: Some(Trouble {
            step: "connect",
            code,
            text: "Connection refused".into(),
        }),
        tls: String::new(),
        chain: Vec::new(),
        offered: Offered::default(),
        verdicts: Vec::new(),
        der: Vec::new(),
        ..visit("client")
    }
}

fn target(visits: Vec<Visit>) -> TargetReport {
    let target = Target {
        host: "xmpp.example.com".into(),
        port: 5222,
        direct: false,
        priority: 5,
        security: Security::Insecure,
        delegated: true,
    };
    TargetReport {
        place: Place {
            host: target.host.clone(),
            port: target.port,
            direct: false,
            priority: 5,
            dnssec: "insecure",
            addresses: vec!["192.0.2.1".parse().expect("an address")],
            ipv6: true,
            why: String::new(),
            tlsa_name: "_5222._tcp.xmpp.example.com".into(),
            tlsa: "off",
            tlsa_records: Vec::new(),
            association: dna::dane::Association {
                owner: "_5222._tcp.xmpp.example.com".into(),
                host: target.host.clone(),
                tlsa: dna::dane::Tlsa::Off,
                until: Timestamp(0),
            },
            target,
        },
        visits,
    }
}

fn srv(direct: bool, answer: &'static str) -> SrvAnswer {
    SrvAnswer {
        name: format!(
            "_xmpp{}-client._tcp.example.com",
            if direct { "s" } else { "" }
        ),
        direct,
        answer,
        dnssec: "insecure",
        why: String::new(),
        records: Vec::new(),
    }
}

fn service(name: &'static str, targets: Vec<TargetReport>) -> ServiceReport {
    ServiceReport {
        service: name,
        srv: vec![srv(false, "found"), srv(true, "found")],
        fallback: false,
        nowhere: String::new(),
        targets,
        posh: document("none"),
        verdicts: vec![proof("pkix", Holds::Yes, "")],
    }
}

fn report(services: Vec<ServiceReport>) -> Report {
    verdict::report(&example(), services, website(), false)
}

fn codes(report: &Report) -> Vec<(&'static str, Grade)> {
    report.findings.iter().map(|f| (f.code, f.grade)).collect()
}

#[test]
fn all_well_is_said_and_nothing_is_found() {
    let report = report(vec![
        service("client", vec![target(vec![visit("client")])]),
        service("server", vec![target(vec![visit("server")])]),
    ]);
    assert_eq!(codes(&report), []);
    let said = text(&report, PLAIN);
    assert!(said.ends_with("All is well.\n"), "{said}");
    assert!(said.contains("takes 1.3 and 1.2, refuses older"), "{said}");
    assert!(said.contains("40 days left"), "{said}");
}

#[test]
fn a_place_that_fails_is_a_warning_beside_one_that_works_and_critical_alone() {
    let beside = report(vec![service(
        "client",
        vec![target(vec![visit("client"), refused("connect-failed")])],
    )]);
    assert_eq!(codes(&beside), [("connect-failed", Grade::Warning)]);
    let alone = report(vec![service(
        "client",
        vec![target(vec![refused("connect-failed")])],
    )]);
    assert_eq!(codes(&alone), [("connect-failed", Grade::Critical)]);
    assert_eq!(alone.critical, 1);
    assert!(alone.findings[0].fix.contains("firewall"));
}

#[test]
fn a_way_that_this_machine_does_not_have_counts_against_nobody() {
    let report = report(vec![service(
        "client",
        vec![target(vec![refused("no-route")])],
    )]);
    assert_eq!(codes(&report), [("no-route", Grade::Unknown)]);
    assert_eq!(report.critical, 0);
}

#[test]
fn a_certificate_that_fails_matters_less_where_dane_or_posh_stands_in_for_it_and_never_for_apps() {
    let mut other = visit("server");
    other.verdicts = vec![
        proof("pkix", Holds::No, "certificate-self-signed"),
        proof("dane", Holds::Yes, ""),
    ];
    let servers = report(vec![service("server", vec![target(vec![other.clone()])])]);
    assert_eq!(codes(&servers), [("certificate-self-signed", Grade::Info)]);
    other.offered.mechanisms = vec!["SCRAM-SHA-1".into()];
    let apps = report(vec![service("client", vec![target(vec![other])])]);
    assert_eq!(codes(&apps), [("certificate-self-signed", Grade::Critical)]);
}

#[test]
fn dane_35_a_tlsa_record_that_does_not_fit_is_critical_whatever_else_holds() {
    let mut seen = visit("server");
    seen.verdicts
        .push(proof("dane", Holds::No, "tlsa-mismatch"));
    let report = report(vec![service("server", vec![target(vec![seen])])]);
    assert_eq!(codes(&report), [("tlsa-mismatch", Grade::Critical)]);
}

#[test]
fn what_is_old_weak_or_soon_over_is_a_warning() {
    let mut seen = visit("client");
    seen.accepts.older = Some(true);
    seen.offered.mechanisms = vec!["PLAIN".into()];
    seen.chain[0].days_left = 9;
    let report = report(vec![service("client", vec![target(vec![seen])])]);
    let mut found = codes(&report);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("certificate-expires-soon", Grade::Warning),
            ("scram-missing", Grade::Warning),
            ("tls-old-accepted", Grade::Warning),
        ]
    );
}

#[test]
fn a_dns_that_does_not_answer_leaves_the_domain_unexamined_and_blames_nobody() {
    let mut silent = service("client", Vec::new());
    silent.srv = vec![srv(false, "unknown"), srv(true, "unknown")];
    silent.verdicts.clear();
    let report = report(vec![silent]);
    assert!(report.unexamined);
    assert_eq!(report.critical, 0);
    assert!(text(&report, PLAIN).contains("could be examined"));
}

#[test]
fn every_code_is_known_once_and_its_remedy_is_a_sentence() {
    let mut known = std::collections::BTreeSet::new();
    for code in CODES {
        assert!(known.insert(code.code), "{}", code.code);
        assert!(
            code.fix.is_empty() || code.fix.ends_with('.'),
            "{}",
            code.code
        );
        assert!(!code.fix.contains('!'));
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    assert!(Paint::for_output(true, None).colour);
    assert!(Paint::for_output(true, Some("")).colour);
    assert!(!Paint::for_output(true, Some("1")).colour);
    assert!(!Paint::for_output(false, None).colour);
    let report = report(vec![service("client", vec![target(vec![visit("client")])])]);
    assert!(!text(&report, PLAIN).contains('\u{1b}'));
    assert!(text(&report, Paint { colour: true }).contains("\u{1b}[32m"));
}

#[test]
fn a_stranger_cannot_steer_the_terminal() {
    let mut seen = refused("stream-error");
    if let Some(trouble) = &mut seen.trouble {
        trouble.text = "\u{1b}]0;pwned\u{7}\nALL GOOD".into();
    }
    let report = report(vec![service("client", vec![target(vec![seen])])]);
    let said = text(&report, PLAIN);
    assert!(
        !said.contains(['\u{1b}', '\u{7}']) && !said.contains("\nALL GOOD"),
        "{said}"
    );
}

/// A world without anything.
struct Nobody;

#[async_trait]
impl Lookup for Nobody {
    async fn query(&self, _: &str, _: RecordType) -> Answer {
        Answer {
            outcome: Outcome::NoRecords { nxdomain: true },
            security: Security::Secure,
            ttl_seconds: 60,
            asked: "nobody".into(),
            aliases: Vec::new(),
        }
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<ServerAnswer> {
        Vec::new()
    }
}

#[async_trait]
impl Fetch for Nobody {
    async fn request(&self, url: &Url, _: Option<Post>, _: usize) -> Result<Reply, FetchError> {
        Err(FetchError::NoAddress {
            host: url.host_str().unwrap_or_default().into(),
            why: "nobody".into(),
        })
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_is_critical_and_examined() {
    let eyes = Eyes {
        lookup: Arc::new(Nobody),
        fetch: Arc::new(Nobody),
        anchors: Arc::new(Anchors::default()),
        web_port: 443,
        private: false,
    };
    let report = look(&example(), &[Service::Client, Service::Server], &eyes).await;
    assert!(!report.unexamined);
    assert!(report.critical >= 2, "{:?}", codes(&report));
    assert!(codes(&report).contains(&("srv-missing", Grade::Warning)));
    assert!(codes(&report).contains(&("target-no-address", Grade::Critical)));
}
