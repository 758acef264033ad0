//! What an owner chooses about how people get accounts of a domain, beside being given them: by invitation (XEP-0401,
//! XEP-0445), or by themselves (XEP-0077).
//!
//! Refuses: nothing that could be done without an owner's word. Who may come by themselves is nobody until the owner says so
//! (EXT-33).

use serde::{Deserialize, Serialize};

use crate::error::{ControlError, Result};

/// Who gets an account without being given one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Nobody.
    Closed,
    /// Whoever is invited.
    #[default]
    Invitation,
    /// Whoever answers the domain's question, and whoever is invited.
    Open,
}

impl Registration {
    /// All of them, the strictest first.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Invitation, Self::Open];

    /// The word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Invitation => "invitation",
            Self::Open => "open",
        }
    }

    /// The choice of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == word)
    }
}

/// Choices in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinChoices {
    /// Who gets an account without being given one.
    pub registration: Registration,
    /// Whether accounts may invite others, and not only the domain's admins.
    pub user_invites: bool,
    /// What whoever is not invited is asked (XEP-0158 3, `qa`). An open domain has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// What counts as an answer, in any capitals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
}

impl JoinChoices {
    /// Whether somebody who is not invited may make an account: never without a question.
    pub fn is_open(&self) -> bool {
        self.registration == Registration::Open
            && !self.question.is_empty()
            && !self.answers.is_empty()
    }

    /// Whether this answers the question.
    pub fn is_answer(&self, text: &str) -> bool {
        let given = plain(text);
        !given.is_empty() && self.answers.iter().any(|answer| plain(answer) == given)
    }
}

/// What two spellings of an answer have in common.
fn plain(text: &str) -> String {
    let words = text.split_whitespace();
    let words: Vec<_> = words.map(str::to_lowercase).collect();
    words.join(" ")
}

/// Characters of a question, answers of one, characters of each.
const QUESTION: usize = 200;
const ANSWERS: usize = 20;
const ANSWER: usize = 100;

/// Changes of them; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JoinSet {
    /// `closed`, `invitation`, `open`.
    pub registration: Option<String>,
    /// Whether accounts may invite others.
    pub user_invites: Option<bool>,
    /// What whoever is not invited is asked; empty: nothing, and nobody comes without an invitation.
    pub question: Option<String>,
    /// What counts as an answer.
    pub answers: Option<Vec<String>>,
}

impl JoinSet {
    /// Checks every value, without a look at the domain.
    ///
    /// # Errors
    /// [`ControlError::Invalid`]
    pub(super) fn check(&self) -> Result<()> {
        self.check_question()?;
        let Some(unknown) = self
            .registration
            .as_deref()
            .filter(|word| Registration::parse(word).is_none())
        else {
            return Ok(());
        };
        Err(ControlError::invalid(
            "registration",
            unknown,
            "there is no such way to an account",
            format!(
                "Use {}.",
                Registration::ALL.map(Registration::as_str).join(", ")
            ),
        ))
    }

    fn check_question(&self) -> Result<()> {
        let answers = self.answers.as_deref().unwrap_or_default();
        let bad = |text: &str, most: usize| {
            text.chars().count() > most || text.chars().any(char::is_control)
        };
        if let Some(question) = self.question.as_deref().filter(|text| bad(text, QUESTION)) {
            return Err(ControlError::invalid(
                "question",
                question,
                format!("a question is one line of {QUESTION} characters at most"),
                "Ask what people who belong here know.",
            ));
        }
        if answers.len() > ANSWERS
            || answers
                .iter()
                .any(|answer| plain(answer).is_empty() || bad(answer, ANSWER))
        {
            return Err(ControlError::invalid(
                "answers",
                answers.join(", "),
                format!("there are {ANSWERS} answers at most, of {ANSWER} characters at most"),
                "Give each spelling that you would take.",
            ));
        }
        Ok(())
    }

    /// Whether what would be chosen then makes sense.
    ///
    /// # Errors
    /// [`ControlError::Invalid`]: open, without a question.
    pub(super) fn makes_sense(now: &JoinChoices) -> Result<()> {
        if now.registration == Registration::Open && !now.is_open() {
            return Err(ControlError::invalid(
                "question",
                now.question.as_str(),
                "a domain that is open to everybody asks a question, or programs would fill it",
                "Give a question and its answers.",
            ));
        }
        Ok(())
    }

    /// Writes what is said into the choices; the rest stays as it is there.
    pub(super) fn apply(&self, now: &mut JoinChoices) {
        let registration = self.registration.as_deref().and_then(Registration::parse);
        now.registration = registration.unwrap_or(now.registration);
        now.user_invites = self.user_invites.unwrap_or(now.user_invites);
        if let Some(question) = self.question.as_deref().map(str::trim) {
            question.clone_into(&mut now.question);
        }
        if let Some(answers) = &self.answers {
            now.answers.clone_from(answers);
        }
    }

    /// The changes in words, for the log.
    pub(super) fn said(&self) -> Vec<String> {
        let registration = self.registration.iter();
        let mut said: Vec<_> = registration
            .map(|word| format!("registration {word}"))
            .collect();
        said.extend(self.user_invites.map(|may| format!("user_invites {may}")));
        let question = self.question.iter();
        said.extend(question.map(|question| format!("question {question}")));
        let answers = self.answers.iter();
        said.extend(answers.map(|answers| format!("answers, {}", answers.len())));
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_33_nobody_comes_uninvited_unless_the_owner_says_so() {
        assert_eq!(
            JoinChoices::default().registration,
            Registration::Invitation
        );
        assert!(!JoinChoices::default().user_invites);
        let set = |word: &str| JoinSet {
            registration: Some(word.into()),
            ..JoinSet::default()
        };
        assert!(set("ajar").check().is_err());
        let mut now = JoinChoices::default();
        set("closed").apply(&mut now);
        assert_eq!(now.registration, Registration::Closed);
        JoinSet::default().apply(&mut now);
        assert_eq!(now.registration, Registration::Closed);
    }

    #[test]
    fn ext_33_an_open_domain_asks_a_question() {
        let mut now = JoinChoices::default();
        let mut set = JoinSet {
            registration: Some("open".into()),
            ..JoinSet::default()
        };
        set.apply(&mut now);
        assert!(!now.is_open());
        assert!(JoinSet::makes_sense(&now).is_err());
        set.question = Some("Which bird\nsings?".into());
        assert!(set.check().is_err(), "two lines");
        set.question = Some("Which bird sings at dawn?".into());
        set.answers = Some(vec![" ".into()]);
        assert!(set.check().is_err(), "no answer");
        set.answers = Some(vec!["The lark".into(), "lark".into()]);
        set.check().expect("good");
        set.apply(&mut now);
        JoinSet::makes_sense(&now).expect("good");
        assert!(now.is_open() && now.is_answer(" the  LARK"));
        assert!(!now.is_answer("the nightingale") && !now.is_answer(""));
    }
}
