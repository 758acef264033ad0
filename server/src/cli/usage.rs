//! `domicile usage`: what customers use of what they may have, and how that went.

use clap::{Args, Subcommand};
use control::{Actor, Control};

use super::output::{show, table};
use super::tenant::resolve;
use super::{Outcome, series};

/// Of whom, and how it is written.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Usage {
    #[command(subcommand)]
    over_time: Option<OverTime>,
    /// Customer (number or name); without it, every one
    #[arg(long)]
    tenant: Option<String>,
    /// Print a table for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum OverTime {
    /// What moved and was kept over time: sessions, stanzas, archives, uploads, days of certificate
    Series(series::Series),
}

pub(super) async fn run(control: &Control, actor: &Actor, command: Usage) -> Outcome {
    if let Some(OverTime::Series(command)) = command.over_time {
        return series::run(control, actor, command).await;
    }
    let tenant = match &command.tenant {
        Some(tenant) => Some(resolve(control, actor, tenant).await?),
        None => None,
    };
    if command.csv {
        let mut after = None;
        loop {
            let part = control.usage_csv(actor, tenant, after).await?;
            if !part.text.is_empty() {
                say!("{}", part.text.trim_end());
            }
            after = part.next;
            if after.is_none() {
                return Ok(0);
            }
        }
    }
    let mut views = Vec::new();
    let mut from = Some(0);
    while let Some(at) = from {
        let page = control.usage(actor, tenant, "", at).await?;
        views.extend(page.usage);
        from = page.next;
    }
    show(command.json, &views, |views| {
        let rows = views.iter().flat_map(|view| {
            view.quotas.iter().map(move |quota| {
                [
                    view.name.clone(),
                    quota.kind.to_owned(),
                    quota
                        .used
                        .map_or_else(|| "-".into(), |used| used.to_string()),
                    quota.soft.to_string(),
                    quota.hard.to_string(),
                    quota.level.to_owned(),
                ]
            })
        });
        let mut text = table(["name", "what", "used", "soft", "hard", "level"], rows);
        for view in views {
            for quota in view.warnings() {
                text.push_str(&format!("\n{}: {}", view.name, quota.note));
            }
        }
        text
    })
}
