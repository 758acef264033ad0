//! `domicile serve` in production's shape, beside a real name server and a real authority.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::Pebble;
use crate::harness::DEADLINE;
use crate::harness::bind::Bind;
use crate::harness::demo::loopback;
use crate::harness::tools::{Service, domicile, program};

/// More of the configuration, by section; and where it listens.
#[derive(Default)]
pub(crate) struct More<'a> {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) listen: &'a str,
    pub(crate) platform: &'a str,
    pub(crate) tls: &'a str,
    pub(crate) acme: &'a str,
    /// The authority for when the first is of no use.
    pub(crate) second: Option<&'a Pebble>,
    /// Server of the platform's zone, and the key that changes it; BIND, unless said.
    pub(crate) zone: Option<(SocketAddr, &'a Path)>,
}

/// The root that an authority issues below, in PEM.
fn root_of(pebble: &Pebble) -> String {
    let out = Command::new(program("curl"))
        .args(["--silent", "--insecure", "--fail", "--max-time", "20"])
        .arg(format!("https://{}/roots/0", pebble.management))
        .output()
        .expect("curl");
    assert!(out.status.success(), "Pebble's root");
    String::from_utf8(out.stdout).expect("PEM")
}

/// `domicile serve` as an operator runs it: a configuration file, PEM files, a name server and an ACME authority of others.
pub(crate) struct Served {
    pub(crate) service: Service,
    pub(crate) ip: IpAddr,
    dir: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(bind: &Bind, pebble: &Pebble, more: More<'_>) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let roots = dir.path().join("roots.pem");
        let authorities = std::iter::once(pebble).chain(more.second);
        let pem: String = authorities.map(root_of).collect();
        std::fs::write(&roots, pem).expect("roots");
        let second = more.second.map_or_else(String::new, |second| {
            format!(
                "[acme_second]\ndirectory = \"https://localhost:{}/dir\"\nroot = \"{}\"\nterms_agreed = true\ncaa_identities = [\"second.example\"]\n",
                second.address.port(),
                second.root.display()
            )
        });
        let ip = more.ip.unwrap_or_else(|| loopback().into());
        let at = |port: u16| format!("[\"{ip}:{port}\"]");
        let config = format!(
            r#"[server]
data_dir = "{dir}"
[listen]
c2s = {c2s}
c2s_tls = {c2s_tls}
s2s = {s2s}
s2s_tls = {s2s_tls}
public = {public}
admin = {admin}
internal = {internal}
{listen}
[platform]
zone = "on.hosting.example"
addresses = ["{ip}"]
private_addresses = true
{platform}
[dns]
resolvers = ["{dns}"]
mode = "trust-ad"
authoritative_port = {dns_port}
[tls]
roots = "{roots}"
{tls}
[acme]
directory = "https://localhost:{acme}/dir"
root = "{acme_root}"
contact = "mailto:hostmaster@hosting.example"
terms_agreed = true
caa_identities = ["pebble.example"]
{acme_more}
{second}
[zone]
server = ["{zone}"]
apex = "hosting.example"
tsig_key_file = "{key}"
"#,
            dir = dir.path().display(),
            c2s = at(5222),
            c2s_tls = at(5223),
            s2s = at(5269),
            s2s_tls = at(5270),
            public = at(5443),
            admin = at(8080),
            internal = at(9090),
            dns = bind.address,
            dns_port = bind.address.port(),
            roots = roots.display(),
            acme = pebble.address.port(),
            acme_root = pebble.root.display(),
            zone = more.zone.map_or(bind.address, |(server, _)| server),
            key = more.zone.map_or(&*bind.key, |(_, key)| key).display(),
            listen = more.listen,
            platform = more.platform,
            tls = more.tls,
            acme_more = more.acme,
        );
        std::fs::write(dir.path().join("domicile.toml"), config).expect("configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
        command
            .args(["serve", "--data-dir"])
            .arg(dir.path())
            .env("RUST_LOG", "info");
        let mut service = Service::start("domicile", &mut command, dir.path().join("serve.log"));
        service.listening((ip, 9090).into());
        Self { service, ip, dir }
    }

    /// Serial of the certificate that clients are shown, in hex.
    pub(crate) fn serial(&self, domain: &str) -> String {
        let script = format!(
            "openssl s_client -connect {}:5223 -servername {domain} -alpn xmpp-client </dev/null 2>/dev/null | openssl x509 -noout -serial",
            self.ip
        );
        let out = Command::new("bash")
            .args(["-c", &script])
            .output()
            .expect("openssl");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let serial = text.trim().trim_start_matches("serial=").to_lowercase();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(!serial.is_empty(), "{said}");
        serial
    }

    /// A command beside the running server.
    pub(crate) fn domicile(&self, args: &[&str]) -> (i32, String, String) {
        let dir = self.dir.path().to_string_lossy().into_owned();
        domicile(&[args, &["--data-dir", &dir]].concat())
    }

    /// Looks at the domain until `seen` sees something.
    pub(crate) fn shown_when<T>(
        &self,
        domain: &str,
        seen: impl Fn(&serde_json::Value) -> Option<T>,
    ) -> T {
        let end = std::time::Instant::now() + DEADLINE * 3;
        loop {
            let shown = self.json(&["domain", "show", domain]);
            if let Some(seen) = seen(&shown) {
                return seen;
            }
            assert!(
                std::time::Instant::now() < end,
                "not seen in time: {shown:#}\n{}",
                self.service.text()
            );
            std::thread::park_timeout(std::time::Duration::from_millis(500));
        }
    }

    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let (code, out, err) = self.domicile(&[args, &["--json"]].concat());
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{args:?} ended with {code}: {error}\n{out}{err}"))
    }
}
