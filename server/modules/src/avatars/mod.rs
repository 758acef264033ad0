//! Avatars in one place whatever form a client knows: published (XEP-0084 version 1.1.4), as the photo of a vCard and as a
//! hash in presence (XEP-0153 version 1.1.1); conversion XEP-0398 version 1.0.0.
//!
//! The nodes are the truth. A vCard gets its photo from them when somebody asks who may read them, presence the hash with
//! the account's roster, and a photo that comes with a vCard is published. A picture that is new, or gone, is shown by presence
//! again. Refuses: photos that are no base64, and pictures whose hash is not their name.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use store::{Access, ItemsAsked, NodeConfig, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Condition, Stanza, StanzaType};

use crate::context::{Context, Refusal, store_failed};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::module::Module;
use crate::presence;
use crate::pubsub::{self, may_read, nodes};

/// The module.
pub(crate) struct Avatars;

const DATA: &str = "urn:xmpp:avatar:data";
const METADATA: &str = "urn:xmpp:avatar:metadata";
const UPDATE: &str = "vcard-temp:x:update";

static INFO: ModuleInfo = ModuleInfo {
    name: "avatars",
    about: "shows an account's picture to clients that know it in one form or another",
    specs: &[
        Spec::Xep(84, "1.1.4"),
        Spec::Xep(153, "1.1.1"),
        Spec::Xep(398, "1.0.0"),
    ],
    switchable: true,
    iq: &[],
    hooks: Hooks::AVATARS,
    server_features: &[],
    account_features: &["urn:xmpp:pep-vcard-conversion:0"],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Avatars {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn needs(&self) -> &'static [&'static str] {
        &["pubsub", "vcard"]
    }
}

/// Whether the domain has it.
pub(crate) fn on(cx: &Context<'_>) -> bool {
    cx.hosted.has(Hooks::AVATARS)
}

/// Whether the node has to do with pictures.
pub(crate) fn is_node(node: &str) -> bool {
    node == DATA || node == METADATA
}

/// The hash that an account's presence shows; `directed`: to whomever, so that only what everybody may see is shown.
async fn hash(cx: &Context<'_>, account: &BareJid, directed: bool) -> Option<String> {
    let roster = cx.roster(account).await.ok().flatten()?;
    let avatar = roster.avatar.as_ref()?;
    let hash = avatar.id.len() == 40 && avatar.id.bytes().all(|b| b.is_ascii_hexdigit());
    (hash && (avatar.open || !directed)).then(|| avatar.id.to_ascii_lowercase())
}

/// Presence of a session with the hash of its account's picture in it (XEP-0398 4); `None`: as it is.
pub(crate) async fn shown(cx: &Context<'_>, presence: &Stanza) -> Option<Stanza> {
    if presence.type_() != StanzaType::Available || !on(cx) {
        return None;
    }
    let account = presence.from()?.bare();
    let hash = hash(cx, &account, presence.to().is_some()).await?;
    with(presence, Some(&hash))
}

/// With this hash, unless the session says that it shows no picture. `None`: as it is.
fn with(presence: &Stanza, hash: Option<&str>) -> Option<Stanza> {
    let said = said(presence);
    if said.as_deref() == Some("") || said.as_deref() == hash && said.is_some() {
        return None;
    }
    let bare = presence
        .without(|tag| (tag.name, tag.ns) == ("x", UPDATE))
        .unwrap_or_else(|| presence.clone());
    Some(match hash {
        Some(hash) => bare.with_child_written(
            format!("<x xmlns='{UPDATE}'><photo>{hash}</photo></x>").as_bytes(),
        ),
        None => bare,
    })
}

/// The hash that presence has; empty: there is no picture; `None`: nothing is said.
fn said(presence: &Stanza) -> Option<String> {
    if !presence.has_child("x", UPDATE) {
        return None;
    }
    let tree = presence.payload().ok()?;
    let photo = tree.find("x", UPDATE)?.find("photo", UPDATE)?;
    Some(photo.text_content().trim().to_owned())
}

/// A node has changed: the account's presence is shown again where it has another hash now.
pub(crate) async fn changed(cx: &Context<'_>, account: &BareJid) {
    cx.modules.rosters.forget(account);
    let hash = hash(cx, account, false).await;
    presence::again(cx, account, |presence| {
        let before = said(presence);
        if before == hash {
            return None;
        }
        let kept = with(presence, hash.as_deref())?;
        let told = match &hash {
            // Who is told nothing would go on showing the old one.
            None => kept.with_child_written(format!("<x xmlns='{UPDATE}'><photo/></x>").as_bytes()),
            Some(_) => kept.clone(),
        };
        Some((kept, told))
    })
    .await;
}

/// An account's picture as the photo of a vCard, for somebody who may see it.
pub(crate) async fn photo(
    cx: &Context<'_>,
    account: &BareJid,
    asker: &Jid,
) -> Result<Option<Element>, Refusal> {
    let (Some(nodes), Some(roster)) = (nodes::nodes(cx, account).await?, cx.roster(account).await?)
    else {
        return Ok(None);
    };
    let (Some(data), Some(metadata)) = (nodes.get(DATA), nodes.get(METADATA)) else {
        return Ok(None);
    };
    let may = |node: &PubsubNode| may_read(node, account, &roster, asker);
    let Some(avatar) = roster
        .avatar
        .as_ref()
        .filter(|_| may(data) && may(metadata))
    else {
        return Ok(None);
    };
    let item = async |node: &PubsubNode, name| {
        let asked = ItemsAsked::Ids(vec![avatar.id.clone()]);
        let read = cx
            .store()
            .pubsub_items(nodes.account, node.id, &asked, 1, 1);
        let page = Box::pin(read).await;
        let page = page.map_err(|e| store_failed(&e, account, "reading an avatar"))?;
        let item = page.and_then(|page| page.items.into_iter().next());
        let text = item.and_then(|item| String::from_utf8(item.payload).ok());
        let element = text.and_then(|text| Element::parse(&text, "").ok());
        Ok::<_, Refusal>(element.filter(|e| e.is(name, &node.name)))
    };
    let (Some(about), Some(picture)) =
        (item(metadata, "metadata").await?, item(data, "data").await?)
    else {
        return Ok(None);
    };
    let mut infos = about.children().filter(|c| c.is("info", METADATA));
    let info = infos.find(|info| info.get_attr("url").is_none_or(str::is_empty));
    let Some(bytes) = decoded(&picture.text_content()) else {
        return Ok(None);
    };
    if info.is_none() || !avatar.id.eq_ignore_ascii_case(&name_of(&bytes)) {
        return Ok(None);
    }
    let type_ = info.and_then(|info| info.get_attr("type"));
    let type_ = type_.unwrap_or_else(|| sniffed(&bytes));
    let child = |name: &str, text: &str| Element::new(name, "vcard-temp").text(text);
    Ok(Some(
        Element::new("PHOTO", "vcard-temp")
            .child(child("TYPE", type_))
            .child(child("BINVAL", &STANDARD.encode(&bytes))),
    ))
}

/// What a vCard's photo says of the picture.
pub(crate) enum Photo {
    /// This is it.
    Picture {
        /// Media type.
        type_: String,
        /// The picture.
        bytes: Vec<u8>,
    },
    /// There is none.
    None,
}

impl Photo {
    /// Of the photo of a vCard.
    ///
    /// # Errors
    /// `<bad-request/>`: it is no base64.
    pub(crate) fn of(photo: Option<&Element>) -> Result<Self, Refusal> {
        let text = |name: &str| {
            let child = photo?.children().find(|c| c.name() == name)?;
            Some(child.text_content()).filter(|text| !text.trim().is_empty())
        };
        let Some(binval) = text("BINVAL") else {
            return Ok(Self::None);
        };
        let bytes = decoded(&binval).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or_else(|| {
            Refusal::new(Condition::BadRequest).with_text("a photo is written in base64")
        })?;
        let type_ = text("TYPE").map(|type_| type_.trim().to_owned());
        Ok(Self::Picture {
            type_: type_.unwrap_or_else(|| sniffed(&bytes).to_owned()),
            bytes,
        })
    }
}

/// Publishes the picture that came with a vCard, or takes back the one there is (XEP-0398 3.2). Nodes that there are stay as
/// they are; otherwise everybody may see what everybody may see in the vCard.
pub(crate) async fn publish(
    cx: &Context<'_>,
    account: &BareJid,
    photo: &Photo,
) -> Result<(), Refusal> {
    let _turn = cx.modules.turn(account).await;
    let config = || NodeConfig {
        access: Access::Open,
        ..NodeConfig::default()
    };
    let Some(roster) = cx.roster(account).await? else {
        return Err(Condition::ItemNotFound.into());
    };
    match photo {
        Photo::Picture { type_, bytes } => {
            let id = name_of(bytes);
            if roster.avatar.as_ref().is_some_and(|avatar| avatar.id == id) {
                return Ok(());
            }
            let data = Element::new("data", DATA).text(STANDARD.encode(bytes));
            let data = vec![(id.clone(), data)];
            pubsub::put(cx, account, DATA, config(), Vec::new(), data).await?;
            let info = Element::new("info", METADATA)
                .attr("bytes", bytes.len().to_string())
                .attr("id", id.as_str())
                .attr("type", type_.as_str());
            let about = Element::new("metadata", METADATA).child(info);
            let about = vec![(id, about)];
            pubsub::put(cx, account, METADATA, config(), Vec::new(), about).await
        }
        Photo::None if roster.avatar.is_some() => {
            let none = vec![("none".to_owned(), Element::new("metadata", METADATA))];
            pubsub::put(cx, account, METADATA, config(), Vec::new(), none).await
        }
        Photo::None => Ok(()),
    }
}

/// SHA-1 in hexadecimal (XEP-0084 3.2).
pub(crate) fn name_of(bytes: &[u8]) -> String {
    let hash = Sha1::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Base64, white space passed over.
pub(crate) fn decoded(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(plain).ok()
}

/// Media type of a picture of which nobody says it.
fn sniffed(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        _ => "image/png",
    }
}

#[cfg(test)]
mod tests;
