//! The language of XMPP: addresses, XML framing, stanzas, SASL and stream machines.
//!
//! Why: everything here can be read, tested and fuzzed without a socket. What it refuses: this crate has no async,
//! reads no clock, draws no randomness and does no IO; whatever is random or timed is handed in by the caller.
//!
//! | module        | what it is                                                        |
//! |---------------|-------------------------------------------------------------------|
//! | [`ns`]        | namespace names                                                   |
//! | [`timestamp`] | microseconds since the epoch, XEP-0082 text                       |
//! | [`jid`]       | `Jid`, `BareJid`, `DomainName` (RFC 7622)                         |
//! | [`element`]   | a small XML tree for payloads the server reads or makes           |
//! | [`framing`]   | bytes to header, element, close; strict validation, limits        |
//! | [`stanza`]    | message, presence and iq as bytes with a known start tag; errors  |
//! | [`sasl`]      | SCRAM, PLAIN, EXTERNAL as steps                                   |
//! | [`stream`]    | the stream machines                                               |

pub mod ns;
pub mod timestamp;

pub mod jid;

pub mod element;
pub mod framing;
pub mod stanza;

pub mod sasl;

pub mod stream;
