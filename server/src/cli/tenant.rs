//! `domicile tenant`: customers.

use clap::Subcommand;
use control::tenant::{LimitsSet, OwnerNew, TenantNew, TenantView};
use control::{Actor, Control};

use super::output::{show, table};
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
    /// Change what a customer may have
    Set {
        /// Number or name
        tenant: String,
        /// Domains
        #[arg(long, value_name = "NUMBER")]
        domains: Option<u32>,
        /// Accounts over all domains
        #[arg(long, value_name = "NUMBER")]
        accounts: Option<u32>,
        /// Connections at a time
        #[arg(long, value_name = "NUMBER")]
        connections: Option<u32>,
        /// Sessions at a time
        #[arg(long, value_name = "NUMBER")]
        sessions: Option<u32>,
        /// Stanzas of its users in a second, on average
        #[arg(long, value_name = "NUMBER")]
        stanzas_per_second: Option<u32>,
        /// Contacts in one user's roster
        #[arg(long, value_name = "NUMBER")]
        roster_items: Option<u32>,
        /// Bytes of messages that wait for its users
        #[arg(long, value_name = "NUMBER")]
        offline_bytes: Option<u64>,
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
                    ["number", "name", "state", "domains", "accounts", "since"],
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
                    ["number", "name", "state", "domains", "accounts", "since"],
                    [row(view)],
                )
            })
        }
        TenantCommand::Set {
            tenant,
            domains,
            accounts,
            connections,
            sessions,
            stanzas_per_second,
            roster_items,
            offline_bytes,
        } => {
            let set = LimitsSet {
                domains,
                accounts,
                connections,
                sessions,
                stanzas_per_second,
                roster_items,
                offline_bytes,
            };
            let id = resolve(control, actor, &tenant).await?;
            let view = control.tenant_set_limits(actor, id, set).await?;
            let limits = view.limits;
            say!(
                "{}: {} domains, {} accounts, {} connections, {} sessions, {} stanzas a second, {} contacts in a roster, {} \
                 bytes of offline messages",
                view.name,
                limits.domains,
                limits.accounts,
                limits.connections,
                limits.sessions,
                limits.stanzas_per_second,
                limits.roster_items,
                limits.offline_bytes
            );
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
        TenantCommand::Remove { tenant, yes } => {
            let id = resolve(control, actor, &tenant).await?;
            super::confirm(yes, &format!("customer {tenant} with everything it has"))?;
            let dangling = control.tenant_remove(actor, id).await?;
            say!("{tenant}: removed");
            super::domain::print_dangling(&dangling);
            Ok(0)
        }
    }
}

fn row(view: &TenantView) -> [String; 6] {
    [
        view.id.to_string(),
        view.name.clone(),
        view.state.to_owned(),
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
