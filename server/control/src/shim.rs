//! Names of `dna` until it has landed.
#![allow(missing_docs)]
use async_trait::async_trait;

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
