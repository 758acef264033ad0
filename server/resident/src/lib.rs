//! What the process holds of the machine's memory and needs no more, given back.
//!
//! A start executes and reads much that is never touched again: the command line, the configuration, migrations, trust anchors.
//! Those pages are the program's files, unmodified; they stay mapped, and counted, until the machine is short of memory. And what
//! a burst of work has freed stays with the C library, which keeps it for the next one. [`give_back`] lets go of both: whatever
//! is touched again comes from the kernel's copy of the file, by a minor fault.
//!
//! The only room with `unsafe` in it: one call to the kernel and one to the C library. Refuses: touching anything that was
//! written to since it was mapped (relocated constants, RELRO) or may be (writable mappings), and whatever was mapped after the
//! start, which somebody may unmap. What it cannot do (no `/proc`, calls that are filtered, another system) it leaves.

use std::sync::OnceLock;

mod areas;

use areas::{Area, areas};

/// What the loader has mapped of the program's files.
static PROGRAM: OnceLock<Vec<Area>> = OnceLock::new();

/// What was given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Bytes of the program's files that were mapped and are not any more.
    pub program_bytes: u64,
    /// Whether the C library gave something of its free memory back.
    pub heap: bool,
}

/// Remembers what is mapped of the program's files. To be called before anything else runs: what the loader maps before the
/// program's first instruction stays until its end, so that later nobody can have put something else in its place. Once there are
/// several threads it is too late for that, and nothing of the program will be given back.
pub fn started() {
    let _ = PROGRAM.get_or_init(|| match is_alone() {
        true => areas().into_iter().filter(Area::is_constant).collect(),
        false => Vec::new(),
    });
}

/// Gives back what is not needed for now: pages of the program's files, and free memory of the heap. Takes a millisecond or some, and
/// the heap's locks one after the other meanwhile.
pub fn give_back() -> Given {
    let known = PROGRAM.get().map_or(&[][..], Vec::as_slice);
    Given {
        program_bytes: release_all(known),
        heap: trim(),
    }
}

/// Bytes that are resident; `None` where the kernel does not say.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    areas::kilobytes(&text, "Rss:").map(|kilobytes| kilobytes * 1024)
}

/// Whether this is the process's only thread.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Lets go of the pages of areas that are still as they were and hold nothing but what is in their file; says how many bytes.
fn release_all(known: &[Area]) -> u64 {
    if known.is_empty() {
        return 0;
    }
    let now = areas();
    let same = now
        .iter()
        .filter(|area| area.is_constant() && area.rss_bytes > 0)
        .filter(|area| known.iter().any(|known| known.is_same(area)));
    same.filter(|area| release(area))
        .map(|area| area.rss_bytes)
        .sum()
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the kernel's madvise has no safe form; what may be given to it is said here"
)]
fn release(area: &Area) -> bool {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::without_provenance_mut(area.start);
    // SAFETY: the area was mapped before the program's first instruction, or by the test that gives it, and is never unmapped; it is
    // private, of a file, not writable, and none of its pages differs from the file. So what is read there next is what was
    // there before, and no other memory lies within.
    unsafe { madvise(start, area.end - area.start, Advice::LinuxDontNeed) }.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn release(_area: &Area) -> bool {
    false
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "the C library's function is foreign; it takes no pointer"
)]
fn trim() -> bool {
    // SAFETY: it may be called by any thread at any time (MT-Safe), takes the locks that it needs, and touches free memory only.
    unsafe { libc::malloc_trim(0) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
