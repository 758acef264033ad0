//! Passkeys (WebAuthn): a key in a phone, a computer or a stick that signs its owner in, alone or beside a password.
//!
//! Alone it counts as two factors, for it is had and unlocked; beside a password, touching it is enough. A challenge is good
//! once and for some minutes, and a signature for the panel's own address only, so that nobody can be led to give it to another
//! site. Refuses: authenticators whose count goes backwards (copies), and panels at addresses where browsers know no passkeys.

mod verify;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use store::{OperatorId, PasskeyRow, StoreError};
use xmpp::timestamp::Timestamp;

use self::verify::{ALGORITHMS, Flaw, Said, Site};
use crate::error::{ControlError, Result};
use crate::operator::{LoggedIn, Origin, hash_of, short_text};
use crate::permission::Operation;
use crate::secret::Secret;
use crate::time::plus;
use crate::token::BY_TOKEN;
use crate::{Actor, Control, password, rate};

/// Passkeys of one person.
const MOST: usize = 20;
/// Bytes of a challenge (WebAuthn 13.4.3 asks for 16).
const CHALLENGE: usize = 32;
/// How long a challenge waits for its signature.
const CHALLENGE_SECONDS: i64 = 300;

/// A passkey, for the list of one's own.
#[derive(Debug, Clone, Serialize)]
pub struct PasskeyView {
    /// Id.
    pub id: i64,
    /// As its owner calls it.
    pub name: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// When it was last used.
    #[serde(serialize_with = "crate::time::maybe")]
    pub used: Option<Timestamp>,
}

/// What a browser needs to make a passkey (WebAuthn 5.4). Bytes are base64url.
#[derive(Debug, Clone, Serialize)]
pub struct PasskeyCreation {
    /// To be signed.
    pub challenge: String,
    /// The panel, by its host name.
    pub rp_id: String,
    /// What the service calls itself.
    pub rp_name: String,
    /// The person, by a number that says nothing about them.
    pub user: String,
    /// The person, as authenticators show them.
    pub login: String,
    /// Algorithms that are taken (COSE), the best first.
    pub algorithms: [i64; 3],
    /// Credentials that they have: no authenticator makes a second one.
    pub known: Vec<String>,
}

/// What a browser needs to use one (WebAuthn 5.5). Bytes are base64url.
#[derive(Debug, Clone, Serialize)]
pub struct PasskeyRequest {
    /// To be signed.
    pub challenge: String,
    /// The panel, by its host name.
    pub rp_id: String,
    /// Credentials that will do; none: any that the authenticator has for this panel.
    pub allow: Vec<String>,
    /// The authenticator asks for a finger, a face or a PIN.
    pub verify: bool,
}

/// A passkey that a browser has had made. Bytes are base64url.
#[derive(Debug, Clone, Deserialize)]
pub struct PasskeyNew {
    /// As its owner calls it.
    pub name: String,
    /// `clientDataJSON`
    pub client_data: String,
    /// `getAuthenticatorData()`
    pub authenticator_data: String,
    /// `getPublicKey()`
    pub public_key: String,
    /// `getPublicKeyAlgorithm()`
    pub algorithm: i64,
}

/// A passkey that was used. Bytes are base64url.
#[derive(Debug, Clone, Deserialize)]
pub struct PasskeyShown {
    /// Which one: `rawId`.
    pub credential: String,
    /// `clientDataJSON`
    pub client_data: String,
    /// `authenticatorData`
    pub authenticator_data: String,
    /// `signature`
    pub signature: String,
}

impl Control {
    /// Can there be passkeys at the panel's address?
    pub fn has_passkeys(&self) -> bool {
        Site::of(&self.settings().panel).is_some()
    }

    fn site(&self) -> Result<Site> {
        Site::of(&self.settings().panel).ok_or_else(|| ControlError::State {
            name: self.settings().panel.clone(),
            state: "without a name or TLS".into(),
            problem: "browsers know passkeys of named sites with TLS only".into(),
            remedy: "Open the panel at a name, over HTTPS (panel.url).".into(),
        })
    }

    /// The actor's own passkeys, oldest first.
    pub async fn passkey_list(&self, actor: &Actor) -> Result<Vec<PasskeyView>> {
        let operator = self.own(actor, Operation::PasskeyList)?;
        let rows = self.store().passkey_list(operator).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// Whose passkeys are changed: a person's who has signed in. A token is refused, as a passkey would outlive it.
    fn in_person(&self, actor: &Actor, operation: Operation) -> Result<OperatorId> {
        let operator = self.own(actor, operation)?;
        if &*actor.via == BY_TOKEN {
            return Err(ControlError::Scope { operation });
        }
        Ok(operator)
    }

    /// What the actor's browser needs to make one, against their password: whoever finds an open browser makes none.
    pub async fn passkey_begin(&self, actor: &Actor, password: &Secret) -> Result<PasskeyCreation> {
        let operator = self.in_person(actor, Operation::PasskeyAdd)?;
        let site = self.site()?;
        self.password_shown(actor, operator, "password", password)
            .await?;
        let known = self.store().passkey_list(operator).await?;
        if known.len() >= MOST {
            return Err(ControlError::Limit {
                what: "passkeys",
                used: known.len() as u64,
                limit: MOST as u64,
            });
        }
        Ok(PasskeyCreation {
            challenge: self.challenge(Some(operator)).await?,
            rp_id: site.rp_id,
            rp_name: self.settings().name.clone(),
            user: BASE64URL_NOPAD.encode(&operator.0.to_be_bytes()),
            login: actor.login().to_owned(),
            algorithms: ALGORITHMS,
            known: known.iter().map(name_of).collect(),
        })
    }

    /// Keeps what the browser has had made; the challenge that it signs stands for the password.
    pub async fn passkey_add(&self, actor: &Actor, new: PasskeyNew) -> Result<PasskeyView> {
        let operator = self.in_person(actor, Operation::PasskeyAdd)?;
        let site = self.site()?;
        let name = short_text("name", &new.name)?;
        let made = read_new(&new, &site).map_err(unbelieved)?;
        let of = self.challenge_taken(&made.challenge).await?;
        if of != Some(operator) {
            return Err(unbelieved(Flaw::Elsewhere));
        }
        let mut row = PasskeyRow {
            id: 0,
            operator,
            credential: made.credential,
            public_key: made.public_key,
            algorithm: new.algorithm,
            counter: made.counter,
            name,
            created: self.now(),
            used: None,
        };
        let recorded = self.recorded_own(actor, Operation::PasskeyAdd, &row.name);
        row.id = match recorded.passkey_add(&row).await {
            Ok(id) => id,
            Err(StoreError::Conflict { .. }) => return Err(unbelieved(Flaw::Elsewhere)),
            Err(error) => return Err(error.into()),
        };
        Ok(view(row))
    }

    /// Takes one of the actor's own away, against their password.
    pub async fn passkey_remove(&self, actor: &Actor, id: i64, password: &Secret) -> Result<()> {
        let operator = self.in_person(actor, Operation::PasskeyRemove)?;
        self.password_shown(actor, operator, "password", password)
            .await?;
        let recorded = self.recorded_own(actor, Operation::PasskeyRemove, &id.to_string());
        if !recorded.passkey_remove(operator, id).await? {
            return Err(ControlError::not_found("passkey", id));
        }
        Ok(())
    }

    /// What a browser needs to sign somebody in: whoever has a passkey of this panel, or whose password was right just now
    /// (`pending`, of [`ControlError::SecondFactor`]).
    pub async fn passkey_ask(
        &self,
        pending: Option<&str>,
        origin: &Origin,
    ) -> Result<PasskeyRequest> {
        let site = self.site()?;
        self.gate_from(rate::LOGIN_ADDRESS, origin)?;
        let (operator, allow) = match pending {
            None => (None, Vec::new()),
            Some(pending) => {
                let operator = self.half_of(pending).await?;
                let known = self.store().passkey_list(operator).await?;
                (Some(operator), known.iter().map(name_of).collect())
            }
        };
        Ok(PasskeyRequest {
            challenge: self.challenge(operator).await?,
            rp_id: site.rp_id,
            allow,
            verify: pending.is_none(),
        })
    }

    /// Signs in with a passkey: alone, or as the second half where the password was right (`pending`).
    ///
    /// # Errors
    /// [`ControlError::Invalid`] where it is not believed, [`ControlError::NotSignedIn`] where the half of a login is over.
    pub async fn passkey_login(
        &self,
        shown: &PasskeyShown,
        pending: Option<&str>,
        origin: &Origin,
    ) -> Result<LoggedIn> {
        let site = self.site()?;
        let half = match pending {
            Some(pending) => Some(self.half_of(pending).await?),
            None => None,
        };
        let read = Assertion::read(shown, &site, half.is_none()).map_err(unbelieved)?;
        if self.challenge_taken(&read.challenge).await? != half {
            return Err(unbelieved(Flaw::Elsewhere));
        }
        let row = self.store().passkey_find(&read.credential).await?;
        let row = row.filter(|row| half.is_none_or(|operator| operator == row.operator));
        let row = row.ok_or_else(|| unbelieved(Flaw::Elsewhere))?;
        read.check(&row).map_err(unbelieved)?;
        let now = self.now();
        let counter = read.said.counter;
        if !self
            .store()
            .passkey_used(row.id, row.counter, counter, now)
            .await?
        {
            return Err(unbelieved(Flaw::Signature));
        }
        let ended = || ControlError::NotSignedIn { what: "this login" };
        if let Some(pending) = pending
            && !self.store().half_login_take(&hash_of(pending)).await?
        {
            return Err(ended());
        }
        let person = self.store().operator_get(row.operator).await?;
        self.login_make(&person.ok_or_else(ended)?, origin).await
    }

    /// Whose password was right.
    async fn half_of(&self, pending: &str) -> Result<OperatorId> {
        let found = self
            .store()
            .half_login_find(&hash_of(pending), self.now())
            .await?;
        found.ok_or(ControlError::NotSignedIn { what: "this login" })
    }

    async fn challenge(&self, operator: Option<OperatorId>) -> Result<String> {
        let challenge = BASE64URL_NOPAD.encode(&password::bytes(CHALLENGE));
        let now = self.now();
        let expires = plus(now, CHALLENGE_SECONDS);
        self.store()
            .passkey_challenge_add(&hash_of(&challenge), operator, now, expires)
            .await?;
        Ok(challenge)
    }

    async fn challenge_taken(&self, challenge: &str) -> Result<Option<OperatorId>> {
        let taken = self
            .store()
            .passkey_challenge_take(&hash_of(challenge), self.now())
            .await?;
        taken.ok_or_else(|| unbelieved(Flaw::Elsewhere))
    }
}

/// A new passkey, read.
struct Made {
    challenge: String,
    credential: Vec<u8>,
    public_key: Vec<u8>,
    counter: u32,
}

fn read_new(new: &PasskeyNew, site: &Site) -> std::result::Result<Made, Flaw> {
    let client_data = verify::bytes(&new.client_data)?;
    let challenge = verify::challenge_of(&client_data, "webauthn.create", site)?;
    // It may be asked to sign alone, so it must be one that can be unlocked.
    let said = Said::read(&verify::bytes(&new.authenticator_data)?, site, true)?;
    let public_key = verify::bytes(&new.public_key)?;
    verify::key_of(new.algorithm, &public_key)?;
    Ok(Made {
        challenge,
        credential: said.credential.ok_or(Flaw::Unreadable)?,
        public_key,
        counter: said.counter,
    })
}

/// A use of a passkey, read.
struct Assertion {
    challenge: String,
    credential: Vec<u8>,
    said: Said,
    client_data: Vec<u8>,
    authenticator_data: Vec<u8>,
    signature: Vec<u8>,
}

impl Assertion {
    fn read(shown: &PasskeyShown, site: &Site, verified: bool) -> std::result::Result<Self, Flaw> {
        let client_data = verify::bytes(&shown.client_data)?;
        let authenticator_data = verify::bytes(&shown.authenticator_data)?;
        Ok(Self {
            challenge: verify::challenge_of(&client_data, "webauthn.get", site)?,
            credential: verify::bytes(&shown.credential)?,
            said: Said::read(&authenticator_data, site, verified)?,
            client_data,
            authenticator_data,
            signature: verify::bytes(&shown.signature)?,
        })
    }

    fn check(&self, row: &PasskeyRow) -> std::result::Result<(), Flaw> {
        let key = verify::key_of(row.algorithm, &row.public_key)?;
        verify::check_signature(
            &key,
            &self.authenticator_data,
            &self.client_data,
            &self.signature,
        )?;
        // WebAuthn 6.1.1: one that counts never counts backwards; a copy of it does.
        let counts = row.counter > 0 || self.said.counter > 0;
        if counts && self.said.counter <= row.counter {
            tracing::warn!(
                passkey = row.id,
                operator = row.operator.0,
                "a passkey counts backwards: there may be a copy of it"
            );
            return Err(Flaw::Signature);
        }
        Ok(())
    }
}

fn unbelieved(flaw: Flaw) -> ControlError {
    tracing::info!(%flaw, "a passkey is not believed");
    ControlError::invalid(
        "passkey",
        "",
        "this passkey opens nothing here",
        "Try again, or sign in with your password.",
    )
}

fn name_of(row: &PasskeyRow) -> String {
    BASE64URL_NOPAD.encode(&row.credential)
}

fn view(row: PasskeyRow) -> PasskeyView {
    PasskeyView {
        id: row.id,
        name: row.name,
        created: row.created,
        used: row.used,
    }
}

#[cfg(test)]
pub(crate) use self::verify::tests as software;
