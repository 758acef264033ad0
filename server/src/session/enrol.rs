//! Accounts for people who have none yet, made on their stream (XEP-0077 3.1, XEP-0445).
//!
//! The machine has seen to TLS and order; here it is told what an account of the domain needs, and control makes it, with the
//! rules and the log that hold for every account. Refuses: whoever shows no invitation, but where the domain's owner has opened
//! it: there who answers the owner's question (XEP-0158), so many times an hour from one address.

use std::net::SocketAddr;
use std::sync::Arc;

use control::Secret;
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
use crate::router::administration::not_done;

/// The invitation that a stream has shown.
pub(super) type Shown = Arc<Mutex<Option<Arc<Admitted>>>>;

fn refused(condition: Condition, text: impl Into<String>) -> Box<StanzaError> {
    let mut error = StanzaError::new(condition);
    error.text = Some(text.into());
    Box::new(error)
}

fn starting() -> Box<StanzaError> {
    refused(
        Condition::ResourceConstraint,
        "the server has only just started; try again",
    )
}

fn failed(error: &ControlError) -> Box<StanzaError> {
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
        let Some(control) = self.router.control() else {
            return Answer::Registered(Err(starting()));
        };
        let origin = Origin {
            address: Some(from.ip()),
            agent: String::new(),
        };
        let admitted = control
            .invite_admit(Some(domain.as_str()), &token.0, &origin)
            .await;
        Answer::Registered(match admitted {
            Ok(admitted) => {
                *shown.lock() = Some(Arc::new(admitted));
                Ok(None)
            }
            Err(ControlError::NotSignedIn { .. }) => Err(refused(
                Condition::ItemNotFound,
                "The provided token is invalid or expired",
            )),
            Err(error) => Err(failed(&error)),
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
                *shown.lock() = None;
                tracing::info!(account = account.jid, "an account by invitation");
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
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
        let hosted = self.tenancy.get(domain.as_str());
        let question = hosted.and_then(|hosted| hosted.question.clone());
        let (Some(question), Some(control)) = (question, self.router.control()) else {
            return Answer::Registered(Err(refused(
                Condition::NotAllowed,
                "accounts of this domain are by invitation",
            )));
        };
        if !set {
            return Answer::Registered(Ok(Some(asked(&domain, &question))));
        }
        if !self.registrations.admit(from.ip(), Instant::now()) {
            self.metrics.limit("registrations_per_address_and_hour");
            return Answer::Registered(Err(refused(
                Condition::ResourceConstraint,
                format!(
                    "at most {} accounts an hour may be asked for from your address, and as many were; try again in an hour",
                    self.registrations.most()
                ),
            )));
        }
        let wanted = match filled_in(&query.0) {
            Ok(wanted) => wanted,
            Err(error) => return Answer::Registered(Err(error)),
        };
        let made = control.account_register(&domain, wanted).await;
        Answer::Registered(match made {
            Ok(account) => {
                tracing::info!(account = account.jid, %from, "an account by its owner's own hand");
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
        })
    }
}

/// Variable of the answer to a question in plain text (XEP-0158 3.3).
const ANSWER: &str = "qa";

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
fn filled_in(query: &Element) -> Result<Wanted, Box<StanzaError>> {
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
            local: username,
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
