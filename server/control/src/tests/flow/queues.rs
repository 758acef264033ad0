//! What the operator sees of the platform's queues when the mail server is silent, a webhook does not answer, the worker stalls.

use super::*;
use crate::tenant::queues::{LATE_SECONDS, MailQueue, Queues};
use crate::webhook::WebhookAsk;

async fn queues(house: &House) -> Queues {
    house.control.overview(&system()).await.unwrap().queues
}

async fn mail(house: &House) -> MailQueue {
    queues(house).await.mail.unwrap()
}

#[tokio::test]
async fn a_stalled_worker_is_seen_by_looks_that_are_late() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    house.later(DAY).await;
    let checks = queues(&house).await.checks;
    assert_eq!((checks.due, checks.late, checks.oldest), (0, 0, None));
    assert!(checks.most > 0 && checks.lease_seconds > 0);
    // Nobody turns the handle: it is due, and then it is late.
    house.world.advance(2 * DAY);
    let stalled = queues(&house).await.checks;
    assert_eq!((stalled.due, stalled.late), (1, 1));
    let since = stalled.oldest.unwrap();
    assert!(since.0 < house.control.now().0 - LATE_SECONDS * SECOND);
    // One that is being looked at is not in line, and is late again when whoever does it has died.
    let now = house.control.now();
    let until = crate::time::plus(now, 60);
    let taken = house
        .control
        .store()
        .domain_claim_due(now, "other", until, 9);
    assert_eq!(taken.await.unwrap().len(), 1);
    let held = queues(&house).await.checks;
    assert_eq!((held.due, held.under_way), (0, 1));
    house.world.advance(61 * SECOND);
    let dead = queues(&house).await.checks;
    assert_eq!((dead.late, dead.under_way), (1, 0));
    house.turn().await;
    assert_eq!(queues(&house).await.checks.due, 0);
}

#[tokio::test]
async fn a_silent_mail_server_is_seen_until_it_takes_mail_again() {
    let house = House::open(false).await;
    // Midnight, in the beginning; mail is written from four on.
    let owner = house.live("example.com", "me@example.org").await;
    house.later(5 * HOUR).await;
    let quiet = mail(&house).await;
    assert_eq!((quiet.waiting, quiet.trouble.as_str()), (0, ""));
    house.world.fault(|faults| faults.mail_silent = true);
    house.world.unset("_xmpp-client._tcp.example.com", "SRV");
    house.later(HOUR).await;
    house.later(DAY).await;
    let silent = mail(&house).await;
    assert_eq!((silent.waiting, silent.sent), (1, 0));
    assert!(silent.trouble.contains("no answer"), "{silent:?}");
    assert_eq!(silent.tried, Some(house.control.now()));
    assert!(silent.next > house.control.now());
    house.world.fault(|faults| faults.mail_silent = false);
    house.later(HOUR).await;
    let well = mail(&house).await;
    assert_eq!((well.waiting, well.sent, well.trouble.as_str()), (0, 1, ""));
    // Nothing of this is a customer's to see.
    assert!(house.control.overview(&owner).await.is_err());
}

#[tokio::test]
async fn webhooks_that_do_not_answer_are_seen_to_wait_and_to_be_given_up() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let ask = WebhookAsk {
        url: "https://hooks.example/x".into(),
        events: vec!["account".into()],
    };
    let made = control.webhook_add(&owner, tenant, ask).await.unwrap();
    control
        .webhook_test(&owner, tenant, made.view.id)
        .await
        .unwrap();
    let waits = queues(&house).await.webhooks;
    assert_eq!((waits.due, waits.late, waits.again), (1, 0, 0));
    assert!(waits.most > 0 && waits.attempts > 1);
    house.world.advance((LATE_SECONDS + 1) * SECOND);
    assert_eq!(queues(&house).await.webhooks.late, 1);
    house.world.fault(|faults| faults.web_silent = true);
    house.turn().await;
    let again = queues(&house).await.webhooks;
    assert_eq!((again.due, again.again, again.given_up), (0, 1, 0));
    // As often as it is tried.
    for _ in 0..again.attempts {
        house.world.advance(DAY);
        house.turn().await;
    }
    let over = control.webhook_deliveries(&owner, tenant).await.unwrap();
    assert_eq!(over[0].state, "given up");
    let row = control.store().deliveries_given_up(over[0].at).await;
    assert_eq!(row.unwrap(), 1);
    let settled = queues(&house).await.webhooks;
    assert_eq!((settled.due, settled.again), (0, 0));
}
