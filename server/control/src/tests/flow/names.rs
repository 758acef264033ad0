//! Names that are taken for others'.

use super::*;

/// Looks like `cace.example`, in Cyrillic letters.
const ALIKE: &str = "\u{441}\u{430}\u{441}\u{435}.example";

fn ask(domain: &str, tenant: Option<i64>) -> DomainNew {
    DomainNew {
        domain: domain.into(),
        tenant,
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_told_from_another_customer_s_wants_the_operator_s_word() {
    let house = House::open(false).await;
    let owner = house.live("cace.example", "me@example.org").await;
    let other = house.sign_up("other.example", "you@example.org").await;
    let (control, neighbour) = (&house.control, other.login.resumed.actor);
    let refused = control.domain_add(&neighbour, ask(ALIKE, None)).await;
    let error = refused.unwrap_err();
    assert_eq!(error.field(), Some("domain"));
    assert!(error.to_string().contains("cace.example"), "{error}");

    // One's own other spelling is nobody's trap, and the operator has looked.
    let own = control.domain_add(&owner, ask(ALIKE, None)).await;
    assert!(own.is_ok(), "{own:?}");
    let system = Actor::system("test");
    let added = control.domain_add(&system, ask(ALIKE, Some(other.tenant)));
    assert!(added.await.is_ok());
    // Alphabets alone are no offence.
    let plain = "\u{431}\u{430}\u{43d}\u{43a}.example";
    assert!(
        control
            .domain_add(&neighbour, ask(plain, None))
            .await
            .is_ok()
    );
}
