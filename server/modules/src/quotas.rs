//! Who reaches a limit hears which it is, how much it is, and what to do (DOS-10): one table for all of them.

use crate::memory::Limits;
use crate::testing::House;

const ENABLE: &str = "<enable xmlns='urn:xmpp:push:0' jid='push.peer.example' node='N'/>";

fn small() -> Limits {
    Limits {
        roster_name_bytes: 11,
        roster_group_bytes: 12,
        roster_groups: 3,
        directed: 4,
        offline_messages: 2,
        requests: 1,
        ..Limits::default()
    }
}

#[tokio::test]
async fn every_quota_says_its_number() {
    let house = House::with(small()).await;
    let alice = house.online("alice@one.example/phone").await;
    for n in 0..10 {
        let enable = ENABLE.replace("'N'", &format!("'{n}'"));
        house.iq(&alice, "set", None, &enable).await;
    }
    house.clear();
    let long = "x".repeat(20);
    let roster = |inside: &str| {
        format!(
            "<query xmlns='jabber:iq:roster'><item jid='romeo@peer.example' {inside}</item></query>"
        )
    };
    let groups: String = (0..4).map(|n| format!("<group>{n}</group>")).collect();
    for (request, told) in [
        (ENABLE.to_owned(), "at most 10 push registrations"),
        (roster(&format!("name='{long}'>")), "at most 11 bytes"),
        (
            roster(&format!("><group>{long}</group>")),
            "at most 12 bytes",
        ),
        (roster(&format!(">{groups}")), "in at most 3 groups"),
    ] {
        house.iq(&alice, "set", None, &request).await;
        let error = house.take(&alice);
        assert!(error.contains(told), "{told}: {error}");
    }
    for n in 0..4 {
        house
            .presence(&alice, &format!("<presence to='room{n}@muc.example/a'/>"))
            .await;
    }
    house.clear();
    house
        .presence(&alice, "<presence to='room5@muc.example/a'/>")
        .await;
    let error = house.take(&alice);
    assert!(
        error.contains("at most 4 addresses") && error.contains("leave"),
        "{error}"
    );
}

#[tokio::test]
async fn a_contact_whose_message_is_one_too_many_hears_how_many_wait() {
    let mut house = House::with(small()).await;
    // What is archived waits there.
    house.settings(|s| s.off = vec!["archive".into()]);
    house.item("alice", "romeo@peer.example", "from").await;
    let message = "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m'><body>x</body></message>";
    for _ in 0..2 {
        house.undeliverable(message).await;
        house.sent("");
    }
    house.undeliverable(message).await;
    let error = house.take_sent();
    assert!(
        error.contains("<service-unavailable ") && error.contains("at most 2 messages wait"),
        "{error}"
    );
}

/// Of what nobody else may be told, the account's owner is, and once a day is enough.
#[tokio::test]
async fn the_owner_hears_that_requests_or_the_archive_are_full() {
    let house = House::with(small()).await;
    let alice = house.online("alice@one.example/phone").await;
    let ask = async |who: &str| {
        house
            .presence_in(&format!(
                "<presence from='{who}@peer.example' to='alice@one.example' type='subscribe'/>"
            ))
            .await;
        house.all(&alice).concat()
    };
    assert!(!ask("romeo").await.contains("<body>"));
    let told = ask("tybalt").await;
    assert!(
        told.contains("from='one.example'") && told.contains("type='headline'"),
        "{told}"
    );
    assert!(told.contains("1 request"), "{told}");
    house.sent("");
    assert_eq!(ask("mercutio").await, "", "once");
    house.later(86_400);
    assert!(ask("paris").await.contains("1 request"));
    house.quota().set_kept(100, u64::MAX);
    let long = "y".repeat(200);
    let message = format!(
        "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m'><body>{long}</body></message>"
    );
    for told in [true, false] {
        let passed = house
            .receives(&message, crate::Taken::Session(alice.clone()))
            .await;
        assert!(passed.contains(&long) && !passed.contains("<stanza-id"));
        let heard = house.all(&alice).concat();
        assert_eq!(heard.contains("archived any more"), told, "{heard}");
        assert_eq!(heard.contains("100 bytes"), told, "{heard}");
    }
}
