//! Zones and websites that are broken or hostile for real: a BIND serves the zones, our own resolver and eyes look at them, and
//! each yields exactly its codes. One BIND holds all zones of a test, so that many cost little.
//!
//! Unlike the black-box tests these call into the server's library: what a look finds has no other face so quick.

mod hostile;
mod websites;
mod zones;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::bind::Bind;
use crate::lab::authority::{Authority, Shape};
use control::domain::{State, VerdictView};
use control::findings::{CertificateFacts, Finding, Severity, Surroundings, checks, standing};
use control::observe::{HttpDoor, Observation, Ours, look};
use control::outside::{IssuerInfo, Probe};
use control::records::{
    DesiredRecord, DomainFacts, Mode, Purpose, Standing, certified, challenge_url, desired,
};
use control::settings::ServiceName;
use control::verdict::{Case, verdicts};
use control::{Limits, Pace, PlatformSettings, Ports, Timestamp};
use domicile::config::{Config, DnsMode};
use domicile::net::fetch::Web;
use domicile::net::guard::Guard;
use domicile::net::lookup::Resolver;
use xmpp::jid::DomainName;

/// Label of the domains in the platform's zone; it has the platform's address there.
const LABEL: &str = "d7f3k2";
/// The platform's address.
const ADDRESS: &str = "192.0.2.1";
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The platform, as its operator has decided.
fn settings() -> PlatformSettings {
    PlatformSettings {
        name: "Domicile".into(),
        platform_zone: "on.hosting.example".into(),
        addresses: vec![ADDRESS.parse().expect("address")],
        ports: Ports::default(),
        record_ttl_seconds: 3600,
        web: String::new(),
        invites: "https://web.hosting.example".into(),
        operators_second_factor: false,
        panel: "https://panel.hosting.example".into(),
        posh_expires_seconds: 14_400,
        website_port: 443,
        http_port: 80,
        plain_http: false,
        private_addresses: false,
        sign_up: true,
        limits: Limits::default(),
        pace: Pace::real(),
        authority_limits: control::certificate::AuthorityLimits::default(),
        service_names: vec![ServiceName {
            label: "rooms".into(),
            purpose: "group chats".into(),
            federated: true,
        }],
    }
}

fn facts(domain: &str) -> DomainFacts {
    DomainFacts {
        name: DomainName::parse(domain).expect("name"),
        label: LABEL.into(),
        token: "tok".into(),
        mode: Mode::DelegatedChallenge,
        dane: false,
        posh: false,
        services: Vec::new(),
        components: Vec::new(),
        persist: None,
        zone: None,
    }
}

/// When the certificates of these tests are valid: in 2029.
const NOW: i64 = 21_600 * DAY;

/// The eyes of the server, which look into one BIND as their whole internet.
struct Eyes {
    resolver: Arc<Resolver>,
    web: Web,
    settings: PlatformSettings,
}

impl Eyes {
    fn open(dns: SocketAddr, settings: PlatformSettings, anchors: &dna::Anchors) -> Self {
        let mut config = Config::default().dns;
        config.mode = DnsMode::TrustAd;
        config.resolvers = vec![dns];
        config.authoritative_port = dns.port();
        config.timeout_seconds = 2;
        let resolver = Resolver::new(&config).expect("resolver");
        Self::with(resolver, settings, anchors)
    }

    fn with(resolver: Arc<Resolver>, settings: PlatformSettings, anchors: &dna::Anchors) -> Self {
        // This machine counts as internet, other private networks do not.
        let guard = Guard::new(false, vec!["127.0.0.0/8".parse().expect("network")]);
        let provider = Arc::new(domicile::net::tls::provider());
        let patience = Duration::from_secs(10);
        let web = Web::new(resolver.clone(), guard, anchors, provider, patience);
        Self {
            resolver,
            web: web.expect("TLS"),
            settings,
        }
    }

    /// One look at a domain, with the names of its TLSA sets and what they are to hold.
    async fn look(
        &self,
        domain: &DomainFacts,
        wanted: &[DesiredRecord],
        (tlsa, tlsa_records): (&[String], &[String]),
    ) -> Observation {
        let target = domain.target(&self.settings);
        let ours = Ours {
            target: &target,
            tlsa,
            tlsa_records,
            web: (&self.web, self.settings.website_port),
            host_meta: !self.settings.web.is_empty(),
            certified: &certified(domain, &self.settings),
            http: HttpDoor {
                fetch: &self.web,
                port: self.settings.http_port,
                ports: &[self.settings.http_port, self.settings.website_port],
                ours: &challenge_url(&self.settings, &domain.label).unwrap_or_default(),
                label: &domain.label,
            },
        };
        look(
            &*self.resolver,
            domain,
            wanted,
            ours,
            Duration::from_secs(20),
        )
        .await
    }

    /// What a look at the domain finds, but for what is good.
    async fn findings(&self, domain: &DomainFacts, state: State) -> (Vec<Finding>, Observation) {
        let wanted = desired(domain, &self.settings);
        let seen = self.look(domain, &wanted, (&[], &[])).await;
        let domain = &DomainFacts {
            zone: seen.zone.clone(),
            ..domain.clone()
        };
        let wanted = desired(domain, &self.settings);
        let mut names = Self::certified(domain, &wanted, &seen, &self.settings);
        if names.is_empty() {
            names.push(domain.ascii());
        }
        let verdicts = self.verdicts(domain, &seen, &names);
        let issuer = IssuerInfo {
            name: "Test CA".into(),
            caa_identities: vec!["ca.example".into()],
            account_uri: Some("https://ca.example/acct/1".into()),
            ..IssuerInfo::default()
        };
        let around = Surroundings {
            state,
            certificate: Some(CertificateFacts {
                covers_domain: true,
                names,
                not_before: Timestamp(0),
                not_after: Timestamp(90 * DAY),
            }),
            taken: false,
            elsewhere: &[],
            proof_ends: None,
            order_failed: None,
            probe: Some(Probe::Passed {
                seen: "192.0.2.1:5222".into(),
                leaf: String::new(),
            }),
            publishing: None,
            verdicts: &verdicts,
            settings: &self.settings,
            issuer: &issuer,
            second: &[],
            now: Timestamp(DAY),
        };
        let mut found = checks(domain, &wanted, &seen, &around);
        found.retain(|row| row.severity != Severity::Ok);
        (found, seen)
    }

    /// Names of the certificate that an authority would have issued: the domain's, and those of services whose record leads it
    /// to our answer.
    fn certified(
        domain: &DomainFacts,
        wanted: &[DesiredRecord],
        seen: &Observation,
        settings: &PlatformSettings,
    ) -> Vec<String> {
        let proven = |label: &Option<String>| {
            let mut of_it = wanted
                .iter()
                .filter(|record| record.service == *label && record.purpose == Purpose::Challenge);
            label.is_none() || of_it.any(|record| standing(record, seen) == Standing::Seen)
        };
        certified(domain, settings)
            .into_iter()
            .filter(|certified| proven(&certified.service))
            .map(|certified| certified.name.to_ascii().into_owned())
            .collect()
    }

    /// What others conclude, of a certificate from an authority that everybody knows, or of one of our own.
    fn verdicts(
        &self,
        domain: &DomainFacts,
        seen: &Observation,
        names: &[String],
    ) -> Vec<VerdictView> {
        let authority = Authority::new("everybody's");
        let anchors = dna::Anchors::from_pem(authority.root_pem.as_bytes()).expect("anchors");
        let target = domain.target(&self.settings);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let identity = match domain.mode.is_own() {
            true => authority.shaped(&target, Shape::SelfSigned),
            false => authority.issue(&names),
        };
        let chain: Vec<Vec<u8>> = identity.chain.iter().map(|der| der.to_vec()).collect();
        verdicts(&Case {
            facts: domain,
            seen: Some(seen),
            chain: Some(&chain),
            anchors: &Arc::new(anchors),
            settings: &self.settings,
            now: Timestamp(NOW),
        })
    }

    /// Their codes, sorted.
    async fn codes(&self, domain: &DomainFacts) -> Vec<&'static str> {
        let (found, _) = self.findings(domain, State::Claimed).await;
        sorted(&found)
    }
}

fn sorted(found: &[Finding]) -> Vec<&'static str> {
    let mut codes: Vec<_> = found.iter().map(|row| row.code).collect();
    codes.sort_unstable();
    codes
}

/// Records of a domain's zone, as its file holds them: everything that should be there but for what the owner has left out
/// (relative names), and what stands there instead or besides.
fn zone_of(domain: &DomainFacts, settings: &PlatformSettings, lacks: &[&str], has: &str) -> String {
    let wanted = desired(domain, settings);
    let there = wanted
        .iter()
        .filter(|record| !lacks.contains(&record.relative.as_str()));
    let lines = there.map(|record| {
        let (name, rtype, value) = (&record.relative, record.rtype, &record.value_text);
        format!("{name} 60 IN {rtype} {value}\n")
    });
    lines.chain([has.to_owned()]).collect()
}

/// The target of the domains as the platform publishes it.
fn publish_target(bind: &Bind) {
    let line = format!("update add {LABEL}.on.hosting.example 60 A {ADDRESS}\n");
    bind.update("hosting.example", &line);
}
