//! What operators of the platform see of certificates, and which domains a check fails for.

use askama::Template;
use axum::http::StatusCode;
use control::certificate::{AuthorityView, OrderView};

use crate::chart::{self, Bar};
use crate::door::Path;
use crate::error::Answer;
use crate::frame::{Frame, Here, html};
use crate::login::{OrPage, SignedIn};
use crate::ui::Markup;
use crate::urls::DomainUrls;
use crate::words;

#[derive(Template)]
#[template(path = "certificates.html")]
pub(crate) struct CertificatesPage {
    pub(crate) frame: Frame,
    pub(crate) authorities: Vec<AuthorityView>,
    pub(crate) orders: Vec<OrderView>,
    /// By days left.
    pub(crate) certificates: Vec<(Option<u32>, u64)>,
}

impl CertificatesPage {
    fn chart(&self) -> Markup {
        ends(&self.certificates)
    }
}

/// Certificates by the days that they have left.
pub(crate) fn ends(certificates: &[(Option<u32>, u64)]) -> Markup {
    let mut from = 0;
    let bars: Vec<Bar> = certificates
        .iter()
        .map(|(bound, count)| {
            let (label, colour) = match bound {
                Some(1) => ("ended or today".to_owned(), "bad"),
                Some(to) if *to <= 7 => (format!("{from}\u{2013}{to} days"), "bad"),
                Some(to) if *to <= 14 => (format!("{from}\u{2013}{to} days"), "warn"),
                Some(to) => (format!("{from}\u{2013}{to} days"), "ok"),
                None => (format!("{from} or more"), "ok"),
            };
            from = bound.unwrap_or(from);
            let colour = if *count == 0 { "unknown" } else { colour };
            Bar {
                label,
                value: *count,
                colour,
            }
        })
        .collect();
    chart::bars("Certificates in use by days left", &bars)
}

/// A limit's bar.
pub(crate) fn used(about: &str, used: &control::certificate::Used) -> Markup {
    chart::meter(about, used.used, used.most.into())
}

/// `within 3 hours`.
pub(crate) fn within(seconds: &u32) -> String {
    words::span(u64::from(*seconds) * 1_000_000)
}

/// Authorities with what of their limits is used, and who stands in line.
pub(crate) async fn certificates(desk: SignedIn) -> Answer {
    let control = &desk.panel.control;
    let mut frame = desk.at(Here::Certificates);
    frame.live = Some("*".to_owned());
    let page = CertificatesPage {
        authorities: control.authority_list(&desk.actor).await.or_page(&desk)?,
        orders: control
            .certificate_queue(&desk.actor, None)
            .await
            .or_page(&desk)?,
        certificates: control
            .overview(&desk.actor)
            .await
            .or_page(&desk)?
            .certificates,
        frame,
    };
    Ok(html(StatusCode::OK, &page))
}

#[derive(Template)]
#[template(path = "failing.html")]
pub(crate) struct FailingPage {
    pub(crate) frame: Frame,
    pub(crate) code: String,
    pub(crate) domains: Vec<String>,
}

impl FailingPage {
    fn fix(&self) -> &'static str {
        let known = control::findings::CODES;
        known
            .iter()
            .find(|known| known.code == self.code)
            .map_or("", |known| known.fix)
    }
}

/// Link to a domain by its name.
pub(crate) fn link(domain: &str) -> DomainUrls {
    DomainUrls::new(domain)
}

/// Domains for which a check fails.
pub(crate) async fn failing(desk: SignedIn, Path(code): Path<String>) -> Answer {
    let control = &desk.panel.control;
    let domains = control
        .failing_domains(&desk.actor, &code)
        .await
        .or_page(&desk)?;
    let page = FailingPage {
        frame: desk.at(Here::Home),
        code,
        domains,
    };
    Ok(html(StatusCode::OK, &page))
}
