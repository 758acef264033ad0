//! Who wants the nightly mail: a choice of one's own, in the panel or by the link that each mail carries (RFC 8058).
//!
//! The link works without a login, since whoever has had enough must not be asked for a password. It refuses to act when it is
//! only looked at: programs that check mail for viruses open every link in it.

use serde::Serialize;
use store::{OperatorId, OperatorRow};

use super::gets_mail;
use crate::error::{ControlError, Result};
use crate::operator::{Origin, actor_of};
use crate::permission::Operation;
use crate::{Actor, Control, rate};

/// Path of the page that ends somebody's mail, before what stands for them.
pub const UNSUBSCRIBE_PATH: &str = "/unsubscribe/";

/// One's own mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MailView {
    /// Does one want what has changed for one's domains, at most once a night?
    pub nightly: bool,
    /// Is it written at all: has the service a relay, and does one's role answer for domains?
    pub written: bool,
}

/// Whom a link is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// E-mail address.
    pub login: String,
    /// Are they still written to?
    pub nightly: bool,
}

impl Control {
    /// The actor's own mail.
    pub async fn mail_show(&self, actor: &Actor) -> Result<MailView> {
        let operator = self.own(actor, Operation::MailShow)?;
        let nightly = self.store().mail_wanted(operator).await?;
        Ok(MailView {
            nightly: nightly.unwrap_or_default(),
            written: self.parts.mail.is_some() && gets_mail(actor.role.as_str()),
        })
    }

    /// Whether the actor is written to from now on.
    pub async fn mail_set(&self, actor: &Actor, nightly: bool) -> Result<MailView> {
        let operator = self.own(actor, Operation::MailSet)?;
        self.mail_wish(actor, operator, nightly).await?;
        self.mail_show(actor).await
    }

    async fn mail_wish(&self, actor: &Actor, operator: OperatorId, nightly: bool) -> Result<()> {
        let said = if nightly {
            "nightly: yes"
        } else {
            "nightly: no"
        };
        let recorded = self.recorded_own(actor, Operation::MailSet, said);
        recorded.mail_want(operator, nightly).await?;
        Ok(())
    }

    /// Address that ends a person's mail; `None` where there is no panel to lead to.
    pub(super) fn unsubscribe_link(
        &self,
        operator: OperatorId,
        panel: &str,
    ) -> Result<Option<String>> {
        if panel.is_empty() {
            return Ok(None);
        }
        let link = self.store().mail_link(operator)?;
        let panel = panel.trim_end_matches('/');
        Ok(Some(format!("{panel}{UNSUBSCRIBE_PATH}{link}")))
    }

    /// Whom the link is about; changes nothing.
    ///
    /// # Errors
    /// [`ControlError::NotSignedIn`] when it was not made here or its person is gone, [`ControlError::TooMany`] when the address
    /// has shown too many such.
    pub async fn unsubscribe_show(&self, link: &str, origin: &Origin) -> Result<Subscriber> {
        let (row, nightly) = self.subscriber(link, origin).await?;
        Ok(Subscriber {
            login: row.login,
            nightly,
        })
    }

    /// Whoever the link is about is not written to any more. Doing it again does no harm.
    ///
    /// # Errors
    /// As [`Control::unsubscribe_show`].
    pub async fn unsubscribe(&self, link: &str, origin: &Origin) -> Result<Subscriber> {
        let (row, _) = self.subscriber(link, origin).await?;
        let actor = actor_of(&row, "mail").ok_or(ControlError::LoginRefused)?;
        self.mail_wish(&actor, row.id, false).await?;
        Ok(Subscriber {
            login: row.login,
            nightly: false,
        })
    }

    async fn subscriber(&self, link: &str, origin: &Origin) -> Result<(OperatorRow, bool)> {
        if let Some(operator) = self.store().mail_link_open(link)
            && let Some(row) = self.store().operator_get(operator).await?
            && let Some(nightly) = self.store().mail_wanted(operator).await?
        {
            return Ok((row, nightly));
        }
        // Only wrong ones are counted: a mail service ends the mail of many people from one address.
        self.gate_from(rate::UNSUBSCRIBE, origin)?;
        Err(ControlError::NotSignedIn { what: "this link" })
    }
}
