//! The whole promise, by way of a browser: somebody signs up with a domain that did not exist a minute before, chooses how to
//! prove it, publishes what the pages show at BIND and at an HTTPS site of their own, and two people chat under it in Chromium;
//! in each mode, and once with no JavaScript in the panel, beside the current Pebble, with settings as they are delivered. Live is
//! waited for as long as owners are promised, a minute. Then other servers say by what they believe us.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::authority::Pebble;
use crate::harness::browser::browse;
use crate::harness::demo::loopback;
use crate::harness::tools::{Service, node, program, repository};
use crate::lab::house::{House, PASSWORD, unique};
use crate::lab::kept::directory;
use crate::lab::world::{STRICT, World, world};

/// The public door under the platform's own name.
const WEB: &str = "web.newcomers.hosting.example";
/// So many come at a time: most of their time is waiting.
const AT_A_TIME: usize = 3;

/// Somebody who comes.
struct Newcomer {
    mode: &'static str,
    /// What they add to it.
    beside: &'static [&'static str],
    zone: &'static str,
    /// By what strict servers believe us; empty: authorities issue the certificate, whom the laboratory's strict house does not know.
    believed_by: &'static str,
    /// Without JavaScript.
    quiet: bool,
}

const fn newcomer(mode: &'static str, zone: &'static str, believed_by: &'static str) -> Newcomer {
    Newcomer {
        mode,
        beside: &[],
        zone,
        believed_by,
        quiet: false,
    }
}

/// The first teaches us what the authority offers: dns-persist-01 is among it.
const FIRST: Newcomer = newcomer("delegated-challenge", "unsigned.example", "");
const OTHERS: [Newcomer; 7] = [
    Newcomer {
        quiet: true,
        ..newcomer("delegated-challenge", "unsigned.example", "")
    },
    newcomer("dns-persist", "unsigned.example", ""),
    newcomer("http-redirect", "unsigned.example", ""),
    newcomer("uploaded", "unsigned.example", "pkix"),
    newcomer("posh", "unsigned.example", "posh"),
    newcomer("dane", "signed.example", "dane"),
    Newcomer {
        beside: &["posh", "dane"],
        ..newcomer("delegated-challenge", "signed.example", "dane")
    },
];

/// The platform where they come, and its authority.
struct Platform {
    house: House,
    /// Runs as long as they come.
    _pebble: Pebble,
    dir: PathBuf,
}

impl Platform {
    fn start(world: &World) -> Self {
        let dir = directory().join("newcomers");
        let place = dir.display().to_string();
        world.ca.issue(&[WEB]).write(&dir, "web");
        let more = r#","httpPort":80,"caaIdentities":["pebble.example"]"#;
        let pebble = Pebble::current(world.zones.address, more, Vec::new());
        let roots = format!("{}\n{}", world.ca.root_pem, root_of(&pebble));
        let house = House::start_as(&dir, &world.zones, "newcomers", &roots, &[], |text| {
            let own = format!(
                "roots = \"{place}/roots.pem\"\nplatform_certificate = \"{place}/web.crt\"\nplatform_key = \"{place}/web.key\"\n"
            );
            let acme = format!(
                "directory = \"https://localhost:{}/dir\"\nroot = \"{}\"\ncontact = \"mailto:hostmaster@hosting.example\"\n\
                 terms_agreed = true\ncaa_identities = [\"pebble.example\"]\n",
                pebble.address.port(),
                pebble.root.display()
            );
            text.replace(&format!("roots = \"{place}/roots.pem\"\n"), &own)
                .replace("directory = \"\"\n", &acme)
                .replace("[dns]\n", &format!("web = \"https://{WEB}:5443\"\n[dns]\n"))
        });
        world.zones.add(&[format!("{WEB} A {}", house.ip)]);
        Self {
            house,
            _pebble: pebble,
            dir,
        }
    }

    /// Sends a newcomer on their way through the browser, and asks the others what they think of the domain.
    fn welcome(&self, world: &World, who: &Newcomer) -> String {
        let quiet: &[&str] = if who.quiet { &["quiet"] } else { &[] };
        let name = [&[who.mode], who.beside, quiet].concat().join("-and-");
        let domain = format!("{}.{}", unique(&name), who.zone);
        let dir = self.dir.join(&name);
        world.ca.issue(&[domain.as_str()]).write(&dir, "site");
        let file = |name: &str| dir.join(name).display().to_string();
        let ip: Ipv4Addr = loopback();
        let site = json!({
            "ip": ip, "domain": domain, "cert": file("site.crt"), "key": file("site.key"), "places": file("places.json"),
        });
        let _website = website(&dir, &site);
        let own = self.dir.display();
        let upload = (who.mode == "uploaded").then(|| {
            let rooms = format!("rooms.{domain}");
            world.ca.issue(&[&domain, &rooms]).write(&dir, "own");
            json!({ "chain": file("own.crt"), "key": file("own.key") })
        });
        let people = ["romeo", "juliet"];
        let people = people.map(|local| json!({ "local": local, "password": PASSWORD }));
        let plan = json!({
            "quiet": who.quiet,
            "panel": format!("http://{}:8080", self.house.ip),
            "domain": domain,
            "email": format!("{name}@owners.example"),
            "password": "correct horse battery staple",
            "mode": who.mode,
            "beside": who.beside,
            "people": people,
            "dns": {
                "server": world.zones.address.ip(),
                "port": world.zones.address.port(),
                "key": world.zones.key,
            },
            "site": site,
            "web": {
                "name": format!("{WEB}:5443"),
                "door": format!("{}:5443", self.house.ip),
                "cert": format!("{own}/web.crt"),
            },
            "upload": upload,
        });
        let seen = browse("newcomer", plan, &dir, 6);
        self.is_well(&domain);
        if !who.believed_by.is_empty() {
            // A website speaks for its domain only.
            let rooms = format!("rooms.{domain}");
            let names = [&domain, &rooms].into_iter();
            for of in names.filter(|of| who.believed_by != "posh" || *of == &domain) {
                assert_eq!(believed(world, of), who.believed_by, "{name}: {of}");
                let foreseen = foreseen(&seen["foreseen"], of, who.believed_by);
                assert_eq!(foreseen, "yes", "{name}: {of}");
            }
        }
        format!(
            "{name}: live {} s after the last record, by way of {}",
            seen["seconds"], seen["states"]
        )
    }

    /// Nothing that is needed is amiss.
    fn is_well(&self, domain: &str) {
        let text = self.house.done(&["domain", "check", domain, "--json"], "");
        let shown: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(shown["state"], "live", "{shown:#}");
        assert_eq!(shown["critical"], 0, "{shown:#}");
    }
}

/// The newcomer's website, which answers as they put down; it ends with what is returned.
fn website(dir: &Path, site: &Value) -> Service {
    let file = dir.join("site.json");
    std::fs::write(&file, site.to_string()).expect("site");
    let mut command = Command::new(node());
    command
        .arg(repository().join("tests/browser/website.mjs"))
        .arg(file);
    let mut service = Service::start("website", &mut command, dir.join("website.log"));
    let ip: IpAddr = site["ip"]
        .as_str()
        .and_then(|ip| ip.parse().ok())
        .expect("an address");
    for port in [80, 443] {
        service.listening((ip, port).into());
    }
    service
}

/// The root under which Pebble issues, which nobody knows before it has started.
fn root_of(pebble: &Pebble) -> String {
    let out = Command::new(program("curl"))
        .args(["--silent", "--insecure", "--fail", "--max-time", "20"])
        .arg(format!("https://{}/roots/0", pebble.management))
        .output()
        .expect("curl");
    assert!(out.status.success(), "Pebble's root");
    String::from_utf8(out.stdout).expect("PEM")
}

/// What the page said before the mode was chosen of other servers, a name and a proof.
fn foreseen<'a>(cells: &'a Value, of: &str, by: &str) -> &'a str {
    let how = format!("({})", by.to_uppercase());
    let fits = |cell: &&Value| {
        let has = |key: &str, text: &str| cell[key].as_str().is_some_and(|t| t.contains(text));
        cell["name"] == of && has("how", &how) && has("who", "ervers")
    };
    let found = cells.as_array().and_then(|cells| cells.iter().find(fits));
    found
        .and_then(|cell| cell["word"].as_str())
        .unwrap_or_else(|| panic!("no cell of {of} by {by}: {cells:#}"))
}

/// Alice of a house that believes proof only writes to somebody there: gives the proof.
fn believed(world: &World, remote: &str) -> String {
    let mut alice = world.alice(STRICT);
    let words = unique("newcomer");
    alice.message(&format!("romeo@{remote}"), &words, "welcome");
    let attempt = world
        .house
        .attempt(STRICT, remote, |attempt| attempt["ok"] == true);
    alice.close();
    attempt["prooftype"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn a_newcomer_goes_from_sign_up_to_a_chat_in_each_mode() {
    let world = world();
    let platform = Platform::start(world);
    println!("{}", platform.welcome(world, &FIRST));
    let waiting = Mutex::new(OTHERS.iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("lock").next();
                    let Some(next) = next else { break };
                    println!("{}", platform.welcome(world, next));
                }
            });
        }
    });
}
