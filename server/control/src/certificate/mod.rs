//! Certificates: what may be uploaded, when one is renewed, what stands before an order.
//!
//! A chain and key are checked before they are used ([`inspect`]); a renewal keeps its key (ACME-12) and starts when the
//! authority says, or at two thirds of the lifetime, whatever that is ([`renewal`]); orders stand in a queue, and a plan lets
//! them go within the authority's limits ([`plan`], [`queue`]); after a failure the pauses double.

mod desk;
mod inspect;
mod order;
pub mod plan;
mod preflight;
pub mod queue;
mod renewal;
mod revoke;

use serde::{Deserialize, Serialize};
use store::{CertificateRow, DomainRow, Identity, Store};
use xmpp::timestamp::Timestamp;

pub use self::inspect::{Inspected, inspect, read};
pub(crate) use self::inspect::{der_of, hex_colons, pem};
pub(crate) use self::order::spread;
pub use self::plan::{AuthorityLimits, Priority, Quota, Why, renew_at};
pub use self::queue::{AuthorityView, BlockedName, CertificatePlan, OrderView, Used};
use self::renewal::Renewal;
pub use self::revoke::Revoked;

use crate::domain::{Choices, Memory, State, state_of};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::outside::Change;
use crate::permission::Operation;
use crate::records::Mode;
use crate::secret::Secret;
use crate::tenant::to_json;
use crate::time::DAY;
use crate::{Actor, Control, rate};

/// A certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateView {
    /// Id.
    pub id: i64,
    /// Names in it.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Valid from.
    #[serde(serialize_with = "crate::time::at")]
    pub not_before: Timestamp,
    /// Valid until.
    #[serde(serialize_with = "crate::time::at")]
    pub not_after: Timestamp,
    /// Renewal is planned for; `None` for uploaded ones.
    #[serde(serialize_with = "crate::time::maybe")]
    pub renew_at: Option<Timestamp>,
    /// The window that the authority suggests (ARI), if it does.
    pub renewal: Option<RenewalView>,
    /// Whole days left.
    pub days_left: i64,
    /// `acme`, `uploaded`, or `own`: made by us, for a host of ours and no domain.
    pub source: String,
    /// `current`, `next`, `retired`.
    pub state: String,
    /// SHA-256 of the certificate, hex with colons.
    pub fingerprint: String,
    /// The key has been in use since.
    #[serde(serialize_with = "crate::time::at")]
    pub key_since: Timestamp,
}

/// What the authority says about a renewal (RFC 9773).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenewalView {
    /// Start of its window.
    #[serde(serialize_with = "crate::time::at")]
    pub start: Timestamp,
    /// End of its window.
    #[serde(serialize_with = "crate::time::at")]
    pub end: Timestamp,
    /// A page that says why.
    pub explanation: Option<String>,
}

/// An upload.
#[derive(Debug, Clone, Deserialize)]
pub struct CertificateUpload {
    /// Leaf first, then intermediates; PEM.
    pub chain_pem: String,
    /// Private key; PKCS#8, PKCS#1 or SEC1 PEM, not encrypted.
    pub key_pem: Secret,
}

/// `source` of a certificate that was ordered.
const ORDERED: &str = "acme";
/// … that was uploaded.
const UPLOADED: &str = "uploaded";

impl Control {
    /// Certificates of a domain, the current one first.
    pub async fn certificate_list(
        &self,
        actor: &Actor,
        domain: &str,
    ) -> Result<Vec<CertificateView>> {
        let row = self
            .domain_row(actor, Operation::CertificateList, domain)
            .await?;
        let rows = self.domain_store(&row).certificate_list().await?;
        let mut views: Vec<_> = rows
            .iter()
            .filter_map(|held| self.view(&row, held))
            .collect();
        views.sort_by(|a, b| {
            (a.state != "current")
                .cmp(&(b.state != "current"))
                .then_with(|| b.id.cmp(&a.id))
        });
        Ok(views)
    }

    /// Takes chain and key, checks them, uses them at once; where TLSA records or POSH documents tell peers what to expect, as
    /// soon as all of them may know it.
    pub async fn certificate_upload(
        &self,
        actor: &Actor,
        domain: &str,
        upload: CertificateUpload,
    ) -> Result<CertificateView> {
        let row = self
            .domain_row(actor, Operation::CertificateUpload, domain)
            .await?;
        if row.verified_at.is_none() || matches!(state_of(&row), State::Claimed | State::Releasing)
        {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: row.state.clone(),
                problem: "a certificate can be used once the domain is shown to be yours".into(),
                remedy: "Publish the TXT record first.".into(),
            });
        }
        let inspected = inspect(&upload.chain_pem, &upload.key_pem, &row.name, self.now())?;
        let ahead = self.is_awaited(&row).await?;
        let recorded = self.recorded_of(
            actor,
            &row,
            Operation::CertificateUpload,
            &inspected.fingerprint,
        );
        self.install(&recorded, &row, &inspected, UPLOADED, ahead)
            .await?;
        self.soon(&row).await?;
        let state = if ahead { "next" } else { "current" };
        self.certificate_in(&row, state)
            .await?
            .ok_or_else(|| ControlError::internal("the uploaded certificate is not there"))
    }

    /// Are there peers that have been told what the certificate in use is, and must be told of another one first?
    pub(crate) async fn is_awaited(&self, row: &DomainRow) -> Result<bool> {
        let watched = Memory::of(row).rollover.is_watched();
        Ok(watched && self.current(row).await?.is_some())
    }

    /// Has the worker order a certificate now (after the same pre-flight as ever); returns before it has.
    pub async fn certificate_order(&self, actor: &Actor, domain: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::CertificateOrder, domain)
            .await?;
        if !Mode::parse(&row.mode).is_some_and(Mode::orders) {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: format!("set to \"{}\"", row.mode),
                problem: "we order none for it".into(),
                remedy: "Change the way it is verified first, or upload one.".into(),
            });
        }
        self.gate
            .attempt(rate::ORDER, row.name.as_str(), self.now())?;
        let wanted = self.now().0;
        let recorded = self.recorded_of(actor, &row, Operation::CertificateOrder, "");
        self.domain_edit_in(&recorded, row.id, |fresh| {
            fresh.settings = to_json(&Choices {
                order_wanted: wanted,
                ..Choices::of(fresh)
            });
        })
        .await?;
        self.soon(&row).await
    }

    /// The certificate in use.
    pub(crate) async fn current_certificate(
        &self,
        row: &DomainRow,
    ) -> Result<Option<CertificateView>> {
        self.certificate_in(row, "current").await
    }

    async fn certificate_in(
        &self,
        row: &DomainRow,
        state: &str,
    ) -> Result<Option<CertificateView>> {
        let rows = self.domain_store(row).certificate_list().await?;
        Ok(rows
            .iter()
            .find(|held| held.state == state)
            .and_then(|held| self.view(row, held)))
    }

    async fn current(&self, row: &DomainRow) -> Result<Option<CertificateRow>> {
        Ok(self.domain_store(row).certificate_current().await?)
    }

    fn view(&self, row: &DomainRow, held: &CertificateRow) -> Option<CertificateView> {
        let inspected = read(&held.chain_pem, &row.name)?;
        let facts = inspected.facts;
        let ordered = held.source != UPLOADED;
        let renewal = Renewal::of(held);
        let renew_at = ordered.then(|| renewal.at(&facts, spread(row)));
        Some(CertificateView {
            id: held.id,
            names: facts.names,
            issuer: inspected.issuer,
            not_before: facts.not_before,
            not_after: facts.not_after,
            renew_at,
            renewal: renewal
                .window
                .filter(|_| ordered)
                .map(|window| RenewalView {
                    start: Timestamp(window.start),
                    end: Timestamp(window.end),
                    explanation: window.explanation,
                }),
            days_left: (facts.not_after.0 - self.now().0).div_euclid(DAY),
            source: held.source.clone(),
            state: held.state.clone(),
            fingerprint: inspected.fingerprint,
            key_since: held.key_since,
        })
    }

    /// Puts a checked certificate into use; the former one is kept as retired. With `ahead` it is kept for later instead, until
    /// every peer may know it ([`crate::rollover`]).
    pub(crate) async fn install(
        &self,
        recorded: &Store,
        row: &DomainRow,
        inspected: &Inspected,
        source: &str,
        ahead: bool,
    ) -> Result<()> {
        let identity = Identity {
            chain_pem: inspected.chain_pem.clone(),
            key_pem: inspected.key_pem.expose().to_owned().into(),
        };
        recorded
            .domain(row.id, &row.name)
            .certificate_add(
                &identity,
                inspected.facts.not_after,
                source,
                if ahead { "next" } else { "current" },
                self.now(),
            )
            .await?;
        if !ahead {
            // Whatever was made ahead was made for another beginning.
            self.domain_store(row).certificate_discard_next().await?;
        }
        self.parts
            .live
            .announce(Change::Certificate(row.name.clone()));
        self.tell(row, EventKind::Certificate);
        Ok(())
    }
}
