//! Names of mechanisms and of failures.
//!
//! Why apart: features, configuration and logs name them without running an exchange.

use super::Hash;

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

    /// Whether it may be offered without TLS: only plain SCRAM (SASL-02, SASL-15).
    pub fn needs_tls(self) -> bool {
        !matches!(self, Self::Scram { plus: false, .. })
    }
}

/// SASL failure conditions (RFC 6120 6.5, SASL-09).
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
