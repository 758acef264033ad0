//! A room: what was chosen about it, who is something in it, and who is there.
//!
//! Occupants are kept by nickname, sessions by real address; one person may be there under one nickname from several
//! devices. Nothing in here sends anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use store::{ArchiveId, RoomAffiliation, RoomId, RoomRow};
use xmpp::jid::{BareJid, Jid, nickname_key};
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use super::config::Config;
use super::hats::Hats;
use super::notice::Written;
use super::rank::{Affiliation, Role};

/// Invitations of which a room knows, until they are declined.
const INVITED: usize = 1_000;
/// People who have asked to become members and wait for an answer.
pub(super) const APPLICANTS: usize = 100;

/// What somebody is in the room beyond a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Affiliated {
    pub(super) affiliation: Affiliation,
    /// The nickname that nobody else may take.
    pub(super) nick: Option<String>,
    pub(super) reason: Option<String>,
}

/// Somebody in the room.
#[derive(Debug)]
pub(super) struct Occupant {
    /// Address in the room.
    pub(super) shown: Jid,
    /// Who it is.
    pub(super) real: BareJid,
    pub(super) role: Role,
    /// Devices, never none; the last is the one whose presence was heard last, and is what others see.
    pub(super) visits: Vec<Visit>,
}

/// One session of an occupant.
#[derive(Debug)]
pub(super) struct Visit {
    /// Real full address.
    pub(super) jid: Jid,
    /// Its last presence, as others see it but for what the room says of the occupant.
    pub(super) presence: Stanza,
    /// What tells it from the other devices of the same person; means nothing elsewhere.
    pub(super) number: u32,
    /// What those who come are told of it.
    pub(super) written: Written,
}

impl Visit {
    /// What ids of its questions begin with on their way through the room.
    pub(super) fn mark(&self) -> String {
        format!("{:08x}-", self.number)
    }
}

/// A message that those who enter are shown.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) at: Timestamp,
    /// The name that it has in the room.
    pub(super) id: Option<ArchiveId>,
    /// Real bare address of whoever wrote it.
    pub(super) sender: String,
    /// As it went out, without an addressee.
    pub(super) stanza: Stanza,
}

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    /// Its address.
    pub(super) jid: Jid,
    /// Its row, if it is persistent.
    pub(super) row: Option<RoomId>,
    pub(super) config: Config,
    /// Key of the occupants' ids (XEP-0421).
    pub(super) salt: [u8; 32],
    people: BTreeMap<BareJid, Affiliated>,
    /// Reserved nickname, as [`nickname_key`] has it → whose it is: looked up for everybody who comes, of thousands.
    nicks: HashMap<String, BareJid>,
    /// Roles that somebody gave or took, while they are not what the affiliation gives (XEP-0045 5.1). They end with the visit;
    /// a restart ends none.
    given: BTreeMap<BareJid, Role>,
    /// Whose given role the store does not have as it is.
    unwritten: BTreeSet<BareJid>,
    /// By nickname as [`nickname_key`] has it.
    pub(super) occupants: BTreeMap<String, Occupant>,
    /// Real address → nickname.
    visits: HashMap<Jid, String>,
    pub(super) subject: Option<Past>,
    pub(super) history: VecDeque<Past>,
    /// When the newest message came that has a name, in microseconds.
    pub(super) last_at: i64,
    pub(super) hats: Hats,
    /// Who has been invited through the room and by whom, the newest last; nobody else declines.
    invited: VecDeque<(BareJid, BareJid)>,
    /// Who has asked to become a member.
    applicants: Vec<BareJid>,
    /// What it looks like.
    pub(super) vcard: Option<Vec<u8>>,
    /// Made, and waiting for its owner to say what it shall be (XEP-0045 10.1.1).
    pub(super) locked: bool,
    pub(super) created: Timestamp,
}

impl Room {
    /// A new one, locked, of this owner.
    pub(super) fn new(jid: Jid, owner: BareJid, now: Timestamp) -> Self {
        let owned = Affiliated {
            affiliation: Affiliation::Owner,
            ..Affiliated::default()
        };
        Self {
            jid,
            row: None,
            config: Config::default(),
            salt: rand::random(),
            people: BTreeMap::from([(owner, owned)]),
            nicks: HashMap::new(),
            given: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            occupants: BTreeMap::new(),
            visits: HashMap::new(),
            subject: None,
            history: VecDeque::new(),
            invited: VecDeque::new(),
            applicants: Vec::new(),
            last_at: 0,
            hats: Hats::default(),
            vcard: None,
            locked: true,
            created: now,
        }
    }

    /// As the store has it; nobody is there.
    pub(super) fn stored(
        jid: Jid,
        id: RoomId,
        row: &RoomRow,
        people: Vec<RoomAffiliation>,
        roles: Vec<(BareJid, String)>,
    ) -> Self {
        let mut salt = [0; 32];
        for (byte, kept) in salt.iter_mut().zip(&row.salt) {
            *byte = *kept;
        }
        let people = people.into_iter().filter_map(|one| {
            let affiliated = Affiliated {
                affiliation: Affiliation::from_name(&one.affiliation)?,
                nick: one.nick,
                reason: one.reason,
            };
            Some((one.jid, affiliated))
        });
        let subject = row.subject.as_ref().and_then(|(bytes, at)| {
            let stanza = Stanza::from_bytes(bytes).ok()?;
            Some(Past {
                at: *at,
                id: None,
                sender: String::new(),
                stanza,
            })
        });
        let mut room = Self {
            jid,
            row: Some(id),
            config: Config::from_json(&row.config),
            salt,
            people: BTreeMap::new(),
            nicks: HashMap::new(),
            given: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            occupants: BTreeMap::new(),
            visits: HashMap::new(),
            subject,
            history: VecDeque::new(),
            invited: VecDeque::new(),
            applicants: Vec::new(),
            last_at: 0,
            hats: Hats::from_json(row.hats.as_deref()),
            vcard: row.vcard.clone(),
            locked: false,
            created: row.created,
        };
        people.for_each(|(who, one)| room.affiliate(who, one));
        let roles = roles.into_iter();
        let known = roles.filter_map(|(who, name)| Some((who, Role::from_name(&name)?)));
        room.given = known.collect();
        room
    }

    /// As the store keeps it.
    pub(super) fn row(&self) -> RoomRow {
        let subject = self.subject.as_ref();
        RoomRow {
            local: self.jid.local().unwrap_or_default().to_owned(),
            name: self.config.name.clone(),
            listed: self.config.public,
            config: self.config.to_json(),
            salt: self.salt.to_vec(),
            subject: subject.map(|past| (past.stanza.bytes().to_vec(), past.at)),
            hats: self.hats.to_json(),
            vcard: self.vcard.clone(),
            created: self.created,
        }
    }

    /// What somebody is here: what is said of them, else of everybody at their domain, who may be banned as a whole
    /// (XEP-0045 9.2).
    pub(super) fn affiliation(&self, who: &BareJid) -> Affiliation {
        let one = self.people.get(who);
        one.or_else(|| self.people.get(who.domain()))
            .map(|one| one.affiliation)
            .unwrap_or_default()
    }

    /// Everybody who is something here.
    pub(super) fn people(&self) -> impl ExactSizeIterator<Item = (&BareJid, &Affiliated)> {
        self.people.iter()
    }

    /// Whether somebody is something here by themselves.
    pub(super) fn knows(&self, who: &BareJid) -> bool {
        self.people.contains_key(who)
    }

    /// What somebody is from now on, with the nickname that is theirs.
    pub(super) fn affiliate(&mut self, who: BareJid, one: Affiliated) {
        self.forget(&who);
        if one.affiliation == Affiliation::None {
            return;
        }
        if let Some(nick) = &one.nick {
            // Rows of before this was looked at may have one twice: the first keeps it.
            let key = nickname_key(nick);
            self.nicks.entry(key).or_insert_with(|| who.clone());
        }
        self.people.insert(who, one);
    }

    /// Whoever has this address from now on is nobody here.
    pub(super) fn forget(&mut self, who: &BareJid) {
        let Some(gone) = self.people.remove(who) else {
            return;
        };
        if let Some(key) = gone.nick.as_deref().map(nickname_key)
            && self.nicks.get(&key) == Some(who)
        {
            self.nicks.remove(&key);
        }
    }

    /// Everybody of this affiliation.
    pub(super) fn with(
        &self,
        affiliation: Affiliation,
    ) -> impl Iterator<Item = (&BareJid, &Affiliated)> {
        self.people
            .iter()
            .filter(move |(_, one)| one.affiliation == affiliation)
    }

    /// The nickname that is reserved for somebody.
    pub(super) fn reserved(&self, who: &BareJid) -> Option<&str> {
        self.people.get(who)?.nick.as_deref()
    }

    /// The role of somebody who comes in (XEP-0045 5.1.2), or has been in since before the last restart.
    pub(super) fn role_of(&self, who: &BareJid) -> Role {
        let given = self.given.get(who).copied();
        given.unwrap_or_else(|| self.affiliation(who).role(&self.config))
    }

    /// Gives an occupant a role for the visit.
    pub(super) fn give(&mut self, key: &str, role: Role) {
        let Some(occupant) = self.occupants.get_mut(key) else {
            return;
        };
        occupant.role = role;
        let who = occupant.real.clone();
        let before = if role == self.affiliation(&who).role(&self.config) {
            self.given.remove(&who)
        } else {
            self.given.insert(who.clone(), role)
        };
        if before != self.given.get(&who).copied() {
            self.unwritten.insert(who);
        }
    }

    /// Whoever has this address from now on was given nothing.
    pub(super) fn forget_role(&mut self, who: &BareJid) {
        self.given.remove(who);
    }

    /// A visit may be over, and with it the role that was given.
    fn take_back(&mut self, who: &BareJid) {
        let there = self.occupants.values().any(|other| other.real == *who);
        if self.given.contains_key(who) && !there {
            self.given.remove(who);
            self.unwritten.insert(who.clone());
        }
    }

    /// What the store does not know yet of given roles, once; `None`: none is given any more.
    pub(super) fn unwritten(&mut self) -> Vec<(BareJid, Option<Role>)> {
        let whose = std::mem::take(&mut self.unwritten).into_iter();
        whose
            .map(|who| {
                let role = self.given.get(&who).copied();
                (who, role)
            })
            .collect()
    }

    /// A room that is kept from now on has to be told of all of them.
    pub(super) fn write_all_roles(&mut self) {
        self.unwritten.extend(self.given.keys().cloned());
    }

    /// Whether everybody is shown the presence of people in this role.
    pub(super) fn shows(&self, role: Role) -> bool {
        self.config.presence_broadcast.has(role)
    }

    /// Whether somebody other than `who` has the nickname, now or reserved.
    pub(super) fn is_taken(&self, key: &str, who: &BareJid) -> bool {
        let now = self
            .occupants
            .get(key)
            .is_some_and(|occupant| occupant.real != *who);
        now || self.nicks.get(key).is_some_and(|owner| owner != who)
    }

    /// The occupant that a real full address is, with its nickname's key.
    pub(super) fn occupant_of(&self, real: &Jid) -> Option<(&str, &Occupant)> {
        let key = self.visits.get(real)?;
        Some((key, self.occupants.get(key)?))
    }

    /// Nickname keys of everybody who is this person, or at this domain; more than one where two devices chose differently.
    pub(super) fn keys_of(&self, who: &BareJid) -> Vec<String> {
        let is_meant = |real: &BareJid| match who.local() {
            Some(_) => real == who,
            None => real.domain() == who.domain(),
        };
        let theirs = self
            .occupants
            .iter()
            .filter(|(_, occupant)| is_meant(&occupant.real));
        theirs.map(|(key, _)| key.clone()).collect()
    }

    /// Sessions there.
    pub(super) fn sessions(&self) -> usize {
        self.visits.len()
    }

    /// Every session there, with who it is.
    pub(super) fn everybody(&self) -> impl Iterator<Item = (&Occupant, &Visit)> {
        let occupants = self.occupants.values();
        occupants.flat_map(|occupant| occupant.visits.iter().map(move |visit| (occupant, visit)))
    }

    /// Puts a session in under a nickname that is free for it.
    pub(super) fn enter(&mut self, key: String, shown: Jid, role: Role, visit: Visit) {
        self.visits.insert(visit.jid.clone(), key.clone());
        let real = visit.jid.bare();
        let occupant = self.occupants.entry(key).or_insert_with(|| Occupant {
            shown,
            real,
            role,
            visits: Vec::new(),
        });
        occupant.visits.push(visit);
    }

    /// Takes a session out; the occupant too, if it was the last.
    pub(super) fn leave(&mut self, real: &Jid) {
        let Some(key) = self.visits.remove(real) else {
            return;
        };
        if let Some(occupant) = self.occupants.get_mut(&key) {
            occupant.visits.retain(|visit| visit.jid != *real);
            if occupant.visits.is_empty() {
                self.occupants.remove(&key);
                self.take_back(&real.bare());
            }
        }
    }

    /// Takes an occupant out with all sessions.
    pub(super) fn remove(&mut self, key: &str) -> Option<Occupant> {
        let occupant = self.occupants.remove(key)?;
        for visit in &occupant.visits {
            self.visits.remove(&visit.jid);
        }
        self.take_back(&occupant.real);
        Some(occupant)
    }

    /// Gives an occupant another nickname.
    pub(super) fn rename(&mut self, key: &str, new: String, shown: Jid) {
        let Some(mut occupant) = self.occupants.remove(key) else {
            return;
        };
        for visit in &mut occupant.visits {
            self.visits.insert(visit.jid.clone(), new.clone());
            visit.presence = visit.presence.with_from(&shown);
        }
        occupant.shown = shown;
        self.occupants.insert(new, occupant);
    }

    /// Somebody is invited.
    pub(super) fn invites(&mut self, who: BareJid, by: BareJid) {
        self.invited.retain(|(invited, _)| *invited != who);
        if self.invited.len() >= INVITED {
            self.invited.pop_front();
        }
        self.invited.push_back((who, by));
    }

    /// Somebody declines; by whom they had been invited. Once for each invitation.
    pub(super) fn declines(&mut self, who: &BareJid) -> Option<BareJid> {
        let at = self.invited.iter().position(|(invited, _)| invited == who);
        Some(self.invited.remove(at?)?.1)
    }

    /// Somebody asks to become a member; whether they had not asked before. `None`: too many wait for an answer.
    pub(super) fn applies(&mut self, who: &BareJid) -> Option<bool> {
        if self.applicants.contains(who) {
            return Some(false);
        }
        (self.applicants.len() < APPLICANTS).then(|| self.applicants.push(who.clone()))?;
        Some(true)
    }

    /// Somebody who has asked has an answer.
    pub(super) fn answered(&mut self, who: &BareJid) {
        self.applicants.retain(|applicant| applicant != who);
    }

    /// Keeps a message for those who enter: at most `most`, and of so many bytes. What is older than one that has no room is
    /// not shown either, so that nobody reads an answer without its question for no reason that they could see.
    pub(super) fn remember(&mut self, past: Past, most: usize, bytes: usize) {
        self.history.push_back(past);
        let size = |past: &Past| past.stanza.bytes().len();
        let mut kept: usize = self.history.iter().map(size).sum();
        while self.history.len() > most || kept > bytes {
            let Some(gone) = self.history.pop_front() else {
                break;
            };
            kept -= size(&gone);
        }
    }
}
