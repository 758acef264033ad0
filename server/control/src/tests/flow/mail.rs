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

#[tokio::test]
async fn the_ladder_is_written_about_step_by_step_also_to_who_wants_no_nightly_mail() {
    use crate::ladder::LadderSet;
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live(NAME, "me@example.org").await;
    let tenant = actor.tenant().unwrap().0;
    control.mail_set(&actor, false).await.unwrap();
    house.operator(tenant, "support", "no@example.org").await;
    let set = LadderSet {
        reason: "the invoice is open".into(),
        read_only_days: Some(7),
        erased_days: Some(20),
        ..LadderSet::default()
    };
    control.ladder_set(&system(), tenant, set).await.unwrap();
    let me = |subject: &str| ("me@example.org".to_owned(), format!("{NAME}: {subject}"));
    let amiss = || [me("something is not in order")];

    // The relay is out; nothing is lost. It is not four in the morning, either.
    house.world.fault(|faults| faults.mail_silent = true);
    house.turn().await;
    assert_eq!(mails(&house), []);
    house.world.fault(|faults| faults.mail_silent = false);
    house.turn().await;
    let sent = std::mem::take(&mut *house.world.mails.lock().unwrap());
    let [mail] = sent.as_slice() else {
        panic!("{sent:?}")
    };
    assert_eq!(mail.unsubscribe, None);
    for part in [
        "the invoice is open",
        "change nothing",
        "Everything is erased",
        "From 2024-10-24: Everything",
    ] {
        assert!(mail.text.contains(part), "{part}: {}", mail.text);
    }
    house.later(DAY).await;
    assert_eq!(mails(&house), [], "nothing is said twice");
    house.later(6 * DAY).await;
    assert_eq!(
        mails(&house),
        amiss(),
        "the team can change nothing any more"
    );
    house.later(6 * DAY).await;
    let sent = mails(&house);
    assert_eq!(sent.len(), 1, "a week before the end: {sent:?}");
    assert!(
        sent[0].1.contains("everything here is erased on"),
        "{sent:?}"
    );
    control.ladder_end(&system(), tenant, None).await.unwrap();
    house.later(DAY + 5 * HOUR).await;
    assert_eq!(mails(&house), [me("all is in order again")]);
    house.later(DAY).await;
    assert_eq!(mails(&house), []);
}

#[tokio::test]
async fn what_of_a_plan_is_nearly_used_up_is_part_of_the_night_s_mail_once() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live(NAME, "me@example.org").await;
    let tenant = actor.tenant().unwrap().0;
    house.later(5 * HOUR).await;
    let limit = async |domains| {
        let set = LimitsSet {
            domains: Some(domains),
            ..LimitsSet::default()
        };
        control
            .tenant_set_limits(&system(), tenant, set)
            .await
            .unwrap();
    };
    limit(1).await;
    house.later(DAY).await;
    let sent = std::mem::take(&mut *house.world.mails.lock().unwrap());
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].subject, "Something of your plan is nearly used up");
    assert!(sent[0].text.contains("1 of 1 domains"), "{}", sent[0].text);
    assert!(sent[0].unsubscribe.is_some());
    house.later(DAY).await;
    assert_eq!(mails(&house), [], "nothing is said twice");
    limit(100).await;
    house.later(DAY).await;
    let sent = mails(&house);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].1, "There is room in your plan again");
}
