//! A real ACME authority (Pebble, of two ages) and control's side of an order, for tests that call into the server's library.

pub(crate) mod served;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use control::Secret;
use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, KeyChoice, PendingOrder, Response,
    ZoneChange, ZonePublisher, ZoneValue,
};
use domicile::certificates::{AccountKeep, AcmeSettings};
use domicile::demo::ca::Ca;
use domicile::zone::{Publisher, read_key};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use xmpp::jid::DomainName;

use crate::harness::bind::Bind;
use crate::harness::tools::{Service, environment as environment_of_tests, free_port, program};

/// The challenge name in the platform's zone, to which the owners' aliases lead.
const CHALLENGE: &str = "d1._acme.on.hosting.example";

/// A Pebble with its own HTTPS certificate, made by the sandbox's CA.
pub(crate) struct Pebble {
    pub(crate) management: SocketAddr,
    pub(crate) service: Option<Service>,
    config: PathBuf,
    dns: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) root: PathBuf,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    dir: tempfile::TempDir,
}

impl Pebble {
    /// Debian's: from before ARI, profiles and dns-persist-01. `more` is more of its configuration.
    pub(crate) fn start(dns: SocketAddr, more: &str) -> Self {
        Self::run(dns, more, program("pebble"), Vec::new())
    }

    /// The current one, which knows them.
    pub(crate) fn current(
        dns: SocketAddr,
        more: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let program = environment_of_tests().join("go/bin/pebble");
        assert!(
            program.exists(),
            "{} is not installed; run tests/install",
            program.display()
        );
        Self::run(dns, more, program, environment)
    }

    fn run(
        dns: SocketAddr,
        more: &str,
        program: PathBuf,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ip: IpAddr = [127, 0, 0, 1].into();
        let address = SocketAddr::new(ip, free_port(ip));
        let ca = Ca::open(&dir.path().join("ca"), None).expect("CA");
        let issued = ca
            .leaf(&["localhost".into()], &KeyChoice::New)
            .expect("certificate");
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&cert, &issued.chain_pem).expect("certificate");
        std::fs::write(&key, issued.key_pem.expose()).expect("key");
        let management = SocketAddr::new(ip, free_port(ip));
        let config = dir.path().join("pebble.json");
        let text = format!(
            r#"{{"pebble":{{"listenAddress":"{address}","managementListenAddress":"{management}","certificate":"{cert}","privateKey":"{key}","httpPort":5002,"tlsPort":5001,"ocspResponderURL":""{more}}}}}"#,
            cert = cert.display(),
            key = key.display()
        );
        std::fs::write(&config, text).expect("configuration");
        let mut pebble = Self {
            management,
            service: None,
            config,
            dns,
            address,
            root: ca.root().to_path_buf(),
            program,
            environment,
            dir,
        };
        pebble.restart();
        pebble
    }

    /// A new process on the same address; it has forgotten everything.
    pub(crate) fn restart(&mut self) {
        self.service = None;
        let mut command = Command::new(&self.program);
        command
            .arg("-config")
            .arg(&self.config)
            .args(["-dnsserver", &self.dns.to_string()])
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .env("PEBBLE_VA_NOSLEEP", "1");
        let mut service =
            Service::start("pebble", &mut command, self.dir.path().join("pebble.log"));
        service.listening(self.address);
        self.service = Some(service);
    }

    /// What it says of a certificate; a number that it did not give is none of its.
    pub(crate) fn state_of(&self, serial: &str) -> String {
        let out = Command::new(program("curl"))
            .args(["--silent", "--insecure", "--max-time", "20"])
            .arg(format!(
                "https://{}/cert-status-by-serial/{serial}",
                self.management
            ))
            .output()
            .expect("curl");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub(crate) fn settings(&self) -> AcmeSettings {
        AcmeSettings {
            name: "Pebble".into(),
            directory: format!("https://localhost:{}/dir", self.address.port()),
            root: Some(self.root.clone()),
            contact: vec!["mailto:hostmaster@hosting.example".into()],
            terms_agreed: true,
            external_account: None,
            caa_identities: vec!["pebble.example".into()],
            ..AcmeSettings::default()
        }
    }
}

/// Accounts, in memory.
#[derive(Default)]
pub(crate) struct Keep(pub(crate) Mutex<HashMap<String, Secret>>);

#[async_trait::async_trait]
impl AccountKeep for Keep {
    async fn load(&self, directory: &str) -> Result<Option<Secret>, String> {
        Ok(self.0.lock().expect("lock").get(directory).cloned())
    }
    async fn save(&self, directory: &str, credentials: &Secret) -> Result<(), String> {
        self.0
            .lock()
            .expect("lock")
            .insert(directory.into(), credentials.clone());
        Ok(())
    }
    async fn forget(&self, directory: &str) -> Result<(), String> {
        self.0.lock().expect("lock").remove(directory);
        Ok(())
    }
}

/// Control's side: publishes in BIND, remembers the order.
pub(crate) struct Desk {
    zone: Publisher,
    pub(crate) crash: bool,
    pub(crate) presented: Mutex<usize>,
    pub(crate) pending: Mutex<Option<PendingOrder>>,
    /// What http-01 shows, by path.
    pub(crate) documents: Arc<Mutex<HashMap<String, String>>>,
}

impl Desk {
    pub(crate) fn new(bind: &Bind) -> Self {
        let key = read_key(&bind.key).expect("key file");
        let zone = Publisher::new(bind.address, "hosting.example", &key).expect("publisher");
        Self {
            zone,
            crash: false,
            presented: Mutex::default(),
            pending: Mutex::default(),
            documents: Arc::default(),
        }
    }
}

#[async_trait::async_trait]
impl ChallengeSolver for Desk {
    async fn present(&self, _name: &DomainName, response: &Response) -> Result<(), IssueError> {
        *self.presented.lock().expect("lock") += 1;
        match response {
            Response::Dns { value } => {
                let change = ZoneChange::Add {
                    name: CHALLENGE.into(),
                    ttl_seconds: 1,
                    value: ZoneValue::Txt(value.clone()),
                };
                self.zone
                    .apply(&[change])
                    .await
                    .map_err(|error| IssueError::Challenge(error.to_string()))
            }
            Response::Http {
                token,
                key_authorization,
            } => {
                let path = format!("/.well-known/acme-challenge/{token}");
                let mut documents = self.documents.lock().expect("lock");
                documents.insert(path, key_authorization.clone());
                Ok(())
            }
        }
    }
    async fn withdraw(&self, _name: &DomainName, response: &Response) {
        match response {
            Response::Dns { value } => {
                let change = ZoneChange::Remove {
                    name: CHALLENGE.into(),
                    value: ZoneValue::Txt(value.clone()),
                };
                self.zone.apply(&[change]).await.expect("withdrawn");
            }
            Response::Http { token, .. } => {
                let path = format!("/.well-known/acme-challenge/{token}");
                self.documents.lock().expect("lock").remove(&path);
            }
        }
    }
    async fn remember(&self, order: PendingOrder) -> Result<(), IssueError> {
        *self.pending.lock().expect("lock") = Some(order);
        if self.crash {
            Err(IssueError::Unavailable("the database has gone".into()))
        } else {
            Ok(())
        }
    }
}

pub(crate) fn request(names: &[&str], key: KeyChoice) -> IssueRequest {
    IssueRequest {
        names: names
            .iter()
            .map(|name| DomainName::parse(name).expect("name"))
            .collect(),
        key,
        ..IssueRequest::default()
    }
}

pub(crate) fn challenge_records(bind: &Bind) -> String {
    let out = Command::new(program("dig"))
        .args([
            &format!("@{}", bind.address.ip()),
            "-p",
            &bind.address.port().to_string(),
            "+short",
            "d1._acme.on.hosting.example",
            "TXT",
        ])
        .output()
        .expect("dig");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub(crate) fn assert_names(issued: &Issued, names: &[&str]) {
    let chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
            .map(|cert| cert.expect("PEM"))
            .collect();
    assert!(chain.len() >= 2, "leaf and intermediate");
    let leaf = webpki::EndEntityCert::try_from(&chain[0]).expect("leaf");
    for name in names {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(*name).expect("name"))
            .expect("the name is in it");
    }
}
