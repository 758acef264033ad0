//! Every address of the panel, built in one place: routes on one side, links on the other, and a test that they meet.
//!
//! Links name a domain by its DNS spelling; whatever is put into a path is percent-encoded here.

use std::fmt::Display;

use control::audit::AuditQuery;
pub(crate) use control::uri::escaped as encode;

/// The first page: where one stands.
pub(crate) const HOME: &str = "/";
/// Sign-up, domain first.
pub(crate) const SIGN_UP: &str = "/sign-up";
/// What is said about a domain while it is typed.
pub(crate) const SIGN_UP_HINT: &str = "/sign-up/hint";
/// Sign-in.
pub(crate) const SIGN_IN: &str = "/sign-in";
/// The second half of signing in.
pub(crate) const SIGN_IN_CODE: &str = "/sign-in/code";
/// Signing in with a passkey, alone or as the second half.
pub(crate) const SIGN_IN_PASSKEY: &str = "/sign-in/passkey";
/// What it is to sign.
pub(crate) const SIGN_IN_CHALLENGE: &str = "/sign-in/passkey/challenge";
/// Sign-out.
pub(crate) const SIGN_OUT: &str = "/sign-out";
/// Ends looking at a customer as its owner does.
pub(crate) const VIEW_END: &str = "/view-end";
/// The platform's first operator.
pub(crate) const SETUP: &str = "/setup";
/// What changed, for open pages.
pub(crate) const LIVE: &str = "/live";
/// A new domain.
pub(crate) const DOMAIN_NEW: &str = "/domains/new";
/// All domains that one may see.
pub(crate) const DOMAINS: &str = "/domains";
/// Operators of the tenant.
pub(crate) const TEAM: &str = "/team";
/// Invites somebody into the team.
pub(crate) const TEAM_INVITE: &str = "/team/invitations";
/// Where an invitation is taken.
pub(crate) const JOIN: &str = "/join";
/// What an invitation to an account leads to; the public door has it too.
pub(crate) const INVITED: &str = "/invite/{token}";
/// Where people ask for an account of an open domain; the public door has it too.
pub(crate) const ASK: &str = "/ask/{domain}";
/// Where people load what they have; the public door has it too.
pub(crate) const OWN_EXPORT: &str = "/export/{token}";
/// Where the link of a nightly mail leads.
pub(crate) const UNSUBSCRIBE: &str = "/unsubscribe/{link}";
/// What was done.
pub(crate) const AUDIT: &str = "/audit";
/// The same as a table.
pub(crate) const AUDIT_CSV: &str = "/audit.csv";
/// Webhooks of the tenant.
pub(crate) const WEBHOOKS: &str = "/webhooks";
/// API tokens.
pub(crate) const TOKENS: &str = "/tokens";
/// One's own password and logins.
pub(crate) const ME: &str = "/me";
/// Whether one is written to.
pub(crate) const ME_MAIL: &str = "/me/mail";
/// Sets up one's own second factor.
pub(crate) const FACTOR: &str = "/me/factor";
/// Shows that it works.
pub(crate) const FACTOR_CONFIRM: &str = "/me/factor/confirm";
/// Takes it away.
pub(crate) const FACTOR_REMOVE: &str = "/me/factor/remove";
/// Makes a passkey of one's own.
pub(crate) const PASSKEYS: &str = "/me/passkeys";
/// What a new one is to sign.
pub(crate) const PASSKEY_CHALLENGE: &str = "/me/passkeys/challenge";
/// Tenants, for operators of the platform.
pub(crate) const TENANTS: &str = "/tenants";
/// Certificate authorities and orders, for operators of the platform.
pub(crate) const CERTIFICATES: &str = "/certificates";
/// Plans, for operators of the platform.
pub(crate) const PLANS: &str = "/plans";
/// What customers use of what they may have.
pub(crate) const USAGE: &str = "/usage";
/// The same as a table.
pub(crate) const USAGE_CSV: &str = "/usage.csv";
/// Operators of the platform.
pub(crate) const OPERATORS: &str = "/operators";
/// Description of the JSON API.
pub(crate) const OPENAPI: &str = "/api/v1/openapi.json";

/// Route patterns of the pages about one domain.
pub(crate) mod route {
    pub(crate) const DOMAIN: &str = "/domains/{domain}";
    pub(crate) const CHECK: &str = "/domains/{domain}/check";
    pub(crate) const PUBLISH: &str = "/domains/{domain}/publish";
    pub(crate) const RECORDS: &str = "/domains/{domain}/records";
    pub(crate) const ZONE_FILE: &str = "/domains/{domain}/records.zone";
    pub(crate) const VERIFICATION: &str = "/domains/{domain}/verification";
    pub(crate) const MODE: &str = "/domains/{domain}/verification/mode";
    pub(crate) const IDENTITY: &str = "/domains/{domain}/identity";
    pub(crate) const ORDER: &str = "/domains/{domain}/identity/order";
    pub(crate) const KEY: &str = "/domains/{domain}/identity/key";
    pub(crate) const PEOPLE: &str = "/domains/{domain}/people";
    pub(crate) const IMPORT: &str = "/domains/{domain}/people/import";
    pub(crate) const PASSKEY_REMOVE: &str = "/me/passkeys/{id}/remove";
    pub(crate) const JOINING: &str = "/domains/{domain}/joining";
    pub(crate) const INVITES: &str = "/domains/{domain}/invites";
    pub(crate) const INVITE_REMOVE: &str = "/domains/{domain}/invites/{invite}/remove";
    pub(crate) const EXPORT: &str = "/domains/{domain}/people-export";
    pub(crate) const PERSON: &str = "/domains/{domain}/people/{local}";
    pub(crate) const PERSON_PASSWORD: &str = "/domains/{domain}/people/{local}/password";
    pub(crate) const PERSON_SUSPEND: &str = "/domains/{domain}/people/{local}/suspend";
    pub(crate) const PERSON_RESUME: &str = "/domains/{domain}/people/{local}/resume";
    pub(crate) const PERSON_REVOKE_CERTIFICATE: &str =
        "/domains/{domain}/people/{local}/revoke-certificate";
    pub(crate) const PERSON_SIGN_OUT: &str = "/domains/{domain}/people/{local}/sign-out";
    pub(crate) const PERSON_REMOVE: &str = "/domains/{domain}/people/{local}/remove";
    pub(crate) const DOMAIN_USAGE: &str = "/domains/{domain}/usage";
    pub(crate) const COMPONENTS: &str = "/domains/{domain}/components";
    pub(crate) const COMPONENT_GRANT: &str = "/domains/{domain}/components/grant";
    pub(crate) const COMPONENT_REMOVE: &str = "/domains/{domain}/components/remove";
    pub(crate) const KEPT: &str = "/domains/{domain}/kept";
    pub(crate) const REPORTS: &str = "/domains/{domain}/reports";
    pub(crate) const FEDERATION: &str = "/domains/{domain}/federation";
    pub(crate) const PEER: &str = "/domains/{domain}/federation/{peer}";
    pub(crate) const PIN: &str = "/domains/{domain}/pinned";
    pub(crate) const UNPIN: &str = "/domains/{domain}/pinned/remove";
    pub(crate) const SETTINGS: &str = "/domains/{domain}/settings";
    pub(crate) const OUTAGE: &str = "/domains/{domain}/outage";
    pub(crate) const CALLS: &str = "/domains/{domain}/calls";
    pub(crate) const SUSPEND: &str = "/domains/{domain}/suspend";
    pub(crate) const RESUME: &str = "/domains/{domain}/resume";
    pub(crate) const REMOVE: &str = "/domains/{domain}/remove";

    pub(crate) const FAILING: &str = "/failing/{code}";
    pub(crate) const TEAM_REMOVE: &str = "/team/{id}/remove";
    pub(crate) const TEAM_ROLE: &str = "/team/{id}/role";
    pub(crate) const TEAM_FACTOR: &str = "/team/{id}/factor";
    pub(crate) const TENANT_LADDER: &str = "/tenants/{id}/ladder";
    pub(crate) const TENANT_LADDER_END: &str = "/tenants/{id}/ladder/end";
    pub(crate) const TENANT_FACTOR: &str = "/tenants/{id}/factor";
    pub(crate) const UNINVITE: &str = "/team/invitations/{id}/remove";
    pub(crate) const WEBHOOK_TEST: &str = "/webhooks/{id}/test";
    pub(crate) const WEBHOOK_REMOVE: &str = "/webhooks/{id}/remove";
    pub(crate) const TOKEN_REMOVE: &str = "/tokens/{id}/remove";
    pub(crate) const LOGIN_END: &str = "/me/logins/{id}/end";
    pub(crate) const PLAN: &str = "/plans/{id}";
    pub(crate) const PLAN_REMOVE: &str = "/plans/{id}/remove";
    pub(crate) const TENANT: &str = "/tenants/{id}";
    pub(crate) const TENANT_TEAM: &str = "/tenants/{id}/team";
    pub(crate) const TENANT_LIMITS: &str = "/tenants/{id}/limits";
    pub(crate) const TENANT_SUSPEND: &str = "/tenants/{id}/suspend";
    pub(crate) const TENANT_VIEW: &str = "/tenants/{id}/view";
    pub(crate) const TENANT_RESUME: &str = "/tenants/{id}/resume";
    pub(crate) const TENANT_REMOVE: &str = "/tenants/{id}/remove";
}

/// Links of one domain.
#[derive(Debug, Clone)]
pub(crate) struct DomainUrls(String);

impl DomainUrls {
    /// For the domain in its DNS spelling.
    pub(crate) fn new(ascii: &str) -> Self {
        Self(fill(route::DOMAIN, &[ascii]))
    }

    pub(crate) fn home(&self) -> &str {
        &self.0
    }

    pub(crate) fn check(&self) -> String {
        self.under("check")
    }

    pub(crate) fn publish(&self) -> String {
        self.under("publish")
    }

    pub(crate) fn records(&self) -> String {
        self.under("records")
    }

    pub(crate) fn zone_file(&self) -> String {
        self.under("records.zone")
    }

    pub(crate) fn verification(&self) -> String {
        self.under("verification")
    }

    pub(crate) fn mode(&self) -> String {
        self.under("verification/mode")
    }

    pub(crate) fn identity(&self) -> String {
        self.under("identity")
    }

    pub(crate) fn order(&self) -> String {
        self.under("identity/order")
    }

    pub(crate) fn key(&self) -> String {
        self.under("identity/key")
    }

    pub(crate) fn people(&self) -> String {
        self.under("people")
    }

    pub(crate) fn people_after(&self, local: &str) -> String {
        format!("{}?after={}", self.people(), encode(local))
    }

    pub(crate) fn import(&self) -> String {
        self.under("people/import")
    }

    pub(crate) fn joining(&self) -> String {
        self.under("joining")
    }

    pub(crate) fn invites(&self) -> String {
        self.under("invites")
    }

    pub(crate) fn invite_remove(&self, invite: &i64) -> String {
        self.under(&format!("invites/{invite}/remove"))
    }

    pub(crate) fn person(&self, local: &str) -> String {
        format!("{}/people/{}", self.0, encode(local))
    }

    /// `password`, `suspend`, `resume`, `sign-out`, `revoke-certificate` or `remove`.
    pub(crate) fn person_do(&self, local: &str, what: &str) -> String {
        format!("{}/{what}", self.person(local))
    }

    pub(crate) fn usage(&self) -> String {
        self.under("usage")
    }

    pub(crate) fn components(&self) -> String {
        self.under("components")
    }

    pub(crate) fn component_grant(&self) -> String {
        self.under("components/grant")
    }

    pub(crate) fn component_remove(&self) -> String {
        self.under("components/remove")
    }

    pub(crate) fn kept(&self) -> String {
        self.under("kept")
    }

    pub(crate) fn kept_after(&self, local: &str) -> String {
        format!("{}?after={}", self.kept(), encode(local))
    }

    /// Where "take your data with you" leads.
    pub(crate) fn export(&self) -> String {
        self.under("people-export")
    }

    pub(crate) fn reports(&self) -> String {
        self.under("reports")
    }

    pub(crate) fn federation(&self) -> String {
        self.under("federation")
    }

    pub(crate) fn peer(&self, peer: &str) -> String {
        format!("{}/federation/{}", self.0, encode(peer))
    }

    pub(crate) fn pin(&self) -> String {
        self.under("pinned")
    }

    pub(crate) fn unpin(&self) -> String {
        self.under("pinned/remove")
    }

    pub(crate) fn settings(&self) -> String {
        self.under("settings")
    }

    pub(crate) fn outage(&self) -> String {
        self.under("outage")
    }

    pub(crate) fn calls(&self) -> String {
        self.under("calls")
    }

    pub(crate) fn suspend(&self) -> String {
        self.under("suspend")
    }

    pub(crate) fn resume(&self) -> String {
        self.under("resume")
    }

    pub(crate) fn remove(&self) -> String {
        self.under("remove")
    }

    fn under(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

/// A route pattern with its parameters filled in, in order.
pub(crate) fn fill(pattern: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str(&encode(values.next().copied().unwrap_or_default()));
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// `/tenants/{id}`.
pub(crate) fn tenant(id: impl Display) -> String {
    fill(route::TENANT, &[&id.to_string()])
}

/// `/plans/{id}`.
pub(crate) fn plan(id: impl Display) -> String {
    fill(route::PLAN, &[&id.to_string()])
}

/// Removes a plan.
pub(crate) fn plan_remove(id: impl Display) -> String {
    fill(route::PLAN_REMOVE, &[&id.to_string()])
}

/// What everybody uses, or one tenant.
pub(crate) fn usage(path: &str, tenant: Option<i64>) -> String {
    tenant.map_or_else(|| path.to_owned(), |id| format!("{path}?tenant={id}"))
}

/// `team`, `limits`, `view`, `suspend`, `resume` or `remove` of a tenant.
pub(crate) fn tenant_do(id: impl Display, what: &str) -> String {
    format!("{}/{what}", tenant(id))
}

/// Removes an operator from the team.
pub(crate) fn team_remove(id: impl Display) -> String {
    fill(route::TEAM_REMOVE, &[&id.to_string()])
}

/// Gives an operator of the team another role.
pub(crate) fn team_role(id: impl Display) -> String {
    fill(route::TEAM_ROLE, &[&id.to_string()])
}

/// Takes a colleague's second factor away.
pub(crate) fn team_factor(id: impl Display) -> String {
    fill(route::TEAM_FACTOR, &[&id.to_string()])
}

/// Takes an invitation back.
pub(crate) fn uninvite(id: impl Display) -> String {
    fill(route::UNINVITE, &[&id.to_string()])
}

/// The link of an invitation.
pub(crate) fn join(public_url: &str, secret: &str) -> String {
    format!("{public_url}{JOIN}?invitation={}", encode(secret))
}

/// `test` or `remove` of a webhook.
pub(crate) fn webhook_do(id: impl Display, what: &str) -> String {
    format!("{WEBHOOKS}/{id}/{what}")
}

/// Ends an API token.
pub(crate) fn token_remove(id: impl Display) -> String {
    fill(route::TOKEN_REMOVE, &[&id.to_string()])
}

/// The page of an invitation.
pub(crate) fn invited(token: &str) -> String {
    fill(INVITED, &[token])
}

/// The page on which an account of the domain is asked for.
pub(crate) fn ask(ascii: &str) -> String {
    fill(ASK, &[ascii])
}

/// The page from which people load what they have.
pub(crate) fn own_export(token: &str) -> String {
    fill(OWN_EXPORT, &[token])
}

/// The page that ends somebody's mail.
pub(crate) fn unsubscribe(link: &str) -> String {
    fill(UNSUBSCRIBE, &[link])
}

/// Takes a passkey away.
pub(crate) fn passkey_remove(id: impl Display) -> String {
    fill(route::PASSKEY_REMOVE, &[&id.to_string()])
}

/// Ends a login.
pub(crate) fn login_end(id: impl Display) -> String {
    fill(route::LOGIN_END, &[&id.to_string()])
}

/// Chosen entries of the audit log, all of them or those before an id.
pub(crate) fn audit_page(path: &str, query: &AuditQuery, before: Option<i64>) -> String {
    let before = before.or(query.before).map(|id| id.to_string());
    let pairs = [
        ("domain", query.domain.as_str()),
        ("operation", &query.operation),
        ("actor", &query.actor),
        ("since", &query.since),
        ("until", &query.until),
        ("before", before.as_deref().unwrap_or_default()),
    ];
    let mut link = path.to_owned();
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        link.push(if link.contains('?') { '&' } else { '?' });
        link.push_str(&format!("{name}={}", encode(value)));
    }
    link
}

/// Sign-in that leads back to where somebody wanted to go.
pub(crate) fn sign_in_then(path: &str) -> String {
    if path == HOME || local_path(path).is_none() {
        SIGN_IN.to_owned()
    } else {
        format!("{SIGN_IN}?next={}", encode(path))
    }
}

/// A page of the list at `path`.
pub(crate) fn page_of(path: &str, search: &str, from: impl Display) -> String {
    format!("{path}?search={}&from={from}", encode(search))
}

/// Domains for which the check of this code fails.
pub(crate) fn failing(code: &str) -> String {
    fill(route::FAILING, &[code])
}

/// What moved at `path`, by `hour` or `day`.
pub(crate) fn with_step(path: &str, step: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}step={step}")
}

/// `path` if it stays on this site: a redirect never leads elsewhere.
pub(crate) fn local_path(path: &str) -> Option<&str> {
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n', '\t'])
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    plain.then_some(path)
}

/// `path` with the word of a notice that the next page shows.
pub(crate) fn with_notice(path: &str, word: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}done={word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_path_cannot_leave_it() {
        assert_eq!(encode("a/b?c#d%e\"f g"), "a%2Fb%3Fc%23d%25e%22f%20g");
        assert_eq!(encode("zoë"), "zo%C3%AB");
        assert_eq!(
            DomainUrls::new("xn--mnchen-3ya.example").person("a/b"),
            "/domains/xn--mnchen-3ya.example/people/a%2Fb"
        );
        assert_eq!(fill("/x/{a}/y/{b}/z", &["1", "2"]), "/x/1/y/2/z");
    }

    #[test]
    fn a_redirect_stays_here() {
        for good in ["/", "/domains/one.example", "/audit?before=3"] {
            assert_eq!(local_path(good), Some(good));
        }
        for bad in [
            "",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x",
            "javascript:alert(1)",
            "/\t/evil.example",
        ] {
            assert_eq!(local_path(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn links_meet_their_routes() {
        let urls = DomainUrls::new("one.example");
        let pairs = [
            (route::CHECK, urls.check()),
            (route::PUBLISH, urls.publish()),
            (route::RECORDS, urls.records()),
            (route::ZONE_FILE, urls.zone_file()),
            (route::VERIFICATION, urls.verification()),
            (route::MODE, urls.mode()),
            (route::IDENTITY, urls.identity()),
            (route::ORDER, urls.order()),
            (route::KEY, urls.key()),
            (route::PEOPLE, urls.people()),
            (route::IMPORT, urls.import()),
            (route::JOINING, urls.joining()),
            (route::INVITES, urls.invites()),
            (route::DOMAIN_USAGE, urls.usage()),
            (route::COMPONENTS, urls.components()),
            (route::COMPONENT_GRANT, urls.component_grant()),
            (route::COMPONENT_REMOVE, urls.component_remove()),
            (route::KEPT, urls.kept()),
            (route::EXPORT, urls.export()),
            (route::OUTAGE, urls.outage()),
            (route::CALLS, urls.calls()),
            (route::REPORTS, urls.reports()),
            (route::FEDERATION, urls.federation()),
            (route::PIN, urls.pin()),
            (route::UNPIN, urls.unpin()),
            (route::SETTINGS, urls.settings()),
            (route::SUSPEND, urls.suspend()),
            (route::RESUME, urls.resume()),
            (route::REMOVE, urls.remove()),
        ];
        for (pattern, link) in pairs {
            assert_eq!(fill(pattern, &["one.example"]), link);
        }
        for (pattern, what) in [
            (route::PERSON_PASSWORD, "password"),
            (route::PERSON_SUSPEND, "suspend"),
            (route::PERSON_RESUME, "resume"),
            (route::PERSON_REVOKE_CERTIFICATE, "revoke-certificate"),
            (route::PERSON_SIGN_OUT, "sign-out"),
            (route::PERSON_REMOVE, "remove"),
        ] {
            assert_eq!(
                fill(pattern, &["one.example", "a b"]),
                urls.person_do("a b", what)
            );
        }
        for (pattern, what) in [
            (route::TENANT_TEAM, "team"),
            (route::TENANT_LIMITS, "limits"),
            (route::TENANT_SUSPEND, "suspend"),
            (route::TENANT_VIEW, "view"),
            (route::TENANT_RESUME, "resume"),
            (route::TENANT_REMOVE, "remove"),
        ] {
            assert_eq!(fill(pattern, &["7"]), tenant_do(7, what));
        }
        assert_eq!(
            fill(route::PEER, &["one.example", "two.example"]),
            urls.peer("two.example")
        );
        assert_eq!(fill(route::PERSON, &["one.example", "a"]), urls.person("a"));
    }
}
