//! Data policy, XEP-0504 version 0.1.0: what the domain and its services keep of people's data, for how long, and who can see it.
//!
//! Every word of it follows from what is in force: the days that the owner or the operator chose, the modules that are on. Refuses:
//! promises that nothing here keeps, such as where the machine stands or who makes backups of it.

use xmpp::element::Element;

use crate::context::Hosted;
use crate::form::{Field, Form};
use crate::hooks::{is_on, services_of};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::module::Module;

/// The module.
pub(crate) struct DataPolicies;

const POLICY: &str = "urn:xmpp:data-policy:0";
/// What has no end (3.3).
const INFINITE: &str = "infinite";

static INFO: ModuleInfo = ModuleInfo {
    name: "data-policy",
    about: "tells people how long the domain and its services keep what of theirs",
    specs: &[Spec::Xep(504, "0.1.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

impl Module for DataPolicies {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }
}

/// What is in force at a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataPolicy {
    /// Passwords may be sent as they are (SASL PLAIN, inside TLS).
    pub reads_passwords: bool,
    /// Days after which what is archived goes; 0: never.
    pub archive_days: u32,
    /// Days after which a file goes; 0: with its account.
    pub upload_days: u32,
}

/// Of what somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// The domain itself.
    Domain,
    /// Its rooms.
    Rooms,
    /// Its files.
    Uploads,
}

/// What disco says of it (3); `None`: nothing.
pub(crate) fn form(hosted: &Hosted, of: Of) -> Option<Element> {
    if !is_on(hosted, &INFO) {
        return None;
    }
    let policy = hosted.settings.policy;
    let on = |name: &str| hosted.on_by_name(name);
    let form = Form::result(POLICY);
    let one = |var: &str, value: &str| Field::new(var, "text-single").value(value);
    let seen_by = Field::new("access_policy", "list-multi").value("admins");
    let form = match of {
        Of::Domain => {
            let auth = match policy.reads_passwords {
                true => "plain",
                false => "hidden",
            };
            // What waits for somebody who never comes has no end.
            let kept = match (on("offline"), on("archive")) {
                (true, _) => INFINITE.to_owned(),
                (false, true) => hours(policy.archive_days),
                (false, false) => "0".to_owned(),
            };
            form.field(Field::new("auth_data", "list-single").value(auth))
                .field(one("data_retention", &kept))
                .field(Field::boolean(
                    "data_deletion",
                    on("pubsub") || on("archive"),
                ))
                .field(Field::boolean("full_erasure", on("register")))
                .field(seen_by)
                .field(said(hosted))
        }
        Of::Rooms => {
            let kept = match on("archive") {
                true => hours(policy.archive_days),
                false => "0".to_owned(),
            };
            form.field(one("data_retention", &kept))
                .field(Field::boolean("data_deletion", on("archive")))
                .field(seen_by.value("moderators"))
        }
        Of::Uploads => form
            .field(one("data_retention", &hours(policy.upload_days)))
            .field(Field::boolean("data_deletion", true))
            .field(seen_by),
    };
    Some(form.into_element())
}

/// Hours of so many days; none: no end.
fn hours(days: u32) -> String {
    match days {
        0 => INFINITE.to_owned(),
        days => (u64::from(days) * 24).to_string(),
    }
}

/// The same for people (3.13).
fn said(hosted: &Hosted) -> Field {
    let policy = hosted.settings.policy;
    let days = |days: u32| match days {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let mut field = Field::new("extra_info", "text-multi");
    if hosted.on_by_name("archive") {
        field = match policy.archive_days {
            0 => field.value("Archived messages stay until their account goes."),
            after => field.value(&format!("Archived messages go after {}.", days(after))),
        };
    }
    if hosted.on_by_name("offline") {
        field = field.value("Messages for somebody who is not there wait until they are fetched.");
    }
    if services_of(hosted).any(|service| service.label == "upload") {
        field = match policy.upload_days {
            0 => field.value("Shared files stay until their account goes."),
            after => field.value(&format!("Shared files go after {}.", days(after))),
        };
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

    async fn asked(house: &House, of: &str) -> String {
        let alice = house.bind("alice@one.example/phone");
        if of == "one.example" {
            house.iq(&alice, "get", Some(of), INFO).await;
        } else {
            let iq = format!("<iq type='get' id='q'>{INFO}</iq>");
            house.at(of, alice.as_str(), &iq).await;
        }
        let answer = house.take(&alice);
        house.gone(&alice).await;
        answer
    }

    fn field(answer: &str, var: &str) -> String {
        let form = answer.split("<x ").find(|form| form.contains(POLICY));
        let field = form.and_then(|form| {
            form.split("<field ")
                .find(|f| f.starts_with(&format!("var='{var}'")))
        });
        let values = field.unwrap_or_default().split("<value>").skip(1);
        let values: Vec<&str> = values.filter_map(|value| value.split('<').next()).collect();
        values.join(",")
    }

    /// XEP-0504.
    #[tokio::test]
    async fn what_is_said_follows_from_what_is_in_force() {
        let mut house = House::new().await;
        for (off, archive_days, upload_days, domain, rooms, uploads) in [
            (vec![], 0, 60, INFINITE, INFINITE, "1440"),
            (vec![], 30, 0, INFINITE, "720", INFINITE),
            (vec!["offline"], 30, 1, "720", "720", "24"),
            (vec!["offline", "archive"], 30, 1, "0", "0", "24"),
        ] {
            house.settings(|settings| {
                settings.off = off.iter().map(|off| (*off).to_owned()).collect();
                settings.policy = DataPolicy {
                    reads_passwords: off.is_empty(),
                    archive_days,
                    upload_days,
                };
            });
            for (of, kept) in [
                ("one.example", domain),
                ("rooms.one.example", rooms),
                ("upload.one.example", uploads),
            ] {
                let answer = asked(&house, of).await;
                assert_eq!(
                    field(&answer, "data_retention"),
                    kept,
                    "{of} {off:?}: {answer}"
                );
            }
            let answer = asked(&house, "one.example").await;
            let auth = if off.is_empty() { "plain" } else { "hidden" };
            assert_eq!(field(&answer, "auth_data"), auth, "{answer}");
            let told = field(&answer, "extra_info");
            assert_eq!(
                told.contains("go after 30 days"),
                archive_days == 30 && off.len() < 2,
                "{told}"
            );
            assert_eq!(
                told.contains("files go after 1 day."),
                upload_days == 1,
                "{told}"
            );
        }
        house.settings(|settings| settings.off = vec!["data-policy".into()]);
        for of in ["one.example", "rooms.one.example", "upload.one.example"] {
            assert!(!asked(&house, of).await.contains(POLICY), "{of}");
        }
    }
}
