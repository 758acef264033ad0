//! What must not happen: other sites sending forms, other tenants' objects, roles that reach too far, guessing, huge bodies.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use control::permission::Reach;
use control::{Operation as Op, Role};
use serde_json::{Value, json};

use super::world::{House, PASSWORD, Person, form, request};

/// One way to do an operation: by form (`/…`) or by the API (`/api/…`). `{D}` is the domain, `{T}` its tenant.
type Way = (Op, Method, &'static str, fn() -> Option<Value>);

fn none() -> Option<Value> {
    None
}

fn empty() -> Option<Value> {
    Some(json!({}))
}

/// Every operation that names an object or a role can refuse. The list is compared with `Operation::ALL` below.
fn ways() -> Vec<Way> {
    let account = || Some(json!({"local": "new", "password": PASSWORD}));
    let member =
        || Some(json!({"login": "new@team.example", "password": PASSWORD, "role": "auditor"}));
    let (get, post, put, patch, delete) = (
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    );
    vec![
        (Op::TenantShow, get.clone(), "/tenants/{T}", none),
        (Op::TenantShow, get.clone(), "/api/v1/tenants/{T}", none),
        (
            Op::TenantSuspend,
            post.clone(),
            "/tenants/{T}/suspend",
            none,
        ),
        (
            Op::TenantSuspend,
            post.clone(),
            "/api/v1/tenants/{T}/suspend",
            empty,
        ),
        (Op::TenantResume, post.clone(), "/tenants/{T}/resume", none),
        (
            Op::TenantResume,
            post.clone(),
            "/api/v1/tenants/{T}/resume",
            none,
        ),
        (
            Op::TenantRemove,
            delete.clone(),
            "/api/v1/tenants/{T}",
            none,
        ),
        (
            Op::TenantSetLimits,
            post.clone(),
            "/tenants/{T}/limits",
            || Some(json!({"domains": "1", "accounts": "1"})),
        ),
        (
            Op::TenantSetLimits,
            put.clone(),
            "/api/v1/tenants/{T}/limits",
            || Some(json!({"domains": 1, "accounts": 1})),
        ),
        (Op::LadderSet, post.clone(), "/tenants/{T}/ladder", || {
            Some(json!({"reason": "test"}))
        }),
        (Op::LadderEnd, post.clone(), "/tenants/{T}/ladder/end", none),
        (
            Op::LadderSet,
            put.clone(),
            "/api/v1/tenants/{T}/ladder",
            || Some(json!({"reason": "test"})),
        ),
        (
            Op::LadderEnd,
            delete.clone(),
            "/api/v1/tenants/{T}/ladder",
            none,
        ),
        (Op::UsageShow, get.clone(), "/usage?tenant={T}", none),
        (Op::UsageShow, get.clone(), "/usage.csv?tenant={T}", none),
        (Op::UsageShow, get.clone(), "/api/v1/usage?tenant={T}", none),
        (
            Op::UsageShow,
            get.clone(),
            "/api/v1/usage.csv?tenant={T}",
            none,
        ),
        (
            Op::UsageShow,
            get.clone(),
            "/api/v1/tenants/{T}/series",
            none,
        ),
        (Op::TeamList, get.clone(), "/api/v1/tenants/{T}/team", none),
        (Op::TeamAdd, post.clone(), "/tenants/{T}/team", member),
        (
            Op::TeamAdd,
            post.clone(),
            "/api/v1/tenants/{T}/team",
            member,
        ),
        (
            Op::TeamSetRole,
            Method::PATCH,
            "/api/v1/tenants/{T}/team/1",
            || Some(json!({"role": "auditor"})),
        ),
        (
            Op::TeamResetFactor,
            delete.clone(),
            "/api/v1/tenants/{T}/team/1/factor",
            none,
        ),
        (
            Op::TenantRequireFactor,
            post.clone(),
            "/tenants/{T}/factor",
            none,
        ),
        (
            Op::TenantRequireFactor,
            put.clone(),
            "/api/v1/tenants/{T}/factor",
            || Some(json!({"wanted": false})),
        ),
        (
            Op::WebhookList,
            get.clone(),
            "/api/v1/tenants/{T}/webhooks",
            none,
        ),
        (
            Op::WebhookAdd,
            post.clone(),
            "/api/v1/tenants/{T}/webhooks",
            || Some(json!({"url": "https://hooks.example/"})),
        ),
        (
            Op::WebhookTest,
            post.clone(),
            "/api/v1/tenants/{T}/webhooks/1/test",
            none,
        ),
        (
            Op::WebhookRemove,
            delete.clone(),
            "/api/v1/tenants/{T}/webhooks/1",
            none,
        ),
        (
            Op::WebhookDeliveries,
            get.clone(),
            "/api/v1/tenants/{T}/deliveries",
            none,
        ),
        (
            Op::InvitationList,
            get.clone(),
            "/api/v1/tenants/{T}/invitations",
            none,
        ),
        (
            Op::InvitationAdd,
            post.clone(),
            "/api/v1/tenants/{T}/invitations",
            || Some(json!({"role": "auditor"})),
        ),
        (
            Op::InvitationRemove,
            delete.clone(),
            "/api/v1/tenants/{T}/invitations/1",
            none,
        ),
        (
            Op::TeamRemove,
            delete.clone(),
            "/api/v1/tenants/{T}/team/1",
            none,
        ),
        (
            Op::DomainList,
            get.clone(),
            "/api/v1/domains?tenant={T}",
            none,
        ),
        (Op::DomainShow, get.clone(), "/domains/{D}", none),
        (
            Op::DomainShow,
            get.clone(),
            "/domains/{D}/verification",
            none,
        ),
        (Op::DomainShow, get.clone(), "/domains/{D}/usage", none),
        (
            Op::DomainShow,
            get.clone(),
            "/api/v1/domains/{D}/series?step=hour",
            none,
        ),
        (Op::DomainShow, get.clone(), "/domains/{D}/settings", none),
        (Op::DomainShow, get.clone(), "/api/v1/domains/{D}", none),
        (Op::DomainCheck, post.clone(), "/domains/{D}/check", none),
        (
            Op::DomainCheck,
            post.clone(),
            "/api/v1/domains/{D}/check",
            none,
        ),
        (
            Op::DomainCheck,
            post.clone(),
            "/api/v1/domains/{D}/check?wait=true",
            none,
        ),
        (
            Op::DomainPublish,
            post.clone(),
            "/domains/{D}/publish",
            none,
        ),
        (
            Op::DomainPublish,
            post.clone(),
            "/api/v1/domains/{D}/publish",
            none,
        ),
        (Op::DomainSet, post.clone(), "/domains/{D}/settings", none),
        (
            Op::DomainSet,
            post.clone(),
            "/domains/{D}/verification/mode",
            || Some(json!({"mode": "uploaded"})),
        ),
        (Op::DomainSet, patch, "/api/v1/domains/{D}", empty),
        (
            Op::DomainSuspend,
            post.clone(),
            "/domains/{D}/suspend",
            none,
        ),
        (
            Op::DomainSuspend,
            post.clone(),
            "/api/v1/domains/{D}/suspend",
            empty,
        ),
        (Op::DomainResume, post.clone(), "/domains/{D}/resume", none),
        (
            Op::DomainResume,
            post.clone(),
            "/api/v1/domains/{D}/resume",
            none,
        ),
        (
            Op::DomainRemove,
            post.clone(),
            "/domains/{D}/remove",
            || Some(json!({"confirm": "{D}"})),
        ),
        (
            Op::DomainRemove,
            delete.clone(),
            "/api/v1/domains/{D}",
            none,
        ),
        (Op::DomainRecords, get.clone(), "/domains/{D}/records", none),
        (
            Op::DomainRecords,
            get.clone(),
            "/domains/{D}/records.zone",
            none,
        ),
        (
            Op::DomainRecords,
            get.clone(),
            "/api/v1/domains/{D}/records",
            none,
        ),
        (
            Op::DomainRecords,
            get.clone(),
            "/api/v1/domains/{D}/records.zone",
            none,
        ),
        (
            Op::CertificateList,
            get.clone(),
            "/domains/{D}/identity",
            none,
        ),
        (
            Op::CertificateList,
            get.clone(),
            "/api/v1/domains/{D}/certificates",
            none,
        ),
        (
            Op::CertificateUpload,
            post.clone(),
            "/domains/{D}/identity",
            || Some(json!({"chain_pem": "x", "key_pem": "x"})),
        ),
        (
            Op::CertificateUpload,
            post.clone(),
            "/api/v1/domains/{D}/certificates",
            || Some(json!({"chain_pem": "x", "key_pem": "x"})),
        ),
        (
            Op::CertificateOrder,
            post.clone(),
            "/domains/{D}/identity/order",
            none,
        ),
        (
            Op::CertificateOrder,
            post.clone(),
            "/api/v1/domains/{D}/certificates/order",
            none,
        ),
        (
            Op::CertificateList,
            get.clone(),
            "/api/v1/domains/{D}/rollover",
            none,
        ),
        (
            Op::CertificateChangeKey,
            post.clone(),
            "/domains/{D}/identity/key",
            none,
        ),
        (
            Op::CertificateChangeKey,
            post.clone(),
            "/api/v1/domains/{D}/certificates/key",
            empty,
        ),
        (
            Op::CertificateRevoke,
            post.clone(),
            "/api/v1/domains/{D}/certificates/revoke",
            || Some(json!({"reason": "key-compromise"})),
        ),
        (
            Op::CertificateList,
            get.clone(),
            "/api/v1/domains/{D}/certificates/plan",
            none,
        ),
        (
            Op::CertificateQueue,
            get.clone(),
            "/api/v1/orders?tenant={T}",
            none,
        ),
        (Op::AccountList, get.clone(), "/domains/{D}/people", none),
        (
            Op::AccountList,
            get.clone(),
            "/api/v1/domains/{D}/accounts",
            none,
        ),
        (
            Op::AccountShow,
            get.clone(),
            "/domains/{D}/people/anna",
            none,
        ),
        (
            Op::AccountShow,
            get.clone(),
            "/api/v1/domains/{D}/accounts/anna",
            none,
        ),
        (Op::AccountAdd, post.clone(), "/domains/{D}/people", account),
        (
            Op::AccountAdd,
            post.clone(),
            "/api/v1/domains/{D}/accounts",
            account,
        ),
        (
            Op::AccountImport,
            post.clone(),
            "/domains/{D}/people/import",
            || Some(json!({"csv": "x,y"})),
        ),
        (
            Op::AccountImport,
            post.clone(),
            "/api/v1/domains/{D}/accounts/import",
            empty,
        ),
        (
            Op::OutageShow,
            get.clone(),
            "/api/v1/domains/{D}/outage",
            none,
        ),
        (
            Op::OutageSet,
            put.clone(),
            "/api/v1/domains/{D}/outage",
            || Some(json!({"beginning": "2026-12-24T18:00:00Z"})),
        ),
        (Op::OutageSet, post.clone(), "/domains/{D}/outage", none),
        (
            Op::PeopleExport,
            post.clone(),
            "/domains/{D}/people-export",
            none,
        ),
        (
            Op::PeopleExport,
            get.clone(),
            "/api/v1/domains/{D}/people/export",
            none,
        ),
        (
            Op::PeopleImport,
            post.clone(),
            "/api/v1/domains/{D}/people/import",
            empty,
        ),
        (
            Op::PeopleImport,
            get.clone(),
            "/api/v1/domains/{D}/people/imports",
            none,
        ),
        (
            Op::AccountSetPassword,
            post.clone(),
            "/domains/{D}/people/anna/password",
            none,
        ),
        (
            Op::AccountSetPassword,
            put.clone(),
            "/api/v1/domains/{D}/accounts/anna/password",
            empty,
        ),
        (
            Op::AccountSuspend,
            post.clone(),
            "/domains/{D}/people/anna/suspend",
            none,
        ),
        (
            Op::AccountSuspend,
            post.clone(),
            "/api/v1/domains/{D}/accounts/anna/suspend",
            none,
        ),
        (
            Op::AccountResume,
            post.clone(),
            "/domains/{D}/people/anna/resume",
            none,
        ),
        (
            Op::AccountResume,
            post.clone(),
            "/api/v1/domains/{D}/accounts/anna/resume",
            none,
        ),
        (
            Op::AccountRevokeCertificate,
            post.clone(),
            "/domains/{D}/people/anna/revoke-certificate",
            || Some(json!({"certificate": "Phone"})),
        ),
        (
            Op::AccountRevokeCertificate,
            delete.clone(),
            "/api/v1/domains/{D}/accounts/anna/certificates/Phone",
            none,
        ),
        (
            Op::AccountShow,
            get.clone(),
            "/api/v1/domains/{D}/accounts/anna/certificates",
            none,
        ),
        (
            Op::AccountRemove,
            post.clone(),
            "/domains/{D}/people/anna/remove",
            || Some(json!({"confirm": "anna@{D}"})),
        ),
        (
            Op::AccountRemove,
            delete.clone(),
            "/api/v1/domains/{D}/accounts/anna",
            none,
        ),
        (
            Op::InviteList,
            get.clone(),
            "/api/v1/domains/{D}/invites",
            none,
        ),
        (
            Op::InviteAdd,
            post.clone(),
            "/api/v1/domains/{D}/invites",
            empty,
        ),
        (Op::InviteAdd, post.clone(), "/domains/{D}/invites", none),
        (
            Op::InviteRemove,
            delete.clone(),
            "/api/v1/domains/{D}/invites/1",
            none,
        ),
        (
            Op::InviteRemove,
            post.clone(),
            "/domains/{D}/invites/2/remove",
            none,
        ),
        (Op::DomainSet, post.clone(), "/domains/{D}/joining", || {
            Some(json!({"registration": "invitation"}))
        }),
        (
            Op::ComponentList,
            get.clone(),
            "/api/v1/domains/{D}/components",
            none,
        ),
        (
            Op::ComponentAdd,
            put.clone(),
            "/api/v1/domains/{D}/components/bridge",
            || Some(json!({})),
        ),
        (
            Op::ComponentGrant,
            put.clone(),
            "/api/v1/domains/{D}/components/bridge/grants",
            || Some(json!({"roster": "get"})),
        ),
        (
            Op::ComponentRemove,
            delete.clone(),
            "/api/v1/domains/{D}/components/bridge",
            none,
        ),
        (
            Op::ComponentList,
            get.clone(),
            "/domains/{D}/components",
            none,
        ),
        (
            Op::ComponentAdd,
            post.clone(),
            "/domains/{D}/components",
            || Some(json!({"name": "robot"})),
        ),
        (
            Op::ComponentGrant,
            post.clone(),
            "/domains/{D}/components/grant",
            || {
                Some(
                    json!({"name": "robot", "roster": "none", "message": "none", "presence": "none"}),
                )
            },
        ),
        (
            Op::ComponentRemove,
            post.clone(),
            "/domains/{D}/components/remove",
            || Some(json!({"name": "robot"})),
        ),
        (Op::RoomList, get.clone(), "/domains/{D}/kept", none),
        (Op::RoomList, get.clone(), "/api/v1/domains/{D}/rooms", none),
        (
            Op::UploadList,
            get.clone(),
            "/api/v1/domains/{D}/uploads",
            none,
        ),
        (Op::DomainSet, post.clone(), "/domains/{D}/kept", || {
            Some(json!({"archive_days": "30"}))
        }),
        (Op::PeerList, get.clone(), "/domains/{D}/federation", none),
        (Op::ReportList, get.clone(), "/domains/{D}/reports", none),
        (
            Op::ReportList,
            get.clone(),
            "/api/v1/domains/{D}/reports",
            none,
        ),
        (Op::PeerList, get.clone(), "/api/v1/domains/{D}/peers", none),
        (
            Op::PeerShow,
            get.clone(),
            "/domains/{D}/federation/nobody.example",
            none,
        ),
        (
            Op::PeerShow,
            get.clone(),
            "/api/v1/domains/{D}/peers/nobody.example",
            none,
        ),
        (Op::PeerPin, post.clone(), "/domains/{D}/pinned", || {
            Some(json!({"peer": "nobody.example", "anchors_pem": "x"}))
        }),
        (
            Op::PeerPin,
            put,
            "/api/v1/domains/{D}/peers/nobody.example/pinned",
            || Some(json!({"anchors_pem": "x"})),
        ),
        (Op::PeerUnpin, post, "/domains/{D}/pinned/remove", || {
            Some(json!({"peer": "nobody.example"}))
        }),
        (
            Op::PeerUnpin,
            delete,
            "/api/v1/domains/{D}/peers/nobody.example/pinned",
            none,
        ),
        (
            Op::PeerList,
            get.clone(),
            "/api/v1/domains/{D}/policies",
            none,
        ),
        (Op::AuditList, get.clone(), "/api/v1/audit?tenant={T}", none),
        (
            Op::AuditList,
            get.clone(),
            "/api/v1/audit.csv?tenant={T}",
            none,
        ),
        (Op::AuditList, get, "/audit.csv?tenant={T}", none),
    ]
}

/// Done on no object of a tenant: only the role decides, or nothing does.
fn ways_without_object() -> Vec<Way> {
    let (get, post) = (Method::GET, Method::POST);
    vec![
        (Op::OutagePlatform, Method::GET, "/api/v1/outage", none),
        (Op::TenantAdd, post.clone(), "/tenants", || {
            Some(json!({"name": "New"}))
        }),
        (Op::TenantAdd, post.clone(), "/api/v1/tenants", || {
            Some(json!({"name": "New"}))
        }),
        (Op::PlanList, get.clone(), "/plans", none),
        (Op::PlanList, get.clone(), "/api/v1/plans", none),
        (Op::PlanAdd, post.clone(), "/plans", || {
            Some(json!({"name": "Form"}))
        }),
        (Op::PlanAdd, post.clone(), "/api/v1/plans", || {
            Some(json!({"name": "Program"}))
        }),
        (Op::PlanSet, Method::PATCH, "/api/v1/plans/1", empty),
        (Op::PlanRemove, Method::DELETE, "/api/v1/plans/1", none),
        (Op::PlatformTeam, get.clone(), "/operators", none),
        (Op::PlatformTeam, post.clone(), "/operators", || {
            Some(json!({"login": "x@y.example", "password": PASSWORD}))
        }),
        (Op::PlatformTeam, get.clone(), "/api/v1/operators", none),
        (Op::PlatformOverview, get.clone(), "/api/v1/overview", none),
        (
            Op::PlatformOverview,
            get.clone(),
            "/api/v1/overview/series",
            none,
        ),
        (Op::AuthorityList, get.clone(), "/api/v1/authorities", none),
        (Op::ZoneCheck, get.clone(), "/api/v1/zone", none),
        (Op::ZoneRepair, post.clone(), "/api/v1/zone/repair", empty),
        (
            Op::AuthorityRollKey,
            post.clone(),
            "/api/v1/authorities/roll-key",
            empty,
        ),
        (Op::DomainAdd, post.clone(), "/domains", || {
            Some(json!({"domain": "more.example"}))
        }),
        (Op::DomainAdd, post, "/api/v1/domains", || {
            Some(json!({"domain": "more.example"}))
        }),
        (Op::AuditList, get.clone(), "/audit", none),
        (Op::AuditList, get.clone(), "/audit.csv", none),
        (Op::AuditList, get, "/api/v1/audit", none),
    ]
}

async fn go(house: &House, way: &Way, person: &Person, domain: &str, tenant: i64) -> StatusCode {
    let (_, method, path, body) = way;
    let put_in = |text: &str| {
        text.replace("{D}", domain)
            .replace("{T}", &tenant.to_string())
    };
    let path = put_in(path);
    let body = body().map(|body| put_in(&body.to_string()));
    if path.starts_with("/api/") || *method == Method::GET {
        let body = body.map(|body| serde_json::from_str(&body).unwrap());
        return house.api(method.clone(), &path, person, body).await.status;
    }
    let fields: Value = serde_json::from_str(&body.unwrap_or("{}".into())).unwrap();
    let fields: Vec<_> = fields
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    house.post(&path, person, &fields).await.status
}

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
        Op::TokenList,
        Op::TokenAdd,
        Op::TokenRemove,
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
