//! A running service: every part put together once, in order, and taken down in the reverse order. What `serve` and `demo`
//! have in common; they differ in where the configuration comes from and in who plays the internet.

use std::net::SocketAddr;
use std::sync::Arc;

use admin_web::PanelSettings;
use control::outside::{Issuer, OwnerZone, ZonePublisher};
use control::{Control, Pace, Parts, SystemClock};
use store::{Lead, Store};

use crate::cli::Failure;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::lookup::Resolver;
use crate::serve::{Listeners, Server, ServerParts};
use crate::wiring;

/// What a sandbox puts in place of the world.
pub struct Sandbox {
    /// In place of an ACME authority.
    pub issuer: Arc<dyn Issuer>,
    /// In place of the owners' DNS hosts.
    pub owner_zone: Arc<dyn OwnerZone>,
}

/// The parts that others still need while it runs.
pub struct Running {
    /// As it is in force: with the addresses that were really bound.
    pub config: Arc<Config>,
    /// The operations.
    pub control: Arc<Control>,
    /// The platform's zone.
    pub zone: Arc<dyn ZonePublisher>,
    server: Server,
    store: Store,
    lead: Lead,
}

impl Running {
    /// Waits until no other process serves the database, binds, starts, and returns when every door is open.
    pub async fn start(
        mut config: Config,
        pace: Pace,
        sandbox: Option<Sandbox>,
    ) -> Result<Self, Failure> {
        // Parts that name no provider take this one; a second call finds it set already.
        let _ = crate::net::tls::provider().install_default();
        let store = wiring::open_store(&config).await?;
        // Before any door is bound and anything is read: the other process has both until it ends.
        let waiting = || {
            tracing::warn!("another process serves this database: standing by until it ends");
        };
        let lead = store
            .lead(waiting)
            .await
            .map_err(|error| Failure::other(6, error.to_string(), ""))?;
        let store = wiring::reopened(&config, store).await?;
        let lookup: Arc<dyn dna::Lookup> =
            Resolver::new(&config.dns).map_err(|problem| Failure::other(78, problem, ""))?;
        let anchors = Arc::new(wiring::anchors(&config)?);
        let fetch = wiring::web(&config, &lookup, &anchors)?;
        let zone = wiring::zone(&config)?;
        let listeners = Listeners::bind(&config.listen).map_err(|error| {
            Failure::other(
                6,
                error.to_string(),
                "Another program may have the port, or the address is not of this machine.",
            )
        })?;
        if sandbox.is_some() {
            bound(&mut config, &listeners);
        }
        let config = Arc::new(config);
        let (issuer, owner_zone) = match sandbox {
            Some(sandbox) => (sandbox.issuer, Some(sandbox.owner_zone)),
            None => (wiring::issuer(&config, &store).await, None),
        };
        let is_sandbox = owner_zone.is_some();
        let parts = ServerParts {
            store: store.clone(),
            lookup: lookup.clone(),
            config: config.clone(),
            metrics: Arc::new(Metrics::new()),
            anchors: anchors.clone(),
            client_anchors: wiring::client_anchors(&config)?,
        };
        let mut server = Server::start(listeners, parts)
            .await
            .map_err(|error| Failure::other(6, error.to_string(), ""))?;
        let mut settings = wiring::platform_settings(&config, pace);
        if is_sandbox {
            // The sandbox's authority counts nothing, and people change keys there as often as they like.
            settings.authority_limits = wiring::no_limits();
        }
        let control = Control::new(Parts {
            store: store.clone(),
            lookup,
            fetch,
            issuer,
            zone: zone.clone(),
            owner_zone,
            mail: wiring::post(&config)?,
            portable: Arc::new(crate::portable::People::new(&config)),
            live: server.live(),
            anchors,
            clock: Arc::new(SystemClock),
            settings,
        });
        let panel = PanelSettings {
            public_url: config.panel.url.trim_end_matches('/').to_owned(),
            secure_cookies: config.panel.url.starts_with("https://"),
            sandbox: is_sandbox,
        };
        server.attach(control.clone(), panel).map_err(|error| {
            Failure::other(6, format!("the panel cannot be served: {error}"), "")
        })?;
        Ok(Self {
            config,
            control,
            zone,
            server,
            store,
            lead,
        })
    }

    /// Streams are told, requests under way end, the database is closed; whoever stands by takes over last.
    pub async fn stop(self) {
        self.server.shutdown().await;
        self.store.close().await;
        self.lead.end().await;
    }
}

/// A sandbox may take any free port: what was bound is what is published and printed.
fn bound(config: &mut Config, listeners: &Listeners) {
    let port =
        |addresses: &[SocketAddr], usual: u16| addresses.first().map_or(usual, SocketAddr::port);
    config.listen.c2s = listeners.c2s().to_vec();
    config.listen.c2s_tls = listeners.c2s_tls().to_vec();
    config.listen.s2s = listeners.s2s().to_vec();
    config.listen.s2s_tls = listeners.s2s_tls().to_vec();
    config.listen.public = listeners.public().to_vec();
    config.listen.http = listeners.http().to_vec();
    config.listen.admin = listeners.admin().to_vec();
    config.listen.internal = listeners.internal().to_vec();
    config.platform.client_port = port(listeners.c2s(), config.platform.client_port);
    config.platform.client_tls_port = port(listeners.c2s_tls(), config.platform.client_tls_port);
    config.platform.server_port = port(listeners.s2s(), config.platform.server_port);
    config.platform.server_tls_port = port(listeners.s2s_tls(), config.platform.server_tls_port);
    if let Some(panel) = listeners.admin().first() {
        config.panel.url = format!("http://{panel}");
    }
}

/// `domicile serve`: runs until it is told to stop.
pub async fn serve(config: Config) -> crate::cli::Outcome {
    let running = Running::start(config, Pace::real(), None).await?;
    let told = told_to_stop();
    let url = running.config.panel.url.trim_end_matches('/').to_owned();
    match running.control.first_run_needed().await {
        Ok(true) => {
            // The token is as good as a password until it is used: it goes to the terminal, not into the log.
            eprintln!(
                "domicile: first run: make your operator login at {url}/setup?token={}",
                running.control.first_run_token()
            );
        }
        Ok(false) => {}
        Err(error) => tracing::error!(
            error = error.log_text(),
            "cannot see whether this is the first run"
        ),
    }
    tracing::info!(panel = url, zone = running.config.platform.zone, "ready");
    let superseded = tokio::select! {
        () = told => false,
        () = running.lead.lost() => true,
    };
    tracing::info!(superseded, "stopping");
    running.stop().await;
    match superseded {
        false => Ok(0),
        true => Err(Failure::other(
            6,
            "the connection to the database was lost, and another process serves it now",
            "Started again, this one stands by for that one.",
        )),
    }
}

/// Hears SIGTERM and SIGINT from this call on; what it returns ends with the first of them. Called before anybody is told
/// that the process is ready: who is told may say "stop" in the same moment.
pub fn told_to_stop() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let heard = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = heard else {
            tracing::error!("signals cannot be heard: stop the process by force");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
