//! Identities of hosted domains: chains in the clear, keys sealed. Also what ACME needs to survive a crash.

use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::{Result, StoreError};
use crate::{DomainId, DomainStore, Store, rd, wr};

/// A certificate, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// Row.
    pub id: i64,
    /// Leaf first; PEM.
    pub chain_pem: String,
    /// End of the leaf.
    pub not_after: Timestamp,
    /// `acme`, `uploaded`.
    pub source: String,
    /// `current`, `next`, `retired`.
    pub state: String,
    /// When stored.
    pub created: Timestamp,
    /// Since when its key is in use: a renewal that keeps the key keeps this too.
    pub key_since: Timestamp,
    /// When it came into its state; 0 for those from before this was kept.
    pub since: Timestamp,
    /// Directory URL of the authority that issued it to us; empty: uploaded, or from before this was kept.
    pub authority: String,
    /// What the authority said of its renewal, JSON.
    pub renewal: Option<String>,
}

/// A certificate with its key, as TLS needs it.
#[derive(Clone)]
pub struct Identity {
    /// Leaf first; PEM.
    pub chain_pem: String,
    /// PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

/// An ACME order under way.
#[derive(Clone)]
pub struct OrderRow {
    /// At the CA.
    pub url: String,
    /// PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
    /// DER.
    pub csr: Vec<u8>,
    /// Directory URL of the authority it is at.
    pub authority: String,
}

impl std::fmt::Debug for OrderRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderRow")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

type Tuple = (
    i64,
    String,
    i64,
    String,
    String,
    i64,
    i64,
    i64,
    String,
    Option<String>,
);

fn row(
    (id, chain_pem, not_after, source, state, created, key_since, since, authority, renewal): Tuple,
) -> CertificateRow {
    CertificateRow {
        id,
        chain_pem,
        not_after: Timestamp(not_after),
        source,
        state,
        created: Timestamp(created),
        key_since: Timestamp(key_since),
        since: Timestamp(since),
        authority,
        renewal,
    }
}

// A key's place is its domain, not its row: the row's number is not known before it is stored.
fn place(id: DomainId) -> String {
    format!("certificates/{id}")
}

fn text(bytes: &Zeroizing<Vec<u8>>, what: &'static str) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| StoreError::Corrupt { what })?;
    Ok(Zeroizing::new(text.to_owned()))
}

impl Store {
    /// The key as it is stored.
    pub(crate) fn seal_identity(&self, domain: DomainId, identity: &Identity) -> Result<Vec<u8>> {
        self.sealer()
            .seal(&place(domain), identity.key_pem.as_bytes())
    }
}

impl DomainStore {
    /// Stores a certificate. With state `current` it takes the place of the one in use, which is retired; with state `next` that
    /// of one that was made ahead and not used yet, which is forgotten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_add(
        &self,
        identity: &Identity,
        not_after: Timestamp,
        source: &str,
        state: &str,
        now: Timestamp,
    ) -> Result<i64> {
        let sealed = self.store.seal_identity(self.id, identity)?;
        // A key that does not open (another master key) is certainly not the new one.
        let held = self.identity_current().await.unwrap_or_default();
        let key_since = match (held, self.certificate_current().await?) {
            (Some(held), Some(row)) if held.key_pem == identity.key_pem => row.key_since,
            _ => now,
        };
        let (id,): (i64,) = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            if state == "current" {
                sqlx::query("UPDATE certificates SET state = 'retired', since = $2 WHERE domain = $1 AND state = 'current'")
                    .bind(self.id.0).bind(now.0).execute(&mut *tx).await?;
            }
            if state == "next" {
                sqlx::query("DELETE FROM certificates WHERE domain = $1 AND state = 'next'")
                    .bind(self.id.0).execute(&mut *tx).await?;
            }
            let id = sqlx::query_as(
                "INSERT INTO certificates (domain, chain_pem, key_sealed, not_after, source, state, created, key_since, since) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7) RETURNING id",
            )
            .bind(self.id.0).bind(&identity.chain_pem).bind(&sealed).bind(not_after.0).bind(source).bind(state).bind(now.0)
            .bind(key_since.0).fetch_one(&mut *tx).await?;
            // Two retired ones are history enough; their keys should not lie around for ever.
            sqlx::query(
                "DELETE FROM certificates WHERE domain = $1 AND state = 'retired' AND id NOT IN \
                 (SELECT id FROM certificates WHERE domain = $1 AND state = 'retired' ORDER BY id DESC LIMIT 2)",
            )
            .bind(self.id.0).execute(&mut *tx).await?;
            record!(self.store, tx);
            announce!(tx, Change::Certificate(self.name.to_string()), now);
            tx.commit().await?;
            id
        });
        self.store.tell();
        Ok(id)
    }

    /// The one made ahead comes into use, the one in use is retired. `false`: there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_promote(&self, now: Timestamp) -> Result<bool> {
        let same_key = match (self.identity_current().await, self.identity_next().await?) {
            (Ok(Some(held)), Some(next)) => held.key_pem == next.key_pem,
            _ => false,
        };
        let n = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let held: Option<(i64,)> =
                sqlx::query_as("SELECT key_since FROM certificates WHERE domain = $1 AND state = 'current'")
                    .bind(self.id.0).fetch_optional(&mut *tx).await?;
            let key_since = held.filter(|_| same_key).map_or(now.0, |(since,)| since);
            let next: Option<(i64,)> = sqlx::query_as("SELECT id FROM certificates WHERE domain = $1 AND state = 'next'")
                .bind(self.id.0).fetch_optional(&mut *tx).await?;
            let n = if let Some((id,)) = next {
                sqlx::query("UPDATE certificates SET state = 'retired', since = $2 WHERE domain = $1 AND state = 'current'")
                    .bind(self.id.0).bind(now.0).execute(&mut *tx).await?;
                sqlx::query("UPDATE certificates SET state = 'current', since = $2, key_since = $3 WHERE id = $1")
                    .bind(id).bind(now.0).bind(key_since).execute(&mut *tx).await?.rows_affected()
            } else {
                0
            };
            if n > 0 {
                record!(self.store, tx);
                announce!(tx, Change::Certificate(self.name.to_string()), now);
            }
            tx.commit().await?;
            n
        });
        self.store.tell();
        Ok(n > 0)
    }

    /// Forgets what was made ahead.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_discard_next(&self) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("DELETE FROM certificates WHERE domain = $1 AND state = 'next'").bind(self.id.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Says which authority issued a certificate.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_set_authority(&self, id: i64, directory: &str) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("UPDATE certificates SET authority = $3 WHERE id = $1 AND domain = $2")
                .bind(id).bind(self.id.0).bind(directory).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Keeps what the authority said of a certificate's renewal (JSON).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_set_renewal(&self, id: i64, renewal: &str) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("UPDATE certificates SET renewal = $3 WHERE id = $1 AND domain = $2")
                .bind(id).bind(self.id.0).bind(renewal).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// All certificates, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_list(&self) -> Result<Vec<CertificateRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT id, chain_pem, not_after, source, state, created, key_since, since, authority, renewal FROM certificates WHERE domain = $1 ORDER BY id DESC",
            )
            .bind(self.id.0).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// The certificate in use.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_current(&self) -> Result<Option<CertificateRow>> {
        let found: Option<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT id, chain_pem, not_after, source, state, created, key_since, since, authority, renewal FROM certificates \
                 WHERE domain = $1 AND state = 'current'",
            )
            .bind(self.id.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// The identity in use, with its key.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] with another master key.
    pub async fn identity_current(&self) -> Result<Option<Identity>> {
        self.identity("current").await
    }

    /// The identity made ahead, with its key.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] with another master key.
    pub async fn identity_next(&self) -> Result<Option<Identity>> {
        self.identity("next").await
    }

    async fn identity(&self, state: &str) -> Result<Option<Identity>> {
        let found: Option<(String, Vec<u8>)> = rd!(self.store, p => {
            sqlx::query_as("SELECT chain_pem, key_sealed FROM certificates WHERE domain = $1 AND state = $2")
                .bind(self.id.0).bind(state).fetch_optional(p).await
        })?;
        let Some((chain_pem, sealed)) = found else {
            return Ok(None);
        };
        let what = "certificates.key_sealed";
        let key = self.store.sealer().open(&place(self.id), &sealed, what)?;
        Ok(Some(Identity {
            chain_pem,
            key_pem: text(&key, what)?,
        }))
    }

    /// Remembers the order under way, in place of an older one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn order_set(&self, order: &OrderRow) -> Result<()> {
        let sealed = self
            .store
            .sealer()
            .seal(&place(self.id), order.key_pem.as_bytes())?;
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO acme_orders (domain, url, key_sealed, csr, authority) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (domain) DO UPDATE SET url = excluded.url, key_sealed = excluded.key_sealed, csr = excluded.csr, \
                 authority = excluded.authority",
            )
            .bind(self.id.0).bind(&order.url).bind(&sealed).bind(&order.csr).bind(&order.authority).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The order under way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn order_get(&self) -> Result<Option<OrderRow>> {
        let found: Option<(String, Vec<u8>, Vec<u8>, String)> = rd!(self.store, p => {
            sqlx::query_as("SELECT url, key_sealed, csr, authority FROM acme_orders WHERE domain = $1")
                .bind(self.id.0).fetch_optional(p).await
        })?;
        let Some((url, sealed, csr, authority)) = found else {
            return Ok(None);
        };
        let what = "acme_orders.key_sealed";
        let key = self.store.sealer().open(&place(self.id), &sealed, what)?;
        Ok(Some(OrderRow {
            url,
            key_pem: text(&key, what)?,
            csr,
            authority,
        }))
    }

    /// Forgets the order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn order_clear(&self) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("DELETE FROM acme_orders WHERE domain = $1").bind(self.id.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}

impl Store {
    /// Ends of all certificates in use, for metrics.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn certificate_ends(&self) -> Result<Vec<Timestamp>> {
        let found: Vec<(i64,)> = rd!(self, p => {
            sqlx::query_as("SELECT not_after FROM certificates WHERE state = 'current'").fetch_all(p).await
        })?;
        Ok(found.into_iter().map(|(t,)| Timestamp(t)).collect())
    }

    /// Credentials of the ACME account at a directory.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn acme_account_get(&self, directory: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let found: Option<(Vec<u8>,)> = rd!(self, p => {
            sqlx::query_as("SELECT credentials FROM acme_accounts WHERE directory = $1").bind(directory).fetch_optional(p).await
        })?;
        found
            .map(|(s,)| {
                self.sealer()
                    .open("acme_accounts", &s, "acme_accounts.credentials")
            })
            .transpose()
    }

    /// Remembers them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn acme_account_set(&self, directory: &str, credentials: &[u8]) -> Result<()> {
        let sealed = self.sealer().seal("acme_accounts", credentials)?;
        wr!(self, p => {
            sqlx::query(
                "INSERT INTO acme_accounts (directory, credentials) VALUES ($1, $2) \
                 ON CONFLICT (directory) DO UPDATE SET credentials = excluded.credentials",
            )
            .bind(directory).bind(&sealed).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Seals everything afresh that an older key sealed; returns how many values. Safe to repeat after a crash, and beside a
    /// running server: a value that changes meanwhile is left to whoever changed it.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] when a value opens with none of the keys.
    pub async fn keys_rotate(&self) -> Result<u64> {
        let mut done = 0;
        let keys: Vec<(i64, i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT id, domain, key_sealed FROM certificates").fetch_all(p).await
        })?;
        for (id, domain, sealed) in keys {
            if let Some(fresh) =
                self.reseal(&place(DomainId(domain)), &sealed, "certificates.key_sealed")?
            {
                wr!(self, p => {
                    sqlx::query("UPDATE certificates SET key_sealed = $2 WHERE id = $1 AND key_sealed = $3").bind(id).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        let orders: Vec<(i64, Vec<u8>)> = rd!(self, p => sqlx::query_as("SELECT domain, key_sealed FROM acme_orders").fetch_all(p).await)?;
        for (domain, sealed) in orders {
            if let Some(fresh) =
                self.reseal(&place(DomainId(domain)), &sealed, "acme_orders.key_sealed")?
            {
                wr!(self, p => {
                    sqlx::query("UPDATE acme_orders SET key_sealed = $2 WHERE domain = $1 AND key_sealed = $3").bind(domain).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        let accounts: Vec<(String, Vec<u8>)> = rd!(self, p => sqlx::query_as("SELECT directory, credentials FROM acme_accounts").fetch_all(p).await)?;
        for (directory, sealed) in accounts {
            if let Some(fresh) =
                self.reseal("acme_accounts", &sealed, "acme_accounts.credentials")?
            {
                wr!(self, p => {
                    sqlx::query("UPDATE acme_accounts SET credentials = $2 WHERE directory = $1 AND credentials = $3").bind(&directory).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        let others = self.settings_reseal().await? + self.tokens_reseal().await?;
        let people = self.factors_reseal().await? + self.webhooks_reseal().await?;
        let programs = self.components_reseal().await? + self.external_secrets_reseal().await?;
        let requests = self.requests_reseal().await?;
        Ok(done + others + people + programs + requests)
    }

    pub(crate) fn reseal(
        &self,
        place: &str,
        sealed: &[u8],
        what: &'static str,
    ) -> Result<Option<Vec<u8>>> {
        if self.sealer().is_current(sealed) {
            return Ok(None);
        }
        let plain = self.sealer().open(place, sealed, what)?;
        self.sealer().seal(place, &plain).map(Some)
    }
}
