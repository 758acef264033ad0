//! Real Prosody and ejabberd, each serving one domain of its own in the demo's sandbox world: its records are in the
//! sandbox DNS, its certificate is from the sandbox CA, and it trusts and asks nothing else.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::demo::{Demo, loopback};
use super::tools::{Service, domicile, nsupdate, program};
use super::xmpp::{Client, Connection};

/// What a peer insists on and shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its certificate is from the sandbox CA, and only such certificates are accepted (no dialback).
    Strict,
    /// Its certificate is self-signed, and it verifies others by dialback over TLS.
    Dialback,
}

/// A running peer server.
pub struct Peer {
    pub domain: String,
    pub addr: Ipv4Addr,
    pub service: Service,
    roots: PathBuf,
    _dir: tempfile::TempDir,
}

/// Accounts that every peer has: (localpart, password).
pub const USERS: [(&str, &str); 2] = [("romeo", "peer-secret-1"), ("mercutio", "peer-secret-2")];

impl Peer {
    /// Logs a user of the peer in, over STARTTLS with the peer's own certificate, and sends presence.
    pub fn online(&self, user: &str, resource: &str) -> Client {
        let password = USERS
            .iter()
            .find(|(u, _)| *u == user)
            .expect("a user of the peer")
            .1;
        let mut connection = Connection::open(SocketAddr::from((self.addr, 5222)), &self.domain);
        connection.negotiate_tls(super::demo::roots(&self.roots));
        let mut client = Client::authenticate(connection, user, password, resource);
        client.send("<presence/>");
        let full = client.jid.clone();
        client.until(&format!("from='{full}'"));
        client
    }
}

struct Material {
    dir: tempfile::TempDir,
    chain: PathBuf,
    key: PathBuf,
    roots: PathBuf,
}

/// Records and certificate for `domain`, served at `addr`.
fn prepare(demo: &Demo, domain: &str, addr: Ipv4Addr, trust: Trust) -> Material {
    let host = format!("xmpp.{domain}");
    let records = [
        format!("update add {host}. 60 A {addr}"),
        format!("update add _xmpp-server._tcp.{domain}. 60 SRV 0 5 5269 {host}."),
        format!("update add _xmpp-client._tcp.{domain}. 60 SRV 0 5 5222 {host}."),
    ];
    nsupdate(demo, domain, &records);

    let dir = tempfile::tempdir().expect("temporary directory");
    let (chain, key) = (
        dir.path().join(format!("{domain}.crt")),
        dir.path().join(format!("{domain}.key")),
    );
    let roots = match trust {
        Trust::Strict => {
            let (data, out) = (
                demo.data_dir.to_string_lossy(),
                dir.path().to_string_lossy(),
            );
            let (code, _, err) =
                domicile(&["sandbox-cert", domain, "--data-dir", &data, "--out", &out]);
            assert_eq!(code, 0, "sandbox-cert: {err}");
            demo.info.ca.clone()
        }
        Trust::Dialback => {
            self_signed(domain, &chain, &key);
            chain.clone()
        }
    };
    Material {
        dir,
        chain,
        key,
        roots,
    }
}

fn self_signed(domain: &str, chain: &Path, key: &Path) {
    let out = Command::new(program("openssl"))
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args([
            "-subj",
            &format!("/CN={domain}"),
            "-addext",
            &format!("subjectAltName=DNS:{domain}"),
        ])
        // A self-signed end-entity certificate, so that TLS libraries accept it as an anchor of itself.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(chain)
        .output()
        .expect("openssl");
    assert!(
        out.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Starts Debian's Prosody for `domain`.
pub fn prosody(demo: &Demo, domain: &str, trust: Trust) -> Peer {
    let addr = loopback();
    let m = prepare(demo, domain, addr, trust);
    let dir = m.dir.path().to_path_buf();
    let dns = demo.info.dns;
    let secure = trust == Trust::Strict;
    // The strict one is also the modern one: streams in both directions, stanzas acknowledged.
    let modern = if secure {
        r#", "s2s_bidi", "smacks""#
    } else {
        ""
    };
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
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix"{modern} }}
authentication = "internal_hashed"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {secure}
unbound = {{ resolvconf = false; forward = "{ip}@{port}"; hoststxt = false; trustfile = "{anchor}" }}
ssl = {{ cafile = "{ca}"; capath = "{dir}/none" }}
log = {{ debug = "*console" }}
VirtualHost "{domain}"
"#,
        dir = dir.display(),
        ip = dns.ip(),
        port = dns.port(),
        anchor = demo.info.trust_anchor.display(),
        ca = demo.info.ca.display(),
    );
    let file = dir.join("prosody.cfg.lua");
    std::fs::create_dir_all(dir.join("data")).expect("data directory");
    std::fs::write(&file, config).expect("configuration");
    for (user, password) in USERS {
        let out = Command::new(program("prosodyctl"))
            .arg("--config")
            .arg(&file)
            .args(["register", user, domain, password])
            .output()
            .expect("prosodyctl");
        assert!(
            out.status.success(),
            "prosodyctl: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let mut command = Command::new(program("prosody"));
    command.arg("--config").arg(&file).arg("-F");
    let mut service = Service::start("prosody", &mut command, dir.join("prosody.log"));
    for port in [5222, 5269, 5270] {
        service.listening((addr, port).into());
    }
    Peer {
        domain: domain.into(),
        addr,
        service,
        roots: m.roots,
        _dir: m.dir,
    }
}

/// The SRV targets of the demo's domains as lines of a hosts file.
fn hosts_of(demo: &Demo) -> String {
    let dns = demo.info.dns;
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for domain in &demo.info.domains {
        let out = Command::new(program("dig"))
            .arg(format!("@{}", dns.ip()))
            .args(["-p", &dns.port().to_string(), "+short", "SRV"])
            .arg(format!("_xmpp-server._tcp.{domain}"))
            .output()
            .expect("dig");
        let answer = String::from_utf8_lossy(&out.stdout);
        let target = answer.split_whitespace().nth(3).expect("an SRV record");
        let _ = writeln!(hosts, "{} {}", demo.listen, target.trim_end_matches('.'));
    }
    hosts
}

/// Starts Debian's ejabberd for `domain`, as one Erlang process without distribution.
pub fn ejabberd(demo: &Demo, domain: &str, trust: Trust) -> Peer {
    let addr = loopback();
    let m = prepare(demo, domain, addr, trust);
    let dir = m.dir.path().to_path_buf();
    let read = |p: &Path| std::fs::read_to_string(p).expect("PEM");
    let pem = dir.join("both.pem");
    std::fs::write(&pem, read(&m.chain) + &read(&m.key)).expect("PEM");
    // `required_trusted` no longer exists: without mod_s2s_dialback only EXTERNAL is left.
    let dialback = if trust == Trust::Dialback {
        "  mod_s2s_dialback: {}\n"
    } else {
        ""
    };
    let config = format!(
        r#"hosts: ["{domain}"]
loglevel: debug
certfiles: ["{pem}"]
ca_file: "{ca}"
s2s_cafile: "{ca}"
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
        pem = pem.display(),
        ca = demo.info.ca.display(),
    );
    let file = dir.join("ejabberd.yml");
    std::fs::write(&file, config).expect("configuration");
    let dns = demo.info.dns;
    let std::net::IpAddr::V4(ip) = dns.ip() else {
        panic!("the sandbox DNS is on IPv4 loopback")
    };
    let [a, b, c, d] = ip.octets();
    let inetrc = dir.join("inetrc");
    let lines = format!(
        // Without the first, /etc/resolv.conf would replace the name server.
        "{{resolv_conf,\"\"}}.\n{{lookup,[file,dns]}}.\n{{nameserver,{{{a},{b},{c},{d}}},{}}}.\n{{cache_size,0}}.\n",
        dns.port()
    );
    std::fs::write(&inetrc, lines).expect("inetrc");
    let mut register = String::new();
    for (user, password) in USERS {
        let _ = write!(
            register,
            "ok=ejabberd_auth:try_register(<<\"{user}\">>,<<\"{domain}\">>,<<\"{password}\">>),"
        );
    }
    register.push_str("io:format(\"accounts ready~n\").");
    // ejabberd asks the DNS for SRV records only; addresses it leaves to libc, whose resolver takes no port. So it sees a
    // hosts file of its own, in a mount namespace of its own.
    let hosts = dir.join("hosts");
    std::fs::write(&hosts, hosts_of(demo)).expect("hosts");
    let mut command = Command::new(program("unshare"));
    command
        .args(["--mount", "--", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(&hosts)
        .arg(program("erl"))
        .args(["-noinput", "-start_epmd", "false", "-mnesia", "dir"])
        .arg(format!("\"{}/mnesia\"", dir.display()))
        .args(["-s", "ejabberd", "-eval", &register])
        .env("ERL_INETRC", &inetrc)
        .env("EJABBERD_CONFIG_PATH", &file)
        .env("ERL_LIBS", "/usr/lib/x86_64-linux-gnu")
        .env("ERL_CRASH_DUMP", dir.join("crash.dump"))
        .current_dir(&dir);
    let mut service = Service::start("ejabberd", &mut command, dir.join("ejabberd.log"));
    for port in [5222, 5269] {
        service.listening((addr, port).into());
    }
    service.says("accounts ready");
    Peer {
        domain: domain.into(),
        addr,
        service,
        roots: m.roots,
        _dir: m.dir,
    }
}
