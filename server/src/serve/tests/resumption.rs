//! Sessions that outlive their connections, the server whole (XEP-0198).

use super::*;

const SM: &str = "xmlns='urn:xmpp:sm:3'";

type Secure = Wire<TlsStream<TcpStream>>;

/// Asks for a session that may be resumed; what it is called.
async fn enable(wire: &mut Secure) -> String {
    wire.say(&format!("<enable {SM} resume='true'/>")).await;
    wire.until("<enabled ").await;
    let enabled = wire.until(">").await;
    assert!(enabled.contains("resume='true'"), "{enabled}");
    let (_, id) = enabled.split_once(" id='").expect("a name");
    id.split('\'').next().expect("its end").to_owned()
}

/// Comes back over a new connection. Everything up to `<resumed/>`.
async fn resume(house: &House, user: &str, id: &str, handled: u32) -> (Secure, String) {
    let mut wire = house.authenticated(user, "one.example").await;
    wire.say(&format!("<resume {SM} previd='{id}' h='{handled}'/>"))
        .await;
    wire.until("<resumed ").await;
    let resumed = wire.until("/>").await;
    (wire, resumed)
}

fn chat(body: &str) -> String {
    format!("<message to='alice@one.example' type='chat'><body>{body}</body></message>")
}

/// What was sent and not acknowledged comes again behind `<resumed/>`, and then what came meanwhile, each once and in order;
/// nobody has seen the user leave.
#[tokio::test]
async fn sm_07_11_a_session_survives_its_connection() {
    let house = House::new().await;
    let mut bob = house.login("bob", "one.example").await;
    let mut alice = house.login("alice", "one.example").await;
    let id = enable(&mut alice).await;
    bob.say(&chat("first")).await;
    alice.until("first").await;
    alice
        .say("<message to='bob@one.example/r' type='chat'><body>mine</body></message>")
        .await;
    bob.until("mine").await;
    // The client acknowledges nothing, and its connection is cut.
    drop(alice);
    bob.say(&chat("second")).await;
    bob.ping("one.example").await;
    let (mut alice, resumed) = resume(&house, "alice", &id, 0).await;
    assert!(
        resumed.contains("h='1'"),
        "what it sent has been handled: {resumed}"
    );
    let came = alice.until("second").await;
    assert_eq!(came.matches("first").count(), 1, "{came}");
    assert_eq!(came.matches("<body>second").count(), 1, "{came}");
    bob.say(&chat("third")).await;
    alice.until("third").await;
    alice
        .say("<message to='bob@one.example/r' type='chat'><body>back</body></message>")
        .await;
    let seen = bob.until("back").await;
    assert!(!seen.contains("unavailable"), "{seen}");
    assert!(
        house
            .metrics()
            .contains("domicile_resumptions_total{result=\"resumed\"} 1")
    );
    assert!(house.metrics().contains("domicile_sessions_away 0"));
}

#[tokio::test]
async fn sm_04_05_acknowledgements_both_ways() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    enable(&mut alice).await;
    alice
        .say(&format!(
            "<iq type='get' id='p' to='one.example'><ping xmlns='urn:xmpp:ping'/></iq><r {SM}/>"
        ))
        .await;
    let said = alice.until("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    if !said.contains("<r xmlns='urn:xmpp:sm:3'/>") {
        alice.until("<r xmlns='urn:xmpp:sm:3'/>").await;
    }
    alice.say(&format!("<a {SM} h='1'/>")).await;
    alice.ping("one.example").await;
    alice.say(&format!("<a {SM} h='9'/>")).await;
    let end = alice.rest().await;
    assert!(
        end.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='9' send-count='2'/>"),
        "{end}"
    );
}

#[tokio::test]
async fn sm_09_the_old_connection_still_seems_open() {
    let house = House::new().await;
    let mut old = house.login("alice", "one.example").await;
    let id = enable(&mut old).await;
    let (mut alice, _) = resume(&house, "alice", &id, 0).await;
    let end = old.rest().await;
    assert!(end.contains("<conflict "), "{end}");
    let mut bob = house.login("bob", "one.example").await;
    bob.say(&chat("here")).await;
    alice.until("here").await;
    alice.ping("one.example").await;
}

#[tokio::test]
async fn layer_12_sm_08_a_session_of_another_account_is_unknown() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let id = enable(&mut alice).await;
    let mut bob = house.authenticated("bob", "one.example").await;
    bob.say(&format!("<resume {SM} previd='{id}' h='0'/>"))
        .await;
    let mine = bob.until("</failed>").await;
    assert!(mine.contains("<item-not-found "), "{mine}");
    bob.say(&format!("<resume {SM} previd='nobody-has-this' h='0'/>"))
        .await;
    assert_eq!(bob.until("</failed>").await, mine, "no difference");
    // And the session is untouched.
    alice.ping("one.example").await;
}

/// Its time is over: contacts see it leave, what waited is in the offline store with the time it came, and how much of the
/// client's was handled is still known.
#[tokio::test]
async fn sm_08_10_nobody_comes_back() {
    let house = House::with(|config| config.clients.resume_seconds = 1).await;
    let mut watcher = house.login("alice", "one.example").await;
    let mut alice = house.authenticated("alice", "one.example").await;
    alice.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind></iq>").await;
    alice.until("</bind></iq>").await;
    alice.say("<presence/>").await;
    watcher.until("from='alice@one.example/phone'").await;
    let id = enable(&mut alice).await;
    let mut bob = house.login("bob", "one.example").await;
    bob.say("<message to='alice@one.example/phone' type='chat'><body>late</body></message>")
        .await;
    alice.until("late").await;
    drop(alice);
    let left = watcher.until("type='unavailable'").await;
    assert!(left.contains("/phone"), "{left}");
    // The other session gets it, with the time it came.
    let got = watcher.until("</message>").await;
    assert!(
        got.contains("late") && got.contains("urn:xmpp:delay"),
        "{got}"
    );
    let mut again = house.authenticated("alice", "one.example").await;
    again
        .say(&format!("<resume {SM} previd='{id}' h='0'/>"))
        .await;
    let failed = again.until("</failed>").await;
    assert!(
        failed.contains("h='0'") && failed.contains("<item-not-found "),
        "{failed}"
    );
    assert!(
        house
            .metrics()
            .contains("domicile_resumptions_total{result=\"expired\"} 1")
    );
}

#[tokio::test]
async fn sm_11_a_closed_stream_ends_its_session() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let id = enable(&mut alice).await;
    alice.say("</stream:stream>").await;
    let end = alice.rest().await;
    assert!(
        end.ends_with("<a xmlns='urn:xmpp:sm:3' h='0'/></stream:stream>"),
        "{end}"
    );
    let mut again = house.authenticated("alice", "one.example").await;
    again
        .say(&format!("<resume {SM} previd='{id}' h='0'/>"))
        .await;
    again.until("<item-not-found ").await;
}

/// A changed password ends sessions, those at which nobody is included.
#[tokio::test]
async fn a_revoked_login_leaves_nothing_to_resume() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let id = enable(&mut alice).await;
    drop(alice);
    let name = DomainName::parse("one.example").expect("a name");
    let account = name.clone();
    let account = BareJid::new(Some("alice"), &account).expect("an account");
    house
        .until(async || {
            house
                .metrics()
                .contains("domicile_sessions_away 1")
                .then_some(())
        })
        .await;
    let error = StreamError::new(StreamCondition::NotAuthorized);
    house.server.router().revoke(&account, now(), &error);
    house
        .until(async || {
            house
                .metrics()
                .contains("domicile_sessions 0")
                .then_some(())
        })
        .await;
    let mut again = house.authenticated("alice", "one.example").await;
    again
        .say(&format!("<resume {SM} previd='{id}' h='0'/>"))
        .await;
    again.until("<item-not-found ").await;
}

/// The server stops and starts: a session that was open, one at which nobody was, and what waited for them.
#[tokio::test]
async fn sm_07_a_session_survives_a_restart() {
    let house = House::new().await;
    let mut bob = house.login("bob", "one.example").await;
    let mut alice = house.login("alice", "one.example").await;
    let id = enable(&mut alice).await;
    bob.say(&chat("first")).await;
    alice.until("first").await;
    drop(alice);
    bob.say(&chat("second")).await;
    bob.ping("one.example").await;
    let theirs = enable(&mut bob).await;
    let goodbye = async { bob.rest().await };
    let (said, house) = tokio::join!(goodbye, house.restarted());
    assert!(said.contains("<system-shutdown "), "{said}");
    assert!(
        house.metrics().contains("domicile_sessions_away 2"),
        "{}",
        house.metrics()
    );
    let (mut bob, _) = resume(&house, "bob", &theirs, 0).await;
    // Nobody is there, and still it is the session that is written to.
    bob.say(&chat("third")).await;
    bob.ping("one.example").await;
    let (mut alice, resumed) = resume(&house, "alice", &id, 0).await;
    assert!(resumed.contains("h='0'"), "{resumed}");
    let came = alice.until("third").await;
    let at = |body: &str| {
        came.find(body)
            .unwrap_or_else(|| panic!("{body} in {came}"))
    };
    assert!(at("first") < at("second"), "{came}");
    for body in ["first", "second", "third"] {
        assert_eq!(came.matches(&format!("<body>{body}")).count(), 1, "{came}");
    }
    // Until they have said that they have it, the store has it too.
    alice.say(&format!("<a {SM} h='3'/>")).await;
    bob.say(&format!("<a {SM} h='0'/>")).await;
    house
        .until(async || {
            house
                .world
                .store
                .session_kept("", 9)
                .await
                .expect("the store")
                .is_empty()
                .then_some(())
        })
        .await;
}

/// XEP-0198 5, XEP-0045: whoever comes back is where they were, and what it has asked for still holds.
#[tokio::test]
async fn sm_07_a_session_is_still_in_its_room_after_a_restart() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut bob = house.login("bob", "one.example").await;
    let muc = "http://jabber.org/protocol/muc";
    let enter = |nick: &str| {
        format!("<presence to='coven@rooms.one.example/{nick}'><x xmlns='{muc}'/></presence>")
    };
    alice.say("<presence/>").await;
    alice.say(&enter("Alice")).await;
    alice.until("code='201'").await;
    alice
        .say(&format!(
            "<iq type='set' id='open' to='coven@rooms.one.example'><query xmlns='{muc}#owner'>\
             <x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>{muc}#roomconfig</value></field>\
             <field var='muc#roomconfig_persistentroom'><value>1</value></field></x></query></iq>"
        ))
        .await;
    alice.until("id='open'").await;
    bob.say("<presence/>").await;
    bob.say(&enter("Bob")).await;
    bob.until("<subject").await;
    alice.until("coven@rooms.one.example/Bob").await;
    let hers = enable(&mut alice).await;
    let his = enable(&mut bob).await;
    drop((alice, bob));
    let house = house.restarted().await;
    let (mut bob, _) = resume(&house, "bob", &his, 0).await;
    bob.say(
        "<message type='groupchat' to='coven@rooms.one.example'><body>back again</body></message>",
    )
    .await;
    bob.until("back again").await;
    let (mut alice, _) = resume(&house, "alice", &hers, 0).await;
    let came = alice.until("back again").await;
    assert!(!came.contains("code='332'"), "{came}");
    // She leaves for good: the room hears of it.
    alice.say("</stream:stream>").await;
    alice.rest().await;
    let seen = bob.until("type='unavailable'").await;
    assert!(seen.contains("coven@rooms.one.example/Alice"), "{seen}");
}

/// XEP-0357: what was written to a connection that turns out to be dead was never heard. Here bob plays the push service.
#[tokio::test]
async fn ext_14_what_was_not_acknowledged_wakes_the_client() {
    let house = House::new().await;
    let mut bob = house.login("bob", "one.example").await;
    bob.say("<presence to='alice@one.example'/>").await;
    let mut alice = house.login("alice", "one.example").await;
    alice
        .say("<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='bob@one.example/r' node='phone'/></iq>")
        .await;
    alice.until("id='e'").await;
    let id = enable(&mut alice).await;
    bob.say(&chat("are you there?")).await;
    alice.until("are you there?").await;
    // She acknowledges nothing, and her connection is cut.
    drop(alice);
    let push = bob.until("</iq>").await;
    assert!(
        push.contains("<publish node='phone'>") && !push.contains("are you there?"),
        "{push}"
    );
    let (mut alice, _) = resume(&house, "alice", &id, 0).await;
    alice.ping("one.example").await;
}

/// The same where the session ends with its connection.
#[tokio::test]
async fn ext_14_what_a_session_leaves_unacknowledged_wakes_the_client() {
    let house = House::new().await;
    let mut bob = house.login("bob", "one.example").await;
    bob.say("<presence to='alice@one.example'/>").await;
    let mut alice = house.login("alice", "one.example").await;
    alice
        .say("<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='bob@one.example/r' node='phone'/></iq>")
        .await;
    alice.until("id='e'").await;
    alice.say(&format!("<enable {SM}/>")).await;
    alice.until("<enabled ").await;
    bob.say(&chat("are you there?")).await;
    alice.until("are you there?").await;
    drop(alice);
    let push = bob.until("</iq>").await;
    assert!(push.contains("<publish node='phone'>"), "{push}");
}

/// A call (an iq) and a request to be seen wait for a client that is not there.
#[tokio::test]
async fn ext_14_calls_and_requests_wake_the_client() {
    let house = House::new().await;
    let mut bob = house.login("bob", "one.example").await;
    bob.say("<presence to='alice@one.example'/>").await;
    let mut alice = house.login("alice", "one.example").await;
    alice
        .say("<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='bob@one.example/r' node='phone'/></iq>\
              <presence to='bob@one.example'/>")
        .await;
    alice.until("id='e'").await;
    bob.until("from='alice@one.example/r'").await;
    enable(&mut alice).await;
    drop(alice);
    house
        .until(async || {
            house
                .metrics()
                .contains("domicile_sessions_away 1")
                .then_some(())
        })
        .await;
    bob.say("<iq type='set' id='call' to='alice@one.example/r'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='s'/></iq>")
        .await;
    let push = bob.until("</iq>").await;
    assert!(
        push.contains("<notification xmlns='urn:xmpp:push:0'/>"),
        "{push}"
    );
}
