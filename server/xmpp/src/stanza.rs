//! Message, presence, iq: bytes with a known start tag.

use bytes::Bytes;

use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::Jid;
use crate::timestamp::Timestamp;

/// The three stanzas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `<message/>`
    Message,
    /// `<presence/>`
    Presence,
    /// `<iq/>`
    Iq,
}

/// The `type` attribute over all kinds; the kind decides which may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StanzaType {
    /// message without `type` or with an unknown one, or `normal`
    Normal,
    /// message `chat`
    Chat,
    /// message `groupchat`
    Groupchat,
    /// message `headline`
    Headline,
    /// any kind, `error`
    Error,
    /// presence without `type`
    Available,
    /// presence `unavailable`
    Unavailable,
    /// presence `subscribe`
    Subscribe,
    /// presence `subscribed`
    Subscribed,
    /// presence `unsubscribe`
    Unsubscribe,
    /// presence `unsubscribed`
    Unsubscribed,
    /// presence `probe`
    Probe,
    /// iq `get`
    Get,
    /// iq `set`
    Set,
    /// iq `result`
    Result,
}

/// What to do with `from` when taking a stanza in.
#[derive(Clone, Copy, Debug)]
pub enum From<'a> {
    /// Keep what the sender wrote (server streams).
    Keep,
    /// Replace it (client streams: the session's full JID).
    Stamp(&'a Jid),
}

/// A stanza as bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stanza {
    kind: Kind,
    type_: StanzaType,
    to: Option<Jid>,
    from: Option<Jid>,
    bytes: Bytes,
}

/// Why a first-level element is not a stanza that can be processed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StanzaSyntaxError {
    /// Not message, presence or iq of the content namespace (STREAM-23).
    #[error("not a stanza of the content namespace")]
    NotAStanza,
    /// The stanza is understood well enough to be answered: send `reply` to its sender, if any.
    #[error("stanza refused: {}", .error.condition.name())]
    Refused {
        /// What is wrong.
        error: Box<StanzaError>,
        /// The error stanza to send back; `None` for errors and results, which are never answered.
        reply: Option<Box<Stanza>>,
    },
}

impl PartialEq for Stanza {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}
impl Eq for Stanza {}

impl Stanza {
    /// Takes in a first-level element.
    pub fn from_raw(
        _raw: &RawElement<'_>,
        _from: From<'_>,
        _default_lang: Option<&str>,
    ) -> Result<Self, StanzaSyntaxError> {
        todo!()
    }
    /// From a tree (namespace `jabber:client`).
    pub fn from_element(_element: &Element) -> Result<Self, StanzaSyntaxError> {
        todo!()
    }
    /// From bytes kept by the store (what [`Stanza::bytes`] returned).
    pub fn from_bytes(_bytes: Bytes) -> Result<Self, StanzaSyntaxError> {
        todo!()
    }
    /// Kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Type.
    pub fn type_(&self) -> StanzaType {
        self.type_
    }
    /// `to`
    pub fn to(&self) -> Option<&Jid> {
        self.to.as_ref()
    }
    /// `from`
    pub fn from(&self) -> Option<&Jid> {
        self.from.as_ref()
    }
    /// `id`
    pub fn id(&self) -> Option<&str> {
        todo!()
    }
    /// `xml:lang`
    pub fn lang(&self) -> Option<&str> {
        todo!()
    }
    /// Wire bytes, without `xmlns`.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
    /// The whole stanza as a tree (namespace `jabber:client`).
    pub fn payload(&self) -> Result<Element, StanzaSyntaxError> {
        todo!()
    }
    /// Name and namespace of the first child element, without building a tree.
    pub fn first_child(&self) -> Option<(&str, &str)> {
        todo!()
    }
    /// Whether any direct child has this name and namespace, without building a tree.
    pub fn has_child(&self, _name: &str, _ns: &str) -> bool {
        todo!()
    }
    /// With another `from`.
    #[must_use]
    pub fn with_from(&self, _from: &Jid) -> Self {
        todo!()
    }
    /// With another `to`.
    #[must_use]
    pub fn with_to(&self, _to: &Jid) -> Self {
        todo!()
    }
    /// With an element appended as last child.
    #[must_use]
    pub fn with_child(&self, _child: &Element) -> Self {
        todo!()
    }
    /// The error stanza answering this one; `None` for errors and results (STANZA-07).
    pub fn error_reply(&self, _error: &StanzaError) -> Option<Self> {
        todo!()
    }
    /// The result answering this iq.
    pub fn iq_result(&self, _payload: Option<Element>) -> Self {
        todo!()
    }
}

/// `type` of an error (RFC 6120 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// retry after providing credentials
    Auth,
    /// do not retry
    Cancel,
    /// proceed, it was only a warning
    Continue,
    /// retry after changing the data
    Modify,
    /// retry after waiting
    Wait,
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $ty:ident;)*) => {
        /// Stanza error conditions (RFC 6120 8.3.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition { $($(#[$doc])* $variant,)* }
        impl Condition {
            /// Element name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// Error type RFC 6120 8.3.3 gives as default.
            pub fn default_type(self) -> ErrorType {
                match self { $(Self::$variant => ErrorType::$ty,)* }
            }
            /// By element name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
conditions! {
    /// 8.3.3.1
    BadRequest = "bad-request", Modify;
    /// 8.3.3.2
    Conflict = "conflict", Cancel;
    /// 8.3.3.3
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// 8.3.3.4
    Forbidden = "forbidden", Auth;
    /// 8.3.3.5
    Gone = "gone", Cancel;
    /// 8.3.3.6
    InternalServerError = "internal-server-error", Cancel;
    /// 8.3.3.7
    ItemNotFound = "item-not-found", Cancel;
    /// 8.3.3.8
    JidMalformed = "jid-malformed", Modify;
    /// 8.3.3.9
    NotAcceptable = "not-acceptable", Modify;
    /// 8.3.3.10
    NotAllowed = "not-allowed", Cancel;
    /// 8.3.3.11
    NotAuthorized = "not-authorized", Auth;
    /// 8.3.3.12
    PolicyViolation = "policy-violation", Modify;
    /// 8.3.3.13
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// 8.3.3.14
    Redirect = "redirect", Modify;
    /// 8.3.3.15
    RegistrationRequired = "registration-required", Auth;
    /// 8.3.3.16
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// 8.3.3.17
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// 8.3.3.18
    ResourceConstraint = "resource-constraint", Wait;
    /// 8.3.3.19
    ServiceUnavailable = "service-unavailable", Cancel;
    /// 8.3.3.20
    SubscriptionRequired = "subscription-required", Auth;
    /// 8.3.3.21
    UndefinedCondition = "undefined-condition", Cancel;
    /// 8.3.3.22
    UnexpectedRequest = "unexpected-request", Wait;
}

/// A stanza error (RFC 6120 8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// `type`
    pub kind: ErrorType,
    /// The condition.
    pub condition: Condition,
    /// Safe text for the other side.
    pub text: Option<String>,
    /// Application-specific condition.
    pub app: Option<Element>,
    /// `by`: who made the error.
    pub by: Option<Jid>,
    /// Character data of `<gone/>` and `<redirect/>`: an XMPP URI (STANZA-15).
    pub alternative: Option<String>,
}

impl StanzaError {
    /// Condition with its default type.
    pub fn new(condition: Condition) -> Self {
        Self {
            kind: condition.default_type(),
            condition,
            text: None,
            app: None,
            by: None,
            alternative: None,
        }
    }
    /// With a text.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }
    /// With another type than the default.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorType) -> Self {
        self.kind = kind;
        self
    }
    /// `<error/>` as an element of namespace `jabber:client`.
    pub fn to_element(&self) -> Element {
        todo!()
    }
    /// Reads the `<error/>` child of an error stanza.
    pub fn from_stanza(_stanza: &Element) -> Option<Self> {
        todo!()
    }
}

impl std::convert::From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

/// `<delay/>` (XEP-0203): `from` is who held the stanza back, `since` when it was sent first.
pub fn delay(_from: &Jid, _since: Timestamp) -> Element {
    todo!()
}
