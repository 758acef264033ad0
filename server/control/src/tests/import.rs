//! Domains that come together, from another service.

use super::world::{House, certificate};
use crate::certificate::CertificateUpload;
use crate::domain::{DomainImport, State};
use crate::error::ControlError;
use crate::tenant::LimitsSet;
use crate::time::DAY;
use crate::{Actor, Secret};

fn line(line: usize, domain: &str, certificate: Option<CertificateUpload>) -> DomainImport {
    DomainImport {
        line,
        domain: domain.into(),
        certificate,
    }
}

fn upload(names: &[String]) -> CertificateUpload {
    let key = rcgen::KeyPair::generate().unwrap();
    CertificateUpload {
        chain_pem: certificate(names, 19_999 * DAY, 20_030 * DAY, &key),
        key_pem: Secret::from(key.serialize_pem()),
    }
}

#[tokio::test]
async fn domains_that_are_served_elsewhere_come_with_their_certificates() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let (control, tenant) = (&house.control, signed.tenant);
    let actor = Actor::system("test");
    let three = ["one.example", "two.example", "three.example"];
    let three = three.map(|name| line(1, name, None)).into();
    let full = control.domain_import(&actor, tenant, three, true).await;
    assert!(matches!(
        full.unwrap_err(),
        ControlError::Limit {
            what: "domains",
            ..
        }
    ));
    let limits = LimitsSet {
        domains: Some(10),
        ..LimitsSet::default()
    };
    control
        .tenant_set_limits(&actor, tenant, limits)
        .await
        .unwrap();

    let rows = vec![
        line(1, "one.example", Some(upload(&["one.example".into()]))),
        line(2, "B\u{fc}cher.example", None),
        line(3, "example.com", None),
        line(4, "co.uk", None),
        line(5, "five.example", Some(upload(&["other.example".into()]))),
    ];
    let report = control
        .domain_import(&actor, tenant, rows, true)
        .await
        .unwrap();
    let refused: Vec<_> = report.refused.iter().map(|of| of.line).collect();
    assert_eq!((report.added, refused), (2, vec![3, 4, 5]));

    let one = control.domain_show(&actor, "one.example").await.unwrap();
    assert_eq!(one.view.state, State::Verified, "served from now on");
    assert_eq!(one.certificate.expect("a certificate").source, "uploaded");
    let books = control
        .domain_show(&actor, "xn--bcher-kva.example")
        .await
        .unwrap();
    assert!(books.certificate.is_none() && books.verified.is_some());
}

#[tokio::test]
async fn without_the_platforms_word_they_are_only_claimed() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let limits = LimitsSet {
        domains: Some(10),
        ..LimitsSet::default()
    };
    let (control, actor) = (&house.control, Actor::system("test"));
    control
        .tenant_set_limits(&actor, signed.tenant, limits)
        .await
        .unwrap();
    let rows = vec![
        line(1, "one.example", None),
        line(2, "two.example", Some(upload(&["two.example".into()]))),
    ];
    let report = control
        .domain_import(&actor, signed.tenant, rows, false)
        .await
        .unwrap();
    assert_eq!((report.added, report.refused[0].line), (1, 2));
    let one = control.domain_show(&actor, "one.example").await.unwrap();
    assert_eq!(one.view.state, State::Claimed);
}
