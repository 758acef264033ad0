//! `domicile peer`: the servers that hosted domains talk with, and what happened there.

use clap::Subcommand;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum PeerCommand {
    /// List the servers that a domain talks with, the latest first
    List {
        /// Hosted domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what happened with one server
    Show {
        /// Hosted domain
        domain: String,
        /// Remote domain
        peer: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: PeerCommand) -> Outcome {
    match command {
        PeerCommand::List { domain, json } => {
            let peers = control.peer_list(actor, &domain).await?;
            show(json, &peers, |peers| {
                table(
                    ["peer", "last", "good", "proof", "summary"],
                    peers.iter().map(|view| {
                        let good = if view.ok { "yes" } else { "no" };
                        [
                            view.peer.clone(),
                            view.last.to_xep0082(),
                            good.into(),
                            view.prooftype.clone().unwrap_or_default(),
                            view.summary.clone(),
                        ]
                    }),
                )
            })
        }
        PeerCommand::Show { domain, peer, json } => {
            let shown = control.peer_show(actor, &domain, &peer).await?;
            show(json, &shown, |shown| {
                let mut text = format!("{}: {}\n", shown.view.peer, shown.view.summary);
                for attempt in &shown.attempts {
                    text.push_str(&format!("{attempt}\n"));
                }
                text
            })
        }
    }
}
