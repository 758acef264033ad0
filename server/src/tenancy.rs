//! Which domains are hosted here, as of the last change in the store.
//!
//! A domain costs one entry and its rows, no task and no listener. The map is read on every stanza that leaves its own
//! domain, so it is sharded and asked with a borrowed name. Refuses: deciding anything; control does, and writes it down.

mod counts;
mod defaults;
mod grants;
mod usage;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use control::domain::{Registration, State};
use control::ladder::Step;
use control::outside::LiveUsage;
use dashmap::DashMap;
use dna::Anchors;
use modules::{Contact, DataPolicy, DomainSettings, FollowedList, Hosted, Quota, Service, hooks};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use store::{DomainId, DomainRow, Store, StoreError, TenantId};
use tokio::time::Instant;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::sasl::Hash;
use xmpp::stream::{Resumption, StreamCondition, StreamError};

pub use self::counts::Counts;
pub use self::defaults::Defaults;
use self::defaults::seconds;
pub use self::usage::{Ceiling, Kind, Occupied, Usage};
use crate::metrics::Metrics;
use crate::net::limits::Patience;
use crate::net::tls::{self, Material};

/// What a component is among services; no module has it.
static COMPONENT: Service = Service {
    label: "",
    about: "a program of the domain's",
    category: "component",
    type_: "generic",
    federated: true,
};

/// Rows read at once at the start.
const PAGE: u32 = 200;

/// A hosted domain.
#[derive(Debug)]
pub struct Domain {
    /// Row.
    pub id: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// What modules see of it.
    pub hosted: Hosted,
    /// Whether streams are answered; suspended and leaving domains keep their entry, so that they are told apart from
    /// unknown ones and never looked for elsewhere (ROUTE-08).
    pub served: bool,
    /// Word of control's state.
    pub state: String,
    /// Left-most label of its SRV target in the platform's zone.
    pub label: String,
    /// XEP-0238 level, in control's word.
    pub policy: String,
    /// Only these peers, if any.
    pub allow: Vec<String>,
    /// Never these peers.
    pub block: Vec<String>,
    /// Its customer is on the ladder's `no-federation`: its people reach only those of the same customer's domains.
    pub secluded: bool,
    /// PLAIN is offered over TLS, for clients that know nothing better (SASL-15).
    pub plain: bool,
    /// Hashes of the SCRAM mechanisms that it offers.
    pub hashes: Vec<Hash>,
    /// Trust anchors by which a peer is known here, in place of the general ones (CERT-21).
    pub pinned: HashMap<DomainName, Arc<Anchors>>,
    /// Times of its clients' streams.
    pub patience: Patience,
    /// Whether its clients' sessions outlive their connections, and for how long (XEP-0198).
    pub resumption: Option<Box<Resumption>>,
    /// Days after which what its people and rooms have archived goes; 0: never; `None`: as the platform does.
    pub archive_days: Option<u32>,
    /// Whose certificates prove its clients (SASL EXTERNAL); `None`: nobody's, and none is asked for.
    pub client_anchors: Option<Arc<dna::Anchors>>,
    /// Whether somebody may get an account on a client's stream (XEP-0077, XEP-0445).
    pub registers: bool,
    /// Whether they may do so step by step as well (XEP-0389).
    pub flows: bool,
    /// What somebody who is not invited is asked for an account; `None`: nobody comes uninvited.
    pub question: Option<Arc<str>>,
    /// Whether clients are also known by certificates that their users have uploaded (XEP-0257).
    pub user_certificates: bool,
    /// Where this is a service of a domain (`rooms.one.example`): which. All else is what the domain has; it has no accounts.
    pub service: Option<&'static Service>,
    /// Where a program of the domain's answers for that name (XEP-0114).
    pub component: bool,
    /// What it takes now; shared with the entry that replaces this one.
    usage: Arc<Usage>,
    /// What its tenant takes now; shared by all its domains.
    tenant_usage: Arc<Usage>,
}

impl Domain {
    /// Is it being erased? To the world it is gone already (VHOST-06).
    pub fn is_leaving(&self) -> bool {
        State::parse(&self.state) == Some(State::Releasing)
    }

    /// Name.
    pub fn name(&self) -> &DomainName {
        &self.hosted.domain
    }

    /// The same under the name of one of its services.
    fn as_service(&self, service: &'static Service, name: DomainName) -> Self {
        Self {
            id: self.id,
            tenant: self.tenant,
            hosted: self.hosted.as_service(name),
            served: self.served,
            state: self.state.clone(),
            label: self.label.clone(),
            policy: self.policy.clone(),
            allow: self.allow.clone(),
            block: self.block.clone(),
            secluded: self.secluded,
            plain: self.plain,
            hashes: self.hashes.clone(),
            pinned: self.pinned.clone(),
            patience: self.patience,
            // A service has no sessions.
            resumption: None,
            archive_days: self.archive_days,
            client_anchors: None,
            registers: false,
            flows: false,
            question: None,
            user_certificates: false,
            service: Some(service),
            component: false,
            usage: self.usage.clone(),
            tenant_usage: self.tenant_usage.clone(),
        }
    }

    /// The same under the name of one of its components.
    fn as_component(&self, name: DomainName) -> Self {
        Self {
            component: true,
            ..self.as_service(&COMPONENT, name)
        }
    }

    /// Whether its lists shut a neighbour out that is hosted here, or the ladder does: for that, those of another tenant are
    /// like any other server. `tenant`: the neighbour's.
    pub fn shuts_out(&self, other: &str, tenant: Option<TenantId>) -> bool {
        (self.secluded && tenant != Some(self.tenant))
            || self.block.iter().any(|name| name == other)
            || !(self.allow.is_empty() || self.allow.iter().any(|name| name == other))
    }

    /// Sessions bound now.
    pub fn sessions(&self) -> usize {
        self.usage.sessions()
    }

    /// Takes a place for a connection or a session.
    ///
    /// # Errors
    /// The key in section `limits` of the configuration whose limit is reached.
    pub fn occupy(&self, kind: Kind) -> Result<Occupied, &'static str> {
        Occupied::take(&self.usage, &self.tenant_usage, kind)
    }

    /// Sessions that the domain, or its tenant, may have, by the limit's key.
    pub fn most_sessions(&self, limit: &str) -> usize {
        self.most(limit, Kind::Session) as usize
    }

    /// How many of a kind the domain, or its tenant, may have, by the limit's key.
    fn most(&self, limit: &str, kind: Kind) -> u32 {
        let of_tenant = limit.ends_with("_per_tenant");
        let usage = if of_tenant {
            &self.tenant_usage
        } else {
            &self.usage
        };
        usage.most(kind)
    }

    /// Other servers that all domains of the tenant may talk with at a time.
    pub fn most_peers(&self) -> u32 {
        self.tenant_usage.most(Kind::Peer)
    }

    /// A connection is one of the domain's from the first header on that names it; `place` is where it keeps that.
    ///
    /// # Errors
    /// What the stream is closed with.
    pub fn take_place(
        &self,
        place: &Mutex<Option<Occupied>>,
        metrics: &Metrics,
    ) -> Result<(), StreamError> {
        let mut place = place.lock();
        if place.as_ref().is_some_and(|place| place.is_of(&self.usage)) {
            return Ok(());
        }
        // What was another's is given back first.
        *place = None;
        let taken = self.occupy(Kind::Connection).map_err(|limit| {
            metrics.limit(limit);
            let most = self.most(limit, Kind::Connection);
            let whose = match limit {
                "connections_per_domain" => "this domain",
                _ => "the domains of this one's owner",
            };
            StreamError::new(StreamCondition::ResourceConstraint).with_text(format!(
                "at most {most} connections to {whose} at a time, and as many there are; try again later"
            ))
        })?;
        *place = Some(taken);
        Ok(())
    }

    /// Takes some stanzas of the domain and its tenant, and counts them: when whoever sent them may go on if there were too many, and the
    /// key of the limit.
    pub fn pace(&self, stanzas: u32, now: Instant) -> Option<(Instant, &'static str)> {
        self.usage.count_stanzas(stanzas);
        let domain = self.usage.pace(stanzas, now);
        let tenant = self.tenant_usage.pace(stanzas, now);
        match (domain, tenant) {
            (Some(domain), tenant) if Some(domain) >= tenant => {
                Some((domain, "stanzas_per_domain_and_second"))
            }
            (_, tenant) => Some((tenant?, "stanzas_per_tenant_and_second")),
        }
    }
}

/// What is known of a tenant.
#[derive(Debug)]
struct Tenant {
    usage: Arc<Usage>,
    quota: Arc<Quota>,
    /// Of the suspension ladder.
    step: Mutex<Option<Step>>,
}

/// What became of a domain when it was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// Served, as before or from now on.
    Served,
    /// Not served for now.
    Suspended,
    /// Not ours any more.
    Gone,
}

/// The domains hosted here.
pub struct Tenancy {
    store: Store,
    /// The platform's zone: `LABEL.zone` is a domain's SRV target (VHOST-09).
    zone: Option<DomainName>,
    domains: DashMap<DomainName, Arc<Domain>, ahash::RandomState>,
    /// Services of domains that somebody has asked for since the domain was read.
    services: DashMap<DomainName, Arc<Domain>, ahash::RandomState>,
    labels: DashMap<String, DomainName, ahash::RandomState>,
    /// Names of the rows, for what knows a domain by that.
    ids: DashMap<DomainId, DomainName, ahash::RandomState>,
    tenants: DashMap<TenantId, Arc<Tenant>, ahash::RandomState>,
    defaults: Defaults,
}

impl Tenancy {
    /// Reads every hosted domain.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load(
        store: Store,
        zone: Option<DomainName>,
        defaults: Defaults,
    ) -> Result<Arc<Self>, StoreError> {
        let tenancy = Self {
            store,
            zone,
            domains: DashMap::default(),
            services: DashMap::default(),
            labels: DashMap::default(),
            ids: DashMap::default(),
            tenants: DashMap::default(),
            defaults,
        };
        let mut after = TenantId(0);
        loop {
            let rows = tenancy.store.tenant_list(after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows {
                tenancy.put_tenant(row.id, &row.plan_limits, &row.limits, &row.step);
            }
        }
        let mut after = DomainId(0);
        loop {
            let rows = tenancy.store.domain_list(None, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows.into_iter().filter(|row| row.verified_at.is_some()) {
                tenancy.put(row);
            }
        }
        Ok(Arc::new(tenancy))
    }

    /// The domain of this name (canonical form), served or not, or the service of a domain.
    pub fn get(&self, name: &str) -> Option<Arc<Domain>> {
        let domain = self.domains.get(name).map(|entry| entry.clone());
        domain.or_else(|| self.service(name))
    }

    /// The domain of this row, served or not.
    pub fn of_id(&self, id: DomainId) -> Option<Arc<Domain>> {
        let name = self.ids.get(&id).map(|name| name.clone())?;
        let domain = self.domains.get(&name).map(|entry| entry.clone());
        // The name may be another customer's by now.
        domain.filter(|domain| domain.id == id)
    }

    /// As [`Tenancy::get`], for whoever looks at names that nobody has asked for: what a service is made of is not kept.
    pub fn look(&self, name: &str) -> Option<Arc<Domain>> {
        let domain = self.domains.get(name).map(|entry| entry.clone());
        domain.or_else(|| {
            let (parent, _) = self.parent(name)?;
            let made = self.services.get(name).map(|made| made.clone());
            made.or_else(|| Self::made(&parent, name))
        })
    }

    /// Whether the name is ours; such a name never leaves the process (ROUTE-08).
    pub fn hosts(&self, name: &str) -> bool {
        let service = || {
            let (parent, label) = self.parent(name)?;
            let known = self.services.contains_key(name);
            (known || is_service(&parent, label) && DomainName::parse(name).is_ok()).then_some(())
        };
        self.domains.contains_key(name) || service().is_some()
    }

    /// Names of a domain's services, whether it has them on or not, and of its components.
    pub fn service_names(&self, domain: &DomainName) -> Vec<DomainName> {
        let entry = self.domains.get(domain).map(|entry| entry.clone());
        let components = entry
            .iter()
            .flat_map(|entry| &entry.hosted.settings.components);
        // A name that is too long for a label before it has no service there.
        hooks::services()
            .map(|service| service.label)
            .chain(components.map(String::as_str))
            .filter_map(|label| DomainName::parse(&format!("{label}.{domain}")).ok())
            .collect()
    }

    /// Services that somebody has asked for.
    pub fn services(&self) -> Vec<Arc<Domain>> {
        let made = self.services.iter();
        made.map(|service| service.value().clone()).collect()
    }

    /// The domain whose service a name may be, and the label before it.
    fn parent<'n>(&self, name: &'n str) -> Option<(Arc<Domain>, &'n str)> {
        let (label, rest) = name.split_once('.')?;
        let parent = self.domains.get(rest).map(|entry| entry.clone())?;
        Some((parent, label))
    }

    /// A service is made when it is first asked for: a domain whose services nobody uses does not pay for them.
    fn service(&self, name: &str) -> Option<Arc<Domain>> {
        let (parent, _) = self.parent(name)?;
        if let Some(made) = self.services.get(name) {
            return Some(made.clone());
        }
        let made = Self::made(&parent, name)?;
        self.services.insert(made.name().clone(), made.clone());
        // Read again meanwhile? Then what was made is of yesterday, and the next who asks makes it anew.
        let still = self
            .domains
            .get(parent.name().as_str())
            .is_some_and(|now| Arc::ptr_eq(&now, &parent));
        if !still {
            self.services.remove(made.name());
        }
        Some(made)
    }

    fn made(parent: &Domain, name: &str) -> Option<Arc<Domain>> {
        let (label, _) = name.split_once('.')?;
        let service = hooks::services_of(&parent.hosted).find(|s| s.label == label);
        if service.is_none() && !is_component(parent, label) {
            return None;
        }
        let name = DomainName::parse(name).ok()?;
        Some(Arc::new(match service {
            Some(service) => parent.as_service(service, name),
            None => parent.as_component(name),
        }))
    }

    fn forget_services(&self, domain: &DomainName) {
        for name in self.service_names(domain) {
            self.services.remove(&name);
        }
    }

    /// The rows of each of them, and how long its archives keep.
    pub fn stores(&self) -> Vec<(store::DomainStore, Option<u32>)> {
        let domains = self.domains.iter();
        domains
            .map(|domain| (domain.hosted.store.clone(), domain.archive_days))
            .collect()
    }

    /// Domains that are served and follow block lists.
    pub fn following(&self) -> Vec<Arc<Domain>> {
        let follows = |domain: &Domain| domain.served && !domain.hosted.settings.lists.is_empty();
        let domains = self.domains.iter().filter(|domain| follows(domain));
        domains.map(|domain| domain.clone()).collect()
    }

    /// The whole store, for what concerns a tenant as such.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether a name was ours and has left (VHOST-06). Unreadable is unknown.
    pub async fn departed(&self, name: &DomainName) -> bool {
        matches!(self.store.domain_departed(name).await, Ok(Some(_)))
    }

    /// Reads one domain again.
    ///
    /// # Errors
    /// The store cannot be read; the old entry stays.
    pub async fn refresh(&self, name: &DomainName) -> Result<Became, StoreError> {
        match self.store.domain_hosted(name).await? {
            Some(row) => {
                let leaving = State::parse(&row.state) == Some(State::Releasing);
                Ok(match self.put(row) {
                    true => Became::Served,
                    false if leaving => Became::Gone,
                    false => Became::Suspended,
                })
            }
            None => {
                // Its components' names are known as long as it is.
                self.forget_services(name);
                if let Some((_, old)) = self.domains.remove(name) {
                    self.labels.remove(&old.label);
                    self.ids.remove(&old.id);
                }
                self.forget_services(name);
                Ok(Became::Gone)
            }
        }
    }

    /// Reads a tenant's limits again; they hold at once for all its domains. `true`: it has come to another step of the
    /// ladder, and its domains are to be read again.
    ///
    /// # Errors
    /// The store cannot be read; the old ones stay.
    pub async fn refresh_tenant(&self, id: TenantId) -> Result<bool, StoreError> {
        Ok(match self.store.tenant_get(id).await? {
            Some(row) => self.put_tenant(id, &row.plan_limits, &row.limits, &row.step),
            None => {
                self.tenants.remove(&id);
                false
            }
        })
    }

    /// A tenant's domains.
    pub fn domains_of(&self, id: TenantId) -> Vec<DomainName> {
        let domains = self.domains.iter().filter(|domain| domain.tenant == id);
        domains.map(|domain| domain.key().clone()).collect()
    }

    /// The same for every tenant that is known.
    ///
    /// # Errors
    /// The store cannot be read; of some the old ones stay.
    pub async fn refresh_tenants(&self) -> Result<(), StoreError> {
        let known: Vec<_> = self.tenants.iter().map(|tenant| *tenant.key()).collect();
        for id in known {
            self.refresh_tenant(id).await?;
        }
        Ok(())
    }

    /// What a tenant takes of this process.
    pub fn used(&self, id: TenantId) -> LiveUsage {
        let of = |tenant: &Tenant| LiveUsage {
            connections: tenant.usage.count(Kind::Connection),
            sessions: tenant.usage.count(Kind::Session),
            peers: tenant.usage.count(Kind::Peer),
        };
        let tenant = self.tenants.get(&id);
        tenant.map(|tenant| of(&tenant)).unwrap_or_default()
    }

    /// What each tenant may keep.
    pub fn quotas(&self) -> Vec<(TenantId, Arc<Quota>)> {
        let tenants = self.tenants.iter();
        tenants
            .map(|tenant| (*tenant.key(), tenant.quota.clone()))
            .collect()
    }

    /// Limits of a tenant's own stand before its plan's, and these before the configuration's.
    fn put_tenant(&self, id: TenantId, plan: &str, own: &str, step: &str) -> bool {
        let limits = self.defaults.tenant.with(plan).with(own);
        let ceiling = Ceiling {
            connections: limits.connections,
            sessions: limits.sessions,
            stanzas_per_second: limits.stanzas_per_second,
            peers: limits.peers,
        };
        let tenant = self.tenants.entry(id).or_insert_with(|| {
            Arc::new(Tenant {
                usage: Usage::new(ceiling),
                quota: Arc::default(),
                step: Mutex::default(),
            })
        });
        tenant.usage.set(ceiling);
        let quota = &tenant.quota;
        quota.set(limits.roster_items, limits.offline_bytes);
        quota.set_kept(limits.archive_bytes, limits.upload_bytes);
        let step = Step::parse(step);
        std::mem::replace(&mut *tenant.step.lock(), step) != step
    }

    /// What is known of a tenant; the defaults hold until its row has been read.
    fn tenant(&self, id: TenantId) -> Arc<Tenant> {
        if !self.tenants.contains_key(&id) {
            self.put_tenant(id, "{}", "{}", "");
        }
        self.tenants
            .get(&id)
            .map(|tenant| tenant.clone())
            .unwrap_or_else(|| {
                Arc::new(Tenant {
                    usage: Usage::new(Ceiling::NONE),
                    quota: Arc::default(),
                    step: Mutex::default(),
                })
            })
    }

    fn put(&self, row: DomainRow) -> bool {
        let step = *self.tenant(row.tenant).step.lock();
        let served =
            State::parse(&row.state).is_some_and(State::is_served) && step < Some(Step::NoLogin);
        let settings = Settings::parse(&row, &self.defaults);
        self.labels.insert(row.label.clone(), row.name.clone());
        self.ids.insert(row.id, row.name.clone());
        let tenant = self.tenant(row.tenant);
        let usage = match self.domains.get(&row.name) {
            Some(old) if old.tenant == row.tenant => old.usage.clone(),
            _ => Usage::new(self.defaults.domain),
        };
        let domain = Domain {
            id: row.id,
            tenant: row.tenant,
            hosted: Hosted::new(
                row.name.clone(),
                self.store.domain(row.id, &row.name),
                settings.modules,
                tenant.quota.clone(),
            ),
            served,
            state: row.state,
            label: row.label,
            policy: row.policy,
            allow: row.allow,
            block: row.block,
            secluded: step >= Some(Step::NoFederation),
            plain: settings.plain,
            hashes: settings.hashes,
            pinned: settings.pinned,
            patience: settings.patience,
            resumption: settings.resumption,
            archive_days: settings.archive_days,
            client_anchors: settings.client_anchors,
            registers: settings.registers,
            flows: settings.flows,
            question: settings.question,
            user_certificates: settings.user_certificates,
            service: None,
            component: false,
            usage,
            tenant_usage: tenant.usage.clone(),
        };
        self.forget_services(&row.name);
        self.domains.insert(row.name.clone(), Arc::new(domain));
        self.forget_services(&row.name);
        served
    }
}

/// Whether a domain has a service or a component under this label.
fn is_service(parent: &Domain, label: &str) -> bool {
    hooks::services_of(&parent.hosted).any(|service| service.label == label)
        || is_component(parent, label)
}

fn is_component(parent: &Domain, label: &str) -> bool {
    let mut own = parent.hosted.settings.components.iter();
    own.any(|own| own == label)
}

/// The module without which nobody gets an account on a stream.
const REGISTER: &str = "register";

/// What of a domain's settings concerns streams and modules; the rest is control's.
struct Settings {
    plain: bool,
    hashes: Vec<Hash>,
    pinned: HashMap<DomainName, Arc<Anchors>>,
    modules: DomainSettings,
    patience: Patience,
    resumption: Option<Box<Resumption>>,
    archive_days: Option<u32>,
    client_anchors: Option<Arc<dna::Anchors>>,
    registers: bool,
    flows: bool,
    question: Option<Arc<str>>,
    user_certificates: bool,
}

impl Settings {
    fn parse(row: &DomainRow, defaults: &Defaults) -> Self {
        let json: serde_json::Value = serde_json::from_str(&row.settings).unwrap_or_default();
        let choices = control::domain::StreamChoices::of(row);
        let mut patience = defaults.patience;
        if let Some(keepalive) = choices.keepalive_seconds {
            patience.keepalive = Duration::from_secs(keepalive.into());
        }
        if let Some(ping) = choices.ping_seconds {
            patience.ping = seconds(ping);
        }
        if let Some(idle) = choices.idle_seconds {
            patience.idle = seconds(idle);
        }
        let mut resumption = defaults.resumption.clone();
        if let Some(seconds) = choices.resume_seconds {
            resumption.seconds = seconds;
        }
        let hashes = choices.hashes();
        let contacts = choices.contacts.into_iter();
        let own = choices.client_ca.filter(|pem| !pem.is_empty());
        let client_anchors = match own.map(|pem| dna::Anchors::from_pem(pem.as_bytes())) {
            None => defaults.client_anchors.clone(),
            Some(Ok(anchors)) => Some(Arc::new(anchors)),
            Some(Err(error)) => {
                // Never anybody else's in their place.
                tracing::error!(domain = %row.name, %error, "the domain's client certificate authorities cannot be read");
                None
            }
        };
        let registers = choices.joining.registration != Registration::Closed
            && !choices.modules_off.iter().any(|off| off == REGISTER);
        let joining = choices.joining;
        let mut off = choices.modules_off;
        if !registers {
            off.push(modules::FLOWS.into());
        }
        let flows = !off.iter().any(|off| off == modules::FLOWS);
        if !choices.user_certificates {
            off.push(modules::CERTIFICATES.into());
        }
        if choices.block_lists.is_empty() && choices.block_strangers.is_empty() {
            off.push(modules::SCREENING.into());
        }
        let lists = choices.block_lists.iter();
        let lists = lists.filter_map(|list| control::block_list::parse(list));
        let kept_away = choices.block_strangers.iter();
        Self {
            registers,
            flows,
            question: joining.is_open().then(|| joining.question.as_str().into()),
            plain: choices.plain,
            hashes,
            pinned: pinned(&json["pinned"]),
            modules: DomainSettings {
                off,
                services: control::domain::services(row, hooks::services().map(|s| s.label)),
                admins: choices
                    .admins
                    .iter()
                    .filter_map(|jid| BareJid::parse(jid).ok())
                    .collect(),
                user_invites: joining.user_invites,
                own_export: choices.own_export,
                components: control::component::components(row),
                grants: grants::of(row),
                contacts: contacts
                    .map(|(role, addresses)| Contact { role, addresses })
                    .collect(),
                external: choices.external,
                status: defaults.status_of(&row.name, choices.status),
                push: modules::Told::parse(choices.push.as_deref()),
                policy: DataPolicy {
                    reads_passwords: choices.plain,
                    archive_days: choices.archive_days.unwrap_or(defaults.archive_days),
                    upload_days: defaults.upload_days,
                },
                lists: lists
                    .map(|(service, node)| FollowedList { service, node })
                    .collect(),
                kept_away: kept_away.filter_map(|jid| Jid::parse(jid).ok()).collect(),
            },
            patience,
            resumption: Some(Box::new(resumption)).filter(|r| r.seconds > 0),
            archive_days: choices.archive_days,
            client_anchors,
            user_certificates: choices.user_certificates,
        }
    }
}

/// Anchors that cannot be read stay in force as none at all: the peer is then unknown, not judged by the general ones.
fn pinned(json: &serde_json::Value) -> HashMap<DomainName, Arc<Anchors>> {
    json.as_object()
        .into_iter()
        .flatten()
        .filter_map(|(peer, pem)| {
            let peer = DomainName::parse(peer).ok()?;
            let anchors = Anchors::from_pem(pem.as_str().unwrap_or_default().as_bytes());
            if let Err(error) = &anchors {
                tracing::error!(%peer, %error, "the trust anchors pinned for a peer cannot be read");
            }
            Some((peer, Arc::new(anchors.unwrap_or_default())))
        })
        .collect()
}

impl tls::Names for Tenancy {
    fn served_by(&self, name: &DomainName) -> Option<tls::ServedBy> {
        // A service is shown the certificate of its domain where that is for it too.
        let served = |name: &str| self.domains.get(name).is_some_and(|domain| domain.served);
        if served(name.as_str()) {
            return Some(tls::ServedBy::Itself(name.clone()));
        }
        let (label, rest) = name.as_str().split_once('.')?;
        if self.zone.as_ref().is_some_and(|zone| zone == rest) {
            let domain = self.labels.get(label)?.clone();
            return served(domain.as_str()).then_some(tls::ServedBy::Itself(domain));
        }
        if served(rest) {
            return Some(tls::ServedBy::Parent(DomainName::parse(rest).ok()?));
        }
        None
    }
}

#[async_trait]
impl tls::Certificates for Tenancy {
    async fn current(&self, domain: &DomainName) -> Result<Option<Material>, tls::Unavailable> {
        let Some(domain) = self.get(domain.as_str()) else {
            return Ok(None);
        };
        let found = domain
            .hosted
            .store
            .identity_current()
            .await
            .map_err(|error| tls::Unavailable(error.to_string()))?;
        let Some(identity) = found else {
            return Ok(None);
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes());
        match (chain, key) {
            (Ok(chain), Ok(key)) => Ok(Some(Material {
                chain,
                key,
                client_issuers: issuers(&domain),
            })),
            _ => {
                tracing::error!(domain = %domain.name(), "the stored certificate or key is not PEM");
                Ok(None)
            }
        }
    }
}

/// Names that clients choose their certificate by: none where anybody's will do. `None`: they are not asked for one.
fn issuers(domain: &Domain) -> Option<Vec<rustls::DistinguishedName>> {
    if domain.user_certificates {
        return Some(Vec::new());
    }
    let anchors = domain.client_anchors.as_ref()?.list();
    let name = |anchor: &TrustAnchor<'_>| rustls::DistinguishedName::in_sequence(&anchor.subject);
    Some(anchors.iter().map(name).collect())
}

impl std::fmt::Debug for Tenancy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenancy")
            .field("domains", &self.domains.len())
            .finish_non_exhaustive()
    }
}
