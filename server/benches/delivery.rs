//! What a chat message costs between the sender's TLS record and the recipient's: framing, validation, the stamped copy,
//! the look-up, the queue; and the queue being taken. Sockets and TLS are measured by the load test.

mod house;

use std::hint::black_box;
use std::task::{Context, Waker};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domicile::session::outbox::Taken;
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::stanza::{From, Stanza};

/// Sessions in the map.
const SESSIONS: usize = 1_000;
const OPEN: &[u8] = b"<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>";

fn delivery(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let house = runtime.block_on(house::house(SESSIONS));
    let body = "x".repeat(200);
    let mut group = c.benchmark_group("delivery");
    group.throughput(Throughput::Elements(1));
    for (name, resource) in [("message to full", "/r"), ("message to bare", "")] {
        let messages: Vec<String> = (0..SESSIONS)
            .map(|i| {
                format!("<message to='user{i}@one.example{resource}' type='chat' id='m{i}'><body>{body}</body></message>")
            })
            .collect();
        let mut framer = Framer::new(Limits::default());
        framer.push(OPEN);
        assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
        let sender = &house.sessions[0];
        let (mut items, mut taken) = (Vec::new(), Taken::default());
        let mut i = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                i = (i + 7) % SESSIONS;
                framer.push(messages[i].as_bytes());
                let Ok(Some(Frame::Element(raw))) = framer.next() else {
                    unreachable!("a whole message was pushed");
                };
                let stanza = Stanza::from_raw(&raw, From::Stamp(&sender.jid), None)
                    .expect("a valid message");
                // The first to each account waits for what it has in the store.
                if let Some(later) = house.router.from_client(sender, stanza) {
                    runtime.block_on(later.done());
                }
                let mut cx = Context::from_waker(Waker::noop());
                let outbox = &house.sessions[i].outbox;
                let ready = outbox.poll_take(&mut cx, true, &mut items, &mut taken);
                assert!(ready.is_ready());
                black_box(&items);
                items.clear();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, delivery);
criterion_main!(benches);
