//! What customers use of what they may have, with two levels: at the soft one their owners are warned, at the hard one the next
//! thing is refused (or, in archives, the oldest gives way).

use serde::Serialize;
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
    /// What tenants use: one (by id), the actor's own, or for the platform every one.
    pub async fn usage(&self, actor: &Actor, tenant: Option<i64>) -> Result<Vec<UsageView>> {
        let tenant = tenant.map(TenantId).or(actor.tenant);
        let rows = match tenant {
            Some(id) => vec![self.tenant_row(actor, Operation::UsageShow, id.0).await?],
            None => {
                actor.check(Operation::UsageShow, None, "tenant", "")?;
                self.tenants().await?
            }
        };
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            views.push(self.usage_view(row).await?);
        }
        Ok(views)
    }

    /// The same for a spreadsheet: CSV with a line of headings, one line for each tenant and thing.
    pub async fn usage_csv(&self, actor: &Actor, tenant: Option<i64>) -> Result<String> {
        let views = self.usage(actor, tenant).await?;
        let mut text = csv::line([
            "tenant", "name", "plan", "at", "kind", "used", "soft", "hard", "level",
        ]);
        for view in &views {
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
        Ok(text)
    }

    pub(crate) async fn usage_view(&self, row: &TenantRow) -> Result<UsageView> {
        let stored = self.store().usage_of(row.id, self.now()).await?;
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
        Ok(UsageView {
            tenant: row.id.0,
            name: row.name.clone(),
            plan: row.plan_name.clone(),
            at: self.now(),
            quotas: things
                .into_iter()
                .map(|(thing, used, hard)| thing.quota(used, hard, row.soft_percent))
                .collect(),
        })
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
