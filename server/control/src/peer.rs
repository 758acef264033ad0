//! What happened with peers: per pair, the last attempts and whose side has to fix them.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
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
    /// The attempts (address, TLS version, mechanism, prooftype, refusals, remote error, whose side).
    pub attempts: Vec<serde_json::Value>,
}

impl Control {
    /// Peers of a domain, the latest first.
    pub async fn peer_list(&self, actor: &Actor, domain: &str) -> Result<Vec<PeerView>> {
        let _ = (actor, domain);
        todo!()
    }

    /// One peer's story.
    pub async fn peer_show(&self, actor: &Actor, domain: &str, peer: &str) -> Result<PeerShow> {
        let _ = (actor, domain, peer);
        todo!()
    }
}
