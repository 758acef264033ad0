//! How long the lines are in which work of the platform waits: looks at domains, nightly mail, messages to webhooks. (Orders of
//! certificates: [`crate::queue`].) Counted from indexes, however many domains there are. Refuses: to say whose it is.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, rd};

/// A line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// So many could be begun now, and are not.
    pub due: u64,
    /// Of these, so many since before the time that was asked about.
    pub late: u64,
    /// Since when the first of them could be.
    pub oldest: Option<Timestamp>,
    /// So many are under way.
    pub under_way: u64,
}

type Tuple = (i64, i64, Option<i64>, i64);

fn line((due, late, oldest, under_way): Tuple) -> Line {
    Line {
        due: due.unsigned_abs(),
        late: late.unsigned_abs(),
        oldest: oldest.map(Timestamp),
        under_way: under_way.unsigned_abs(),
    }
}

impl Store {
    /// Domains to be looked at; late are those that were due before `late`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn checks_waiting(&self, now: Timestamp, late: Timestamp) -> Result<Line> {
        let found: Tuple = rd!(self, p => {
            sqlx::query_as(
                "SELECT COUNT(*), COALESCE(SUM(CASE WHEN next_check_at < $2 THEN 1 ELSE 0 END), 0), MIN(next_check_at), \
                 (SELECT COUNT(*) FROM domains WHERE lease_until IS NOT NULL AND lease_until >= $1) \
                 FROM domains WHERE next_check_at <= $1 AND (lease_until IS NULL OR lease_until < $1)",
            )
            .bind(now.0).bind(late.0).fetch_one(p).await
        })?;
        Ok(line(found))
    }

    /// Messages to webhooks that are to be sent; late are those that were due before `late`. One that is to be tried again
    /// later is not due.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn deliveries_waiting(&self, now: Timestamp, late: Timestamp) -> Result<Line> {
        let found: Tuple = rd!(self, p => {
            sqlx::query_as(
                "SELECT COUNT(*), COALESCE(SUM(CASE WHEN due < $2 THEN 1 ELSE 0 END), 0), MIN(due), \
                 (SELECT COUNT(*) FROM webhook_deliveries WHERE taken IS NOT NULL AND taken > $1) \
                 FROM webhook_deliveries WHERE due <= $1",
            )
            .bind(now.0).bind(late.0).fetch_one(p).await
        })?;
        Ok(line(found))
    }

    /// Messages to webhooks that are to be tried again after `now`, those under way not counted.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn deliveries_retried(&self, now: Timestamp) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as("SELECT COUNT(*) FROM webhook_deliveries WHERE due > $1 AND (taken IS NULL OR taken <= $1)")
                .bind(now.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// Messages to webhooks that were given up, of those that happened since then.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn deliveries_given_up(&self, since: Timestamp) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as(
                "SELECT COUNT(*) FROM webhook_deliveries WHERE at >= $1 AND due IS NULL AND (status IS NULL OR status < 200 OR status > 299)",
            )
            .bind(since.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// Customers to whom nothing was written yet in the night that began then, and whom nobody has looked at for it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mails_waiting(&self, night: Timestamp) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as(
                "SELECT COUNT(*) FROM tenants t WHERE NOT EXISTS (SELECT 1 FROM mails m WHERE m.tenant = t.id AND m.night >= $1)",
            )
            .bind(night.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }
}
