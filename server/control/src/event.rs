//! Live updates for open pages: what changed, to whom it may be told. Best effort; a page that lagged reloads.

use std::sync::Arc;

use serde::Serialize;
use store::TenantId;
use tokio::sync::broadcast;
use xmpp::timestamp::Timestamp;

use crate::Actor;
use crate::token::Scope;

/// Events kept for a slow reader before it is told to reload.
const BACKLOG: usize = 256;

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Whose.
    #[serde(skip)]
    pub tenant: Option<TenantId>,
    /// Which domain, if one.
    pub domain: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A domain came.
    DomainAdded,
    /// A domain moved from one state to another (words of [`crate::domain::State`]).
    DomainState {
        /// From.
        from: &'static str,
        /// To.
        to: &'static str,
    },
    /// A domain was looked at; findings may have changed.
    DomainChecked {
        /// Did any finding come or go?
        changed: bool,
    },
    /// A domain has gone.
    DomainRemoved,
    /// Its certificate changed, or an order failed.
    Certificate,
    /// Its accounts changed.
    Accounts,
    /// The tenant itself changed.
    Tenant,
    /// Events were lost: reload.
    Lagged,
}

pub(crate) struct Sender(broadcast::Sender<Event>);

impl Sender {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    pub(crate) fn send(&self, event: Event) {
        // No page open is no error.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self, actor: &Actor) -> Events {
        Events {
            receiver: self.0.subscribe(),
            tenant: actor.tenant,
            all: !actor.role.of_a_tenant(),
            scope: actor.scope.clone(),
        }
    }
}

/// The events one actor may see.
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    tenant: Option<TenantId>,
    all: bool,
    scope: Option<Arc<Scope>>,
}

impl Events {
    /// The next one; `None` when control has gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event)
                    if (self.all || (event.tenant.is_some() && event.tenant == self.tenant))
                        && self
                            .scope
                            .as_ref()
                            .is_none_or(|scope| scope.hears(event.domain.as_deref())) =>
                {
                    return Some(event);
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    return Some(Event {
                        tenant: self.tenant,
                        domain: None,
                        kind: EventKind::Lagged,
                        at: Timestamp(0),
                    });
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
