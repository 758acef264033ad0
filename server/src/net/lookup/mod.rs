//! The DNS as `dna` and `control` ask for it: through a validating resolver, and from a zone's own servers.
//!
//! Two ways to know how sure an answer is ([`DnsMode`]): *validate* checks DNSSEC in this process (hickory), *trust-ad*
//! believes the AD bit of a validating resolver on this machine, which is the better choice where one runs: it caches for
//! everybody, and hickory 0.26 takes positive wildcard answers of signed zones for bogus. In both the whole alias chain is
//! walked here, from the name that was asked for, and is worth its weakest link: hickory alone would return the target of an
//! insecure alias as secure.
//!
//! Whoever asks what is being asked already waits for the same answer. That something is not there is believed for a minute at
//! most, whatever the zone says: what an owner has just published is what people wait for.
//!
//! It always answers, within a time limit, and refuses to turn "could not ask" into "is not there".

mod ask;
mod read;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dna::{Answer, Lookup, Outcome, RecordData, RecordType, Security, ServerAnswer};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::{DnsError, NetError};
use hickory_proto::dnssec::TrustAnchors;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Name;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};

use super::memory::Memory;
use crate::config::{DnsMode, DnsSection};
pub(crate) use read::absolute;
use read::{security_of, walk};

/// Name servers of one zone that are asked.
const SERVERS: usize = 6;
/// Answers kept in trust-ad mode, and questions under way in either.
const CACHE: usize = 10_000;
/// An answer is not kept longer than this, whatever it says.
const CACHE_LONGEST: Duration = Duration::from_secs(3600);
/// That something is not there is not believed longer, whatever the zone says (RFC 2308 5 lets a cache have a limit).
const ABSENT_LONGEST: Duration = Duration::from_secs(60);
/// Records of an answer that is kept, …
const KEPT_RECORDS: usize = 64;
/// … and bytes of its texts: whoever publishes more is asked for it each time.
const KEPT_BYTES: usize = 8 * 1024;
/// Labels above a name at which its zone is looked for.
const LABELS: usize = 32;

/// Asks the DNS. Cheap to share.
pub struct Resolver {
    asker: Arc<Asker>,
    /// By name, absolute and in lower case, and type.
    answers: Arc<Memory<(String, RecordType), Answer>>,
}

/// Who is asked, and how.
struct Asker {
    engine: Engine,
    /// Whom we ask, for people and for questions of our own.
    servers: Vec<SocketAddr>,
    timeout: Duration,
    authoritative_port: u16,
}

enum Engine {
    /// It keeps answers itself.
    Validate(Box<TokioResolver>),
    TrustAd,
}

impl Resolver {
    /// From the configuration; without `resolvers` those of the system.
    ///
    /// # Errors
    /// Text for the operator: no resolver to be found, or a trust anchor that cannot be read.
    pub fn new(config: &DnsSection) -> Result<Arc<Self>, String> {
        let timeout = Duration::from_secs(config.timeout_seconds.max(1).into());
        let servers = if config.resolvers.is_empty() {
            system_resolvers()?
        } else {
            config.resolvers.clone()
        };
        let engine = match config.mode {
            DnsMode::Validate => Engine::Validate(Box::new(validating(config, &servers, timeout)?)),
            DnsMode::TrustAd => {
                // `config check` says the same of configured ones; the system's are not in the configuration.
                if let Some(far) = servers.iter().find(|server| !server.ip().is_loopback()) {
                    return Err(format!(
                        "dns.mode \"trust-ad\" believes a resolver on loopback only, and {far} is not: use \"validate\""
                    ));
                }
                Engine::TrustAd
            }
        };
        Ok(Arc::new(Self {
            asker: Arc::new(Asker {
                engine,
                servers,
                timeout,
                authoritative_port: config.authoritative_port,
            }),
            answers: Memory::new(CACHE),
        }))
    }

    /// Names of the servers of the zone that holds `name`; `None` if they cannot be found out.
    async fn name_servers(&self, name: &Name) -> Option<Vec<String>> {
        let mut at = name.clone();
        for _ in 0..LABELS {
            let answer = self.query(&at.to_ascii(), RecordType::Ns).await;
            if let Outcome::Failed(_) = answer.outcome {
                return None;
            }
            // The servers at the end of an alias are those of another zone.
            if answer.aliases.is_empty() && !answer.records().is_empty() {
                let names = answer
                    .records()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RecordData::Ns(name) => Some(name.clone()),
                        _ => None,
                    });
                return Some(names.take(SERVERS).collect());
            }
            if at.is_root() {
                return None;
            }
            at = at.base_name();
        }
        None
    }

    async fn ask_server(&self, server: String, name: &Name, rtype: RecordType) -> ServerAnswer {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for kind in [RecordType::A, RecordType::Aaaa] {
            addresses.extend(self.query(&server, kind).await.addresses());
        }
        let question = ask::Question {
            name,
            rtype,
            recursion: false,
            dnssec: false,
            checking_disabled: false,
        };
        let mut answer = Answer::failed("the name server has no address", server.clone());
        for address in addresses.into_iter().take(2) {
            let at = SocketAddr::new(address, self.asker.authoritative_port);
            let asked = format!("{server} ({address})");
            answer = match ask::ask(at, &question, self.asker.timeout).await {
                Err(why) => Answer::failed(why, asked),
                Ok(message) => match message.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain if !message.authoritative => {
                        Answer::failed("it does not answer for this zone (lame)", asked)
                    }
                    _ => {
                        let answer = read_answer(&message, name, rtype, Security::Unknown, asked);
                        self.whole(answer, name, rtype).await
                    }
                },
            };
            if !matches!(answer.outcome, Outcome::Failed(_)) {
                break;
            }
        }
        ServerAnswer {
            server: answer.asked.clone(),
            answer,
        }
    }

    /// An alias that leads out of the server's own zones is followed through the resolver.
    async fn whole(&self, answer: Answer, name: &Name, rtype: RecordType) -> Answer {
        match (&answer.outcome, answer.aliases.last()) {
            (Outcome::NoRecords { .. }, Some(target)) if !answer.is_lost(&read::text(name)) => {
                let rest = self.query(target, rtype).await;
                let mut aliases = answer.aliases.clone();
                aliases.extend(rest.aliases);
                Answer {
                    outcome: rest.outcome,
                    aliases,
                    ttl_seconds: answer.ttl_seconds.min(rest.ttl_seconds),
                    ..answer
                }
            }
            _ => answer,
        }
    }
}

impl Asker {
    /// One question, and for how long its answer is to be remembered here.
    async fn query(&self, name: &Name, rtype: RecordType) -> (Answer, Duration) {
        let (mut answer, keeps) = match &self.engine {
            Engine::Validate(resolver) => (self.validated(resolver, name, rtype).await, true),
            Engine::TrustAd => (self.believed(name, rtype).await, false),
        };
        let longest = match answer.outcome {
            Outcome::NoRecords { .. } => ABSENT_LONGEST,
            _ => CACHE_LONGEST,
        };
        let lasts = Duration::from_secs(answer.ttl_seconds.into()).min(longest);
        if matches!(answer.outcome, Outcome::NoRecords { .. }) {
            // Whoever remembers it in turn goes by this.
            answer.ttl_seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        }
        // The engine that keeps answers knows better when to ask again; trouble is not remembered at all.
        let forget = keeps || matches!(answer.outcome, Outcome::Failed(_)) || is_large(&answer);
        (answer, if forget { Duration::ZERO } else { lasts })
    }

    fn asked(&self) -> String {
        self.servers
            .iter()
            .map(SocketAddr::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// One question takes no longer than this: two attempts, and a walk along the chain of trust.
    fn patience(&self) -> Duration {
        self.timeout * 2 + Duration::from_secs(1)
    }

    /// Validates here. COMPAT: hickory 0.26 calls a signed denial at the end of an alias into another zone bogus (it looks for
    /// the SOA of the name that was asked for); so before that is believed, the alias is walked link by link.
    async fn validated(&self, resolver: &TokioResolver, name: &Name, rtype: RecordType) -> Answer {
        let whole = self.validated_at_once(resolver, name, rtype).await;
        if whole.security != Security::Bogus || rtype == RecordType::Cname {
            return whole;
        }
        let mut aliases = Vec::new();
        let mut security = Security::Secure;
        let mut ttl_seconds = u32::MAX;
        let mut at = name.clone();
        for _ in 0..dna::ALIASES {
            let link = self
                .validated_at_once(resolver, &at, RecordType::Cname)
                .await;
            let target = link.records().iter().find_map(|record| match &record.data {
                RecordData::Cname(target) => absolute(target).ok(),
                _ => None,
            });
            let Some(target) = target else { break };
            security = security.and(link.security);
            ttl_seconds = ttl_seconds.min(link.ttl_seconds);
            aliases.push(read::text(&target));
            at = target;
        }
        if aliases.is_empty() {
            return whole;
        }
        let end = self.validated_at_once(resolver, &at, rtype).await;
        Answer {
            security: security.and(end.security),
            ttl_seconds: ttl_seconds.min(end.ttl_seconds),
            aliases,
            ..end
        }
    }

    async fn validated_at_once(
        &self,
        resolver: &TokioResolver,
        name: &Name,
        rtype: RecordType,
    ) -> Answer {
        let failed = |why: String| Answer::failed(why, self.asked());
        match tokio::time::timeout(
            self.patience(),
            resolver.lookup(name.clone(), read::rtype(rtype)),
        )
        .await
        {
            Err(_) => failed("no answer in time".into()),
            Ok(Ok(lookup)) => {
                let walked = walk(lookup.answers(), name, rtype);
                let left = lookup
                    .valid_until()
                    .saturating_duration_since(Instant::now());
                let ttl = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
                let security = walked.security;
                walked.answer(security, self.asked(), ttl, false)
            }
            Ok(Err(NetError::Dns(DnsError::DnssecBogus))) => Answer {
                security: Security::Bogus,
                ..failed("DNSSEC validation failed".into())
            },
            Ok(Err(NetError::Dns(DnsError::Nsec {
                response, proof, ..
            }))) => {
                let walked = walk(&response.answers, name, rtype);
                let security = security_of(proof).and(walked.security);
                let ttl = response.negative_ttl().unwrap_or(0);
                walked.answer(
                    security,
                    self.asked(),
                    ttl,
                    response.response_code == ResponseCode::NXDomain,
                )
            }
            // Hickory's secure denials come this way, with proofs on the NSEC records; those of unsigned zones have none.
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => Answer {
                outcome: Outcome::NoRecords {
                    nxdomain: none.response_code == ResponseCode::NXDomain,
                },
                security: read::denial_security(none.authorities.as_deref().unwrap_or_default()),
                ttl_seconds: none.soa.map_or(0, |soa| soa.data.minimum.min(soa.ttl)),
                ..failed(String::new())
            },
            Ok(Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)))) => {
                self.servfail(name, rtype).await
            }
            Ok(Err(error)) => failed(error.to_string()),
        }
    }

    /// A validating resolver says SERVFAIL to bogus data and to its own trouble alike; with checking disabled only the latter.
    async fn servfail(&self, name: &Name, rtype: RecordType) -> Answer {
        for server in &self.servers {
            let question = ask::Question {
                name,
                rtype,
                recursion: true,
                dnssec: false,
                checking_disabled: true,
            };
            let Ok(message) = ask::ask(*server, &question, self.timeout).await else {
                continue;
            };
            // Aliases in a circle are trouble, too, and some resolvers tell how far they came.
            let walked = walk(&message.answers, name, rtype);
            let failed = Answer {
                aliases: walked.aliases,
                ..Answer::failed("the resolver failed (SERVFAIL)", server.to_string())
            };
            if walked.records.is_empty() && failed.is_lost(&read::text(name)) {
                return failed;
            }
            if matches!(
                message.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            ) {
                return Answer {
                    security: Security::Bogus,
                    ..Answer::failed(
                        "the resolver refuses the answer: DNSSEC validation failed there",
                        server.to_string(),
                    )
                };
            }
        }
        Answer::failed("the resolver failed (SERVFAIL)", self.asked())
    }

    async fn believed(&self, name: &Name, rtype: RecordType) -> Answer {
        let question = ask::Question {
            name,
            rtype,
            recursion: true,
            dnssec: true,
            checking_disabled: false,
        };
        let mut answer = Answer::failed("no resolver", self.asked());
        for server in &self.servers {
            answer = match ask::ask(*server, &question, self.timeout).await {
                Ok(message) if message.response_code == ResponseCode::ServFail => {
                    self.servfail(name, rtype).await
                }
                Ok(message) => {
                    let security = if message.authentic_data {
                        Security::Secure
                    } else {
                        Security::Insecure
                    };
                    read_answer(&message, name, rtype, security, server.to_string())
                }
                Err(why) => Answer::failed(why, server.to_string()),
            };
            if !matches!(answer.outcome, Outcome::Failed(_)) || answer.security == Security::Bogus {
                break;
            }
        }
        answer
    }
}

#[async_trait]
impl Lookup for Resolver {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        let name = match absolute(name) {
            Ok(name) => name,
            Err(why) => return Answer::failed(why, self.asker.asked()),
        };
        let key = (name.to_ascii().to_ascii_lowercase(), rtype);
        let asker = self.asker.clone();
        let ask = move || async move { asker.query(&name, rtype).await }.boxed();
        self.answers.ask(&key, ask).await.0
    }

    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer> {
        let Ok(name) = absolute(name) else {
            return Vec::new();
        };
        let Some(servers) = self.name_servers(&name).await else {
            return Vec::new();
        };
        join_all(
            servers
                .into_iter()
                .map(|server| self.ask_server(server, &name, rtype)),
        )
        .await
    }
}

/// What one message says.
fn read_answer(
    message: &Message,
    name: &Name,
    rtype: RecordType,
    security: Security,
    asked: String,
) -> Answer {
    match message.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let walked = walk(&message.answers, name, rtype);
            let ttl = if walked.records.is_empty() {
                read::negative_ttl(message)
            } else {
                walked.ttl_seconds
            };
            walked.answer(
                security,
                asked,
                ttl,
                message.response_code == ResponseCode::NXDomain,
            )
        }
        code => Answer {
            // How far the server came: it may have gone in circles.
            aliases: walk(&message.answers, name, rtype).aliases,
            ..Answer::failed(format!("it answers {code}"), asked)
        },
    }
}

/// Is it too large to be kept?
fn is_large(answer: &Answer) -> bool {
    let bytes = |record: &dna::Record| match &record.data {
        RecordData::Txt(text) => text.len(),
        RecordData::Tlsa { data, .. } => data.len(),
        RecordData::Caa { value, .. } => value.len(),
        _ => 0,
    };
    let records = answer.records();
    records.len() > KEPT_RECORDS || records.iter().map(bytes).sum::<usize>() > KEPT_BYTES
}

fn validating(
    config: &DnsSection,
    servers: &[SocketAddr],
    timeout: Duration,
) -> Result<TokioResolver, String> {
    let anchors = if config.trust_anchor.as_os_str().is_empty() {
        TrustAnchors::default()
    } else {
        TrustAnchors::from_file(&config.trust_anchor)
            .map_err(|error| format!("dns.trust_anchor {}: {error}; expected DNSKEY records of the root, as in unbound's root.key", config.trust_anchor.display()))?
    };
    let servers = servers.iter().map(|server| {
        let connection = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        NameServerConfig::new(
            server.ip(),
            true,
            vec![
                connection(ConnectionConfig::udp()),
                connection(ConnectionConfig::tcp()),
            ],
        )
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_trust_anchor(Arc::new(anchors));
    let options = builder.options_mut();
    options.validate = true;
    options.preserve_intermediates = true;
    options.use_hosts_file = ResolveHosts::Never;
    options.ndots = 0;
    options.timeout = timeout;
    options.attempts = 2;
    options.negative_max_ttl = Some(ABSENT_LONGEST);
    builder
        .build()
        .map_err(|error| format!("the resolver cannot be started: {error}"))
}

fn system_resolvers() -> Result<Vec<SocketAddr>, String> {
    let (config, _) = hickory_resolver::system_conf::read_system_conf().map_err(|error| {
        format!("the system's resolvers cannot be read ({error}): set dns.resolvers")
    })?;
    let servers: Vec<SocketAddr> = config
        .name_servers()
        .iter()
        .map(|server| {
            SocketAddr::new(
                server.ip,
                server
                    .connections
                    .first()
                    .map_or(53, |connection| connection.port),
            )
        })
        .collect();
    if servers.is_empty() {
        Err("the system names no resolver: set dns.resolvers".into())
    } else {
        Ok(servers)
    }
}
