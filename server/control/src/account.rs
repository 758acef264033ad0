//! Accounts of a domain. A password is kept only as SCRAM verifiers.

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Actor, Control};

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

/// Rows of `local,password` (RFC 4180: quoted fields, doubled quotes). A header line (`local,password`, `user,password`,
/// `jid,password`), empty lines and lines that begin with `#` are passed over; a `local@domain` of this domain is taken by
/// its localpart. A line that cannot be read is an error with its number.
pub(crate) fn csv_rows(
    text: &str,
    domain: &str,
) -> Vec<std::result::Result<CsvRow, ImportRefused>> {
    let mut rows = Vec::new();
    for (index, raw) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = index + 1;
        let trimmed = raw.trim_end_matches('\r');
        if trimmed.trim().is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let refuse = |local: &str, problem: &str| {
            Err(ImportRefused {
                line,
                local: local.to_owned(),
                problem: problem.to_owned(),
            })
        };
        let Some(fields) = csv_fields(trimmed) else {
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

fn csv_fields(line: &str) -> Option<Vec<String>> {
    // Some spreadsheets write semicolons; a file with commas may hold them in a password.
    let separator = if line.contains(',') { ',' } else { ';' };
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) if field.is_empty() => quoted = true,
            (c, false) if c == separator => fields.push(String::new()),
            (c, _) => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

impl Control {
    /// Accounts of a domain by localpart, at most `limit` (cut at 500) after the localpart `after`.
    pub async fn account_list(
        &self,
        actor: &Actor,
        domain: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AccountPage> {
        let _ = (actor, domain, after, limit);
        todo!()
    }

    /// One account.
    pub async fn account_show(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Adds an account to a domain that is proven.
    pub async fn account_add(
        &self,
        actor: &Actor,
        domain: &str,
        new: AccountNew,
    ) -> Result<AccountAdded> {
        let _ = (actor, domain, new);
        todo!()
    }

    /// Adds thousands: CSV of `local,password` (a missing password is drawn); a bad row is reported, the others go in.
    pub async fn account_import(
        &self,
        actor: &Actor,
        domain: &str,
        csv: &str,
    ) -> Result<ImportReport> {
        let _ = (actor, domain, csv);
        todo!()
    }

    /// Sets a password (`None`: drawn and returned); the account's sessions end.
    pub async fn account_set_password(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        password: Option<&str>,
    ) -> Result<Option<String>> {
        let _ = (actor, domain, local, password);
        todo!()
    }

    /// Stops an account; its sessions end.
    pub async fn account_suspend(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Undoes that.
    pub async fn account_resume(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountView> {
        let _ = (actor, domain, local);
        todo!()
    }

    /// Erases an account with everything it has.
    pub async fn account_remove(&self, actor: &Actor, domain: &str, local: &str) -> Result<()> {
        let _ = (actor, domain, local);
        todo!()
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
}
