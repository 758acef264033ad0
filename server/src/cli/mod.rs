//! The command line: every command, what it takes, and how it ends.
//!
//! Commands call the same operations of `control` as the panel does, as the process itself, on this machine's database; a
//! running server hears of it through the store's feed of changes. Passwords are read from standard input or drawn, never
//! taken as an argument, where `ps` and the shell's history would keep them.
//!
//! Exit codes: 0 done; 1 `check` found something critical; 2 asked wrongly; 3 not there; 4 not allowed; 5 in the way;
//! 6 try again; 70 our fault; 78 the configuration does not serve.

mod configuration;
mod sandbox;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, LogFormat, Problems};

/// Looked for when neither `--config` nor `--data-dir` is given.
const USUAL_FILES: &[&str] = &["domicile.toml", "/etc/domicile/domicile.toml"];

/// `domicile`.
#[derive(Debug, Parser)]
#[command(
    name = "domicile",
    version,
    about = "Hosts many customers' XMPP domains and proves to the world that it speaks for them.",
    max_term_width = 110
)]
#[command(
    after_help = "A first look: `domicile demo` starts everything on this machine, without any outside service."
)]
pub struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where the installation is.
#[derive(Debug, Clone, Args)]
struct Place {
    /// The configuration file [default: domicile.toml here, then /etc/domicile/domicile.toml]
    #[arg(long, global = true, env = "DOMICILE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of an installation or of a demo; its domicile.toml is used if it has one
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check or explain the configuration
    #[command(subcommand)]
    Config(configuration::ConfigCommand),
    /// Issue a certificate of a demo's CA, for a peer server in a test
    SandboxCert(sandbox::SandboxCert),
}

/// What a command ended with.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration does not serve.
    Config(Problems),
    /// Anything else: exit code, what happened, what to do.
    Other {
        code: u8,
        text: String,
        remedy: String,
    },
}

impl Failure {
    pub(crate) fn other(code: u8, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Other {
            code,
            text: text.into(),
            remedy: remedy.into(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::Other { code, .. } => *code,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Config(problems)
    }
}

/// Done, with this code (0 unless the command means something by another).
pub(crate) type Outcome = Result<u8, Failure>;

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Config(command) => configuration::run(&cli.place, &command),
        Command::SandboxCert(command) => sandbox::certificate(&cli.place, &command),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            match &failure {
                Failure::Config(problems) => eprintln!("domicile: {problems}"),
                Failure::Other { text, remedy, .. } if remedy.is_empty() => {
                    eprintln!("domicile: {text}")
                }
                Failure::Other { text, remedy, .. } => eprintln!("domicile: {text}\n  {remedy}"),
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Place {
    /// The file that is read, if there is one.
    fn file(&self) -> Option<PathBuf> {
        if let Some(file) = &self.config {
            return Some(file.clone());
        }
        if let Some(dir) = &self.data_dir {
            return Some(dir.join("domicile.toml")).filter(|file| file.exists());
        }
        USUAL_FILES
            .iter()
            .map(PathBuf::from)
            .find(|file| file.exists())
    }

    /// How the configuration is called in messages.
    fn source(&self) -> String {
        self.file().map_or_else(
            || "the configuration".into(),
            |file| file.display().to_string(),
        )
    }

    fn load(&self) -> Result<Config, Problems> {
        let mut config = Config::load(self.file().as_deref(), std::env::vars())?;
        if let Some(dir) = &self.data_dir {
            config.server.data_dir = dir.clone();
        }
        Ok(config)
    }

    fn data_dir(&self) -> Result<PathBuf, Failure> {
        Ok(self.load()?.server.data_dir)
    }
}

/// Sends the log to standard error. `RUST_LOG` and `DOMICILE_LOG` go before the configuration's filter.
pub(crate) fn start_log(filter: &str, format: LogFormat) -> Result<(), Failure> {
    use tracing_subscriber::EnvFilter;
    let variable = ["DOMICILE_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let filter = variable.as_deref().unwrap_or(filter);
    let parsed = EnvFilter::try_new(filter).map_err(|error| {
        Failure::other(
            78,
            format!("log.filter \"{filter}\" is not valid: {error}"),
            "Use a level (error, warn, info, debug, trace) or TARGET=LEVEL, separated by commas.",
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr);
    // A second call (a test, a command within the demo) keeps the first log.
    let _ = match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
    };
    Ok(())
}

/// A file cannot be written.
pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::other(
        2,
        format!("{}: cannot be written: {error}", path.display()),
        "Choose a directory that this user may write to.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent_and_every_command_says_what_it_does() {
        let command = Cli::command();
        command.clone().debug_assert();
        fn walk(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands() {
                let path = format!("{path} {}", sub.get_name());
                assert!(sub.get_about().is_some(), "{path} has no description");
                for argument in sub.get_arguments() {
                    assert!(
                        argument.get_help().is_some() || argument.is_hide_set(),
                        "{path} {} has no help",
                        argument.get_id()
                    );
                }
                walk(sub, &path);
            }
        }
        walk(&command, "domicile");
    }
}
