//! Tenants: sign-up, list, limits, suspension, removal.

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::operator::{LoggedIn, Origin};
use crate::settings::Limits;
use crate::{Actor, Control};

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
    /// Its limits.
    pub limits: Limits,
    /// In use.
    pub used: Limits,
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
}

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
    if psl::domain_str(&ascii).is_none() {
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
        let _ = (domain, origin);
        todo!()
    }

    /// Signs a new customer up: tenant, owner, claimed domain, login.
    pub async fn sign_up(&self, request: SignUp, origin: &Origin) -> Result<SignedUp> {
        let _ = (request, origin);
        todo!()
    }

    /// Tenants that the actor may see.
    pub async fn tenant_list(&self, actor: &Actor) -> Result<Vec<TenantView>> {
        let _ = actor;
        todo!()
    }

    /// One tenant.
    pub async fn tenant_show(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let _ = (actor, id);
        todo!()
    }

    /// Adds a tenant.
    pub async fn tenant_add(&self, actor: &Actor, new: TenantNew) -> Result<TenantView> {
        let _ = (actor, new);
        todo!()
    }

    /// Stops all domains of a tenant; `reason` is shown to them.
    pub async fn tenant_suspend(&self, actor: &Actor, id: i64, reason: &str) -> Result<TenantView> {
        let _ = (actor, id, reason);
        todo!()
    }

    /// Undoes that.
    pub async fn tenant_resume(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let _ = (actor, id);
        todo!()
    }

    /// Erases a tenant: domains, accounts, keys, team. Returns the records that now dangle.
    pub async fn tenant_remove(
        &self,
        actor: &Actor,
        id: i64,
    ) -> Result<Vec<crate::records::DesiredRecord>> {
        let _ = (actor, id);
        todo!()
    }

    /// Changes a tenant's limits.
    pub async fn tenant_set_limits(
        &self,
        actor: &Actor,
        id: i64,
        limits: Limits,
    ) -> Result<TenantView> {
        let _ = (actor, id, limits);
        todo!()
    }

    /// The platform in numbers.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        let _ = actor;
        todo!()
    }
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
