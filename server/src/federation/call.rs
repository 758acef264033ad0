//! Calling a peer: where it is served, getting through, until a stream comes about.
//!
//! A stream that is open already is used where it may be (see `link`). Else targets are tried in the order of the DNS, each
//! with all its addresses, whether the connection, TLS or the stream fails on one of them (S2S-05). What each attempt met is
//! remembered. Refuses: a look-up for a pair whose stream is open, plaintext, a second EXTERNAL where the first was refused
//! together with the connection, and being sent from host to host without end (STREAM-32).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dna::delegation::SERVER_PORT;
use dna::{Fault, Refusal, Security, Target};
use tokio::net::TcpStream;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::TlsInfo;
use xmpp::stream::peer_out::{PeerOut, Purpose};

use super::attempts::{Attempt, Stage};
use super::channel::stopping;
use super::link::Supposed;
use super::outgoing::OutHost;
use super::pair::Pair;
use super::verify::Verifier;
use super::{Federation, Settings, policy};
use crate::net::dial::{self, DialError};
use crate::net::limits::{Patience, StreamLimits};
use crate::net::pump::{self, Ended, Host, Transport};
use crate::tenancy::Domain;

/// A stream for questions about keys is closed when nothing was asked for this long.
const VERIFY_IDLE: Duration = Duration::from_secs(60);

/// How often one search goes where a peer sends it (STREAM-32: 2 to 5).
const MOVES: u8 = 3;

/// What a stream is opened for.
#[derive(Clone)]
pub(super) enum Job {
    /// To carry a pair's stanzas.
    Pair(Arc<Pair>),
    /// To ask about dialback keys.
    Verify(Arc<Verifier>),
}

impl Job {
    /// Silence after which the stream has done its work.
    pub(super) fn idle(&self, settings: &Settings) -> Duration {
        match self {
            Self::Pair(_) => settings.idle,
            Self::Verify(_) => VERIFY_IDLE,
        }
    }
}

/// Calls `remote` for `local` and serves the stream to its end, unless an open stream takes the pair.
///
/// # Errors
/// No stream came about; the error is for those whose stanzas waited (ROUTE-05, DIALBACK-16).
pub(super) async fn call(
    federation: &Arc<Federation>,
    local: &DomainName,
    remote: &DomainName,
    job: &Job,
) -> Result<(), Box<StanzaError>> {
    let stop = federation.stop.clone();
    let search = Search {
        federation,
        local,
        remote,
        job,
        deadline: Instant::now() + federation.parts.settings.connect,
    };
    // A stream that is there is told to close by whoever stops us; this is for what has not come so far.
    match search.targets(&stop).await? {
        Found::Riding => Ok(()),
        Found::At(domain, targets) => {
            let tried = search.try_all(&domain, targets).await;
            // Whatever the last attempt met, it was us who ended it.
            tried.map_err(|error| match stop.is_cancelled() {
                true => Box::new(stopping()),
                false => error,
            })
        }
    }
}

/// One search for a stream.
struct Search<'a> {
    federation: &'a Arc<Federation>,
    local: &'a DomainName,
    remote: &'a DomainName,
    job: &'a Job,
    deadline: Instant,
}

enum Found {
    /// An open stream has taken the pair.
    Riding,
    At(Arc<Domain>, VecDeque<Target>),
}

impl Search<'_> {
    async fn targets(
        &self,
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<Found, Box<StanzaError>> {
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Box::new(stopping())),
            found = self.look_up() => found,
        }
    }

    async fn look_up(&self) -> Result<Found, Box<StanzaError>> {
        let (federation, local, remote) = (self.federation, self.local, self.remote);
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
        if let Job::Pair(pair) = self.job
            && federation.ride_by_assertion(pair, self.deadline).await
        {
            return Ok(Found::Riding);
        }
        let lookup = federation.gatherer.delegation(remote);
        let targets = match tokio::time::timeout_at(self.deadline, lookup).await {
            Ok(delegation) => delegation
                .targets(&mut |most| rand::random_range(0..=most))
                .map_err(|nowhere| (nowhere.code(), nowhere.to_string())),
            Err(_) => Err((
                "dns-unanswered",
                format!("the DNS did not say in time where {remote} is served"),
            )),
        };
        match targets {
            Ok(targets) => Ok(Found::At(domain, targets.into())),
            Err((code, why)) => {
                attempt.stage = Stage::Dns;
                attempt.failed(code, Fault::Dns, why.clone());
                federation.record(local, remote, &attempt);
                let error = StanzaError::new(Condition::RemoteServerNotFound).with_text(why);
                Err(Box::new(error))
            }
        }
    }

    async fn try_all(
        &self,
        domain: &Arc<Domain>,
        mut targets: VecDeque<Target>,
    ) -> Result<(), Box<StanzaError>> {
        if let Job::Pair(pair) = self.job
            && self.ride_by_supposition(pair, &targets).await
        {
            return Ok(());
        }
        let (mut resolved, mut last, mut moves) = (false, None, 0);
        while let Some(target) = targets.pop_front() {
            let (mut addresses, dnssec) = match self.resolve(&target).await {
                Ok(found) => found,
                Err(failed) => {
                    self.federation
                        .record(self.local, self.remote, &failed.attempt);
                    last = Some(failed.error);
                    continue;
                }
            };
            let mut rejected = None;
            while !addresses.is_empty() {
                let one = Call {
                    federation: self.federation,
                    domain,
                    remote: self.remote,
                    job: self.job,
                    target: &target,
                    dnssec,
                };
                let stream = one.stream(&mut addresses, rejected.take(), self.deadline);
                match Box::pin(stream).await {
                    Outcome::Served => return Ok(()),
                    Outcome::WithoutExternal(refusal, address) => {
                        rejected = Some(refusal);
                        addresses.insert(0, address);
                    }
                    Outcome::Failed(failed) => {
                        self.federation
                            .record(self.local, self.remote, &failed.attempt);
                        resolved |= failed.reached;
                        let enough = failed.last_word
                            || Instant::now() >= self.deadline
                            || self.federation.stop.is_cancelled();
                        last = Some(failed.error);
                        if let Some(other) = failed.other_host {
                            moves += 1;
                            if moves > MOVES || enough {
                                return Err(give_up(last, resolved));
                            }
                            for elsewhere in self.elsewhere(other, &target).await.into_iter().rev()
                            {
                                targets.push_front(elsewhere);
                            }
                            break;
                        }
                        if enough {
                            return Err(give_up(last, resolved));
                        }
                    }
                }
            }
        }
        Err(give_up(last, resolved))
    }

    /// Looks for an open stream to any place that the DNS names for the peer, whichever would be called first (RFC 7712 4.4.2).
    async fn ride_by_supposition(&self, pair: &Arc<Pair>, targets: &VecDeque<Target>) -> bool {
        for target in targets {
            if !self.federation.may_suppose(pair, target) {
                continue;
            }
            // A place that cannot be had is reported when it is called.
            let Ok((addresses, dnssec)) = self.resolve(target).await else {
                continue;
            };
            let supposed = Supposed {
                target,
                addresses: &addresses,
                dnssec,
            };
            let riding = self
                .federation
                .ride_by_supposition(pair, &supposed, self.deadline);
            if riding.await {
                return true;
            }
        }
        false
    }

    /// Where the peer says to go instead of `from` (STREAM-32). The name to be proved stays the same, and what leads there
    /// proves nothing (DNA-03).
    async fn elsewhere(&self, other: OtherHost, from: &Target) -> Vec<Target> {
        let at = |host, port, direct| Target {
            host,
            port,
            direct,
            priority: from.priority,
            security: Security::Insecure,
            delegated: false,
        };
        let OtherHost { host, port } = other;
        if let Some(port) = port {
            return vec![at(host, port, from.direct)];
        }
        let Ok(domain) = DomainName::parse(&host) else {
            return vec![at(host, SERVER_PORT, false)];
        };
        // RFC 6120 4.9.3.19: resolved as if it were the domain (3.2).
        let lookup = self.federation.gatherer.delegation(&domain);
        let Ok(found) = tokio::time::timeout_at(self.deadline, lookup).await else {
            return Vec::new();
        };
        let targets = found.targets(&mut |most| rand::random_range(0..=most));
        let targets = targets.unwrap_or_default().into_iter();
        targets
            .map(|target| at(target.host, target.port, target.direct))
            .collect()
    }

    /// Addresses of a target, and whether signed records lead to them.
    async fn resolve(&self, target: &Target) -> Result<(Vec<SocketAddr>, bool), Box<Failed>> {
        let asking = self.federation.gatherer.endpoint(target);
        let error = match tokio::time::timeout_at(self.deadline, asking).await {
            Ok(endpoint) => {
                if let Some(refusal) = endpoint.association.bars() {
                    return Err(barred(Attempt::towards(target), refusal));
                }
                match dial::addresses(&endpoint, target, &self.federation.parts.guard) {
                    Ok(addresses) => return Ok((addresses, endpoint.is_secure(target))),
                    Err(error) => error,
                }
            }
            Err(_) => DialError::NoAddress {
                host: target.host.clone(),
                why: ": the DNS did not answer in time".to_owned(),
            },
        };
        let mut failed = not_dialled(Attempt::towards(target), &error);
        if !target.delegated && matches!(error, DialError::NoAddress { .. }) {
            // No record names a server, and the domain itself was only a guess (S2S-07).
            let remote = self.remote;
            let why = format!("the DNS names no server for {remote}, and it has no address itself");
            failed.attempt.failed("dns-nowhere", Fault::Dns, why);
            failed.attempt.target = None;
        }
        Err(failed)
    }
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

/// What came of one connection.
pub(super) enum Outcome {
    /// The stream did what it was opened for and has ended.
    Served,
    /// The peer refused EXTERNAL and closed; it may take dialback on another connection to the same address (SASL-46).
    WithoutExternal(Refusal, SocketAddr),
    Failed(Box<Failed>),
}

/// One attempt that gave no stream.
pub(super) struct Failed {
    pub(super) attempt: Attempt,
    pub(super) error: Box<StanzaError>,
    /// There was an address to connect to.
    pub(super) reached: bool,
    /// Other addresses and targets would not say otherwise.
    pub(super) last_word: bool,
    /// Where the peer says to go instead, said on a stream on which it was judged.
    pub(super) other_host: Option<OtherHost>,
}

/// What `<see-other-host/>` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OtherHost {
    /// A-labels, or an address without brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// One connection to be made.
pub(super) struct Call<'a> {
    pub(super) federation: &'a Arc<Federation>,
    pub(super) domain: &'a Arc<Domain>,
    pub(super) remote: &'a DomainName,
    pub(super) job: &'a Job,
    pub(super) target: &'a Target,
    /// Signed records lead to its addresses.
    pub(super) dnssec: bool,
}

impl Call<'_> {
    /// `rejected`: EXTERNAL was refused on an earlier connection, and is not tried again. Takes out of `addresses` what it
    /// has tried.
    async fn stream(
        &self,
        addresses: &mut Vec<SocketAddr>,
        rejected: Option<Refusal>,
        deadline: Instant,
    ) -> Outcome {
        let settings = &self.federation.parts.settings;
        let mut attempt = Attempt::towards(self.target);
        let external = rejected.is_none();
        attempt.refusals.extend(rejected);
        let dialled = tokio::select! {
            biased;
            () = self.federation.stop.cancelled() => Err(io::ErrorKind::Interrupted),
            dialled = tokio::time::timeout_at(
                deadline,
                dial::connect(&self.target.host, addresses, deadline),
            ) => dialled.map_err(|_| io::ErrorKind::TimedOut),
        };
        let dialled = dialled.unwrap_or_else(|kind| {
            Err(DialError::Unreachable {
                host: self.target.host.clone(),
                address: ([0, 0, 0, 0], self.target.port).into(),
                source: kind.into(),
            })
        });
        let (tcp, address) = match dialled {
            Ok(connected) => connected,
            Err(error) => {
                addresses.clear();
                return Outcome::Failed(not_dialled(attempt, &error));
            }
        };
        let identity = self
            .federation
            .parts
            .identities
            .get(self.domain.name())
            .await;
        let mut host = OutHost::new(self, address, identity, attempt);
        let (transport, tls) = match self.transport(tcp, &mut host, deadline).await {
            Ok(transport) => transport,
            Err(error) => {
                host.tls_failed(&error);
                let ended = Ended {
                    left: false,
                    unwritten: Vec::new(),
                    broken: Some(error),
                };
                return host.outcome(external, ended);
            }
        };
        let purpose = match self.job {
            Job::Pair(_) => Purpose::Send { external },
            Job::Verify(_) => Purpose::Verify,
        };
        let limits = StreamLimits {
            negotiation: deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_secs(1)),
            patience: Patience {
                idle: Some(self.job.idle(settings)),
                ..settings.limits.patience
            },
            ..settings.limits
        };
        let machine = PeerOut::new(self.domain.name().clone(), self.remote.clone(), purpose)
            .taking(limits.stanza_bytes, limits.patience.idle_seconds());
        let ended = Box::pin(pump::run(transport, tls, machine, &mut host, limits)).await;
        host.outcome(external, ended)
    }

    /// Direct TLS comes before the stream (TLS-32), with the remote domain as SNI (TLS-33).
    async fn transport(
        &self,
        tcp: TcpStream,
        host: &mut OutHost,
        deadline: Instant,
    ) -> io::Result<(Transport<TcpStream>, Option<Box<TlsInfo>>)> {
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
        Ok((Transport::Tls(Box::new(stream)), Some(Box::new(info))))
    }
}

/// The DNS bars this target; others may be tried (DANE-26).
fn barred(mut attempt: Attempt, refusal: Refusal) -> Box<Failed> {
    attempt.stage = Stage::Dns;
    attempt.failed(refusal.code, refusal.fault, refusal.text.clone());
    let error = StanzaError::new(Condition::RemoteServerTimeout).with_text(refusal.text.clone());
    attempt.refusals.push(refusal);
    Box::new(Failed {
        attempt,
        error: Box::new(error),
        reached: true,
        last_word: false,
        other_host: None,
    })
}

fn not_dialled(mut attempt: Attempt, error: &DialError) -> Box<Failed> {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}"));
    let why = format!("{error}{}", cause.unwrap_or_default());
    let (code, fault, condition, stage) = match error {
        DialError::NoAddress { .. } => (
            "dns-no-address",
            Fault::Dns,
            Condition::RemoteServerNotFound,
            Stage::Dns,
        ),
        DialError::Private { .. } => (
            "address-private",
            Fault::Dns,
            Condition::RemoteServerNotFound,
            Stage::Dns,
        ),
        DialError::Unreachable { address, .. } => {
            attempt.address = Some(address.to_string());
            (
                "unreachable",
                Fault::Network,
                Condition::RemoteServerTimeout,
                Stage::Connect,
            )
        }
    };
    attempt.stage = stage;
    attempt.failed(code, fault, why.clone());
    Box::new(Failed {
        attempt,
        error: Box::new(StanzaError::new(condition).with_text(why)),
        reached: !error.is_resolution(),
        last_word: false,
        other_host: None,
    })
}
