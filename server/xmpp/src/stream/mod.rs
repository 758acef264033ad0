//! Streams as state machines (RFC 6120 4): the words that all three share.
//!
//! A machine is fed an [`Input`] and the time and pushes [`Action`]s; between two calls it does nothing. It opens no socket,
//! reads no clock and draws no randomness: unpredictable values are derived from the [`Seed`] it was made with. Whatever
//! needs the world outside (a password record, a verdict, a key) is an [`Ask`] whose [`Answer`] is fed in later.
//!
//! One async loop (`server/src/net/pump.rs`) drives any [`Machine`]:
//!
//! 1. [`Input::Connected`] once the transport is there, after the TLS handshake on direct TLS.
//! 2. Frames as they arrive. After [`Action::Ask`] no frame is fed until the answer was (ROUTE-01); [`Action::AskAside`]
//!    lets the stream go on.
//! 3. [`Action::StartTls`]: everything before it is flushed, bytes already received are refused (TLS-08), the handshake is
//!    made, [`Input::Tls`] tells what it gave. A failed handshake ends the connection and the machine hears nothing (TLS-10).
//! 4. [`Action::Restart`]: the next frame is a header again (STREAM-03).
//! 5. [`Action::Close`] or [`Action::Disconnect`] end it. Later inputs are still accepted and change nothing.
//!
//! | machine           | content namespace | who opens   |
//! |-------------------|-------------------|-------------|
//! | `client::Client`  | `jabber:client`   | the client  |
//! | `component`       | `jabber:component:accept` | the component |
//! | `peer_in`         | `jabber:server`   | the peer    |
//! | `peer_out`        | `jabber:server`   | we          |

mod acks;
pub mod client;
pub mod component;
mod dialback;
mod error;
pub mod flow;
mod header;
mod opening;
mod passage;
pub mod peer_in;
pub mod peer_out;

use sha2::{Digest, Sha256};

use crate::element::Element;
use crate::framing::{RawElement, StreamHeader};
use crate::jid::{BareJid, DomainName, Jid};
use crate::sasl::{Hash, ScramVerifier, TokenKey, TokenMechanism};
use crate::stanza::{Stanza, StanzaError};
use crate::timestamp::Timestamp;

pub use self::acks::{ACK_REQUEST, handled_too_much};
pub use self::error::{StreamCondition, StreamError};
pub use self::header::{
    CLOSE, DEFAULT_LANG, Opening, response_lang, speaks_version_1, write_features,
};

/// One side of one stream.
pub trait Machine: Send {
    /// Takes one step.
    fn handle(&mut self, input: Input<'_>, now: Timestamp, actions: &mut Actions);
    /// How far the stream is: the pump takes its limits and timeouts from it.
    fn phase(&self) -> Phase;
    /// Where the session goes on without this stream (XEP-0198 5): how many stanzas of the other side it has handled. Asked
    /// when the connection has ended.
    fn left(&self) -> Option<u32> {
        None
    }
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nobody is known yet: the smallest limits, the negotiation timeout.
    Unauthenticated,
    /// The same, and a person is filling something in (XEP-0389): they have longer, once.
    Registering,
    /// Authenticated, not yet ready for stanzas (before binding): larger limits, still the negotiation timeout.
    Authenticated,
    /// Stanzas flow: keep-alive instead of a timeout.
    Open,
    /// Our closing tag is out; the peer's is awaited for a bounded time (STREAM-08).
    Closing,
    /// Nothing will come of further input.
    Closed,
}

/// What happens to a stream.
pub enum Input<'a> {
    /// The transport is connected. With direct TLS the handshake is done and this is what it gave.
    Connected(Option<TlsInfo>),
    /// The handshake asked for by [`Action::StartTls`] is done.
    Tls(TlsInfo),
    /// The peer's opening tag.
    Header(StreamHeader),
    /// A complete first-level element.
    Element(RawElement<'a>),
    /// `</stream:stream>`
    Close,
    /// The bytes are no stream; the framer says which error that is (XML-01, -02, -03, -05, DOS-05).
    Broken(StreamError),
    /// An answer to [`Action::Ask`] or [`Action::AskAside`].
    Answer(Answer),
    /// Somebody in this server wants something of the stream.
    Order(Order),
}

/// What the pump must do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Flush, then TLS. On a receiving machine: as server, with the identity of this domain (VHOST-01). On an initiating
    /// one: as client, with this name as SNI and reference identity (LAYER-04).
    StartTls(DomainName),
    /// A new XML document follows from the peer.
    Restart,
    /// Feed nothing but the answer (and orders) until it is there.
    Ask(Ask),
    /// Feed the answer when it comes, go on meanwhile. For questions whose answer names what it is about.
    AskAside(Ask),
    /// A stanza for the router, its sender established: `from` is the session's full JID on client streams, and on peer
    /// streams the pair (domain of `to`, domain of `from`) has been accepted on this stream (LAYER-03, -06, -07).
    Stanza(Stanza),
    /// Something worth knowing outside.
    Event(Event),
    /// Our closing tag has been sent: flush, wait for the peer's for a bounded time, close_notify, close (STREAM-08, TLS-13).
    Close,
    /// Flush and close at once: the peer has closed too.
    Disconnect,
}

/// Actions of one step; the pump hands in the same value again and again, so that a step allocates nothing for it.
#[derive(Debug, Default)]
pub struct Actions {
    list: Vec<Action>,
}

impl Actions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, action: Action) {
        self.list.push(action);
    }

    /// Adds bytes to write, joined to the bytes pushed just before.
    pub fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Action::Send(bytes)) = self.list.last_mut() {
            write(bytes);
        } else {
            let mut bytes = Vec::new();
            write(&mut bytes);
            self.list.push(Action::Send(bytes));
        }
    }

    /// Adds a text to write.
    pub fn send_str(&mut self, text: &str) {
        self.send(|out| out.extend_from_slice(text.as_bytes()));
    }

    /// Takes them all out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Action> + '_ {
        self.list.drain(..)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// A question that only the world outside can answer.
#[derive(Debug)]
pub enum Ask {
    /// Is this domain served here? Answered by [`Answer::Host`].
    Host {
        /// Domain named by the stream header.
        to: DomainName,
    },
    /// The verifier of an account. Answered by [`Answer::Credentials`].
    Credentials {
        /// Hosted domain.
        domain: DomainName,
        /// Localpart, as the mechanism gave it.
        local: String,
        /// Which one; `None`: any.
        hash: Option<Hash>,
    },
    /// Somebody without an account shows an invitation (XEP-0445 3). It holds for this stream. Answered by
    /// [`Answer::Registered`].
    Preauth {
        /// Hosted domain.
        domain: DomainName,
        /// As shown.
        token: Confided<String>,
    },
    /// Somebody wants an account (XEP-0077 3.1). Answered by [`Answer::Registered`].
    Register {
        /// Hosted domain.
        domain: DomainName,
        /// The account is to be made; otherwise: what is needed for one.
        set: bool,
        /// The payload, as sent.
        query: Confided<Element>,
    },
    /// Somebody goes one step further towards an account (XEP-0389). Answered by [`Answer::Flow`].
    Flow {
        /// Hosted domain.
        domain: DomainName,
        /// The flow that they have chosen: one of [`Served::flows`].
        flow: &'static flow::Flow,
        /// The step.
        step: flow::Step,
    },
    /// The tokens that a client of an account has got (XEP-0484). Answered by [`Answer::Tokens`].
    Tokens {
        /// Hosted domain.
        domain: DomainName,
        /// Localpart, as the client gave it.
        local: String,
        /// The client's own name for itself.
        agent: String,
    },
    /// Is this the name of a component, and, with the stream's ID and the text of its handshake: is that right, and is the name
    /// free? Answered by [`Answer::Component`].
    Component {
        /// As the header has it.
        name: DomainName,
        /// The stream's ID, and what the component proved.
        proof: Option<(String, String)>,
    },
    /// A client has proved its account: its token is used, and another one may be given to it. Answered by
    /// [`Answer::Granted`].
    Grant(Box<Grant>),
    /// Of which of these hashes the account, which has just proved its password, has no verifier. Answered by
    /// [`Answer::Lacking`].
    Lacking {
        /// The authenticated account.
        account: BareJid,
        /// What its client can compute.
        hashes: Vec<Hash>,
    },
    /// Keeps a further verifier of the same password (XEP-0480), unless there is one of this hash by now. Answered by
    /// [`Answer::Upgraded`].
    Upgrade {
        /// The authenticated account.
        account: BareJid,
        /// Computed by its client.
        verifier: Box<ScramVerifier>,
    },
    /// A session for this account. Answered by [`Answer::Bound`].
    Bind {
        /// The authenticated account.
        account: BareJid,
        /// What the client asked for, if anything.
        resource: Option<String>,
        /// What to use if it asked for nothing: unpredictable (BIND-02).
        random: String,
        /// What the client wants of modules along with it (XEP-0386 3.1); `None`: it binds the plain way (RFC 6120 7).
        features: Option<Vec<Element>>,
    },
    /// The session of this account that another connection has left behind (XEP-0198 5). Answered by [`Answer::Resumed`].
    Resume {
        /// The authenticated account; of another's session nothing is said (LAYER-12).
        account: BareJid,
        /// Which one, as it was told when it was enabled.
        previd: String,
        /// How many of our stanzas the client has handled.
        handled: u32,
    },
    /// What the certificate of this stream is worth for the pair, and what the pair's policy allows otherwise. Answered by
    /// [`Answer::Judged`].
    Judge {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
    },
    /// As initiator of dialback: our key for the pair on this stream. Answered by [`Answer::Key`].
    MakeKey {
        /// ID of the stream that the key is sent on.
        stream: String,
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
    },
    /// As receiver of dialback: ask the authoritative server of `remote`. Answered by [`Answer::KeyVerified`].
    VerifyKey {
        /// ID of the stream that the key came on.
        stream: String,
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// Key as received.
        key: String,
    },
    /// As authority for dialback: is this key ours? Answered by [`Answer::KeyChecked`].
    CheckKey {
        /// ID of the stream that the key was sent on, as told by the asker.
        stream: String,
        /// The hosted domain that is said to have sent it.
        local: DomainName,
        /// The peer that asks.
        remote: DomainName,
        /// Key as received.
        key: String,
    },
}

/// What a log shall not show: an invitation's token, a form with a password in it.
#[derive(Clone)]
pub struct Confided<T>(pub T);

impl<T> std::fmt::Debug for Confided<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confided(..)")
    }
}

/// Answer to an [`Ask`]; those that may come out of order name what they are about.
#[derive(Debug)]
pub enum Answer {
    /// To [`Ask::Host`].
    Host(Host),
    /// To [`Ask::Credentials`]: `Ok(None)` when there is no such account (the exchange goes on all the same, SASL-11).
    Credentials(Result<Option<ScramVerifier>, Unavailable>),
    /// To [`Ask::Bind`].
    Bound(Result<Bound, Box<StanzaError>>),
    /// To [`Ask::Tokens`]: none where there is no such account.
    Tokens(Result<Vec<IssuedToken>, Unavailable>),
    /// To [`Ask::Grant`]: when the new token ends, if it was kept and the client is to have it.
    Granted(Result<Option<Timestamp>, Unavailable>),
    /// To [`Ask::Lacking`].
    Lacking(Result<Vec<Hash>, Unavailable>),
    /// To [`Ask::Upgrade`].
    Upgraded(Result<(), Unavailable>),
    /// To [`Ask::Preauth`] and [`Ask::Register`]: payload of the result.
    Registered(Result<Option<Element>, Box<StanzaError>>),
    /// To [`Ask::Flow`].
    Flow(flow::Outcome),
    /// To [`Ask::Component`].
    Component(Result<(), StreamCondition>),
    /// To [`Ask::Resume`].
    Resumed(Result<Resumed, NotResumed>),
    /// To [`Ask::Judge`].
    Judged {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// The outcome.
        judgement: Judgement,
    },
    /// To [`Ask::MakeKey`].
    Key {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// Text of `<db:result/>`.
        key: String,
    },
    /// To [`Ask::VerifyKey`].
    KeyVerified {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// The outcome.
        outcome: KeyOutcome,
    },
    /// To [`Ask::CheckKey`].
    KeyChecked {
        /// ID of the stream that was asked about.
        stream: String,
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// Whether the key is ours; `None` when the domain is not hosted here (DIALBACK-17).
        valid: Option<bool>,
    },
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Its full address.
    pub jid: Jid,
    /// What modules say to what was asked of them.
    pub answers: Vec<Element>,
}

/// What a client says about itself (XEP-0388 2.3); told to its own account only (SASL-35).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// Its own lasting name for itself.
    pub id: Option<String>,
    /// The program.
    pub software: String,
    /// What it runs on.
    pub device: String,
}

/// What is kept of a token that a client got.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// Row.
    pub id: i64,
    /// The only mechanism it is good for (SASL-40).
    pub mechanism: String,
    /// What proves it.
    pub key: TokenKey,
    /// When it ends.
    pub expires: Timestamp,
}

/// A client has proved its account.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The account.
    pub account: BareJid,
    /// The client, by its name.
    pub agent: UserAgent,
    /// The token that it used.
    pub used: Option<i64>,
    /// It wants that one to be worth nothing any more (SASL-42).
    pub invalidate: bool,
    /// It asks for a token for this mechanism.
    pub wanted: Option<TokenMechanism>,
    /// Of the token that it gets, if it gets one.
    pub key: TokenKey,
}

/// A session that goes on over this stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Its full address.
    pub jid: Jid,
    /// How many stanzas of the client it has handled.
    pub handled: u32,
}

/// Why no session goes on over this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotResumed {
    /// There is none of this name for this account (SM-08, LAYER-12); `handled` if it is still known how many stanzas of the
    /// client it had handled.
    Unknown {
        /// `h`
        handled: Option<u32>,
    },
    /// The client says it has handled more than it was sent (SM-05).
    TooHigh {
        /// How many it says.
        handled: u32,
        /// How many it was sent.
        sent: u32,
    },
    /// Its old connection has not let go of it in time.
    Busy,
}

/// How sessions of a domain outlive their connections (XEP-0198 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// For how long, in seconds, unless the client wants less.
    pub seconds: u32,
    /// Where the client had best connect to for it: `host` or `host:port`, as in `<see-other-host/>` (SM-14).
    pub location: Option<String>,
}

/// The question could not be answered now: our fault, and temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// Whether and how a domain is served here.
#[derive(Clone, Debug)]
pub enum Host {
    /// Not here (VHOST-05).
    Unknown,
    /// Was here and has left (VHOST-06).
    Gone,
    /// Here, but streams are refused now, e.g. while the domain is suspended.
    Refused(StreamError),
    /// Here.
    Served(Box<Served>),
}

/// What a machine must know of a hosted domain. Evaluated per domain (VHOST-11).
#[derive(Clone, Debug)]
pub struct Served {
    /// The domain in its canonical form: `from` of the response header (VHOST-04).
    pub domain: DomainName,
    /// Whether there is a certificate to show; without one STARTTLS is answered with `<failure/>` (TLS-06).
    pub identity: bool,
    /// Whether PLAIN is offered over TLS (SASL-15).
    pub plain: bool,
    /// Hashes of the SCRAM mechanisms that are offered: those of which every account has a verifier.
    pub hashes: Vec<crate::sasl::Hash>,
    /// Secret behind the verifiers of accounts that do not exist (SASL-11).
    pub fake_secret: std::sync::Arc<[u8]>,
    /// Accounts of this domain that the client's certificate proves and that may log in (SASL-03, SASL-44).
    pub external: Vec<BareJid>,
    /// Largest stanza taken once authenticated, in bytes (XEP-0478, STREAM-34).
    pub max_bytes: usize,
    /// Informative features after authentication, e.g. roster versioning (RFC 6121 2.6.1).
    pub features: std::sync::Arc<[Element]>,
    /// Silence after which we look whether the peer is alive, in seconds (XEP-0478).
    pub idle_seconds: u32,
    /// Whether sessions outlive their connections; on client streams only.
    pub resumption: Option<Box<Resumption>>,
    /// Whether clients get tokens (XEP-0484).
    pub tokens: bool,
    /// Whether somebody may get an account on a client's stream (XEP-0077, XEP-0445).
    pub registers: bool,
    /// Ways to an account that are offered on a client's stream (XEP-0389), each with an id of its own; none: nobody is taken in
    /// that way.
    pub flows: &'static [flow::Flow],
    /// Namespaces of what modules can be asked for along with binding (XEP-0386).
    pub inline: Vec<&'static str>,
}

impl Served {
    /// A name for a client that is the same every time and says nothing about its own name for itself.
    pub(crate) fn pseudonym(&self, account: &BareJid, agent: &str) -> String {
        use std::fmt::Write;
        let digest = Sha256::new()
            .chain_update(&self.fake_secret)
            .chain_update(account.as_str())
            .chain_update([0])
            .chain_update(agent)
            .finalize();
        let mut name = String::with_capacity(32);
        for byte in &digest[..16] {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

/// What the pair's policy says about a peer stream once its certificate has been judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// A prooftype holds for the certificate shown: EXTERNAL may be offered, or is believed without more.
    pub proven: bool,
    /// Dialback may prove the pair instead.
    pub dialback: bool,
    /// Neither can: close with this.
    pub refused: Option<StreamError>,
}

/// Outcome of asking the authoritative server about a dialback key (XEP-0220 2.3, 2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// `type='valid'`
    Valid,
    /// `type='invalid'`
    Invalid,
    /// It could not be asked, or answered with an error: stanza error to put into `<db:result type='error'/>` (DIALBACK-18).
    Failed(Box<StanzaError>),
}

/// Something worth knowing outside the machine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client proved an account; not yet bound.
    Authenticated {
        /// The account.
        account: BareJid,
        /// Name of the SASL mechanism.
        mechanism: &'static str,
    },
    /// A client failed to prove one.
    AuthenticationFailed {
        /// Condition sent.
        failure: crate::sasl::SaslFailure,
    },
    /// A pair may carry stanzas on this stream from now on.
    PairAccepted {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// How: `EXTERNAL`, `dialback`, `certificate`.
        mechanism: &'static str,
        /// The stream carries the pair in both directions (XEP-0288).
        bidi: bool,
    },
    /// A pair may not.
    PairRefused {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// What decided.
        reason: PairRefusal,
        /// For the owner's eyes.
        why: String,
    },
    /// A pair is carried no longer on a stream that goes on for others.
    PairDropped {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
    },
    /// An answer to a stanza of a dropped pair: it goes back on this very stream, no other way leads there.
    Refusal(Box<Stanza>),
    /// The peer closed with an error.
    RemoteError(StreamError),
    /// The peer did not take our certificate: EXTERNAL was refused. Dialback follows where it can.
    ExternalRefused {
        /// Its condition and text.
        why: String,
    },
    /// The authoritative server answered an [`Order::VerifyKey`].
    KeyAnswered {
        /// ID of the stream that the key came on.
        stream: String,
        /// The hosted domain that received it.
        local: DomainName,
        /// The peer that sent it.
        remote: DomainName,
        /// The outcome.
        outcome: KeyOutcome,
    },
    /// The stream can prove further pairs and carry questions about keys from now on.
    Ready {
        /// The peer takes part in dialback.
        dialback: bool,
        /// It answers dialback errors instead of closing the stream: other targets may be tried on it (DIALBACK-20).
        errors: bool,
    },
    /// What the peer takes (XEP-0478): nothing larger than this many bytes is sent (STREAM-35).
    PeerLimits {
        /// `max-bytes`
        max_bytes: usize,
    },
    /// Somebody looks at the client, or nobody does (XEP-0352).
    Active(bool),
    /// Stanzas sent from now on are acknowledged (XEP-0198).
    AcksBegin,
    /// The session outlives its connection from now on.
    Resumable {
        /// What the client will name it by, never the same twice (SM-06).
        id: String,
        /// For so many seconds.
        seconds: u32,
    },
    /// They are not after all.
    AcksRefused,
    /// The peer has handled so many of them.
    Acked {
        /// `h`, wrapping at 2^32 (SM-03).
        handled: u32,
    },
    /// An answer to a stanza that could not be processed, or that the stream itself answers. A client's goes out behind what
    /// waits for it, and counts with that; a peer's goes back over a stream of ours.
    Reply(Box<Stanza>),
}

/// What decided that a pair may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairRefusal {
    /// Our judgement of the peer.
    Judgement,
    /// A dialback key is not its maker's (`type='invalid'`).
    KeyInvalid,
    /// A dialback key could not be verified (`type='error'`).
    KeyUnverified,
    /// The other side offers no way that we could take.
    NoWay,
}

/// Somebody in this server wants something of the stream.
#[derive(Debug)]
pub enum Order {
    /// Close it with this error.
    Close(StreamError),
    /// Close it without an error.
    Finish,
    /// Another connection takes up its session: close it with `<conflict/>` and wait for nothing (SM-09).
    Yield,
    /// Carry a pair no longer, in either direction. The stream of the last pair is closed with the error; one that others
    /// share goes on, and what the peer still sends for this pair is refused with it.
    DropPair {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
        /// Why.
        error: StreamError,
    },
    /// Prove one more pair over this (outbound) stream.
    AddPair {
        /// The hosted domain.
        local: DomainName,
        /// The peer.
        remote: DomainName,
    },
    /// Ask the authoritative server at the other end of this (outbound) stream about a dialback key.
    VerifyKey {
        /// ID of the stream that the key came on.
        stream: String,
        /// The hosted domain that received it.
        local: DomainName,
        /// The peer that sent it.
        remote: DomainName,
        /// Key as received.
        key: String,
    },
}

/// What a TLS handshake gave.
#[derive(Clone, Debug, Default)]
pub struct TlsInfo {
    /// `TLSv1.3`, `TLSv1.2`
    pub version: &'static str,
    /// Name of the cipher suite.
    pub cipher: &'static str,
    /// Protocol chosen by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// Name that the client asked for, if it did.
    pub sni: Option<String>,
    /// Hosted domain whose identity we showed; `None` for the platform's own, and where we are the TLS client.
    pub identity: Option<DomainName>,
    /// Certificates the other side showed, leaf first, DER. Their signature over the handshake has been checked, nothing else.
    pub peer_chain: Vec<Vec<u8>>,
    /// RFC 9266; `None` on TLS 1.2 without extended master secret.
    pub exporter: Option<[u8; 32]>,
    /// RFC 5929 4.1, hash of the leaf that was really shown (SASL-26).
    pub end_point: Option<Vec<u8>>,
}

/// Randomness handed in, 256 bits for one stream. Everything unpredictable that the machine needs is derived from it.
pub struct Seed {
    key: [u8; 32],
    used: u64,
}

impl Seed {
    /// From a cryptographic generator.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, used: 0 }
    }

    /// The next token: 32 hexadecimal digits, 128 bits, never the same twice (STREAM-16).
    pub fn token(&mut self) -> String {
        use std::fmt::Write;
        self.used += 1;
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update(self.used.to_be_bytes())
            .finalize();
        let mut token = String::with_capacity(32);
        for byte in &digest[..16] {
            // Writing to a String cannot fail.
            let _ = write!(token, "{byte:02x}");
        }
        token
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod joined;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_16_ids_are_unpredictable() {
        let mut one = Seed::new([1; 32]);
        let mut two = Seed::new([2; 32]);
        let tokens = [one.token(), one.token(), two.token(), two.token()];
        for (i, a) in tokens.iter().enumerate() {
            assert_eq!(a.len(), 32);
            assert!(tokens[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn bytes_sent_in_a_row_are_joined() {
        let mut actions = Actions::new();
        actions.send_str("a");
        actions.send_str("b");
        actions.push(Action::Restart);
        actions.send_str("c");
        let list: Vec<_> = actions.drain().collect();
        assert!(
            matches!(&list[..], [Action::Send(ab), Action::Restart, Action::Send(c)] if ab == b"ab" && c == b"c")
        );
    }
}
