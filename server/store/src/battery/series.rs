//! What moved and was kept over time, for domains, customers and the platform.

use zeroize::Zeroizing;

use super::*;
use crate::series::{Activity, Kept, Point, Step, Whose};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;

fn moved(sessions: u64, stanzas: u64) -> Activity {
    Activity { sessions, stanzas }
}

battery! {
    what_moves_is_added_up_by_hour_and_day(store) {
        let (tenant, row, _) = house(&store, "a.example", "l0").await;
        let (whose, of) = (Whose::Domain(row.id), Whose::Tenant(tenant));
        let gone = Whose::Domain(DomainId(999));
        let noon = 5 * DAY + 12 * HOUR;
        for (at, sessions, stanzas) in [(noon, 3, 10), (noon + 1, 7, 5), (noon + HOUR, 2, 100)] {
            let rows = [(Whose::Platform, moved(9, 1)), (whose, moved(sessions, stanzas)), (of, moved(8, 2)), (gone, moved(1, 1))];
            store.series_add(Timestamp(at), &rows).await.expect("added");
        }
        let hour = |at, sessions, stanzas| Point { at: Timestamp(at), activity: moved(sessions, stanzas), kept: None };
        let read = async |whose, step, since| store.series(whose, step, Timestamp(since)).await.expect("read");
        assert_eq!(read(whose, Step::Hour, 0).await, [hour(noon, 7, 15), hour(noon + HOUR, 2, 100)]);
        assert_eq!(read(whose, Step::Hour, noon + 1).await, [hour(noon + HOUR, 2, 100)]);
        assert_eq!(read(whose, Step::Day, 0).await, [hour(5 * DAY, 7, 115)]);
        assert_eq!(read(of, Step::Day, 0).await, [hour(5 * DAY, 8, 6)]);
        assert_eq!(read(Whose::Platform, Step::Hour, 0).await, [hour(noon, 9, 2), hour(noon + HOUR, 9, 1)]);
        assert_eq!(read(gone, Step::Hour, 0).await, [], "nothing is kept of who is gone");
        assert_eq!(store.series_sweep(Timestamp(noon + HOUR), Timestamp(5 * DAY)).await.expect("swept"), 3);
        assert_eq!(read(whose, Step::Hour, 0).await.len(), 1);
        assert_eq!(store.series_sweep(Timestamp(noon + HOUR), Timestamp(6 * DAY)).await.expect("swept"), 3);
        assert_eq!(read(Whose::Platform, Step::Day, 0).await, []);
    }

    what_is_kept_is_measured_and_put_together(store) {
        let (tenant, row, d) = house(&store, "a.example", "l0").await;
        let second = store.domain_add(&domain(tenant, "b.example", "l1")).await.expect("added");
        let a = d.account_add("juliet", &verifiers("p"), NOW).await.expect("added");
        let said = |at| NewArchived {
            id: ArchiveId { at, salt: 1 }, peer: "a@b.example".into(), resource: String::new(), sent: true, message: 0,
            stanza: b"four"[..].into(),
        };
        d.archive_add(a, said(1)).await.expect("kept");
        d.archive_add(a, said(2)).await.expect("kept");
        let coven = d.room_add(&rooms::room("coven"), &[]).await.expect("added");
        let line = rooms::said(1, "a@b.example", "A");
        let in_room = line.stanza.len() as u64;
        assert!(d.room_archive_add(coven, line).await.expect("kept"));
        d.upload_slot(&uploads::slot("t", row.id, a, 60), 100, 100, 100).await.expect("made");
        let identity = Identity { chain_pem: "c".into(), key_pem: Zeroizing::new("k".into()) };
        d.certificate_add(&identity, Timestamp(50), "acme", "current", NOW).await.expect("added");

        store.series_add(NOW, &[(Whose::Domain(row.id), moved(1, 2)), (Whose::Tenant(tenant), moved(3, 4))]).await.expect("added");
        for _ in 0..2 {
            store.series_measure(&[row.id, second, DomainId(999)], NOW).await.expect("measured");
            store.series_total(NOW).await.expect("added up");
        }
        let kept = Kept { archive_rows: 3, archive_bytes: 8 + in_room, upload_bytes: 60, certificate_ends: Some(Timestamp(50)) };
        let point = |activity, kept| [Point { at: Step::Day.start(NOW), activity, kept: Some(kept) }];
        let read = async |whose| store.series(whose, Step::Day, Timestamp(0)).await.expect("read");
        assert_eq!(read(Whose::Domain(row.id)).await, point(moved(1, 2), kept));
        assert_eq!(read(Whose::Domain(second)).await, point(moved(0, 0), Kept::default()));
        assert_eq!(read(Whose::Tenant(tenant)).await, point(moved(3, 4), kept));
        assert_eq!(read(Whose::Platform).await, point(moved(0, 0), kept));
        assert_eq!(store.series(Whose::Domain(row.id), Step::Hour, Timestamp(0)).await.expect("read")[0].kept, None);
    }
}
