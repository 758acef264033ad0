//! What concerns the people behind a tenant: team, audit log, API tokens, one's own password and logins.

use askama::Template;
use control::audit::{AuditQuery, AuditView};
use control::factor::{FactorBegun, FactorView};
use control::invitation::InvitationView;
use control::mail::MailView;
use control::operator::{LoginView, OperatorNew, OperatorView};
use control::passkey::PasskeyView;
use control::token::{TokenAsk, TokenNew, TokenView};
use control::{ControlError, Operation, Role};

use crate::door::{Path, Query};
use crate::error::{Answer, Failure, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, csv, done, html};
use crate::login::{OrPage, SignedIn, leave};
use crate::qr;
use crate::ui::Markup;
use crate::urls;

// --- team ---

#[derive(Template)]
#[template(path = "team.html")]
pub(crate) struct TeamPage {
    pub(crate) frame: Frame,
    pub(crate) tenant: i64,
    pub(crate) tenant_name: String,
    /// Must everybody have a second factor?
    pub(crate) factor_wanted: bool,
    pub(crate) team: Vec<OperatorView>,
    pub(crate) invitations: Vec<InvitationView>,
    /// The link of a fresh invitation, seen once, and whom it is for.
    pub(crate) fresh: Option<(String, InvitationView)>,
    pub(crate) login: String,
    pub(crate) role: String,
}

impl TeamPage {
    /// Is this the person's role?
    fn is(&self, operator: &OperatorView, role: &str) -> bool {
        operator.role.as_str() == role
    }
}

/// Roles of a tenant with what they may, for the form.
pub(crate) const ROLES: [(&str, &str, &str); 4] = [
    ("owner", "Owner", "everything, also the team and removal"),
    ("admin", "Admin", "domains and people, but not the team"),
    ("support", "Support", "helps people: passwords and accounts"),
    ("auditor", "Auditor", "reads everything, changes nothing"),
];

/// Their own tenant's id; platform operators have none, and find a tenant's team on its page.
pub(crate) fn own_tenant(desk: &SignedIn) -> Result<i64, Failure> {
    desk.actor.tenant().map(|tenant| tenant.0).ok_or_else(|| {
        desk.fail(ControlError::NotFound {
            what: "team",
            name: desk.actor.login().to_owned(),
        })
    })
}

/// The team.
pub(crate) async fn team(desk: SignedIn) -> Answer {
    let role = Role::Admin.as_str().to_owned();
    team_page(&desk, None, String::new(), role, None).await
}

pub(crate) async fn team_page(
    desk: &SignedIn,
    problem: Option<Problem>,
    login: String,
    role: String,
    fresh: Option<(String, InvitationView)>,
) -> Answer {
    let control = &desk.panel.control;
    let tenant = own_tenant(desk)?;
    let shown = control
        .tenant_show(&desk.actor, tenant)
        .await
        .or_page(desk)?;
    let page = TeamPage {
        tenant,
        tenant_name: shown.name,
        factor_wanted: shown.second_factor,
        team: control.team_list(&desk.actor, tenant).await.or_page(desk)?,
        invitations: control
            .invitation_list(&desk.actor, tenant)
            .await
            .or_page(desk)?,
        frame: desk
            .at(Here::Team)
            .problem(problem)
            .following(fresh.is_some()),
        fresh,
        login,
        role,
    };
    Ok(html(page.frame.status(), &page))
}

/// Adds an operator.
pub(crate) async fn team_add(Posted { desk, fields }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    let new = OperatorNew {
        login: fields.text("login").to_owned(),
        password: fields.secret("password"),
        role: fields.text("role").to_owned(),
    };
    let (login, role) = (new.login.clone(), new.role.clone());
    match desk.panel.control.team_add(&desk.actor, tenant, new).await {
        Ok(_) => Ok(done(urls::TEAM, "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            team_page(&desk, Some(problem), login, role, None).await
        }
    }
}

/// Removes one, after the question whether that is meant.
pub(crate) async fn team_remove(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    if fields.text("sure") != "yes" {
        let problem = Problem::new(
            None,
            "Nobody is removed yet.",
            "Open \"Remove\" beside the person, and confirm it there.".to_owned(),
        );
        let role = Role::Admin.as_str().to_owned();
        return team_page(&desk, Some(problem), String::new(), role, None).await;
    }
    match desk
        .panel
        .control
        .team_remove(&desk.actor, tenant, id)
        .await
    {
        Ok(()) => Ok(done(urls::TEAM, "removed")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            let role = Role::Admin.as_str().to_owned();
            team_page(&desk, Some(problem), String::new(), role, None).await
        }
    }
}

// --- audit log ---

#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    pub(crate) frame: Frame,
    pub(crate) entries: Vec<AuditView>,
    pub(crate) query: AuditQuery,
    /// Link to the entries before these.
    pub(crate) older: Option<String>,
    /// Link to these as a table.
    pub(crate) csv: String,
    /// Is anything left out?
    pub(crate) chosen: bool,
}

/// Entries of one page.
const AUDIT_PAGE: usize = 100;

/// What was done.
pub(crate) async fn audit(desk: SignedIn, Query(query): Query<AuditQuery>) -> Answer {
    let control = &desk.panel.control;
    let query = AuditQuery {
        limit: None,
        ..query
    };
    let (entries, problem) = match control.audit_list(&desk.actor, &query).await {
        Ok(entries) => (entries, None),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            (Vec::new(), Some(problem))
        }
    };
    let full = entries.len() >= AUDIT_PAGE;
    let last = entries.last().filter(|_| full);
    let page = AuditPage {
        frame: desk.at(Here::Audit).problem(problem).following(false),
        older: last.map(|entry| urls::audit_page(urls::AUDIT, &query, Some(entry.id))),
        csv: urls::audit_page(urls::AUDIT_CSV, &query, None),
        chosen: [
            &query.domain,
            &query.operation,
            &query.actor,
            &query.since,
            &query.until,
        ]
        .into_iter()
        .any(|text| !text.trim().is_empty())
            || query.before.is_some(),
        entries,
        query,
    };
    Ok(html(page.frame.status(), &page))
}

/// The same as a table.
pub(crate) async fn audit_csv(desk: SignedIn, Query(query): Query<AuditQuery>) -> Answer {
    let control = &desk.panel.control;
    let text = control
        .audit_csv(&desk.actor, &query)
        .await
        .or_page(&desk)?;
    Ok(csv("audit.csv", text))
}

// --- API tokens ---

#[derive(Template)]
#[template(path = "tokens.html")]
pub(crate) struct TokensPage {
    pub(crate) frame: Frame,
    pub(crate) tokens: Vec<TokenView>,
    /// Seen once.
    pub(crate) fresh: Option<TokenNew>,
    /// As it was filled in.
    pub(crate) ask: TokenAsk,
    /// What a limited token of theirs may be made for.
    pub(crate) operations: Vec<&'static str>,
    pub(crate) public_url: String,
}

impl TokensPage {
    fn wants(&self, operation: &str) -> bool {
        self.ask.operations.iter().any(|name| name == operation)
    }
}

/// The list.
pub(crate) async fn tokens(desk: SignedIn) -> Answer {
    tokens_page(&desk, None, None, TokenAsk::default()).await
}

async fn tokens_page(
    desk: &SignedIn,
    problem: Option<Problem>,
    fresh: Option<TokenNew>,
    ask: TokenAsk,
) -> Answer {
    let tokens = desk
        .panel
        .control
        .token_list(&desk.actor)
        .await
        .or_page(desk)?;
    let operations = Operation::ALL
        .iter()
        .filter(|operation| operation.of_a_limited_token() && desk.actor.may(**operation))
        .map(|operation| operation.as_str())
        .collect();
    let page = TokensPage {
        frame: desk.at(Here::Tokens).problem(problem),
        tokens,
        fresh,
        ask,
        operations,
        public_url: desk.panel.settings.public_url.clone(),
    };
    Ok(html(page.frame.status(), &page))
}

/// Makes one and shows it once.
pub(crate) async fn token_add(Posted { desk, fields }: Posted) -> Answer {
    let days = fields.text("days");
    let mut ask = TokenAsk {
        name: fields.text("name").to_owned(),
        domains: fields.list("domains"),
        operations: fields.all("operations"),
        days: None,
    };
    if !days.is_empty() {
        match days.parse() {
            Ok(days) => ask.days = Some(days),
            Err(_) => {
                let problem = Problem::new(
                    Some("days"),
                    "The days are a whole number.",
                    "Type how many days the token is to be good for.",
                );
                return tokens_page(&desk, Some(problem), None, ask).await;
            }
        }
    }
    match desk.panel.control.token_add(&desk.actor, ask.clone()).await {
        Ok(fresh) => tokens_page(&desk, None, Some(fresh), TokenAsk::default()).await,
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            tokens_page(&desk, Some(problem), None, ask).await
        }
    }
}

/// Ends one.
pub(crate) async fn token_remove(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    desk.panel
        .control
        .token_remove(&desk.actor, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::TOKENS, "removed"))
}

// --- one's own ---

#[derive(Template)]
#[template(path = "me.html")]
pub(crate) struct MePage {
    pub(crate) frame: Frame,
    pub(crate) logins: Vec<LoginView>,
    pub(crate) factor: FactorView,
    /// A secret for the app, until it is shown to work.
    pub(crate) begun: Option<FactorBegun>,
    /// Recovery codes, seen once.
    pub(crate) codes: Vec<String>,
    /// The login of this browser.
    pub(crate) this: i64,
    /// Browsers know passkeys here.
    pub(crate) passkeys_on: bool,
    pub(crate) passkeys: Vec<PasskeyView>,
    pub(crate) mail: MailView,
}

impl MePage {
    /// The secret for the camera of a phone.
    fn secret_code(&self, begun: &FactorBegun) -> Markup {
        qr::svg(
            &begun.uri,
            "QR code of the secret, for an authenticator app",
        )
    }
}

/// Password and logins.
pub(crate) async fn me(desk: SignedIn) -> Answer {
    me_page(&desk, None, None, Vec::new()).await
}

pub(crate) async fn me_page(
    desk: &SignedIn,
    problem: Option<Problem>,
    begun: Option<FactorBegun>,
    codes: Vec<String>,
) -> Answer {
    let logins = desk
        .panel
        .control
        .login_list(&desk.actor)
        .await
        .or_page(desk)?;
    let control = &desk.panel.control;
    let passkeys = control.passkey_list(&desk.actor).await.or_page(desk)?;
    let page = MePage {
        passkeys_on: control.has_passkeys(),
        passkeys,
        mail: control.mail_show(&desk.actor).await.or_page(desk)?,
        frame: desk.at(Here::Me).problem(problem),
        factor: desk
            .panel
            .control
            .factor_show(&desk.actor)
            .await
            .or_page(desk)?,
        begun,
        codes,
        logins,
        this: desk.id,
    };
    Ok(html(page.frame.status(), &page))
}

/// Changes the password.
pub(crate) async fn password(Posted { desk, fields }: Posted) -> Answer {
    let (old, new) = (fields.secret("old"), fields.secret("new"));
    let control = &desk.panel.control;
    match control
        .password_change(&desk.actor, old.expose(), new.expose())
        .await
    {
        // Every login has ended, this one too: whoever knew the old password is out everywhere.
        Ok(()) => Ok(leave(&desk.panel, "password-changed")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            me_page(&desk, Some(problem), None, Vec::new()).await
        }
    }
}

/// Chooses whether one is written to.
pub(crate) async fn mail(Posted { desk, fields }: Posted) -> Answer {
    let nightly = fields.text("nightly") == "yes";
    let control = &desk.panel.control;
    control
        .mail_set(&desk.actor, nightly)
        .await
        .or_page(&desk)?;
    Ok(done(urls::ME, if nightly { "mail-on" } else { "mail-off" }))
}

/// Ends a login.
pub(crate) async fn login_end(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    desk.panel
        .control
        .login_revoke(&desk.actor, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::ME, "ended"))
}
