//! What a customer goes through, and what goes wrong on the way.

mod calls;
mod certificates;
mod challenges;
mod colleagues;
mod components;
mod devices;
mod factors;
mod invites;
mod ladder;
mod mail;
mod names;
mod own_exports;
mod ownership;
mod passkeys;
mod people;
mod plans;
mod publishing;
mod queue;
mod queues;
mod wanted;
mod webhooks;
mod years;
mod zone;

use futures_util::FutureExt as _;

use super::roles::{objects, picture};
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

/// Where nobody answers one look at a time is enough; what anybody has answered holds for all.
#[tokio::test]
async fn domains_are_looked_at_side_by_side_once_the_dns_answers() {
    let house = House::open(false).await;
    house.world.fault(|faults| faults.dns_silent = true);
    let room = || house.control.looks.room(16, 0);
    house.sign_up("one.example", "one@example.org").await;
    house.sign_up("two.example", "two@example.org").await;
    assert_eq!((house.turn().await, room()), (2, 1));
    house.world.fault(|faults| faults.dns_silent = false);
    assert!(house.later(HOUR).await > 0);
    assert_eq!(room(), 16);
    house.world.fault(|faults| faults.dns_silent = true);
    assert!(house.later(HOUR).await > 0);
    assert_eq!(room(), 16, "one who is silent is nobody else's matter");
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
    let late = control.move_from(control.store(), &seen, State::Verified, "", "");
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

#[tokio::test]
async fn a_look_that_is_asked_for_waits_for_the_one_that_is_under_way() {
    let house = House::paced(|pace| pace.look_seconds = 0).await;
    let owner = house.live("example.com", "me@example.org").await;
    let control = &house.control;
    house.world.advance(DAY);
    let now = control.now();
    let until = crate::time::plus(now, 60);
    let leased = control.store().domain_claim_due(now, "another", until, 9);
    let leased = leased.await.unwrap().remove(0);
    let checked = async || {
        let show = control.domain_check_now(&owner, "example.com").await;
        show.unwrap().checked.unwrap()
    };
    assert!(checked().await < now, "what is known until then");
    let ended = control
        .store()
        .domain_lease_release(&leased, "another", Some(until));
    ended.await.unwrap();
    assert_eq!(checked().await, now);
    // And it has let go of it.
    house.world.advance(DAY);
    assert_eq!(house.turn().await, 1);
}

#[tokio::test]
async fn what_has_expired_is_forgotten() {
    let house = House::open(true).await;
    objects(&house, "own.example", "own").await;
    let tables = ["api_tokens: ", "changes: ", "invitations: "];
    let kept = async || {
        let rows = picture(&house).await;
        tables.map(|table| rows.iter().filter(|row| row.starts_with(table)).count())
    };
    let before = kept().await;
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    house.control.sweep().await;
    assert_eq!(kept().await, before, "nothing of today");
    house.world.advance(400 * DAY);
    house.control.sweep().await;
    assert_eq!(kept().await, [0, 0, 0]);
}
