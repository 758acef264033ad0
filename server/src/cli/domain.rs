//! `domicile domain`: what is hosted, what its owner publishes, how it stands.

mod settings;
pub(super) mod text;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use control::domain::{DomainNew, import_rows};
use control::verdict::VerdictsAsk;
use control::{Actor, Control};

use self::settings::SetArgs;
use super::output::show;
use super::relay_secret::RelaySecretArgs;
use super::{Outcome, confirm};

#[derive(Debug, Subcommand)]
pub(super) enum DomainCommand {
    /// Add a domain; prints the records that its owner publishes
    Add {
        /// In any spelling
        domain: String,
        /// Customer, number or name
        #[arg(long)]
        tenant: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add thousands of domains from a CSV file of domain or domain,chain,key (PEM files, beside the list or with a full path)
    Import {
        /// The list; - for standard input
        file: PathBuf,
        /// Customer, number or name
        #[arg(long)]
        tenant: String,
        /// Serve them from now on: you answer for their owners' consent, as when they are served elsewhere already. The owners
        /// publish their tokens within the usual grace
        #[arg(long)]
        proven: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List domains, the most urgent first
    List {
        /// Customer, number or name; without it, all
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show where a domain stands, from the last look
    Show {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List rooms that outlive their occupants, a hundred at a time
    Rooms {
        /// Domain
        domain: String,
        /// Those after this one
        #[arg(long)]
        after: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the block lists that the domain follows, and how far they are known
    BlockLists {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep the secret of the domain's own relays for calls (XEP-0215, --external); nobody reads it again
    RelaySecret(RelaySecretArgs),
    /// List accounts that share files, those with the most bytes first
    Uploads {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the ways of proof, and what each costs
    Modes {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show who would accept the domain how: as it is, or in another mode once its owner has published what that wants
    Verdicts {
        /// Domain
        domain: String,
        /// In this mode; `domicile domain modes` lists them
        #[arg(long)]
        mode: Option<String>,
        /// With TLSA records for its host beside it
        #[arg(long, value_name = "true|false")]
        dane: Option<bool>,
        /// With POSH documents beside it
        #[arg(long, value_name = "true|false")]
        posh: Option<bool>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the records that the owner publishes
    Records {
        /// Domain
        domain: String,
        /// As a fragment of a zone file
        #[arg(long, conflicts_with = "json")]
        zone_file: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look whether the owner has proven the domain; exit 1 while not
    Verify {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Look at the domain now; exit 1 on critical findings
    Check {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a domain
    Set(SetArgs),
    /// Stop a domain; nothing is erased
    Suspend {
        /// Domain
        domain: String,
        /// What its owner is told
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Undo that
    Resume {
        /// Domain
        domain: String,
    },
    /// Erase a domain with its accounts, keys and certificates
    Remove {
        /// Domain
        domain: String,
        /// Yes, erase
        #[arg(long)]
        yes: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: DomainCommand) -> Outcome {
    match command {
        DomainCommand::Add {
            domain,
            tenant,
            json,
        } => add(control, actor, domain, &tenant, json).await,
        DomainCommand::Import {
            file,
            tenant,
            proven,
            json,
        } => import(control, actor, &file, (&tenant, proven), json).await,
        DomainCommand::List { tenant, json } => {
            let tenant = match tenant {
                Some(tenant) => Some(super::tenant::resolve(control, actor, &tenant).await?),
                None => None,
            };
            let domains = control.domain_list(actor, tenant).await?;
            show(json, &domains, |domains| text::domains(domains))
        }
        DomainCommand::Show { domain, json } => {
            let shown = control.domain_show(actor, &domain).await?;
            show(json, &shown, text::domain)
        }
        DomainCommand::Rooms {
            domain,
            after,
            json,
        } => {
            let rooms = control.room_list(actor, &domain, after.as_deref()).await?;
            show(json, &rooms, |rooms| text::rooms(rooms))
        }
        DomainCommand::BlockLists { domain, json } => {
            let lists = control.block_lists(actor, &domain).await?;
            show(json, &lists, |lists| text::block_lists(lists))
        }
        DomainCommand::RelaySecret(args) => super::relay_secret::run(control, actor, args).await,
        DomainCommand::Uploads { domain, json } => {
            let uploads = control.upload_list(actor, &domain).await?;
            show(json, &uploads, |uploads| text::uploads(uploads))
        }
        DomainCommand::Modes { json } => show(json, &control.modes(), |offers| text::modes(offers)),
        DomainCommand::Verdicts {
            domain,
            mode,
            dane,
            posh,
            json,
        } => {
            let ask = VerdictsAsk { mode, dane, posh };
            let found = control.verdicts_if(actor, &domain, ask).await?;
            show(json, &found, text::verdicts)
        }
        DomainCommand::Records {
            domain,
            zone_file: true,
            ..
        } => {
            let fragment = control.domain_zone_fragment(actor, &domain).await?;
            say!("{}", fragment.trim_end());
            Ok(0)
        }
        DomainCommand::Records { domain, json, .. } => {
            let page = control.domain_records(actor, &domain).await?;
            show(json, &page, text::records)
        }
        DomainCommand::Verify { domain, json } => {
            let shown = control.domain_check_now(actor, &domain).await?;
            show(json, &shown, text::verified)?;
            Ok(u8::from(shown.verified.is_none()))
        }
        DomainCommand::Check { domain, json } => {
            let shown = control.domain_check_now(actor, &domain).await?;
            show(json, &shown, text::domain)?;
            Ok(u8::from(shown.critical > 0))
        }
        DomainCommand::Set(args) => {
            let (domain, set) = args.set()?;
            let shown = control.domain_set(actor, &domain, set).await?;
            show(false, &shown, text::domain)
        }
        DomainCommand::Suspend { domain, reason } => {
            let shown = control.domain_suspend(actor, &domain, &reason).await?;
            say!("{}: {}", shown.view.domain, shown.view.state.as_str());
            Ok(0)
        }
        DomainCommand::Resume { domain } => {
            let shown = control.domain_resume(actor, &domain).await?;
            say!("{}: {}", shown.view.domain, shown.view.state.as_str());
            Ok(0)
        }
        DomainCommand::Remove { domain, yes, json } => {
            let what =
                format!("domain {domain} with its accounts, messages, keys and certificates");
            confirm(yes, &what)?;
            let removed = control.domain_remove(actor, &domain).await?;
            show(json, &removed, |removed| {
                let dangling = text::dangling(&removed.dangling);
                format!("{}: removed\n{dangling}", removed.domain)
            })
        }
    }
}

async fn add(
    control: &Control,
    actor: &Actor,
    domain: String,
    tenant: &str,
    json: bool,
) -> Outcome {
    let tenant = Some(super::tenant::resolve(control, actor, tenant).await?);
    let added = control
        .domain_add(actor, DomainNew { domain, tenant })
        .await?;
    let domain = &added.view.domain;
    if json {
        return show(true, &added, |_| String::new());
    }
    say!("{domain}: added. Its owner publishes these records:\n");
    let page = control.domain_records(actor, domain).await?;
    show(false, &page, text::records)
}

/// `proven`: whoever imports answers for the owners' consent.
async fn import(
    control: &Control,
    actor: &Actor,
    file: &Path,
    (tenant, proven): (&str, bool),
    json: bool,
) -> Outcome {
    let tenant = super::tenant::resolve(control, actor, tenant).await?;
    let list = super::read_text(file, "Give a list in UTF-8.")?;
    let beside = file.parent().unwrap_or_else(|| Path::new("."));
    let read = |name: &str| {
        std::fs::read_to_string(beside.join(name))
            .map_err(|error| format!("{name} cannot be read: {error}"))
    };
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for row in import_rows(&list, read) {
        match row {
            Ok(row) => rows.push(row),
            Err(line) => refused.push(line),
        }
    }
    let mut report = control.domain_import(actor, tenant, rows, proven).await?;
    report.refused.append(&mut refused);
    report.refused.sort_by_key(|refused| refused.line);
    show(json, &report, text::import)?;
    Ok(if report.refused.is_empty() { 0 } else { 2 })
}
