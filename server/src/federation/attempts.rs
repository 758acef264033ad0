//! What happened with each peer, for the eyes of the domain's owner (DNA-20, TLS-39).
//!
//! Attempts are collected and written a little later, those of all pairs at once, so that a flood of strangers costs the store
//! a few statements an interval. Refuses: keeping more than a handful per pair.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dna::{Fault, Proven, Refusal, Security, Target};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use store::PeerKey;
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
/// Pairs that are written together.
const TOGETHER: usize = 100;
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

    /// As it is kept, and as the owner's page reads it.
    fn to_json(&self) -> String {
        let told = Told {
            at: now().to_xep0082(),
            direction: self.direction,
            ok: self.ok,
            summary: &self.summary,
            code: self.code,
            fault: self.fault.map(Fault::name),
            stage: self.stage.name(),
            target: self.target.as_deref(),
            dns: self.dns.map(dns_name),
            direct: self.direct,
            address: self.address.as_deref(),
            tls: self.tls.map(|(version, _)| version),
            cipher: self.tls.map(|(_, cipher)| cipher),
            alpn: self.alpn.as_deref(),
            presented: self
                .presented
                .iter()
                .filter_map(|der| Presented::read(der))
                .collect(),
            verdicts: self.verdicts(),
            refusals: self.refusals.iter().map(TellsWhy::of).collect(),
            mechanism: self.mechanism,
            remote_error: self.remote_error.as_deref(),
            pairs: self.pairs,
            bidi: self.bidi,
            proof: self.proven.as_ref().map(TellsProof::of),
        };
        // There is nothing in it that JSON cannot say.
        serde_json::to_string(&told).unwrap_or_else(|_| "null".to_owned())
    }

    /// What each prooftype that was looked at came to.
    fn verdicts(&self) -> Vec<TellsVerdict<'_>> {
        let refused = self.refusals.iter().filter_map(|refusal| {
            Some(TellsVerdict {
                prooftype: refusal.by?.name(),
                holds: false,
                code: Some(refusal.code),
                text: &refusal.text,
                minor: Some(refusal.minor),
            })
        });
        let holds = self.proven.iter().map(|proven| TellsVerdict {
            prooftype: proven.by().name(),
            holds: true,
            code: None,
            text: proven.identifier(),
            minor: None,
        });
        refused.chain(holds).collect()
    }
}

/// An attempt as JSON.
#[derive(Serialize)]
struct Told<'a> {
    at: String,
    direction: &'static str,
    ok: bool,
    summary: &'a str,
    code: Option<&'static str>,
    fault: Option<&'static str>,
    stage: Option<&'static str>,
    target: Option<&'a str>,
    dns: Option<&'static str>,
    direct: Option<bool>,
    address: Option<&'a str>,
    tls: Option<&'static str>,
    cipher: Option<&'static str>,
    alpn: Option<&'a str>,
    presented: Vec<Presented>,
    verdicts: Vec<TellsVerdict<'a>>,
    refusals: Vec<TellsWhy<'a>>,
    mechanism: Option<&'static str>,
    remote_error: Option<&'a str>,
    pairs: usize,
    bidi: bool,
    #[serde(flatten)]
    proof: Option<TellsProof<'a>>,
}

#[derive(Serialize)]
struct TellsProof<'a> {
    prooftype: &'static str,
    identifier: &'a str,
    dnssec: bool,
    weak: bool,
    expires: String,
}

impl<'a> TellsProof<'a> {
    fn of(proven: &'a Proven) -> Self {
        Self {
            prooftype: proven.by().name(),
            identifier: proven.identifier(),
            dnssec: proven.dnssec(),
            weak: proven.by().is_weak(),
            expires: proven.until().to_xep0082(),
        }
    }
}

#[derive(Serialize)]
struct TellsWhy<'a> {
    prooftype: Option<&'static str>,
    code: &'static str,
    text: &'a str,
    fault: &'static str,
    minor: bool,
}

impl<'a> TellsWhy<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        Self {
            prooftype: refusal.by.map(dna::Prooftype::name),
            code: refusal.code,
            text: &refusal.text,
            fault: refusal.fault.name(),
            minor: refusal.minor,
        }
    }
}

#[derive(Serialize)]
struct TellsVerdict<'a> {
    prooftype: &'static str,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<bool>,
}

fn dns_name(security: Security) -> &'static str {
    match security {
        Security::Secure => "secure",
        Security::Insecure => "insecure",
        Security::Bogus => "bogus",
        Security::Unknown => "unknown",
    }
}

/// One certificate as the owner reads it.
#[derive(Serialize)]
struct Presented {
    names: Vec<String>,
    issuer: String,
    not_after: String,
    sha256: String,
}

impl Presented {
    /// `None` when it cannot be read.
    fn read(der: &[u8]) -> Option<Self> {
        let found = dna::pkix::describe(der)?;
        Some(Self {
            names: found.names.iter().map(ToString::to_string).collect(),
            issuer: found.issuer,
            not_after: found.not_after.to_xep0082(),
            sha256: data_encoding::HEXLOWER.encode(&found.sha256),
        })
    }
}

#[derive(Default)]
pub(super) struct Attempts {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Of each pair, the newest first, as JSON.
    pairs: HashMap<(DomainName, DomainName), Vec<String>>,
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
    let mut fresh: HashMap<PeerKey, Fresh> = HashMap::with_capacity(pairs.len());
    for ((local, remote), mut attempts) in pairs {
        let Some(domain) = federation.parts.tenancy.get(local.as_str()) else {
            continue;
        };
        let of_pair = fresh
            .entry(domain.hosted.store.peer_key(remote.as_str()))
            .or_insert_with(|| (Vec::new(), local, remote));
        let first = of_pair.0.is_empty();
        of_pair.0.append(&mut attempts);
        if !first {
            // A domain and its services have one list. Each attempt begins with its time.
            let at = |attempt: &String| attempt.split(',').next().map(str::to_owned);
            of_pair
                .0
                .sort_by_cached_key(|attempt| std::cmp::Reverse(at(attempt)));
        }
    }
    let change = |key: &PeerKey, before: Option<&str>| merged(&fresh[key].0, before);
    let store = federation.parts.tenancy.store();
    let keys: Vec<PeerKey> = fresh.keys().cloned().collect();
    for keys in keys.chunks(TOGETHER) {
        let together = store.peers_update(keys.to_vec(), now(), change).await;
        // One that is refused, because its domain has just left, takes the others along: then each by itself.
        let alone = match together {
            Ok(()) => continue,
            Err(error) if error.is_temporary() => {
                tracing::warn!(pairs = keys.len(), %error, "what happened with peers could not be kept");
                continue;
            }
            Err(_) => keys,
        };
        for key in alone {
            if let Err(error) = store.peers_update(vec![key.clone()], now(), change).await {
                let (_, local, remote) = &fresh[key];
                tracing::warn!(domain = %local, peer = %remote, %error, "what happened with a peer could not be kept");
            }
        }
    }
}

/// What has just happened with a peer, newest first; between whom.
type Fresh = (Vec<String>, DomainName, DomainName);

/// The newest of what has just happened and of what was kept before, newest first. What was kept is taken as it is, unread but
/// for where each attempt ends.
fn merged(fresh: &[String], before: Option<&str>) -> String {
    let before = before.and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok());
    let before = before.unwrap_or_default();
    let all = fresh
        .iter()
        .map(String::as_str)
        .chain(before.iter().map(|attempt| attempt.get()));
    let mut text = String::from("[");
    for (at, attempt) in all.take(KEPT).enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(attempt);
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// As if all were read and written anew.
    fn plainly(fresh: &[String], before: Option<&str>) -> Value {
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let mut all: Vec<Value> = fresh.iter().map(|text| read(text)).collect();
        if let Some(Ok(Value::Array(before))) = before.map(serde_json::from_str::<Value>) {
            all.extend(before);
        }
        all.truncate(KEPT);
        Value::Array(all)
    }

    #[test]
    fn the_newest_attempts_are_kept_as_they_were() {
        let refusal = Refusal::new(
            None,
            "peer-blocked",
            Fault::Policy,
            "\"a\", [b] {c}\\ \u{fc}",
        );
        let mut attempt = Attempt::new("in");
        attempt.failed("not-proven", Fault::Peer, "they said \"],[\"");
        attempt.refusals.push(refusal);
        let new = attempt.to_json();
        let old = r#"{"at": "x", "text": "a \"],[\" b", "list": [1, [2]]}"#.to_owned();
        let many = format!("[{}]", [old.as_str(); 12].join(" ,\n"));
        for fresh in [
            vec![],
            vec![new.clone()],
            vec![new.clone(); 3],
            vec![new; 12],
        ] {
            for before in [
                None,
                Some("[]"),
                Some("nothing"),
                Some("{}"),
                Some(many.as_str()),
            ] {
                let found: Value = serde_json::from_str(&merged(&fresh, before)).expect("JSON");
                assert_eq!(found, plainly(&fresh, before), "{before:?}");
            }
        }
    }

    /// The owner's page and the API read these names.
    #[test]
    fn dna_20_an_attempt_says_all_that_is_known() {
        let mut attempt = Attempt::new("out");
        attempt.accepted(
            &super::super::tests::proven("one.example", "two.example"),
            "dialback",
        );
        attempt.refusals.push(Refusal::new(
            Some(dna::Prooftype::Pkix),
            "certificate-expired",
            Fault::Peer,
            "has expired",
        ));
        let told: Value = serde_json::from_str(&attempt.to_json()).expect("JSON");
        let keys: Vec<&str> = told
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "address",
                "alpn",
                "at",
                "bidi",
                "cipher",
                "code",
                "direct",
                "direction",
                "dns",
                "dnssec",
                "expires",
                "fault",
                "identifier",
                "mechanism",
                "ok",
                "pairs",
                "presented",
                "prooftype",
                "refusals",
                "remote_error",
                "stage",
                "summary",
                "target",
                "tls",
                "verdicts",
                "weak",
            ]
        );
        assert_eq!(
            (&told["ok"], &told["weak"], &told["stage"]),
            (&true.into(), &true.into(), &"open".into())
        );
        assert_eq!(
            told["verdicts"],
            serde_json::json!([
                {"prooftype": "pkix", "holds": false, "code": "certificate-expired", "text": "has expired", "minor": false},
                {"prooftype": "dialback", "holds": true, "text": told["identifier"]},
            ])
        );
        assert_eq!(told["refusals"][0]["fault"], "peer");
        // Nothing is said of a proof where there is none.
        let failed: Value = serde_json::from_str(&Attempt::new("in").to_json()).expect("JSON");
        assert!(failed.get("prooftype").is_none() && failed["code"].is_null());
    }
}
