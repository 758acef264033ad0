//! Extensions: a room each, behind one door.
//!
//! A module is one file (or folder) with its specification, version, namespaces, handlers and tests; adding one touches
//! that file and one line of [`ALL`]. [`ping`] is the one to copy. Disco answers, stream features, the switches of a domain
//! and the table in the README come from the modules' cards ([`info`]); the hook points are those of [`Module`], the functions that the
//! router calls are in [`hooks`]; [`switchboard`] is all that modules know of the live server, [`context`] all that they may touch.
//!
//! Refuses: sockets, streams, clocks, other tenants' rows.

pub mod administration;
pub mod context;
pub mod hooks;
pub mod info;
pub mod memory;
pub mod passage;
pub mod switchboard;

mod archive;
mod avatars;
mod blocking;
mod bookmarks;
mod carbons;
mod certificates;
mod clients;
mod commands;
mod content;
mod data_policy;
mod delegation;
mod disco;
mod displayed;
mod errands;
mod external;
mod flows;
pub mod form;
pub mod grants;
mod last;
mod module;
mod module_set;
mod moved;
mod notice;
mod offline;
mod outages;
mod ping;
pub mod portable;
pub mod presence;
mod private;
mod privilege;
mod pubsub;
mod push;
mod register;
mod rooms;
mod roster;
mod rsm;
mod screening;
mod time;
mod uploads;
mod vcard;
mod version;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod quotas;
#[cfg(test)]
mod switches;
#[cfg(test)]
mod testing;

pub use carbons::{carbons_set, is_carbon};
pub use certificates::CERTIFICATES;
pub use context::{Contact, Context, DomainSettings, Hosted, Quota, Refusal, Standing};
pub use data_policy::DataPolicy;
pub use external::{External, ExternalService};
pub use flows::FLOWS;
pub use info::{ModuleInfo, Service, Spec};
pub use memory::{Limits, Modules, PubsubLimits};
pub use module::{Answer, Ask, Module, Undeliverable};
pub use offline::{Backed, Mark};
pub use passage::{Direction, Glance, Passage, Seen, Taken};
pub use push::Told;
pub use screening::{FollowedList, SCREENING};
pub use switchboard::{Later, SessionUpdate, SessionView, Switchboard};
pub use uploads::{UploadLimits, escaped};

/// All modules; the order is the order of hooks and of the table.
pub static ALL: &[&dyn Module] = &[
    &disco::Disco,
    &roster::RosterModule,
    &presence::PresenceModule,
    &moved::Moved,
    &blocking::Blocking,
    &screening::Screening,
    &displayed::Displayed,
    &carbons::Carbons,
    &archive::Archive,
    &push::Push,
    &offline::Offline,
    &pubsub::Pubsub,
    &private::Private,
    &bookmarks::Bookmarks,
    &vcard::Vcards,
    &avatars::Avatars,
    &ping::Ping,
    &version::Version,
    &time::Time,
    &last::Last,
    &register::Register,
    &flows::Flows,
    &clients::Clients,
    &certificates::Certificates,
    &external::ExternalServices,
    &outages::Outages,
    &data_policy::DataPolicies,
    &rooms::RoomsModule,
    &rooms::RoomSearch,
    &uploads::Uploads,
    &commands::Commands,
    &privilege::Privilege,
];

/// The table of modules for the README.
pub fn table_markdown() -> String {
    let mut table = String::from(
        "| module | what it does | specification | can be switched off |\n|---|---|---|---|\n",
    );
    for module in ALL {
        let info = module.info();
        let specs: Vec<String> = info.specs.iter().map(Spec::to_string).collect();
        let off = if info.switchable { "yes" } else { "no" };
        table += &format!(
            "| {} | {} | {} | {off} |\n",
            info.name,
            info.about,
            specs.join(", ")
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_namespaces_are_unique() {
        let mut names = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        for module in ALL {
            let info = module.info();
            assert!(names.insert(info.name), "{}", info.name);
            assert!(!info.specs.is_empty() && !info.about.is_empty());
            for door in info.iq {
                assert!(namespaces.insert((door.ns, door.name)), "{}", door.ns);
            }
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_module() {
        let table = table_markdown();
        assert_eq!(table.lines().count(), ALL.len() + 2);
        assert!(table.contains("| ping |"), "{table}");
        assert!(table.contains("XEP-0199 2.0.1"), "{table}");
    }
}
