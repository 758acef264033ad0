//! The examples as they are written down in `examples/NNNN.txt`, read.
//!
//! ```text
//! xep 0092 1.1 4 Software Version      number, version of the text, examples in it, title
//! - 3 why this one is not walked       numbers, or a range as in 7-9
//!
//! = 1 2 what is asked, in words        the examples that follow
//! alice sends:                         who; an iq is given an id
//! <iq …/>
//! alice gets:                          an answer, or whatever comes, that has at least this
//! <iq …/>
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::tools::repository;

/// The examples of one XEP.
pub struct Xep {
    /// Four digits.
    pub number: String,
    pub version: String,
    /// How many the text has.
    pub examples: usize,
    pub title: String,
    pub scenes: Vec<Scene>,
    /// Why those that are not walked are not, by number.
    pub left_out: BTreeMap<usize, String>,
}

impl Xep {
    pub fn walked(&self) -> BTreeSet<usize> {
        let scenes = self.scenes.iter();
        scenes.flat_map(|scene| scene.numbers.clone()).collect()
    }
}

/// Some examples that belong together.
pub struct Scene {
    pub numbers: Vec<usize>,
    pub about: String,
    pub steps: Vec<Step>,
}

pub struct Step {
    pub who: String,
    pub what: What,
    /// As they stand there, without what indents them.
    pub lines: Vec<String>,
}

impl Step {
    /// All lines as one.
    pub fn xml(&self) -> String {
        self.lines.concat()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Sends,
    /// Sends, and again until the answer is the one that follows: what it depends on takes effect a moment later.
    Tries,
    Gets,
    /// Nothing like it has come.
    Lacks,
    /// A new connection, or a new stream on it.
    Opens,
    Restarts,
    /// The end of the connection.
    Ends,
    /// Of the web: a request, whose answer is what `gets` is about.
    Asks,
    /// Of the owner: a command.
    Runs,
}

/// All that is written down, by number.
pub fn read_all() -> Vec<Xep> {
    let dir = repository().join("tests/conformance/examples");
    let files = std::fs::read_dir(dir).expect("examples");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("an example");
    files.iter().map(|path| xep(&read(path))).collect()
}

fn xep(text: &str) -> Xep {
    let mut lines = text.lines();
    let head = lines.next().expect("a head");
    let mut words = head.splitn(5, ' ').skip(1).map(str::to_owned);
    let mut word = || words.next().unwrap_or_else(|| panic!("{head}"));
    let mut xep = Xep {
        number: word(),
        version: word(),
        examples: word().parse().expect("how many"),
        title: word(),
        scenes: Vec::new(),
        left_out: BTreeMap::new(),
    };
    for line in lines.map(str::trim_end).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("- ") {
            let (numbers, why) = numbered(text);
            assert!(!why.is_empty(), "XEP-{}: no reason in {line}", xep.number);
            for number in numbers {
                let twice = xep.left_out.insert(number, why.clone());
                assert_eq!(twice, None, "XEP-{} {number}: two reasons", xep.number);
            }
        } else if let Some(text) = line.strip_prefix("= ") {
            let (numbers, about) = numbered(text);
            xep.scenes.push(Scene {
                numbers,
                about,
                steps: Vec::new(),
            });
        } else {
            let scene = xep.scenes.last_mut().unwrap_or_else(|| panic!("{line}"));
            match step(line) {
                Some(step) => scene.steps.push(step),
                None => {
                    let step = scene.steps.last_mut().unwrap_or_else(|| panic!("{line}"));
                    step.lines.push(line.trim_start().to_owned());
                }
            }
        }
    }
    xep
}

/// Numbers and ranges of numbers, then words.
fn numbered(text: &str) -> (Vec<usize>, String) {
    let range = |word: &str| {
        let (from, to) = word.split_once('-').unwrap_or((word, word));
        Some(from.parse::<usize>().ok()?..=to.parse().ok()?)
    };
    let words: Vec<&str> = text.split(' ').collect();
    let ranges: Vec<_> = words.iter().map_while(|word| range(word)).collect();
    let about = words[ranges.len()..].join(" ");
    (ranges.into_iter().flatten().collect(), about)
}

fn step(line: &str) -> Option<Step> {
    let (who, what) = line.strip_suffix(':')?.split_once(' ')?;
    let what = match what {
        "sends" => What::Sends,
        "tries" => What::Tries,
        "gets" => What::Gets,
        "lacks" => What::Lacks,
        "opens" => What::Opens,
        "restarts" => What::Restarts,
        "ends" => What::Ends,
        "asks" => What::Asks,
        "runs" => What::Runs,
        _ => return None,
    };
    Some(Step {
        who: who.to_owned(),
        what,
        lines: Vec::new(),
    })
}
