//! Chat messages between pairs of local users, as fast as they are delivered or at a pace.
//!
//! One of a pair writes, the other reads. As many messages as have just arrived are followed by as many new ones, in one
//! write. Each body is made from the pair's number and the message's, so that any change, loss or swap shows.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Crew, Meter, Sample, Size, online};
use crate::Outcome;
use crate::client::{Client, Connection};
use crate::scan::{self, Kind};
use crate::subject::Subject;

/// Pairs that talk.
pub(super) const PAIRS: usize = 100;
/// Bytes of a body.
const BODY: usize = 200;

/// Writes the body of message `number` of `pair` to the end of `out`.
pub(crate) fn body(out: &mut Vec<u8>, pair: usize, number: u64) {
    let start = out.len();
    out.extend_from_slice(format!("{pair}/{number} ").as_bytes());
    let mut state = (pair as u64) << 32 ^ number ^ 0x9e37_79b9_7f4a_7c15;
    while out.len() < start + BODY {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        out.extend(state.to_be_bytes().map(|byte| b'a' + byte % 26));
    }
    out.truncate(start + BODY);
}

/// The writing half of a pair: what it has sent.
pub(crate) struct Writer {
    client: Client,
    to: String,
    pair: usize,
    sent: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Sends so many messages in one write.
    pub(crate) async fn send(&mut self, messages: u64) -> Outcome<()> {
        self.buffer.clear();
        for _ in 0..messages {
            let head = format!(
                "<message to='{}' type='chat' id='m{}'><body>",
                self.to, self.sent
            );
            self.buffer.extend_from_slice(head.as_bytes());
            body(&mut self.buffer, self.pair, self.sent);
            self.buffer.extend_from_slice(b"</body></message>");
            self.sent += 1;
        }
        self.client.connection.send(&self.buffer).await
    }
}

/// The reading half of a pair: what it has seen.
pub(crate) struct Reader {
    client: Client,
    from: String,
    pair: usize,
    seen: u64,
    expected: Vec<u8>,
}

impl Reader {
    /// Waits until something has arrived; how many messages it was.
    pub(crate) async fn arrived(&mut self) -> Outcome<u64> {
        let mut count = 0;
        loop {
            while let Some((kind, range)) = self.client.connection.ready() {
                self.expected.clear();
                body(&mut self.expected, self.pair, self.seen);
                let item = self.client.connection.bytes(range);
                if let Some(pong) = pong(item) {
                    self.client.connection.send(pong.as_bytes()).await?;
                    continue;
                }
                let right = kind == Kind::Element
                    && scan::is(item, "message")
                    && scan::attribute(item, "from") == Some(self.from.as_bytes())
                    && scan::text(item, "body") == Some(&self.expected);
                if !right {
                    return Err(format!(
                        "message {} of pair {} was due from {}: {}",
                        self.seen,
                        self.pair,
                        self.from,
                        String::from_utf8_lossy(item)
                    )
                    .into());
                }
                self.seen += 1;
                count += 1;
            }
            if count > 0 {
                return Ok(count);
            }
            if self.client.connection.read().await? == 0 {
                return Err(format!("pair {}: the server closed", self.pair).into());
            }
        }
    }
}

/// The answer to a ping (XEP-0199): a server asks whoever has said nothing for minutes whether they are still there.
fn pong(item: &[u8]) -> Option<String> {
    let ping = scan::is(item, "iq") && scan::attribute(item, "type") == Some(b"get");
    let value = |name| {
        let value = scan::attribute(item, name).filter(|_| ping)?;
        std::str::from_utf8(value).ok()
    };
    let (id, from) = (value("id")?, value("from")?);
    memchr::memmem::find(item, b"urn:xmpp:ping")?;
    Some(format!("<iq type='result' id='{id}' to='{from}'/>"))
}

async fn pairs(subject: &Subject) -> Outcome<Vec<(Writer, Reader)>> {
    paired(online(&subject.gate, 0..2 * PAIRS).await?).await
}

/// Pairs of these, each with its neighbour.
pub(crate) async fn paired(mut clients: Vec<Client>) -> Outcome<Vec<(Writer, Reader)>> {
    for client in &mut clients {
        client.settle().await?;
    }
    let mut clients = clients.into_iter();
    let mut pairs = Vec::new();
    while let (Some(writer), Some(reader)) = (clients.next(), clients.next()) {
        let pair = pairs.len();
        let (to, from) = (reader.jid.clone(), writer.jid.clone());
        pairs.push((
            Writer {
                client: writer,
                to,
                pair,
                sent: 0,
                buffer: Vec::new(),
            },
            Reader {
                client: reader,
                from,
                pair,
                seen: 0,
                expected: Vec::new(),
            },
        ));
    }
    Ok(pairs)
}

/// Nothing but what was sent may have come to anybody, and nothing more comes.
pub(crate) async fn end(mut writer: Writer, mut reader: Reader) -> Outcome<()> {
    let pair = writer.pair;
    for client in [&mut writer.client, &mut reader.client] {
        quiet(&mut client.connection, pair)?;
        let domain = client
            .bare()
            .split_once('@')
            .map_or("", |(_, domain)| domain);
        let ping =
            format!("<iq type='get' id='end' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        client.connection.send(ping.as_bytes()).await?;
        let answer = client.connection.element().await?;
        if scan::attribute(answer.as_bytes(), "id") != Some(b"end") {
            return Err(format!("pair {pair}: nothing was due: {answer}").into());
        }
    }
    writer.client.log_out().await?;
    reader.client.log_out().await
}

fn quiet(connection: &mut Connection, pair: usize) -> Outcome<()> {
    match connection.ready() {
        None => Ok(()),
        Some((_, range)) => {
            let item = String::from_utf8_lossy(connection.bytes(range)).into_owned();
            Err(format!("pair {pair}: nothing was due: {item}").into())
        }
    }
}

/// `window` messages of each pair are under way at a time.
pub(super) async fn run(subject: &Subject, window: u64, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    for (mut writer, mut reader) in pairs(subject).await? {
        let meter = crew.meter.clone();
        crew.add(async move {
            writer.send(window).await?;
            loop {
                let arrived = reader.arrived().await?;
                meter.add(arrived);
                if !meter.stop.get() {
                    writer.send(arrived).await?;
                } else if reader.seen == writer.sent {
                    return end(writer, reader).await;
                }
            }
        });
    }
    crew.measure(subject, size).await
}

/// So many messages a second are sent, by the pairs in turn; for so long that what the server does by itself now and then is in
/// each repetition as often as in the others.
pub(super) async fn run_paced(subject: &Subject, rate: u64, size: &Size) -> Outcome<Vec<Sample>> {
    let size = &size.paced();
    let mut crew = Crew::default();
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for (writer, reader) in pairs(subject).await? {
        writers.push(writer);
        readers.push(reader);
    }
    let (end_of_writing, written) = tokio::sync::watch::channel(None::<Rc<Vec<u64>>>);
    for mut reader in readers {
        let meter: Rc<Meter> = crew.meter.clone();
        let mut written = written.clone();
        crew.add(async move {
            let total = loop {
                tokio::select! {
                    arrived = reader.arrived() => meter.add(arrived?),
                    changed = written.changed() => {
                        changed.map_err(|_| "the writers are gone")?;
                        let total = written.borrow().as_ref().and_then(|sent| sent.get(reader.pair).copied());
                        break total.ok_or("a pair without a writer")?;
                    }
                }
            };
            while reader.seen < total {
                reader.arrived().await?;
            }
            quiet(&mut reader.client.connection, reader.pair)?;
            reader.client.log_out().await
        });
    }
    let meter = crew.meter.clone();
    crew.add(async move {
        let mut clock = interval(Duration::from_secs(1) / u32::try_from(rate)?);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut turn = 0;
        while !meter.stop.get() {
            clock.tick().await;
            writers[turn].send(1).await?;
            turn = (turn + 1) % writers.len();
        }
        end_of_writing.send_replace(Some(Rc::new(
            writers.iter().map(|writer| writer.sent).collect(),
        )));
        for writer in writers {
            writer.client.log_out().await?;
        }
        Ok(())
    });
    crew.measure(subject, size).await
}

#[cfg(test)]
mod tests {
    use super::{body, pong};

    #[test]
    fn pings_are_answered_and_nothing_else() {
        let ping = b"<iq type='get' from='a.example' to='b@a.example/c' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>";
        let answer = "<iq type='result' id='p1' to='a.example'/>";
        assert_eq!(pong(ping).as_deref(), Some(answer));
        assert_eq!(pong(b"<message from='a.example' id='p1'/>"), None);
        assert_eq!(
            pong(b"<iq type='result' from='a.example' id='p1'><ping xmlns='urn:xmpp:ping'/></iq>"),
            None
        );
    }

    #[test]
    fn bodies_differ_and_have_their_size() {
        let make = |pair, number| {
            let mut out = Vec::new();
            body(&mut out, pair, number);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(make(1, 2).len(), 200);
        assert_eq!(make(1, 2), make(1, 2));
        assert_ne!(make(1, 2)[8..], make(1, 3)[8..]);
        assert_ne!(make(1, 2)[8..], make(2, 2)[8..]);
    }
}
