//! `domicile domain relay-secret`: what a domain's own relays for calls know (XEP-0215).

use std::path::PathBuf;

use clap::Args;
use control::{Actor, Control, Secret};

use super::{Outcome, read_text};

/// Whose secret, and where it stands.
#[derive(Debug, Args)]
pub(super) struct RelaySecretArgs {
    /// Domain
    domain: String,
    /// File with the secret on one line; - for standard input
    #[arg(required_unless_present = "forget")]
    file: Option<PathBuf>,
    /// Forget the one that is kept
    #[arg(long, conflicts_with = "file")]
    forget: bool,
}

pub(super) async fn run(control: &Control, actor: &Actor, args: RelaySecretArgs) -> Outcome {
    let secret = match args.file {
        Some(file) => {
            let text = Secret::from(read_text(
                &file,
                "It holds the secret, as the relay has it.",
            )?);
            Some(Secret::from(text.expose().trim_end_matches(['\r', '\n'])))
        }
        None => None,
    };
    let said = if args.forget { "forgotten" } else { "kept" };
    control
        .external_secret_set(actor, &args.domain, secret)
        .await?;
    say!("{}: {said}", args.domain);
    Ok(0)
}
