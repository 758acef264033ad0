//! `domicile operator`: the people who run the platform or a customer's domains.

use clap::Subcommand;
use control::operator::OperatorNew;
use control::{Actor, Control, Secret};

use super::output::{show, table};
use super::tenant::resolve;
use super::{Failure, Outcome, Password};

#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Add an operator, or give one with this address a new password
    Add {
        /// E-mail address, the login
        login: String,
        /// Customer (number or name) whose operator it is; without it, an operator of the platform
        #[arg(long)]
        tenant: Option<String>,
        /// owner, admin, support or auditor; only with --tenant
        #[arg(long, default_value = "owner", requires = "tenant")]
        role: String,
        #[command(flatten)]
        password: Password,
    },
    /// List operators
    List {
        /// Customer (number or name); without it, operators of the platform
        #[arg(long)]
        tenant: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove an operator of a customer; the last owner stays
    Remove {
        /// E-mail address
        login: String,
        /// Customer (number or name)
        #[arg(long)]
        tenant: String,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: OperatorCommand) -> Outcome {
    match command {
        OperatorCommand::Add {
            login,
            tenant,
            role,
            password,
        } => {
            let (password, drawn): (Secret, bool) = password.given_or_drawn()?;
            let shown = password.expose().to_owned();
            match tenant {
                Some(tenant) => {
                    let id = resolve(control, actor, &tenant).await?;
                    control
                        .team_add(
                            actor,
                            id,
                            OperatorNew {
                                login: login.clone(),
                                password,
                                role,
                            },
                        )
                        .await?;
                }
                None => {
                    control
                        .platform_team_add(
                            actor,
                            OperatorNew {
                                login: login.clone(),
                                password,
                                role: "platform".into(),
                            },
                        )
                        .await?;
                }
            }
            say!("{login}: may sign in");
            if drawn {
                say!("password {shown}");
            }
            Ok(0)
        }
        OperatorCommand::List { tenant, json } => {
            let team = match tenant {
                Some(tenant) => {
                    control
                        .team_list(actor, resolve(control, actor, &tenant).await?)
                        .await?
                }
                None => control.platform_team_list(actor).await?,
            };
            show(json, &team, |team| {
                table(
                    ["login", "role", "since"],
                    team.iter().map(|view| {
                        [
                            view.login.clone(),
                            view.role.to_string(),
                            view.created.to_xep0082(),
                        ]
                    }),
                )
            })
        }
        OperatorCommand::Remove { login, tenant } => {
            let id = resolve(control, actor, &tenant).await?;
            let team = control.team_list(actor, id).await?;
            let Some(view) = team
                .iter()
                .find(|view| view.login.eq_ignore_ascii_case(&login))
            else {
                return Err(Failure::other(
                    3,
                    format!("there is no operator \"{login}\" of {tenant}"),
                    "`domicile operator list --tenant …` shows who is there.",
                ));
            };
            control.team_remove(actor, id, view.id).await?;
            say!("{login}: removed");
            Ok(0)
        }
    }
}
