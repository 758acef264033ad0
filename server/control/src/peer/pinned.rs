//! Trust anchors that a domain's owner pins for one peer: then only certificates under them prove that peer, and the public
//! authorities are not asked (CERT-21, -22). Kept as PEM in the domain's settings, shown as people compare them: subject,
//! fingerprint, expiry.
//!
//! Refuses: keys, certificates that cannot be an anchor or have expired, and more of them than a handful per peer.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::certificate::{der_of, hex_colons, pem};
use crate::domain::Choices;
use crate::error::{ControlError, Result};
use crate::outside::Change;
use crate::permission::Operation;
use crate::tenant::to_json;
use crate::time::SECOND;
use crate::{Actor, Control};

/// Peers of one domain that may have anchors of their own.
const PEERS: usize = 100;
/// Anchors of one peer.
const ANCHORS: usize = 8;
/// Largest paste, bytes.
const PEM_BYTES: usize = 32 * 1024;

/// What to pin.
#[derive(Debug, Clone, Deserialize)]
pub struct PeerPin {
    /// One certificate or several, PEM: the peer's own authority, or its self-signed certificate. Replaces what is pinned.
    pub anchors_pem: String,
}

/// A peer with anchors of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinnedView {
    /// Remote domain.
    pub peer: String,
    /// Its anchors.
    pub anchors: Vec<AnchorView>,
}

/// One anchor, as people compare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnchorView {
    /// Whose certificate.
    pub subject: String,
    /// SHA-256, hex with colons.
    pub fingerprint: String,
    /// Valid until.
    #[serde(serialize_with = "crate::time::at")]
    pub not_after: Timestamp,
    /// That has passed: nothing new is proven by it.
    pub expired: bool,
}

impl Control {
    /// Pins anchors for a peer; they replace those that were pinned before. Streams with the peer are judged anew.
    pub async fn peer_pin(
        &self,
        actor: &Actor,
        domain: &str,
        peer: &str,
        pin: PeerPin,
    ) -> Result<PinnedView> {
        let row = self.domain_row(actor, Operation::PeerPin, domain).await?;
        let peer = peer_name(peer)?;
        if peer == row.name {
            return Err(ControlError::invalid(
                "peer",
                peer.as_str(),
                "this is the domain itself",
                "Name the other server's domain.",
            ));
        }
        let pem = accept(&pin.anchors_pem, self.now())?;
        let pinned = Choices::of(&row).pinned;
        if pinned.len() >= PEERS && !pinned.contains_key(peer.as_str()) {
            return Err(ControlError::Limit {
                what: "pinned peers",
                used: pinned.len() as u64,
                limit: PEERS as u64,
            });
        }
        let view = view(peer.as_str(), &pem, self.now());
        let prints: Vec<_> = view
            .anchors
            .iter()
            .map(|a| a.fingerprint.as_str())
            .collect();
        let said = format!("{peer}: {}", prints.join(" "));
        let recorded = self.recorded_of(actor, &row, Operation::PeerPin, &said);
        let row = self
            .domain_edit_in(&recorded, row.id, |fresh| {
                let mut choices = Choices::of(fresh);
                choices.pinned.insert(peer.to_string(), pem.clone());
                fresh.settings = to_json(&choices);
            })
            .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        Ok(view)
    }

    /// Takes a peer's anchors away: it is judged by the public authorities again.
    pub async fn peer_unpin(&self, actor: &Actor, domain: &str, peer: &str) -> Result<()> {
        let row = self.domain_row(actor, Operation::PeerUnpin, domain).await?;
        let absent = || ControlError::not_found("pinned peer", peer);
        let name = DomainName::parse(peer).map_err(|_| absent())?;
        if !Choices::of(&row).pinned.contains_key(name.as_str()) {
            return Err(absent());
        }
        let recorded = self.recorded_of(actor, &row, Operation::PeerUnpin, name.as_str());
        let row = self
            .domain_edit_in(&recorded, row.id, |fresh| {
                let mut choices = Choices::of(fresh);
                choices.pinned.remove(name.as_str());
                fresh.settings = to_json(&choices);
            })
            .await?;
        self.parts.live.announce(Change::Domain(row.name));
        Ok(())
    }

    /// Every pinned peer of a domain's choices, by name.
    pub(crate) fn pinned_views(&self, choices: &Choices) -> Vec<PinnedView> {
        choices
            .pinned
            .iter()
            .map(|(peer, pem)| view(peer, pem, self.now()))
            .collect()
    }
}

fn peer_name(text: &str) -> Result<DomainName> {
    DomainName::parse(text.trim()).map_err(|_| {
        ControlError::invalid(
            "peer",
            text,
            "this is not a domain name",
            "Write the other server's domain, such as example.org.",
        )
    })
}

/// The certificates of a paste as clean PEM, or what is wrong with it.
fn accept(text: &str, now: Timestamp) -> Result<String> {
    let refuse =
        |problem: String, remedy: &str| ControlError::invalid("anchors_pem", "", problem, remedy);
    if text.len() > PEM_BYTES {
        return Err(refuse(
            format!("larger than {PEM_BYTES} bytes"),
            "Paste the one authority that issues this server's certificates.",
        ));
    }
    if text.contains("PRIVATE KEY") {
        return Err(refuse(
            "holds a private key".into(),
            "Paste certificates only; whoever gave you that key should replace it.",
        ));
    }
    let ders = der_of(text)
        .filter(|ders| !ders.is_empty())
        .ok_or_else(|| {
            refuse(
                "holds no certificate that can be read".into(),
                "Paste the text that begins with -----BEGIN CERTIFICATE-----.",
            )
        })?;
    if ders.len() > ANCHORS {
        return Err(refuse(
            format!(
                "holds {} certificates, and {ANCHORS} is the most",
                ders.len()
            ),
            "Paste the one authority that issues this server's certificates.",
        ));
    }
    for (index, der) in ders.iter().enumerate() {
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Err(refuse(
                format!("certificate {} cannot be read", index + 1),
                "Paste the file as the other server's operator gave it.",
            ));
        };
        if parsed.validity().not_after.timestamp() <= now.seconds() {
            return Err(refuse(
                format!(
                    "certificate {} (\"{}\") expired at {}",
                    index + 1,
                    parsed.subject(),
                    Timestamp(parsed.validity().not_after.timestamp() * SECOND).to_xep0082()
                ),
                "Ask the other server's operator for the one in use now.",
            ));
        }
    }
    let clean: String = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
    dna::Anchors::from_pem(clean.as_bytes())
        .map_err(|error| refuse(error.to_string(), "Paste an X.509 version 3 certificate."))?;
    Ok(clean)
}

fn view(peer: &str, pem: &str, now: Timestamp) -> PinnedView {
    let anchors = der_of(pem).unwrap_or_default();
    PinnedView {
        peer: peer.to_owned(),
        anchors: anchors
            .iter()
            .filter_map(|der| {
                let (_, parsed) = X509Certificate::from_der(der).ok()?;
                let not_after = Timestamp(
                    parsed
                        .validity()
                        .not_after
                        .timestamp()
                        .saturating_mul(SECOND),
                );
                Some(AnchorView {
                    subject: parsed.subject().to_string(),
                    fingerprint: hex_colons(&Sha256::digest(der)),
                    not_after,
                    expired: not_after <= now,
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    /// A self-signed authority, valid from 1970-01-01 for a year.
    fn authority(name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(1970, 1, 1),
            rcgen::date_time_ymd(1971, 1, 1),
        );
        params.self_signed(&key).unwrap().pem()
    }

    const NOW: Timestamp = Timestamp(10 * DAY);

    #[test]
    fn cert_21_an_anchor_is_shown_as_people_compare_it() {
        let pem = accept(&format!("noise\n{}", authority("Their CA")), NOW).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
        let view = view("peer.example", &pem, NOW);
        assert_eq!(view.anchors.len(), 1);
        assert!(view.anchors[0].subject.contains("Their CA"));
        assert_eq!(view.anchors[0].fingerprint.len(), 32 * 3 - 1);
        assert_eq!(view.anchors[0].not_after, Timestamp(365 * DAY));
        assert!(!view.anchors[0].expired);
        assert!(super::view("peer.example", &pem, Timestamp(366 * DAY)).anchors[0].expired);
    }

    #[test]
    fn what_cannot_be_an_anchor_is_refused_by_name() {
        let problem = |text: &str, now| accept(text, now).unwrap_err().to_string();
        let ca = authority("Their CA");
        assert!(problem("hello", NOW).contains("no certificate"));
        assert!(problem("", NOW).contains("no certificate"));
        assert!(problem(&ca, Timestamp(366 * DAY)).contains("expired at 1971-01-01"));
        assert!(problem(&ca.repeat(9), NOW).contains("9 certificates"));
        assert!(problem(&"x".repeat(PEM_BYTES + 1), NOW).contains("larger"));
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(problem(&format!("{ca}{key}"), NOW).contains("private key"));
        let broken = pem("CERTIFICATE", b"not DER at all");
        assert!(problem(&broken, NOW).contains("certificate 1 cannot be read"));
    }
}
