//! The examples of the XEPs, walked: the request of each is sent to the running server, in our own names, and the structure of
//! what comes back is compared with that of the answer in the text.
//!
//! What is walked stands in `examples/NNNN.txt`, a file for each XEP:
//!
//! ```text
//! xep 0092 1.1 4 Software Version      number, version of the text, examples in it, title
//!
//! = 1 2 what is asked, in words        the examples that follow
//! alice sends:                         who; an iq is given an id
//! <iq …/>
//! alice gets:                          an answer, or whatever comes, that has at least this
//! <iq …/>
//! ```
//!
//! In what is expected, `*` stands for anything, `$name` for something that is remembered and may be used later, and a child with
//! `not='here'` for one that must not be there. People: `alice` and `phone` are two devices of one account, `bob` is at the same
//! domain, `carol` at another one here; `wire` is a connection under TLS before anybody has logged in. `docs/conformance.md` is
//! made of the files' heads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::tree::{Tree, parse};
use crate::harness::demo::Demo;
use crate::harness::tools::repository;
use crate::harness::xmpp::{Client, Connection};

const PEOPLE: [(&str, &str, &str); 4] = [
    ("alice", "alice@one.example", "desk"),
    ("phone", "alice@one.example", "phone"),
    ("bob", "bob@one.example", "desk"),
    ("carol", "alice@two.example", "desk"),
];
/// Looks at what has come, a tenth of a second apart, before it is said that something has not.
const LOOKS: usize = 50;

/// The examples of one XEP.
struct Xep {
    number: String,
    version: String,
    examples: usize,
    title: String,
    scenes: Vec<Scene>,
}

/// Some examples that belong together.
struct Scene {
    numbers: Vec<usize>,
    about: String,
    steps: Vec<Step>,
}

struct Step {
    who: String,
    what: What,
    xml: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sends,
    Gets,
    /// Of the wire: a new connection, or a new stream on it.
    Opens,
    Restarts,
}

fn read_all() -> Vec<Xep> {
    let dir = repository().join("tests/conformance/examples");
    let files = std::fs::read_dir(dir).expect("examples");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("an example");
    files.iter().map(|path| xep(&read(path))).collect()
}

fn xep(text: &str) -> Xep {
    let mut lines = text.lines();
    let head = lines.next().expect("a head");
    let mut words = head.splitn(5, ' ').skip(1).map(str::to_owned);
    let mut word = || words.next().unwrap_or_else(|| panic!("{head}"));
    let mut xep = Xep {
        number: word(),
        version: word(),
        examples: word().parse().expect("how many"),
        title: word(),
        scenes: Vec::new(),
    };
    for line in lines.map(str::trim_end).filter(|line| !line.is_empty()) {
        if let Some(scene) = line.strip_prefix("= ") {
            let words: Vec<&str> = scene.split(' ').collect();
            let numbers = words.iter().map_while(|word| word.parse().ok());
            let numbers: Vec<usize> = numbers.collect();
            let about = words[numbers.len()..].join(" ");
            xep.scenes.push(Scene {
                numbers,
                about,
                steps: Vec::new(),
            });
            continue;
        }
        let scene = xep.scenes.last_mut().unwrap_or_else(|| panic!("{line}"));
        match step(line) {
            Some(step) => scene.steps.push(step),
            None => {
                let step = scene.steps.last_mut().unwrap_or_else(|| panic!("{line}"));
                step.xml.push_str(line.trim_start());
            }
        }
    }
    xep
}

fn step(line: &str) -> Option<Step> {
    let (who, what) = line.strip_suffix(':')?.split_once(' ')?;
    let what = match what {
        "sends" => What::Sends,
        "gets" => What::Gets,
        "opens" => What::Opens,
        "restarts" => What::Restarts,
        _ => return None,
    };
    Some(Step {
        who: who.to_owned(),
        what,
        xml: String::new(),
    })
}

/// Somebody with a session, and what has come for them.
struct Actor {
    client: Client,
    inbox: Vec<String>,
    last_id: String,
}

struct Stage<'a> {
    demo: &'a Demo,
    people: BTreeMap<String, Actor>,
    wire: Option<Connection>,
    known: BTreeMap<String, String>,
    ids: usize,
}

impl<'a> Stage<'a> {
    fn new(demo: &'a Demo) -> Self {
        let secret = |jid: &str| {
            let (user, _) = jid.split_once('@').expect("an address");
            BASE64.encode(format!("\0{user}\0{}", demo.password(jid)))
        };
        Self {
            demo,
            people: BTreeMap::new(),
            wire: None,
            known: BTreeMap::from([("plain".to_owned(), secret("alice@one.example"))]),
            ids: 0,
        }
    }

    fn play(&mut self, scene: &Scene) -> Result<(), String> {
        self.people
            .values_mut()
            .for_each(|actor| actor.inbox.clear());
        for step in &scene.steps {
            match (step.who.as_str(), step.what) {
                ("wire", _) => self.at_wire(step)?,
                (_, What::Sends) => self.sends(step)?,
                _ => self.gets(step)?,
            }
        }
        Ok(())
    }

    fn actor(&mut self, who: &str) -> Result<&mut Actor, String> {
        if !self.people.contains_key(who) {
            let found = PEOPLE.iter().find(|(name, ..)| *name == who);
            let (_, jid, resource) = found.ok_or_else(|| format!("nobody is called {who}"))?;
            let mut client = Client::online(self.demo, jid, resource);
            client.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
            let actor = Actor {
                client,
                inbox: Vec::new(),
                last_id: String::new(),
            };
            self.people.insert(who.to_owned(), actor);
        }
        self.people.get_mut(who).ok_or_else(String::new)
    }

    fn sends(&mut self, step: &Step) -> Result<(), String> {
        let mut xml = filled(&step.xml, &self.known);
        self.ids += 1;
        let id = format!("example-{}", self.ids);
        let answers = xml.starts_with("<iq type='result'");
        if let Some(rest) = xml.strip_prefix("<iq ").filter(|_| !answers) {
            xml = format!("<iq id='{id}' {rest}");
        }
        let actor = self.actor(&step.who)?;
        if !answers {
            actor.last_id = id;
        }
        actor.client.send(&xml);
        Ok(())
    }

    fn gets(&mut self, step: &Step) -> Result<(), String> {
        let wanted = parse(&filled(&step.xml, &self.known))?;
        let known = self.known.clone();
        let actor = self.actor(&step.who)?;
        let kind = wanted.attrs.get("type").map(String::as_str);
        let answer = wanted.name == "iq" && matches!(kind, Some("result" | "error"));
        let own = format!("id='{}'", actor.last_id);
        for _ in 0..LOOKS {
            let come = actor.client.settle();
            actor.inbox.extend(come);
            for at in 0..actor.inbox.len() {
                let item = &actor.inbox[at];
                if answer && !item.contains(&own) {
                    continue;
                }
                let mut learnt = known.clone();
                match fits(&wanted, &parse(item)?, &mut learnt) {
                    Ok(()) => {
                        actor.inbox.remove(at);
                        self.known = learnt;
                        return Ok(());
                    }
                    Err(why) if answer => return Err(format!("{why} in {item}")),
                    Err(_) => {}
                }
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let have = actor.inbox.join("\n    ");
        Err(format!(
            "{} gets no {}; has\n    {have}",
            step.who, step.xml
        ))
    }

    fn at_wire(&mut self, step: &Step) -> Result<(), String> {
        if step.what == What::Opens {
            let mut wire = Connection::open(self.demo.info.c2s, "one.example");
            wire.negotiate_tls(self.demo.roots());
            wire.header();
            self.wire = Some(wire);
            return Ok(());
        }
        let wire = self.wire.as_mut().ok_or("the wire is not open")?;
        match step.what {
            What::Restarts => drop(wire.header()),
            What::Sends => wire.send(&filled(&step.xml, &self.known)),
            _ => {
                let wanted = parse(&filled(&step.xml, &self.known))?;
                loop {
                    let item = wire.next().ok_or("the server has closed")?;
                    let got = parse(&item)?;
                    if (&got.ns, &got.name) == (&wanted.ns, &wanted.name) {
                        let fits = fits(&wanted, &got, &mut self.known);
                        return fits.map_err(|why| format!("{why} in {item}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is known in place of its name.
fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in known.iter().rev() {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// Whether a value is what is wanted; something with a name is remembered.
fn is(wanted: &str, got: &str, known: &mut BTreeMap<String, String>) -> bool {
    match wanted.strip_prefix('$') {
        Some(name) => known.entry(name.to_owned()).or_insert(got.to_owned()) == got,
        None => wanted == "*" || wanted == got,
    }
}

/// Whether an element has all that is wanted of it.
fn fits(wanted: &Tree, got: &Tree, known: &mut BTreeMap<String, String>) -> Result<(), String> {
    if (&wanted.ns, &wanted.name) != (&got.ns, &got.name) {
        return Err(format!("{} is no {}", got.name, wanted.name));
    }
    for (name, value) in &wanted.attrs {
        let found = got.attrs.get(name);
        if !found.is_some_and(|found| is(value, found, known)) {
            return Err(format!("<{}/> has {name}={found:?}, not {value}", got.name));
        }
    }
    let text = wanted.text.trim();
    if !text.is_empty() && !is(text, got.text.trim(), known) {
        return Err(format!("<{}/> says {:?}, not {text}", got.name, got.text));
    }
    for child in &wanted.children {
        let mut child = child.clone();
        let unwanted = child.attrs.remove("not").is_some();
        let mut why = format!("<{}/> has no <{}/>", got.name, child.name);
        let there = got.children.iter().any(|other| {
            let mut learnt = known.clone();
            let fit = fits(&child, other, &mut learnt);
            match fit {
                Ok(()) => *known = learnt,
                Err(ref reason) if other.name == child.name => why.clone_from(reason),
                Err(_) => {}
            }
            fit.is_ok()
        });
        if there == unwanted {
            return Err(why);
        }
    }
    Ok(())
}

#[test]
fn every_example_that_is_written_down_is_answered_as_its_xep_says() {
    let demo = Demo::start();
    let mut wrong = String::new();
    for xep in read_all() {
        // Everybody anew, so that one XEP's example leaves nothing open for the next.
        let mut stage = Stage::new(&demo);
        let steps = xep.scenes.iter().flat_map(|scene| &scene.steps);
        for who in steps
            .map(|step| step.who.as_str())
            .filter(|who| *who != "wire")
        {
            stage.actor(who).map(drop).expect("somebody with a session");
        }
        for scene in &xep.scenes {
            if let Err(why) = stage.play(scene) {
                let (number, about) = (&xep.number, &scene.about);
                let _ = writeln!(wrong, "XEP-{number} {:?}, {about}: {why}", scene.numbers);
            }
        }
        stage
            .people
            .into_values()
            .for_each(|actor| actor.client.close());
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_table_of_examples_is_what_is_walked() {
    let mut page = String::from(
        "# Examples of the XEPs\n\nGenerated from `tests/conformance/examples`; `DOMICILE_WRITE_DOCS=1 cargo test -p domicile --test system \
         conformance` rewrites it.\n\nThe requests of these examples are sent to the running server, in names of its own, and the structure of \
         what it answers\nis compared with the answers in the texts. What is not walked is what another party says, what a text shows as\n\
         wrong or as a variant, and what has a test of its own.\n\n\
         | XEP | version of the text | examples | walked | which |\n|---|---|---|---|---|\n",
    );
    let (mut all, mut some) = (0, 0);
    for xep in read_all() {
        let walked: BTreeSet<usize> = xep
            .scenes
            .iter()
            .flat_map(|scene| scene.numbers.clone())
            .collect();
        let last = walked.last().copied().unwrap_or_default();
        assert!(
            last <= xep.examples,
            "XEP-{}: no example {last}",
            xep.number
        );
        all += xep.examples;
        some += walked.len();
        let which: Vec<String> = walked.iter().map(usize::to_string).collect();
        let _ = writeln!(
            page,
            "| XEP-{} {} | {} | {} | {} | {} |",
            xep.number,
            xep.title,
            xep.version,
            xep.examples,
            walked.len(),
            which.join(", ")
        );
    }
    let _ = writeln!(page, "| | | {all} | {some} | |");
    let path = repository().join("docs/conformance.md");
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/conformance.md");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "docs/conformance.md is another table");
}
