//! `domicile config`: the generated example, and whether a file serves.

use clap::Subcommand;

use super::{Failure, Outcome, Place, with_runtime};
use crate::config::Config;
use crate::net::lookup::Resolver;
use crate::wiring;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a file with every key, its default and its meaning
    Example,
    /// Say everything that is wrong with the configuration, the environment's part included
    Check,
}

pub(super) fn run(place: &Place, command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Example => {
            say!("{}", Config::example().trim_end());
            Ok(0)
        }
        ConfigCommand::Check => {
            let config = place.load()?;
            config.check_for_serve(&place.source())?;
            // The files that it names, as `serve` reads them at its start.
            with_runtime(async {
                wiring::anchors(&config)?;
                wiring::zone(&config)?;
                if let Some(bucket) = wiring::bucket(&config)? {
                    // It may be down for other reasons than the configuration, but who asks wants to know.
                    let checked = bucket.check().await;
                    checked.map_err(|error| Failure::other(6, error.to_string(), ""))?;
                }
                Resolver::new(&config.dns).map_err(|problem| Failure::other(78, problem, ""))?;
                Ok(0)
            })?;
            say!("{}: good", place.source());
            Ok(0)
        }
    }
}
