//! An identity of our own making, for domains that share no key with us: their website or DNS says that it is the one.

use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::outside::Issued;
use crate::secret::Secret;
use crate::time::{DAY, HOUR, SECOND};

/// `source` of such a certificate in the store.
pub(crate) const OWN: &str = "own";
/// Its lifetime. No authority limits it; a renewal keeps the key.
const LIFETIME: i64 = 365 * DAY;
/// Clocks of others may be behind by this much.
const SKEW: i64 = HOUR;
/// Longest common name, in characters (RFC 5280 A.1, ub-common-name).
const COMMON_NAME: usize = 64;

/// A certificate for our own host `target` and no domain, signed by itself (RFC 7671 5.1: nobody looks at names or issuers).
/// With `key` (PKCS#8 PEM) it keeps that one (ACME-12).
pub(crate) fn own_identity(target: &str, key: Option<&Secret>, now: Timestamp) -> Result<Issued> {
    let fault =
        |error: rcgen::Error| ControlError::internal(format!("no identity could be made: {error}"));
    let pair = match key {
        Some(pem) => KeyPair::from_pem(pem.expose()).map_err(fault)?,
        None => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?,
    };
    let mut params = CertificateParams::new(vec![target.to_owned()]).map_err(fault)?;
    // CERT-01: a subject that is not empty, and no authority.
    let common: String = target.chars().take(COMMON_NAME).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let time = |micros: i64| {
        epoch + Duration::from_secs(u64::try_from(micros / SECOND).unwrap_or_default())
    };
    params.not_before = time(now.0 - SKEW);
    params.not_after = time(now.0 + LIFETIME);
    let leaf = params.self_signed(&pair).map_err(fault)?;
    Ok(Issued {
        chain_pem: leaf.pem(),
        key_pem: pair.serialize_pem().into(),
        ..Issued::default()
    })
}
