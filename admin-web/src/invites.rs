//! Inviting people to a domain, on its page of people: a link, shown once with a code for a camera; and who may come how.

use control::ControlError;
use control::domain::{DomainSet, DomainShow, JoinSet, Registration, StreamSet};
use control::invite::{InviteAsk, InviteNew, InviteView};

use crate::door::Path;
use crate::error::{Answer, Failure, Problem};
use crate::form::Posted;
use crate::frame::done;
use crate::login::{OrPage, SignedIn};
use crate::people::{self, Told};
use crate::qr;
use crate::ui::Markup;
use crate::urls::{self, DomainUrls};

/// What the page of people says about invitations.
pub(crate) struct Invites {
    /// Who is invited and has not come.
    pub(crate) open: Vec<InviteView>,
    /// Just made.
    pub(crate) fresh: Option<InviteNew>,
    /// The form of an invitation was refused.
    pub(crate) refused: bool,
    /// Who gets an account without being given one.
    pub(crate) registration: Registration,
    /// Accounts may invite.
    pub(crate) user_invites: bool,
    /// What whoever is not invited is asked, and what they may say.
    pub(crate) question: String,
    pub(crate) answers: String,
    /// Page on which strangers ask for an account, where they may.
    pub(crate) ask: Option<String>,
    /// Settings that the form was made from.
    pub(crate) version: String,
}

impl Invites {
    pub(crate) async fn of(
        desk: &SignedIn,
        domain: &str,
        show: &DomainShow,
        refused: bool,
        fresh: Option<InviteNew>,
    ) -> Result<Self, Failure> {
        let control = &desk.panel.control;
        let open = control
            .invite_list(&desk.actor, domain)
            .await
            .or_page(desk)?;
        Ok(Self {
            open,
            fresh,
            refused,
            registration: show.streams.joining.registration,
            user_invites: show.streams.joining.user_invites,
            question: show.streams.joining.question.clone(),
            answers: show.streams.joining.answers.join(", "),
            version: show.version.clone(),
            ask: show.streams.joining.is_open().then(|| {
                let base = control.settings().invites.trim_end_matches('/');
                format!("{base}{}", urls::ask(&show.view.ascii))
            }),
        })
    }

    /// Anybody comes by invitation?
    pub(crate) fn are_on(&self) -> bool {
        self.registration != Registration::Closed
    }

    /// The ways to an account: word, name, explanation, and whether it is chosen.
    pub(crate) fn ways(&self) -> Vec<(&'static str, &'static str, &'static str, bool)> {
        Registration::ALL
            .into_iter()
            .map(|way| {
                let (name, text) = match way {
                    Registration::Closed => ("Only you", "You add everybody; links open nothing."),
                    Registration::Invitation => (
                        "By invitation",
                        "Whoever has a link that you or your admins made, one account each.",
                    ),
                    Registration::Open => (
                        "Anybody",
                        "Whoever answers your question, in their app or on a page of ours, and whoever is invited.",
                    ),
                };
                (way.as_str(), name, text, way == self.registration)
            })
            .collect()
    }

    /// The code of the fresh link.
    pub(crate) fn code(&self, made: &InviteNew) -> Markup {
        qr::svg(&made.link, "QR code of the link")
    }
}

/// Makes a link.
pub(crate) async fn add(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let some = |name: &str| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let ask = InviteAsk {
        local: some("invited"),
        contact: some("contact"),
        note: fields.text("note").to_owned(),
        days: fields.text("days").parse().ok(),
    };
    let control = &desk.panel.control;
    match control.invite_add(&desk.actor, &domain, ask).await {
        Ok(made) => {
            let told = Told {
                fresh: Some(made),
                ..Told::default()
            };
            people::page(&desk, &domain, None, told).await
        }
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

async fn refused(desk: &SignedIn, domain: &str, failure: ControlError) -> Answer {
    let told = Told {
        problem: Some(Problem::of(failure).map_err(|other| desk.fail(other))?),
        inviting: true,
        ..Told::default()
    };
    people::page(desk, domain, None, told).await
}

/// Takes it back.
pub(crate) async fn remove(
    Path((domain, id)): Path<(String, i64)>,
    Posted { desk, .. }: Posted,
) -> Answer {
    desk.panel
        .control
        .invite_remove(&desk.actor, &domain, id)
        .await
        .or_page(&desk)?;
    Ok(done(
        &DomainUrls::new(&domain).people(),
        "invitation-removed",
    ))
}

/// Who may come how.
pub(crate) async fn joining(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let set = DomainSet {
        streams: StreamSet {
            joining: JoinSet {
                registration: Some(fields.text("registration").to_owned()),
                user_invites: Some(fields.text("user_invites") == "yes"),
                question: Some(fields.text("question").to_owned()),
                answers: Some(fields.list("answers")),
            },
            ..StreamSet::default()
        },
        version: fields.version(),
        ..DomainSet::default()
    };
    let control = &desk.panel.control;
    match control.domain_set(&desk.actor, &domain, set).await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).people(), "saved")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}
