//! What has ended goes, and bytes whose row has gone, whatever the reason, go after it.
//!
//! A directory is looked through; a bucket is not, since that would be paid for: rows leave the keys of their objects behind. One that
//! cannot be removed stays known, and stops no other; where nothing can be removed the storage is left alone until the next look,
//! which goes on from there. Refuses: objects of another bucket than the configured one.

use std::io;

use xmpp::timestamp::Timestamp;

use super::Uploads;
use super::files::Files;

/// What ends is forgotten so many at a time.
const AT_ONCE: u32 = 500;
/// Objects one after the other that cannot be removed before a look ends.
const FAILURES: usize = 20;

impl Uploads {
    pub(super) async fn look(&self, now: Timestamp) -> io::Result<usize> {
        loop {
            let ended = self.store.uploads_end(now, AT_ONCE).await;
            if ended.map_err(io::Error::other)?.len() < AT_ONCE as usize {
                break;
            }
        }
        Ok(self.tidy_directory().await? + self.tidy_bucket().await?)
    }

    /// Of files whose row has gone, whatever the reason, nothing else remains.
    async fn tidy_directory(&self) -> io::Result<usize> {
        let mut gone = 0;
        let tokens = self.directory.tokens().await?;
        for some in tokens.chunks(AT_ONCE as usize) {
            let unknown = self.store.uploads_unknown(some.to_vec()).await;
            for token in unknown.map_err(io::Error::other)? {
                self.directory.remove(&token).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    async fn tidy_bucket(&self) -> io::Result<usize> {
        match &self.bucket {
            Some(bucket) => self.tidy_objects(bucket, bucket.name()).await,
            None => Ok(0),
        }
    }

    /// The same for the bucket of this name.
    pub(super) async fn tidy_objects(&self, files: &dyn Files, bucket: &str) -> io::Result<usize> {
        let mut after = std::mem::take(&mut *self.tidied.lock());
        let (mut gone, mut failed, mut in_a_row) = (0, 0, 0);
        loop {
            let places = self.store.uploads_gone(bucket, &after, AT_ONCE).await;
            let places = places.map_err(io::Error::other)?;
            for place in &places {
                after.clone_from(place);
                let token = place.rsplit('/').next().unwrap_or_default();
                // Its bytes are on their way yet, and would arrive after this.
                if self.coming.lock().contains(token) {
                    continue;
                }
                match files.remove(place).await {
                    Ok(()) => {
                        let forgotten = self.store.upload_forgotten(place).await;
                        forgotten.map_err(io::Error::other)?;
                        (gone, in_a_row) = (gone + 1, 0);
                    }
                    Err(error) => {
                        if failed == 0 {
                            tracing::error!(%error, place, "an object cannot be removed");
                        }
                        (failed, in_a_row) = (failed + 1, in_a_row + 1);
                    }
                }
                if in_a_row == FAILURES {
                    self.tidied.lock().clone_from(&after);
                    tracing::error!(failed, "no more objects are removed for now");
                    return Ok(gone);
                }
            }
            if places.len() < AT_ONCE as usize {
                if failed > 0 {
                    tracing::error!(
                        failed,
                        "objects could not be removed; the next look tries again"
                    );
                }
                return Ok(gone);
            }
        }
    }
}
