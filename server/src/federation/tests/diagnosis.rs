//! What is kept of what happened with a peer, where that takes both ends to show.

use std::sync::atomic::Ordering;

use dna::dane;

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
    let silent = two.stand_in().await;
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

impl House {
    /// TLSA records at its door that describe another certificate.
    fn describe_another(&self) {
        let owner = dane::owner(&format!("xmpp.{}", self.domain), self.door.0.port());
        let other = RecordData::Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![7; 32],
        };
        self.dns.1.store(true, Ordering::Relaxed);
        let mut table = self.dns.0.lock();
        table.insert((owner, RecordType::Tlsa), vec![other]);
    }
}

/// DANE-25, DANE-35: nobody is asked about a key where TLSA records describe another certificate than is shown, though for
/// dialback alone any certificate would do.
#[tokio::test]
async fn dane_35_a_key_is_not_verified_where_tlsa_records_speak_against_it() {
    let (one, two) = houses(false, false, false).await;
    two.describe_another();
    // It calls, and is to be asked back.
    two.send(&one, "d1").await;
    let error = two.got().await;
    assert!(
        error.contains("id='d1'") && error.contains("type='error'"),
        "{error}"
    );
    let attempt = one.attempts(&two, |a| a["direction"] == "out").await;
    assert_eq!(attempt["code"], "tlsa-mismatch", "{attempt}");
    assert_eq!(attempt["stage"], "identity", "{attempt}");
    let attempt = one.attempts(&two, |a| a["direction"] == "in").await;
    assert_eq!(attempt["ok"], false, "{attempt}");
    assert!(one.peers().is_empty() && two.peers().is_empty());
}

/// DANE-26: a target whose TLSA records are wrongly signed is not connected to.
#[tokio::test]
async fn dane_26_a_barred_target_is_not_called() {
    let (one, two) = houses(true, true, false).await;
    let door = two.stand_in().await;
    let port = door.local_addr().expect("bound").port();
    let owner = dane::owner("xmpp.two.example", port);
    one.dns.1.store(true, Ordering::Relaxed);
    one.dns.2.lock().push((owner, RecordType::Tlsa));
    one.send(&two, "b1").await;
    let error = one.got().await;
    assert!(
        error.contains("id='b1'") && error.contains("wrongly signed"),
        "{error}"
    );
    let attempt = one.attempts(&two, |_| true).await;
    assert_eq!(
        (&attempt["code"], &attempt["stage"]),
        (&"tlsa-bogus".into(), &"dns".into())
    );
    assert_eq!(attempt["fault"], "dns", "{attempt}");
    let called = futures_util::FutureExt::now_or_never(door.accept());
    assert!(called.is_none(), "nobody came to the door");
}
