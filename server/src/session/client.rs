//! A client's connection: answers what the client machine asks, and ties its stream to a session.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use xmpp::jid::DomainName;
use xmpp::sasl::Hash;
use xmpp::stanza::Stanza;
use xmpp::stream::client::Client;
use xmpp::stream::{
    Answer, Ask, Event, Host as HostAnswer, Seed, Served, StreamCondition, StreamError, TlsInfo,
    Unavailable,
};

use super::{Outbox, Session};
use crate::metrics::{Metrics, ResultLabel};
use crate::net::limits::StreamLimits;
use crate::net::pump::{self, Host, Transport};
use crate::net::tls::{Door, Identities, Secure};
use crate::router::Router;
use crate::tenancy::Tenancy;

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
}

impl ClientDoor {
    /// Serves one connection to its end. `tls` is what the handshake of direct TLS gave.
    pub async fn serve<S>(
        self: &Arc<Self>,
        transport: Transport<S>,
        tls: Option<TlsInfo>,
        from: SocketAddr,
        outbox: Arc<Outbox>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut host = ClientHost {
            door: self.clone(),
            outbox,
            session: Arc::default(),
            from,
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
        if let Some(session) = host.session.get().cloned() {
            Box::pin(self.router.ended(&session, ended.unwritten)).await;
        }
    }

    async fn host(self: Arc<Self>, to: DomainName) -> HostAnswer {
        let Some(domain) = self.tenancy.get(to.as_str()) else {
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
        HostAnswer::Served(Box::new(Served {
            identity: self.identities.get(domain.name()).await.is_some(),
            domain: domain.name().clone(),
            plain: domain.plain,
            fake_secret: self.fake_secret.clone(),
            max_bytes: self.limits.stanza_bytes,
            features: modules::hooks::stream_features(&domain.hosted),
            idle_seconds: u32::try_from(self.limits.keepalive.as_secs()).unwrap_or(u32::MAX),
        }))
    }
}

/// One client connection.
struct ClientHost {
    door: Arc<ClientDoor>,
    outbox: Arc<Outbox>,
    /// Set by the answer to the one successful binding.
    session: Arc<OnceLock<Arc<Session>>>,
    from: SocketAddr,
}

impl Host for ClientHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        let door = self.door.clone();
        match ask {
            Ask::Host { to } => Box::pin(async move { Answer::Host(door.host(to).await) }),
            Ask::Credentials {
                domain,
                local,
                hash,
            } => Box::pin(async move {
                let Some(domain) = door.tenancy.get(domain.as_str()) else {
                    return Answer::Credentials(Ok(None));
                };
                let hash = hash.unwrap_or(Hash::Sha256);
                let found = domain.hosted.store.credentials_for(&local, hash).await;
                Answer::Credentials(found.map_err(|error| {
                    tracing::error!(domain = %domain.name(), %error, "a login could not be checked");
                    Unavailable
                }))
            }),
            Ask::Bind {
                account,
                resource,
                random,
            } => {
                let outbox = self.outbox.clone();
                let slot = self.session.clone();
                Box::pin(async move {
                    let resource = resource.as_deref().unwrap_or(&random);
                    let bound = door.router.bind(&account, resource, outbox).await;
                    Answer::Bound(bound.map(|session| {
                        let jid = session.jid.clone();
                        // The machine binds once; a second answer would find the slot taken and change nothing.
                        let _ = slot.set(session);
                        jid
                    }))
                })
            }
            // Questions of server streams; the client machine has none of them.
            _ => Box::pin(std::future::pending()),
        }
    }

    fn stanza(&mut self, stanza: Stanza) -> Option<BoxFuture<'static, ()>> {
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

    fn secured(&mut self, _: &TlsInfo) {}

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
                count("success");
                tracing::info!(domain = account.domain(), %account, mechanism, from = %self.from, "logged in");
            }
            Event::AuthenticationFailed { failure } => {
                count("failure");
                tracing::info!(from = %self.from, condition = failure.name(), "login refused");
            }
            Event::RemoteError(error) => {
                tracing::debug!(from = %self.from, %error, "the client closed with an error");
            }
            _ => {}
        }
    }
}

impl Drop for ClientHost {
    /// Whatever ends the connection's task, a panic included, the session does not outlive it.
    fn drop(&mut self) {
        self.outbox.close();
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
