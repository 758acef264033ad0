//! What a run leaves in the repository: the table in `docs/performance.md`, between its marks, the chart that the README
//! shows, and every figure of every repetition in `docs/performance.json`. All come from one run; nobody writes figures there by
//! hand.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::report::{Report, Row, words};
use crate::scenario::{LATER, Unit};
use crate::subject::Kind;

const BEGIN: &str = "<!-- measured by domicile-bench -->";
const END: &str = "<!-- /measured -->";

/// Writes table, chart and figures below `root`.
pub fn write(report: &Report, root: &Path) -> Outcome<()> {
    let page = root.join("docs/performance.md");
    let text = fs::read_to_string(&page)?;
    let (before, rest) = text
        .split_once(BEGIN)
        .ok_or("docs/performance.md has lost its first mark")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("docs/performance.md has lost its last mark")?;
    fs::write(
        &page,
        format!("{before}{BEGIN}\n{}{END}{after}", table(report)),
    )?;
    fs::write(root.join("docs/performance.svg"), chart(report))?;
    let figures = serde_json::to_string_pretty(report)? + "\n";
    fs::write(root.join("docs/performance.json"), figures)?;
    Ok(())
}

fn versions(report: &Report) -> String {
    let named = report
        .versions
        .iter()
        .filter(|(kind, _)| **kind != Kind::Floor);
    let all: Vec<String> = named
        .map(|(kind, version)| format!("{} {version}", kind.name()))
        .collect();
    all.join(", ")
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "Measured {} on {}. {}.\n`{}`; medians of {}, half the spread behind ±, ratio to Domicile in brackets.\n\n",
        report.date,
        report.machine,
        versions(report),
        report.command,
        report.size.repeat
    );
    let kinds = report.kinds();
    let mut head = String::from("| work |");
    let mut rule = String::from("|---|");
    for kind in &kinds {
        let _ = write!(head, " {} |", kind.name());
        rule.push_str("--:|");
    }
    let _ = writeln!(text, "{head} budget | stretch |\n{rule}--:|--:|");
    for row in &report.rows {
        let _ = write!(text, "| {} |", row.words);
        for kind in &kinds {
            let _ = write!(text, " {} |", report.cell(row, *kind));
        }
        match row.budget {
            Some((budget, stretch)) => {
                let _ = writeln!(
                    text,
                    " {} | {} |",
                    words(row.unit, budget),
                    words(row.unit, stretch)
                );
            }
            None => text.push_str(" | |\n"),
        }
    }
    for (work, budget, stretch) in LATER {
        let _ = write!(text, "| {work} |");
        for kind in &kinds {
            text.push_str(if *kind == Kind::Domicile {
                " not yet |"
            } else {
                " |"
            });
        }
        let (budget, stretch) = (words(Unit::Micros, *budget), words(Unit::Micros, *stretch));
        let _ = writeln!(text, " {budget} | {stretch} |");
    }
    text
}

const WIDTH: f64 = 860.0;
const BAR: f64 = 13.0;
const LEFT: f64 = 400.0;
const RIGHT: f64 = 110.0;

/// Bars, each row to its own scale: shorter is better.
fn chart(report: &Report) -> String {
    let kinds: Vec<Kind> = report
        .kinds()
        .into_iter()
        .filter(|kind| *kind != Kind::Floor)
        .collect();
    let rows: Vec<&Row> = report
        .rows
        .iter()
        .filter(|row| row.figures.len() > 1)
        .collect();
    let each = BAR * kinds.len() as f64 + 14.0;
    let height = 64.0 + each * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' role='img' \
         aria-label='What a unit of work costs: Domicile beside Prosody and ejabberd; shorter is better'>\n<style>\n\
         text{{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}}\n.small{{font-size:11px;fill:#57606a}}\n\
         .Domicile{{fill:#1f6feb}}.Prosody{{fill:#d4843a}}.ejabberd{{fill:#8b949e}}.line{{stroke:#d0d7de}}\n\
         @media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.small{{fill:#9198a1}}.line{{stroke:#3d444d}}\
         .Domicile{{fill:#4493f8}}.Prosody{{fill:#e3a25a}}.ejabberd{{fill:#768390}}}}\n</style>\n"
    );
    let mut x = LEFT;
    for kind in &kinds {
        let version = report.versions.get(kind).map_or("", String::as_str);
        let _ = writeln!(
            svg,
            "<rect class='{}' x='{x}' y='12' width='11' height='11' rx='2'/>",
            kind.name()
        );
        let _ = writeln!(
            svg,
            "<text x='{}' y='22'>{} {version}</text>",
            x + 16.0,
            kind.name()
        );
        x += 140.0;
    }
    let _ = writeln!(
        svg,
        "<text class='small' x='8' y='22'>each row to its own scale; shorter is better</text>"
    );
    for (at, row) in rows.iter().enumerate() {
        let top = 44.0 + each * at as f64;
        let most = row.figures.iter().filter(|(kind, _)| **kind != Kind::Floor);
        let most = most
            .map(|(_, figure)| figure.median)
            .fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(
            svg,
            "<line class='line' x1='8' x2='{}' y1='{}' y2='{}'/>",
            WIDTH - 8.0,
            top - 7.0,
            top - 7.0
        );
        for (line, part) in wrap(&row.words, 56).into_iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x='8' y='{}'>{part}</text>",
                top + 11.0 + 15.0 * line as f64
            );
        }
        for (number, kind) in kinds.iter().enumerate() {
            let Some(figure) = row.figures.get(kind) else {
                continue;
            };
            let y = top + BAR * number as f64;
            let width = ((WIDTH - LEFT - RIGHT) * figure.median / most).max(2.0);
            let _ = writeln!(
                svg,
                "<rect class='{}' x='{LEFT}' y='{y}' width='{width:.1}' height='{}' rx='2'/>",
                kind.name(),
                BAR - 3.0
            );
            let _ = writeln!(
                svg,
                "<text class='small' x='{:.1}' y='{}'>{}</text>",
                LEFT + width + 6.0,
                y + 9.0,
                words(row.unit, figure.median)
            );
        }
    }
    svg + "</svg>\n"
}

/// Lines of at most so many characters, broken at blanks.
fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= most {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
