//! `domicile cert`: the certificates of hosted domains.

use std::path::PathBuf;

use clap::Subcommand;
use control::certificate::CertificateUpload;
use control::rollover::{KeyChange, RolloverView};
use control::{Actor, Control, Secret};

use super::output::{show, table};
use super::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// List a domain's certificates, the current one first
    List {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show where the change of keys and certificates stands, and what is published of them
    Rollover {
        /// Domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have another key made for the next certificate; used when every server may know it
    ChangeKey {
        /// Domain
        domain: String,
        /// Others may know the key: change it at once, whatever servers have been told
        #[arg(long)]
        emergency: bool,
        /// Yes, at once, at the cost that is shown without this
        #[arg(long)]
        yes: bool,
    },
    /// Take a certificate and its key, check them, use them as soon as peers may know them
    Upload {
        /// Domain
        domain: String,
        /// Certificate and intermediates, PEM
        #[arg(long, value_name = "FILE")]
        chain: PathBuf,
        /// Private key, PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Have the running server order a certificate now
    Order {
        /// Domain
        domain: String,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: CertCommand) -> Outcome {
    match command {
        CertCommand::List { domain, json } => {
            let certificates = control.certificate_list(actor, &domain).await?;
            show(json, &certificates, |certificates| {
                table(
                    ["state", "source", "issuer", "until", "days left", "names"],
                    certificates.iter().map(|view| {
                        [
                            view.state.clone(),
                            view.source.clone(),
                            view.issuer.clone(),
                            view.not_after.to_xep0082(),
                            view.days_left.to_string(),
                            view.names.join(" "),
                        ]
                    }),
                )
            })
        }
        CertCommand::Rollover { domain, json } => {
            let view = control.certificate_rollover(actor, &domain).await?;
            show(json, &view, rollover_text)
        }
        CertCommand::ChangeKey {
            domain,
            emergency,
            yes,
        } => {
            if emergency && !yes {
                let view = control.certificate_rollover(actor, &domain).await?;
                return Err(Failure::other(
                    2,
                    format!("{domain}: {}", view.emergency),
                    "Add --yes to change the key at once, or leave --emergency out.",
                ));
            }
            let change = KeyChange { emergency };
            control
                .certificate_change_key(actor, &domain, change)
                .await?;
            say!(
                "{domain}: the server makes another key; `domicile cert rollover {domain}` shows how far it is"
            );
            Ok(0)
        }
        CertCommand::Upload { domain, chain, key } => {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(|error| {
                    Failure::other(
                        2,
                        format!("{}: cannot be read: {error}", path.display()),
                        "Check the path and the permissions.",
                    )
                })
            };
            let upload = CertificateUpload {
                chain_pem: read(&chain)?,
                key_pem: Secret::from(read(&key)?),
            };
            let view = control.certificate_upload(actor, &domain, upload).await?;
            let until = view.not_after.to_xep0082();
            if view.state == "next" {
                say!(
                    "{domain}: kept for later, good until {until}; `domicile cert rollover {domain}` says when it is used"
                );
            } else {
                say!("{domain}: in use until {until}");
            }
            Ok(0)
        }
        CertCommand::Order { domain } => {
            control.certificate_order(actor, &domain).await?;
            say!(
                "{domain}: the server orders a certificate; `domicile cert list {domain}` shows it"
            );
            Ok(0)
        }
    }
}

fn rollover_text(view: &RolloverView) -> String {
    let mut text = format!("{}: {}\n", view.phase, view.text);
    for step in &view.steps {
        let at = step.at.map(|at| at.to_xep0082()).unwrap_or_default();
        text.push_str(&format!(
            "{:<6}{:<9}{at:<22}{}\n",
            step.standing, step.step, step.text
        ));
    }
    for set in &view.tlsa {
        for record in &set.records {
            text.push_str(&format!("{}. TLSA {record}\n", set.owner));
        }
    }
    for leaf in &view.posh {
        text.push_str(&format!("POSH sha-256 {leaf}\n"));
    }
    text.push_str(&format!("Changing the key at once: {}", view.emergency));
    text
}
