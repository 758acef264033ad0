//! What a stream waits for after a stanza, so that what it says afterwards is true: acknowledged means durable.
//!
//! Work that is not done yet holds up the next stanza. What was handed to another stream does not: many may be under way, and
//! leave together. It holds up only what this stream says, since that is what acknowledges. Refuses: waiting for a stream
//! whose other side takes nothing; what is still here after [`WRITTEN_WITHIN`] is kept in another way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};

use crate::session::Progress;

/// How long another stream may take to write what it was handed, before that is committed instead.
const WRITTEN_WITHIN: Duration = Duration::from_millis(250);
/// Streams that may be waited for at a time; more of them are waited for at once.
const STREAMS: usize = 32;

/// What follows a stanza.
pub enum Later {
    /// Its stream looks at no further frame before this.
    Done(BoxFuture<'static, ()>),
    /// Its stream says nothing before that has left the process, and goes on.
    Handed(Handed),
}

impl Later {
    /// To be waited for by whoever is no stream.
    pub fn done(self) -> BoxFuture<'static, ()> {
        match self {
            Self::Done(done) => done,
            Self::Handed(handed) => Box::pin(Debt::of(handed).settled()),
        }
    }
}

impl IntoFuture for Later {
    type Output = ();
    type IntoFuture = BoxFuture<'static, ()>;

    fn into_future(self) -> Self::IntoFuture {
        self.done()
    }
}

/// A stanza that another stream is about to write.
pub struct Handed {
    /// How far that stream is.
    pub progress: Arc<Progress>,
    /// The stanza's number there.
    pub item: u64,
    /// What it is.
    pub bytes: Bytes,
    /// Who knows what to do if the stream does not write it.
    pub keeper: Arc<dyn Keeper>,
}

/// Whoever queues stanzas for other streams, and looks after those that were not written.
pub trait Keeper: Send + Sync {
    /// The stream `progress` is of takes long: these, which it has not written as far as is known, become durable in another
    /// way, or are written after all. Waits for it.
    fn keep(
        self: Arc<Self>,
        progress: Arc<Progress>,
        items: Vec<(u64, Bytes)>,
    ) -> BoxFuture<'static, ()>;

    /// Waits until all that streams have given back so far is durable.
    fn kept(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// What one other stream has been handed.
struct Debt {
    progress: Arc<Progress>,
    keeper: Arc<dyn Keeper>,
    items: VecDeque<(u64, Bytes)>,
}

impl Debt {
    fn of(handed: Handed) -> Self {
        Self {
            progress: handed.progress,
            keeper: handed.keeper,
            items: [(handed.item, handed.bytes)].into(),
        }
    }

    fn forget_written(&mut self) {
        while self
            .items
            .front()
            .is_some_and(|(item, _)| self.progress.has(*item))
        {
            self.items.pop_front();
        }
    }

    async fn settled(mut self) {
        let Some((last, _)) = self.items.back() else {
            return;
        };
        let reached = self.progress.reached(*last);
        match tokio::time::timeout(WRITTEN_WITHIN, reached).await {
            Ok(true) => {}
            Ok(false) => self.keeper.kept().await,
            Err(_) => {
                self.forget_written();
                self.keeper.keep(self.progress, self.items.into()).await;
            }
        }
    }
}

/// What a stream has handed to others, for as long as it is not known to have left the process.
#[derive(Default)]
pub(super) struct Debts {
    /// One for each of the other streams.
    open: Vec<Debt>,
    /// The stream has something to say, and waits.
    settling: Option<BoxFuture<'static, ()>>,
}

impl Debts {
    /// `Some`: there are too many already; the stream waits for this before it goes on.
    pub(super) fn add(&mut self, handed: Handed) -> Option<BoxFuture<'static, ()>> {
        let same = |debt: &&mut Debt| Arc::ptr_eq(&debt.progress, &handed.progress);
        if let Some(debt) = self.open.iter_mut().find(same) {
            debt.forget_written();
            debt.items.push_back((handed.item, handed.bytes));
            return None;
        }
        self.forget_settled();
        self.open.push(Debt::of(handed));
        (self.open.len() > STREAMS).then(|| self.all())
    }

    /// What has left the process is nobody's concern any more.
    pub(super) fn forget_settled(&mut self) {
        self.open.retain_mut(|debt| {
            debt.forget_written();
            !debt.items.is_empty()
        });
    }

    fn all(&mut self) -> BoxFuture<'static, ()> {
        let all = std::mem::take(&mut self.open);
        Box::pin(async move {
            join_all(all.into_iter().map(Debt::settled)).await;
        })
    }

    /// The stream waits and does nothing else meanwhile.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.is_some()
    }

    /// Ready when the stream may say what it has to say.
    pub(super) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.settling.is_none() {
            self.forget_settled();
            if self.open.is_empty() {
                return Poll::Ready(());
            }
            self.settling = Some(self.all());
        }
        let Some(settling) = &mut self.settling else {
            return Poll::Ready(());
        };
        let settled = settling.as_mut().poll(cx);
        if settled.is_ready() {
            self.settling = None;
        }
        settled
    }

    /// The same, for the end of the stream.
    pub(super) async fn settled(&mut self) {
        std::future::poll_fn(|cx| self.poll_settled(cx)).await;
    }
}
