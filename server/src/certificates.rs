//! Certificates by ACME (RFC 8555) with the dns-01 challenge, one order per call.
//!
//! The library is instant-acme: the older acme-lib loses one account key in 128 and gives up at the first `badNonce`. The
//! account is made on first use and kept sealed ([`AccountKeep`]); when the CA has forgotten it, it is made anew. Challenges
//! go where control's desk puts them; an order is remembered before it is finalized, so that a crash resumes it.
//!
//! It refuses to finalize an order that is not ready, to wait without end, and to swallow what the CA said: its problem
//! document becomes the text that the domain's owner reads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use control::Secret;
use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, Issuer, IssuerInfo, KeyChoice, NameRefused,
    PendingOrder,
};
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, AuthorizationStatus, ChallengeType, Error,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use tokio::sync::Mutex;
use xmpp::jid::DomainName;

/// One exchange with the CA takes no longer than this.
const EXCHANGE: Duration = Duration::from_secs(30);
/// The CA may take this long to look at the challenges, and again to sign.
const PATIENCE: Duration = Duration::from_secs(120);
/// Wait after a `rateLimited` without further word (RFC 8555 6.6), in seconds.
const RATE_LIMIT_SECONDS: u64 = 3600;
/// Prefix of the problem types of RFC 8555 6.7.
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// Where the CA is and who we are there.
#[derive(Debug, Clone)]
pub struct AcmeSettings {
    /// For people: `Let's Encrypt`.
    pub name: String,
    /// Directory URL.
    pub directory: String,
    /// PEM file with the anchor of the directory's HTTPS certificate; `None`: the system's.
    pub root: Option<PathBuf>,
    /// `mailto:` addresses.
    pub contact: Vec<String>,
    /// The operator agrees to the CA's terms.
    pub terms_agreed: bool,
    /// External account binding (RFC 8555 7.3.4): key id, and the HMAC key in base64url.
    pub external_account: Option<(String, Secret)>,
    /// Names that CAA may hold for this CA.
    pub caa_identities: Vec<String>,
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

/// The issuer.
pub struct Acme {
    settings: AcmeSettings,
    keep: Arc<dyn AccountKeep>,
    account: Mutex<Option<Account>>,
    uri: std::sync::OnceLock<String>,
}

/// How an attempt failed: for good, or because the CA does not know our account.
enum Fault {
    Issue(IssueError),
    AccountGone,
}

impl From<IssueError> for Fault {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

impl Acme {
    /// Nothing is asked of the CA yet.
    pub fn new(settings: AcmeSettings, keep: Arc<dyn AccountKeep>) -> Self {
        Self {
            settings,
            keep,
            account: Mutex::new(None),
            uri: std::sync::OnceLock::new(),
        }
    }

    /// The account, from memory, from its keep, or made.
    async fn account(&self) -> Result<Account, Fault> {
        let mut held = self.account.lock().await;
        if let Some(account) = &*held {
            return Ok(account.clone());
        }
        let unavailable =
            |what: &str, error: String| IssueError::Unavailable(format!("{what}: {error}"));
        let kept = self
            .keep
            .load(&self.settings.directory)
            .await
            .map_err(|error| unavailable("the account cannot be read", error))?;
        let account = match kept {
            Some(text) => {
                let credentials: AccountCredentials =
                    serde_json::from_str(text.expose()).map_err(|_| {
                        IssueError::Refused(
                            "the kept account is damaged: remove it, and a new one is made".into(),
                        )
                    })?;
                within(self.builder()?.from_credentials(credentials)).await?
            }
            None => self.register().await?,
        };
        // The first account's URI is the one that CAA records were asked for.
        let _ = self.uri.set(account.id().to_owned());
        *held = Some(account.clone());
        Ok(account)
    }

    fn builder(&self) -> Result<AccountBuilder, Fault> {
        match &self.settings.root {
            Some(path) => Account::builder_with_root(path),
            None => Account::builder(),
        }
        .map_err(|error| {
            IssueError::Unavailable(format!(
                "the trust anchor of the directory cannot be used: {}",
                chain(&error)
            ))
            .into()
        })
    }

    async fn register(&self) -> Result<Account, Fault> {
        if !self.settings.terms_agreed {
            return Err(IssueError::Refused("the operator has not agreed to the terms of the certificate authority (acme.terms_agreed)".into()).into());
        }
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = match &self.settings.external_account {
            None => None,
            Some((id, key)) => {
                let key = base64::engine::general_purpose::URL_SAFE_NO_PAD
                    .decode(key.expose().trim_end_matches('='))
                    .map_err(|_| {
                        IssueError::Refused(
                            "the key of the external account (acme.eab_key) is not base64url"
                                .into(),
                        )
                    })?;
                Some(ExternalAccountKey::new(id.clone(), &key))
            }
        };
        let (account, credentials) = within(self.builder()?.create(
            &new,
            self.settings.directory.clone(),
            external.as_ref(),
        ))
        .await?;
        let text = serde_json::to_string(&credentials)
            .map_err(|error| IssueError::Refused(error.to_string()))?;
        self.keep
            .save(&self.settings.directory, &Secret::from(text))
            .await
            .map_err(|error| {
                IssueError::Unavailable(format!("the account cannot be kept: {error}"))
            })?;
        tracing::info!(directory = %self.settings.directory, account = account.id(), "registered with the certificate authority");
        Ok(account)
    }

    async fn forget(&self) {
        *self.account.lock().await = None;
        if let Err(error) = self.keep.forget(&self.settings.directory).await {
            tracing::warn!(
                error,
                "an account that the certificate authority has lost cannot be forgotten"
            );
        }
    }

    async fn attempt(
        &self,
        request: &IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, Fault> {
        let account = self.account().await?;
        if let Some(pending) = &request.resume
            && let Some(issued) = self.resume(&account, pending).await?
        {
            return Ok(issued);
        }
        let identifiers: Vec<Identifier> = request
            .names
            .iter()
            .map(|name| Identifier::Dns(name.to_ascii().into_owned()))
            .collect();
        let mut order = within_for(
            &request.names,
            account.new_order(&NewOrder::new(&identifiers)),
        )
        .await?;
        let mut shown = Vec::new();
        let proved = self.prove(&mut order, request, desk, &mut shown).await;
        for (name, value) in &shown {
            desk.withdraw(name, value).await;
        }
        proved?;

        let (key_pem, csr_der) = request_for(request)?;
        desk.remember(PendingOrder {
            url: order.url().to_owned(),
            key_pem: key_pem.clone(),
            csr_der: csr_der.clone(),
        })
        .await?;
        within_for(&request.names, order.finalize_csr(&csr_der)).await?;
        let chain_pem = within_patience(&request.names, order.poll_certificate(&policy())).await?;
        Ok(Issued { chain_pem, key_pem })
    }

    /// Shows every challenge, has the CA look, and waits until the order is ready.
    async fn prove(
        &self,
        order: &mut Order,
        request: &IssueRequest,
        desk: &dyn ChallengeSolver,
        shown: &mut Vec<(DomainName, String)>,
    ) -> Result<(), Fault> {
        let names = &request.names;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = tokio::time::timeout(EXCHANGE, authorizations.next())
            .await
            .map_err(|_| silent())?
        {
            let mut authorization = authorization.map_err(|error| fault(&error, names))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(name) = name_of(names, authorization.identifier().identifier) else {
                return Err(IssueError::Refused(
                    "the certificate authority wants a name proven that was not asked for".into(),
                )
                .into());
            };
            let Some(challenge) = authorization.challenge(ChallengeType::Dns01) else {
                return Err(IssueError::Refused(format!(
                    "{name}: the certificate authority does not offer the challenge dns-01"
                ))
                .into());
            };
            let value = challenge.key_authorization().dns_value();
            shown.push((name.clone(), value.clone()));
            desk.present(&name, &value).await?;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = tokio::time::timeout(EXCHANGE, authorizations.next())
            .await
            .map_err(|_| silent())?
        {
            let mut authorization = authorization.map_err(|error| fault(&error, names))?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01)
            {
                within_for(names, challenge.set_ready()).await?;
            }
        }
        match tokio::time::timeout(PATIENCE + EXCHANGE, order.poll_ready(&policy()))
            .await
            .map_err(|_| silent())?
        {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(_) => Err(IssueError::Names(self.refusals(order, names, None).await).into()),
            Err(Error::Api(problem)) => {
                Err(IssueError::Names(self.refusals(order, names, Some(&problem)).await).into())
            }
            Err(error) => Err(fault(&error, names)),
        }
    }

    /// What the CA found at each name.
    async fn refusals(
        &self,
        order: &mut Order,
        names: &[DomainName],
        whole: Option<&Problem>,
    ) -> Vec<NameRefused> {
        let mut refused = Vec::new();
        // The authorizations must be read again: what we hold is from before the CA looked.
        if let Ok(Ok(_)) = tokio::time::timeout(EXCHANGE, order.refresh()).await {
            let mut authorizations = order.authorizations();
            while let Ok(Some(Ok(authorization))) =
                tokio::time::timeout(EXCHANGE, authorizations.next()).await
            {
                let Some(name) = name_of(names, authorization.identifier().identifier) else {
                    continue;
                };
                let why = authorization
                    .challenges
                    .iter()
                    .find_map(|challenge| challenge.error.as_ref())
                    .map(words);
                if let Some(why) = why.or_else(|| {
                    (authorization.status == AuthorizationStatus::Invalid)
                        .then(|| "the certificate authority did not say why".into())
                }) {
                    refused.push(NameRefused { name, why });
                }
            }
        }
        if refused.is_empty() {
            let why =
                whole.map_or_else(|| "the certificate authority did not say why".into(), words);
            refused.extend(names.iter().map(|name| NameRefused {
                name: name.clone(),
                why: why.clone(),
            }));
        }
        refused
    }

    /// Goes on with an order from before a crash; `None` if the CA has dropped it or nothing was proven yet.
    async fn resume(
        &self,
        account: &Account,
        pending: &PendingOrder,
    ) -> Result<Option<Issued>, Fault> {
        let mut order = match tokio::time::timeout(EXCHANGE, account.order(pending.url.clone()))
            .await
            .map_err(|_| silent())?
        {
            Ok(order) => order,
            Err(Error::Api(problem)) if is(&problem, "accountDoesNotExist") => {
                return Err(Fault::AccountGone);
            }
            Err(Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => {
                return Ok(None);
            }
            // COMPAT: Pebble says "404" to an unknown order without a problem document.
            Err(Error::Json(_)) => return Ok(None),
            Err(error) => return Err(fault(&error, &[])),
        };
        match order.state().status {
            OrderStatus::Pending | OrderStatus::Invalid => return Ok(None),
            OrderStatus::Ready => within(order.finalize_csr(&pending.csr_der)).await?,
            OrderStatus::Processing | OrderStatus::Valid => {}
        }
        let chain_pem = within_patience(&[], order.poll_certificate(&policy())).await?;
        tracing::info!(order = pending.url, "resumed an order");
        Ok(Some(Issued {
            chain_pem,
            key_pem: pending.key_pem.clone(),
        }))
    }
}

#[async_trait::async_trait]
impl Issuer for Acme {
    fn describe(&self) -> IssuerInfo {
        IssuerInfo {
            name: self.settings.name.clone(),
            caa_identities: self.settings.caa_identities.clone(),
            account_uri: self.uri.get().cloned(),
        }
    }

    async fn issue(
        &self,
        request: IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        for _ in 0..2 {
            match Box::pin(self.attempt(&request, desk)).await {
                Ok(issued) => return Ok(issued),
                Err(Fault::Issue(error)) => return Err(error),
                Err(Fault::AccountGone) => self.forget().await,
            }
        }
        Err(IssueError::Refused(
            "the certificate authority does not know the account that it has just made".into(),
        ))
    }
}

/// Longest common name, in characters (RFC 5280 A.1, ub-common-name).
const COMMON_NAME: usize = 64;

/// Key and CSR, DER, for the names of a request.
fn request_for(request: &IssueRequest) -> Result<(Secret, Vec<u8>), IssueError> {
    let fault = |error: rcgen::Error| {
        IssueError::Refused(format!(
            "the request for a certificate cannot be made: {error}"
        ))
    };
    let key = match &request.key {
        KeyChoice::New => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?,
        KeyChoice::Keep(pem) => KeyPair::from_pem(pem.expose()).map_err(fault)?,
    };
    let names: Vec<String> = request
        .names
        .iter()
        .map(|name| name.to_ascii().into_owned())
        .collect();
    let mut subject = DistinguishedName::new();
    // CERT-01. Authorities that give no subject (C-07) leave it out again.
    if let Some(name) = names.iter().find(|name| name.len() <= COMMON_NAME) {
        subject.push(DnType::CommonName, name.as_str());
    }
    let mut params = CertificateParams::new(names).map_err(fault)?;
    params.distinguished_name = subject;
    let csr = params.serialize_request(&key).map_err(fault)?;
    let pem = match &request.key {
        KeyChoice::New => Secret::from(key.serialize_pem()),
        KeyChoice::Keep(pem) => pem.clone(),
    };
    Ok((pem, csr.der().to_vec()))
}

fn policy() -> RetryPolicy {
    RetryPolicy::new()
        .initial_delay(Duration::from_millis(250))
        .backoff(1.5)
        .timeout(PATIENCE)
}

fn name_of(names: &[DomainName], identifier: &Identifier) -> Option<DomainName> {
    let Identifier::Dns(ascii) = identifier else {
        return None;
    };
    names
        .iter()
        .find(|name| name.to_ascii().eq_ignore_ascii_case(ascii))
        .cloned()
}

async fn within<T>(exchange: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
    within_for(&[], exchange).await
}

async fn within_for<T>(
    names: &[DomainName],
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    tokio::time::timeout(EXCHANGE, exchange)
        .await
        .map_err(|_| silent())?
        .map_err(|error| fault(&error, names))
}

async fn within_patience<T>(
    names: &[DomainName],
    polling: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    tokio::time::timeout(PATIENCE + EXCHANGE, polling)
        .await
        .map_err(|_| silent())?
        .map_err(|error| fault(&error, names))
}

fn silent() -> Fault {
    Fault::Issue(IssueError::Unavailable("it does not answer in time".into()))
}

/// Whose fault it is and what to say.
fn fault(error: &Error, names: &[DomainName]) -> Fault {
    let issue = match error {
        Error::Api(problem) if is(problem, "accountDoesNotExist") => return Fault::AccountGone,
        Error::Api(problem) if is(problem, "rateLimited") => {
            tracing::warn!(
                problem = words(problem),
                "the certificate authority asks us to wait"
            );
            IssueError::RateLimited {
                wait_seconds: RATE_LIMIT_SECONDS,
            }
        }
        Error::Api(problem)
            if is(problem, "serverInternal")
                || problem.status.is_some_and(|status| status >= 500) =>
        {
            IssueError::Unavailable(words(problem))
        }
        Error::Api(problem) => {
            let refused: Vec<NameRefused> = problem
                .subproblems
                .iter()
                .filter_map(|sub| {
                    let name = name_of(names, sub.identifier.as_ref()?)?;
                    let why = sub
                        .detail
                        .clone()
                        .or_else(|| sub.r#type.clone())
                        .unwrap_or_default();
                    Some(NameRefused { name, why })
                })
                .collect();
            match names {
                _ if !refused.is_empty() => IssueError::Names(refused),
                // With one name in the order there is no doubt which one is meant.
                [name]
                    if [
                        "rejectedIdentifier",
                        "unsupportedIdentifier",
                        "caa",
                        "dns",
                        "unauthorized",
                    ]
                    .iter()
                    .any(|kind| is(problem, kind)) =>
                {
                    IssueError::Names(vec![NameRefused {
                        name: name.clone(),
                        why: words(problem),
                    }])
                }
                _ => IssueError::Refused(words(problem)),
            }
        }
        Error::Timeout(_) => IssueError::Unavailable("it takes longer than two minutes".into()),
        Error::Crypto | Error::KeyRejected => {
            IssueError::Refused(format!("our account key cannot be used: {error}"))
        }
        Error::Unsupported(_) => IssueError::Refused(error.to_string()),
        other => IssueError::Unavailable(chain(other)),
    };
    Fault::Issue(issue)
}

fn is(problem: &Problem, kind: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .and_then(|given| given.strip_prefix(PROBLEM))
        .is_some_and(|given| given == kind)
}

/// A problem document as a sentence.
fn words(problem: &Problem) -> String {
    let kind = problem
        .r#type
        .as_deref()
        .map(|kind| kind.strip_prefix(PROBLEM).unwrap_or(kind));
    let mut text = problem.detail.clone().unwrap_or_default();
    match kind {
        Some(kind) if text.is_empty() => text.push_str(kind),
        Some(kind) => text.push_str(&format!(" ({kind})")),
        None if text.is_empty() => text.push_str("no reason given"),
        None => {}
    }
    for sub in &problem.subproblems {
        text.push_str(&format!("; {sub}"));
    }
    text
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Error {
        Error::Api(serde_json::from_str(json).expect("problem document"))
    }

    fn said(json: &str) -> IssueError {
        let names =
            ["one.example", "two.example"].map(|name| DomainName::parse(name).expect("name"));
        match fault(&problem(json), &names) {
            Fault::Issue(error) => error,
            Fault::AccountGone => panic!("the account is not at fault"),
        }
    }

    #[test]
    fn the_problem_document_becomes_the_owners_text() {
        let error = said(
            r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"policy","status":403,"subproblems":[
                {"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"on a list","identifier":{"type":"dns","value":"two.example"}}]}"#,
        );
        assert_eq!(
            error,
            IssueError::Names(vec![NameRefused {
                name: DomainName::parse("two.example").expect("name"),
                why: "on a list".into()
            }])
        );
        let error = said(
            r#"{"type":"urn:ietf:params:acme:error:badCSR","detail":"the key is weak","status":400}"#,
        );
        assert_eq!(
            error.to_string(),
            "the certificate authority refused: the key is weak (badCSR)"
        );
    }

    #[test]
    fn acme_04_a_rate_limit_is_a_wait_and_a_server_error_is_unknown() {
        assert!(
            matches!(said(r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down","status":429}"#), IssueError::RateLimited { wait_seconds } if wait_seconds > 0)
        );
        assert!(matches!(
            said(r#"{"type":"urn:ietf:params:acme:error:serverInternal","status":500}"#),
            IssueError::Unavailable(_)
        ));
        assert!(
            matches!(said(r#"{"detail":"gateway","status":502}"#), IssueError::Unavailable(text) if text == "gateway")
        );
    }

    #[test]
    fn a_lost_account_is_made_anew() {
        assert!(matches!(
            fault(
                &problem(
                    r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist","status":400}"#
                ),
                &[]
            ),
            Fault::AccountGone
        ));
    }

    #[test]
    fn acme_12_a_renewal_keeps_the_key() {
        let name = DomainName::parse("bücher.example").expect("name");
        let request = |key| IssueRequest {
            domain_id: 1,
            domain: name.clone(),
            names: vec![name.clone()],
            key,
            resume: None,
        };
        let (key, csr) = request_for(&request(KeyChoice::New)).expect("first");
        let (again, csr_again) =
            request_for(&request(KeyChoice::Keep(key.clone()))).expect("renewal");
        assert_eq!(key, again);
        for csr in [csr, csr_again] {
            let ascii = b"xn--bcher-kva.example";
            assert!(
                csr.windows(ascii.len()).any(|part| part == ascii),
                "A-labels in the CSR"
            );
        }
    }

    #[test]
    fn cert_01_a_certificate_is_asked_for_with_a_subject_where_a_name_fits() {
        use x509_parser::prelude::{FromDer as _, X509CertificationRequest};
        let long = format!("{}.example", ["a".repeat(30), "b".repeat(30)].join("."));
        for (names, subject) in [
            (vec!["b\u{fc}cher.example"], "CN=xn--bcher-kva.example"),
            (vec![long.as_str()], ""),
            (vec![long.as_str(), "chat.example"], "CN=chat.example"),
        ] {
            let names: Vec<_> = names
                .into_iter()
                .map(|name| DomainName::parse(name).expect("name"))
                .collect();
            let request = IssueRequest {
                domain_id: 1,
                domain: names[0].clone(),
                names,
                key: KeyChoice::New,
                resume: None,
            };
            let (_, csr) = request_for(&request).expect("a request");
            let (_, csr) = X509CertificationRequest::from_der(&csr).expect("readable");
            let asked = &csr.certification_request_info;
            assert_eq!(asked.subject.to_string(), subject);
            let mut extensions = csr.requested_extensions().expect("extensions");
            assert!(
                !extensions.any(|extension| matches!(
                    extension,
                    x509_parser::extensions::ParsedExtension::BasicConstraints(constraints) if constraints.ca
                )),
                "no authority's"
            );
        }
    }
}
