//! Data in and out, XEP-0227 version 1.1: what people have here as one file that other servers read, and theirs here.
//!
//! | of a person | out | in |
//! |---|---|---|
//! | SCRAM verifiers | where asked for | for an account that has none |
//! | plain password | there is none | made into verifiers |
//! | roster, requests that wait | yes | contacts that are not there |
//! | vCard | yes | where there is none |
//! | private XML | yes | elements that are not there |
//! | nodes: configuration, people, items | yes | nodes and items that are not there |
//! | messages that wait | yes | those that do not wait already |
//! | whom they block | as a privacy list | addresses denied by the default list, `<blocklist/>` of XEP-0191 |
//! | archive, preferences | where asked for | messages that are not there |
//!
//! Both ways are streams: a page of rows, a piece of the file, never a person as a whole. What is there stays, so that an
//! import may be repeated or go on where it ended; whatever does not come in is named with its reason. Refuses: rooms and
//! uploaded files, which the format does not know; more than the limits of an account and its tenant; another domain's
//! people.

mod blocked;
mod nodes;
mod parts;
mod pep;
mod person;
mod reader;
mod write;

use std::io::Read;

use store::{DomainStore, Import, Moved, StoreError};
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use self::person::Person;
use self::reader::Piece;
pub use self::reader::ReadError;
pub use self::write::export;
use crate::memory::Limits;

/// Namespace of the format …
pub(crate) const PIE: &str = "urn:xmpp:pie:0";
/// … of verifiers …
pub(crate) const SCRAM: &str = "urn:xmpp:pie:0#scram";
/// … and of archives in it.
pub(crate) const MAM: &str = "urn:xmpp:pie:0#mam";
/// Namespace of what only we say: `<suspended/>`.
pub(crate) const OWN: &str = "urn:domicile:portable:0";

/// Pieces between the reader and whoever stores them.
const BETWEEN: usize = 32;

/// Why nothing goes on.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where it is written to, or the thread that reads.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Takes a file in. `progress` hears how many accounts are through.
///
/// # Errors
/// The store's failure. What the file itself does wrong is in the answer ([`Moved`]`.ended`).
pub async fn import(
    store: &DomainStore,
    domain: &DomainName,
    limits: &Limits,
    wanted: Import,
    source: Box<dyn Read + Send>,
    now: Timestamp,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Moved, PortableError> {
    let (sender, mut pieces) = tokio::sync::mpsc::channel(BETWEEN);
    let (dir, bytes) = (wanted.dir.clone(), wanted.bytes);
    let reading = tokio::task::spawn_blocking(move || {
        let mut sink = |piece| sender.blocking_send(piece).is_ok();
        reader::read(source, dir.as_deref(), bytes, &mut sink)
    });
    let mut importer = Importer {
        store,
        domain,
        limits,
        wanted,
        now,
        moved: Moved::default(),
        here: false,
        person: None,
    };
    let mut through = 0;
    while let Some(piece) = pieces.recv().await {
        let ends = matches!(piece, Piece::UserEnd);
        importer.take(piece).await?;
        if ends {
            through += 1;
            progress(through);
        }
    }
    let read = reading.await.map_err(std::io::Error::other)?;
    if let Err(error) = read {
        importer.moved.ended = Some(error.to_string());
    }
    // What was read of a person whose rest is missing counts.
    importer.end().await?;
    Ok(importer.moved)
}

/// An import under way.
struct Importer<'a> {
    store: &'a DomainStore,
    domain: &'a DomainName,
    limits: &'a Limits,
    wanted: Import,
    now: Timestamp,
    moved: Moved,
    /// The host that is being read is ours.
    here: bool,
    person: Option<Person>,
}

impl Importer<'_> {
    async fn take(&mut self, piece: Piece) -> Result<(), PortableError> {
        match piece {
            Piece::Host(jid) => {
                let wanted = self.wanted.host.as_ref().unwrap_or(self.domain);
                self.here = DomainName::parse(&jid).is_ok_and(|jid| jid == *wanted);
                if !self.here {
                    let what = format!("host {jid}");
                    self.moved
                        .skip("", what, "the import is for another domain");
                }
                Ok(())
            }
            Piece::User { name, password } => self.begin(&name, password).await,
            Piece::UserEnd => self.end().await,
            Piece::Skipped(what, why) => {
                let who = self.person.as_ref().map_or("", |p| p.local.as_str());
                self.moved.skip(who, what, why);
                Ok(())
            }
            piece => {
                let Some(mut person) = self.person.take() else {
                    return Ok(());
                };
                let done = self.apply(&mut person, piece).await;
                self.person = Some(person);
                done
            }
        }
    }

    /// A person of the file: one that is not ours is passed over with all that follows.
    async fn begin(
        &mut self,
        name: &str,
        password: Option<zeroize::Zeroizing<String>>,
    ) -> Result<(), PortableError> {
        self.person = None;
        if !self.here {
            return Ok(());
        }
        let Ok(jid) = BareJid::new(Some(name), self.domain) else {
            let why = "the name is not one that an address can have (RFC 7622)";
            self.moved.skip(name, "user", why);
            return Ok(());
        };
        let local = jid.local().unwrap_or_default().to_owned();
        if self.wanted.only.as_ref().is_some_and(|only| *only != local) {
            return Ok(());
        }
        let known = self.store.account_find(&local).await?.is_some();
        if !known && self.moved.accounts >= self.wanted.accounts {
            let why = "there is no room for more accounts";
            self.moved.skip(name, "user", why);
            return Ok(());
        }
        let (account, made) = self.store.person_open(&local, self.now).await?;
        if made {
            self.moved.accounts += 1;
        } else {
            self.moved.known += 1;
        }
        self.person = Some(Person::new(jid, local, account, password));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
