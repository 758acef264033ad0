//! What can go wrong in an operation, in words for the person who asked for it.
//!
//! Every variant names the thing, the value and the remedy, and maps to one HTTP status and one exit code, so panel, JSON
//! API and CLI say the same. The text of an error is safe to show: causes from below (SQL, sockets, a CA's raw answer) stay
//! in `source()` for the log. What belongs to another tenant is [`ControlError::NotFound`], never "forbidden": an answer
//! must not tell whether the object exists.

use std::fmt;

use crate::permission::{Operation, Role};

/// Result of every operation.
pub type Result<T, E = ControlError> = std::result::Result<T, E>;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No such object within what the actor may see.
    #[error("there is no {what} \"{name}\" here")]
    NotFound {
        /// Noun of the house: `tenant`, `domain`, `account`, …
        what: &'static str,
        /// As asked for.
        name: String,
    },
    /// The actor's role does not include the operation, on an object of their own tenant.
    #[error("your role \"{role}\" does not include \"{operation}\"")]
    Forbidden {
        /// What was tried.
        operation: Operation,
        /// As whom.
        role: Role,
    },
    /// The API token was not made for this, on an object that its owner may reach.
    #[error("this API token does not include \"{operation}\"")]
    Scope {
        /// What was tried.
        operation: Operation,
    },
    /// The password was right; the person has a second factor, and its code was not given.
    #[error("the password is right, and a code of your second factor is wanted too")]
    SecondFactor {
        /// For the second half of signing in, for a few minutes.
        pending: crate::secret::Secret,
    },
    /// Whoever asks must set up a second factor before they may do anything else.
    #[error("your team signs in with a second factor, and yours is not set up yet")]
    FactorWanted,
    /// Whoever asks looks at a customer as its owner does, and may change nothing while that lasts.
    #[error("you look at this customer as its owner, read only, so \"{operation}\" is not done")]
    Viewing {
        /// What was tried.
        operation: Operation,
    },
    /// Login or password wrong. The same text, cost and time for an unknown login (harvesting).
    #[error("this e-mail address and password do not fit together")]
    LoginRefused,
    /// The cookie, token or setup token is not (or no longer) valid.
    #[error("{what} is not valid or has expired")]
    NotSignedIn {
        /// `this login`, `this API token`, `the setup token`, `this invitation`.
        what: &'static str,
    },
    /// Too many attempts; nothing was checked.
    #[error("too many attempts: wait {wait_seconds} seconds")]
    TooMany {
        /// Seconds until the next attempt is looked at.
        wait_seconds: u64,
    },
    /// A field of the request cannot be used.
    #[error("{field}: {problem}")]
    Invalid {
        /// Name of the field, as in the JSON body and the form.
        field: &'static str,
        /// The value as given; empty for secrets.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What to do instead.
        remedy: String,
    },
    /// The name is taken.
    #[error("{what} \"{name}\" is already here")]
    Exists {
        /// Noun of the house.
        what: &'static str,
        /// The name.
        name: String,
        /// What to do instead.
        remedy: String,
    },
    /// The object's state does not allow the operation now.
    #[error("{name} is {state}: {problem}")]
    State {
        /// The object.
        name: String,
        /// Its state in words.
        state: String,
        /// Why that is in the way.
        problem: String,
        /// What to do first.
        remedy: String,
    },
    /// Somebody has changed the object since it was read; nothing was changed.
    #[error("the {what} \"{name}\" has been changed since you read it")]
    Stale {
        /// Noun of the house.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A limit of the plan is reached.
    #[error("{what}: {used} of {limit} are in use")]
    Limit {
        /// `domains`, `accounts`.
        what: &'static str,
        /// In use now.
        used: u64,
        /// Allowed.
        limit: u64,
    },
    /// The storage, resolver, CA or zone cannot be reached now; nothing was changed, trying again is right.
    #[error("{what} cannot be reached at the moment")]
    Unavailable {
        /// `the database`, `the certificate authority`, …
        what: &'static str,
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Our own fault.
    #[error("something went wrong on our side; nothing was changed")]
    Internal {
        /// The cause, for the log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ControlError {
    /// Stable code for JSON, metrics and tests.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not-found",
            Self::Forbidden { .. } => "forbidden",
            Self::Scope { .. } => "token-scope",
            Self::SecondFactor { .. } => "second-factor",
            Self::FactorWanted => "second-factor-wanted",
            Self::Viewing { .. } => "viewing",
            Self::LoginRefused => "login-refused",
            Self::NotSignedIn { .. } => "not-signed-in",
            Self::TooMany { .. } => "too-many",
            Self::Invalid { .. } => "invalid",
            Self::Exists { .. } => "exists",
            Self::State { .. } => "wrong-state",
            Self::Stale { .. } => "stale",
            Self::Limit { .. } => "limit",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal { .. } => "internal",
        }
    }

    /// HTTP status of the JSON API and the panel.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::NotFound { .. } => 404,
            Self::Forbidden { .. }
            | Self::Scope { .. }
            | Self::FactorWanted
            | Self::Viewing { .. } => 403,
            Self::LoginRefused | Self::SecondFactor { .. } | Self::NotSignedIn { .. } => 401,
            Self::TooMany { .. } => 429,
            Self::Invalid { .. } => 422,
            Self::Exists { .. } | Self::State { .. } => 409,
            Self::Stale { .. } => 412,
            Self::Limit { .. } => 403,
            Self::Unavailable { .. } => 503,
            Self::Internal { .. } => 500,
        }
    }

    /// Exit code of the CLI: 2 asked wrongly, 3 not there, 4 not allowed, 5 in the way, 6 try again, 70 our fault.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid { .. } => 2,
            Self::NotFound { .. } => 3,
            Self::Forbidden { .. }
            | Self::Scope { .. }
            | Self::LoginRefused
            | Self::SecondFactor { .. }
            | Self::FactorWanted
            | Self::Viewing { .. }
            | Self::NotSignedIn { .. } => 4,
            Self::Exists { .. } | Self::State { .. } | Self::Stale { .. } | Self::Limit { .. } => 5,
            Self::TooMany { .. } | Self::Unavailable { .. } => 6,
            Self::Internal { .. } => 70,
        }
    }

    /// What to do, one sentence in the second person; empty when there is nothing to do but read the text.
    pub fn remedy(&self) -> String {
        match self {
            Self::NotFound { what, .. } => format!("Check the spelling, or list what is there: a {what} of somebody else is not shown."),
            Self::Forbidden { .. } => "Ask an owner of this customer to do it or to change your role.".into(),
            Self::Scope { operation: Operation::PasskeyAdd | Operation::PasskeyRemove } => "Sign in to the panel: a passkey is a person's, and no token makes or removes one.".into(),
            Self::Scope { operation } => format!("Use a token whose domains and operations include \"{operation}\"; you make one in the panel."),
            Self::SecondFactor { .. } => "Send the six digits that your app shows now, or a recovery code, along with the password.".into(),
            Self::Viewing { .. } => "End it first, at the top of every page; then you are yourself again.".into(),
            Self::FactorWanted => "Set it up under \"Your login\" in the panel.".into(),
            Self::LoginRefused => "Check both for typing errors, and the keyboard for capitals.".into(),
            Self::NotSignedIn { what: "this invitation" } => "Ask whoever invited you for another one.".into(),
            Self::NotSignedIn { .. } => "Sign in again.".into(),
            Self::TooMany { wait_seconds } => format!("Wait {wait_seconds} seconds, then try once more."),
            Self::Invalid { remedy, .. } | Self::Exists { remedy, .. } | Self::State { remedy, .. } => remedy.clone(),
            Self::Stale { .. } => "Look at it as it is now, and make your change again.".into(),
            Self::Limit { what, .. } => format!("Remove {what} that you no longer need, or ask the operator of this service for a larger plan."),
            Self::Unavailable { .. } => "Try again in a minute; if it stays like this, tell the operator of this service.".into(),
            Self::Internal { .. } => "Try again; if it happens again, tell the operator of this service at what time it did.".into(),
        }
    }

    /// The form or JSON field at fault, if one is.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            _ => None,
        }
    }

    /// Seconds for a `Retry-After` header.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooMany { wait_seconds } => Some(*wait_seconds),
            Self::Unavailable { .. } => Some(30),
            _ => None,
        }
    }

    /// The JSON body of the API and of `--json`: `{"error":{"code","message","remedy","field"}}`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({"error": {"code": self.code(), "message": self.to_string(), "remedy": self.remedy(), "field": self.field()}})
    }

    /// The whole chain of causes on one line, for the log only.
    pub fn log_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    pub(crate) fn not_found(what: &'static str, name: impl fmt::Display) -> Self {
        Self::NotFound {
            what,
            name: name.to_string(),
        }
    }

    pub(crate) fn invalid(
        field: &'static str,
        value: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Invalid {
            field,
            value: value.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn stale(what: &'static str, name: &str) -> Self {
        Self::Stale {
            what,
            name: name.to_owned(),
        }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal {
            source: source.into(),
        }
    }
}

/// Storage that is busy, full or gone is worth another try; anything else is our fault.
impl From<store::StoreError> for ControlError {
    fn from(error: store::StoreError) -> Self {
        match error {
            store::StoreError::Gone => Self::NotFound {
                what: "object",
                name: error.to_string(),
            },
            store::StoreError::Limit { what, used, most } => Self::Limit {
                what,
                used,
                limit: most,
            },
            error if error.is_temporary() => Self::Unavailable {
                what: "the database",
                source: error.into(),
            },
            error => Self::internal(error),
        }
    }
}

impl From<crate::outside::ZoneError> for ControlError {
    fn from(error: crate::outside::ZoneError) -> Self {
        Self::Unavailable {
            what: "the name server",
            source: error.into(),
        }
    }
}
