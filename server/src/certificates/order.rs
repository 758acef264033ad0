//! One order, from the request to the chain.

use control::outside::{
    ChallengeSolver, IssueError, IssueRequest, Issued, Method, NameRefused, PendingOrder, Response,
};
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, Problem,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use xmpp::jid::DomainName;

use super::faults::{
    EXCHANGE, Fault, PATIENCE, fault, is, name_of, policy, silent, within, within_for,
    within_patience, words,
};
use super::http::DNS_PERSIST;
use super::request::request_for;
use super::{Authority, leaf_of};

impl Authority {
    pub(super) async fn attempt(
        &self,
        request: &IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, Fault> {
        let account = self.account().await?;
        if let Some(pending) = &request.resume
            && let Some(issued) = self.resume(&account, pending).await?
        {
            return Ok(issued);
        }
        let (mut order, announced) = self.open(&account, request).await?;
        let mut shown = Vec::new();
        let proved = self.prove(&mut order, request, desk, &mut shown).await;
        for (name, response) in &shown {
            desk.withdraw(name, response).await;
        }
        self.keep_offers().await;
        if proved.is_err() {
            give_back(&mut order).await;
        }
        proved?;

        let (key_pem, csr_der) = request_for(request)?;
        desk.remember(PendingOrder {
            authority: self.settings.directory.clone(),
            url: order.url().to_owned(),
            key_pem: key_pem.clone(),
            csr_der: csr_der.clone(),
        })
        .await?;
        within_for(&request.names, order.finalize_csr(&csr_der)).await?;
        let chain_pem = self.chain(&account, &mut order, &request.names).await?;
        Ok(Issued {
            authority: self.settings.directory.clone(),
            announced,
            chain_pem,
            key_pem,
        })
    }

    /// Opens the order; with it, whether the authority took it as the renewal that it had announced.
    async fn open(
        &self,
        account: &Account,
        request: &IssueRequest,
    ) -> Result<(Order, bool), Fault> {
        let identifiers: Vec<Identifier> = request
            .names
            .iter()
            .map(|name| Identifier::Dns(name.to_ascii().into_owned()))
            .collect();
        let mut new = NewOrder::new(&identifiers);
        if let Some(profile) = &self.settings.profile {
            if !account.profiles().any(|offered| offered.name == profile) {
                let offered: Vec<&str> = account.profiles().map(|offered| offered.name).collect();
                let offered = if offered.is_empty() {
                    "none".to_owned()
                } else {
                    offered.join(", ")
                };
                return Err(IssueError::Refused(format!(
                    "the profile \"{profile}\" (acme.profile) is not offered; offered: {offered}"
                ))
                .into());
            }
            new = new.profile(profile);
        }
        let former = request.replaces.as_deref().and_then(leaf_of);
        let replaces = former
            .as_ref()
            .and_then(|leaf| CertificateIdentifier::try_from(leaf).ok());
        if let Some(replaces) = replaces {
            let replacing = NewOrder::new(&identifiers).replaces(replaces);
            let replacing = match &self.settings.profile {
                Some(profile) => replacing.profile(profile),
                None => replacing,
            };
            match tokio::time::timeout(EXCHANGE, account.new_order(&replacing))
                .await
                .map_err(|_| silent())?
            {
                Ok(order) => return Ok((order, true)),
                // Replaced already (RFC 9773 5), or not known there any more: then it is an order like any other.
                Err(Error::Api(problem))
                    if is(&problem, "alreadyReplaced")
                        || is(&problem, "malformed")
                        || is(&problem, "conflict") =>
                {
                    tracing::info!(
                        problem = words(&problem),
                        "a renewal is ordered as if it were new"
                    );
                }
                Err(Error::Unsupported(_)) => {}
                Err(error) => return Err(fault(&error, &request.names)),
            }
        }
        Ok((
            within_for(&request.names, account.new_order(&new)).await?,
            false,
        ))
    }

    /// Shows every challenge, has the authority look, and waits until the order is ready.
    async fn prove(
        &self,
        order: &mut Order,
        request: &IssueRequest,
        desk: &dyn ChallengeSolver,
        shown: &mut Vec<(DomainName, Response)>,
    ) -> Result<(), Fault> {
        let names = &request.names;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = tokio::time::timeout(EXCHANGE, authorizations.next())
            .await
            .map_err(|_| silent())?
        {
            let mut authorization = authorization.map_err(|error| fault(&error, names))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(name) = name_of(names, authorization.identifier().identifier) else {
                return Err(IssueError::Refused(
                    "the certificate authority wants a name proven that was not asked for".into(),
                )
                .into());
            };
            let method = request.method(&name);
            let Some(challenge) = authorization.challenge(kind(method)) else {
                return Err(IssueError::Names(vec![NameRefused {
                    name,
                    why: format!(
                        "the certificate authority does not offer the challenge {}",
                        method.as_str()
                    ),
                }])
                .into());
            };
            let authorized = challenge.key_authorization();
            let response = match method {
                Method::Dns => Response::Dns {
                    value: authorized.dns_value(),
                },
                Method::Http => Response::Http {
                    token: challenge.token.clone(),
                    key_authorization: authorized.as_str().to_owned(),
                },
                // The owner's record stands already.
                Method::DnsPersist => continue,
            };
            shown.push((name.clone(), response.clone()));
            desk.present(&name, &response).await?;
        }
        let mut authorizations = order.authorizations();
        while let Some(authorization) = tokio::time::timeout(EXCHANGE, authorizations.next())
            .await
            .map_err(|_| silent())?
        {
            let mut authorization = authorization.map_err(|error| fault(&error, names))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = name_of(names, authorization.identifier().identifier);
            let method = name.map_or(Method::Dns, |name| request.method(&name));
            if let Some(mut challenge) = authorization.challenge(kind(method)) {
                within_for(names, challenge.set_ready()).await?;
            }
        }
        match tokio::time::timeout(PATIENCE + EXCHANGE, order.poll_ready(&policy()))
            .await
            .map_err(|_| silent())?
        {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(_) => Err(IssueError::Names(refusals(order, names, None).await).into()),
            Err(Error::Api(problem)) => {
                Err(IssueError::Names(refusals(order, names, Some(&problem)).await).into())
            }
            Err(error) => Err(fault(&error, names)),
        }
    }

    /// Goes on with an order from before a crash; `None` if the authority has dropped it or nothing was proven yet.
    async fn resume(
        &self,
        account: &Account,
        pending: &PendingOrder,
    ) -> Result<Option<Issued>, Fault> {
        let mut order = match tokio::time::timeout(EXCHANGE, account.order(pending.url.clone()))
            .await
            .map_err(|_| silent())?
        {
            Ok(order) => order,
            Err(Error::Api(problem)) if is(&problem, "accountDoesNotExist") => {
                return Err(Fault::AccountGone);
            }
            Err(Error::Api(problem)) if problem.status.is_none_or(|status| status < 500) => {
                return Ok(None);
            }
            // COMPAT: Pebble says "404" to an unknown order without a problem document.
            Err(Error::Json(_)) => return Ok(None),
            Err(error) => return Err(fault(&error, &[])),
        };
        match order.state().status {
            OrderStatus::Pending | OrderStatus::Invalid => return Ok(None),
            OrderStatus::Ready => within(order.finalize_csr(&pending.csr_der)).await?,
            OrderStatus::Processing | OrderStatus::Valid => {}
        }
        let chain_pem = self.chain(account, &mut order, &[]).await?;
        tracing::info!(order = pending.url, "resumed an order");
        Ok(Some(Issued {
            authority: self.settings.directory.clone(),
            announced: false,
            chain_pem,
            key_pem: pending.key_pem.clone(),
        }))
    }

    /// The chain that the operator wants of those that the authority has (RFC 8555 7.4.2); its own choice where none fits.
    async fn chain(
        &self,
        account: &Account,
        order: &mut Order,
        names: &[DomainName],
    ) -> Result<String, Fault> {
        let first = within_patience(names, order.poll_certificate(&policy())).await?;
        let url = order.state().certificate.clone();
        let heard = url.and_then(|url| self.overheard.chain(&url));
        let (Some(wanted), Some((_, others))) = (&self.settings.chain, heard) else {
            return Ok(first);
        };
        if ends_at(&first, wanted) {
            return Ok(first);
        }
        for other in others.into_iter().take(ALTERNATES) {
            // The library fetches orders only. What it makes of a chain is no order; the chain itself was heard.
            let _ = tokio::time::timeout(EXCHANGE, account.order(other.clone())).await;
            if let Some((chain, _)) = self.overheard.chain(&other)
                && ends_at(&chain, wanted)
            {
                return Ok(chain);
            }
        }
        tracing::warn!(
            wanted,
            "the certificate authority has no such chain; its own choice is used"
        );
        Ok(first)
    }
}

/// Other chains of one certificate that are looked at.
const ALTERNATES: usize = 8;

/// Does the last certificate of the chain name this issuer (its common name or organisation holds the text)?
fn ends_at(chain_pem: &str, wanted: &str) -> bool {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let last = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).last();
    let Some(Ok(last)) = last else {
        return false;
    };
    X509Certificate::from_der(&last).is_ok_and(|(_, parsed)| {
        let issuer = parsed.issuer();
        issuer
            .iter_common_name()
            .chain(issuer.iter_organization())
            .filter_map(|value| value.as_str().ok())
            .any(|value| value.contains(wanted))
    })
}

fn kind(method: Method) -> ChallengeType {
    match method {
        Method::Dns => ChallengeType::Dns01,
        Method::Http => ChallengeType::Http01,
        Method::DnsPersist => ChallengeType::Unknown(DNS_PERSIST.into()),
    }
}

/// Authorizations of a lost order are given back: authorities count those that stay open.
async fn give_back(order: &mut Order) {
    let mut authorizations = order.authorizations();
    while let Ok(Some(Ok(mut authorization))) =
        tokio::time::timeout(EXCHANGE, authorizations.next()).await
    {
        if authorization.status == AuthorizationStatus::Pending
            && !matches!(
                tokio::time::timeout(EXCHANGE, authorization.deactivate()).await,
                Ok(Ok(_))
            )
        {
            return;
        }
    }
}

/// What the authority found at each name.
async fn refusals(
    order: &mut Order,
    names: &[DomainName],
    whole: Option<&Problem>,
) -> Vec<NameRefused> {
    let mut refused = Vec::new();
    // The authorizations must be read again: what we hold is from before the authority looked.
    if let Ok(Ok(_)) = tokio::time::timeout(EXCHANGE, order.refresh()).await {
        let mut authorizations = order.authorizations();
        while let Ok(Some(Ok(authorization))) =
            tokio::time::timeout(EXCHANGE, authorizations.next()).await
        {
            let Some(name) = name_of(names, authorization.identifier().identifier) else {
                continue;
            };
            let why = authorization
                .challenges
                .iter()
                .find_map(|challenge| challenge.error.as_ref())
                .map(words);
            if let Some(why) = why.or_else(|| {
                (authorization.status == AuthorizationStatus::Invalid)
                    .then(|| "the certificate authority did not say why".into())
            }) {
                refused.push(NameRefused { name, why });
            }
        }
    }
    if refused.is_empty() {
        let why = whole.map_or_else(|| "the certificate authority did not say why".into(), words);
        refused.extend(names.iter().map(|name| NameRefused {
            name: name.clone(),
            why: why.clone(),
        }));
    }
    refused
}
