//! People take out what they have themselves (XEP-0227): an account asks from its app, and gets a link to a page of the web door
//! from which the file is loaded, once and within half an hour.
//!
//! What is stored of a link is its hash, and of the file nothing: it is made while it is loaded. With it go archives, without the
//! verifiers of the password, by which whoever reads the file could guess at it (XEP-0227 6). The page is looked at as often as one
//! likes, since programs that look for viruses follow links by themselves. Refuses: other people's data, domains whose owner has
//! switched it off or that are not served, accounts that are stopped; and to say of a link why it is not good.

use std::sync::Arc;

use serde::Serialize;
use store::{DomainRow, Export};
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use crate::domain::{StreamChoices, state_of};
use crate::error::{ControlError, Result};
use crate::operator::{Origin, hash_of};
use crate::permission::Operation;
use crate::portable::Outgoing;
use crate::shown::TOKEN;
use crate::time::plus;
use crate::{Actor, Control, password, rate};

/// Path of the page of a link, before its token.
pub const OWN_EXPORT_PATH: &str = "/export/";
/// How long a link is good (seconds).
const LIFE_SECONDS: i64 = 1_800;

/// A fresh link: the only time that its token is seen.
#[derive(Clone)]
pub struct OwnExportLink {
    /// Address of the page.
    pub link: String,
    /// Until.
    pub expires: Timestamp,
}

/// What whoever has the link is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OwnExport {
    /// Whose data: bare JID.
    pub account: String,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// A link that was good when it was shown. Made by [`Control::own_export_admit`] only.
#[derive(Clone)]
pub struct Admitted {
    domain: DomainRow,
    local: String,
    hash: Vec<u8>,
    /// What its holder is told.
    pub shown: OwnExport,
}

/// What it is called where it is not good.
const WHAT: &str = "this link";

fn absent() -> ControlError {
    ControlError::NotSignedIn { what: WHAT }
}

impl Control {
    /// Makes a link for an account that asks, in place of one that it has.
    ///
    /// # Errors
    /// [`ControlError::State`] when the domain's owner has switched it off, [`ControlError::TooMany`] when the account has asked
    /// too often, [`ControlError::NotFound`] when there is no such account, or it is stopped.
    pub async fn own_export_link(&self, account: &BareJid) -> Result<OwnExportLink> {
        let missing = || ControlError::not_found("account", account.as_str());
        let name = DomainName::parse(account.domain()).map_err(|_| missing())?;
        let row = self.store().domain_hosted(&name).await?;
        let row = row.ok_or_else(missing)?;
        if !offered(&row) {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "exports are the owner's".into(),
                problem: "its people cannot take out what they have by themselves".into(),
                remedy: "Ask whoever looks after the domain.".into(),
            });
        }
        let now = self.now();
        self.gate.attempt(rate::OWN_EXPORT, account.as_str(), now)?;
        let token = password::token(TOKEN);
        let expires = plus(now, LIFE_SECONDS);
        let local = account.local().unwrap_or_default();
        let kept = self
            .own_export_recorded(&row, account.as_str(), "link for themselves")
            .domain(row.id, &row.name)
            .own_export_put(local, &hash_of(token.expose()), expires)
            .await?;
        if !kept {
            return Err(missing());
        }
        let base = self.settings().invites.trim_end_matches('/');
        Ok(OwnExportLink {
            link: format!("{base}{OWN_EXPORT_PATH}{}", token.expose()),
            expires,
        })
    }

    /// Looks at what somebody shows as such a link, at the website of `domain` (canonical, U-labels) if it is shown there. Says
    /// the same of one that never was, was used, has ended, or is of another domain.
    ///
    /// # Errors
    /// [`ControlError::NotSignedIn`] when it is not good, [`ControlError::TooMany`] when the address has shown too many.
    pub async fn own_export_admit(
        &self,
        domain: Option<&str>,
        token: &str,
        origin: &Origin,
    ) -> Result<Admitted> {
        let hash = self.token_shown(rate::OWN_EXPORT_SHOWN, WHAT, token, origin)?;
        let found = self.store().own_export_find(&hash, self.now()).await?;
        let found = found.ok_or_else(absent)?;
        let row = self.domain_shown(found.domain, domain).await?;
        let row = row.filter(offered).ok_or_else(absent)?;
        let shown = OwnExport {
            account: format!("{}@{}", found.local, row.name),
            expires: found.expires,
        };
        Ok(Admitted {
            domain: row,
            local: found.local,
            hash,
            shown,
        })
    }

    /// Uses the link up, and begins to write what its account has.
    ///
    /// # Errors
    /// [`ControlError::NotSignedIn`] when somebody was faster or its time is over, [`ControlError::TooMany`] when too many of the
    /// domain's people do this at a time; the link stays good.
    pub async fn own_export_take(self: &Arc<Self>, admitted: Admitted) -> Result<Outgoing> {
        let Admitted {
            domain,
            local,
            hash,
            shown,
        } = admitted;
        let now = self.now();
        self.gate
            .attempt(rate::OWN_EXPORT_DOMAIN, domain.name.as_str(), now)?;
        let taken = self
            .own_export_recorded(&domain, &shown.account, "archive, by their link")
            .domain(domain.id, &domain.name)
            .own_export_take(&hash, now)
            .await?;
        if !taken {
            return Err(absent());
        }
        let wanted = Export {
            only: Some(local),
            archive: true,
            credentials: false,
        };
        Ok(self.outgoing(domain, wanted))
    }

    fn own_export_recorded(&self, row: &DomainRow, account: &str, said: &str) -> store::Store {
        let actor = Actor::of_account(account);
        let (tenant, operation) = (Some(row.tenant), Operation::PeopleExport);
        self.recorded(&actor, tenant, operation, row.name.as_str(), account, said)
    }
}

/// Whether people of the domain may take out what they have now.
fn offered(row: &DomainRow) -> bool {
    row.verified_at.is_some() && state_of(row).is_served() && StreamChoices::of(row).own_export
}
