//! The live server put together: store, domains, certificates, router, federation, doors; and taken apart again in order.
//!
//! Listeners are bound first, so that whoever needs their ports (the demo, DNS records) knows them before anything runs.
//! Control is built by the caller around [`Server::live`] and handed in afterwards, because each needs the other. Refuses:
//! reading the configuration's file or environment; it is given.

mod accept;
mod limits;
mod listeners;
mod lists;
mod live;
mod platform;
mod probe;
mod rest;
mod retention;
mod series;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admin_web::PanelSettings;
use control::Control;
use control::outside::Live;
use modules::Modules;
use rustls::crypto::CryptoProvider;
use store::{DomainId, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use xmpp::jid::{BareJid, DomainName};
use xmpp::stream::{StreamCondition, StreamError};
use xmpp::timestamp::Timestamp;

pub use self::listeners::{BindError, Listeners};
use self::live::LiveServer;
pub use self::platform::PlatformError;
use crate::component::ComponentDoor;
use crate::config::Config;
use crate::federation::{self, Federation};
use crate::metrics::Metrics;
use crate::net::late::Late;
use crate::net::limits::{Addresses, Logins, Pulse, Recipients, Registrations};
use crate::net::now;
use crate::net::plain::{self, PlainDoor};
use crate::net::public::{self, PublicDoor};
use crate::net::tls::Identities;
use crate::net::web::Web;
use crate::net::web::uploads::Uploads;
use crate::net::{PeerDoor, internal};
use crate::router::Router;
use crate::session::client::ClientDoor;
use crate::session::{Session, Sessions, Waiting};
use crate::tenancy::{Became, Defaults, Tenancy};
use crate::wiring;

/// Domains whose TLS identity is kept ready; about 4 KB each.
const IDENTITIES: usize = 10_000;
/// How long streams have to say goodbye at the end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Streams that are told to close at a time, so that not all clients come back in the same instant (STREAM-36).
const FAREWELLS_AT_ONCE: usize = 500;

/// What the server is made of.
pub struct ServerParts {
    /// The configuration, checked.
    pub config: Arc<Config>,
    /// The store, its schema up to date.
    pub store: Store,
    /// The DNS.
    pub lookup: Arc<dyn dna::Lookup>,
    /// Whom we believe.
    pub anchors: Arc<dna::Anchors>,
    /// Whose certificates prove clients, where their domain names nobody else.
    pub client_anchors: Option<Arc<dna::Anchors>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// Why the server does not start; each text says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be read.
    #[error("the server cannot start: {0}")]
    Store(#[from] StoreError),
    /// A value of the configuration turns out to be wrong when it is used.
    #[error("the server cannot start: {0}")]
    Wiring(#[from] crate::wiring::WiringError),
    /// A listener's socket cannot be used.
    #[error("the server cannot start: {0}")]
    Listener(#[from] std::io::Error),
    /// The platform's own certificate cannot be used.
    #[error("the server cannot start: {0}")]
    Platform(#[from] PlatformError),
}

/// A running server.
pub struct Server {
    listeners: Listeners,
    metrics: Arc<Metrics>,
    live: Arc<LiveServer>,
    streams: Arc<accept::Streams>,
    /// Control for the public door.
    knows: Arc<OnceLock<Arc<Control>>>,
    /// Pages of invitations, for the public door.
    invites: public::Pages,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// Starts everything that speaks XMPP and the public web door.
    ///
    /// # Errors
    /// [`ServeError`]; nothing runs then.
    pub async fn start(mut listeners: Listeners, parts: ServerParts) -> Result<Self, ServeError> {
        let ServerParts {
            config,
            store,
            lookup,
            anchors,
            client_anchors,
            metrics,
        } = parts;
        let provider = Arc::new(crate::net::tls::provider());
        // Whoever builds a TLS configuration without naming a provider gets the same one; a second call changes nothing.
        let _ = CryptoProvider::clone(&provider).install_default();
        let zone = DomainName::parse(&config.platform.zone).ok();
        let fresh: [u8; 32] = rand::random();
        let fake_secret = store.setting_get_or("scram-fake", &fresh).await?;
        // The feed first: what changes while the domains are being read is then read again.
        let feed = store.change_feed().await?;
        let defaults = Defaults {
            client_anchors,
            ..Defaults::of(&config)
        };
        let tenancy = Tenancy::load(store.clone(), zone.clone(), defaults).await?;
        let identities = Arc::new(Identities::new(tenancy.clone(), provider, IDENTITIES));
        let platform = platform::Files::of(&config);
        if let Some(files) = &platform {
            files.load(&identities)?;
        }
        let sessions = Sessions::new(config.limits.sessions_per_account as usize);
        let router = Router::new(
            tenancy.clone(),
            sessions,
            Modules::new(wiring::module_limits(&config))
                .with_external(wiring::external(&config))
                .with_start(crate::net::now()),
            Recipients::new(limits::recipients(&config)),
            metrics.clone(),
        );
        let stream_limits = limits::streams(&config);
        let registrations = Arc::new(Registrations::new(
            config.limits.registrations_per_address_and_hour,
        ));
        let waiting = Arc::<Waiting>::default();
        let clients = Arc::new(ClientDoor {
            tenancy: tenancy.clone(),
            router: router.clone(),
            identities: identities.clone(),
            metrics: metrics.clone(),
            fake_secret: Arc::from(&fake_secret[..]),
            provider: zone.clone(),
            limits: stream_limits,
            registrations: registrations.clone(),
            waiting: waiting.clone(),
            logins: Logins::new(limits::logins(&config)),
            token_seconds: config.clients.token_days.saturating_mul(86_400),
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let fresh: [u8; 32] = rand::random();
        let dialback_secret = store.setting_get_or("dialback", &fresh).await?.to_vec();
        let guard = wiring::guard(&config);
        let fetch = wiring::web(&config, &lookup, &anchors)?;
        let federation = Federation::new(federation::Parts {
            tenancy: tenancy.clone(),
            router: router.clone(),
            identities: identities.clone(),
            lookup,
            fetch,
            rules: federation::Rules::of(&config),
            guard,
            anchors: anchors.clone(),
            metrics: metrics.clone(),
            provider: zone.clone(),
            dialback_secret,
            settings: federation::Settings::of(&config),
            tasks: tasks.clone(),
        });
        router.set_remote(federation.clone());
        let peers: Option<Arc<dyn PeerDoor>> = Some(federation.clone());
        let streams = Arc::new(accept::Streams::default());
        let addresses = Addresses::new(limits::addresses(&config));
        let pulse = pulse(&config, &store, &addresses, &tasks, &stop);
        let live = Arc::new(LiveServer {
            addresses: addresses.clone(),
            config: config.clone(),
            store: store.clone(),
            tenancy: tenancy.clone(),
            identities: identities.clone(),
            router: router.clone(),
            federation: federation.clone(),
            anchors,
            registrations,
            waiting,
            metrics: metrics.clone(),
            local: listeners.c2s().to_vec(),
            rest: Arc::default(),
        });
        let kept = router
            .restore_sessions(&store, None, stream_limits.outbox_bytes)
            .await?;
        if kept > 0 {
            tracing::info!(
                sessions = kept,
                "sessions wait for their clients to come back"
            );
        }
        let outgoing = federation.restore(&store, None).await?;
        let components = Arc::new(ComponentDoor {
            tenancy: tenancy.clone(),
            router: router.clone(),
            provider: zone.clone(),
            limits: limits::components(&config),
        });
        let doors = accept::Doors {
            components,
            clients,
            peers,
            identities: identities.clone(),
            tenancy: tenancy.clone(),
            metrics: metrics.clone(),
            streams: streams.clone(),
            addresses: addresses.clone(),
            pulse,
            tasks: tasks.clone(),
        };
        tasks.spawn(follow(feed, live.clone(), stop.clone()));
        let retention = retention::Retention {
            days: config.limits.archive_days,
            bytes: config.limits.archive_bytes_per_account,
        };
        tasks.spawn(retention.follow(tenancy.clone(), stop.clone()));
        tasks.spawn(lists::follow(router.clone(), stop.clone()));
        tasks.spawn(series::Series::new(tenancy.clone()).follow(stop.clone()));
        if let Some(files) = platform {
            tasks.spawn(files.follow(identities.clone(), stop.clone()));
        }
        let doors = Arc::new(doors);
        accept::spawn(&mut listeners, doors.clone(), &stop)?;
        let uploads = Uploads::new(
            store.clone(),
            tenancy.clone(),
            config.path(&config.uploads.dir),
            wiring::bucket(&config)?,
            config.uploads.days,
        );
        tasks.spawn(uploads.clone().follow(stop.clone()));
        let web = Arc::new(Web {
            clients: doors,
            tenancy: tenancy.clone(),
            platform: config.platform.web.clone(),
            origins: config.clients.web_origins.clone(),
            bosh: Arc::default(),
            uploads: uploads.clone(),
            stanza_bytes: stream_limits.stanza_bytes,
        });
        tasks.spawn(web.bosh.clone().follow(stop.clone()));
        let web = WebDoors {
            identities,
            web,
            knows: Arc::default(),
            invites: Arc::default(),
        };
        web.open(&mut listeners, &config, &tasks, &stop)?;
        if outgoing.stanzas > 0 {
            tracing::info!(
                stanzas = outgoing.stanzas,
                "what waited for other servers is sent on"
            );
        }
        federation.send_on(outgoing);
        tracing::info!(domains = tenancy.len(), "serving");
        Ok(Self {
            listeners,
            metrics,
            live,
            streams,
            knows: web.knows,
            invites: web.invites,
            tasks,
            stop,
        })
    }

    /// The addresses that are listened at.
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Federation, for tests that look at its streams.
    #[cfg(test)]
    pub(crate) fn federation(&self) -> &Arc<Federation> {
        &self.live.federation
    }

    /// The live server for control.
    pub fn live(&self) -> Arc<dyn Live> {
        self.live.clone()
    }

    /// The router, for whoever measures or embeds the server.
    pub fn router(&self) -> &Arc<Router> {
        &self.live.router
    }

    /// Starts what stands on control: its worker, panel and API, and the internal door.
    ///
    /// # Errors
    /// A listener's socket cannot be used.
    pub fn attach(
        &mut self,
        control: Arc<Control>,
        panel: PanelSettings,
    ) -> Result<(), std::io::Error> {
        let stop = self.stop.clone();
        let _ = self.knows.set(control.clone());
        self.live.router.set_control(control.clone());
        self.tasks.spawn(control::worker::run(
            control.clone(),
            stop.clone().cancelled_owned(),
        ));
        let pages = (control.clone(), panel.clone());
        let pages = Late::new(move || admin_web::invited::router(pages.0, pages.1));
        let _ = self.invites.set(pages);
        let panel = Late::new(move || admin_web::router(control, panel)).into_router();
        for socket in self.listeners.take_admin() {
            self.http(socket, panel.clone())?;
        }
        let internal = internal::router(self.metrics.clone(), self.live.clone());
        for socket in self.listeners.take_internal() {
            self.http(socket, internal.clone())?;
        }
        let (rest, store) = (self.live.rest.clone(), self.live.store.clone());
        rest.is_due();
        let give_back = move || rest::give_back(store.clone());
        self.tasks.spawn(rest.follow(give_back, self.stop.clone()));
        Ok(())
    }

    fn http(&self, socket: std::net::TcpListener, app: axum::Router) -> Result<(), std::io::Error> {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        let stop = self.stop.clone().cancelled_owned();
        let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
        self.tasks.spawn(async move {
            let served = axum::serve(listener, app).with_graceful_shutdown(stop);
            if let Err(error) = served.await {
                tracing::error!(%error, "a web door has closed");
            }
        });
        Ok(())
    }

    /// Takes no more connections, tells every stream `system-shutdown`, and waits a bounded time for them to end. Sessions that
    /// outlive their connections go into the store.
    pub async fn shutdown(self) {
        tracing::info!("shutting down");
        self.stop.cancel();
        let error = StreamError::new(StreamCondition::SystemShutdown);
        self.live.router.close_services().await;
        self.live.federation.close_all(&error);
        self.streams.close(&error, FAREWELLS_AT_ONCE).await;
        self.live.router.close_all(&error);
        self.tasks.close();
        if tokio::time::timeout(FAREWELL, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.tasks.len(), "some streams did not end in time");
        }
        self.live.federation.finish().await;
        let kept = self.live.router.keep_sessions().await;
        if kept > 0 {
            tracing::info!(sessions = kept, "sessions kept for their clients");
        }
    }
}

/// Tells those who come whether the process keeps up.
fn pulse(
    config: &Config,
    store: &Store,
    addresses: &Arc<Addresses>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Arc<Pulse> {
    let pulse = Pulse::new(Duration::from_millis(
        config.limits.late_milliseconds.into(),
    ));
    let asked = store.clone();
    let ask = move || {
        let store = asked.clone();
        // Whether it can answer is for those who want to know.
        async move { store.ping().await.unwrap_or_default() }
    };
    tasks.spawn(pulse.clone().run(addresses.clone(), ask, stop.clone()));
    pulse
}

/// What stands behind the doors of the web.
struct WebDoors {
    identities: Arc<Identities>,
    web: Arc<Web>,
    knows: Arc<OnceLock<Arc<Control>>>,
    invites: public::Pages,
}

impl WebDoors {
    /// The public doors, with TLS and without.
    fn open(
        &self,
        listeners: &mut Listeners,
        config: &Config,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), std::io::Error> {
        let per_address = (
            config.limits.connections_per_address,
            config.limits.connects_per_address_and_minute,
        );
        for socket in listeners.take_public() {
            let door = PublicDoor {
                identities: self.identities.clone(),
                names: self.web.tenancy.clone(),
                control: self.knows.clone(),
                invites: self.invites.clone(),
                web: self.web.clone(),
                per_address,
            };
            let listener = tokio::net::TcpListener::from_std(socket)?;
            tasks.spawn(public::serve(listener, door, stop.clone()));
        }
        for socket in listeners.take_http() {
            let door = PlainDoor {
                names: self.web.tenancy.clone(),
                control: self.knows.clone(),
                zone: config.platform.zone.to_ascii_lowercase().into(),
                per_address,
            };
            let listener = tokio::net::TcpListener::from_std(socket)?;
            tasks.spawn(plain::serve(listener, door, stop.clone()));
        }
        Ok(())
    }
}

/// Re-reads what changed in the store, whoever changed it.
async fn follow(mut feed: store::ChangeFeed, live: Arc<LiveServer>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = feed.wait() => {}
        }
        match feed.poll().await {
            Ok(news) => {
                for change in news {
                    live.changed(change).await;
                }
            }
            // Said once a second at most; nothing is skipped, the next call reports it.
            Err(error) => tracing::warn!(%error, "changes cannot be read"),
        }
    }
}

impl LiveServer {
    async fn changed(&self, change: store::Change) {
        match change {
            store::Change::Domain(name) => {
                if let Ok(name) = DomainName::parse(&name) {
                    self.domain_changed(&name).await;
                }
            }
            store::Change::Certificate(name) => {
                if let Ok(name) = DomainName::parse(&name) {
                    self.identities.invalidate(&name);
                }
            }
            store::Change::Account(jid) => {
                if let Ok(account) = BareJid::parse(&jid) {
                    self.account_changed(&account).await;
                }
            }
            store::Change::Password(jid, at) => {
                if let Ok(account) = BareJid::parse(&jid) {
                    self.revoke(&account, at);
                }
            }
            store::Change::Roster(account, contact) => {
                if let (Ok(account), Ok(contact)) =
                    (BareJid::parse(&account), BareJid::parse(&contact))
                {
                    self.router.roster_grown(&account, &contact).await;
                }
            }
            store::Change::ClientCertificate(jid, fingerprint) => {
                if let Ok(account) = BareJid::parse(&jid) {
                    self.revoke_certificate(&account, &fingerprint);
                }
            }
            store::Change::Client(jid, agent, at) => {
                if let Ok(account) = BareJid::parse(&jid) {
                    self.router.client_signed_out(&account, &agent, at).await;
                }
            }
            store::Change::Session(jid, resource, at) => {
                if let Ok(account) = BareJid::parse(&jid) {
                    let mut ended = self.router.sign_out_session(&account, &resource, at);
                    // It may wait on another node, or have waited for this one to start.
                    ended.push(resource);
                    ended.dedup();
                    self.router.wake_no_more(&account, ended).await;
                }
            }
            store::Change::Tenant(id) => match self.tenancy.refresh_tenant(id).await {
                Ok(false) => {}
                Ok(true) => {
                    for name in self.tenancy.domains_of(id) {
                        self.domain_changed(&name).await;
                    }
                }
                Err(error) => {
                    tracing::error!(tenant = id.0, %error, "a changed tenant cannot be read");
                }
            },
            store::Change::Plans => {
                if let Err(error) = self.tenancy.refresh_tenants().await {
                    tracing::error!(%error, "tenants of a changed plan cannot be read");
                }
            }
        }
    }

    async fn domain_changed(&self, name: &DomainName) {
        let before = self.tenancy.get(name.as_str());
        let services: Vec<_> = self
            .tenancy
            .service_names(name)
            .into_iter()
            .filter_map(|service| Some((self.tenancy.look(service.as_str())?, service)))
            // A domain of this name stands before the service.
            .filter(|(domain, _)| domain.service.is_some())
            .collect();
        let became = match self.tenancy.refresh(name).await {
            Ok(became) => became,
            Err(error) => {
                tracing::error!(domain = %name, %error, "a changed domain cannot be read");
                return;
            }
        };
        // Another customer has shown that the name is theirs: nothing that was known of it here is of their domain.
        let now = self.tenancy.get(name.as_str());
        if let (Some(before), Some(now)) = (&before, &now)
            && before.id != now.id
        {
            let gone = StreamCondition::HostGone.into();
            for (_, service) in &services {
                self.federation.close_domain(service, &gone);
            }
            self.forget(name, &gone);
        }
        // A component whose name is no longer one (somebody's domain, perhaps), or whose secret may be another, proves itself anew.
        let of_domain = |component: &DomainName| name.is_parent_of(component) || name == component;
        let served = |component: &DomainName| {
            let now = self.tenancy.get(component.as_str());
            now.is_some_and(|now| now.component && now.served)
        };
        let error = StreamError::new(StreamCondition::NotAuthorized)
            .with_text("the domain's components were changed; connect again");
        let gone = |component: &DomainName| of_domain(component) && !served(component);
        self.router.components().close_where(gone, &error);
        self.router.components_changed(name);
        self.identities.invalidate(name);
        self.federation.recheck(name, before.as_deref());
        for (before, service) in &services {
            self.identities.invalidate(service);
            if self.tenancy.hosts(service.as_str()) {
                self.federation.recheck(service, Some(before));
            } else {
                let gone = StreamCondition::HostGone.into();
                self.federation.close_domain(service, &gone);
            }
        }
        let error = match became {
            Became::Served => {
                if let Some(domain) = self.tenancy.get(name.as_str()) {
                    self.router.renew_domain(&domain);
                    self.router.follow_lists(&domain).await;
                    if !before.is_some_and(|before| before.served && before.id == domain.id) {
                        self.restore_sessions(name).await;
                        self.send_what_waited(domain.id).await;
                    }
                }
                return;
            }
            Became::Suspended => StreamError::new(StreamCondition::PolicyViolation)
                .with_text("this domain is suspended; ask whoever runs it"),
            Became::Gone => StreamCondition::HostGone.into(),
        };
        for (_, service) in &services {
            self.federation.close_domain(service, &error);
        }
        self.forget(name, &error);
    }

    /// A domain is served from now on: sessions that an earlier process has left of it wait for their clients, or end as they
    /// do.
    async fn restore_sessions(&self, name: &DomainName) {
        let outbox_bytes = self.config.limits.outbox_bytes as usize;
        let restoring = self
            .router
            .restore_sessions(&self.store, Some(name), outbox_bytes);
        if let Err(error) = restoring.await {
            tracing::error!(domain = %name, %error, "kept sessions cannot be read");
        }
    }

    /// A domain is served from now on: what waits in the store for other servers, whoever has left it, goes on its way.
    async fn send_what_waited(&self, domain: DomainId) {
        match self.federation.restore(&self.store, Some(domain)).await {
            Ok(restored) => self.federation.send_on(restored),
            Err(error) => {
                tracing::error!(%error, "what waited for other servers cannot be read");
            }
        }
    }

    /// Ends every stream of a domain, and what is remembered of it in this process.
    fn forget(&self, name: &DomainName, error: &StreamError) {
        self.router.modules().forget_domain(name);
        self.router.close_domain(name, error);
        self.federation.close_domain(name, error);
    }

    /// An account that may no longer log in loses its sessions.
    async fn account_changed(&self, account: &BareJid) {
        let (Some(local), Some(domain)) = (account.local(), self.tenancy.get(account.domain()))
        else {
            return;
        };
        match domain.hosted.store.account_find(local).await {
            // Removed and made anew, perhaps: sessions of the old one are nobody's.
            Ok(Some(row)) if row.state == store::ACTIVE => {
                // What it has may be more than what was read (an import).
                self.router.modules().forget_account(account);
                self.revoke(account, row.created);
            }
            Ok(_) => {
                self.router.modules().forget_account(account);
                self.revoke(account, now());
            }
            Err(error) => tracing::error!(%account, %error, "a changed account cannot be read"),
        }
    }

    /// Whoever came with this certificate is out.
    fn revoke_certificate(&self, account: &BareJid, fingerprint: &str) {
        let error = StreamError::new(StreamCondition::NotAuthorized)
            .with_text("the certificate was revoked");
        let sessions = self.router.sessions().of(account.as_str());
        let by = |session: &Session| session.view().certificate.as_deref() == Some(fingerprint);
        for session in sessions.into_iter().filter(|session| by(session)) {
            self.router.close_session(&session, error.clone());
        }
    }

    /// Whoever logged in before is out.
    fn revoke(&self, account: &BareJid, at: Timestamp) {
        let error = StreamError::new(StreamCondition::NotAuthorized)
            .with_text("the account was changed; log in again");
        self.router.revoke(account, at, &error);
    }
}
