//! Certificates by ACME (RFC 8555) from one authority or several: one order per call, proven by dns-01, http-01 or
//! dns-persist-01; renewal windows (RFC 9773); revocation; the account's key rolled over.
//!
//! The library is instant-acme: the older acme-lib loses one account key in 128 and gives up at the first `badNonce`. The
//! account is made on first use and kept sealed ([`AccountKeep`]); when the authority has forgotten it, it is made anew.
//! Challenges go where control's desk puts them; an order is remembered before it is finalized, so that a crash resumes it.
//!
//! It refuses to finalize an order that is not ready, to wait without end, and to swallow what the authority said: its problem
//! document becomes the text that the domain's owner reads.

mod account;
mod faults;
mod http;
mod order;
mod request;

use std::path::PathBuf;
use std::sync::Arc;

use control::Secret;
use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, Issuer, IssuerInfo, RenewalInfo,
    RevocationReason,
};
use instant_acme::{CertificateIdentifier, Error, RevocationReason as Reason, RevocationRequest};
use parking_lot::RwLock;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::sync::Mutex;
use xmpp::timestamp::Timestamp;

use self::faults::{EXCHANGE, Fault, fault, is, silent};
use self::http::Overheard;

/// Where the authority is and who we are there.
#[derive(Debug, Clone, Default)]
pub struct AcmeSettings {
    /// For people: `Let's Encrypt`.
    pub name: String,
    /// Directory URL.
    pub directory: String,
    /// PEM file with the anchor of the directory's HTTPS certificate; `None`: the system's.
    pub root: Option<PathBuf>,
    /// `mailto:` addresses.
    pub contact: Vec<String>,
    /// The operator agrees to the authority's terms.
    pub terms_agreed: bool,
    /// External account binding (RFC 8555 7.3.4): key id, and the HMAC key in base64url.
    pub external_account: Option<(String, Secret)>,
    /// Names that CAA may hold for this authority.
    pub caa_identities: Vec<String>,
    /// Profile to order by; `None`: the authority's default.
    pub profile: Option<String>,
    /// Chain that is preferred, by a part of the name of its last issuer; `None`: the authority's own choice.
    pub chain: Option<String>,
}

/// Keeps the account between runs; the text holds its private key and must be sealed at rest.
#[async_trait::async_trait]
pub trait AccountKeep: Send + Sync {
    /// The account at this directory, if there is one.
    async fn load(&self, directory: &str) -> Result<Option<Secret>, String>;
    /// Keeps it; durable when this returns.
    async fn save(&self, directory: &str, credentials: &Secret) -> Result<(), String>;
    /// Forgets it.
    async fn forget(&self, directory: &str) -> Result<(), String>;
}

/// What is known of us at an authority.
#[derive(Debug, Clone, Default)]
struct Known {
    account_uri: Option<String>,
    persistent: Vec<String>,
}

/// One authority.
struct Authority {
    settings: AcmeSettings,
    keep: Arc<dyn AccountKeep>,
    account: Mutex<Option<account::Held>>,
    known: RwLock<Known>,
    overheard: Arc<Overheard>,
}

/// The issuer.
pub struct Acme {
    authorities: Vec<Authority>,
}

impl Acme {
    /// With one authority. Nothing is asked of it yet.
    pub fn new(settings: AcmeSettings, keep: Arc<dyn AccountKeep>) -> Self {
        Self::of(vec![settings], keep)
    }

    /// With several, the preferred one first.
    pub fn of(authorities: Vec<AcmeSettings>, keep: Arc<dyn AccountKeep>) -> Self {
        Self {
            authorities: authorities
                .into_iter()
                .map(|settings| Authority {
                    settings,
                    keep: keep.clone(),
                    account: Mutex::new(None),
                    known: RwLock::default(),
                    overheard: Arc::default(),
                })
                .collect(),
        }
    }

    /// Reads what is kept of our accounts, so that CAA and records can name them before the first order of this process.
    pub async fn recall(&self) {
        for authority in &self.authorities {
            authority.recall().await;
        }
    }

    /// The authority of this directory; the preferred one where it is empty.
    fn authority(&self, directory: &str) -> Result<&Authority, IssueError> {
        let found = self
            .authorities
            .iter()
            .find(|authority| directory.is_empty() || authority.settings.directory == directory);
        found.ok_or_else(|| {
            IssueError::Refused(format!(
                "{directory} is not among the configured certificate authorities"
            ))
        })
    }
}

impl Authority {
    fn describe(&self) -> IssuerInfo {
        let known = self.known.read();
        IssuerInfo {
            name: self.settings.name.clone(),
            directory: self.settings.directory.clone(),
            caa_identities: self.settings.caa_identities.clone(),
            account_uri: known.account_uri.clone(),
            persistent: known.persistent.clone(),
        }
    }

    /// Does it, once more with a new account or the account's new key where those have changed meanwhile.
    async fn with_account<T, F: Future<Output = Result<T, Fault>>>(
        &self,
        act: impl Fn() -> F,
    ) -> Result<T, IssueError> {
        for _ in 0..2 {
            match Box::pin(act()).await {
                Ok(done) => return Ok(done),
                Err(Fault::Issue(error)) => return Err(self.waits(error)),
                Err(Fault::AccountGone) => self.forget().await,
                Err(Fault::KeyChanged) => *self.account.lock().await = None,
            }
        }
        Err(IssueError::Refused(
            "the certificate authority does not know the account that it has just made".into(),
        ))
    }

    /// The wait that the authority asked for stands in a header that the library drops.
    fn waits(&self, error: IssueError) -> IssueError {
        match (error, self.overheard.retry_after()) {
            (IssueError::RateLimited { account, .. }, Some(wait_seconds)) => {
                IssueError::RateLimited {
                    wait_seconds,
                    account,
                }
            }
            (error, _) => error,
        }
    }

    async fn renewal(&self, chain_pem: &str) -> Result<Option<RenewalInfo>, Fault> {
        let leaf = leaf_of(chain_pem)
            .ok_or_else(|| IssueError::Refused("the certificate cannot be read".into()))?;
        let Ok(identifier) = CertificateIdentifier::try_from(&leaf) else {
            return Ok(None);
        };
        let account = self.account().await?;
        let asked = tokio::time::timeout(EXCHANGE, account.renewal_info(&identifier))
            .await
            .map_err(|_| silent())?;
        let (info, again) = match asked {
            Ok(said) => said,
            Err(Error::Unsupported(_)) => return Ok(None),
            // Whatever it does not know it cannot announce: another account's, or from before it said anything.
            Err(Error::Api(problem)) if problem.status.is_some_and(|status| status < 500) => {
                return Ok(None);
            }
            Err(error) => return Err(fault(&error, &[])),
        };
        let at = |time: i128| Timestamp(i64::try_from(time / 1000).unwrap_or(i64::MAX));
        let window = info.suggested_window;
        Ok(Some(RenewalInfo {
            start: at(window.start.unix_timestamp_nanos()),
            end: at(window.end.unix_timestamp_nanos()),
            explanation: info.explanation_url,
            ask_again_seconds: u32::try_from(again.as_secs()).unwrap_or(u32::MAX),
        }))
    }

    async fn revoke(&self, chain_pem: &str, reason: RevocationReason) -> Result<(), Fault> {
        let leaf = leaf_of(chain_pem)
            .ok_or_else(|| IssueError::Refused("the certificate cannot be read".into()))?;
        let account = self.account().await?;
        let request = RevocationRequest {
            certificate: &leaf,
            reason: Some(match reason {
                RevocationReason::KeyCompromise => Reason::KeyCompromise,
                RevocationReason::CessationOfOperation => Reason::CessationOfOperation,
            }),
        };
        match tokio::time::timeout(EXCHANGE, account.revoke(&request))
            .await
            .map_err(|_| silent())?
        {
            Ok(()) => Ok(()),
            Err(Error::Api(problem)) if is(&problem, "alreadyRevoked") => Ok(()),
            Err(error) => Err(fault(&error, &[])),
        }
    }
}

/// The leaf of a chain.
fn leaf_of(chain_pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .next()?
        .ok()
}

#[async_trait::async_trait]
impl Issuer for Acme {
    fn describe(&self) -> IssuerInfo {
        self.authorities
            .first()
            .map(Authority::describe)
            .unwrap_or_default()
    }

    fn authorities(&self) -> Vec<IssuerInfo> {
        self.authorities.iter().map(Authority::describe).collect()
    }

    async fn issue(
        &self,
        request: IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        let authority = self.authority(&request.authority)?;
        authority
            .with_account(|| authority.attempt(&request, desk))
            .await
    }

    async fn renewal_info(
        &self,
        directory: &str,
        chain_pem: &str,
    ) -> Result<Option<RenewalInfo>, IssueError> {
        // A certificate from before the authority was kept may be of another: nobody is asked about it.
        if directory.is_empty() {
            return Ok(None);
        }
        let authority = self.authority(directory)?;
        authority
            .with_account(|| authority.renewal(chain_pem))
            .await
    }

    async fn revoke(
        &self,
        directory: &str,
        chain_pem: &str,
        reason: RevocationReason,
    ) -> Result<(), IssueError> {
        let authority = self.authority(directory)?;
        authority
            .with_account(|| authority.revoke(chain_pem, reason))
            .await
    }

    async fn roll_account_key(&self, directory: &str) -> Result<String, IssueError> {
        let authority = self.authority(directory)?;
        authority.with_account(|| authority.roll_key()).await
    }
}
