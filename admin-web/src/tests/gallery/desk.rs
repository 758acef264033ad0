//! The team of a customer and one's own login.

use control::series::StepAsked;
use control::token::TokenNew;

use super::{Pages, owner, page};
use crate::frame::Here;
use crate::series::Series;
use crate::tests::sample;
use crate::{desk, plans, webhooks};

/// Name and page of each.
pub(super) fn of_the_desk() -> Pages {
    vec![
        (
            "webhooks",
            page(&webhooks::WebhooksPage {
                frame: owner(Here::Webhooks),
                hooks: vec![sample::webhook()],
                deliveries: sample::deliveries(),
                fresh: Some(control::webhook::WebhookNew {
                    secret: "whsec_abc".into(),
                    view: sample::webhook(),
                }),
                ask: control::webhook::WebhookAsk::default(),
            }),
        ),
        (
            "webhooks_empty",
            page(&webhooks::WebhooksPage {
                frame: owner(Here::Webhooks),
                hooks: Vec::new(),
                deliveries: Vec::new(),
                fresh: None,
                ask: control::webhook::WebhookAsk::default(),
            }),
        ),
        (
            "usage",
            page(&plans::UsagePage {
                frame: owner(Here::Usage),
                page: sample::usage_page(1),
                many: false,
                search: String::new(),
                series: Series::new(
                    sample::series("Lindgren & daughters", StepAsked::Day),
                    "/usage",
                ),
                csv: crate::urls::usage(crate::urls::USAGE_CSV, None),
            }),
        ),
        (
            "team_viewed",
            page(&desk::TeamPage {
                frame: sample::viewing(owner(Here::Team)),
                tenant: 1,
                tenant_name: "Lindgren & Daughters".into(),
                factor_wanted: true,
                team: sample::team(),
                login: String::new(),
                role: "admin".into(),
                invitations: Vec::new(),
                fresh: None,
            }),
        ),
        (
            "team",
            page(&desk::TeamPage {
                frame: owner(Here::Team),
                tenant: 1,
                tenant_name: "Lindgren & Daughters".into(),
                factor_wanted: true,
                team: sample::team(),
                login: String::new(),
                role: "admin".into(),
                invitations: vec![
                    sample::invitation("Ann from the bakery"),
                    sample::invitation(""),
                ],
                fresh: Some((
                    "https://panel.example/join?invitation=abc".into(),
                    sample::invitation("Ann"),
                )),
            }),
        ),
        (
            "audit",
            page(&desk::AuditPage {
                frame: owner(Here::Audit),
                entries: sample::audit(),
                query: control::audit::AuditQuery::default(),
                older: Some("/audit?before=1".into()),
                csv: "/audit.csv".into(),
                chosen: false,
            }),
        ),
        (
            "tokens",
            page(&desk::TokensPage {
                frame: owner(Here::Tokens),
                tokens: sample::tokens(),
                fresh: Some(TokenNew {
                    secret: "dom_7f3kq2m9v8".into(),
                    view: sample::tokens().remove(0),
                }),
                ask: control::token::TokenAsk::default(),
                operations: vec!["account.add", "domain.show"],
                public_url: "https://panel.hosting.example".into(),
            }),
        ),
        ("me", page(&me("none", None, &[]))),
        (
            "me_factor_begun",
            page(&me(
                "begun",
                Some(control::factor::FactorBegun {
                    secret: "JBSWY3DPEHPK3PXP".into(),
                    uri: "otpauth://totp/Domicile:me?secret=JBSWY3DPEHPK3PXP".into(),
                }),
                &[],
            )),
        ),
        (
            "me_factor_codes",
            page(&me("on", None, &["abcd-efgh-ijkl-mnop"])),
        ),
        ("me_factor_on", page(&me("on", None, &[]))),
    ]
}

/// One's own page, on the way to a second factor.
fn me(
    state: &'static str,
    begun: Option<control::factor::FactorBegun>,
    codes: &[&str],
) -> desk::MePage {
    desk::MePage {
        passkeys_on: true,
        passkeys: sample::passkeys(),
        mail: sample::mail(),
        factor: control::factor::FactorView {
            state,
            since: Some(sample::at(-86_400)),
            codes: 9,
            wanted: true,
        },
        begun,
        codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        frame: owner(Here::Me),
        logins: sample::logins(),
        this: 1,
    }
}
