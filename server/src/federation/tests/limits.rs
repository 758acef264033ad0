//! As many peers as a tenant may have (DOS-10), and no more.

use serde_json::json;

use super::*;
use crate::tenancy::Kind;

impl House {
    /// Other limits of the tenant; waits until the server has seen them.
    async fn peers_at_most(&self, peers: u32, free: bool) {
        self.world.set_limits(&json!({ "peers": peers })).await;
        let tenancy = self.server.router().tenancy();
        let domain = tenancy.get(self.domain.as_str()).expect("the domain");
        eventually(async || domain.occupy(Kind::Peer).is_ok() == free).await;
    }
}

#[tokio::test]
async fn dos_10_a_tenant_talks_with_as_many_peers_as_it_may() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    one.peers_at_most(1, false).await;
    let third = Jid::parse("user@three.example/here").expect("an address");
    one.send_as(&one.session, &third, "more").await;
    let got = one.got().await;
    assert!(
        got.contains("id='more'") && got.contains("<resource-constraint "),
        "{got}"
    );
    assert!(got.contains("talk with 1 other servers"), "{got}");
    // Whom it talks with already is not concerned.
    chat(&one, &two).await;
    one.peers_at_most(2, true).await;
    one.send_as(&one.session, &third, "again").await;
    let got = one.got().await;
    assert!(got.contains("<remote-server-not-found "), "{got}");
}

#[tokio::test]
async fn dos_10_a_peer_too_many_is_told_and_so_is_the_owner() {
    let (one, two) = houses(true, true, false).await;
    two.peers_at_most(0, false).await;
    one.send(&two, "m1").await;
    let ended = two
        .attempts(&one, |attempt| attempt["code"] == "too-many-peers")
        .await;
    assert_eq!(ended["ok"], false, "{ended}");
    let used = two.server.router().tenancy().used(two.world.tenant);
    assert_eq!(used.peers, 0);
}
