//! Rosters with versions (RFC 6121 2), and subscription requests that wait for a decision (RFC 6121 3.1.3).
//!
//! Each account counts its roster's changes. An item carries the number of its last change; a removed one stays as a
//! tombstone, so that a client which knows an older version can be told exactly what happened since. Numbers start at the
//! account's creation in microseconds, so that an account of the same name that comes later repeats none of them.
//!
//! A change is made by whoever has seen the roster as it is ([`DomainStore::roster_apply`]): of two that decide at once on
//! the same version, in this process or another, one is told to look again.

use xmpp::jid::BareJid;
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::moment::OneMoment as _;
use crate::{AccountId, DomainStore, grouped, rd};

/// Tombstones kept of an account; when there are more, the oldest go, and clients from before get the whole roster.
const TOMBSTONES: i64 = 200;

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
    /// Roster version that its last change made; given by the store.
    pub version: i64,
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
            version: 0,
        }
    }
}

/// A whole roster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// Its version.
    pub version: i64,
    /// Contacts, by address.
    pub items: Vec<RosterItem>,
    /// Who waits for a decision of the account, oldest first.
    pub requests: Vec<BareJid>,
}

/// One change of a roster since a version, as a push says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterChange {
    /// The version that it made.
    pub version: i64,
    /// Whose item.
    pub jid: BareJid,
    /// As it is now; none: removed.
    pub item: Option<RosterItem>,
}

/// What happens to a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemEdit {
    /// Nothing.
    Keep,
    /// It comes, or is replaced as a whole; its `version` is ignored.
    Put(RosterItem),
    /// It goes, and leaves a tombstone.
    Remove(BareJid),
}

/// What happens to a waiting request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestEdit {
    /// Nothing.
    Keep,
    /// It waits from now on; of one sender the newest stanza is kept, in its first place (RFC 6121 3.1.3).
    Put {
        /// Who asks.
        from: BareJid,
        /// The whole stanza.
        stanza: Vec<u8>,
        /// When it came.
        at: Timestamp,
    },
    /// It is decided, or taken back.
    Remove(BareJid),
}

/// One change, done as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterEdit {
    /// Of a contact.
    pub item: ItemEdit,
    /// Of a request.
    pub request: RequestEdit,
}

/// What came of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Committed.
    Done {
        /// The roster's new version.
        version: i64,
    },
    /// Somebody else has changed it since, or the account is gone: nothing has happened; load and decide again.
    Stale,
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

/// Tombstone in the column `subscription`.
const REMOVED: &str = "remove";

impl Raw {
    fn change(self) -> Result<RosterChange> {
        let corrupt = |what| StoreError::Corrupt { what };
        let jid = BareJid::parse(&self.jid).map_err(|_| corrupt("roster.jid"))?;
        let item = if self.subscription == REMOVED {
            None
        } else {
            Some(RosterItem {
                jid: jid.clone(),
                name: self.name,
                groups: serde_json::from_str(&self.groups).map_err(|_| corrupt("roster.groups"))?,
                subscription: Subscription::read(&self.subscription)
                    .ok_or_else(|| corrupt("roster.subscription"))?,
                ask: self.ask,
                approved: self.approved,
                version: self.version,
            })
        };
        Ok(RosterChange {
            version: self.version,
            jid,
            item,
        })
    }
}

/// A line of what `WHOLE` selects: which kind, then as many columns of the row as matter.
type Line = (i64, i64, String, String, String, String, bool, bool);

const ACCOUNT: i64 = 0;
const ITEM: i64 = 1;

/// Version, items and requests of one account, in one statement: they must fit together (the version is what edits are
/// compared by), and each statement more is a journey to the database more, at every log-in of somebody who was away for long.
const WHOLE: &str = "SELECT CAST(0 AS BIGINT), a.roster_version, '', '', '', '', FALSE, FALSE FROM accounts a \
     WHERE a.domain = $1 AND a.id = $2 UNION ALL \
     SELECT 1, r.version, r.jid, r.name, r.groups, r.subscription, r.ask, r.approved FROM roster r \
     JOIN accounts a ON a.id = r.account WHERE a.domain = $1 AND a.id = $2 AND r.subscription <> 'remove' UNION ALL \
     SELECT 2, q.at, q.jid, '', '', '', FALSE, FALSE FROM subscription_requests q \
     JOIN accounts a ON a.id = q.account WHERE a.domain = $1 AND a.id = $2";

fn gather(lines: Vec<Line>) -> Result<Roster> {
    let (mut roster, mut requests) = (Roster::default(), Vec::new());
    for (kind, number, from, name, groups, subscription, ask, approved) in lines {
        match kind {
            ACCOUNT => roster.version = number,
            ITEM => {
                let raw = Raw {
                    jid: from,
                    name,
                    groups,
                    subscription,
                    ask,
                    approved,
                    version: number,
                };
                roster.items.extend(raw.change()?.item);
            }
            _ => requests.push((number, jid(&from)?)),
        }
    }
    roster.items.sort_by(|a, b| a.jid.cmp(&b.jid));
    requests.sort();
    roster.requests = requests.into_iter().map(|(_, from)| from).collect();
    Ok(roster)
}

fn jid(text: &str) -> Result<BareJid> {
    BareJid::parse(text).map_err(|_| StoreError::Corrupt {
        what: "subscription_requests.jid",
    })
}

impl DomainStore {
    /// The whole roster; an empty one of version 0 when the account is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_load(&self, account: AccountId) -> Result<Roster> {
        let lines: Vec<Line> = rd!(self.store, p => {
            sqlx::query_as(WHOLE)
                .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        gather(lines)
    }

    /// Changes a roster that the caller knows as of version `seen`. Every edit makes a new version, one higher.
    ///
    /// # Errors
    /// See [`StoreError`]; whether it was committed is unknown after [`StoreError::Unavailable`], otherwise it was not.
    pub async fn roster_apply(
        &self,
        account: AccountId,
        seen: i64,
        edit: &RosterEdit,
    ) -> Result<Applied> {
        let (domain, edit) = (self.id.0, edit.clone());
        grouped!(self.store, c => {
            // The row of the account is the lock under which its versions are given out.
            let version: Option<(i64,)> = sqlx::query_as(
                "UPDATE accounts SET roster_version = roster_version + 1 \
                 WHERE domain = $1 AND id = $2 AND roster_version = $3 RETURNING roster_version",
            )
            .bind(domain).bind(account.0).bind(seen).fetch_optional(&mut *c).await?;
            let Some((version,)) = version else {
                return Ok(Applied::Stale);
            };
            let row = match edit.item {
                ItemEdit::Keep => None,
                ItemEdit::Put(item) => Some((item.subscription.as_str(), item)),
                ItemEdit::Remove(jid) => Some((REMOVED, RosterItem::new(jid))),
            };
            if let Some((subscription, item)) = row {
                let groups = serde_json::Value::from(item.groups).to_string();
                sqlx::query(
                    "INSERT INTO roster (account, jid, name, groups, subscription, ask, approved, version) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, jid) DO UPDATE SET name = excluded.name, \
                     groups = excluded.groups, subscription = excluded.subscription, ask = excluded.ask, \
                     approved = excluded.approved, version = excluded.version",
                )
                .bind(account.0).bind(item.jid.as_str()).bind(item.name).bind(groups).bind(subscription).bind(item.ask)
                .bind(item.approved).bind(version).execute(&mut *c).await?;
                if subscription == REMOVED {
                    // The version of the newest tombstone that is too many: what was before it is no longer on file.
                    let spare: Option<(i64,)> = sqlx::query_as(
                        "SELECT version FROM roster WHERE account = $1 AND subscription = 'remove' \
                         ORDER BY version DESC LIMIT 1 OFFSET $2",
                    )
                    .bind(account.0).bind(TOMBSTONES).fetch_optional(&mut *c).await?;
                    if let Some((spare,)) = spare {
                        sqlx::query("DELETE FROM roster WHERE account = $1 AND subscription = 'remove' AND version <= $2")
                            .bind(account.0).bind(spare).execute(&mut *c).await?;
                        sqlx::query("UPDATE accounts SET roster_since = $3 WHERE domain = $1 AND id = $2")
                            .bind(domain).bind(account.0).bind(spare).execute(&mut *c).await?;
                    }
                }
            }
            match edit.request {
                RequestEdit::Keep => {}
                RequestEdit::Put { from, stanza, at } => {
                    sqlx::query(
                        "INSERT INTO subscription_requests (account, jid, stanza, at) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (account, jid) DO UPDATE SET stanza = excluded.stanza",
                    )
                    .bind(account.0).bind(from.as_str()).bind(stanza).bind(at.0).execute(&mut *c).await?;
                }
                RequestEdit::Remove(from) => {
                    sqlx::query("DELETE FROM subscription_requests WHERE account = $1 AND jid = $2")
                        .bind(account.0).bind(from.as_str()).execute(&mut *c).await?;
                }
            }
            Ok(Applied::Done { version })
        })
    }

    /// Changes after `version` in their order, removals included; of several changes of one item the last. None: it is not
    /// on file what happened since (never a version of this account, or too long ago).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn roster_since(
        &self,
        account: AccountId,
        version: i64,
    ) -> Result<Option<Vec<RosterChange>>> {
        let (known, raw): (Option<(i64, i64)>, Vec<Raw>) = rd!(self.store, p => {
            let mut tx = p.begin().await?;
            tx.one_moment().await?;
            let known = sqlx::query_as("SELECT roster_since, roster_version FROM accounts WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(account.0).fetch_optional(&mut *tx).await?;
            let raw = if known.is_some() {
                sqlx::query_as(
                    "SELECT jid, name, groups, subscription, ask, approved, version FROM roster \
                     WHERE account = $1 AND version > $2 ORDER BY version",
                )
                .bind(account.0).bind(version).fetch_all(&mut *tx).await?
            } else {
                Vec::new()
            };
            tx.commit().await?;
            (known, raw)
        });
        if !known.is_some_and(|(since, newest)| (since..=newest).contains(&version)) {
            return Ok(None);
        }
        raw.into_iter()
            .map(Raw::change)
            .collect::<Result<_>>()
            .map(Some)
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
        found
            .into_iter()
            .map(|(from, stanza)| Ok((jid(&from)?, stanza)))
            .collect()
    }
}
