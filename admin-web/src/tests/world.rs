//! A panel over a fresh store and the smallest world outside: a DNS in memory, an authority that always issues.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use control::operator::{LoginRequest, OperatorNew, Origin};
use control::outside::{
    Change, IssueError, IssueRequest, Issued, IssuerInfo, PeerNow, SessionNow, ZoneChange,
    ZoneError, ZoneName, ZoneValue,
};
use control::records::{DesiredRecord, RecordValue};
use control::settings::ServiceName;
use control::tenant::SignUp;
use control::{
    Actor, ChallengeSolver, Control, Issuer, Limits, Live, OwnerZone, Pace, Parts,
    PlatformSettings, Ports, Probe, SystemClock, ZonePublisher,
};
use dna::{Answer, Lookup, Outcome, Record, RecordData, RecordType, Security, ServerAnswer};
use tower::ServiceExt;
use xmpp::jid::{BareJid, DomainName};

use crate::PanelSettings;

pub(super) const PASSWORD: &str = "tin soldier nine";

/// Everything outside.
#[derive(Default)]
struct World(Mutex<BTreeMap<(String, &'static str), Vec<RecordData>>>);

impl World {
    fn answer(&self, name: &str, rtype: RecordType) -> Answer {
        let kind = match rtype {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Srv => "SRV",
            RecordType::Txt => "TXT",
            RecordType::Cname => "CNAME",
            RecordType::Soa => "SOA",
            _ => "",
        };
        let records = self.0.lock().unwrap();
        let outcome = match records.get(&(name.to_owned(), kind)) {
            Some(set) => Outcome::Found(
                set.iter()
                    .map(|data| Record {
                        name: name.into(),
                        ttl_seconds: 300,
                        data: data.clone(),
                    })
                    .collect(),
            ),
            None => Outcome::NoRecords { nxdomain: false },
        };
        Answer {
            outcome,
            security: Security::Insecure,
            ttl_seconds: 300,
            asked: "resolver".into(),
            aliases: Vec::new(),
        }
    }
}

#[async_trait]
impl Lookup for World {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        self.answer(name, rtype)
    }

    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer> {
        vec![ServerAnswer {
            server: "ns1.example.net".into(),
            answer: self.answer(name, rtype),
        }]
    }
}

#[async_trait]
impl dna::Fetch for World {
    async fn request(
        &self,
        url: &dna::Url,
        _post: Option<dna::Post>,
        _limit: usize,
    ) -> Result<dna::Reply, dna::FetchError> {
        Err(dna::FetchError::TimedOut {
            host: url.host_str().unwrap_or_default().into(),
        })
    }
}

#[async_trait]
impl ZonePublisher for World {
    async fn apply(&self, changes: &[ZoneChange]) -> Result<(), ZoneError> {
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
        let mut records = self.0.lock().unwrap();
        for change in changes {
            match change {
                ZoneChange::Set { name, values, .. } => {
                    let kind = data(&values[0]).0;
                    let set = values.iter().map(|value| data(value).1).collect();
                    records.insert((name.clone(), kind), set);
                }
                ZoneChange::Add { name, value, .. } => {
                    let (kind, data) = data(value);
                    records.entry((name.clone(), kind)).or_default().push(data);
                }
                ZoneChange::Remove { name, value } => {
                    records.remove(&(name.clone(), data(value).0));
                }
                ZoneChange::Erase { name } => records.retain(|(owner, _), _| owner != name),
            }
        }
        Ok(())
    }

    async fn names(&self) -> Result<Vec<ZoneName>, ZoneError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl OwnerZone for World {
    async fn publish(
        &self,
        domain: &DomainName,
        wanted: &[DesiredRecord],
    ) -> Result<(), ZoneError> {
        let mut records = self.0.lock().unwrap();
        let apex = domain.to_ascii().into_owned();
        let soa = RecordData::Soa {
            mname: "ns1.example.net".into(),
        };
        records.insert((apex, "SOA"), vec![soa]);
        for record in wanted {
            let (kind, data) = match &record.value {
                RecordValue::Txt { text } => ("TXT", RecordData::Txt(text.clone())),
                RecordValue::Cname { target } => ("CNAME", RecordData::Cname(target.clone())),
                RecordValue::Srv {
                    priority,
                    weight,
                    port,
                    target,
                } => (
                    "SRV",
                    RecordData::Srv {
                        priority: *priority,
                        weight: *weight,
                        port: *port,
                        target: target.clone(),
                    },
                ),
            };
            let name = record.name.trim_end_matches('.').to_owned();
            records.insert((name, kind), vec![data]);
        }
        Ok(())
    }

    async fn withdraw(&self, domain: &DomainName) -> Result<(), ZoneError> {
        let suffix = format!(".{}", domain.to_ascii());
        let mut records = self.0.lock().unwrap();
        records.retain(|(name, _), _| !name.ends_with(&suffix));
        Ok(())
    }
}

#[async_trait]
impl Live for World {
    fn announce(&self, _change: Change) {}

    async fn probe(&self, _domain: &DomainName, _own: Option<&str>) -> Probe {
        Probe::Passed {
            seen: "192.0.2.1:5222, TLS 1.3".into(),
            leaf: String::new(),
        }
    }

    fn sessions(&self, _domain: &DomainName) -> usize {
        0
    }

    fn online(&self, accounts: &[BareJid]) -> Option<Vec<usize>> {
        Some(vec![1; accounts.len()])
    }

    fn sessions_of(&self, _account: &BareJid) -> Option<Vec<SessionNow>> {
        Some(vec![SessionNow {
            resource: "balcony".into(),
            since: crate::words::now(),
            away: false,
            agent: None,
            certificate: None,
        }])
    }

    fn peers(&self, _domain: &DomainName) -> Vec<PeerNow> {
        Vec::new()
    }
}

#[async_trait]
impl Issuer for World {
    fn describe(&self) -> IssuerInfo {
        IssuerInfo {
            name: "Test CA".into(),
            ..IssuerInfo::default()
        }
    }

    async fn issue(
        &self,
        request: IssueRequest,
        _desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError> {
        let names: Vec<_> = request
            .names
            .iter()
            .map(|name| name.to_ascii().into_owned())
            .collect();
        let (chain_pem, key_pem) = certificate(&names);
        Ok(Issued {
            chain_pem,
            key_pem: key_pem.into(),
            ..Issued::default()
        })
    }
}

/// A certificate of its own making, good for 90 days, and its key; PEM.
pub(super) fn certificate(names: &[String]) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names.to_vec()).unwrap();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = u64::try_from(crate::words::now().0 / 1_000_000).unwrap();
    params.not_before = epoch + std::time::Duration::from_secs(now - 60);
    params.not_after = epoch + std::time::Duration::from_secs(now + 90 * 86_400);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A panel, ready to be asked.
pub(super) struct House {
    pub(super) control: Arc<Control>,
    pub(super) store: store::Store,
    pub(super) router: Router,
    _folder: tempfile::TempDir,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::with(false).await
    }

    pub(super) async fn with(secure_cookies: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Arc::new(World::default());
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        let sealer = store::Sealer::from_bytes(&[7; 32]).unwrap();
        let store = store::Store::open(&url, sealer).await.unwrap();
        let control = Control::new(Parts {
            store: store.clone(),
            lookup: world.clone(),
            fetch: world.clone(),
            anchors: Arc::new(dna::Anchors::default()),
            issuer: world.clone(),
            zone: world.clone(),
            portable: Arc::new(control::portable::Nothing),
            owner_zone: Some(world.clone()),
            mail: None,
            live: world,
            clock: Arc::new(SystemClock),
            settings: PlatformSettings {
                name: "Domicile".into(),
                platform_zone: "on.hosting.example".into(),
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
                    accounts: 500,
                    ..Limits::default()
                },
                pace: Pace::real(),
                authority_limits: control::certificate::AuthorityLimits::default(),
                service_names: vec![ServiceName {
                    label: "rooms".into(),
                    purpose: "group chats".into(),
                    federated: true,
                }],
            },
        });
        let settings = PanelSettings {
            public_url: "https://panel.example".into(),
            secure_cookies,
            sandbox: true,
        };
        Self {
            router: crate::router(control.clone(), settings),
            control,
            store,
            _folder: folder,
        }
    }

    /// The platform has its operator, as after the first run.
    pub(super) async fn settled() -> Self {
        let house = Self::open().await;
        house.platform().await;
        house
    }

    pub(super) async fn platform(&self) {
        let new = OperatorNew {
            login: "root@platform.example".into(),
            password: PASSWORD.into(),
            role: "platform".into(),
        };
        let system = Actor::system("test");
        self.control.platform_team_add(&system, new).await.unwrap();
    }

    /// A customer with one domain, signed in.
    pub(super) async fn customer(&self, domain: &str) -> Person {
        let request = SignUp {
            domain: domain.into(),
            email: format!("owner@{domain}"),
            password: PASSWORD.into(),
        };
        let signed = self
            .control
            .sign_up(request, &Origin::default())
            .await
            .unwrap();
        Person {
            cookie: format!("login={}", signed.login.token.expose()),
            csrf: signed.login.resumed.csrf.expose().to_owned(),
            tenant: signed.tenant,
        }
    }

    /// Somebody with this login, signed in.
    pub(super) async fn sign_in(&self, login: &str) -> Person {
        let request = LoginRequest {
            login: login.into(),
            password: PASSWORD.into(),
        };
        let login = self
            .control
            .login(request, &Origin::default())
            .await
            .unwrap();
        Person {
            cookie: format!("login={}", login.token.expose()),
            csrf: login.resumed.csrf.expose().to_owned(),
            tenant: login.resumed.actor.tenant().map_or(0, |tenant| tenant.0),
        }
    }

    /// Another member of a customer's team, signed in.
    pub(super) async fn member(&self, tenant: i64, role: &str) -> Person {
        let login = format!("{role}-{tenant}@team.example");
        let new = OperatorNew {
            login: login.clone(),
            password: PASSWORD.into(),
            role: role.into(),
        };
        let system = Actor::system("test");
        self.control.team_add(&system, tenant, new).await.unwrap();
        self.sign_in(&login).await
    }

    pub(super) async fn ask(&self, request: Request<Body>) -> Page {
        let response = self.router.clone().oneshot(request).await.unwrap();
        Page::read(response).await
    }

    pub(super) async fn get(&self, path: &str, person: Option<&Person>) -> Page {
        self.ask(
            request(Method::GET, path, person)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// A form of the panel's own, with its secret.
    pub(super) async fn post(&self, path: &str, person: &Person, fields: &[(&str, &str)]) -> Page {
        let mut all = vec![("csrf", person.csrf.as_str())];
        all.extend_from_slice(fields);
        self.ask(form(path, Some(person), &all)).await
    }

    /// A request of the JSON API with a cookie and its secret.
    pub(super) async fn api(
        &self,
        method: Method,
        path: &str,
        person: &Person,
        body: Option<serde_json::Value>,
    ) -> Page {
        let builder = request(method, path, Some(person)).header("x-csrf-token", &person.csrf);
        let request = match body {
            Some(body) => builder
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => builder.body(Body::empty()),
        };
        self.ask(request.unwrap()).await
    }
}

/// Somebody with a cookie.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) cookie: String,
    pub(super) csrf: String,
    pub(super) tenant: i64,
}

pub(super) fn request(
    method: Method,
    path: &str,
    person: Option<&Person>,
) -> axum::http::request::Builder {
    let builder = Request::builder().method(method).uri(path);
    match person {
        Some(person) => builder.header(header::COOKIE, &person.cookie),
        None => builder,
    }
}

pub(super) fn form(path: &str, person: Option<&Person>, fields: &[(&str, &str)]) -> Request<Body> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    request(Method::POST, path, person)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap()
}

/// What came back.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: axum::http::HeaderMap,
    pub(super) text: String,
}

impl Page {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000_000).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}
