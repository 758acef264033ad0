//! What goes wrong at an authority: whose fault it is, what to say, and how long anything may take.

use std::time::Duration;

use control::outside::{IssueError, NameRefused};
use instant_acme::{Error, Identifier, Problem, RetryPolicy};
use xmpp::jid::DomainName;

/// One exchange with the authority takes no longer than this.
pub(super) const EXCHANGE: Duration = Duration::from_secs(30);
/// It may take this long to look at the challenges, and again to sign.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// Wait after a `rateLimited` without further word (RFC 8555 6.6), in seconds.
const RATE_LIMIT_SECONDS: u64 = 3600;
/// Prefix of the problem types of RFC 8555 6.7.
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// How an attempt failed: for good, or because the authority does not know our account (or its key).
#[derive(Debug)]
pub(super) enum Fault {
    /// For good.
    Issue(IssueError),
    /// The account is not known there.
    AccountGone,
    /// The account is known, but not by this key: somebody has rolled it over.
    KeyChanged,
}

impl From<IssueError> for Fault {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

pub(super) fn policy() -> RetryPolicy {
    RetryPolicy::new()
        .initial_delay(Duration::from_millis(250))
        .backoff(1.5)
        .timeout(PATIENCE)
}

pub(super) fn name_of(names: &[DomainName], identifier: &Identifier) -> Option<DomainName> {
    let Identifier::Dns(ascii) = identifier else {
        return None;
    };
    names
        .iter()
        .find(|name| name.to_ascii().eq_ignore_ascii_case(ascii))
        .cloned()
}

pub(super) async fn within<T>(
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    within_for(&[], exchange).await
}

pub(super) async fn within_for<T>(
    names: &[DomainName],
    exchange: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    tokio::time::timeout(EXCHANGE, exchange)
        .await
        .map_err(|_| silent())?
        .map_err(|error| fault(&error, names))
}

pub(super) async fn within_patience<T>(
    names: &[DomainName],
    polling: impl Future<Output = Result<T, Error>>,
) -> Result<T, Fault> {
    tokio::time::timeout(PATIENCE + EXCHANGE, polling)
        .await
        .map_err(|_| silent())?
        .map_err(|error| fault(&error, names))
}

pub(super) fn silent() -> Fault {
    Fault::Issue(IssueError::Unavailable("it does not answer in time".into()))
}

/// Whose fault it is and what to say.
pub(super) fn fault(error: &Error, names: &[DomainName]) -> Fault {
    let issue = match error {
        Error::Api(problem) if is(problem, "accountDoesNotExist") => return Fault::AccountGone,
        // Said where the signature does not fit the account's key: another process has rolled it over.
        Error::Api(problem)
            if (is(problem, "malformed") || is(problem, "unauthorized"))
                && words(problem).contains("JWS verification") =>
        {
            return Fault::KeyChanged;
        }
        Error::Api(problem) if is(problem, "rateLimited") => {
            tracing::warn!(
                problem = words(problem),
                "the certificate authority asks us to wait"
            );
            IssueError::RateLimited {
                wait_seconds: RATE_LIMIT_SECONDS,
                account: words(problem).contains("account"),
            }
        }
        Error::Api(problem)
            if is(problem, "serverInternal")
                || problem.status.is_some_and(|status| status >= 500) =>
        {
            IssueError::Unavailable(words(problem))
        }
        Error::Api(problem) => {
            let refused: Vec<NameRefused> = problem
                .subproblems
                .iter()
                .filter_map(|sub| {
                    let name = name_of(names, sub.identifier.as_ref()?)?;
                    let why = sub
                        .detail
                        .clone()
                        .or_else(|| sub.r#type.clone())
                        .unwrap_or_default();
                    Some(NameRefused { name, why })
                })
                .collect();
            match names {
                _ if !refused.is_empty() => IssueError::Names(refused),
                // With one name in the order there is no doubt which one is meant.
                [name]
                    if [
                        "rejectedIdentifier",
                        "unsupportedIdentifier",
                        "caa",
                        "dns",
                        "unauthorized",
                    ]
                    .iter()
                    .any(|kind| is(problem, kind)) =>
                {
                    IssueError::Names(vec![NameRefused {
                        name: name.clone(),
                        why: words(problem),
                    }])
                }
                _ => IssueError::Refused(words(problem)),
            }
        }
        Error::Timeout(_) => IssueError::Unavailable("it takes longer than two minutes".into()),
        Error::Crypto | Error::KeyRejected => {
            IssueError::Refused(format!("our account key cannot be used: {error}"))
        }
        Error::Unsupported(_) => IssueError::Refused(error.to_string()),
        other => IssueError::Unavailable(causes(other)),
    };
    Fault::Issue(issue)
}

pub(super) fn is(problem: &Problem, kind: &str) -> bool {
    problem
        .r#type
        .as_deref()
        .and_then(|given| given.strip_prefix(PROBLEM))
        .is_some_and(|given| given == kind)
}

/// A problem document as a sentence.
pub(super) fn words(problem: &Problem) -> String {
    let kind = problem
        .r#type
        .as_deref()
        .map(|kind| kind.strip_prefix(PROBLEM).unwrap_or(kind));
    let mut text = problem.detail.clone().unwrap_or_default();
    match kind {
        Some(kind) if text.is_empty() => text.push_str(kind),
        Some(kind) => text.push_str(&format!(" ({kind})")),
        None if text.is_empty() => text.push_str("no reason given"),
        None => {}
    }
    for sub in &problem.subproblems {
        text.push_str(&format!("; {sub}"));
    }
    text
}

/// An error with its causes.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Error {
        Error::Api(serde_json::from_str(json).expect("problem document"))
    }

    fn said(json: &str) -> IssueError {
        let names =
            ["one.example", "two.example"].map(|name| DomainName::parse(name).expect("name"));
        match fault(&problem(json), &names) {
            Fault::Issue(error) => error,
            other => panic!("the account is not at fault: {other:?}"),
        }
    }

    #[test]
    fn the_problem_document_becomes_the_owners_text() {
        let error = said(
            r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"policy","status":403,"subproblems":[
                {"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"on a list","identifier":{"type":"dns","value":"two.example"}}]}"#,
        );
        assert_eq!(
            error,
            IssueError::Names(vec![NameRefused {
                name: DomainName::parse("two.example").expect("name"),
                why: "on a list".into()
            }])
        );
        let error = said(
            r#"{"type":"urn:ietf:params:acme:error:badCSR","detail":"the key is weak","status":400}"#,
        );
        assert_eq!(
            error.to_string(),
            "the certificate authority refused: the key is weak (badCSR)"
        );
    }

    #[test]
    fn acme_04_a_rate_limit_is_a_wait_and_a_server_error_is_unknown() {
        assert!(
            matches!(said(r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"slow down","status":429}"#), IssueError::RateLimited { wait_seconds, .. } if wait_seconds > 0)
        );
        assert!(matches!(
            said(r#"{"type":"urn:ietf:params:acme:error:serverInternal","status":500}"#),
            IssueError::Unavailable(_)
        ));
        assert!(
            matches!(said(r#"{"detail":"gateway","status":502}"#), IssueError::Unavailable(text) if text == "gateway")
        );
    }

    #[test]
    fn a_lost_account_is_made_anew() {
        assert!(matches!(
            fault(
                &problem(
                    r#"{"type":"urn:ietf:params:acme:error:accountDoesNotExist","status":400}"#
                ),
                &[]
            ),
            Fault::AccountGone
        ));
    }
}
