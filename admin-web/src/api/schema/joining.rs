//! What bodies about how people get accounts of a domain look like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

/// Changes of how people get accounts; what is left out stays.
#[derive(ToSchema)]
pub(in crate::api) struct JoinSet {
    /// `closed`, `invitation`, `open`.
    registration: Option<String>,
    /// Whether accounts may invite others, and not only the domain's admins.
    user_invites: Option<bool>,
    /// What whoever is not invited is asked. An open domain has a question.
    question: Option<String>,
    /// What counts as an answer, in any capitals.
    answers: Option<Vec<String>>,
}

/// How people get accounts.
#[derive(ToSchema)]
pub(in crate::api) struct JoinChoices {
    registration: String,
    user_invites: bool,
    question: Option<String>,
    answers: Option<Vec<String>>,
}

/// An invitation to be made.
#[derive(ToSchema)]
pub(in crate::api) struct InviteAsk {
    /// The name that is kept for whoever is invited; left out, they choose.
    local: Option<String>,
    /// The account whose contact they become, by its localpart.
    contact: Option<String>,
    /// Whom it is meant for.
    note: Option<String>,
    /// 1 to 30; 7 if nothing is said.
    days: Option<u32>,
}

/// An invitation that nobody has taken.
#[derive(ToSchema)]
pub(in crate::api) struct Invite {
    id: i64,
    /// `account`; `contact`: one who has an account elsewhere becomes the inviter's contact by it.
    kind: String,
    local: Option<String>,
    contact: Option<String>,
    note: String,
    by: String,
    created: String,
    expires: String,
}

/// A fresh invitation.
#[derive(ToSchema)]
pub(in crate::api) struct InviteNew {
    /// For programs (XEP-0445); shown once.
    uri: String,
    /// For people: a page that says what to do; shown once.
    link: String,
    #[serde(flatten)]
    view: Invite,
}

/// What an invitation is to.
#[derive(ToSchema)]
pub(in crate::api) struct InvitedTo {
    domain: String,
    ascii: String,
    local: Option<String>,
    contact: Option<String>,
    uri: String,
    link: String,
    expires: String,
}

/// Taking an invitation.
#[derive(ToSchema)]
pub(in crate::api) struct InviteTake {
    token: String,
    local: String,
    password: String,
}
