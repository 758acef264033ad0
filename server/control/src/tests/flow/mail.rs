//! The nightly mail: what has changed, once, and to those whom it concerns.

use super::*;
use crate::audit::AuditQuery;

const NAME: &str = "example.com";
const CLIENT: &str = "_xmpp-client._tcp.example.com";

fn mails(house: &House) -> Vec<(String, String)> {
    let mails = std::mem::take(&mut *house.world.mails.lock().unwrap());
    mails
        .into_iter()
        .map(|mail| (mail.to, mail.subject))
        .collect()
}

#[tokio::test]
async fn a_night_brings_the_difference_and_a_quiet_one_nothing() {
    let house = House::open(false).await;
    // Midnight, in the beginning.
    let actor = house.live(NAME, "me@example.org").await;
    house
        .operator(actor.tenant().unwrap().0, "auditor", "other@example.org")
        .await;
    house.later(3 * HOUR).await;
    assert_eq!(
        mails(&house),
        [],
        "it is not four yet, and nothing has changed"
    );
    house.later(2 * HOUR).await;
    assert_eq!(mails(&house), [], "that it is live is no news");

    house.world.unset(CLIENT, "SRV");
    house.later(HOUR).await;
    assert_eq!(mails(&house), [], "once a night");
    house.later(DAY).await;
    let subject = format!("{NAME}: something needs a look");
    assert_eq!(mails(&house), [("me@example.org".to_owned(), subject)]);
    house.later(DAY).await;
    assert_eq!(mails(&house), [], "nothing is said twice");

    // Over again; but the relay is out for a night.
    let wanted = records(&house, &actor, NAME).await;
    house.world.publish(&wanted);
    house.world.fault(|faults| faults.mail_silent = true);
    house.later(DAY).await;
    assert_eq!(mails(&house), []);
    house.world.fault(|faults| faults.mail_silent = false);
    house.later(HOUR).await;
    let subject = format!("{NAME}: all is well again");
    assert_eq!(mails(&house), [("me@example.org".to_owned(), subject)]);
}

#[tokio::test]
async fn the_link_of_a_mail_ends_it_for_its_reader_alone_without_a_login() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live(NAME, "me@example.org").await;
    let tenant = actor.tenant().unwrap().0;
    let other = house.operator(tenant, "admin", "other@example.org").await;
    house.later(5 * HOUR).await;
    house.world.unset(CLIENT, "SRV");
    house.later(DAY).await;
    let sent = std::mem::take(&mut *house.world.mails.lock().unwrap());
    let links: Vec<_> = sent.iter().map(|mail| mail.unsubscribe.clone()).collect();
    assert_eq!(links.len(), 2, "{sent:?}");
    let link = links[0].clone().unwrap();
    assert!(sent[0].text.contains(&link), "{}", sent[0].text);
    let page = "https://panel.hosting.example/unsubscribe/";
    let token = link.strip_prefix(page).unwrap();

    let origin = Origin::default();
    let shown = control.unsubscribe_show(token, &origin).await.unwrap();
    assert_eq!(
        (shown.login.as_str(), shown.nightly),
        ("me@example.org", true)
    );
    let view = control.mail_show(&actor).await.unwrap();
    assert!(view.nightly && view.written, "looking changes nothing");
    for _ in 0..2 {
        let done = control.unsubscribe(token, &origin).await.unwrap();
        assert!(!done.nightly);
    }
    assert!(!control.mail_show(&actor).await.unwrap().nightly);
    assert!(control.mail_show(&other).await.unwrap().nightly);
    let query = AuditQuery {
        operation: "mail.set".into(),
        ..AuditQuery::default()
    };
    let log = control.audit_list(&actor, &query).await.unwrap();
    assert_eq!(log.len(), 1, "doing it again is no change: {log:?}");
    assert_eq!(log[0].actor, "me@example.org");

    let wanted = records(&house, &actor, NAME).await;
    house.world.publish(&wanted);
    house.later(DAY).await;
    let readers: Vec<_> = mails(&house).into_iter().map(|(to, _)| to).collect();
    assert_eq!(readers, ["other@example.org"]);
    assert!(control.mail_set(&actor, true).await.unwrap().nightly);

    // Whoever guesses is told nothing, and not for long.
    let mut refused = Vec::new();
    for n in 0..40 {
        let guess = format!("{token}{n}");
        refused.push(control.unsubscribe(&guess, &origin).await.unwrap_err());
    }
    assert!(matches!(refused[0], ControlError::NotSignedIn { .. }));
    assert!(matches!(refused[39], ControlError::TooMany { .. }));
    assert!(control.unsubscribe_show(token, &origin).await.is_ok());
}
