//! Who reaches a limit hears which it is, how much it is, and what to do (DOS-10): one table for all of them.

use crate::grants::{Delegated, Grants};
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

/// XEP-0257: certificates of one account.
#[tokio::test]
async fn dos_10_certificates_are_so_many() {
    use base64::Engine as _;
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let mut answer = String::new();
    for n in 0..=store::CLIENT_CERTIFICATES {
        let params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        let key = rcgen::KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("signed").der().to_vec();
        let der = base64::engine::general_purpose::STANDARD.encode(der);
        let append = format!(
            "<append xmlns='urn:xmpp:saslcert:1'><name>{n}</name><x509cert>{der}</x509cert></append>"
        );
        house.iq(&alice, "set", None, &append).await;
        answer = house.take(&alice);
        assert_eq!(
            answer.contains("type='error'"),
            n == store::CLIENT_CERTIFICATES
        );
    }
    let told = format!("at most {} certificates", store::CLIENT_CERTIFICATES);
    assert!(answer.contains(&told), "{answer}");
}

/// XEP-0355: questions that wait for a component's answer.
#[tokio::test]
async fn dos_10_questions_to_a_component_are_so_many() {
    let mut house = House::new().await;
    house.settings(|settings| {
        settings.components = vec!["bridge".into()];
        settings.grants = vec![Grants {
            label: "bridge".into(),
            delegated: vec![Delegated {
                namespace: "vcard-temp".into(),
                attributes: Vec::new(),
            }],
            ..Grants::default()
        }];
    });
    let alice = house.bind("alice@one.example/phone");
    let error = loop {
        house
            .iq(&alice, "get", None, "<vCard xmlns='vcard-temp'/>")
            .await;
        match house.take(&alice) {
            none if none.is_empty() => assert!(house.take_sent().contains("errand-")),
            error => break error,
        }
    };
    assert!(
        error.contains("<resource-constraint ") && error.contains("at most 500 questions"),
        "{error}"
    );
}

/// … and where it is the bytes of the whole tenant, that number.
#[tokio::test]
async fn a_contact_whose_message_finds_no_room_hears_how_many_bytes_there_are() {
    let mut house = House::with(small()).await;
    house.settings(|s| s.off = vec!["archive".into()]);
    house.item("alice", "romeo@peer.example", "from").await;
    house.quota().set(1_000, 77);
    let message = "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m'><body>x</body></message>";
    house.undeliverable(message).await;
    let error = house.take_sent();
    assert!(
        error.contains("<service-unavailable ") && error.contains("at most 77 bytes"),
        "{error}"
    );
    assert!(!error.contains("2 messages"), "{error}");
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
