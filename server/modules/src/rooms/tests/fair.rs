//! What one person may make a room do: invitations, bytes that it keeps, copies that it sends.

use super::*;
use crate::memory::Limits;

fn invite(whom: &[&str]) -> String {
    let invites: String = whom
        .iter()
        .map(|to| {
            format!(
                "<invite to='{to}'><reason>{}</reason></invite>",
                "x".repeat(600)
            )
        })
        .collect();
    format!("<message><x xmlns='http://jabber.org/protocol/muc#user'>{invites}</x></message>")
}

/// DOS-09: who writes to people by way of a room writes to them.
#[tokio::test]
async fn dos_09_each_invitation_counts_as_a_recipient() {
    let coven = Coven::open().await;
    coven.house.recipients(3);
    let some = ["a@peer.example", "b@peer.example"];
    coven.to(&coven.alice, "", &invite(&some)).await;
    let sent = coven.house.take_sent();
    assert!(sent.contains("to='a@peer.example'"), "{sent}");
    let reason = format!("<reason>{}</reason>", "x".repeat(500));
    assert!(sent.contains(&reason), "cut: {sent}");
    coven.house.clear();
    let more = ["c@peer.example", "d@peer.example"];
    coven.to(&coven.alice, "", &invite(&more)).await;
    coven.got_error(&coven.alice, "policy-violation");
    assert_eq!(coven.house.take_sent(), "", "nobody is invited");
    // Those who were written to may be written to again.
    coven.to(&coven.alice, "", &invite(&some)).await;
    assert!(coven.house.take_sent().contains("to='a@peer.example'"));
}

/// Who is not of the domain invites in its name where the room knows them.
#[tokio::test]
async fn dos_09_visitors_from_elsewhere_invite_nobody() {
    let coven = Coven::open().await;
    let romeo = Jid::parse("romeo@peer.example/r").expect("an address");
    coven.enter(&romeo, "Romeo").await;
    coven.house.clear();
    coven.to(&romeo, "", &invite(&["a@else.example"])).await;
    coven.house.sent_error(COVEN, "forbidden");
    let member = "<item affiliation='member' jid='romeo@peer.example'/>";
    coven.admin(&coven.alice, member).await;
    coven.house.clear();
    coven.to(&romeo, "", &invite(&["a@else.example"])).await;
    assert!(coven.house.take_sent().contains("to='a@else.example'"));
}

/// DOS-10: what is kept for those who enter has bytes, not only messages.
#[tokio::test]
async fn dos_10_a_rooms_history_has_a_limit_in_bytes() {
    let limits = Limits {
        room_history_bytes: 3_000,
        ..Limits::default()
    };
    let coven = Coven::of(House::with(limits).await).await;
    coven.enter(&coven.alice, "Alice").await;
    coven.configure("").await;
    for n in 0..5 {
        let body = format!("{n}{}", "x".repeat(900));
        coven.say(&coven.alice, &body).await;
    }
    let shown_to = async |who: &Jid, nick: &str| {
        coven.enter(who, nick).await;
        let shown = coven.all(who);
        let said = shown.iter().filter_map(|xml| xml.split_once("<body>"));
        let first = said.filter_map(|(_, body)| body.chars().next());
        first.collect::<String>()
    };
    assert_eq!(shown_to(&coven.carol, "Carol").await, "34");
    coven.say(&coven.alice, &"y".repeat(4_000)).await;
    coven.say(&coven.alice, "last").await;
    let shown = shown_to(&coven.bob, "Bob").await;
    assert_eq!(shown, "l", "nothing older than what is left out");
}

/// DOS-10: what is said costs as many copies as there are hearers, and who says it pays for them.
#[tokio::test]
async fn dos_10_copies_are_paid_for() {
    let limits = Limits {
        room_copies: 1,
        ..Limits::default()
    };
    let coven = Coven::of(House::with(limits).await).await;
    coven.enter(&coven.alice, "Alice").await;
    coven.configure("").await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    let mut said = 0;
    let refused = loop {
        coven.say(&coven.alice, "again").await;
        let got = coven.take(&coven.alice);
        if got.contains("type='error'") {
            break got;
        }
        said += 1;
        assert!(said < 100, "no end to it");
    };
    assert!(
        refused.contains("type='wait'><policy-violation "),
        "{refused}"
    );
    assert!(said >= 3, "ten seconds' worth at once");
    coven.house.clear();
    coven.say(&coven.bob, "a word of mine").await;
    assert!(
        coven.take(&coven.alice).contains("a word of mine"),
        "each pays alone"
    );
    // So does who shows themselves in ever new ways.
    coven.enter(&coven.alice, "Allie").await;
    coven.got_error(&coven.alice, "policy-violation");
    coven.house.later(30);
    coven.house.clear();
    coven.say(&coven.alice, "once more").await;
    assert!(coven.take(&coven.bob).contains("once more"));
}
