//! Federation: the peers of a domain, and each one's story up to whose side has to fix it.

use askama::Template;
use axum::http::StatusCode;
use control::domain::DomainView;
use control::peer::{PeerShow, PeerView};
use serde_json::Value;

use crate::domains::view_of;
use crate::door::Path;
use crate::error::Answer;
use crate::frame::{Frame, Here, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;
use crate::words;

#[derive(Template)]
#[template(path = "federation.html")]
pub(crate) struct FederationPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) peers: Vec<PeerView>,
}

/// The list.
pub(crate) async fn list(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    let show = view_of(&desk, &domain).await?;
    let control = &desk.panel.control;
    let peers = control
        .peer_list(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    let page = FederationPage {
        frame: desk.at(Here::Federation).about(&show.view),
        urls: DomainUrls::new(&show.view.ascii),
        view: show.view,
        peers,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "peer.html")]
pub(crate) struct PeerPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) peer: PeerShow,
    pub(crate) attempts: Vec<Attempt>,
}

/// An attempt as lines to read: federation writes the facts, this puts the known ones first and leaves none out.
pub(crate) struct Attempt {
    /// When.
    pub(crate) at: String,
    /// Did it succeed? `None`: not said.
    pub(crate) ok: Option<bool>,
    /// One sentence.
    pub(crate) headline: String,
    /// The facts.
    pub(crate) facts: Vec<(String, String)>,
    /// Whose side has to fix it.
    pub(crate) side: String,
}

impl Attempt {
    pub(crate) fn read(value: &Value) -> Self {
        let mut attempt = Self {
            at: String::new(),
            ok: None,
            headline: String::new(),
            facts: Vec::new(),
            side: String::new(),
        };
        let Some(object) = value.as_object() else {
            attempt.headline = text(value);
            return attempt;
        };
        for (key, value) in object {
            let said = match key.as_str() {
                "direction" => direction(&text(value)),
                "refusals" => refusals(value),
                _ => text(value),
            };
            if value.is_null() || said.is_empty() {
                continue;
            }
            match key.as_str() {
                "at" => attempt.at = words::plain_times(&said),
                "ok" => attempt.ok = value.as_bool(),
                "summary" => attempt.headline = said,
                "fault" => attempt.side = side(&said),
                _ => attempt.facts.push((label(key), said)),
            }
        }
        let rank = |label: &str| ORDER.iter().position(|known| known.1 == label);
        attempt
            .facts
            .sort_by_key(|(label, _)| rank(label).unwrap_or(ORDER.len()));
        attempt
    }
}

/// Known facts in the order of the story.
const ORDER: &[(&str, &str)] = &[
    ("direction", "Direction"),
    ("target", "The DNS named"),
    ("address", "Address"),
    ("tls", "Encryption"),
    ("cipher", "Cipher"),
    ("mechanism", "Sign-in"),
    ("prooftype", "Proof"),
    ("identifier", "Proven name"),
    ("dnssec", "By signed DNS"),
    ("weak", "Could be forged on the way"),
    ("refusals", "Refused proofs"),
    ("remote_error", "They said"),
    ("code", "Code"),
];

fn label(key: &str) -> String {
    match ORDER.iter().find(|(known, _)| *known == key) {
        Some((_, label)) => (*label).to_owned(),
        None => crate::error::capital(&key.replace(['_', '-'], " ")),
    }
}

fn direction(word: &str) -> String {
    match word {
        "out" => "we called them".to_owned(),
        "in" => "they called us".to_owned(),
        other => other.to_owned(),
    }
}

/// Whose side has to fix it, for the owner of the hosted domain.
fn side(fault: &str) -> String {
    match fault {
        "peer" => "Theirs: their certificate, server or settings. Tell their operator.".to_owned(),
        "ours" => "Ours: see what the checks of this domain say.".to_owned(),
        "dns" => "The DNS of their domain, or the way to it.".to_owned(),
        "network" => "The network between; it is tried again by itself.".to_owned(),
        "policy" => "Nobody's: your settings say so. Change them if you want to.".to_owned(),
        other => other.to_owned(),
    }
}

/// Each refusal as `pkix: the certificate has expired`.
fn refusals(value: &Value) -> String {
    let one = |refusal: &Value| match (&refusal["prooftype"], &refusal["text"]) {
        (Value::String(by), Value::String(said)) => format!("{by}: {said}"),
        (_, Value::String(said)) => said.clone(),
        _ => text(refusal),
    };
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(one).collect::<Vec<_>>().join("; ")
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
    let peer = control
        .peer_show(&desk.actor, &domain, &peer)
        .await
        .or_page(&desk)?;
    let page = PeerPage {
        frame: desk.at(Here::Federation).about(&show.view),
        urls: DomainUrls::new(&show.view.ascii),
        attempts: peer.attempts.iter().map(Attempt::read).collect(),
        view: show.view,
        peer,
    };
    Ok(html(StatusCode::OK, &page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_attempt_loses_nothing_and_puts_known_things_first() {
        let attempt = Attempt::read(&json!({
            "at": "2026-11-25T20:00:00.25Z", "ok": false, "summary": "They refused.", "zeta_fact": 7,
            "tls": "1.3", "address": "192.0.2.1:5269", "direction": "out", "fault": "peer",
            "refusals": [{"prooftype": "pkix", "text": "expired", "code": "expired", "fault": "peer"}, {"prooftype": null, "text": "blocked"}],
            "remote_error": null,
        }));
        let labels: Vec<_> = attempt.facts.iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(
            labels,
            [
                "Direction",
                "Address",
                "Encryption",
                "Refused proofs",
                "Zeta fact"
            ]
        );
        assert_eq!(attempt.facts[3].1, "pkix: expired; blocked");
        assert_eq!(attempt.at, "2026-11-25 20:00 UTC");
        assert!(attempt.side.starts_with("Theirs"));
        assert_eq!(attempt.ok, Some(false));
        assert_eq!(Attempt::read(&json!("odd")).headline, "odd");
        assert!(Attempt::read(&json!({"refusals": []})).facts.is_empty());
    }
}
