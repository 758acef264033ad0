//! Invitations of colleagues: a link that makes whoever opens it an operator of the tenant, once and for some days.
//!
//! What is stored of a link is its hash; the link is shown once, to whoever invites. An invitation gives the role that was
//! chosen when it was made, and can be taken back until it is accepted.

use serde::{Deserialize, Serialize};
use store::{InvitationRow, StoreError};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::{
    LoggedIn, OperatorView, Origin, hash_of, login_taken, operator_view, short_text,
};
use crate::permission::{Operation, Role};
use crate::secret::Secret;
use crate::time::plus;
use crate::{Actor, Control, password, rate};

/// An invitation to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InvitationAsk {
    /// `owner`, `admin`, `support`, `auditor`.
    pub role: String,
    /// Whom it is meant for, in your own words.
    pub note: String,
    /// Days until it ends, 1 to 30; 7 if nothing is said.
    pub days: Option<u32>,
}

/// An invitation, for the list.
#[derive(Debug, Clone, Serialize)]
pub struct InvitationView {
    /// Id.
    pub id: i64,
    /// As what.
    pub role: Role,
    /// Whom it is meant for.
    pub note: String,
    /// Who invites.
    pub by: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// A fresh invitation: the only time its secret is seen.
#[derive(Debug, Clone, Serialize)]
pub struct InvitationNew {
    /// What the link ends in.
    pub secret: String,
    /// The rest.
    #[serde(flatten)]
    pub view: InvitationView,
}

/// What whoever has the link is told.
#[derive(Debug, Clone, Serialize)]
pub struct Invited {
    /// Into whose team.
    pub tenant: String,
    /// As what.
    pub role: Role,
    /// Who invites.
    pub by: String,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// Taking an invitation.
#[derive(Debug, Clone, Deserialize)]
pub struct InvitationAccept {
    /// What the link ends in.
    pub secret: Secret,
    /// One's e-mail address.
    pub login: String,
    /// One's password.
    pub password: Secret,
}

/// How long an invitation lasts, if nothing is said, and at most (days).
const DAYS: u32 = 7;
const MOST_DAYS: u32 = 30;
/// Open invitations of one tenant.
const OPEN: usize = 50;
const DAY_SECONDS: i64 = 86_400;

/// A role that people of a tenant can have.
pub(crate) fn role_of_a_tenant(word: &str) -> Result<Role> {
    Role::parse(word)
        .filter(|role| role.of_a_tenant())
        .ok_or_else(|| {
            ControlError::invalid(
                "role",
                word,
                "there is no such role",
                "Use owner, admin, support or auditor.",
            )
        })
}

impl Control {
    /// Open invitations of a tenant.
    pub async fn invitation_list(&self, actor: &Actor, tenant: i64) -> Result<Vec<InvitationView>> {
        let row = self
            .tenant_row(actor, Operation::InvitationList, tenant)
            .await?;
        let rows = self.store().invitation_list(row.id, self.now()).await?;
        Ok(rows.into_iter().filter_map(view).collect())
    }

    /// Invites somebody into a tenant's team.
    pub async fn invitation_add(
        &self,
        actor: &Actor,
        tenant: i64,
        ask: InvitationAsk,
    ) -> Result<InvitationNew> {
        let row = self
            .tenant_row(actor, Operation::InvitationAdd, tenant)
            .await?;
        let role = role_of_a_tenant(&ask.role)?;
        let note = match ask.note.trim() {
            "" => String::new(),
            note => short_text("note", note)?,
        };
        let days = ask.days.unwrap_or(DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(ControlError::invalid(
                "days",
                days.to_string(),
                format!("an invitation is good for 1 to {MOST_DAYS} days"),
                "Invite them again when it has ended.",
            ));
        }
        let now = self.now();
        let used = self.store().invitation_list(row.id, now).await?.len();
        if used >= OPEN {
            return Err(ControlError::Limit {
                what: "open invitations",
                used: used as u64,
                limit: OPEN as u64,
            });
        }
        let secret = password::token(32).expose().to_owned();
        let mut invitation = InvitationRow {
            id: 0,
            tenant: row.id,
            role: role.as_str().into(),
            note,
            by: actor.login().to_owned(),
            created: now,
            expires: plus(now, i64::from(days) * DAY_SECONDS),
        };
        let said = [role.as_str(), &invitation.note].join(" ");
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::InvitationAdd,
            "",
            &row.name,
            said.trim_end(),
        );
        invitation.id = recorded
            .invitation_add(&hash_of(&secret), &invitation)
            .await?;
        let view = view(invitation).ok_or_else(|| ControlError::internal("a role was lost"))?;
        Ok(InvitationNew { secret, view })
    }

    /// Takes an invitation back.
    pub async fn invitation_remove(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::InvitationRemove, tenant)
            .await?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::InvitationRemove,
            "",
            &row.name,
            &id.to_string(),
        );
        if recorded.invitation_remove(row.id, id).await? {
            Ok(())
        } else {
            Err(ControlError::not_found("invitation", id))
        }
    }

    /// What a link invites to. Says the same of one that never was, was taken, or has ended.
    pub async fn invitation_show(&self, secret: &str, origin: &Origin) -> Result<Invited> {
        self.gate_from(rate::INVITATION, origin)?;
        let absent = || ControlError::NotSignedIn {
            what: "this invitation",
        };
        let found = self
            .store()
            .invitation_find(&hash_of(secret), self.now())
            .await?
            .ok_or_else(absent)?;
        let tenant = self
            .store()
            .tenant_get(found.tenant)
            .await?
            .ok_or_else(absent)?;
        let view = view(found).ok_or_else(absent)?;
        Ok(Invited {
            tenant: tenant.name,
            role: view.role,
            by: view.by,
            expires: view.expires,
        })
    }

    /// Takes an invitation: whoever did is an operator of the tenant, and signed in.
    pub async fn invitation_accept(
        &self,
        accept: InvitationAccept,
        origin: &Origin,
    ) -> Result<LoggedIn> {
        let invited = self.invitation_show(accept.secret.expose(), origin).await?;
        let (login, hash) = self
            .operator_ready("login", &accept.login, &accept.password)
            .await?;
        let person = Actor {
            role: invited.role,
            operator: None,
            login: login.as_str().into(),
            tenant: None,
            via: "panel".into(),
            scope: None,
            enrol: false,
            looks_only: false,
            viewing: None,
        };
        let said = format!("{}, invited by {}", invited.role, invited.by);
        let accepted = self
            .recorded(&person, None, Operation::TeamAdd, "", &login, &said)
            .invitation_accept(&hash_of(accept.secret.expose()), &login, &hash, self.now())
            .await;
        let id = match accepted {
            Ok(Some(id)) => id,
            Ok(None) => {
                return Err(ControlError::NotSignedIn {
                    what: "this invitation",
                });
            }
            Err(StoreError::Conflict { .. }) => return Err(login_taken(login)),
            Err(error) => return Err(error.into()),
        };
        let row = self.store().operator_get(id).await?;
        let row = row.ok_or_else(|| ControlError::internal("who accepted is not there"))?;
        self.login_make(&row, origin).await
    }

    /// Gives a colleague another role; the last owner stays one. With `was`, only if that is still their role.
    pub async fn team_set_role(
        &self,
        actor: &Actor,
        tenant: i64,
        id: i64,
        role: &str,
        was: Option<&str>,
    ) -> Result<OperatorView> {
        let row = self
            .tenant_row(actor, Operation::TeamSetRole, tenant)
            .await?;
        let team = self.store().operator_list(Some(row.id)).await?;
        let mut member = team
            .into_iter()
            .find(|member| member.id.0 == id)
            .ok_or_else(|| ControlError::not_found("operator", id))?;
        let role = role_of_a_tenant(role)?;
        if was.is_some_and(|was| was != member.role) {
            return Err(ControlError::stale("operator", &member.login));
        }
        let said = format!("{}, was {}", role, member.role);
        let set = self
            .recorded(
                actor,
                Some(row.id),
                Operation::TeamSetRole,
                "",
                &member.login,
                &said,
            )
            .operator_set_role(row.id, member.id, role.as_str(), Role::Owner.as_str())
            .await?;
        if !set {
            return Err(ControlError::State {
                name: member.login,
                state: "the last owner".into(),
                problem: "nobody could manage this customer any more".into(),
                remedy: "Make somebody else an owner first.".into(),
            });
        }
        member.role = role.as_str().into();
        operator_view(&member).ok_or_else(|| ControlError::internal("an operator without a role"))
    }
}

fn view(row: InvitationRow) -> Option<InvitationView> {
    Some(InvitationView {
        id: row.id,
        role: Role::parse(&row.role)?,
        note: row.note,
        by: row.by,
        created: row.created,
        expires: row.expires,
    })
}
