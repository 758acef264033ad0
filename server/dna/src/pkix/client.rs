//! Certificates of clients (XEP-0178 2, RFC 6120 13.7.1.2): which accounts one proves.
//!
//! The rule: a path to one of the anchors that the domain names for its clients, valid now, for use as a client, and an
//! XmppAddr with a localpart. Refuses: the general anchors, whose authorities know nothing of accounts, and any other name in
//! the certificate.

use xmpp::jid::{BareJid, Jid};
use xmpp::timestamp::Timestamp;

use super::describe;
use super::{
    Anchors, CLIENT_AUTH, Identifier, PresentedChain, Profile, Purpose, check_path_for,
    identifiers, parse,
};

/// Addresses of one certificate that are looked at.
const ADDRESSES: usize = 32;

/// Why a client's certificate proves nothing. The client's fault, or its authority's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client's certificate {0}")]
pub struct ClientRefused(String);

/// The accounts that a chain (DER, leaf first) proves at this moment; TLS has checked that its key is held. Bare addresses,
/// each once, in the certificate's order; at no particular domain.
///
/// # Errors
/// [`ClientRefused`]: no path to the anchors holds.
pub fn client_addresses(
    chain: &[Vec<u8>],
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Vec<BareJid>, ClientRefused> {
    let refused = |problem: super::Problem| ClientRefused(problem.say(false).1);
    let Some(chain) = PresentedChain::new(chain, None) else {
        return Ok(Vec::new());
    };
    let conditions = (Profile::Public, None);
    let path = check_path_for(FOR_CLIENTS, &chain, anchors.list(), now, None, conditions)
        .map_err(refused)?;
    let mut found = Vec::new();
    for identifier in identifiers(&path.leaf) {
        let Identifier::Xmpp(address) = identifier else {
            continue;
        };
        match Jid::parse(&address).map(|jid| jid.bare()) {
            Ok(bare) if bare.local().is_some() && !found.contains(&bare) => found.push(bare),
            _ => {}
        }
        if found.len() == ADDRESSES {
            break;
        }
    }
    Ok(found)
}

/// What a client's certificate says of itself, whoever issued it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLeaf {
    /// SHA-256 of the certificate, hexadecimal: what an account's list of certificates knows it by (XEP-0257).
    pub fingerprint: String,
    /// Addresses in it (XmppAddr), with their resources.
    pub addresses: Vec<Jid>,
    /// It has begun, has not ended, and may be used by clients. Without that it proves nothing, listed or not (XEP-0257 5).
    pub usable: bool,
}

/// Reads the leaf of a chain (DER, leaf first); `None`: it is no certificate.
pub fn client_leaf(chain: &[Vec<u8>], now: Timestamp) -> Option<ClientLeaf> {
    let der = chain.first()?;
    let parsed = parse(der).ok()?;
    let said = describe::describe(der)?;
    let usage = parsed.extended_key_usage().ok()?;
    let for_clients = usage.is_none_or(|usage| usage.value.any || usage.value.client_auth);
    let address = |identifier: &Identifier| match identifier {
        Identifier::Xmpp(address) => Jid::parse(address).ok(),
        _ => None,
    };
    Some(ClientLeaf {
        fingerprint: data_encoding::HEXLOWER.encode(&said.sha256),
        addresses: said
            .names
            .iter()
            .filter_map(address)
            .take(ADDRESSES)
            .collect(),
        usable: for_clients && (said.not_before..=said.not_after).contains(&now),
    })
}

const FOR_CLIENTS: Purpose = Purpose {
    usage: CLIENT_AUTH,
    required: webpki::KeyUsage::client_auth,
};

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
        OtherNameValue, SanType,
    };

    use super::*;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        anchors: Anchors,
    }

    fn authority() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).expect("a CA").der().clone();
        Authority {
            issuer: Issuer::new(params, key),
            anchors: Anchors::lenient([der]),
        }
    }

    fn leaf(
        by: &Authority,
        usages: &[ExtendedKeyUsagePurpose],
        addresses: &[&str],
    ) -> Vec<Vec<u8>> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.extended_key_usages = usages.to_vec();
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
        let leaf = params.signed_by(&key, &by.issuer).expect("a certificate");
        vec![leaf.der().to_vec()]
    }

    fn now() -> Timestamp {
        Timestamp(1_800_000_000_000_000)
    }

    #[test]
    fn sasl_14_sasl_44_addresses_of_a_certificate_that_holds() {
        let ours = authority();
        let client = [ExtendedKeyUsagePurpose::ClientAuth];
        let proven = |usages: &[ExtendedKeyUsagePurpose], addresses: &[&str]| {
            let chain = leaf(&ours, usages, addresses);
            let found = client_addresses(&chain, &ours.anchors, now());
            found.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let list = [
            "Juliet@Example.com",
            "juliet@example.com",
            "example.com",
            "nurse@two.example",
        ];
        assert_eq!(
            proven(&client, &list).expect("holds"),
            ["juliet@example.com", "nurse@two.example"],
            "a domain is no account"
        );
        assert_eq!(
            proven(&[], &["juliet@example.com"])
                .expect("no restriction")
                .len(),
            1
        );
        assert!(
            proven(
                &[ExtendedKeyUsagePurpose::ServerAuth],
                &["juliet@example.com"]
            )
            .is_err()
        );
        assert!(proven(&client, &[]).expect("holds").is_empty());
    }

    #[test]
    fn e2e_11_a_certificate_of_the_user_s_own_is_usable_while_it_lasts_and_for_clients() {
        let ours = authority();
        let read = |usages: &[ExtendedKeyUsagePurpose], at: Timestamp| {
            let chain = leaf(
                &ours,
                usages,
                &["juliet@example.com/balcony", "example.com"],
            );
            client_leaf(&chain, at).expect("a certificate")
        };
        let good = read(&[], now());
        assert!(good.usable && good.fingerprint.len() == 64, "{good:?}");
        let addresses: Vec<_> = good.addresses.iter().map(Jid::as_str).collect();
        assert_eq!(addresses, ["juliet@example.com/balcony", "example.com"]);
        assert!(read(&[ExtendedKeyUsagePurpose::ClientAuth], now()).usable);
        assert!(!read(&[ExtendedKeyUsagePurpose::ServerAuth], now()).usable);
        assert!(!read(&[], Timestamp(0)).usable, "not yet");
        assert!(!read(&[], Timestamp(i64::MAX)).usable, "no longer");
        assert_eq!(client_leaf(&[vec![1, 2, 3]], now()), None);
        assert_eq!(client_leaf(&[], now()), None);
    }

    #[test]
    fn sasl_14_cert_20_other_authorities_and_its_own_word_prove_no_client() {
        let (ours, theirs) = (authority(), authority());
        let mut own = CertificateParams::new(Vec::new()).expect("no names");
        own.subject_alt_names = vec![SanType::OtherName((
            vec![1, 3, 6, 1, 5, 5, 7, 8, 5],
            OtherNameValue::Utf8String("juliet@example.com".into()),
        ))];
        let key = KeyPair::generate().expect("a key");
        let own = own.self_signed(&key).expect("a certificate");
        assert!(client_addresses(&[own.der().to_vec()], &ours.anchors, now()).is_err());
        let chain = leaf(&theirs, &[], &["juliet@example.com"]);
        assert!(client_addresses(&chain, &ours.anchors, now()).is_err());
        assert!(client_addresses(&[vec![1, 2, 3]], &ours.anchors, now()).is_err());
        assert_eq!(client_addresses(&[], &ours.anchors, now()), Ok(Vec::new()));
    }
}
