//! Invitations to an account of a domain (XEP-0401, XEP-0445): whoever has the token makes one, once. Only its hash is stored.
//!
//! A name that an invitation keeps for somebody is nobody else's until the invitation ends (XEP-0445 4). What is taken is
//! taken as a whole: the account is there, both are each other's contacts and the invitation is not, or nothing has changed.

use xmpp::sasl::ScramVerifier;
use xmpp::timestamp::Timestamp;

use crate::account::put_credentials;
use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::{Result, StoreError};
use crate::{AccountId, DomainId, DomainStore, Store, rd, wr};

/// What an invitation is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InviteKind {
    /// To an account.
    Account,
    /// To be the inviter's contact: with an account of this domain, or with one that the invited have elsewhere.
    Contact,
}

impl InviteKind {
    /// The word in the store and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Contact => "contact",
        }
    }

    fn read(word: &str) -> Result<Self> {
        match word {
            "account" => Ok(Self::Account),
            "contact" => Ok(Self::Contact),
            _ => Err(StoreError::Corrupt {
                what: "invites.kind",
            }),
        }
    }
}

/// An invitation that nobody has taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRow {
    /// Row.
    pub id: i64,
    /// Of which domain.
    pub domain: DomainId,
    /// To what.
    pub kind: InviteKind,
    /// The name that is kept for whoever is invited.
    pub local: Option<String>,
    /// Whose contact they become: localpart of an account of the domain.
    pub contact: Option<String>,
    /// Whom it is meant for, in the words of whoever invites.
    pub note: String,
    /// Who invites: a login, or the address of an account.
    pub by: String,
    /// When made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

type Tuple = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    String,
    String,
    i64,
    i64,
);

fn row((id, domain, kind, local, contact, note, by, created, expires): Tuple) -> Result<InviteRow> {
    Ok(InviteRow {
        id,
        domain: DomainId(domain),
        kind: InviteKind::read(&kind)?,
        local: Some(local).filter(|local| !local.is_empty()),
        contact,
        note,
        by,
        created: Timestamp(created),
        expires: Timestamp(expires),
    })
}

/// Every column of a [`Tuple`], in front of the rest of a query. What a stopped account has made is not good meanwhile.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.domain, i.kind, i.local, a.local, i.note, i.invited_by, i.created, i.expires FROM invites i \
             LEFT JOIN accounts a ON a.id = i.contact WHERE (i.contact IS NULL OR a.state = 'active') AND ",
            $rest
        )
    };
}

/// How long an invitation stays on file after its end, in microseconds: who has shown it in time may still be filling in a
/// form (XEP-0445 3).
const GRACE: i64 = 86_400_000_000;

impl DomainStore {
    /// Adds an invitation; `row.id` and `row.domain` are ignored. `None`: there is no account that is to be the contact.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_add(&self, token_hash: &[u8], row: &InviteRow) -> Result<Option<i64>> {
        let contact = row.contact.as_deref().unwrap_or_default();
        let added: Option<(i64,)> = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let id = sqlx::query_as(
                "INSERT INTO invites (domain, token_hash, kind, local, contact, note, invited_by, created, expires) \
                 SELECT $1, $2, $3, $4, (SELECT id FROM accounts WHERE domain = $1 AND local = $5 AND state = 'active'), \
                 $6, $7, $8, $9 WHERE $5 = '' OR EXISTS \
                 (SELECT 1 FROM accounts WHERE domain = $1 AND local = $5 AND state = 'active') RETURNING id",
            )
            .bind(self.id.0).bind(token_hash).bind(row.kind.as_str()).bind(row.local.as_deref().unwrap_or_default())
            .bind(contact).bind(&row.note).bind(&row.by).bind(row.created.0).bind(row.expires.0)
            .fetch_optional(&mut *tx).await?;
            if id.is_some() {
                record!(self.store, tx);
            }
            tx.commit().await?;
            id
        });
        Ok(added.map(|(id,)| id))
    }

    /// Invitations that are still good, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_list(&self, now: Timestamp) -> Result<Vec<InviteRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(select!("i.domain = $1 AND i.expires > $2 ORDER BY i.id"))
                .bind(self.id.0).bind(now.0).fetch_all(p).await
        })?;
        found.into_iter().map(row).collect()
    }

    /// Whether a name is kept for somebody.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_keeps(&self, local: &str, now: Timestamp) -> Result<bool> {
        let (kept,): (i64,) = rd!(self.store, p => {
            sqlx::query_as("SELECT COUNT(*) FROM invites WHERE domain = $1 AND local = $2 AND expires > $3")
                .bind(self.id.0).bind(local).bind(now.0).fetch_one(p).await
        })?;
        Ok(kept > 0)
    }

    /// Takes an invitation back. `false`: there is none of this number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_remove(&self, id: i64) -> Result<bool> {
        let n = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM invites WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(id).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self.store, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Somebody with an account elsewhere becomes the contact of `inviter` by the invitation that this account has made
    /// (XEP-0379): it is used up. `false`: there is none, or it is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_greet(
        &self,
        token_hash: &[u8],
        inviter: AccountId,
        now: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM invites WHERE domain = $1 AND token_hash = $2 AND contact = $3 AND kind = 'contact' \
                 AND expires > $4",
            )
            .bind(self.id.0).bind(token_hash).bind(inviter.0).bind(now.0).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Takes an invitation that was good when it was shown: a new account, and where the invitation says so the two are each
    /// other's contacts, if both rosters have room (`contacts` each). `None`: somebody was faster, or it was taken back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the name is taken or kept for somebody else; the invitation stays good.
    pub async fn invite_take(
        &self,
        id: i64,
        local: &str,
        verifiers: &[ScramVerifier],
        contacts: u32,
        now: Timestamp,
    ) -> Result<Option<AccountId>> {
        let newcomer = self.address(local);
        let made = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let room = crate::account::room!(self, tx);
            let taken: Option<(Option<i64>,)> = sqlx::query_as(
                "DELETE FROM invites WHERE domain = $1 AND id = $2 AND (local = '' OR local = $3) AND (contact IS NULL \
                 OR EXISTS (SELECT 1 FROM accounts a WHERE a.id = contact AND a.state = 'active')) RETURNING contact",
            )
            .bind(self.id.0).bind(id).bind(local).fetch_optional(&mut *tx).await?;
            let Some((inviter,)) = taken else {
                return Ok(None);
            };
            let account = crate::account::insert!(self, tx, local, now);
            crate::account::keep_room!(self, tx, room, 1);
            put_credentials!(tx, account, verifiers);
            let mut greeted: Option<String> = None;
            if let Some(inviter) = inviter {
                let held: (i64, String) = sqlx::query_as(
                    "SELECT (SELECT COUNT(*) FROM roster WHERE account = $1 AND subscription <> 'remove'), \
                     (SELECT local FROM accounts WHERE id = $1)",
                )
                .bind(inviter).fetch_one(&mut *tx).await?;
                if held.0 < i64::from(contacts) {
                    let known = self.address(&held.1);
                    for (account, contact) in [(inviter, &newcomer), (account, &known)] {
                        let (version,): (i64,) = sqlx::query_as(
                            "UPDATE accounts SET roster_version = roster_version + 1 WHERE id = $1 RETURNING roster_version",
                        )
                        .bind(account).fetch_one(&mut *tx).await?;
                        sqlx::query(
                            "INSERT INTO roster (account, jid, subscription, version) VALUES ($1, $2, 'both', $3) \
                             ON CONFLICT (account, jid) DO UPDATE SET subscription = 'both', ask = FALSE, \
                             version = excluded.version",
                        )
                        .bind(account).bind(contact).bind(version).execute(&mut *tx).await?;
                    }
                    greeted = Some(known);
                }
            }
            record!(self.store, tx);
            announce!(tx, Change::Account(newcomer.clone()), now);
            if let Some(known) = greeted {
                announce!(tx, Change::Roster(known, newcomer), now);
            }
            tx.commit().await?;
            account
        });
        self.store.tell();
        Ok(Some(AccountId(made)))
    }

    fn address(&self, local: &str) -> String {
        format!("{local}@{}", self.name)
    }
}

impl Store {
    /// The invitation of a token, whichever domain it is of, unless it has ended.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invite_find(
        &self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<InviteRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("i.token_hash = $1 AND i.expires > $2"))
                .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        found.map(row).transpose()
    }

    /// Forgets invitations that are over. Called now and then by the control worker.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn invites_sweep(&self, now: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM invites WHERE expires < $1").bind(now.0 - GRACE).execute(p).await.map(|_| ()))?;
        Ok(())
    }
}
