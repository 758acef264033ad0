//! One person on the way in: pieces are gathered into batches, each of which is one transaction.

use std::collections::BTreeMap;

use store::{AccountId, ArchiveId, Imported, NewArchived, PrivateXml, RosterItem};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::sasl::{Hash, ScramVerifier};
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use super::nodes::{Item, Node};
use super::parts::{archived, contact, stanza_of, verifier};
use super::reader::Piece;
use super::{Importer, OWN, PIE, PortableError, SCRAM, blocked};
use crate::archive::Preferences;
use crate::blocking::{ADDRESSES, BlockList};
use crate::register;

/// Rows of one kind that go together …
pub(super) const ROWS: usize = 200;
/// … messages of an archive, which are written with few statements …
const MESSAGES: usize = 1_000;
/// … and their bytes.
pub(super) const BYTES: usize = 1 << 20;
/// Bytes of an identifier or a node's name.
pub(super) const NAME_BYTES: usize = 1_023;
/// A person under way.
pub(super) struct Person {
    jid: BareJid,
    pub(super) local: String,
    pub(super) account: AccountId,
    password: Option<Zeroizing<String>>,
    verifiers: Vec<ScramVerifier>,
    suspended: bool,
    contacts: usize,
    items: Vec<RosterItem>,
    requests: Vec<(BareJid, Vec<u8>, Timestamp)>,
    private: Vec<PrivateXml>,
    archive: Vec<NewArchived>,
    archive_bytes: usize,
    /// What its archive takes is to be counted anew.
    recount: bool,
    /// Nodes of the account, once one was named.
    pub(super) nodes: Option<BTreeMap<String, Node>>,
    /// A node and those of its items that are written next, at once.
    pub(super) waiting: Option<(String, Vec<Item>)>,
}

impl Person {
    pub(super) fn new(
        jid: BareJid,
        local: String,
        account: AccountId,
        password: Option<Zeroizing<String>>,
    ) -> Self {
        Self {
            jid,
            local,
            account,
            password,
            verifiers: Vec::new(),
            suspended: false,
            contacts: 0,
            items: Vec::new(),
            requests: Vec::new(),
            private: Vec::new(),
            archive: Vec::new(),
            archive_bytes: 0,
            recount: false,
            nodes: None,
            waiting: None,
        }
    }
}

impl Importer<'_> {
    pub(super) async fn apply(
        &mut self,
        of: &mut Person,
        piece: Piece,
    ) -> Result<(), PortableError> {
        match piece {
            Piece::Contact(item) => self.contact(of, &item).await,
            Piece::Private(element) => self.private(of, &element).await,
            Piece::Offline(message) => self.offline(of, &message).await,
            Piece::Archived(result) => self.archived(of, &result).await,
            Piece::Item(node, item) => self.item(of, node, &item).await,
            Piece::Node(said) => self.node(of, &said).await,
            Piece::Other(element) => self.other(of, &element).await,
            Piece::Host(_) | Piece::User { .. } | Piece::UserEnd | Piece::Skipped(..) => Ok(()),
        }
    }

    /// Whatever waits is stored, and the account can be used.
    pub(super) async fn end(&mut self) -> Result<(), PortableError> {
        let Some(mut of) = self.person.take() else {
            return Ok(());
        };
        self.flush_roster(&mut of).await?;
        self.flush_private(&mut of).await?;
        self.flush_archive(&mut of).await?;
        self.flush_items(&mut of).await?;
        self.settle_nodes(&mut of).await?;
        if of.recount {
            self.store.archive_recount(of.account).await?;
        }
        self.credentials(&mut of).await?;
        if of.suspended {
            self.store
                .account_set_state(&of.local, "suspended", self.now)
                .await?;
        }
        Ok(self.store.person_changed(&of.local, self.now).await?)
    }

    /// What the account logs in with: the file's verifiers, or those of its password; never in place of others.
    async fn credentials(&mut self, of: &mut Person) -> Result<(), PortableError> {
        if of.verifiers.is_empty() && of.password.is_none() {
            return Ok(());
        }
        if !self.store.credentials_of(of.account).await?.is_empty() {
            return Ok(());
        }
        if let Some(password) = of.password.take() {
            // A password is better than verifiers of fewer hashes.
            let derived = tokio::task::spawn_blocking(move || register::verifiers(&password)).await;
            match derived.map_err(std::io::Error::other)? {
                Ok(verifiers) => of.verifiers = verifiers,
                Err(error) => self.moved.skip(&of.local, "password", error.to_string()),
            }
        }
        if of.verifiers.is_empty() {
            return Ok(());
        }
        for hash in Hash::ALL {
            if of.verifiers.iter().all(|one| one.hash != hash) {
                self.moved.lacking.insert(hash.name());
            }
        }
        self.store
            .account_set_credentials(&of.local, &of.verifiers, self.now)
            .await?;
        self.moved.count("passwords", 1);
        Ok(())
    }

    async fn other(&mut self, of: &mut Person, element: &Element) -> Result<(), PortableError> {
        match (element.name(), element.ns()) {
            ("scram-credentials", SCRAM) => {
                let read = verifier(element);
                let other = read
                    .as_ref()
                    .and_then(|one| of.verifiers.iter().find(|v| v.hash == one.hash));
                let same = other
                    .zip(read.as_ref())
                    .map(|(v, one)| v.stored_key == one.stored_key);
                match (read, same) {
                    (Some(one), None) => of.verifiers.push(one),
                    // COMPAT: Prosody writes each twice.
                    (Some(_), Some(true)) => {}
                    _ => {
                        let name = element.get_attr("mechanism").unwrap_or_default();
                        let why = "it is not a verifier of a mechanism that is known here, or a second one";
                        self.moved
                            .skip(&of.local, format!("credentials {name}"), why);
                    }
                }
                Ok(())
            }
            ("vCard", "vcard-temp") => self.vcard(of, element).await,
            ("blocklist", blocked::BLOCKING) => {
                self.blocked(of, blocked::of_blocklist(element)).await
            }
            ("query", blocked::PRIVACY) => {
                let (jids, lost) = blocked::of_privacy(element);
                for what in lost {
                    let why = "only addresses that are denied everything can be blocked here";
                    self.moved.skip(&of.local, what, why);
                }
                self.blocked(of, jids).await
            }
            ("prefs", crate::archive::MAM) => {
                let Some(preferences) = Preferences::of(element) else {
                    self.moved
                        .skip(&of.local, "archive preferences", "they make no sense");
                    return Ok(());
                };
                let text = preferences.to_element().to_xml(crate::archive::MAM);
                self.store
                    .archive_preferences_set(of.account, Some(&text))
                    .await?;
                Ok(())
            }
            ("suspended", OWN) => {
                of.suspended = true;
                Ok(())
            }
            // COMPAT: Prosody writes presence into the format's own namespace.
            ("presence", ns::CLIENT | PIE) => self.request(of, element).await,
            (name, namespace) => {
                let what = format!("<{name}/> of {namespace}");
                self.moved.skip(&of.local, what, "it is not known here");
                Ok(())
            }
        }
    }

    async fn contact(&mut self, of: &mut Person, item: &Element) -> Result<(), PortableError> {
        let read = match contact(item, self.limits) {
            Ok(read) => read,
            Err(why) => {
                let jid = item.get_attr("jid").unwrap_or_default();
                self.moved.skip(&of.local, format!("contact {jid}"), why);
                return Ok(());
            }
        };
        if of.contacts == 0 {
            of.contacts = self.store.roster_load(of.account).await?.items.len();
        }
        if of.contacts + of.items.len() >= self.wanted.roster_items {
            let what = format!("contact {}", read.jid);
            self.moved.skip(&of.local, what, "the roster is full");
            return Ok(());
        }
        of.items.push(read);
        if of.items.len() >= ROWS {
            self.flush_roster(of).await?;
        }
        Ok(())
    }

    async fn flush_roster(&mut self, of: &mut Person) -> Result<(), PortableError> {
        if of.items.is_empty() && of.requests.is_empty() {
            return Ok(());
        }
        let (items, requests) = (
            std::mem::take(&mut of.items),
            std::mem::take(&mut of.requests),
        );
        let (added, asked) = self
            .store
            .roster_import(of.account, items, requests)
            .await?;
        of.contacts += usize::try_from(added).unwrap_or(usize::MAX);
        self.moved.count("contacts", added);
        self.moved.count("requests", asked);
        Ok(())
    }

    /// A subscription request that waits; of a long one only the fact (RFC 6121 3.1.3).
    async fn request(&mut self, of: &mut Person, presence: &Element) -> Result<(), PortableError> {
        let from = presence
            .get_attr("from")
            .and_then(|from| Jid::parse(from).ok());
        let subscribes = presence.get_attr("type") == Some("subscribe");
        let Some(from) = from.filter(|_| subscribes).map(|from| from.bare()) else {
            let why = "it is no request of an address";
            self.moved.skip(&of.local, "presence", why);
            return Ok(());
        };
        if of.requests.len() >= self.limits.requests {
            let why = "too many requests wait";
            self.moved
                .skip(&of.local, format!("request of {from}"), why);
            return Ok(());
        }
        let plain = Element::new("presence", ns::CLIENT)
            .attr("from", from.as_str())
            .attr("to", of.jid.as_str())
            .attr("type", "subscribe");
        let children = presence.children().map(|child| match child.ns() {
            PIE => Element::new(child.name(), ns::CLIENT).text(child.text_content()),
            _ => child.clone(),
        });
        let whole = plain.clone().children_from(children);
        let stanza = Stanza::from_element(&whole).ok();
        let fits = stanza.filter(|stanza| stanza.bytes().len() <= self.limits.request_bytes);
        let Some(stanza) = fits.or_else(|| Stanza::from_element(&plain).ok()) else {
            return Ok(());
        };
        of.requests.push((from, stanza.bytes().to_vec(), self.now));
        Ok(())
    }

    async fn vcard(&mut self, of: &mut Person, vcard: &Element) -> Result<(), PortableError> {
        let written = vcard.to_xml("").into_bytes();
        if written.len() > self.limits.vcard_bytes {
            let why = format!("a vCard has at most {} bytes", self.limits.vcard_bytes);
            self.moved.skip(&of.local, "vCard", why);
        } else if self.store.vcard(of.account).await?.is_none() {
            self.store.vcard_set(of.account, &written).await?;
            self.moved.count("vCards", 1);
        }
        Ok(())
    }

    async fn private(&mut self, of: &mut Person, element: &Element) -> Result<(), PortableError> {
        let (namespace, name) = (element.ns().to_owned(), element.name().to_owned());
        if namespace.is_empty() || namespace.len() + name.len() > NAME_BYTES {
            let why = "private XML has a namespace of its own";
            self.moved
                .skip(&of.local, format!("private <{name}/>"), why);
            return Ok(());
        }
        if self
            .store
            .private_get(of.account, &namespace, &name)
            .await?
            .is_some()
        {
            return Ok(());
        }
        of.private.push(PrivateXml {
            namespace,
            name,
            payload: element.to_xml("").into_bytes(),
        });
        let bytes: usize = of.private.iter().map(|one| one.payload.len()).sum();
        if of.private.len() >= ROWS || bytes >= BYTES {
            self.flush_private(of).await?;
        }
        Ok(())
    }

    async fn flush_private(&mut self, of: &mut Person) -> Result<(), PortableError> {
        let most = self.limits.private_bytes;
        for one in std::mem::take(&mut of.private) {
            let what = format!("private <{}/> of {}", one.name, one.namespace);
            if self.store.private_put(of.account, &[one], most).await? {
                self.moved.count("private elements", 1);
            } else {
                let why = format!("an account keeps at most {most} bytes of private XML");
                self.moved.skip(&of.local, what, why);
            }
        }
        Ok(())
    }

    async fn blocked(&mut self, of: &mut Person, jids: Vec<Jid>) -> Result<(), PortableError> {
        if jids.is_empty() {
            return Ok(());
        }
        let opened = self.store.account_open(&of.local).await?;
        let Some(opened) = opened else {
            self.moved
                .skip(&of.local, "blocked addresses", "the account is suspended");
            return Ok(());
        };
        let before = BlockList::read(opened.blocked.as_deref());
        let all = BlockList::of(before.iter().cloned().chain(jids));
        if all.len() > ADDRESSES {
            let why = format!("at most {ADDRESSES} addresses can be blocked");
            self.moved.skip(&of.local, "blocked addresses", why);
            return Ok(());
        }
        let added = all.len() - before.len();
        let (seen, next) = (opened.blocked.as_deref(), all.written());
        if added > 0
            && self
                .store
                .blocked_set(of.account, seen, next.as_deref())
                .await?
        {
            self.moved.count("blocked addresses", added as u64);
        }
        Ok(())
    }

    async fn offline(&mut self, of: &mut Person, message: &Element) -> Result<(), PortableError> {
        let Some((mut element, stanza)) = stanza_of(message) else {
            self.moved
                .skip(&of.local, "offline message", "it is not a message");
            return Ok(());
        };
        let here = self.wanted.host.as_ref().unwrap_or(self.domain).as_str();
        let ours = |child: &Element| {
            child.is("delay", ns::DELAY) && child.get_attr("from").is_none_or(|from| from == here)
        };
        let stamp = element
            .children()
            .filter(|child| child.is("delay", ns::DELAY))
            .last();
        let stamp = stamp.and_then(|d| Timestamp::parse_xep0082(d.get_attr("stamp")?));
        let own = |child: &Element| {
            child.is("stanza-id", ns::STANZA_ID) && child.get_attr("by") == Some(of.jid.as_str())
        };
        let id = element.children().find(|child| own(child));
        let id = id.and_then(|id| ArchiveId::parse(id.get_attr("id")?));
        // Both are put there again when it is delivered.
        element.retain_children(|child| !ours(child) && !own(child));
        let bytes =
            Stanza::from_element(&element).map_or(stanza.bytes().clone(), |s| s.bytes().clone());
        if bytes.len() as u64 > self.wanted.offline_bytes {
            self.moved.skip(
                &of.local,
                "offline message",
                "there is no room for more of them",
            );
            return Ok(());
        }
        // What it was archived as is there first, if it came with this file.
        self.flush_archive(of).await?;
        let at = stamp.unwrap_or(self.now);
        let most = self.limits.offline_messages;
        let kept = self
            .store
            .offline_import(of.account, at, &bytes, id, most)
            .await?;
        match kept {
            Imported::Added => {
                self.wanted.offline_bytes -= bytes.len() as u64;
                self.moved.count("offline messages", 1);
            }
            Imported::Known => {}
            Imported::Full => {
                let why = format!("at most {most} messages wait for an account");
                self.moved.skip(&of.local, "offline message", why);
            }
        }
        Ok(())
    }

    async fn archived(&mut self, of: &mut Person, result: &Element) -> Result<(), PortableError> {
        let old = self.wanted.host.as_ref();
        let old = old.and_then(|host| BareJid::new(Some(&of.local), host).ok());
        let new = match archived(result, &of.jid, old.as_ref()) {
            Ok(new) => new,
            Err(why) => {
                self.moved.skip(&of.local, "archived message", why);
                return Ok(());
            }
        };
        let size = new.stanza.len() as u64;
        if size > self.wanted.archive_bytes {
            self.moved
                .skip(&of.local, "archived message", "the archives are full");
            return Ok(());
        }
        // Given back for those that are known already.
        self.wanted.archive_bytes -= size;
        of.archive_bytes += new.stanza.len();
        of.archive.push(new);
        if of.archive.len() >= MESSAGES || of.archive_bytes >= BYTES {
            self.flush_archive(of).await?;
        }
        Ok(())
    }

    async fn flush_archive(&mut self, of: &mut Person) -> Result<(), PortableError> {
        if of.archive.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut of.archive);
        let given = std::mem::take(&mut of.archive_bytes) as u64;
        let count = batch.len() as u64;
        let came = self.store.archive_import(of.account, batch).await?;
        self.wanted.archive_bytes += given.saturating_sub(came.bytes);
        // Those that are known may be of an import that ended before it had counted.
        of.recount |= came.between || came.added < count;
        self.moved.count("archived messages", came.added);
        Ok(())
    }
}
