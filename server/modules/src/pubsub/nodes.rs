//! Nodes: in memory, bounded in bytes, and how they are changed.
//!
//! Why in memory: each presence of a contact asks whether there is anything to tell. What is remembered of a node is its
//! configuration and its newest item, if that is short; a change is made on the version that was seen, so that a stale
//! memory is found out by the store. Refuses: being the truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{AccountId, LastItem, NodeConfig, NodePeople, NodeWrite, PubsubNode, Seen, Written};
use xmpp::jid::BareJid;
use xmpp::stanza::Condition;

use super::error::{plain, refused};
use crate::context::{Context, Refusal, store_failed};
use crate::memory::{Aging, SHARDS, Sharded};

/// Bytes of a node's name, and of an item's identifier.
pub(super) const NAME_BYTES: usize = 1_023;

/// Times that a change is decided afresh because another process was faster.
const ATTEMPTS: usize = 8;

/// All nodes of an account.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub(crate) account: AccountId,
    by_name: BTreeMap<String, Arc<PubsubNode>>,
}

impl Nodes {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<PubsubNode>> {
        self.by_name.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<PubsubNode>> {
        self.by_name.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    fn with(&self, node: Arc<PubsubNode>) -> Self {
        let mut next = self.clone();
        next.by_name.insert(node.name.clone(), node);
        next
    }

    /// About what it occupies, in bytes.
    fn weight(&self) -> usize {
        let text = |list: &[String]| list.iter().map(|t| t.len() + 32).sum::<usize>();
        let node = |n: &Arc<PubsubNode>| {
            let last = n.last.as_ref().map_or(0, |last| {
                last.id.len() + last.payload.as_ref().map_or(0, Vec::len)
            });
            let config = &n.config;
            let words = config.title.len() + config.description.len() + config.payload_type.len();
            let people = &n.people;
            let lists = [&people.members, &people.outcasts, &people.subscribers];
            let lists = lists.iter().map(|list| text(list)).sum::<usize>();
            400 + n.name.len() * 2 + last + words + text(&config.groups) + lists
        };
        128 + self.by_name.values().map(node).sum::<usize>()
    }
}

/// The cache. See the file's head.
#[derive(Debug)]
pub(crate) struct NodeCache(Sharded<Aging<BareJid, Arc<Nodes>>>);

impl NodeCache {
    pub(crate) fn new(bytes: usize) -> Self {
        // Two generations per shard.
        Self(Sharded::with(|| Aging::new(bytes / SHARDS / 2)))
    }

    pub(crate) fn forget(&self, account: &BareJid) {
        self.0.of(account.as_str()).remove(account);
    }

    pub(crate) fn forget_domain(&self, domain: &str) {
        for shard in self.0.all() {
            shard.retain(|account| account.domain() != domain);
        }
    }

    fn get(&self, account: &BareJid) -> Option<Arc<Nodes>> {
        self.0.of(account.as_str()).get(account)
    }

    fn insert(&self, account: &BareJid, nodes: Arc<Nodes>) {
        let weight = nodes.weight();
        self.0
            .of(account.as_str())
            .insert(account.clone(), nodes, weight);
    }

    /// What was read from the store, unless something newer has come meanwhile.
    fn insert_read(&self, account: &BareJid, nodes: Arc<Nodes>) -> Arc<Nodes> {
        let weight = nodes.weight();
        self.0
            .of(account.as_str())
            .get_or_insert(account.clone(), nodes, weight)
    }
}

/// A change of one node's items. The node is made with `create` if it is not there.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) create: Option<NodeConfig>,
    pub(super) retract: Vec<String>,
    /// Identifier and payload, in their order.
    pub(super) put: Vec<(String, Vec<u8>)>,
}

/// What came of it: the node afterwards, and the items that went.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) node: Arc<PubsubNode>,
    pub(super) retracted: Vec<String>,
}

/// Nodes of an account; `None` if there is no such account at this domain.
///
/// # Errors
/// The store cannot be read; logged, to be answered with the error.
pub(crate) async fn nodes(
    cx: &Context<'_>,
    account: &BareJid,
) -> Result<Option<Arc<Nodes>>, Refusal> {
    let Some(roster) = cx.roster(account).await? else {
        return Ok(None);
    };
    let id = roster.account;
    if let Some(known) = cx.modules.nodes.get(account).filter(|n| n.account == id) {
        return Ok(Some(known));
    }
    // Boxed: every presence that asks would carry room for reading.
    let stored = Box::pin(cx.store().pubsub_nodes(id))
        .await
        .map_err(|e| store_failed(&e, account, "reading nodes"))?;
    let by_name = stored
        .into_iter()
        .map(|node| (node.name.clone(), Arc::new(node)))
        .collect();
    let read = Arc::new(Nodes {
        account: id,
        by_name,
    });
    Ok(Some(cx.modules.nodes.insert_read(account, read)))
}

/// Changes the items of a node: `decide` looks at the node, if there is one, and says what to do. It may be asked again
/// when another process was faster. The caller holds the account's turn.
///
/// # Errors
/// What `decide` refuses, a limit, or the store's failure; then nothing has changed.
pub(super) async fn change(
    cx: &Context<'_>,
    account: &BareJid,
    name: &str,
    mut decide: impl FnMut(Option<&PubsubNode>) -> Result<Change, Refusal> + Send,
) -> Result<Changed, Refusal> {
    let limits = &cx.modules.limits.pubsub;
    for _ in 0..ATTEMPTS {
        let nodes = nodes(cx, account).await?.ok_or(Condition::ItemNotFound)?;
        let before = nodes.get(name);
        let Change {
            create,
            retract,
            put,
        } = decide(before.map(|n| &**n))?;
        let (seen, config) = match (before, create) {
            (Some(node), _) => (Seen::Node(node.id, node.version), node.config.clone()),
            (None, Some(config)) => (Seen::Missing(Box::new(config.clone())), config),
            (None, None) => return Err(Condition::ItemNotFound.into()),
        };
        let last = put.last().map(|(id, payload)| LastItem {
            id: id.clone(),
            at: cx.now,
            payload: (payload.len() as i64 <= store::LAST_BYTES).then(|| payload.clone()),
        });
        let write = NodeWrite {
            name: name.to_owned(),
            seen,
            retract,
            put: if config.persist { put } else { Vec::new() },
            keep: keep(&config, limits.items),
            at: cx.now,
            nodes: limits.nodes,
            bytes: limits.bytes,
        };
        let written = cx.store().pubsub_write(nodes.account, write).await;
        match written {
            Ok(Written::Done { node, retracted }) => {
                let mut after = match before {
                    Some(before) => (**before).clone(),
                    None => PubsubNode {
                        id: node,
                        name: name.to_owned(),
                        config,
                        people: NodePeople::default(),
                        version: 1,
                        last: None,
                    },
                };
                let last_is_gone = after
                    .last
                    .as_ref()
                    .is_some_and(|last| retracted.contains(&last.id));
                if after.config.persist && last.is_some() {
                    after.last = last;
                } else if last_is_gone {
                    after.last = None;
                }
                let node = Arc::new(after);
                if last_is_gone && node.last.is_none() {
                    // Which one is the newest now, the store knows.
                    cx.modules.nodes.forget(account);
                } else {
                    let next = Arc::new(nodes.with(node.clone()));
                    cx.modules.nodes.insert(account, next);
                }
                return Ok(Changed { node, retracted });
            }
            Ok(Written::Stale) => cx.modules.nodes.forget(account),
            Ok(Written::TooManyNodes) => {
                cx.switchboard.limited("pubsub_nodes");
                return Err(refused(
                    Condition::PolicyViolation,
                    "max-nodes-exceeded",
                    format!("an account has at most {} nodes", limits.nodes),
                ));
            }
            Ok(Written::Full) => {
                cx.switchboard.limited("pubsub_bytes");
                return Err(plain(
                    Condition::PolicyViolation,
                    format!("an account publishes at most {} bytes", limits.bytes),
                ));
            }
            Err(error) => {
                // Whether it was committed is unknown: believe nothing.
                cx.modules.nodes.forget(account);
                return Err(store_failed(&error, account, "publishing"));
            }
        }
    }
    Err(busy())
}

/// Changes configuration and people of a node; the node before and after. The caller holds the account's turn.
///
/// # Errors
/// As for [`change`].
pub(crate) async fn configure(
    cx: &Context<'_>,
    account: &BareJid,
    name: &str,
    mut decide: impl FnMut(&PubsubNode) -> Result<(NodeConfig, NodePeople), Refusal> + Send,
) -> Result<Arc<PubsubNode>, Refusal> {
    let most = cx.modules.limits.pubsub.items;
    for _ in 0..ATTEMPTS {
        let nodes = nodes(cx, account).await?.ok_or(Condition::ItemNotFound)?;
        let before = nodes.get(name).ok_or(Condition::ItemNotFound)?;
        let (config, people) = decide(before)?;
        if (&config, &people) == (&before.config, &before.people) {
            return Ok(before.clone());
        }
        let keep = keep(&config, most);
        let changed = cx
            .store()
            .pubsub_configure(
                nodes.account,
                (before.id, before.version),
                &config,
                &people,
                keep,
            )
            .await;
        // Items may have gone with it: read again rather than guess.
        let (stays, last) = (keep > 0, before.last.clone());
        match changed {
            Ok(Some(version)) => {
                let node = Arc::new(PubsubNode {
                    config,
                    people,
                    version,
                    last: last.filter(|_| stays),
                    ..(**before).clone()
                });
                let next = Arc::new(nodes.with(node.clone()));
                cx.modules.nodes.insert(account, next);
                return Ok(node);
            }
            Ok(None) => cx.modules.nodes.forget(account),
            Err(error) => {
                cx.modules.nodes.forget(account);
                return Err(store_failed(&error, account, "configuring a node"));
            }
        }
    }
    Err(busy())
}

fn busy() -> Refusal {
    plain(
        Condition::ResourceConstraint,
        "the node is being changed elsewhere; try again",
    )
}

/// Items that a node keeps.
fn keep(config: &NodeConfig, most: u32) -> u32 {
    if config.persist {
        config.max_items.unwrap_or(most).min(most)
    } else {
        0
    }
}
