//! What is seen of orders: who stands in line and why, what of each authority's limits is used, why a domain has no certificate
//! yet, and when it gets the next.

use serde::Serialize;
use store::QueueRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::plan::{Priority, Quota, Why};
use super::{CertificateView, ORDERED};
use crate::domain::Memory;
use crate::error::{ControlError, Result};
use crate::outside::IssuerInfo;
use crate::permission::Operation;
use crate::time::plus;
use crate::{Actor, Control};

/// A document for http-01 is never needed for longer.
const ANSWER_SECONDS: i64 = 3600;
/// Orders shown at once.
const SHOWN: u32 = 200;
/// Registered domains, and names, shown of those that have used most.
const MOST: u32 = 10;

/// An order in line or under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// The domain.
    pub domain: String,
    /// Whose (id).
    pub tenant: i64,
    /// `first`, `renewal`, `optional`.
    pub priority: Priority,
    /// Names of the certificate, A-labels, the domain first.
    pub names: Vec<String>,
    /// Who is to issue it.
    pub authority: String,
    /// The authority does not count it: it has announced the renewal (RFC 9773).
    pub announced: bool,
    /// Wanted since.
    #[serde(serialize_with = "crate::time::at")]
    pub since: Timestamp,
    /// The certificate in use ends.
    #[serde(serialize_with = "crate::time::maybe")]
    pub deadline: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Is it under way?
    pub under_way: bool,
    /// Why it waits: `back-off`, `told-to-wait`, `orders`, `registered-domain`, `duplicates`, `failures`, `pending`, `turn`.
    pub why: Option<Why>,
    /// The same in words.
    pub reason: String,
    /// It waits until then at least.
    #[serde(serialize_with = "crate::time::maybe")]
    pub until: Option<Timestamp>,
}

/// A name that stands outside of the certificate, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockedName {
    /// The name.
    pub name: String,
    /// What is in its way, for people.
    pub why: String,
}

/// How things stand with a domain's next certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificatePlan {
    /// The domain.
    pub domain: String,
    /// The certificate in use.
    pub certificate: Option<CertificateView>,
    /// The next renewal; `None`: nothing is ordered for this domain, or there is no certificate yet.
    #[serde(serialize_with = "crate::time::maybe")]
    pub renewal: Option<Timestamp>,
    /// The order in line, if one is.
    pub order: Option<OrderView>,
    /// Names that do not pass the pre-flight, or were refused.
    pub blocked: Vec<BlockedName>,
    /// What the last failed order was told; empty: it did not fail.
    pub failed: String,
}

/// How much of a limit is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// What is counted by: a registered domain, a name; empty for the account as a whole.
    pub subject: String,
    /// So many …
    pub used: u64,
    /// … of so many; 0: no limit …
    pub most: u32,
    /// … within so many seconds.
    pub window_seconds: u32,
}

/// An authority, and what of its limits is used.
#[derive(Debug, Clone, Serialize)]
pub struct AuthorityView {
    /// Who.
    #[serde(flatten)]
    pub issuer: IssuerInfo,
    /// It does not answer since.
    #[serde(serialize_with = "crate::time::maybe")]
    pub down_since: Option<Timestamp>,
    /// It is left alone until then.
    #[serde(serialize_with = "crate::time::maybe")]
    pub rests_until: Option<Timestamp>,
    /// Its last complaint.
    pub said: String,
    /// Orders of the account.
    pub orders: Used,
    /// Certificates by registered domain (and set of names), those with most first.
    pub certificates: Vec<Used>,
    /// Failures by name, those with most first.
    pub failures: Vec<Used>,
}

impl Control {
    /// Orders in line, those under way first, then in the order in which they are served; at most 200. `tenant` by id; `None`:
    /// all that the actor may see.
    pub async fn certificate_queue(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
    ) -> Result<Vec<OrderView>> {
        let of = match tenant.map(store::TenantId).or(actor.tenant) {
            Some(tenant) => Some(
                self.tenant_row(actor, Operation::CertificateQueue, tenant.0)
                    .await?
                    .id,
            ),
            None => {
                actor.check(Operation::CertificateQueue, None, "tenant", "")?;
                None
            }
        };
        let rows = self.store().queue_list(of, SHOWN).await?;
        Ok(rows.into_iter().map(|row| self.order_view(row)).collect())
    }

    /// Why a domain has the certificate that it has, and when it gets the next.
    pub async fn certificate_plan(&self, actor: &Actor, domain: &str) -> Result<CertificatePlan> {
        let row = self
            .domain_row(actor, Operation::CertificateList, domain)
            .await?;
        let memory = Memory::of(&row).order;
        let certificate = self.current_certificate(&row).await?;
        let order = self.store().queue_get(row.id).await?;
        Ok(CertificatePlan {
            domain: row.name.to_string(),
            renewal: certificate
                .as_ref()
                .filter(|view| view.source == ORDERED)
                .and_then(|view| view.renew_at),
            certificate,
            order: order.map(|order| self.order_view(order)),
            blocked: memory
                .blocked
                .into_iter()
                .map(|(name, why)| BlockedName { name, why })
                .collect(),
            failed: memory.said,
        })
    }

    /// The authorities, the preferred one first, and what of their limits is used.
    pub async fn authority_list(&self, actor: &Actor) -> Result<Vec<AuthorityView>> {
        actor.check(Operation::AuthorityList, None, "authority", "")?;
        let limits = self.settings().authority_limits;
        let now = self.now();
        let known = self.store().authority_list().await?;
        let spent = |kind: &'static str, quota: Quota, rows: u32| async move {
            self.store().spent_since(kind, quota.since(now), rows).await
        };
        let all = 1000;
        let orders = spent("order", limits.orders, all).await?;
        let certificates = spent("certificate", limits.registered, all).await?;
        let failures = spent("failure", limits.failures, all).await?;
        let views = self.parts.issuer.authorities().into_iter().map(|issuer| {
            let used = |rows: &[(String, String, u64, Timestamp)], quota: Quota| -> Vec<Used> {
                rows.iter()
                    .filter(|(authority, ..)| *authority == issuer.directory)
                    .map(|(_, subject, used, _)| Used {
                        subject: subject.clone(),
                        used: *used,
                        most: quota.most,
                        window_seconds: quota.window_seconds,
                    })
                    .collect()
            };
            let mut certificates = used(&certificates, limits.registered);
            // A set of names is told from a registered domain by having no dot.
            certificates.retain(|used| used.subject.contains('.'));
            certificates.truncate(MOST as usize);
            let mut failures = used(&failures, limits.failures);
            failures.truncate(MOST as usize);
            let nothing = Used {
                subject: String::new(),
                used: 0,
                most: limits.orders.most,
                window_seconds: limits.orders.window_seconds,
            };
            let state = known
                .iter()
                .find(|known| known.directory == issuer.directory);
            AuthorityView {
                down_since: state.and_then(|state| state.down_since),
                rests_until: state.map(|state| state.not_before).filter(|at| *at > now),
                said: state.map(|state| state.said.clone()).unwrap_or_default(),
                orders: used(&orders, limits.orders).pop().unwrap_or(nothing),
                certificates,
                failures,
                issuer,
            }
        });
        Ok(views.collect())
    }

    /// Gives our account at an authority another key (RFC 8555 7.3.5); nothing that owners publish changes. `directory` names
    /// the authority; empty: the preferred one. Returns the account's URI.
    pub async fn authority_roll_key(&self, actor: &Actor, directory: &str) -> Result<String> {
        actor.check(Operation::AuthorityRollKey, None, "authority", directory)?;
        let known = self.parts.issuer.authorities();
        let issuer = known
            .iter()
            .find(|issuer| directory.is_empty() || issuer.directory == directory)
            .ok_or_else(|| ControlError::not_found("authority", directory))?;
        self.announced_here(actor, Operation::AuthorityRollKey, &issuer.directory)
            .await?;
        let account = self
            .parts
            .issuer
            .roll_account_key(&issuer.directory)
            .await
            .map_err(|error| ControlError::State {
                name: issuer.name.clone(),
                state: "as it was".into(),
                problem: error.to_string(),
                remedy: "Look at the log, and try again.".into(),
            })?;
        Ok(account)
    }

    /// How many orders wait, by priority and reason (`under-way` for those that do not wait), for metrics.
    pub async fn queue_counts(&self) -> Result<Vec<(Priority, String, u64)>> {
        Ok(self
            .store()
            .queue_counts()
            .await?
            .into_iter()
            .map(|(priority, why, n)| (Priority::of(priority), why, n))
            .collect())
    }

    /// Forgets what no limit counts any more, what orders that broke off have left to be shown, what has expired (logins, tokens,
    /// invitations), changes that every process has been told of, and what charts no longer show.
    pub(crate) async fn sweep(&self) {
        let now = self.now();
        let limits = self.settings().authority_limits;
        let oldest = [
            limits.orders,
            limits.registered,
            limits.duplicates,
            limits.failures,
        ]
        .map(|quota| quota.since(now));
        let oldest = oldest.into_iter().min().unwrap_or(now);
        let swept = async {
            self.store().spent_sweep(oldest).await?;
            self.store()
                .answers_sweep(plus(now, -ANSWER_SECONDS))
                .await?;
            self.store().invites_sweep(now).await?;
            self.store().own_exports_sweep(now).await?;
            self.store().logins_sweep(now).await?;
            self.store().changes_sweep(now).await?;
            self.requests_sweep().await?;
            self.series_sweep().await
        };
        if let Err(error) = swept.await {
            tracing::warn!(error = %error.log_text(), "what is past could not be swept");
        }
    }

    fn order_view(&self, row: QueueRow) -> OrderView {
        let why = Why::parse(&row.why).filter(|_| row.started.is_none());
        let domain = row.names.first().cloned().unwrap_or_default();
        let known = self.parts.issuer.authorities();
        let authority = known
            .into_iter()
            .find(|issuer| issuer.directory == row.authority)
            .map_or(row.authority, |issuer| issuer.name);
        OrderView {
            domain: DomainName::parse(&domain).map_or(domain, |name| name.to_string()),
            tenant: row.tenant.0,
            priority: Priority::of(row.priority),
            names: row.names,
            authority,
            announced: row.exempt,
            since: row.due,
            deadline: row.deadline,
            failures: row.failures,
            under_way: row.started.is_some(),
            reason: match why {
                Some(why) => why.sentence().into(),
                None if row.started.is_some() => "It is under way.".into(),
                None => "It has not been planned yet.".into(),
            },
            why,
            until: row.wait_until.filter(|_| row.started.is_none()),
        }
    }
}
