//! Orders of certificates: who stands in line, why a domain waits, what is revoked, and the authorities themselves.

use control::outside::RevocationReason;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::domains::OfTenant;
use super::{Body, Caller, OrProblem, Reply, ok, schema};
use crate::Shared;
use crate::door::{Path, Query};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(queue))
        .routes(routes!(plan))
        .routes(routes!(revoke))
        .routes(routes!(authorities))
        .routes(routes!(roll_key))
}

/// Why certificates are revoked.
#[derive(Debug, Deserialize)]
pub(super) struct Revocation {
    reason: RevocationReason,
}

/// Which authority.
#[derive(Debug, Deserialize)]
pub(super) struct OfAuthority {
    #[serde(default)]
    directory: String,
}

/// Orders of certificates in line, those under way first, at most 200
#[utoipa::path(get, path = "/orders", tag = "domains", params(("tenant" = Option<i64>, Query, description = "Of this customer only")),
    responses((status = 200, body = Vec<schema::Order>), (status = 404, body = schema::Problem)))]
async fn queue(caller: Caller, Query(of): Query<OfTenant>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .certificate_queue(&caller.actor, of.tenant)
        .await
        .or_problem()?)
}

/// Why the domain has the certificate that it has, and when it gets the next
#[utoipa::path(get, path = "/domains/{domain}/certificates/plan", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::CertificatePlan), (status = 404, body = schema::Problem)))]
async fn plan(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .certificate_plan(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Revoke what was ordered for the domain; a certificate with a fresh key is ordered at once
#[utoipa::path(post, path = "/domains/{domain}/certificates/revoke", tag = "domains", params(("domain" = String, Path)), request_body = schema::Revocation,
    responses((status = 200, body = schema::Revoked), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn revoke(
    caller: Caller,
    Path(domain): Path<String>,
    Body(revocation): Body<Revocation>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .certificate_revoke(&caller.actor, &domain, revocation.reason)
        .await
        .or_problem()?)
}

/// The certificate authorities, the preferred one first, and what of their limits is used
#[utoipa::path(get, path = "/authorities", tag = "platform", responses((status = 200, body = Vec<schema::Authority>), (status = 403, body = schema::Problem)))]
async fn authorities(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control.authority_list(&caller.actor).await.or_problem()?)
}

/// Give our account at an authority another key; answers with the account's URI, which stays
#[utoipa::path(post, path = "/authorities/roll-key", tag = "platform", request_body = schema::OfAuthority,
    responses((status = 200, body = String), (status = 403, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn roll_key(caller: Caller, Body(of): Body<OfAuthority>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .authority_roll_key(&caller.actor, &of.directory)
        .await
        .or_problem()?)
}
