//! SASL as steps (RFC 6120 6): SCRAM (RFC 5802, 7677), PLAIN (RFC 4616), EXTERNAL (RFC 4422 appendix A), tokens (HT).
//!
//! Why steps: an [`Exchange`] asks for what it cannot do itself (look up a verifier) and is fed the answer; it draws no
//! randomness, the nonce comes in its [`Context`]. It is the same for SASL1 and SASL2. Refuses: to say whether an account
//! exists (SASL-11), to fall back below what was offered (SASL-20).

mod binding;
mod mechanism;
mod rfc5803;
mod scram;
mod token;
mod verifier;

#[cfg(any(test, feature = "test-client"))]
pub mod client;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::binding::{Advertised, ChannelBindings};
pub use self::mechanism::{Mechanism, SaslFailure};
pub use self::rfc5803::VerifierError;
use self::scram::{Binding, ClientFinal, ClientFirst};
pub use self::token::{TOKEN_BYTES, TokenKey, TokenMechanism, TokenProof};
pub use self::verifier::{
    DEFAULT_ITERATIONS, Hash, MAX_PASSWORD_BYTES, PasswordError, SALT_BYTES, ScramVerifier,
};
use crate::jid::{BareJid, DomainName, Jid};

/// Everything an exchange needs from outside.
pub struct Context {
    /// Server part of the SCRAM nonce: printable ASCII without comma, at least 128 bits of randomness.
    pub nonce: String,
    /// Binding data of this connection.
    pub channel_bindings: ChannelBindings,
    /// Whether any -PLUS mechanism was offered on this stream (SASL-20).
    pub plus_offered: bool,
    /// Domain the stream is for; usernames are localparts at it, authzids bare JIDs at it (SASL-12).
    pub domain: DomainName,
    /// Secret from which verifiers of unknown accounts are made (SASL-11).
    pub fake_secret: Vec<u8>,
    /// Identities the TLS certificate proves, for EXTERNAL: bare JIDs on client streams, domains on server streams.
    pub external: Vec<String>,
    /// `Some`: send the downgrade hash (SASL-29).
    pub advertised: Option<Advertised>,
}

/// Server side of one SASL exchange. After [`Step::Success`] or [`Step::Failure`] it is over; feeding it more fails.
pub struct Exchange {
    state: State,
    context: Context,
}

enum State {
    /// No initial response came with `<auth/>`.
    AwaitInitial(Mechanism),
    PlainLookup {
        account: Account,
        password: Zeroizing<String>,
    },
    ScramLookup {
        hash: Hash,
        account: Account,
        first: Box<ClientFirst>,
        binding_input: Vec<u8>,
    },
    AwaitFinal(Box<Proving>),
    Over,
}

/// Waiting for the client's proof.
struct Proving {
    account: Account,
    verifier: ScramVerifier,
    nonce: String,
    binding_input: Vec<u8>,
    /// client-first-message-bare and server-first-message with their commas.
    auth_message_start: String,
}

struct Account {
    /// Enforced where possible; what cannot be enforced names no account.
    username: String,
    authzid: Option<String>,
}

/// What the caller must do next. All data is raw: base64 is [`encode`] and [`decode`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send `<challenge/>`, feed the answer to [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Look up the account's verifier, feed it to [`Exchange::supply`].
    NeedVerifier {
        /// Localpart, enforced where that is possible; otherwise as sent, and then there is no such account.
        username: String,
        /// Which verifier; `None` (PLAIN): any, best SHA-256, because the fake for an unknown account costs that much.
        hash: Option<Hash>,
    },
    /// Send `<success/>`.
    Success {
        /// Localpart of the account (SCRAM, PLAIN), or the proven identity (EXTERNAL): a bare JID or a domain.
        username: String,
        /// Authorization identity as sent, checked to be the same account.
        authzid: Option<String>,
        /// Data to put into `<success/>`.
        data: Option<Vec<u8>>,
    },
    /// Send `<failure/>`.
    Failure(SaslFailure),
}

impl Exchange {
    /// Begins; `initial` is the decoded initial response, `None` when there was none (SASL-06).
    pub fn start(mechanism: Mechanism, initial: Option<Vec<u8>>, context: Context) -> (Self, Step) {
        let mut exchange = Self {
            state: State::AwaitInitial(mechanism),
            context,
        };
        let step = match initial {
            Some(data) => exchange.respond(data),
            None => Step::Challenge(Vec::new()),
        };
        (exchange, step)
    }

    /// Feeds the decoded `<response/>`.
    pub fn respond(&mut self, data: Vec<u8>) -> Step {
        let data = Zeroizing::new(data);
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitInitial(Mechanism::External) => self.external(&data),
            State::AwaitInitial(Mechanism::Plain) => self.plain(&data),
            State::AwaitInitial(Mechanism::Scram { hash, plus }) => {
                self.scram_first(hash, plus, &data)
            }
            State::AwaitFinal(proving) => proving.finish(&data),
            State::PlainLookup { .. } | State::ScramLookup { .. } | State::Over => {
                Err(SaslFailure::MalformedRequest)
            }
        };
        step.unwrap_or_else(Step::Failure)
    }

    /// Answers [`Step::NeedVerifier`]; `None` when there is no such account, or it has no verifier of that kind. The
    /// exchange then goes on with a fake and fails at the end like a wrong password.
    pub fn supply(&mut self, verifier: Option<ScramVerifier>) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::PlainLookup { account, password } => {
                let verifier = verifier.unwrap_or_else(|| self.fake(Hash::Sha256, &account));
                if verifier.verify_plain(&password) {
                    account.success(None)
                } else {
                    Step::Failure(SaslFailure::NotAuthorized)
                }
            }
            State::ScramLookup {
                hash,
                account,
                first,
                binding_input,
            } => {
                let verifier = verifier
                    .filter(|v| v.hash == hash)
                    .unwrap_or_else(|| self.fake(hash, &account));
                let nonce = format!("{}{}", first.nonce, self.context.nonce);
                let downgrade = self
                    .context
                    .advertised
                    .as_ref()
                    .map(|a| hash.digest(a.text().as_bytes()));
                let server_first = scram::server_first(
                    &nonce,
                    &verifier.salt,
                    verifier.iterations,
                    downgrade.as_deref(),
                );
                let auth_message_start = format!("{},{server_first},", first.bare);
                self.state = State::AwaitFinal(Box::new(Proving {
                    account,
                    verifier,
                    nonce,
                    binding_input,
                    auth_message_start,
                }));
                Step::Challenge(server_first.into_bytes())
            }
            State::AwaitInitial(_) | State::AwaitFinal(_) | State::Over => {
                Step::Failure(SaslFailure::TemporaryAuthFailure)
            }
        }
    }

    /// SASL-44, SASL-46.
    fn external(&self, data: &[u8]) -> Result<Step, SaslFailure> {
        let authzid = std::str::from_utf8(data).map_err(|_| SaslFailure::MalformedRequest)?;
        let identity = match (&self.context.external[..], authzid) {
            ([], _) => return Err(SaslFailure::NotAuthorized),
            ([only], "") => only,
            (_, "") => return Err(SaslFailure::InvalidAuthzid),
            (proven, wanted) => {
                let wanted = Jid::parse(wanted).map_err(|_| SaslFailure::InvalidAuthzid)?;
                proven
                    .iter()
                    .find(|p| wanted == p.as_str())
                    .ok_or(SaslFailure::InvalidAuthzid)?
            }
        };
        Ok(Step::Success {
            username: identity.clone(),
            authzid: Some(authzid.to_owned()).filter(|a| !a.is_empty()),
            data: None,
        })
    }

    fn plain(&mut self, data: &[u8]) -> Result<Step, SaslFailure> {
        const BAD: SaslFailure = SaslFailure::MalformedRequest;
        let message = std::str::from_utf8(data).map_err(|_| BAD)?;
        let mut parts = message.split('\0');
        let (Some(authzid), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BAD);
        };
        if name.is_empty() || password.is_empty() {
            return Err(BAD);
        }
        let account = self.account(name, Some(authzid).filter(|a| !a.is_empty()))?;
        let step = Step::NeedVerifier {
            username: account.username.clone(),
            hash: None,
        };
        self.state = State::PlainLookup {
            account,
            password: Zeroizing::new(password.to_owned()),
        };
        Ok(step)
    }

    fn scram_first(&mut self, hash: Hash, plus: bool, data: &[u8]) -> Result<Step, SaslFailure> {
        let first = ClientFirst::parse(data)?;
        match (&first.binding, plus) {
            (Binding::Used(_), true) | (Binding::Unsupported, false) => {}
            // The client saw no -PLUS although we offered it: somebody took it out of the list (SASL-20).
            (Binding::ServerCannot, false) if !self.context.plus_offered => {}
            (Binding::ServerCannot, false) => return Err(SaslFailure::NotAuthorized),
            _ => return Err(SaslFailure::MalformedRequest),
        }
        let binding_input = first
            .binding_input(&self.context.channel_bindings)
            .ok_or(SaslFailure::NotAuthorized)?;
        let account = self.account(&first.username, first.authzid.as_deref())?;
        let step = Step::NeedVerifier {
            username: account.username.clone(),
            hash: Some(hash),
        };
        self.state = State::ScramLookup {
            hash,
            account,
            first: Box::new(first),
            binding_input,
        };
        Ok(step)
    }

    /// The account a username names, and that an authzid names the same one (SASL-12).
    fn account(&self, username: &str, authzid: Option<&str>) -> Result<Account, SaslFailure> {
        let bare = BareJid::new(Some(username), &self.context.domain).ok();
        if let Some(authzid) = authzid {
            let wanted = BareJid::parse(authzid).map_err(|_| SaslFailure::InvalidAuthzid)?;
            if bare.as_ref() != Some(&wanted) {
                return Err(SaslFailure::InvalidAuthzid);
            }
        }
        let username = bare
            .as_ref()
            .and_then(BareJid::local)
            .unwrap_or(username)
            .to_owned();
        Ok(Account {
            username,
            authzid: authzid.map(str::to_owned),
        })
    }

    fn fake(&self, hash: Hash, account: &Account) -> ScramVerifier {
        let bare = format!("{}@{}", account.username, self.context.domain);
        ScramVerifier::fake(hash, &self.context.fake_secret, &bare)
    }
}

impl Proving {
    /// SASL-18: nonce, binding and proof, each of which must be right.
    fn finish(self, data: &[u8]) -> Result<Step, SaslFailure> {
        let message = ClientFinal::parse(data)?;
        let hash = self.verifier.hash;
        if message.nonce != self.nonce || message.binding_input != self.binding_input {
            return Err(SaslFailure::NotAuthorized);
        }
        let auth_message: [&[u8]; 2] = [
            self.auth_message_start.as_bytes(),
            message.without_proof.as_bytes(),
        ];
        let signature = hash.hmac(&self.verifier.stored_key, &auth_message);
        if message.proof.len() != signature.len() {
            return Err(SaslFailure::NotAuthorized);
        }
        let client_key: Zeroizing<Vec<u8>> = Zeroizing::new(
            message
                .proof
                .iter()
                .zip(signature.iter())
                .map(|(p, s)| p ^ s)
                .collect(),
        );
        if !bool::from(hash.digest(&client_key).ct_eq(&self.verifier.stored_key)) {
            return Err(SaslFailure::NotAuthorized);
        }
        let server_signature = hash.hmac(&self.verifier.server_key, &auth_message);
        Ok(self
            .account
            .success(Some(scram::server_final(&server_signature))))
    }
}

impl Account {
    fn success(self, data: Option<Vec<u8>>) -> Step {
        Step::Success {
            username: self.username,
            authzid: self.authzid,
            data,
        }
    }
}

/// Character data of `<auth/>`, `<challenge/>`, `<response/>`, `<success/>`: base64, `=` for present but empty (SASL-06).
pub fn encode(data: &[u8]) -> String {
    if data.is_empty() {
        "=".to_owned()
    } else {
        STANDARD.encode(data)
    }
}

/// Reverse of [`encode`], strict: no white space, no stray or missing padding (SASL-04). `Ok(None)` for no character data
/// at all. In `<response/>` that means an empty response; in `<auth/>` it means no initial response.
pub fn decode(text: &str) -> Result<Option<Vec<u8>>, SaslFailure> {
    match text {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        _ => STANDARD
            .decode(text)
            .map(Some)
            .map_err(|_| SaslFailure::IncorrectEncoding),
    }
}
