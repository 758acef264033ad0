//! Webhooks: told in order, signed, tried again, given up.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::webhook::{DeliveryView, WebhookAsk};

const URL: &str = "https://hooks.example/x";

async fn log(house: &House, actor: &Actor) -> Vec<DeliveryView> {
    let tenant = actor.tenant().unwrap().0;
    let log = house.control.webhook_deliveries(actor, tenant).await;
    log.unwrap()
}

#[tokio::test]
async fn what_is_done_is_told_once_and_signed() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let other = house.live("example.net", "you@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let ask = WebhookAsk {
        url: URL.into(),
        events: vec!["account".into()],
    };
    let made = control.webhook_add(&owner, tenant, ask).await.unwrap();
    let answer = |status| dna::Reply {
        status,
        location: None,
        allow_origin: None,
        body: Vec::new(),
    };
    house
        .world
        .pages
        .lock()
        .unwrap()
        .insert(URL.into(), answer(204));
    for (actor, domain) in [(&owner, "example.com"), (&other, "example.net")] {
        let new = AccountNew {
            local: "juliet".into(),
            password: Some(PASSWORD.into()),
        };
        control.account_add(actor, domain, new).await.unwrap();
        control.domain_suspend(actor, domain, "").await.unwrap();
    }
    house.turn().await;
    house.turn().await;
    let posted = house.world.posted.lock().unwrap().clone();
    assert_eq!(posted.len(), 1, "{posted:?}");
    let (url, post) = &posted[0];
    assert_eq!(url, URL);
    let header = |name: &str| {
        let found = post.headers.iter().find(|(known, _)| *known == name);
        found.unwrap().1.clone()
    };
    let body: serde_json::Value = serde_json::from_slice(&post.body).unwrap();
    assert_eq!(body["type"], "account.add");
    assert_eq!(body["data"]["object"], "juliet@example.com");
    assert!(!body.to_string().contains(PASSWORD));
    // As the receiver checks it.
    let secret = made.secret.strip_prefix("whsec_").unwrap();
    let secret = data_encoding::BASE64.decode(secret.as_bytes()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    let signed = format!("{}.{}.", header("webhook-id"), header("webhook-timestamp"));
    mac.update(signed.as_bytes());
    mac.update(&post.body);
    let expected = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
    let log = log(&house, &owner).await;
    assert_eq!(
        (log.len(), log[0].state, log[0].status),
        (1, "delivered", Some(204))
    );
    assert_eq!(header("webhook-id"), format!("msg_{}", log[0].id));
}

#[tokio::test]
async fn who_does_not_answer_is_told_again_with_growing_pauses_and_then_no_more() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let ask = WebhookAsk {
        url: URL.into(),
        events: vec!["account".into()],
    };
    let hook = control.webhook_add(&owner, tenant, ask).await.unwrap();
    house.world.faults.lock().unwrap().web_silent = true;
    control
        .webhook_test(&owner, tenant, hook.view.id)
        .await
        .unwrap();
    let mut pauses = Vec::new();
    for _ in 0..20 {
        house.turn().await;
        let last = log(&house, &owner).await.remove(0);
        let Some(next) = last.next else {
            assert_eq!((last.state, last.attempts), ("given up", 9));
            break;
        };
        assert!(last.said.contains("no answer in time"), "{}", last.said);
        let pause = next.0 - control.now().0;
        pauses.push(pause / SECOND);
        house.world.advance(pause);
    }
    assert!(pauses.is_sorted() && pauses.len() == 8, "{pauses:?}");
    let ids: std::collections::BTreeSet<_> = house
        .world
        .posted
        .lock()
        .unwrap()
        .iter()
        .map(|(_, post)| post.headers[0].1.clone())
        .collect();
    assert_eq!(ids.len(), 1, "the same message each time");
    // One that says it is gone is left alone at once.
    house.world.faults.lock().unwrap().web_silent = false;
    let gone = dna::Reply {
        status: 410,
        location: None,
        allow_origin: None,
        body: Vec::new(),
    };
    house.world.pages.lock().unwrap().insert(URL.into(), gone);
    control
        .webhook_test(&owner, tenant, hook.view.id)
        .await
        .unwrap();
    house.turn().await;
    let last = log(&house, &owner).await.remove(0);
    assert_eq!((last.state, last.attempts), ("given up", 1));
}

#[tokio::test]
async fn what_is_seen_is_told_and_silence_is_not() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let ask = WebhookAsk {
        url: URL.into(),
        events: vec!["domain.state".into(), "domain.finding".into()],
    };
    control.webhook_add(&owner, tenant, ask).await.unwrap();
    let told = async || {
        let all = log(&house, &owner).await;
        let mut said: Vec<_> = all
            .into_iter()
            .map(|one| {
                let body: serde_json::Value = serde_json::from_str(&one.body).unwrap();
                let of = |key: &str| body["data"][key].as_str().unwrap().to_owned();
                (one.event, of("object"), of("detail"))
            })
            .collect();
        said.sort();
        said
    };
    house.later(HOUR).await;
    assert_eq!(told().await, [], "nothing is new");

    let client = "_xmpp-client._tcp.example.com";
    house.world.unset(client, "SRV");
    house.later(HOUR).await;
    let said = told().await;
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        (said[0].0.as_str(), said[0].1.as_str()),
        ("domain.finding", "SRV _xmpp-client._tcp.example.com")
    );
    assert!(said[0].2.starts_with("srv-missing: seen "), "{said:?}");
    assert_eq!(
        (said[1].0.as_str(), said[1].2.as_str()),
        ("domain.state", "degraded; it was live")
    );
    // Who cannot be asked has not answered.
    house.world.fault(|faults| faults.dns_silent = true);
    house.later(HOUR).await;
    house.world.fault(|faults| faults.dns_silent = false);
    house.later(HOUR).await;
    assert_eq!(told().await, said, "nothing is said twice");

    house
        .world
        .publish(&records(&house, &owner, "example.com").await);
    house.later(HOUR).await;
    let said = told().await;
    assert_eq!(said.len(), 4, "{said:?}");
    let over = |(_, _, detail): &(_, _, String)| detail.starts_with("srv-missing: over.");
    assert!(said.iter().any(over), "{said:?}");
    assert_eq!(said[3].2, "live; it was degraded");
}
