//! Rooms and files of a domain, and how long what is archived stays.

use askama::Template;
use control::domain::{DomainSet, DomainView, StreamSet};
use control::kept::{KEPT_SHOWN, RoomView, UploadsView};
use serde::Deserialize;

use crate::domains::view_of;
use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "kept.html")]
pub(crate) struct KeptPage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    /// Of the service's name; empty: the domain has none.
    pub(crate) service: String,
    pub(crate) rooms: Vec<RoomView>,
    pub(crate) uploads: Vec<UploadsView>,
    /// Is this a later page of rooms?
    pub(crate) later: bool,
    /// Days after which what is archived goes; `None`: as the platform does.
    pub(crate) archive_days: Option<u32>,
    /// Settings that the form was made from.
    pub(crate) version: String,
}

impl KeptPage {
    /// Where the rooms go on.
    fn next(&self) -> Option<String> {
        let last = self
            .rooms
            .last()
            .filter(|_| self.rooms.len() >= KEPT_SHOWN)?;
        Some(self.urls.kept_after(&last.local))
    }

    /// Is this what has been chosen: `usual`, `ever` or `days`?
    fn keeps(&self, choice: &str) -> bool {
        let chosen = match self.archive_days {
            None => "usual",
            Some(0) => "ever",
            Some(_) => "days",
        };
        chosen == choice
    }

    /// What the field of days holds.
    fn days(&self) -> String {
        let days = self.archive_days.filter(|days| *days > 0);
        days.map(|days| days.to_string()).unwrap_or_default()
    }
}

/// Where the rooms begin.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

/// Both lists.
pub(crate) async fn show(
    desk: SignedIn,
    Path(domain): Path<String>,
    Query(after): Query<After>,
) -> Answer {
    page(&desk, &domain, after.after.as_deref(), None).await
}

async fn page(
    desk: &SignedIn,
    domain: &str,
    after: Option<&str>,
    problem: Option<Problem>,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let rooms = control.room_list(&desk.actor, domain, after);
    let uploads = control.upload_list(&desk.actor, domain);
    let page = KeptPage {
        rooms: rooms.await.or_page(desk)?,
        uploads: uploads.await.or_page(desk)?,
        later: after.is_some(),
        service: format!("rooms.{}", show.view.domain),
        archive_days: show.streams.archive_days,
        version: show.version.clone(),
        frame: desk.at(Here::Kept).about(&show.view).problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        view: show.view,
    };
    Ok(html(page.frame.status(), &page))
}

/// Saves how long what is archived stays.
pub(crate) async fn save(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let days = match fields.text("keep") {
        "usual" => None,
        "ever" => Some(0),
        _ => match fields.text("archive_days").parse::<u32>() {
            Ok(days) if days > 0 => Some(days),
            _ => {
                let problem = Problem::new(
                    Some("archive_days"),
                    "How long messages stay is a whole number of days, at least one.",
                    "Type the number, or choose to keep them as long as there is room.",
                );
                return page(&desk, &domain, None, Some(problem)).await;
            }
        },
    };
    let set = DomainSet {
        streams: StreamSet {
            archive_days: days,
            ..StreamSet::default()
        },
        version: fields.version(),
        ..DomainSet::default()
    };
    let control = &desk.panel.control;
    match control.domain_set(&desk.actor, &domain, set).await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).kept(), "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            page(&desk, &domain, None, Some(problem)).await
        }
    }
}
