//! What a room's owners may choose (XEP-0045 10.2, 15.5.3), as the form that they fill in and as JSON in the store.
//!
//! Refuses: fields it does not know are passed over, as XEP-0004 3.2 asks; values that make no sense change nothing at all.

use serde::{Deserialize, Serialize};
use xmpp::element::Element;

use super::rank::Roles;
use super::{CONFIG_FORM, INFO_FORM};
use crate::form::{BadField, Field, Form, Submitted};

/// Longest name of a room, in characters.
const NAME: usize = 200;
/// Longest description, in characters.
const DESCRIPTION: usize = 2_000;
/// Longest password, in characters.
const PASSWORD: usize = 200;

/// Who may send private messages (`muc#roomconfig_allowpm`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PrivateMessages {
    /// Everybody in the room.
    #[default]
    Anyone,
    /// Who may speak.
    Participants,
    /// Who may moderate.
    Moderators,
    /// Nobody.
    None,
}

impl PrivateMessages {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Anyone, "anyone", "Anyone"),
        (Self::Participants, "participants", "Anyone with voice"),
        (Self::Moderators, "moderators", "Moderators only"),
        (Self::None, "none", "Nobody"),
    ];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(one, ..)| *one == self);
        found.map_or("anyone", |(_, name, _)| name)
    }
}

/// Everything that is chosen about a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    /// As people call it.
    pub(super) name: String,
    pub(super) description: String,
    /// Language of the discussion (RFC 5646).
    pub(super) lang: String,
    /// Everybody may find it.
    pub(super) public: bool,
    /// It stays when the last occupant has left.
    pub(super) persistent: bool,
    pub(super) members_only: bool,
    /// Only who has voice may speak.
    pub(super) moderated: bool,
    /// Empty: none is asked for.
    pub(super) password: String,
    /// Everybody sees real addresses; otherwise moderators only.
    pub(super) non_anonymous: bool,
    /// Occupants, and not only moderators, may change the subject.
    pub(super) change_subject: bool,
    /// Occupants, and not only admins, may invite into a members-only room.
    pub(super) allow_invites: bool,
    pub(super) allow_pm: PrivateMessages,
    /// Whose presence everybody is shown; that of the others moderators alone are, and they themselves.
    pub(super) presence_broadcast: Roles,
    /// Who may read the list of members, beside admins.
    pub(super) member_list: Roles,
    /// Occupants at most; 0: as many as the service allows.
    pub(super) max_users: u32,
    /// Messages shown to who enters, at most.
    pub(super) history: u32,
    /// What is said is kept, for those to look up who may enter.
    pub(super) archive: bool,
}

impl Default for Config {
    /// What XEP-0045 10.1.2 calls reasonable: open and semi-anonymous; it is not listed before its owner wants it to be.
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            lang: String::new(),
            public: false,
            persistent: false,
            members_only: false,
            moderated: false,
            password: String::new(),
            non_anonymous: false,
            change_subject: false,
            allow_invites: false,
            allow_pm: PrivateMessages::Anyone,
            presence_broadcast: Roles::all(),
            member_list: Roles::moderators(),
            max_users: 0,
            history: 20,
            archive: true,
        }
    }
}

impl Config {
    /// Whether anybody may enter who is not banned.
    pub(super) fn is_open(&self) -> bool {
        !self.members_only && self.password.is_empty()
    }

    /// From the store; what another version wrote and this one cannot read is left at its default.
    pub(super) fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }

    pub(super) fn to_json(&self) -> String {
        // A struct of plain fields always has a spelling.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".into())
    }

    /// The form, filled in with what holds now. `occupants` and `history` are what the service allows at most.
    pub(super) fn form(&self, occupants: u32, history: u32) -> Element {
        let var = |name: &str| format!("muc#roomconfig_{name}");
        let text = |name: &str, label: &str, value: &str| {
            Field::new(&var(name), "text-single")
                .label(label)
                .value(value)
        };
        let yes_no =
            |name: &str, label: &str, value| Field::boolean(&var(name), value).label(label);
        let whois = Field::new(&var("whois"), "list-single")
            .label("Who may see real addresses")
            .value(if self.non_anonymous {
                "anyone"
            } else {
                "moderators"
            })
            .option("moderators", "Moderators only")
            .option("anyone", "Anyone");
        let allow_pm = PrivateMessages::ALL.iter().fold(
            Field::new(&var("allowpm"), "list-single")
                .label("Who may send private messages")
                .value(self.allow_pm.name()),
            |field, (_, name, label)| field.option(name, label),
        );
        let roles = |name: &str, label: &str, chosen: &Roles| {
            let field = Field::new(&var(name), "list-multi").label(label);
            let field = chosen.names().fold(field, |field, name| field.value(name));
            Roles::OFFERED.iter().fold(field, |field, (role, label)| {
                field.option(role.name(), label)
            })
        };
        let max_users = match self.max_users {
            0 => occupants,
            chosen => chosen.min(occupants),
        };
        Form::asking(CONFIG_FORM)
            .title("Configuration of this room")
            .instructions("What is left out stays as it is.")
            .field(text("roomname", "Name", &self.name))
            .field(text("roomdesc", "Description", &self.description))
            .field(text("lang", "Language of the discussion", &self.lang))
            .field(yes_no(
                "persistentroom",
                "It stays when the last occupant leaves",
                self.persistent,
            ))
            .field(yes_no("publicroom", "Everybody may find it", self.public))
            .field(yes_no(
                "membersonly",
                "Only members may enter",
                self.members_only,
            ))
            .field(yes_no(
                "allowinvites",
                "Members may invite others",
                self.allow_invites,
            ))
            .field(yes_no(
                "passwordprotectedroom",
                "A password is needed to enter",
                !self.password.is_empty(),
            ))
            .field(
                Field::new(&var("roomsecret"), "text-private")
                    .label("The password")
                    .value(&self.password),
            )
            .field(whois)
            .field(yes_no(
                "moderatedroom",
                "Only people with voice may speak",
                self.moderated,
            ))
            .field(yes_no(
                "changesubject",
                "Occupants may change the subject",
                self.change_subject,
            ))
            .field(allow_pm)
            .field(roles(
                "presencebroadcast",
                "Whom everybody sees come and go (of others, moderators do)",
                &self.presence_broadcast,
            ))
            .field(roles(
                "getmemberlist",
                "Who may read the list of members, beside admins",
                &self.member_list,
            ))
            .field(text(
                "maxusers",
                &format!("Occupants at most (up to {occupants})"),
                &max_users.to_string(),
            ))
            .field(
                Field::new("muc#maxhistoryfetch", "text-single")
                    .label(&format!("Messages shown to who enters (up to {history})"))
                    .value(&self.history.min(history).to_string()),
            )
            .field(yes_no(
                "enablearchiving",
                "What is said can be looked up later",
                self.archive,
            ))
            .into_element()
    }

    /// What an owner's answer makes of it.
    pub(super) fn with(
        &self,
        answer: &Submitted,
        occupants: u32,
        history: u32,
    ) -> Result<Self, BadField> {
        let mut new = self.clone();
        let text = |name: &str, most: usize, into: &mut String| {
            let var = format!("muc#roomconfig_{name}");
            if let Some(value) = answer.text(&var)? {
                if value.chars().count() > most {
                    return Err(BadField(var));
                }
                value.clone_into(into);
            }
            Ok(())
        };
        text("roomname", NAME, &mut new.name)?;
        text("roomdesc", DESCRIPTION, &mut new.description)?;
        text("lang", 35, &mut new.lang)?;
        text("roomsecret", PASSWORD, &mut new.password)?;
        for (name, into) in [
            ("persistentroom", &mut new.persistent),
            ("publicroom", &mut new.public),
            ("membersonly", &mut new.members_only),
            ("allowinvites", &mut new.allow_invites),
            ("moderatedroom", &mut new.moderated),
            ("changesubject", &mut new.change_subject),
            ("enablearchiving", &mut new.archive),
        ] {
            if let Some(value) = answer.boolean(&format!("muc#roomconfig_{name}"))? {
                *into = value;
            }
        }
        match answer.boolean("muc#roomconfig_passwordprotectedroom")? {
            Some(false) => new.password.clear(),
            Some(true) if new.password.is_empty() => {
                return Err(BadField("muc#roomconfig_roomsecret".into()));
            }
            _ => {}
        }
        let var = "muc#roomconfig_whois";
        match answer.text(var)? {
            Some("anyone") => new.non_anonymous = true,
            Some("moderators") => new.non_anonymous = false,
            None => {}
            Some(_) => return Err(BadField(var.into())),
        }
        let var = "muc#roomconfig_allowpm";
        if let Some(value) = answer.text(var)? {
            let known = PrivateMessages::ALL
                .iter()
                .find(|(_, name, _)| *name == value);
            new.allow_pm = known.ok_or_else(|| BadField(var.into()))?.0;
        }
        for (var, into) in [
            (
                "muc#roomconfig_presencebroadcast",
                &mut new.presence_broadcast,
            ),
            ("muc#roomconfig_getmemberlist", &mut new.member_list),
        ] {
            if answer.names().any(|name| name == var) {
                let chosen = Roles::of(answer.values(var));
                *into = chosen.ok_or_else(|| BadField(var.into()))?;
            }
        }
        let number = |var: &str, most: u32| match answer.text(var)? {
            // XEP-0045's forms offer "none" where nothing is limited.
            None | Some("" | "none") => Ok(None),
            Some(value) => match value.parse::<u32>() {
                Ok(value) => Ok(Some(value.min(most))),
                Err(_) => Err(BadField(var.into())),
            },
        };
        if let Some(most) = number("muc#roomconfig_maxusers", occupants)? {
            new.max_users = most;
        }
        if let Some(most) = number("muc#maxhistoryfetch", history)? {
            new.history = most;
        }
        Ok(new)
    }

    /// What everybody may know of the room (XEP-0045 6.4).
    pub(super) fn info(
        &self,
        occupants: usize,
        subject: Option<&str>,
        pictures: &[String],
    ) -> Element {
        let text = |name: &str, value: &str| {
            Field::new(&format!("muc#roominfo_{name}"), "text-single").value(value)
        };
        let mut form = Form::result(INFO_FORM)
            .field(text("description", &self.description))
            .field(text("occupants", &occupants.to_string()))
            .field(Field::boolean(
                "muc#roominfo_subjectmod",
                self.change_subject,
            ));
        if let Some(subject) = subject {
            form = form.field(text("subject", subject));
        }
        if !self.lang.is_empty() {
            form = form.field(text("lang", &self.lang));
        }
        if !pictures.is_empty() {
            let field = Field::new("muc#roominfo_avatarhash", "text-multi");
            form = form.field(pictures.iter().fold(field, |field, hash| field.value(hash)));
        }
        form.into_element()
    }

    /// Features of the room in disco that say what it is like (XEP-0045 6.4).
    pub(super) fn features(&self) -> [&'static str; 6] {
        let one_of = |yes, on, off| if yes { on } else { off };
        [
            one_of(
                self.password.is_empty(),
                "muc_unsecured",
                "muc_passwordprotected",
            ),
            one_of(self.public, "muc_public", "muc_hidden"),
            one_of(self.persistent, "muc_persistent", "muc_temporary"),
            one_of(self.members_only, "muc_membersonly", "muc_open"),
            one_of(self.moderated, "muc_moderated", "muc_unmoderated"),
            one_of(self.non_anonymous, "muc_nonanonymous", "muc_semianonymous"),
        ]
    }

    /// Status codes that a change of the configuration is told by (XEP-0045 10.2.1).
    pub(super) fn told_by(&self, before: &Self) -> Vec<u16> {
        let mut codes = Vec::new();
        let rest = Self {
            non_anonymous: before.non_anonymous,
            archive: before.archive,
            ..self.clone()
        };
        if rest != *before {
            codes.push(104);
        }
        if self.non_anonymous != before.non_anonymous {
            codes.push(if self.non_anonymous { 172 } else { 173 });
        }
        if self.archive != before.archive {
            codes.push(if self.archive { 170 } else { 171 });
        }
        codes
    }
}
