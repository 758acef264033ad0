//! What happened with each peer, for the eyes of the domain's owner (DNA-20, TLS-39).
//!
//! Attempts are collected and written a little later, many at once, so that a flood of strangers costs the store one write
//! a pair and interval. Refuses: keeping more than a handful per pair.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dna::{Fault, Proven, Refusal};
use parking_lot::Mutex;
use serde_json::{Value, json};
use xmpp::jid::DomainName;
use xmpp::stream::TlsInfo;

use super::Federation;
use crate::net::now;

/// Attempts kept for a pair.
const KEPT: usize = 10;
/// Pairs that may wait to be written.
const PENDING: usize = 2_000;
/// How long attempts are collected before they are written.
const COLLECT: Duration = Duration::from_millis(500);

/// One attempt, in either direction.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// `out` or `in`.
    pub(super) direction: &'static str,
    pub(super) ok: bool,
    /// One sentence.
    pub(super) summary: String,
    /// Stable code of what went wrong.
    pub(super) code: Option<&'static str>,
    pub(super) fault: Option<Fault>,
    /// Host and port that the DNS named.
    pub(super) target: Option<String>,
    /// Address of the other end.
    pub(super) address: Option<String>,
    pub(super) tls: Option<(&'static str, &'static str)>,
    pub(super) mechanism: Option<&'static str>,
    pub(super) proven: Option<Proven>,
    pub(super) refusals: Vec<Refusal>,
    /// The peer's own words.
    pub(super) remote_error: Option<String>,
}

impl Attempt {
    pub(super) fn new(direction: &'static str) -> Self {
        Self {
            direction,
            ok: false,
            summary: String::new(),
            code: None,
            fault: None,
            target: None,
            address: None,
            tls: None,
            mechanism: None,
            proven: None,
            refusals: Vec::new(),
            remote_error: None,
        }
    }

    pub(super) fn secured(&mut self, info: &TlsInfo) {
        self.tls = Some((info.version, info.cipher));
    }

    pub(super) fn failed(
        &mut self,
        code: &'static str,
        fault: Fault,
        summary: impl Into<String>,
    ) -> &mut Self {
        self.ok = false;
        self.code = Some(code);
        self.fault = Some(fault);
        self.summary = summary.into();
        self
    }

    fn to_json(&self) -> Value {
        let refusals: Vec<_> = self
            .refusals
            .iter()
            .map(|refusal| {
                json!({
                    "prooftype": refusal.by.map(dna::Prooftype::name),
                    "code": refusal.code,
                    "text": refusal.text,
                    "fault": refusal.fault.name(),
                })
            })
            .collect();
        json!({
            "at": now().to_xep0082(),
            "direction": self.direction,
            "ok": self.ok,
            "summary": self.summary,
            "code": self.code,
            "fault": self.fault.map(Fault::name),
            "target": self.target,
            "address": self.address,
            "tls": self.tls.map(|(version, _)| version),
            "cipher": self.tls.map(|(_, cipher)| cipher),
            "mechanism": self.mechanism,
            "prooftype": self.proven.as_ref().map(|proven| proven.by().name()),
            "identifier": self.proven.as_ref().map(Proven::identifier),
            "dnssec": self.proven.as_ref().map(Proven::dnssec),
            "weak": self.proven.as_ref().map(|proven| proven.by().is_weak()),
            "refusals": refusals,
            "remote_error": self.remote_error,
        })
    }
}

#[derive(Default)]
pub(super) struct Attempts {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    pairs: HashMap<(DomainName, DomainName), Vec<Value>>,
    /// A task is about to write them.
    writing: bool,
}

impl Federation {
    /// Remembers an attempt of a pair.
    pub(super) fn record(&self, local: &DomainName, remote: &DomainName, attempt: &Attempt) {
        if attempt.ok || attempt.direction == "out" {
            tracing::info!(
                domain = %local, peer = %remote, direction = attempt.direction, ok = attempt.ok, code = attempt.code,
                mechanism = attempt.mechanism, address = attempt.address, "{}", attempt.summary
            );
        } else {
            // Strangers decide how often this happens.
            tracing::debug!(
                domain = %local, peer = %remote, code = attempt.code, address = attempt.address, "refused: {}",
                attempt.summary
            );
        }
        let mut pending = self.attempts.pending.lock();
        let key = (local.clone(), remote.clone());
        if pending.pairs.len() >= PENDING && !pending.pairs.contains_key(&key) {
            return;
        }
        let list = pending.pairs.entry(key).or_default();
        list.insert(0, attempt.to_json());
        list.truncate(KEPT);
        if !std::mem::replace(&mut pending.writing, true)
            && let Some(this) = self.this.upgrade()
        {
            self.spawn(write_later(this));
        }
    }
}

async fn write_later(federation: Arc<Federation>) {
    tokio::time::sleep(COLLECT).await;
    let pairs = {
        let mut pending = federation.attempts.pending.lock();
        pending.writing = false;
        std::mem::take(&mut pending.pairs)
    };
    for ((local, remote), fresh) in pairs {
        let Some(domain) = federation.parts.tenancy.get(local.as_str()) else {
            continue;
        };
        if let Err(error) = write(&domain.hosted.store, &remote, fresh).await {
            tracing::warn!(domain = %local, peer = %remote, %error, "what happened with a peer could not be kept");
        }
    }
}

async fn write(
    store: &store::DomainStore,
    remote: &DomainName,
    mut list: Vec<Value>,
) -> Result<(), store::StoreError> {
    if let Some(row) = store.peer_get(remote.as_str()).await?
        && let Ok(Value::Array(older)) = serde_json::from_str(&row.attempts)
    {
        list.extend(older);
    }
    list.truncate(KEPT);
    let text = Value::Array(list).to_string();
    store.peer_set(remote.as_str(), &text, now()).await
}
