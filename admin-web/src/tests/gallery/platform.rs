//! What the operators of the platform see.

use super::{Pages, of, operator, page, removed};
use control::series::StepAsked;

use crate::frame::Here;
use crate::series::Series;
use crate::tests::sample;
use crate::{home, plans, platform, tenants};

/// Name and page of each.
pub(super) fn of_the_platform() -> Pages {
    vec![
        (
            "operator",
            page(&home::OperatorPage {
                frame: operator(Here::Home),
                overview: sample::overview(),
                page: of(sample::domains(), 318),
                search: String::new(),
                tenants: vec![sample::tenant()],
                unguarded: true,
            }),
        ),
        (
            "certificates",
            page(&platform::CertificatesPage {
                frame: operator(Here::Certificates),
                authorities: sample::authorities(),
                orders: sample::orders(),
                certificates: sample::overview().certificates,
            }),
        ),
        (
            "usage_all",
            page(&plans::UsagePage {
                frame: operator(Here::Usage),
                page: sample::usage_page(50),
                many: true,
                search: String::new(),
                series: Series::new(sample::series("", StepAsked::Day), "/usage"),
                csv: crate::urls::usage(crate::urls::USAGE_CSV, None),
            }),
        ),
        (
            "failing",
            page(&platform::FailingPage {
                frame: operator(Here::Home),
                code: "srv-wrong-target".into(),
                domains: vec!["bakery.example".into()],
            }),
        ),
        (
            "tenants",
            page(&tenants::TenantsPage {
                frame: operator(Here::Tenants),
                page: control::tenant::TenantPage {
                    tenants: vec![sample::tenant()],
                    total: 312,
                    from: 50,
                    next: Some(100),
                    previous: Some(0),
                },
                search: String::new(),
                name: String::new(),
                login: String::new(),
            }),
        ),
        (
            "tenant",
            page(&tenants::TenantPage {
                frame: operator(Here::Tenants),
                tenant: sample::tenant(),
                view: sample::usage(),
                plans: vec![sample::plan("Garage", 0), sample::plan("Workshop", 3)],
                domains: sample::domains(),
                total: 60,
                team: sample::team(),
            }),
        ),
        (
            "plans",
            page(&plans::PlansPage {
                frame: operator(Here::Plans),
                plans: vec![sample::plan("Garage", 0), sample::plan("Workshop", 3)],
                name: String::new(),
            }),
        ),
        (
            "plans_empty",
            page(&plans::PlansPage {
                frame: operator(Here::Plans),
                plans: Vec::new(),
                name: String::new(),
            }),
        ),
        (
            "plan",
            page(&plans::PlanPage {
                frame: operator(Here::Plans),
                plan: sample::plan("Garage", 0),
            }),
        ),
        (
            "tenant_removed",
            page(&tenants::TenantRemovedPage {
                frame: operator(Here::Tenants),
                name: "Lindgren & Daughters".into(),
                dangling: removed().dangling,
            }),
        ),
        (
            "operators",
            page(&tenants::OperatorsPage {
                frame: operator(Here::Operators),
                operators: sample::team(),
                login: String::new(),
            }),
        ),
    ]
}
