//! Components: programs that answer for a name below a hosted domain (XEP-0114), and the way to them.
//!
//! A component's name is a name of its domain like a service's: proven per pair, under its domain's policy and limits, without
//! accounts. Each has one stream at a time. Where TLS is not below it, only whoever is at the machine reaches the door
//! (COMP-06). Refuses: a second stream of the same name, and waiting for a component that is not there.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza};
use xmpp::stream::component::{Component, is_handshake};
use xmpp::stream::{Answer, Ask, Event, Order, Seed, StreamCondition, StreamError, TlsInfo};

use crate::net::limits::{Admission, StreamLimits};
use crate::net::pump::{self, Host, Later, Transport};
use crate::net::tls::Secure;
use crate::router::Router;
use crate::session::Outbox;
use crate::tenancy::Tenancy;

/// Between two looks for what a component has not answered.
const EVERY: Duration = Duration::from_secs(10);

/// The components that are connected.
#[derive(Default)]
pub struct Components {
    open: DashMap<DomainName, Open, ahash::RandomState>,
}

/// One of them.
struct Open {
    outbox: Arc<Outbox>,
    /// What it was told last of what it is granted.
    told: Vec<Bytes>,
}

/// A component's place; given back when dropped.
struct Place {
    router: Arc<Router>,
    name: DomainName,
    outbox: Arc<Outbox>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let components = self.router.components();
        let own = |_: &DomainName, open: &Open| Arc::ptr_eq(&open.outbox, &self.outbox);
        components.open.remove_if(&self.name, own);
    }
}

impl Components {
    /// Hands a component a stanza; `false`: it is not there, or takes nothing.
    pub(crate) fn push(&self, name: &DomainName, stanza: &Stanza) -> bool {
        let outbox = self.open.get(name).map(|entry| entry.outbox.clone());
        outbox.is_some_and(|outbox| outbox.push(stanza.bytes().clone()).is_ok())
    }

    /// Ends the streams of those whose names are no components' any more, or have a new secret.
    pub(crate) fn close_where(&self, gone: impl Fn(&DomainName) -> bool, error: &StreamError) {
        for entry in &self.open {
            if gone(entry.key()) {
                entry.outbox.order(Order::Close(error.clone()));
            }
        }
    }

    /// Tells a component what it is granted, if that is news: who was told nothing and is `granted` nothing need not hear so.
    pub(crate) fn tell(&self, name: &DomainName, stanzas: &[Stanza], granted: bool) -> bool {
        let Some(mut open) = self.open.get_mut(name) else {
            return false;
        };
        let told: Vec<Bytes> = stanzas.iter().map(|s| s.bytes().clone()).collect();
        if open.told == told || (open.told.is_empty() && !granted) {
            return false;
        }
        // One that does not read is about to end.
        let all = told
            .iter()
            .all(|bytes| open.outbox.push(bytes.clone()).is_ok());
        open.told = told;
        all
    }

    /// Those whose names are below this one.
    pub(crate) fn below(&self, domain: &DomainName) -> Vec<DomainName> {
        let names = self.open.iter().map(|entry| entry.key().clone());
        names.filter(|name| domain.is_parent_of(name)).collect()
    }
}

/// What every component's connection shares.
pub struct ComponentDoor {
    /// Hosted domains.
    pub tenancy: Arc<Tenancy>,
    /// Where stanzas go.
    pub router: Arc<Router>,
    /// `from` towards streams to names that are none.
    pub provider: Option<DomainName>,
    /// Limits of a stream.
    pub limits: StreamLimits,
}

impl ComponentDoor {
    /// Serves one connection to its end.
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
        let mut host = ComponentHost {
            door: self.clone(),
            outbox,
            place: Arc::default(),
            admission,
            from,
        };
        let machine = Component::new(Seed::new(rand::random()), self.provider.clone());
        let place = host.place.clone();
        let ended = tokio::select! {
            ended = pump::run(transport, tls, machine, &mut host, self.limits) => ended,
            never = self.look_after(&place) => match never {},
        };
        let place = host.place.lock().take();
        match (&place, &ended.broken) {
            (Some(place), None) => tracing::info!(component = %place.name, "component closed"),
            (Some(place), Some(error)) => {
                tracing::info!(component = %place.name, %error, "component lost");
            }
            (None, _) => tracing::debug!(%from, "no component"),
        }
        let name = place.as_ref().map(|place| place.name.clone());
        drop(place);
        if let Some(name) = name {
            self.router.errands_due(&name, true).await;
        }
        for bytes in ended.unwritten {
            if let Ok(stanza) = Stanza::from_bytes(&bytes) {
                self.router.bounce(&stanza, Condition::ServiceUnavailable);
            }
        }
    }

    /// Sees to what the component does not answer, as long as it is there.
    async fn look_after(&self, place: &Mutex<Option<Place>>) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            let name = place.lock().as_ref().map(|place| place.name.clone());
            if let Some(name) = name {
                self.router.errands_due(&name, false).await;
            }
        }
    }

    /// COMP-01 to COMP-03.
    async fn known(
        self: Arc<Self>,
        name: DomainName,
        proof: Option<(String, String)>,
        outbox: Arc<Outbox>,
        slot: Arc<Mutex<Option<Place>>>,
    ) -> Result<(), StreamCondition> {
        let domain = self.tenancy.get(name.as_str());
        let domain = domain.filter(|domain| domain.component && domain.served);
        let domain = domain.ok_or(StreamCondition::HostUnknown)?;
        let Some((id, proof)) = proof else {
            return Ok(());
        };
        let label = name.as_str().split('.').next().unwrap_or_default();
        let secret = domain.hosted.store.component_secret(label).await;
        let secret = secret.map_err(|error| {
            tracing::error!(component = %name, %error, "a component cannot be let in");
            StreamCondition::InternalServerError
        })?;
        if !secret.is_some_and(|secret| is_handshake(&id, &secret, &proof)) {
            tracing::warn!(component = %name, "a component with a wrong secret");
            return Err(StreamCondition::NotAuthorized);
        }
        match self.router.components().open.entry(name.clone()) {
            Entry::Occupied(_) => return Err(StreamCondition::Conflict),
            Entry::Vacant(free) => {
                free.insert(Open {
                    outbox: outbox.clone(),
                    told: Vec::new(),
                });
            }
        }
        *slot.lock() = Some(Place {
            router: self.router.clone(),
            name: name.clone(),
            outbox,
        });
        tracing::info!(component = %name, "component connected");
        Ok(())
    }
}

/// One component's connection.
struct ComponentHost {
    door: Arc<ComponentDoor>,
    outbox: Arc<Outbox>,
    place: Arc<Mutex<Option<Place>>>,
    admission: Admission,
    from: SocketAddr,
}

impl Host for ComponentHost {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer> {
        match ask {
            Ask::Component { name, proof } => {
                let door = self.door.clone();
                let known = door.known(name, proof, self.outbox.clone(), self.place.clone());
                Box::pin(async move { Answer::Component(known.await) })
            }
            // Questions of other streams.
            _ => Box::pin(std::future::pending()),
        }
    }

    fn stanza(&mut self, stanza: Stanza) -> Option<Later> {
        let name = self.place.lock().as_ref().map(|place| place.name.clone())?;
        let domain = self.door.tenancy.get(name.as_str())?;
        // Whoever has the name now speaks for it; this stream is about to end.
        if !domain.component {
            return None;
        }
        self.door.router.component_stanza(&domain, stanza)
    }

    fn tls(&mut self, _: DomainName) -> BoxFuture<'static, Option<Secure>> {
        Box::pin(async { None })
    }

    fn secured(&mut self, _: &TlsInfo) {}

    fn tls_failed(&mut self, _: &std::io::Error) {}

    fn event(&mut self, event: Event) {
        if let Event::RemoteError(error) = event {
            tracing::info!(from = %self.from, %error, "a component closed with an error");
        }
    }

    fn authenticated(&mut self) {
        self.admission.authenticated();
        let name = self.place.lock().as_ref().map(|place| place.name.clone());
        if let Some(name) = name {
            self.door.router.component_connected(&name);
        }
    }

    fn left(&mut self, _: u32, _: Vec<Bytes>) -> bool {
        false
    }
}
