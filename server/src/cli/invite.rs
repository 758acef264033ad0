//! `domicile invite`: invitations to accounts of a domain.

use clap::Subcommand;
use control::invite::InviteAsk;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum InviteCommand {
    /// Make a link by which somebody makes themselves an account of the domain, once
    Add {
        /// Domain
        domain: String,
        /// The name that is kept for them; left out, they choose
        #[arg(long, value_name = "NAME")]
        local: Option<String>,
        /// The account whose contact they become, by its name
        #[arg(long, value_name = "NAME")]
        contact: Option<String>,
        /// Whom it is meant for, in your own words
        #[arg(long, default_value = "")]
        note: String,
        /// Days until it ends, 1 to 30
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List who is invited and has not come yet
    List {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an invitation back
    Remove {
        /// Domain
        domain: String,
        /// Its number, as `list` has it
        id: i64,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: InviteCommand) -> Outcome {
    match command {
        InviteCommand::Add {
            domain,
            local,
            contact,
            note,
            days,
            json,
        } => {
            let ask = InviteAsk {
                local,
                contact,
                note,
                days: Some(days),
            };
            let made = control.invite_add(actor, &domain, ask).await?;
            show(json, &made, |made| {
                format!(
                    "{}\n{}\ngood until {}, for one account",
                    made.link,
                    made.uri,
                    made.view.expires.to_xep0082()
                )
            })
        }
        InviteCommand::List { domain, json } => {
            let invites = control.invite_list(actor, &domain).await?;
            show(json, &invites, |invites| {
                table(
                    ["number", "name", "contact", "note", "by", "until"],
                    invites.iter().map(|view| {
                        [
                            view.id.to_string(),
                            view.local.clone().unwrap_or_default(),
                            view.contact.clone().unwrap_or_default(),
                            view.note.clone(),
                            view.by.clone(),
                            view.expires.to_xep0082(),
                        ]
                    }),
                )
            })
        }
        InviteCommand::Remove { domain, id } => {
            control.invite_remove(actor, &domain, id).await?;
            say!("{domain}: invitation {id} is taken back");
            Ok(0)
        }
    }
}
