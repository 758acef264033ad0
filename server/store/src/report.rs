//! What users report about others (XEP-0377), for the owner of their domain.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, rd, wr};

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// Row; grows with time. Given by the store.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who reports: bare address.
    pub account: String,
    /// Who is reported.
    pub jid: String,
    /// `spam` or `abuse`.
    pub reason: String,
    /// What the user says; may be empty.
    pub text: String,
    /// Ids of the messages that are meant, in the user's archive.
    pub ids: Vec<String>,
}

/// Reports kept of a domain; when there are more, the oldest go.
const KEPT: i64 = 1_000;

impl DomainStore {
    /// Keeps a report.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it was not kept then.
    pub async fn report_add(&self, report: &ReportRow) -> Result<()> {
        let ids = serde_json::Value::from(report.ids.clone()).to_string();
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO reports (domain, at, account, jid, reason, text, ids) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(self.id.0).bind(report.at.0).bind(&report.account).bind(&report.jid).bind(&report.reason)
            .bind(&report.text).bind(&ids).execute(p).await.map(|_| ())
        })?;
        wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM reports WHERE domain = $1 AND id <= \
                 (SELECT id FROM reports WHERE domain = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
            )
            .bind(self.id.0).bind(KEPT).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Reports before row `before`, newest first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn report_list(&self, before: i64, limit: u32) -> Result<Vec<ReportRow>> {
        type Row = (i64, i64, String, String, String, String, String);
        let rows: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT id, at, account, jid, reason, text, ids FROM reports WHERE domain = $1 AND id < $2 \
                 ORDER BY id DESC LIMIT $3",
            )
            .bind(self.id.0).bind(before).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let report = |(id, at, account, jid, reason, text, ids): Row| ReportRow {
            id,
            at: Timestamp(at),
            account,
            jid,
            reason,
            text,
            ids: serde_json::from_str(&ids).unwrap_or_default(),
        };
        Ok(rows.into_iter().map(report).collect())
    }
}
