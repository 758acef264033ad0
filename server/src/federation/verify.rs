//! Dialback keys that peers sent us, verified at the authoritative server of their domain, over a connection of our own
//! (DNA-09, DNA-10, DIALBACK-09).
//!
//! Questions for the same pair share one connection. Refuses: working for a flood. The number of such connections is
//! bounded, altogether and for those who send the keys from one network; where they become few, one that has answered ends at
//! once. A domain that could not be asked is not asked again soon.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::{KeyOutcome, Order, StreamError};

use super::Federation;
use super::call::{Job, call};
use super::evidence::network;
use crate::session::Outbox;

/// Connections for questions about keys, at a time.
const CONNECTIONS: usize = 128;
/// The same, for keys that come from one network.
const PER_NETWORK: usize = CONNECTIONS / 4;
/// From so many on they end when they have answered.
const SCARCE: usize = CONNECTIONS / 2;
/// Questions that may wait for one connection.
const QUESTIONS: usize = 64;
/// How long a domain that could not be asked is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Domains that are left alone, at most.
const PAUSES: usize = 1_000;

type Pair = (DomainName, DomainName);

#[derive(Default)]
pub(super) struct Verifiers {
    open: DashMap<Pair, Arc<Verifier>, ahash::RandomState>,
    places: Arc<Places>,
    pauses: Mutex<HashMap<DomainName, (Instant, StanzaError)>>,
}

/// Places for connections, by the network from which came what each is for.
#[derive(Default)]
struct Places(Mutex<Vec<IpAddr>>);

/// One of them.
struct Place {
    of: Arc<Places>,
    network: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let network = network(from);
        let mut taken = self.0.lock();
        let its = taken.iter().filter(|other| **other == network).count();
        if taken.len() >= CONNECTIONS || its >= PER_NETWORK {
            return None;
        }
        taken.push(network);
        let of = self.clone();
        Some(Place { of, network })
    }

    fn are_scarce(&self) -> bool {
        self.0.lock().len() >= SCARCE
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock();
        if let Some(at) = taken.iter().position(|other| *other == self.network) {
            taken.swap_remove(at);
        }
    }
}

impl Verifiers {
    pub(super) fn close(&self, error: &StreamError) {
        self.close_where(error, |_, _| true);
    }

    /// Closes the connections for questions of some pairs, by hosted domain and peer.
    pub(super) fn close_where(
        &self,
        error: &StreamError,
        wanted: impl Fn(&DomainName, &DomainName) -> bool,
    ) {
        for verifier in &self.open {
            let (local, remote) = &verifier.pair;
            if wanted(local, remote)
                && let Some(outbox) = &verifier.state.lock().outbox
            {
                outbox.order(Order::Close(error.clone()));
            }
        }
    }

    fn paused(&self, remote: &DomainName) -> Option<StanzaError> {
        let pauses = self.pauses.lock();
        let (until, error) = pauses.get(remote)?;
        (Instant::now() < *until).then(|| error.clone())
    }

    fn pause(&self, remote: &DomainName, error: &StanzaError) {
        let now = Instant::now();
        let mut pauses = self.pauses.lock();
        if pauses.len() >= PAUSES {
            pauses.retain(|_, (until, _)| now < *until);
        }
        if pauses.len() < PAUSES {
            pauses.insert(remote.clone(), (now + PAUSE, error.clone()));
        }
    }
}

/// One connection for questions of one pair.
pub(super) struct Verifier {
    pair: Pair,
    places: Arc<Places>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    questions: Vec<Question>,
    /// The stream, once it can be asked.
    outbox: Option<Arc<Outbox>>,
    authority: Authority,
    /// The task has ended; a new verifier is wanted.
    over: bool,
}

struct Question {
    stream: String,
    key: String,
    answer: oneshot::Sender<(KeyOutcome, Authority)>,
}

/// Who answers for a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Authority {
    pub(super) address: String,
    /// Signed records led there.
    pub(super) dnssec: bool,
}

impl Verifier {
    /// The stream can be asked: whatever waits is.
    pub(super) fn ready(&self, outbox: &Arc<Outbox>, authority: Authority) {
        let mut state = self.state.lock();
        for question in &state.questions {
            outbox.order(self.order(question));
        }
        state.outbox = Some(outbox.clone());
        state.authority = authority;
    }

    pub(super) fn answered(&self, stream: &str, outcome: KeyOutcome) {
        let mut state = self.state.lock();
        if let Some(at) = state.questions.iter().position(|q| q.stream == stream) {
            let question = state.questions.swap_remove(at);
            // Whoever asked may have gone meanwhile (DIALBACK-13).
            let _ = question.answer.send((outcome, state.authority.clone()));
        }
        drop(state);
        if self.places.are_scarce() {
            self.make_way();
        }
    }

    /// Ends if nothing is being asked.
    fn make_way(&self) {
        let mut state = self.state.lock();
        if state.questions.is_empty()
            && let Some(outbox) = state.outbox.take()
        {
            state.over = true;
            outbox.order(Order::Finish);
        }
    }

    /// The question comes back: there are too many, or the connection is about to end.
    fn ask(&self, question: Question) -> Result<(), Question> {
        let mut state = self.state.lock();
        if state.over || state.questions.len() >= QUESTIONS {
            return Err(question);
        }
        if let Some(outbox) = &state.outbox {
            outbox.order(self.order(&question));
        }
        state.questions.push(question);
        Ok(())
    }

    fn order(&self, question: &Question) -> Order {
        Order::VerifyKey {
            stream: question.stream.clone(),
            local: self.pair.0.clone(),
            remote: self.pair.1.clone(),
            key: question.key.clone(),
        }
    }

    fn over(&self, error: &StanzaError) {
        let mut state = self.state.lock();
        state.over = true;
        state.outbox = None;
        for question in std::mem::take(&mut state.questions) {
            let outcome = KeyOutcome::Failed(Box::new(error.clone()));
            let _ = question.answer.send((outcome, Authority::default()));
        }
    }
}

impl Federation {
    /// Asks the authoritative server of `remote` whether it made `key` for the stream that `local` received it on, from this
    /// address. Says who answered, too.
    pub(super) async fn verify(
        self: &Arc<Self>,
        (local, remote): (DomainName, DomainName),
        stream: String,
        key: String,
        from: IpAddr,
    ) -> (KeyOutcome, Authority) {
        let failed =
            |error: StanzaError| (KeyOutcome::Failed(Box::new(error)), Authority::default());
        if self.parts.tenancy.hosts(remote.as_str()) {
            // Hosted domains talk inside this process; whoever says to be one on the outside is not (ROUTE-08).
            return (KeyOutcome::Invalid, Authority::default());
        }
        if let Some(error) = self.verifiers.paused(&remote) {
            return failed(error);
        }
        let (answer, answered) = oneshot::channel();
        let question = Question {
            stream,
            key,
            answer,
        };
        if let Err(error) = self.put((local, remote), question, from) {
            return failed(error);
        }
        let limit = self.parts.settings.connect.saturating_mul(2);
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(answer)) => answer,
            _ => failed(Condition::RemoteServerTimeout.into()),
        }
    }

    fn put(
        self: &Arc<Self>,
        pair: Pair,
        mut question: Question,
        from: IpAddr,
    ) -> Result<(), StanzaError> {
        if let Some(open) = self.verifiers.open.get(&pair) {
            match open.ask(question) {
                Ok(()) => return Ok(()),
                Err(back) => question = back,
            }
        }
        let places = &self.verifiers.places;
        if places.are_scarce() {
            self.verifiers.open.iter().for_each(|open| open.make_way());
        }
        let Some(place) = places.take(from) else {
            return Err(Condition::ResourceConstraint.into());
        };
        let verifier = Arc::new(Verifier {
            pair: pair.clone(),
            places: places.clone(),
            state: Mutex::default(),
        });
        if verifier.ask(question).is_err() {
            return Err(Condition::InternalServerError.into());
        }
        self.verifiers.open.insert(pair, verifier.clone());
        let this = self.clone();
        self.spawn(async move {
            let (local, remote) = &verifier.pair;
            let job = Job::Verify(verifier.clone());
            let error = match Box::pin(call(&this, local, remote, &job)).await {
                Ok(_) => Condition::RemoteServerTimeout.into(),
                Err(error) => {
                    this.verifiers.pause(remote, &error);
                    *error
                }
            };
            this.verifiers
                .open
                .remove_if(&verifier.pair, |_, open| Arc::ptr_eq(open, &verifier));
            verifier.over(&error);
            drop(place);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> DomainName {
        DomainName::parse(name).expect("a domain")
    }

    fn address(number: usize) -> IpAddr {
        format!("192.0.2.{number}").parse().expect("an address")
    }

    #[test]
    fn dialback_13_one_network_does_not_take_all_places() {
        let places = Arc::<Places>::default();
        let mut taken: Vec<_> = (0..PER_NETWORK)
            .map(|_| places.take(address(1)).expect("a place"))
            .collect();
        assert!(places.take(address(1)).is_none());
        assert!(!places.are_scarce());
        for other in 2..=4 {
            taken.extend((0..PER_NETWORK).filter_map(|_| places.take(address(other))));
        }
        assert_eq!(taken.len(), CONNECTIONS);
        assert!(places.are_scarce() && places.take(address(5)).is_none());
        drop(taken);
        assert!(places.take(address(1)).is_some());
    }

    #[test]
    fn a_connection_that_has_answered_makes_way_where_they_are_few() {
        let places = Arc::<Places>::default();
        let verifier = Verifier {
            pair: (name("one.example"), name("two.example")),
            places: places.clone(),
            state: Mutex::default(),
        };
        let outbox = Outbox::new(1_000);
        let question = |stream: &str| {
            let (answer, answered) = oneshot::channel();
            let question = Question {
                stream: stream.to_owned(),
                key: "key".to_owned(),
                answer,
            };
            (question, answered)
        };
        let orders = || {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let (mut items, mut taken) = (Vec::new(), crate::session::outbox::Taken::default());
            let _ = outbox.poll_take(&mut context, false, &mut items, &mut taken);
            taken.orders
        };
        let (one, _first) = question("1");
        assert!(verifier.ask(one).is_ok());
        verifier.ready(&outbox, Authority::default());
        verifier.answered("1", KeyOutcome::Valid);
        assert_eq!(orders().len(), 1, "asked, and there for more");
        let _taken: Vec<_> = (0..CONNECTIONS)
            .filter_map(|number| places.take(address(number)))
            .collect();
        let ((two, _second), (three, _third)) = (question("2"), question("3"));
        assert!(verifier.ask(two).is_ok() && verifier.ask(three).is_ok());
        verifier.answered("2", KeyOutcome::Valid);
        assert!(
            orders()
                .iter()
                .all(|o| matches!(o, Order::VerifyKey { .. }))
        );
        verifier.answered("3", KeyOutcome::Valid);
        assert!(matches!(orders()[..], [Order::Finish]));
        let (four, _fourth) = question("4");
        assert!(verifier.ask(four).is_err(), "for another connection");
    }
}
