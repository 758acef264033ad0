//! Identities in use: loaded once on first use, bounded, dropped when the store announces a change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::DistinguishedName;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use xmpp::jid::DomainName;

use super::identity::Identity;

/// How long "this domain has no certificate" is believed without an announcement.
const NEGATIVE: Duration = Duration::from_secs(30);

/// Where certificates come from.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// The certificate now in use for a hosted domain; `None` if there is none.
    ///
    /// # Errors
    /// [`Unavailable`]: the question could not be asked. Nothing is remembered then.
    async fn current(&self, domain: &DomainName) -> Result<Option<Material>, Unavailable>;
}

/// A chain and its key.
pub struct Material {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// Authorities whose certificates clients are asked for, empty: of anybody; `None`: they are not asked.
    pub client_issuers: Option<Vec<DistinguishedName>>,
}

/// The store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("certificates cannot be read now: {0}")]
pub struct Unavailable(pub String);

/// The cache.
pub struct Identities {
    source: Arc<dyn Certificates>,
    provider: Arc<CryptoProvider>,
    capacity: usize,
    entries: Mutex<HashMap<DomainName, Entry, ahash::RandomState>>,
    platform: ArcSwapOption<Identity>,
}

struct Entry {
    /// Filled once, by whoever asks first; the others wait for it.
    cell: Arc<OnceCell<Option<Arc<Identity>>>>,
    used: Instant,
    loaded: Instant,
}

impl Identities {
    /// An empty cache of at most `capacity` domains.
    pub fn new(
        source: Arc<dyn Certificates>,
        provider: Arc<CryptoProvider>,
        capacity: usize,
    ) -> Self {
        Self {
            source,
            provider,
            capacity: capacity.max(1),
            entries: Mutex::default(),
            platform: ArcSwapOption::empty(),
        }
    }

    /// The provider of all our cryptography.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// The platform's own identity, shown when a client names nothing.
    pub fn platform(&self) -> Option<Arc<Identity>> {
        self.platform.load_full()
    }

    /// Replaces the platform's own identity.
    pub fn set_platform(&self, identity: Option<Arc<Identity>>) {
        self.platform.store(identity);
    }

    /// The identity of a hosted domain; `None` when it has no certificate, or one that cannot be used.
    pub async fn get(&self, domain: &DomainName) -> Option<Arc<Identity>> {
        let cell = self.cell(domain);
        let loaded = cell.get_or_try_init(|| self.load(domain)).await;
        match loaded {
            Ok(identity) => identity.clone(),
            Err(error) => {
                tracing::error!(%domain, %error, "no identity");
                None
            }
        }
    }

    /// Drops what is cached for a domain: the next handshake loads anew. Streams that are up go on with what they showed.
    pub fn invalidate(&self, domain: &DomainName) {
        self.entries.lock().remove(domain);
    }

    /// Domains in the cache.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether nothing is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cell(&self, domain: &DomainName) -> Arc<OnceCell<Option<Arc<Identity>>>> {
        let now = Instant::now();
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(domain) {
            let stale = matches!(entry.cell.get(), Some(None))
                && now.duration_since(entry.loaded) >= NEGATIVE;
            if !stale {
                entry.used = now;
                return entry.cell.clone();
            }
        } else if entries.len() >= self.capacity {
            // The least recently used of a few: near enough, without a list of all.
            let offset = rand::random_range(0..entries.len());
            let victim = entries
                .iter()
                .skip(offset)
                .take(16)
                .min_by_key(|(_, entry)| entry.used)
                .map(|(domain, _)| domain.clone());
            if let Some(victim) = victim {
                entries.remove(&victim);
            }
        }
        let cell = Arc::<OnceCell<_>>::default();
        let entry = Entry {
            cell: cell.clone(),
            used: now,
            loaded: now,
        };
        entries.insert(domain.clone(), entry);
        cell
    }

    async fn load(&self, domain: &DomainName) -> Result<Option<Arc<Identity>>, Unavailable> {
        let Some(material) = self.source.current(domain).await? else {
            return Ok(None);
        };
        let identity = Identity::new(
            Some(domain.clone()),
            material.chain,
            material.key,
            self.provider.clone(),
        );
        Ok(match identity {
            Ok(identity) => Some(Arc::new(
                identity.with_client_issuers(material.client_issuers),
            )),
            Err(error) => {
                tracing::error!(%domain, %error, "the stored certificate cannot be used; replace it in the panel");
                None
            }
        })
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities")
            .field("cached", &self.len())
            .finish_non_exhaustive()
    }
}
