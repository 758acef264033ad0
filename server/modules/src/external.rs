//! External services, XEP-0215 version 1.0.0: where clients find STUN and TURN for calls, with credentials that end by themselves.
//!
//! Which there are, the platform says, or the domain's owner in its place. Credentials are made, not kept: a name that says
//! until when and for whom, and a password that the relay can check because it knows the same secret: the platform's for the
//! platform's relays, the owner's for those of the domain. Refuses: everybody but the domain's own people (EXT-31), and
//! credentials for hosts that neither has named.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::{Condition, Stanza};
use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::context::{Context, Refusal, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Module};

/// The module.
pub(crate) struct ExternalServices;

const EXTDISCO: &str = "urn:xmpp:extdisco:2";

const fn door(name: &'static str) -> IqDoor {
    IqDoor {
        ns: EXTDISCO,
        name,
        types: IqTypes::Get,
        at_server: true,
        at_account: Audience::Nobody,
        of_sessions: false,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "external",
    about: "tells people's clients where calls find STUN and TURN, with credentials that end by themselves",
    specs: &[Spec::Xep(215, "1.0.0")],
    switchable: true,
    iq: &[door("services"), door("credentials")],
    hooks: Hooks::NONE,
    server_features: &[EXTDISCO],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// What the platform has.
#[derive(Clone, Default)]
pub struct External {
    services: Vec<ExternalService>,
    secret: Zeroizing<Vec<u8>>,
    seconds: u32,
}

impl External {
    /// These services, what their relays know too, to check credentials with (empty: there are none), and how long credentials
    /// hold.
    pub fn new(services: Vec<ExternalService>, secret: &str, seconds: u32) -> Self {
        Self {
            services,
            secret: Zeroizing::new(secret.as_bytes().to_vec()),
            seconds,
        }
    }
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("External")
            .field("services", &self.services)
            .field("secret", &"…")
            .field("seconds", &self.seconds)
            .finish()
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalService {
    type_: String,
    host: String,
    port: u16,
    transport: String,
}

impl ExternalService {
    /// `stun:HOST[:PORT]`, `turn:HOST[:PORT][?transport=udp|tcp]`, or with `stuns`, `turns` over TLS (RFC 7064, RFC 7065).
    /// `None`: it is none.
    pub fn parse(uri: &str) -> Option<Self> {
        let (type_, rest) = uri.trim().split_once(':')?;
        let secure = match type_ {
            "stun" | "turn" => false,
            "stuns" | "turns" => true,
            _ => return None,
        };
        let (place, transport) = match rest.split_once("?transport=") {
            Some((place, transport @ ("udp" | "tcp"))) => (place, transport),
            Some(_) => return None,
            None => (rest, if secure { "tcp" } else { "udp" }),
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(six) => {
                let (host, after) = six.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, after.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let named = !host.is_empty()
            && host.len() <= 255
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if secure => 5_349,
            None => 3_478,
        };
        named.then(|| Self {
            type_: type_.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
            transport: transport.to_owned(),
        })
    }

    fn is_relay(&self) -> bool {
        self.type_.starts_with("turn")
    }

    fn element(&self) -> Element {
        Element::new("service", EXTDISCO)
            .attr("type", self.type_.as_str())
            .attr("host", self.host.as_str())
            .attr("port", self.port.to_string())
            .attr("transport", self.transport.as_str())
    }
}

#[async_trait]
impl Module for ExternalServices {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
        let from = iq.from().ok_or(Condition::BadRequest)?;
        // `from` of a session of this domain is stamped by its stream.
        if !cx.is_account(from) {
            return Err(Condition::Forbidden.into());
        }
        let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
        let asked = tree.children().next().ok_or(Condition::BadRequest)?;
        let there = there(cx);
        let own = own_secret(cx, from).await?;
        let own = own.as_deref().map(Vec::as_slice);
        if asked.name() == "services" {
            let type_ = asked.get_attr("type");
            let wanted = there
                .iter()
                .filter(|s| type_.is_none_or(|type_| s.type_ == type_));
            let list = wanted.map(|s| with_credentials(cx, s, own, from.bare_str()));
            return Ok(Answer::Payload(
                Element::new("services", EXTDISCO)
                    .attr_opt("type", type_)
                    .children_from(list),
            ));
        }
        let service = asked
            .find("service", EXTDISCO)
            .ok_or(Condition::BadRequest)?;
        let (Some(host), Some(type_)) = (service.get_attr("host"), service.get_attr("type")) else {
            return Err(Condition::BadRequest.into());
        };
        let port = match service.get_attr("port") {
            Some(port) => Some(port.parse::<u16>().map_err(|_| Condition::BadRequest)?),
            None => None,
        };
        let found = there.iter().filter(|s| {
            s.type_ == type_
                && s.host.eq_ignore_ascii_case(host)
                && port.is_none_or(|port| s.port == port)
        });
        let found: Vec<Element> = found
            .map(|s| with_credentials(cx, s, own, from.bare_str()))
            .collect();
        if found.is_empty() {
            return Err(Condition::ItemNotFound.into());
        }
        Ok(Answer::Payload(
            Element::new("credentials", EXTDISCO).children_from(found),
        ))
    }
}

/// The domain's own list, or the platform's.
fn there(cx: &Context<'_>) -> Vec<ExternalService> {
    match &cx.hosted.settings.external {
        Some(own) => own
            .iter()
            .filter_map(|uri| ExternalService::parse(uri))
            .collect(),
        None => cx.modules.external.services.clone(),
    }
}

/// What the domain's own relays know too; `None`: it has no relays of its own, or they know nothing.
async fn own_secret(cx: &Context<'_>, from: &Jid) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    if cx.hosted.settings.external.is_none() {
        return Ok(None);
    }
    let secret = cx.store().external_secret().await;
    secret.map_err(|error| store_failed(&error, &from.bare(), "reading the secret of relays"))
}

/// With a name and a password if it is a relay that the platform knows, or else one of the domain's that knows its secret.
fn with_credentials(
    cx: &Context<'_>,
    service: &ExternalService,
    own: Option<&[u8]>,
    account: &str,
) -> Element {
    let external = &cx.modules.external;
    let element = service.element();
    // The platform's relays know nobody's secret but the platform's, whoever names them.
    let secret = match external.services.iter().any(|s| s.host == service.host) {
        true => external.secret.as_slice(),
        false => own.unwrap_or_default(),
    };
    if !service.is_relay() || secret.is_empty() {
        return element;
    }
    let end = cx.now.0 / 1_000_000 + i64::from(external.seconds);
    let name = format!("{end}:{account}");
    // Any length is a key of HMAC.
    let password = Hmac::<Sha1>::new_from_slice(secret).map(|mut mac| {
        mac.update(name.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    });
    element
        .attr("username", name.as_str())
        .attr("password", password.unwrap_or_default())
        .attr("restricted", "1")
        .attr("expires", Timestamp(end * 1_000_000).to_xep0082())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    fn external() -> External {
        let parse = |uri| ExternalService::parse(uri).expect("a service");
        External {
            services: vec![
                parse("stun:stun.one.example"),
                parse("turn:turn.one.example:3479?transport=tcp"),
            ],
            secret: Zeroizing::new(b"shared".to_vec()),
            seconds: 3_600,
        }
    }

    #[test]
    fn ext_31_addresses_of_services_are_read() {
        for (uri, read) in [
            ("stun:a.example", Some(("stun", "a.example", 3_478, "udp"))),
            (
                "turns:a.example",
                Some(("turns", "a.example", 5_349, "tcp")),
            ),
            (
                "turn:[2001:db8::1]:99?transport=tcp",
                Some(("turn", "2001:db8::1", 99, "tcp")),
            ),
            ("turn:a.example:0", None),
            ("turn:a.example?transport=sctp", None),
            ("turn:", None),
            ("http:a.example", None),
            ("turn:a b", None),
            ("turn:[zz]:1", None),
        ] {
            let found = ExternalService::parse(uri);
            let found = found.as_ref();
            let found = found.map(|s| {
                (
                    s.type_.as_str(),
                    s.host.as_str(),
                    s.port,
                    s.transport.as_str(),
                )
            });
            assert_eq!(found, read, "{uri}");
        }
    }

    #[tokio::test]
    async fn ext_31_own_people_get_services_with_credentials_that_end() {
        let mut house = House::new().await;
        house.external(external());
        let alice = house.bind("alice@one.example/phone");
        let get = "<services xmlns='urn:xmpp:extdisco:2'/>";
        house.iq(&alice, "get", Some("one.example"), get).await;
        let answer = house.take(&alice);
        assert!(
            answer.contains(
                "<service type='stun' host='stun.one.example' port='3478' transport='udp'/>"
            ),
            "{answer}"
        );
        // 2026-01-01T01:00:00Z, and what coturn computes of it.
        let name = "1767229200:alice@one.example";
        let mut mac = Hmac::<Sha1>::new_from_slice(b"shared").expect("a key");
        mac.update(name.as_bytes());
        let password = STANDARD.encode(mac.finalize().into_bytes());
        for part in [
            "type='turn' host='turn.one.example' port='3479' transport='tcp'".to_owned(),
            format!("username='{name}'"),
            format!("password='{password}'"),
            "expires='2026-01-01T01:00:00".to_owned(),
        ] {
            assert!(answer.contains(&part), "{part} in {answer}");
        }
        let get = "<services xmlns='urn:xmpp:extdisco:2' type='stun'/>";
        house.iq(&alice, "get", Some("one.example"), get).await;
        assert!(!house.take(&alice).contains("turn"));
        let get = "<credentials xmlns='urn:xmpp:extdisco:2'><service host='turn.one.example' type='turn'/></credentials>";
        house.iq(&alice, "get", Some("one.example"), get).await;
        assert!(house.take(&alice).contains(&password));
    }

    #[tokio::test]
    async fn ext_31_nobody_else_does_and_nonsense_is_refused() {
        let mut house = House::new().await;
        house.external(external());
        let get = "<services xmlns='urn:xmpp:extdisco:2'/>";
        house
            .iq_from("romeo@peer.example/x", "get", "one.example", get)
            .await;
        house.sent_error("one.example", "forbidden");
        let alice = house.bind("alice@one.example/phone");
        for (inside, condition) in [
            ("", "bad-request"),
            ("<service host='turn.one.example'/>", "bad-request"),
            (
                "<service host='turn.one.example' type='turn' port='x'/>",
                "bad-request",
            ),
            (
                "<service host='other.example' type='turn'/>",
                "item-not-found",
            ),
        ] {
            let get = format!("<credentials xmlns='urn:xmpp:extdisco:2'>{inside}</credentials>");
            house.iq(&alice, "get", Some("one.example"), &get).await;
            house.got_error(&alice, condition);
        }
    }

    #[tokio::test]
    async fn ext_31_a_domain_s_own_relays_know_its_own_secret_and_nobody_else_does() {
        let mut house = House::new().await;
        house.external(external());
        let own = [
            "turn:relay.one.example",
            "turn:turn.one.example:3479",
            "stun:relay.one.example",
        ];
        house.settings(|s| s.external = Some(own.map(str::to_owned).to_vec()));
        let alice = house.bind("alice@one.example/phone");
        let get = "<services xmlns='urn:xmpp:extdisco:2'/>";
        house.iq(&alice, "get", Some("one.example"), get).await;
        assert_eq!(
            house.take(&alice).matches("password=").count(),
            1,
            "the platform's relay alone"
        );
        house
            .store()
            .external_secret_put(b"owner's")
            .await
            .expect("kept");
        house.iq(&alice, "get", Some("one.example"), get).await;
        let answer = house.take(&alice);
        let password = |secret: &[u8]| {
            let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("a key");
            mac.update(b"1767229200:alice@one.example");
            STANDARD.encode(mac.finalize().into_bytes())
        };
        let of = |host: &str, secret: &[u8]| {
            let service = answer
                .split("<service ")
                .find(|s| s.contains("type='turn'") && s.contains(host));
            service.is_some_and(|service| service.contains(&password(secret)))
        };
        assert!(
            of("relay.one.example", b"owner's") && of("turn.one.example", b"shared"),
            "{answer}"
        );
        assert_eq!(answer.matches("password=").count(), 2, "{answer}");
        assert!(
            !answer.contains("owner's") && !answer.contains("shared"),
            "{answer}"
        );
        // Another domain here gets neither the relays nor credentials for them.
        let dave = house.bind("dave@two.example/phone");
        house.iq(&dave, "get", Some("two.example"), get).await;
        let answer = house.take(&dave);
        assert!(!answer.contains("relay.one.example"), "{answer}");
        house.iq(&dave, "get", Some("one.example"), get).await;
        house.got_error(&dave, "forbidden");
        let get = "<credentials xmlns='urn:xmpp:extdisco:2'><service host='relay.one.example' type='turn'/></credentials>";
        house.iq(&dave, "get", Some("two.example"), get).await;
        house.got_error(&dave, "item-not-found");
    }

    #[tokio::test]
    async fn ext_31_a_domain_s_own_list_takes_the_platform_s_place() {
        let mut house = House::new().await;
        house.external(external());
        house.settings(|s| s.external = Some(vec!["turn:relay.else.example".into(), "bad".into()]));
        let alice = house.bind("alice@one.example/phone");
        let get = "<services xmlns='urn:xmpp:extdisco:2'/>";
        house.iq(&alice, "get", Some("one.example"), get).await;
        let answer = house.take(&alice);
        assert!(
            answer.contains("relay.else.example") && !answer.contains("one.example' port"),
            "{answer}"
        );
        assert!(
            !answer.contains("password"),
            "the platform's secret is not for strangers' relays"
        );
        house.settings(|s| s.off = vec!["external".into()]);
        house.iq(&alice, "get", Some("one.example"), get).await;
        house.got_error(&alice, "service-unavailable");
    }
}
