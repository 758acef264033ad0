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
    /// When, as written.
    pub(crate) at: String,
    /// Did it succeed? `None`: not said.
    pub(crate) ok: Option<bool>,
    /// One sentence.
    pub(crate) headline: String,
    /// The facts.
    pub(crate) facts: Vec<(String, String)>,
    /// Whose side has to fix it, and how.
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
        let mut fix = String::new();
        for (key, value) in object {
            if value.is_null() || value.as_str() == Some("") {
                continue;
            }
            match key.as_str() {
                "at" => attempt.at = text(value).replace('T', " ").replace('Z', " UTC"),
                "ok" => attempt.ok = value.as_bool(),
                "summary" => attempt.headline = text(value),
                "side" => attempt.side = text(value),
                "fix" => fix = text(value),
                _ => attempt.facts.push((label(key), text(value))),
            }
        }
        if !fix.is_empty() {
            let joint = if attempt.side.is_empty() { "" } else { ": " };
            attempt.side = format!("{}{joint}{fix}", attempt.side);
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
    ("address", "Address"),
    ("tls", "Encryption"),
    ("mechanism", "Sign-in"),
    ("prooftype", "Proof"),
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

fn text(value: &Value) -> String {
    match value {
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
            "at": "2026-11-25T20:00:00Z", "ok": false, "summary": "They refused.", "zeta_fact": 7,
            "tls": "1.3", "address": "192.0.2.1:5269", "refusals": ["pkix: expired", "dane: none"], "side": "theirs",
            "remote_error": null,
        }));
        let labels: Vec<_> = attempt.facts.iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(
            labels,
            ["Address", "Encryption", "Refused proofs", "Zeta fact"]
        );
        assert_eq!(attempt.facts[2].1, "pkix: expired; dane: none");
        assert_eq!(attempt.side, "theirs");
        assert_eq!(attempt.ok, Some(false));
        assert_eq!(Attempt::read(&json!("odd")).headline, "odd");
    }
}
