//! What moved and was kept over time: a picture for each thing, and one table that says the same.

use askama::Template;
use control::domain::DomainView;
use control::series::{PointView, SeriesOf, SeriesView, StepAsked};
use serde::Deserialize;

use crate::chart;
use crate::domains::view_of;
use crate::door::{Path, Query};
use crate::error::{Answer, Failure};
use crate::frame::{Frame, Here, html};
use crate::login::{OrPage, SignedIn};
use crate::ui::Markup;
use crate::urls::{self, DomainUrls};
use crate::words;

/// Something that is drawn.
pub(crate) struct Drawn {
    /// What it is called.
    pub(crate) title: &'static str,
    /// What exactly was counted.
    pub(crate) note: &'static str,
    /// How much there is now, or was most recently.
    pub(crate) latest: String,
    /// The picture.
    pub(crate) picture: Markup,
}

/// How a number is written.
type Written = fn(u64) -> String;

/// Something that may be drawn: what it is called, what was counted, how it is written, its column.
struct Kind {
    title: &'static str,
    note: &'static str,
    written: Written,
    of: fn(&PointView) -> Option<u64>,
}

fn plain(number: u64) -> String {
    words::number(number)
}

/// In the order of the page.
const KINDS: [Kind; 6] = [
    Kind {
        title: "Signed in at the same time",
        note: "The most sessions at once. A person with two devices is two.",
        written: plain,
        of: |point| Some(point.sessions),
    },
    Kind {
        title: "Stanzas",
        note: "Messages, presence and questions that people and their programs sent, and that other servers sent them.",
        written: plain,
        of: |point| Some(point.stanzas),
    },
    Kind {
        title: "Archived messages",
        note: "Messages in the archives of people and rooms.",
        written: plain,
        of: |point| point.archive_messages,
    },
    Kind {
        title: "Size of the archives",
        note: "What these messages take.",
        written: words::bytes,
        of: |point| point.archive_bytes,
    },
    Kind {
        title: "Uploaded files",
        note: "What shared files take, and what was promised to files on their way.",
        written: words::bytes,
        of: |point| point.upload_bytes,
    },
    Kind {
        title: "Days that the certificate had left",
        note: "Of several domains, the fewest. It rises with each renewal.",
        written: plain,
        of: |point| {
            point
                .certificate_days
                .map(|days| days.max(0).unsigned_abs())
        },
    },
];

/// A series as it is shown.
pub(crate) struct Series {
    pub(crate) view: SeriesView,
    /// Pictures of what was counted at all.
    pub(crate) drawn: Vec<Drawn>,
    /// Links to the days and to the hours.
    pub(crate) by_day: String,
    pub(crate) by_hour: String,
}

impl Series {
    /// Shown at `path`, which may hold a query.
    pub(crate) fn new(view: SeriesView, path: &str) -> Self {
        let drawn = KINDS.iter().filter_map(|kind| draw(kind, &view));
        Self {
            drawn: drawn.collect(),
            by_day: urls::with_step(path, "day"),
            by_hour: urls::with_step(path, "hour"),
            view,
        }
    }

    /// Are these hours?
    pub(crate) fn is_by_hour(&self) -> bool {
        self.view.step == StepAsked::Hour
    }

    /// What a row of the table is called.
    pub(crate) fn step_name(&self) -> &'static str {
        match self.view.step {
            StepAsked::Hour => "Hour (UTC)",
            StepAsked::Day => "Day (UTC)",
        }
    }

    /// Headings of the table.
    pub(crate) fn headings(&self) -> Vec<&'static str> {
        self.kinds().map(|kind| kind.title).collect()
    }

    /// Rows of the table, the newest first: when, and what is in each column.
    pub(crate) fn rows(&self) -> Vec<(String, Vec<String>)> {
        let cell = |kind: &Kind, point: &PointView| {
            (kind.of)(point).map_or_else(|| "\u{2013}".to_owned(), kind.written)
        };
        let points = self.view.points.iter().rev();
        points
            .map(|point| {
                let cells = self.kinds().map(|kind| cell(kind, point)).collect();
                (moment(point, self.view.step), cells)
            })
            .collect()
    }

    fn kinds(&self) -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().filter(|kind| is_known(kind, &self.view))
    }
}

fn is_known(kind: &Kind, view: &SeriesView) -> bool {
    view.points.iter().any(|point| (kind.of)(point).is_some())
}

fn draw(kind: &Kind, view: &SeriesView) -> Option<Drawn> {
    let values: Vec<Option<u64>> = view.points.iter().map(kind.of).collect();
    let latest = values.iter().rev().flatten().next()?;
    let (first, last) = (view.points.first()?, view.points.last()?);
    let ends = [first, last].map(|point| moment(point, view.step));
    Some(Drawn {
        title: kind.title,
        note: kind.note,
        latest: (kind.written)(*latest),
        picture: chart::columns(kind.title, &values, &ends, kind.written),
    })
}

/// `2026-11-25`, or `2026-11-25 20:00`.
fn moment(point: &PointView, step: StepAsked) -> String {
    match step {
        StepAsked::Day => words::day(point.at),
        StepAsked::Hour => words::exact(point.at).trim_end_matches(" UTC").to_owned(),
    }
}

/// How far apart the points are.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Steps {
    #[serde(default)]
    pub(crate) step: StepAsked,
}

/// A series of the page that is being made.
pub(crate) async fn series_of(
    desk: &SignedIn,
    of: SeriesOf,
    step: StepAsked,
    path: &str,
) -> Result<Series, Failure> {
    let control = &desk.panel.control;
    let view = control.series(&desk.actor, of, step).await.or_page(desk)?;
    Ok(Series::new(view, path))
}

#[derive(Template)]
#[template(path = "domain_usage.html")]
pub(crate) struct DomainUsagePage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) series: Series,
}

/// One domain over time.
pub(crate) async fn domain(
    desk: SignedIn,
    Path(domain): Path<String>,
    Query(steps): Query<Steps>,
) -> Answer {
    let show = view_of(&desk, &domain).await?;
    let path = DomainUrls::new(&show.view.ascii).usage();
    let of = SeriesOf::Domain(show.view.domain.clone());
    let page = DomainUsagePage {
        series: series_of(&desk, of, steps.step, &path).await?,
        frame: desk.at(Here::DomainUsage).about(&show.view),
        view: show.view,
    };
    Ok(html(page.frame.status(), &page))
}
