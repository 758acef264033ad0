//! Rosters with versions (RFC 6121 2), and subscription requests that wait for a decision (RFC 6121 3.1.3).
//!
//! Each account counts its roster's changes. An item carries the number of its last change; a removed one stays as a
//! tombstone, so that a client which knows an older version can be told exactly what happened since.

use xmpp::jid::BareJid;
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::{AccountId, DomainStore, rd, wr};

/// RFC 6121 2.1.2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Subscription {
    /// Neither sees the other.
    #[default]
    None,
    /// The account sees the contact.
    To,
    /// The contact sees the account.
    From,
    /// Both.
    Both,
}

impl Subscription {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "none" => Self::None,
            "to" => Self::To,
            "from" => Self::From,
            "both" => Self::Both,
            _ => return None,
        })
    }

    /// Whether the account may see the contact's presence.
    pub fn sees_contact(self) -> bool {
        matches!(self, Self::To | Self::Both)
    }

    /// Whether the contact may see the account's presence.
    pub fn seen_by_contact(self) -> bool {
        matches!(self, Self::From | Self::Both)
    }
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterItem {
    /// Whom.
    pub jid: BareJid,
    /// As the account calls them; empty: not at all.
    pub name: String,
    /// Groups, without repetition.
    pub groups: Vec<String>,
    /// Who sees whom.
    pub subscription: Subscription,
    /// `ask='subscribe'`: a request of the account waits for the contact.
    pub ask: bool,
    /// Pre-approved (RFC 6121 3.4).
    pub approved: bool,
}

impl RosterItem {
    /// A contact nothing is known of yet.
    pub fn new(jid: BareJid) -> Self {
        Self {
            jid,
            name: String::new(),
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            approved: false,
        }
    }
}

/// One change of a roster, as a push says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChange {
    /// The item is now like this.
    Set(RosterItem),
    /// The item is gone.
    Removed(BareJid),
}

#[derive(sqlx::FromRow)]
struct Raw {
    jid: String,
    name: String,
    groups: String,
    subscription: String,
    ask: bool,
    approved: bool,
    version: i64,
}

impl Raw {
    fn change(self) -> Result<(i64, RosterChange)> {
        let jid =
            BareJid::parse(&self.jid).map_err(|_| StoreError::Corrupt { what: "roster.jid" })?;
        if self.subscription == "remove" {
            return Ok((self.version, RosterChange::Removed(jid)));
        }
        let item = RosterItem {
            jid,
            name: self.name,
            groups: serde_json::from_str(&self.groups).map_err(|_| StoreError::Corrupt {
                what: "roster.groups",
            })?,
            subscription: Subscription::read(&self.subscription).ok_or(StoreError::Corrupt {
                what: "roster.subscription",
            })?,
            ask: self.ask,
            approved: self.approved,
        };
        Ok((self.version, RosterChange::Set(item)))
    }
}

impl DomainStore {
    /// The whole roster with its version.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_list(&self, account: AccountId) -> Result<(i64, Vec<RosterItem>)> {
        // The version first: an item that changes in between is then told once more, never missed.
        let version = self.roster_version(account).await?;
        let raw: Vec<Raw> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.jid, r.name, r.groups, r.subscription, r.ask, r.approved, r.version FROM roster r \
                 JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 AND r.subscription <> 'remove' ORDER BY r.jid",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let mut items = Vec::with_capacity(raw.len());
        for r in raw {
            if let (_, RosterChange::Set(item)) = r.change()? {
                items.push(item);
            }
        }
        Ok((version, items))
    }

    /// Changes after `version`, oldest first, each with its version. None: the account never had that version.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_since(
        &self,
        account: AccountId,
        version: i64,
    ) -> Result<Option<Vec<(i64, RosterChange)>>> {
        let newest = self.roster_version(account).await?;
        if version > newest || version < 0 {
            return Ok(None);
        }
        let raw: Vec<Raw> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.jid, r.name, r.groups, r.subscription, r.ask, r.approved, r.version FROM roster r \
                 JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 AND r.version > $3 ORDER BY r.version",
            )
            .bind(self.id.0).bind(account.0).bind(version).fetch_all(p).await
        })?;
        raw.into_iter()
            .map(Raw::change)
            .collect::<Result<_>>()
            .map(Some)
    }

    async fn roster_version(&self, account: AccountId) -> Result<i64> {
        let found: Option<(i64,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT roster_version FROM accounts WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(account.0).fetch_optional(p).await
        })?;
        Ok(found.map_or(0, |(v,)| v))
    }

    /// One contact.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_get(
        &self,
        account: AccountId,
        jid: &BareJid,
    ) -> Result<Option<RosterItem>> {
        let raw: Option<Raw> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.jid, r.name, r.groups, r.subscription, r.ask, r.approved, r.version FROM roster r \
                 JOIN accounts a ON a.id = r.account WHERE a.domain = $1 AND r.account = $2 AND r.jid = $3",
            )
            .bind(self.id.0).bind(account.0).bind(jid.as_str()).fetch_optional(p).await
        })?;
        Ok(match raw.map(Raw::change).transpose()? {
            Some((_, RosterChange::Set(item))) => Some(item),
            _ => None,
        })
    }

    /// How many contacts a roster has.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_count(&self, account: AccountId) -> Result<u64> {
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT COUNT(*) FROM roster r JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 AND r.subscription <> 'remove'",
            )
            .bind(self.id.0).bind(account.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// Writes a contact; returns the roster's new version, or none when the account is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_set(&self, account: AccountId, item: &RosterItem) -> Result<Option<i64>> {
        let groups = serde_json::Value::from(item.groups.clone()).to_string();
        self.roster_write(
            account,
            &item.jid,
            item.subscription.as_str(),
            &item.name,
            &groups,
            item.ask,
            item.approved,
        )
        .await
    }

    /// Removes a contact, leaving a tombstone; returns the roster's new version, or none when the account is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_remove(&self, account: AccountId, jid: &BareJid) -> Result<Option<i64>> {
        self.roster_write(account, jid, "remove", "", "[]", false, false)
            .await
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn roster_write(
        &self,
        account: AccountId,
        jid: &BareJid,
        subscription: &str,
        name: &str,
        groups: &str,
        ask: bool,
        approved: bool,
    ) -> Result<Option<i64>> {
        let version = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            // The row of the account is the lock under which its versions are given out.
            let version: Option<(i64,)> = sqlx::query_as(
                "UPDATE accounts SET roster_version = roster_version + 1 WHERE domain = $1 AND id = $2 RETURNING roster_version",
            )
            .bind(self.id.0).bind(account.0).fetch_optional(&mut *tx).await?;
            if let Some((version,)) = version {
                sqlx::query(
                    "INSERT INTO roster (account, jid, name, groups, subscription, ask, approved, version) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, jid) DO UPDATE SET name = excluded.name, \
                     groups = excluded.groups, subscription = excluded.subscription, ask = excluded.ask, \
                     approved = excluded.approved, version = excluded.version",
                )
                .bind(account.0).bind(jid.as_str()).bind(name).bind(groups).bind(subscription).bind(ask).bind(approved)
                .bind(version).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            version
        });
        Ok(version.map(|(v,)| v))
    }

    /// Keeps a request until the account decides; one a sender, the newest counts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn request_set(
        &self,
        account: AccountId,
        jid: &BareJid,
        stanza: &[u8],
        now: Timestamp,
    ) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO subscription_requests (account, jid, stanza, at) \
                 SELECT id, $3, $4, $5 FROM accounts WHERE domain = $1 AND id = $2 \
                 ON CONFLICT (account, jid) DO UPDATE SET stanza = excluded.stanza, at = excluded.at",
            )
            .bind(self.id.0).bind(account.0).bind(jid.as_str()).bind(stanza).bind(now.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Requests that wait, oldest first: who, and the whole stanza.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn request_list(&self, account: AccountId) -> Result<Vec<(BareJid, Vec<u8>)>> {
        let found: Vec<(String, Vec<u8>)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.jid, r.stanza FROM subscription_requests r JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 ORDER BY r.at, r.jid",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let read = |(jid, stanza): (String, Vec<u8>)| {
            let jid = BareJid::parse(&jid).map_err(|_| StoreError::Corrupt {
                what: "subscription_requests.jid",
            })?;
            Ok((jid, stanza))
        };
        found.into_iter().map(read).collect()
    }

    /// Whether a request of `jid` waits.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn request_waits(&self, account: AccountId, jid: &BareJid) -> Result<bool> {
        let found: Option<(i64,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.account FROM subscription_requests r JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 AND r.jid = $3",
            )
            .bind(self.id.0).bind(account.0).bind(jid.as_str()).fetch_optional(p).await
        })?;
        Ok(found.is_some())
    }

    /// Forgets a request; says whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn request_remove(&self, account: AccountId, jid: &BareJid) -> Result<bool> {
        let n = wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM subscription_requests WHERE account IN (SELECT id FROM accounts WHERE domain = $1 AND id = $2) \
                 AND jid = $3",
            )
            .bind(self.id.0).bind(account.0).bind(jid.as_str()).execute(p).await.map(|r| r.rows_affected())
        })?;
        Ok(n > 0)
    }
}
