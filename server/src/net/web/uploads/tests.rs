//! What browsers are shown, whose files are served, and what becomes of bytes that nobody knows any more.

use std::collections::BTreeSet;

use async_trait::async_trait;
use xmpp::jid::DomainName;

use super::*;
use crate::tenancy::Defaults;
use crate::testing::World;

#[test]
fn ranges_of_rfc_9110() {
    for (asked, expected) in [
        ("bytes=0-4", Some(Some((0, 4)))),
        ("bytes=5-", Some(Some((5, 9)))),
        ("bytes=-3", Some(Some((7, 9)))),
        ("bytes=-30", Some(Some((0, 9)))),
        ("bytes=5-100", Some(Some((5, 9)))),
        ("bytes=10-", Some(None)),
        ("bytes=-0", Some(None)),
        ("bytes=4-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=x-2", None),
    ] {
        assert_eq!(range(asked, 10), expected, "{asked}");
    }
}

#[test]
fn ext_30_nothing_active_is_shown_by_a_browser() {
    for kind in [
        "image/svg+xml",
        "text/html",
        "application/pdf",
        "application/xhtml+xml",
        "text/xml",
        "x/y",
    ] {
        assert!(!is_harmless(kind), "{kind}");
    }
    assert!(is_harmless("image/png") && is_harmless("video/mp4") && is_harmless("text/plain"));
    assert_eq!(
        disposition(false, "a\"b\r\nü.html"),
        "attachment; filename=\"a_b___.html\"; filename*=UTF-8''a%22b%0D%0A%C3%BC.html"
    );
}

/// A bucket that keeps names, and will not let go of some.
#[derive(Default)]
struct Names {
    kept: Mutex<BTreeSet<String>>,
    stuck: Mutex<BTreeSet<String>>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Files for Names {
    async fn put(&self, name: &str, _: u64, _: Stream) -> io::Result<()> {
        self.kept.lock().insert(name.to_owned());
        Ok(())
    }

    async fn get(&self, _: &str, _: u64, _: u64) -> io::Result<Stream> {
        Err(io::ErrorKind::NotFound.into())
    }

    async fn remove(&self, name: &str) -> io::Result<()> {
        *self.asked.lock() += 1;
        if self.stuck.lock().contains(name) {
            return Err(io::Error::other("it answers 403 AccessDenied"));
        }
        self.kept.lock().remove(name);
        Ok(())
    }
}

struct House {
    world: World,
    uploads: Arc<Uploads>,
    id: store::DomainId,
}

impl House {
    async fn new() -> Self {
        let world = World::new().await;
        let id = world.domain("one.example", &["alice"]).await;
        let tenancy = Tenancy::load(world.store.clone(), None, Defaults::default());
        let tenancy = tenancy.await.expect("the domains");
        let dir = std::env::temp_dir();
        let uploads = Uploads::new(world.store.clone(), tenancy, dir, None, 0);
        Self { world, uploads, id }
    }

    /// A slot of alice's.
    async fn slot(&self, token: &str) -> UploadRow {
        let rows = self.world.store.domain(self.id, &name());
        let alice = rows.account_find("alice").await.expect("read");
        let slot = UploadRow {
            token: token.into(),
            domain: self.id,
            account: alice.expect("there").id,
            name: "a.txt".into(),
            media_type: "text/plain".into(),
            size: 1,
            created: now(),
            ends: NEVER,
            stored: false,
            place: None,
            bucket: None,
        };
        let made = rows.upload_slot(&slot, 10_000, 10_000, 10_000).await;
        assert_eq!(made.expect("asked"), store::SlotMade::Made);
        slot
    }

    /// Objects of this bucket whose rows have gone.
    async fn left(&self, bucket: &str, tokens: &[String]) -> Vec<String> {
        let mut places = Vec::new();
        for token in tokens {
            let slot = self.slot(token).await;
            let place = self.world.store.upload_place(token, bucket, "files/");
            places.push(place.await.expect("asked").expect("placed").0);
            let rows = self.world.store.domain(self.id, &name());
            assert!(
                rows.upload_remove(slot.account, token)
                    .await
                    .expect("removed")
            );
        }
        places
    }

    async fn gone(&self, bucket: &str) -> Vec<String> {
        let gone = self.world.store.uploads_gone(bucket, "", 1_000);
        gone.await.expect("read")
    }
}

fn name() -> DomainName {
    DomainName::parse("one.example").expect("a name")
}

#[tokio::test]
async fn one_object_that_cannot_be_removed_stops_no_other() {
    let house = House::new().await;
    let tokens = ["a", "b", "c"].map(str::to_owned);
    let places = house.left("files", &tokens).await;
    house.left("former", &["d".into()]).await;
    let names = Names::default();
    names.stuck.lock().insert(places[0].clone());
    let look = house.uploads.tidy_objects(&names, "files");
    assert_eq!(look.await.expect("looked"), 2);
    assert_eq!(house.gone("files").await, places[..1]);
    assert_eq!(
        house.gone("former").await.len(),
        1,
        "it is not in this bucket"
    );
    names.stuck.lock().clear();
    let look = house.uploads.tidy_objects(&names, "files");
    assert_eq!(look.await.expect("looked"), 1);
    assert!(house.gone("files").await.is_empty());
}

#[tokio::test]
async fn a_bucket_that_lets_go_of_nothing_is_left_alone_and_the_next_look_goes_on() {
    let house = House::new().await;
    let tokens: Vec<_> = (0..30).map(|n| format!("t{n:02}")).collect();
    let places = house.left("files", &tokens).await;
    let names = Names::default();
    names.stuck.lock().extend(places[..25].iter().cloned());
    let look = async || {
        let look = house.uploads.tidy_objects(&names, "files");
        (
            look.await.expect("looked"),
            std::mem::take(&mut *names.asked.lock()),
        )
    };
    assert_eq!(look().await, (0, 20));
    assert_eq!(look().await, (5, 10), "from where it was");
    assert_eq!(look().await, (0, 20), "and from the start again");
}

#[tokio::test]
async fn bytes_that_come_after_their_row_has_gone_are_known() {
    let house = House::new().await;
    let places = house.left("files", &["late".into()]).await;
    let names = Names::default();
    // Another process has looked before they were there.
    let look = house.uploads.tidy_objects(&names, "files");
    assert_eq!(look.await.expect("looked"), 1);
    let known = house
        .world
        .store
        .upload_left_behind("late", &places[0], "files");
    known.await.expect("kept");
    let slot = house.slot("kept").await;
    let known = house
        .world
        .store
        .upload_left_behind(&slot.token, "kept", "files");
    known.await.expect("asked");
    assert_eq!(
        house.gone("files").await,
        places,
        "what has a row is not gone"
    );
}

#[tokio::test]
async fn a_suspended_domain_s_files_are_served_under_no_name() {
    let house = House::new().await;
    let slot = house.slot("token").await;
    let found = async |identity: Option<DomainName>| {
        let arrival = Arrival {
            from: ([192, 0, 2, 1], 50_000).into(),
            tls: xmpp::stream::TlsInfo {
                identity,
                ..Default::default()
            },
        };
        house.uploads.find(&slot.token, &arrival).await.is_ok()
    };
    let other = DomainName::parse("two.example").ok();
    assert!(found(None).await && found(Some(name())).await && !found(other).await);
    house.world.set_state(house.id, "suspended").await;
    let refreshed = house.uploads.tenancy.refresh(&name()).await;
    refreshed.expect("read");
    assert!(!found(None).await && !found(Some(name())).await);
    house.world.set_state(house.id, "live").await;
    let refreshed = house.uploads.tenancy.refresh(&name()).await;
    refreshed.expect("read");
    assert!(found(None).await);
}
