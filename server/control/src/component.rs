//! Programs that answer for a name below a domain: bridges, bots, services of the owner's own (XEP-0114).
//!
//! Whoever may change the domain names them and gets a secret, once; with it the program connects. Refuses: names that are
//! a service's, or somebody's domain (COMP-05).

use serde::{Deserialize, Serialize};
use store::DomainRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::domain::Choices;
use crate::error::{ControlError, Result};
use crate::grant::Grants;
use crate::outside::Change;
use crate::permission::Operation;
use crate::secret::Secret;
use crate::tenant::to_json;
use crate::{Actor, Control, password};

/// Components of one domain.
const COMPONENTS: usize = 20;
/// Shortest and longest secret that somebody may choose, in characters.
const SECRET: (usize, usize) = (16, 200);

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentView {
    /// Its name: `bridge.example.com`.
    pub name: String,
    /// Since when it has its secret.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// What it may beyond that.
    pub grants: Grants,
    /// Which grants these are: another word for others.
    pub version: String,
}

/// A component to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ComponentAsk {
    /// Its secret; if nothing is said, one is drawn for a component that is new, and another keeps what it has.
    pub secret: Option<Secret>,
    /// It gets another secret though it has one.
    pub rotate: bool,
}

/// A component that may connect now.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentNew {
    /// What it connects with, the only time that it is shown; `None`: it keeps what it has.
    pub secret: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub view: ComponentView,
}

impl Control {
    /// A domain's components.
    pub async fn component_list(&self, actor: &Actor, domain: &str) -> Result<Vec<ComponentView>> {
        let row = self
            .domain_row(actor, Operation::ComponentList, domain)
            .await?;
        let rows = self.store().domain(row.id, &row.name);
        let found = rows.component_list().await?.into_iter();
        let chosen = Choices::of(&row).components;
        Ok(found
            .filter(|(label, _)| chosen.contains(label))
            .map(|(label, created)| view(&row, &label, created))
            .collect())
    }

    /// Lets a component connect as `name`, a label or the whole name. One that is there keeps its secret, unless another one is
    /// said or wanted: asked again for what is there, nothing is done.
    pub async fn component_add(
        &self,
        actor: &Actor,
        domain: &str,
        name: &str,
        ask: ComponentAsk,
    ) -> Result<ComponentNew> {
        let row = self
            .domain_row(actor, Operation::ComponentAdd, domain)
            .await?;
        let label = label(&row, name)?;
        if self.settings().service_labels().any(|own| own == label) {
            return Err(refused(
                name,
                "this name is a service's",
                "Choose another label.",
            ));
        }
        let whole = DomainName::parse(&format!("{label}.{}", row.name));
        let whole =
            whole.map_err(|_| refused(name, "this is not a name", "Choose another label."))?;
        if self.store().domain_hosted(&whole).await?.is_some() {
            let what = "this name is a domain that is hosted here";
            return Err(refused(name, what, "Choose another label."));
        }
        let chosen = Choices::of(&row).components;
        if chosen.len() >= COMPONENTS && !chosen.contains(&label) {
            return Err(ControlError::Limit {
                what: "components",
                used: chosen.len() as u64,
                limit: COMPONENTS as u64,
            });
        }
        let rows = self.store().domain(row.id, &row.name);
        if chosen.contains(&label) && !ask.rotate {
            let held = rows.component_secret(&label).await?;
            let wanted = ask.secret.as_ref().map(Secret::expose);
            if held.is_some_and(|held| wanted.is_none_or(|wanted| wanted == held.as_str())) {
                let mut known = rows.component_list().await?.into_iter();
                let since = known.find(|(known, _)| *known == label);
                let since = since.map_or(self.now(), |(_, since)| since);
                return Ok(ComponentNew {
                    secret: None,
                    view: view(&row, &label, since),
                });
            }
        }
        let secret = secret_of(ask.secret)?;
        let now = self.now();
        rows.component_put(&label, secret.expose(), now).await?;
        let recorded = self.recorded_of(actor, &row, Operation::ComponentAdd, whole.as_str());
        let row = self
            .domain_edit_in(&recorded, row.id, |fresh| {
                let mut choices = Choices::of(fresh);
                if !choices.components.contains(&label) {
                    choices.components.push(label.clone());
                }
                fresh.settings = to_json(&choices);
            })
            .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        Ok(ComponentNew {
            secret: Some(secret.expose().to_owned()),
            view: view(&row, &label, now),
        })
    }

    /// Takes a component's name away; its connection ends.
    pub async fn component_remove(&self, actor: &Actor, domain: &str, name: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::ComponentRemove, domain)
            .await?;
        let absent = || ControlError::not_found("component", name);
        let label = label(&row, name).map_err(|_| absent())?;
        if !Choices::of(&row).components.contains(&label) {
            return Err(absent());
        }
        let whole = format!("{label}.{}", row.name);
        let recorded = self.recorded_of(actor, &row, Operation::ComponentRemove, &whole);
        let row = self
            .domain_edit_in(&recorded, row.id, |fresh| {
                let mut choices = Choices::of(fresh);
                choices.components.retain(|own| *own != label);
                choices.grants.remove(&label);
                fresh.settings = to_json(&choices);
            })
            .await?;
        let rows = self.store().domain(row.id, &row.name);
        rows.component_remove(&label).await?;
        self.parts.live.announce(Change::Domain(row.name));
        Ok(())
    }
}

/// The secret that was chosen, or one that is drawn.
fn secret_of(chosen: Option<Secret>) -> Result<Secret> {
    let Some(secret) = chosen else {
        return Ok(password::token(32));
    };
    let length = secret.expose().chars().count();
    if !(SECRET.0..=SECRET.1).contains(&length) {
        let what = format!("a secret has {} to {} characters", SECRET.0, SECRET.1);
        let remedy = "Leave it out to have one drawn.";
        return Err(ControlError::invalid("secret", "", what, remedy));
    }
    Ok(secret)
}

/// Labels of the components that a domain lets in.
pub fn components(row: &DomainRow) -> Vec<String> {
    Choices::of(row).components
}

fn view(row: &DomainRow, label: &str, created: Timestamp) -> ComponentView {
    let grants = crate::grant::grants(row).remove(label).unwrap_or_default();
    ComponentView {
        name: format!("{label}.{}", row.name),
        created,
        version: grants.version(),
        grants,
    }
}

fn refused(name: &str, what: &str, remedy: &str) -> ControlError {
    ControlError::invalid("name", name, what, remedy)
}

/// One label, alone or before the domain's name.
pub(crate) fn label(row: &DomainRow, name: &str) -> Result<String> {
    let parsed = DomainName::parse(name.trim());
    let parsed =
        parsed.map_err(|_| refused(name, "this is not a name", "Use one label: bridge."))?;
    let below = parsed.as_str().strip_suffix(row.name.as_str());
    let label = match below.and_then(|rest| rest.strip_suffix('.')) {
        Some(label) => label,
        None => parsed.as_str(),
    };
    if label.is_empty() || label.contains('.') || parsed == row.name {
        let what = format!("a component's name is one label before {}", row.name);
        return Err(ControlError::invalid(
            "name",
            name,
            what,
            "Use one label: bridge.",
        ));
    }
    Ok(label.to_owned())
}
