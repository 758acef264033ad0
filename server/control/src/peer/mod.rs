//! Peers as a domain's owner sees them: the last attempts per pair and whose side has to fix them ([`story`]), the trust
//! anchors pinned for a peer ([`pinned`]), and whom a stricter policy would lose.

mod pinned;
mod story;

use serde::Serialize;
use serde_json::Value;
use store::PeerRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::pinned::{AnchorView, PeerPin, PinnedView};
pub use self::story::{Proof, Reached, Side, Step, Story, tell};
use crate::domain::Choices;
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
    /// One sentence on the last attempt, as the log has it.
    pub summary: String,
    /// What came of it, in plain words.
    pub why: String,
    /// Last attempt.
    #[serde(serialize_with = "crate::time::at")]
    pub last: Timestamp,
    /// Stream in either direction at this moment.
    pub connected: bool,
    /// How it went when we called them; `None`: that is not remembered.
    pub outgoing: Option<WayView>,
    /// How it went when they called us, likewise.
    pub incoming: Option<WayView>,
}

/// One direction between a domain and a peer. A stream that goes both ways (XEP-0288) counts for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayView {
    /// Did the last attempt succeed?
    pub ok: bool,
    /// Prooftype of the last success, if any.
    pub prooftype: Option<String>,
    /// Stream in this direction at this moment.
    pub connected: bool,
}

/// A page of a domain's peers.
#[derive(Debug, Clone, Serialize)]
pub struct PeerPage {
    /// The latest first.
    pub peers: Vec<PeerView>,
    /// Of so many.
    pub total: usize,
    /// Number of its first one, from 0.
    pub from: usize,
    /// `from` of the next page; `None`: this is the last.
    pub next: Option<usize>,
    /// `from` of the page before.
    pub previous: Option<usize>,
}

/// A peer's story: the last attempts, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct PeerShow {
    /// The list's view.
    #[serde(flatten)]
    pub view: PeerView,
    /// Trust anchors pinned for it.
    pub pinned: Option<PinnedView>,
    /// The attempts: what federation wrote (address, TLS version, mechanism, prooftype, refusals, remote error), and what
    /// it means.
    pub attempts: Vec<Story>,
}

/// Whom a policy would lose, from what is known of the peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyCost {
    /// Word of the policy.
    pub policy: &'static str,
    /// Peers whose last success would not have been enough.
    pub lost: Vec<String>,
}

/// Peers in a list, the latest ones.
const PEERS: u32 = 500;
/// Peers on a page.
const PAGE: usize = 50;
/// Longest part of a name that is searched for, in characters: no name is longer.
const PART: usize = 253;

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
            .map(|peer| view(row.name.as_str(), peer, &now))
            .collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.last));
        Ok(views)
    }

    /// The peers whose names have `part` in them, the latest first: one page, from peer number `from` on.
    pub async fn peer_page(
        &self,
        actor: &Actor,
        domain: &str,
        part: &str,
        from: usize,
    ) -> Result<PeerPage> {
        let row = self.domain_row(actor, Operation::PeerList, domain).await?;
        // No name holds what PostgreSQL takes in no text.
        let shown = part.trim().chars().filter(|c| !c.is_control());
        let part: String = shown.take(PART).collect();
        let part = part.to_lowercase();
        // The store knows names as people spell them; the DNS's spelling finds them as well.
        let spelled = DomainName::parse(&part).map(|name| name.to_string());
        let filter = (part.as_str(), spelled.as_deref().unwrap_or(&part));
        let store = self.domain_store(&row);
        let from = from / PAGE * PAGE;
        let (mut found, total) = store.peer_page(filter, from, PAGE).await?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        // Beyond the end is the beginning.
        let from = if from < total { from } else { 0 };
        if found.is_empty() && total > 0 {
            (found, _) = store.peer_page(filter, from, PAGE).await?;
        }
        let now = self.parts.live.peers(&row.name);
        Ok(PeerPage {
            peers: found
                .iter()
                .map(|peer| view(row.name.as_str(), peer, &now))
                .collect(),
            total,
            from,
            next: Some(from + PAGE).filter(|next| *next < total),
            previous: from.checked_sub(PAGE),
        })
    }

    /// One peer's story. A peer that was never met, but has anchors pinned, has a story without attempts.
    pub async fn peer_show(&self, actor: &Actor, domain: &str, peer: &str) -> Result<PeerShow> {
        let row = self.domain_row(actor, Operation::PeerShow, domain).await?;
        let name = DomainName::parse(peer).map_err(|_| ControlError::not_found("peer", peer))?;
        let pinned = self
            .pinned_views(&Choices::of(&row))
            .into_iter()
            .find(|pinned| name == pinned.peer.as_str());
        let found = self.domain_store(&row).peer_get(name.as_str()).await?;
        let now = self.parts.live.peers(&row.name);
        match found {
            Some(found) => Ok(PeerShow {
                view: view(row.name.as_str(), &found, &now),
                pinned,
                attempts: attempts(&found)
                    .into_iter()
                    .map(|attempt| tell(row.name.as_str(), name.as_str(), attempt))
                    .collect(),
            }),
            None if pinned.is_some() => Ok(PeerShow {
                view: PeerView {
                    peer: name.to_string(),
                    prooftype: None,
                    ok: true,
                    summary: "No contact yet.".into(),
                    why: "No contact yet.".into(),
                    last: row.created,
                    connected: false,
                    outgoing: None,
                    incoming: None,
                },
                pinned,
                attempts: Vec::new(),
            }),
            None => Err(ControlError::not_found("peer", peer)),
        }
    }

    /// For each policy the peers that it would lose, judged by how they were last proven. What was never met is not counted.
    pub async fn policy_costs(&self, actor: &Actor, domain: &str) -> Result<Vec<PolicyCost>> {
        let row = self.domain_row(actor, Operation::PeerList, domain).await?;
        let peers = self.domain_store(&row).peer_list(PEERS).await?;
        Ok(costs(&peers))
    }
}

fn costs(peers: &[PeerRow]) -> Vec<PolicyCost> {
    let lost = |too_weak: &dyn Fn(&Value) -> bool| {
        let mut names: Vec<_> = peers
            .iter()
            .filter(|peer| attempts(peer).iter().find(|a| ok(a)).is_some_and(too_weak))
            .map(|peer| peer.peer.clone())
            .collect();
        names.sort();
        names
    };
    let plain = |attempt: &Value| text(attempt, "tls").is_none_or(|tls| tls.is_empty());
    let weak = |attempt: &Value| {
        plain(attempt) || attempt.get("weak").and_then(Value::as_bool) == Some(true)
    };
    vec![
        PolicyCost {
            policy: "authenticated",
            lost: lost(&weak),
        },
        PolicyCost {
            policy: "encrypted",
            lost: lost(&plain),
        },
    ]
}

/// The attempts as federation wrote them, newest first; what cannot be read is left out.
fn attempts(row: &PeerRow) -> Vec<Value> {
    serde_json::from_str::<Vec<Value>>(&row.attempts).unwrap_or_default()
}

fn text(attempt: &Value, key: &str) -> Option<String> {
    attempt.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn ok(attempt: &Value) -> bool {
    attempt.get("ok").and_then(Value::as_bool).unwrap_or(false)
}

fn view(domain: &str, row: &PeerRow, now: &[PeerNow]) -> PeerView {
    let attempts = attempts(row);
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
        why: last
            .map(|attempt| tell(domain, &row.peer, attempt.clone()).why)
            .unwrap_or_default(),
        last: row.updated,
        connected: stream.is_some_and(|stream| stream.outbound || stream.inbound),
        outgoing: way(&attempts, "out", stream.filter(|stream| stream.outbound)),
        incoming: way(&attempts, "in", stream.filter(|stream| stream.inbound)),
    }
}

/// How a direction stands: by the attempts in it, newest first, and by the stream that there is now.
fn way(attempts: &[Value], direction: &str, stream: Option<&PeerNow>) -> Option<WayView> {
    let both =
        |attempt: &Value| ok(attempt) && attempt.get("bidi").and_then(Value::as_bool) == Some(true);
    let of_it = || {
        let own = |attempt: &&Value| {
            attempt.get("direction").and_then(Value::as_str) == Some(direction) || both(attempt)
        };
        attempts.iter().filter(own)
    };
    let last = of_it().next();
    if last.is_none() && stream.is_none() {
        return None;
    }
    let proven = of_it().find(|attempt| ok(attempt));
    Some(WayView {
        ok: stream.is_some() || last.is_some_and(ok),
        prooftype: proven
            .and_then(|attempt| text(attempt, "prooftype"))
            .or_else(|| stream.and_then(|stream| stream.prooftype.clone())),
        connected: stream.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// DNA-20: by what each side was believed, in either direction.
    #[test]
    fn each_direction_has_its_own_proof() {
        let attempts = [
            json!({"direction": "out", "ok": false, "prooftype": null}),
            json!({"direction": "in", "ok": true, "prooftype": "dialback"}),
            json!({"direction": "out", "ok": true, "prooftype": "dane"}),
            json!({"direction": "in", "ok": false}),
        ];
        let found = |direction, stream| way(&attempts, direction, stream);
        let seen = |ok, by: &str, connected| {
            Some(WayView {
                ok,
                prooftype: Some(by.into()),
                connected,
            })
        };
        assert_eq!(found("out", None), seen(false, "dane", false));
        assert_eq!(found("in", None), seen(true, "dialback", false));
        let stream = PeerNow {
            peer: "two.example".into(),
            outbound: true,
            inbound: false,
            prooftype: Some("pkix".into()),
        };
        assert_eq!(found("out", Some(&stream)), seen(true, "dane", true));
        assert_eq!(way(&[], "in", None), None);
        assert_eq!(way(&[], "out", Some(&stream)), seen(true, "pkix", true));
        // One that goes both ways.
        let both = [json!({"direction": "in", "ok": true, "prooftype": "posh", "bidi": true})];
        for direction in ["in", "out"] {
            assert_eq!(way(&both, direction, None), seen(true, "posh", false));
        }
    }

    #[test]
    fn a_stricter_policy_says_whom_it_loses() {
        let peer = |name: &str, attempts: Value| PeerRow {
            peer: name.into(),
            attempts: attempts.to_string(),
            updated: Timestamp(0),
        };
        let peers = [
            peer(
                "good.example",
                json!([{"ok": true, "tls": "TLSv1.3", "weak": false}]),
            ),
            peer(
                "weak.example",
                json!([{"ok": false, "tls": "TLSv1.3"}, {"ok": true, "tls": "TLSv1.3", "weak": true}]),
            ),
            peer(
                "plain.example",
                json!([{"ok": true, "tls": null, "weak": true}]),
            ),
            peer("never.example", json!([{"ok": false}])),
        ];
        let costs = costs(&peers);
        assert_eq!(costs[0].lost, ["plain.example", "weak.example"]);
        assert_eq!(costs[1].lost, ["plain.example"]);
    }
}
