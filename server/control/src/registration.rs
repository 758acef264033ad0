//! Accounts that people make themselves, where the domain's owner has opened it (XEP-0077, EXT-33).
//!
//! Whoever comes answers the domain's question; the account passes the rules, limits and log that hold for every account.
//! Refuses: names by which a domain's own people are written to (RFC 2142), and what is hard to tell from them, so that no
//! stranger answers for them.

use store::StoreError;
use xmpp::jid::DomainName;

use crate::account::{AccountView, prepare};
use crate::domain::StreamChoices;
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::invite::name_taken;
use crate::lookalike::{looks_like, mixes_scripts};
use crate::operator::Origin;
use crate::permission::Operation;
use crate::secret::Secret;
use crate::{Actor, Control, rate};

/// Names that are nobody's to take: those of RFC 2142, and others of their kind.
const NOBODYS: [&str; 20] = [
    "abuse",
    "admin",
    "administrator",
    "help",
    "hostmaster",
    "info",
    "marketing",
    "moderator",
    "news",
    "noc",
    "operator",
    "owner",
    "postmaster",
    "root",
    "sales",
    "security",
    "staff",
    "support",
    "system",
    "webmaster",
];

/// Path of the page on which somebody asks for an account, before the domain.
pub const ASK_PATH: &str = "/ask/";

/// Under which name its query and its form have the stream whose client has opened it.
pub const STREAM_FIELD: &str = "stream";

/// How long an address waits that has asked too often, in seconds.
const PATIENCE: u64 = 3600;

/// A domain whose owner has opened it, as strangers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenDomain {
    /// Its name, as people write it.
    pub domain: String,
    /// As the DNS spells it.
    pub ascii: String,
    /// What whoever is not invited is asked.
    pub question: String,
}

/// An account that somebody wants.
pub struct Wanted {
    /// Localpart, in any spelling that RFC 7622 allows.
    pub local: String,
    /// Password.
    pub password: Secret,
    /// The answer to the domain's question.
    pub answer: String,
}

/// Refuses a name that somebody has chosen for themselves and that others would take for somebody else's.
pub(crate) fn self_chosen(local: &str) -> Result<()> {
    let problem = if NOBODYS.iter().any(|name| looks_like(name, local)) {
        "people write to that name when they mean the domain itself"
    } else if mixes_scripts(local) {
        "the name mixes letters of several alphabets, which others cannot tell apart"
    } else {
        return Ok(());
    };
    Err(ControlError::invalid(
        "local",
        local,
        problem,
        "Choose another name.",
    ))
}

impl Control {
    /// What an open domain (in any spelling) asks. Says the same of one that is not open as of one that is not here.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], and [`ControlError::TooMany`] when the address has looked too often.
    pub async fn registration_show(&self, domain: &str, origin: &Origin) -> Result<OpenDomain> {
        self.gate_from(rate::INVITE, origin)?;
        let absent = || ControlError::not_found("open domain", domain);
        let name = DomainName::parse(domain).map_err(|_| absent())?;
        let row = self.store().domain_hosted(&name).await?;
        let row = row.ok_or_else(absent)?;
        let choices = StreamChoices::of(&row).joining;
        if !choices.is_open() || !self.takes_people(&row).await? {
            return Err(absent());
        }
        Ok(OpenDomain {
            domain: row.name.to_string(),
            ascii: row.name.to_ascii().into_owned(),
            question: choices.question,
        })
    }

    /// Where the page is on which somebody asks for an account of the domain, opened by the client on this stream (XEP-0389
    /// 5.2).
    pub fn registration_address(&self, domain: &DomainName, stream: &str) -> String {
        let base = self.settings().invites.trim_end_matches('/');
        format!(
            "{base}{ASK_PATH}{}?{STREAM_FIELD}={stream}",
            domain.to_ascii()
        )
    }

    /// Makes an account for somebody who asks on a page: as [`Control::account_register`], counted by address together with
    /// those who ask on a stream (XEP-0077 11). `stream`: whose client has opened the page, if one has; it goes on then.
    ///
    /// # Errors
    /// Those of [`Control::account_register`], and [`ControlError::TooMany`].
    pub async fn registration_ask(
        &self,
        domain: &str,
        wanted: Wanted,
        stream: &str,
        origin: &Origin,
    ) -> Result<AccountView> {
        let name = DomainName::parse(domain);
        let name = name.map_err(|_| ControlError::not_found("domain", domain))?;
        let admitted = origin
            .address
            .is_none_or(|from| self.parts.live.admits_newcomer(from));
        if !admitted {
            return Err(ControlError::TooMany {
                wait_seconds: PATIENCE,
            });
        }
        let account = self.account_register(&name, wanted).await?;
        if !stream.is_empty() {
            self.parts.live.newcomer_came(&name, stream);
        }
        Ok(account)
    }

    /// Makes an account for somebody whom nobody has invited. The caller counts attempts by address.
    ///
    /// # Errors
    /// [`ControlError::State`] where the domain is not open, [`ControlError::Invalid`] when the answer is none, the name is not
    /// to be had or the password not good enough, [`ControlError::Exists`] when the name is somebody's, [`ControlError::Limit`]
    /// when the customer has no room.
    pub async fn account_register(
        &self,
        domain: &DomainName,
        wanted: Wanted,
    ) -> Result<AccountView> {
        let row = self.store().domain_hosted(domain).await?;
        let row = row.ok_or_else(|| ControlError::not_found("domain", domain))?;
        let choices = StreamChoices::of(&row).joining;
        if !choices.is_open() || !self.takes_people(&row).await? {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "not open".into(),
                problem: "accounts are by invitation".into(),
                remedy: "Ask whoever looks after the domain.".into(),
            });
        }
        if !choices.is_answer(&wanted.answer) {
            return Err(ControlError::invalid(
                "answer",
                wanted.answer,
                "that is not the answer to the question",
                "Ask somebody at the domain.",
            ));
        }
        let (local, password, _) = prepare(&row.name, &wanted.local, Some(wanted.password))?;
        self_chosen(&local)?;
        let limits = self.account_room(&row, 1).await?;
        let verifiers = self.derive(password).await?;
        let jid = format!("{local}@{}", row.name);
        let now = self.now();
        let name = row.name.as_str();
        let by = Actor::newcomer(&jid, "registration");
        let made = self
            .recorded(
                &by,
                Some(row.tenant),
                Operation::AccountAdd,
                name,
                &jid,
                "by themselves",
            )
            .within(limits.accounts.into())
            .domain(row.id, &row.name)
            .account_add(&local, &verifiers, now)
            .await;
        match made {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => return Err(name_taken(jid)),
            Err(error) => return Err(error.into()),
        }
        self.tell(&row, EventKind::Accounts);
        Ok(AccountView {
            jid,
            local,
            state: store::ACTIVE.into(),
            created: now,
            connected: None,
            last_seen: None,
        })
    }
}
