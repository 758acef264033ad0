//! The platform's zone at a real BIND, a real Knot DNS, a real PowerDNS and the sandbox's DNS, through the same code; and the
//! sandbox's zones under the eyes of BIND's own tools (`dig`, `delv`, `nsupdate`, `named-checkzone`).
//!
//! Unlike the black-box tests this one calls into the server's library: the publisher has no face of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::harness::bind::Bind;
use crate::harness::demo::loopback;
use crate::harness::knot::Knot;
use crate::harness::powerdns::PowerDns;
use crate::harness::tools::{free_port, program};
use control::outside::{OwnerZone as _, ZoneChange, ZoneError, ZonePublisher as _, ZoneValue};
use control::records::{DesiredRecord, Purpose, RecordValue};
use dna::{Lookup as _, Outcome, RecordData, RecordType, Security};
use domicile::config::{Config, DnsMode};
use domicile::demo::dns::{Dns, Signing};
use domicile::net::lookup::Resolver;
use domicile::zone::{Publisher, read_key};
use xmpp::jid::DomainName;

fn dig(server: SocketAddr, args: &[&str]) -> String {
    let out = Command::new(program("dig"))
        .arg(format!("@{}", server.ip()))
        .args(["-p", &server.port().to_string(), "+tries=1", "+time=10"])
        .args(args)
        .output()
        .expect("dig");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn publisher(server: SocketAddr, zone: &str, key: &Path) -> Publisher {
    Publisher::new(server, zone, &read_key(key).expect("key file")).expect("publisher")
}

/// How BIND, Knot and the sandbox answer a wrong secret, and a key that they do not know.
const WRONG_KEYS: [&str; 2] = ["BADSIG", "BADKEY"];

/// What control does with the platform's zone, wherever it is; `wrong_keys` as in [`WRONG_KEYS`].
async fn walk_through(server: SocketAddr, key: &Path, wrong_keys: [&str; 2]) {
    let zone = publisher(server, "hosting.example", key);
    let target = "d7f3k2.on.hosting.example".to_owned();
    let challenge = "d7f3k2._acme.on.hosting.example".to_owned();
    let tlsa = "_5269._tcp.d7f3k2.on.hosting.example".to_owned();
    let long = "x".repeat(300);
    let described = |byte| ZoneValue::Tlsa(dna::dane::Record::of_key(vec![byte; 32]));
    zone.apply(&[
        ZoneChange::Set {
            name: target.clone(),
            ttl_seconds: 60,
            values: vec![
                ZoneValue::A([192, 0, 2, 1].into()),
                ZoneValue::A([192, 0, 2, 2].into()),
            ],
        },
        ZoneChange::Set {
            name: target.clone(),
            ttl_seconds: 60,
            values: vec![ZoneValue::Aaaa("2001:db8::1".parse().expect("address"))],
        },
        ZoneChange::Add {
            name: challenge.clone(),
            ttl_seconds: 1,
            value: ZoneValue::Txt("first".into()),
        },
        ZoneChange::Add {
            name: challenge.clone(),
            ttl_seconds: 1,
            value: ZoneValue::Txt(long.clone()),
        },
        ZoneChange::Set {
            name: tlsa.clone(),
            ttl_seconds: 60,
            values: [1, 2].map(described).to_vec(),
        },
    ])
    .await
    .expect("published");
    assert_eq!(
        dig(server, &["+short", &tlsa, "TLSA"]).lines().count(),
        2,
        "a key and the next"
    );
    let mut a: Vec<String> = dig(server, &["+short", &target, "A"])
        .lines()
        .map(str::to_owned)
        .collect();
    a.sort();
    assert_eq!(a, ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(
        dig(server, &["+short", &target, "AAAA"]).trim(),
        "2001:db8::1"
    );
    let texts = dig(server, &["+short", "+tcp", &challenge, "TXT"]);
    assert!(
        texts.contains("\"first\"")
            && texts.contains(&format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45))),
        "{texts}"
    );
    assert!(
        dig(server, &["+dnssec", &target, "A"]).contains("RRSIG"),
        "signed again after the update"
    );

    // Set replaces, Remove takes one, what is not there is no error, Erase takes the name.
    zone.apply(&[
        ZoneChange::Set {
            name: target.clone(),
            ttl_seconds: 60,
            values: vec![ZoneValue::A([192, 0, 2, 9].into())],
        },
        ZoneChange::Remove {
            name: challenge.clone(),
            value: ZoneValue::Txt("first".into()),
        },
        ZoneChange::Remove {
            name: challenge.clone(),
            value: ZoneValue::Txt("never there".into()),
        },
        ZoneChange::Erase {
            name: "nobody.on.hosting.example".into(),
        },
        ZoneChange::Set {
            name: tlsa.clone(),
            ttl_seconds: 60,
            values: vec![described(2)],
        },
    ])
    .await
    .expect("changed");
    let found = dig(server, &["+short", &tlsa, "TLSA"]).replace(' ', "");
    assert_eq!(found.trim(), format!("311{}", "02".repeat(32)));
    assert_eq!(dig(server, &["+short", &target, "A"]).trim(), "192.0.2.9");
    assert!(!dig(server, &["+short", &challenge, "TXT"]).contains("first"));
    zone.apply(&[
        ZoneChange::Erase {
            name: target.clone(),
        },
        ZoneChange::Erase { name: challenge },
        ZoneChange::Erase { name: tlsa },
    ])
    .await
    .expect("erased");
    let gone = dig(server, &["+dnssec", &target, "A"]);
    assert!(gone.contains("NXDOMAIN") && gone.contains("NSEC"), "{gone}");

    // Refusals say what to do.
    let error = publisher(server, "sub.hosting.example", key)
        .apply(&[ZoneChange::Erase {
            name: "x.sub.hosting.example".into(),
        }])
        .await
        .expect_err("not its zone");
    assert!(
        matches!(&error, ZoneError::Refused { code, .. } if code.contains("NOTAUTH") || code.contains("REFUSED")),
        "{error}"
    );
    let error = zone
        .apply(&[ZoneChange::Erase {
            name: "x.elsewhere.test".into(),
        }])
        .await
        .expect_err("outside");
    assert!(error.to_string().contains("outside the zone"), "{error}");
    let mut other = read_key(key).expect("key file");
    other.secret = b"0123456789abcdef0123456789abcdef".to_vec();
    let error = Publisher::new(server, "hosting.example", &other)
        .expect("publisher")
        .apply(&[ZoneChange::Erase {
            name: target.clone(),
        }])
        .await
        .expect_err("wrong secret");
    assert!(error.to_string().contains(wrong_keys[0]), "{error}");
    other.name = "unknown".into();
    let error = Publisher::new(server, "hosting.example", &other)
        .expect("publisher")
        .apply(&[ZoneChange::Erase { name: target }])
        .await
        .expect_err("unknown key");
    assert!(
        error.to_string().contains(wrong_keys[1]) && error.to_string().contains("\"unknown\""),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_zone_at_bind() {
    let bind = Bind::start(&[]);
    walk_through(bind.address, &bind.key, WRONG_KEYS).await;
    let error = publisher(bind.address, "static.example", &bind.key)
        .apply(&[ZoneChange::Erase {
            name: "x.static.example".into(),
        }])
        .await
        .expect_err("not allowed");
    assert!(
        error.to_string().contains("REFUSED") && error.to_string().contains("update-policy"),
        "{error}"
    );
}

/// Set up as docs/deploy/knot.conf says.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_zone_at_knot() {
    let ip: IpAddr = loopback().into();
    let knot = Knot::start(SocketAddr::new(ip, free_port(ip)), &[]);
    walk_through(knot.address, &knot.key, WRONG_KEYS).await;
    // Names of the operator's own, and zones that the key is not for.
    for (zone, name) in [
        ("hosting.example", "panel.hosting.example"),
        ("static.example", "x.static.example"),
    ] {
        let error = publisher(knot.address, zone, &knot.key)
            .apply(&[ZoneChange::Erase { name: name.into() }])
            .await
            .expect_err("not allowed");
        assert!(
            error.to_string().contains("BADKEY") && error.to_string().contains("acl"),
            "{error}"
        );
    }
}

/// Set up as docs/deploy/pdns.conf says.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_zone_at_powerdns() {
    let ip: IpAddr = loopback().into();
    let server = PowerDns::start(SocketAddr::new(ip, free_port(ip)));
    walk_through(server.address, &server.key, ["REFUSED", "REFUSED"]).await;
    // A name of the operator's own is left out without a word.
    let name = "panel.hosting.example";
    let added = ZoneChange::Add {
        name: name.into(),
        ttl_seconds: 60,
        value: ZoneValue::A([192, 0, 2, 1].into()),
    };
    let zone = publisher(server.address, "hosting.example", &server.key);
    zone.apply(&[added]).await.expect("passed over");
    assert_eq!(dig(server.address, &["+short", name, "A"]), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_name_server_is_unreachable() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let ip: IpAddr = loopback().into();
    let dns = Dns::start(dir.path(), ip, 0).await.expect("sandbox DNS");
    let key = dns.tsig_key();
    let nobody = SocketAddr::new(ip, free_port(ip));
    let error = publisher(nobody, "hosting.example", &key)
        .apply(&[ZoneChange::Erase {
            name: "x.hosting.example".into(),
        }])
        .await
        .expect_err("nobody listens");
    assert!(matches!(error, ZoneError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_zone_in_the_sandbox() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = Dns::start(dir.path(), loopback().into(), 0)
        .await
        .expect("sandbox DNS");
    let (address, key) = (dns.address(), dns.tsig_key());
    walk_through(address, &key, WRONG_KEYS).await;
}

fn srv(name: &str, target: &str) -> DesiredRecord {
    let value = RecordValue::Srv {
        priority: 0,
        weight: 5,
        port: 5222,
        target: target.into(),
    };
    DesiredRecord {
        purpose: Purpose::Client,
        service: None,
        rtype: "SRV",
        relative: name.into(),
        name: format!("{name}."),
        value_text: value.to_string(),
        value,
        ttl_seconds: 60,
        why: String::new(),
        optional: false,
    }
}

/// Asks delv, which validates by itself from the sandbox's trust anchor.
fn delv(dns: &Dns, args: &[&str]) -> String {
    let anchor = dns.trust_anchor().with_file_name("bind.keys");
    let out = Command::new(program("delv"))
        .arg(format!("@{}", dns.address().ip()))
        .args(["-p", &dns.address().port().to_string(), "-a"])
        .arg(anchor)
        .arg("+root=.")
        .args(args)
        .output()
        .expect("delv");
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

async fn world(dir: &Path) -> Dns {
    let dns = Dns::start(dir, loopback().into(), 0)
        .await
        .expect("sandbox DNS");
    dns.zone_add("unsigned.example", Signing::Unsigned)
        .expect("zone");
    dns.zone_add("bogus.example", Signing::Bogus).expect("zone");
    let one = DomainName::parse("one.example").expect("name");
    let cname = RecordValue::Cname {
        target: "d1._acme.on.hosting.example".into(),
    };
    let mut records = vec![
        srv("_xmpp-client._tcp.one.example", "d1.on.hosting.example"),
        srv(
            "_xmpp-client._tcp.chat.one.example",
            "d1.on.hosting.example",
        ),
    ];
    records.push(DesiredRecord {
        name: "_acme-challenge.one.example.".into(),
        rtype: "CNAME",
        value_text: cname.to_string(),
        value: cname,
        ..records[0].clone()
    });
    dns.publish(&one, &records).await.expect("published");
    publisher(dns.address(), "hosting.example", &dns.tsig_key())
        .apply(&[
            ZoneChange::Add {
                name: "d1.on.hosting.example".into(),
                ttl_seconds: 60,
                value: ZoneValue::A([127, 0, 0, 1].into()),
            },
            ZoneChange::Add {
                name: "d1._acme.on.hosting.example".into(),
                ttl_seconds: 1,
                value: ZoneValue::Txt("proof".into()),
            },
        ])
        .await
        .expect("platform");
    update(
        &dns,
        "one.example",
        "update add *.wild.one.example 60 TXT \"any\"\nupdate add wild.one.example 60 TXT \"apex\"",
    );
    update(
        &dns,
        "unsigned.example",
        "update add www.unsigned.example 60 A 192.0.2.7",
    );
    update(
        &dns,
        "bogus.example",
        "update add www.bogus.example 60 A 192.0.2.8",
    );
    dns
}

fn update(dns: &Dns, zone: &str, lines: &str) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let script = dir.path().join("script");
    let address = dns.address();
    std::fs::write(
        &script,
        format!(
            "server {} {}\nzone {zone}\n{lines}\nsend\n",
            address.ip(),
            address.port()
        ),
    )
    .expect("script");
    let out = Command::new(program("nsupdate"))
        .arg("-k")
        .arg(dns.tsig_key())
        .arg(&script)
        .output()
        .expect("nsupdate");
    assert!(
        out.status.success(),
        "{lines}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_the_sandbox_validates() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    for (args, expected) in [
        (&[".", "SOA"][..], "; fully validated"),
        (&[".", "DNSKEY"], "; fully validated"),
        (&["example", "DS"], "; fully validated"),
        (&["one.example", "DS"], "; fully validated"),
        (&["one.example", "DNSKEY"], "; fully validated"),
        (
            &["_xmpp-client._tcp.one.example", "SRV"],
            "; fully validated",
        ),
        (&["_acme-challenge.one.example", "TXT"], "\"proof\""),
        (&["_acme-challenge.one.example", "TXT"], "; fully validated"),
        (&["d1.on.hosting.example", "A"], "; fully validated"),
        (&["a.b.wild.one.example", "TXT"], "; fully validated"),
        // Denials: no such name, no such type, an empty non-terminal, a wildcard without the type, a name below nothing.
        (&["nobody.one.example", "A"], "ncache nxdomain"),
        (
            &["nobody.one.example", "A"],
            "; negative response, fully validated",
        ),
        (
            &["one.example", "A"],
            "; negative response, fully validated",
        ),
        (
            &["_tcp.one.example", "A"],
            "; negative response, fully validated",
        ),
        (
            &["chat.one.example", "A"],
            "; negative response, fully validated",
        ),
        (
            &["a.wild.one.example", "A"],
            "; negative response, fully validated",
        ),
        (
            &["x.y.nothing.example", "A"],
            "; negative response, fully validated",
        ),
        (&["nowhere", "A"], "; negative response, fully validated"),
        (
            &["unsigned.example", "DS"],
            "; negative response, fully validated",
        ),
        (&["www.unsigned.example", "A"], "; unsigned answer"),
        (
            &["nobody.unsigned.example", "A"],
            "; negative response, unsigned answer",
        ),
        (&["+cd", "www.bogus.example", "A"], "resolution failed"),
    ] {
        let said = delv(&dns, args);
        assert!(
            said.contains(expected),
            "delv {args:?} should say {expected:?}:\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_answers_like_a_validating_resolver() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    for (args, expected, unexpected) in [
        (
            &["+dnssec", "_xmpp-client._tcp.one.example", "SRV"][..],
            &["status: NOERROR", " ra ad", "RRSIG"][..],
            "SERVFAIL",
        ),
        (
            &["+nodnssec", "_xmpp-client._tcp.one.example", "SRV"],
            &[" ra", "d1.on.hosting.example."],
            "RRSIG",
        ),
        (
            &[
                "+noedns",
                "+noadflag",
                "_xmpp-client._tcp.one.example",
                "SRV",
            ],
            &["d1.on.hosting.example."],
            " ad",
        ),
        (
            &["+tcp", "_acme-challenge.one.example", "TXT"],
            &["CNAME", "\"proof\"", " ad"],
            "RRSIG",
        ),
        (
            &["+dnssec", "www.unsigned.example", "A"],
            &["192.0.2.7", " ra"],
            " ad",
        ),
        (&["www.bogus.example", "A"], &["SERVFAIL"], "192.0.2.8"),
        (
            &["+cd", "www.bogus.example", "A"],
            &["192.0.2.8"],
            "SERVFAIL",
        ),
        (&["nobody.one.example", "A"], &["NXDOMAIN", "SOA"], "NSEC"),
        (
            &[
                "+bufsize=512",
                "+dnssec",
                "+ignore",
                "nobody.one.example",
                "A",
            ],
            &[" tc"],
            "no servers could be reached",
        ),
    ] {
        let said = dig(dns.address(), args);
        for expected in expected {
            assert!(
                said.contains(expected),
                "dig {args:?} should say {expected:?}:\n{said}"
            );
        }
        assert!(
            !said.contains(unexpected),
            "dig {args:?} should not say {unexpected:?}:\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_survive_a_restart_and_bind_can_read_them() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    let anchor = std::fs::read_to_string(dns.trust_anchor()).expect("trust anchor");
    dns.stop();
    drop(dns);
    let dns = Dns::start(dir.path(), loopback().into(), 0)
        .await
        .expect("again");
    assert_eq!(
        std::fs::read_to_string(dns.trust_anchor()).expect("trust anchor"),
        anchor
    );
    let said = delv(&dns, &["_acme-challenge.one.example", "TXT"]);
    assert!(
        said.contains("; fully validated") && said.contains("proof"),
        "{said}"
    );
    for zone in [
        "example",
        "hosting.example",
        "one.example",
        "unsigned.example",
    ] {
        let out = Command::new(program("named-checkzone"))
            .args(["-i", "none", zone])
            .arg(dir.path().join(format!("zones/{zone}.zone")))
            .output()
            .expect("named-checkzone");
        assert!(
            out.status.success(),
            "{zone}: {}",
            String::from_utf8_lossy(&out.stdout)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_make_zones_honour_prerequisites_and_need_the_key() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = Dns::start(dir.path(), loopback().into(), 0)
        .await
        .expect("sandbox DNS");
    update(
        &dns,
        "prosody.example",
        "update add _xmpp-server._tcp.prosody.example 60 SRV 0 5 5269 prosody.example.\nupdate add prosody.example 60 A 127.0.0.2",
    );
    let said = delv(&dns, &["_xmpp-server._tcp.prosody.example", "SRV"]);
    assert!(
        said.contains("; fully validated"),
        "a zone made by its first update is signed and delegated:\n{said}"
    );

    let script = |lines: &str, key: bool| {
        let file = dir.path().join("script");
        let address = dns.address();
        std::fs::write(
            &file,
            format!(
                "server {} {}\nzone prosody.example\n{lines}\nsend\n",
                address.ip(),
                address.port()
            ),
        )
        .expect("script");
        let mut command = Command::new(program("nsupdate"));
        if key {
            command.arg("-k").arg(dns.tsig_key());
        }
        let out = command.arg(&file).output().expect("nsupdate");
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    for (lines, key, expected) in [
        (
            "prereq nxdomain prosody.example\nupdate add x.prosody.example 60 A 127.0.0.3",
            true,
            "YXDOMAIN",
        ),
        (
            "prereq yxrrset prosody.example AAAA\nupdate add x.prosody.example 60 A 127.0.0.3",
            true,
            "NXRRSET",
        ),
        (
            "prereq yxrrset prosody.example A 127.0.0.9\nupdate add x.prosody.example 60 A 127.0.0.3",
            true,
            "NXRRSET",
        ),
        (
            "update add x.prosody.example 60 A 127.0.0.3\nupdate add x.prosody.example 60 CNAME y.prosody.example.",
            true,
            "REFUSED",
        ),
        (
            "update add x.prosody.example 60 A 127.0.0.3",
            false,
            "REFUSED",
        ),
    ] {
        let said = script(lines, key);
        assert!(said.contains(expected), "{lines}: {said}");
        assert!(
            dig(dns.address(), &["x.prosody.example", "A"]).contains("NXDOMAIN"),
            "all or nothing: {lines}"
        );
    }
    assert_eq!(
        script(
            "prereq yxrrset prosody.example A 127.0.0.2\nupdate add x.prosody.example 60 A 127.0.0.3",
            true
        ),
        ""
    );
    assert_eq!(
        dig(dns.address(), &["+short", "x.prosody.example", "A"]).trim(),
        "127.0.0.3"
    );
    // The apex keeps what makes it a zone.
    assert_eq!(script("update delete prosody.example", true), "");
    assert!(dig(dns.address(), &["prosody.example", "SOA"]).contains("status: NOERROR"));
}

/// The server's own resolver, told to look into the sandbox.
fn resolver(dns: &Dns, mode: DnsMode) -> Arc<Resolver> {
    let mut config = Config::default().dns;
    config.mode = mode;
    config.resolvers = vec![dns.address()];
    config.trust_anchor = dns.trust_anchor();
    config.authoritative_port = dns.address().port();
    Resolver::new(&config).expect("resolver")
}

#[tokio::test(flavor = "multi_thread")]
async fn our_resolver_says_how_sure_it_is() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    let srv = "_xmpp-client._tcp.one.example";
    for mode in [DnsMode::Validate, DnsMode::TrustAd] {
        let resolver = resolver(&dns, mode);
        let ask = |name: &'static str, rtype| {
            let resolver = resolver.clone();
            async move { resolver.query(name, rtype).await }
        };
        for _ in 0..2 {
            // The second time from its cache, with the same answer.
            let answer = ask(srv, RecordType::Srv).await;
            assert_eq!(answer.security, Security::Secure, "{mode:?} {answer:?}");
            assert!(
                matches!(&answer.records()[0].data, RecordData::Srv { port: 5222, target, .. } if target == "d1.on.hosting.example"),
                "{answer:?}"
            );
            let answer = ask("_acme-challenge.one.example", RecordType::Txt).await;
            assert_eq!(answer.aliases, ["d1._acme.on.hosting.example"], "{mode:?}");
            assert_eq!(answer.records()[0].data, RecordData::Txt("proof".into()));
            assert_eq!(answer.security, Security::Secure, "{mode:?} {answer:?}");
        }
        for (name, rtype, nxdomain) in [
            ("nobody.one.example", RecordType::A, true),
            ("one.example", RecordType::A, false),
            ("_tcp.one.example", RecordType::A, false),
        ] {
            let answer = ask(name, rtype).await;
            assert_eq!(
                (&answer.outcome, answer.security),
                (&Outcome::NoRecords { nxdomain }, Security::Secure),
                "{mode:?} {name} {answer:?}"
            );
        }
        let answer = ask("www.unsigned.example", RecordType::A).await;
        assert_eq!(answer.security, Security::Insecure, "{mode:?} {answer:?}");
        assert_eq!(answer.addresses().count(), 1);
        let answer = ask("www.bogus.example", RecordType::A).await;
        assert_eq!(answer.security, Security::Bogus, "{mode:?} {answer:?}");
        assert!(answer.records().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insecure_alias_spoils_a_secure_target() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    update(
        &dns,
        "unsigned.example",
        "update add alias.unsigned.example 60 CNAME d1.on.hosting.example.",
    );
    for mode in [DnsMode::Validate, DnsMode::TrustAd] {
        let answer = resolver(&dns, mode)
            .query("alias.unsigned.example", RecordType::A)
            .await;
        assert_eq!(answer.addresses().count(), 1, "{mode:?} {answer:?}");
        assert_eq!(answer.security, Security::Insecure, "{mode:?} {answer:?}");
    }
}

/// What every domain looks like between two orders: the challenge's alias is there, its target is not.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_into_nothing_is_a_secure_denial() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    update(
        &dns,
        "one.example",
        "update add _acme-challenge.rooms.one.example 60 CNAME gone._acme.on.hosting.example.",
    );
    for mode in [DnsMode::Validate, DnsMode::TrustAd] {
        let answer = resolver(&dns, mode)
            .query("_acme-challenge.rooms.one.example", RecordType::Txt)
            .await;
        assert_eq!(
            (&answer.outcome, answer.security),
            (&Outcome::NoRecords { nxdomain: true }, Security::Secure),
            "{mode:?} {answer:?}"
        );
        assert_eq!(
            answer.aliases,
            ["gone._acme.on.hosting.example"],
            "{mode:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zones_own_servers_are_asked_without_a_cache() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = world(dir.path()).await;
    let resolver = resolver(&dns, DnsMode::Validate);
    let ask = async || {
        resolver
            .query_authoritative("_domicile.one.example", RecordType::Txt)
            .await
    };
    let before = ask().await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(
        before[0].server.contains("ns.hosting.example"),
        "{before:?}"
    );
    assert!(matches!(
        before[0].answer.outcome,
        Outcome::NoRecords { nxdomain: true }
    ));
    update(
        &dns,
        "one.example",
        "update add _domicile.one.example 60 TXT \"domicile-verify=x\"",
    );
    let after = ask().await;
    assert_eq!(
        after[0].answer.records()[0].data,
        RecordData::Txt("domicile-verify=x".into())
    );
    // Below a name that nobody has delegated, the servers above answer for it.
    let answers = resolver
        .query_authoritative("_domicile.nobody.example", RecordType::Txt)
        .await;
    assert!(
        matches!(
            answers[0].answer.outcome,
            Outcome::NoRecords { nxdomain: true }
        ),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_does_not_answer_is_unknown() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = Dns::start(dir.path(), loopback().into(), 0)
        .await
        .expect("sandbox DNS");
    let nobody: IpAddr = loopback().into();
    for mode in [DnsMode::Validate, DnsMode::TrustAd] {
        let mut config = Config::default().dns;
        config.mode = mode;
        config.resolvers = vec![SocketAddr::new(nobody, free_port(nobody))];
        config.trust_anchor = dns.trust_anchor();
        config.timeout_seconds = 1;
        let resolver = Resolver::new(&config).expect("resolver");
        let answer = resolver.query("one.example", RecordType::A).await;
        assert!(
            matches!(answer.outcome, Outcome::Failed(_)),
            "{mode:?} {answer:?}"
        );
        assert_eq!(answer.security, Security::Unknown);
        assert!(
            resolver
                .query_authoritative("one.example", RecordType::A)
                .await
                .is_empty()
        );
    }
}

/// What a crash or a restored database leaves in the zone is found, shown, and taken away; what only looks like it stays.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_nobody_owns_are_found_by_a_signed_transfer() {
    let bind = Bind::start(&[]);
    let zone = publisher(bind.address, "hosting.example", &bind.key);
    let set = |name: &str, value: ZoneValue| ZoneChange::Set {
        name: name.into(),
        ttl_seconds: 60,
        values: vec![value],
    };
    let names = [
        "abcdefg2.on.hosting.example",
        "abcdefg2._acme.on.hosting.example",
        "panel.hosting.example",
    ];
    let address = ZoneValue::A([192, 0, 2, 1].into());
    // Enough for several messages of the transfer.
    let many = (0..3_000).map(|n| set(&format!("n{n}.hosting.example"), address.clone()));
    let many: Vec<_> = many.collect();
    for some in many.chunks(500) {
        zone.apply(some).await.expect("published");
    }
    zone.apply(&[
        set(names[0], address.clone()),
        set(names[1], ZoneValue::Txt("left over".into())),
        set(names[2], address),
    ])
    .await
    .expect("published");
    let found = zone.names().await.expect("transferred");
    let of = |name: &str| {
        let there = found.iter().find(|found| found.name == name);
        there.map(|found| found.records.clone()).unwrap_or_default()
    };
    assert_eq!(of(names[0]), [("A".to_owned(), "192.0.2.1".to_owned())]);
    assert!(
        of(names[1])[0].1.contains("left over"),
        "{:?}",
        of(names[1])
    );
    assert!(found.len() > 3_000, "{}", found.len());

    let mut other = read_key(&bind.key).expect("key file");
    other.name = "unknown".into();
    let refused = Publisher::new(bind.address, "hosting.example", &other).expect("publisher");
    let error = refused.names().await.expect_err("unknown key");
    assert!(error.to_string().contains("BADKEY"), "{error}");
    let error = publisher(bind.address, "nowhere.test", &bind.key)
        .names()
        .await
        .expect_err("not its zone");
    assert!(error.to_string().contains("allow-transfer"), "{error}");
}
