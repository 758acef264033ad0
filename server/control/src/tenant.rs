//! Tenants: sign-up, list, limits, suspension, removal.

use serde::{Deserialize, Serialize};
use store::{DomainRow, Store, StoreError, TenantId, TenantRow};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::domain::{BY_PLATFORM, State};
use crate::error::{ControlError, Result};
use crate::event::{Event, EventKind};
use crate::ladder::LadderView;
use crate::operator::{LoggedIn, Origin, email, login_taken, short_text};
use crate::permission::{Operation, Role};
use crate::records::DesiredRecord;
use crate::secret::Secret;
use crate::settings::Limits;
use crate::suffix::registrable;
use crate::time::DAY;
use crate::{Actor, Control, ladder, password, rate};

pub use crate::plan::{LimitsSet, TenantSet};

/// Sign-up of a new customer, domain first.
#[derive(Debug, Clone, Deserialize)]
pub struct SignUp {
    /// The domain they bring, in any spelling.
    pub domain: String,
    /// E-mail address, becomes the login.
    pub email: String,
    /// Password.
    pub password: Secret,
}

/// A customer who has signed up: signed in, with one domain claimed.
#[derive(Debug, Clone)]
pub struct SignedUp {
    /// Their login.
    pub login: LoggedIn,
    /// The tenant's id.
    pub tenant: i64,
    /// The domain in its canonical spelling.
    pub domain: String,
}

/// What is said while somebody types a domain. Tells nothing of other tenants but that a name is being served here.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct DomainHint {
    /// Can it be added as it stands?
    pub usable: bool,
    /// How it is spelled here (`münchen.example`); empty if it cannot be read.
    pub domain: String,
    /// How the DNS spells it (`xn--mnchen-3ya.example`), if that differs.
    pub ascii: Option<String>,
    /// What is in the way, or worth knowing, in one sentence; empty if nothing.
    pub note: String,
    /// `ok`, `empty`, `unreadable`, `public-suffix`, `address`, `platform`, `served-here`, `single-label`.
    pub code: &'static str,
}

/// A new tenant, made by an operator.
#[derive(Debug, Clone, Deserialize)]
pub struct TenantNew {
    /// What it is called; usually the customer's name.
    pub name: String,
    /// First owner's e-mail address, with a password; none: an operator adds the team later.
    pub owner: Option<OwnerNew>,
}

/// First owner of a tenant made by an operator.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnerNew {
    /// E-mail address.
    pub login: String,
    /// Password.
    pub password: Secret,
}

/// A tenant.
#[derive(Debug, Clone, Serialize)]
pub struct TenantView {
    /// Id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// The plan it was given (id); none: the usual one.
    pub plan: Option<i64>,
    /// What the plan in force is called; empty: the configuration says what it may have.
    pub plan_name: String,
    /// Its limits.
    pub limits: Limits,
    /// In use.
    pub used: Used,
    /// Must its people sign in with a second factor?
    pub second_factor: bool,
    /// Where it stands on the suspension ladder, if it is on it.
    pub ladder: Option<LadderView>,
    /// Changes with every edit.
    pub version: String,
}

/// What a tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Domains.
    pub domains: u32,
    /// Accounts over all its domains.
    pub accounts: u32,
}

/// The platform in numbers, for its operators' first page.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Tenants.
    pub tenants: u64,
    /// Domains by state, in the order of the states.
    pub domains: Vec<(&'static str, u64)>,
    /// Accounts.
    pub accounts: u64,
    /// Findings by code, most frequent first: what fails for many at once.
    pub findings: Vec<(String, u64)>,
    /// Certificates in use by the days that they have left: fewer than so many, and how many of them. The last one has no end.
    pub certificates: Vec<(Option<u32>, u64)>,
}

/// Bounds by which certificates are counted, in days left.
const DAYS_LEFT: [u32; 5] = [1, 7, 14, 30, 60];

/// A page of a list of customers.
#[derive(Debug, Clone, Serialize)]
pub struct TenantPage {
    /// By name.
    pub tenants: Vec<TenantView>,
    /// How many there are in all that hold what was searched for.
    pub total: usize,
    /// Number of the first one on this page, from 0.
    pub from: usize,
    /// First one of the next page.
    pub next: Option<usize>,
    /// First one of the page before.
    pub previous: Option<usize>,
}

/// Customers on a page.
const PAGE_SIZE: usize = 50;
/// Domains named for one failing check.
const FAILING: u32 = 100;

/// What the spelling alone says of a domain: readable, not a public suffix, not an address, not the platform's own.
pub(crate) fn classify(domain: &str, platform_zone: &str) -> (DomainHint, Option<DomainName>) {
    let hint = |code, name: Option<&DomainName>, note: String| {
        let text = name
            .map(|name| name.as_str().to_owned())
            .unwrap_or_default();
        let ascii = name
            .map(|name| name.to_ascii().into_owned())
            .filter(|ascii| *ascii != text);
        DomainHint {
            usable: code == "ok",
            domain: text,
            ascii,
            note,
            code,
        }
    };
    let typed = domain.trim();
    if typed.is_empty() {
        return (
            hint(
                "empty",
                None,
                "Type the domain you own, such as example.com.".into(),
            ),
            None,
        );
    }
    // What people paste from a browser or a mail program.
    let bare = typed
        .strip_prefix("https://")
        .or_else(|| typed.strip_prefix("http://"))
        .unwrap_or(typed);
    let bare = bare.split('/').next().unwrap_or(bare);
    let bare = bare.rsplit_once('@').map_or(bare, |(_, domain)| domain);
    let Ok(name) = DomainName::parse(bare) else {
        return (
            hint(
                "unreadable",
                None,
                format!(
                    "\"{bare}\" is not a domain name: letters, digits and hyphens, with dots between."
                ),
            ),
            None,
        );
    };
    if name.is_ip() {
        return (
            hint(
                "address",
                Some(&name),
                "This is an address; a domain is a name, such as example.com.".into(),
            ),
            None,
        );
    }
    let ascii = name.to_ascii().into_owned();
    if !ascii.contains('.') {
        return (
            hint(
                "single-label",
                Some(&name),
                "A domain has a dot in it, such as example.com.".into(),
            ),
            None,
        );
    }
    if ascii.len() > LONGEST_DOMAIN {
        return (
            hint(
                "unreadable",
                Some(&name),
                format!(
                    "The name is longer than {LONGEST_DOMAIN} characters, too long for the records below it."
                ),
            ),
            None,
        );
    }
    if ascii == platform_zone
        || ascii
            .strip_suffix(platform_zone)
            .is_some_and(|rest| rest.ends_with('.'))
    {
        return (
            hint(
                "platform",
                Some(&name),
                "This name belongs to the service itself.".into(),
            ),
            None,
        );
    }
    if registrable(&ascii).is_none() {
        return (
            hint(
                "public-suffix",
                Some(&name),
                format!("Under {name} many people register their own domains; bring one of those."),
            ),
            None,
        );
    }
    let note = if name.as_str() == ascii {
        String::new()
    } else {
        format!("The DNS spells it {ascii}.")
    };
    (hint("ok", Some(&name), note), Some(name))
}

/// The longest name below which `_acme-challenge.` and `_xmpp-client._tcp.` still fit (253 in all).
const LONGEST_DOMAIN: usize = 230;

impl Control {
    /// What to say about a domain while it is typed. Rate-limited by `origin`; asks the store, never the network.
    pub async fn domain_hint(&self, domain: &str, origin: &Origin) -> Result<DomainHint> {
        self.gate.attempt(
            rate::HINT,
            &origin
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            self.now(),
        )?;
        let (mut hint, name) = classify(domain, &self.settings().platform_zone);
        if let Some(name) = name
            && self.held(&name).await?
        {
            hint.usable = false;
            hint.code = "served-here";
            hint.note = format!(
                "{name} is served here already. If it is yours, sign in, or ask whoever set it up."
            );
        }
        Ok(hint)
    }

    /// Signs a new customer up: tenant, owner, claimed domain, login.
    pub async fn sign_up(&self, request: SignUp, origin: &Origin) -> Result<SignedUp> {
        if !self.settings().sign_up {
            return Err(ControlError::State {
                name: "sign-up".into(),
                state: "closed".into(),
                problem: "new customers are added by the operator of this service".into(),
                remedy: "Write to the operator.".into(),
            });
        }
        self.gate.attempt(
            rate::SIGN_UP,
            &origin
                .address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            self.now(),
        )?;
        // Everything that can be refused is refused before anything is written.
        let name = self.usable_domain("domain", &request.domain).await?;
        let login = email("email", &request.email)?;
        password::check(
            "password",
            &request.password,
            password::OPERATOR_LENGTH,
            &[&login, name.as_str()],
        )?;
        let claim = self.claimable(TenantId(0), &name).await?;
        if self.store().operator_find(&login).await?.is_some() {
            return Err(ControlError::Exists {
                what: "login",
                name: login,
                remedy: "Sign in and add the domain there, or use another e-mail address.".into(),
            });
        }
        let hash = self.passwords.hash(&request.password).await?;
        let owner = Actor {
            role: Role::Owner,
            operator: None,
            login: login.as_str().into(),
            tenant: None,
            via: "panel".into(),
            scope: None,
            enrol: false,
            looks_only: false,
        };
        let new = store::TenantNew {
            name: name.as_str(),
            state: ACTIVE,
            limits: "{}",
            person: Some((&login, &hash, Role::Owner.as_str())),
            domain: Some(&claim),
        };
        let domain = name.as_str();
        let made = self
            .recorded(
                &owner,
                None,
                Operation::TenantAdd,
                domain,
                domain,
                "signed up",
            )
            .tenant_open(new, self.now())
            .await;
        let made = match made {
            Ok(made) => made,
            Err(StoreError::Conflict { .. }) => return Err(login_taken(login)),
            Err(error) => return Err(error.into()),
        };
        self.came(&DomainRow {
            tenant: made.tenant,
            ..claim
        });
        let operator = match made.person {
            Some(id) => self.store().operator_get(id).await?,
            None => None,
        };
        let operator =
            operator.ok_or_else(|| ControlError::internal("who signed up is not there"))?;
        Ok(SignedUp {
            login: self.login_make(&operator, origin).await?,
            tenant: made.tenant.0,
            domain: name.to_string(),
        })
    }

    /// Tenants that the actor may see.
    pub async fn tenant_list(&self, actor: &Actor) -> Result<Vec<TenantView>> {
        actor.check(Operation::TenantList, actor.tenant, "tenant", "")?;
        let rows = match actor.tenant {
            Some(own) => self.store().tenant_get(own).await?.into_iter().collect(),
            None => self.tenants().await?,
        };
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            views.push(self.tenant_view(row).await?);
        }
        Ok(views)
    }

    /// One tenant.
    pub async fn tenant_show(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantShow, id).await?;
        self.tenant_view(&row).await
    }

    /// Adds a tenant.
    pub async fn tenant_add(&self, actor: &Actor, new: TenantNew) -> Result<TenantView> {
        actor.check(Operation::TenantAdd, None, "tenant", &new.name)?;
        let name = short_text("name", &new.name)?;
        let owner = match &new.owner {
            Some(owner) => Some(
                self.operator_ready("owner", &owner.login, &owner.password)
                    .await?,
            ),
            None => None,
        };
        let said = owner.as_ref().map(|(login, _)| format!("owner {login}"));
        let row = store::TenantNew {
            name: &name,
            state: ACTIVE,
            limits: "{}",
            person: owner
                .as_ref()
                .map(|(login, hash)| (login.as_str(), hash.as_str(), Role::Owner.as_str())),
            domain: None,
        };
        let said = said.unwrap_or_default();
        let made = self
            .recorded(actor, None, Operation::TenantAdd, "", &name, &said)
            .tenant_open(row, self.now())
            .await;
        let id = match (made, owner) {
            (Ok(made), _) => made.tenant,
            (Err(StoreError::Conflict { .. }), Some((login, _))) => return Err(login_taken(login)),
            (Err(error), _) => return Err(error.into()),
        };
        self.tenant_show(&Actor::system("tenant.add"), id.0).await
    }

    /// Stops all domains of a tenant; `reason` is shown to them.
    pub async fn tenant_suspend(&self, actor: &Actor, id: i64, reason: &str) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantSuspend, id).await?;
        let reason = short_text("reason", reason)?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantSuspend,
            "",
            &row.name,
            &reason,
        );
        self.tenant_edit(&recorded, row.id, |row| {
            (row.state, row.reason) = (SUSPENDED.into(), reason.clone());
        })
        .await?;
        // Each domain has an entry of its own: broken off here, asking again does the rest.
        for domain in self.domains(Some(row.id)).await? {
            if !matches!(
                State::parse(&domain.state),
                Some(State::Suspended | State::Releasing)
            ) {
                let recorded = self.recorded_of(actor, &domain, Operation::DomainSuspend, &reason);
                self.domain_stop(&recorded, &domain, BY_PLATFORM, &reason)
                    .await?;
            }
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.suspend"), id).await
    }

    /// Undoes that.
    pub async fn tenant_resume(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantResume, id).await?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantResume,
            "",
            &row.name,
            "",
        );
        self.tenant_edit(&recorded, row.id, |row| {
            (row.state, row.reason) = (ACTIVE.into(), String::new());
        })
        .await?;
        for domain in self.domains(Some(row.id)).await? {
            if domain.state == State::Suspended.as_str() && domain.suspended_by == BY_PLATFORM {
                let recorded = self.recorded_of(actor, &domain, Operation::DomainResume, "");
                self.domain_start(&recorded, &domain).await?;
            }
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.resume"), id).await
    }

    /// Erases a tenant: domains, accounts, keys, team. Returns the records that now dangle.
    pub async fn tenant_remove(&self, actor: &Actor, id: i64) -> Result<Vec<DesiredRecord>> {
        let row = self.tenant_row(actor, Operation::TenantRemove, id).await?;
        let mut dangling = Vec::new();
        for domain in self.domains(Some(row.id)).await? {
            dangling.extend(self.dangling(&domain));
            self.domain_release(actor, &domain, "with its customer")
                .await?;
        }
        // Nobody of the tenant is left to read its log; the platform keeps that it was there.
        self.recorded(actor, None, Operation::TenantRemove, "", &row.name, "")
            .tenant_remove(row.id)
            .await?;
        self.tell_tenant(row.id);
        Ok(dangling)
    }

    /// Changes a tenant's plan and limits.
    pub async fn tenant_set_limits(
        &self,
        actor: &Actor,
        id: i64,
        set: impl Into<TenantSet>,
    ) -> Result<TenantView> {
        let set: TenantSet = set.into();
        let mut row = self
            .tenant_row(actor, Operation::TenantSetLimits, id)
            .await?;
        loop {
            if set
                .version
                .as_ref()
                .is_some_and(|version| *version != row.revision.to_string())
            {
                return Err(ControlError::stale("tenant", &row.name));
            }
            let mut said = Vec::new();
            match set.plan {
                None => {}
                Some(0) => (row.plan, row.plan_limits) = (None, self.usual_limits().await?),
                Some(plan) => {
                    let plan = self.plan_row(plan).await.map_err(|_| {
                        ControlError::invalid(
                            "plan",
                            plan.to_string(),
                            "there is no such plan",
                            "Choose one of the list, or 0 for the usual one.",
                        )
                    })?;
                    (row.plan, row.plan_limits) = (Some(plan.id), plan.limits);
                    said.push(format!("plan {}", plan.name));
                }
            }
            if set.plan == Some(0) {
                said.push("the usual plan".to_owned());
            }
            let base = self.settings().limits.with(&row.plan_limits);
            row.limits = set.limits.over(base.with(&row.limits)).other_than(base);
            said.push(row.limits.clone());
            let said = said.join("; ");
            let recorded = self.recorded(
                actor,
                Some(row.id),
                Operation::TenantSetLimits,
                "",
                &row.name,
                &said,
            );
            if recorded.tenant_update(&row, self.now()).await? {
                break;
            }
            // Somebody was faster; that edit is done, and this one is made on it.
            row = self
                .store()
                .tenant_get(row.id)
                .await?
                .ok_or_else(|| ControlError::not_found("tenant", id))?;
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.set-limits"), id)
            .await
    }

    /// Limits of the usual plan, JSON.
    async fn usual_limits(&self) -> Result<String> {
        let plans = self.store().plan_list().await?;
        let usual = plans.into_iter().find(|(plan, _)| plan.usual);
        Ok(usual.map_or_else(|| "{}".into(), |(plan, _)| plan.limits))
    }

    /// Changes a tenant's row, whatever others change at the same time.
    pub(crate) async fn tenant_edit(
        &self,
        recorded: &Store,
        id: TenantId,
        edit: impl Fn(&mut TenantRow),
    ) -> Result<()> {
        loop {
            let mut row = self
                .store()
                .tenant_get(id)
                .await?
                .ok_or_else(|| ControlError::not_found("tenant", id))?;
            edit(&mut row);
            if recorded.tenant_update(&row, self.now()).await? {
                return Ok(());
            }
        }
    }

    /// The platform in numbers.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.check(Operation::PlatformOverview, None, "platform", "")?;
        let counts = self.store().domain_states().await?;
        let count = |state: State| {
            let mut found = counts.iter().filter(|(word, _)| word == state.as_str());
            found.next().map_or(0, |(_, count)| *count)
        };
        let (_, tenants) = self.store().tenant_page("", 0, 0).await?;
        let mut certificates = Vec::new();
        let (now, mut from) = (self.now(), Timestamp(0));
        for bound in DAYS_LEFT.into_iter().map(Some).chain([None]) {
            let to = bound.map_or(Timestamp(i64::MAX), |days| {
                Timestamp(now.0 + i64::from(days) * DAY)
            });
            certificates.push((bound, self.store().certificates_ending(from, to).await?));
            from = to;
        }
        Ok(Overview {
            tenants,
            domains: State::ALL
                .map(|state| (state.as_str(), count(state)))
                .into(),
            accounts: self.store().account_total().await?,
            findings: self.store().finding_codes().await?,
            certificates,
        })
    }

    /// Domains for which a check fails (warnings and worse), by its code; the first ones by name.
    pub async fn failing_domains(&self, actor: &Actor, code: &str) -> Result<Vec<String>> {
        actor.check(Operation::PlatformOverview, None, "platform", "")?;
        Ok(self.store().finding_domains(code, FAILING).await?)
    }

    /// A page of the customers with `search` in their name, from number `from` on.
    pub async fn tenant_page(
        &self,
        actor: &Actor,
        search: &str,
        from: usize,
    ) -> Result<TenantPage> {
        actor.check(Operation::TenantList, None, "tenant", "")?;
        let part = search.trim().to_lowercase();
        let from = from / PAGE_SIZE * PAGE_SIZE;
        let (rows, total) = self.store().tenant_page(&part, from, PAGE_SIZE).await?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let mut tenants = Vec::with_capacity(rows.len());
        for row in &rows {
            tenants.push(self.tenant_view(row).await?);
        }
        Ok(TenantPage {
            tenants,
            total,
            from,
            next: Some(from + PAGE_SIZE).filter(|next| *next < total),
            previous: from.checked_sub(PAGE_SIZE),
        })
    }

    /// A tenant within the actor's reach.
    pub(crate) async fn tenant_row(
        &self,
        actor: &Actor,
        operation: Operation,
        id: i64,
    ) -> Result<TenantRow> {
        actor.check(operation, Some(TenantId(id)), "tenant", &id.to_string())?;
        self.store()
            .tenant_get(TenantId(id))
            .await?
            .ok_or_else(|| ControlError::not_found("tenant", id))
    }

    /// A name that may be added: well spelled, and not proven here by anybody.
    pub(crate) async fn usable_domain(
        &self,
        field: &'static str,
        domain: &str,
    ) -> Result<DomainName> {
        let (hint, name) = classify(domain, &self.settings().platform_zone);
        let Some(name) = name else {
            return Err(ControlError::invalid(
                field,
                domain,
                hint.note,
                "Bring a domain that you have registered, such as example.com.",
            ));
        };
        Ok(name)
    }

    pub(crate) fn limits_of(&self, row: &TenantRow) -> Limits {
        let plan = self.settings().limits.with(&row.plan_limits);
        plan.with(&row.limits)
    }

    async fn tenant_view(&self, row: &TenantRow) -> Result<TenantView> {
        let domains = self.store().domain_count(Some(row.id)).await?;
        let accounts = self.store().tenant_account_count(row.id).await?;
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(TenantView {
            id: row.id.0,
            name: row.name.clone(),
            state: if row.state == SUSPENDED {
                "suspended"
            } else {
                "active"
            },
            created: row.created,
            plan: row.plan.map(|plan| plan.0),
            plan_name: row.plan_name.clone(),
            second_factor: row.second_factor,
            ladder: ladder::view(row),
            version: row.revision.to_string(),
            limits: self.limits_of(row),
            used: Used {
                domains: count(domains),
                accounts: count(accounts),
            },
        })
    }

    /// Every tenant, page by page.
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantRow>> {
        let mut all: Vec<TenantRow> = Vec::new();
        loop {
            let after = all.last().map_or(TenantId(0), |row| row.id);
            let page = self.store().tenant_list(after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    pub(crate) fn tell_tenant(&self, tenant: TenantId) {
        self.events.send(Event {
            tenant: Some(tenant),
            domain: None,
            kind: EventKind::Tenant,
            at: self.now(),
        });
    }
}

/// A tenant's states.
const ACTIVE: &str = "active";
pub(crate) const SUSPENDED: &str = "suspended";
/// Rows read at once.
const PAGE: u32 = 1000;

pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_brought() {
        let check = |typed: &str, code: &str, domain: &str| {
            let (hint, name) = classify(typed, "on.hosting.example");
            assert_eq!((hint.code, hint.domain.as_str()), (code, domain), "{typed}");
            assert_eq!(hint.usable, name.is_some(), "{typed}");
        };
        check("", "empty", "");
        check("Example.COM.", "ok", "example.com");
        check("https://example.com/shop", "ok", "example.com");
        check("me@example.com", "ok", "example.com");
        check("xn--mnchen-3ya.example", "ok", "münchen.example");
        check("co.uk", "public-suffix", "co.uk");
        check("shop.co.uk", "ok", "shop.co.uk");
        check("com", "single-label", "com");
        check("192.0.2.1", "address", "192.0.2.1");
        check("x.on.hosting.example", "platform", "x.on.hosting.example");
        check("what is this", "unreadable", "");
        assert_eq!(
            classify("münchen.example", "x.example").0.ascii.as_deref(),
            Some("xn--mnchen-3ya.example")
        );
    }
}
