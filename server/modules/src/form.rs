//! Data forms, XEP-0004 version 2.13.1: what modules ask and what they read of an answer.
//!
//! Refuses: `reported` tables, and answers in which a field says twice what may be said once.

use std::collections::BTreeMap;

use xmpp::element::Element;

/// `jabber:x:data`
pub const DATA: &str = "jabber:x:data";

/// Name of the field that says what a form is about (XEP-0068).
const FORM_TYPE: &str = "FORM_TYPE";

/// Fields of an answer that are read; more are not looked at, whoever sent them.
const FIELDS_AT_MOST: usize = 100;
/// Values of one field that are read.
const VALUES_AT_MOST: usize = 1_000;

/// A form to be filled in, or a result.
#[derive(Debug)]
pub struct Form(Element);

impl Form {
    /// To be filled in.
    pub fn asking(form_type: &str) -> Self {
        Self::of("form", form_type)
    }

    /// Data to be read.
    pub fn result(form_type: &str) -> Self {
        Self::of("result", form_type)
    }

    fn of(kind: &str, form_type: &str) -> Self {
        let hidden = Field::new(FORM_TYPE, "hidden").value(form_type);
        let form = Element::new("x", DATA).attr("type", kind);
        Self(form.child(hidden.0))
    }

    /// Its heading.
    #[must_use]
    pub fn title(self, title: &str) -> Self {
        Self(self.0.child(Element::new("title", DATA).text(title)))
    }

    /// What to do with it.
    #[must_use]
    pub fn instructions(self, text: &str) -> Self {
        Self(self.0.child(Element::new("instructions", DATA).text(text)))
    }

    /// One more field.
    #[must_use]
    pub fn field(self, field: Field) -> Self {
        Self(self.0.child(field.0))
    }

    /// As it is sent.
    pub fn into_element(self) -> Element {
        self.0
    }
}

/// A field with its values.
#[derive(Debug)]
pub struct Field(Element);

impl Field {
    /// `kind` is the field's `type` (XEP-0004 3.3): `text-single`, `jid-multi`, …
    pub fn new(var: &str, kind: &str) -> Self {
        let field = Element::new("field", DATA).attr("var", var);
        Self(field.attr("type", kind))
    }

    /// Yes or no.
    pub fn boolean(var: &str, value: bool) -> Self {
        Self::new(var, "boolean").value(if value { "1" } else { "0" })
    }

    /// What people read beside it.
    #[must_use]
    pub fn label(mut self, label: &str) -> Self {
        self.0.set_attr("label", label);
        self
    }

    /// It must be filled in.
    #[must_use]
    pub fn required(self) -> Self {
        Self(self.0.child(Element::new("required", DATA)))
    }

    /// One more value.
    #[must_use]
    pub fn value(self, value: &str) -> Self {
        Self(self.0.child(Element::new("value", DATA).text(value)))
    }

    /// How its values are checked (XEP-0122).
    #[must_use]
    pub fn validate(self, validate: Element) -> Self {
        Self(self.0.child(validate))
    }

    /// One more value to choose from.
    #[must_use]
    pub fn option(self, value: &str, label: &str) -> Self {
        let option = Element::new("option", DATA).attr("label", label);
        let value = Element::new("value", DATA).text(value);
        Self(self.0.child(option.child(value)))
    }
}

/// An answer.
#[derive(Debug)]
pub struct Submitted {
    cancelled: bool,
    fields: BTreeMap<String, Vec<String>>,
}

/// A field of an answer makes no sense; its name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {0} cannot be read")]
pub struct BadField(pub String);

impl Submitted {
    /// The form inside an element, if there is one that is an answer or a refusal to give one.
    pub fn within(parent: &Element) -> Option<Self> {
        let form = parent.find("x", DATA)?;
        let cancelled = match form.get_attr("type") {
            Some("cancel") => true,
            Some("submit") => false,
            _ => return None,
        };
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let given = form.children().filter(|child| child.is("field", DATA));
        for field in given.take(FIELDS_AT_MOST) {
            let Some(var) = field.get_attr("var") else {
                continue;
            };
            let values = field.children().filter(|child| child.is("value", DATA));
            let values = values.take(VALUES_AT_MOST).map(Element::text_content);
            fields.entry(var.to_owned()).or_default().extend(values);
        }
        Some(Self { cancelled, fields })
    }

    /// Where nothing was asked.
    pub fn empty() -> Self {
        Self {
            cancelled: false,
            fields: BTreeMap::new(),
        }
    }

    /// Whoever was asked does not want to.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// What it says it is about (XEP-0068).
    pub fn form_type(&self) -> Option<&str> {
        self.values(FORM_TYPE).first().map(String::as_str)
    }

    /// Names of the fields that were given, without the one of the form itself.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.fields.keys().map(String::as_str);
        names.filter(|name| *name != FORM_TYPE)
    }

    /// All values of a field; none where it was not given.
    pub fn values(&self, var: &str) -> &[String] {
        self.fields.get(var).map(Vec::as_slice).unwrap_or_default()
    }

    /// The value of a field that has one; an empty field is an empty text.
    pub fn text(&self, var: &str) -> Result<Option<&str>, BadField> {
        match self.fields.get(var).map(Vec::as_slice) {
            None => Ok(None),
            Some([]) => Ok(Some("")),
            Some([one]) => Ok(Some(one)),
            Some(_) => Err(BadField(var.to_owned())),
        }
    }

    /// `1`, `true`, `0` or `false` (XEP-0004 3.3).
    pub fn boolean(&self, var: &str) -> Result<Option<bool>, BadField> {
        match self.text(var)? {
            None => Ok(None),
            Some("1" | "true") => Ok(Some(true)),
            Some("0" | "false") => Ok(Some(false)),
            Some(_) => Err(BadField(var.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitted(fields: &str) -> Submitted {
        let xml = format!("<query xmlns='q'><x xmlns='{DATA}' type='submit'>{fields}</x></query>");
        let query = Element::parse(&xml, "").expect("well-formed");
        Submitted::within(&query).expect("an answer")
    }

    #[test]
    fn a_form_is_written_field_by_field() {
        let form = Form::asking("urn:x")
            .title("T")
            .field(Field::boolean("b", true).label("B"))
            .field(Field::new("l", "list-single").value("1").option("1", "One"));
        assert_eq!(
            form.into_element().to_xml(""),
            "<x xmlns='jabber:x:data' type='form'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:x</value></field><title>T</title>\
             <field var='b' type='boolean' label='B'><value>1</value></field>\
             <field var='l' type='list-single'><value>1</value><option label='One'><value>1</value></option></field></x>"
        );
    }

    #[test]
    fn an_answer_is_read_by_name() {
        let answer = submitted(
            "<field var='FORM_TYPE'><value>urn:x</value></field><field var='b'><value>true</value></field>\
             <field var='t'/><field var='m'><value>1</value><value>2</value></field><field><value>lost</value></field>",
        );
        assert!(!answer.is_cancelled());
        assert_eq!(answer.form_type(), Some("urn:x"));
        assert_eq!(answer.names().collect::<Vec<_>>(), ["b", "m", "t"]);
        assert_eq!(answer.boolean("b"), Ok(Some(true)));
        assert_eq!(answer.boolean("not there"), Ok(None));
        assert_eq!(answer.text("t"), Ok(Some("")));
        assert_eq!(answer.values("m"), ["1", "2"]);
        assert_eq!(answer.text("m"), Err(BadField("m".into())));
        assert_eq!(answer.boolean("t"), Err(BadField("t".into())));
    }

    #[test]
    fn a_form_that_is_no_answer_is_none() {
        for kind in ["form", "result", "nonsense"] {
            let xml = format!("<query xmlns='q'><x xmlns='{DATA}' type='{kind}'/></query>");
            let query = Element::parse(&xml, "").expect("well-formed");
            assert!(Submitted::within(&query).is_none(), "{kind}");
        }
    }
}
