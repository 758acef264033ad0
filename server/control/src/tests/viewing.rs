//! An operator of the platform looks as an owner does: sees what is the customer's, changes nothing, and the customer knows.

use super::roles::{call, changes, objects, picture};
use super::world::{House, PASSWORD};
use crate::audit::AuditQuery;
use crate::error::ControlError;
use crate::operator::{LoggedIn, LoginRequest, OperatorNew, Origin};
use crate::permission::{Operation, Reach, Role};
use crate::time::SECOND;
use crate::viewing::VIEW_SECONDS;
use crate::{Actor, Control};

async fn root(control: &Control) -> LoggedIn {
    let request = LoginRequest {
        login: "root@example.org".into(),
        password: PASSWORD.into(),
    };
    control.login(request, &Origin::default()).await.unwrap()
}

async fn resumed(control: &Control, login: &LoggedIn) -> Actor {
    let resumed = control.login_resume(login.token.expose()).await.unwrap();
    resumed.unwrap().actor
}

#[tokio::test]
async fn who_looks_as_an_owner_changes_nothing_and_is_in_the_owner_s_log() {
    let house = House::open(true).await;
    let control = &house.control;
    let (own, owner) = objects(&house, "own.example", "own").await;
    let (foreign, other) = objects(&house, "foreign.example", "foreign").await;
    let new = OperatorNew {
        login: "root@example.org".into(),
        password: PASSWORD.into(),
        role: "platform".into(),
    };
    control
        .platform_team_add(&Actor::system("test"), new)
        .await
        .unwrap();
    let login = root(control).await;
    let elsewhere = root(control).await;
    let platform = resumed(control, &login).await;
    // The login has to be their own.
    let theirs = control.owner_view(&platform, i64::MAX, own.tenant).await;
    assert!(matches!(theirs, Err(ControlError::NotFound { .. })));
    let viewing = control
        .owner_view(&platform, login.resumed.id, own.tenant)
        .await
        .unwrap();
    let viewer = resumed(control, &login).await;
    assert_eq!(viewer.role(), Role::Auditor);
    assert_eq!(viewer.viewing(), Some(&viewing));
    assert!(resumed(control, &elsewhere).await.viewing().is_none());

    let before = picture(&house).await;
    for operation in Operation::ALL.iter().copied() {
        if operation == Operation::OwnerViewEnd {
            continue;
        }
        if changes(operation) || !operation.of_viewing() {
            assert!(!operation.of_viewing(), "{operation} changes something");
            assert!(!viewer.may(operation), "{operation} is offered");
            for (object, is_own) in [(&own, true), (&foreign, false)] {
                let answer = call(&house, operation, &viewer, object).await;
                let unseen = matches!(answer, Err(ControlError::NotFound { .. })) && !is_own;
                assert!(
                    unseen || matches!(answer, Err(ControlError::Viewing { .. })),
                    "{operation}: {answer:?}"
                );
            }
            continue;
        }
        assert_ne!(operation.reach(Role::Owner), Reach::No, "{operation}");
        let answer = call(&house, operation, &viewer, &own).await;
        let seen = answer.is_ok() || operation == Operation::PeerShow;
        assert!(seen, "{operation}: {answer:?}");
        let answer = call(&house, operation, &viewer, &foreign).await;
        assert!(
            matches!(answer, Err(ControlError::NotFound { .. })),
            "{operation} on another's: {answer:?}"
        );
    }
    assert_eq!(picture(&house).await, before, "nothing has changed");

    let query = AuditQuery {
        operation: "tenant.view".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&owner, &query).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].actor.as_str(), entries[0].role.as_str()),
        ("root@example.org", "platform")
    );
    assert!(entries[0].detail.starts_with("read only, until "));
    assert_eq!(control.audit_list(&other, &query).await.unwrap().len(), 0);

    // It is ended, which is in the log as well; or ends by itself.
    let ended = control.owner_view_end(&viewer).await.unwrap();
    assert_eq!(ended.unwrap().tenant, own.tenant);
    let platform = resumed(control, &login).await;
    assert_eq!((platform.role(), platform.tenant()), (Role::Platform, None));
    assert_eq!(control.owner_view_end(&platform).await.unwrap(), None);
    let query = AuditQuery {
        operation: "tenant.view-end".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&owner, &query).await.unwrap();
    assert_eq!((entries.len(), entries[0].role.as_str()), (1, "platform"));
    control
        .owner_view(&platform, login.resumed.id, own.tenant)
        .await
        .unwrap();
    house.world.advance(i64::from(VIEW_SECONDS) * SECOND);
    assert!(resumed(control, &login).await.viewing().is_none());
}
