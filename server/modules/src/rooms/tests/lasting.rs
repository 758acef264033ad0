//! Rooms across a restart.

use super::*;
use crate::hooks;

const ROMEO: &str = "romeo@peer.example/balcony";

impl Coven {
    async fn shut_down(&self) {
        let cx = self.house.context("one.example");
        hooks::service_closing(&cx, &super::super::SERVICE, "rooms.one.example").await;
        self.house.modules().rooms.forget_domain("one.example");
    }

    async fn comes_back(&self, who: &Jid, nick: &str) {
        let cx = self.house.context("one.example");
        let shown = Jid::parse(&format!("{COVEN}/{nick}")).expect("an address");
        let presence = xmpp::stanza::Stanza::presence(None, who, None, None);
        hooks::service_returned(&cx, &super::super::SERVICE, (who, &shown), &presence).await;
    }
}

#[tokio::test]
async fn ext_25_who_outlasts_a_restart_is_in_the_room_and_others_are_told_that_it_was_shut_down() {
    let coven = Coven::new().await;
    coven.enter(&coven.alice, "Alice").await;
    coven
        .configure(&field("muc#roomconfig_persistentroom", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    let romeo = Jid::parse(ROMEO).expect("an address");
    coven.enter(&romeo, "Romeo").await;
    coven.house.clear();
    coven.shut_down().await;
    let told = coven.house.take_sent();
    assert!(
        told.contains("code='332'") && told.contains("code='110'") && told.contains(ROMEO),
        "{told}"
    );
    let seen = coven.house.take(&coven.alice);
    assert!(
        seen.contains("coven@rooms.one.example/Romeo") && seen.contains("type='unavailable'"),
        "{seen}"
    );
    coven.house.clear();
    coven.comes_back(&coven.alice, "Alice").await;
    coven.comes_back(&coven.bob, "Bob").await;
    assert!(coven.house.all(&coven.alice).is_empty(), "nobody notices");
    coven.say(&coven.bob, "still here").await;
    for who in [&coven.alice, &coven.bob] {
        let got = coven.house.take(who);
        assert!(
            got.contains("still here") && got.contains("from='coven@rooms.one.example/Bob'"),
            "{got}"
        );
    }
}

#[tokio::test]
async fn ext_25_who_may_no_longer_be_there_is_told() {
    let coven = Coven::new().await;
    // A room that is not kept, and one that its members alone may enter.
    coven.comes_back(&coven.alice, "Alice").await;
    let got = coven.house.take(&coven.alice);
    assert!(
        got.contains("type='unavailable'") && got.contains("code='332'"),
        "{got}"
    );
    coven.enter(&coven.alice, "Alice").await;
    let fields = [
        field("muc#roomconfig_persistentroom", "1"),
        field("muc#roomconfig_membersonly", "1"),
    ];
    coven.configure(&fields.concat()).await;
    coven.shut_down().await;
    coven.comes_back(&coven.alice, "Alice").await;
    coven.house.clear();
    coven.comes_back(&coven.carol, "Carol").await;
    let got = coven.house.take(&coven.carol);
    assert!(got.contains("code='332'"), "{got}");
    coven.say(&coven.alice, "private").await;
    assert!(coven.house.all(&coven.carol).is_empty());
    // Nor does anybody take another's nickname that way.
    coven.comes_back(&coven.bob, "Alice").await;
    let got = coven.house.take(&coven.bob);
    assert!(got.contains("code='332'"), "{got}");
}

/// XEP-0045 5.1: a role that somebody was given lasts as long as the visit, which a restart does not end.
#[tokio::test]
async fn ext_25_voice_that_was_given_outlasts_a_restart() {
    let coven = Coven::new().await;
    coven.enter(&coven.alice, "Alice").await;
    let fields = [
        field("muc#roomconfig_persistentroom", "1"),
        field("muc#roomconfig_moderatedroom", "1"),
    ];
    coven.configure(&fields.concat()).await;
    coven.enter(&coven.bob, "Bob").await;
    coven.enter(&coven.carol, "Carol").await;
    let voice = "<item nick='Bob' role='participant'/><item nick='Carol' role='participant'/>";
    coven.admin(&coven.alice, voice).await;
    // Whose visit ends has it no more.
    coven
        .to(&coven.carol, "Carol", "<presence type='unavailable'/>")
        .await;
    coven.shut_down().await;
    coven.comes_back(&coven.alice, "Alice").await;
    coven.comes_back(&coven.bob, "Bob").await;
    coven.enter(&coven.carol, "Carol").await;
    coven.house.clear();
    coven.say(&coven.bob, "still with voice").await;
    assert!(coven.take(&coven.alice).contains("still with voice"));
    coven.house.clear();
    coven.say(&coven.carol, "without").await;
    coven.got_error(&coven.carol, "forbidden");
    // Nor has who is taken it.
    let silence = "<item nick='Bob' role='visitor'/>";
    coven.admin(&coven.alice, silence).await;
    coven.shut_down().await;
    coven.comes_back(&coven.alice, "Alice").await;
    coven.comes_back(&coven.bob, "Bob").await;
    coven.house.clear();
    coven.say(&coven.bob, "nothing").await;
    coven.got_error(&coven.bob, "forbidden");
}
