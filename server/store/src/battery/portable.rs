//! What comes from another server: nothing twice, everything counted.

use super::*;
use crate::{ArchiveImported, Imported};

fn message(at: i64, salt: i64, text: &str) -> NewArchived {
    NewArchived {
        id: ArchiveId { at, salt },
        peer: "romeo@example.net".into(),
        resource: String::new(),
        sent: false,
        message: 0,
        stanza: text.to_owned().into(),
    }
}

battery! {
    ext_38_messages_come_between_others_and_are_counted(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.account_add("juliet", &[], NOW).await.expect("added");
        for (at, text) in [(10_000_000, "the first"), (30_000_000, "the last")] {
            d.archive_add(id, message(at, 1, text)).await.expect("kept");
        }
        let batch = || vec![
            message(0, 7, "older"),
            message(20_000_000, 7, "between"),
            message(20_000_000, 8, "of the same time"),
            message(30_000_000, 7, "whose time is taken"),
        ];
        let done = d.archive_import(id, batch()).await.expect("imported");
        let bytes = 5 + 7 + 16 + 19;
        assert_eq!(done, ArchiveImported { added: 4, bytes, between: true });
        d.archive_recount(id).await.expect("counted");
        assert_eq!(d.archive_bytes(id).await.expect("read"), bytes + 9 + 8);
        assert_eq!(d.archive_import(id, batch()).await.expect("again"), ArchiveImported::default());
        let page = d.archive_page(id, &ArchiveQuery::default()).await.expect("read");
        let texts: Vec<_> = page.iter().map(|m| String::from_utf8_lossy(&m.stanza)).collect();
        assert_eq!(texts, ["older", "the first", "between", "of the same time", "the last", "whose time is taken"]);
        // The sums go on from there, and cutting by them takes the oldest.
        d.archive_add(id, message(40_000_000, 1, "after that")).await.expect("kept");
        assert_eq!(d.archive_trim(10 + 19).await.expect("trimmed"), 5);
        let (_, _, other) = house(&store, "example.net", "bbb").await;
        assert_eq!(other.archive_import(id, batch()).await.expect("another's"), ArchiveImported::default());
    }

    ext_38_many_messages_come_at_once_and_their_sums_are_right_at_once(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let id = d.account_add("juliet", &[], NOW).await.expect("added");
        // More than one statement takes, of every size that there is, and two of each time.
        let batch = |from: i64| (from..from + 150).map(|n| message(n / 2 * 10_000, n, "four")).collect::<Vec<_>>();
        for from in [0, 150] {
            let done = d.archive_import(id, batch(from)).await.expect("imported");
            assert_eq!(done, ArchiveImported { added: 150, bytes: 600, between: false });
        }
        assert_eq!(d.archive_bytes(id).await.expect("read"), 1_200);
        let page = d.archive_page(id, &ArchiveQuery { limit: 1_000, ..ArchiveQuery::default() }).await.expect("read");
        let salts: Vec<_> = page.iter().map(|m| m.id.salt).collect();
        assert_eq!(salts, (0..300).collect::<Vec<_>>());
        // Cutting goes by the sums of single messages.
        assert_eq!(d.archive_trim(400).await.expect("trimmed"), 200);
        assert_eq!(d.archive_import(id, batch(150)).await.expect("again").added, 50, "what was cut comes again");
    }

    ext_38_people_are_opened_once_and_messages_wait_once(store) {
        let (_, _, d) = house(&store, "example.com", "aaa").await;
        let (id, made) = d.person_open("juliet", NOW).await.expect("opened");
        assert!(made && d.credentials_of(id).await.expect("read").is_empty());
        assert_eq!(d.person_open("juliet", NOW).await.expect("again"), (id, false));
        assert!(d.account_set_credentials("juliet", &verifiers("old"), NOW).await.expect("set"));
        assert_eq!(d.credentials_of(id).await.expect("read").len(), 3);
        d.archive_add(id, message(10, 1, "kept")).await.expect("kept");
        let name = Some(ArchiveId { at: 10, salt: 1 });
        for (at, text, archived, max, came) in [
            (10, "kept", name, 2, Imported::Added),
            (10, "kept", name, 2, Imported::Known),
            (20, "alone", None, 2, Imported::Added),
            (20, "alone", None, 2, Imported::Known),
            (20, "another", Some(ArchiveId { at: 20, salt: 9 }), 2, Imported::Full),
        ] {
            let got = d.offline_import(id, Timestamp(at), text.as_bytes(), archived, max).await;
            assert_eq!(got.expect("written"), came, "{text}");
        }
        let waiting = d.offline_list(id, 0, 10).await.expect("read");
        assert_eq!(waiting.iter().map(|m| m.archived).collect::<Vec<_>>(), [name, None]);
        let contact = |name: &str| RosterItem { name: name.into(), ..RosterItem::new(bare("romeo@example.net")) };
        let paris = (bare("paris@example.net"), b"<presence/>".to_vec(), NOW);
        let before = d.roster_load(id).await.expect("read").version;
        assert_eq!(d.roster_import(id, vec![contact("R")], vec![paris.clone()]).await.expect("put"), (1, 1));
        assert_eq!(d.roster_import(id, vec![contact("S")], vec![paris]).await.expect("put"), (0, 0));
        let roster = d.roster_load(id).await.expect("read");
        assert_eq!(roster.items[0].name, "R", "what is there stays");
        assert!(roster.version > before);
    }
}
