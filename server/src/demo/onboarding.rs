//! What a first hour looks like, done by the demo: an operator, a customer with two domains, their records, their users.
//!
//! Logins and passwords are drawn once and kept in `demo.json`, so that a demo that is started again, or was killed half-way,
//! has the same people.

use std::path::Path;
use std::time::Duration;

use control::account::AccountNew;
use control::domain::{DomainNew, State};
use control::operator::OperatorNew;
use control::outside::{ZoneChange, ZoneValue};
use control::tenant::{OwnerNew, TenantNew};
use control::{Actor, Control, ControlError, Secret};
use serde::{Deserialize, Serialize};

use super::dns::files;
use super::progress;
use crate::cli::{Failure, draw_password};
use crate::running::Running;

/// Hosted from the start.
pub(super) const DOMAINS: [&str; 2] = ["one.example", "two.example"];
/// At each of them.
const LOCALPARTS: [&str; 2] = ["alice", "bob"];
/// The customer's name.
const CUSTOMER: &str = "Demo customer";
/// A domain must be live within this time.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait for news before looking again.
const GLANCE: Duration = Duration::from_secs(1);

/// A login or address with its password.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) login: String,
    pub(super) password: String,
}

/// Everybody there is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct People {
    pub(super) operator: Person,
    pub(super) owner: Person,
    pub(super) users: Vec<Person>,
}

/// Makes what is not there yet, and returns when both domains are live.
pub(super) async fn prepare(running: &Running, dir: &Path) -> Result<People, Failure> {
    let people = people(dir)?;
    let control = running.control.as_ref();
    let actor = Actor::system("demo");
    let team = control.platform_team_list(&actor).await?;
    if !team
        .iter()
        .any(|operator| operator.login == people.operator.login)
    {
        let operator = OperatorNew {
            login: people.operator.login.clone(),
            password: Secret::from(people.operator.password.as_str()),
            role: "platform".into(),
        };
        control.platform_team_add(&actor, operator).await?;
    }

    let tenant = match control
        .tenant_list(&actor)
        .await?
        .into_iter()
        .find(|tenant| tenant.name == CUSTOMER)
    {
        Some(tenant) => tenant.id,
        None => {
            let owner = OwnerNew {
                login: people.owner.login.clone(),
                password: Secret::from(people.owner.password.as_str()),
            };
            control
                .tenant_add(
                    &actor,
                    TenantNew {
                        name: CUSTOMER.into(),
                        owner: Some(owner),
                    },
                )
                .await?
                .id
        }
    };
    for domain in DOMAINS {
        progress(&format!("adding {domain}, publishing its records"));
        done_or_there(
            control
                .domain_add(
                    &actor,
                    DomainNew {
                        domain: domain.into(),
                        tenant: Some(tenant),
                    },
                )
                .await,
        )?;
        target(running, &actor, domain).await?;
        control.domain_publish(&actor, domain).await?;
        control.domain_check(&actor, domain).await?;
    }
    for domain in DOMAINS {
        live(control, &actor, domain).await?;
    }
    for user in &people.users {
        if let Some((local, domain)) = user.login.split_once('@') {
            let new = AccountNew {
                local: local.into(),
                password: Some(Secret::from(user.password.as_str())),
            };
            done_or_there(control.account_add(&actor, domain, new).await)?;
        }
    }
    Ok(people)
}

/// The target's address: a demo that was moved to another one still has the old one in its zone.
async fn target(running: &Running, actor: &Actor, domain: &str) -> Result<(), Failure> {
    let shown = running.control.domain_show(actor, domain).await?;
    let values = |v4: bool| {
        let of_kind = running
            .config
            .platform
            .addresses
            .iter()
            .filter(move |address| address.is_ipv4() == v4);
        of_kind.map(|address| match address {
            std::net::IpAddr::V4(address) => ZoneValue::A(*address),
            std::net::IpAddr::V6(address) => ZoneValue::Aaaa(*address),
        })
    };
    let mut changes = vec![ZoneChange::Erase {
        name: shown.target.clone(),
    }];
    for values in [values(true).collect::<Vec<_>>(), values(false).collect()] {
        if !values.is_empty() {
            changes.push(ZoneChange::Set {
                name: shown.target.clone(),
                ttl_seconds: running.config.platform.ttl_seconds,
                values,
            });
        }
    }
    running
        .zone
        .apply(&changes)
        .await
        .map_err(|error| Failure::other(6, error.to_string(), ""))
}

/// Waits until the domain is live, looking whenever something changes.
async fn live(control: &Control, actor: &Actor, domain: &str) -> Result<(), Failure> {
    let mut events = control.events(actor);
    let mut last = None;
    let waiting = async {
        loop {
            let shown = control.domain_show(actor, domain).await?;
            if shown.view.state == State::Live {
                return Ok::<(), Failure>(());
            }
            if last != Some(shown.view.state) {
                progress(&format!("{domain} is {}", shown.view.state.as_str()));
                last = Some(shown.view.state);
            }
            // No news is no reason to wait for ever.
            let _ = tokio::time::timeout(GLANCE, events.next()).await;
        }
    };
    if let Ok(done) = tokio::time::timeout(PATIENCE, waiting).await {
        return done;
    }
    let shown = control.domain_show(actor, domain).await?;
    let open: Vec<String> = shown
        .checks
        .iter()
        .filter(|check| check.severity != control::findings::Severity::Ok)
        .map(|check| {
            format!(
                "{}: expected {}, observed {}",
                check.subject, check.expected, check.observed
            )
        })
        .collect();
    Err(Failure::other(
        70,
        format!(
            "{domain} is {} after {} seconds: {}\n  {}",
            shown.view.state.as_str(),
            PATIENCE.as_secs(),
            shown.view.status,
            open.join("\n  ")
        ),
        "Start again with RUST_LOG=debug to see why.",
    ))
}

/// What exists already is as good as made.
fn done_or_there<T>(result: Result<T, ControlError>) -> Result<(), Failure> {
    match result {
        Ok(_) | Err(ControlError::Exists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The people of this directory; drawn if there are none yet.
fn people(dir: &Path) -> Result<People, Failure> {
    let file = dir.join("demo.json");
    let damaged = |problem: String| {
        Failure::other(
            2,
            format!("{}: {problem}", file.display()),
            "Repair it, or start with an empty --data-dir.",
        )
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => return serde_json::from_str(&text).map_err(|error| damaged(error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(damaged(error.to_string())),
    }
    let person = |login: String| Person {
        login,
        password: draw_password().expose().to_owned(),
    };
    let people = People {
        operator: person("operator@hosting.example".into()),
        owner: person("owner@one.example".into()),
        users: DOMAINS
            .iter()
            .flat_map(|domain| LOCALPARTS.map(|local| person(format!("{local}@{domain}"))))
            .collect(),
    };
    let text = serde_json::to_string_pretty(&people).map_err(|error| damaged(error.to_string()))?;
    files::replace(&file, text.as_bytes(), 0o600).map_err(|error| damaged(error.to_string()))?;
    Ok(people)
}
