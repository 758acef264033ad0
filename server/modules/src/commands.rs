//! Ad-hoc commands, XEP-0050 version 1.3.0, for the admins of a domain: service administration, XEP-0133 version 1.3.1, and
//! invitations, XEP-0401 version 0.6.0, which accounts may make too where the domain's owner lets them.
//!
//! Whom the owner has named admin looks after the domain's accounts from any client: add, remove, disable and re-enable
//! them, change a password, end sessions, see who is registered and who is online, announce something to those who are. What
//! is done passes the same rules and the same log as in the panel (EXT-35). Every account takes out what it has by a command of
//! its own ([`own_export`]), where the owner lets it. Refuses: everybody else, who hears `forbidden` and sees no command that is
//! not theirs, and accounts of other domains.

mod invites;
mod own_export;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError};

use crate::administration::Work;
use crate::context::{Context, Refusal};
use crate::form::{DATA, Field, Form, Submitted};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Module};

/// XEP-0050
pub(crate) const COMMANDS: &str = "http://jabber.org/protocol/commands";
const ADMIN: &str = "http://jabber.org/protocol/admin";
/// Entries of a list.
const LISTED: u32 = 500;
/// Commands under way that are remembered, in each of two generations.
pub(crate) const UNDER_WAY: usize = 1_000;

/// The module.
pub(crate) struct Commands;

static INFO: ModuleInfo = ModuleInfo {
    name: "commands",
    about: "lets the domain's admins look after its accounts and invite people from their own apps, and people take out what they have",
    specs: &[
        Spec::Xep(50, "1.3.0"),
        Spec::Part(
            133,
            "1.3.1",
            "messages of the day, lists of admins, times of log-ins, restart and shutdown",
        ),
        Spec::Xep(401, "0.6.0"),
    ],
    switchable: true,
    iq: &[IqDoor {
        ns: COMMANDS,
        name: "command",
        types: IqTypes::Set,
        at_server: true,
        at_account: Audience::Nobody,
        of_sessions: true,
    }],
    hooks: Hooks::NONE,
    server_features: &[COMMANDS],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// What a form asks: variable, type, label, and whether it must be said.
type Asked = (&'static str, &'static str, &'static str, bool);

/// Who may run a command.
#[derive(Clone, Copy)]
enum Who {
    /// The domain's admins.
    Admins,
    /// They, and where the owner lets accounts invite, every account.
    Inviting,
    /// Every account, admins' among them, where the owner lets people take out what they have.
    Exporting,
}

/// A command.
struct Command {
    node: &'static str,
    name: &'static str,
    who: Who,
    /// Form type of what is asked.
    form: &'static str,
    asks: &'static [Asked],
    /// What is to be done; `None`: what was given makes no sense.
    work: fn(&Context<'_>, &Submitted) -> Option<Work>,
    /// The same for each of the accounts that the form names, in place of `work`.
    each: Option<fn(String) -> Work>,
}

const JID: Asked = (
    "accountjid",
    "jid-single",
    "The address of the account",
    true,
);
const JIDS: Asked = (
    "accountjids",
    "jid-multi",
    "The addresses of the accounts",
    true,
);
/// Accounts that one form may name.
const AT_ONCE: usize = 50;
const PASSWORD: Asked = ("password", "text-private", "The password", true);
const AGAIN: Asked = (
    "password-verify",
    "text-private",
    "The password once more",
    true,
);

/// Node of a command of XEP-0133.
macro_rules! admin {
    ($name:literal) => {
        concat!("http://jabber.org/protocol/admin#", $name)
    };
}

static ALL: [Command; 12] = [
    Command {
        node: admin!("add-user"),
        name: "Add an account",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JID, PASSWORD, AGAIN],
        work: |cx, form| {
            let password = text(form, "password")?;
            (text(form, "password-verify")? == password).then_some(())?;
            let local = local(cx, form, "accountjid")?;
            Some(Work::Add { local, password })
        },
        each: None,
    },
    Command {
        node: admin!("delete-user"),
        name: "Remove an account",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JIDS],
        work: |_, _| None,
        each: Some(Work::Remove),
    },
    Command {
        node: admin!("disable-user"),
        name: "Disable an account",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JIDS],
        work: |_, _| None,
        each: Some(Work::Suspend),
    },
    Command {
        node: admin!("reenable-user"),
        name: "Re-enable an account",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JIDS],
        work: |_, _| None,
        each: Some(Work::Resume),
    },
    Command {
        node: admin!("end-user-session"),
        name: "End an account's sessions",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JIDS],
        work: |_, _| None,
        each: Some(Work::End),
    },
    Command {
        node: admin!("change-user-password"),
        name: "Change an account's password",
        who: Who::Admins,
        form: ADMIN,
        asks: &[JID, PASSWORD],
        work: |cx, form| {
            let password = text(form, "password")?;
            let local = local(cx, form, "accountjid")?;
            Some(Work::SetPassword { local, password })
        },
        each: None,
    },
    Command {
        node: admin!("get-registered-users-list"),
        name: "List accounts",
        who: Who::Admins,
        form: ADMIN,
        asks: &[],
        work: |_, _| Some(Work::Registered(LISTED)),
        each: None,
    },
    Command {
        node: admin!("get-online-users-list"),
        name: "List who is online",
        who: Who::Admins,
        form: ADMIN,
        asks: &[],
        work: |_, _| Some(Work::Online(LISTED)),
        each: None,
    },
    Command {
        node: admin!("announce"),
        name: "Tell everybody who is online",
        who: Who::Admins,
        form: ADMIN,
        asks: &[
            ("subject", "text-single", "Subject", true),
            ("announcement", "text-multi", "Announcement", true),
        ],
        work: |_, form| {
            let body = form.values("announcement").join("\n");
            let subject = text(form, "subject").unwrap_or_default();
            (!body.trim().is_empty()).then_some(Work::Announce { subject, body })
        },
        each: None,
    },
    invites::INVITE,
    invites::CREATE_ACCOUNT,
    own_export::EXPORT,
];

#[async_trait]
impl Module for Commands {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
        let payload = iq
            .payload()
            .map_err(|_| Refusal::from(Condition::BadRequest))?;
        let asked = payload
            .find("command", COMMANDS)
            .ok_or(Condition::BadRequest)?;
        let node = asked.get_attr("node").unwrap_or_default();
        let command = command(node);
        // Whoever may run nothing is not told what there is.
        let who = |command: &Command| allowed(cx, iq, command);
        let from = command
            .map_or_else(|| admin(cx, iq), who)
            .ok_or(Condition::Forbidden)?;
        let command = command.ok_or(Condition::ItemNotFound)?;
        let session = asked.get_attr("sessionid");
        let key = session.map(|session| format!("{from} {node} {session}"));
        let form = Submitted::within(asked);
        match (asked.get_attr("action").unwrap_or("execute"), key, form) {
            ("cancel", key, _) => {
                if let Some(key) = key {
                    cx.modules.commands.remove(&key);
                }
                Ok(answer(node, session.unwrap_or_default(), "canceled", None))
            }
            ("execute", None, _) => self.begin(cx, &from, node, command).await,
            ("execute" | "complete" | "next", Some(key), form) => {
                let known = cx.modules.commands.get(&key).is_some();
                cx.modules.commands.remove(&key);
                if !known {
                    return Err(wrong(Condition::BadRequest, "bad-sessionid"));
                }
                let Some(form) = form.filter(|form| !form.is_cancelled()) else {
                    return Err(wrong(Condition::BadRequest, "bad-payload"));
                };
                let Some(work) = works(cx, command, &form) else {
                    return Err(wrong(Condition::BadRequest, "bad-payload"));
                };
                done(cx, &from, node, session.unwrap_or_default(), work).await
            }
            _ => Err(wrong(Condition::BadRequest, "bad-action")),
        }
    }
}

impl Commands {
    async fn begin(
        &self,
        cx: &Context<'_>,
        from: &Jid,
        node: &str,
        command: &Command,
    ) -> Result<Answer, Refusal> {
        let random: [u8; 12] = rand::random();
        let session = URL_SAFE_NO_PAD.encode(random);
        if command.asks.is_empty() {
            let nothing = Submitted::empty();
            let work = (command.work)(cx, &nothing).ok_or(Condition::InternalServerError)?;
            return done(cx, from, node, &session, vec![work]).await;
        }
        let key = format!("{from} {node} {session}");
        cx.modules.commands.insert(key, (), 1);
        let mut form = Form::asking(command.form).title(command.name);
        for (var, kind, label, required) in command.asks {
            let field = Field::new(var, kind).label(label);
            form = form.field(if *required { field.required() } else { field });
        }
        let actions = Element::new("actions", COMMANDS)
            .attr("execute", "complete")
            .child(Element::new("complete", COMMANDS));
        let mut body = command_element(node, &session, "executing");
        body.push(actions);
        body.push(form.into_element());
        Ok(Answer::Payload(body))
    }
}

/// What a form asks for, in its order.
fn works(cx: &Context<'_>, command: &Command, form: &Submitted) -> Option<Vec<Work>> {
    let Some(each) = command.each else {
        return Some(vec![(command.work)(cx, form)?]);
    };
    let named = form.values(JIDS.0);
    if named.is_empty() || named.len() > AT_ONCE {
        return None;
    }
    named
        .iter()
        .map(|jid| Some(each(local_of(cx, jid)?)))
        .collect()
}

/// Does one after the other; where one cannot be done, those after it are not.
async fn done(
    cx: &Context<'_>,
    from: &Jid,
    node: &str,
    session: &str,
    works: Vec<Work>,
) -> Result<Answer, Refusal> {
    let listed = match works.first() {
        Some(Work::Registered(_)) => Some("registereduserjids"),
        Some(Work::Online(_)) => Some("onlineuserjids"),
        _ => None,
    };
    let made: Option<fn(&[String]) -> Element> = match works.first() {
        Some(Work::Invite | Work::InviteAccount { .. }) => Some(invites::made),
        Some(Work::ExportOwn) => Some(own_export::made),
        _ => None,
    };
    let domain = &cx.hosted.domain;
    let mut lines = Vec::new();
    for work in works {
        let done = cx.switchboard.administer(domain, &from.bare(), work).await;
        lines = done.map_err(|not| Refusal::new(not.condition).with_text(not.text))?;
    }
    if let Some(made) = made {
        return Ok(answer(node, session, "completed", Some(made(&lines))));
    }
    let form = listed.map(|var| {
        let field = Field::new(var, "jid-multi").label("Addresses");
        let field = lines.iter().fold(field, |field, line| field.value(line));
        Form::result(ADMIN).field(field).into_element()
    });
    let said = form.unwrap_or_else(|| {
        Element::new("note", COMMANDS)
            .attr("type", "info")
            .text("Done.")
    });
    Ok(answer(node, session, "completed", Some(said)))
}

fn command_element(node: &str, session: &str, status: &str) -> Element {
    Element::new("command", COMMANDS)
        .attr("node", node)
        .attr("sessionid", session)
        .attr("status", status)
}

fn answer(node: &str, session: &str, status: &str, said: Option<Element>) -> Answer {
    let command = command_element(node, session, status);
    Answer::Payload(command.children_from(said))
}

/// XEP-0050 4.5
fn wrong(condition: Condition, specific: &str) -> Refusal {
    let mut error = StanzaError::new(condition);
    error.app = Some(Box::new(Element::new(specific, COMMANDS)));
    error.into()
}

/// The session of an admin of this domain that asks.
fn admin(cx: &Context<'_>, iq: &Stanza) -> Option<Jid> {
    let own = |from: &&Jid| from.domain() == cx.hosted.domain.as_str() && !from.is_bare();
    let from = iq.from().filter(own)?;
    let admins = &cx.hosted.settings.admins;
    admins
        .iter()
        .any(|admin| admin.as_str() == from.bare_str())
        .then(|| from.clone())
}

fn command(node: &str) -> Option<&'static Command> {
    ALL.iter().find(|command| command.node == node)
}

/// Who asks, if they may run this: a session of an admin, or where the owner lets accounts do it, one of any.
fn allowed(cx: &Context<'_>, iq: &Stanza, command: &Command) -> Option<Jid> {
    let settings = &cx.hosted.settings;
    let (admins, accounts) = match command.who {
        Who::Admins => (true, false),
        Who::Inviting => (true, settings.user_invites),
        Who::Exporting => (false, settings.own_export),
    };
    let account = || {
        let from = iq.from().filter(|from| cx.is_account(from))?;
        (accounts && from.resource().is_some()).then(|| from.clone())
    };
    admin(cx, iq).filter(|_| admins).or_else(account)
}

/// Commands as disco lists them (XEP-0050 2.2); to each those that they may run.
pub(crate) fn items(cx: &Context<'_>, iq: &Stanza) -> Vec<Element> {
    let item = |command: &Command| {
        Element::new("item", ns::DISCO_ITEMS)
            .attr("jid", cx.hosted.domain.as_str())
            .attr("node", command.node)
            .attr("name", command.name)
    };
    ALL.iter()
        .filter(|command| allowed(cx, iq, command).is_some())
        .map(item)
        .collect()
}

/// What disco says of one of them (XEP-0050 2.3), or of their list (XEP-0030 3.2).
pub(crate) fn info(cx: &Context<'_>, iq: &Stanza, node: &str) -> Option<Element> {
    if node == COMMANDS {
        // To whoever may run nothing there is no list.
        ALL.iter()
            .find(|command| allowed(cx, iq, command).is_some())?;
        let identity = Element::new("identity", ns::DISCO_INFO)
            .attr("category", "automation")
            .attr("type", "command-list");
        let feature = Element::new("feature", ns::DISCO_INFO).attr("var", ns::DISCO_INFO);
        let query = Element::new("query", ns::DISCO_INFO).attr("node", node);
        return Some(query.child(identity).child(feature));
    }
    let command = command(node)?;
    allowed(cx, iq, command)?;
    let identity = Element::new("identity", ns::DISCO_INFO)
        .attr("category", "automation")
        .attr("type", "command-node")
        .attr("name", command.name);
    let feature = |var| Element::new("feature", ns::DISCO_INFO).attr("var", var);
    Some(
        Element::new("query", ns::DISCO_INFO)
            .attr("node", node)
            .child(identity)
            .child(feature(COMMANDS))
            .child(feature(DATA)),
    )
}

fn text(form: &Submitted, var: &str) -> Option<String> {
    let text = form.text(var).ok().flatten()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// The localpart of an address of this domain.
fn local(cx: &Context<'_>, form: &Submitted, var: &str) -> Option<String> {
    local_of(cx, &text(form, var)?)
}

fn local_of(cx: &Context<'_>, jid: &str) -> Option<String> {
    let jid = Jid::parse(jid).ok()?;
    let own = jid.domain() == cx.hosted.domain.as_str() && jid.is_bare();
    jid.local().filter(|_| own).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;
    use xmpp::jid::BareJid;

    pub(super) async fn house() -> House {
        let mut house = House::new().await;
        house.settings(|settings| {
            settings.admins = vec![BareJid::parse("alice@one.example").expect("an address")];
        });
        house
    }

    fn run(node: &str, rest: &str, children: &str) -> String {
        format!("<command xmlns='{COMMANDS}' node='{ADMIN}#{node}'{rest}>{children}</command>")
    }

    fn form(fields: &[(&str, &str)]) -> String {
        let fields: String = fields
            .iter()
            .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
            .collect();
        format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{ADMIN}</value></field>{fields}</x>"
        )
    }

    pub(super) async fn ask(house: &House, who: &Jid, payload: &str) -> String {
        house.iq(who, "set", Some("one.example"), payload).await;
        house.all(who).join("")
    }

    pub(super) fn session(answer: &str) -> String {
        let id = answer
            .split("sessionid='")
            .nth(1)
            .and_then(|id| id.split('\'').next());
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    #[tokio::test]
    async fn ext_35_an_admin_fills_in_a_form_and_it_is_done() {
        let house = house().await;
        let alice = house.bind("alice@one.example/phone");
        let asked = ask(&house, &alice, &run("add-user", "", "")).await;
        for part in [
            "status='executing'",
            "type='form'",
            "var='accountjid'",
            "var='password-verify'",
            "<complete/>",
        ] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        let given = form(&[
            ("accountjid", "dora@one.example"),
            ("password", "long enough"),
            ("password-verify", "long enough"),
        ]);
        let rest = format!(" action='complete' sessionid='{}'", session(&asked));
        let answer = ask(&house, &alice, &run("add-user", &rest, &given)).await;
        assert!(answer.contains("status='completed'"), "{answer}");
        let work = Work::Add {
            local: "dora".into(),
            password: "long enough".into(),
        };
        assert_eq!(house.administered(), [("alice@one.example".into(), work)]);
        // Once only.
        let again = ask(&house, &alice, &run("add-user", &rest, &given)).await;
        assert!(again.contains("<bad-sessionid "), "{again}");
    }

    #[tokio::test]
    async fn ext_35_nobody_else_runs_or_sees_commands() {
        let house = house().await;
        let bob = house.bind("bob@one.example/phone");
        let refused = ask(&house, &bob, &run("get-online-users-list", "", "")).await;
        assert!(refused.contains("<forbidden "), "{refused}");
        let query = format!("<query xmlns='{}' node='{COMMANDS}'/>", ns::DISCO_ITEMS);
        house.iq(&bob, "get", Some("one.example"), &query).await;
        let seen = house.all(&bob).join("");
        assert!(
            seen.contains("type='result'") && !seen.contains("<item "),
            "{seen}"
        );
        let alice = house.bind("alice@one.example/phone");
        house.iq(&alice, "get", Some("one.example"), &query).await;
        let seen = house.all(&alice).join("");
        // All but what the owner has not switched on.
        assert_eq!(seen.matches("<item ").count(), ALL.len() - 1, "{seen}");
        house
            .iq_from(
                "alice@one.example.evil.example/x",
                "set",
                "one.example",
                &run("get-online-users-list", "", ""),
            )
            .await;
        house.sent_error("one.example", "forbidden");
        assert_eq!(house.administered(), []);
    }

    #[tokio::test]
    async fn ext_35_what_makes_no_sense_is_told_apart() {
        let house = house().await;
        let alice = house.bind("alice@one.example/phone");
        let begin = async |node: &str| session(&ask(&house, &alice, &run(node, "", "")).await);
        for (fields, specific) in [
            (&[("accountjids", "bob@two.example")][..], "bad-payload"),
            (&[("accountjids", "bob@one.example/x")], "bad-payload"),
            (&[], "bad-payload"),
        ] {
            let rest = format!(" sessionid='{}'", begin("delete-user").await);
            let told = ask(&house, &alice, &run("delete-user", &rest, &form(fields))).await;
            assert!(told.contains(&format!("<{specific} ")), "{told}");
        }
        let told = ask(
            &house,
            &alice,
            &run("delete-user", " action='prev' sessionid='x'", ""),
        )
        .await;
        assert!(told.contains("<bad-action "), "{told}");
        let told = ask(&house, &alice, &run("make-coffee", "", "")).await;
        assert!(told.contains("<item-not-found "), "{told}");
        let rest = format!(
            " action='cancel' sessionid='{}'",
            begin("delete-user").await
        );
        let told = ask(&house, &alice, &run("delete-user", &rest, "")).await;
        assert!(told.contains("status='canceled'"), "{told}");
        let told = ask(&house, &alice, &run("get-registered-users-list", "", "")).await;
        assert!(
            told.contains("status='completed'") && told.contains("registereduserjids"),
            "{told}"
        );
    }

    /// XEP-0133 3.2: a form may name several accounts.
    #[tokio::test]
    async fn ext_35_one_form_may_be_about_several_accounts() {
        let house = house().await;
        let alice = house.bind("alice@one.example/phone");
        let asked = ask(&house, &alice, &run("delete-user", "", "")).await;
        assert!(asked.contains("type='jid-multi'"), "{asked}");
        let rest = format!(" sessionid='{}'", session(&asked));
        let both = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field>\
            <field var='accountjids'><value>bob@one.example</value><value>carol@one.example</value></field></x>";
        let told = ask(&house, &alice, &run("delete-user", &rest, both)).await;
        assert!(told.contains("status='completed'"), "{told}");
        let by = || "alice@one.example".to_owned();
        let gone = |local: &str| (by(), Work::Remove(local.into()));
        assert_eq!(house.administered(), [gone("bob"), gone("carol")]);
    }

    /// XEP-0030 3.2: the list says what it is, to whom there is one.
    #[tokio::test]
    async fn ext_35_the_list_of_commands_says_what_it_is() {
        let house = house().await;
        let query = format!("<query xmlns='{}' node='{COMMANDS}'/>", ns::DISCO_INFO);
        for (who, said) in [
            ("alice@one.example/phone", "type='command-list'"),
            ("bob@one.example/phone", "<item-not-found "),
        ] {
            let who = house.bind(who);
            house.iq(&who, "get", Some("one.example"), &query).await;
            let told = house.all(&who).join("");
            assert!(told.contains(said), "{told}");
        }
    }
}
