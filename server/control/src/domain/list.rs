//! Domains in a list, the most urgent first; the platform's list page by page.

use std::collections::HashMap;

use serde::Serialize;
use store::{DomainFilter, DomainRow, TenantId};
use xmpp::jid::DomainName;

use super::{DomainView, Memory, State, state_of};
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
        if actor.scope.is_some() {
            return self.scoped_page(actor, tenant, &part, from).await;
        }
        let of = match tenant.map(TenantId).or(actor.tenant) {
            Some(tenant) => {
                let operation = Operation::DomainList;
                Some(self.tenant_row(actor, operation, tenant.0).await?.id)
            }
            None => {
                actor.check(Operation::DomainList, None, "domain", "")?;
                None
            }
        };
        // The store knows names as people spell them; the DNS's spelling finds them as well.
        let spelled = DomainName::parse(&part).map(|name| name.to_string());
        let filter = DomainFilter {
            tenant: of,
            part: &part,
            or: spelled.as_deref().unwrap_or(&part),
        };
        let total = self.store().domain_page_count(filter).await?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let from = start(from, total);
        let states = BY_URGENCY.map(State::as_str);
        let rows = self
            .store()
            .domain_page(filter, &states, from, PAGE)
            .await?;
        self.page(&rows, from, total).await
    }

    /// The same for a token that reaches a few domains only.
    async fn scoped_page(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        part: &str,
        from: usize,
    ) -> Result<DomainPage> {
        let mut rows = self.domain_rows(actor, tenant).await?;
        rows.retain(|row| row.name.as_str().contains(part) || row.name.to_ascii().contains(part));
        let total = rows.len();
        let from = start(from, total);
        let page = rows.get(from..total.min(from + PAGE)).unwrap_or_default();
        self.page(page, from, total).await
    }

    async fn page(&self, rows: &[DomainRow], from: usize, total: usize) -> Result<DomainPage> {
        Ok(DomainPage {
            domains: self.views(rows).await?,
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
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let counts = self.store().account_counts(&ids).await?;
        let counts: HashMap<_, _> = counts.into_iter().collect();
        let accounts = |row: &DomainRow| counts.get(&row.id).copied().unwrap_or_default();
        Ok(rows
            .iter()
            .map(|row| status::view(row, &Memory::of(row), accounts(row)))
            .collect())
    }
}

/// States as lists show them ([`status::urgency`]).
const BY_URGENCY: [State; 8] = [
    State::Degraded,
    State::Claimed,
    State::Verified,
    State::Publishing,
    State::Ready,
    State::Live,
    State::Suspended,
    State::Releasing,
];

/// Number of a page's first one.
fn start(from: usize, total: usize) -> usize {
    if from < total { from / PAGE * PAGE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_by_urgency_whoever_sorts_them() {
        assert_eq!(BY_URGENCY.len(), State::ALL.len());
        let ranks = BY_URGENCY.map(status::urgency);
        assert!(ranks.is_sorted(), "{ranks:?}");
    }
}
