//! Domains in a list, the most urgent first; the platform's list page by page.

use serde::Serialize;
use store::{DomainRow, TenantId};

use super::{DomainView, Memory, state_of};
use crate::error::Result;
use crate::permission::Operation;
use crate::{Actor, Control, status};

/// Domains on a page.
const PAGE: usize = 50;

/// A page of a list of domains.
#[derive(Debug, Clone, Serialize)]
pub struct DomainPage {
    /// The most urgent first.
    pub domains: Vec<DomainView>,
    /// How many there are in all that hold what was searched for.
    pub total: usize,
    /// Number of the first one on this page, from 0.
    pub from: usize,
    /// First one of the next page.
    pub next: Option<usize>,
    /// First one of the page before.
    pub previous: Option<usize>,
}

impl Control {
    /// Domains of a tenant (by id); `None`: all that the actor may see. The most urgent first.
    pub async fn domain_list(&self, actor: &Actor, tenant: Option<i64>) -> Result<Vec<DomainView>> {
        let rows = self.domain_rows(actor, tenant).await?;
        self.views(&rows).await
    }

    /// One page of that list, from number `from` on, of the domains with `search` in their name.
    pub async fn domain_page(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        search: &str,
        from: usize,
    ) -> Result<DomainPage> {
        let part = search.trim().to_lowercase();
        let mut rows = self.domain_rows(actor, tenant).await?;
        rows.retain(|row| row.name.as_str().contains(&part) || row.name.to_ascii().contains(&part));
        let total = rows.len();
        let from = if from < total { from / PAGE * PAGE } else { 0 };
        let page = rows.get(from..total.min(from + PAGE)).unwrap_or_default();
        Ok(DomainPage {
            domains: self.views(page).await?,
            total,
            from,
            next: Some(from + PAGE).filter(|next| *next < total),
            previous: from.checked_sub(PAGE),
        })
    }

    /// The rows that the actor may see, the most urgent first.
    async fn domain_rows(&self, actor: &Actor, tenant: Option<i64>) -> Result<Vec<DomainRow>> {
        let mut rows = match tenant.map(TenantId).or(actor.tenant) {
            Some(tenant) => {
                let tenant = self
                    .tenant_row(actor, Operation::DomainList, tenant.0)
                    .await?;
                self.domains(Some(tenant.id)).await?
            }
            None => {
                actor.check(Operation::DomainList, None, "domain", "")?;
                self.domains(None).await?
            }
        };
        rows.retain(|row| actor.reaches(row.name.as_str()));
        rows.sort_by(|a, b| {
            status::urgency(state_of(a))
                .cmp(&status::urgency(state_of(b)))
                .then_with(|| a.name.as_str().cmp(b.name.as_str()))
        });
        Ok(rows)
    }

    async fn views(&self, rows: &[DomainRow]) -> Result<Vec<DomainView>> {
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let accounts = self.domain_store(row).account_count().await?;
            views.push(status::view(row, &Memory::of(row), accounts));
        }
        Ok(views)
    }
}
