//! What accounts publish: nodes and their items (XEP-0060, XEP-0163).
//!
//! A publication is one transaction, whatever it brings about: the node is made if it is missing, the items are put, and
//! those that are too many go. Who decides what a node's configuration allows has seen some version of it and says which; a
//! change made on another one is refused ([`Written::Stale`]). Refuses: more nodes or bytes than the account may have.

use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::moment::OneMoment as _;
use crate::{AccountId, DomainStore, NodeId, grouped, rd};

/// Who may read a node (XEP-0060 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everybody.
    Open,
    /// Whoever is subscribed to the account's presence.
    Presence,
    /// Those of them who are in one of certain groups.
    Roster,
    /// Members.
    Whitelist,
}

/// When the last item is sent unasked (`pubsub#send_last_published_item`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SendLast {
    /// Never.
    Never,
    /// To new subscribers.
    Sub,
    /// To new subscribers, and to sessions that have come.
    Presence,
}

/// How a node behaves (XEP-0060 16.4.4). The defaults are those of XEP-0163 5.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeConfig {
    /// For people.
    pub title: String,
    /// For people.
    pub description: String,
    /// Namespace of payloads, as information.
    pub payload_type: String,
    /// Who may read it.
    pub access: Access,
    /// Groups of [`Access::Roster`], in order.
    pub groups: Vec<String>,
    /// Items that are kept; `None`: as many as the service allows (`max`).
    pub max_items: Option<u32>,
    /// Items are kept at all.
    pub persist: bool,
    /// Publications are told to those who are interested …
    pub deliver: bool,
    /// … and with what was published.
    pub payloads: bool,
    /// A changed configuration is told.
    pub notify_config: bool,
    /// The node's end is told.
    pub notify_delete: bool,
    /// Retractions are told even where the request does not ask for it.
    pub notify_retract: bool,
    /// Subscriptions of its own are possible.
    pub subscribe: bool,
    /// When the last item is sent unasked.
    pub send_last: SendLast,
    /// Notifications are headlines; else normal messages.
    pub headline: bool,
    /// Bytes of a payload, where less is allowed than the service would.
    pub max_payload: Option<u32>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            title: String::new(),
            description: String::new(),
            payload_type: String::new(),
            access: Access::Presence,
            groups: Vec::new(),
            max_items: Some(1),
            persist: true,
            deliver: true,
            payloads: true,
            notify_config: false,
            notify_delete: true,
            notify_retract: true,
            subscribe: true,
            send_last: SendLast::Presence,
            headline: true,
            max_payload: None,
        }
    }
}

/// Who has a special relation to a node, beside its owner. Addresses, each list in order and without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePeople {
    /// May read it, whatever its access model: bare addresses.
    pub members: Vec<String>,
    /// May not: bare addresses.
    pub outcasts: Vec<String>,
    /// Subscribed on their own: bare or full addresses.
    pub subscribers: Vec<String>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubsubNode {
    /// Row.
    pub id: NodeId,
    /// Unique in its account.
    pub name: String,
    /// How it behaves.
    pub config: NodeConfig,
    /// Who is what.
    pub people: NodePeople,
    /// Of configuration and people.
    pub version: i64,
    /// The item published last, without its payload if that is long ([`LAST_BYTES`]).
    pub last: Option<LastItem>,
}

/// Longest payload, in bytes, that [`DomainStore::pubsub_nodes`] brings along.
pub const LAST_BYTES: i64 = 4_096;

/// The item published last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastItem {
    /// Unique in its node.
    pub id: String,
    /// When it was published.
    pub at: Timestamp,
    /// What was published, if it is short.
    pub payload: Option<Vec<u8>>,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubsubItem {
    /// Unique in its node.
    pub id: String,
    /// When it was published.
    pub at: Timestamp,
    /// What was published: one element.
    pub payload: Vec<u8>,
}

/// What the writer knows of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// There was none; it is made with this configuration.
    Missing(Box<NodeConfig>),
    /// It was this one in this version.
    Node(NodeId, i64),
}

/// Items put into and taken from a node, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeWrite {
    /// The node's name.
    pub name: String,
    /// What the writer knows of it.
    pub seen: Seen,
    /// Identifiers of items that go.
    pub retract: Vec<String>,
    /// Items that come, in their order: identifier and payload.
    pub put: Vec<(String, Vec<u8>)>,
    /// Items that stay; the oldest others go.
    pub keep: u32,
    /// When.
    pub at: Timestamp,
    /// Nodes that the account may have.
    pub nodes: u32,
    /// Bytes that all items of the account may have together, identifiers not counted.
    pub bytes: u64,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Committed.
    Done {
        /// The node, made just now or there before.
        node: NodeId,
        /// Items that were asked to go and did.
        retracted: Vec<String>,
    },
    /// The writer had seen something else: nothing was done.
    Stale,
    /// The account has as many nodes as it may have: nothing was done.
    TooManyNodes,
    /// The account has no room for so many bytes: nothing was put.
    Full,
}

/// Which items are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemsAsked {
    /// These, in the order of publication.
    Ids(Vec<String>),
    /// From the oldest on, or from the one after this.
    After(Option<String>),
    /// Up to the newest, or to the one before this.
    Before(Option<String>),
}

/// Items of a node, in the order of publication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemPage {
    /// Items.
    pub items: Vec<PubsubItem>,
    /// How many items are before the first of these.
    pub index: u64,
    /// How many items the node has; of those asked for by name, how many there are or may be.
    pub count: u64,
}

/// Lets go of the oldest items beyond `keep`, and counts what is left.
macro_rules! trim {
    ($c:expr, $node:expr, $keep:expr) => {
        sqlx::query(
            "DELETE FROM pubsub_items WHERE node = $1 AND position <= \
             (SELECT position FROM pubsub_items WHERE node = $1 ORDER BY position DESC LIMIT 1 OFFSET $2)",
        )
        .bind($node)
        .bind(i64::from($keep))
        .execute(&mut *$c)
        .await?;
        sqlx::query(
            "UPDATE pubsub_nodes SET bytes = \
             (SELECT CAST(COALESCE(SUM(LENGTH(payload)), 0) AS BIGINT) FROM pubsub_items WHERE node = $1) WHERE id = $1",
        )
        .bind($node)
        .execute(&mut *$c)
        .await?;
    };
}
type NodeTuple = (
    i64,
    String,
    String,
    String,
    i64,
    Option<String>,
    Option<i64>,
    Option<Vec<u8>>,
);

impl DomainStore {
    /// All nodes of an account, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pubsub_nodes(&self, account: AccountId) -> Result<Vec<PubsubNode>> {
        let found: Vec<NodeTuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT n.id, n.name, n.config, n.people, n.version, i.id, i.at, \
                 CASE WHEN LENGTH(i.payload) <= $3 THEN i.payload END \
                 FROM pubsub_nodes n JOIN accounts a ON a.id = n.account \
                 LEFT JOIN pubsub_items i ON i.node = n.id AND i.position = \
                 (SELECT MAX(position) FROM pubsub_items WHERE node = n.id) \
                 WHERE a.domain = $1 AND n.account = $2 ORDER BY n.name",
            )
            .bind(self.id.0).bind(account.0).bind(LAST_BYTES).fetch_all(p).await
        })?;
        found
            .into_iter()
            .map(|(id, name, config, people, version, item, at, payload)| {
                Ok(PubsubNode {
                    id: NodeId(id),
                    name,
                    config: read(&config, "pubsub_nodes.config")?,
                    people: read(&people, "pubsub_nodes.people")?,
                    version,
                    last: item.zip(at).map(|(id, at)| LastItem {
                        id,
                        at: Timestamp(at),
                        payload,
                    }),
                })
            })
            .collect()
    }

    /// Puts items into a node and takes others from it, in one transaction; makes the node if the writer has seen none.
    /// Where two write at once on PostgreSQL, limits may be passed by what one of them brings.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was done then.
    pub async fn pubsub_write(&self, account: AccountId, write: NodeWrite) -> Result<Written> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            let (total, nodes): (i64, i64) = sqlx::query_as(
                "SELECT CAST(COALESCE(SUM(n.bytes), 0) AS BIGINT), COUNT(*) FROM pubsub_nodes n \
                 JOIN accounts a ON a.id = n.account WHERE a.domain = $1 AND n.account = $2",
            )
            .bind(domain).bind(account.0).fetch_one(&mut *c).await?;
            let steps = i64::try_from(write.put.len()).unwrap_or(i64::MAX);
            let node: Option<(i64, i64)> = match &write.seen {
                Seen::Missing(_) if nodes >= i64::from(write.nodes) => return Ok(Written::TooManyNodes),
                Seen::Missing(config) => {
                    let (config, people) = (json(&**config)?, json(&NodePeople::default())?);
                    sqlx::query_as(
                        "INSERT INTO pubsub_nodes (account, name, config, people, version, position, bytes, created) \
                         SELECT id, $3, $4, $5, 1, $6, 0, $7 FROM accounts WHERE domain = $1 AND id = $2 \
                         ON CONFLICT (account, name) DO NOTHING RETURNING id, position",
                    )
                    .bind(domain).bind(account.0).bind(&write.name).bind(config).bind(people).bind(steps)
                    .bind(write.at.0).fetch_optional(&mut *c).await?
                }
                // Written rather than read: the row is the lock under which its positions are given out.
                Seen::Node(id, version) => {
                    sqlx::query_as(
                        "UPDATE pubsub_nodes SET position = position + $5 WHERE id = $3 AND version = $4 AND account IN \
                         (SELECT id FROM accounts WHERE domain = $1 AND id = $2) RETURNING id, position",
                    )
                    .bind(domain).bind(account.0).bind(id.0).bind(version).bind(steps).fetch_optional(&mut *c).await?
                }
            };
            let Some((node, position)) = node else {
                return Ok(Written::Stale);
            };
            if !write.put.is_empty() {
                let mut freed = 0;
                for id in write.retract.iter().chain(write.put.iter().map(|(id, _)| id)) {
                    let before: Option<(i64,)> =
                        sqlx::query_as("SELECT CAST(LENGTH(payload) AS BIGINT) FROM pubsub_items WHERE node = $1 AND id = $2")
                            .bind(node).bind(id).fetch_optional(&mut *c).await?;
                    freed += before.map_or(0, |(bytes,)| bytes);
                }
                let put: usize = write.put.iter().map(|(_, payload)| payload.len()).sum();
                let total = u64::try_from(total - freed).unwrap_or(0);
                if total.saturating_add(put as u64) > write.bytes {
                    if matches!(write.seen, Seen::Missing(_)) {
                        sqlx::query("DELETE FROM pubsub_nodes WHERE id = $1").bind(node).execute(&mut *c).await?;
                    }
                    return Ok(Written::Full);
                }
            }
            let mut retracted = Vec::new();
            for id in write.retract {
                let gone = sqlx::query("DELETE FROM pubsub_items WHERE node = $1 AND id = $2")
                    .bind(node).bind(&id).execute(&mut *c).await?.rows_affected();
                if gone > 0 {
                    retracted.push(id);
                }
            }
            for (n, (id, payload)) in (position - steps + 1..).zip(write.put) {
                sqlx::query(
                    "INSERT INTO pubsub_items (node, id, position, at, payload) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (node, id) DO UPDATE SET position = excluded.position, at = excluded.at, \
                     payload = excluded.payload",
                )
                .bind(node).bind(id).bind(n).bind(write.at.0).bind(payload).execute(&mut *c).await?;
            }
            trim!(c, node, write.keep);
            Ok(Written::Done { node: NodeId(node), retracted })
        })
    }

    /// Replaces a node's configuration and people, and lets go of items that are too many. The new version; `None`: the
    /// writer had seen another one, or it is gone.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was done then.
    pub async fn pubsub_configure(
        &self,
        account: AccountId,
        seen: (NodeId, i64),
        config: &NodeConfig,
        people: &NodePeople,
        keep: u32,
    ) -> Result<Option<i64>> {
        let (domain, (node, version)) = (self.id.0, seen);
        let (config, people) = (json(config)?, json(people)?);
        grouped!(self.store, c => {
            let changed: Option<(i64,)> = sqlx::query_as(
                "UPDATE pubsub_nodes SET config = $5, people = $6, version = version + 1 \
                 WHERE id = $3 AND version = $4 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND id = $2) \
                 RETURNING version",
            )
            .bind(domain).bind(account.0).bind(node.0).bind(version).bind(config).bind(people)
            .fetch_optional(&mut *c).await?;
            if changed.is_some() {
                trim!(c, node.0, keep);
            }
            Ok(changed.map(|(version,)| version))
        })
    }

    /// Takes all items from a node. `false`: there is no such node.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was done then.
    pub async fn pubsub_purge(&self, account: AccountId, node: NodeId) -> Result<bool> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            let there = sqlx::query(
                "UPDATE pubsub_nodes SET bytes = 0 WHERE id = $3 AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
            )
            .bind(domain).bind(account.0).bind(node.0).execute(&mut *c).await?.rows_affected() > 0;
            if there {
                sqlx::query("DELETE FROM pubsub_items WHERE node = $1").bind(node.0).execute(&mut *c).await?;
            }
            Ok(there)
        })
    }

    /// Removes a node with its items. `false`: there is no such node.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was done then.
    pub async fn pubsub_remove(&self, account: AccountId, node: NodeId) -> Result<bool> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            let gone = sqlx::query(
                "DELETE FROM pubsub_nodes WHERE id = $3 AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
            )
            .bind(domain).bind(account.0).bind(node.0).execute(c).await?.rows_affected();
            Ok(gone > 0)
        })
    }

    /// Items of a node, at most `most`, and not more than about `bytes` of payload, but at least one. `None`: the item from
    /// which to go on is not there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pubsub_items(
        &self,
        account: AccountId,
        node: NodeId,
        asked: &ItemsAsked,
        most: u32,
        bytes: u64,
    ) -> Result<Option<ItemPage>> {
        let (after, before, id) = match asked {
            ItemsAsked::Ids(ids) => {
                let page = self.pubsub_items_named(account, node, ids, bytes).await;
                return page.map(Some);
            }
            ItemsAsked::After(id) => (true, false, id),
            ItemsAsked::Before(id) => (false, true, id),
        };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let found = rd!(self.store, p => {
            let mut tx = p.begin().await?;
            tx.one_moment().await?;
            let from: Option<(i64,)> = match id {
                None => Some((if before { i64::MAX } else { 0 },)),
                Some(id) => {
                    sqlx::query_as(
                        "SELECT i.position FROM pubsub_items i JOIN pubsub_nodes n ON n.id = i.node \
                         WHERE n.account = $1 AND i.node = $2 AND i.id = $3",
                    )
                    .bind(account.0).bind(node.0).bind(id).fetch_optional(&mut *tx).await?
                }
            };
            let mut page = None;
            if let Some((from,)) = from {
                // One of the two directions; the other half is empty.
                let mut rows: Vec<(String, i64, Vec<u8>, i64)> = sqlx::query_as(
                    "SELECT id, at, payload, position FROM ( \
                     SELECT i.id, i.at, i.payload, i.position, \
                     SUM(LENGTH(i.payload)) OVER (ORDER BY CASE WHEN $8 THEN i.position ELSE -i.position END) \
                     - LENGTH(i.payload) AS sum \
                     FROM pubsub_items i JOIN pubsub_nodes n ON n.id = i.node JOIN accounts a ON a.id = n.account \
                     WHERE a.domain = $1 AND n.account = $2 AND i.node = $3 \
                     AND ((i.position > $4 AND $8) OR (i.position < $4 AND $7)) \
                     ) AS page WHERE sum < $6 ORDER BY CASE WHEN $8 THEN position ELSE -position END LIMIT $5",
                )
                .bind(self.id.0).bind(account.0).bind(node.0).bind(from).bind(i64::from(most)).bind(bytes.max(1))
                .bind(before).bind(after).fetch_all(&mut *tx).await?;
                if before {
                    rows.reverse();
                }
                let first = rows.first().map_or(0, |row| row.3);
                let (count, index): (i64, i64) = sqlx::query_as(
                    "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN i.position < $3 THEN 1 ELSE 0 END), 0) AS BIGINT) \
                     FROM pubsub_items i JOIN pubsub_nodes n ON n.id = i.node WHERE n.account = $1 AND i.node = $2",
                )
                .bind(account.0).bind(node.0).bind(first).fetch_one(&mut *tx).await?;
                page = Some((rows, count, index));
            }
            tx.commit().await?;
            page
        });
        Ok(found.map(|(rows, count, index)| ItemPage {
            items: rows
                .into_iter()
                .map(|(id, at, payload, _)| PubsubItem {
                    id,
                    at: Timestamp(at),
                    payload,
                })
                .collect(),
            index: index.unsigned_abs(),
            count: count.unsigned_abs(),
        }))
    }

    async fn pubsub_items_named(
        &self,
        account: AccountId,
        node: NodeId,
        ids: &[String],
        bytes: u64,
    ) -> Result<ItemPage> {
        let mut found: Vec<(i64, PubsubItem)> = Vec::new();
        let (mut read, mut count) = (0, 0);
        for id in ids {
            if read >= bytes.max(1) {
                // There may be more.
                count += 1;
                continue;
            }
            let row: Option<(i64, i64, Vec<u8>)> = rd!(self.store, p => {
                sqlx::query_as(
                    "SELECT i.position, i.at, i.payload FROM pubsub_items i JOIN pubsub_nodes n ON n.id = i.node \
                     JOIN accounts a ON a.id = n.account \
                     WHERE a.domain = $1 AND n.account = $2 AND i.node = $3 AND i.id = $4",
                )
                .bind(self.id.0).bind(account.0).bind(node.0).bind(id).fetch_optional(p).await
            })?;
            if let Some((position, at, payload)) = row {
                let id = id.clone();
                read += payload.len() as u64;
                found.push((
                    position,
                    PubsubItem {
                        id,
                        at: Timestamp(at),
                        payload,
                    },
                ));
            }
        }
        found.sort_by_key(|(position, _)| *position);
        found.dedup_by_key(|(position, _)| *position);
        let items: Vec<PubsubItem> = found.into_iter().map(|(_, item)| item).collect();
        count += items.len() as u64;
        Ok(ItemPage {
            items,
            index: 0,
            count,
        })
    }

    /// Identifiers of a node's items, in the order of publication, at most `most`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pubsub_ids(
        &self,
        account: AccountId,
        node: NodeId,
        most: u32,
    ) -> Result<Vec<String>> {
        let found: Vec<(String,)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT i.id FROM pubsub_items i JOIN pubsub_nodes n ON n.id = i.node \
                 JOIN accounts a ON a.id = n.account \
                 WHERE a.domain = $1 AND n.account = $2 AND i.node = $3 ORDER BY i.position LIMIT $4",
            )
            .bind(self.id.0).bind(account.0).bind(node.0).bind(i64::from(most)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }
}

fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| StoreError::Other(e.to_string()))
}

fn read<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt { what })
}
