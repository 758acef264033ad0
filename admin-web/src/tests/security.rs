//! What must not happen: other sites sending forms, other tenants' objects, roles that reach too far, guessing, huge bodies.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use control::permission::Reach;
use control::{Operation as Op, Role};
use serde_json::json;

use super::ways::{go, ways, ways_without_object};
use super::world::{House, PASSWORD, Person, form, request};

#[tokio::test]
async fn another_tenants_object_is_not_found_and_a_role_reaches_no_further_than_the_table() {
    let house = House::settled().await;
    let own = house.customer("own.example").await;
    let other = house.customer("other.example").await;
    for domain in ["own.example", "other.example"] {
        let system = control::Actor::system("test");
        house.control.domain_publish(&system, domain).await.unwrap();
    }
    house.control.turn().await.unwrap();
    for (domain, person) in [("own.example", &own), ("other.example", &other)] {
        let fields = [("local", "anna"), ("password", PASSWORD)];
        let page = house
            .post(&format!("/domains/{domain}/people"), person, &fields)
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    }
    let people = [
        (Role::Owner, own.clone()),
        (Role::Admin, house.member(own.tenant, "admin").await),
        (Role::Support, house.member(own.tenant, "support").await),
        (Role::Auditor, house.member(own.tenant, "auditor").await),
    ];
    for (role, person) in &people {
        for way in &ways() {
            let seen = go(&house, way, person, "other.example", other.tenant).await;
            assert_eq!(
                seen,
                StatusCode::NOT_FOUND,
                "{role} {} {} of another tenant",
                way.1,
                way.2
            );
            if way.0.reach(*role) == Reach::No {
                let seen = go(&house, way, person, "own.example", own.tenant).await;
                assert_eq!(seen, StatusCode::FORBIDDEN, "{role} {} {}", way.1, way.2);
            }
        }
        for way in ways_without_object() {
            if way.0.reach(*role) == Reach::No {
                let seen = go(&house, &way, person, "", 0).await;
                assert_eq!(seen, StatusCode::FORBIDDEN, "{role} {} {}", way.1, way.2);
            }
        }
    }
    // Nothing of it has had an effect.
    let page = house
        .get("/domains/other.example/people", Some(&other))
        .await;
    assert!(page.text.contains("anna@other.example") && page.text.contains("1 account"));
    let page = house.get("/domains/other.example", Some(&other)).await;
    assert!(page.text.contains("</svg>live</span>"));
}

#[test]
fn every_operation_has_a_way_that_is_tried() {
    // One's own person: the actor is the object, so there is nobody else's to reach.
    let own_person = [
        Op::LoginList,
        Op::LoginRevoke,
        Op::PasswordChange,
        Op::FactorShow,
        Op::FactorBegin,
        Op::FactorConfirm,
        Op::FactorRemove,
        Op::PasskeyList,
        Op::PasskeyAdd,
        Op::PasskeyRemove,
        Op::MailShow,
        Op::MailSet,
        Op::TokenList,
        Op::TokenAdd,
        Op::TokenRemove,
        Op::OwnerViewEnd,
        Op::TenantList,
    ];
    let tried: Vec<_> = ways()
        .into_iter()
        .chain(ways_without_object())
        .map(|way| way.0)
        .collect();
    for operation in Op::ALL {
        // What only the machine's own command line may do has no way here that could be tried.
        let signed_in = Role::ALL.into_iter().filter(|role| *role != Role::System);
        let nobody = signed_in
            .map(|role| operation.reach(role))
            .all(|reach| reach == Reach::No);
        assert!(
            nobody || tried.contains(operation) || own_person.contains(operation),
            "{operation} is not tried"
        );
    }
}

#[tokio::test]
async fn somebody_without_a_login_is_led_to_sign_in_or_told_401() {
    let house = House::settled().await;
    house.customer("own.example").await;
    let nobody = Person {
        cookie: "login=made-up".into(),
        csrf: "made-up".into(),
        tenant: 0,
    };
    for way in ways().into_iter().chain(ways_without_object()) {
        let seen = go(&house, &way, &nobody, "own.example", 1).await;
        let wanted = if way.1 == Method::GET && !way.2.starts_with("/api/") {
            StatusCode::SEE_OTHER
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(seen, wanted, "{} {}", way.1, way.2);
    }
    assert_eq!(
        house.get("/live", None).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_form_without_its_secret_or_from_elsewhere_does_nothing() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let other = house.customer("other.example").await;
    let suspend = "/domains/own.example/suspend";
    for fields in [&[][..], &[("csrf", "")], &[("csrf", other.csrf.as_str())]] {
        let page = house.ask(form(suspend, Some(&person), fields)).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        for path in [suspend, "/sign-in", "/sign-up", "/setup", "/api/v1/login"] {
            let mut request = form(path, Some(&person), &[("csrf", &person.csrf)]);
            request.headers_mut().insert(name, value.parse().unwrap());
            request
                .headers_mut()
                .insert("host", "panel.example".parse().unwrap());
            let page = house.ask(request).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {value}");
        }
    }
    let page = house.get("/domains/own.example", Some(&person)).await;
    assert!(!page.text.contains("</svg>stopped</span>"));
}

#[tokio::test]
async fn the_api_by_cookie_needs_the_secret_and_by_token_does_not() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let ask = |builder: axum::http::request::Builder| {
        builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(r#"{"name":"x"}"#))
            .unwrap()
    };
    let page = house
        .ask(ask(request(Method::POST, "/api/v1/tokens", Some(&person))))
        .await;
    assert_eq!(
        (page.status, page.json()["code"].as_str()),
        (StatusCode::FORBIDDEN, Some("csrf"))
    );
    let page = house
        .ask(ask(request(Method::POST, "/api/v1/tokens", Some(&person))
            .header("x-csrf-token", &person.csrf)))
        .await;
    assert_eq!(page.status, StatusCode::CREATED);
    let secret = page.json()["secret"].as_str().unwrap().to_owned();
    let page = house
        .ask(ask(request(Method::POST, "/api/v1/tokens", None)
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))))
        .await;
    assert_eq!(page.status, StatusCode::CREATED);
    for bad in ["Bearer", "Bearer ", "Basic eDp5", "Bearer wrong"] {
        let page = house
            .ask(ask(request(Method::POST, "/api/v1/tokens", Some(&person))
                .header(header::AUTHORIZATION, bad)))
            .await;
        assert_eq!(
            page.status,
            StatusCode::UNAUTHORIZED,
            "{bad}: the header decides, not the cookie beside it"
        );
        assert!(page.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn a_limited_token_reaches_its_domains_and_nothing_else() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let add = json!({"domain": "second.example"});
    let page = house
        .api(Method::POST, "/api/v1/domains", &person, Some(add))
        .await;
    assert_eq!(page.status, StatusCode::CREATED);
    let ask = json!({"name": "sync", "domains": ["own.example"], "days": 7});
    let page = house
        .api(Method::POST, "/api/v1/tokens", &person, Some(ask))
        .await;
    assert_eq!(page.status, StatusCode::CREATED, "{}", page.text);
    let secret = page.json()["secret"].as_str().unwrap().to_owned();
    for (operation, method, path, body) in ways() {
        if !path.starts_with("/api/") {
            continue;
        }
        let path = path
            .replace("{D}", "second.example")
            .replace("{T}", &person.tenant.to_string());
        let mut request = request(method.clone(), &path, None)
            .header(header::AUTHORIZATION, format!("Bearer {secret}"));
        let body = match body() {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let page = house.ask(request.body(body).unwrap()).await;
        let wanted = match operation {
            Op::DomainList => StatusCode::OK,
            operation if operation.of_a_domain() => StatusCode::NOT_FOUND,
            _ => StatusCode::FORBIDDEN,
        };
        assert_eq!(page.status, wanted, "{method} {path}: {}", page.text);
        // What its owner's role does not include is not refused for the token's sake.
        if wanted == StatusCode::FORBIDDEN && operation.reach(Role::Owner) != Reach::No {
            assert_eq!(page.json()["code"], "token-scope", "{method} {path}");
        }
        if operation == Op::DomainList {
            assert_eq!(page.json().as_array().unwrap().len(), 1);
        }
    }
    for days in [0, 400] {
        let ask = json!({"name": "sync", "days": days});
        let page = house
            .api(Method::POST, "/api/v1/tokens", &person, Some(ask))
            .await;
        assert_eq!(page.json()["field"], "days", "{}", page.text);
    }
}

#[tokio::test]
async fn guessing_a_password_is_slowed_down_in_panel_and_api_alike() {
    let house = House::settled().await;
    house.customer("own.example").await;
    let fields = [
        ("login", "owner@own.example"),
        ("password", "wrong wrong wrong"),
        ("next", "/team"),
    ];
    let page = house.ask(form("/sign-in", None, &fields)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(
        page.text.contains("value=\"owner@own.example\"") && !page.text.contains("wrong wrong")
    );
    let mut last = page;
    for _ in 0..40 {
        last = house.ask(form("/sign-in", None, &fields)).await;
        if last.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    let body = json!({"login": "owner@own.example", "password": PASSWORD});
    let request = Request::post("/api/v1/login")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let page = house.ask(request).await;
    assert_eq!(
        page.status,
        StatusCode::TOO_MANY_REQUESTS,
        "the right password is not even looked at"
    );
    assert!(page.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn attempts_are_counted_by_the_visitors_address_behind_tls() {
    let house = House::with(true).await;
    house.platform().await;
    let ask = |from: &str| {
        let mut request = form(
            "/sign-up",
            None,
            &[("domain", "co.uk"), ("email", "x"), ("password", "y")],
        );
        request
            .headers_mut()
            .insert("x-forwarded-for", from.parse().unwrap());
        request
    };
    let mut last = StatusCode::OK;
    for _ in 0..30 {
        last = house.ask(ask("203.0.113.9, 192.0.2.1")).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    // What the visitor writes in front does not matter; another address is not held up.
    assert_eq!(
        house.ask(ask("198.51.100.1, 192.0.2.1")).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_ne!(
        house.ask(ask("192.0.2.2")).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn cookies_are_bound_to_host_and_tls_where_there_is_tls() {
    for (secure, name) in [(false, "login="), (true, "__Host-login=")] {
        let house = House::with(secure).await;
        house.platform().await;
        let fields = [
            ("login", "root@platform.example"),
            ("password", PASSWORD),
            ("next", "//evil.example"),
        ];
        let page = house.ask(form("/sign-in", None, &fields)).await;
        assert_eq!(page.header("location"), "/", "no redirect leads elsewhere");
        let cookie = page.header("set-cookie");
        assert!(
            cookie.starts_with(name)
                && cookie.contains("; HttpOnly")
                && cookie.contains("; SameSite=Lax")
                && cookie.contains("; Path=/"),
            "{cookie}"
        );
        assert_eq!(cookie.contains("; Secure"), secure);
        let token = cookie.split([';', '=']).nth(1).unwrap();
        assert!(token.len() >= 43, "256 bits: {token}");
        assert_eq!(page.header("strict-transport-security").is_empty(), !secure);
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let mut pages = Vec::new();
    for path in [
        "/",
        "/sign-in",
        "/nowhere",
        "/domains/own.example",
        "/api/v1/me",
        "/api/v1/nowhere",
        "/tenants/abc",
        &crate::assets::url("panel.css"),
    ] {
        pages.push(house.get(path, Some(&person)).await);
    }
    pages.push(
        house
            .ask(form("/domains/own.example", Some(&person), &[]))
            .await,
    );
    for page in pages {
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'self'"),
            "{page:?}"
        );
        assert!(
            page.header("content-security-policy")
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "same-origin");
        let asset = page.header("content-type").starts_with("text/css");
        assert_eq!(page.header("cache-control").contains("immutable"), asset);
        assert_eq!(page.header("cache-control") == "no-store", !asset);
    }
    assert_eq!(
        house.get("/tenants/abc", Some(&person)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn bodies_have_limits_and_bad_ones_get_a_problem_document() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let large = "x".repeat(70_000);
    let page = house.post("/domains", &person, &[("domain", &large)]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let page = house
        .api(
            Method::POST,
            "/api/v1/domains",
            &person,
            Some(json!({"domain": large})),
        )
        .await;
    assert_eq!(
        (page.status, page.json()["code"].as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, Some("too-large"))
    );
    let ask = |kind: &str, body: &str| {
        request(Method::POST, "/api/v1/domains", Some(&person))
            .header("x-csrf-token", &person.csrf)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body.to_owned()))
            .unwrap()
    };
    for (kind, body, code) in [
        ("text/plain", "{}", "not-json"),
        ("application/json", "{", "bad-json"),
        ("application/json", "{\"domain\":7}", "bad-json"),
        ("application/json", "{\"domain\":\"co.uk\"}", "invalid"),
    ] {
        let page = house.ask(ask(kind, body)).await;
        assert!(page.status.is_client_error());
        assert_eq!(page.header("content-type"), "application/problem+json");
        let problem = page.json();
        assert_eq!(problem["code"], code, "{problem}");
        for member in ["title", "detail", "remedy"] {
            assert!(
                !problem[member].as_str().unwrap().is_empty(),
                "{member} of {problem}"
            );
        }
    }
    let page = house
        .ask(Request::put("/api/v1/domains").body(Body::empty()).unwrap())
        .await;
    assert_eq!(
        (page.status, page.json()["code"].as_str()),
        (StatusCode::METHOD_NOT_ALLOWED, Some("wrong-method"))
    );
}
