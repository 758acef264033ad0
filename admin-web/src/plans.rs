//! Plans, for operators of the platform, and what customers use of what they may have, for everybody.

use std::io;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::http::header;
use axum::response::Response;
use control::plan::{LimitsSet, PlanSet, PlanView};
use control::series::SeriesOf;
use control::usage::{QuotaView, UsageCsv, UsagePage as UsagePageView, UsageView};
use control::{Actor, Control, ControlError, Limits};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;

use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::{Fields, Posted};
use crate::frame::{Frame, Here, csv, done, html};
use crate::login::{OrPage, SignedIn};
use crate::series::{Series, Steps, series_of};
use crate::{urls, words};

/// How the field of a size ends.
const SIZE: &str = "_bytes";

/// A limit in a form: its field, what it is called, its value.
pub(crate) type LimitField = (&'static str, &'static str, u64);

/// The limits of a form, in its order.
pub(crate) fn limit_fields(limits: &Limits) -> [LimitField; 10] {
    [
        ("domains", "Domains", limits.domains.into()),
        ("accounts", "Accounts", limits.accounts.into()),
        ("sessions", "Sessions at a time", limits.sessions.into()),
        (
            "connections",
            "Connections at a time",
            limits.connections.into(),
        ),
        (
            "stanzas_per_second",
            "Stanzas a second",
            limits.stanzas_per_second.into(),
        ),
        ("peers", "Other servers at a time", limits.peers.into()),
        (
            "roster_items",
            "Contacts of one person",
            limits.roster_items.into(),
        ),
        ("offline_bytes", "Waiting messages", limits.offline_bytes),
        ("archive_bytes", "Archived messages", limits.archive_bytes),
        ("upload_bytes", "Uploaded files", limits.upload_bytes),
    ]
}

/// Its hint in a form; empty: there is none.
pub(crate) fn hint(kind: &str) -> &'static str {
    match kind {
        "stanzas_per_second" => "Messages, presence and questions of apps.",
        _ if kind.ends_with(SIZE) => "Such as 500 MB or 20 GB.",
        _ => "",
    }
}

/// Is it a size?
pub(crate) fn is_size(kind: &str) -> bool {
    kind.ends_with(SIZE)
}

/// How a limit is written: sizes as people write them.
pub(crate) fn written(kind: &str, value: &u64) -> String {
    match kind.ends_with(SIZE) {
        true => words::exact_bytes(*value),
        false => value.to_string(),
    }
}

/// The limits that were filled in; what is the same as before is not set, so that it goes on following what it follows.
pub(crate) fn limits_of(fields: &Fields, before: &Limits) -> Result<LimitsSet, Problem> {
    let mut set = LimitsSet::default();
    for (name, called, was) in limit_fields(before) {
        let text = fields.text(name);
        if text.is_empty() || text == written(name, &was) || text == was.to_string() {
            continue;
        }
        let number = match name.ends_with(SIZE) {
            true => words::bytes_of(text).ok_or_else(|| {
                Problem::new(
                    Some(name),
                    format!("\"{called}\" is a size, and \"{text}\" is none."),
                    "Type a number and a unit, such as 500 MB or 1.5 GB.",
                )
            })?,
            false => text.parse::<u64>().map_err(|_| {
                Problem::new(
                    Some(name),
                    format!("\"{called}\" is a whole number."),
                    "Type it without dots or commas.",
                )
            })?,
        };
        let small = u32::try_from(number).unwrap_or(u32::MAX);
        match name {
            "domains" => set.domains = Some(small),
            "accounts" => set.accounts = Some(small),
            "sessions" => set.sessions = Some(small),
            "connections" => set.connections = Some(small),
            "stanzas_per_second" => set.stanzas_per_second = Some(small),
            "peers" => set.peers = Some(small),
            "roster_items" => set.roster_items = Some(small),
            "offline_bytes" => set.offline_bytes = Some(number),
            "archive_bytes" => set.archive_bytes = Some(number),
            _ => set.upload_bytes = Some(number),
        }
    }
    Ok(set)
}

#[derive(Template)]
#[template(path = "plans.html")]
pub(crate) struct PlansPage {
    pub(crate) frame: Frame,
    pub(crate) plans: Vec<PlanView>,
    pub(crate) name: String,
}

/// Every plan.
pub(crate) async fn list(desk: SignedIn) -> Answer {
    list_page(&desk, None, String::new()).await
}

async fn list_page(desk: &SignedIn, problem: Option<Problem>, name: String) -> Answer {
    let control = &desk.panel.control;
    let page = PlansPage {
        plans: control.plan_list(&desk.actor).await.or_page(desk)?,
        frame: desk.at(Here::Plans).problem(problem),
        name,
    };
    Ok(html(page.frame.status(), &page))
}

/// Makes one with the limits of the configuration, and leads to where they are changed.
pub(crate) async fn add(Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name").to_owned();
    let new = PlanSet {
        name: Some(name.clone()),
        ..PlanSet::default()
    };
    match desk.panel.control.plan_add(&desk.actor, new).await {
        Ok(view) => Ok(done(&urls::plan(view.id), "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            list_page(&desk, Some(problem), name).await
        }
    }
}

#[derive(Template)]
#[template(path = "plan.html")]
pub(crate) struct PlanPage {
    pub(crate) frame: Frame,
    pub(crate) plan: PlanView,
}

/// One plan.
pub(crate) async fn show(desk: SignedIn, Path(id): Path<i64>) -> Answer {
    page(&desk, id, None).await
}

async fn page(desk: &SignedIn, id: i64, problem: Option<Problem>) -> Answer {
    let control = &desk.panel.control;
    let page = PlanPage {
        plan: control.plan_show(&desk.actor, id).await.or_page(desk)?,
        frame: desk.at(Here::Plans).problem(problem),
    };
    Ok(html(page.frame.status(), &page))
}

async fn refused(desk: &SignedIn, id: i64, failure: ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, id, Some(problem)).await
}

/// Changes it.
pub(crate) async fn save(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    let before = control.plan_show(&desk.actor, id).await.or_page(&desk)?;
    let limits = match limits_of(&fields, &before.limits) {
        Ok(limits) => limits,
        Err(problem) => return page(&desk, id, Some(problem)).await,
    };
    let Ok(soft_percent) = fields.text("soft_percent").parse() else {
        let problem = Problem::new(
            Some("soft_percent"),
            "The warning level is a whole number.",
            "Type a number from 1 to 100.",
        );
        return page(&desk, id, Some(problem)).await;
    };
    let set = PlanSet {
        name: Some(fields.text("name").to_owned()),
        usual: Some(fields.text("usual") == "yes"),
        soft_percent: Some(soft_percent),
        limits,
        version: fields.version(),
    };
    match control.plan_set(&desk.actor, id, set).await {
        Ok(_) => Ok(done(&urls::plan(id), "saved")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// Removes it.
pub(crate) async fn remove(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    match desk.panel.control.plan_remove(&desk.actor, id).await {
        Ok(()) => Ok(done(urls::PLANS, "plan-removed")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

// --- usage ---

#[derive(Template)]
#[template(path = "usage.html")]
pub(crate) struct UsagePage {
    pub(crate) frame: Frame,
    pub(crate) page: UsagePageView,
    /// Is it a list of customers, rather than one of them?
    pub(crate) many: bool,
    /// What was searched for.
    pub(crate) search: String,
    /// How it went: of the one customer, or of everybody.
    pub(crate) series: Series,
    /// Link to these as a table.
    pub(crate) csv: String,
}

/// Of whom.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Whose {
    pub(crate) tenant: Option<i64>,
    #[serde(default)]
    pub(crate) search: String,
    #[serde(default)]
    pub(crate) from: usize,
}

/// What is used.
pub(crate) async fn usage(
    desk: SignedIn,
    Query(whose): Query<Whose>,
    Query(steps): Query<Steps>,
) -> Answer {
    let control = &desk.panel.control;
    let of = match whose.tenant.or(desk.actor.tenant().map(|own| own.0)) {
        Some(tenant) => SeriesOf::Tenant(tenant),
        None => SeriesOf::Platform,
    };
    let path = urls::usage(urls::USAGE, whose.tenant);
    let page = UsagePage {
        series: series_of(&desk, of, steps.step, &path).await?,
        page: control
            .usage(&desk.actor, whose.tenant, &whose.search, whose.from)
            .await
            .or_page(&desk)?,
        many: whose
            .tenant
            .or(desk.actor.tenant().map(|own| own.0))
            .is_none(),
        frame: desk.at(Here::Usage).following(false),
        csv: urls::usage(urls::USAGE_CSV, whose.tenant),
        search: whose.search,
    };
    Ok(html(page.frame.status(), &page))
}

/// The same as a table.
pub(crate) async fn usage_csv(desk: SignedIn, Query(whose): Query<Whose>) -> Answer {
    let control = desk.panel.control.clone();
    let first = control
        .usage_csv(&desk.actor, whose.tenant, None)
        .await
        .or_page(&desk)?;
    Ok(usage_table(control, desk.actor, first))
}

/// The table part by part, as fast as it is read. A part that cannot be counted breaks it off: who reads it sees that it has no
/// end.
pub(crate) fn usage_table(control: Arc<Control>, actor: Actor, first: UsageCsv) -> Response {
    let rest = stream::try_unfold(first.next, move |after| {
        let (control, actor) = (control.clone(), actor.clone());
        async move {
            let Some(after) = after else { return Ok(None) };
            let part = control.usage_csv(&actor, None, Some(after)).await;
            let part = part.map_err(|error| io::Error::other(error.log_text()))?;
            Ok::<_, io::Error>(Some((part.text, part.next)))
        }
    });
    let text = first.text;
    let parts = stream::once(async move { Ok(text) }).chain(rest);
    let mut response = csv("usage.csv", String::new());
    *response.body_mut() = Body::from_stream(parts);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// Everything that a customer may have, and uses of it.
pub(crate) fn link(view: &UsageView) -> String {
    urls::usage(urls::USAGE, Some(view.tenant))
}

/// One number of a customer's, as `used of limit`; empty: there is no such thing.
pub(crate) fn used_of(view: &UsageView, kind: &str) -> String {
    view.quota(kind).map_or_else(String::new, |quota| {
        let used = quota
            .used
            .map_or_else(|| "–".to_owned(), |used| amount(quota, &used));
        format!("{used} of {}", amount(quota, &quota.hard))
    })
}

/// The worst level among what a customer uses, and of what.
pub(crate) fn worst(view: &UsageView) -> Option<&QuotaView> {
    let hard = view.warnings().find(|quota| quota.level == "hard");
    hard.or_else(|| view.warnings().next())
}

/// How much of a quota: sizes are written as such.
pub(crate) fn amount(quota: &QuotaView, count: &u64) -> String {
    match quota.kind.ends_with(SIZE) {
        true => words::bytes(*count),
        false => words::number(count),
    }
}

/// What a quota is called.
pub(crate) fn called(quota: &QuotaView) -> &'static str {
    let fields = limit_fields(&Limits::default());
    let found = fields.iter().find(|(kind, _, _)| *kind == quota.kind);
    found.map_or("", |(_, called, _)| called)
}

/// Its level as word, icon and colour.
pub(crate) fn level(quota: &QuotaView) -> (&'static str, &'static str, &'static str) {
    match quota.level {
        "hard" => ("limit reached", "bad", "bad"),
        "soft" => ("nearly full", "warn", "warn"),
        "ok" => ("room left", "check-full", "ok"),
        _ => ("not counted", "hollow", "unknown"),
    }
}
