//! `domicile keys`: replacing the master key.

use clap::Subcommand;
use store::{Sealer, Store};

use super::{Failure, Outcome};
use crate::config::Config;
use crate::wiring::master_key_files;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Seal everything afresh with a new master key; stop the server first. Safe to repeat after a crash
    Rotate,
}

pub(super) async fn run(config: &Config, command: &KeysCommand) -> Outcome {
    match command {
        KeysCommand::Rotate => rotate(config).await,
    }
}

/// The next key is written before it seals anything, and takes the old one's place only when nothing needs that any more.
async fn rotate(config: &Config) -> Outcome {
    let fault = |problem: String| Failure::other(78, problem, "");
    if std::env::var_os("DOMICILE_MASTER_KEY").is_some() {
        return Err(Failure::other(
            78,
            "the master key comes from DOMICILE_MASTER_KEY, which this command cannot change",
            "Write the key to server.master_key_file (mode 0600), unset the variable, and call this again.",
        ));
    }
    let (file, next) = master_key_files(config);
    let old = Sealer::from_file(&file).map_err(fault)?;
    let fresh = if next.exists() {
        Sealer::from_file(&next)
    } else {
        Sealer::generate_file(&next)
    }
    .map_err(fault)?;
    let store = Store::open(config.database_url().expose(), fresh.with_older(old))
        .await
        .map_err(crate::wiring::WiringError::from)?;
    let sealed = store
        .keys_rotate()
        .await
        .map_err(crate::wiring::WiringError::from)?;
    store.close().await;
    let kept = file.with_extension("old");
    std::fs::rename(&file, &kept)
        .and_then(|()| std::fs::rename(&next, &file))
        .map_err(|error| fault(format!("{}: cannot be replaced: {error}", file.display())))?;
    say!(
        "{sealed} values are sealed with the new key in {}",
        file.display()
    );
    say!(
        "The former key is in {}: keep it as long as you keep backups that it opens.",
        kept.display()
    );
    Ok(0)
}
