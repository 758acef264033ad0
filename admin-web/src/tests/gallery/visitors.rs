//! What visitors see: signing up and in, invitations, and what went wrong.

use control::Role;
use control::tenant::DomainHint;

use super::{Pages, owner, page, visitor};
use crate::error::Problem;
use crate::frame::{ErrorPage, Here};
use crate::tests::sample;
use crate::{ask, factor, invited, join, login, own_export, unsubscribe};

/// Name and page of each.
pub(super) fn for_visitors() -> Pages {
    let sign_up = |typed: &str, hint: Option<DomainHint>, problem| login::SignUpPage {
        frame: visitor().problem(problem),
        typed: typed.into(),
        hint,
        email: String::new(),
        issuer: "Let's Encrypt".into(),
    };
    vec![
        ("sign_up", page(&sign_up("", None, None))),
        (
            "sign_up_taken",
            page(&sign_up(
                "münchner-freunde.example",
                Some(hint(
                    false,
                    "It is already served here. If it is yours, sign in; if somebody else took it, add it and show that it is yours.",
                )),
                None,
            )),
        ),
        (
            "sign_up_second",
            page(&sign_up(
                "münchner-freunde.example",
                Some(hint(true, "")),
                None,
            )),
        ),
        (
            "sign_in",
            page(&login::SignInPage {
                frame: visitor().problem(Some(Problem::new(
                    None,
                    "This e-mail address and password do not fit together",
                    "Check both for typing errors, and the keyboard for capitals.",
                ))),
                login: "sofia@lindgren.example".into(),
                next: "/domains/one.example".into(),
                passkeys: true,
            }),
        ),
        (
            "sign_in_code",
            page(&factor::CodePage {
                frame: visitor(),
                next: String::new(),
                passkeys: true,
            }),
        ),
        (
            "setup",
            page(&login::SetupPage {
                frame: visitor(),
                token: String::new(),
                login: String::new(),
            }),
        ),
        (
            "join",
            page(&join::JoinPage {
                frame: visitor(),
                invited: control::invitation::Invited {
                    tenant: "Lindgren & Daughters".into(),
                    role: Role::Admin,
                    by: "sofia@lindgren-and-daughters.example".into(),
                    expires: sample::at(86_400),
                },
                secret: "abc".into(),
                login: String::new(),
            }),
        ),
        (
            "error",
            page(&ErrorPage {
                frame: owner(Here::Home),
                title: "There is nothing here",
                text: "There is no domain \"other.example\" here.",
                remedy: "Check the spelling, or list what is there: a domain of somebody else is not shown.",
            }),
        ),
        (
            "invited",
            page(&invited::InvitedPage {
                frame: visitor(),
                invited: sample::invited(),
                action: "/invite/token".into(),
                local: String::new(),
                agent: "Mozilla/5.0 (Linux; Android 16)".into(),
            }),
        ),
        (
            "invited_done",
            page(&invited::DonePage {
                frame: visitor(),
                jid: "nurse@one.example".into(),
                contact: Some("anna@one.example".into()),
                agent: "Mozilla/5.0 (Linux; Android 16)".into(),
                app_waits: false,
            }),
        ),
        (
            "ask",
            page(&ask::AskPage {
                frame: visitor(),
                open: control::registration::OpenDomain {
                    domain: "münchner-freunde.example".into(),
                    ascii: "xn--mnchner-freunde-wob.example".into(),
                    question: "Which bird sings at dawn, before all the others?".into(),
                },
                action: "/ask/one.example".into(),
                local: String::new(),
                answer: String::new(),
                stream: String::new(),
            }),
        ),
        (
            "own_export",
            page(&own_export::OwnExportPage {
                frame: visitor(),
                shown: control::own_export::OwnExport {
                    account: "anna@one.example".into(),
                    expires: sample::at(1_800),
                },
                action: "/export/token".into(),
            }),
        ),
        ("unsubscribe", page(&unsubscribe(true))),
        ("unsubscribe_done", page(&unsubscribe(false))),
    ]
}

fn hint(usable: bool, note: &str) -> DomainHint {
    DomainHint {
        usable,
        domain: "münchner-freunde.example".into(),
        ascii: Some("xn--mnchner-freunde-wob.example".into()),
        note: note.into(),
        code: if usable { "ok" } else { "served-here" },
    }
}

/// Where the link of a nightly mail leads, before and after.
fn unsubscribe(nightly: bool) -> unsubscribe::UnsubscribePage {
    unsubscribe::UnsubscribePage {
        frame: visitor(),
        subscriber: control::mail::Subscriber {
            login: "sofia@lindgren-and-daughters.example".into(),
            nightly,
        },
        action: "/unsubscribe/link".into(),
    }
}
