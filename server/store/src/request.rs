//! What programs have asked for under a key of theirs (Idempotency-Key), and what they were answered: so that asking again after
//! a lost answer does nothing twice. Answers may hold secrets, so they are sealed; all of it is forgotten after a day.

use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::error::Result;
use crate::{OperatorId, Store, rd, wr};

/// What is known of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing until now: whoever asks goes on, and says how it ended.
    First,
    /// It was answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// The body.
        answer: Zeroizing<Vec<u8>>,
    },
    /// It is under way, or broke off before it was answered.
    UnderWay,
    /// Another request came under this key.
    Another,
    /// There are as many keys of this person as are kept.
    Full,
}

/// What was asked, the status, and the answer.
type Kept = (Vec<u8>, Option<i64>, Option<Vec<u8>>);

const SEALED: &str = "idempotency_keys.answer_sealed";

fn place(operator: i64) -> String {
    format!("idempotency_keys {operator}")
}

impl Store {
    /// Writes down that a request is under way, of a person, under the hash of a key; `request` is the hash of what is asked. Of
    /// several at once, one is the first. At most `most` keys of one person are kept.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn request_begin(
        &self,
        operator: OperatorId,
        key: &[u8],
        request: &[u8],
        most: u32,
        now: Timestamp,
    ) -> Result<Asked> {
        let n = wr!(self, p => {
            sqlx::query(
                "INSERT INTO idempotency_keys (operator, key_hash, request, at) \
                 SELECT CAST($1 AS BIGINT), $2, $3, CAST($4 AS BIGINT) \
                 WHERE (SELECT COUNT(*) FROM idempotency_keys WHERE operator = $1) < $5 \
                 ON CONFLICT (operator, key_hash) DO NOTHING",
            )
            .bind(operator.0).bind(key).bind(request).bind(now.0).bind(i64::from(most)).execute(p).await?.rows_affected()
        });
        if n > 0 {
            return Ok(Asked::First);
        }
        let found: Option<Kept> = rd!(self, p => {
            sqlx::query_as("SELECT request, status, answer_sealed FROM idempotency_keys WHERE operator = $1 AND key_hash = $2")
                .bind(operator.0).bind(key).fetch_optional(p).await
        })?;
        Ok(match found {
            None => Asked::Full,
            Some((known, ..)) if known != request => Asked::Another,
            Some((_, Some(status), Some(sealed))) => Asked::Answered {
                status: u16::try_from(status).unwrap_or_default(),
                answer: Zeroizing::new(
                    self.sealer()
                        .open(&place(operator.0), &sealed, SEALED)?
                        .to_vec(),
                ),
            },
            Some(_) => Asked::UnderWay,
        })
    }

    /// Keeps what it was answered.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn request_answered(
        &self,
        operator: OperatorId,
        key: &[u8],
        status: u16,
        answer: &[u8],
    ) -> Result<()> {
        let sealed = self.sealer().seal(&place(operator.0), answer)?;
        wr!(self, p => {
            sqlx::query("UPDATE idempotency_keys SET status = $3, answer_sealed = $4 WHERE operator = $1 AND key_hash = $2")
                .bind(operator.0).bind(key).bind(i64::from(status)).bind(&sealed).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// It was refused, so nothing was done: the key is free again.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn request_forget(&self, operator: OperatorId, key: &[u8]) -> Result<()> {
        wr!(self, p => {
            sqlx::query("DELETE FROM idempotency_keys WHERE operator = $1 AND key_hash = $2")
                .bind(operator.0).bind(key).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Forgets what was asked before `since`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn requests_sweep(&self, since: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM idempotency_keys WHERE at < $1").bind(since.0).execute(p).await.map(|_| ()))?;
        Ok(())
    }

    /// Seals answers with the newest master key; how many were sealed with an older one.
    pub(crate) async fn requests_reseal(&self) -> Result<u64> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT operator, key_hash, answer_sealed FROM idempotency_keys WHERE answer_sealed IS NOT NULL")
                .fetch_all(p).await
        })?;
        let mut done = 0;
        for (operator, key, sealed) in rows {
            if let Some(fresh) = self.reseal(&place(operator), &sealed, SEALED)? {
                wr!(self, p => {
                    sqlx::query(
                        "UPDATE idempotency_keys SET answer_sealed = $3 \
                         WHERE operator = $1 AND key_hash = $2 AND answer_sealed = $4",
                    )
                    .bind(operator).bind(&key).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
