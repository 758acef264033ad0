//! The sandbox's DNS: a whole small internet's worth of zones on one loopback address, really signed from the root down.
//!
//! It exists so that a demo and the tests need no outside service: `.`, `example.` and the platform's zone stand from the
//! start, zones of domain owners are added on demand. It answers like a validating resolver ([`answer`]) and takes dynamic
//! updates ([`update`]), so clients, Prosody, ejabberd, BIND tools and our own resolver can be pointed at it. Sockets,
//! messages and keys are hickory's; the zones are ours ([`zone`]), because its in-memory store has neither the parent's side
//! of a cut nor re-signing after an update.
//!
//! It refuses to be a real name server: it asks nobody, transfers no zones, and has no business on a public address.

mod answer;
pub(crate) mod files;
mod owner;
mod update;
mod zone;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_net::runtime::Time;
use hickory_proto::op::{Edns, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::rdata::{A, AAAA, NS};
use hickory_proto::rr::{Name, RData, Record, RecordType, TSigResponseContext, TSigner};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use parking_lot::RwLock;
use tokio::net::{TcpListener, UdpSocket};

use answer::{Question, Reply, answer, zone_for};
use files::{Files, absolute};
use zone::{APEX_TTL_SECONDS, Zone};

pub use zone::Signing;

/// Name of the key for dynamic updates.
pub const TSIG_KEY_NAME: &str = "sandbox";
/// The zone of the hosting platform.
pub const PLATFORM_ZONE: &str = "hosting.example";
/// The name server of every zone.
const SERVER: &str = "ns.hosting.example.";
/// Zones that owners may have.
const ZONES: usize = 2000;
/// Difference between our clock and an updater's, in seconds (RFC 8945 10).
const FUDGE_SECONDS: u16 = 300;
/// Answers in UDP are no larger than this (DNS flag day 2020), in bytes.
const UDP_BYTES: u16 = 1232;
/// An idle TCP connection is closed after this time.
const TCP_IDLE: Duration = Duration::from_secs(30);
/// Answers that may wait on one TCP connection.
const TCP_QUEUE: usize = 32;
/// Signatures are looked after this often.
const REFRESH: Duration = Duration::from_secs(3600);

/// What can go wrong with the sandbox's DNS; all of it is the operator's to fix, at start or in an update.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The address is taken or not ours.
    #[error(
        "the sandbox DNS cannot listen on {address}: choose another with --listen or --dns-port"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A file of ours is not as we wrote it.
    #[error("{}: {problem}; repair it or start with an empty --data-dir", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What.
        problem: String,
    },
    /// A key cannot be made or used.
    #[error("a DNS key cannot be used: {problem}")]
    Key {
        /// What.
        problem: String,
    },
    /// A name is none, or no zone can stand there.
    #[error("{name}: {problem}")]
    Name {
        /// Which.
        name: String,
        /// What.
        problem: String,
    },
    /// A zone cannot hold this.
    #[error("zone {zone}: {problem}")]
    Zone {
        /// Which.
        zone: String,
        /// What.
        problem: String,
    },
}

/// The running DNS. Clones are handles to the same one.
#[derive(Clone)]
pub struct Dns {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: tokio_util::sync::CancellationToken,
}

struct Shared {
    files: Files,
    zones: RwLock<BTreeMap<Name, Zone>>,
    server: Name,
    key: TSigner,
}

impl Dns {
    /// Opens or makes the zones in `dir` and listens on UDP and TCP; port 0 takes any free one.
    pub async fn start(dir: &Path, listen: IpAddr, port: u16) -> Result<Self, DnsError> {
        let shared = Arc::new(Shared::open(dir, listen)?);
        let (udp, tcp) = bind(listen, port).await?;
        let address = tcp.local_addr().map_err(|source| DnsError::Listen {
            address: SocketAddr::new(listen, port),
            source,
        })?;
        let mut server = hickory_server::Server::new(Handler(shared.clone()));
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_QUEUE);
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let signing = shared.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(REFRESH);
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    _ = tick.tick() => signing.refresh(),
                }
            }
            if let Err(error) = server.shutdown_gracefully().await {
                tracing::warn!(%error, "the sandbox DNS did not stop cleanly");
            }
        });
        Ok(Self {
            shared,
            address,
            stop,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root's key as a DNSKEY record: for unbound, Prosody and our resolver. `bind.keys` beside it is for BIND's tools.
    pub fn trust_anchor(&self) -> PathBuf {
        self.shared.files.trust_anchor()
    }

    /// The key for dynamic updates, a BIND `key` statement: `nsupdate -k FILE`.
    pub fn tsig_key(&self) -> PathBuf {
        self.shared.files.tsig_key()
    }

    /// Adds a zone with its delegation; a zone that is there already stays as it is.
    pub fn zone_add(&self, name: &str, signing: Signing) -> Result<(), DnsError> {
        let origin = absolute(name).map_err(|problem| DnsError::Name {
            name: name.into(),
            problem,
        })?;
        let mut zones = self.shared.zones.write();
        self.shared.zone_add(&mut zones, &origin, signing)
    }

    /// Stops listening.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn open(dir: &Path, listen: IpAddr) -> Result<Self, DnsError> {
        let files = Files::open(dir)?;
        let name = |text: &str| {
            absolute(text).map_err(|problem| DnsError::Name {
                name: text.into(),
                problem,
            })
        };
        let secret = files.tsig_secret(TSIG_KEY_NAME, rand::random)?;
        let key = TSigner::new(
            secret,
            TsigAlgorithm::HmacSha256,
            name(TSIG_KEY_NAME)?,
            FUDGE_SECONDS,
        )
        .map_err(|error| DnsError::Key {
            problem: error.to_string(),
        })?;
        let shared = Self {
            files,
            zones: RwLock::new(BTreeMap::new()),
            server: name(SERVER)?,
            key,
        };
        {
            let mut zones = shared.zones.write();
            let now = now();
            for (origin, signing, records) in shared.files.zones()? {
                let key = shared.files.zone_key(&origin)?;
                zones.insert(
                    origin.clone(),
                    Zone::restore(&origin, signing, &key, records, now)?,
                );
            }
            for origin in [".", "example.", "hosting.example."] {
                shared.zone_add(&mut zones, &name(origin)?, Signing::Secure)?;
            }
            // A crash may lie between a zone's file and its parent's.
            let all: Vec<Name> = zones.keys().cloned().collect();
            for origin in &all {
                shared.delegate(&mut zones, origin)?;
            }
            if let Some(zone) = zones.get_mut(&name("hosting.example.")?) {
                let data = match listen {
                    IpAddr::V4(address) => RData::A(A(address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                };
                zone.remove_name(&shared.server);
                zone.insert(Record::from_rdata(
                    shared.server.clone(),
                    APEX_TTL_SECONDS,
                    data,
                ))?;
                shared.settle(zone)?;
            }
            if let Some(dnskey) = zones.get(&Name::root()).and_then(Zone::dnskey) {
                shared.files.keep_trust_anchor(dnskey)?;
            }
        }
        Ok(shared)
    }

    fn zone_add(
        &self,
        zones: &mut BTreeMap<Name, Zone>,
        origin: &Name,
        signing: Signing,
    ) -> Result<(), DnsError> {
        if zones.contains_key(origin) {
            return Ok(());
        }
        let plain = |label: &[u8]| {
            label
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !origin.iter().all(plain) {
            return Err(DnsError::Name {
                name: origin.to_string(),
                problem: "a zone's labels are letters, digits, hyphens".into(),
            });
        }
        if zones.len() >= ZONES {
            return Err(DnsError::Name {
                name: origin.to_string(),
                problem: format!("the sandbox holds {ZONES} zones already"),
            });
        }
        let key = if signing == Signing::Unsigned {
            Vec::new()
        } else {
            self.files.zone_key(origin)?
        };
        let mut zone = Zone::new(origin, &self.server, signing, &key, now())?;
        // What the parent held below the new cut moves along.
        if let Some(parent) =
            zone_for(zones, origin, RecordType::SOA).map(|parent| parent.origin().clone())
            && let Some(parent) = zones.get_mut(&parent)
        {
            let moved: Vec<Record> = parent
                .plain()
                .filter(|record| origin.zone_of(&record.name))
                .cloned()
                .collect();
            for record in moved {
                parent.remove(&record.name, &record.data);
                if !matches!(record.record_type(), RecordType::NS | RecordType::DS) {
                    zone.insert(record)?;
                }
            }
        }
        self.settle(&mut zone)?;
        zones.insert(origin.clone(), zone);
        self.delegate(zones, origin)
    }

    /// Makes the parent's NS and DS fit the zone.
    fn delegate(&self, zones: &mut BTreeMap<Name, Zone>, origin: &Name) -> Result<(), DnsError> {
        if origin.is_root() {
            return Ok(());
        }
        let Some(ds) = zones.get(origin).map(Zone::ds).transpose()? else {
            return Ok(());
        };
        let Some(parent) = zone_for(zones, &origin.base_name(), RecordType::SOA)
            .map(|parent| parent.origin().clone())
        else {
            return Ok(());
        };
        let Some(parent) = zones.get_mut(&parent) else {
            return Ok(());
        };
        let same = parent
            .plain_set(origin, RecordType::DS)
            .iter()
            .map(|record| &record.data)
            .eq(ds.iter().map(|record| &record.data));
        if same && !parent.plain_set(origin, RecordType::NS).is_empty() {
            return Ok(());
        }
        parent.remove_name(origin);
        parent.insert(Record::from_rdata(
            origin.clone(),
            APEX_TTL_SECONDS,
            RData::NS(NS(self.server.clone())),
        ))?;
        if let Some(ds) = ds {
            parent.insert(ds)?;
        }
        parent.bump();
        self.settle(parent)
    }

    /// Signs and keeps a changed zone.
    fn settle(&self, zone: &mut Zone) -> Result<(), DnsError> {
        zone.sign(now())?;
        self.files.keep_zone(zone)
    }

    fn refresh(&self) {
        let now = now();
        let mut zones = self.zones.write();
        for zone in zones.values_mut().filter(|zone| zone.is_stale(now)) {
            if let Err(error) = zone.sign(now) {
                tracing::error!(zone = %zone.origin(), %error, "a zone's signatures could not be renewed");
            }
        }
    }

    fn query(&self, question: &Question) -> Reply {
        answer(&self.zones.read(), question)
    }

    /// An authenticated update of the zone `origin`.
    fn update(
        &self,
        origin: &Name,
        prerequisites: &[Record],
        updates: &[Record],
    ) -> Result<(), ResponseCode> {
        let origin = origin.to_lowercase();
        let mut zones = self.zones.write();
        if !zones.contains_key(&origin) {
            // An owner's zone begins with the first update that names it.
            let owner = zone_for(&zones, &origin, RecordType::SOA)
                .is_some_and(|parent| parent.origin().num_labels() <= 1);
            if !owner {
                return Err(ResponseCode::NotAuth);
            }
            self.zone_add(&mut zones, &origin, Signing::Secure).map_err(|error| {
                tracing::info!(zone = %origin, %error, "a zone for a dynamic update cannot be made");
                ResponseCode::Refused
            })?;
        }
        let zone = zones.get_mut(&origin).ok_or(ResponseCode::ServFail)?;
        update::check(zone, prerequisites)?;
        self.change(zone, |zone| update::apply(zone, updates))
    }

    /// Changes a zone wholly or not at all.
    fn change(
        &self,
        zone: &mut Zone,
        change: impl FnOnce(&mut Zone) -> Result<(), ResponseCode>,
    ) -> Result<(), ResponseCode> {
        let before = zone.snapshot();
        let done = change(zone).and_then(|()| {
            self.settle(zone).map_err(|error| {
                tracing::error!(zone = %zone.origin(), %error, "a changed zone could not be signed or kept");
                ResponseCode::ServFail
            })
        });
        if done.is_err() {
            zone.rollback(before);
            if let Err(error) = zone.sign(now()) {
                tracing::error!(zone = %zone.origin(), %error, "a zone could not be signed");
            }
        }
        done
    }
}

/// Turns hickory's requests into questions and updates.
struct Handler(Arc<Shared>);

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let mut edns = request.edns.as_ref().map(|theirs| {
            let mut ours = Edns::new();
            ours.set_dnssec_ok(theirs.flags().dnssec_ok);
            ours.set_max_payload(theirs.max_payload().clamp(512, UDP_BYTES));
            ours
        });
        let mut reply = Reply::default();
        let mut signature: Option<TSigResponseContext> = None;
        if request
            .edns
            .as_ref()
            .is_some_and(|theirs| theirs.version() > 0)
        {
            reply.code = ResponseCode::BADVERS;
        } else {
            match (
                request.metadata.message_type,
                request.metadata.op_code,
                request.queries.queries(),
            ) {
                (MessageType::Query, OpCode::Query, [query]) => {
                    metadata.recursion_available = true;
                    metadata.authoritative = true;
                    let question = Question {
                        name: query.name().into(),
                        record_type: query.query_type(),
                        dnssec: request
                            .edns
                            .as_ref()
                            .is_some_and(|theirs| theirs.flags().dnssec_ok),
                        checking_disabled: request.metadata.checking_disabled,
                    };
                    reply = self.0.query(&question);
                    // RFC 6840 5.7: a set AD in the question asks for it in the answer.
                    metadata.authentic_data =
                        reply.secure && (question.dnssec || request.metadata.authentic_data);
                }
                (MessageType::Query, OpCode::Update, [zone])
                    if zone.query_type() == RecordType::SOA =>
                {
                    match update::authenticate(request, &self.0.key, now()) {
                        Ok(context) => {
                            signature = Some(context);
                            let origin = Name::from(zone.name());
                            let done =
                                self.0
                                    .update(&origin, &request.answers, &request.authorities);
                            tracing::debug!(zone = %origin, updates = request.authorities.len(), result = ?done, "dynamic update");
                            reply.code = done.err().unwrap_or(ResponseCode::NoError);
                        }
                        Err((code, context)) => {
                            tracing::info!(from = %request.src(), %code, "a dynamic update with a wrong or no key is refused");
                            signature = context;
                            reply.code = code;
                        }
                    }
                }
                (MessageType::Query, OpCode::Query | OpCode::Update, _) => {
                    reply.code = ResponseCode::FormErr
                }
                (MessageType::Response, ..) => reply.code = ResponseCode::FormErr,
                _ => reply.code = ResponseCode::NotImp,
            }
        }
        metadata.response_code = reply.code;
        if let Some(edns) = &mut edns {
            edns.set_rcode_high(reply.code.high());
        }
        let build = || {
            MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
                metadata,
                &reply.answers,
                &reply.authorities,
                [],
                [],
            )
        };
        let mut message = build();
        if let Some(context) = signature {
            let mut bytes = Vec::new();
            let signed = build()
                .destructive_emit(&mut BinEncoder::new(&mut bytes))
                .and_then(|_| context.sign(&bytes));
            match signed {
                Ok(record) => message.set_signature(record),
                Err(error) => tracing::warn!(%error, "an answer could not be signed"),
            }
        }
        match response.send_response(message).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, to = %request.src(), "a DNS answer could not be sent");
                metadata.response_code = ResponseCode::ServFail;
                hickory_proto::op::Header {
                    metadata,
                    counts: hickory_proto::op::HeaderCounts::default(),
                }
                .into()
            }
        }
    }
}

/// Binds UDP and TCP to the same port; a free one is looked for if none is given.
async fn bind(listen: IpAddr, port: u16) -> Result<(UdpSocket, TcpListener), DnsError> {
    let address = SocketAddr::new(listen, port);
    let mut tries = if port == 0 { 20 } else { 1 };
    loop {
        tries -= 1;
        let bound = async {
            let tcp = TcpListener::bind(address).await?;
            let udp = UdpSocket::bind(tcp.local_addr()?).await?;
            std::io::Result::Ok((udp, tcp))
        };
        match bound.await {
            Ok(bound) => return Ok(bound),
            Err(_) if tries > 0 => {}
            Err(source) => return Err(DnsError::Listen { address, source }),
        }
    }
}

/// Seconds since the epoch.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
