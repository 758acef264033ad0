//! Stanzas that wait for other servers: committed before whoever wrote them is told that they are on their way, forgotten when
//! the other server has taken them.
//!
//! A row belongs to the account that wrote it and is erased with it. Who starts reads all there are and sends them on; where
//! several processes share a database, what one of them has waiting while another starts may be sent by both.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainId, DomainStore, Store, grouped, rd, statement};

/// Rows that are forgotten in one statement.
const TOGETHER: usize = 500;

/// A stanza to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOutgoing {
    /// Localpart of the account that wrote it.
    pub local: String,
    /// When; grows with the order within one pair of domains.
    pub at: Timestamp,
    /// The whole stanza, with both addresses.
    pub stanza: Vec<u8>,
}

/// A stanza that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Row.
    pub id: i64,
    /// The domain of its account; another one may have the name by now.
    pub domain: DomainId,
    /// When it was written.
    pub at: Timestamp,
    /// As it was kept.
    pub stanza: Vec<u8>,
}

impl DomainStore {
    /// Keeps stanzas, all or none; their rows in the same order. None: its account is gone, and so is the stanza.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing was kept then.
    pub async fn outgoing_add(&self, stanzas: Vec<NewOutgoing>) -> Result<Vec<Option<i64>>> {
        const ADD: &str = "INSERT INTO outgoing (account, at, stanza) SELECT id, $3, $4 FROM accounts \
             WHERE domain = $1 AND local = $2 RETURNING id";
        let domain = self.id.0;
        let mut stanzas = stanzas;
        // Nearly always it is one.
        if stanzas.len() == 1
            && let Some(new) = stanzas.pop()
        {
            return statement!(self.store, c => {
                let row: Vec<(i64,)> = sqlx::query_as(ADD)
                    .bind(domain).bind(new.local).bind(new.at.0).bind(new.stanza).fetch_all(c).await?;
                Ok(vec![row.first().map(|(id,)| *id)])
            });
        }
        grouped!(self.store, c => {
            let mut rows = Vec::with_capacity(stanzas.len());
            for new in stanzas {
                let row: Option<(i64,)> = sqlx::query_as(ADD)
                    .bind(domain).bind(new.local).bind(new.at.0).bind(new.stanza).fetch_optional(&mut *c).await?;
                rows.push(row.map(|(id,)| id));
            }
            Ok(rows)
        })
    }

    /// Forgets rows of this domain; those that are not there are no error.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; they may all be there still.
    pub async fn outgoing_forget(&self, rows: &[i64]) -> Result<()> {
        let domain = self.id.0;
        // A part that is forgotten before another is not is as good as none: all may be asked for again.
        for text in rows.chunks(TOGETHER).map(forgetting) {
            let done: Result<()> = statement!(self.store, c => {
                // It is never the same text twice: not worth remembering.
                let query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
                query.bind(domain).execute(c).await?;
                Ok(())
            });
            done?;
        }
        Ok(())
    }
}

/// Numbers of our own stand in it and nothing else, so they need no parameters.
fn forgetting(rows: &[i64]) -> String {
    let rows: Vec<String> = rows.iter().map(i64::to_string).collect();
    format!(
        "DELETE FROM outgoing WHERE id IN ({}) AND account IN (SELECT id FROM accounts WHERE domain = $1)",
        rows.join(", ")
    )
}

impl Store {
    /// What is kept, by rows after `after` (0: from the start), at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn outgoing(&self, after: i64, limit: u32) -> Result<Vec<Outgoing>> {
        let found: Vec<(i64, i64, i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT o.id, a.domain, o.at, o.stanza FROM outgoing o JOIN accounts a ON a.id = o.account \
                 WHERE o.id > $1 ORDER BY o.id LIMIT $2",
            )
            .bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let row = |(id, domain, at, stanza)| Outgoing {
            id,
            domain: DomainId(domain),
            at: Timestamp(at),
            stanza,
        };
        Ok(found.into_iter().map(row).collect())
    }
}
