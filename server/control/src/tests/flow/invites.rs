//! How people come to a domain by invitation (EXT-34).

use super::*;
use crate::audit::AuditQuery;
use crate::domain::{DomainSet, JoinSet, StreamSet};
use crate::invite::InviteAsk;
use crate::ladder::LadderSet;
use crate::registration::Wanted;
use xmpp::jid::BareJid;

fn token(link: &str) -> String {
    let token = link.strip_prefix("https://web.hosting.example/invite/");
    token.expect("a link to the public door").to_owned()
}

fn joining(set: JoinSet) -> DomainSet {
    DomainSet {
        streams: StreamSet {
            joining: set,
            ..StreamSet::default()
        },
        ..DomainSet::default()
    }
}

#[tokio::test]
async fn ext_34_a_link_makes_one_account_of_one_domain_by_success_only() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    house.live("example.net", "you@example.org").await;
    let origin = Origin::default();
    let ask = InviteAsk {
        note: "the nurse".into(),
        ..InviteAsk::default()
    };
    let made = control
        .invite_add(&owner, "example.com", ask)
        .await
        .unwrap();
    let token = token(&made.link);
    assert_eq!(
        made.uri,
        format!("xmpp:example.com?register;preauth={token}")
    );
    let open = control.invite_list(&owner, "example.com").await.unwrap();
    assert_eq!((open.len(), open[0].note.as_str()), (1, "the nurse"));

    let (here, elsewhere) = (Some("example.com"), Some("example.net"));
    for (domain, token) in [
        (elsewhere, token.as_str()),
        (here, "guessed"),
        (None, &token[1..]),
    ] {
        let refused = control.invite_admit(domain, token, &origin).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, ControlError::NotSignedIn { .. }),
            "{refused}"
        );
    }
    let admitted = control.invite_admit(here, &token, &origin).await.unwrap();
    assert_eq!(admitted.invited.domain, "example.com");
    let weak = control
        .invite_take(&admitted, "nurse", "short".into())
        .await
        .unwrap_err();
    assert_eq!(weak.field(), Some("password"));
    for local in ["support", "\u{430}dmin", "nur\u{455}e"] {
        let name = control.invite_take(&admitted, local, PASSWORD.into()).await;
        assert_eq!(name.unwrap_err().field(), Some("local"), "{local}");
    }
    let account = control
        .invite_take(&admitted, "Nurse", PASSWORD.into())
        .await
        .unwrap();
    assert_eq!(account.jid, "nurse@example.com");
    let again = control
        .invite_take(&admitted, "cook", PASSWORD.into())
        .await
        .unwrap_err();
    assert!(matches!(again, ControlError::NotSignedIn { .. }), "{again}");
    let gone = control.invite_admit(None, &token, &origin).await;
    assert!(gone.is_err());
    let log = control
        .audit_list(
            &owner,
            &AuditQuery {
                operation: "account.add".into(),
                ..AuditQuery::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (log[0].actor.as_str(), log[0].detail.as_str()),
        ("nurse@example.com", "invited by me@example.org")
    );
}

#[tokio::test]
async fn ext_34_a_kept_name_is_whoever_s_it_is_kept_for() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let origin = Origin::default();
    let ask = InviteAsk {
        local: Some("Nurse".into()),
        ..InviteAsk::default()
    };
    let made = control
        .invite_add(&owner, "example.com", ask.clone())
        .await
        .unwrap();
    assert!(made.uri.starts_with("xmpp:nurse@example.com?register;"));
    let twice = control.invite_add(&owner, "example.com", ask).await;
    assert!(matches!(twice, Err(ControlError::Exists { .. })));
    let new = AccountNew {
        local: "nurse".into(),
        password: None,
    };
    let taken = control.account_add(&owner, "example.com", new).await;
    assert!(matches!(taken, Err(ControlError::Exists { .. })));
    let admitted = control
        .invite_admit(None, &token(&made.link), &origin)
        .await
        .unwrap();
    let other = control
        .invite_take(&admitted, "cook", PASSWORD.into())
        .await
        .unwrap_err();
    assert_eq!(other.field(), Some("local"));
    // What was shown in time may be taken after its end (XEP-0445 3).
    house.world.advance(8 * 86_400 * 1_000_000);
    let late = control
        .invite_admit(None, &token(&made.link), &origin)
        .await;
    assert!(late.is_err(), "its time is over");
    control
        .invite_take(&admitted, "nurse", PASSWORD.into())
        .await
        .unwrap();
}

#[tokio::test]
async fn ext_34_accounts_invite_contacts_where_the_owner_lets_them() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let juliet = BareJid::parse("juliet@example.com").unwrap();
    let new = AccountNew {
        local: "juliet".into(),
        password: None,
    };
    control
        .account_add(&owner, "example.com", new)
        .await
        .unwrap();
    let refused = control.invite_by_account(&juliet, false).await;
    assert!(matches!(refused, Err(ControlError::State { .. })));
    let lets = joining(JoinSet {
        user_invites: Some(true),
        ..JoinSet::default()
    });
    control
        .domain_set(&owner, "example.com", lets)
        .await
        .unwrap();
    let made = control.invite_by_account(&juliet, false).await.unwrap();
    let token = token(&made.link);
    assert_eq!(
        made.uri,
        format!("xmpp:juliet@example.com?roster;preauth={token};ibr=y")
    );
    for _ in 1..20 {
        control.invite_by_account(&juliet, false).await.unwrap();
    }
    let many = control.invite_by_account(&juliet, false).await;
    assert!(matches!(many, Err(ControlError::Limit { .. })));
    let admitted = control
        .invite_admit(None, &token, &Origin::default())
        .await
        .unwrap();
    let contact = admitted.invited.contact.as_deref();
    assert_eq!(contact, Some("juliet@example.com"));
    control
        .invite_take(&admitted, "nurse", PASSWORD.into())
        .await
        .unwrap();
    let heard = house.world.changes.lock().unwrap().clone();
    assert!(heard.contains(&crate::Change::Roster(juliet)), "{heard:?}");
}

#[tokio::test]
async fn ext_34_nobody_comes_where_the_domain_takes_nobody_in() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let tenant = owner.tenant().unwrap().0;
    let system = Actor::system("test");
    let origin = Origin::default();
    let ask = InviteAsk::default;
    let made = control
        .invite_add(&owner, "example.com", ask())
        .await
        .unwrap();
    let token = token(&made.link);
    let admitted = control.invite_admit(None, &token, &origin).await.unwrap();
    let closed = |word: &str| {
        joining(JoinSet {
            registration: Some(word.into()),
            ..JoinSet::default()
        })
    };
    control
        .domain_set(&owner, "example.com", closed("closed"))
        .await
        .unwrap();
    assert!(control.invite_admit(None, &token, &origin).await.is_err());
    let none = control.invite_add(&owner, "example.com", ask()).await;
    assert!(matches!(none, Err(ControlError::State { .. })));
    control
        .domain_set(&owner, "example.com", closed("invitation"))
        .await
        .unwrap();

    let limits = LimitsSet {
        accounts: Some(0),
        ..LimitsSet::default()
    };
    control
        .tenant_set_limits(&system, tenant, limits)
        .await
        .unwrap();
    let full = control
        .invite_take(&admitted, "nurse", PASSWORD.into())
        .await;
    assert!(matches!(full, Err(ControlError::Limit { .. })));
    control
        .tenant_set_limits(&system, tenant, LimitsSet::default())
        .await
        .unwrap();
    let set = LadderSet {
        reason: "unpaid".into(),
        read_only_days: Some(0),
        ..LadderSet::default()
    };
    control.ladder_set(&system, tenant, set).await.unwrap();
    house.turn().await;
    assert!(control.invite_admit(None, &token, &origin).await.is_err());
    control.ladder_end(&system, tenant, None).await.unwrap();
    let list = control.invite_list(&owner, "example.com").await.unwrap();
    control
        .invite_remove(&owner, "example.com", list[0].id)
        .await
        .unwrap();
    assert!(control.invite_admit(None, &token, &origin).await.is_err());
}

#[tokio::test]
async fn ext_33_an_open_domain_takes_in_whoever_answers_its_question() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let domain = xmpp::jid::DomainName::parse("example.com").unwrap();
    let come = async |local: &str, answer: &str| {
        let wanted = Wanted {
            local: local.into(),
            password: PASSWORD.into(),
            answer: answer.into(),
        };
        control.account_register(&domain, wanted).await
    };
    let closed = come("nurse", "lark").await.unwrap_err();
    assert!(matches!(closed, ControlError::State { .. }), "{closed}");
    let open = |question: &str| {
        joining(JoinSet {
            registration: Some("open".into()),
            question: Some(question.into()),
            answers: Some(vec!["lark".into()]),
            ..JoinSet::default()
        })
    };
    let silent = control.domain_set(&owner, "example.com", open("")).await;
    assert_eq!(silent.unwrap_err().field(), Some("question"));
    control
        .domain_set(&owner, "example.com", open("Which bird?"))
        .await
        .unwrap();
    for (local, answer, field) in [
        ("nurse", "owl", "answer"),
        ("Abuse", "lark", "local"),
        ("\u{430}dmin", "lark", "local"),
        ("adrnin", "lark", "local"),
        ("m\u{430}ria", "lark", "local"),
        ("a b", "lark", "local"),
    ] {
        let refused = come(local, answer).await.unwrap_err();
        assert_eq!(refused.field(), Some(field), "{local} {answer}");
    }
    let ask = InviteAsk {
        local: Some("cook".into()),
        ..InviteAsk::default()
    };
    control
        .invite_add(&owner, "example.com", ask)
        .await
        .unwrap();
    let kept = come("cook", "lark").await;
    assert!(
        matches!(kept, Err(ControlError::Exists { .. })),
        "kept for somebody"
    );
    assert_eq!(
        come("Nurse", "LARK").await.unwrap().jid,
        "nurse@example.com"
    );
    let again = come("nurse", "lark").await;
    assert!(matches!(again, Err(ControlError::Exists { .. })));
    let query = AuditQuery {
        operation: "account.add".into(),
        ..AuditQuery::default()
    };
    let log = control.audit_list(&owner, &query).await.unwrap();
    let log: Vec<_> = log.iter().map(|entry| entry.object.as_str()).collect();
    assert_eq!(log, ["nurse@example.com"], "what was refused is no entry");
    let limits = LimitsSet {
        accounts: Some(1),
        ..LimitsSet::default()
    };
    let tenant = owner.tenant().unwrap().0;
    control
        .tenant_set_limits(&Actor::system("test"), tenant, limits)
        .await
        .unwrap();
    assert!(matches!(
        come("friar", "lark").await,
        Err(ControlError::Limit { .. })
    ));
}
