//! What a domain publishes, and how its certificate rolls over.

use control::Timestamp;
use control::records::{
    DesiredRecord, MODE_COSTS, ModeOffer, Purpose, RecordValue, RecordView, RecordsPage, Standing,
    WebExample, WebView,
};
use control::rollover::{RolloverView, StepView, TlsaView};

use super::NOW;

fn record(
    purpose: Purpose,
    relative: &str,
    value: RecordValue,
    why: &str,
    optional: bool,
) -> DesiredRecord {
    DesiredRecord {
        purpose,
        service: None,
        rtype: value.rtype(),
        relative: relative.into(),
        name: format!("{relative}.bakery.example."),
        value_text: value.to_string(),
        value,
        ttl_seconds: 3600,
        why: why.into(),
        optional,
    }
}

pub(crate) fn rollover() -> RolloverView {
    let step = |step, standing, at: Option<i64>, text: &str| StepView {
        step,
        standing,
        at: at.map(|seconds| Timestamp(NOW.0 + seconds * 1_000_000)),
        text: text.into(),
    };
    RolloverView {
        phase: "waiting",
        text: "The next certificate is known; older copies run out at 2026-12-17T20:00:00Z, then it is used.".into(),
        steps: vec![
            step("make", "done", Some(-7200), "The next certificate was made, with another key, and put aside sealed."),
            step("publish", "done", Some(-3600), "Seen in the platform's zone everywhere."),
            step("publish", "now", None, "To be seen on your website."),
            step("wait", "now", Some(7200), "Older copies in other servers' memory run out."),
            step("swap", "later", Some(7200), "It comes into use; nobody is disconnected."),
        ],
        tlsa: vec![TlsaView {
            owner: "_5269._tcp.d7f3k2.on.hosting.example".into(),
            records: vec![format!("3 1 1 {}", "8a".repeat(32)), format!("3 1 1 {}", "3c".repeat(32))],
        }],
        posh: vec!["5d".repeat(32)],
        believed_seconds: 14_400,
        key_days: Some(365),
        emergency: "Until their copies have run out, at 2026-12-17T20:00:00Z at the latest, servers with DANE or POSH that remember the old key refuse new connections to you.".into(),
    }
}

/// All that there is.
pub(crate) fn modes() -> Vec<ModeOffer> {
    let offer = |cost| ModeOffer {
        cost,
        available: true,
        unavailable: "",
    };
    MODE_COSTS.into_iter().map(offer).collect()
}

fn web() -> Vec<WebView> {
    let of = |service: &'static str, standing| WebView {
        service,
        address: format!("https://bakery.example/.well-known/posh/{service}.json"),
        redirect: format!("https://web.hosting.example/posh/d7f3k2/{service}.json"),
        document: format!(
            r#"{{"expires":14400,"url":"https://web.hosting.example/posh/d7f3k2/{service}.json"}}"#
        ),
        content_type: "application/json",
        cross_origin: false,
        why: "Lets servers that know POSH see that we speak for you.".into(),
        optional: false,
        examples: Vec::new(),
        standing,
    };
    let redirect = "https://web.hosting.example/acme/d7f3k2/";
    let challenge = WebView {
        service: "acme-challenge",
        address: "http://bakery.example/.well-known/acme-challenge/".into(),
        redirect: redirect.into(),
        document: String::new(),
        content_type: "",
        cross_origin: false,
        why: "Lets us obtain and renew the certificate for bakery.example.".into(),
        optional: false,
        examples: vec![WebExample {
            server: "Apache",
            text: format!("Redirect 302 /.well-known/acme-challenge/ {redirect}"),
        }],
        standing: Standing::Different,
    };
    vec![
        challenge,
        of("xmpp-client", Standing::Seen),
        of("xmpp-server", Standing::Missing),
        WebView {
            service: "host-meta",
            address: "https://bakery.example/.well-known/host-meta".into(),
            redirect: "https://web.hosting.example/host-meta/d7f3k2/host-meta".into(),
            document: "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'/>".into(),
            content_type: "application/xrd+xml",
            cross_origin: true,
            why: "Lets apps in a browser find your chat service.".into(),
            optional: true,
            examples: Vec::new(),
            standing: Standing::Missing,
        },
    ]
}

pub(crate) fn records() -> RecordsPage {
    let srv = |port| RecordValue::Srv {
        priority: 0,
        weight: 5,
        port,
        target: "d7f3k2.on.hosting.example".into(),
    };
    let view = |record, standing, replaces: &[&str]| RecordView {
        record,
        standing,
        replaces: replaces.iter().map(|old| (*old).to_owned()).collect(),
    };
    let txt = RecordValue::Txt {
        text: "domicile-verify=k3v9w2m8q4x7".into(),
    };
    let cname = RecordValue::Cname {
        target: "d7f3k2._acme.on.hosting.example".into(),
    };
    RecordsPage {
        domain: "bakery.example".into(),
        zone: "bakery.example.".into(),
        dns_host: "Hetzner".into(),
        dns_hint: "Its form adds the zone's name by itself: type the relative name, and end the target with a dot.".into(),
        dns_panel: "https://dns.hetzner.com/zone/bakery.example".into(),
        web: web(),
        records: vec![
            view(record(Purpose::Ownership, "_domicile", txt, "Shows that the domain is yours. Keep it: it is looked at again from time to time.", false), Standing::Seen, &[]),
            view(record(Purpose::Challenge, "_acme-challenge", cname, "Lets us obtain and renew the certificate for bakery.example; it would also let us obtain one for your website.", false), Standing::Missing, &[]),
            view(record(Purpose::Client, "_xmpp-client._tcp", srv(5222), "Where apps find your chat service.", false), Standing::Different, &["0 5 5222 chat.old-host.example."]),
            view(record(Purpose::Server, "_xmpp-server._tcp", srv(5269), "Where other chat servers find yours.", false), Standing::Seen, &[]),
            view(record(Purpose::ClientTls, "_xmpps-client._tcp", srv(5223), "Lets apps connect encrypted from the first byte: faster, and it passes more firewalls.", true), Standing::Unknown, &[]),
            view(record(Purpose::ServerTls, "_xmpps-server._tcp", srv(5270), "The same for other chat servers.", true), Standing::Missing, &[]),
        ],
    }
}

pub(crate) fn zone_file() -> String {
    let lines = records();
    let lines = lines.records.iter().map(|view| {
        let record = &view.record;
        format!(
            "{:<36} {} IN {:<5} {}\n",
            record.name, record.ttl_seconds, record.rtype, record.value_text
        )
    });
    std::iter::once("; bakery.example: records for its chat service\n".to_owned())
        .chain(lines)
        .collect()
}
