//! The frame around every page: who is signed in, where they are, what was just done, and how times and states are spelled.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
pub(crate) use control::Operation as Op;
use control::domain::DomainView;
use control::permission::Reach;
use control::viewing::Viewing;
use control::{Role, Timestamp};

use crate::error::Problem;
use crate::urls::DomainUrls;
use crate::{Shared, assets, urls, words};

/// Which entry of the navigation is the present page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Visitor,
    Home,
    Tenants,
    Certificates,
    Plans,
    Usage,
    Operators,
    Team,
    Audit,
    Webhooks,
    Tokens,
    Me,
    Overview,
    Records,
    Verification,
    Identity,
    People,
    Federation,
    DomainUsage,
    Kept,
    Settings,
}

/// Who looks at the page.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// E-mail address.
    pub(crate) login: String,
    /// As whom.
    pub(crate) role: Role,
    /// CSRF secret of the login, for the forms.
    pub(crate) csrf: String,
    /// Whom they look at as the owner does, if they do.
    pub(crate) viewing: Option<Viewing>,
}

/// The domain that the page is about.
#[derive(Debug, Clone)]
pub(crate) struct DomainNav {
    /// As people spell it.
    pub(crate) name: String,
    /// Its status chip.
    pub(crate) chip: &'static str,
    /// Its links.
    pub(crate) urls: DomainUrls,
}

/// What every template has as `frame`.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// What the service calls itself.
    pub(crate) service: String,
    /// Say that this is a sandbox?
    pub(crate) sandbox: bool,
    /// May visitors sign up?
    pub(crate) sign_up: bool,
    /// Who is signed in.
    pub(crate) who: Option<Who>,
    /// Where we are.
    pub(crate) here: Here,
    /// Domain of the page, if it is about one.
    pub(crate) domain: Option<DomainNav>,
    /// What the page follows by itself: a domain, `*`, or nothing.
    pub(crate) live: Option<String>,
    /// What was just done.
    pub(crate) notice: Option<&'static str>,
    /// What stands in the way.
    pub(crate) problem: Option<Problem>,
    /// Now, for relative times.
    pub(crate) now: Timestamp,
}

impl Frame {
    /// Frame of a page for somebody who is not signed in.
    pub(crate) fn visitor(panel: &Shared) -> Self {
        let settings = panel.control.settings();
        Self {
            service: settings.name.clone(),
            sandbox: panel.settings.sandbox,
            sign_up: settings.sign_up,
            who: None,
            here: Here::Visitor,
            domain: None,
            live: None,
            notice: None,
            problem: None,
            now: words::now(),
        }
    }

    /// The page is about this domain, and follows it.
    pub(crate) fn about(mut self, view: &DomainView) -> Self {
        self.live = Some(view.domain.clone());
        self.domain = Some(DomainNav {
            name: view.domain.clone(),
            chip: view.chip,
            urls: DomainUrls::new(&view.ascii),
        });
        self
    }

    /// The page follows whatever changes within reach, unless it has just said something that is said once: a secret, or what
    /// is in the way.
    pub(crate) fn following(mut self, said: bool) -> Self {
        self.live = (!said && self.problem.is_none()).then(|| "*".to_owned());
        self
    }

    /// The page does not follow anything (it holds a form or a secret).
    pub(crate) fn still(mut self) -> Self {
        self.live = None;
        self
    }

    /// With a problem above the form.
    pub(crate) fn problem(mut self, problem: Option<Problem>) -> Self {
        self.problem = problem;
        self
    }

    /// Status of a page in this frame.
    pub(crate) fn status(&self) -> StatusCode {
        self.problem
            .as_ref()
            .map_or(StatusCode::OK, |problem| problem.status)
    }

    /// May they? For hiding what would be refused; the operation decides by itself.
    pub(crate) fn may(&self, operation: Op) -> bool {
        self.who.as_ref().is_some_and(|who| {
            operation.reach(who.role) != Reach::No
                && (who.viewing.is_none() || operation.of_viewing())
        })
    }

    /// An operator of the platform, who sees every tenant?
    pub(crate) fn is_platform(&self) -> bool {
        self.who.as_ref().is_some_and(|who| !who.role.of_a_tenant())
    }

    /// Whom they look at as the owner does, if they do.
    pub(crate) fn viewing(&self) -> Option<&Viewing> {
        self.who.as_ref().and_then(|who| who.viewing.as_ref())
    }

    /// Secret for the hidden field of every form.
    pub(crate) fn csrf(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.csrf)
    }

    /// `aria-current` of a navigation entry.
    pub(crate) fn current(&self, here: Here) -> &'static str {
        if self.here == here {
            " aria-current=\"page\""
        } else {
            ""
        }
    }

    /// Is this field the one at fault?
    pub(crate) fn wrong(&self, field: &str) -> bool {
        self.problem
            .as_ref()
            .is_some_and(|problem| problem.at(field))
    }

    /// Address of an asset.
    pub(crate) fn asset(&self, file: &str) -> String {
        assets::url(file)
    }

    /// An error page in this frame.
    pub(crate) fn error_page(
        self,
        status: StatusCode,
        title: &str,
        text: &str,
        remedy: &str,
    ) -> Response {
        let page = ErrorPage {
            frame: self.still(),
            title,
            text,
            remedy,
        };
        html(status, &page)
    }
}

/// What happened, to what, and what to do.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) frame: Frame,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) remedy: &'a str,
}

/// A page as an answer.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            (status, [(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "panel: a page could not be rendered");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong on our side. Try again, and tell the operator if it stays.",
            )
                .into_response()
        }
    }
}

/// A table for a spreadsheet, to be saved under this name.
pub(crate) fn csv(name: &str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, text).into_response()
}

/// After something was done: the next page, with a word of notice.
pub(crate) fn done(path: &str, word: &str) -> Response {
    see_other(&urls::with_notice(path, word))
}

/// 303 to a path of ours.
pub(crate) fn see_other(path: &str) -> Response {
    match HeaderValue::from_str(path) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        // Paths are percent-encoded ASCII; anything else did not come from `urls`.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
