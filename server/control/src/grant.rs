//! What a domain's owner lets one of its components do beyond answering for its own name: act for the domain's accounts
//! (XEP-0356) and answer for namespaces in the domain's place (XEP-0355).
//!
//! Nothing is granted unless it is said, by name, and what is said replaces what was said before. Refuses: namespaces with which a
//! component could grant itself more or learn passwords, one namespace for two components, and grants for names that are none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::DomainRow;
use xmpp::jid::DomainName;

use crate::domain::{Choices, word_of};
use crate::error::{ControlError, Result};
use crate::outside::Change;
use crate::permission::Operation;
use crate::tenant::to_json;
use crate::{Actor, Control};

/// Namespaces of each kind in one grant.
const NAMESPACES: usize = 50;
/// Bytes of a namespace, or of an attribute's name.
const NAME_BYTES: usize = 256;
/// Attributes of one delegation.
const ATTRIBUTES: usize = 10;
/// What nobody else answers or asks: the two protocols themselves, passwords and other ways to log in, the forms in which admins
/// look after accounts, and what belongs to a stream or session.
const KEPT: [&str; 10] = [
    "urn:xmpp:delegation:2",
    "urn:xmpp:privilege:2",
    "jabber:iq:register",
    "urn:xmpp:register:0",
    "http://jabber.org/protocol/commands",
    "urn:xmpp:saslcert:1",
    "urn:xmpp:carbons:2",
    "urn:ietf:params:xml:ns:xmpp-bind",
    "urn:ietf:params:xml:ns:xmpp-session",
    "urn:xmpp:ping",
];
/// Words for requests (XEP-0356 3.1).
const ACCESS: [&str; 4] = ["none", "get", "set", "both"];
/// Words for presence (XEP-0356 6.1).
const PRESENCE: [&str; 3] = ["none", "managed_entity", "roster"];
/// Words for messages (XEP-0356 4.1).
const MESSAGE: [&str; 2] = ["none", "outgoing"];

/// What one component may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Rosters of all accounts: `none`, `get`, `set` or `both`.
    pub roster: String,
    /// It is told of changes of rosters that it may read.
    pub roster_push: bool,
    /// Messages in the name of accounts and of the domain: `none` or `outgoing`.
    pub message: String,
    /// Presence that it is told: `none`, `managed_entity` (of accounts) or `roster` (of their contacts too).
    pub presence: String,
    /// Requests in the name of accounts: `get`, `set` or `both` by namespace.
    pub iq: BTreeMap<String, String>,
    /// Namespaces that it answers in the domain's place, each with the attributes that a request must have.
    pub delegated: BTreeMap<String, Vec<String>>,
    /// What a later version knows: kept where it stands, and refused where it is said to this one.
    #[serde(flatten)]
    pub others: BTreeMap<String, serde_json::Value>,
}

impl Default for Grants {
    /// Nothing.
    fn default() -> Self {
        let none = || "none".to_owned();
        Self {
            roster: none(),
            roster_push: true,
            message: none(),
            presence: none(),
            iq: BTreeMap::new(),
            delegated: BTreeMap::new(),
            others: BTreeMap::new(),
        }
    }
}

impl Grants {
    /// Whether anything is granted.
    pub fn is_none(&self) -> bool {
        let words = [&self.roster, &self.message, &self.presence];
        words.iter().all(|word| *word == "none") && self.iq.is_empty() && self.delegated.is_empty()
    }

    /// Which grants these are: another word for others.
    pub(crate) fn version(&self) -> String {
        word_of(&to_json(self))
    }

    /// # Errors
    /// Names the field, the value and what to use instead.
    fn check(&self) -> Result<()> {
        if let Some(unknown) = self.others.keys().next() {
            return Err(ControlError::invalid(
                "grants",
                unknown.as_str(),
                "there is no such grant",
                "Use roster, roster_push, message, presence, iq and delegated.",
            ));
        }
        one_of("roster", &self.roster, &ACCESS)?;
        one_of("message", &self.message, &MESSAGE)?;
        one_of("presence", &self.presence, &PRESENCE)?;
        for access in self.iq.values() {
            one_of("iq", access, &ACCESS[1..])?;
        }
        if self.presence == "roster" && !["get", "both"].contains(&self.roster.as_str()) {
            return Err(ControlError::invalid(
                "presence",
                "roster",
                "presence of contacts goes with the right to read rosters (XEP-0356 6.3)",
                "Grant roster get or both with it.",
            ));
        }
        for (field, count) in [("iq", self.iq.len()), ("delegated", self.delegated.len())] {
            if count > NAMESPACES {
                return Err(ControlError::Limit {
                    what: field,
                    used: count as u64,
                    limit: NAMESPACES as u64,
                });
            }
        }
        for (field, namespace) in self
            .iq
            .keys()
            .map(|ns| ("iq", ns))
            .chain(self.delegated.keys().map(|ns| ("delegated", ns)))
        {
            namespace_of(field, namespace)?;
        }
        for attributes in self.delegated.values() {
            if attributes.len() > ATTRIBUTES || !attributes.iter().all(|name| is_name(name)) {
                return Err(ControlError::invalid(
                    "delegated",
                    attributes.join(","),
                    format!("a delegation has at most {ATTRIBUTES} names of attributes"),
                    "Use names like node.",
                ));
            }
        }
        Ok(())
    }
}

fn one_of(field: &'static str, word: &str, words: &[&str]) -> Result<()> {
    if words.contains(&word) {
        return Ok(());
    }
    let what = "there is no such word";
    let remedy = format!("Use {}.", words.join(", "));
    Err(ControlError::invalid(field, word, what, remedy))
}

fn namespace_of(field: &'static str, namespace: &str) -> Result<()> {
    let refused =
        |what: &str, remedy: &str| Err(ControlError::invalid(field, namespace, what, remedy));
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    if namespace.is_empty() || namespace.len() > NAME_BYTES || !namespace.chars().all(plain) {
        return refused("this is not a namespace", "Use one like urn:xmpp:mam:2.");
    }
    if is_kept(namespace) {
        return refused("this namespace is the server's own affair", "Leave it out.");
    }
    Ok(())
}

/// Whether requests of a namespace are the server's own affair: no component asks them in anybody's name, or answers them.
pub fn is_kept(namespace: &str) -> bool {
    KEPT.contains(&namespace)
}

fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(plain)
}

impl Control {
    /// Says what a component may from now on, all of it; it is told so at once where it is connected. With `version`, only if
    /// what it may is still that ([`crate::component::ComponentView::version`]).
    pub async fn component_grant(
        &self,
        actor: &Actor,
        domain: &str,
        name: &str,
        grants: Grants,
        version: Option<&str>,
    ) -> Result<Grants> {
        let row = self
            .domain_row(actor, Operation::ComponentGrant, domain)
            .await?;
        let absent = || ControlError::not_found("component", name);
        let label = crate::component::label(&row, name).map_err(|_| absent())?;
        let choices = Choices::of(&row);
        if !choices.components.contains(&label) {
            return Err(absent());
        }
        grants.check()?;
        let whole = DomainName::parse(&format!("{label}.{}", row.name)).map_err(|_| absent())?;
        if self.store().domain_hosted(&whole).await?.is_some() {
            // The program comes no more, and what is granted to names is not theirs who have got them since.
            return Err(ControlError::State {
                name: whole.to_string(),
                state: "a domain that is hosted here".into(),
                problem: "no program can connect under this name".into(),
                remedy: "Remove the component, and add one under another name.".into(),
            });
        }
        let others = || choices.grants.iter().filter(|(other, _)| **other != label);
        for namespace in grants.delegated.keys() {
            let taken = others().find(|(_, other)| other.delegated.contains_key(namespace));
            if let Some((other, _)) = taken {
                let what = format!("{other}.{} answers for this namespace", row.name);
                let remedy = "Take it from there first.";
                return Err(ControlError::invalid("delegated", namespace, what, remedy));
            }
        }
        let recorded = self.recorded_of(actor, &row, Operation::ComponentGrant, whole.as_str());
        let kept = grants.clone();
        let (row, written) = self
            .domain_edit_if(&recorded, row.id, |fresh| {
                let mut choices = Choices::of(fresh);
                let now = choices.grants.get(&label).cloned().unwrap_or_default();
                if version.is_some_and(|version| version != now.version()) {
                    return false;
                }
                match kept.is_none() {
                    true => choices.grants.remove(&label),
                    false => choices.grants.insert(label.clone(), kept.clone()),
                };
                fresh.settings = to_json(&choices);
                true
            })
            .await?;
        if !written {
            return Err(ControlError::stale("component", whole.as_str()));
        }
        self.parts.live.announce(Change::Domain(row.name));
        Ok(grants)
    }
}

/// What the domain's components are granted, by label; of those that there are. What was granted before a namespace became the
/// server's own affair is granted no more.
pub fn grants(row: &DomainRow) -> BTreeMap<String, Grants> {
    let mut choices = Choices::of(row);
    let components = choices.components;
    choices.grants.retain(|label, _| components.contains(label));
    for grants in choices.grants.values_mut() {
        grants.others.clear();
        grants.iq.retain(|namespace, _| !is_kept(namespace));
        grants.delegated.retain(|namespace, _| !is_kept(namespace));
    }
    choices.grants
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> std::result::Result<Grants, String> {
        let grants: Grants = serde_json::from_str(json).map_err(|error| error.to_string())?;
        grants.check().map_err(|error| error.log_text())?;
        Ok(grants)
    }

    #[test]
    fn nothing_is_granted_unless_it_is_said() {
        assert!(parsed("{}").expect("nothing").is_none());
        let some = r#"{"roster":"get","presence":"roster","iq":{"urn:x":"set"},"delegated":{"urn:y":["node"]}}"#;
        assert!(!parsed(some).expect("fits").is_none());
        for (json, said) in [
            (r#"{"roster":"all"}"#, "there is no such word"),
            (r#"{"message":"incoming"}"#, "there is no such word"),
            (r#"{"presence":"roster"}"#, "right to read rosters"),
            (
                r#"{"presence":"roster","roster":"set"}"#,
                "right to read rosters",
            ),
            (r#"{"iq":{"urn:x":"none"}}"#, "there is no such word"),
            (r#"{"iq":{"":"get"}}"#, "not a namespace"),
            (
                r#"{"iq":{"urn:xmpp:privilege:2":"get"}}"#,
                "the server's own affair",
            ),
            (
                r#"{"delegated":{"jabber:iq:register":[]}}"#,
                "the server's own affair",
            ),
            (
                r#"{"delegated":{"http://jabber.org/protocol/commands":[]}}"#,
                "the server's own affair",
            ),
            (
                r#"{"iq":{"urn:xmpp:saslcert:1":"set"}}"#,
                "the server's own affair",
            ),
            (r#"{"delegated":{"urn:x y":[]}}"#, "not a namespace"),
            (r#"{"delegated":{"urn:x":["a b"]}}"#, "names of attributes"),
            (r#"{"everything":true}"#, "there is no such grant"),
        ] {
            let refused = parsed(json).expect_err(json);
            assert!(refused.contains(said), "{json}: {refused}");
        }
    }
}
