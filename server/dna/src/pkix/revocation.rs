//! Certificates taken back before their end, by CRL (RFC 5280 5, CERT-16) or by what a responder says ([`ocsp`]).
//!
//! A list says that a certificate is revoked, or says nothing: one that cannot be had, is signed by somebody else or is
//! out of date changes no verdict, as unknown is never failed. Only certificates that hold otherwise are worth fetching
//! lists for, and of what was shown only what leads to an anchor ([`Asked`]). Who chooses which addresses are asked is then
//! a trusted authority where the proof is PKIX; where a website or the DNS vouches for a certificate it may be anybody, and
//! whoever fetches rations that. Refuses: believing a list that somebody else signed.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;
use xmpp::timestamp::Timestamp;

use super::{Anchors, CHAIN_LENGTH, FOR_SERVERS, PresentedChain, describe, ocsp, unix};

/// Most lists that one chain is checked against.
pub const LISTS: usize = 4;

/// A list, as fetched. Its signature is checked when it is used: by then its issuer is known.
#[derive(Clone, Debug)]
pub struct List {
    list: Arc<CertRevocationList<'static>>,
    /// When its issuer publishes the next one.
    pub next_update: Option<Timestamp>,
    /// Its length as fetched; in memory it takes several times as much.
    pub bytes: usize,
}

impl List {
    /// From DER; `None` when it cannot be read.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, parsed) = CertificateRevocationList::from_der(der).ok()?;
        let next_update = parsed.next_update().map(|time| describe::time(&time));
        let list = OwnedCertRevocationList::from_der(der).ok()?;
        Some(Self {
            list: Arc::new(list.into()),
            next_update,
            bytes: der.len(),
        })
    }
}

/// What was gathered for a chain.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Lists that could be had.
    pub lists: Vec<List>,
    /// Answers of responders.
    pub answers: Vec<ocsp::Answer>,
    /// When to look again.
    pub until: Timestamp,
}

impl Evidence {
    /// Whether a list that its issuer signed names a certificate on the path from `leaf` to one of the anchors, which has these
    /// serial numbers. To verify a list takes as long as to verify the path, so only such as name one of these are.
    pub(super) fn revoke(
        &self,
        serials: &[&[u8]],
        leaf: &EndEntityCert<'_>,
        anchors: &[TrustAnchor<'static>],
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> bool {
        // One list at a time: an unusable one must not hide what another says.
        self.lists.iter().any(|list| {
            let mut named = serials.iter().map(|serial| list.list.find_serial(serial));
            if named.all(|found| matches!(found, Ok(None))) {
                return false;
            }
            let lists = [&*list.list];
            let Ok(builder) = RevocationOptionsBuilder::new(&lists) else {
                return false;
            };
            let options = builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                // Who was on yesterday's list is still revoked.
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build();
            let checked = leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                anchors,
                intermediates,
                unix(now),
                FOR_SERVERS,
                Some(options),
                None,
            );
            matches!(checked, Err(Error::CertRevoked))
        })
    }

    /// The same for a chain that leads to no anchor of ours: the issuer is whoever comes next in it.
    pub(super) fn revokes(&self, chain: &PresentedChain, now: Timestamp) -> bool {
        let ders: Vec<CertificateDer<'_>> = chain
            .certificates
            .iter()
            .take(CHAIN_LENGTH)
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let Some((leaf, [issuer, ..])) = ders.split_first() else {
            return false;
        };
        let (Ok(leaf), Ok(anchor)) = (
            EndEntityCert::try_from(leaf),
            webpki::anchor_from_trusted_cert(issuer),
        ) else {
            return false;
        };
        let said = |answer: &ocsp::Answer| {
            X509Certificate::from_der(&ders[0]).is_ok_and(|(_, certificate)| {
                answer.about(&certificate, &anchor, now) == ocsp::Status::Revoked
            })
        };
        let serials = [leaf.serial()];
        self.answers.iter().any(said)
            || self.revoke(&serials, &leaf, &[anchor.to_owned()], &[], now)
    }
}

/// The certificates of a path as places in the chain that it was found in, leaf first.
pub(super) fn places(chain: &PresentedChain, path: &VerifiedPath<'_>) -> Vec<usize> {
    let between = path.intermediate_certificates().filter_map(|certificate| {
        let der = certificate.der();
        let mut shown = chain.certificates.iter();
        shown.position(|shown| shown.as_slice() == der.as_ref())
    });
    std::iter::once(0).chain(between).collect()
}

/// The same, found here; where no path leads to an anchor, the leaf alone.
fn found(chain: &PresentedChain, anchors: &Anchors, now: Timestamp) -> Vec<usize> {
    let ders: Vec<CertificateDer<'_>> = chain
        .certificates
        .iter()
        .take(CHAIN_LENGTH)
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    if let Some((leaf, intermediates)) = ders.split_first()
        && let Ok(leaf) = EndEntityCert::try_from(leaf)
        && let Ok(path) = leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            anchors.list(),
            intermediates,
            unix(now),
            FOR_SERVERS,
            None,
            None,
        )
    {
        return places(chain, &path);
    }
    vec![0]
}

/// The certificates of a chain that are worth asking about: those that lead to an anchor; where none does, the leaf alone. What
/// else was shown nobody vouches for.
pub struct Asked<'a> {
    pub(super) chain: &'a PresentedChain,
    /// With their places in the chain; what cannot be read is left out.
    pub(super) shown: Vec<(usize, X509Certificate<'a>)>,
    /// Places of those that are worth asking about, leaf first.
    path: Vec<usize>,
}

impl<'a> Asked<'a> {
    /// Of a chain whose path to one of these anchors is known ([`crate::Proven::path`]), or is found here, which is to verify its
    /// signatures again. Where nothing that was shown says whom to ask there is nothing to find.
    pub fn of(
        chain: &'a PresentedChain,
        anchors: &Anchors,
        known: Option<&[usize]>,
        now: Timestamp,
    ) -> Self {
        let ders = chain.certificates.iter().take(CHAIN_LENGTH).enumerate();
        let shown: Vec<_> = ders
            .filter_map(|(place, der)| Some((place, X509Certificate::from_der(der).ok()?.1)))
            .collect();
        let silent = shown
            .iter()
            .all(|(_, one)| source(one).is_none() && ocsp::responder(one).is_none());
        let path = match known {
            _ if silent => Vec::new(),
            Some(known) => known.to_vec(),
            None => found(chain, anchors, now),
        };
        Self { chain, shown, path }
    }

    /// Those that are worth asking about.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &(usize, X509Certificate<'a>)> {
        let at = move |place: &usize| self.shown.iter().find(|(shown, _)| shown == place);
        self.path.iter().filter_map(at)
    }

    /// Where lists that speak of the chain are to be had: the first web address of the distribution points of each certificate.
    pub fn sources(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (_, certificate) in self.certificates() {
            if let Some(url) = source(certificate)
                && !found.contains(&url)
            {
                found.push(url);
            }
            if found.len() == LISTS {
                break;
            }
        }
        found
    }
}

/// Where lists that speak of one certificate are to be had.
pub(super) fn source(certificate: &X509Certificate<'_>) -> Option<String> {
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::CRLDistributionPoints(points) = extension.parsed_extension() else {
            return None;
        };
        points.points.iter().find_map(|point| {
            let Some(DistributionPointName::FullName(names)) = &point.distribution_point else {
                return None;
            };
            names.iter().find_map(|name| match name {
                GeneralName::URI(uri)
                    if uri.starts_with("http://") || uri.starts_with("https://") =>
                {
                    Some((*uri).to_owned())
                }
                _ => None,
            })
        })
    })
}
