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
