//! Records as a zone file spells them (RFC 1035 5).

use super::{DesiredRecord, DomainFacts};

/// A zone-file fragment (RFC 1035 5) of absolute names that `named-checkzone` accepts and that pastes anywhere, also into a
/// zone with another `$ORIGIN`. Holds neither `$ORIGIN` nor `$TTL`: it changes nothing for the lines below it.
pub fn zone_fragment(domain: &DomainFacts, records: &[DesiredRecord]) -> String {
    let mut out = format!("; {}: records for its chat service\n", domain.ascii());
    let width = records
        .iter()
        .map(|record| record.name.len())
        .max()
        .unwrap_or(0);
    for record in records {
        let mark = if record.optional { "optional. " } else { "" };
        // Comments stay ASCII: some hosts' importers stumble over anything else.
        let why: String = record.why.chars().filter(char::is_ascii).collect();
        out.push_str(&format!("; {mark}{why}\n"));
        out.push_str(&format!(
            "{:<width$} {} IN {:<5} {}\n",
            record.name, record.ttl_seconds, record.rtype, record.value_text
        ));
    }
    out
}

/// A text as the strings of a TXT record (RFC 1035 3.3.14, 5.1): quoted, at most 255 bytes each, what is not printable ASCII
/// as `\DDD`. The empty text is one empty string.
pub(crate) fn txt_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let bytes = text.as_bytes();
    let chunks = if bytes.is_empty() {
        vec![bytes]
    } else {
        bytes.chunks(255).collect()
    };
    for (index, chunk) in chunks.into_iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        out.push('"');
        for byte in chunk {
            match byte {
                b'"' | b'\\' => {
                    out.push('\\');
                    out.push(char::from(*byte));
                }
                0x20..=0x7e => out.push(char::from(*byte)),
                other => out.push_str(&format!("\\{other:03}")),
            }
        }
        out.push('"');
    }
    out
}
