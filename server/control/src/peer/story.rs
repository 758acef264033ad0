//! What an attempt means: where on its way it broke, why in plain words, whose side has to fix it and how.
//!
//! Federation writes facts (JSON in the `peers` table); this reads them and knows every code that it or the judge gives. A
//! code of another version is told by whose fault it says it is, never dropped. Pure; asks nobody.

mod codes;

use serde::Serialize;
use serde_json::{Map, Value};

use self::codes::{Meaning, meaning};

/// How far a step of the way came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// Passed.
    Done,
    /// Here it ended.
    Broken,
    /// Not come to.
    Later,
}

/// Whose side has to fix it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Nobody's: it worked.
    Nobody,
    /// The other server's operator.
    Theirs,
    /// The hosted domain's, or this service's.
    Ours,
    /// The DNS of their domain.
    Dns,
    /// The network between.
    Network,
    /// The hosted domain's own settings.
    Policy,
}

/// One step: `dns`, `connect`, `tls`, `identity`, `sign-in`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Stable word.
    pub step: &'static str,
    /// For people.
    pub name: &'static str,
    /// How far.
    pub reached: Reached,
    /// What was seen there; may be empty.
    pub seen: String,
}

/// What one prooftype made of what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// `pkix`, `dane`, `posh`, `dialback`; `policy` for what was refused before any.
    pub prooftype: String,
    /// Does it hold?
    pub holds: bool,
    /// Code of the refusal.
    pub code: String,
    /// In words.
    pub text: String,
    /// There was only nothing of its kind to look at; what matters is said by another.
    pub minor: bool,
}

/// One attempt, told.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// As federation wrote it.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
    /// The way, in order.
    pub steps: Vec<Step>,
    /// Each prooftype that had something to say.
    pub proofs: Vec<Proof>,
    /// Why it ended as it did, in plain words.
    pub why: String,
    /// Whose side has to fix it.
    pub side: Side,
    /// How, one sentence; empty when there is nothing to do.
    pub fix: String,
}

impl Story {
    /// A fact's text; empty if there is none.
    pub fn fact(&self, key: &str) -> &str {
        self.facts
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Did it succeed?
    pub fn ok(&self) -> bool {
        self.facts.get("ok").and_then(Value::as_bool) == Some(true)
    }
}

/// Tells an attempt between a hosted domain and a peer.
pub fn tell(domain: &str, peer: &str, attempt: Value) -> Story {
    let mut facts = match attempt {
        Value::Object(facts) => facts,
        other => Map::from_iter([("summary".to_owned(), other)]),
    };
    let own_fix = facts.remove("fix");
    let mut story = Story {
        facts,
        steps: Vec::new(),
        proofs: Vec::new(),
        why: String::new(),
        side: Side::Nobody,
        fix: String::new(),
    };
    story.proofs = proofs(&story);
    let meaning = (!story.ok()).then(|| meaning(decisive(&story), story.fact("fault")));
    story.steps = steps(&story, meaning.as_ref());
    match meaning {
        None => story.why = success(&story, peer),
        Some(meaning) => {
            let fill = |text: &str| text.replace("{peer}", peer).replace("{domain}", domain);
            story.why = fill(meaning.why);
            story.side = meaning.side;
            story.fix = match own_fix {
                Some(Value::String(fix)) if !fix.is_empty() => fix,
                _ => fill(meaning.fix),
            };
        }
    }
    story
}

/// There was simply no website to ask.
const NO_HELP: &[&str] = &[
    "posh-not-published",
    "posh-http-status",
    "posh-no-address",
    "posh-address-private",
    "posh-unreachable",
    "posh-timeout",
    "posh-busy",
];

/// The code that tells why. Where there was simply no website to ask, the certificate's own fault is what has to be mended;
/// where one means to vouch for an authority that nobody knows, and fails to, that is.
fn decisive(story: &Story) -> &str {
    let code = story.fact("code");
    let mut refused = story.proofs.iter().map(|proof| proof.code.as_str());
    if NO_HELP.contains(&code) {
        let mut of_certificates = refused.filter(|code| code.starts_with("certificate-"));
        of_certificates.next().unwrap_or(code)
    } else if code == "certificate-issuer-unknown" {
        refused
            .find(|code| code.starts_with("posh-") && !NO_HELP.contains(code))
            .unwrap_or(code)
    } else {
        code
    }
}

fn success(story: &Story, peer: &str) -> String {
    let how = match story.fact("prooftype") {
        "pkix" => "a certificate from a trusted authority",
        "dane" => "its certificate, as its signed DNS announces it",
        "posh" => "its certificate, as its website announces it",
        "dialback" => {
            let dns = match story.facts.get("dnssec") == Some(&Value::Bool(true)) {
                true => " Its signed DNS says where to ask.",
                false => "",
            };
            return format!(
                "{peer} was looked up and asked back (dialback).{dns} That is as good as the network was at that moment, and no proof."
            );
        }
        _ => return format!("{peer} was reached."),
    };
    format!("{peer} proved who it is by {how}.")
}

/// The verdicts, or where federation wrote only refusals, those and the proof that held.
fn proofs(story: &Story) -> Vec<Proof> {
    let list = |key: &str| {
        story
            .facts
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let word = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let one = |value: &Value, holds: bool| Proof {
        prooftype: Some(word(value, "prooftype"))
            .filter(|by| !by.is_empty())
            .unwrap_or_else(|| "policy".into()),
        holds,
        code: word(value, "code"),
        text: word(value, "text"),
        minor: value.get("minor") == Some(&Value::Bool(true)),
    };
    let verdicts = list("verdicts");
    if !verdicts.is_empty() {
        return verdicts
            .iter()
            .map(|verdict| one(verdict, verdict.get("holds") == Some(&Value::Bool(true))))
            .collect();
    }
    let mut proofs: Vec<_> = list("refusals").iter().map(|r| one(r, false)).collect();
    let held = story.fact("prooftype");
    if !held.is_empty() {
        proofs.push(Proof {
            prooftype: held.to_owned(),
            holds: true,
            code: String::new(),
            text: story.fact("identifier").to_owned(),
            minor: false,
        });
    }
    proofs
}

/// The five steps. Where it broke is what the code says; what was seen says how far it came at least.
fn steps(story: &Story, meaning: Option<&Meaning>) -> Vec<Step> {
    let inbound = story.fact("direction") == "in";
    let dns = match (story.fact("target"), story.fact("dns")) {
        ("", _) if inbound => "they called us".to_owned(),
        (target, "") => target.to_owned(),
        ("", security) => format!("nothing, by {}", signed(security)),
        (target, security) => format!("{target}, by {}", signed(security)),
    };
    let seen = [
        dns,
        story.fact("address").to_owned(),
        plain_tls(story.fact("tls")),
        identity(story),
        story.fact("mechanism").to_owned(),
    ];
    // Federation may say itself where it ended.
    let stage = match story.fact("stage") {
        "" => None,
        word => WAY.iter().position(|(known, _)| *known == word),
    };
    let broken = meaning.map(|meaning| stage.unwrap_or(meaning.place as usize));
    WAY.iter()
        .zip(seen)
        .enumerate()
        .map(|(index, ((step, name), seen))| Step {
            step,
            name,
            reached: match broken {
                Some(at) if at == index => Reached::Broken,
                Some(at) if at < index => Reached::Later,
                _ => Reached::Done,
            },
            seen,
        })
        .collect()
}

/// What each way to prove a name came to; a website that is not there is not worth a word beside others.
fn identity(story: &Story) -> String {
    let said = |proof: &Proof| {
        let by = match proof.prooftype.as_str() {
            "pkix" => "certificate",
            "dane" => "signed DNS (DANE)",
            "posh" => "website (POSH)",
            other => other,
        };
        match (proof.holds, proof.minor) {
            (true, _) => format!("{by} holds"),
            (false, true) => format!("nothing by {by}"),
            (false, false) => format!("{by} does not hold"),
        }
    };
    // What is no proof is told elsewhere: lists, and what the peer makes of us.
    let proofs = || story.proofs.iter().filter(|p| p.prooftype != "policy");
    let worth = |proof: &&Proof| !NO_HELP.contains(&proof.code.as_str());
    let told: Vec<_> = proofs().filter(worth).map(said).collect();
    match told.is_empty() {
        true => proofs().map(said).collect::<Vec<_>>(),
        false => told,
    }
    .join(", ")
}

fn signed(security: &str) -> &str {
    match security {
        "secure" => "signed DNS",
        "insecure" => "unsigned DNS",
        "bogus" => "wrongly signed DNS",
        "unknown" => "DNS of unknown standing",
        other => other,
    }
}

/// The way, in the order of `Place`.
const WAY: [(&str, &str); 5] = [
    ("dns", "Look-up"),
    ("connect", "Connection"),
    ("tls", "Encryption"),
    ("identity", "Identity"),
    ("sign-in", "Admission"),
];

fn plain_tls(version: &str) -> String {
    version.replace("TLSv1", "TLS 1").replace("1_", "1.")
}

#[cfg(test)]
mod tests;
