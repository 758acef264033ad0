//! A scripted peer: it listens where the DNS says that its domain is served, presents the certificate it is given, and
//! plays its part in dialback honestly or as its script says.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::Instant;

use crate::harness::DEADLINE;
use crate::lab::authority::Identity;
use crate::lab::wire::{PROCEED, SASL, Wire, attribute, header};

/// What an authoritative server answers when it is asked about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// The truth.
    Honest,
    /// Every key is valid, says it.
    AlwaysValid,
    /// No key is valid, says it.
    AlwaysInvalid,
    /// The truth, under another stream's id.
    OtherStream,
    /// The truth, for another domain.
    OtherDomain,
    /// It hangs up.
    HangsUp,
}

/// How a peer behaves.
#[derive(Debug, Clone)]
pub struct Script {
    /// What it presents when it is called; `None`: it offers no TLS at all.
    pub identity_called: bool,
    /// It proceeds to TLS, and then there is none.
    pub breaks_tls: bool,
    /// STARTTLS is among the features (it works even if not).
    pub advertises_tls: bool,
    /// EXTERNAL is offered to who shows a certificate.
    pub external: bool,
    /// EXTERNAL, once asked for, succeeds.
    pub external_succeeds: bool,
    /// It knows dialback.
    pub dialback: bool,
    /// The dialback feature says that it answers errors (XEP-0220 2.4.2).
    pub errors: bool,
    /// It says that our keys are good.
    pub takes_keys: bool,
    /// Except those of this domain.
    pub turns_away: Option<&'static str>,
    pub answers: Answers,
    /// TLS from the first byte.
    pub direct: bool,
    /// More features, as XML.
    pub features: &'static str,
    /// Once TLS is up it sends whoever calls to this host (RFC 6120 4.9.3.19).
    pub moved: Option<String>,
    /// It does so in plaintext already.
    pub moved_early: bool,
    /// Connections that open and then say nothing more; those that follow answer.
    pub silent: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            identity_called: true,
            breaks_tls: false,
            advertises_tls: true,
            external: true,
            external_succeeds: true,
            dialback: true,
            errors: true,
            takes_keys: true,
            turns_away: None,
            answers: Answers::Honest,
            direct: false,
            features: "",
            moved: None,
            moved_early: false,
            silent: 0,
        }
    }
}

struct Inner {
    domain: String,
    identity: Identity,
    script: Script,
    /// Keys that this peer made: (stream id, key).
    keys: Mutex<HashSet<(String, String)>>,
    /// Everything that anybody said to it.
    heard: Mutex<Vec<String>>,
    news: Condvar,
    connections: AtomicUsize,
}

/// A running peer. Its threads end with the process; its port is closed when it is dropped.
pub struct Actor {
    pub domain: String,
    pub identity: Identity,
    pub address: SocketAddr,
    inner: Arc<Inner>,
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

/// An address in a network of its own: what one network may ask for is rationed.
pub fn network() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    /// Runs that go on at the same time take addresses of different ranges; a port in the range says that it is taken.
    static RUN: LazyLock<(u32, Option<TcpListener>)> = LazyLock::new(|| {
        let first = std::process::id() % RUNS;
        let mut ranges = (first..RUNS).chain(0..first);
        let taken = ranges.find_map(|run| {
            let door = TcpListener::bind((in_range(run, 0), 5268)).ok()?;
            Some((run, Some(door)))
        });
        taken.unwrap_or((first, None))
    });
    in_range(RUN.0, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Ranges of addresses.
const RUNS: u32 = 8;

fn in_range(run: u32, number: u32) -> Ipv4Addr {
    let [.., high, low] = (run * 1024 + number).to_be_bytes();
    Ipv4Addr::new(127, 200 + high, low, 1)
}

fn fresh(what: &str) -> String {
    format!("{what}-{}", NEXT_ID.fetch_add(1, Ordering::Relaxed))
}

impl Actor {
    /// Listens at port 5269 of an address of its own.
    pub fn start(domain: &str, identity: Identity, script: Script) -> Self {
        Self::start_at(network(), domain, identity, script)
    }

    pub fn start_at(ip: Ipv4Addr, domain: &str, identity: Identity, script: Script) -> Self {
        let address = SocketAddr::from((ip, if script.direct { 5270 } else { 5269 }));
        let listener = TcpListener::bind(address).unwrap_or_else(|e| panic!("{address}: {e}"));
        let inner = Arc::new(Inner {
            domain: domain.into(),
            identity: identity.clone(),
            script,
            keys: Mutex::default(),
            heard: Mutex::default(),
            news: Condvar::new(),
            connections: AtomicUsize::new(0),
        });
        let serving = inner.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let inner = serving.clone();
                let earlier = inner.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || inner.serve(tcp, earlier));
            }
        });
        Self {
            domain: domain.into(),
            identity,
            address,
            inner,
        }
    }

    /// Records that lead to it, for [`crate::lab::zones::Zones::add`].
    pub fn records(&self) -> Vec<String> {
        self.records_of(&self.domain)
    }

    /// Records that lead to it for another domain that it serves: it answers to every name.
    pub fn records_of(&self, domain: &str) -> Vec<String> {
        let (ip, port) = (self.address.ip(), self.address.port());
        let service = if self.inner.script.direct {
            "_xmpps-server"
        } else {
            "_xmpp-server"
        };
        vec![
            format!("xmpp.{domain} A {ip}"),
            format!("{service}._tcp.{domain} SRV 0 5 {port} xmpp.{domain}."),
        ]
    }

    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Connections that were made to it so far.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// A key for a stream that this peer opened; it will stand by it.
    pub fn key(&self, stream: &str) -> String {
        let key = fresh("key");
        let made = (stream.to_owned(), key.clone());
        self.inner.keys.lock().expect("lock").insert(made);
        key
    }

    /// All that was said to it so far.
    pub fn heard(&self) -> Vec<String> {
        self.inner.heard.lock().expect("lock").clone()
    }

    /// How many items with `needle` it has heard.
    pub fn count(&self, needle: &str) -> usize {
        self.heard().iter().filter(|i| i.contains(needle)).count()
    }

    /// Waits until it has heard `times` items with `needle`.
    pub fn until_times(&self, needle: &str, times: usize) {
        let end = Instant::now() + DEADLINE;
        let mut heard = self.inner.heard.lock().expect("lock");
        while heard.iter().filter(|item| item.contains(needle)).count() < times {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} never heard {needle:?} {times} times: {heard:#?}",
                self.domain
            );
            heard = self.inner.news.wait_timeout(heard, left).expect("lock").0;
        }
    }

    /// Waits until it has heard an item with `needle`, and gives it.
    pub fn until(&self, needle: &str) -> String {
        let end = Instant::now() + DEADLINE;
        let mut heard = self.inner.heard.lock().expect("lock");
        loop {
            if let Some(item) = heard.iter().find(|item| item.contains(needle)) {
                return item.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} never heard {needle:?}: {heard:#?}",
                self.domain
            );
            heard = self.inner.news.wait_timeout(heard, left).expect("lock").0;
        }
    }

    /// How our server proved itself to it: `EXTERNAL`, `dialback`, or `none`.
    pub fn mechanism(&self) -> &'static str {
        if self.count("mechanism='EXTERNAL'") > 0 {
            "EXTERNAL"
        } else if self.count("<db:result") > 0 {
            "dialback"
        } else {
            "none"
        }
    }
}

impl Inner {
    fn hear(&self, item: &str) {
        self.heard.lock().expect("lock").push(item.to_owned());
        self.news.notify_all();
    }

    /// Serves a connection; `earlier`: how many there were before it.
    fn serve(&self, tcp: TcpStream, earlier: usize) {
        let mut wire = Wire::over(tcp);
        let silent = earlier < self.script.silent;
        let mut handled = 0;
        let mut secured = false;
        if self.script.direct {
            if wire.tls_server(&self.identity).is_err() {
                return self.hear("handshake failed");
            }
            secured = true;
        }
        let mut authenticated = false;
        while let Some(item) = wire.next() {
            self.hear(&item);
            handled += usize::from(
                ["<message", "<iq", "<presence"]
                    .iter()
                    .any(|tag| item.starts_with(tag)),
            );
            let negotiates = item.starts_with("<?xml") || item.starts_with("<stream:stream");
            if silent && authenticated && !negotiates {
                if item.starts_with("<enable") {
                    wire.say("<enabled xmlns='urn:xmpp:sm:3'/>");
                }
                continue;
            }
            let more = if item.contains("<stream:stream") {
                let id = fresh("stream");
                self.welcome(&mut wire, &item, &id, secured, authenticated)
            } else if item.contains("<starttls") {
                if !self.script.identity_called {
                    wire.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
                    return;
                }
                wire.say(PROCEED);
                if self.script.breaks_tls {
                    wire.say("<no-tls-after-all/>");
                    return;
                }
                secured = true;
                let done = wire.tls_server(&self.identity).is_ok();
                if !done {
                    self.hear("handshake failed");
                }
                done
            } else if item.contains("<auth ") {
                authenticated = self.script.external_succeeds;
                if authenticated {
                    wire.say(&format!("<success xmlns='{SASL}'/>"))
                } else {
                    wire.say(&format!(
                        "<failure xmlns='{SASL}'><not-authorized/><text>unsuitable certificate purpose</text></failure></stream:stream>"
                    ));
                    false
                }
            } else if item.starts_with("<db:verify") && !item.contains(" type=") {
                self.answer(&mut wire, &item)
            } else if item.starts_with("<db:result") && !self.script.dialback {
                wire.say(
                    "<stream:error><unsupported-stanza-type xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                     </stream:error></stream:stream>",
                );
                false
            } else if item.starts_with("<db:result") && !item.contains(" type=") {
                let (from, to) = (attribute(&item, "from"), attribute(&item, "to"));
                let takes = self.script.takes_keys && from.as_deref() != self.script.turns_away;
                // Whether the key is theirs is asked in the tests of dialback; here it is the peer's own affair (DIALBACK-08).
                wire.say(&format!(
                    "<db:result from='{}' to='{}' type='{}'/>",
                    to.unwrap_or_default(),
                    from.unwrap_or_default(),
                    if takes { "valid" } else { "invalid" }
                ))
            } else if item.starts_with("<enable") {
                wire.say("<enabled xmlns='urn:xmpp:sm:3'/>")
            } else if item.starts_with("<r ") {
                wire.say(&format!("<a xmlns='urn:xmpp:sm:3' h='{handled}'/>"))
            } else if item.contains("urn:xmpp:ping") {
                let part = |name| attribute(&item, name).unwrap_or_default();
                wire.say(&format!(
                    "<iq type='result' from='{}' to='{}' id='{}'/>",
                    part("to"),
                    part("from"),
                    part("id")
                ))
            } else if item.contains("</stream:stream") {
                wire.say("</stream:stream>");
                false
            } else {
                true
            };
            if !more {
                return;
            }
        }
    }

    fn welcome(
        &self,
        wire: &mut Wire,
        item: &str,
        id: &str,
        secured: bool,
        authenticated: bool,
    ) -> bool {
        let to = attribute(item, "from").unwrap_or_default();
        if let Some(host) = self
            .script
            .moved
            .as_ref()
            .filter(|_| secured || self.script.moved_early)
        {
            wire.say(&header(&self.domain, &to, Some(id)));
            wire.say(&format!(
                "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{host}</see-other-host></stream:error></stream:stream>"
            ));
            return true;
        }
        let mut features = String::new();
        if !secured && self.script.advertises_tls {
            features += "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
        }
        if secured && !authenticated {
            if self.script.external && !wire.presented().is_empty() {
                features += &format!(
                    "<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
                );
            }
            if self.script.dialback {
                let errors = if self.script.errors { "<errors/>" } else { "" };
                features +=
                    &format!("<dialback xmlns='urn:xmpp:features:dialback'>{errors}</dialback>");
            }
        }
        if secured {
            features += self.script.features;
        }
        let name = attribute(item, "to").unwrap_or_else(|| self.domain.clone());
        wire.say(&header(&name, &to, Some(id)));
        wire.say(&format!("<stream:features>{features}</stream:features>"))
    }

    /// The authoritative server's part (XEP-0220 2.2.2).
    fn answer(&self, wire: &mut Wire, item: &str) -> bool {
        let part = |name| attribute(item, name).unwrap_or_default();
        let (from, to, id) = (part("from"), part("to"), part("id"));
        let key = crate::harness::line::between(item, ">", "<").unwrap_or_default();
        let made = (id.clone(), key.to_owned());
        let known = self.keys.lock().expect("lock").contains(&made);
        let valid = match self.script.answers {
            Answers::AlwaysValid => true,
            Answers::AlwaysInvalid => false,
            Answers::HangsUp => return false,
            _ => known,
        };
        let word = if valid { "valid" } else { "invalid" };
        let (id, to) = match self.script.answers {
            // A lie first; the truth would come behind it, were it asked.
            Answers::OtherStream => (fresh("stream"), to),
            Answers::OtherDomain => (id, "somebody-else.signed.example".into()),
            _ => (id, to),
        };
        wire.say(&format!(
            "<db:verify from='{to}' to='{from}' id='{id}' type='{word}'/>"
        ))
    }
}
