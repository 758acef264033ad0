//! Vocabulary of the stream machines.

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
