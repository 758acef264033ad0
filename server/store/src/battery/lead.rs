//! Which process speaks XMPP.

use super::*;
use crate::Db;

battery! {
    one_process_leads_and_the_next_waits_until_it_ends(store) {
        let first = store.lead(|| panic!("nobody else has it")).await.expect("the lead");
        let (told, waits) = tokio::sync::oneshot::channel();
        let next = store.clone();
        let next = tokio::spawn(async move {
            let waiting = move || told.send(()).expect("awaited");
            next.lead(waiting).await
        });
        waits.await.expect("it waits");
        assert!(!next.is_finished());
        first.end().await;
        let next = next.await.expect("no panic").expect("the lead");
        next.end().await;
        // As when a process is killed.
        drop(store.lead(|| panic!("it was given up")).await.expect("the lead"));
        store.lead(|| ()).await.expect("the lead").end().await;
    }

    who_loses_the_database_takes_the_lead_again_or_hears_that_it_is_gone(store) {
        let Db::Pg(pool) = &store.0.db else {
            return;
        };
        let cut = async || {
            let held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted \
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            sqlx::query(held).execute(pool).await.expect("cut").rows_affected()
        };
        let lead = store.lead(|| ()).await.expect("the lead");
        assert_eq!(cut().await, 1);
        while cut().await == 0 {
            tokio::task::yield_now().await;
        }
        let next = store.clone();
        let (told, waits) = tokio::sync::oneshot::channel();
        while !held(pool).await {
            tokio::task::yield_now().await;
        }
        let next = tokio::spawn(async move { next.lead(move || told.send(()).expect("awaited")).await });
        waits.await.expect("it waits");
        // Whoever waits at the lock gets it in the same moment.
        while waiting(pool).await == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(cut().await, 1);
        lead.lost().await;
        next.await.expect("no panic").expect("the lead").end().await;
    }
}

async fn held(pool: &sqlx::PgPool) -> bool {
    count(pool, "granted").await > 0
}

async fn waiting(pool: &sqlx::PgPool) -> i64 {
    count(pool, "NOT granted").await
}

async fn count(pool: &sqlx::PgPool, which: &'static str) -> i64 {
    let text = match which {
        "granted" => {
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND \
                      database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        }
        _ => {
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND \
              database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        }
    };
    let (found,): (i64,) = sqlx::query_as(text).fetch_one(pool).await.expect("counted");
    found
}
