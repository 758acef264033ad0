//! Slots for files, HTTP File Upload, XEP-0363 version 1.2.0, at a service name of the domain, `upload.one.example`.
//!
//! A slot is an unguessable address at the public web door, into which its owner puts one file of the size that was said,
//! soon; whoever is told the address may get it. Accounts of the domain get slots, as long as they and their domain have
//! room; every refusal says the number (EXT-30). Refuses: everybody else, and the bytes themselves, which are the door's.

mod own;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::{AccountId, SlotMade, UploadRow};
use xmpp::element::Element;
use xmpp::jid::{DomainName, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Kind, Stanza, StanzaError, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::commands::COMMANDS;
use crate::context::{Context, Refusal, store_failed};
use crate::data_policy::{self, Of};
use crate::form::{Field, Form};
use crate::info::{Hooks, ModuleInfo, Service, Spec};
use crate::module::Module;

const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// Longest name of a file that is kept, in bytes; of a longer one the end stays, where its kind is.
const NAME_BYTES: usize = 200;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 24;

/// The module.
pub(crate) struct Uploads;

static SERVICE: Service = Service {
    label: "upload",
    about: "files that people share",
    category: "store",
    type_: "file",
    federated: false,
};

static INFO: ModuleInfo = ModuleInfo {
    name: "uploads",
    about: "keeps files that people share, for a while, at addresses that nobody guesses",
    specs: &[Spec::Xep(363, "1.2.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// Limits of what people share, and where it is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of one account's files, slots included.
    pub account_bytes: u64,
    /// Bytes of all files of a domain.
    pub domain_bytes: u64,
    /// Seconds for which a slot may be filled.
    pub slot_seconds: u32,
    /// Address of the public door, without a path; empty: it has none but the domain's own name.
    pub web: String,
    /// Port of the public door as the world sees it.
    pub port: u16,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            file_bytes: 100 << 20,
            account_bytes: 1 << 30,
            domain_bytes: 20 << 30,
            slot_seconds: 300,
            web: String::new(),
            port: 443,
        }
    }
}

#[async_trait]
impl Module for Uploads {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn service(&self) -> Option<&'static Service> {
        Some(&SERVICE)
    }

    async fn to_service(&self, cx: &Context<'_>, stanza: &Stanza) -> Result<(), Refusal> {
        let Some(to) = stanza.to() else { return Ok(()) };
        let get = match (stanza.kind(), stanza.type_()) {
            (Kind::Iq, StanzaType::Get) => true,
            (Kind::Iq, StanzaType::Set) | (Kind::Message, _) => false,
            _ => return Ok(()),
        };
        let asked = stanza.first_child().filter(|_| to.local().is_none());
        let payload = match (get, asked) {
            (true, Some(("query", ns::DISCO_INFO))) => Some(info(cx)),
            (true, Some(("query", ns::DISCO_ITEMS))) => Some(match node(stanza).as_deref() {
                Some(COMMANDS) => own::items(cx),
                _ => Element::new("query", ns::DISCO_ITEMS),
            }),
            (true, Some(("ping", ns::PING))) => None,
            (true, Some(("request", UPLOAD))) => Some(slot(cx, stanza).await?),
            (false, Some(("command", COMMANDS))) => {
                let (from, account) = owner(cx, stanza).await?;
                Some(own::command(cx, stanza, from, account).await?)
            }
            _ => return Err(Condition::ServiceUnavailable.into()),
        };
        cx.hand(stanza.iq_result(payload));
        Ok(())
    }
}

/// XEP-0363 4
fn info(cx: &Context<'_>) -> Element {
    let limit = cx.modules.limits.uploads.file_bytes.to_string();
    let form = Form::result(UPLOAD).field(Field::new("max-file-size", "text-single").value(&limit));
    let mut query = Element::new("query", ns::DISCO_INFO).child(
        Element::new("identity", ns::DISCO_INFO)
            .attr("category", SERVICE.category)
            .attr("type", SERVICE.type_)
            .attr("name", SERVICE.about),
    );
    for feature in [ns::DISCO_INFO, ns::DISCO_ITEMS, ns::PING, UPLOAD, COMMANDS] {
        query.push(Element::new("feature", ns::DISCO_INFO).attr("var", feature));
    }
    query
        .child(form.into_element())
        .child_opt(data_policy::form(cx.hosted, Of::Uploads))
}

/// XEP-0363 5
async fn slot(cx: &Context<'_>, iq: &Stanza) -> Result<Element, Refusal> {
    let limits = &cx.modules.limits.uploads;
    let (from, account) = owner(cx, iq).await?;
    let request = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let request = request
        .find("request", UPLOAD)
        .ok_or(Condition::BadRequest)?;
    let domain = parent(cx)?;
    let name = request.get_attr("filename").map(file_name);
    let name = name.filter(|name| !name.is_empty());
    let size = request.get_attr("size").and_then(|size| size.parse().ok());
    let (Some(name), Some(size)) = (name, size.filter(|size: &u64| *size > 0)) else {
        return Err(Refusal::new(Condition::BadRequest)
            .with_text("a slot is for a filename and a size in bytes"));
    };
    if size > limits.file_bytes {
        return Err(too_large(limits.file_bytes));
    }
    let random: [u8; TOKEN_BYTES] = rand::random();
    let row = UploadRow {
        token: URL_SAFE_NO_PAD.encode(random),
        domain: cx.store().id(),
        account,
        media_type: media_type(request.get_attr("content-type")),
        name,
        size,
        created: cx.now,
        ends: Timestamp(cx.now.0 + i64::from(limits.slot_seconds) * 1_000_000),
        stored: false,
        place: None,
        bucket: None,
    };
    let tenant_bytes = cx.hosted.quota.upload_bytes();
    let made = cx
        .store()
        .upload_slot(
            &row,
            limits.account_bytes,
            limits.domain_bytes,
            tenant_bytes,
        )
        .await;
    let full = |whose: &str, used: u64, most: u64| {
        Err(
            Refusal::new(Condition::ResourceConstraint).with_text(format!(
                "{whose} have {used} of {most} bytes; {size} more do not fit"
            )),
        )
    };
    match made.map_err(|e| store_failed(&e, &from.bare(), "making a slot"))? {
        SlotMade::Made => {}
        SlotMade::AccountFull(used) => return full("your files", used, limits.account_bytes),
        SlotMade::DomainFull(used) => {
            return full("all files of this domain", used, limits.domain_bytes);
        }
        SlotMade::TenantFull(used) => {
            return full("all files of this domain's owner", used, tenant_bytes);
        }
    }
    let base = match (limits.web.trim_end_matches('/'), limits.port) {
        ("", 443) => format!("https://{}", domain.to_ascii()),
        ("", port) => format!("https://{}:{port}", domain.to_ascii()),
        (web, _) => web.to_owned(),
    };
    let url = format!("{base}/upload/{}/{}", row.token, escaped(&row.name));
    let address = |name: &str| Element::new(name, UPLOAD).attr("url", url.as_str());
    Ok(Element::new("slot", UPLOAD)
        .child(address("put"))
        .child(address("get")))
}

/// The account of this domain that asks.
async fn owner<'a>(cx: &Context<'_>, iq: &'a Stanza) -> Result<(&'a Jid, AccountId), Refusal> {
    let strangers = || {
        Refusal::new(Condition::Forbidden)
            .with_text("files are kept for people of this domain only")
    };
    let domain = parent(cx)?;
    let from = iq.from().filter(|from| from.domain() == domain.as_str());
    let from = from.ok_or_else(strangers)?;
    let local = from.local().ok_or_else(strangers)?;
    let account = cx.store().account_active(local).await;
    let account = account.map_err(|e| store_failed(&e, &from.bare(), "looking for an account"))?;
    Ok((from, account.ok_or_else(strangers)?))
}

/// Node of a query.
fn node(iq: &Stanza) -> Option<String> {
    let payload = iq.payload().ok()?;
    let query = payload.children().next()?;
    query.get_attr("node").map(str::to_owned)
}

/// The domain whose service this is.
fn parent(cx: &Context<'_>) -> Result<DomainName, Refusal> {
    let service = cx.hosted.domain.as_str();
    let name = service.split_once('.').map_or(service, |(_, rest)| rest);
    DomainName::parse(name).map_err(|_| Condition::InternalServerError.into())
}

fn too_large(most: u64) -> Refusal {
    let limit = Element::new("max-file-size", UPLOAD).text(most.to_string());
    let mut error = StanzaError::new(Condition::NotAcceptable);
    error.text = Some(format!("a file may have {most} bytes here"));
    error.app = Some(Box::new(
        Element::new("file-too-large", UPLOAD).child(limit),
    ));
    error.into()
}

/// What is kept of a name: no path, nothing that a terminal or a header could stumble over.
fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim().trim_start_matches('.');
    let mut from = clean.len().saturating_sub(NAME_BYTES);
    while !clean.is_char_boundary(from) {
        from += 1;
    }
    clean[from..].to_owned()
}

/// A media type (RFC 6838), without parameters; what is none is `application/octet-stream`.
fn media_type(given: Option<&str>) -> String {
    let kind = given
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let is_name = |name: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !name.is_empty() && name.len() <= 64 && name.bytes().all(known)
    };
    match kind.split_once('/') {
        Some((top, sub)) if is_name(top) && is_name(sub) => kind,
        _ => "application/octet-stream".into(),
    }
}

/// All but what never needs escaping (RFC 3986 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A file's name as it stands in an address, and in the field that names a download (RFC 8187 3.2).
pub fn escaped(name: &str) -> String {
    utf8_percent_encode(name, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Limits;
    use crate::testing::House;

    async fn house(change: impl FnOnce(&mut UploadLimits)) -> House {
        let mut limits = Limits::default();
        change(&mut limits.uploads);
        House::with(limits).await
    }

    async fn ask(house: &House, from: &str, payload: &str) {
        let iq = format!("<iq type='get' id='q'>{payload}</iq>");
        house.at("upload.one.example", from, &iq).await;
    }

    fn request(size: u64) -> String {
        format!(
            "<request xmlns='{UPLOAD}' filename='../très cool.jpg' size='{size}' content-type='image/jpeg'/>"
        )
    }

    #[tokio::test]
    async fn ext_30_a_slot_has_a_long_random_address_over_https() {
        let house = house(|_| {}).await;
        let alice = house.bind("alice@one.example/phone");
        ask(&house, alice.as_str(), &request(23456)).await;
        let first = house.all(&alice).join("");
        let put = first.split("<put url='https://one.example/upload/").nth(1);
        let (token, rest) = put
            .and_then(|p| p.split_once('/'))
            .unwrap_or_else(|| panic!("{first}"));
        assert_eq!(token.len(), 32);
        assert!(
            rest.starts_with("tr%C3%A8s%20cool.jpg'/><get url="),
            "{first}"
        );
        let row = house
            .database
            .upload_find(token)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(
            (row.size, &*row.media_type, &*row.name, row.stored),
            (23456, "image/jpeg", "très cool.jpg", false)
        );
        assert_eq!(row.ends.0 - row.created.0, 300_000_000);
        ask(&house, alice.as_str(), &request(23456)).await;
        assert_ne!(first, house.all(&alice).join(""));
    }

    #[tokio::test]
    async fn ext_30_every_refusal_says_the_number() {
        let house = house(|limits| {
            (limits.file_bytes, limits.account_bytes, limits.domain_bytes) = (100, 150, 200);
            limits.web = "https://web.hosting.example/".into();
        })
        .await;
        let alice = house.bind("alice@one.example/phone");
        let bob = house.bind("bob@one.example/phone");
        let told = async |who: &Jid, size: u64| {
            ask(&house, who.as_str(), &request(size)).await;
            house.all(who).join("")
        };
        let large = told(&alice, 101).await;
        assert!(
            large.contains("<not-acceptable ")
                && large.contains("<max-file-size>100</max-file-size>"),
            "{large}"
        );
        assert!(
            told(&alice, 100)
                .await
                .contains("'https://web.hosting.example/upload/")
        );
        let full = told(&alice, 51).await;
        assert!(
            full.contains("<resource-constraint ")
                && full.contains("your files have 100 of 150 bytes"),
            "{full}"
        );
        assert!(told(&bob, 99).await.contains("<slot "));
        let full = told(&bob, 2).await;
        assert!(
            full.contains("files of this domain have 199 of 200 bytes"),
            "{full}"
        );
        assert!(told(&alice, 0).await.contains("<bad-request "));
        house
            .at(
                "upload.one.example",
                "romeo@peer.example/x",
                &format!("<iq type='get' id='q'>{}</iq>", request(1)),
            )
            .await;
        house.sent_error("upload.one.example", "forbidden");
    }

    #[tokio::test]
    async fn ext_30_the_service_says_what_it_takes() {
        let house = house(|_| {}).await;
        let alice = house.bind("alice@one.example/phone");
        ask(
            &house,
            alice.as_str(),
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        )
        .await;
        let info = house.all(&alice).join("");
        for part in [
            "category='store'",
            "type='file'",
            "var='urn:xmpp:http:upload:0'",
            "<value>104857600</value>",
        ] {
            assert!(info.contains(part), "{part}: {info}");
        }
    }

    #[tokio::test]
    async fn ext_30_an_account_lists_and_deletes_what_it_has_shared() {
        let house = house(|_| {}).await;
        let alice = house.bind("alice@one.example/phone");
        let bob = house.bind("bob@one.example/phone");
        ask(&house, alice.as_str(), &request(9)).await;
        let slot = house.all(&alice).join("");
        let token = slot
            .split("/upload/")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let token = token.expect("a token").to_owned();
        let run = async |who: &Jid, fields: &str| {
            let form = match fields {
                "" => String::new(),
                fields => format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"),
            };
            let command = format!("<command xmlns='{COMMANDS}' node='files'>{form}</command>");
            let iq = format!("<iq type='set' id='q'>{command}</iq>");
            house.at("upload.one.example", who.as_str(), &iq).await;
            house.all(who).join("")
        };
        assert!(
            run(&alice, "").await.contains("You have no files"),
            "an empty slot is no file"
        );
        let stored = house.database.upload_stored(&token, store::NEVER).await;
        assert!(stored.expect("written"));
        let listed = run(&alice, "").await;
        assert!(
            listed.contains(&token) && listed.contains("très cool.jpg, 9 bytes"),
            "{listed}"
        );
        let chosen = format!("<field var='files'><value>{token}</value></field>");
        assert!(run(&bob, &chosen).await.contains("0 deleted"), "another's");
        assert!(run(&alice, &chosen).await.contains("1 deleted"));
        assert!(
            house
                .database
                .upload_find(&token)
                .await
                .expect("read")
                .is_none()
        );
        let strangers =
            format!("<iq type='set' id='q'><command xmlns='{COMMANDS}' node='files'/></iq>");
        house
            .at("upload.one.example", "romeo@peer.example/x", &strangers)
            .await;
        house.sent_error("upload.one.example", "forbidden");
    }

    #[test]
    fn names_and_media_types_are_kept_plain() {
        for (given, kept) in [
            ("a/b\\c.txt", "c.txt"),
            ("..hidden", "hidden"),
            ("x\r\ny", "xy"),
            ("/", ""),
        ] {
            assert_eq!(file_name(given), kept);
        }
        assert_eq!(file_name(&"é".repeat(200)).len(), 200);
        for (given, kept) in [
            (Some("Image/PNG; q=1"), "image/png"),
            (Some("text"), "application/octet-stream"),
            (Some("a b/c"), "application/octet-stream"),
            (None, "application/octet-stream"),
        ] {
            assert_eq!(media_type(given), kept);
        }
    }
}
