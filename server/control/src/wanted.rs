//! What should be there, said as often as somebody likes: for programs that keep what they want in files (Terraform and its
//! like), and for whoever did not hear the answer.
//!
//! The first time makes it, a further time changes what differs, and where nothing does nothing is done and nothing is written
//! down. Refuses: nothing that the operations it is made of would take, and everything that they refuse.

use serde::Deserialize;

use crate::account::{AccountAdded, AccountNew, AccountView};
use crate::domain::{DomainNew, DomainSet, DomainShow};
use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::secret::Secret;
use crate::{Actor, Control};

/// What somebody wanted is there.
#[derive(Debug, Clone)]
pub struct There<T> {
    /// What it is now.
    pub now: T,
    /// It was made by this very call.
    pub is_new: bool,
}

impl<T> There<T> {
    fn made(now: T) -> Self {
        Self { now, is_new: true }
    }

    fn found(now: T) -> Self {
        Self { now, is_new: false }
    }
}

/// A domain as it should be.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DomainWanted {
    /// Whose (by id); `None`: the actor's own customer. One that is there already stays whose it is.
    #[serde(default)]
    pub tenant: Option<i64>,
    /// Its settings; what is not named stays, or is as usual.
    #[serde(flatten)]
    pub set: DomainSet,
}

/// An account as it should be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AccountWanted {
    /// Password of an account that is made; one that is there keeps its own. `None`: one is drawn and returned.
    pub password: Option<Secret>,
    /// Is it stopped? `None`: as it is.
    pub suspended: Option<bool>,
}

impl Control {
    /// A domain, claimed if nobody of this customer has claimed it, with these settings.
    ///
    /// # Errors
    /// Those of [`Control::domain_add`] and [`Control::domain_set`]. What can be refused of the settings is, before the domain
    /// is claimed.
    pub async fn domain_want(
        &self,
        actor: &Actor,
        domain: &str,
        wanted: DomainWanted,
    ) -> Result<There<DomainShow>> {
        let found = absent(self.domain_row(actor, Operation::DomainShow, domain).await)?;
        let Some(row) = found else {
            self.check_settings(&wanted.set)?;
            let new = DomainNew {
                domain: domain.to_owned(),
                tenant: wanted.tenant,
            };
            let show = self.domain_add(actor, new).await?;
            let show = self.domain_settle(actor, show, wanted.set).await?;
            return Ok(There::made(show));
        };
        if wanted.tenant.is_some_and(|tenant| tenant != row.tenant.0) {
            return Err(ControlError::Exists {
                what: "domain",
                name: row.name.to_string(),
                remedy: "It is another customer's; remove it there first.".into(),
            });
        }
        let show = self.domain_show(actor, domain).await?;
        let show = self.domain_settle(actor, show, wanted.set).await?;
        Ok(There::found(show))
    }

    /// Settings that differ are changed.
    async fn domain_settle(
        &self,
        actor: &Actor,
        show: DomainShow,
        set: DomainSet,
    ) -> Result<DomainShow> {
        let domain = &show.view.domain;
        let row = self.domain_row(actor, Operation::DomainSet, domain).await?;
        match self.differs(&row, &set)? {
            true => self.domain_set(actor, domain, set).await,
            false => Ok(show),
        }
    }

    /// An account, made if there is none of this name.
    ///
    /// # Errors
    /// Those of [`Control::account_add`], [`Control::account_suspend`] and [`Control::account_resume`].
    pub async fn account_want(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        wanted: AccountWanted,
    ) -> Result<There<AccountAdded>> {
        let found = absent(self.account_show(actor, domain, local).await)?;
        let mut there = match found {
            Some(view) => There::found(AccountAdded {
                view,
                password: None,
            }),
            None => {
                let new = AccountNew {
                    local: local.to_owned(),
                    password: wanted.password,
                };
                There::made(self.account_add(actor, domain, new).await?)
            }
        };
        let is_suspended = there.now.view.state != store::ACTIVE;
        let state: Option<AccountView> = match wanted.suspended {
            Some(true) if !is_suspended => Some(self.account_suspend(actor, domain, local).await?),
            Some(false) if is_suspended => Some(self.account_resume(actor, domain, local).await?),
            _ => None,
        };
        if let Some(view) = state {
            there.now.view = view;
        }
        Ok(there)
    }
}

/// What is not there is none.
fn absent<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ControlError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
