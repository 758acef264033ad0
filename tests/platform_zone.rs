//! A domain's whole life beside the platform's zone, at a real BIND, a real Knot DNS and a real PowerDNS: its host's addresses, the
//! challenge of its certificate (a real Pebble reads it through the owner's alias), its TLSA sets; what somebody else has changed
//! there is put right; and what it leaves, nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::authority::Pebble;
use crate::authority::served::{More, Served};
use crate::harness::bind::{Bind, added};
use crate::harness::demo::loopback;
use crate::harness::knot::Knot;
use crate::harness::powerdns::PowerDns;
use crate::harness::tools::{free_port, program};

/// Ports of a host that have a TLSA set.
const PORTS: [u16; 4] = [5222, 5223, 5269, 5270];

/// The server of the platform's zone.
struct Platform<'a> {
    server: SocketAddr,
    /// The key that Domicile changes it with.
    key: &'a Path,
    /// One for `nsupdate`, which reads keys in BIND's form only.
    tool_key: &'a Path,
}

impl Platform<'_> {
    fn dig(&self, name: &str, rtype: &str) -> String {
        let out = Command::new(program("dig"))
            .arg(format!("@{}", self.server.ip()))
            .args(["-p", &self.server.port().to_string(), "+short", name, rtype])
            .output()
            .expect("dig");
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Somebody else changes the zone.
    fn change(&self, lines: &str) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let script = dir.path().join("update");
        let (ip, port) = (self.server.ip(), self.server.port());
        let text = format!("server {ip} {port}\nzone hosting.example\n{lines}send\n");
        std::fs::write(&script, &text).expect("script");
        let out = Command::new(program("nsupdate"))
            .arg("-k")
            .arg(self.tool_key)
            .arg(&script)
            .output()
            .expect("nsupdate");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{text}{said}");
    }
}

fn life(bind: &Bind, platform: &Platform<'_>) {
    let pebble = Pebble::current(
        bind.authority,
        r#","caaIdentities":["pebble.example"]"#,
        Vec::new(),
    );
    let zone = Some((platform.server, platform.key));
    let more = More {
        zone,
        ..More::default()
    };
    let served = Served::start(bind, &pebble, more);
    let done = |args: &[&str]| {
        let (code, out, err) = served.domicile(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    done(&["tenant", "add", "acme"]);
    done(&["domain", "add", "one.example", "--tenant", "acme"]);
    let set = [
        "domain",
        "set",
        "one.example",
        "--services",
        "",
        "--dane",
        "true",
    ];
    done(&set);
    let fragment = done(&["domain", "records", "one.example", "--zone-file"]);
    bind.update("one.example", &added(&fragment));
    served.shown_when("one.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    let shown = served.json(&["domain", "show", "one.example"]);
    let target = shown["target"].as_str().expect("target").to_owned();
    let address = served.ip.to_string();
    assert_eq!(platform.dig(&target, "A"), address);
    let challenge = target.replacen('.', "._acme.", 1);
    assert_eq!(platform.dig(&challenge, "TXT"), "", "no challenge is left");
    let set = |port: u16| platform.dig(&format!("_{port}._tcp.{target}"), "TLSA");
    let ours = set(5269);
    assert!(ours.starts_with("3 1 1 ") && !ours.contains('\n'), "{ours}");
    for port in PORTS {
        assert_eq!(set(port), ours, "{port}");
    }

    // Another address, a set with a stranger in it, and one that is gone.
    let stranger = "00".repeat(32);
    platform.change(&format!(
        "update delete {target} A\nupdate add {target} 1 A 192.0.2.9\n\
         update add _5222._tcp.{target} 1 TLSA 2 0 1 {stranger}\nupdate delete _5223._tcp.{target} TLSA\n"
    ));
    served.domicile(&["domain", "check", "one.example"]);
    assert_eq!(platform.dig(&target, "A"), address);
    for port in PORTS {
        assert_eq!(set(port), ours, "{port}");
    }

    // What a crash may leave there is found by a transfer, and taken away; the domain's own names are not.
    platform.change(&format!(
        "update add abcdefg2.on.hosting.example 60 A {address}\n"
    ));
    let (code, found, err) = served.domicile(&["zone", "check"]);
    assert_eq!(code, 1, "{found}{err}");
    assert!(
        found.contains("abcdefg2.on.hosting.example") && !found.contains(&target),
        "{found}"
    );
    done(&["zone", "check", "--repair"]);
    assert_eq!(platform.dig("abcdefg2.on.hosting.example", "A"), "");
    assert_eq!(platform.dig(&target, "A"), address);

    done(&["domain", "remove", "one.example", "--yes"]);
    for (name, rtype) in [(target.clone(), "A"), (challenge, "TXT")] {
        assert_eq!(platform.dig(&name, rtype), "", "{name}");
    }
    for port in PORTS {
        assert_eq!(set(port), "", "{port}");
    }
}

#[test]
fn a_domain_s_life_with_the_platform_s_zone_at_bind() {
    let bind = Bind::start(&[("one.example", "")]);
    let platform = Platform {
        server: bind.address,
        key: &bind.key,
        tool_key: &bind.key,
    };
    life(&bind, &platform);
}

#[test]
fn a_domain_s_life_with_the_platform_s_zone_at_knot() {
    let ip: IpAddr = loopback().into();
    let knot = Knot::start(SocketAddr::new(ip, free_port(ip)), &[]);
    let bind = Bind::beside(knot.address, &[("one.example", "")]);
    let platform = Platform {
        server: knot.address,
        key: &knot.key,
        tool_key: &knot.tool_key,
    };
    life(&bind, &platform);
}

#[test]
fn a_domain_s_life_with_the_platform_s_zone_at_powerdns() {
    let ip: IpAddr = loopback().into();
    let server = PowerDns::start(SocketAddr::new(ip, free_port(ip)));
    let bind = Bind::beside(server.address, &[("one.example", "")]);
    let platform = Platform {
        server: server.address,
        key: &server.key,
        tool_key: &server.key,
    };
    life(&bind, &platform);
}
