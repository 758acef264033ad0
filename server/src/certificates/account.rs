//! Our account at an authority: made on first use, kept sealed, its contact brought up to date, its key rolled over.
//!
//! A new key is kept *before* the authority hears of it (RFC 8555 7.3.5): a crash in between loses neither key, and the next use
//! finds out which of them holds. That is why the roll-over is made here and not by the library, which makes the key only then.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use control::Secret;
use control::outside::IssueError;
use hyper::{Method, Request};
use instant_acme::{
    Account, AccountBuilder, AccountCredentials, BodyWrapper, Error, ExternalAccountKey,
    HttpClient as _, Key, NewAccount, Problem,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Authority;
use super::faults::{EXCHANGE, Fault, causes, fault, silent, within};
use super::http::Client;

/// Attempts with a nonce that the authority refuses.
const NONCES: usize = 4;

/// What is kept of an account, as JSON; sealed at rest. The library's own members stand beside ours.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The library's: `id`, `key_pkcs8`, `directory`.
    #[serde(flatten)]
    credentials: serde_json::Map<String, Value>,
    /// A key that the authority is being told of, PKCS#8 in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_key: Option<String>,
    /// The contact that the authority knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<Vec<String>>,
    /// Issuer names of dns-persist-01, as last offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) persistent: Vec<String>,
}

impl Kept {
    pub(super) fn read(text: &Secret) -> Result<Self, Fault> {
        serde_json::from_str(text.expose()).map_err(|_| {
            IssueError::Refused(
                "the kept account is damaged: remove it, and a new one is made".into(),
            )
            .into()
        })
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.credentials.get("id")?.as_str()
    }

    fn of(credentials: &AccountCredentials) -> Result<Self, Fault> {
        let text = serde_json::to_value(credentials).map_err(|error| refused(&error))?;
        serde_json::from_value(text).map_err(|error| refused(&error))
    }

    fn credentials(&self) -> Result<AccountCredentials, Fault> {
        serde_json::from_value(Value::Object(self.credentials.clone()))
            .map_err(|_| IssueError::Refused("the kept account is damaged".into()).into())
    }

    fn key(&self) -> Option<Vec<u8>> {
        BASE64
            .decode(self.credentials.get("key_pkcs8")?.as_str()?)
            .ok()
    }

    fn text(&self) -> Result<Secret, Fault> {
        Ok(Secret::from(
            serde_json::to_string(self).map_err(|error| refused(&error))?,
        ))
    }
}

fn refused(error: &dyn std::error::Error) -> Fault {
    IssueError::Refused(error.to_string()).into()
}

/// The account in use, with the text that it was made from.
pub(super) struct Held {
    text: Secret,
    account: Account,
}

impl Authority {
    /// The account, as kept; made where there is none. What another process has changed is seen here.
    pub(super) async fn account(&self) -> Result<Account, Fault> {
        let mut held = self.account.lock().await;
        let Some(text) = self.load().await? else {
            let account = self.register().await?;
            *held = None;
            return Ok(account);
        };
        if let Some(held) = &*held
            && held.text == text
        {
            return Ok(held.account.clone());
        }
        let mut kept = Kept::read(&text)?;
        self.remember(&kept);
        let account = match kept.next_key.clone() {
            // A roll-over broke off: the authority knows which key holds.
            Some(next) => self.settle_key(&mut kept, &next).await?,
            None => within(self.builder()?.from_credentials(kept.credentials()?)).await?,
        };
        self.keep_contact(&account, &mut kept).await?;
        *held = Some(Held {
            text: kept.text()?,
            account: account.clone(),
        });
        Ok(account)
    }

    /// What is kept of the account, without asking anybody else.
    pub(super) async fn recall(&self) {
        match self.load().await {
            Ok(Some(text)) => {
                if let Ok(kept) = Kept::read(&text) {
                    self.remember(&kept);
                }
            }
            Ok(None) => {}
            Err(fault) => tracing::warn!(
                ?fault,
                "the account at a certificate authority cannot be read"
            ),
        }
    }

    fn remember(&self, kept: &Kept) {
        let mut known = self.known.write();
        known.account_uri = kept.id().map(str::to_owned);
        known.persistent.clone_from(&kept.persistent);
    }

    /// Keeps what was seen to be offered, so that the owners' records say so on every node.
    pub(super) async fn keep_offers(&self) {
        let persistent = self.overheard.persistent();
        if self.known.read().persistent == persistent {
            return;
        }
        let kept = async {
            if let Some(text) = self.load().await? {
                let mut kept = Kept::read(&text)?;
                kept.persistent.clone_from(&persistent);
                self.save(&kept).await?;
                self.remember(&kept);
            }
            Ok::<_, Fault>(())
        };
        if let Err(fault) = kept.await {
            tracing::warn!(?fault, "what a certificate authority offers cannot be kept");
        }
    }

    async fn load(&self) -> Result<Option<Secret>, Fault> {
        let kept = self.keep.load(&self.settings.directory).await;
        kept.map_err(|error| {
            IssueError::Unavailable(format!("the account cannot be read: {error}")).into()
        })
    }

    async fn save(&self, kept: &Kept) -> Result<(), Fault> {
        let saved = self
            .keep
            .save(&self.settings.directory, &kept.text()?)
            .await;
        saved.map_err(|error| {
            IssueError::Unavailable(format!("the account cannot be kept: {error}")).into()
        })
    }

    fn client(&self) -> Result<Client, Fault> {
        Client::new(self.settings.root.as_deref(), self.overheard.clone()).map_err(|error| {
            IssueError::Unavailable(format!(
                "the trust anchor of the directory cannot be used: {}",
                causes(&error)
            ))
            .into()
        })
    }

    fn builder(&self) -> Result<AccountBuilder, Fault> {
        Ok(Account::builder_with_http(Box::new(self.client()?)))
    }

    async fn register(&self) -> Result<Account, Fault> {
        let settings = &self.settings;
        if !settings.terms_agreed {
            return Err(IssueError::Refused("the operator has not agreed to the terms of the certificate authority (acme.terms_agreed)".into()).into());
        }
        let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let external = match &settings.external_account {
            None => None,
            Some((id, key)) => {
                let key = BASE64
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
            settings.directory.clone(),
            external.as_ref(),
        ))
        .await?;
        let mut kept = Kept::of(&credentials)?;
        kept.contact = Some(settings.contact.clone());
        self.save(&kept).await?;
        self.remember(&kept);
        tracing::info!(directory = %settings.directory, account = account.id(), "registered with the certificate authority");
        Ok(account)
    }

    /// The configured contact is told where it is another than the authority knows (RFC 8555 7.3.2).
    async fn keep_contact(&self, account: &Account, kept: &mut Kept) -> Result<(), Fault> {
        if kept.contact.as_ref() == Some(&self.settings.contact) {
            return Ok(());
        }
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        // An order does not fail for this.
        match within(account.update_contacts(&contact)).await {
            Ok(()) => {
                kept.contact = Some(self.settings.contact.clone());
                self.save(kept).await
            }
            Err(Fault::Issue(error)) => {
                tracing::warn!(%error, "the contact at the certificate authority could not be changed");
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    pub(super) async fn forget(&self) {
        *self.account.lock().await = None;
        if let Err(error) = self.keep.forget(&self.settings.directory).await {
            tracing::warn!(
                error,
                "an account that the certificate authority has lost cannot be forgotten"
            );
        }
    }

    /// Gives the account another key. Returns its URI, which stays.
    pub(super) async fn roll_key(&self) -> Result<String, Fault> {
        self.account().await?;
        let mut held = self.account.lock().await;
        let text = self.load().await?.ok_or(Fault::AccountGone)?;
        let mut kept = Kept::read(&text)?;
        let (id, old) = match (kept.id(), kept.key()) {
            (Some(id), Some(key)) => (id.to_owned(), key),
            _ => return Err(IssueError::Refused("the kept account is damaged".into()).into()),
        };
        let (_, new) = Key::generate_pkcs8().map_err(|error| fault(&error, &[]))?;
        let new = new.secret_pkcs8_der().to_vec();
        kept.next_key = Some(BASE64.encode(&new));
        self.save(&kept).await?;
        *held = None;
        match self.change_key(&id, &old, &new).await {
            Ok(()) => {
                kept.adopt();
                self.save(&kept).await?;
                tracing::info!(account = id, "the account has another key");
                Ok(id)
            }
            // It was told no: the old key holds. Anything else is found out on the next use.
            Err(error @ Fault::Issue(IssueError::Refused(_))) => {
                kept.next_key = None;
                self.save(&kept).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the authority which of two keys is the account's, and keeps that one.
    async fn settle_key(&self, kept: &mut Kept, next: &str) -> Result<Account, Fault> {
        let pkcs8 = BASE64
            .decode(next)
            .map_err(|_| IssueError::Refused("the kept account is damaged".into()))?;
        let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8);
        let key = Key::from_pkcs8_der(pkcs8.clone_key()).map_err(|error| fault(&error, &[]))?;
        let asked = self
            .builder()?
            .from_key((key, pkcs8.into()), self.settings.directory.clone());
        match within(asked).await {
            Ok((account, _)) if Some(account.id()) == kept.id() => {
                kept.adopt();
                self.save(kept).await?;
                Ok(account)
            }
            Ok(_) | Err(Fault::AccountGone) => {
                kept.next_key = None;
                self.save(kept).await?;
                within(self.builder()?.from_credentials(kept.credentials()?)).await
            }
            Err(fault) => Err(fault),
        }
    }

    async fn change_key(&self, id: &str, old: &[u8], new: &[u8]) -> Result<(), Fault> {
        let resource = |name: &str| {
            self.overheard.resource(name).ok_or_else(|| {
                IssueError::Refused(format!("the certificate authority has no {name}"))
            })
        };
        let (url, new_nonce) = (resource("keyChange")?, resource("newNonce")?);
        let (old, new) = (Signer::new(old)?, Signer::new(new)?);
        let inner = new.sign(
            &json!({"alg": "ES256", "jwk": new.jwk(), "url": url}),
            &json!({"account": id, "oldKey": old.jwk()}),
        )?;
        let client = self.client()?;
        let mut nonce = None;
        for _ in 0..NONCES {
            let fresh = match nonce.take() {
                Some(nonce) => nonce,
                None => {
                    let answer = exchange(&client, Method::HEAD, &new_nonce, Vec::new()).await?;
                    answer
                        .1
                        .ok_or_else(|| IssueError::Unavailable("it gives no nonce".into()))?
                }
            };
            let outer = old.sign(
                &json!({"alg": "ES256", "kid": id, "nonce": fresh, "url": url}),
                &inner,
            )?;
            let body = serde_json::to_vec(&outer).map_err(|error| refused(&error))?;
            let (problem, next, _) = exchange(&client, Method::POST, &url, body).await?;
            match problem {
                None => return Ok(()),
                Some(problem)
                    if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce") =>
                {
                    nonce = next;
                }
                Some(problem) => return Err(fault(&Error::Api(problem), &[])),
            }
        }
        Err(IssueError::Unavailable("it refuses its own nonces".into()).into())
    }
}

impl Kept {
    /// The key that the authority was told of is the key.
    fn adopt(&mut self) {
        if let Some(next) = self.next_key.take() {
            self.credentials.insert("key_pkcs8".into(), next.into());
        }
    }
}

/// One exchange: the problem if it was one, the next nonce, the body.
async fn exchange(
    client: &Client,
    method: Method,
    url: &str,
    body: Vec<u8>,
) -> Result<(Option<Problem>, Option<String>, Bytes), Fault> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/jose+json")
        .header(
            "user-agent",
            concat!("domicile/", env!("CARGO_PKG_VERSION")),
        )
        .body(BodyWrapper::from(body))
        .map_err(|error| refused(&error))?;
    let mut answer = tokio::time::timeout(EXCHANGE, client.request(request))
        .await
        .map_err(|_| silent())?
        .map_err(|error| fault(&error, &[]))?;
    let body = answer
        .body
        .into_bytes()
        .await
        .map_err(|error| fault(&Error::Other(error), &[]))?;
    let nonce = answer
        .parts
        .headers
        .get("replay-nonce")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    if answer.parts.status.is_success() {
        return Ok((None, nonce, body));
    }
    let problem = serde_json::from_slice(&body).map_err(|_| {
        IssueError::Unavailable(format!("it answers {}", answer.parts.status.as_u16()))
    })?;
    Ok((Some(problem), nonce, body))
}

/// A key that signs flattened JWS (RFC 7515) with ES256.
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new(pkcs8: &[u8]) -> Result<Self, Fault> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map(Self)
            .map_err(|_| IssueError::Refused("the account's key cannot be used".into()).into())
    }

    fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.0.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(32);
        json!({"crv": "P-256", "kty": "EC", "x": BASE64.encode(x), "y": BASE64.encode(y)})
    }

    fn sign(&self, protected: &Value, payload: &Value) -> Result<Value, Fault> {
        let (protected, payload) = (
            BASE64.encode(protected.to_string()),
            BASE64.encode(payload.to_string()),
        );
        let signature = self
            .0
            .sign(
                &SystemRandom::new(),
                format!("{protected}.{payload}").as_bytes(),
            )
            .map_err(|_| IssueError::Refused("the account's key does not sign".into()))?;
        Ok(json!({
            "protected": protected,
            "payload": payload,
            "signature": BASE64.encode(signature.as_ref()),
        }))
    }
}
