//! A real PowerDNS for tests, as `docs/deploy/pdns.conf` sets it up for the platform's zone: it signs, takes updates with a key for
//! the names below `on.hosting.example` only, and lets the key transfer the zone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::tools::{Service, program, repository};

/// A running `pdns_server`.
pub struct PowerDns {
    pub address: SocketAddr,
    /// TSIG key file.
    pub key: PathBuf,
    _service: Service,
    _dir: tempfile::TempDir,
}

impl PowerDns {
    /// Starts it at this address with `hosting.example`.
    pub fn start(address: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let place = dir.path().display().to_string();
        let database = dir.path().join("pdns.db");
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        let schema = std::fs::File::open(schema).expect("pdns-backend-sqlite3 is installed");
        let made = Command::new(program("sqlite3"))
            .arg(&database)
            .stdin(schema)
            .status();
        assert!(made.expect("sqlite3").success(), "the schema");

        // What is shipped for operators, at another place and for another name.
        let config = shipped("pdns.conf")
            .replace("/var/lib/powerdns", &place)
            .replace("/etc/powerdns", &place)
            .replace("/run/pdns", &place)
            .replace(
                "local-address=0.0.0.0, ::\nlocal-port=53\n",
                &format!(
                    "local-address={}\nlocal-port={}\n",
                    address.ip(),
                    address.port()
                ),
            );
        std::fs::write(dir.path().join("pdns.conf"), config).expect("configuration");
        let policy = shipped("pdns-update-policy.lua").replace("hosting.example.net", ZONE);
        std::fs::write(dir.path().join("update-policy.lua"), policy).expect("policy");
        let file = dir.path().join("zone");
        let text = format!(
            "$ORIGIN {ZONE}.\n$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 1\n@ IN NS ns\nns IN A {}\n",
            address.ip()
        );
        std::fs::write(&file, text).expect("zone");

        let tool = |args: &[&str]| pdnsutil(dir.path(), args);
        tool(&["load-zone", ZONE, &file.display().to_string()]);
        tool(&["secure-zone", ZONE]);
        tool(&["set-meta", ZONE, "SOA-EDIT-DNSUPDATE", "INCREASE"]);
        tool(&["generate-tsig-key", "domicile", "hmac-sha256"]);
        tool(&["set-meta", ZONE, "TSIG-ALLOW-DNSUPDATE", "domicile"]);
        tool(&["set-meta", ZONE, "TSIG-ALLOW-AXFR", "domicile"]);
        let keys = tool(&["list-tsig-keys"]);
        let secret = keys.split_whitespace().nth(2).expect("a secret");
        let key = dir.path().join("domicile.key");
        let text = format!("key \"domicile\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n");
        std::fs::write(&key, text).expect("key");

        let mut service = Service::start(
            "pdns_server",
            Command::new(program("pdns_server"))
                .arg(format!("--config-dir={place}"))
                .arg("--daemon=no"),
            dir.path().join("pdns.log"),
        );
        service.listening(address);
        Self {
            address,
            key,
            _service: service,
            _dir: dir,
        }
    }
}

const ZONE: &str = "hosting.example";

fn shipped(name: &str) -> String {
    let file = repository().join("docs/deploy").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What the tool prints.
fn pdnsutil(config: &Path, args: &[&str]) -> String {
    let out = Command::new(program("pdnsutil"))
        .arg(format!("--config-dir={}", config.display()))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("pdnsutil");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{args:?}: {said}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}
