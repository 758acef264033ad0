//! Control's side of one order: where challenges are shown, and what must survive a crash.

use async_trait::async_trait;
use store::{DomainRow, OrderRow};
use xmpp::jid::DomainName;

use crate::Control;
use crate::error::ControlError;
use crate::outside::{ChallengeSolver, IssueError, PendingOrder, Response, ZoneChange, ZoneValue};

/// Control's side of one order, bound to one domain (ACME-08).
pub(super) struct Desk<'a> {
    pub(super) control: &'a Control,
    pub(super) row: &'a DomainRow,
    /// Name of the challenge TXT in the platform's zone.
    pub(super) challenge: String,
    pub(super) names: Vec<DomainName>,
}

/// TTL of challenge records.
const CHALLENGE_TTL_SECONDS: u32 = 60;

#[async_trait]
impl ChallengeSolver for Desk<'_> {
    async fn present(
        &self,
        name: &DomainName,
        response: &Response,
    ) -> std::result::Result<(), IssueError> {
        if !self.names.contains(name) {
            return Err(IssueError::Challenge(format!(
                "{name} is not a name of this order"
            )));
        }
        let published = match response {
            Response::Dns { value } => self
                .control
                .parts
                .zone
                .apply(&[ZoneChange::Add {
                    name: self.challenge.clone(),
                    ttl_seconds: CHALLENGE_TTL_SECONDS,
                    value: ZoneValue::Txt(value.clone()),
                }])
                .await
                .map_err(ControlError::from),
            Response::Http {
                token,
                key_authorization,
            } => self
                .control
                .domain_store(self.row)
                .answer_put(
                    &name.to_ascii(),
                    token,
                    key_authorization,
                    self.control.now(),
                )
                .await
                .map_err(ControlError::from),
        };
        published.map_err(|error| {
            tracing::warn!(domain = %self.row.name, error = %error.log_text(), "a challenge could not be published");
            IssueError::Challenge("it could not be shown on our side".into())
        })
    }

    async fn withdraw(&self, name: &DomainName, response: &Response) {
        let gone = match response {
            Response::Dns { value } => self
                .control
                .parts
                .zone
                .apply(&[ZoneChange::Remove {
                    name: self.challenge.clone(),
                    value: ZoneValue::Txt(value.clone()),
                }])
                .await
                .map_err(ControlError::from),
            Response::Http { token, .. } => self
                .control
                .domain_store(self.row)
                .answer_remove(&name.to_ascii(), token)
                .await
                .map_err(ControlError::from),
        };
        if let Err(error) = gone {
            tracing::warn!(domain = %self.row.name, error = %error.log_text(), "a challenge is left over");
        }
    }

    async fn remember(&self, order: PendingOrder) -> std::result::Result<(), IssueError> {
        let store = self.control.domain_store(self.row);
        let order = OrderRow {
            url: order.url,
            key_pem: order.key_pem.expose().to_owned().into(),
            csr: order.csr_der,
            authority: order.authority,
        };
        store.order_set(&order).await.map_err(|error| {
            tracing::error!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "an order could not be remembered");
            IssueError::Unavailable("the order could not be remembered".into())
        })
    }
}
