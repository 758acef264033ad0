//! `domicile token`: API tokens of an operator, made and ended by whoever is at the machine.

use clap::Subcommand;
use control::token::TokenAsk;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token; it is printed once
    Add {
        /// E-mail address of the operator whose token it is
        login: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// Only this domain; may be repeated
        #[arg(long = "domain", value_name = "DOMAIN")]
        domains: Vec<String>,
        /// Only this operation (account.add); may be repeated
        #[arg(long = "operation", value_name = "OPERATION")]
        operations: Vec<String>,
        /// Days until it ends, 1 to 366
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List an operator's tokens
    List {
        /// E-mail address
        login: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token
    Remove {
        /// E-mail address
        login: String,
        /// Number, as listed
        token: i64,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::Add {
            login,
            name,
            domains,
            operations,
            days,
            json,
        } => {
            let owner = control.acting_for(actor, &login).await?;
            let ask = TokenAsk {
                name,
                domains,
                operations,
                days: Some(days),
            };
            let made = control.token_add(&owner, ask).await?;
            show(json, &made, |made| made.secret.clone())
        }
        TokenCommand::List { login, json } => {
            let owner = control.acting_for(actor, &login).await?;
            let tokens = control.token_list(&owner).await?;
            let or_all = |list: &[String]| match list {
                [] => "all".to_owned(),
                list => list.join(" "),
            };
            show(json, &tokens, |tokens| {
                table(
                    [
                        "number",
                        "for",
                        "domains",
                        "operations",
                        "until",
                        "last use",
                    ],
                    tokens.iter().map(|token| {
                        [
                            token.id.to_string(),
                            token.name.clone(),
                            or_all(&token.domains),
                            or_all(&token.operations),
                            token.expires.to_xep0082(),
                            token
                                .used
                                .map_or_else(|| "never".into(), |used| used.to_xep0082()),
                        ]
                    }),
                )
            })
        }
        TokenCommand::Remove { login, token } => {
            let owner = control.acting_for(actor, &login).await?;
            control.token_remove(&owner, token).await?;
            say!("{token}: ended");
            Ok(0)
        }
    }
}
