//! What happened with peers: per pair, the last attempts and whose side has to fix them.

use serde::Serialize;
use serde_json::Value;
use store::PeerRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::outside::PeerNow;
use crate::permission::Operation;
use crate::{Actor, Control};

/// A peer in a list.
#[derive(Debug, Clone, Serialize)]
pub struct PeerView {
    /// Remote domain.
    pub peer: String,
    /// Prooftype of the last success, if any.
    pub prooftype: Option<String>,
    /// Did the last attempt succeed?
    pub ok: bool,
    /// One sentence on the last attempt.
    pub summary: String,
    /// Last attempt.
    #[serde(serialize_with = "crate::time::at")]
    pub last: Timestamp,
    /// Stream in either direction at this moment.
    pub connected: bool,
}

/// A peer's story: the last attempts, newest first, as federation wrote them.
#[derive(Debug, Clone, Serialize)]
pub struct PeerShow {
    /// The list's view.
    #[serde(flatten)]
    pub view: PeerView,
    /// The attempts (address, TLS version, mechanism, prooftype, refusals, remote error, whose side), an array of objects
    /// with at least `at`, `ok`, `summary`.
    pub attempts: Vec<serde_json::Value>,
}

/// Peers in a list, the latest ones.
const PEERS: u32 = 500;

impl Control {
    /// Peers of a domain, the latest first.
    pub async fn peer_list(&self, actor: &Actor, domain: &str) -> Result<Vec<PeerView>> {
        let row = self.domain_row(actor, Operation::PeerList, domain).await?;
        let now = self.parts.live.peers(&row.name);
        let mut views: Vec<_> = self
            .domain_store(&row)
            .peer_list(PEERS)
            .await?
            .iter()
            .map(|peer| view(peer, &now))
            .collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.last));
        Ok(views)
    }

    /// One peer's story.
    pub async fn peer_show(&self, actor: &Actor, domain: &str, peer: &str) -> Result<PeerShow> {
        let row = self.domain_row(actor, Operation::PeerShow, domain).await?;
        let name = DomainName::parse(peer).map_err(|_| ControlError::not_found("peer", peer))?;
        let found = self
            .domain_store(&row)
            .peer_get(name.as_str())
            .await?
            .ok_or_else(|| ControlError::not_found("peer", peer))?;
        let now = self.parts.live.peers(&row.name);
        Ok(PeerShow {
            view: view(&found, &now),
            attempts: attempts(&found),
        })
    }
}

/// The attempts as federation wrote them, newest first; what cannot be read is left out.
fn attempts(row: &PeerRow) -> Vec<Value> {
    serde_json::from_str::<Vec<Value>>(&row.attempts).unwrap_or_default()
}

fn view(row: &PeerRow, now: &[PeerNow]) -> PeerView {
    let attempts = attempts(row);
    let text =
        |attempt: &Value, key: &str| attempt.get(key).and_then(Value::as_str).map(str::to_owned);
    let ok = |attempt: &Value| attempt.get("ok").and_then(Value::as_bool).unwrap_or(false);
    let last = attempts.first();
    let stream = now.iter().find(|peer| peer.peer == row.peer);
    PeerView {
        peer: row.peer.clone(),
        prooftype: stream
            .and_then(|stream| stream.prooftype.clone())
            .or_else(|| {
                attempts
                    .iter()
                    .find(|attempt| ok(attempt))
                    .and_then(|attempt| text(attempt, "prooftype"))
            }),
        ok: last.is_some_and(ok),
        summary: last
            .and_then(|attempt| text(attempt, "summary"))
            .unwrap_or_default(),
        last: row.updated,
        connected: stream.is_some_and(|stream| stream.outbound || stream.inbound),
    }
}
