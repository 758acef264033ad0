//! A vCard of the old form (XEP-0054) as one of the fourth version (RFC 6350, RFC 6351; XEP-0292).
//!
//! Why only this way: what is published in the new form says more than the old one could. Refuses: pictures, which have
//! nodes of their own, and whatever the new form has no word for.

use xmpp::element::Element;

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

/// The same in the new form.
pub(super) fn of(old: &Element) -> Element {
    let mut new = Element::new("vcard", VCARD4);
    for property in old.children() {
        if let Some(converted) = property_of(property) {
            new.push(converted);
        }
    }
    new
}

fn property_of(old: &Element) -> Option<Element> {
    let value = old.text_content();
    let value = value.trim();
    let own = |name: &str, kind: &str, value: &str| {
        let inside = Element::new(kind, VCARD4).text(value);
        (!value.is_empty()).then(|| Element::new(name, VCARD4).child(inside))
    };
    match old.name() {
        "FN" => own("fn", "text", value),
        "NICKNAME" => own("nickname", "text", value),
        "TITLE" => own("title", "text", value),
        "ROLE" => own("role", "text", value),
        "DESC" | "NOTE" => own("note", "text", value),
        "TZ" => own("tz", "text", value),
        "BDAY" => own("bday", "date", value),
        "URL" => own("url", "uri", value),
        "UID" => own("uid", "text", value),
        "JABBERID" => own("impp", "uri", &format!("xmpp:{value}")),
        "N" => Some(parts(
            old,
            "n",
            &[
                ("FAMILY", "surname"),
                ("GIVEN", "given"),
                ("MIDDLE", "additional"),
                ("PREFIX", "prefix"),
                ("SUFFIX", "suffix"),
            ],
        )),
        "ADR" => Some(parts(
            old,
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
        )),
        "TEL" => typed(old, "tel", "NUMBER"),
        "EMAIL" => typed(old, "email", "USERID"),
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
