//! Federation: the peers of a domain, each one's story up to whose side has to fix it, and the trust anchors pinned for one.

use askama::Template;
use axum::http::StatusCode;
use control::domain::DomainView;
use control::peer::{
    PeerPage as Peers, PeerPin, PeerShow, PeerView, PinnedView, Proof, Reached, Side, Step, Story,
    WayView,
};
use serde_json::Value;

use crate::domains::view_of;
use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::home::Part;
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;
use crate::words;

#[derive(Template)]
#[template(path = "federation.html")]
pub(crate) struct FederationPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) page: Peers,
    /// Part of the names that are shown.
    pub(crate) search: String,
    pub(crate) pinned: Vec<PinnedView>,
    /// What was typed into the form.
    pub(crate) peer: String,
    pub(crate) anchors: String,
}

/// What was typed into the form that pins.
#[derive(Default)]
struct Typed {
    peer: String,
    anchors: String,
}

/// The list, one page of it.
pub(crate) async fn list(
    desk: SignedIn,
    Path(domain): Path<String>,
    Query(part): Query<Part>,
) -> Answer {
    list_page(&desk, &domain, None, part, Typed::default()).await
}

async fn list_page(
    desk: &SignedIn,
    domain: &str,
    problem: Option<Problem>,
    part: Part,
    typed: Typed,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let page = control
        .peer_page(&desk.actor, domain, &part.search, part.from)
        .await
        .or_page(desk)?;
    let page = FederationPage {
        frame: desk.at(Here::Federation).about(&show.view).problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        pinned: show.pinned,
        view: show.view,
        page,
        search: part.search,
        peer: typed.peer,
        anchors: typed.anchors,
    };
    Ok(html(page.frame.status(), &page))
}

/// Words and colour of one direction: who called, and by what it was proven.
pub(crate) fn way(way: &Option<WayView>, called: &str) -> Option<(String, &'static str)> {
    let way = way.as_ref()?;
    let proof = match &way.prooftype {
        Some(by) => proof(by),
        None => "no proof yet",
    };
    Some(match way.ok {
        true => (format!("{called}: {proof}"), "ok"),
        false => (format!("{called}: no contact"), "warn"),
    })
}

/// A prooftype in a chip.
fn proof(by: &str) -> &str {
    match by {
        "pkix" => "certificate",
        "dane" => "signed DNS (DANE)",
        "posh" => "website (POSH)",
        "dialback" => "asked back (dialback)",
        other => other,
    }
}

/// Pins what was pasted.
pub(crate) async fn pin(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let peer = fields.text("peer").to_owned();
    let anchors = fields.text("anchors_pem").to_owned();
    let control = &desk.panel.control;
    let pin = PeerPin {
        anchors_pem: anchors.clone(),
    };
    match control.peer_pin(&desk.actor, &domain, &peer, pin).await {
        Ok(pinned) => Ok(done(&DomainUrls::new(&domain).peer(&pinned.peer), "pinned")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            let typed = Typed { peer, anchors };
            list_page(&desk, &domain, Some(problem), Part::default(), typed).await
        }
    }
}

/// Takes a peer's anchors away.
pub(crate) async fn unpin(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    control
        .peer_unpin(&desk.actor, &domain, fields.text("peer"))
        .await
        .or_page(&desk)?;
    Ok(done(&DomainUrls::new(&domain).federation(), "unpinned"))
}

#[derive(Template)]
#[template(path = "peer.html")]
pub(crate) struct PeerPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) peer: PeerView,
    pub(crate) pinned: Option<PinnedView>,
    pub(crate) attempts: Vec<Attempt>,
}

/// An attempt as a picture and lines to read: control tells it, this puts the known facts first and leaves none out.
pub(crate) struct Attempt {
    /// When.
    pub(crate) at: String,
    /// Did it succeed?
    pub(crate) ok: bool,
    /// Who called whom.
    pub(crate) who: String,
    /// The way, with where it broke.
    pub(crate) steps: Vec<Step>,
    /// Each prooftype.
    pub(crate) proofs: Vec<Proof>,
    /// Why, in plain words.
    pub(crate) why: String,
    /// Their own words.
    pub(crate) said: String,
    /// The facts.
    pub(crate) facts: Vec<(String, String)>,
    /// Whose side has to fix it; empty when nobody's.
    pub(crate) side: &'static str,
    /// How.
    pub(crate) fix: String,
}

impl Attempt {
    pub(crate) fn read(story: &Story) -> Self {
        // What the picture shows or stands beside it is not said twice.
        const SHOWN: &[&str] = &[
            "at",
            "ok",
            "fault",
            "refusals",
            "verdicts",
            "remote_error",
            "stage",
        ];
        let mut facts: Vec<_> = story
            .facts
            .iter()
            .filter(|(key, _)| !SHOWN.contains(&key.as_str()))
            .map(|(key, value)| match key.as_str() {
                "direction" => (label(key), direction(&text(value)).to_owned()),
                _ => (label(key), words::plain_times(&text(value))),
            })
            .filter(|(_, said)| !said.is_empty())
            .collect();
        let rank = |label: &str| ORDER.iter().position(|known| known.1 == label);
        facts.sort_by_key(|(label, _)| rank(label).unwrap_or(ORDER.len()));
        Self {
            at: words::plain_times(story.fact("at")),
            ok: story.ok(),
            who: crate::error::capital(direction(story.fact("direction"))),
            steps: story.steps.clone(),
            proofs: story.proofs.clone(),
            why: story.why.clone(),
            said: story.fact("remote_error").to_owned(),
            facts,
            side: side(story.side),
            fix: story.fix.clone(),
        }
    }
}

/// Mark and colour of a step, and its standing said aloud.
pub(crate) fn standing(reached: &Reached) -> (&'static str, &'static str, &'static str) {
    match reached {
        Reached::Done => ("check-full", "ok", "passed"),
        Reached::Broken => ("bad", "bad", "ended here"),
        Reached::Later => ("hollow", "unknown", "not reached"),
    }
}

/// Where a line about hosts may be broken: behind each label.
pub(crate) fn labels(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('.')
}

/// Known facts in the order of the story.
const ORDER: &[(&str, &str)] = &[
    ("direction", "Direction"),
    ("target", "The DNS named"),
    ("dns", "Signed DNS"),
    ("address", "Address"),
    ("tls", "Encryption"),
    ("cipher", "Cipher"),
    ("direct", "Encrypted from the first byte"),
    ("alpn", "Protocol asked for"),
    ("mechanism", "Sign-in"),
    ("prooftype", "Proof"),
    ("identifier", "Proven name"),
    ("dnssec", "By signed DNS"),
    ("weak", "Could be forged on the way"),
    ("presented", "Certificates shown"),
    ("expires", "Proven until"),
    ("bidi", "One connection for both ways"),
    ("pairs", "Domains on that connection"),
    ("code", "Code"),
    ("summary", "In the log"),
];

fn label(key: &str) -> String {
    match ORDER.iter().find(|(known, _)| *known == key) {
        Some((_, label)) => (*label).to_owned(),
        None => crate::error::capital(&key.replace(['_', '-'], " ")),
    }
}

fn direction(word: &str) -> &str {
    match word {
        "out" => "we called them",
        "in" => "they called us",
        other => other,
    }
}

/// Whose side has to fix it, for the owner of the hosted domain.
fn side(side: Side) -> &'static str {
    match side {
        Side::Nobody => "",
        Side::Theirs => "Theirs: their certificate, server or settings.",
        Side::Ours => "Ours: your records here, or this service.",
        Side::Dns => "Theirs: the DNS of their domain.",
        Side::Network => "Nobody's yet: the network between.",
        Side::Policy => "Yours: your settings say so.",
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join("; "),
        Value::Object(object) => {
            let parts = object.iter().filter(|(_, value)| !value.is_null());
            parts
                .map(|(key, value)| format!("{}: {}", key.replace('_', " "), text(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        other => other.to_string(),
    }
}

/// One peer's story.
pub(crate) async fn show(desk: SignedIn, Path((domain, peer)): Path<(String, String)>) -> Answer {
    let show = view_of(&desk, &domain).await?;
    let control = &desk.panel.control;
    let PeerShow {
        view: peer,
        pinned,
        attempts,
    } = control
        .peer_show(&desk.actor, &domain, &peer)
        .await
        .or_page(&desk)?;
    let page = PeerPage {
        frame: desk.at(Here::Federation).about(&show.view),
        urls: DomainUrls::new(&show.view.ascii),
        attempts: attempts.iter().map(Attempt::read).collect(),
        view: show.view,
        peer,
        pinned,
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(attempt: Value) -> Attempt {
        Attempt::read(&control::peer::tell("one.example", "peer.example", attempt))
    }

    #[test]
    fn an_attempt_loses_nothing_and_puts_known_things_first() {
        let attempt = read(json!({
            "at": "2026-11-25T20:00:00.25Z", "ok": false, "summary": "They refused.", "zeta_fact": 7,
            "tls": "1.3", "address": "192.0.2.1:5269", "direction": "out", "fault": "peer",
            "refusals": [{"prooftype": "pkix", "text": "expired", "code": "expired", "fault": "peer"}, {"prooftype": null, "text": "blocked"}],
            "remote_error": "go away",
        }));
        let labels: Vec<_> = attempt.facts.iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(
            labels,
            [
                "Direction",
                "Address",
                "Encryption",
                "In the log",
                "Zeta fact"
            ]
        );
        assert_eq!(attempt.proofs[0].text, "expired");
        assert_eq!(attempt.proofs[1].prooftype, "policy");
        assert_eq!(attempt.said, "go away");
        assert_eq!(attempt.at, "2026-11-25 20:00 UTC");
        assert!(attempt.side.starts_with("Theirs"));
        assert!(!attempt.ok);
        assert_eq!(read(json!("odd")).facts[0].1, "odd");
    }
}
