//! Plays the scenes of an example with real connections, and says where the server answers differently.
//!
//! In what is expected, `*` stands for anything, `$name` for something that is remembered and may be used later, and a child with
//! `not='here'` for one that must not be there. An iq is given an id where it has none. People: `alice`, `phone` and `tablet` are
//! devices of one account, `bob` is at the same domain, `carol` and `dave` at another one here. `wire` is a connection under TLS
//! before anybody has logged in, for which `$fast` and `$scram` are computed, and which shows a certificate where it opens
//! `with` one ([`Certificates`]); `former` is the one before, where another is opened `beside it`. `component` is one of the
//! component `bridge.one.example`, `http` the public web door, with as many requests at once as are asked, answered in their
//! order. The `owner` of both domains runs commands of `domicile`.
//!
//! Between servers there are `peer`, `caller` and `called` ([`Servers`]), and `juliet`, who is at the house that they speak with.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ClientConfig;
use sha1::{Digest as _, Sha1};

use super::certified::Certificates;
use super::script::{Scene, Step, What};
use super::secrets;
use super::servers::Servers;
use super::tree::{Tree, parse};
use crate::harness::demo::Demo;
use crate::harness::tools::domicile;
use crate::harness::web::{self, Asked};
use crate::harness::xmpp::{Client, Connection, between, tls_config};
use crate::lab::world::{OPEN, world};

const PEOPLE: [(&str, &str, &str); 6] = [
    ("alice", "alice@one.example", "desk"),
    ("phone", "alice@one.example", "phone"),
    ("tablet", "alice@one.example", "tablet"),
    ("bob", "bob@one.example", "desk"),
    ("carol", "alice@two.example", "desk"),
    ("dave", "bob@two.example", "desk"),
];
/// Looks at what has come, a tenth of a second apart, before it is said that something has not.
const LOOKS: usize = 50;
const COMPONENT: &str = "bridge.one.example";
/// Bytes that nobody may send who has not logged in.
const TOO_LONG: usize = 20_000;
/// At the house of the laboratory; her address has this name, too.
const JULIET: &str = "juliet";

/// Somebody with a session, and what has come for them.
struct Actor {
    client: Client,
    inbox: Vec<String>,
    last_id: String,
    /// What is sent again until it is answered as it should be.
    again: Option<String>,
}

impl Actor {
    fn of(client: Client) -> Self {
        Self {
            client,
            inbox: Vec::new(),
            last_id: String::new(),
            again: None,
        }
    }
}

/// A request to the web door.
struct Request {
    name: String,
    line: String,
    /// Whole lines.
    headers: String,
    body: String,
}

impl Request {
    fn send(&self, demo: &Demo) -> Asked {
        let body = self.body.as_bytes();
        web::send(demo, &self.name, &self.line, &self.headers, body)
    }
}

/// Everybody who takes part in the examples of one XEP.
pub struct Stage<'a> {
    demo: &'a Demo,
    /// Where everybody connects from: one address for all of them would be one that logs in too often.
    source: Ipv4Addr,
    people: BTreeMap<String, Actor>,
    wire: Option<Connection>,
    former: Option<Connection>,
    certificates: Option<Certificates>,
    component: Option<Connection>,
    servers: Servers,
    asked: VecDeque<(Request, Asked)>,
    known: BTreeMap<String, String>,
    ids: usize,
}

impl<'a> Stage<'a> {
    pub fn new(demo: &'a Demo, number: u16) -> Self {
        let secret = |jid: &str| {
            let (user, _) = jid.split_once('@').expect("an address");
            BASE64.encode(format!("\0{user}\0{}", demo.password(jid)))
        };
        let port = web::door(demo).port();
        let [high, low] = number.to_be_bytes();
        Self {
            demo,
            source: Ipv4Addr::new(127, 99, high, low),
            people: BTreeMap::new(),
            wire: None,
            former: None,
            certificates: None,
            component: None,
            servers: Servers::default(),
            asked: VecDeque::new(),
            known: BTreeMap::from([
                ("plain".to_owned(), secret("alice@one.example")),
                ("webport".to_owned(), port.to_string()),
                (
                    "panel".to_owned(),
                    demo.info.panel.trim_end_matches('/').to_owned(),
                ),
            ]),
            ids: 0,
        }
    }

    /// Has everybody who occurs log in, before anything is said.
    pub fn gather(&mut self, scenes: &[Scene]) {
        let steps = scenes.iter().flat_map(|scene| &scene.steps);
        for who in steps.map(|step| step.who.as_str()) {
            if PEOPLE.iter().any(|(name, ..)| *name == who) {
                self.actor(who).map(drop).expect("somebody with a session");
            }
        }
    }

    /// Everybody leaves.
    pub fn close(self) {
        let actors = self.people.into_values();
        actors.for_each(|actor| actor.client.close());
    }

    pub fn play(&mut self, scene: &Scene) -> Result<(), String> {
        let actors = self.people.values_mut();
        actors.for_each(|actor| actor.inbox.clear());
        for step in &scene.steps {
            let names = |name| step.xml().contains(name);
            if names("$authorityfile") || names("$uploadedcert") {
                self.certificates();
            }
            if names("$toolong") {
                let text = "x".repeat(TOO_LONG);
                self.known.insert("toolong".into(), text);
            }
            match (step.who.as_str(), step.what) {
                ("wire" | "former", _) => self.at_wire(step)?,
                ("peer" | "caller" | "called", _) => self.servers.play(step, &mut self.known)?,
                ("component", _) => self.at_component(step)?,
                ("http", What::Asks) => self.asks(step)?,
                ("http", _) => self.answered(step)?,
                ("owner", _) => self.runs(step)?,
                (_, What::Opens) => self.logs_in(step)?,
                (_, What::Ends) => self.leaves(step)?,
                (_, What::Sends | What::Tries) => self.sends(step)?,
                (_, What::Lacks) => self.lacks(step)?,
                _ => self.gets(step)?,
            }
        }
        Ok(())
    }

    fn actor(&mut self, who: &str) -> Result<&mut Actor, String> {
        if !self.people.contains_key(who) {
            let actor = self.arrival(who)?;
            if who == JULIET {
                self.known.insert(who.to_owned(), actor.client.jid.clone());
            }
            self.people.insert(who.to_owned(), actor);
        }
        self.people.get_mut(who).ok_or_else(String::new)
    }

    /// A connection whose stream header has been answered, before TLS. A server with much to do turns connections away; it is then
    /// tried again.
    fn door(&self, domain: &str) -> Connection {
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        for _ in 0..LOOKS {
            let mut connection = Connection::open_from(self.source, self.demo.info.c2s, domain);
            if connection.send_bytes(header.as_bytes()).is_ok() && connection.next().is_some() {
                return connection;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        panic!("no connection to {domain} is let in");
    }

    /// The same under TLS, whose stream has not begun.
    fn secure(&self, domain: &str) -> Connection {
        self.secure_as(domain, tls_config(self.demo.roots(), &[]))
    }

    fn secure_as(&self, domain: &str, tls: ClientConfig) -> Connection {
        let mut connection = self.door(domain);
        let features = connection.item();
        assert!(features.contains("<starttls"), "{features}");
        connection.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        let proceed = connection.item();
        assert!(proceed.contains("<proceed"), "{proceed}");
        connection
            .start_tls(tls, domain)
            .expect("handshake with the domain's own certificate");
        connection
    }

    fn login(&self, jid: &str, resource: &str) -> Client {
        let (user, domain) = jid.split_once('@').expect("an address");
        let password = self.demo.password(jid);
        Client::authenticate(self.secure(domain), user, password, resource)
    }

    fn arrival(&self, who: &str) -> Result<Actor, String> {
        if who == JULIET {
            return Ok(Actor::of(world().alice(OPEN)));
        }
        let found = PEOPLE.iter().find(|(name, ..)| *name == who);
        let (_, jid, resource) = found.ok_or_else(|| format!("nobody is called {who}"))?;
        let mut client = self.login(jid, resource);
        client.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
        Ok(Actor::of(client.available()))
    }

    /// Anew, with the initial presence that is said here, if one is.
    fn logs_in(&mut self, step: &Step) -> Result<(), String> {
        let found = PEOPLE.iter().find(|(name, ..)| *name == step.who);
        let (_, jid, resource) = found.ok_or_else(|| format!("nobody is called {}", step.who))?;
        self.leaves(step)?;
        let mut actor = Actor::of(self.login(jid, resource));
        if !step.lines.is_empty() {
            actor.client.send(&filled(&step.xml(), &self.known));
        }
        self.people.insert(step.who.clone(), actor);
        Ok(())
    }

    fn leaves(&mut self, step: &Step) -> Result<(), String> {
        if let Some(actor) = self.people.remove(&step.who) {
            actor.client.close();
        }
        Ok(())
    }

    fn sends(&mut self, step: &Step) -> Result<(), String> {
        let mut xml = filled(&step.xml(), &self.known);
        self.ids += 1;
        let id = format!("example-{}", self.ids);
        let answers = xml.starts_with("<iq type='result'") || xml.starts_with("<iq type='error'");
        if let Some(rest) = xml.strip_prefix("<iq ").filter(|_| !answers) {
            xml = format!("<iq id='{id}' {rest}");
        }
        let actor = self.actor(&step.who)?;
        if !answers {
            actor.last_id = id;
        }
        actor.client.send(&xml);
        actor.again = (step.what == What::Tries).then_some(xml);
        Ok(())
    }

    fn gets(&mut self, step: &Step) -> Result<(), String> {
        let wanted = parse(&filled(&step.xml(), &self.known))?;
        let known = self.known.clone();
        let actor = self.actor(&step.who)?;
        let kind = wanted.attrs.get("type").map(String::as_str);
        let answer = wanted.name == "iq" && matches!(kind, Some("result" | "error"));
        let own = format!("id='{}'", actor.last_id);
        let again = actor.again.take();
        for _ in 0..LOOKS {
            let come = actor.client.settle();
            actor.inbox.extend(come);
            let mut tried = false;
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
                    Err(_) if answer && again.is_some() => tried = true,
                    Err(why) if answer => return Err(format!("{why} in {item}")),
                    Err(_) => {}
                }
            }
            if let (true, Some(xml)) = (tried, &again) {
                actor.inbox.retain(|item| !item.contains(&own));
                actor.client.send(xml);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let have = actor.inbox.join("\n    ");
        Err(format!(
            "{} gets no {}; has\n    {have}",
            step.who,
            step.xml()
        ))
    }

    fn lacks(&mut self, step: &Step) -> Result<(), String> {
        let unwanted = parse(&filled(&step.xml(), &self.known))?;
        let mut known = self.known.clone();
        let actor = self.actor(&step.who)?;
        let come = actor.client.settle();
        actor.inbox.extend(come);
        for item in &actor.inbox {
            if fits(&unwanted, &parse(item)?, &mut known).is_ok() {
                return Err(format!("{} gets {item}", step.who));
            }
        }
        Ok(())
    }

    fn at_wire(&mut self, step: &Step) -> Result<(), String> {
        if step.what == What::Opens {
            let before = self.wire.take();
            self.former = before.filter(|_| step.xml() == "beside it");
            self.wire = Some(self.wire_opens(&step.xml())?);
            return Ok(());
        }
        let wire = match step.who.as_str() {
            "former" => self.former.as_mut(),
            _ => self.wire.as_mut(),
        };
        let wire = wire.ok_or("the wire is not open")?;
        match step.what {
            What::Restarts => drop(wire.header()),
            What::Sends => {
                let xml = step.xml();
                let password = self.demo.password("alice@one.example");
                for (name, proof) in secrets::asked_for(&xml, &self.known, password, Some(wire)) {
                    self.known.insert(name, proof);
                }
                wire.send(&filled(&xml, &self.known));
            }
            What::Ends => self.wire = None,
            _ => return next_is(wire, step, &mut self.known),
        }
        Ok(())
    }

    fn wire_opens(&mut self, how: &str) -> Result<Connection, String> {
        if how == "without TLS" {
            return Ok(self.door("one.example"));
        }
        let roots = self.demo.roots();
        let tls = match how.strip_prefix("with ") {
            Some(name) => self.certificates().shown(name, roots)?,
            None => tls_config(roots, &[]),
        };
        let mut wire = self.secure_as("one.example", tls);
        wire.header();
        Ok(wire)
    }

    /// Made when they are first asked for, with their names.
    fn certificates(&mut self) -> &Certificates {
        let known = &mut self.known;
        self.certificates.get_or_insert_with(|| {
            let made = Certificates::new();
            known.extend(made.names());
            made
        })
    }

    fn at_component(&mut self, step: &Step) -> Result<(), String> {
        if step.what == What::Opens {
            let (wire, proof) = self.component_opens(&step.xml())?;
            self.known.insert("proof".into(), proof);
            self.component = Some(wire);
            return Ok(());
        }
        let wire = self.component.as_mut().ok_or("no component")?;
        match step.what {
            What::Sends => wire.send(&filled(&step.xml(), &self.known)),
            What::Ends => self.component = None,
            _ => return next_is(wire, step, &mut self.known),
        }
        Ok(())
    }

    /// A component's connection with its header, and what shows that it knows the secret (XEP-0114 3). The server hears of a new
    /// component, or of the end of its last connection, a moment later; so it is tried with connections of its own first.
    fn component_opens(&mut self, name: &str) -> Result<(Connection, String), String> {
        let name = if name.is_empty() { COMPONENT } else { name };
        let secret = match self.known.get("secret") {
            Some(secret) => secret.clone(),
            None => {
                let _ = self.command("component remove one.example bridge");
                let made = self.command("component add one.example bridge --json")?;
                let secret = between(&made, "\"secret\":", "\",")
                    .or_else(|| between(&made, "\"secret\":", "\"}"));
                let secret = secret.ok_or_else(|| made.clone())?;
                let secret = secret.trim().trim_matches('"').to_owned();
                self.known.insert("secret".into(), secret.clone());
                secret
            }
        };
        let mut last = String::new();
        for _ in 0..LOOKS {
            let Some((mut wire, header)) = component_hello(self.demo, name) else {
                std::thread::park_timeout(Duration::from_millis(100));
                continue;
            };
            let id = between(&header, " id='", "'").unwrap_or_default();
            let hash = Sha1::digest(format!("{id}{secret}").as_bytes());
            let proof: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            if name != COMPONENT {
                return Ok((wire, proof));
            }
            wire.send(&format!("<handshake>{proof}</handshake>"));
            last = wire.next().unwrap_or_default();
            if last == "<handshake/>" {
                return Ok((wire, proof));
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Err(format!("the component is not let in: {last}"))
    }

    /// A request to the web door: `METHOD https://NAME/PATH`, header lines, and a body that begins with `<`, `{`, or `=`, which is
    /// no part of it.
    fn asks(&mut self, step: &Step) -> Result<(), String> {
        let password = self.demo.password("alice@one.example");
        let proofs = secrets::asked_for(&step.xml(), &self.known, password, None);
        self.known.extend(proofs);
        let lines = step.lines.iter().map(|line| filled(line, &self.known));
        let lines: Vec<String> = lines.collect();
        let (first, rest) = lines.split_first().ok_or("no request")?;
        let (method, url) = first.split_once(' ').ok_or("no request")?;
        let (name, path) = url
            .strip_prefix("https://")
            .and_then(|url| url.split_once('/'))
            .ok_or_else(|| format!("no address: {url}"))?;
        let at = rest
            .iter()
            .position(|line| line.starts_with(['<', '{', '=']));
        let (headers, body) = rest.split_at(at.unwrap_or(rest.len()));
        let body = body.concat();
        let request = Request {
            name: name.split(':').next().unwrap_or_default().to_owned(),
            line: format!("{method} /{path}"),
            headers: headers.iter().map(|line| format!("{line}\r\n")).collect(),
            body: body.strip_prefix('=').unwrap_or(&body).to_owned(),
        };
        let asked = request.send(self.demo);
        self.asked.push_back((request, asked));
        Ok(())
    }

    /// What the oldest request is answered: a status, header lines, and XML that has at least this, or text after `=`. Where the server
    /// has too much to do, it is asked again.
    fn answered(&mut self, step: &Step) -> Result<(), String> {
        let (request, asked) = self.asked.pop_front().ok_or("nothing was asked")?;
        let mut answer = asked.answer();
        for _ in 0..LOOKS {
            if answer.status != 503 {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(100));
            answer = request.send(self.demo).answer();
        }
        let lines = step.lines.iter().map(|line| filled(line, &self.known));
        let lines: Vec<String> = lines.collect();
        let (status, rest) = lines.split_first().ok_or("no status")?;
        if *status != answer.status.to_string() {
            return Err(format!("{status} is wanted: {answer:?}"));
        }
        let at = rest.iter().position(|line| line.starts_with(['<', '=']));
        let (headers, body) = rest.split_at(at.unwrap_or(rest.len()));
        for line in headers {
            let (name, value) = line.split_once(": ").ok_or_else(|| line.clone())?;
            let found = answer.header(name).unwrap_or_default();
            if !is(value, found, &mut self.known) {
                return Err(format!("{name} is {found:?}, not {value}"));
            }
        }
        let body = body.concat();
        if let Some(text) = body.strip_prefix('=') {
            let found = answer.body.contains(text);
            return found
                .then_some(())
                .ok_or_else(|| format!("no {text} in {answer:?}"));
        }
        if body.is_empty() {
            return Ok(());
        }
        // Without the declaration.
        let got = answer.body.trim_start();
        let got = got.split_once("?>").map_or(got, |(_, element)| element);
        let fits = fits(&parse(&body)?, &parse(got)?, &mut self.known);
        fits.map_err(|why| format!("{why} in {}", answer.body))
    }

    /// Runs a command line, in which `_` stands for a space, `__` for itself, and `''` for nothing.
    fn command(&self, line: &str) -> Result<String, String> {
        let place = self.demo.data_dir.to_string_lossy().into_owned();
        let word = |word: &str| match word {
            "''" => String::new(),
            file if file.starts_with('/') => file.to_owned(),
            word => word
                .replace("__", "\0")
                .replace('_', " ")
                .replace('\0', "_"),
        };
        let words = line.split(' ').map(word);
        let words: Vec<String> = words.chain(["--data-dir".to_owned(), place]).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (code, out, err) = domicile(&words);
        if code != 0 {
            return Err(format!("{line}: {out}{err}"));
        }
        Ok(out)
    }

    fn runs(&mut self, step: &Step) -> Result<(), String> {
        self.command(&filled(&step.xml(), &self.known)).map(drop)
    }
}

fn component_hello(demo: &Demo, name: &str) -> Option<(Connection, String)> {
    let mut wire = Connection::open(demo.info.components, name);
    wire.send(&format!(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{name}'>"
    ));
    let header = wire.next()?;
    Some((wire, header))
}

/// Whether the next element of that name is as it should be.
fn next_is(
    wire: &mut Connection,
    step: &Step,
    known: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let wanted = parse(&filled(&step.xml(), known))?;
    loop {
        let item = wire.next().ok_or("the server has closed")?;
        if item.starts_with("</") {
            continue;
        }
        let got = parse(&item)?;
        if (&wanted.ns, &wanted.name) != (&got.ns, &got.name) {
            continue;
        }
        let mut learnt = known.clone();
        match fits(&wanted, &got, &mut learnt) {
            Ok(()) => {
                *known = learnt;
                return Ok(());
            }
            // Somebody else's may come at any time.
            Err(_) if ["presence", "message"].contains(&wanted.name.as_str()) => {}
            Err(why) => return Err(format!("{why} in {item}")),
        }
    }
}

/// What is known in place of its name.
pub(super) fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in known.iter().rev() {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// Whether a value is what is wanted; a part of it that has a name is remembered.
fn is(wanted: &str, got: &str, known: &mut BTreeMap<String, String>) -> bool {
    let Some((before, rest)) = wanted.split_once('$') else {
        return wanted == "*" || wanted == got;
    };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    let part = got
        .strip_prefix(before)
        .and_then(|got| got.strip_suffix(after));
    part.is_some_and(|part| known.entry(name.to_owned()).or_insert(part.to_owned()) == part)
}

/// Whether an element has all that is wanted of it.
pub(super) fn fits(
    wanted: &Tree,
    got: &Tree,
    known: &mut BTreeMap<String, String>,
) -> Result<(), String> {
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
