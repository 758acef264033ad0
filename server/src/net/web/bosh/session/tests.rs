//! Requests in and out of order, answers that are asked for again, and what ends a session.

use tokio::sync::oneshot::Receiver;

use super::*;

struct Client {
    session: Session,
    now: Instant,
}

fn terms() -> Terms {
    Terms {
        sid: "s1".into(),
        to: "one.example".into(),
        door: "one.example".into(),
        wait: Duration::from_secs(60),
        hold: 1,
        content: None,
        version: "1.11",
    }
}

impl Client {
    /// A session whose stream has said what it offers.
    fn new(terms: Terms) -> Self {
        let now = Instant::now();
        let mut client = Self {
            session: Session::new(terms, 100, now),
            now,
        };
        let mut first = client.ask(100, "<stream:stream>");
        client.stream("<stream:stream id='x'><stream:features/>");
        let answer = first.try_recv().expect("the answer to the first request");
        for part in [
            "sid='s1'",
            "requests='",
            "from='one.example'",
            "xmpp:restartlogic='true'",
            "<stream:features ",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        client
    }

    fn ask(&mut self, rid: u64, said: &str) -> Receiver<String> {
        self.ask_with(rid, said, |_| {})
    }

    /// A request whose bytes the stream reads at once.
    fn ask_with(
        &mut self,
        rid: u64,
        said: &str,
        change: impl FnOnce(&mut Arrived),
    ) -> Receiver<String> {
        let (answer, answered) = oneshot::channel();
        let mut arrived = Arrived {
            said: said.into(),
            answer: Some(answer),
            ..Arrived::default()
        };
        change(&mut arrived);
        self.session.request(rid, arrived, self.now);
        answered
    }

    fn read(&mut self) -> String {
        let read = self.session.read(1 << 20, Waker::noop(), self.now);
        String::from_utf8(read.unwrap_or_default()).expect("UTF-8")
    }

    fn stream(&mut self, text: &str) {
        self.read();
        assert!(self.session.write(text.as_bytes(), Waker::noop(), self.now));
    }
}

fn nothing(answer: &mut Receiver<String>) {
    assert!(answer.try_recv().is_err());
}

#[test]
fn ws_21_requests_are_forwarded_in_order_and_answers_can_be_asked_for_again() {
    let mut client = Client::new(terms());
    let mut late = client.ask(102, "<b/>");
    assert_eq!(client.read(), "", "the one before it is missing");
    let mut missing = client.ask(101, "<a/>");
    assert_eq!(client.read(), "<a/><b/>");
    assert!(missing.try_recv().is_ok());
    nothing(&mut late);
    client.stream("<message/>");
    let answer = late.try_recv().expect("what the stream said");
    assert!(
        answer.contains("<message xmlns='jabber:client'/></body>"),
        "{answer}"
    );
    let mut again = client.ask(102, "<b/>");
    assert_eq!(again.try_recv(), Ok(answer));
    assert_eq!(client.read(), "", "it is not forwarded twice");
}

#[test]
fn ws_22_a_request_out_of_the_window_ends_the_session() {
    for rid in [105, 98] {
        let mut client = Client::new(terms());
        let mut held = client.ask(101, "");
        let mut bad = client.ask(rid, "");
        assert!(
            bad.try_recv()
                .expect("an answer")
                .contains("item-not-found")
        );
        assert!(
            held.try_recv()
                .expect("an answer")
                .contains("item-not-found")
        );
        client.read();
        let end = client.session.read(10, Waker::noop(), client.now);
        assert_eq!(end, Some(Vec::new()), "the stream ends, too");
        assert!(
            client
                .ask(102, "")
                .try_recv()
                .expect("over")
                .contains("item-not-found")
        );
    }
}

#[test]
fn ws_23_more_requests_than_agreed_and_polling_too_fast() {
    let mut client = Client::new(terms());
    let mut all: Vec<_> = (101..104).map(|rid| client.ask(rid, "<a/>")).collect();
    let mut first = all.remove(0);
    assert!(
        first
            .try_recv()
            .expect("an answer")
            .contains("policy-violation")
    );

    let mut client = Client::new(Terms { hold: 0, ..terms() });
    let mut poll = client.ask(101, "");
    client.read();
    assert!(poll.try_recv().expect("nothing is held").ends_with("'/>"));
    client.now += Duration::from_secs(POLLING);
    let mut poll = client.ask(102, "");
    client.read();
    assert!(poll.try_recv().expect("slow enough").ends_with("'/>"));
    let mut poll = client.ask(103, "");
    assert!(
        poll.try_recv()
            .expect("too fast")
            .contains("policy-violation")
    );
}

#[test]
fn ws_23_waiting_pausing_and_inactivity_have_their_ends() {
    let mut client = Client::new(terms());
    let mut held = client.ask(101, "");
    client.read();
    client.session.expire(101, client.now);
    assert_eq!(held.try_recv(), Ok(format!("{BODY}/>")));
    client.now += Duration::from_secs(INACTIVITY - 1);
    assert!(!client.session.is_forgotten(client.now));

    let mut pause = client.ask_with(102, "", |arrived| {
        arrived.busy = true;
        arrived.pause = Some(MAX_PAUSE);
    });
    assert_eq!(pause.try_recv(), Ok(format!("{BODY}/>")));
    client.read();
    client.now += Duration::from_secs(MAX_PAUSE - 1);
    assert!(!client.session.is_forgotten(client.now));
    client.now += Duration::from_secs(1);
    assert!(client.session.is_forgotten(client.now));
    assert_eq!(
        client.session.read(10, Waker::noop(), client.now),
        Some(Vec::new())
    );

    let mut client = Client::new(terms());
    let mut pause = client.ask_with(101, "", |arrived| arrived.pause = Some(MAX_PAUSE + 1));
    assert!(
        pause
            .try_recv()
            .expect("too long")
            .contains("policy-violation")
    );
}

#[test]
fn ws_24_the_end_of_the_stream_ends_the_session() {
    let mut client = Client::new(terms());
    let mut held = client.ask(101, "");
    client.stream("<message/><stream:error><conflict/></stream:error></stream:stream>");
    let answer = held.try_recv().expect("an answer");
    // The message went first; the error waits for the next request, which hears that it is the last.
    let mut next = client.ask(102, "");
    client.read();
    let all = answer.clone() + &next.try_recv().unwrap_or_default();
    assert!(
        all.contains("<message ") && all.contains("<conflict/>"),
        "{all}"
    );
    assert!(all.contains("condition='remote-stream-error'"), "{all}");

    let mut client = Client::new(terms());
    let mut held = client.ask(101, "");
    client.read();
    let mut last = client.ask_with(102, "<presence type='unavailable'/>", |arrived| {
        arrived.busy = true;
        arrived.terminate = true;
    });
    assert_eq!(
        client.read(),
        "<presence type='unavailable'/></stream:stream>"
    );
    client.stream("</stream:stream>");
    assert!(held.try_recv().is_ok());
    assert!(
        last.try_recv()
            .expect("an answer")
            .contains("type='terminate'")
    );
}

#[test]
fn a_stream_waits_for_a_client_that_takes_nothing() {
    let mut client = Client::new(terms());
    let much = format!("<message>{}</message>", "x".repeat(READY));
    client.stream(&much);
    assert!(
        !client
            .session
            .write(b"<message/>", Waker::noop(), client.now)
    );
    let mut asks = client.ask(101, "");
    client.read();
    assert!(asks.try_recv().expect("an answer").len() > READY);
    assert!(
        client
            .session
            .write(b"<message/>", Waker::noop(), client.now)
    );
}

#[test]
fn a_request_that_is_sent_again_while_it_is_held_takes_the_place_of_the_first() {
    let mut client = Client::new(terms());
    let mut first = client.ask(101, "");
    client.read();
    let mut second = client.ask(101, "");
    assert!(
        first
            .try_recv()
            .expect("an answer")
            .contains("type='error'")
    );
    client.stream("<message/>");
    assert!(second.try_recv().expect("an answer").contains("<message "));
}
