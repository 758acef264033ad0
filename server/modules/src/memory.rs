//! What modules remember between calls: caches and turns, all of them bounded, none of them facts.
//!
//! Why together: modules themselves hold no state, so that [`crate::ALL`] is a constant, and what a domain costs in memory
//! can be read in one place. Everything here can be lost at any time without changing an answer, except that sessions'
//! directed presence lives as long as the session. Refuses: facts; those are in the store.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;
use dashmap::DashMap;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use crate::archive::Clock;
use crate::carbons::Copied;
use crate::commands::UNDER_WAY;
use crate::context::{Context, Hosted};
use crate::errands::Errands;
use crate::external::External;
use crate::moved::Moves;
use crate::offline::{Backing, Handed, Nothing};
use crate::presence::{Directed, Known};
use crate::privilege::presence::Told;
use crate::pubsub::caps::Caps;
use crate::pubsub::heard::Heard;
use crate::pubsub::nodes::NodeCache;
use crate::push::Pushes;
use crate::rooms::{Paces, Rooms};
use crate::roster::RosterCache;
use crate::screening::Following;
use crate::switchboard::Switchboard;
use crate::uploads::UploadLimits;

/// Limits of what one account may keep here. The configuration may change them; each is per account unless it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Contacts in a roster.
    pub roster_items: usize,
    /// Bytes of a contact's name (IM-04).
    pub roster_name_bytes: usize,
    /// Groups of one contact.
    pub roster_groups: usize,
    /// Bytes of a group's name (IM-04).
    pub roster_group_bytes: usize,
    /// Subscription requests that wait for an answer (RFC 6121 3.1.3, security warning).
    pub requests: usize,
    /// Bytes of a waiting request; of a longer one only the fact is kept.
    pub request_bytes: usize,
    /// Messages kept while nobody is there.
    pub offline_messages: u32,
    /// Entities that one session may send directed presence to (IM-30).
    pub directed: usize,
    /// Shortest password, in characters; the same as the panel asks for.
    pub password_characters: usize,
    /// Bytes of rosters kept in memory, all accounts of the process together.
    pub roster_cache_bytes: usize,
    /// Rooms of a domain.
    pub rooms: u32,
    /// Sessions in one room; a room's owner may choose fewer.
    pub room_occupants: u32,
    /// People who are something in one room: members, admins, owners, outcasts.
    pub room_people: usize,
    /// Messages that one room keeps in memory for those who enter.
    pub room_history: u32,
    /// … and the bytes of them.
    pub room_history_bytes: usize,
    /// Copies that one person may have the domain's rooms make in a second.
    pub room_copies: u32,
    /// Bytes of an occupant's presence.
    pub room_presence_bytes: usize,
    /// Bytes of private XML (XEP-0049) of one account.
    pub private_bytes: u64,
    /// Bytes of a vCard (XEP-0054).
    pub vcard_bytes: usize,
    /// What accounts publish.
    pub pubsub: PubsubLimits,
    /// Files that they share.
    pub uploads: UploadLimits,
}

/// Limits of what one account may publish (XEP-0060), where they do not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubsubLimits {
    /// Nodes.
    pub nodes: u32,
    /// Items of one node; what `max` means (EXT-06).
    pub items: u32,
    /// Bytes of one item's payload.
    pub item_bytes: usize,
    /// Bytes of all payloads together.
    pub bytes: u64,
    /// Members and outcasts of one node, and once more subscribers.
    pub people: usize,
    /// Notifications that one publication brings about (DOS-09).
    pub notifications: usize,
    /// Bytes of nodes kept in memory, all accounts of the process together.
    pub cache_bytes: usize,
}

impl Default for PubsubLimits {
    fn default() -> Self {
        Self {
            nodes: 200,
            items: 1_000,
            item_bytes: 200_000,
            bytes: 20 << 20,
            people: 500,
            notifications: 5_000,
            cache_bytes: 32 << 20,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            roster_items: 2_000,
            roster_name_bytes: 1_023,
            roster_groups: 50,
            roster_group_bytes: 1_023,
            requests: 500,
            request_bytes: 4_096,
            offline_messages: 1_000,
            directed: 1_000,
            password_characters: 8,
            roster_cache_bytes: 64 << 20,
            rooms: 1_000,
            room_occupants: 1_000,
            room_people: 10_000,
            room_history: 50,
            room_history_bytes: 256 << 10,
            room_copies: 5_000,
            room_presence_bytes: 16 << 10,
            private_bytes: 1 << 20,
            vcard_bytes: 256 << 10,
            pubsub: PubsubLimits::default(),
            uploads: UploadLimits::default(),
        }
    }
}

/// The modules of one process: limits, caches, turns. One exists; the router holds it.
#[derive(Debug)]
pub struct Modules {
    pub(crate) limits: Limits,
    pub(crate) rosters: RosterCache,
    pub(crate) directed: Directed,
    pub(crate) handed: Handed,
    pub(crate) copied: Copied,
    pub(crate) archive: Clock,
    pub(crate) nothing: Nothing,
    pub(crate) backing: Backing,
    pub(crate) left: Sharded<Aging<BareJid, Timestamp>>,
    /// When the process began (XEP-0012).
    pub(crate) started: Timestamp,
    pub(crate) known: Known,
    pub(crate) rooms: Rooms,
    pub(crate) room_paces: Paces,
    pub(crate) nodes: NodeCache,
    pub(crate) caps: Caps,
    pub(crate) heard: Heard,
    pub(crate) pushes: Pushes,
    pub(crate) moves: Moves,
    pub(crate) following: Following,
    pub(crate) external: External,
    pub(crate) commands: Aging<String, ()>,
    pub(crate) errands: Errands,
    pub(crate) told: Told,
    /// When somebody's owner was told last that something of theirs is full.
    pub(crate) warned: Aging<(BareJid, &'static str), Timestamp>,
    turns: Turns,
}

impl Default for Modules {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Modules {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            rosters: RosterCache::new(limits.roster_cache_bytes),
            directed: Directed::new(limits.directed),
            handed: Handed::default(),
            copied: Copied::default(),
            archive: Clock::default(),
            nothing: Nothing::default(),
            backing: Backing::default(),
            left: Sharded::with(|| Aging::new(LEFT_REMEMBERED / SHARDS)),
            started: Timestamp(0),
            known: Known::default(),
            rooms: Rooms::default(),
            room_paces: Paces::default(),
            nodes: NodeCache::new(limits.pubsub.cache_bytes),
            caps: Caps::default(),
            heard: Heard::default(),
            pushes: Pushes::default(),
            moves: Moves::default(),
            following: Following::default(),
            external: External::default(),
            commands: Aging::new(UNDER_WAY),
            errands: Errands::default(),
            told: Told::default(),
            warned: Aging::new(WARNED),
            turns: Turns::default(),
            limits,
        }
    }

    /// The same with services outside of this process (XEP-0215).
    #[must_use]
    pub fn with_external(mut self, external: External) -> Self {
        self.external = external;
        self
    }

    /// The same of a process that has been running since then (XEP-0012).
    #[must_use]
    pub fn with_start(mut self, started: Timestamp) -> Self {
        self.started = started;
        self
    }

    /// For calling hooks on behalf of a domain.
    pub fn context<'a>(
        &'a self,
        hosted: &'a Hosted,
        switchboard: &'a dyn Switchboard,
        now: Timestamp,
    ) -> Context<'a> {
        Context::new(self, hosted, switchboard, now)
    }

    /// An account was changed, suspended or removed by control: what was read before is not believed any more.
    pub fn forget_account(&self, account: &BareJid) {
        self.rosters.forget(account);
        self.nodes.forget(account);
        self.pushes.forget(account);
        self.left.of(account.as_str()).remove(account);
        self.nothing.kept(account);
        self.rooms.forget_account(account);
    }

    /// The roster of an account was changed by control: what was read before is not believed any more.
    pub fn forget_roster(&self, account: &BareJid) {
        self.rosters.forget(account);
    }

    /// What the account's clients want to be woken for has changed in the store (XEP-0357).
    pub fn forget_pushes(&self, account: &BareJid) {
        self.pushes.forget(account);
        self.rosters.forget(account);
    }

    /// A domain was changed as a whole (removed, imported, another customer's now).
    pub fn forget_domain(&self, domain: &DomainName) {
        self.pushes.forget_domain(domain.as_str());
        for shard in self.left.all() {
            shard.retain(|account| account.domain() != domain.as_str());
        }
        self.rosters.forget_domain(domain.as_str());
        self.heard.forget_domain(domain.as_str());
        self.rooms.forget_domain(domain.as_str());
        self.nodes.forget_domain(domain.as_str());
    }

    /// Whether an iq result or error may be the answer to what a module asked: then it goes to
    /// [`crate::hooks::iq_answered`].
    pub fn expects(&self, iq: &Stanza) -> bool {
        // Each begins its ids with a word of its own: what is nobody's takes nobody's lock.
        let word = iq.id().and_then(|id| id.split_once('-'));
        match word.map(|(word, _)| word) {
            Some("errand") => self.errands.expects(iq),
            Some("caps") => self.caps.expects(iq),
            Some("push") => self.pushes.expects(iq),
            Some("moved") => self.moves.expects(iq),
            Some("list") => self.following.expects(iq),
            _ => false,
        }
    }

    /// Another server has opened a stream to the domain: what it could not say meanwhile may have to be asked for.
    pub fn server_connected(&self, hosted: &Hosted, remote: &str) {
        self.following.connected(hosted, remote);
    }

    /// Whether the account may have blocked `other`, as far as is known without asking the store.
    pub fn may_be_blocked(&self, hosted: &Hosted, account: &str, other: &Jid) -> bool {
        if !hosted.blocks() || account == other.bare_str() {
            return false;
        }
        self.rosters.look(account, |known| match known {
            Some(Some(roster)) => roster.blocked.blocks(other),
            // Nobody that is not there has blocked anybody.
            Some(None) => false,
            None => true,
        })
    }

    /// Whom a session has shown itself to beyond its contacts (RFC 6121 4.6): rooms, above all.
    pub fn shown_to(&self, session: &Jid) -> Vec<Jid> {
        self.directed.list(session)
    }

    /// The session, which was kept over a restart, had shown itself to `to`.
    pub fn had_shown(&self, session: &Jid, to: &Jid) {
        self.directed.add(session, to);
    }

    /// The turn to change an account's roster: whoever holds it reads, decides, commits and pushes, so that pushes leave in
    /// the order of modification (RFC 6121 2.6.3). Never two at a time by one task.
    pub(crate) async fn turn(&self, account: &BareJid) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.of(account).lock().await
    }
}

/// Accounts of which it is remembered that their owners were told what is full, in each of two generations.
const WARNED: usize = 10_000;
/// Accounts whose last goodbye is remembered (IM-24), in each of two generations.
const LEFT_REMEMBERED: usize = 20_000;

/// A map that forgets what has not been asked for in a while: two generations, of which the older goes whole when the
/// younger has reached its limit. No list to keep, no clock.
#[derive(Debug)]
pub(crate) struct Aging<K, V> {
    limit: AtomicUsize,
    maps: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, (V, usize), RandomState>,
    old: HashMap<K, (V, usize), RandomState>,
    weight: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> Aging<K, V> {
    /// `limit` is the weight of one generation.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            maps: Mutex::new(Generations {
                young: HashMap::default(),
                old: HashMap::default(),
                weight: 0,
            }),
        }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.look(key, |value| value.cloned())
    }

    /// Looks at a value under the lock: `look` must be quick.
    pub(crate) fn look<Q, R>(&self, key: &Q, look: impl FnOnce(Option<&V>) -> R) -> R
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut maps = lock(&self.maps);
        if let Some((value, _)) = maps.young.get(key) {
            return look(Some(value));
        }
        let Some((key, (value, weight))) = maps.old.remove_entry(key) else {
            return look(None);
        };
        let result = look(Some(&value));
        maps.insert(key, value, weight, self.limit());
        result
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        let mut maps = lock(&self.maps);
        maps.remove(&key);
        maps.insert(key, value, weight, self.limit());
    }

    /// The value that is there already, or else this one.
    pub(crate) fn get_or_insert(&self, key: K, value: V, weight: usize) -> V {
        let mut maps = lock(&self.maps);
        let known = maps.young.get(&key).or_else(|| maps.old.get(&key));
        if let Some((known, _)) = known {
            return known.clone();
        }
        maps.insert(key, value.clone(), weight, self.limit());
        value
    }

    pub(crate) fn remove(&self, key: &K) {
        lock(&self.maps).remove(key);
    }

    pub(crate) fn retain(&self, keep: impl Fn(&K) -> bool) {
        let mut maps = lock(&self.maps);
        maps.young.retain(|key, _| keep(key));
        maps.old.retain(|key, _| keep(key));
        maps.weight = maps.young.values().map(|(_, weight)| weight).sum();
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: V, weight: usize, limit: usize) {
        if self.weight + weight > limit && !self.young.is_empty() {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, (value, weight));
    }

    fn remove(&mut self, key: &K) {
        self.old.remove(key);
        if let Some((_, weight)) = self.young.remove(key) {
            self.weight -= weight;
        }
    }
}

/// A fixed number of maps, each with its own lock, so that none is global.
#[derive(Debug)]
pub(crate) struct Sharded<T> {
    hasher: RandomState,
    shards: Box<[T]>,
}

/// Places of one kind in the process, such as questions without an answer: a domain may have more than its share of them as long
/// as half of all are free (DOS-10).
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: usize,
    of: HashMap<String, usize, RandomState>,
}

impl Places {
    /// Each domain is sure of a twentieth of the other half.
    const SHARES: usize = 20;

    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            taken: 0,
            of: HashMap::default(),
        }
    }

    /// Whether there is room for one more of the domain's.
    pub(crate) fn has_room(&self, domain: &str) -> bool {
        let own = self.of.get(domain).copied().unwrap_or_default();
        self.taken < self.most / 2 || (self.taken < self.most && own < self.most / Self::SHARES)
    }

    pub(crate) fn take(&mut self, domain: &str) {
        self.taken += 1;
        match self.of.get_mut(domain) {
            Some(own) => *own += 1,
            None => drop(self.of.insert(domain.to_owned(), 1)),
        }
    }

    pub(crate) fn give_back(&mut self, domain: &str) {
        let Some(own) = self.of.get_mut(domain) else {
            return;
        };
        self.taken -= 1;
        *own -= 1;
        if *own == 0 {
            self.of.remove(domain);
        }
    }
}

/// An [`Aging`] for each domain, so that what is remembered for one pushes nothing of another's out (DOS-10). All of them together
/// have the limit, in equal shares.
#[derive(Debug)]
pub(crate) struct ByDomain<K, V> {
    limit: usize,
    domains: AtomicUsize,
    of: DashMap<Box<str>, Aging<K, V>, RandomState>,
}

impl<K: Eq + Hash + Clone, V: Clone> ByDomain<K, V> {
    /// `limit` is the weight of one generation of all domains.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            domains: AtomicUsize::new(0),
            of: DashMap::default(),
        }
    }

    pub(crate) fn get(&self, domain: &str, key: &K) -> Option<V> {
        self.of.get(domain)?.get(key)
    }

    pub(crate) fn insert(&self, domain: &str, key: K, value: V, weight: usize) {
        if !self.of.contains_key(domain) {
            self.of.entry(domain.into()).or_insert_with(|| {
                self.domains.fetch_add(1, Ordering::Relaxed);
                Aging::new(0)
            });
        }
        let share = self.limit / self.domains.load(Ordering::Relaxed).max(1);
        if let Some(own) = self.of.get(domain) {
            own.limit.store(share, Ordering::Relaxed);
            own.insert(key, value, weight);
        }
    }

    pub(crate) fn remove(&self, domain: &str, key: &K) {
        if let Some(own) = self.of.get(domain) {
            own.remove(key);
        }
    }

    /// The domain is not here any more.
    pub(crate) fn forget(&self, domain: &str) {
        if self.of.remove(domain).is_some() {
            self.domains.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<T: Default> Default for Sharded<T> {
    fn default() -> Self {
        Self::with(T::default)
    }
}

impl<T> Sharded<T> {
    pub(crate) fn with(mut make: impl FnMut() -> T) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| make()).collect(),
        }
    }

    pub(crate) fn of(&self, account: &str) -> &T {
        // The remainder is below the number of shards.
        &self.shards[self.hasher.hash_one(account) as usize % self.shards.len()]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.shards.iter()
    }
}

/// Shards of every map in here.
pub(crate) const SHARDS: usize = 64;

/// Locks by account. Two accounts may share one: they wait for each other, which is all.
#[derive(Debug, Default)]
struct Turns(Sharded<tokio::sync::Mutex<()>>);

impl Turns {
    fn of(&self, account: &BareJid) -> &tokio::sync::Mutex<()> {
        self.0.of(account.as_str())
    }
}

/// These maps hold no invariant that a panic could break half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aging_forgets_what_nobody_asks_for() {
        let map = Aging::new(2);
        for key in 1..=2 {
            map.insert(key, key * 10, 1);
        }
        map.insert(3, 30, 1); // 1 and 2 are old now
        assert_eq!(map.get(&1), Some(10)); // asked for: young again
        map.insert(4, 40, 1); // 3 and 1 are old, 2 is forgotten
        assert_eq!(map.get(&2), None);
        assert_eq!(map.get(&1), Some(10));
        map.remove(&1);
        assert_eq!(map.get(&1), None);
    }

    #[test]
    fn shards_hold_no_more_than_one_map_would() {
        let map: Sharded<Aging<BareJid, ()>> = Sharded::with(|| Aging::new(10));
        let account = |n: usize| BareJid::parse(&format!("u{n}@example.com")).expect("JID");
        for n in 0..SHARDS * 100 {
            let one = account(n);
            map.of(one.as_str()).insert(one.clone(), (), 1);
        }
        let of = |n: usize| map.of(account(n).as_str()).get(&account(n));
        assert!(of(SHARDS * 100 - 1).is_some(), "the last one");
        // Two generations of ten in each.
        let held: usize = map
            .all()
            .map(|shard| {
                let maps = lock(&shard.maps);
                maps.young.len() + maps.old.len()
            })
            .sum();
        assert!((SHARDS * 10..=SHARDS * 20).contains(&held), "{held}");
    }

    #[test]
    fn aging_replaces() {
        let map = Aging::new(10);
        map.insert("a", 1, 6);
        map.insert("a", 2, 6);
        assert_eq!(map.get(&"a"), Some(2));
        map.retain(|_| false);
        assert_eq!(map.get(&"a"), None);
    }
}
