//! What a certificate authority finds that checks a name by HTTP (RFC 8555 8.3), seen before an order is spent: the website is
//! asked for a token of our own, its redirects are followed as authorities follow them, and the answer must be ours.
//!
//! As with authorities, certificates along the way prove nothing and need not hold, and only the usual ports are gone to.

use dna::{Fetch, FetchError, Url};
use serde::{Deserialize, Serialize};

use super::bounds::cut;
use crate::records::{check_answer, check_token};

/// Redirects that authorities follow.
const REDIRECTS: usize = 10;
/// Answers are short.
const ANSWER_BYTES: usize = 64 * 1024;

/// What was found at one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpView {
    /// Addresses gone to, the first one first.
    pub hops: Vec<String>,
    /// What is in the way; `None`: the answer was ours.
    pub fault: Option<HttpFault>,
    /// What was seen, in words.
    pub said: String,
}

/// What is in an authority's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpFault {
    /// The name has no address.
    NoAddress,
    /// Nobody answers at its address.
    NoAnswer,
    /// It leads to an address that is nobody's on the internet.
    Private,
    /// Somebody else answers.
    Elsewhere,
    /// It leads to us, but what followed in the address is lost on the way.
    PathLost,
    /// The redirects go round in circles, or are too many.
    Loop,
    /// A redirect leads where no authority goes.
    BadRedirect,
    /// We could not ask.
    Unknown,
}

/// Where websites are asked.
#[derive(Clone, Copy)]
pub struct HttpDoor<'a> {
    /// Eyes on the web.
    pub fetch: &'a dyn Fetch,
    /// Port at which authorities begin.
    pub port: u16,
    /// Ports that redirects may lead to.
    pub ports: &'a [u16],
    /// Where the domain's redirect is to lead ([`crate::records::challenge_url`]).
    pub ours: &'a str,
    /// Its label.
    pub label: &'a str,
}

/// Asks the website of `name` (A-labels) as an authority would.
pub(super) async fn http(door: HttpDoor<'_>, name: &str) -> HttpView {
    let mut view = HttpView::default();
    let token = check_token(door.label);
    let first = format!(
        "http://{name}:{}/.well-known/acme-challenge/{token}",
        door.port
    );
    let Ok(mut url) = Url::parse(&first) else {
        return fault(view, HttpFault::NoAddress, "no such address");
    };
    loop {
        let here = url.to_string();
        if view.hops.contains(&here) {
            let said = format!("{here} leads to itself again");
            return fault(view, HttpFault::Loop, &said);
        }
        if view.hops.len() > REDIRECTS {
            let said = format!("more than {REDIRECTS} redirects");
            return fault(view, HttpFault::Loop, &said);
        }
        view.hops.push(here);
        let reply = match door.fetch.challenge(&url, ANSWER_BYTES).await {
            Ok(reply) => reply,
            Err(error) => return failed(view, &error),
        };
        match reply.status {
            301 | 302 | 303 | 307 | 308 => match next(&url, reply.location.as_deref(), door) {
                Ok(to) => url = to,
                Err(why) => return fault(view, HttpFault::BadRedirect, &why),
            },
            200 if String::from_utf8_lossy(&reply.body).trim() == check_answer(door.label) => {
                let said = match view.hops.len() {
                    1 => "our answer".into(),
                    _ => format!("our answer, by way of {url}"),
                };
                return seen(view, None, &said);
            }
            status => {
                let said = format!("{url} answers {status} with something else");
                let at_ours = Url::parse(door.ours).is_ok_and(|ours| {
                    ours.host_str() == url.host_str()
                        && ours.port_or_known_default() == url.port_or_known_default()
                });
                return if at_ours && !url.path().ends_with(&token) {
                    fault(view, HttpFault::PathLost, &said)
                } else {
                    fault(view, HttpFault::Elsewhere, &said)
                };
            }
        }
    }
}

/// Where a redirect leads, if an authority goes there: to a name, by HTTP or HTTPS, at a usual port.
fn next(from: &Url, location: Option<&str>, door: HttpDoor<'_>) -> Result<Url, String> {
    let Some(location) = location else {
        return Err(format!("{from} redirects without saying where to"));
    };
    let bad = |why: &str| format!("{from} redirects to {location}, {why}");
    let to = from
        .join(location)
        .map_err(|_| bad("which is no address"))?;
    if !matches!(to.scheme(), "http" | "https") {
        return Err(bad("which is neither HTTP nor HTTPS"));
    }
    if to.domain().is_none() {
        return Err(bad("where no name stands"));
    }
    let port = to.port_or_known_default().unwrap_or_default();
    if !door.ports.contains(&port) {
        let usual: Vec<String> = door.ports.iter().map(ToString::to_string).collect();
        let why = format!(
            "at a port other than {}: authorities do not go there",
            usual.join(" or ")
        );
        return Err(bad(&why));
    }
    Ok(to)
}

fn failed(view: HttpView, error: &FetchError) -> HttpView {
    let kind = match error {
        FetchError::NoAddress { .. } => HttpFault::NoAddress,
        FetchError::Private { .. } => HttpFault::Private,
        FetchError::Unreachable { .. } => HttpFault::NoAnswer,
        FetchError::Certificate { .. } | FetchError::Protocol { .. } => HttpFault::NoAnswer,
        FetchError::TooLarge { .. } => HttpFault::Elsewhere,
        // Perhaps the fault is ours, or the network's between.
        FetchError::TimedOut { .. } | FetchError::Busy => HttpFault::Unknown,
    };
    fault(view, kind, &error.to_string())
}

fn fault(view: HttpView, kind: HttpFault, said: &str) -> HttpView {
    seen(view, Some(kind), said)
}

/// What is kept of it: addresses are as long as websites make them.
fn seen(mut view: HttpView, fault: Option<HttpFault>, said: &str) -> HttpView {
    view.fault = fault;
    view.said = cut(said.to_owned());
    view.hops = view.hops.into_iter().map(cut).collect();
    view
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dna::{Post, Reply};

    use super::*;

    /// A web of a few pages; everything else is refused.
    struct Pages(BTreeMap<&'static str, Result<Reply, FetchError>>);

    #[async_trait::async_trait]
    impl Fetch for Pages {
        async fn request(
            &self,
            url: &Url,
            _post: Option<Post>,
            _limit: usize,
        ) -> Result<Reply, FetchError> {
            let refused = || FetchError::Unreachable {
                host: url.host_str().unwrap_or_default().into(),
                why: "connection refused".into(),
            };
            self.0
                .get(url.as_str())
                .cloned()
                .unwrap_or_else(|| Err(refused()))
        }
    }

    fn page(status: u16, body: &str) -> Result<Reply, FetchError> {
        Ok(Reply {
            status,
            location: None,
            allow_origin: None,
            body: body.into(),
        })
    }

    fn to(location: &str) -> Result<Reply, FetchError> {
        Ok(Reply {
            status: 302,
            location: Some(location.into()),
            allow_origin: None,
            body: Vec::new(),
        })
    }

    const FIRST: &str = "http://example.com/.well-known/acme-challenge/domicile-d7";
    const OURS: &str = "https://web.hosting.example/acme/d7/domicile-d7";

    async fn check(
        pages: impl IntoIterator<Item = (&'static str, Result<Reply, FetchError>)>,
        expected: Option<HttpFault>,
    ) -> HttpView {
        let pages = Pages(pages.into_iter().collect());
        let door = HttpDoor {
            fetch: &pages,
            port: 80,
            ports: &[80, 443],
            ours: "https://web.hosting.example/acme/d7/",
            label: "d7",
        };
        let view = http(door, "example.com").await;
        assert_eq!(view.fault, expected, "{view:?}");
        view
    }

    #[tokio::test]
    async fn acme_05_the_answer_is_ours_directly_and_by_way_of_redirects() {
        let answer = || page(200, "d7 is answered by domicile\n");
        check([(FIRST, answer())], None).await;
        check([(FIRST, to(OURS)), (OURS, answer())], None).await;
        // A website that first insists on HTTPS.
        let secure = "https://example.com/.well-known/acme-challenge/domicile-d7";
        let view = check(
            [(FIRST, to(secure)), (secure, to(OURS)), (OURS, answer())],
            None,
        )
        .await;
        assert_eq!(view.hops.len(), 3);
        // Relative redirects are redirects.
        let moved = "http://example.com/acme/domicile-d7";
        check([(FIRST, to("/acme/domicile-d7")), (moved, answer())], None).await;
    }

    #[tokio::test]
    async fn every_way_it_can_be_broken_has_a_name_of_its_own() {
        use HttpFault::*;
        check([], Some(NoAnswer)).await;
        check([(FIRST, page(404, "not found"))], Some(Elsewhere)).await;
        check([(FIRST, page(200, "<html>welcome"))], Some(Elsewhere)).await;
        check(
            [(FIRST, page(200, "d8 is answered by domicile"))],
            Some(Elsewhere),
        )
        .await;
        check([(FIRST, to(FIRST))], Some(Loop)).await;
        let other = "http://www.example.com/";
        check([(FIRST, to(other)), (other, to(FIRST))], Some(Loop)).await;
        let door = "https://web.hosting.example/acme/d7/";
        check([(FIRST, to(door)), (door, page(404, ""))], Some(PathLost)).await;
        check([(FIRST, to(OURS)), (OURS, page(404, ""))], Some(Elsewhere)).await;
        for bad in [
            "ftp://example.com/x",
            "https://192.0.2.1/x",
            "https://example.com:8443/x",
            "https://[::1",
        ] {
            check([(FIRST, to(bad))], Some(BadRedirect)).await;
        }
        let nowhere = Ok(Reply {
            status: 301,
            location: None,
            allow_origin: None,
            body: Vec::new(),
        });
        check([(FIRST, nowhere)], Some(BadRedirect)).await;
        let host = || "example.com".to_owned();
        for (error, expected) in [
            (
                FetchError::NoAddress {
                    host: host(),
                    why: "the DNS has none".into(),
                },
                NoAddress,
            ),
            (
                FetchError::Private {
                    host: host(),
                    address: [10, 0, 0, 1].into(),
                },
                Private,
            ),
            (FetchError::TimedOut { host: host() }, Unknown),
            (FetchError::Busy, Unknown),
            (
                FetchError::TooLarge {
                    host: host(),
                    limit: 9,
                },
                Elsewhere,
            ),
        ] {
            check([(FIRST, Err(error))], Some(expected)).await;
        }
    }

    #[tokio::test]
    async fn redirects_without_end_are_left_off() {
        let pages = [
            "http://example.com/0",
            "http://example.com/1",
            "http://example.com/2",
            "http://example.com/3",
            "http://example.com/4",
            "http://example.com/5",
            "http://example.com/6",
            "http://example.com/7",
            "http://example.com/8",
            "http://example.com/9",
            "http://example.com/10",
        ];
        let mut chain = vec![(FIRST, to(pages[0]))];
        chain.extend(pages.windows(2).map(|two| (two[0], to(two[1]))));
        let view = check(chain, Some(HttpFault::Loop)).await;
        assert_eq!(view.hops.len(), 11);
    }
}
