//! How others verify you: who accepts the domain, by which proof, and why; and the choice of a mode with its cost, and with who
//! would accept the domain then.

use askama::Template;
use axum::extract::RawQuery;
use control::domain::{DomainSet, DomainShow, Seen, VerdictView};
use control::records::{Mode, ModeOffer};
use control::verdict::{Foreseen, VerdictsAsk};

use crate::domains::view_of;
use crate::door::Path;
use crate::error::{Answer, Problem};
use crate::form::{Fields, Posted};
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
    /// What is being thought about, and who would accept the domain then.
    pub(crate) foreseen: Option<Foreseen>,
}

impl VerificationPage {
    /// Modes that may be chosen here, and the one that is in force.
    fn offers(&self) -> impl Iterator<Item = &ModeOffer> {
        let own = self.show.mode.as_str();
        self.modes
            .iter()
            .filter(move |offer| offer.available || offer.cost.mode == own)
    }

    /// The way that is thought about, or else the one in force.
    fn mode(&self) -> &'static str {
        let thought = self.foreseen.as_ref().map(|foreseen| foreseen.mode);
        thought.unwrap_or(self.show.mode).as_str()
    }

    /// Does it stand beside that way?
    fn beside(&self, word: &str) -> bool {
        let (dane, posh) = match &self.foreseen {
            Some(foreseen) => (foreseen.dane, foreseen.posh),
            None => (self.show.dane, self.show.posh),
        };
        let on = match word {
            "dane" => dane,
            _ => posh,
        };
        on && self.mode() != word
    }

    /// Is what is thought about something else than what is in force?
    fn changes(&self) -> bool {
        let show = &self.show;
        self.foreseen.as_ref().is_some_and(|then| {
            (then.mode, then.dane, then.posh) != (show.mode, show.dane, show.posh)
        })
    }

    /// Title of the way that is thought about.
    fn title(&self) -> &'static str {
        let cost = self.modes.iter().map(|offer| &offer.cost);
        let mut thought = cost.filter(|cost| cost.mode == self.mode());
        thought.next().map_or("", |cost| cost.title)
    }

    /// What the same cell says today, where that is something else.
    fn today(&self, then: &VerdictView) -> Option<&'static str> {
        let same = |now: &&VerdictView| {
            (&now.name, now.who, now.prooftype) == (&then.name, then.who, then.prooftype)
        };
        let now = self.show.verdicts.iter().find(same)?;
        (now.accepted != then.accepted).then(|| seen(now).0)
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

/// The matrix and the modes; with a mode in the address, also what it would become.
pub(crate) async fn show(
    desk: SignedIn,
    Path(domain): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let asked = Fields::of_query(query.as_deref().unwrap_or_default());
    page(&desk, &domain, None, &asked).await
}

/// The choice in a form, or in an address; `None`: none is made.
fn choice(fields: &Fields) -> Option<VerdictsAsk> {
    let mode = Some(fields.text("mode").to_owned()).filter(|mode| !mode.is_empty())?;
    let beside = fields.all("beside");
    let is_beside = |word: &str| Some(beside.iter().any(|chosen| chosen == word));
    Some(VerdictsAsk {
        mode: Some(mode),
        dane: is_beside("dane"),
        posh: is_beside("posh"),
    })
}

async fn page(
    desk: &SignedIn,
    domain: &str,
    mut problem: Option<Problem>,
    asked: &Fields,
) -> Answer {
    let show = view_of(desk, domain).await?;
    let control = &desk.panel.control;
    let mut foreseen = None;
    if let Some(ask) = choice(asked) {
        match control.verdicts_if(&desk.actor, domain, ask).await {
            Ok(found) => foreseen = Some(found),
            Err(failure) => {
                let other = Problem::of(failure).map_err(|other| desk.fail(other))?;
                problem = problem.or(Some(other));
            }
        }
    }
    let page = VerificationPage {
        frame: desk
            .at(Here::Verification)
            .about(&show.view)
            .problem(problem),
        urls: DomainUrls::new(&show.view.ascii),
        issuer: control.issuer().name,
        modes: control.modes(),
        show,
        foreseen,
    };
    Ok(html(page.frame.status(), &page))
}

/// Chooses a mode.
pub(crate) async fn mode(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let ask = choice(&fields).unwrap_or_default();
    let set = DomainSet {
        // Nothing chosen is no mode, and is told so.
        mode: Some(ask.mode.unwrap_or_default()),
        dane: ask.dane,
        posh: ask.posh,
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
            page(&desk, &domain, Some(problem), &fields).await
        }
    }
}
