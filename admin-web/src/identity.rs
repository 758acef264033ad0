//! Identity: the certificates of a domain, what comes next, ordering and uploading.

use askama::Template;
use control::certificate::{CertificateUpload, CertificateView};
use control::domain::DomainShow;
use control::rollover::{KeyChange, RolloverView};
use control::{ControlError, Secret};

use crate::chart::{self, Mark, Span};
use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::{OrPage, SignedIn};
use crate::ui::Markup;
use crate::urls::DomainUrls;

#[derive(Template)]
#[template(path = "identity.html")]
pub(crate) struct IdentityPage {
    pub(crate) frame: Frame,
    pub(crate) show: DomainShow,
    pub(crate) urls: DomainUrls,
    pub(crate) certificates: Vec<CertificateView>,
    pub(crate) issuer: String,
    pub(crate) rollover: RolloverView,
}

impl IdentityPage {
    fn current(&self) -> Option<&CertificateView> {
        let mut certificates = self.certificates.iter();
        certificates.find(|certificate| certificate.state == "current")
    }

    /// Certificates and what happens to them, as a picture.
    fn picture(&self) -> Markup {
        let shown = self
            .certificates
            .iter()
            .filter(|one| matches!(one.state.as_str(), "current" | "next"))
            .map(|one| Span {
                from: one.not_before,
                to: one.not_after,
                label: match one.state.as_str() {
                    "current" => format!("in use, from {}", one.issuer),
                    _ => format!("the next one, from {}", one.issuer),
                },
                colour: if one.state == "current" { "ok" } else { "you" },
            });
        let spans: Vec<Span> = shown.collect();
        let mut marks = vec![Mark {
            at: self.frame.now,
            label: "today",
        }];
        let renewal = self.current().and_then(|current| current.renew_at);
        let next = self.certificates.iter().any(|one| one.state == "next");
        marks.extend(renewal.filter(|_| !next).map(|at| Mark {
            at,
            label: "renewal",
        }));
        let steps = self.rollover.steps.iter();
        marks.extend(
            steps
                .filter(|step| step.step == "swap")
                .filter_map(|step| step.at)
                .map(|at| Mark {
                    at,
                    label: "new key",
                }),
        );
        chart::timeline("Certificates", &spans, &marks)
    }

    fn others(&self) -> Vec<&CertificateView> {
        let certificates = self.certificates.iter();
        certificates.filter(|c| c.state != "current").collect()
    }
}

/// Class of a step in the timeline.
pub(crate) fn step(standing: &str) -> &'static str {
    match standing {
        "done" => "past",
        _ => "",
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
    let rollover = control
        .certificate_rollover(&desk.actor, domain)
        .await
        .or_page(desk)?;
    let page = IdentityPage {
        frame: desk.at(Here::Identity).about(&show.view).problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        certificates,
        rollover,
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

/// Has another key made: in good order, or at once.
pub(crate) async fn key(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let change = KeyChange {
        emergency: fields.text("how") == "emergency",
    };
    match desk
        .panel
        .control
        .certificate_change_key(&desk.actor, &domain, change)
        .await
    {
        Ok(()) => Ok(done(&DomainUrls::new(&domain).identity(), "another-key")),
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
        Ok(view) => {
            let notice = if view.state == "next" {
                "uploaded-ahead"
            } else {
                "uploaded"
            };
            Ok(done(&DomainUrls::new(&domain).identity(), notice))
        }
        Err(failure) => refused(&desk, &domain, failure).await,
    }
}

async fn refused(desk: &SignedIn, domain: &str, failure: ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    page(desk, domain, Some(problem)).await
}
