//! The way out: a page of rows at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::{
    AccountId, AccountRow, ArchiveQuery, DomainStore, Export, ItemsAsked, Moved, PubsubNode,
    RosterItem,
};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::sasl::ScramVerifier;
use xmpp::stanza::{Stanza, delay};

use super::reader::{PRIVATE, PUBSUB, PUBSUB_OWNER};
use super::{MAM, OWN, PIE, PortableError, SCRAM, blocked, pep};
use crate::archive;
use crate::blocking::BlockList;
use crate::memory::Limits;

/// Accounts, messages, or items read at once.
const PAGE: u32 = 100;
/// Bytes of items read at once.
const ITEM_BYTES: u64 = 1 << 20;

/// Writes what a domain's people have into `out`. `progress` hears how many accounts are through.
///
/// # Errors
/// The store's failure, and that of `out`.
pub async fn export(
    store: &DomainStore,
    domain: &DomainName,
    limits: &Limits,
    wanted: &Export,
    out: &mut (dyn AsyncWrite + Unpin + Send),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Moved, PortableError> {
    let mut writer = Writer {
        store,
        domain,
        limits,
        wanted,
        out,
        moved: Moved::default(),
    };
    let host = Element::new("host", PIE).attr("jid", domain.as_str());
    writer
        .text("<?xml version='1.0' encoding='UTF-8'?>\n")
        .await?;
    writer
        .text(&format!("<server-data xmlns='{PIE}'>\n"))
        .await?;
    writer.open(&host).await?;
    if let Some(local) = &wanted.only {
        if let Some(account) = store.account_find(local).await? {
            writer.person(&account).await?;
        }
    } else {
        let mut after = String::new();
        loop {
            let page = store.account_list(&after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.local);
            for account in &page {
                writer.person(account).await?;
                progress(writer.moved.accounts);
            }
        }
    }
    writer.text("</host>\n</server-data>\n").await?;
    writer.out.flush().await?;
    Ok(writer.moved)
}

struct Writer<'a> {
    store: &'a DomainStore,
    domain: &'a DomainName,
    limits: &'a Limits,
    wanted: &'a Export,
    out: &'a mut (dyn AsyncWrite + Unpin + Send),
    moved: Moved,
}

impl Writer<'_> {
    async fn text(&mut self, text: &str) -> Result<(), PortableError> {
        Ok(self.out.write_all(text.as_bytes()).await?)
    }

    async fn element(&mut self, element: &Element) -> Result<(), PortableError> {
        self.text(&(element.to_xml(PIE) + "\n")).await
    }

    /// The start tag of an element without children.
    async fn open(&mut self, element: &Element) -> Result<(), PortableError> {
        let text = element.to_xml(PIE);
        let open = text.strip_suffix("/>").unwrap_or(&text);
        self.text(&format!("{open}>\n")).await
    }

    async fn person(&mut self, account: &AccountRow) -> Result<(), PortableError> {
        let Ok(jid) = BareJid::new(Some(&account.local), self.domain) else {
            return Ok(());
        };
        self.moved.accounts += 1;
        let user = Element::new("user", PIE).attr("name", account.local.as_str());
        self.open(&user).await?;
        if account.state != store::ACTIVE {
            self.element(&Element::new("suspended", OWN)).await?;
        }
        if self.wanted.credentials {
            for one in self.store.credentials_of(account.id).await? {
                self.element(&credentials(&one)).await?;
            }
        }
        self.roster(account.id).await?;
        self.documents(account.id).await?;
        self.nodes(account.id).await?;
        self.chosen(account).await?;
        if self.wanted.archive {
            self.archive(account.id).await?;
        }
        self.offline(account.id, &jid).await?;
        self.text("</user>\n").await
    }

    async fn roster(&mut self, account: AccountId) -> Result<(), PortableError> {
        let roster = self.store.roster_load(account).await?;
        self.moved.count("contacts", roster.items.len() as u64);
        if !roster.items.is_empty() {
            let items = roster.items.iter().map(contact);
            let query = Element::new("query", ns::ROSTER).children_from(items);
            self.element(&query).await?;
        }
        for (_, stanza) in self.store.request_list(account).await? {
            let Ok(stanza) = Stanza::from_bytes(&stanza) else {
                continue;
            };
            self.moved.count("requests", 1);
            if let Ok(presence) = stanza.payload() {
                self.element(&presence).await?;
            }
        }
        Ok(())
    }

    async fn documents(&mut self, account: AccountId) -> Result<(), PortableError> {
        let vcard = self.store.vcard(account).await?;
        if let Some(vcard) = vcard.and_then(|vcard| parsed(&vcard)) {
            self.moved.count("vCards", 1);
            self.element(&vcard).await?;
        }
        let private = self.store.private_list(account).await?;
        if private.is_empty() {
            return Ok(());
        }
        self.text(&format!("<query xmlns='{PRIVATE}'>\n")).await?;
        for one in private {
            if let Some(element) = parsed(&one.payload) {
                self.moved.count("private elements", 1);
                self.text(&(element.to_xml(PRIVATE) + "\n")).await?;
            }
        }
        self.text("</query>\n").await
    }

    async fn nodes(&mut self, account: AccountId) -> Result<(), PortableError> {
        let nodes = self.store.pubsub_nodes(account).await?;
        if nodes.is_empty() {
            return Ok(());
        }
        self.moved.count("nodes", nodes.len() as u64);
        self.text(&format!("<pubsub xmlns='{PUBSUB_OWNER}'>\n"))
            .await?;
        for node in &nodes {
            for said in pep::written(node, &self.limits.pubsub) {
                self.text(&(said.to_xml(PUBSUB_OWNER) + "\n")).await?;
            }
        }
        self.text("</pubsub>\n").await?;
        self.text(&format!("<pubsub xmlns='{PUBSUB}'>\n")).await?;
        for node in &nodes {
            self.items(account, node).await?;
        }
        self.text("</pubsub>\n").await
    }

    async fn items(&mut self, account: AccountId, node: &PubsubNode) -> Result<(), PortableError> {
        let items = Element::new("items", PUBSUB).attr("node", node.name.as_str());
        let open = items.to_xml(PUBSUB);
        self.text(&format!("{}>\n", open.trim_end_matches("/>")))
            .await?;
        let mut after = None;
        loop {
            let asked = ItemsAsked::After(after);
            let page = self
                .store
                .pubsub_items(account, node.id, &asked, PAGE, ITEM_BYTES)
                .await?;
            let Some(page) = page.filter(|page| !page.items.is_empty()) else {
                break;
            };
            after = page.items.last().map(|item| item.id.clone());
            for item in page.items {
                let payload = parsed(&item.payload);
                let element = Element::new("item", PUBSUB)
                    .attr("id", item.id)
                    .child_opt(payload);
                self.moved.count("items", 1);
                self.text(&(element.to_xml(PUBSUB) + "\n")).await?;
            }
        }
        self.text("</items>\n").await
    }

    /// Whom the account blocks, and what it wants archived. A suspended account's are not read by anybody else either.
    async fn chosen(&mut self, account: &AccountRow) -> Result<(), PortableError> {
        let Some(opened) = self.store.account_open(&account.local).await? else {
            return Ok(());
        };
        let blocked = BlockList::read(opened.blocked.as_deref());
        if !blocked.is_empty() {
            self.moved.count("blocked addresses", blocked.len() as u64);
            self.element(&blocked::as_privacy(&blocked)).await?;
        }
        if let Some(text) = &opened.archive_preferences
            && let Ok(preferences) = Element::parse(text, archive::MAM)
        {
            self.element(&preferences).await?;
        }
        Ok(())
    }

    async fn archive(&mut self, account: AccountId) -> Result<(), PortableError> {
        self.text(&format!("<archive xmlns='{MAM}'>\n")).await?;
        let mut after = i64::MIN;
        loop {
            let query = ArchiveQuery {
                after,
                limit: PAGE,
                ..ArchiveQuery::default()
            };
            let page = self.store.archive_page(account, &query).await?;
            let Some(last) = page.last() else { break };
            after = last.id.at;
            for message in &page {
                let stamp = xmpp::timestamp::Timestamp(message.id.at).to_xep0082();
                let mut out = format!(
                    "<result xmlns='{}' id='{}'><forwarded xmlns='urn:xmpp:forward:0'>\
                     <delay xmlns='{}' stamp='{stamp}'/>",
                    archive::MAM,
                    message.id,
                    ns::DELAY
                )
                .into_bytes();
                Stanza::write_kept_message(&message.stanza, &mut out);
                out.extend_from_slice(b"</forwarded></result>\n");
                self.moved.count("archived messages", 1);
                self.out.write_all(&out).await?;
            }
        }
        self.text("</archive>\n").await
    }

    async fn offline(&mut self, account: AccountId, jid: &BareJid) -> Result<(), PortableError> {
        let here = Jid::from(self.domain.clone());
        let (mut after, mut begun) = (i64::MIN, false);
        loop {
            let page = self.store.offline_list(account, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for message in &page {
                let Ok(mut stanza) = Stanza::from_bytes(&message.stanza) else {
                    continue;
                };
                if let Some(id) = message.archived {
                    stanza = stanza.with_child_written(&archive::stanza_id(jid, id));
                }
                let stanza = stanza.with_child(&delay(&here, message.at));
                if !std::mem::replace(&mut begun, true) {
                    self.text("<offline-messages>\n").await?;
                }
                let mut out = Vec::new();
                stanza.write_nested(&mut out);
                out.push(b'\n');
                self.moved.count("offline messages", 1);
                self.out.write_all(&out).await?;
            }
        }
        if begun {
            self.text("</offline-messages>\n").await?;
        }
        Ok(())
    }
}

fn parsed(bytes: &[u8]) -> Option<Element> {
    Element::parse(std::str::from_utf8(bytes).ok()?, "").ok()
}

fn credentials(one: &ScramVerifier) -> Element {
    let part = |name: &str, text: String| Element::new(name, SCRAM).text(text);
    Element::new("scram-credentials", SCRAM)
        .attr("mechanism", format!("SCRAM-{}", one.hash.name()))
        .child(part("iter-count", one.iterations.to_string()))
        .child(part("salt", STANDARD.encode(&one.salt)))
        .child(part("server-key", STANDARD.encode(&one.server_key)))
        .child(part("stored-key", STANDARD.encode(&one.stored_key)))
}

fn contact(item: &RosterItem) -> Element {
    let named = Some(item.name.as_str()).filter(|name| !name.is_empty());
    let group = |name: &String| Element::new("group", ns::ROSTER).text(name.as_str());
    Element::new("item", ns::ROSTER)
        .attr("jid", item.jid.as_str())
        .attr_opt("name", named)
        .attr("subscription", item.subscription.as_str())
        .attr_opt("ask", item.ask.then_some("subscribe"))
        .attr_opt("approved", item.approved.then_some("true"))
        .children_from(item.groups.iter().map(group))
}
