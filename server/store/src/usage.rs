//! What customers use of what they may have, over all their domains; and archives that make room. Refuses: numbers kept beside
//! what they count, which would have to agree with it.

use std::collections::HashMap;

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, TenantId, rd, wr};

/// What a tenant has in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    /// Domains.
    pub domains: u64,
    /// Accounts over all its domains.
    pub accounts: u64,
    /// Bytes of messages that wait for its users.
    pub offline_bytes: u64,
    /// Bytes of its users' archives.
    pub archive_bytes: u64,
    /// Bytes of files that its users share, slots included.
    pub upload_bytes: u64,
}

/// Bytes of one account's archive, from its running totals; `a` is the account.
macro_rules! archive_of_account {
    () => {
        "(SELECT total FROM archive WHERE account = a.id ORDER BY at DESC LIMIT 1) - \
         (SELECT total - LENGTH(stanza) FROM archive WHERE account = a.id ORDER BY at LIMIT 1)"
    };
}

/// The same of a room; `r` is the room.
macro_rules! archive_of_room {
    () => {
        "(SELECT total FROM room_archive WHERE room = r.id ORDER BY at DESC LIMIT 1) - \
         (SELECT total - LENGTH(stanza) FROM room_archive WHERE room = r.id ORDER BY at LIMIT 1)"
    };
}
pub(crate) use archive_of_account;
pub(crate) use archive_of_room;

/// What each tenant has at `$1`; which ones follows.
macro_rules! stored {
    () => {
        concat!(
            "SELECT t.id, (SELECT COUNT(*) FROM domains d WHERE d.tenant = t.id), \
             (SELECT COUNT(*) FROM accounts a JOIN domains d ON d.id = a.domain WHERE d.tenant = t.id), \
             CAST((SELECT COALESCE(SUM(LENGTH(m.stanza)), 0) FROM domains d JOIN accounts a ON a.domain = d.id \
             JOIN offline_messages m ON m.account = a.id WHERE d.tenant = t.id) AS BIGINT), \
             CAST((SELECT COALESCE(SUM(",
            archive_of_account!(),
            "), 0) FROM accounts a JOIN domains d ON d.id = a.domain WHERE d.tenant = t.id) AS BIGINT) + \
             CAST((SELECT COALESCE(SUM(",
            archive_of_room!(),
            "), 0) FROM rooms r JOIN domains d ON d.id = r.domain WHERE d.tenant = t.id) AS BIGINT), \
             CAST((SELECT COALESCE(SUM(u.size), 0) FROM uploads u JOIN domains d ON d.id = u.domain \
             WHERE d.tenant = t.id AND u.ends > $1) AS BIGINT) FROM tenants t WHERE t.id "
        )
    };
}

/// Rows removed in one statement.
const AT_ONCE: i64 = 1_000;

impl Store {
    /// What a tenant has in the store.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn usage_of(&self, tenant: TenantId, now: Timestamp) -> Result<Stored> {
        let found = self.usages_of(&[tenant], now).await?;
        Ok(found.into_values().next().unwrap_or_default())
    }

    /// What each of these tenants has in the store, in one question; those that are gone are left out.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn usages_of(
        &self,
        tenants: &[TenantId],
        now: Timestamp,
    ) -> Result<HashMap<TenantId, Stored>> {
        self.0.archive.settle(None).await?;
        let ids: Vec<i64> = tenants.iter().map(|id| id.0).collect();
        type Tuple = (i64, i64, i64, i64, i64, i64);
        let found: Vec<Tuple> = match &self.0.db {
            crate::Db::Pg(p) => {
                sqlx::query_as(concat!(stored!(), "= ANY($2)"))
                    .bind(now.0)
                    .bind(&ids)
                    .fetch_all(p)
                    .await?
            }
            crate::Db::Lite { read, .. } => {
                sqlx::query_as(concat!(stored!(), "IN (SELECT value FROM json_each($2))"))
                    .bind(now.0)
                    .bind(serde_json::to_string(&ids).unwrap_or_default())
                    .fetch_all(read)
                    .await?
            }
        };
        let number = |n: i64| n.max(0).unsigned_abs();
        let stored = |(id, domains, accounts, offline, archive, uploads): Tuple| {
            let stored = Stored {
                domains: number(domains),
                accounts: number(accounts),
                offline_bytes: number(offline),
                archive_bytes: number(archive),
                upload_bytes: number(uploads),
            };
            (TenantId(id), stored)
        };
        Ok(found.into_iter().map(stored).collect())
    }

    /// Makes a tenant's archives take no more than `bytes`: the largest of them let go of their oldest messages until none is
    /// larger than it must be for that. How many messages have gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_archive_trim(&self, tenant: TenantId, bytes: u64) -> Result<u64> {
        self.0.archive.settle(None).await?;
        let accounts: Vec<(i64, Option<i64>)> = rd!(self, p => {
            sqlx::query_as(concat!(
                "SELECT a.id, ", archive_of_account!(), " FROM accounts a JOIN domains d ON d.id = a.domain \
                 WHERE d.tenant = $1"
            ))
            .bind(tenant.0).fetch_all(p).await
        })?;
        let rooms: Vec<(i64, Option<i64>)> = rd!(self, p => {
            sqlx::query_as(concat!(
                "SELECT r.id, ", archive_of_room!(), " FROM rooms r JOIN domains d ON d.id = r.domain WHERE d.tenant = $1"
            ))
            .bind(tenant.0).fetch_all(p).await
        })?;
        let sized = |(id, size): (i64, Option<i64>)| Some((id, size?.max(0).unsigned_abs()));
        let accounts: Vec<(i64, u64)> = accounts.into_iter().filter_map(sized).collect();
        let rooms: Vec<(i64, u64)> = rooms.into_iter().filter_map(sized).collect();
        let all = accounts.iter().chain(&rooms).map(|(_, size)| *size);
        let Some(share) = fair_share(all.collect(), bytes) else {
            return Ok(0);
        };
        let mut gone = 0;
        for (account, size) in accounts.into_iter().filter(|(_, size)| *size > share) {
            gone += self.archive_cut_by(account, size - share).await?;
        }
        for (room, size) in rooms.into_iter().filter(|(_, size)| *size > share) {
            gone += self.room_archive_cut_by(room, size - share).await?;
        }
        Ok(gone)
    }

    /// Forgets the oldest messages of a room, of so many bytes or a little more.
    async fn room_archive_cut_by(&self, room: i64, bytes: u64) -> Result<u64> {
        let base: Option<(i64,)> = rd!(self, p => {
            sqlx::query_as("SELECT total - LENGTH(stanza) FROM room_archive WHERE room = $1 ORDER BY at LIMIT 1")
                .bind(room).fetch_optional(p).await
        })?;
        let Some((base,)) = base else { return Ok(0) };
        let until = base.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut gone = 0;
        loop {
            let now = wr!(self, p => {
                sqlx::query(
                    "DELETE FROM room_archive WHERE room = $1 AND at <= (SELECT MAX(at) FROM \
                     (SELECT at, total - LENGTH(stanza) AS base FROM room_archive WHERE room = $1 ORDER BY at LIMIT $3) AS oldest \
                     WHERE base < $2)",
                )
                .bind(room).bind(until).bind(AT_ONCE).execute(p).await.map(|done| done.rows_affected())
            })?;
            gone += now;
            if now < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }
}

/// The most that each may have so that all together have no more than `total`, whoever has less keeping what they have;
/// `None`: they have no more now.
fn fair_share(mut sizes: Vec<u64>, total: u64) -> Option<u64> {
    if sizes
        .iter()
        .fold(0_u64, |sum, size| sum.saturating_add(*size))
        <= total
    {
        return None;
    }
    sizes.sort_unstable();
    let mut left = total;
    let mut more = sizes.len() as u64;
    for size in sizes {
        let share = left / more;
        if size > share {
            return Some(share);
        }
        left -= size;
        more -= 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_little_keeps_it_and_the_rest_share() {
        let check = |sizes: &[u64], total, share| {
            assert_eq!(
                fair_share(sizes.to_vec(), total),
                share,
                "{sizes:?} in {total}"
            );
        };
        check(&[], 0, None);
        check(&[5, 5], 10, None);
        check(&[5, 6], 10, Some(5));
        check(&[1, 100, 2, 100], 103, Some(50));
        check(&[1, 30, 100], 61, Some(30));
        check(&[7], 0, Some(0));
        check(&[u64::MAX, u64::MAX], 10, Some(5));
    }
}
