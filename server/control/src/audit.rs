//! What was done to a tenant, by whom: readable by the tenant.
//!
//! An entry is committed with the change it speaks of ([`Control::recorded`]), so that neither is there without the other.
//! What is changed elsewhere (a zone) is written down before it is done.

use serde::{Deserialize, Serialize};
use store::{AuditFilter, AuditRow, DomainRow, Store, TenantId};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::time::DAY;
use crate::{Actor, Control, csv, token};

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub struct AuditView {
    /// Id; pass the smallest as `before` for the next page.
    pub id: i64,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Who: e-mail address, or `cli`, `worker`.
    pub actor: String,
    /// Their role then.
    pub role: String,
    /// What (name of the operation).
    pub operation: String,
    /// Which domain it concerns; empty: no single one.
    pub domain: String,
    /// To what.
    pub object: String,
    /// Details in words; never a secret.
    pub detail: String,
}

/// Which entries; what is empty or absent does not choose.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Of this tenant (by id); `None`: the actor's own, or the whole platform's.
    pub tenant: Option<i64>,
    /// Of this domain, in any spelling.
    pub domain: String,
    /// This operation (`domain.add`), or every one of this noun (`domain`).
    pub operation: String,
    /// By this actor.
    pub actor: String,
    /// From this time on: `2026-11-26`, or `2026-11-26T08:00:00Z`.
    pub since: String,
    /// Until this time; a day is meant with its last moment.
    pub until: String,
    /// With a smaller id than this one.
    pub before: Option<i64>,
    /// At most so many: 100 if nothing is said, 10,000 at most.
    pub limit: Option<u32>,
}

/// Entries per page, if nothing else is said.
const PAGE: u32 = 100;
/// Entries of one answer, at most.
const MOST: u32 = 10_000;
/// Characters of an operation or actor that is searched for.
const WORD: usize = 254;

impl Control {
    /// Entries of the audit log, newest first.
    pub async fn audit_list(&self, actor: &Actor, query: &AuditQuery) -> Result<Vec<AuditView>> {
        let tenant = query.tenant.map(TenantId).or(actor.tenant);
        actor.check(
            Operation::AuditList,
            tenant,
            "tenant",
            &tenant
                .map(|tenant| tenant.0.to_string())
                .unwrap_or_default(),
        )?;
        let filter = query.filter(tenant)?;
        let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST);
        let rows = self.store().audit_list(&filter, limit).await?;
        Ok(rows
            .into_iter()
            .map(|row| AuditView {
                id: row.id,
                at: row.at,
                actor: row.actor,
                role: row.role,
                operation: row.operation,
                domain: row.domain,
                object: row.object,
                detail: row.detail,
            })
            .collect())
    }

    /// The same for a spreadsheet: CSV with a line of headings, 10,000 entries if nothing else is said.
    pub async fn audit_csv(&self, actor: &Actor, query: &AuditQuery) -> Result<String> {
        let query = AuditQuery {
            limit: query.limit.or(Some(MOST)),
            ..query.clone()
        };
        let entries = self.audit_list(actor, &query).await?;
        let heads = [
            "id",
            "at",
            "actor",
            "role",
            "operation",
            "domain",
            "object",
            "detail",
        ];
        let mut text = csv::line(heads);
        for entry in &entries {
            text.push_str(&csv::line([
                entry.id.to_string().as_str(),
                &entry.at.to_xep0082(),
                &entry.actor,
                &entry.role,
                &entry.operation,
                &entry.domain,
                &entry.object,
                &entry.detail,
            ]));
        }
        Ok(text)
    }

    /// A handle of the store whose changes leave this entry, each in its own transaction. The process's log hears of those
    /// that were done.
    pub(crate) fn recorded(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        operation: Operation,
        domain: &str,
        object: &str,
        detail: &str,
    ) -> Store {
        let row = self.entry(actor, operation, domain, object, detail);
        self.store().recorded(tenant, row, &actor.via)
    }

    /// The same about a domain.
    pub(crate) fn recorded_of(
        &self,
        actor: &Actor,
        row: &DomainRow,
        operation: Operation,
        detail: &str,
    ) -> Store {
        let name = row.name.as_str();
        self.recorded(actor, Some(row.tenant), operation, name, name, detail)
    }

    /// Writes down what is about to be done to a domain outside of the store.
    pub(crate) async fn announced(
        &self,
        actor: &Actor,
        row: &DomainRow,
        operation: Operation,
    ) -> Result<()> {
        let entry = self.recorded_of(actor, row, operation, "");
        Ok(entry.audit_add().await?)
    }

    /// Writes down what is about to be done outside of the store, to nothing of a customer's.
    pub(crate) async fn announced_here(
        &self,
        actor: &Actor,
        operation: Operation,
        object: &str,
    ) -> Result<()> {
        let entry = self.recorded(actor, None, operation, "", object, "");
        Ok(entry.audit_add().await?)
    }

    fn entry(
        &self,
        actor: &Actor,
        operation: Operation,
        domain: &str,
        object: &str,
        detail: &str,
    ) -> AuditRow {
        AuditRow {
            id: 0,
            at: self.now(),
            actor: match &*actor.via {
                // Whoever is at the machine may do this for somebody; the log does not say that they did it themselves.
                token::AT_THE_MACHINE => format!("cli, for {}", actor.login()),
                _ => actor.login().to_owned(),
            },
            role: actor.role.to_string(),
            operation: operation.to_string(),
            domain: domain.to_owned(),
            object: object.to_owned(),
            detail: detail.to_owned(),
        }
    }
}

impl AuditQuery {
    fn filter(&self, tenant: Option<TenantId>) -> Result<AuditFilter> {
        let domain = match self.domain.trim() {
            "" => String::new(),
            text => DomainName::parse(text)
                .map_err(|_| {
                    ControlError::invalid(
                        "domain",
                        text,
                        "this is not a domain name",
                        "Write one domain, or leave the field empty.",
                    )
                })?
                .to_string(),
        };
        Ok(AuditFilter {
            tenant,
            domain,
            operation: word("operation", &self.operation)?,
            actor: word("actor", &self.actor)?.to_lowercase(),
            since: moment("since", &self.since, 0)?,
            until: moment("until", &self.until, DAY)?,
            before: self.before,
        })
    }
}

fn word(field: &'static str, text: &str) -> Result<String> {
    let text = text.trim();
    if text.len() > WORD || text.chars().any(char::is_control) {
        return Err(ControlError::invalid(
            field,
            "",
            format!("this must be at most {WORD} characters on one line"),
            "Write it as the log shows it.",
        ));
    }
    Ok(text.to_owned())
}

/// A day, moved by so much, or a time as it is.
fn moment(field: &'static str, text: &str, day: i64) -> Result<Option<Timestamp>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let whole_day = Timestamp::parse_xep0082(&format!("{text}T00:00:00Z"));
    whole_day
        .map(|start| Timestamp(start.0.saturating_add(day)))
        .or_else(|| Timestamp::parse_xep0082(text))
        .map(Some)
        .ok_or_else(|| {
            ControlError::invalid(
                field,
                text,
                "this is not a date",
                "Write it like 2026-11-26, or 2026-11-26T08:00:00Z.",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_nonsense_is_named() {
        let at = |text: &str| Timestamp::parse_xep0082(text).expect("a time");
        let query = AuditQuery {
            since: "2026-11-25".into(),
            until: "2026-11-25".into(),
            actor: " Me@Example.ORG ".into(),
            domain: "EXAMPLE.com".into(),
            ..AuditQuery::default()
        };
        let filter = query.filter(None).expect("good");
        assert_eq!(filter.since, Some(at("2026-11-25T00:00:00Z")));
        assert_eq!(filter.until, Some(at("2026-11-26T00:00:00Z")));
        assert_eq!(
            (filter.actor.as_str(), filter.domain.as_str()),
            ("me@example.org", "example.com")
        );
        for (bad, field) in [
            (
                AuditQuery {
                    since: "yesterday".into(),
                    ..AuditQuery::default()
                },
                "since",
            ),
            (
                AuditQuery {
                    domain: "a b".into(),
                    ..AuditQuery::default()
                },
                "domain",
            ),
            (
                AuditQuery {
                    operation: "x".repeat(300),
                    ..AuditQuery::default()
                },
                "operation",
            ),
        ] {
            assert_eq!(bad.filter(None).unwrap_err().field(), Some(field));
        }
    }
}
