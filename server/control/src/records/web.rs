//! What the owner's website is to answer for POSH: a redirect to us, a document that refers to us, or the fingerprints.

use dna::Service;
use serde::Serialize;
use store::DomainRow;
use xmpp::jid::DomainName;

use super::{DomainFacts, Standing};
use crate::Control;
use crate::domain::{Memory, state_of};
use crate::error::Result;
use crate::observe::{Observation, PoshView};
use crate::rollover::held;
use crate::settings::PlatformSettings;

/// Both kinds of streams have a document of their own (POSH-02).
pub(crate) const SERVICES: [Service; 2] = [Service::Client, Service::Server];

/// One address of the owner's website.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebView {
    /// `xmpp-client` or `xmpp-server`; `host-meta` or `host-meta.json`.
    pub service: &'static str,
    /// What others ask: `https://example.com/.well-known/posh/xmpp-client.json`.
    pub address: String,
    /// Where to redirect that, temporarily (302 or 307, POSH-26); empty where this service has no address for it.
    pub redirect: String,
    /// Or what to answer instead: a document that refers to us, and never changes (POSH-21). Where this
    /// service has no address for it, the fingerprints themselves, which change with every certificate.
    pub document: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Web pages of others must be allowed to read it: `Access-Control-Allow-Origin: *` on the answer, a redirect too
    /// (XEP-0156 3).
    pub cross_origin: bool,
    /// Why, in a sentence.
    pub why: &'static str,
    /// How it stands.
    pub standing: Standing,
}

/// Address of a domain's document at our own door; `None` where that has none (POSH-20).
pub fn posh_url(settings: &PlatformSettings, label: &str, service: Service) -> Option<String> {
    let web = settings.web.trim_end_matches('/');
    (!web.is_empty()).then(|| {
        let service = service.name();
        format!("{web}/posh/{label}/{service}.json")
    })
}

/// Whose document the public door is asked for.
#[derive(Debug, Clone, Copy)]
pub enum PoshOf<'a> {
    /// The domain whose website this door is.
    Domain(&'a DomainName),
    /// The domain whose website led here, by its label.
    Label(&'a str),
}

impl Control {
    /// The fingerprints of what is in use and what is to come, for the public door, which asks as nobody in particular. The
    /// same for both kinds of streams, which show the same certificate. `None`: there is none, or it is not offered (POSH-04).
    pub async fn posh_document(&self, whose: PoshOf<'_>) -> Result<Option<String>> {
        let row = match whose {
            PoshOf::Domain(name) => self.store().domain_hosted(name).await?,
            PoshOf::Label(label) => self.store().domain_find_label(label).await?,
        };
        let Some(row) = row.filter(|row| row.verified_at.is_some() && state_of(row).is_served())
        else {
            return Ok(None);
        };
        if !self.facts_of(&row, &Memory::of(&row)).posh {
            return Ok(None);
        }
        Ok(held(self, &row).await?.document(self, &row))
    }

    pub(super) async fn web_views(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        seen: &Observation,
    ) -> Result<Vec<WebView>> {
        if !facts.posh {
            return Ok(Vec::new());
        }
        let kept = held(self, row).await?;
        let fingerprints = kept.document(self, row).unwrap_or_default();
        let settings = self.settings();
        Ok(SERVICES
            .into_iter()
            .map(|service| {
                let redirect = posh_url(settings, &facts.label, service).unwrap_or_default();
                let port = match settings.website_port {
                    443 => String::new(),
                    port => format!(":{port}"),
                };
                WebView {
                    service: service.name(),
                    address: format!(
                        "https://{}{port}/.well-known/posh/{}.json",
                        facts.ascii(),
                        service.name()
                    ),
                    document: if redirect.is_empty() {
                        fingerprints.clone()
                    } else {
                        dna::posh::reference(&redirect, settings.posh_expires_seconds)
                    },
                    redirect,
                    content_type: "application/json",
                    cross_origin: false,
                    why: match service {
                        Service::Client => "Lets apps that know POSH see that we speak for you.",
                        Service::Server => "Lets servers that know POSH see that we speak for you.",
                    },
                    standing: standing(seen.posh.get(service.name()), &kept.spellings()),
                }
            })
            .collect())
    }
}

/// Every certificate that may be shown must be listed.
fn standing(view: Option<&PoshView>, wanted: &[Vec<String>]) -> Standing {
    match view {
        None => Standing::Unknown,
        Some(view) if view.unknown => Standing::Unknown,
        Some(view) if view.code == "posh-not-published" => Standing::Missing,
        Some(view) => {
            let listed = |certificate: &Vec<String>| {
                certificate
                    .iter()
                    .any(|spelling| view.listed.contains(spelling))
            };
            if !wanted.is_empty() && wanted.iter().all(listed) {
                Standing::Seen
            } else {
                Standing::Different
            }
        }
    }
}
