//! Every operation by every way there is, by form and by the API: what the tests of what must not happen go through.

mod domains;
mod people;
mod tenants;

use axum::http::{Method, StatusCode};
use control::Operation as Op;
use serde_json::{Value, json};

use super::world::{House, Person};

/// One way to do an operation: by form (`/…`) or by the API (`/api/…`). `{D}` is the domain, `{T}` its tenant.
pub(super) type Way = (Op, Method, &'static str, fn() -> Option<Value>);

fn none() -> Option<Value> {
    None
}

fn empty() -> Option<Value> {
    Some(json!({}))
}

/// Every operation that names an object or a role can refuse. The list is compared with `Operation::ALL` in the tests.
pub(super) fn ways() -> Vec<Way> {
    let mut all = tenants::of_a_tenant();
    all.extend(domains::of_a_domain());
    all.extend(people::at_a_domain());
    all
}

/// Done on no object of a tenant: only the role decides, or nothing does.
pub(super) fn ways_without_object() -> Vec<Way> {
    tenants::without_object()
}

/// Goes that way as this person, to this domain of this tenant.
pub(super) async fn go(
    house: &House,
    way: &Way,
    person: &Person,
    domain: &str,
    tenant: i64,
) -> StatusCode {
    let (_, method, path, body) = way;
    let put_in = |text: &str| {
        text.replace("{D}", domain)
            .replace("{T}", &tenant.to_string())
    };
    let path = put_in(path);
    let body = body().map(|body| put_in(&body.to_string()));
    if path.starts_with("/api/") || *method == Method::GET {
        let body = body.map(|body| serde_json::from_str(&body).unwrap());
        return house.api(method.clone(), &path, person, body).await.status;
    }
    let fields: Value = serde_json::from_str(&body.unwrap_or("{}".into())).unwrap();
    let fields: Vec<_> = fields
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    house.post(&path, person, &fields).await.status
}
