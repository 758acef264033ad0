//! People: the accounts of a domain. A password that was drawn here is shown once, on the page that answers the form.

use askama::Template;
use axum::http::StatusCode;
use control::account::{AccountNew, AccountPage, AccountView, ImportReport};
use control::client_certificate::ClientCertificateView;
use control::device::{AccountDevices, DeviceView, StorageView};
use control::domain::DomainView;
use control::invite::InviteNew;
use control::{ControlError, Secret};
use serde::Deserialize;

use crate::domains::view_of;
use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::invites::Invites;
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;
use crate::words;

/// Accounts on one page.
const PER_PAGE: usize = 100;

#[derive(Template)]
#[template(path = "people.html")]
pub(crate) struct PeoplePage {
    pub(crate) frame: Frame,
    pub(crate) view: DomainView,
    pub(crate) urls: DomainUrls,
    pub(crate) page: AccountPage,
    /// As typed.
    pub(crate) local: String,
    /// Is this a later page?
    pub(crate) later: bool,
    /// Accounts exist only once ownership is shown.
    pub(crate) open: bool,
    /// Who is invited, and who may be.
    pub(crate) invites: Invites,
}

/// Where the page starts.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

/// The list.
pub(crate) async fn list(
    desk: SignedIn,
    Path(domain): Path<String>,
    Query(after): Query<After>,
) -> Answer {
    page(&desk, &domain, after.after.as_deref(), Told::default()).await
}

/// What was done or refused just now.
#[derive(Default)]
pub(crate) struct Told {
    /// What stands in the way, …
    pub(crate) problem: Option<Problem>,
    /// … of an invitation.
    pub(crate) inviting: bool,
    /// An address, as typed.
    pub(crate) local: String,
    /// An invitation, made.
    pub(crate) fresh: Option<InviteNew>,
}

impl Told {
    fn refused(problem: Problem, local: &str) -> Self {
        Self {
            problem: Some(problem),
            local: local.to_owned(),
            ..Self::default()
        }
    }
}

/// The list from `after` on, and what was done.
pub(crate) async fn page(desk: &SignedIn, domain: &str, after: Option<&str>, told: Told) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let page = control
        .account_list(&desk.actor, domain, after, PER_PAGE)
        .await
        .or_page(desk)?;
    let invites = Invites::of(desk, domain, &show, told.inviting, told.fresh).await?;
    let mut frame = desk.at(Here::People).about(&show.view);
    frame = frame.problem(told.problem);
    if invites.fresh.is_some() {
        // A link that is shown once does not go by itself.
        frame = frame.still();
    }
    let page = PeoplePage {
        frame,
        invites,
        urls: DomainUrls::new(&show.view.ascii),
        open: show.view.state.is_served(),
        view: show.view,
        page,
        local: told.local,
        later: after.is_some(),
    };
    Ok(html(page.frame.status(), &page))
}

/// What is shown once: passwords drawn here.
#[derive(Template)]
#[template(path = "people_drawn.html")]
pub(crate) struct DrawnPage {
    pub(crate) frame: Frame,
    pub(crate) urls: DomainUrls,
    pub(crate) jid: String,
    pub(crate) password: String,
}

/// Adds one.
pub(crate) async fn add(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let local = fields.text("local");
    // People paste whole addresses; the part before the @ is meant.
    let local = local.split('@').next().unwrap_or_default();
    let password = fields.secret("password");
    let new = AccountNew {
        local: local.to_owned(),
        password: (!password.expose().is_empty()).then_some(password),
    };
    match desk
        .panel
        .control
        .account_add(&desk.actor, &domain, new)
        .await
    {
        Ok(added) => match added.password {
            None => Ok(done(&DomainUrls::new(&domain).people(), "person-added")),
            Some(password) => drawn(&desk, &domain, added.view.jid, password, "person-added").await,
        },
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            page(&desk, &domain, None, Told::refused(problem, local)).await
        }
    }
}

async fn drawn(desk: &SignedIn, domain: &str, jid: String, password: String, word: &str) -> Answer {
    let show = view_of(desk, domain).await?;
    let mut frame = desk.at(Here::People).about(&show.view).still();
    frame.notice = words::notice(word);
    let page = DrawnPage {
        frame,
        urls: DomainUrls::new(&show.view.ascii),
        jid,
        password,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "people_imported.html")]
pub(crate) struct ImportedPage {
    pub(crate) frame: Frame,
    pub(crate) urls: DomainUrls,
    pub(crate) report: ImportReport,
    pub(crate) domain: String,
}

impl ImportedPage {
    /// Drawn passwords as lines that a spreadsheet reads.
    fn drawn_csv(&self) -> String {
        let lines = self.report.drawn.iter();
        lines
            .map(|(local, password)| format!("{local},{password}\n"))
            .collect()
    }
}

/// Adds thousands.
pub(crate) async fn import(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let csv = fields.file_or_text("file", "csv");
    if csv.trim().is_empty() {
        let problem = Problem::new(
            Some("csv"),
            "There is nothing to import.",
            "Choose a CSV file or paste its lines, one account a line.",
        );
        return page(&desk, &domain, None, Told::refused(problem, "")).await;
    }
    match desk
        .panel
        .control
        .account_import(&desk.actor, &domain, csv)
        .await
    {
        Ok(report) => {
            let show = view_of(&desk, &domain).await?;
            let page = ImportedPage {
                frame: desk.at(Here::People).about(&show.view).still(),
                urls: DomainUrls::new(&show.view.ascii),
                report,
                domain: show.view.domain,
            };
            Ok(html(StatusCode::OK, &page))
        }
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            page(&desk, &domain, None, Told::refused(problem, "")).await
        }
    }
}

// --- one person ---

#[derive(Template)]
#[template(path = "person.html")]
pub(crate) struct PersonPage {
    pub(crate) frame: Frame,
    pub(crate) urls: DomainUrls,
    pub(crate) account: AccountView,
    pub(crate) certificates: Vec<ClientCertificateView>,
    pub(crate) devices: AccountDevices,
    pub(crate) storage: StorageView,
}

/// What a device is called: what it says it is and where, else its resource.
pub(crate) fn called(device: &DeviceView) -> String {
    let said = [device.software.as_str(), device.device.as_str()];
    let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
    match (said.as_slice(), device.resources.first()) {
        ([], Some(resource)) => resource.clone(),
        ([], None) => "An app without a name".into(),
        (said, _) => said.join(", "),
    }
}

/// How it signs in.
pub(crate) fn way(device: &DeviceView) -> &'static str {
    match device.way {
        "token" => "by itself, with a key of its own",
        "certificate" => "with a certificate",
        _ => "with the password",
    }
}

/// One account.
pub(crate) async fn person(
    desk: SignedIn,
    Path((domain, local)): Path<(String, String)>,
) -> Answer {
    person_page(&desk, &domain, &local, None).await
}

async fn person_page(
    desk: &SignedIn,
    domain: &str,
    local: &str,
    problem: Option<Problem>,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let account = control
        .account_show(&desk.actor, domain, local)
        .await
        .or_page(desk)?;
    let certificates = control
        .account_certificates(&desk.actor, domain, local)
        .await
        .or_page(desk)?;
    let devices = control
        .account_devices(&desk.actor, domain, local)
        .await
        .or_page(desk)?;
    let storage = control
        .account_storage(&desk.actor, domain, local)
        .await
        .or_page(desk)?;
    let page = PersonPage {
        frame: desk.at(Here::People).about(&show.view).problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        account,
        certificates,
        devices,
        storage,
    };
    Ok(html(page.frame.status(), &page))
}

async fn person_refused(
    desk: &SignedIn,
    domain: &str,
    local: &str,
    failure: ControlError,
) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    person_page(desk, domain, local, Some(problem)).await
}

/// Sets a password, or draws one.
pub(crate) async fn set_password(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, fields }: Posted,
) -> Answer {
    let password: Secret = fields.secret("password");
    let given = Some(password.expose()).filter(|text| !text.is_empty());
    let control = &desk.panel.control;
    match control
        .account_set_password(&desk.actor, &domain, &local, given)
        .await
    {
        Ok(None) => Ok(done(
            &DomainUrls::new(&domain).person(&local),
            "password-set",
        )),
        Ok(Some(password)) => {
            let account = control
                .account_show(&desk.actor, &domain, &local)
                .await
                .or_page(&desk)?;
            drawn(&desk, &domain, account.jid, password, "password-set").await
        }
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}

/// Stops an account.
pub(crate) async fn suspend(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, .. }: Posted,
) -> Answer {
    let control = &desk.panel.control;
    match control.account_suspend(&desk.actor, &domain, &local).await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).person(&local), "suspended")),
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}

/// Starts it again.
pub(crate) async fn resume(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, .. }: Posted,
) -> Answer {
    let control = &desk.panel.control;
    match control.account_resume(&desk.actor, &domain, &local).await {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).person(&local), "resumed")),
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}

/// Revokes a certificate that its clients sign in with.
pub(crate) async fn revoke_certificate(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, fields }: Posted,
) -> Answer {
    let name = fields.text("certificate");
    let control = &desk.panel.control;
    let done_so = control.account_revoke_certificate(&desk.actor, &domain, &local, name);
    match done_so.await {
        Ok(()) => Ok(done(
            &DomainUrls::new(&domain).person(&local),
            "certificate-revoked",
        )),
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}

/// Signs one of its devices out.
pub(crate) async fn sign_out(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, fields }: Posted,
) -> Answer {
    let device = fields.text("device");
    let control = &desk.panel.control;
    let done_so = control.account_sign_out(&desk.actor, &domain, &local, device);
    match done_so.await {
        Ok(()) => Ok(done(
            &DomainUrls::new(&domain).person(&local),
            "device-signed-out",
        )),
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}

/// Erases it, after its address was typed.
pub(crate) async fn remove(
    Path((domain, local)): Path<(String, String)>,
    Posted { desk, fields }: Posted,
) -> Answer {
    let control = &desk.panel.control;
    let account = control
        .account_show(&desk.actor, &domain, &local)
        .await
        .or_page(&desk)?;
    if fields.text("confirm") != account.jid {
        let problem = Problem::new(
            Some("confirm"),
            "The address you typed is not the address of this account, so nothing is removed.",
            format!("Type {} to remove it.", account.jid),
        );
        return person_page(&desk, &domain, &local, Some(problem)).await;
    }
    match control.account_remove(&desk.actor, &domain, &local).await {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).people(), "removed")),
        Err(failure) => person_refused(&desk, &domain, &local, failure).await,
    }
}
