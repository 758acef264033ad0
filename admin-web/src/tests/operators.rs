//! What operators of the platform do beside running it: they see what a customer sees, and what all of them use.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::world::{House, PASSWORD};

#[tokio::test]
async fn an_operator_looks_as_the_owner_and_every_form_is_refused_until_they_end_it() {
    let house = House::settled().await;
    let owner = house.customer("own.example").await;
    house.customer("other.example").await;
    let root = house.sign_in("root@platform.example").await;
    let page = house
        .get(&format!("/tenants/{}", owner.tenant), Some(&root))
        .await;
    assert!(page.text.contains("View as owner"), "{}", page.text);
    let begun = house
        .post(&format!("/tenants/{}/view", owner.tenant), &root, &[])
        .await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER);
    assert_eq!(begun.header("location"), "/?done=viewing");

    // The owner's pages, with a banner on each; nothing of anybody else's, and no button that would be refused.
    for path in ["/", "/team", "/usage", "/domains/own.example", "/audit"] {
        let page = house.get(path, Some(&root)).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.contains("as its owner does, read only"), "{path}");
        assert!(page.text.contains("action=\"/view-end\""), "{path}");
        assert!(!page.text.contains("other.example"), "{path}");
        let forms = page.text.matches("method=\"post\"").count();
        assert_eq!(forms, 2, "{path}: to sign out, and to end it");
    }
    let elsewhere = house.get("/domains/other.example", Some(&root)).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    let fields = [("local", "anna"), ("password", PASSWORD)];
    let refused = house
        .post("/domains/own.example/people", &root, &fields)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("You are only looking"));
    let refused = house
        .api(
            Method::POST,
            "/api/v1/domains/own.example/suspend",
            &root,
            Some(json!({})),
        )
        .await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (StatusCode::FORBIDDEN, Some("viewing"))
    );
    assert_eq!(
        house.get("/me", Some(&root)).await.status,
        StatusCode::FORBIDDEN
    );

    let ended = house.post("/view-end", &root, &[]).await;
    assert_eq!(
        ended.header("location"),
        format!("/tenants/{}?done=viewing-ended", owner.tenant)
    );
    let page = house.get("/domains/other.example", Some(&root)).await;
    assert_eq!(page.status, StatusCode::OK);
    let log = house.get("/audit", Some(&owner)).await;
    assert!(log.text.contains("tenant.view") && log.text.contains("root@platform.example"));
}

#[tokio::test]
async fn usage_is_found_by_name_and_says_where_the_next_page_is() {
    let house = House::settled().await;
    let owner = house.customer("own.example").await;
    let root = house.sign_in("root@platform.example").await;
    for n in 0..60 {
        let new = json!({ "name": format!("Customer {n:02}") });
        let made = house
            .api(Method::POST, "/api/v1/tenants", &root, Some(new))
            .await;
        assert_eq!(made.status, StatusCode::CREATED);
    }
    let first = house.get("/api/v1/usage", Some(&root)).await;
    let shown = first.json().as_array().unwrap().len();
    let total: usize = first.header("x-total-count").parse().unwrap();
    assert_eq!((shown, total), (50, 61));
    let link = first.header("link").to_owned();
    let next = link.split(['<', '>']).nth(1).unwrap();
    assert!(link.ends_with("rel=\"next\""), "{link}");
    let last = house.get(next, Some(&root)).await;
    assert_eq!(last.json().as_array().unwrap().len(), 11);
    assert_eq!(last.header("link"), "");
    let page = house.get("/usage?search=customer+59", Some(&root)).await;
    assert!(page.text.contains("Customer 59") && !page.text.contains("Customer 58"));
    let table = house.get("/usage.csv", Some(&root)).await;
    assert_eq!(table.text.lines().count(), 1 + 61 * 9);
    // An owner's is one customer's, whatever they ask for.
    let own = house
        .get("/api/v1/usage?search=customer&from=50", Some(&owner))
        .await;
    assert_eq!(own.json().as_array().unwrap().len(), 1);
    let page = house.get("/usage", Some(&owner)).await;
    assert!(page.text.contains("Accounts") && !page.text.contains("Customer"));
}

#[tokio::test]
async fn a_device_is_shown_and_signed_out() {
    let house = House::settled().await;
    let owner = house.customer("own.example").await;
    let system = control::Actor::system("test");
    house
        .control
        .domain_publish(&system, "own.example")
        .await
        .unwrap();
    house.control.turn().await.unwrap();
    let people = "/domains/own.example/people";
    let fields = [("local", "anna"), ("password", PASSWORD)];
    house.post(people, &owner, &fields).await;
    let page = house.get(people, Some(&owner)).await;
    assert!(page.text.contains("connected now"), "{}", page.text);
    let person = format!("{people}/anna");
    let page = house.get(&person, Some(&owner)).await;
    assert!(page.text.contains("balcony") && page.text.contains("with the password"));
    assert!(page.text.contains("0 bytes"), "what is kept");
    let out = format!("{person}/sign-out");
    let done = house
        .post(&out, &owner, &[("device", "session-balcony")])
        .await;
    assert_eq!(
        done.header("location"),
        format!("{person}?done=device-signed-out")
    );
    let gone = house.post(&out, &owner, &[("device", "session-x")]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}
