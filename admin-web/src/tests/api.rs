//! The JSON API: what is sent is what the description says, and open pages hear what changes.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::sample;
use super::world::{House, PASSWORD, request};

/// Members that a schema names, its references followed.
fn members(description: &Value, schema: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return members(description, &description["components"]["schemas"][name]);
    }
    let (mut all, mut required) = (BTreeSet::new(), BTreeSet::new());
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, needed) = members(description, part);
        all.extend(more);
        required.extend(needed);
    }
    all.extend(
        schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone()),
    );
    let names = schema["required"].as_array().into_iter().flatten();
    required.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    (all, required)
}

#[tokio::test]
async fn the_description_names_exactly_what_is_sent() {
    let house = House::settled().await;
    let description = house.get("/api/v1/openapi.json", None).await.json();
    let check = |name: &str, sent: &dyn erased::Json| {
        let sent = sent.json();
        let sent: BTreeSet<_> = sent.as_object().unwrap().keys().cloned().collect();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{name} is described");
        let (all, required) = members(&description, schema);
        assert!(
            sent.is_subset(&all),
            "{name}: not described: {:?}",
            sent.difference(&all).collect::<Vec<_>>()
        );
        assert!(
            required.is_subset(&sent),
            "{name}: described, not sent: {:?}",
            required.difference(&sent).collect::<Vec<_>>()
        );
    };
    let show = sample::show_live();
    check("Domain", &show.view);
    check("DomainShow", &show);
    check("Station", &show.stations[0]);
    check("NextStep", &show.next_step);
    check("Finding", &show.checks[0]);
    check("Verdict", &show.verdicts[0]);
    check("Certificate", &sample::certificate());
    let records = sample::records();
    check("Records", &records);
    for view in &records.records {
        check("RecordStanding", view);
        check("Record", &view.record);
    }
    check("Account", &sample::account("anna", "active"));
    check("AccountPage", &sample::people());
    check("AccountDevices", &sample::devices());
    check("Device", &sample::devices().devices[0]);
    check("Push", &sample::devices().push[0]);
    check("AccountStorage", &sample::storage());
    check("Tenant", &sample::tenant());
    check("Limits", &sample::tenant().limits);
    check("Used", &sample::tenant().used);
    check("Ladder", &sample::ladder());
    check("LadderStep", &sample::ladder().steps[0]);
    check("Webhook", &sample::webhook());
    check("Delivery", &sample::deliveries()[0]);
    check("Plan", &sample::plan("x", 1));
    check("Usage", &sample::usage());
    check("Quota", &sample::usage().quotas[0]);
    check("StreamChoices", &show.streams);
    check("Overview", &sample::overview());
    let queues = sample::overview().queues;
    check("Queues", &queues);
    check("ChecksQueue", &queues.checks);
    check("OrdersQueue", &queues.orders);
    check("MailQueue", &queues.mail.as_ref().unwrap());
    check("WebhookQueue", &queues.webhooks);
    check("Peer", &sample::peers()[0]);
    check("Way", &sample::peers()[0].outgoing);
    check("PeerPage", &sample::peer_page(sample::peers(), 3));
    check("Verdicts", &sample::foreseen());
    check("PeerShow", &sample::peer_show());
    check("Pinned", &sample::pinned());
    check("Anchor", &sample::pinned().anchors[0]);
    let mut story = sample::stories().remove(0);
    check("Step", &story.steps[0]);
    check("Proof", &sample::stories()[1].proofs[0]);
    story.facts.clear();
    check("Attempt", &story);
    let cost = control::peer::PolicyCost {
        policy: "encrypted",
        lost: Vec::new(),
    };
    check("PolicyCost", &cost);
    check("Operator", &sample::team()[0]);
    let factor = control::factor::FactorView {
        state: "on",
        since: None,
        codes: 3,
        wanted: true,
    };
    check("Factor", &factor);
    check("Mail", &sample::mail());
    check("Invitation", &sample::invitation("Ann"));
    check("AuditEntry", &sample::audit()[0]);
    check("Token", &sample::tokens()[0]);
    check("LoginEntry", &sample::logins()[0]);
    check("Code", &control::findings::CODES[0]);
}

/// `Serialize` is no object; this is.
mod erased {
    pub(super) trait Json {
        fn json(&self) -> serde_json::Value;
    }

    impl<T: super::Serialize> Json for T {
        fn json(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap()
        }
    }
}

#[tokio::test]
async fn the_description_is_whole() {
    let house = House::settled().await;
    let page = house.get("/api/v1/openapi.json", None).await;
    let description = page.json();
    let text = description.to_string();
    for (path, methods) in description["paths"].as_object().unwrap() {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                operation["summary"].is_string(),
                "{method} {path} says what it does"
            );
            assert!(operation["tags"][0].is_string());
        }
    }
    // No reference leads nowhere.
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(
            description["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    assert!(description["paths"].as_object().unwrap().len() >= 35);
}

#[tokio::test]
async fn a_program_does_what_a_person_does() {
    let house = House::settled().await;
    let post = |path: &str, body: Value| {
        request(Method::POST, path, None)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let page = house
        .ask(post(
            "/api/v1/sign-up",
            json!({"domain": "choir.example", "email": "choir@mail.example", "password": PASSWORD}),
        ))
        .await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text);
    let page = house
        .ask(post(
            "/api/v1/login",
            json!({"login": "choir@mail.example", "password": PASSWORD}),
        ))
        .await;
    let person = super::world::Person {
        cookie: page
            .header("set-cookie")
            .split(';')
            .next()
            .unwrap()
            .to_owned(),
        csrf: page.json()["csrf"].as_str().unwrap().to_owned(),
        tenant: 0,
    };
    let page = house.api(Method::GET, "/api/v1/me", &person, None).await;
    assert_eq!(page.json()["role"], "owner");
    let page = house
        .api(
            Method::POST,
            "/api/v1/domains/choir.example/publish",
            &person,
            None,
        )
        .await;
    assert_eq!(page.status, StatusCode::ACCEPTED, "{}", page.text);
    let page = house
        .api(
            Method::POST,
            "/api/v1/domains/choir.example/check?wait=true",
            &person,
            None,
        )
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.json()["state"], "live", "{}", page.text);
    let page = house
        .api(
            Method::POST,
            "/api/v1/domains/choir.example/accounts",
            &person,
            Some(json!({"local": "Alto"})),
        )
        .await;
    assert_eq!(page.status, StatusCode::CREATED);
    assert_eq!(page.json()["jid"], "alto@choir.example");
    assert!(page.json()["password"].as_str().unwrap().len() >= 10);
    let page = house
        .api(
            Method::GET,
            "/api/v1/domains/choir.example/accounts",
            &person,
            None,
        )
        .await;
    assert_eq!(page.json()["total"], 1);
    let page = house
        .api(
            Method::PUT,
            "/api/v1/domains/choir.example/accounts/alto/password",
            &person,
            Some(json!({"password": PASSWORD})),
        )
        .await;
    assert_eq!(page.json(), json!({"password": null}));
    let page = house
        .api(
            Method::DELETE,
            "/api/v1/domains/choir.example/accounts/alto",
            &person,
            None,
        )
        .await;
    assert_eq!(page.status, StatusCode::NO_CONTENT);
    let page = house
        .api(
            Method::GET,
            "/api/v1/domains/choir.example/records",
            &person,
            None,
        )
        .await;
    assert!(page.json()["records"].as_array().unwrap().len() >= 4);
    let page = house.api(Method::GET, "/api/v1/audit", &person, None).await;
    assert!(
        page.json()
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["operation"] == "account.remove")
    );
    let page = house
        .api(
            Method::DELETE,
            "/api/v1/domains/choir.example",
            &person,
            None,
        )
        .await;
    assert!(!page.json()["dangling"].as_array().unwrap().is_empty());
    let page = house
        .api(Method::GET, "/api/v1/domains/choir.example", &person, None)
        .await;
    assert_eq!(
        (page.status, page.json()["code"].as_str()),
        (StatusCode::NOT_FOUND, Some("not-found"))
    );
}

#[tokio::test]
async fn an_open_page_hears_what_changes_and_nothing_of_others() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let other = house.customer("other.example").await;
    let ask = request(Method::GET, "/live", Some(&person))
        .body(Body::empty())
        .unwrap();
    let response = house.router.clone().oneshot(ask).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    house
        .post("/domains/other.example/publish", &other, &[])
        .await;
    house
        .post("/domains/own.example/publish", &person, &[])
        .await;
    house.control.turn().await.unwrap();
    let mut heard = String::new();
    while !heard.contains("domain-state") {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.next()).await;
        heard.push_str(&String::from_utf8_lossy(
            &next.expect("in time").expect("open").unwrap(),
        ));
    }
    assert!(
        heard.contains("event: change") && heard.contains("own.example"),
        "{heard}"
    );
    assert!(!heard.contains("other.example"), "{heard}");
    // After signing out nothing more is told.
    house.post("/sign-out", &person, &[]).await;
    let system = control::Actor::system("test");
    house
        .control
        .domain_suspend(&system, "own.example", "test")
        .await
        .unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(20), async {
        let mut rest = String::new();
        while let Some(Ok(chunk)) = stream.next().await {
            rest.push_str(&String::from_utf8_lossy(&chunk));
        }
        rest
    });
    let rest = rest.await.expect("the stream ends");
    assert!(!rest.contains("suspended"), "{rest}");
}

#[tokio::test]
async fn a_change_made_from_an_old_answer_is_refused_and_says_so() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let path = "/api/v1/domains/own.example";
    let page = house.api(Method::GET, path, &person, None).await;
    let tag = page.header("etag").to_owned();
    assert_eq!(
        tag,
        format!("\"{}\"", page.json()["version"].as_str().unwrap())
    );
    let patch = |tag: &str, block: &str| {
        request(Method::PATCH, path, Some(&person))
            .header("x-csrf-token", &person.csrf)
            .header("content-type", "application/json")
            .header("if-match", tag)
            .body(Body::from(json!({"block": [block]}).to_string()))
            .unwrap()
    };
    let page = house.ask(patch(&tag, "a.example")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_ne!(page.header("etag"), tag);
    for old in [tag.as_str(), "W/\"x\"", "nonsense", "\"a\", \"b\""] {
        let page = house.ask(patch(old, "b.example")).await;
        assert_eq!(page.status, StatusCode::PRECONDITION_FAILED, "{old}");
        assert_eq!(page.json()["code"], "stale");
    }
    let page = house.ask(patch("*", "c.example")).await;
    assert_eq!(page.json()["block"], json!(["c.example"]));
    // The forms of the panel say it as well.
    for (form, field, value) in [
        ("settings", "block", "d.example"),
        ("kept", "archive_days", "30"),
        ("calls", "external", "turn:turn.own.example"),
        ("joining", "registration", "closed"),
        ("verification/mode", "mode", "uploaded"),
    ] {
        let path = format!("/domains/own.example/{form}");
        let old = [("version", tag.trim_matches('"')), (field, value)];
        let page = house.post(&path, &person, &old).await;
        assert_eq!(page.status, StatusCode::PRECONDITION_FAILED, "{form}");
        assert!(
            page.text.contains("has been changed since you read it"),
            "{form}: {}",
            page.text
        );
    }
}

#[tokio::test]
async fn what_is_asked_again_under_its_key_is_answered_as_before_and_done_once() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let other = house.customer("other.example").await;
    let me = house.api(Method::GET, "/api/v1/me", &person, None).await;
    let hooks = format!("/api/v1/tenants/{}/webhooks", me.json()["tenant"]);
    let ask = |key: &str, url: &str| {
        request(Method::POST, &hooks, Some(&person))
            .header("x-csrf-token", &person.csrf)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(json!({"url": url}).to_string()))
            .unwrap()
    };
    let count = async || {
        let page = house.api(Method::GET, &hooks, &person, None).await;
        page.json().as_array().unwrap().len()
    };
    let first = house.ask(ask("one", "https://a.example/hook")).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = house.ask(ask("one", "https://a.example/hook")).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(count().await, 1, "the secret too is the one that was made");

    let page = house.ask(ask("one", "https://b.example/hook")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(page.json()["field"], "Idempotency-Key", "{}", page.text);
    // What was refused has changed nothing, and is looked at afresh.
    for _ in 0..2 {
        let page = house.ask(ask("two", "http://a.example/hook")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(page.json()["field"], "url", "{}", page.text);
    }
    let page = house.ask(ask("two", "https://c.example/hook")).await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text);
    for bad in ["", &"x".repeat(256)] {
        let page = house.ask(ask(bad, "https://d.example/hook")).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    assert_eq!(count().await, 2);
    // Two at once: one is done.
    let both = tokio::join!(
        house.ask(ask("three", "https://e.example/hook")),
        house.ask(ask("three", "https://e.example/hook"))
    );
    let statuses = [both.0.status, both.1.status];
    assert!(statuses.contains(&StatusCode::CREATED), "{statuses:?}");
    assert_eq!(count().await, 3);
    // Another person's key of the same name is theirs.
    let page = request(Method::POST, &hooks, Some(&other))
        .header("x-csrf-token", &other.csrf)
        .header("content-type", "application/json")
        .header("idempotency-key", "one")
        .body(Body::from(
            json!({"url": "https://a.example/hook"}).to_string(),
        ))
        .unwrap();
    assert_eq!(house.ask(page).await.status, StatusCode::NOT_FOUND);
}
