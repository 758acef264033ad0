//! Second factors: from the first code to the lost phone.

use super::*;
use crate::factor::code_at;
use crate::secret::Secret;

const LOGIN: &str = "me@example.org";

fn request(login: &str) -> LoginRequest {
    LoginRequest {
        login: login.into(),
        password: PASSWORD.into(),
    }
}

/// Sets a factor up; the secret, and the recovery codes.
async fn set_up(house: &House, actor: &Actor) -> (String, Vec<String>) {
    let control = &house.control;
    let begun = control.factor_begin(actor, &PASSWORD.into()).await.unwrap();
    let code = code_at(&begun.secret, control.now());
    let codes = control.factor_confirm(actor, &code).await.unwrap();
    (begun.secret, codes)
}

fn pending(error: ControlError) -> Secret {
    match error {
        ControlError::SecondFactor { pending } => pending,
        other => panic!("{other}"),
    }
}

fn wrong(error: &ControlError) {
    assert_eq!(error.field(), Some("code"), "{error}");
}

#[tokio::test]
async fn a_password_alone_lets_nobody_in_and_a_code_is_good_once() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin::default();
    let actor = house
        .sign_up("example.com", LOGIN)
        .await
        .login
        .resumed
        .actor;
    let bad = control
        .factor_begin(&actor, &"wrong".into())
        .await
        .unwrap_err();
    assert_eq!(bad.field(), Some("password"));
    // Until it is shown to work nothing is asked for.
    let begun = control
        .factor_begin(&actor, &PASSWORD.into())
        .await
        .unwrap();
    assert!(begun.uri.contains(&begun.secret));
    wrong(&control.factor_confirm(&actor, "000000").await.unwrap_err());
    assert_eq!(control.factor_show(&actor).await.unwrap().state, "begun");
    control.login(request(LOGIN), &origin).await.unwrap();

    let (secret, codes) = set_up(&house, &actor).await;
    assert_eq!((codes.len(), codes[0].len()), (10, 19));
    let half = pending(control.login(request(LOGIN), &origin).await.unwrap_err());
    // What waits for a code is no login.
    assert!(control.login_resume(half.expose()).await.unwrap().is_none());
    let second = async |code: &str| control.login_second(half.expose(), code, &origin).await;
    let used = code_at(&secret, control.now());
    wrong(&second(&used).await.unwrap_err());
    house.world.advance(30 * SECOND);
    let fresh = code_at(&secret, control.now());
    let spaced = format!("{} {}", &fresh[..3], &fresh[3..]);
    second(&spaced).await.unwrap();
    let again = second(&fresh).await.unwrap_err();
    assert!(matches!(again, ControlError::NotSignedIn { .. }), "{again}");
    // All in one, as programs do it.
    let both = async |code: &str| {
        control
            .login_with(request(LOGIN), Some(code), &origin)
            .await
    };
    wrong(&both(&fresh).await.unwrap_err());
    house.world.advance(30 * SECOND);
    both(&code_at(&secret, control.now())).await.unwrap();
    // A recovery code is good once, and counts down.
    both(&codes[0].to_uppercase()).await.unwrap();
    wrong(&both(&codes[0]).await.unwrap_err());
    let view = control.factor_show(&actor).await.unwrap();
    assert_eq!((view.state, view.codes), ("on", 9));

    let taken = control
        .factor_begin(&actor, &PASSWORD.into())
        .await
        .unwrap_err();
    assert!(matches!(taken, ControlError::State { .. }));
    wrong(&control.factor_remove(&actor, "123456").await.unwrap_err());
    house.world.advance(30 * SECOND);
    let code = code_at(&secret, control.now());
    control.factor_remove(&actor, &code).await.unwrap();
    control.login(request(LOGIN), &origin).await.unwrap();
}

#[tokio::test]
async fn guessing_is_counted_by_person_and_waiting_ends() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin::default();
    let actor = house
        .sign_up("example.com", LOGIN)
        .await
        .login
        .resumed
        .actor;
    let (secret, _) = set_up(&house, &actor).await;
    house.world.advance(30 * SECOND);
    for _ in 0..6 {
        let half = pending(control.login(request(LOGIN), &origin).await.unwrap_err());
        wrong(
            &control
                .login_second(half.expose(), "000000", &origin)
                .await
                .unwrap_err(),
        );
    }
    let half = pending(control.login(request(LOGIN), &origin).await.unwrap_err());
    let right = code_at(&secret, control.now());
    let refused = control.login_second(half.expose(), &right, &origin).await;
    assert!(
        matches!(refused, Err(ControlError::TooMany { .. })),
        "{refused:?}"
    );
    house.world.advance(301 * SECOND);
    let late = code_at(&secret, control.now());
    let ended = control.login_second(half.expose(), &late, &origin).await;
    assert!(
        matches!(ended, Err(ControlError::NotSignedIn { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_team_can_be_asked_for_it_and_whoever_lost_it_is_helped() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin::default();
    let owner = house.live("example.com", LOGIN).await;
    let tenant = owner.tenant().unwrap().0;
    let admin = house.operator(tenant, "admin", "ann@example.org").await;
    let token = control
        .token_add(
            &admin,
            crate::token::TokenAsk {
                name: "sync".into(),
                ..crate::token::TokenAsk::default()
            },
        )
        .await
        .unwrap();
    set_up(&house, &owner).await;
    control
        .tenant_require_factor(&owner, tenant, true)
        .await
        .unwrap();
    // Signed in, but nothing is open, to programs neither.
    let login = control
        .login(request("ann@example.org"), &origin)
        .await
        .unwrap();
    let ann = login.resumed.actor;
    assert!(ann.must_enrol());
    let by_token = control.token_resume(&token.secret).await.unwrap().unwrap();
    for actor in [&ann, &by_token.actor] {
        let refused = control.domain_show(actor, "example.com").await.unwrap_err();
        assert!(matches!(refused, ControlError::FactorWanted), "{refused}");
        let foreign = control.domain_show(actor, "example.net").await.unwrap_err();
        assert!(matches!(foreign, ControlError::NotFound { .. }));
    }
    assert!(control.factor_show(&ann).await.unwrap().wanted);
    set_up(&house, &ann).await;
    let resumed = control.login_resume(login.token.expose()).await.unwrap();
    let ann = resumed.unwrap().actor;
    control.domain_show(&ann, "example.com").await.unwrap();

    let team = control.team_list(&owner, tenant).await.unwrap();
    assert!(team.iter().all(|one| one.second_factor));
    let id = team
        .iter()
        .find(|one| one.login == "ann@example.org")
        .unwrap()
        .id;
    control.team_reset_factor(&owner, tenant, id).await.unwrap();
    let none = control.team_reset_factor(&owner, tenant, id).await;
    assert!(matches!(none, Err(ControlError::NotFound { .. })));
    let login = control
        .login(request("ann@example.org"), &origin)
        .await
        .unwrap();
    assert!(login.resumed.actor.must_enrol(), "asked for a new one");
}

/// A stranger who guesses wears out the attempts of where they are, and not the person's own.
#[tokio::test]
async fn strangers_do_not_lock_a_person_out() {
    let house = House::open(false).await;
    let control = &house.control;
    house.sign_up("example.com", LOGIN).await;
    let from = |address: &str| Origin {
        address: Some(address.parse().unwrap()),
        ..Origin::default()
    };
    for host in 0..11 {
        let guess = LoginRequest {
            login: LOGIN.into(),
            password: "not the password".into(),
        };
        let stranger = from(&format!("2001:db8:bad::{host:x}"));
        let refused = control.login(guess, &stranger).await.unwrap_err();
        let often = matches!(refused, ControlError::TooMany { .. });
        assert_eq!(often, host == 10, "{host}: {refused}");
    }
    let (there, home) = (from("2001:db8:bad::99"), from("2001:db8:600d::1"));
    assert!(control.login(request(LOGIN), &there).await.is_err());
    control.login(request(LOGIN), &home).await.unwrap();
}
