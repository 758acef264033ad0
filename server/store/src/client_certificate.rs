//! Certificates that people have uploaded for their clients (XEP-0257): each proves its account to whoever holds the key.
//!
//! Nothing here is secret. The same certificate may be uploaded to several accounts. Refuses: more than [`CLIENT_CERTIFICATES`] of an account.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::Result;
use crate::{AccountId, DomainStore, rd, wr};

/// Certificates of an account at most.
pub const CLIENT_CERTIFICATES: i64 = 20;

/// An uploaded certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificateRow {
    /// What its owner calls it; one of a kind in the account.
    pub name: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Whether who logs in with it may change the account's list of certificates.
    pub manages: bool,
    /// When it was uploaded.
    pub added: Timestamp,
    /// Its own end.
    pub expires: Timestamp,
}

/// What became of one that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is in the list.
    Done,
    /// The name belongs to another one.
    NameTaken,
    /// It is in the list already, under another name.
    Known,
    /// The account has as many as it may.
    Full,
}

type Tuple = (String, String, Vec<u8>, bool, i64, i64);

impl DomainStore {
    /// Adds one to an account's list.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn client_certificate_add(
        &self,
        account: AccountId,
        row: &ClientCertificateRow,
    ) -> Result<Appended> {
        Ok(wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query(
                "INSERT INTO client_certificates (account, name, fingerprint, certificate, manages, added, expires) \
                 SELECT id, $3, $4, $5, $6, $7, $8 FROM accounts WHERE domain = $1 AND id = $2 AND \
                 (SELECT COUNT(*) FROM client_certificates WHERE account = $2) < $9 ON CONFLICT DO NOTHING",
            )
            .bind(self.id.0).bind(account.0).bind(&row.name).bind(&row.fingerprint).bind(&row.certificate)
            .bind(row.manages).bind(row.added.0).bind(row.expires.0).bind(CLIENT_CERTIFICATES)
            .execute(&mut *tx).await.map(|done| done.rows_affected())?;
            let there: Vec<(String,)> = sqlx::query_as(
                "SELECT name FROM client_certificates WHERE account = $1 AND (name = $2 OR fingerprint = $3)",
            )
            .bind(account.0).bind(&row.name).bind(&row.fingerprint).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            match (n, there.iter().any(|(name,)| *name == row.name), there.is_empty()) {
                (1.., ..) => Appended::Done,
                (0, true, _) => Appended::NameTaken,
                (0, false, false) => Appended::Known,
                (0, false, true) => Appended::Full,
            }
        }))
    }

    /// Those of an account, by name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn client_certificates(
        &self,
        account: AccountId,
    ) -> Result<Vec<ClientCertificateRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT c.name, c.fingerprint, c.certificate, c.manages, c.added, c.expires FROM client_certificates c \
                 JOIN accounts a ON a.id = c.account WHERE a.domain = $1 AND c.account = $2 ORDER BY c.name",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let row = |(name, fingerprint, certificate, manages, added, expires): Tuple| {
            ClientCertificateRow {
                name,
                fingerprint,
                certificate,
                manages,
                added: Timestamp(added),
                expires: Timestamp(expires),
            }
        };
        Ok(found.into_iter().map(row).collect())
    }

    /// Localparts of the domain's active accounts that this certificate proves, at most `most`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn accounts_of_client_certificate(
        &self,
        fingerprint: &str,
        most: u32,
    ) -> Result<Vec<String>> {
        let found: Vec<(String,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT a.local FROM client_certificates c JOIN accounts a ON a.id = c.account \
                 WHERE a.domain = $1 AND c.fingerprint = $2 AND a.state = 'active' ORDER BY a.local LIMIT CAST($3 AS BIGINT)",
            )
            .bind(self.id.0).bind(fingerprint).bind(i64::from(most)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(|(local,)| local).collect())
    }

    /// Removes one by its name; its fingerprint is returned. `revoke`: the streams that it authenticated are to be closed, which
    /// is announced. `None`: there is none of this name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn client_certificate_remove(
        &self,
        local: &str,
        name: &str,
        revoke: bool,
        now: Timestamp,
    ) -> Result<Option<String>> {
        let removed: Option<(String,)> = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let removed: Option<(String,)> = sqlx::query_as(
                "DELETE FROM client_certificates WHERE name = $3 AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND local = $2) RETURNING fingerprint",
            )
            .bind(self.id.0).bind(local).bind(name).fetch_optional(&mut *tx).await?;
            if let Some((fingerprint,)) = &removed {
                record!(self.store, tx);
                if revoke {
                    let jid = format!("{local}@{}", self.name);
                    announce!(tx, Change::ClientCertificate(jid, fingerprint.clone()), now);
                }
            }
            tx.commit().await?;
            removed
        });
        self.store.tell();
        Ok(removed.map(|(fingerprint,)| fingerprint))
    }
}
