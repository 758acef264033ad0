//! Peers, and what became of the attempts to reach them.

use control::peer::{AnchorView, PeerPage, PeerShow, PeerView, PinnedView, Story, WayView};

use super::at;

pub(crate) fn peers() -> Vec<PeerView> {
    let peer = |peer: &str, prooftype: Option<&str>, ok, summary: &str, connected| PeerView {
        peer: peer.into(),
        prooftype: prooftype.map(str::to_owned),
        ok,
        summary: summary.into(),
        why: summary.into(),
        last: at(-400),
        connected,
        outgoing: prooftype.map(|by| way(true, Some(by), connected)),
        incoming: None,
    };
    let mut all = vec![
        peer(
            "two.example",
            Some("pkix"),
            true,
            "Both sides are proven; messages go through.",
            true,
        ),
        peer(
            "old-ejabberd.example",
            Some("dialback"),
            true,
            "They refused our certificate (not-authorized), then accepted dialback.",
            false,
        ),
        peer(
            "broken.example",
            None,
            false,
            "Their certificate expired 3 days ago.",
            false,
        ),
    ];
    all[0].incoming = Some(way(true, Some("dane"), true));
    all[1].incoming = Some(way(true, Some("posh"), false));
    all[2].outgoing = Some(way(false, None, false));
    all[2].incoming = Some(way(true, Some("pkix"), false));
    all
}

/// As many as fit on a page, with long names and much to say.
pub(crate) fn many_peers(count: usize) -> Vec<PeerView> {
    let mut all = Vec::new();
    for (at, mut peer) in peers().into_iter().cycle().take(count).enumerate() {
        peer.peer = format!(
            "{}.of-a-university-with-a-long-name-{at}.example",
            "x".repeat(12)
        );
        peer.why = format!("{} was reached, and {}", peer.peer, peer.why);
        peer.incoming = Some(way(at % 2 == 0, Some("dane"), at % 3 == 0));
        all.push(peer);
    }
    all
}

fn way(ok: bool, prooftype: Option<&str>, connected: bool) -> WayView {
    WayView {
        ok,
        prooftype: prooftype.map(str::to_owned),
        connected,
    }
}

/// The first page of so many.
pub(crate) fn peer_page(peers: Vec<PeerView>, total: usize) -> PeerPage {
    PeerPage {
        next: Some(peers.len()).filter(|shown| *shown < total),
        peers,
        total,
        from: 0,
        previous: None,
    }
}

pub(crate) fn pinned() -> PinnedView {
    PinnedView {
        peer: "school.example".into(),
        anchors: vec![AnchorView {
            subject: "C=SE, O=Lindgren School District, CN=Lindgren School Internal Certificate Authority 2024".into(),
            fingerprint: "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08".into(),
            not_after: at(86_400 * 700),
            expired: false,
        }],
    }
}

pub(crate) fn stories() -> Vec<Story> {
    let told =
        |attempt| control::peer::tell("lindgren-and-daughters.example", "broken.example", attempt);
    attempts().into_iter().map(told).collect()
}

fn attempts() -> Vec<serde_json::Value> {
    vec![
        serde_json::json!({
            "at": "2026-11-25T19:58:20Z", "ok": false, "summary": "No connection to xmpp.broken.example (192.0.2.77:5269).", "direction": "out",
            "code": "unreachable", "fault": "network", "target": "xmpp.broken.example:5269", "dns": "insecure", "address": "192.0.2.77:5269",
            "refusals": [],
        }),
        serde_json::json!({
            "at": "2026-11-25T19:53:20Z", "ok": false, "summary": "Their certificate expired 3 days ago.", "direction": "out",
            "code": "certificate-expired", "fault": "peer", "target": "xmpp.broken.example:5269", "address": "192.0.2.77:5269",
            "tls": "TLSv1.3", "cipher": "TLS13_AES_256_GCM_SHA384", "mechanism": null, "prooftype": null,
            "refusals": [{"prooftype": "pkix", "code": "expired", "text": "the certificate expired on 2026-11-22", "fault": "peer"}, {"prooftype": "posh", "code": "posh-mismatch", "text": "no fingerprint of its file fits", "fault": "peer"}],
            "remote_error": "not-authorized (your certificate is not marked for clients)",
        }),
        serde_json::json!({
            "at": "2026-11-25T18:53:20Z", "ok": true, "summary": "Proven by certificate.", "direction": "in",
            "address": "192.0.2.77:41022", "tls": "TLSv1.3", "mechanism": "EXTERNAL", "prooftype": "pkix", "identifier": "broken.example",
            "dnssec": false, "weak": false, "refusals": [],
        }),
    ]
}

pub(crate) fn peer_show() -> PeerShow {
    PeerShow {
        view: peers().remove(2),
        pinned: Some(pinned()),
        attempts: stories(),
    }
}
