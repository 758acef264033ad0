//! Invitations to an account of a domain (XEP-0401, XEP-0445): a link that whoever gets it makes an account by, once, within
//! some days, of this domain and no other (EXT-34).
//!
//! What is stored of a link is its hash; the link is shown once, to whoever invites. It may keep a name for somebody, and make
//! whoever invites and whoever comes each other's contacts. It is used up when there is an account, not before: a name that is
//! taken or a password that is too short costs nothing. Refuses: invitations of domains that are stopped or closed, of customers
//! on the ladder, of accounts that are stopped.

use serde::{Deserialize, Serialize};
use store::{DomainRow, InviteKind, InviteRow, StoreError};
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use crate::account::{AccountView, prepare, proven, taken};
use crate::domain::{Registration, StreamChoices, state_of};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::ladder::only_looks;
use crate::operator::{Origin, hash_of, short_text};
use crate::outside::Change;
use crate::permission::Operation;
use crate::registration::self_chosen;
use crate::secret::Secret;
use crate::shown::TOKEN;
use crate::time::plus;
use crate::uri::escaped;
use crate::{Actor, Control, password, rate};

/// An invitation to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InviteAsk {
    /// The name that is kept for whoever is invited; none: they choose.
    pub local: Option<String>,
    /// The account whose contact they become, by its localpart.
    pub contact: Option<String>,
    /// Whom it is meant for, in your own words.
    pub note: String,
    /// Days until it ends, 1 to 30; 7 if nothing is said.
    pub days: Option<u32>,
}

/// An invitation, for the list.
#[derive(Debug, Clone, Serialize)]
pub struct InviteView {
    /// Id.
    pub id: i64,
    /// `account`; `contact`: one who has an account elsewhere becomes the inviter's contact by it.
    pub kind: &'static str,
    /// The name that is kept for whoever is invited.
    pub local: Option<String>,
    /// Whose contact they become: bare JID.
    pub contact: Option<String>,
    /// Whom it is meant for.
    pub note: String,
    /// Who invites: a login, or the address of an account.
    pub by: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// A fresh invitation: the only time that its token is seen.
#[derive(Debug, Clone, Serialize)]
pub struct InviteNew {
    /// For programs (XEP-0445 2): `xmpp:example.com?register;preauth=TOKEN`.
    pub uri: String,
    /// For people: a page that says what to do.
    pub link: String,
    /// The rest.
    #[serde(flatten)]
    pub view: InviteView,
}

/// What whoever has the link is told. Not who has made it, if that is not an account: logins are nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invited {
    /// To which domain (U-labels).
    pub domain: String,
    /// The same as the DNS spells it.
    pub ascii: String,
    /// The name that is kept.
    pub local: Option<String>,
    /// Whose contact they become: bare JID.
    pub contact: Option<String>,
    /// As in [`InviteNew`].
    pub uri: String,
    /// As in [`InviteNew`].
    pub link: String,
    /// Until.
    #[serde(serialize_with = "crate::time::at")]
    pub expires: Timestamp,
}

/// An invitation that was good when it was shown; it may be taken after its end (XEP-0445 3). Made by
/// [`Control::invite_admit`] only.
#[derive(Debug, Clone)]
pub struct Admitted {
    invite: InviteRow,
    domain: DomainRow,
    /// What its holder is told.
    pub invited: Invited,
}

impl Admitted {
    /// The domain to which it is.
    pub fn domain(&self) -> &DomainName {
        &self.domain.name
    }
}

/// How long an invitation lasts, if nothing is said, and at most (days).
const DAYS: u32 = 7;
const MOST_DAYS: u32 = 30;
const DAY_SECONDS: i64 = 86_400;
/// Open invitations of one domain, and of one account that is no admin.
const OPEN: usize = 1000;
const OPEN_OF_ACCOUNT: usize = 20;

/// Path of the page of an invitation, before its token.
pub const INVITE_PATH: &str = "/invite/";

impl Control {
    /// Invitations of a domain that nobody has taken, oldest first.
    pub async fn invite_list(&self, actor: &Actor, domain: &str) -> Result<Vec<InviteView>> {
        let row = self
            .domain_row(actor, Operation::InviteList, domain)
            .await?;
        let rows = self.domain_store(&row).invite_list(self.now()).await?;
        Ok(rows.into_iter().map(|of| view(&row.name, of)).collect())
    }

    /// Invites somebody to an account.
    pub async fn invite_add(
        &self,
        actor: &Actor,
        domain: &str,
        ask: InviteAsk,
    ) -> Result<InviteNew> {
        let row = self.domain_row(actor, Operation::InviteAdd, domain).await?;
        self.invite_make(actor, &row, ask, InviteKind::Account, OPEN)
            .await
    }

    /// An account invites somebody who becomes its contact, with an account here or elsewhere, if the domain's owner lets its
    /// accounts do so (XEP-0401 4.1). `admin`: it is one of the domain's admins, who always may.
    pub async fn invite_by_account(&self, account: &BareJid, admin: bool) -> Result<InviteNew> {
        let actor = &Actor::of_account(account.as_str());
        let domain = account.domain();
        let row = self.domain_row(actor, Operation::InviteAdd, domain).await?;
        if !admin && !StreamChoices::of(&row).joining.user_invites {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "invitations are the owner's".into(),
                problem: "its accounts cannot invite others".into(),
                remedy: "Ask whoever looks after the domain.".into(),
            });
        }
        if !self.invites_into(&row).await? {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "closed".into(),
                problem: "nobody can be invited to it now".into(),
                remedy: "Ask whoever looks after the domain.".into(),
            });
        }
        let most = if admin { OPEN } else { OPEN_OF_ACCOUNT };
        let ask = InviteAsk {
            contact: account.local().map(str::to_owned),
            ..InviteAsk::default()
        };
        self.invite_make(actor, &row, ask, InviteKind::Contact, most)
            .await
    }

    async fn invite_make(
        &self,
        actor: &Actor,
        row: &DomainRow,
        ask: InviteAsk,
        kind: InviteKind,
        most: usize,
    ) -> Result<InviteNew> {
        proven(row)?;
        if StreamChoices::of(row).joining.registration == Registration::Closed {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: Registration::Closed.as_str().into(),
                problem: "accounts are only given, not taken by invitation".into(),
                remedy: "Let people in by invitation in the domain's settings.".into(),
            });
        }
        let now = self.now();
        let store = self.domain_store(row);
        let open = store.invite_list(now).await?;
        let own = |of: &&InviteRow| most == OPEN || of.by == actor.login();
        let used = open.iter().filter(own).count();
        if used >= most {
            return Err(ControlError::Limit {
                what: "open invitations",
                used: used as u64,
                limit: most as u64,
            });
        }
        let mut invite = InviteRow {
            id: 0,
            domain: row.id,
            kind,
            local: self.invite_name(row, ask.local.as_deref()).await?,
            contact: account_of(&row.name, "contact", ask.contact.as_deref())?,
            note: match ask.note.trim() {
                "" => String::new(),
                note => short_text("note", note)?,
            },
            by: actor.login().to_owned(),
            created: now,
            expires: plus(now, i64::from(days(ask.days)?) * DAY_SECONDS),
        };
        let token = password::token(TOKEN).expose().to_owned();
        let said = [invite.local.as_deref().unwrap_or_default(), &invite.note].join(" ");
        let recorded = self
            .recorded_of(actor, row, Operation::InviteAdd, said.trim())
            .domain(row.id, &row.name);
        invite.id = recorded
            .invite_add(&hash_of(&token), &invite)
            .await?
            .ok_or_else(|| ControlError::not_found("account", contact_name(row, &invite)))?;
        self.tell(row, EventKind::Accounts);
        let (uri, link) = self.addresses(row, &invite, &token);
        Ok(InviteNew {
            uri,
            link,
            view: view(&row.name, invite),
        })
    }

    /// The name that is to be kept, if it can be.
    async fn invite_name(&self, row: &DomainRow, wanted: Option<&str>) -> Result<Option<String>> {
        let Some(local) = account_of(&row.name, "local", wanted)? else {
            return Ok(None);
        };
        let store = self.domain_store(row);
        let there = store.account_find(&local).await?.is_some();
        if there || store.invite_keeps(&local, self.now()).await? {
            return Err(taken(&local, &row.name));
        }
        Ok(Some(local))
    }

    /// Takes an invitation back.
    pub async fn invite_remove(&self, actor: &Actor, domain: &str, id: i64) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::InviteRemove, domain)
            .await?;
        let recorded = self.recorded_of(actor, &row, Operation::InviteRemove, &id.to_string());
        if !recorded.domain(row.id, &row.name).invite_remove(id).await? {
            return Err(ControlError::not_found("invitation", id));
        }
        self.tell(&row, EventKind::Accounts);
        Ok(())
    }

    /// Looks at what somebody shows as an invitation, to `domain` (canonical, U-labels) if they mean one. Says the same of one that never was, was
    /// taken, has ended, or is of another domain.
    ///
    /// # Errors
    /// [`ControlError::NotSignedIn`] when it is not good, [`ControlError::TooMany`] when the address has shown too many.
    pub async fn invite_admit(
        &self,
        domain: Option<&str>,
        token: &str,
        origin: &Origin,
    ) -> Result<Admitted> {
        let what = "this invitation";
        let absent = || ControlError::NotSignedIn { what };
        let hash = self.token_shown(rate::INVITE, what, token, origin)?;
        let found = self.store().invite_find(&hash, self.now()).await?;
        let invite = found.ok_or_else(absent)?;
        let row = self.domain_shown(invite.domain, domain).await?;
        let row = row.ok_or_else(absent)?;
        if !self.invites_into(&row).await? {
            return Err(absent());
        }
        let (uri, link) = self.addresses(&row, &invite, token);
        let invited = Invited {
            domain: row.name.to_string(),
            ascii: row.name.to_ascii().into_owned(),
            local: invite.local.clone(),
            contact: invite.contact.as_ref().map(|_| contact_name(&row, &invite)),
            uri,
            link,
            expires: invite.expires,
        };
        Ok(Admitted {
            invite,
            domain: row,
            invited,
        })
    }

    /// Is anybody let into the domain by invitation now?
    async fn invites_into(&self, row: &DomainRow) -> Result<bool> {
        let closed = StreamChoices::of(row).joining.registration == Registration::Closed;
        Ok(!closed && self.takes_people(row).await?)
    }

    /// Does the domain take people now, and its customer too?
    pub(crate) async fn takes_people(&self, row: &DomainRow) -> Result<bool> {
        if row.verified_at.is_none() || !state_of(row).is_served() {
            return Ok(false);
        }
        let tenant = self.store().tenant_get(row.tenant).await?;
        Ok(tenant.is_some_and(|tenant| !only_looks(&tenant.step)))
    }

    /// Takes an invitation: whoever holds it has an account of this name from now on. It stays good where that is refused.
    ///
    /// # Errors
    /// [`ControlError::Exists`] when the name is somebody's, [`ControlError::Invalid`] when it is none, or the password is not
    /// good enough, [`ControlError::Limit`] when the customer has no room, [`ControlError::NotSignedIn`] when somebody was
    /// faster or it was taken back.
    pub async fn invite_take(
        &self,
        admitted: &Admitted,
        local: &str,
        password: Secret,
    ) -> Result<AccountView> {
        let Admitted { invite, domain, .. } = admitted;
        let (local, password, _) = prepare(&domain.name, local, Some(password))?;
        if invite.local.is_none() {
            self_chosen(&local)?;
        }
        if let Some(kept) = invite.local.as_ref().filter(|kept| **kept != local) {
            return Err(ControlError::invalid(
                "local",
                local,
                format!("this invitation is for \"{kept}\""),
                "Use that name, or ask for another invitation.",
            ));
        }
        let ended = || ControlError::NotSignedIn {
            what: "this invitation",
        };
        if !self.invites_into(domain).await? {
            return Err(ended());
        }
        let limits = self.account_room(domain, 1).await?;
        let verifiers = self.derive(password).await?;
        let jid = format!("{local}@{}", domain.name);
        let now = self.now();
        let said = format!("invited by {}", invite.by);
        let name = domain.name.as_str();
        let made = self
            .recorded(
                &Actor::newcomer(&jid, "invitation"),
                Some(domain.tenant),
                Operation::AccountAdd,
                name,
                &jid,
                &said,
            )
            .within(limits.accounts.into())
            .domain(domain.id, &domain.name)
            .invite_take(invite.id, &local, &verifiers, limits.roster_items, now)
            .await;
        match made {
            Ok(Some(_)) => {}
            Ok(None) => return Err(ended()),
            Err(StoreError::Conflict { .. }) => return Err(name_taken(jid)),
            Err(error) => return Err(error.into()),
        }
        if let Some(contact) = &invite.contact
            && let Ok(contact) = BareJid::new(Some(contact), &domain.name)
        {
            self.parts.live.announce(Change::Roster(contact));
        }
        self.tell(domain, EventKind::Accounts);
        Ok(AccountView {
            jid,
            local,
            state: store::ACTIVE.into(),
            created: now,
            connected: None,
            last_seen: None,
        })
    }

    /// Address for programs, and that of the page for people.
    fn addresses(&self, row: &DomainRow, invite: &InviteRow, token: &str) -> (String, String) {
        let base = self.settings().invites.trim_end_matches('/');
        let link = format!("{base}{INVITE_PATH}{token}");
        (uri(&row.name, invite, token), link)
    }
}

/// What somebody who wants an account is told of a name that is another's, or kept for another.
pub(crate) fn name_taken(jid: String) -> ControlError {
    ControlError::Exists {
        what: "account",
        name: jid,
        remedy: "Choose another name.".into(),
    }
}

/// XEP-0445 2: what a client opens.
fn uri(domain: &DomainName, invite: &InviteRow, token: &str) -> String {
    let address = |local: Option<&str>| match local {
        Some(local) => format!("xmpp:{}@{}", escaped(local), domain.to_ascii()),
        None => format!("xmpp:{}", domain.to_ascii()),
    };
    match (invite.kind, invite.contact.as_deref()) {
        (InviteKind::Contact, Some(inviter)) => {
            format!("{}?roster;preauth={token};ibr=y", address(Some(inviter)))
        }
        _ => format!(
            "{}?register;preauth={token}",
            address(invite.local.as_deref())
        ),
    }
}

fn days(asked: Option<u32>) -> Result<u32> {
    let days = asked.unwrap_or(DAYS);
    if (1..=MOST_DAYS).contains(&days) {
        return Ok(days);
    }
    Err(ControlError::invalid(
        "days",
        days.to_string(),
        format!("an invitation is good for 1 to {MOST_DAYS} days"),
        "Invite them again when it has ended.",
    ))
}

/// Canonical localpart of an account of the domain; nothing for nothing.
fn account_of(
    domain: &DomainName,
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<String>> {
    let Some(local) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let jid = BareJid::new(Some(local), domain).map_err(|error| {
        ControlError::invalid(
            field,
            local,
            error.to_string(),
            "Use letters, digits, dots, hyphens and underscores, without blanks.",
        )
    })?;
    Ok(jid.local().map(str::to_owned))
}

fn contact_name(row: &DomainRow, invite: &InviteRow) -> String {
    let contact = invite.contact.as_deref().unwrap_or_default();
    format!("{contact}@{}", row.name)
}

fn view(domain: &DomainName, row: InviteRow) -> InviteView {
    InviteView {
        id: row.id,
        kind: row.kind.as_str(),
        local: row.local,
        contact: row.contact.map(|local| format!("{local}@{domain}")),
        note: row.note,
        by: row.by,
        created: row.created,
        expires: row.expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_34_addresses_for_programs_are_those_of_xep_0445() {
        let domain = DomainName::parse("münchen.example").expect("a name");
        let invite = |kind, local: Option<&str>, contact: Option<&str>| InviteRow {
            id: 1,
            domain: store::DomainId(1),
            kind,
            local: local.map(str::to_owned),
            contact: contact.map(str::to_owned),
            note: String::new(),
            by: String::new(),
            created: Timestamp(0),
            expires: Timestamp(0),
        };
        for (kind, local, contact, expected) in [
            (
                InviteKind::Account,
                None,
                None,
                "xmpp:xn--mnchen-3ya.example?register;preauth=t",
            ),
            (
                InviteKind::Account,
                Some("zoë"),
                Some("romeo"),
                "xmpp:zo%C3%AB@xn--mnchen-3ya.example?register;preauth=t",
            ),
            (
                InviteKind::Contact,
                None,
                Some("a?b"),
                "xmpp:a%3Fb@xn--mnchen-3ya.example?roster;preauth=t;ibr=y",
            ),
        ] {
            assert_eq!(uri(&domain, &invite(kind, local, contact), "t"), expected);
        }
    }
}
