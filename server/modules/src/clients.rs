//! Client access management, XEP-0494 version 0.1.0: which clients have a way into an account, and taking it from them.
//!
//! A client that comes back with tokens (XEP-0484) is listed by the name that it has given itself, with what it says it is; one
//! that is just connected by its session. Whose tokens are revoked is cut off at once, and has to prove the account anew.
//! Refuses: to pretend that somebody who knows the password is kept out without changing it.

use async_trait::async_trait;
use store::ClientRow;
use xmpp::element::Element;
use xmpp::stanza::{Condition, StanzaError};
use xmpp::stream::StreamCondition;
use xmpp::timestamp::Timestamp;

use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::switchboard::SessionView;

/// The module.
pub(crate) struct Clients;

const CAM: &str = "urn:xmpp:cam:0";
/// What a client's own name begins with in the list, and a session's.
const AGENT: &str = "agent-";
const SESSION: &str = "session-";

const fn door(name: &'static str, types: IqTypes) -> IqDoor {
    IqDoor {
        ns: CAM,
        name,
        types,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: false,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "clients",
    about: "shows people which clients have a way into their account, and lets them take it away",
    specs: &[Spec::Xep(494, "0.1.0")],
    switchable: true,
    iq: &[door("list", IqTypes::Get), door("revoke", IqTypes::Set)],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[CAM],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Clients {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        if ask.standing != Standing::Owner {
            return Err(Condition::Forbidden.into());
        }
        let roster = cx.roster(ask.account).await?;
        let roster = roster.ok_or(Condition::Forbidden)?;
        let sessions = cx.switchboard.sessions(ask.account);
        let tree = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
        let asked = tree.children().next().ok_or(Condition::BadRequest)?;
        if asked.name() == "list" {
            let known = cx.store().client_list(roster.account).await;
            let known = known.map_err(|e| store_failed(&e, ask.account, "listing clients"))?;
            return Ok(Answer::Payload(listed(&known, &sessions, cx.now)));
        }
        let id = asked.get_attr("id").ok_or(Condition::BadRequest)?;
        let Some(agent) = id.strip_prefix(AGENT) else {
            let there = |s: &SessionView| id.strip_prefix(SESSION) == s.jid.resource();
            return Err(match sessions.iter().any(there) {
                true => StanzaError::new(Condition::ServiceUnavailable)
                    .with_app(Element::new("password-reset-required", CAM))
                    .into(),
                false => Condition::ItemNotFound.into(),
            });
        };
        let removed = cx.store().client_remove(roster.account, agent).await;
        // It is woken no more either (XEP-0357).
        cx.modules.forget_pushes(ask.account);
        let removed = removed.map_err(|e| store_failed(&e, ask.account, "removing a client"))?;
        let theirs = sessions
            .iter()
            .filter(|s| s.agent.as_deref() == Some(agent));
        let theirs: Vec<&SessionView> = theirs.collect();
        if !removed && theirs.is_empty() {
            return Err(Condition::ItemNotFound.into());
        }
        tracing::info!(account = %ask.account, "a client's way in was taken away by its owner");
        cx.answer(ask.iq.iq_result(None));
        for session in theirs {
            cx.switchboard
                .close(&session.jid, StreamCondition::NotAuthorized);
        }
        Ok(Answer::Sent)
    }
}

fn listed(known: &[ClientRow], sessions: &[SessionView], now: Timestamp) -> Element {
    let mut list = Element::new("clients", CAM);
    for client in known {
        let connected = sessions
            .iter()
            .any(|s| s.agent.as_deref() == Some(client.agent.as_str()));
        let last = match connected {
            true => now,
            false => client.used.unwrap_or(client.since),
        };
        let agent = Element::new("user-agent", CAM)
            .child(text("software", &client.software))
            .child(text("device", &client.device));
        list.push(
            self::client(&format!("{AGENT}{}", client.agent), connected)
                .child(text("first-seen", &client.since.to_xep0082()))
                .child(text("last-seen", &last.to_xep0082()))
                .child(Element::new("auth", CAM).child(Element::new("fast", CAM)))
                .child(unrestricted())
                .child(agent),
        );
    }
    let nameless = sessions.iter().filter(|s| {
        let listed = |agent: &String| known.iter().any(|client| client.agent == *agent);
        !s.agent.as_ref().is_some_and(listed)
    });
    for session in nameless {
        let resource = session.jid.resource().unwrap_or_default();
        list.push(
            client(&format!("{SESSION}{resource}"), true)
                .child(text("last-seen", &now.to_xep0082()))
                .child(Element::new("auth", CAM).child(Element::new("password", CAM)))
                .child(unrestricted())
                .child(Element::new("user-agent", CAM).child(text("software", ""))),
        );
    }
    list
}

fn client(id: &str, connected: bool) -> Element {
    Element::new("client", CAM)
        .attr("connected", if connected { "true" } else { "false" })
        .attr("id", id)
        .attr("type", "session")
}

fn unrestricted() -> Element {
    Element::new("permission", CAM).attr("status", "unrestricted")
}

fn text(name: &str, text: &str) -> Element {
    Element::new(name, CAM).text(text)
}

#[cfg(test)]
mod tests {
    use xmpp::jid::BareJid;
    use xmpp::sasl::{TokenKey, TokenMechanism};
    use xmpp::stream::{Grant, UserAgent};

    use crate::switchboard::{SessionUpdate, Switchboard as _};
    use crate::testing::House;

    const LIST: &str = "<list xmlns='urn:xmpp:cam:0'/>";

    async fn token(house: &House, agent: &str) {
        let grant = Grant {
            account: BareJid::parse("alice@one.example").expect("an address"),
            agent: UserAgent {
                id: Some(agent.into()),
                software: "Tester".into(),
                device: "Desk".into(),
            },
            used: None,
            invalidate: false,
            wanted: Some(TokenMechanism::EndPoint),
            key: TokenKey::of(&"x".repeat(65)),
        };
        let alice = house.account("alice").await;
        let now = house.context("one.example").now;
        let given = house.store().token_grant(alice, &grant, 3_600, now).await;
        assert!(given.expect("written").is_some());
    }

    #[tokio::test]
    async fn clients_with_tokens_and_sessions_without_are_listed() {
        let house = House::new().await;
        token(&house, "phone-id").await;
        let phone = house.bind("alice@one.example/phone");
        house.session_update(&phone, SessionUpdate::Agent("phone-id".into()));
        let desk = house.bind("alice@one.example/desk");
        house.iq(&desk, "get", None, LIST).await;
        let answer = house.take(&desk);
        for part in [
            "<client connected='true' id='agent-phone-id' type='session'>",
            "<auth><fast/></auth><permission status='unrestricted'/>",
            "<user-agent><software>Tester</software><device>Desk</device></user-agent>",
            "<client connected='true' id='session-desk' type='session'>",
            "<auth><password/></auth>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        assert!(!answer.contains("session-phone"), "{answer}");
    }

    #[tokio::test]
    async fn a_revoked_client_is_cut_off_and_its_tokens_end() {
        let house = House::new().await;
        token(&house, "phone-id").await;
        let phone = house.bind("alice@one.example/phone");
        house.session_update(&phone, SessionUpdate::Agent("phone-id".into()));
        let desk = house.bind("alice@one.example/desk");
        let revoke = "<revoke xmlns='urn:xmpp:cam:0' id='agent-phone-id'/>";
        house.iq(&desk, "set", None, revoke).await;
        house.got(
            &desk,
            "<iq to='alice@one.example/desk' type='result' id='q'/>",
        );
        assert_eq!(house.closed(), std::slice::from_ref(&phone));
        let left = house.store().tokens_of("alice", "phone-id").await;
        assert!(left.expect("read").is_empty());
        house.gone(&phone).await;
        house.iq(&desk, "set", None, revoke).await;
        house.got_error(&desk, "item-not-found");
    }

    #[tokio::test]
    async fn who_knows_the_password_is_not_kept_out_and_nobody_else_looks() {
        let house = House::new().await;
        let desk = house.bind("alice@one.example/desk");
        let revoke = |id: &str| format!("<revoke xmlns='urn:xmpp:cam:0' id='{id}'/>");
        house.iq(&desk, "set", None, &revoke("session-desk")).await;
        assert!(
            house
                .take(&desk)
                .contains("<password-reset-required xmlns='urn:xmpp:cam:0'/>")
        );
        for id in ["session-other", "agent-other", "nonsense"] {
            house.iq(&desk, "set", None, &revoke(id)).await;
            house.got_error(&desk, "item-not-found");
        }
        house
            .iq(&desk, "set", None, "<revoke xmlns='urn:xmpp:cam:0'/>")
            .await;
        house.got_error(&desk, "bad-request");
        let bob = house.bind("bob@one.example/x");
        for account in ["alice@one.example", "nobody@one.example"] {
            house.iq(&bob, "get", Some(account), LIST).await;
            house.got_error(&bob, "forbidden");
        }
    }
}
