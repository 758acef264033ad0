//! Chat with carbons (XEP-0280): each message is delivered three times, to whoever it is for, to another session of theirs,
//! and to another session of whoever wrote it.
//!
//! Of four sessions of two accounts one writes; the other three wait for each message before the next is written.

use super::chat::{PAIRS, body};
use super::{Crew, Sample, Size, online};
use crate::Outcome;
use crate::client::Client;
use crate::scan::{self, Kind};
use crate::subject::Subject;
use crate::world::{PASSWORD, user};

/// Accounts that talk, two by two.
const ACCOUNTS: usize = PAIRS;
const ENABLE: &str = "<iq type='set' id='copies'><enable xmlns='urn:xmpp:carbons:2'/></iq>";

/// One that only listens: what it gets comes from this address.
struct Listener {
    client: Client,
    from: String,
}

impl Listener {
    /// Takes one message and looks at its body.
    async fn take(&mut self, expected: &[u8]) -> Outcome<()> {
        let (kind, mut range) = self.client.connection.item().await?;
        while self.is_own_presence(range.clone()) {
            (_, range) = self.client.connection.item().await?;
        }
        let item = self.client.connection.bytes(range);
        let right = kind == Kind::Element
            && scan::is(item, "message")
            && scan::attribute(item, "from") == Some(self.from.as_bytes())
            && scan::text(item, "body") == Some(expected);
        if right {
            return Ok(());
        }
        let item = String::from_utf8_lossy(item).into_owned();
        Err(format!(
            "{}: a message from {} was due: {item}",
            self.client.jid, self.from
        )
        .into())
    }
}

impl Listener {
    /// An account's sessions hear of each other when the server comes to it: where each session is a process of its own
    /// (ejabberd), that is after everything else has been answered.
    fn is_own_presence(&self, range: std::ops::Range<usize>) -> bool {
        let item = self.client.connection.bytes(range);
        let own = |from: &[u8]| {
            let rest = from.strip_prefix(self.client.bare().as_bytes());
            rest.is_some_and(|rest| rest.starts_with(b"/"))
        };
        scan::is(item, "presence") && scan::attribute(item, "from").is_some_and(own)
    }
}

pub(super) async fn run(subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    let mut first = online(&subject.gate, 0..ACCOUNTS).await?;
    let mut second = Vec::with_capacity(ACCOUNTS);
    for number in 0..ACCOUNTS {
        let mut client = subject.gate.online(&user(number), PASSWORD).await?;
        // What a second session hears of the first one.
        client.until_settled().await?;
        client.ask(ENABLE, "copies").await?;
        second.push(client);
    }
    for client in &mut first {
        client.until_settled().await?;
    }
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut pair = 0;
    while let (Some(mut writer), Some(reader), Some(own), Some(other)) =
        (first.next(), first.next(), second.next(), second.next())
    {
        let meter = crew.meter.clone();
        let to = reader.jid.clone();
        let mut listeners = [
            Listener {
                from: writer.jid.clone(),
                client: reader,
            },
            Listener {
                from: own.bare().to_owned(),
                client: own,
            },
            Listener {
                from: other.bare().to_owned(),
                client: other,
            },
        ];
        crew.add(async move {
            let (mut number, mut expected) = (0, Vec::new());
            while !meter.stop.get() {
                expected.clear();
                body(&mut expected, pair, number);
                let mut message =
                    format!("<message to='{to}' type='chat' id='m{number}'><body>").into_bytes();
                message.extend_from_slice(&expected);
                message.extend_from_slice(b"</body></message>");
                writer.connection.send(&message).await?;
                for listener in &mut listeners {
                    listener.take(&expected).await?;
                }
                number += 1;
                meter.add(1);
            }
            writer.log_out().await?;
            for listener in listeners {
                listener.client.log_out().await?;
            }
            Ok(())
        });
        pair += 1;
    }
    crew.measure(subject, size).await
}
