//! The examples of the XEPs, walked: the request of each is sent to the running server, in our own names, and the structure of
//! what comes back is compared with that of the answer in the text.
//!
//! What is walked stands in `examples/NNNN.txt`, a file for each XEP ([`super::script`]), with a reason for every example that is not;
//! [`Stage`] plays it. `docs/conformance.md` is made of the files' heads. `CONFORMANCE_OF=0045,0060` walks these alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::script::{Xep, read_all};
use super::stage::Stage;
use crate::harness::demo::Demo;
use crate::harness::tools::{domicile, repository};

/// Servers on which the XEPs are walked at the same time.
const DEMOS: usize = 2;

#[test]
fn every_example_that_is_written_down_is_answered_as_its_xep_says() {
    let only = std::env::var("CONFORMANCE_OF").unwrap_or_default();
    let wanted = |xep: &Xep| only.is_empty() || only.split(',').any(|each| each == xep.number);
    let all: Vec<Xep> = read_all().into_iter().filter(wanted).collect();
    let wrong: String = std::thread::scope(|scope| {
        let parts = (0..DEMOS).map(|part| {
            // By number, so that one more XEP changes nothing for those that are there.
            let mine = |xep: &&Xep| xep.number.parse().unwrap_or(0) % DEMOS == part;
            let mine: Vec<&Xep> = all.iter().filter(mine).collect();
            scope.spawn(move || {
                if mine.is_empty() {
                    return String::new();
                }
                let demo = Demo::start();
                mine.into_iter()
                    .map(|xep| {
                        let walked = catch_unwind(AssertUnwindSafe(|| walk(&demo, xep)));
                        walked.unwrap_or_else(|_| format!("XEP-{}: broken off\n", xep.number))
                    })
                    .collect::<String>()
            })
        });
        let parts: Vec<_> = parts.collect();
        let ends = parts.into_iter().map(|part| part.join().expect("walked"));
        ends.collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is answered differently.
fn walk(demo: &Demo, xep: &Xep) -> String {
    let mut wrong = String::new();
    // Everybody anew, so that one XEP's example leaves nothing open for the next.
    let mut stage = Stage::new(demo, xep.number.parse().expect("a number"));
    stage.gather(&xep.scenes);
    for scene in &xep.scenes {
        if let Err(why) = stage.play(scene) {
            let (number, about) = (&xep.number, &scene.about);
            let _ = writeln!(wrong, "XEP-{number} {:?}, {about}: {why}", scene.numbers);
        }
    }
    stage.close();
    wrong
}

/// Numbers, with ranges where more than two follow one another.
fn ranges(numbers: impl IntoIterator<Item = usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == number => *to = number,
            _ => runs.push((number, number)),
        }
    }
    let runs = runs.into_iter().map(|(from, to)| match to - from {
        0 => from.to_string(),
        1 => format!("{from}, {to}"),
        _ => format!("{from}–{to}"),
    });
    runs.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_table_of_examples_is_what_is_walked() {
    let mut table = String::new();
    let mut reasons = String::new();
    let (mut all, mut some) = (0, 0);
    for xep in read_all() {
        let walked = xep.walked();
        for number in 1..=xep.examples {
            let (is_walked, is_left_out) =
                (walked.contains(&number), xep.left_out.contains_key(&number));
            assert!(
                is_walked != is_left_out,
                "XEP-{} {number}: walked {is_walked}, left out with a reason {is_left_out}",
                xep.number
            );
        }
        let most = walked.iter().chain(xep.left_out.keys()).max();
        assert!(
            most.is_none_or(|most| *most <= xep.examples),
            "XEP-{}: no example {most:?}",
            xep.number
        );
        all += xep.examples;
        some += walked.len();
        let _ = writeln!(
            table,
            "| XEP-{} {} | {} | {} | {} | {} |",
            xep.number,
            xep.title,
            xep.version,
            xep.examples,
            walked.len(),
            ranges(walked)
        );
        let mut by_reason: BTreeMap<usize, (&str, Vec<usize>)> = BTreeMap::new();
        for (number, why) in &xep.left_out {
            let first = xep.left_out.iter().find(|(_, other)| *other == why);
            let first = first.map_or(*number, |(first, _)| *first);
            by_reason
                .entry(first)
                .or_insert((why, Vec::new()))
                .1
                .push(*number);
        }
        let each = by_reason.into_values();
        let each = each.map(|(why, numbers)| format!("{}: {why}", ranges(numbers)));
        let each: Vec<String> = each.collect();
        if !each.is_empty() {
            let _ = writeln!(reasons, "- **XEP-{}** {}.", xep.number, each.join("; "));
        }
    }
    let page = format!(
        "# Examples of the XEPs\n\nGenerated from `tests/conformance/examples`; `DOMICILE_WRITE_DOCS=1 cargo test -p domicile --test system \
         conformance` rewrites it.\n\nThe requests of these examples are sent to the running server, in names of its own, and the structure of \
         what it answers\nis compared with the answers in the texts. What servers say to one another is said by a server of the tests, with certificates,\n\
         names in the DNS and keys of its own. Every XEP that is implemented is here, and of every example that is not walked it says\n\
         below why.\n\n\
         | XEP | version of the text | examples | walked | which |\n|---|---|---|---|---|\n{table}\
         | | | {all} | {some} | |\n\n## Not walked, and why\n\n{reasons}"
    );
    let path = repository().join("docs/conformance.md");
    if std::env::var_os("DOMICILE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/conformance.md");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "docs/conformance.md is another table");
}

/// What clients do, and the server lets them: direct invitations and OMEMO.
const OF_CLIENTS: [&str; 2] = ["0249", "0384"];

#[test]
fn every_xep_that_is_implemented_has_its_examples_written_down() {
    let (code, doap, err) = domicile(&["specs", "--doap"]);
    assert_eq!(code, 0, "{err}");
    let names = doap.split("/extensions/xep-").skip(1);
    let listed: BTreeSet<&str> = names.filter_map(|rest| rest.get(..4)).collect();
    assert!(listed.contains("0030"), "{doap}");
    let written = read_all();
    let written: BTreeSet<&str> = written.iter().map(|xep| xep.number.as_str()).collect();
    let without: Vec<&&str> = listed.difference(&written).collect();
    assert!(
        without.is_empty(),
        "implemented, and not written down: {without:?}"
    );
    let more: Vec<&&str> = written.difference(&listed).collect();
    assert_eq!(more, OF_CLIENTS.iter().collect::<Vec<_>>());
}
