//! The first page: a tenant's domains, or for operators of the platform everything by urgency.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use control::domain::{DomainPage, DomainView};
use control::ladder::{LadderStep, Step};
use control::tenant::{Overview, TenantView};
use control::usage::UsageView;
use serde::Deserialize;

use crate::Shared;
use crate::door::Query;
use crate::error::Answer;
use crate::frame::{Frame, Here, html, see_other};
use crate::login::{OrPage, SignedIn, cookie_token};
use crate::urls::{self, DomainUrls};

#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage {
    pub(crate) frame: Frame,
    pub(crate) tenant: TenantView,
    pub(crate) usage: UsageView,
    pub(crate) page: DomainPage,
    pub(crate) search: String,
}

impl HomePage {
    /// May the team change nothing, because something is not in order?
    fn looks_only(&self) -> bool {
        let ladder = self.tenant.ladder.as_ref();
        ladder.is_some_and(|ladder| ladder.step >= Step::ReadOnly)
    }

    /// The next step to come, if nothing is done.
    fn comes_next(&self) -> Option<&LadderStep> {
        let ladder = self.tenant.ladder.as_ref()?;
        ladder.steps.iter().find(|step| !step.reached)
    }
}

#[derive(Template)]
#[template(path = "operator.html")]
pub(crate) struct OperatorPage {
    pub(crate) frame: Frame,
    pub(crate) overview: Overview,
    pub(crate) page: DomainPage,
    pub(crate) search: String,
    /// Those whose domains are on the page.
    pub(crate) tenants: Vec<TenantView>,
    /// Whoever looks at it signs in with a password alone.
    pub(crate) unguarded: bool,
}

impl OperatorPage {
    fn domains_total(&self) -> u64 {
        self.overview.domains.iter().map(|(_, count)| count).sum()
    }

    fn tenant_name(&self, id: &i64) -> &str {
        let tenant = self.tenants.iter().find(|tenant| tenant.id == *id);
        tenant.map_or("", |tenant| &tenant.name)
    }
}

/// Which part of the operator's list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Part {
    #[serde(default)]
    pub(crate) search: String,
    #[serde(default)]
    pub(crate) from: usize,
}

/// Links of a domain in a list.
pub(crate) fn links(view: &DomainView) -> DomainUrls {
    DomainUrls::new(&view.ascii)
}

/// Where somebody stands; a visitor is asked for the domain they bring.
pub(crate) async fn home(
    State(panel): State<Shared>,
    headers: HeaderMap,
    Query(part): Query<Part>,
    desk: Result<SignedIn, crate::error::Failure>,
) -> Answer {
    let desk = match desk {
        Ok(desk) => desk,
        Err(_) if cookie_token(&panel, &headers).is_none() => {
            let path = if panel.control.settings().sign_up {
                urls::SIGN_UP
            } else {
                urls::SIGN_IN
            };
            return Ok(see_other(path));
        }
        Err(failure) => return Err(failure),
    };
    let control = &panel.control;
    let mut frame = desk.at(Here::Home);
    frame.live = Some("*".to_owned());
    if let Some(tenant) = desk.actor.tenant() {
        let tenant = control
            .tenant_show(&desk.actor, tenant.0)
            .await
            .or_page(&desk)?;
        let usage = control
            .usage_show(&desk.actor, tenant.id)
            .await
            .or_page(&desk)?;
        let page = control
            .domain_page(&desk.actor, None, &part.search, part.from)
            .await
            .or_page(&desk)?;
        let page = HomePage {
            frame,
            tenant,
            usage,
            page,
            search: part.search,
        };
        return Ok(html(StatusCode::OK, &page));
    }
    let page = control
        .domain_page(&desk.actor, None, &part.search, part.from)
        .await
        .or_page(&desk)?;
    let mut tenants: Vec<TenantView> = Vec::new();
    for view in &page.domains {
        if !tenants.iter().any(|tenant| tenant.id == view.tenant) {
            let tenant = control.tenant_show(&desk.actor, view.tenant).await;
            tenants.push(tenant.or_page(&desk)?);
        }
    }
    let factor = control.factor_show(&desk.actor).await.or_page(&desk)?;
    let passkeys = control.passkey_list(&desk.actor).await.or_page(&desk)?;
    let page = OperatorPage {
        unguarded: factor.state != "on" && passkeys.is_empty(),
        overview: control.overview(&desk.actor).await.or_page(&desk)?,
        page,
        search: part.search,
        tenants,
        frame,
    };
    Ok(html(StatusCode::OK, &page))
}
