//! Programs that serve the whole run. What is kept in a static is never dropped, so the kernel ends them with the process
//! (util-linux's setpriv); their files are in a directory of the build, removed by the next run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, mpsc};

use crate::harness::tools::program;

/// A command for a program that ends with this process.
pub fn kept(program_path: &Path) -> Command {
    let mut command = Command::new(program("setpriv"));
    command.args(["--pdeathsig", "KILL"]).arg(program_path);
    command
}

type Work = Box<dyn FnOnce() + Send>;

/// The death signal follows the thread that spawned, so everything kept is spawned by one that lives as long as the process.
pub fn on_the_keeper<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static KEEPER: LazyLock<mpsc::Sender<Work>> = LazyLock::new(|| {
        let (send, receive) = mpsc::channel::<Work>();
        std::thread::spawn(move || {
            while let Ok(work) = receive.recv() {
                // Each piece of work on a thread of its own that never ends: several may start at once.
                std::thread::spawn(move || {
                    work();
                    loop {
                        std::thread::park();
                    }
                });
            }
        });
        send
    });
    let (send, receive) = mpsc::channel();
    KEEPER
        .send(Box::new(move || {
            let _ = send.send(work());
        }))
        .expect("the keeper lives");
    receive.recv().expect("what was started has come up")
}

/// Directory for the files of this run.
pub fn directory() -> PathBuf {
    static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab");
        for old in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            let running = Path::new("/proc").join(old.file_name()).exists();
            if !running {
                let _ = std::fs::remove_dir_all(old.path());
            }
        }
        let dir = all.join(std::process::id().to_string());
        std::fs::create_dir_all(&dir).expect("directory");
        dir
    });
    DIRECTORY.clone()
}
