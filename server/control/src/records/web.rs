//! What the owner's website is to answer: for POSH a redirect to us, a document that refers to us, or the fingerprints; for the
//! certificate authority a redirect (http-01). And what our own doors answer to whoever was led to them.

use dna::Service;
use serde::Serialize;
use store::DomainRow;
use xmpp::jid::DomainName;

use super::challenge::WELL_KNOWN;
use super::{DomainFacts, Mode, Standing, certified, challenge_url, check_answer, check_token};
use crate::Control;
use crate::domain::{Memory, state_of};
use crate::error::Result;
use crate::observe::{HttpView, Observation, PoshView};
use crate::rollover::held;
use crate::settings::PlatformSettings;

/// Both kinds of streams have a document of their own (POSH-02).
pub(crate) const SERVICES: [Service; 2] = [Service::Client, Service::Server];

/// One address of the owner's website.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebView {
    /// `xmpp-client` or `xmpp-server` (POSH), `acme-challenge` (http-01), `host-meta` or `host-meta.json`.
    pub service: &'static str,
    /// What others ask: `https://example.com/.well-known/posh/xmpp-client.json`. With `acme-challenge`, everything below it.
    pub address: String,
    /// Where to redirect that, temporarily (302 or 307, POSH-26); empty where this service has no address for it.
    pub redirect: String,
    /// Or what to answer instead: a document that refers to us, and never changes (POSH-21). Where this service has no address for
    /// it, the fingerprints themselves, which change with every certificate. Empty: only the redirect will do.
    pub document: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Web pages of others must be allowed to read it: `Access-Control-Allow-Origin: *` on the answer, a redirect too
    /// (XEP-0156 3).
    pub cross_origin: bool,
    /// Why, in a sentence.
    pub why: String,
    /// May it be left out?
    pub optional: bool,
    /// The redirect as usual web servers spell it.
    pub examples: Vec<WebExample>,
    /// How it stands.
    pub standing: Standing,
}

/// A redirect in a web server's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebExample {
    /// `nginx`, `Apache`, `Caddy`.
    pub server: &'static str,
    /// Lines of its configuration.
    pub text: String,
}

/// Address of a domain's document at our own door; `None` where that has none (POSH-20).
pub fn posh_url(settings: &PlatformSettings, label: &str, service: Service) -> Option<String> {
    let web = settings.web.trim_end_matches('/');
    (!web.is_empty()).then(|| {
        let service = service.name();
        format!("{web}/posh/{label}/{service}.json")
    })
}

/// Whose document our doors are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    /// The domain (or one of its services) whose website this door is.
    Domain(&'a DomainName),
    /// The domain whose website led here, by its label.
    Label(&'a str),
}

impl Control {
    /// The fingerprints of what is in use and what is to come, for the public door, which asks as nobody in particular. The
    /// same for both kinds of streams, which show the same certificate. `None`: there is none, or it is not offered (POSH-04).
    pub async fn posh_document(&self, whose: Whose<'_>) -> Result<Option<String>> {
        let row = match whose {
            Whose::Domain(name) => self.store().domain_hosted(name).await?,
            Whose::Label(label) => self.store().domain_find_label(label).await?,
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

    /// What our doors answer to an authority that checks a name by HTTP (http-01, RFC 8555 8.3), and to our own question whether
    /// one would get through. A domain's order shows its own answers only (ACME-08). `None`: nothing is shown there.
    pub async fn challenge_answer(&self, whose: Whose<'_>, token: &str) -> Result<Option<String>> {
        if token.is_empty() || token.len() > TOKEN_BYTES || !token.bytes().all(is_token_byte) {
            return Ok(None);
        }
        let own = match whose {
            Whose::Domain(name) => {
                let shown = self.store().answer_get(&name.to_ascii(), token).await?;
                if shown.is_some() {
                    return Ok(shown);
                }
                let parent = name.as_str().split_once('.').map(|(_, parent)| parent);
                let parent = parent.and_then(|parent| DomainName::parse(parent).ok());
                match (self.store().domain_hosted(name).await?, parent) {
                    (None, Some(parent)) => self.store().domain_hosted(&parent).await?,
                    (found, _) => found,
                }
            }
            Whose::Label(label) => {
                let shown = self.store().answer_get_label(label, token).await?;
                if shown.is_some() {
                    return Ok(shown);
                }
                self.store().domain_find_label(label).await?
            }
        };
        let known = own.filter(|row| token == check_token(&row.label));
        Ok(known.map(|row| check_answer(&row.label)))
    }

    pub(super) async fn web_views(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        seen: &Observation,
    ) -> Result<Vec<WebView>> {
        let mut views = self.challenge_views(facts, seen);
        if facts.posh {
            views.extend(self.posh_views(row, facts, seen).await?);
        }
        Ok(views)
    }

    fn challenge_views(&self, facts: &DomainFacts, seen: &Observation) -> Vec<WebView> {
        let settings = self.settings();
        let Some(redirect) =
            challenge_url(settings, &facts.label).filter(|_| facts.mode == Mode::HttpRedirect)
        else {
            return Vec::new();
        };
        let port = match settings.http_port {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let names = certified(facts, settings).into_iter();
        names
            .map(|certified| {
                let name = certified.name.to_ascii();
                let why = match certified.service {
                    None => format!(
                        "Lets us obtain and renew the certificate for {}.",
                        certified.name
                    ),
                    Some(_) => format!("Puts {} into the certificate.", certified.name),
                };
                WebView {
                    service: "acme-challenge",
                    address: format!("http://{name}{port}{WELL_KNOWN}"),
                    redirect: redirect.clone(),
                    document: String::new(),
                    content_type: "",
                    cross_origin: false,
                    why,
                    optional: certified.service.is_some(),
                    examples: examples(&redirect),
                    standing: leads(seen.http.get(name.as_ref())),
                }
            })
            .collect()
    }

    async fn posh_views(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        seen: &Observation,
    ) -> Result<Vec<WebView>> {
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
                    }
                    .into(),
                    optional: false,
                    examples: Vec::new(),
                    standing: standing(seen.posh.get(service.name()), &kept.spellings()),
                }
            })
            .collect())
    }
}

/// Longest token that is looked for.
const TOKEN_BYTES: usize = 256;

/// RFC 8555 8.3: base64url.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The redirect as usual web servers spell it; ours takes what follows, with or without the path before the token.
fn examples(redirect: &str) -> Vec<WebExample> {
    let example = |server, text| WebExample { server, text };
    let base = redirect.trim_end_matches('/');
    // At the plain door the path is the same, so only the host changes.
    let whole = base.strip_suffix(WELL_KNOWN.trim_end_matches('/'));
    let whole = whole.unwrap_or(base);
    vec![
        example(
            "nginx",
            format!("location ^~ {WELL_KNOWN} {{ return 302 {whole}$request_uri; }}"),
        ),
        example("Apache", format!("Redirect 302 {WELL_KNOWN} {redirect}")),
        example("Caddy", format!("redir {WELL_KNOWN}* {whole}{{uri}} 302")),
    ]
}

fn leads(view: Option<&HttpView>) -> Standing {
    use crate::observe::HttpFault;
    match view.map(|view| view.fault) {
        None | Some(Some(HttpFault::Unknown)) => Standing::Unknown,
        Some(None) => Standing::Seen,
        Some(Some(HttpFault::NoAddress | HttpFault::NoAnswer)) => Standing::Missing,
        Some(Some(_)) => Standing::Different,
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
