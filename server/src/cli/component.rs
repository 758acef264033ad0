//! `domicile component`: programs that answer for a name below a hosted domain.

use clap::Subcommand;
use control::component::ComponentAsk;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum ComponentCommand {
    /// List a domain's components
    List {
        /// Hosted domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a program connect as NAME.DOMAIN; a secret is drawn and shown once. One that is there gets another secret
    Add {
        /// Hosted domain
        domain: String,
        /// Label: bridge
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take its name away: its connection ends
    Remove {
        /// Hosted domain
        domain: String,
        /// Label
        name: String,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: ComponentCommand) -> Outcome {
    match command {
        ComponentCommand::List { domain, json } => {
            let components = control.component_list(actor, &domain).await?;
            show(json, &components, |components| {
                let rows = components.iter();
                table(
                    ["name", "since"],
                    rows.map(|view| [view.name.clone(), view.created.to_xep0082()]),
                )
            })
        }
        ComponentCommand::Add { domain, name, json } => {
            let ask = ComponentAsk::default();
            let made = control.component_add(actor, &domain, &name, ask).await?;
            show(json, &made, |made| {
                format!("{}\nsecret  {}", made.view.name, made.secret)
            })
        }
        ComponentCommand::Remove { domain, name } => {
            control.component_remove(actor, &domain, &name).await?;
            say!("{name}: removed");
            Ok(0)
        }
    }
}
