//! `domicile config`: the generated example, and whether a file serves.

use clap::Subcommand;

use super::{Outcome, Place};
use crate::config::Config;

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
            say!("{}: good", place.source());
            Ok(0)
        }
    }
}
