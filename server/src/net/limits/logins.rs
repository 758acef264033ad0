//! Failed logins, by account and by address: each one makes the next attempt wait longer (RFC 6120 13.9.4, XEP-0205 4.2).
//!
//! An attempt is counted before its outcome is known, so that many at once wait as long as one after the other, and a
//! right guess waits as long as a wrong one. An address from which an account has logged in is known to it: the two are
//! counted by themselves, so that nobody far away can keep the owner out, and one forgotten password in an office does
//! not slow down its neighbours. Accounts that do not exist are counted like those that do (SASL-11). Refuses: telling
//! anybody more than that a login failed.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use xmpp::jid::BareJid;

use super::addresses::network;

/// How failed logins are answered.
#[derive(Clone, Copy, Debug)]
pub struct LoginLimits {
    /// Failures of an account that cost no time.
    pub free_per_account: u32,
    /// Failures of an address that cost no time.
    pub free_per_address: u32,
    /// The next one waits a second, each further one twice as long, up to this.
    pub longest_delay: Duration,
    /// One failure is forgiven in this time.
    pub forgiven_after: Duration,
    /// Failures not forgiven at which further attempts are refused unseen.
    pub most: u32,
}

impl Default for LoginLimits {
    fn default() -> Self {
        Self {
            free_per_account: 5,
            free_per_address: 20,
            longest_delay: Duration::from_secs(20),
            forgiven_after: Duration::from_secs(60),
            most: 100,
        }
    }
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is looked at after this time.
    After(Duration),
    /// It is not looked at: `<temporary-auth-failure/>`.
    Refused,
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Account(BareJid),
    Address(IpAddr),
    Both(BareJid, IpAddr),
}

/// Failures of every account and address of this process.
#[derive(Debug)]
pub struct Logins {
    limits: LoginLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: HashMap<Who, Failures>,
    /// Where accounts have logged in from, and when last.
    known: HashMap<(BareJid, IpAddr), Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    /// Everything before is forgiven already.
    since: Instant,
}

/// Entries of each map before the old ones are swept out.
const SWEEP: usize = 50_000;
/// How long an address stays known to an account.
const KNOWN: Duration = Duration::from_secs(30 * 86_400);

impl Logins {
    /// Nothing has failed yet.
    pub fn new(limits: LoginLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Counts an attempt at an account from an address and says when it may be looked at.
    pub fn attempt(&self, account: &BareJid, address: IpAddr, now: Instant) -> Attempt {
        let address = network(address);
        let mut state = self.state.lock();
        state.sweep(&self.limits, now);
        let mut longest = Duration::ZERO;
        let mut refused = false;
        for (who, free) in self.counted(&state, account, address) {
            let failures = state.failures.entry(who).or_insert(Failures {
                count: 0,
                since: now,
            });
            failures.forgive(&self.limits, now);
            longest = longest.max(self.delay(failures.count, free));
            refused |= failures.count >= self.limits.most;
            failures.count = failures.count.saturating_add(1).min(self.limits.most);
        }
        if refused {
            Attempt::Refused
        } else {
            Attempt::After(longest)
        }
    }

    /// The attempt was right: it is not counted, and the address is known to the account from now on.
    pub fn succeeded(&self, account: &BareJid, address: IpAddr, now: Instant) {
        let address = network(address);
        let mut state = self.state.lock();
        for (who, _) in self.counted(&state, account, address) {
            if let Some(failures) = state.failures.get_mut(&who) {
                failures.count = failures.count.saturating_sub(1);
            }
        }
        state.known.insert((account.clone(), address), now);
    }

    fn counted(&self, state: &State, account: &BareJid, address: IpAddr) -> Vec<(Who, u32)> {
        let limits = &self.limits;
        if state.known.contains_key(&(account.clone(), address)) {
            return vec![(Who::Both(account.clone(), address), limits.free_per_account)];
        }
        vec![
            (Who::Account(account.clone()), limits.free_per_account),
            (Who::Address(address), limits.free_per_address),
        ]
    }

    fn delay(&self, count: u32, free: u32) -> Duration {
        match count.checked_sub(free) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX))
                .min(self.limits.longest_delay),
        }
    }
}

impl Failures {
    fn forgive(&mut self, limits: &LoginLimits, now: Instant) {
        let each = limits.forgiven_after.max(Duration::from_millis(1));
        let due = now.duration_since(self.since).as_millis() / each.as_millis();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.count = self.count.saturating_sub(due);
            self.since = if self.count == 0 {
                now
            } else {
                self.since + each * due
            };
        }
    }
}

impl State {
    fn sweep(&mut self, limits: &LoginLimits, now: Instant) {
        if self.failures.len() >= SWEEP {
            self.failures.retain(|_, failures| {
                failures.forgive(limits, now);
                failures.count > 0
            });
            halve(&mut self.failures);
        }
        if self.known.len() >= SWEEP {
            self.known.retain(|_, at| now.duration_since(*at) < KNOWN);
            halve(&mut self.known);
        }
    }
}

/// Still full: any half of it goes. Whoever floods the map with names waits by their address meanwhile.
fn halve<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.len() >= SWEEP {
        let mut keep = false;
        map.retain(|_, _| {
            keep = !keep;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> BareJid {
        BareJid::parse(&format!("{name}@one.example")).expect("an address")
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn logins() -> Logins {
        Logins::new(LoginLimits {
            free_per_account: 2,
            free_per_address: 4,
            longest_delay: Duration::from_secs(5),
            forgiven_after: Duration::from_secs(60),
            most: 10,
        })
    }

    fn seconds(attempt: Attempt) -> u64 {
        match attempt {
            Attempt::After(delay) => delay.as_secs(),
            Attempt::Refused => panic!("refused"),
        }
    }

    #[test]
    fn sasl_10_failures_of_an_account_wait_longer_each_time_wherever_they_come_from() {
        let logins = logins();
        let now = Instant::now();
        let waits: Vec<u64> = (0..7)
            .map(|n| seconds(logins.attempt(&account("alice"), ip(n), now)))
            .collect();
        assert_eq!(waits, [0, 0, 1, 2, 4, 5, 5]);
        assert_eq!(
            seconds(logins.attempt(&account("bob"), ip(99), now)),
            0,
            "others wait for nothing"
        );
    }

    #[test]
    fn sasl_10_failures_of_an_address_wait_whichever_accounts_they_try() {
        let logins = logins();
        let now = Instant::now();
        let waits: Vec<u64> = (0..7)
            .map(|n| seconds(logins.attempt(&account(&format!("user{n}")), ip(1), now)))
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4]);
    }

    #[test]
    fn sasl_10_time_forgives() {
        let logins = logins();
        let now = Instant::now();
        for n in 0..4 {
            logins.attempt(&account("alice"), ip(n), now);
        }
        let later = now + Duration::from_secs(125);
        assert_eq!(seconds(logins.attempt(&account("alice"), ip(9), later)), 1);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(
            seconds(logins.attempt(&account("alice"), ip(9), much_later)),
            0
        );
    }

    #[test]
    fn sasl_10_the_owner_gets_in_while_the_account_is_attacked_from_elsewhere() {
        let logins = logins();
        let now = Instant::now();
        let alice = account("alice");
        assert_eq!(seconds(logins.attempt(&alice, ip(1), now)), 0);
        logins.succeeded(&alice, ip(1), now);
        for n in 2..40 {
            logins.attempt(&alice, ip(n), now);
        }
        assert_eq!(logins.attempt(&alice, ip(50), now), Attempt::Refused);
        assert_eq!(seconds(logins.attempt(&alice, ip(1), now)), 0);
        // Not without a bound either.
        let waits: Vec<u64> = (0..3)
            .map(|_| seconds(logins.attempt(&alice, ip(1), now)))
            .collect();
        assert_eq!(waits, [0, 1, 2]);
    }

    #[test]
    fn sasl_10_success_is_not_counted() {
        let logins = logins();
        let now = Instant::now();
        for _ in 0..50 {
            assert_eq!(seconds(logins.attempt(&account("alice"), ip(1), now)), 0);
            logins.succeeded(&account("alice"), ip(1), now);
        }
    }
}
