//! A stream that a peer opened: answers what its machine asks, and passes stanzas on with the proof they came under.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use dna::dialback::Evidence;
use dna::{Fault, Proven, Refusal, Role};
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use xmpp::jid::DomainName;
use xmpp::stanza::Stanza;
use xmpp::stream::peer_in::PeerIn;
use xmpp::stream::{
    Answer, Ask, Event, Host as HostAnswer, Judgement, KeyOutcome, Order, PairRefusal, Seed,
    Served, StreamCondition, StreamError, TlsInfo,
};

use super::attempts::Attempt;
use super::call::expire;
use super::{Federation, judgement};
use crate::net::now;
use crate::net::pump::{self, Host, Transport};
use crate::net::tls::{Door, Secure};
use crate::session::Outbox;

/// Domains of one stream whose refusals are kept for the record.
const REFUSALS: usize = 64;

pub(super) async fn serve(
    federation: Arc<Federation>,
    transport: Transport<TcpStream>,
    tls: Option<TlsInfo>,
    from: SocketAddr,
    outbox: Arc<Outbox>,
) {
    let machine = PeerIn::new(Seed::new(rand::random()), federation.parts.provider.clone());
    let number = federation.inbound_add(&outbox);
    let limits = federation.parts.settings.limits;
    let mut host = InHost {
        federation,
        outbox,
        from,
        number,
        tls: TlsInfo::default(),
        proven: Vec::new(),
        confirmed: Arc::default(),
        refusals: HashMap::new(),
        expiries: Vec::new(),
    };
    let ended = Box::pin(pump::run(transport, tls, machine, &mut host, limits)).await;
    match &ended.broken {
        Some(error) => tracing::debug!(%from, %error, "a peer's connection was lost"),
        None => tracing::debug!(%from, "a peer's stream closed"),
    }
}

/// One connection that a peer made.
struct InHost {
    federation: Arc<Federation>,
    outbox: Arc<Outbox>,
    from: SocketAddr,
    number: u64,
    tls: TlsInfo,
    /// Pairs that may pass, each with its proof. One in nearly every case.
    proven: Vec<Proven>,
    /// Keys that were confirmed: by whom.
    confirmed: Arc<Mutex<HashMap<DomainName, Evidence>>>,
    /// Why certificates did not prove a domain.
    refusals: HashMap<DomainName, Vec<Refusal>>,
    expiries: Vec<AbortHandle>,
}

impl InHost {
    fn judge(&mut self, local: &DomainName, remote: &DomainName) -> Judgement {
        if self.federation.parts.tenancy.hosts(remote.as_str()) {
            // Hosted domains talk inside this process; whoever says to be one on the outside is not (ROUTE-08).
            return refuse("that domain is served here");
        }
        let Some(domain) = self.federation.parts.tenancy.get(local.as_str()) else {
            return refuse("the domain has gone");
        };
        let verdict = self.federation.judge(
            &domain,
            remote,
            Role::Receiver,
            (&self.tls, None),
            None,
            None,
        );
        let judgement = judgement(&verdict);
        if self.refusals.len() >= REFUSALS {
            self.refusals.clear();
        }
        self.refusals
            .insert(remote.clone(), verdict.refusals().to_vec());
        if let Some(error) = &judgement.refused {
            self.refused(local, remote, "not-proven", Fault::Peer, error.to_string());
        }
        judgement
    }

    fn accepted(&mut self, local: &DomainName, remote: &DomainName, mechanism: &'static str) {
        let Some(domain) = self.federation.parts.tenancy.get(local.as_str()) else {
            return;
        };
        let dialback = self.confirmed.lock().get(remote).cloned();
        let verdict = self.federation.judge(
            &domain,
            remote,
            Role::Receiver,
            (&self.tls, None),
            None,
            dialback,
        );
        let Some(proven) = verdict.into_proven() else {
            // Its certificate has expired between the judgement and now, or policy has changed: prove it anew.
            let error = StreamError::new(StreamCondition::Reset);
            return self.outbox.order(Order::Close(error));
        };
        let mut attempt = self.attempt(remote);
        attempt.ok = true;
        attempt.mechanism = Some(mechanism);
        attempt.summary = format!(
            "receiving over {}, the peer proved by {}",
            self.tls.version,
            proven.by().name()
        );
        attempt.proven = Some(proven.clone());
        self.federation.record(local, remote, &attempt);
        self.federation.count("in", proven.by().name());
        self.federation.inbound_proved(self.number, &proven);
        self.expiries.push(expire(&self.outbox, &proven));
        self.proven.retain(|p| !p.covers(local, remote));
        self.proven.push(proven);
    }

    fn attempt(&self, remote: &DomainName) -> Attempt {
        let mut attempt = Attempt::new("in");
        attempt.address = Some(self.from.to_string());
        attempt.secured(&self.tls);
        attempt.refusals = self.refusals.get(remote).cloned().unwrap_or_default();
        attempt
    }

    fn refused(
        &self,
        local: &DomainName,
        remote: &DomainName,
        code: &'static str,
        fault: Fault,
        why: String,
    ) {
        let mut attempt = self.attempt(remote);
        let first = attempt.refusals.first();
        let (code, fault) = first.map_or((code, fault), |r| (r.code, r.fault));
        attempt.failed(code, fault, why);
        self.federation.record(local, remote, &attempt);
        self.federation.count("in", "refused");
    }
}

fn refuse(why: &str) -> Judgement {
    Judgement {
        proven: false,
        dialback: false,
        refused: Some(StreamError::new(StreamCondition::PolicyViolation).with_text(why)),
    }
}

impl Host for InHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        let federation = self.federation.clone();
        match ask {
            Ask::Host { to } => Box::pin(async move { Answer::Host(host(&federation, to).await) }),
            Ask::Judge { local, remote } => Box::pin(ready(Answer::Judged {
                judgement: self.judge(&local, &remote),
                local,
                remote,
            })),
            Ask::VerifyKey {
                stream,
                local,
                remote,
                key,
            } => {
                let confirmed = self.confirmed.clone();
                Box::pin(async move {
                    let asked = federation.verify(local.clone(), remote.clone(), stream, key);
                    let (outcome, by) = Box::pin(asked).await;
                    if outcome == KeyOutcome::Valid {
                        let evidence = Evidence::Confirmed { by, at: now() };
                        confirmed.lock().insert(remote.clone(), evidence);
                    }
                    Answer::KeyVerified {
                        local,
                        remote,
                        outcome,
                    }
                })
            }
            Ask::CheckKey {
                stream,
                local,
                remote,
                key,
            } => {
                let hosted = federation.parts.tenancy.hosts(local.as_str());
                Box::pin(ready(Answer::KeyChecked {
                    valid: hosted.then(|| {
                        let secret = federation.secret(&local);
                        secret.is_key(&key, remote.as_str(), local.as_str(), &stream)
                    }),
                    stream,
                    local,
                    remote,
                }))
            }
            // Questions of other machines.
            _ => Box::pin(std::future::pending()),
        }
    }

    fn stanza(&mut self, stanza: Stanza) -> Option<BoxFuture<'static, ()>> {
        let (from, to) = (stanza.from()?.domain(), stanza.to()?.domain());
        let proven = self
            .proven
            .iter()
            .find(|p| p.remote().as_str() == from && p.local().as_str() == to);
        let passed = proven.map(|proven| self.federation.parts.router.from_peer(proven, stanza));
        match passed {
            Some(Ok(later)) => later,
            // The machine has checked the pair; a domain that has just gone remains.
            _ => {
                let error = StreamError::new(StreamCondition::HostUnknown);
                self.outbox.order(Order::Close(error));
                None
            }
        }
    }

    fn tls(&mut self, domain: DomainName) -> BoxFuture<'static, Option<Secure>> {
        let federation = self.federation.clone();
        Box::pin(async move {
            Some(Secure::Server {
                identity: federation.parts.identities.get(&domain).await?,
                door: Door::Peer,
            })
        })
    }

    fn secured(&mut self, info: &TlsInfo) {
        self.tls = info.clone();
    }

    fn tls_failed(&mut self, error: &io::Error) {
        tracing::debug!(from = %self.from, %error, "TLS handshake with a peer failed");
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::PairAccepted {
                local,
                remote,
                mechanism,
            } => self.accepted(&local, &remote, mechanism),
            Event::PairRefused {
                local,
                remote,
                reason,
                why,
            } => {
                // Judgements were recorded when they were made.
                let code = match reason {
                    PairRefusal::Judgement => return,
                    _ => "dialback-refused",
                };
                self.refused(&local, &remote, code, Fault::Peer, why);
            }
            Event::RemoteError(error) => {
                tracing::debug!(from = %self.from, %error, "a peer closed with an error");
            }
            Event::Reply(reply) => self.federation.parts.router.reply(*reply),
            _ => {}
        }
    }
}

impl Drop for InHost {
    fn drop(&mut self) {
        self.outbox.close();
        self.federation.inbound_remove(self.number);
        for expiry in self.expiries.drain(..) {
            expiry.abort();
        }
    }
}

async fn host(federation: &Federation, to: DomainName) -> HostAnswer {
    let Some(domain) = federation.parts.tenancy.get(to.as_str()) else {
        return if federation.parts.tenancy.departed(&to).await {
            HostAnswer::Gone
        } else {
            HostAnswer::Unknown
        };
    };
    if !domain.served {
        let error = StreamError::new(StreamCondition::PolicyViolation);
        return HostAnswer::Refused(error.with_text("this domain is suspended"));
    }
    let limits = &federation.parts.settings.limits;
    HostAnswer::Served(Box::new(Served {
        identity: federation
            .parts
            .identities
            .get(domain.name())
            .await
            .is_some(),
        domain: domain.name().clone(),
        plain: false,
        fake_secret: Arc::from([]),
        features: Vec::new(),
        max_bytes: limits.stanza_bytes,
        idle_seconds: u32::try_from(limits.keepalive.as_secs()).unwrap_or(u32::MAX),
    }))
}
