//! Two dozen induced faults, and what is said about each: on the peer's page in a real browser, at two widths, light and
//! dark, and by `domicile peer show`: a code, a sentence, whose side it is and a remedy, each fault's its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::browser::browse;
use crate::lab::actor::{Actor, Answers, Script, network};
use crate::lab::authority::{Identity, Shape, Told};
use crate::lab::house::{House, unique};
use crate::lab::http::Page;
use crate::lab::kept::directory;
use crate::lab::meeting::{Met, written};
use crate::lab::table::{Row, check};
use crate::lab::world::{BLOCKED, BOTH, CHOOSY, CLOSED, OPEN, PINNED, STRICT, World, world};

/// A fault, the hosted domain that meets it, and who has it.
pub struct Fault {
    pub words: &'static str,
    pub local: &'static str,
    pub peer: String,
    /// Listens for as long as it is needed.
    actor: Option<Actor>,
}

impl Fault {
    pub fn of(words: &'static str, local: &'static str, actor: Actor) -> Self {
        Self {
            words,
            local,
            peer: actor.domain.clone(),
            actor: Some(actor),
        }
    }

    /// Nobody there.
    fn nobody(words: &'static str, local: &'static str, peer: &str) -> Self {
        Self {
            words,
            local,
            peer: peer.into(),
            actor: None,
        }
    }
}

/// What is wrong with the certificate.
fn of_certificates(world: &World) -> Vec<Fault> {
    let shaped = |shape| world.peer("fault", "unsigned.example", shape, Script::default());
    let mut faults: Vec<Fault> = [
        ("its certificate has expired", Shape::Expired),
        ("its certificate is not valid yet", Shape::NotYetValid),
        ("its certificate is self-signed", Shape::SelfSigned),
        ("its certificate names somebody else", Shape::WrongName),
        ("its certificate is for clients only", Shape::ClientAuth),
        ("it leaves its intermediate out", Shape::MissingIntermediate),
    ]
    .map(|(words, shape)| Fault::of(words, STRICT, shaped(shape)))
    .into();

    let revoked = format!("{}.unsigned.example", unique("fault"));
    let lists = format!("lists.{revoked}");
    world.web(&lists);
    let list = Page::Binary(world.ca.revoked(&[9_000]));
    world.site.page(&lists, "/it.crl", list);
    let url = format!("http://{lists}/it.crl");
    let identity = world.ca.revocable(&revoked, 9_000, &Told::List(url));
    faults.push(Fault::of(
        "its certificate has been revoked",
        STRICT,
        world.peer_with(&revoked, identity, Script::default()),
    ));

    let changed = PINNED[0];
    let identity = world.ca.shaped(changed, Shape::ServerAuth);
    faults.push(Fault::of(
        "its authority is not the pinned one",
        CHOOSY,
        world.peer_with(changed, identity, Script::default()),
    ));
    faults
}

/// What DNS and website announce is something else.
fn of_announcements(world: &World) -> Vec<Fault> {
    let peer = |zone: &str, shape, announce: &dyn Fn(&str, &Identity)| {
        let domain = format!("{}.{zone}", unique("fault"));
        let identity = world.ca.shaped(&domain, shape);
        announce(&domain, &identity);
        world.peer_with(&domain, identity, Script::default())
    };
    let other = |domain: &str| world.ca.shaped(domain, Shape::Untrusted);
    vec![
        Fault::of(
            "its TLSA record is of another key",
            STRICT,
            peer("signed.example", Shape::ServerAuth, &|domain, _| {
                world.tlsa(&format!("xmpp.{domain}"), &other(domain).tlsa_311());
            }),
        ),
        Fault::of(
            "its POSH document is of another certificate",
            STRICT,
            peer("unsigned.example", Shape::Untrusted, &|domain, _| {
                world.posh(domain, &[&other(domain)]);
            }),
        ),
        Fault::of(
            "its POSH document makes no sense",
            STRICT,
            peer("unsigned.example", Shape::Untrusted, &|domain, _| {
                world.web(domain);
                let page = Page::Json("<html/>".into());
                world.site.page(domain, crate::lab::world::POSH_PATH, page);
            }),
        ),
        Fault::of(
            "the website that vouches for it has a bad certificate",
            STRICT,
            peer("unsigned.example", Shape::Untrusted, &|domain, identity| {
                world.posh(domain, &[identity]);
                let stranger = world.ca.shaped(domain, Shape::SelfSigned);
                world.site.identity(domain, &stranger);
            }),
        ),
    ]
}

/// What is wrong with the way there.
fn of_the_way(world: &World) -> Vec<Fault> {
    let lost = format!("{}.unsigned.example", unique("nobody"));
    let deaf = format!("{}.unsigned.example", unique("deaf"));
    let addressless = format!("{}.unsigned.example", unique("addressless"));
    let srv = |domain: &str, host: &str| {
        format!("_xmpp-server._tcp.{domain} SRV 0 5 5269 {host}.{domain}.")
    };
    world.zones.add(&[
        format!("xmpp.{deaf} A {}", network()),
        srv(&deaf, "xmpp"),
        srv(&addressless, "nowhere"),
    ]);
    vec![
        Fault::nobody("the DNS does not know it", OPEN, &lost),
        Fault::nobody("its SRV target has no address", OPEN, &addressless),
        Fault::nobody("its zone is wrongly signed", BOTH, "lie.bogus.example"),
        Fault::nobody("its name servers are silent", OPEN, "fault.silent.example"),
        Fault::nobody("nobody listens where it should be", OPEN, &deaf),
        Fault::nobody("it is blocked", CHOOSY, BLOCKED),
        Fault::nobody("it is not on the list of allowed ones", CLOSED, &lost),
    ]
}

/// What is wrong with how it talks.
fn of_talking(world: &World) -> Vec<Fault> {
    let scripted = |script| world.peer("fault", "unsigned.example", Shape::ServerAuth, script);
    let good = Script::default;
    vec![
        Fault::of(
            "it refuses TLS",
            OPEN,
            scripted(Script {
                identity_called: false,
                ..good()
            }),
        ),
        Fault::of(
            "its TLS breaks",
            OPEN,
            scripted(Script {
                breaks_tls: true,
                ..good()
            }),
        ),
        Fault::of(
            "it offers neither EXTERNAL nor dialback",
            OPEN,
            scripted(Script {
                external: false,
                dialback: false,
                ..good()
            }),
        ),
        Fault::of(
            "it takes no certificate without clientAuth",
            OPEN,
            scripted(Script {
                external_succeeds: false,
                dialback: false,
                ..good()
            }),
        ),
        Fault::of(
            "it refutes our dialback keys",
            OPEN,
            scripted(Script {
                external: false,
                answers: Answers::AlwaysInvalid,
                takes_keys: false,
                ..good()
            }),
        ),
    ]
}

/// What the peer's page says about the last attempt, as a person reads it.
pub struct Read {
    pub why: String,
    pub side: String,
    pub remedy: String,
}

/// Opens the page of every fault in Chromium, signed in as the operator, and reads it.
pub fn read_in_the_panel(house: &House, faults: &[Fault]) -> Vec<Read> {
    let pages: Vec<Value> = faults
        .iter()
        .map(|fault| {
            let name = fault.words.replace(' ', "-");
            let path = format!("/domains/{}/federation/{}", fault.local, fault.peer);
            json!({ "name": name, "path": path })
        })
        .collect();
    let (login, password) = crate::lab::house::OPERATOR;
    let plan = json!({
        "panel": format!("http://{}:8080", house.ip),
        "operator": { "login": login, "password": password },
        "list": format!("/domains/{}/federation", faults[0].local),
        "pages": pages,
    });
    let said = browse("faults", plan, &directory(), 5);
    let said = said.as_array().expect("a page each");
    assert_eq!(said.len(), faults.len());
    said.iter()
        .zip(faults)
        .map(|(page, fault)| {
            let part = |key: &str| {
                let text = page[key].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{}: no {key}: {page:#}", fault.words);
                // What the sentences have in common but the names.
                let text = text.replace(&fault.peer, "the peer");
                text.replace(fault.local, "the hosted domain")
            };
            Read {
                why: part("why"),
                side: part("side"),
                remedy: part("remedy"),
            }
        })
        .collect()
}

/// Whose side, and the whole last attempt, as `domicile peer show` says them.
pub fn shown(house: &House, fault: &Fault) -> (String, Value) {
    let args = ["peer", "show", fault.local, &fault.peer, "--json"];
    let (code, text) = house.command(&args);
    assert_eq!(code, 0, "{text}");
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    let last = shown["attempts"][0].clone();
    (last["side"].as_str().unwrap_or_default().to_owned(), last)
}

/// No two faults share what is said about them.
pub fn all_different<'a>(what: &str, said: impl Iterator<Item = (&'static str, &'a str)>) {
    let mut seen = BTreeMap::new();
    for (fault, text) in said {
        if let Some(other) = seen.insert(text.to_owned(), fault) {
            panic!("{fault:?} and {other:?} have the same {what}: {text}");
        }
    }
}

/// DNA-20: what went wrong is exposed, so that a person can tell whose side has to change what.
#[test]
fn dna_20_every_fault_has_an_explanation_of_its_own() {
    let world = world();
    let faults: Vec<Fault> = [
        of_certificates(world),
        of_announcements(world),
        of_the_way(world),
        of_talking(world),
    ]
    .into_iter()
    .flatten()
    .collect();
    let met: Vec<Met> = std::thread::scope(|scope| {
        let running: Vec<_> = faults
            .iter()
            .map(|fault| {
                scope.spawn(move || {
                    let arrived = |id: &str| fault.actor.as_ref().is_some_and(|a| a.count(id) > 0);
                    let met = written(world, fault.local, &fault.peer, arrived);
                    assert!(
                        met.outcome.starts_with("bounced"),
                        "{}: {met:?}",
                        fault.words
                    );
                    met
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a fault"))
            .collect()
    });
    let read = read_in_the_panel(&world.house, &faults);
    let words = || faults.iter().map(|fault| fault.words);
    all_different(
        "explanation",
        words().zip(read.iter().map(|r| r.why.as_str())),
    );
    all_different(
        "remedy",
        words().zip(read.iter().map(|r| r.remedy.as_str())),
    );

    let mut rows: Vec<Row> = Vec::new();
    let mut codes = Vec::new();
    for ((fault, met), read) in faults.iter().zip(met).zip(&read) {
        let (side, last) = shown(&world.house, fault);
        let told = last["why"].as_str().unwrap_or_default();
        let told = told
            .replace(&fault.peer, "the peer")
            .replace(fault.local, "the hosted domain");
        assert_eq!(told, read.why, "{}", fault.words);
        let owner = match side.as_str() {
            "theirs" | "dns" => "Theirs",
            "network" => "Nobody",
            "ours" => "Ours",
            _ => "Yours",
        };
        assert!(
            read.side.starts_with(owner),
            "{}: {}",
            fault.words,
            read.side
        );
        let policy = match fault.local {
            STRICT => "authenticated",
            _ => "encrypted",
        };
        let mut row = met.row("scripted", fault.words, policy, "out");
        codes.push(row.refusal.clone());
        row.refusal += &format!("; side: {side}");
        rows.push(row);
    }
    codes.sort();
    codes.dedup();
    assert!(codes.len() >= 20, "{codes:?}");
    check("faults", &rows);
}
