//! What people have, in and out (XEP-0227): the modules' reader and writer, for control.

use std::io::Read;

use async_trait::async_trait;
use control::Timestamp;
use control::portable::Portable;
use modules::portable;
use store::{DomainStore, Export, Import, Moved};
use tokio::io::AsyncWrite;
use xmpp::jid::DomainName;

use crate::config::Config;
use crate::wiring;

/// Reader and writer with the limits of this installation.
#[derive(Debug)]
pub struct People {
    limits: modules::Limits,
}

impl People {
    /// With the configuration's limits.
    pub fn new(config: &Config) -> Self {
        Self {
            limits: wiring::module_limits(config),
        }
    }
}

#[async_trait]
impl Portable for People {
    async fn export(
        &self,
        store: &DomainStore,
        domain: &DomainName,
        wanted: &Export,
        out: &mut (dyn AsyncWrite + Unpin + Send),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Moved, String> {
        let done = portable::export(store, domain, &self.limits, wanted, out, progress).await;
        done.map_err(|error| error.to_string())
    }

    async fn import(
        &self,
        store: &DomainStore,
        domain: &DomainName,
        wanted: Import,
        source: Box<dyn Read + Send>,
        now: Timestamp,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Moved, String> {
        let done =
            portable::import(store, domain, &self.limits, wanted, source, now, progress).await;
        done.map_err(|error| error.to_string())
    }
}
