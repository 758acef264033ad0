//! Ways to what belongs to a customer, and to nobody in particular.

use axum::http::Method;
use control::Operation as Op;
use serde_json::json;

use super::{Way, empty, none};
use crate::tests::world::PASSWORD;

/// What is done to a customer, its team and what it has set up.
pub(super) fn of_a_tenant() -> Vec<Way> {
    let member =
        || Some(json!({"login": "new@team.example", "password": PASSWORD, "role": "auditor"}));
    vec![
        (Op::TenantShow, Method::GET, "/tenants/{T}", none),
        (Op::TenantShow, Method::GET, "/api/v1/tenants/{T}", none),
        (
            Op::TenantSuspend,
            Method::POST,
            "/tenants/{T}/suspend",
            none,
        ),
        (
            Op::TenantSuspend,
            Method::POST,
            "/api/v1/tenants/{T}/suspend",
            empty,
        ),
        (Op::OwnerView, Method::POST, "/tenants/{T}/view", none),
        // A customer that has signed up is called as its first domain.
        (
            Op::TenantRemove,
            Method::POST,
            "/tenants/{T}/remove",
            || Some(json!({"confirm": "{D}"})),
        ),
        (Op::TenantResume, Method::POST, "/tenants/{T}/resume", none),
        (
            Op::TenantResume,
            Method::POST,
            "/api/v1/tenants/{T}/resume",
            none,
        ),
        (
            Op::TenantRemove,
            Method::DELETE,
            "/api/v1/tenants/{T}",
            none,
        ),
        (
            Op::TenantSetLimits,
            Method::POST,
            "/tenants/{T}/limits",
            || Some(json!({"domains": "1", "accounts": "1"})),
        ),
        (
            Op::TenantSetLimits,
            Method::PUT,
            "/api/v1/tenants/{T}/limits",
            || Some(json!({"domains": 1, "accounts": 1})),
        ),
        (Op::LadderSet, Method::POST, "/tenants/{T}/ladder", || {
            Some(json!({"reason": "test"}))
        }),
        (Op::LadderEnd, Method::POST, "/tenants/{T}/ladder/end", none),
        (
            Op::LadderSet,
            Method::PUT,
            "/api/v1/tenants/{T}/ladder",
            || Some(json!({"reason": "test"})),
        ),
        (
            Op::LadderEnd,
            Method::DELETE,
            "/api/v1/tenants/{T}/ladder",
            none,
        ),
        (Op::UsageShow, Method::GET, "/usage?tenant={T}", none),
        (Op::UsageShow, Method::GET, "/usage.csv?tenant={T}", none),
        (Op::UsageShow, Method::GET, "/api/v1/usage?tenant={T}", none),
        (
            Op::UsageShow,
            Method::GET,
            "/api/v1/usage.csv?tenant={T}",
            none,
        ),
        (
            Op::UsageShow,
            Method::GET,
            "/api/v1/tenants/{T}/series",
            none,
        ),
        (Op::TeamList, Method::GET, "/api/v1/tenants/{T}/team", none),
        (Op::TeamAdd, Method::POST, "/tenants/{T}/team", member),
        (
            Op::TeamAdd,
            Method::POST,
            "/api/v1/tenants/{T}/team",
            member,
        ),
        (
            Op::TeamSetRole,
            Method::PATCH,
            "/api/v1/tenants/{T}/team/1",
            || Some(json!({"role": "auditor"})),
        ),
        (
            Op::TeamResetFactor,
            Method::DELETE,
            "/api/v1/tenants/{T}/team/1/factor",
            none,
        ),
        (
            Op::TenantRequireFactor,
            Method::POST,
            "/tenants/{T}/factor",
            none,
        ),
        (
            Op::TenantRequireFactor,
            Method::PUT,
            "/api/v1/tenants/{T}/factor",
            || Some(json!({"wanted": false})),
        ),
        (
            Op::WebhookList,
            Method::GET,
            "/api/v1/tenants/{T}/webhooks",
            none,
        ),
        (
            Op::WebhookAdd,
            Method::POST,
            "/api/v1/tenants/{T}/webhooks",
            || Some(json!({"url": "https://hooks.example/"})),
        ),
        (
            Op::WebhookTest,
            Method::POST,
            "/api/v1/tenants/{T}/webhooks/1/test",
            none,
        ),
        (
            Op::WebhookRemove,
            Method::DELETE,
            "/api/v1/tenants/{T}/webhooks/1",
            none,
        ),
        (
            Op::WebhookDeliveries,
            Method::GET,
            "/api/v1/tenants/{T}/deliveries",
            none,
        ),
        (
            Op::InvitationList,
            Method::GET,
            "/api/v1/tenants/{T}/invitations",
            none,
        ),
        (
            Op::InvitationAdd,
            Method::POST,
            "/api/v1/tenants/{T}/invitations",
            || Some(json!({"role": "auditor"})),
        ),
        (
            Op::InvitationRemove,
            Method::DELETE,
            "/api/v1/tenants/{T}/invitations/1",
            none,
        ),
        (
            Op::TeamRemove,
            Method::DELETE,
            "/api/v1/tenants/{T}/team/1",
            none,
        ),
        (
            Op::DomainList,
            Method::GET,
            "/api/v1/domains?tenant={T}",
            none,
        ),
        (
            Op::CertificateQueue,
            Method::GET,
            "/api/v1/orders?tenant={T}",
            none,
        ),
        (Op::AuditList, Method::GET, "/api/v1/audit?tenant={T}", none),
        (
            Op::AuditList,
            Method::GET,
            "/api/v1/audit.csv?tenant={T}",
            none,
        ),
        (Op::AuditList, Method::GET, "/audit.csv?tenant={T}", none),
    ]
}

/// Done on no object of a tenant: only the role decides, or nothing does.
pub(super) fn without_object() -> Vec<Way> {
    vec![
        (Op::OutagePlatform, Method::GET, "/api/v1/outage", none),
        (Op::TenantAdd, Method::POST, "/tenants", || {
            Some(json!({"name": "New"}))
        }),
        (Op::TenantAdd, Method::POST, "/api/v1/tenants", || {
            Some(json!({"name": "New"}))
        }),
        (Op::PlanList, Method::GET, "/plans", none),
        (Op::PlanList, Method::GET, "/api/v1/plans", none),
        (Op::PlanAdd, Method::POST, "/plans", || {
            Some(json!({"name": "Form"}))
        }),
        (Op::PlanAdd, Method::POST, "/api/v1/plans", || {
            Some(json!({"name": "Program"}))
        }),
        (Op::PlanList, Method::GET, "/plans/1", none),
        (Op::PlanList, Method::GET, "/api/v1/plans/1", none),
        (Op::PlanSet, Method::POST, "/plans/1", none),
        (Op::PlanRemove, Method::POST, "/plans/1/remove", none),
        (Op::PlanSet, Method::PATCH, "/api/v1/plans/1", empty),
        (Op::PlanRemove, Method::DELETE, "/api/v1/plans/1", none),
        (Op::PlatformTeam, Method::GET, "/operators", none),
        (Op::PlatformTeamSet, Method::POST, "/operators", || {
            Some(json!({"login": "x@y.example", "password": PASSWORD}))
        }),
        (Op::PlatformTeam, Method::GET, "/api/v1/operators", none),
        (Op::PlatformOverview, Method::GET, "/api/v1/overview", none),
        (
            Op::PlatformOverview,
            Method::GET,
            "/api/v1/overview/series",
            none,
        ),
        (Op::AuthorityList, Method::GET, "/certificates", none),
        (
            Op::PlatformOverview,
            Method::GET,
            "/failing/srv-missing",
            none,
        ),
        (Op::OutagePlatform, Method::PUT, "/api/v1/outage", empty),
        (Op::OutagePlatform, Method::DELETE, "/api/v1/outage", none),
        (
            Op::PlatformTeamSet,
            Method::POST,
            "/api/v1/operators",
            || Some(json!({"login": "x@y.example", "password": PASSWORD, "role": "platform"})),
        ),
        (Op::TenantList, Method::GET, "/tenants", none),
        (Op::TenantList, Method::GET, "/api/v1/tenants", none),
        // One's own team and webhooks: whose they are is not in the address.
        (Op::TeamList, Method::GET, "/team", none),
        (Op::TeamAdd, Method::POST, "/team", none),
        (Op::TeamRemove, Method::POST, "/team/999999/remove", || {
            Some(json!({"sure": "yes"}))
        }),
        (Op::TeamSetRole, Method::POST, "/team/999999/role", none),
        (
            Op::TeamResetFactor,
            Method::POST,
            "/team/999999/factor",
            none,
        ),
        (Op::InvitationAdd, Method::POST, "/team/invitations", || {
            Some(json!({"days": "7", "role": "support"}))
        }),
        (
            Op::InvitationRemove,
            Method::POST,
            "/team/invitations/999999/remove",
            none,
        ),
        (Op::WebhookList, Method::GET, "/webhooks", none),
        (Op::WebhookAdd, Method::POST, "/webhooks", none),
        (
            Op::WebhookRemove,
            Method::POST,
            "/webhooks/999999/remove",
            none,
        ),
        (Op::WebhookTest, Method::POST, "/webhooks/999999/test", none),
        (Op::AuthorityList, Method::GET, "/api/v1/authorities", none),
        (Op::ZoneCheck, Method::GET, "/api/v1/zone", none),
        (Op::ZoneRepair, Method::POST, "/api/v1/zone/repair", empty),
        (
            Op::AuthorityRollKey,
            Method::POST,
            "/api/v1/authorities/roll-key",
            empty,
        ),
        (Op::DomainAdd, Method::POST, "/domains", || {
            Some(json!({"domain": "more.example"}))
        }),
        (Op::DomainAdd, Method::POST, "/api/v1/domains", || {
            Some(json!({"domain": "more.example"}))
        }),
        (
            Op::DomainAdd,
            Method::PUT,
            "/api/v1/domains/wanted.example",
            empty,
        ),
        (Op::AuditList, Method::GET, "/audit", none),
        (Op::AuditList, Method::GET, "/audit.csv", none),
        (Op::AuditList, Method::GET, "/api/v1/audit", none),
    ]
}
