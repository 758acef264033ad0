//! Lines of RFC 4180 as spreadsheets and people write them.

/// The fields of one line; `None` when a quotation mark is not closed. There is always a first field.
pub fn fields(line: &str) -> Option<Vec<String>> {
    // Some spreadsheets write semicolons; a file with commas may hold them in a password.
    let separator = if line.contains(',') { ',' } else { ';' };
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) if field.is_empty() => quoted = true,
            (c, false) if c == separator => fields.push(String::new()),
            (c, _) => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

/// The lines that say something, each with its number from 1: without a byte order mark, empty lines, and comments, which begin
/// with `#`.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.trim_start_matches('\u{feff}');
    let numbered = text.lines().enumerate();
    numbered
        .map(|(index, line)| (index + 1, line.trim_end_matches('\r')))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// One line of these fields, ended. Quoted where it must be; what a spreadsheet would take for a formula is made a text.
pub fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for (n, field) in fields.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula || field.contains(['"', ',', '\n', '\r']) {
            out.push('"');
            out.push_str(if formula { "'" } else { "" });
            out.push_str(&field.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_no_formula() {
        let written = ["plain", "a, \"b\"", "=1+1", ""];
        let text = line(written);
        assert_eq!(text, "plain,\"a, \"\"b\"\"\",\"'=1+1\",\r\n");
        assert_eq!(
            fields(text.trim_end()).expect("closed"),
            ["plain", "a, \"b\"", "'=1+1", ""]
        );
    }
}
