//! Messages are delivered before they are committed: whoever asks for one that they have seen finds it (EXT-18).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use store::AccountId;

use super::*;
use crate::archive::bound;
use crate::passage::Passage;

/// Lets it go on until it waits for what is under way, which it has to.
async fn until_it_waits<F: Future>(
    house: &House,
    account: AccountId,
    mut asked: Pin<&mut F>,
    what: &str,
) {
    poll_fn(|cx| {
        assert!(
            asked.as_mut().poll(cx).is_pending(),
            "{what} waits for nothing"
        );
        match house.modules().archive.is_awaited(account) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Alice has the ten of [`full`], and been handed an eleventh, which is not committed, and a twelfth, which is.
async fn two_more(house: &House) -> (Jid, Passage, String) {
    let alice = full(house).await;
    let held = house.comes(&chat("romeo@peer.example/a", "10")).await;
    let held = held.expect("it passes");
    house
        .receives(
            &chat("romeo@peer.example/a", "11"),
            Taken::Session(alice.clone()),
        )
        .await;
    let id = held.kept.as_ref().expect("it is kept").id().to_string();
    house.clear();
    (alice, held, id)
}

#[tokio::test]
async fn ext_18_a_query_waits_for_what_its_asker_may_have_seen() {
    for (what, query, count) in [
        ("everything", String::new(), "12"),
        ("the last two", rsm("<max>2</max><before/>"), "2"),
        ("the number", rsm("<max>0</max>"), "<count>12</count>"),
        ("after it", rsm("<max>9</max><after>{id}</after>"), "1"),
        ("before it", rsm("<max>99</max><before>{id}</before>"), "10"),
        ("itself", form(&[("ids", "{id}")]), "1"),
        ("after it, by field", form(&[("after-id", "{id}")]), "1"),
    ] {
        let house = House::new().await;
        let account = house.account("alice").await;
        let (alice, held, id) = two_more(&house).await;
        let query = query.replace("{id}", &id);
        let mut asked = Box::pin(ask(&house, &alice, &query));
        until_it_waits(&house, account, asked.as_mut(), what).await;
        house.passes(held, Taken::Session(alice.clone())).await;
        let (found, fin) = asked.await;
        match count.parse::<usize>() {
            Ok(count) => assert_eq!(found.len(), count, "{what}: {fin}"),
            Err(_) => assert!(fin.contains(count), "{what}: {fin}"),
        }
        assert!(fin.contains("<fin "), "{what}: {fin}");
    }
}

/// … and they do not name what comes after something that has taken off since: whoever asks for what follows it would never
/// hear of that.
#[tokio::test]
async fn ext_18_the_ends_of_an_archive_wait_too() {
    for binds in [false, true] {
        let house = House::new().await;
        let account = house.account("alice").await;
        let (alice, held, _) = two_more(&house).await;
        let mut asked = Box::pin(async {
            if binds {
                let ends = bound(&house.context("one.example"), &alice).await;
                let mut text = Vec::new();
                ends.expect("an archive").write(&mut text, ns::CLIENT);
                return String::from_utf8(text).expect("UTF-8");
            }
            house
                .iq(&alice, "get", None, "<metadata xmlns='urn:xmpp:mam:2'/>")
                .await;
            house.take(&alice)
        });
        until_it_waits(&house, account, asked.as_mut(), "metadata").await;
        let since = house.comes(&chat("romeo@peer.example/a", "12")).await;
        house
            .receives(
                &chat("romeo@peer.example/a", "13"),
                Taken::Session(alice.clone()),
            )
            .await;
        house.clear();
        house.passes(held, Taken::Session(alice.clone())).await;
        let ends = asked.await;
        let since = since.expect("it passes");
        house.passes(since, Taken::Session(alice.clone())).await;
        let (found, _) = ask(&house, &alice, "").await;
        assert_eq!(found.len(), 14);
        let last = format!("<end id='{}' ", id(&found[11]));
        assert!(ends.contains(&last), "{ends}");
    }
}

/// Later ones are cut off: what came after one that is not committed is not shown before it.
#[tokio::test]
async fn ext_18_what_takes_off_during_the_wait_does_not_make_it_longer() {
    let house = House::new().await;
    let account = house.account("alice").await;
    let (alice, held, _) = two_more(&house).await;
    let query = rsm("<max>99</max>");
    let mut asked = Box::pin(ask(&house, &alice, &query));
    until_it_waits(&house, account, asked.as_mut(), "a query").await;
    let _since = house.comes(&chat("romeo@peer.example/a", "12")).await;
    house
        .receives(
            &chat("romeo@peer.example/a", "13"),
            Taken::Session(alice.clone()),
        )
        .await;
    house.clear();
    house.passes(held, Taken::Session(alice.clone())).await;
    let (found, fin) = asked.await;
    assert_eq!(bodies(&found).last(), Some(&"11"), "{fin}");
    assert_eq!(found.len(), 12);
}

/// What is not stored after all is waited for no longer than that takes.
#[tokio::test]
async fn ext_18_what_fails_is_waited_for_until_it_has() {
    let house = House::new().await;
    let account = house.account("alice").await;
    let (alice, held, _) = two_more(&house).await;
    let mut asked = Box::pin(ask(&house, &alice, ""));
    until_it_waits(&house, account, asked.as_mut(), "a query").await;
    drop(held);
    assert_eq!(asked.await.0.len(), 11);
}

/// … and never longer than a while: never a page that is shorter than what the asker has seen.
#[tokio::test]
async fn ext_18_who_waits_too_long_is_told_to_come_again() {
    let house = House::new().await;
    let account = house.account("alice").await;
    let (alice, _held, _) = two_more(&house).await;
    for query in ["", "<metadata/>"] {
        let mut asked = Box::pin(async {
            match query {
                "" => ask(&house, &alice, query).await.1,
                _ => {
                    house
                        .iq(&alice, "get", None, "<metadata xmlns='urn:xmpp:mam:2'/>")
                        .await;
                    house.take(&alice)
                }
            }
        });
        until_it_waits(&house, account, asked.as_mut(), "a query").await;
        tokio::time::pause();
        let answer = asked.await;
        tokio::time::resume();
        assert!(
            answer.contains("<resource-constraint ") && answer.contains("type='wait'"),
            "{answer}"
        );
    }
}
