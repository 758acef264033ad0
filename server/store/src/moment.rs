//! Several reads of one moment: what they see fits together, whatever is written meanwhile.

/// Said first in a transaction that reads.
pub(crate) trait OneMoment {
    /// From here on the transaction sees the database as of one moment.
    async fn one_moment(&mut self) -> Result<(), sqlx::Error>;
}

impl OneMoment for sqlx::PgConnection {
    async fn one_moment(&mut self) -> Result<(), sqlx::Error> {
        // The default shows each statement what was committed before it.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(self)
            .await
            .map(|_| ())
    }
}

impl OneMoment for sqlx::SqliteConnection {
    async fn one_moment(&mut self) -> Result<(), sqlx::Error> {
        // In WAL mode every transaction does, from its first read on.
        Ok(())
    }
}
