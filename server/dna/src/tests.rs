//! The truth table of judging: for each policy, what each kind of evidence is worth.

use std::sync::Arc;
use std::time::Duration;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::pkix::tests::{Authority, Shape, now};
use crate::{
    Anchors, Claim, Evidence, Fault, Policy, PolicyLevel, Prooftype, Role, Security, Service,
    Target, dialback, judge,
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
        at: now(),
    }
}

fn delegated() -> dialback::Evidence {
    dialback::Evidence::Delegated {
        to: "192.0.2.1:5269".into(),
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

/// Outcome in a word: the prooftype, `dialback?` when dialback may be tried, or the first refusal's code.
fn outcome(claim: &Claim, evidence: &Evidence, policy: &Policy) -> String {
    let verdict = judge(claim, evidence, policy, now());
    match verdict.proven() {
        Some(proven) => {
            assert!(proven.covers(&claim.local, &claim.remote));
            assert!(!proven.covers(&claim.remote, &claim.local));
            proven.by().name().to_owned()
        }
        None if verdict.may_dial_back() => "dialback?".to_owned(),
        None => verdict.refusals()[0].code.to_owned(),
    }
}

#[test]
fn truth_table() {
    let ca = Authority::new("Authority");
    let stranger = Authority::new("Stranger");
    let good = ca.chain(&["peer.example"], Shape::default());
    let other = ca.chain(&["other.example"], Shape::default());
    let unknown = stranger.chain(&["peer.example"], Shape::default());
    let evidence = |chain: Option<&crate::PresentedChain>, dialback| Evidence {
        tls: true,
        chain: chain.cloned(),
        dialback,
        ..Evidence::none(ca.anchors())
    };
    let plain = Evidence {
        tls: false,
        dialback: Some(confirmed()),
        ..Evidence::none(ca.anchors())
    };
    let rows = [
        // what is shown                          permissive   verified     encrypted    authenticated
        (
            "certificate",
            evidence(Some(&good), None),
            ["pkix", "pkix", "pkix", "pkix"],
        ),
        (
            "certificate and dialback",
            evidence(Some(&good), Some(confirmed())),
            ["pkix", "pkix", "pkix", "pkix"],
        ),
        (
            "certificate for another name",
            evidence(Some(&other), None),
            [
                "dialback?",
                "dialback?",
                "dialback?",
                "certificate-name-mismatch",
            ],
        ),
        (
            "certificate of nobody we know",
            evidence(Some(&unknown), None),
            [
                "dialback?",
                "dialback?",
                "dialback?",
                "certificate-issuer-unknown",
            ],
        ),
        (
            "the same and dialback",
            evidence(Some(&unknown), Some(confirmed())),
            [
                "dialback",
                "dialback",
                "dialback",
                "certificate-issuer-unknown",
            ],
        ),
        (
            "no certificate",
            evidence(None, None),
            ["dialback?", "dialback?", "dialback?", "certificate-missing"],
        ),
        (
            "dialback over TLS",
            evidence(None, Some(confirmed())),
            ["dialback", "dialback", "dialback", "certificate-missing"],
        ),
        (
            "dialback without TLS",
            plain,
            ["dialback", "dialback", "tls-required", "tls-required"],
        ),
    ];
    let levels = [
        PolicyLevel::Permissive,
        PolicyLevel::Verified,
        PolicyLevel::Encrypted,
        PolicyLevel::Authenticated,
    ];
    for (shown, evidence, expected) in rows {
        for (level, expected) in levels.into_iter().zip(expected) {
            let policy = Policy {
                level,
                ..Policy::default()
            };
            let found = outcome(&claim(Role::Receiver), &evidence, &policy);
            assert_eq!(found, expected, "{shown}, {}", level.name());
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
fn s2s_14_dialback_of_one_direction_proves_nothing_in_the_other() {
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
fn dna_20_the_proof_says_what_matched_and_how_long_it_lasts() {
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
