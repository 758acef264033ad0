//! A vCard of the old form (XEP-0054) as one of the fourth version (RFC 6350, RFC 6351; XEP-0292), and the other way round.
//!
//! What one form has no word for stays in the other. Refuses: pictures, which have nodes of their own.

use xmpp::element::Element;

use super::VCARD;

const VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
/// Kinds of addresses and numbers that both forms know: old and new name.
const TYPES: [(&str, &str); 9] = [
    ("HOME", "home"),
    ("WORK", "work"),
    ("VOICE", "voice"),
    ("FAX", "fax"),
    ("PAGER", "pager"),
    ("CELL", "cell"),
    ("VIDEO", "video"),
    ("MSG", "text"),
    ("INTERNET", "internet"),
];
/// Properties of one value: old and new name, and what kind of value it is.
const SIMPLE: [(&str, &str, &str); 10] = [
    ("FN", "fn", "text"),
    ("NICKNAME", "nickname", "text"),
    ("TITLE", "title", "text"),
    ("ROLE", "role", "text"),
    ("DESC", "note", "text"),
    ("NOTE", "note", "text"),
    ("TZ", "tz", "text"),
    ("BDAY", "bday", "date"),
    ("URL", "url", "uri"),
    ("UID", "uid", "text"),
];
/// Old and new name of each part of a property.
type Parts = &'static [(&'static str, &'static str)];
/// Properties whose parts have names of their own.
const PARTS: [(&str, &str, Parts); 2] = [
    (
        "N",
        "n",
        &[
            ("FAMILY", "surname"),
            ("GIVEN", "given"),
            ("MIDDLE", "additional"),
            ("PREFIX", "prefix"),
            ("SUFFIX", "suffix"),
        ],
    ),
    (
        "ADR",
        "adr",
        &[
            ("POBOX", "pobox"),
            ("EXTADD", "ext"),
            ("STREET", "street"),
            ("LOCALITY", "locality"),
            ("REGION", "region"),
            ("PCODE", "code"),
            ("CTRY", "country"),
        ],
    ),
];
/// Properties with kinds and one value: old and new name, and what the old form calls the value.
const TYPED: [(&str, &str, &str); 2] = [("TEL", "tel", "NUMBER"), ("EMAIL", "email", "USERID")];
/// Others that both forms know, by their old names.
const OTHERS: [&str; 3] = ["JABBERID", "ORG", "GEO"];

/// Whether the new form has a word for a property of the old one.
pub(super) fn knows(old: &str) -> bool {
    SIMPLE.iter().any(|(name, ..)| *name == old)
        || PARTS.iter().any(|(name, ..)| *name == old)
        || TYPED.iter().any(|(name, ..)| *name == old)
        || OTHERS.contains(&old)
}

/// Whether this is a vCard of the new form.
pub(super) fn is(element: &Element) -> bool {
    element.is("vcard", VCARD4)
}

/// The same in the new form.
pub(super) fn of(old: &Element) -> Element {
    Element::new("vcard", VCARD4).children_from(old.children().filter_map(property_of))
}

/// What a vCard of the new form says that the old one has words for.
pub(super) fn back(new: &Element) -> Vec<Element> {
    let properties = new.children().filter(|property| property.ns() == VCARD4);
    properties.filter_map(property_back).collect()
}

fn property_of(old: &Element) -> Option<Element> {
    let value = old.text_content();
    let value = value.trim();
    let own = |name: &str, kind: &str, value: &str| {
        let inside = Element::new(kind, VCARD4).text(value);
        (!value.is_empty()).then(|| Element::new(name, VCARD4).child(inside))
    };
    let name = old.name();
    if let Some((_, new, kind)) = SIMPLE.iter().find(|(known, ..)| *known == name) {
        return own(new, kind, value);
    }
    if let Some((_, new, names)) = PARTS.iter().find(|(known, ..)| *known == name) {
        return Some(parts(old, new, names));
    }
    if let Some((_, new, value)) = TYPED.iter().find(|(known, ..)| *known == name) {
        return typed(old, new, value);
    }
    match name {
        "JABBERID" => own("impp", "uri", &format!("xmpp:{value}")),
        "ORG" => {
            let units = old
                .children()
                .filter(|c| matches!(c.name(), "ORGNAME" | "ORGUNIT"))
                .map(|c| Element::new("text", VCARD4).text(c.text_content()));
            Some(Element::new("org", VCARD4).children_from(units))
        }
        "GEO" => {
            let part = |name: &str| {
                let child = old.children().find(|c| c.name() == name)?;
                Some(child.text_content().trim().to_owned())
            };
            let uri = format!("geo:{},{}", part("LAT")?, part("LON")?);
            own("geo", "uri", &uri)
        }
        _ => None,
    }
}

fn property_back(new: &Element) -> Option<Element> {
    let mut values = new.children().filter(|c| c.name() != "parameters");
    let value = values.next().map(Element::text_content).unwrap_or_default();
    let value = value.trim();
    let leaf = |name: &str, text: &str| Element::new(name, VCARD).text(text);
    let own = |name: &str, text: &str| (!text.is_empty()).then(|| leaf(name, text));
    let name = new.name();
    if let Some((old, ..)) = SIMPLE.iter().find(|(_, known, _)| *known == name) {
        return own(old, value);
    }
    if let Some((old, _, names)) = PARTS.iter().find(|(_, known, _)| *known == name) {
        let of = |(old, new_name): &(&str, &str)| -> Vec<Element> {
            let parts = new.children().filter(|c| c.name() == *new_name);
            parts
                .map(|part| leaf(old, part.text_content().trim()))
                .collect()
        };
        let parts = names.iter().flat_map(of);
        return Some(
            Element::new(*old, VCARD)
                .children_from(kinds(new))
                .children_from(parts),
        );
    }
    if let Some((old, _, inside)) = TYPED.iter().find(|(_, known, _)| *known == name) {
        let value = value
            .strip_prefix("tel:")
            .or(value.strip_prefix("mailto:"))
            .unwrap_or(value);
        let inside = own(inside, value)?;
        return Some(
            Element::new(*old, VCARD)
                .children_from(kinds(new))
                .child(inside),
        );
    }
    match name {
        "impp" => own("JABBERID", value.strip_prefix("xmpp:")?),
        "org" => {
            let units = new.children().filter(|c| c.name() == "text");
            let units = units.enumerate().map(|(at, unit)| {
                let name = if at == 0 { "ORGNAME" } else { "ORGUNIT" };
                leaf(name, unit.text_content().trim())
            });
            Some(Element::new("ORG", VCARD).children_from(units))
        }
        "geo" => {
            let (lat, lon) = value.strip_prefix("geo:")?.split_once(',')?;
            let lon = lon.split([';', ',']).next()?;
            Some(
                Element::new("GEO", VCARD)
                    .child(leaf("LAT", lat))
                    .child(leaf("LON", lon)),
            )
        }
        _ => None,
    }
}

/// What is said about a property, in the old form.
fn kinds(new: &Element) -> Vec<Element> {
    let Some(parameters) = new.find("parameters", VCARD4) else {
        return Vec::new();
    };
    let types = parameters.children().filter(|c| c.name() == "type");
    let types: Vec<String> = types
        .flat_map(Element::children)
        .map(|text| text.text_content().trim().to_ascii_lowercase())
        .collect();
    let known = TYPES
        .iter()
        .filter(|(_, new)| types.iter().any(|t| t == new));
    let first = parameters.find("pref", VCARD4).map(|_| "PREF");
    let names = known.map(|(old, _)| *old).chain(first);
    names.map(|name| Element::new(name, VCARD)).collect()
}

/// A property whose parts have names of their own.
fn parts(old: &Element, name: &str, names: &[(&str, &str)]) -> Element {
    let mut new = Element::new(name, VCARD4).child_opt(parameters(old));
    for (from, to) in names {
        for part in old.children().filter(|c| c.name() == *from) {
            new.push(Element::new(*to, VCARD4).text(part.text_content()));
        }
    }
    new
}

/// A property with kinds and one value.
fn typed(old: &Element, name: &str, value: &str) -> Option<Element> {
    let value = old.children().find(|c| c.name() == value)?.text_content();
    let text = Element::new("text", VCARD4).text(value.trim());
    let new = Element::new(name, VCARD4).child_opt(parameters(old));
    (!value.trim().is_empty()).then(|| new.child(text))
}

fn parameters(old: &Element) -> Option<Element> {
    let has = |name: &str| old.children().any(|c| c.name() == name);
    let text = |name: &str| Element::new("text", VCARD4).text(name);
    let types = TYPES.iter().filter(|(old, _)| has(old));
    let types: Vec<Element> = types.map(|(_, new)| text(new)).collect();
    let mut parameters = Element::new("parameters", VCARD4);
    if !types.is_empty() {
        parameters.push(Element::new("type", VCARD4).children_from(types));
    }
    if has("PREF") {
        let first = Element::new("integer", VCARD4).text("1");
        parameters.push(Element::new("pref", VCARD4).child(first));
    }
    parameters.children().next()?;
    Some(parameters)
}
