//! Files that accounts share (XEP-0363): slots, what was put into them, and how much that is. The bytes are not
//! here; of those in a bucket, what has lost its row is known until its object has gone too.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{AccountId, DomainId, DomainStore, Store, grouped, rd, wr};

/// A slot, or the file in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRow {
    /// Unguessable; names it everywhere.
    pub token: String,
    /// Whose domain.
    pub domain: DomainId,
    /// Whose.
    pub account: AccountId,
    /// As the owner calls it.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// When the slot was made.
    pub created: Timestamp,
    /// When the slot ends while nothing is in it, then when the file goes.
    pub ends: Timestamp,
    /// There is a file.
    pub stored: bool,
    /// Key of its object in the bucket; `None`: it is in the directory, if anywhere.
    pub place: Option<String>,
    /// Name of that bucket; `None`: the only one that there was, or none.
    pub bucket: Option<String>,
}

/// The end of what stays.
pub const NEVER: Timestamp = Timestamp(i64::MAX);

/// What became of the wish for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotMade {
    /// It is there.
    Made,
    /// The account has so many bytes already that it would have too many.
    AccountFull(u64),
    /// Its domain has.
    DomainFull(u64),
    /// The domain's tenant has.
    TenantFull(u64),
}

/// What an account shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptUploads {
    /// Localpart.
    pub local: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the newest was put there.
    pub latest: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Raw {
    token: String,
    domain: i64,
    account: i64,
    name: String,
    #[sqlx(rename = "type")]
    media_type: String,
    size: i64,
    created: i64,
    ends: i64,
    stored: bool,
    place: Option<String>,
    bucket: Option<String>,
}

impl From<Raw> for UploadRow {
    fn from(raw: Raw) -> Self {
        Self {
            token: raw.token,
            domain: DomainId(raw.domain),
            account: AccountId(raw.account),
            name: raw.name,
            media_type: raw.media_type,
            size: raw.size.unsigned_abs(),
            created: Timestamp(raw.created),
            ends: Timestamp(raw.ends),
            stored: raw.stored,
            place: raw.place,
            bucket: raw.bucket,
        }
    }
}

impl DomainStore {
    /// Makes a slot where the account, the domain and its tenant have room for it: at most so many bytes each, slots included.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_slot(
        &self,
        slot: &UploadRow,
        account_bytes: u64,
        domain_bytes: u64,
        tenant_bytes: u64,
    ) -> Result<SlotMade> {
        let (domain, slot) = (self.id.0, slot.clone());
        let size = i64::try_from(slot.size).unwrap_or(i64::MAX);
        grouped!(self.store, c => {
            // What has ended counts no more, though its bytes may go a little later.
            let (of_domain, of_account): (i64, i64) = sqlx::query_as(
                "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT), \
                 CAST(COALESCE(SUM(CASE WHEN account = $2 THEN size ELSE 0 END), 0) AS BIGINT) \
                 FROM uploads WHERE domain = $1 AND ends > $3",
            )
            .bind(domain).bind(slot.account.0).bind(slot.created.0).fetch_one(&mut *c).await?;
            let (of_domain, of_account) = (of_domain.unsigned_abs(), of_account.unsigned_abs());
            if of_account.saturating_add(slot.size) > account_bytes {
                return Ok(SlotMade::AccountFull(of_account));
            }
            if of_domain.saturating_add(slot.size) > domain_bytes {
                return Ok(SlotMade::DomainFull(of_domain));
            }
            let (of_tenant,): (i64,) = sqlx::query_as(
                "SELECT CAST(COALESCE(SUM(u.size), 0) AS BIGINT) FROM uploads u JOIN domains d ON d.id = u.domain \
                 WHERE d.tenant = (SELECT tenant FROM domains WHERE id = $1) AND u.ends > $2",
            )
            .bind(domain).bind(slot.created.0).fetch_one(&mut *c).await?;
            let of_tenant = of_tenant.unsigned_abs();
            if of_tenant.saturating_add(slot.size) > tenant_bytes {
                return Ok(SlotMade::TenantFull(of_tenant));
            }
            sqlx::query(
                "INSERT INTO uploads (token, domain, account, name, type, size, created, ends, stored) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(slot.token).bind(domain).bind(slot.account.0).bind(slot.name).bind(slot.media_type).bind(size)
            .bind(slot.created.0).bind(slot.ends.0).bind(slot.stored).execute(c).await?;
            Ok(SlotMade::Made)
        })
    }

    /// Who shares how much: the accounts with the most bytes of files first, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_kept(&self, now: Timestamp, limit: u32) -> Result<Vec<KeptUploads>> {
        let found: Vec<(String, i64, i64, i64)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT a.local, COUNT(*), CAST(SUM(u.size) AS BIGINT), MAX(u.created) FROM uploads u \
                 JOIN accounts a ON a.id = u.account WHERE u.domain = $1 AND u.ends > $2 AND u.stored \
                 GROUP BY a.local ORDER BY SUM(u.size) DESC, a.local LIMIT $3",
            )
            .bind(self.id.0).bind(now.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let kept = |(local, files, bytes, latest): (String, i64, i64, i64)| KeptUploads {
            local,
            files: files.unsigned_abs(),
            bytes: bytes.max(0).unsigned_abs(),
            latest: Timestamp(latest),
        };
        Ok(found.into_iter().map(kept).collect())
    }

    /// An account's files, newest first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_of(&self, account: AccountId, limit: u32) -> Result<Vec<UploadRow>> {
        let rows: Vec<Raw> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT token, domain, account, name, type, size, created, ends, stored, place, bucket FROM uploads \
                 WHERE domain = $1 AND account = $2 AND stored ORDER BY created DESC LIMIT $3",
            )
            .bind(self.id.0).bind(account.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(rows.into_iter().map(UploadRow::from).collect())
    }

    /// Forgets an account's file; false: it has none of that token.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_remove(&self, account: AccountId, token: &str) -> Result<bool> {
        let done = wr!(self.store, p => {
            sqlx::query("DELETE FROM uploads WHERE domain = $1 AND account = $2 AND token = $3")
                .bind(self.id.0).bind(account.0).bind(token).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}

impl Store {
    /// A slot or file, for whoever knows its token.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_find(&self, token: &str) -> Result<Option<UploadRow>> {
        let row: Option<Raw> = rd!(self, p => {
            sqlx::query_as(
                "SELECT token, domain, account, name, type, size, created, ends, stored, place, bucket FROM uploads WHERE token = $1",
            )
            .bind(token).fetch_optional(p).await
        })?;
        Ok(row.map(UploadRow::from))
    }

    /// Says where the bytes of an empty slot will be, before the first of them goes there: in this bucket, below `prefix`, by tenant
    /// and domain. A slot that was given a place once keeps it. Key and bucket; `None`: the slot is gone, or filled.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_place(
        &self,
        token: &str,
        bucket: &str,
        prefix: &str,
    ) -> Result<Option<(String, String)>> {
        let place: Option<(String, String)> = wr!(self, p => {
            sqlx::query_as(
                "UPDATE uploads SET place = COALESCE(place, CAST($2 AS TEXT) || (SELECT CAST(tenant AS TEXT) FROM domains \
                 WHERE domains.id = uploads.domain) || '/' || CAST(domain AS TEXT) || '/' || token), \
                 bucket = COALESCE(bucket, $3) WHERE token = $1 AND NOT stored RETURNING place, bucket",
            )
            .bind(token).bind(prefix).bind(bucket).fetch_optional(p).await
        })?;
        Ok(place)
    }

    /// Objects of this bucket whose files have gone, at most `limit`, after this one.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_gone(&self, bucket: &str, after: &str, limit: u32) -> Result<Vec<String>> {
        let gone: Vec<(String,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT place FROM uploads_gone WHERE place > $1 AND bucket IN ($3, '') ORDER BY place LIMIT $2",
            )
            .bind(after).bind(i64::from(limit)).bind(bucket).fetch_all(p).await
        })?;
        Ok(gone.into_iter().map(|(place,)| place).collect())
    }

    /// Objects of which it is not known in which bucket they are, are in this one: there was no other.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_adopt(&self, bucket: &str) -> Result<()> {
        wr!(self, p => {
            let mut tx = p.begin().await?;
            for text in [
                "UPDATE uploads SET bucket = $1 WHERE place IS NOT NULL AND bucket IS NULL",
                "UPDATE uploads_gone SET bucket = $1 WHERE bucket = ''",
            ] {
                sqlx::query(text).bind(bucket).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        });
        Ok(())
    }

    /// How many objects are in other buckets than this one, with files or without.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_elsewhere(&self, bucket: &str) -> Result<u64> {
        let (count,): (i64,) = rd!(self, p => {
            sqlx::query_as(
                "SELECT (SELECT COUNT(*) FROM uploads WHERE bucket <> $1) \
                 + (SELECT COUNT(*) FROM uploads_gone WHERE bucket NOT IN ($1, ''))",
            )
            .bind(bucket).fetch_one(p).await
        })?;
        Ok(count.max(0).unsigned_abs())
    }

    /// Bytes may have gone to an object although its file has gone meanwhile, and with it the object's key: then that is known again.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_left_behind(&self, token: &str, place: &str, bucket: &str) -> Result<()> {
        wr!(self, p => {
            sqlx::query(
                "INSERT INTO uploads_gone (place, bucket) SELECT CAST($2 AS TEXT), CAST($3 AS TEXT) \
                 WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE token = $1) ON CONFLICT (place) DO NOTHING",
            )
            .bind(token).bind(place).bind(bucket).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// An object has gone after its file.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_forgotten(&self, place: &str) -> Result<()> {
        wr!(self, p => {
            sqlx::query("DELETE FROM uploads_gone WHERE place = $1").bind(place).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The slot is filled; false: it is gone, or was filled already.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn upload_stored(&self, token: &str, ends: Timestamp) -> Result<bool> {
        let done = wr!(self, p => {
            sqlx::query("UPDATE uploads SET stored = $3, ends = $2 WHERE token = $1 AND NOT stored")
                .bind(token).bind(ends.0).bind(true).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Forgets what has ended by `now`, at most `limit` at a time; its tokens.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_end(&self, now: Timestamp, limit: u32) -> Result<Vec<String>> {
        let gone: Vec<(String,)> = wr!(self, p => {
            let mut tx = p.begin().await?;
            let gone: Vec<(String,)> = sqlx::query_as(
                "DELETE FROM uploads WHERE token IN (SELECT token FROM uploads WHERE ends <= $1 LIMIT $2) RETURNING token",
            )
            .bind(now.0).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            gone
        });
        Ok(gone.into_iter().map(|(token,)| token).collect())
    }

    /// Which of these tokens nobody knows any more: their accounts or domains have gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn uploads_unknown(&self, tokens: Vec<String>) -> Result<Vec<String>> {
        rd!(self, p => {
            let mut unknown = Vec::new();
            for token in tokens {
                let known: Option<(String,)> = sqlx::query_as("SELECT token FROM uploads WHERE token = $1")
                    .bind(&token).fetch_optional(p).await?;
                if known.is_none() {
                    unknown.push(token);
                }
            }
            Ok(unknown)
        })
    }
}
