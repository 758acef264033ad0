//! Operators and their logins: first run, signing in, passwords, teams, API tokens.
//!
//! A password is checked by argon2id on a blocking thread, a few at a time; an unknown login costs the same work and says the
//! same. What is stored of a cookie or token is its hash. Nothing here logs a secret.

use std::net::IpAddr;

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::permission::Role;
use crate::{Actor, Control};

/// Where a request without an actor comes from; attempts are counted per address and per login.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Address of the browser, as far as known.
    pub address: Option<IpAddr>,
    /// `User-Agent`, shown in the list of logins; cut at 200 characters.
    pub agent: String,
}

/// Signing in.
#[derive(Debug, Clone, Deserialize)]
pub struct LoginRequest {
    /// E-mail address.
    pub login: String,
    /// Password.
    pub password: Secret,
}

/// A fresh login: the only time the token is seen.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// For the cookie.
    pub token: Secret,
    /// Who it is.
    pub resumed: Resumed,
}

/// A login found again by its cookie, or an API token.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// Who.
    pub actor: Actor,
    /// CSRF secret of this login; empty for API tokens, which need none.
    pub csrf: Secret,
    /// Until when.
    pub expires: Timestamp,
    /// Id of the login or token, to mark "this one" in lists.
    pub id: i64,
}

/// The first operator of the platform.
#[derive(Debug, Clone, Deserialize)]
pub struct FirstRun {
    /// Printed at start.
    pub token: String,
    /// E-mail address.
    pub login: String,
    /// Password.
    pub password: Secret,
}

/// A new operator.
#[derive(Debug, Clone, Deserialize)]
pub struct OperatorNew {
    /// E-mail address.
    pub login: String,
    /// Password.
    pub password: Secret,
    /// `platform` or a role of a tenant.
    pub role: String,
}

/// An operator, for lists.
#[derive(Debug, Clone, Serialize)]
pub struct OperatorView {
    /// Id.
    pub id: i64,
    /// E-mail address.
    pub login: String,
    /// Role.
    pub role: Role,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
}

/// A login, for the list of one's own.
#[derive(Debug, Clone, Serialize)]
pub struct LoginView {
    /// Id.
    pub id: i64,
    /// Browser.
    pub agent: String,
    /// Address at sign-in.
    pub address: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// An API token, for the list.
#[derive(Debug, Clone, Serialize)]
pub struct TokenView {
    /// Id.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// A fresh API token: the only time the secret is seen.
#[derive(Debug, Clone, Serialize)]
pub struct TokenNew {
    /// `Authorization: Bearer …`.
    pub secret: String,
    /// The rest.
    #[serde(flatten)]
    pub view: TokenView,
}

pub(crate) struct FirstRunToken(Secret);

impl FirstRunToken {
    pub(crate) fn draw() -> Self {
        todo!()
    }
}

impl Control {
    /// Does the platform still lack its first operator?
    pub async fn first_run_needed(&self) -> Result<bool> {
        todo!()
    }

    /// The setup token, to be printed at start while [`Control::first_run_needed`]; new at every start.
    pub fn first_run_token(&self) -> &str {
        self.first_run.0.expose()
    }

    /// Creates the first platform operator, once, against the setup token.
    pub async fn first_run(&self, request: FirstRun, origin: &Origin) -> Result<LoggedIn> {
        let _ = (request, origin);
        todo!()
    }

    /// Signs in.
    pub async fn login(&self, request: LoginRequest, origin: &Origin) -> Result<LoggedIn> {
        let _ = (request, origin);
        todo!()
    }

    /// Who holds this cookie; `None` if it is not valid (any more).
    pub async fn login_resume(&self, token: &str) -> Result<Option<Resumed>> {
        let _ = token;
        todo!()
    }

    /// Signs out.
    pub async fn logout(&self, token: &str) -> Result<()> {
        let _ = token;
        todo!()
    }

    /// The actor's logins.
    pub async fn login_list(&self, actor: &Actor) -> Result<Vec<LoginView>> {
        let _ = actor;
        todo!()
    }

    /// Ends one of the actor's logins.
    pub async fn login_revoke(&self, actor: &Actor, id: i64) -> Result<()> {
        let _ = (actor, id);
        todo!()
    }

    /// Changes the actor's own password; every other login of theirs ends.
    pub async fn password_change(&self, actor: &Actor, old: &str, new: &str) -> Result<()> {
        let _ = (actor, old, new);
        todo!()
    }

    /// Who holds this API token; `None` if it is not valid (any more).
    pub async fn token_resume(&self, secret: &str) -> Result<Option<Resumed>> {
        let _ = secret;
        todo!()
    }

    /// The actor's API tokens.
    pub async fn token_list(&self, actor: &Actor) -> Result<Vec<TokenView>> {
        let _ = actor;
        todo!()
    }

    /// A new API token with the actor's own role.
    pub async fn token_add(&self, actor: &Actor, name: &str) -> Result<TokenNew> {
        let _ = (actor, name);
        todo!()
    }

    /// Ends an API token of the actor.
    pub async fn token_remove(&self, actor: &Actor, id: i64) -> Result<()> {
        let _ = (actor, id);
        todo!()
    }

    /// Operators of a tenant (by id).
    pub async fn team_list(&self, actor: &Actor, tenant: i64) -> Result<Vec<OperatorView>> {
        let _ = (actor, tenant);
        todo!()
    }

    /// Adds an operator to a tenant.
    pub async fn team_add(
        &self,
        actor: &Actor,
        tenant: i64,
        new: OperatorNew,
    ) -> Result<OperatorView> {
        let _ = (actor, tenant, new);
        todo!()
    }

    /// Removes an operator from a tenant; the last owner stays.
    pub async fn team_remove(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let _ = (actor, tenant, id);
        todo!()
    }

    /// Platform operators.
    pub async fn platform_team_list(&self, actor: &Actor) -> Result<Vec<OperatorView>> {
        let _ = actor;
        todo!()
    }

    /// Adds a platform operator (the demo and the CLI do; also how a lost password is helped: same login, new password).
    pub async fn platform_team_add(&self, actor: &Actor, new: OperatorNew) -> Result<OperatorView> {
        let _ = (actor, new);
        todo!()
    }
}
