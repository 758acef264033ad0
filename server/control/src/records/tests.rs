//! The records, their names and their zone file.

use super::zone_file::txt_strings;
use super::*;
use crate::settings::{Limits, Pace, Ports, ServiceName};

pub(super) fn settings() -> PlatformSettings {
    PlatformSettings {
        name: "Domicile".into(),
        platform_zone: "on.hosting.example".into(),
        addresses: vec![],
        ports: Ports::default(),
        record_ttl_seconds: 3600,
        web: String::new(),
        invites: "https://web.hosting.example".into(),
        operators_second_factor: false,
        panel: "https://panel.hosting.example".into(),
        posh_expires_seconds: 14_400,
        website_port: 443,
        http_port: 80,
        plain_http: false,
        private_addresses: false,
        sign_up: true,
        limits: Limits::default(),
        pace: Pace::real(),
        authority_limits: crate::certificate::AuthorityLimits::default(),
        service_names: vec![ServiceName {
            label: "rooms".into(),
            purpose: "group chats".into(),
            federated: true,
        }],
    }
}

fn facts(name: &str, zone: Option<&str>) -> DomainFacts {
    DomainFacts {
        name: DomainName::parse(name).unwrap(),
        label: "d7f3k2".into(),
        token: "tok".into(),
        mode: Mode::DelegatedChallenge,
        dane: false,
        posh: false,
        services: vec![],
        components: vec![],
        persist: None,
        zone: zone.map(str::to_owned),
    }
}

#[test]
fn the_records_of_a_domain() {
    let records = desired(&facts("example.com", None), &settings());
    let lines: Vec<_> = records
        .iter()
        .map(|record| format!("{} {} {}", record.relative, record.rtype, record.value_text))
        .collect();
    assert_eq!(
        lines,
        [
            "_domicile TXT \"domicile-verify=tok\"",
            "_acme-challenge CNAME d7f3k2._acme.on.hosting.example.",
            "_xmpp-client._tcp SRV 0 5 5222 d7f3k2.on.hosting.example.",
            "_xmpp-server._tcp SRV 0 5 5269 d7f3k2.on.hosting.example.",
            "_xmpps-client._tcp SRV 0 5 5223 d7f3k2.on.hosting.example.",
            "_xmpps-server._tcp SRV 0 5 5270 d7f3k2.on.hosting.example.",
        ]
    );
    assert!(
        records
            .iter()
            .all(|record| record.name.ends_with(".example.com."))
    );
    assert_eq!(records.iter().filter(|record| record.optional).count(), 2);
}

#[test]
fn names_are_relative_to_the_zone_that_holds_the_domain() {
    let records = desired(&facts("chat.example.com", Some("example.com")), &settings());
    assert_eq!(records[0].relative, "_domicile.chat");
    assert_eq!(relative_name("example.com", "example.com"), "@");
    assert_eq!(
        relative_name("xexample.com", "example.com"),
        "xexample.com."
    );
}

#[test]
fn international_names_are_spelled_for_the_dns() {
    let records = desired(&facts("münchen.example", None), &settings());
    assert_eq!(records[0].name, "_domicile.xn--mnchen-3ya.example.");
    assert!(zone_fragment(&facts("münchen.example", None), &records).is_ascii());
}

#[test]
fn an_uploaded_certificate_needs_no_challenge() {
    let records = desired(
        &DomainFacts {
            mode: Mode::Uploaded,
            ..facts("example.com", None)
        },
        &settings(),
    );
    assert!(
        records
            .iter()
            .all(|record| record.purpose != Purpose::Challenge)
    );
}

#[test]
fn s2s_10_services_have_records_of_their_own() {
    let records = desired(
        &DomainFacts {
            services: vec!["rooms".into()],
            ..facts("example.com", None)
        },
        &settings(),
    );
    let own: Vec<_> = records
        .iter()
        .filter(|record| record.service.is_some())
        .collect();
    assert_eq!(
        own.iter()
            .map(|record| record.relative.as_str())
            .collect::<Vec<_>>(),
        ["_acme-challenge.rooms", "_xmpp-server._tcp.rooms"]
    );
    assert!(own.iter().all(|record| record.optional));
}

#[test]
fn long_and_odd_texts_survive_a_zone_file() {
    assert_eq!(txt_strings(""), "\"\"");
    assert_eq!(txt_strings("a\"b\\c"), "\"a\\\"b\\\\c\"");
    assert_eq!(txt_strings("é"), "\"\\195\\169\"");
    let long = "x".repeat(600);
    let text = txt_strings(&long);
    assert_eq!(
        text.split(' ')
            .map(|part| part.trim_matches('"').len())
            .collect::<Vec<_>>(),
        [255, 255, 90]
    );
}

/// COMP-07: a component is its own pair to other servers; a service that only people here use has no records.
#[test]
fn comp_07_components_have_records_of_their_own() {
    let mut settings = settings();
    settings.service_names.push(ServiceName {
        label: "upload".into(),
        purpose: "files that people share".into(),
        federated: false,
    });
    let records = desired(
        &DomainFacts {
            services: vec!["upload".into()],
            components: vec!["bridge".into()],
            ..facts("example.com", None)
        },
        &settings,
    );
    let own: Vec<_> = records
        .iter()
        .filter(|record| record.service.is_some())
        .map(|record| (record.relative.as_str(), record.optional))
        .collect();
    assert_eq!(
        own,
        [
            ("_acme-challenge.bridge", true),
            ("_xmpp-server._tcp.bridge", true)
        ]
    );
}

/// The real judge.
#[test]
fn named_checkzone_accepts_the_fragment() {
    let domain = DomainFacts {
        token: "t\"o;k".repeat(80),
        services: vec!["rooms".into()],
        ..facts("example.com", None)
    };
    let fragment = zone_fragment(&domain, &desired(&domain, &settings()));
    let zone = format!(
        "$TTL 3600\n@ IN SOA ns.example.com. root.example.com. 1 2 3 4 5\n@ IN NS ns.example.com.\nns IN A 192.0.2.1\n{fragment}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    std::fs::write(&file, zone).unwrap();
    let output = std::process::Command::new("named-checkzone")
        .arg("example.com")
        .arg(&file)
        .output()
        .expect("named-checkzone, which tests/install brings with BIND");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
