//! Components: programs of the owner's own that answer for a name below the domain. A secret is shown once, on the page that
//! answers the form.

use askama::Template;
use control::ControlError;
use control::component::{ComponentAsk, ComponentNew, ComponentView};
use control::domain::DomainView;

use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "components.html")]
pub(crate) struct ComponentsPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) components: Vec<ComponentView>,
    /// Seen once.
    pub(crate) fresh: Option<ComponentNew>,
    /// As typed.
    pub(crate) name: String,
}

/// The list.
pub(crate) async fn list(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    page(&desk, &domain, None, None, "").await
}

async fn page(
    desk: &SignedIn,
    domain: &str,
    problem: Option<Problem>,
    fresh: Option<ComponentNew>,
    name: &str,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let page = ComponentsPage {
        components: control
            .component_list(&desk.actor, domain)
            .await
            .or_page(desk)?,
        frame: desk
            .at(Here::Settings)
            .about(&show.view)
            .still()
            .problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        view: show.view,
        fresh,
        name: name.to_owned(),
    };
    Ok(html(page.frame.status(), &page))
}

async fn refused(desk: &SignedIn, domain: &str, failure: ControlError, name: &str) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, domain, Some(problem), None, name).await
}

/// Lets one connect, or gives it another secret.
pub(crate) async fn add(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name").to_owned();
    let control = &desk.panel.control;
    let ask = ComponentAsk::default();
    match control
        .component_add(&desk.actor, &domain, &name, ask)
        .await
    {
        Ok(fresh) => page(&desk, &domain, None, Some(fresh), "").await,
        Err(failure) => refused(&desk, &domain, failure, &name).await,
    }
}

/// Takes its name away.
pub(crate) async fn remove(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let name = fields.text("name");
    let control = &desk.panel.control;
    match control.component_remove(&desk.actor, &domain, name).await {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).components(), "removed")),
        Err(failure) => refused(&desk, &domain, failure, "").await,
    }
}
