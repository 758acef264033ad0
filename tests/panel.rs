//! The panel in a real browser (Debian's Chromium), and what came of it seen from outside: the new customer's people log
//! in with the new domain's certificate and chat.

use crate::harness::browser::browse;
use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::xmpp::Client;
use serde_json::json;

#[test]
fn a_new_customer_goes_from_sign_up_to_live_and_chats() {
    let demo = Demo::start();
    let domain = "three.example";
    let people = [
        ("carol", "a-long-enough-secret-3"),
        ("dave", "a-long-enough-secret-4"),
    ];
    let plan = json!({
        "panel": demo.info.panel.trim_end_matches('/'),
        "domain": domain,
        "email": "owner@three.example.org",
        "password": "correct horse battery staple",
        "people": people.map(|(local, password)| json!({ "local": local, "password": password })),
        "operator": { "login": demo.info.operator.login, "password": demo.info.operator.password },
    });
    browse("onboarding", plan, &demo.data_dir, 10);

    // Whole path, by the new domain's own certificate (the client verifies it against the name).
    let mut carol = Client::login_with(&demo, "carol@three.example", people[0].1, "browser");
    carol.send("<presence/>");
    let mut dave = Client::login_with(&demo, "dave@three.example", people[1].1, "browser");
    dave.send("<presence/>");
    let mut alice = Client::online(&demo, "alice@one.example", "browser");
    carol.settle();
    dave.settle();
    for (from, to) in [
        ("carol", "dave@three.example"),
        ("carol", "alice@one.example"),
    ] {
        carol.message(to, &format!("{from}-{to}"), "hello from the third domain");
    }
    dave.until("carol-dave@three.example");
    alice.until("carol-alice@one.example");
    alice.message("dave@three.example", "alice-dave", "welcome");
    dave.until("alice-dave");
}

#[test]
fn every_page_is_for_phones_desks_keyboards_and_readers_in_both_themes() {
    let demo = Demo::start();
    // Somebody elsewhere, so that federation has something to tell.
    let mut alice = Client::online(&demo, "alice@one.example", "walk");
    alice.message("nobody@unreachable.example", "lost", "is anybody there?");
    alice.until("type='error'");
    // And what pages of an operator's are only about when it is there: a plan, and a customer's domain that nobody has registered.
    let api = Api::operator(&demo.info);
    let made = |path: &str, ask: serde_json::Value| {
        let made = api.post(path, &ask);
        assert!(matches!(made.status, 200 | 201), "{path}: {made:?}");
        made.json()
    };
    made("/plans", json!({ "name": "small", "domains": 2 }));
    let customer = made("/tenants", json!({ "name": "somebody else" }));
    made(
        "/domains",
        json!({ "domain": "unregistered.example", "tenant": customer["id"] }),
    );
    made("/domains/unregistered.example/check?wait=true", json!({}));
    let who = [&demo.info.owner, &demo.info.operator]
        .map(|who| json!({ "login": who.login, "password": who.password }));
    let plan = json!({
        "panel": demo.info.panel.trim_end_matches('/'),
        "who": who,
    });
    let seen = browse("pages", plan, &demo.data_dir, 20);
    let seen: Vec<_> = seen.as_array().expect("the paths seen").iter().collect();
    let all = [
        "/",
        "/audit",
        "/certificates",
        "/domains/D",
        "/domains/D/components",
        "/domains/D/federation",
        "/domains/D/federation/F",
        "/domains/D/identity",
        "/domains/D/kept",
        "/domains/D/people",
        "/domains/D/people/P",
        "/domains/D/records",
        "/domains/D/reports",
        "/domains/D/settings",
        "/domains/D/usage",
        "/domains/D/verification",
        "/domains/new",
        "/failing/C",
        "/me",
        "/operators",
        "/plans",
        "/plans/N",
        "/team",
        "/tenants",
        "/tenants/N",
        "/tokens",
        "/usage",
        "/webhooks",
    ];
    // A page that no link leads to any more would vanish unseen, and a new one has to be named.
    assert_eq!(seen, all);
}
