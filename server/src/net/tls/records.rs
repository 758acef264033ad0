//! TLS records as they come in, under the TLS library: who starts a second handshake loses the connection (TLS-14,
//! RFC 6120 5.3.5).
//!
//! Why: the library answers the first attempt to renegotiate with a warning and goes on. Only headers of records are looked
//! at, where they lie; TLS 1.3 knows no renegotiation, so nothing is looked at once it is up. Refuses: passing the record on
//! that would begin another handshake, or anything behind it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Type, version and length (RFC 5246 6.2.1).
const HEADER: u8 = 5;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;

/// A transport that reads TLS records and allows one handshake.
#[derive(Debug)]
pub struct Watched<S> {
    io: S,
    records: Records,
}

impl<S> Watched<S> {
    /// A transport on which no handshake has begun.
    pub(super) fn new(io: S) -> Self {
        Self {
            io,
            records: Records::default(),
        }
    }

    /// The handshake is complete, in this version. What was read ahead of its end has been looked at already.
    pub(super) fn established(&mut self, version: Option<ProtocolVersion>) {
        self.records.stage = match self.records.stage {
            _ if version == Some(ProtocolVersion::TLSv1_3) => Stage::Unwatched,
            Stage::Again => Stage::Refused,
            _ => Stage::Established,
        };
    }
}

/// Where in the records, and in the connection, we are.
#[derive(Debug, Default)]
struct Records {
    /// Bytes left of the record.
    left: u16,
    /// Bytes of its header that have passed.
    header: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Negotiating,
    /// ChangeCipherSpec has passed. One record follows that belongs to the handshake: Finished in TLS 1.2 (RFC 5246 7.1),
    /// and in TLS 1.3, where the former is for show, a second hello.
    Changed,
    /// That one has passed.
    Finished,
    /// Another has passed before we learned which version it is.
    Again,
    /// TLS 1.2 is up.
    Established,
    /// It began another handshake.
    Refused,
    Unwatched,
}

impl Records {
    /// Goes along `bytes`; gives how many of them may pass.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.header == HEADER {
                let rest = u16::try_from(bytes.len() - at).unwrap_or(u16::MAX);
                let body = self.left.min(rest);
                at += usize::from(body);
                self.left -= body;
            } else {
                if self.header == 0 && !self.may_begin(byte) {
                    return at;
                }
                match self.header {
                    3 => self.left = u16::from(byte) << 8,
                    4 => self.left |= u16::from(byte),
                    _ => {}
                }
                self.header += 1;
                at += 1;
            }
            if self.header == HEADER && self.left == 0 {
                self.header = 0;
            }
        }
        at
    }

    /// Whether a record of this type may begin.
    fn may_begin(&mut self, kind: u8) -> bool {
        self.stage = match (self.stage, kind) {
            (Stage::Negotiating, CHANGE_CIPHER_SPEC) => Stage::Changed,
            (Stage::Changed, HANDSHAKE) => Stage::Finished,
            (Stage::Finished, HANDSHAKE) => Stage::Again,
            (Stage::Established, HANDSHAKE) => Stage::Refused,
            (stage, _) => stage,
        };
        self.stage != Stage::Refused
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.records.stage == Stage::Unwatched {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        let mut passed = 0;
        if this.records.stage != Stage::Refused {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            passed = this.records.pass(&buf.filled()[before..]);
            buf.set_filled(before + passed);
        }
        // What came before it is still read.
        if this.records.stage == Stage::Refused && passed == 0 {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the other side tried to renegotiate TLS",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = Pin::new(&mut self.get_mut().io);
        match slices {
            // One record, as nearly always: the system is spared what it does about lists.
            [record] => io.poll_write(cx, record),
            _ => io.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const ALERT: u8 = 21;
    const DATA: u8 = 23;
    const TLS_1_2: Option<ProtocolVersion> = Some(ProtocolVersion::TLSv1_2);
    const TLS_1_3: Option<ProtocolVersion> = Some(ProtocolVersion::TLSv1_3);

    /// Records of these types and lengths, filled with what would be a handshake's header.
    fn records(list: &[(u8, u16)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, length) in list {
            let [high, low] = length.to_be_bytes();
            bytes.extend([*kind, 3, 3, high, low]);
            bytes.resize(bytes.len() + usize::from(*length), HANDSHAKE);
        }
        bytes
    }

    /// The client's records of a handshake in TLS 1.2.
    const FIRST: &[(u8, u16)] = &[
        (HANDSHAKE, 512),
        (HANDSHAKE, 70),
        (CHANGE_CIPHER_SPEC, 1),
        (HANDSHAKE, 40),
    ];

    /// Reads in pieces: what passes after the handshake is complete, and whether an error ended it.
    async fn read(
        handshake: &[u8],
        version: Option<ProtocolVersion>,
        after: &[&[u8]],
    ) -> (Vec<u8>, bool) {
        let mut script = scripted(handshake, after);
        let mut first = vec![0; handshake.len()];
        script.read_exact(&mut first).await.expect("a handshake");
        script.established(version);
        let mut passed = Vec::new();
        let end = script.read_to_end(&mut passed).await;
        (passed, end.is_err())
    }

    /// A transport that gives these pieces, one a read.
    fn scripted(handshake: &[u8], after: &[&[u8]]) -> Watched<Pieces> {
        let mut pieces: Vec<Vec<u8>> = after.iter().rev().map(|p| p.to_vec()).collect();
        pieces.push(handshake.to_vec());
        Watched::new(Pieces(pieces))
    }

    struct Pieces(Vec<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.0.pop() {
                let rest = piece.split_off(piece.len().min(buf.remaining()));
                buf.put_slice(&piece);
                if !rest.is_empty() {
                    self.0.push(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn tls_14_a_second_handshake_ends_tls_1_2_wherever_reads_are_cut() {
        let handshake = records(FIRST);
        let good = records(&[(DATA, 300), (ALERT, 26), (DATA, 0), (DATA, 0x1622)]);
        let mut all = good.clone();
        all.extend(records(&[(HANDSHAKE, 200), (DATA, 20)]));
        for cut in 1..all.len() {
            let (passed, ended) = read(&handshake, TLS_1_2, &[&all[..cut], &all[cut..]]).await;
            assert!(ended, "cut at {cut}");
            assert!(
                passed == good,
                "cut at {cut}: {} of {}",
                passed.len(),
                good.len()
            );
        }
        let (passed, ended) = read(&handshake, TLS_1_2, &[&good]).await;
        assert!(passed == good && !ended, "nothing else ends it");
    }

    #[tokio::test]
    async fn tls_14_what_was_read_ahead_of_the_handshake_s_end_counts() {
        let mut ahead = records(FIRST);
        let innocent = ahead.clone();
        ahead.extend(records(&[(DATA, 30), (HANDSHAKE, 200)]));
        let (passed, ended) = read(&ahead, TLS_1_2, &[]).await;
        assert!(ended && passed.is_empty());
        // Its header may not be complete: the type says it.
        let (_, ended) = read(&ahead[..=innocent.len() + 35], TLS_1_2, &[]).await;
        assert!(ended);
        let (_, ended) = read(&ahead[..innocent.len() + 35], TLS_1_2, &[]).await;
        assert!(!ended);
    }

    /// A client that is asked to say hello again sends ChangeCipherSpec for old middleboxes first (RFC 8446 D.4).
    #[tokio::test]
    async fn tls_14_nothing_is_looked_at_in_tls_1_3() {
        let handshake = records(&[
            (HANDSHAKE, 512),
            (CHANGE_CIPHER_SPEC, 1),
            (HANDSHAKE, 300),
            (HANDSHAKE, 300),
            (DATA, 90),
        ]);
        let after = records(&[(DATA, 20), (HANDSHAKE, 20), (DATA, 20)]);
        let (passed, ended) = read(&handshake, TLS_1_3, &[&after]).await;
        assert!(passed == after && !ended);
    }

    #[test]
    fn watching_costs_a_connection_eight_bytes_at_most() {
        assert!(size_of::<Watched<u64>>() <= size_of::<u64>() + 8);
    }
}
