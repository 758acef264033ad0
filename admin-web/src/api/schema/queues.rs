//! What the platform's queues look like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

#[derive(ToSchema)]
pub(in crate::api) struct Queues {
    checks: ChecksQueue,
    orders: OrdersQueue,
    /// Null: no mail relay is configured.
    #[schema(required = true)]
    mail: Option<MailQueue>,
    webhooks: WebhookQueue,
}

/// Looks at domains.
#[derive(ToSchema)]
pub(in crate::api) struct ChecksQueue {
    /// Due now, and not begun.
    due: u64,
    /// Of these, due for longer than two minutes.
    late: u64,
    /// Since when the first of them is due.
    #[schema(required = true)]
    oldest: Option<String>,
    under_way: u64,
    /// At a time, on each node.
    most: u64,
    /// A look whose node has died is begun again after so many seconds.
    lease_seconds: i64,
}

/// Orders of certificates.
#[derive(ToSchema)]
pub(in crate::api) struct OrdersQueue {
    waiting: u64,
    under_way: u64,
}

/// Nightly mail: one at most for each person in a night.
#[derive(ToSchema)]
pub(in crate::api) struct MailQueue {
    /// Customers that this night has not come to yet.
    waiting: u64,
    /// From this hour (UTC) on.
    hour: u8,
    /// When the next mail may be written.
    next: String,
    /// Taken by the relay in the last night in which anything was written.
    sent: u64,
    /// Refused by it for good.
    refused: u64,
    /// When that was last tried; null: not since the server began.
    #[schema(required = true)]
    tried: Option<String>,
    /// Why it could not be handed over, the last time that it could not; empty: it could.
    trouble: String,
}

/// Messages to webhooks.
#[derive(ToSchema)]
pub(in crate::api) struct WebhookQueue {
    /// Due now, and not begun.
    due: u64,
    /// Of these, due for longer than two minutes.
    late: u64,
    /// Since when the first of them is due.
    #[schema(required = true)]
    oldest: Option<String>,
    under_way: u64,
    /// Were not taken, and are tried again later.
    again: u64,
    /// Given up, of those of the last day.
    given_up: u64,
    /// At a time, on each node.
    most: u64,
    /// Attempts before one is given up.
    attempts: u64,
}
