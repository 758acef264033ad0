//! What customers use of what they may have, with two levels: at the soft one their owners are warned, at the hard one the next
//! thing is refused (or, in archives, the oldest gives way).

use serde::Serialize;
use store::usage::Stored;
use store::{TenantId, TenantRow};
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::permission::Operation;
use crate::{Actor, Control, csv};

/// What a tenant uses.
#[derive(Debug, Clone, Serialize)]
pub struct UsageView {
    /// The tenant's id.
    pub tenant: i64,
    /// What it is called.
    pub name: String,
    /// What its plan is called; empty: the configuration says what it may have.
    pub plan: String,
    /// When this was counted.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Each thing that is limited.
    pub quotas: Vec<QuotaView>,
}

/// A page of what tenants use.
#[derive(Debug, Clone, Serialize)]
pub struct UsagePage {
    /// Each of them.
    pub usage: Vec<UsageView>,
    /// How many there are in all that hold what was searched for.
    pub total: usize,
    /// Number of the first one on this page, from 0.
    pub from: usize,
    /// First one of the next page.
    pub next: Option<usize>,
    /// First one of the page before.
    pub previous: Option<usize>,
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageCsv {
    /// Its lines.
    pub text: String,
    /// What to ask for next; `None`: this was the last part.
    pub next: Option<i64>,
}

/// Tenants on a page.
const PAGE_SIZE: usize = 50;
/// Tenants in a part of a table.
const CSV_PART: u32 = 200;

/// One thing that is limited.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct QuotaView {
    /// `domains`, `accounts`, `connections`, `sessions`, `stanzas_per_second`, `peers`, `offline_bytes`, `archive_bytes`,
    /// `upload_bytes`.
    pub kind: &'static str,
    /// In use; `None`: not known here (no server runs in this process), or not a thing that is used up.
    pub used: Option<u64>,
    /// From here on the owner is warned.
    pub soft: u64,
    /// More there cannot be.
    pub hard: u64,
    /// `ok`, `soft`, `hard`, `unknown`.
    pub level: &'static str,
    /// What that means and what to do, one or two sentences; empty when all is well.
    pub note: String,
}

impl UsageView {
    /// What it uses of one of the things, by its word.
    pub fn quota(&self, kind: &str) -> Option<&QuotaView> {
        self.quotas.iter().find(|quota| quota.kind == kind)
    }

    /// What the owner should know of.
    pub fn warnings(&self) -> impl Iterator<Item = &QuotaView> {
        self.quotas.iter().filter(|quota| !quota.note.is_empty())
    }
}

/// A limited thing: its word, what people call it, and what happens when there is no more room.
struct Thing {
    kind: &'static str,
    called: &'static str,
    full: &'static str,
}

const DOMAINS: Thing = Thing {
    kind: "domains",
    called: "domains",
    full: "No further domain can be added.",
};
const ACCOUNTS: Thing = Thing {
    kind: "accounts",
    called: "accounts",
    full: "No further account can be added.",
};
const CONNECTIONS: Thing = Thing {
    kind: "connections",
    called: "connections",
    full: "Further connections are refused until some end.",
};
const SESSIONS: Thing = Thing {
    kind: "sessions",
    called: "sessions",
    full: "Nobody else can sign in until somebody signs out.",
};
const STANZAS: Thing = Thing {
    kind: "stanzas_per_second",
    called: "stanzas a second",
    full: "Senders wait a little.",
};
const PEERS: Thing = Thing {
    kind: "peers",
    called: "other servers at a time",
    full: "Messages to and from further servers are refused until some are no longer talked to.",
};
const OFFLINE: Thing = Thing {
    kind: "offline_bytes",
    called: "bytes of waiting messages",
    full: "Messages for people who are away are sent back.",
};
const ARCHIVE: Thing = Thing {
    kind: "archive_bytes",
    called: "bytes of archived messages",
    full: "The oldest messages of the largest archives are being forgotten.",
};
const UPLOADS: Thing = Thing {
    kind: "upload_bytes",
    called: "bytes of uploaded files",
    full: "Further uploads are refused.",
};

impl Thing {
    fn quota(&self, used: Option<u64>, hard: u64, soft_percent: i64) -> QuotaView {
        let percent = u128::from(soft_percent.clamp(1, 100).unsigned_abs());
        let soft = u64::try_from((u128::from(hard) * percent).div_ceil(100)).unwrap_or(hard);
        let level = match used {
            None => "unknown",
            Some(used) if used >= hard => "hard",
            Some(used) if used >= soft => "soft",
            Some(_) => "ok",
        };
        let called = self.called;
        let used_up = used.unwrap_or_default();
        let note = match level {
            "hard" => format!(
                "{used_up} of {hard} {called} are in use: the limit is reached. {} Remove what you no longer need, or ask the operator of this service for a larger plan.",
                self.full
            ),
            "soft" => format!(
                "{used_up} of {hard} {called} are in use. Before none are left, remove what you no longer need, or ask the operator of this service for a larger plan.",
            ),
            _ => String::new(),
        };
        QuotaView {
            kind: self.kind,
            used,
            soft,
            hard,
            level,
            note,
        }
    }
}

impl Control {
    /// What one tenant uses: by id, or the actor's own.
    pub async fn usage_show(&self, actor: &Actor, tenant: i64) -> Result<UsageView> {
        let row = self.tenant_row(actor, Operation::UsageShow, tenant).await?;
        self.usage_view(&row).await
    }

    /// A page of what tenants use: one (by id), the actor's own, or for the platform all with `search` in their name, from
    /// number `from` on: those first that kept most when that was last measured.
    pub async fn usage(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        search: &str,
        from: usize,
    ) -> Result<UsagePage> {
        if let Some(id) = tenant.or(actor.tenant.map(|own| own.0)) {
            return Ok(UsagePage {
                usage: vec![self.usage_show(actor, id).await?],
                total: 1,
                from: 0,
                next: None,
                previous: None,
            });
        }
        actor.check(Operation::UsageShow, None, "tenant", "")?;
        // No name holds what PostgreSQL takes in no text.
        let shown = search.trim().chars().filter(|c| !c.is_control());
        let part = shown.collect::<String>().to_lowercase();
        let from = from / PAGE_SIZE * PAGE_SIZE;
        let (rows, total) = self
            .store()
            .tenant_page_by_use(&part, from, PAGE_SIZE)
            .await?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        Ok(UsagePage {
            usage: self.usage_views(&rows).await?,
            total,
            from,
            next: from.checked_add(PAGE_SIZE).filter(|next| *next < total),
            previous: from.checked_sub(PAGE_SIZE),
        })
    }

    /// The same for a spreadsheet, as far as it is written at once: CSV, one line for each tenant and thing. `after` is what
    /// the part before said comes next; the first part begins with a line of headings. All that the actor may see, or one.
    pub async fn usage_csv(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        after: Option<i64>,
    ) -> Result<UsageCsv> {
        let one = tenant.or(actor.tenant.map(|own| own.0));
        let rows = match one {
            Some(id) => vec![self.tenant_row(actor, Operation::UsageShow, id).await?],
            None => {
                actor.check(Operation::UsageShow, None, "tenant", "")?;
                let after = TenantId(after.unwrap_or_default());
                self.store().tenant_list(after, CSV_PART).await?
            }
        };
        let mut text = match after {
            Some(_) => String::new(),
            None => csv::line([
                "tenant", "name", "plan", "at", "kind", "used", "soft", "hard", "level",
            ]),
        };
        for view in self.usage_views(&rows).await? {
            for quota in &view.quotas {
                text.push_str(&csv::line([
                    view.tenant.to_string().as_str(),
                    &view.name,
                    &view.plan,
                    &view.at.to_xep0082(),
                    quota.kind,
                    &quota.used.map(|used| used.to_string()).unwrap_or_default(),
                    &quota.soft.to_string(),
                    &quota.hard.to_string(),
                    quota.level,
                ]));
            }
        }
        let last = rows.last().map(|row| row.id.0);
        Ok(UsageCsv {
            text,
            next: last.filter(|_| one.is_none()),
        })
    }

    pub(crate) async fn usage_view(&self, row: &TenantRow) -> Result<UsageView> {
        let stored = self.store().usage_of(row.id, self.now()).await?;
        Ok(self.usage_with(row, stored))
    }

    async fn usage_views(&self, rows: &[TenantRow]) -> Result<Vec<UsageView>> {
        let ids: Vec<TenantId> = rows.iter().map(|row| row.id).collect();
        let stored = self.store().usages_of(&ids, self.now()).await?;
        // Who has gone meanwhile uses nothing.
        let of = |row: &TenantRow| stored.get(&row.id).copied().unwrap_or_default();
        Ok(rows
            .iter()
            .map(|row| self.usage_with(row, of(row)))
            .collect())
    }

    fn usage_with(&self, row: &TenantRow, stored: Stored) -> UsageView {
        let live = self.parts.live.usage(row.id);
        let limits = self.limits_of(row);
        let now = |number: fn(&crate::outside::LiveUsage) -> u32| {
            live.as_ref().map(|live| u64::from(number(live)))
        };
        let things = [
            (DOMAINS, Some(stored.domains), limits.domains.into()),
            (ACCOUNTS, Some(stored.accounts), limits.accounts.into()),
            (
                CONNECTIONS,
                now(|live| live.connections),
                limits.connections.into(),
            ),
            (SESSIONS, now(|live| live.sessions), limits.sessions.into()),
            // A rate is kept to, not used up.
            (STANZAS, None, limits.stanzas_per_second.into()),
            (PEERS, now(|live| live.peers), limits.peers.into()),
            (OFFLINE, Some(stored.offline_bytes), limits.offline_bytes),
            (ARCHIVE, Some(stored.archive_bytes), limits.archive_bytes),
            (UPLOADS, Some(stored.upload_bytes), limits.upload_bytes),
        ];
        UsageView {
            tenant: row.id.0,
            name: row.name.clone(),
            plan: row.plan_name.clone(),
            at: self.now(),
            quotas: things
                .into_iter()
                .map(|(thing, used, hard)| thing.quota(used, hard, row.soft_percent))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_10_levels_stand_where_the_plan_puts_them() {
        let check = |used, hard, percent, level, soft| {
            let quota = DOMAINS.quota(used, hard, percent);
            assert_eq!((quota.level, quota.soft), (level, soft), "{quota:?}");
            assert_eq!(quota.note.is_empty(), matches!(level, "ok" | "unknown"));
        };
        check(Some(0), 10, 80, "ok", 8);
        check(Some(7), 10, 80, "ok", 8);
        check(Some(8), 10, 80, "soft", 8);
        check(Some(10), 10, 80, "hard", 8);
        check(Some(12), 10, 80, "hard", 8);
        check(None, 10, 80, "unknown", 8);
        check(Some(3), 3, 100, "hard", 3);
        check(Some(0), 0, 80, "hard", 0);
        check(Some(1), u64::MAX, 50, "ok", u64::MAX / 2 + 1);
    }
}
