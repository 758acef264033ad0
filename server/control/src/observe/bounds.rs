//! How much of what strangers publish is looked at and kept. An observation is kept with the domain and read with every page of
//! it, while the owner of a zone may put 64 kB into the answer to each of some twenty questions, at each of several servers.
//!
//! What is wanted is looked for in all of an answer and kept first, so that nothing hides it. Refuses: leaving anything out
//! without a word; what does not fit is counted ([`Beyond`]), and is a finding.

use serde::{Deserialize, Serialize};

use super::{CaaProperty, Data};

/// Records of one answer that are kept; as many addresses of one host, and name servers of one zone.
pub(super) const RECORDS: usize = 16;
/// Bytes of their data, as text.
const BYTES: usize = 2048;
/// Bytes of one text: what is longer is cut.
const TEXT_BYTES: usize = 512;
/// Properties of one CAA set that are kept: those of several authorities, with their methods and accounts.
const PROPERTIES: usize = 32;

/// The same in words.
pub(crate) const LOOKED_AT: &str = "at most 16 records (32 of CAA), 512 bytes each, 2048 together";

/// An answer of which some was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// Records in all of it.
    pub records: usize,
    /// Bytes of their data, as text.
    pub bytes: usize,
}

impl std::fmt::Display for Beyond {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "{} record{plural}, {} bytes", self.records, self.bytes)
    }
}

/// What is kept of an answer, sorted: wanted records first, then as many of the others as fit.
pub(super) fn bounded(
    mut data: Vec<Data>,
    is_wanted: impl Fn(&Data) -> bool,
) -> (Vec<Data>, Option<Beyond>) {
    data.sort();
    data.dedup();
    let all = Beyond {
        records: data.len(),
        bytes: data.iter().map(size).sum(),
    };
    let (mut rest, wanted): (Vec<Data>, Vec<Data>) =
        data.into_iter().partition(|data| !is_wanted(data));
    let mut kept = wanted;
    kept.append(&mut rest);
    let mut bytes = 0;
    let mut kept: Vec<Data> = kept
        .into_iter()
        .take(RECORDS)
        .map(shortened)
        .take_while(|data| {
            bytes += size(data);
            bytes <= BYTES
        })
        .collect();
    kept.sort();
    let whole = kept.len() == all.records && bytes == all.bytes;
    (kept, (!whole).then_some(all))
}

/// What is kept of a CAA set: first what may forbid everything, then who may issue.
pub(super) fn properties(mut all: Vec<CaaProperty>) -> (Vec<CaaProperty>, Option<Beyond>) {
    let size = |property: &CaaProperty| property.tag.len() + property.value.len();
    let whole = Beyond {
        records: all.len(),
        bytes: all.iter().map(size).sum(),
    };
    let fits = |all: &[CaaProperty]| {
        all.len() <= PROPERTIES
            && all.iter().map(size).sum::<usize>() <= BYTES
            && all.iter().all(|property| size(property) <= TEXT_BYTES)
    };
    if fits(&all) {
        return (all, None);
    }
    all.sort_by_key(|property| {
        (
            !property.critical,
            !property.tag.eq_ignore_ascii_case("issue"),
        )
    });
    let mut bytes = 0;
    let kept = all
        .into_iter()
        .take(PROPERTIES)
        .map(|property| CaaProperty {
            tag: cut(property.tag),
            value: cut(property.value),
            ..property
        })
        .take_while(|property| {
            bytes += size(property);
            bytes <= BYTES
        })
        .collect();
    (kept, Some(whole))
}

/// A text of others, at most 512 bytes of it: a longer one ends in three dots.
pub(crate) fn cut(mut text: String) -> String {
    const MARK: &str = "...";
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES - MARK.len()));
        text.push_str(MARK);
    }
    text
}

fn shortened(data: Data) -> Data {
    match data {
        Data::Txt(text) => Data::Txt(cut(text)),
        Data::Other(text) => Data::Other(cut(text)),
        Data::Cname(target) => Data::Cname(cut(target)),
        Data::Srv {
            priority,
            weight,
            port,
            target,
        } => Data::Srv {
            priority,
            weight,
            port,
            target: cut(target),
        },
    }
}

fn size(data: &Data) -> usize {
    match data {
        Data::Txt(text) | Data::Other(text) | Data::Cname(text) => text.len(),
        // Three numbers and a name.
        Data::Srv { target, .. } => 6 + target.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(count: usize, length: usize) -> Vec<Data> {
        let text = |at: usize| Data::Txt(format!("{at:05}{}", "x".repeat(length - 5)));
        (0..count).map(text).collect()
    }

    fn bounds(data: Vec<Data>) -> (usize, usize, Option<Beyond>) {
        let (kept, beyond) = bounded(data, |_| false);
        (kept.len(), kept.iter().map(size).sum(), beyond)
    }

    #[test]
    fn what_fits_is_kept_whole_and_what_does_not_is_counted() {
        let beyond = |records, bytes| Some(Beyond { records, bytes });
        assert_eq!(bounds(texts(16, 128)), (16, 2048, None));
        assert_eq!(bounds(texts(17, 5)), (16, 80, beyond(17, 85)));
        assert_eq!(bounds(texts(3, 1024)), (3, 1536, beyond(3, 3072)));
        assert_eq!(bounds(texts(5, 512)), (4, 2048, beyond(5, 2560)));
        assert_eq!(bounds(texts(1, 60_000)), (1, 512, beyond(1, 60_000)));
        assert_eq!(bounds(Vec::new()), (0, 0, None));
    }

    #[test]
    fn nothing_hides_what_is_wanted() {
        let ours = Data::Txt("zzz".into());
        let mut data = texts(3_000, 20);
        data.push(ours.clone());
        let (kept, beyond) = bounded(data, |data| *data == ours);
        assert_eq!((kept.len(), kept.last()), (RECORDS, Some(&ours)));
        let said = beyond.expect("left out").to_string();
        assert_eq!(said, "3001 records, 60003 bytes");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let kept = cut("ä".repeat(300));
        assert!(kept.len() <= TEXT_BYTES && kept.ends_with("ä..."), "{kept}");
        assert_eq!(cut("short".into()), "short");
    }

    #[test]
    fn of_a_caa_set_what_forbids_and_who_may_issue_are_kept_first() {
        let property = |critical, tag: &str, value: String| CaaProperty {
            critical,
            tag: tag.into(),
            value,
        };
        let many = |tag: &'static str| {
            (0..100).map(move |at| property(false, tag, format!("ca{at}.example")))
        };
        let mut all: Vec<CaaProperty> = many("iodef").chain(many("issue")).collect();
        all.push(property(true, "future", "x".repeat(9_000)));
        let (kept, beyond) = properties(all);
        assert_eq!(beyond.map(|beyond| beyond.records), Some(201));
        assert_eq!(kept[0].tag, "future");
        assert!(kept[1..].iter().all(|kept| kept.tag == "issue") && kept.len() <= PROPERTIES);
        let usual = vec![property(false, "issue", "ca.example".into())];
        assert_eq!(properties(usual.clone()), (usual, None));
    }
}
