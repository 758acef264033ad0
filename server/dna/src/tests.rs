//! The truth tables of judging, to be read beside RFC 7712, 7673, 7671 and 7711, and what they do not show.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::dane::Tlsa;
use crate::dane::tests::{association, record};
use crate::pkix::tests::{Authority, Shape, now, self_signed};
use crate::{
    Anchors, Claim, Evidence, Fault, Policy, PolicyLevel, Prooftype, Role, Security, Service,
    Target, dane, dialback, judge, posh,
};

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

fn claim(role: Role) -> Claim {
    Claim {
        local: domain("one.example"),
        remote: domain("peer.example"),
        role,
        service: Service::Server,
    }
}

fn confirmed() -> dialback::Evidence {
    dialback::Evidence::Confirmed {
        by: "192.0.2.1:5269".into(),
        dnssec: false,
        at: now(),
    }
}

fn delegated() -> dialback::Evidence {
    dialback::Evidence::Delegated {
        to: "192.0.2.1:5269".into(),
        dnssec: false,
        at: now(),
    }
}

fn target(security: Security) -> Target {
    Target {
        host: "xmpp.host.example".into(),
        port: 5269,
        direct: false,
        priority: 0,
        security,
        delegated: true,
    }
}

/// Outcome in a word: the prooftype, `dialback?` when dialback may be tried, or the code of the refusal that decides.
fn outcome(claim: &Claim, evidence: &Evidence, policy: &Policy) -> String {
    let verdict = judge(claim, evidence, policy, now());
    match verdict.proven() {
        Some(proven) => {
            assert!(proven.covers(&claim.local, &claim.remote));
            assert!(!proven.covers(&claim.remote, &claim.local));
            proven.by().name().to_owned()
        }
        None if verdict.may_dial_back() => "dialback?".to_owned(),
        None => verdict.reason().expect("a refusal").code.to_owned(),
    }
}

/// Streams that we open. SRV: how surely the DNS says where the peer is served. TLSA: what it says about the certificate there.
/// Certificate: what the peer shows. POSH: what the peer's website says (`-`: not asked, `none`: no document). The outcome is
/// what proves the peer, `dialback?` where dialback may do, or the code of the refusal that decides: first at the policies
/// permissive, verified and encrypted, which are one where the stream is encrypted, then at authenticated.
const OUTBOUND: &str = "
SRV      | TLSA      | certificate | POSH    || encrypted                  | authenticated              || because
insecure | off       | good        | -       || pkix                       | pkix                       || RFC 7712 4.2, CERT-04
secure   | absent    | good        | -       || pkix                       | pkix                       || RFC 7673 4.1
insecure | off       | none        | -       || dialback?                  | certificate-missing        || RFC 7712 4.3
insecure | off       | other       | -       || dialback?                  | certificate-name-mismatch  || RFC 6125 6, CERT-04, CERT-12, CERT-13
insecure | off       | expired     | -       || dialback?                  | certificate-expired        || RFC 5280 6
insecure | off       | stranger    | -       || dialback?                  | certificate-issuer-unknown || RFC 5280 6
insecure | off       | self        | -       || dialback?                  | certificate-self-signed    || RFC 5280 6
insecure | off       | host        | -       || dialback?                  | certificate-name-mismatch  || RFC 7673 4.1: the host never by an insecure SRV
secure   | off       | host        | -       || pkix                       | pkix                       || RFC 7673 4.1: either name
secure   | absent    | host        | -       || pkix                       | pkix                       || RFC 7673 4.1: either name
unknown  | off       | host        | -       || dialback?                  | certificate-name-mismatch  || RFC 7673 4.1
bogus    | off       | good        | -       || delegation-bogus           | delegation-bogus           || RFC 7673 3.1
secure   | bogus     | good        | -       || tlsa-bogus                 | tlsa-bogus                 || RFC 7673 3.4
secure   | unknown   | good        | -       || tlsa-unknown               | tlsa-unknown               || RFC 7673 3.4
secure   | ee        | self        | -       || dane                       | dane                       || RFC 7671 5.1
secure   | ee        | good        | -       || dane                       | dane                       || RFC 7671 5.1
secure   | ee        | other       | -       || dane                       | dane                       || RFC 7671 5.1: names do not matter
secure   | ee        | expired     | -       || dane                       | dane                       || RFC 7671 5.1: nor do dates
secure   | ee-other  | good        | -       || tlsa-mismatch              | tlsa-mismatch              || RFC 6698 4.1: no rescue by PKIX
secure   | ee-other  | self        | lists   || tlsa-mismatch              | tlsa-mismatch              || RFC 6698 4.1: nor by POSH
secure   | ee-other  | none        | -       || tlsa-no-certificate        | tlsa-no-certificate        || RFC 6698 4.1: nor by dialback
secure   | pkix-ee   | good        | -       || dane                       | dane                       || RFC 7671 5.3
secure   | pkix-ee   | host        | -       || dane                       | dane                       || RFC 7673 4.1
secure   | pkix-ee   | expired     | -       || certificate-expired        | certificate-expired        || RFC 7671 5.3
secure   | pkix-ee   | stranger    | -       || certificate-issuer-unknown | certificate-issuer-unknown || RFC 7671 5.3
secure   | ta        | stranger-ta | -       || dane                       | dane                       || RFC 7671 5.2
secure   | ta        | stranger    | -       || tlsa-mismatch              | tlsa-mismatch              || RFC 7671 5.2.2: the anchor is not shown
secure   | ta        | good        | -       || tlsa-mismatch              | tlsa-mismatch              || RFC 6698 4.1
secure   | unusable  | good        | -       || pkix                       | pkix                       || RFC 7673 4.1
secure   | unusable  | self        | -       || dialback?                  | certificate-self-signed    || RFC 7673 4.1
secure   | unusable  | self        | lists   || posh                       | posh                       || RFC 7712 5.2
insecure | off       | self        | lists   || posh                       | posh                       || RFC 7711 3.3
insecure | off       | other       | lists   || posh                       | posh                       || RFC 7711 4
insecure | off       | self        | others  || posh-mismatch              | posh-mismatch              || RFC 7711 3.3
insecure | off       | good        | others  || pkix                       | pkix                       || RFC 7711 3.3: another method holds
insecure | off       | self        | none    || dialback?                  | certificate-self-signed    || RFC 7712 5.2
insecure | off       | expired     | lists   || certificate-expired        | certificate-expired        || RFC 7711 6
insecure | off       | none        | lists   || dialback?                  | certificate-missing        || RFC 7711 3.3: nothing to compare
secure   | absent    | self        | none    || dialback?                  | certificate-self-signed    || RFC 7712 4.3
";

/// Streams that peers open: nothing leads to them, so no host's name counts, and TLSA records prove without ruling out
/// (DANE-45). Dialback: whether the authoritative server has confirmed a key.
const INBOUND: &str = "
TLSA      | certificate | POSH    | dialback || encrypted                  | authenticated              || because
-         | good        | -       | -        || pkix                       | pkix                       || RFC 7712 4.2
-         | good        | -       | yes      || pkix                       | pkix                       || the strongest proof is the one kept
-         | other       | -       | -        || dialback?                  | certificate-name-mismatch  || RFC 7712 4.3
-         | other       | -       | yes      || dialback                   | proof-too-weak             || RFC 7712 7: dialback is no prooftype
-         | stranger    | -       | yes      || dialback                   | proof-too-weak             || RFC 7712 7
-         | none        | -       | -        || dialback?                  | certificate-missing        || RFC 7712 4.3
-         | none        | -       | yes      || dialback                   | proof-too-weak             || RFC 7712 7
-         | host        | -       | -        || dialback?                  | certificate-name-mismatch  || RFC 7712 4.2: the from alone is the reference, CERT-12, CERT-14
-         | self        | none    | -        || dialback?                  | certificate-self-signed    || RFC 7712 5.2
-         | self        | lists   | -        || posh                       | posh                       || RFC 7712 5.2
-         | self        | others  | -        || posh-mismatch              | posh-mismatch              || RFC 7711 3.3
-         | self        | others  | yes      || posh-mismatch              | posh-mismatch              || RFC 7711 3.3
ee        | self        | -       | -        || dane                       | dane                       || DANE-45
ee-other  | self        | -       | -        || dialback?                  | certificate-self-signed    || DANE-45: a caller may show another
ee-other  | self        | -       | yes      || dialback                   | proof-too-weak             || DANE-45
ee-other  | good        | -       | -        || pkix                       | pkix                       || DANE-45
pkix-ee   | good        | -       | -        || dane                       | dane                       || RFC 7671 5.3
ta        | stranger-ta | -       | -        || dane                       | dane                       || RFC 7671 5.2
bogus     | good        | -       | -        || pkix                       | pkix                       || DANE-45: the target is not connected to
bogus     | self        | -       | -        || dialback?                  | certificate-self-signed    || DANE-45
unknown   | self        | -       | -        || dialback?                  | certificate-self-signed    || DANE-45
unusable  | self        | -       | -        || dialback?                  | certificate-self-signed    || RFC 7673 4.1
";

/// A peer with anchors of its own is judged by those and by nothing else, in both directions (RFC 6120 13.6, CERT-22).
const PINNED: &str = "
TLSA      | certificate | POSH    | dialback || encrypted                  | authenticated              || because
-         | stranger    | -       | -        || pkix                       | pkix                       || the authority that is pinned
-         | good        | -       | -        || certificate-not-pinned     | certificate-not-pinned     || never the general ones
ee        | good        | -       | -        || certificate-not-pinned     | certificate-not-pinned     || nor the DNS
-         | good        | lists   | -        || certificate-not-pinned     | certificate-not-pinned     || nor a website
-         | good        | -       | yes      || certificate-not-pinned     | certificate-not-pinned     || nor whoever answers a call
-         | none        | -       | -        || certificate-missing        | certificate-missing        || nor may it be called back
";

/// What can be shown and said, made once.
struct Cast {
    ca: Authority,
    stranger: Authority,
    chains: HashMap<&'static str, crate::PresentedChain>,
}

impl Cast {
    fn new() -> Self {
        let (ca, stranger) = (Authority::new("Authority"), Authority::new("Stranger"));
        let expired = Shape {
            expired: true,
            ..Shape::default()
        };
        let foreign = stranger.chain(&["peer.example"], Shape::default());
        let mut with_anchor = foreign.certificates.to_vec();
        with_anchor.push(stranger.der());
        let with_anchor = crate::PresentedChain::new(&with_anchor, None).expect("a chain");
        let chains = HashMap::from([
            ("good", ca.chain(&["peer.example"], Shape::default())),
            ("host", ca.chain(&["xmpp.host.example"], Shape::default())),
            ("other", ca.chain(&["other.example"], Shape::default())),
            ("expired", ca.chain(&["peer.example"], expired)),
            ("stranger", foreign),
            ("stranger-ta", with_anchor),
            ("self", self_signed(&["peer.example"])),
            ("else", self_signed(&["peer.example"])),
        ]);
        Self {
            ca,
            stranger,
            chains,
        }
    }

    fn leaf(&self, certificate: &str) -> &[u8] {
        let chain = self
            .chains
            .get(certificate)
            .or_else(|| self.chains.get("else"));
        chain.and_then(crate::PresentedChain::leaf).expect("a leaf")
    }

    fn tlsa(&self, word: &str, certificate: &str) -> Option<dane::Evidence> {
        let shown = self.leaf(certificate);
        let secure = |usage, der: &[u8]| Tlsa::Secure(vec![record(usage, 0, 1, der)]);
        let tlsa = match word {
            "-" => return None,
            "off" => Tlsa::Off,
            "absent" => Tlsa::Absent,
            "bogus" => Tlsa::Bogus,
            "unknown" => Tlsa::Unknown("no answer in time".into()),
            "ee" => secure(3, shown),
            "ee-other" => secure(3, self.leaf("else")),
            "pkix-ee" => secure(1, shown),
            "ta" => secure(2, &self.stranger.der()),
            "unusable" => secure(9, shown),
            word => panic!("what is TLSA {word}?"),
        };
        Some(dane::Evidence {
            associations: vec![association(tlsa)],
            pkix_ta: false,
        })
    }

    fn posh(&self, word: &str, certificate: &str) -> Option<posh::Evidence> {
        let described = match word {
            "-" => return None,
            "none" => None,
            "lists" => Some(self.leaf(certificate)),
            "others" => Some(self.leaf("else")),
            word => panic!("what is POSH {word}?"),
        };
        let material = match described {
            None => posh::Material::Nothing(posh::Nothing::NotPublished),
            Some(der) => posh::Material::Fingerprints(vec![posh::Descriptor {
                hash: posh::Hash::Sha256,
                digest: Sha256::digest(der).to_vec(),
            }]),
        };
        Some(posh::Evidence {
            material,
            source: "https://peer.example/.well-known/posh/xmpp-server.json".into(),
            until: now().after(Duration::from_secs(3600)),
        })
    }

    fn evidence(&self, tlsa: &str, certificate: &str, posh: &str) -> Evidence {
        assert!(certificate == "none" || self.chains.contains_key(certificate));
        Evidence {
            tls: true,
            chain: self.chains.get(certificate).cloned(),
            tlsa: self.tlsa(tlsa, certificate),
            posh: self.posh(posh, certificate),
            ..Evidence::none(self.ca.anchors())
        }
    }
}

/// The cells of a table, its head left out.
fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| line.contains("||")).skip(1);
    lines.map(|line| {
        line.split('|')
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect()
    })
}

/// Checks both outcomes of a row.
fn check_row(role: Role, evidence: &Evidence, outcomes: &[&str], row: &[&str]) {
    for (level, expected) in [
        (PolicyLevel::Permissive, outcomes[0]),
        (PolicyLevel::Verified, outcomes[0]),
        (PolicyLevel::Encrypted, outcomes[0]),
        (PolicyLevel::Authenticated, outcomes[1]),
    ] {
        let policy = Policy {
            level,
            ..Policy::default()
        };
        let found = outcome(&claim(role), evidence, &policy);
        assert_eq!(found, expected, "{} at {}", row.join(" | "), level.name());
    }
}

/// DNA-05: a good name on a bad path proves as little as a good path to another name.
#[test]
fn dna_28_truth_table_of_streams_that_we_open() {
    let cast = Cast::new();
    for row in rows(OUTBOUND) {
        let [srv, tlsa, certificate, posh, ref outcomes @ .., _] = row[..] else {
            panic!("{row:?}");
        };
        let security = match srv {
            "secure" => Security::Secure,
            "insecure" => Security::Insecure,
            "bogus" => Security::Bogus,
            "unknown" => Security::Unknown,
            word => panic!("what is SRV {word}?"),
        };
        let evidence = Evidence {
            target: Some(target(security)),
            ..cast.evidence(tlsa, certificate, posh)
        };
        check_row(Role::Initiator, &evidence, outcomes, &row);
    }
}

#[test]
fn dna_28_truth_table_of_streams_that_peers_open() {
    let cast = Cast::new();
    for row in rows(INBOUND) {
        let [tlsa, certificate, posh, dialback, ref outcomes @ .., _] = row[..] else {
            panic!("{row:?}");
        };
        let evidence = Evidence {
            dialback: (dialback == "yes").then(confirmed),
            ..cast.evidence(tlsa, certificate, posh)
        };
        check_row(Role::Receiver, &evidence, outcomes, &row);
    }
}

#[test]
fn cert_22_truth_table_of_pinned_peers() {
    let cast = Cast::new();
    for row in rows(PINNED) {
        let [tlsa, certificate, posh, dialback, ref outcomes @ .., _] = row[..] else {
            panic!("{row:?}");
        };
        for (role, shown) in [
            (Role::Receiver, confirmed()),
            (Role::Initiator, delegated()),
        ] {
            let evidence = Evidence {
                dialback: (dialback == "yes").then_some(shown),
                pinned: Some(cast.stranger.anchors()),
                ..cast.evidence(tlsa, certificate, posh)
            };
            check_row(role, &evidence, outcomes, &row);
        }
    }
}

#[test]
fn without_tls_dialback_may_do_where_policy_says_so_and_dane_does_not() {
    let plain = |tlsa| Evidence {
        tls: false,
        dialback: Some(delegated()),
        target: Some(target(Security::Secure)),
        tlsa,
        ..Evidence::none(Arc::default())
    };
    let cast = Cast::new();
    let levels = [
        PolicyLevel::Permissive,
        PolicyLevel::Verified,
        PolicyLevel::Encrypted,
        PolicyLevel::Authenticated,
    ];
    for (tlsa, expected) in [
        (
            "absent",
            ["dialback", "dialback", "tls-required", "tls-required"],
        ),
        // DANE-25, and DANE-28 where no record is usable.
        ("ee", ["tls-required"; 4]),
        ("unusable", ["tls-required"; 4]),
    ] {
        for (level, expected) in levels.into_iter().zip(expected) {
            let policy = Policy {
                level,
                ..Policy::default()
            };
            let evidence = plain(cast.tlsa(tlsa, "good"));
            let found = outcome(&claim(Role::Initiator), &evidence, &policy);
            assert_eq!(found, expected, "{tlsa}, {}", level.name());
        }
    }
}

#[test]
fn dna_21_dialback_is_weak_and_says_so() {
    let evidence = Evidence {
        tls: true,
        dialback: Some(confirmed()),
        ..Evidence::none(Arc::default())
    };
    let policy = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = judge(&claim(Role::Receiver), &evidence, &policy, now());
    assert!(verdict.proven().is_none() && !verdict.may_dial_back());
    let weak = verdict.refusals().last().expect("a refusal");
    assert_eq!((weak.code, weak.fault), ("proof-too-weak", Fault::Policy));
    assert!(Prooftype::Dialback.is_weak() && !Prooftype::Pkix.is_weak());
}

#[test]
fn s2s_14_cert_31_dialback_of_one_direction_proves_nothing_in_the_other() {
    for (role, dialback) in [
        (Role::Initiator, confirmed()),
        (Role::Receiver, delegated()),
    ] {
        let evidence = Evidence {
            tls: true,
            dialback: Some(dialback),
            ..Evidence::none(Arc::default())
        };
        let verdict = judge(&claim(role), &evidence, &Policy::default(), now());
        assert!(verdict.proven().is_none(), "{role:?}");
    }
}

#[test]
fn block_and_allow_lists_come_before_all_evidence() {
    let ca = Authority::new("Authority");
    let evidence = Evidence {
        tls: true,
        chain: Some(ca.chain(&["peer.example"], Shape::default())),
        ..Evidence::none(ca.anchors())
    };
    let blocked = Policy {
        block: vec![domain("peer.example")],
        ..Policy::default()
    };
    let others = Policy {
        allow: vec![domain("friend.example")],
        ..Policy::default()
    };
    let listed = Policy {
        allow: vec![domain("peer.example")],
        ..Policy::default()
    };
    let claim = claim(Role::Receiver);
    assert_eq!(outcome(&claim, &evidence, &blocked), "peer-blocked");
    assert_eq!(outcome(&claim, &evidence, &others), "peer-not-allowed");
    assert_eq!(outcome(&claim, &evidence, &listed), "pkix");
}

#[test]
fn dane_29_a_secure_target_may_stand_for_the_domain() {
    let ca = Authority::new("Authority");
    let host = ca.chain(&["xmpp.host.example"], Shape::default());
    for (security, role, expected) in [
        (Security::Secure, Role::Initiator, "pkix"),
        // DNA-27: an insecure delegation lets nobody in by the host's name.
        (
            Security::Insecure,
            Role::Initiator,
            "certificate-name-mismatch",
        ),
        (
            Security::Unknown,
            Role::Initiator,
            "certificate-name-mismatch",
        ),
        // DANE-21
        (Security::Bogus, Role::Initiator, "delegation-bogus"),
        // The peer that calls us was found by no delegation.
        (
            Security::Secure,
            Role::Receiver,
            "certificate-name-mismatch",
        ),
    ] {
        let evidence = Evidence {
            tls: true,
            chain: Some(host.clone()),
            target: Some(target(security)),
            ..Evidence::none(ca.anchors())
        };
        let policy = Policy {
            level: PolicyLevel::Authenticated,
            ..Policy::default()
        };
        assert_eq!(
            outcome(&claim(role), &evidence, &policy),
            expected,
            "{security:?} {role:?}"
        );
    }
}

#[test]
fn dna_20_cert_26_the_proof_says_what_matched_and_how_long_it_lasts() {
    let ca = Authority::new("Authority");
    let host = Evidence {
        tls: true,
        chain: Some(ca.chain(&["xmpp.host.example"], Shape::default())),
        target: Some(target(Security::Secure)),
        ..Evidence::none(ca.anchors())
    };
    let proven = judge(&claim(Role::Initiator), &host, &Policy::default(), now())
        .into_proven()
        .expect("a proof");
    assert_eq!(proven.identifier(), "DNS-ID xmpp.host.example");
    assert!(proven.dnssec());
    // The DNS vouches for the host, and may say another one tomorrow (DANE-29).
    assert_eq!(proven.until(), now().after(crate::RECHECK));
    let weak = Evidence {
        tls: true,
        dialback: Some(confirmed()),
        ..Evidence::none(Arc::default())
    };
    let proven = judge(&claim(Role::Receiver), &weak, &Policy::default(), now())
        .into_proven()
        .expect("a proof");
    assert_eq!(proven.until(), now().after(dialback::LASTS));
}

#[test]
fn cert_22_a_peer_with_anchors_of_its_own_is_never_judged_by_the_general_ones() {
    let public = Authority::new("Public");
    let own = Authority::new("Own");
    let claim = claim(Role::Receiver);
    for (issuer, expected) in [(&own, "pkix"), (&public, "certificate-not-pinned")] {
        let evidence = Evidence {
            tls: true,
            chain: Some(issuer.chain(&["peer.example"], Shape::default())),
            pinned: Some(own.anchors()),
            ..Evidence::none(public.anchors())
        };
        let policy = Policy {
            level: PolicyLevel::Authenticated,
            ..Policy::default()
        };
        assert_eq!(outcome(&claim, &evidence, &policy), expected);
    }
}

#[test]
fn refusals_are_kept_beside_a_weaker_proof() {
    let ca = Authority::new("Authority");
    let evidence = Evidence {
        tls: true,
        chain: Some(ca.chain(&["other.example"], Shape::default())),
        dialback: Some(confirmed()),
        ..Evidence::none(ca.anchors())
    };
    let verdict = judge(&claim(Role::Receiver), &evidence, &Policy::default(), now());
    assert_eq!(
        verdict.proven().map(crate::Proven::by),
        Some(Prooftype::Dialback)
    );
    let text = &verdict.refusals()[0].text;
    assert!(
        text.contains("peer.example") && text.contains("DNS-ID other.example"),
        "{text}"
    );
}

#[test]
fn nothing_is_proved_by_nothing() {
    let evidence = Evidence::none(Arc::new(Anchors::default()));
    let verdict = judge(
        &claim(Role::Receiver),
        &evidence,
        &Policy::default(),
        Timestamp(0).after(Duration::from_secs(1)),
    );
    assert!(verdict.proven().is_none());
}

/// XEP-0344, DNA-20: whether signed DNS led to whom dialback asked is kept with the proof, and makes it no stronger.
#[test]
fn dna_20_21_dialback_keeps_whether_the_dns_was_signed() {
    for dnssec in [false, true] {
        let at = now();
        let confirmed = dialback::Evidence::Confirmed {
            by: "192.0.2.1:5269".into(),
            dnssec,
            at,
        };
        let delegated = dialback::Evidence::Delegated {
            to: "192.0.2.1:5269".into(),
            dnssec,
            at,
        };
        for (role, shown) in [(Role::Receiver, confirmed), (Role::Initiator, delegated)] {
            let evidence = Evidence {
                tls: true,
                dialback: Some(shown),
                ..Evidence::none(Arc::default())
            };
            let judged = |policy: &Policy| judge(&claim(role), &evidence, policy, now());
            let verdict = judged(&Policy::default());
            assert_eq!(verdict.proven().map(crate::Proven::dnssec), Some(dnssec));
            let strict = Policy {
                level: PolicyLevel::Authenticated,
                ..Policy::default()
            };
            assert!(judged(&strict).proven().is_none());
        }
    }
}
