//! The matrix as it would become: in a mode that is only being thought about, once its owner has published what it wants.

use serde::{Deserialize, Serialize};

use super::{
    Case, Certificate, FOR_THE_DOMAIN_ONLY, NO_DOCUMENT, Named, Posh, Shown, Tlsa, judge_all, names,
};
use crate::domain::{DomainSet, Memory, Seen, VerdictView};
use crate::error::Result;
use crate::permission::Operation;
use crate::records::Mode;
use crate::{Actor, Control};

/// In which mode the verdicts are asked for; what is not said is as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct VerdictsAsk {
    /// Word of [`Mode`].
    #[serde(default)]
    pub mode: Option<String>,
    /// TLSA records beside it.
    #[serde(default)]
    pub dane: Option<bool>,
    /// POSH documents beside it.
    #[serde(default)]
    pub posh: Option<bool>,
}

/// Who would accept a domain how.
#[derive(Debug, Clone, Serialize)]
pub struct Foreseen {
    /// In this mode.
    pub mode: Mode,
    /// With TLSA records.
    pub dane: bool,
    /// With POSH documents.
    pub posh: bool,
    /// What the mode wants is taken as published; otherwise this is what was seen.
    pub foreseen: bool,
    /// The matrix, row by row.
    pub verdicts: Vec<VerdictView>,
}

impl Control {
    /// Who would accept a domain how in the mode that is asked for, once its owner has published what that wants; without one,
    /// who does today. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// As [`Control::domain_set`] for a mode that is none, or is not offered.
    pub async fn verdicts_if(
        &self,
        actor: &Actor,
        domain: &str,
        ask: VerdictsAsk,
    ) -> Result<Foreseen> {
        let row = self
            .domain_row(actor, Operation::DomainVerdicts, domain)
            .await?;
        let memory = Memory::of(&row);
        let seen = memory.seen.as_ref();
        let is_foreseen = ask != VerdictsAsk::default();
        let set = DomainSet {
            mode: ask.mode,
            dane: ask.dane,
            posh: ask.posh,
            ..DomainSet::default()
        };
        let set = set.checked(&self.settings().service_names)?;
        if let Some(mode) = set.mode.as_deref().filter(|mode| *mode != row.mode)
            && let Some(mode) = Mode::parse(mode)
        {
            self.check_offered(mode)?;
        }
        let mut then = row.clone();
        set.apply(&mut then);
        let facts = self.facts_of(&then, &memory);
        let verdicts = if is_foreseen {
            foreseen(&Case {
                facts: &facts,
                seen,
                chain: None,
                anchors: &self.parts.anchors,
                settings: self.settings(),
                now: self.now(),
            })
        } else {
            self.verdicts(&row, &facts, seen).await?
        };
        Ok(Foreseen {
            mode: facts.mode,
            dane: facts.dane,
            posh: facts.posh,
            foreseen: is_foreseen,
            verdicts,
        })
    }
}

/// Who would accept the domain and each of its services in the mode of [`Case::facts`], once every record, document and
/// certificate that this mode wants is there. Only what its owner was never asked to publish counts as it was seen: whether
/// their zone is signed, and ours. The certificate in use plays no part: the mode brings its own.
pub fn foreseen(case: &Case<'_>) -> Vec<VerdictView> {
    let target = case.facts.target(case.settings);
    let mut views = Vec::new();
    for named in names(case) {
        let shown = Shown {
            certificate: certificate(case.facts.mode, &named),
            anchors: case.anchors,
            led_here: Seen::Yes,
            target: &target,
            tlsa: tlsa(case),
            posh: posh(case, &named),
            now: case.now,
        };
        let mut rows = judge_all(&named.name, named.service.is_none(), &shown);
        for row in &mut rows {
            if row.prooftype == "dialback" && row.accepted == Seen::Yes {
                row.why = format!(
                    "Once its SRV record is there, the DNS leads them to {target}, which answers for {}.",
                    named.name
                );
            }
        }
        views.append(&mut rows);
    }
    views
}

fn certificate(mode: Mode, named: &Named) -> Certificate<'static> {
    let name = &named.name;
    let (accepted, why) = match mode {
        Mode::Uploaded => (
            Seen::Yes,
            format!("Once you have uploaded a certificate that holds {name}."),
        ),
        Mode::Posh | Mode::Dane => (
            Seen::No,
            "We show a key of our own, for which no certificate authority vouches.".into(),
        ),
        Mode::DelegatedChallenge | Mode::DnsPersist => (
            Seen::Yes,
            format!("Once your records are there, we obtain a certificate that holds {name}."),
        ),
        Mode::HttpRedirect => (
            Seen::Yes,
            format!(
                "Once the website of {name} leads to us, we obtain a certificate that holds it."
            ),
        ),
    };
    Certificate::Foreseen(accepted, why)
}

/// Signed records count, and no others (RFC 7673 3.1): the owner's zone must be signed, and so must ours.
fn tlsa(case: &Case<'_>) -> Tlsa {
    if !case.facts.dane {
        return Tlsa::No("No TLSA record is published for the host".into());
    }
    let zone = case.facts.zone_or_self();
    let theirs = case.seen.and_then(|seen| seen.zone_signed);
    let ours = case.seen.and_then(|seen| seen.target_signed);
    let (accepted, why) = match (theirs, ours) {
        (Some(false), _) => (
            Seen::No,
            format!("It would not count: your zone {zone} is not signed (DNSSEC)"),
        ),
        (_, Some(false)) => (
            Seen::No,
            "It would not count: our host's addresses are not signed (DNSSEC)".into(),
        ),
        (Some(true), None) => (
            Seen::Unknown,
            "It counts if our host is in a signed zone (DNSSEC), which we could not see yet.".into(),
        ),
        (None, _) => (
            Seen::Unknown,
            format!("It counts if your zone {zone} is signed (DNSSEC), which we could not ask yet."),
        ),
        (Some(true), Some(true)) => (
            Seen::Yes,
            "Once your SRV record is there, it leads them to our host, whose signed TLSA records describe the key.".into(),
        ),
    };
    Tlsa::Foreseen(accepted, why)
}

fn posh(case: &Case<'_>, named: &Named) -> Posh<'static> {
    match (case.facts.posh, &named.service) {
        (false, _) => Posh::No(NO_DOCUMENT),
        (true, Some(_)) => Posh::No(FOR_THE_DOMAIN_ONLY),
        (true, None) => Posh::Foreseen(
            "Once your website answers as the records page shows, it names the certificate.".into(),
        ),
    }
}
