//! Counting attempts: how often a key (an address, a login) may try something within a window.
//!
//! In memory and bounded, each rule by itself. An attacker with many addresses makes it forget who has hardly tried, never whose
//! attempts are used up, and never another rule's. IPv6 is counted by /64, since one machine has that many addresses. Times are
//! handed in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::Origin;
use crate::time::SECOND;

/// Keys of one rule that are remembered at the same time.
const KEYS: usize = 20_000;
/// So many are displaced at once where all of them are in use.
const DISPLACED: usize = KEYS / 8;

/// A named limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Part of the key.
    pub name: &'static str,
    /// So many attempts …
    pub attempts: u32,
    /// … within so many seconds.
    pub seconds: u32,
}

/// Sign-in, per address.
pub(crate) const LOGIN_ADDRESS: Rule = Rule {
    name: "login-address",
    attempts: 30,
    seconds: 300,
};
/// Sign-in, per login and address: what guessing one password may try.
pub(crate) const LOGIN_NAME: Rule = Rule {
    name: "login-name",
    attempts: 10,
    seconds: 300,
};
/// One's own password, shown again by whoever is signed in, per person.
pub(crate) const OWN_PASSWORD: Rule = Rule {
    name: "own-password",
    attempts: 10,
    seconds: 300,
};
/// Sign-up, per address.
pub(crate) const SIGN_UP: Rule = Rule {
    name: "sign-up",
    attempts: 10,
    seconds: 3600,
};
/// Hints while typing a domain, per address.
pub(crate) const HINT: Rule = Rule {
    name: "hint",
    attempts: 240,
    seconds: 60,
};
/// Codes of a second factor, per person: six digits, of which three are right at a time.
pub(crate) const FACTOR: Rule = Rule {
    name: "factor",
    attempts: 6,
    seconds: 300,
};
/// Looking at and taking invitations, per address.
pub(crate) const INVITATION: Rule = Rule {
    name: "invitation",
    attempts: 30,
    seconds: 300,
};
/// Showing an invitation to an account, per address.
pub(crate) const INVITE: Rule = Rule {
    name: "invite",
    attempts: 60,
    seconds: 300,
};
/// Showing a link that ends somebody's mail and is none, per address.
pub(crate) const UNSUBSCRIBE: Rule = Rule {
    name: "unsubscribe",
    attempts: 30,
    seconds: 300,
};
/// Asking for a link to one's own data, per account.
pub(crate) const OWN_EXPORT: Rule = Rule {
    name: "own-export",
    attempts: 3,
    seconds: 86_400,
};
/// Showing such a link, per address.
pub(crate) const OWN_EXPORT_SHOWN: Rule = Rule {
    name: "own-export-shown",
    attempts: 30,
    seconds: 300,
};
/// Files that a domain's people begin to load by such links: each reads an archive from one end to the other.
pub(crate) const OWN_EXPORT_DOMAIN: Rule = Rule {
    name: "own-export-domain",
    attempts: 60,
    seconds: 3600,
};
/// First run, for everybody together: guessing the setup token.
pub(crate) const FIRST_RUN: Rule = Rule {
    name: "first-run",
    attempts: 20,
    seconds: 300,
};
/// "Check now", per domain.
pub(crate) const CHECK: Rule = Rule {
    name: "check",
    attempts: 30,
    seconds: 60,
};
/// "Order a certificate now", per domain: below what a CA takes amiss.
pub(crate) const ORDER: Rule = Rule {
    name: "order",
    attempts: 4,
    seconds: 3600,
};

/// The counters, by rule and key.
#[derive(Default)]
pub(crate) struct Gate {
    windows: Mutex<HashMap<&'static str, HashMap<String, Window>>>,
}

#[derive(Clone, Copy)]
struct Window {
    ends: Timestamp,
    used: u32,
}

impl Gate {
    /// Counts one attempt; refuses it when the window is used up.
    pub(crate) fn attempt(&self, rule: Rule, key: &str, now: Timestamp) -> Result<()> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let windows = windows.entry(rule.name).or_default();
        if windows.len() >= KEYS && !windows.contains_key(key) {
            make_room(windows, rule, now);
        }
        if windows.len() >= KEYS && !windows.contains_key(key) {
            // All of them are used up: who floods has to wait, and with them whoever is new.
            let soonest = windows.values().map(|window| window.ends).min();
            return Err(wait(soonest.unwrap_or(now), now));
        }
        let fresh = Window {
            ends: crate::time::plus(now, rule.seconds),
            used: 0,
        };
        let window = windows.entry(key.to_owned()).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        if window.used >= rule.attempts {
            return Err(wait(window.ends, now));
        }
        window.used += 1;
        Ok(())
    }

    /// Forgets a key's attempts, after a success.
    pub(crate) fn clear(&self, rule: Rule, key: &str) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(windows) = windows.get_mut(rule.name) {
            windows.remove(key);
        }
    }
}

/// Sweeps what has ended, then displaces those that have tried least, but none that is used up.
fn make_room(windows: &mut HashMap<String, Window>, rule: Rule, now: Timestamp) {
    windows.retain(|_, window| window.ends > now);
    if windows.len() < KEYS {
        return;
    }
    let open = windows
        .iter()
        .filter(|(_, window)| window.used < rule.attempts);
    let mut open: Vec<_> = open
        .map(|(key, window)| (window.used, window.ends, key.clone()))
        .collect();
    open.sort_unstable();
    for (_, _, key) in open.iter().take(DISPLACED) {
        windows.remove(key);
    }
}

fn wait(until: Timestamp, now: Timestamp) -> ControlError {
    let wait_seconds = u64::try_from((until.0 - now.0) / SECOND + 1).unwrap_or(1);
    ControlError::TooMany { wait_seconds }
}

/// By what an address is counted; all whose address is not known are one.
pub(crate) fn network_of(origin: &Origin) -> String {
    let network = match origin.address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (!0 << 64))),
        Some(v4) => v4,
        None => return String::new(),
    };
    network.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_closes_and_opens_again() {
        let gate = Gate::default();
        let rule = Rule {
            name: "test",
            attempts: 2,
            seconds: 10,
        };
        let now = Timestamp(0);
        assert!(gate.attempt(rule, "a", now).is_ok());
        assert!(gate.attempt(rule, "a", now).is_ok());
        assert!(matches!(
            gate.attempt(rule, "a", now),
            Err(ControlError::TooMany { wait_seconds: 11 })
        ));
        assert!(gate.attempt(rule, "b", now).is_ok());
        assert!(gate.attempt(rule, "a", Timestamp(10 * SECOND)).is_ok());
    }

    fn rule(name: &'static str, attempts: u32) -> Rule {
        Rule {
            name,
            attempts,
            seconds: 10,
        }
    }

    #[test]
    fn a_flood_does_not_open_a_window_that_is_used_up() {
        let gate = Gate::default();
        let (codes, hints) = (rule("codes", 2), rule("hints", 5));
        let now = Timestamp(0);
        for _ in 0..2 {
            gate.attempt(codes, "victim", now).unwrap();
        }
        gate.attempt(codes, "once", now).unwrap();
        for one in 0..=2 * KEYS {
            gate.attempt(hints, &one.to_string(), now).unwrap();
            gate.attempt(codes, &one.to_string(), now).unwrap();
        }
        assert!(gate.attempt(codes, "victim", now).is_err());
        let windows = gate.windows.lock().unwrap();
        assert!(windows.values().all(|windows| windows.len() <= KEYS));
    }

    #[test]
    fn where_all_are_used_up_whoever_is_new_waits() {
        let gate = Gate::default();
        let once = rule("once", 1);
        for one in 0..KEYS {
            gate.attempt(once, &one.to_string(), Timestamp(0)).unwrap();
        }
        assert!(gate.attempt(once, "new", Timestamp(0)).is_err());
        assert!(gate.attempt(once, "new", Timestamp(10 * SECOND)).is_ok());
    }

    #[test]
    fn addresses_of_one_machine_are_one() {
        let of = |text: &str| {
            network_of(&Origin {
                address: Some(text.parse().unwrap()),
                ..Origin::default()
            })
        };
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
