//! Calling a peer: where it is served, getting through, the stream.
//!
//! Targets are tried in the order of the DNS, each on its own, until one stream comes about. What each attempt met is
//! remembered. Refuses: a look-up for a pair whose stream is open, plaintext, and a second EXTERNAL where the first was
//! refused together with the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dna::dialback::Evidence;
use dna::{Delegation, Fault, Proven, Refusal, Role, Service, Target};
use futures_util::future::{BoxFuture, ready};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::peer_out::{PeerOut, Purpose};
use xmpp::stream::{Answer, Ask, Event, Order, PairRefusal, StreamCondition, StreamError, TlsInfo};

use super::attempts::Attempt;
use super::pair::Pair;
use super::staple::Staple;
use super::verify::Verifier;
use super::{Federation, judgement, policy};
use crate::net::dial::{self, DialError};
use crate::net::limits::StreamLimits;
use crate::net::now;
use crate::net::pump::{self, Ended, Host, Transport};
use crate::net::tls::Secure;
use crate::session::Outbox;
use crate::tenancy::Domain;

/// A stream for questions about keys is closed when nothing was asked for this long.
const VERIFY_IDLE: Duration = Duration::from_secs(60);

/// What a stream is opened for.
#[derive(Clone)]
pub(super) enum Job {
    /// To carry a pair's stanzas.
    Pair(Arc<Pair>),
    /// To ask about dialback keys.
    Verify(Arc<Verifier>),
}

/// Calls `remote` for `local` and serves the stream to its end. Gives what it could not write.
///
/// # Errors
/// No stream came about; the error is for those whose stanzas waited (ROUTE-05, DIALBACK-16).
pub(super) async fn call(
    federation: &Arc<Federation>,
    local: &DomainName,
    remote: &DomainName,
    job: &Job,
) -> Result<Vec<Bytes>, Box<StanzaError>> {
    let deadline = Instant::now() + federation.parts.settings.connect;
    let mut attempt = Attempt::new("out");
    let Some(domain) = federation
        .parts
        .tenancy
        .get(local.as_str())
        .filter(|domain| domain.served)
    else {
        return Err(Box::new(Condition::ServiceUnavailable.into()));
    };
    if let Some(refusal) = policy(&domain).shuts_out(remote) {
        attempt.failed(refusal.code, refusal.fault, refusal.text.clone());
        federation.record(local, remote, &attempt);
        let error = StanzaError::new(Condition::NotAllowed).with_text(refusal.text);
        return Err(Box::new(error));
    }
    let lookup = Delegation::look_up(&*federation.parts.lookup, remote, Service::Server);
    let targets = match tokio::time::timeout_at(deadline, lookup).await {
        Ok(delegation) => delegation
            .targets(&mut |most| rand::random_range(0..=most))
            .map_err(|nowhere| nowhere.to_string()),
        Err(_) => Err(format!(
            "the DNS did not say in time where {remote} is served"
        )),
    };
    let targets = match targets {
        Ok(targets) => targets,
        Err(why) => {
            attempt.failed("dns-nowhere", Fault::Dns, why.clone());
            federation.record(local, remote, &attempt);
            let error = StanzaError::new(Condition::RemoteServerNotFound).with_text(why);
            return Err(Box::new(error));
        }
    };
    let mut resolved = false;
    let mut last = None;
    for target in &targets {
        let mut rejected = None;
        loop {
            let one = Call {
                federation,
                domain: &domain,
                remote,
                job,
                target,
            };
            match Box::pin(one.stream(rejected.clone(), deadline)).await {
                Outcome::Served(unwritten) => return Ok(unwritten),
                Outcome::WithoutExternal(refusal) => {
                    rejected = Some(refusal);
                    continue;
                }
                Outcome::Failed {
                    attempt,
                    error,
                    reached,
                    last_word,
                } => {
                    federation.record(local, remote, &attempt);
                    resolved |= reached;
                    last = Some(error);
                    if last_word || Instant::now() >= deadline {
                        return Err(give_up(last, resolved));
                    }
                }
            }
            break;
        }
    }
    Err(give_up(last, resolved))
}

/// ROUTE-05: a name that leads nowhere, or a server that is not to be had.
fn give_up(last: Option<Box<StanzaError>>, resolved: bool) -> Box<StanzaError> {
    let mut error = last.unwrap_or_else(|| Box::new(Condition::RemoteServerNotFound.into()));
    if resolved && error.condition == Condition::RemoteServerNotFound {
        *error = StanzaError {
            text: error.text,
            ..Condition::RemoteServerTimeout.into()
        };
    }
    error
}

enum Outcome {
    /// The stream did what it was opened for and has ended.
    Served(Vec<Bytes>),
    /// The peer refused EXTERNAL and closed; it may take dialback on another connection (SASL-46).
    WithoutExternal(Refusal),
    Failed {
        attempt: Box<Attempt>,
        error: Box<StanzaError>,
        /// There was an address to connect to.
        reached: bool,
        /// Other targets would not say otherwise.
        last_word: bool,
    },
}

struct Call<'a> {
    federation: &'a Arc<Federation>,
    domain: &'a Arc<Domain>,
    remote: &'a DomainName,
    job: &'a Job,
    target: &'a Target,
}

impl Call<'_> {
    /// `rejected`: EXTERNAL was refused on an earlier connection, and is not tried again.
    async fn stream(&self, rejected: Option<Refusal>, deadline: Instant) -> Outcome {
        let settings = &self.federation.parts.settings;
        let mut attempt = Attempt::new("out");
        let external = rejected.is_none();
        attempt.refusals.extend(rejected);
        attempt.target = Some(format!("{}:{}", self.target.host, self.target.port));
        let connecting = dial::connect(
            &*self.federation.parts.lookup,
            self.target,
            settings.private_addresses,
            deadline,
        );
        let dialled = match tokio::time::timeout_at(deadline, connecting).await {
            Ok(dialled) => dialled,
            Err(_) => Err(DialError::Unreachable {
                host: self.target.host.clone(),
                address: ([0, 0, 0, 0], self.target.port).into(),
                source: io::ErrorKind::TimedOut.into(),
            }),
        };
        let (tcp, address) = match dialled {
            Ok(connected) => connected,
            Err(error) => return not_dialled(attempt, &error),
        };
        attempt.address = Some(address.to_string());
        let mut host = OutHost {
            federation: self.federation.clone(),
            domain: self.domain.clone(),
            remote: self.remote.clone(),
            target: self.target.clone(),
            address,
            job: self.job.clone(),
            outbox: Outbox::new(settings.limits.outbox_bytes),
            tls: None,
            proven: None,
            attempt,
            served: false,
            external_refused: None,
            refused: None,
            staple: Staple::default(),
            tls_error: None,
            expiry: None,
        };
        let (transport, tls) = match self.transport(tcp, &mut host, deadline).await {
            Ok(transport) => transport,
            Err(error) => {
                host.tls_failed(&error);
                let ended = Ended {
                    unwritten: Vec::new(),
                    broken: Some(error),
                };
                return host.outcome(external, ended);
            }
        };
        let (purpose, idle) = match self.job {
            Job::Pair(_) => (Purpose::Send { external }, settings.idle),
            Job::Verify(_) => (Purpose::Verify, VERIFY_IDLE),
        };
        let machine = PeerOut::new(self.domain.name().clone(), self.remote.clone(), purpose);
        let limits = StreamLimits {
            negotiation: deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_secs(1)),
            idle: Some(idle),
            ..settings.limits
        };
        let ended = Box::pin(pump::run(transport, tls, machine, &mut host, limits)).await;
        host.outcome(external, ended)
    }

    /// Direct TLS comes before the stream (TLS-32), with the remote domain as SNI (TLS-33).
    async fn transport(
        &self,
        tcp: TcpStream,
        host: &mut OutHost,
        deadline: Instant,
    ) -> io::Result<(Transport<TcpStream>, Option<TlsInfo>)> {
        if !self.target.direct {
            return Ok((Transport::Plain(tcp), None));
        }
        let secure = host
            .secure(true)
            .await
            .ok_or_else(|| io::Error::other("TLS cannot be set up for this domain"))?;
        let (stream, info) = tokio::time::timeout_at(deadline, Box::pin(secure.handshake(tcp)))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        Ok((Transport::Tls(Box::new(stream)), Some(info)))
    }
}

fn not_dialled(mut attempt: Attempt, error: &DialError) -> Outcome {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}"));
    let why = format!("{error}{}", cause.unwrap_or_default());
    let reached = !error.is_resolution();
    let (code, fault, condition) = match error {
        DialError::NoAddress { .. } => (
            "dns-no-address",
            Fault::Dns,
            Condition::RemoteServerNotFound,
        ),
        DialError::Private { .. } => (
            "address-private",
            Fault::Dns,
            Condition::RemoteServerNotFound,
        ),
        DialError::Unreachable { .. } => (
            "unreachable",
            Fault::Network,
            Condition::RemoteServerTimeout,
        ),
    };
    attempt.failed(code, fault, why.clone());
    Outcome::Failed {
        attempt: Box::new(attempt),
        error: Box::new(StanzaError::new(condition).with_text(why)),
        reached,
        last_word: false,
    }
}

/// One connection that we made.
struct OutHost {
    federation: Arc<Federation>,
    domain: Arc<Domain>,
    remote: DomainName,
    target: Target,
    address: SocketAddr,
    job: Job,
    outbox: Arc<Outbox>,
    tls: Option<TlsInfo>,
    proven: Option<Proven>,
    attempt: Attempt,
    /// The stream has come to do what it was opened for.
    served: bool,
    /// EXTERNAL was refused on this connection.
    external_refused: Option<Refusal>,
    refused: Option<(PairRefusal, String)>,
    tls_error: Option<String>,
    staple: Staple,
    expiry: Option<AbortHandle>,
}

impl OutHost {
    fn secure(&self, direct: bool) -> BoxFuture<'static, Option<Secure>> {
        let federation = self.federation.clone();
        let local = self.domain.name().clone();
        let remote = self.remote.clone();
        let staple = self.staple.clone();
        Box::pin(async move {
            let config = federation.client_config(&local, direct).await.ok()?;
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

    fn judge(&mut self) -> xmpp::stream::Judgement {
        let tls = self.tls.clone().unwrap_or_default();
        let judge = |dialback| {
            self.federation.judge(
                &self.domain,
                &self.remote,
                Role::Initiator,
                (&tls, Some(self.staple.came())),
                Some(&self.target),
                dialback,
            )
        };
        let verdict = judge(None);
        self.attempt.refusals.extend_from_slice(verdict.refusals());
        let judgement = judgement(&verdict);
        self.proven = if judgement.dialback {
            judge(Some(Evidence::Delegated {
                to: self.address.to_string(),
                at: now(),
            }))
            .into_proven()
        } else {
            verdict.into_proven()
        };
        judgement
    }

    fn accepted(&mut self, mechanism: &'static str) {
        let Some(proven) = self.proven.clone() else {
            // The machine asks for a judgement before anything else; without one there is nothing to stand on.
            let error = StreamError::new(StreamCondition::InternalServerError);
            return self.outbox.order(Order::Close(error));
        };
        self.served = true;
        self.attempt.ok = true;
        self.attempt.mechanism = Some(mechanism);
        self.attempt.summary = format!(
            "sending over {}, the peer proved by {}",
            self.attempt.tls.map_or("TLS", |(version, _)| version),
            proven.by().name(),
        );
        self.attempt.proven = Some(proven.clone());
        self.federation
            .record(self.domain.name(), &self.remote, &self.attempt);
        self.federation.count("out", proven.by().name());
        self.expiry = Some(expire(&self.outbox, &proven));
        if let Job::Pair(pair) = &self.job {
            for stanza in pair.accepted(&self.outbox, proven) {
                self.federation
                    .parts
                    .router
                    .bounce(&stanza, Condition::ResourceConstraint);
            }
        }
    }

    fn outcome(mut self, external: bool, ended: Ended) -> Outcome {
        if self.served {
            return Outcome::Served(ended.unwritten);
        }
        if self.refused.is_none()
            && let Some(refusal) = self.external_refused.take().filter(|_| external)
        {
            return Outcome::WithoutExternal(refusal);
        }
        let remote = &self.remote;
        let mut condition = Condition::RemoteServerTimeout;
        let mut last_word = false;
        let said = self.attempt.remote_error.clone();
        let (code, fault, summary) = if let Some(error) = self.tls_error.take() {
            let why = format!("the TLS handshake with {remote} failed: {error}");
            ("tls-failed", Fault::Peer, why)
        } else if let Some((reason, why)) = self.refused.take() {
            match reason {
                PairRefusal::Judgement => {
                    // The last word is the judgement's.
                    let last = self.attempt.refusals.last();
                    let (code, fault) =
                        last.map_or(("not-proven", Fault::Peer), |r| (r.code, r.fault));
                    (code, fault, why)
                }
                PairRefusal::KeyInvalid => {
                    // DIALBACK-16
                    condition = Condition::InternalServerError;
                    last_word = true;
                    ("dialback-invalid", Fault::Ours, why)
                }
                PairRefusal::KeyUnverified => {
                    last_word = true;
                    ("dialback-unverified", Fault::Ours, why)
                }
                PairRefusal::NoWay => ("no-common-proof", Fault::Peer, why),
            }
        } else if let Some(said) = said {
            let why = format!("{remote} closed the stream: {said}");
            ("peer-closed-with-error", Fault::Peer, why)
        } else if let Some(error) = &ended.broken {
            let why = format!("the connection to {remote} was lost: {error}");
            ("connection-lost", Fault::Network, why)
        } else {
            let why = format!("{remote} closed the stream before it was ready");
            ("peer-closed", Fault::Peer, why)
        };
        self.attempt.failed(code, fault, summary.clone());
        Outcome::Failed {
            attempt: Box::new(std::mem::replace(&mut self.attempt, Attempt::new("out"))),
            error: Box::new(StanzaError::new(condition).with_text(summary)),
            reached: true,
            last_word,
        }
    }
}

impl Host for OutHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        Box::pin(ready(match ask {
            Ask::Judge { local, remote } => Answer::Judged {
                local,
                remote,
                judgement: self.judge(),
            },
            Ask::MakeKey {
                stream,
                local,
                remote,
            } => Answer::Key {
                key: self
                    .federation
                    .secret(&local)
                    .key(remote.as_str(), local.as_str(), &stream),
                local,
                remote,
            },
            // Questions of other machines.
            _ => return Box::pin(std::future::pending()),
        }))
    }

    fn stanza(&mut self, _: Stanza) -> Option<BoxFuture<'static, ()>> {
        // The machine passes none on: who is called proves nothing by answering (S2S-14).
        None
    }

    fn tls(&mut self, _: DomainName) -> BoxFuture<'static, Option<Secure>> {
        self.secure(false)
    }

    fn secured(&mut self, info: &TlsInfo) {
        self.attempt.secured(info);
        self.tls = Some(info.clone());
    }

    fn tls_failed(&mut self, error: &io::Error) {
        self.tls_error = Some(error.to_string());
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::PairAccepted { mechanism, .. } => self.accepted(mechanism),
            Event::PairRefused { reason, why, .. } => self.refused = Some((reason, why)),
            Event::RemoteError(error) => self.attempt.remote_error = Some(error.to_string()),
            Event::ExternalRefused { why } => {
                let refusal = Refusal::new(
                    None,
                    "peer-rejects-serverauth-cert",
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
            Event::Ready => {
                if let Job::Verify(verifier) = &self.job {
                    self.served = true;
                    verifier.ready(&self.outbox, &self.address.to_string());
                }
            }
            Event::KeyAnswered {
                stream, outcome, ..
            } => {
                if let Job::Verify(verifier) = &self.job {
                    verifier.answered(&stream, outcome);
                }
            }
            _ => {}
        }
    }
}

impl Drop for OutHost {
    fn drop(&mut self) {
        self.outbox.close();
        if let Some(expiry) = self.expiry.take() {
            expiry.abort();
        }
    }
}

/// Closes a stream when its proof runs out (CERT-23).
pub(super) fn expire(outbox: &Arc<Outbox>, proven: &Proven) -> AbortHandle {
    let (outbox, left) = (Arc::downgrade(outbox), proven.until().since(now()));
    tokio::spawn(async move {
        tokio::time::sleep(left).await;
        if let Some(outbox) = outbox.upgrade() {
            let error = StreamError::new(StreamCondition::Reset)
                .with_text("what proved this stream has run out; prove it anew");
            outbox.order(Order::Close(error));
        }
    })
    .abort_handle()
}
