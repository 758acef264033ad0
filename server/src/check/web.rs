//! What a domain's website says about its chat: POSH documents (RFC 7711) and host-meta (XEP-0156).

use dna::posh::{Evidence, Material};
use dna::{FetchError, Url};
use serde::Serialize;
use xmpp::jid::DomainName;

use super::Eyes;

/// Largest host-meta that is read, in bytes.
const HOST_META_BYTES: usize = 64 * 1024;
/// Link relations that lead an app in a browser to the server (XEP-0156).
const RELATIONS: [(&str, &str); 2] = [
    ("urn:xmpp:alt-connections:websocket", "WebSocket"),
    ("urn:xmpp:alt-connections:xbosh", "BOSH"),
];

/// A document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Where it came from in the end.
    pub url: String,
    /// `found`, `none`, `unknown` (could not be asked), `broken`.
    pub state: &'static str,
    /// Stable code of what is wrong; empty when nothing is.
    pub code: &'static str,
    /// What is in it, or what is wrong with it.
    pub text: String,
}

/// The website.
#[derive(Debug, Clone, Serialize)]
pub struct Website {
    /// `/.well-known/host-meta`.
    pub host_meta: Document,
    /// `/.well-known/host-meta.json`.
    pub host_meta_json: Document,
}

pub(super) fn posh(evidence: &Evidence) -> Document {
    let document = |state, code, text| Document {
        url: evidence.source.clone(),
        state,
        code,
        text,
    };
    match &evidence.material {
        Material::Fingerprints(list) => {
            let hashes: Vec<_> = list.iter().map(|one| one.hash.name()).collect();
            document("found", "", format!("fingerprints: {}", hashes.join(", ")))
        }
        Material::Nothing(nothing) => {
            let state = match nothing.code() {
                "posh-not-published" => "none",
                // A website that is not there is no broken document.
                "posh-no-address" | "posh-unreachable" | "posh-timeout" | "posh-busy" => "unknown",
                _ => "broken",
            };
            document(state, nothing.code(), nothing.to_string())
        }
    }
}

pub(super) async fn website(domain: &DomainName, eyes: &Eyes) -> Website {
    let (host_meta, host_meta_json) = futures_util::join!(
        host_meta(domain, "host-meta", eyes),
        host_meta(domain, "host-meta.json", eyes)
    );
    Website {
        host_meta,
        host_meta_json,
    }
}

async fn host_meta(domain: &DomainName, file: &str, eyes: &Eyes) -> Document {
    let address = format!(
        "https://{}:{}/.well-known/{file}",
        domain.to_ascii(),
        eyes.web_port
    );
    let document = |url: &str, state, text: String| Document {
        url: url.to_owned(),
        state,
        code: "",
        text,
    };
    let Ok(mut url) = Url::parse(&address) else {
        return document(&address, "none", String::new());
    };
    for _ in 0..3 {
        let reply = match eyes.fetch.get(&url, HOST_META_BYTES).await {
            Ok(reply) => reply,
            Err(error @ (FetchError::Certificate { .. } | FetchError::Protocol { .. })) => {
                return document(url.as_str(), "broken", error.to_string());
            }
            Err(error) => return document(url.as_str(), "unknown", error.to_string()),
        };
        match (reply.status, reply.location) {
            (200, _) => {
                return match links(&String::from_utf8_lossy(&reply.body)) {
                    links if links.is_empty() => {
                        document(url.as_str(), "none", "it names no way for apps".into())
                    }
                    links => document(url.as_str(), "found", links.join(", ")),
                };
            }
            (301 | 302 | 303 | 307 | 308, Some(location)) => match url.join(&location) {
                Ok(next) if next.scheme() == "https" => url = next,
                _ => return document(url.as_str(), "broken", "it leads away from HTTPS".into()),
            },
            (404 | 410, _) => return document(url.as_str(), "none", String::new()),
            (status, _) => {
                return document(url.as_str(), "broken", format!("HTTP status {status}"));
            }
        }
    }
    document(url.as_str(), "broken", "it redirects too often".into())
}

/// The ways for apps that it names. The text is only looked through: what it says is shown to people, not followed.
fn links(text: &str) -> Vec<&'static str> {
    RELATIONS
        .iter()
        .filter(|(relation, _)| text.contains(relation))
        .map(|(_, name)| *name)
        .collect()
}
