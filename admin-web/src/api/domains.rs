//! Domains, their records, certificates and peers.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use control::certificate::CertificateUpload;
use control::component::ComponentAsk;
use control::domain::{DomainNew, DomainSet};
use control::grant::Grants;
use control::peer::PeerPin;
use control::rollover::KeyChange;
use control::verdict::VerdictsAsk;
use control::wanted::DomainWanted;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Body, Caller, IfMatch, OrProblem, Reply, accepted, created, nothing, ok, ok_at, schema,
};
use crate::Shared;
use crate::door::{Path, Query};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, want, set, remove))
        .routes(routes!(block_lists))
        .routes(routes!(check))
        .routes(routes!(publish))
        .routes(routes!(suspend))
        .routes(routes!(resume))
        .routes(routes!(verdicts))
        .routes(routes!(records))
        .routes(routes!(zone_file))
        .routes(routes!(certificates, certificate_upload))
        .routes(routes!(certificate_order))
        .routes(routes!(rollover))
        .routes(routes!(change_key))
        .routes(routes!(modes))
        .routes(routes!(peers))
        .routes(routes!(peer))
        .routes(routes!(reports))
        .routes(routes!(peer_pin, peer_unpin))
        .routes(routes!(components))
        .routes(routes!(component_add, component_remove))
        .routes(routes!(component_grant))
        .routes(routes!(policy_costs))
        .routes(routes!(codes))
}

/// Which domains.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OfTenant {
    pub(super) tenant: Option<i64>,
}

/// Domains, the most urgent first
#[utoipa::path(get, operation_id = "domain_list", path = "/domains", tag = "domains", params(("tenant" = Option<i64>, Query, description = "Of this customer only")),
    responses((status = 200, body = Vec<schema::Domain>), (status = 401, body = schema::Problem)))]
async fn list(caller: Caller, Query(of): Query<OfTenant>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .domain_list(&caller.actor, of.tenant)
        .await
        .or_problem()?)
}

/// Add a domain: claimed, with a record to publish
#[utoipa::path(post, operation_id = "domain_add", path = "/domains", tag = "domains", request_body = schema::DomainNew,
    responses((status = 201, body = schema::DomainShow), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Body(new): Body<DomainNew>) -> Reply {
    created(
        caller
            .panel
            .control
            .domain_add(&caller.actor, new)
            .await
            .or_problem()?,
    )
}

/// One domain, from the last look
#[utoipa::path(get, operation_id = "domain_show", path = "/domains/{domain}", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::DomainShow), (status = 404, body = schema::Problem)))]
async fn show(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    let show = control
        .domain_show(&caller.actor, &domain)
        .await
        .or_problem()?;
    ok_at(&show.version, &show)
}

/// Have a domain with these settings: claimed if it is not there yet, changed where it differs, the same answer however often
#[utoipa::path(put, operation_id = "domain_want", path = "/domains/{domain}", tag = "domains", params(("domain" = String, Path)),
    request_body = schema::DomainWanted,
    responses((status = 200, body = schema::DomainShow), (status = 201, description = "It was not there", body = schema::DomainShow), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn want(
    caller: Caller,
    Path(domain): Path<String>,
    Body(wanted): Body<DomainWanted>,
) -> Reply {
    let control = &caller.panel.control;
    let there = control
        .domain_want(&caller.actor, &domain, wanted)
        .await
        .or_problem()?;
    let mut reply = ok_at(&there.now.version, &there.now)?;
    if there.is_new {
        *reply.status_mut() = StatusCode::CREATED;
    }
    Ok(reply)
}

/// Change settings; what is not given stays
#[utoipa::path(patch, operation_id = "domain_set", path = "/domains/{domain}", tag = "domains",
    params(("domain" = String, Path), ("If-Match" = Option<String>, Header, description = "`ETag` of the answer that the change is made from")),
    request_body = schema::DomainSet,
    responses((status = 200, body = schema::DomainShow), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set(
    caller: Caller,
    Path(domain): Path<String>,
    IfMatch(version): IfMatch,
    Body(set): Body<DomainSet>,
) -> Reply {
    let set = DomainSet { version, ..set };
    let control = &caller.panel.control;
    let show = control
        .domain_set(&caller.actor, &domain, set)
        .await
        .or_problem()?;
    ok_at(&show.version, &show)
}

/// The block lists that a domain follows, and how far they are known
#[utoipa::path(get, operation_id = "domain_block_lists", path = "/domains/{domain}/block-lists", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::BlockList>), (status = 404, body = schema::Problem)))]
async fn block_lists(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .block_lists(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Erase a domain; answers with the records that now dangle
#[utoipa::path(delete, operation_id = "domain_remove", path = "/domains/{domain}", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::Removed), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .domain_remove(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// How to look.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    wait: bool,
}

/// Look at the world now
///
/// Answers at once; with `wait=true` after the look, with what was found.
#[utoipa::path(post, path = "/domains/{domain}/check", tag = "domains", params(("domain" = String, Path), ("wait" = Option<bool>, Query)),
    responses((status = 200, body = schema::DomainShow), (status = 202), (status = 404, body = schema::Problem)))]
async fn check(caller: Caller, Path(domain): Path<String>, Query(wait): Query<Wait>) -> Reply {
    let control = &caller.panel.control;
    if wait.wait {
        return ok(control
            .domain_check_now(&caller.actor, &domain)
            .await
            .or_problem()?);
    }
    control
        .domain_check(&caller.actor, &domain)
        .await
        .or_problem()?;
    accepted()
}

/// Publish the records for the owner; in the sandbox only
#[utoipa::path(post, path = "/domains/{domain}/publish", tag = "domains", params(("domain" = String, Path)),
    responses((status = 202), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn publish(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    control
        .domain_publish(&caller.actor, &domain)
        .await
        .or_problem()?;
    accepted()
}

/// Why.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reason {
    #[serde(default)]
    pub(super) reason: String,
}

/// Stop a domain; nothing is erased
#[utoipa::path(post, operation_id = "domain_suspend", path = "/domains/{domain}/suspend", tag = "domains", params(("domain" = String, Path)), request_body = schema::Reason,
    responses((status = 200, body = schema::DomainShow), (status = 404, body = schema::Problem)))]
async fn suspend(caller: Caller, Path(domain): Path<String>, Body(reason): Body<Reason>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .domain_suspend(&caller.actor, &domain, &reason.reason)
        .await
        .or_problem()?)
}

/// Start it again
#[utoipa::path(post, operation_id = "domain_resume", path = "/domains/{domain}/resume", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::DomainShow), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn resume(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .domain_resume(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Who would accept the domain how: today, or in another mode once its owner has published what that wants
///
/// What is not said is as it is. Nothing is changed.
#[utoipa::path(get, operation_id = "domain_verdicts", path = "/domains/{domain}/verdicts", tag = "domains",
    params(("domain" = String, Path), ("mode" = Option<String>, Query, description = "See `/modes`"),
        ("dane" = Option<bool>, Query, description = "With TLSA records beside it"), ("posh" = Option<bool>, Query, description = "With POSH documents beside it")),
    responses((status = 200, body = schema::Verdicts), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn verdicts(
    caller: Caller,
    Path(domain): Path<String>,
    Query(ask): Query<VerdictsAsk>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .verdicts_if(&caller.actor, &domain, ask)
        .await
        .or_problem()?)
}

/// What to publish, and how each record stands
#[utoipa::path(get, path = "/domains/{domain}/records", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::Records), (status = 404, body = schema::Problem)))]
async fn records(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .domain_records(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// The same as a zone-file fragment
#[utoipa::path(get, path = "/domains/{domain}/records.zone", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, content_type = "text/dns", body = String), (status = 404, body = schema::Problem)))]
async fn zone_file(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    let text = control
        .domain_zone_fragment(&caller.actor, &domain)
        .await
        .or_problem()?;
    Ok(([(header::CONTENT_TYPE, "text/dns; charset=utf-8")], text).into_response())
}

/// Certificates, the current one first
#[utoipa::path(get, path = "/domains/{domain}/certificates", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::Certificate>), (status = 404, body = schema::Problem)))]
async fn certificates(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .certificate_list(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Upload chain and key; in use at once, or as soon as all peers may know it where they have been told what to expect
#[utoipa::path(post, path = "/domains/{domain}/certificates", tag = "domains", params(("domain" = String, Path)), request_body = schema::CertificateUpload,
    responses((status = 201, body = schema::Certificate), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn certificate_upload(
    caller: Caller,
    Path(domain): Path<String>,
    Body(upload): Body<CertificateUpload>,
) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .certificate_upload(&caller.actor, &domain, upload)
            .await
            .or_problem()?,
    )
}

/// Order a certificate now, after the usual look at the records
#[utoipa::path(post, path = "/domains/{domain}/certificates/order", tag = "domains", params(("domain" = String, Path)),
    responses((status = 202), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn certificate_order(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    control
        .certificate_order(&caller.actor, &domain)
        .await
        .or_problem()?;
    accepted()
}

/// Where the change of keys and certificates stands, and what is published of them
#[utoipa::path(get, path = "/domains/{domain}/rollover", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = schema::Rollover), (status = 404, body = schema::Problem)))]
async fn rollover(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .certificate_rollover(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Another key for the next certificate
///
/// In good order: it is used when every server may know it. As an emergency: at once; `/rollover` says what that costs.
#[utoipa::path(post, path = "/domains/{domain}/certificates/key", tag = "domains", params(("domain" = String, Path)), request_body = schema::KeyChange,
    responses((status = 202), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn change_key(
    caller: Caller,
    Path(domain): Path<String>,
    Body(change): Body<KeyChange>,
) -> Reply {
    let control = &caller.panel.control;
    control
        .certificate_change_key(&caller.actor, &domain, change)
        .await
        .or_problem()?;
    accepted()
}

/// Ways of proof, and what each costs
#[utoipa::path(get, path = "/modes", tag = "domains", security(()), responses((status = 200, body = Vec<schema::ModeOffer>)))]
async fn modes(State(panel): State<Shared>) -> Reply {
    ok(panel.control.modes())
}

/// Which peers.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OfPeers {
    #[serde(default)]
    pub(super) search: String,
    #[serde(default)]
    pub(super) from: usize,
}

/// Peers, the latest first, fifty at a time
#[utoipa::path(get, path = "/domains/{domain}/peers", tag = "domains",
    params(("domain" = String, Path), ("search" = Option<String>, Query, description = "Part of a peer's name"), ("from" = Option<u64>, Query, description = "Number of the first one, from 0")),
    responses((status = 200, body = schema::PeerPage), (status = 404, body = schema::Problem)))]
async fn peers(
    caller: Caller,
    Path(domain): Path<String>,
    Query(OfPeers { search, from }): Query<OfPeers>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .peer_page(&caller.actor, &domain, &search, from)
        .await
        .or_problem()?)
}

/// One peer's story, newest attempt first
#[utoipa::path(get, path = "/domains/{domain}/peers/{peer}", tag = "domains", params(("domain" = String, Path), ("peer" = String, Path)),
    responses((status = 200, body = schema::PeerShow), (status = 404, body = schema::Problem)))]
async fn peer(caller: Caller, Path((domain, peer)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .peer_show(&caller.actor, &domain, &peer)
        .await
        .or_problem()?)
}

/// Which page of reports.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Before {
    pub(super) before: Option<i64>,
}

/// What the domain's people report to its owner (XEP-0377), newest first
#[utoipa::path(get, path = "/domains/{domain}/reports", tag = "domains", params(("domain" = String, Path), ("before" = Option<i64>, Query, description = "Older than the report of this number")),
    responses((status = 200, body = Vec<schema::Report>), (status = 404, body = schema::Problem)))]
async fn reports(
    caller: Caller,
    Path(domain): Path<String>,
    Query(Before { before }): Query<Before>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .report_list(&caller.actor, &domain, before)
        .await
        .or_problem()?)
}

/// Pin trust anchors for a peer; they replace those pinned before
///
/// Only certificates under them prove the peer from then on; the public authorities are not asked.
#[utoipa::path(put, path = "/domains/{domain}/peers/{peer}/pinned", tag = "domains", params(("domain" = String, Path), ("peer" = String, Path)), request_body = schema::PeerPin,
    responses((status = 200, body = schema::Pinned), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn peer_pin(
    caller: Caller,
    Path((domain, peer)): Path<(String, String)>,
    Body(pin): Body<PeerPin>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .peer_pin(&caller.actor, &domain, &peer, pin)
        .await
        .or_problem()?)
}

/// Take a peer's pinned anchors away: the public authorities count again
#[utoipa::path(delete, path = "/domains/{domain}/peers/{peer}/pinned", tag = "domains", params(("domain" = String, Path), ("peer" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn peer_unpin(caller: Caller, Path((domain, peer)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    control
        .peer_unpin(&caller.actor, &domain, &peer)
        .await
        .or_problem()?;
    nothing()
}

/// Programs that answer for names below the domain (XEP-0114)
#[utoipa::path(get, path = "/domains/{domain}/components", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::Component>), (status = 404, body = schema::Problem)))]
async fn components(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .component_list(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Let a program connect as NAME.DOMAIN; its secret is shown once
///
/// One that is there keeps its secret, and nothing is done, unless another one is said or `rotate` is.
#[utoipa::path(put, path = "/domains/{domain}/components/{name}", tag = "domains", params(("domain" = String, Path), ("name" = String, Path)), request_body = schema::ComponentAsk,
    responses((status = 200, body = schema::ComponentNew), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn component_add(
    caller: Caller,
    Path((domain, name)): Path<(String, String)>,
    Body(ask): Body<ComponentAsk>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .component_add(&caller.actor, &domain, &name, ask)
        .await
        .or_problem()?)
}

/// Say all that a program may do in the names of the domain's accounts, and what it answers in the domain's place (XEP-0355, XEP-0356)
///
/// What is not said, it may not any more. With `If-Match`, only if it may what the list of programs showed as that `version`.
#[utoipa::path(put, path = "/domains/{domain}/components/{name}/grants", tag = "domains", params(("domain" = String, Path), ("name" = String, Path), ("If-Match" = Option<String>, Header, description = "The version that the change is made from")), request_body = schema::Grants,
    responses((status = 200, body = schema::Grants), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn component_grant(
    caller: Caller,
    Path((domain, name)): Path<(String, String)>,
    IfMatch(version): IfMatch,
    Body(grants): Body<Grants>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .component_grant(&caller.actor, &domain, &name, grants, version.as_deref())
        .await
        .or_problem()?)
}

/// Take a program's name away: its connection ends
#[utoipa::path(delete, path = "/domains/{domain}/components/{name}", tag = "domains", params(("domain" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn component_remove(caller: Caller, Path((domain, name)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    control
        .component_remove(&caller.actor, &domain, &name)
        .await
        .or_problem()?;
    nothing()
}

/// Which known peers a stricter policy would lose
#[utoipa::path(get, path = "/domains/{domain}/policies", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::PolicyCost>), (status = 404, body = schema::Problem)))]
async fn policy_costs(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .policy_costs(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// What every code of a check means
#[utoipa::path(get, path = "/codes", tag = "domains", security(()), responses((status = 200, body = Vec<schema::Code>)))]
async fn codes() -> Reply {
    ok(control::findings::CODES)
}
