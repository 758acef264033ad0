//! People at a domain, and what they leave there.

use control::account::{ImportRefused, ImportReport};

use super::{Pages, about, page};
use crate::error::Problem;
use crate::frame::Here;
use crate::tests::sample;
use crate::urls::DomainUrls;
use crate::{components, kept, people, reports};

/// Name and page of each.
pub(super) fn of_people() -> Pages {
    let live = sample::show_live();
    let pending = sample::show_pending();
    let urls = DomainUrls::new(&sample::show_live().view.ascii);
    let refused = Problem::new(
        Some("local"),
        "A space cannot stand in an address.",
        "Use letters, digits, dots, hyphens and underscores.",
    );
    vec![
        (
            "people",
            page(&people::PeoplePage {
                frame: about(Here::People, &live.view).problem(Some(refused)),
                urls: urls.clone(),
                view: live.view.clone(),
                page: sample::people(),
                local: "an na".into(),
                later: false,
                open: true,
                invites: sample::invites(true),
            }),
        ),
        (
            "people_closed",
            page(&people::PeoplePage {
                frame: about(Here::People, &pending.view),
                urls: urls.clone(),
                view: pending.view.clone(),
                page: control::account::AccountPage {
                    accounts: Vec::new(),
                    total: 0,
                    next: None,
                },
                local: String::new(),
                later: false,
                open: false,
                invites: sample::invites(false),
            }),
        ),
        (
            "people_drawn",
            page(&people::DrawnPage {
                frame: about(Here::People, &live.view),
                urls: urls.clone(),
                jid: "anna@lindgren-and-daughters.example".into(),
                password: "ruby-otter-7491-lamp".into(),
            }),
        ),
        (
            "people_imported",
            page(&people::ImportedPage {
                frame: about(Here::People, &live.view),
                urls: urls.clone(),
                report: ImportReport {
                    added: 2,
                    refused: vec![ImportRefused {
                        line: 3,
                        local: "a b".into(),
                        problem: "a space cannot stand in an address".into(),
                    }],
                    drawn: vec![("anna".into(), "ruby-otter-7491-lamp".into())],
                },
                domain: live.view.domain.clone(),
            }),
        ),
        (
            "person",
            page(&people::PersonPage {
                frame: about(Here::People, &live.view),
                urls: urls.clone(),
                account: sample::account("bartholomew.the-elder", "active"),
                certificates: vec![
                    sample::client_certificate("Phone", true),
                    sample::client_certificate("Announcements of the choir, every morning", false),
                ],
                devices: sample::devices(),
                storage: sample::storage(),
            }),
        ),
        (
            "components",
            page(&components::ComponentsPage {
                frame: about(Here::Settings, &live.view).still(),
                view: live.view.clone(),
                urls: urls.clone(),
                components: vec![sample::component()],
                fresh: Some(control::component::ComponentNew {
                    secret: Some("gmzdgnbvgy3tqojqgezdgnbvgy3tqojq".into()),
                    view: sample::component(),
                }),
                name: String::new(),
            }),
        ),
        (
            "components_empty",
            page(&components::ComponentsPage {
                frame: about(Here::Settings, &live.view).still(),
                view: live.view.clone(),
                urls: urls.clone(),
                components: Vec::new(),
                fresh: None,
                name: String::new(),
            }),
        ),
        (
            "kept",
            page(&kept::KeptPage {
                frame: about(Here::Kept, &live.view).still(),
                view: live.view.clone(),
                urls: urls.clone(),
                service: "rooms.bakery.example".into(),
                rooms: sample::rooms(),
                uploads: sample::uploads(),
                later: false,
                archive_days: Some(90),
                version: "v".into(),
            }),
        ),
        (
            "kept_empty",
            page(&kept::KeptPage {
                frame: about(Here::Kept, &live.view).still(),
                view: live.view.clone(),
                urls: urls.clone(),
                service: "rooms.bakery.example".into(),
                rooms: Vec::new(),
                uploads: Vec::new(),
                later: false,
                archive_days: None,
                version: "v".into(),
            }),
        ),
        (
            "reports",
            page(&reports::ReportsPage {
                frame: about(Here::People, &live.view),
                view: live.view.clone(),
                urls: urls.clone(),
                reports: vec![control::report::ReportView {
                    id: 1,
                    at: live.view.created,
                    account: "anna@bakery.example".into(),
                    jid: "spammer@elsewhere.example".into(),
                    reason: "spam".into(),
                    text: "sells pills".into(),
                    messages: vec!["0".repeat(32)],
                }],
            }),
        ),
    ]
}
