//! Cases of POSH: documents, where they are fetched from, what matches.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::ExtendedKeyUsagePurpose;
use sha2::{Digest, Sha256, Sha512};
use xmpp::jid::DomainName;

use super::*;
use crate::PresentedChain;
use crate::fetch::{Fetch, Post, Reply, Url};
use crate::pkix::revocation;
use crate::pkix::tests::{Authority, Shape, now, self_signed};
use crate::{Claim, Policy, PolicyLevel, Prooftype, Role, Service, judge};

fn sha256(der: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(der))
}

fn sha512(der: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha512::digest(der))
}

#[test]
fn posh_05_to_17_and_45_documents() {
    let digest = sha256(b"x");
    let fingerprint = format!(r#"{{"sha-256":"{digest}"}}"#);
    let bare = digest.trim_end_matches('=');
    for (body, expected) in [
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"expires":600}}"#),
            "1 for 600",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint},{fingerprint}],"expires":1}}"#),
            "2 for 1",
        ),
        // POSH-11
        (
            format!(r#"{{"fingerprints":[{{"sha-256":"{bare}"}}],"expires":1}}"#),
            "1 for 1",
        ),
        // Unknown hash functions and members are passed over (POSH-29).
        (
            r#"{"fingerprints":[{"sha-1":"AAAA","x":"y"}],"expires":1,"more":true}"#.into(),
            "0 for 1",
        ),
        (
            r#"{"url":"https://host.example/x","expires":9}"#.into(),
            "https://host.example/x for 9",
        ),
        ("".into(), "is not a JSON object"),
        ("[]".into(), "is not a JSON object"),
        ("{}".into(), "has no \"expires\""),
        (r#"{"expires":1}"#.into(), "has neither"),
        (r#"{"fingerprints":[],"expires":1}"#.into(), "has no list"),
        (r#"{"fingerprints":{},"expires":1}"#.into(), "has no list"),
        (
            r#"{"fingerprints":["x"],"expires":1}"#.into(),
            "has a fingerprint that is not an object",
        ),
        (
            r#"{"fingerprints":[{"sha-256":7}],"expires":1}"#.into(),
            "has a digest that is not a text",
        ),
        (
            r#"{"fingerprints":[{"sha-999":7}],"expires":1}"#.into(),
            "has a digest that is not a text",
        ),
        (
            r#"{"fingerprints":[{"sha-256":"AAAA"}],"expires":1}"#.into(),
            "has a digest of the wrong length",
        ),
        // base64url, white space, set padding bits
        (
            format!(
                r#"{{"fingerprints":[{{"sha-256":"-{}"}}],"expires":1}}"#,
                &digest[1..]
            ),
            "has a digest that is not base64",
        ),
        (
            format!(r#"{{"fingerprints":[{{"sha-256":" {digest}"}}],"expires":1}}"#),
            "has a digest that is not base64",
        ),
        (
            format!(
                r#"{{"fingerprints":[{{"sha-256":"{}9="}}],"expires":1}}"#,
                &digest[..42]
            ),
            "has a digest that is not base64",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"url":"https://x.example/","expires":1}}"#),
            "has both",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"expires":0}}"#),
            "says that it has expired",
        ),
        (
            r#"{"url":"https://host.example/x","expires":0}"#.into(),
            "says that it has expired",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"expires":-1}}"#),
            "has no \"expires\"",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"expires":1.5}}"#),
            "has no \"expires\"",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}],"expires":"600"}}"#),
            "has no \"expires\"",
        ),
        (
            format!(r#"{{"fingerprints":[{fingerprint}]}}"#),
            "has no \"expires\"",
        ),
        (
            r#"{"url":7,"expires":1}"#.into(),
            "has a \"url\" that is not a text",
        ),
        // The drafts' body and member name.
        (
            r#"{"keys":[{"kty":"RSA","x5c":["MIIC"]}],"expires":1}"#.into(),
            "has neither",
        ),
        (
            r#"{"uri":"https://host.example/x","expires":1}"#.into(),
            "has neither",
        ),
    ] {
        let found = match Document::parse(body.as_bytes()) {
            Ok(Document::Fingerprints { list, expires }) => format!("{} for {expires}", list.len()),
            Ok(Document::Reference { url, expires }) => format!("{url} for {expires}"),
            Err(why) => why.to_owned(),
        };
        assert!(found.starts_with(expected), "{body}: {found}");
    }
}

/// A web from a table, which remembers what it was asked.
#[derive(Default)]
struct Table {
    replies: HashMap<String, Result<Reply, FetchError>>,
    asked: Mutex<Vec<String>>,
}

impl Table {
    fn new(replies: &[(&str, Result<Reply, FetchError>)]) -> Self {
        Self {
            replies: replies
                .iter()
                .map(|(url, reply)| ((*url).to_owned(), reply.clone()))
                .collect(),
            asked: Mutex::default(),
        }
    }
}

#[async_trait]
impl Fetch for Table {
    async fn request(&self, url: &Url, _: Option<Post>, limit: usize) -> Result<Reply, FetchError> {
        assert_eq!(limit, DOCUMENT_BYTES);
        self.asked
            .lock()
            .expect("not poisoned")
            .push(url.to_string());
        self.replies
            .get(url.as_str())
            .cloned()
            .unwrap_or_else(|| status(404))
    }
}

fn status(status: u16) -> Result<Reply, FetchError> {
    Ok(Reply {
        status,
        location: None,
        allow_origin: None,
        body: Vec::new(),
    })
}

fn ok(body: &str) -> Result<Reply, FetchError> {
    Ok(Reply {
        status: 200,
        location: None,
        allow_origin: None,
        body: body.into(),
    })
}

fn moved(status: u16, to: &str) -> Result<Reply, FetchError> {
    Ok(Reply {
        status,
        location: Some(to.into()),
        allow_origin: None,
        body: Vec::new(),
    })
}

const START: &str = "https://peer.example/.well-known/posh/xmpp-server.json";
const LIST: &str = r#"{"fingerprints":[{"sha-256":"LXEWQrcmsEQBYnyp++6wy9chTD7GQPMTbAiWHF5IaSI="}],"expires":600}"#;

async fn look(replies: &[(&str, Result<Reply, FetchError>)]) -> (String, Vec<String>) {
    let table = Table::new(replies);
    let domain = DomainName::parse("peer.example").expect("a domain");
    let found = look_up(&table, &domain, Service::Server, 443, now()).await;
    let word = match found.material {
        Material::Fingerprints(list) => {
            let lasts = found.until.since(now()).as_secs();
            format!("{} for {lasts} from {}", list.len(), found.source)
        }
        Material::Nothing(nothing) => nothing.code().to_owned(),
    };
    let asked = table.asked.lock().expect("not poisoned").clone();
    (word, asked)
}

#[tokio::test]
async fn posh_02_dna_26_client_and_server_services_apart() {
    let domain = DomainName::parse("b\u{fc}cher.example").expect("a domain");
    for (service, path) in [
        (Service::Server, "xmpp-server.json"),
        (Service::Client, "xmpp-client.json"),
    ] {
        let url = well_known(&domain, service, 443).expect("an address");
        assert_eq!(
            url.as_str(),
            format!("https://xn--bcher-kva.example/.well-known/posh/{path}")
        );
    }
    let address = DomainName::parse("192.0.2.1").expect("an address");
    assert_eq!(well_known(&address, Service::Server, 443), None);
}

#[tokio::test]
async fn posh_17_to_28_references_and_redirects() {
    let other = "https://host.example/posh.json";
    let reference = r#"{"url":"https://host.example/posh.json","expires":300}"#;
    let back = r#"{"url":"https://peer.example/.well-known/posh/xmpp-server.json","expires":300}"#;
    let long = r#"{"url":"https://host.example/posh.json","expires":86400}"#;
    let plain = r#"{"url":"http://host.example/posh.json","expires":300}"#;
    let from = |lasts: u32, url: &str| format!("1 for {lasts} from {url}");
    let word = |word: &str| word.to_owned();
    let refused = FetchError::Certificate {
        host: "host.example".into(),
        why: "not valid for name".into(),
    };
    let inside = FetchError::Private {
        host: "host.example".into(),
        address: [127, 0, 0, 1].into(),
    };
    let rows = [
        (vec![(START, ok(LIST))], from(600, START), 1),
        (vec![], word("posh-not-published"), 1),
        (vec![(START, status(500))], word("posh-http-status"), 1),
        (vec![(START, ok("{}"))], word("posh-malformed"), 1),
        // One reference, with the lower of the two ends (POSH-34).
        (
            vec![(START, ok(reference)), (other, ok(LIST))],
            from(300, other),
            2,
        ),
        (
            vec![(START, ok(long)), (other, ok(LIST))],
            from(600, other),
            2,
        ),
        (vec![(START, ok(reference))], word("posh-not-published"), 2),
        // POSH-19
        (
            vec![(START, ok(reference)), (other, ok(back))],
            word("posh-second-reference"),
            2,
        ),
        (vec![(START, ok(plain))], word("posh-not-https"), 1),
        // POSH-24
        (
            vec![(START, ok(reference)), (other, Err(refused.clone()))],
            word("posh-https-certificate"),
            2,
        ),
        (
            vec![(START, Err(refused))],
            word("posh-https-certificate"),
            1,
        ),
        // POSH-46
        (
            vec![(START, ok(reference)), (other, Err(inside))],
            word("posh-address-private"),
            2,
        ),
        // Redirects of every kind, absolute and relative (POSH-26, -27).
        (
            vec![(START, moved(302, other)), (other, ok(LIST))],
            from(600, other),
            2,
        ),
        (
            vec![(START, moved(301, other)), (other, ok(LIST))],
            from(600, other),
            2,
        ),
        (
            vec![(START, moved(307, other)), (other, ok(LIST))],
            from(600, other),
            2,
        ),
        (
            vec![
                (START, moved(308, "/p")),
                ("https://peer.example/p", ok(LIST)),
            ],
            from(600, "https://peer.example/p"),
            2,
        ),
        (
            vec![
                (START, moved(302, "//host.example/posh.json")),
                (other, ok(LIST)),
            ],
            from(600, other),
            2,
        ),
        (
            vec![(START, moved(302, other)), (other, ok(back))],
            word("posh-second-reference"),
            4,
        ),
        // POSH-25
        (
            vec![(START, moved(302, "http://host.example/"))],
            word("posh-not-https"),
            1,
        ),
        (
            vec![(START, moved(302, "file:///etc/passwd"))],
            word("posh-not-https"),
            1,
        ),
        (
            vec![(START, moved(302, "https://user:secret@host.example/"))],
            word("posh-not-https"),
            1,
        ),
        (vec![(START, status(302))], word("posh-http-status"), 1),
        // POSH-28
        (vec![(START, moved(302, START))], word("posh-redirects"), 6),
        (
            vec![(
                START,
                Err(FetchError::TooLarge {
                    host: "peer.example".into(),
                    limit: 1,
                }),
            )],
            word("posh-too-large"),
            1,
        ),
        (
            vec![(
                START,
                Err(FetchError::TimedOut {
                    host: "peer.example".into(),
                }),
            )],
            word("posh-timeout"),
            1,
        ),
    ];
    for (at, (replies, expected, asked)) in rows.into_iter().enumerate() {
        let (found, urls) = look(&replies).await;
        assert_eq!(found, expected, "row {at}: {urls:?}");
        assert_eq!(urls.len(), asked, "row {at}: {urls:?}");
    }
}

#[tokio::test]
async fn posh_34_nothing_is_believed_without_limit() {
    let forever = LIST.replace("600", "18446744073709551615");
    let (found, _) = look(&[(START, ok(&forever))]).await;
    assert_eq!(found, format!("1 for {} from {START}", LONGEST.as_secs()));
}

/// `posh`, or the code of the refusal that decides, for `peer.example`.
fn check(
    chain: &PresentedChain,
    list: Vec<Descriptor>,
    change: impl Fn(&mut crate::Evidence),
) -> String {
    let claim = Claim {
        local: DomainName::parse("one.example").expect("a domain"),
        remote: DomainName::parse("peer.example").expect("a domain"),
        role: Role::Receiver,
        service: Service::Server,
    };
    let mut evidence = crate::Evidence {
        tls: true,
        chain: Some(chain.clone()),
        posh: Some(Evidence {
            material: Material::Fingerprints(list),
            source: START.into(),
            until: now().after(Duration::from_secs(3600)),
        }),
        ..crate::Evidence::none(Default::default())
    };
    change(&mut evidence);
    let strict = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = judge(&claim, &evidence, &strict, now());
    match verdict.proven() {
        Some(proven) => {
            assert_eq!(proven.by(), Prooftype::Posh);
            assert!(!proven.dnssec());
            "posh".into()
        }
        None => verdict
            .refusals()
            .last()
            .expect("a refusal")
            .code
            .to_owned(),
    }
}

fn of(body: &str) -> Vec<Descriptor> {
    match Document::parse(body.as_bytes()) {
        Ok(Document::Fingerprints { list, .. }) => list,
        other => panic!("{body}: {other:?}"),
    }
}

fn described(der: &[u8]) -> Vec<Descriptor> {
    of(&format!(
        r#"{{"fingerprints":[{{"sha-256":"{}"}}],"expires":600}}"#,
        sha256(der)
    ))
}

/// DNA-24: the certificate shown in TLS, by a hash from the well-known address of the domain; no signed DNS is needed.
#[test]
fn posh_29_30_any_descriptor_by_its_strongest_hash() {
    let (shown, other) = (
        self_signed(&["host.example"]),
        self_signed(&["host.example"]),
    );
    let (a, b) = (shown.leaf().expect("a leaf"), other.leaf().expect("a leaf"));
    let body = |list: &str| format!(r#"{{"fingerprints":[{list}],"expires":600}}"#);
    let one = |hash: &str, digest: String| format!(r#"{{"{hash}":"{digest}"}}"#);
    let both = |weak: &[u8], strong: &[u8]| {
        format!(
            r#"{{"sha-256":"{}","sha-512":"{}"}}"#,
            sha256(weak),
            sha512(strong)
        )
    };
    for (list, expected) in [
        (one("sha-256", sha256(a)), "posh"),
        (one("sha-512", sha512(a)), "posh"),
        (one("sha-256", sha256(b)), "posh-mismatch"),
        // Upcoming and current (POSH-13).
        (
            format!(
                "{},{}",
                one("sha-256", sha256(b)),
                one("sha-256", sha256(a))
            ),
            "posh",
        ),
        (both(a, a), "posh"),
        (both(a, b), "posh-mismatch"),
        (both(b, a), "posh"),
        (one("sha-1", sha256(a)), "posh-mismatch"),
    ] {
        assert_eq!(check(&shown, of(&body(&list)), |_| {}), expected, "{list}");
    }
}

#[test]
fn posh_32_33_dates_use_and_revocation_still_count() {
    let ca = Authority::new("Authority");
    let with = |shape| {
        // The issuer comes along, as its word on revocation is wanted.
        let mut ders = ca.chain(&["host.example"], shape).certificates.to_vec();
        ders.push(ca.der());
        PresentedChain::new(&ders, None).expect("a chain")
    };
    let expired = Shape {
        expired: true,
        ..Shape::default()
    };
    let future = Shape {
        future: true,
        ..Shape::default()
    };
    let client = Shape {
        usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
        ..Shape::default()
    };
    let server = Shape {
        usages: vec![ExtendedKeyUsagePurpose::ServerAuth],
        ..Shape::default()
    };
    for (shape, expected) in [
        (Shape::default(), "posh"),
        (server, "posh"),
        (expired, "certificate-expired"),
        (future, "certificate-not-yet-valid"),
        (client, "certificate-client-only"),
    ] {
        let chain = with(shape);
        let list = described(chain.leaf().expect("a leaf"));
        assert_eq!(check(&chain, list, |_| {}), expected);
    }
    let seven = with(Shape {
        serial: Some(7),
        ..Shape::default()
    });
    for (revoked, expected) in [(6, "posh"), (7, "certificate-revoked")] {
        let list = described(seven.leaf().expect("a leaf"));
        let found = check(&seven, list, |evidence| {
            evidence.revocation = Some(revocation::Evidence {
                lists: vec![ca.list(&[revoked])],
                answers: Vec::new(),
                until: now(),
            });
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn posh_35_stale_material_proves_nothing() {
    let shown = self_signed(&["host.example"]);
    let list = || described(shown.leaf().expect("a leaf"));
    let stale = |evidence: &mut crate::Evidence| {
        if let Some(posh) = &mut evidence.posh {
            posh.until = xmpp::timestamp::Timestamp(now().0 - 1);
        }
    };
    assert_eq!(check(&shown, list(), stale), "posh-stale");
}

#[test]
fn cert_22_posh_has_no_say_for_a_pinned_peer() {
    let shown = self_signed(&["host.example"]);
    let own = Authority::new("Own");
    let list = described(shown.leaf().expect("a leaf"));
    let found = check(&shown, list, |evidence| {
        evidence.pinned = Some(own.anchors())
    });
    assert_eq!(found, "certificate-self-signed");
}

/// POSH-05 to POSH-10, POSH-15, POSH-17, POSH-18, POSH-42: what we write is what verifiers read.
#[test]
fn posh_05_documents_as_we_publish_them() {
    let leaves: [&[u8]; 2] = [b"one", b"two"];
    let text = super::fingerprints(leaves, 3600).expect("a document");
    let Document::Fingerprints { list, expires } = Document::parse(text.as_bytes()).expect("read")
    else {
        panic!("{text}")
    };
    assert_eq!((list.len(), expires), (2, 3600));
    for (descriptor, leaf) in list.iter().zip(leaves) {
        assert!(descriptor.describes(leaf) && descriptor.hash == super::Hash::Sha256);
        assert_eq!(
            super::Descriptor::read(&descriptor.spelled()).as_ref(),
            Some(descriptor)
        );
        assert!(super::Descriptor::spellings(leaf).contains(&descriptor.spelled()));
    }
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let members: Vec<_> = json.as_object().expect("an object").keys().collect();
    assert_eq!(
        members,
        ["expires", "fingerprints"],
        "nothing else, no url, no key"
    );
    assert_eq!(super::fingerprints([], 3600), None, "POSH-04: none at all");
    let text = super::reference("https://host.example/a.json", 60);
    assert_eq!(
        Document::parse(text.as_bytes()),
        Ok(Document::Reference {
            url: "https://host.example/a.json".into(),
            expires: 60
        })
    );
}
