//! The sandbox's certificate authority: a root and an intermediate of its own, behind the same door as ACME.
//!
//! It issues for a domain only when the dns-01 TXT of RFC 8555 8.4 can be seen through DNS, so that what works in the demo
//! fails in the demo for the same reasons as at a real CA. Leaves are like a public CA's: serverAuth only, 90 days. For
//! peers in tests, [`Ca::leaf`] issues without asking; that is what `domicile sandbox-cert` does for who owns the directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use control::Secret;
use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, Issuer as Issuing, IssuerInfo, KeyChoice,
    NameRefused, Response,
};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use tokio::net::UdpSocket;
use xmpp::jid::DomainName;

use super::dns::{DnsError, files};

/// Lifetimes, in days.
const ROOT_DAYS: u64 = 3650;
const INTERMEDIATE_DAYS: u64 = 1825;
const LEAF_DAYS: u64 = 90;
/// Clocks may be behind by this much, in seconds.
const SKEW_SECONDS: u64 = 3600;
/// How long the DNS may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the sandbox's CA cannot work.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] DnsError),
    /// A file of ours is not as we wrote it.
    #[error("{}: {problem}; start with an empty --data-dir", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What.
        problem: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// The authority.
pub struct Ca {
    root: PathBuf,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
    dns: Option<SocketAddr>,
}

impl Ca {
    /// Opens or makes the authority in `dir`. `dns` is whom to ask for challenges; without it only [`Ca::leaf`] works.
    pub fn open(dir: &Path, dns: Option<SocketAddr>) -> Result<Self, CaError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| DnsError::File {
                path: dir.to_path_buf(),
                source,
            })?;
        let root = dir.join("root.pem");
        let intermediate = dir.join("intermediate.pem");
        // The intermediate's certificate is written last: where it is, everything is.
        if !intermediate.exists() {
            make(dir)?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| DnsError::File {
                path: path.to_path_buf(),
                source,
            })
        };
        let intermediate_pem = read(&intermediate)?;
        let key_path = dir.join("intermediate.key");
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|error| CaError::Damaged {
            path: key_path,
            problem: error.to_string(),
        })?;
        let issuer =
            Issuer::from_ca_cert_pem(&intermediate_pem, key).map_err(|error| CaError::Damaged {
                path: intermediate,
                problem: error.to_string(),
            })?;
        Ok(Self {
            root,
            intermediate_pem,
            issuer,
            dns,
        })
    }

    /// The root certificate, PEM: what clients and peers are told to trust.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A certificate for these names (A-labels), no questions asked.
    pub fn leaf(&self, names: &[String], key: &KeyChoice) -> Result<Issued, CaError> {
        let (key, key_pem) = match key {
            KeyChoice::New => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
                let pem = Secret::from(key.serialize_pem());
                (key, pem)
            }
            KeyChoice::Keep(pem) => (KeyPair::from_pem(pem.expose())?, pem.clone()),
        };
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = DistinguishedName::new();
        lifetime(&mut params, LEAF_DAYS);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            chain_pem: leaf.pem() + &self.intermediate_pem,
            key_pem,
            ..Issued::default()
        })
    }

    /// The challenge for one name: shown, looked for through DNS, taken away.
    async fn prove(
        &self,
        dns: SocketAddr,
        name: &DomainName,
        desk: &dyn ChallengeSolver,
    ) -> Result<(), IssueError> {
        let value =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let shown = Response::Dns {
            value: value.clone(),
        };
        desk.present(name, &shown).await?;
        let asked = format!("_acme-challenge.{}.", name.to_ascii());
        let seen = tokio::time::timeout(PATIENCE, texts(dns, &asked)).await;
        desk.withdraw(name, &shown).await;
        let why = match seen {
            Ok(Ok(texts)) if texts.contains(&value) => return Ok(()),
            Ok(Ok(texts)) if texts.is_empty() => format!("there is no TXT record at {asked}"),
            Ok(Ok(texts)) => format!(
                "the TXT record at {asked} is \"{}\", not what was asked for",
                texts.join("\", \"")
            ),
            Ok(Err(error)) => {
                return Err(IssueError::Unavailable(format!(
                    "its look-up of {asked} failed: {error}"
                )));
            }
            Err(_) => {
                return Err(IssueError::Unavailable(format!(
                    "its look-up of {asked} took too long"
                )));
            }
        };
        Err(IssueError::Names(vec![NameRefused {
            name: name.clone(),
            why,
        }]))
    }
}

#[async_trait::async_trait]
impl Issuing for Ca {
    fn describe(&self) -> IssuerInfo {
        IssuerInfo {
            name: "Sandbox CA".into(),
            caa_identities: vec!["ca.example".into()],
            ..IssuerInfo::default()
        }
    }

    async fn issue(
        &self,
        request: IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        let Some(dns) = self.dns else {
            return Err(IssueError::Unavailable("the sandbox does not run".into()));
        };
        let mut refused = Vec::new();
        for name in &request.names {
            match self.prove(dns, name, desk).await {
                Ok(()) => {}
                Err(IssueError::Names(names)) => refused.extend(names),
                Err(error) => return Err(error),
            }
        }
        if !refused.is_empty() {
            return Err(IssueError::Names(refused));
        }
        let names: Vec<String> = request
            .names
            .iter()
            .map(|name| name.to_ascii().into_owned())
            .collect();
        self.leaf(&names, &request.key)
            .map_err(|error| IssueError::Refused(error.to_string()))
    }
}

/// Makes root and intermediate.
fn make(dir: &Path) -> Result<(), CaError> {
    let authority =
        |name: &str, days, constraint| -> Result<(CertificateParams, KeyPair), rcgen::Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = DistinguishedName::new();
            params
                .distinguished_name
                .push(DnType::OrganizationName, "Domicile sandbox");
            params.distinguished_name.push(DnType::CommonName, name);
            lifetime(&mut params, days);
            params.is_ca = IsCa::Ca(constraint);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            params.use_authority_key_identifier_extension = true;
            Ok((params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
        };
    let (params, root_key) = authority(
        "Sandbox root (of this demo only)",
        ROOT_DAYS,
        BasicConstraints::Unconstrained,
    )?;
    let root = params.self_signed(&root_key)?;
    let root_issuer = Issuer::new(params, &root_key);
    let (params, key) = authority(
        "Sandbox intermediate",
        INTERMEDIATE_DAYS,
        BasicConstraints::Constrained(0),
    )?;
    let intermediate = params.signed_by(&key, &root_issuer)?;
    for (name, text, mode) in [
        ("root.key", root_key.serialize_pem(), 0o600),
        ("root.pem", root.pem(), 0o644),
        ("intermediate.key", key.serialize_pem(), 0o600),
        ("intermediate.pem", intermediate.pem(), 0o644),
    ] {
        files::replace(&dir.join(name), text.as_bytes(), mode)?;
    }
    Ok(())
}

fn lifetime(params: &mut CertificateParams, days: u64) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(SKEW_SECONDS));
    params.not_after = epoch + Duration::from_secs(now + days * 86_400);
    let mut serial: [u8; 16] = rand::random();
    // Positive and not zero (RFC 5280 4.1.2.2).
    serial[0] = (serial[0] & 0x7f) | 0x01;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
}

/// TXT records of a name through the sandbox's DNS, aliases followed there.
async fn texts(dns: SocketAddr, name: &str) -> std::io::Result<Vec<String>> {
    let fault = |error: hickory_proto::ProtoError| std::io::Error::other(error.to_string());
    let mut question = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(
        Name::from_ascii(name).map_err(fault)?,
        RecordType::TXT,
    ));
    let socket = UdpSocket::bind((if dns.is_ipv4() { "0.0.0.0" } else { "::" }, 0)).await?;
    socket.connect(dns).await?;
    socket.send(&question.to_vec().map_err(fault)?).await?;
    let mut bytes = vec![0; 4096];
    let length = socket.recv(&mut bytes).await?;
    let answer = Message::from_vec(&bytes[..length])
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let texts = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(
                text.txt_data
                    .iter()
                    .map(|part| String::from_utf8_lossy(part))
                    .collect::<String>(),
            ),
            _ => None,
        });
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_server_auth_only_and_chain_to_the_root() {
        use rustls_pki_types::pem::PemObject as _;
        use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

        let dir = tempfile::tempdir().expect("temporary directory");
        let ca = Ca::open(dir.path(), None).expect("made");
        let again = Ca::open(dir.path(), None).expect("opened");
        assert_eq!(ca.intermediate_pem, again.intermediate_pem);
        let issued = again
            .leaf(&["xn--bcher-kva.example".into()], &KeyChoice::New)
            .expect("leaf");
        let chain: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
                .map(|cert| cert.expect("PEM"))
                .collect();
        assert_eq!(chain.len(), 2);
        let root = CertificateDer::from_pem_file(ca.root()).expect("root");
        let anchor = webpki::anchor_from_trusted_cert(&root).expect("anchor");
        let leaf = webpki::EndEntityCert::try_from(&chain[0]).expect("leaf");
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let check = |usage| {
            leaf.verify_for_usage(
                algorithms,
                std::slice::from_ref(&anchor),
                &chain[1..],
                UnixTime::now(),
                usage,
                None,
                None,
            )
            .map(|_| ())
        };
        assert_eq!(check(webpki::KeyUsage::server_auth()), Ok(()));
        assert!(check(webpki::KeyUsage::client_auth()).is_err());
        leaf.verify_is_valid_for_subject_name(
            &ServerName::try_from("xn--bcher-kva.example").expect("name"),
        )
        .expect("the name");

        use std::os::unix::fs::PermissionsExt as _;
        for key in ["root.key", "intermediate.key"] {
            assert_eq!(
                std::fs::metadata(dir.path().join(key))
                    .expect("key")
                    .permissions()
                    .mode()
                    & 0o077,
                0,
                "{key}"
            );
        }
    }
}
