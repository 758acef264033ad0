//! Bytes on their way out, written in as few records as possible.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// One TLS record holds this much.
const RECORD: usize = 16 * 1024;
/// What TLS holds of what it was given, at most: so much of the last items may not have left the process before a flush is
/// done. rustls keeps 64 KiB of records by default, and takes no more while it has them.
const HELD: usize = 64 * 1024 + RECORD;

thread_local! {
    /// Where small items are joined for one write. Shared by all streams of a thread, so that no stream owns a buffer.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Items not yet written and flushed, in order.
#[derive(Default)]
pub(super) struct Output {
    /// Those that are written too, until a flush is done: TLS may have them still.
    items: Vec<Bytes>,
    /// First item not yet written completely …
    next: usize,
    /// … and how much of it was written.
    offset: usize,
    bytes: usize,
    unflushed: bool,
    moved: bool,
}

impl Output {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.items.push(bytes);
    }

    /// The list of items, for filling it while [`Output::is_empty`]; call [`Output::count`] afterwards.
    pub(super) fn items(&mut self) -> &mut Vec<Bytes> {
        &mut self.items
    }

    pub(super) fn count(&mut self) {
        if self.next == 0 && self.offset == 0 {
            self.bytes = self.items.iter().map(Bytes::len).sum();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing left to write or to flush.
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.items.len() && !self.unflushed
    }

    /// Whether anything was written since this was last asked.
    pub(super) fn moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Writes and flushes everything.
    pub(super) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<()>> {
        while self.next < self.items.len() {
            let first = &self.items[self.next][self.offset..];
            let last = self.next + 1 == self.items.len();
            let written = if last || first.len() >= RECORD {
                ready!(Pin::new(&mut *io).poll_write(cx, first))?
            } else {
                ready!(JOINED.with_borrow_mut(|joined| {
                    joined.clear();
                    joined.extend_from_slice(first);
                    for item in &self.items[self.next + 1..] {
                        let room = RECORD - joined.len();
                        joined.extend_from_slice(&item[..item.len().min(room)]);
                        if joined.len() == RECORD {
                            break;
                        }
                    }
                    Pin::new(&mut *io).poll_write(cx, joined)
                }))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.advance(written);
        }
        self.bytes = 0;
        ready!(Pin::new(io).poll_flush(cx))?;
        self.items.clear();
        self.next = 0;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.moved = true;
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(item) = self.items.get(self.next) {
            let left = item.len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            self.offset = 0;
            self.next += 1;
        }
    }

    /// What may not have left the process: what was not written completely, and what TLS may have of what was. Some of that the
    /// other side may have got; sent twice is better than lost. Where it acknowledges what it gets, whoever keeps count of that
    /// knows better, and `acknowledged` leaves the second out.
    pub(super) fn unwritten(&self, acknowledged: bool) -> Vec<Bytes> {
        let mut from = self.next;
        let mut held = self.offset;
        while self.unflushed && !acknowledged && from > 0 && held < HELD {
            from -= 1;
            held += self.items[from].len();
        }
        self.items.get(from..).unwrap_or_default().to_vec()
    }

    pub(super) fn shrink(&mut self) {
        if self.items.is_empty() {
            self.items = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most so many bytes a call, and flushes them where it can.
    struct Narrow {
        width: usize,
        stuck: bool,
        got: Vec<u8>,
        calls: usize,
    }
    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let n = bytes.len().min(self.width);
            self.got.extend_from_slice(&bytes[..n]);
            self.calls += 1;
            Poll::Ready(Ok(n))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            match self.stuck {
                true => Poll::Pending,
                false => Poll::Ready(Ok(())),
            }
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(width: usize, items: &[&'static [u8]]) -> Narrow {
        let mut io = Narrow {
            width,
            stuck: false,
            got: Vec::new(),
            calls: 0,
        };
        let mut output = Output::default();
        for item in items {
            output.push(Bytes::from_static(item));
        }
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(output.poll_write(&mut cx, &mut io).is_ready());
        assert!(output.is_empty() && output.bytes() == 0);
        io
    }

    #[test]
    fn order_survives_every_width_of_write() {
        for width in 1..12 {
            assert_eq!(
                write(width, &[b"one", b"two", b"", b"three"]).got,
                b"onetwothree"
            );
        }
    }

    /// What TLS has taken is not on its way before it has been flushed.
    #[test]
    fn what_was_not_flushed_is_not_written() {
        let mut io = Narrow {
            width: usize::MAX,
            stuck: true,
            got: Vec::new(),
            calls: 0,
        };
        let mut output = Output::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        output.push(Bytes::from_static(b"one"));
        output.push(Bytes::from_static(b"two"));
        assert!(output.poll_write(&mut cx, &mut io).is_pending());
        assert_eq!(io.got, b"onetwo");
        assert!(!output.is_empty());
        output.push(Bytes::from_static(b"three"));
        assert_eq!(output.unwritten(false), ["one", "two", "three"]);
        assert_eq!(output.unwritten(true), ["three"]);
        assert!(output.poll_write(&mut cx, &mut io).is_pending());
        io.stuck = false;
        assert!(output.poll_write(&mut cx, &mut io).is_ready());
        assert_eq!(io.got, b"onetwothree", "nothing is written twice");
        assert!(output.is_empty() && output.unwritten(false).is_empty());
        // Of much, only what TLS has room for.
        io.stuck = true;
        for _ in 0..20 {
            output.push(Bytes::from(vec![b'x'; RECORD]));
        }
        assert!(output.poll_write(&mut cx, &mut io).is_pending());
        assert_eq!(output.unwritten(false).len(), HELD / RECORD);
    }

    #[test]
    fn what_came_together_leaves_together() {
        assert_eq!(write(usize::MAX, &[b"one", b"two", b"three"]).calls, 1);
    }
}
