//! The command by which people take out what they have themselves (XEP-0227). What comes of it is a link: a file is nothing for a
//! stream of stanzas.

use xmpp::element::Element;

use super::{Command, Who};
use crate::administration::Work;
use crate::form::{Field, Form};

/// Node, and form type of what comes of it. No XEP names one.
const NODE: &str = "domicile#export-own-data";

pub(super) const EXPORT: Command = Command {
    node: NODE,
    name: "Take your data with you",
    who: Who::Exporting,
    form: NODE,
    asks: &[],
    work: |_, _| Some(Work::ExportOwn),
    each: None,
};

/// What came of it, from the lines of the answer.
pub(super) fn made(lines: &[String]) -> Element {
    let fields = [
        (
            "url",
            "Open this in a browser to load everything that your account has here",
        ),
        ("expire", "It is good once, until"),
    ];
    let form = Form::result(NODE).title(EXPORT.name);
    let fields = fields.into_iter().zip(lines);
    fields
        .fold(form, |form, ((var, label), line)| {
            form.field(Field::new(var, "text-single").label(label).value(line))
        })
        .into_element()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::COMMANDS;
    use crate::commands::tests::{ask, house};
    use xmpp::ns;

    #[tokio::test]
    async fn ext_38_people_get_a_link_to_their_own_data_exactly_where_the_owner_lets_them() {
        let mut house = house().await;
        let run = format!("<command xmlns='{COMMANDS}' node='{NODE}'/>");
        let list = format!("<query xmlns='{}' node='{COMMANDS}'/>", ns::DISCO_ITEMS);
        let info = format!("<query xmlns='{}' node='{NODE}'/>", ns::DISCO_INFO);
        // Nobody, an admin among them, before it is switched on.
        let (alice, bob) = (
            house.bind("alice@one.example/phone"),
            house.bind("bob@one.example/phone"),
        );
        for who in [&alice, &bob] {
            assert!(ask(&house, who, &run).await.contains("<forbidden "));
            house.iq(who, "get", Some("one.example"), &list).await;
            assert!(!house.all(who).join("").contains(NODE));
        }
        house.settings(|settings| settings.own_export = true);
        for who in [&alice, &bob] {
            house.iq(who, "get", Some("one.example"), &list).await;
            assert!(house.all(who).join("").contains(NODE));
            house.iq(who, "get", Some("one.example"), &info).await;
            assert!(house.all(who).join("").contains("command-node"));
            let told = ask(&house, who, &run).await;
            for part in [
                "status='completed'",
                "var='url'",
                "<value>https://x/t</value>",
                "var='expire'",
            ] {
                assert!(told.contains(part), "{part}: {told}");
            }
            assert_eq!(
                house.administered(),
                [(who.bare().to_string(), Work::ExportOwn)]
            );
        }
        for stranger in ["romeo@peer.example/x", "bob@one.example.evil.example/x"] {
            house.iq_from(stranger, "set", "one.example", &run).await;
            house.sent_error("one.example", "forbidden");
        }
        assert_eq!(house.administered(), []);
    }
}
