//! Real mappings of this process: what is given back, and what must not be.
#![expect(
    unsafe_code,
    reason = "files are mapped as the loader maps them; what is mapped here stays until the process ends"
)]

use std::io::Write as _;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect};

use super::*;

const PAGES: usize = 64;

/// One at a time: each looks at what the process holds.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn page() -> usize {
    rustix::param::page_size()
}

/// A file of as many pages, none like another, mapped with these permissions.
fn mapped(protection: ProtFlags) -> (*mut u8, Vec<u8>) {
    let bytes: Vec<u8> = (0..PAGES * page())
        .map(|at| (at / page() + at % 251) as u8)
        .collect();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    // SAFETY: the kernel chooses the place; nobody else knows the mapping, and nobody changes the file.
    let start = unsafe {
        mmap(
            null_mut(),
            bytes.len(),
            protection,
            MapFlags::PRIVATE,
            &file,
            0,
        )
    };
    (start.expect("mapped").cast(), bytes)
}

/// What is read there.
fn read(start: *mut u8) -> Vec<u8> {
    // SAFETY: `mapped` has made it, readable and of that length, it stays, and nobody writes meanwhile.
    unsafe { std::slice::from_raw_parts(start, PAGES * page()) }.to_vec()
}

fn area(start: *mut u8) -> Area {
    let found = areas().into_iter().find(|area| area.start == start.addr());
    found.expect("it is mapped")
}

#[test]
fn what_is_given_back_is_read_again_as_it_was() {
    let _alone = alone();
    let (start, bytes) = mapped(ProtFlags::READ);
    assert_eq!(read(start), bytes);
    let before = area(start);
    assert_eq!(before.rss_bytes, bytes.len() as u64);
    assert_eq!(release_all(std::slice::from_ref(&before)), before.rss_bytes);
    assert_eq!(area(start).rss_bytes, 0);
    assert_eq!(read(start), bytes);
}

/// As the loader leaves RELRO: written to, and read-only since.
#[test]
fn what_was_written_to_is_left_alone() {
    let _alone = alone();
    let (start, mut bytes) = mapped(ProtFlags::READ | ProtFlags::WRITE);
    let at = 3 * page() + 5;
    bytes[at] ^= 0xff;
    // SAFETY: within the mapping of `mapped`, which is writable, and nobody else knows it.
    unsafe { start.add(at).write(bytes[at]) };
    let writable = area(start);
    assert!(!writable.is_constant());
    assert_eq!(release_all(&[writable]), 0);
    // SAFETY: the mapping of `mapped`.
    let protected = unsafe { mprotect(start.cast(), PAGES * page(), MprotectFlags::READ) };
    protected.expect("read-only now");
    let written = area(start);
    assert!(!written.is_constant());
    assert_eq!(release_all(&[written]), 0);
    assert_eq!(read(start), bytes);
}

/// Writable, and not written to yet: somebody may, at any moment.
#[test]
fn what_may_be_written_to_is_left_alone() {
    let _alone = alone();
    let (start, bytes) = mapped(ProtFlags::READ | ProtFlags::WRITE);
    assert_eq!(read(start), bytes);
    let area = area(start);
    assert!(area.rss_bytes > 0);
    assert_eq!(release_all(&[area]), 0);
}

#[test]
fn an_area_that_has_become_another_is_left_alone() {
    let _alone = alone();
    let (start, bytes) = mapped(ProtFlags::READ);
    assert_eq!(read(start), bytes);
    let (other, _) = mapped(ProtFlags::READ);
    let mut remembered = area(other);
    let there = area(start);
    (remembered.start, remembered.end) = (there.start, there.end);
    assert_eq!(release_all(&[remembered]), 0, "it was another file's");
}

/// The code of this very test is let go while it runs.
#[test]
fn the_program_goes_on_without_what_was_given_back() {
    let _alone = alone();
    let here = the_program_goes_on_without_what_was_given_back as fn() as usize;
    let mut own = areas();
    own.retain(|area| area.is_constant() && (area.start..area.end).contains(&here));
    assert_eq!(own.len(), 1, "its code lies in one mapping");
    assert!(release_all(&own) > 0);
    assert_eq!(format!("{:?}", "still here".len()), "10");
}

/// It is too late then to say what was there at the start.
#[test]
fn what_there_is_once_threads_run_is_not_taken_for_the_program() {
    let _alone = alone();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || ended.recv());
        started();
        drop(end);
    });
    assert_eq!(PROGRAM.get().map(Vec::len), Some(0));
    assert_eq!(give_back().program_bytes, 0);
}

#[cfg(target_env = "gnu")]
#[test]
fn what_a_burst_has_freed_goes_back() {
    const BLOCK: usize = 64 * 1024;
    const BLOCKS: usize = 512;
    let _alone = alone();
    let held = || resident_bytes().expect("the kernel says");
    let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|at| vec![at as u8 | 1; BLOCK]).collect();
    // It lies behind them, so that the C library cannot cut the end off by itself.
    let last = std::hint::black_box(blocks.pop());
    drop(std::hint::black_box(blocks));
    let before = held();
    assert!(give_back().heap);
    let after = held();
    let half = (BLOCK * BLOCKS / 2) as u64;
    assert!(after + half < before, "{before} before, {after} after");
    drop(last);
}
