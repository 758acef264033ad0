//! Passkeys: made, used alone and beside a password, lost.

use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::passkey::software::{SITE, Token, client};
use crate::passkey::{PasskeyNew, PasskeyShown};

/// Somebody was there and unlocked it.
const UNLOCKED: u8 = 0x05;
const TOUCHED: u8 = 0x01;

fn new(token: &Token, challenge: &str, origin: &str) -> PasskeyNew {
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    PasskeyNew {
        name: "phone".into(),
        client_data: encode(&client("webauthn.create", challenge, origin)),
        authenticator_data: encode(&token.data(UNLOCKED, true)),
        public_key: encode(&token.public_key()),
        algorithm: -7,
    }
}

fn shown(token: &mut Token, challenge: &str, flags: u8) -> PasskeyShown {
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    token.counter += 1;
    let (data, words) = (
        token.data(flags, false),
        client("webauthn.get", challenge, SITE),
    );
    PasskeyShown {
        credential: encode(&token.credential),
        signature: encode(&token.sign(&data, &words)),
        client_data: encode(&words),
        authenticator_data: encode(&data),
    }
}

fn unbelieved<T: std::fmt::Debug>(result: crate::Result<T>) {
    assert_eq!(result.unwrap_err().field(), Some("passkey"));
}

async fn make(house: &House, actor: &Actor, name: &[u8]) -> Token {
    let token = Token::new(name);
    let asked = house
        .control
        .passkey_begin(actor, &PASSWORD.into())
        .await
        .unwrap();
    let made = new(&token, &asked.challenge, SITE);
    house.control.passkey_add(actor, made).await.unwrap();
    token
}

#[tokio::test]
async fn a_passkey_signs_in_alone_once_a_challenge_and_for_this_site_only() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin::default();
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let other = house.sign_up("example.net", "you@example.org").await;
    let other = other.login.resumed.actor;

    let token = Token::new(b"one");
    let asked = control
        .passkey_begin(&actor, &PASSWORD.into())
        .await
        .unwrap();
    assert_eq!(asked.rp_id, "panel.hosting.example");
    let there = new(&token, &asked.challenge, "https://evil.example");
    unbelieved(control.passkey_add(&actor, there).await);
    let whose = new(&token, &asked.challenge, SITE);
    unbelieved(control.passkey_add(&other, whose.clone()).await);
    unbelieved(control.passkey_add(&actor, whose).await);
    let mut token = make(&house, &actor, b"one").await;
    let list = control.passkey_list(&actor).await.unwrap();
    assert_eq!((list.len(), list[0].name.as_str()), (1, "phone"));
    assert!(control.passkey_list(&other).await.unwrap().is_empty());

    let ask = async || control.passkey_ask(None, &origin).await.unwrap().challenge;
    let challenge = ask().await;
    let good = shown(&mut token, &challenge, UNLOCKED);
    let login = control.passkey_login(&good, None, &origin).await.unwrap();
    assert_eq!(login.resumed.actor.login(), "me@example.org");
    unbelieved(control.passkey_login(&good, None, &origin).await);
    let touched = shown(&mut token, &ask().await, TOUCHED);
    unbelieved(control.passkey_login(&touched, None, &origin).await);
    let mut stranger = Token::new(b"one");
    stranger.counter = 9;
    let forged = shown(&mut stranger, &ask().await, UNLOCKED);
    unbelieved(control.passkey_login(&forged, None, &origin).await);
    let late = ask().await;
    house.world.advance(301 * SECOND);
    let late = shown(&mut token, &late, UNLOCKED);
    unbelieved(control.passkey_login(&late, None, &origin).await);
    // A copy counts from where it was made.
    token.counter = 0;
    let copy = shown(&mut token, &ask().await, UNLOCKED);
    unbelieved(control.passkey_login(&copy, None, &origin).await);
}

#[tokio::test]
async fn beside_a_password_a_passkey_is_the_second_factor() {
    let house = House::open(false).await;
    let control = &house.control;
    let origin = Origin::default();
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let other = house.sign_up("example.net", "you@example.org").await;
    let other = other.login.resumed.actor;
    let mut token = make(&house, &actor, b"one").await;
    let mut others = make(&house, &other, b"two").await;
    let half = async |login: &str| {
        let request = LoginRequest {
            login: login.into(),
            password: PASSWORD.into(),
        };
        match control.login(request, &origin).await {
            Err(ControlError::SecondFactor { pending }) => pending,
            other => panic!("a password alone is not enough: {other:?}"),
        }
    };
    let pending = half("me@example.org").await;
    let asked = control
        .passkey_ask(Some(pending.expose()), &origin)
        .await
        .unwrap();
    assert_eq!((asked.allow.len(), asked.verify), (1, false));
    let wrong = shown(&mut others, &asked.challenge, UNLOCKED);
    let refused = control.passkey_login(&wrong, Some(pending.expose()), &origin);
    unbelieved(refused.await);
    let asked = control
        .passkey_ask(Some(pending.expose()), &origin)
        .await
        .unwrap();
    let good = shown(&mut token, &asked.challenge, TOUCHED);
    control
        .passkey_login(&good, Some(pending.expose()), &origin)
        .await
        .unwrap();
    assert!(
        control
            .passkey_ask(Some(pending.expose()), &origin)
            .await
            .is_err()
    );

    // Who has lost it is let in by an owner.
    let tenant = actor.tenant().unwrap().0;
    let team = control.team_list(&actor, tenant).await.unwrap();
    assert!(team[0].second_factor);
    control
        .team_reset_factor(&system(), tenant, team[0].id)
        .await
        .unwrap();
    let request = LoginRequest {
        login: "me@example.org".into(),
        password: PASSWORD.into(),
    };
    control.login(request, &origin).await.unwrap();
}

#[tokio::test]
async fn operators_must_have_a_second_factor_where_the_configuration_says_so() {
    let house = House::strict().await;
    let control = &house.control;
    let new = crate::operator::OperatorNew {
        login: "root@example.org".into(),
        password: PASSWORD.into(),
        role: "platform".into(),
    };
    control.platform_team_add(&system(), new).await.unwrap();
    let login = async || {
        let request = LoginRequest {
            login: "root@example.org".into(),
            password: PASSWORD.into(),
        };
        control.login(request, &Origin::default()).await
    };
    let root = login().await.unwrap().resumed.actor;
    assert!(root.must_enrol());
    let refused = control.overview(&root).await;
    assert!(matches!(refused, Err(ControlError::FactorWanted)));
    assert!(control.factor_show(&root).await.unwrap().wanted);
    let mut token = make(&house, &root, b"stick").await;
    let asked = control.passkey_ask(None, &Origin::default()).await.unwrap();
    let good = shown(&mut token, &asked.challenge, UNLOCKED);
    let entered = control.passkey_login(&good, None, &Origin::default()).await;
    let root = entered.unwrap().resumed.actor;
    control.overview(&root).await.unwrap();
}

/// Whoever finds an open browser, or a token, neither makes a passkey nor takes one away.
#[tokio::test]
async fn passkeys_come_and_go_with_the_password_and_in_person() {
    let house = House::open(false).await;
    let control = &house.control;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    make(&house, &actor, b"one").await;
    let id = control.passkey_list(&actor).await.unwrap()[0].id;
    let guess = "not the password".into();
    let field = |error: ControlError| error.field();
    let begun = control.passkey_begin(&actor, &guess).await.unwrap_err();
    assert_eq!(field(begun), Some("password"));
    let removed = control.passkey_remove(&actor, id, &guess).await;
    assert_eq!(field(removed.unwrap_err()), Some("password"));

    let asked = control
        .passkey_begin(&actor, &PASSWORD.into())
        .await
        .unwrap();
    let ask = crate::token::TokenAsk {
        name: "sync".into(),
        ..crate::token::TokenAsk::default()
    };
    let token = control.token_add(&actor, ask).await.unwrap();
    let program = control.token_resume(&token.secret).await.unwrap();
    let program = program.unwrap().actor;
    let password = PASSWORD.into();
    let made = new(&Token::new(b"two"), &asked.challenge, SITE);
    for refused in [
        control.passkey_begin(&program, &password).await.map(drop),
        control.passkey_add(&program, made).await.map(drop),
        control.passkey_remove(&program, id, &password).await,
    ] {
        assert!(
            matches!(refused, Err(ControlError::Scope { .. })),
            "{refused:?}"
        );
    }
    assert_eq!(control.passkey_list(&program).await.unwrap().len(), 1);
    control.passkey_remove(&actor, id, &password).await.unwrap();
    assert!(control.passkey_list(&actor).await.unwrap().is_empty());
}
