//! What an operator or a domain's owner may do: the only door to tenants, domains, certificates, accounts and their rules.
//!
//! Panel, JSON API and CLI call the operations of [`Control`]; each takes the [`Actor`] first, asks the table in
//! [`permission`] about the resolved object, writes facts to the store with an audit entry, and announces the change. The
//! background work (looking at the world, ordering certificates, moving states) is [`worker`].
//!
//! It refuses to open sockets (traits in [`outside`]), to touch a stream, to keep a password, and to show one tenant what is
//! another's.
//!
//! Codemap, in reading order: [`domain`] the states; [`records`] what must be published; [`observe`] what the world shows;
//! [`findings`] the difference, with codes; [`certificate`] identities; [`rollover`] when one may be replaced; [`account`] people, [`device`] what they sign in with, [`invite`] and [`registration`] how they come; [`portable`] what they have, in and out; [`component`] programs beside them; [`kept`] rooms and files; [`tenant`] customers; [`plan`] what they may have, [`usage`] what they have, [`series`] how that went, [`ladder`] what becomes of those who do not answer;
//! [`mail`] what has changed since last night; [`operator`] logins, [`factor`] and [`passkey`] what they show beside a password or instead, [`invitation`] how colleagues come; [`token`] their programs; [`viewing`] how operators of the platform see what a customer sees; [`webhook`] who hears of it; [`audit`]; [`worker`] the loop; [`zone`] what it may have left behind; [`error`] and [`permission`] what is said when it cannot be.

pub mod account;
pub mod audit;
pub mod block_list;
pub mod certificate;
pub mod client_certificate;
pub mod component;
pub mod csv;
pub mod device;
pub mod domain;
pub mod error;
pub mod event;
pub mod factor;
pub mod findings;
pub mod grant;
pub mod idempotency;
pub mod invitation;
pub mod invite;
pub mod kept;
pub mod ladder;
pub mod mail;
pub mod observe;
pub mod operator;
pub mod outage;
pub mod outside;
pub mod own_export;
pub mod passkey;
pub mod peer;
pub mod permission;
pub mod plan;
pub mod portable;
pub mod records;
pub mod registration;
pub mod report;
pub mod rollover;
pub mod secret;
pub mod series;
pub mod settings;
pub mod tenant;
pub mod token;
pub mod uri;
pub mod usage;
pub mod verdict;
pub mod viewing;
pub mod wanted;
pub mod webhook;
pub mod worker;
pub mod zone;

mod external;
mod lookalike;
mod news;
mod password;
mod rate;
mod shown;
mod status;
mod suffix;
mod time;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use store::Store;

pub use crate::error::{ControlError, Result};
pub use crate::event::{Event, EventKind, Events};
pub use crate::outside::{
    ChallengeSolver, Change, Clock, Issuer, Live, OwnerZone, Probe, SystemClock, ZonePublisher,
};
pub use crate::permission::{Operation, Role};
pub use crate::secret::Secret;
pub use crate::settings::{Limits, Pace, PlatformSettings, Ports};
pub use store::{OperatorId, TenantId};
pub use xmpp::timestamp::Timestamp;

/// Everything that control is made of; `server/src/wiring.rs` fills it in once.
pub struct Parts {
    /// The facts.
    pub store: Store,
    /// Eyes on the DNS.
    pub lookup: Arc<dyn dna::Lookup>,
    /// Eyes on owners' websites.
    pub fetch: Arc<dyn dna::Fetch>,
    /// The roots by which a peer would judge us.
    pub anchors: Arc<dna::Anchors>,
    /// The certificate authority.
    pub issuer: Arc<dyn Issuer>,
    /// The platform's zone.
    pub zone: Arc<dyn ZonePublisher>,
    /// The owner's zone; only in the sandbox.
    pub owner_zone: Option<Arc<dyn OwnerZone>>,
    /// Mail to owners; `None`: none is written.
    pub mail: Option<outside::Post>,
    /// Reads and writes what people have, as one file.
    pub portable: Arc<dyn portable::Portable>,
    /// The live server.
    pub live: Arc<dyn Live>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The platform's settings.
    pub settings: PlatformSettings,
}

/// The operations. Cheap to share: keep it in an `Arc`.
pub struct Control {
    pub(crate) parts: Parts,
    pub(crate) events: event::Sender,
    pub(crate) gate: rate::Gate,
    pub(crate) passwords: password::Passwords,
    pub(crate) first_run: operator::FirstRunToken,
    pub(crate) first_run_lock: tokio::sync::Mutex<()>,
    pub(crate) wake: tokio::sync::Notify,
    pub(crate) jobs: portable::Jobs,
    pub(crate) zone_watch: zone::Watch,
    pub(crate) mail_watch: tenant::queues::Watch,
    pub(crate) looks: worker::Looks,
}

impl Control {
    /// Puts it together; asks nobody anything yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            events: event::Sender::new(),
            gate: rate::Gate::default(),
            passwords: password::Passwords::default(),
            first_run: operator::FirstRunToken::draw(),
            first_run_lock: tokio::sync::Mutex::new(()),
            wake: tokio::sync::Notify::new(),
            jobs: portable::Jobs::default(),
            zone_watch: zone::Watch::default(),
            mail_watch: tenant::queues::Watch::default(),
            looks: worker::Looks::default(),
        })
    }

    /// The platform's settings, for pages and listings.
    pub fn settings(&self) -> &PlatformSettings {
        &self.parts.settings
    }

    /// Is there a zone of the owner that we may write ("publish for me")?
    pub fn can_publish(&self) -> bool {
        self.parts.owner_zone.is_some()
    }

    /// Who issues certificates here.
    pub fn issuer(&self) -> outside::IssuerInfo {
        self.parts.issuer.describe()
    }

    /// Live updates that the actor may see.
    pub fn events(&self, actor: &Actor) -> Events {
        self.events.subscribe(actor)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }
}

/// Who asks. Made only by control: from a login, an API token, or [`Actor::system`] for the process itself.
#[derive(Debug, Clone)]
pub struct Actor {
    pub(crate) role: Role,
    pub(crate) operator: Option<OperatorId>,
    pub(crate) login: Arc<str>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) via: Arc<str>,
    pub(crate) scope: Option<Arc<token::Scope>>,
    /// Must set up a second factor before anything else.
    pub(crate) enrol: bool,
    /// May look and change nothing, for its customer is on the ladder.
    pub(crate) looks_only: bool,
    /// An operator of the platform who looks as an owner does.
    pub(crate) viewing: Option<Arc<viewing::Viewing>>,
}

impl Actor {
    /// The process itself: the worker, the demo, or whoever may run the command line on this machine. `what` is what the
    /// audit log says (`cli`, `worker`, `demo`). May do everything.
    pub fn system(what: &str) -> Self {
        Self {
            role: Role::System,
            operator: None,
            login: what.into(),
            tenant: None,
            via: what.into(),
            scope: None,
            enrol: false,
            looks_only: false,
            viewing: None,
        }
    }

    /// An account, acting over XMPP. Whoever makes this has seen that it may, and lets it reach its own domain only.
    pub(crate) fn of_account(jid: &str) -> Self {
        Self {
            login: jid.into(),
            ..Self::system("xmpp")
        }
    }

    /// Whoever makes an account, by the address that they get; `by` is how.
    pub(crate) fn newcomer(jid: &str, by: &str) -> Self {
        Self {
            login: jid.into(),
            ..Self::system(by)
        }
    }

    /// As whom.
    pub fn role(&self) -> Role {
        self.role
    }

    /// E-mail address, or the word given to [`Actor::system`].
    pub fn login(&self) -> &str {
        &self.login
    }

    /// Whose operator; `None` for the platform's.
    pub fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Whom it looks at as their owner does, if it does.
    pub fn viewing(&self) -> Option<&viewing::Viewing> {
        self.viewing.as_deref()
    }

    /// Must it set up a second factor before it may do anything else?
    pub fn must_enrol(&self) -> bool {
        self.enrol
    }

    /// May it do this to an object of its own tenant? For hiding buttons; the operations decide by themselves.
    pub fn may(&self, operation: Operation) -> bool {
        operation.reach(self.role) != permission::Reach::No
            && (self.viewing.is_none() || operation.of_viewing())
    }

    pub(crate) fn check(
        &self,
        operation: Operation,
        owner: Option<TenantId>,
        what: &'static str,
        name: &str,
    ) -> Result<()> {
        // The same answer whatever the object is, and whether it is there.
        if self.viewing.is_some() && !operation.of_viewing() {
            return Err(ControlError::Viewing { operation });
        }
        permission::check(self.role, self.tenant, operation, owner, what, name)?;
        if self.enrol && !operation.of_enrolling() {
            return Err(ControlError::FactorWanted);
        }
        if self.looks_only && !operation.of_looking() {
            return Err(ControlError::State {
                name: "your team".into(),
                state: "read-only".into(),
                problem: "the operator of this service has stopped changes".into(),
                remedy: "Your first page says why and what comes next; write to the operator."
                    .into(),
            });
        }
        match &self.scope {
            Some(scope) => scope.check(operation),
            None => Ok(()),
        }
    }

    /// Does its API token reach this domain? Asked for every domain, whatever the operation.
    pub(crate) fn reaches(&self, domain: &str) -> bool {
        self.scope
            .as_ref()
            .is_none_or(|scope| scope.reaches(domain))
    }
}
