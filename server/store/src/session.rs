//! Sessions that wait for their clients while the server is not there (XEP-0198 5).

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::{DomainStore, Store, grouped, rd, wr};

/// What the line of [`KeptSession::flags`] begins with that names the session's client; the name follows.
pub const AGENT_FLAG: &str = "agent ";

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// What its client calls it.
    pub id: String,
    /// Localpart of the account.
    pub local: String,
    /// Resource.
    pub resource: String,
    /// The presence that it broadcast last, whole; `None`: it is not available.
    pub presence: Option<Vec<u8>>,
    /// What it has asked for and where it is, a line each (any without a line break is kept); unknown ones are another
    /// version's.
    pub flags: Vec<String>,
    /// Stanzas of the client that were handled.
    pub handled: u32,
    /// Stanzas sent to it, those not acknowledged included.
    pub sent: u32,
    /// How many of `stanzas` have been sent: the first of them.
    pub unacknowledged: usize,
    /// What waits for it, with the time it came.
    pub stanzas: Vec<(Timestamp, Vec<u8>)>,
    /// When the store was asked for what proved the account.
    pub proved: Timestamp,
    /// Since when nobody has been there.
    pub since: Timestamp,
    /// For how long it waits.
    pub seconds: u32,
    /// Nobody may take it up any more: what waits for it is to find another way.
    pub ended: bool,
}

type Tuple = (
    String,
    String,
    String,
    String,
    Option<Vec<u8>>,
    String,
    i64,
    i64,
    i64,
    Vec<u8>,
    i64,
    i64,
    i64,
    bool,
);

/// Lines; an earlier version wrote words.
fn words(flags: &str) -> Vec<String> {
    match flags.contains('\n') {
        true => flags.lines().map(str::to_owned).collect(),
        false => flags.split_whitespace().map(str::to_owned).collect(),
    }
}

fn lines(flags: &[String]) -> String {
    let kept = flags.iter().filter(|flag| !flag.contains(['\n', '\r']));
    kept.flat_map(|flag| [flag.as_str(), "\n"]).collect()
}

const CORRUPT: StoreError = StoreError::Corrupt {
    what: "a kept session",
};

fn row(tuple: Tuple) -> Result<(DomainName, KeptSession)> {
    let (domain, id, local, resource, presence, flags, ..) = &tuple;
    let (handled, sent, unacknowledged) = (tuple.6, tuple.7, tuple.8);
    let (stanzas, proved, since, seconds) = (&tuple.9, tuple.10, tuple.11, tuple.12);
    let number = |n: i64| u32::try_from(n).map_err(|_| CORRUPT);
    Ok((
        DomainName::parse(domain).map_err(|_| CORRUPT)?,
        KeptSession {
            id: id.clone(),
            local: local.clone(),
            resource: resource.clone(),
            presence: presence.clone(),
            flags: words(flags),
            handled: number(handled)?,
            sent: number(sent)?,
            unacknowledged: number(unacknowledged)? as usize,
            stanzas: unpack(stanzas).ok_or(CORRUPT)?,
            proved: Timestamp(proved),
            since: Timestamp(since),
            seconds: number(seconds)?,
            ended: tuple.13,
        },
    ))
}

/// Time (8 bytes), length (4 bytes), bytes; one stanza after the other.
fn pack(stanzas: &[(Timestamp, Vec<u8>)]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (at, stanza) in stanzas {
        packed.extend_from_slice(&at.0.to_be_bytes());
        // A stanza is far below 4 GiB.
        let length = u32::try_from(stanza.len()).unwrap_or(u32::MAX);
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(stanza);
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Option<Vec<(Timestamp, Vec<u8>)>> {
    let mut stanzas = Vec::new();
    while !packed.is_empty() {
        let (at, rest) = packed.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (stanza, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        stanzas.push((Timestamp(i64::from_be_bytes(*at)), stanza.to_vec()));
        packed = rest;
    }
    Some(stanzas)
}

impl DomainStore {
    /// Keeps a session, in place of an older state of it. `false`: the account is gone.
    ///
    /// # Errors
    /// See [`StoreError`]; it is not kept then.
    pub async fn session_keep(&self, session: KeptSession) -> Result<bool> {
        let domain = self.id.0;
        let stanzas = pack(&session.stanzas);
        grouped!(self.store, c => {
            sqlx::query("DELETE FROM sessions WHERE id = $1").bind(&session.id).execute(&mut *c).await?;
            let kept = sqlx::query(
                "INSERT INTO sessions (id, account, resource, presence, flags, handled, sent, unacknowledged, stanzas, \
                 proved, since, seconds, ended) SELECT $3, id, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM accounts \
                 WHERE domain = $1 AND local = $2",
            )
            .bind(domain).bind(&session.local).bind(&session.id).bind(&session.resource).bind(&session.presence)
            .bind(lines(&session.flags)).bind(i64::from(session.handled)).bind(i64::from(session.sent))
            .bind(i64::try_from(session.unacknowledged).unwrap_or(i64::MAX)).bind(stanzas)
            .bind(session.proved.0).bind(session.since.0).bind(i64::from(session.seconds))
            .bind(session.ended).execute(&mut *c).await?;
            Ok(kept.rows_affected() > 0)
        })
    }

    /// A session that was kept may be taken up from the store no more, for its client has come back. What waits for it stays until
    /// the client has it ([`DomainStore::session_forget`]): it is nowhere else.
    ///
    /// # Errors
    /// See [`StoreError`]; the next start finds it as it was kept then.
    pub async fn session_end(&self, id: &str) -> Result<()> {
        let (domain, id) = (self.id.0, id.to_owned());
        grouped!(self.store, c => {
            sqlx::query(
                "UPDATE sessions SET ended = $3 WHERE id = $2 AND account IN (SELECT id FROM accounts WHERE domain = $1)",
            )
            .bind(domain).bind(id).bind(true).execute(c).await?;
            Ok(())
        })
    }

    /// Forgets a session that was kept; nothing happens when it was not.
    ///
    /// # Errors
    /// See [`StoreError`]; it is there again at the next start then.
    pub async fn session_forget(&self, id: &str) -> Result<()> {
        let (domain, id) = (self.id.0, id.to_owned());
        grouped!(self.store, c => {
            sqlx::query(
                "DELETE FROM sessions WHERE id = $2 AND account IN (SELECT id FROM accounts WHERE domain = $1)",
            )
            .bind(domain).bind(id).execute(c).await?;
            Ok(())
        })
    }
}

impl Store {
    /// Sessions that were kept, of active accounts, by their names after `after` (empty: from the start), at most `limit`,
    /// each with its domain. Those that cannot be read are left out, and said to be there: one must not keep the others, or a
    /// server, from coming back.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn session_kept(
        &self,
        after: &str,
        limit: u32,
    ) -> Result<Vec<(DomainName, KeptSession)>> {
        let mut after = after.to_owned();
        loop {
            let found = self.session_rows(&after, limit).await?;
            let Some(last) = found.last() else {
                return Ok(Vec::new());
            };
            after.clone_from(&last.1);
            let readable = found.into_iter().filter_map(|tuple| {
                let (domain, id) = (tuple.0.clone(), tuple.1.clone());
                let read = row(tuple);
                if let Err(error) = &read {
                    tracing::error!(domain, id, %error, "a kept session is left out");
                }
                read.ok()
            });
            let readable: Vec<_> = readable.collect();
            if !readable.is_empty() {
                return Ok(readable);
            }
        }
    }

    /// Forgets sessions at which nobody has been since `before`, whatever they are; how many.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn session_sweep(&self, before: Timestamp) -> Result<u64> {
        let swept = wr!(self, p => {
            sqlx::query("DELETE FROM sessions WHERE since < $1").bind(before.0).execute(p).await.map(|d| d.rows_affected())
        })?;
        Ok(swept)
    }

    async fn session_rows(&self, after: &str, limit: u32) -> Result<Vec<Tuple>> {
        let found = rd!(self, p => {
            sqlx::query_as(
                "SELECT d.name, s.id, a.local, s.resource, s.presence, s.flags, s.handled, s.sent, s.unacknowledged, \
                 s.stanzas, s.proved, s.since, s.seconds, s.ended FROM sessions s JOIN accounts a ON a.id = s.account \
                 JOIN domains d ON d.id = a.domain WHERE s.id > $1 AND a.state = 'active' ORDER BY s.id LIMIT $2",
            )
            .bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found)
    }
}
