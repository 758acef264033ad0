//! Coming, going and being there (RFC 6121 4.2 to 4.5).

use super::*;

#[tokio::test]
async fn im_21_fresh_knowledge_is_not_asked_for_again() {
    let house = House::new().await;
    house.item("alice", "b@peer.example", "to").await;
    house.item("alice", "c@peer.example", "to").await;
    let _desk = house.online("alice@one.example/desk").await;
    let said =
        "<presence from='b@peer.example/x' to='alice@one.example'><show>away</show></presence>";
    house.presence_in(said).await;
    house.clear();
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='c@peer.example' type='probe'/>");
    house.sent("");
    assert!(
        house.all(&phone).contains(&said.to_owned()),
        "what is known is told"
    );
    // A contact who has gone is known to be away.
    house
        .presence_in(
            "<presence from='b@peer.example/x' to='alice@one.example' type='unavailable'/>",
        )
        .await;
    let tablet = house.bind("alice@one.example/tablet");
    house.presence(&tablet, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='c@peer.example' type='probe'/>");
    house.sent("");
    assert!(!house.all(&tablet).concat().contains("b@peer.example"));
    // What strangers say is not remembered, and nothing is after a new subscription.
    house
        .presence_in("<presence from='z@peer.example/x' to='alice@one.example'/>")
        .await;
    house
        .presence(&phone, "<presence to='b@peer.example' type='subscribe'/>")
        .await;
    house.clear();
    let watch = house.bind("alice@one.example/watch");
    house.presence(&watch, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='b@peer.example' type='probe'/>");
}

#[tokio::test]
async fn im_21_initial_presence_goes_to_subscribers_and_own_sessions_then_probes() {
    let house = House::new().await;
    for (contact, subscription) in [("a", "none"), ("b", "to"), ("c", "from"), ("d", "both")] {
        house
            .item("alice", &format!("{contact}@peer.example"), subscription)
            .await;
    }
    let desk = house.online("alice@one.example/desk").await;
    let phone = house.bind("alice@one.example/phone");
    house
        .presence(&phone, "<presence id='p'><show>chat</show></presence>")
        .await;
    let shown = |to: &str| {
        format!(
            "<presence from='alice@one.example/phone' to='{to}' id='p'><show>chat</show></presence>"
        )
    };
    house.sent(&shown("c@peer.example"));
    house.sent(&shown("d@peer.example"));
    // IM-22
    house.sent("<presence from='alice@one.example' to='b@peer.example' type='probe'/>");
    house.sent("<presence from='alice@one.example' to='d@peer.example' type='probe'/>");
    house.sent("");
    house.got(&desk, &shown("alice@one.example"));
    house.got(&phone, &shown("alice@one.example"));
    house.got(
        &phone,
        "<presence from='alice@one.example/desk' to='alice@one.example'/>",
    );
    house.got(&phone, "");
    // IM-27: an update goes to the same, without probes.
    house
        .presence(&phone, "<presence><x xmlns='urn:x'/></presence>")
        .await;
    let update = |to: &str| {
        format!("<presence from='alice@one.example/phone' to='{to}'><x xmlns='urn:x'/></presence>")
    };
    house.sent(&update("c@peer.example"));
    house.sent(&update("d@peer.example"));
    house.sent("");
    house.got(&desk, &update("alice@one.example"));
    house.got(&phone, &update("alice@one.example"));
}

#[tokio::test]
async fn im_22_contacts_of_the_same_domain_are_looked_at_without_a_probe() {
    let house = House::new().await;
    for (local, contact) in [
        ("alice", "bob@one.example"),
        ("alice", "carol@one.example"),
        ("bob", "alice@one.example"),
    ] {
        house.item(local, contact, "both").await;
    }
    let bob = house.online("bob@one.example/desk").await;
    let carol = house.online("carol@one.example/desk").await;
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    let shown = |to: &str| format!("<presence from='alice@one.example/phone' to='{to}'/>");
    house.got(&alice, &shown("alice@one.example"));
    house.got(
        &alice,
        "<presence from='bob@one.example/desk' to='alice@one.example'/>",
    );
    // Carol's roster does not know alice: the two are brought in line (RFC 6121 4.3.2).
    house.got(&alice, "");
    house.got(&bob, &shown("bob@one.example"));
    house.got(&carol, &shown("carol@one.example"));
    house.sent("");
    assert_eq!(house.state("alice", "carol@one.example").await, "from");
}

#[tokio::test]
async fn im_11_unanswered_requests_are_repeated_when_the_account_comes_back() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("subscribe")).await;
    house.gone(&alice).await;
    house.clear();
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    house.sent(&to_romeo("subscribe"));
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    house.sent("");
}

#[tokio::test]
async fn im_28_going_is_told_to_subscribers_and_own_sessions_gracefully_or_not() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    let desk = house.online("alice@one.example/desk").await;
    let phone = house.online("alice@one.example/phone").await;
    let bye = |from: &str, to: &str, rest: &str| {
        format!("<presence from='{from}' to='{to}' type='unavailable'{rest}")
    };
    house.clear();
    house
        .presence(
            &phone,
            "<presence type='unavailable'><status>bye</status></presence>",
        )
        .await;
    let rest = "><status>bye</status></presence>";
    house.sent(&bye("alice@one.example/phone", ROMEO, rest));
    house.got(
        &desk,
        &bye("alice@one.example/phone", "alice@one.example", rest),
    );
    house.got(
        &phone,
        &bye("alice@one.example/phone", "alice@one.example", rest),
    );
    // It is gone already: the end of the stream says nothing new.
    house.gone(&phone).await;
    house.sent("");
    house.got(&desk, "");
    house.gone(&desk).await;
    house.sent(&bye("alice@one.example/desk", ROMEO, "/>"));
}

#[tokio::test]
async fn im_29_presence_to_the_bare_jid_goes_to_all_available_sessions() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    let silent = house.bind("alice@one.example/silent");
    house.clear();
    for type_ in ["", " type='unavailable'", " type='error'"] {
        let presence =
            format!("<presence from='romeo@peer.example/x' to='alice@one.example'{type_}/>");
        house.presence_in(&presence).await;
        house.got(&phone, &presence);
        house.got(&desk, &presence);
        house.got(&silent, "");
    }
    // IM-40: to one session, available or not, or to none.
    let presence = "<presence from='romeo@peer.example/x' to='alice@one.example/silent'/>";
    house.presence_in(presence).await;
    house.got(&silent, presence);
    house.got(&phone, "");
    house
        .presence_in("<presence from='romeo@peer.example/x' to='alice@one.example/gone'/>")
        .await;
    house
        .presence_in("<presence from='romeo@peer.example/x' to='nobody@one.example'/>")
        .await;
    house.got(&phone, "");
    house.sent("");
}

#[tokio::test]
async fn im_31_priority() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    for bad in ["128", "-129", "x", "", "1</priority><priority>2"] {
        house
            .presence(
                &alice,
                &format!("<presence><priority>{bad}</priority></presence>"),
            )
            .await;
        house.got_error(&alice, "bad-request");
    }
    assert!(!house.session(&alice).available());
    for (text, priority) in [("127", 127), ("-128", -128), ("+1", 1), (" 5 ", 5)] {
        house
            .presence(
                &alice,
                &format!("<presence><priority>{text}</priority></presence>"),
            )
            .await;
        assert_eq!(house.session(&alice).priority, priority);
    }
    house.presence(&alice, "<presence/>").await;
    assert_eq!(house.session(&alice).priority, 0);
}
