//! How a customer comes: a domain that may be brought, and sign-up.

use serde::{Deserialize, Serialize};
use store::{DomainRow, StoreError, TenantId};
use xmpp::jid::DomainName;

use super::ACTIVE;
use crate::error::{ControlError, Result};
use crate::lookalike::{looks_like, mixes_scripts};
use crate::operator::{LoggedIn, Origin, email, login_taken};
use crate::permission::{Operation, Role};
use crate::secret::Secret;
use crate::suffix::registrable;
use crate::{Actor, Control, password, rate};

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
    /// `ok`, `empty`, `unreadable`, `public-suffix`, `address`, `platform`, `served-here`, `single-label`, `mixed-scripts`,
    /// `special-use`.
    pub code: &'static str,
}

/// What the spelling alone says of a domain: readable, not a public suffix, not an address, not the platform's own. `private`:
/// the service is for a private network.
fn classify(domain: &str, platform_zone: &str, private: bool) -> (DomainHint, Option<DomainName>) {
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
    if mixes_scripts(name.as_str()) {
        return (
            hint(
                "mixed-scripts",
                Some(&name),
                format!(
                    "A word in this name mixes letters of several alphabets, as names do that are meant to be taken for others; the DNS spells it {ascii}."
                ),
            ),
            None,
        );
    }
    if let Some(what) = special_use(&ascii, private) {
        return (
            hint(
                "special-use",
                Some(&name),
                format!(
                    "Names like {name} are {what}; other servers never find them in the DNS, so no domain is hosted under one."
                ),
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

/// Names with a meaning of their own, which the DNS does not hold: RFC 6761 and the registry of special-use names that it made.
/// `test` and `example` are not here: programs treat these as any other (RFC 6761 6.2, 6.5), and nobody can prove one.
const SPECIAL: [(&str, &str); 6] = [
    // RFC 6761 6.3.
    ("localhost", "every computer's own"),
    // RFC 6761 6.4.
    ("invalid", "meant not to exist"),
    // RFC 6762 22.1.
    ("local", "for devices of one network (mDNS)"),
    // RFC 7686.
    ("onion", "Tor's, not the DNS's"),
    // RFC 9476.
    ("alt", "for systems other than the DNS"),
    // RFC 3172; RFC 6761 6.1, RFC 8880 and RFC 9462 have names below it.
    ("arpa", "for the running of the internet"),
];

/// Names of private networks, which a service inside of one may well host.
const PRIVATE: [(&str, &str); 2] = [
    // RFC 8375; below `arpa`, so it comes first.
    ("home.arpa", "for home networks"),
    // Set aside by ICANN's board, 2024-07-29.
    ("internal", "for private networks"),
];

/// What a name is for, if it is a special one.
fn special_use(ascii: &str, private: bool) -> Option<&'static str> {
    let below = |(top, _): &&(&str, &str)| {
        let rest = ascii.strip_suffix(top);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    match PRIVATE.iter().find(below) {
        Some((_, what)) => (!private).then_some(*what),
        None => SPECIAL.iter().find(below).map(|(_, what)| *what),
    }
}

/// Names that are read at a time.
const NAMES: u32 = 1000;

/// The longest name below which `_acme-challenge.` and `_xmpp-client._tcp.` still fit (253 in all).
const LONGEST_DOMAIN: usize = 230;

impl Control {
    /// What to say about a domain while it is typed. Rate-limited by `origin`; asks the store, never the network.
    pub async fn domain_hint(&self, domain: &str, origin: &Origin) -> Result<DomainHint> {
        self.gate_from(rate::HINT, origin)?;
        let (mut hint, name) = self.classified(domain);
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
        self.gate_from(rate::SIGN_UP, origin)?;
        // Everything that can be refused is refused before anything is written.
        let name = self.usable_domain("domain", &request.domain).await?;
        let login = email("email", &request.email)?;
        password::check(
            "password",
            &request.password,
            password::OPERATOR_LENGTH,
            &[&login, name.as_str()],
        )?;
        self.unlike_others("domain", TenantId(0), &name).await?;
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
            viewing: None,
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

    /// A name that may be added: well spelled, and not proven here by anybody.
    pub(crate) async fn usable_domain(
        &self,
        field: &'static str,
        domain: &str,
    ) -> Result<DomainName> {
        let (hint, name) = self.classified(domain);
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

    fn classified(&self, domain: &str) -> (DomainHint, Option<DomainName>) {
        let settings = self.settings();
        classify(domain, &settings.platform_zone, settings.private_addresses)
    }

    /// A name in another alphabet that looks like one that another customer has here, letter for letter (UTS 39 4, whole-script
    /// confusables), is not taken from whoever chooses it for themselves. Names in ASCII are taken: theirs was there first. All
    /// names are read for it, which only such a name, and only from somebody who may add domains, gives cause to.
    pub(crate) async fn unlike_others(
        &self,
        field: &'static str,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<()> {
        if name.as_str().is_ascii() {
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let names = self.store().domain_names_of_others(tenant, &after, NAMES);
            let names = names.await?;
            let alike =
                |other: &&String| *other != name.as_str() && looks_like(other, name.as_str());
            if let Some(other) = names.iter().find(alike) {
                return Err(ControlError::invalid(
                    field,
                    name.as_str(),
                    format!("it cannot be told from {other}, which another customer has here"),
                    "If it is yours all the same, ask the operator of this service to add it for you.",
                ));
            }
            match names.into_iter().next_back() {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_brought() {
        let check = |typed: &str, code: &str, domain: &str| {
            let (hint, name) = classify(typed, "on.hosting.example", false);
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
        check("\u{1f4ac}.example", "unreadable", "");
        check("xn--os8h.example", "unreadable", "");
        check(
            "p\u{430}ypal.example",
            "mixed-scripts",
            "p\u{430}ypal.example",
        );
        check(
            "\u{431}\u{430}\u{43d}\u{43a}.example",
            "ok",
            "\u{431}\u{430}\u{43d}\u{43a}.example",
        );
        check(
            &"a.".repeat(120),
            "unreadable",
            &format!("{}a", "a.".repeat(119)),
        );
        check(&format!("{}.example", "a".repeat(64)), "unreadable", "");
        for special in [
            "chat.localhost",
            "chat.invalid",
            "printer.local",
            "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion",
            "gnu.alt",
            "8.e.f.ip6.arpa",
            "10.in-addr.arpa",
            "chat.home.arpa",
            "chat.internal",
        ] {
            check(special, "special-use", special);
        }
        check("local.example", "ok", "local.example");
        check("mylocal.example", "ok", "mylocal.example");
        for private in ["chat.home.arpa", "chat.corp.internal"] {
            assert_eq!(
                classify(private, "x.example", true).0.code,
                "ok",
                "{private}"
            );
        }
        assert_eq!(
            classify("münchen.example", "x.example", false)
                .0
                .ascii
                .as_deref(),
            Some("xn--mnchen-3ya.example")
        );
    }
}
