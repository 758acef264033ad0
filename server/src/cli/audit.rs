//! `domicile audit`: what was done, by whom.

use clap::Args;
use control::audit::AuditQuery;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};
use super::tenant::resolve;

/// Which entries, and how they are written.
#[derive(Debug, Args)]
pub(super) struct Audit {
    /// Customer (number or name); without it, everybody's
    #[arg(long)]
    tenant: Option<String>,
    /// Of this domain
    #[arg(long, default_value = "")]
    domain: String,
    /// An operation (account.add), or every one of a noun (account)
    #[arg(long, default_value = "")]
    operation: String,
    /// By this actor (e-mail address, cli, worker)
    #[arg(long, default_value = "")]
    actor: String,
    /// From this day or time on: 2026-11-26, 2026-11-26T08:00:00Z
    #[arg(long, default_value = "")]
    since: String,
    /// Until this day or time
    #[arg(long, default_value = "")]
    until: String,
    /// Older than the entry of this number
    #[arg(long)]
    before: Option<i64>,
    /// At most so many, 10000 at most
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Print a table for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(control: &Control, actor: &Actor, command: Audit) -> Outcome {
    let tenant = match &command.tenant {
        Some(tenant) => Some(resolve(control, actor, tenant).await?),
        None => None,
    };
    let query = AuditQuery {
        tenant,
        domain: command.domain,
        operation: command.operation,
        actor: command.actor,
        since: command.since,
        until: command.until,
        before: command.before,
        limit: Some(command.limit),
    };
    if command.csv {
        say!("{}", control.audit_csv(actor, &query).await?.trim_end());
        return Ok(0);
    }
    let entries = control.audit_list(actor, &query).await?;
    show(command.json, &entries, |entries| {
        table(
            ["number", "when", "who", "role", "what", "to what", "how"],
            entries.iter().map(|entry| {
                [
                    entry.id.to_string(),
                    entry.at.to_xep0082(),
                    entry.actor.clone(),
                    entry.role.clone(),
                    entry.operation.clone(),
                    entry.object.clone(),
                    entry.detail.clone(),
                ]
            }),
        )
    })
}
