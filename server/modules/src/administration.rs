//! What a domain's admins may have done to its accounts, and its accounts where the owner lets them; the live server does it, with its rules, limits and log.
//!
//! Why a trait's words and no more: modules know neither the rules of passwords nor the audit log. Refuses: anything about
//! another domain; whoever carries this out is told which one it is.

use xmpp::stanza::Condition;

/// Something to be done, at the domain that the admin belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Add an account.
    Add {
        /// Localpart.
        local: String,
        /// Its password.
        password: String,
    },
    /// Remove one, with everything it has.
    Remove(String),
    /// Stop one.
    Suspend(String),
    /// Let it go on.
    Resume(String),
    /// Give one another password.
    SetPassword {
        /// Localpart.
        local: String,
        /// The password.
        password: String,
    },
    /// End the sessions of one.
    End(String),
    /// Addresses of accounts, so many at most.
    Registered(u32),
    /// Addresses of sessions, so many at most.
    Online(u32),
    /// Make an invitation by which somebody becomes a contact of whoever asks (XEP-0401 4.1). Lines of the answer: URI, address
    /// of the page, end (XEP-0082).
    Invite,
    /// Make an invitation to an account (XEP-0401 4.4), with the same answer.
    InviteAccount {
        /// The name that is kept for whoever is invited.
        local: Option<String>,
        /// They become a contact of the admin.
        contact: bool,
    },
    /// Make a link by which whoever asks takes out what they have (XEP-0227). Lines of the answer: address, end (XEP-0082).
    ExportOwn,
    /// Tell everybody who is online.
    Announce {
        /// Short.
        subject: String,
        /// What.
        body: String,
    },
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDone {
    /// What the admin's client is told.
    pub condition: Condition,
    /// What the admin is told.
    pub text: String,
}
