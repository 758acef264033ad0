//! Counting attempts: how often a key (an address, a login) may try something within a window.
//!
//! In memory and bounded: an attacker with many addresses makes it forget, never grow. Times are handed in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::time::SECOND;

/// Keys remembered at the same time.
const KEYS: usize = 20_000;

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
/// Sign-in, per login: what guessing one password may try.
pub(crate) const LOGIN_NAME: Rule = Rule {
    name: "login-name",
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

/// The counters.
#[derive(Default)]
pub(crate) struct Gate {
    windows: Mutex<HashMap<(&'static str, String), Window>>,
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
        if windows.len() >= KEYS {
            windows.retain(|_, window| window.ends > now);
            if windows.len() >= KEYS {
                windows.clear();
            }
        }
        let fresh = Window {
            ends: crate::time::plus(now, rule.seconds),
            used: 0,
        };
        let window = windows.entry((rule.name, key.to_owned())).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        if window.used >= rule.attempts {
            let wait_seconds = u64::try_from((window.ends.0 - now.0) / SECOND + 1).unwrap_or(1);
            return Err(ControlError::TooMany { wait_seconds });
        }
        window.used += 1;
        Ok(())
    }

    /// Forgets a key's attempts, after a success.
    pub(crate) fn clear(&self, rule: Rule, key: &str) {
        self.windows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(rule.name, key.to_owned()));
    }
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
}
