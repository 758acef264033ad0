//! Clients that prove their accounts by a certificate (SASL EXTERNAL; RFC 6120 13.7.2.2, XEP-0178 2, XEP-0257).
//!
//! Two ways lead from a certificate to accounts, and each domain has either, both or none: an authority that the domain's owner
//! names has put their addresses into it (case 1), or their users have uploaded the certificate itself, whoever issued it and
//! whatever it says (the other cases). Refuses: accounts of other domains, and such as may not log in; certificates that have
//! ended.

use std::sync::Arc;

use dna::pkix::ClientLeaf;
use modules::SessionUpdate;
use xmpp::jid::BareJid;
use xmpp::stream::{StreamCondition, StreamError};

use super::Session;
use crate::net::now;
use crate::router::Router;
use crate::tenancy::Domain;

/// Accounts looked up for one certificate.
const CERTIFIED: usize = 8;

/// The accounts of this domain that the client's certificate proves, and that may log in: EXTERNAL is offered for them.
pub(super) async fn accounts(domain: &Domain, shown: &[Vec<u8>]) -> Vec<BareJid> {
    if shown.is_empty() {
        return Vec::new();
    }
    let mut proven = by_authority(domain, shown).await;
    if domain.user_certificates {
        let uploaded = by_upload(domain, shown).await;
        proven.extend(uploaded);
        proven.sort_unstable();
        proven.dedup();
    }
    proven.truncate(CERTIFIED);
    proven
}

/// Addresses that an authority of the domain's has put into it.
async fn by_authority(domain: &Domain, shown: &[Vec<u8>]) -> Vec<BareJid> {
    let Some(anchors) = &domain.client_anchors else {
        return Vec::new();
    };
    let addresses = match dna::pkix::client_addresses(shown, anchors, now()) {
        Ok(addresses) => addresses,
        Err(error) => {
            tracing::info!(domain = %domain.name(), %error, "no authority proves this client");
            return Vec::new();
        }
    };
    let mut proven = Vec::new();
    let here = |account: &BareJid| account.domain() == domain.name().as_str();
    for account in addresses.into_iter().filter(here).take(CERTIFIED) {
        let local = account.local().unwrap_or_default();
        match domain.hosted.store.account_active(local).await {
            Ok(Some(_)) => proven.push(account),
            Ok(None) => {}
            Err(error) => tracing::error!(%account, %error, "an account cannot be read"),
        }
    }
    proven
}

/// Accounts whose users have uploaded it.
async fn by_upload(domain: &Domain, shown: &[Vec<u8>]) -> Vec<BareJid> {
    let leaf = dna::pkix::client_leaf(shown, now()).filter(|leaf| leaf.usable);
    let Some(leaf) = leaf else {
        return Vec::new();
    };
    let rows = &domain.hosted.store;
    let found = rows.accounts_of_client_certificate(&leaf.fingerprint, CERTIFIED as u32);
    match found.await {
        Ok(locals) => {
            let account = |local: &String| BareJid::new(Some(local), domain.name()).ok();
            locals.iter().filter_map(account).collect()
        }
        Err(error) => {
            tracing::error!(domain = %domain.name(), %error, "uploaded certificates cannot be read");
            Vec::new()
        }
    }
}

/// The certificate by which a stream was authenticated.
pub(super) struct Certified {
    shown: Arc<[Vec<u8>]>,
    leaf: ClientLeaf,
    fingerprint: Arc<str>,
}

impl Certified {
    /// What was shown; `None` where that is no certificate.
    pub(super) fn of(shown: Arc<[Vec<u8>]>) -> Option<Self> {
        let leaf = dna::pkix::client_leaf(&shown, now())?;
        Some(Self {
            fingerprint: leaf.fingerprint.as_str().into(),
            shown,
            leaf,
        })
    }

    /// The one resource that its addresses leave to the account, if they name any (XEP-0257 6): what the client wants if that is
    /// among them, else the first.
    pub(super) fn resource<'a>(
        &'a self,
        account: &BareJid,
        wanted: Option<&str>,
    ) -> Option<&'a str> {
        let addresses = self.leaf.addresses.iter();
        let own = addresses.filter(|address| address.bare() == *account);
        let resources: Option<Vec<&str>> = own.map(|address| address.resource()).collect();
        let resources = resources.filter(|resources| !resources.is_empty())?;
        let asked = resources.iter().find(|resource| Some(**resource) == wanted);
        Some(asked.copied().unwrap_or(resources[0]))
    }

    /// The session is one of this certificate, so that it ends when that is revoked; at once if it has been since it was shown.
    pub(super) async fn enter(&self, router: &Router, session: &Arc<Session>) {
        session.update(SessionUpdate::Certificate(Some(self.fingerprint.clone())));
        let domain = Arc::clone(&session.domain());
        let account = session.jid.bare();
        if !accounts(&domain, &self.shown).await.contains(&account) {
            let error = StreamError::new(StreamCondition::NotAuthorized);
            router.close_session(session, error.with_text("the certificate was revoked"));
        }
    }
}

#[cfg(test)]
mod tests {
    use xmpp::jid::Jid;

    use super::*;

    #[test]
    fn e2e_11_a_full_address_in_the_certificate_fixes_the_resource() {
        let certified = |addresses: &[&str]| Certified {
            shown: Arc::new([]),
            fingerprint: "f".into(),
            leaf: ClientLeaf {
                fingerprint: "f".into(),
                addresses: addresses
                    .iter()
                    .map(|text| Jid::parse(text).expect("an address"))
                    .collect(),
                usable: true,
            },
        };
        let account = BareJid::parse("juliet@one.example").expect("an address");
        for (addresses, wanted, resource) in [
            (&[][..], Some("desk"), None),
            (&["juliet@one.example"], Some("desk"), None),
            (&["juliet@one.example/phone"], Some("desk"), Some("phone")),
            (&["juliet@one.example/phone"], None, Some("phone")),
            (
                &["juliet@one.example/phone", "juliet@one.example/desk"],
                Some("desk"),
                Some("desk"),
            ),
            (
                &["juliet@one.example/phone", "juliet@one.example"],
                Some("desk"),
                None,
            ),
            (&["nurse@one.example/phone"], Some("desk"), None),
        ] {
            let certified = certified(addresses);
            let found = certified.resource(&account, wanted);
            assert_eq!(found, resource, "{addresses:?} {wanted:?}");
        }
    }
}
