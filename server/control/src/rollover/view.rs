//! The change of identities as people see it: what is published, what happened, what comes and when; and another key on wish.

use serde::{Deserialize, Serialize};
use store::DomainRow;
use xmpp::timestamp::Timestamp;

use super::{Channel, Held, Kept, Plan, Situation, Swap, held, last_resort, plan, record_of};
use crate::certificate::{renew_at, spread};
use crate::domain::{Choices, Memory, state_of};
use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::records::Mode;
use crate::tenant::to_json;
use crate::time::{DAY, plus};
use crate::{Actor, Control, rate};

/// A TLSA set as published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsaView {
    /// Absolute name, without the last dot.
    pub owner: String,
    /// Records in zone-file spelling: `3 1 1 8a9a…` (DANE-19).
    pub records: Vec<String>,
}

/// A step of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepView {
    /// `make`, `publish`, `wait`, `swap`, `retire`.
    pub step: &'static str,
    /// `done`, `now`, `later`, `late`.
    pub standing: &'static str,
    /// When it happened or will; `None`: that depends on what is seen.
    #[serde(serialize_with = "crate::time::maybe")]
    pub at: Option<Timestamp>,
    /// One sentence.
    pub text: String,
}

/// Everything about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloverView {
    /// `calm`: nothing changes; `publishing`: what comes is being made known; `waiting`: for caches; `settling`: what was is
    /// about to be taken out of the sets; `late`: waiting has become dangerous.
    pub phase: &'static str,
    /// One sentence.
    pub text: String,
    /// The steps, in their order.
    pub steps: Vec<StepView>,
    /// TLSA sets as the platform's name server took them; empty: none.
    pub tlsa: Vec<TlsaView>,
    /// Fingerprints of the POSH documents (SHA-256, lower-case hex), the most relevant first; empty: none.
    pub posh: Vec<String>,
    /// How long copies of these may be believed, in seconds; 0: nobody has any.
    pub believed_seconds: u32,
    /// A renewal changes the key when it is older than this many days; `None`: keys are kept.
    pub key_days: Option<u32>,
    /// What changing the key at once would cost.
    pub emergency: String,
}

/// Another key.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct KeyChange {
    /// Somebody else may have the key: use another one at once, whatever peers have been told.
    #[serde(default)]
    pub emergency: bool,
}

impl Control {
    /// Where the change of a domain's identities stands, from the last look; asks nobody.
    pub async fn certificate_rollover(&self, actor: &Actor, domain: &str) -> Result<RolloverView> {
        let row = self
            .domain_row(actor, Operation::CertificateList, domain)
            .await?;
        let memory = Memory::of(&row);
        let kept = held(self, &row).await?;
        let choices = Choices::of(&row);
        let situation = kept.situation(self, &row, &memory, &choices.given_up_keys);
        let plan = plan(&situation);
        let facts = self.facts_of(&row, &memory);
        let believed = [situation.dane, situation.posh]
            .into_iter()
            .flatten()
            .map(|watch| watch.lifetime_seconds())
            .max()
            .unwrap_or(0);
        let published = memory.rollover.tlsa.as_ref();
        let steps = steps(&row, &kept, &situation, &plan);
        let (phase, text) = phase(&situation, &plan);
        Ok(RolloverView {
            phase,
            text,
            steps,
            tlsa: published
                .into_iter()
                .flat_map(|published| {
                    let records: Vec<_> = published
                        .keys
                        .iter()
                        .map(|key| record_of(key).spelled())
                        .collect();
                    published.owners.iter().map(move |owner| TlsaView {
                        owner: owner.clone(),
                        records: records.clone(),
                    })
                })
                .collect(),
            posh: if facts.posh { plan.posh } else { Vec::new() },
            believed_seconds: believed,
            key_days: choices.key_days,
            emergency: emergency(&situation, believed),
        })
    }

    /// Another key for the next certificate: in good order, or at once when somebody else may have the one in use (ACME-14).
    pub async fn certificate_change_key(
        &self,
        actor: &Actor,
        domain: &str,
        change: KeyChange,
    ) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::CertificateChangeKey, domain)
            .await?;
        let mode = Mode::parse(&row.mode).unwrap_or_default();
        let kept = held(self, &row).await?;
        let problem = |problem: &str, remedy: &str| ControlError::State {
            name: row.name.to_string(),
            state: row.state.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        };
        let Some(current) = kept.current.filter(|_| state_of(&row).is_served()) else {
            return Err(problem(
                "there is no key in use",
                "Nothing to do: the first certificate comes with a key of its own.",
            ));
        };
        if mode == Mode::Uploaded && !change.emergency {
            return Err(problem(
                "its key is yours",
                "Upload a certificate with another key: it is used as soon as every server may know it.",
            ));
        }
        self.gate
            .attempt(rate::ORDER, row.name.as_str(), self.now())?;
        let now = self.now().0;
        let said = if change.emergency {
            "at once: others may know the key"
        } else {
            "in good order"
        };
        let recorded = self.recorded_of(actor, &row, Operation::CertificateChangeKey, said);
        self.domain_edit_in(&recorded, row.id, |fresh| {
            let mut choices = Choices::of(fresh);
            choices.key_wanted = now;
            choices.order_wanted = now;
            if change.emergency && !choices.given_up_keys.contains(&current.key) {
                choices.given_up_keys.push(current.key.clone());
            }
            fresh.settings = to_json(&choices);
        })
        .await?;
        self.soon(&row).await
    }
}

fn phase(situation: &Situation<'_>, plan: &Plan) -> (&'static str, String) {
    let late = situation.expires
        && situation.current.is_some_and(|current| {
            situation.now >= plus(last_resort(current), -DAY / crate::time::SECOND)
        });
    match plan.swap {
        Swap::Wait { on, .. } if late => (
            "late",
            format!(
                "The next certificate is still not known everywhere ({}), and the one in use is about to end.",
                place(on)
            ),
        ),
        Swap::Wait { until: None, on } => (
            "publishing",
            format!(
                "The next certificate is made; it is used once it has been seen {} and older copies have run out.",
                place(on)
            ),
        ),
        Swap::Wait {
            until: Some(at), ..
        } => (
            "waiting",
            format!(
                "The next certificate is known; older copies run out at {}, then it is used.",
                at.to_xep0082()
            ),
        ),
        Swap::Young => (
            "waiting",
            "The next certificate is not valid yet.".to_owned(),
        ),
        Swap::Now { .. } => (
            "waiting",
            "The next certificate is used with the next look.".to_owned(),
        ),
        Swap::Idle if plan.settled_at.is_some() => (
            "settling",
            "Another certificate has come into use; the former one leaves what is published soon."
                .to_owned(),
        ),
        Swap::Idle => ("calm", "Nothing changes at the moment.".to_owned()),
    }
}

fn place(channel: Channel) -> &'static str {
    match channel {
        Channel::Dane => "in the platform's zone",
        Channel::Posh => "on your website",
    }
}

fn steps(row: &DomainRow, kept: &Kept, situation: &Situation<'_>, plan: &Plan) -> Vec<StepView> {
    let step = |step, standing, at, text: String| StepView {
        step,
        standing,
        at,
        text,
    };
    let mut steps = Vec::new();
    if let Some(next) = situation.next {
        let kind = match situation.current {
            Some(current) if current.key == next.key => "with the same key",
            _ => "with another key",
        };
        steps.push(step(
            "make",
            "done",
            Some(next.since),
            format!("The next certificate was made, {kind}, and put aside sealed."),
        ));
        for (channel, watch) in [
            (Channel::Dane, situation.dane),
            (Channel::Posh, situation.posh),
        ] {
            let Some(watch) = watch else { continue };
            let same = situation
                .current
                .is_some_and(|current| channel.id(current) == channel.id(next));
            let seen = watch.caches.seen_since.get(channel.id(next)).copied();
            let (standing, at, text) = match (same, seen) {
                (true, _) => (
                    "done",
                    None,
                    format!("What is published {} fits it already.", place(channel)),
                ),
                (false, Some(at)) => (
                    "done",
                    Some(Timestamp(at)),
                    format!("Seen {} everywhere.", place(channel)),
                ),
                (false, None) => ("now", None, format!("To be seen {}.", place(channel))),
            };
            steps.push(step("publish", standing, at, text));
        }
        let (standing, at) = match plan.swap {
            Swap::Wait { until, .. } => ("now", until),
            _ => ("done", None),
        };
        steps.push(step(
            "wait",
            standing,
            at,
            "Older copies in other servers' memory run out.".into(),
        ));
        steps.push(step(
            "swap",
            "later",
            at,
            "It comes into use; nobody is disconnected.".into(),
        ));
        if situation.expires
            && let Some(current) = situation.current
        {
            steps.push(step(
                "swap",
                "late",
                Some(last_resort(current)),
                "At the latest it is used then, because the present one ends.".into(),
            ));
        }
    } else if let Some(at) = plan.settled_at {
        let since = situation.current.map(|current| current.since);
        steps.push(step(
            "swap",
            "done",
            since,
            "Another certificate came into use.".into(),
        ));
        steps.push(step(
            "retire",
            "now",
            Some(at),
            "The former one leaves what is published.".into(),
        ));
    } else if let (Some(current), Some(held)) = (situation.current, &kept.current_row)
        && held.source != "uploaded"
    {
        steps.push(step(
            "make",
            "later",
            Some(due(current, row)),
            "The next certificate is made.".into(),
        ));
    }
    steps
}

fn due(current: &Held, row: &DomainRow) -> Timestamp {
    renew_at(current.not_before, current.not_after, spread(row))
}

/// The honest price of a key that changes before peers can know it.
fn emergency(situation: &Situation<'_>, believed_seconds: u32) -> String {
    let until = plus(situation.now, i64::from(believed_seconds)).to_xep0082();
    let refused = match (situation.dane.is_some(), situation.posh.is_some()) {
        (false, false) => {
            return "Nobody refuses you: no server has been told beforehand which key to expect. Streams that are open stay open.".into();
        }
        (true, false) => "servers with DANE",
        (false, true) => "servers with POSH",
        (true, true) => "servers with DANE or POSH",
    };
    format!(
        "Until their copies have run out, at {until} at the latest, {refused} that remember the old key refuse new connections to you; messages wait or come back. Whoever has the old key is believed by them until then. Streams that are open stay open."
    )
}
