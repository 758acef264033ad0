//! A real Knot DNS for tests, as `docs/deploy/knot.conf` sets it up for the platform's zone: it signs, takes updates with a key
//! for the names below `on.hosting.example` only, and lets the key transfer the zone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::tools::{Service, program, repository};

/// A running `knotd`.
pub struct Knot {
    pub address: SocketAddr,
    /// TSIG key file, in the form of `keymgr`.
    pub key: PathBuf,
    /// The same in the form of `tsig-keygen`, for `nsupdate`.
    pub tool_key: PathBuf,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl Knot {
    /// Starts it at this address with `hosting.example` (signed, updates allowed), `static.example` (no updates) and more zones:
    /// name, and records below SOA and NS.
    pub fn start(address: SocketAddr, more: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let place = dir.path().display().to_string();
        let key = dir.path().join("tsig.conf");
        let made = Command::new(program("keymgr"))
            .args(["-t", "domicile", "hmac-sha256"])
            .output()
            .expect("keymgr");
        let made = String::from_utf8(made.stdout).expect("text");
        let secret = made.split("secret: ").nth(1).expect("a secret").trim();
        let tool_key = dir.path().join("update.key");
        let text = format!("key \"domicile\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n");
        std::fs::write(&tool_key, text).expect("key");
        std::fs::write(&key, &made).expect("key");
        // What is shipped for operators, at another place and for another name.
        let shipped = repository().join("docs/deploy/knot.conf");
        let mut config = std::fs::read_to_string(&shipped)
            .unwrap_or_else(|e| panic!("{}: {e}", shipped.display()))
            .replace("/etc/knot", &place)
            .replace("/var/lib/knot", &place)
            .replace("/run/knot", &place)
            .replace("hosting.example.net", "hosting.example")
            .replace(
                "    listen: [0.0.0.0@53, ::@53]\n",
                &format!("    listen: {}@{}\n", address.ip(), address.port()),
            )
            .replace("target: syslog", "target: stderr");
        let zones = [("hosting.example", ""), ("static.example", "")];
        for (name, records) in zones.iter().chain(more) {
            let text = format!(
                "$ORIGIN {name}.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 1\n@ IN NS ns\nns IN A {}\n{records}\n",
                address.ip()
            );
            std::fs::write(dir.path().join(format!("{name}.zone")), text).expect("zone");
            if *name != "hosting.example" {
                config.push_str(&format!("  - domain: {name}\n"));
            }
        }
        let file = dir.path().join("knot.conf");
        std::fs::write(&file, config).expect("configuration");
        let mut service = Service::start(
            "knotd",
            Command::new(program("knotd")).arg("-c").arg(&file),
            dir.path().join("knotd.log"),
        );
        service.listening(address);
        // Updates fail until the zone has been signed.
        service.says("[hosting.example.] DNSSEC, next signing at");
        Self {
            address,
            key,
            tool_key,
            _service: service,
            _dir: dir,
        }
    }
}
