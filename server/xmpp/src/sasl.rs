//! SASL as steps: SCRAM, PLAIN, EXTERNAL.

use zeroize::Zeroizing;

use crate::jid::DomainName;

/// Iterations for new verifiers and for fakes.
pub const DEFAULT_ITERATIONS: u32 = 10_000;

/// Hash function of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// SCRAM-SHA-1 (RFC 5802)
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677)
    Sha256,
    /// SCRAM-SHA-512
    Sha512,
}

impl Hash {
    /// All of them, weakest first.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];
    /// `SHA-1`, `SHA-256`, `SHA-512`: also what the store writes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
        }
    }
    /// By name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.name() == name)
    }
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Proof by the TLS certificate (RFC 4422 appendix A).
    External,
    /// SCRAM; `plus` with channel binding.
    Scram {
        /// Hash function.
        hash: Hash,
        /// -PLUS variant.
        plus: bool,
    },
    /// RFC 4616.
    Plain,
}

impl Mechanism {
    /// In order of preference, EXTERNAL first, PLAIN last (SASL-02, SASL-03).
    pub const PREFERENCE: [Self; 8] = [
        Self::External,
        Self::Scram {
            hash: Hash::Sha512,
            plus: true,
        },
        Self::Scram {
            hash: Hash::Sha256,
            plus: true,
        },
        Self::Scram {
            hash: Hash::Sha1,
            plus: true,
        },
        Self::Scram {
            hash: Hash::Sha512,
            plus: false,
        },
        Self::Scram {
            hash: Hash::Sha256,
            plus: false,
        },
        Self::Scram {
            hash: Hash::Sha1,
            plus: false,
        },
        Self::Plain,
    ];
    /// Registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "EXTERNAL",
            Self::Scram {
                hash: Hash::Sha1,
                plus: false,
            } => "SCRAM-SHA-1",
            Self::Scram {
                hash: Hash::Sha1,
                plus: true,
            } => "SCRAM-SHA-1-PLUS",
            Self::Scram {
                hash: Hash::Sha256,
                plus: false,
            } => "SCRAM-SHA-256",
            Self::Scram {
                hash: Hash::Sha256,
                plus: true,
            } => "SCRAM-SHA-256-PLUS",
            Self::Scram {
                hash: Hash::Sha512,
                plus: false,
            } => "SCRAM-SHA-512",
            Self::Scram {
                hash: Hash::Sha512,
                plus: true,
            } => "SCRAM-SHA-512-PLUS",
            Self::Plain => "PLAIN",
        }
    }
    /// By registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|m| m.name() == name)
    }
}

/// SASL failure conditions (RFC 6120 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslFailure {
    /// 6.5.1
    Aborted,
    /// 6.5.2
    AccountDisabled,
    /// 6.5.3
    CredentialsExpired,
    /// 6.5.4
    EncryptionRequired,
    /// 6.5.5
    IncorrectEncoding,
    /// 6.5.6
    InvalidAuthzid,
    /// 6.5.7
    InvalidMechanism,
    /// 6.5.8
    MalformedRequest,
    /// 6.5.9
    MechanismTooWeak,
    /// 6.5.10
    NotAuthorized,
    /// 6.5.11
    TemporaryAuthFailure,
}

impl SaslFailure {
    /// Element name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::CredentialsExpired => "credentials-expired",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::NotAuthorized => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

/// What a server keeps to check a password (RFC 5802 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    /// Hash function.
    pub hash: Hash,
    /// Salt, 16 random bytes.
    pub salt: Vec<u8>,
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: Vec<u8>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Vec<u8>,
}

impl std::fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramVerifier")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

/// Why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Empty, or characters outside OpaqueString (RFC 8265 4.2).
    #[error("the password is empty or holds control characters")]
    Disallowed,
}

impl ScramVerifier {
    /// Derives from a password, enforcing OpaqueString. Costs PBKDF2: about 1 ms at 10,000 iterations.
    pub fn derive(
        _hash: Hash,
        _password: &str,
        _salt: &[u8],
        _iterations: u32,
    ) -> Result<Self, PasswordError> {
        todo!()
    }
    /// Verifier of an account that does not exist: the same salt every time, and no password fits (SASL-11).
    pub fn fake(_hash: Hash, _server_secret: &[u8], _bare: &str) -> Self {
        todo!()
    }
    /// Whether the password is the one (PLAIN, password change). Same cost as `derive`.
    pub fn verify_plain(&self, _password: &str) -> bool {
        todo!()
    }
}

/// Channel-binding data of the TLS connection.
#[derive(Clone, Default)]
pub struct ChannelBindings {
    /// RFC 9266; `None` below TLS 1.3 without extended master secret.
    pub exporter: Option<[u8; 32]>,
    /// RFC 5929 4.1.
    pub end_point: Option<Vec<u8>>,
}

/// Everything an exchange needs from outside.
pub struct Context {
    /// Server part of the SCRAM nonce: printable ASCII without comma, at least 128 bits of randomness.
    pub nonce: String,
    /// Binding data of this connection.
    pub channel_bindings: ChannelBindings,
    /// Whether any -PLUS mechanism was offered on this stream (SASL-20).
    pub plus_offered: bool,
    /// Domain the stream is for; usernames are localparts at it, authzids bare JIDs at it.
    pub domain: DomainName,
    /// Secret from which verifiers of unknown accounts are made (SASL-11).
    pub fake_secret: Vec<u8>,
    /// Identities the TLS certificate proves, for EXTERNAL: bare JIDs on client streams, domains on server streams.
    pub external: Vec<String>,
}

/// Server side of one SASL exchange.
pub struct Exchange {}

/// What the caller must do next. All data is raw: base64 is [`encode`]/[`decode`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send `<challenge/>`, feed the answer to [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Look up the account's verifier, feed it to [`Exchange::supply`].
    NeedVerifier {
        /// Localpart, enforced where that is possible.
        username: String,
        /// Which verifier; `None`: any (PLAIN).
        hash: Option<Hash>,
    },
    /// Send `<success/>`.
    Success {
        /// Localpart of the account (SCRAM, PLAIN), or the proven identity (EXTERNAL).
        username: String,
        /// Authorization identity as sent, already checked to be the same account.
        authzid: Option<String>,
        /// Data to put into `<success/>`.
        data: Option<Vec<u8>>,
    },
    /// Send `<failure/>`.
    Failure(SaslFailure),
}

impl Exchange {
    /// Begins; `initial` is the decoded initial response, `None` when there was none (SASL-06).
    pub fn start(
        _mechanism: Mechanism,
        _initial: Option<Vec<u8>>,
        _context: Context,
    ) -> (Self, Step) {
        todo!()
    }
    /// Feeds the decoded `<response/>`.
    pub fn respond(&mut self, _data: Vec<u8>) -> Step {
        todo!()
    }
    /// Answers [`Step::NeedVerifier`]; `None` when there is no such account.
    pub fn supply(&mut self, _verifier: Option<ScramVerifier>) -> Step {
        todo!()
    }
}

/// Character data of `<auth/>`, `<challenge/>`, `<response/>`, `<success/>`: base64, `=` for present but empty.
pub fn encode(_data: &[u8]) -> String {
    todo!()
}

/// Reverse of [`encode`], strict (SASL-04). `Ok(None)` for no character data at all.
pub fn decode(_text: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SaslFailure> {
    todo!()
}
