//! What a stanza costs before it is routed: framing and validating, taking in, addresses, answers.
//!
//! `cargo bench -p xmpp`. Compare runs on one machine; a shared one says little about the absolute figures. The target for
//! framing and validating a 324-byte message is 600 ns.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::Jid;
use xmpp::sasl::{DEFAULT_ITERATIONS, Hash, ScramVerifier};
use xmpp::stanza::{Condition, From, Stanza};

const HEADER: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// 324 bytes: a chat message with what clients attach to it.
const MESSAGE: &str = "<message to='romeo@montague.example/orchard' type='chat' id='9f3a6c1e-42d7-4b' xml:lang='en'>\
    <body>Wherefore art thou, O Romeo? Deny thy father and refuse thy name; if thou wilt not.</body>\
    <origin-id xmlns='urn:xmpp:sid:0' id='9f3a6c1e-42d7-4b'/><request xmlns='urn:xmpp:receipts'/>\
    <markable xmlns='urn:xmpp:m:0'/></message>";

/// Stanzas per measured batch, so that the header is a small part.
const STANZAS: usize = 256;

fn stream() -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for _ in 0..STANZAS {
        bytes.extend_from_slice(MESSAGE.as_bytes());
    }
    bytes
}

fn framing(c: &mut Criterion) {
    assert_eq!(MESSAGE.len(), 324);
    let stream = stream();
    let mut group = c.benchmark_group("message of 324 bytes");
    group.throughput(Throughput::Elements(STANZAS as u64));
    for chunk in [64, 1460, 8192] {
        group.bench_function(format!("framed and validated, {chunk} bytes a read"), |b| {
            b.iter_batched_ref(
                || Framer::new(Limits::default()),
                |framer| {
                    for part in stream.chunks(chunk) {
                        framer.push(part);
                        while let Some(frame) = framer.next().expect("well-formed") {
                            black_box(&frame);
                        }
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
    let juliet = Jid::parse("juliet@capulet.example/balcony").expect("an address");
    group.bench_function("framed, validated, taken in with a stamped from", |b| {
        b.iter_batched_ref(
            || Framer::new(Limits::default()),
            |framer| {
                for part in stream.chunks(8192) {
                    framer.push(part);
                    while let Some(frame) = framer.next().expect("well-formed") {
                        if let Frame::Element(raw) = frame {
                            black_box(
                                Stanza::from_raw(&raw, From::Stamp(&juliet), Some("en"))
                                    .expect("a stanza"),
                            );
                        }
                    }
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn stanzas(c: &mut Criterion) {
    let stanza = Stanza::from_bytes(MESSAGE.as_bytes()).expect("a stanza");
    let to = Jid::parse("mercutio@montague.example").expect("an address");
    let mut group = c.benchmark_group("stanza");
    group.bench_function("readdressed", |b| b.iter(|| black_box(stanza.with_to(&to))));
    group.bench_function("asked for a body", |b| {
        b.iter(|| stanza.has_child("body", "jabber:client"))
    });
    group.bench_function("as a tree", |b| b.iter(|| stanza.payload()));
    group.bench_function("answered with an error", |b| {
        let error = Condition::ServiceUnavailable.into();
        b.iter(|| stanza.error_reply(&error));
    });
    group.finish();
}

fn addresses(c: &mut Criterion) {
    let mut group = c.benchmark_group("address");
    for (what, text) in [
        ("ASCII", "juliet@capulet.example/balcony"),
        ("ASCII, upper case", "Juliet@Capulet.Example/balcony"),
        (
            "international",
            "j\u{fc}liet@b\u{fc}cher.example/b\u{e4}lkon",
        ),
    ] {
        group.bench_function(what, |b| b.iter(|| Jid::parse(black_box(text))));
    }
    group.finish();
}

fn passwords(c: &mut Criterion) {
    let mut group = c.benchmark_group("password set");
    group.sample_size(20);
    for hash in Hash::ALL {
        group.bench_function(hash.name(), |b| {
            b.iter(|| {
                ScramVerifier::derive(hash, "pencil", b"0123456789abcdef", DEFAULT_ITERATIONS)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, framing, stanzas, addresses, passwords);
criterion_main!(benches);
