//! Accounts for people who have none yet, made on their stream (XEP-0077 3.1, XEP-0445).
//!
//! The machine has seen to TLS and order; here it is told what an account of the domain needs, and control makes it, with the
//! rules and the log that hold for every account. Refuses: whoever shows no invitation, but where the domain's owner has opened
//! it: there who answers the owner's question (XEP-0158), so many times an hour from one address. The same in steps: `flows.rs`.

use std::net::SocketAddr;
use std::sync::Arc;

use control::Secret;
use control::account::AccountView;
use control::error::ControlError;
use control::invite::Admitted;
use control::operator::Origin;
use control::registration::Wanted;
use modules::form::{Field, Form, Submitted};
use parking_lot::Mutex;
use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::DomainName;
use xmpp::ns;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::{Answer, Confided};

use super::client::ClientDoor;
use super::waiting::Ticket;
use crate::router::administration::not_done;

/// What somebody without an account has on their stream.
#[derive(Default)]
pub(super) struct Newcomer {
    /// The invitation that they have shown.
    pub(super) admitted: Option<Arc<Admitted>>,
    /// The page that they make an account on.
    pub(super) ticket: Option<Box<Ticket>>,
}

/// The same, of one stream.
pub(super) type Shown = Arc<Mutex<Newcomer>>;

pub(super) fn refused(condition: Condition, text: impl Into<String>) -> Box<StanzaError> {
    let mut error = StanzaError::new(condition);
    error.text = Some(text.into());
    Box::new(error)
}

pub(super) fn starting() -> Box<StanzaError> {
    refused(
        Condition::ResourceConstraint,
        "the server has only just started; try again",
    )
}

/// What whoever wanted the account is told.
pub(super) fn described(error: &ControlError) -> Box<StanzaError> {
    if matches!(error, ControlError::Internal { .. }) {
        tracing::error!(error = error.log_text(), "an account could not be made");
    }
    let not = not_done(error);
    refused(not.condition, not.text)
}

impl ClientDoor {
    /// An invitation is shown: it holds for this stream if it is good now (XEP-0445 3).
    pub(super) async fn preauth(
        self: Arc<Self>,
        domain: DomainName,
        token: Confided<String>,
        from: SocketAddr,
        shown: Shown,
    ) -> Answer {
        let admitted = self.admit(&domain, &token.0, from).await;
        Answer::Registered(admitted.map(|admitted| {
            shown.lock().admitted = Some(Arc::new(admitted));
            None
        }))
    }

    /// An invitation to the domain, if this is one that is good now.
    pub(super) async fn admit(
        &self,
        domain: &DomainName,
        token: &str,
        from: SocketAddr,
    ) -> Result<Admitted, Box<StanzaError>> {
        let control = self.router.control().ok_or_else(starting)?;
        let origin = Origin {
            address: Some(from.ip()),
            agent: String::new(),
        };
        let admitted = control
            .invite_admit(Some(domain.as_str()), token, &origin)
            .await;
        admitted.map_err(|error| match error {
            ControlError::NotSignedIn { .. } => refused(
                Condition::ItemNotFound,
                "The provided token is invalid or expired",
            ),
            error => described(&error),
        })
    }

    /// What an account by invitation needs, or the account.
    pub(super) async fn register(
        self: Arc<Self>,
        admitted: Arc<Admitted>,
        set: bool,
        query: Confided<Element>,
        shown: Shown,
    ) -> Answer {
        let Some(control) = self.router.control() else {
            return Answer::Registered(Err(starting()));
        };
        if !set {
            return Answer::Registered(Ok(Some(wanted(&admitted))));
        }
        let (username, password) = match given(&query.0) {
            Ok(given) => given,
            Err(error) => return Answer::Registered(Err(error)),
        };
        let made = control.invite_take(&admitted, &username, password).await;
        Answer::Registered(match made {
            Ok(account) => {
                shown.lock().admitted = None;
                tracing::info!(account = account.jid, "an account by invitation");
                Ok(None)
            }
            Err(error) => Err(described(&error)),
        })
    }

    /// The same for whoever is not invited.
    pub(super) async fn register_open(
        self: Arc<Self>,
        domain: DomainName,
        set: bool,
        query: Confided<Element>,
        from: SocketAddr,
    ) -> Answer {
        if set {
            let made = self.open_account(&domain, &query.0, from).await;
            return Answer::Registered(made.map(|_| None));
        }
        let question = self.question(&domain);
        Answer::Registered(question.map(|question| Some(asked(&domain, &question))))
    }

    /// What an open domain asks.
    fn question(&self, domain: &DomainName) -> Result<Arc<str>, Box<StanzaError>> {
        let hosted = self.tenancy.get(domain.as_str());
        let question = hosted.and_then(|hosted| hosted.question.clone());
        question
            .filter(|_| self.router.control().is_some())
            .ok_or_else(|| {
                refused(
                    Condition::NotAllowed,
                    "accounts of this domain are by invitation",
                )
            })
    }

    /// Makes the account that the form inside `filled` asks for, if it answers the domain's question. Every attempt counts for
    /// the address.
    pub(super) async fn open_account(
        &self,
        domain: &DomainName,
        filled: &Element,
        from: SocketAddr,
    ) -> Result<AccountView, Box<StanzaError>> {
        self.question(domain)?;
        let control = self.router.control().ok_or_else(starting)?;
        if !self.registrations.admit(from.ip(), Instant::now()) {
            self.metrics.limit("registrations_per_address_and_hour");
            return Err(refused(
                Condition::ResourceConstraint,
                format!(
                    "at most {} accounts an hour may be asked for from your address, and as many were; try again in an hour",
                    self.registrations.most()
                ),
            ));
        }
        let wanted = filled_in(domain, filled)?;
        let made = control.account_register(domain, wanted).await;
        let account = made.map_err(|error| described(&error))?;
        tracing::info!(account = account.jid, %from, "an account by its owner's own hand");
        Ok(account)
    }
}

/// Variable of the answer to a question in plain text (XEP-0158 3.3).
pub(super) const ANSWER: &str = "qa";

/// The form of an open domain (XEP-0158 4); clients that know no forms are told in words.
fn asked(domain: &DomainName, question: &str) -> Element {
    let said = format!("An account at {domain}. Answer the question: {question}");
    let field = |var: &str, kind: &str, label: &str| Field::new(var, kind).label(label).required();
    let form = Form::asking(ns::REGISTER)
        .instructions(&said)
        .field(field("username", "text-single", "Name"))
        .field(field("password", "text-private", "Password"))
        .field(field(ANSWER, "text-single", question));
    Element::new("query", ns::REGISTER)
        .child(Element::new("instructions", ns::REGISTER).text(&said))
        .child(form.into_element())
}

/// The form, filled in.
fn filled_in(domain: &DomainName, query: &Element) -> Result<Wanted, Box<StanzaError>> {
    let form = Submitted::within(query).filter(|form| !form.is_cancelled());
    let form = form.ok_or_else(|| {
        refused(
            Condition::NotAcceptable,
            "this domain asks a question; use an app that shows it, or ask for an invitation",
        )
    })?;
    let text = |var| form.text(var).ok().flatten().map(str::to_owned);
    match (text("username"), text("password")) {
        (Some(username), Some(password)) if !username.is_empty() => Ok(Wanted {
            local: localpart(&username, domain).to_owned(),
            password: Secret::from(password.as_str()),
            answer: text(ANSWER).unwrap_or_default(),
        }),
        _ => Err(refused(
            Condition::NotAcceptable,
            "an account needs username and password",
        )),
    }
}

/// The fields that must be filled in (XEP-0077 3.1); a name that is kept stands there already (XEP-0445 2.1).
fn wanted(admitted: &Admitted) -> Element {
    let invited = &admitted.invited;
    let mut username = Element::new("username", ns::REGISTER);
    if let Some(local) = &invited.local {
        username = username.text(local);
    }
    let said = match &invited.contact {
        Some(contact) => format!("{contact} invites you to {}", invited.domain),
        None => format!("You are invited to {}", invited.domain),
    };
    Element::new("query", ns::REGISTER)
        .child(Element::new("instructions", ns::REGISTER).text(&said))
        .child(username)
        .child(Element::new("password", ns::REGISTER))
}

/// Name and password, as filled in.
fn given(query: &Element) -> Result<(String, Secret), Box<StanzaError>> {
    if query.find("remove", ns::REGISTER).is_some() {
        return Err(refused(
            Condition::UnexpectedRequest,
            "sign in to remove an account",
        ));
    }
    let text = |name| query.find(name, ns::REGISTER).map(Element::text_content);
    match (text("username"), text("password")) {
        (Some(username), Some(password)) if !username.is_empty() => {
            Ok((username, Secret::from(password.as_str())))
        }
        _ => Err(refused(
            Condition::NotAcceptable,
            "an account needs username and password",
        )),
    }
}

/// People write their whole address; what is before the @ is meant, where the rest is the domain.
pub(super) fn localpart<'a>(username: &'a str, domain: &DomainName) -> &'a str {
    match username.split_once('@') {
        Some((local, rest)) if DomainName::parse(rest).as_ref() == Ok(domain) => local,
        _ => username,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_33_the_domain_s_own_name_may_stand_behind_a_new_one() {
        let domain = DomainName::parse("one.example").expect("a name");
        assert_eq!(localpart("nurse", &domain), "nurse");
        assert_eq!(localpart("nurse@one.example", &domain), "nurse");
        assert_eq!(localpart("nurse@ONE.example", &domain), "nurse");
        // Which no account can have: it is said to be wrong.
        assert_eq!(localpart("nurse@two.example", &domain), "nurse@two.example");
    }
}
