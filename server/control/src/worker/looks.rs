//! How many domains are looked at side by side: one, until the DNS has answered anything at all.
//!
//! A look holds some twenty questions at a time. Where nobody answers, sixteen looks only wait beside each other, and what they hold
//! is what a process with many domains holds from its start on. Once anything was heard there are as many as may be, for ever: that the
//! name servers of one customer are silent is nobody else's matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dna::{Answer, Outcome, RecordType, Security};

use super::QUESTION;
use crate::Control;

/// What every resolver knows, and how long until it is asked again where nobody answers.
const WELL_KNOWN: (&str, RecordType) = (".", RecordType::Ns);
const ASKED_AGAIN: Duration = Duration::from_secs(5);
/// Looks at a time until something was heard.
const UNHEARD: usize = 1;
/// So many at a time leave something behind that is worth giving back.
const BURST: usize = 8;

/// What is known of the DNS since the process began.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    heard: AtomicBool,
}

impl Looks {
    /// Somebody has answered.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether anybody has.
    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// How many looks may begin beside those under way, of so many at most.
    pub(crate) fn room(&self, most: usize, under_way: usize) -> usize {
        let most = match self.has_heard() {
            true => most.max(1),
            false => UNHEARD,
        };
        most.saturating_sub(under_way)
    }
}

/// Asks for what is well known until the resolver has answered anything.
pub(super) async fn listen(control: Arc<Control>) {
    let (name, rtype) = WELL_KNOWN;
    let is_answer = |answer: &Answer| {
        answer.security == Security::Bogus || !matches!(answer.outcome, Outcome::Failed(_))
    };
    while !control.looks.has_heard() {
        let asked = tokio::time::timeout(QUESTION, control.parts.lookup.query(name, rtype));
        match asked.await {
            Ok(answer) if is_answer(&answer) => {
                control.looks.hear();
                control.wake.notify_one();
            }
            _ => tokio::time::sleep(ASKED_AGAIN).await,
        }
    }
}

/// Looks from a moment at which there was none to the next.
#[derive(Debug, Default)]
pub(super) struct Burst {
    /// The most at a time.
    most: usize,
    /// The first since the process began is over.
    later: bool,
}

impl Burst {
    /// So many are under way.
    pub(super) fn counts(&mut self, under_way: usize) {
        self.most = self.most.max(under_way);
    }

    /// None is any more. Whether they leave something behind: the first do, which end the process's start, and many.
    pub(super) fn is_over(&mut self) -> bool {
        let left = std::mem::take(&mut self.most) >= BURST;
        !std::mem::replace(&mut self.later, true) || left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_looked_at_once_somebody_has_answered() {
        let looks = Looks::default();
        assert_eq!([0, 1, 2].map(|n| looks.room(16, n)), [1, 0, 0]);
        looks.hear();
        assert_eq!([0, 1, 16, 17].map(|n| looks.room(16, n)), [16, 15, 0, 0]);
        assert_eq!(looks.room(0, 0), 1);
    }

    #[test]
    fn the_first_looks_and_many_at_once_leave_something_behind() {
        let mut burst = Burst::default();
        let mut over = |counts: &[usize]| {
            counts.iter().for_each(|count| burst.counts(*count));
            burst.is_over()
        };
        assert!(over(&[1]), "the first of all");
        assert!(!over(&[1]) && !over(&[3, 7, 2]));
        assert!(over(&[2, 8, 1]));
        assert!(!over(&[1]));
    }
}
