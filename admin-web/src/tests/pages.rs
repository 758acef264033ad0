//! Every template, rendered. With `PANEL_GALLERY=DIR` the pages are written there, beside the assets, to be looked at.

use askama::Template;
use control::Role;
use control::account::{ImportRefused, ImportReport};
use control::domain::Removed;
use control::peer::PolicyCost;
use control::series::StepAsked;
use control::settings::ServiceName;
use control::tenant::DomainHint;
use control::token::TokenNew;

use super::sample;
use crate::error::Problem;
use crate::frame::{ErrorPage, Frame, Here};
use crate::series::Series;
use crate::urls::DomainUrls;
use crate::{
    components, desk, domains, factor, federation, home, identity, invited, join, kept, login,
    people, plans, platform, records, reports, series, tenants, verification, webhooks,
};

fn owner(here: Here) -> Frame {
    let mut frame = sample::frame(Some(Role::Owner));
    frame.here = here;
    frame
}

fn about(here: Here, view: &control::domain::DomainView) -> Frame {
    owner(here).about(view)
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

/// A page in the middle of a list.
fn of(domains: Vec<control::domain::DomainView>, total: usize) -> control::domain::DomainPage {
    let middle = total > 100;
    control::domain::DomainPage {
        domains,
        total,
        from: if middle { 50 } else { 0 },
        next: middle.then_some(100),
        previous: middle.then_some(0),
    }
}

/// Name and page, all of them.
#[expect(
    clippy::too_many_lines,
    reason = "one entry a page, in the order of the templates"
)]
fn gallery() -> Vec<(&'static str, String)> {
    let visitor = || sample::frame(None);
    let live = sample::show_live();
    let pending = sample::show_pending();
    let urls = DomainUrls::new(&live.view.ascii);
    let page = |page: &dyn askama::DynTemplate| page.dyn_render().unwrap();
    let sign_up = |typed: &str, hint: Option<DomainHint>, problem| login::SignUpPage {
        frame: visitor().problem(problem),
        typed: typed.into(),
        hint,
        email: String::new(),
        issuer: "Let's Encrypt".into(),
    };
    let removed = Removed {
        domain: "old.example".into(),
        dangling: sample::records()
            .records
            .into_iter()
            .map(|view| view.record)
            .collect(),
    };
    let operator = |here| {
        let mut frame = sample::frame(Some(Role::Platform));
        frame.here = here;
        frame
    };
    let refused = Problem::new(
        Some("local"),
        "A space cannot stand in an address.",
        "Use letters, digits, dots, hyphens and underscores.",
    );
    let mut welcome = about(Here::Overview, &pending.view);
    welcome.notice = crate::words::notice("welcome");
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
            "setup",
            page(&login::SetupPage {
                frame: visitor(),
                token: String::new(),
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
            "home",
            page(&home::HomePage {
                frame: owner(Here::Home),
                tenant: sample::tenant(),
                usage: sample::usage(),
                page: of(sample::domains(), 318),
                search: String::new(),
            }),
        ),
        (
            "home_empty",
            page(&home::HomePage {
                frame: owner(Here::Home),
                tenant: sample::tenant(),
                usage: sample::usage(),
                page: of(Vec::new(), 0),
                search: String::new(),
            }),
        ),
        (
            "domain_new",
            page(&domains::DomainNewPage {
                frame: operator(Here::Home),
                domain: String::new(),
                tenant: "1".into(),
                tenants: vec![(1, "Lindgren & Daughters".into())],
                more: true,
            }),
        ),
        (
            "domain_claimed",
            page(&domains::DomainPage {
                frame: about(Here::Overview, &sample::show_claimed().view),
                urls: urls.clone(),
                show: sample::show_claimed(),
            }),
        ),
        (
            "domain_pending",
            page(&domains::DomainPage {
                frame: welcome,
                urls: urls.clone(),
                show: sample::show_pending(),
            }),
        ),
        (
            "domain_live",
            page(&domains::DomainPage {
                frame: about(Here::Overview, &live.view),
                urls: urls.clone(),
                show: sample::show_live(),
            }),
        ),
        (
            "domain_settings",
            page(&domains::SettingsPage {
                costs: vec![PolicyCost {
                    policy: "encrypted",
                    lost: vec!["old-ejabberd.example".into()],
                }],
                frame: about(Here::Settings, &live.view),
                urls: urls.clone(),
                show: sample::show_live(),
                services: vec![
                    ServiceName {
                        label: "rooms".into(),
                        purpose: "group chats".into(),
                        federated: true,
                    },
                    ServiceName {
                        label: "upload".into(),
                        purpose: "files that people send".into(),
                        federated: false,
                    },
                ],
            }),
        ),
        (
            "domain_removed",
            page(&domains::RemovedPage {
                frame: owner(Here::Home),
                removed: removed.clone(),
            }),
        ),
        (
            "records",
            page(&records::RecordsPage {
                frame: about(Here::Records, &pending.view),
                page: sample::records(),
                zone_file: sample::zone_file(),
                urls: urls.clone(),
                can_publish: true,
            }),
        ),
        (
            "verification",
            page(&verification::VerificationPage {
                frame: about(Here::Verification, &live.view),
                urls: urls.clone(),
                issuer: "Let's Encrypt".into(),
                modes: sample::modes(),
                show: sample::show_live(),
            }),
        ),
        (
            "verification_empty",
            page(&verification::VerificationPage {
                frame: about(Here::Verification, &pending.view),
                urls: urls.clone(),
                issuer: "Let's Encrypt".into(),
                modes: sample::modes(),
                show: sample::show_pending(),
            }),
        ),
        (
            "identity",
            page(&identity::IdentityPage {
                frame: about(Here::Identity, &live.view),
                urls: urls.clone(),
                certificates: vec![sample::certificate(), {
                    let mut old = sample::certificate();
                    old.state = "retired".into();
                    old
                }],
                issuer: "Let's Encrypt".into(),
                rollover: sample::rollover(),
                show: sample::show_live(),
            }),
        ),
        (
            "identity_empty",
            page(&identity::IdentityPage {
                frame: about(Here::Identity, &pending.view),
                urls: urls.clone(),
                certificates: Vec::new(),
                issuer: "Let's Encrypt".into(),
                rollover: sample::rollover(),
                show: sample::show_pending(),
            }),
        ),
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
                    secret: "gmzdgnbvgy3tqojqgezdgnbvgy3tqojq".into(),
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
        (
            "federation",
            page(&federation::FederationPage {
                frame: about(Here::Federation, &live.view),
                view: live.view.clone(),
                urls: urls.clone(),
                peers: sample::peers(),
                pinned: vec![sample::pinned()],
                peer: String::new(),
                anchors: String::new(),
            }),
        ),
        (
            "peer",
            page(&federation::PeerPage {
                frame: about(Here::Federation, &live.view),
                view: live.view.clone(),
                urls,
                attempts: sample::stories()
                    .iter()
                    .map(federation::Attempt::read)
                    .collect(),
                peer: sample::peers().remove(2),
                pinned: Some(sample::pinned()),
            }),
        ),
        (
            "operator",
            page(&home::OperatorPage {
                frame: operator(Here::Home),
                overview: sample::overview(),
                page: of(sample::domains(), 318),
                search: String::new(),
                tenants: vec![sample::tenant()],
                unguarded: true,
            }),
        ),
        (
            "certificates",
            page(&platform::CertificatesPage {
                frame: operator(Here::Certificates),
                authorities: sample::authorities(),
                orders: sample::orders(),
                certificates: sample::overview().certificates,
            }),
        ),
        (
            "failing",
            page(&platform::FailingPage {
                frame: operator(Here::Home),
                code: "srv-wrong-target".into(),
                domains: vec!["bakery.example".into()],
            }),
        ),
        (
            "tenants",
            page(&tenants::TenantsPage {
                frame: operator(Here::Tenants),
                page: control::tenant::TenantPage {
                    tenants: vec![sample::tenant()],
                    total: 312,
                    from: 50,
                    next: Some(100),
                    previous: Some(0),
                },
                search: String::new(),
                name: String::new(),
                login: String::new(),
            }),
        ),
        (
            "tenant",
            page(&tenants::TenantPage {
                frame: operator(Here::Tenants),
                tenant: sample::tenant(),
                view: sample::usage(),
                plans: vec![sample::plan("Garage", 0), sample::plan("Workshop", 3)],
                domains: sample::domains(),
                total: 60,
                team: sample::team(),
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
            "webhooks",
            page(&webhooks::WebhooksPage {
                frame: owner(Here::Webhooks),
                hooks: vec![sample::webhook()],
                deliveries: sample::deliveries(),
                fresh: Some(control::webhook::WebhookNew {
                    secret: "whsec_abc".into(),
                    view: sample::webhook(),
                }),
                ask: control::webhook::WebhookAsk::default(),
            }),
        ),
        (
            "webhooks_empty",
            page(&webhooks::WebhooksPage {
                frame: owner(Here::Webhooks),
                hooks: Vec::new(),
                deliveries: Vec::new(),
                fresh: None,
                ask: control::webhook::WebhookAsk::default(),
            }),
        ),
        (
            "plans",
            page(&plans::PlansPage {
                frame: operator(Here::Plans),
                plans: vec![sample::plan("Garage", 0), sample::plan("Workshop", 3)],
                name: String::new(),
            }),
        ),
        (
            "plans_empty",
            page(&plans::PlansPage {
                frame: operator(Here::Plans),
                plans: Vec::new(),
                name: String::new(),
            }),
        ),
        (
            "plan",
            page(&plans::PlanPage {
                frame: operator(Here::Plans),
                plan: sample::plan("Garage", 0),
            }),
        ),
        (
            "usage",
            page(&plans::UsagePage {
                frame: owner(Here::Usage),
                views: vec![sample::usage()],
                series: Series::new(
                    sample::series("Lindgren & daughters", StepAsked::Day),
                    "/usage",
                ),
                csv: crate::urls::usage(crate::urls::USAGE_CSV, None),
            }),
        ),
        (
            "domain_usage",
            page(&series::DomainUsagePage {
                frame: about(Here::DomainUsage, &live.view).still(),
                view: live.view.clone(),
                series: Series::new(
                    sample::series("bakery.example", StepAsked::Hour),
                    "/domains/bakery.example/usage",
                ),
            }),
        ),
        (
            "tenant_removed",
            page(&tenants::TenantRemovedPage {
                frame: operator(Here::Tenants),
                name: "Lindgren & Daughters".into(),
                dangling: removed.dangling,
            }),
        ),
        (
            "operators",
            page(&tenants::OperatorsPage {
                frame: operator(Here::Operators),
                operators: sample::team(),
                login: String::new(),
            }),
        ),
        (
            "team",
            page(&desk::TeamPage {
                frame: owner(Here::Team),
                tenant: 1,
                tenant_name: "Lindgren & Daughters".into(),
                factor_wanted: true,
                team: sample::team(),
                login: String::new(),
                role: "admin".into(),
                invitations: vec![
                    sample::invitation("Ann from the bakery"),
                    sample::invitation(""),
                ],
                fresh: Some((
                    "https://panel.example/join?invitation=abc".into(),
                    sample::invitation("Ann"),
                )),
            }),
        ),
        (
            "audit",
            page(&desk::AuditPage {
                frame: owner(Here::Audit),
                entries: sample::audit(),
                query: control::audit::AuditQuery::default(),
                older: Some("/audit?before=1".into()),
                csv: "/audit.csv".into(),
                chosen: false,
            }),
        ),
        (
            "tokens",
            page(&desk::TokensPage {
                frame: owner(Here::Tokens),
                tokens: sample::tokens(),
                fresh: Some(TokenNew {
                    secret: "dom_7f3kq2m9v8".into(),
                    view: sample::tokens().remove(0),
                }),
                ask: control::token::TokenAsk::default(),
                operations: vec!["account.add", "domain.show"],
                public_url: "https://panel.hosting.example".into(),
            }),
        ),
        (
            "me",
            page(&desk::MePage {
                passkeys_on: true,
                passkeys: sample::passkeys(),
                factor: control::factor::FactorView {
                    state: "none",
                    since: Some(sample::at(-86_400)),
                    codes: 9,
                    wanted: true,
                },
                begun: None,
                codes: Vec::new(),
                frame: owner(Here::Me),
                logins: sample::logins(),
                this: 1,
            }),
        ),
        (
            "me_factor_begun",
            page(&desk::MePage {
                passkeys_on: true,
                passkeys: sample::passkeys(),
                factor: control::factor::FactorView {
                    state: "begun",
                    since: Some(sample::at(-86_400)),
                    codes: 9,
                    wanted: true,
                },
                begun: Some(control::factor::FactorBegun {
                    secret: "JBSWY3DPEHPK3PXP".into(),
                    uri: "otpauth://totp/Domicile:me?secret=JBSWY3DPEHPK3PXP".into(),
                }),
                codes: Vec::new(),
                frame: owner(Here::Me),
                logins: sample::logins(),
                this: 1,
            }),
        ),
        (
            "me_factor_codes",
            page(&desk::MePage {
                passkeys_on: true,
                passkeys: sample::passkeys(),
                factor: control::factor::FactorView {
                    state: "on",
                    since: Some(sample::at(-86_400)),
                    codes: 9,
                    wanted: true,
                },
                begun: None,
                codes: vec!["abcd-efgh-ijkl-mnop".into()],
                frame: owner(Here::Me),
                logins: sample::logins(),
                this: 1,
            }),
        ),
        (
            "me_factor_on",
            page(&desk::MePage {
                passkeys_on: true,
                passkeys: sample::passkeys(),
                factor: control::factor::FactorView {
                    state: "on",
                    since: Some(sample::at(-86_400)),
                    codes: 9,
                    wanted: true,
                },
                begun: None,
                codes: Vec::new(),
                frame: owner(Here::Me),
                logins: sample::logins(),
                this: 1,
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
    ]
}

/// Pages that show addresses of other sites, as text to copy or as what they are about.
const NAMES_OTHERS: [&str; 7] = [
    "tokens",
    "records",
    "team",
    "webhooks",
    "webhooks_empty",
    "people",
    "invited",
];

#[test]
fn every_page_renders_small_and_without_anything_inline() {
    for (name, html) in gallery() {
        assert!(html.len() < 60_000, "{name}: {} bytes", html.len());
        assert!(html.contains("</html>"), "{name} is whole");
        for inline in [" style=", "<style", "onclick", "javascript:"] {
            assert!(!html.contains(inline), "{name} holds {inline}");
        }
        // Whoever is invited may have come without.
        let scripts = usize::from(!html.contains("class=\"visitor guest\""))
            + usize::from(html.contains("data-passkey"));
        assert_eq!(
            html.matches("<script").count(),
            scripts,
            "{name}: one script, a file of ours, and one for passkeys"
        );
        assert!(
            // Addresses to copy are text there.
            !html.contains("http://") && !html.contains("https://") || NAMES_OTHERS.contains(&name),
            "{name} names no other site"
        );
        for leads in ["src=\"http", "href=\"http", "action=\"http"] {
            // To apps, which are to be had elsewhere.
            let may = name == "invited" && leads.starts_with("href");
            assert!(may || !html.contains(leads), "{name} leads to another site");
        }
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one heading");
    }
}

#[test]
fn every_form_that_changes_something_holds_the_secret() {
    for (name, html) in gallery() {
        if html.contains("class=\"visitor") {
            continue;
        }
        for form in html.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            // A search changes nothing.
            if form.contains("method=\"get\"") {
                continue;
            }
            assert!(
                form.contains("name=\"csrf\" value=\"c5rf\""),
                "{name}: {form}"
            );
        }
    }
}

#[test]
fn every_field_has_a_name_for_those_who_cannot_see_it() {
    for (name, html) in gallery() {
        for tag in ["<input", "<textarea", "<select"] {
            for field in html.split(tag).skip(1) {
                let field = field.split('>').next().unwrap_or_default();
                let labelled = field.contains("type=\"hidden\"")
                    || field.contains("aria-label=")
                    || field.contains("type=\"radio\"")
                    || field.contains("type=\"checkbox\"")
                    || field.contains("aria-hidden")
                    || field
                        .split("id=\"")
                        .nth(1)
                        .and_then(|id| id.split('"').next())
                        .is_some_and(|id| html.contains(&format!("<label for=\"{id}\"")));
                assert!(labelled, "{name}: {tag}{field}");
            }
        }
    }
}

#[test]
fn what_a_role_may_not_do_is_not_offered() {
    let mut frame = sample::frame(Some(Role::Auditor));
    let show = sample::show_pending();
    frame = frame.about(&show.view);
    let urls = DomainUrls::new("bakery.example");
    let page = domains::DomainPage {
        frame: frame.clone(),
        urls: urls.clone(),
        show,
    };
    let html = page.render().unwrap();
    assert!(!html.contains("Publish for me") && !html.contains("Check now"));
    let page = people::PersonPage {
        frame,
        urls,
        account: sample::account("anna", "active"),
        certificates: vec![sample::client_certificate("Phone", true)],
    };
    let html = page.render().unwrap();
    assert!(
        !html.contains("Set password")
            && !html.contains("Remove for good")
            && !html.contains("Revoke")
    );
}

#[test]
fn text_from_outside_is_escaped() {
    let mut show = sample::show_pending();
    show.checks[0].observed = "\"<script>alert(1)</script>\"".into();
    show.view.status = "<b>bold</b>".into();
    let frame = about(Here::Overview, &show.view);
    let page = domains::DomainPage {
        frame,
        urls: DomainUrls::new("bakery.example"),
        show,
    };
    let html = page.render().unwrap();
    assert!(!html.contains("<script>alert") && !html.contains("<b>bold"));
}

#[test]
fn nothing_shouts_and_optional_things_are_never_red() {
    for (name, html) in gallery() {
        let text = html.replace("<!doctype", "");
        assert!(!text.contains('!'), "{name} shouts");
    }
    for verdict in sample::verdicts("one.example") {
        assert!(
            verification::seen(&verdict).2 != "bad" || verdict.prooftype == "pkix",
            "{verdict:?}"
        );
    }
    let rows = sample::records();
    for view in rows.records.iter().filter(|view| view.record.optional) {
        assert_ne!(records::standing(view).2, "bad");
    }
}

#[test]
fn the_gallery_can_be_looked_at() {
    let Some(dir) = std::env::var_os("PANEL_GALLERY") else {
        return;
    };
    let dir = std::path::PathBuf::from(dir);
    std::fs::create_dir_all(&dir).unwrap();
    for file in ["panel.css", "panel.js", "icon.svg"] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets")
            .join(file);
        std::fs::copy(from, dir.join(file)).unwrap();
    }
    for (name, html) in gallery() {
        let html = ["panel.css", "panel.js", "icon.svg"]
            .iter()
            .fold(html, |html, file| {
                html.replace(&crate::assets::url(file), file)
            });
        std::fs::write(dir.join(format!("{name}.html")), html).unwrap();
    }
}
