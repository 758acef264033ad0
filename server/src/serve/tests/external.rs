//! SASL EXTERNAL of clients (SASL-03, SASL-14, SASL-44; XEP-0178 2).

use rcgen::{CertificateParams, KeyPair, OtherNameValue, SanType};
use rustls::pki_types::PrivatePkcs8KeyDer;
use sha2::Digest as _;

use super::*;

impl House {
    /// one.example believes certificates of the test's authority about its clients.
    async fn with_authority() -> Self {
        let house = Self::new().await;
        let pem = pem_of(&house.world.ca_der);
        let settings = serde_json::json!({ "client_ca": pem });
        house.world.set_settings(house.one, &settings).await;
        house
    }

    /// A client with a certificate for these addresses.
    fn certified(&self, addresses: &[&str]) -> Arc<ClientConfig> {
        self.certified_by(addresses, Some(&self.world.ca))
    }

    /// By this authority, or by itself.
    fn certified_by(
        &self,
        addresses: &[&str],
        ca: Option<&rcgen::Issuer<'static, KeyPair>>,
    ) -> Arc<ClientConfig> {
        let (leaf, key) = self.leaf(addresses, ca);
        self.client_of(&leaf, &key)
    }

    fn leaf(
        &self,
        addresses: &[&str],
        ca: Option<&rcgen::Issuer<'static, KeyPair>>,
    ) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.subject_alt_names = addresses
            .iter()
            .map(|address| {
                SanType::OtherName((
                    vec![1, 3, 6, 1, 5, 5, 7, 8, 5],
                    OtherNameValue::Utf8String((*address).to_owned()),
                ))
            })
            .collect();
        let key = KeyPair::generate().expect("a key");
        let leaf = match ca {
            Some(ca) => params.signed_by(&key, ca),
            None => params.self_signed(&key),
        };
        (leaf.expect("a certificate"), key)
    }

    fn client_of(&self, leaf: &rcgen::Certificate, key: &KeyPair) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(self.world.roots())
            .with_client_auth_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a client's certificate");
        Arc::new(config)
    }

    /// The first features over TLS of a client that shows this certificate.
    async fn offered(
        &self,
        domain: &str,
        addresses: &[&str],
        from: &str,
    ) -> (Wire<TlsStream<TcpStream>>, String) {
        self.offered_to(self.certified(addresses), domain, from)
            .await
    }

    async fn offered_to(
        &self,
        tls: Arc<ClientConfig>,
        domain: &str,
        from: &str,
    ) -> (Wire<TlsStream<TcpStream>>, String) {
        let mut wire = self.secure_as(domain, tls).await;
        wire.say(&format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' \
             version='1.0'{from}>"
        ))
        .await;
        let features = wire.until("</stream:features>").await;
        (wire, features)
    }

    /// Once the server has heard of the authority.
    async fn external(&self, addresses: &[&str]) -> Wire<TlsStream<TcpStream>> {
        self.until(async || {
            let (wire, features) = self.offered("one.example", addresses, "").await;
            features.contains(EXTERNAL).then_some(wire)
        })
        .await
    }
}

const EXTERNAL: &str = "<mechanism>EXTERNAL</mechanism>";

fn pem_of(der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn auth(authzid: &str) -> String {
    format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{}</auth>",
        sasl::encode(authzid.as_bytes())
    )
}

/// CERT-19: one address in a hosted domain is the identity.
#[tokio::test]
async fn sasl_14_sasl_44_a_certificate_with_one_address_logs_in_without_authzid() {
    let house = House::with_authority().await;
    let mut alice = house.external(&["alice@one.example"]).await;
    alice.say(&auth("")).await;
    alice.until("<success ").await;
    alice.open("one.example").await;
    alice
        .say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .await;
    let bound = alice.until("</jid>").await;
    assert!(bound.contains("<jid>alice@one.example/"), "{bound}");
}

#[tokio::test]
async fn sasl_44_several_addresses_need_an_authzid_that_is_one_of_them() {
    let house = House::with_authority().await;
    let both = ["alice@one.example", "bob@one.example"];
    let mut wire = house.external(&both).await;
    for (authzid, failure) in [
        ("", "<invalid-authzid/>"),
        ("carol@two.example", "<invalid-authzid/>"),
    ] {
        wire.say(&auth(authzid)).await;
        let said = wire.until("</failure>").await;
        assert!(said.contains(failure), "{authzid}: {said}");
    }
    wire.say(&auth("bob@one.example")).await;
    wire.until("<success ").await;
}

/// Several addresses: the one that the header claims, else the one at the domain that the stream is for.
#[tokio::test]
async fn cert_19_from_and_to_choose_among_several_addresses() {
    let house = House::with_authority().await;
    drop(house.external(&["alice@one.example"]).await);
    for (addresses, from, account) in [
        (
            ["alice@one.example", "bob@one.example"],
            " from='bob@one.example'",
            "bob@one.example",
        ),
        (
            ["carol@two.example", "alice@one.example"],
            "",
            "alice@one.example",
        ),
        (
            ["carol@two.example", "bob@one.example"],
            " from='bob@one.example'",
            "bob@one.example",
        ),
    ] {
        let (mut wire, features) = house.offered("one.example", &addresses, from).await;
        assert!(features.contains(EXTERNAL), "{addresses:?}: {features}");
        wire.say(&auth("")).await;
        wire.until("<success ").await;
        wire.open("one.example").await;
        wire.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            .await;
        let bound = wire.until("</jid>").await;
        assert!(bound.contains(&format!("<jid>{account}/")), "{bound}");
    }
}

/// No address in a hosted domain, an authority that nobody here knows, no authority at all: EXTERNAL is not to be had, and a
/// password is as good as ever.
#[tokio::test]
async fn cert_20_certificates_that_prove_no_account() {
    let house = House::with_authority().await;
    drop(house.external(&["alice@one.example"]).await);
    let stranger = crate::testing::World::new().await;
    let alice = ["alice@one.example"];
    for (tls, what) in [
        (house.certified(&[]), "no address"),
        (house.certified(&["alice@elsewhere.example"]), "not hosted"),
        (house.certified(&["one.example"]), "no account"),
        (house.certified_by(&alice, Some(&stranger.ca)), "unknown"),
        (house.certified_by(&alice, None), "self-signed"),
    ] {
        let (mut wire, features) = house.offered_to(tls, "one.example", "").await;
        assert!(!features.contains(EXTERNAL), "{what}: {features}");
        wire.say(&auth("alice@one.example")).await;
        let said = wire.until("</failure>").await;
        assert!(said.contains("<not-authorized/>"), "{what}: {said}");
        wire.plain("alice").await;
        wire.until("<success ").await;
    }
}

/// CERT-15: the reference is the `from` of the header. CERT-20: an address elsewhere, or an authority not believed, is none.
#[tokio::test]
async fn sasl_03_external_is_offered_only_where_it_would_succeed() {
    let house = House::with_authority().await;
    // From here on the authority has been heard of.
    drop(house.external(&["alice@one.example"]).await);
    let offered = async |domain: &str, addresses: &[&str], from: &str| {
        let (_wire, features) = house.offered(domain, addresses, from).await;
        assert!(features.contains("<mechanisms "), "{features}");
        features.contains(EXTERNAL)
    };
    assert!(
        offered(
            "one.example",
            &["alice@one.example"],
            " from='alice@one.example'"
        )
        .await
    );
    assert!(
        !offered(
            "one.example",
            &["alice@one.example"],
            " from='bob@one.example'"
        )
        .await,
        "LAYER-01: the header claims somebody else"
    );
    assert!(!offered("one.example", &["nobody@one.example"], "").await);
    assert!(!offered("one.example", &["carol@two.example"], "").await);
    assert!(
        !offered("two.example", &["carol@two.example"], "").await,
        "that domain believes no such authority"
    );
    let mut plain = house.secure("one.example").await;
    plain
        .say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' version='1.0'>")
        .await;
    let features = plain.until("</stream:features>").await;
    assert!(!features.contains(EXTERNAL), "no certificate was shown");
}

/// Uploaded certificates (XEP-0257; RFC 6120 13.7.2.2, cases 2 and 3).
impl House {
    /// one.example knows clients by what its users have uploaded.
    async fn with_uploads() -> Self {
        let house = Self::new().await;
        let settings = serde_json::json!({ "user_certificates": true });
        house.world.set_settings(house.one, &settings).await;
        house
    }

    /// As the user's client would.
    async fn upload(&self, local: &str, certificate: &[u8]) {
        let name = DomainName::parse("one.example").expect("a name");
        let rows = self.world.store.domain(self.one, &name);
        let account = rows.account_active(local).await.expect("read");
        let row = store::ClientCertificateRow {
            name: "Phone".into(),
            fingerprint: data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(certificate)),
            certificate: certificate.to_vec(),
            manages: true,
            added: crate::net::now(),
            expires: Timestamp(i64::MAX),
        };
        let added = rows.client_certificate_add(account.expect("an account"), &row);
        assert_eq!(added.await.expect("asked"), store::Appended::Done);
    }

    async fn bound(&self, wire: &mut Wire<TlsStream<TcpStream>>, resource: &str) -> String {
        wire.say(&auth("")).await;
        wire.until("<success ").await;
        wire.open("one.example").await;
        wire.say(&format!(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
        ))
        .await;
        wire.until("</jid>").await
    }
}

/// A self-signed certificate for these addresses, with the client that has its key.
fn own(addresses: &[&str], house: &House) -> (Arc<ClientConfig>, Vec<u8>) {
    let (leaf, key) = house.leaf(addresses, None);
    (house.client_of(&leaf, &key), leaf.der().to_vec())
}

#[tokio::test]
async fn e2e_11_an_uploaded_certificate_logs_in_until_it_is_revoked() {
    let house = House::with_uploads().await;
    let (tls, der) = own(&[], &house);
    let (stranger, _) = own(&["alice@one.example"], &house);
    house.upload("alice", &der).await;
    let mut alice = house
        .until(async || {
            let (wire, features) = house.offered_to(tls.clone(), "one.example", "").await;
            features.contains(EXTERNAL).then_some(wire)
        })
        .await;
    let bound = house.bound(&mut alice, "phone").await;
    assert!(
        bound.contains("<jid>alice@one.example/phone</jid>"),
        "{bound}"
    );
    let (_, features) = house.offered_to(stranger, "one.example", "").await;
    assert!(
        !features.contains(EXTERNAL),
        "nobody has uploaded it, whatever it says: {features}"
    );
    // In the other profile (XEP-0388), too.
    let (mut modern, features) = house.offered_to(tls.clone(), "one.example", "").await;
    assert!(
        features
            .contains("<authentication xmlns='urn:xmpp:sasl:2'><mechanism>EXTERNAL</mechanism>"),
        "{features}"
    );
    modern
        .say("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='EXTERNAL'><initial-response/><bind xmlns='urn:xmpp:bind:0'/></authenticate>")
        .await;
    let success = modern.until("</success>").await;
    assert!(
        success.contains("<authorization-identifier>alice@one.example/"),
        "{success}"
    );

    let name = DomainName::parse("one.example").expect("a name");
    let rows = house.world.store.domain(house.one, &name);
    let now = crate::net::now();
    let gone = rows.client_certificate_remove("alice", "Phone", true, now);
    assert!(gone.await.expect("asked").is_some());
    for wire in [&mut alice, &mut modern] {
        wire.until("<not-authorized ").await;
    }
    let (_, features) = house.offered_to(tls, "one.example", "").await;
    assert!(!features.contains(EXTERNAL), "{features}");
}

/// Uploaded to two accounts: which one is said in the header, or as the authzid. A full address in it fixes the resource.
#[tokio::test]
async fn e2e_11_sasl_44_one_certificate_of_two_accounts() {
    let house = House::with_uploads().await;
    let (tls, der) = own(&["bob@one.example/bot"], &house);
    for local in ["alice", "bob"] {
        house.upload(local, &der).await;
    }
    let mut wire = house
        .until(async || {
            let (wire, features) = house.offered_to(tls.clone(), "one.example", "").await;
            features.contains(EXTERNAL).then_some(wire)
        })
        .await;
    wire.say(&auth("")).await;
    let said = wire.until("</failure>").await;
    assert!(said.contains("<invalid-authzid/>"), "{said}");
    wire.say(&auth("alice@one.example")).await;
    wire.until("<success ").await;
    let from = " from='bob@one.example'";
    let (mut wire, _) = house.offered_to(tls, "one.example", from).await;
    let bound = house.bound(&mut wire, "elsewhere").await;
    assert!(bound.contains("<jid>bob@one.example/bot</jid>"), "{bound}");
}
