//! What an account's people sign in with, what the account keeps here, and signing one device out.
//!
//! As in what its owner's own apps see (XEP-0494 4), `agent-…` is a client that comes back with tokens (XEP-0484), and
//! `session-…` one that is just connected, by its resource. The name that a client has given itself is its user's (XEP-0388 2.3)
//! and stands here as a digest. Refuses: saying where somebody is (no address is kept or shown), and pretending that whoever
//! knows the password is kept out by less than another one.

use serde::Serialize;
use store::{ClientRow, Storage};
use xmpp::jid::BareJid;
use xmpp::timestamp::Timestamp;

use crate::account::AccountView;
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::operator::hash_of;
use crate::outside::SessionNow;
use crate::permission::Operation;
use crate::{Actor, Control};

/// What the name of a client with tokens begins with, …
const AGENT: &str = "agent-";
/// … and that of a session without.
const SESSION: &str = "session-";

/// What an account's people sign in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountDevices {
    /// Whether the server runs in this process; where it does not, only clients with tokens are listed, and nothing is known
    /// of who is connected.
    pub live: bool,
    /// Each device: connected ones first, then the one that was seen last. So many as an account may have, at most.
    pub devices: Vec<DeviceView>,
    /// Where it is woken when messages come (XEP-0357).
    pub push: Vec<PushView>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// `agent-…` or `session-…`: what signing out takes.
    pub id: String,
    /// What its client says it is; empty: it does not say.
    pub software: String,
    /// What it says it runs on; empty: it does not say.
    pub device: String,
    /// Resources of its sessions now.
    pub resources: Vec<String>,
    /// `None`: not known in this process.
    pub connected: Option<bool>,
    /// It is connected, and its network is gone for the moment (XEP-0198).
    pub away: bool,
    /// How it signs in: `token`, `certificate` or `password`.
    pub way: &'static str,
    /// When it came first, as far as that is known.
    #[serde(serialize_with = "crate::time::at")]
    pub since: Timestamp,
    /// When it was last seen to sign in.
    #[serde(serialize_with = "crate::time::at")]
    pub last_seen: Timestamp,
    /// Until when it can come back without the password; `None`: it cannot.
    #[serde(serialize_with = "crate::time::maybe")]
    pub expires: Option<Timestamp>,
}

/// A place that wakes a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushView {
    /// Address of the push service.
    pub service: String,
    /// Resource of the session that asked for it.
    pub resource: String,
}

/// What an account takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StorageView {
    /// Bytes of archived messages.
    pub archive_bytes: u64,
    /// Shared files, …
    pub uploads: u64,
    /// … and their bytes.
    pub upload_bytes: u64,
    /// Messages that wait for it, …
    pub offline: u64,
    /// … and their bytes.
    pub offline_bytes: u64,
}

impl Control {
    /// Devices of an account.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]
    pub async fn account_devices(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<AccountDevices> {
        let row = self
            .domain_row(actor, Operation::AccountDevices, domain)
            .await?;
        let (jid, account) = self.account_row(&row, local).await?;
        let store = self.domain_store(&row);
        let clients = store.client_list(account.id).await?;
        let sessions = self.parts.live.sessions_of(&jid);
        let push = store.push_list(account.id).await?;
        Ok(AccountDevices {
            live: sessions.is_some(),
            devices: devices(clients, sessions),
            push: push
                .into_iter()
                .map(|push| PushView {
                    service: push.service,
                    resource: push.resource,
                })
                .collect(),
        })
    }

    /// What an account keeps here.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]
    pub async fn account_storage(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
    ) -> Result<StorageView> {
        let row = self
            .domain_row(actor, Operation::AccountShow, domain)
            .await?;
        let (_, account) = self.account_row(&row, local).await?;
        let store = self.domain_store(&row);
        let Storage {
            archive_bytes,
            uploads,
            upload_bytes,
            offline,
            offline_bytes,
        } = store.storage_of(account.id, self.now()).await?;
        Ok(StorageView {
            archive_bytes,
            uploads,
            upload_bytes,
            offline,
            offline_bytes,
        })
    }

    /// Signs a device out: its tokens end, and so do its sessions. Whoever has the password may come back with it.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]: no account, or it has no such device. Where no server runs in this process, a session cannot
    /// be looked for: it ends if it is there.
    pub async fn account_sign_out(
        &self,
        actor: &Actor,
        domain: &str,
        local: &str,
        device: &str,
    ) -> Result<()> {
        let operation = Operation::AccountSignOut;
        let row = self.domain_row(actor, operation, domain).await?;
        let (jid, account) = self.account_row(&row, local).await?;
        let missing = || ControlError::not_found("device", device);
        let sessions = self.parts.live.sessions_of(&jid);
        let there = |wanted: &dyn Fn(&SessionNow) -> bool| {
            let sessions = sessions.as_ref();
            sessions.map(|sessions| sessions.iter().any(wanted))
        };
        let (name, detail) = (row.name.as_str(), format!("{device:?}"));
        let store = self
            .recorded(
                actor,
                Some(row.tenant),
                operation,
                name,
                jid.as_str(),
                &detail,
            )
            .domain(row.id, &row.name);
        if device.starts_with(AGENT) {
            let clients = store.client_list(account.id).await?;
            let its = clients
                .into_iter()
                .find(|client| agent_id(&client.agent) == device);
            let agent = its.ok_or_else(missing)?.agent;
            let ended = store.client_sign_out(&account.local, &agent, self.now());
            if !ended.await? {
                return Err(missing());
            }
        } else {
            let resource = device.strip_prefix(SESSION).ok_or_else(missing)?;
            if there(&|session| session.resource == resource) == Some(false) {
                return Err(missing());
            }
            // What cannot be a resource is nowhere (RFC 7622 3.4).
            jid.with_resource(resource).map_err(|_| missing())?;
            store
                .session_sign_out(&account.local, resource, self.now())
                .await?;
        }
        self.tell(&row, EventKind::Accounts);
        Ok(())
    }

    /// Says of accounts of one domain who is connected, where that is known.
    pub(crate) fn connected(&self, mut views: Vec<AccountView>) -> Vec<AccountView> {
        let jids = views.iter().map(|view| BareJid::parse(&view.jid));
        // What the store gave are addresses; if one were none, nothing would be said.
        let Ok(jids) = jids.collect::<std::result::Result<Vec<_>, _>>() else {
            return views;
        };
        let Some(counts) = self.parts.live.online(&jids) else {
            return views;
        };
        for (view, count) in views.iter_mut().zip(counts) {
            view.connected = Some(count > 0);
        }
        views
    }
}

/// What a client is called here that has this name for itself.
pub(crate) fn agent_id(agent: &str) -> String {
    let digest = hash_of(agent);
    let hex = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("{AGENT}{}", hex.collect::<String>())
}

/// Clients with tokens and their sessions, then sessions without.
fn devices(clients: Vec<ClientRow>, sessions: Option<Vec<SessionNow>>) -> Vec<DeviceView> {
    let known = sessions.is_some();
    let mut rest = sessions.unwrap_or_default();
    let mut devices: Vec<DeviceView> = Vec::new();
    for client in clients {
        let is_its = |session: &SessionNow| session.agent.as_deref() == Some(client.agent.as_str());
        let (its, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_its);
        rest = others;
        let bound = its.iter().map(|session| session.since).max();
        let last = client.used.unwrap_or(client.since);
        devices.push(DeviceView {
            id: agent_id(&client.agent),
            connected: known.then_some(!its.is_empty()),
            away: !its.is_empty() && its.iter().all(|session| session.away),
            resources: its.into_iter().map(|session| session.resource).collect(),
            way: "token",
            since: client.since,
            last_seen: bound.map_or(last, |bound| bound.max(last)),
            expires: Some(client.expires),
            software: client.software,
            device: client.device,
        });
    }
    devices.extend(rest.into_iter().map(|session| DeviceView {
        id: format!("{SESSION}{}", session.resource),
        software: String::new(),
        device: String::new(),
        connected: Some(true),
        away: session.away,
        way: match session.certificate {
            Some(_) => "certificate",
            None => "password",
        },
        since: session.since,
        last_seen: session.since,
        expires: None,
        resources: vec![session.resource],
    }));
    devices.sort_by_key(|device| (device.connected != Some(true), -device.last_seen.0));
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(agent: &str, since: i64, used: Option<i64>) -> ClientRow {
        ClientRow {
            agent: agent.into(),
            software: "Chat".into(),
            device: "Phone".into(),
            since: Timestamp(since),
            used: used.map(Timestamp),
            expires: Timestamp(1_000),
        }
    }

    fn session(resource: &str, since: i64, agent: Option<&str>) -> SessionNow {
        SessionNow {
            resource: resource.into(),
            since: Timestamp(since),
            away: false,
            agent: agent.map(str::to_owned),
            certificate: None,
        }
    }

    #[test]
    fn sessions_stand_with_their_clients_and_those_connected_come_first() {
        let clients = vec![client("a", 1, Some(90)), client("b", 2, None)];
        let sessions = vec![
            session("x", 40, Some("b")),
            session("y", 50, None),
            session("z", 60, Some("without-a-token")),
        ];
        let seen: Vec<_> = devices(clients.clone(), Some(sessions))
            .into_iter()
            .map(|device| (device.id, device.connected, device.last_seen.0, device.way))
            .collect();
        let (a, b) = (agent_id("a"), agent_id("b"));
        let wanted = [
            ("session-z", Some(true), 60, "password"),
            ("session-y", Some(true), 50, "password"),
            (b.as_str(), Some(true), 40, "token"),
            (a.as_str(), Some(false), 90, "token"),
        ];
        assert_eq!(
            seen,
            wanted.map(|(id, connected, at, way)| (id.to_owned(), connected, at, way))
        );
        // Where no server runs, nothing is said of who is connected.
        let unknown = devices(clients, None);
        assert!(unknown.iter().all(|device| device.connected.is_none()));
        assert_eq!(unknown.len(), 2);
    }
}
