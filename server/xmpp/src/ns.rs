//! Namespace names used in more than one place.
//!
//! Why: a misspelt namespace is a silent interoperability bug, so each is written once. A namespace that belongs to one
//! extension only lives in that extension's module instead.

/// `stream:stream`, `stream:features`, `stream:error` (RFC 6120 4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Content namespace of client streams (RFC 6120 4.8.2).
pub const CLIENT: &str = "jabber:client";
/// Content namespace of server streams (RFC 6120 4.8.2).
pub const SERVER: &str = "jabber:server";
/// Content namespace of components' streams (XEP-0114).
pub const COMPONENT: &str = "jabber:component:accept";
/// Conditions inside `stream:error` (RFC 6120 4.9).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Conditions inside stanza errors (RFC 6120 8.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// What the registrar keeps of conditions beside them (XEP-0182).
pub const APP_ERRORS: &str = "urn:xmpp:errors";
/// STARTTLS (RFC 6120 5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// `open` and `close` of WebSockets (RFC 7395 3.3.2).
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// `body` of BOSH (XEP-0124).
pub const HTTP_BIND: &str = "http://jabber.org/protocol/httpbind";
/// What XMPP adds to it (XEP-0206).
pub const XBOSH: &str = "urn:xmpp:xbosh";
/// SASL (RFC 6120 6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// The extensible SASL profile (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";
/// Tokens for coming back (XEP-0484).
pub const FAST: &str = "urn:xmpp:fast:0";
/// Further verifiers of a password (XEP-0480)
pub const SASL_UPGRADE: &str = "urn:xmpp:sasl:upgrade:0";
/// The same of SCRAM (XEP-0480 3)
pub const SCRAM_UPGRADE: &str = "urn:xmpp:scram-upgrade:0";
/// SASL channel-binding types (XEP-0440).
pub const SASL_CB: &str = "urn:xmpp:sasl-cb:0";
/// Resource binding (RFC 6120 7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
/// Binding along with authentication (XEP-0386).
pub const BIND2: &str = "urn:xmpp:bind:0";
/// Client state indication (XEP-0352).
pub const CSI: &str = "urn:xmpp:csi:0";
/// The old session establishment, offered as optional (RFC 3921; RFC 6121 no longer needs it).
pub const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// Dialback advertised as a stream feature (XEP-0220 2.2).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Bidirectional server streams (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Bidi as a stream feature (XEP-0288 2.1).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// Roster (RFC 6121 2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Roster versioning feature (RFC 6121 2.6).
pub const ROSTER_VERSIONING: &str = "urn:xmpp:features:rosterver";
/// Pre-approved subscriptions feature (RFC 6121 3.4).
pub const PRE_APPROVAL: &str = "urn:xmpp:features:pre-approval";
/// In-band registration (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// Extensible in-band registration (XEP-0389).
pub const IBR2: &str = "urn:xmpp:register:0";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// XMPP ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// A stanza inside another (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// How a message wants to be handled (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Copies for an account's other sessions (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Ids that whoever archives or sends a message gives it (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// Stream management (XEP-0198).
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Stream limits advertised in features (XEP-0478).
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// `xml:` prefix (Namespaces in XML 3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// `xmlns:` prefix (Namespaces in XML 3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
