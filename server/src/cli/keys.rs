//! `domicile keys`: replacing the master key.

use clap::Subcommand;
use store::{Sealer, Store};

use super::{Failure, Outcome};
use crate::config::Config;
use crate::wiring::master_key_files;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Seal everything afresh with a new master key; stop the server first: beside one that runs, nothing is done. Safe to
    /// repeat after a crash
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
    // A server that works on would not open what is sealed afresh, and would seal what it writes with a key that is gone. So the
    // lead is held until the new key has its place, and whoever waits for it reads the key again once it has it.
    let url = config.database_url();
    let open = async |sealer: Sealer| {
        let opened = Store::open(url.expose(), sealer).await;
        opened.map_err(crate::wiring::WiringError::from)
    };
    let read = || Sealer::from_file(&file).map_err(fault);
    let asking = open(read()?).await?;
    let lead = asking.lead_if_free().await;
    let lead = lead.map_err(crate::wiring::WiringError::from)?;
    let Some(lead) = lead else {
        asking.close().await;
        return Err(Failure::other(
            5,
            "a server works with this database, and nothing was changed",
            "Stop it, and every one that stands by for it, call this again, and start them; \
             `domicile serve` reads the new key by itself.",
        ));
    };
    let old = read()?;
    let fresh = if next.exists() {
        Sealer::from_file(&next)
    } else {
        Sealer::generate_file(&next)
    }
    .map_err(fault)?;
    let store = open(fresh.with_older(old)).await?;
    let sealed = store
        .keys_rotate()
        .await
        .map_err(crate::wiring::WiringError::from)?;
    let kept = file.with_extension("old");
    std::fs::rename(&file, &kept)
        .and_then(|()| std::fs::rename(&next, &file))
        .map_err(|error| fault(format!("{}: cannot be replaced: {error}", file.display())))?;
    // Another command may have begun with the former key, and sealed something with it meanwhile.
    let late = store.keys_rotate().await;
    let sealed = sealed + late.map_err(crate::wiring::WiringError::from)?;
    store.close().await;
    lead.end().await;
    asking.close().await;
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
