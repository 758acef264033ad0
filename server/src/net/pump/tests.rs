//! The pump around a small machine, in memory, with tokio's paused clock.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use xmpp::stream::Seed;
use xmpp::stream::client::Client;

use super::*;
use crate::session::PushError;

/// A machine that opens at once, turns every element into a question about its name or into bytes, and closes when told.
struct Echo {
    phase: Phase,
}

impl Machine for Echo {
    fn handle(&mut self, input: Input<'_>, _: xmpp::timestamp::Timestamp, out: &mut Actions) {
        match input {
            Input::Header(header) => {
                out.send_str("<open>");
                if header.to.as_deref() != Some("newcomer") {
                    self.phase = Phase::Open;
                }
            }
            Input::Element(raw) if matches!(raw.name(), "form" | "formed") => {
                out.send_str("<done/>");
                self.phase = match raw.name() {
                    "form" => Phase::Registering,
                    _ => Phase::Unauthenticated,
                };
            }
            Input::Element(raw) if raw.name() == "ask" => {
                let local = raw.attr("n").unwrap_or_default().into_owned();
                out.push(Action::Ask(Ask::Credentials {
                    domain: DomainName::parse("one.example").expect("a name"),
                    local,
                    hash: None,
                }));
            }
            Input::Element(raw) if raw.name() == "message" => {
                let stanza = Stanza::from_bytes(raw.as_str().as_bytes()).expect("a stanza");
                out.push(Action::Stanza(stanza));
            }
            Input::Element(raw) => {
                let text = raw.as_str().to_owned();
                out.send_str(&text);
            }
            Input::Answer(_) => out.send_str("<answered/>"),
            Input::Close => {
                out.send_str("</open>");
                out.push(Action::Disconnect);
                self.phase = Phase::Closed;
            }
            Input::Order(Order::Close(error)) => {
                out.send(|bytes| error.write(bytes));
                out.push(Action::Close);
                self.phase = Phase::Closing;
            }
            Input::Order(Order::Finish) => {
                out.send_str("</open>");
                out.push(Action::Close);
                self.phase = Phase::Closing;
            }
            Input::Broken(_) => {
                out.send_str("<broken/>");
                out.push(Action::Close);
                self.phase = Phase::Closing;
            }
            _ => {}
        }
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}

struct Quiet {
    outbox: Arc<Outbox>,
    shared: Arc<Shared>,
}

/// What a test sees of the host, and says to it.
#[derive(Default)]
struct Shared {
    /// A question is answered once this is told.
    answer: tokio::sync::Notify,
    patience: parking_lot::Mutex<Option<Patience>>,
    slowed: parking_lot::Mutex<Vec<&'static str>>,
    /// The next stanza takes until `answer` is told, and says here that it is done.
    slow: parking_lot::Mutex<Option<tokio::sync::oneshot::Sender<()>>>,
    /// Where stanzas go.
    other: Other,
}

/// Another stream, whose pump is the test, and what was not left to it.
struct Other {
    outbox: Arc<Outbox>,
    rows: Arc<Rows>,
}

#[derive(Default)]
struct Rows {
    kept: parking_lot::Mutex<Vec<Bytes>>,
    given_back: std::sync::atomic::AtomicUsize,
}

impl Default for Other {
    fn default() -> Self {
        Self {
            outbox: Outbox::new(1_000),
            rows: Arc::default(),
        }
    }
}

impl Other {
    fn take(&self) -> usize {
        let (mut items, mut taken) = (Vec::new(), Taken::default());
        let mut context = Context::from_waker(std::task::Waker::noop());
        let _ = self
            .outbox
            .poll_take(&mut context, true, &mut items, &mut taken);
        items.len()
    }
}

impl Keeper for Rows {
    fn keep(
        self: Arc<Self>,
        _: Arc<crate::session::Progress>,
        items: Vec<(u64, Bytes)>,
    ) -> BoxFuture<'static, ()> {
        self.kept
            .lock()
            .extend(items.into_iter().map(|(_, bytes)| bytes));
        Box::pin(std::future::ready(()))
    }

    fn kept(self: Arc<Self>) -> BoxFuture<'static, ()> {
        self.given_back
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

impl Host for Quiet {
    fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }
    fn ask(&mut self, _: Ask) -> BoxFuture<'static, Answer> {
        let shared = self.shared.clone();
        Box::pin(async move {
            shared.answer.notified().await;
            Answer::Credentials(Ok(None))
        })
    }
    fn stanza(&mut self, stanza: Stanza) -> Option<Later> {
        if let Some(done) = self.shared.slow.lock().take() {
            let shared = self.shared.clone();
            return Some(Later::Done(Box::pin(async move {
                shared.answer.notified().await;
                let _ = done.send(());
            })));
        }
        let other = &self.shared.other;
        let bytes = stanza.bytes().clone();
        let item = other.outbox.push_in(other.outbox.lane(), bytes.clone());
        Some(Later::Handed(Handed {
            progress: other.outbox.progress(),
            item: item.expect("room"),
            bytes,
            keeper: other.rows.clone(),
        }))
    }
    fn tls(&mut self, _: DomainName) -> BoxFuture<'static, Option<tls::Secure>> {
        Box::pin(async { None })
    }
    fn secured(&mut self, _: &TlsInfo) {}
    fn tls_failed(&mut self, _: &io::Error) {}
    fn event(&mut self, _: Event) {}
    fn patience(&self) -> Option<Patience> {
        *self.shared.patience.lock()
    }
    fn ping(&mut self) -> Option<Bytes> {
        Some(Bytes::from_static(b"<ping/>"))
    }
    fn slowed(&mut self, limit: &'static str) {
        self.shared.slowed.lock().push(limit);
    }
}

type Started = (DuplexStream, Arc<Outbox>, tokio::task::JoinHandle<Ended>);

fn start(limits: StreamLimits) -> Started {
    start_with(limits, Arc::default())
}

fn start_with(limits: StreamLimits, shared: Arc<Shared>) -> Started {
    let (ours, theirs) = duplex(1024);
    let outbox = Outbox::new(limits.outbox_bytes);
    let mut host = Quiet {
        outbox: outbox.clone(),
        shared,
    };
    let task = tokio::spawn(async move {
        let machine = Echo {
            phase: Phase::Unauthenticated,
        };
        run(Transport::Plain(ours), None, machine, &mut host, limits).await
    });
    (theirs, outbox, task)
}

const OPEN: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

async fn expect(io: &mut DuplexStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    io.read_exact(&mut bytes).await.expect("bytes");
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

#[tokio::test(start_paused = true)]
async fn route_01_frames_wait_for_the_answer_and_output_does_not() {
    let shared = Arc::<Shared>::default();
    let (mut io, outbox, _task) = start_with(StreamLimits::default(), shared.clone());
    let text = format!("{OPEN}<ask n='1'/><next/>");
    io.write_all(text.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    outbox.push(Bytes::from_static(b"<other/>")).expect("room");
    expect(&mut io, "<other/>").await;
    shared.answer.notify_one();
    expect(&mut io, "<answered/>").await;
    expect(&mut io, "<next/>").await;
}

#[tokio::test(start_paused = true)]
async fn negotiation_is_bounded() {
    let (mut io, _outbox, task) = start(StreamLimits::default());
    let mut said = String::new();
    io.read_to_string(&mut said).await.expect("the end");
    assert!(said.contains("<connection-timeout "), "{said}");
    task.await.expect("ended");
}

#[tokio::test(start_paused = true)]
async fn stream_11_a_space_after_long_silence() {
    let (mut io, _outbox, _task) = start(StreamLimits::default());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let before = Instant::now();
    expect(&mut io, " ").await;
    assert!(before.elapsed() >= Duration::from_secs(300));
    expect(&mut io, " ").await;
    assert!(before.elapsed() >= Duration::from_secs(600));
}

#[tokio::test(start_paused = true)]
async fn stream_08_the_peer_s_close_is_awaited_for_a_bounded_time() {
    let (mut io, outbox, task) = start(StreamLimits::default());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    outbox.order(Order::Close(StreamCondition::Reset.into()));
    let mut said = String::new();
    io.read_to_string(&mut said).await.expect("the end");
    assert!(said.contains("<reset "), "{said}");
    assert!(task.await.expect("ended").broken.is_none());
}

/// RFC 6120 4.4: whoever ends a stream still hears what waited for it; later comers are told that nobody is there.
#[tokio::test(start_paused = true)]
async fn route_01_what_waits_goes_out_before_our_end_and_nothing_is_taken_behind_it() {
    let (mut io, outbox, task) = start(StreamLimits::default());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let (told, mut written) = tokio::sync::oneshot::channel();
    // Both in one go: the pump has not run in between.
    io.write_all(b"</stream:stream>").await.expect("written");
    outbox.push("<waits/>".into()).expect("room");
    outbox.when_written(Box::pin(async move {
        let _ = told.send(());
    }));
    expect(&mut io, "<waits/></open>").await;
    assert_eq!(outbox.push("<late/>".into()), Err(PushError::Closed));
    assert!(task.await.expect("ended").unwritten.is_empty());
    tokio::task::yield_now().await;
    assert!(
        written.try_recv().is_ok(),
        "what hung on the writing is run"
    );
}

/// A stream that only writes is idle as far as reading goes, and is swept.
#[tokio::test(start_paused = true)]
async fn what_hangs_on_the_writing_outlasts_a_stall() {
    let (mut io, outbox, _task) = start(StreamLimits::default());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let item = "x".repeat(2000);
    outbox.push(item.clone().into()).expect("room");
    let (told, written) = tokio::sync::oneshot::channel();
    outbox.when_written(Box::pin(async move {
        let _ = told.send(());
    }));
    tokio::time::sleep(3 * IDLE_SWEEP).await;
    expect(&mut io, &item).await;
    written.await.expect("it is run");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_given_up() {
    let (mut io, outbox, task) = start(StreamLimits::default());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    for _ in 0..10 {
        let item = Bytes::from(vec![b'x'; 500]);
        outbox.push(item).expect("room");
    }
    let ended = task.await.expect("ended");
    assert!(ended.broken.is_some());
    assert!(
        !ended.unwritten.is_empty(),
        "what it did not take is handed back"
    );
    drop(io);
}

#[tokio::test(start_paused = true)]
async fn idle_streams_end_where_a_limit_says_so() {
    let (mut io, _outbox, _task) = start(StreamLimits {
        patience: Patience {
            idle: Some(Duration::from_secs(30)),
            ..Patience::default()
        },
        ..StreamLimits::default()
    });
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let before = Instant::now();
    expect(&mut io, "</open>").await;
    assert!(before.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn output_above_the_high_water_stops_reading_until_it_has_gone() {
    let (io, _outbox, _task) = start(StreamLimits {
        bytes_per_second: u32::MAX,
        unauthenticated_bytes_per_second: u32::MAX,
        ..StreamLimits::default()
    });
    let element = format!("<e>{}</e>", "x".repeat(1000));
    let count = 400;
    let (mut read, mut write) = tokio::io::split(io);
    let writer = tokio::spawn({
        let element = element.clone();
        async move {
            write.write_all(OPEN.as_bytes()).await.expect("written");
            for _ in 0..count {
                write.write_all(element.as_bytes()).await.expect("written");
            }
            write
        }
    });
    let mut got = vec![0; "<open>".len() + element.len() * count];
    read.read_exact(&mut got).await.expect("all of it");
    assert!(got.ends_with(element.as_bytes()));
    writer.await.expect("written");
}

#[tokio::test(start_paused = true)]
async fn the_client_machine_in_the_pump_refuses_what_is_no_stream() {
    let (ours, mut theirs) = duplex(1024);
    let mut host = Quiet {
        outbox: Outbox::new(1000),
        shared: Arc::default(),
    };
    let task = tokio::spawn(async move {
        let machine = Client::new(Seed::new([1; 32]), None);
        let transport = Transport::Plain(ours);
        run(transport, None, machine, &mut host, StreamLimits::default()).await
    });
    theirs
        .write_all(b"GET / HTTP/1.1\r\n")
        .await
        .expect("written");
    let mut said = String::new();
    theirs.read_to_string(&mut said).await.expect("the end");
    assert!(said.contains("<not-well-formed "), "{said}");
    assert!(said.ends_with("</stream:stream>"));
    task.await.expect("ended");
}

#[tokio::test(start_paused = true)]
async fn dos_07_stanzas_above_the_rate_wait_and_none_is_lost() {
    let shared = Arc::<Shared>::default();
    let limits = StreamLimits {
        stanzas_per_second: 8,
        ..StreamLimits::default()
    };
    let (mut io, _outbox, _task) = start_with(limits, shared.clone());
    let before = Instant::now();
    // Ten seconds' worth may come at once; ten seconds more have to wait.
    let text = format!("{OPEN}{}", "<e/>".repeat(160));
    io.write_all(text.as_bytes()).await.expect("written");
    expect(&mut io, &format!("<open>{}", "<e/>".repeat(160))).await;
    assert!(
        before.elapsed() >= Duration::from_secs(9),
        "{:?}",
        before.elapsed()
    );
    assert!(shared.slowed.lock().contains(&"stanzas_per_second"));
}

#[tokio::test(start_paused = true)]
async fn dos_07_before_authentication_a_stream_is_read_slowly() {
    let shared = Arc::<Shared>::default();
    let limits = StreamLimits {
        unauthenticated_bytes_per_second: 100,
        ..StreamLimits::default()
    };
    let (mut io, _outbox, _task) = start_with(limits, shared.clone());
    let before = Instant::now();
    let text = format!("{}{OPEN}", " ".repeat(1500));
    io.write_all(text.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    assert!(
        before.elapsed() >= Duration::from_secs(4),
        "{:?}",
        before.elapsed()
    );
    assert!(
        shared
            .slowed
            .lock()
            .contains(&"unauthenticated_bytes_per_second")
    );
}

/// Nobody is known on it for as long as it lasts.
async fn newcomer(io: &mut DuplexStream) {
    let text = OPEN.replace("<stream:stream ", "<stream:stream to='newcomer' ");
    io.write_all(text.as_bytes()).await.expect("written");
    expect(io, "<open>").await;
}

async fn says(io: &mut DuplexStream, text: &str) {
    io.write_all(text.as_bytes()).await.expect("written");
    expect(io, "<done/>").await;
}

/// XEP-0389: who fills in a form has a person's time for it, and the usual one for what follows.
#[tokio::test(start_paused = true)]
async fn ext_33_a_form_may_take_longer_than_negotiating() {
    let (mut io, _outbox, _task) = start(StreamLimits::default());
    newcomer(&mut io).await;
    says(&mut io, "<form/>").await;
    tokio::time::advance(Duration::from_secs(300)).await;
    says(&mut io, "<formed/>").await;
    let before = Instant::now();
    expect(&mut io, "<stream:error><connection-timeout ").await;
    let after = before.elapsed();
    assert!(
        (60..62).contains(&after.as_secs()),
        "a minute from then on: {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ext_33_one_stream_has_time_for_forms_once() {
    let (mut io, _outbox, _task) = start(StreamLimits::default());
    newcomer(&mut io).await;
    let before = Instant::now();
    for _ in 0..4 {
        says(&mut io, "<form/>").await;
        tokio::time::advance(Duration::from_secs(140)).await;
        says(&mut io, "<formed/>").await;
    }
    says(&mut io, "<form/>").await;
    expect(&mut io, "<stream:error><connection-timeout ").await;
    let after = before.elapsed();
    assert!(
        (590..602).contains(&after.as_secs()),
        "for all of them: {after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn dos_04_who_fills_in_a_form_is_nobody_yet() {
    let shared = Arc::<Shared>::default();
    let limits = StreamLimits {
        unauthenticated_bytes_per_second: 100,
        unauthenticated_bytes: 2_000,
        ..StreamLimits::default()
    };
    let (mut io, _outbox, _task) = start_with(limits, shared.clone());
    newcomer(&mut io).await;
    says(&mut io, "<form/>").await;
    // The smallest limits hold, for one element and for all.
    let long = format!("<form>{}</form>", "x".repeat(2_000));
    let (mut read, mut write) = tokio::io::split(io);
    let writer = tokio::spawn(async move { write.write_all(long.as_bytes()).await });
    let mut told = vec![0; "<broken/>".len()];
    read.read_exact(&mut told).await.expect("bytes");
    assert_eq!(told, b"<broken/>");
    drop(read);
    let _ = writer.await;
    assert!(
        shared
            .slowed
            .lock()
            .contains(&"unauthenticated_bytes_per_second")
    );
}

fn pinging() -> Patience {
    Patience {
        keepalive: Duration::from_secs(3600),
        ping: Some(Duration::from_secs(600)),
        pong: Duration::from_secs(60),
        idle: None,
    }
}

#[tokio::test(start_paused = true)]
async fn ping_02_any_answer_shows_that_somebody_is_there() {
    let shared = Arc::<Shared>::default();
    *shared.patience.lock() = Some(pinging());
    let (mut io, _outbox, _task) = start_with(StreamLimits::default(), shared);
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    for _ in 0..2 {
        let before = Instant::now();
        expect(&mut io, "<ping/>").await;
        assert!(before.elapsed() >= Duration::from_secs(600));
        io.write_all(b"<e/>").await.expect("written");
        expect(&mut io, "<e/>").await;
    }
}

#[tokio::test(start_paused = true)]
async fn stream_10_only_who_does_not_answer_is_given_up() {
    let shared = Arc::<Shared>::default();
    *shared.patience.lock() = Some(pinging());
    let (mut io, _outbox, _task) = start_with(StreamLimits::default(), shared);
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open><ping/>").await;
    let before = Instant::now();
    let mut said = String::new();
    io.read_to_string(&mut said).await.expect("the end");
    assert!(said.contains("<connection-timeout "), "{said}");
    assert!(before.elapsed() >= Duration::from_secs(60));
}

/// XEP-0198 4: a connection that is dead is known as such when what was written to it is not acknowledged, not when it has been
/// silent long enough for a ping.
#[tokio::test(start_paused = true)]
async fn sm_04_who_does_not_acknowledge_and_says_nothing_is_given_up() {
    let shared = Arc::<Shared>::default();
    *shared.patience.lock() = Some(pinging());
    let (mut io, outbox, _task) = start_with(StreamLimits::default(), shared);
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    outbox.keep();
    let ask = "<r xmlns='urn:xmpp:sm:3'/>";
    // Whatever is said in time shows that somebody is there.
    outbox.push(Bytes::from_static(b"<one/>")).expect("open");
    expect(&mut io, &format!("<one/>{ask}")).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    io.write_all(b"<e/>").await.expect("written");
    expect(&mut io, "<e/>").await;
    outbox.acked(1).expect("what was sent");
    outbox.push(Bytes::from_static(b"<two/>")).expect("open");
    expect(&mut io, &format!("<two/>{ask}")).await;
    let before = Instant::now();
    let mut said = String::new();
    io.read_to_string(&mut said).await.expect("the end");
    assert!(said.contains("<connection-timeout "), "{said}");
    assert!(
        before.elapsed() < Duration::from_secs(120),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn other_times_hold_at_once_for_a_stream_that_is_open() {
    let shared = Arc::<Shared>::default();
    *shared.patience.lock() = Some(pinging());
    let (mut io, outbox, _task) = start_with(StreamLimits::default(), shared.clone());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open><ping/>").await;
    io.write_all(b"<e/>").await.expect("written");
    expect(&mut io, "<e/>").await;
    *shared.patience.lock() = Some(Patience {
        keepalive: Duration::from_secs(20),
        ..pinging()
    });
    let before = Instant::now();
    outbox.nudge();
    expect(&mut io, " ").await;
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test]
async fn tls_13_goodbye_is_said_and_awaited() {
    let (mut theirs, ours) = tls::tests::secured().await;
    let mut transport = Transport::Tls(Box::new(ours));
    let mut output = Output::default();
    output.push(Bytes::from_static(b"</stream:stream>"));
    let mut finish = std::pin::pin!(transport.finish(&mut output));
    let mut last = Vec::new();
    tokio::select! {
        biased;
        () = &mut finish => panic!("the other side has said nothing yet"),
        // Without close_notify this would be an unexpected end.
        read = theirs.read_to_end(&mut last) => read.expect("a clean end"),
    };
    assert_eq!(last, b"</stream:stream>");
    theirs.shutdown().await.expect("our goodbye");
    finish.await;
}

const MESSAGE: &str = "<message to='b@peer.example' from='a@one.example'/>";

/// What is said acknowledges what was heard: it is said when that has left the process, and not before.
#[tokio::test(start_paused = true)]
async fn route_01_what_another_stream_was_handed_is_written_before_anything_is_said() {
    let shared = Arc::<Shared>::default();
    let (mut io, _outbox, _task) = start_with(StreamLimits::default(), shared.clone());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let text = format!("{MESSAGE}{MESSAGE}<next/>");
    io.write_all(text.as_bytes()).await.expect("written");
    let mut byte = [0];
    let mut said = Box::pin(io.read_exact(&mut byte));
    while shared.other.take() == 0 {
        assert!(futures_util::poll!(&mut said).is_pending());
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert!(
            futures_util::poll!(&mut said).is_pending(),
            "taken is not written"
        );
        tokio::task::yield_now().await;
    }
    // Whoever asks for more has written what it took: both messages, together.
    assert_eq!(shared.other.take(), 0);
    said.await.expect("a byte");
    expect(&mut io, "next/>").await;
    assert!(shared.other.rows.kept.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn route_01_what_another_stream_does_not_write_is_kept_before_anything_is_said() {
    let shared = Arc::<Shared>::default();
    let (mut io, _outbox, _task) = start_with(StreamLimits::default(), shared.clone());
    io.write_all(OPEN.as_bytes()).await.expect("written");
    expect(&mut io, "<open>").await;
    let text = format!("{MESSAGE}{MESSAGE}<next/>");
    io.write_all(text.as_bytes()).await.expect("written");
    expect(&mut io, "<next/>").await;
    assert_eq!(shared.other.rows.kept.lock().len(), 2);
    // One whose stream ends has been given back.
    io.write_all(format!("{MESSAGE}<last/>").as_bytes())
        .await
        .expect("written");
    shared.other.outbox.progress().end();
    expect(&mut io, "<last/>").await;
    let given_back = &shared.other.rows.given_back;
    assert_eq!(given_back.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// Half of what a stanza leads to may have been written already when its stream ends; the rest is not left out.
#[tokio::test(start_paused = true)]
async fn what_has_begun_with_a_stanza_is_done_whole() {
    for slowly in [false, true] {
        let shared = Arc::<Shared>::default();
        let (done, is_done) = tokio::sync::oneshot::channel();
        *shared.slow.lock() = Some(done);
        let (mut io, outbox, task) = start_with(StreamLimits::default(), shared.clone());
        io.write_all(OPEN.as_bytes()).await.expect("written");
        expect(&mut io, "<open>").await;
        io.write_all(b"<message/>").await.expect("written");
        outbox.order(Order::Close(StreamCondition::Reset.into()));
        if slowly {
            // It takes longer than the stream's end waits for it.
            task.await.expect("ended");
            shared.answer.notify_one();
        } else {
            tokio::time::sleep(CLOSE_WAIT + Duration::from_secs(1)).await;
            assert!(!task.is_finished(), "the end waits");
            shared.answer.notify_one();
            task.await.expect("ended");
        }
        is_done.await.expect("done");
    }
}
