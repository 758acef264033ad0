//! The door to the web, as judging needs it: one request, nothing followed, everything bounded.
//!
//! The live server implements [`Fetch`] over real sockets, tests over a table. What may be fetched, and which redirects are
//! followed, is decided here ([`crate::posh`]); whom the implementation connects to is guarded there.

use std::net::IpAddr;

use async_trait::async_trait;
pub use url::Url;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Location`, as sent.
    pub location: Option<String>,
    /// `Access-Control-Allow-Origin`, as sent.
    pub allow_origin: Option<String>,
    /// The body, within the limit.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The host has no address, or the DNS could not say. The site's DNS, or the way to it.
    #[error("{host} has no address: {why}")]
    NoAddress {
        /// Host.
        host: String,
        /// What the DNS said.
        why: String,
    },
    /// Its addresses are not somebody's on the internet. The site's DNS.
    #[error("{host} leads to {address}, which is not an address of the internet")]
    Private {
        /// Host.
        host: String,
        /// The first of them.
        address: IpAddr,
    },
    /// Nobody answered. The network, or the site.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// Host.
        host: String,
        /// Cause.
        why: String,
    },
    /// Its certificate does not hold for its name (POSH-23, POSH-24). The site.
    #[error("the HTTPS certificate of {host} does not hold: {why}")]
    Certificate {
        /// Host.
        host: String,
        /// Cause.
        why: String,
    },
    /// TLS or HTTP failed otherwise. The site.
    #[error("{host} does not speak HTTPS as it should: {why}")]
    Protocol {
        /// Host.
        host: String,
        /// Cause.
        why: String,
    },
    /// The body is longer than what was asked for. The site.
    #[error("{host} sends more than {limit} bytes")]
    TooLarge {
        /// Host.
        host: String,
        /// In bytes.
        limit: usize,
    },
    /// It took too long.
    #[error("{host} gave no answer in time")]
    TimedOut {
        /// Host.
        host: String,
    },
    /// Too much is being asked at the moment. Ours.
    #[error("too many look-ups are under way")]
    Busy,
}

/// What is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its media type.
    pub media_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Fetches from the web.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// One request to an `https:` or `http:` address, a GET unless something is posted, for a body of at most `limit` bytes.
    /// Redirects are not followed. Always answers, within the implementation's time limit.
    async fn request(
        &self,
        url: &Url,
        post: Option<Post>,
        limit: usize,
    ) -> Result<Reply, FetchError>;

    /// A GET.
    async fn get(&self, url: &Url, limit: usize) -> Result<Reply, FetchError> {
        self.request(url, None, limit).await
    }

    /// A GET as certificate authorities make it when they check a name by HTTP (RFC 8555 8.3): a certificate on the way proves
    /// nothing, so it need not hold.
    async fn challenge(&self, url: &Url, limit: usize) -> Result<Reply, FetchError> {
        self.get(url, limit).await
    }

    /// A POST.
    async fn post(&self, url: &Url, post: Post, limit: usize) -> Result<Reply, FetchError> {
        self.request(url, Some(post), limit).await
    }
}
