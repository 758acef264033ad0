//! A customer, its team, its plan and what it uses.

use control::audit::AuditView;
use control::invitation::InvitationView;
use control::ladder::{LadderStep, LadderView, Step};
use control::operator::{LoginView, OperatorView};
use control::plan::PlanView;
use control::series::{PointView, SeriesView, StepAsked};
use control::settings::Limits;
use control::tenant::{TenantView, Used};
use control::token::TokenView;
use control::usage::{QuotaView, UsagePage, UsageView};
use control::webhook::{DeliveryView, WebhookView};
use control::{Role, Timestamp};

use super::{DAY, NOW, at};

pub(crate) fn tenant() -> TenantView {
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

pub(crate) fn webhook() -> WebhookView {
    WebhookView {
        id: 3,
        url: "https://hooks.lindgren-and-daughters.example/domicile/with/a/long/path".into(),
        events: vec!["account".into(), "domain.add".into()],
        created: at(-86_400 * 3),
    }
}

pub(crate) fn deliveries() -> Vec<DeliveryView> {
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

pub(crate) fn ladder() -> LadderView {
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

pub(crate) fn invitation(note: &str) -> InvitationView {
    InvitationView {
        id: 4,
        role: Role::Support,
        note: note.into(),
        by: "sofia@lindgren-and-daughters.example".into(),
        created: at(-3_600),
        expires: at(86_400 * 7),
    }
}

pub(crate) fn plan(name: &str, tenants: u64) -> PlanView {
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

/// So many customers of them.
pub(crate) fn usage_page(count: usize) -> UsagePage {
    UsagePage {
        usage: vec![usage(); count],
        total: if count == 1 { 1 } else { 5_012 },
        from: 0,
        next: (count > 1).then_some(count),
        previous: None,
    }
}

pub(crate) fn usage() -> UsageView {
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
            quota(
                "sessions",
                Some(50),
                50,
                "hard",
                "All 50 sessions at a time are in use. Whoever signs in now is asked to come later.",
            ),
            quota("stanzas_per_second", None, 50_000, "unknown", ""),
            quota(
                "archive_bytes",
                Some(91_268_055_040),
                107_374_182_400,
                "soft",
                "Archived messages take 91 GB of 107 GB. Before none is left, let them stay for fewer days.",
            ),
        ],
    }
}

/// Three weeks that come and go, or as many hours; of the first few it was not measured what was kept.
pub(crate) fn series(of: &str, step: StepAsked) -> SeriesView {
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

pub(crate) fn team() -> Vec<OperatorView> {
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

pub(crate) fn audit() -> Vec<AuditView> {
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

pub(crate) fn tokens() -> Vec<TokenView> {
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

pub(crate) fn logins() -> Vec<LoginView> {
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

/// Passkeys of whoever is signed in.
pub(crate) fn passkeys() -> Vec<control::passkey::PasskeyView> {
    vec![control::passkey::PasskeyView {
        id: 1,
        name: "phone".into(),
        created: at(-86_400),
        used: Some(at(-60)),
    }]
}

/// Mail of whoever is signed in.
pub(crate) fn mail() -> control::mail::MailView {
    control::mail::MailView {
        nightly: true,
        written: true,
    }
}
