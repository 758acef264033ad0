//! How others verify you: who accepts the domain, by which proof, and why; and the choice of a mode with its cost.

use askama::Template;
use control::domain::{DomainSet, DomainShow, Seen, VerdictView};
use control::records::{Mode, ModeOffer};

use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::Posted;
use crate::frame::{Frame, Here, done, html};
use crate::login::SignedIn;
use crate::urls::DomainUrls;

/// Who × how, for one name.
pub(crate) struct Matrix<'a> {
    pub(crate) name: &'a str,
    pub(crate) hows: Vec<&'a str>,
    pub(crate) rows: Vec<(&'a str, Vec<Option<&'a VerdictView>>)>,
}

#[derive(Template)]
#[template(path = "verification.html")]
pub(crate) struct VerificationPage {
    pub(crate) frame: Frame,
    pub(crate) show: DomainShow,
    pub(crate) urls: DomainUrls,
    pub(crate) issuer: String,
    /// What may be chosen, and what is.
    pub(crate) modes: Vec<ModeOffer>,
}

impl VerificationPage {
    /// Modes that may be chosen here, and the one that is in force.
    fn offers(&self) -> impl Iterator<Item = &ModeOffer> {
        let own = self.show.mode.as_str();
        self.modes
            .iter()
            .filter(move |offer| offer.available || offer.cost.mode == own)
    }

    /// Is it in force beside the mode?
    fn beside(&self, word: &str) -> bool {
        let on = match word {
            "dane" => self.show.dane,
            _ => self.show.posh,
        };
        on && self.show.mode.as_str() != word
    }

    fn matrices(&self) -> Vec<Matrix<'_>> {
        matrices(&self.show.verdicts)
    }
}

/// Verdicts as tables, in the order they came.
pub(crate) fn matrices(verdicts: &[VerdictView]) -> Vec<Matrix<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for verdict in verdicts {
        if !names.contains(&verdict.name.as_str()) {
            names.push(&verdict.name);
        }
    }
    names
        .into_iter()
        .map(|name| {
            let ours = || verdicts.iter().filter(move |verdict| verdict.name == name);
            let mut hows = Vec::new();
            let mut whos = Vec::new();
            for verdict in ours() {
                if !hows.contains(&verdict.prooftype) {
                    hows.push(verdict.prooftype);
                }
                if !whos.contains(&verdict.who) {
                    whos.push(verdict.who);
                }
            }
            let rows = whos
                .into_iter()
                .map(|who| {
                    let cell = |how: &&str| {
                        ours().find(|verdict| verdict.who == who && verdict.prooftype == *how)
                    };
                    (who, hows.iter().map(cell).collect())
                })
                .collect();
            Matrix { name, hows, rows }
        })
        .collect()
}

/// Does the mode order certificates?
pub(crate) fn ordered(mode: &str) -> bool {
    Mode::parse(mode).is_some_and(Mode::orders)
}

/// A prooftype in plain words, with its name.
pub(crate) fn how(prooftype: &str) -> (&'static str, &'static str) {
    match prooftype {
        "pkix" => ("By certificate", "PKIX"),
        "dane" => ("By signed DNS", "DANE"),
        "posh" => ("By your website", "POSH"),
        "dialback" => ("By asking back", "dialback"),
        _ => ("Another way", ""),
    }
}

/// Word, icon and colour of a cell. DANE and POSH are extras: their absence is never red.
pub(crate) fn seen(verdict: &VerdictView) -> (&'static str, &'static str, &'static str) {
    match (verdict.accepted, verdict.prooftype) {
        (Seen::Yes, _) => ("yes", "check-full", "ok"),
        (Seen::No, "dane" | "posh") => ("no", "cross", "unknown"),
        (Seen::No, _) => ("no", "cross", "bad"),
        (Seen::Unknown, _) => ("could not ask", "hollow", "unknown"),
    }
}

/// The matrix and the modes.
pub(crate) async fn show(desk: SignedIn, Path(domain): Path<String>) -> Answer {
    page(&desk, &domain, None).await
}

async fn page(desk: &SignedIn, domain: &str, problem: Option<Problem>) -> Answer {
    let show = view_of(desk, domain).await?;
    let page = VerificationPage {
        frame: desk
            .at(Here::Verification)
            .about(&show.view)
            .problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        issuer: desk.panel.control.issuer().name,
        modes: desk.panel.control.modes(),
        show,
    };
    Ok(html(page.frame.status(), &page))
}

/// Chooses a mode.
pub(crate) async fn mode(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let beside = fields.all("beside");
    let set = DomainSet {
        mode: Some(fields.text("mode").to_owned()),
        dane: Some(beside.iter().any(|word| word == "dane")),
        posh: Some(beside.iter().any(|word| word == "posh")),
        version: fields.version(),
        ..DomainSet::default()
    };
    match desk
        .panel
        .control
        .domain_set(&desk.actor, &domain, set)
        .await
    {
        Ok(_) => Ok(done(&DomainUrls::new(&domain).verification(), "saved")),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
            page(&desk, &domain, Some(problem)).await
        }
    }
}
