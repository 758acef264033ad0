//! Operators and their logins: first run, signing in, passwords, teams.
//!
//! A password is checked by argon2id on a blocking thread, a few at a time; an unknown login costs the same work and says the
//! same. What is stored of a cookie or token is its hash. Nothing here logs a secret.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{LoginRow, OperatorId, OperatorRow, Store, StoreError, TenantId};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::invitation::role_of_a_tenant;
use crate::ladder;
use crate::permission::{Operation, Role};
use crate::secret::Secret;
use crate::{Actor, Control, password, rate, time};

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
    /// Do they sign in with a second factor?
    pub second_factor: bool,
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

/// How long a login lasts.
const LOGIN_SECONDS: i64 = 14 * 86_400;

pub(crate) struct FirstRunToken(Secret);

impl FirstRunToken {
    pub(crate) fn draw() -> Self {
        Self(password::token(20))
    }
}

impl Control {
    /// Does the platform still lack its first operator?
    pub async fn first_run_needed(&self) -> Result<bool> {
        Ok(self.store().operator_list(None).await?.is_empty())
    }

    /// The setup token, to be printed at start while [`Control::first_run_needed`]; new at every start.
    pub fn first_run_token(&self) -> &str {
        self.first_run.0.expose()
    }

    /// Creates the first platform operator, once, against the setup token.
    pub async fn first_run(&self, request: FirstRun, origin: &Origin) -> Result<LoggedIn> {
        self.gate.attempt(rate::FIRST_RUN, "", self.now())?;
        // Hashes of both, so that the comparison's time tells nothing of the token.
        if hash_of(&request.token) != hash_of(self.first_run_token()) {
            return Err(ControlError::NotSignedIn {
                what: "the setup token",
            });
        }
        let _one_at_a_time = self.first_run_lock.lock().await;
        if !self.first_run_needed().await? {
            return Err(ControlError::State {
                name: "this service".into(),
                state: "set up already".into(),
                problem: "its first operator exists".into(),
                remedy: "Sign in, or use `domicile operator add` on the machine if the password is lost.".into(),
            });
        }
        let new = OperatorNew {
            login: request.login.clone(),
            password: request.password.clone(),
            role: Role::Platform.to_string(),
        };
        let row = self
            .operator_make(&Actor::system("first run"), None, Role::Platform, &new)
            .await?;
        self.login_make(&row, origin).await
    }

    /// Signs in without a second factor; see [`Control::login_with`].
    pub async fn login(&self, request: LoginRequest, origin: &Origin) -> Result<LoggedIn> {
        self.login_with(request, None, origin).await
    }

    /// Who has shown this password.
    pub(crate) async fn password_login(
        &self,
        request: LoginRequest,
        origin: &Origin,
    ) -> Result<OperatorRow> {
        let now = self.now();
        let login = request.login.trim().to_lowercase();
        if origin.address.is_some() {
            self.gate_from(rate::LOGIN_ADDRESS, origin)?;
        }
        // By both: whoever guesses elsewhere does not keep the person out.
        let guessed = format!("{login} {}", rate::network_of(origin));
        self.gate.attempt(rate::LOGIN_NAME, &guessed, now)?;
        let row = self.store().operator_find(&login).await?;
        let stored = row.as_ref().map(|row| row.password_hash.clone());
        if !self.passwords.verify(&request.password, stored).await? {
            return Err(ControlError::LoginRefused);
        }
        let Some(row) = row else {
            return Err(ControlError::LoginRefused);
        };
        self.gate.clear(rate::LOGIN_NAME, &guessed);
        Ok(row)
    }

    /// Whoever must have a second factor and has none may set one up and nothing else; whose customer is at that step of the
    /// ladder may look and nothing else.
    pub(crate) async fn enrolling(&self, row: &OperatorRow, mut actor: Actor) -> Result<Actor> {
        if row.tenant.is_some() {
            let (enrol, step) = self.store().operator_standing(row.id).await?;
            actor.enrol = enrol;
            actor.looks_only = ladder::only_looks(&step);
        } else if self.settings().operators_second_factor {
            actor.enrol = !self.has_factor(row.id).await?;
        }
        Ok(actor)
    }

    /// Who holds this cookie; `None` if it is not valid (any more).
    pub async fn login_resume(&self, token: &str) -> Result<Option<Resumed>> {
        let Some(login) = self.store().login_find(&hash_of(token), self.now()).await? else {
            return Ok(None);
        };
        let Some(row) = self.store().operator_get(login.operator).await? else {
            return Ok(None);
        };
        let Some(actor) = actor_of(&row, "panel") else {
            return Ok(None);
        };
        let actor = self.enrolling(&row, actor).await?;
        Ok(Some(Resumed {
            actor: self.as_viewer(&login, actor).await?,
            csrf: login.csrf.as_str().into(),
            expires: login.expires,
            id: login.id,
        }))
    }

    /// Signs out.
    pub async fn logout(&self, token: &str) -> Result<()> {
        if let Some(login) = self.store().login_find(&hash_of(token), self.now()).await? {
            self.store().login_remove(login.operator, login.id).await?;
        }
        Ok(())
    }

    /// The actor's logins.
    pub async fn login_list(&self, actor: &Actor) -> Result<Vec<LoginView>> {
        let operator = self.own(actor, Operation::LoginList)?;
        let rows = self.store().login_list(operator, self.now()).await?;
        Ok(rows
            .into_iter()
            .map(|row| LoginView {
                id: row.id,
                agent: row.agent,
                address: row.address,
                created: row.created,
                expires: row.expires,
            })
            .collect())
    }

    /// Ends one of the actor's logins.
    pub async fn login_revoke(&self, actor: &Actor, id: i64) -> Result<()> {
        let operator = self.own(actor, Operation::LoginRevoke)?;
        let recorded = self.recorded_own(actor, Operation::LoginRevoke, "");
        if !recorded.login_remove(operator, id).await? {
            return Err(ControlError::not_found("login", id));
        }
        Ok(())
    }

    /// Changes the actor's own password; every login of theirs ends, this one too.
    pub async fn password_change(&self, actor: &Actor, old: &str, new: &str) -> Result<()> {
        let (old, new) = (&Secret::from(old), &Secret::from(new));
        let operator = self.own(actor, Operation::PasswordChange)?;
        self.password_shown(actor, operator, "old", old).await?;
        password::check("new", new, password::OPERATOR_LENGTH, &[actor.login()])?;
        let hash = self.passwords.hash(new).await?;
        self.recorded_own(actor, Operation::PasswordChange, "")
            .operator_set_password(operator, &hash)
            .await?;
        Ok(())
    }

    /// Somebody who is signed in shows their password once more, in this field: whoever finds an open browser cannot take it over.
    pub(crate) async fn password_shown(
        &self,
        actor: &Actor,
        operator: OperatorId,
        field: &'static str,
        password: &Secret,
    ) -> Result<()> {
        let key = operator.0.to_string();
        self.gate.attempt(rate::OWN_PASSWORD, &key, self.now())?;
        let row = self.store().operator_get(operator).await?;
        let stored = row.map(|row| row.password_hash);
        if !self.passwords.verify(password, stored).await? {
            tracing::info!(operator = actor.login(), "a password is not believed");
            return Err(ControlError::invalid(
                field,
                "",
                "this is not your present password",
                "Type the password you signed in with.",
            ));
        }
        self.gate.clear(rate::OWN_PASSWORD, &key);
        Ok(())
    }

    /// Operators of a tenant (by id).
    pub async fn team_list(&self, actor: &Actor, tenant: i64) -> Result<Vec<OperatorView>> {
        let row = self.tenant_row(actor, Operation::TeamList, tenant).await?;
        self.people(Some(row.id)).await
    }

    /// Adds an operator to a tenant.
    pub async fn team_add(
        &self,
        actor: &Actor,
        tenant: i64,
        new: OperatorNew,
    ) -> Result<OperatorView> {
        let row = self.tenant_row(actor, Operation::TeamAdd, tenant).await?;
        let role = role_of_a_tenant(&new.role)?;
        let row = self.operator_make(actor, Some(row.id), role, &new).await?;
        operator_view(&row).ok_or_else(|| ControlError::internal("an operator without a role"))
    }

    /// Removes an operator from a tenant; the last owner stays.
    pub async fn team_remove(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::TeamRemove, tenant)
            .await?;
        let team = self.store().operator_list(Some(row.id)).await?;
        let member = team
            .iter()
            .find(|member| member.id.0 == id)
            .ok_or_else(|| ControlError::not_found("operator", id))?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TeamRemove,
            "",
            &member.login,
            "",
        );
        if recorded
            .operator_leave(row.id, member.id, Role::Owner.as_str())
            .await?
        {
            return Ok(());
        }
        if member.role != Role::Owner.as_str() {
            // Somebody else was quicker.
            return Err(ControlError::not_found("operator", id));
        }
        Err(ControlError::State {
            name: member.login.clone(),
            state: "the last owner".into(),
            problem: "nobody could manage this customer any more".into(),
            remedy: "Add another owner first, or remove the customer as a whole.".into(),
        })
    }

    /// Platform operators.
    pub async fn platform_team_list(&self, actor: &Actor) -> Result<Vec<OperatorView>> {
        actor.check(Operation::PlatformTeam, None, "operator", "")?;
        self.people(None).await
    }

    async fn people(&self, tenant: Option<TenantId>) -> Result<Vec<OperatorView>> {
        let rows = self.store().operator_list(tenant).await?;
        let with_factor = self.store().factor_list(tenant).await?;
        Ok(rows
            .iter()
            .filter_map(|row| {
                Some(OperatorView {
                    second_factor: with_factor.contains(&row.id),
                    ..operator_view(row)?
                })
            })
            .collect())
    }

    /// Adds a platform operator (the demo and the CLI do); for one that exists, sets the password: how a lost one is helped.
    pub async fn platform_team_add(&self, actor: &Actor, new: OperatorNew) -> Result<OperatorView> {
        actor.check(Operation::PlatformTeamSet, None, "operator", "")?;
        let login = email("login", &new.login)?;
        let row = match self.store().operator_find(&login).await? {
            Some(row) if row.tenant.is_none() => {
                password::check(
                    "password",
                    &new.password,
                    password::OPERATOR_LENGTH,
                    &[&login],
                )?;
                let hash = self.passwords.hash(&new.password).await?;
                let said = "password set";
                self.recorded(actor, None, Operation::PlatformTeamSet, "", &login, said)
                    .operator_set_password(row.id, &hash)
                    .await?;
                row
            }
            _ => {
                self.operator_make(actor, None, Role::Platform, &new)
                    .await?
            }
        };
        operator_view(&row).ok_or_else(|| ControlError::internal("an operator without a role"))
    }

    /// Adds an operator row; used for teams and the first run.
    async fn operator_make(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        role: Role,
        new: &OperatorNew,
    ) -> Result<OperatorRow> {
        let (login, hash) = self
            .operator_ready("login", &new.login, &new.password)
            .await?;
        let operation = if tenant.is_some() {
            Operation::TeamAdd
        } else {
            Operation::PlatformTeamSet
        };
        let now = self.now();
        let added = self
            .recorded(actor, tenant, operation, "", &login, role.as_str())
            .operator_add(&login, &hash, role.as_str(), tenant, now)
            .await;
        match added {
            Ok(id) => Ok(OperatorRow {
                id,
                login,
                password_hash: hash,
                role: role.as_str().into(),
                tenant,
                created: now,
            }),
            Err(StoreError::Conflict { .. }) => Err(login_taken(login)),
            Err(error) => Err(error.into()),
        }
    }

    /// The login and the password's hash of an operator who can be added.
    pub(crate) async fn operator_ready(
        &self,
        field: &'static str,
        login: &str,
        password: &Secret,
    ) -> Result<(String, String)> {
        let login = email(field, login)?;
        password::check("password", password, password::OPERATOR_LENGTH, &[&login])?;
        let hash = self.passwords.hash(password).await?;
        Ok((login, hash))
    }

    /// A handle that records what the actor does to their own person.
    pub(crate) fn recorded_own(&self, actor: &Actor, operation: Operation, detail: &str) -> Store {
        self.recorded(actor, actor.tenant, operation, "", actor.login(), detail)
    }

    /// A fresh login for an operator who has shown who they are.
    pub(crate) async fn login_make(&self, row: &OperatorRow, origin: &Origin) -> Result<LoggedIn> {
        let actor = actor_of(row, "panel").ok_or(ControlError::LoginRefused)?;
        let actor = self.enrolling(row, actor).await?;
        let now = self.now();
        let (token, csrf) = (password::token(32), password::token(20));
        let expires = time::plus(now, LOGIN_SECONDS);
        let agent: String = origin
            .agent
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let address = origin
            .address
            .map(|address| address.to_string())
            .unwrap_or_default();
        let login = LoginRow {
            id: 0,
            operator: row.id,
            csrf: csrf.expose().to_owned(),
            agent,
            address,
            created: now,
            expires,
            viewing: None,
        };
        let id = self
            .store()
            .login_add(&hash_of(token.expose()), &login)
            .await?;
        Ok(LoggedIn {
            token,
            resumed: Resumed {
                actor,
                csrf,
                expires,
                id,
            },
        })
    }

    /// The actor's own operator id, for operations on the actor's own person.
    pub(crate) fn own(&self, actor: &Actor, operation: Operation) -> Result<OperatorId> {
        actor.check(operation, actor.tenant, "operator", actor.login())?;
        actor.operator.ok_or(ControlError::Forbidden {
            operation,
            role: actor.role,
        })
    }
}

pub(crate) fn login_taken(login: String) -> ControlError {
    ControlError::Exists {
        what: "operator",
        name: login,
        remedy: "Sign in with it, or use another e-mail address.".into(),
    }
}

pub(crate) fn actor_of(row: &OperatorRow, via: &str) -> Option<Actor> {
    let role = Role::parse(&row.role)?;
    // A tenant's role without a tenant, or the other way round, reaches nothing at all.
    (role.of_a_tenant() == row.tenant.is_some()).then(|| Actor {
        role,
        operator: Some(row.id),
        login: row.login.as_str().into(),
        tenant: row.tenant,
        via: via.into(),
        scope: None,
        enrol: false,
        looks_only: false,
        viewing: None,
    })
}

pub(crate) fn operator_view(row: &OperatorRow) -> Option<OperatorView> {
    Some(OperatorView {
        id: row.id.0,
        login: row.login.clone(),
        role: Role::parse(&row.role)?,
        second_factor: false,
        created: row.created,
    })
}

/// What is stored of a token: SHA-256. Tokens are drawn with 160 bits and more, so no salt is needed.
pub(crate) fn hash_of(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// An e-mail address as a login: trimmed, lower case, one `@` with something on both sides, no blanks.
pub(crate) fn email(field: &'static str, text: &str) -> Result<String> {
    let login = text.trim().to_lowercase();
    let good = login.len() <= 254
        && !login.chars().any(|c| c.is_whitespace() || c.is_control())
        && login.split_once('@').is_some_and(|(local, host)| {
            !local.is_empty() && !host.is_empty() && !host.contains('@')
        });
    if good {
        Ok(login)
    } else {
        Err(ControlError::invalid(
            field,
            text,
            "this is not an e-mail address",
            "Write it like you@example.com.",
        ))
    }
}

/// A name for people: trimmed, not empty, at most 100 characters, no control characters.
pub(crate) fn short_text(field: &'static str, text: &str) -> Result<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().count() > 100 || trimmed.chars().any(char::is_control)
    {
        return Err(ControlError::invalid(
            field,
            text,
            "this must be 1 to 100 characters on one line",
            "Write a short name.",
        ));
    }
    Ok(trimmed.to_owned())
}
