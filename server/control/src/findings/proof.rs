//! Names that nobody can verify: what flags them are the verdicts, not what is published (DNA-31).

use std::collections::BTreeSet;

use super::codes::*;
use super::{Finding, Severity, Surroundings, finding};
use crate::domain::{Seen, State, VerdictView};
use crate::records::{DomainFacts, Mode};
use crate::verdict::is_proof;

/// A row for each name for which every proof is known not to hold; where one could not be judged, nothing is said.
pub(super) fn proof(domain: &DomainFacts, around: &Surroundings<'_>) -> Vec<Finding> {
    let served = matches!(around.state, State::Live | State::Degraded);
    // Before there is an identity it is no news that it proves nothing.
    let early = !served && around.certificate.is_none();
    if early || !around.state.is_served() {
        return Vec::new();
    }
    let names: BTreeSet<&str> = around.verdicts.iter().map(|v| v.name.as_str()).collect();
    let mut findings = Vec::new();
    for name in names {
        let of_it = || around.verdicts.iter().filter(|v| v.name == name);
        let proofs: Vec<&VerdictView> = of_it().filter(|verdict| is_proof(verdict)).collect();
        if proofs.is_empty() || proofs.iter().any(|v| v.accepted != Seen::No) {
            continue;
        }
        let own = domain.name == name;
        let reached = of_it().any(|v| v.prooftype == "dialback" && v.accepted == Seen::Yes);
        // Nobody comes to a service whose record was never published, and that may be left out.
        if !own && !reached {
            continue;
        }
        let severity = match (own, served) {
            (true, true) => Severity::Critical,
            (true, false) => Severity::Warning,
            // Where the mode has no proof for services, that was told before it was chosen.
            (false, _) if domain.mode == Mode::Posh && !domain.dane => Severity::Info,
            (false, _) => Severity::Warning,
        };
        let observed = proofs
            .iter()
            .map(|verdict| format!("{}: {}", spelled(verdict.prooftype), verdict.why))
            .collect::<Vec<_>>()
            .join(" ");
        findings.push(finding(
            NO_PROOF,
            severity,
            format!("proof {name}"),
            "a certificate, signed DNS (DANE) or a website (POSH) that proves the name",
            &observed,
            "this server",
            fix(domain, name, own),
        ));
    }
    findings
}

fn spelled(prooftype: &str) -> &str {
    match prooftype {
        "pkix" => "Certificate",
        "dane" => "DANE",
        "posh" => "POSH",
        other => other,
    }
}

fn fix(domain: &DomainFacts, name: &str, own: bool) -> String {
    match (domain.mode, own) {
        (Mode::Uploaded, _) => format!("Upload a certificate that holds {name}."),
        (Mode::Posh, true) => {
            "Let your website answer as the records page shows, or choose another way of proof."
                .into()
        }
        (Mode::Posh, false) => format!(
            "Your website speaks for {} only: if strict servers are to reach {name}, add signed DNS (DANE), or choose a certificate.",
            domain.name
        ),
        (Mode::Dane, _) => format!(
            "Sign the zone {} and have your registrar publish its DS record, or choose another way of proof.",
            domain.zone_or_self()
        ),
        (_, true) => {
            "See what is in the way of the certificate; we order it again by ourselves.".into()
        }
        (Mode::HttpRedirect, false) => format!(
            "Let the website of {name} lead to us as the records page shows; the name joins the certificate by itself."
        ),
        (Mode::DelegatedChallenge | Mode::DnsPersist, false) => {
            format!("Publish the challenge record of {name}; it joins the certificate by itself.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{around, facts, issuer, settings};
    use super::*;

    fn verdict(
        name: &str,
        who: &'static str,
        prooftype: &'static str,
        accepted: Seen,
    ) -> VerdictView {
        VerdictView {
            name: name.into(),
            who,
            prooftype,
            accepted,
            why: "Because.".into(),
        }
    }

    /// Verdicts of other servers on a name, by PKIX, DANE and POSH, and whether the DNS leads them here.
    fn of(name: &str, [pkix, dane, posh]: [Seen; 3], led_here: Seen) -> Vec<VerdictView> {
        vec![
            verdict(name, "strict servers", "pkix", pkix),
            verdict(name, "servers with DANE", "dane", dane),
            verdict(name, "servers with POSH", "posh", posh),
            verdict(name, "older servers", "dialback", led_here),
        ]
    }

    fn found(
        mode: Mode,
        verdicts: &[VerdictView],
        change: impl FnOnce(&mut Surroundings<'_>),
    ) -> Vec<(String, Severity)> {
        let (settings, issuer) = (settings(), issuer());
        let mut around = around(&settings, &issuer);
        around.verdicts = verdicts;
        change(&mut around);
        let domain = DomainFacts { mode, ..facts() };
        let found = proof(&domain, &around);
        assert!(
            found
                .iter()
                .all(|row| row.code == NO_PROOF && !row.fix.is_empty())
        );
        found
            .into_iter()
            .map(|row| (row.subject, row.severity))
            .collect()
    }

    const NAME: &str = "example.com";
    const ROOMS: &str = "rooms.example.com";
    use Seen::{No, Unknown, Yes};

    #[test]
    fn dna_31_names_without_any_proof_are_flagged() {
        let mode = Mode::DelegatedChallenge;
        let live = |verdicts: &[VerdictView]| found(mode, verdicts, |_| {});
        let flagged = |severity| vec![(format!("proof {NAME}"), severity)];
        assert_eq!(live(&of(NAME, [No; 3], Yes)), flagged(Severity::Critical));
        // Apps may believe what servers do not, and asking back is no proof.
        let mut with_people = of(NAME, [No; 3], Yes);
        with_people.push(verdict(NAME, crate::verdict::PEOPLE, "pkix", Yes));
        assert_eq!(live(&with_people), flagged(Severity::Critical));
        for one in 0..3 {
            let mut cells = [No; 3];
            cells[one] = Yes;
            assert_eq!(live(&of(NAME, cells, Yes)), []);
            cells[one] = Unknown;
            assert_eq!(live(&of(NAME, cells, Yes)), [], "unknown is never failed");
        }
        assert_eq!(live(&[]), [], "not judged");
    }

    #[test]
    fn it_weighs_by_what_people_feel() {
        let mode = Mode::DelegatedChallenge;
        let verdicts = of(NAME, [No; 3], Yes);
        let flagged = |severity| vec![(format!("proof {NAME}"), severity)];
        let ready = |around: &mut Surroundings<'_>| around.state = State::Ready;
        assert_eq!(found(mode, &verdicts, ready), flagged(Severity::Warning));
        let claimed = |around: &mut Surroundings<'_>| around.state = State::Claimed;
        assert_eq!(found(mode, &verdicts, claimed), []);
        let early = |around: &mut Surroundings<'_>| {
            around.state = State::Publishing;
            around.certificate = None;
        };
        assert_eq!(found(mode, &verdicts, early), []);
    }

    #[test]
    fn a_service_is_flagged_where_others_find_it() {
        let verdicts = |led_here| {
            let mut all = of(NAME, [Yes, No, No], Yes);
            all.extend(of(ROOMS, [No; 3], led_here));
            all
        };
        let flagged = |severity| vec![(format!("proof {ROOMS}"), severity)];
        let live = |mode, led_here| found(mode, &verdicts(led_here), |_| {});
        let mode = Mode::DelegatedChallenge;
        assert_eq!(live(mode, Yes), flagged(Severity::Warning));
        assert_eq!(live(mode, No), []);
        assert_eq!(live(mode, Unknown), []);
        // A website speaks for the domain only, as is told before it is chosen.
        assert_eq!(live(Mode::Posh, Yes), flagged(Severity::Info));
    }
}
