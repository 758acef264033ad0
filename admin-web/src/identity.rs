//! Identity: the certificates of a domain, what comes next, ordering and uploading.

use askama::Template;
use control::certificate::{CertificateUpload, CertificateView};
use control::domain::DomainShow;
use control::{ControlError, Secret};

use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "identity.html")]
pub(crate) struct IdentityPage {
    pub(crate) frame: Frame,
    pub(crate) show: DomainShow,
    pub(crate) urls: DomainUrls,
    pub(crate) certificates: Vec<CertificateView>,
    pub(crate) issuer: String,
}

impl IdentityPage {
    fn current(&self) -> Option<&CertificateView> {
        let mut certificates = self.certificates.iter();
        certificates.find(|certificate| certificate.state == "current")
    }

    fn others(&self) -> Vec<&CertificateView> {
        let certificates = self.certificates.iter();
        certificates.filter(|c| c.state != "current").collect()
    }
}

/// The part of a certificate's life that is left, of 100, and how to colour it.
pub(crate) fn left(certificate: &CertificateView, now: &control::Timestamp) -> (i64, &'static str) {
    let whole = (certificate.not_after.0 - certificate.not_before.0).max(1);
    let left = (certificate.not_after.0 - now.0).clamp(0, whole);
    let percent = (i128::from(left) * 100 / i128::from(whole)) as i64;
    let colour = match percent {
        0 => "bad",
        // Renewal happens with a third left; well below that something is in the way.
        p if p < 15 => "warn",
        _ => "ok",
    };
    (percent, colour)
}

/// The page.
pub(crate) async fn show(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    page(&desk, &domain, None).await
}

async fn page(desk: &SignedIn, domain: &str, problem: Option<Problem>) -> Answer {
    let control = &desk.panel.control;
    let show = view_of(desk, domain).await?;
    let certificates = control
        .certificate_list(&desk.actor, domain)
        .await
        .or_page(desk)?;
    let page = IdentityPage {
        frame: desk.at(Here::Identity).about(&show.view).problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        certificates,
        issuer: control.issuer().name,
        show,
    };
    Ok(html(page.frame.status(), &page))
}

/// Orders now.
pub(crate) async fn order(Path(domain): Path<String>, Posted { desk, .. }: Posted) -> Answer {
    match desk
        .panel
        .control
        .certificate_order(&desk.actor, &domain)
        .await
    {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).identity(), "ordered")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

/// Takes chain and key.
pub(crate) async fn upload(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let upload = CertificateUpload {
        chain_pem: fields.file_or_text("chain_file", "chain_pem").to_owned(),
        key_pem: Secret::from(fields.file_or_text("key_file", "key_pem")),
    };
    match desk
        .panel
        .control
        .certificate_upload(&desk.actor, &domain, upload)
        .await
    {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).identity(), "uploaded")),
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

async fn refused(desk: &SignedIn, domain: &str, failure: ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, domain, Some(problem)).await
}
