//! Accounts of a domain, and the logins of those who look after it.

use super::*;
use crate::token::TokenAsk;

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

    let token = control
        .token_add(
            &actor,
            TokenAsk {
                name: "script".into(),
                ..TokenAsk::default()
            },
        )
        .await
        .unwrap();
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
async fn a_token_reaches_its_domains_and_operations_until_it_ends() {
    let house = House::open(false).await;
    let owner = house.live("example.com", "me@example.org").await;
    let control = &house.control;
    control
        .domain_add(
            &owner,
            DomainNew {
                domain: "example.org".into(),
                tenant: None,
            },
        )
        .await
        .unwrap();
    let foreign = TokenAsk {
        name: "x".into(),
        domains: vec!["example.net".into()],
        ..TokenAsk::default()
    };
    assert_eq!(
        control
            .token_add(&owner, foreign)
            .await
            .unwrap_err()
            .field(),
        Some("domains")
    );
    let ask = TokenAsk {
        name: "sync".into(),
        domains: vec!["EXAMPLE.com".into()],
        operations: vec!["account.list".into(), "domain.list".into()],
        days: Some(7),
    };
    let token = control.token_add(&owner, ask).await.unwrap();
    assert_eq!(token.view.domains, ["example.com"]);
    let program = control
        .token_resume(&token.secret)
        .await
        .unwrap()
        .unwrap()
        .actor;
    let list = |domain: &'static str| control.account_list(&program, domain, None, 1);
    assert!(list("example.com").await.is_ok());
    assert!(matches!(
        list("example.org").await,
        Err(ControlError::NotFound { .. })
    ));
    let domains = control.domain_list(&program, None).await.unwrap();
    assert_eq!(domains.len(), 1, "the other domain is not listed");
    let refused = control.domain_show(&program, "example.com").await;
    assert!(matches!(refused, Err(ControlError::Scope { .. })));
    let more = control.token_add(&program, TokenAsk::default()).await;
    assert!(matches!(more, Err(ControlError::Scope { .. })));

    let seen = control.token_list(&owner).await.unwrap().remove(0);
    assert_eq!(seen.used, Some(control.now()));
    house.world.advance(8 * DAY);
    assert!(control.token_resume(&token.secret).await.unwrap().is_none());
}

#[tokio::test]
async fn dos_10_a_limit_holds_whatever_is_asked_for_at_the_same_time() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let added = names.map(|local| {
        let new = AccountNew {
            local: local.into(),
            password: Some(PASSWORD.into()),
        };
        control.account_add(&owner, "example.com", new)
    });
    let added = futures_util::future::join_all(added).await;
    let refused: Vec<_> = added.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|error| matches!(
        error,
        ControlError::Limit {
            what: "accounts",
            limit: 5,
            ..
        }
    )));
    let added = names.map(|label| {
        let new = DomainNew {
            domain: format!("{label}.example.net"),
            tenant: None,
        };
        control.domain_add(&owner, new)
    });
    let added = futures_util::future::join_all(added).await;
    let refused: Vec<_> = added.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 5, "one is there, and three may be");
    assert!(refused.iter().all(|error| matches!(
        error,
        ControlError::Limit {
            what: "domains",
            limit: 3,
            ..
        }
    )));
    let used = control.tenant_show(&owner, owner.tenant().unwrap().0).await;
    let used = used.unwrap().used;
    assert_eq!((used.domains, used.accounts), (3, 5));
}
