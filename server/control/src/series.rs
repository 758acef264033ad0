//! What moved and was kept over time, of a domain, a customer or everybody: what charts are drawn from.

use serde::{Deserialize, Serialize};
use store::TenantId;
use store::series::{Point, Step, Whose};
use xmpp::timestamp::Timestamp;

use crate::domain::DayView;
use crate::error::Result;
use crate::permission::Operation;
use crate::time::{DAY, HOUR};
use crate::{Actor, Control};

/// Hours that are kept and shown.
const HOURS: i64 = 72;
/// Days that are kept …
const DAYS_KEPT: i64 = 400;
/// … and shown.
const DAYS: i64 = 90;

/// Whose series is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeriesOf {
    /// A domain's, by its name.
    Domain(String),
    /// A customer's, by its id.
    Tenant(i64),
    /// Everybody's.
    Platform,
}

/// How far apart the points of an answer are.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum StepAsked {
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
}

impl From<StepAsked> for Step {
    fn from(asked: StepAsked) -> Self {
        match asked {
            StepAsked::Hour => Self::Hour,
            StepAsked::Day => Self::Day,
        }
    }
}

/// A run of hours or days, without gaps.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct SeriesView {
    /// The domain, or what the customer is called; empty: everybody's.
    pub of: String,
    /// `hour` or `day`, of UTC.
    pub step: StepAsked,
    /// The oldest first, from the first of which something is known up to now.
    pub points: Vec<PointView>,
}

/// An hour or a day.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub struct PointView {
    /// Its start.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Most sessions at a time, as seen once a minute.
    pub sessions: u64,
    /// Stanzas that people and components sent, and that other servers sent them.
    pub stanzas: u64,
    /// Messages in archives; `None`: it was not measured (hours never are).
    pub archive_messages: Option<u64>,
    /// Their bytes.
    pub archive_bytes: Option<u64>,
    /// Bytes of uploaded files.
    pub upload_bytes: Option<u64>,
    /// Days that the certificate in use had left at the start; of several domains, the one with the fewest. `None`: there was
    /// none, or it was not looked at.
    pub certificate_days: Option<i64>,
}

impl PointView {
    fn of(point: &Point) -> Self {
        let ends = point.kept.and_then(|kept| kept.certificate_ends);
        Self {
            at: point.at,
            sessions: point.activity.sessions,
            stanzas: point.activity.stanzas,
            archive_messages: point.kept.map(|kept| kept.archive_rows),
            archive_bytes: point.kept.map(|kept| kept.archive_bytes),
            upload_bytes: point.kept.map(|kept| kept.upload_bytes),
            certificate_days: ends.map(|ends| (ends.0 - point.at.0).div_euclid(DAY)),
        }
    }

    /// Nothing moved.
    fn quiet(at: Timestamp) -> Self {
        Self {
            at,
            sessions: 0,
            stanzas: 0,
            archive_messages: None,
            archive_bytes: None,
            upload_bytes: None,
            certificate_days: None,
        }
    }
}

/// Every hour or day from the first point on; those without one were quiet.
fn without_gaps(points: &[Point], step: Step, now: Timestamp) -> Vec<PointView> {
    let Some(first) = points.first() else {
        return Vec::new();
    };
    let mut known = points.iter().peekable();
    let mut views = Vec::new();
    let mut at = first.at.0;
    while at <= step.start(now).0 {
        views.push(match known.next_if(|point| point.at.0 == at) {
            Some(point) => PointView::of(point),
            None => PointView::quiet(Timestamp(at)),
        });
        at += step.micros();
    }
    views
}

impl Control {
    /// What moved and was kept: of a domain or customer that the actor sees, or for operators of the platform of everybody. The
    /// last three days by hour, or the last 90 by day.
    pub async fn series(&self, actor: &Actor, of: SeriesOf, step: StepAsked) -> Result<SeriesView> {
        let (whose, of) = match of {
            SeriesOf::Domain(domain) => {
                let row = self
                    .domain_row(actor, Operation::DomainShow, &domain)
                    .await?;
                (Whose::Domain(row.id), row.name.to_string())
            }
            SeriesOf::Tenant(id) => {
                let row = self.tenant_row(actor, Operation::UsageShow, id).await?;
                (Whose::Tenant(TenantId(id)), row.name)
            }
            SeriesOf::Platform => {
                actor.check(Operation::PlatformOverview, None, "platform", "")?;
                (Whose::Platform, String::new())
            }
        };
        Ok(SeriesView {
            of,
            step,
            points: self.points(whose, step.into()).await?,
        })
    }

    async fn points(&self, whose: Whose, step: Step) -> Result<Vec<PointView>> {
        let now = self.now();
        let span = match step {
            Step::Hour => HOURS * HOUR,
            Step::Day => DAYS * DAY,
        };
        let since = Timestamp(step.start(now).0 + step.micros() - span);
        let points = self.store().series(whose, step, since).await?;
        Ok(without_gaps(&points, step, now))
    }

    /// Most sessions at a time on each of a domain's last days.
    pub(crate) async fn days(&self, id: store::DomainId, shown: i64) -> Result<Vec<DayView>> {
        let points = self.points(Whose::Domain(id), Step::Day).await?;
        let since = self.now().0 - shown * DAY;
        Ok(points
            .into_iter()
            .filter(|point| point.at.0 >= since)
            .map(|point| DayView {
                day: point.at,
                sessions: point.sessions,
            })
            .collect())
    }

    /// Forgets what is older than anybody may ask for.
    pub(crate) async fn series_sweep(&self) -> Result<()> {
        let ago = |span: i64| Timestamp(self.now().0 - span);
        let (hours, days) = (ago((HOURS + 1) * HOUR), ago(DAYS_KEPT * DAY));
        self.store().series_sweep(hours, days).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use store::series::{Activity, Kept};

    use super::*;

    #[test]
    fn a_series_has_no_gaps_and_says_what_it_does_not_know() {
        let point = |at: i64, stanzas, kept| Point {
            at: Timestamp(at * DAY),
            activity: Activity {
                sessions: 1,
                stanzas,
            },
            kept,
        };
        let kept = Kept {
            archive_rows: 3,
            archive_bytes: 300,
            upload_bytes: 9,
            certificate_ends: Some(Timestamp(15 * DAY + 1)),
        };
        let points = [point(5, 10, Some(kept)), point(7, 20, None)];
        let views = without_gaps(&points, Step::Day, Timestamp(9 * DAY - 1));
        let stanzas: Vec<_> = views.iter().map(|view| view.stanzas).collect();
        assert_eq!(stanzas, [10, 0, 20, 0]);
        assert_eq!(views[0].certificate_days, Some(10));
        assert_eq!(views[0].archive_messages, Some(3));
        assert_eq!(views[2].archive_messages, None);
        assert_eq!(views[3].at, Timestamp(8 * DAY));
        assert_eq!(without_gaps(&[], Step::Hour, Timestamp(0)), []);
    }
}
