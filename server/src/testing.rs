//! A server for tests beside the code: a store in a temporary directory, a certificate authority, domains with users.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use store::{DomainId, DomainRow, Identity, Sealer, Store, TenantId};
use tempfile::TempDir;
use xmpp::jid::DomainName;
use xmpp::sasl::{Hash, ScramVerifier};
use xmpp::timestamp::Timestamp;

use crate::net::now;

/// Password of every user.
pub(crate) const PASSWORD: &str = "correct horse";

/// Deriving is slow on purpose; once is enough.
static VERIFIERS: LazyLock<[ScramVerifier; 3]> = LazyLock::new(|| {
    Hash::ALL.map(|hash| ScramVerifier::derive(hash, PASSWORD, &[3; 16], 4096).expect("a password"))
});

/// A store with what tests need in it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ca: Issuer<'static, KeyPair>,
    pub(crate) ca_der: CertificateDer<'static>,
    pub(crate) tenant: TenantId,
    directory: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let sealer = Sealer::from_bytes(&[7; 32]).expect("a key");
        let store = Store::open(&url(&directory), sealer)
            .await
            .expect("a store");
        let tenant = store
            .tenant_add("tests", "active", "{}", now())
            .await
            .expect("a tenant");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        // Its own name, or leaves would look self-signed to OpenSSL.
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "Test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_der = params.self_signed(&key).expect("a CA").der().clone();
        Self {
            store,
            ca: Issuer::new(params, key),
            ca_der,
            tenant,
            directory,
        }
    }

    /// The same database as another process sees it.
    pub(crate) async fn other_process(&self) -> Store {
        let sealer = Sealer::from_bytes(&[7; 32]).expect("a key");
        Store::open(&url(&self.directory), sealer)
            .await
            .expect("a store")
    }

    /// Other settings of a domain, as control writes them.
    pub(crate) async fn set_settings(&self, id: DomainId, settings: &serde_json::Value) {
        let row = self.store.domain_get(id).await.expect("the store");
        let mut row = row.expect("the domain");
        row.settings = settings.to_string();
        let written = self.store.domain_update(&row, now()).await;
        written.expect("the store");
    }

    /// Other limits of the tenant that has every domain here.
    pub(crate) async fn set_limits(&self, limits: &serde_json::Value) {
        let row = self.store.tenant_get(self.tenant).await.expect("the store");
        let mut row = row.expect("the tenant");
        row.limits = limits.to_string();
        let written = self.store.tenant_update(&row, now()).await;
        written.expect("the store");
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca_der.clone()).expect("an anchor");
        roots
    }

    /// A served domain with a certificate and these users.
    pub(crate) async fn domain(&self, name: &str, users: &[&str]) -> DomainId {
        let id = self.domain_without_certificate(name).await;
        self.certificate(id, name, &[name]).await;
        for user in users {
            self.user(id, name, user).await;
        }
        id
    }

    pub(crate) async fn domain_without_certificate(&self, name: &str) -> DomainId {
        self.domain_of(self.tenant, name).await
    }

    /// A served domain of another tenant's, without a certificate.
    pub(crate) async fn domain_of(&self, tenant: TenantId, name: &str) -> DomainId {
        let name = DomainName::parse(name).expect("a domain");
        let row = DomainRow {
            id: DomainId(0),
            tenant,
            label: format!("d{}", name.as_str().replace('.', "-")),
            name,
            state: "live".into(),
            reason: String::new(),
            suspended_by: String::new(),
            mode: "acme".into(),
            token: "token".into(),
            verified_at: Some(now()),
            policy: "encrypted".into(),
            allow: Vec::new(),
            block: Vec::new(),
            settings: "{}".into(),
            look: None,
            checked_at: None,
            next_check_at: None,
            created: now(),
            revision: 0,
        };
        self.store.domain_add(&row).await.expect("a domain")
    }

    pub(crate) async fn set_state(&self, id: DomainId, state: &str) {
        let mut row = self
            .store
            .domain_get(id)
            .await
            .expect("the store")
            .expect("the domain");
        row.state = state.into();
        self.store
            .domain_update(&row, now())
            .await
            .expect("the store");
    }

    /// Gives the domain a new certificate for these names.
    pub(crate) async fn certificate(&self, id: DomainId, name: &str, names: &[&str]) {
        self.certificate_with(id, name, names, |_| {}).await;
    }

    /// The same, with something unusual about it.
    pub(crate) async fn certificate_with(
        &self,
        id: DomainId,
        name: &str,
        names: &[&str],
        shape: impl FnOnce(&mut CertificateParams),
    ) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        shape(&mut params);
        let leaf = params.signed_by(&key, &self.ca).expect("a certificate");
        let identity = Identity {
            chain_pem: leaf.pem(),
            key_pem: key.serialize_pem().into(),
        };
        let name = DomainName::parse(name).expect("a domain");
        self.store
            .domain(id, &name)
            .certificate_add(
                &identity,
                Timestamp(now().0 + 86_400_000_000),
                "uploaded",
                "current",
                now(),
            )
            .await
            .expect("stored");
    }

    pub(crate) async fn user(&self, id: DomainId, domain: &str, local: &str) {
        let name = DomainName::parse(domain).expect("a domain");
        self.store
            .domain(id, &name)
            .account_add(local, &*VERIFIERS, now())
            .await
            .expect("an account");
    }
}

fn url(directory: &TempDir) -> String {
    format!("sqlite://{}", directory.path().join("test.db").display())
}

/// A DNS that never answers.
pub(crate) struct NoDns;

#[async_trait]
impl dna::Lookup for NoDns {
    async fn query(&self, name: &str, _: dna::RecordType) -> dna::Answer {
        dna::Answer::failed("there is no DNS in this test", name)
    }

    async fn query_authoritative(&self, _: &str, _: dna::RecordType) -> Vec<dna::ServerAnswer> {
        Vec::new()
    }
}

pub(crate) fn no_dns() -> Arc<dyn dna::Lookup> {
    Arc::new(NoDns)
}
