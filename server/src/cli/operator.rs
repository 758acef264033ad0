//! `domicile operator`: the people who run the platform or a customer's domains.

use clap::Subcommand;
use control::invitation::InvitationAsk;
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
    /// Make a link with which somebody joins the team of a customer; it is printed once
    Invite {
        /// Customer (number or name)
        #[arg(long)]
        tenant: String,
        /// owner, admin, support or auditor
        #[arg(long, default_value = "admin")]
        role: String,
        /// Whom it is meant for
        #[arg(long, default_value = "")]
        note: String,
        /// Days until it ends [default: 7]
        #[arg(long)]
        days: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List open invitations of a customer
    Invitations {
        /// Customer (number or name)
        #[arg(long)]
        tenant: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an invitation back
    Uninvite {
        /// Its number
        invitation: i64,
        /// Customer (number or name)
        #[arg(long)]
        tenant: String,
    },
    /// Give an operator of a customer another role; the last owner stays one
    SetRole {
        /// E-mail address
        login: String,
        /// owner, admin, support or auditor
        role: String,
        /// Customer (number or name)
        #[arg(long)]
        tenant: String,
    },
    /// Take away the second factor of an operator who has lost it
    ResetFactor {
        /// E-mail address
        login: String,
        /// Customer (number or name); without it, an operator of the platform
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Show or choose whether an operator of a customer gets the nightly mail
    Mail {
        /// E-mail address
        login: String,
        /// Whether to write to them
        #[arg(long)]
        nightly: Option<bool>,
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

pub(super) async fn run(
    control: &Control,
    actor: &Actor,
    panel: &str,
    command: OperatorCommand,
) -> Outcome {
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
            let (id, member) = member(control, actor, &tenant, &login).await?;
            control.team_remove(actor, id, member).await?;
            say!("{login}: removed");
            Ok(0)
        }
        OperatorCommand::SetRole {
            login,
            role,
            tenant,
        } => {
            let (id, member) = member(control, actor, &tenant, &login).await?;
            let view = control
                .team_set_role(actor, id, member, &role, None)
                .await?;
            say!("{login}: {}", view.role);
            Ok(0)
        }
        OperatorCommand::ResetFactor { login, tenant } => {
            match tenant {
                Some(tenant) => {
                    let (id, member) = member(control, actor, &tenant, &login).await?;
                    control.team_reset_factor(actor, id, member).await?;
                }
                None => control.platform_reset_factor(actor, &login).await?,
            }
            say!("{login}: signs in with the password alone");
            Ok(0)
        }
        OperatorCommand::Mail {
            login,
            nightly,
            json,
        } => {
            let person = control.acting_for(actor, &login).await?;
            let view = match nightly {
                Some(nightly) => control.mail_set(&person, nightly).await?,
                None => control.mail_show(&person).await?,
            };
            show(json, &view, |view| match (view.nightly, view.written) {
                (true, true) => format!("{login}: is written to when something has changed"),
                (true, false) => format!(
                    "{login}: would be written to; but there is no [mail] relay, or the role answers for no domain"
                ),
                (false, _) => format!("{login}: is not written to"),
            })
        }
        OperatorCommand::Invite {
            tenant,
            role,
            note,
            days,
            json,
        } => {
            let id = resolve(control, actor, &tenant).await?;
            let ask = InvitationAsk { role, note, days };
            let made = control.invitation_add(actor, id, ask).await?;
            show(json, &made, |made| {
                format!(
                    "{panel}/join?invitation={}\ngood until {}, once",
                    made.secret,
                    made.view.expires.to_xep0082()
                )
            })
        }
        OperatorCommand::Invitations { tenant, json } => {
            let id = resolve(control, actor, &tenant).await?;
            let open = control.invitation_list(actor, id).await?;
            show(json, &open, |open| {
                table(
                    ["number", "whom", "role", "by", "until"],
                    open.iter().map(|view| {
                        [
                            view.id.to_string(),
                            view.note.clone(),
                            view.role.to_string(),
                            view.by.clone(),
                            view.expires.to_xep0082(),
                        ]
                    }),
                )
            })
        }
        OperatorCommand::Uninvite { invitation, tenant } => {
            let id = resolve(control, actor, &tenant).await?;
            control.invitation_remove(actor, id, invitation).await?;
            say!("{invitation}: taken back");
            Ok(0)
        }
    }
}

/// Numbers of a customer and of one of its operators.
async fn member(
    control: &Control,
    actor: &Actor,
    tenant: &str,
    login: &str,
) -> Result<(i64, i64), Failure> {
    let id = resolve(control, actor, tenant).await?;
    let team = control.team_list(actor, id).await?;
    let mut team = team.iter();
    let found = team.find(|view| view.login.eq_ignore_ascii_case(login));
    found.map(|view| (id, view.id)).ok_or_else(|| {
        Failure::other(
            3,
            format!("there is no operator \"{login}\" of {tenant}"),
            "`domicile operator list --tenant …` shows who is there.",
        )
    })
}
