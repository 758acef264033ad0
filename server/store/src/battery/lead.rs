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
        let now = store.lead_if_free().await.expect("asked").expect("it is free");
        assert!(store.lead_if_free().await.expect("asked").is_none(), "somebody has it");
        now.end().await;
        // As when a process is killed.
        drop(store.lead(|| panic!("it was given up")).await.expect("the lead"));
        store.lead(|| ()).await.expect("the lead").end().await;
    }

    who_loses_the_database_takes_the_lead_again_or_hears_that_it_is_gone(store) {
        let Db::Pg(pool) = &store.0.db else {
            return;
        };
        let lead = store.lead(|| ()).await.expect("the lead");
        let first = holder(pool).await.expect("held");
        cut(pool, first).await;
        // A connection that has been told to end holds the lock for a moment more.
        let second = loop {
            match holder(pool).await {
                Some(holder) if holder != first => break holder,
                _ => tokio::task::yield_now().await,
            }
        };
        let next = store.clone();
        let (told, waits) = tokio::sync::oneshot::channel();
        let next = tokio::spawn(async move { next.lead(move || told.send(()).expect("awaited")).await });
        waits.await.expect("it waits");
        // Whoever waits at the lock gets it in the same moment.
        while !waited_for(pool).await {
            tokio::task::yield_now().await;
        }
        cut(pool, second).await;
        lead.lost().await;
        next.await.expect("no panic").expect("the lead").end().await;
    }
}

/// The number of the connection that has the lock.
async fn holder(pool: &sqlx::PgPool) -> Option<i32> {
    let held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(held)
        .fetch_optional(pool)
        .await
        .expect("looked")
}

async fn waited_for(pool: &sqlx::PgPool) -> bool {
    let waits = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    sqlx::query_scalar(waits)
        .fetch_one(pool)
        .await
        .expect("looked")
}

async fn cut(pool: &sqlx::PgPool, holder: i32) {
    let told: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1)")
        .bind(holder)
        .fetch_one(pool)
        .await
        .expect("cut");
    assert!(told, "there is no connection {holder}");
}
