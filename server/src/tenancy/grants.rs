//! What a domain's components are granted, from the owner's words to what modules ask.

use modules::grants::{Access, Delegated, Grants, Presences};
use store::DomainRow;

/// Of every component of the domain that is granted anything.
pub(super) fn of(row: &DomainRow) -> Vec<Grants> {
    let all = control::grant::grants(row).into_iter();
    all.map(|(label, grants)| Grants {
        label,
        roster: access(&grants.roster),
        roster_push: grants.roster_push,
        messages: grants.message == "outgoing",
        presence: presence(&grants.presence),
        iq: grants
            .iq
            .into_iter()
            .map(|(ns, word)| (ns, access(&word)))
            .collect(),
        delegated: grants
            .delegated
            .into_iter()
            .map(|(namespace, attributes)| Delegated {
                namespace,
                attributes,
            })
            .collect(),
    })
    .collect()
}

/// A word of another version is nothing.
fn access(word: &str) -> Access {
    let all = [Access::Get, Access::Set, Access::Both];
    let found = all.into_iter().find(|access| access.word() == word);
    found.unwrap_or_default()
}

fn presence(word: &str) -> Presences {
    let all = [Presences::ManagedEntity, Presences::Roster];
    let found = all.into_iter().find(|presence| presence.word() == word);
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    /// Two rooms know of it: the modules that answer, and the owner's choices.
    #[test]
    fn nothing_is_granted_that_only_sessions_may_ask() {
        let doors = modules::ALL.iter().flat_map(|module| module.info().iq);
        for door in doors.filter(|door| door.of_sessions) {
            assert!(control::grant::is_kept(door.ns), "{}", door.ns);
        }
    }
}
