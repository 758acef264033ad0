//! What the admins of a domain have done over XMPP (XEP-0133), and its accounts for themselves: by control, with its rules and its log.
//!
//! Refuses: whatever is not of the domain whose admin asks; the module has seen that they are one.

use control::Control;
use control::account::AccountNew;
use control::error::ControlError;
use control::invite::{InviteAsk, InviteNew};
use control::own_export::OwnExportLink;
use modules::administration::{NotDone, Work};
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza};
use xmpp::stream::{StreamCondition, StreamError};

use super::Router;

impl Router {
    pub(super) async fn administered(
        &self,
        domain: &DomainName,
        by: &BareJid,
        work: Work,
    ) -> Result<Vec<String>, NotDone> {
        match work {
            Work::End(local) => {
                self.end_sessions(domain, by, &local);
                Ok(Vec::new())
            }
            Work::Online(most) => {
                let sessions = self.of_domain(domain).into_iter();
                let jids = sessions.map(|session| session.jid.to_string());
                Ok(jids.take(most as usize).collect())
            }
            Work::Announce { subject, body } => {
                self.announce(domain, by, &subject, &body);
                Ok(Vec::new())
            }
            work => {
                let control = self.control.get().ok_or(NotDone {
                    condition: Condition::ServiceUnavailable,
                    text: "the server has only just started; try again".into(),
                })?;
                let done = match work {
                    Work::Invite => {
                        let hosted = self.tenancy.get(domain.as_str());
                        let admin = hosted.is_some_and(|of| of.hosted.settings.admins.contains(by));
                        let made = control.invite_by_account(by, admin).await;
                        made.map(invitation)
                    }
                    Work::ExportOwn => control.own_export_link(by).await.map(own_export),
                    work => by_control(control, domain, by, work).await,
                };
                done.map_err(|error| not_done(&error))
            }
        }
    }

    fn end_sessions(&self, domain: &DomainName, by: &BareJid, local: &str) {
        let Ok(account) = BareJid::new(Some(local), domain) else {
            return;
        };
        tracing::info!(%account, %by, "an admin ends the sessions of an account");
        let error = StreamError::new(StreamCondition::PolicyViolation)
            .with_text("an admin of your domain has ended this session");
        let of = |session: &crate::session::Session| session.jid.bare_str() == account.as_str();
        for session in self.sessions.matching(of) {
            self.close_session(&session, error.clone());
        }
    }

    fn announce(&self, domain: &DomainName, by: &BareJid, subject: &str, body: &str) {
        let sessions = self.of_domain(domain);
        tracing::info!(%domain, %by, sessions = sessions.len(), "an admin announces something");
        for session in sessions {
            let mut message = Element::new("message", ns::CLIENT)
                .attr("type", "headline")
                .attr("from", domain.as_str())
                .attr("to", session.jid.as_str());
            if !subject.is_empty() {
                message.push(Element::new("subject", ns::CLIENT).text(subject));
            }
            message.push(Element::new("body", ns::CLIENT).text(body));
            if let Ok(message) = Stanza::from_element(&message) {
                self.hand(&session, &message);
            }
        }
    }
}

async fn by_control(
    control: &Control,
    domain: &DomainName,
    by: &BareJid,
    work: Work,
) -> Result<Vec<String>, ControlError> {
    let actor = &control.domain_admin(domain, by.as_str()).await?;
    let name = domain.as_str();
    match work {
        Work::Add { local, password } => {
            let new = AccountNew {
                local,
                password: Some(password.as_str().into()),
            };
            control.account_add(actor, name, new).await?;
        }
        Work::Remove(local) => control.account_remove(actor, name, &local).await?,
        Work::Suspend(local) => drop(control.account_suspend(actor, name, &local).await?),
        Work::Resume(local) => drop(control.account_resume(actor, name, &local).await?),
        Work::SetPassword { local, password } => {
            let password = Some(password.as_str());
            control
                .account_set_password(actor, name, &local, password)
                .await?;
        }
        Work::Registered(most) => {
            let page = control
                .account_list(actor, name, None, most as usize)
                .await?;
            let jid = |local: &str| BareJid::new(Some(local), domain).ok();
            let jids = page.accounts.iter().filter_map(|view| jid(&view.local));
            return Ok(jids.map(|jid| Jid::from(jid).to_string()).collect());
        }
        Work::InviteAccount { local, contact } => {
            let contact = contact.then(|| by.local().unwrap_or_default().to_owned());
            let ask = InviteAsk {
                local,
                contact,
                ..InviteAsk::default()
            };
            return Ok(invitation(control.invite_add(actor, name, ask).await?));
        }
        Work::Invite | Work::ExportOwn | Work::End(_) | Work::Online(_) | Work::Announce { .. } => {
        }
    }
    Ok(Vec::new())
}

/// Lines of the answer: address, end.
fn own_export(made: OwnExportLink) -> Vec<String> {
    vec![made.link, made.expires.to_xep0082()]
}

/// As the answer to the command has it (XEP-0401 4.1).
fn invitation(made: InviteNew) -> Vec<String> {
    vec![made.uri, made.link, made.view.expires.to_xep0082()]
}

/// What a client is told of a refusal.
pub(crate) fn not_done(error: &ControlError) -> NotDone {
    let condition = match error {
        ControlError::NotFound { .. } => Condition::ItemNotFound,
        ControlError::Exists { .. } => Condition::Conflict,
        ControlError::Invalid { .. } => Condition::NotAcceptable,
        ControlError::Limit { .. }
        | ControlError::Unavailable { .. }
        | ControlError::TooMany { .. } => Condition::ResourceConstraint,
        ControlError::Internal { .. } => Condition::InternalServerError,
        _ => Condition::NotAllowed,
    };
    NotDone {
        condition,
        text: format!("{error}. {}", error.remedy()),
    }
}
