//! API tokens: an operator's programs, each limited to some domains and operations if its owner wants, for a time.
//!
//! A token never reaches further than its owner does at that moment; one that is limited cannot make itself another. What is
//! stored is its hash; the secret is shown once.

use serde::{Deserialize, Serialize};
use store::TokenRow;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::{Resumed, actor_of, hash_of, short_text};
use crate::permission::{Operation, Reach, Role};
use crate::secret::Secret;
use crate::time::{DAY, SECOND, plus};
use crate::{Actor, Control, password};

/// An API token, for the list.
#[derive(Debug, Clone, Serialize)]
pub struct TokenView {
    /// Id.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// Only these domains; none: every one that its owner reaches.
    pub domains: Vec<String>,
    /// Only these operations; none: whatever its owner may do.
    pub operations: Vec<String>,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
    /// Last use, to the minute.
    #[serde(serialize_with = "crate::time::maybe")]
    pub used: Option<Timestamp>,
}

/// A token to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TokenAsk {
    /// What it is for.
    pub name: String,
    /// Only these domains, in any spelling; none: every one.
    pub domains: Vec<String>,
    /// Only these operations (`account.add`); none: whatever its owner may do.
    pub operations: Vec<String>,
    /// Days until it ends, 1 to 366; 90 if nothing is said.
    pub days: Option<u32>,
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

/// What a limited token may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    domains: Vec<String>,
    operations: Vec<String>,
}

/// `via` of whoever shows an API token.
pub(crate) const BY_TOKEN: &str = "api";
/// `via` of an operator for whom somebody at the machine acts.
pub(crate) const AT_THE_MACHINE: &str = "machine";
/// How long a token lasts, if nothing is said, and at most (days).
const DAYS: u32 = 90;
const MOST_DAYS: u32 = 366;
/// API tokens one operator may have.
const TOKENS: usize = 20;
/// Domains one token may be limited to.
const DOMAINS: usize = 100;
/// Prefix of an API token, so that a leaked one is recognised by scanners.
const TOKEN_PREFIX: &str = "domicile_";
/// A use is noted this often.
const NOTED: i64 = 60 * SECOND;

impl Scope {
    fn of(row: &TokenRow) -> Option<Self> {
        (!row.domains.is_empty() || !row.operations.is_empty()).then(|| Self {
            domains: row.domains.clone(),
            operations: row.operations.clone(),
        })
    }

    pub(crate) fn check(&self, operation: Operation) -> Result<()> {
        let named = self.operations.is_empty()
            || self
                .operations
                .iter()
                .any(|name| name == operation.as_str());
        let placed = self.domains.is_empty() || operation.of_a_domain();
        if named && placed && operation.of_a_limited_token() {
            Ok(())
        } else {
            Err(ControlError::Scope { operation })
        }
    }

    pub(crate) fn reaches(&self, domain: &str) -> bool {
        self.domains.is_empty() || self.domains.iter().any(|name| name == domain)
    }

    /// May it hear what happens to a domain, or to the tenant as a whole?
    pub(crate) fn hears(&self, domain: Option<&str>) -> bool {
        match domain {
            Some(domain) => self.reaches(domain) && self.check(Operation::DomainShow).is_ok(),
            None => self.check(Operation::TenantShow).is_ok(),
        }
    }
}

impl Control {
    /// Who holds this API token; `None` if it is not valid (any more).
    pub async fn token_resume(&self, secret: &str) -> Result<Option<Resumed>> {
        let now = self.now();
        let Some(token) = self.store().token_find(&hash_of(secret), now).await? else {
            return Ok(None);
        };
        let Some(row) = self.store().operator_get(token.operator).await? else {
            return Ok(None);
        };
        let Some(mut actor) = actor_of(&row, BY_TOKEN) else {
            return Ok(None);
        };
        actor.scope = Scope::of(&token).map(Into::into);
        let actor = self.enrolling(&row, actor).await?;
        if token.used.is_none_or(|used| now.0 - used.0 >= NOTED) {
            // A note that cannot be taken is no reason to refuse the work.
            if let Err(error) = self.store().token_used(token.id, now).await {
                tracing::warn!(token = token.id, %error, "a token's use could not be noted");
            }
        }
        Ok(Some(Resumed {
            actor,
            csrf: Secret::default(),
            expires: token.expires,
            id: token.id,
        }))
    }

    /// An operator for whom whoever is at the machine acts; nobody else may. The audit log says so.
    pub async fn acting_for(&self, actor: &Actor, login: &str) -> Result<Actor> {
        let absent = || ControlError::not_found("operator", login);
        if actor.role != Role::System {
            return Err(absent());
        }
        let login = login.trim().to_lowercase();
        let row = self
            .store()
            .operator_find(&login)
            .await?
            .ok_or_else(absent)?;
        actor_of(&row, AT_THE_MACHINE).ok_or_else(absent)
    }

    /// The actor's API tokens.
    pub async fn token_list(&self, actor: &Actor) -> Result<Vec<TokenView>> {
        let operator = self.own(actor, Operation::TokenList)?;
        Ok(self
            .store()
            .token_list(operator, self.now())
            .await?
            .into_iter()
            .map(view)
            .collect())
    }

    /// A new API token of the actor's, with the actor's own role at most.
    pub async fn token_add(&self, actor: &Actor, ask: TokenAsk) -> Result<TokenNew> {
        let operator = self.own(actor, Operation::TokenAdd)?;
        let name = short_text("name", &ask.name)?;
        let days = days(ask.days)?;
        let operations = operations(actor.role, &ask.operations)?;
        let domains = self.token_domains(actor, &ask.domains).await?;
        let now = self.now();
        let used = self.store().token_list(operator, now).await?.len();
        if used >= TOKENS {
            return Err(ControlError::Limit {
                what: "API tokens",
                used: used as u64,
                limit: TOKENS as u64,
            });
        }
        let secret = format!("{TOKEN_PREFIX}{}", password::token(32).expose());
        let row = TokenRow {
            id: 0,
            operator,
            name,
            domains,
            operations,
            created: now,
            expires: plus(now, i64::from(days) * (DAY / SECOND)),
            used: None,
        };
        let said = said(&row);
        let id = self
            .recorded_own(actor, Operation::TokenAdd, &said)
            .token_add(&hash_of(&secret), &row)
            .await?;
        Ok(TokenNew {
            secret,
            view: view(TokenRow { id, ..row }),
        })
    }

    /// Ends an API token of the actor.
    pub async fn token_remove(&self, actor: &Actor, id: i64) -> Result<()> {
        let operator = self.own(actor, Operation::TokenRemove)?;
        let recorded = self.recorded_own(actor, Operation::TokenRemove, &id.to_string());
        if !recorded.token_remove(operator, id).await? {
            return Err(ControlError::not_found("API token", id));
        }
        Ok(())
    }

    /// Canonical names of domains that the actor sees.
    async fn token_domains(&self, actor: &Actor, asked: &[String]) -> Result<Vec<String>> {
        if asked.len() > DOMAINS {
            return Err(ControlError::Limit {
                what: "domains of one API token",
                used: asked.len() as u64,
                limit: DOMAINS as u64,
            });
        }
        let mut domains = Vec::new();
        for domain in asked.iter().filter(|domain| !domain.trim().is_empty()) {
            let row = self
                .domain_row(actor, Operation::DomainShow, domain.trim())
                .await
                .map_err(|error| match error {
                    ControlError::NotFound { .. } => ControlError::invalid(
                        "domains",
                        domain.as_str(),
                        format!("there is no domain \"{domain}\" of yours here"),
                        "Write domains of your list, one a line, or none for all of them.",
                    ),
                    other => other,
                })?;
            let name = row.name.to_string();
            if !domains.contains(&name) {
                domains.push(name);
            }
        }
        Ok(domains)
    }
}

fn days(asked: Option<u32>) -> Result<u32> {
    let days = asked.unwrap_or(DAYS);
    if (1..=MOST_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(ControlError::invalid(
        "days",
        days.to_string(),
        format!("a token is good for 1 to {MOST_DAYS} days"),
        "Make a new one when it ends.",
    ))
}

fn operations(role: Role, asked: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in asked
        .iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
    {
        let problem = match Operation::parse(name) {
            None => "there is no such operation".to_owned(),
            Some(operation) if !operation.of_a_limited_token() => {
                "a limited token cannot do this: it could get itself more".to_owned()
            }
            Some(operation) if operation.reach(role) == Reach::No => {
                format!("your role \"{role}\" does not include it")
            }
            Some(operation) => {
                let name = operation.to_string();
                if !names.contains(&name) {
                    names.push(name);
                }
                continue;
            }
        };
        return Err(ControlError::invalid(
            "operations",
            name,
            format!("\"{name}\": {problem}"),
            "Choose operations that you may do yourself, or none for all of them.",
        ));
    }
    Ok(names)
}

/// What it may do, for the log.
fn said(row: &TokenRow) -> String {
    let or_all = |list: &[String]| {
        if list.is_empty() {
            "all".to_owned()
        } else {
            list.join(" ")
        }
    };
    format!(
        "{}; domains {}; operations {}",
        row.name,
        or_all(&row.domains),
        or_all(&row.operations)
    )
}

fn view(row: TokenRow) -> TokenView {
    TokenView {
        id: row.id,
        name: row.name,
        domains: row.domains,
        operations: row.operations,
        created: row.created,
        expires: row.expires,
        used: row.used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(domains: &[&str], operations: &[&str]) -> Scope {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Scope {
            domains: list(domains),
            operations: list(operations),
        }
    }

    #[test]
    fn a_token_for_a_domain_does_nothing_to_anything_else() {
        let scope = scope(&["one.example"], &[]);
        assert!(scope.reaches("one.example") && !scope.reaches("two.example"));
        for operation in Operation::ALL {
            let allowed = scope.check(*operation).is_ok();
            assert_eq!(allowed, operation.of_a_domain(), "{operation}");
        }
        assert!(scope.hears(Some("one.example")) && !scope.hears(Some("two.example")));
        assert!(!scope.hears(None));
    }

    #[test]
    fn a_limited_token_gets_itself_no_more() {
        let every: Vec<_> = Operation::ALL.iter().map(|of| of.as_str()).collect();
        let scope = scope(&[], &every);
        // Whatever makes, changes or lets in somebody who signs in. A customer that is added is another's.
        let lets_in = |operation: &Operation| {
            let (noun, verb) = operation.as_str().split_once('.').unwrap();
            let people = [
                "team",
                "invitation",
                "platform",
                "token",
                "login",
                "password",
                "factor",
                "passkey",
            ];
            let looks = ["list", "show", "overview", "remove", "team"];
            people.contains(&noun) && !looks.contains(&verb)
        };
        let found = Operation::ALL.iter().copied().filter(lets_in);
        let found: Vec<_> = found.collect();
        assert!(
            found.contains(&Operation::TeamAdd) && found.len() > 10,
            "{found:?}"
        );
        for operation in found {
            assert!(scope.check(operation).is_err(), "{operation}");
            let asked = [operation.to_string()];
            assert!(operations(Role::Owner, &asked).is_err(), "{operation}");
        }
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let ask = |role, name: &str| operations(role, &[name.to_owned()]);
        assert_eq!(
            ask(Role::Support, " account.add ").unwrap(),
            ["account.add"]
        );
        for (role, name) in [
            (Role::Support, "domain.remove"),
            (Role::Owner, "domain.explode"),
            (Role::Owner, "platform.overview"),
        ] {
            assert_eq!(ask(role, name).unwrap_err().field(), Some("operations"));
        }
        assert!(days(Some(0)).is_err() && days(Some(367)).is_err());
        assert_eq!(days(None).unwrap(), DAYS);
    }
}
