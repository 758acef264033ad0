//! What a kept attempt becomes in words: every code has a meaning, and each story names a side and a remedy.

use std::collections::BTreeSet;

use serde_json::json;

use super::codes::MEANINGS;
use super::*;

fn told(attempt: Value) -> Story {
    tell("one.example", "peer.example", attempt)
}

fn broken(story: &Story) -> Option<&'static str> {
    let mut steps = story.steps.iter();
    Some(steps.find(|s| s.reached == Reached::Broken)?.step)
}

#[test]
fn ten_faults_are_told_ten_ways() {
    // As federation writes them: code, whose fault, and where on the way it broke.
    let faults = [
        ("dns-nowhere", "dns", "dns", Side::Dns),
        ("delegation-bogus", "dns", "dns", Side::Dns),
        ("unreachable", "network", "connect", Side::Network),
        ("tls-failed", "peer", "tls", Side::Theirs),
        ("certificate-expired", "peer", "identity", Side::Theirs),
        (
            "certificate-name-mismatch",
            "peer",
            "identity",
            Side::Theirs,
        ),
        ("certificate-self-signed", "peer", "identity", Side::Theirs),
        ("proof-too-weak", "policy", "identity", Side::Policy),
        (
            "peer-rejects-serverauth-cert",
            "peer",
            "sign-in",
            Side::Theirs,
        ),
        ("dialback-invalid", "ours", "sign-in", Side::Ours),
        ("peer-blocked", "policy", "dns", Side::Policy),
        ("tlsa-mismatch", "peer", "identity", Side::Theirs),
        ("posh-mismatch", "peer", "identity", Side::Theirs),
    ];
    let mut explanations = BTreeSet::new();
    let mut remedies = BTreeSet::new();
    for (code, fault, step, side) in faults {
        let story = told(json!({"ok": false, "code": code, "fault": fault}));
        assert_eq!(broken(&story), Some(step), "{code}");
        assert_eq!(story.side, side, "{code}");
        assert!(
            explanations.insert(story.why.clone()),
            "{code}: {}",
            story.why
        );
        assert!(remedies.insert(story.fix.clone()), "{code}: {}", story.fix);
    }
}

#[test]
fn every_code_is_told_once_names_no_placeholder_and_ends_with_a_stop() {
    let mut codes = BTreeSet::new();
    let mut texts = BTreeSet::new();
    for (code, ..) in MEANINGS {
        assert!(codes.insert(code), "{code} twice");
        let story = told(json!({"ok": false, "code": code}));
        assert!(texts.insert(story.why.clone()), "{code}: {}", story.why);
        for text in [&story.why, &story.fix] {
            assert!(
                !text.contains(['{', '}', '!']) && text.ends_with('.'),
                "{code}: {text}"
            );
        }
    }
}

#[test]
fn an_unknown_code_is_told_by_its_first_word_and_whose_fault_it_says_it_is() {
    let story = told(json!({"ok": false, "code": "posh-oddity", "fault": "ours"}));
    assert_eq!((broken(&story), story.side), (Some("identity"), Side::Ours));
    assert!(story.why.contains("POSH"));
    let story = told(json!({"ok": false}));
    assert_eq!(
        (broken(&story), story.side),
        (Some("sign-in"), Side::Theirs)
    );
    assert_eq!(told(json!("odd")).fact("summary"), "odd");
}

#[test]
fn the_way_shows_what_was_seen_up_to_where_it_broke() {
    let story = told(json!({
        "at": "2026-11-25T20:00:00Z", "direction": "out", "ok": false, "code": "certificate-expired", "fault": "peer",
        "target": "xmpp.peer.example:5269", "dns": "secure", "address": "192.0.2.1:5269", "tls": "TLSv1.3", "cipher": "AES",
        "refusals": [{"prooftype": "pkix", "code": "certificate-expired", "text": "it has expired", "fault": "peer"}],
        "fix": "their own words",
    }));
    let seen: Vec<_> = story
        .steps
        .iter()
        .map(|step| (step.step, step.reached, step.seen.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (
                "dns",
                Reached::Done,
                "xmpp.peer.example:5269, by signed DNS"
            ),
            ("connect", Reached::Done, "192.0.2.1:5269"),
            ("tls", Reached::Done, "TLS 1.3"),
            ("identity", Reached::Broken, "certificate does not hold"),
            ("sign-in", Reached::Later, ""),
        ]
    );
    assert_eq!(story.fix, "their own words");
    assert!(!story.facts.contains_key("fix"));
    assert_eq!(story.proofs[0].text, "it has expired");
}

#[test]
fn a_success_has_every_step_done_and_nobody_at_fault() {
    let story = told(json!({
        "ok": true, "direction": "in", "address": "192.0.2.1:41022", "tls": "TLSv1.3", "mechanism": "EXTERNAL", "prooftype": "pkix",
        "identifier": "DNS-ID peer.example",
        "verdicts": [{"prooftype": "dane", "holds": false, "text": "no TLSA"}, {"prooftype": "pkix", "holds": true, "text": "DNS-ID peer.example"}],
    }));
    assert!(story.steps.iter().all(|step| step.reached == Reached::Done));
    assert_eq!((story.side, story.fix.as_str()), (Side::Nobody, ""));
    assert_eq!(story.proofs.len(), 2);
    assert!(story.why.contains("proved who it is"));
    assert!(
        told(json!({"ok": true, "prooftype": "dialback"}))
            .why
            .contains("no proof")
    );
}

#[test]
fn where_there_is_no_website_to_ask_the_certificate_is_what_has_to_be_mended() {
    let story = told(json!({
        "ok": false, "code": "posh-not-published", "fault": "peer",
        "verdicts": [
            {"prooftype": "pkix", "holds": false, "code": "certificate-expired", "text": "expired"},
            {"prooftype": "posh", "holds": false, "code": "posh-not-published", "text": "none"},
        ],
    }));
    assert_eq!(story.why, "The certificate of peer.example has expired.");
}

#[test]
fn what_had_nothing_to_say_is_no_refusal() {
    let story = tell(
        "one.example",
        "peer.example",
        json!({
            "direction": "out", "ok": true, "prooftype": "dialback", "dnssec": true,
            "verdicts": [
                {"prooftype": "pkix", "holds": false, "code": "certificate-expired", "text": "expired"},
                {"prooftype": "posh", "holds": false, "code": "posh-not-published", "text": "no document", "minor": true},
                {"prooftype": "dialback", "holds": true, "text": "the DNS leads there"},
            ],
        }),
    );
    assert_eq!(
        story.steps[3].seen,
        "certificate does not hold, dialback holds"
    );
    let minor: Vec<_> = story.proofs.iter().map(|proof| proof.minor).collect();
    assert_eq!(minor, [false, true, false]);
    // XEP-0344: forged DNS was no way in here.
    assert!(story.why.contains("signed DNS"), "{}", story.why);
}

#[test]
fn where_a_website_means_to_vouch_and_fails_to_that_is_what_has_to_be_mended() {
    let by_site = |code: &str| {
        let story = told(json!({
            "ok": false, "code": "certificate-issuer-unknown", "fault": "peer",
            "verdicts": [
                {"prooftype": "pkix", "holds": false, "code": "certificate-issuer-unknown", "text": "whose?"},
                {"prooftype": "posh", "holds": false, "code": code, "text": "no", "minor": true},
            ],
        }));
        let seen = story.steps[3].seen.clone();
        (story.why, seen)
    };
    let (why, seen) = by_site("posh-malformed");
    assert!(why.contains("cannot be understood"), "{why}");
    assert_eq!(seen, "certificate does not hold, nothing by website (POSH)");
    let (why, seen) = by_site("posh-no-address");
    assert!(why.contains("not publicly known"), "{why}");
    assert_eq!(seen, "certificate does not hold");
}
