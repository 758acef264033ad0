//! News of lists, as their services tell them (XEP-0060 7.1.2.1, 7.2.2.1, 8.4.3, 8.5.3).
//!
//! Whoever keeps a list is somebody else, or a tenant who writes it to harm others: of each list so much is taken a minute as people
//! can change in that time. Of more than that nothing is lost: the list is read anew. Refuses: news of what is not followed.

use store::StoreError;
use xmpp::element::Element;
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use super::follow::{AGAIN, Following};
use super::{FollowedList, entries};
use crate::context::{Context, Hosted};

const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Entries of one list that may come and go within a [`MINUTE`].
const NEWS: usize = 1_000;
/// In microseconds.
const MINUTE: i64 = 60_000_000;

/// What a list has said lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    since: Timestamp,
    entries: usize,
    /// It was too much, and is to be read instead.
    missed: bool,
}

enum Share {
    Taken,
    /// It is too much, for the first time in this minute.
    Missed,
    TooMuch,
}

impl Following {
    fn take_share(&self, key: (String, FollowedList), entries: usize, now: Timestamp) -> Share {
        let fresh = Heard {
            since: now,
            entries: 0,
            missed: false,
        };
        let heard = self.heard.get(&key);
        let within = |heard: &Heard| (0..MINUTE).contains(&(now.0 - heard.since.0));
        let mut heard = heard.filter(within).unwrap_or(fresh);
        heard.entries = heard.entries.saturating_add(entries.max(1));
        let share = match heard.entries > NEWS {
            false => Share::Taken,
            true if heard.missed => Share::TooMuch,
            true => Share::Missed,
        };
        heard.missed |= heard.entries > NEWS;
        self.heard.insert(key, heard, 1);
        share
    }
}

/// Whether a message to the domain may be news of a list that it follows.
pub(super) fn is_event(hosted: &Hosted, message: &Stanza) -> bool {
    let Some(from) = message.from() else {
        return false;
    };
    let mut lists = hosted.settings.lists.iter();
    lists.any(|list| list.service.as_str() == from.as_str()) && message.has_child("event", EVENT)
}

/// News of lists that the domain follows.
pub(super) async fn event(cx: &Context<'_>, message: &Stanza) {
    let (Some(from), Ok(tree)) = (message.from(), message.payload()) else {
        return;
    };
    let Some(event) = tree.find("event", EVENT) else {
        return;
    };
    for news in event.children() {
        let node = news.get_attr("node");
        let theirs = |list: &&FollowedList| {
            list.service.as_str() == from.as_str() && Some(list.node.as_str()) == node
        };
        let Some(list) = cx.hosted.settings.lists.iter().find(theirs) else {
            continue;
        };
        if let Err(error) = heard(cx, list, news).await {
            tracing::error!(domain = %cx.hosted.domain, %error, "news of a block list cannot be kept");
        }
    }
}

async fn heard(cx: &Context<'_>, list: &FollowedList, news: &Element) -> Result<(), StoreError> {
    let (store, following) = (cx.store(), &cx.modules.following);
    let key = (store.name().to_owned(), list.clone());
    match following.take_share(key, news.children().count(), cx.now) {
        Share::Taken => {}
        Share::TooMuch => return Ok(()),
        Share::Missed => {
            tracing::warn!(domain = %cx.hosted.domain, list = %list.service, "a block list changes too fast: it is read instead");
            let soon = Timestamp(cx.now.0.saturating_add(AGAIN));
            return store
                .block_list_soon(list.service.as_str(), &list.node, soon)
                .await;
        }
    }
    let followed = store.block_lists_followed().await?;
    // One that has not been read yet is read in a moment.
    let Some(row) = followed.iter().find(|row| list.is(row)) else {
        return Ok(());
    };
    if learn(cx, row.id, news).await? {
        following.changed(store.name());
    }
    Ok(())
}

/// Whether what is known has changed.
async fn learn(cx: &Context<'_>, list: i64, news: &Element) -> Result<bool, StoreError> {
    let store = cx.store();
    match news.name() {
        "items" => {
            let (gone, new) = (
                entries(news, "retract", EVENT),
                entries(news, "item", EVENT),
            );
            let learnt = store.block_list_change(list, &gone, &new, None).await?;
            Ok(learnt.changed)
        }
        "purge" => store.block_list_purge(list).await,
        "delete" => {
            let problem = "the service has taken the list down; what was known of it stays";
            store.block_list_failed(list, problem).await?;
            Ok(false)
        }
        _ => Ok(false),
    }
}
