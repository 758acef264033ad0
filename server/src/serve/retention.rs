//! What archives let go of: messages that are too old, and the oldest of accounts that have too many.
//!
//! Every hour, domain by domain, in statements of bounded size, so that nobody's message waits for it. Where all archives of a
//! tenant together have no more room, the largest of them make some: what is new is what people look for, and who keeps
//! little loses nothing to who keeps much. That is looked at within a minute of the first message that found no room. Refuses:
//! gaps; what goes is the oldest of its archive (XEP-0313 3.2).

use std::sync::Arc;
use std::time::Duration;

use store::{DomainStore, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use xmpp::timestamp::Timestamp;

use crate::net::now;
use crate::tenancy::Tenancy;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3_600);
/// Between two looks whether a tenant's archives are full.
const FULL_EVERY: Duration = Duration::from_secs(30);
/// Archives of a tenant that are fuller than this part of what they may take (percent) …
const FULL: u64 = 98;
/// … are made to take this part.
const ROOMY: u64 = 95;
/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// How long, and how much, archives keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    /// Days, where a domain's owner has not chosen others; 0: for ever.
    pub(super) days: u32,
    /// Bytes of one account.
    pub(super) bytes: u64,
}

impl Retention {
    /// Looks again and again, until `stop`.
    pub(super) async fn follow(self, tenancy: Arc<Tenancy>, stop: CancellationToken) {
        let mut looks = interval_at(Instant::now() + EVERY, EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut full = interval_at(Instant::now() + FULL_EVERY, FULL_EVERY);
        full.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let all = tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => true,
                _ = full.tick() => false,
            };
            let look = async {
                if all {
                    self.look(&tenancy, now()).await;
                }
                make_room(&tenancy, all).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = look => {}
            }
        }
    }

    async fn look(self, tenancy: &Tenancy, now: Timestamp) {
        for (store, own) in tenancy.stores() {
            let days = own.unwrap_or(self.days);
            let since = Timestamp(now.0.saturating_sub(i64::from(days).saturating_mul(DAY)));
            let expired = match days {
                0 => Ok(0),
                _ => expire(&store, since).await,
            };
            let trimmed = trim(&store, self.bytes).await;
            match (expired, trimmed) {
                (Ok(0), Ok(0)) => {}
                (Ok(expired), Ok(trimmed)) => {
                    tracing::info!(
                        domain = store.name(),
                        expired,
                        trimmed,
                        "archived messages have gone"
                    );
                }
                // The next look tries again.
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(domain = store.name(), %error, "archives could not be trimmed");
                }
            }
        }
    }
}

/// What accounts and rooms keep from before.
async fn expire(store: &DomainStore, since: Timestamp) -> Result<u64, StoreError> {
    Ok(store.archive_expire(since).await? + store.room_archive_expire(since).await?)
}

/// What they keep too much of.
async fn trim(store: &DomainStore, bytes: u64) -> Result<u64, StoreError> {
    Ok(store.archive_trim(bytes).await? + store.room_archive_trim(bytes).await?)
}

/// Tenants whose archives are nearly full make room in them; `all`: those too of whom nobody has noticed it.
async fn make_room(tenancy: &Tenancy, all: bool) {
    let part = |bytes: u64, percent: u64| bytes / 100 * percent;
    for (tenant, quota) in tenancy.quotas() {
        let most = quota.archive_bytes();
        if most == u64::MAX || !(quota.was_archive_full() || all) {
            continue;
        }
        let store = tenancy.store();
        let done = async {
            if all && store.usage_of(tenant, now()).await?.archive_bytes <= part(most, FULL) {
                return Ok(0);
            }
            store.tenant_archive_trim(tenant, part(most, ROOMY)).await
        };
        match done.await {
            Ok(0) => {}
            Ok(trimmed) => {
                tracing::info!(
                    tenant = tenant.0,
                    trimmed,
                    "the archives of a tenant were full"
                );
            }
            Err(error) => {
                let error: store::StoreError = error;
                tracing::error!(tenant = tenant.0, %error, "the archives of a tenant could not be trimmed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use store::{ArchiveId, ArchiveQuery, NewArchived};

    use super::*;
    use crate::tenancy::Defaults;
    use crate::testing::World;

    #[tokio::test]
    async fn what_is_too_old_goes_and_then_the_oldest_of_what_is_too_much() {
        let world = World::new().await;
        world.domain("one.example", &["alice"]).await;
        let tenancy = Tenancy::load(world.store.clone(), None, Defaults::default())
            .await
            .expect("the domains");
        let domain = tenancy.get("one.example").expect("hosted");
        let store = &domain.hosted.store;
        let alice = store
            .account_find("alice")
            .await
            .expect("read")
            .expect("alice")
            .id;
        for day in 0..10 {
            let new = NewArchived {
                id: ArchiveId {
                    at: day * DAY,
                    salt: 0,
                },
                peer: "bob@one.example".into(),
                resource: String::new(),
                sent: false,
                message: 0,
                stanza: vec![b'x'; 100].into(),
            };
            store.archive_add(alice, new).await.expect("kept");
        }
        let days = async || -> Vec<i64> {
            let all = store
                .archive_page(alice, &ArchiveQuery::default())
                .await
                .expect("read");
            all.iter().map(|m| m.id.at / DAY).collect()
        };
        let now = Timestamp(9 * DAY);
        let retention = |days, bytes| Retention { days, bytes };
        retention(0, u64::MAX).look(&tenancy, now).await;
        assert_eq!(days().await.len(), 10);
        retention(6, u64::MAX).look(&tenancy, now).await;
        assert_eq!(days().await, [3, 4, 5, 6, 7, 8, 9]);
        retention(6, 250).look(&tenancy, now).await;
        assert_eq!(days().await, [8, 9]);
    }

    #[tokio::test]
    async fn dos_10_full_archives_make_room_and_who_keeps_little_loses_nothing() {
        let world = World::new().await;
        world.domain("one.example", &["alice", "bob"]).await;
        world
            .set_limits(&serde_json::json!({"archive_bytes": 1_000}))
            .await;
        let tenancy = Tenancy::load(world.store.clone(), None, Defaults::default())
            .await
            .expect("the domains");
        let domain = tenancy.get("one.example").expect("hosted");
        let store = &domain.hosted.store;
        let account = async |local: &str| {
            let found = store.account_find(local).await.expect("read");
            found.expect("there").id
        };
        let (alice, bob) = (account("alice").await, account("bob").await);
        for n in 0..10 {
            let new = NewArchived {
                id: ArchiveId { at: n, salt: 0 },
                peer: "x@one.example".into(),
                resource: String::new(),
                sent: false,
                message: 0,
                stanza: vec![b'x'; 100].into(),
            };
            store.archive_add(alice, new.clone()).await.expect("kept");
            if n < 2 {
                store.archive_add(bob, new).await.expect("kept");
            }
        }
        make_room(&tenancy, false).await;
        let count = async |account| {
            let all = store.archive_page(account, &ArchiveQuery::default()).await;
            all.expect("read")
                .iter()
                .map(|m| m.id.at)
                .collect::<Vec<_>>()
        };
        assert_eq!(count(alice).await.len(), 10, "nobody has noticed");
        make_room(&tenancy, true).await;
        assert_eq!(count(bob).await, [0, 1]);
        // 950 bytes: 750 for her, of which whole messages fit.
        assert_eq!(count(alice).await, [3, 4, 5, 6, 7, 8, 9]);
    }
}
