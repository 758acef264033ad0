//! The rules of the house, as tests: what CONTRIBUTING.md asks for is checked here, not remembered.

mod cited;
mod compliance;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cited::Cited;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("server/ lies in the repository")
        .to_path_buf()
}

/// Files below the root, without what is built, installed or hidden.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("readable directory") {
            let path = entry.expect("entry").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with('.')
                || matches!(
                    name.as_str(),
                    "target" | "node_modules" | "corpus" | "artifacts"
                )
            {
                continue;
            }
            if path.is_dir() {
                walk(&path, found)
            } else {
                found.push(path)
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.retain(|p| {
        p.extension()
            .is_some_and(|e| extensions.contains(&e.to_string_lossy().as_ref()))
    });
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn short(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn report(rule: &str, mut broken: Vec<String>) {
    broken.sort();
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

#[test]
fn every_rust_file_says_what_it_is() {
    let broken = files(&["rs"])
        .into_iter()
        .filter(|p| !text(p).starts_with("//!"))
        .map(|p| short(&p))
        .collect();
    report(
        "a file opens with `//!`: what it is, why it exists, what it refuses to do",
        broken,
    );
}

#[test]
fn crates_depend_downwards_only() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("server/xmpp", &[][..]),
        ("server/dna", &["xmpp"]),
        ("server/store", &["xmpp"]),
        ("server/modules", &["xmpp", "store"]),
        ("server/control", &["xmpp", "dna", "store"]),
        ("server/resident", &[]),
        ("admin-web", &["control"]),
        (
            "server",
            &[
                "xmpp",
                "dna",
                "store",
                "modules",
                "control",
                "resident",
                "admin-web",
            ],
        ),
        // The benchmark sees the server from outside.
        ("tests/bench", &[]),
        ("tests/bench/instructions", &["xmpp"]),
    ]);
    let rooms: BTreeSet<&str> = [
        "xmpp",
        "dna",
        "store",
        "modules",
        "control",
        "resident",
        "admin-web",
        "domicile",
    ]
    .into();
    let mut broken = Vec::new();
    for (dir, allowed) in &allowed {
        let manifest = text(&root().join(dir).join("Cargo.toml"));
        let mut section = String::new();
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
            }
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            // Tests may look down at anything they need; what ships may not.
            if section == "dependencies" && rooms.contains(name) && !allowed.contains(&name) {
                broken.push(format!("{dir} uses {name}"));
            }
        }
    }
    report("crate directions of ARCHITECTURE.md", broken);
}

#[test]
fn the_language_has_no_clock_no_randomness_and_no_io() {
    let banned = [
        "std::time::Instant",
        "SystemTime::now",
        "std::net::",
        "tokio::",
        "rand::",
        "async fn",
        "std::fs",
    ];
    let mut broken = Vec::new();
    for path in files(&["rs"])
        .into_iter()
        .filter(|p| short(p).starts_with("server/xmpp/src"))
    {
        for (n, line) in text(&path).lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") {
                let hit = banned.iter().find(|b| code.contains(**b));
                broken.extend(hit.map(|b| format!("{}:{}: {b}", short(&path), n + 1)));
            }
        }
    }
    // `std::net::IpAddr` is a value, not IO: addresses in domainparts are parsed with it.
    broken.retain(|b| !b.contains("jid") || !b.contains("std::net::"));
    report(
        "xmpp reads no clock, draws no randomness, does no IO",
        broken,
    );
}

#[test]
fn migrations_are_twins() {
    let list = |engine: &str| -> BTreeSet<String> {
        let dir = root().join("migrations").join(engine);
        let names = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        names
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(
        list("postgres"),
        list("sqlite"),
        "each migration exists for both engines, under one name"
    );
    assert!(!list("sqlite").is_empty());
}

#[test]
fn nothing_is_left_unfinished() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X "),
    ];
    let mut broken = Vec::new();
    for path in files(&["rs", "html", "css", "js", "mjs", "py", "sql"]) {
        for (n, line) in text(&path).lines().enumerate() {
            if words.iter().any(|w| line.contains(w)) {
                broken.push(format!("{}:{}: {}", short(&path), n + 1, line.trim()));
            }
        }
    }
    report("no unfinished work lands", broken);
}

#[test]
fn exceptions_from_lints_have_reasons() {
    let mut broken = Vec::new();
    for path in files(&["rs"]) {
        let all = text(&path);
        for (at, _) in all
            .match_indices("allow(")
            .chain(all.match_indices("expect("))
        {
            let before = &all[..at];
            if !(before.ends_with("#[") || before.ends_with("#![")) {
                continue;
            }
            let end = all[at..].find(']').map_or(all.len(), |e| at + e);
            if !all[at..end].contains("reason") {
                broken.push(format!("{}: {}", short(&path), &all[at..end]));
            }
        }
    }
    report(
        "#[expect(…, reason = \"…\")] or #[allow(…, reason = \"…\")]",
        broken,
    );
}

#[test]
fn tests_wait_for_events_not_for_time() {
    let needle = concat!("sle", "ep(");
    let mut broken = Vec::new();
    for path in files(&["rs", "py", "mjs"])
        .into_iter()
        .filter(|p| short(p).starts_with("tests/") || is_test_room(p))
        // A clock that the test moves by hand (`start_paused`) spends no time.
        .filter(|p| !text(p).contains("start_paused = true"))
    {
        for (n, line) in text(&path).lines().enumerate() {
            if line.contains(needle)
                || line.contains(concat!("waitFor", "Timeout"))
                || line.contains(concat!("#[ig", "nore"))
            {
                broken.push(format!("{}:{}: {}", short(&path), n + 1, line.trim()));
            }
        }
    }
    report("a test waits for an event with a deadline", broken);
}

#[test]
fn the_top_level_is_a_table_of_contents() {
    let known: BTreeSet<&str> = [
        "Cargo.toml",
        "Cargo.lock",
        "server",
        "admin-web",
        "migrations",
        "tests",
        "docker-compose.yml",
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Dockerfile",
        "justfile",
        "deny.toml",
        "clippy.toml",
        "rustfmt.toml",
        "domicile.example.toml",
        "target",
        "docs",
    ]
    .into();
    let broken = fs::read_dir(root())
        .expect("root")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|n| !n.starts_with('.') && !known.contains(n.as_str()))
        .collect();
    report(
        "beside the fixed entries the root holds papers and settings only",
        broken,
    );
}

#[test]
fn dependencies_say_why_they_are_here() {
    let manifest = text(&root().join("Cargo.toml"));
    let start = manifest.find("[workspace.dependencies]").expect("section");
    let end = manifest.find("[workspace.lints").expect("section");
    let mut broken = Vec::new();
    let mut commented = false;
    for line in manifest[start..end].lines().skip(1) {
        match line {
            "" => commented = false,
            l if l.starts_with('#') => commented = true,
            // A group's comment, or the name of a room, says it for all lines below.
            l if l.contains('#') || l.contains("path =") || commented => {}
            l => broken.push(l.to_owned()),
        }
    }
    report("one line of why beside a dependency", broken);
}

#[test]
fn the_example_configuration_is_the_generated_one() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_domicile"))
        .args(["config", "example"])
        .output()
        .expect("runs");
    assert!(out.status.success());
    let generated = String::from_utf8(out.stdout).expect("UTF-8");
    let kept = text(&root().join("domicile.example.toml"));
    assert!(
        kept == generated,
        "domicile.example.toml is stale; run `just example`"
    );
}
#[test]
fn the_readme_lists_the_modules_there_are() {
    let readme = text(&root().join("README.md"));
    let table = modules::table_markdown();
    assert!(
        readme.contains(table.trim()),
        "README.md lacks the current table of modules:\n{table}"
    );
}

/// Tests in files of their own beside the code.
fn is_test_room(path: &Path) -> bool {
    let path = short(path);
    ["/tests/", "/tests.rs", "/battery/"]
        .iter()
        .any(|room| path.contains(room))
}

#[test]
fn a_file_holds_what_a_reader_can_hold() {
    let broken = files(&["rs", "html", "css", "js", "mjs", "py"])
        .into_iter()
        .filter_map(|path| {
            let lines = text(&path).lines().count();
            // Stories told from beginning to end may be longer than code that is looked things up in.
            let limit = if is_test_room(&path) { 1200 } else { 900 };
            (lines > limit).then(|| format!("{}: {lines} lines, at most {limit}", short(&path)))
        })
        .collect();
    report("a file that is too long holds several things", broken);
}

/// Groups of requirements that CONTRIBUTING.md lists.
fn groups() -> BTreeSet<String> {
    let contributing = text(&root().join("CONTRIBUTING.md"));
    let listed = contributing
        .split_once("The groups are: ")
        .expect("the list of groups")
        .1;
    let listed = listed.split_once("Where a number").expect("its end").0;
    listed
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty() && word.chars().all(|c| !c.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn requirement_names_are_of_known_groups() {
    let groups: BTreeSet<String> = groups()
        .iter()
        .map(|group| group.to_ascii_lowercase())
        .collect();
    let mut broken = Vec::new();
    for path in files(&["rs"]) {
        for (n, line) in text(&path).lines().enumerate() {
            let Some(at) = line.find("fn ") else { continue };
            let name = line[at + 3..].split('(').next().unwrap_or_default();
            let mut parts = name.split('_');
            let (group, number) = (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
            let numbered = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
            let known = match group {
                "rfc" | "xep" => number.len() == 4,
                _ => groups.contains(group) && number.len() == 2,
            };
            // `x_1(` ends in its number: a helper, not a requirement with what it shows.
            if numbered && parts.next().is_some() && !known {
                broken.push(format!("{}:{}: {name}", short(&path), n + 1));
            }
        }
    }
    report(
        "a test's requirement is GROUP_NN of a group in CONTRIBUTING.md",
        broken,
    );
}

/// Rust code of the rooms that are shipped, without the given file or folder.
fn shipped_without(left_out: &str) -> Vec<(PathBuf, String)> {
    files(&["rs"])
        .into_iter()
        .filter(|p| {
            !short(p).starts_with("tests/") && !short(p).starts_with(left_out) && !is_test_room(p)
        })
        .map(|p| (p.clone(), text(&p)))
        .collect()
}

/// Whether `text` has `word` with nothing that would make it a longer word on either side.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let word_starts = !word.starts_with(part) || !text[..at].ends_with(part);
        let word_ends = !word.ends_with(part) || !text[at + word.len()..].starts_with(part);
        word_starts && word_ends
    })
}

#[test]
fn every_key_of_the_configuration_is_used() {
    let schema = text(&root().join("server/src/config/schema.rs"));
    let users = shipped_without("server/src/config");
    let own = text(&root().join("server/src/config/mod.rs"));
    let own = own.split("#[cfg(test)]").next().unwrap_or_default();
    let start = schema.rfind("\nsections! {").expect("the sections");
    let (mut section, mut broken, mut seen) = (String::new(), Vec::new(), 0);
    for line in schema[start..].lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, kind, "{"] if kind.ends_with("Section") => {
                section = name.trim_end_matches(':').to_owned();
            }
            [name, _, "=", ..] | [name, _, _, "=", ..] if name.ends_with(':') => {
                let key = name.trim_end_matches(':');
                seen += 1;
                let direct = format!("{section}.{key}");
                let field = format!(".{key}");
                let used = has_word(own, &direct)
                    || users.iter().any(|(_, text)| {
                        has_word(text, &direct)
                            || (has_word(text, &field) && has_word(text, &format!(".{section}")))
                            || (has_word(text, &field)
                                && text.contains(&format!("{}Section", capital(&section))))
                    });
                if !used {
                    broken.push(direct);
                }
            }
            _ => {}
        }
    }
    assert!(seen > 40, "the schema is read: {seen} keys");
    report(
        "a key that nothing reads promises what does not happen",
        broken,
    );
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[test]
fn every_metric_is_fed_and_described() {
    let metrics = text(&root().join("server/src/metrics.rs"));
    let users = shipped_without("server/src/metrics.rs");
    let body = metrics
        .split_once("pub struct Metrics {")
        .expect("the struct")
        .1;
    let body = body.split_once("\n}").expect("its end").0;
    let mut broken = Vec::new();
    for line in body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub "))
    {
        let field = line.split(':').next().unwrap_or_default();
        // Fed by its name, or by a method of the metrics that has it.
        let mut names = vec![format!(".{field}")];
        if let Some((before, _)) = metrics.split_once(&format!("self.{field}.")) {
            let method = before.rsplit("pub fn ").next().unwrap_or_default();
            names.push(format!(
                ".{}(",
                method.split('(').next().unwrap_or_default()
            ));
        }
        let fed = |text: &str| names.iter().any(|name| has_word(text, name));
        if !users
            .iter()
            .any(|(_, text)| text.contains("etrics") && fed(text))
        {
            broken.push(format!("{field} is never fed"));
        }
    }
    // Names as they are scraped; what is described elsewhere must exist.
    let described = text(&root().join("docs/production.md"));
    let registered: BTreeSet<&str> = metrics
        .split("register(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .collect();
    for name in &registered {
        if !described.contains(&format!("domicile_{name}")) {
            broken.push(format!(
                "docs/production.md does not say what domicile_{name} is"
            ));
        }
    }
    for (at, _) in described.match_indices("domicile_") {
        let rest = &described[at + "domicile_".len()..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let name = rest[..end]
            .trim_end_matches("_total")
            .trim_end_matches("_count")
            .trim_end_matches("_bucket");
        if !registered.contains(name) {
            broken.push(format!(
                "docs/production.md speaks of domicile_{name}, which is not there"
            ));
        }
    }
    report("metrics", broken);
}

#[test]
fn every_finding_is_documented_and_found_by_something() {
    let codes = text(&root().join("server/control/src/findings/codes.rs"));
    let users = shipped_without("server/control/src/findings/codes.rs");
    let list = codes.rsplit_once("codes! {").expect("the list").1;
    let mut broken = Vec::new();
    let mut seen = 0;
    for line in list.lines().filter(|line| line.trim_end().ends_with(';')) {
        let name = line.split_whitespace().next().unwrap_or_default();
        let quoted: Vec<&str> = line
            .replace("\\\"", "'")
            .leak()
            .split('"')
            .skip(1)
            .step_by(2)
            .collect();
        seen += 1;
        let [code, meaning, fix] = quoted[..] else {
            broken.push(format!("{name}: expected code, meaning and remedy"));
            continue;
        };
        if !meaning.ends_with('.') || !fix.ends_with('.') {
            broken.push(format!("{code}: meaning and remedy are sentences"));
        }
        if !users.iter().any(|(_, text)| has_word(text, name)) {
            broken.push(format!("{code} is found by nothing"));
        }
    }
    assert!(seen > 20, "the list is read: {seen} codes");
    report("findings", broken);
}

/// What federation must and must not do (the rows with MUST of these groups, those of whoever publishes among them), by
/// number.
const OBLIGATIONS: &str = "
DNA 01-10 14-15 17-29
POSH 01-02 04-10 12 15-19 22-25 29 32-35 38 40 42 45 47
DANE 01-03 08 11-14 19-21 23-38 40-41 45
CERT 01 03-05 07 10-17 20 22 25-26 28 31
LAYER 03-04 06-10 12
TLS 01-02 04-10 12-19 21 24-28 30-34 36 42
S2S 01-02 04-05 09-10 14
DIALBACK 01-02 04-05 07-12 14-18 22
BIDI 02-05 07
";

#[test]
fn every_obligation_of_federation_is_named_by_a_test() {
    let cited: BTreeSet<_> = cited::by_tests().into_keys().collect();
    let mut owed = Cited::default();
    for line in OBLIGATIONS.lines() {
        let (group, numbers) = line.split_once(' ').unwrap_or_default();
        for part in numbers.split(' ').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            for number in [first, last] {
                owed.number(group, number.parse().expect("a number"));
                owed.range = number == first;
            }
            owed.range = false;
        }
    }
    assert!(
        owed.found.len() > 130,
        "the list is read: {}",
        owed.found.len()
    );
    let broken = owed
        .found
        .difference(&cited)
        .map(|(group, number)| format!("{group}-{number:02}"))
        .collect();
    report("an obligation is named by the test that proves it", broken);
}
