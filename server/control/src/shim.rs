//! Names of `store` and `dna` until both have landed.
#![allow(missing_docs, unused, clippy::all)]
use std::sync::Arc;

use async_trait::async_trait;
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::ScramVerifier;
use xmpp::timestamp::Timestamp;

macro_rules! id { ($($n:ident)*) => { $(#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)] pub struct $n(pub i64);)* } }
id!(TenantId OperatorId DomainId AccountId);

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("conflict")]
    Conflict { what: String },
    #[error("busy")]
    Busy,
}
impl StoreError {
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy)
    }
}
type R<T> = Result<T, StoreError>;

#[derive(Debug, Clone)]
pub struct TenantRow {
    pub id: TenantId,
    pub name: String,
    pub state: String,
    pub reason: String,
    pub limits: String,
    pub created: Timestamp,
}
#[derive(Debug, Clone)]
pub struct OperatorRow {
    pub id: OperatorId,
    pub login: String,
    pub password_hash: String,
    pub role: String,
    pub tenant: Option<TenantId>,
    pub created: Timestamp,
}
#[derive(Debug, Clone)]
pub struct LoginRow {
    pub id: i64,
    pub operator: OperatorId,
    pub csrf: String,
    pub agent: String,
    pub address: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}
#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: i64,
    pub operator: OperatorId,
    pub name: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}
#[derive(Debug, Clone)]
pub struct DomainRow {
    pub id: DomainId,
    pub tenant: TenantId,
    pub name: DomainName,
    pub label: String,
    pub state: String,
    pub reason: String,
    pub suspended_by: String,
    pub mode: String,
    pub token: String,
    pub verified_at: Option<Timestamp>,
    pub policy: String,
    pub allow: Vec<String>,
    pub block: Vec<String>,
    pub settings: String,
    pub look: Option<String>,
    pub checked_at: Option<Timestamp>,
    pub next_check_at: Option<Timestamp>,
    pub created: Timestamp,
}
#[derive(Debug, Clone)]
pub struct FindingRow {
    pub code: String,
    pub severity: String,
    pub subject: String,
    pub expected: String,
    pub observed: String,
    pub asked: String,
    pub fix: String,
    pub since: Timestamp,
}
#[derive(Debug, Clone)]
pub struct CertificateRow {
    pub id: i64,
    pub chain_pem: String,
    pub not_after: Timestamp,
    pub source: String,
    pub state: String,
    pub key_since: Timestamp,
}
#[derive(Debug, Clone)]
pub struct OrderRow {
    pub url: String,
    pub key_pem: String,
    pub csr_der: Vec<u8>,
}
#[derive(Debug, Clone)]
pub struct AccountRow {
    pub local: String,
    pub state: String,
    pub created: Timestamp,
}
#[derive(Debug, Clone)]
pub struct PeerRow {
    pub peer: String,
    pub attempts: String,
    pub updated: Timestamp,
}
#[derive(Debug, Clone)]
pub struct AuditRow {
    pub id: i64,
    pub at: Timestamp,
    pub actor: String,
    pub role: String,
    pub operation: String,
    pub object: String,
    pub detail: String,
}

#[derive(Default)]
struct Tables {
    id: i64,
    tenants: Vec<TenantRow>,
    operators: Vec<OperatorRow>,
    logins: Vec<(Vec<u8>, LoginRow)>,
    tokens: Vec<(Vec<u8>, TokenRow)>,
    domains: Vec<(DomainRow, Option<(String, Timestamp)>)>,
    findings: Vec<(DomainId, FindingRow)>,
    certificates: Vec<(DomainId, String, CertificateRow)>,
    orders: Vec<(DomainId, OrderRow)>,
    accounts: Vec<(DomainId, AccountRow)>,
    peers: Vec<(DomainId, PeerRow)>,
    audit: Vec<(Option<TenantId>, AuditRow)>,
}
impl Tables {
    fn id(&mut self) -> i64 {
        self.id += 1;
        self.id
    }
}
#[derive(Clone, Default)]
pub struct Store(Arc<std::sync::Mutex<Tables>>);
impl Store {
    fn t(&self) -> std::sync::MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }
    pub fn tenant(&self, id: TenantId) -> TenantStore {
        TenantStore(self.clone(), id)
    }
    pub fn domain(&self, id: DomainId) -> DomainStore {
        DomainStore(self.clone(), id)
    }
    pub async fn tenant_add(&self, name: &str, limits: &str, now: Timestamp) -> R<TenantId> {
        let mut t = self.t();
        let id = TenantId(t.id());
        t.tenants.push(TenantRow {
            id,
            name: name.into(),
            state: "active".into(),
            reason: String::new(),
            limits: limits.into(),
            created: now,
        });
        Ok(id)
    }
    pub async fn tenant_get(&self, id: TenantId) -> R<Option<TenantRow>> {
        Ok(self.t().tenants.iter().find(|r| r.id == id).cloned())
    }
    pub async fn tenants_list(&self) -> R<Vec<TenantRow>> {
        Ok(self.t().tenants.clone())
    }
    pub async fn tenant_state_set(&self, id: TenantId, state: &str, reason: &str) -> R<()> {
        for r in self.t().tenants.iter_mut().filter(|r| r.id == id) {
            r.state = state.into();
            r.reason = reason.into();
        }
        Ok(())
    }
    pub async fn tenant_limits_set(&self, id: TenantId, limits: &str) -> R<()> {
        for r in self.t().tenants.iter_mut().filter(|r| r.id == id) {
            r.limits = limits.into();
        }
        Ok(())
    }
    pub async fn tenant_remove(&self, id: TenantId) -> R<()> {
        let mut t = self.t();
        t.tenants.retain(|r| r.id != id);
        t.operators.retain(|r| r.tenant != Some(id));
        t.domains.retain(|r| r.0.tenant != id);
        t.audit.retain(|r| r.0 != Some(id));
        Ok(())
    }
    pub async fn operators_list(&self, tenant: Option<TenantId>) -> R<Vec<OperatorRow>> {
        Ok(self
            .t()
            .operators
            .iter()
            .filter(|r| r.tenant == tenant)
            .cloned()
            .collect())
    }
    pub async fn operator_find(&self, login: &str) -> R<Option<OperatorRow>> {
        Ok(self
            .t()
            .operators
            .iter()
            .find(|r| r.login == login)
            .cloned())
    }
    pub async fn operator_get(&self, id: OperatorId) -> R<Option<OperatorRow>> {
        Ok(self.t().operators.iter().find(|r| r.id == id).cloned())
    }
    pub async fn operator_add(
        &self,
        tenant: Option<TenantId>,
        login: &str,
        hash: &str,
        role: &str,
        now: Timestamp,
    ) -> R<OperatorId> {
        let mut t = self.t();
        if t.operators.iter().any(|r| r.login == login) {
            return Err(StoreError::Conflict { what: login.into() });
        }
        let id = OperatorId(t.id());
        t.operators.push(OperatorRow {
            id,
            login: login.into(),
            password_hash: hash.into(),
            role: role.into(),
            tenant,
            created: now,
        });
        Ok(id)
    }
    pub async fn operator_password_set(&self, id: OperatorId, hash: &str) -> R<()> {
        for r in self.t().operators.iter_mut().filter(|r| r.id == id) {
            r.password_hash = hash.into();
        }
        Ok(())
    }
    pub async fn operator_remove(&self, id: OperatorId) -> R<()> {
        let mut t = self.t();
        t.operators.retain(|r| r.id != id);
        t.logins.retain(|r| r.1.operator != id);
        t.tokens.retain(|r| r.1.operator != id);
        Ok(())
    }
    pub async fn login_add(
        &self,
        operator: OperatorId,
        hash: &[u8],
        csrf: &str,
        agent: &str,
        address: &str,
        now: Timestamp,
        expires: Timestamp,
    ) -> R<i64> {
        let mut t = self.t();
        let id = t.id();
        t.logins.push((
            hash.into(),
            LoginRow {
                id,
                operator,
                csrf: csrf.into(),
                agent: agent.into(),
                address: address.into(),
                created: now,
                expires,
            },
        ));
        Ok(id)
    }
    pub async fn login_find(&self, hash: &[u8], now: Timestamp) -> R<Option<LoginRow>> {
        Ok(self
            .t()
            .logins
            .iter()
            .find(|r| r.0 == hash && r.1.expires > now)
            .map(|r| r.1.clone()))
    }
    pub async fn logins_list(&self, operator: OperatorId, now: Timestamp) -> R<Vec<LoginRow>> {
        Ok(self
            .t()
            .logins
            .iter()
            .filter(|r| r.1.operator == operator && r.1.expires > now)
            .map(|r| r.1.clone())
            .collect())
    }
    pub async fn login_remove(&self, operator: OperatorId, id: i64) -> R<bool> {
        let mut t = self.t();
        let n = t.logins.len();
        t.logins
            .retain(|r| !(r.1.operator == operator && r.1.id == id));
        Ok(t.logins.len() < n)
    }
    pub async fn logins_remove_all(&self, operator: OperatorId) -> R<()> {
        self.t().logins.retain(|r| r.1.operator != operator);
        Ok(())
    }
    pub async fn token_add(
        &self,
        operator: OperatorId,
        name: &str,
        hash: &[u8],
        now: Timestamp,
        expires: Timestamp,
    ) -> R<i64> {
        let mut t = self.t();
        let id = t.id();
        t.tokens.push((
            hash.into(),
            TokenRow {
                id,
                operator,
                name: name.into(),
                created: now,
                expires,
            },
        ));
        Ok(id)
    }
    pub async fn token_find(&self, hash: &[u8], now: Timestamp) -> R<Option<TokenRow>> {
        Ok(self
            .t()
            .tokens
            .iter()
            .find(|r| r.0 == hash && r.1.expires > now)
            .map(|r| r.1.clone()))
    }
    pub async fn tokens_list(&self, operator: OperatorId, now: Timestamp) -> R<Vec<TokenRow>> {
        Ok(self
            .t()
            .tokens
            .iter()
            .filter(|r| r.1.operator == operator && r.1.expires > now)
            .map(|r| r.1.clone())
            .collect())
    }
    pub async fn token_remove(&self, operator: OperatorId, id: i64) -> R<bool> {
        let mut t = self.t();
        let n = t.tokens.len();
        t.tokens
            .retain(|r| !(r.1.operator == operator && r.1.id == id));
        Ok(t.tokens.len() < n)
    }
    pub async fn domain_find(&self, name: &DomainName) -> R<Option<DomainRow>> {
        Ok(self
            .t()
            .domains
            .iter()
            .find(|r| r.0.name == *name)
            .map(|r| r.0.clone()))
    }
    pub async fn domain_get(&self, id: DomainId) -> R<Option<DomainRow>> {
        Ok(self
            .t()
            .domains
            .iter()
            .find(|r| r.0.id == id)
            .map(|r| r.0.clone()))
    }
    pub async fn domains_list(&self) -> R<Vec<DomainRow>> {
        Ok(self.t().domains.iter().map(|r| r.0.clone()).collect())
    }
    pub async fn domains_claim(
        &self,
        now: Timestamp,
        owner: &str,
        until: Timestamp,
        limit: usize,
    ) -> R<Vec<DomainRow>> {
        let mut t = self.t();
        let mut out = vec![];
        for (row, lease) in &mut t.domains {
            if out.len() < limit
                && row.next_check_at.is_some_and(|at| at <= now)
                && lease.as_ref().is_none_or(|l| l.1 < now)
            {
                *lease = Some((owner.into(), until));
                out.push(row.clone());
            }
        }
        Ok(out)
    }
    pub async fn domain_lease_end(
        &self,
        id: DomainId,
        owner: &str,
        was: Option<Timestamp>,
        next: Option<Timestamp>,
    ) -> R<()> {
        for (row, lease) in self.t().domains.iter_mut().filter(|r| r.0.id == id) {
            if lease.as_ref().is_some_and(|l| l.0 == owner) {
                *lease = None;
                let _ = was;
                row.next_check_at = next;
            }
        }
        Ok(())
    }
    pub async fn domain_remove(&self, id: DomainId, now: Timestamp) -> R<()> {
        let _ = now;
        let mut t = self.t();
        t.domains.retain(|r| r.0.id != id);
        t.findings.retain(|r| r.0 != id);
        t.certificates.retain(|r| r.0 != id);
        t.orders.retain(|r| r.0 != id);
        t.accounts.retain(|r| r.0 != id);
        t.peers.retain(|r| r.0 != id);
        Ok(())
    }
    pub async fn audit_add(
        &self,
        tenant: Option<TenantId>,
        at: Timestamp,
        actor: &str,
        role: &str,
        operation: &str,
        object: &str,
        detail: &str,
    ) -> R<()> {
        let mut t = self.t();
        let id = t.id();
        t.audit.push((
            tenant,
            AuditRow {
                id,
                at,
                actor: actor.into(),
                role: role.into(),
                operation: operation.into(),
                object: object.into(),
                detail: detail.into(),
            },
        ));
        Ok(())
    }
    pub async fn audit_list(
        &self,
        tenant: Option<TenantId>,
        before: Option<i64>,
        limit: usize,
    ) -> R<Vec<AuditRow>> {
        Ok(self
            .t()
            .audit
            .iter()
            .rev()
            .filter(|r| tenant.is_none() || r.0 == tenant)
            .map(|r| r.1.clone())
            .filter(|r| before.is_none_or(|b| r.id < b))
            .take(limit)
            .collect())
    }
}
pub struct TenantStore(Store, TenantId);
impl TenantStore {
    pub async fn domains_list(&self) -> R<Vec<DomainRow>> {
        Ok(self
            .0
            .t()
            .domains
            .iter()
            .filter(|r| r.0.tenant == self.1)
            .map(|r| r.0.clone())
            .collect())
    }
    pub async fn account_count(&self) -> R<u64> {
        let t = self.0.t();
        Ok(t.accounts
            .iter()
            .filter(|a| {
                t.domains
                    .iter()
                    .any(|d| d.0.id == a.0 && d.0.tenant == self.1)
            })
            .count() as u64)
    }
    pub async fn domain_add(
        &self,
        name: &DomainName,
        label: &str,
        token: &str,
        policy: &str,
        mode: &str,
        now: Timestamp,
    ) -> R<DomainRow> {
        let mut t = self.0.t();
        if t.domains.iter().any(|r| r.0.name == *name) {
            return Err(StoreError::Conflict {
                what: name.to_string(),
            });
        }
        let row = DomainRow {
            id: DomainId(t.id()),
            tenant: self.1,
            name: name.clone(),
            label: label.into(),
            state: "claimed".into(),
            reason: String::new(),
            suspended_by: String::new(),
            mode: mode.into(),
            token: token.into(),
            verified_at: None,
            policy: policy.into(),
            allow: vec![],
            block: vec![],
            settings: "{}".into(),
            look: None,
            checked_at: None,
            next_check_at: Some(now),
            created: now,
        };
        t.domains.push((row.clone(), None));
        Ok(row)
    }
}
pub struct DomainStore(Store, DomainId);
impl DomainStore {
    fn set(&self, f: impl Fn(&mut DomainRow)) {
        for r in self.0.t().domains.iter_mut().filter(|r| r.0.id == self.1) {
            f(&mut r.0);
        }
    }
    pub async fn settings_set(
        &self,
        policy: &str,
        mode: &str,
        allow: &[String],
        block: &[String],
        settings: &str,
    ) -> R<()> {
        self.set(|r| {
            r.policy = policy.into();
            r.mode = mode.into();
            r.allow = allow.into();
            r.block = block.into();
            r.settings = settings.into();
        });
        Ok(())
    }
    pub async fn state_set(&self, state: &str, by: &str, reason: &str) -> R<()> {
        self.set(|r| {
            r.state = state.into();
            r.suspended_by = by.into();
            r.reason = reason.into();
        });
        Ok(())
    }
    pub async fn verified_set(&self, at: Timestamp) -> R<()> {
        self.set(|r| r.verified_at = Some(at));
        Ok(())
    }
    pub async fn next_check_set(&self, at: Option<Timestamp>) -> R<()> {
        self.set(|r| r.next_check_at = at);
        Ok(())
    }
    pub async fn look_set(
        &self,
        look: &str,
        rows: &[FindingRow],
        checked: Timestamp,
        next: Option<Timestamp>,
    ) -> R<()> {
        self.set(|r| {
            r.look = Some(look.into());
            r.checked_at = Some(checked);
            r.next_check_at = next;
        });
        let mut t = self.0.t();
        t.findings.retain(|r| r.0 != self.1);
        for row in rows {
            t.findings.push((self.1, row.clone()));
        }
        Ok(())
    }
    pub async fn memory_set(&self, look: &str) -> R<()> {
        self.set(|r| r.look = Some(look.into()));
        Ok(())
    }
    pub async fn findings_list(&self) -> R<Vec<FindingRow>> {
        Ok(self
            .0
            .t()
            .findings
            .iter()
            .filter(|r| r.0 == self.1)
            .map(|r| r.1.clone())
            .collect())
    }
    pub async fn certificates_list(&self) -> R<Vec<CertificateRow>> {
        Ok(self
            .0
            .t()
            .certificates
            .iter()
            .filter(|r| r.0 == self.1)
            .map(|r| r.2.clone())
            .collect())
    }
    pub async fn certificate_key(&self, id: i64) -> R<Option<String>> {
        Ok(self
            .0
            .t()
            .certificates
            .iter()
            .find(|r| r.0 == self.1 && r.2.id == id)
            .map(|r| r.1.clone()))
    }
    pub async fn certificate_install(
        &self,
        chain: &str,
        key: &str,
        not_after: Timestamp,
        source: &str,
        key_since: Timestamp,
        now: Timestamp,
    ) -> R<()> {
        let _ = now;
        let mut t = self.0.t();
        for r in t.certificates.iter_mut().filter(|r| r.0 == self.1) {
            r.2.state = "retired".into();
        }
        let id = t.id();
        t.certificates.push((
            self.1,
            key.into(),
            CertificateRow {
                id,
                chain_pem: chain.into(),
                not_after,
                source: source.into(),
                state: "current".into(),
                key_since,
            },
        ));
        Ok(())
    }
    pub async fn order_find(&self) -> R<Option<OrderRow>> {
        Ok(self
            .0
            .t()
            .orders
            .iter()
            .find(|r| r.0 == self.1)
            .map(|r| r.1.clone()))
    }
    pub async fn order_set(&self, url: &str, key: &str, csr: &[u8], now: Timestamp) -> R<()> {
        let _ = now;
        let mut t = self.0.t();
        t.orders.retain(|r| r.0 != self.1);
        t.orders.push((
            self.1,
            OrderRow {
                url: url.into(),
                key_pem: key.into(),
                csr_der: csr.into(),
            },
        ));
        Ok(())
    }
    pub async fn order_clear(&self) -> R<()> {
        self.0.t().orders.retain(|r| r.0 != self.1);
        Ok(())
    }
    pub async fn account_list(&self, after: &str, limit: usize) -> R<Vec<AccountRow>> {
        let mut rows: Vec<_> = self
            .0
            .t()
            .accounts
            .iter()
            .filter(|r| r.0 == self.1 && r.1.local.as_str() > after)
            .map(|r| r.1.clone())
            .collect();
        rows.sort_by(|a, b| a.local.cmp(&b.local));
        rows.truncate(limit);
        Ok(rows)
    }
    pub async fn account_count(&self) -> R<u64> {
        Ok(self.0.t().accounts.iter().filter(|r| r.0 == self.1).count() as u64)
    }
    pub async fn account_find(&self, local: &str) -> R<Option<AccountRow>> {
        Ok(self
            .0
            .t()
            .accounts
            .iter()
            .find(|r| r.0 == self.1 && r.1.local == local)
            .map(|r| r.1.clone()))
    }
    pub async fn account_add(
        &self,
        local: &str,
        verifiers: &[ScramVerifier],
        now: Timestamp,
    ) -> R<AccountId> {
        let _ = verifiers;
        let mut t = self.0.t();
        if t.accounts
            .iter()
            .any(|r| r.0 == self.1 && r.1.local == local)
        {
            return Err(StoreError::Conflict { what: local.into() });
        }
        let id = AccountId(t.id());
        t.accounts.push((
            self.1,
            AccountRow {
                local: local.into(),
                state: "active".into(),
                created: now,
            },
        ));
        Ok(id)
    }
    pub async fn credentials_set(&self, local: &str, verifiers: &[ScramVerifier]) -> R<()> {
        let _ = (local, verifiers);
        Ok(())
    }
    pub async fn account_state_set(&self, local: &str, state: &str) -> R<()> {
        for r in self
            .0
            .t()
            .accounts
            .iter_mut()
            .filter(|r| r.0 == self.1 && r.1.local == local)
        {
            r.1.state = state.into();
        }
        Ok(())
    }
    pub async fn account_remove(&self, local: &str) -> R<()> {
        self.0
            .t()
            .accounts
            .retain(|r| !(r.0 == self.1 && r.1.local == local));
        Ok(())
    }
    pub async fn peer_list(&self) -> R<Vec<PeerRow>> {
        Ok(self
            .0
            .t()
            .peers
            .iter()
            .filter(|r| r.0 == self.1)
            .map(|r| r.1.clone())
            .collect())
    }
    pub async fn peer_find(&self, peer: &str) -> R<Option<PeerRow>> {
        Ok(self
            .0
            .t()
            .peers
            .iter()
            .find(|r| r.0 == self.1 && r.1.peer == peer)
            .map(|r| r.1.clone()))
    }
}

// --- dna ---

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordType {
    A,
    Aaaa,
    Srv,
    Txt,
    Cname,
    Ns,
    Caa,
    Tlsa,
    Soa,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    A(std::net::Ipv4Addr),
    Aaaa(std::net::Ipv6Addr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Txt(String),
    Cname(String),
    Ns(String),
    Caa {
        flags: u8,
        tag: String,
        value: String,
    },
    Tlsa {
        usage: u8,
        selector: u8,
        matching: u8,
        data: Vec<u8>,
    },
    Soa {
        mname: String,
    },
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub ttl_seconds: u32,
    pub data: RecordData,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Found(Vec<Record>),
    NoRecords { nxdomain: bool },
    Failed(String),
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Secure,
    Insecure,
    Bogus,
    Unknown,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub security: Security,
    pub ttl_seconds: u32,
    pub asked: String,
    pub aliases: Vec<String>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAnswer {
    pub server: String,
    pub answer: Answer,
}
#[async_trait]
pub trait Lookup: Send + Sync {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer;
    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer>;
}
