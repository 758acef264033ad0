//! Nodes and items on the way in. A node is made at its first item, closed until its configuration is known: a file may bring
//! the two in either order.

use std::collections::{BTreeMap, BTreeSet};

use store::{NodeConfig, NodeId, NodeWrite, Seen, Written};
use xmpp::element::Element;

use super::parts::data_of;
use super::person::{BYTES, NAME_BYTES, Person, ROWS};
use super::{Importer, PortableError, pep};
use crate::bookmarks;

/// An item of a node: its id and its payload.
pub(super) type Item = (String, Vec<u8>);

/// A node of the account.
pub(super) struct Node {
    row: Option<(NodeId, i64)>,
    config: NodeConfig,
    people: store::NodePeople,
    /// It came with this import: its configuration and people are ours to set.
    ours: bool,
    changed: bool,
    items: BTreeSet<String>,
}

impl Importer<'_> {
    async fn nodes<'a>(
        &self,
        of: &'a mut Person,
    ) -> Result<&'a mut BTreeMap<String, Node>, PortableError> {
        if of.nodes.is_none() {
            let mut nodes = BTreeMap::new();
            for node in self.store.pubsub_nodes(of.account).await? {
                let most = self.limits.pubsub.items;
                let ids = self.store.pubsub_ids(of.account, node.id, most).await?;
                let known = Node {
                    row: Some((node.id, node.version)),
                    config: node.config,
                    people: node.people,
                    ours: false,
                    changed: false,
                    items: ids.into_iter().collect(),
                };
                nodes.insert(node.name, known);
            }
            of.nodes = Some(nodes);
        }
        Ok(of.nodes.get_or_insert_default())
    }

    /// The node of this name; one that is not there is made at the first item, closed until its configuration is known.
    async fn named<'a>(
        &mut self,
        of: &'a mut Person,
        name: &str,
    ) -> Result<Option<&'a mut Node>, PortableError> {
        let most = self.limits.pubsub.nodes as usize;
        let local = of.local.clone();
        let nodes = self.nodes(of).await?;
        if !nodes.contains_key(name) {
            if nodes.len() >= most || name.len() > NAME_BYTES || name.is_empty() {
                let why = "the account has as many nodes as it may, or the name is too long";
                self.moved.skip(&local, format!("node {name}"), why);
                return Ok(None);
            }
            let node = Node {
                row: None,
                config: NodeConfig {
                    max_items: None,
                    ..bookmarks::config()
                },
                people: store::NodePeople::default(),
                ours: true,
                changed: false,
                items: BTreeSet::new(),
            };
            nodes.insert(name.to_owned(), node);
        }
        Ok(nodes.get_mut(name))
    }

    pub(super) async fn node(
        &mut self,
        of: &mut Person,
        said: &Element,
    ) -> Result<(), PortableError> {
        let name = said.get_attr("node").unwrap_or_default().to_owned();
        let (limits, local) = (self.limits.pubsub.clone(), of.local.clone());
        let Some(node) = self.named(of, &name).await?.filter(|node| node.ours) else {
            return Ok(());
        };
        let mut lost = Vec::new();
        match said.name() {
            "configure" => {
                let base = if name == bookmarks::NATIVE {
                    bookmarks::config()
                } else {
                    NodeConfig::default()
                };
                let (config, left_out) = pep::configured(base, said, &limits);
                node.config = config;
                lost.extend(left_out.into_iter().map(|var| format!("option {var}")));
            }
            "affiliations" | "subscriptions" => {
                let n = pep::peopled(&mut node.people, said, limits.people);
                lost.extend((n > 0).then(|| format!("{n} of its {}", said.name())));
            }
            other => lost.push(format!("<{other}/>")),
        }
        node.changed = true;
        for what in lost {
            let what = format!("node {name}: {what}");
            self.moved
                .skip(&local, what, "it is not known here, or too much");
        }
        Ok(())
    }

    pub(super) async fn item(
        &mut self,
        of: &mut Person,
        node: String,
        item: &Element,
    ) -> Result<(), PortableError> {
        let Some(payload) = item.children().next() else {
            let why = "it has no payload";
            self.moved.skip(&of.local, format!("item of {node}"), why);
            return Ok(());
        };
        let payload = payload.to_xml("").into_bytes();
        let most = self.limits.pubsub.item_bytes;
        // An item without a name gets one that it would get again.
        let drawn = || {
            data_of(&payload)
                .iter()
                .take(16)
                .map(|b| format!("{b:02x}"))
                .collect()
        };
        let id = item.get_attr("id").map_or_else(drawn, str::to_owned);
        if payload.len() > most || id.len() > NAME_BYTES {
            let why = format!("an item has at most {most} bytes, its name {NAME_BYTES}");
            self.moved
                .skip(&of.local, format!("item {id} of {node}"), why);
            return Ok(());
        }
        let items = self.limits.pubsub.items as usize;
        let local = of.local.clone();
        let Some(known) = self.named(of, &node).await? else {
            return Ok(());
        };
        if known.items.contains(&id) {
            return Ok(());
        }
        if known.items.len() >= items {
            let why = format!("a node keeps at most {items} items");
            self.moved.skip(&local, format!("item {id} of {node}"), why);
            return Ok(());
        }
        known.items.insert(id.clone());
        let other = of.waiting.as_ref().is_some_and(|(name, _)| *name != node);
        if other {
            self.flush_items(of).await?;
        }
        let (_, batch) = of.waiting.get_or_insert_with(|| (node, Vec::new()));
        batch.push((id, payload));
        let bytes: usize = batch.iter().map(|(_, payload)| payload.len()).sum();
        if batch.len() >= ROWS || bytes >= BYTES {
            self.flush_items(of).await?;
        }
        Ok(())
    }

    pub(super) async fn flush_items(&mut self, of: &mut Person) -> Result<(), PortableError> {
        let Some((name, batch)) = of.waiting.take() else {
            return Ok(());
        };
        let n = batch.len() as u64;
        if self.write(of, &name, batch).await? {
            self.moved.count("items", n);
        } else {
            let why = "the account has no room for them, or the node was changed meanwhile";
            self.moved
                .skip(&of.local, format!("{n} items of {name}"), why);
        }
        Ok(())
    }

    /// Puts items into a node, which is made where it is not there. False: it was not to be done.
    async fn write(
        &mut self,
        of: &mut Person,
        name: &str,
        put: Vec<(String, Vec<u8>)>,
    ) -> Result<bool, PortableError> {
        let (account, limits) = (of.account, &self.limits.pubsub);
        let Some(node) = of.nodes.as_mut().and_then(|nodes| nodes.get_mut(name)) else {
            return Ok(false);
        };
        let seen = match node.row {
            Some((id, version)) => Seen::Node(id, version),
            None => Seen::Missing(Box::new(node.config.clone())),
        };
        let made = matches!(seen, Seen::Missing(_));
        let write = NodeWrite {
            name: name.to_owned(),
            seen,
            retract: Vec::new(),
            put,
            keep: limits.items,
            at: self.now,
            nodes: limits.nodes,
            bytes: limits.bytes,
        };
        let written = self.store.pubsub_write(account, write).await?;
        let Written::Done { node: id, .. } = written else {
            return Ok(false);
        };
        if made {
            node.row = Some((id, 1));
            self.moved.count("nodes", 1);
        }
        Ok(true)
    }

    /// Nodes that came with the file get what it says of them.
    pub(super) async fn settle_nodes(&mut self, of: &mut Person) -> Result<(), PortableError> {
        let names: Vec<String> = match &of.nodes {
            Some(nodes) => nodes
                .iter()
                .filter(|(_, n)| n.ours)
                .map(|(name, _)| name.clone())
                .collect(),
            None => return Ok(()),
        };
        for name in names {
            let bare = of
                .nodes
                .as_ref()
                .and_then(|n| n.get(&name))
                .is_some_and(|n| n.row.is_none());
            if bare && !self.write(of, &name, Vec::new()).await? {
                self.moved
                    .skip(&of.local, format!("node {name}"), "there is no room for it");
                continue;
            }
            let Some(node) = of.nodes.as_mut().and_then(|n| n.get_mut(&name)) else {
                continue;
            };
            if !node.changed && name != bookmarks::NATIVE {
                // The file has items and says nothing of the node: as one that was made by publishing (XEP-0163 5).
                node.config = NodeConfig {
                    max_items: None,
                    ..NodeConfig::default()
                };
            }
            let Some(row) = node.row else { continue };
            let keep = node.config.max_items.unwrap_or(self.limits.pubsub.items);
            let keep = if node.config.persist { keep } else { 1 };
            self.store
                .pubsub_configure(of.account, row, &node.config, &node.people, keep)
                .await?;
        }
        Ok(())
    }
}
