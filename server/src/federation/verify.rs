//! Dialback keys that peers sent us, verified at the authoritative server of their domain, over a connection of our own
//! (DNA-09, DNA-10, DIALBACK-09).
//!
//! Questions for the same pair share one connection. Refuses: working for a flood. The number of such connections is
//! bounded, and a domain that could not be asked is not asked again at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::{KeyOutcome, Order, StreamError};

use super::Federation;
use super::call::{Job, call};
use crate::session::Outbox;

/// Connections for questions about keys, at a time.
const CONNECTIONS: usize = 128;
/// Questions that may wait for one connection.
const QUESTIONS: usize = 64;
/// How long a domain that could not be asked is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Domains that are left alone, at most.
const PAUSES: usize = 1_000;

type Pair = (DomainName, DomainName);

pub(super) struct Verifiers {
    open: DashMap<Pair, Arc<Verifier>, ahash::RandomState>,
    permits: Arc<Semaphore>,
    pauses: Mutex<HashMap<DomainName, (Instant, StanzaError)>>,
}

impl Default for Verifiers {
    fn default() -> Self {
        Self {
            open: DashMap::default(),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            pauses: Mutex::default(),
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
    }

    /// `false`: too many, or the connection has just ended.
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
    /// Asks the authoritative server of `remote` whether it made `key` for the stream that `local` received it on. Says
    /// who answered, too.
    pub(super) async fn verify(
        self: &Arc<Self>,
        local: DomainName,
        remote: DomainName,
        stream: String,
        key: String,
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
        if let Err(error) = self.put((local, remote), question) {
            return failed(error);
        }
        let limit = self.parts.settings.connect.saturating_mul(2);
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(answer)) => answer,
            _ => failed(Condition::RemoteServerTimeout.into()),
        }
    }

    fn put(self: &Arc<Self>, pair: Pair, mut question: Question) -> Result<(), StanzaError> {
        if let Some(open) = self.verifiers.open.get(&pair) {
            match open.ask(question) {
                Ok(()) => return Ok(()),
                Err(back) => question = back,
            }
        }
        let Ok(permit) = self.verifiers.permits.clone().try_acquire_owned() else {
            return Err(Condition::ResourceConstraint.into());
        };
        let verifier = Arc::new(Verifier {
            pair: pair.clone(),
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
            drop(permit);
        });
        Ok(())
    }
}
