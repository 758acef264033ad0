//! Which order goes now, and how long the others wait: a pure function of who is in line, what has been spent, the limits of
//! the authority, and the time.
//!
//! The limits are windows that slide: never more than so many within so much time. Authorities that refill a bucket allow at
//! least as much, so whoever keeps to the window keeps to them. An order that has nothing in its way but those before it is
//! told when its turn will come, so that a long line does not ask every second.
//!
//! It refuses to guess: what is not counted in [`Spent`] is not known here.

use std::collections::HashMap;

use serde::Serialize;
use store::{DomainId, TenantId};
use xmpp::timestamp::Timestamp;

use crate::time::{HOUR, SECOND, plus};

/// At most so many within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// How many; 0: no limit.
    pub most: u32,
    /// Within this time.
    pub window_seconds: u32,
}

impl Quota {
    /// Start of the window that ends now.
    pub fn since(self, now: Timestamp) -> Timestamp {
        plus(now, -i64::from(self.window_seconds))
    }

    /// When there is room for one more after `ahead` others; now or earlier: there is. `times` is sorted.
    fn room(self, times: &[Timestamp], ahead: usize, now: Timestamp) -> Timestamp {
        if self.most == 0 {
            return now;
        }
        let within: Vec<Timestamp> = times
            .iter()
            .copied()
            .filter(|at| *at > self.since(now))
            .collect();
        let most = self.most as usize;
        // The one that has to leave the window before ours may enter it.
        let leaves = (within.len() + ahead).checked_sub(most);
        match leaves {
            None => now,
            // Those ahead will each take what leaves; beyond what is known the window turns over as a whole.
            Some(index) => {
                let (turns, index) = (index / most, index % most);
                let turns = i64::try_from(turns).unwrap_or(i64::MAX / 2);
                let window = i64::from(self.window_seconds);
                let base = within.get(index).copied().unwrap_or(now);
                plus(base, window.saturating_mul(turns.saturating_add(1)))
            }
        }
    }
}

/// What an authority allows. The defaults are Let's Encrypt's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AuthorityLimits {
    /// Orders of the account.
    pub orders: Quota,
    /// New certificates for names under one registered domain.
    pub registered: Quota,
    /// Certificates for exactly the same names.
    pub duplicates: Quota,
    /// Failed validations of one name.
    pub failures: Quota,
    /// Authorizations under way at a time; 0: no limit.
    pub pending: u32,
    /// Names in one certificate.
    pub names: u32,
}

impl Default for AuthorityLimits {
    fn default() -> Self {
        let quota = |most, hours: u32| Quota {
            most,
            window_seconds: hours * 3600,
        };
        Self {
            orders: quota(300, 3),
            registered: quota(50, 7 * 24),
            duplicates: quota(5, 7 * 24),
            failures: quota(5, 1),
            pending: 300,
            names: 100,
        }
    }
}

/// How urgent an order is; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Without it nobody gets in: the first certificate, or one that is about to end.
    First,
    /// A renewal in its time.
    Renewal,
    /// A service's name joins the certificate.
    Optional,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 3] = [Self::First, Self::Renewal, Self::Optional];

    /// Number in the store.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The priority of this number.
    pub fn of(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(Self::Optional)
    }

    /// Word in JSON, CLI and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Renewal => "renewal",
            Self::Optional => "optional",
        }
    }
}

/// Why an order waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A pause after a failure.
    BackOff,
    /// The authority asked us to wait.
    Told,
    /// Orders of the account.
    Orders,
    /// Certificates under the registered domain.
    Registered,
    /// Certificates for the same names.
    Duplicates,
    /// Failed validations of one of its names.
    Failures,
    /// Authorizations under way.
    Pending,
    /// Others are before it, and there is room for them only.
    Turn,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::BackOff,
        Self::Told,
        Self::Orders,
        Self::Registered,
        Self::Duplicates,
        Self::Failures,
        Self::Pending,
        Self::Turn,
    ];

    /// Word in the store, JSON, CLI and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackOff => "back-off",
            Self::Told => "told-to-wait",
            Self::Orders => "orders",
            Self::Registered => "registered-domain",
            Self::Duplicates => "duplicates",
            Self::Failures => "failures",
            Self::Pending => "pending",
            Self::Turn => "turn",
        }
    }

    /// The reason of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == word)
    }

    /// For people, one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::BackOff => "It failed, and pauses before the next attempt.",
            Self::Told => "The certificate authority asked us to wait.",
            Self::Orders => {
                "The account has placed as many orders as the certificate authority takes in that time."
            }
            Self::Registered => {
                "As many certificates as the certificate authority gives were issued under this registered domain."
            }
            Self::Duplicates => {
                "The certificate authority has issued as many certificates for exactly these names as it does in that time."
            }
            Self::Failures => {
                "The certificate authority has failed to verify one of its names too often lately."
            }
            Self::Pending => "As many names as the certificate authority takes are being verified.",
            Self::Turn => "Others are before it.",
        }
    }
}

/// One order in line.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// For which domain.
    pub domain: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// How urgent.
    pub priority: Priority,
    /// Wanted from.
    pub due: Timestamp,
    /// End of the certificate in use.
    pub deadline: Option<Timestamp>,
    /// A-labels.
    pub names: Vec<String>,
    /// Registered domain.
    pub registered: String,
    /// Digest of the names.
    pub name_set: String,
    /// The authority does not count it: it has announced the renewal itself (RFC 9773).
    pub exempt: bool,
    /// Pause after a failure.
    pub not_before: Timestamp,
    /// It is under way.
    pub started: bool,
}

/// What has been spent at one authority; every list is sorted.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// Orders.
    pub orders: Vec<Timestamp>,
    /// Certificates by registered domain, and by set of names.
    pub certificates: HashMap<String, Vec<Timestamp>>,
    /// Failures by name.
    pub failures: HashMap<String, Vec<Timestamp>>,
}

impl Spent {
    fn take_certificate(&mut self, order: &Waiting, now: Timestamp) {
        for subject in [&order.registered, &order.name_set] {
            let times = self.certificates.entry(subject.clone()).or_default();
            times.push(now);
        }
    }
}

/// What the plan says of one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Start,
    /// It waits.
    Wait {
        /// Until then at least.
        until: Timestamp,
        /// For this.
        why: Why,
    },
}

/// Longest sleep before an order is looked at again, whatever the plan says: limits change, and others leave the line.
const LONGEST: i64 = 6 * HOUR;

/// Plans all orders in line at one authority. `told` is until when it asked us to wait. What is started is in no verdict.
pub fn plan(
    line: &[Waiting],
    spent: &Spent,
    limits: &AuthorityLimits,
    told: Timestamp,
    now: Timestamp,
) -> Vec<(DomainId, Verdict)> {
    let mut used = spent.clone();
    // What is under way will be a certificate in a moment.
    for order in line.iter().filter(|order| order.started && !order.exempt) {
        used.take_certificate(order, now);
    }
    let mut pending: usize = line
        .iter()
        .filter(|order| order.started)
        .map(|order| order.names.len())
        .sum();
    let mut verdicts = Vec::with_capacity(line.len());
    // Those that would go but for the account's limit, and stand before whoever comes later.
    let mut ahead = 0;
    for order in in_turn(line) {
        let wait = |until: Timestamp, why| Verdict::Wait {
            until: Timestamp(until.0.clamp(now.0 + SECOND, now.0 + LONGEST)),
            why,
        };
        let verdict = 'verdict: {
            if order.not_before > now {
                break 'verdict wait(order.not_before, Why::BackOff);
            }
            if told > now {
                break 'verdict wait(told, Why::Told);
            }
            let none = Vec::new();
            let of = |map: &HashMap<String, Vec<Timestamp>>, key: &str| {
                map.get(key).unwrap_or(&none).clone()
            };
            for name in &order.names {
                let free = limits.failures.room(&of(&used.failures, name), 0, now);
                if free > now {
                    break 'verdict wait(free, Why::Failures);
                }
            }
            if !order.exempt {
                let duplicates = limits.duplicates;
                let free = duplicates.room(&of(&used.certificates, &order.name_set), 0, now);
                if free > now {
                    break 'verdict wait(free, Why::Duplicates);
                }
                let registered = limits.registered;
                let free = registered.room(&of(&used.certificates, &order.registered), 0, now);
                if free > now {
                    break 'verdict wait(free, Why::Registered);
                }
            }
            if limits.pending > 0
                && pending + order.names.len() > limits.pending as usize
                && pending > 0
            {
                // They last seconds, not hours.
                break 'verdict wait(plus(now, 15), Why::Pending);
            }
            if !order.exempt {
                let free = limits.orders.room(&used.orders, ahead, now);
                if free > now {
                    ahead += 1;
                    break 'verdict wait(free, if ahead == 1 { Why::Orders } else { Why::Turn });
                }
            }
            Verdict::Start
        };
        if verdict == Verdict::Start {
            pending += order.names.len();
            if !order.exempt {
                used.orders.push(now);
                used.take_certificate(order, now);
            }
        }
        verdicts.push((order.domain, verdict));
    }
    verdicts
}

/// The line as it is served: the more urgent first; among equals tenants take turns, counting what they have under way; of a
/// tenant's own the one whose certificate ends first.
fn in_turn(line: &[Waiting]) -> Vec<&Waiting> {
    let mut under_way: HashMap<TenantId, usize> = HashMap::new();
    for order in line.iter().filter(|order| order.started) {
        *under_way.entry(order.tenant).or_default() += 1;
    }
    let key = |order: &Waiting| {
        (
            order.priority,
            order.deadline.unwrap_or(Timestamp(i64::MAX)),
            order.due,
            order.domain,
        )
    };
    let mut waiting: Vec<&Waiting> = line.iter().filter(|order| !order.started).collect();
    waiting.sort_by_key(|order| key(order));
    let mut turns: HashMap<(Priority, TenantId), usize> = HashMap::new();
    let mut ranked: Vec<(Priority, usize, usize, &Waiting)> = waiting
        .into_iter()
        .enumerate()
        .map(|(place, order)| {
            let turn = turns.entry((order.priority, order.tenant)).or_default();
            *turn += 1;
            let had = under_way.get(&order.tenant).copied().unwrap_or(0);
            (order.priority, *turn + had, place, order)
        })
        .collect();
    ranked.sort_by_key(|(priority, turn, place, _)| (*priority, *turn, *place));
    ranked.into_iter().map(|(.., order)| order).collect()
}

/// Pause after the `failures`-th failure in a row: `first` doubles up to a day, and is made up to an eighth shorter or longer
/// by `jitter` (any number), so that what failed together is not tried together.
pub fn pause_seconds(first: u32, failures: u32, jitter: u64) -> u32 {
    let pause = first
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(86_400);
    let eighth = u64::from(pause / 8);
    let shift = u32::try_from(jitter % (2 * eighth + 1)).unwrap_or(0);
    (pause - pause / 8 + shift).min(86_400)
}

/// When a certificate without word of its authority is renewed: at two thirds of the lifetime. `spread` (any number, kept per
/// domain) moves it up to a twentieth of the lifetime earlier, so that domains added together do not all order at once.
pub fn renew_at(not_before: Timestamp, not_after: Timestamp, spread: u64) -> Timestamp {
    let lifetime = (not_after.0 - not_before.0).max(0);
    let early = lifetime / 20 * i64::try_from(spread % 1000).unwrap_or(0) / 1000;
    Timestamp(not_before.0 + lifetime / 3 * 2 - early)
}

/// How urgent an order is: a certificate with less than a ninth of its lifetime left comes before all renewals in time.
pub fn priority(current: Option<(Timestamp, Timestamp)>, due: bool, now: Timestamp) -> Priority {
    match current {
        None => Priority::First,
        Some((not_before, not_after))
            if (not_after.0 - now.0) < (not_after.0 - not_before.0) / 9 =>
        {
            Priority::First
        }
        Some(_) if due => Priority::Renewal,
        Some(_) => Priority::Optional,
    }
}

#[cfg(test)]
mod tests;
