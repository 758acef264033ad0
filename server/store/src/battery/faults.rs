//! What goes wrong, and what is said then: wrong keys, no room, locks, lost connections, URLs that lead nowhere.

use std::time::Duration;

use sqlx::Connection as _;
use zeroize::Zeroizing;

use super::*;

#[test]
fn keys_are_rotated_and_a_wrong_key_says_so() {
    let dir = tempfile::tempdir().expect("directory");
    let url = format!("sqlite://{}/t.db", dir.path().display());
    runtime().block_on(async {
        let store = Store::open(&url, sealer()).await.expect("opens");
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let identity = Identity {
            chain_pem: "c".into(),
            key_pem: Zeroizing::new("k".into()),
        };
        d.certificate_add(&identity, NOW, "acme", "current", NOW)
            .await
            .expect("added");
        store.setting_set("s", b"v").await.expect("set");
        store.close().await;

        let new = || Sealer::from_bytes(&[9; seal::KEY_BYTES]).expect("key");
        let wrong = Store::open(&url, new()).await.expect("opens");
        let refused = wrong.domain(row.id, &row.name).identity_current().await;
        assert!(
            matches!(refused, Err(StoreError::Sealed { .. })),
            "{refused:?}"
        );
        let both = Store::open(&url, new().with_older(sealer()))
            .await
            .expect("opens");
        assert_eq!(both.keys_rotate().await.expect("rotated"), 2);
        assert_eq!(
            wrong
                .domain(row.id, &row.name)
                .identity_current()
                .await
                .expect("opens")
                .expect("there")
                .key_pem
                .as_str(),
            "k"
        );
    });
}

/// Long enough for a busy machine's own writes, short enough for a test that waits it out.
const SHORT: Duration = Duration::from_millis(400);

fn writer(store: &Store) -> &SqlitePool {
    match &store.0.db {
        Db::Lite { write, .. } => write,
        Db::Pg(_) => unreachable!("opened as SQLite"),
    }
}

#[test]
fn a_full_database_says_so_and_keeps_what_it_has() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let write = writer(&store);
        let (pages,): (i64,) = sqlx::query_as("PRAGMA page_count")
            .fetch_one(write)
            .await
            .expect("pages");
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 20));
        sqlx::query(limit).execute(write).await.expect("limited");
        // Side by side, so that a write which finds no room meets others in its transaction.
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let d = d.clone();
                tokio::spawn(async move { d.offline_add(a, NOW, &[0; 3000], 10_000).await })
            })
            .collect();
        let (mut kept, mut full) = (0, 0);
        for task in tasks {
            match task.await.expect("done") {
                Ok(Some(_)) => kept += 1,
                Ok(None) => panic!("not the limit of the account"),
                Err(StoreError::Full(_)) => full += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_ne!(full, 0);
        assert_eq!(
            d.offline_count(a).await.expect("still readable"),
            kept,
            "exactly what was acknowledged"
        );
        let control = store
            .tenant_add(&"x".repeat(200_000), "active", "{}", NOW)
            .await;
        assert!(matches!(control, Err(StoreError::Full(_))), "{control:?}");
        sqlx::query("PRAGMA max_page_count = 100000")
            .execute(write)
            .await
            .expect("room again");
        assert!(
            d.offline_add(a, NOW, &[0; 3000], 10_000)
                .await
                .expect("works again")
                .is_some()
        );
    });
}

/// A statement has no savepoint of its own: one that SQLite refuses leaves nothing behind and the others alone, and where it is we who
/// fail behind one, nothing stays of the whole transaction.
#[test]
fn a_statement_among_others_stands_or_falls_alone() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let Db::Lite { group, .. } = &store.0.db else {
            unreachable!("opened as SQLite")
        };
        let put = |peer: &str, fails: bool| {
            let (domain, peer) = (row.id.0, peer.to_owned());
            group.run_statement(move |c| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO peers (domain, peer, attempts, updated) VALUES ($1, $2, '[]', 0)")
                        .bind(domain)
                        .bind(peer)
                        .execute(c)
                        .await?;
                    assert!(!fails, "on purpose");
                    Ok(())
                })
            })
        };
        for (fails, one, other) in [(false, "a.example", "b.example"), (true, "c.example", "d.example")] {
            // Holds the transaction open until the others are in line.
            let (go, wait) = tokio::sync::oneshot::channel::<()>();
            let first = group.run(move |_| {
                Box::pin(async move {
                    let _ = wait.await;
                    Ok(())
                })
            });
            let (first, a, again, b, ()) = tokio::join!(
                first,
                put(one, false),
                put(one, false),
                put(other, fails),
                async { assert!(go.send(()).is_ok()) },
            );
            let known = d.peer_list(10).await.expect("read").len();
            if fails {
                assert_eq!(known, 2, "{a:?} {again:?} {b:?}");
                assert!(first.is_err() && a.is_err() && again.is_err() && b.is_err());
            } else {
                assert_eq!((first, a, b, known), (Ok(()), Ok(()), Ok(()), 2));
                assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
            }
        }
        put("d.example", false).await.expect("writing goes on");
    });
}

/// As SQLite does by itself when the disk is full in the middle of a transaction.
#[test]
fn a_transaction_that_ended_by_itself_spoils_no_later_one() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let Db::Lite { group, .. } = &store.0.db else {
            unreachable!("opened as SQLite")
        };
        let failed: Result<()> = group
            .run(|c| {
                Box::pin(async move {
                    sqlx::query("ROLLBACK").execute(&mut *c).await?;
                    Err(StoreError::Full("on purpose".into()))
                })
            })
            .await;
        assert_eq!(failed, Err(StoreError::Full("on purpose".into())));
        for _ in 0..3 {
            d.offline_add(a, NOW, b"x", 9)
                .await
                .expect("writing goes on")
                .expect("kept");
        }
    });
}

#[test]
fn a_locked_database_says_so_and_goes_on() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let url = format!("sqlite://{}/t.db", dir.path().display());
        let store = Store::open_patient(&url, sealer(), SHORT)
            .await
            .expect("opens");
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let mut other = sqlx::SqliteConnection::connect(&url)
            .await
            .expect("another program");
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut other)
            .await
            .expect("locked");

        let (one, two) = tokio::join!(
            d.offline_add(a, NOW, b"x", 9),
            d.offline_add(a, NOW, b"y", 9)
        );
        assert_eq!((one, two), (Err(StoreError::Busy), Err(StoreError::Busy)));
        let control = store.tenant_add("Other", "active", "{}", NOW).await;
        assert_eq!(control, Err(StoreError::Busy));
        assert!(StoreError::Busy.is_temporary());
        assert_eq!(d.account_count().await.expect("reading goes on"), 1);
        // A second process that only reads is not held up either.
        let beside = Store::open_patient(&url, sealer(), SHORT)
            .await
            .expect("opens beside the lock");
        assert_eq!(
            beside
                .tenant_list(TenantId(0), 9)
                .await
                .expect("read")
                .len(),
            1
        );

        sqlx::query("COMMIT")
            .execute(&mut other)
            .await
            .expect("unlocked");
        assert!(
            d.offline_add(a, NOW, b"z", 9)
                .await
                .expect("works again")
                .is_some()
        );
        assert_eq!(
            d.offline_count(a).await.expect("read"),
            1,
            "what was refused has not happened"
        );
    });
}

#[test]
fn a_write_that_fails_leaves_those_beside_it_alone() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let Db::Lite { group, write, .. } = &store.0.db else { unreachable!("opened as SQLite") };
        // As long as the connection is out, writes gather; then they go into one transaction.
        let held = write.acquire().await.expect("connection");
        let tasks: Vec<_> = (0..9i64)
            .map(|n| {
                let group = group.clone();
                tokio::spawn(async move {
                    group
                        .run(move |c| {
                            Box::pin(async move {
                                sqlx::query("INSERT INTO tenants (name, state, created) VALUES ($1, 'x', 0)")
                                    .bind(n.to_string()).execute(&mut *c).await?;
                                match n {
                                    3 => Err(StoreError::Conflict { what: "a test" }),
                                    5 => panic!("on purpose"),
                                    7 => {
                                        sqlx::query("INSERT INTO logins (operator, token_hash, csrf, agent, address, created, expires) \
                                            VALUES (99, 'x', '', '', '', 0, 0)").execute(&mut *c).await?;
                                        Ok(n)
                                    }
                                    _ => Ok(n),
                                }
                            })
                        })
                        .await
                })
            })
            .collect();
        while group.waiting() < 8 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for (n, task) in (0..).zip(tasks) {
            let result = task.await.expect("answered");
            match n {
                3 => assert_eq!(result, Err(StoreError::Conflict { what: "a test" })),
                5 => assert!(matches!(result, Err(StoreError::Other(_))), "{result:?}"),
                7 => assert_eq!(result, Err(StoreError::Gone)),
                _ => assert_eq!(result, Ok(n)),
            }
        }
        // The tasks ran side by side, so they arrived in any order.
        let mut names: Vec<_> = store.tenant_list(TenantId(0), 20).await.expect("read").into_iter().map(|t| t.name).collect();
        names.sort();
        assert_eq!(names, ["0", "1", "2", "4", "6", "8"]);
    });
}

#[test]
fn a_lost_postgres_is_unavailable_and_comes_back_with_everything() {
    let cluster = Postgres::make();
    runtime().block_on(async {
        let url = cluster.url("postgres");
        let store = Store::open_patient(&url, sealer(), SHORT)
            .await
            .expect("opens");
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        d.offline_add(a, NOW, b"kept", 9)
            .await
            .expect("asked")
            .expect("kept");
        cluster.crash();
        for _ in 0..3 {
            let lost = d.offline_add(a, NOW, b"lost", 9).await;
            assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
            let text = lost.expect_err("lost").to_string();
            assert!(text.contains("check database.url"), "{text}");
        }
        assert!(matches!(
            store.ping().await,
            Err(StoreError::Unavailable(_))
        ));
        cluster.start();
        assert!(
            d.offline_add(a, NOW, b"again", 9)
                .await
                .expect("works again")
                .is_some()
        );
        let kept: Vec<_> = d
            .offline_list(a, 0, 9)
            .await
            .expect("read")
            .into_iter()
            .map(|m| m.stanza)
            .collect();
        assert_eq!(kept, [b"kept".to_vec(), b"again".to_vec()]);
    });
    cluster.crash();
}

#[test]
fn a_lock_in_postgres_is_waited_for_and_then_busy() {
    runtime().block_on(async {
        let url = empty_postgres().await;
        let store = Store::open_patient(&url, sealer(), SHORT)
            .await
            .expect("opens");
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let mut other = sqlx::PgConnection::connect(&url)
            .await
            .expect("another program");
        sqlx::query("BEGIN")
            .execute(&mut other)
            .await
            .expect("begun");
        sqlx::query("LOCK TABLE accounts")
            .execute(&mut other)
            .await
            .expect("locked");
        assert!(d.account_left_soon(a, NOW));
        assert_eq!(store.left_write().await, Err(StoreError::Busy));
        sqlx::query("COMMIT")
            .execute(&mut other)
            .await
            .expect("unlocked");
        assert_eq!(store.left_write().await, Ok(()), "it went on waiting");
    });
}

#[test]
fn a_damaged_file_is_not_written_to() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("t.db");
    std::fs::write(
        &file,
        "this is no database, but somebody's notes".repeat(100),
    )
    .expect("written");
    let refused = runtime()
        .block_on(Store::open(
            &format!("sqlite://{}", file.display()),
            sealer(),
        ))
        .expect_err("refused");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    assert!(
        std::fs::read_to_string(&file)
            .expect("read")
            .starts_with("this is no database")
    );
}

#[test]
fn urls_that_lead_nowhere_are_explained() {
    runtime().block_on(async {
        for (url, part) in [
            ("mysql://u:hunter2@h/d", "no engine for \"mysql:\""),
            ("sqlite:///nonexistent/dir/t.db", "No such file"),
            ("sqlite::memory:", "name a file"),
        ] {
            let error = Store::open(url, sealer())
                .await
                .expect_err("refused")
                .to_string();
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let gone = Store::open("postgres://u:hunter2@127.0.0.1:1/d", sealer())
            .await
            .expect_err("refused");
        assert!(matches!(gone, StoreError::Unavailable(_)), "{gone:?}");
        assert!(!gone.to_string().contains("hunter2"), "{gone}");
    });
}

/// An orderly end loses nothing of what only waits to be written with others.
#[test]
fn closing_writes_when_users_left() {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(async {
        let store = fresh_sqlite(dir.path()).await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        assert!(d.account_left_soon(a, NOW));
        store.close().await;
        let again = fresh_sqlite(dir.path()).await;
        let d = again.domain(d.id(), &name("example.com"));
        assert_eq!(d.account_left(a).await.expect("read"), Some(NOW));
    });
}
