//! What the DNS said, and the door to ask it.
//!
//! Why here: judging must know how surely an answer is true, so the answer carries it. Gathering is apart: the live server
//! implements [`Lookup`] over a real resolver, tests over a table. Refuses: a bool for security; it has four values
//! (RFC 4033 5), and only one of them lets an answer prove anything.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;

/// An alias chain ends after this many: resolvers follow about as many (BIND eleven, Unbound twelve).
pub const ALIASES: usize = 12;

/// Record types that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Service location (RFC 2782).
    Srv,
    /// Text.
    Txt,
    /// Alias.
    Cname,
    /// Name server.
    Ns,
    /// Who may issue certificates (RFC 8659).
    Caa,
    /// Certificate association (RFC 6698).
    Tlsa,
    /// Start of authority.
    Soa,
}

impl RecordType {
    /// As in zone files.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Caa => "CAA",
            Self::Tlsa => "TLSA",
            Self::Soa => "SOA",
        }
    }
}

/// What a record says. Names are A-labels in lower case, without a final dot; the root is `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Service location.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port.
        port: u16,
        /// Host; `.`: not offered.
        target: String,
    },
    /// Text, its strings joined.
    Txt(String),
    /// Alias of this name.
    Cname(String),
    /// Name server.
    Ns(String),
    /// Who may issue certificates.
    Caa {
        /// 128: critical.
        flags: u8,
        /// `issue`, `issuewild`, `iodef`, …
        tag: String,
        /// Value.
        value: String,
    },
    /// Certificate association.
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// Selector.
        selector: u8,
        /// Matching type.
        matching: u8,
        /// Association data.
        data: Vec<u8>,
    },
    /// Start of authority.
    Soa {
        /// Primary server.
        mname: String,
    },
}

impl RecordData {
    /// The address of an A or AAAA record.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::A(address) => Some((*address).into()),
            Self::Aaaa(address) => Some((*address).into()),
            _ => None,
        }
    }
}

/// One record of the type asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Owner: the end of the alias chain, if there was one.
    pub name: String,
    /// Seconds it may be believed.
    pub ttl_seconds: u32,
    /// What it says.
    pub data: RecordData,
}

/// How surely an answer is what the zone's owner published (RFC 4033 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Security {
    /// Signed all the way from the trust anchor, every alias included.
    Secure,
    /// Provably not signed.
    Insecure,
    /// Should be signed and is not, or wrongly: somebody lies or a zone is broken. Never use the answer.
    Bogus,
    /// Nobody could tell, for example because no answer came.
    Unknown,
}

impl Security {
    /// The weaker of two: what a conclusion from both is worth.
    pub fn and(self, other: Self) -> Self {
        let rank = |security| match security {
            Self::Secure => 3,
            Self::Insecure => 2,
            Self::Unknown => 1,
            Self::Bogus => 0,
        };
        if rank(self) <= rank(other) {
            self
        } else {
            other
        }
    }

    /// For logs, JSON and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Bogus => "bogus",
            Self::Unknown => "unknown",
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// At least one record of the type asked for.
    Found(Vec<Record>),
    /// None of that type.
    NoRecords {
        /// The name does not exist at all.
        nxdomain: bool,
    },
    /// No usable answer; why, for people.
    Failed(String),
}

/// An answer, with how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What came back.
    pub outcome: Outcome,
    /// How surely; over the whole alias chain.
    pub security: Security,
    /// Seconds the whole answer may be believed, negative ones too (DANE-41).
    pub ttl_seconds: u32,
    /// Who was asked.
    pub asked: String,
    /// Names the aliases led through, the name asked for left out.
    pub aliases: Vec<String>,
}

impl Answer {
    /// No answer could be had.
    pub fn failed(why: impl Into<String>, asked: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed(why.into()),
            security: Security::Unknown,
            ttl_seconds: 0,
            asked: asked.into(),
            aliases: Vec::new(),
        }
    }

    /// The records; empty when there are none, for whatever reason.
    pub fn records(&self) -> &[Record] {
        match &self.outcome {
            Outcome::Found(records) => records,
            _ => &[],
        }
    }

    /// Did the aliases of `name`, which was asked for, lead in a circle, or through too many to follow? Then there is nothing at
    /// its end for anybody, however the servers put it: some deny, some fail.
    pub fn is_lost(&self, name: &str) -> bool {
        if !self.records().is_empty() {
            return false;
        }
        let mut passed = HashSet::from([name.trim_end_matches('.').to_ascii_lowercase()]);
        self.aliases.len() >= ALIASES
            || self
                .aliases
                .iter()
                .any(|alias| !passed.insert(alias.clone()))
    }

    /// The addresses among the records.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.records()
            .iter()
            .filter_map(|record| record.data.address())
    }
}

/// The answer of one authoritative server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAnswer {
    /// Name and address of the server.
    pub server: String,
    /// What it said.
    pub answer: Answer,
}

/// Asks the DNS. Names are absolute, A-labels, with or without a final dot.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// Through the validating resolver. Always answers, within the implementation's time limit.
    async fn query(&self, name: &str, rtype: RecordType) -> Answer;

    /// Each authoritative server of the name's zone itself, without any cache between.
    async fn query_authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_in_a_circle_or_too_many_lead_nowhere() {
        let lost = |aliases: &[&str]| {
            let mut answer = Answer::failed("SERVFAIL", "resolver");
            answer.aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
            answer.is_lost("A.example.")
        };
        assert!(!lost(&[]) && !lost(&["b.example", "c.example"]));
        assert!(lost(&["a.example"]) && lost(&["b.example", "a.example"]));
        assert!(lost(&["b.example", "c.example", "b.example"]));
        let chain: Vec<String> = (0..ALIASES).map(|at| format!("{at}.example")).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        assert!(lost(&chain) && !lost(&chain[1..]));
        let mut found = Answer::failed("", "");
        found.outcome = Outcome::Found(vec![Record {
            name: "a.example".into(),
            ttl_seconds: 1,
            data: RecordData::Txt("here".into()),
        }]);
        found.aliases = vec!["a.example".into()];
        assert!(!found.is_lost("a.example"), "what was found was found");
    }

    #[test]
    fn the_weaker_security_wins() {
        use Security::{Bogus, Insecure, Secure, Unknown};
        for (one, other, both) in [
            (Secure, Secure, Secure),
            (Secure, Insecure, Insecure),
            (Insecure, Unknown, Unknown),
            (Unknown, Bogus, Bogus),
            (Secure, Bogus, Bogus),
        ] {
            assert_eq!(one.and(other), both);
            assert_eq!(other.and(one), both);
        }
    }
}
