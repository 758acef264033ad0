//! Commands that make invitations (XEP-0401 4): for a contact at once, for an account after a form.

use xmpp::element::Element;

use super::{Command, Who, text};
use crate::administration::Work;
use crate::form::{Field, Form};

/// Form type of what comes of both.
const INVITATION: &str = "urn:xmpp:invite#invitation";
const CREATE: &str = "urn:xmpp:invite#create-account";

/// XEP-0401 4.1
pub(super) const INVITE: Command = Command {
    node: "urn:xmpp:invite#invite",
    name: "Invite somebody",
    who: Who::Inviting,
    form: INVITATION,
    asks: &[],
    work: |_, _| Some(Work::Invite),
    each: None,
};

/// XEP-0401 4.4
pub(super) const CREATE_ACCOUNT: Command = Command {
    node: CREATE,
    name: "Invite somebody to an account",
    who: Who::Admins,
    form: CREATE,
    asks: &[
        (
            "username",
            "text-single",
            "The name that is kept for them; empty: they choose",
            false,
        ),
        (
            "roster-subscription",
            "boolean",
            "They become your contact",
            false,
        ),
    ],
    work: |_, form| {
        Some(Work::InviteAccount {
            local: text(form, "username"),
            contact: form.boolean("roster-subscription").ok()?.unwrap_or(false),
        })
    },
    each: None,
};

/// What came of it, from the lines of the answer.
pub(super) fn made(lines: &[String]) -> Element {
    let vars = ["uri", "landing-url", "expire"];
    let fields = vars.into_iter().zip(lines);
    fields
        .fold(Form::result(INVITATION), |form, (var, line)| {
            form.field(Field::new(var, "text-single").value(line))
        })
        .into_element()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tests::{ask, house, session};
    use crate::testing::House;
    use xmpp::jid::Jid;
    use xmpp::ns;

    fn run(node: &str, rest: &str, children: &str) -> String {
        let commands = crate::commands::COMMANDS;
        format!("<command xmlns='{commands}' node='{node}'{rest}>{children}</command>")
    }

    async fn listed(house: &House, who: &Jid) -> String {
        let query = format!(
            "<query xmlns='{}' node='{}'/>",
            ns::DISCO_ITEMS,
            crate::commands::COMMANDS
        );
        house.iq(who, "get", Some("one.example"), &query).await;
        house.all(who).join("")
    }

    #[tokio::test]
    async fn ext_34_accounts_invite_where_the_owner_lets_them() {
        let mut house = house().await;
        let bob = house.bind("bob@one.example/phone");
        let refused = ask(&house, &bob, &run(INVITE.node, "", "")).await;
        assert!(refused.contains("<forbidden "), "{refused}");
        assert!(!listed(&house, &bob).await.contains("<item "));
        house.settings(|settings| settings.user_invites = true);
        let seen = listed(&house, &bob).await;
        assert_eq!(seen.matches("<item ").count(), 1, "{seen}");
        let told = ask(&house, &bob, &run(INVITE.node, "", "")).await;
        for part in [
            "status='completed'",
            "urn:xmpp:invite#invitation",
            "var='uri'",
            "<value>xmpp:",
            "var='landing-url'",
            "var='expire'",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(
            house.administered(),
            [("bob@one.example".into(), Work::Invite)]
        );
        let refused = ask(&house, &bob, &run(CREATE, "", "")).await;
        assert!(refused.contains("<forbidden "), "{refused}");
        house
            .iq_from(
                "romeo@peer.example/x",
                "set",
                "one.example",
                &run(INVITE.node, "", ""),
            )
            .await;
        house.sent_error("one.example", "forbidden");
        assert_eq!(house.administered(), []);
    }

    #[tokio::test]
    async fn ext_34_an_admin_keeps_a_name_for_somebody() {
        let house = house().await;
        let alice = house.bind("alice@one.example/phone");
        let asked = ask(&house, &alice, &run(CREATE, "", "")).await;
        assert!(
            asked.contains("var='username'") && !asked.contains("<required/>"),
            "{asked}"
        );
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>juliet</value></field>\
                    <field var='roster-subscription'><value>1</value></field></x>";
        let rest = format!(" action='complete' sessionid='{}'", session(&asked));
        let told = ask(&house, &alice, &run(CREATE, &rest, form)).await;
        assert!(told.contains("status='completed'"), "{told}");
        let work = Work::InviteAccount {
            local: Some("juliet".into()),
            contact: true,
        };
        assert_eq!(house.administered(), [("alice@one.example".into(), work)]);
    }
}
