//! Debian's Prosody and ejabberd in each of their modes, in the laboratory's DNS and with its certificates, as callers and as
//! called; what they do is measured at our side and theirs, by a message each way.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;

use crate::authority::{Identity, Shape};
use crate::harness::DEADLINE;
use crate::harness::demo::loopback;
use crate::harness::tools::{Service, program};
use crate::harness::xmpp::{Client, Connection};
use crate::house::unique;
use crate::kept::directory;
use crate::meeting::Met;
use crate::table::{Row, check};
use crate::wire::condition;
use crate::world::{BARE, BOTH, DANE, OPEN, POSH, STRICT, World, world};

const SECRET: &str = "peer-secret-1";

/// How a real peer is set up.
#[derive(Debug, Clone, Copy)]
struct Mode {
    /// As the table calls it.
    words: &'static str,
    shape: Shape,
    /// Certificates only; without it, dialback over TLS.
    strict: bool,
    bidi: bool,
    /// Served by direct TLS alone.
    direct: bool,
    /// It looks at TLSA records, and has some.
    dane: bool,
}

const PLAIN: Mode = Mode {
    words: "",
    shape: Shape::ServerAuth,
    strict: true,
    bidi: false,
    direct: false,
    dane: false,
};

/// A running peer.
struct Real {
    domain: String,
    addr: Ipv4Addr,
    roots: Arc<RootCertStore>,
    service: Service,
}

impl Real {
    fn romeo(&self) -> Client {
        let mut connection = Connection::open(SocketAddr::from((self.addr, 5222)), &self.domain);
        connection.negotiate_tls(self.roots.clone());
        let mut client = Client::authenticate(connection, "romeo", SECRET, &unique("r"));
        client.send("<presence/>");
        let full = client.jid.clone();
        client.until(&format!("from='{full}'"));
        client
    }
}

struct Material {
    dir: PathBuf,
    domain: String,
    addr: Ipv4Addr,
    identity: Identity,
    roots: Arc<RootCertStore>,
}

fn prepare(world: &World, name: &str, mode: Mode) -> Material {
    let domain = format!("{}.signed.example", unique(name));
    let addr = loopback();
    let identity = world.ca.shaped(&domain, mode.shape);
    let dir = directory().join(&domain);
    std::fs::create_dir_all(dir.join("data")).expect("directory");
    identity.write(&dir, &domain);
    std::fs::write(dir.join("ca.pem"), &world.ca.root_pem).expect("CA");
    let host = format!("xmpp.{domain}");
    let (service, port) = if mode.direct {
        ("_xmpps-server", 5270)
    } else {
        ("_xmpp-server", 5269)
    };
    let mut records = vec![
        format!("{host} A {addr}"),
        format!("{service}._tcp.{domain} SRV 0 5 {port} {host}."),
    ];
    if mode.dane {
        records.push(format!("_{port}._tcp.{host} TLSA {}", identity.tlsa_311()));
    }
    world.zones.add(&records);
    let roots = match mode.shape {
        Shape::SelfSigned => identity.roots(),
        _ => world.roots.clone(),
    };
    Material {
        dir,
        domain,
        addr,
        identity,
        roots,
    }
}

fn prosody(world: &World, mode: Mode) -> Real {
    let m = prepare(world, "prosody", mode);
    let config = format!(
        r#"
run_as_root = true
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
certificates = "{dir}"
interfaces = {{ "{addr}" }}
local_interfaces = {{ "{addr}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix"{bidi} }}
authentication = "internal_hashed"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {strict}
use_dane = {dane}
unbound = {{ resolvconf = false; forward = "{ip}@{port}"; hoststxt = false; trustfile = "{anchor}" }}
ssl = {{ cafile = "{dir}/ca.pem"; capath = "{dir}/none" }}
log = {{ debug = "*console" }}
VirtualHost "{domain}"
"#,
        dir = m.dir.display(),
        addr = m.addr,
        domain = m.domain,
        bidi = if mode.bidi { ", \"s2s_bidi\"" } else { "" },
        strict = mode.strict,
        dane = mode.dane,
        ip = world.zones.address.ip(),
        port = world.zones.address.port(),
        anchor = world.zones.trust_anchor.display(),
    );
    let file = m.dir.join("prosody.cfg.lua");
    std::fs::write(&file, config).expect("configuration");
    let out = Command::new(program("prosodyctl"))
        .arg("--config")
        .arg(&file)
        .args(["register", "romeo", &m.domain, SECRET])
        .output()
        .expect("prosodyctl");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut command = Command::new(program("prosody"));
    command.arg("--config").arg(&file).arg("-F");
    let mut service = Service::start("prosody", &mut command, m.dir.join("prosody.log"));
    for port in [5222, 5269, 5270] {
        service.listening((m.addr, port).into());
    }
    Real {
        domain: m.domain,
        addr: m.addr,
        roots: m.roots,
        service,
    }
}

/// Debian's ejabberd, as one Erlang process without distribution.
fn ejabberd(world: &World, mode: Mode) -> Real {
    let m = prepare(world, "ejabberd", mode);
    let dir = &m.dir;
    let pem = dir.join("both.pem");
    std::fs::write(&pem, m.identity.chain_pem.clone() + &m.identity.key_pem).expect("PEM");
    let dialback = if mode.strict {
        ""
    } else {
        "  mod_s2s_dialback: {}\n"
    };
    let config = format!(
        r#"hosts: ["{domain}"]
loglevel: debug
certfiles: ["{pem}"]
ca_file: "{dir}/ca.pem"
s2s_cafile: "{dir}/ca.pem"
s2s_use_starttls: required
s2s_max_retry_delay: 1
auth_method: internal
auth_password_format: scram
acme: {{auto: false}}
listen:
  - {{port: 5222, ip: "{addr}", module: ejabberd_c2s, starttls_required: true}}
  - {{port: 5269, ip: "{addr}", module: ejabberd_s2s_in}}
modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
{dialback}"#,
        domain = m.domain,
        pem = pem.display(),
        dir = dir.display(),
        addr = m.addr,
    );
    let file = dir.join("ejabberd.yml");
    std::fs::write(&file, config).expect("configuration");
    let IpAddr::V4(ip) = world.zones.address.ip() else {
        panic!("the laboratory's DNS is on IPv4 loopback")
    };
    let [a, b, c, d] = ip.octets();
    let inetrc = dir.join("inetrc");
    let lines = format!(
        // Without the first, /etc/resolv.conf would replace the name server.
        "{{resolv_conf,\"\"}}.\n{{lookup,[file,dns]}}.\n{{nameserver,{{{a},{b},{c},{d}}},{}}}.\n{{cache_size,0}}.\n",
        world.zones.address.port()
    );
    std::fs::write(&inetrc, lines).expect("inetrc");
    let register = format!(
        "ok=ejabberd_auth:try_register(<<\"romeo\">>,<<\"{}\">>,<<\"{SECRET}\">>),io:format(\"accounts ready~n\").",
        m.domain
    );
    // It asks the DNS for SRV records only; addresses it leaves to libc, whose resolver takes no port. So it sees a hosts
    // file of its own, in a mount namespace of its own.
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for hosted in [OPEN, STRICT, BOTH, DANE, POSH, BARE] {
        let _ = writeln!(hosts, "{} {}", world.house.ip, world.target(hosted));
    }
    std::fs::write(dir.join("hosts"), hosts).expect("hosts");
    let mut command = Command::new(program("unshare"));
    command
        .args(["--mount", "--", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(dir.join("hosts"))
        .arg(program("erl"))
        .args(["-noinput", "-start_epmd", "false", "-mnesia", "dir"])
        .arg(format!("\"{}/mnesia\"", dir.display()))
        .args(["-s", "ejabberd", "-eval", &register])
        .env("ERL_INETRC", &inetrc)
        .env("EJABBERD_CONFIG_PATH", &file)
        .env("ERL_LIBS", "/usr/lib/x86_64-linux-gnu")
        .env("ERL_CRASH_DUMP", dir.join("crash.dump"))
        .current_dir(dir);
    let mut service = Service::start("ejabberd", &mut command, dir.join("ejabberd.log"));
    for port in [5222, 5269] {
        service.listening((m.addr, port).into());
    }
    service.says("accounts ready");
    Real {
        domain: m.domain,
        addr: m.addr,
        roots: m.roots,
        service,
    }
}

/// One message from `sender` to `receiver`: `None` when it arrives, or the error that came back.
fn message(sender: &mut Client, receiver: &mut Client, what: &str) -> Option<String> {
    let id = unique(what);
    sender.message(&receiver.jid.clone(), &id, what);
    let end = Instant::now() + DEADLINE;
    loop {
        if receiver.settle().iter().any(|item| item.contains(&id)) {
            return None;
        }
        if let Some(error) = sender.settle().into_iter().find(|item| item.contains(&id)) {
            return Some(condition(&error));
        }
        assert!(
            Instant::now() < end,
            "{what}: neither delivered nor bounced"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Both directions between Romeo and Alice of one hosted domain.
fn both_ways(
    world: &World,
    kind: &str,
    peer: &Real,
    mode: Mode,
    hosted: &str,
    ours: &str,
) -> Vec<Row> {
    let mut romeo = peer.romeo();
    let mut alice = world.alice(hosted);
    let policy = if hosted == STRICT {
        "authenticated"
    } else {
        "encrypted"
    };
    let presents = format!("{}; we: {ours}", mode.shape.words());
    let name = format!("{kind}, {}", mode.words);
    let mut rows = Vec::new();
    for direction in ["in", "out"] {
        let bounced = match direction {
            "in" => message(&mut romeo, &mut alice, "in"),
            _ => message(&mut alice, &mut romeo, "out"),
        };
        let met = match bounced {
            None => Met::new("", "", "delivered"),
            Some(condition) => Met::new("none", "none", &format!("bounced: {condition}")),
        };
        // What a peer refuses by itself before it has called us leaves nothing at our side.
        let met = if direction == "in" && met.outcome != "delivered" {
            met
        } else {
            met.explained(world, hosted, &peer.domain, direction)
        };
        rows.push(met.row(&name, &presents, policy, direction));
    }
    alice.close();
    rows
}

fn outcomes(rows: &[Row]) -> Vec<(&'static str, &str, &str)> {
    rows.iter()
        .map(|row| (row.direction, row.proof.as_str(), row.outcome.as_str()))
        .collect()
}

#[test]
fn prosody_in_each_mode() {
    let world = world();
    let strict = Mode {
        words: "strict",
        ..PLAIN
    };
    let dialback = Mode {
        words: "dialback",
        shape: Shape::SelfSigned,
        strict: false,
        ..PLAIN
    };
    let bidi = Mode {
        words: "strict with bidi",
        bidi: true,
        ..PLAIN
    };
    let direct = Mode {
        words: "strict, direct TLS",
        direct: true,
        ..PLAIN
    };
    let dane = Mode {
        words: "dialback and DANE",
        dane: true,
        ..dialback
    };
    let mut rows = Vec::new();
    for (mode, hosted, ours, proof) in [
        (
            strict,
            &[OPEN, STRICT, BOTH][..],
            &[
                "serverAuth only",
                "serverAuth only",
                "serverAuth and clientAuth",
            ][..],
            "pkix",
        ),
        (
            dialback,
            &[OPEN, BARE],
            &["serverAuth only", "unknown authority"],
            "dialback",
        ),
        (bidi, &[OPEN], &["serverAuth only"], "pkix"),
        (direct, &[OPEN], &["serverAuth only"], "pkix"),
        (
            dane,
            &[OPEN, DANE],
            &["serverAuth only", "unknown authority and TLSA"],
            "dane",
        ),
    ] {
        let peer = prosody(world, mode);
        for (hosted, ours) in hosted.iter().zip(ours) {
            let seen = both_ways(world, "Prosody", &peer, mode, hosted, ours);
            let expected = [("in", proof, "delivered"), ("out", proof, "delivered")];
            assert_eq!(
                outcomes(&seen),
                expected,
                "{mode:?} with {hosted}: {seen:#?}"
            );
            rows.extend(seen);
        }
    }
    check("prosody", &rows);
}

#[test]
fn ejabberd_in_each_mode() {
    let world = world();
    let strict = Mode {
        words: "strict",
        ..PLAIN
    };
    let dialback = Mode {
        words: "dialback",
        strict: false,
        ..PLAIN
    };
    let self_signed = Mode {
        shape: Shape::SelfSigned,
        ..dialback
    };
    let mut rows = Vec::new();
    for (mode, hosted, ours) in [
        (
            strict,
            &[OPEN, BOTH][..],
            &["serverAuth only", "serverAuth and clientAuth"][..],
        ),
        (
            dialback,
            &[OPEN, BOTH, BARE],
            &[
                "serverAuth only",
                "serverAuth and clientAuth",
                "unknown authority",
            ],
        ),
        (self_signed, &[OPEN], &["serverAuth only"]),
    ] {
        let peer = ejabberd(world, mode);
        for (hosted, ours) in hosted.iter().zip(ours) {
            let seen = both_ways(world, "ejabberd", &peer, mode, hosted, ours);
            let inward = if mode.shape == Shape::SelfSigned {
                "dialback"
            } else {
                "pkix"
            };
            assert_eq!(
                outcomes(&seen)[0],
                ("in", inward, "delivered"),
                "{mode:?} with {hosted}: {seen:#?}"
            );
            // It takes no certificate without clientAuth from who calls (C-08), and a strict one takes nothing else.
            if mode.strict && *hosted == OPEN {
                assert!(seen[1].outcome.starts_with("bounced"), "{seen:#?}");
            } else {
                assert_eq!(
                    seen[1].outcome, "delivered",
                    "{mode:?} with {hosted}: {seen:#?}"
                );
            }
            rows.extend(seen);
        }
    }
    check("ejabberd", &rows);
}
