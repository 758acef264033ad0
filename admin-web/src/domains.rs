//! A domain's own pages: home, add, settings, stop, start, remove; and the buttons "check now" and "publish for me".

use askama::Template;
use axum::http::StatusCode;
use control::block_list::BlockListView;
use control::domain::{DayView, DomainNew, DomainSet, DomainShow, DomainView, Removed, StreamSet};
use control::outage::Outage;
use control::peer::PolicyCost;
use control::settings::ServiceName;
use serde::Deserialize;

use crate::door::{Path, Query};
use crate::error::{Answer, Failure, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::{self, DomainUrls};
use crate::words;

#[derive(Template)]
#[template(path = "domain.html")]
pub(crate) struct DomainPage {
    pub(crate) frame: Frame,
    pub(crate) show: DomainShow,
    pub(crate) urls: DomainUrls,
}

impl DomainPage {
    /// Label of the one button, and whether it is a form (true) or a link.
    fn next_button(&self) -> Option<(&'static str, String, bool)> {
        use crate::frame::Op;
        let urls = &self.urls;
        let may = |operation| self.frame.may(operation);
        match self.show.next_step.action {
            "records" => Some(("See the records", urls.records(), false)),
            "publish" if may(Op::DomainPublish) => Some(("Publish for me", urls.publish(), true)),
            "check" if may(Op::DomainCheck) => Some(("Check now", urls.check(), true)),
            "users" => Some(("Add people", urls.people(), false)),
            "certificate" => Some(("See the certificate", urls.identity(), false)),
            "resume" if may(Op::DomainResume) => Some(("Start again", urls.resume(), true)),
            _ => None,
        }
    }
}

/// The home page of a domain's owner.
pub(crate) async fn show(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    let show = desk
        .panel
        .control
        .domain_show(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    let page = DomainPage {
        frame: desk.at(Here::Overview).about(&show.view),
        urls: DomainUrls::new(&show.view.ascii),
        show,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Looks again.
pub(crate) async fn check(Path(domain): Path<String>, Posted { desk, .. }: Posted) -> Answer {
    let control = &desk.panel.control;
    control
        .domain_check(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    Ok(done(DomainUrls::new(&domain).home(), "checking"))
}

/// Publishes the records; in the sandbox only.
pub(crate) async fn publish(Path(domain): Path<String>, Posted { desk, .. }: Posted) -> Answer {
    let control = &desk.panel.control;
    control
        .domain_publish(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    Ok(done(DomainUrls::new(&domain).home(), "published"))
}

// --- a new domain ---

#[derive(Template)]
#[template(path = "domain_new.html")]
pub(crate) struct DomainNewPage {
    pub(crate) frame: Frame,
    pub(crate) domain: String,
    /// Chosen tenant, for operators of the platform.
    pub(crate) tenant: String,
    /// Tenants to choose from; empty for everybody else.
    pub(crate) tenants: Vec<(i64, String)>,
    /// Are there others?
    pub(crate) more: bool,
}

/// Where the form may start from.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewQuery {
    #[serde(default)]
    tenant: String,
}

/// The form.
pub(crate) async fn new(desk: SignedIn, Query(query): Query<NewQuery>) -> Answer {
    new_page(&desk, None, String::new(), query.tenant).await
}

async fn new_page(
    desk: &SignedIn,
    problem: Option<Problem>,
    domain: String,
    tenant: String,
) -> Answer {
    let mut more = false;
    let tenants = if desk.actor.tenant().is_none() {
        let control = &desk.panel.control;
        let page = control
            .tenant_page(&desk.actor, "", 0)
            .await
            .or_page(desk)?;
        let mut list: Vec<_> = page
            .tenants
            .into_iter()
            .map(|view| (view.id, view.name))
            .collect();
        // Where there are too many to choose from, the customer's own page leads here.
        if let Ok(id) = tenant.parse::<i64>()
            && !list.iter().any(|(known, _)| *known == id)
            && let Ok(view) = control.tenant_show(&desk.actor, id).await
        {
            list.insert(0, (view.id, view.name));
        }
        more = page.next.is_some();
        list
    } else {
        Vec::new()
    };
    let page = DomainNewPage {
        frame: desk.at(Here::Home).problem(problem),
        domain,
        tenant,
        tenants,
        more,
    };
    Ok(html(page.frame.status(), &page))
}

/// Claims it.
pub(crate) async fn add(Posted { desk, fields }: Posted) -> Answer {
    let domain = fields.text("domain").to_owned();
    let tenant = fields.text("tenant").to_owned();
    let new = DomainNew {
        domain: domain.clone(),
        tenant: tenant.parse().ok(),
    };
    match desk.panel.control.domain_add(&desk.actor, new).await {
        Ok(show) => Ok(done(DomainUrls::new(&show.view.ascii).home(), "added")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            new_page(&desk, Some(problem), domain, tenant).await
        }
    }
}

// --- settings ---

#[derive(Template)]
#[template(path = "domain_settings.html")]
pub(crate) struct SettingsPage {
    pub(crate) frame: Frame,
    pub(crate) show: DomainShow,
    pub(crate) urls: DomainUrls,
    pub(crate) services: Vec<ServiceName>,
    /// Whom each policy would lose.
    pub(crate) costs: Vec<PolicyCost>,
    /// Block lists that it follows.
    pub(crate) lists: Vec<BlockListView>,
}

impl SettingsPage {
    fn has_service(&self, label: &str) -> bool {
        self.show.services.iter().any(|on| on == label)
    }

    /// XEP-0238's levels, strictest first: word, name, what it means, what it costs, whether it is chosen.
    fn policies(&self) -> [(&'static str, &'static str, &'static str, String, bool); 4] {
        [
            (
                "authenticated",
                "Proven",
                "Other servers must prove who they are, over an encrypted connection. Nobody can pretend to be them, not even somebody who controls the network between.",
            ),
            (
                "encrypted",
                "Encrypted",
                "The connection must be encrypted. Who cannot prove who they are is looked up and asked back; that is as good as the network was at that moment. Nobody is shut out for an old certificate.",
            ),
            (
                "verified",
                "Looked up",
                "Who is on the other side is looked up and asked back. This service encrypts all the same: it talks to nobody in the clear.",
            ),
            (
                "permissive",
                "Open",
                "Asks for as little as there is: like \"Looked up\", for very old servers. Choose it only for a short while.",
            ),
        ]
        .map(|(word, name, text)| (word, name, text, self.cost(word), self.show.policy == word))
    }

    /// What push services may be told: word, name, what it means, whether it is chosen.
    fn told(&self) -> [(&'static str, &'static str, &'static str, bool); 3] {
        let chosen = self.show.streams.push.as_deref().unwrap_or("count");
        [
            (
                "count",
                "That there is a message (recommended)",
                "The app fetches it and shows what it says; the service between learns no more than that something has come.",
            ),
            (
                "sender",
                "From whom it is",
                "For apps that cannot look by themselves. The makers of the app, and of the phone, then know who writes to whom.",
            ),
            (
                "nothing",
                "Nothing at all",
                "Apps are woken without a word. Some then show nothing before they are opened.",
            ),
        ]
        .map(|(word, name, text)| (word, name, text, word == chosen))
    }

    /// Who of those known could no longer be reached, in one sentence; empty when nobody is known to be lost.
    fn cost(&self, policy: &str) -> String {
        const NAMED: usize = 5;
        let Some(cost) = self.costs.iter().find(|cost| cost.policy == policy) else {
            return String::new();
        };
        let named = cost.lost.iter().take(NAMED).cloned().collect::<Vec<_>>();
        match cost.lost.len() {
            0 => String::new(),
            many if many <= NAMED => format!("You would lose contact with {}.", named.join(", ")),
            many => format!(
                "You would lose contact with {} servers, among them {}.",
                many,
                named.join(", ")
            ),
        }
    }
}

/// Policy, services, lists, stop and remove.
pub(crate) async fn settings(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    settings_page(&desk, &domain, None).await
}

async fn settings_page(desk: &SignedIn, domain: &str, problem: Option<Problem>) -> Answer {
    let control = &desk.panel.control;
    let show = control
        .domain_show(&desk.actor, domain)
        .await
        .or_page(desk)?;
    let costs = control
        .policy_costs(&desk.actor, domain)
        .await
        .or_page(desk)?;
    let lists = control
        .block_lists(&desk.actor, domain)
        .await
        .or_page(desk)?;
    let page = SettingsPage {
        costs,
        lists,
        frame: desk
            .at(Here::Settings)
            .about(&show.view)
            .still()
            .problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        services: control.settings().service_names.clone(),
        show,
    };
    Ok(html(page.frame.status(), &page))
}

/// Saves them.
pub(crate) async fn settings_save(
    Path(domain): Path<String>,
    Posted { desk, fields }: Posted,
) -> Answer {
    let set = DomainSet {
        policy: Some(fields.text("policy").to_owned()).filter(|word| !word.is_empty()),
        services: Some(fields.all("service")),
        allow: Some(fields.list("allow")),
        block: Some(fields.list("block")),
        streams: StreamSet {
            admins: Some(fields.list("admins")),
            push: Some(fields.text("push").to_owned()).filter(|word| !word.is_empty()),
            status: Some(fields.list("status")),
            user_certificates: Some(fields.text("user_certificates") == "yes"),
            own_export: Some(fields.text("own_export") == "yes"),
            block_lists: Some(fields.list("block_lists")),
            block_strangers: Some(fields.list("block_strangers")),
            ..StreamSet::default()
        },
        version: fields.version(),
        ..DomainSet::default()
    };
    match desk
        .panel
        .control
        .domain_set(&desk.actor, &domain, set)
        .await
    {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).settings(), "saved")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

/// Names the domain's own services for calls, and what their relays know; an empty secret leaves that as it is.
pub(crate) async fn calls(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    let services = fields.list("external");
    let secret = match (fields.secret("secret"), services.is_empty()) {
        // Without relays of its own there is nobody who would know it.
        (_, true) => Some(None),
        (secret, false) if secret.expose().is_empty() => None,
        (secret, false) => Some(Some(secret)),
    };
    let set = DomainSet {
        streams: StreamSet {
            external: Some(services),
            ..StreamSet::default()
        },
        version: fields.version(),
        ..DomainSet::default()
    };
    let saved = async {
        control.domain_set(&desk.actor, &domain, set).await?;
        match secret {
            Some(secret) => {
                let set = control.external_secret_set(&desk.actor, &domain, secret);
                set.await
            }
            None => Ok(()),
        }
    };
    match saved.await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).settings(), "saved")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

/// Announces an outage, or that it is over.
pub(crate) async fn outage(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let given = |name: &str| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let outage = given("message").map(|message| Outage {
        planned: given("planned").is_some(),
        beginning: words::picked_time(fields.text("beginning")),
        expected_end: given("expected_end").map(|end| words::picked_time(&end)),
        message: [("default".to_owned(), message)].into(),
    });
    let control = &desk.panel.control;
    match control.outage_set(&desk.actor, Some(&domain), outage).await {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).settings(), "saved")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

async fn refused(desk: &SignedIn, domain: &str, failure: control::ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    settings_page(desk, domain, Some(problem)).await
}

/// Stops it.
pub(crate) async fn suspend(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let reason = fields.text("reason");
    let control = &desk.panel.control;
    match control.domain_suspend(&desk.actor, &domain, reason).await {
        Ok(_) => Ok(done(DomainUrls::new(&domain).home(), "suspended")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

/// Starts it again.
pub(crate) async fn resume(Path(domain): Path<String>, Posted { desk, .. }: Posted) -> Answer {
    let control = &desk.panel.control;
    match control.domain_resume(&desk.actor, &domain).await {
        Ok(_) => Ok(done(DomainUrls::new(&domain).home(), "resumed")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

#[derive(Template)]
#[template(path = "domain_removed.html")]
pub(crate) struct RemovedPage {
    pub(crate) frame: Frame,
    pub(crate) removed: Removed,
}

/// Erases it, after its name was typed; says which records now dangle.
pub(crate) async fn remove(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let control = &desk.panel.control;
    let show = control
        .domain_show(&desk.actor, &domain)
        .await
        .or_page(&desk)?;
    if !confirmed(fields.text("confirm"), &show.view) {
        let problem = Problem::new(
            Some("confirm"),
            "The name you typed is not the name of this domain, so nothing is removed.",
            format!("Type {} to remove it.", show.view.domain),
        );
        return settings_page(&desk, &domain, Some(problem)).await;
    }
    match control.domain_remove(&desk.actor, &domain).await {
        Ok(removed) => {
            let mut frame = desk.at(Here::Home);
            frame.notice = words::notice("removed");
            Ok(html(StatusCode::OK, &RemovedPage { frame, removed }))
        }
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

/// Was the domain's name typed, in either spelling?
pub(crate) fn confirmed(typed: &str, view: &DomainView) -> bool {
    let typed = typed.trim().trim_end_matches('.').to_lowercase();
    typed == view.domain || typed == view.ascii
}

/// A domain's page that needs only its view around something else.
pub(crate) async fn view_of(desk: &SignedIn, domain: &str) -> Result<DomainShow, Failure> {
    let control = &desk.panel.control;
    control.domain_show(&desk.actor, domain).await.or_page(desk)
}

/// Path that a list of domains starts at.
pub(crate) async fn list() -> Answer {
    Ok(crate::frame::see_other(urls::HOME))
}

/// People who were signed in, by day.
pub(crate) fn days(days: &[DayView]) -> crate::ui::Markup {
    let ends = [days.first(), days.last()].map(|day| {
        day.map(|day| crate::words::day(day.day))
            .unwrap_or_default()
    });
    let values: Vec<_> = days.iter().map(|day| Some(day.sessions)).collect();
    crate::chart::columns("Signed in at the same time, by day", &values, &ends, |n| {
        crate::words::number(n)
    })
}

/// Mark of a station.
pub(crate) fn mark(standing: &str) -> crate::ui::Markup {
    let (icon, colour) = match standing {
        "done" => ("check-full", "ok"),
        "now" => ("dot", "you"),
        "trouble" => ("warn", "warn"),
        _ => ("hollow", "unknown"),
    };
    askama::filters::Safe(format!(
        "<span class=\"is-{colour}\">{}</span>",
        crate::ui::icon(icon)
    ))
}

/// A station's standing, said aloud.
pub(crate) fn standing_word(standing: &str) -> &'static str {
    match standing {
        "done" => "done",
        "now" => "under way",
        "trouble" => "needs a look",
        _ => "later",
    }
}
