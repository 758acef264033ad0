//! `domicile cert`: the certificates of hosted domains.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use control::certificate::{
    AuthorityView, CertificatePlan, CertificateUpload, CertificateView, OrderView,
};
use control::outside::RevocationReason;
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
    /// Show who stands in line for a certificate, and why
    Queue {
        /// Only this domain's order, with its next renewal and whatever is in its way
        domain: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the certificate authorities, and what of their limits is used
    Limits {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the authority revoke what was ordered for a domain; the server then orders anew, with a fresh key
    Revoke {
        /// Domain
        domain: String,
        /// Why
        #[arg(long, value_enum, default_value = "key-compromise")]
        reason: Reason,
    },
    /// Give our account at a certificate authority another key; nothing that owners publish changes
    RollAccountKey {
        /// Directory URL of the authority [default: the preferred one]
        directory: Option<String>,
    },
    /// Have the running server order a certificate now
    Order {
        /// Domain
        domain: String,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Reason {
    /// Somebody else has, or may have, its key
    KeyCompromise,
    /// The domain leaves
    CessationOfOperation,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

pub(super) async fn run(control: &Control, actor: &Actor, command: CertCommand) -> Outcome {
    match command {
        CertCommand::List { domain, json } => {
            let certificates = control.certificate_list(actor, &domain).await?;
            show(json, &certificates, |certificates| list_text(certificates))
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
        CertCommand::Queue { domain: None, json } => {
            let orders = control.certificate_queue(actor, None).await?;
            show(json, &orders, |orders| line(orders))
        }
        CertCommand::Queue {
            domain: Some(domain),
            json,
        } => {
            let plan = control.certificate_plan(actor, &domain).await?;
            show(json, &plan, plan_text)
        }
        CertCommand::Limits { json } => {
            let authorities = control.authority_list(actor).await?;
            show(json, &authorities, |authorities| {
                authorities.iter().map(authority_text).collect()
            })
        }
        CertCommand::Revoke { domain, reason } => {
            let revoked = control
                .certificate_revoke(actor, &domain, reason.into())
                .await?;
            for fingerprint in &revoked.fingerprints {
                say!("{domain}: revoked {fingerprint}");
            }
            for refused in &revoked.refused {
                say!("{domain}: {refused}");
            }
            say!("{domain}: the server orders a certificate with a fresh key");
            Ok(if revoked.refused.is_empty() { 0 } else { 5 })
        }
        CertCommand::RollAccountKey { directory } => {
            let account = control
                .authority_roll_key(actor, directory.as_deref().unwrap_or_default())
                .await?;
            say!("{account}: the account has another key");
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

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::other(
            2,
            format!("{}: cannot be read: {error}", path.display()),
            "Check the path and the permissions.",
        )
    })
}

fn list_text(certificates: &[CertificateView]) -> String {
    let row = |view: &CertificateView| {
        [
            view.state.clone(),
            view.source.clone(),
            view.issuer.clone(),
            view.not_after.to_xep0082(),
            view.days_left.to_string(),
            view.names.join(" "),
        ]
    };
    let headings = ["state", "source", "issuer", "until", "days left", "names"];
    table(headings, certificates.iter().map(row))
}

fn plan_text(plan: &CertificatePlan) -> String {
    let mut text = String::new();
    if let Some(at) = plan.renewal {
        text.push_str(&format!("next renewal   {}\n", at.to_xep0082()));
    }
    let certificate = plan.certificate.as_ref();
    if let Some(renewal) = certificate.and_then(|view| view.renewal.as_ref()) {
        text.push_str(&format!(
            "announced      {} to {} {}\n",
            renewal.start.to_xep0082(),
            renewal.end.to_xep0082(),
            renewal.explanation.as_deref().unwrap_or_default()
        ));
    }
    if !plan.failed.is_empty() {
        text.push_str(&format!("last failure   {}\n", plan.failed));
    }
    for blocked in &plan.blocked {
        let (name, why) = (&blocked.name, &blocked.why);
        text.push_str(&format!("left out       {name}: {why}\n"));
    }
    if let Some(order) = &plan.order {
        text.push_str(&line(std::slice::from_ref(order)));
    }
    text
}

fn authority_text(authority: &AuthorityView) -> String {
    let issuer = &authority.issuer;
    let mut text = format!("{} ({})\n", issuer.name, issuer.directory);
    if let Some(account) = &issuer.account_uri {
        text.push_str(&format!("account {account}\n"));
    }
    if let Some(since) = authority.down_since {
        let (since, said) = (since.to_xep0082(), &authority.said);
        text.push_str(&format!("does not answer since {since}: {said}\n"));
    }
    let kinds = [
        ("orders", std::slice::from_ref(&authority.orders)),
        ("certificates", authority.certificates.as_slice()),
        ("failures", authority.failures.as_slice()),
    ];
    let rows = kinds.into_iter().flat_map(|(kind, rows)| {
        rows.iter().map(move |used| {
            [
                kind.to_owned(),
                used.subject.clone(),
                used.used.to_string(),
                used.most.to_string(),
                format!("{} h", used.window_seconds / 3600),
            ]
        })
    });
    text.push_str(&table(["limit", "of", "used", "most", "within"], rows));
    text
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

/// Orders, one a row.
fn line(orders: &[OrderView]) -> String {
    table(
        ["domain", "kind", "failures", "until", "state"],
        orders.iter().map(|order| {
            let until = order.until.map(|at| at.to_xep0082()).unwrap_or_default();
            [
                order.domain.clone(),
                order.priority.as_str().to_owned(),
                order.failures.to_string(),
                until,
                order.reason.clone(),
            ]
        }),
    )
}
