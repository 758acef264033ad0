//! Certificates that are proven by a redirect or by a standing record, and what becomes of them when a domain leaves.

use dna::Reply;

use super::*;
use crate::outside::{Method, RevocationReason};
use crate::records::Whose;

const NAME: &str = "example.com";

async fn set(house: &House, actor: &Actor, mode: &str) -> crate::Result<()> {
    let set = DomainSet {
        mode: Some(mode.into()),
        services: Some(vec![]),
        ..DomainSet::default()
    };
    house.control.domain_set(actor, NAME, set).await.map(|_| ())
}

/// Publishes what is wanted, but for the challenge.
async fn publish(house: &House, actor: &Actor) {
    let wanted = records(house, actor, NAME).await;
    let proofs = [Purpose::Challenge, Purpose::Persist];
    let others: Vec<_> = wanted
        .into_iter()
        .filter(|record| !proofs.contains(&record.purpose))
        .collect();
    house.world.publish(&others);
}

#[tokio::test]
async fn acme_05_a_redirect_is_looked_at_before_an_order_is_spent() {
    let house = House::open(false).await;
    let signed = house.sign_up(NAME, "me@example.org").await;
    let actor = signed.login.resumed.actor;
    set(&house, &actor, "http-redirect").await.unwrap();
    publish(&house, &actor).await;
    house.turn().await;
    let page = house.control.domain_records(&actor, NAME).await.unwrap();
    let own = |page: &crate::records::RecordsPage| {
        let mut views = page.web.iter();
        let view = views.find(|view| view.service == "acme-challenge");
        view.expect("an address").clone()
    };
    let view = own(&page);
    assert_eq!(
        view.address,
        "http://example.com/.well-known/acme-challenge/"
    );
    let label = view.redirect.rsplit('/').nth(1).unwrap().to_owned();
    assert_eq!(
        view.redirect,
        format!("https://web.hosting.example/acme/{label}/")
    );
    assert_eq!(view.standing, Standing::Different);
    assert!(
        codes(&house, NAME)
            .await
            .contains(&("acme-http-elsewhere".into(), Severity::Critical))
    );
    assert!(house.world.orders.lock().unwrap().is_empty());

    // The owner's website leads to us, and our door answers what control tells it.
    let token = format!("domicile-{label}");
    let answer = house
        .control
        .challenge_answer(Whose::Label(&label), &token)
        .await
        .unwrap()
        .unwrap();
    let named = xmpp::jid::DomainName::parse(NAME).unwrap();
    let same = house
        .control
        .challenge_answer(Whose::Domain(&named), &token)
        .await;
    assert_eq!(same.unwrap(), Some(answer.clone()));
    let to = format!("{}{token}", view.redirect);
    let redirect = Reply {
        status: 302,
        location: Some(to.clone()),
        allow_origin: None,
        body: Vec::new(),
    };
    let document = Reply {
        status: 200,
        location: None,
        allow_origin: None,
        body: answer.into_bytes(),
    };
    let first = format!("{}{token}", view.address);
    house
        .world
        .pages
        .lock()
        .unwrap()
        .insert(first.clone(), redirect);
    house.world.pages.lock().unwrap().insert(to, document);
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, NAME).await, State::Live);
    assert_eq!(
        *house.world.proven.lock().unwrap(),
        [(NAME.to_owned(), Method::Http)]
    );
    let page = house.control.domain_records(&actor, NAME).await.unwrap();
    assert_eq!(own(&page).standing, Standing::Seen);

    // Later it breaks: nobody feels it yet, and the renewal spends nothing.
    house.world.pages.lock().unwrap().remove(&first);
    house.later(1800 * SECOND).await;
    assert_eq!(
        codes(&house, NAME).await,
        only("acme-http-elsewhere", Severity::Warning)
    );
    house.later(61 * DAY).await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 1);
    house.world.fault(|faults| faults.web_silent = true);
    house.later(1800 * SECOND).await;
    assert!(
        codes(&house, NAME)
            .await
            .contains(&("resolver-unknown".into(), Severity::Unknown))
    );
}

#[tokio::test]
async fn acme_08_nothing_is_answered_for_another_domain_or_to_what_is_no_token() {
    let house = House::open(false).await;
    house.live(NAME, "me@example.org").await;
    house.live("other.example", "you@example.org").await;
    let label = |name: &'static str| {
        let control = house.control.clone();
        async move {
            let target = control.domain_show(&system(), name).await.unwrap().target;
            target.split('.').next().unwrap().to_owned()
        }
    };
    let (one, two) = (label(NAME).await, label("other.example").await);
    for (whose, token) in [
        (&one, format!("domicile-{two}")),
        (&one, String::new()),
        (&one, "../x".into()),
        (&one, "x".repeat(300)),
        (&"nobody".to_owned(), "domicile-nobody".into()),
    ] {
        let answer = house
            .control
            .challenge_answer(Whose::Label(whose), &token)
            .await;
        assert_eq!(answer.unwrap(), None, "{whose} {token}");
    }
}

#[tokio::test]
async fn dns_persist_01_is_offered_where_the_authority_does_and_never_ends_unnoticed() {
    let house = House::open(false).await;
    let signed = house.sign_up(NAME, "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let refused = set(&house, &actor, "dns-persist").await.unwrap_err();
    assert!(matches!(refused, ControlError::Invalid { .. }), "{refused}");
    let offered = |house: &House| {
        let modes = house.control.modes().into_iter();
        modes
            .filter(|offer| offer.available)
            .any(|offer| offer.cost.mode == "dns-persist")
    };
    assert!(!offered(&house));
    *house.world.persistent.lock().unwrap() = vec!["ca.example".into()];
    assert!(offered(&house));
    set(&house, &actor, "dns-persist").await.unwrap();
    publish(&house, &actor).await;
    house.turn().await;
    let missing = ("acme-persist-missing".to_owned(), Severity::Critical);
    assert!(codes(&house, NAME).await.contains(&missing));
    let text = |more: &str| {
        let text = format!("ca.example; accounturi=https://ca.example/acct/1{more}");
        vec![RecordData::Txt(text)]
    };
    let at = "_validation-persist.example.com";
    let wanted = records(&house, &actor, NAME).await;
    assert!(wanted.iter().any(|record| record.name == format!("{at}.")
        && record.value_text == "\"ca.example; accounturi=https://ca.example/acct/1\""));
    house.world.set(
        at,
        "TXT",
        vec![RecordData::Txt(
            "ca.example; accounturi=https://ca.example/acct/2".into(),
        )],
    );
    house.later(20 * SECOND).await;
    let wrong = ("acme-persist-wrong".to_owned(), Severity::Critical);
    assert!(codes(&house, NAME).await.contains(&wrong));
    assert!(house.world.orders.lock().unwrap().is_empty());

    // The owner may say until when; it counts until then.
    let now = 20_000 * DAY / SECOND;
    let end = |days: i64| format!("; policy=wildcard; persistUntil={}", now + days * 86_400);
    house.world.set(at, "TXT", text(&end(10)));
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, NAME).await, State::Live);
    assert_eq!(
        codes(&house, NAME).await,
        only("acme-persist-ends", Severity::Warning)
    );
    assert_eq!(
        *house.world.proven.lock().unwrap(),
        [(NAME.to_owned(), Method::DnsPersist)]
    );
    house.world.set(at, "TXT", text(&end(1)));
    house.later(61 * DAY).await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 1, "it has ended");
    house.world.set(at, "TXT", text(""));
    house.later(1800 * SECOND).await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 2);
    assert_eq!(codes(&house, NAME).await, []);

    // An authority that offers it no longer.
    house.world.persistent.lock().unwrap().clear();
    house.later(1800 * SECOND).await;
    assert!(
        codes(&house, NAME)
            .await
            .iter()
            .any(|(code, _)| code == "acme-persist-unoffered")
    );
}

#[tokio::test]
async fn acme_15_a_domain_that_leaves_has_its_certificates_revoked_sooner_or_later() {
    let house = House::open(false).await;
    let actor = house.live(NAME, "me@example.org").await;
    house.world.fault(|faults| faults.revoke_silent = true);
    house.control.domain_remove(&actor, NAME).await.unwrap();
    house.turn().await;
    assert!(house.world.revoked.lock().unwrap().is_empty());
    assert!(
        house
            .world
            .records
            .lock()
            .unwrap()
            .keys()
            .all(|(name, _)| !name.ends_with("on.hosting.example")),
        "our zone knows nothing of it"
    );
    house.world.fault(|faults| faults.revoke_silent = false);
    house.later(300 * SECOND).await;
    house.later(600 * SECOND).await;
    let revoked = house.world.revoked.lock().unwrap().clone();
    assert_eq!(
        revoked
            .iter()
            .map(|(_, reason)| *reason)
            .collect::<Vec<_>>(),
        [RevocationReason::CessationOfOperation]
    );
    house.later(DAY).await;
    assert_eq!(house.world.revoked.lock().unwrap().len(), 1, "once");
}

#[tokio::test]
async fn our_own_host_is_put_right_when_somebody_has_changed_it() {
    let house = House::open(false).await;
    let actor = house.live(NAME, "me@example.org").await;
    let target = house
        .control
        .domain_show(&actor, NAME)
        .await
        .unwrap()
        .target;
    let ours = || {
        let records = house.world.records.lock().unwrap();
        records.get(&(target.clone(), "A")).cloned()
    };
    let right = ours();
    assert!(right.is_some());
    house
        .world
        .set(&target, "A", vec![RecordData::A([192, 0, 2, 9].into())]);
    house.later(1800 * SECOND).await;
    assert_eq!(ours(), right, "published again in the same look");
    assert_eq!(
        codes(&house, NAME).await,
        only("target-drift", Severity::Warning)
    );
    house.later(1800 * SECOND).await;
    assert_eq!(codes(&house, NAME).await, []);
    house.world.unset(&target, "A");
    house.later(1800 * SECOND).await;
    assert_eq!(ours(), right);
}
