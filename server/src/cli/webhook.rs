//! `domicile webhook`: where customers' own servers are told what is done.

use clap::Subcommand;
use control::webhook::WebhookAsk;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};
use super::tenant::resolve;

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Add a webhook; its secret is printed once
    Add {
        /// Customer (number or name)
        tenant: String,
        /// https://…
        url: String,
        /// An operation (account.add) or a noun (account); may be given several times, without it everything is told
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List webhooks of a customer
    List {
        /// Customer (number or name)
        tenant: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The last messages, and what became of them
    Deliveries {
        /// Customer (number or name)
        tenant: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a webhook a message to try it; the running server does
    Test {
        /// Customer (number or name)
        tenant: String,
        /// Its number
        webhook: i64,
    },
    /// Remove a webhook, with what waits for it
    Remove {
        /// Customer (number or name)
        tenant: String,
        /// Its number
        webhook: i64,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: WebhookCommand) -> Outcome {
    match command {
        WebhookCommand::Add {
            tenant,
            url,
            events,
            json,
        } => {
            let id = resolve(control, actor, &tenant).await?;
            let ask = WebhookAsk { url, events };
            let made = control.webhook_add(actor, id, ask).await?;
            show(json, &made, |made| {
                format!("added as number {}\nsecret {}", made.view.id, made.secret)
            })
        }
        WebhookCommand::List { tenant, json } => {
            let id = resolve(control, actor, &tenant).await?;
            let hooks = control.webhook_list(actor, id).await?;
            show(json, &hooks, |hooks| {
                table(
                    ["number", "where", "what of", "since"],
                    hooks.iter().map(|hook| {
                        let events = match hook.events.is_empty() {
                            true => "everything".to_owned(),
                            false => hook.events.join(" "),
                        };
                        [
                            hook.id.to_string(),
                            hook.url.clone(),
                            events,
                            hook.created.to_xep0082(),
                        ]
                    }),
                )
            })
        }
        WebhookCommand::Deliveries { tenant, json } => {
            let id = resolve(control, actor, &tenant).await?;
            let sent = control.webhook_deliveries(actor, id).await?;
            show(json, &sent, |sent| {
                table(
                    [
                        "number", "webhook", "what", "when", "state", "attempts", "said",
                    ],
                    sent.iter().map(|one| {
                        [
                            one.id.to_string(),
                            one.webhook.to_string(),
                            one.event.clone(),
                            one.at.to_xep0082(),
                            one.state.to_owned(),
                            one.attempts.to_string(),
                            one.said.clone(),
                        ]
                    }),
                )
            })
        }
        WebhookCommand::Test { tenant, webhook } => {
            let id = resolve(control, actor, &tenant).await?;
            control.webhook_test(actor, id, webhook).await?;
            say!("{webhook}: a message is in line");
            Ok(0)
        }
        WebhookCommand::Remove { tenant, webhook } => {
            let id = resolve(control, actor, &tenant).await?;
            control.webhook_remove(actor, id, webhook).await?;
            say!("{webhook}: removed");
            Ok(0)
        }
    }
}
