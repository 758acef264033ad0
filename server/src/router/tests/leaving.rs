//! Sessions that end, or that nobody looks at: what was on its way to them.

use modules::Switchboard as _;

use super::*;

/// Comes to the session sooner or later; everything until then.
async fn until(session: &Session, wanted: &str) -> String {
    let all = async {
        let mut all = String::new();
        while !all.contains(wanted) {
            all += &got(session).concat();
            tokio::task::yield_now().await;
        }
        all
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), all)
        .await
        .unwrap_or_else(|_| panic!("no {wanted}"))
}

/// DOS-10: whoever is too slow hears how much may wait.
#[tokio::test]
async fn dos_10_a_slow_reader_hears_how_much_waits() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let long = "x".repeat(6_000);
    for _ in 0..2 {
        let message = format!(
            "<message to='{}' type='chat'><body>{long}</body></message>",
            bob.jid
        );
        net.send(&alice, &message).await;
    }
    let told = orders(&bob).iter().any(|order| {
        let text = match order {
            Order::Close(error) => error.text.as_deref(),
            _ => None,
        };
        text.is_some_and(|text| text.contains("at most 10000 bytes"))
    });
    assert!(told);
}

/// A session that acknowledges, and that nobody is at.
async fn away(net: &Net, jid: &str, messages: &[&str], from: &Arc<Session>) -> Arc<Session> {
    let session = net.bind(jid, Some(0)).await;
    net.router.sessions().resumable(&session, jid, 60);
    session.outbox.keep();
    for message in messages {
        net.send(from, message).await;
    }
    assert!(!got(&session).is_empty());
    assert!(net.router.left(&session, 0, Vec::new()));
    session
}

/// XEP-0198: what was acknowledged to whoever wrote it is not lost because somebody has come since.
#[tokio::test]
async fn sm_10_who_came_later_has_not_had_what_was_said_to_everybody_before() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let hello = "<message to='bob@one.example' type='normal'><body>to all</body></message>";
    let phone = away(&net, "bob@one.example/phone", &[hello], &alice).await;
    let desk = net.bind("bob@one.example/desk", Some(0)).await;
    net.router
        .close_session(&phone, StreamCondition::ConnectionTimeout.into());
    let came = until(&desk, "to all").await;
    assert!(came.contains("urn:xmpp:delay"), "{came}");
}

#[tokio::test]
async fn sm_10_who_was_there_has_had_it_and_gets_it_once() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let desk = net.bind("bob@one.example/desk", Some(0)).await;
    let hello = "<message to='bob@one.example' type='normal'><body>to all</body></message>";
    let chat = "<message to='bob@one.example/phone' type='chat'><body>to one</body></message>";
    let phone = away(&net, "bob@one.example/phone", &[hello, chat], &alice).await;
    assert_eq!(got(&desk).concat().matches("to all").count(), 1);
    net.router
        .close_session(&phone, StreamCondition::ConnectionTimeout.into());
    let came = until(&desk, "to one").await;
    assert!(!came.contains("to all"), "{came}");
}

/// ROUTE-01: its client has ended the stream and the connection stays: it takes nothing any more, and stands in nobody's way.
#[tokio::test]
async fn ext_22_whose_stream_is_ending_is_handed_nothing() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let phone = net.bind("bob@one.example/phone", Some(5)).await;
    let desk = net.bind("bob@one.example/desk", Some(0)).await;
    phone.outbox.finish(&mut Taken::default());
    net.send(&alice, CHAT).await;
    until(&desk, "<body>hi</body>").await;
}

/// RFC 6120 8.2.3: whoever asks is answered, whatever becomes of whom they have asked.
#[tokio::test]
async fn stanza_06_a_request_that_was_never_written_is_answered() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    net.send(&bob, "<presence to='alice@one.example'/>").await;
    got(&alice);
    for ask in [
        "<iq to='bob@one.example/b' type='get' id='1'><x xmlns='urn:x'/></iq>",
        "<iq to='bob@one.example/b' type='result' id='2'/>",
    ] {
        net.send(&alice, ask).await;
    }
    let unwritten = bob.outbox.close();
    assert_eq!(unwritten.len(), 2);
    net.router.ended(&bob, unwritten).await;
    let answers = got(&alice).concat();
    assert_eq!(
        answers.matches("<service-unavailable ").count(),
        1,
        "{answers}"
    );
    assert!(answers.contains("id='1'"), "{answers}");
}

/// XEP-0352 leaves to the server what may wait: not that one has been thrown out of a room.
#[tokio::test]
async fn ext_13_a_kick_is_seen_while_nobody_looks() {
    let net = Net::new().await;
    let phone = net.bind("bob@one.example/phone", Some(0)).await;
    phone.set_active(false);
    let left = |nick: &str, codes: &str| {
        stanza(&format!(
            "<presence from='room@muc.example/{nick}' to='bob@one.example/phone' type='unavailable'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/>{codes}</x></presence>"
        ))
    };
    net.router
        .deliver(&phone.jid, left("carol", "<status code='307'/>"));
    assert!(got(&phone).is_empty(), "somebody else");
    net.router.deliver(
        &phone.jid,
        left("bob", "<status code='110'/><status code='307'/>"),
    );
    let came = got(&phone).concat();
    assert!(
        came.contains("room@muc.example/bob") && came.contains("/carol"),
        "{came}"
    );
}

#[tokio::test]
async fn dos_06_bind_05_limits_say_how_much_they_are() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/1", Some(0)).await;
    for resource in ["2", "3"] {
        net.bind(&format!("alice@one.example/{resource}"), None)
            .await;
    }
    let account = alice.jid.bare();
    let refused = net.router.bind(&account, "4", Outbox::new(10), now()).await;
    let text = refused.expect_err("over the limit").text.expect("a text");
    assert!(text.contains("signed in 3 times"), "{text}");
    for n in 0..1_001 {
        net.send(
            &alice,
            &format!("<message to='x{n}@far.example' type='chat'><body>x</body></message>"),
        )
        .await;
    }
    let error = got(&alice).concat();
    assert_eq!(error.matches("<policy-violation ").count(), 1, "{error}");
    assert!(
        error.contains("1000 different addresses in 600 seconds"),
        "{error}"
    );
}
