//! Certificates that people log in with (XEP-0257), as those see them who look after the people.
//!
//! They are uploaded by their owners' clients, never here. Refuses: showing what belongs to another customer.

use serde::Serialize;
use store::ClientCertificateRow;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::permission::Operation;
use crate::{Actor, Control};

/// An uploaded certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientCertificateView {
    /// What its owner calls it.
    pub name: String,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// Who logs in with it may change the list.
    pub manages: bool,
    /// When it was uploaded.
    #[serde(serialize_with = "crate::time::at")]
    pub added: Timestamp,
    /// Its own end.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

impl Control {
    /// The certificates of an account, by name.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]
    pub async fn account_certificates(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<Vec<ClientCertificateView>> {
        let row = self
            .domain_row(actor, Operation::AccountShow, domain)
            .await?;
        let (_, account) = self.account_row(&row, local).await?;
        let rows = self.store().domain(row.id, &row.name);
        let found = rows.client_certificates(account.id).await?;
        Ok(found.into_iter().map(view).collect())
    }

    /// Takes one away; the streams that it authenticated end.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]
    pub async fn account_revoke_certificate(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        name: &str,
    ) -> Result<()> {
        let operation = Operation::AccountRevokeCertificate;
        let row = self.domain_row(actor, operation, domain).await?;
        let (jid, account) = self.account_row(&row, local).await?;
        let detail = format!("{name:?}");
        let tenant = Some(row.tenant);
        let store = self.recorded(
            actor,
            tenant,
            operation,
            row.name.as_str(),
            jid.as_str(),
            &detail,
        );
        store
            .domain(row.id, &row.name)
            .client_certificate_remove(&account.local, name, true, self.now())
            .await?
            .ok_or_else(|| ControlError::not_found("certificate", name))?;
        self.tell(&row, EventKind::Accounts);
        Ok(())
    }
}

fn view(row: ClientCertificateRow) -> ClientCertificateView {
    ClientCertificateView {
        name: row.name,
        fingerprint: row.fingerprint,
        manages: row.manages,
        added: row.added,
        expires: row.expires,
    }
}
