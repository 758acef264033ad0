//! How a release is linked: what the process holds while nobody is there is for the most part its own code and what the loader
//! reads of it.
//!
//! Each wish is tried on a small program first, with the compiler and the linker that will be used: where the linker or
//! this machine's loader does not know it, the program is linked as ever and holds more. Nothing is asked of a build that
//! is not optimised.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Relocations in a few bytes for a word, in place of 24 for each: all are read at the start. The loader must know them
/// (glibc 2.36).
const PACKED: &str = "-Wl,-z,pack-relative-relocs";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=order.ld");
    let optimised = variable("OPT_LEVEL") != "0";
    let gnu = variable("CARGO_CFG_TARGET_OS") == "linux"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && variable("CARGO_CFG_TARGET_POINTER_WIDTH") == "64";
    if !(optimised && gnu) {
        return;
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    // What is executed first lies together; `domicile-bench order` makes the file.
    let order = format!("-T{}/order.ld", variable("CARGO_MANIFEST_DIR"));
    for wish in [PACKED, &order] {
        if works(wish, &out) {
            println!("cargo::rustc-link-arg-bins={wish}");
        }
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Whether a program that is linked so can be made, and runs here. One for another machine cannot be tried.
fn works(wish: &str, out: &Path) -> bool {
    if variable("HOST") != variable("TARGET") {
        return false;
    }
    let (source, program) = (out.join("probe.rs"), out.join("probe"));
    let made = fs::write(&source, "fn main() { println!(\"linked\"); }\n");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.arg(&source).arg("-o").arg(&program);
    rustc.args([
        "--target",
        &variable("TARGET"),
        "-C",
        &format!("link-arg={wish}"),
    ]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    let runs = |mut command: Command| {
        let done = command.output();
        done.is_ok_and(|done| done.status.success())
    };
    made.is_ok() && runs(rustc) && runs(Command::new(&program))
}
