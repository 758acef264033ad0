//! The records page and the zone-file fragment.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use control::records::{RecordValue, RecordView, RecordsPage as Records, Standing, WebView};

use crate::domains::view_of;
use crate::door::Path;
use crate::error::Answer;
use crate::frame::{Frame, Here, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "records.html")]
pub(crate) struct RecordsPage {
    pub(crate) frame: Frame,
    pub(crate) page: Records,
    pub(crate) zone_file: String,
    pub(crate) urls: DomainUrls,
    /// Does the sandbox publish for them?
    pub(crate) can_publish: bool,
}

impl RecordsPage {
    fn needed(&self) -> Vec<&RecordView> {
        let records = self.page.records.iter();
        records.filter(|view| !view.record.optional).collect()
    }

    /// Addresses of the website that are optional, or those that the way of proof needs.
    fn web(&self, optional: bool) -> Vec<&WebView> {
        let views = self.page.web.iter();
        views.filter(|view| view.optional == optional).collect()
    }

    fn optional(&self) -> Vec<&RecordView> {
        let records = self.page.records.iter();
        records.filter(|view| view.record.optional).collect()
    }

    /// `3 of 4 are seen`, for the needed ones.
    fn seen(&self) -> (usize, usize) {
        let needed = self.needed();
        let seen = needed.iter().filter(|view| view.standing == Standing::Seen);
        (seen.count(), needed.len())
    }
}

/// Word, icon and colour of a record; a missing optional one is never red.
pub(crate) fn standing(view: &RecordView) -> (&'static str, &'static str, &'static str) {
    match (view.standing, view.record.optional) {
        (Standing::Seen, _) => ("seen", "check-full", "ok"),
        (Standing::Missing, true) => ("not published", "hollow", "unknown"),
        (Standing::Missing, false) => ("not there yet", "dot", "you"),
        (Standing::Different, _) => ("something else is there", "warn", "warn"),
        (Standing::Unknown, _) => ("not looked yet", "hollow", "unknown"),
    }
}

/// Word, icon and colour of an address of the website.
pub(crate) fn web_standing(view: &WebView) -> (&'static str, &'static str, &'static str) {
    match view.standing {
        Standing::Seen => ("seen", "check-full", "ok"),
        Standing::Missing if view.optional => ("not published", "hollow", "unknown"),
        Standing::Missing => ("not there yet", "dot", "you"),
        Standing::Different => ("something else is there", "warn", "warn"),
        Standing::Unknown => ("not looked yet", "hollow", "unknown"),
    }
}

/// Parts of the value for forms that ask for each of them alone.
pub(crate) fn fields(value: &RecordValue) -> Vec<(&'static str, String)> {
    match value {
        RecordValue::Srv {
            priority,
            weight,
            port,
            target,
        } => vec![
            ("Priority", priority.to_string()),
            ("Weight", weight.to_string()),
            ("Port", port.to_string()),
            ("Target", target.clone()),
        ],
        RecordValue::Txt { text } => vec![("Text", text.clone())],
        RecordValue::Cname { target } => vec![("Target", target.clone())],
    }
}

/// The site that an address (with `https`) leads to.
pub(crate) fn host_of(address: &str) -> &str {
    let rest = address.strip_prefix("https://").unwrap_or(address);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// What to publish, why, and how it stands.
pub(crate) async fn show(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    let control = &desk.panel.control;
    let show = view_of(&desk, &domain).await?;
    let page = control
        .domain_records(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    let zone_file = control
        .domain_zone_fragment(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    let page = RecordsPage {
        frame: desk.at(Here::Records).about(&show.view),
        page,
        zone_file,
        urls: DomainUrls::new(&show.view.ascii),
        can_publish: show.can_publish,
    };
    Ok(html(StatusCode::OK, &page))
}

/// The fragment as a file.
pub(crate) async fn zone_file(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    let control = &desk.panel.control;
    let show = view_of(&desk, &domain).await?;
    let text = control
        .domain_zone_fragment(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    let disposition = format!("attachment; filename=\"{}.zone\"", show.view.ascii);
    let disposition = HeaderValue::from_str(&disposition)
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/dns; charset=utf-8"),
        ),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, text).into_response())
}
