//! After a proof has lapsed: what stop and start change about it, and who has the name meanwhile.

use super::*;

/// A live domain whose token is then gone for `days`; the token.
async fn gone_for(house: &House, days: i64) -> (Actor, Vec<RecordData>) {
    let actor = house.live("example.com", "me@example.org").await;
    let key = ("_domicile.example.com".to_owned(), "TXT");
    let token = house.world.records.lock().unwrap()[&key].clone();
    house.world.unset("_domicile.example.com", "TXT");
    house.later(HOUR).await;
    house.later(days * DAY).await;
    (actor, token)
}

async fn stop(house: &House, actor: &Actor) {
    let stopped = house.control.domain_suspend(actor, "example.com", "");
    stopped.await.unwrap();
}

async fn start(house: &House, actor: &Actor) {
    let started = house.control.domain_resume(actor, "example.com");
    started.await.unwrap();
}

async fn state_for(house: &House, actor: &Actor) -> State {
    let show = house.control.domain_show(actor, "example.com").await;
    show.unwrap().view.state
}

/// Another customer claims the name and publishes their token instead.
async fn second(house: &House) -> Actor {
    let signed = house.sign_up("example.com", "you@example.org").await;
    let actor = signed.login.resumed.actor;
    let wanted = records(house, &actor, "example.com").await;
    house.world.publish(&wanted);
    actor
}

async fn people(house: &House, actor: &Actor) -> usize {
    let page = house
        .control
        .account_list(actor, "example.com", None, 10)
        .await;
    page.unwrap().accounts.len()
}

#[tokio::test]
async fn stopping_and_starting_neither_passes_over_a_lapsed_proof_nor_renews_its_grace() {
    for platform in [false, true] {
        let house = House::open(false).await;
        let (owner, token) = gone_for(&house, 15).await;
        let by = if platform { system() } else { owner.clone() };
        assert_eq!(state_for(&house, &owner).await, State::Suspended);
        for _ in 0..2 {
            stop(&house, &by).await;
            start(&house, &by).await;
            assert_eq!(state_for(&house, &owner).await, State::Claimed);
            house.turn().await;
            assert_eq!(state_for(&house, &owner).await, State::Claimed);
        }
        house.world.set("_domicile.example.com", "TXT", token);
        house.later(HOUR).await;
        assert_eq!(state_for(&house, &owner).await, State::Live);
    }
    let house = House::open(false).await;
    let (owner, _) = gone_for(&house, 13).await;
    assert_eq!(state_for(&house, &owner).await, State::Live);
    stop(&house, &owner).await;
    start(&house, &owner).await;
    house.turn().await;
    assert!(state_for(&house, &owner).await.is_served());
    house.later(2 * DAY).await;
    assert_eq!(state_for(&house, &owner).await, State::Suspended);
}

#[tokio::test]
async fn starting_again_after_the_lapse_keeps_nobody_out() {
    let house = House::open(false).await;
    let (first, _) = gone_for(&house, 15).await;
    start(&house, &first).await;
    house.turn().await;
    let second = second(&house).await;
    house.later(HOUR).await;
    assert_eq!(state_for(&house, &second).await, State::Live);
    assert_eq!(state_for(&house, &first).await, State::Claimed);
    // Nor does a stop of theirs.
    let house = House::open(false).await;
    let (first, _) = gone_for(&house, 15).await;
    start(&house, &first).await;
    stop(&house, &first).await;
    let second = self::second(&house).await;
    house.later(HOUR).await;
    assert_eq!(state_for(&house, &second).await, State::Live);
}

#[tokio::test]
async fn what_gave_way_to_another_customer_is_kept_when_it_is_started_again() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let theirs = AccountNew {
        local: "juliet".into(),
        password: Some(PASSWORD.into()),
    };
    let added = house.control.account_add(&actor, "example.com", theirs);
    added.await.unwrap();
    // Older than any claim that was never proven may become.
    house.later(60 * DAY).await;
    house.world.unset("_domicile.example.com", "TXT");
    house.later(HOUR).await;
    house.later(15 * DAY).await;
    let second = second(&house).await;
    house.later(HOUR).await;
    assert_eq!(state_for(&house, &second).await, State::Live);

    let show = house.control.domain_show(&actor, "example.com").await;
    let show = show.unwrap();
    assert_eq!(show.view.state, State::Suspended);
    assert!(show.view.status.contains("another customer"));
    assert!(show.next_step.title.contains("Another customer"));
    for _ in 0..2 {
        start(&house, &actor).await;
        house.later(HOUR).await;
        assert_eq!(state_for(&house, &actor).await, State::Claimed);
        stop(&house, &actor).await;
    }
    start(&house, &actor).await;
    house.later(DAY).await;
    assert_eq!(people(&house, &actor).await, 1);
    assert_eq!(people(&house, &second).await, 0);
    assert_eq!(state_for(&house, &second).await, State::Live);
}
