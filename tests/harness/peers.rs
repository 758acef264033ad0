//! Real Prosody and ejabberd, each serving one domain of its own in a little world: the demo's sandbox, or one that a test
//! made. Its records are in that world's DNS, and it trusts and asks nothing else.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::RootCertStore;

use super::demo::{Demo, loopback, roots};
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

/// What a peer is given: a name, an address, files, and a world around it.
pub struct Place {
    pub domain: String,
    pub addr: Ipv4Addr,
    /// Holds `DOMAIN.crt` (the chain) and `DOMAIN.key`; everything else of the peer goes there too.
    pub dir: PathBuf,
    /// Authorities that it believes, PEM.
    pub ca: PathBuf,
    pub dns: SocketAddr,
    /// DNSKEY of that DNS's root.
    pub trust_anchor: PathBuf,
    /// What its own users trust.
    pub roots: Arc<RootCertStore>,
}

/// How a peer behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// Certificates only; otherwise dialback over TLS too.
    pub strict: bool,
    /// It looks at the TLSA records of whom it calls. Prosody only.
    pub dane: bool,
    /// Streams in both directions. Prosody only.
    pub bidi: bool,
    /// Stanzas are acknowledged. Prosody only.
    pub smacks: bool,
    /// Its accounts publish and hear of events (XEP-0163). Prosody only.
    pub pep: bool,
    /// `lists.DOMAIN` is a pubsub service, whose nodes its first user makes. Prosody only.
    pub lists: bool,
    /// `rooms.DOMAIN` has rooms that anybody opens, `push.DOMAIN` waits for a program ([`PUSH_SECRET`]), and accounts have what
    /// clients of today ask for: events, copies, archives, block lists.
    pub services: bool,
}

/// By which the program at `push.DOMAIN` is known, on port 5347.
pub const PUSH_SECRET: &str = "peer-push-secret";

/// A running peer server.
pub struct Peer {
    pub domain: String,
    pub addr: Ipv4Addr,
    pub service: Service,
    roots: Arc<RootCertStore>,
    /// Removed with it.
    dir: Option<tempfile::TempDir>,
}

/// Accounts that every peer has: (localpart, password).
pub const USERS: [(&str, &str); 2] = [("romeo", "peer-secret-1"), ("mercutio", "peer-secret-2")];

impl Peer {
    /// Where it keeps what it has; of a peer in a demo's world.
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("a directory of its own").path()
    }

    /// Stops an ejabberd, and has it write its domain as XEP-0227 describes into `out`; the file that includes the others.
    pub fn exported(self, out: &Path) -> PathBuf {
        let Self {
            service,
            domain,
            dir,
            ..
        } = self;
        service.end("TERM");
        let dir = dir.as_ref().expect("a directory of its own").path();
        let export = format!(
            "ok=ejabberd_piefxis:export_host(\"{}\",<<\"{domain}\">>),halt(0).",
            out.display()
        );
        let ran = Command::new(program("erl"))
            .args(["-noinput", "-start_epmd", "false", "-mnesia", "dir"])
            .arg(format!("\"{}/mnesia\"", dir.display()))
            .args(["-s", "ejabberd", "-eval", &export])
            .env("EJABBERD_CONFIG_PATH", dir.join("ejabberd.yml"))
            .env("ERL_LIBS", "/usr/lib/x86_64-linux-gnu")
            .env("ERL_CRASH_DUMP", dir.join("crash.dump"))
            .current_dir(dir)
            .output()
            .expect("erl");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "ejabberd: {said}");
        let files = std::fs::read_dir(out).expect("a directory");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files.into_iter().next().expect("a file")
    }

    fn of(place: Place, service: Service) -> Self {
        Self {
            domain: place.domain,
            addr: place.addr,
            service,
            roots: place.roots,
            dir: None,
        }
    }

    /// Logs a user of the peer in, over STARTTLS with the peer's own certificate, and sends presence.
    pub fn online(&self, user: &str, resource: &str) -> Client {
        let password = USERS
            .iter()
            .find(|(u, _)| *u == user)
            .expect("a user of the peer")
            .1;
        let mut connection = Connection::open(SocketAddr::from((self.addr, 5222)), &self.domain);
        connection.negotiate_tls(self.roots.clone());
        let mut client = Client::authenticate(connection, user, password, resource);
        client.send("<presence/>");
        let full = client.jid.clone();
        client.until(&format!("from='{full}'"));
        client
    }
}

/// Records and certificate for `domain` in the demo's world.
fn prepare(demo: &Demo, domain: &str, trust: Trust) -> (Place, tempfile::TempDir) {
    let addr = loopback();
    let host = format!("xmpp.{domain}");
    let records = [
        format!("update add {host}. 60 A {addr}"),
        format!("update add _xmpp-server._tcp.{domain}. 60 SRV 0 5 5269 {host}."),
        format!("update add _xmpp-client._tcp.{domain}. 60 SRV 0 5 5222 {host}."),
    ];
    nsupdate(demo, domain, &records);

    let dir = tempfile::tempdir().expect("temporary directory");
    let trusted = match trust {
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
            let (chain, key) = (
                dir.path().join(format!("{domain}.crt")),
                dir.path().join(format!("{domain}.key")),
            );
            self_signed(domain, &chain, &key);
            chain
        }
    };
    let place = Place {
        domain: domain.into(),
        addr,
        dir: dir.path().to_path_buf(),
        ca: demo.info.ca.clone(),
        dns: demo.info.dns,
        trust_anchor: demo.info.trust_anchor.clone(),
        roots: roots(&trusted),
    };
    (place, dir)
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

/// The SRV targets of the demo's domains as lines of a hosts file.
fn hosts_of(demo: &Demo) -> String {
    let dns = demo.info.dns;
    let mut hosts = String::from("127.0.0.1 localhost\n");
    let services = demo
        .info
        .domains
        .iter()
        .map(|domain| format!("rooms.{domain}"));
    for domain in demo.info.domains.iter().cloned().chain(services) {
        let out = Command::new(program("dig"))
            .arg(format!("@{}", dns.ip()))
            .args(["-p", &dns.port().to_string(), "+short", "SRV"])
            .arg(format!("_xmpp-server._tcp.{domain}"))
            .output()
            .expect("dig");
        let answer = String::from_utf8_lossy(&out.stdout);
        let Some(target) = answer.split_whitespace().nth(3) else {
            continue;
        };
        let _ = writeln!(hosts, "{} {}", demo.listen, target.trim_end_matches('.'));
    }
    hosts
}

/// Starts Debian's Prosody in the demo's world.
pub fn prosody(demo: &Demo, domain: &str, trust: Trust) -> Peer {
    let (place, dir) = prepare(demo, domain, trust);
    let strict = trust == Trust::Strict;
    // The strict one is also the modern one: streams in both directions, stanzas acknowledged, events.
    let manners = Manners {
        strict,
        bidi: strict,
        smacks: strict,
        pep: strict,
        dane: false,
        lists: false,
        services: false,
    };
    Peer {
        dir: Some(dir),
        ..prosody_at(place, manners)
    }
}

/// Records and a certificate for one of a peer's services.
fn prepare_service(demo: &Demo, domain: &str, dir: &Path, label: &str) {
    let service = format!("{label}.{domain}");
    let records = [format!(
        "update add _xmpp-server._tcp.{service}. 60 SRV 0 5 5269 xmpp.{domain}."
    )];
    nsupdate(demo, domain, &records);
    let end = |end: &str| dir.join(format!("{service}.{end}"));
    self_signed(&service, &end("crt"), &end("key"));
}

/// The same, by dialback, with a pubsub service beside it: `lists.DOMAIN`.
pub fn prosody_with_lists(demo: &Demo, domain: &str) -> Peer {
    let (place, dir) = prepare(demo, domain, Trust::Dialback);
    prepare_service(demo, domain, dir.path(), "lists");
    let manners = Manners {
        lists: true,
        ..Manners::default()
    };
    Peer {
        dir: Some(dir),
        ..prosody_at(place, manners)
    }
}

/// A Prosody with rooms and all else that people expect. Its clients trust it; who calls it may prove themselves by dialback.
pub fn prosody_with_services(demo: &Demo, domain: &str) -> Peer {
    let (place, dir) = prepare(demo, domain, Trust::Strict);
    prepare_service(demo, domain, dir.path(), "rooms");
    prepare_service(demo, domain, dir.path(), "push");
    let manners = Manners {
        services: true,
        pep: true,
        bidi: true,
        smacks: true,
        ..Manners::default()
    };
    Peer {
        dir: Some(dir),
        ..prosody_at(place, manners)
    }
}

/// An ejabberd likewise.
pub fn ejabberd_with_services(demo: &Demo, domain: &str) -> Peer {
    let (place, dir) = prepare(demo, domain, Trust::Strict);
    prepare_service(demo, domain, dir.path(), "rooms");
    prepare_service(demo, domain, dir.path(), "push");
    let manners = Manners {
        services: true,
        ..Manners::default()
    };
    Peer {
        dir: Some(dir),
        ..ejabberd_at(place, manners, &hosts_of(demo))
    }
}

/// Starts Debian's ejabberd in the demo's world.
pub fn ejabberd(demo: &Demo, domain: &str, trust: Trust) -> Peer {
    let (place, dir) = prepare(demo, domain, trust);
    let manners = Manners {
        strict: trust == Trust::Strict,
        ..Manners::default()
    };
    Peer {
        dir: Some(dir),
        ..ejabberd_at(place, manners, &hosts_of(demo))
    }
}

/// Starts Debian's Prosody.
pub fn prosody_at(place: Place, manners: Manners) -> Peer {
    let modules = [
        (manners.bidi, "s2s_bidi"),
        (manners.smacks, "smacks"),
        (manners.pep, "pep"),
        (manners.services, "carbons"),
        (manners.services, "mam"),
        (manners.services, "blocklist"),
    ];
    let modules: String = modules
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, module)| format!(", \"{module}\""))
        .collect();
    let lists = match manners.lists {
        true => format!(
            "Component \"lists.{domain}\" \"pubsub\"\n    admins = {{ \"{user}@{domain}\" }}\n",
            domain = place.domain,
            user = USERS[0].0,
        ),
        false => String::new(),
    };
    let services = match manners.services {
        true => format!(
            "Component \"rooms.{domain}\" \"muc\"\n\
             Component \"push.{domain}\"\n    component_secret = \"{PUSH_SECRET}\"\n",
            domain = place.domain,
        ),
        false => String::new(),
    };
    let config = format!(
        r#"
run_as_root = true
pidfile = "{dir}/prosody.pid"
data_path = "{dir}/data"
certificates = "{dir}"
interfaces = {{ "{addr}" }}
local_interfaces = {{ "{addr}" }}
component_interfaces = {{ "{addr}" }}
c2s_ports = {{ 5222 }}
s2s_ports = {{ 5269 }}
s2s_direct_tls_ports = {{ 5270 }}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ "roster", "saslauth", "tls", "dialback", "disco", "ping", "posix"{modules} }}
authentication = "internal_hashed"
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {strict}
use_dane = {dane}
unbound = {{ resolvconf = false; forward = "{ip}@{port}"; hoststxt = false; trustfile = "{anchor}" }}
ssl = {{ cafile = "{ca}"; capath = "{dir}/none" }}
log = {{ debug = "*console" }}
VirtualHost "{domain}"
{lists}{services}"#,
        dir = place.dir.display(),
        addr = place.addr,
        domain = place.domain,
        strict = manners.strict,
        dane = manners.dane,
        ip = place.dns.ip(),
        port = place.dns.port(),
        anchor = place.trust_anchor.display(),
        ca = place.ca.display(),
    );
    let file = place.dir.join("prosody.cfg.lua");
    std::fs::create_dir_all(place.dir.join("data")).expect("data directory");
    std::fs::write(&file, config).expect("configuration");
    for (user, password) in USERS {
        let out = Command::new(program("prosodyctl"))
            .arg("--config")
            .arg(&file)
            .args(["register", user, &place.domain, password])
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
    let mut service = Service::start("prosody", &mut command, place.dir.join("prosody.log"));
    for port in [5222, 5269, 5270] {
        service.listening((place.addr, port).into());
    }
    Peer::of(place, service)
}

/// Starts Debian's ejabberd, as one Erlang process without distribution. `hosts`: a hosts file, for it asks the DNS for SRV
/// records only and leaves addresses to libc, whose resolver takes no port; so it is in a mount namespace of its own.
pub fn ejabberd_at(place: Place, manners: Manners, hosts: &str) -> Peer {
    let (dir, domain) = (&place.dir, &place.domain);
    let both = |name: &str| {
        let read = |end: &str| {
            std::fs::read_to_string(dir.join(format!("{name}.{end}"))).expect("PEM of the peer")
        };
        let pem = dir.join(format!("{name}.both.pem"));
        std::fs::write(&pem, read("crt") + &read("key")).expect("PEM");
        format!("\"{}\"", pem.display())
    };
    let mut pems = vec![both(domain)];
    if manners.services {
        pems.push(both(&format!("rooms.{domain}")));
        pems.push(both(&format!("push.{domain}")));
    }
    let component = match manners.services {
        true => format!(
            "  - {{port: 5347, ip: \"{}\", module: ejabberd_service, hosts: {{\"push.{domain}\": {{password: \"{PUSH_SECRET}\"}}}}}}\n",
            place.addr
        ),
        false => String::new(),
    };
    let services = if manners.services {
        "  mod_muc: {hosts: [\"rooms.@HOST@\"]}
  mod_pubsub: {plugins: [flat, pep]}
  mod_caps: {}
  mod_vcard: {}
  mod_carboncopy: {}
  mod_mam: {default: always}
  mod_privacy: {}
  mod_blocking: {}
  mod_offline: {}
  mod_stream_mgmt: {}
"
    } else {
        ""
    };
    // `required_trusted` no longer exists: without mod_s2s_dialback only EXTERNAL is left.
    let dialback = if manners.strict {
        ""
    } else {
        "  mod_s2s_dialback: {}\n"
    };
    let config = format!(
        r#"hosts: ["{domain}"]
loglevel: debug
certfiles: [{pems}]
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
  - {{port: 5270, ip: "{addr}", module: ejabberd_s2s_in, tls: true}}
{component}modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
{dialback}{services}"#,
        pems = pems.join(", "),
        ca = place.ca.display(),
        addr = place.addr,
    );
    let file = dir.join("ejabberd.yml");
    std::fs::write(&file, config).expect("configuration");
    let IpAddr::V4(ip) = place.dns.ip() else {
        panic!("the DNS is on IPv4 loopback")
    };
    let [a, b, c, d] = ip.octets();
    let inetrc = dir.join("inetrc");
    let lines = format!(
        // Without the first, /etc/resolv.conf would replace the name server.
        "{{resolv_conf,\"\"}}.\n{{lookup,[file,dns]}}.\n{{nameserver,{{{a},{b},{c},{d}}},{}}}.\n{{cache_size,0}}.\n",
        place.dns.port()
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
    let hosts_file = dir.join("hosts");
    std::fs::write(&hosts_file, hosts).expect("hosts");
    let mut command = Command::new(program("unshare"));
    command
        .args(["--mount", "--", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(&hosts_file)
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
    for port in [5222, 5269, 5270] {
        service.listening((place.addr, port).into());
    }
    if manners.services {
        service.listening((place.addr, 5347).into());
    }
    service.says("accounts ready");
    Peer::of(place, service)
}
