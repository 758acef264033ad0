//! Which obligations the tests name.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, groups, is_test_room, short, text};

/// Requirements that the words of a line name, with ranges: `DNA-12 to DNA-15`, `POSH-23, -24`, `dna_14_15`, `dna_12_to_15`.
#[derive(Default)]
pub(crate) struct Cited {
    /// Group and number.
    pub(crate) found: BTreeSet<(String, u32)>,
    last: Option<(String, u32)>,
    /// The next number ends a range.
    pub(crate) range: bool,
}

impl Cited {
    pub(crate) fn number(&mut self, group: &str, number: u32) {
        let first = match &self.last {
            Some((before, first)) if self.range && before == group => *first,
            _ => number,
        };
        for each in first..=number {
            self.found.insert((group.to_owned(), each));
        }
        self.last = Some((group.to_owned(), number));
        self.range = false;
    }

    fn prose(&mut self, line: &str, groups: &BTreeSet<String>) {
        self.last = None;
        for word in line.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            let number = |text: &str| (text.len() == 2).then(|| text.parse().ok()).flatten();
            match (word, word.split_once('-')) {
                ("to", _) => self.range = self.last.is_some(),
                ("and", _) => {}
                (_, Some((group, text))) if groups.contains(group) && number(text).is_some() => {
                    self.number(group, number(text).unwrap_or_default());
                }
                (_, Some(("", text))) if self.last.is_some() && number(text).is_some() => {
                    let group = self.last.clone().unwrap_or_default().0;
                    self.number(&group, number(text).unwrap_or_default());
                }
                _ => {
                    self.last = None;
                    self.range = false;
                }
            }
        }
    }

    fn name(&mut self, name: &str, groups: &BTreeSet<String>) {
        let mut group = String::new();
        self.last = None;
        for part in name.split('_') {
            let capital = part.to_ascii_uppercase();
            match part {
                "to" => self.range = self.last.is_some(),
                "and" => {}
                _ if groups.contains(&capital) => group = capital,
                _ if part.len() == 2 && !group.is_empty() => match part.parse() {
                    Ok(number) => self.number(&group.clone(), number),
                    Err(_) => break,
                },
                _ => break,
            }
        }
        self.range = false;
    }
}

/// The tests that name each obligation, in their own name or in what is said right above it or in it, with the file they are
/// in. What a file says of itself proves nothing.
pub(crate) fn by_tests() -> BTreeMap<(String, u32), BTreeSet<String>> {
    let groups = groups();
    let mut named: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for path in files(&["rs"]) {
        let place = short(&path);
        if place.starts_with("tests/tidy/") {
            continue;
        }
        let all = text(&path);
        let tests = match place.starts_with("tests/") || is_test_room(&path) {
            true => all.as_str(),
            false => all
                .split_once("#[cfg(test)]\nmod tests {")
                .map_or("", |(_, tests)| tests),
        };
        // The prose above a test is the next test's, the prose inside it its own.
        let (mut above, mut current) = (Cited::default(), String::new());
        let mut note = |cited: Cited, name: &str| {
            for id in cited.found {
                let names = named.entry(id).or_default();
                names.extend((!name.is_empty()).then(|| name.to_owned()));
            }
        };
        for line in tests.lines().filter(|line| !line.starts_with("//!")) {
            let mut here = Cited::default();
            here.prose(line, &groups);
            if let Some((_, name)) = line.split_once("fn ") {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                name.clone_into(&mut current);
                here.name(name, &groups);
                note(std::mem::take(&mut above), &current);
                note(here, &current);
            } else if line.trim_start().starts_with("///") {
                above.found.extend(here.found);
            } else {
                note(here, &current);
            }
        }
        note(above, &current);
    }
    named
}

/// The tests that name each XEP by its number, in their own name (`xep_0115`) or in what is said right above or in them.
pub(crate) fn extensions() -> BTreeMap<u16, BTreeSet<String>> {
    let mut named: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for path in files(&["rs"]) {
        let place = short(&path);
        if place.starts_with("tests/tidy/") {
            continue;
        }
        let all = text(&path);
        let tests = match place.starts_with("tests/") || is_test_room(&path) {
            true => all.as_str(),
            false => all
                .split_once("#[cfg(test)]\nmod tests {")
                .map_or("", |(_, tests)| tests),
        };
        let (mut above, mut is_test, mut current) = (BTreeSet::new(), false, None);
        for line in tests.lines().filter(|line| !line.starts_with("//!")) {
            let mut here = numbers(line, "XEP-");
            is_test |= line.contains("#[test]") || line.contains("#[tokio::test");
            if let Some((_, rest)) = line.split_once("fn ") {
                let name = rest.split(['(', '<']).next().unwrap_or_default();
                here.extend(numbers(name, "xep_"));
                here.extend(std::mem::take(&mut above));
                // Functions of an engine are two tests each.
                let is_test = std::mem::take(&mut is_test) || rest.contains("(engine: &Engine)");
                current = is_test.then(|| name.to_owned());
            } else if line.trim_start().starts_with("///") {
                above.extend(std::mem::take(&mut here));
            }
            for number in here {
                let names = named.entry(number).or_default();
                names.extend(current.clone());
            }
        }
    }
    named
}

/// Four digits after each of these words.
fn numbers(line: &str, word: &str) -> BTreeSet<u16> {
    let after = line.split(word).skip(1);
    after
        .filter_map(|rest| rest.get(..4)?.parse().ok())
        .collect()
}
