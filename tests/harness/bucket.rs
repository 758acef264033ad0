//! A bucket of real S3-compatible storage (versitygw over a directory), and a line to it on which answers can be withheld.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::DEADLINE;
use super::tools::{Service, environment, free_port};

/// Name of the bucket.
const NAME: &str = "files";
const ACCESS: &str = "domicile-tests";
/// What may be in no log.
pub const SECRET: &str = "the-secret-of-the-bucket";

/// The storage, which can be ended and started again.
pub struct Storage {
    service: Option<Service>,
    address: SocketAddr,
    dir: PathBuf,
}

impl Storage {
    /// Starts it with an empty bucket below `dir`.
    pub fn start(ip: Ipv4Addr, dir: &Path) -> Self {
        let dir = dir.join("storage");
        for part in ["data/files", "metadata"] {
            std::fs::create_dir_all(dir.join(part)).expect("directory");
        }
        let mut storage = Self {
            service: None,
            address: (ip, free_port(ip.into())).into(),
            dir,
        };
        storage.up();
        storage
    }

    pub fn up(&mut self) {
        let mut command = Command::new(environment().join("go/bin/versitygw"));
        command
            .args(["--access", ACCESS, "--secret", SECRET, "--port"])
            .arg(self.address.to_string())
            .args(["--quiet", "posix", "--sidecar"])
            .arg(self.dir.join("metadata"))
            .arg(self.dir.join("data"));
        let log = self.dir.join("versitygw.log");
        let mut service = Service::start("versitygw", &mut command, log);
        service.listening(self.address);
        self.service = Some(service);
    }

    pub fn down(&mut self) {
        let service = self.service.take().expect("it is up");
        service.kill_9();
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keys of all objects of the bucket, in order.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.dir.join("data").join(NAME);
        let (mut found, mut open) = (Vec::new(), vec![bucket.clone()]);
        while let Some(dir) = open.pop() {
            // A directory goes with its last object, maybe now.
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                // What the storage keeps for itself.
                if entry.file_name().as_encoded_bytes().starts_with(b".") {
                    continue;
                }
                match entry.path() {
                    path if path.is_dir() => open.push(path),
                    path => {
                        let key = path.strip_prefix(&bucket).expect("below it");
                        found.push(key.to_string_lossy().into_owned());
                    }
                }
            }
        }
        found.sort();
        found
    }

    /// An object's bytes.
    pub fn object(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.dir.join("data").join(NAME).join(key)).expect("an object")
    }
}

/// Variables that lead a server to a bucket at `address`; the secret lies in a file of `dir`.
pub fn variables(address: SocketAddr, dir: &Path) -> Vec<(&'static str, String)> {
    let file = dir.join("bucket.key");
    std::fs::write(&file, format!("{SECRET}\n")).expect("file");
    let given = |text: &str| text.to_owned();
    vec![
        ("DOMICILE_BUCKET_ENDPOINT", format!("http://{address}")),
        ("DOMICILE_BUCKET_NAME", given(NAME)),
        ("DOMICILE_BUCKET_ACCESS_KEY", given(ACCESS)),
        (
            "DOMICILE_BUCKET_SECRET_KEY_FILE",
            file.to_string_lossy().into_owned(),
        ),
    ]
}

#[derive(Default)]
struct Heard {
    /// All that was asked.
    asked: Vec<u8>,
    /// Answers that nobody was told.
    withheld: usize,
}

#[derive(Default)]
struct Line {
    hold: AtomicBool,
    heard: Mutex<Heard>,
    more: Condvar,
}

/// A way to the storage that hears what is asked, and can keep the answers.
#[derive(Clone)]
pub struct Between {
    pub address: SocketAddr,
    line: Arc<Line>,
}

impl Between {
    pub fn start(ip: Ipv4Addr, storage: SocketAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a port");
        let this = Self {
            address: listener.local_addr().expect("bound"),
            line: Arc::default(),
        };
        let line = this.line.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Nobody there: the connection ends, as it would without us.
                if let Ok(server) = TcpStream::connect(storage) {
                    join(&line, client, server);
                }
            }
        });
        this
    }

    /// From now on the storage's answers reach nobody, or do.
    pub fn hold(&self, hold: bool) {
        self.line.hold.store(hold, Ordering::SeqCst);
    }

    /// Waits until an answer has been withheld, and forgets it.
    pub fn withheld(&self) {
        let heard = self.line.heard.lock().expect("lock");
        let (mut heard, _) = self
            .line
            .more
            .wait_timeout_while(heard, DEADLINE, |heard| heard.withheld == 0)
            .expect("lock");
        assert!(heard.withheld > 0, "the storage never answered");
        heard.withheld = 0;
    }

    /// All that was asked so far, in lower case.
    pub fn asked(&self) -> String {
        let heard = self.line.heard.lock().expect("lock");
        String::from_utf8_lossy(&heard.asked).to_lowercase()
    }
}

fn join(line: &Arc<Line>, mut client: TcpStream, mut server: TcpStream) {
    let (mut from, mut to) = (
        client.try_clone().expect("socket"),
        server.try_clone().expect("socket"),
    );
    let there = line.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            let piece = &bytes[..read];
            there.heard.lock().expect("lock").asked.extend(piece);
            if to.write_all(piece).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let back = line.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = server.read(&mut bytes) {
            if back.hold.load(Ordering::SeqCst) {
                back.heard.lock().expect("lock").withheld += 1;
                back.more.notify_all();
            } else if client.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
}
