//! How listings look: columns for people, JSON for programs.

use serde::Serialize;

use super::{Failure, Outcome};

/// Prints JSON, or whatever `text` makes of it.
pub(super) fn show<T: Serialize>(
    json: bool,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Outcome {
    if json {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::other(70, error.to_string(), ""))?;
        say!("{text}");
    } else {
        let text = text(value);
        if !text.is_empty() {
            say!("{}", text.trim_end());
        }
    }
    Ok(0)
}

/// Lines of a long list that are shown.
const SHOWN: usize = 20;

/// The first lines of a list that may have thousands, each ended, and how many more there are.
pub(super) fn first_lines(lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(SHOWN);
    let mut text: String = lines.take(SHOWN).map(|line| line + "\n").collect();
    if more > 0 {
        text.push_str(&format!("and {more} more; --json shows them all\n"));
    }
    text
}

/// Rows below headings, each column as wide as its widest field.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    if rows.is_empty() {
        return "none".into();
    }
    let head = headings.map(str::to_owned);
    let width = |column: usize| {
        rows.iter()
            .chain([&head])
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in [&head].into_iter().chain(&rows) {
        let mut line = String::new();
        for (field, width) in row.iter().zip(widths) {
            line.push_str(field);
            line.extend(std::iter::repeat_n(' ', width + 2 - field.chars().count()));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_say_so() {
        let lines = |n: usize| {
            first_lines(
                (0..n)
                    .map(|n| n.to_string())
                    .collect::<Vec<_>>()
                    .into_iter(),
            )
        };
        assert_eq!(lines(2), "0\n1\n");
        assert!(lines(SHOWN).ends_with("19\n"));
        assert!(lines(SHOWN + 7).ends_with("19\nand 7 more; --json shows them all\n"));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_field() {
        let rows = [
            ["1".to_owned(), "bücher.example".to_owned()],
            ["20".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(["id", "domain"], rows),
            "id  domain\n1   bücher.example\n20  x\n"
        );
        assert_eq!(table(["id"], []), "none");
    }
}
