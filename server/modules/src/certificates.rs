//! Client certificate management, XEP-0257 version 0.3: people upload the certificates that their clients log in with (SASL
//! EXTERNAL), see who uses which, and take them back.
//!
//! A certificate proves the account that it was uploaded to, whoever issued it; that it is in force and for clients is judged at
//! each login. What is disabled lets nobody in any more; what is revoked ends the streams that it authenticated, too. Refuses:
//! changes by who came with a certificate that may not manage the list, or that is no longer in it.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use store::{AccountId, Appended, CLIENT_CERTIFICATES, ClientCertificateRow};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::Condition;
use xmpp::stream::StreamCondition;
use xmpp::timestamp::Timestamp;

use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::switchboard::SessionView;

/// The module.
pub(crate) struct Certificates;

/// Its word. A domain that asks clients for no certificates has it off.
pub const CERTIFICATES: &str = "certificates";

const SASLCERT: &str = "urn:xmpp:saslcert:1";
/// Bytes of a name.
const NAME_BYTES: usize = 100;
/// Bytes of a certificate. A large one has 2 KiB.
const CERTIFICATE_BYTES: usize = 16 * 1024;

const fn door(name: &'static str, types: IqTypes) -> IqDoor {
    IqDoor {
        ns: SASLCERT,
        name,
        types,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: true,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: CERTIFICATES,
    about: "lets people log in with certificates that they upload, and take them back",
    specs: &[Spec::Xep(257, "0.3")],
    switchable: true,
    iq: &[
        door("items", IqTypes::Get),
        door("append", IqTypes::Set),
        door("disable", IqTypes::Set),
        door("revoke", IqTypes::Set),
    ],
    hooks: Hooks::NONE,
    server_features: &[SASLCERT],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Certificates {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let from = ask.iq.from().filter(|_| ask.standing == Standing::Owner);
        let from = from.ok_or(Condition::Forbidden)?;
        let roster = cx.roster(ask.account).await?.ok_or(Condition::Forbidden)?;
        let known = cx.store().client_certificates(roster.account).await;
        let known = known.map_err(|e| store_failed(&e, ask.account, "listing certificates"))?;
        let sessions = cx.switchboard.sessions(ask.account);
        let tree = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
        let asked = tree.children().next().ok_or(Condition::BadRequest)?;
        if asked.name() == "items" {
            return Ok(Answer::Payload(listed(&known, &sessions)));
        }
        may_manage(from, &sessions, &known)?;
        let name = name(asked)?;
        if asked.name() == "append" {
            return append(cx, ask, roster.account, name, asked).await;
        }
        let revoke = asked.name() == "revoke";
        let local = ask.account.local().unwrap_or_default();
        let rows = cx.store();
        let removed = rows.client_certificate_remove(local, &name, revoke, cx.now);
        let removed = removed
            .await
            .map_err(|e| store_failed(&e, ask.account, "removing a certificate"))?;
        let fingerprint = removed.ok_or(Condition::ItemNotFound)?;
        tracing::info!(account = %ask.account, fingerprint, revoke, "a certificate was taken back by its owner");
        // First the answer: it may be the certificate of whoever asks.
        cx.answer(ask.iq.iq_result(None));
        for session in users(&sessions, &fingerprint).filter(|_| revoke) {
            cx.switchboard
                .close(&session.jid, StreamCondition::NotAuthorized);
        }
        Ok(Answer::Sent)
    }
}

/// Who came with a certificate changes the list only if that is in it and may (XEP-0257 2).
fn may_manage(
    from: &Jid,
    sessions: &[SessionView],
    known: &[ClientCertificateRow],
) -> Result<(), Refusal> {
    let session = sessions.iter().find(|session| session.jid == *from);
    let Some(fingerprint) = session.and_then(|session| session.certificate.as_deref()) else {
        return Ok(());
    };
    let of = known.iter().find(|row| row.fingerprint == fingerprint);
    match of {
        Some(row) if row.manages => Ok(()),
        _ => Err(Refusal::new(Condition::Forbidden).with_text(
            "who has logged in with this certificate may not change the list; log in with the password",
        )),
    }
}

async fn append(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    account: AccountId,
    name: String,
    asked: &Element,
) -> Result<Answer, Refusal> {
    let bad = |text: &str| Refusal::new(Condition::BadRequest).with_text(text);
    let conflict = |text: &str| Refusal::new(Condition::Conflict).with_text(text);
    let text = asked
        .find("x509cert", SASLCERT)
        .map(Element::text_content)
        .unwrap_or_default();
    let text: String = text.split_ascii_whitespace().collect();
    let certificate = STANDARD
        .decode(text)
        .map_err(|_| bad("the certificate is not base64"))?;
    let expires = end_of(&certificate).ok_or_else(|| bad("this is not a certificate"))?;
    if expires <= cx.now {
        return Err(Refusal::new(Condition::NotAcceptable).with_text("the certificate has expired"));
    }
    let row = ClientCertificateRow {
        name,
        fingerprint: hex(&Sha256::digest(&certificate)),
        certificate,
        manages: asked.find("no-cert-management", SASLCERT).is_none(),
        added: cx.now,
        expires,
    };
    let added = cx.store().client_certificate_add(account, &row).await;
    match added.map_err(|e| store_failed(&e, ask.account, "adding a certificate"))? {
        Appended::Done => {
            let (account, fingerprint) = (ask.account, &row.fingerprint);
            tracing::info!(%account, fingerprint, "a certificate was added by its owner");
            Ok(Answer::Empty)
        }
        Appended::NameTaken => Err(conflict("there is a certificate of this name")),
        Appended::Known => Err(conflict("this certificate has another name already")),
        Appended::Full => {
            let full = Refusal::new(Condition::ResourceConstraint);
            Err(full.with_text(format!(
                "an account has at most {CLIENT_CERTIFICATES} certificates; disable or revoke one first"
            )))
        }
    }
}

fn name(asked: &Element) -> Result<String, Refusal> {
    let name = asked.find("name", SASLCERT).map(Element::text_content);
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() || name.len() > NAME_BYTES || name.chars().any(char::is_control) {
        let text = format!("a certificate needs a name of at most {NAME_BYTES} bytes");
        return Err(Refusal::new(Condition::BadRequest).with_text(text));
    }
    Ok(name)
}

/// When the certificate ends; `None`: it is none, or too large.
fn end_of(der: &[u8]) -> Option<Timestamp> {
    if der.len() > CERTIFICATE_BYTES {
        return None;
    }
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    let end = parsed.validity().not_after.timestamp();
    rest.is_empty()
        .then(|| Timestamp(end.saturating_mul(1_000_000)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn users<'a>(
    sessions: &'a [SessionView],
    fingerprint: &'a str,
) -> impl Iterator<Item = &'a SessionView> {
    let by = move |session: &&SessionView| session.certificate.as_deref() == Some(fingerprint);
    sessions.iter().filter(by)
}

fn listed(known: &[ClientCertificateRow], sessions: &[SessionView]) -> Element {
    let text = |name: &str, text: &str| Element::new(name, SASLCERT).text(text);
    let mut items = Element::new("items", SASLCERT);
    for row in known {
        let mut item = Element::new("item", SASLCERT)
            .child(text("name", &row.name))
            .child(text("x509cert", &STANDARD.encode(&row.certificate)));
        if !row.manages {
            item.push(Element::new("no-cert-management", SASLCERT));
        }
        let resources: Vec<Element> = users(sessions, &row.fingerprint)
            .filter_map(|session| session.jid.resource())
            .map(|resource| text("resource", resource))
            .collect();
        if !resources.is_empty() {
            item.push(Element::new("users", SASLCERT).children_from(resources));
        }
        items.push(item);
    }
    items
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::switchboard::{SessionUpdate, Switchboard as _};
    use crate::testing::House;

    const ITEMS: &str = "<items xmlns='urn:xmpp:saslcert:1'/>";

    /// A self-signed certificate that ends with this year, as base64 of its DER and its fingerprint.
    fn made(until: i32) -> (String, String) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("signed").der().to_vec();
        (STANDARD.encode(&der), hex(&Sha256::digest(&der)))
    }

    fn append(name: &str, certificate: &str, more: &str) -> String {
        format!(
            "<append xmlns='urn:xmpp:saslcert:1'><name>{name}</name>{more}<x509cert>\n {certificate}\n</x509cert></append>"
        )
    }

    fn taken(how: &str, name: &str) -> String {
        format!("<{how} xmlns='urn:xmpp:saslcert:1'><name>{name}</name></{how}>")
    }

    async fn done(house: &House, session: &Jid, type_: &str, payload: &str) -> String {
        house.iq(session, type_, None, payload).await;
        house.take(session)
    }

    #[tokio::test]
    async fn e2e_11_certificates_are_uploaded_listed_and_disabled() {
        let house = House::new().await;
        let desk = house.bind("alice@one.example/desk");
        let (certificate, fingerprint) = made(2030);
        let answer = done(&house, &desk, "set", &append("Phone", &certificate, "")).await;
        assert!(answer.contains("type='result'"), "{answer}");
        let phone = house.bind("alice@one.example/phone");
        let by = SessionUpdate::Certificate(Some(Arc::from(&*fingerprint)));
        house.session_update(&phone, by);
        let answer = done(&house, &desk, "get", ITEMS).await;
        let item = format!(
            "<item><name>Phone</name><x509cert>{certificate}</x509cert><users><resource>phone</resource></users></item>"
        );
        assert!(answer.contains(&item), "{answer}");
        for (payload, condition) in [
            (append("Phone", &made(2030).0, ""), "conflict"),
            (append("Other", &certificate, ""), "conflict"),
            (append("Old", &made(2020).0, ""), "not-acceptable"),
            (append("", &made(2030).0, ""), "bad-request"),
            (append("X", "MIIB", ""), "bad-request"),
            (append("X", "%%%", ""), "bad-request"),
            (taken("disable", "Nobody"), "item-not-found"),
        ] {
            house.iq(&desk, "set", None, &payload).await;
            house.got_error(&desk, condition);
        }
        done(&house, &desk, "set", &taken("disable", "Phone")).await;
        assert!(house.closed().is_empty(), "who is there may stay");
        let answer = done(&house, &desk, "get", ITEMS).await;
        assert!(!answer.contains("<item>"), "{answer}");
    }

    #[tokio::test]
    async fn e2e_11_a_revoked_certificate_ends_the_streams_that_it_authenticated() {
        let house = House::new().await;
        let desk = house.bind("alice@one.example/desk");
        let (certificate, fingerprint) = made(2030);
        done(&house, &desk, "set", &append("Phone", &certificate, "")).await;
        let phone = house.bind("alice@one.example/phone");
        let by = SessionUpdate::Certificate(Some(Arc::from(&*fingerprint)));
        house.session_update(&phone, by);
        // It may do so itself, and hears that it is done.
        let answer = done(&house, &phone, "set", &taken("revoke", "Phone")).await;
        assert!(answer.contains("type='result'"), "{answer}");
        assert_eq!(house.closed(), std::slice::from_ref(&phone));
        house
            .iq(&phone, "set", None, &taken("revoke", "Phone"))
            .await;
        house.got_error(&phone, "forbidden");
    }

    #[tokio::test]
    async fn e2e_11_a_bot_s_certificate_manages_none_and_nobody_else_sees_any() {
        let house = House::new().await;
        let desk = house.bind("alice@one.example/desk");
        let (certificate, fingerprint) = made(2030);
        let payload = append("Bot", &certificate, "<no-cert-management/>");
        done(&house, &desk, "set", &payload).await;
        let bot = house.bind("alice@one.example/bot");
        let by = SessionUpdate::Certificate(Some(Arc::from(&*fingerprint)));
        house.session_update(&bot, by);
        for payload in [append("X", &made(2030).0, ""), taken("revoke", "Bot")] {
            house.iq(&bot, "set", None, &payload).await;
            house.got_error(&bot, "forbidden");
        }
        let answer = done(&house, &bot, "get", ITEMS).await;
        assert!(answer.contains("<no-cert-management/>"), "{answer}");
        let bob = house.bind("bob@one.example/x");
        for account in ["alice@one.example", "nobody@one.example"] {
            house.iq(&bob, "get", Some(account), ITEMS).await;
            house.got_error(&bob, "forbidden");
        }
    }
}
