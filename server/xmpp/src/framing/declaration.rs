//! The XML declaration, the only thing with `<?` that a stream may hold.

use super::FrameError;

/// Checks `<?xml version='1.0' encoding='UTF-8'?>` (XML productions 23-32, 80; XML-05).
pub(super) fn xml_declaration(bytes: &[u8]) -> Result<(), FrameError> {
    const BAD: FrameError = FrameError::NotWellFormed("bad XML declaration");
    let inside = bytes
        .strip_prefix(b"<?xml")
        .and_then(|b| b.strip_suffix(b"?>"))
        .ok_or(BAD)?;
    let mut rest = std::str::from_utf8(inside).map_err(|_| FrameError::Encoding)?;
    let space = [' ', '\t', '\r', '\n'];
    let mut stage = 0;
    loop {
        let trimmed = rest.trim_start_matches(space);
        if trimmed.is_empty() {
            break;
        }
        let (name, value) = trimmed.split_once('=').ok_or(BAD)?;
        if trimmed.len() == rest.len() {
            return Err(BAD);
        }
        let value = value.trim_start_matches(space);
        let quote = value
            .chars()
            .next()
            .filter(|c| *c == '"' || *c == '\'')
            .ok_or(BAD)?;
        let (value, after) = value[1..].split_once(quote).ok_or(BAD)?;
        stage = match (stage, name.trim_end_matches(space)) {
            (0, "version") if value == "1.0" => 1,
            (1, "encoding") if value.eq_ignore_ascii_case("utf-8") => 2,
            (1, "encoding") => return Err(FrameError::Encoding),
            // STREAM: we never send it; receiving it changes nothing.
            (1 | 2, "standalone") if value == "yes" || value == "no" => 3,
            _ => return Err(BAD),
        };
        rest = after;
    }
    if stage == 0 { Err(BAD) } else { Ok(()) }
}
