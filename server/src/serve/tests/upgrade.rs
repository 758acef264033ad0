//! An account that came with SHA-1 alone gets better verifiers from its client (XEP-0480).

use xmpp::sasl::{self, Hash, ScramVerifier};

use super::*;

#[tokio::test]
async fn sasl_43_an_account_from_elsewhere_gets_what_it_lacks_once() {
    let house = House::new().await;
    let settings = serde_json::json!({ "scram": ["SHA-1"] });
    house.world.set_settings(house.one, &settings).await;
    let name = DomainName::parse("one.example").expect("a name");
    let rows = house.world.store.domain(house.one, &name);
    let old = ScramVerifier::derive(Hash::Sha1, "pw", &[7; 16], 4096).expect("a password");
    let old = [old];
    let set = rows.account_set_credentials("alice", &old, crate::net::now());
    assert!(set.await.expect("set"));
    let plain = sasl::encode(b"\0alice\0pw");
    let log_in = format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{plain}</initial-response>\
         <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>"
    );
    let mut wire = house
        .until(async || {
            let mut wire = house.secure("one.example").await;
            wire.say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>")
                .await;
            let features = wire.until("</stream:features>").await;
            features.contains(">UPGR-SCRAM-SHA-256</upgrade>").then_some(wire)
        })
        .await;
    wire.say(&log_in).await;
    wire.until("</continue>").await;
    wire.say("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>")
        .await;
    let data = wire.until("</task-data>").await;
    let salt = data.split_once("iterations='10000'>").expect("a salt").1;
    let salt = salt.split_once('<').expect("an end").0;
    let salt = sasl::decode(salt).expect("base64").expect("some");
    let mut salted = vec![0; 32];
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(b"pw", &salt, 10_000, &mut salted);
    wire.say(&format!(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{}</hash></task-data>",
        sasl::encode(&salted)
    ))
    .await;
    wire.until("</success>").await;
    let kept = rows.credentials_for("alice", Hash::Sha256).await;
    assert!(kept.expect("read").expect("kept").verify_plain("pw"));
    // The next time there is nothing to be done.
    let mut wire = house.secure("one.example").await;
    wire.open("one.example").await;
    wire.say(&log_in).await;
    let said = wire.until("</success>").await;
    assert!(!said.contains("<continue"), "{said}");
}
