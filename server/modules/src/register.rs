//! In-Band Registration, XEP-0077 version 2.4, as far as it concerns an account that exists: a new password, and removal.
//!
//! Only the authenticated owner is heard, and client streams are always TLS. New accounts are made before anybody is
//! authenticated (`xmpp::stream::client`, XEP-0445), where this module is on; a request for one here is refused (EXT-33). Verifiers for every hash are derived from the new password and
//! committed before the answer; the password is kept nowhere. Refuses: other people's accounts, passwords shorter than the
//! panel would accept.

use async_trait::async_trait;
use rand::RngExt as _;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::sasl::{DEFAULT_ITERATIONS, Hash, PasswordError, ScramVerifier};
use xmpp::stanza::{Condition, Stanza, StanzaType};
use xmpp::stream::StreamCondition;
use zeroize::Zeroizing;

use crate::context::{Context, Refusal, Standing, store_failed};
use crate::hooks;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};

/// The module.
pub(crate) struct Register;

static INFO: ModuleInfo = ModuleInfo {
    name: "register",
    about: "lets people change their password and remove their account, and whoever is invited or may come make one",
    specs: &[
        Spec::Xep(77, "2.4"),
        Spec::Xep(445, "0.2.0"),
        Spec::Xep(158, "1.0.1"),
    ],
    switchable: true,
    iq: &[IqDoor {
        ns: ns::REGISTER,
        name: "query",
        types: IqTypes::Both,
        at_server: true,
        at_account: Audience::Anyone,
        of_sessions: true,
    }],
    hooks: Hooks::NONE,
    server_features: &[ns::REGISTER],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Register {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
        // `from` of a session of this domain is stamped by its stream.
        match iq.from() {
            Some(from) if cx.is_account(from) && from.resource().is_some() => {
                handle(cx, from, iq).await
            }
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        match ask.iq.from().filter(|from| from.resource().is_some()) {
            Some(from) if ask.standing == Standing::Owner => handle(cx, from, ask.iq).await,
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    }
}

async fn handle(cx: &Context<'_>, session: &Jid, iq: &Stanza) -> Result<Answer, Refusal> {
    let bad_request = |text: &str| Refusal::new(Condition::BadRequest).with_text(text);
    let Some(local) = session.local() else {
        return Err(Condition::ServiceUnavailable.into());
    };
    if iq.type_() == StanzaType::Get {
        return Ok(Answer::Payload(
            Element::new("query", ns::REGISTER)
                .child(Element::new("registered", ns::REGISTER))
                .child(Element::new("username", ns::REGISTER).text(local))
                .child(Element::new("password", ns::REGISTER)),
        ));
    }
    let payload = iq.payload().map_err(|_| bad_request("not a request"))?;
    let query = payload
        .find("query", ns::REGISTER)
        .ok_or_else(|| bad_request("not a request"))?;
    let account = session.bare();
    if query.find("remove", ns::REGISTER).is_some() {
        if query.children().count() > 1 {
            return Err(bad_request("a removal has nothing beside it"));
        }
        return remove(cx, &account, local, iq).await;
    }
    let text = |name| query.find(name, ns::REGISTER).map(Element::text_content);
    let (Some(username), Some(password)) = (text("username"), text("password")) else {
        return Err(bad_request("a new password needs username and password"));
    };
    let password = Zeroizing::new(password);
    let named = BareJid::new(Some(&username), &cx.hosted.domain);
    if named.as_ref() != Ok(&account) && username != account.as_str() {
        return Err(Refusal::new(Condition::NotAllowed).with_text(
            "here only your own password can be set; a new account is made before signing in",
        ));
    }
    let sessions = cx.switchboard.sessions(&account);
    let own = sessions.iter().find(|own| own.jid == *session);
    if own.is_some_and(|own| own.certificate.is_some()) {
        // XEP-0257 7: it has not shown that it knows the password.
        return Err(Refusal::new(Condition::NotAuthorized)
            .with_text("log in with the password that is to be changed"));
    }
    change(cx, &account, local, password).await
}

/// A new password (XEP-0077 3.3).
async fn change(
    cx: &Context<'_>,
    account: &BareJid,
    local: &str,
    password: Zeroizing<String>,
) -> Result<Answer, Refusal> {
    let refused = |text: String| Refusal::new(Condition::NotAcceptable).with_text(text);
    let shortest = cx.modules.limits.password_characters;
    if password.chars().count() < shortest {
        return Err(refused(format!(
            "a password has at least {shortest} characters"
        )));
    }
    // Three times ten thousand rounds: off the threads that serve streams.
    let derived = tokio::task::spawn_blocking(move || verifiers(&password)).await;
    let verifiers = derived
        .map_err(|error| {
            tracing::error!(account = %account, error = %error, "deriving verifiers failed");
            Refusal::from(Condition::InternalServerError)
        })?
        .map_err(|error| refused(error.to_string()))?;
    let changed = cx
        .store()
        .account_set_credentials(local, &verifiers, cx.now)
        .await
        .map_err(|e| store_failed(&e, account, "changing a password"))?;
    if !changed {
        return Err(Condition::RegistrationRequired.into());
    }
    tracing::info!(domain = account.domain(), account = %account, "password changed by its owner");
    Ok(Answer::Empty)
}

/// Removal (XEP-0077 3.2): contacts are told, everything is removed, sessions end.
async fn remove(
    cx: &Context<'_>,
    account: &BareJid,
    local: &str,
    iq: &Stanza,
) -> Result<Answer, Refusal> {
    hooks::account_removed(cx, account).await;
    let removed = cx
        .store()
        .account_remove(local, cx.now)
        .await
        .map_err(|e| store_failed(&e, account, "removing an account"))?;
    cx.modules.forget_account(account);
    if !removed {
        return Err(Condition::RegistrationRequired.into());
    }
    tracing::info!(domain = account.domain(), account = %account, "account removed by its owner");
    cx.answer(iq.iq_result(None));
    for session in cx.switchboard.sessions(account) {
        cx.switchboard
            .close(&session.jid, StreamCondition::NotAuthorized);
    }
    Ok(Answer::Sent)
}

/// Bytes of salt.
const SALT: usize = 16;

/// Verifiers for every hash; slow on purpose.
///
/// # Errors
/// The password has characters that none may have (RFC 8265).
pub(crate) fn verifiers(password: &str) -> Result<Vec<ScramVerifier>, PasswordError> {
    Hash::ALL
        .iter()
        .map(|hash| {
            let salt: [u8; SALT] = rand::rng().random();
            ScramVerifier::derive(*hash, password, &salt, DEFAULT_ITERATIONS)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    fn set(username: &str, password: &str) -> String {
        format!(
            "<query xmlns='jabber:iq:register'><username>{username}</username><password>{password}</password></query>"
        )
    }

    #[tokio::test]
    async fn ext_33_the_owner_changes_the_password() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        house
            .iq(
                &alice,
                "set",
                Some("one.example"),
                &set("alice", "correct horse"),
            )
            .await;
        house.got(
            &alice,
            "<iq from='one.example' to='alice@one.example/phone' type='result' id='q'/>",
        );
        for hash in Hash::ALL {
            let verifier = house.store().credentials_for("alice", hash).await;
            let verifier = verifier.expect("readable").expect("there");
            assert!(verifier.verify_plain("correct horse"));
            assert!(!verifier.verify_plain("wrong horse"));
        }
    }

    #[tokio::test]
    async fn ext_33_other_accounts_and_new_ones_are_refused() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        for name in ["bob", "newcomer"] {
            house
                .iq(&alice, "set", None, &set(name, "correct horse"))
                .await;
            house.got_error(&alice, "not-allowed");
        }
        house
            .iq_from(
                "romeo@peer.example/x",
                "set",
                "one.example",
                &set("alice", "correct horse"),
            )
            .await;
        house.sent_error("one.example", "service-unavailable");
    }

    #[tokio::test]
    async fn ext_33_weak_and_incomplete_passwords_are_refused() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        for (payload, condition) in [
            (set("alice", ""), "not-acceptable"),
            (set("alice", "seven77"), "not-acceptable"),
            (
                "<query xmlns='jabber:iq:register'><password>correct horse</password></query>"
                    .into(),
                "bad-request",
            ),
            (
                "<query xmlns='jabber:iq:register'><remove/><username>alice</username></query>"
                    .into(),
                "bad-request",
            ),
        ] {
            house.iq(&alice, "set", None, &payload).await;
            house.got_error(&alice, condition);
        }
    }

    #[tokio::test]
    async fn ext_33_removal_tells_contacts_and_ends_sessions() {
        let house = House::new().await;
        house.item("alice", "romeo@peer.example", "both").await;
        let alice = house.online("alice@one.example/phone").await;
        let desk = house.bind("alice@one.example/desk");
        house
            .iq(
                &alice,
                "set",
                None,
                "<query xmlns='jabber:iq:register'><remove/></query>",
            )
            .await;
        house.got(
            &alice,
            "<iq to='alice@one.example/phone' type='result' id='q'/>",
        );
        house.sent(
            "<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable'/>",
        );
        house.sent(
            "<presence from='alice@one.example' to='romeo@peer.example' type='unsubscribe'/>",
        );
        house.sent(
            "<presence from='alice@one.example' to='romeo@peer.example' type='unsubscribed'/>",
        );
        assert_eq!(house.closed(), [alice, desk]);
        let row = house.store().account_find("alice").await.expect("readable");
        assert!(row.is_none());
    }

    #[tokio::test]
    async fn ext_33_get_says_who_one_is() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        house
            .iq(&alice, "get", None, "<query xmlns='jabber:iq:register'/>")
            .await;
        house.got(
            &alice,
            "<iq to='alice@one.example/phone' type='result' id='q'><query xmlns='jabber:iq:register'>\
             <registered/><username>alice</username><password/></query></iq>",
        );
    }
}
