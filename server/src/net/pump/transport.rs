//! A connection before and after TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use xmpp::framing::Framer;
use xmpp::stream::TlsInfo;

use super::super::limits::CLOSE_WAIT;
use super::super::tls;
use super::output::Output;

/// Bytes read at once before TLS: a header and one small element.
const PLAIN_READ: usize = 2048;

/// What carries a stream.
pub enum Transport<S> {
    /// Before STARTTLS.
    Plain(S),
    /// TLS.
    Tls(Box<tls::Secured<S>>),
    /// A handshake took it and failed.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Reads what is there into the framer, or throws it away. 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        framer: Option<&mut Framer>,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tls(stream) => {
                let bytes = match ready!(Pin::new(&mut *stream).poll_fill_buf(cx)) {
                    Ok(bytes) => bytes,
                    // COMPAT: many clients close TCP without close_notify; a stream's own closing tag tells truncation.
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                        return Poll::Ready(Ok(0));
                    }
                    Err(e) => return Poll::Ready(Err(e)),
                };
                let n = bytes.len();
                if let Some(framer) = framer {
                    framer.push(bytes);
                }
                Pin::new(stream).consume(n);
                Poll::Ready(Ok(n))
            }
            Self::Plain(stream) => {
                let mut bytes = [0; PLAIN_READ];
                let mut read = ReadBuf::new(&mut bytes);
                ready!(Pin::new(stream).poll_read(cx, &mut read))?;
                if let Some(framer) = framer {
                    framer.push(read.filled());
                }
                Poll::Ready(Ok(read.filled().len()))
            }
            Self::Gone => Poll::Ready(Ok(0)),
        }
    }

    /// The handshake.
    pub(super) async fn secure(&mut self, secure: tls::Secure) -> io::Result<TlsInfo> {
        let Self::Plain(io) = std::mem::replace(self, Self::Gone) else {
            return Err(io::Error::other("TLS inside TLS"));
        };
        let (stream, info) = secure.handshake(io).await?;
        *self = Self::Tls(Box::new(stream));
        Ok(info)
    }

    /// Writes the rest, says goodbye in TLS and waits for the other side's goodbye (TLS-13), all within [`CLOSE_WAIT`].
    /// Reading on until the end also keeps the kernel from resetting the connection, which would lose the last words.
    pub(super) async fn finish(&mut self, output: &mut Output) {
        let all = async {
            std::future::poll_fn(|cx| output.poll_write(cx, self)).await?;
            std::future::poll_fn(|cx| Pin::new(&mut *self).poll_shutdown(cx)).await?;
            while std::future::poll_fn(|cx| self.poll_read(cx, None)).await? > 0 {}
            io::Result::Ok(())
        };
        // An error or a timeout here ends what was over anyway.
        let _ = tokio::time::timeout_at(Instant::now() + CLOSE_WAIT, all).await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
