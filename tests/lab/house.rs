//! An instance of our server, started as an operator starts it: a configuration file, customers and domains through the
//! command line, certificates uploaded, then `domicile serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::demo::loopback;
use crate::harness::tools::Service;
use crate::harness::xmpp::{Client, Connection};
use crate::lab::authority::Identity;
use crate::lab::http::request;
use crate::lab::kept::kept;
use crate::lab::zones::Zones;

/// Password of every account and operator here.
pub const PASSWORD: &str = "a-long-enough-secret";
/// Login and password of who runs a house.
pub const OPERATOR: (&str, &str) = ("lab@hosting.example", PASSWORD);

/// What one peer may write here without being slowed down.
pub const PEER_STANZAS_PER_SECOND: usize = 50;

/// A domain that is hosted.
pub struct Hosted {
    pub name: &'static str,
    /// XEP-0238 level.
    pub policy: &'static str,
    pub identity: Identity,
    /// More of `domain set`.
    pub settings: &'static [&'static str],
    /// Peers with anchors of their own, and those anchors as PEM.
    pub pins: Vec<(&'static str, String)>,
}

impl Hosted {
    pub fn new(name: &'static str, policy: &'static str, identity: Identity) -> Self {
        Self {
            name,
            policy,
            identity,
            settings: &[],
            pins: Vec::new(),
        }
    }
}

/// A running `domicile serve`.
pub struct House {
    pub ip: Ipv4Addr,
    pub dir: PathBuf,
    cookie: String,
    _service: Service,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A word that nobody else uses in this run.
pub fn unique(what: &str) -> String {
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl House {
    /// Sets everything up and starts it. `more`: lines of the configuration's section on federation.
    pub fn start(
        dir: &Path,
        zones: &Zones,
        label: &str,
        roots_pem: &str,
        hosted: &[Hosted],
        more: &str,
    ) -> Self {
        Self::start_as(dir, zones, label, roots_pem, hosted, |text| text + more)
    }

    /// The same with a configuration of its own, made from the usual one.
    pub fn start_as(
        dir: &Path,
        zones: &Zones,
        label: &str,
        roots_pem: &str,
        hosted: &[Hosted],
        configured: impl FnOnce(String) -> String,
    ) -> Self {
        let ip = loopback();
        std::fs::create_dir_all(dir).expect("directory");
        std::fs::write(dir.join("roots.pem"), roots_pem).expect("roots");
        let text = configured(configuration(ip, dir, zones, label));
        std::fs::write(dir.join("domicile.toml"), text).expect("configuration");
        let setup = Setup { dir };
        setup.run(&["tenant", "add", "laboratory"], "");
        setup.run(
            &["operator", "add", OPERATOR.0, "--password-stdin"],
            OPERATOR.1,
        );
        for domain in hosted {
            setup.domain(zones, domain);
        }
        let mut command = kept(Path::new(env!("CARGO_BIN_EXE_domicile")));
        command
            .arg("--data-dir")
            .arg(dir)
            .arg("serve")
            .env_remove("RUST_LOG")
            .current_dir(dir);
        let mut service = Service::start(label, &mut command, dir.join("serve.log"));
        service.listening((ip, 8080).into());
        service.says("ready");
        let answer = request(
            (ip, 8080).into(),
            "POST",
            "/api/v1/login",
            "",
            &format!(
                r#"{{"login":"{}","password":"{}"}}"#,
                OPERATOR.0, OPERATOR.1
            ),
        );
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer
            .head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .starts_with("set-cookie:")
                    .then(|| line[11..].trim().to_owned())
            })
            .expect("a cookie");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Self {
            ip,
            dir: dir.to_path_buf(),
            cookie,
            _service: service,
        }
    }

    pub fn s2s(&self) -> SocketAddr {
        (self.ip, 5269).into()
    }

    pub fn s2s_tls(&self) -> SocketAddr {
        (self.ip, 5270).into()
    }

    /// Alice of a hosted domain, online with a resource of her own.
    pub fn alice(&self, domain: &str, roots: &Arc<RootCertStore>) -> Client {
        let mut connection = Connection::open((self.ip, 5222).into(), domain);
        connection.negotiate_tls(roots.clone());
        let mut client = Client::authenticate(connection, "alice", PASSWORD, &unique("lab"));
        client.send("<presence/>");
        let full = client.jid.clone();
        client.until(&format!("from='{full}'"));
        client
    }

    /// A page of the JSON API.
    pub fn api(&self, path: &str) -> Option<Value> {
        let cookie = format!("Cookie: {}\r\n", self.cookie);
        let answer = request(
            (self.ip, 8080).into(),
            "GET",
            &format!("/api/v1{path}"),
            &cookie,
            "",
        );
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).expect("JSON"))
    }

    /// What happened with a peer, newest first.
    pub fn attempts(&self, local: &str, remote: &str) -> Vec<Value> {
        let shown = self.api(&format!("/domains/{local}/peers/{remote}"));
        shown
            .and_then(|shown| shown["attempts"].as_array().cloned())
            .unwrap_or_default()
    }

    /// Waits for an attempt that fits, and gives it.
    pub fn attempt(&self, local: &str, remote: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let attempts = self.attempts(local, remote);
            if let Some(found) = attempts.iter().find(|attempt| fits(attempt)) {
                return found.clone();
            }
            assert!(
                Instant::now() < end,
                "no such attempt of {local} with {remote}: {attempts:#?}\n{}",
                self.log_tail()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Sum of the series whose line starts with `series`, as the internal door shows it.
    pub fn metric(&self, series: &str) -> u64 {
        let text = request((self.ip, 9090).into(), "GET", "/metrics", "", "").body;
        text.lines()
            .filter(|line| line.starts_with(series))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .map(|value| value as u64)
            .sum()
    }

    pub fn metrics(&self) -> String {
        request((self.ip, 9090).into(), "GET", "/metrics", "", "").body
    }

    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Runs a command of ours on this house, which must succeed; gives its output.
    pub fn done(&self, args: &[&str], input: &str) -> String {
        Setup { dir: &self.dir }.run(args, input)
    }

    /// Runs a command of ours on this house; gives exit code and output.
    pub fn command(&self, args: &[&str]) -> (i32, String) {
        command(&self.dir, args, "")
    }
}

fn command(dir: &Path, args: &[&str], input: &str) -> (i32, String) {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_domicile"))
        .arg("--data-dir")
        .arg(dir)
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("domicile runs");
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let out = child.wait_with_output().expect("domicile ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = out.status.code().unwrap_or(-1);
    let errors = text(&out.stderr);
    if code != 0 {
        return (code, text(&out.stdout) + &errors);
    }
    (code, text(&out.stdout))
}

struct Setup<'a> {
    dir: &'a Path,
}

impl Setup<'_> {
    fn run(&self, args: &[&str], input: &str) -> String {
        let (code, text) = command(self.dir, args, input);
        assert_eq!(code, 0, "domicile {args:?}: {text}");
        text
    }

    /// Adds a domain, publishes its records as its owner would, proves it, uploads its certificate, adds Alice.
    fn domain(&self, zones: &Zones, domain: &Hosted) {
        let name = domain.name;
        self.run(
            &["domain", "add", name, "--tenant", "laboratory", "--json"],
            "",
        );
        let set = ["domain", "set", name, "--mode", "uploaded"];
        let set = [&set[..], &["--services", "", "--policy", domain.policy]].concat();
        self.run(&[&set, domain.settings].concat(), "");
        for (peer, anchors) in &domain.pins {
            self.run(&["peer", "pin", name, peer, "-"], anchors);
        }
        let page = self.run(&["domain", "records", name, "--json"], "");
        let page: Value = serde_json::from_str(&page).expect("JSON");
        let records: Vec<String> = page["records"]
            .as_array()
            .expect("records")
            .iter()
            .map(|view| view.get("record").unwrap_or(view))
            .filter(|record| record["rtype"] == "TXT" || record["rtype"] == "SRV")
            .map(|record| {
                let part = |key: &str| record[key].as_str().expect("text").to_owned();
                format!("{} {} {}", part("name"), part("rtype"), part("value_text"))
            })
            .collect();
        zones.add(&records);
        self.run(&["domain", "verify", name], "");
        let identity = self.dir.join("identities");
        domain.identity.write(&identity, name);
        let (chain, key) = (
            identity.join(format!("{name}.crt")),
            identity.join(format!("{name}.key")),
        );
        let (chain, key) = (chain.to_string_lossy(), key.to_string_lossy());
        self.run(
            &["cert", "upload", name, "--chain", &chain, "--key", &key],
            "",
        );
        self.run(
            &["user", "add", &format!("alice@{name}"), "--password-stdin"],
            PASSWORD,
        );
    }
}

fn configuration(ip: Ipv4Addr, dir: &Path, zones: &Zones, label: &str) -> String {
    let _: IpAddr = ip.into();
    let listen: String = [
        ("c2s", 5222),
        ("c2s_tls", 5223),
        ("s2s", 5269),
        ("s2s_tls", 5270),
        ("public", 5443),
        ("admin", 8080),
        ("internal", 9090),
    ]
    .map(|(door, port)| format!("{door} = [\"{ip}:{port}\"]\n"))
    .concat();
    format!(
        r#"[server]
data_dir = "{dir}"
[listen]
{listen}
[platform]
zone = "{label}.hosting.example"
addresses = ["{ip}"]
private_addresses = true
[dns]
resolvers = ["{dns}"]
trust_anchor = "{anchor}"
authoritative_port = {port}
timeout_seconds = 3
[tls]
roots = "{dir}/roots.pem"
[acme]
directory = ""
[zone]
server = ["{dns}"]
apex = "hosting.example"
tsig_key_file = "{key}"
[panel]
url = "http://{ip}:8080"
[limits]
late_milliseconds = 0 # the machine of a test run does other things besides
domains_per_tenant = 100
connections_per_address = 100000
connects_per_address_and_minute = 100000
sessions_per_account = 1000
peer_stanzas_per_second = {PEER_STANZAS_PER_SECOND}
[posh]
timeout_seconds = 3
[log]
filter = "info,domicile::federation=debug"
[federation]
connect_seconds = 15
"#,
        dir = dir.display(),
        dns = zones.address,
        port = zones.address.port(),
        anchor = zones.trust_anchor.display(),
        key = zones.key.display(),
    )
}
