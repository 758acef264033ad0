//! From the configuration to the parts: database, zone, certificate authority, settings. What the commands, `serve` and
//! `demo` have in common is put together here once.
//!
//! Nothing here listens or runs; a part that is not configured becomes one that says so when it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use control::certificate::{AuthorityLimits, Quota};
use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, Issuer, IssuerInfo, Post, ZoneChange,
    ZoneError, ZoneName, ZonePublisher,
};
use control::settings::ServiceName;
use control::{Control, Limits, Pace, Parts, PlatformSettings, Ports, Secret, SystemClock};
use dna::Anchors;
use store::{Sealer, Store};

use crate::certificates::{AccountKeep, Acme, AcmeSettings};
use crate::config::{Config, MailSecurity};
use crate::mail::{Relay, Security};
use crate::net::fetch::Web;
use crate::net::guard::Guard;
use crate::net::web::uploads::Bucket;
use crate::zone::{Publisher, read_key};

/// The master key in base64, instead of a file.
const MASTER_KEY: &str = "DOMICILE_MASTER_KEY";

/// Why the parts cannot be put together; each text says what the operator can do.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The master key cannot be used.
    #[error("{problem}")]
    MasterKey {
        /// What is wrong, with the file's name.
        problem: String,
    },
    /// A directory cannot be made.
    #[error("{}: cannot be made: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The database does not open.
    #[error("the database cannot be opened: {0}")]
    Store(#[from] store::StoreError),
    /// A value of the configuration turns out to be wrong when it is used.
    #[error("{key}: {problem}")]
    Value {
        /// `zone.tsig_key_file`.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// Opens the database, with schema up to date and master key in hand. At the very first start both are made.
pub async fn open_store(config: &Config) -> Result<Store, WiringError> {
    make_dir(&config.server.data_dir)?;
    let url = config.database_url();
    let sealer = sealer(config, url.expose())?;
    Ok(Store::open(url.expose(), sealer).await?)
}

/// The store again, if the master key was replaced since it was opened, as for a process that stood by meanwhile.
pub async fn reopened(config: &Config, store: Store) -> Result<Store, WiringError> {
    let now = sealer(config, config.database_url().expose())?;
    if store.seals_like(&now) {
        return Ok(store);
    }
    tracing::info!("the master key was replaced meanwhile: it is read again");
    store.close().await;
    open_store(config).await
}

/// The directory of an installation, for its owner only.
pub fn make_dir(path: &Path) -> Result<(), WiringError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| WiringError::Directory {
            path: path.to_path_buf(),
            source,
        })
}

/// File with the master key, and the one that takes its place while keys are rotated.
pub fn master_key_files(config: &Config) -> (PathBuf, PathBuf) {
    let file = config.path(&config.server.master_key_file);
    let mut next = file.clone().into_os_string();
    next.push(".next");
    (file, next.into())
}

fn sealer(config: &Config, database: &str) -> Result<Sealer, WiringError> {
    let fault = |problem: String| WiringError::MasterKey { problem };
    if let Ok(text) = std::env::var(MASTER_KEY) {
        return Sealer::from_text(&text)
            .map_err(|problem| fault(format!("{MASTER_KEY}: {problem}")));
    }
    let (file, next) = master_key_files(config);
    if file.exists() {
        let sealer = Sealer::from_file(&file).map_err(fault)?;
        // A rotation was interrupted: some values are sealed with the next key already.
        return if next.exists() {
            Ok(Sealer::from_file(&next).map_err(fault)?.with_older(sealer))
        } else {
            Ok(sealer)
        };
    }
    if next.exists() {
        // Interrupted between the two renames.
        return Sealer::from_file(&next).map_err(fault);
    }
    let kept = database
        .strip_prefix("sqlite://")
        .is_some_and(|path| Path::new(path.split('?').next().unwrap_or(path)).exists());
    if kept {
        return Err(fault(format!(
            "master key {}: is missing, and the database that it belongs to is there; put it back from your copy",
            file.display()
        )));
    }
    let made = Sealer::generate_file(&file).map_err(fault)?;
    tracing::warn!(file = %file.display(), "made a new master key: keep a copy apart from the database's backups");
    Ok(made)
}

/// The platform's settings for control.
pub fn platform_settings(config: &Config, pace: Pace) -> PlatformSettings {
    PlatformSettings {
        name: config.server.name.clone(),
        platform_zone: config.platform.zone.to_ascii_lowercase(),
        addresses: config.platform.addresses.clone(),
        ports: Ports {
            client: config.platform.client_port,
            client_tls: config.platform.client_tls_port,
            server: config.platform.server_port,
            server_tls: config.platform.server_tls_port,
        },
        record_ttl_seconds: config.platform.ttl_seconds,
        web: config.platform.web.clone(),
        panel: config.panel.url.clone(),
        operators_second_factor: config.panel.operators_second_factor,
        invites: match config.platform.web.as_str() {
            "" => config.panel.url.clone(),
            web => web.to_owned(),
        },
        posh_expires_seconds: config.posh.expires_seconds.max(1),
        website_port: config.posh.port,
        http_port: config.acme.http_port,
        plain_http: !config.listen.http.is_empty(),
        private_addresses: config.platform.private_addresses,
        sign_up: config.platform.sign_up,
        limits: tenant_limits(config),
        pace,
        authority_limits: authority_limits(config),
        service_names: modules::hooks::services()
            .map(|service| ServiceName {
                label: service.label.to_owned(),
                purpose: service.about.to_owned(),
                federated: service.federated,
            })
            .collect(),
    }
}

/// What certificate authorities allow.
pub fn authority_limits(config: &Config) -> AuthorityLimits {
    let acme = &config.acme;
    let quota = |most, hours: u32| Quota {
        most,
        window_seconds: hours.saturating_mul(3600),
    };
    AuthorityLimits {
        orders: quota(acme.orders, acme.orders_hours),
        registered: quota(
            acme.certificates_per_registered_domain,
            acme.certificates_hours,
        ),
        duplicates: quota(acme.duplicates, acme.certificates_hours),
        failures: quota(acme.failures_per_name_and_hour, 1),
        pending: acme.pending_authorizations,
        names: acme.names_per_certificate,
    }
}

/// What an authority allows that counts nothing.
pub fn no_limits() -> AuthorityLimits {
    let none = Quota {
        most: 0,
        window_seconds: 0,
    };
    AuthorityLimits {
        orders: none,
        registered: none,
        duplicates: none,
        failures: none,
        pending: 0,
        names: 0,
    }
}

/// What a tenant has unless something else was set for it.
pub fn tenant_limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        domains: limits.domains_per_tenant,
        accounts: limits.accounts_per_tenant,
        connections: limits.connections_per_tenant,
        sessions: limits.sessions_per_tenant,
        stanzas_per_second: limits.stanzas_per_tenant_and_second,
        peers: limits.peers_per_tenant,
        roster_items: limits.roster_items,
        offline_bytes: limits.offline_bytes_per_tenant,
        archive_bytes: limits.archive_bytes_per_tenant,
        upload_bytes: limits.upload_bytes_per_tenant,
    }
}

/// What one account may keep.
pub fn module_limits(config: &Config) -> modules::Limits {
    let limits = &config.limits;
    modules::Limits {
        // What a tenant was given counts; this is the process's own bound.
        roster_items: usize::MAX,
        roster_name_bytes: limits.roster_name_bytes as usize,
        roster_groups: limits.roster_groups as usize,
        roster_group_bytes: limits.roster_group_bytes as usize,
        requests: limits.subscription_requests as usize,
        request_bytes: limits.subscription_request_bytes as usize,
        offline_messages: limits.offline_messages,
        directed: limits.directed_presence as usize,
        password_characters: limits.password_characters as usize,
        roster_cache_bytes: limits.roster_cache_bytes as usize,
        rooms: limits.rooms_per_domain,
        room_occupants: limits.room_occupants,
        room_people: limits.room_people as usize,
        room_history: limits.room_history,
        room_history_bytes: limits.room_history_bytes as usize,
        room_copies: limits.room_copies_per_second,
        room_presence_bytes: limits.room_presence_bytes as usize,
        private_bytes: limits.private_xml_bytes.into(),
        vcard_bytes: limits.vcard_bytes as usize,
        pubsub: modules::PubsubLimits {
            nodes: limits.pubsub_nodes,
            items: limits.pubsub_items,
            item_bytes: limits.pubsub_item_bytes as usize,
            bytes: limits.pubsub_bytes_per_account.into(),
            people: limits.pubsub_people as usize,
            notifications: limits.pubsub_notifications as usize,
            cache_bytes: limits.pubsub_cache_bytes as usize,
        },
        uploads: modules::UploadLimits {
            file_bytes: config.uploads.file_bytes,
            account_bytes: config.uploads.bytes_per_account,
            domain_bytes: config.uploads.bytes_per_domain,
            slot_seconds: config.uploads.slot_seconds,
            web: config.platform.web.clone(),
            port: config.platform.web_port,
        },
    }
}

/// Services for calls.
pub fn external(config: &Config) -> modules::External {
    let external = &config.external;
    let services = external.services.iter();
    let services = services.filter_map(|uri| modules::ExternalService::parse(uri));
    modules::External::new(
        services.collect(),
        external.turn_secret.expose(),
        external.credential_seconds,
    )
}

/// The way to the platform's zone.
pub fn zone(config: &Config) -> Result<Arc<dyn ZonePublisher>, WiringError> {
    let Some(server) = config.zone.server.first() else {
        return Ok(Arc::new(NoZone));
    };
    let apex = if config.zone.apex.is_empty() {
        &config.platform.zone
    } else {
        &config.zone.apex
    };
    let file = config.path(&config.zone.tsig_key_file);
    let value = |problem: String| WiringError::Value {
        key: "zone.tsig_key_file",
        problem: format!("{}: {problem}", file.display()),
    };
    let key = read_key(&file).map_err(value)?;
    Ok(Arc::new(
        Publisher::new(*server, apex, &key).map_err(value)?,
    ))
}

/// The certificate authorities, with what is kept of our accounts there.
pub async fn issuer(config: &Config, store: &Store) -> Arc<dyn Issuer> {
    let (acme, second) = (&config.acme, &config.acme_second);
    if acme.directory.is_empty() {
        return Arc::new(NoIssuer);
    }
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let root = |path: &Path| {
        Some(path)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| config.path(path))
    };
    let contact: Vec<String> = given(&acme.contact).into_iter().collect();
    let mut authorities = vec![AcmeSettings {
        name: authority_name(&acme.directory),
        directory: acme.directory.clone(),
        root: root(&acme.root),
        contact: contact.clone(),
        terms_agreed: acme.terms_agreed,
        external_account: given(&acme.eab_key_id)
            .map(|id| (id, Secret::from(acme.eab_key.expose()))),
        caa_identities: acme.caa_identities.clone(),
        profile: given(&acme.profile),
        chain: given(&acme.chain),
    }];
    if !second.directory.is_empty() {
        authorities.push(AcmeSettings {
            name: authority_name(&second.directory),
            directory: second.directory.clone(),
            root: root(&second.root),
            contact,
            terms_agreed: second.terms_agreed,
            external_account: given(&second.eab_key_id)
                .map(|id| (id, Secret::from(second.eab_key.expose()))),
            caa_identities: second.caa_identities.clone(),
            profile: given(&second.profile),
            chain: given(&second.chain),
        });
    }
    let acme = Acme::of(authorities, Arc::new(StoredAccount(store.clone())));
    acme.recall().await;
    Arc::new(acme)
}

/// What people call the authority of a directory.
fn authority_name(directory: &str) -> String {
    match directory.split('/').nth(2).unwrap_or(directory) {
        "acme-v02.api.letsencrypt.org" => "Let's Encrypt".to_owned(),
        "acme-staging-v02.api.letsencrypt.org" => "Let's Encrypt (staging)".to_owned(),
        other => other.to_owned(),
    }
}

/// The operator's mail relay; `None`: no mail is written.
pub fn post(config: &Config) -> Result<Option<Post>, WiringError> {
    let mail = &config.mail;
    if mail.relay.is_empty() {
        return Ok(None);
    }
    let roots = Some(&mail.roots)
        .filter(|path| !path.as_os_str().is_empty())
        .map(|path| config.path(path));
    let login = (!mail.login.is_empty())
        .then(|| (mail.login.clone(), Secret::from(mail.password.expose())));
    let security = match mail.security {
        MailSecurity::StartTls => Security::StartTls,
        MailSecurity::Tls => Security::Tls,
        MailSecurity::None => Security::None,
    };
    let at = (mail.relay.as_str(), mail.port);
    let relay = Relay::new(at, security, login, &mail.from, roots.as_deref());
    let relay = relay.map_err(|problem| WiringError::Value {
        key: "mail",
        problem,
    })?;
    Ok(Some(Post {
        mailer: Arc::new(relay),
        hour: u8::try_from(mail.hour).unwrap_or_default(),
        panel: config.panel.url.trim_end_matches('/').to_owned(),
    }))
}

/// Whom we connect to.
pub fn guard(config: &Config) -> Guard {
    Guard::new(
        config.platform.private_addresses,
        config.platform.private_networks.clone(),
    )
}

/// The way to peers' websites. `anchors` are those for other servers, which hold for websites too unless POSH has its own.
pub fn web(
    config: &Config,
    lookup: &Arc<dyn dna::Lookup>,
    anchors: &Arc<Anchors>,
) -> Result<Arc<dyn dna::Fetch>, WiringError> {
    let own = &config.posh.roots;
    let anchors = if own.as_os_str().is_empty() {
        anchors.clone()
    } else {
        Arc::new(read_anchors("posh.roots", &config.path(own))?)
    };
    let timeout = Duration::from_secs(config.posh.timeout_seconds.max(1).into());
    let provider = Arc::new(crate::net::tls::provider());
    let web = Web::new(lookup.clone(), guard(config), &anchors, provider, timeout);
    web.map(|web| Arc::new(web) as Arc<dyn dna::Fetch>)
        .map_err(|error| WiringError::Value {
            key: "posh",
            problem: error.to_string(),
        })
}

/// Whom we believe about other servers: a file, or the system's.
pub fn anchors(config: &Config) -> Result<Anchors, WiringError> {
    let roots = &config.tls.roots;
    if !roots.as_os_str().is_empty() {
        return read_anchors("tls.roots", &config.path(roots));
    }
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "some of the system's trust anchors cannot be read");
    }
    let anchors = Anchors::lenient(loaded.certs);
    if anchors.is_empty() {
        tracing::warn!(
            "the system has no trust anchors: no certificate of another server will be believed; set tls.roots"
        );
    }
    Ok(anchors)
}

/// The bucket for shared files, if there is one.
pub fn bucket(config: &Config) -> Result<Option<Bucket>, WiringError> {
    let section = &config.bucket;
    if section.endpoint.is_empty() {
        return Ok(None);
    }
    let given = |path: &Path| (!path.as_os_str().is_empty()).then(|| config.path(path));
    let secret = match given(&section.secret_key_file) {
        Some(file) => {
            let text = std::fs::read_to_string(&file).map_err(|error| WiringError::Value {
                key: "bucket.secret_key_file",
                problem: format!("{}: {error}", file.display()),
            })?;
            crate::config::Secret::new(text.trim())
        }
        None => section.secret_key.clone(),
    };
    let bucket = Bucket::new(section, &secret, given(&section.roots).as_deref());
    let bucket = bucket.map_err(|problem| WiringError::Value {
        key: "bucket",
        problem,
    })?;
    Ok(Some(bucket))
}

/// Whose certificates prove clients, where a domain says nothing else.
pub fn client_anchors(config: &Config) -> Result<Option<Arc<Anchors>>, WiringError> {
    let file = &config.tls.client_authorities;
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let anchors = read_anchors("tls.client_authorities", &config.path(file))?;
    Ok(Some(Arc::new(anchors)))
}

fn read_anchors(key: &'static str, file: &Path) -> Result<Anchors, WiringError> {
    let value = |problem: String| WiringError::Value {
        key,
        problem: format!("{}: {problem}", file.display()),
    };
    let pem = std::fs::read(file).map_err(|error| value(error.to_string()))?;
    Anchors::from_pem(&pem).map_err(|error| value(error.to_string()))
}

/// Control for a process that serves nothing itself: the command line.
pub async fn offline_control(
    config: &Config,
    store: Store,
    lookup: Arc<dyn dna::Lookup>,
) -> Result<Arc<Control>, WiringError> {
    let issuer = issuer(config, &store).await;
    let anchors = Arc::new(anchors(config)?);
    Ok(Control::new(Parts {
        store,
        fetch: web(config, &lookup, &anchors)?,
        lookup,
        issuer,
        zone: zone(config)?,
        owner_zone: None,
        // The server writes it.
        mail: None,
        portable: Arc::new(crate::portable::People::new(config)),
        live: Arc::new(control::outside::NotLive),
        anchors,
        clock: Arc::new(SystemClock),
        settings: platform_settings(config, Pace::real()),
    }))
}

/// The ACME account in the database, sealed there.
struct StoredAccount(Store);

#[async_trait::async_trait]
impl AccountKeep for StoredAccount {
    async fn load(&self, directory: &str) -> Result<Option<Secret>, String> {
        let kept = self
            .0
            .acme_account_get(directory)
            .await
            .map_err(|error| error.to_string())?;
        // An account that was forgotten is kept as nothing.
        let text = kept
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| String::from_utf8(bytes.to_vec()))
            .transpose();
        text.map(|text| text.map(Secret::from))
            .map_err(|_| "the kept account is not text".into())
    }

    async fn save(&self, directory: &str, credentials: &Secret) -> Result<(), String> {
        self.0
            .acme_account_set(directory, credentials.expose().as_bytes())
            .await
            .map_err(|error| error.to_string())
    }

    async fn forget(&self, directory: &str) -> Result<(), String> {
        self.0
            .acme_account_set(directory, b"")
            .await
            .map_err(|error| error.to_string())
    }
}

/// In place of a certificate authority when none is configured.
struct NoIssuer;

#[async_trait::async_trait]
impl Issuer for NoIssuer {
    fn describe(&self) -> IssuerInfo {
        IssuerInfo {
            name: "none".into(),
            ..IssuerInfo::default()
        }
    }

    async fn issue(
        &self,
        _request: IssueRequest,
        _desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        Err(IssueError::Refused(
            "this service orders no certificates (acme.directory is empty): upload one".into(),
        ))
    }
}

/// In place of the platform's zone when no server is configured.
struct NoZone;

fn no_zone() -> ZoneError {
    ZoneError::Refused {
        server: "(none)".into(),
        code: "no name server is configured: set zone.server".into(),
    }
}

#[async_trait::async_trait]
impl ZonePublisher for NoZone {
    async fn apply(&self, changes: &[ZoneChange]) -> Result<(), ZoneError> {
        if changes.is_empty() {
            return Ok(());
        }
        Err(no_zone())
    }

    async fn names(&self) -> Result<Vec<ZoneName>, ZoneError> {
        Err(no_zone())
    }
}
