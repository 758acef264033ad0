//! The archive: what is kept together, found by every question, and let go of.

use super::*;

pub(super) fn message(at: i64, peer: &str) -> NewArchived {
    NewArchived {
        id: ArchiveId { at, salt: -at },
        peer: peer.into(),
        resource: "r".into(),
        sent: at % 2 == 0,
        message: message_hash(&at.to_string()),
        stanza: vec![b'x'; 100].into(),
    }
}

/// Keeps them in this order, some at a time; how many were kept.
async fn keep(d: &DomainStore, new: impl Iterator<Item = (AccountId, NewArchived)>) -> usize {
    // `join_all` begins so few in their order.
    const AT_ONCE: usize = 25;
    let all: Vec<_> = new.collect();
    let mut kept = 0;
    for some in all.chunks(AT_ONCE) {
        let adds = some
            .iter()
            .map(|(account, new)| d.archive_add(*account, new.clone()));
        let added = futures_util::future::join_all(adds).await;
        kept += added.into_iter().filter(Result::is_ok).count();
    }
    kept
}

async fn times(d: &DomainStore, account: AccountId, query: ArchiveQuery<'_>) -> Vec<i64> {
    let page = d.archive_page(account, &query).await.expect("read");
    page.iter().map(|m| m.id.at).collect()
}

battery! {
    ext_18_many_at_once_are_kept_and_found(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let mut accounts = Vec::new();
        for n in 0..5 {
            accounts.push(d.account_add(&format!("u{n}"), &[], NOW).await.expect("added"));
        }
        let messages = (0..500_i64).map(|n| {
            let peer = if n % 3 == 0 { "romeo@example.net" } else { "tybalt@example.net" };
            (accounts[n as usize % 5], message(1_000 + n, peer))
        });
        assert_eq!(keep(&d, messages).await, 500);
        for (n, account) in accounts.iter().enumerate() {
            let n = n as i64;
            let all = times(&d, *account, ArchiveQuery { limit: 500, ..Default::default() }).await;
            assert_eq!(all, (0..100).map(|i| 1_000 + n + 5 * i).collect::<Vec<_>>());
            assert_eq!(d.archive_bytes(*account).await.expect("read"), 10_000);
            let with = ArchiveQuery { with: Some(("romeo@example.net", None)), limit: 500, ..Default::default() };
            let romeo = times(&d, *account, with).await;
            assert!(romeo.iter().all(|at| (at - 1_000) % 3 == 0) && !romeo.is_empty());
            assert!(times(&d, *account, ArchiveQuery { with: Some(("romeo@example.net", Some("r"))), limit: 500, ..Default::default() }).await == romeo);
            assert!(times(&d, *account, ArchiveQuery { with: Some(("romeo@example.net", Some("s"))), ..Default::default() }).await.is_empty());
            let count = async |query: ArchiveQuery<'_>| d.archive_count(*account, &query).await.expect("read");
            let many = ArchiveQuery { limit: 1_000, ..Default::default() };
            assert_eq!(count(many).await, 100);
            assert_eq!(count(ArchiveQuery { limit: 7, ..many }).await, 7, "and no more than is asked for");
            assert_eq!(count(ArchiveQuery { after: all[3], before: all[90], ..many }).await, 86);
            assert_eq!(count(ArchiveQuery { with: Some(("romeo@example.net", Some("r"))), ..many }).await, romeo.len() as u64);
            assert_eq!(count(ArchiveQuery { with: Some(("romeo@example.net", Some("s"))), ..many }).await, 0);
            let window = ArchiveQuery { after: all[3], before: all[90], limit: 4, ..Default::default() };
            assert_eq!(times(&d, *account, window).await, all[4..8]);
            assert_eq!(times(&d, *account, ArchiveQuery { last: true, ..window }).await, all[86..90]);
            let one = ArchiveQuery { limit: 1, ..Default::default() };
            assert_eq!(times(&d, *account, one).await, all[..1]);
            assert_eq!(times(&d, *account, ArchiveQuery { last: true, ..one }).await, all[99..]);
        }
        assert_eq!(d.tenant_archive_bytes().await.expect("read"), 50_000);
    }

    ext_18_one_that_cannot_be_kept_takes_no_other_with_it(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        d.archive_add(a, message(1, "romeo@example.net")).await.expect("kept");
        let adds = [
            d.archive_add(a, message(2, "romeo@example.net")),
            d.archive_add(a, message(1, "romeo@example.net")),
            d.archive_add(AccountId(999), message(3, "romeo@example.net")),
            d.archive_add(a, message(4, "romeo@example.net")),
        ];
        let [two, again, nobody, four] = futures_util::future::join_all(adds).await.try_into().expect("four");
        for kept in [two, again, nobody, four] {
            kept.expect("asked");
        }
        // A time that is taken is not given twice: it is the next one that is free. Nobody has no archive.
        assert_eq!(times(&d, a, ArchiveQuery::default()).await, [1, 2, 3, 4]);
        assert_eq!(d.archive_get(a, ArchiveId { at: 3, salt: -1 }).await.expect("read").map(|m| m.stanza.len()), Some(100));
        assert!(times(&d, AccountId(999), ArchiveQuery::default()).await.is_empty());
    }

    ext_18_ids_must_be_whole(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        d.archive_add(a, message(7, "romeo@example.net")).await.expect("kept");
        let id = ArchiveId { at: 7, salt: -7 };
        assert_eq!(d.archive_get(a, id).await.expect("read").map(|m| m.id), Some(id));
        assert_eq!(d.archive_get(a, ArchiveId { salt: 7, ..id }).await.expect("read"), None, "guessed");
        assert!(times(&d, AccountId(999), ArchiveQuery::default()).await.is_empty());
    }

    ext_29_replaced_is_found_by_name_and_nobody_waits_for_it(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        for at in [2, 4, 5] {
            d.archive_add(a, message(at, "romeo@example.net")).await.expect("kept");
        }
        let named = |peer, sent, within| d.archive_named(a, peer, sent, message_hash("4"), within);
        assert_eq!(named("romeo@example.net", true, 9).await.expect("read")[0].id.at, 4);
        assert!(named("romeo@example.net", false, 9).await.expect("read").is_empty(), "the other way");
        assert!(named("tybalt@example.net", true, 9).await.expect("read").is_empty());
        assert!(named("romeo@example.net", true, 1).await.expect("read").is_empty(), "too long ago");
        let id = ArchiveId { at: 4, salt: -4 };
        assert!(d.offline_add_archived(a, NOW, id, 9).await.expect("asked").is_some());
        d.archive_replace(a, id, b"tombstone").await.expect("done");
        assert_eq!(d.archive_get(a, id).await.expect("read").expect("there").stanza, b"tombstone");
        assert_eq!(d.offline_count(a).await.expect("read"), 0);
    }

    ext_22_what_is_archived_waits_without_a_copy(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        d.archive_add(a, message(1, "romeo@example.net")).await.expect("kept");
        d.archive_add(a, message(2, "romeo@example.net")).await.expect("kept");
        d.offline_add(a, NOW, b"whole", 9).await.expect("asked").expect("kept");
        for at in [1, 2] {
            d.offline_add_archived(a, NOW, ArchiveId { at, salt: -at }, 3).await.expect("asked").expect("waits");
        }
        let id = ArchiveId { at: 1, salt: 1 };
        assert_eq!(d.offline_add_archived(a, NOW, id, 9).await.expect("asked"), None, "not in the archive");
        let id = ArchiveId { at: 1, salt: -1 };
        assert_eq!(d.offline_add_archived(a, NOW, id, 3).await.expect("asked"), None, "as many as may");
        let waiting = d.offline_list(a, 0, 9).await.expect("read");
        let lengths: Vec<(usize, bool)> = waiting.iter().map(|m| (m.stanza.len(), m.archived.is_some())).collect();
        assert_eq!(lengths, [(5, false), (100, true), (100, true)]);
        assert_eq!(d.tenant_offline_bytes().await.expect("read"), 5);
        d.offline_remove_archived(a, 1).await.expect("removed");
        d.archive_expire(Timestamp(3)).await.expect("done");
        let waiting = d.offline_list(a, 0, 9).await.expect("read");
        let lengths: Vec<usize> = waiting.iter().map(|m| m.stanza.len()).collect();
        assert_eq!(lengths, [5, 0], "the archive has let go of it");
    }

    ext_18_the_oldest_go(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let b = d.account_add("nurse", &[], NOW).await.expect("added");
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let c = other.account_add("romeo", &[], NOW).await.expect("added");
        for (handle, account, count) in [(&d, a, 2_500), (&d, b, 3), (&other, c, 3)] {
            let messages = (1..=count).map(|at| (account, message(at, "x@example.org")));
            assert_eq!(keep(handle, messages).await, count as usize);
        }
        assert_eq!(d.archive_trim(1_000).await.expect("done"), 2_490);
        assert_eq!(times(&d, a, ArchiveQuery::default()).await, (2_491..=2_500).collect::<Vec<_>>());
        assert_eq!(d.archive_bytes(a).await.expect("read"), 1_000);
        assert_eq!(d.archive_trim(1_000).await.expect("done"), 0);
        assert_eq!(d.archive_expire(Timestamp(2_499)).await.expect("done"), 8 + 3);
        assert_eq!(times(&d, a, ArchiveQuery::default()).await, [2_499, 2_500]);
        assert_eq!(times(&other, c, ArchiveQuery::default()).await.len(), 3, "another domain's");
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        assert!(times(&d, a, ArchiveQuery::default()).await.is_empty());
    }

    dos_10_no_handle_reaches_another_domain_s_archive(store) {
        let (_, _, ours) = house(&store, "example.com", "aaa").await;
        let (_, _, theirs) = house(&store, "example.net", "bbb").await;
        let victim = theirs.account_add("juliet", &[], NOW).await.expect("added");
        let id = ArchiveId { at: 2, salt: -2 };
        theirs.archive_add(victim, message(2, "romeo@example.org")).await.expect("kept");
        assert!(theirs.archive_preferences_set(victim, Some("mine")).await.expect("set"));

        ours.archive_add(victim, message(3, "evil@example.org")).await.expect("asked");
        assert!(times(&ours, victim, ArchiveQuery::default()).await.is_empty());
        assert_eq!(ours.archive_get(victim, id).await.expect("read"), None);
        let hash = message_hash("2");
        assert!(ours.archive_named(victim, "romeo@example.org", true, hash, 9).await.expect("read").is_empty());
        ours.archive_replace(victim, id, b"evil").await.expect("asked");
        assert_eq!(ours.archive_bytes(victim).await.expect("read"), 0);
        assert_eq!(ours.offline_add_archived(victim, NOW, id, 9).await.expect("asked"), None);
        assert!(theirs.offline_add_archived(victim, NOW, id, 9).await.expect("asked").is_some());
        ours.offline_remove_archived(victim, 9).await.expect("asked");
        assert!(!ours.archive_preferences_set(victim, None).await.expect("asked"));
        assert_eq!(ours.archive_expire(Timestamp(9)).await.expect("asked"), 0);
        assert_eq!(ours.archive_trim(0).await.expect("asked"), 0);

        assert_eq!(times(&theirs, victim, ArchiveQuery::default()).await, [2]);
        assert_eq!(theirs.archive_get(victim, id).await.expect("read").expect("there").stanza.len(), 100);
        assert_eq!(theirs.offline_count(victim).await.expect("read"), 1);
        let opened = theirs.account_open("juliet").await.expect("read").expect("there");
        assert_eq!(opened.archive_preferences.as_deref(), Some("mine"));
    }
}

/// Writes on SQLite, and looks at the tables as they are.
fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(std::path::PathBuf) -> F) {
    let dir = tempfile::tempdir().expect("directory");
    runtime().block_on(test(dir.path().to_owned()));
}

#[test]
fn what_a_killed_process_left_in_sqlite_s_log_is_found_by_the_next() {
    on_sqlite(async |dir| {
        let store = fresh_sqlite(&dir).await;
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        d.archive_add(a, message(1, "romeo@example.net"))
            .await
            .expect("kept");
        d.archive_add(a, message(2, "romeo@example.net"))
            .await
            .expect("kept");
        let in_log = together::count(&store, "archive_waiting").await;
        let in_table = together::count(&store, "archive").await;
        assert_eq!((in_log, in_table), (2, 0));
        // Not closed.
        drop((d, store));
        let store = fresh_sqlite(&dir).await;
        let d = store.domain(row.id, &row.name);
        let found = times(&d, a, ArchiveQuery::default()).await;
        assert_eq!(found, [1, 2]);
        assert_eq!(together::count(&store, "archive_waiting").await, 0);
        d.archive_add(a, message(3, "romeo@example.net"))
            .await
            .expect("kept");
        store.close().await;
        let store = fresh_sqlite(&dir).await;
        assert_eq!(together::count(&store, "archive_waiting").await, 0);
        assert_eq!(together::count(&store, "archive").await, 3);
    });
}

#[test]
fn what_another_process_has_put_away_does_not_come_again() {
    on_sqlite(async |dir| {
        let store = fresh_sqlite(&dir).await;
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let keep = async |d: &DomainStore, at| {
            let kept = d.archive_add(a, message(at, "romeo@example.net"));
            kept.await.expect("kept");
        };
        keep(&d, 1).await;
        let other = fresh_sqlite(&dir).await;
        let o = other.domain(row.id, &row.name);
        assert_eq!(times(&o, a, ArchiveQuery::default()).await, [1]);
        // The log was empty: its rows have the same numbers again.
        keep(&o, 2).await;
        keep(&d, 3).await;
        assert_eq!(times(&d, a, ArchiveQuery::default()).await, [1, 2, 3]);
        assert_eq!(times(&o, a, ArchiveQuery::default()).await, [1, 2, 3]);
        assert_eq!(together::count(&store, "archive").await, 3);
    });
}

#[test]
fn sqlite_s_log_is_put_away_when_it_is_much() {
    on_sqlite(async |dir| {
        let store = fresh_sqlite(&dir).await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let messages = (1..=10_000).map(|at| (a, message(at, "x@example.org")));
        assert_eq!(keep(&d, messages).await, 10_000);
        assert!(together::count(&store, "archive").await >= 8_192);
        let log = together::count(&store, "archive_waiting").await;
        assert!((1..2_000).contains(&log), "{log}");
        assert_eq!(d.archive_bytes(a).await.expect("read"), 1_000_000);
    });
}

#[test]
fn sqlite_s_log_of_a_removed_domain_goes_too() {
    on_sqlite(async |dir| {
        let store = fresh_sqlite(&dir).await;
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let b = other.account_add("romeo", &[], NOW).await.expect("added");
        for (handle, account) in [(&d, a), (&other, b)] {
            let kept = handle.archive_add(account, message(1, "x@example.org"));
            kept.await.expect("kept");
        }
        assert!(store.domain_remove(&row, true, NOW).await.expect("removed"));
        d.archive_settled(None).await.expect("put away");
        assert_eq!(together::count(&store, "archive_waiting").await, 0);
        assert_eq!(together::count(&store, "archive").await, 1);
        assert_eq!(times(&other, b, ArchiveQuery::default()).await, [1]);
    });
}

/// Bytes of an account's archive, counted and not summed up, on PostgreSQL.
async fn counted(store: &Store, account: AccountId) -> u64 {
    let Db::Pg(pool) = &store.0.db else {
        unreachable!("PostgreSQL");
    };
    let (bytes,): (i64,) = sqlx::query_as(
        "SELECT CAST(COALESCE(SUM(LENGTH(stanza)), 0) AS BIGINT) FROM archive WHERE account = $1",
    )
    .bind(account.0)
    .fetch_one(pool)
    .await
    .expect("counted");
    bytes.unsigned_abs()
}

#[test]
fn sums_that_are_remembered_on_postgresql_are_exact_whoever_else_writes() {
    runtime().block_on(async {
        let url = empty_postgres().await;
        let open = async || Store::open(&url, sealer()).await.expect("opens");
        let (store, other) = (open().await, open().await);
        let (_, row, d) = house(&store, "example.com", "aaa").await;
        let o = other.domain(row.id, &row.name);
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let right = async |what: &str| {
            let summed = d.archive_bytes(a).await.expect("read");
            assert_eq!(summed, counted(&store, a).await, "{what}");
        };
        let add = async |d: &DomainStore, from: i64, n: i64| {
            let messages = (from..from + n).map(|at| (a, message(at, "x@example.org")));
            assert_eq!(keep(d, messages).await, usize::try_from(n).expect("few"));
        };
        add(&d, 1_000, 30).await;
        right("one batch after another").await;

        // Imported by another process, later than what this one has written, and nobody counts anew.
        let beside = |at| vec![message(at, "y@example.org")];
        let done = o
            .archive_import(a, beside(2_000_000))
            .await
            .expect("imported");
        assert_eq!((done.added, done.between), (1, false));
        add(&d, 4_000_000, 30).await;
        right("imported beside").await;

        // Before what was there, and counted anew.
        let done = o.archive_import(a, beside(500)).await.expect("imported");
        assert!(done.between);
        o.archive_recount(a).await.expect("counted");
        add(&d, 5_000_000, 5).await;
        right("counted anew beside").await;

        // Two writers take turns.
        for at in 0..10 {
            add(&o, 6_000_000 + 2 * at, 1).await;
            add(&d, 6_000_001 + 2 * at, 1).await;
        }
        right("two writers").await;

        d.archive_trim(1_000).await.expect("trimmed");
        assert_eq!(counted(&store, a).await, 1_000);
        right("trimmed").await;
        d.archive_expire(Timestamp(i64::MAX)).await.expect("gone");
        right("empty").await;
        add(&d, 7_000_000, 3).await;
        right("begun anew").await;
        assert_eq!(d.archive_trim(100).await.expect("trimmed"), 2);
    });
}

#[test]
fn an_account_that_is_removed_while_postgresql_s_writer_remembers_it_takes_no_other_with_it() {
    runtime().block_on(async {
        let store = fresh_postgres().await;
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (_, _, theirs) = house(&store, "example.net", "bbb").await;
        let a = d.account_add("juliet", &[], NOW).await.expect("added");
        let b = d.account_add("nurse", &[], NOW).await.expect("added");
        let messages = [a, b]
            .into_iter()
            .map(|account| (account, message(1, "x@example.org")));
        assert_eq!(keep(&d, messages).await, 2);
        // Known as another domain's.
        theirs
            .archive_add(b, message(2, "evil@example.org"))
            .await
            .expect("asked");
        assert_eq!(counted(&store, b).await, 100);
        assert!(d.account_remove("juliet", NOW).await.expect("removed"));
        let messages = [a, b, a, b]
            .into_iter()
            .zip(3..)
            .map(|(account, at)| (account, message(at, "x@example.org")));
        assert_eq!(
            keep(&d, messages).await,
            4,
            "of an account that is gone nothing is kept, and that is no error"
        );
        assert_eq!(
            (counted(&store, a).await, counted(&store, b).await),
            (0, 300)
        );
        assert_eq!(d.archive_bytes(b).await.expect("read"), 300);
        store.close().await;
    });
}
