//! The form in which an owner edits their zone, as their DNS host names it (Domain Connect, draft-ietf-dconn-domainconnect:
//! provider discovery).
//!
//! Refuses: to let the host write the records. That needs a template agreed with each host, and the owner's word there; here
//! they are led to the place, and see what they type.

use dna::{Fetch, Outcome, RecordData, RecordType, Url};
use serde::{Deserialize, Serialize};

use super::Eyes;

/// Bytes of the host's settings that are read.
const SETTINGS_BYTES: usize = 16 * 1024;
/// Longest address, and longest name of a host, that are kept, in bytes.
const ADDRESS_BYTES: usize = 512;
const NAME_BYTES: usize = 64;

/// A DNS host that says who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectView {
    /// What it calls itself; empty: nothing.
    pub host: String,
    /// Where its customers edit this zone: an address with `https`.
    pub panel: String,
}

/// What a host says of a zone; the rest of it is for others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Settings {
    provider_name: String,
    provider_display_name: String,
    url_control_panel: String,
}

/// Asks for the host of a zone (A-labels). Nothing for whoever takes no part in this, and wherever something is amiss: the pages
/// go without.
pub(super) async fn connect(eyes: &Eyes<'_>, fetch: &dyn Fetch, zone: &str) -> Option<ConnectView> {
    let name = format!("_domainconnect.{zone}");
    let Outcome::Found(records) = eyes.resolver(&name, RecordType::Txt).await.outcome else {
        return None;
    };
    let api = records.iter().find_map(|record| match &record.data {
        RecordData::Txt(text) => place(text),
        _ => None,
    })?;
    let url = Url::parse(&format!("https://{api}/v2/{zone}/settings")).ok()?;
    let reply = fetch.get(&url, SETTINGS_BYTES).await.ok()?;
    if reply.status != 200 {
        return None;
    }
    read(&reply.body, zone)
}

/// Host and path of an interface, without anything that would lead elsewhere once it is part of an address.
fn place(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/:".contains(&byte);
    let fits = !text.is_empty() && text.len() <= ADDRESS_BYTES && !text.starts_with('/');
    (fits && text.bytes().all(is_plain)).then_some(text)
}

fn read(body: &[u8], zone: &str) -> Option<ConnectView> {
    let settings: Settings = serde_json::from_slice(body).ok()?;
    let panel = settings.url_control_panel.replace("%domain%", zone);
    let url = Url::parse(&panel).ok()?;
    let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
    if !plain || url.as_str().len() > ADDRESS_BYTES {
        return None;
    }
    let names = [settings.provider_display_name, settings.provider_name];
    let name = names.into_iter().find(|name| !name.trim().is_empty());
    let mut host = name.unwrap_or_default().trim().to_owned();
    host.truncate(host.floor_char_boundary(NAME_BYTES));
    Some(ConnectView {
        host,
        panel: url.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(body: &str) -> Option<String> {
        read(body.as_bytes(), "example.com").map(|view| view.panel)
    }

    #[test]
    fn hosts_name_the_place_where_a_zone_is_edited() {
        let body = r#"{"providerId":"dns.example","providerName":"DNS","providerDisplayName":" DNS at Example ","urlAPI":"https://api.dns.example",
            "urlControlPanel":"https://panel.dns.example/zones/%domain%","width":750}"#;
        let view = read(body.as_bytes(), "example.com").unwrap();
        assert_eq!(
            (view.host.as_str(), view.panel.as_str()),
            (
                "DNS at Example",
                "https://panel.dns.example/zones/example.com"
            )
        );
        assert_eq!(place("api.dns.example/v2x/"), Some("api.dns.example/v2x"));
    }

    #[test]
    fn what_is_no_such_place_is_none() {
        for bad in [
            "",
            "{}",
            "<html>",
            r#"{"urlControlPanel":null}"#,
            r#"{"urlControlPanel":"http://panel.dns.example/"}"#,
            r#"{"urlControlPanel":"javascript:alert(1)"}"#,
            r#"{"urlControlPanel":"https://dns.example@evil.example/"}"#,
            r#"{"urlControlPanel":"//panel.dns.example/"}"#,
        ] {
            assert_eq!(panel(bad), None, "{bad}");
        }
        let long = format!(
            r#"{{"urlControlPanel":"https://x.example/{}"}}"#,
            "x".repeat(600)
        );
        assert_eq!(panel(&long), None);
        for bad in [
            "",
            "/x",
            "x.example?a=b#",
            "me@x.example",
            "x example",
            &"x".repeat(600),
        ] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
