//! Contacts who come by an invitation (XEP-0379, XEP-0401): whoever shows its token becomes a contact without being asked about,
//! and whoever has made an account by it is one already.
//!
//! Refuses: tokens that this account has not made, and a second use. Then the request is one like any other (XEP-0379 5.1).

use sha2::{Digest as _, Sha256};
use xmpp::jid::BareJid;
use xmpp::stanza::{Stanza, StanzaType};

use super::subscription::State;
use super::{Verb, about, outbound, show, situation};
use crate::context::Context;
use crate::roster;

const PARS: &str = "urn:xmpp:pars:0";
/// Longest token looked at, in bytes.
const TOKEN_BYTES: usize = 100;

/// Whether a request comes with an invitation of the account's own, which is used up by it. The caller holds the account's turn.
pub(super) async fn is_invited(
    cx: &Context<'_>,
    account: &BareJid,
    contact: &BareJid,
    request: &Stanza,
) -> bool {
    if request.type_() != StanzaType::Subscribe {
        return false;
    }
    let token = request.payload().ok().and_then(|tree| {
        let preauth = tree.find("preauth", PARS)?;
        preauth.get_attr("token").map(str::to_owned)
    });
    let Some(token) = token.filter(|token| token.len() <= TOKEN_BYTES) else {
        return false;
    };
    let Ok(Some(roster)) = cx.roster(account).await else {
        return false;
    };
    let now = situation(&roster, contact);
    let room = now.in_roster || roster.items().len() < cx.roster_items();
    if now.state.shows() || !room {
        return false;
    }
    let hash = Sha256::digest(token.as_bytes());
    let greeted = cx.store().invite_greet(&hash, roster.account, cx.now).await;
    match greeted {
        Ok(true) => {
            tracing::info!(%account, %contact, "a contact by invitation");
            true
        }
        Ok(false) => false,
        Err(error) => {
            tracing::error!(%account, %error, "an invitation cannot be looked at");
            false
        }
    }
}

/// The account wants to see whoever has come by its invitation, too (XEP-0379 3.5).
pub(super) async fn ask_back(cx: &Context<'_>, account: &BareJid, contact: &BareJid, now: State) {
    if !now.sees() && !now.ask() {
        let request = about(account, contact, Verb::Subscribe, None);
        Box::pin(outbound(cx, &request, Verb::Subscribe)).await;
    }
}

/// The account has got a contact without its sessions' doing (XEP-0401 4.5): they are told, and the contact sees them.
pub(crate) async fn roster_grown(cx: &Context<'_>, account: &BareJid, contact: &BareJid) {
    let _turn = cx.modules.turn(account).await;
    cx.modules.rosters.forget(account);
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    roster::push(cx, account, &roster, contact);
    let shown = roster
        .get(contact.as_str())
        .is_some_and(|item| item.subscription.seen_by_contact());
    if shown {
        show(cx, account, contact);
    }
}
