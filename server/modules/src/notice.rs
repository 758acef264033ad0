//! What the domain tells an account's owner that nobody else may know: that something of theirs is full.
//!
//! A headline to the sessions that are there (RFC 6121 5.2.2), once a day for each thing, since a limit that is reached is reached
//! with every stanza. Refuses: telling whoever reached it, where that would tell them that there is such an account (ROUTE-10).

use xmpp::element::Element;
use xmpp::jid::BareJid;
use xmpp::ns;
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use crate::context::Context;

/// Between two notices about the same (µs).
const DAY: i64 = 86_400_000_000;

/// Says to the account's sessions that `what` is full, unless they have heard it today; `text` says how full, and what to do.
pub(crate) fn full(
    cx: &Context<'_>,
    account: &BareJid,
    what: &'static str,
    text: impl FnOnce() -> String,
) {
    let key = (account.clone(), what);
    let recently = |at: Timestamp| cx.now.0.saturating_sub(at.0) < DAY;
    if cx.modules.warned.get(&key).is_some_and(recently) {
        return;
    }
    let sessions = cx.switchboard.sessions(account);
    let there: Vec<_> = sessions.iter().filter(|s| s.takes_messages()).collect();
    if there.is_empty() {
        return;
    }
    cx.modules.warned.insert(key, cx.now, 1);
    let text = text();
    for session in there {
        let message = Element::new("message", ns::CLIENT)
            .attr("from", cx.hosted.domain.as_str())
            .attr("to", session.jid.as_str())
            .attr("type", "headline")
            .child(Element::new("body", ns::CLIENT).text(text.as_str()));
        if let Ok(message) = Stanza::from_element(&message) {
            cx.switchboard.deliver(&session.jid, message);
        }
    }
}
