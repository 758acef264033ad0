//! `domicile user`: accounts of a domain.

use std::path::PathBuf;

use clap::Subcommand;
use control::account::{AccountNew, AccountView};
use control::client_certificate::ClientCertificateView;
use control::device::{AccountDevices, DeviceView, StorageView};
use control::{Actor, Control};
use xmpp::jid::BareJid;

use super::output::{first_lines, show, table};
use super::{Failure, Outcome, Password, confirm};

/// Accounts fetched at once.
const PAGE: usize = 500;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add an account
    Add {
        /// Address: user@example.com
        jid: String,
        #[command(flatten)]
        password: Password,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set an account's password; its sessions end
    Passwd {
        /// Address
        jid: String,
        #[command(flatten)]
        password: Password,
    },
    /// List a domain's accounts
    List {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop an account; its sessions end, nothing is erased
    Suspend {
        /// Address
        jid: String,
    },
    /// Undo that
    Resume {
        /// Address
        jid: String,
    },
    /// List an account's devices: clients that can come back without the password. Who is connected now, the panel and the
    /// API of the running server know
    Devices {
        /// Address
        jid: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign a device out: its tokens and sessions end. Whoever has the password may come back with it
    SignOut {
        /// Address
        jid: String,
        /// Its id in the list: agent-…, or session- and a resource
        device: String,
    },
    /// Show what an account keeps here
    Storage {
        /// Address
        jid: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the certificates that an account's clients log in with
    Certificates {
        /// Address
        jid: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke one of them; the streams that it authenticated end
    RevokeCertificate {
        /// Address
        jid: String,
        /// Its name in the list
        name: String,
    },
    /// Erase an account with everything it has
    Remove {
        /// Address
        jid: String,
        /// Yes, erase
        #[arg(long)]
        yes: bool,
    },
    /// Add thousands of accounts from a CSV file of local,password; a missing password is drawn. In place of a password there
    /// may be SCRAM verifiers as RFC 5803 writes them, one each of SHA-1, SHA-256 and SHA-512, separated by blanks
    Import {
        /// The file; - for standard input
        file: PathBuf,
        /// Domain
        #[arg(long)]
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: UserCommand) -> Outcome {
    match command {
        UserCommand::Add {
            jid,
            password,
            json,
        } => {
            let (local, domain) = split(&jid)?;
            let added = control
                .account_add(
                    actor,
                    &domain,
                    AccountNew {
                        local,
                        password: password.given()?,
                    },
                )
                .await?;
            show(json, &added, |added| match &added.password {
                Some(password) => format!("{}: added\npassword {password}", added.view.jid),
                None => format!("{}: added", added.view.jid),
            })
        }
        UserCommand::Passwd { jid, password } => {
            let (local, domain) = split(&jid)?;
            let given = password.given()?;
            let drawn = control
                .account_set_password(
                    actor,
                    &domain,
                    &local,
                    given.as_ref().map(control::Secret::expose),
                )
                .await?;
            say!("{jid}: the password is changed");
            if let Some(password) = drawn {
                say!("password {password}");
            }
            Ok(0)
        }
        UserCommand::List { domain, json } => {
            let mut accounts: Vec<AccountView> = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let page = control
                    .account_list(actor, &domain, after.as_deref(), PAGE)
                    .await?;
                accounts.extend(page.accounts);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            show(json, &accounts, |accounts| {
                table(
                    ["address", "state", "since", "last seen"],
                    accounts.iter().map(|view| {
                        [
                            view.jid.clone(),
                            view.state.clone(),
                            view.created.to_xep0082(),
                            view.last_seen.map(|at| at.to_xep0082()).unwrap_or_default(),
                        ]
                    }),
                )
            })
        }
        UserCommand::Suspend { jid } => {
            let (local, domain) = split(&jid)?;
            let view = control.account_suspend(actor, &domain, &local).await?;
            say!("{}: {}", view.jid, view.state);
            Ok(0)
        }
        UserCommand::Resume { jid } => {
            let (local, domain) = split(&jid)?;
            let view = control.account_resume(actor, &domain, &local).await?;
            say!("{}: {}", view.jid, view.state);
            Ok(0)
        }
        UserCommand::Devices { jid, json } => {
            let (local, domain) = split(&jid)?;
            let found = control.account_devices(actor, &domain, &local).await?;
            show(json, &found, devices)
        }
        UserCommand::SignOut { jid, device } => {
            let (local, domain) = split(&jid)?;
            control
                .account_sign_out(actor, &domain, &local, &device)
                .await?;
            say!("{jid}: {device} is signed out");
            Ok(0)
        }
        UserCommand::Storage { jid, json } => {
            let (local, domain) = split(&jid)?;
            let found = control.account_storage(actor, &domain, &local).await?;
            show(json, &found, storage)
        }
        UserCommand::Certificates { jid, json } => {
            let (local, domain) = split(&jid)?;
            let found = control.account_certificates(actor, &domain, &local).await?;
            show(json, &found, |found| {
                let row = |view: &ClientCertificateView| {
                    let manages = if view.manages { "yes" } else { "no" };
                    [
                        view.name.clone(),
                        view.expires.to_xep0082(),
                        manages.into(),
                        view.fingerprint.clone(),
                    ]
                };
                table(
                    ["name", "expires", "manages", "SHA-256"],
                    found.iter().map(row),
                )
            })
        }
        UserCommand::RevokeCertificate { jid, name } => {
            let (local, domain) = split(&jid)?;
            control
                .account_revoke_certificate(actor, &domain, &local, &name)
                .await?;
            say!("{jid}: {name} is revoked");
            Ok(0)
        }
        UserCommand::Remove { jid, yes } => {
            let (local, domain) = split(&jid)?;
            confirm(
                yes,
                &format!("account {jid} with its contacts and messages"),
            )?;
            control.account_remove(actor, &domain, &local).await?;
            say!("{jid}: removed");
            Ok(0)
        }
        UserCommand::Import { domain, file, json } => {
            let csv = super::read_text(&file, "Give a list in UTF-8.")?;
            let report = control.account_import(actor, &domain, &csv).await?;
            let failed = !report.refused.is_empty();
            show(json, &report, |report| {
                let lines = report.refused.iter().map(|refused| {
                    format!(
                        "line {}: {}: {}",
                        refused.line, refused.local, refused.problem
                    )
                });
                let mut text = format!(
                    "{domain}: {} added, {} not\n{}",
                    report.added,
                    report.refused.len(),
                    first_lines(lines)
                );
                for (local, password) in &report.drawn {
                    text.push_str(&format!("{local},{password}\n"));
                }
                text
            })?;
            Ok(if failed { 2 } else { 0 })
        }
    }
}

fn devices(found: &AccountDevices) -> String {
    let row = |device: &DeviceView| {
        [
            device.id.clone(),
            device.software.clone(),
            device.device.clone(),
            device.since.to_xep0082(),
            device.last_seen.to_xep0082(),
        ]
    };
    table(
        ["id", "software", "device", "since", "last signed in"],
        found.devices.iter().map(row),
    )
}

fn storage(found: &StorageView) -> String {
    let row = |what: &str, count: Option<u64>, bytes: u64| {
        let count = count.map(|count| count.to_string()).unwrap_or_default();
        [what.to_owned(), count, bytes.to_string()]
    };
    table(
        ["what", "count", "bytes"],
        [
            row("archived messages", None, found.archive_bytes),
            row("shared files", Some(found.uploads), found.upload_bytes),
            row("waiting messages", Some(found.offline), found.offline_bytes),
        ],
    )
}

/// Localpart and domain of an account's address.
fn split(jid: &str) -> Result<(String, String), Failure> {
    let remedy = "Give an address such as user@example.com.";
    let parsed = BareJid::parse(jid).map_err(|error| {
        Failure::other(2, format!("\"{jid}\" is not an address: {error}"), remedy)
    })?;
    let local = parsed
        .local()
        .ok_or_else(|| Failure::other(2, format!("\"{jid}\" has no user part"), remedy))?;
    Ok((local.to_owned(), parsed.domain().to_owned()))
}
