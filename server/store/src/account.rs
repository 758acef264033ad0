//! Users of a domain and how they prove who they are: SCRAM verifiers, never a password.

use xmpp::sasl::{Hash, ScramVerifier};
use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::{Result, StoreError};
use crate::room::hats_without;
use crate::{AccountId, DomainStore, Store, TenantId, grouped, rd, wr};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Row.
    pub id: AccountId,
    /// Localpart, enforced form.
    pub local: String,
    /// `active`, `suspended`.
    pub state: String,
    /// When it came.
    pub created: Timestamp,
    /// When its last session ended, if one ever did.
    pub left: Option<Timestamp>,
}

/// The state in which an account may log in.
pub const ACTIVE: &str = "active";

type Tuple = (i64, String, String, i64, Option<i64>);
type VerifierTuple = (Vec<u8>, i64, Vec<u8>, Vec<u8>);

fn row((id, local, state, created, left): Tuple) -> AccountRow {
    AccountRow {
        id: AccountId(id),
        local,
        state,
        created: Timestamp(created),
        left: left.map(Timestamp),
    }
}

pub(crate) fn hash_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "sha-1",
        Hash::Sha256 => "sha-256",
        Hash::Sha512 => "sha-512",
    }
}

pub(crate) fn hash_of(name: &str) -> Option<Hash> {
    Hash::ALL.into_iter().find(|hash| hash_name(*hash) == name)
}

/// Writes an account's verifiers inside a transaction.
macro_rules! put_credentials {
    ($tx:expr, $account:expr, $verifiers:expr) => {
        for v in $verifiers {
            sqlx::query(
                "INSERT INTO credentials (account, hash, salt, iterations, stored_key, server_key) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind($account)
            .bind($crate::account::hash_name(v.hash))
            .bind(&v.salt)
            .bind(i64::from(v.iterations))
            .bind(&v.stored_key)
            .bind(&v.server_key)
            .execute(&mut *$tx)
            .await?;
        }
    };
}
pub(crate) use put_credentials;

/// Adds a row inside a transaction and gives its number; `$end` follows the statement. Nobody but whom it is kept for gets a
/// name that an invitation keeps (XEP-0445 4): then there is no row.
macro_rules! add_row {
    ($store:expr, $tx:expr, $local:expr, $now:expr, $end:literal) => {
        sqlx::query_as::<_, (i64,)>(concat!(
            "INSERT INTO accounts (domain, local, state, roster_version, roster_since, created) \
             SELECT $1, $2, 'active', $3, $3, $3 WHERE NOT EXISTS \
             (SELECT 1 FROM invites WHERE domain = $1 AND local = $2 AND expires > $3) ",
            $end
        ))
        .bind($store.id.0)
        .bind($local)
        .bind($now.0)
        .fetch_optional(&mut *$tx)
        .await
    };
}

/// The same of a name that must be free.
macro_rules! insert {
    ($store:expr, $tx:expr, $local:expr, $now:expr) => {{
        let added = $crate::account::add_row!($store, $tx, $local, $now, "RETURNING id");
        match added.map_err($crate::account::taken)? {
            Some((id,)) => id,
            None => {
                return Err($crate::StoreError::Conflict {
                    what: "an invitation that keeps this name",
                });
            }
        }
    }};
}

/// Holds the row of the customer whose accounts are about to be counted, where the handle has a limit. By writing, before
/// anything is read: SQLite refuses a transaction at once that has read and then writes beside another.
macro_rules! room {
    ($store:expr, $tx:expr) => {{
        let tenant: Option<(i64,)> = match $store.store.2 {
            Some(_) => {
                sqlx::query_as(
                    "UPDATE tenants SET revision = revision
                     WHERE id = (SELECT tenant FROM domains WHERE id = $1) RETURNING id",
                )
                .bind($store.id.0)
                .fetch_optional(&mut *$tx)
                .await?
            }
            None => None,
        };
        tenant.map(|(tenant,)| $crate::TenantId(tenant))
    }};
}

/// Ends the transaction if more accounts were added than there was room for.
macro_rules! keep_room {
    ($store:expr, $tx:expr, $tenant:expr, $added:expr) => {
        if let Some(tenant) = $tenant {
            $crate::tenant::keep_within!(
                $store.store,
                $tx,
                tenant,
                "accounts",
                "SELECT COUNT(*) FROM accounts a JOIN domains d ON d.id = a.domain WHERE d.tenant = $1",
                $added
            );
        }
    };
}
pub(crate) use {add_row, insert, keep_room, room};

/// An account that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Row.
    pub id: AccountId,
    /// What it wants kept of its messages (as whoever chose it wrote it); `None`: what the domain does.
    pub archive_preferences: Option<String>,
    /// Whom it has blocked: addresses, one in a line; `None`: nobody.
    pub blocked: Option<String>,
    /// The picture that it shows (XEP-0084), if it has published both the picture and what there is to know of it.
    pub avatar: Option<Avatar>,
    /// Some of its clients want to be woken ([`DomainStore::push_list`]).
    pub pushes: bool,
}

/// An account's picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar {
    /// Identifier of the published item: SHA-1 of the picture in hexadecimal, if its publisher kept to the rules.
    pub id: String,
    /// Everybody may see it.
    pub open: bool,
}

impl DomainStore {
    pub(crate) fn jid(&self, local: &str) -> Change {
        Change::Account(format!("{local}@{}", self.name))
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of this name, or an invitation keeps it for somebody.
    pub async fn account_add(
        &self,
        local: &str,
        verifiers: &[ScramVerifier],
        now: Timestamp,
    ) -> Result<AccountId> {
        let id = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let room = room!(self, tx);
            let id = insert!(self, tx, local, now);
            keep_room!(self, tx, room, 1);
            put_credentials!(tx, id, verifiers);
            record!(self.store, tx);
            announce!(tx, self.jid(local), now);
            tx.commit().await?;
            id
        });
        self.store.tell();
        Ok(AccountId(id))
    }

    /// Adds many users in one transaction: all or none. Names that exist already, or are kept for
    /// somebody who is invited, are left as they are and returned. It is
    /// announced as one change of the domain: nobody holds anything about a user who was not there.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was added then.
    pub async fn account_import(
        &self,
        accounts: &[(String, Vec<ScramVerifier>)],
        now: Timestamp,
    ) -> Result<Vec<String>> {
        let mut existing = Vec::new();
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let room = room!(self, tx);
            for (local, verifiers) in accounts {
                let added = add_row!(self, tx, local, now, "ON CONFLICT (domain, local) DO NOTHING RETURNING id");
                match added? {
                    Some((id,)) => {
                        put_credentials!(tx, id, verifiers);
                    }
                    None => existing.push(local.clone()),
                }
            }
            let added = accounts.len() - existing.len();
            keep_room!(self, tx, room, u64::try_from(added).unwrap_or(u64::MAX));
            if added > 0 {
                record!(self.store, tx, None, format!("{added} added"));
            }
            announce!(tx, Change::Domain(self.name.to_string()), now);
            tx.commit().await?;
        });
        self.store.tell();
        Ok(existing)
    }

    /// One user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_find(&self, local: &str) -> Result<Option<AccountRow>> {
        let found: Option<Tuple> = rd!(self.store, p => {
            sqlx::query_as("SELECT id, local, state, created, left_at FROM accounts WHERE domain = $1 AND local = $2")
                .bind(self.id.0).bind(local).fetch_optional(p).await
        })?;
        Ok(found.map(|found| self.left_lately(row(found))))
    }

    /// The row of a user who may log in and be written to; none for a suspended one, as for one who is not there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_active(&self, local: &str) -> Result<Option<AccountId>> {
        let found: Option<(i64,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT id FROM accounts WHERE domain = $1 AND local = $2 AND state = 'active'")
                .bind(self.id.0).bind(local).fetch_optional(p).await
        })?;
        Ok(found.map(|(id,)| AccountId(id)))
    }

    /// What the stanza path knows of an account that may be used, in one read.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_open(&self, local: &str) -> Result<Option<Opened>> {
        // The newest item of the metadata, where there is a picture of its name; "o" before it: both are open.
        const OPEN: &str = "SELECT a.id, a.archive_preferences, a.blocked, \
             (SELECT CASE WHEN n.config LIKE '%\"access\":\"open\"%' AND d.config LIKE '%\"access\":\"open\"%' \
             THEN 'o' ELSE 'c' END || i.id FROM pubsub_nodes n JOIN pubsub_items i ON i.node = n.id \
             JOIN pubsub_nodes d ON d.account = n.account AND d.name = 'urn:xmpp:avatar:data' \
             JOIN pubsub_items b ON b.node = d.id AND b.id = i.id \
             WHERE n.account = a.id AND n.name = 'urn:xmpp:avatar:metadata' \
             AND i.position = (SELECT MAX(position) FROM pubsub_items WHERE node = n.id)), \
             EXISTS (SELECT 1 FROM push_registrations r WHERE r.account = a.id) \
             FROM accounts a WHERE a.domain = $1 AND a.local = $2 AND a.state = 'active'";
        type Row = (i64, Option<String>, Option<String>, Option<String>, bool);
        let found: Option<Row> = rd!(self.store, p => {
            sqlx::query_as(OPEN).bind(self.id.0).bind(local).fetch_optional(p).await
        })?;
        Ok(found.map(
            |(id, archive_preferences, blocked, avatar, pushes)| Opened {
                id: AccountId(id),
                archive_preferences,
                blocked,
                pushes,
                avatar: avatar.and_then(|avatar| {
                    let (access, id) = avatar.split_at_checked(1)?;
                    Some(Avatar {
                        id: id.to_owned(),
                        open: access == "o",
                    })
                }),
            },
        ))
    }

    /// Whom the account has blocked, where it was `seen` until now. `false`: somebody else has changed it, or the account is
    /// gone; nothing has changed then.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn blocked_set(
        &self,
        account: AccountId,
        seen: Option<&str>,
        blocked: Option<&str>,
    ) -> Result<bool> {
        let domain = self.id.0;
        let seen = seen.unwrap_or_default().to_owned();
        let blocked = blocked.map(str::to_owned);
        grouped!(self.store, c => {
            let done = sqlx::query(
                "UPDATE accounts SET blocked = $4 WHERE domain = $1 AND id = $2 AND COALESCE(blocked, '') = $3",
            )
            .bind(domain).bind(account.0).bind(seen).bind(blocked).execute(c).await?;
            Ok(done.rows_affected() == 1)
        })
    }

    /// Users by name after `after` (empty: from the start), at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_list(&self, after: &str, limit: u32) -> Result<Vec<AccountRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT id, local, state, created, left_at FROM accounts WHERE domain = $1 AND local > $2 ORDER BY local LIMIT $3",
            )
            .bind(self.id.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|found| self.left_lately(row(found)))
            .collect())
    }

    /// How many users the domain has.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_count(&self) -> Result<u64> {
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as("SELECT COUNT(*) FROM accounts WHERE domain = $1").bind(self.id.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// The verifier of an active user; none for everybody else, whoever they are (SASL-11).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn credentials_for(&self, local: &str, hash: Hash) -> Result<Option<ScramVerifier>> {
        let found: Option<VerifierTuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT c.salt, c.iterations, c.stored_key, c.server_key FROM credentials c \
                 JOIN accounts a ON a.id = c.account \
                 WHERE a.domain = $1 AND a.local = $2 AND a.state = 'active' AND c.hash = $3",
            )
            .bind(self.id.0).bind(local).bind(hash_name(hash)).fetch_optional(p).await
        })?;
        let Some((salt, iterations, stored_key, server_key)) = found else {
            return Ok(None);
        };
        let iterations = u32::try_from(iterations).map_err(|_| StoreError::Corrupt {
            what: "credentials.iterations",
        })?;
        Ok(Some(ScramVerifier {
            hash,
            salt,
            iterations,
            stored_key,
            server_key,
        }))
    }

    /// Hashes of which an active user has a verifier; none for everybody else.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_hashes(&self, local: &str) -> Result<Vec<Hash>> {
        let found: Vec<(String,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT c.hash FROM credentials c JOIN accounts a ON a.id = c.account \
                 WHERE a.domain = $1 AND a.local = $2 AND a.state = 'active'",
            )
            .bind(self.id.0).bind(local).fetch_all(p).await
        })?;
        Ok(found.iter().filter_map(|(hash,)| hash_of(hash)).collect())
    }

    /// Adds a verifier of the same password to an active user who has others, but none of this hash. `false`: that is not so,
    /// and nothing was changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_add_verifier(
        &self,
        local: &str,
        verifier: &ScramVerifier,
    ) -> Result<bool> {
        let (domain, local, v) = (self.id.0, local.to_owned(), verifier.clone());
        grouped!(self.store, c => {
            let added = sqlx::query(
                "INSERT INTO credentials (account, hash, salt, iterations, stored_key, server_key) \
                 SELECT a.id, $3, $4, $5, $6, $7 FROM accounts a \
                 WHERE a.domain = $1 AND a.local = $2 AND a.state = 'active' \
                 AND EXISTS (SELECT 1 FROM credentials c WHERE c.account = a.id) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(domain).bind(local).bind(hash_name(v.hash)).bind(v.salt.clone()).bind(i64::from(v.iterations))
            .bind(v.stored_key.clone()).bind(v.server_key.clone()).execute(c).await?;
            Ok(added.rows_affected() > 0)
        })
    }

    /// Replaces a user's verifiers, at the user's own wish: sessions go on. `false`: there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`]; the old ones stay then.
    pub async fn account_set_credentials(
        &self,
        local: &str,
        verifiers: &[ScramVerifier],
        now: Timestamp,
    ) -> Result<bool> {
        self.put_verifiers(local, verifiers, self.jid(local), now)
            .await
    }

    /// Replaces a user's verifiers at somebody else's wish: announced so that sessions proved with older ones end. `false`:
    /// there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`]; the old ones stay then.
    pub async fn account_reset_credentials(
        &self,
        local: &str,
        verifiers: &[ScramVerifier],
        now: Timestamp,
    ) -> Result<bool> {
        let change = Change::Password(format!("{local}@{}", self.name), now);
        self.put_verifiers(local, verifiers, change, now).await
    }

    async fn put_verifiers(
        &self,
        local: &str,
        verifiers: &[ScramVerifier],
        change: Change,
        now: Timestamp,
    ) -> Result<bool> {
        let found = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            // Written rather than read, so that the row is held until the end: two at once must not mix their verifiers.
            let found: Option<(i64,)> = sqlx::query_as(
                "UPDATE accounts SET state = state WHERE domain = $1 AND local = $2 RETURNING id",
            )
            .bind(self.id.0).bind(local).fetch_optional(&mut *tx).await?;
            if let Some((id,)) = found {
                sqlx::query("DELETE FROM credentials WHERE account = $1").bind(id).execute(&mut *tx).await?;
                // Whoever knew the old password shall not come back by what it was exchanged for.
                sqlx::query("DELETE FROM client_tokens WHERE account = $1").bind(id).execute(&mut *tx).await?;
                put_credentials!(tx, id, verifiers);
                record!(self.store, tx);
                announce!(tx, &change, now);
            }
            tx.commit().await?;
            found
        });
        if found.is_some() {
            self.store.tell();
        }
        Ok(found.is_some())
    }

    /// Suspends or resumes a user. `false`: there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_set_state(
        &self,
        local: &str,
        state: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE accounts SET state = $3 WHERE domain = $1 AND local = $2")
                .bind(self.id.0).bind(local).bind(state).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self.store, tx);
            }
            announce!(tx, self.jid(local), now);
            tx.commit().await?;
            n
        });
        self.store.tell();
        Ok(n > 0)
    }

    /// Removes a user with everything of theirs. `false`: there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn account_remove(&self, local: &str, now: Timestamp) -> Result<bool> {
        let address = format!("{local}@{}", self.name);
        let n = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM accounts WHERE domain = $1 AND local = $2")
                .bind(self.id.0).bind(local).execute(&mut *tx).await?.rows_affected();
            // Whoever gets the name next is nobody in the domain's rooms, and wears nothing there.
            sqlx::query("DELETE FROM room_affiliations WHERE jid = $2 AND room IN (SELECT id FROM rooms WHERE domain = $1)")
                .bind(self.id.0).bind(&address).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM room_roles WHERE jid = $2 AND room IN (SELECT id FROM rooms WHERE domain = $1)")
                .bind(self.id.0).bind(&address).execute(&mut *tx).await?;
            let hats: Vec<(i64, String)> =
                sqlx::query_as("SELECT id, hats FROM rooms WHERE domain = $1 AND hats IS NOT NULL")
                    .bind(self.id.0).fetch_all(&mut *tx).await?;
            for (room, hats) in hats {
                if let Some(left) = hats_without(&hats, &address) {
                    sqlx::query("UPDATE rooms SET hats = $2 WHERE id = $1")
                        .bind(room).bind(left).execute(&mut *tx).await?;
                }
            }
            // What was said in rooms stays, as the nickname's; nobody can be asked for by whose it was.
            sqlx::query("UPDATE room_archive SET sender = '' WHERE sender = $2 AND room IN (SELECT id FROM rooms WHERE domain = $1)")
                .bind(self.id.0).bind(&address).execute(&mut *tx).await?;
            if n > 0 {
                record!(self.store, tx);
            }
            announce!(tx, self.jid(local), now);
            tx.commit().await?;
            n
        });
        self.store.tell();
        Ok(n > 0)
    }
}

impl Store {
    /// How many users a customer has over all domains.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn tenant_account_count(&self, tenant: TenantId) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as("SELECT COUNT(*) FROM accounts a JOIN domains d ON d.id = a.domain WHERE d.tenant = $1")
                .bind(tenant.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }
}

pub(crate) fn taken(error: sqlx::Error) -> StoreError {
    match error.into() {
        StoreError::Conflict { .. } => StoreError::Conflict {
            what: "an account of this name",
        },
        other => other,
    }
}
