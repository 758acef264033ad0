//! Which domains are hosted here, as of the last change in the store.
//!
//! A domain costs one entry and its rows, no task and no listener. The map is read on every stanza that leaves its own
//! domain, so it is sharded and asked with a borrowed name. Refuses: deciding anything; control does, and writes it down.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use control::domain::State;
use dashmap::DashMap;
use dna::Anchors;
use modules::{DomainSettings, Hosted};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::{DomainId, DomainRow, Store, StoreError, TenantId};
use xmpp::jid::DomainName;

use crate::net::tls::{self, Material};

/// Rows read at once at the start.
const PAGE: u32 = 1_000;

/// A hosted domain.
#[derive(Debug)]
pub struct Domain {
    /// Row.
    pub id: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// What modules see of it.
    pub hosted: Hosted,
    /// Whether streams are answered; suspended and leaving domains keep their entry, so that they are told apart from
    /// unknown ones and never looked for elsewhere (ROUTE-08).
    pub served: bool,
    /// Word of control's state.
    pub state: String,
    /// Left-most label of its SRV target in the platform's zone.
    pub label: String,
    /// XEP-0238 level, in control's word.
    pub policy: String,
    /// Only these peers, if any.
    pub allow: Vec<String>,
    /// Never these peers.
    pub block: Vec<String>,
    /// PLAIN is offered over TLS, for clients that know nothing better (SASL-15).
    pub plain: bool,
    /// Trust anchors by which a peer is known here, in place of the general ones (CERT-21).
    pub pinned: HashMap<DomainName, Arc<Anchors>>,
    /// Sessions bound now; shared with the entry that replaces this one.
    sessions: Arc<AtomicUsize>,
}

impl Domain {
    /// Is it being erased? To the world it is gone already (VHOST-06).
    pub fn is_leaving(&self) -> bool {
        State::parse(&self.state) == Some(State::Releasing)
    }

    /// Name.
    pub fn name(&self) -> &DomainName {
        &self.hosted.domain
    }

    /// Sessions bound now.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(crate) fn session_bound(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_ended(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What became of a domain when it was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// Served, as before or from now on.
    Served,
    /// Not served for now.
    Suspended,
    /// Not ours any more.
    Gone,
}

/// The domains hosted here.
pub struct Tenancy {
    store: Store,
    /// The platform's zone: `LABEL.zone` is a domain's SRV target (VHOST-09).
    zone: Option<DomainName>,
    domains: DashMap<DomainName, Arc<Domain>, ahash::RandomState>,
    labels: DashMap<String, DomainName, ahash::RandomState>,
}

impl Tenancy {
    /// Reads every hosted domain.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load(store: Store, zone: Option<DomainName>) -> Result<Arc<Self>, StoreError> {
        let tenancy = Self {
            store,
            zone,
            domains: DashMap::default(),
            labels: DashMap::default(),
        };
        let mut after = DomainId(0);
        loop {
            let rows = tenancy.store.domain_list(None, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows.into_iter().filter(|row| row.verified_at.is_some()) {
                tenancy.put(row);
            }
        }
        Ok(Arc::new(tenancy))
    }

    /// The domain of this name (canonical form), served or not.
    pub fn get(&self, name: &str) -> Option<Arc<Domain>> {
        self.domains.get(name).map(|entry| entry.clone())
    }

    /// Whether the name is ours; such a name never leaves the process (ROUTE-08).
    pub fn hosts(&self, name: &str) -> bool {
        self.domains.contains_key(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether a name was ours and has left (VHOST-06). Unreadable is unknown.
    pub async fn departed(&self, name: &DomainName) -> bool {
        matches!(self.store.domain_departed(name).await, Ok(Some(_)))
    }

    /// Reads one domain again.
    ///
    /// # Errors
    /// The store cannot be read; the old entry stays.
    pub async fn refresh(&self, name: &DomainName) -> Result<Became, StoreError> {
        match self.store.domain_hosted(name).await? {
            Some(row) => {
                let leaving = State::parse(&row.state) == Some(State::Releasing);
                Ok(match self.put(row) {
                    true => Became::Served,
                    false if leaving => Became::Gone,
                    false => Became::Suspended,
                })
            }
            None => {
                if let Some((_, old)) = self.domains.remove(name) {
                    self.labels.remove(&old.label);
                }
                Ok(Became::Gone)
            }
        }
    }

    fn put(&self, row: DomainRow) -> bool {
        let served = State::parse(&row.state).is_some_and(State::is_served);
        let settings = Settings::parse(&row.settings);
        self.labels.insert(row.label.clone(), row.name.clone());
        let sessions = self
            .domains
            .get(&row.name)
            .map(|old| old.sessions.clone())
            .unwrap_or_default();
        let domain = Domain {
            id: row.id,
            tenant: row.tenant,
            hosted: Hosted {
                store: self.store.domain(row.id, &row.name),
                domain: row.name.clone(),
                settings: settings.modules,
            },
            served,
            state: row.state,
            label: row.label,
            policy: row.policy,
            allow: row.allow,
            block: row.block,
            plain: settings.plain,
            pinned: settings.pinned,
            sessions,
        };
        self.domains.insert(row.name, Arc::new(domain));
        served
    }
}

/// What of a domain's settings concerns streams and modules; the rest is control's.
struct Settings {
    plain: bool,
    pinned: HashMap<DomainName, Arc<Anchors>>,
    modules: DomainSettings,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let words = |key: &str| -> Vec<String> {
            json[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            plain: json["plain"].as_bool().unwrap_or(true),
            pinned: pinned(&json["pinned"]),
            modules: DomainSettings {
                off: words("modules_off"),
                ..DomainSettings::default()
            },
        }
    }
}

/// Anchors that cannot be read stay in force as none at all: the peer is then unknown, not judged by the general ones.
fn pinned(json: &serde_json::Value) -> HashMap<DomainName, Arc<Anchors>> {
    json.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(peer, pem)| {
            let peer = DomainName::parse(peer).ok()?;
            let anchors = Anchors::from_pem(pem.as_str().unwrap_or_default().as_bytes());
            if let Err(error) = &anchors {
                tracing::error!(%peer, %error, "the trust anchors pinned for a peer cannot be read");
            }
            Some((peer, Arc::new(anchors.unwrap_or_default())))
        })
        .collect()
}

impl tls::Names for Tenancy {
    fn served_by(&self, name: &DomainName) -> Option<tls::ServedBy> {
        let served = |name: &str| self.get(name).is_some_and(|domain| domain.served);
        if served(name.as_str()) {
            return Some(tls::ServedBy::Itself(name.clone()));
        }
        let (label, rest) = name.as_str().split_once('.')?;
        if self.zone.as_ref().is_some_and(|zone| zone == rest) {
            let domain = self.labels.get(label)?.clone();
            return served(domain.as_str()).then_some(tls::ServedBy::Itself(domain));
        }
        if served(rest) {
            return Some(tls::ServedBy::Parent(DomainName::parse(rest).ok()?));
        }
        None
    }
}

#[async_trait]
impl tls::Certificates for Tenancy {
    async fn current(&self, domain: &DomainName) -> Result<Option<Material>, tls::Unavailable> {
        let Some(domain) = self.get(domain.as_str()) else {
            return Ok(None);
        };
        let found = domain
            .hosted
            .store
            .identity_current()
            .await
            .map_err(|error| tls::Unavailable(error.to_string()))?;
        let Some(identity) = found else {
            return Ok(None);
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes());
        match (chain, key) {
            (Ok(chain), Ok(key)) => Ok(Some(Material { chain, key })),
            _ => {
                tracing::error!(domain = %domain.name(), "the stored certificate or key is not PEM");
                Ok(None)
            }
        }
    }
}

impl std::fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenancy")
            .field("domains", &self.domains.len())
            .finish_non_exhaustive()
    }
}
