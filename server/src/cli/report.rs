//! `domicile report`: what a domain's people report to its owner (XEP-0377).

use clap::Subcommand;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// List what people of a domain have reported, the latest first
    List {
        /// Hosted domain
        domain: String,
        /// Older than the report of this number
        #[arg(long)]
        before: Option<i64>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: ReportCommand) -> Outcome {
    match command {
        ReportCommand::List {
            domain,
            before,
            json,
        } => {
            let reports = control.report_list(actor, &domain, before).await?;
            show(json, &reports, |reports| {
                table(
                    ["number", "when", "who", "whom", "what for", "words"],
                    reports.iter().map(|report| {
                        [
                            report.id.to_string(),
                            report.at.to_xep0082(),
                            report.account.clone(),
                            report.jid.clone(),
                            report.reason.clone(),
                            report.text.clone(),
                        ]
                    }),
                )
            })
        }
    }
}
