//! `domicile outage`: what people's clients show when a domain does not answer (XEP-0455).

use clap::Subcommand;
use control::outage::Outage;
use control::{Actor, Control};

use super::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum OutageCommand {
    /// Announce one, or change what is announced
    Announce {
        /// What people are told; --text says it in other languages
        message: String,
        /// Only for this domain [default: for all of the platform]
        #[arg(long)]
        domain: Option<String>,
        /// When it begins, as in 2026-12-24T18:00:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        beginning: Option<String>,
        /// When it will have ended, if that is known
        #[arg(long, value_name = "TIME")]
        end: Option<String>,
        /// It is planned
        #[arg(long)]
        planned: bool,
        /// The same in another language, as in de=Wartung; several times for several
        #[arg(long, value_name = "LANGUAGE=TEXT")]
        text: Vec<String>,
    },
    /// It is over
    Over {
        /// Of this domain [default: of all of the platform]
        #[arg(long)]
        domain: Option<String>,
    },
    /// Print the document that clients read, to be put where it can be read while this machine is down
    Show {
        /// Of this domain [default: of all of the platform]
        #[arg(long)]
        domain: Option<String>,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: OutageCommand) -> Outcome {
    match command {
        OutageCommand::Announce {
            message,
            domain,
            beginning,
            end,
            planned,
            text,
        } => {
            let mut texts = std::collections::BTreeMap::from([("default".to_owned(), message)]);
            for text in text {
                let Some((language, text)) = text.split_once('=') else {
                    let problem = format!("--text {text}: there is no = in it");
                    return Err(Failure::other(2, problem, "Write LANGUAGE=TEXT."));
                };
                texts.insert(language.to_owned(), text.to_owned());
            }
            let outage = Outage {
                planned,
                beginning: beginning.unwrap_or_default(),
                expected_end: end,
                message: texts,
            };
            control
                .outage_set(actor, domain.as_deref(), Some(outage))
                .await?;
            say!("{}: announced", domain.as_deref().unwrap_or("all domains"));
            Ok(0)
        }
        OutageCommand::Over { domain } => {
            control.outage_set(actor, domain.as_deref(), None).await?;
            say!("{}: over", domain.as_deref().unwrap_or("all domains"));
            Ok(0)
        }
        OutageCommand::Show { domain } => {
            let said = control.outage_show(actor, domain.as_deref()).await?;
            let text = said.map(|outage| serde_json::to_string_pretty(&outage));
            let text = text
                .transpose()
                .map_err(|error| Failure::other(70, error.to_string(), ""))?;
            say!("{}", text.unwrap_or_else(|| "{}".into()));
            Ok(0)
        }
    }
}
