//! How apps in browsers find a domain's chat service: host-meta as XRD and as JRD (RFC 6415, XEP-0156, XEP-0487).
//!
//! Where the domain's website is this service's public door, it answers itself. Everywhere else the owner's website leads to
//! the door under the platform's own name, by a redirect or by documents that never change while that name does not.
//! Refuses: server streams, which keep DNS, DANE and POSH (C-25), and the withdrawn TXT records (WS-18).

use serde_json::{Value, json};
use xmpp::jid::DomainName;

use super::web::Whose;
use super::{Standing, WebView};
use crate::Control;
use crate::domain::state_of;
use crate::error::Result;
use crate::observe::{HostMetaView, cut};
use crate::settings::PlatformSettings;

/// The two documents and their media types.
pub const HOST_META: [(&str, &str); 2] = [
    ("host-meta", "application/xrd+xml"),
    ("host-meta.json", "application/json"),
];

/// Path of the WebSocket endpoint at the public door.
pub const WEBSOCKET: &str = "/xmpp-websocket";
/// Path of the BOSH endpoint there.
pub const BOSH: &str = "/http-bind";

const RELATIONS: [(&str, &str); 2] = [
    ("urn:xmpp:alt-connections:websocket", WEBSOCKET),
    ("urn:xmpp:alt-connections:xbosh", BOSH),
];

/// The ways below an address of the public door: relation and address.
fn ways(base: &str) -> [(&'static str, String); 2] {
    let base = base.trim_end_matches('/');
    RELATIONS.map(|(relation, path)| {
        let address = match path {
            WEBSOCKET => format!("{}{path}", base.replacen("https:", "wss:", 1)),
            _ => format!("{base}{path}"),
        };
        (relation, address)
    })
}

/// XRD (XEP-0156 2.1). `base`: address of the public door, without a path.
pub(super) fn xrd(base: &str) -> String {
    let mut text = String::from(
        "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n",
    );
    for (relation, address) in ways(base) {
        // Addresses of the door hold nothing that XML gives a meaning to; an operator's oddity must not break it.
        let address = address.replace('&', "&amp;").replace('\'', "&apos;");
        let address = address.replace('<', "&lt;");
        text.push_str(&format!("  <Link rel='{relation}' href='{address}'/>\n"));
    }
    text.push_str("</XRD>\n");
    text
}

/// JRD with what XEP-0487 adds: how long it holds, names for SNI, addresses, and direct TLS.
pub(super) fn jrd(base: &str, domain: &DomainName, settings: &PlatformSettings) -> Value {
    let host = base.trim_start_matches("https://");
    let host = host.split(['/', ':']).next().unwrap_or_default();
    let mut links: Vec<Value> = ways(base)
        .into_iter()
        .map(|(relation, address)| {
            json!({
                "rel": relation, "href": address, "priority": 10, "weight": 50, "sni": host,
                "ips": settings.addresses,
            })
        })
        .collect();
    links.push(json!({
        "rel": "urn:xmpp:alt-connections:tls", "port": settings.ports.client_tls, "priority": 5, "weight": 50,
        "sni": domain.to_ascii(), "ips": settings.addresses,
    }));
    json!({ "xmpp": { "ttl": settings.record_ttl_seconds }, "links": links })
}

/// Address of one of the documents under the platform's own name; `None` where the door has none.
pub fn host_meta_url(settings: &PlatformSettings, label: &str, file: &str) -> Option<String> {
    let web = settings.web.trim_end_matches('/');
    (!web.is_empty()).then(|| format!("{web}/host-meta/{label}/{file}"))
}

impl Control {
    /// One of the documents, for the public door. `door`: its address, where the platform has no name for it. `None`: there
    /// is none for this domain.
    pub async fn host_meta(
        &self,
        whose: Whose<'_>,
        file: &str,
        door: &str,
    ) -> Result<Option<String>> {
        let row = match whose {
            Whose::Domain(name) => self.store().domain_hosted(name).await?,
            Whose::Label(label) => self.store().domain_find_label(label).await?,
        };
        let Some(row) = row.filter(|row| row.verified_at.is_some() && state_of(row).is_served())
        else {
            return Ok(None);
        };
        Ok(self.host_meta_of(&row.name, file, door))
    }

    fn host_meta_of(&self, domain: &DomainName, file: &str, door: &str) -> Option<String> {
        let settings = self.settings();
        let base = match settings.web.as_str() {
            "" => door,
            web => web,
        };
        match file {
            "host-meta" => Some(xrd(base)),
            "host-meta.json" => Some(format!("{:#}\n", jrd(base, domain, settings))),
            _ => None,
        }
    }

    /// What the owner's website is to answer; nothing where the platform has no name to lead to.
    pub(super) fn host_meta_views(
        &self,
        domain: &DomainName,
        label: &str,
        seen: Option<&HostMetaView>,
    ) -> Vec<WebView> {
        let settings = self.settings();
        let port = match settings.website_port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        HOST_META
            .into_iter()
            .filter_map(|(file, content_type)| {
                Some(WebView {
                    service: file,
                    address: format!("https://{}{port}/.well-known/{file}", domain.to_ascii()),
                    redirect: host_meta_url(settings, label, file)?,
                    document: self.host_meta_of(domain, file, "")?,
                    content_type,
                    cross_origin: true,
                    why: match file {
                        "host-meta" => "Lets apps in a browser find your chat service.",
                        _ => "The same for newer apps.",
                    }
                    .into(),
                    optional: true,
                    examples: Vec::new(),
                    standing: match seen {
                        None => Standing::Unknown,
                        Some(seen) if seen.unknown => Standing::Unknown,
                        Some(seen) if !seen.found => Standing::Missing,
                        Some(seen) if seen.is_wanted(&settings.web) => Standing::Seen,
                        Some(_) => Standing::Different,
                    },
                })
            })
            .collect()
    }
}

impl HostMetaView {
    /// Whether it names our ways, for everybody.
    pub(crate) fn is_wanted(&self, base: &str) -> bool {
        self.cross_origin && ways(base).iter().all(|(_, way)| self.names.contains(way))
    }

    /// What is in a document that was fetched: the ways for apps, as written.
    pub(crate) fn read(body: &str, allow_origin: Option<&str>) -> Self {
        let mut names = Vec::new();
        for start in ["wss://", "https://"] {
            for (at, _) in body.match_indices(start) {
                let end = body[at..].find(['"', '\'', '<', ' ', '\n', '\\']);
                names.push(
                    body[at..]
                        .get(..end.unwrap_or(0))
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
        }
        names.retain(|name| !name.is_empty());
        names.truncate(16);
        let names = names.into_iter().map(cut).collect();
        Self {
            found: body.contains(RELATIONS[0].0) || body.contains(RELATIONS[1].0),
            cross_origin: allow_origin == Some("*"),
            names,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "https://web.hosting.example";

    #[test]
    fn ws_16_both_documents_name_both_ways_over_tls_only() {
        let xrd = xrd("https://web.hosting.example/");
        for way in [
            "wss://web.hosting.example/xmpp-websocket",
            "https://web.hosting.example/http-bind",
        ] {
            assert!(xrd.contains(&format!("href='{way}'")), "{xrd}");
        }
        assert!(
            !xrd.contains("http://web") && !xrd.contains("ws://"),
            "{xrd}"
        );
        let mut settings = crate::records::tests::settings();
        settings.addresses = vec!["192.0.2.1".parse().unwrap()];
        let domain = DomainName::parse("bücher.example").unwrap();
        let jrd = jrd(WEB, &domain, &settings);
        assert_eq!(
            jrd["links"][0]["href"],
            "wss://web.hosting.example/xmpp-websocket"
        );
        assert_eq!(jrd["links"][1]["rel"], "urn:xmpp:alt-connections:xbosh");
        assert_eq!(jrd["links"][0]["sni"], "web.hosting.example");
        // WS-20
        assert_eq!(jrd["xmpp"]["ttl"], settings.record_ttl_seconds);
        assert_eq!(jrd["links"][2]["sni"], "xn--bcher-kva.example");
        assert_eq!(jrd["links"][2]["ips"][0], settings.addresses[0].to_string());
    }

    #[test]
    fn ws_17_a_document_is_wanted_when_it_names_our_ways_to_everybody() {
        let read = |text: &str, origin| HostMetaView::read(text, origin);
        assert!(read(&xrd(WEB), Some("*")).is_wanted(WEB));
        assert!(!read(&xrd(WEB), None).is_wanted(WEB));
        assert!(!read(&xrd("https://other.example"), Some("*")).is_wanted(WEB));
        assert!(read(&xrd("https://other.example"), Some("*")).found);
        assert!(!read("<html>not here</html>", Some("*")).found);
    }
}
