//! What an owner chooses about clients' streams and the modules of a domain; kept with its settings, read by the live server.
//!
//! Every choice holds at once for the streams that are open. Refuses: times that would keep phones awake, modules that do not
//! exist, contact addresses that no program could open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::DomainRow;
use xmpp::jid::BareJid;
use xmpp::sasl::Hash;

use super::joining::{JoinChoices, JoinSet};
use crate::error::{ControlError, Result};

/// Choices in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamChoices {
    /// PLAIN is offered over TLS, for clients that know nothing better (SASL-15).
    pub plain: bool,
    /// Hashes of the SCRAM mechanisms that are offered (`SHA-1`, `SHA-256`, `SHA-512`); empty: all. Fewer where accounts came
    /// from a server that kept fewer: what is offered must work for everybody (SASL-11).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scram: Vec<String>,
    /// Names of modules that are switched off.
    pub modules_off: Vec<String>,
    /// Accounts of the domain that look after the others from their apps (XEP-0133): bare addresses.
    pub admins: Vec<String>,
    /// Addresses for people with questions (XEP-0157), by role.
    pub contacts: BTreeMap<String, Vec<String>>,
    /// Silence after which a space is sent, in seconds; `None`: as the platform does.
    pub keepalive_seconds: Option<u32>,
    /// Silence of a client after which it is pinged (XEP-0199), in seconds; 0: never; `None`: as the platform does.
    pub ping_seconds: Option<u32>,
    /// Silence after which a client's stream is closed, in seconds; 0: never; `None`: as the platform does.
    pub idle_seconds: Option<u32>,
    /// How long a session waits for its client when the connection breaks (XEP-0198), in seconds; 0: sessions end with their
    /// connections; `None`: as the platform does.
    pub resume_seconds: Option<u32>,
    /// Days after which what is archived goes (XEP-0313); 0: never; `None`: as the platform does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_days: Option<u32>,
    /// Authorities whose certificates prove clients (SASL EXTERNAL, XEP-0178), PEM; `None`: the platform's.
    pub client_ca: Option<String>,
    /// People may log in with certificates that they have uploaded (XEP-0257, SASL EXTERNAL). Every client is then asked for
    /// one, and every connection is a whole handshake.
    pub user_certificates: bool,
    /// Services for calls (XEP-0215), as URIs; `None`: the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<Vec<String>>,
    /// People may take out what they have from their apps ([`crate::own_export`]).
    pub own_export: bool,
    /// How people get accounts.
    pub joining: JoinChoices,
    /// Where clients learn what is the matter when the domain does not answer (XEP-0455): URIs; empty: the platform's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<String>,
    /// What push services are told (XEP-0357): `nothing`, `count` or `sender`; `None`: `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// Block lists that the domain follows ([`crate::block_list::parse`]); strangers who are on one are kept away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_lists: Vec<String>,
    /// Strangers whom the owner keeps away: bare addresses and domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_strangers: Vec<String>,
    /// What is announced ([`crate::outage`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<crate::outage::Outage>,
}

impl Default for StreamChoices {
    fn default() -> Self {
        Self {
            plain: true,
            scram: Vec::new(),
            modules_off: Vec::new(),
            admins: Vec::new(),
            contacts: BTreeMap::new(),
            keepalive_seconds: None,
            ping_seconds: None,
            idle_seconds: None,
            resume_seconds: None,
            archive_days: None,
            client_ca: None,
            user_certificates: false,
            external: None,
            own_export: true,
            joining: JoinChoices::default(),
            status: Vec::new(),
            push: None,
            block_lists: Vec::new(),
            block_strangers: Vec::new(),
            outage: None,
        }
    }
}

impl StreamChoices {
    /// A domain's. What cannot be read of them (another version's) is as if it had not been chosen.
    pub fn of(row: &DomainRow) -> Self {
        super::memory::of_settings(row)
    }

    /// Hashes of the SCRAM mechanisms that are offered, weakest first.
    pub fn hashes(&self) -> Vec<Hash> {
        let chosen = |hash: &Hash| self.scram.iter().any(|name| name == hash.name());
        let all = Hash::ALL.into_iter();
        all.filter(|hash| self.scram.is_empty() || chosen(hash))
            .collect()
    }
}

/// Changes of them; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StreamSet {
    /// Whether PLAIN is offered over TLS.
    pub plain: Option<bool>,
    /// Hashes of the SCRAM mechanisms that are offered: `SHA-1`, `SHA-256`, `SHA-512`; empty: all.
    pub scram: Option<Vec<String>>,
    /// Names of modules that are switched off; all others are on.
    pub modules_off: Option<Vec<String>>,
    /// Bare addresses of the accounts that look after the others; empty: none.
    pub admins: Option<Vec<String>>,
    /// Contact addresses by role; a role without addresses is removed, others stay.
    pub contacts: Option<BTreeMap<String, Vec<String>>>,
    /// Seconds; 0: as the platform does.
    pub keepalive_seconds: Option<u32>,
    /// Seconds; 0: never.
    pub ping_seconds: Option<u32>,
    /// Seconds; 0: never.
    pub idle_seconds: Option<u32>,
    /// Seconds; 0: not at all.
    pub resume_seconds: Option<u32>,
    /// Days; 0: never.
    pub archive_days: Option<u32>,
    /// PEM; empty: the platform's.
    pub client_ca: Option<String>,
    /// Whether people may log in with certificates that they have uploaded.
    pub user_certificates: Option<bool>,
    /// Whether people may take out what they have from their apps.
    pub own_export: Option<bool>,
    /// URIs of STUN and TURN (RFC 7064, RFC 7065); the one word `none`: none; empty: the platform's.
    pub external: Option<Vec<String>>,
    /// How people get accounts.
    pub joining: JoinSet,
    /// URIs of documents as XEP-0455 describes them, elsewhere; empty: the platform's.
    pub status: Option<Vec<String>>,
    /// `nothing`, `count` or `sender`.
    pub push: Option<String>,
    /// Block lists to follow: `SERVICE`, or `xmpp:SERVICE?;node=NODE`.
    pub block_lists: Option<Vec<String>>,
    /// Strangers to be kept away: bare addresses and domains.
    pub block_strangers: Option<Vec<String>>,
}

/// What push services may be told.
const TOLD: [&str; 3] = ["nothing", "count", "sender"];
/// Word for a domain that has no services for calls.
const NONE: &str = "none";
/// Services that can be named.
const SERVICES: usize = 20;
/// Roles of XEP-0157.
const ROLES: [&str; 7] = [
    "abuse", "admin", "feedback", "sales", "security", "status", "support",
];
/// Addresses of a role, and bytes of one.
const ADDRESSES: usize = 10;
const ADDRESS_BYTES: usize = 1_000;
/// Admins of one domain.
const ADMINS: usize = 50;
/// Modules that can be named.
const MODULES: usize = 100;
/// Shortest time between two looks at a silent client, in seconds (STREAM-11).
const SHORTEST: u32 = 60;
/// Bytes of authorities.
const PEM_BYTES: usize = 64 * 1024;

impl StreamSet {
    /// Checks every value, without a look at the domain.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] and [`ControlError::Limit`]
    pub(super) fn check(&self) -> Result<()> {
        let off = self.modules_off.as_deref().unwrap_or_default();
        if off.len() > MODULES || off.iter().any(|name| !is_word(name)) {
            return Err(ControlError::invalid(
                "modules_off",
                off.join(","),
                "these are not names of modules",
                "The README lists the modules that can be switched off.",
            ));
        }
        let scram = self.scram.as_deref().unwrap_or_default();
        if let Some(bad) = scram.iter().find(|name| Hash::from_name(name).is_none()) {
            let names = Hash::ALL.map(Hash::name).join(", ");
            return Err(ControlError::invalid(
                "scram",
                bad.as_str(),
                "there is no SCRAM mechanism with this hash here",
                format!("Use {names}, or none to offer all."),
            ));
        }
        let admins = self.admins.as_deref().unwrap_or_default();
        let known = |jid: &String| {
            let jid = BareJid::parse(jid).ok();
            jid.is_some_and(|jid| jid.local().is_some())
        };
        if let Some(bad) = admins.iter().find(|jid| !known(jid)) {
            return Err(ControlError::invalid(
                "admins",
                bad.as_str(),
                "this is not the address of an account",
                "Write user@domain.",
            ));
        }
        if admins.len() > ADMINS {
            return Err(ControlError::Limit {
                what: "admins",
                used: admins.len() as u64,
                limit: ADMINS as u64,
            });
        }
        for (role, addresses) in self.contacts.iter().flatten() {
            contact(role, addresses)?;
        }
        for (field, value) in self.times() {
            if let Some(seconds) = value.filter(|seconds| (1..SHORTEST).contains(seconds)) {
                return Err(ControlError::invalid(
                    field,
                    seconds.to_string(),
                    "a phone could not sleep",
                    format!("Use {SHORTEST} seconds or more."),
                ));
            }
        }
        external(self.external.as_deref().unwrap_or_default())?;
        self.joining.check()?;
        status(self.status.as_deref().unwrap_or_default())?;
        if let Some(bad) = self.push.as_deref().filter(|word| !TOLD.contains(word)) {
            return Err(ControlError::invalid(
                "push",
                bad,
                "push services cannot be told that",
                format!("Use {}.", TOLD.join(", ")),
            ));
        }
        crate::block_list::check(
            self.block_lists.as_deref().unwrap_or_default(),
            self.block_strangers.as_deref().unwrap_or_default(),
        )?;
        match self.client_ca.as_deref().map(str::trim) {
            None | Some("") => Ok(()),
            Some(pem) => authorities(pem),
        }
    }

    /// Writes what is said into the choices; the rest stays as it is there.
    pub(super) fn apply(&self, now: &mut StreamChoices) {
        if let Some(plain) = self.plain {
            now.plain = plain;
        }
        if let Some(hashes) = &self.scram {
            now.scram.clone_from(hashes);
        }
        if let Some(off) = &self.modules_off {
            now.modules_off.clone_from(off);
        }
        if let Some(admins) = &self.admins {
            now.admins.clone_from(admins);
        }
        for (role, addresses) in self.contacts.iter().flatten() {
            if addresses.is_empty() {
                now.contacts.remove(role);
            } else {
                now.contacts.insert(role.clone(), addresses.clone());
            }
        }
        if let Some(seconds) = self.keepalive_seconds {
            now.keepalive_seconds = Some(seconds).filter(|seconds| *seconds > 0);
        }
        now.ping_seconds = self.ping_seconds.or(now.ping_seconds);
        now.idle_seconds = self.idle_seconds.or(now.idle_seconds);
        now.resume_seconds = self.resume_seconds.or(now.resume_seconds);
        now.archive_days = self.archive_days.or(now.archive_days);
        if let Some(addresses) = &self.status {
            now.status.clone_from(addresses);
        }
        if let Some(told) = &self.push {
            now.push = Some(told.clone());
        }
        if let Some(lists) = &self.block_lists {
            now.block_lists.clone_from(lists);
        }
        if let Some(strangers) = &self.block_strangers {
            now.block_strangers.clone_from(strangers);
        }
        if let Some(services) = &self.external {
            now.external = match services.as_slice() {
                [] => None,
                [none] if none == NONE => Some(Vec::new()),
                some => Some(some.to_vec()),
            };
        }
        self.joining.apply(&mut now.joining);
        if let Some(pem) = self.client_ca.as_deref().map(str::trim) {
            now.client_ca = Some(pem.to_owned()).filter(|pem| !pem.is_empty());
        }
        now.user_certificates = self.user_certificates.unwrap_or(now.user_certificates);
        now.own_export = self.own_export.unwrap_or(now.own_export);
    }

    /// The changes in words, for the log.
    pub(super) fn said(&self) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(plain) = self.plain {
            said.push(format!("plain {plain}"));
        }
        let hashes = self.scram.iter();
        said.extend(hashes.map(|hashes| format!("scram {}", hashes.join(" "))));
        if let Some(off) = &self.modules_off {
            said.push(format!("modules off {}", off.join(" ")));
        }
        if let Some(admins) = &self.admins {
            said.push(format!("admins {}", admins.join(" ")));
        }
        for (role, addresses) in self.contacts.iter().flatten() {
            said.push(format!("contact {role} {}", addresses.join(" ")));
        }
        for (field, value) in self.times() {
            said.extend(value.map(|seconds| format!("{field} {seconds}")));
        }
        said.extend(self.archive_days.map(|days| format!("archive_days {days}")));
        let addresses = self.status.iter();
        said.extend(addresses.map(|addresses| format!("status {}", addresses.join(" "))));
        said.extend(self.push.iter().map(|told| format!("push {told}")));
        for (what, list) in [
            ("block lists", &self.block_lists),
            ("strangers kept away", &self.block_strangers),
        ] {
            said.extend(list.iter().map(|list| format!("{what} {}", list.join(" "))));
        }
        let services = self.external.iter();
        said.extend(services.map(|services| format!("external {}", services.join(" "))));
        let pem = self.client_ca.iter();
        said.extend(pem.map(|pem| format!("client authorities, {} bytes", pem.len())));
        said.extend(self.joining.said());
        let own = self.user_certificates.iter();
        said.extend(own.map(|on| format!("user certificates {on}")));
        let own = self.own_export.iter();
        said.extend(own.map(|on| format!("own export {on}")));
        said
    }

    fn times(&self) -> [(&'static str, Option<u32>); 4] {
        [
            ("keepalive_seconds", self.keepalive_seconds),
            ("ping_seconds", self.ping_seconds),
            ("idle_seconds", self.idle_seconds),
            ("resume_seconds", self.resume_seconds),
        ]
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 50
        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn external(services: &[String]) -> Result<()> {
    let good = |uri: &String| {
        let known = ["stun:", "stuns:", "turn:", "turns:"];
        uri.len() <= ADDRESS_BYTES
            && known.iter().any(|scheme| uri.starts_with(scheme))
            && uri.bytes().all(|b| b.is_ascii_graphic())
    };
    if services.len() > SERVICES {
        return Err(ControlError::Limit {
            what: "external",
            used: services.len() as u64,
            limit: SERVICES as u64,
        });
    }
    let bad = services.iter().find(|uri| !good(uri));
    match bad.filter(|bad| services.len() > 1 || *bad != NONE) {
        None => Ok(()),
        Some(bad) => Err(ControlError::invalid(
            "external",
            bad.as_str(),
            "this is not the address of a STUN or TURN server",
            "Write turn:HOST:PORT?transport=udp, or none.",
        )),
    }
}

fn status(addresses: &[String]) -> Result<()> {
    let good = |uri: &String| {
        uri.len() <= ADDRESS_BYTES
            && uri.starts_with("https://")
            && uri.bytes().all(|b| b.is_ascii_graphic())
    };
    match addresses.iter().find(|uri| !good(uri)) {
        Some(bad) => Err(ControlError::invalid(
            "status",
            bad.as_str(),
            "clients cannot read this",
            "Write https:// and the address of a document as XEP-0455 describes it.",
        )),
        None if addresses.len() > ADDRESSES => Err(ControlError::Limit {
            what: "status addresses",
            used: addresses.len() as u64,
            limit: ADDRESSES as u64,
        }),
        None => Ok(()),
    }
}

fn contact(role: &str, addresses: &[String]) -> Result<()> {
    if !ROLES.contains(&role) {
        return Err(ControlError::invalid(
            "contacts",
            role,
            "there is no such role in XEP-0157",
            format!("Use {}.", ROLES.join(", ")),
        ));
    }
    let good = |uri: &String| {
        let known = ["mailto:", "xmpp:", "https:", "http:", "tel:"];
        uri.len() <= ADDRESS_BYTES
            && known.iter().any(|scheme| uri.starts_with(scheme))
            && !uri.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    match addresses.iter().find(|uri| !good(uri)) {
        Some(bad) => Err(ControlError::invalid(
            "contacts",
            bad.as_str(),
            "this is not an address that a program can open",
            "Write mailto:, xmpp:, https: or tel: in front of it.",
        )),
        None if addresses.len() > ADDRESSES => Err(ControlError::Limit {
            what: "contact addresses",
            used: addresses.len() as u64,
            limit: ADDRESSES as u64,
        }),
        None => Ok(()),
    }
}

fn authorities(pem: &str) -> Result<()> {
    let problem = if pem.len() > PEM_BYTES {
        Some(format!("it is longer than {PEM_BYTES} bytes"))
    } else {
        dna::Anchors::from_pem(pem.as_bytes())
            .err()
            .map(|error| error.to_string())
    };
    match problem {
        None => Ok(()),
        Some(problem) => Err(ControlError::invalid(
            "client_ca",
            "",
            problem,
            "Give the certificates of the authorities as PEM.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(set: StreamSet) -> Result<StreamChoices> {
        set.check()?;
        let mut now = StreamChoices::default();
        set.apply(&mut now);
        Ok(now)
    }

    fn contacts(role: &str, uri: &str) -> StreamSet {
        StreamSet {
            contacts: Some([(role.to_owned(), vec![uri.to_owned()])].into()),
            ..StreamSet::default()
        }
    }

    #[test]
    fn ext_32_contact_addresses_are_what_programs_can_open() {
        let good = apply(contacts("abuse", "mailto:abuse@example.com")).expect("good");
        assert_eq!(good.contacts["abuse"], ["mailto:abuse@example.com"]);
        for (role, uri) in [
            ("boss", "mailto:a@b.example"),
            ("abuse", "abuse@example.com"),
            ("abuse", "javascript:alert(1)"),
            ("abuse", "mailto:a b"),
        ] {
            assert!(apply(contacts(role, uri)).is_err(), "{role} {uri}");
        }
    }

    #[test]
    fn stream_11_times_let_phones_sleep() {
        let set = |keepalive, ping| StreamSet {
            keepalive_seconds: Some(keepalive),
            ping_seconds: Some(ping),
            ..StreamSet::default()
        };
        assert!(apply(set(59, 600)).is_err());
        assert!(apply(set(600, 1)).is_err());
        let chosen = apply(set(0, 0)).expect("the platform's, and never");
        assert_eq!(
            (chosen.keepalive_seconds, chosen.ping_seconds),
            (None, Some(0))
        );
    }

    #[test]
    fn ext_18_a_domain_keeps_its_archives_as_long_as_it_likes() {
        let set = |days| StreamSet {
            archive_days: Some(days),
            ..StreamSet::default()
        };
        for days in [0, 30] {
            assert_eq!(apply(set(days)).expect("good").archive_days, Some(days));
        }
        assert_eq!(
            apply(StreamSet::default()).expect("nothing").archive_days,
            None
        );
    }

    #[test]
    fn ext_31_services_for_calls_are_addresses_of_such() {
        let set = |list: &[&str]| StreamSet {
            external: Some(list.iter().map(|uri| (*uri).to_owned()).collect()),
            ..StreamSet::default()
        };
        let own = apply(set(&["turn:turn.example.net?transport=udp"])).expect("good");
        assert_eq!(own.external.map(|list| list.len()), Some(1));
        assert_eq!(apply(set(&["none"])).expect("none").external, Some(vec![]));
        assert_eq!(apply(set(&[])).expect("the platform's").external, None);
        assert!(apply(set(&["https://example.net"])).is_err());
        assert!(apply(set(&["none", "stun:example.net"])).is_err());
    }

    #[test]
    fn ext_39_and_14_status_addresses_and_what_push_services_are_told() {
        let set = |status: &[&str], push: &str| StreamSet {
            status: Some(status.iter().map(|uri| (*uri).to_owned()).collect()),
            push: Some(push.to_owned()),
            ..StreamSet::default()
        };
        let own = apply(set(&["https://status.example.net/a.json"], "sender")).expect("good");
        assert_eq!((own.status.len(), own.push.as_deref()), (1, Some("sender")));
        for (status, push) in [
            (&["http://status.example.net"][..], "count"),
            (&["https://a b"], "count"),
            (&["javascript:alert(1)"], "count"),
            (&["https://x"; 11], "count"),
            (&[], "body"),
        ] {
            assert!(apply(set(status, push)).is_err(), "{status:?} {push}");
        }
    }

    #[test]
    fn authorities_that_cannot_be_read_are_refused() {
        let set = StreamSet {
            client_ca: Some("-----BEGIN NOTHING-----".into()),
            ..StreamSet::default()
        };
        assert!(apply(set).is_err());
    }
}
