//! Stream errors (RFC 6120 4.9): the conditions, how one is written and how a received one is read.
//!
//! Why apart: framing, all machines and the server name these conditions. Refuses: carrying anything in `text` that
//! the other side must not know; what we want to remember goes to the log instead.

use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;

use super::header::escape;

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Stream error conditions (RFC 6120 4.9.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum StreamCondition { $($(#[$doc])* $variant,)* }
        impl StreamCondition {
            /// Element name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// By element name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
conditions! {
    /// 4.9.3.1
    BadFormat = "bad-format";
    /// 4.9.3.2
    BadNamespacePrefix = "bad-namespace-prefix";
    /// 4.9.3.3
    Conflict = "conflict";
    /// 4.9.3.4
    ConnectionTimeout = "connection-timeout";
    /// 4.9.3.5
    HostGone = "host-gone";
    /// 4.9.3.6
    HostUnknown = "host-unknown";
    /// 4.9.3.7
    ImproperAddressing = "improper-addressing";
    /// 4.9.3.8
    InternalServerError = "internal-server-error";
    /// 4.9.3.9
    InvalidFrom = "invalid-from";
    /// 4.9.3.10
    InvalidNamespace = "invalid-namespace";
    /// 4.9.3.11
    InvalidXml = "invalid-xml";
    /// 4.9.3.12
    NotAuthorized = "not-authorized";
    /// 4.9.3.13
    NotWellFormed = "not-well-formed";
    /// 4.9.3.14
    PolicyViolation = "policy-violation";
    /// 4.9.3.15
    RemoteConnectionFailed = "remote-connection-failed";
    /// 4.9.3.16
    Reset = "reset";
    /// 4.9.3.17
    ResourceConstraint = "resource-constraint";
    /// 4.9.3.18
    RestrictedXml = "restricted-xml";
    /// 4.9.3.19
    SeeOtherHost = "see-other-host";
    /// 4.9.3.20
    SystemShutdown = "system-shutdown";
    /// 4.9.3.21
    UndefinedCondition = "undefined-condition";
    /// 4.9.3.22
    UnsupportedEncoding = "unsupported-encoding";
    /// 4.9.3.23
    UnsupportedFeature = "unsupported-feature";
    /// 4.9.3.24
    UnsupportedStanzaType = "unsupported-stanza-type";
    /// 4.9.3.25
    UnsupportedVersion = "unsupported-version";
}

/// A stream error: ours to send, or one received. Fatal to its stream (STREAM-26).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The one defined condition.
    pub condition: StreamCondition,
    /// Text that the other side may see; never acted upon (STREAM-27).
    pub text: Option<String>,
    /// Application-specific condition.
    pub app: Option<Box<Element>>,
    /// Character data of `<see-other-host/>`: `host` or `host:port`, IPv6 in brackets (STREAM-31).
    pub other_host: Option<String>,
}

impl StreamError {
    /// The bare condition.
    pub fn new(condition: StreamCondition) -> Self {
        Self {
            condition,
            text: None,
            app: None,
            other_host: None,
        }
    }

    /// With a text for the other side.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With an application-specific condition.
    #[must_use]
    pub fn with_app(mut self, app: Element) -> Self {
        self.app = Some(Box::new(app));
        self
    }

    /// Appends `<stream:error/>`, without the closing tag of the stream.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = self.condition.name();
        out.extend_from_slice(b"<stream:error><");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" xmlns='urn:ietf:params:xml:ns:xmpp-streams'");
        match &self.other_host {
            Some(host) => {
                out.push(b'>');
                escape(host, out);
                out.extend_from_slice(b"</");
                out.extend_from_slice(name.as_bytes());
                out.push(b'>');
            }
            None => out.extend_from_slice(b"/>"),
        }
        if let Some(text) = &self.text {
            out.extend_from_slice(
                b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>",
            );
            escape(text, out);
            out.extend_from_slice(b"</text>");
        }
        if let Some(app) = &self.app {
            app.write(out, "");
        }
        out.extend_from_slice(b"</stream:error>");
    }

    /// Reads a received `<stream:error/>`; `None` when the element is something else. An unknown condition, and an error
    /// without one, is `undefined-condition` (STREAM-27).
    pub fn from_raw(raw: &RawElement<'_>) -> Option<Self> {
        if !raw.is("error", ns::STREAM) {
            return None;
        }
        let tree = raw.to_element();
        let mut error = Self::new(StreamCondition::UndefinedCondition);
        for child in tree.children() {
            if child.ns() != ns::STREAM_ERRORS {
                error.app = Some(Box::new(child.clone()));
            } else if child.name() == "text" {
                error.text = Some(child.text_content());
            } else if let Some(condition) = StreamCondition::from_name(child.name()) {
                error.condition = condition;
                if condition == StreamCondition::SeeOtherHost {
                    error.other_host = Some(child.text_content());
                }
            }
        }
        Some(error)
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> Self {
        Self::new(condition)
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.condition.name())?;
        if let Some(text) = &self.text {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(error: &StreamError) -> String {
        let mut out = Vec::new();
        error.write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn stream_26_exactly_one_condition() {
        assert_eq!(
            written(&StreamError::new(StreamCondition::HostUnknown)),
            "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
        );
    }

    #[test]
    fn text_is_escaped() {
        let error = StreamError::new(StreamCondition::PolicyViolation).with_text("a < b & c");
        assert!(written(&error).contains(">a &lt; b &amp; c</text>"));
    }
}
