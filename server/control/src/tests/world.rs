//! The world outside control, as small as it can be and still lie.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use crate::operator::{OperatorNew, Origin};
use crate::outside::{
    ChallengeSolver, Change, Clock, IssueError, IssueRequest, Issued, Issuer, IssuerInfo,
    KeyChoice, Live, Method, NameRefused, OwnerZone, PeerNow, PendingOrder, Probe, RenewalInfo,
    Response, RevocationReason, SessionNow, ZoneChange, ZoneError, ZoneName, ZonePublisher,
    ZoneValue,
};
use crate::records::{DesiredRecord, RecordValue};
use crate::settings::{Limits, Pace, PlatformSettings, Ports, ServiceName};
use crate::tenant::{SignUp, SignedUp};
use crate::time::{DAY, SECOND};
use crate::{Actor, Control, Parts};
use dna::{
    Answer, Fetch, FetchError, Lookup, Outcome, Post, Record, RecordData, RecordType, Reply,
    Security, ServerAnswer, Url,
};
use store::Store;

/// Everything outside, shared by the traits below.
#[derive(Default)]
pub(crate) struct World {
    now: Mutex<i64>,
    pub records: Mutex<Records>,
    pub zones: Mutex<BTreeSet<String>>,
    pub faults: Mutex<Faults>,
    pub orders: Mutex<Vec<Vec<String>>>,
    pub keys: Mutex<Vec<String>>,
    pub changes: Mutex<Vec<Change>>,
    /// What websites answer, by address; everything else is "not found".
    pub pages: Mutex<BTreeMap<String, Reply>>,
    /// What was posted, and where.
    pub posted: Mutex<Vec<(String, Post)>>,
    /// Names of further authorities beside the first.
    pub more_authorities: Mutex<Vec<String>>,
    /// Where each order went, and whether it said what it replaces.
    pub went: Mutex<Vec<(String, bool)>>,
    /// What the authority says of renewals.
    pub renewal: Mutex<Option<RenewalInfo>>,
    pub revoked: Mutex<Vec<(String, RevocationReason)>>,
    /// Issuer names of dns-persist-01, where the authority offers it.
    pub persistent: Mutex<Vec<String>>,
    /// How each name was proven.
    pub proven: Mutex<Vec<(String, Method)>>,
    /// Sessions of an account.
    pub sessions: Mutex<Vec<(String, SessionNow)>>,
    /// Mail that was taken.
    pub mails: Mutex<Vec<crate::outside::Mail>>,
    /// How long certificates are good (µs); `None`: 90 days.
    pub lifetime: Mutex<Option<i64>>,
    /// TTL of every answer; `None`: 300 seconds.
    pub ttl_seconds: Mutex<Option<u32>>,
    /// What the second name server of the platform's zone still tells, where changes do not reach it.
    pub behind: Mutex<Option<Records>>,
    /// The leaf that the public door shows, by domain (SHA-256, lower-case hex).
    pub door: Mutex<BTreeMap<String, String>>,
}

/// Record sets by name and type.
pub(crate) type Records = BTreeMap<(String, &'static str), Vec<RecordData>>;

/// The zone that is the platform's.
const ZONE: &str = "on.hosting.example";

/// What goes wrong.
#[derive(Default, Clone)]
pub(crate) struct Faults {
    pub dns_silent: bool,
    pub dns_bogus: bool,
    /// The second name server of the platform's zone does not answer us.
    pub second_server_silent: bool,
    /// Every answer of the resolver is signed.
    pub dns_signed: bool,
    pub web_silent: bool,
    pub zone_unreachable: bool,
    pub door_closed: bool,
    pub issuer: Option<IssueError>,
    /// Only this authority has the fault; empty: all.
    pub at: String,
    pub refuse_name: Option<String>,
    pub revoke_silent: bool,
    pub mail_silent: bool,
    /// The issuer stops after the order was remembered, as a crash would.
    pub crash_before_finalize: bool,
}

impl World {
    pub(crate) fn advance(&self, micros: i64) {
        *self.now.lock().unwrap() += micros;
    }

    pub(crate) fn fault(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    pub(crate) fn set(&self, name: &str, rtype: &'static str, data: Vec<RecordData>) {
        self.records
            .lock()
            .unwrap()
            .insert((name.to_owned(), rtype), data);
    }

    pub(crate) fn unset(&self, name: &str, rtype: &'static str) {
        self.records
            .lock()
            .unwrap()
            .remove(&(name.to_owned(), rtype));
    }

    pub(crate) fn publish(&self, records: &[DesiredRecord]) {
        for record in records {
            let name = record.name.trim_end_matches('.');
            match &record.value {
                RecordValue::Txt { text } => {
                    self.set(name, "TXT", vec![RecordData::Txt(text.clone())])
                }
                RecordValue::Cname { target } => {
                    self.set(name, "CNAME", vec![RecordData::Cname(target.clone())])
                }
                RecordValue::Srv {
                    priority,
                    weight,
                    port,
                    target,
                } => {
                    self.set(
                        name,
                        "SRV",
                        vec![RecordData::Srv {
                            priority: *priority,
                            weight: *weight,
                            port: *port,
                            target: target.clone(),
                        }],
                    );
                }
            }
        }
    }

    fn answer(&self, name: &str, rtype: RecordType) -> Answer {
        let records = self.records.lock().unwrap();
        self.answer_of(&records, name, rtype)
    }

    /// What a server answers that holds these records.
    fn answer_of(&self, records: &Records, name: &str, rtype: RecordType) -> Answer {
        let ttl_seconds = self.ttl_seconds.lock().unwrap().unwrap_or(300);
        let faults = self.faults.lock().unwrap().clone();
        let answer = |outcome, security| Answer {
            outcome,
            security: match security {
                Security::Insecure if faults.dns_signed => Security::Secure,
                other => other,
            },
            ttl_seconds,
            asked: "resolver".into(),
            aliases: Vec::new(),
        };
        if faults.dns_silent {
            return answer(Outcome::Failed("timed out".into()), Security::Unknown);
        }
        if faults.dns_bogus {
            return answer(Outcome::Failed("bogus".into()), Security::Bogus);
        }
        let kind = match rtype {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Srv => "SRV",
            RecordType::Txt => "TXT",
            RecordType::Cname => "CNAME",
            RecordType::Ns => "NS",
            RecordType::Caa => "CAA",
            RecordType::Tlsa => "TLSA",
            RecordType::Soa => "SOA",
        };
        if rtype == RecordType::Soa && self.zones.lock().unwrap().contains(name) {
            let record = Record {
                name: name.into(),
                ttl_seconds,
                data: RecordData::Soa {
                    mname: "ns.example".into(),
                },
            };
            return answer(Outcome::Found(vec![record]), Security::Insecure);
        }
        match records.get(&(name.to_owned(), kind)) {
            Some(data) => answer(
                Outcome::Found(
                    data.iter()
                        .map(|data| Record {
                            name: name.into(),
                            ttl_seconds,
                            data: data.clone(),
                        })
                        .collect(),
                ),
                Security::Insecure,
            ),
            None => answer(Outcome::NoRecords { nxdomain: false }, Security::Insecure),
        }
    }
}

pub(crate) struct Handle(pub Arc<World>);

impl Clock for Handle {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.now.lock().unwrap())
    }
}

#[async_trait]
impl Lookup for Handle {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        self.0.answer(name, rtype)
    }

    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer> {
        let silent = self.0.faults.lock().unwrap().dns_silent;
        let bogus = self.0.faults.lock().unwrap().dns_bogus;
        if silent {
            return Vec::new();
        }
        let mut answer = self.0.answer(name, rtype);
        if bogus {
            answer.security = Security::Insecure;
        }
        let in_zone = name.ends_with(ZONE);
        let second_silent = self.0.faults.lock().unwrap().second_server_silent && in_zone;
        let behind = self.0.behind.lock().unwrap();
        let behind = behind
            .as_ref()
            .filter(|_| in_zone && !bogus)
            .map(|records| self.0.answer_of(records, name, rtype));
        ["ns1.example.net", "ns2.example.net"]
            .into_iter()
            .map(|server| ServerAnswer {
                server: server.into(),
                answer: match (server.starts_with("ns2"), second_silent, &behind) {
                    (true, true, _) => Answer::failed("no answer in time", server),
                    (true, false, Some(older)) => older.clone(),
                    _ => answer.clone(),
                },
            })
            .collect()
    }
}

#[async_trait]
impl Fetch for Handle {
    async fn request(
        &self,
        url: &Url,
        post: Option<Post>,
        _limit: usize,
    ) -> Result<Reply, FetchError> {
        if let Some(post) = post {
            self.0.posted.lock().unwrap().push((url.to_string(), post));
        }
        if self.0.faults.lock().unwrap().web_silent {
            return Err(FetchError::TimedOut {
                host: url.host_str().unwrap_or_default().into(),
            });
        }
        let pages = self.0.pages.lock().unwrap();
        Ok(pages.get(url.as_str()).cloned().unwrap_or(Reply {
            status: 404,
            location: None,
            allow_origin: None,
            body: Vec::new(),
        }))
    }
}

#[async_trait]
impl ZonePublisher for Handle {
    async fn apply(&self, changes: &[ZoneChange]) -> Result<(), ZoneError> {
        if self.0.faults.lock().unwrap().zone_unreachable {
            return Err(ZoneError::Refused {
                server: "ns.hosting.example".into(),
                code: "REFUSED".into(),
            });
        }
        let data = |value: &ZoneValue| match value {
            ZoneValue::A(address) => ("A", RecordData::A(*address)),
            ZoneValue::Aaaa(address) => ("AAAA", RecordData::Aaaa(*address)),
            ZoneValue::Txt(text) => ("TXT", RecordData::Txt(text.clone())),
            ZoneValue::Tlsa(record) => (
                "TLSA",
                RecordData::Tlsa {
                    usage: record.usage,
                    selector: record.selector,
                    matching: record.matching,
                    data: record.data.clone(),
                },
            ),
        };
        let mut records = self.0.records.lock().unwrap();
        for change in changes {
            match change {
                ZoneChange::Set { name, values, .. } => {
                    records.insert(
                        (name.clone(), data(&values[0]).0),
                        values.iter().map(|value| data(value).1).collect(),
                    );
                }
                ZoneChange::Add { name, value, .. } => {
                    let (kind, data) = data(value);
                    records.entry((name.clone(), kind)).or_default().push(data);
                }
                ZoneChange::Remove { name, value } => {
                    let (kind, data) = data(value);
                    if let Some(set) = records.get_mut(&(name.clone(), kind)) {
                        set.retain(|there| *there != data);
                        if set.is_empty() {
                            records.remove(&(name.clone(), kind));
                        }
                    }
                }
                ZoneChange::Erase { name } => records.retain(|(owner, _), _| owner != name),
            }
        }
        Ok(())
    }

    async fn names(&self) -> Result<Vec<ZoneName>, ZoneError> {
        let mut found = std::collections::BTreeMap::<String, Vec<(String, String)>>::new();
        for ((name, kind), values) in self.0.records.lock().unwrap().iter() {
            let value = |value: &RecordData| match value {
                RecordData::A(address) => address.to_string(),
                RecordData::Aaaa(address) => address.to_string(),
                other => format!("{other:?}"),
            };
            let values = values.iter().map(|one| ((*kind).to_owned(), value(one)));
            found.entry(name.clone()).or_default().extend(values);
        }
        Ok(found
            .into_iter()
            .map(|(name, records)| ZoneName { name, records })
            .collect())
    }
}

#[async_trait]
impl OwnerZone for Handle {
    async fn publish(
        &self,
        domain: &DomainName,
        records: &[DesiredRecord],
    ) -> Result<(), ZoneError> {
        self.0
            .zones
            .lock()
            .unwrap()
            .insert(domain.to_ascii().into_owned());
        self.0.publish(records);
        Ok(())
    }

    async fn withdraw(&self, domain: &DomainName) -> Result<(), ZoneError> {
        let suffix = format!(".{}", domain.to_ascii());
        self.0
            .records
            .lock()
            .unwrap()
            .retain(|(name, _), _| !name.ends_with(&suffix));
        Ok(())
    }
}

#[async_trait]
impl crate::outside::Mailer for Handle {
    async fn send(&self, mail: crate::outside::Mail) -> Result<(), crate::outside::MailError> {
        if self.0.faults.lock().unwrap().mail_silent {
            return Err(crate::outside::MailError::Unavailable("no answer".into()));
        }
        self.0.mails.lock().unwrap().push(mail);
        Ok(())
    }
}

#[async_trait]
impl Live for Handle {
    fn announce(&self, change: Change) {
        self.0.changes.lock().unwrap().push(change);
    }

    async fn probe(&self, domain: &DomainName, _own: Option<&str>) -> Probe {
        let door = self.0.door.lock().unwrap();
        if self.0.faults.lock().unwrap().door_closed {
            Probe::Failed {
                seen: "connection refused".into(),
                asked: "192.0.2.1:5222".into(),
            }
        } else {
            Probe::Passed {
                seen: "192.0.2.1:5222, TLS 1.3".into(),
                leaf: door.get(domain.as_str()).cloned().unwrap_or_default(),
            }
        }
    }

    fn sessions(&self, _domain: &DomainName) -> usize {
        0
    }

    fn online(&self, accounts: &[BareJid]) -> Option<Vec<usize>> {
        let count = |account| self.sessions_of(account).map(|found| found.len());
        accounts.iter().map(count).collect()
    }

    fn sessions_of(&self, account: &BareJid) -> Option<Vec<SessionNow>> {
        let all = self.0.sessions.lock().unwrap();
        let its = all.iter().filter(|(jid, _)| jid == account.as_str());
        Some(its.map(|(_, session)| session.clone()).collect())
    }

    fn peers(&self, _domain: &DomainName) -> Vec<PeerNow> {
        Vec::new()
    }
}

/// 90 days unless told otherwise, and it looks for its challenge where a real CA would: through the owner's CNAME.
#[async_trait]
impl Issuer for Handle {
    fn describe(&self) -> IssuerInfo {
        IssuerInfo {
            name: "Test CA".into(),
            caa_identities: vec!["ca.example".into()],
            account_uri: Some("https://ca.example/acct/1".into()),
            persistent: self.0.persistent.lock().unwrap().clone(),
            ..IssuerInfo::default()
        }
    }

    fn authorities(&self) -> Vec<IssuerInfo> {
        let mut all = vec![self.describe()];
        for directory in self.0.more_authorities.lock().unwrap().iter() {
            all.push(IssuerInfo {
                directory: directory.clone(),
                ..self.describe()
            });
        }
        all
    }

    async fn renewal_info(
        &self,
        _authority: &str,
        _chain_pem: &str,
    ) -> Result<Option<RenewalInfo>, IssueError> {
        Ok(self.0.renewal.lock().unwrap().clone())
    }

    async fn revoke(
        &self,
        _authority: &str,
        chain_pem: &str,
        reason: RevocationReason,
    ) -> Result<(), IssueError> {
        if self.0.faults.lock().unwrap().revoke_silent {
            return Err(IssueError::Unavailable("no answer".into()));
        }
        let mut revoked = self.0.revoked.lock().unwrap();
        revoked.push((chain_pem.to_owned(), reason));
        Ok(())
    }

    async fn issue(
        &self,
        request: IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        self.0
            .went
            .lock()
            .unwrap()
            .push((request.authority.clone(), request.replaces.is_some()));
        self.0
            .orders
            .lock()
            .unwrap()
            .push(request.names.iter().map(ToString::to_string).collect());
        let faults = self.0.faults.lock().unwrap().clone();
        let here = faults.at.is_empty() || faults.at == request.authority;
        if let Some(error) = faults.issuer.filter(|_| here) {
            return Err(error);
        }
        if let Some(name) = request
            .names
            .iter()
            .find(|name| Some(name.as_str()) == faults.refuse_name.as_deref())
        {
            return Err(IssueError::Names(vec![NameRefused {
                name: name.clone(),
                why: "no such challenge".into(),
            }]));
        }
        let key = match (&request.resume, &request.key) {
            (Some(order), _) => rcgen::KeyPair::from_pem(order.key_pem.expose()).unwrap(),
            (None, KeyChoice::Keep(pem)) => rcgen::KeyPair::from_pem(pem.expose()).unwrap(),
            (None, KeyChoice::New) => rcgen::KeyPair::generate().unwrap(),
        };
        for name in &request.names {
            let method = request.method(name);
            let mut proven = self.0.proven.lock().unwrap();
            proven.push((name.to_string(), method));
        }
        for name in &request.names {
            let value = format!("digest-of-{name}");
            let shown = match request.method(name) {
                Method::Dns => Response::Dns {
                    value: value.clone(),
                },
                Method::Http => Response::Http {
                    token: format!("token-of-{}", name.to_ascii().replace('.', "-")),
                    key_authorization: value.clone(),
                },
                Method::DnsPersist => continue,
            };
            desk.present(name, &shown).await?;
            if matches!(shown, Response::Http { .. }) {
                desk.withdraw(name, &shown).await;
                continue;
            }
            let challenge = format!("_acme-challenge.{}", name.to_ascii());
            let records = self.0.records.lock().unwrap();
            let target = match records
                .get(&(challenge, "CNAME"))
                .and_then(|set| set.first())
            {
                Some(RecordData::Cname(target)) => target.clone(),
                other => panic!("an order was spent without its CNAME: {other:?}"),
            };
            let set = records.get(&(target, "TXT")).cloned().unwrap_or_default();
            assert!(
                set.contains(&RecordData::Txt(value)),
                "the challenge is not where the CA looks"
            );
        }
        desk.remember(PendingOrder {
            url: "https://ca.example/order/1".into(),
            key_pem: key.serialize_pem().into(),
            csr_der: vec![1],
            authority: request.authority.clone(),
        })
        .await?;
        if faults.crash_before_finalize {
            return Err(IssueError::Unavailable("the process died".into()));
        }
        for name in &request.names {
            if request.method(name) == Method::Dns {
                let value = format!("digest-of-{name}");
                desk.withdraw(name, &Response::Dns { value }).await;
            }
        }
        self.0.keys.lock().unwrap().push(key.serialize_pem());
        let now = *self.0.now.lock().unwrap();
        let lifetime = self.0.lifetime.lock().unwrap().unwrap_or(90 * DAY);
        let names: Vec<_> = request
            .names
            .iter()
            .map(|name| name.to_ascii().into_owned())
            .collect();
        Ok(Issued {
            chain_pem: certificate(&names, now, now + lifetime, &key),
            key_pem: key.serialize_pem().into(),
            announced: request.replaces.is_some(),
            authority: request.authority,
        })
    }
}

/// A leaf and its issuer, PEM.
pub(crate) fn certificate(names: &[String], from: i64, to: i64, key: &rcgen::KeyPair) -> String {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let time = |micros: i64| {
        epoch + std::time::Duration::from_secs(u64::try_from(micros / SECOND).unwrap())
    };
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "Test CA");
    (ca.not_before, ca.not_after) = (time(0), time(to + DAY));
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let mut params = rcgen::CertificateParams::new(names.to_vec()).unwrap();
    (params.not_before, params.not_after) = (time(from), time(to));
    format!(
        "{}{ca_pem}",
        params
            .signed_by(key, &rcgen::Issuer::new(ca, ca_key))
            .unwrap()
            .pem()
    )
}

pub(crate) fn settings() -> PlatformSettings {
    PlatformSettings {
        name: "Domicile".into(),
        platform_zone: ZONE.into(),
        addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
        ports: Ports::default(),
        record_ttl_seconds: 3600,
        web: "https://web.hosting.example".into(),
        invites: "https://web.hosting.example".into(),
        operators_second_factor: false,
        panel: "https://panel.hosting.example".into(),
        posh_expires_seconds: 14_400,
        website_port: 443,
        http_port: 80,
        plain_http: false,
        private_addresses: false,
        sign_up: true,
        limits: Limits {
            domains: 3,
            accounts: 5,
            ..Limits::default()
        },
        pace: Pace::real(),
        authority_limits: crate::certificate::AuthorityLimits::default(),
        service_names: vec![ServiceName {
            label: "rooms".into(),
            purpose: "group chats".into(),
            federated: true,
        }],
    }
}

/// A control over a fresh store and world. `sandbox`: the owners' zones are ours to write.
pub(crate) struct House {
    pub control: Arc<Control>,
    pub world: Arc<World>,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn open(sandbox: bool) -> Self {
        Self::made(sandbox, settings()).await
    }

    /// Where operators must have a second factor.
    pub(crate) async fn strict() -> Self {
        let mut settings = settings();
        settings.operators_second_factor = true;
        Self::made(false, settings).await
    }

    /// With an authority that allows less.
    pub(crate) async fn limited(
        change: impl FnOnce(&mut crate::certificate::AuthorityLimits),
    ) -> Self {
        let mut settings = settings();
        change(&mut settings.authority_limits);
        Self::made(false, settings).await
    }

    /// At another pace.
    pub(crate) async fn paced(change: impl FnOnce(&mut Pace)) -> Self {
        let mut settings = settings();
        change(&mut settings.pace);
        Self::made(false, settings).await
    }

    /// Where the operator has decided otherwise.
    pub(crate) async fn decided(change: impl FnOnce(&mut PlatformSettings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        Self::made(false, settings).await
    }

    async fn made(sandbox: bool, settings: PlatformSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Arc::new(World::default());
        world.advance(20_000 * DAY);
        world.zones.lock().unwrap().insert("example.com".into());
        let handle = || Arc::new(Handle(world.clone()));
        let control = Control::new(Parts {
            store: open_store(folder.path()).await,
            lookup: handle(),
            fetch: handle(),
            anchors: Arc::new(dna::Anchors::default()),
            issuer: handle(),
            zone: handle(),
            portable: Arc::new(crate::portable::Nothing),
            owner_zone: if sandbox { Some(handle()) } else { None },
            mail: Some(crate::outside::Post {
                mailer: handle(),
                hour: 4,
                panel: "https://panel.hosting.example".into(),
            }),
            live: handle(),
            clock: handle(),
            settings,
        });
        Self {
            control,
            world,
            _folder: folder,
        }
    }

    pub(crate) async fn sign_up(&self, domain: &str, email: &str) -> SignedUp {
        let request = SignUp {
            domain: domain.into(),
            email: email.into(),
            password: PASSWORD.into(),
        };
        self.control
            .sign_up(request, &Origin::default())
            .await
            .unwrap()
    }

    /// A signed-up owner of a domain that is live.
    pub(crate) async fn live(&self, domain: &str, email: &str) -> Actor {
        let signed = self.sign_up(domain, email).await;
        self.world.zones.lock().unwrap().insert(domain.into());
        let actor = signed.login.resumed.actor;
        let page = self.control.domain_records(&actor, domain).await.unwrap();
        self.world.publish(
            &page
                .records
                .into_iter()
                .map(|view| view.record)
                .collect::<Vec<_>>(),
        );
        self.turn().await;
        assert_eq!(
            self.control
                .domain_show(&actor, domain)
                .await
                .unwrap()
                .view
                .state,
            crate::domain::State::Live
        );
        actor
    }

    /// Lets the worker do what is due.
    pub(crate) async fn turn(&self) -> usize {
        self.control.turn().await.unwrap()
    }

    /// Moves the clock past the next look, and lets the worker look.
    pub(crate) async fn later(&self, micros: i64) -> usize {
        self.world.advance(micros);
        self.turn().await
    }

    /// An actor of every role of a tenant.
    pub(crate) async fn operator(&self, tenant: i64, role: &str, login: &str) -> Actor {
        let system = Actor::system("test");
        let new = OperatorNew {
            login: login.into(),
            password: PASSWORD.into(),
            role: role.into(),
        };
        self.control.team_add(&system, tenant, new).await.unwrap();
        let request = crate::operator::LoginRequest {
            login: login.into(),
            password: PASSWORD.into(),
        };
        self.control
            .login(request, &Origin::default())
            .await
            .unwrap()
            .resumed
            .actor
    }
}

pub(crate) const PASSWORD: &str = "tin soldier nine";

async fn open_store(folder: &std::path::Path) -> Store {
    let url = format!("sqlite://{}", folder.join("store.db").display());
    Store::open(&url, store::Sealer::from_bytes(&[7; 32]).unwrap())
        .await
        .unwrap()
}
