//! Names of `store` and `dna` until both have landed.
#![allow(missing_docs, unused, clippy::unused_async)]
use std::sync::Arc;

use async_trait::async_trait;
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::ScramVerifier;
use xmpp::timestamp::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantId(pub i64);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperatorId(pub i64);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DomainId(pub i64);
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("conflict")]
    Conflict,
    #[error("busy")]
    Busy,
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
    pub next_check: Option<Timestamp>,
}
#[derive(Debug, Clone)]
pub struct CertificateRow {
    pub id: i64,
    pub chain_pem: String,
    pub not_after: Timestamp,
    pub source: String,
    pub state: String,
    pub created: Timestamp,
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

pub struct Store;

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
