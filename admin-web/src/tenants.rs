//! Tenants, for operators of the platform: list, add, limits, stop, start, remove; a tenant's owner may remove their own.

use askama::Template;
use axum::http::StatusCode;
use control::domain::DomainView;
use control::ladder::LadderSet;
use control::operator::{OperatorNew, OperatorView};
use control::plan::PlanView;
use control::records::DesiredRecord;
use control::tenant::{OwnerNew, TenantNew, TenantPage as TenantPageView, TenantSet, TenantView};
use control::usage::UsageView;
use control::{ControlError, Operation, Role};

use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::home::Part;
use crate::login::{OrPage, SignedIn};
use crate::{plans, urls, words};

#[derive(Template)]
#[template(path = "tenants.html")]
pub(crate) struct TenantsPage {
    pub(crate) frame: Frame,
    pub(crate) page: TenantPageView,
    pub(crate) search: String,
    pub(crate) name: String,
    pub(crate) login: String,
}

/// Every tenant, page by page.
pub(crate) async fn list(desk: SignedIn, Query(part): Query<Part>) -> Answer {
    list_page(&desk, None, part, String::new(), String::new()).await
}

async fn list_page(
    desk: &SignedIn,
    problem: Option<Problem>,
    part: Part,
    name: String,
    login: String,
) -> Answer {
    let page = desk
        .panel
        .control
        .tenant_page(&desk.actor, &part.search, part.from)
        .await
        .or_page(desk)?;
    let page = TenantsPage {
        frame: desk.at(Here::Tenants).problem(problem).following(false),
        page,
        search: part.search,
        name,
        login,
    };
    Ok(html(page.frame.status(), &page))
}

/// Adds one.
pub(crate) async fn add(Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name").to_owned();
    let login = fields.text("login").to_owned();
    let owner = (!login.is_empty()).then(|| OwnerNew {
        login: login.clone(),
        password: fields.secret("password"),
    });
    let new = TenantNew {
        name: name.clone(),
        owner,
    };
    match desk.panel.control.tenant_add(&desk.actor, new).await {
        Ok(view) => Ok(done(&urls::tenant(view.id), "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            list_page(&desk, Some(problem), Part::default(), name, login).await
        }
    }
}

#[derive(Template)]
#[template(path = "tenant.html")]
pub(crate) struct TenantPage {
    pub(crate) frame: Frame,
    pub(crate) tenant: TenantView,
    /// The most urgent ones.
    pub(crate) domains: Vec<DomainView>,
    /// How many there are.
    pub(crate) total: usize,
    pub(crate) team: Vec<OperatorView>,
    pub(crate) view: UsageView,
    /// Plans to choose from, for who may.
    pub(crate) plans: Vec<PlanView>,
}

impl TenantPage {
    /// Is this the plan it was given?
    fn has_plan(&self, id: &i64) -> bool {
        self.tenant.plan == Some(*id)
    }
}

/// One tenant.
pub(crate) async fn show(desk: SignedIn, Path(id): Path<i64>) -> Answer {
    page(&desk, id, None).await
}

async fn page(desk: &SignedIn, id: i64, problem: Option<Problem>) -> Answer {
    let control = &desk.panel.control;
    let domains = control
        .domain_page(&desk.actor, Some(id), "", 0)
        .await
        .or_page(desk)?;
    let tenant = control.tenant_show(&desk.actor, id).await.or_page(desk)?;
    let view = control.usage_show(&desk.actor, id).await.or_page(desk)?;
    let plans = match desk.actor.may(Operation::PlanList) {
        true => control.plan_list(&desk.actor).await.or_page(desk)?,
        false => Vec::new(),
    };
    let page = TenantPage {
        tenant,
        view,
        plans,
        total: domains.total,
        domains: domains.domains,
        team: control.team_list(&desk.actor, id).await.or_page(desk)?,
        frame: desk.at(Here::Tenants).problem(problem).following(false),
    };
    Ok(html(page.frame.status(), &page))
}

async fn refused(desk: &SignedIn, id: i64, failure: ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, id, Some(problem)).await
}

/// Adds an operator to the tenant's team.
pub(crate) async fn team_add(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let new = OperatorNew {
        login: fields.text("login").to_owned(),
        password: fields.secret("password"),
        role: fields.text("role").to_owned(),
    };
    match desk.panel.control.team_add(&desk.actor, id, new).await {
        Ok(_) => Ok(done(&urls::tenant(id), "saved")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// Changes plan and limits.
pub(crate) async fn limits(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    let before = control.tenant_show(&desk.actor, id).await.or_page(&desk)?;
    let limits = match plans::limits_of(&fields, &before.limits) {
        Ok(limits) => limits,
        Err(problem) => return page(&desk, id, Some(problem)).await,
    };
    let plan = fields.text("plan").parse().ok();
    let set = TenantSet {
        plan: plan.filter(|plan| *plan != before.plan.unwrap_or_default()),
        limits,
        version: fields.version(),
    };
    match control.tenant_set_limits(&desk.actor, id, set).await {
        Ok(_) => Ok(done(&urls::tenant(id), "saved")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// Puts it on the suspension ladder.
pub(crate) async fn ladder_set(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let mut set = LadderSet {
        reason: fields.text("reason").to_owned(),
        version: fields.version(),
        ..LadderSet::default()
    };
    for (field, days) in [
        ("read_only_days", &mut set.read_only_days),
        ("no_federation_days", &mut set.no_federation_days),
        ("no_login_days", &mut set.no_login_days),
        ("erased_days", &mut set.erased_days),
    ] {
        let text = fields.text(field);
        if text.is_empty() {
            continue;
        }
        let Ok(number) = text.parse() else {
            let problem = Problem::new(
                Some(field),
                "The days are a whole number.",
                "Type how many days from now, or nothing if the step is not to come.",
            );
            return page(&desk, id, Some(problem)).await;
        };
        *days = Some(number);
    }
    match desk.panel.control.ladder_set(&desk.actor, id, set).await {
        Ok(_) => Ok(done(&urls::tenant(id), "laddered")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// Takes it off.
pub(crate) async fn ladder_end(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let version = fields.version();
    let control = &desk.panel.control;
    let ended = control.ladder_end(&desk.actor, id, version.as_deref());
    match ended.await {
        Ok(_) => Ok(done(&urls::tenant(id), "off-the-ladder")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// Stops all its domains.
pub(crate) async fn suspend(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let reason = fields.text("reason");
    match desk
        .panel
        .control
        .tenant_suspend(&desk.actor, id, reason)
        .await
    {
        Ok(_) => Ok(done(&urls::tenant(id), "suspended")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// From now on their pages are seen as the owner sees them, read only.
pub(crate) async fn view(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    let control = &desk.panel.control;
    match control.owner_view(&desk.actor, desk.id, id).await {
        Ok(_) => Ok(done(urls::HOME, "viewing")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

/// That ends.
pub(crate) async fn view_end(Posted { desk, .. }: Posted) -> Answer {
    let control = &desk.panel.control;
    let ended = control.owner_view_end(&desk.actor).await.or_page(&desk)?;
    let path = ended.map_or_else(|| urls::HOME.to_owned(), |seen| urls::tenant(seen.tenant));
    Ok(done(&path, "viewing-ended"))
}

/// Starts them again.
pub(crate) async fn resume(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    match desk.panel.control.tenant_resume(&desk.actor, id).await {
        Ok(_) => Ok(done(&urls::tenant(id), "resumed")),
        Err(failure) => refused(&desk, id, failure).await,
    }
}

#[derive(Template)]
#[template(path = "tenant_removed.html")]
pub(crate) struct TenantRemovedPage {
    pub(crate) frame: Frame,
    pub(crate) name: String,
    pub(crate) dangling: Vec<DesiredRecord>,
}

/// Erases it, after its name was typed.
pub(crate) async fn remove(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    let tenant = control.tenant_show(&desk.actor, id).await.or_page(&desk)?;
    if fields.text("confirm") != tenant.name {
        let problem = Problem::new(
            Some("confirm"),
            "The name you typed is not the name of this customer, so nothing is removed.",
            format!("Type {} to remove it.", tenant.name),
        );
        return page(&desk, id, Some(problem)).await;
    }
    match control.tenant_remove(&desk.actor, id).await {
        Ok(dangling) => {
            // An owner has just erased their own login: the page stands without it.
            let mut frame = if desk.actor.role().of_a_tenant() {
                Frame::visitor(&desk.panel)
            } else {
                desk.at(Here::Tenants)
            };
            frame.notice = words::notice("removed");
            let page = TenantRemovedPage {
                frame,
                name: tenant.name,
                dangling,
            };
            Ok(html(StatusCode::OK, &page))
        }
        Err(failure) => refused(&desk, id, failure).await,
    }
}

// --- operators of the platform ---

#[derive(Template)]
#[template(path = "operators.html")]
pub(crate) struct OperatorsPage {
    pub(crate) frame: Frame,
    pub(crate) operators: Vec<OperatorView>,
    pub(crate) login: String,
}

/// Who runs the platform.
pub(crate) async fn operators(desk: SignedIn) -> Answer {
    operators_page(&desk, None, String::new()).await
}

async fn operators_page(desk: &SignedIn, problem: Option<Problem>, login: String) -> Answer {
    let control = &desk.panel.control;
    let operators = control
        .platform_team_list(&desk.actor)
        .await
        .or_page(desk)?;
    let page = OperatorsPage {
        frame: desk.at(Here::Operators).problem(problem),
        operators,
        login,
    };
    Ok(html(page.frame.status(), &page))
}

/// Adds one, or gives one a new password.
pub(crate) async fn operators_add(Posted { desk, fields }: Posted) -> Answer {
    let login = fields.text("login").to_owned();
    let new = OperatorNew {
        login: login.clone(),
        password: fields.secret("password"),
        role: Role::Platform.as_str().to_owned(),
    };
    match desk.panel.control.platform_team_add(&desk.actor, new).await {
        Ok(_) => Ok(done(urls::OPERATORS, "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            operators_page(&desk, Some(problem), login).await
        }
    }
}
