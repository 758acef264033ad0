//! The router with real modules and a real store: sessions without sockets, outboxes read by hand.

mod backing;
mod components;
mod leaving;
mod sessions;
mod signed_out;

use std::task::{Context, Waker};

use modules::SessionUpdate;
use xmpp::element::Element;
use xmpp::ns;
use xmpp::stream::Order;

use super::*;
use crate::session::outbox::Taken;
use crate::tenancy::Defaults;
use crate::testing::World;

struct Net {
    router: Arc<Router>,
    remote: Arc<Far>,
    world: World,
}

/// Other servers: what would have been sent there.
#[derive(Default)]
struct Far(parking_lot::Mutex<Vec<Stanza>>);

impl Remote for Far {
    fn send(&self, stanza: Stanza) -> Option<Later> {
        self.0.lock().push(stanza);
        None
    }
}

impl Net {
    async fn new() -> Self {
        let world = World::new().await;
        world.domain("one.example", &["alice", "bob"]).await;
        world.domain("two.example", &["carol"]).await;
        let tenancy = Tenancy::load(world.store.clone(), None, Defaults::default())
            .await
            .expect("the domains");
        let router = Router::new(
            tenancy,
            Sessions::new(3),
            Modules::default(),
            Recipients::default(),
            Arc::new(Metrics::new()),
        );
        let remote = Arc::<Far>::default();
        router.set_remote(remote.clone());
        Self {
            router,
            remote,
            world,
        }
    }

    /// A session; `priority` makes it available.
    async fn bind(&self, jid: &str, priority: Option<i8>) -> Arc<Session> {
        let jid = Jid::parse(jid).expect("an address");
        let outbox = Outbox::new(10_000);
        let session = self
            .router
            .bind(&jid.bare(), jid.resource().expect("full"), outbox, now())
            .await
            .expect("bound");
        if let Some(priority) = priority {
            let presence = stanza("<presence/>").with_from(&jid);
            session.update(SessionUpdate::Available { presence, priority });
        }
        session
    }

    async fn send(&self, from: &Arc<Session>, text: &str) {
        let stanza = stanza(text).with_from(&from.jid);
        if let Some(later) = self.router.from_client(from, stanza) {
            later.await;
        }
    }
}

fn stanza(text: &str) -> Stanza {
    let tree = Element::parse(text, ns::CLIENT).expect("well-formed");
    Stanza::from_element(&tree).expect("a stanza")
}

/// What the session was sent since the last look.
fn got(session: &Session) -> Vec<String> {
    let (mut items, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    let _ = session
        .outbox
        .poll_take(&mut cx, true, &mut items, &mut taken);
    items
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect()
}

fn orders(session: &Session) -> Vec<Order> {
    let (mut items, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    let _ = session
        .outbox
        .poll_take(&mut cx, false, &mut items, &mut taken);
    taken.orders
}

const CHAT: &str = "<message to='bob@one.example' type='chat' id='1'><body>hi</body></message>";

#[tokio::test]
async fn route_12_full_address_to_its_session_alone() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let one = net.bind("bob@one.example/1", Some(0)).await;
    let two = net.bind("bob@one.example/2", Some(5)).await;
    net.send(
        &alice,
        "<message to='bob@one.example/1' type='chat'><body>hi</body></message>",
    )
    .await;
    let found = got(&one);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("<body>hi</body>"));
    assert!(got(&two).is_empty());
}

#[tokio::test]
async fn im_34_chat_to_the_most_available() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let low = net.bind("bob@one.example/low", Some(1)).await;
    let high = net.bind("bob@one.example/high", Some(2)).await;
    let negative = net.bind("bob@one.example/negative", Some(-1)).await;
    net.send(&alice, CHAT).await;
    assert_eq!(got(&high).len(), 1);
    assert!(got(&low).is_empty() && got(&negative).is_empty());
}

#[tokio::test]
async fn im_34_35_normal_and_headline_to_all_non_negative() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let low = net.bind("bob@one.example/low", Some(0)).await;
    let high = net.bind("bob@one.example/high", Some(2)).await;
    let negative = net.bind("bob@one.example/negative", Some(-1)).await;
    for type_ in ["normal", "headline"] {
        net.send(
            &alice,
            &format!("<message to='bob@one.example' type='{type_}'><body>hi</body></message>"),
        )
        .await;
        let text = got(&low);
        assert!(
            text[0].contains("to='bob@one.example'"),
            "STANZA-02: {text:?}"
        );
        assert_eq!(got(&high).len(), 1);
        assert!(got(&negative).is_empty());
    }
}

#[tokio::test]
async fn im_34_chat_to_nobody_is_kept() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    net.send(&alice, CHAT).await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let bob = domain
        .hosted
        .store
        .account_find("bob")
        .await
        .expect("the store")
        .expect("bob");
    let kept = domain.hosted.store.offline_count(bob.id).await;
    assert_eq!(kept.expect("the store"), 1);
    assert!(got(&alice).is_empty());
}

#[tokio::test]
async fn route_10_im_33_no_account_looks_like_nobody_there() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    for type_ in ["normal", "chat", "groupchat", "headline"] {
        for resource in ["", "/r"] {
            let mut answers = ["bob", "nobody"].map(|_| Vec::new());
            for (user, answer) in ["bob", "nobody"].into_iter().zip(&mut answers) {
                net.send(
                    &alice,
                    &format!("<message to='{user}@one.example{resource}' type='{type_}'><body>x</body></message>"),
                )
                .await;
                *answer = got(&alice)
                    .into_iter()
                    .map(|text| text.replace(user, "USER"))
                    .collect();
            }
            assert_eq!(answers[0], answers[1], "{type_} {resource}");
            let expected = usize::from(type_ == "groupchat" && resource.is_empty());
            assert_eq!(answers[0].len(), expected, "{type_} {resource}");
        }
    }
    for resource in ["", "/r"] {
        for user in ["bob", "nobody"] {
            net.send(
                &alice,
                &format!("<iq to='{user}@one.example{resource}' type='get' id='q'><x xmlns='urn:x'/></iq>"),
            )
            .await;
            let answer = got(&alice);
            assert!(answer[0].contains("<service-unavailable "), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn route_03_without_to() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let other = net.bind("alice@one.example/b", Some(1)).await;
    net.send(&alice, "<message type='chat'><body>me</body></message>")
        .await;
    assert_eq!(got(&other).len(), 1, "to the own bare address");
    net.send(&alice, "<iq type='get' id='1'><x xmlns='urn:x'/></iq>")
        .await;
    assert!(got(&alice)[0].contains("<service-unavailable "));
    net.send(&alice, "<iq type='result' id='1'/>").await;
    assert!(got(&alice).is_empty());
}

/// ROUTE-07: there is no other local service, so what is for a hosted domain is processed here.
#[tokio::test]
async fn route_08_tenant_to_tenant_stays_inside_and_others_leave() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let carol = net.bind("carol@two.example/c", Some(0)).await;
    net.send(&alice, &CHAT.replace("bob@one", "carol@two"))
        .await;
    assert_eq!(got(&carol).len(), 1);
    assert!(net.remote.0.lock().is_empty());
    net.send(&alice, &CHAT.replace("bob@one.example", "dave@far.example"))
        .await;
    let far = net.remote.0.lock();
    assert_eq!(far.len(), 1);
    assert_eq!(far[0].from().map(Jid::as_str), Some("alice@one.example/a"));
}

#[tokio::test]
async fn route_08_a_suspended_domain_does_not_leave_either() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let domain = net.router.tenancy().get("two.example").expect("hosted");
    net.world.set_state(domain.id, "suspended").await;
    let name = DomainName::parse("two.example").expect("a name");
    net.router
        .tenancy()
        .refresh(&name)
        .await
        .expect("the store");
    net.send(&alice, &CHAT.replace("bob@one", "carol@two"))
        .await;
    assert!(got(&alice)[0].contains("<service-unavailable "));
    assert!(net.remote.0.lock().is_empty());
}

#[tokio::test]
async fn im_38_40_iq_to_bare_and_unmatched() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    net.send(
        &alice,
        "<iq to='bob@one.example' type='get' id='1'><x xmlns='urn:x'/></iq>",
    )
    .await;
    assert!(got(&bob).is_empty(), "never delivered");
    assert!(got(&alice)[0].contains("<service-unavailable "));
    net.send(
        &alice,
        "<iq to='bob@one.example/none' type='result' id='1'/>",
    )
    .await;
    assert!(got(&alice).is_empty(), "STANZA-07");
}

#[tokio::test]
async fn route_09_stanza_04_what_is_for_the_domain_is_handled_or_refused_in_its_name() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let other = "<x xmlns='urn:x'/>";
    for to in ["one.example", "one.example/node"] {
        for (text, answer) in [
            (
                format!("<message to='{to}' id='1'><body>x</body></message>"),
                Some("<service-unavailable "),
            ),
            (
                format!("<iq to='{to}' type='get' id='1'>{other}</iq>"),
                Some("<service-unavailable "),
            ),
            (format!("<iq to='{to}' type='get' id='1'>{ping}</iq>"), None),
        ] {
            net.send(&alice, &text).await;
            let said = got(&alice).concat();
            assert!(said.contains(&format!("from='{to}'")), "{text}: {said}");
            assert!(said.contains("to='alice@one.example/a'"), "{said}");
            if let Some(condition) = answer {
                assert!(said.contains(condition), "{text}: {said}");
            }
        }
    }
    // On behalf of the account.
    net.send(&alice, &format!("<iq type='get' id='1'>{ping}</iq>"))
        .await;
    let said = got(&alice).concat();
    assert!(said.contains("type='result'"), "{said}");
    assert!(
        !said.contains("from=") || said.contains("from='alice@one.example'"),
        "{said}"
    );
}

/// Of somebody who shares no presence: a session that is there, one that is not, the account.
#[tokio::test]
async fn route_11_stanza_10_errors_do_not_show_who_is_online() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let _bob = net.bind("bob@one.example/there", Some(0)).await;
    let mut answers = Vec::new();
    for to in [
        "bob@one.example/there",
        "bob@one.example/elsewhere",
        "bob@one.example",
        "nobody@one.example/there",
    ] {
        net.send(
            &alice,
            &format!("<iq to='{to}' type='get' id='1'><x xmlns='urn:x'/></iq>"),
        )
        .await;
        let said = got(&alice).concat();
        assert!(said.contains("<service-unavailable "), "{to}: {said}");
        answers.push(said.replace(to, "WHO"));
    }
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    for type_ in ["normal", "chat", "groupchat", "headline"] {
        for resource in ["there", "elsewhere"] {
            net.send(
                &alice,
                &format!("<message to='bob@one.example/{resource}' type='{type_}'><body>x</body></message>"),
            )
            .await;
            let said = got(&alice);
            assert!(said.is_empty(), "{type_} {resource}: {said:?}");
        }
    }
}

#[tokio::test]
async fn im_39_iq_to_a_session_needs_shared_presence() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let own = net.bind("alice@one.example/own", Some(0)).await;
    let ask = "<iq to='bob@one.example/b' type='get' id='1'><x xmlns='urn:x'/></iq>";
    net.send(&alice, ask).await;
    assert!(got(&bob).is_empty());
    assert!(got(&alice)[0].contains("<service-unavailable "));
    net.send(&alice, "<iq to='bob@one.example/b' type='result' id='1'/>")
        .await;
    assert_eq!(got(&bob).len(), 1, "answers are delivered");
    net.send(
        &alice,
        &ask.replace("bob@one.example/b", "alice@one.example/own"),
    )
    .await;
    assert_eq!(got(&own).len(), 1);
}

#[tokio::test]
async fn bind_04_an_older_session_of_the_same_address_is_replaced() {
    let net = Net::new().await;
    let old = net.bind("alice@one.example/a", Some(0)).await;
    let new = net.bind("alice@one.example/a", None).await;
    assert!(matches!(
        &orders(&old)[..],
        [Order::Close(error)] if error.condition == StreamCondition::Conflict
    ));
    assert_eq!(net.router.sessions().of("alice@one.example").len(), 1);
    // The old stream's end does not take the new session with it.
    net.router.ended(&old, Vec::new()).await;
    assert!(Arc::ptr_eq(
        &net.router.sessions().get(&new.jid).expect("still there"),
        &new
    ));
    assert_eq!(new.domain().sessions(), 1);
}

#[tokio::test]
async fn bind_05_dos_03_sessions_of_an_account_are_limited() {
    let net = Net::new().await;
    for resource in ["1", "2", "3"] {
        net.bind(&format!("alice@one.example/{resource}"), None)
            .await;
    }
    let account = BareJid::parse("alice@one.example").expect("an address");
    let refused = net.router.bind(&account, "4", Outbox::new(10), now()).await;
    let error = refused.expect_err("over the limit");
    assert_eq!(error.condition, Condition::ResourceConstraint);
    let app = error.app.expect("an application-specific condition");
    assert!(app.is("resource-limit-exceeded", "urn:xmpp:errors"));
    let said = error.text.unwrap_or_default();
    assert!(said.contains("sign out of an app"), "{said}");
    net.bind("alice@one.example/3", None).await;
}

#[tokio::test]
async fn a_slow_reader_loses_its_session_and_the_message_is_kept() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let long = CHAT.replace("hi", &"x".repeat(6_000));
    net.send(&alice, &long).await;
    net.send(&alice, &long).await;
    assert_eq!(got(&bob).len(), 1);
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let row = domain.hosted.store.account_find("bob").await;
    let bob_row = row.expect("the store").expect("bob");
    let kept = domain.hosted.store.offline_count(bob_row.id).await;
    assert_eq!(kept.expect("the store"), 1);
}

#[tokio::test]
async fn what_was_not_written_finds_another_way() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let one = net.bind("bob@one.example/1", Some(1)).await;
    let two = net.bind("bob@one.example/2", Some(0)).await;
    net.send(&alice, CHAT).await;
    let unwritten = one.outbox.close();
    assert_eq!(unwritten.len(), 1);
    net.router.ended(&one, unwritten).await;
    let found = got(&two);
    assert!(
        found.iter().any(|text| text.contains("<body>hi</body>")),
        "{found:?}"
    );
}

#[tokio::test]
async fn ext_12_copies_go_where_the_message_itself_did_not() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let desk = net.bind("alice@one.example/desk", None).await;
    let low = net.bind("bob@one.example/low", Some(1)).await;
    let high = net.bind("bob@one.example/high", Some(2)).await;
    let off = net.bind("bob@one.example/off", Some(0)).await;
    for session in [&desk, &low, &high] {
        net.send(
            session,
            "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        )
        .await;
        assert!(got(session)[0].contains("type='result'"));
    }
    net.send(&alice, CHAT).await;
    let found = got(&high);
    assert!(
        found.len() == 1 && !found[0].contains("carbons"),
        "{found:?}"
    );
    for (session, word) in [(&desk, "<sent "), (&low, "<received ")] {
        let found = got(session);
        assert!(found.len() == 1 && found[0].contains(word), "{found:?}");
    }
    assert!(got(&off).is_empty() && got(&alice).is_empty());
    // A copy that was never written is nobody else's.
    net.send(&alice, CHAT).await;
    let unwritten = low.outbox.close();
    assert_eq!(unwritten.len(), 1);
    got(&high);
    net.router.ended(&low, unwritten).await;
    let found = got(&high);
    assert!(
        !found.iter().any(|text| text.contains("<body>")),
        "{found:?}"
    );
    // A client that does not want its copy tells its own account, and nobody hears of it (XEP-0280 8.3).
    got(&alice);
    net.send(&desk, "<message to='alice@one.example' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>").await;
    assert!(got(&alice).is_empty() && got(&desk).len() == 1);
}

#[tokio::test]
async fn ext_15_who_is_blocked_is_stopped_in_every_way() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let ask = |to: &str, type_: &str| match type_ {
        "get" => format!("<iq to='{to}' type='get' id='q'><x xmlns='urn:x'/></iq>"),
        type_ => format!("<iq to='{to}' type='{type_}' id='q'/>"),
    };
    net.send(&bob, "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='alice@one.example'/></block></iq>").await;
    assert!(got(&bob).concat().contains("type='result'"));
    // Whether the list is in memory or not.
    for forget in [false, true] {
        let forgotten = || {
            if forget {
                net.router.modules().forget_account(&bob.jid.bare());
            }
        };
        forgotten();
        net.send(&alice, CHAT).await;
        assert!(got(&alice).is_empty(), "as if there were no such account");
        for to in ["bob@one.example/b", "bob@one.example"] {
            forgotten();
            net.send(&alice, &ask(to, "get")).await;
            assert!(
                got(&alice).concat().contains("<service-unavailable "),
                "{to}"
            );
            forgotten();
            net.send(&alice, &ask(to, "result")).await;
            assert!(got(&alice).is_empty(), "{to}");
        }
        assert!(got(&bob).is_empty(), "nothing of it arrives");
        for to in ["alice@one.example/a", "alice@one.example"] {
            forgotten();
            net.send(&bob, &ask(to, "get")).await;
            let error = got(&bob).concat();
            assert!(
                error.contains("<not-acceptable ") && error.contains("<blocked "),
                "{to}: {error}"
            );
            forgotten();
            net.send(&bob, &ask(to, "result")).await;
            assert!(got(&bob).is_empty() && got(&alice).is_empty(), "{to}");
        }
    }
    let carol = net.bind("carol@two.example/c", Some(0)).await;
    net.send(&carol, &ask("bob@one.example/b", "result")).await;
    assert_eq!(got(&bob).len(), 1, "others are heard");
}

#[tokio::test]
async fn a_domain_that_watches_no_messages_takes_the_short_way() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let store = &net.world.store;
    let name = DomainName::parse("one.example").expect("a domain");
    let mut row = store
        .domain_hosted(&name)
        .await
        .expect("the store")
        .expect("the domain");
    let off: Vec<&str> = modules::ALL.iter().map(|m| m.info().name).collect();
    row.settings = serde_json::json!({ "modules_off": off }).to_string();
    store.domain_update(&row, now()).await.expect("the store");
    net.router.tenancy().refresh(&name).await.expect("read");
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    assert!(!domain.hosted.watches_messages(), "{}", row.settings);
    net.router.renew_domain(&domain);
    let message = stanza(CHAT).with_from(&alice.jid);
    assert!(
        net.router.from_client(&alice, message).is_none(),
        "nothing to wait for"
    );
    assert_eq!(got(&bob).len(), 1);
}

/// Where no module has anything to wait for (here the archive is off, and nobody has blocked anybody) a message makes nothing
/// and waits for nothing. What comes of it is what comes of it on the long way, which it takes while an account's block list
/// has not been read.
#[tokio::test]
async fn what_concerns_no_module_goes_the_short_way_and_comes_to_the_same() {
    let net = Net::new().await;
    let id = net.router.tenancy().get("one.example").expect("hosted").id;
    let settings = serde_json::json!({ "modules_off": ["archive"] });
    net.world.set_settings(id, &settings).await;
    let name = DomainName::parse("one.example").expect("a domain");
    net.router.tenancy().refresh(&name).await.expect("read");
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    assert!(domain.hosted.watches_messages(), "carbons do");
    let mut sessions = Vec::new();
    for (jid, priority, copies) in [
        ("alice@one.example/a", Some(1), false),
        ("alice@one.example/copied", Some(0), true),
        ("bob@one.example/b", Some(1), false),
        ("bob@one.example/copied", None, true),
        ("bob@one.example/low", Some(-1), false),
    ] {
        let session = net.bind(jid, priority).await;
        session.update(SessionUpdate::Carbons(copies));
        sessions.push(session);
    }
    let alice = sessions[0].clone();
    let all = || -> Vec<Vec<String>> { sessions.iter().map(|s| got(s)).collect() };
    let (mut short, mut copied) = (0, 0);
    for to in [
        "bob@one.example",
        "bob@one.example/b",
        "bob@one.example/low",
        "bob@one.example/gone",
        "alice@one.example",
        "alice@one.example/copied",
        "carol@two.example/x",
        "peer@far.example",
    ] {
        for type_ in ["chat", "normal", "headline", "groupchat", "error"] {
            for content in [
                "<body>hi</body>",
                "<private xmlns='urn:xmpp:carbons:2'/><body/>",
            ] {
                let message =
                    format!("<message id='m' to='{to}' type='{type_}'>{content}</message>");
                let come_to = async |read: bool| {
                    // What has been read of both accounts is what lets a message take the short way.
                    for account in ["alice@one.example", "bob@one.example"] {
                        let account = BareJid::parse(account).expect("an address");
                        net.router.modules().forget_account(&account);
                        if read {
                            let roster = format!(
                                "<iq type='get' id='r' from='{account}/a'><query xmlns='jabber:iq:roster'/></iq>"
                            );
                            let cx =
                                net.router
                                    .modules()
                                    .context(&domain.hosted, &*net.router, now());
                            modules::hooks::iq_to_account(&cx, &stanza(&roster)).await;
                        }
                    }
                    all();
                    net.remote.0.lock().clear();
                    let sent = stanza(&message).with_from(&alice.jid);
                    let later = net.router.from_client(&alice, sent);
                    let waited = later.is_some();
                    if let Some(later) = later {
                        later.await;
                    }
                    (waited, all(), net.remote.0.lock().clone())
                };
                let (waited, sessions, far) = come_to(false).await;
                assert!(
                    waited || to.starts_with("alice"),
                    "nobody blocks themselves: {message}"
                );
                let (waited, short_sessions, short_far) = come_to(true).await;
                assert_eq!(
                    (&sessions, &far),
                    (&short_sessions, &short_far),
                    "{message}"
                );
                short += usize::from(!waited);
                copied += usize::from(sessions.concat().concat().contains("<forwarded "));
            }
        }
    }
    assert!(
        short > 40 && copied > 5,
        "{short} took the short way, {copied} were copied"
    );
}

#[tokio::test]
async fn lists_stand_between_hosted_domains_too_whichever_has_them() {
    for (holder, other) in [
        ("one.example", "two.example"),
        ("two.example", "one.example"),
    ] {
        for blocks in [true, false] {
            let net = Net::new().await;
            let alice = net.bind("alice@one.example/a", Some(0)).await;
            let carol = net.bind("carol@two.example/c", Some(0)).await;
            let store = &net.world.store;
            let name = DomainName::parse(holder).expect("a domain");
            let mut row = store
                .domain_hosted(&name)
                .await
                .expect("the store")
                .expect("the domain");
            match blocks {
                true => row.block = vec![other.into()],
                false => row.allow = vec!["friend.example".into()],
            }
            store.domain_update(&row, now()).await.expect("the store");
            net.router.tenancy().refresh(&name).await.expect("read");
            for (from, to) in [(&alice, &carol), (&carol, &alice)] {
                let to_jid = &to.jid;
                net.send(
                    from,
                    &format!("<message to='{to_jid}' type='chat' id='x'><body>hi</body></message>"),
                )
                .await;
                assert!(got(to).is_empty(), "{holder} {blocks}");
                let error = got(from).concat();
                assert!(
                    error.contains("<not-allowed "),
                    "{holder} {blocks}: {error}"
                );
            }
            // At home nothing has changed.
            let bob = net.bind("bob@one.example/b", Some(0)).await;
            net.send(&alice, CHAT).await;
            assert_eq!(got(&bob).len(), 1);
        }
    }
}

/// One hook's future in the box of all would cost every ping an allocation of several pages, and the copying of it.
#[tokio::test]
async fn what_a_stanza_waits_for_is_small() {
    const BYTES: usize = 1024;
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    for what in [
        "<iq type='get' id='1' to='one.example'><query xmlns='jabber:iq:version'/></iq>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<presence/>",
        CHAT,
    ] {
        let stanza = stanza(what).with_from(&alice.jid);
        let later = net.router.from_client(&alice, stanza);
        let size = std::mem::size_of_val(&*later.expect("the long way").done());
        assert!(size <= BYTES, "{size} bytes for {what}");
    }
}

const INTO_ROOM: &str = "<presence to='coven@rooms.one.example/NICK'><x xmlns='http://jabber.org/protocol/muc'/></presence>";

/// A service of a domain is a hosted name like any other: stanzas to it never leave the process, what it sends reaches
/// sessions here and servers elsewhere, and it ends with its domain's wish to have it.
#[tokio::test]
async fn a_service_answers_under_its_own_name() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    let carol = net.bind("carol@two.example/c", Some(0)).await;
    net.send(&alice, &INTO_ROOM.replace("NICK", "Alice")).await;
    assert!(got(&alice)[0].contains("<status code='201'/>"));
    let instant = "<iq to='coven@rooms.one.example' type='set' id='c'><query xmlns='http://jabber.org/protocol/muc#owner'>\
                   <x xmlns='jabber:x:data' type='submit'/></query></iq>";
    net.send(&alice, instant).await;
    net.send(&carol, &INTO_ROOM.replace("NICK", "Carol")).await;
    assert!(
        got(&carol)
            .iter()
            .any(|xml| xml.contains("from='coven@rooms.one.example/Alice'"))
    );
    got(&alice);
    net.send(
        &carol,
        "<message to='coven@rooms.one.example' type='groupchat'><body>hail</body></message>",
    )
    .await;
    assert!(got(&alice)[0].contains("<body>hail</body>"));
    assert!(net.remote.0.lock().is_empty());

    // Whoever has gone is noticed by what comes back, if there was no other word of it.
    assert!(net.router.sessions().unbind(&carol));
    let gone = stanza(
        "<message from='carol@two.example/c' to='coven@rooms.one.example/Alice' type='error'>\
        <error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    );
    let seen = tokio::spawn({
        let router = net.router.clone();
        async move { router.reply(gone) }
    });
    seen.await.expect("done");
    while !got(&alice)
        .iter()
        .any(|xml| xml.contains("<status code='333'/>"))
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn vhost_only_a_service_that_somebody_asks_for_is_kept() {
    let net = Net::new().await;
    let tenancy = net.router.tenancy();
    let name = "rooms.one.example";
    assert!(tenancy.hosts(name));
    let seen = tenancy.look(name).expect("hosted");
    assert!(seen.service.is_some() && seen.served);
    assert!(tenancy.look("other.one.example").is_none());
    assert!(
        tenancy.services().is_empty(),
        "each domain would pay for it"
    );
    let asked = tenancy.get(name).expect("hosted");
    assert_eq!(tenancy.services().len(), 1);
    let seen = tenancy.look(name).expect("hosted");
    assert!(std::sync::Arc::ptr_eq(&seen, &asked) && tenancy.hosts(name));
}

#[tokio::test]
async fn vhost_a_service_is_hosted_as_long_as_its_domain_wants_it() {
    let net = Net::new().await;
    let tenancy = net.router.tenancy();
    let service = tenancy.get("rooms.one.example").expect("hosted");
    assert!(service.service.is_some() && service.served);
    let parent = tenancy.get("one.example").expect("hosted").id;
    assert_eq!(service.id, parent);
    assert!(!tenancy.hosts("rooms.three.example") && !tenancy.hosts("other.one.example"));
    let name = xmpp::jid::DomainName::parse("one.example").expect("a name");
    net.world
        .set_settings(parent, &serde_json::json!({ "services": [] }))
        .await;
    tenancy.refresh(&name).await.expect("read");
    assert!(!tenancy.hosts("rooms.one.example"));
    // A domain of that name stands before the service.
    net.world.set_settings(parent, &serde_json::json!({})).await;
    tenancy.refresh(&name).await.expect("read");
    assert!(tenancy.hosts("rooms.one.example"));
    net.world.domain("rooms.one.example", &[]).await;
    let own = xmpp::jid::DomainName::parse("rooms.one.example").expect("a name");
    tenancy.refresh(&own).await.expect("read");
    assert!(
        tenancy
            .get("rooms.one.example")
            .expect("hosted")
            .service
            .is_none()
    );
}

/// PING-01 by the short way: the answer is there when the next stanza is looked at, and nothing is waited for.
#[tokio::test]
async fn ping_01_the_server_answers_at_once() {
    let net = Net::new().await;
    let alice = net.bind("alice@one.example/a", Some(0)).await;
    got(&alice);
    let ping = "<iq type='get' id='1' to='one.example'><ping xmlns='urn:xmpp:ping'/></iq>";
    let stanza = stanza(ping).with_from(&alice.jid);
    assert!(net.router.from_client(&alice, stanza).is_none());
    assert_eq!(
        got(&alice),
        ["<iq from='one.example' to='alice@one.example/a' type='result' id='1'/>"]
    );
}

/// ROUTE-05: what a module has asked on behalf of an account comes back to it when the other server cannot be reached; here a
/// request that waits for the word of an old address (XEP-0283).
#[tokio::test]
async fn route_05_a_module_hears_that_its_question_has_not_arrived() {
    let net = Net::new().await;
    let bob = net.bind("bob@one.example/1", Some(0)).await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let from_afar = async |text: &str| {
        if let Some(later) = net.router.local(&domain, stanza(text)) {
            later.await;
        }
    };
    from_afar("<presence from='juliet@old.example' to='bob@one.example' type='subscribe'/>").await;
    net.send(
        &bob,
        "<presence to='juliet@old.example' type='subscribed'/>",
    )
    .await;
    got(&bob);
    from_afar(
        "<presence from='juliet@new.example' to='bob@one.example' type='subscribe'>\
         <moved xmlns='urn:xmpp:moved:1'><old-jid>juliet@old.example</old-jid></moved></presence>",
    )
    .await;
    assert!(got(&bob).is_empty(), "the old address is asked first");
    let question = net.remote.0.lock().pop().expect("a question");
    let bounced = question.error_reply(&Condition::RemoteServerNotFound.into());
    net.router.reply(bounced.expect("an error"));
    let mut items = Vec::new();
    std::future::poll_fn(|cx| {
        bob.outbox
            .poll_take(cx, true, &mut items, &mut Taken::default())
    })
    .await;
    let shown = String::from_utf8_lossy(&items[0]).into_owned();
    assert!(
        shown.contains("type='subscribe'") && shown.contains("juliet@new.example"),
        "{shown}"
    );
}
