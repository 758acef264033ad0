//! Accounts of a domain. A password is kept only as SCRAM verifiers.

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Actor, Control};

/// An account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountView {
    /// Bare JID.
    pub jid: String,
    /// Localpart.
    pub local: String,
    /// `active` or `suspended`.
    pub state: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
}

/// A new account.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountNew {
    /// Localpart, in any spelling that RFC 7622 allows.
    pub local: String,
    /// Password; `None`: one is drawn and returned.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// A fresh account; the only time a drawn password is seen.
#[derive(Debug, Clone, Serialize)]
pub struct AccountAdded {
    /// The account.
    #[serde(flatten)]
    pub view: AccountView,
    /// The password, if it was drawn here.
    pub password: Option<String>,
}

/// Result of an import.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// Rows that became accounts.
    pub added: usize,
    /// Rows that did not.
    pub refused: Vec<ImportRefused>,
    /// `local,password` of rows without a password; seen only here.
    pub drawn: Vec<(String, String)>,
}

/// A row that was not imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportRefused {
    /// Line of the file, from 1.
    pub line: usize,
    /// Localpart as written.
    pub local: String,
    /// Why.
    pub problem: String,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct AccountPage {
    /// Accounts by localpart.
    pub accounts: Vec<AccountView>,
    /// Of so many.
    pub total: u64,
    /// Pass as `after` for the next page; `None`: this is the last.
    pub next: Option<String>,
}

impl Control {
    /// Accounts of a domain by localpart, at most `limit` (cut at 500) after the localpart `after`.
    pub async fn account_list(
        &self,
        actor: &Actor,
        domain: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage> {
        let _ = (actor, domain, after, limit);
        todo!()
    }

    /// One account.
    pub async fn account_show(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Adds an account to a domain that is proven.
    pub async fn account_add(
        &self,
        actor: &Actor,
        domain: &str,
        new: AccountNew,
    ) -> Result<AccountAdded> {
        let _ = (actor, domain, new);
        todo!()
    }

    /// Adds thousands: CSV of `local,password` (a missing password is drawn); a bad row is reported, the others go in.
    pub async fn account_import(
        &self,
        actor: &Actor,
        domain: &str,
        csv: &str,
    ) -> Result<ImportReport> {
        let _ = (actor, domain, csv);
        todo!()
    }

    /// Sets a password (`None`: drawn and returned); the account's sessions end.
    pub async fn account_set_password(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        password: Option<&str>,
    ) -> Result<Option<String>> {
        let _ = (actor, domain, local, password);
        todo!()
    }

    /// Stops an account; its sessions end.
    pub async fn account_suspend(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Undoes that.
    pub async fn account_resume(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Erases an account with everything it has.
    pub async fn account_remove(&self, actor: &Actor, domain: &str, local: &str) -> Result<()> {
        let _ = (actor, domain, local);
        todo!()
    }
}
