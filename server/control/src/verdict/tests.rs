//! The matrix of verdicts: every way of proof beside every service, as it is and as it would become.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::findings::rtype;
use crate::observe::{Answered, Data, SetView, TargetView, question};
use crate::records::{Mode, RecordValue};
use crate::rollover::own_identity;
use crate::tests::world::{certificate, settings};
use crate::time::DAY;

const NAME: &str = "example.com";
const ROOMS: &str = "rooms.example.com";
const BRIDGE: &str = "bridge.example.com";

fn facts(mode: Mode, dane: bool, posh: bool) -> DomainFacts {
    DomainFacts {
        name: DomainName::parse(NAME).unwrap(),
        label: "d7f3k2".into(),
        token: "t".into(),
        mode,
        dane: mode == Mode::Dane || dane,
        posh: mode == Mode::Posh || posh,
        services: vec!["rooms".into()],
        components: vec!["bridge".into()],
        persist: None,
        zone: Some(NAME.into()),
    }
}

/// A domain as it is seen.
struct Domain {
    facts: DomainFacts,
    seen: Observation,
    chain: Option<Vec<Vec<u8>>>,
    anchors: Arc<Anchors>,
    settings: PlatformSettings,
}

impl Domain {
    /// Nothing is published yet; the zone, and ours, are signed.
    fn new(facts: DomainFacts) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = certificate(&["elsewhere.example".into()], 0, 90 * DAY, &key);
        Self {
            facts,
            seen: Observation {
                zone: Some(NAME.into()),
                zone_signed: Some(true),
                target_signed: Some(true),
                ..Observation::default()
            },
            chain: None,
            anchors: Arc::new(root_of(&pem)),
            settings: settings(),
        }
    }

    /// Everything that the mode wants is there, the certificate among it.
    fn published(facts: DomainFacts) -> Self {
        let mut domain = Self::new(facts);
        let target = domain.facts.target(&domain.settings);
        let pem = if domain.facts.mode.is_own() {
            own_identity(&target, None, Timestamp(0)).unwrap().chain_pem
        } else {
            let key = rcgen::KeyPair::generate().unwrap();
            let names = [NAME, ROOMS, BRIDGE].map(str::to_owned);
            let pem = certificate(&names, 0, 90 * DAY, &key);
            domain.anchors = Arc::new(root_of(&pem));
            pem
        };
        let inspected = read(&pem, &domain.facts.name).unwrap();
        for record in desired(&domain.facts, &domain.settings) {
            if let RecordValue::Srv { port, target, .. } = &record.value {
                let data = Data::Srv {
                    priority: 0,
                    weight: 5,
                    port: *port,
                    target: target.clone(),
                };
                domain.answers(rtype(&record), &record.name, records(vec![data]), true);
            }
        }
        let host = TargetView {
            alias: None,
            addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))],
            resolves: Seen::Yes,
            secure: true,
        };
        domain.seen.targets.insert(target.clone(), host);
        if domain.facts.dane {
            let key = crate::rollover::record_of(&inspected.key_fingerprint);
            let data = Data::Other(key.spelled());
            domain.answers(Rtype::Tlsa, &tlsa_owner(&domain), records(vec![data]), true);
        }
        if domain.facts.posh {
            let view = PoshView {
                source: "https://example.com/.well-known/posh/xmpp-server.json".into(),
                listed: vec![dna::posh::Descriptor::spellings(&inspected.chain[0]).remove(0)],
                expires_seconds: 3600,
                ..PoshView::default()
            };
            domain.seen.posh.insert(Service::Server.name().into(), view);
        }
        domain.chain = Some(inspected.chain);
        domain
    }

    fn answers(&mut self, rtype: Rtype, name: &str, sight: Sight, secure: bool) {
        let answered = Answered {
            asked: "resolver".into(),
            sight,
            secure,
        };
        let view = SetView {
            resolver: Some(answered),
            ..SetView::default()
        };
        self.seen.sets.insert(question(rtype, name), view);
    }

    fn case(&self) -> Case<'_> {
        Case {
            facts: &self.facts,
            seen: Some(&self.seen),
            chain: self.chain.as_deref(),
            anchors: &self.anchors,
            settings: &self.settings,
            now: Timestamp(DAY),
        }
    }

    /// The cell of other servers for a name.
    fn cell(&self, name: &str, prooftype: &str) -> (Seen, String) {
        cell(&verdicts(&self.case()), name, prooftype)
    }

    fn foreseen(&self, name: &str, prooftype: &str) -> (Seen, String) {
        cell(&foreseen(&self.case()), name, prooftype)
    }
}

fn root_of(pem: &str) -> Anchors {
    let root = pem.rfind("-----BEGIN").unwrap();
    Anchors::from_pem(&pem.as_bytes()[root..]).unwrap()
}

fn tlsa_owner(domain: &Domain) -> String {
    let target = domain.facts.target(&domain.settings);
    dna::dane::owner(&target, domain.settings.ports.server)
}

fn records(data: Vec<Data>) -> Sight {
    Sight::Records {
        data,
        ttl_seconds: 300,
        aliased: false,
        beyond: None,
    }
}

fn cell(views: &[VerdictView], name: &str, prooftype: &str) -> (Seen, String) {
    let found = views
        .iter()
        .find(|view| view.name == name && view.prooftype == prooftype && view.who != PEOPLE);
    let view = found.unwrap_or_else(|| panic!("{name} {prooftype}"));
    (view.accepted, view.why.clone())
}

/// Each cell without its reason.
fn cells(views: &[VerdictView]) -> Vec<(String, &'static str, &'static str, Seen)> {
    views
        .iter()
        .map(|view| (view.name.clone(), view.who, view.prooftype, view.accepted))
        .collect()
}

/// What anybody would draw by hand for a mode and what stands beside it.
fn drawn(facts: &DomainFacts) -> Vec<(String, &'static str, &'static str, Seen)> {
    let yes = |holds: bool| if holds { Seen::Yes } else { Seen::No };
    let certified = yes(!facts.mode.is_own());
    let mut rows = vec![(NAME.to_owned(), PEOPLE, "pkix", certified)];
    for name in [NAME, ROOMS, BRIDGE] {
        rows.extend([
            (name.to_owned(), "strict servers", "pkix", certified),
            (
                name.to_owned(),
                "servers with DANE",
                "dane",
                yes(facts.dane),
            ),
            (
                name.to_owned(),
                "servers with POSH",
                "posh",
                yes(facts.posh && name == NAME),
            ),
            (name.to_owned(), "older servers", "dialback", Seen::Yes),
        ]);
    }
    rows
}

/// In every mode, beside nothing, POSH, DANE and both: what was foreseen when nothing was there yet is what is judged once
/// everything is.
#[test]
fn dna_31_what_is_foreseen_is_what_comes() {
    for mode in Mode::ALL {
        for (dane, posh) in [(false, false), (false, true), (true, false), (true, true)] {
            let facts = facts(mode, dane, posh);
            let expected = drawn(&facts);
            let before = Domain::new(facts.clone());
            let case = format!("{} dane {dane} posh {posh}", mode.as_str());
            assert_eq!(cells(&foreseen(&before.case())), expected, "{case}");
            let after = Domain::published(facts);
            let views = verdicts(&after.case());
            assert_eq!(cells(&views), expected, "{case}: {views:#?}");
        }
    }
}

#[test]
fn what_is_foreseen_says_what_it_waits_for() {
    let domain = Domain::new(facts(Mode::DelegatedChallenge, true, true));
    for view in foreseen(&domain.case()) {
        let is_conditional = view.why.starts_with("Once ");
        assert_eq!(is_conditional, view.accepted == Seen::Yes, "{view:?}");
        assert!(view.why.ends_with('.'), "{view:?}");
    }
}

/// A signed zone is not a record that anybody is asked to publish: where there is none, DANE will not work.
#[test]
fn dane_is_foreseen_in_signed_zones_only() {
    let mut domain = Domain::new(facts(Mode::Dane, false, false));
    domain.seen.zone_signed = Some(false);
    let (accepted, why) = domain.foreseen(NAME, "dane");
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("your zone example.com is not signed"), "{why}");
    domain.seen.zone_signed = None;
    assert_eq!(domain.foreseen(NAME, "dane").0, Seen::Unknown);
    domain.seen.zone_signed = Some(true);
    domain.seen.target_signed = None;
    assert_eq!(domain.foreseen(NAME, "dane").0, Seen::Unknown);
    domain.seen.target_signed = Some(false);
    let (accepted, why) = domain.foreseen(NAME, "dane");
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("our host's addresses are not signed"), "{why}");
}

#[test]
fn without_authorities_nothing_is_said_of_certificates() {
    let mut domain = Domain::new(facts(Mode::DelegatedChallenge, false, false));
    domain.anchors = Arc::new(Anchors::default());
    assert_eq!(domain.foreseen(NAME, "pkix").0, Seen::Unknown);
    let mut domain = Domain::published(facts(Mode::DelegatedChallenge, false, false));
    domain.anchors = Arc::new(Anchors::default());
    assert_eq!(domain.cell(NAME, "pkix").0, Seen::Unknown);
}

/// Each name is judged by the way that leads to it, not by the domain's.
#[test]
fn dna_31_a_service_is_judged_by_its_own_record() {
    let mut domain = Domain::published(facts(Mode::Dane, false, false));
    assert_eq!(domain.cell(ROOMS, "dane").0, Seen::Yes);
    let srv = format!("_xmpp-server._tcp.{ROOMS}");
    let sight = domain.seen.set(Rtype::Srv, &srv).unwrap().resolver.clone();
    let sight = sight.unwrap().sight;

    domain.answers(Rtype::Srv, &srv, sight, false);
    let (accepted, why) = domain.cell(ROOMS, "dane");
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("SRV record is not signed"), "{why}");

    domain.answers(Rtype::Srv, &srv, Sight::Nothing, true);
    let (accepted, why) = domain.cell(ROOMS, "dane");
    assert_eq!(accepted, Seen::No);
    assert!(why.contains(&format!("{srv} does not lead to")), "{why}");

    domain.answers(Rtype::Srv, &srv, Sight::Bogus, false);
    let (accepted, why) = domain.cell(ROOMS, "dane");
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("do not validate"), "{why}");

    // What could not be asked is not unsigned.
    domain.answers(Rtype::Srv, &srv, Sight::Failed("timed out".into()), false);
    assert_eq!(domain.cell(ROOMS, "dane").0, Seen::Unknown);
    assert_eq!(domain.cell(NAME, "dane").0, Seen::Yes);

    let domain = Domain::published(facts(Mode::Posh, false, false));
    let (accepted, why) = domain.cell(ROOMS, "posh");
    assert_eq!(accepted, Seen::No);
    assert!(
        why.contains("only published for the domain itself"),
        "{why}"
    );
}

#[test]
fn dane_ends_at_the_first_step_that_does_not_count() {
    let domain = || Domain::published(facts(Mode::DelegatedChallenge, true, false));
    let judged = |change: &dyn Fn(&mut Domain)| {
        let mut domain = domain();
        change(&mut domain);
        domain.cell(NAME, "dane")
    };
    let target = domain().facts.target(&settings());
    let host = |change: &dyn Fn(&mut TargetView)| {
        judged(&|domain| change(domain.seen.targets.get_mut(&target).unwrap()))
    };
    assert_eq!(judged(&|_| {}).0, Seen::Yes);
    let (accepted, why) = host(&|host| host.secure = false);
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("addresses are not signed"), "{why}");
    assert_eq!(host(&|host| host.resolves = Seen::Unknown).0, Seen::Unknown);
    let tlsa = |sight: Sight, secure| {
        judged(&|domain| {
            let owner = tlsa_owner(domain);
            domain.answers(Rtype::Tlsa, &owner, sight.clone(), secure);
        })
    };
    assert_eq!(tlsa(Sight::Failed("no".into()), false).0, Seen::Unknown);
    let (accepted, why) = tlsa(Sight::Nothing, true);
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("No TLSA record is there"), "{why}");
    let other = Data::Other(format!("3 1 1 {}", "ab".repeat(32)));
    assert_eq!(tlsa(records(vec![other.clone()]), true).0, Seen::No);
    let (accepted, why) = tlsa(records(vec![other]), false);
    assert_eq!(accepted, Seen::No);
    assert!(why.contains("TLSA records are not signed"), "{why}");
}

#[test]
fn what_was_never_asked_is_unknown() {
    let mut domain = Domain::published(facts(Mode::Posh, false, false));
    domain.seen.posh.clear();
    assert_eq!(domain.cell(NAME, "posh").0, Seen::Unknown);
    let case = Case {
        seen: None,
        ..domain.case()
    };
    for prooftype in ["posh", "dialback"] {
        assert_eq!(cell(&verdicts(&case), NAME, prooftype).0, Seen::Unknown);
    }
}

fn rows(names: &[&str], known: bool, led_here: Seen) -> Vec<(&'static str, Seen)> {
    let name = DomainName::parse(NAME).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let pem = certificate(&names, 0, 90 * DAY, &key);
    let chain = (!names.is_empty()).then(|| read(&pem, &name).unwrap().chain);
    let anchors = match known {
        true => root_of(&pem),
        false => Anchors::default(),
    };
    let shown = Shown {
        certificate: match &chain {
            Some(chain) => Certificate::Held(chain),
            None => Certificate::Missing,
        },
        anchors: &Arc::new(anchors),
        led_here,
        target: "d.on.hosting.example",
        tlsa: Tlsa::No("No TLSA record is published for the host".into()),
        posh: Posh::No(NO_DOCUMENT),
        now: Timestamp(DAY),
    };
    judge_all(&name, true, &shown)
        .into_iter()
        .map(|view| (view.who, view.accepted))
        .collect()
}

#[test]
fn dna_31_who_accepts_us_how() {
    let all = |client, server, older| {
        vec![
            (PEOPLE, client),
            ("strict servers", server),
            ("servers with DANE", Seen::No),
            ("servers with POSH", Seen::No),
            ("older servers", older),
        ]
    };
    assert_eq!(
        rows(&[NAME], true, Seen::Yes),
        all(Seen::Yes, Seen::Yes, Seen::Yes)
    );
    assert_eq!(
        rows(&[NAME], false, Seen::Yes),
        all(Seen::Unknown, Seen::Unknown, Seen::Yes)
    );
    assert_eq!(
        rows(&["example.net"], true, Seen::No),
        all(Seen::No, Seen::No, Seen::No)
    );
    assert_eq!(
        rows(&[], true, Seen::Unknown),
        all(Seen::No, Seen::No, Seen::Unknown)
    );
}

/// The sentence of a live domain, by mode and what stands beside it.
#[test]
fn the_sentence_says_who_can_verify_and_whether_people_can_sign_in() {
    const IN: &str = "People can sign in; other servers can verify you by ";
    const OUT: &str = "Ordinary apps cannot verify you, so people cannot sign in with them; other servers can verify you by ";
    for mode in Mode::ALL {
        for (dane, posh) in [(false, false), (false, true), (true, false), (true, true)] {
            let domain = Domain::published(facts(mode, dane, posh));
            let believed = Believed::of(&domain.facts.name, &verdicts(&domain.case()));
            let has = |on: bool, word: &'static str| on.then_some(word);
            let by: Vec<_> = [
                has(!mode.is_own(), "certificate"),
                has(domain.facts.dane, "signed DNS (DANE)"),
                has(domain.facts.posh, "website (POSH)"),
            ]
            .into_iter()
            .flatten()
            .collect();
            let by = match by.as_slice() {
                [one] => (*one).to_owned(),
                [one, two] => format!("{one} and {two}"),
                [one, two, three] => format!("{one}, {two} and {three}"),
                _ => panic!("no proof"),
            };
            let start = if mode.is_own() { OUT } else { IN };
            let case = format!("{} dane {dane} posh {posh}", mode.as_str());
            assert_eq!(
                crate::status::proven(&believed),
                format!("{start}{by}."),
                "{case}"
            );
        }
    }
    let said = |people, by: &[&str], is_open| {
        crate::status::proven(&Believed {
            people,
            by: by.iter().map(|word| (*word).to_owned()).collect(),
            is_open,
        })
    };
    assert_eq!(
        said(Seen::Yes, &[], false),
        "People can sign in; other servers cannot verify you by any proof."
    );
    let unknown = said(Seen::Unknown, &[], true);
    assert!(
        unknown.matches("we could not judge").count() == 2,
        "{unknown}"
    );
}
