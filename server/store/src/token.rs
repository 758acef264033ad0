//! Tokens with which clients come back (XEP-0484): what is kept of them is sealed, and opens nothing but its own account.

use xmpp::sasl::TokenKey;
use xmpp::stream::{Grant, IssuedToken};
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::{AccountId, DomainStore, Store, rd, wr};

/// Clients of an account that may come back without a password, at most; the one that was not seen for longest gives way.
const CLIENTS: i64 = 50;

/// A client of an account that may come back without a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRow {
    /// Its own name for itself.
    pub agent: String,
    /// What it says it is.
    pub software: String,
    /// What it says it runs on.
    pub device: String,
    /// When it got its first token that is still known.
    pub since: Timestamp,
    /// When it last came back with one.
    pub used: Option<Timestamp>,
    /// Until when it can.
    pub expires: Timestamp,
}

fn place(account: i64) -> String {
    format!("client_tokens {account}")
}

impl DomainStore {
    /// Tokens of one client of an active account, those that have expired included.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn tokens_of(&self, local: &str, agent: &str) -> Result<Vec<IssuedToken>> {
        let found: Vec<(i64, i64, String, Vec<u8>, i64)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT t.id, t.account, t.mechanism, t.key_sealed, t.expires FROM client_tokens t \
                 JOIN accounts a ON a.id = t.account \
                 WHERE a.domain = $1 AND a.local = $2 AND a.state = 'active' AND t.agent = $3",
            )
            .bind(self.id.0).bind(local).bind(agent).fetch_all(p).await
        })?;
        let mut tokens = Vec::new();
        for (id, account, mechanism, sealed, expires) in found {
            let opened =
                self.store
                    .sealer()
                    .open(&place(account), &sealed, "client_tokens.key_sealed")?;
            tokens.push(IssuedToken {
                id,
                mechanism,
                key: TokenKey::from_bytes(&opened).ok_or(StoreError::Corrupt {
                    what: "client_tokens.key_sealed",
                })?,
                expires: Timestamp(expires),
            });
        }
        Ok(tokens)
    }

    /// A client has proved its account: the token that it used takes the place of the one before it, or all of its tokens end
    /// if it wants that; and it gets a new one, which lives for `seconds`, if it asks for one or half the life of the one it
    /// used is over (XEP-0484 3.5). Gives back the end of the new one. Where the one that it used is no more, it was signed out
    /// meanwhile, and gets none. `proved` is when the store was asked for what proved the account: the new one counts from then,
    /// so that [`DomainStore::tokens_end`] knows it.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing has changed then.
    pub async fn token_grant(
        &self,
        account: AccountId,
        grant: &Grant,
        seconds: u32,
        proved: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let Some(agent) = &grant.agent.id else {
            return Ok(None);
        };
        let life = i64::from(seconds) * 1_000_000;
        let expires = proved.0 + life;
        let sealed = self
            .store
            .sealer()
            .seal(&place(account.0), grant.key.as_bytes())?;
        let given = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let mut mechanism = grant.wanted.map(|mechanism| mechanism.name().to_owned());
            if let Some(used) = grant.used {
                let row: Option<(String, i64, bool)> = sqlx::query_as(
                    "UPDATE client_tokens SET used = $3 WHERE account = $1 AND id = $2 RETURNING mechanism, expires, fresh",
                )
                .bind(account.0).bind(used).bind(proved.0).fetch_optional(&mut *tx).await?;
                if row.is_none() {
                    mechanism = None;
                }
                if let Some((of_used, end, fresh)) = row {
                    if fresh {
                        sqlx::query("DELETE FROM client_tokens WHERE account = $1 AND agent = $2 AND id <> $3")
                            .bind(account.0).bind(agent).bind(used).execute(&mut *tx).await?;
                        sqlx::query("UPDATE client_tokens SET fresh = $3 WHERE account = $1 AND id = $2")
                            .bind(account.0).bind(used).bind(false).execute(&mut *tx).await?;
                    }
                    if !grant.invalidate && end - proved.0 < life / 2 {
                        mechanism = mechanism.or(Some(of_used));
                    }
                }
            }
            if grant.invalidate {
                sqlx::query("DELETE FROM client_tokens WHERE account = $1 AND agent = $2")
                    .bind(account.0).bind(agent).execute(&mut *tx).await?;
            }
            if let Some(mechanism) = &mechanism {
                sqlx::query("DELETE FROM client_tokens WHERE account = $1 AND agent = $2 AND fresh = $3")
                    .bind(account.0).bind(agent).bind(true).execute(&mut *tx).await?;
                sqlx::query(
                    "DELETE FROM client_tokens WHERE account = $1 AND agent IN (SELECT agent FROM client_tokens \
                     WHERE account = $1 AND agent <> $2 GROUP BY agent ORDER BY MAX(COALESCE(used, issued)) DESC LIMIT 1000 OFFSET $3)",
                )
                .bind(account.0).bind(agent).bind(CLIENTS - 1).execute(&mut *tx).await?;
                sqlx::query(
                    "INSERT INTO client_tokens (account, agent, fresh, mechanism, key_sealed, issued, expires, used, software, device) \
                     SELECT id, $3, $4, $5, $6, $7, $8, NULL, $9, $10 FROM accounts WHERE domain = $1 AND id = $2",
                )
                .bind(self.id.0).bind(account.0).bind(agent).bind(true).bind(mechanism).bind(&sealed)
                .bind(proved.0).bind(expires).bind(&grant.agent.software).bind(&grant.agent.device)
                .execute(&mut *tx).await?;
            }
            tx.commit().await?;
            mechanism.is_some()
        });
        Ok(given.then_some(Timestamp(expires)))
    }

    /// Clients of an account that have a token, the one that was seen last first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn client_list(&self, account: AccountId) -> Result<Vec<ClientRow>> {
        type Tuple = (String, String, String, i64, Option<i64>, i64);
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT t.agent, MAX(t.software), MAX(t.device), MIN(t.issued), MAX(t.used), MAX(t.expires) \
                 FROM client_tokens t JOIN accounts a ON a.id = t.account WHERE a.domain = $1 AND t.account = $2 \
                 GROUP BY t.agent ORDER BY MAX(COALESCE(t.used, t.issued)) DESC, t.agent",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let row = |(agent, software, device, since, used, expires): Tuple| ClientRow {
            agent,
            software,
            device,
            since: Timestamp(since),
            used: used.map(Timestamp),
            expires: Timestamp(expires),
        };
        Ok(found.into_iter().map(row).collect())
    }

    /// Ends what a client got by logins that were proved before `at`, when it was signed out: how many tokens.
    ///
    /// # Errors
    /// See [`StoreError`]; they are good still then.
    pub async fn tokens_end(&self, local: &str, agent: &str, at: Timestamp) -> Result<u64> {
        Ok(wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM client_tokens WHERE agent = $3 AND issued < $4 AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
            )
            .bind(self.id.0).bind(local).bind(agent).bind(at.0).execute(p).await.map(|done| done.rows_affected())
        })?)
    }

    /// Ends every token of a client, and what it wants to be woken for (XEP-0357). `false`: it has no token.
    ///
    /// # Errors
    /// See [`StoreError`]; they are good still then.
    pub async fn client_remove(&self, account: AccountId, agent: &str) -> Result<bool> {
        let n = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let ended = sqlx::query(
                "DELETE FROM client_tokens WHERE agent = $3 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
            )
            .bind(self.id.0).bind(account.0).bind(agent).execute(&mut *tx).await?.rows_affected();
            sqlx::query(
                "DELETE FROM push_registrations WHERE agent = $3 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
            )
            .bind(self.id.0).bind(account.0).bind(agent).execute(&mut *tx).await?;
            tx.commit().await?;
            ended
        });
        Ok(n > 0)
    }
}

impl Store {
    /// Seals what is kept of tokens with the newest master key; how many were sealed with an older one.
    pub(crate) async fn tokens_reseal(&self) -> Result<u64> {
        let mut done = 0;
        let all: Vec<(i64, i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT id, account, key_sealed FROM client_tokens").fetch_all(p).await
        })?;
        for (id, account, sealed) in all {
            if let Some(fresh) =
                self.reseal(&place(account), &sealed, "client_tokens.key_sealed")?
            {
                wr!(self, p => {
                    sqlx::query("UPDATE client_tokens SET key_sealed = $2 WHERE id = $1 AND key_sealed = $3")
                        .bind(id).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
