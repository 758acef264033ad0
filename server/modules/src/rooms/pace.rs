//! What one person may make of rooms: copies of what they say, and of how they show themselves (DOS-10).
//!
//! A stanza to a room of a thousand is a thousand stanzas from it; the pace of streams counts one. Each person pays for the
//! copies, over all rooms of the process and over all their sessions; who has no more left is told to wait (XEP-0045 7.4).
//! Refuses: a clock; the time is handed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use xmpp::jid::BareJid;
use xmpp::stanza::{Condition, ErrorType, StanzaError};
use xmpp::timestamp::Timestamp;

use super::room::Room;
use crate::context::{Context, Refusal};
use crate::memory::{Aging, Sharded};

/// What may come at once, in microseconds of the rate.
pub(super) const BURST: i64 = 10_000_000;
/// The same of coming in: somebody whose connection is new enters all their rooms at once, and few clients try again.
pub(super) const BURST_OF_ENTERING: i64 = 60_000_000;
/// People who are remembered in each of two generations of a shard; who is forgotten owes nothing.
const REMEMBERED: usize = 2_000;

/// Up to when each has paid, in microseconds.
#[derive(Debug)]
pub(crate) struct Paces(Sharded<Aging<BareJid, Arc<AtomicI64>>>);

impl Default for Paces {
    fn default() -> Self {
        Self(Sharded::with(|| Aging::new(REMEMBERED)))
    }
}

impl Paces {
    /// Takes so many copies at this rate; false, and nothing taken, where the burst is spent. Whoever has waited gets one
    /// stanza through, however many there are to hear it.
    fn take(
        &self,
        who: &BareJid,
        (copies, burst): (usize, i64),
        per_second: u32,
        now: Timestamp,
    ) -> bool {
        let shard = self.0.of(who.as_str());
        let paid = shard
            .get(who)
            .unwrap_or_else(|| shard.get_or_insert(who.clone(), Arc::default(), 1));
        let copies = i64::try_from(copies).unwrap_or(i64::MAX);
        let cost = copies.saturating_mul(1_000_000) / i64::from(per_second.max(1));
        let pay = |before: i64| {
            let from = before.max(now.0);
            (from - now.0 < burst).then(|| from.saturating_add(cost))
        };
        paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay)
            .is_ok()
    }
}

/// Charges somebody for what the room is about to send to everybody in it.
///
/// # Errors
/// There was too much of it just now.
pub(super) fn charge(
    cx: &Context<'_>,
    room: &Room,
    who: &BareJid,
    burst: i64,
) -> Result<(), Refusal> {
    let most = cx.modules.limits.room_copies;
    let copies = (room.sessions(), burst);
    if cx.modules.room_paces.take(who, copies, most, cx.now) {
        return Ok(());
    }
    cx.switchboard.limited("room_copies_per_second");
    let text = format!(
        "rooms send {most} copies a second of what one person says and shows; try again in a moment"
    );
    Err(StanzaError::new(Condition::PolicyViolation)
        .with_kind(ErrorType::Wait)
        .with_text(text)
        .into())
}
