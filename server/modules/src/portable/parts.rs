//! Parts of the file as rows: read strictly, or not at all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use store::{ArchiveId, NewArchived, RosterItem, Subscription, message_hash};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::sasl::{Hash, ScramVerifier};
use xmpp::stanza::{Kind, Stanza};
use xmpp::timestamp::Timestamp;

use super::{PIE, SCRAM};

/// Iterations of a verifier from elsewhere: at least as RFC 5802 5.1 asks, and no more than a client would do.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=10_000_000;

/// What names something that has no name, the same each time.
pub(super) fn data_of(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

/// A message of whichever namespace servers leave it in.
pub(super) fn stanza_of(message: &Element) -> Option<(Element, Stanza)> {
    let element = if message.ns() == PIE {
        // COMPAT: written without a namespace of its own.
        Element::parse(&message.to_xml(PIE), ns::CLIENT).ok()?
    } else {
        message.clone()
    };
    let stanza = Stanza::from_element(&element).ok()?;
    let is_message = stanza.kind() == Kind::Message;
    is_message.then_some((element, stanza))
}

/// `<scram-credentials/>`: with all its parts, and of their length.
pub(super) fn verifier(element: &Element) -> Option<ScramVerifier> {
    let name = element.get_attr("mechanism")?.strip_prefix("SCRAM-")?;
    let hash = Hash::from_name(name)?;
    let text = |name: &str| Some(element.find(name, SCRAM)?.text_content().trim().to_owned());
    let bytes = |name: &str| STANDARD.decode(text(name)?).ok();
    let count = text("iter-count")?;
    let iterations = count
        .parse()
        .ok()
        .filter(|n| ITERATIONS.contains(n) && !count.starts_with('0'))?;
    let (mut salt, mut stored_key, mut server_key) =
        (bytes("salt")?, bytes("stored-key")?, bytes("server-key")?);
    let length = hash.output_bytes();
    if stored_key.len() != length {
        // COMPAT: ejabberd 23.01 encodes once more what it keeps encoded.
        salt = STANDARD.decode(salt).ok()?;
        stored_key = STANDARD.decode(stored_key).ok()?;
        server_key = STANDARD.decode(server_key).ok()?;
    }
    let right = stored_key.len() == length && server_key.len() == length;
    let good = right && (1..=1_024).contains(&salt.len());
    good.then_some(ScramVerifier {
        hash,
        salt,
        iterations,
        stored_key,
        server_key,
    })
}

pub(super) fn contact(item: &Element, limits: &crate::Limits) -> Result<RosterItem, &'static str> {
    if item.name() != "item" {
        return Err("it is no contact");
    }
    let jid = item.get_attr("jid").and_then(|jid| Jid::parse(jid).ok());
    let jid = jid.ok_or("it has no address")?.bare();
    let subscription = match item.get_attr("subscription") {
        None | Some("none") => Subscription::None,
        Some("to") => Subscription::To,
        Some("from") => Subscription::From,
        Some("both") => Subscription::Both,
        Some(_) => return Err("it is not a contact any more"),
    };
    let name = item.get_attr("name").unwrap_or_default();
    let groups = item
        .children()
        .filter(|child| child.is("group", ns::ROSTER));
    let mut groups: Vec<String> = groups
        .map(Element::text_content)
        .filter(|g| !g.is_empty())
        .collect();
    groups.sort();
    groups.dedup();
    let long = |group: &String| group.len() > limits.roster_group_bytes;
    if name.len() > limits.roster_name_bytes
        || groups.len() > limits.roster_groups
        || groups.iter().any(long)
    {
        return Err("its name or groups are too long, or too many");
    }
    Ok(RosterItem {
        name: name.to_owned(),
        groups,
        subscription,
        ask: item.get_attr("ask") == Some("subscribe"),
        approved: matches!(item.get_attr("approved"), Some("true" | "1")),
        ..RosterItem::new(jid)
    })
}

/// `<result/>` as the archive keeps it: one with this account at one end, under the address that it has here, for clients tell by
/// that who wrote, and so does whoever moves once more.
pub(super) fn archived(
    result: &Element,
    account: &BareJid,
    old: Option<&BareJid>,
) -> Result<NewArchived, &'static str> {
    const FORWARD: &str = "urn:xmpp:forward:0";
    let id = result.get_attr("id").ok_or("it has no name")?;
    let forwarded = result
        .find("forwarded", FORWARD)
        .ok_or("there is no message in it")?;
    let stamp = forwarded
        .find("delay", ns::DELAY)
        .and_then(|d| d.get_attr("stamp"));
    let at = stamp
        .and_then(Timestamp::parse_xep0082)
        .ok_or("it has no time")?;
    let message = forwarded.children().find(|child| child.name() == "message");
    let (_, mut stanza) = message
        .and_then(stanza_of)
        .ok_or("there is no message in it")?;
    let here = |jid: Option<&Jid>| {
        let jid = jid.filter(|jid| old.is_some_and(|old| jid.bare_str() == old.as_str()))?;
        match jid.resource() {
            Some(resource) => account.with_resource(resource).ok(),
            None => Some(Jid::from(account.clone())),
        }
    };
    if let Some(from) = here(stanza.from()) {
        stanza = stanza.with_from(&from);
    }
    if let Some(to) = here(stanza.to()) {
        stanza = stanza.with_to(&to);
    }
    let own = |jid: &Jid| jid.bare_str() == account.as_str();
    let (from, to) = (stanza.from(), stanza.to());
    let sent = from.is_none_or(own);
    let peer = if sent { to } else { from };
    let ours = sent || to.is_none_or(own);
    let peer = peer.filter(|_| ours).ok_or("it is not of this account")?;
    let drawn = || {
        let digest = data_of(id.as_bytes());
        i64::from_be_bytes(std::array::from_fn(|i| digest[i]))
    };
    // A name of ours stays what it was, with its microseconds; others are made into one, the same each time.
    let ours = ArchiveId::parse(id).filter(|id| (id.at - at.0).abs() < 1_000_000);
    let name = ours.unwrap_or_else(|| ArchiveId {
        at: at.0,
        salt: drawn(),
    });
    Ok(NewArchived {
        id: name,
        peer: peer.bare_str().to_owned(),
        resource: peer.resource().unwrap_or_default().to_owned(),
        sent,
        message: stanza.id().map_or(0, message_hash),
        stanza: stanza.bytes().clone(),
    })
}
