//! `domicile usage series`: what moved and was kept over time, as a picture of one line for each thing and a table.

use clap::{Args, ValueEnum};
use control::series::{PointView, SeriesOf, SeriesView, StepAsked};
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};
use super::tenant::resolve;

/// Of whom, how far apart, and how it is written.
#[derive(Debug, Args)]
pub(super) struct Series {
    /// Domain; without it and --tenant, everybody's
    #[arg(long, conflicts_with = "tenant")]
    domain: Option<String>,
    /// Customer (number or name), all its domains together
    #[arg(long)]
    tenant: Option<String>,
    /// By the hour for three days, or by the day for 90
    #[arg(long, value_enum, default_value = "day")]
    step: Step,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Step {
    Hour,
    Day,
}

impl From<Step> for StepAsked {
    fn from(step: Step) -> Self {
        match step {
            Step::Hour => Self::Hour,
            Step::Day => Self::Day,
        }
    }
}

pub(super) async fn run(control: &Control, actor: &Actor, command: Series) -> Outcome {
    let of = match (command.domain, &command.tenant) {
        (Some(domain), _) => SeriesOf::Domain(domain),
        (None, Some(tenant)) => SeriesOf::Tenant(resolve(control, actor, tenant).await?),
        (None, None) => SeriesOf::Platform,
    };
    let view = control.series(actor, of, command.step.into()).await?;
    show(command.json, &view, text)
}

/// What is drawn: name, and how much there was, if that is known.
type Line = (&'static str, fn(&PointView) -> Option<u64>);

const LINES: [Line; 5] = [
    ("sessions", |point| Some(point.sessions)),
    ("stanzas", |point| Some(point.stanzas)),
    ("archived", |point| point.archive_messages),
    ("archive bytes", |point| point.archive_bytes),
    ("upload bytes", |point| point.upload_bytes),
];

fn text(view: &SeriesView) -> String {
    if view.points.is_empty() {
        return "nothing has been counted yet".into();
    }
    let wide = LINES.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, of) in LINES {
        let values: Vec<_> = view.points.iter().map(of).collect();
        if let Some(most) = values.iter().flatten().max() {
            text.push_str(&format!(
                "{name:wide$}  {}  at most {most}\n",
                picture(&values, *most)
            ));
        }
    }
    text.push('\n');
    let known = |value: Option<u64>| value.map_or_else(|| "-".into(), |value| value.to_string());
    text.push_str(&table(
        [
            "from",
            "sessions",
            "stanzas",
            "archived",
            "archive bytes",
            "upload bytes",
            "certificate days",
        ],
        view.points.iter().map(|point| {
            [
                point.at.to_xep0082(),
                point.sessions.to_string(),
                point.stanzas.to_string(),
                known(point.archive_messages),
                known(point.archive_bytes),
                known(point.upload_bytes),
                point
                    .certificate_days
                    .map_or_else(|| "-".into(), |days| days.to_string()),
            ]
        }),
    ));
    text
}

/// One character for each value, as high as it is beside the most; a blank where it is not known, so that a gap is no zero.
fn picture(values: &[Option<u64>], most: u64) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let top = HEIGHTS.len() as u64 - 1;
    let height = |value: u64| {
        // Whatever is there at all stands above nothing.
        let share = u128::from(value) * u128::from(top);
        let share = share.div_ceil(u128::from(most.max(1)));
        HEIGHTS[usize::try_from(share).unwrap_or(HEIGHTS.len() - 1)]
    };
    values
        .iter()
        .map(|value| value.map_or(' ', height))
        .collect()
}

#[cfg(test)]
mod tests {
    use control::Timestamp;

    use super::*;

    #[test]
    fn a_picture_shows_what_is_much_what_is_little_and_what_is_unknown() {
        let of = |values: &[Option<u64>]| {
            picture(values, values.iter().flatten().copied().max().unwrap_or(0))
        };
        assert_eq!(of(&[Some(0), Some(1), None, Some(700)]), "▁▂ █");
        assert_eq!(of(&[Some(0), Some(0)]), "▁▁");
        assert_eq!(of(&[Some(u64::MAX), Some(u64::MAX / 2)]), "█▅");
    }

    #[test]
    fn a_table_says_what_was_not_measured() {
        let point = |at, stanzas, archive_messages| PointView {
            at: Timestamp(at),
            sessions: 2,
            stanzas,
            archive_messages,
            archive_bytes: None,
            upload_bytes: None,
            certificate_days: Some(30),
        };
        let view = SeriesView {
            of: "one.example".into(),
            step: StepAsked::Day,
            points: vec![point(0, 10, None), point(86_400_000_000, 40, Some(7))],
        };
        let said = text(&view);
        assert!(said.contains("stanzas        ▃█  at most 40"), "{said}");
        assert!(said.contains("archived        █  at most 7"), "{said}");
        let drawn = said.lines().any(|line| line.starts_with("upload bytes"));
        assert!(!drawn, "nothing is known: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(
            last.split_whitespace().skip(1).collect::<Vec<_>>(),
            ["2", "40", "7", "-", "-", "30"]
        );
        let nothing = SeriesView {
            points: Vec::new(),
            ..view
        };
        assert_eq!(text(&nothing), "nothing has been counted yet");
    }
}
