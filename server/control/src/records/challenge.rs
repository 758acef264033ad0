//! How the names of a certificate are proven to the authority: which names, by which record, or by which redirect.

use xmpp::jid::DomainName;

use super::{DomainFacts, Mode, Purpose, RecordValue};
use crate::outside::IssuerInfo;
use crate::settings::PlatformSettings;

/// Where authorities ask for a document (RFC 8555 8.3).
pub(crate) const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// A name that the certificate is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The name.
    pub name: DomainName,
    /// Label of the service that it belongs to; `None`: the domain itself, without which there is no certificate.
    pub service: Option<String>,
}

/// Names of the certificate that is ordered for a domain, its own first (ACME-01); none where nothing is ordered.
pub fn certified(domain: &DomainFacts, settings: &PlatformSettings) -> Vec<Certified> {
    if !domain.mode.orders() {
        return Vec::new();
    }
    let own = Certified {
        name: domain.name.clone(),
        service: None,
    };
    // Only what other servers reach by name has to be in it.
    let services = settings
        .service_names
        .iter()
        .filter(|service| service.federated && domain.services.contains(&service.label))
        .map(|service| &service.label)
        .chain(&domain.components)
        .filter_map(|label| {
            Some(Certified {
                name: DomainName::parse(&format!("{label}.{}", domain.name)).ok()?,
                service: Some(label.clone()),
            })
        });
    std::iter::once(own).chain(services).collect()
}

/// The record that proves a name: what for, its first label, its data. `None` where no record does.
pub(super) fn proof(
    domain: &DomainFacts,
    settings: &PlatformSettings,
) -> Option<(Purpose, &'static str, RecordValue)> {
    match domain.mode {
        Mode::DelegatedChallenge => {
            let target = domain.challenge(settings);
            let value = RecordValue::Cname { target };
            Some((Purpose::Challenge, "_acme-challenge", value))
        }
        Mode::DnsPersist => {
            let text = domain.persist.clone()?;
            let value = RecordValue::Txt { text };
            Some((Purpose::Persist, "_validation-persist", value))
        }
        Mode::HttpRedirect | Mode::Uploaded | Mode::Posh | Mode::Dane => None,
    }
}

/// Text of the record that names our account at this authority; `None`: it was not seen to offer dns-persist-01.
pub(crate) fn persist_text(issuer: &IssuerInfo) -> Option<String> {
    let name = issuer.persistent.first()?;
    let account = issuer.account_uri.as_ref()?;
    Some(format!("{name}; accounturi={account}"))
}

/// Where a domain's website is to lead authorities: the platform's web door, or else the domain's own name in our zone at the
/// plain door. What follows is the token. `None`: this service has neither.
pub fn challenge_url(settings: &PlatformSettings, label: &str) -> Option<String> {
    let web = settings.web.trim_end_matches('/');
    if !web.is_empty() {
        return Some(format!("{web}/acme/{label}/"));
    }
    let port = match settings.http_port {
        80 => String::new(),
        port => format!(":{port}"),
    };
    let host = format!("{label}.{}{port}", settings.platform_zone);
    settings
        .plain_http
        .then(|| format!("http://{host}{WELL_KNOWN}"))
}

/// The token that we ask for ourselves before an order is spent. No authority's token looks like it.
pub(crate) fn check_token(label: &str) -> String {
    format!("domicile-{label}")
}

/// What our doors answer to it.
pub(crate) fn check_answer(label: &str) -> String {
    format!("{label} is answered by domicile")
}
