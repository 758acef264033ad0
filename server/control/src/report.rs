//! What a domain's people report to its owner (XEP-0377): whom, what for, and in their own words.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::permission::Operation;
use crate::{Actor, Control};

/// A report.
#[derive(Debug, Clone, Serialize)]
pub struct ReportView {
    /// Grows with time.
    pub id: i64,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Who reports.
    pub account: String,
    /// Who is reported.
    pub jid: String,
    /// `spam` or `abuse`.
    pub reason: String,
    /// What the person says; may be empty.
    pub text: String,
    /// Ids of the messages that are meant, in the person's archive.
    pub messages: Vec<String>,
}

/// Reports of a page.
const PAGE: u32 = 100;

impl Control {
    /// Reports of a domain's people, newest first; `before` goes on from a page's last.
    pub async fn report_list(
        &self,
        actor: &Actor,
        domain: &str,
        before: Option<i64>,
    ) -> Result<Vec<ReportView>> {
        let row = self
            .domain_row(actor, Operation::ReportList, domain)
            .await?;
        let store = self.domain_store(&row);
        let found = store.report_list(before.unwrap_or(i64::MAX), PAGE).await?;
        let view = |report: store::ReportRow| ReportView {
            id: report.id,
            at: report.at,
            account: report.account,
            jid: report.jid,
            reason: report.reason,
            text: report.text,
            messages: report.ids,
        };
        Ok(found.into_iter().map(view).collect())
    }
}
