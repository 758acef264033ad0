//! Fetching a POSH document: the well-known address, redirects, one reference (RFC 7711 3, 10).
//!
//! Every hop is HTTPS and its certificate is checked for the host asked. All redirects are temporary here (POSH-27), HTTP's
//! own caching is ignored (POSH-36). Refuses: a reference behind a reference (POSH-19), other schemes (POSH-25), more than a
//! few redirects in all.

use std::time::Duration;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::{Document, Evidence, LONGEST, Material, Nothing};
use crate::fetch::{Fetch, Url};
use crate::{FetchError, Service};

/// Most redirects, over both documents (POSH-28).
const REDIRECTS: usize = 5;
/// Largest document, in bytes.
pub const DOCUMENT_BYTES: usize = 64 * 1024;
/// How long it is remembered that there is none.
const NONE_LASTS: Duration = Duration::from_secs(600);
/// How long it is remembered that there is trouble.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// The address asked for a domain and service (POSH-02, POSH-22).
pub fn well_known(domain: &DomainName, service: Service, port: u16) -> Option<Url> {
    if domain.is_ip() {
        return None;
    }
    let host = domain.to_ascii();
    let name = service.name();
    Url::parse(&format!(
        "https://{host}:{port}/.well-known/posh/{name}.json"
    ))
    .ok()
}

/// What a domain's website publishes, as it says so itself: for whoever answers for the website.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What there is.
    pub material: Material,
    /// Address it came from in the end, or at which the search ended.
    pub source: String,
    /// How long it asks to be believed, the lower of the two where there is a reference; 0: there is nothing to believe.
    pub expires_seconds: u64,
}

/// Fetches what a domain publishes, by the rules of everybody who verifies it (POSH-47).
pub async fn published(
    fetch: &dyn Fetch,
    domain: &DomainName,
    service: Service,
    port: u16,
) -> Published {
    let Some(url) = well_known(domain, service, port) else {
        return Published {
            material: Material::Nothing(Nothing::NotPublished),
            source: String::new(),
            expires_seconds: 0,
        };
    };
    let mut hops = Hops {
        fetch,
        url,
        redirects: REDIRECTS,
    };
    let (material, expires_seconds) = match hops.fingerprints().await {
        Ok((list, expires)) => (Material::Fingerprints(list), expires),
        Err(nothing) => (Material::Nothing(nothing), 0),
    };
    Published {
        material,
        source: hops.url.to_string(),
        expires_seconds,
    }
}

/// Looks for the fingerprints of a domain. `port` is 443 but in private worlds.
pub async fn look_up(
    fetch: &dyn Fetch,
    domain: &DomainName,
    service: Service,
    port: u16,
    now: Timestamp,
) -> Evidence {
    let found = published(fetch, domain, service, port).await;
    let lasts = match &found.material {
        Material::Fingerprints(_) => Duration::from_secs(found.expires_seconds).min(LONGEST),
        Material::Nothing(Nothing::NotPublished) => NONE_LASTS,
        Material::Nothing(_) => TROUBLE_LASTS,
    };
    Evidence {
        material: found.material,
        source: found.source,
        until: now.after(lasts),
    }
}

struct Hops<'a> {
    fetch: &'a dyn Fetch,
    url: Url,
    redirects: usize,
}

impl Hops<'_> {
    async fn fingerprints(&mut self) -> Result<(Vec<super::Descriptor>, u64), Nothing> {
        let first = self.document().await?;
        let (url, lower) = match first {
            Document::Fingerprints { list, expires } => return Ok((list, expires)),
            Document::Reference { url, expires } => (url, expires),
        };
        let url = Url::parse(&url).map_err(|_| Nothing::Malformed("has a \"url\" that is none"))?;
        self.go(url)?;
        match self.document().await? {
            // POSH-34: the lower of the two.
            Document::Fingerprints { list, expires } => Ok((list, expires.min(lower))),
            Document::Reference { .. } => Err(Nothing::SecondReference),
        }
    }

    fn go(&mut self, url: Url) -> Result<(), Nothing> {
        let plain = url.username().is_empty() && url.password().is_none();
        if url.scheme() != "https" || !url.has_host() || !plain {
            return Err(Nothing::NotHttps(url.to_string()));
        }
        self.url = url;
        Ok(())
    }

    /// The document at the address, redirects followed.
    async fn document(&mut self) -> Result<Document, Nothing> {
        loop {
            let reply = self.fetch.get(&self.url, DOCUMENT_BYTES).await?;
            match reply.status {
                200..=299 => return Document::parse(&reply.body).map_err(Nothing::Malformed),
                301 | 302 | 303 | 307 | 308 => {
                    let location = reply.location.ok_or(Nothing::Status(reply.status))?;
                    let url = self
                        .url
                        .join(&location)
                        .map_err(|_| Nothing::NotHttps(location))?;
                    self.redirects = self
                        .redirects
                        .checked_sub(1)
                        .ok_or(Nothing::TooManyRedirects)?;
                    self.go(url)?;
                }
                404 | 410 => return Err(Nothing::NotPublished),
                status => return Err(Nothing::Status(status)),
            }
        }
    }
}

impl From<FetchError> for Nothing {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}
