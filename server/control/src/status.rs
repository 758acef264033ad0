//! What is said of a domain: its chip, its sentence, the four stations and the next step. Pure; second person, no jargon.

use store::DomainRow;

use crate::certificate::CertificateView;
use crate::domain::{
    BY_LAPSE, BY_PLATFORM, Believed, Choices, DomainView, Memory, NextStep, Seen, State, Station,
    state_of,
};
use crate::findings::{self, FindingView, Severity};
use crate::records::Mode;

/// A domain in a list.
pub(crate) fn view(row: &DomainRow, memory: &Memory, accounts: u64) -> DomainView {
    let state = state_of(row);
    DomainView {
        id: row.id.0,
        domain: row.name.to_string(),
        ascii: row.name.to_ascii().into_owned(),
        tenant: row.tenant.0,
        state,
        chip: chip(state, memory),
        status: sentence(row, state, memory.believed.as_ref()),
        accounts,
        created: row.created,
    }
}

/// The most urgent first: what people feel, then what waits for somebody, then what is well, then what is stopped.
pub(crate) fn urgency(state: State) -> u8 {
    match state {
        State::Degraded => 0,
        State::Claimed => 1,
        State::Verified => 2,
        State::Publishing => 3,
        State::Ready => 4,
        State::Live => 5,
        State::Suspended => 6,
        State::Releasing => 7,
    }
}

/// The panel's fixed vocabulary.
fn chip(state: State, memory: &Memory) -> &'static str {
    match state {
        State::Live => "live",
        State::Ready => "ready",
        State::Degraded => "degraded",
        State::Suspended | State::Releasing => "stopped",
        // Before the first look, and while the certificate is being made, nobody waits for the owner.
        State::Claimed if memory.seen.is_none() => "waiting for the world",
        State::Claimed | State::Verified => "waiting for you",
        State::Publishing => "waiting for the world",
    }
}

fn sentence(row: &DomainRow, state: State, believed: Option<&Believed>) -> String {
    let reason = if row.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", row.reason)
    };
    match state {
        State::Claimed => "Waiting for the record that shows the domain is yours.".into(),
        State::Verified => "The domain is yours. Publish the other records next.".into(),
        State::Publishing => "Records are appearing; the certificate comes next.".into(),
        State::Ready => "Everything on our side stands. Point the service records at us whenever you like; there is no gap.".into(),
        State::Live => believed.map_or_else(
            || "Live. By what others can verify you, the next look says.".into(),
            proven,
        ),
        State::Degraded => "Something that people feel is wrong; the page of the domain says what.".into(),
        State::Suspended if has_given_way(row) => {
            "Stopped: the record that shows the domain is yours had gone, and another customer has shown that it is theirs. What you have here is kept.".into()
        }
        State::Suspended if row.suspended_by == BY_LAPSE => {
            "Stopped, because the record that shows the domain is yours has been gone too long.".into()
        }
        State::Suspended if row.suspended_by == BY_PLATFORM => format!("Stopped by the operator of this service{reason}."),
        State::Suspended => format!("Stopped by you{reason}."),
        State::Releasing => "Being erased.".into(),
    }
}

/// Whether people can sign in, and by which proofs other servers can verify the domain.
pub(crate) fn proven(believed: &Believed) -> String {
    let people = match believed.people {
        Seen::Yes => "People can sign in",
        Seen::No => "Ordinary apps cannot verify you, so people cannot sign in with them",
        Seen::Unknown => {
            "People can reach you, but whether their apps can verify you we could not judge"
        }
    };
    let by: Vec<&str> = believed
        .by
        .iter()
        .filter_map(|word| match word.as_str() {
            "pkix" => Some("certificate"),
            "posh" => Some("website (POSH)"),
            "dane" => Some("signed DNS (DANE)"),
            _ => None,
        })
        .collect();
    let servers = match (by.as_slice(), believed.is_open) {
        ([], true) => "whether other servers can verify you we could not judge".into(),
        ([], false) => "other servers cannot verify you by any proof".into(),
        ([one], _) => format!("other servers can verify you by {one}"),
        ([first @ .., last], _) => {
            format!(
                "other servers can verify you by {} and {last}",
                first.join(", ")
            )
        }
    };
    format!("{people}; {servers}.")
}

/// What the stations and the next step are told from.
pub(crate) struct Story<'a> {
    pub row: &'a DomainRow,
    pub memory: &'a Memory,
    pub checks: &'a [FindingView],
    pub certificate: Option<&'a CertificateView>,
    pub can_publish: bool,
    pub accounts: u64,
}

impl Story<'_> {
    fn state(&self) -> State {
        state_of(self.row)
    }

    /// Would people's apps believe the domain, if that was judged?
    fn believed_by_people(&self) -> Option<Seen> {
        self.memory
            .believed
            .as_ref()
            .map(|believed| believed.people)
    }

    fn worst(&self) -> Option<&FindingView> {
        self.checks
            .iter()
            .find(|check| check.severity == Severity::Critical)
    }

    /// Needed records that are not there yet.
    fn missing(&self) -> usize {
        self.checks
            .iter()
            .filter(|check| check.severity == Severity::Critical && is_record(&check.subject))
            .count()
    }

    /// Ownership → Records → Identity → Live.
    pub(crate) fn stations(&self) -> Vec<Station> {
        let state = self.state();
        let owned = self.row.verified_at.is_some() && state != State::Claimed;
        let missing = self.missing();
        let published = owned && self.memory.seen.is_some() && missing == 0;
        let identity = self.certificate.is_some();
        let live = state == State::Live;
        let first_open = [owned, published, identity, live]
            .iter()
            .position(|done| !done)
            .unwrap_or(4);
        let standing = |index: usize, done: bool, trouble: bool| match (done, trouble) {
            (true, _) => "done",
            (false, true) => "trouble",
            (false, false) if index == first_open => "now",
            (false, false) => "later",
        };
        let lapsed = self
            .checks
            .iter()
            .any(|check| check.code == findings::OWNERSHIP_LAPSED);
        let order = !self.memory.order.said.is_empty();
        let upload = Mode::parse(&self.row.mode) == Some(Mode::Uploaded);
        let own = Mode::parse(&self.row.mode).is_some_and(Mode::is_own);
        vec![
            Station {
                name: "Ownership",
                standing: standing(0, owned && !lapsed, lapsed),
                text: match (owned, lapsed) {
                    (_, true) => "The TXT record has gone; publish it again.".into(),
                    (true, false) => "The domain is yours.".into(),
                    (false, false) => "Waits for one TXT record.".into(),
                },
            },
            Station {
                name: "Records",
                standing: standing(1, published, state == State::Degraded && missing > 0),
                text: match (published, missing) {
                    (true, _) => "All needed records are there.".into(),
                    (false, 0) => "Not looked at yet.".into(),
                    (false, 1) => "One needed record is missing or differs.".into(),
                    (false, more) => format!("{more} needed records are missing or differ."),
                },
            },
            Station {
                name: "Identity",
                standing: standing(2, identity, order && !identity),
                text: match (self.certificate, order, upload) {
                    (Some(certificate), ..) if own => format!(
                        "A key of our own, {} days left; nobody else vouches for it.",
                        certificate.days_left
                    ),
                    (None, ..) if own => "We make it with the next look.".into(),
                    (Some(certificate), ..) => format!(
                        "Certificate from {}, {} days left.",
                        certificate.issuer, certificate.days_left
                    ),
                    (None, true, _) => "The certificate authority refused; we try again.".into(),
                    (None, false, true) => "Waits for your certificate.".into(),
                    (None, false, false) => {
                        "Waits for the challenge record, then takes a minute.".into()
                    }
                },
            },
            Station {
                name: "Live",
                standing: standing(3, live, state == State::Degraded),
                text: match state {
                    State::Live if self.believed_by_people() == Some(Seen::No) => {
                        "Other servers reach you; ordinary apps cannot verify you.".into()
                    }
                    State::Live => "People can sign in.".into(),
                    State::Degraded => self
                        .worst()
                        .map_or_else(|| "Something is wrong.".into(), |check| check.fix.clone()),
                    State::Suspended | State::Releasing => "Stopped.".into(),
                    _ => "Waits for the others, then for a sign-in by the public door.".into(),
                },
            },
        ]
    }

    /// The card with one button.
    pub(crate) fn next_step(&self) -> NextStep {
        let name = &self.row.name;
        let step = |title: String, text: String, action| NextStep {
            title,
            text,
            action,
        };
        let publish = |title: &str, text: String| {
            if self.can_publish {
                step(
                    title.into(),
                    format!("{text} This sandbox can do it for you."),
                    "publish",
                )
            } else {
                step(
                    title.into(),
                    format!("{text} Then leave the rest to us: we look every few seconds."),
                    "records",
                )
            }
        };
        match self.state() {
            State::Claimed => publish("Show that the domain is yours", format!("Publish the records of {name} at your DNS host; the TXT record comes first.")),
            State::Verified => publish("Publish the records", format!("The domain is yours. Now publish the other records of {name}.")),
            State::Publishing if Mode::parse(&self.row.mode) == Some(Mode::Uploaded) => {
                step("Upload the certificate".into(), format!("Upload a certificate for {name} with its key."), "certificate")
            }
            State::Publishing if self.missing() > 0 => publish("Publish the rest", "Some needed records are still missing.".into()),
            State::Publishing => step("Wait a moment".into(), "The certificate is on its way; this page follows by itself.".into(), "check"),
            State::Ready if self.missing() > 0 => {
                publish("Switch over", "Everything stands. Point the service records at us; until then your old service goes on.".into())
            }
            State::Ready => step("Wait a moment".into(), "The records are there; the last check is a sign-in by the public door.".into(), "check"),
            State::Live if self.accounts == 0 => step("Add people".into(), format!("{name} is live. Add the first account."), "users"),
            State::Live => match self.checks.iter().find(|check| check.severity >= Severity::Warning) {
                Some(check) => step("One thing to mend".into(), check.fix.clone(), "records"),
                None => step("Nothing to do".into(), "We look again by ourselves and tell you if something changes.".into(), "none"),
            },
            State::Degraded => match self.worst() {
                Some(check) => step("Mend this first".into(), check.fix.clone(), "records"),
                None => step("Check again".into(), "The trouble seems to be over.".into(), "check"),
            },
            State::Suspended if self.row.suspended_by == BY_PLATFORM => {
                step("Stopped by the operator".into(), "Ask the operator of this service.".into(), "none")
            }
            State::Suspended if has_given_way(self.row) => step(
                "Another customer has it now".into(),
                format!("Nothing of yours is erased, and nobody else sees it. If {name} is yours after all, start it here and publish your TXT record: it is served again once the other customer's proof is gone."),
                "resume",
            ),
            State::Suspended if self.row.suspended_by == BY_LAPSE => step(
                "Show again that the domain is yours".into(),
                format!("{name} is stopped; nothing has been erased. Publish the TXT record of {name} again, then start it."),
                "resume",
            ),
            State::Suspended => step("Start it again".into(), format!("{name} is stopped; nothing has been erased."), "resume"),
            State::Releasing => step("Being erased".into(), "Nothing to do.".into(), "none"),
        }
    }

    /// What happens next at the certificate authority.
    pub(crate) fn certificate_note(&self) -> String {
        let order = &self.memory.order;
        if !order.said.is_empty() {
            let at = xmpp::timestamp::Timestamp(order.not_before).to_xep0082();
            return format!(
                "The last order failed: {}. The next attempt is at {at} or later.",
                order.said
            );
        }
        match self
            .certificate
            .and_then(|certificate| certificate.renew_at)
        {
            Some(at) => format!(
                "It is renewed by itself from {} on, keeping its key.",
                at.to_xep0082()
            ),
            None if self.certificate.is_some() => {
                "You uploaded it, so you renew it: we remind you in time.".into()
            }
            None if Choices::of(self.row).services != Some(Vec::new()) => {
                "It will hold the domain and its services.".into()
            }
            None => String::new(),
        }
    }
}

/// Has its lapsed proof given way to another customer's?
fn has_given_way(row: &DomainRow) -> bool {
    row.suspended_by == BY_LAPSE && row.verified_at.is_none()
}

fn is_record(subject: &str) -> bool {
    ["TXT ", "SRV ", "CNAME ", "HTTP "]
        .iter()
        .any(|kind| subject.starts_with(kind))
}
