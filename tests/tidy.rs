//! The rules of the house, as tests: what CONTRIBUTING.md asks for is checked here, not remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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
        ("admin-web", &["control"]),
        (
            "server",
            &["xmpp", "dna", "store", "modules", "control", "admin-web"],
        ),
    ]);
    let rooms: BTreeSet<&str> = [
        "xmpp",
        "dna",
        "store",
        "modules",
        "control",
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
        .filter(|p| short(p).starts_with("tests/"))
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
