//! `domicile check`: what the world sees of a domain, any domain.

use std::sync::Arc;

use clap::Args;
use xmpp::jid::DomainName;

use super::output::show;
use super::{Failure, Outcome};
use crate::check::{Grade, Report, look};
use crate::config::Config;
use crate::net::lookup::Resolver;
use crate::wiring;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Any domain, hosted here or not
    domain: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, command: &Check) -> Outcome {
    let domain = DomainName::parse(&command.domain).map_err(|error| {
        Failure::other(
            2,
            format!("\"{}\" is not a domain name: {error}", command.domain),
            "Give a name such as example.com.",
        )
    })?;
    let lookup = Resolver::new(&config.dns).map_err(|problem| Failure::other(78, problem, ""))?;
    let anchors = Arc::new(wiring::anchors(config)?);
    let report = look(&domain, lookup.as_ref(), anchors).await;
    show(command.json, &report, text)?;
    Ok(u8::from(report.critical > 0))
}

fn text(report: &Report) -> String {
    let mut text = if report.ascii == report.domain {
        format!("{}\n", report.domain)
    } else {
        format!("{} ({})\n", report.domain, report.ascii)
    };
    for row in &report.rows {
        let word = match row.grade {
            Grade::Good => "good    ",
            Grade::Info => "info    ",
            Grade::Unknown => "unknown ",
            Grade::Warning => "warning ",
            Grade::Critical => "CRITICAL",
        };
        text.push_str(&format!(
            "{word}  {}  {}: {}\n",
            row.check, row.subject, row.observed
        ));
        if !row.fix.is_empty() {
            text.push_str(&format!("          fix: {}\n", row.fix));
        }
    }
    text
}
