//! One BOSH session: requests in the order of their ids, what waits for the client, and which request takes it
//! (XEP-0124, XEP-0206).
//!
//! No sockets and no clock: the time is handed in, answers go to whoever holds the other end of a channel. What comes is
//! given to the stream first and answered then, so that a client is never faster than the stream reads. Refuses: requests
//! out of the window, more at a time than agreed, and polling faster than agreed (WS-21 to WS-23).

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use xmpp::framing::web::{Cutter, Piece};

/// What clients are offered.
pub(super) const WAIT: u64 = 60;
/// Requests that are held at a time.
pub(super) const HOLD: usize = 1;
/// A session without any request ends after this time.
pub(super) const INACTIVITY: u64 = 60;
/// The shortest interval of empty requests that are not held.
pub(super) const POLLING: u64 = 2;
/// The longest pause.
pub(super) const MAX_PAUSE: u64 = 120;
/// Bytes that may wait for requests before the stream is made to wait.
const READY: usize = 128 * 1024;

/// Conditions of XEP-0124 17.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    BadRequest,
    ImproperAddressing,
    ItemNotFound,
    PolicyViolation,
    RemoteStreamError,
}

impl Condition {
    fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::ImproperAddressing => "improper-addressing",
            Self::ItemNotFound => "item-not-found",
            Self::PolicyViolation => "policy-violation",
            Self::RemoteStreamError => "remote-stream-error",
        }
    }
}

const BODY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'";

/// An answer that ends a session.
pub(super) fn terminated(condition: Option<Condition>) -> String {
    match condition {
        Some(condition) => {
            let word = condition.word();
            format!("{BODY} type='terminate' condition='{word}'/>")
        }
        None => format!("{BODY} type='terminate'/>"),
    }
}

/// What was agreed when the session began.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) sid: String,
    /// The domain asked for.
    pub(super) to: String,
    /// Name of the door at which it began; it goes on nowhere else.
    pub(super) door: String,
    pub(super) wait: Duration,
    pub(super) hold: usize,
    /// Content-Type of all answers.
    pub(super) content: Option<String>,
    /// `ver` of the answer.
    pub(super) version: &'static str,
}

/// A request.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// What it says on the stream.
    pub(super) said: Vec<u8>,
    /// It holds stanzas, ends the session or pauses it: it is no mere poll.
    pub(super) busy: bool,
    pub(super) terminate: bool,
    pub(super) pause: Option<u64>,
    pub(super) answer: Option<oneshot::Sender<String>>,
}

/// One session.
pub(super) struct Session {
    pub(super) terms: Terms,
    /// Id of the next request in order.
    next: u64,
    early: BTreeMap<u64, Arrived>,
    held: VecDeque<(u64, Option<oneshot::Sender<String>>)>,
    /// Answers that may be asked for again.
    sent: VecDeque<(u64, String)>,
    first: bool,
    inactivity: Duration,
    /// When the last request was answered.
    answered: Instant,
    /// When the last request came, if it was empty and got nothing.
    polled: Option<Instant>,
    /// What the stream has yet to read …
    input: Vec<u8>,
    reader: Option<Waker>,
    /// … and nothing follows.
    deaf: bool,
    cutter: Cutter,
    ready: Vec<String>,
    ready_bytes: usize,
    writer: Option<Waker>,
    /// The stream has ended.
    closed: bool,
    /// An error of the stream is among what waits.
    error: bool,
    /// The session is over for its client.
    over: Option<Option<Condition>>,
}

impl Session {
    /// A session whose first request has this id.
    pub(super) fn new(terms: Terms, rid: u64, now: Instant) -> Self {
        Self {
            terms,
            next: rid,
            early: BTreeMap::new(),
            held: VecDeque::new(),
            sent: VecDeque::new(),
            first: true,
            inactivity: Duration::from_secs(INACTIVITY),
            answered: now,
            polled: None,
            input: Vec::new(),
            reader: None,
            deaf: false,
            cutter: Cutter::default(),
            ready: Vec::new(),
            ready_bytes: 0,
            writer: None,
            closed: false,
            error: false,
            over: None,
        }
    }

    /// Requests that may be under way.
    fn window(&self) -> u64 {
        self.terms.hold as u64 + 1
    }

    /// Takes a request, which is answered when there is something to answer.
    pub(super) fn request(&mut self, rid: u64, mut arrived: Arrived, now: Instant) {
        if let Some(over) = self.over {
            return answer(arrived.answer, terminated(over));
        }
        if rid < self.next {
            return self.again(rid, arrived.answer, now);
        }
        if rid > self.next + self.window() {
            answer(
                arrived.answer.take(),
                terminated(Some(Condition::ItemNotFound)),
            );
            return self.end(Some(Condition::ItemNotFound), now);
        }
        if let Some(earlier) = self.early.insert(rid, arrived) {
            answer(earlier.answer, recoverable());
        }
        while let Some(arrived) = self.early.remove(&self.next) {
            self.in_order(self.next, arrived, now);
            self.next += 1;
        }
        self.flush(now);
    }

    /// A request that has come before (XEP-0124 14.3).
    fn again(&mut self, rid: u64, sender: Option<oneshot::Sender<String>>, now: Instant) {
        if let Some((_, held)) = self.held.iter_mut().find(|(held, _)| *held == rid) {
            answer(std::mem::replace(held, sender), recoverable());
            return;
        }
        match self.sent.iter().find(|(sent, _)| *sent == rid) {
            Some((_, text)) => answer(sender, text.clone()),
            None => {
                answer(sender, terminated(Some(Condition::ItemNotFound)));
                self.end(Some(Condition::ItemNotFound), now);
            }
        }
    }

    fn in_order(&mut self, rid: u64, arrived: Arrived, now: Instant) {
        if self.over.is_some() {
            return answer(arrived.answer, terminated(self.over.flatten()));
        }
        self.inactivity = Duration::from_secs(INACTIVITY);
        let polls = !arrived.busy && arrived.said.is_empty();
        let too_soon = |last: Instant| now < last + Duration::from_secs(POLLING);
        let overactive = self.held.len() as u64 > self.window()
            || (self.held.len() as u64 == self.window() && !arrived.busy)
            || (polls && self.is_polling() && self.polled.is_some_and(too_soon));
        self.polled = polls.then_some(now);
        self.held.push_back((rid, arrived.answer));
        if overactive {
            return self.end(Some(Condition::PolicyViolation), now);
        }
        if let Some(seconds) = arrived.pause {
            if seconds > MAX_PAUSE {
                return self.end(Some(Condition::PolicyViolation), now);
            }
            self.inactivity = Duration::from_secs(seconds);
            while let Some((rid, sender)) = self.held.pop_front() {
                // What was paused for is not asked for again (XEP-0124 14.3).
                let again = (rid != self.next).then_some(rid);
                self.reply(again, sender, format!("{BODY}/>"), now);
            }
        }
        // A request without anything is a sign of life all the same.
        match arrived.said.is_empty() {
            true => self.input.push(b' '),
            false => self.input.extend_from_slice(&arrived.said),
        }
        if arrived.terminate {
            self.input.extend_from_slice(xmpp::stream::CLOSE);
            self.deaf = true;
        }
        wake(&mut self.reader);
    }

    fn is_polling(&self) -> bool {
        self.terms.hold == 0 || self.terms.wait.is_zero()
    }

    /// Answers what can be answered, the oldest first.
    fn flush(&mut self, now: Instant) {
        while self.input.is_empty() && self.over.is_none() && !self.held.is_empty() {
            if self.closed {
                return self.end(self.error.then_some(Condition::RemoteStreamError), now);
            }
            if self.ready.is_empty() && (self.held.len() <= self.terms.hold || self.first) {
                return;
            }
            if !self.ready.is_empty() {
                self.polled = None;
            }
            let Some((rid, sender)) = self.held.pop_front() else {
                return;
            };
            let body = self.body("");
            self.reply(Some(rid), sender, body, now);
        }
    }

    /// A request has waited as long as it may; it and those before it are answered.
    pub(super) fn expire(&mut self, rid: u64, now: Instant) {
        while self.held.front().is_some_and(|(held, _)| *held <= rid) {
            let Some((held, sender)) = self.held.pop_front() else {
                return;
            };
            let body = self.body("");
            self.reply(Some(held), sender, body, now);
        }
        // It came before one that is still missing.
        if let Some(early) = self.early.get_mut(&rid) {
            answer(early.answer.take(), recoverable());
        }
    }

    /// The session is over: the oldest request hears why, the others hear nothing.
    pub(super) fn end(&mut self, condition: Option<Condition>, now: Instant) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(condition);
        self.deaf = true;
        wake(&mut self.reader);
        wake(&mut self.writer);
        let why = match condition {
            Some(condition) => format!(" type='terminate' condition='{}'", condition.word()),
            None => " type='terminate'".to_owned(),
        };
        let early = std::mem::take(&mut self.early);
        let early = early.into_iter().map(|(rid, early)| (rid, early.answer));
        let mut waiting: VecDeque<_> = self.held.drain(..).chain(early).collect();
        if let Some((rid, sender)) = waiting.pop_front() {
            let body = self.body(&why);
            self.reply(Some(rid), sender, body, now);
        }
        for (rid, sender) in waiting {
            self.reply(Some(rid), sender, format!("{BODY}/>"), now);
        }
    }

    /// What waits, in a body with these attributes.
    fn body(&mut self, attributes: &str) -> String {
        let mut text = BODY.to_owned();
        if std::mem::take(&mut self.first) {
            let Terms {
                sid,
                to,
                wait,
                hold,
                version,
                ..
            } = &self.terms;
            let mut from = Vec::new();
            xmpp::framing::web::attribute("from", to, &mut from);
            text.push_str(&String::from_utf8(from).unwrap_or_default());
            text.push_str(&format!(
                " sid='{sid}' wait='{}' hold='{hold}' requests='{}' inactivity='{INACTIVITY}' polling='{POLLING}' \
                 maxpause='{MAX_PAUSE}' ver='{version}' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0' \
                 xmpp:restartlogic='true'",
                wait.as_secs(),
                hold + 1,
            ));
        }
        text.push_str(attributes);
        if self.ready.is_empty() {
            text.push_str("/>");
            return text;
        }
        text.push_str(" xmlns:stream='http://etherx.jabber.org/streams'>");
        for element in self.ready.drain(..) {
            text.push_str(&element);
        }
        text.push_str("</body>");
        self.ready_bytes = 0;
        wake(&mut self.writer);
        text
    }

    fn reply(
        &mut self,
        rid: Option<u64>,
        sender: Option<oneshot::Sender<String>>,
        text: String,
        now: Instant,
    ) {
        if let Some(rid) = rid {
            self.sent.push_back((rid, text.clone()));
            while self.sent.len() as u64 > self.window() {
                self.sent.pop_front();
            }
        }
        self.answered = now;
        answer(sender, text);
    }

    /// Ends a session that nobody asks about any more; whether it may be forgotten.
    pub(super) fn is_forgotten(&mut self, now: Instant) -> bool {
        if !self.held.is_empty() || now < self.answered + self.inactivity {
            return false;
        }
        self.end(None, now);
        true
    }
}

/// The stream's side.
impl Session {
    /// Bytes for the stream, at most so many. `None`: it has to wait; none at all: nothing follows.
    pub(super) fn read(&mut self, most: usize, waker: &Waker, now: Instant) -> Option<Vec<u8>> {
        if self.input.is_empty() {
            if self.deaf || self.closed {
                return Some(Vec::new());
            }
            self.reader = Some(waker.clone());
            return None;
        }
        let rest = self.input.split_off(self.input.len().min(most));
        let read = std::mem::replace(&mut self.input, rest);
        self.flush(now);
        Some(read)
    }

    /// Takes what the stream writes; `false`: it has to wait.
    pub(super) fn write(&mut self, bytes: &[u8], waker: &Waker, now: Instant) -> bool {
        if self.ready_bytes >= READY && self.over.is_none() {
            self.writer = Some(waker.clone());
            return false;
        }
        self.cutter.push(bytes);
        for piece in self.cutter.pieces() {
            match piece {
                Piece::Element(text) => {
                    self.error |= text.starts_with("<stream:error");
                    self.ready_bytes += text.len();
                    self.ready.push(text);
                }
                Piece::Closing => self.closed = true,
                // The opening tag is the first body, and requests are signs of life enough.
                Piece::Opening(_) | Piece::Space => {}
            }
        }
        if self.over.is_some() {
            self.ready.clear();
            self.ready_bytes = 0;
        }
        self.flush(now);
        true
    }

    /// The stream has ended.
    pub(super) fn close(&mut self, now: Instant) {
        self.closed = true;
        self.input.clear();
        self.flush(now);
    }
}

fn answer(sender: Option<oneshot::Sender<String>>, text: String) {
    if let Some(sender) = sender {
        // Whose connection is gone asks again.
        let _ = sender.send(text);
    }
}

/// XEP-0124 17.3
fn recoverable() -> String {
    format!("{BODY} type='error'/>")
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
