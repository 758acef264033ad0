//! What came of it: a table with medians, spread and ratios, and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::scenario::{Sample, Scenario, Size, Unit};
use crate::subject::Kind;

/// Figures of one server in one scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Median of the repetitions, in the scenario's unit.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// Each repetition.
    pub samples: Vec<Sample>,
}

impl Figure {
    /// Of these repetitions, of which there is one at least.
    pub fn of(samples: Vec<Sample>) -> Self {
        let mut values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) && middle > 0 {
            (at(middle - 1) + at(middle)) / 2.0
        } else {
            at(middle)
        };
        Self {
            median,
            least: at(0),
            most: at(values.len().wrapping_sub(1)),
            samples,
        }
    }

    /// Distance of the extremes in percent of the median.
    pub fn spread(&self) -> f64 {
        (self.most - self.least) / self.median * 100.0
    }
}

/// A row: a scenario with everybody's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub scenario: Scenario,
    /// In words.
    pub words: String,
    /// What the figures count.
    pub unit: Unit,
    /// What it may cost and what it could, if that is laid down.
    pub budget: Option<(f64, f64)>,
    /// By server.
    pub figures: BTreeMap<Kind, Figure>,
    /// Where it did not come to figures: why.
    pub failures: BTreeMap<Kind, String>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When, UTC (RFC 3339, seconds).
    pub date: String,
    /// The machine.
    pub machine: String,
    /// Versions by server.
    pub versions: BTreeMap<Kind, String>,
    /// How it was called.
    pub command: String,
    /// How much.
    pub size: Size,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A figure in the words of its unit.
pub fn words(unit: Unit, value: f64) -> String {
    let digits = |value: f64| match value {
        v if v < 10.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    };
    match unit {
        Unit::Micros if value >= 1e6 => format!("{} s", digits(value / 1e6)),
        Unit::Micros if value >= 10_000.0 => format!("{} ms", digits(value / 1e3)),
        Unit::Micros if value >= 1_000.0 => format!("{:.1} ms", value / 1e3),
        Unit::Micros => format!("{} µs", digits(value)),
        Unit::Instructions if value >= 1e6 => format!("{:.2} M instr.", value / 1e6),
        Unit::Instructions => format!("{value:.0} instr."),
        Unit::Bytes if value >= 1e6 => format!("{} MB", digits(value / 1e6)),
        Unit::Bytes => format!("{} kB", digits(value / 1e3)),
    }
}

impl Report {
    /// Servers with any figures, in the order of the table.
    pub fn kinds(&self) -> Vec<Kind> {
        self.versions.keys().copied().collect()
    }

    /// Whether anything failed.
    pub fn failed(&self) -> bool {
        self.rows.iter().any(|row| !row.failures.is_empty())
    }

    /// One server's figure in a row, in words.
    pub fn cell(&self, row: &Row, kind: Kind) -> String {
        let ours = row.figures.get(&Kind::Domicile).map(|figure| figure.median);
        match (row.figures.get(&kind), row.failures.get(&kind)) {
            (Some(figure), _) => {
                let mut text = words(row.unit, figure.median);
                if figure.samples.len() > 1 {
                    let _ = write!(text, " ±{:.0}%", figure.spread() / 2.0);
                }
                if figure.samples.iter().any(|sample| sample.database > 0.0) {
                    let all = figure.samples.iter().map(|sample| sample.database);
                    let mean = all.sum::<f64>() / figure.samples.len() as f64;
                    let _ = write!(text, " + {} of the database", words(row.unit, mean));
                }
                if let Some(ours) = ours
                    && kind != Kind::Domicile
                {
                    let _ = write!(text, " ({:.1}×)", figure.median / ours);
                }
                text
            }
            (None, Some(_)) => "FAILED".to_owned(),
            (None, None) => "-".to_owned(),
        }
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let kinds = self.kinds();
        let mut lines: Vec<Vec<String>> = Vec::new();
        let mut head = vec!["work".to_owned()];
        head.extend(kinds.iter().map(|kind| kind.name().to_owned()));
        head.extend(["budget".to_owned(), "stretch".to_owned()]);
        lines.push(head);
        for row in &self.rows {
            let mut line = vec![row.words.clone()];
            // A budget is kept on both storage engines, or it is not.
            let engines = [Kind::Domicile, Kind::Postgres];
            let figures = engines.iter().filter_map(|kind| row.figures.get(kind));
            let ours = figures.map(|figure| figure.median).max_by(f64::total_cmp);
            for kind in &kinds {
                line.push(self.cell(row, *kind));
            }
            let Some((budget, stretch)) = row.budget else {
                lines.push(line);
                continue;
            };
            let mark = match ours {
                Some(ours) if ours <= stretch => " ✓✓",
                Some(ours) if ours <= budget => " ✓",
                Some(_) => " ✗",
                None => "",
            };
            line.push(words(row.unit, budget) + mark);
            line.push(words(row.unit, stretch));
            lines.push(line);
        }
        let mut text = format!("{}\n{}\n{}\n\n", self.date, self.machine, self.command);
        for (kind, version) in &self.versions {
            let _ = writeln!(text, "{} {version}", kind.name());
        }
        text.push('\n');
        text.push_str(&align(&lines));
        for row in &self.rows {
            for (kind, failure) in &row.failures {
                let _ = writeln!(text, "\nFAILED: {}: {}: {failure}", kind.name(), row.words);
            }
        }
        text
    }
}

/// Columns under each other.
pub fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "{cell}{}  ", " ".repeat(width - cell.chars().count()));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// This moment in UTC, to the second (RFC 3339).
pub fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    moment(since.map_or(0, |since| since.as_secs()))
}

/// So many seconds after the beginning of 1970 in UTC (RFC 3339).
pub fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01 in the Gregorian calendar's cycles of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        let sample = |value| Sample {
            value,
            units: 1,
            per_second: 0.0,
            database: 0.0,
        };
        let figure = Figure::of([5.0, 1.0, 3.0].map(sample).to_vec());
        assert_eq!((figure.median, figure.least, figure.most), (3.0, 1.0, 5.0));
        assert_eq!(Figure::of([1.0, 3.0].map(sample).to_vec()).median, 2.0);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(1_577_836_800), "2020-01-01T00:00:00Z");
        assert_eq!(moment(1_582_979_696), "2020-02-29T12:34:56Z");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(words(Unit::Micros, 6.04), "6.0 µs");
        assert_eq!(words(Unit::Micros, 95.2), "95 µs");
        assert_eq!(words(Unit::Micros, 2_140.0), "2.1 ms");
        assert_eq!(words(Unit::Bytes, 16_400.0), "16 kB");
        assert_eq!(words(Unit::Bytes, 25_400_000.0), "25 MB");
    }
}
