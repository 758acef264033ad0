//! A client's connection: answers what the client machine asks, and ties its stream to a session.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::sasl::{Hash, Mechanism, ScramVerifier};
use xmpp::stanza::Stanza;
use xmpp::stream::client::Client;
use xmpp::stream::{
    ACK_REQUEST, Answer, Ask, Bound, Event, Grant, Host as HostAnswer, Order, Resumed, Seed,
    Served, StreamCondition, StreamError, TlsInfo, Unavailable, handled_too_much,
};
use xmpp::timestamp::Timestamp;

use super::certified::{self, Certified};
use super::enrol::Shown;
use super::{Outbox, Session, Waiting, flows};
use crate::metrics::{Metrics, ResultLabel};
use crate::net::limits::{Admission, Attempt, Logins, Patience, Registrations, StreamLimits};
use crate::net::now;
use crate::net::pump::{self, Host, Later, Transport};
use crate::net::tls::{Door, Identities, Secure};
use crate::router::Router;
use crate::tenancy::{Domain, Occupied, Tenancy};

/// What every client connection shares.
pub struct ClientDoor {
    /// Hosted domains.
    pub tenancy: Arc<Tenancy>,
    /// Where stanzas go.
    pub router: Arc<Router>,
    /// Certificates.
    pub identities: Arc<Identities>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Secret behind the verifiers of accounts that do not exist (SASL-11).
    pub fake_secret: Arc<[u8]>,
    /// `from` towards streams to names that are not hosted (VHOST-05).
    pub provider: Option<DomainName>,
    /// Limits of a stream.
    pub limits: StreamLimits,
    /// Failed logins.
    pub logins: Logins,
    /// Accounts that people make themselves, on streams as on pages.
    pub registrations: Arc<Registrations>,
    /// Streams whose clients wait until an account has been made on a page.
    pub waiting: Arc<Waiting>,
    /// How long tokens live, in seconds; 0: clients get none.
    pub token_seconds: u32,
}

impl ClientDoor {
    /// Serves one connection to its end. `tls` is what the handshake of direct TLS gave.
    pub async fn serve<S>(
        self: &Arc<Self>,
        transport: Transport<S>,
        tls: Option<Box<TlsInfo>>,
        from: SocketAddr,
        outbox: Arc<Outbox>,
        admission: Admission,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut host = ClientHost {
            door: self.clone(),
            outbox,
            session: Arc::default(),
            place: Arc::default(),
            proved: Arc::default(),
            shown: Arc::default(),
            left: false,
            admission,
            from,
            agent: None,
            invite: Shown::default(),
            certified: None,
        };
        let machine = Client::new(Seed::new(rand::random()), self.provider.clone());
        let ended = pump::run(transport, tls, machine, &mut host, self.limits).await;
        match (&ended.broken, host.session.get()) {
            (None, Some(session)) => tracing::debug!(session = %session.jid, "stream closed"),
            (Some(error), Some(session)) => {
                tracing::debug!(session = %session.jid, %error, "connection lost");
            }
            (Some(error), None) => tracing::debug!(%from, %error, "connection lost before login"),
            (None, None) => tracing::debug!(%from, "stream closed before login"),
        }
        if let Some(session) = host.session.get().cloned()
            && !ended.left
        {
            Box::pin(self.router.ended(&session, ended.unwritten)).await;
        }
    }

    async fn host(
        self: Arc<Self>,
        to: DomainName,
        place: Arc<Mutex<Option<Occupied>>>,
        shown: Arc<[Vec<u8>]>,
    ) -> HostAnswer {
        // A service has no accounts.
        let domain = self.tenancy.get(to.as_str());
        let Some(domain) = domain.filter(|domain| domain.service.is_none()) else {
            return if self.tenancy.departed(&to).await {
                HostAnswer::Gone
            } else {
                HostAnswer::Unknown
            };
        };
        if domain.is_leaving() {
            return HostAnswer::Gone;
        }
        if !domain.served {
            return HostAnswer::Refused(
                StreamError::new(StreamCondition::PolicyViolation)
                    .with_text("this domain is suspended; ask whoever runs it"),
            );
        }
        if let Err(error) = domain.take_place(&place, &self.metrics) {
            return HostAnswer::Refused(error);
        }
        HostAnswer::Served(Box::new(Served {
            external: certified::accounts(&domain, &shown).await,
            identity: self.identities.get(domain.name()).await.is_some(),
            domain: domain.name().clone(),
            plain: domain.plain,
            hashes: domain.hashes.clone(),
            fake_secret: self.fake_secret.clone(),
            max_bytes: self.limits.stanza_bytes,
            features: domain.hosted.stream_features(),
            idle_seconds: domain.patience.idle_seconds(),
            resumption: domain.resumption.clone(),
            tokens: self.token_seconds > 0,
            registers: domain.registers,
            flows: flows::offered(&domain),
            inline: modules::hooks::inline(&domain.hosted),
        }))
    }

    /// The verifier of an account, as soon as its failures and those of the address let it be looked at (SASL-10).
    async fn credentials(
        self: Arc<Self>,
        domain: DomainName,
        local: String,
        hash: Option<Hash>,
        from: SocketAddr,
        proved: Arc<AtomicI64>,
    ) -> Answer {
        let Some(domain) = self.tenancy.get(domain.as_str()) else {
            return Answer::Credentials(Ok(None));
        };
        if self.attempt(&domain, &local, from).await.is_err() {
            return Answer::Credentials(Err(Unavailable));
        }
        proved.store(now().0, Ordering::Relaxed);
        // For PLAIN any will do; SHA-256 costs what the fake of an unknown account does.
        let usual = || {
            let offered = &domain.hashes;
            let usual = Some(Hash::Sha256).filter(|hash| offered.contains(hash));
            usual.or(offered.last().copied()).unwrap_or(Hash::Sha256)
        };
        let hash = hash.unwrap_or_else(usual);
        let found = domain.hosted.store.credentials_for(&local, hash).await;
        Answer::Credentials(found.map_err(|error| {
            tracing::error!(domain = %domain.name(), %error, "a login could not be checked");
            Unavailable
        }))
    }
}

impl ClientDoor {
    /// Waits as long as the failures of an account and of the address ask for (SASL-10).
    ///
    /// # Errors
    /// There were so many that nothing is looked at.
    async fn attempt(
        &self,
        domain: &Domain,
        local: &str,
        from: SocketAddr,
    ) -> Result<(), Unavailable> {
        // What names no account is counted as one all the same.
        let account = BareJid::new(Some(local), domain.name())
            .unwrap_or_else(|_| Jid::from(domain.name().clone()).bare());
        match self.logins.attempt(&account, from.ip(), Instant::now()) {
            Attempt::After(Duration::ZERO) => Ok(()),
            Attempt::After(delay) => {
                self.metrics.limit("login_delay_seconds");
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Attempt::Refused => {
                self.metrics.limit("login_failures_at_most");
                tracing::warn!(%account, %from, "too many failed logins: this one is not looked at");
                Err(Unavailable)
            }
        }
    }

    /// The tokens that a client says it has got (XEP-0484).
    async fn tokens(
        self: Arc<Self>,
        domain: DomainName,
        local: String,
        agent: String,
        from: SocketAddr,
        proved: Arc<AtomicI64>,
    ) -> Answer {
        let Some(domain) = self.tenancy.get(domain.as_str()) else {
            return Answer::Tokens(Ok(Vec::new()));
        };
        if self.attempt(&domain, &local, from).await.is_err() {
            return Answer::Tokens(Err(Unavailable));
        }
        proved.store(now().0, Ordering::Relaxed);
        let found = domain.hosted.store.tokens_of(&local, &agent).await;
        Answer::Tokens(found.map_err(|error| {
            tracing::error!(domain = %domain.name(), %error, "a token could not be checked");
            Unavailable
        }))
    }

    /// Of which of these hashes the account has no verifier (XEP-0480).
    async fn lacking(self: Arc<Self>, account: BareJid, hashes: Vec<Hash>) -> Answer {
        let Some(domain) = self.tenancy.get(account.domain()) else {
            return Answer::Lacking(Ok(Vec::new()));
        };
        let local = account.local().unwrap_or_default();
        let had = domain.hosted.store.account_hashes(local).await;
        Answer::Lacking(match had {
            Ok(had) => Ok(hashes.into_iter().filter(|h| !had.contains(h)).collect()),
            Err(error) => {
                tracing::error!(%account, %error, "what an account has cannot be read");
                Err(Unavailable)
            }
        })
    }

    async fn upgrade(self: Arc<Self>, account: BareJid, verifier: Box<ScramVerifier>) -> Answer {
        let Some(domain) = self.tenancy.get(account.domain()) else {
            return Answer::Upgraded(Ok(()));
        };
        let local = account.local().unwrap_or_default();
        let added = domain
            .hosted
            .store
            .account_add_verifier(local, &verifier)
            .await;
        Answer::Upgraded(match added {
            Ok(added) => {
                if added {
                    let hash = verifier.hash.name();
                    tracing::info!(%account, hash, "a client has given a further verifier");
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%account, %error, "a verifier cannot be kept");
                Err(Unavailable)
            }
        })
    }

    /// A client has proved its account: what becomes of its tokens.
    async fn grant(self: Arc<Self>, grant: Box<Grant>, proved: Timestamp) -> Answer {
        let Some(domain) = self.tenancy.get(grant.account.domain()) else {
            return Answer::Granted(Ok(None));
        };
        let rows = &domain.hosted.store;
        let granted = async {
            let local = grant.account.local().unwrap_or_default();
            let Some(row) = rows.account_active(local).await? else {
                return Ok(None);
            };
            let given = rows.token_grant(row, &grant, self.token_seconds, proved);
            let given = given.await?;
            if given.is_some()
                && let Some(agent) = &grant.agent.id
                && self.router.takes_back(&grant.account, agent, proved).await
            {
                return Ok(None);
            }
            Ok::<_, store::StoreError>(given)
        };
        Answer::Granted(granted.await.map_err(|error| {
            tracing::error!(account = %grant.account, %error, "a token could not be written");
            Unavailable
        }))
    }
}

/// One client connection.
struct ClientHost {
    door: Arc<ClientDoor>,
    outbox: Arc<Outbox>,
    /// Set by the answer to the one successful binding.
    session: Arc<OnceLock<Arc<Session>>>,
    /// Its place among the domain's connections.
    place: Arc<Mutex<Option<Occupied>>>,
    /// When the store was asked for what proves the account (µs).
    proved: Arc<AtomicI64>,
    /// The certificate chain that the client showed.
    shown: Arc<[Vec<u8>]>,
    /// Its session goes on without it.
    left: bool,
    admission: Admission,
    from: SocketAddr,
    /// The name that the client has given itself, with a token or for one.
    agent: Option<String>,
    /// What it has shown and done for an account.
    invite: Shown,
    /// What it has proved its account by, where that was a certificate.
    certified: Option<Arc<Certified>>,
}

impl Host for ClientHost {
    /// The session's, which another connection may have had before.
    fn outbox(&self) -> &Arc<Outbox> {
        match self.session.get() {
            Some(session) => &session.outbox,
            None => &self.outbox,
        }
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        let door = self.door.clone();
        match ask {
            Ask::Host { to } => {
                self.proved.store(now().0, Ordering::Relaxed);
                let asked = door.host(to, self.place.clone(), self.shown.clone());
                Box::pin(async move { Answer::Host(asked.await) })
            }
            Ask::Credentials {
                domain,
                local,
                hash,
            } => Box::pin(door.credentials(domain, local, hash, self.from, self.proved.clone())),
            Ask::Tokens {
                domain,
                local,
                agent,
            } => Box::pin(door.tokens(domain, local, agent, self.from, self.proved.clone())),
            Ask::Preauth { domain, token } => {
                Box::pin(door.preauth(domain, token, self.from, self.invite.clone()))
            }
            Ask::Register { domain, set, query } => {
                let shown = self.invite.lock().admitted.clone();
                match shown {
                    Some(admitted) => {
                        Box::pin(door.register(admitted, set, query, self.invite.clone()))
                    }
                    None => Box::pin(door.register_open(domain, set, query, self.from)),
                }
            }
            Ask::Flow { domain, flow, step } => {
                Box::pin(door.flow(domain, flow, step, self.from, self.invite.clone()))
            }
            Ask::Lacking { account, hashes } => Box::pin(door.lacking(account, hashes)),
            Ask::Upgrade { account, verifier } => Box::pin(door.upgrade(account, verifier)),
            Ask::Grant(grant) => {
                self.agent.clone_from(&grant.agent.id);
                let proved = Timestamp(self.proved.load(Ordering::Relaxed));
                Box::pin(door.grant(grant, proved))
            }
            Ask::Bind {
                account,
                resource,
                random,
                features,
            } => {
                let outbox = self.outbox.clone();
                let slot = self.session.clone();
                let proved = Timestamp(self.proved.load(Ordering::Relaxed));
                let agent = self.agent.clone();
                let certified = self.certified.clone();
                Box::pin(async move {
                    let wanted = resource.as_deref();
                    let own = certified.as_ref();
                    let resource = own.and_then(|own| own.resource(&account, wanted));
                    let resource = resource.or(wanted).unwrap_or(&random);
                    // The slot first: whenever the connection ends from then on, the session ends with it. The machine binds
                    // once; a second answer would find the slot taken and change nothing.
                    let has = |session: &Arc<Session>| drop(slot.set(session.clone()));
                    let bound = door
                        .router
                        .bind_for(&account, resource, outbox, proved, has);
                    let session = match bound.await {
                        Ok(session) => session,
                        Err(refused) => return Answer::Bound(Err(refused)),
                    };
                    if let Some(agent) = agent {
                        session.update(modules::SessionUpdate::Agent(agent));
                        door.router.end_signed_out(&session, proved);
                    }
                    if let Some(certified) = &certified {
                        certified.enter(&door.router, &session).await;
                    }
                    let answers = match &features {
                        None => Vec::new(),
                        Some(features) => door.router.bound_with(&session, features).await,
                    };
                    let jid = session.jid.clone();
                    Answer::Bound(Ok(Bound { jid, answers }))
                })
            }
            Ask::Resume {
                account,
                previd,
                handled,
            } => {
                let slot = self.session.clone();
                let proved = Timestamp(self.proved.load(Ordering::Relaxed));
                let agent = self.agent.clone();
                let certified = self.certified.clone();
                Box::pin(async move {
                    let taken = door.router.resume(&account, &previd, handled).await;
                    let (session, handled) = match taken {
                        Ok(taken) => taken,
                        Err(why) => return Answer::Resumed(Err(why)),
                    };
                    // As above: nobody else is at it from now on.
                    let _ = slot.set(session.clone());
                    let jid = session.jid.clone();
                    tracing::info!(session = %jid, "resumed");
                    // It is now proved by what this connection has shown, whatever that was before.
                    match &certified {
                        Some(certified) => certified.enter(&door.router, &session).await,
                        None => session.update(modules::SessionUpdate::Certificate(None)),
                    }
                    // Whoever revokes this client's way in ends what came in by it (XEP-0494).
                    if let Some(agent) = agent {
                        session.update(modules::SessionUpdate::Agent(agent));
                        // They may have done so already.
                        door.router.end_signed_out(&session, proved);
                    }
                    Answer::Resumed(Ok(Resumed { jid, handled }))
                })
            }
            // Questions of server streams; the client machine has none of them.
            _ => Box::pin(std::future::pending()),
        }
    }

    fn stanza(&mut self, stanza: Stanza) -> Option<Later> {
        let session = self.session.get()?;
        self.door.router.from_client(session, stanza)
    }

    fn tls(&mut self, domain: DomainName) -> BoxFuture<'static, Option<Secure>> {
        let door = self.door.clone();
        Box::pin(async move {
            Some(Secure::Server {
                identity: door.identities.get(&domain).await?,
                door: Door::Client,
            })
        })
    }

    fn secured(&mut self, info: &TlsInfo) {
        self.shown = info.peer_chain.clone().into();
    }

    fn authenticated(&mut self) {
        self.admission.authenticated();
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.session.get()?.domain().patience)
    }

    fn ping(&mut self) -> Option<Bytes> {
        let session = self.session.get()?;
        if session.outbox.acknowledges() {
            // It would be one stanza more than either side counts.
            return Some(Bytes::from_static(ACK_REQUEST.as_bytes()));
        }
        let ping = Element::new("iq", ns::CLIENT)
            .attr("type", "get")
            .attr("from", session.domain().name().as_str())
            .attr("to", session.jid.as_str())
            .attr("id", format!("ping-{:016x}", rand::random::<u64>()))
            .child(Element::new("ping", ns::PING));
        let mut bytes = Vec::new();
        ping.write(&mut bytes, ns::CLIENT);
        Some(bytes.into())
    }

    fn slowed(&mut self, limit: &'static str) {
        self.door.metrics.limit(match limit {
            "bytes_per_second" => "client_bytes_per_second",
            "stanzas_per_second" => "client_stanzas_per_second",
            limit => limit,
        });
    }

    fn left(&mut self, handled: u32, unwritten: Vec<Bytes>) -> bool {
        self.left = self
            .session
            .get()
            .is_some_and(|session| self.door.router.left(session, handled, unwritten));
        self.left
    }

    fn tls_failed(&mut self, error: &io::Error) {
        tracing::debug!(from = %self.from, %error, "TLS handshake failed");
    }

    fn event(&mut self, event: Event) {
        let count = |result| {
            self.door
                .metrics
                .logins
                .get_or_create(&ResultLabel { result })
                .inc();
        };
        match event {
            Event::Authenticated { account, mechanism } => {
                if mechanism == Mechanism::External.name() {
                    self.certified = Certified::of(self.shown.clone()).map(Arc::new);
                }
                count("success");
                let logins = &self.door.logins;
                logins.succeeded(&account, self.from.ip(), Instant::now());
                tracing::info!(domain = account.domain(), %account, mechanism, from = %self.from, "logged in");
            }
            Event::AuthenticationFailed { failure } => {
                count("failure");
                tracing::info!(from = %self.from, condition = failure.name(), "login refused");
            }
            Event::RemoteError(error) => {
                tracing::debug!(from = %self.from, %error, "the client closed with an error");
            }
            Event::Reply(reply) => {
                if let Some(session) = self.session.get() {
                    self.door.router.to_own(session, &reply);
                }
            }
            Event::Active(active) => {
                if let Some(session) = self.session.get() {
                    session.set_active(active);
                }
            }
            Event::AcksBegin => self.outbox().keep(),
            Event::Resumable { id, seconds } => {
                if let Some(session) = self.session.get() {
                    let sessions = self.door.router.sessions();
                    sessions.resumable(session, &id, seconds);
                }
            }
            Event::Acked { handled } => match self.outbox().acked(handled) {
                Ok(due) => due.into_iter().for_each(|then| drop(tokio::spawn(then))),
                Err(sent) => {
                    let error = handled_too_much(handled, sent);
                    self.outbox().order(Order::Close(error));
                }
            },
            _ => {}
        }
    }
}

impl Drop for ClientHost {
    /// Whatever ends the connection's task, a panic included, the session does not outlive it.
    fn drop(&mut self) {
        if self.left {
            return;
        }
        self.outbox().close();
        let Some(session) = self.session.get().cloned() else {
            return;
        };
        let router = self.door.router.clone();
        if std::thread::panicking()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { router.ended(&session, Vec::new()).await });
        }
    }
}
