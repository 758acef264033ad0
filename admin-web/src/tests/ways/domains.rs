//! Ways to a domain, its records and its certificates.

use axum::http::Method;
use control::Operation as Op;
use serde_json::json;

use super::{Way, empty, none};

/// What is done to a domain itself.
pub(super) fn of_a_domain() -> Vec<Way> {
    vec![
        (Op::DomainShow, Method::GET, "/domains/{D}", none),
        (
            Op::DomainShow,
            Method::GET,
            "/domains/{D}/verification",
            none,
        ),
        (
            Op::DomainVerdicts,
            Method::GET,
            "/domains/{D}/verification?mode=dane&beside=posh",
            none,
        ),
        (
            Op::DomainVerdicts,
            Method::GET,
            "/api/v1/domains/{D}/verdicts",
            none,
        ),
        (
            Op::DomainVerdicts,
            Method::GET,
            "/api/v1/domains/{D}/verdicts?mode=uploaded&dane=true",
            none,
        ),
        (Op::DomainShow, Method::GET, "/domains/{D}/usage", none),
        (
            Op::DomainShow,
            Method::GET,
            "/api/v1/domains/{D}/series?step=hour",
            none,
        ),
        (Op::DomainShow, Method::GET, "/domains/{D}/settings", none),
        (
            Op::DomainShow,
            Method::GET,
            "/api/v1/domains/{D}/block-lists",
            none,
        ),
        (Op::DomainShow, Method::GET, "/api/v1/domains/{D}", none),
        (Op::DomainCheck, Method::POST, "/domains/{D}/check", none),
        (
            Op::DomainCheck,
            Method::POST,
            "/api/v1/domains/{D}/check",
            none,
        ),
        (
            Op::DomainCheck,
            Method::POST,
            "/api/v1/domains/{D}/check?wait=true",
            none,
        ),
        (
            Op::DomainPublish,
            Method::POST,
            "/domains/{D}/publish",
            none,
        ),
        (
            Op::DomainPublish,
            Method::POST,
            "/api/v1/domains/{D}/publish",
            none,
        ),
        (Op::DomainSet, Method::POST, "/domains/{D}/settings", none),
        (
            Op::DomainSet,
            Method::POST,
            "/domains/{D}/verification/mode",
            || Some(json!({"mode": "uploaded"})),
        ),
        (Op::DomainSet, Method::PATCH, "/api/v1/domains/{D}", empty),
        (
            Op::DomainSuspend,
            Method::POST,
            "/domains/{D}/suspend",
            none,
        ),
        (
            Op::DomainSuspend,
            Method::POST,
            "/api/v1/domains/{D}/suspend",
            empty,
        ),
        (Op::DomainResume, Method::POST, "/domains/{D}/resume", none),
        (
            Op::DomainResume,
            Method::POST,
            "/api/v1/domains/{D}/resume",
            none,
        ),
        (
            Op::DomainRemove,
            Method::POST,
            "/domains/{D}/remove",
            || Some(json!({"confirm": "{D}"})),
        ),
        (
            Op::DomainRemove,
            Method::DELETE,
            "/api/v1/domains/{D}",
            none,
        ),
        (Op::DomainRecords, Method::GET, "/domains/{D}/records", none),
        (
            Op::DomainRecords,
            Method::GET,
            "/domains/{D}/records.zone",
            none,
        ),
        (
            Op::DomainRecords,
            Method::GET,
            "/api/v1/domains/{D}/records",
            none,
        ),
        (
            Op::DomainRecords,
            Method::GET,
            "/api/v1/domains/{D}/records.zone",
            none,
        ),
        (
            Op::CertificateList,
            Method::GET,
            "/domains/{D}/identity",
            none,
        ),
        (
            Op::CertificateList,
            Method::GET,
            "/api/v1/domains/{D}/certificates",
            none,
        ),
        (
            Op::CertificateUpload,
            Method::POST,
            "/domains/{D}/identity",
            || Some(json!({"chain_pem": "x", "key_pem": "x"})),
        ),
        (
            Op::CertificateUpload,
            Method::POST,
            "/api/v1/domains/{D}/certificates",
            || Some(json!({"chain_pem": "x", "key_pem": "x"})),
        ),
        (
            Op::CertificateOrder,
            Method::POST,
            "/domains/{D}/identity/order",
            none,
        ),
        (
            Op::CertificateOrder,
            Method::POST,
            "/api/v1/domains/{D}/certificates/order",
            none,
        ),
        (
            Op::CertificateList,
            Method::GET,
            "/api/v1/domains/{D}/rollover",
            none,
        ),
        (
            Op::CertificateChangeKey,
            Method::POST,
            "/domains/{D}/identity/key",
            none,
        ),
        (
            Op::CertificateChangeKey,
            Method::POST,
            "/api/v1/domains/{D}/certificates/key",
            empty,
        ),
        (
            Op::CertificateRevoke,
            Method::POST,
            "/api/v1/domains/{D}/certificates/revoke",
            || Some(json!({"reason": "key-compromise"})),
        ),
        (
            Op::CertificateList,
            Method::GET,
            "/api/v1/domains/{D}/certificates/plan",
            none,
        ),
        (
            Op::OutageShow,
            Method::GET,
            "/api/v1/domains/{D}/outage",
            none,
        ),
        (
            Op::OutageSet,
            Method::PUT,
            "/api/v1/domains/{D}/outage",
            || Some(json!({"beginning": "2026-12-24T18:00:00Z"})),
        ),
        (
            Op::OutageSet,
            Method::DELETE,
            "/api/v1/domains/{D}/outage",
            none,
        ),
        (Op::OutageSet, Method::POST, "/domains/{D}/outage", none),
        (
            Op::DomainSet,
            Method::PUT,
            "/api/v1/domains/{D}/external-secret",
            || Some(json!({"secret": "static-auth-secret-of-a-relay"})),
        ),
        (
            Op::DomainSet,
            Method::DELETE,
            "/api/v1/domains/{D}/external-secret",
            none,
        ),
        (Op::DomainSet, Method::POST, "/domains/{D}/calls", none),
        (Op::DomainSet, Method::POST, "/domains/{D}/joining", || {
            Some(json!({"registration": "invitation"}))
        }),
        (Op::DomainSet, Method::POST, "/domains/{D}/kept", || {
            Some(json!({"archive_days": "30"}))
        }),
    ]
}
