//! What the operators of the platform see.

use control::Timestamp;
use control::certificate::{AuthorityView, OrderView, Priority, Used as UsedLimit, Why};
use control::outside::IssuerInfo;
use control::tenant::Overview;
use control::tenant::queues::{ChecksQueue, MailQueue, OrdersQueue, Queues, WebhookQueue};

use super::{NOW, SECOND};

pub(crate) fn overview() -> Overview {
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
        zone_orphans: Some(2),
        queues: queues(),
    }
}

/// What waits, the mail relay and the worker in trouble.
fn queues() -> Queues {
    Queues {
        checks: ChecksQueue {
            due: 41,
            late: 12,
            oldest: Some(Timestamp(NOW.0 - 400 * SECOND)),
            under_way: 16,
            most: 16,
            lease_seconds: 60,
        },
        orders: OrdersQueue {
            waiting: 1,
            under_way: 1,
        },
        mail: Some(MailQueue {
            waiting: 212,
            hour: 4,
            next: Timestamp(NOW.0 + 3_600 * SECOND),
            sent: 100,
            refused: 2,
            tried: Some(Timestamp(NOW.0 - 60 * SECOND)),
            trouble: "the mail relay cannot take it now: no answer within 30 seconds".into(),
        }),
        webhooks: WebhookQueue {
            due: 3,
            late: 0,
            oldest: Some(Timestamp(NOW.0 - 2 * SECOND)),
            under_way: 8,
            again: 5,
            given_up: 1,
            most: 8,
            attempts: 9,
        },
    }
}

/// Orders in line.
pub(crate) fn orders() -> Vec<OrderView> {
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
pub(crate) fn authorities() -> Vec<AuthorityView> {
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
