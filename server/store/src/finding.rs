//! Findings: where what the world shows of a domain differs from what is wanted.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, Store, rd, wr};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// Stable code.
    pub code: String,
    /// `critical`, `warning`, `info`, `unknown`, `ok`.
    pub severity: String,
    /// What it is about: a record's name, a certificate.
    pub subject: String,
    /// What is wanted.
    pub expected: String,
    /// What was seen.
    pub observed: String,
    /// Which server was asked.
    pub asked: String,
    /// What to do, in one sentence.
    pub fix: String,
    /// Since when it stands.
    pub since: Timestamp,
    /// When it is looked at again.
    pub next_check: Option<Timestamp>,
}

type Tuple = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
);

impl DomainStore {
    /// Findings, by code and subject.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn finding_list(&self) -> Result<Vec<FindingRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT code, severity, subject, expected, observed, asked, fix, since, next_check FROM findings \
                 WHERE domain = $1 ORDER BY code, subject",
            )
            .bind(self.id.0).fetch_all(p).await
        })?;
        let row =
            |(code, severity, subject, expected, observed, asked, fix, since, next): Tuple| {
                FindingRow {
                    code,
                    severity,
                    subject,
                    expected,
                    observed,
                    asked,
                    fix,
                    since: Timestamp(since),
                    next_check: next.map(Timestamp),
                }
            };
        Ok(found.into_iter().map(row).collect())
    }

    /// Replaces all findings. `since` stays where a finding of the same code, subject and severity stands already.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; the old ones stay then.
    pub async fn findings_set(&self, findings: &[FindingRow]) -> Result<()> {
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let old: Vec<(String, String, String, i64)> = sqlx::query_as(
                "DELETE FROM findings WHERE domain = $1 RETURNING code, subject, severity, since",
            )
            .bind(self.id.0).fetch_all(&mut *tx).await?;
            for f in findings {
                let stands = old.iter().find(|(code, subject, severity, _)| {
                    (code, subject, severity) == (&f.code, &f.subject, &f.severity)
                });
                let since = stands.map_or(f.since, |old| Timestamp(old.3));
                sqlx::query(
                    "INSERT INTO findings (domain, code, severity, subject, expected, observed, asked, fix, since, next_check) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (domain, code, subject) DO NOTHING",
                )
                .bind(self.id.0).bind(&f.code).bind(&f.severity).bind(&f.subject).bind(&f.expected).bind(&f.observed)
                .bind(&f.asked).bind(&f.fix).bind(since.0).bind(f.next_check.map(|t| t.0))
                .execute(&mut *tx).await?;
            }
            tx.commit().await?;
        });
        Ok(())
    }
}

impl Store {
    /// Findings by severity, over all domains.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn finding_severities(&self) -> Result<Vec<(String, u64)>> {
        let found: Vec<(String, i64)> = rd!(self, p => {
            sqlx::query_as("SELECT severity, COUNT(*) FROM findings GROUP BY severity ORDER BY severity").fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(s, n)| (s, n.unsigned_abs()))
            .collect())
    }
}
