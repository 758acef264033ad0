//! One connection that we made: answers what its machine asks, and takes part in what the stream carries.
//!
//! Refuses: passing anything on before the peer was judged for exactly the pair concerned.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use dna::{Fault, Proven, Refusal, Role, Target};
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::{
    Answer, Ask, Event, Judgement, Order, PairRefusal, StreamCondition, StreamError, TlsInfo,
};

use super::attempts::{Attempt, Stage};
use super::call::{Call, Failed, Job, OtherHost, Outcome};
use super::channel::{Basis, Channel};
use super::link::Link;
use super::pair::Pair;
use super::verify::{Authority, Verifier};
use super::{Federation, judgement};
use crate::net::limits::Patience;
use crate::net::pump::{Ended, Host, Later};
use crate::net::tls::{Identity, Secure, Staple};
use crate::session::Outbox;
use crate::tenancy::Domain;

/// Code of a peer that does not take our certificate as a client's.
const REJECTED: &str = "peer-rejects-serverauth-cert";
/// Silence after which a stream is closed whose pair goes both ways on another too. Long enough for what comes in answer to
/// what came.
const SUPERSEDED: Duration = Duration::from_secs(10);

pub(super) struct OutHost {
    channel: Channel,
    local: DomainName,
    remote: DomainName,
    target: Target,
    dnssec: bool,
    address: SocketAddr,
    identity: Option<Arc<Identity>>,
    job: Job,
    tls: Arc<TlsInfo>,
    staple: Staple,
    judged: Arc<Mutex<Judged>>,
    attempt: Attempt,
    /// The stream has come to do what it was opened for.
    served: bool,
    /// The peer answers dialback errors; `None` until it could take further pairs.
    further: Option<bool>,
    link: Option<Arc<Link>>,
    /// EXTERNAL was refused on this connection.
    external_refused: Option<Refusal>,
    refused: Option<(PairRefusal, String)>,
    tls_error: Option<String>,
    /// It closed the stream over a dialback element.
    knows_no_dialback: bool,
    other_host: Option<String>,
}

/// What judging the peer for the stream's own pair gave.
#[derive(Default)]
struct Judged {
    proven: Option<(Proven, Arc<Domain>)>,
    refusals: Vec<Refusal>,
}

impl OutHost {
    pub(super) fn new(
        call: &Call<'_>,
        address: SocketAddr,
        identity: Option<Arc<Identity>>,
        mut attempt: Attempt,
    ) -> Self {
        attempt.address = Some(address.to_string());
        attempt.stage = Stage::Tls;
        let outbox = Outbox::new(call.federation.parts.settings.limits.outbox_bytes);
        Self {
            channel: Channel::new(call.federation, outbox, true),
            local: call.domain.name().clone(),
            remote: call.remote.clone(),
            target: call.target.clone(),
            dnssec: call.dnssec,
            address,
            identity,
            job: call.job.clone(),
            tls: Arc::default(),
            staple: Staple::default(),
            judged: Arc::default(),
            attempt,
            served: false,
            further: None,
            link: None,
            external_refused: None,
            refused: None,
            tls_error: None,
            knows_no_dialback: false,
            other_host: None,
        }
    }

    /// TLS as client, with the peer's domain as SNI and reference identity (TLS-33).
    pub(super) fn secure(&self, direct: bool) -> BoxFuture<'static, Option<Secure>> {
        let federation = self.channel.federation.clone();
        let (identity, remote) = (self.identity.clone(), self.remote.clone());
        let staple = self.staple.clone();
        Box::pin(async move {
            let config = federation.client_config(identity.as_deref(), direct).ok()?;
            let config = staple.watched(&config, federation.parts.identities.provider());
            let name = remote.to_ascii();
            let name = name
                .strip_prefix('[')
                .and_then(|name| name.strip_suffix(']'))
                .unwrap_or(&name);
            let name = ServerName::try_from(name.to_owned()).ok()?;
            Some(Secure::Client { config, name })
        })
    }

    fn basis(&self) -> Basis {
        Basis {
            local: self.local.clone(),
            remote: self.remote.clone(),
            role: Role::Initiator,
            tls: self.tls.clone(),
            staple: Some(self.staple.taken()),
            target: Some(self.target.clone()),
            dnssec: self.dnssec,
            address: self.address.ip(),
        }
    }

    fn judge(&self) -> BoxFuture<'static, Answer> {
        let federation = self.channel.federation.clone();
        let (basis, judged) = (self.basis(), self.judged.clone());
        let address = self.address;
        Box::pin(async move {
            let (judgement, found) = judge(&federation, &basis, address).await;
            *judged.lock() = found;
            Answer::Judged {
                local: basis.local,
                remote: basis.remote,
                judgement,
            }
        })
    }

    /// The stream's own pair, or one that came aboard later.
    fn accepted(
        &mut self,
        local: &DomainName,
        remote: &DomainName,
        mechanism: &'static str,
        bidi: bool,
    ) {
        if *local == self.local && *remote == self.remote {
            return self.own_accepted(mechanism, bidi);
        }
        let Some(rider) = self.link.as_ref().and_then(|l| l.answered(local, remote)) else {
            return;
        };
        let mut attempt = self.attempt.clone();
        attempt.refusals.clear();
        let (proven, under) = (&rider.proven, &rider.under);
        if !self.carry(&rider.pair, proven, under, rider.basis.clone(), bidi) {
            return rider.done(false);
        }
        self.record_accepted(&mut attempt, &rider.proven, mechanism, bidi);
        rider.done(true);
    }

    fn own_accepted(&mut self, mechanism: &'static str, bidi: bool) {
        let refusals = std::mem::take(&mut self.judged.lock().refusals);
        self.attempt.refusals.extend(refusals);
        let proven = self.judged.lock().proven.clone();
        let Some((proven, under)) = proven else {
            // The machine asks for a judgement before anything else; without one there is nothing to stand on.
            let error = StreamError::new(StreamCondition::InternalServerError);
            return self.channel.outbox.order(Order::Close(error));
        };
        if let Job::Pair(pair) = self.job.clone()
            && !self.carry(&pair, &proven, &under, self.basis(), bidi)
        {
            return;
        }
        self.served = true;
        let mut attempt = std::mem::replace(&mut self.attempt, Attempt::new("out"));
        self.record_accepted(&mut attempt, &proven, mechanism, bidi);
        self.attempt = attempt;
        self.open_to_others();
    }

    /// `false`: its domain has changed since the peer was judged, and no longer takes it.
    fn carry(
        &mut self,
        pair: &Arc<Pair>,
        proven: &Proven,
        under: &Arc<Domain>,
        basis: Basis,
        bidi: bool,
    ) -> bool {
        let held = self.channel.hold(proven, basis, bidi, None);
        let federation = self.channel.federation.clone();
        if let Err(fall) = federation.still_holds(&held, under) {
            federation.fell(&self.channel.outbox, &held.basis, *fall);
            return false;
        }
        self.channel.carry(pair.clone(), proven);
        true
    }

    fn record_accepted(
        &self,
        attempt: &mut Attempt,
        proven: &Proven,
        mechanism: &'static str,
        bidi: bool,
    ) {
        attempt.accepted(proven, mechanism);
        attempt.bidi = bidi;
        attempt.pairs = self.channel.pairs();
        attempt.summary = format!(
            "sending over {}, the peer proved by {}",
            attempt.tls.map_or("TLS", |(version, _)| version),
            proven.by().name(),
        );
        let federation = &self.channel.federation;
        federation.record(proven.local(), proven.remote(), attempt);
        federation.count("out", proven.by().name());
    }

    /// Further pairs may come aboard once the first is accepted and the peer could answer for them.
    fn open_to_others(&mut self) {
        let Some(errors) = self.further else { return };
        if !self.served || self.link.is_some() || !matches!(self.job, Job::Pair(_)) {
            return;
        }
        let link = Arc::new(Link {
            outbox: self.channel.outbox.clone(),
            basis: self.basis(),
            address: self.address,
            names: OnceLock::new(),
            identity: self.identity.clone(),
            by_certificate: self.attempt.mechanism == Some("EXTERNAL"),
            errors,
            aboard: Mutex::default(),
        });
        self.channel.federation.links.lock().push(link.clone());
        self.link = Some(link);
    }

    fn pair_refused(
        &mut self,
        local: &DomainName,
        remote: &DomainName,
        reason: PairRefusal,
        why: String,
    ) {
        if *local == self.local && *remote == self.remote {
            self.refused = Some((reason, why));
            return;
        }
        let Some(rider) = self.link.as_ref().and_then(|l| l.answered(local, remote)) else {
            return;
        };
        let mut attempt = self.attempt.clone();
        attempt.proven = None;
        attempt.mechanism = Some("dialback");
        attempt.stage = Stage::SignIn;
        attempt.pairs = self.channel.pairs();
        attempt.failed("further-pair-refused", Fault::Peer, why);
        self.channel.federation.record(local, remote, &attempt);
        rider.done(false);
    }

    /// The stream has ended.
    pub(super) fn outcome(mut self, external: bool, ended: Ended) -> Outcome {
        if let Some(link) = self.link.take() {
            link.close();
            let mut links = self.channel.federation.links.lock();
            links.retain(|other| !Arc::ptr_eq(other, &link));
        }
        self.channel.ended(ended.unwritten);
        if self.served {
            return Outcome::Served;
        }
        if self.refused.is_none()
            && let Some(refusal) = self.external_refused.take().filter(|_| external)
        {
            return Outcome::WithoutExternal(refusal, self.address);
        }
        let mut condition = Condition::RemoteServerTimeout;
        let mut last_word = false;
        let (code, fault, summary) = match self.refused.take() {
            _ if self.tls_error.is_some() => {
                let error = self.tls_error.take().unwrap_or_default();
                let why = format!("the TLS handshake with {} failed: {error}", self.remote);
                ("tls-failed", Fault::Peer, why)
            }
            Some((PairRefusal::Judgement, why)) => {
                // The last word is the judgement's.
                self.attempt.stage = Stage::Identity;
                let mut last_first = self.attempt.refusals.iter().rev();
                let last = last_first.find(|refusal| !refusal.minor);
                let (code, fault) = last.map_or(("not-proven", Fault::Peer), |r| (r.code, r.fault));
                (code, fault, why)
            }
            Some((PairRefusal::KeyInvalid, why)) => {
                // DIALBACK-16
                condition = Condition::InternalServerError;
                last_word = true;
                ("dialback-invalid", Fault::Ours, why)
            }
            Some((PairRefusal::KeyUnverified, why)) => {
                last_word = true;
                ("dialback-unverified", Fault::Ours, why)
            }
            Some((PairRefusal::NoWay, why)) if self.attempt.tls.is_none() => {
                self.attempt.stage = Stage::Tls;
                ("tls-required", Fault::Peer, why)
            }
            Some((PairRefusal::NoWay, why)) => ("no-common-proof", Fault::Peer, why),
            None => self.without_a_word(&ended.broken),
        };
        self.attempt.failed(code, fault, summary.clone());
        let trusted = self.judged.lock().proven.is_some();
        Outcome::Failed(Box::new(Failed {
            error: Box::new(StanzaError::new(condition).with_text(summary)),
            reached: true,
            last_word,
            other_host: self
                .other_host
                .take()
                .filter(|_| trusted)
                .and_then(|text| other_host(&text)),
            attempt: std::mem::replace(&mut self.attempt, Attempt::new("out")),
        }))
    }

    fn without_a_word(&self, broken: &Option<io::Error>) -> (&'static str, Fault, String) {
        let remote = &self.remote;
        let mut refusals = self.attempt.refusals.iter();
        if let Some(rejected) = refusals.find(|refusal| refusal.code == REJECTED) {
            // What followed was only the second best.
            let said = self.attempt.remote_error.as_deref().unwrap_or("no answer");
            let why = format!("{}; that ended with: {said}", rejected.text);
            (REJECTED, Fault::Peer, why)
        } else if let Some(said) = &self.attempt.remote_error {
            let why = format!("{remote} closed the stream: {said}");
            match self.knows_no_dialback {
                true => ("no-common-proof", Fault::Peer, why),
                false => ("peer-closed-with-error", Fault::Peer, why),
            }
        } else if let Some(error) = broken {
            let why = format!("the connection to {remote} was lost: {error}");
            ("connection-lost", Fault::Network, why)
        } else {
            let why = format!("{remote} closed the stream before it was ready");
            ("peer-closed", Fault::Peer, why)
        }
    }

    /// Keys are asked about here, unless the DNS describes another certificate than was shown (DANE-25, DANE-35): then it is
    /// not the authoritative server that would answer.
    fn ready_to_verify(&self, verifier: Arc<Verifier>) {
        let (federation, basis) = (self.channel.federation.clone(), self.basis());
        let (outbox, mut attempt) = (self.channel.outbox.clone(), self.attempt.clone());
        let authority = Authority {
            address: self.address.to_string(),
            dnssec: self.dnssec,
        };
        self.channel.federation.spawn(async move {
            let Some(refusal) = federation.dane_refuses(&basis).await else {
                return verifier.ready(&outbox, authority);
            };
            attempt.stage = Stage::Identity;
            attempt.failed(refusal.code, refusal.fault, refusal.text.clone());
            let error = StreamError::new(StreamCondition::NotAuthorized).with_text(&refusal.text);
            attempt.refusals.push(refusal);
            federation.record(&basis.local, &basis.remote, &attempt);
            outbox.order(Order::Close(error));
        });
    }

    fn external_refused(&mut self, why: String) {
        let refusal = Refusal::new(
            None,
            REJECTED,
            Fault::Peer,
            format!(
                "{} does not take our certificate as a client's ({why}); dialback over TLS follows",
                self.remote
            ),
        );
        self.attempt.refusals.push(refusal.clone());
        self.external_refused = Some(refusal);
        self.attempt.remote_error = Some(why);
    }
}

async fn judge(federation: &Federation, basis: &Basis, address: SocketAddr) -> (Judgement, Judged) {
    let Some(mut ruling) = federation.judge(basis, None).await else {
        return (super::domain_gone(), Judged::default());
    };
    let refusals = ruling.verdict.refusals().to_vec();
    let judgement = judgement(&ruling.verdict);
    if judgement.dialback {
        let delegated = basis.delegated(address);
        match federation.judge(basis, Some(delegated)).await {
            Some(again) => ruling = again,
            None => return (super::domain_gone(), Judged::default()),
        }
    }
    let proven = ruling.verdict.into_proven();
    let proven = proven.map(|proven| (proven, ruling.under));
    (judgement, Judged { proven, refusals })
}

/// STREAM-31: `host`, `host:port`, `[address]`, `[address]:port`.
fn other_host(text: &str) -> Option<OtherHost> {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            match port.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None => (address, port.is_empty().then_some(None)?),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    let host = match host.parse::<std::net::IpAddr>() {
        Ok(_) => host.to_owned(),
        Err(_) => DomainName::parse(host).ok()?.to_ascii().into_owned(),
    };
    Some(OtherHost { host, port })
}

impl Host for OutHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.channel.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        match ask {
            Ask::Judge { .. } => self.judge(),
            Ask::MakeKey {
                stream,
                local,
                remote,
            } => {
                let secret = self.channel.federation.secret(&local);
                Box::pin(ready(Answer::Key {
                    key: secret.key(remote.as_str(), local.as_str(), &stream),
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

    fn tls(&mut self, _: DomainName) -> BoxFuture<'static, Option<Secure>> {
        self.secure(false)
    }

    fn secured(&mut self, info: &TlsInfo) {
        self.attempt.secured(info);
        self.attempt.stage = Stage::SignIn;
        self.tls = Arc::new(info.clone());
    }

    fn patience(&self) -> Option<Patience> {
        let mut patience = self.channel.patience();
        let idle = self.job.idle(&self.channel.federation.parts.settings);
        patience.idle = Some(match self.channel.is_superseded() {
            true => idle.min(SUPERSEDED),
            false => idle,
        });
        Some(patience)
    }

    fn ping(&mut self) -> Option<Bytes> {
        self.channel.ping()
    }

    fn tls_failed(&mut self, error: &io::Error) {
        self.tls_error = Some(error.to_string());
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::PairAccepted {
                local,
                remote,
                mechanism,
                bidi,
            } => self.accepted(&local, &remote, mechanism, bidi),
            Event::PairRefused {
                local,
                remote,
                reason,
                why,
            } => {
                if reason == PairRefusal::Judgement {
                    let refusals = std::mem::take(&mut self.judged.lock().refusals);
                    self.attempt.refusals.extend(refusals);
                }
                self.pair_refused(&local, &remote, reason, why);
            }
            Event::RemoteError(error) => {
                self.attempt.remote_error = Some(error.to_string());
                // On a stream that is not accepted yet we have said nothing but dialback (XEP-0220 2.4.2).
                self.knows_no_dialback = error.condition == StreamCondition::UnsupportedStanzaType;
                self.other_host = error.other_host;
            }
            Event::ExternalRefused { why } => self.external_refused(why),
            Event::Ready { dialback, errors } => {
                if let Job::Verify(verifier) = self.job.clone() {
                    self.served = true;
                    self.ready_to_verify(verifier);
                }
                self.further = dialback.then_some(errors);
                self.open_to_others();
            }
            Event::KeyAnswered {
                stream, outcome, ..
            } => {
                if let Job::Verify(verifier) = &self.job {
                    verifier.answered(&stream, outcome);
                }
            }
            event => {
                self.channel.event(event);
            }
        }
    }
}

impl Drop for OutHost {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_31_other_hosts() {
        for (text, wanted) in [
            ("other.example", Some(("other.example", None))),
            (" other.example:9222\n", Some(("other.example", Some(9222)))),
            ("192.0.2.1", Some(("192.0.2.1", None))),
            ("[2001:db8::1]:9222", Some(("2001:db8::1", Some(9222)))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("[other.example]", None),
            ("[2001:db8::1]x", None),
            ("[2001:db8::1]:", None),
            ("https://other.example/", None),
            ("other.example:0", None),
            ("other.example:99999", None),
            ("", None),
        ] {
            let wanted = wanted.map(|(host, port): (&str, _)| OtherHost {
                host: host.to_owned(),
                port,
            });
            assert_eq!(other_host(text), wanted, "{text}");
        }
    }
}
