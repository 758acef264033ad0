//! What a domain's people have, in and out (XEP-0227): for a whole domain, or for one person who leaves or wants to see it.
//!
//! The way out is a stream into whatever the caller holds. The way in takes its time: from the panel and the API it is a job
//! that goes on when the request has ended, is asked how far it is, and is remembered for a day. A job that was lost with the
//! process is begun again: an import does nothing twice. Refuses: reading the format; [`Portable`] does.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use store::{DomainId, DomainRow, DomainStore, Export, Import, Moved};
use tokio::io::{AsyncReadExt as _, AsyncWrite};
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::Hash;
use xmpp::timestamp::Timestamp;

use crate::domain::{DomainSet, StreamChoices, StreamSet};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::outside::Change;
use crate::permission::Operation;
use crate::{Actor, Control};

/// Reads and writes the format; fulfilled by the server with its modules.
#[async_trait]
pub trait Portable: Send + Sync {
    /// Writes what a domain's people have; `progress` hears how many accounts are through.
    ///
    /// # Errors
    /// The database's, or the writer's, in words for the log.
    async fn export(
        &self,
        store: &DomainStore,
        domain: &DomainName,
        wanted: &Export,
        out: &mut (dyn AsyncWrite + Unpin + Send),
        progress: &(dyn Fn(u64) + Sync),
    ) -> std::result::Result<Moved, String>;

    /// Takes a file in, and says to the live server whose rows have changed.
    ///
    /// # Errors
    /// The database's, in words for the log; what the file does wrong is in the answer.
    async fn import(
        &self,
        store: &DomainStore,
        domain: &DomainName,
        wanted: Import,
        source: Box<dyn Read + Send>,
        now: Timestamp,
        progress: &(dyn Fn(u64) + Sync),
    ) -> std::result::Result<Moved, String>;
}

/// [`Portable`] of a process that has no modules: there is nothing in what goes out, and nothing comes in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

#[async_trait]
impl Portable for Nothing {
    async fn export(
        &self,
        _: &DomainStore,
        _: &DomainName,
        _: &Export,
        _: &mut (dyn AsyncWrite + Unpin + Send),
        _: &(dyn Fn(u64) + Sync),
    ) -> std::result::Result<Moved, String> {
        Ok(Moved::default())
    }

    async fn import(
        &self,
        _: &DomainStore,
        _: &DomainName,
        _: Import,
        _: Box<dyn Read + Send>,
        _: Timestamp,
        _: &(dyn Fn(u64) + Sync),
    ) -> std::result::Result<Moved, String> {
        Ok(Moved::default())
    }
}

/// What is to go out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PeopleExport {
    /// Localpart of the one account that is meant; `None`: all.
    pub account: Option<String>,
    /// Archives with it.
    pub archive: bool,
    /// Verifiers of passwords with it, so that people can log in elsewhere as they do here.
    pub passwords: bool,
}

/// What is to come in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PeopleImport {
    /// Localpart of the one account that is meant; `None`: all.
    pub account: Option<String>,
    /// The domain as the file calls it, where it had another name.
    pub host: Option<String>,
    /// Directory from which the file may include others; never from a request.
    #[serde(skip)]
    pub dir: Option<std::path::PathBuf>,
}

/// An import under way or done.
#[derive(Debug, Clone, Serialize)]
pub struct ImportJob {
    /// Its number.
    pub id: u64,
    /// Domain.
    pub domain: String,
    /// When it began.
    #[serde(serialize_with = "crate::time::at")]
    pub begun: Timestamp,
    /// Accounts that are through.
    pub accounts: u64,
    /// What has come in, once it is done.
    pub moved: Option<Moved>,
    /// Why it could not go on.
    pub failed: Option<String>,
}

/// Largest file that is taken in, in bytes, included ones among it.
pub const IMPORT_BYTES: u64 = 64 << 30;
/// Imports that a domain has under way at a time.
const AT_ONCE: usize = 1;
/// Jobs that are remembered …
const JOBS: usize = 1_000;
/// … and for how long, in microseconds.
const REMEMBERED: i64 = 86_400_000_000;

struct Job {
    domain: DomainId,
    view: ImportJob,
    through: Arc<AtomicU64>,
}

impl Job {
    fn under_way(&self) -> bool {
        self.view.moved.is_none() && self.view.failed.is_none()
    }

    fn seen(&self) -> ImportJob {
        let accounts = self.through.load(Ordering::Relaxed);
        ImportJob {
            accounts,
            ..self.view.clone()
        }
    }
}

/// Imports that this process does or has done.
#[derive(Default)]
pub(crate) struct Jobs {
    last: AtomicU64,
    by_id: Mutex<BTreeMap<u64, Job>>,
}

impl Jobs {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Job>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new job; `None`: the domain has one under way.
    fn begin(&self, row: &DomainRow, now: Timestamp) -> Option<(u64, Arc<AtomicU64>)> {
        let mut jobs = self.lock();
        let busy = jobs
            .values()
            .filter(|job| job.domain == row.id && job.under_way());
        if busy.count() >= AT_ONCE {
            return None;
        }
        jobs.retain(|_, job| job.under_way() || now.0 - job.view.begun.0 < REMEMBERED);
        while jobs.len() >= JOBS {
            let done = jobs
                .iter()
                .find(|(_, job)| !job.under_way())
                .map(|(id, _)| *id);
            jobs.remove(&done?);
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let through = Arc::<AtomicU64>::default();
        let view = ImportJob {
            id,
            domain: row.name.to_string(),
            begun: now,
            accounts: 0,
            moved: None,
            failed: None,
        };
        let job = Job {
            domain: row.id,
            view,
            through: through.clone(),
        };
        jobs.insert(id, job);
        Some((id, through))
    }

    fn done(&self, id: u64, came: std::result::Result<Moved, String>) {
        if let Some(job) = self.lock().get_mut(&id) {
            match came {
                Ok(moved) => job.view.moved = Some(moved),
                Err(why) => job.view.failed = Some(why),
            }
        }
    }
}

/// A file on its way out, as it is made.
pub struct Outgoing {
    reader: tokio::io::DuplexStream,
    done: Option<tokio::sync::oneshot::Receiver<bool>>,
}

/// Bytes between whoever writes a file and whoever sends it.
const ON_THE_WAY: usize = 256 << 10;

impl Outgoing {
    /// The next part; `None`: that was all. What breaks off is an error, so that half a file is not taken for a whole one.
    pub async fn next(&mut self) -> Option<std::io::Result<Vec<u8>>> {
        let mut part = Vec::with_capacity(64 << 10);
        match self.reader.read_buf(&mut part).await {
            Ok(0) => {
                let whole = self.done.take()?.await.unwrap_or(false);
                (!whole).then(|| Err(std::io::Error::other("the export broke off")))
            }
            Ok(_) => Some(Ok(part)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl Control {
    /// What a domain's people have, as it is written: for answers to requests.
    pub async fn people_export_stream(
        self: &Arc<Self>,
        actor: &Actor,
        domain: &str,
        wanted: PeopleExport,
    ) -> Result<Outgoing> {
        let (row, wanted) = self.people_export_begin(actor, domain, wanted).await?;
        Ok(self.outgoing(row, wanted))
    }

    /// What is meant, as it is written.
    pub(crate) fn outgoing(self: &Arc<Self>, row: DomainRow, wanted: Export) -> Outgoing {
        let (mut writer, reader) = tokio::io::duplex(ON_THE_WAY);
        let (sender, done) = tokio::sync::oneshot::channel();
        let control = self.clone();
        tokio::spawn(async move {
            let store = control.domain_store(&row);
            let portable = &control.parts.portable;
            let made = portable
                .export(&store, &row.name, &wanted, &mut writer, &|_| {})
                .await;
            if let Err(error) = &made {
                tracing::warn!(domain = %row.name, error, "an export broke off");
            }
            // Whoever has gone does not hear it.
            let _ = sender.send(made.is_ok());
        });
        let done = Some(done);
        Outgoing { reader, done }
    }

    /// Writes what a domain's people have into `out`. `progress` hears how many accounts are through. That it is done is in
    /// the audit log before the first byte is.
    pub async fn people_export(
        &self,
        actor: &Actor,
        domain: &str,
        wanted: PeopleExport,
        out: &mut (dyn AsyncWrite + Unpin + Send),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Moved> {
        let (row, wanted) = self.people_export_begin(actor, domain, wanted).await?;
        let store = self.domain_store(&row);
        let portable = &self.parts.portable;
        let done = portable
            .export(&store, &row.name, &wanted, out, progress)
            .await;
        done.map_err(ControlError::internal)
    }

    /// Whether it may be done, noted: for callers that answer before they write.
    pub async fn people_export_begin(
        &self,
        actor: &Actor,
        domain: &str,
        wanted: PeopleExport,
    ) -> Result<(DomainRow, Export)> {
        let row = self
            .domain_row(actor, Operation::PeopleExport, domain)
            .await?;
        let only = self.only(&row, wanted.account.as_deref(), true).await?;
        let object = only.as_ref().map_or(row.name.to_string(), |local| {
            format!("{local}@{}", row.name)
        });
        let with = [(wanted.archive, "archive"), (wanted.passwords, "passwords")];
        let with: Vec<&str> = with
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| *word)
            .collect();
        let entry = self.recorded(
            actor,
            Some(row.tenant),
            Operation::PeopleExport,
            row.name.as_str(),
            &object,
            &with.join(" "),
        );
        entry.audit_add().await?;
        let wanted = Export {
            only,
            archive: wanted.archive,
            credentials: wanted.passwords,
        };
        Ok((row, wanted))
    }

    /// Takes a file in and returns when it is through.
    pub async fn people_import(
        &self,
        actor: &Actor,
        domain: &str,
        wanted: PeopleImport,
        source: Box<dyn Read + Send>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Moved> {
        let (row, wanted) = self.people_import_begin(actor, domain, wanted).await?;
        self.taken_in(&row, wanted, source, progress)
            .await
            .map_err(ControlError::internal)
    }

    /// Begins to take a file in, and returns what the job is called.
    pub async fn people_import_start(
        self: &Arc<Self>,
        actor: &Actor,
        domain: &str,
        wanted: PeopleImport,
        source: Box<dyn Read + Send>,
    ) -> Result<ImportJob> {
        let (row, wanted) = self.people_import_begin(actor, domain, wanted).await?;
        let Some((id, through)) = self.jobs.begin(&row, self.now()) else {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "importing".into(),
                problem: "another import is under way".into(),
                remedy: "Wait until it has ended.".into(),
            });
        };
        let control = self.clone();
        let (name, at) = (row.name.to_string(), self.now());
        tokio::spawn(async move {
            let progress = |n| through.store(n, Ordering::Relaxed);
            let came = control.taken_in(&row, wanted, source, &progress).await;
            let came = came.map_err(|error| {
                tracing::error!(domain = %row.name, error, "an import could not go on");
                "the database could not take it; start it again, what is in stays".to_owned()
            });
            control.jobs.done(id, came);
            control.tell(&row, EventKind::Accounts);
            control.parts.live.burst_over();
        });
        Ok(ImportJob {
            id,
            domain: name,
            begun: at,
            accounts: 0,
            moved: None,
            failed: None,
        })
    }

    /// The domain's imports that are remembered, the latest first.
    pub async fn people_imports(&self, actor: &Actor, domain: &str) -> Result<Vec<ImportJob>> {
        let row = self
            .domain_row(actor, Operation::PeopleImport, domain)
            .await?;
        let jobs = self.jobs.lock();
        let own = jobs.values().rev().filter(|job| job.domain == row.id);
        Ok(own.map(Job::seen).collect())
    }

    /// One of them.
    pub async fn people_import_show(
        &self,
        actor: &Actor,
        domain: &str,
        id: u64,
    ) -> Result<ImportJob> {
        let jobs = self.people_imports(actor, domain).await?;
        let found = jobs.into_iter().find(|job| job.id == id);
        found.ok_or_else(|| ControlError::not_found("import", id))
    }

    async fn people_import_begin(
        &self,
        actor: &Actor,
        domain: &str,
        wanted: PeopleImport,
    ) -> Result<(DomainRow, Import)> {
        let row = self
            .domain_row(actor, Operation::PeopleImport, domain)
            .await?;
        crate::account::proven(&row)?;
        let only = self.only(&row, wanted.account.as_deref(), false).await?;
        let host = wanted.host.filter(|host| !host.is_empty());
        let host = host.map(|host| {
            DomainName::parse(&host).map_err(|error| {
                ControlError::invalid(
                    "host",
                    host,
                    error.to_string(),
                    "Write the domain as the file has it.",
                )
            })
        });
        let host = host.transpose()?;
        let tenant = self.store().tenant_get(row.tenant).await?;
        let tenant = tenant.ok_or_else(|| ControlError::not_found("tenant", row.tenant.0))?;
        let (limits, store) = (self.limits_of(&tenant), self.domain_store(&row));
        let used = self.store().tenant_account_count(row.tenant).await?;
        let archived = store.tenant_archive_bytes().await?;
        let waiting = store.tenant_offline_bytes().await?;
        let detail = host
            .as_ref()
            .map_or(String::new(), |host| format!("from {host}"));
        let entry = self.recorded_of(actor, &row, Operation::PeopleImport, &detail);
        entry.audit_add().await?;
        let wanted = Import {
            only,
            host,
            dir: wanted.dir,
            bytes: IMPORT_BYTES,
            accounts: u64::from(limits.accounts).saturating_sub(used),
            roster_items: limits.roster_items as usize,
            archive_bytes: limits.archive_bytes.saturating_sub(archived),
            offline_bytes: limits.offline_bytes.saturating_sub(waiting),
        };
        Ok((row, wanted))
    }

    async fn taken_in(
        &self,
        row: &DomainRow,
        wanted: Import,
        source: Box<dyn Read + Send>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> std::result::Result<Moved, String> {
        let store = self.domain_store(row);
        let portable = &self.parts.portable;
        let moved = portable
            .import(&store, &row.name, wanted, source, self.now(), progress)
            .await?;
        if !moved.lacking.is_empty() {
            let narrowed = self.offer_less(row, &moved).await;
            narrowed.map_err(|error| error.log_text())?;
        }
        Ok(moved)
    }

    /// Accounts came that mechanisms of some hashes would shut out: the domain offers those no more, so that everybody's app
    /// gets in with what it takes for the strongest. Its owner may offer them again ([`StreamSet::scram`]).
    async fn offer_less(&self, row: &DomainRow, moved: &Moved) -> Result<()> {
        let less = |row: &DomainRow| -> Vec<String> {
            let offered = StreamChoices::of(row).hashes().into_iter().map(Hash::name);
            offered
                .filter(|name| !moved.lacking.contains(name))
                .map(str::to_owned)
                .collect()
        };
        if less(row).is_empty() {
            return Ok(());
        }
        self.domain_edit(row.id, |fresh| {
            let scram = Some(less(fresh));
            let set = DomainSet {
                streams: StreamSet {
                    scram,
                    ..StreamSet::default()
                },
                ..DomainSet::default()
            };
            set.apply(fresh);
        })
        .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        Ok(())
    }

    /// The localpart that is meant, as accounts are kept; where it `must` be there, it is.
    async fn only(
        &self,
        row: &DomainRow,
        account: Option<&str>,
        must: bool,
    ) -> Result<Option<String>> {
        let Some(account) = account.filter(|account| !account.is_empty()) else {
            return Ok(None);
        };
        let missing = || ControlError::not_found("account", format!("{account}@{}", row.name));
        let jid = BareJid::new(Some(account), &row.name).map_err(|_| missing())?;
        let local = jid.local().unwrap_or_default().to_owned();
        if must && self.domain_store(row).account_find(&local).await?.is_none() {
            return Err(missing());
        }
        Ok(Some(local))
    }
}
