//! Scripts that drive Debian's Chromium, in `tests/browser`: a plan goes in as JSON, what was seen comes out as JSON.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::DEADLINE;
use super::tools::{environment, node, repository, script};

/// Runs `tests/browser/NAME.mjs` in at most so many deadlines and hands out what it saw. `plan` is an object, whose shape the
/// head of the script says; where pictures go is added to it: to `PANEL_SHOTS`, else below `dir`.
pub fn browse(name: &str, mut plan: Value, dir: &Path, deadlines: u32) -> Value {
    let shots = std::env::var_os("PANEL_SHOTS").map_or_else(|| dir.join("shots"), PathBuf::from);
    plan["shots"] = json!(shots);
    let file = dir.join(format!("{name}-plan.json"));
    std::fs::write(&file, plan.to_string()).expect("plan");
    let args = [repository().join(format!("tests/browser/{name}.mjs")), file]
        .map(|path| path.to_string_lossy().into_owned());
    let modules = environment().join("node").to_string_lossy().into_owned();
    let envs = [("TEST_NODE", modules)];
    let out = script(&node(), &args, &envs, DEADLINE * deadlines);
    serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{name}: {error}: {out}"))
}
