//! How a stream begins and ends, said once for all machines (RFC 6120 4.2 to 4.4, 4.9).
//!
//! A machine knows what its states mean; what is written when a header comes, when the stream fails and when either side
//! closes is the same for all of them. Refuses: deciding who may speak. Which `from` is a legal one is the machine's to say,
//! since a client names an account and a server a domain (STREAM-13, STREAM-14).

use super::{
    Action, Actions, CLOSE, Event, Host, Opening, Seed, Served, StreamCondition, StreamError,
    response_lang, speaks_version_1,
};
use crate::element::Element;
use crate::framing::StreamHeader;
use crate::jid::DomainName;
use crate::ns;
use crate::sasl::SaslFailure;

/// Longest `xml:lang` that is taken over into stanzas; registered tags stay far below.
const LANG_BYTES: usize = 64;

/// The only feature before TLS: alone, since it is required (TLS-02, TLS-03).
pub(super) const STARTTLS_FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
     </stream:features>";

/// How far a machine may still speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    /// The transport is neither plain nor TLS, or not there yet: nothing can be said (TLS-10).
    Mute,
    /// Our opening tag of this document is missing.
    Unopened,
    /// Our opening tag is out.
    Open,
    /// Our closing tag is out.
    Closing,
    /// Nothing will come of anything.
    Closed,
}

/// How a stream ends; the same for every machine, given where it stands.
pub(super) trait Ending {
    /// How far it may still speak.
    fn voice(&self) -> Voice;
    /// Writes an opening tag where none was due yet, so that an error has a stream to stand in (STREAM-26).
    fn open_to_fail(&mut self, out: &mut Actions);
    /// Takes on [`Voice::Closing`] or [`Voice::Closed`].
    fn end(&mut self, voice: Voice);
    /// What is still to be said before our closing tag, where the stream ends without an error.
    fn last_word(&mut self, _out: &mut Actions) {}
    /// Takes on [`Voice::Closing`] where there was no error: the other side may not have finished (RFC 6120 4.4).
    fn end_gently(&mut self) {
        self.end(Voice::Closing);
    }

    /// Whether nothing more will be said.
    fn is_over(&self) -> bool {
        matches!(self.voice(), Voice::Closing | Voice::Closed)
    }

    /// Ends the stream with an error; our opening tag comes first if it is still missing (STREAM-26).
    fn fail(&mut self, error: StreamError, out: &mut Actions) {
        match self.voice() {
            Voice::Closing | Voice::Closed => return,
            Voice::Mute => return self.drop_dead(out),
            Voice::Unopened => self.open_to_fail(out),
            Voice::Open => {}
        }
        out.send(|bytes| {
            error.write(bytes);
            bytes.extend_from_slice(CLOSE);
        });
        out.push(Action::Close);
        self.end(Voice::Closing);
    }

    /// Ends the stream without an error.
    fn finish(&mut self, out: &mut Actions) {
        match self.voice() {
            Voice::Closing | Voice::Closed => return,
            Voice::Mute => return self.drop_dead(out),
            Voice::Unopened => {}
            Voice::Open => {
                self.last_word(out);
                out.send(|bytes| bytes.extend_from_slice(CLOSE));
            }
        }
        out.push(Action::Close);
        self.end_gently();
    }

    /// The peer closed: answer with our closing tag unless it is out already, then close (STREAM-08).
    fn peer_closed(&mut self, out: &mut Actions) {
        match self.voice() {
            Voice::Closed => return,
            Voice::Open => {
                self.last_word(out);
                out.send(|bytes| bytes.extend_from_slice(CLOSE));
            }
            Voice::Closing | Voice::Mute | Voice::Unopened => {}
        }
        self.drop_dead(out);
    }

    /// Ends the connection without a word.
    fn drop_dead(&mut self, out: &mut Actions) {
        self.end(Voice::Closed);
        out.push(Action::Disconnect);
    }
}

/// What a receiving machine opens its side with.
pub(super) struct Reception {
    pub(super) seed: Seed,
    /// `from` of the response header when the domain is not hosted here (VHOST-05).
    provider: Option<DomainName>,
    content_ns: &'static str,
    /// Whether our opening tag of the current document has been sent (STREAM-26).
    pub(super) opened: bool,
}

impl Reception {
    /// `provider` is our own name for streams to names that are not hosted; `content_ns` as in [`Opening`].
    pub(super) fn new(seed: Seed, provider: Option<DomainName>, content_ns: &'static str) -> Self {
        Self {
            seed,
            provider,
            content_ns,
            opened: false,
        }
    }

    /// The domain that a header is for, once everything about it that needs nobody else is right.
    ///
    /// # Errors
    /// STREAM-20, STREAM-22, STREAM-19, VHOST-05, in this order.
    pub(super) fn addressee(&self, header: &StreamHeader) -> Result<DomainName, StreamCondition> {
        if header.ns != ns::STREAM || header.content_ns != self.content_ns {
            return Err(StreamCondition::InvalidNamespace);
        }
        if !speaks_version_1(header) {
            // Without version there are no features, and without them no TLS.
            return Err(StreamCondition::UnsupportedVersion);
        }
        let to = header.to.as_deref();
        to.and_then(|to| DomainName::parse(to).ok())
            .ok_or(StreamCondition::HostUnknown)
    }

    /// Writes our opening tag; gives the new stream ID (STREAM-16). `from` is ours, if the domain is hosted.
    pub(super) fn open(
        &mut self,
        header: &StreamHeader,
        from: Option<&DomainName>,
        to: Option<&str>,
        out: &mut Actions,
    ) -> String {
        let id = self.seed.token();
        let provider = self.provider.as_ref().map_or("", DomainName::as_str);
        let opening = Opening {
            content_ns: self.content_ns,
            from: Some(from.map_or(provider, DomainName::as_str)),
            to,
            id: Some(&id),
            lang: response_lang(header.lang.as_deref()),
            version: speaks_version_1(header),
            dialback: self.content_ns == ns::SERVER,
        };
        out.send(|bytes| opening.write(bytes));
        self.opened = true;
        id
    }

    /// Our opening tag in answer to nothing.
    pub(super) fn open_to_nobody(&mut self, out: &mut Actions) {
        let nothing = StreamHeader {
            version: Some((1, 0)),
            ..StreamHeader::default()
        };
        self.open(&nothing, None, None, out);
    }
}

impl Host {
    /// What to go on with, or what to close with (VHOST-05, VHOST-06).
    pub(super) fn served(self) -> Result<Box<Served>, StreamError> {
        match self {
            Self::Served(served) => Ok(served),
            Self::Unknown => Err(StreamCondition::HostUnknown.into()),
            Self::Gone => Err(StreamCondition::HostGone.into()),
            Self::Refused(error) => Err(error),
        }
    }
}

/// Answers `<starttls/>` (TLS-06). `true`: the handshake comes next; `false`: the stream is to be closed.
pub(super) fn proceed(served: &Served, out: &mut Actions) -> bool {
    if served.identity {
        out.send_str("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        out.push(Action::StartTls(served.domain.clone()));
    } else {
        out.send_str("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    }
    served.identity
}

/// `xml:lang` of a header, for stanzas without one (STREAM-18).
pub(super) fn lang_of(header: &StreamHeader) -> Option<String> {
    header
        .lang
        .clone()
        .filter(|lang| !lang.is_empty() && lang.len() <= LANG_BYTES)
}

/// VHOST-03
pub(super) fn other_domain() -> StreamError {
    StreamError::new(StreamCondition::PolicyViolation)
        .with_text("this connection was secured for another domain; open a new one")
}

/// What we take, told once the other side is known (XEP-0478, STREAM-34).
pub(super) fn limits_feature(served: &Served) -> Element {
    limits(served.max_bytes, served.idle_seconds)
}

/// Bytes of the largest element that is taken, and seconds of silence (XEP-0478 3.1).
pub(super) fn limits(max_bytes: usize, idle_seconds: u32) -> Element {
    let limit = |name: &str, value: String| Element::new(name, ns::STREAM_LIMITS).text(value);
    Element::new("limits", ns::STREAM_LIMITS)
        .child(limit("max-bytes", max_bytes.to_string()))
        .child(limit("idle-seconds", idle_seconds.to_string()))
}

/// What the other side takes, if `tree` (its features, or its `<bidi/>`) says so (XEP-0478).
pub(super) fn peer_limits(tree: &Element, out: &mut Actions) {
    let bytes = tree
        .find("limits", ns::STREAM_LIMITS)
        .and_then(|limits| limits.find("max-bytes", ns::STREAM_LIMITS))
        .and_then(|bytes| bytes.text_content().trim().parse().ok());
    if let Some(max_bytes) = bytes {
        out.push(Action::Event(Event::PeerLimits { max_bytes }));
    }
}

/// `<failure/>` of SASL; `text` in our own words, empty for none.
pub(super) fn sasl_failure(reason: SaslFailure, text: &str) -> String {
    let text = match text {
        "" => String::new(),
        text => format!("<text xml:lang='en'>{text}</text>"),
    };
    format!(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{}/>{text}</failure>",
        reason.name()
    )
}
