//! The command line: every command, what it takes, and how it ends.
//!
//! Commands call the same operations of `control` as the panel does, as the process itself, on this machine's database; a
//! running server hears of it through the store's feed of changes. Passwords are read from standard input or drawn, never
//! taken as an argument, where `ps` and the shell's history would keep them.
//!
//! Exit codes: 0 done; 1 `check` found something critical; 2 asked wrongly; 3 not there; 4 not allowed; 5 in the way;
//! 6 try again; 70 our fault; 78 the configuration does not serve.

/// Prints a line. A reader who has gone (`| head`) is no error, and no panic either.
macro_rules! say {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($arg)*);
    }};
}
pub(crate) use say;

mod audit;
mod certificate;
mod check;
mod component;
mod configuration;
mod domain;
mod invite;
mod keys;
mod operator;
mod outage;
mod output;
mod peer;
mod plan;
mod portable;
mod relay_secret;
mod report;
mod sandbox;
mod series;
mod specs;
mod tenant;
mod token;
mod usage;
mod user;
mod webhook;
mod zone;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use control::{Actor, ControlError, Secret};
use store::StoreError;

use crate::config::{Config, LogFormat, Problems};
use crate::demo::{self, Demo};
use crate::net::lookup::Resolver;
use crate::running;
use crate::wiring::{self, WiringError};

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
    /// Start everything on this machine: a sandbox DNS and certificate authority, two live domains, users, the panel
    Demo(Demo),
    /// Run the service
    Serve,
    /// Say what the world sees of any domain: DNS, TLS, who would accept it; exit 1 on critical findings
    Check(check::Check),
    /// Customers
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Plans: what customers may have
    #[command(subcommand)]
    Plan(plan::PlanCommand),
    /// What customers use of what they may have
    Usage(usage::Usage),
    /// People who run the platform or a customer's domains
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Hosted domains: records, checks, states
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// Certificates of hosted domains
    #[command(subcommand, visible_alias = "certificate")]
    Cert(certificate::CertCommand),
    /// Accounts of hosted domains
    #[command(subcommand)]
    User(user::UserCommand),
    /// Invitations to accounts of hosted domains
    #[command(subcommand)]
    Invite(invite::InviteCommand),
    /// Write what a domain's people have into a file that other servers read (XEP-0227)
    Export(portable::ExportArgs),
    /// Take in what people have on another server (XEP-0227: Prosody, ejabberd, or another Domicile)
    Import(portable::ImportArgs),
    /// Other servers that hosted domains talk with
    #[command(subcommand)]
    Peer(peer::PeerCommand),
    /// Programs that answer for names below hosted domains
    #[command(subcommand)]
    Component(component::ComponentCommand),
    /// What people of hosted domains report to their owners
    #[command(subcommand)]
    Report(report::ReportCommand),
    /// Outages: what people's clients show when a domain does not answer
    #[command(subcommand)]
    Outage(outage::OutageCommand),
    /// API tokens of operators
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Webhooks: where customers' own servers are told what is done
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// The platform's zone
    #[command(subcommand)]
    Zone(zone::ZoneCommand),
    /// What was done, by whom
    Audit(audit::Audit),
    /// Bring the database's schema up to date (`serve` does so at start)
    Migrate,
    /// The master key that seals private keys in the database
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// What is implemented: RFCs and XEPs with their versions
    Specs(specs::Specs),
    /// Check or explain the configuration
    #[command(subcommand)]
    Config(configuration::ConfigCommand),
    /// Issue a certificate of a demo's CA, for a peer server in a test
    SandboxCert(sandbox::SandboxCert),
}

/// What a command ended with.
#[derive(Debug)]
pub enum Failure {
    /// The configuration does not serve.
    Config(Problems),
    /// Anything else.
    Other {
        /// Exit code.
        code: u8,
        /// What happened.
        text: String,
        /// What to do; may be empty.
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
pub type Outcome = Result<u8, Failure>;

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Config(command) => configuration::run(&cli.place, &command),
        Command::SandboxCert(command) => sandbox::certificate(&cli.place, &command),
        Command::Specs(command) => specs::run(&command),
        Command::Demo(demo) => start_log("warn", LogFormat::Text)
            .and_then(|()| with_runtime(demo::run(demo, cli.place.data_dir))),
        Command::Serve => serve(&cli.place),
        command => with_runtime(run_on_store(cli.place, command)),
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

fn with_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| {
            Failure::other(
                70,
                format!("the process cannot start its tasks: {error}"),
                "Look at the limits of processes and open files.",
            )
        })?
        .block_on(work)
}

fn serve(place: &Place) -> Outcome {
    let config = place.load()?;
    config.check_for_serve(&place.source())?;
    start_log(&config.log.filter, config.log.format)?;
    with_runtime(running::serve(config))
}

/// Commands that work on the database of this machine.
async fn run_on_store(place: Place, command: Command) -> Outcome {
    let config = place.load()?;
    // A command's own words are its output; the log speaks up only for what they leave out.
    start_log("warn", config.log.format)?;
    match command {
        Command::Migrate => {
            wiring::open_store(&config).await?.close().await;
            say!(
                "{}: the schema is up to date",
                config.server.data_dir.display()
            );
            return Ok(0);
        }
        Command::Keys(command) => return keys::run(&config, &command).await,
        Command::Check(command) => return check::run(&config, &command).await,
        _ => {}
    }
    let store = wiring::open_store(&config).await?;
    let lookup = Resolver::new(&config.dns).map_err(|problem| Failure::other(78, problem, ""))?;
    let control = wiring::offline_control(&config, store.clone(), lookup).await?;
    let actor = Actor::system("cli");
    let outcome = match command {
        Command::Tenant(command) => tenant::run(&control, &actor, command).await,
        Command::Plan(command) => plan::run(&control, &actor, command).await,
        Command::Usage(command) => usage::run(&control, &actor, command).await,
        Command::Operator(command) => {
            let panel = config.panel.url.trim_end_matches('/');
            operator::run(&control, &actor, panel, command).await
        }
        Command::Domain(command) => domain::run(&control, &actor, command).await,
        Command::Cert(command) => certificate::run(&control, &actor, command).await,
        Command::User(command) => user::run(&control, &actor, command).await,
        Command::Invite(command) => invite::run(&control, &actor, command).await,
        Command::Export(args) => portable::export(&control, &actor, args).await,
        Command::Import(args) => portable::import(&control, &actor, args).await,
        Command::Peer(command) => peer::run(&control, &actor, command).await,
        Command::Component(command) => component::run(&control, &actor, command).await,
        Command::Outage(command) => outage::run(&control, &actor, command).await,
        Command::Report(command) => report::run(&control, &actor, command).await,
        Command::Token(command) => token::run(&control, &actor, command).await,
        Command::Webhook(command) => webhook::run(&control, &actor, command).await,
        Command::Zone(command) => zone::run(&control, &actor, command).await,
        Command::Audit(command) => audit::run(&control, &actor, command).await,
        Command::Demo(_)
        | Command::Check(_)
        | Command::Serve
        | Command::Migrate
        | Command::Keys(_)
        | Command::Config(_)
        | Command::Specs(_)
        | Command::SandboxCert(_) => Ok(0),
    };
    store.close().await;
    outcome
}

/// A password for a command that sets one.
#[derive(Debug, Clone, Args)]
pub(crate) struct Password {
    /// Read the password from the first line of standard input; without it one is drawn and printed
    #[arg(long)]
    password_stdin: bool,
}

impl Password {
    /// The password that was given, if one was.
    pub(crate) fn given(&self) -> Result<Option<Secret>, Failure> {
        if !self.password_stdin {
            return Ok(None);
        }
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| {
            Failure::other(
                2,
                format!("the password cannot be read: {error}"),
                "Write it to standard input, as UTF-8.",
            )
        })?;
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(Failure::other(
                2,
                "there is no password on standard input",
                "Write it to standard input, or leave --password-stdin out to have one drawn.",
            ));
        }
        Ok(Some(Secret::from(password)))
    }

    /// The password that was given, or a fresh one and `true`.
    pub(crate) fn given_or_drawn(&self) -> Result<(Secret, bool), Failure> {
        Ok(match self.given()? {
            Some(password) => (password, false),
            None => (draw_password(), true),
        })
    }
}

/// Twenty characters that are easily read out: 100 bits.
pub(crate) fn draw_password() -> Secret {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = rand::random::<[u8; 20]>()
        .map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    let groups: Vec<String> = letters
        .chunks(5)
        .map(|group| group.iter().collect())
        .collect();
    Secret::from(groups.join("-"))
}

/// The text of a file; `-` is standard input. `remedy` says what the file should hold.
fn read_text(file: &Path, remedy: &str) -> Result<String, Failure> {
    let read = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| {
        Failure::other(
            2,
            format!("{}: cannot be read: {error}", file.display()),
            remedy,
        )
    })
}

/// Nothing is erased without a word.
pub(crate) fn confirm(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        Ok(())
    } else {
        Err(Failure::other(
            2,
            format!("this erases {what}, for good"),
            "Say --yes if that is what you want.",
        ))
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        if error.exit_code() >= 6 {
            tracing::error!(error = error.log_text(), "the command failed");
        }
        Self::Other {
            code: error.exit_code(),
            text: error.to_string(),
            remedy: error.remedy(),
        }
    }
}

impl From<WiringError> for Failure {
    fn from(error: WiringError) -> Self {
        let code = match &error {
            WiringError::Store(StoreError::Busy | StoreError::Unavailable(_)) => 6,
            WiringError::Store(StoreError::Corrupt { .. } | StoreError::Other(_)) => 70,
            _ => 78,
        };
        Self::other(code, error.to_string(), "")
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
    // The DNS libraries write a line per question at `info`; who wants them names them.
    let quiet = if filter.contains("hickory") {
        ""
    } else {
        "hickory_server=warn,hickory_resolver=warn,hickory_net=warn,hickory_proto=warn,"
    };
    let parsed = EnvFilter::try_new(format!("{quiet}{filter}")).map_err(|error| {
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
