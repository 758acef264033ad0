//! Tests.

use super::*;

/// A proof, made the only way there is.
pub(super) fn proven(local: &str, remote: &str) -> Proven {
    let name = |name| DomainName::parse(name).expect("a domain");
    let claim = Claim {
        local: name(local),
        remote: name(remote),
        role: Role::Initiator,
        service: Service::Server,
    };
    let evidence = Evidence {
        tls: true,
        dialback: Some(dna::dialback::Evidence::Delegated {
            to: "192.0.2.1:5269".into(),
            at: now(),
        }),
        ..Evidence::none(Arc::default())
    };
    dna::judge(&claim, &evidence, &Policy::default(), now())
        .into_proven()
        .expect("dialback is enough")
}
