//! Requests of programs that may be sent again: under a key that the program draws (the header `Idempotency-Key`,
//! draft-ietf-httpapi-idempotency-key-header), what was done is not done once more, and the answer is the same.
//!
//! Kept for a day, by person and credential. Only what was done is kept: a request that was refused has changed nothing, and is
//! looked at afresh. Refuses: another request under the same key, and one whose first sending is still under way.

use sha2::{Digest as _, Sha256};
use store::{Asked, OperatorId};

use crate::error::{ControlError, Result};
use crate::time::plus;
use crate::{Actor, Control};

/// How long keys are kept (seconds).
pub(crate) const KEPT_SECONDS: i64 = 24 * 3600;
/// Longest key.
const KEY_BYTES: usize = 255;
/// Keys kept of one person.
const MOST: u32 = 10_000;
/// Longest answer that is kept. What is made answers with far less.
pub const ANSWER_BYTES: usize = 64 * 1024;

/// A request under a key.
#[derive(Debug)]
pub enum Repeat {
    /// It is the first: it is done now, and [`Control::request_done`] hears what it was answered.
    First(RequestKey),
    /// It was done, and answered with this.
    Answered {
        /// HTTP status.
        status: u16,
        /// Body: JSON, or nothing.
        body: Vec<u8>,
    },
}

/// Of a request that is being done.
#[derive(Debug)]
pub struct RequestKey {
    operator: OperatorId,
    hash: Vec<u8>,
}

impl Control {
    /// Begins a request under `key`. `credential` is what the program came with, as a word and a number; `path` and `body` are
    /// what it asks. `None`: nobody asks who could come again.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] for a key that cannot be, or that another request came with; [`ControlError::State`] while the
    /// first is under way.
    pub async fn request_begin(
        &self,
        actor: &Actor,
        credential: (&str, i64),
        key: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Option<Repeat>> {
        let Some(operator) = actor.operator else {
            return Ok(None);
        };
        let invalid = |problem: &str, remedy: &str| {
            ControlError::invalid("Idempotency-Key", key, problem, remedy)
        };
        let plain = |letter: u8| (b' '..=b'~').contains(&letter);
        if key.is_empty() || key.len() > KEY_BYTES || !key.bytes().all(plain) {
            return Err(invalid(
                "a key has 1 to 255 characters of ASCII",
                "Draw a UUID for each request.",
            ));
        }
        let (kind, id) = credential;
        let hash = Sha256::digest(format!("{kind} {id} {key}")).to_vec();
        let asked = Sha256::new()
            .chain_update(path)
            .chain_update([0])
            .chain_update(body)
            .finalize();
        let store = self.store();
        let known = store.request_begin(operator, &hash, &asked, MOST, self.now());
        match known.await? {
            Asked::First => Ok(Some(Repeat::First(RequestKey { operator, hash }))),
            Asked::Answered { status, answer } => Ok(Some(Repeat::Answered {
                status,
                body: answer.to_vec(),
            })),
            Asked::Another => Err(invalid(
                "another request came under this key",
                "Draw another key for another request.",
            )),
            Asked::UnderWay => Err(ControlError::State {
                name: "this request".into(),
                state: "under way".into(),
                problem: "it was sent before under this key, and has not been answered".into(),
                remedy: "Wait a moment and send it again. If it stays so, look whether it was done, and draw another key.".into(),
            }),
            Asked::Full => Err(ControlError::Limit {
                what: "idempotency keys of a day",
                used: MOST.into(),
                limit: MOST.into(),
            }),
        }
    }

    /// What a request was answered: kept if something was done, or forgotten (`None`). The answer goes out either way.
    pub async fn request_done(&self, key: RequestKey, answer: Option<(u16, &[u8])>) {
        let store = self.store();
        let done = match answer {
            Some((status, body)) => {
                store
                    .request_answered(key.operator, &key.hash, status, body)
                    .await
            }
            None => store.request_forget(key.operator, &key.hash).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "what a request was answered could not be kept");
        }
    }

    /// Forgets what is older than a day.
    pub(crate) async fn requests_sweep(&self) -> Result<()> {
        let since = plus(self.now(), -KEPT_SECONDS);
        Ok(self.store().requests_sweep(since).await?)
    }
}
