//! `domicile check`: what the world sees of a domain, any domain.

use std::io::IsTerminal as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use dna::Service;
use xmpp::jid::DomainName;

use super::output::show;
use super::{Failure, Outcome};
use crate::check::paint::{Paint, text};
use crate::check::{Eyes, LONGEST, look};
use crate::config::Config;
use crate::net::lookup::Resolver;
use crate::wiring;

/// Exit status when nothing could be examined, or the question cannot be asked.
const UNEXAMINED: u8 = 2;

#[derive(Debug, Args)]
#[command(
    after_help = "Looks at DNS (SRV, addresses, DNSSEC, TLSA), every address (TLS versions, certificate, what the stream offers) and \
the website (POSH, host-meta), and says who would believe the domain and what to mend. It needs neither a database nor a \
running server, and logs in nowhere.\n\nExit status: 0 nothing critical; 1 critical findings; 2 could not examine.\n\
Colours are left out when NO_COLOR is set or the output is no terminal."
)]
pub(super) struct Check {
    /// Any domain, hosted here or not
    domain: String,
    /// Look at one service only
    #[arg(long, value_enum)]
    service: Option<Which>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which service.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// For apps
    Client,
    /// For other servers
    Server,
}

pub(super) async fn run(config: &Config, command: &Check) -> Outcome {
    let domain = DomainName::parse(&command.domain).map_err(|error| {
        Failure::other(
            UNEXAMINED,
            format!("\"{}\" is not a domain name: {error}", command.domain),
            "Give a name such as example.com.",
        )
    })?;
    let services: &[Service] = match command.service {
        None => &[Service::Client, Service::Server],
        Some(Which::Client) => &[Service::Client],
        Some(Which::Server) => &[Service::Server],
    };
    let lookup: Arc<dyn dna::Lookup> =
        Resolver::new(&config.dns).map_err(|problem| Failure::other(78, problem, ""))?;
    let anchors = Arc::new(wiring::anchors(config)?);
    let eyes = Eyes {
        fetch: wiring::web(config, &lookup, &anchors)?,
        lookup,
        anchors,
        web_port: config.posh.port,
        private: config.platform.private_addresses,
    };
    let looking = Box::pin(look(&domain, services, &eyes));
    let report = tokio::time::timeout(LONGEST, looking).await.map_err(|_| {
        Failure::other(
            UNEXAMINED,
            format!(
                "{domain}: the examination took longer than {} seconds",
                LONGEST.as_secs()
            ),
            "Try one service with --service client or --service server.",
        )
    })?;
    let no_color = std::env::var("NO_COLOR").ok();
    let paint = Paint::for_output(std::io::stdout().is_terminal(), no_color.as_deref());
    show(command.json, &report, |report| text(report, paint))?;
    Ok(match (report.critical, report.unexamined) {
        (0, true) => UNEXAMINED,
        (0, false) => 0,
        _ => 1,
    })
}
