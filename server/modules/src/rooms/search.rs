//! Looking for rooms by what they are called and what they are about, XEP-0433 version 0.1.0.
//!
//! A module of its own, so that a domain's owner may let nobody look; what is found are the rooms whose owners want them to be
//! found. Refuses: anything else than rooms.

use std::collections::HashMap;

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::{Condition, ErrorType, Stanza, StanzaError};

use super::config::Config;
use crate::context::{Context, Hosted, Refusal, store_failed};
use crate::form::{Field, Form, Submitted};
use crate::hooks::is_on;
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::module::{Answer, Module};
use crate::rsm;

/// The module.
pub(crate) struct RoomSearch;

/// Its namespace, and feature of the service.
pub(super) const SEARCH: &str = "urn:xmpp:channel-search:0:search";
const PARAMS: &str = "urn:xmpp:channel-search:0:search-params";
const ERRORS: &str = "urn:xmpp:channel-search:0:error";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";

/// Rooms of a page for which nothing is said, and at most.
const PAGE: usize = 50;
const LARGEST: usize = 100;
/// Words that are looked for, and the shortest of them.
const WORDS: usize = 5;
const SHORTEST: usize = 2;
/// Rooms that are looked at.
const LOOKED_AT: u32 = 2_000;

static INFO: ModuleInfo = ModuleInfo {
    name: "search",
    about: "lets people look for rooms by name and subject, where the rooms' owners want them to be found",
    specs: &[Spec::Xep(433, "0.1.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for RoomSearch {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn needs(&self) -> &'static [&'static str] {
        &["rooms"]
    }
}

/// Whether the domain has it.
pub(super) fn on(hosted: &Hosted) -> bool {
    is_on(hosted, &INFO)
}

struct Found {
    jid: String,
    name: String,
    description: String,
    users: usize,
    open: bool,
}

/// A request for the form, or a search.
pub(super) async fn iq(cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let search = tree.find("search", SEARCH).ok_or(Condition::BadRequest)?;
    let Some(form) = Submitted::within(search) else {
        return Ok(Answer::Payload(
            Element::new("search", SEARCH).child(asking()),
        ));
    };
    if form.form_type() != Some(PARAMS) {
        return Err(Condition::BadRequest.into());
    }
    let bad = |_| Refusal::from(Condition::BadRequest);
    let yes = |var: &str| Ok::<_, Refusal>(form.boolean(var).map_err(bad)?.unwrap_or(true));
    let words = form.text("q").map_err(bad)?;
    let all = form.boolean("all").map_err(bad)? == Some(true);
    let words: Option<Vec<String>> = match (words.filter(|q| !q.trim().is_empty()), all) {
        (Some(_), true) => {
            let vars = ["all", "q"].map(|var| Element::new("var", ERRORS).text(var));
            let app = Element::new("conflicting-fields", ERRORS).children_from(vars);
            return Err(refused(Condition::BadRequest, app));
        }
        (None, false) => {
            let app = Element::new("no-search-conditions", ERRORS);
            return Err(refused(Condition::BadRequest, app));
        }
        (None, true) => None,
        (Some(q), false) => {
            let words = q.split_whitespace().map(str::to_lowercase);
            let words = words.filter(|w| w.chars().count() >= SHORTEST);
            let words: Vec<String> = words.take(WORDS + 1).collect();
            if words.is_empty() || words.len() > WORDS {
                let app = Element::new("invalid-search-terms", ERRORS);
                let text = format!("up to {WORDS} words of at least {SHORTEST} characters");
                let error = StanzaError::new(Condition::BadRequest).with_app(app);
                return Err(error.with_text(text).into());
            }
            Some(words)
        }
    };
    let by_users = match form.text("key").map_err(bad)? {
        None | Some("" | BY_USERS) => true,
        Some(BY_ADDRESS) => false,
        Some(_) => {
            let app = Element::new("invalid-sort-key", ERRORS);
            return Err(refused(Condition::FeatureNotImplemented, app));
        }
    };
    let types = form.values("types");
    let least = form.text("min_users").map_err(bad)?.unwrap_or("0");
    let least: usize = least.parse().map_err(|_| Condition::BadRequest)?;
    let places = (yes("sinname")?, yes("sindescription")?, yes("sinaddress")?);
    let matches = |room: &Found| {
        words.as_ref().is_none_or(|words| {
            let name = room.name.to_lowercase();
            let description = room.description.to_lowercase();
            words.iter().all(|word| {
                (places.0 && name.contains(word))
                    || (places.1 && description.contains(word))
                    || (places.2 && room.jid.contains(word.as_str()))
            })
        })
    };
    let mut found = if types.is_empty() || types.iter().any(|t| t == "xep-0045") {
        rooms(cx).await?
    } else {
        Vec::new()
    };
    found.retain(|room| room.users >= least && matches(room));
    if by_users {
        found.sort_by(|a, b| b.users.cmp(&a.users).then_with(|| a.jid.cmp(&b.jid)));
    } else {
        found.sort_by(|a, b| a.jid.cmp(&b.jid));
    }
    Ok(Answer::Payload(page(&found, rsm::page(search)?)?))
}

fn asking() -> Element {
    let yes = |var, label| Field::boolean(var, true).label(label);
    Form::asking(PARAMS)
        .field(Field::new("q", "text-single").label("Search for"))
        .field(Field::boolean("all", false).label("Everything, whatever is searched for"))
        .field(yes("sinname", "Search in names"))
        .field(yes("sindescription", "Search in descriptions"))
        .field(yes("sinaddress", "Search in addresses"))
        .field(
            Field::new("min_users", "text-single")
                .label("People in it at least")
                .value("0"),
        )
        .field(
            Field::new("types", "list-multi")
                .value("xep-0045")
                .option("xep-0045", "Rooms (XEP-0045)"),
        )
        .field(
            Field::new("key", "list-single")
                .label("Sorted by")
                .value(BY_USERS)
                .option(BY_USERS, "People in it")
                .option(BY_ADDRESS, "Address"),
        )
        .into_element()
}

fn page(found: &[Found], asked: Option<rsm::Page>) -> Result<Element, Refusal> {
    // Who names no number gets fewer than who asks for many.
    let most = match asked.as_ref().and_then(|page| page.max) {
        Some(_) => LARGEST,
        None => PAGE,
    };
    let (shown, set) = rsm::slice(found, asked.as_ref(), most, |room| &room.jid)?;
    let items = shown.iter().map(|room| {
        let text =
            |name, text: &str| (!text.is_empty()).then(|| Element::new(name, SEARCH).text(text));
        Element::new("item", SEARCH)
            .attr("address", room.jid.as_str())
            .child_opt(text("name", &room.name))
            .child_opt(text("description", &room.description))
            .child(Element::new("nusers", SEARCH).text(room.users.to_string()))
            .child_opt(room.open.then(|| Element::new("is-open", SEARCH)))
            .child(Element::new("service-type", SEARCH).text("xep-0045"))
    });
    Ok(Element::new("result", SEARCH)
        .children_from(items)
        .child(set))
}

/// Rooms whose owners want them to be found.
async fn rooms(cx: &Context<'_>) -> Result<Vec<Found>, Refusal> {
    let service = cx.hosted.domain.as_str();
    let kept = cx.store().rooms_public(LOOKED_AT).await;
    let kept = kept.map_err(|e| {
        let service = Jid::from(cx.hosted.domain.clone()).bare();
        store_failed(&e, &service, "looking for rooms")
    })?;
    let mut all = HashMap::new();
    for (local, config) in kept {
        let jid = format!("{local}@{service}");
        let config = Config::from_json(&config);
        let room = Found {
            jid: jid.clone(),
            open: config.is_open(),
            name: config.name,
            description: config.description,
            users: 0,
        };
        all.insert(jid, room);
    }
    for (jid, place) in cx.modules.rooms.of(service) {
        if let Some(card) = place.card() {
            let jid = jid.as_str().to_owned();
            let room = Found {
                jid: jid.clone(),
                name: card.name,
                description: card.description,
                users: card.users,
                open: card.open,
            };
            all.insert(jid, room);
        }
    }
    Ok(all.into_values().collect())
}

/// With another search it may do (XEP-0433 4.2).
fn refused(condition: Condition, app: Element) -> Refusal {
    let error = StanzaError::new(condition).with_app(app);
    error.with_kind(ErrorType::Modify).into()
}
