//! Accounts of a domain. A password is kept only as SCRAM verifiers.

use futures_util::stream::{self, StreamExt as _};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use store::{AccountRow, DomainRow, DomainStore, StoreError};
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::{Hash as ScramHash, ScramVerifier, VerifierError};
use xmpp::timestamp::Timestamp;

use crate::domain::State;
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::outside::Change;
use crate::permission::Operation;
use crate::secret::Secret;
use crate::{Actor, Control, Limits, csv, password};

/// An account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountView {
    /// Bare JID.
    pub jid: String,
    /// Localpart.
    pub local: String,
    /// `active` or `suspended`.
    pub state: String,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Has it a session now? `None`: no server runs in this process.
    pub connected: Option<bool>,
    /// When its last session ended; `None`: none has ended yet.
    #[serde(serialize_with = "crate::time::maybe")]
    pub last_seen: Option<Timestamp>,
}

/// A new account.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountNew {
    /// Localpart, in any spelling that RFC 7622 allows.
    pub local: String,
    /// Password; `None`: one is drawn and returned.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// A fresh account; the only time a drawn password is seen.
#[derive(Debug, Clone, Serialize)]
pub struct AccountAdded {
    /// The account.
    #[serde(flatten)]
    pub view: AccountView,
    /// The password, if it was drawn here.
    pub password: Option<String>,
}

/// Result of an import.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// Rows that became accounts.
    pub added: usize,
    /// Rows that did not.
    pub refused: Vec<ImportRefused>,
    /// `local,password` of rows without a password; seen only here.
    pub drawn: Vec<(String, String)>,
}

/// A row that was not imported.
#[derive(Debug, Clone, Serialize)]
pub struct ImportRefused {
    /// Line of the file, from 1.
    pub line: usize,
    /// Localpart as written.
    pub local: String,
    /// Why.
    pub problem: String,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct AccountPage {
    /// Accounts by localpart.
    pub accounts: Vec<AccountView>,
    /// Of so many.
    pub total: u64,
    /// Pass as `after` for the next page; `None`: this is the last.
    pub next: Option<String>,
}

/// A line of an import.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CsvRow {
    pub line: usize,
    pub local: String,
    pub password: Option<Secret>,
}

/// Rows of `local,password` (RFC 4180: quoted fields, doubled quotes); in place of a password there may be verifiers
/// ([`Proof`]). A header line (`local,password`, `user,password`,
/// `jid,password`), empty lines and lines that begin with `#` are passed over; a `local@domain` of this domain is taken by
/// its localpart. A line that cannot be read is an error with its number.
pub(crate) fn csv_rows(
    text: &str,
    domain: &str,
) -> Vec<std::result::Result<CsvRow, ImportRefused>> {
    let mut rows = Vec::new();
    for (line, raw) in csv::lines(text) {
        let refuse = |local: &str, problem: &str| {
            Err(ImportRefused {
                line,
                local: local.to_owned(),
                problem: problem.to_owned(),
            })
        };
        let Some(fields) = csv::fields(raw) else {
            rows.push(refuse("", "a quotation mark is not closed"));
            continue;
        };
        let first = fields[0].trim().to_owned();
        if rows.is_empty()
            && ["local", "user", "username", "jid", "login"]
                .contains(&first.to_ascii_lowercase().as_str())
        {
            continue;
        }
        let local = match first.rsplit_once('@') {
            Some((local, host)) if host.eq_ignore_ascii_case(domain) => local.to_owned(),
            Some(_) => {
                rows.push(refuse(&first, "the address is of another domain"));
                continue;
            }
            None => first,
        };
        if fields.len() > 2 {
            rows.push(refuse(
                &local,
                "more than two fields; put a password with commas into quotation marks",
            ));
            continue;
        }
        let password = fields
            .get(1)
            .filter(|password| !password.is_empty())
            .map(|password| Secret::from(password.as_str()));
        rows.push(Ok(CsvRow {
            line,
            local,
            password,
        }));
    }
    rows
}

/// Accounts on one page of a list, at most.
const PAGE: usize = 500;
/// Rows of an import that go in together.
const CHUNK: usize = 100;
/// Largest import, in bytes.
const IMPORT_BYTES: usize = 8 * 1024 * 1024;
/// PBKDF2 iterations of a verifier (RFC 5802 5.1 asks for 4096 at least).
const ITERATIONS: u32 = if cfg!(test) { 1 } else { 10_000 };

impl Control {
    /// Accounts of a domain by localpart, at most `limit` (cut at 500) after the localpart `after`.
    pub async fn account_list(
        &self,
        actor: &Actor,
        domain: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage> {
        let row = self
            .domain_row(actor, Operation::AccountList, domain)
            .await?;
        let limit = limit.clamp(1, PAGE);
        let store = self.domain_store(&row);
        let mut rows = store
            .account_list(
                after.unwrap_or_default(),
                u32::try_from(limit).unwrap_or(u32::MAX) + 1,
            )
            .await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok(AccountPage {
            total: store.account_count().await?,
            next: if more {
                rows.last().map(|row| row.local.clone())
            } else {
                None
            },
            accounts: self.connected(
                rows.into_iter()
                    .map(|account| view(&row.name, account))
                    .collect(),
            ),
        })
    }

    /// One account.
    pub async fn account_show(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let row = self
            .domain_row(actor, Operation::AccountShow, domain)
            .await?;
        let (_, account) = self.account_row(&row, local).await?;
        let shown = self.connected(vec![view(&row.name, account)]);
        shown
            .into_iter()
            .next()
            .ok_or_else(|| ControlError::not_found("account", local))
    }

    /// Adds an account to a domain that is proven.
    pub async fn account_add(
        &self,
        actor: &Actor,
        domain: &str,
        new: AccountNew,
    ) -> Result<AccountAdded> {
        let row = self
            .domain_row(actor, Operation::AccountAdd, domain)
            .await?;
        proven(&row)?;
        let limits = self.account_room(&row, 1).await?;
        let (local, password, drawn) = prepare(&row.name, &new.local, new.password)?;
        let verifiers = self.derive(password).await?;
        let now = self.now();
        let jid = format!("{local}@{}", row.name);
        let recorded = self
            .recorded_account(actor, &row, Operation::AccountAdd, &jid)
            .within(limits.accounts.into());
        match recorded.account_add(&local, &verifiers, now).await {
            Ok(_) => {}
            Err(StoreError::Conflict { .. }) => return Err(taken(&local, &row.name)),
            Err(error) => return Err(error.into()),
        }
        self.tell(&row, EventKind::Accounts);
        let view = AccountView {
            jid,
            local,
            state: "active".into(),
            created: now,
            connected: None,
            last_seen: None,
        };
        Ok(AccountAdded {
            view,
            password: drawn,
        })
    }

    /// Adds thousands: CSV of `local,password` (a missing password is drawn), or verifiers in its place, as another server
    /// exports them (RFC 5803); a bad row is reported, the others go in.
    pub async fn account_import(
        &self,
        actor: &Actor,
        domain: &str,
        csv: &str,
    ) -> Result<ImportReport> {
        let row = self
            .domain_row(actor, Operation::AccountImport, domain)
            .await?;
        proven(&row)?;
        if csv.len() > IMPORT_BYTES {
            return Err(ControlError::invalid(
                "csv",
                "",
                format!("the file is larger than {IMPORT_BYTES} bytes"),
                "Cut it into several files.",
            ));
        }
        let rows = csv_rows(csv, &row.name.to_ascii());
        let limits = self
            .account_room(&row, rows.iter().filter(|row| row.is_ok()).count() as u64)
            .await?;
        let mut report = ImportReport {
            added: 0,
            refused: Vec::new(),
            drawn: Vec::new(),
        };
        let mut ready = Vec::new();
        let mut lines = std::collections::HashMap::new();
        for parsed in rows {
            match parsed {
                Err(refused) => report.refused.push(refused),
                Ok(parsed) => match Proof::prepare(&row.name, &parsed.local, parsed.password) {
                    // ADDR-13: two spellings of one name are one account.
                    Ok((local, proof, drawn)) => match lines.get(&local) {
                        Some(first) => report.refused.push(ImportRefused {
                            line: parsed.line,
                            local: parsed.local,
                            problem: format!("the same name as in line {first}: \"{local}\""),
                        }),
                        None => {
                            lines.insert(local.clone(), parsed.line);
                            ready.push((parsed.line, local, proof, drawn));
                        }
                    },
                    Err(error) => report.refused.push(ImportRefused {
                        line: parsed.line,
                        local: parsed.local,
                        problem: error.to_string(),
                    }),
                },
            }
        }
        // Deriving is most of the work; two at a time leave a core for the streams.
        let mut derived = stream::iter(ready)
            .map(|(line, local, proof, drawn)| async move {
                let verifiers = match proof {
                    Proof::Password(password) => self.derive(password).await,
                    Proof::Verifiers(verifiers) => Ok(verifiers),
                };
                (line, local, verifiers, drawn)
            })
            .buffered(2);
        // Each part is committed by itself, and its entry with it.
        let store = self
            .recorded_of(actor, &row, Operation::AccountImport, "")
            .within(limits.accounts.into())
            .domain(row.id, &row.name);
        let mut chunk = Vec::new();
        loop {
            let ready = derived.next().await;
            let done = ready.is_none();
            if let Some((line, local, verifiers, drawn)) = ready {
                chunk.push((line, local, verifiers?, drawn));
            }
            if chunk.len() < CHUNK && !done {
                continue;
            }
            let accounts: Vec<_> = chunk
                .iter()
                .map(|(_, local, verifiers, _)| (local.clone(), verifiers.clone()))
                .collect();
            let existing = store.account_import(&accounts, self.now()).await?;
            for (line, local, _, drawn) in chunk.drain(..) {
                if existing.contains(&local) {
                    let problem = taken(&local, &row.name).to_string();
                    report.refused.push(ImportRefused {
                        line,
                        local,
                        problem,
                    });
                    continue;
                }
                report.added += 1;
                if let Some(drawn) = drawn {
                    report.drawn.push((local, drawn));
                }
            }
            if done {
                break;
            }
        }
        report.refused.sort_by_key(|refused| refused.line);
        self.tell(&row, EventKind::Accounts);
        Ok(report)
    }

    /// Sets a password (`None`: drawn and returned); the account's sessions end.
    pub async fn account_set_password(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        password: Option<&str>,
    ) -> Result<Option<String>> {
        let row = self
            .domain_row(actor, Operation::AccountSetPassword, domain)
            .await?;
        let (jid, account) = self.account_row(&row, local).await?;
        let (_, password, drawn) = prepare(&row.name, &account.local, password.map(Secret::from))?;
        let verifiers = self.derive(password).await?;
        self.recorded_account(actor, &row, Operation::AccountSetPassword, jid.as_str())
            .account_reset_credentials(&account.local, &verifiers, self.now())
            .await?;
        self.account_changed(&row, jid);
        Ok(drawn)
    }

    /// Stops an account; its sessions end.
    pub async fn account_suspend(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        self.account_state(actor, Operation::AccountSuspend, domain, local, "suspended")
            .await
    }

    /// Undoes that.
    pub async fn account_resume(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        self.account_state(actor, Operation::AccountResume, domain, local, "active")
            .await
    }

    /// Erases an account with everything it has.
    pub async fn account_remove(&self, actor: &Actor, domain: &str, local: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::AccountRemove, domain)
            .await?;
        let (jid, account) = self.account_row(&row, local).await?;
        self.recorded_account(actor, &row, Operation::AccountRemove, jid.as_str())
            .account_remove(&account.local, self.now())
            .await?;
        self.account_changed(&row, jid);
        Ok(())
    }

    async fn account_state(
        &self,
        actor: &Actor,
        operation: Operation,
        domain: &str,
        local: &str,
        state: &str,
    ) -> Result<AccountView> {
        let row = self.domain_row(actor, operation, domain).await?;
        let (jid, mut account) = self.account_row(&row, local).await?;
        self.recorded_account(actor, &row, operation, jid.as_str())
            .account_set_state(&account.local, state, self.now())
            .await?;
        account.state = state.into();
        self.account_changed(&row, jid);
        Ok(view(&row.name, account))
    }

    fn account_changed(&self, row: &DomainRow, jid: BareJid) {
        self.parts.live.announce(Change::Account(jid));
        self.tell(row, EventKind::Accounts);
    }

    /// The domain's rows, written with an entry about one of its accounts.
    fn recorded_account(
        &self,
        actor: &Actor,
        row: &DomainRow,
        operation: Operation,
        jid: &str,
    ) -> DomainStore {
        let name = row.name.as_str();
        self.recorded(actor, Some(row.tenant), operation, name, jid, "")
            .domain(row.id, &row.name)
    }

    pub(crate) async fn account_row(
        &self,
        row: &DomainRow,
        local: &str,
    ) -> Result<(BareJid, AccountRow)> {
        let missing = || ControlError::not_found("account", format!("{local}@{}", row.name));
        let jid = BareJid::new(Some(local), &row.name).map_err(|_| missing())?;
        let account = self
            .domain_store(row)
            .account_find(jid.local().unwrap_or_default())
            .await?
            .ok_or_else(missing)?;
        Ok((jid, account))
    }

    /// Is there room for `more` accounts within the tenant's limits? These.
    pub(crate) async fn account_room(&self, row: &DomainRow, more: u64) -> Result<Limits> {
        let tenant = self
            .store()
            .tenant_get(row.tenant)
            .await?
            .ok_or_else(|| ControlError::not_found("tenant", row.tenant.0))?;
        let limits = self.limits_of(&tenant);
        let limit = u64::from(limits.accounts);
        let used = self.store().tenant_account_count(row.tenant).await?;
        if used + more > limit {
            Err(ControlError::Limit {
                what: "accounts",
                used,
                limit,
            })
        } else {
            Ok(limits)
        }
    }

    /// Verifiers of every hash, derived on a blocking thread.
    pub(crate) async fn derive(&self, password: Secret) -> Result<Vec<ScramVerifier>> {
        tokio::task::spawn_blocking(move || {
            ScramHash::ALL
                .into_iter()
                .map(|hash| {
                    let mut salt = [0_u8; 16];
                    rand::rng().fill(&mut salt);
                    ScramVerifier::derive(hash, password.expose(), &salt, ITERATIONS)
                })
                .collect::<std::result::Result<Vec<_>, _>>()
        })
        .await
        .map_err(ControlError::internal)?
        .map_err(|error| {
            ControlError::invalid(
                "password",
                "",
                error.to_string(),
                "Use letters, digits, punctuation and blanks of any script.",
            )
        })
    }
}

fn view(domain: &DomainName, row: AccountRow) -> AccountView {
    AccountView {
        jid: format!("{}@{domain}", row.local),
        local: row.local,
        state: row.state,
        created: row.created,
        connected: None,
        last_seen: row.left,
    }
}

pub(crate) fn taken(local: &str, domain: &DomainName) -> ControlError {
    ControlError::Exists {
        what: "account",
        name: format!("{local}@{domain}"),
        remedy:
            "Choose another name, or set its password; if an invitation keeps it, take that back."
                .into(),
    }
}

/// Ownership comes before any account.
pub(crate) fn proven(row: &DomainRow) -> Result<()> {
    let state = State::parse(&row.state);
    if row.verified_at.is_some() && !matches!(state, None | Some(State::Claimed | State::Releasing))
    {
        return Ok(());
    }
    Err(ControlError::State {
        name: row.name.to_string(),
        state: row.state.clone(),
        problem: "people can be added once the domain is shown to be yours".into(),
        remedy: "Publish the TXT record first.".into(),
    })
}

/// Canonical localpart, and the address it gives.
fn enforced(domain: &DomainName, local: &str) -> Result<(String, BareJid)> {
    let jid = BareJid::new(Some(local.trim()), domain).map_err(|error| {
        ControlError::invalid(
            "local",
            local,
            error.to_string(),
            "Use letters, digits, dots, hyphens and underscores, without blanks.",
        )
    })?;
    Ok((jid.local().unwrap_or_default().to_owned(), jid))
}

fn is_verifier(text: &Secret) -> bool {
    text.expose().starts_with("SCRAM-SHA-")
}

/// What an imported account logs in with.
enum Proof {
    Password(Secret),
    /// One of each hash. Nobody had to know the password, so nothing is known of its quality.
    Verifiers(Vec<ScramVerifier>),
}

impl Proof {
    /// Canonical localpart and proof; a password that was drawn comes as third. What begins like a verifier (RFC 5803) is
    /// one: several are separated by blanks.
    fn prepare(
        domain: &DomainName,
        local: &str,
        given: Option<Secret>,
    ) -> Result<(String, Self, Option<String>)> {
        let Some(written) = given.as_ref().filter(|text| is_verifier(text)) else {
            let (local, password, drawn) = prepare(domain, local, given)?;
            return Ok((local, Self::Password(password), drawn));
        };
        let (local, _) = enforced(domain, local)?;
        let invalid = |problem: String, remedy: &str| {
            ControlError::invalid("password", "", problem, remedy.to_owned())
        };
        let mut verifiers = Vec::new();
        for text in written.expose().split_ascii_whitespace() {
            let verifier: ScramVerifier = text.parse().map_err(|error: VerifierError| {
                invalid(
                    format!("a verifier cannot be used: {error}"),
                    "Write it as RFC 5803 does.",
                )
            })?;
            verifiers.push(verifier);
        }
        // The client takes the strongest mechanism that is offered, and it is offered before the account is known (SASL-11).
        for hash in ScramHash::ALL {
            if verifiers.iter().filter(|of| of.hash == hash).count() != 1 {
                return Err(invalid(
                    format!(
                        "there is not exactly one verifier for SCRAM-{}",
                        hash.name()
                    ),
                    "Give one for each of SHA-1, SHA-256 and SHA-512, separated by blanks.",
                ));
            }
        }
        Ok((local, Self::Verifiers(verifiers), None))
    }
}

/// Canonical localpart and a password that is good enough, drawn if none is given.
pub(crate) fn prepare(
    domain: &DomainName,
    local: &str,
    password: Option<Secret>,
) -> Result<(String, Secret, Option<String>)> {
    let (local, jid) = enforced(domain, local)?;
    match password {
        Some(password) => {
            password::check(
                "password",
                &password,
                password::ACCOUNT_LENGTH,
                &[&local, jid.as_str(), domain.as_str()],
            )?;
            Ok((local, password, None))
        }
        None => {
            let drawn = password::draw();
            Ok((local, drawn.clone(), Some(drawn.expose().to_owned())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_as_people_write_it() {
        let text = "\u{feff}user,password\r\n\r\n# staff\r\njuliet,\"a, \"\"b\"\" c\"\r\nromeo@example.com\r\nnurse;tin soldier\r\nx@else.example,y\r\n\"open\r\na,b,c";
        let rows: Vec<_> = csv_rows(text, "example.com")
            .into_iter()
            .map(|row| match row {
                Ok(row) => format!(
                    "{} {} {:?}",
                    row.line,
                    row.local,
                    row.password.as_ref().map(Secret::expose)
                ),
                Err(refused) => format!("{} {}: {}", refused.line, refused.local, refused.problem),
            })
            .collect();
        assert_eq!(
            rows,
            [
                "4 juliet Some(\"a, \\\"b\\\" c\")",
                "5 romeo None",
                "6 nurse Some(\"tin soldier\")",
                "7 x@else.example: the address is of another domain",
                "8 : a quotation mark is not closed",
                "9 a: more than two fields; put a password with commas into quotation marks",
            ]
        );
    }

    #[test]
    fn verifiers_stand_in_place_of_a_password_when_no_mechanism_lacks_one() {
        let domain = DomainName::parse("example.com").unwrap();
        let text = |hash: ScramHash| {
            ScramVerifier::derive(hash, "tin soldier", &[7; 16], 4096)
                .unwrap()
                .to_rfc5803()
                .to_string()
        };
        let all = ScramHash::ALL.map(text).join(" ");
        let (local, proof, drawn) =
            Proof::prepare(&domain, "Alice", Some(all.clone().into())).unwrap();
        let Proof::Verifiers(verifiers) = proof else {
            panic!("taken for a password");
        };
        assert_eq!((local.as_str(), drawn), ("alice", None));
        assert!(verifiers.iter().all(|of| of.verify_plain("tin soldier")));
        for broken in [
            text(ScramHash::Sha1),
            format!("{all} {}", text(ScramHash::Sha512)),
            all.replacen("4096", "1", 1),
        ] {
            let refused = Proof::prepare(&domain, "alice", Some(broken.clone().into())).err();
            assert_eq!(refused.unwrap().field(), Some("password"), "{broken}");
        }
    }

    #[test]
    fn addr_13_the_enforced_name_is_what_is_kept() {
        let domain = DomainName::parse("example.com").unwrap();
        let password = || Some(Secret::from("correct-horse-battery-7"));
        for name in ["alice", "Alice", " \u{ff21}LICE "] {
            let (local, ..) = prepare(&domain, name, password()).unwrap();
            assert_eq!(local, "alice", "{name}");
        }
        for name in ["", "a b", "a@b", "\u{265a}", "henry\u{2163}"] {
            let refused = prepare(&domain, name, password()).unwrap_err();
            assert_eq!(refused.field(), Some("local"), "{name}");
        }
    }
}
