//! The laboratory's DNS: one BIND that is the root, `example` and the zones below it: signed, unsigned, signed without a DS in
//! its parent (`island`), signed but tampered with (`bogus`), one that never answers (`silent`), one that takes its time
//! (`slow`), and the platform's.

mod slow;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::tools::{Service, free_port, program};
use crate::lab::kept::kept;

/// A running `named` with a root of its own.
pub struct Zones {
    pub address: SocketAddr,
    /// TSIG key that may change every dynamic zone.
    pub key: PathBuf,
    /// DNSKEY of the root.
    pub trust_anchor: PathBuf,
    /// Where everything in `slow.example` is served.
    pub slow_peers: Ipv4Addr,
    _service: Service,
    /// Takes questions about `silent.example` and says nothing.
    _silent: UdpSocket,
}

/// Zones that take updates, and whether they are signed.
const DYNAMIC: [(&str, bool); 4] = [
    ("hosting.example", true),
    ("signed.example", true),
    ("unsigned.example", false),
    ("island.example", true),
];

impl Zones {
    /// `bogus`: records of `bogus.example` as zone-file lines, and what in them is replaced behind their signatures.
    pub fn start(dir: &Path, bogus: &str, tampering: &[(String, String)]) -> Self {
        std::fs::create_dir_all(dir).expect("directory");
        let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
        let address = SocketAddr::new(ip, free_port(ip));
        let silent = UdpSocket::bind((ip, 0)).expect("socket");
        let slow_peers = crate::lab::actor::network();
        let slow = slow::start(slow_peers);
        let key = dir.join("update.key");
        let made = Command::new(program("tsig-keygen"))
            .args(["-a", "hmac-sha256", "laboratory"])
            .output()
            .expect("tsig-keygen");
        std::fs::write(&key, made.stdout).expect("key");

        let mut example = String::new();
        for (zone, signed) in DYNAMIC {
            write(dir, zone, "");
            let label = zone.trim_end_matches(".example");
            let _ = writeln!(example, "{label} IN NS ns.hosting");
            if signed {
                let ds = keyed(dir, zone);
                if zone != "island.example" {
                    example += &ds;
                }
            }
        }
        for zone in ["silent", "slow"] {
            let _ = writeln!(example, "{zone} IN NS ns.{zone}\nns.{zone} IN A 127.0.0.1");
        }
        example += "ns.hosting IN A 127.0.0.1\n";
        example += "bogus IN NS ns.hosting\n";
        example += &tampered(dir, bogus, tampering);
        write(dir, "example", &example);
        let top = keyed(dir, "example");
        write(
            dir,
            ".",
            &format!(
                "example. IN NS ns.hosting.example.\nns.hosting.example. IN A 127.0.0.1\n{top}"
            ),
        );
        keyed(dir, ".");
        let trust_anchor = dir.join("root.key");
        std::fs::write(&trust_anchor, public_key(dir, ".")).expect("trust anchor");

        let forwarded = [
            ("silent.example", silent.local_addr().expect("address")),
            ("slow.example", slow),
        ];
        let config = configuration(dir, &key, address, forwarded);
        let file = dir.join("named.conf");
        std::fs::write(&file, config).expect("configuration");
        let mut command = kept(&program("named"));
        command.arg("-g").arg("-c").arg(&file).current_dir(dir);
        let mut service = Service::start("named", &mut command, dir.join("named.log"));
        service.listening(address);
        service.says("running");
        let zones = Self {
            address,
            key,
            trust_anchor,
            slow_peers,
            _service: service,
            _silent: silent,
        };
        // Updates fail until a signed zone has its key.
        for zone in [
            ".",
            "example",
            "hosting.example",
            "signed.example",
            "island.example",
        ] {
            zones.signed(zone);
        }
        zones
    }

    /// Waits until answers from a zone come with signatures.
    fn signed(&self, zone: &str) {
        let end = std::time::Instant::now() + crate::harness::DEADLINE;
        while !self.dig(&["+dnssec", zone, "SOA"]).contains("RRSIG") {
            assert!(
                std::time::Instant::now() < end,
                "{zone} is never signed: {}",
                self._service.text()
            );
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    pub fn dig(&self, args: &[&str]) -> String {
        let out = Command::new(program("dig"))
            .arg(format!("@{}", self.address.ip()))
            .args(["-p", &self.address.port().to_string()])
            .args(args)
            .output()
            .expect("dig");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Questions about a name, or anything below it, that were asked so far.
    pub fn asked(&self, name: &str) -> usize {
        let log = self._service.text();
        let asked = |line: &&str| {
            line.split_once(" query: ")
                .and_then(|(_, question)| question.split(' ').next())
                .is_some_and(|asked| asked == name || asked.ends_with(&format!(".{name}")))
        };
        log.lines().filter(asked).count()
    }

    /// Adds records, each as `NAME TYPE DATA`, to the zone that holds them.
    pub fn add(&self, records: &[String]) {
        let lines: Vec<String> = records
            .iter()
            .map(|record| {
                let (name, rest) = record.split_once(' ').expect("name and data");
                format!("update add {}. 300 {rest}", name.trim_end_matches('.'))
            })
            .collect();
        self.update(&lines);
    }

    /// `nsupdate`'s own lines, all in one zone.
    pub fn update(&self, lines: &[String]) {
        use std::io::Write as _;
        let script = format!(
            "server {} {}\n{}\nsend\nquit\n",
            self.address.ip(),
            self.address.port(),
            lines.join("\n")
        );
        let mut child = Command::new(program("nsupdate"))
            .arg("-k")
            .arg(&self.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsupdate");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(script.as_bytes()).expect("script");
        drop(input);
        let out = child.wait_with_output().expect("nsupdate ends");
        let text = String::from_utf8_lossy(&out.stderr).into_owned()
            + &String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "nsupdate: {text}\n{script}");
    }
}

fn file_of(zone: &str) -> String {
    if zone == "." {
        "root.zone".into()
    } else {
        format!("{zone}.zone")
    }
}

fn write(dir: &Path, zone: &str, records: &str) {
    let origin = if zone == "." {
        ".".into()
    } else {
        format!("{zone}.")
    };
    let text = format!(
        "$ORIGIN {origin}\n$TTL 300\n@ IN SOA ns.hosting.example. hostmaster.hosting.example. 1 3600 600 86400 300\n@ IN NS ns.hosting.example.\n{glue}{records}\n",
        glue = if zone == "hosting.example" {
            "ns IN A 127.0.0.1\n"
        } else {
            ""
        }
    );
    std::fs::write(dir.join(file_of(zone)), text).expect("zone");
}

/// Makes the zone's one key, and gives its DS.
fn keyed(dir: &Path, zone: &str) -> String {
    let out = Command::new(program("dnssec-keygen"))
        .args(["-k", "default", "-K"])
        .arg(dir)
        .arg(zone)
        .output()
        .expect("dnssec-keygen");
    assert!(
        out.status.success(),
        "dnssec-keygen: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    if zone == "." {
        return String::new();
    }
    let out = Command::new(program("dnssec-dsfromkey"))
        .args(["-2"])
        .arg(key_file(dir, zone))
        .output()
        .expect("dnssec-dsfromkey");
    assert!(out.status.success());
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn key_file(dir: &Path, zone: &str) -> PathBuf {
    let start = if zone == "." {
        "K.+".into()
    } else {
        format!("K{zone}.+")
    };
    std::fs::read_dir(dir)
        .expect("directory")
        .map(|e| e.expect("entry").path())
        .find(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&start) && name.ends_with(".key")
        })
        .expect("a key")
}

fn public_key(dir: &Path, zone: &str) -> String {
    let text = std::fs::read_to_string(key_file(dir, zone)).expect("key");
    let line = text.lines().find(|l| l.contains("DNSKEY")).expect("DNSKEY");
    format!("{line}\n")
}

/// `bogus.example`: signed, then changed behind the signature. Gives its DS.
fn tampered(dir: &Path, records: &str, tampering: &[(String, String)]) -> String {
    let zone = "bogus.example";
    write(dir, zone, records);
    let ds = keyed(dir, zone);
    let out = Command::new(program("dnssec-signzone"))
        .args(["-z", "-S", "-K"])
        .arg(dir)
        .args(["-o", zone, "-f"])
        .arg(dir.join("bogus.signed"))
        .arg(dir.join(file_of(zone)))
        .current_dir(dir)
        .output()
        .expect("dnssec-signzone");
    assert!(
        out.status.success(),
        "dnssec-signzone: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let mut signed = std::fs::read_to_string(dir.join("bogus.signed")).expect("signed zone");
    for (from, to) in tampering {
        assert!(signed.contains(from), "{from:?} in {signed}");
        signed = signed.replace(from, to);
    }
    std::fs::write(dir.join("bogus.signed"), signed).expect("signed zone");
    ds
}

/// `forwarded`: zones whose questions go elsewhere.
fn configuration(
    dir: &Path,
    key: &Path,
    address: SocketAddr,
    forwarded: [(&str, SocketAddr); 2],
) -> String {
    let mut config = format!(
        r#"include "{key}";
options {{ directory "{dir}"; key-directory "{dir}"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-recursion {{ 127.0.0.0/8; }}; dnssec-validation no; notify no; querylog yes; }};
controls {{}};
zone "bogus.example" {{ type primary; file "bogus.signed"; }};
"#,
        key = key.display(),
        dir = dir.display(),
        port = address.port(),
    );
    for (zone, to) in forwarded {
        let _ = writeln!(
            config,
            "zone \"{zone}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};",
            to.ip(),
            to.port()
        );
    }
    let signing = "dnssec-policy default; inline-signing no;";
    for (zone, signed) in DYNAMIC.into_iter().chain([(".", true), ("example", true)]) {
        let _ = writeln!(
            config,
            "zone \"{zone}\" {{ type primary; file \"{}\"; allow-update {{ key \"laboratory\"; }}; {} }};",
            file_of(zone),
            if signed { signing } else { "" }
        );
    }
    config
}
