//! The lines in which the platform's work waits, with their limits: what operators look at when nothing seems to happen.
//!
//! What waits is read from the store and is the same whichever process is asked. What the mail relay said is what this process
//! heard: one that runs no worker has heard nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::time::{DAY, HOUR, SECOND, plus};
use crate::{Control, webhook, worker};

/// Work that was due for longer than this is late: nobody does it, or too few.
pub const LATE_SECONDS: i64 = 120;

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queues {
    /// Looks at domains.
    pub checks: ChecksQueue,
    /// Orders of certificates.
    pub orders: OrdersQueue,
    /// Nightly mail; `None`: no mail relay is configured.
    pub mail: Option<MailQueue>,
    /// Messages to customers' webhooks.
    pub webhooks: WebhookQueue,
}

/// Looks at domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChecksQueue {
    /// Due now, and not begun.
    pub due: u64,
    /// Of these, due for longer than [`LATE_SECONDS`].
    pub late: u64,
    /// Since when the first of them is due.
    #[serde(serialize_with = "crate::time::maybe")]
    pub oldest: Option<Timestamp>,
    /// Under way, on every node.
    pub under_way: u64,
    /// At a time, on each node.
    pub most: u64,
    /// A look whose node has died is begun again after so many seconds.
    pub lease_seconds: i64,
}

/// Orders of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrdersQueue {
    /// In line.
    pub waiting: u64,
    /// Under way.
    pub under_way: u64,
}

/// Nightly mail. Everybody who is written to gets one at most in a night.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailQueue {
    /// Customers that this night has not come to yet; before its hour nobody waits.
    pub waiting: u64,
    /// From this hour (UTC) on.
    pub hour: u8,
    /// When the next mail may be written.
    #[serde(serialize_with = "crate::time::at")]
    pub next: Timestamp,
    /// Taken by the relay in the last night in which anything was written.
    pub sent: u64,
    /// Refused by it for good.
    pub refused: u64,
    /// When that was last tried; `None`: not since this process began.
    #[serde(serialize_with = "crate::time::maybe")]
    pub tried: Option<Timestamp>,
    /// Why it could not be handed over, the last time that it could not; empty: it could.
    pub trouble: String,
}

/// Messages to webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookQueue {
    /// Due now, and not begun.
    pub due: u64,
    /// Of these, due for longer than [`LATE_SECONDS`].
    pub late: u64,
    /// Since when the first of them is due.
    #[serde(serialize_with = "crate::time::maybe")]
    pub oldest: Option<Timestamp>,
    /// Being sent.
    pub under_way: u64,
    /// Were not taken, and are tried again later.
    pub again: u64,
    /// Given up, of those of the last day.
    pub given_up: u64,
    /// At a time, on each node.
    pub most: u64,
    /// Attempts before one is given up.
    pub attempts: u64,
}

/// What the mail relay said, as this process heard it.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Heard>);

#[derive(Debug, Clone, Default)]
struct Heard {
    night: Option<Timestamp>,
    sent: u64,
    refused: u64,
    tried: Option<Timestamp>,
    trouble: String,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A mail was handed to the relay at `now`; what it said.
    pub(crate) fn heard(
        &self,
        now: Timestamp,
        said: &std::result::Result<(), crate::outside::MailError>,
    ) {
        let mut heard = self.lock();
        let night = begun(now);
        if heard.night != Some(night) {
            *heard = Heard {
                night: Some(night),
                ..Heard::default()
            };
        }
        heard.tried = Some(now);
        match said {
            Ok(()) => {
                heard.sent += 1;
                heard.trouble.clear();
            }
            Err(error) => {
                heard.refused += u64::from(error.is_final());
                heard.trouble = error.to_string();
            }
        }
    }
}

/// The start of the day (UTC) that this moment is in.
fn begun(now: Timestamp) -> Timestamp {
    Timestamp(now.0 - now.0.rem_euclid(DAY))
}

impl Control {
    /// How long the lines are. Whoever may ask has been looked at.
    pub(crate) async fn queues(&self) -> Result<Queues> {
        let now = self.now();
        let late = Timestamp(now.0 - LATE_SECONDS * SECOND);
        let checks = self.store().checks_waiting(now, late).await?;
        let told = self.store().deliveries_waiting(now, late).await?;
        let day = Timestamp(now.0 - DAY);
        let (mut waiting, mut under_way) = (0, 0);
        for (_, why, count) in self.store().queue_counts().await? {
            match why.as_str() {
                "under-way" => under_way += count,
                _ => waiting += count,
            }
        }
        Ok(Queues {
            checks: ChecksQueue {
                due: checks.due,
                late: checks.late,
                oldest: checks.oldest,
                under_way: checks.under_way,
                most: self.settings().pace.parallel.max(1) as u64,
                lease_seconds: worker::LEASE_SECONDS,
            },
            orders: OrdersQueue { waiting, under_way },
            mail: self.mail_queue(now).await?,
            webhooks: WebhookQueue {
                due: told.due,
                late: told.late,
                oldest: told.oldest,
                under_way: told.under_way,
                again: self.store().deliveries_retried(now).await?,
                given_up: self.store().deliveries_given_up(day).await?,
                most: webhook::PARALLEL as u64,
                attempts: webhook::PAUSES.len() as u64 + 1,
            },
        })
    }

    async fn mail_queue(&self, now: Timestamp) -> Result<Option<MailQueue>> {
        let Some(post) = &self.parts.mail else {
            return Ok(None);
        };
        let night = begun(now);
        let from = Timestamp(night.0 + i64::from(post.hour) * HOUR);
        let waiting = match now < from {
            true => 0,
            false => self.store().mails_waiting(night).await?,
        };
        let next = match (now < from, waiting) {
            (true, _) => from,
            (false, 0) => Timestamp(from.0 + DAY),
            // The worker asks again before long.
            (false, _) => plus(now, worker::SWEEP_SECONDS),
        };
        let heard = self.mail_watch.lock().clone();
        Ok(Some(MailQueue {
            waiting,
            hour: post.hour,
            next,
            sent: heard.sent,
            refused: heard.refused,
            tried: heard.tried,
            trouble: heard.trouble,
        }))
    }
}
