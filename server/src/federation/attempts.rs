//! What happened with each peer, for the eyes of the domain's owner (DNA-20, TLS-39).
//!
//! Attempts are collected and written a little later, many at once, so that a flood of strangers costs the store one write
//! a pair and interval. Refuses: keeping more than a handful per pair.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dna::{Fault, Proven, Refusal, Security, Target};
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use xmpp::jid::DomainName;
use xmpp::stream::TlsInfo;

use super::Federation;
use crate::net::now;

/// Attempts kept for a pair.
const KEPT: usize = 10;
/// Certificates of a chain that are shown.
const SHOWN: usize = 4;
/// Pairs that may wait to be written.
const PENDING: usize = 2_000;
/// Pairs that are written beside each other.
const TOGETHER: usize = 64;
/// How long attempts are collected before they are written.
const COLLECT: Duration = Duration::from_millis(500);

/// Where an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing was looked up yet.
    Start,
    Dns,
    Connect,
    Tls,
    /// Judging who the other side is.
    Identity,
    /// EXTERNAL or dialback.
    SignIn,
    /// The pair is carried, or was and has come off the stream.
    Open,
}

impl Stage {
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Start => return None,
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Identity => "identity",
            Self::SignIn => "sign-in",
            Self::Open => "open",
        })
    }
}

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
    /// How surely it did.
    pub(super) dns: Option<Security>,
    /// TLS from the first byte.
    pub(super) direct: Option<bool>,
    /// Address of the other end.
    pub(super) address: Option<String>,
    pub(super) stage: Stage,
    pub(super) tls: Option<(&'static str, &'static str)>,
    /// Protocol chosen by ALPN.
    pub(super) alpn: Option<String>,
    /// What the other side showed, leaf first.
    pub(super) presented: Vec<Vec<u8>>,
    pub(super) mechanism: Option<&'static str>,
    pub(super) proven: Option<Proven>,
    pub(super) refusals: Vec<Refusal>,
    /// The peer's own words.
    pub(super) remote_error: Option<String>,
    /// Pairs on the connection.
    pub(super) pairs: usize,
    /// The stream goes both ways (XEP-0288).
    pub(super) bidi: bool,
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
            dns: None,
            direct: None,
            address: None,
            stage: Stage::Start,
            tls: None,
            alpn: None,
            presented: Vec::new(),
            mechanism: None,
            proven: None,
            refusals: Vec::new(),
            remote_error: None,
            pairs: 0,
            bidi: false,
        }
    }

    /// Of ours, to where the DNS leads.
    pub(super) fn towards(target: &Target) -> Self {
        Self {
            target: Some(format!("{}:{}", target.host, target.port)),
            dns: Some(target.security),
            direct: Some(target.direct),
            ..Self::new("out")
        }
    }

    pub(super) fn secured(&mut self, info: &TlsInfo) {
        self.tls = Some((info.version, info.cipher));
        let alpn = info.alpn.as_ref();
        self.alpn = alpn.map(|name| String::from_utf8_lossy(name).into_owned());
        self.presented.clone_from(&info.peer_chain);
        self.presented.truncate(SHOWN);
    }

    pub(super) fn accepted(&mut self, proven: &Proven, mechanism: &'static str) {
        self.ok = true;
        self.code = None;
        self.fault = None;
        self.stage = Stage::Open;
        self.mechanism = Some(mechanism);
        self.proven = Some(proven.clone());
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
                    "minor": refusal.minor,
                })
            })
            .collect();
        let proven = self.proven.as_ref();
        let mut attempt = json!({
            "at": now().to_xep0082(),
            "direction": self.direction,
            "ok": self.ok,
            "summary": self.summary,
            "code": self.code,
            "fault": self.fault.map(Fault::name),
            "stage": self.stage.name(),
            "target": self.target,
            "dns": self.dns.map(dns_name),
            "direct": self.direct,
            "address": self.address,
            "tls": self.tls.map(|(version, _)| version),
            "cipher": self.tls.map(|(_, cipher)| cipher),
            "alpn": self.alpn,
            "presented": self.presented.iter().filter_map(|der| presented(der)).collect::<Vec<_>>(),
            "verdicts": self.verdicts(),
            "refusals": refusals,
            "mechanism": self.mechanism,
            "remote_error": self.remote_error,
            "pairs": self.pairs,
            "bidi": self.bidi,
        });
        if let (Value::Object(attempt), Some(proven)) = (&mut attempt, proven) {
            attempt.insert("prooftype".into(), proven.by().name().into());
            attempt.insert("identifier".into(), proven.identifier().into());
            attempt.insert("dnssec".into(), proven.dnssec().into());
            attempt.insert("weak".into(), proven.by().is_weak().into());
            attempt.insert("expires".into(), proven.until().to_xep0082().into());
        }
        attempt
    }

    /// What each prooftype that was looked at came to.
    fn verdicts(&self) -> Vec<Value> {
        let mut verdicts: Vec<_> = self
            .refusals
            .iter()
            .filter_map(|refusal| {
                let by = refusal.by?;
                Some(json!({
                    "prooftype": by.name(),
                    "holds": false,
                    "code": refusal.code,
                    "text": refusal.text,
                    "minor": refusal.minor,
                }))
            })
            .collect();
        if let Some(proven) = &self.proven {
            verdicts.push(json!({
                "prooftype": proven.by().name(),
                "holds": true,
                "text": proven.identifier(),
            }));
        }
        verdicts
    }
}

fn dns_name(security: Security) -> &'static str {
    match security {
        Security::Secure => "secure",
        Security::Insecure => "insecure",
        Security::Bogus => "bogus",
        Security::Unknown => "unknown",
    }
}

/// One certificate as the owner reads it; `None` when it cannot be read.
fn presented(der: &[u8]) -> Option<Value> {
    let found = dna::pkix::describe(der)?;
    Some(json!({
        "names": found.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "issuer": found.issuer,
        "not_after": found.not_after.to_xep0082(),
        "sha256": data_encoding::HEXLOWER.encode(&found.sha256),
    }))
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
        if attempt.ok || attempt.direction == "out" || attempt.stage == Stage::Open {
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
        if attempt.ok && attempt.direction == "in" {
            self.parts.router.server_connected(local, remote);
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
    let federation = &federation;
    let each = |((local, remote), fresh)| async move {
        let Some(domain) = federation.parts.tenancy.get(DomainName::as_str(&local)) else {
            return;
        };
        if let Err(error) = write(&domain.hosted.store, &remote, fresh).await {
            tracing::warn!(domain = %local, peer = %remote, %error, "what happened with a peer could not be kept");
        }
    };
    // Beside each other, so that they share commits.
    stream::iter(pairs)
        .for_each_concurrent(TOGETHER, each)
        .await;
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
