//! Outages, announced: what people's clients show when a domain does not answer, or will not for a while (XEP-0455).
//!
//! An owner announces it for a domain, an operator for all; the domain's own word stands first. What is said is the document
//! that the public door serves and that belongs beside it, on a machine that does not fail with this one. Refuses: times that
//! make no sense, and texts that are no texts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::DomainRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::domain::{StreamChoices, announce};
use crate::error::{ControlError, Result};
use crate::outside::Change;
use crate::permission::Operation;
use crate::{Actor, Control};

/// An outage, as the document says it (XEP-0455 2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// It was planned.
    #[serde(default)]
    pub planned: bool,
    /// About when it began or will begin (XEP-0082); empty where it is announced: now.
    #[serde(default)]
    pub beginning: String,
    /// When it will have ended, if anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_end: Option<String>,
    /// What people are told, by language (BCP 47); `default` for everybody else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub message: BTreeMap<String, String>,
}

/// Where the platform's is kept.
const PLATFORM: &str = "outage";
/// What is said when all is well.
const NOTHING: &str = "{}";
/// Language of the text for everybody else.
const DEFAULT: &str = "default";
/// Languages.
const LANGUAGES: usize = 30;
/// Bytes of a text, and of a language's name.
const TEXT_BYTES: usize = 2_000;
const LANGUAGE_BYTES: usize = 35;

impl Outage {
    fn check(&self) -> Result<()> {
        let invalid = |field, value: &str, problem: &str, remedy: &str| {
            Err(ControlError::invalid(
                field,
                value,
                problem,
                remedy.to_owned(),
            ))
        };
        let time = |text: &str| Timestamp::parse_xep0082(text);
        let Some(beginning) = time(&self.beginning) else {
            let remedy = "Write it as 2026-12-24T18:00:00Z.";
            return invalid("beginning", &self.beginning, "this is not a time", remedy);
        };
        if let Some(end) = &self.expected_end
            && time(end).is_none_or(|end| end < beginning)
        {
            let problem = "this is not a time after the beginning";
            return invalid(
                "expected_end",
                end,
                problem,
                "Write it as 2026-12-24T20:00:00Z, or leave it away.",
            );
        }
        let named = |language: &str| {
            !language.is_empty()
                && language.len() <= LANGUAGE_BYTES
                && language
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let good = |text: &str| {
            !text.trim().is_empty() && text.len() <= TEXT_BYTES && !text.contains('\0')
        };
        for (language, text) in &self.message {
            if !named(language) || !good(text) {
                let remedy =
                    format!("Give a text of at most {TEXT_BYTES} bytes for a language such as en.");
                return invalid(
                    "message",
                    language,
                    "there is no text, or no such language",
                    &remedy,
                );
            }
        }
        if self.message.len() > LANGUAGES
            || (!self.message.is_empty() && !self.message.contains_key(DEFAULT))
        {
            let problem = "there is no text for those whose language is not among them, or there are too many";
            return invalid("message", "", problem, "Give one for \"default\".");
        }
        Ok(())
    }
}

impl Control {
    /// What is announced for a domain itself, or for the whole platform; `None`: nothing.
    pub async fn outage_show(&self, actor: &Actor, domain: Option<&str>) -> Result<Option<Outage>> {
        match domain {
            Some(domain) => {
                let row = self
                    .domain_row(actor, Operation::OutageShow, domain)
                    .await?;
                Ok(StreamChoices::of(&row).outage)
            }
            None => {
                actor.check(Operation::OutagePlatform, None, "outage", PLATFORM)?;
                self.outage_of_platform().await
            }
        }
    }

    /// Announces an outage of a domain, or of all; `None`: it is over.
    pub async fn outage_set(
        &self,
        actor: &Actor,
        domain: Option<&str>,
        mut outage: Option<Outage>,
    ) -> Result<()> {
        if let Some(outage) = &mut outage {
            if outage.beginning.is_empty() {
                outage.beginning = Timestamp::from_seconds(self.now().seconds()).to_xep0082();
            }
            outage.check()?;
        }
        let said = outage.as_ref().map_or("over", |outage| {
            outage.message.get(DEFAULT).map_or("", String::as_str)
        });
        let Some(domain) = domain else {
            actor.check(Operation::OutagePlatform, None, "outage", PLATFORM)?;
            let recorded =
                self.recorded(actor, None, Operation::OutagePlatform, "", PLATFORM, said);
            let text = outage.map_or(String::new(), |outage| crate::tenant::to_json(&outage));
            return Ok(recorded.setting_set(PLATFORM, text.as_bytes()).await?);
        };
        let row = self.domain_row(actor, Operation::OutageSet, domain).await?;
        let recorded = self.recorded_of(actor, &row, Operation::OutageSet, said);
        self.domain_edit_in(&recorded, row.id, |fresh| announce(fresh, outage.clone()))
            .await?;
        self.parts.live.announce(Change::Domain(row.name));
        Ok(())
    }

    /// What everybody may read about a hosted domain: the document of XEP-0455, empty when all is well. `None`: it is not
    /// hosted here.
    pub async fn outage_document(&self, domain: &DomainName) -> Result<Option<String>> {
        let row = self.store().domain_hosted(domain).await?;
        let Some(row) = row.filter(|row: &DomainRow| row.verified_at.is_some()) else {
            return Ok(None);
        };
        let said = match StreamChoices::of(&row).outage {
            Some(own) => Some(own),
            None => self.outage_of_platform().await?,
        };
        Ok(Some(said.map_or(NOTHING.into(), |outage| {
            crate::tenant::to_json(&outage)
        })))
    }

    async fn outage_of_platform(&self) -> Result<Option<Outage>> {
        let kept = self.store().setting_get(PLATFORM).await?;
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_39_an_announcement_has_times_and_texts_that_clients_can_read() {
        let good = Outage {
            planned: true,
            beginning: "2026-12-24T18:00:00Z".into(),
            expected_end: Some("2026-12-24T20:00:00+01:00".into()),
            message: [
                ("default".to_owned(), "New discs".to_owned()),
                ("de-CH".into(), "Neue Platten".into()),
            ]
            .into(),
        };
        assert!(good.check().is_ok());
        assert_eq!(
            crate::tenant::to_json(&good),
            r#"{"planned":true,"beginning":"2026-12-24T18:00:00Z","expected_end":"2026-12-24T20:00:00+01:00","message":{"de-CH":"Neue Platten","default":"New discs"}}"#
        );
        let text = |language: &str, text: &str| [(language.to_owned(), text.to_owned())].into();
        for bad in [
            Outage {
                beginning: "today".into(),
                ..good.clone()
            },
            Outage {
                expected_end: Some("2026-12-24T17:00:00Z".into()),
                ..good.clone()
            },
            Outage {
                expected_end: Some(String::new()),
                ..good.clone()
            },
            Outage {
                message: text("de", "Neue Platten"),
                ..good.clone()
            },
            Outage {
                message: text("default", " "),
                ..good.clone()
            },
            Outage {
                message: text("default", &"x".repeat(3_000)),
                ..good.clone()
            },
            Outage {
                message: text("d√", "x"),
                ..good.clone()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
