//! What people do in the panel, against a real store: sign up, publish, add people, leave; and what is refused on the way.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};

use serde_json::json;

use super::world::{House, PASSWORD, certificate, form, request};

#[tokio::test]
async fn from_sign_up_to_live_with_a_person_and_out_again() {
    let house = House::settled().await;
    let page = house.get("/", None).await;
    assert_eq!(
        (page.status, page.header("location")),
        (StatusCode::SEE_OTHER, "/sign-up")
    );

    let page = house.get("/sign-up?domain=Bakery.Example", None).await;
    assert!(page.text.contains("bakery.example") && page.text.contains("Who looks after it?"));
    let fields = [
        ("domain", "Bakery.Example"),
        ("email", "me@mail.example"),
        ("password", PASSWORD),
    ];
    let page = house.ask(form("/sign-up", None, &fields)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert_eq!(
        page.header("location"),
        "/domains/bakery.example?done=welcome"
    );
    let cookie = page
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned();

    let person = {
        let builder = Request::get("/domains/bakery.example").header(header::COOKIE, &cookie);
        let page = house.ask(builder.body(Body::empty()).unwrap()).await;
        assert_eq!(page.status, StatusCode::OK);
        let csrf = page.text.split("name=\"csrf\" value=\"").nth(1).unwrap();
        let csrf = csrf.split('"').next().unwrap().to_owned();
        super::world::Person {
            cookie,
            csrf,
            tenant: 0,
        }
    };
    let page = house
        .get("/domains/bakery.example/records", Some(&person))
        .await;
    assert!(page.text.contains("domicile-verify=") && page.text.contains("_xmpp-client._tcp"));
    let page = house
        .get("/domains/bakery.example/records.zone", Some(&person))
        .await;
    assert!(
        page.header("content-disposition")
            .contains("bakery.example.zone")
    );
    assert!(page.text.contains("_domicile.bakery.example."));

    let page = house
        .post("/domains/bakery.example/publish", &person, &[])
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    house.control.turn().await.unwrap();
    let page = house.get("/domains/bakery.example", Some(&person)).await;
    assert!(page.text.contains("</svg>live</span>"), "{}", page.text);

    let fields = [("local", "anna@bakery.example"), ("password", PASSWORD)];
    let page = house
        .post("/domains/bakery.example/people", &person, &fields)
        .await;
    assert_eq!(
        page.header("location"),
        "/domains/bakery.example/people?done=person-added"
    );
    // Without a password one is drawn and shown once.
    let page = house
        .post(
            "/domains/bakery.example/people",
            &person,
            &[("local", "bert")],
        )
        .await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Write this down") && page.text.contains("bert@bakery.example"));
    let page = house
        .post(
            "/domains/bakery.example/people",
            &person,
            &[("local", "anna")],
        )
        .await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text.contains("role=\"alert\"") && page.text.contains("value=\"anna\""));
    let csv = [("csv", "carl,\nd d,x\nemil,a long enough password\n")];
    let page = house
        .post("/domains/bakery.example/people/import", &person, &csv)
        .await;
    assert!(
        page.text.contains("2 accounts are added") && page.text.contains("1 line is left out"),
        "{}",
        page.text
    );
    let page = house
        .get("/domains/bakery.example/people", Some(&person))
        .await;
    for local in ["anna", "bert", "carl", "emil"] {
        assert!(
            page.text.contains(&format!("{local}@bakery.example")),
            "{local}"
        );
    }
    let page = house
        .post("/domains/bakery.example/people/anna/suspend", &person, &[])
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = house
        .get("/domains/bakery.example/people/anna", Some(&person))
        .await;
    assert!(page.text.contains("Start this account"));
    let page = house
        .post(
            "/domains/bakery.example/people/anna/remove",
            &person,
            &[("confirm", "anna")],
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = house
        .post(
            "/domains/bakery.example/people/anna/remove",
            &person,
            &[("confirm", "anna@bakery.example")],
        )
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(
        house
            .get("/domains/bakery.example/people/anna", Some(&person))
            .await
            .status,
        StatusCode::NOT_FOUND
    );

    for path in [
        "/domains/bakery.example/verification",
        "/domains/bakery.example/identity",
        "/domains/bakery.example/federation",
        "/domains/bakery.example/reports",
        "/domains/bakery.example/settings",
        "/team",
        "/audit",
        "/tokens",
        "/me",
        "/domains/new",
        "/",
    ] {
        let page = house.get(path, Some(&person)).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.len() < 100_000, "{path}");
    }

    let page = house
        .post(
            "/domains/bakery.example/remove",
            &person,
            &[("confirm", "bakery.example")],
        )
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Delete these records"));
    let page = house.post("/sign-out", &person, &[]).await;
    assert!(page.header("set-cookie").contains("Max-Age=0"));
    let page = house.get("/team", Some(&person)).await;
    assert_eq!(page.header("location"), "/sign-in?next=%2Fteam");
}

#[tokio::test]
async fn the_first_run_makes_one_operator_and_then_never_again() {
    let house = House::open().await;
    assert_eq!(
        house.get("/sign-in", None).await.header("location"),
        "/setup"
    );
    let fields = |token| {
        [
            ("token", token),
            ("login", "root@platform.example"),
            ("password", PASSWORD),
        ]
    };
    let page = house.ask(form("/setup", None, &fields("guess"))).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    let token = house.control.first_run_token().to_owned();
    let page = house.ask(form("/setup", None, &fields(&token))).await;
    assert_eq!(page.header("location"), "/", "{}", page.text);
    let root = house.sign_in("root@platform.example").await;
    for path in ["/", "/tenants", "/operators", "/audit", "/domains/new"] {
        assert_eq!(
            house.get(path, Some(&root)).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    assert_eq!(
        house.get("/setup", None).await.header("location"),
        "/sign-in"
    );
    let page = house.ask(form("/setup", None, &fields(&token))).await;
    assert_ne!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_operator_runs_customers_by_hand() {
    let house = House::settled().await;
    let root = house.sign_in("root@platform.example").await;
    let fields = [
        ("name", "Choir"),
        ("login", "choir@mail.example"),
        ("password", PASSWORD),
    ];
    let page = house.post("/tenants", &root, &fields).await;
    let path = page
        .header("location")
        .split('?')
        .next()
        .unwrap()
        .to_owned();
    assert!(path.starts_with("/tenants/"), "{}", page.text);
    assert!(
        house
            .get(&path, Some(&root))
            .await
            .text
            .contains("choir@mail.example")
    );
    let fields = [
        ("login", "second@mail.example"),
        ("password", PASSWORD),
        ("role", "admin"),
    ];
    let page = house.post(&format!("{path}/team"), &root, &fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let page = house
        .post(
            &format!("{path}/limits"),
            &root,
            &[("domains", "many"), ("accounts", "5")],
        )
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = house
        .post(
            &format!("{path}/limits"),
            &root,
            &[("domains", "7"), ("accounts", "5")],
        )
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = house
        .post(&format!("{path}/suspend"), &root, &[("reason", "unpaid")])
        .await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = house.post(&format!("{path}/resume"), &root, &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = house
        .post(&format!("{path}/remove"), &root, &[("confirm", "Choir")])
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(
        house.get(&path, Some(&root)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_certificate_is_uploaded_as_files_or_refused_with_its_reason() {
    let house = House::settled().await;
    let person = house.customer("bakery.example").await;
    house
        .post("/domains/bakery.example/publish", &person, &[])
        .await;
    house.control.turn().await.unwrap();
    let upload = |chain: &str, key: &str| {
        let mut body = String::new();
        for (name, file, text) in [
            ("csrf", "", person.csrf.as_str()),
            ("chain_file", "chain.pem", chain),
            ("key_file", "key.pem", key),
        ] {
            let file = if file.is_empty() {
                String::new()
            } else {
                format!("; filename=\"{file}\"")
            };
            body.push_str(&format!(
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n"
            ));
        }
        body.push_str("--b--\r\n");
        request(
            Method::POST,
            "/domains/bakery.example/identity",
            Some(&person),
        )
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .body(Body::from(body))
        .unwrap()
    };
    let (chain, key) = certificate(&["bakery.example".to_owned()]);
    let page = house.ask(upload(&chain, &key)).await;
    assert_eq!(
        page.header("location"),
        "/domains/bakery.example/identity?done=uploaded",
        "{}",
        page.text
    );
    let (_, other) = certificate(&["bakery.example".to_owned()]);
    let page = house.ask(upload(&chain, &other)).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.text.contains("role=\"alert\"") && !page.text.contains("BEGIN PRIVATE KEY-----\n")
    );
}

#[tokio::test]
async fn a_token_is_shown_once_and_opens_the_api_until_it_is_revoked() {
    let house = House::settled().await;
    let person = house.customer("bakery.example").await;
    let page = house.post("/tokens", &person, &[("name", "backup")]).await;
    let secret = page.text.split("class=\"secret\"><code>").nth(1).unwrap();
    let secret = secret.split('<').next().unwrap().to_owned();
    let ask = || {
        Request::get("/api/v1/domains")
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .body(Body::empty())
            .unwrap()
    };
    let page = house.ask(ask()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.json()[0]["domain"], "bakery.example");
    let page = house.get("/tokens", Some(&person)).await;
    assert!(page.text.contains("backup") && !page.text.contains(&secret));
    let path = page.text.split("action=\"/tokens/").nth(1).unwrap();
    let path = format!("/tokens/{}", path.split('"').next().unwrap());
    assert_eq!(
        house.post(&path, &person, &[]).await.status,
        StatusCode::SEE_OTHER
    );
    let page = house.ask(ask()).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(page.json()["code"], "not-signed-in");
}

#[tokio::test]
async fn an_own_password_change_ends_every_login() {
    let house = House::settled().await;
    let here = house.customer("bakery.example").await;
    let there = house.sign_in("owner@bakery.example").await;
    let wrong = [("old", "wrong"), ("new", "quite another one")];
    let page = house.post("/me", &here, &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = [("old", PASSWORD), ("new", "quite another one")];
    let page = house.post("/me", &here, &right).await;
    assert_eq!(
        page.header("location"),
        "/sign-in?done=password-changed",
        "{}",
        page.text
    );
    assert!(page.header("set-cookie").contains("Max-Age=0"));
    for person in [here, there] {
        let page = house.get("/me", Some(&person)).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
    }
}

/// RFC 8058: one click ends it, from a mail service as from a person; looking ends nothing; the person chooses again.
#[tokio::test]
async fn the_link_of_a_mail_works_without_a_login_and_only_when_it_is_pressed() {
    let house = House::settled().await;
    let person = house.customer("own.example").await;
    let owner = house.store.operator_find("owner@own.example").await;
    let owner = owner.unwrap().unwrap().id;
    let path = format!("/unsubscribe/{}", house.store.mail_link(owner).unwrap());
    let wanted = async || house.store.mail_wanted(owner).await.unwrap();

    let page = house.get(&path, None).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("owner@own.example") && page.text.contains("Write to me no more"));
    assert_eq!(wanted().await, Some(true), "a look ends nothing");

    // As mail services send it: no cookie, no origin, this body.
    let one_click = Request::post(&path)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("List-Unsubscribe=One-Click"));
    let page = house.ask(one_click.unwrap()).await;
    assert_eq!(page.status, StatusCode::OK, "no redirect: {}", page.text);
    assert!(page.text.contains("We write to you no more"));
    assert_eq!(wanted().await, Some(false));

    let fields = [("nightly", "yes")];
    let page = house.post("/me/mail", &person, &fields).await;
    assert_eq!(page.header("location"), "/me?done=mail-on");
    assert_eq!(wanted().await, Some(true));
    let choice = Some(serde_json::json!({"nightly": false}));
    let page = house
        .api(Method::PUT, "/api/v1/me/mail", &person, choice)
        .await;
    assert_eq!(page.json()["nightly"], false, "{}", page.text);
    let page = house
        .api(Method::GET, "/api/v1/me/mail", &person, None)
        .await;
    assert_eq!(page.json()["nightly"], false, "{}", page.text);

    let page = house.get(&format!("{path}x"), None).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text.contains("This link ends no mail"));
}

/// What a choice would become is a page, whatever the browser runs; it changes nothing, and what is chosen there is what comes.
#[tokio::test]
async fn what_a_mode_would_become_is_shown_before_it_is_chosen() {
    let house = House::settled().await;
    let person = house.customer("bakery.example").await;
    let path = "/domains/bakery.example/verification";
    let page = house.get(path, Some(&person)).await;
    assert!(!page.text.contains("Prove it this way"), "{}", page.text);

    let asked = format!("{path}?mode=dane&beside=posh");
    let page = house.get(&asked, Some(&person)).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let (_, part) = page.text.split_once("id=\"part-foreseen\"").unwrap();
    for text in [
        "<h3 class=\"mono\">bakery.example</h3>",
        "We show a key of our own, for which no certificate authority vouches.",
        "Once your website answers as the records page shows",
        "name=\"mode\" value=\"dane\"",
        "name=\"beside\" value=\"posh\"",
        "Prove it this way",
    ] {
        assert!(part.contains(text), "{text}: {part}");
    }
    // The choice is still in the form, and nothing was changed.
    assert!(page.text.contains("value=\"dane\" checked"));
    let api = "/api/v1/domains/bakery.example";
    let show = house.api(Method::GET, api, &person, None).await.json();
    assert_eq!(show["mode"], "delegated-challenge");
    let ask = format!("{api}/verdicts?mode=dane&posh=true");
    let found = house.api(Method::GET, &ask, &person, None).await.json();
    assert_eq!(
        (
            &found["mode"],
            &found["dane"],
            &found["posh"],
            &found["foreseen"]
        ),
        (&"dane".into(), &true.into(), &true.into(), &true.into())
    );
    let today = format!("{api}/verdicts");
    let found = house.api(Method::GET, &today, &person, None).await.json();
    assert_eq!(found["verdicts"], show["verdicts"]);
    assert_eq!(found["foreseen"], false);

    for (asked, text) in [
        ("mode=sorcery", "here is no such mode"),
        ("mode=dns-persist", "was not seen to offer it"),
    ] {
        let page = house.get(&format!("{path}?{asked}"), Some(&person)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
        assert!(page.text.contains(text), "{asked}: {}", page.text);
        let page = house
            .api(
                Method::GET,
                &format!("{api}/verdicts?{asked}"),
                &person,
                None,
            )
            .await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
    }

    // What is in force already is shown as well, and there is nothing to press.
    let page = house
        .get(&format!("{path}?mode=delegated-challenge"), Some(&person))
        .await;
    assert!(page.text.contains("the way you have chosen already"));
    assert!(!page.text.contains("Prove it this way"));
}

/// A flood of strangers makes no page heavy, and whom one looks for is found.
#[tokio::test]
async fn five_hundred_peers_are_read_fifty_at_a_time() {
    let house = House::settled().await;
    let person = house.customer("bakery.example").await;
    let name = xmpp::jid::DomainName::parse("bakery.example").unwrap();
    let row = house.store.domain_find(&name).await.unwrap().remove(0);
    let domain = house.store.domain(row.id, &row.name);
    let attempt = |direction: &str, ok: bool| {
        json!({
            "at": "2026-11-25T19:58:20Z", "direction": direction, "ok": ok, "prooftype": "dane", "code": "unreachable", "fault": "network",
            "summary": format!("No connection to {}", "x".repeat(200)),
        })
    };
    for at in 0..500_i64 {
        let peer = format!("{}-{at}.peers.example", "x".repeat(50));
        let attempts = json!([attempt("out", at % 2 == 0), attempt("in", at % 3 == 0)]);
        let when = control::Timestamp(at);
        domain
            .peer_set(&peer, &attempts.to_string(), when)
            .await
            .unwrap();
    }
    let path = "/domains/bakery.example/federation";
    for from in [0, 50, 450] {
        let page = house
            .get(&format!("{path}?from={from}"), Some(&person))
            .await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text.len() < 100_000, "{} bytes", page.text.len());
        assert_eq!(page.text.matches(".peers.example</span>").count(), 50);
        assert!(
            page.text
                .contains(&format!("{} to {} of 500", from + 1, from + 50))
        );
    }
    let page = house.get(path, Some(&person)).await;
    assert!(page.text.contains("-499.peers.example"), "the latest first");
    let page = house
        .get(&format!("{path}?search=-321.PEERS"), Some(&person))
        .await;
    assert_eq!(page.text.matches(".peers.example</span>").count(), 1);
    assert!(
        page.text.contains("They call us: signed DNS (DANE)"),
        "{}",
        page.text
    );
    assert!(
        page.text.contains("We call them: no contact"),
        "{}",
        page.text
    );
    let page = house
        .get(&format!("{path}?search=nobody"), Some(&person))
        .await;
    assert!(page.text.contains("has <code>nobody</code> in its name"));

    let api = "/api/v1/domains/bakery.example/peers";
    let page = house.api(Method::GET, api, &person, None).await;
    assert!(page.text.len() < 100_000, "{} bytes", page.text.len());
    let found = page.json();
    assert_eq!(found["peers"].as_array().map(Vec::len), Some(50));
    assert_eq!((&found["total"], &found["next"]), (&500.into(), &50.into()));
    let last = house
        .api(Method::GET, &format!("{api}?from=450"), &person, None)
        .await
        .json();
    assert_eq!(
        (&last["next"], &last["previous"]),
        (&json!(null), &400.into())
    );
    let one = house
        .api(Method::GET, &format!("{api}?search=-321."), &person, None)
        .await
        .json();
    assert_eq!(one["total"], 1);
    let ways = (
        &one["peers"][0]["outgoing"]["ok"],
        &one["peers"][0]["incoming"]["prooftype"],
    );
    assert_eq!(ways, (&false.into(), &"dane".into()));
}

#[tokio::test]
async fn forms_take_choices_sizes_and_times_as_people_give_them() {
    let house = House::settled().await;
    let person = house.customer("bakery.example").await;
    let kept = "/domains/bakery.example/kept";
    let days = async || {
        let page = house.get(kept, Some(&person)).await;
        let chosen = page.text.split("name=\"keep\" value=\"").skip(1);
        let chosen = chosen.filter(|rest| rest.split('>').next().unwrap().contains("checked"));
        let words: Vec<_> = chosen
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect();
        words.join(" ")
    };
    assert_eq!(days().await, "usual");
    for (fields, chosen) in [
        (&[("keep", "usual")][..], "usual"),
        (&[("keep", "ever")], "ever"),
        (&[("keep", "days"), ("archive_days", "90")], "days"),
    ] {
        let page = house.post(kept, &person, fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        assert_eq!(days().await, chosen);
    }
    for days in ["", "0", "soon"] {
        let fields = [("keep", "days"), ("archive_days", days)];
        let page = house.post(kept, &person, &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    }

    let outage = [
        ("message", "new cables"),
        ("beginning", "2026-12-24T18:00"),
        ("expected_end", "2026-12-24T20:00"),
    ];
    let path = "/domains/bakery.example/outage";
    let page = house.post(path, &person, &outage).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    let page = house
        .get("/domains/bakery.example/settings", Some(&person))
        .await;
    assert!(page.text.contains("2026-12-24 18:00 UTC"));

    let operator = house.sign_in("root@platform.example").await;
    let page = house.post("/plans", &operator, &[("name", "small")]).await;
    let plan = page
        .header("location")
        .split('?')
        .next()
        .unwrap()
        .to_owned();
    let save = async |size: &str| {
        let fields = [
            ("name", "small"),
            ("soft_percent", "80"),
            ("upload_bytes", size),
        ];
        house.post(&plan, &operator, &fields).await
    };
    assert_eq!(save("1.5 GB").await.status, StatusCode::SEE_OTHER);
    let page = house.get(&plan, Some(&operator)).await;
    assert!(page.text.contains("value=\"1.5 GB\""), "{}", page.text);
    let page = save("a lot").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("such as 500 MB or 1.5 GB"));
}
