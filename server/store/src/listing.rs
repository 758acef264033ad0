//! Lists for people, a page at a time, and the counts beside them: read from indexes, however many domains and customers
//! there are.

use xmpp::timestamp::Timestamp;

use crate::domain::{DomainRow, Raw, select};
use crate::error::Result;
use crate::tenant::{TenantRow, Tuple, row as tenant_row, select as select_tenants};
use crate::{DomainId, Store, TenantId, rd};

/// Which domains a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct DomainFilter<'a> {
    /// Of this customer only.
    pub tenant: Option<TenantId>,
    /// With this in their name (U-labels, lower case) …
    pub part: &'a str,
    /// … or this.
    pub or: &'a str,
}

/// Conditions of a [`DomainFilter`] at `$1` to `$3`; the function that finds a text in another has another name in each engine.
macro_rules! found {
    ($find:literal) => {
        concat!(
            "WHERE ($1 = 0 OR tenant = $1) AND (",
            $find,
            "(name, $2) > 0 OR ",
            $find,
            "(name, $3) > 0)"
        )
    };
}

macro_rules! page {
    ($find:literal) => {
        select!(
            "WHERE id IN (SELECT id FROM domains ",
            found!($find),
            " ORDER BY ",
            $find,
            "($4, ' ' || state || ' '), name, id LIMIT CAST($5 AS BIGINT) OFFSET CAST($6 AS BIGINT))"
        )
    };
}

impl Store {
    /// Certificates in use that end between these times (the first one belongs to it).
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn certificates_ending(&self, from: Timestamp, to: Timestamp) -> Result<u64> {
        let (count,): (i64,) = rd!(self, p => {
            sqlx::query_as("SELECT COUNT(*) FROM certificates WHERE state = 'current' AND not_after >= $1 AND not_after < $2")
                .bind(from.0).bind(to.0).fetch_one(p).await
        })?;
        Ok(count.unsigned_abs())
    }

    /// A page of a list of domains: those first whose state stands first in `states`, then by name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn domain_page(
        &self,
        filter: DomainFilter<'_>,
        states: &[&str],
        from: usize,
        limit: usize,
    ) -> Result<Vec<DomainRow>> {
        let order = format!(" {} ", states.join(" "));
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        macro_rules! ask {
            ($pool:expr, $find:literal) => {
                sqlx::query_as::<_, Raw>(page!($find))
                    .bind(filter.tenant.map_or(0, |tenant| tenant.0))
                    .bind(filter.part)
                    .bind(filter.or)
                    .bind(&order)
                    .bind(number(limit))
                    .bind(number(from))
                    .fetch_all($pool)
                    .await?
            };
        }
        let raw = match &self.0.db {
            crate::Db::Pg(p) => ask!(p, "STRPOS"),
            crate::Db::Lite { read, .. } => ask!(read, "INSTR"),
        };
        let mut rows: Vec<DomainRow> = raw.into_iter().map(Raw::row).collect::<Result<_>>()?;
        let rank = |state: &str| states.iter().position(|known| *known == state);
        rows.sort_by(|a, b| {
            (rank(&a.state), a.name.as_str()).cmp(&(rank(&b.state), b.name.as_str()))
        });
        Ok(rows)
    }

    /// How many domains such a list holds in all.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn domain_page_count(&self, filter: DomainFilter<'_>) -> Result<u64> {
        macro_rules! ask {
            ($pool:expr, $find:literal) => {
                sqlx::query_as::<_, (i64,)>(concat!("SELECT COUNT(*) FROM domains ", found!($find)))
                    .bind(filter.tenant.map_or(0, |tenant| tenant.0))
                    .bind(filter.part)
                    .bind(filter.or)
                    .fetch_one($pool)
                    .await?
            };
        }
        let (count,) = match &self.0.db {
            crate::Db::Pg(p) => ask!(p, "STRPOS"),
            crate::Db::Lite { read, .. } => ask!(read, "INSTR"),
        };
        Ok(count.unsigned_abs())
    }

    /// Accounts of each of these domains; those without any are left out.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn account_counts(&self, domains: &[DomainId]) -> Result<Vec<(DomainId, u64)>> {
        let ids: Vec<i64> = domains.iter().map(|id| id.0).collect();
        let found: Vec<(i64, i64)> = match &self.0.db {
            crate::Db::Pg(p) => sqlx::query_as(
                "SELECT domain, COUNT(*) FROM accounts WHERE domain = ANY($1) GROUP BY domain",
            )
            .bind(&ids)
            .fetch_all(p)
            .await?,
            crate::Db::Lite { read, .. } => sqlx::query_as(
                "SELECT domain, COUNT(*) FROM accounts WHERE domain IN (SELECT value FROM json_each($1)) GROUP BY domain",
            )
            .bind(serde_json::to_string(&ids).unwrap_or_default())
            .fetch_all(read)
            .await?,
        };
        Ok(found
            .into_iter()
            .map(|(id, count)| (DomainId(id), count.unsigned_abs()))
            .collect())
    }

    /// All accounts there are.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn account_total(&self) -> Result<u64> {
        let (count,): (i64,) =
            rd!(self, p => sqlx::query_as("SELECT COUNT(*) FROM accounts").fetch_one(p).await)?;
        Ok(count.unsigned_abs())
    }

    /// What fails, by code: at how many domains; warnings and worse, the most frequent first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn finding_codes(&self) -> Result<Vec<(String, u64)>> {
        let found: Vec<(String, i64)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT code, COUNT(DISTINCT domain) AS n FROM findings WHERE severity IN ('warning', 'critical') GROUP BY code ORDER BY n DESC, code",
            )
            .fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(code, count)| (code, count.unsigned_abs()))
            .collect())
    }

    /// Domains with a failure of this code (warning or worse), by name: at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn finding_domains(&self, code: &str, limit: u32) -> Result<Vec<String>> {
        let found: Vec<(String,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT DISTINCT d.name FROM findings f JOIN domains d ON d.id = f.domain \
                 WHERE f.severity IN ('warning', 'critical') AND f.code = $1 ORDER BY d.name LIMIT CAST($2 AS BIGINT)",
            )
            .bind(code).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(|(name,)| name).collect())
    }

    /// A page of the customers with `part` in their name (lower case), by name; and how many there are in all.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_page(
        &self,
        part: &str,
        from: usize,
        limit: usize,
    ) -> Result<(Vec<TenantRow>, u64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        macro_rules! ask {
            ($pool:expr, $find:literal) => {{
                let rows = sqlx::query_as::<_, Tuple>(select_tenants!(
                    "WHERE ",
                    $find,
                    "(LOWER(t.name), $1) > 0 ORDER BY LOWER(t.name), t.id LIMIT CAST($2 AS BIGINT) OFFSET CAST($3 AS BIGINT)"
                ))
                .bind(part)
                .bind(number(limit))
                .bind(number(from))
                .fetch_all($pool)
                .await?;
                let (total,) = sqlx::query_as::<_, (i64,)>(concat!(
                    "SELECT COUNT(*) FROM tenants WHERE ",
                    $find,
                    "(LOWER(name), $1) > 0"
                ))
                .bind(part)
                .fetch_one($pool)
                .await?;
                (rows, total)
            }};
        }
        let (rows, total) = match &self.0.db {
            crate::Db::Pg(p) => ask!(p, "STRPOS"),
            crate::Db::Lite { read, .. } => ask!(read, "INSTR"),
        };
        Ok((
            rows.into_iter().map(tenant_row).collect(),
            total.unsigned_abs(),
        ))
    }

    /// A page of the customers with `part` in their name (lower case): those first who kept most (archives and files) when that
    /// was last measured, then by name; and how many there are in all.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_page_by_use(
        &self,
        part: &str,
        from: usize,
        limit: usize,
    ) -> Result<(Vec<TenantRow>, u64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        macro_rules! ask {
            ($pool:expr, $find:literal) => {
                sqlx::query_as::<_, Tuple>(select_tenants!(
                    "LEFT JOIN tenant_days k ON k.tenant = t.id AND k.day = \
                     (SELECT MAX(day) FROM platform_days WHERE archive_rows IS NOT NULL) WHERE ",
                    $find,
                    "(LOWER(t.name), $1) > 0 ORDER BY COALESCE(k.archive_bytes, 0) + COALESCE(k.upload_bytes, 0) DESC, \
                     LOWER(t.name), t.id LIMIT CAST($2 AS BIGINT) OFFSET CAST($3 AS BIGINT)"
                ))
                .bind(part)
                .bind(number(limit))
                .bind(number(from))
                .fetch_all($pool)
                .await?
            };
        }
        let rows = match &self.0.db {
            crate::Db::Pg(p) => ask!(p, "STRPOS"),
            crate::Db::Lite { read, .. } => ask!(read, "INSTR"),
        };
        let (_, total) = self.tenant_page(part, 0, 0).await?;
        Ok((rows.into_iter().map(tenant_row).collect(), total))
    }
}
