//! Pictures drawn on the server: bars, days, a line of time. Each is an SVG with a sentence that says the same, coordinates are
//! shares of the width, so that words keep their size on every screen, and colours are those of the page.

use std::fmt::Write as _;

use askama::filters::Safe;
use control::Timestamp;

use crate::ui::{Markup, escape};
use crate::words;

/// A bar of a picture.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: u64,
    /// `ok`, `warn`, `bad`, `unknown`, `you`.
    pub(crate) colour: &'static str,
}

/// Height of a bar with its word, in pixels.
const ROW: usize = 28;

/// Lying bars with their words to the left and numbers to the right; `about` says what they show.
pub(crate) fn bars(about: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let said: Vec<String> = bars
        .iter()
        .map(|bar| format!("{}: {}", bar.label, bar.value))
        .collect();
    let height = (bars.len() * ROW) as u64;
    let mut out = open(&format!("{about}: {}", said.join(", ")), height, "bars");
    for (at, bar) in bars.iter().enumerate() {
        let y = at * ROW;
        // A little is not nothing.
        let share = bar.value as f64 * 48.0 / most as f64;
        let width = if bar.value == 0 { 0.4 } else { share.max(1.0) };
        let _ = write!(
            out,
            "<text class=\"first\" x=\"0\" y=\"{1}\">{0}</text><rect class=\"is-{2}\" x=\"38%\" y=\"{3}\" width=\"{width:.2}%\" height=\"16\" rx=\"3\"/>\
             <text class=\"first\" x=\"{4:.2}%\" dx=\"8\" y=\"{1}\">{5}</text>",
            escape(&bar.label),
            y + 18,
            bar.colour,
            y + 5,
            38.0 + width,
            words::number(bar.value),
        );
    }
    close(out)
}

/// Height of standing bars, in pixels.
const TALL: u64 = 64;

/// Standing bars, one for each hour or day of a run, with the first and the last moment named; where nothing is known there is
/// none. `about` says what they show, `written` how a number is said.
pub(crate) fn columns(
    about: &str,
    values: &[Option<u64>],
    ends: &[String; 2],
    written: fn(u64) -> String,
) -> Markup {
    let [first, last] = ends;
    let Some(most) = values.iter().flatten().max() else {
        return Safe(String::new());
    };
    let most_said = written(*most);
    let said = format!("{about}: {first} to {last}, at most {most_said}");
    let mut out = open(&said, TALL + 44, "columns");
    // A few bars are not drawn as wide as the page.
    let places = values.len().max(14);
    // One path for all of them: there may be hundreds on a page.
    let mut path = String::new();
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        // A little is not nothing, and nothing is not unknown.
        let least = if *value == 0 { 1 } else { 2 };
        let height = u128::from(*value) * u128::from(TALL) / u128::from((*most).max(1));
        let _ = write!(path, "M{place}.1 {TALL}v-{0}h.8v{0}z", height.max(least));
    }
    let _ = write!(
        out,
        "<text class=\"first\" x=\"0\" y=\"12\">at most {}</text>\
         <svg y=\"20\" width=\"100%\" height=\"{TALL}\" viewBox=\"0 0 {places} {TALL}\" preserveAspectRatio=\"none\"><path d=\"{path}\"/></svg>\
         <text class=\"first low\" x=\"0\" y=\"102\">{}</text>",
        escape(&most_said),
        escape(first)
    );
    // Both words need room.
    if values.len() * 2 > places {
        let end = values.len() as f64 * 100.0 / places as f64;
        let _ = write!(
            out,
            "<text class=\"last low\" x=\"{end:.2}%\" y=\"102\">{}</text>",
            escape(last)
        );
    }
    close(out)
}

/// How much of a limit is used: a lying bar. `most` 0: there is no limit, and no bar.
pub(crate) fn meter(about: &str, used: u64, most: u64) -> Markup {
    if most == 0 {
        return Safe(String::new());
    }
    let percent = (used.min(most) * 100 / most).max(u64::from(used > 0));
    let colour = match percent {
        0..=79 => "ok",
        80..=99 => "warn",
        _ => "bad",
    };
    Safe(format!(
        "<svg class=\"life is-{colour}\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><rect width=\"{percent}\" height=\"4\"/></svg>",
        escape(&format!("{about}: {used} of {most}"))
    ))
}

/// A length of time in a picture.
pub(crate) struct Span {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) label: String,
    /// `ok`, `you`, `unknown`.
    pub(crate) colour: &'static str,
}

/// A moment in it.
pub(crate) struct Mark {
    pub(crate) at: Timestamp,
    pub(crate) label: &'static str,
}

/// Lengths of time below one another, with moments across all of them; `about` says what is shown.
pub(crate) fn timeline(about: &str, spans: &[Span], marks: &[Mark]) -> Markup {
    let times = || {
        let spans = spans.iter().flat_map(|span| [span.from.0, span.to.0]);
        spans.chain(marks.iter().map(|mark| mark.at.0))
    };
    let (Some(start), Some(end)) = (times().min(), times().max()) else {
        return Safe(String::new());
    };
    let whole = (end - start).max(1) as f64;
    let at = |time: Timestamp| ((time.0 - start) as f64 / whole * 100.0).clamp(0.0, 100.0);
    let side = |x: f64| match x {
        x if x < 20.0 => "first",
        x if x > 80.0 => "last",
        _ => "",
    };
    let mut said: Vec<String> = spans
        .iter()
        .map(|span| {
            let (from, to) = (words::day(span.from), words::day(span.to));
            format!("{}, {from} to {to}", span.label)
        })
        .collect();
    said.extend(
        marks
            .iter()
            .map(|mark| format!("{} {}", mark.label, words::day(mark.at))),
    );
    let mut marks: Vec<&Mark> = marks.iter().collect();
    marks.sort_by_key(|mark| mark.at);
    // Words that would stand in each other's way stand on lines of their own.
    let mut lines: Vec<f64> = Vec::new();
    let placed: Vec<(f64, usize, &Mark)> = marks
        .into_iter()
        .map(|mark| {
            let x = at(mark.at);
            let free = lines.iter().position(|taken| x - taken > 75.0);
            let line = free.unwrap_or(lines.len());
            match lines.get_mut(line) {
                Some(taken) => *taken = x,
                None => lines.push(x),
            }
            (x, line, mark)
        })
        .collect();
    let above = lines.len() * 18 + 6;
    let below = above + spans.len() * 44;
    let mut out = open(
        &format!("{about}: {}", said.join("; ")),
        below as u64 + 22,
        "time",
    );
    for (index, span) in spans.iter().enumerate() {
        let (x, to) = (at(span.from), at(span.to));
        let _ = write!(
            out,
            "<rect class=\"is-{}\" x=\"{x:.2}%\" y=\"{}\" width=\"{:.2}%\" height=\"12\" rx=\"4\"/>",
            span.colour,
            above + index * 44 + 22,
            (to - x).max(0.8),
        );
    }
    for (x, line, mark) in &placed {
        let _ = write!(
            out,
            "<line x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"{}\" y2=\"{below}\"/><text class=\"{}\" x=\"{x:.2}%\" y=\"{}\">{} {}</text>",
            above + 20,
            side(*x),
            line * 18 + 13,
            escape(mark.label),
            words::day(mark.at)
        );
    }
    // A line begins below the first words. The page gives words an edge of its own colour, so that it stops at later ones.
    for (index, span) in spans.iter().enumerate() {
        let (x, to) = (at(span.from), at(span.to));
        let (side, label_at) = if x > 60.0 { ("last", to) } else { ("first", x) };
        let _ = write!(
            out,
            "<text class=\"{side} name\" x=\"{label_at:.2}%\" y=\"{}\">{}</text>",
            above + index * 44 + 16,
            escape(&span.label),
        );
    }
    let _ = write!(
        out,
        "<text class=\"first low\" x=\"0\" y=\"{0}\">{1}</text><text class=\"last low\" x=\"100%\" y=\"{0}\">{2}</text>",
        below + 16,
        words::day(Timestamp(start)),
        words::day(Timestamp(end))
    );
    close(out)
}

fn open(about: &str, height: u64, kind: &str) -> String {
    format!(
        "<svg class=\"chart {kind}\" role=\"img\" aria-label=\"{}\" width=\"100%\" height=\"{height}\">",
        escape(about)
    )
}

fn close(mut out: String) -> Markup {
    out.push_str("</svg>");
    Safe(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp((20_000 + n) * 86_400_000_000)
    }

    #[test]
    fn pictures_say_what_they_show_and_stay_within_their_frame() {
        let bar = |label: &str, value| Bar {
            label: label.into(),
            value,
            colour: "ok",
        };
        let text = bars("Certificates", &[bar("< 7 days", 0), bar("more", 40_000)]).0;
        assert!(
            text.contains("aria-label=\"Certificates: &lt; 7 days: 0, more: 40000\""),
            "{text}"
        );
        let ends = ["2026-11-01".to_owned(), "2026-11-25".to_owned()];
        let plain = |number: u64| number.to_string();
        let values: Vec<_> = (0..25).map(|day| (day != 3).then_some(day * 10)).collect();
        let text = columns("People <signed> in", &values, &ends, plain).0;
        let said = "aria-label=\"People &lt;signed&gt; in: 2026-11-01 to 2026-11-25, at most 240\"";
        assert!(text.contains(said), "{text}");
        assert_eq!(
            text.matches('M').count(),
            24,
            "unknown is not drawn: {text}"
        );
        assert!(text.contains("M0.1 64v-1h.8v1z") && text.contains("M24.1 64v-64h.8v64z"));
        assert_eq!(columns("Nothing", &[None], &ends, plain).0, "");
        assert_eq!(bars("Nothing", &[]).0.matches("<rect").count(), 0);

        let span = |from, to, label: &str| Span {
            from: day(from),
            to: day(to),
            label: label.into(),
            colour: "ok",
        };
        let spans = [span(0, 90, "in use"), span(60, 150, "<next>")];
        let mark = |n, label| Mark { at: day(n), label };
        let text = timeline(
            "Certificates",
            &spans,
            &[mark(10, "today"), mark(20, "renewal")],
        )
        .0;
        assert!(text.contains("&lt;next&gt;") && !text.contains("<next>"));
        for share in text.split("x=\"").skip(1) {
            let number = share.split(['%', '"']).next().unwrap_or_default();
            let number: f64 = number.parse().unwrap();
            assert!((0.0..=100.0).contains(&number), "{share}");
        }
        assert_eq!(timeline("Nothing", &[], &[]).0, "");
    }

    #[test]
    fn a_meter_is_never_fuller_than_full() {
        assert_eq!(meter("Orders", 5, 0).0, "");
        for (used, most, share, colour) in [
            (0, 10, 0, "ok"),
            (1, 1000, 1, "ok"),
            (8, 10, 80, "warn"),
            (10, 10, 100, "bad"),
            (20, 10, 100, "bad"),
        ] {
            let text = meter("Orders", used, most).0;
            assert!(text.contains(&format!("width=\"{share}\"")), "{text}");
            assert!(text.contains(&format!("is-{colour}")), "{text}");
        }
    }
}
