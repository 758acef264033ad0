//! Accounts made step by step on a client's stream (XEP-0389): which flows a domain offers, what each asks, and what is made of
//! the responses.
//!
//! By invitation, by the domain's question, or on the page that asks the same question in a browser: the rules, limits and log are
//! those of `enrol.rs`. What is refused is asked again, with the reason and what to do about it above the form, for as long as
//! there is something to do. Refuses: flows of a domain that has been closed since they were offered.

use std::net::SocketAddr;
use std::sync::Arc;

use control::Secret;
use control::invite::{Admitted, INVITE_PATH};
use modules::form::{Field, Form, Submitted};
use xmpp::element::Element;
use xmpp::jid::DomainName;
use xmpp::ns;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::Answer;
use xmpp::stream::flow::{Flow, Kind, Outcome, Step};

use super::client::ClientDoor;
use super::enrol::{ANSWER, Shown, described, localpart, refused, starting};
use crate::tenancy::Domain;

const INVITATION: Flow = Flow {
    id: "invitation",
    name: "With an invitation",
    challenges: &[Kind::Form],
};
const QUESTION: Flow = Flow {
    id: "question",
    name: "By answering a question",
    challenges: &[Kind::Form],
};
const PAGE: Flow = Flow {
    id: "page",
    name: "On a web page",
    challenges: &[Kind::Elsewhere],
};

static INVITED: [Flow; 1] = [INVITATION];
static OPEN: [Flow; 3] = [QUESTION, PAGE, INVITATION];

/// Variable of an invitation's token.
const TOKEN: &str = "token";

/// What a domain offers now.
pub(super) fn offered(domain: &Domain) -> &'static [Flow] {
    match (domain.flows, &domain.question) {
        (false, _) => &[],
        (true, None) => &INVITED,
        (true, Some(_)) => &OPEN,
    }
}

/// What went wrong, and what had been filled in.
#[derive(Default)]
struct Again {
    problem: Option<String>,
    username: Option<String>,
}

impl Again {
    fn after(error: &StanzaError, form: &Submitted) -> Self {
        Self {
            problem: error.text.clone(),
            username: text(form, "username"),
        }
    }
}

impl ClientDoor {
    /// One step of a flow.
    pub(super) async fn flow(
        self: Arc<Self>,
        domain: DomainName,
        flow: &'static Flow,
        step: Step,
        from: SocketAddr,
        shown: Shown,
    ) -> Answer {
        let hosted = self.tenancy.get(domain.as_str());
        let hosted = hosted.filter(|hosted| offered(hosted).contains(flow));
        let Some(hosted) = hosted else {
            return Answer::Flow(Outcome::Cancel);
        };
        let question = hosted.question.clone().unwrap_or_default();
        Answer::Flow(match flow.id {
            id if id == QUESTION.id => self.by_question(&domain, &question, step, from).await,
            id if id == PAGE.id => self.on_page(&domain, &step, &shown),
            _ => self.by_invitation(&domain, step, from, &shown).await,
        })
    }

    async fn by_question(
        &self,
        domain: &DomainName,
        question: &str,
        step: Step,
        from: SocketAddr,
    ) -> Outcome {
        let Step::Response(response) = step else {
            return asks(question_form(domain, question, Again::default()));
        };
        match self.open_account(domain, &response.0, from).await {
            Ok(_) => Outcome::Success,
            Err(error) => {
                let again = Again::after(&error, &filled_in(&response.0));
                asks(question_form(domain, question, again))
            }
        }
    }

    fn on_page(&self, domain: &DomainName, step: &Step, shown: &Shown) -> Outcome {
        let Some(control) = self.router.control() else {
            return Outcome::Cancel;
        };
        let mut newcomer = shown.lock();
        let ticket = match (step, newcomer.ticket.take()) {
            (Step::Response(_), Some(ticket)) if ticket.is_done() => return Outcome::Success,
            (Step::Response(_), Some(ticket)) => ticket,
            _ => Box::new(self.waiting.begin(domain.clone())),
        };
        let url = control.registration_address(domain, ticket.name());
        newcomer.ticket = Some(ticket);
        let said = format!("Make the account at {domain} on this page, and then come back.");
        let page = Element::new("x", Kind::Elsewhere.as_str())
            .child(Element::new("url", Kind::Elsewhere.as_str()).text(&url))
            .child(Element::new("desc", Kind::Elsewhere.as_str()).text(&said));
        Outcome::Challenge(Kind::Elsewhere, page)
    }

    async fn by_invitation(
        &self,
        domain: &DomainName,
        step: Step,
        from: SocketAddr,
        shown: &Shown,
    ) -> Outcome {
        let admitted = shown.lock().admitted.clone();
        let (response, admitted) = match (step, admitted) {
            (Step::Begin, None) => return asks(token_form(domain, None)),
            (Step::Begin, Some(admitted)) => {
                return asks(invited_form(&admitted, Again::default()));
            }
            (Step::Response(response), admitted) => (filled_in(&response.0), admitted),
        };
        let Some(admitted) = admitted else {
            let token = text(&response, TOKEN).unwrap_or_default();
            return match self.admit(domain, token_of(&token), from).await {
                Ok(admitted) => {
                    let admitted = Arc::new(admitted);
                    shown.lock().admitted = Some(admitted.clone());
                    asks(invited_form(&admitted, Again::default()))
                }
                Err(error) => asks(token_form(domain, error.text.clone())),
            };
        };
        let Some(control) = self.router.control() else {
            return asks(invited_form(
                &admitted,
                Again::after(&starting(), &response),
            ));
        };
        let (Some(username), Some(password)) = (
            text(&response, "username").filter(|username| !username.is_empty()),
            text(&response, "password"),
        ) else {
            let lacks = refused(
                Condition::NotAcceptable,
                "An account needs a name and a password.",
            );
            return asks(invited_form(&admitted, Again::after(&lacks, &response)));
        };
        let local = localpart(&username, domain);
        let made = control
            .invite_take(&admitted, local, Secret::from(password.as_str()))
            .await;
        match made {
            Ok(account) => {
                shown.lock().admitted = None;
                tracing::info!(account = account.jid, %from, "an account by invitation");
                Outcome::Success
            }
            // Somebody was faster with it, or it was taken back: another one may do.
            Err(error @ control::ControlError::NotSignedIn { .. }) => {
                shown.lock().admitted = None;
                asks(token_form(domain, described(&error).text))
            }
            Err(error) => asks(invited_form(
                &admitted,
                Again::after(&described(&error), &response),
            )),
        }
    }
}

fn asks(form: Form) -> Outcome {
    Outcome::Challenge(Kind::Form, form.into_element())
}

fn filled_in(response: &Element) -> Submitted {
    Submitted::within(response).unwrap_or_else(Submitted::empty)
}

/// What a field says; one that says several things says nothing.
fn text(form: &Submitted, var: &str) -> Option<String> {
    form.text(var).ok().flatten().map(str::to_owned)
}

fn form_of(domain: &DomainName, said: &str, problem: Option<String>) -> Form {
    let form = Form::asking(ns::IBR2).title(&format!("An account at {domain}"));
    match problem {
        Some(problem) => form.instructions(&problem),
        None => form,
    }
    .instructions(said)
}

fn field(var: &str, kind: &str, label: &str) -> Field {
    Field::new(var, kind).label(label).required()
}

fn credentials(form: Form, domain: &DomainName, username: Option<String>) -> Form {
    let name = field(
        "username",
        "text-single",
        &format!("Name, before @{domain}"),
    );
    form.field(match username {
        Some(username) => name.value(&username),
        None => name,
    })
    .field(field("password", "text-private", "Password"))
}

fn question_form(domain: &DomainName, question: &str, again: Again) -> Form {
    let said = format!("Choose a name and a password, and answer the question that {domain} asks.");
    let form = form_of(domain, &said, again.problem);
    credentials(form, domain, again.username).field(field(ANSWER, "text-single", question))
}

fn token_form(domain: &DomainName, problem: Option<String>) -> Form {
    let said = format!("Somebody at {domain} has to invite you. Enter the link that you have got.");
    form_of(domain, &said, problem).field(field(TOKEN, "text-single", "Invitation"))
}

fn invited_form(admitted: &Admitted, again: Again) -> Form {
    let invited = &admitted.invited;
    let said = match &invited.contact {
        Some(contact) => format!("{contact} invites you to {}.", invited.domain),
        None => format!("You are invited to {}.", invited.domain),
    };
    // A name that is kept stands there already.
    let username = invited.local.clone().or(again.username);
    let form = form_of(admitted.domain(), &said, again.problem);
    credentials(form, admitted.domain(), username)
}

/// The token of an invitation that was entered as it came: as a link for people, as one for apps, or by itself.
fn token_of(entered: &str) -> &str {
    let entered = entered.trim();
    let of_app = entered.split_once(";preauth=").map(|(_, rest)| rest);
    let of_page = || entered.split_once(INVITE_PATH).map(|(_, rest)| rest);
    let rest = of_app.or_else(of_page).unwrap_or(entered);
    rest.split([';', '?', '#', '/']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_34_an_invitation_is_known_however_it_was_copied() {
        for entered in [
            "T0k-en",
            " T0k-en\n",
            "xmpp:one.example?register;preauth=T0k-en",
            "xmpp:alice@one.example?roster;preauth=T0k-en;ibr=y",
            "https://web.hosting.example/invite/T0k-en",
            "https://web.hosting.example/invite/T0k-en#app",
        ] {
            assert_eq!(token_of(entered), "T0k-en", "{entered}");
        }
        assert_eq!(token_of(""), "");
    }

    #[test]
    fn ext_33_flows_have_ids_of_their_own() {
        let ids = OPEN.each_ref().map(|flow| flow.id);
        assert_eq!(ids, ["question", "page", "invitation"]);
        assert_eq!(INVITED[0].id, "invitation");
    }
}
