//! What the world sees of any domain: where the DNS says it is served and how surely, who answers there, with which
//! certificate, and whether a strict server or an app would accept it. The same judge as for real streams.
//!
//! It asks, connects, and leaves again before it would have to say who it is. It refuses to count what could not be asked as
//! wrong: that is `unknown`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dna::delegation::{Delegation, Target};
use dna::{
    Anchors, Claim, Evidence, Lookup, Policy, PolicyLevel, PresentedChain, Role, Security, Service,
};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::DomainName;

use crate::net::tls::AnyServer;

/// Connecting, and each answer after that.
const PATIENCE: Duration = Duration::from_secs(8);
/// Targets of one service that are tried.
const TARGETS: usize = 8;
/// An element of a stranger's stream is no larger than this, in bytes.
const ELEMENT_BYTES: usize = 64 * 1024;

/// How good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing.
    Info,
    /// Could not be asked.
    Unknown,
    /// Hurts some.
    Warning,
    /// People are stopped by it.
    Critical,
}

/// One thing that was seen.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// How good.
    pub grade: Grade,
    /// Stable word: `srv`, `connect`, `starttls`, `tls`, `certificate`.
    pub check: &'static str,
    /// What it is about.
    pub subject: String,
    /// What was seen.
    pub observed: String,
    /// What to do; empty when there is nothing.
    pub fix: String,
}

/// Everything that was seen of a domain.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Canonical spelling.
    pub domain: String,
    /// DNS spelling.
    pub ascii: String,
    /// Rows, in the order in which things were looked at.
    pub rows: Vec<Row>,
    /// How many of them are critical.
    pub critical: usize,
}

/// Looks at a domain as apps and as other servers do.
pub async fn look(domain: &DomainName, lookup: &dyn Lookup, anchors: Arc<Anchors>) -> Report {
    let mut rows = Vec::new();
    for service in [Service::Client, Service::Server] {
        rows.extend(look_at(domain, service, lookup, &anchors).await);
    }
    let critical = rows
        .iter()
        .filter(|row| row.grade == Grade::Critical)
        .count();
    Report {
        domain: domain.as_str().to_owned(),
        ascii: domain.to_ascii().into_owned(),
        rows,
        critical,
    }
}

async fn look_at(
    domain: &DomainName,
    service: Service,
    lookup: &dyn Lookup,
    anchors: &Arc<Anchors>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let whole = format!("_{}._tcp.{}", service.name(), domain.to_ascii());
    let delegation = Delegation::look_up(lookup, domain, service).await;
    let targets = match delegation.targets(&mut |n| rand::random_range(0..=n)) {
        Ok(targets) => targets,
        Err(nowhere) => {
            let grade = if matches!(nowhere, dna::delegation::Nowhere::Failed(..)) {
                Grade::Unknown
            } else {
                Grade::Critical
            };
            let fix = match nowhere {
                dna::delegation::Nowhere::Bogus(_) => {
                    "Repair the zone's DNSSEC signatures, or the DS record at its registry: who validates sees nothing at all."
                }
                _ => "",
            };
            rows.push(Row {
                grade,
                check: "srv",
                subject: whole,
                observed: nowhere.to_string(),
                fix: fix.into(),
            });
            return rows;
        }
    };
    let said = matches!(delegation.starttls, dna::delegation::Offer::At(_))
        || matches!(delegation.direct, dna::delegation::Offer::At(_));
    let places: Vec<String> = targets
        .iter()
        .map(|target| {
            format!(
                "{}:{}{}",
                target.host,
                target.port,
                if target.direct { " (direct TLS)" } else { "" }
            )
        })
        .collect();
    let security = targets
        .iter()
        .map(|target| target.security)
        .fold(Security::Secure, Security::and);
    rows.push(Row {
        grade: if said { Grade::Good } else { Grade::Warning },
        check: "srv",
        subject: whole,
        observed: if said {
            format!("{}; DNSSEC {}", places.join(", "), security.name())
        } else {
            format!("no SRV records; the world tries {}", places.join(", "))
        },
        fix: if said {
            String::new()
        } else {
            "Publish SRV records.".into()
        },
    });
    let mut answered = false;
    for target in targets.iter().take(TARGETS) {
        let row = try_target(domain, service, target, lookup, anchors).await;
        answered |= row.grade < Grade::Unknown;
        rows.push(row);
    }
    if !answered {
        // Alternatives that fail are warnings as long as one works; without one nobody comes in.
        for row in rows
            .iter_mut()
            .filter(|row| row.check != "srv" && row.grade == Grade::Warning)
        {
            row.grade = Grade::Critical;
        }
    }
    rows
}

/// A step that failed: which, what was seen, what to do.
type Stop = (&'static str, String, &'static str);

async fn try_target(
    domain: &DomainName,
    service: Service,
    target: &Target,
    lookup: &dyn Lookup,
    anchors: &Arc<Anchors>,
) -> Row {
    let subject = format!("{}:{}", target.host, target.port);
    match visit(domain, service, target, lookup).await {
        Err((check, observed, fix)) => Row {
            grade: Grade::Warning,
            check,
            subject,
            observed,
            fix: fix.into(),
        },
        Ok(seen) => {
            let claim = Claim {
                local: domain.clone(),
                remote: domain.clone(),
                role: Role::Initiator,
                service,
            };
            let evidence = Evidence {
                tls: true,
                chain: PresentedChain::new(&seen.chain, None),
                target: Some(target.clone()),
                ..Evidence::none(anchors.clone())
            };
            let policy = Policy {
                level: PolicyLevel::Authenticated,
                allow: Vec::new(),
                block: Vec::new(),
            };
            let verdict = dna::judge(&claim, &evidence, &policy, crate::net::now());
            let until = seen
                .chain
                .first()
                .and_then(|leaf| dna::pkix::describe(leaf));
            let until = until
                .map(|leaf| {
                    format!(
                        ", issued by {}, until {}",
                        leaf.issuer,
                        leaf.not_after.to_xep0082()
                    )
                })
                .unwrap_or_default();
            match verdict.proven() {
                Some(proven) => Row {
                    grade: Grade::Good,
                    check: "certificate",
                    subject,
                    observed: format!(
                        "{} at {}: {} proves {domain}{until}",
                        seen.tls,
                        seen.address,
                        proven.by().name()
                    ),
                    fix: String::new(),
                },
                None => Row {
                    grade: Grade::Warning,
                    check: "certificate",
                    subject,
                    observed: format!(
                        "{} at {}: {}{until}",
                        seen.tls,
                        seen.address,
                        verdict.summary()
                    ),
                    fix: format!(
                        "Serve a certificate for {domain} that chains to a well-known authority."
                    ),
                },
            }
        }
    }
}

/// What was seen at a target.
struct Seen {
    address: SocketAddr,
    tls: String,
    chain: Vec<Vec<u8>>,
}

async fn visit(
    domain: &DomainName,
    service: Service,
    target: &Target,
    lookup: &dyn Lookup,
) -> Result<Seen, Stop> {
    let (stream, address) = connect(target, lookup).await?;
    let silent = |check| {
        move |_| {
            (
                check,
                format!("{address} falls silent"),
                "Look at that server's log.",
            )
        }
    };
    let config = tls_config(if target.direct { Some(service) } else { None })
        .map_err(|error| ("tls", error.to_string(), ""))?;
    let stream = if target.direct {
        stream
    } else {
        tokio::time::timeout(PATIENCE, ask_for_tls(stream, domain, service))
            .await
            .map_err(silent("starttls"))??
    };
    let name = ServerName::try_from(domain.to_ascii().into_owned())
        .map_err(|error| ("tls", error.to_string(), ""))?;
    let stream = tokio::time::timeout(PATIENCE, TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(silent("tls"))?
        .map_err(|error| {
            (
                "tls",
                format!("{address}: the TLS handshake fails: {error}"),
                "Offer TLS 1.2 or 1.3 with a certificate for the domain at this address.",
            )
        })?;
    let (_, connection) = stream.get_ref();
    let tls = connection
        .protocol_version()
        .and_then(|version| version.as_str())
        .unwrap_or("TLS")
        .replace("TLSv1_", "TLS 1.");
    let chain = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    Ok(Seen {
        address,
        tls,
        chain,
    })
}

async fn connect(target: &Target, lookup: &dyn Lookup) -> Result<(TcpStream, SocketAddr), Stop> {
    let mut addresses = Vec::new();
    let mut why = String::new();
    if let Ok(literal) = target.host.parse() {
        addresses.push(literal);
    } else {
        for kind in [dna::RecordType::Aaaa, dna::RecordType::A] {
            let answer = lookup.query(&target.host, kind).await;
            if let dna::Outcome::Failed(failed) = &answer.outcome {
                why = format!(": {failed}");
            }
            addresses.extend(answer.addresses());
        }
    }
    if addresses.is_empty() {
        return Err((
            "connect",
            format!("{} has no address{why}", target.host),
            "Publish A or AAAA records for the SRV target.",
        ));
    }
    let mut failures = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(address, target.port);
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer")),
        }
    }
    Err((
        "connect",
        failures.join("; "),
        "Start the server there, and let the port through the firewall.",
    ))
}

/// STARTTLS as an app or a server asks for it (RFC 6120 5.4); `from` is left out, for we are nobody.
async fn ask_for_tls<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    domain: &DomainName,
    service: Service,
) -> Result<S, Stop> {
    let content = match service {
        Service::Client => "jabber:client",
        Service::Server => "jabber:server",
    };
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
    );
    let broken = |what: String| ("starttls", what, "Look at that server's log.");
    let mut framer = Framer::new(Limits {
        element_bytes: ELEMENT_BYTES,
        ..Limits::default()
    });
    stream
        .write_all(header.as_bytes())
        .await
        .map_err(|error| broken(error.to_string()))?;
    let features = next_element(&mut stream, &mut framer)
        .await
        .map_err(broken)?;
    match features.name() {
        "features" if features.find("starttls", xmpp::ns::TLS).is_some() => {}
        "features" => {
            return Err((
                "starttls",
                "the server does not offer STARTTLS".into(),
                "Switch TLS on for this domain.",
            ));
        }
        _ => {
            let condition = features
                .children()
                .next()
                .map(|child| child.name().to_owned())
                .unwrap_or_default();
            return Err((
                "starttls",
                format!("the server answers with a stream error: {condition}"),
                "Host the domain at that server, or point its records to where it is hosted.",
            ));
        }
    }
    stream
        .write_all(format!("<starttls xmlns='{}'/>", xmpp::ns::TLS).as_bytes())
        .await
        .map_err(|error| broken(error.to_string()))?;
    let answer = next_element(&mut stream, &mut framer)
        .await
        .map_err(broken)?;
    if answer.name() == "proceed" {
        Ok(stream)
    } else {
        Err(broken(format!(
            "STARTTLS is answered by <{}/>",
            answer.name()
        )))
    }
}

async fn next_element<S: AsyncRead + Unpin>(
    stream: &mut S,
    framer: &mut Framer,
) -> Result<xmpp::element::Element, String> {
    let mut buffer = [0; 4096];
    loop {
        loop {
            match framer
                .next()
                .map_err(|error| format!("its XML is not understood: {error}"))?
            {
                Some(Frame::Element(element)) => return Ok(element.to_element()),
                Some(Frame::Header(_)) => {}
                Some(Frame::Close) => return Err("the server closes the stream".into()),
                None => break,
            }
        }
        let read = stream
            .read(&mut buffer)
            .await
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("the server closes the connection".into());
        }
        framer.push(buffer.get(..read).unwrap_or_default());
    }
}

/// Takes any certificate: judging is for [`dna::judge`].
fn tls_config(direct: Option<Service>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyServer(provider.clone()));
    let builder = ClientConfig::builder_with_provider(CryptoProvider::clone(&provider).into())
        .with_safe_default_protocol_versions()?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = direct
        .map(|service| service.name().as_bytes().to_vec())
        .into_iter()
        .collect();
    Ok(Arc::new(config))
}
