//! The web as `dna` asks for it: one request over HTTPS or, for what authorities say of their certificates, HTTP.
//!
//! The name is resolved by our own resolver, each address is checked by the [`Guard`], and the connection goes to exactly the
//! address that was checked, so that no second look-up can lead elsewhere. The certificate must hold for the name asked
//! (POSH-23, -24), except where authorities do not ask for that either (http-01). Refuses: following redirects, bodies over the
//! limit, taking longer than configured, keeping connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use dna::{Anchors, Fetch, FetchError, Lookup, Post, RecordType, Reply, Security, Url};
use futures_util::StreamExt as _;
use hyper::Request;
use hyper::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, USER_AGENT,
};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guard::Guard;
use super::tls::AnyServer;

/// Most addresses of a host that are tried.
const ADDRESSES: usize = 4;
/// How long one address may take to answer the first packet.
const CONNECT: Duration = Duration::from_secs(3);
/// Largest head of an answer, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// Fetches over real sockets.
pub struct Web {
    lookup: Arc<dyn Lookup>,
    guard: Guard,
    tls: Arc<ClientConfig>,
    /// Believes any certificate: for what authorities do when they check a name.
    lenient: Arc<ClientConfig>,
    timeout: Duration,
}

impl Web {
    /// `anchors` are for the web servers' certificates; one fetch takes no longer than `timeout`.
    ///
    /// # Errors
    /// The provider has no TLS version in common with rustls's defaults.
    pub fn new(
        lookup: Arc<dyn Lookup>,
        guard: Guard,
        anchors: &Anchors,
        provider: Arc<CryptoProvider>,
        timeout: Duration,
    ) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.extend(anchors.list().iter().cloned());
        let mut tls = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Every document is fetched from a server that shows its certificate afresh.
        tls.resumption = Resumption::disabled();
        let mut lenient = tls.clone();
        lenient
            .dangerous()
            .set_certificate_verifier(Arc::new(AnyServer::new(provider)));
        Ok(Self {
            lookup,
            guard,
            tls: Arc::new(tls),
            lenient: Arc::new(lenient),
            timeout,
        })
    }

    async fn within(
        &self,
        tls: &Arc<ClientConfig>,
        url: &Url,
        post: Option<Post>,
        limit: usize,
    ) -> Result<Reply, FetchError> {
        match tokio::time::timeout(self.timeout, self.fetch(tls, url, post, limit)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::TimedOut { host: host(url) }),
        }
    }

    async fn fetch(
        &self,
        tls: &Arc<ClientConfig>,
        url: &Url,
        post: Option<Post>,
        limit: usize,
    ) -> Result<Reply, FetchError> {
        let host = host(url);
        let protocol = |why: &str| FetchError::Protocol {
            host: host.clone(),
            why: why.to_owned(),
        };
        let port = url
            .port_or_known_default()
            .ok_or_else(|| protocol("no port"))?;
        let tcp = self.connect(&host, port).await?;
        match url.scheme() {
            "http" => exchange(tcp, url, &host, post, limit).await,
            "https" => {
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| protocol("its name cannot be in a certificate"))?;
                let tls = TlsConnector::from(tls.clone());
                let stream = Box::pin(tls.connect(name, tcp))
                    .await
                    .map_err(|error| handshake(&host, &error))?;
                exchange(stream, url, &host, post, limit).await
            }
            _ => Err(protocol("not a web address")),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, FetchError> {
        let mut why = String::new();
        for address in self.addresses(host).await? {
            let at = SocketAddr::new(address, port);
            match tokio::time::timeout(CONNECT, TcpStream::connect(at)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => why = format!("{at}: {error}"),
                Err(_) => why = format!("{at}: no answer in time"),
            }
        }
        Err(FetchError::Unreachable {
            host: host.to_owned(),
            why,
        })
    }

    /// The addresses that the guard lets us connect to.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        let mut found: Vec<IpAddr> = Vec::new();
        let mut why = "the DNS has none".to_owned();
        match host.parse::<IpAddr>() {
            Ok(address) => found.push(address),
            Err(_) => {
                let (six, four) = futures_util::join!(
                    self.lookup.query(host, RecordType::Aaaa),
                    self.lookup.query(host, RecordType::A)
                );
                for answer in [six, four] {
                    match (&answer.outcome, answer.security) {
                        (_, Security::Bogus) => why = "the answer is wrongly signed".into(),
                        (dna::Outcome::Failed(failed), _) => failed.clone_into(&mut why),
                        _ => found.extend(answer.addresses()),
                    }
                }
            }
        }
        let Some(&first) = found.first() else {
            return Err(FetchError::NoAddress {
                host: host.to_owned(),
                why,
            });
        };
        found.retain(|address| self.guard.allows(*address));
        if found.is_empty() {
            return Err(FetchError::Private {
                host: host.to_owned(),
                address: first,
            });
        }
        found.truncate(ADDRESSES);
        Ok(found)
    }
}

#[async_trait]
impl Fetch for Web {
    async fn request(
        &self,
        url: &Url,
        post: Option<Post>,
        limit: usize,
    ) -> Result<Reply, FetchError> {
        self.within(&self.tls, url, post, limit).await
    }

    async fn challenge(&self, url: &Url, limit: usize) -> Result<Reply, FetchError> {
        self.within(&self.lenient, url, None, limit).await
    }
}

/// Without the brackets of IPv6.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .to_owned()
}

fn handshake(host: &str, error: &std::io::Error) -> FetchError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let host = host.to_owned();
    match inner {
        Some(rustls::Error::InvalidCertificate(problem)) => FetchError::Certificate {
            host,
            why: problem.to_string(),
        },
        _ => FetchError::Protocol {
            host,
            why: error.to_string(),
        },
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
    host: &str,
    post: Option<Post>,
    limit: usize,
) -> Result<Reply, FetchError> {
    let protocol = |why: String| FetchError::Protocol {
        host: host.to_owned(),
        why,
    };
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| protocol(error.to_string()))?;
    let query = url.query().map(|query| format!("?{query}"));
    let target = format!("{}{}", url.path(), query.unwrap_or_default());
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let (request, body) = match post {
        None => (Request::get(target), Body::empty()),
        Some(Post {
            media_type,
            headers,
            body,
        }) => {
            let request = Request::post(target)
                .header(CONTENT_TYPE, media_type)
                .header(CONTENT_LENGTH, body.len());
            let request = headers.into_iter().fold(request, |request, (name, value)| {
                request.header(name, value)
            });
            (request, Body::from(body))
        }
    };
    let request = request
        .header(HOST, authority)
        .header(
            ACCEPT,
            "application/json, application/pkix-crl, application/ocsp-response, */*",
        )
        .header(USER_AGENT, concat!("domicile/", env!("CARGO_PKG_VERSION")))
        .body(body)
        .map_err(|error| protocol(error.to_string()))?;
    let answered = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| protocol(error.to_string()))?;
        let header = |name| {
            let value: Option<&hyper::header::HeaderValue> = response.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let location = header(LOCATION);
        let allow_origin = header(ACCESS_CONTROL_ALLOW_ORIGIN);
        let status = response.status().as_u16();
        let mut chunks = Body::new(response.into_body()).into_data_stream();
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| protocol(error.to_string()))?;
            if body.len() + chunk.len() > limit {
                let host = host.to_owned();
                return Err(FetchError::TooLarge { host, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            location,
            allow_origin,
            body,
        })
    };
    let connection = std::pin::pin!(connection);
    let answered = std::pin::pin!(answered);
    // The connection does the work; it ends with the answer.
    match futures_util::future::select(answered, connection).await {
        futures_util::future::Either::Left((reply, _)) => reply,
        futures_util::future::Either::Right((_, answered)) => answered.await,
    }
}

#[cfg(test)]
mod tests;
