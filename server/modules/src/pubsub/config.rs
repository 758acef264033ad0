//! A node's configuration as a form (XEP-0060 8.2, 16.4.4), and as preconditions of a publication (7.1.5).
//!
//! Refuses: options and values that mean something we do not do; a client is told which, rather than believed to be
//! content without (EXT-05). `max_items` is a number or `max`, as many as the service keeps (EXT-06, C-18).

use store::{Access, NodeConfig, SendLast};
use xmpp::element::Element;
use xmpp::stanza::Condition;

use super::error::{plain, refused};
use super::nodes::NAME_BYTES;
use crate::context::Refusal;
use crate::form::{Field, Form, Submitted};
use crate::memory::PubsubLimits;

/// FORM_TYPE of the configuration.
pub(crate) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// FORM_TYPE of preconditions.
pub(super) const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";

const MAX: &str = "max";
/// Roster groups that a node may name.
const GROUPS: usize = 50;

const ACCESS: [(&str, Access); 4] = [
    ("open", Access::Open),
    ("presence", Access::Presence),
    ("roster", Access::Roster),
    ("whitelist", Access::Whitelist),
];
const SEND_LAST: [(&str, SendLast); 3] = [
    ("never", SendLast::Never),
    ("on_sub", SendLast::Sub),
    ("on_sub_and_presence", SendLast::Presence),
];

/// Name of an access model on the wire.
pub(super) fn access_name(access: Access) -> &'static str {
    name(&ACCESS, access)
}

/// The configuration in a form that asks for it or tells it.
pub(crate) fn shown(config: &NodeConfig, form: Form, limits: &PubsubLimits) -> Element {
    let single = |var, value: &str| Field::new(var, "text-single").value(value);
    let choice = |var, value: &str, options: &[&str]| {
        let field = Field::new(var, "list-single").value(value);
        options.iter().fold(field, |field, o| field.option(o, o))
    };
    let groups = Field::new("pubsub#roster_groups_allowed", "list-multi");
    let groups = config.groups.iter().fold(groups, |field, g| field.value(g));
    let max_items = config.max_items.map_or(MAX.to_owned(), |n| n.to_string());
    let max_payload = config.max_payload.map_or(limits.item_bytes, |n| n as usize);
    let fields = [
        single("pubsub#title", &config.title),
        single("pubsub#description", &config.description),
        single("pubsub#type", &config.payload_type),
        choice(
            "pubsub#access_model",
            access_name(config.access),
            &ACCESS.map(|(name, _)| name),
        ),
        groups,
        single("pubsub#max_items", &max_items)
            .label(&format!("Items that are kept, at most {}", limits.items)),
        single("pubsub#max_payload_size", &max_payload.to_string()),
        Field::boolean("pubsub#persist_items", config.persist),
        Field::boolean("pubsub#deliver_notifications", config.deliver),
        Field::boolean("pubsub#deliver_payloads", config.payloads),
        Field::boolean("pubsub#notify_config", config.notify_config),
        Field::boolean("pubsub#notify_delete", config.notify_delete),
        Field::boolean("pubsub#notify_retract", config.notify_retract),
        Field::boolean("pubsub#subscribe", config.subscribe),
        choice(
            "pubsub#send_last_published_item",
            name(&SEND_LAST, config.send_last),
            &SEND_LAST.map(|(name, _)| name),
        ),
        choice("pubsub#publish_model", "publishers", &["publishers"]),
        choice(
            "pubsub#notification_type",
            if config.headline {
                "headline"
            } else {
                "normal"
            },
            &["headline", "normal"],
        ),
    ];
    fields.into_iter().fold(form, Form::field).into_element()
}

/// The options in a request; `None`: it was cancelled.
///
/// # Errors
/// `<bad-request/>`: there is no form of this type.
pub(super) fn submitted(parent: &Element, form_type: &str) -> Result<Option<Submitted>, Refusal> {
    match Submitted::within(parent) {
        Some(form) if form.is_cancelled() => Ok(None),
        Some(form) if form.form_type() == Some(form_type) => Ok(Some(form)),
        _ => Err(plain(
            Condition::BadRequest,
            format!("options are a form of type {form_type}"),
        )),
    }
}

/// The configuration with what a form says.
///
/// # Errors
/// `<not-acceptable/>`: an option or value that is not offered.
pub(super) fn applied(
    config: &NodeConfig,
    form: &Submitted,
    limits: &PubsubLimits,
) -> Result<NodeConfig, Refusal> {
    let mut config = config.clone();
    for var in form.names() {
        apply(&mut config, var, form, limits)?;
    }
    Ok(config)
}

/// The configuration with one option of a form.
///
/// # Errors
/// As for [`applied`].
pub(crate) fn applied_one(
    config: &NodeConfig,
    var: &str,
    form: &Submitted,
    limits: &PubsubLimits,
) -> Result<NodeConfig, Refusal> {
    let mut config = config.clone();
    apply(&mut config, var, form, limits)?;
    Ok(config)
}

/// Whether a node is as the preconditions say.
///
/// # Errors
/// `<conflict/>` with `<precondition-not-met/>`; as for [`applied`] where an option is not offered.
pub(super) fn must_meet(
    config: &NodeConfig,
    form: &Submitted,
    limits: &PubsubLimits,
) -> Result<(), Refusal> {
    for var in form.names() {
        let mut wanted = config.clone();
        apply(&mut wanted, var, form, limits)?;
        let most = |config: &NodeConfig| config.max_items.unwrap_or(limits.items);
        if var == "pubsub#max_items" && most(&wanted) == most(config) {
            continue;
        }
        if wanted != *config {
            return Err(refused(
                Condition::Conflict,
                "precondition-not-met",
                format!("the node is configured with another {var}"),
            ));
        }
    }
    Ok(())
}

fn apply(
    config: &mut NodeConfig,
    var: &str,
    form: &Submitted,
    limits: &PubsubLimits,
) -> Result<(), Refusal> {
    let bad = |what: String| Err(plain(Condition::NotAcceptable, what));
    let values = form.values(var);
    let one = match values {
        [] => "",
        [value] => value.as_str(),
        _ if var == "pubsub#roster_groups_allowed" => "",
        _ => return bad(format!("{var} has one value")),
    };
    let flag = || match form.boolean(var) {
        Ok(Some(flag)) => Ok(flag),
        _ => Err(plain(
            Condition::NotAcceptable,
            format!("{var} is true or false"),
        )),
    };
    let text = || {
        if one.len() > NAME_BYTES {
            let text = format!("{var} has at most {NAME_BYTES} bytes");
            return Err(plain(Condition::NotAcceptable, text));
        }
        Ok(one.to_owned())
    };
    let number = |most: usize| match one.parse::<u32>() {
        Ok(n) if n > 0 && n as usize <= most => Ok(n),
        _ => Err(plain(
            Condition::NotAcceptable,
            format!("{var} is a number from 1 to {most}"),
        )),
    };
    match var {
        "pubsub#title" => config.title = text()?,
        "pubsub#description" => config.description = text()?,
        "pubsub#type" => config.payload_type = text()?,
        "pubsub#access_model" => {
            config.access = value(&ACCESS, one).ok_or_else(|| {
                refused(
                    Condition::NotAcceptable,
                    "unsupported-access-model",
                    "access models are open, presence, roster and whitelist",
                )
            })?;
        }
        "pubsub#roster_groups_allowed" => {
            if values.len() > GROUPS || values.iter().any(|group| group.len() > NAME_BYTES) {
                return bad(format!(
                    "{var} has at most {GROUPS} groups of at most {NAME_BYTES} bytes"
                ));
            }
            config.groups = values.to_vec();
            config.groups.sort();
            config.groups.dedup();
        }
        "pubsub#max_items" if one == MAX => config.max_items = None,
        "pubsub#max_items" => config.max_items = Some(number(limits.items as usize)?),
        "pubsub#max_payload_size" => {
            let most = number(limits.item_bytes)?;
            config.max_payload = Some(most).filter(|n| (*n as usize) < limits.item_bytes);
        }
        "pubsub#persist_items" => config.persist = flag()?,
        "pubsub#deliver_notifications" => config.deliver = flag()?,
        "pubsub#deliver_payloads" => config.payloads = flag()?,
        "pubsub#notify_config" => config.notify_config = flag()?,
        "pubsub#notify_delete" => config.notify_delete = flag()?,
        "pubsub#notify_retract" => config.notify_retract = flag()?,
        "pubsub#subscribe" => config.subscribe = flag()?,
        "pubsub#send_last_published_item" => match value(&SEND_LAST, one) {
            Some(send_last) => config.send_last = send_last,
            None => return bad(format!("{var} is never, on_sub or on_sub_and_presence")),
        },
        "pubsub#publish_model" if one == "publishers" => {}
        "pubsub#publish_model" => return bad("only the owner publishes".into()),
        "pubsub#notification_type" if matches!(one, "headline" | "normal") => {
            config.headline = one == "headline";
        }
        "pubsub#notification_type" => return bad(format!("{var} is headline or normal")),
        _ => return bad(format!("there is no option {var}")),
    }
    Ok(())
}

fn name<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> &'static str {
    let found = table.iter().find(|(_, v)| *v == value);
    found.map_or("", |(name, _)| name)
}

fn value<T: Copy>(table: &[(&'static str, T)], name: &str) -> Option<T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
}
