//! Documents of an account: private XML (XEP-0049), and its vCard (XEP-0054).
//!
//! What is in them is the client's affair; here they are bytes with a name and a limit.

use crate::error::Result;
use crate::{AccountId, DomainStore, grouped, rd};

/// An element that clients keep for themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateXml {
    /// Its namespace …
    pub namespace: String,
    /// … and name, by which it is found again.
    pub name: String,
    /// The element.
    pub payload: Vec<u8>,
}

impl DomainStore {
    /// A private element; `None`: there is none of that name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn private_get(
        &self,
        account: AccountId,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>> {
        let found: Option<(Vec<u8>,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT x.payload FROM private_xml x JOIN accounts a ON a.id = x.account \
                 WHERE a.domain = $1 AND x.account = $2 AND x.namespace = $3 AND x.name = $4",
            )
            .bind(self.id.0).bind(account.0).bind(namespace).bind(name).fetch_optional(p).await
        })?;
        Ok(found.map(|(payload,)| payload))
    }

    /// All private elements of an account, by namespace and name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn private_list(&self, account: AccountId) -> Result<Vec<PrivateXml>> {
        let found: Vec<(String, String, Vec<u8>)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT x.namespace, x.name, x.payload FROM private_xml x JOIN accounts a ON a.id = x.account \
                 WHERE a.domain = $1 AND x.account = $2 ORDER BY x.namespace, x.name",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let element = |(namespace, name, payload)| PrivateXml {
            namespace,
            name,
            payload,
        };
        Ok(found.into_iter().map(element).collect())
    }

    /// Keeps private elements, all or none, in place of those of the same names; an empty payload removes. `false`: the
    /// account would have more than `bytes` of them, or is gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing has changed then.
    pub async fn private_put(
        &self,
        account: AccountId,
        elements: &[PrivateXml],
        bytes: u64,
    ) -> Result<bool> {
        let (domain, elements) = (self.id.0, elements.to_vec());
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        grouped!(self.store, c => {
            // Written rather than read: the row is the lock under which the sum holds.
            let there = sqlx::query("UPDATE accounts SET id = id WHERE domain = $1 AND id = $2")
                .bind(domain).bind(account.0).execute(&mut *c).await?.rows_affected();
            if there == 0 {
                return Ok(false);
            }
            let (mut total,): (i64,) = sqlx::query_as(
                "SELECT CAST(COALESCE(SUM(LENGTH(payload) + LENGTH(namespace) + LENGTH(name)), 0) AS BIGINT) \
                 FROM private_xml WHERE account = $1",
            )
            .bind(account.0).fetch_one(&mut *c).await?;
            for one in &elements {
                let before: Option<(i64,)> = sqlx::query_as(
                    "SELECT CAST(LENGTH(payload) + LENGTH(namespace) + LENGTH(name) AS BIGINT) FROM private_xml \
                     WHERE account = $1 AND namespace = $2 AND name = $3",
                )
                .bind(account.0).bind(&one.namespace).bind(&one.name).fetch_optional(&mut *c).await?;
                total -= before.map_or(0, |(bytes,)| bytes);
                if !one.payload.is_empty() {
                    let size = one.payload.len() + one.namespace.len() + one.name.len();
                    total = total.saturating_add(i64::try_from(size).unwrap_or(i64::MAX));
                }
            }
            if total > bytes {
                return Ok(false);
            }
            for one in elements {
                if one.payload.is_empty() {
                    sqlx::query("DELETE FROM private_xml WHERE account = $1 AND namespace = $2 AND name = $3")
                        .bind(account.0).bind(one.namespace).bind(one.name).execute(&mut *c).await?;
                } else {
                    sqlx::query(
                        "INSERT INTO private_xml (account, namespace, name, payload) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (account, namespace, name) DO UPDATE SET payload = excluded.payload",
                    )
                    .bind(account.0).bind(one.namespace).bind(one.name).bind(one.payload).execute(&mut *c).await?;
                }
            }
            Ok(true)
        })
    }

    /// What an account says about itself.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn vcard(&self, account: AccountId) -> Result<Option<Vec<u8>>> {
        let found: Option<(Vec<u8>,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT v.vcard FROM vcards v JOIN accounts a ON a.id = v.account WHERE a.domain = $1 AND v.account = $2",
            )
            .bind(self.id.0).bind(account.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(vcard,)| vcard))
    }

    /// Changes it. `false`: no such account.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing has changed then.
    pub async fn vcard_set(&self, account: AccountId, vcard: &[u8]) -> Result<bool> {
        let (domain, vcard) = (self.id.0, vcard.to_vec());
        grouped!(self.store, c => {
            let done = sqlx::query(
                "INSERT INTO vcards (account, vcard) SELECT id, $3 FROM accounts WHERE domain = $1 AND id = $2 \
                 ON CONFLICT (account) DO UPDATE SET vcard = excluded.vcard",
            )
            .bind(domain).bind(account.0).bind(vcard).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }
}
