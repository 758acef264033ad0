//! `domicile component`: programs that answer for a name below a hosted domain.

use clap::{Args, Subcommand};
use control::component::ComponentAsk;
use control::grant::Grants;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum ComponentCommand {
    /// List a domain's components
    List {
        /// Hosted domain
        domain: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a program connect as NAME.DOMAIN; a secret is drawn and shown once. One that is there gets another secret
    Add {
        /// Hosted domain
        domain: String,
        /// Label: bridge
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say all that it may do in the names of the domain's accounts (XEP-0356), and what it answers in the domain's place
    /// (XEP-0355); what is not said, it may not any more
    Grant(GrantArgs),
    /// Take its name away: its connection ends
    Remove {
        /// Hosted domain
        domain: String,
        /// Label
        name: String,
    },
}

/// What a component may.
#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// Hosted domain
    domain: String,
    /// Label
    name: String,
    /// Rosters of all accounts: get, set or both
    #[arg(long, value_name = "ACCESS", default_value = "none")]
    roster: String,
    /// It is not told of changes of rosters
    #[arg(long)]
    no_roster_push: bool,
    /// Messages in the name of accounts and of the domain: outgoing
    #[arg(long, value_name = "WORD", default_value = "none")]
    message: String,
    /// Presence that it is told: managed_entity (of accounts) or roster (of their contacts too)
    #[arg(long, value_name = "WORD", default_value = "none")]
    presence: String,
    /// Requests in the name of accounts: a namespace with get, set or both, as in urn:xmpp:mam:2=get
    #[arg(long, value_name = "NAMESPACE=ACCESS")]
    iq: Vec<String>,
    /// A namespace that it answers; with names of attributes, only requests that have them, as in urn:xmpp:mam:2=node
    #[arg(long, value_name = "NAMESPACE[=ATTRIBUTE,…]")]
    delegate: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl GrantArgs {
    fn into_grants(self) -> Grants {
        let names = |list: String| {
            let names = list.split(',').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let delegated = self.delegate.into_iter().map(halves);
        Grants {
            roster: self.roster,
            roster_push: !self.no_roster_push,
            message: self.message,
            presence: self.presence,
            iq: self.iq.into_iter().map(halves).collect(),
            delegated: delegated.map(|(ns, list)| (ns, names(list))).collect(),
            ..Grants::default()
        }
    }
}

/// A namespace, and what stands behind the last `=`.
fn halves(given: String) -> (String, String) {
    match given.rsplit_once('=') {
        Some((namespace, rest)) => (namespace.to_owned(), rest.to_owned()),
        None => (given, String::new()),
    }
}

pub(super) async fn run(control: &Control, actor: &Actor, command: ComponentCommand) -> Outcome {
    match command {
        ComponentCommand::List { domain, json } => {
            let components = control.component_list(actor, &domain).await?;
            show(json, &components, |components| {
                let rows = components.iter();
                table(
                    ["name", "since", "may"],
                    rows.map(|view| {
                        let may = said(&view.grants).replace('\n', "; ");
                        [view.name.clone(), view.created.to_xep0082(), may]
                    }),
                )
            })
        }
        ComponentCommand::Add { domain, name, json } => {
            // Whoever types this has lost the secret, or never had it.
            let ask = ComponentAsk {
                rotate: true,
                ..ComponentAsk::default()
            };
            let made = control.component_add(actor, &domain, &name, ask).await?;
            show(json, &made, |made| {
                let secret = made.secret.as_deref().unwrap_or_default();
                format!("{}\nsecret  {secret}", made.view.name)
            })
        }
        ComponentCommand::Grant(args) => {
            let (domain, name, json) = (args.domain.clone(), args.name.clone(), args.json);
            let grants = args.into_grants();
            let granted = control
                .component_grant(actor, &domain, &name, grants, None)
                .await?;
            show(json, &granted, said)
        }
        ComponentCommand::Remove { domain, name } => {
            control.component_remove(actor, &domain, &name).await?;
            say!("{name}: removed");
            Ok(0)
        }
    }
}

/// What a component may, a line each.
fn said(grants: &Grants) -> String {
    let push = if grants.roster_push { ", pushed" } else { "" };
    let mut lines = Vec::new();
    for (what, word, more) in [
        ("roster", &grants.roster, push),
        ("message", &grants.message, ""),
        ("presence", &grants.presence, ""),
    ] {
        if word != "none" {
            lines.push(format!("{what} {word}{more}"));
        }
    }
    let iq = grants.iq.iter();
    lines.extend(iq.map(|(namespace, word)| format!("iq {namespace} {word}")));
    let delegated = grants.delegated.iter();
    lines.extend(delegated.map(|(namespace, attributes)| {
        format!("answers {namespace} {}", attributes.join(","))
            .trim_end()
            .to_owned()
    }));
    match lines.is_empty() {
        true => "answer for its name".into(),
        false => lines.join("\n"),
    }
}
