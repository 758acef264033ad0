//! What a customer goes through, and what goes wrong on the way.

use futures_util::FutureExt as _;

use super::world::{House, PASSWORD, certificate};
use crate::account::AccountNew;
use crate::certificate::CertificateUpload;
use crate::domain::{DomainNew, DomainSet, Memory, State};
use crate::error::ControlError;
use crate::event::EventKind;
use crate::findings::{self, Severity};
use crate::observe::Observation;
use crate::operator::{FirstRun, LoginRequest, Origin};
use crate::outside::IssueError;
use crate::records::{DesiredRecord, Purpose, Standing};
use crate::tenant::LimitsSet;
use crate::tenant::SignUp;
use crate::time::{DAY, HOUR, SECOND};
use crate::{Actor, Role};
use dna::RecordData;

fn system() -> Actor {
    Actor::system("test")
}

async fn records(house: &House, actor: &Actor, domain: &str) -> Vec<DesiredRecord> {
    house
        .control
        .domain_records(actor, domain)
        .await
        .unwrap()
        .records
        .into_iter()
        .map(|view| view.record)
        .collect()
}

async fn state(house: &House, domain: &str) -> State {
    house
        .control
        .domain_show(&system(), domain)
        .await
        .unwrap()
        .view
        .state
}

async fn codes(house: &House, domain: &str) -> Vec<(String, Severity)> {
    let show = house.control.domain_show(&system(), domain).await.unwrap();
    show.checks
        .into_iter()
        .filter(|check| check.severity != Severity::Ok)
        .map(|check| (check.code, check.severity))
        .collect()
}

fn only(code: &str, severity: Severity) -> Vec<(String, Severity)> {
    vec![(code.to_owned(), severity)]
}

#[tokio::test]
async fn from_sign_up_to_live_one_record_after_the_other() {
    let house = House::open(false).await;
    let signed = house.sign_up("Example.com", "me@example.org").await;
    assert_eq!(signed.domain, "example.com");
    let actor = signed.login.resumed.actor;
    let mut events = house.control.events(&actor);
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Claimed);
    assert!(house.world.orders.lock().unwrap().is_empty());

    let wanted = records(&house, &actor, "example.com").await;
    house.world.publish(&wanted[..1]);
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, "example.com").await, State::Verified);
    // Served from here on, so the target is in our zone.
    let target = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap()
        .target;
    assert!(
        house
            .world
            .records
            .lock()
            .unwrap()
            .contains_key(&(target.clone(), "A"))
    );

    let challenge = wanted
        .iter()
        .find(|record| record.purpose == Purpose::Challenge)
        .unwrap();
    house.world.publish(std::slice::from_ref(challenge));
    house.later(20 * SECOND).await;
    assert_eq!(*house.world.orders.lock().unwrap(), [["example.com"]]);
    // The service records still point elsewhere: switching is safe now.
    assert_eq!(state(&house, "example.com").await, State::Ready);
    let show = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(show.next_step.action, "records");
    assert_eq!(show.certificate.unwrap().names, ["example.com"]);

    house.world.publish(&wanted);
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    let show = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(show.critical, 0);
    assert_eq!(show.view.chip, "live");
    assert!(
        show.stations
            .iter()
            .all(|station| station.standing == "done"),
        "{:?}",
        show.stations
    );
    assert_eq!(show.next_step.action, "users");
    let page = house
        .control
        .domain_records(&actor, "example.com")
        .await
        .unwrap();
    assert!(
        page.records
            .iter()
            .all(|view| view.standing == Standing::Seen)
    );

    let mut states = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        if let EventKind::DomainState { to, .. } = event.kind {
            states.push(to);
        }
    }
    assert_eq!(states, ["verified", "publishing", "ready", "live"]);
    // No challenge is left over.
    assert!(
        !house
            .world
            .records
            .lock()
            .unwrap()
            .keys()
            .any(|(name, kind)| *kind == "TXT" && name.contains("_acme"))
    );
}

#[tokio::test]
async fn one_button_in_the_sandbox() {
    let house = House::open(true).await;
    let signed = house.sign_up("new.example", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    house.turn().await;
    let show = house
        .control
        .domain_show(&actor, "new.example")
        .await
        .unwrap();
    assert_eq!(show.next_step.action, "publish");
    house
        .control
        .domain_publish(&actor, "new.example")
        .await
        .unwrap();
    assert_eq!(house.turn().await, 1);
    assert_eq!(state(&house, "new.example").await, State::Live);
}

#[tokio::test]
async fn silence_takes_nothing_down_and_faults_do() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    house.world.fault(|faults| faults.dns_silent = true);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert!(
        codes(&house, "example.com")
            .await
            .iter()
            .all(|(code, severity)| code == findings::RESOLVER_UNKNOWN
                && *severity == Severity::Unknown)
    );
    house.world.fault(|faults| faults.dns_silent = false);

    let client = "_xmpp-client._tcp.example.com";
    let former = house.world.records.lock().unwrap()[&(client.to_owned(), "SRV")].clone();
    house.world.set(
        client,
        "SRV",
        vec![RecordData::Srv {
            priority: 0,
            weight: 5,
            port: 5222,
            target: "old.example.net".into(),
        }],
    );
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Degraded);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::SRV_WRONG_TARGET, Severity::Critical)
    );
    house.world.set(client, "SRV", former);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);

    house.world.fault(|faults| faults.door_closed = true);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Degraded);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::PROBE_FAILED, Severity::Critical)
    );
}

#[tokio::test]
async fn bogus_dnssec_proves_no_ownership() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    house
        .world
        .publish(&records(&house, &signed.login.resumed.actor, "example.com").await);
    house.world.fault(|faults| faults.dns_bogus = true);
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Claimed);
    assert_eq!(
        codes(&house, "example.com").await[0],
        (findings::DNSSEC_BOGUS.to_owned(), Severity::Critical)
    );
}

#[tokio::test]
async fn nothing_is_spent_at_the_ca_before_caa_allows_it() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house.world.set(
        "example.com",
        "CAA",
        vec![RecordData::Caa {
            flags: 0,
            tag: "issue".into(),
            value: "other.example".into(),
        }],
    );
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Publishing);
    assert!(house.world.orders.lock().unwrap().is_empty());
    assert!(
        codes(&house, "example.com")
            .await
            .contains(&(findings::CAA_FORBIDS.to_owned(), Severity::Critical))
    );
    house.world.unset("example.com", "CAA");
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
}

#[tokio::test]
async fn acme_12_renewal_keeps_the_key_and_failures_back_off() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    house.world.advance(50 * DAY);
    house.turn().await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 1);
    house
        .world
        .fault(|faults| faults.issuer = Some(IssueError::Refused("come back later".into())));
    house.world.advance(11 * DAY);
    for _ in 0..12 {
        house.later(300 * SECOND).await;
        house
            .control
            .domain_check(&system(), "example.com")
            .await
            .unwrap();
        house.turn().await;
    }
    // An hour of trying, and fewer than five attempts; the domain stays live with the old one.
    let tried = house.world.orders.lock().unwrap().len() - 1;
    assert!((1..5).contains(&tried), "{tried}");
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::CERTIFICATE_ORDER_FAILED, Severity::Warning)
    );
    house.world.fault(|faults| faults.issuer = None);
    house.later(DAY).await;
    assert_eq!(codes(&house, "example.com").await, []);
    let keys = house.world.keys.lock().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn acme_a_crash_before_the_certificate_resumes_the_order() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    house
        .world
        .publish(&records(&house, &signed.login.resumed.actor, "example.com").await);
    house
        .world
        .fault(|faults| faults.crash_before_finalize = true);
    house.turn().await;
    let row = house.control.domains(None).await.unwrap().remove(0);
    let stored = house
        .control
        .domain_store(&row)
        .order_get()
        .await
        .unwrap()
        .unwrap();
    house
        .world
        .fault(|faults| faults.crash_before_finalize = false);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        *house.world.keys.lock().unwrap(),
        [stored.key_pem.to_string()]
    );
    assert!(
        house
            .control
            .domain_store(&row)
            .order_get()
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn one_failing_service_name_never_blocks_the_domain() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let set = DomainSet {
        services: Some(vec!["rooms".into()]),
        ..DomainSet::default()
    };
    house
        .control
        .domain_set(&actor, "example.com", set)
        .await
        .unwrap();
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house
        .world
        .fault(|faults| faults.refuse_name = Some("rooms.example.com".into()));
    house.turn().await;
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        *house.world.orders.lock().unwrap(),
        [
            vec!["example.com", "rooms.example.com"],
            vec!["example.com"]
        ]
    );
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::SERVICE_NAME_LEFT_OUT, Severity::Info)
    );
    // Asked again by the owner, it is tried again.
    house.world.fault(|faults| faults.refuse_name = None);
    house.world.advance(SECOND);
    house
        .control
        .certificate_order(&actor, "example.com")
        .await
        .unwrap();
    house.turn().await;
    let names = house
        .control
        .certificate_list(&actor, "example.com")
        .await
        .unwrap()
        .remove(0)
        .names;
    assert_eq!(names, ["example.com", "rooms.example.com"]);
}

#[tokio::test]
async fn an_uploaded_certificate_needs_no_challenge() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let set = DomainSet {
        mode: Some("uploaded".into()),
        ..DomainSet::default()
    };
    house
        .control
        .domain_set(&actor, "example.com", set)
        .await
        .unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let upload = CertificateUpload {
        chain_pem: certificate(&["example.com".into()], 19_999 * DAY, 20_030 * DAY, &key),
        key_pem: key.serialize_pem().into(),
    };
    // Ownership comes first.
    let refused = house
        .control
        .certificate_upload(&actor, "example.com", upload.clone())
        .await
        .unwrap_err();
    assert!(matches!(refused, ControlError::State { .. }));
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Publishing);
    let view = house
        .control
        .certificate_upload(&actor, "example.com", upload)
        .await
        .unwrap();
    assert_eq!((view.source.as_str(), view.renew_at), ("uploaded", None));
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert!(house.world.orders.lock().unwrap().is_empty());
    house.later(26 * DAY).await;
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::CERTIFICATE_EXPIRING, Severity::Warning)
    );
    house.later(5 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Degraded);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::CERTIFICATE_EXPIRED, Severity::Critical)
    );
}

#[tokio::test]
async fn a_lapsed_proof_is_warned_of_then_stops_the_domain_then_must_be_shown_afresh() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let proof =
        house.world.records.lock().unwrap()[&("_domicile.example.com".to_owned(), "TXT")].clone();
    house.world.unset("_domicile.example.com", "TXT");
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::OWNERSHIP_LAPSED, Severity::Warning)
    );
    house.later(13 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    house.later(2 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Suspended);
    assert!(
        house
            .control
            .domain_show(&actor, "example.com")
            .await
            .unwrap()
            .view
            .status
            .contains("gone too long")
    );
    let log = house.control.audit_list(&actor, None, None).await.unwrap();
    assert!(
        log.iter()
            .any(|entry| entry.operation == "domain.suspend" && entry.actor == "worker")
    );
    house
        .control
        .domain_resume(&actor, "example.com")
        .await
        .unwrap();
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Claimed);
    house.world.set("_domicile.example.com", "TXT", proof);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
}

#[tokio::test]
async fn a_second_claimant_gets_nothing_that_is_proven() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    let request = |domain: &str, email: &str| SignUp {
        domain: domain.into(),
        email: email.into(),
        password: PASSWORD.into(),
    };
    let origin = Origin::default();
    let refused = house
        .control
        .sign_up(request("EXAMPLE.com", "you@example.org"), &origin)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ControlError::Exists { what: "domain", .. }
    ));
    // The failed sign-up leaves nothing behind.
    assert_eq!(house.control.tenant_list(&system()).await.unwrap().len(), 1);
    assert_eq!(
        house
            .control
            .domain_hint("example.com", &origin)
            .await
            .unwrap()
            .code,
        "served-here"
    );

    // A name that nobody has proven can be claimed by many, each with a token of their own: the first to publish theirs has it.
    let first = house
        .sign_up("example.net", "squat@example.org")
        .await
        .login
        .resumed
        .actor;
    let second = house
        .sign_up("example.net", "you@example.org")
        .await
        .login
        .resumed
        .actor;
    let fresh = records(&house, &second, "example.net").await;
    assert_ne!(
        records(&house, &first, "example.net").await[0].value,
        fresh[0].value
    );
    house
        .world
        .zones
        .lock()
        .unwrap()
        .insert("example.net".into());
    house.world.publish(&fresh);
    house.turn().await;
    let state = |show: crate::domain::DomainShow| {
        (
            show.view.state,
            show.checks.first().map(|check| check.code.clone()),
        )
    };
    assert_eq!(
        state(
            house
                .control
                .domain_show(&second, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Live
    );
    assert_eq!(
        state(
            house
                .control
                .domain_show(&first, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Claimed
    );
    // Even with their own token published the other one stays out, and is told why.
    let former = records(&house, &first, "example.net").await;
    let tokens = [&fresh[0], &former[0]].map(|record| match &record.value {
        crate::records::RecordValue::Txt { text } => RecordData::Txt(text.clone()),
        other => panic!("{other:?}"),
    });
    house
        .world
        .set("_domicile.example.net", "TXT", tokens.to_vec());
    house.later(HOUR).await;
    let show = state(
        house
            .control
            .domain_show(&first, "example.net")
            .await
            .unwrap(),
    );
    assert_eq!(
        show,
        (State::Claimed, Some(findings::CLAIMED_ELSEWHERE.to_owned()))
    );

    // A lapsed proof gives way to a fresh one, and both can read so.
    house
        .world
        .set("_domicile.example.net", "TXT", vec![tokens[1].clone()]);
    house.later(HOUR).await;
    house.later(15 * DAY).await;
    assert_eq!(
        state(
            house
                .control
                .domain_show(&second, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Suspended
    );
    house.later(HOUR).await;
    assert_eq!(
        state(
            house
                .control
                .domain_show(&first, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Verified
    );
    let log = house.control.audit_list(&second, None, None).await.unwrap();
    assert!(
        log.iter()
            .any(|entry| entry.detail.contains("another customer"))
    );
}

#[tokio::test]
async fn acme_15_removal_leaves_nothing_and_says_what_dangles() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let new = AccountNew {
        local: "juliet".into(),
        password: Some(PASSWORD.into()),
    };
    house
        .control
        .account_add(&actor, "example.com", new)
        .await
        .unwrap();
    let target = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap()
        .target;
    house.world.fault(|faults| faults.zone_unreachable = true);
    let removed = house
        .control
        .domain_remove(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(removed.dangling.len(), 6);
    // Our zone could not be reached: it is leaving, and finished later.
    assert_eq!(state(&house, "example.com").await, State::Releasing);
    house.world.fault(|faults| faults.zone_unreachable = false);
    house.later(HOUR).await;
    assert!(matches!(
        house.control.domain_show(&system(), "example.com").await,
        Err(ControlError::NotFound { .. })
    ));
    assert!(
        !house
            .world
            .records
            .lock()
            .unwrap()
            .keys()
            .any(|(name, _)| *name == target)
    );
    // The name is free again, with a fresh token.
    house
        .control
        .domain_add(
            &actor,
            DomainNew {
                domain: "example.com".into(),
                tenant: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(state(&house, "example.com").await, State::Claimed);
}

#[tokio::test]
async fn accounts_come_with_the_proof_and_within_limits() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let new = |local: &str, password: Option<&str>| AccountNew {
        local: local.into(),
        password: password.map(Into::into),
    };
    let early = house
        .control
        .account_add(&actor, "example.com", new("juliet", None))
        .await
        .unwrap_err();
    assert!(matches!(early, ControlError::State { .. }));
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house.turn().await;

    let added = house
        .control
        .account_add(&actor, "example.com", new("Juliet", None))
        .await
        .unwrap();
    assert_eq!(added.view.jid, "juliet@example.com");
    assert!(added.password.is_some());
    let again = house
        .control
        .account_add(&actor, "example.com", new("juliet", None))
        .await
        .unwrap_err();
    assert!(matches!(
        again,
        ControlError::Exists {
            what: "account",
            ..
        }
    ));
    let weak = house
        .control
        .account_add(&actor, "example.com", new("romeo", Some("romeo")))
        .await
        .unwrap_err();
    assert_eq!(weak.field(), Some("password"));
    let odd = house
        .control
        .account_add(&actor, "example.com", new("a b", Some(PASSWORD)))
        .await
        .unwrap_err();
    assert_eq!(odd.field(), Some("local"));

    let csv = "local,password\nromeo,\"tin, soldier 9\"\njuliet,tin soldier 9\nnurse\nx,short\n";
    let report = house
        .control
        .account_import(&actor, "example.com", csv)
        .await
        .unwrap();
    assert_eq!(report.added, 2);
    assert_eq!(
        report
            .refused
            .iter()
            .map(|refused| refused.line)
            .collect::<Vec<_>>(),
        [3, 5]
    );
    assert_eq!(report.drawn[0].0, "nurse");
    // ADDR-13: two spellings of a name in one file; the first is added and its password told.
    let spellings = house
        .control
        .account_import(&actor, "example.com", "Friar\n\u{ff26}RIAR\n")
        .await
        .unwrap();
    assert_eq!((spellings.added, spellings.drawn.len()), (1, 1));
    assert_eq!(spellings.drawn[0].0, "friar");
    let told: Vec<_> = spellings.refused.iter().map(|r| r.line).collect();
    assert_eq!(told, [2]);
    assert!(spellings.refused[0].problem.contains("line 1"));
    house
        .control
        .account_remove(&actor, "example.com", "friar")
        .await
        .unwrap();
    let page = house
        .control
        .account_list(&actor, "example.com", None, 2)
        .await
        .unwrap();
    assert_eq!(
        (page.total, page.accounts.len(), page.next.as_deref()),
        (3, 2, Some("nurse"))
    );
    assert_eq!(
        house
            .control
            .account_list(&actor, "example.com", page.next.as_deref(), 2)
            .await
            .unwrap()
            .accounts[0]
            .local,
        "romeo"
    );

    let full = house
        .control
        .account_import(&actor, "example.com", "a\nb\nc\n")
        .await
        .unwrap_err();
    assert!(matches!(
        full,
        ControlError::Limit {
            what: "accounts",
            used: 3,
            limit: 5
        }
    ));
    house
        .control
        .tenant_set_limits(
            &system(),
            signed.tenant,
            LimitsSet {
                domains: Some(1),
                accounts: Some(100),
                ..LimitsSet::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(
        house
            .control
            .account_import(&actor, "example.com", "a\nb\nc\n")
            .await
            .unwrap()
            .added,
        3
    );
    let more = house
        .control
        .domain_add(
            &actor,
            DomainNew {
                domain: "example.net".into(),
                tenant: None,
            },
        )
        .await
        .unwrap_err();
    assert!(matches!(
        more,
        ControlError::Limit {
            what: "domains",
            used: 1,
            limit: 1
        }
    ));

    house
        .control
        .account_suspend(&actor, "example.com", "juliet")
        .await
        .unwrap();
    assert_eq!(
        house
            .control
            .account_show(&actor, "example.com", "juliet")
            .await
            .unwrap()
            .state,
        "suspended"
    );
    house
        .control
        .account_resume(&actor, "example.com", "juliet")
        .await
        .unwrap();
    assert!(
        house
            .control
            .account_set_password(&actor, "example.com", "juliet", None)
            .await
            .unwrap()
            .is_some()
    );
    house
        .control
        .account_remove(&actor, "example.com", "juliet")
        .await
        .unwrap();
    assert!(
        house
            .control
            .account_show(&actor, "example.com", "juliet")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn suspension_by_owner_and_platform() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    house
        .control
        .domain_suspend(&actor, "example.com", "moving house")
        .await
        .unwrap();
    house.later(DAY).await;
    let show = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(
        (show.view.state, show.next_step.action),
        (State::Suspended, "resume")
    );
    house
        .control
        .domain_resume(&actor, "example.com")
        .await
        .unwrap();
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Live);

    let tenant = house
        .control
        .tenant_list(&actor)
        .await
        .unwrap()
        .remove(0)
        .id;
    house
        .control
        .tenant_suspend(&system(), tenant, "unpaid")
        .await
        .unwrap();
    assert_eq!(state(&house, "example.com").await, State::Suspended);
    assert!(matches!(
        house.control.domain_resume(&actor, "example.com").await,
        Err(ControlError::State { .. })
    ));
    house
        .control
        .tenant_resume(&system(), tenant)
        .await
        .unwrap();
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Live);
}

#[tokio::test]
async fn first_run_once_and_logins() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin {
        address: Some("192.0.2.7".parse().unwrap()),
        agent: "Test\n1".into(),
    };
    let request = |token: &str| FirstRun {
        token: token.into(),
        login: " Root@Example.org ".into(),
        password: PASSWORD.into(),
    };
    assert!(control.first_run_needed().await.unwrap());
    assert!(matches!(
        control.first_run(request("guess"), &origin).await,
        Err(ControlError::NotSignedIn { .. })
    ));
    let token = control.first_run_token().to_owned();
    let first = control.first_run(request(&token), &origin).await.unwrap();
    assert_eq!(first.resumed.actor.role(), Role::Platform);
    assert!(!control.first_run_needed().await.unwrap());
    assert!(matches!(
        control.first_run(request(&token), &origin).await,
        Err(ControlError::State { .. })
    ));

    let login = |login: &str, password: &str| LoginRequest {
        login: login.into(),
        password: password.into(),
    };
    let second = control
        .login(login("ROOT@example.org", PASSWORD), &origin)
        .await
        .unwrap();
    let wrong = control
        .login(login("root@example.org", "wrong"), &origin)
        .await
        .unwrap_err();
    let unknown = control
        .login(login("nobody@example.org", "wrong"), &origin)
        .await
        .unwrap_err();
    assert_eq!(wrong.to_string(), unknown.to_string());
    let actor = control
        .login_resume(second.token.expose())
        .await
        .unwrap()
        .unwrap()
        .actor;
    let list = control.login_list(&actor).await.unwrap();
    assert_eq!(
        list.iter()
            .map(|login| login.agent.as_str())
            .collect::<Vec<_>>(),
        ["Test1", "Test1"]
    );
    control
        .login_revoke(&actor, first.resumed.id)
        .await
        .unwrap();
    assert!(
        control
            .login_resume(first.token.expose())
            .await
            .unwrap()
            .is_none()
    );
    control.logout(second.token.expose()).await.unwrap();
    assert!(
        control
            .login_resume(second.token.expose())
            .await
            .unwrap()
            .is_none()
    );

    // A login ends by itself.
    let third = control
        .login(login("root@example.org", PASSWORD), &origin)
        .await
        .unwrap();
    house.world.advance(15 * DAY);
    assert!(
        control
            .login_resume(third.token.expose())
            .await
            .unwrap()
            .is_none()
    );

    let token = control.token_add(&actor, "script").await.unwrap();
    assert_eq!(
        control
            .token_resume(&token.secret)
            .await
            .unwrap()
            .unwrap()
            .actor
            .role(),
        Role::Platform
    );
    control.token_remove(&actor, token.view.id).await.unwrap();
    assert!(control.token_resume(&token.secret).await.unwrap().is_none());

    assert_eq!(
        control
            .password_change(&actor, "wrong", "another tin soldier")
            .await
            .unwrap_err()
            .field(),
        Some("old")
    );
    control
        .password_change(&actor, PASSWORD, "another tin soldier")
        .await
        .unwrap();
    assert!(
        control
            .login(login("root@example.org", "another tin soldier"), &origin)
            .await
            .is_ok()
    );

    for _ in 0..10 {
        let _ = control
            .login(login("root@example.org", "guess"), &origin)
            .await;
    }
    let stopped = control
        .login(login("root@example.org", "another tin soldier"), &origin)
        .await
        .unwrap_err();
    assert!(matches!(stopped, ControlError::TooMany { .. }));
}

#[tokio::test]
async fn a_look_of_another_version_is_forgotten_not_fatal() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let row = house.control.domains(None).await.unwrap().remove(0);
    house
        .control
        .store()
        .domain_looked(row.id, "{\"seen\": 7}", row.created)
        .await
        .unwrap();
    house.turn().await;
    assert!(
        house
            .control
            .domain_show(&signed.login.resumed.actor, "example.com")
            .await
            .unwrap()
            .checked
            .is_some()
    );
    let seen = Observation::default();
    let text = serde_json::to_string(&Memory {
        seen: Some(seen.clone()),
        ..Memory::default()
    })
    .unwrap();
    assert_eq!(
        serde_json::from_str::<Memory>(&text).unwrap().seen,
        Some(seen)
    );
}

/// A look takes seconds; whoever stops a domain meanwhile has the last word, and edits side by side are all kept.
#[tokio::test]
async fn a_stop_during_a_look_stands_and_no_edit_is_lost() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let seen = house.control.domains(None).await.unwrap().remove(0);
    let control = &house.control;
    control
        .domain_suspend(&actor, "example.com", "holidays")
        .await
        .unwrap();
    let late = control.move_from(&seen, State::Verified, "", "");
    assert!(!late.await.unwrap());
    let edits = (0..20).map(|n| {
        control.domain_edit(seen.id, move |fresh| {
            fresh.block.push(format!("peer{n}.example"))
        })
    });
    futures_util::future::try_join_all(edits).await.unwrap();
    let row = control.domains(None).await.unwrap().remove(0);
    assert_eq!((row.state.as_str(), row.block.len()), ("suspended", 20));
}

/// The loop itself: woken by a sign-up, it looks, and it gives its leases back when it is stopped.
#[tokio::test]
async fn the_worker_follows_by_itself_and_stops() {
    let house = House::open(true).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(crate::worker::run(house.control.clone(), async {
        let _ = stopped.await;
    }));
    let mut events = house.control.events(&system());
    let actor = house
        .sign_up("new.example", "me@example.org")
        .await
        .login
        .resumed
        .actor;
    // No two moments of a real clock are the same.
    house.world.advance(SECOND);
    house
        .control
        .domain_publish(&actor, "new.example")
        .await
        .unwrap();
    let live = async {
        loop {
            let event = events.next().await.unwrap();
            if event.kind
                == (EventKind::DomainState {
                    from: "ready",
                    to: "live",
                })
            {
                break;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), live)
        .await
        .expect("live in time");
    stop.send(()).unwrap();
    worker.await.unwrap();
    // Whoever comes next may have it at once.
    house.world.advance(SECOND);
    house
        .control
        .domain_check(&actor, "new.example")
        .await
        .unwrap();
    assert_eq!(house.turn().await, 1);
}
