//! A WebSocket as a transport for the pump: messages in, bytes of a stream out, and the other way round (RFC 7395).
//!
//! The pump, the framer and the machine notice nothing: resumption, tokens, limits and everything else are those of any
//! client. Pings and pongs count as signs of life, a space of ours becomes a ping (WS-13). Before log-in a message may be so
//! long only, whatever it is cut into. Refuses: binary messages (WS-02) and a second stream (WS-08).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use xmpp::framing::web::{Cutter, Piece, Said, attribute, from_message};
use xmpp::framing::{FrameError, Limits};
use xmpp::ns;

/// Read from the connection at once; kept as long as it lives.
const READ: usize = 4 * 1024;
/// What a message may be longer than a stanza: beyond that, not even an error in words is sent (RFC 6455 7.4.1, 1009).
const SLACK: usize = 64 * 1024;
/// What a message may have before log-in, its frames included.
const STRANGER: usize = 64 * 1024;

/// Where a client that opens a stream for this domain had better go; `None`: it is right here.
pub(super) type Elsewhere = Box<dyn Fn(&str) -> Option<String> + Send>;

/// One WebSocket.
pub(super) struct Socket<S> {
    inner: WebSocketStream<Metered<S>>,
    limits: Limits,
    elsewhere: Elsewhere,
    /// Bytes of the stream that have come, and how many of them were taken.
    came: Vec<u8>,
    taken: usize,
    cutter: Cutter,
    /// An opening tag has come, and nothing since that would make another one right.
    opened: bool,
    /// Nothing more is read.
    over: bool,
    goodbye: Option<CloseFrame>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Over a connection that has been upgraded. `stanza_bytes`: the largest stanza.
    pub(super) async fn new(io: S, stanza_bytes: usize, elsewhere: Elsewhere) -> Self {
        let most = Some(stanza_bytes.saturating_add(SLACK));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(16 * 1024)
            .max_message_size(most)
            .max_frame_size(most);
        let io = Metered {
            inner: io,
            left: Some(STRANGER),
        };
        Self {
            inner: WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            limits: Limits {
                element_bytes: stanza_bytes,
                ..Limits::default()
            },
            elsewhere,
            came: Vec::new(),
            taken: 0,
            cutter: Cutter::default(),
            opened: false,
            over: false,
            goodbye: None,
        }
    }

    fn hear(&mut self, text: &str) {
        self.inner.get_mut().next();
        match from_message(text, self.limits, &mut self.came) {
            Ok(Said::Opening { .. }) if self.opened => {
                self.came.clear();
                self.came.extend_from_slice(b"<<");
            }
            Ok(Said::Opening { to }) => {
                if let Some(uri) = to.and_then(|to| (self.elsewhere)(&to)) {
                    self.came.clear();
                    return self.send_away(&uri);
                }
                self.opened = true;
            }
            Ok(_) => {}
            Err(FrameError::RootNamespace) if self.opened => {
                self.came.extend_from_slice(text.as_bytes());
            }
            Err(error) => {
                self.came.clear();
                self.came.extend_from_slice(in_words_of_a_stream(error));
            }
        }
    }

    /// WS-11
    fn send_away(&mut self, uri: &str) {
        let mut close = format!("<close xmlns='{}'", ns::FRAMING).into_bytes();
        attribute("see-other-uri", uri, &mut close);
        close.extend_from_slice(b"/>");
        let text = Utf8Bytes::from(String::from_utf8(close).unwrap_or_default());
        // What cannot be written any more is not missed: the connection ends here.
        let _ = Pin::new(&mut self.inner).start_send(Message::Text(text));
        self.leave(CloseCode::Normal, "");
    }

    fn leave(&mut self, code: CloseCode, reason: &'static str) {
        self.over = true;
        self.goodbye = Some(CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        });
    }

    /// Takes what has come from the other side. An error has ended the connection.
    fn take(&mut self, message: Option<Result<Message, Error>>) -> io::Result<()> {
        match message {
            None => self.over = true,
            Some(Ok(Message::Text(text))) => self.hear(text.as_str()),
            Some(Ok(Message::Binary(_))) => self.leave(CloseCode::Unsupported, "only text here"),
            Some(Ok(Message::Ping(data) | Message::Pong(data))) => {
                self.inner.get_mut().next();
                self.came.resize(self.came.len() + data.len() + 1, b' ');
            }
            // The answer is the library's; the end comes next.
            Some(Ok(Message::Close(_) | Message::Frame(_))) => {}
            Some(Err(Error::Capacity(_))) => self.leave(CloseCode::Size, "too long"),
            Some(Err(Error::Utf8(_))) => self.leave(CloseCode::Invalid, "not UTF-8"),
            Some(Err(error @ Error::Protocol(_))) => {
                tracing::debug!(%error, "a WebSocket breaks the rules of its framing");
                self.leave(CloseCode::Protocol, "");
            }
            Some(Err(error)) => return Err(broken(error)),
        }
        Ok(())
    }

    fn say(&mut self, piece: Piece) -> Message {
        let text = match piece {
            Piece::Opening(attributes) => format!("<open xmlns='{}'{attributes}/>", ns::FRAMING),
            Piece::Element(text) => {
                if text.starts_with("<success ") {
                    // From now on it is known whose the connection is; after SASL's a new opening tag is due (WS-12).
                    self.inner.get_mut().left = None;
                    self.opened = !text.contains(ns::SASL);
                }
                text
            }
            Piece::Closing => format!("<close xmlns='{}'/>", ns::FRAMING),
            Piece::Space => return Message::Ping(bytes::Bytes::new()),
        };
        Message::Text(text.into())
    }
}

/// Bytes by which the framer finds the same fault.
fn in_words_of_a_stream(error: FrameError) -> &'static [u8] {
    match error {
        FrameError::RootNamespace => b"<stream xmlns='urn:ietf:params:xml:ns:xmpp-framing'>",
        FrameError::Restricted(_) => b"<!-",
        _ => b"<<",
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::other(error),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = &this.came[this.taken..];
            if !rest.is_empty() {
                let now = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..now]);
                this.taken += now;
                if this.taken == this.came.len() {
                    this.taken = 0;
                    this.came.clear();
                    this.came.shrink_to(READ);
                }
                return Poll::Ready(Ok(()));
            }
            if this.over {
                return Poll::Ready(Ok(()));
            }
            let message = ready!(Pin::new(&mut this.inner).poll_next(cx));
            this.take(message)?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_ready(cx)).map_err(broken)?;
        this.cutter.push(bytes);
        for piece in this.cutter.pieces() {
            let message = this.say(piece);
            Pin::new(&mut this.inner)
                .start_send(message)
                .map_err(broken)?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut this.inner).poll_flush(cx).map_err(broken)
    }

    /// The closing handshake of RFC 6455 (WS-10).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(goodbye) = this.goodbye.take() {
            Pin::new(&mut this.inner)
                .start_send(Message::Close(Some(goodbye)))
                .map_err(broken)?;
        }
        Pin::new(&mut this.inner).poll_close(cx).map_err(broken)
    }
}

/// The connection below, which gives only so much for one message until somebody has logged in.
struct Metered<S> {
    inner: S,
    left: Option<usize>,
}

impl<S> Metered<S> {
    /// A message is complete.
    fn next(&mut self) {
        self.left = self.left.map(|_| STRANGER);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        if let Some(left) = &mut this.left {
            let read = buf.filled().len() - before;
            *left = left.checked_sub(read).ok_or_else(|| {
                io::Error::other("a message that is too long before anybody has logged in")
            })?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
