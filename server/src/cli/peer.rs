//! `domicile peer`: the servers that hosted domains talk with, what happened there, and the trust anchors pinned for one.

use clap::Subcommand;
use control::peer::{PeerPin, PeerShow, PinnedView, Reached, Side, WayView};
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
    /// Pin trust anchors for one server: only certificates under them prove it from then on
    Pin {
        /// Hosted domain
        domain: String,
        /// Remote domain
        peer: String,
        /// PEM file with the server's own authority or certificate; "-" reads standard input
        #[arg(value_name = "FILE")]
        anchors: std::path::PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a server's pinned anchors away: it is judged by the public authorities again
    Unpin {
        /// Hosted domain
        domain: String,
        /// Remote domain
        peer: String,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: PeerCommand) -> Outcome {
    match command {
        PeerCommand::List { domain, json } => {
            let peers = control.peer_list(actor, &domain).await?;
            show(json, &peers, |peers| {
                table(
                    ["peer", "last", "good", "out", "in", "summary"],
                    peers.iter().map(|view| {
                        let good = if view.ok { "yes" } else { "no" };
                        let way = |way: &Option<WayView>| match way {
                            None => String::new(),
                            Some(way) if !way.ok => "no contact".into(),
                            Some(way) => way.prooftype.clone().unwrap_or_default(),
                        };
                        [
                            view.peer.clone(),
                            view.last.to_xep0082(),
                            good.into(),
                            way(&view.outgoing),
                            way(&view.incoming),
                            view.summary.clone(),
                        ]
                    }),
                )
            })
        }
        PeerCommand::Show { domain, peer, json } => {
            let shown = control.peer_show(actor, &domain, &peer).await?;
            show(json, &shown, story)
        }
        PeerCommand::Pin {
            domain,
            peer,
            anchors,
            json,
        } => {
            let pin = PeerPin {
                anchors_pem: super::read_text(
                    &anchors,
                    "Give a PEM file that holds certificates.",
                )?,
            };
            let pinned = control.peer_pin(actor, &domain, &peer, pin).await?;
            show(json, &pinned, |pinned| {
                format!("{}: pinned\n{}", pinned.peer, anchors_text(pinned))
            })
        }
        PeerCommand::Unpin { domain, peer } => {
            control.peer_unpin(actor, &domain, &peer).await?;
            say!("{peer}: judged by the public authorities again");
            Ok(0)
        }
    }
}

fn anchors_text(pinned: &PinnedView) -> String {
    let mut text = String::new();
    for anchor in &pinned.anchors {
        text.push_str(&format!(
            "  {}\n    SHA-256 {}\n    until {}{}\n",
            anchor.subject,
            anchor.fingerprint,
            anchor.not_after.to_xep0082(),
            if anchor.expired { ", expired" } else { "" }
        ));
    }
    text
}

/// The attempts as people read them: the way with where it broke, why, and whose turn it is.
fn story(shown: &PeerShow) -> String {
    let mut text = format!("{}: {}\n", shown.view.peer, shown.view.summary);
    if let Some(pinned) = &shown.pinned {
        text.push_str(&format!(
            "\nTrusted by its own certificate only:\n{}",
            anchors_text(pinned)
        ));
    }
    for attempt in &shown.attempts {
        let direction = match attempt.fact("direction") {
            "in" => "they called us",
            "out" => "we called them",
            other => other,
        };
        text.push_str(&format!(
            "\n{}  {direction}: {}\n",
            attempt.fact("at"),
            attempt.fact("summary")
        ));
        for step in &attempt.steps {
            let mark = match step.reached {
                Reached::Done => "passed     ",
                Reached::Broken => "ENDED HERE ",
                Reached::Later => "not reached",
            };
            text.push_str(
                &format!("  {mark}  {:<10}  {}\n", step.name, step.seen).replace("  \n", "\n"),
            );
        }
        for proof in &attempt.proofs {
            let holds = match (proof.holds, proof.minor) {
                (true, _) => "holds",
                (false, false) => "does not hold",
                (false, true) => "has nothing to say",
            };
            text.push_str(&format!("  {} {holds}: {}\n", proof.prooftype, proof.text));
        }
        text.push_str(&format!("  {}\n", attempt.why));
        let said = attempt.fact("remote_error");
        if !said.is_empty() {
            text.push_str(&format!("  they said: {said}\n"));
        }
        let side = match attempt.side {
            Side::Nobody => continue,
            Side::Theirs => "theirs",
            Side::Ours => "ours",
            Side::Dns => "their DNS",
            Side::Network => "the network",
            Side::Policy => "your settings",
        };
        text.push_str(&format!("  to fix, {side}: {}\n", attempt.fix));
    }
    text
}
