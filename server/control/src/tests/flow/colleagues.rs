//! How colleagues come into a team, and what becomes of their roles.

use super::*;
use crate::audit::AuditQuery;
use crate::invitation::{InvitationAccept, InvitationAsk};

fn invite(role: &str) -> InvitationAsk {
    InvitationAsk {
        role: role.into(),
        note: "Ann".into(),
        days: None,
    }
}

fn accept(secret: &str, login: &str) -> InvitationAccept {
    InvitationAccept {
        secret: secret.into(),
        login: login.into(),
        password: PASSWORD.into(),
    }
}

#[tokio::test]
async fn a_link_makes_one_colleague_with_the_role_that_was_chosen() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let origin = Origin::default();
    let made = control
        .invitation_add(&owner, tenant, invite("support"))
        .await
        .unwrap();
    let open = control.invitation_list(&owner, tenant).await.unwrap();
    assert_eq!((open.len(), open[0].note.as_str()), (1, "Ann"));
    let invited = control
        .invitation_show(&made.secret, &origin)
        .await
        .unwrap();
    assert_eq!(
        (invited.role, invited.by.as_str()),
        (Role::Support, "me@example.org")
    );
    // What cannot be accepted leaves the invitation as it was.
    let taken = control
        .invitation_accept(accept(&made.secret, "me@example.org"), &origin)
        .await
        .unwrap_err();
    assert!(matches!(taken, ControlError::Exists { .. }), "{taken}");
    let mut weak = accept(&made.secret, "ann@example.org");
    weak.password = "short".into();
    let weak = control.invitation_accept(weak, &origin).await.unwrap_err();
    assert_eq!(weak.field(), Some("password"));
    let login = control
        .invitation_accept(accept(&made.secret, "Ann@example.org"), &origin)
        .await
        .unwrap();
    let ann = login.resumed.actor;
    assert_eq!(
        (ann.role(), ann.login()),
        (Role::Support, "ann@example.org")
    );
    assert_eq!(ann.tenant(), owner.tenant());
    control.domain_show(&ann, "example.com").await.unwrap();
    let refused = control
        .domain_suspend(&ann, "example.com", "")
        .await
        .unwrap_err();
    assert!(matches!(refused, ControlError::Forbidden { .. }));
    for secret in [made.secret.as_str(), "", "nonsense"] {
        let again = control
            .invitation_accept(accept(secret, "bob@example.org"), &origin)
            .await
            .unwrap_err();
        assert!(
            matches!(again, ControlError::NotSignedIn { .. }),
            "{secret}: {again}"
        );
    }
    let query = AuditQuery {
        operation: "team.add".into(),
        actor: "ann@example.org".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&owner, &query).await.unwrap();
    assert_eq!(entries[0].detail, "support, invited by me@example.org");
}

#[tokio::test]
async fn an_invitation_ends_and_can_be_taken_back() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let other = house.live("example.net", "you@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let origin = Origin::default();
    let back = control
        .invitation_add(&owner, tenant, invite("admin"))
        .await
        .unwrap();
    let foreign = other.tenant().unwrap().0;
    for (actor, of) in [(&other, tenant), (&other, foreign)] {
        let missing = control
            .invitation_remove(actor, of, back.view.id)
            .await
            .unwrap_err();
        assert!(matches!(missing, ControlError::NotFound { .. }));
    }
    control
        .invitation_remove(&owner, tenant, back.view.id)
        .await
        .unwrap();
    let late = control
        .invitation_add(&owner, tenant, invite("admin"))
        .await
        .unwrap();
    house.world.advance(7 * DAY + SECOND);
    for secret in [&back.secret, &late.secret] {
        let ended = control.invitation_show(secret, &origin).await.unwrap_err();
        assert!(matches!(ended, ControlError::NotSignedIn { .. }));
    }
    assert!(
        control
            .invitation_list(&owner, tenant)
            .await
            .unwrap()
            .is_empty()
    );
    for (role, days, field) in [
        ("platform", None, "role"),
        ("king", None, "role"),
        ("admin", Some(31), "days"),
        ("admin", Some(0), "days"),
    ] {
        let ask = InvitationAsk {
            days,
            ..invite(role)
        };
        let bad = control
            .invitation_add(&owner, tenant, ask)
            .await
            .unwrap_err();
        assert_eq!(bad.field(), Some(field));
    }
}

#[tokio::test]
async fn a_new_role_holds_at_once_and_the_last_owner_stays() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let id = async |login: &str| {
        let team = control.team_list(&owner, tenant).await.unwrap();
        team.into_iter().find(|one| one.login == login).unwrap().id
    };
    let me = id("me@example.org").await;
    let last = control
        .team_set_role(&owner, tenant, me, "admin", None)
        .await
        .unwrap_err();
    assert!(matches!(last, ControlError::State { .. }), "{last}");
    house.operator(tenant, "auditor", "ann@example.org").await;
    let request = LoginRequest {
        login: "ann@example.org".into(),
        password: PASSWORD.into(),
    };
    let login = control.login(request, &Origin::default()).await.unwrap();
    let ann = id("ann@example.org").await;
    control
        .team_set_role(&owner, tenant, ann, "owner", None)
        .await
        .unwrap();
    let resumed = control.login_resume(login.token.expose()).await.unwrap();
    assert_eq!(resumed.unwrap().actor.role(), Role::Owner);
    control
        .team_set_role(&owner, tenant, me, "auditor", None)
        .await
        .unwrap();
}
