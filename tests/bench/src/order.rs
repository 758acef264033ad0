//! The order of the program's code: what a start, a few log-ins and a message execute, as a script for the linker that puts it
//! first (`server/order.ld`).
//!
//! The kernel maps sixteen pages around each that is touched. Where what is executed lies scattered over all the code, all of it
//! becomes resident; where it lies together, the rest stays on the disk. Callgrind says which functions were executed. The
//! script names them by patterns without the compiler's hashes, so that it serves other builds, and by a whole module
//! where most of the module was executed. A name that a build does not have is passed over; a function that the script does
//! not know lies where it always did.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::authority::Domains;
use crate::scenario::idle::at_rest;
use crate::scenario::{offline, online};
use crate::subject::{Kind, Options, Subject};
use crate::world::World;

/// Log-ins that are watched.
const CLIENTS: usize = 2;
/// Domains that are hosted beside the world's own.
const DOMAINS: usize = 4;
/// A module is taken whole when at least this share of its bytes was executed.
const DENSE: f64 = 0.5;
/// Columns of the script.
const WIDTH: usize = 120;

/// Accounts that it needs.
pub const USERS: usize = CLIENTS;

/// Watches a server and writes the script; says what it holds.
pub async fn run(world: &mut World, out: &Path) -> Outcome<String> {
    let seen = watch(world).await?;
    let functions = functions(&world.binary)?;
    let executed: HashSet<&str> = executed(&seen, &world.binary);
    let mut tree = Node::default();
    let (mut all, mut hot) = (0, 0);
    for (name, bytes) in &functions {
        let run = executed.contains(name.as_str());
        all += bytes;
        hot += if run { *bytes } else { 0 };
        tree.add(&parts(name), *bytes, run);
    }
    let mut patterns = Vec::new();
    let mut taken = 0;
    tree.patterns("", &mut patterns, &mut taken);
    std::fs::write(out, script(&patterns))?;
    Ok(format!(
        "{} functions with {} kB of code, of which {} kB were executed; {} patterns name {} kB",
        functions.len(),
        all / 1024,
        hot / 1024,
        patterns.len(),
        taken / 1024
    ))
}

/// What callgrind has seen until the server was at rest after the log-ins.
async fn watch(world: &mut World) -> Outcome<String> {
    let profile = world.base.join("order.out");
    world.watched = Some(profile.clone());
    // What is done for every domain is done for a few.
    let domains = Domains::make(&world.fresh("order-domains")?, DOMAINS)?;
    let options = Options {
        domains: Some(&domains),
        ..Options::default()
    };
    let subject = Subject::start_with(Kind::Domicile, world, &options);
    world.watched = None;
    let subject = subject?;
    let mut clients = online(&subject.gate, 0..CLIENTS).await?;
    if let [one, other] = &mut clients[..] {
        let message = format!(
            "<message type='chat' id='order' to='{}'><body>Is anybody there?</body></message>",
            other.bare()
        );
        one.connection.send(message.as_bytes()).await?;
        while !other.connection.element().await?.contains("anybody") {}
        one.settle().await?;
        other.settle().await?;
    }
    offline(clients).await?;
    at_rest(&subject.process).await?;
    // Before it is told to end: what an end executes is no part of this.
    let told = Command::new("callgrind_control")
        .arg("--dump")
        .arg(subject.process.id().to_string())
        .output()?;
    if !told.status.success() {
        return Err(format!(
            "callgrind_control: {}",
            String::from_utf8_lossy(&told.stdout)
        )
        .into());
    }
    let mut file = PathBuf::from(&profile).into_os_string();
    file.push(".1");
    let text = std::fs::read_to_string(&file);
    text.map_err(|e| format!("{}: {e}", Path::new(&file).display()).into())
}

/// Functions of the binary, each with its bytes, as `nm` says.
fn functions(binary: &Path) -> Outcome<BTreeMap<String, u64>> {
    let told = Command::new("nm")
        .args(["--print-size", "--defined-only"])
        .arg(binary)
        .output()
        .map_err(|e| format!("nm: {e}; Debian's package is binutils"))?;
    let text = String::from_utf8_lossy(&told.stdout);
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(_), Some(bytes), Some("t" | "T" | "w" | "W"), Some(name)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        *found.entry(name.to_owned()).or_default() += u64::from_str_radix(bytes, 16)?;
    }
    if found.is_empty() {
        return Err(format!("{}: has no names of functions", binary.display()).into());
    }
    Ok(found)
}

/// Names of the binary's functions in a profile.
fn executed<'a>(profile: &'a str, binary: &Path) -> HashSet<&'a str> {
    let binary = binary.to_string_lossy();
    let mut ours = false;
    let mut found = HashSet::new();
    for line in profile.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            ours = object == binary;
        } else if let Some(name) = line.strip_prefix("fn=")
            && ours
        {
            // Recursion that callgrind has told apart: `name'2`.
            found.insert(name.split('\'').next().unwrap_or(name));
        }
    }
    found
}

/// The path of a name, from the crate to the function, in the pieces that a pattern may end after.
///
/// Rust's names are `_ZN`, pieces with their lengths before them, and a hash as the last piece; other languages' are one piece.
/// Versions of aws-lc stand in its names.
fn parts(name: &str) -> Vec<String> {
    let Some(mut rest) = name.strip_prefix("_ZN") else {
        return vec![without_version(name)];
    };
    let mut parts = vec!["_ZN".to_owned()];
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit())
        && let Ok(length) = rest[..digits].parse::<usize>()
        && let Some(part) = rest.get(..digits + length)
    {
        let hash = part.strip_prefix("17h");
        if hash.is_some_and(|hash| hash.chars().all(|c| c.is_ascii_hexdigit())) {
            parts.push("17h".to_owned());
            return parts;
        }
        parts.push(part.to_owned());
        rest = &rest[digits + length..];
    }
    vec![name.to_owned()]
}

/// `aws_lc_0_47_0_RAND_bytes`: whatever the version.
fn without_version(name: &str) -> String {
    const AWS: &str = "aws_lc_";
    let Some(rest) = name.strip_prefix(AWS) else {
        return name.to_owned();
    };
    let bare = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_');
    format!("{AWS}*_{bare}")
}

/// A module, or a function at the end of a path.
#[derive(Default)]
struct Node {
    below: BTreeMap<String, Self>,
    /// Of all functions here and below.
    bytes: u64,
    /// Of those that were executed.
    run: u64,
}

impl Node {
    fn add(&mut self, path: &[String], bytes: u64, run: bool) {
        self.bytes += bytes;
        self.run += if run { bytes } else { 0 };
        if let [first, rest @ ..] = path {
            self.below
                .entry(first.clone())
                .or_default()
                .add(rest, bytes, run);
        }
    }

    /// Patterns for what was executed, and the bytes that they name.
    fn patterns(&self, prefix: &str, found: &mut Vec<String>, taken: &mut u64) {
        if self.run == 0 {
            return;
        }
        let dense = self.run as f64 >= DENSE * self.bytes as f64;
        // All names begin with `_ZN`, and what is no module's stands beside it.
        let whole = prefix.len() > "_ZN".len() && dense;
        if whole || self.below.is_empty() {
            // A function of C is named as it is; behind a name of Rust there is a hash.
            let open = prefix.starts_with("_ZN");
            found.push(format!("{prefix}{}", if open { "*" } else { "" }));
            *taken += self.bytes;
            return;
        }
        for (part, node) in &self.below {
            node.patterns(&format!("{prefix}{part}"), found, taken);
        }
    }
}

/// The patterns as a script of the linker.
fn script(patterns: &[String]) -> String {
    let mut text = "\
/* What a start and a log-in execute, so that it lies together: see `tests/bench/src/order.rs`. Made by
   `just bench order`; it is right to make it anew now and then, and harmless to forget it. The last group is the
   compiler's own library, whose names are of another kind. */
SECTIONS
{
  .text.first :
  {
"
    .to_owned();
    let mut line = String::new();
    let mut flush = |line: &mut String| {
        if !line.is_empty() {
            let _ = writeln!(text, "    *({line})");
            line.clear();
        }
    };
    for pattern in patterns {
        let pattern = format!(".text.{pattern}");
        if line.len() + pattern.len() + 7 > WIDTH {
            flush(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&pattern);
    }
    flush(&mut line);
    text.push_str("    *(.text._R*)\n  }\n}\nINSERT BEFORE .text;\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_by_its_path_without_hash_or_version() {
        let of = |name: &str| parts(name).concat();
        assert_eq!(
            parts("_ZN4core3fmt5write17h0123456789abcdefE"),
            ["_ZN", "4core", "3fmt", "5write", "17h"]
        );
        assert_eq!(
            of(
                "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE.llvm.99"
            ),
            "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h"
        );
        assert_eq!(of("aws_lc_0_47_0_RAND_bytes"), "aws_lc_*_RAND_bytes");
        assert_eq!(of("sqlite3_step"), "sqlite3_step");
        assert_eq!(of("_ZNK3Foo3barEv"), "_ZNK3Foo3barEv", "it is C++'s");
    }

    #[test]
    fn a_profile_names_what_the_binary_executed() {
        let profile = "\
ob=/usr/lib/libc.so.6
fn=malloc
10 5
ob=/x/domicile
fn=_ZN1a1b17h0123456789abcdefE
10 7
cob=/usr/lib/libc.so.6
cfn=free
calls=1 0
10 7
fn=sqlite3Select'2
1 1
";
        let mut found: Vec<_> = executed(profile, Path::new("/x/domicile"))
            .into_iter()
            .collect();
        found.sort_unstable();
        assert_eq!(found, ["_ZN1a1b17h0123456789abcdefE", "sqlite3Select"]);
    }

    #[test]
    fn what_is_executed_most_of_is_named_as_a_whole() {
        let mut tree = Node::default();
        for (name, bytes, run) in [
            ("_ZN3hot3one17h0123456789abcdefE", 90, true),
            ("_ZN3hot3two17h1123456789abcdefE", 10, false),
            ("_ZN4cold3one17h0123456789abcdefE", 10, true),
            ("_ZN4cold3two17h1123456789abcdefE", 90, false),
            ("never", 10, false),
            ("sqlite3_step", 10, true),
        ] {
            tree.add(&parts(name), bytes, run);
        }
        let (mut found, mut taken) = (Vec::new(), 0);
        tree.patterns("", &mut found, &mut taken);
        assert_eq!(found, ["_ZN3hot*", "_ZN4cold3one*", "sqlite3_step"]);
        assert_eq!(taken, 120);
        let script = script(&found);
        assert!(
            script.contains("    *(.text._ZN3hot* .text._ZN4cold3one* .text.sqlite3_step)\n"),
            "{script}"
        );
        assert!(script.ends_with("INSERT BEFORE .text;\n"));
    }
}
