//! Certificates of clients (XEP-0178 2, RFC 6120 13.7.1.2): which accounts one proves.
//!
//! The rule: a path to one of the anchors that the domain names for its clients, valid now, for use as a client, and an
//! XmppAddr with a localpart. Refuses: the general anchors, whose authorities know nothing of accounts, and any other name in
//! the certificate.

use xmpp::jid::{BareJid, Jid};
use xmpp::timestamp::Timestamp;

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
    check_path_for(FOR_CLIENTS, &chain, anchors.list(), now, None, conditions).map_err(refused)?;
    let leaf = parse(chain.leaf().unwrap_or_default()).map_err(refused)?;
    let mut found = Vec::new();
    for identifier in identifiers(&leaf) {
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
