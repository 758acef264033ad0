//! Broken zones, each yielding exactly its code.

use std::net::{IpAddr, Ipv4Addr};

use xmpp::jid::DomainName;

use super::caa::caa;
use super::dns::is_private;
use super::*;
use crate::domain::Seen;
use crate::observe::{Answered, Beyond, CaaProperty, CaaView, TargetView, question};
use crate::outside::Method;
use crate::records::{Mode, Purpose, desired};
use crate::settings::{Limits, Pace, Ports, ServiceName};
use crate::time::DAY;

const ZONE: &str = "example.com";
const TARGET: &str = "d7f3k2.on.hosting.example";

pub(crate) fn settings() -> PlatformSettings {
    PlatformSettings {
        name: "Domicile".into(),
        platform_zone: "on.hosting.example".into(),
        addresses: vec!["192.0.2.1".parse().unwrap()],
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

pub(crate) fn issuer() -> IssuerInfo {
    IssuerInfo {
        name: "Test CA".into(),
        caa_identities: vec!["ca.example".into()],
        account_uri: Some("https://ca.example/acct/1".into()),
        ..IssuerInfo::default()
    }
}

/// Who steps in where the first one cannot.
fn second() -> IssuerInfo {
    IssuerInfo {
        name: "Second CA".into(),
        directory: "https://second.example/dir".into(),
        caa_identities: vec!["second.example".into()],
        ..IssuerInfo::default()
    }
}

pub(crate) fn facts() -> DomainFacts {
    DomainFacts {
        name: DomainName::parse(ZONE).unwrap(),
        label: "d7f3k2".into(),
        token: "tok".into(),
        mode: Mode::DelegatedChallenge,
        dane: false,
        posh: false,
        services: vec![],
        components: vec![],
        persist: None,
        zone: Some(ZONE.into()),
    }
}

fn records(data: Vec<Data>) -> Sight {
    Sight::Records {
        data,
        ttl_seconds: 3600,
        aliased: false,
        beyond: None,
    }
}

fn srv(port: u16, target: &str) -> Data {
    Data::Srv {
        priority: 0,
        weight: 5,
        port,
        target: target.into(),
    }
}

fn everywhere(sight: Sight) -> SetView {
    let answered = |asked: &str| Answered {
        asked: asked.into(),
        sight: sight.clone(),
        secure: false,
    };
    SetView {
        resolver: Some(answered("resolver")),
        servers: vec![answered("ns1.example.net"), answered("ns2.example.net")],
        late: false,
    }
}

/// A zone where everything is as it should be.
fn good() -> Observation {
    let mut seen = Observation {
        zone: Some(ZONE.into()),
        ..Observation::default()
    };
    for record in desired(&facts(), &settings()) {
        let data = match &record.value {
            RecordValue::Txt { text } => Data::Txt(text.clone()),
            RecordValue::Cname { target } => Data::Cname(target.clone()),
            RecordValue::Srv { port, target, .. } => srv(*port, target),
        };
        seen.sets.insert(
            question(rtype(&record), &record.name),
            everywhere(records(vec![data])),
        );
    }
    seen.targets.insert(TARGET.into(), host("192.0.2.1"));
    seen
}

fn host(address: &str) -> TargetView {
    TargetView {
        alias: None,
        addresses: vec![address.parse().unwrap()],
        resolves: Seen::Yes,
        secure: true,
    }
}

fn set(seen: &mut Observation, rtype: Rtype, name: &str, view: SetView) {
    seen.sets.insert(question(rtype, name), view);
}

/// The codes that a change of the good zone yields.
fn codes(change: impl FnOnce(&mut Observation)) -> Vec<(&'static str, Severity)> {
    let mut seen = good();
    change(&mut seen);
    let mut found: Vec<_> = difference(
        &facts(),
        &desired(&facts(), &settings()),
        &seen,
        &settings(),
    )
    .into_iter()
    .map(|row| (row.code, row.severity))
    .collect();
    let said = caa(&facts(), &seen, (&issuer(), &[second()]), &settings());
    found.extend(said.into_iter().map(|row| (row.code, row.severity)));
    found
}

fn check(change: impl FnOnce(&mut Observation), expected: &[(&'static str, Severity)]) {
    assert_eq!(codes(change), expected);
}

const CLIENT: &str = "_xmpp-client._tcp.example.com";
const CLIENT_TLS: &str = "_xmpps-client._tcp.example.com";
const PROOF: &str = "_domicile.example.com";
const CHALLENGE: &str = "_acme-challenge.example.com";

fn client(sight: Sight) -> impl FnOnce(&mut Observation) {
    move |seen| set(seen, Rtype::Srv, CLIENT, everywhere(sight))
}

#[test]
fn a_good_zone_yields_nothing() {
    check(|_| {}, &[]);
}

#[test]
fn ownership_missing_and_mismatch() {
    check(
        |seen| set(seen, Rtype::Txt, PROOF, everywhere(Sight::Nothing)),
        &[(OWNERSHIP_MISSING, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Txt,
                PROOF,
                everywhere(records(vec![Data::Txt("v=spf1 -all".into())])),
            )
        },
        &[(OWNERSHIP_MISSING, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Txt,
                PROOF,
                everywhere(records(vec![Data::Txt("domicile-verify=other".into())])),
            )
        },
        &[(OWNERSHIP_MISMATCH, Severity::Critical)],
    );
}

#[test]
fn srv_missing_is_critical_only_where_it_is_needed() {
    check(client(Sight::Nothing), &[(SRV_MISSING, Severity::Critical)]);
    check(
        |seen| set(seen, Rtype::Srv, CLIENT_TLS, everywhere(Sight::Nothing)),
        &[(SRV_MISSING, Severity::Info)],
    );
}

#[test]
fn srv_wrong_target() {
    check(
        client(records(vec![srv(5222, "old.example.net")])),
        &[(SRV_WRONG_TARGET, Severity::Critical)],
    );
}

#[test]
fn srv_leftover_weighs_by_priority() {
    check(
        client(records(vec![
            srv(5222, TARGET),
            srv(5222, "old.example.net"),
        ])),
        &[(SRV_LEFTOVER, Severity::Critical)],
    );
    let worse = Data::Srv {
        priority: 10,
        weight: 0,
        port: 5222,
        target: "old.example.net".into(),
    };
    check(
        client(records(vec![srv(5222, TARGET), worse])),
        &[(SRV_LEFTOVER, Severity::Warning)],
    );
}

#[test]
fn srv_wrong_port_and_swapped() {
    check(
        client(records(vec![srv(5299, TARGET)])),
        &[(SRV_WRONG_PORT, Severity::Critical)],
    );
    check(
        client(records(vec![srv(5223, TARGET)])),
        &[(SRV_SWAPPED_TLS, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Srv,
                CLIENT_TLS,
                everywhere(records(vec![srv(5222, TARGET)])),
            )
        },
        &[(SRV_SWAPPED_TLS, Severity::Info)],
    );
}

#[test]
fn s2s_09_srv_target_is_an_alias() {
    check(
        |seen| {
            set(
                seen,
                Rtype::Srv,
                CLIENT,
                everywhere(records(vec![srv(5222, "chat.example.com")])),
            );
            seen.targets.insert(
                "chat.example.com".into(),
                TargetView {
                    alias: Some(TARGET.into()),
                    addresses: vec!["192.0.2.1".parse().unwrap()],
                    resolves: Seen::Yes,
                    secure: true,
                },
            );
        },
        &[(SRV_TARGET_ALIAS, Severity::Critical)],
    );
}

#[test]
fn srv_target_private() {
    check(
        client(records(vec![srv(5222, "localhost")])),
        &[(SRV_TARGET_PRIVATE, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Srv,
                CLIENT,
                everywhere(records(vec![srv(5222, "box.example.com")])),
            );
            seen.targets
                .insert("box.example.com".into(), host("10.0.0.7"));
        },
        &[(SRV_TARGET_PRIVATE, Severity::Critical)],
    );
    assert!(is_private(IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1))));
    assert!(!is_private("2001:db8::1".parse().unwrap()));
}

#[test]
fn srv_service_off() {
    check(
        client(records(vec![srv(0, "")])),
        &[(SRV_SERVICE_OFF, Severity::Critical)],
    );
}

#[test]
fn name_doubled_by_a_relative_record() {
    check(
        |seen| {
            set(seen, Rtype::Srv, CLIENT, everywhere(Sight::Nothing));
            set(
                seen,
                Rtype::Srv,
                "_xmpp-client._tcp.example.com.example.com",
                everywhere(records(vec![srv(5222, TARGET)])),
            );
        },
        &[(NAME_DOUBLED, Severity::Critical)],
    );
    check(
        |seen| {
            set(seen, Rtype::Txt, PROOF, everywhere(Sight::Nothing));
            set(
                seen,
                Rtype::Txt,
                "_domicile.example.com.example.com",
                everywhere(records(vec![Data::Txt("domicile-verify=tok".into())])),
            );
        },
        &[(NAME_DOUBLED, Severity::Critical)],
    );
    check(
        client(records(vec![srv(5222, &format!("{TARGET}.example.com"))])),
        &[(NAME_DOUBLED, Severity::Critical)],
    );
}

#[test]
fn acme_06_cname_missing_wrong_hidden() {
    check(
        |seen| set(seen, Rtype::Cname, CHALLENGE, everywhere(Sight::Nothing)),
        &[(ACME_CNAME_MISSING, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Cname,
                CHALLENGE,
                everywhere(records(vec![Data::Cname("elsewhere.example".into())])),
            )
        },
        &[(ACME_CNAME_WRONG, Severity::Critical)],
    );
    check(
        |seen| {
            set(
                seen,
                Rtype::Txt,
                CHALLENGE,
                everywhere(records(vec![Data::Txt("old challenge".into())])),
            )
        },
        &[(ACME_HIDDEN_TXT, Severity::Critical)],
    );
    // Behind the alias a TXT is what we want.
    check(
        |seen| {
            set(
                seen,
                Rtype::Txt,
                CHALLENGE,
                everywhere(Sight::Records {
                    data: vec![Data::Txt("ours".into())],
                    ttl_seconds: 60,
                    aliased: true,
                    beyond: None,
                }),
            )
        },
        &[],
    );
}

#[test]
fn acme_09_caa_of_every_name_that_is_ordered_and_for_the_authority_that_steps_in() {
    let with_rooms = DomainFacts {
        services: vec!["rooms".into()],
        ..facts()
    };
    let rooms = format!("rooms.{ZONE}");
    let check = |owner: &str, properties: &[(bool, &str, &str)], expected: &[_]| {
        let mut seen = good();
        let both = [
            (false, "issue", "ca.example"),
            (false, "issue", "second.example"),
        ];
        seen.caa.insert(ZONE.into(), caa_set(&both));
        let view = CaaView {
            owner: owner.into(),
            ..caa_set(properties)
        };
        seen.caa.insert(rooms.clone(), view);
        let said = caa(&with_rooms, &seen, (&issuer(), &[second()]), &settings());
        let said: Vec<_> = said.iter().map(|row| (row.code, row.severity)).collect();
        assert_eq!(said, expected, "{owner} {properties:?}");
    };
    // A service with records of its own is left out of the certificate; the domain goes on.
    let other: &[_] = &[(false, "issue", "other.example")];
    check(&rooms, other, &[(CAA_FORBIDS, Severity::Warning)]);
    // The authority that steps in is spoken of before it is needed, and weighs nothing.
    let first: &[_] = &[(false, "issue", "ca.example")];
    check(&rooms, first, &[(CAA_FORBIDS_SECOND, Severity::Info)]);
    check(&rooms, &[(false, "iodef", "mailto:a@example.com")], &[]);
    // A name below that has none of its own has those of the domain, which are spoken of once.
    check(ZONE, other, &[]);
}

fn caa_set(properties: &[(bool, &str, &str)]) -> CaaView {
    CaaView {
        owner: ZONE.into(),
        properties: properties
            .iter()
            .map(|(critical, tag, value)| CaaProperty {
                critical: *critical,
                tag: (*tag).into(),
                value: (*value).into(),
            })
            .collect(),
        ..CaaView::default()
    }
}

#[test]
fn acme_09_caa() {
    type Set = &'static [(bool, &'static str, &'static str)];
    let table: &[(Set, bool)] = &[
        (&[], true),
        (&[(false, "iodef", "mailto:a@example.com")], true),
        (&[(false, "issue", ";")], false),
        (&[(false, "issue", "other.example")], false),
        (
            &[
                (false, "issue", "other.example"),
                (false, "issue", "CA.example"),
            ],
            true,
        ),
        (
            &[(
                false,
                "issue",
                "ca.example; accounturi=https://ca.example/acct/1",
            )],
            true,
        ),
        (
            &[(
                false,
                "issue",
                "ca.example; accounturi=https://ca.example/acct/2",
            )],
            false,
        ),
        (
            &[(false, "issue", "ca.example; validationmethods=http-01")],
            false,
        ),
        (
            &[(
                false,
                "issue",
                "ca.example; validationmethods=http-01,dns-01",
            )],
            true,
        ),
        // RFC 8659 4.2: what cannot be read satisfies nobody.
        (&[(false, "issue", "ca.example; what")], false),
        (&[(false, "issue", "ca.example;")], true),
        (&[(false, "issuewild", ";")], true),
        (
            &[(true, "future", "x"), (false, "issue", "ca.example")],
            false,
        ),
    ];
    for (properties, allowed) in table {
        assert_eq!(
            caa_allows(&caa_set(properties), &issuer(), Method::Dns),
            *allowed,
            "{properties:?}"
        );
    }
    check(
        |seen| {
            seen.caa
                .insert(ZONE.into(), caa_set(&[(false, "issue", "other.example")]));
        },
        &[(CAA_FORBIDS, Severity::Critical)],
    );
    assert_eq!(
        caa_line(&issuer()).unwrap(),
        "0 issue \"ca.example; accounturi=https://ca.example/acct/1\""
    );
}

#[test]
fn dnssec_bogus_comes_alone() {
    check(
        |seen| {
            for view in seen.sets.values_mut() {
                view.resolver = Some(Answered {
                    asked: "resolver".into(),
                    sight: Sight::Bogus,
                    secure: false,
                });
            }
        },
        &[(DNSSEC_BOGUS, Severity::Critical)],
    );
}

#[test]
fn a_missing_zone_comes_alone() {
    check(
        |seen| seen.domain_missing = true,
        &[(ZONE_MISSING, Severity::Critical)],
    );
}

#[test]
fn lame_server() {
    check(
        |seen| {
            for view in seen.sets.values_mut() {
                view.servers[1].sight = Sight::Failed("REFUSED".into());
            }
        },
        &[(LAME_SERVER, Severity::Warning)],
    );
}

#[test]
fn nameservers_disagree_while_a_change_spreads() {
    check(
        |seen| {
            let mut view = everywhere(records(vec![srv(5222, TARGET)]));
            view.servers[1].sight = Sight::Nothing;
            set(seen, Rtype::Srv, CLIENT, view);
        },
        &[(NAMESERVERS_DISAGREE, Severity::Warning)],
    );
}

#[test]
fn silence_is_unknown_never_failed() {
    check(
        client(Sight::Failed("timed out".into())),
        &[(RESOLVER_UNKNOWN, Severity::Unknown)],
    );
    let all = codes(|seen| {
        for view in seen.sets.values_mut() {
            *view = everywhere(Sight::Failed("timed out".into()));
        }
    });
    assert!(
        all.iter()
            .all(|row| *row == (RESOLVER_UNKNOWN, Severity::Unknown)),
        "{all:?}"
    );
}

#[test]
fn a_stale_resolver_is_only_info() {
    check(
        |seen| {
            let mut view = everywhere(records(vec![srv(5222, TARGET)]));
            view.resolver = Some(Answered {
                asked: "resolver".into(),
                sight: records(vec![srv(5222, "old.example.net")]),
                secure: false,
            });
            set(seen, Rtype::Srv, CLIENT, view);
        },
        &[(RESOLVER_STALE, Severity::Info)],
    );
}

#[test]
fn without_authoritative_answers_the_resolver_counts() {
    check(
        |seen| {
            for view in seen.sets.values_mut() {
                view.servers.clear();
            }
        },
        &[],
    );
}

#[test]
fn aliases_that_lead_nowhere_are_said_to() {
    check(client(Sight::Lost), &[(ALIAS_LOOP, Severity::Critical)]);
    check(
        |seen| set(seen, Rtype::Srv, CLIENT_TLS, everywhere(Sight::Lost)),
        &[(ALIAS_LOOP, Severity::Info)],
    );
}

#[test]
fn what_was_left_out_is_said_beside_what_was_found() {
    let much = |data| Sight::Records {
        data: vec![data],
        ttl_seconds: 3600,
        aliased: false,
        beyond: Some(Beyond {
            records: 3_000,
            bytes: 60_000,
        }),
    };
    check(
        client(much(srv(5222, TARGET))),
        &[(ANSWER_TOO_LARGE, Severity::Warning)],
    );
    check(
        client(much(srv(5222, "old.example.net"))),
        &[
            (SRV_WRONG_TARGET, Severity::Critical),
            (ANSWER_TOO_LARGE, Severity::Warning),
        ],
    );
    check(
        |seen| {
            let text = much(Data::Txt("old challenge".into()));
            set(seen, Rtype::Txt, CHALLENGE, everywhere(text));
        },
        &[
            (ACME_HIDDEN_TXT, Severity::Critical),
            (ANSWER_TOO_LARGE, Severity::Warning),
        ],
    );
}

#[test]
fn of_many_leftovers_a_few_are_named() {
    let mut seen = good();
    let others = (0..16).map(|at| srv(5222, &format!("old{at:02}.example.net")));
    let data = std::iter::once(srv(5222, TARGET)).chain(others).collect();
    client(records(data))(&mut seen);
    let found = difference(
        &facts(),
        &desired(&facts(), &settings()),
        &seen,
        &settings(),
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .fix
            .ends_with("0 5 5222 old03.example.net, and 12 more."),
        "{}",
        found[0].fix
    );
}

#[test]
fn what_a_stranger_s_text_holds_moves_no_cursor() {
    let mut seen = good();
    let text = "domicile-verify=\u{1b}[2J\"; rm \u{202e}x".to_owned();
    let view = everywhere(records(vec![Data::Txt(text)]));
    set(&mut seen, Rtype::Txt, PROOF, view);
    let found = difference(
        &facts(),
        &desired(&facts(), &settings()),
        &seen,
        &settings(),
    );
    assert_eq!(
        found[0].observed,
        r#""domicile-verify=\027[2J\"; rm \226\128\174x""#
    );
}

#[test]
fn ttl_too_long() {
    check(
        client(Sight::Records {
            data: vec![srv(5222, TARGET)],
            ttl_seconds: 172_800,
            aliased: false,
            beyond: None,
        }),
        &[(TTL_TOO_LONG, Severity::Warning)],
    );
}

#[test]
fn our_own_target_lacks_an_address() {
    check(
        |seen| {
            seen.targets.insert(
                TARGET.into(),
                TargetView {
                    alias: None,
                    addresses: vec![],
                    resolves: Seen::No,
                    secure: false,
                },
            );
        },
        &[(TARGET_UNRESOLVABLE, Severity::Critical)],
    );
}

pub(crate) fn around<'a>(
    settings: &'a PlatformSettings,
    issuer: &'a IssuerInfo,
) -> Surroundings<'a> {
    Surroundings {
        state: State::Live,
        certificate: Some(CertificateFacts {
            covers_domain: true,
            names: vec![ZONE.into()],
            not_before: Timestamp(0),
            not_after: Timestamp(90 * DAY),
        }),
        taken: false,
        elsewhere: &[],
        proof_ends: None,
        order_failed: None,
        probe: Some(Probe::Passed {
            seen: "192.0.2.1:5222".into(),
            leaf: String::new(),
        }),
        publishing: None,
        verdicts: &[],
        settings,
        issuer,
        second: &[],
        now: Timestamp(DAY),
    }
}

fn identity_codes(change: impl FnOnce(&mut Surroundings<'_>)) -> Vec<(&'static str, Severity)> {
    let (settings, issuer) = (settings(), issuer());
    let mut around = around(&settings, &issuer);
    change(&mut around);
    checks(&facts(), &desired(&facts(), &settings), &good(), &around)
        .into_iter()
        .filter(|row| row.code != OK)
        .map(|row| (row.code, row.severity))
        .collect()
}

#[test]
fn certificates_and_door() {
    assert_eq!(identity_codes(|_| {}), []);
    assert_eq!(
        identity_codes(|around| around.certificate = None),
        [(CERTIFICATE_MISSING, Severity::Critical)]
    );
    assert_eq!(
        identity_codes(|around| {
            around.state = State::Publishing;
            around.certificate = None;
        }),
        [(CERTIFICATE_MISSING, Severity::Warning)]
    );
    assert_eq!(
        identity_codes(|around| around.now = Timestamp(80 * DAY)),
        [(CERTIFICATE_EXPIRING, Severity::Warning)]
    );
    assert_eq!(
        identity_codes(|around| around.now = Timestamp(91 * DAY)),
        [(CERTIFICATE_EXPIRED, Severity::Critical)]
    );
    assert_eq!(
        identity_codes(|around| around.certificate.as_mut().unwrap().covers_domain = false),
        [(CERTIFICATE_WRONG_NAME, Severity::Critical)]
    );
    assert_eq!(
        identity_codes(|around| around.probe = Some(Probe::Failed {
            seen: "refused".into(),
            asked: "192.0.2.1:5222".into()
        })),
        [(PROBE_FAILED, Severity::Critical)]
    );
    assert_eq!(
        identity_codes(|around| around.probe = Some(Probe::Unknown {
            why: "no route".into()
        })),
        [(RESOLVER_UNKNOWN, Severity::Unknown)]
    );
    assert_eq!(
        identity_codes(|around| around.order_failed = Some("caa".into())),
        [(CERTIFICATE_ORDER_FAILED, Severity::Warning)]
    );
}

#[test]
fn good_rows_are_shown_too() {
    let (settings, issuer) = (settings(), issuer());
    let rows = checks(
        &facts(),
        &desired(&facts(), &settings),
        &good(),
        &around(&settings, &issuer),
    );
    assert_eq!(rows.len(), desired(&facts(), &settings).len() + 2);
    assert!(rows.iter().all(|row| row.code == OK));
}

#[test]
fn every_code_is_documented_once() {
    let names: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
    assert_eq!(names.len(), CODES.len());
}

#[test]
fn what_a_record_replaces() {
    let mut seen = good();
    set(
        &mut seen,
        Rtype::Srv,
        CLIENT,
        everywhere(records(vec![
            srv(5222, TARGET),
            srv(5222, "old.example.net"),
        ])),
    );
    let record = desired(&facts(), &settings())
        .into_iter()
        .find(|record| record.purpose == Purpose::Client)
        .unwrap();
    assert_eq!(replaced(&record, &seen), ["0 5 5222 old.example.net."]);
    assert_eq!(standing(&record, &seen), Standing::Seen);
}
