//! `domicile plan`: what customers may have.

use clap::{Args, Subcommand};
use control::plan::{PlanSet, PlanView};
use control::tenant::LimitsSet;
use control::{Actor, Control, Limits};

use super::output::{show, table};
use super::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum PlanCommand {
    /// Make a plan; what it names no limit of follows the configuration
    Add {
        /// What it is called
        name: String,
        /// It is for every customer that was given no other
        #[arg(long)]
        usual: bool,
        /// Warn a customer from this part of a limit on, in percent [default: 80]
        #[arg(long, value_name = "PERCENT")]
        soft_percent: Option<u32>,
        #[command(flatten)]
        limits: LimitArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List plans
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one plan
    Show {
        /// Number or name
        plan: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a plan; it holds at once for every customer that has it
    Set {
        /// Number or name
        plan: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Whether it is for every customer that was given no other
        #[arg(long, value_name = "BOOL")]
        usual: Option<bool>,
        /// Warn a customer from this part of a limit on, in percent
        #[arg(long, value_name = "PERCENT")]
        soft_percent: Option<u32>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Remove a plan that no customer was given
    Remove {
        /// Number or name
        plan: String,
    },
}

/// Limits, each of which may be left out.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
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
    /// Other servers at a time, counted for each domain
    #[arg(long, value_name = "NUMBER")]
    peers: Option<u32>,
    /// Contacts in one user's roster
    #[arg(long, value_name = "NUMBER")]
    roster_items: Option<u32>,
    /// Bytes of messages that wait for its users
    #[arg(long, value_name = "NUMBER")]
    offline_bytes: Option<u64>,
    /// Bytes of its users' archives; over it the oldest messages go
    #[arg(long, value_name = "NUMBER")]
    archive_bytes: Option<u64>,
    /// Bytes of files that its users have uploaded
    #[arg(long, value_name = "NUMBER")]
    upload_bytes: Option<u64>,
}

impl LimitArgs {
    pub(super) fn set(self) -> LimitsSet {
        LimitsSet {
            domains: self.domains,
            accounts: self.accounts,
            connections: self.connections,
            sessions: self.sessions,
            stanzas_per_second: self.stanzas_per_second,
            peers: self.peers,
            roster_items: self.roster_items,
            offline_bytes: self.offline_bytes,
            archive_bytes: self.archive_bytes,
            upload_bytes: self.upload_bytes,
        }
    }
}

/// Limits on one line.
pub(super) fn said(limits: &Limits) -> String {
    format!(
        "{} domains, {} accounts, {} connections, {} sessions, {} stanzas a second, {} peers, {} contacts in a roster, {} bytes \
         of offline messages, {} bytes of archives, {} bytes of uploads",
        limits.domains,
        limits.accounts,
        limits.connections,
        limits.sessions,
        limits.stanzas_per_second,
        limits.peers,
        limits.roster_items,
        limits.offline_bytes,
        limits.archive_bytes,
        limits.upload_bytes
    )
}

pub(super) async fn run(control: &Control, actor: &Actor, command: PlanCommand) -> Outcome {
    match command {
        PlanCommand::Add {
            name,
            usual,
            soft_percent,
            limits,
            json,
        } => {
            let new = PlanSet {
                name: Some(name),
                usual: Some(usual),
                soft_percent,
                limits: limits.set(),
                version: None,
            };
            let view = control.plan_add(actor, new).await?;
            show(json, &view, |view| {
                format!("{}: added as number {}", view.name, view.id)
            })
        }
        PlanCommand::List { json } => {
            let plans = control.plan_list(actor).await?;
            show(json, &plans, |plans| {
                table(
                    [
                        "number",
                        "name",
                        "usual",
                        "customers",
                        "domains",
                        "accounts",
                    ],
                    plans.iter().map(row),
                )
            })
        }
        PlanCommand::Show { plan, json } => {
            let id = resolve(control, actor, &plan).await?;
            let view = control.plan_show(actor, id).await?;
            show(json, &view, |view| {
                format!(
                    "{}: {}; warned from {} percent on",
                    view.name,
                    said(&view.limits),
                    view.soft_percent
                )
            })
        }
        PlanCommand::Set {
            plan,
            name,
            usual,
            soft_percent,
            limits,
        } => {
            let id = resolve(control, actor, &plan).await?;
            let set = PlanSet {
                name,
                usual,
                soft_percent,
                limits: limits.set(),
                version: None,
            };
            let view = control.plan_set(actor, id, set).await?;
            say!("{}: {}", view.name, said(&view.limits));
            Ok(0)
        }
        PlanCommand::Remove { plan } => {
            let id = resolve(control, actor, &plan).await?;
            control.plan_remove(actor, id).await?;
            say!("{plan}: removed");
            Ok(0)
        }
    }
}

fn row(view: &PlanView) -> [String; 6] {
    [
        view.id.to_string(),
        view.name.clone(),
        if view.usual { "yes" } else { "no" }.to_owned(),
        view.tenants.to_string(),
        view.limits.domains.to_string(),
        view.limits.accounts.to_string(),
    ]
}

/// A plan's number from its number or name.
pub(super) async fn resolve(control: &Control, actor: &Actor, plan: &str) -> Result<i64, Failure> {
    if let Ok(id) = plan.parse() {
        return Ok(id);
    }
    let plans = control.plan_list(actor).await?;
    let named = plans.iter().find(|view| view.name == plan);
    named.map(|view| view.id).ok_or_else(|| {
        Failure::other(
            3,
            format!("there is no plan \"{plan}\" here"),
            "`domicile plan list` shows which there are.",
        )
    })
}
