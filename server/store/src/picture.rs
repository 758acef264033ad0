//! What every table holds, as text: for tests which say that something has changed nothing at all. A new table is in the picture by
//! itself. What is sealed stays so.

use crate::error::Result;
use crate::{Db, Store};

impl Store {
    /// Tables there are, in no order.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tables(&self) -> Result<Vec<String>> {
        let found: Vec<(String,)> = match &self.0.db {
            Db::Pg(p) => {
                sqlx::query_as("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
                    .fetch_all(p)
                    .await
            }
            Db::Lite { read, .. } => {
                sqlx::query_as("SELECT name FROM sqlite_master WHERE type = 'table'")
                    .fetch_all(read)
                    .await
            }
        }?;
        Ok(found.into_iter().map(|(name,)| name).collect())
    }

    /// Every row of every table, sorted; each with its table's name in front.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn picture(&self) -> Result<Vec<String>> {
        let mut picture = Vec::new();
        for table in self.tables().await? {
            let rows: Vec<(String,)> = match &self.0.db {
                Db::Pg(p) => {
                    let rows = format!("SELECT CAST(t AS TEXT) FROM {table} t");
                    sqlx::query_as(sqlx::AssertSqlSafe(rows)).fetch_all(p).await
                }
                Db::Lite { read, .. } => {
                    let columns: Vec<(String,)> =
                        sqlx::query_as("SELECT name FROM pragma_table_info($1) ORDER BY cid")
                            .bind(&table)
                            .fetch_all(read)
                            .await?;
                    let columns: Vec<_> = columns
                        .iter()
                        .map(|(name,)| format!("quote(\"{name}\")"))
                        .collect();
                    let rows = format!("SELECT {} FROM {table}", columns.join(" || ',' || "));
                    sqlx::query_as(sqlx::AssertSqlSafe(rows))
                        .fetch_all(read)
                        .await
                }
            }?;
            picture.extend(rows.into_iter().map(|(row,)| format!("{table}: {row}")));
        }
        picture.sort_unstable();
        Ok(picture)
    }
}
