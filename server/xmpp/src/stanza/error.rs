//! Stanza errors (RFC 6120 8.3): conditions, their default types, and the `<error/>` element.
//!
//! Why apart: every room makes stanza errors, and the wire form must be the same everywhere. Refuses: echoing the
//! offending payload (STANZA-09); a reply carries the condition and a safe text.

use crate::element::Element;
use crate::jid::Jid;
use crate::ns;

/// `type` of an error (RFC 6120 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed, it was only a warning.
    Continue,
    /// Retry after changing the data.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// Attribute value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }

    /// By attribute value.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Auth,
            Self::Cancel,
            Self::Continue,
            Self::Modify,
            Self::Wait,
        ]
        .into_iter()
        .find(|t| t.name() == name)
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $ty:ident;)*) => {
        /// Stanza error conditions (RFC 6120 8.3.3), with the default types given there (STANZA-14).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition { $($(#[$doc])* $variant,)* }
        impl Condition {
            /// All of them, in the order of the RFC.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
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
    /// 8.3.3.1: the stanza is malformed or cannot be processed.
    BadRequest = "bad-request", Modify;
    /// 8.3.3.2: something of that name exists already.
    Conflict = "conflict", Cancel;
    /// 8.3.3.3: understood, not implemented.
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// 8.3.3.4: the sender lacks the permission.
    Forbidden = "forbidden", Auth;
    /// 8.3.3.5: the address is gone for good.
    Gone = "gone", Cancel;
    /// 8.3.3.6: our fault.
    InternalServerError = "internal-server-error", Cancel;
    /// 8.3.3.7: no such thing.
    ItemNotFound = "item-not-found", Cancel;
    /// 8.3.3.8: an address is not an address.
    JidMalformed = "jid-malformed", Modify;
    /// 8.3.3.9: understood, but does not meet the criteria.
    NotAcceptable = "not-acceptable", Modify;
    /// 8.3.3.10: nobody may do that.
    NotAllowed = "not-allowed", Cancel;
    /// 8.3.3.11: authenticate first.
    NotAuthorized = "not-authorized", Auth;
    /// 8.3.3.12: against local policy.
    PolicyViolation = "policy-violation", Modify;
    /// 8.3.3.13: not available for now.
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// 8.3.3.14: elsewhere for now.
    Redirect = "redirect", Modify;
    /// 8.3.3.15: register first.
    RegistrationRequired = "registration-required", Auth;
    /// 8.3.3.16: the remote domain has no server, or it cannot be proven.
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// 8.3.3.17: the remote server did not answer in time.
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// 8.3.3.18: too much at the moment.
    ResourceConstraint = "resource-constraint", Wait;
    /// 8.3.3.19: not offered here; also the answer that reveals nothing (STANZA-10).
    ServiceUnavailable = "service-unavailable", Cancel;
    /// 8.3.3.20: a subscription is needed.
    SubscriptionRequired = "subscription-required", Auth;
    /// 8.3.3.21: see the application-specific condition.
    UndefinedCondition = "undefined-condition", Cancel;
    /// 8.3.3.22: not now, out of order.
    UnexpectedRequest = "unexpected-request", Wait;
}

/// A stanza error (RFC 6120 8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// `type`.
    pub kind: ErrorType,
    /// The condition.
    pub condition: Condition,
    /// Safe English text for the other side.
    pub text: Option<String>,
    /// Application-specific condition.
    pub app: Option<Box<Element>>,
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

    /// With an application-specific condition.
    #[must_use]
    pub fn with_app(mut self, app: Element) -> Self {
        self.app = Some(Box::new(app));
        self
    }

    /// With the address of who made the error.
    #[must_use]
    pub fn with_by(mut self, by: impl Into<Jid>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// `<error/>` as an element of namespace `jabber:client`.
    pub fn to_element(&self) -> Element {
        let mut condition = Element::new(self.condition.name(), ns::STANZA_ERRORS);
        if let (Condition::Gone | Condition::Redirect, Some(uri)) =
            (self.condition, &self.alternative)
        {
            condition = condition.text(uri);
        }
        let text = self.text.as_ref().map(|text| {
            Element::new("text", ns::STANZA_ERRORS)
                .attr("xml:lang", "en")
                .text(text)
        });
        Element::new("error", ns::CLIENT)
            .attr("type", self.kind.name())
            .attr_opt("by", self.by.as_ref().map(Jid::as_str))
            .child(condition)
            .child_opt(text)
            .child_opt(self.app.as_deref().cloned())
    }

    /// Reads the `<error/>` child of an error stanza. An unknown condition is `undefined-condition`; an unknown type is
    /// the condition's default.
    pub fn from_stanza(stanza: &Element) -> Option<Self> {
        let error = stanza.find("error", stanza.ns())?;
        let condition = error
            .children()
            .filter(|e| e.ns() == ns::STANZA_ERRORS && e.name() != "text")
            .find_map(|e| Some((Condition::from_name(e.name())?, e.text_content())));
        let (condition, alternative) =
            condition.unwrap_or((Condition::UndefinedCondition, String::new()));
        Some(Self {
            kind: error
                .get_attr("type")
                .and_then(ErrorType::from_name)
                .unwrap_or(condition.default_type()),
            condition,
            text: error
                .find("text", ns::STANZA_ERRORS)
                .map(Element::text_content),
            app: error
                .children()
                .find(|e| e.ns() != ns::STANZA_ERRORS && e.ns() != stanza.ns())
                .cloned()
                .map(Box::new),
            by: error.get_attr("by").and_then(|by| Jid::parse(by).ok()),
            alternative: Some(alternative).filter(|uri| !uri.is_empty()),
        })
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}
