//! `domicile domain`: what is hosted, what its owner publishes, how it stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use control::block_list::BlockListView;
use control::domain::{DomainNew, DomainSet, DomainShow, JoinSet, StreamSet, import_rows};
use control::findings::{FindingView, Severity};
use control::kept::{RoomView, UploadsView};
use control::records::{DesiredRecord, Mode, RecordsPage};
use control::{Actor, Control};

use super::output::{first_lines, show, table};
use super::relay_secret::RelaySecretArgs;
use super::{Failure, Outcome, confirm};

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
    Set {
        /// Domain
        domain: String,
        /// What it asks of other servers: permissive, verified, encrypted, authenticated
        #[arg(long)]
        policy: Option<String>,
        /// How its identity is obtained: delegated-challenge, dns-persist, http-redirect, uploaded, posh, dane; `domicile domain modes` says what each costs
        #[arg(long)]
        mode: Option<String>,
        /// TLSA records for its host, beside a certificate
        #[arg(long, value_name = "true|false")]
        dane: Option<bool>,
        /// POSH documents, beside a certificate
        #[arg(long, value_name = "true|false")]
        posh: Option<bool>,
        /// Days after which a renewal changes the key; 0: keys are kept
        #[arg(long, value_name = "DAYS")]
        key_days: Option<u32>,
        /// Services that are switched on, separated by commas; "" for none
        #[arg(long)]
        services: Option<String>,
        /// The only servers that may talk to it, separated by commas; "" for all
        #[arg(long)]
        allow: Option<String>,
        /// Servers that may not, separated by commas; "" for none
        #[arg(long)]
        block: Option<String>,
        #[command(flatten)]
        streams: Box<StreamArgs>,
    },
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

/// What concerns clients' streams and modules.
#[derive(Debug, clap::Args)]
pub(super) struct StreamArgs {
    /// Whether PLAIN is offered over TLS, for clients that know nothing better
    #[arg(long, value_name = "true|false")]
    plain: Option<bool>,
    /// Hashes of the SCRAM mechanisms that are offered, as in SHA-1,SHA-256; "" for all. Fewer where accounts came from a server
    /// that kept fewer
    #[arg(long, value_name = "HASHES")]
    scram: Option<String>,
    /// Modules that are switched off, separated by commas; "" for none
    #[arg(long, value_name = "NAMES")]
    modules_off: Option<String>,
    /// Accounts of the domain that may look after the others from their apps (XEP-0133), separated by commas; "" for none
    #[arg(long, value_name = "ADDRESSES")]
    admins: Option<String>,
    /// Contact addresses (XEP-0157), as in abuse=mailto:abuse@example.com,xmpp:admin@example.com; several times for several
    /// roles; ROLE= removes one
    #[arg(long, value_name = "ROLE=ADDRESSES")]
    contact: Vec<String>,
    /// Silence after which a space is sent to clients; 0: as the platform does
    #[arg(long, value_name = "SECONDS")]
    keepalive_seconds: Option<u32>,
    /// Silence of a client after which it is pinged; 0: never
    #[arg(long, value_name = "SECONDS")]
    ping_seconds: Option<u32>,
    /// Silence after which a client's stream is closed; 0: never
    #[arg(long, value_name = "SECONDS")]
    idle_seconds: Option<u32>,
    /// How long a session waits for its client when the connection breaks; 0: not at all
    #[arg(long, value_name = "SECONDS")]
    resume_seconds: Option<u32>,
    /// Days after which archived messages go; 0: never
    #[arg(long, value_name = "DAYS")]
    archive_days: Option<u32>,
    /// File with the authorities whose certificates prove clients (SASL EXTERNAL), PEM; "" for the platform's
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Whether people may log in with certificates that they upload (XEP-0257); clients are then asked for one
    #[arg(long, value_name = "BOOL")]
    user_certificates: Option<bool>,
    /// Whether people may take out what they have from their apps, by a command and a link that is good once
    #[arg(long, value_name = "BOOL")]
    own_export: Option<bool>,
    /// STUN and TURN servers for calls (XEP-0215), as in stun:stun.example.net,turn:turn.example.net:3478?transport=udp; none;
    /// "" for the platform's
    #[arg(long, value_name = "URIS")]
    external: Option<String>,
    /// Who gets an account without being given one: closed (nobody), invitation, open (whoever answers the question)
    #[arg(long, value_name = "WHO")]
    registration: Option<String>,
    /// Whether its accounts may invite others, and not only its admins
    #[arg(long, value_name = "true|false")]
    user_invites: Option<bool>,
    /// What whoever is not invited is asked before they get an account
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,
    /// What counts as an answer, separated by commas, in any capitals
    #[arg(long, value_name = "WORDS")]
    answers: Option<String>,
    /// Where clients learn what is the matter when the domain does not answer (XEP-0455), https addresses separated by commas; ""
    /// for the platform's
    #[arg(long, value_name = "URIS")]
    status: Option<String>,
    /// What push services are told of a message: nothing, count, or sender
    #[arg(long, value_name = "WORD")]
    push: Option<String>,
    /// Block lists to follow, separated by commas: a pubsub service as in xmppbl.org, or xmpp:SERVICE?;node=NODE; strangers who are on
    /// one are kept away; "" for none
    #[arg(long, value_name = "LISTS")]
    block_lists: Option<String>,
    /// Strangers to be kept away, addresses and domains, separated by commas; "" for none
    #[arg(long, value_name = "WHO")]
    block_strangers: Option<String>,
}

impl StreamArgs {
    fn set(self) -> Result<StreamSet, Failure> {
        let mut contacts = BTreeMap::new();
        for contact in self.contact {
            let Some((role, addresses)) = contact.split_once('=') else {
                return Err(Failure::other(
                    2,
                    format!("--contact {contact}: there is no = in it"),
                    "Write ROLE=ADDRESS,ADDRESS.",
                ));
            };
            contacts.insert(role.trim().to_owned(), list(addresses.to_owned()));
        }
        let client_ca = match self.client_ca {
            Some(file) if !file.as_os_str().is_empty() => {
                let pem = std::fs::read_to_string(&file).map_err(|error| {
                    Failure::other(2, format!("{}: {error}", file.display()), "")
                })?;
                Some(pem)
            }
            Some(_) => Some(String::new()),
            None => None,
        };
        Ok(StreamSet {
            plain: self.plain,
            scram: self.scram.map(list),
            modules_off: self.modules_off.map(list),
            admins: self.admins.map(list),
            contacts: (!contacts.is_empty()).then_some(contacts),
            keepalive_seconds: self.keepalive_seconds,
            ping_seconds: self.ping_seconds,
            idle_seconds: self.idle_seconds,
            resume_seconds: self.resume_seconds,
            archive_days: self.archive_days,
            client_ca,
            user_certificates: self.user_certificates,
            own_export: self.own_export,
            external: self.external.map(list),
            joining: JoinSet {
                registration: self.registration,
                user_invites: self.user_invites,
                question: self.question,
                answers: self.answers.map(list),
            },
            status: self.status.map(list),
            push: self.push,
            block_lists: self.block_lists.map(list),
            block_strangers: self.block_strangers.map(list),
        })
    }
}

pub(super) async fn run(control: &Control, actor: &Actor, command: DomainCommand) -> Outcome {
    match command {
        DomainCommand::Add {
            domain,
            tenant,
            json,
        } => {
            let tenant = super::tenant::resolve(control, actor, &tenant).await?;
            let added = control
                .domain_add(
                    actor,
                    DomainNew {
                        domain,
                        tenant: Some(tenant),
                    },
                )
                .await?;
            if json {
                return show(true, &added, |_| String::new());
            }
            say!(
                "{}: added. Its owner publishes these records:\n",
                added.view.domain
            );
            let page = control.domain_records(actor, &added.view.domain).await?;
            show(false, &page, records_text)
        }
        DomainCommand::Import {
            file,
            tenant,
            proven,
            json,
        } => {
            let tenant = super::tenant::resolve(control, actor, &tenant).await?;
            let list = super::read_text(&file, "Give a list in UTF-8.")?;
            let beside = file.parent().unwrap_or_else(|| Path::new("."));
            let read = |name: &str| {
                std::fs::read_to_string(beside.join(name))
                    .map_err(|error| format!("{name} cannot be read: {error}"))
            };
            let mut refused = Vec::new();
            let mut rows = Vec::new();
            for row in import_rows(&list, read) {
                match row {
                    Ok(row) => rows.push(row),
                    Err(line) => refused.push(line),
                }
            }
            let mut report = control.domain_import(actor, tenant, rows, proven).await?;
            report.refused.append(&mut refused);
            report.refused.sort_by_key(|refused| refused.line);
            let failed = !report.refused.is_empty();
            show(json, &report, |report| {
                let lines = report.refused.iter().map(|refused| {
                    format!(
                        "line {}: {}: {}",
                        refused.line, refused.domain, refused.problem
                    )
                });
                format!(
                    "{} added, {} not\n{}",
                    report.added,
                    report.refused.len(),
                    first_lines(lines)
                )
            })?;
            Ok(if failed { 2 } else { 0 })
        }
        DomainCommand::List { tenant, json } => {
            let tenant = match tenant {
                Some(tenant) => Some(super::tenant::resolve(control, actor, &tenant).await?),
                None => None,
            };
            let domains = control.domain_list(actor, tenant).await?;
            show(json, &domains, |domains| {
                table(
                    ["domain", "state", "accounts", "customer", "status"],
                    domains.iter().map(|view| {
                        [
                            view.domain.clone(),
                            view.state.as_str().to_owned(),
                            view.accounts.to_string(),
                            view.tenant.to_string(),
                            view.status.clone(),
                        ]
                    }),
                )
            })
        }
        DomainCommand::Show { domain, json } => {
            let shown = control.domain_show(actor, &domain).await?;
            show(json, &shown, show_text)
        }
        DomainCommand::Rooms {
            domain,
            after,
            json,
        } => {
            let rooms = control.room_list(actor, &domain, after.as_deref()).await?;
            show(json, &rooms, |rooms| {
                let row = |room: &RoomView| {
                    let found = if room.listed { "yes" } else { "no" };
                    let (people, bytes) = (room.people.to_string(), room.archive_bytes.to_string());
                    let made = room.created.to_xep0082();
                    let name = room.name.clone();
                    [room.local.clone(), name, found.into(), people, bytes, made]
                };
                let headings = ["room", "name", "listed", "people", "bytes", "since"];
                table(headings, rooms.iter().map(row))
            })
        }
        DomainCommand::BlockLists { domain, json } => {
            let lists = control.block_lists(actor, &domain).await?;
            show(json, &lists, |lists| {
                let row = |list: &BlockListView| {
                    let read = list
                        .read
                        .map_or("never".to_owned(), |read| read.to_xep0082());
                    let entries = list.entries.to_string();
                    [list.list.clone(), entries, read, list.problem.clone()]
                };
                table(
                    ["list", "entries", "read", "problem"],
                    lists.iter().map(row),
                )
            })
        }
        DomainCommand::RelaySecret(args) => super::relay_secret::run(control, actor, args).await,
        DomainCommand::Uploads { domain, json } => {
            let uploads = control.upload_list(actor, &domain).await?;
            show(json, &uploads, |uploads| {
                let row = |kept: &UploadsView| {
                    let (files, bytes) = (kept.files.to_string(), kept.bytes.to_string());
                    [kept.local.clone(), files, bytes, kept.latest.to_xep0082()]
                };
                table(
                    ["account", "files", "bytes", "newest"],
                    uploads.iter().map(row),
                )
            })
        }
        DomainCommand::Modes { json } => show(json, &control.modes(), |offers| {
            let texts = offers.iter().map(|offer| {
                let cost = &offer.cost;
                let (owner, held, issuable, accepted) =
                    (cost.owner, cost.held, cost.issuable, cost.accepted);
                let here = match offer.unavailable {
                    "" => String::new(),
                    why => format!("  Not here: {why}.\n"),
                };
                format!(
                    "{}: {}\n  {owner}\n  {held} {issuable}\n  {accepted}\n{here}",
                    cost.mode, cost.title
                )
            });
            texts.collect::<String>()
        }),
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
            show(json, &page, records_text)
        }
        DomainCommand::Verify { domain, json } => {
            let shown = control.domain_check_now(actor, &domain).await?;
            let proven = shown.verified.is_some();
            show(json, &shown, |shown| match shown.verified {
                Some(at) => format!("{}: proven at {}", shown.view.domain, at.to_xep0082()),
                None => format!(
                    "{}: not proven yet\n{}",
                    shown.view.domain,
                    findings_text(&shown.checks)
                ),
            })?;
            Ok(u8::from(!proven))
        }
        DomainCommand::Check { domain, json } => {
            let shown = control.domain_check_now(actor, &domain).await?;
            show(json, &shown, show_text)?;
            Ok(u8::from(shown.critical > 0))
        }
        DomainCommand::Set {
            domain,
            policy,
            mode,
            dane,
            posh,
            key_days,
            services,
            allow,
            block,
            streams,
        } => {
            let set = DomainSet {
                streams: streams.set()?,
                policy,
                mode,
                dane,
                posh,
                key_days,
                services: services.map(list),
                allow: allow.map(list),
                block: block.map(list),
                version: None,
            };
            let shown = control.domain_set(actor, &domain, set).await?;
            show(false, &shown, show_text)
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
            confirm(
                yes,
                &format!("domain {domain} with its accounts, messages, keys and certificates"),
            )?;
            let removed = control.domain_remove(actor, &domain).await?;
            if json {
                return show(true, &removed, |_| String::new());
            }
            say!("{}: removed", removed.domain);
            print_dangling(&removed.dangling);
            Ok(0)
        }
    }
}

fn list(text: String) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn records_text(page: &RecordsPage) -> String {
    let mut text = table(
        ["", "name", "ttl", "type", "data"],
        page.records.iter().map(|view| {
            let standing = match view.standing {
                control::records::Standing::Seen => "seen",
                control::records::Standing::Missing if view.record.optional => "optional",
                control::records::Standing::Missing => "missing",
                control::records::Standing::Different => "different",
                control::records::Standing::Unknown => "?",
            };
            [
                standing.to_owned(),
                view.record.name.clone(),
                view.record.ttl_seconds.to_string(),
                view.record.rtype.to_owned(),
                view.record.value_text.clone(),
            ]
        }),
    );
    for view in &page.web {
        if view.document.is_empty() {
            let optional = if view.optional { " (optional)" } else { "" };
            text.push_str(&format!(
                "\n{}* redirects (302) to {}*{optional}",
                view.address, view.redirect
            ));
            continue;
        }
        let or = match view.redirect.as_str() {
            "" => String::new(),
            redirect => format!("redirects (302) to {redirect}, or "),
        };
        text.push_str(&format!(
            "\n{} {or}answers ({}) {}{}",
            view.address,
            view.content_type,
            view.document.trim_end(),
            match view.cross_origin {
                true => "\n  with the header Access-Control-Allow-Origin: *",
                false => "",
            }
        ));
    }
    for view in page.records.iter().filter(|view| !view.replaces.is_empty()) {
        text.push_str(&format!(
            "\n{} {} replaces, so delete: {}",
            view.record.name,
            view.record.rtype,
            view.replaces.join("; ")
        ));
    }
    text
}

fn show_text(shown: &DomainShow) -> String {
    let mut text = format!(
        "{}: {}. {}\n",
        shown.view.domain,
        shown.view.state.as_str(),
        shown.view.status
    );
    if shown.view.ascii != shown.view.domain {
        text.push_str(&format!("DNS name      {}\n", shown.view.ascii));
    }
    text.push_str(&format!(
        "SRV target    {}\nmode          {}{}{}\npolicy        {}\n",
        shown.target,
        shown.mode.as_str(),
        if shown.dane && shown.mode != Mode::Dane {
            " + dane"
        } else {
            ""
        },
        if shown.posh && shown.mode != Mode::Posh {
            " + posh"
        } else {
            ""
        },
        shown.policy
    ));
    if let Some(certificate) = &shown.certificate {
        text.push_str(&format!(
            "certificate   {}, until {} ({} days)\n",
            certificate.issuer,
            certificate.not_after.to_xep0082(),
            certificate.days_left
        ));
    }
    for station in &shown.stations {
        text.push_str(&format!(
            "{:<13} {}: {}\n",
            station.name, station.standing, station.text
        ));
    }
    text.push('\n');
    text.push_str(&findings_text(&shown.checks));
    text
}

fn findings_text(checks: &[FindingView]) -> String {
    let mut text = String::new();
    for check in checks {
        let word = match check.severity {
            Severity::Ok => "good    ",
            Severity::Info => "info    ",
            Severity::Unknown => "unknown ",
            Severity::Warning => "warning ",
            Severity::Critical => "CRITICAL",
        };
        text.push_str(&format!("{word}  {}  [{}]\n", check.subject, check.code));
        if check.severity != Severity::Ok {
            for (label, line) in [
                ("expected", &check.expected),
                ("observed", &check.observed),
                ("asked", &check.asked),
                ("fix", &check.fix),
            ] {
                if !line.is_empty() {
                    text.push_str(&format!("          {label}: {line}\n"));
                }
            }
        }
    }
    text
}

pub(super) fn print_dangling(records: &[DesiredRecord]) {
    if records.is_empty() {
        return;
    }
    say!("These records in the owner's zone now point at nothing; the owner should delete them:");
    for record in records {
        say!("  {} {} {}", record.name, record.rtype, record.value_text);
    }
}
