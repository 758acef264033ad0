//! The platform's own certificate: what direct TLS and HTTPS show to whoever names nobody, or the platform itself (C-02).
//!
//! Read from the two files of the configuration at the start, and again when they change, so that whatever renews them need
//! not tell us. A file that cannot be used later leaves the old certificate in place. Refuses: standing in for any hosted
//! domain.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::net::tls::{Identities, Identity};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Why the platform's certificate cannot be used. The operator's fault.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {problem}", file.display())]
pub struct PlatformError {
    key: &'static str,
    file: PathBuf,
    problem: String,
}

/// The two files.
pub(super) struct Files {
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    /// As configured; `None` when there are none.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let given = |path: &Path| !path.as_os_str().is_empty();
        let (chain, key) = (&config.tls.platform_certificate, &config.tls.platform_key);
        (given(chain) && given(key)).then(|| Self {
            chain: config.path(chain),
            key: config.path(key),
        })
    }

    /// Reads them and shows them from now on. Streams that are up go on with what they showed.
    pub(super) fn load(&self, identities: &Identities) -> Result<(), PlatformError> {
        let error = |key, file: &Path, problem: String| PlatformError {
            key,
            file: file.to_path_buf(),
            problem,
        };
        let chain = |problem| error("tls.platform_certificate", &self.chain, problem);
        let key = |problem| error("tls.platform_key", &self.key, problem);
        let pem = std::fs::read(&self.chain).map_err(|e| chain(e.to_string()))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|e| chain(e.to_string()))?;
        let pem = std::fs::read(&self.key).map_err(|e| key(e.to_string()))?;
        // The parser's own text might repeat what is in the file.
        let secret = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| key("there is no private key in it".into()))?;
        let provider = identities.provider().clone();
        let identity = Identity::new(None, certificates, secret, provider)
            .map_err(|e| chain(format!("{e}, with the key of tls.platform_key")))?;
        identities.set_platform(Some(Arc::new(identity)));
        Ok(())
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.chain, &self.key].map(|file| std::fs::metadata(file).and_then(|m| m.modified()).ok())
    }

    /// Reads them again whenever they change, until `stop`.
    pub(super) async fn follow(self, identities: Arc<Identities>, stop: CancellationToken) {
        let mut seen = self.changed();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let now = self.changed();
            if now == seen {
                continue;
            }
            match self.load(&identities) {
                Ok(()) => {
                    seen = now;
                    tracing::info!("the platform's certificate was renewed");
                }
                // Half written, perhaps: the next look tries again.
                Err(error) => tracing::warn!(%error, "the platform's certificate stays as it is"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    fn write(dir: &Path, names: &[&str]) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let params = rcgen::CertificateParams::new(names).expect("names");
        let leaf = params.self_signed(&key).expect("a certificate");
        std::fs::write(dir.join("own.pem"), leaf.pem()).expect("written");
        std::fs::write(dir.join("own.key"), key.serialize_pem()).expect("written");
    }

    #[tokio::test]
    async fn c_02_the_platform_s_files_are_read_and_a_broken_one_changes_nothing() {
        let world = World::new().await;
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        assert!(Files::of(&config).is_none());
        config.server.data_dir = dir.path().to_path_buf();
        config.tls.platform_certificate = "own.pem".into();
        config.tls.platform_key = "own.key".into();
        let files = Files::of(&config).expect("both");
        let tenancy = crate::tenancy::Tenancy::load(world.store.clone(), None, Default::default())
            .await
            .expect("loaded");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let identities = Identities::new(tenancy, provider, 10);
        let missing = files.load(&identities).expect_err("no file");
        assert!(missing.to_string().contains("tls.platform_certificate"));
        assert!(identities.platform().is_none());
        write(dir.path(), &["hosting.example"]);
        files.load(&identities).expect("read");
        let own = identities.platform().expect("shown");
        let name = xmpp::jid::DomainName::parse("hosting.example").expect("a name");
        assert!(own.covers(&name) && own.domain().is_none());
        std::fs::write(dir.path().join("own.key"), "nothing").expect("written");
        assert!(files.load(&identities).is_err());
        assert!(identities.platform().expect("as before").covers(&name));
    }
}
