//! A stream that a peer opened: answers what its machine asks, and takes part in what the stream carries.
//!
//! Refuses: a peer that says to be a domain hosted here (ROUTE-08), and what has become against policy between a judgement
//! and its use.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use dna::dialback::Evidence;
use dna::{Fault, Proven, Refusal, Role};
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::peer_in::PeerIn;
use xmpp::stream::{
    Answer, Ask, Event, Host as HostAnswer, Judgement, KeyOutcome, Order, PairRefusal, Seed,
    Served, StreamCondition, StreamError, TlsInfo,
};

use super::attempts::{Attempt, Stage};
use super::channel::{Basis, Channel};
use super::evidence::Ruling;
use super::standing::Fall;
use super::{Federation, domain_gone, judgement, refuse};
use crate::net::limits::{Admission, Patience};
use crate::net::now;
use crate::net::pump::{self, Host, Later, Transport};
use crate::net::tls::{Door, Secure};
use crate::session::Outbox;
use crate::tenancy::{Domain, Occupied};

/// Domains of one stream about which something is remembered while they are being proved.
const REMEMBERED: usize = 64;

pub(super) async fn serve(
    federation: Arc<Federation>,
    transport: Transport<TcpStream>,
    tls: Option<Box<TlsInfo>>,
    from: SocketAddr,
    outbox: Arc<Outbox>,
    admission: Admission,
) {
    let machine = PeerIn::new(Seed::new(rand::random()), federation.parts.provider.clone());
    let limits = federation.parts.settings.limits;
    let mut host = InHost {
        channel: Channel::new(&federation, outbox, false),
        from,
        tls: Arc::default(),
        to: None,
        judged: Arc::default(),
        place: Arc::default(),
        verifying: Vec::new(),
        admission,
    };
    let ended = Box::pin(pump::run(transport, tls, machine, &mut host, limits)).await;
    match &ended.broken {
        Some(error) => tracing::debug!(%from, %error, "a peer's connection was lost"),
        None => tracing::debug!(%from, "a peer's stream closed"),
    }
    for (local, remote) in std::mem::take(&mut host.verifying) {
        let why = format!(
            "{remote} called, and when its stream ended its own server had not said yet whether the key is its own"
        );
        host.refused(&local, &remote, "dialback-authority-silent", why);
    }
    host.channel.ended(ended.unwritten);
}

/// One connection that a peer made.
struct InHost {
    channel: Channel,
    from: SocketAddr,
    tls: Arc<TlsInfo>,
    /// The domain that the stream was opened to.
    to: Option<DomainName>,
    /// By pair: what was judged and not used yet.
    judged: Arc<Mutex<HashMap<(DomainName, DomainName), Judged>>>,
    /// Its place among the connections of the domain that its header names.
    place: Arc<Mutex<Option<Occupied>>>,
    /// Pairs about whose keys somebody is being asked.
    verifying: Vec<(DomainName, DomainName)>,
    admission: Admission,
}

/// What the evidence of the moment says about a pair.
#[derive(Default)]
struct Judged {
    proven: Option<(Proven, Arc<Domain>)>,
    /// Why certificates did not prove it.
    refusals: Vec<Refusal>,
}

impl InHost {
    fn basis(&self, local: &DomainName, remote: &DomainName) -> Basis {
        Basis {
            local: local.clone(),
            remote: remote.clone(),
            role: Role::Receiver,
            tls: self.tls.clone(),
            staple: None,
            target: None,
            dnssec: false,
            address: self.from.ip(),
        }
    }

    fn judge(&self, local: &DomainName, remote: &DomainName) -> BoxFuture<'static, Answer> {
        let federation = self.channel.federation.clone();
        let (basis, judged) = (self.basis(local, remote), self.judged.clone());
        let attempt = self.attempt();
        let to = self.to.clone();
        Box::pin(async move {
            if !is_here(&federation, to.as_ref(), &basis.local).await {
                return Answer::Judged {
                    local: basis.local,
                    remote: basis.remote,
                    judgement: Judgement {
                        refused: Some(StreamCondition::HostUnknown.into()),
                        ..refuse("")
                    },
                };
            }
            let judgement = judge(&federation, &basis, &judged, attempt).await;
            Answer::Judged {
                local: basis.local,
                remote: basis.remote,
                judgement,
            }
        })
    }

    fn verify(&self, basis: Basis, stream: String, key: String) -> BoxFuture<'static, Answer> {
        let federation = self.channel.federation.clone();
        let judged = self.judged.clone();
        Box::pin(async move {
            let (local, remote) = (basis.local.clone(), basis.remote.clone());
            let pair = (local.clone(), remote.clone());
            let asked = federation.verify(pair, stream, key, basis.address);
            let (mut outcome, authority) = Box::pin(asked).await;
            if outcome == KeyOutcome::Valid {
                let confirmed = Evidence::Confirmed {
                    by: authority.address,
                    dnssec: authority.dnssec,
                    at: now(),
                };
                let ruling = federation.judge(&basis, Some(confirmed)).await;
                let proven = ruling.and_then(|r| Some((r.verdict.into_proven()?, r.under)));
                if proven.is_none() {
                    // The domain has changed while the key was being verified.
                    let error = StanzaError::new(Condition::NotAuthorized)
                        .with_text("what this domain asks of its peers has changed");
                    outcome = KeyOutcome::Failed(Box::new(error));
                }
                let mut judged = judged.lock();
                let known = judged.entry((local.clone(), remote.clone())).or_default();
                known.proven = proven;
            }
            Answer::KeyVerified {
                local,
                remote,
                outcome,
            }
        })
    }

    fn accepted(
        &mut self,
        local: &DomainName,
        remote: &DomainName,
        mechanism: &'static str,
        bidi: bool,
    ) {
        let pair = (local.clone(), remote.clone());
        let judged = self.judged.lock().remove(&pair).unwrap_or_default();
        let federation = self.channel.federation.clone();
        let Some((proven, under)) = judged.proven else {
            // It was forgotten among too many; the peer may prove it anew.
            let error = StreamError::new(StreamCondition::Reset);
            return self.channel.outbox.order(Order::Close(error));
        };
        let pair = federation.pair(local, remote);
        let basis = self.basis(local, remote);
        let held = self.channel.hold(&proven, basis, true, pair.as_ref().ok());
        if let Err(fall) = federation.still_holds(&held, &under) {
            return federation.fell(&self.channel.outbox, &held.basis, *fall);
        }
        match pair {
            Ok(pair) if bidi => self.channel.carry(pair, &proven),
            Ok(_) => {}
            Err(limit) => {
                federation.parts.metrics.limit(limit);
                let domain = federation.parts.tenancy.get(local.as_str());
                let fall = Fall::of_limit(domain.map_or(0, |domain| domain.most_peers()));
                return federation.fell(&self.channel.outbox, &held.basis, fall);
            }
        }
        let mut attempt = self.attempt();
        attempt.refusals = judged.refusals;
        attempt.accepted(&proven, mechanism);
        attempt.bidi = bidi;
        attempt.pairs = self.channel.pairs();
        attempt.summary = format!(
            "receiving over {}, the peer proved by {}",
            self.tls.version,
            proven.by().name()
        );
        federation.record(local, remote, &attempt);
        federation.count("in", proven.by().name());
        // It is evidently up again.
        if let Some(pair) = federation.known_pair(local, remote) {
            pair.peer_is_up();
        }
    }

    fn attempt(&self) -> Attempt {
        let mut attempt = Attempt::new("in");
        attempt.address = Some(self.from.to_string());
        attempt.stage = Stage::SignIn;
        attempt.secured(&self.tls);
        attempt
    }

    /// Nobody is asked about the pair's key any more.
    fn verified(&mut self, local: &DomainName, remote: &DomainName) {
        self.verifying
            .retain(|(ours, theirs)| ours != local || theirs != remote);
    }

    fn refused(&self, local: &DomainName, remote: &DomainName, code: &'static str, why: String) {
        let mut attempt = self.attempt();
        let judged = self.judged.lock().remove(&(local.clone(), remote.clone()));
        attempt.refusals = judged.unwrap_or_default().refusals;
        refused(
            &self.channel.federation,
            (local, remote),
            attempt,
            code,
            why,
        );
    }
}

/// Whether a stream to `to` may carry pairs of `local` (VHOST-03): it is that domain, or one of the same tenant whose name is
/// on the certificate that was shown, so that the peer knew whom it was speaking to (DNA-17).
async fn is_here(federation: &Federation, to: Option<&DomainName>, local: &DomainName) -> bool {
    let Some(to) = to else { return false };
    if to == local {
        return true;
    }
    let tenancy = &federation.parts.tenancy;
    let (Some(shown), Some(asked)) = (tenancy.get(to.as_str()), tenancy.get(local.as_str())) else {
        return false;
    };
    if !asked.served || shown.tenant != asked.tenant {
        return false;
    }
    let identity = federation.parts.identities.get(to).await;
    identity.is_some_and(|identity| identity.covers(local))
}

async fn judge(
    federation: &Federation,
    basis: &Basis,
    judged: &Mutex<HashMap<(DomainName, DomainName), Judged>>,
    mut attempt: Attempt,
) -> Judgement {
    let (local, remote) = (&basis.local, &basis.remote);
    if federation.parts.tenancy.hosts(remote.as_str()) {
        // Hosted domains talk inside this process; whoever says to be one on the outside is not (ROUTE-08).
        return refuse("that domain is served here");
    }
    let Some(Ruling { verdict, under }) = federation.judge(basis, None).await else {
        return domain_gone();
    };
    let judgement = judgement(&verdict);
    let refusals = verdict.refusals().to_vec();
    if let Some(error) = &judgement.refused {
        attempt.stage = Stage::Identity;
        attempt.refusals = refusals;
        refused(
            federation,
            (local, remote),
            attempt,
            "not-proven",
            error.to_string(),
        );
        return judgement;
    }
    let mut judged = judged.lock();
    if judged.len() >= REMEMBERED {
        judged.clear();
    }
    let proven = verdict.into_proven().map(|proven| (proven, under));
    judged.insert((local.clone(), remote.clone()), Judged { proven, refusals });
    judgement
}

/// Records that a pair was refused; the first refusal says what has to change, `code` where there is none.
fn refused(
    federation: &Federation,
    (local, remote): (&DomainName, &DomainName),
    mut attempt: Attempt,
    code: &'static str,
    why: String,
) {
    // A dialback key that was not confirmed is the last word, whatever made dialback necessary.
    let mut told = attempt.refusals.iter().filter(|refusal| !refusal.minor);
    let told = told.next().filter(|_| code != "dialback-refused");
    let (code, fault) = told.map_or((code, Fault::Peer), |r| (r.code, r.fault));
    attempt.failed(code, fault, why);
    federation.record(local, remote, &attempt);
    federation.count("in", "refused");
}

impl Host for InHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.channel.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        let federation = self.channel.federation.clone();
        match ask {
            Ask::Host { to } => {
                self.to = Some(to.clone());
                let place = self.place.clone();
                Box::pin(async move { Answer::Host(host(&federation, to, &place).await) })
            }
            Ask::Judge { local, remote } => self.judge(&local, &remote),
            Ask::VerifyKey {
                stream,
                local,
                remote,
                key,
            } => {
                self.verifying.push((local.clone(), remote.clone()));
                self.verify(self.basis(&local, &remote), stream, key)
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

    fn stanza(&mut self, stanza: Stanza) -> Option<Later> {
        self.channel.stanza(stanza)
    }

    fn tls(&mut self, domain: DomainName) -> BoxFuture<'static, Option<Secure>> {
        let federation = self.channel.federation.clone();
        Box::pin(async move {
            Some(Secure::Server {
                identity: federation.parts.identities.get(&domain).await?,
                door: Door::Peer,
            })
        })
    }

    fn secured(&mut self, info: &TlsInfo) {
        self.tls = Arc::new(info.clone());
    }

    fn authenticated(&mut self) {
        self.admission.authenticated();
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.channel.patience())
    }

    fn ping(&mut self) -> Option<Bytes> {
        self.channel.ping()
    }

    fn slowed(&mut self, limit: &'static str) {
        self.channel.federation.parts.metrics.limit(match limit {
            "bytes_per_second" => "peer_bytes_per_second",
            "stanzas_per_second" => "peer_stanzas_per_second",
            limit => limit,
        });
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
                bidi,
            } => {
                self.verified(&local, &remote);
                self.accepted(&local, &remote, mechanism, bidi);
            }
            // Judgements were recorded when they were made.
            Event::PairRefused {
                reason: PairRefusal::Judgement,
                ..
            } => {}
            Event::PairRefused {
                local, remote, why, ..
            } => {
                self.verified(&local, &remote);
                self.refused(&local, &remote, "dialback-refused", why);
            }
            Event::RemoteError(error) => {
                tracing::debug!(from = %self.from, %error, "a peer closed with an error");
            }
            event => {
                self.channel.event(event);
            }
        }
    }
}

async fn host(
    federation: &Federation,
    to: DomainName,
    place: &Mutex<Option<Occupied>>,
) -> HostAnswer {
    let Some(domain) = federation.parts.tenancy.get(to.as_str()) else {
        return if federation.parts.tenancy.departed(&to).await {
            HostAnswer::Gone
        } else {
            HostAnswer::Unknown
        };
    };
    if domain.is_leaving() {
        return HostAnswer::Gone;
    }
    if !domain.served {
        let error = StreamError::new(StreamCondition::PolicyViolation);
        return HostAnswer::Refused(error.with_text("this domain is suspended"));
    }
    if let Err(error) = domain.take_place(place, &federation.parts.metrics) {
        return HostAnswer::Refused(error);
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
        hashes: Vec::new(),
        fake_secret: Arc::from([]),
        features: [].into(),
        max_bytes: limits.stanza_bytes,
        external: Vec::new(),
        idle_seconds: limits.patience.idle_seconds(),
        resumption: None,
        tokens: false,
        registers: false,
        flows: &[],
        inline: Vec::new(),
    }))
}
