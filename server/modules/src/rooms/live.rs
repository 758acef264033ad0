//! Rooms that are in memory: those with somebody in them, and those that are being asked about.
//!
//! Whoever works on a room holds its turn, so that everything in it happens in one order; a room that nobody is in and that
//! the store has is let go. What those are told who look for rooms lies beside the turn, so that they wait for none. Refuses:
//! two turns at a time.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as Turn, MutexGuard};
use xmpp::jid::{BareJid, Jid};

use super::past;
use super::room::Room;
use crate::context::{Context, Refusal, store_failed};
use crate::memory::{Sharded, lock};

/// A place for a room; none is there if the name is free.
pub(super) type Place = Arc<Spot>;

/// The room, whose turn it is, and what is told of it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Spot {
    turn: Turn<Option<Room>>,
    card: Mutex<Option<Card>>,
}

impl Spot {
    /// Waits for the turn.
    pub(super) async fn lock(&self) -> Held<'_> {
        Held {
            slot: self.turn.lock().await,
            card: &self.card,
        }
    }

    /// The room as it was when the last turn ended, if everybody may find it.
    pub(super) fn card(&self) -> Option<Card> {
        lock(&self.card).clone()
    }
}

/// A room that everybody may find (XEP-0045 6.3).
#[derive(Clone, Debug)]
pub(super) struct Card {
    /// The store has it.
    pub(super) kept: bool,
    pub(super) name: String,
    pub(super) description: String,
    /// Occupants.
    pub(super) users: usize,
    /// Anybody may enter.
    pub(super) open: bool,
}

impl Card {
    fn is_of(&self, room: &Room) -> bool {
        self.kept == room.row.is_some()
            && self.users == room.occupants.len()
            && self.open == room.config.is_open()
            && self.name == room.config.name
            && self.description == room.config.description
    }

    fn of(room: &Room) -> Self {
        Self {
            kept: room.row.is_some(),
            name: room.config.name.clone(),
            description: room.config.description.clone(),
            users: room.occupants.len(),
            open: room.config.is_open(),
        }
    }
}

/// A turn. When it ends, what is told of the room is what has become of it.
pub(super) struct Held<'a> {
    slot: MutexGuard<'a, Option<Room>>,
    card: &'a Mutex<Option<Card>>,
}

impl Deref for Held<'_> {
    type Target = Option<Room>;

    fn deref(&self) -> &Self::Target {
        &self.slot
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.slot
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let found = self.slot.as_ref();
        let found = found.filter(|room| room.config.public && !room.locked);
        let mut card = lock(self.card);
        match (found, card.as_ref()) {
            (Some(room), Some(card)) if card.is_of(room) => {}
            (Some(room), _) => *card = Some(Card::of(room)),
            (None, _) => *card = None,
        }
    }
}

/// The rooms of the process.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Sharded<Mutex<HashMap<BareJid, Place>>>);

impl Rooms {
    /// Where the room of this name is, or would be.
    pub(super) fn place(&self, room: &BareJid) -> Place {
        let mut places = lock(self.0.of(room.as_str()));
        places.entry(room.clone()).or_default().clone()
    }

    /// Lets a place go that nobody needs; `place` is the caller's hold on it, whose turn has ended.
    pub(super) fn settle(&self, room: &BareJid, place: Place) {
        let mut places = lock(self.0.of(room.as_str()));
        // The map's hold and the caller's: nobody else can be waiting for its turn.
        if Arc::strong_count(&place) > 2 {
            return;
        }
        let needed = place
            .turn
            .try_lock()
            .is_ok_and(|slot| slot.as_ref().is_some_and(is_needed));
        if !needed {
            places.remove(room);
        }
    }

    /// How many rooms of a service are nowhere but in memory. One that is being worked on is left out, as waiting for it while
    /// holding the turn of another would be waiting for each other; it counts a moment later.
    pub(super) fn unkept(&self, service: &str) -> usize {
        let unkept = |place: &Place| {
            let slot = place.turn.try_lock();
            slot.is_ok_and(|slot| slot.as_ref().is_some_and(|room| room.row.is_none()))
        };
        let of = self.of(service);
        of.iter().filter(|(_, place)| unkept(place)).count()
    }

    /// Rooms of a service that are in memory now, and of which the store may know nothing.
    pub(super) fn of(&self, service: &str) -> Vec<(BareJid, Place)> {
        self.matching(|room| room.domain() == service)
    }

    /// An account has gone: whoever gets its name next is nobody in the rooms that are in memory, as in the store.
    pub(crate) fn forget_account(&self, account: &BareJid) {
        for (_, place) in self.matching(|room| is_service_of(room.domain(), account.domain())) {
            let account = account.clone();
            tokio::spawn(async move {
                if let Some(room) = place.lock().await.as_mut() {
                    room.forget(&account);
                    room.forget_role(&account);
                    room.hats.forget(&account);
                }
            });
        }
    }

    /// A domain has gone, and its rooms with it.
    pub(crate) fn forget_domain(&self, domain: &str) {
        for places in self.0.all() {
            lock(places).retain(|room, _| !is_service_of(room.domain(), domain));
        }
    }

    fn matching(&self, which: impl Fn(&BareJid) -> bool) -> Vec<(BareJid, Place)> {
        let mut found = Vec::new();
        for places in self.0.all() {
            let places = lock(places);
            let matching = places.iter().filter(|(room, _)| which(room));
            found.extend(matching.map(|(room, place)| (room.clone(), place.clone())));
        }
        found
    }
}

fn is_service_of(service: &str, domain: &str) -> bool {
    service
        .split_once('.')
        .is_some_and(|(_, rest)| rest == domain)
}

/// A room that is empty is in the store, or nowhere.
fn is_needed(room: &Room) -> bool {
    !room.occupants.is_empty()
}

/// Brings a room in from the store, if it is there.
pub(super) async fn load(cx: &Context<'_>, jid: &Jid) -> Result<Option<Room>, Refusal> {
    let local = jid.local().unwrap_or_default();
    match cx.store().room_load(local).await {
        Ok(None) => Ok(None),
        Ok(Some((id, row, people))) => {
            let roles = cx.store().room_roles(id).await;
            let roles =
                roles.map_err(|e| store_failed(&e, &jid.bare(), "reading a room's roles"))?;
            let mut room = Room::stored(jid.clone(), id, &row, people, roles);
            Box::pin(past::recall(cx, &mut room)).await?;
            Ok(Some(room))
        }
        Err(error) => Err(store_failed(&error, &jid.bare(), "reading a room")),
    }
}
