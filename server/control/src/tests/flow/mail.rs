//! The nightly mail: what has changed, once, and to those whom it concerns.

use super::*;

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
