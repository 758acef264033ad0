//! Who would believe what was met, by the judge of the real streams, and what there is to say about it.
//!
//! A place that fails is a warning as long as another one works; without any it is critical. What could not be asked is
//! `unknown` and counts against nobody.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use dna::{
    Anchors, Claim, Evidence, Policy, PolicyLevel, PresentedChain, Prooftype, Role, Service,
    Verdict, dane, dialback, posh,
};
use serde::Serialize;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::{Eyes, Report, ServiceReport, TargetReport, Visit, Website, codes};

/// How good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Worth knowing.
    Info,
    /// Could not be asked.
    Unknown,
    /// Hurts some, or will.
    Warning,
    /// People are stopped by it.
    Critical,
}

/// One thing to know or to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable ([`super::CODES`]).
    pub code: &'static str,
    /// How bad.
    pub grade: Grade,
    /// `client`, `server` or `website`.
    pub about: &'static str,
    /// What it is about: a name, a place, an address.
    pub subject: String,
    /// What was seen.
    pub observed: String,
    /// What to do, one sentence; empty when there is nothing.
    pub fix: String,
}

/// Does a prooftype hold?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// Yes.
    Yes,
    /// There is something of its kind, and it does not hold.
    No,
    /// There is nothing of its kind.
    Absent,
    /// Could not be asked.
    Unknown,
}

/// What one prooftype makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProofVerdict {
    /// `pkix`, `dane`, `posh`, `dialback`.
    pub prooftype: &'static str,
    /// Does it hold?
    pub holds: Holds,
    /// Code of the refusal; empty when it holds.
    pub code: &'static str,
    /// What matched, or why not.
    pub text: String,
}

impl ProofVerdict {
    fn new(by: Prooftype, holds: Holds, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            prooftype: by.name(),
            holds,
            code,
            text: text.into(),
        }
    }
}

const PROOFTYPES: [Prooftype; 4] = [
    Prooftype::Pkix,
    Prooftype::Dane,
    Prooftype::Posh,
    Prooftype::Dialback,
];

/// Judges every visit, and says for each prooftype what the best place achieves.
pub(super) fn judge(
    domain: &DomainName,
    service: Service,
    targets: &mut [TargetReport],
    posh: &posh::Evidence,
    eyes: &Eyes,
    now: Timestamp,
) -> Vec<ProofVerdict> {
    for target in targets.iter_mut() {
        let TargetReport { place, visits } = target;
        for visit in visits.iter_mut().filter(|visit| !visit.der.is_empty()) {
            let case = Case {
                claim: Claim {
                    local: domain.clone(),
                    remote: domain.clone(),
                    role: Role::Initiator,
                    service,
                },
                base: Evidence {
                    tls: true,
                    chain: PresentedChain::new(&visit.der, None),
                    target: Some(place.target.clone()),
                    ..Evidence::none(eyes.anchors.clone())
                },
                now,
            };
            visit.verdicts = vec![case.pkix(), case.dane(&place.association), case.posh(posh)];
            if service == Service::Server {
                let verdict = case.dialback(visit.offered.dialback, &visit.address.to_string());
                visit.verdicts.push(verdict);
            }
        }
    }
    let all: Vec<_> = targets
        .iter()
        .flat_map(|target| &target.visits)
        .flat_map(|visit| &visit.verdicts)
        .collect();
    PROOFTYPES
        .iter()
        .filter_map(|by| {
            let of: Vec<_> = all
                .iter()
                .filter(|verdict| verdict.prooftype == by.name())
                .collect();
            let best = [Holds::Yes, Holds::No, Holds::Unknown, Holds::Absent];
            let best = best
                .iter()
                .find_map(|holds| of.iter().find(|verdict| verdict.holds == *holds))?;
            let yes = of.iter().filter(|v| v.holds == Holds::Yes).count();
            let mut best = ProofVerdict::clone(best);
            if yes > 0 && yes < of.len() {
                best.text = format!("{} (at {yes} of {} addresses)", best.text, of.len());
            }
            Some(best)
        })
        .collect()
}

struct Case {
    claim: Claim,
    base: Evidence,
    now: Timestamp,
}

impl Case {
    fn judged(&self, evidence: &Evidence, level: PolicyLevel) -> Verdict {
        let policy = Policy {
            level,
            ..Policy::default()
        };
        dna::judge(&self.claim, evidence, &policy, self.now)
    }

    /// What one prooftype said in a verdict; `absent` when it was silent.
    fn of(verdict: &Verdict, by: Prooftype, absent: &str) -> ProofVerdict {
        if let Some(proven) = verdict.proven().filter(|proven| proven.by() == by) {
            return ProofVerdict::new(by, Holds::Yes, "", proven.identifier());
        }
        let refusal = verdict.refusals().iter().find(|r| r.by == Some(by));
        match refusal {
            Some(refusal) => {
                let holds = match refusal.code {
                    "posh-not-published" => Holds::Absent,
                    "tlsa-unknown" | "posh-no-address" | "posh-unreachable" | "posh-timeout"
                    | "posh-busy" => Holds::Unknown,
                    _ => Holds::No,
                };
                ProofVerdict::new(by, holds, refusal.code, refusal.text.as_str())
            }
            None => ProofVerdict::new(by, Holds::Absent, "", absent),
        }
    }

    fn pkix(&self) -> ProofVerdict {
        let verdict = self.judged(&self.base, PolicyLevel::Authenticated);
        Self::of(&verdict, Prooftype::Pkix, "no certificate is shown")
    }

    fn dane(&self, association: &dane::Association) -> ProofVerdict {
        let evidence = Evidence {
            tlsa: Some(dane::Evidence {
                associations: vec![association.clone()],
                pkix_ta: false,
            }),
            ..self.base.clone()
        };
        let absent = match &association.tlsa {
            dane::Tlsa::Off => "the DNS is not signed all the way to the host",
            dane::Tlsa::Absent => "no TLSA records are published",
            _ => "no usable TLSA record",
        };
        let verdict = self.judged(&evidence, PolicyLevel::Authenticated);
        Self::of(&verdict, Prooftype::Dane, absent)
    }

    fn posh(&self, posh: &posh::Evidence) -> ProofVerdict {
        // Without anchors PKIX has no say, so POSH is heard.
        let evidence = Evidence {
            anchors: Arc::new(Anchors::default()),
            posh: Some(posh.clone()),
            ..self.base.clone()
        };
        let verdict = self.judged(&evidence, PolicyLevel::Authenticated);
        Self::of(&verdict, Prooftype::Posh, "no POSH document is published")
    }

    fn dialback(&self, offered: bool, to: &str) -> ProofVerdict {
        if !offered {
            return ProofVerdict::new(Prooftype::Dialback, Holds::Absent, "", "not offered");
        }
        let evidence = Evidence {
            anchors: Arc::new(Anchors::default()),
            dialback: Some(dialback::Evidence::Delegated {
                to: to.to_owned(),
                dnssec: false,
                at: self.now,
            }),
            ..self.base.clone()
        };
        let verdict = self.judged(&evidence, PolicyLevel::Encrypted);
        Self::of(&verdict, Prooftype::Dialback, "not offered")
    }
}

impl Visit {
    /// Does this prooftype hold here?
    pub(super) fn holds(&self, prooftype: &str) -> bool {
        self.verdicts
            .iter()
            .any(|verdict| verdict.prooftype == prooftype && verdict.holds == Holds::Yes)
    }

    /// Somebody who asks for proof gets through. Apps know certificates only.
    fn good(&self, service: &str) -> bool {
        let proven =
            self.holds("pkix") || service == "server" && (self.holds("dane") || self.holds("posh"));
        self.trouble.is_none()
            && proven
            && (service == "server" || !self.offered.mechanisms.is_empty())
    }
}

/// Puts it together.
pub(super) fn report(
    domain: &DomainName,
    services: Vec<ServiceReport>,
    website: Website,
    private: bool,
) -> Report {
    let mut notes = Notes {
        domain: domain.to_string(),
        list: Vec::new(),
    };
    for service in &services {
        notes.service(service, private);
    }
    if services
        .iter()
        .any(|service| service.service == "client" && !service.targets.is_empty())
    {
        notes.website(&website);
    }
    let mut findings = notes.list;
    let mut known = BTreeSet::new();
    findings.retain(|finding| known.insert((finding.code, finding.about, finding.subject.clone())));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.grade));
    Report {
        domain: domain.as_str().to_owned(),
        ascii: domain.to_ascii().into_owned(),
        critical: findings
            .iter()
            .filter(|finding| finding.grade == Grade::Critical)
            .count(),
        unexamined: !services.is_empty()
            && services.iter().all(|service| {
                service.targets.is_empty() && service.srv.iter().any(|srv| srv.answer == "unknown")
            }),
        services,
        website,
        findings,
    }
}

struct Notes {
    domain: String,
    list: Vec<Finding>,
}

impl Notes {
    fn add(
        &mut self,
        word: &'static str,
        grade: Grade,
        about: &'static str,
        subject: impl Into<String>,
        observed: impl Into<String>,
    ) {
        let fix = match grade {
            Grade::Info if word.starts_with("certificate-") => String::new(),
            _ => codes::find(word).fix.replace("{domain}", &self.domain),
        };
        self.list.push(Finding {
            code: word,
            grade,
            about,
            subject: subject.into(),
            observed: observed.into(),
            fix,
        });
    }

    fn service(&mut self, service: &ServiceReport, private: bool) {
        let about = service.service;
        self.srv(service);
        let visits = || service.targets.iter().flat_map(|target| &target.visits);
        let works = visits().any(|visit| visit.good(about));
        // Whether nobody comes in can be told only where somebody could knock.
        let seen = visits().any(|visit| !matches!(&visit.trouble, Some(t) if t.code == "no-route"));
        let bad = match (works, seen || visits().next().is_none()) {
            (true, _) => Grade::Warning,
            (false, true) => Grade::Critical,
            (false, false) => Grade::Unknown,
        };
        for target in &service.targets {
            self.place(about, target, bad, private);
            for visit in &target.visits {
                self.visit(about, target, visit, bad);
            }
        }
        let mut places = service.targets.iter().map(|target| &target.place);
        if places.clone().any(|place| !place.addresses.is_empty()) && places.all(|p| !p.ipv6) {
            let hosts: BTreeSet<_> = service
                .targets
                .iter()
                .map(|target| target.place.host.as_str())
                .collect();
            let hosts: Vec<_> = hosts.into_iter().collect();
            self.add(
                "ipv6-missing",
                Grade::Info,
                about,
                hosts.join(", "),
                "no AAAA record",
            );
        }
        if service.posh.state == "broken" {
            self.add(
                service.posh.code,
                Grade::Warning,
                about,
                service.posh.url.as_str(),
                service.posh.text.as_str(),
            );
        }
    }

    fn srv(&mut self, service: &ServiceReport) {
        let about = service.service;
        for srv in &service.srv {
            let name = srv.name.as_str();
            match srv.answer {
                "bogus" => self.add(
                    "dnssec-bogus",
                    Grade::Critical,
                    about,
                    name,
                    srv.why.as_str(),
                ),
                "unknown" => self.add("dns-unknown", Grade::Unknown, about, name, srv.why.as_str()),
                _ => {}
            }
        }
        let found = |direct: bool| {
            let mut answers = service.srv.iter().filter(|srv| srv.direct == direct);
            answers.next().is_some_and(|srv| srv.answer == "found")
        };
        let none = |direct: bool| {
            let mut answers = service.srv.iter().filter(|srv| srv.direct == direct);
            answers.next().is_some_and(|srv| srv.answer == "none")
        };
        let first = service.srv.first().map_or("", |srv| srv.name.as_str());
        if service.nowhere == "not offered" {
            self.add(
                "service-not-offered",
                Grade::Info,
                about,
                first,
                "SRV target \".\"",
            );
        } else if service.fallback {
            self.add("srv-missing", Grade::Warning, about, first, "no SRV record");
        } else if found(false) && none(true) {
            let name = service.srv.last().map_or("", |srv| srv.name.as_str());
            self.add(
                "direct-tls-missing",
                Grade::Info,
                about,
                name,
                "no SRV record",
            );
        }
    }

    fn place(&mut self, about: &'static str, target: &TargetReport, bad: Grade, private: bool) {
        let place = &target.place;
        let subject = format!("{}:{}", place.host, place.port);
        if place.addresses.is_empty() {
            let why = if place.why.is_empty() {
                "no A or AAAA record"
            } else {
                &place.why
            };
            self.add("target-no-address", bad, about, place.host.as_str(), why);
        }
        let inside = place.addresses.iter().find(|address| is_private(**address));
        if let Some(address) = inside.filter(|_| !private) {
            self.add("address-private", bad, about, subject, address.to_string());
        }
        match place.tlsa {
            "bogus" => self.add(
                "tlsa-bogus",
                Grade::Critical,
                about,
                place.tlsa_name.as_str(),
                "its signatures do not validate",
            ),
            "unknown" => self.add(
                "tlsa-unknown",
                Grade::Warning,
                about,
                place.tlsa_name.as_str(),
                "no answer that could be validated",
            ),
            _ => {}
        }
    }

    fn visit(&mut self, about: &'static str, target: &TargetReport, visit: &Visit, bad: Grade) {
        let subject = format!(
            "{}:{} ({})",
            target.place.host,
            target.place.port,
            visit.address.ip()
        );
        if let Some(trouble) = &visit.trouble {
            let grade = if trouble.code == "no-route" {
                Grade::Unknown
            } else {
                bad
            };
            self.add(
                trouble.code,
                grade,
                about,
                subject.as_str(),
                trouble.text.as_str(),
            );
        }
        if visit.tls.is_empty() {
            return;
        }
        self.proofs(about, visit, &subject, bad);
        if visit.accepts.older == Some(true) {
            self.add(
                "tls-old-accepted",
                Grade::Warning,
                about,
                subject.as_str(),
                "TLS 1.1 is accepted",
            );
        }
        if visit.accepts.tls13 == Some(false) {
            self.add(
                "tls13-missing",
                Grade::Info,
                about,
                subject.as_str(),
                "TLS 1.2 at most",
            );
        }
        if visit.trouble.is_some() {
            return;
        }
        let offered = &visit.offered;
        if about == "client" {
            if offered.mechanisms.is_empty() && !offered.sasl2 {
                self.add(
                    "sasl-missing",
                    bad,
                    about,
                    subject.as_str(),
                    "no SASL mechanism",
                );
            } else if !offered.mechanisms.is_empty()
                && !offered.mechanisms.iter().any(|m| m.starts_with("SCRAM-"))
            {
                self.add(
                    "scram-missing",
                    Grade::Warning,
                    about,
                    subject.as_str(),
                    offered.mechanisms.join(", "),
                );
            }
            if offered.registration {
                self.add(
                    "registration-open",
                    Grade::Info,
                    about,
                    subject,
                    "in-band registration is offered",
                );
            }
        } else if !offered.dialback {
            self.add(
                "dialback-missing",
                Grade::Info,
                about,
                subject,
                "only servers that prove themselves by a certificate get in",
            );
        }
    }

    fn proofs(&mut self, about: &'static str, visit: &Visit, subject: &str, bad: Grade) {
        let otherwise = about == "server" && (visit.holds("dane") || visit.holds("posh"));
        for verdict in visit.verdicts.iter().filter(|v| v.holds == Holds::No) {
            let grade = match verdict.prooftype {
                // Another proof stands in its stead, for whoever knows it.
                "pkix" if otherwise => Grade::Info,
                "pkix" => bad,
                // It settles the matter for servers that know DANE, whatever else holds (DANE-35).
                "dane" if about == "server" => Grade::Critical,
                _ => Grade::Warning,
            };
            self.add(verdict.code, grade, about, subject, verdict.text.as_str());
        }
        if let Some(leaf) = visit.chain.first().filter(|_| visit.holds("pkix"))
            && leaf.days_left < 14
            && leaf.days_left < leaf.lifetime_days / 3
        {
            self.add(
                "certificate-expires-soon",
                Grade::Warning,
                about,
                subject,
                format!("{} days are left, until {}", leaf.days_left, leaf.not_after),
            );
        }
    }

    fn website(&mut self, website: &Website) {
        let both = [&website.host_meta, &website.host_meta_json];
        if let Some(broken) = both.iter().find(|document| document.state == "broken") {
            self.add(
                "host-meta-broken",
                Grade::Info,
                "website",
                broken.url.as_str(),
                broken.text.as_str(),
            );
        } else if both.iter().all(|document| document.state == "none") {
            self.add(
                "host-meta-missing",
                Grade::Info,
                "website",
                website.host_meta.url.as_str(),
                "not there",
            );
        }
    }
}

/// An address that is nobody's on the internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            four.is_loopback() || four.is_private() || four.is_link_local() || four.is_unspecified()
        }
        IpAddr::V6(six) => {
            six.is_loopback()
                || six.is_unspecified()
                || six.is_unique_local()
                || six.is_unicast_link_local()
        }
    }
}
