//! A domain in every state, and what is seen of it.

use control::Timestamp;
use control::certificate::CertificateView;
use control::domain::{
    DayView, DomainShow, DomainView, NextStep, Seen, State, Station, VerdictView,
};
use control::findings::{FindingView, Severity};
use control::records::Mode;
use control::verdict::Foreseen;

use super::{DAY, NOW, at, pinned};

pub(crate) fn domain(
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

pub(crate) fn domains() -> Vec<DomainView> {
    vec![
        domain(
            "bakery.example",
            "bakery.example",
            State::Degraded,
            "degraded",
            "Something that people feel is wrong; the page of the domain says what.",
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
            "People can sign in; other servers can verify you by certificate.",
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

pub(crate) fn checks_pending() -> Vec<FindingView> {
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

pub(crate) fn checks_good() -> Vec<FindingView> {
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

pub(crate) fn certificate() -> CertificateView {
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

fn verdict(
    name: &str,
    who: &'static str,
    prooftype: &'static str,
    accepted: Seen,
    why: &str,
) -> VerdictView {
    VerdictView {
        name: name.into(),
        who,
        prooftype,
        accepted,
        why: why.into(),
    }
}

pub(crate) fn verdicts(name: &str) -> Vec<VerdictView> {
    let rooms = &format!("rooms.{name}");
    let certified = "The certificate holds your domain's name.";
    let left_out = "The certificate holds other names: lindgren-and-daughters.example.";
    let unsigned = "It does not count: your SRV record is not signed (DNSSEC), so they look at the certificate instead.";
    vec![
        verdict(name, "phones and desktops", "pkix", Seen::Yes, certified),
        verdict(name, "strict servers", "pkix", Seen::Yes, certified),
        verdict(name, "servers with DANE", "dane", Seen::No, unsigned),
        verdict(
            name,
            "servers with POSH",
            "posh",
            Seen::Unknown,
            "Your website could not be asked: no answer in time.",
        ),
        verdict(
            name,
            "older servers",
            "dialback",
            Seen::Yes,
            "The DNS leads them to d7f3k2.on.hosting.example, which answers for lindgren-and-daughters.example.",
        ),
        verdict(rooms, "strict servers", "pkix", Seen::No, left_out),
        verdict(rooms, "servers with DANE", "dane", Seen::No, unsigned),
        verdict(
            rooms,
            "servers with POSH",
            "posh",
            Seen::No,
            "POSH documents are only published for the domain itself, so they look at the certificate instead.",
        ),
        verdict(
            rooms,
            "older servers",
            "dialback",
            Seen::Yes,
            "The DNS leads them to d7f3k2.on.hosting.example, which answers for rooms.lindgren-and-daughters.example.",
        ),
    ]
}

/// POSH alone, instead of a certificate.
pub(crate) fn foreseen() -> Foreseen {
    let name = "lindgren-and-daughters.example";
    let rooms = &format!("rooms.{name}");
    let own = "We show a key of our own, for which no certificate authority vouches.";
    let absent =
        "No TLSA record is published for the host, so they look at the certificate instead.";
    let led = "Once its SRV record is there, the DNS leads them to d7f3k2.on.hosting.example, which answers for lindgren-and-daughters.example.";
    Foreseen {
        mode: Mode::Posh,
        dane: false,
        posh: true,
        foreseen: true,
        verdicts: vec![
            verdict(name, "phones and desktops", "pkix", Seen::No, own),
            verdict(name, "strict servers", "pkix", Seen::No, own),
            verdict(name, "servers with DANE", "dane", Seen::No, absent),
            verdict(
                name,
                "servers with POSH",
                "posh",
                Seen::Yes,
                "Once your website answers as the records page shows, it names the certificate.",
            ),
            verdict(name, "older servers", "dialback", Seen::Yes, led),
            verdict(rooms, "strict servers", "pkix", Seen::No, own),
            verdict(rooms, "servers with DANE", "dane", Seen::No, absent),
            verdict(
                rooms,
                "servers with POSH",
                "posh",
                Seen::No,
                "POSH documents are only published for the domain itself, so they look at the certificate instead.",
            ),
            verdict(rooms, "older servers", "dialback", Seen::Yes, led),
        ],
    }
}

pub(crate) fn show_live() -> DomainShow {
    let mut view = domains().remove(4);
    view.accounts = 23;
    DomainShow {
        streams: Default::default(),
        external_secret: false,
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

pub(crate) fn show_pending() -> DomainShow {
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

pub(crate) fn show_claimed() -> DomainShow {
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
