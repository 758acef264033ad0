//! Seeing what a customer sees: an operator of the platform looks at a customer's pages as its owner does, read only and for a
//! while, and the customer's own log says so.
//!
//! It is kept with the login, so that another browser of the same person is not affected, and it ends by itself. Refuses:
//! acting as somebody else. Who looks has their own name in the log, and while it lasts every operation that changes
//! anything is refused where permission is asked ([`Actor::check`]), whatever a page shows; their own person is not theirs to
//! change either.

use std::sync::Arc;

use store::{LoginRow, TenantId};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::permission::{Operation, Role};
use crate::{Actor, Control, time};

/// So long, unless it is begun again.
pub const VIEW_SECONDS: u32 = 1_800;

/// Who is looked at, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewing {
    /// The tenant's id.
    pub tenant: i64,
    /// What it is called.
    pub name: String,
    /// The end.
    pub until: Timestamp,
    /// The actor's own login, by its id.
    pub login: i64,
}

impl Control {
    /// From now on the holder of this login (by id, of the actor's own) looks at a tenant as its owner does. Read only, and
    /// written to the tenant's log.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::Forbidden`]
    pub async fn owner_view(&self, actor: &Actor, login: i64, tenant: i64) -> Result<Viewing> {
        let operation = Operation::OwnerView;
        let row = self.tenant_row(actor, operation, tenant).await?;
        let operator = actor.operator.ok_or(ControlError::Forbidden {
            operation,
            role: actor.role,
        })?;
        let until = time::plus(self.now(), VIEW_SECONDS);
        let detail = format!("read only, until {}", until.to_xep0082());
        let recorded = self.recorded(actor, Some(row.id), operation, "", &row.name, &detail);
        if !recorded
            .login_view(operator, login, Some((row.id, until)))
            .await?
        {
            return Err(ControlError::not_found("login", login));
        }
        tracing::info!(
            operator = actor.login(),
            tenant = row.id.0,
            "looks as the owner, read only"
        );
        Ok(Viewing {
            tenant,
            name: row.name,
            until,
            login,
        })
    }

    /// It ends; who was looked at. `None`: nobody was.
    ///
    /// # Errors
    /// [`ControlError::Store`]
    pub async fn owner_view_end(&self, actor: &Actor) -> Result<Option<Viewing>> {
        let operation = Operation::OwnerViewEnd;
        let operator = self.own(actor, operation)?;
        let Some(viewing) = actor.viewing() else {
            return Ok(None);
        };
        // In the log with the role that they have.
        let really = Actor {
            role: Role::Platform,
            tenant: None,
            ..actor.clone()
        };
        let tenant = Some(TenantId(viewing.tenant));
        self.recorded(&really, tenant, operation, "", &viewing.name, "")
            .login_view(operator, viewing.login, None)
            .await?;
        Ok(Some(viewing.clone()))
    }

    /// As whom the holder of this login acts now: they reach what an auditor of that tenant does, and less.
    pub(crate) async fn as_viewer(&self, login: &LoginRow, actor: Actor) -> Result<Actor> {
        let now = self.now();
        let viewing = login.viewing.filter(|(_, until)| *until > now);
        let Some((tenant, until)) = viewing.filter(|_| actor.role == Role::Platform) else {
            return Ok(actor);
        };
        let Some(row) = self.store().tenant_get(tenant).await? else {
            return Ok(actor);
        };
        Ok(Actor {
            role: Role::Auditor,
            tenant: Some(tenant),
            viewing: Some(Arc::new(Viewing {
                tenant: tenant.0,
                name: row.name,
                until,
                login: login.id,
            })),
            ..actor
        })
    }
}
