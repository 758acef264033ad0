//! Sample data: a domain in every state, with names long enough and values odd enough to show where a page breaks.

use control::Timestamp;
use control::account::{AccountPage, AccountView};
use control::audit::AuditView;
use control::certificate::{
    AuthorityView, CertificateView, OrderView, Priority, Used as UsedLimit, Why,
};
use control::client_certificate::ClientCertificateView;
use control::component::ComponentView;
use control::domain::{
    DayView, DomainShow, DomainView, NextStep, Seen, State, Station, VerdictView,
};
use control::findings::{FindingView, Severity};
use control::invitation::InvitationView;
use control::kept::{RoomView, UploadsView};
use control::ladder::{LadderStep, LadderView, Step};
use control::operator::{LoginView, OperatorView};
use control::outside::IssuerInfo;
use control::peer::{AnchorView, PeerShow, PeerView, PinnedView, Story};
use control::plan::PlanView;
use control::records::{
    DesiredRecord, MODE_COSTS, Mode, ModeOffer, Purpose, RecordValue, RecordView, RecordsPage,
    Standing, WebExample, WebView,
};
use control::rollover::{RolloverView, StepView, TlsaView};
use control::series::{PointView, SeriesView, StepAsked};
use control::settings::Limits;
use control::tenant::{Overview, TenantView, Used};
use control::token::TokenView;
use control::usage::{QuotaView, UsageView};
use control::webhook::{DeliveryView, WebhookView};

use control::Role;

use crate::frame::{Frame, Here, Who};

/// 2026-11-25 20:00:00 UTC.
pub(super) const NOW: Timestamp = Timestamp(1_795_636_800_000_000);
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// So many seconds from now.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * SECOND)
}

pub(super) fn frame(role: Option<Role>) -> Frame {
    Frame {
        service: "Domicile".into(),
        sandbox: true,
        sign_up: true,
        who: role.map(|role| Who {
            login: "sofia@lindgren-and-daughters.example".into(),
            role,
            csrf: "c5rf".into(),
        }),
        here: Here::Home,
        domain: None,
        live: None,
        notice: None,
        problem: None,
        now: NOW,
    }
}

pub(super) fn domain(
    name: &str,
    ascii: &str,
    state: State,
    chip: &'static str,
    status: &str,
) -> DomainView {
    DomainView {
        id: 1,
        domain: name.into(),
        ascii: ascii.into(),
        tenant: 1,
        state,
        chip,
        status: status.into(),
        accounts: 2,
        created: at(-86_400),
    }
}

pub(super) fn domains() -> Vec<DomainView> {
    vec![
        domain(
            "bakery.example",
            "bakery.example",
            State::Degraded,
            "degraded",
            "Something that people feel is wrong; see the first row below.",
        ),
        domain(
            "münchner-freunde.example",
            "xn--mnchner-freunde-wob.example",
            State::Claimed,
            "waiting for you",
            "Waiting for the record that shows the domain is yours.",
        ),
        domain(
            "choir.example",
            "choir.example",
            State::Publishing,
            "waiting for the world",
            "Records are appearing; the certificate comes next.",
        ),
        domain(
            "school.example",
            "school.example",
            State::Ready,
            "ready",
            "Everything on our side stands. Point the service records at us whenever you like; there is no gap.",
        ),
        domain(
            "lindgren-and-daughters.example",
            "lindgren-and-daughters.example",
            State::Live,
            "live",
            "People can sign in, and other servers can verify you by certificate.",
        ),
        domain(
            "old.example",
            "old.example",
            State::Suspended,
            "stopped",
            "Stopped by you: moving house.",
        ),
    ]
}

fn finding(
    severity: Severity,
    code: &str,
    subject: &str,
    expected: &str,
    observed: &str,
    fix: &str,
) -> FindingView {
    FindingView {
        code: code.into(),
        severity,
        subject: subject.into(),
        expected: expected.into(),
        observed: observed.into(),
        asked: "ns1.dns-host.example (192.0.2.53)".into(),
        fix: fix.into(),
        since: at(-7300),
        next_check: Some(at(25)),
    }
}

pub(super) fn checks_pending() -> Vec<FindingView> {
    let target = "d7f3k2.on.hosting.example.";
    vec![
        finding(
            Severity::Critical,
            "srv-wrong-target",
            "SRV _xmpp-client._tcp.bakery.example",
            &format!("0 5 5222 {target}"),
            "0 5 5222 chat.old-host.example.",
            "_xmpp-client._tcp.bakery.example still points at chat.old-host.example; replace that SRV record by the one shown.",
        ),
        finding(
            Severity::Critical,
            "acme-cname-missing",
            "CNAME _acme-challenge.bakery.example",
            "d7f3k2._acme.on.hosting.example.",
            "no record",
            "Publish the CNAME record.",
        ),
        finding(
            Severity::Warning,
            "ttl-too-long",
            "SRV _xmpp-server._tcp.bakery.example",
            &format!("0 5 5269 {target}"),
            &format!("0 5 5269 {target} (TTL 604800)"),
            "Lower its TTL to an hour.",
        ),
        finding(
            Severity::Unknown,
            "resolver-unknown",
            "SRV _xmpps-client._tcp.bakery.example",
            &format!("0 5 5223 {target}"),
            "no answer within 5 seconds",
            "Nothing to do: it is asked again by itself.",
        ),
        finding(
            Severity::Info,
            "srv-missing",
            "SRV _xmpps-server._tcp.bakery.example",
            &format!("0 5 5270 {target}"),
            "no record",
            "Publish the SRV record if you like; nothing needs it.",
        ),
        finding(
            Severity::Ok,
            "ok",
            "TXT _domicile.bakery.example",
            "\"domicile-verify=k3v9w2m8q4x7\"",
            "\"domicile-verify=k3v9w2m8q4x7\"",
            "",
        ),
    ]
}

pub(super) fn checks_good() -> Vec<FindingView> {
    let target = "d7f3k2.on.hosting.example.";
    [
        (
            "CNAME _acme-challenge.lindgren-and-daughters.example",
            "d7f3k2._acme.on.hosting.example.".to_owned(),
        ),
        (
            "SRV _xmpp-client._tcp.lindgren-and-daughters.example",
            format!("0 5 5222 {target}"),
        ),
        (
            "SRV _xmpp-server._tcp.lindgren-and-daughters.example",
            format!("0 5 5269 {target}"),
        ),
        (
            "TXT _domicile.lindgren-and-daughters.example",
            "\"domicile-verify=k3v9w2m8q4x7\"".to_owned(),
        ),
        (
            "certificate",
            "a certificate for lindgren-and-daughters.example".to_owned(),
        ),
        (
            "public door",
            "192.0.2.1:5222, TLS 1.3, certificate for lindgren-and-daughters.example".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(subject, value)| finding(Severity::Ok, "ok", subject, &value, &value, ""))
    .collect()
}

pub(super) fn certificate() -> CertificateView {
    CertificateView {
        id: 1,
        names: vec![
            "lindgren-and-daughters.example".into(),
            "rooms.lindgren-and-daughters.example".into(),
        ],
        issuer: "Let's Encrypt E7".into(),
        not_before: Timestamp(NOW.0 - 20 * DAY),
        not_after: Timestamp(NOW.0 + 44 * DAY),
        renew_at: Some(Timestamp(NOW.0 + 22 * DAY)),
        days_left: 44,
        renewal: None,
        source: "acme".into(),
        state: "current".into(),
        fingerprint: (0..32)
            .map(|byte| format!("{:02X}", byte * 7))
            .collect::<Vec<_>>()
            .join(":"),
        key_since: Timestamp(NOW.0 - 300 * DAY),
    }
}

fn station(name: &'static str, standing: &'static str, text: &str) -> Station {
    Station {
        name,
        standing,
        text: text.into(),
    }
}

pub(super) fn verdicts(name: &str) -> Vec<VerdictView> {
    let row = |name: &str, who, prooftype, accepted, why: &str| VerdictView {
        name: name.into(),
        who,
        prooftype,
        accepted,
        why: why.into(),
    };
    vec![
        row(
            name,
            "phones and desktops",
            "pkix",
            Seen::Yes,
            "The certificate holds your domain's name.",
        ),
        row(
            name,
            "strict servers",
            "pkix",
            Seen::Yes,
            "The certificate holds your domain's name.",
        ),
        row(
            name,
            "strict servers",
            "dane",
            Seen::Unknown,
            "The resolver did not answer.",
        ),
        row(
            name,
            "servers with DANE",
            "pkix",
            Seen::Yes,
            "The certificate holds your domain's name.",
        ),
        row(
            name,
            "servers with DANE",
            "dane",
            Seen::No,
            "Your zone is not signed with DNSSEC.",
        ),
        row(
            name,
            "older servers",
            "dialback",
            Seen::Yes,
            "We answer when they ask back.",
        ),
        row(
            &format!("rooms.{name}"),
            "strict servers",
            "pkix",
            Seen::No,
            "The name is not in the certificate.",
        ),
    ]
}

pub(super) fn show_live() -> DomainShow {
    let mut view = domains().remove(4);
    view.accounts = 23;
    DomainShow {
        streams: Default::default(),
        target: "d7f3k2.on.hosting.example".into(),
        mode: Mode::DelegatedChallenge,
        dane: true,
        posh: true,
        policy: "authenticated".into(),
        services: vec!["rooms".into()],
        allow: Vec::new(),
        block: vec!["spam.example".into()],
        pinned: vec![pinned()],
        stations: vec![
            station("Ownership", "done", "The domain is yours."),
            station("Records", "done", "All needed records are there."),
            station(
                "Identity",
                "done",
                "Certificate from Let's Encrypt E7, 44 days left.",
            ),
            station("Live", "done", "People can sign in."),
        ],
        next_step: NextStep {
            title: "Nothing to do".into(),
            text: "We look again by ourselves and tell you if something changes.".into(),
            action: "none",
        },
        checks: checks_good(),
        critical: 0,
        verdicts: verdicts("lindgren-and-daughters.example"),
        certificate: Some(certificate()),
        certificate_note:
            "It is renewed by itself from 2026-12-17T20:00:00.5Z on, keeping its key.".into(),
        verified: Some(at(-86_400 * 40)),
        checked: Some(at(-90)),
        next_check: Some(at(1500)),
        sessions: 7,
        days: days(),
        can_publish: true,
        version: "5f3a".into(),
        view,
    }
}

pub(super) fn show_pending() -> DomainShow {
    let mut view = domains().remove(2);
    view.domain = "bakery.example".into();
    view.ascii = "bakery.example".into();
    view.chip = "waiting for you";
    view.status = "The domain is yours. Publish the other records next.".into();
    view.accounts = 0;
    DomainShow {
        stations: vec![
            station("Ownership", "done", "The domain is yours."),
            station("Records", "now", "2 needed records are missing or differ."),
            station(
                "Identity",
                "later",
                "Waits for the challenge record, then takes a minute.",
            ),
            station(
                "Live",
                "later",
                "Waits for the others, then for a sign-in by the public door.",
            ),
        ],
        next_step: NextStep {
            title: "Publish the rest".into(),
            text: "Some needed records are still missing. This sandbox can do it for you.".into(),
            action: "publish",
        },
        checks: checks_pending(),
        critical: 2,
        verdicts: Vec::new(),
        certificate: None,
        certificate_note: String::new(),
        checked: Some(at(-3)),
        next_check: Some(at(2)),
        sessions: 0,
        days: Vec::new(),
        view,
        ..show_live()
    }
}

pub(super) fn show_claimed() -> DomainShow {
    DomainShow {
        view: domains().remove(1),
        stations: vec![
            station("Ownership", "now", "Waits for one TXT record."),
            station("Records", "later", "Not looked at yet."),
            station("Identity", "later", "Waits for the challenge record, then takes a minute."),
            station("Live", "later", "Waits for the others, then for a sign-in by the public door."),
        ],
        next_step: NextStep {
            title: "Show that the domain is yours".into(),
            text: "Publish the records of münchner-freunde.example at your DNS host; the TXT record comes first. Then leave the rest to us: we look every few seconds.".into(),
            action: "records",
        },
        checks: Vec::new(),
        checked: None,
        next_check: None,
        verified: None,
        ..show_pending()
    }
}

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

pub(super) fn rollover() -> RolloverView {
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
pub(super) fn modes() -> Vec<ModeOffer> {
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

pub(super) fn records() -> RecordsPage {
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

pub(super) fn zone_file() -> String {
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

pub(super) fn account(local: &str, state: &str) -> AccountView {
    AccountView {
        jid: format!("{local}@lindgren-and-daughters.example"),
        local: local.into(),
        state: state.into(),
        created: at(-86_400 * 12),
    }
}

pub(super) fn client_certificate(name: &str, manages: bool) -> ClientCertificateView {
    ClientCertificateView {
        name: name.into(),
        fingerprint: "2f6a".repeat(16),
        manages,
        added: at(-86_400 * 3),
        expires: at(86_400 * 300),
    }
}

pub(super) fn people() -> AccountPage {
    AccountPage {
        accounts: vec![
            account("anna", "active"),
            account("bartholomew.the-elder", "active"),
            account("zoë", "suspended"),
        ],
        total: 23,
        next: Some("zoë".into()),
    }
}

pub(super) fn tenant() -> TenantView {
    TenantView {
        id: 1,
        name: "Lindgren & Daughters".into(),
        state: "active",
        created: at(-86_400 * 90),
        plan: Some(2),
        plan_name: "Workshop".into(),
        limits: Limits::default(),
        used: Used {
            domains: 6,
            accounts: 48,
        },
        second_factor: true,
        ladder: Some(ladder()),
        version: "7".into(),
    }
}

pub(super) fn webhook() -> WebhookView {
    WebhookView {
        id: 3,
        url: "https://hooks.lindgren-and-daughters.example/domicile/with/a/long/path".into(),
        events: vec!["account".into(), "domain.add".into()],
        created: at(-86_400 * 3),
    }
}

pub(super) fn deliveries() -> Vec<DeliveryView> {
    [
        ("waiting", 0, None, ""),
        ("waiting", 3, Some(503), "answered 503"),
        ("delivered", 1, Some(204), "answered 204"),
        ("given up", 9, None, "hooks.example gave no answer in time"),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (state, attempts, status, said))| DeliveryView {
        id: n as i64,
        webhook: 3,
        event: "account.add".into(),
        at: at(-60 * n as i64),
        state,
        attempts,
        next: (state == "waiting").then_some(at(300)),
        status,
        said: said.into(),
        body: r#"{"type":"account.add"}"#.into(),
    })
    .collect()
}

pub(super) fn ladder() -> LadderView {
    LadderView {
        reason: "the invoice of October is open".into(),
        step: Step::ReadOnly,
        steps: Step::ALL
            .into_iter()
            .zip([-9, -2, 5, 12, 60])
            .map(|(step, days)| LadderStep {
                step,
                at: at(days * 86_400),
                reached: step <= Step::ReadOnly,
                meaning: step.meaning(),
            })
            .collect(),
    }
}

pub(super) fn invitation(note: &str) -> InvitationView {
    InvitationView {
        id: 4,
        role: Role::Support,
        note: note.into(),
        by: "sofia@lindgren-and-daughters.example".into(),
        created: at(-3_600),
        expires: at(86_400 * 7),
    }
}

pub(super) fn plan(name: &str, tenants: u64) -> PlanView {
    PlanView {
        id: 2,
        name: name.into(),
        usual: tenants > 0,
        soft_percent: 80,
        limits: Limits::default(),
        tenants,
        created: at(-86_400 * 9),
        version: "3".into(),
    }
}

pub(super) fn usage() -> UsageView {
    let quota = |kind, used, hard: u64, level, note: &str| QuotaView {
        kind,
        used,
        soft: hard / 5 * 4,
        hard,
        level,
        note: note.into(),
    };
    UsageView {
        tenant: 1,
        name: "Lindgren & Daughters".into(),
        plan: "Workshop".into(),
        at: at(-1),
        quotas: vec![
            quota("domains", Some(6), 20, "ok", ""),
            quota(
                "accounts",
                Some(48),
                50,
                "soft",
                "48 of 50 accounts are in use. Before none are left, remove what you no longer need, or ask the operator of this service for a larger plan.",
            ),
            quota("sessions", Some(50), 50, "hard", "The limit is reached."),
            quota("stanzas_per_second", None, 50_000, "unknown", ""),
            quota(
                "archive_bytes",
                Some(91_268_055_040),
                107_374_182_400,
                "soft",
                "Nearly full.",
            ),
        ],
    }
}

/// Three weeks that come and go, or as many hours; of the first few it was not measured what was kept.
pub(super) fn series(of: &str, step: StepAsked) -> SeriesView {
    let each = match step {
        StepAsked::Hour => DAY / 24,
        StepAsked::Day => DAY,
    };
    let point = |n: i64| {
        let (busy, kept) = (n.unsigned_abs() % 7, n > 3 && step == StepAsked::Day);
        let kept = |size: u64| kept.then_some(size + n.unsigned_abs() * size / 9);
        PointView {
            at: Timestamp(NOW.0 - (NOW.0 % each) - (20 - n) * each),
            sessions: busy * 3,
            stanzas: busy * busy * 1_234,
            archive_messages: kept(48_000),
            archive_bytes: kept(31_000_000),
            upload_bytes: kept(1_800_000_000),
            certificate_days: kept(1).map(|_| (40 - n) % 30 + 30),
        }
    };
    SeriesView {
        of: of.into(),
        step,
        points: (0..=20).map(point).collect(),
    }
}

pub(super) fn component() -> ComponentView {
    ComponentView {
        name: "bridge.bakery.example".into(),
        created: at(-3_600),
        grants: control::grant::Grants {
            roster: "both".into(),
            presence: "managed_entity".into(),
            delegated: [("urn:xmpp:mam:2".into(), vec!["node".into()])].into(),
            ..control::grant::Grants::default()
        },
    }
}

pub(super) fn rooms() -> Vec<RoomView> {
    let room = |local: &str, name: &str, listed, archive_bytes| RoomView {
        local: local.into(),
        name: name.into(),
        listed,
        created: at(-86_400 * 40),
        people: 12,
        archive_bytes,
    };
    vec![
        room("early-shift", "Early shift", true, 31_400_000),
        room("6f8a2c", "", false, 0),
    ]
}

pub(super) fn uploads() -> Vec<UploadsView> {
    let of = |local: &str, files, bytes| UploadsView {
        local: local.into(),
        files,
        bytes,
        latest: at(-7_200),
    };
    vec![of("anna", 1_204, 1_830_000_000), of("björn", 1, 12_000)]
}

fn days() -> Vec<DayView> {
    const DAY: i64 = 86_400_000_000;
    let sessions = [3, 4, 6, 5, 2, 0, 7, 8, 7, 9, 6, 1, 2, 8];
    let day = |n: usize, sessions| DayView {
        day: Timestamp((20_000 + n as i64) * DAY),
        sessions,
    };
    sessions
        .into_iter()
        .enumerate()
        .map(|(n, sessions)| day(n, sessions))
        .collect()
}

pub(super) fn overview() -> Overview {
    Overview {
        tenants: 312,
        domains: vec![
            ("claimed", 12),
            ("verified", 3),
            ("publishing", 5),
            ("ready", 2),
            ("live", 388),
            ("degraded", 4),
            ("suspended", 9),
            ("releasing", 0),
        ],
        accounts: 14_802,
        findings: vec![("srv-wrong-target".into(), 4), ("ttl-too-long".into(), 2)],
        certificates: vec![
            (Some(1), 0),
            (Some(7), 1),
            (Some(14), 3),
            (Some(30), 88),
            (Some(60), 190),
            (None, 106),
        ],
    }
}

/// Orders in line.
pub(super) fn orders() -> Vec<OrderView> {
    let order = |domain: &str, under_way, why: Option<Why>| OrderView {
        domain: domain.into(),
        tenant: 1,
        priority: Priority::Renewal,
        names: vec![domain.into(), format!("rooms.{domain}")],
        authority: "Let's Encrypt".into(),
        announced: true,
        since: Timestamp(NOW.0 - 3600 * SECOND),
        deadline: Some(Timestamp(NOW.0 + 20 * 86_400 * SECOND)),
        failures: 0,
        under_way,
        reason: "its turn has not come".into(),
        why,
        until: Some(Timestamp(NOW.0 + 600 * SECOND)),
    };
    vec![
        order("bakery.example", true, None),
        order("chess-club.example", false, Some(Why::Turn)),
    ]
}

/// Who issues.
pub(super) fn authorities() -> Vec<AuthorityView> {
    let used = |subject: &str, used, most| UsedLimit {
        subject: subject.into(),
        used,
        most,
        window_seconds: 10_800,
    };
    vec![AuthorityView {
        issuer: IssuerInfo {
            name: "Let's Encrypt".into(),
            directory: "acme-v02.api.letsencrypt.org/directory".into(),
            persistent: vec!["letsencrypt.org".into()],
            ..IssuerInfo::default()
        },
        down_since: None,
        rests_until: Some(Timestamp(NOW.0 + 900 * SECOND)),
        said: "too many new orders".into(),
        orders: used("", 289, 300),
        certificates: vec![used("bakery.example", 44, 50)],
        failures: vec![used("old.example", 4, 5)],
    }]
}

pub(super) fn peers() -> Vec<PeerView> {
    let peer = |peer: &str, prooftype: Option<&str>, ok, summary: &str, connected| PeerView {
        peer: peer.into(),
        prooftype: prooftype.map(str::to_owned),
        ok,
        summary: summary.into(),
        why: summary.into(),
        last: at(-400),
        connected,
    };
    vec![
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
    ]
}

pub(super) fn pinned() -> PinnedView {
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

pub(super) fn stories() -> Vec<Story> {
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

pub(super) fn team() -> Vec<OperatorView> {
    let member = |id, login: &str, role| OperatorView {
        id,
        login: login.into(),
        role,
        second_factor: true,
        created: at(-86_400 * 60),
    };
    vec![
        member(1, "sofia@lindgren-and-daughters.example", Role::Owner),
        member(2, "helpdesk@lindgren-and-daughters.example", Role::Support),
    ]
}

pub(super) fn audit() -> Vec<AuditView> {
    let entry =
        |id, actor: &str, role: &str, operation: &str, object: &str, detail: &str| AuditView {
            id,
            at: at(-id * 1000),
            actor: actor.into(),
            role: role.into(),
            operation: operation.into(),
            domain: object.rsplit('@').next().unwrap_or_default().into(),
            object: object.into(),
            detail: detail.into(),
        };
    vec![
        entry(
            3,
            "sofia@lindgren-and-daughters.example",
            "owner",
            "account.add",
            "anna@lindgren-and-daughters.example",
            "",
        ),
        entry(
            2,
            "worker",
            "system",
            "domain.state",
            "lindgren-and-daughters.example",
            "publishing to live",
        ),
        entry(
            1,
            "sofia@lindgren-and-daughters.example",
            "owner",
            "domain.add",
            "lindgren-and-daughters.example",
            "",
        ),
    ]
}

pub(super) fn tokens() -> Vec<TokenView> {
    vec![TokenView {
        id: 1,
        name: "nightly backup".into(),
        domains: vec!["lindgren-and-daughters.example".into()],
        operations: vec!["account.list".into(), "domain.show".into()],
        used: Some(at(-3600)),
        created: at(-86_400),
        expires: at(86_400 * 364),
    }]
}

pub(super) fn logins() -> Vec<LoginView> {
    let login = |id, agent: &str, address: &str| LoginView {
        id,
        agent: agent.into(),
        address: address.into(),
        created: at(-7200),
        expires: at(86_400 * 13),
    };
    vec![
        login(
            1,
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
            "2001:db8::7",
        ),
        login(
            2,
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)",
            "192.0.2.9",
        ),
    ]
}

pub(super) fn peer_show() -> PeerShow {
    PeerShow {
        view: peers().remove(2),
        pinned: Some(pinned()),
        attempts: stories(),
    }
}

/// Invitations to accounts; `fresh`: one was made just now.
pub(crate) fn invites(fresh: bool) -> crate::invites::Invites {
    let view = || control::invite::InviteView {
        id: 1,
        kind: "account",
        local: Some("nurse".into()),
        contact: Some("anna@one.example".into()),
        note: "the nurse".into(),
        by: "sofia@lindgren.example".into(),
        created: at(-3600),
        expires: at(7 * 86_400),
    };
    let made = || control::invite::InviteNew {
        uri: invited().uri,
        link: invited().link,
        view: view(),
    };
    crate::invites::Invites {
        open: vec![view()],
        fresh: fresh.then(made),
        refused: false,
        registration: control::domain::Registration::Open,
        user_invites: true,
        question: "Which bird sings at dawn?".into(),
        answers: "lark, the lark".into(),
    }
}

/// What an invitation is to.
pub(crate) fn invited() -> control::invite::Invited {
    control::invite::Invited {
        domain: "one.example".into(),
        ascii: "one.example".into(),
        local: None,
        contact: Some("anna@one.example".into()),
        uri: "xmpp:one.example?register;preauth=token".into(),
        link: "https://web.hosting.example/invite/token".into(),
        expires: at(7 * 86_400),
    }
}

/// Passkeys of whoever is signed in.
pub(crate) fn passkeys() -> Vec<control::passkey::PasskeyView> {
    vec![control::passkey::PasskeyView {
        id: 1,
        name: "phone".into(),
        created: at(-86_400),
        used: Some(at(-60)),
    }]
}
