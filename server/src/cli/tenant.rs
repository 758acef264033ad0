//! `domicile tenant`: customers.

use clap::Subcommand;
use control::ladder::LadderSet;
use control::tenant::{OwnerNew, TenantNew, TenantSet, TenantView};
use control::{Actor, Control};

use super::output::{show, table};
use super::plan::{self, LimitArgs};
use super::{Failure, Outcome, Password};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Add a customer
    Add {
        /// What the customer is called
        name: String,
        /// E-mail address of the first owner, who can sign in to the panel
        #[arg(long, value_name = "EMAIL")]
        owner: Option<String>,
        #[command(flatten)]
        password: Password,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List customers
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one customer
    Show {
        /// Number or name
        tenant: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change what a customer may have: its plan, and what it has beside it
    Set {
        /// Number or name
        tenant: String,
        /// Another plan, by number or name; "usual" for the one that customers have who were given no other
        #[arg(long, value_name = "PLAN")]
        plan: Option<String>,
        #[command(flatten)]
        limits: LimitArgs,
        /// Whether its operators must sign in with a second factor
        #[arg(long, value_name = "BOOL")]
        second_factor: Option<bool>,
    },
    /// Stop all domains of a customer; nothing is erased
    Suspend {
        /// Number or name
        tenant: String,
        /// What the customer is told
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Undo that
    Resume {
        /// Number or name
        tenant: String,
    },
    /// Put a customer who does not answer on the ladder: warned now, each further step after so many days, if at all
    Ladder {
        /// Number or name
        tenant: String,
        /// What the customer is told
        #[arg(long)]
        reason: String,
        /// Until its team can change nothing
        #[arg(long, value_name = "DAYS")]
        read_only_days: Option<u32>,
        /// Until other servers are not talked with
        #[arg(long, value_name = "DAYS")]
        no_federation_days: Option<u32>,
        /// Until nobody can sign in
        #[arg(long, value_name = "DAYS")]
        no_login_days: Option<u32>,
        /// Until everything is erased
        #[arg(long, value_name = "DAYS")]
        erased_days: Option<u32>,
    },
    /// Take a customer off the ladder: everything is as it was
    LadderEnd {
        /// Number or name
        tenant: String,
    },
    /// Erase a customer with every domain, account, key and operator
    Remove {
        /// Number or name
        tenant: String,
        /// Yes, erase
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: TenantCommand) -> Outcome {
    match command {
        TenantCommand::Add {
            name,
            owner,
            password,
            json,
        } => {
            let mut drawn = None;
            let owner = match owner {
                None => None,
                Some(login) => {
                    let (password, fresh) = password.given_or_drawn()?;
                    drawn = fresh.then(|| password.expose().to_owned());
                    Some(OwnerNew { login, password })
                }
            };
            let view = control.tenant_add(actor, TenantNew { name, owner }).await?;
            show(json, &view, |view| {
                let mut text = format!("{}: added as number {}", view.name, view.id);
                if let Some(password) = drawn {
                    text.push_str(&format!("\npassword {password}"));
                }
                text
            })
        }
        TenantCommand::List { json } => {
            let tenants = control.tenant_list(actor).await?;
            show(json, &tenants, |tenants| {
                table(
                    [
                        "number", "name", "state", "plan", "domains", "accounts", "since",
                    ],
                    tenants.iter().map(row),
                )
            })
        }
        TenantCommand::Show { tenant, json } => {
            let view = control
                .tenant_show(actor, resolve(control, actor, &tenant).await?)
                .await?;
            show(json, &view, |view| {
                table(
                    [
                        "number", "name", "state", "plan", "domains", "accounts", "since",
                    ],
                    [row(view)],
                )
            })
        }
        TenantCommand::Set {
            tenant,
            plan,
            limits,
            second_factor,
        } => {
            let plan = match plan.as_deref() {
                None => None,
                Some("usual") => Some(0),
                Some(plan) => Some(plan::resolve(control, actor, plan).await?),
            };
            let set = TenantSet {
                plan,
                limits: limits.set(),
                version: None,
            };
            let id = resolve(control, actor, &tenant).await?;
            if let Some(wanted) = second_factor {
                control.tenant_require_factor(actor, id, wanted).await?;
            }
            let view = control.tenant_set_limits(actor, id, set).await?;
            say!("{}: {}", view.name, plan::said(&view.limits));
            Ok(0)
        }
        TenantCommand::Suspend { tenant, reason } => {
            let view = control
                .tenant_suspend(actor, resolve(control, actor, &tenant).await?, &reason)
                .await?;
            say!("{}: suspended", view.name);
            Ok(0)
        }
        TenantCommand::Resume { tenant } => {
            let view = control
                .tenant_resume(actor, resolve(control, actor, &tenant).await?)
                .await?;
            say!("{}: active", view.name);
            Ok(0)
        }
        TenantCommand::Ladder {
            tenant,
            reason,
            read_only_days,
            no_federation_days,
            no_login_days,
            erased_days,
        } => {
            let set = LadderSet {
                reason,
                read_only_days,
                no_federation_days,
                no_login_days,
                erased_days,
                version: None,
            };
            let id = resolve(control, actor, &tenant).await?;
            let view = control.ladder_set(actor, id, set).await?;
            for step in view.ladder.iter().flat_map(|ladder| &ladder.steps) {
                say!(
                    "{}: {} {}",
                    view.name,
                    step.step.as_str(),
                    step.at.to_xep0082()
                );
            }
            Ok(0)
        }
        TenantCommand::LadderEnd { tenant } => {
            let id = resolve(control, actor, &tenant).await?;
            let view = control.ladder_end(actor, id, None).await?;
            say!("{}: no step is in force", view.name);
            Ok(0)
        }
        TenantCommand::Remove { tenant, yes } => {
            let id = resolve(control, actor, &tenant).await?;
            super::confirm(yes, &format!("customer {tenant} with everything it has"))?;
            let dangling = control.tenant_remove(actor, id).await?;
            let gone = match control.tenant_show(actor, id).await {
                Err(control::error::ControlError::NotFound { .. }) => "removed",
                _ => {
                    "being erased; the platform's zone does not answer, and the server goes on by itself when it does"
                }
            };
            show(false, &dangling, |dangling| {
                let dangling = super::domain::text::dangling(dangling);
                format!(
                    "{tenant}: {gone}
{dangling}"
                )
            })
        }
    }
}

fn row(view: &TenantView) -> [String; 7] {
    [
        view.id.to_string(),
        view.name.clone(),
        view.state.to_owned(),
        view.plan_name.clone(),
        format!("{}/{}", view.used.domains, view.limits.domains),
        format!("{}/{}", view.used.accounts, view.limits.accounts),
        view.created.to_xep0082(),
    ]
}

/// A tenant's number from its number or name.
pub(super) async fn resolve(
    control: &Control,
    actor: &Actor,
    tenant: &str,
) -> Result<i64, Failure> {
    if let Ok(id) = tenant.parse() {
        return Ok(id);
    }
    let tenants = control.tenant_list(actor).await?;
    let mut named = tenants.iter().filter(|view| view.name == tenant);
    match (named.next(), named.next()) {
        (Some(view), None) => Ok(view.id),
        (None, _) => Err(Failure::other(
            3,
            format!("there is no customer \"{tenant}\" here"),
            "`domicile tenant list` shows who is there.",
        )),
        (Some(_), Some(_)) => Err(Failure::other(
            2,
            format!("several customers are called \"{tenant}\""),
            "Give the number that `domicile tenant list` shows.",
        )),
    }
}
