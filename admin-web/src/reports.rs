//! Reports: what a domain's people say about others who bother them.

use askama::Template;
use control::domain::DomainView;
use control::report::ReportView;

use crate::domains::view_of;
use crate::door::Path;
use crate::error::Answer;
use crate::frame::{Frame, Here, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "reports.html")]
pub(crate) struct ReportsPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) reports: Vec<ReportView>,
}

/// The newest.
pub(crate) async fn list(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    let show = view_of(&desk, &domain).await?;
    let control = &desk.panel.control;
    let reports = control
        .report_list(&desk.actor, &domain, None)
        .await
        .or_page(&desk)?;
    let page = ReportsPage {
        frame: desk.at(Here::People).about(&show.view),
        urls: DomainUrls::new(&show.view.ascii),
        view: show.view,
        reports,
    };
    Ok(html(page.frame.status(), &page))
}
