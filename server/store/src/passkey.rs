//! Passkeys of people of the panel (WebAuthn), and the challenges that wait for their signatures.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::error::{Result, StoreError};
use crate::{OperatorId, Store, rd, wr};

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// Row.
    pub id: i64,
    /// Whose.
    pub operator: OperatorId,
    /// The authenticator's own name for it.
    pub credential: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// COSE.
    pub algorithm: i64,
    /// Of signatures, as the authenticator counts; 0: it does not.
    pub counter: u32,
    /// As its owner calls it.
    pub name: String,
    /// When it came.
    pub created: Timestamp,
    /// When it last signed somebody in.
    pub used: Option<Timestamp>,
}

type Tuple = (
    i64,
    i64,
    Vec<u8>,
    Vec<u8>,
    i64,
    i64,
    String,
    i64,
    Option<i64>,
);

fn row(tuple: Tuple) -> Result<PasskeyRow> {
    let (id, operator, credential, public_key, algorithm, counter, name, created, used) = tuple;
    Ok(PasskeyRow {
        id,
        operator: OperatorId(operator),
        credential,
        public_key,
        algorithm,
        counter: u32::try_from(counter).map_err(|_| StoreError::Corrupt {
            what: "passkeys.counter",
        })?,
        name,
        created: Timestamp(created),
        used: used.map(Timestamp),
    })
}

/// Every column of a [`Tuple`], in front of the rest of a query.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, operator, credential, public_key, algorithm, counter, name, created, used FROM passkeys ",
            $rest
        )
    };
}

impl Store {
    /// Adds a passkey; `row.id` and `row.used` are ignored.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the credential is known, whoever's it is.
    pub async fn passkey_add(&self, row: &PasskeyRow) -> Result<i64> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = sqlx::query_as(
                "INSERT INTO passkeys (operator, credential, public_key, algorithm, counter, name, created) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            )
            .bind(row.operator.0).bind(&row.credential).bind(&row.public_key).bind(row.algorithm)
            .bind(i64::from(row.counter)).bind(&row.name).bind(row.created.0).fetch_one(&mut *tx).await?;
            record!(self, tx);
            tx.commit().await?;
            id
        });
        Ok(id)
    }

    /// A person's passkeys, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_list(&self, operator: OperatorId) -> Result<Vec<PasskeyRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("WHERE operator = $1 ORDER BY id")).bind(operator.0).fetch_all(p).await
        })?;
        found.into_iter().map(row).collect()
    }

    /// The passkey of this name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_find(&self, credential: &[u8]) -> Result<Option<PasskeyRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("WHERE credential = $1")).bind(credential).fetch_optional(p).await
        })?;
        found.map(row).transpose()
    }

    /// Notes that it has signed. `false`: its counter is not `before` any more, so somebody else has used it meanwhile.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_used(
        &self,
        id: i64,
        before: u32,
        counter: u32,
        now: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query("UPDATE passkeys SET counter = $3, used = $4 WHERE id = $1 AND counter = $2")
                .bind(id).bind(i64::from(before)).bind(i64::from(counter)).bind(now.0).execute(p).await
                .map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Takes one away. `false`: the person has none of this number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_remove(&self, operator: OperatorId, id: i64) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM passkeys WHERE operator = $1 AND id = $2")
                .bind(operator.0).bind(id).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Keeps a challenge that waits for its signature, and forgets those whose time is over. `operator`: whose signature;
    /// none: whoever signs in.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_challenge_add(
        &self,
        challenge_hash: &[u8],
        operator: Option<OperatorId>,
        now: Timestamp,
        expires: Timestamp,
    ) -> Result<()> {
        wr!(self, p => {
            let mut tx = p.begin().await?;
            sqlx::query("DELETE FROM passkey_challenges WHERE expires <= $1").bind(now.0).execute(&mut *tx).await?;
            sqlx::query("INSERT INTO passkey_challenges (challenge_hash, operator, expires) VALUES ($1, $2, $3)")
                .bind(challenge_hash).bind(operator.map(|id| id.0)).bind(expires.0).execute(&mut *tx).await?;
            tx.commit().await?;
        });
        Ok(())
    }

    /// Uses a challenge up: whose it was. `None`: there is none, or it is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn passkey_challenge_take(
        &self,
        challenge_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<Option<OperatorId>>> {
        let taken: Option<(Option<i64>,)> = wr!(self, p => {
            sqlx::query_as("DELETE FROM passkey_challenges WHERE challenge_hash = $1 AND expires > $2 RETURNING operator")
                .bind(challenge_hash).bind(now.0).fetch_optional(p).await
        })?;
        Ok(taken.map(|(operator,)| operator.map(OperatorId)))
    }
}
