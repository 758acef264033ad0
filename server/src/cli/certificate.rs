//! `domicile cert`: the certificates of hosted domains.

use std::path::PathBuf;

use clap::Subcommand;
use control::certificate::CertificateUpload;
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
    /// Take a certificate and its key, check them, use them at once
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
            say!("{domain}: in use until {}", view.not_after.to_xep0082());
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
