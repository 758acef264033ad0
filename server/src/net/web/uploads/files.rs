//! Where the bytes of shared files are: a small trait, and a directory behind it; [`super::bucket`] is the other place.
//!
//! A file is written beside its place, synced, and moved into it in one step, so that a name never stands for half a file.
//! Refuses: names that are no tokens.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio::time::timeout;

/// A piece of a body must come within this time.
const PIECE: Duration = Duration::from_secs(60);
/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Bytes written at once.
const WRITE: usize = 256 * 1024;
/// What was begun and never finished goes after this time.
const LEFT: Duration = Duration::from_secs(24 * 3600);

/// Bytes as they come; an error ends them.
pub(super) type Stream = BoxStream<'static, io::Result<Bytes>>;

/// A body as it comes; every piece of it must come within [`PIECE`].
pub(super) fn paced(body: Body) -> Stream {
    let body = Box::pin(body.into_data_stream());
    stream::unfold(body, |mut body| async move {
        let next = match timeout(PIECE, body.next()).await {
            Ok(next) => next?.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        Some((next, body))
    })
    .boxed()
}

/// The same bytes, and `InvalidData` where there are more or fewer than `size`.
pub(super) fn exact(size: u64, bytes: Stream) -> Stream {
    stream::unfold(Some((bytes, size)), |state| async move {
        let (mut bytes, left) = state?;
        let wrong = || Some((Err(io::ErrorKind::InvalidData.into()), None));
        match bytes.next().await {
            Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                Some(left) => Some((Ok(piece), Some((bytes, left)))),
                None => wrong(),
            },
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => wrong(),
            None => None,
        }
    })
    .boxed()
}

/// A place for files, each by its name there.
#[async_trait]
pub(super) trait Files: Send + Sync {
    /// Keeps exactly `size` bytes; what it returns for is durable.
    ///
    /// # Errors
    /// `InvalidData` where there are more or fewer; the stream's, the place's. Nothing is kept then.
    async fn put(&self, name: &str, size: u64, bytes: Stream) -> io::Result<()>;
    /// Gives `length` bytes, one at least, from `from` on.
    ///
    /// # Errors
    /// `NotFound`, and the place's.
    async fn get(&self, name: &str, from: u64, length: u64) -> io::Result<Stream>;
    /// Removes it; what is not there is gone already.
    ///
    /// # Errors
    /// The place's.
    async fn remove(&self, name: &str) -> io::Result<()>;
}

/// A directory with one below it for every beginning of a token, which is a file's name there.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    fn place(&self, token: &str) -> io::Result<(PathBuf, PathBuf)> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        match token.get(..2) {
            Some(start) if token.bytes().all(plain) => {
                let below = self.0.join(start);
                let file = below.join(token);
                Ok((below, file))
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Every token there is; removes what was begun and never finished.
    ///
    /// # Errors
    /// The place's.
    pub(super) async fn tokens(&self) -> io::Result<Vec<String>> {
        let mut tokens = Vec::new();
        let mut all = match fs::read_dir(&self.0).await {
            Ok(all) => all,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tokens),
            Err(error) => return Err(error),
        };
        while let Some(below) = all.next_entry().await? {
            if !below.file_type().await?.is_dir() {
                continue;
            }
            let mut files = fs::read_dir(below.path()).await?;
            while let Some(file) = files.next_entry().await? {
                let name = file.file_name().to_string_lossy().into_owned();
                if !name.starts_with('.') {
                    tokens.push(name);
                    continue;
                }
                let modified = file.metadata().await.and_then(|m| m.modified());
                let age =
                    modified.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
                if age.is_ok_and(|age| age > LEFT) {
                    // Somebody else's look may have been quicker.
                    let _ = fs::remove_file(file.path()).await;
                }
            }
        }
        Ok(tokens)
    }
}

/// A file on its way; removed unless it was moved into its place.
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // One short call; what stays goes with the next look.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory).await?.sync_all().await
}

#[async_trait]
impl Files for Directory {
    async fn put(&self, token: &str, size: u64, bytes: Stream) -> io::Result<()> {
        let (below, place) = self.place(token)?;
        fs::create_dir_all(&below).await?;
        let path = below.join(format!(".{token}.{:016x}", rand::random::<u64>()));
        let mut part = Part(Some(path.clone()));
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .await?;
        let mut file = BufWriter::with_capacity(WRITE, file);
        let mut bytes = exact(size, bytes);
        while let Some(piece) = bytes.next().await {
            file.write_all(&piece?).await?;
        }
        file.flush().await?;
        file.get_ref().sync_all().await?;
        fs::rename(&path, &place).await?;
        part.0 = None;
        sync(&below).await?;
        sync(&self.0).await
    }

    async fn get(&self, token: &str, from: u64, length: u64) -> io::Result<Stream> {
        let (_, place) = self.place(token)?;
        let mut file = File::open(place).await?;
        file.seek(SeekFrom::Start(from)).await?;
        let read = stream::try_unfold((file, length), |(mut file, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let most = usize::try_from(left).unwrap_or(READ).min(READ);
            let mut chunk = vec![0; most];
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            chunk.truncate(read);
            Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
        });
        Ok(read.boxed())
    }

    async fn remove(&self, token: &str) -> io::Result<()> {
        let (_, place) = self.place(token)?;
        match fs::remove_file(place).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: &[&'static [u8]]) -> Stream {
        let chunks: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from_static(c))).collect();
        stream::iter(chunks).boxed()
    }

    async fn read(files: &Directory, from: u64, length: u64) -> Vec<u8> {
        let mut all = Vec::new();
        let mut stream = files.get("token", from, length).await.expect("there");
        while let Some(chunk) = stream.next().await {
            all.extend_from_slice(&chunk.expect("read"));
        }
        all
    }

    #[tokio::test]
    async fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Directory(dir.path().join("uploads"));
        assert_eq!(
            files.tokens().await.expect("nothing yet"),
            Vec::<String>::new()
        );
        for (size, bytes) in [(4, chunks(&[b"too", b"long"])), (9, chunks(&[b"short"]))] {
            let refused = files
                .put("token", size, bytes)
                .await
                .expect_err("the wrong size");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        }
        let broken =
            stream::iter([Ok(Bytes::from_static(b"a")), Err(io::Error::other("gone"))]).boxed();
        assert!(files.put("token", 2, broken).await.is_err());
        assert!(files.get("token", 0, 1).await.is_err());
        assert_eq!(
            std::fs::read_dir(dir.path().join("uploads/to"))
                .expect("made")
                .count(),
            0,
            "nothing is left"
        );

        files
            .put("token", 10, chunks(&[b"01234", b"56789"]))
            .await
            .expect("kept");
        assert_eq!(read(&files, 0, 10).await, b"0123456789");
        assert_eq!(read(&files, 3, 4).await, b"3456");
        assert_eq!(files.tokens().await.expect("read"), ["token"]);
        files.remove("token").await.expect("removed");
        files.remove("token").await.expect("gone already");
        for bad in ["../../etc/passwd", "x", "ab/cd", ""] {
            assert!(files.get(bad, 0, 1).await.is_err(), "{bad}");
        }
    }
}
