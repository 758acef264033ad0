//! A real BIND for tests: it signs and serves the platform's zone, takes updates with a key, and serves owners' zones below
//! `example`, which it holds too.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use super::tools::{Service, free_port, program};

/// Address of the view of certificate authorities.
const AUTHORITY: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// A running `named`.
pub struct Bind {
    pub address: SocketAddr,
    /// Where a certificate authority asks: what it believes is not what others believe.
    pub authority: SocketAddr,
    /// TSIG key file that may change `hosting.example`.
    pub key: PathBuf,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl Bind {
    /// Starts it with `hosting.example` (signed, updates allowed), `static.example` (no updates) and the given owners' zones:
    /// name, and records below SOA and NS.
    pub fn start(owners: &[(&str, &str)]) -> Self {
        let ip: IpAddr = [127, 0, 0, 1].into();
        Self::run(SocketAddr::new(ip, free_port(ip)), owners, None)
    }

    /// The same without the platform's zone, which is asked for at another server. That has to have our port, since whoever asks
    /// zones' own servers knows one port for all.
    pub fn beside(platform: SocketAddr, owners: &[(&str, &str)]) -> Self {
        let address = SocketAddr::new([127, 0, 0, 1].into(), platform.port());
        Self::run(address, owners, Some(platform.ip()))
    }

    fn run(address: SocketAddr, owners: &[(&str, &str)], platform: Option<IpAddr>) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let key = dir.path().join("update.key");
        let made = Command::new(program("tsig-keygen"))
            .args(["-a", "hmac-sha256", "platform"])
            .output()
            .expect("tsig-keygen");
        std::fs::write(&key, made.stdout).expect("key");
        let mut config = format!(
            r#"include "{key}";
options {{ directory "{dir}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ {authority} }}; recursion yes; allow-recursion {{ 127.0.0.0/8; ::1; }}; dnssec-validation no; notify no; max-records-per-type 0; }};
controls {{}};
"#,
            key = key.display(),
            dir = dir.path().display(),
            port = address.port(),
            authority = platform.map_or_else(|| "none;".to_owned(), |_| format!("{AUTHORITY};")),
        );
        if platform.is_some() {
            config.push_str("view \"owners\" { match-destinations { 127.0.0.1; };\n");
        }
        let mut zone = |name: &str, records: &str, policy: &str| {
            let file = format!("{name}.zone");
            let text = format!(
                "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 1\n@ IN NS ns\nns IN A 127.0.0.1\n{records}\n"
            );
            std::fs::write(dir.path().join(&file), text).expect("zone");
            config.push_str(&format!(
                "zone \"{name}\" {{ type primary; file \"{file}\"; {policy} }};\n"
            ));
        };
        if platform.is_none() {
            zone(
                "hosting.example",
                "",
                "dnssec-policy default; inline-signing no; allow-update { key \"platform\"; }; allow-transfer { key \"platform\"; };",
            );
        }
        zone("static.example", "", "allow-update { none; };");
        let mut delegations = String::from("hosting IN NS ns.hosting\nstatic IN NS ns.hosting\n");
        for (name, records) in owners {
            zone(name, records, "allow-update { key \"platform\"; };");
            let label = name.trim_end_matches(".example");
            delegations.push_str(&format!("{label} IN NS ns.hosting\n"));
        }
        // Where the platform's zone is elsewhere, its server has to be found without it.
        if let Some(ip) = platform {
            delegations.push_str(&format!("ns.hosting IN A {ip}\n"));
        }
        zone(
            "example",
            &delegations,
            "allow-update { key \"platform\"; };",
        );
        if let Some(ip) = platform {
            let elsewhere = format!(
                "zone \"hosting.example\" {{ type forward; forward only; forwarders {{ {ip} port {}; }}; }};\n",
                address.port()
            );
            // A certificate authority has a resolver of its own: it has not heard a moment ago that a name is not there.
            config.push_str(&format!("{elsewhere}}};\nview \"authority\" {{ match-destinations {{ {AUTHORITY}; }};\n{elsewhere}"));
            let owners = owners.iter().map(|(name, _)| *name);
            for name in owners.chain(["static.example", "example"]) {
                config.push_str(&format!("zone \"{name}\" {{ in-view \"owners\"; }};\n"));
            }
            config.push_str("};\n");
        }
        let file = dir.path().join("named.conf");
        std::fs::write(&file, config).expect("configuration");
        let mut service = Service::start(
            "named",
            Command::new(program("named"))
                .arg("-g")
                .arg("-c")
                .arg(&file)
                .current_dir(dir.path()),
            dir.path().join("named.log"),
        );
        service.listening(address);
        service.says("running");
        if platform.is_none() {
            // Updates fail until the signed zone has its key.
            service.says("is now active");
        }
        let authority = platform.map_or(address.ip(), |_| AUTHORITY.into());
        Self {
            address,
            authority: SocketAddr::new(authority, address.port()),
            key,
            _service: service,
            _dir: dir,
        }
    }

    /// Changes a zone with `nsupdate`: lines as it reads them (`update add …`).
    pub fn update(&self, zone: &str, lines: &str) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let script = dir.path().join("update");
        let text = format!(
            "server {} {}\nzone {zone}\n{lines}send\n",
            self.address.ip(),
            self.address.port()
        );
        std::fs::write(&script, &text).expect("script");
        let out = Command::new(program("nsupdate"))
            .arg("-k")
            .arg(&self.key)
            .arg(&script)
            .output()
            .expect("nsupdate");
        assert!(
            out.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }

    /// What it answers: `dig +short`, or the whole answer where there is none.
    pub fn dig(&self, name: &str, rtype: &str) -> String {
        let ask = |more: &[&str]| {
            let (ip, port) = (self.address.ip(), self.address.port());
            let out = Command::new(program("dig"))
                .arg(format!("@{ip}"))
                .args(["-p", &port.to_string(), name, rtype])
                .args(more)
                .output()
                .expect("dig");
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        let short = ask(&["+short"]);
        if short.is_empty() { ask(&[]) } else { short }
    }
}

/// A zone-file fragment as lines for [`Bind::update`].
pub fn added(fragment: &str) -> String {
    fragment
        .lines()
        .filter(|line| !line.starts_with(';') && !line.is_empty())
        .map(|line| format!("update add {line}\n"))
        .collect()
}
