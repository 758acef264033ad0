//! What is kept of what happened with a peer, where that takes both ends to show.

use std::sync::atomic::Ordering;

use super::*;

/// XEP-0344, DNA-20: signed records led to whom was asked, and the attempts of both directions say so.
#[tokio::test]
async fn dna_20_whether_signed_dns_led_to_the_peer_is_kept() {
    for signed in [true, false] {
        let (one, two) = houses(false, false, false).await;
        one.dns.1.store(signed, Ordering::Relaxed);
        chat(&one, &two).await;
        for (house, other, direction) in [(&one, &two, "out"), (&two, &one, "in")] {
            let attempt = house.attempts(other, |a| a["direction"] == direction).await;
            assert_eq!(attempt["prooftype"], "dialback", "{attempt}");
            assert_eq!(attempt["dnssec"], signed, "{attempt}");
            assert_eq!(attempt["weak"], true, "{attempt}");
        }
    }
}

/// A peer called, and whoever its DNS names never said whether the key is its own: that is told to the domain it called.
#[tokio::test]
async fn dialback_16_an_authority_that_stays_silent_is_told() {
    let (one, two) = houses(false, false, false).await;
    // Where `two.example` is served nobody says anything; it calls all the same.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = silent.local_addr().expect("bound");
    one.dns
        .serve("two.example", (address, false), &[[127, 0, 0, 1]]);
    two.send(&one, "m1").await;
    let (_held, _) = silent.accept().await.expect("asked");
    two.server
        .federation()
        .close_all(&StreamCondition::SystemShutdown.into());
    let attempt = one.attempts(&two, |a| a["direction"] == "in").await;
    assert_eq!(attempt["ok"], false, "{attempt}");
    assert_eq!(attempt["stage"], "sign-in", "{attempt}");
    let summary = attempt["summary"].as_str().unwrap_or_default();
    assert!(
        summary.starts_with("two.example called") && summary.contains("its own server"),
        "{attempt}"
    );
    // Why its certificate was not enough is the first thing to mend.
    assert_eq!(attempt["code"], "certificate-issuer-unknown", "{attempt}");
    let marks: Vec<_> = attempt["refusals"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|refusal| (&refusal["prooftype"], &refusal["minor"]))
        .collect();
    assert!(
        marks.contains(&(&"posh".into(), &true.into()))
            && marks.contains(&(&"pkix".into(), &false.into())),
        "{attempt}"
    );
}
