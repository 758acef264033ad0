//! What every code of an attempt means: where on the way it belongs, whose side it is, why, and what to do.
//!
//! `{peer}` and `{domain}` stand for the names. Codes come from `dna` (refusals of the judge) and from federation.

use super::Side;

/// Where on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Dns,
    Connect,
    Tls,
    Identity,
    SignIn,
}

/// What a code means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    pub(super) place: Place,
    pub(super) side: Side,
    pub(super) why: &'static str,
    pub(super) fix: &'static str,
}

type Row = (&'static str, Place, Side, &'static str, &'static str);

use Place::{Connect, Dns, Identity, SignIn, Tls};
use Side::{Network, Ours, Policy, Theirs};

/// Every code that is known.
pub(super) const MEANINGS: &[Row] = &[
    (
        "peer-blocked",
        Dns,
        Policy,
        "{peer} is on the list of servers that {domain} never talks to.",
        "Take it off the list in the settings of {domain} if you want to hear from it.",
    ),
    (
        "peer-not-allowed",
        Dns,
        Policy,
        "{domain} talks only to the servers on its list, and {peer} is not on it.",
        "Add it to the list in the settings of {domain}.",
    ),
    (
        "dns-nowhere",
        Dns,
        Side::Dns,
        "The DNS does not say where chat for {peer} is served.",
        "Check the spelling; otherwise ask the owner of {peer} to publish SRV records (_xmpp-server._tcp.{peer}).",
    ),
    (
        "dns-unanswered",
        Dns,
        Side::Dns,
        "The name servers of {peer} do not answer, so nobody knows where it is served.",
        "It is tried again by itself; if it stays so, ask the owner of {peer} to look at the name servers of the zone.",
    ),
    (
        "delegation-bogus",
        Dns,
        Side::Dns,
        "The DNS says where {peer} is served, but the signatures of that answer are wrong: somebody lies, or its zone is broken.",
        "Ask the owner of {peer} to repair the DNSSEC of the zone, or its DS record at the registrar.",
    ),
    (
        "dns-no-address",
        Dns,
        Side::Dns,
        "The DNS names a server for {peer}, and that name has no address.",
        "Ask the owner of {peer} to publish A or AAAA records for the host that the SRV record names.",
    ),
    (
        "address-private",
        Dns,
        Side::Dns,
        "The DNS of {peer} leads to an address inside a private network, where we do not connect.",
        "Ask the owner of {peer} to publish a public address.",
    ),
    (
        "unreachable",
        Connect,
        Network,
        "Nobody answers at the address of {peer}.",
        "It is tried again by itself; if it stays so, ask its operator whether the server runs and its firewall lets port 5269 through.",
    ),
    (
        "connection-lost",
        SignIn,
        Network,
        "The connection to {peer} broke off before it could be used.",
        "It is tried again by itself; nothing to do unless it happens often.",
    ),
    (
        "tls-failed",
        Tls,
        Theirs,
        "{peer} was reached, but no encryption could be agreed on.",
        "Ask its operator to offer TLS 1.2 or 1.3 with a current cipher.",
    ),
    (
        "tls-required",
        Tls,
        Theirs,
        "{peer} talks without encryption only, and nothing leaves {domain} in the clear.",
        "Ask its operator to switch TLS on.",
    ),
    (
        "certificate-missing",
        Identity,
        Theirs,
        "{peer} showed no certificate.",
        "Ask its operator to present the certificate of {peer} when it connects.",
    ),
    (
        "certificate-unreadable",
        Identity,
        Theirs,
        "{peer} showed a certificate that cannot be read.",
        "Ask its operator to replace it.",
    ),
    (
        "certificate-expired",
        Identity,
        Theirs,
        "The certificate of {peer} has expired.",
        "Ask its operator to renew it and to reload the server.",
    ),
    (
        "certificate-not-yet-valid",
        Identity,
        Theirs,
        "The certificate of {peer} is not valid yet.",
        "Ask its operator to check the server's clock and the date of the certificate.",
    ),
    (
        "certificate-self-signed",
        Identity,
        Theirs,
        "{peer} showed a certificate that it signed itself, which proves nothing to strangers.",
        "Ask its operator for a certificate from a public authority; if you know the server, pin its certificate here instead.",
    ),
    (
        "certificate-not-pinned",
        Identity,
        Theirs,
        "You pinned an authority for {peer}, and the certificate it showed was issued by another.",
        "Compare with its operator; if they changed authority, pin the new one, otherwise somebody stands between.",
    ),
    (
        "certificate-issuer-unknown",
        Identity,
        Theirs,
        "The certificate of {peer} comes from an authority that is not publicly known, or a link of its chain is missing.",
        "Ask its operator to send the whole chain (fullchain.pem), or pin their authority here.",
    ),
    (
        "certificate-client-only",
        Identity,
        Theirs,
        "The certificate of {peer} is limited to clients, so it cannot stand for a server.",
        "Ask its operator for a certificate with serverAuth, as public authorities issue them.",
    ),
    (
        "certificate-other-use",
        Identity,
        Theirs,
        "The certificate of {peer} is made for another use than a server.",
        "Ask its operator for a certificate with serverAuth.",
    ),
    (
        "certificate-revoked",
        Identity,
        Theirs,
        "The certificate of {peer} has been revoked by its authority.",
        "Ask its operator to replace certificate and key; do not trust the old one.",
    ),
    (
        "certificate-issuer-may-not-sign",
        Identity,
        Theirs,
        "The certificate of {peer} was signed by one that may not sign others.",
        "Ask its operator for a certificate from a public authority.",
    ),
    (
        "certificate-weak",
        Identity,
        Theirs,
        "The certificate of {peer} uses a key or signature too weak to be believed.",
        "Ask its operator for one with ECDSA P-256 or RSA 2048 and SHA-256.",
    ),
    (
        "certificate-invalid",
        Identity,
        Theirs,
        "The certificate of {peer} does not hold.",
        "Show its operator the exact words under \"Proofs\".",
    ),
    (
        "certificate-name-mismatch",
        Identity,
        Theirs,
        "{peer} showed a good certificate for another name.",
        "Ask its operator to serve a certificate that names {peer} itself.",
    ),
    (
        "staple-missing",
        Identity,
        Theirs,
        "The certificate of {peer} demands a fresh word of its authority (OCSP stapling), and none came.",
        "Ask its operator to switch OCSP stapling on, or to renew without must-staple.",
    ),
    (
        "certificate-profile",
        Identity,
        Theirs,
        "The certificate of {peer} holds, but it or one above it lacks what this service asks of certificates.",
        "Show its operator the exact words under \"Proofs\"; an authority that keeps the profile of RFC 6120 has to issue it.",
    ),
    (
        "proof-too-weak",
        Identity,
        Policy,
        "{peer} could only be looked up, and {domain} asks for proof.",
        "Choose \"Encrypted\" in the settings of {domain} to talk to it all the same, or ask its operator for a certificate.",
    ),
    (
        "not-proven",
        Identity,
        Theirs,
        "{peer} did not prove who it is.",
        "Ask its operator for a certificate that names {peer} and comes from a public authority.",
    ),
    (
        "no-common-proof",
        SignIn,
        Theirs,
        "{peer} offers no way of signing in that both sides know.",
        "Ask its operator to offer SASL EXTERNAL or server dialback.",
    ),
    (
        "peer-rejects-serverauth-cert",
        SignIn,
        Theirs,
        "{peer} refuses our certificate because it is not marked for clients. Public authorities stopped issuing such marks in 2026.",
        "Ask its operator to update the server, or to allow dialback meanwhile.",
    ),
    (
        "dialback-invalid",
        SignIn,
        Ours,
        "{peer} asked back about us, and what it asked said that it was not us.",
        "Check that the SRV records of {domain} point to this service and to no other; the checks of {domain} show it.",
    ),
    (
        "dialback-unverified",
        SignIn,
        Ours,
        "{peer} could not ask back about us: it did not get through to where the DNS of {domain} says we are.",
        "Check that the server records of {domain} are published; the checks of {domain} show it.",
    ),
    (
        "dialback-authority-silent",
        SignIn,
        Theirs,
        "{peer} called and said who it is, and the server that its DNS names was asked about that and had not answered when the call ended.",
        "Ask its operator whether the SRV records of {peer} point at a server that runs and can be reached from here.",
    ),
    (
        "dialback-refused",
        SignIn,
        Theirs,
        "{peer} said who it is, and the server that its DNS names did not confirm it.",
        "Ask its operator whether the SRV records of {peer} point at the server that called us.",
    ),
    (
        "peer-closed-with-error",
        SignIn,
        Theirs,
        "{peer} ended the conversation and said why.",
        "Its own words stand under \"They said\"; show them to its operator.",
    ),
    (
        "peer-closed",
        SignIn,
        Theirs,
        "{peer} hung up without a word before anything could be sent.",
        "Ask its operator what the server's log says about {domain} at that time.",
    ),
    (
        "stream-keeps-ending",
        SignIn,
        Theirs,
        "{peer} accepts us and then hangs up before it has taken what is sent, again and again.",
        "Ask its operator what the server's log says about {domain}.",
    ),
    (
        "host-unknown",
        SignIn,
        Theirs,
        "The server that answers for {peer} says it does not host it.",
        "Ask the owner of {peer} whether its SRV records point at the right server.",
    ),
    (
        "tlsa-mismatch",
        Identity,
        Theirs,
        "The signed DNS of {peer} announces a certificate (TLSA), and another one was shown.",
        "Ask its operator to bring the TLSA records and the certificate together; each renewal must change both.",
    ),
    (
        "tlsa-no-certificate",
        Identity,
        Theirs,
        "The signed DNS of {peer} announces a certificate (TLSA), and none was shown.",
        "Ask its operator to present the certificate that the TLSA records describe.",
    ),
    (
        "tlsa-bogus",
        Identity,
        Side::Dns,
        "The DNS announces a certificate for {peer} (TLSA), but the signatures of that answer are wrong.",
        "Ask the owner of the host's zone to repair its DNSSEC; until then we do not connect there.",
    ),
    (
        "tlsa-unknown",
        Identity,
        Side::Dns,
        "Whether the signed DNS announces a certificate for {peer} (TLSA) could not be found out, and then nothing may be trusted.",
        "It is tried again by itself; if it stays so, ask the owner of the host's zone to look at its name servers.",
    ),
    (
        "posh-mismatch",
        Identity,
        Theirs,
        "The website of {peer} announces a certificate (POSH), and another one was shown.",
        "Ask its operator to bring the file https://{peer}/.well-known/posh/xmpp-server.json and the certificate together.",
    ),
    (
        "posh-stale",
        Identity,
        Theirs,
        "What the website of {peer} announced about its certificate (POSH) is out of date.",
        "It is fetched again by itself.",
    ),
    (
        "posh-malformed",
        Identity,
        Theirs,
        "The website of {peer} has a file about its certificate (POSH) that cannot be understood.",
        "Ask its operator to repair the file https://{peer}/.well-known/posh/xmpp-server.json.",
    ),
    (
        "posh-https-certificate",
        Identity,
        Theirs,
        "The website of {peer} cannot vouch for its chat server: its own HTTPS certificate does not hold.",
        "Ask the owner of the website to renew its certificate.",
    ),
    (
        "ended-shut-out",
        SignIn,
        Policy,
        "{domain} was in contact with {peer} until its lists of servers were changed; now they rule {peer} out.",
        "Change the lists in the settings of {domain} back if that was not meant.",
    ),
    (
        "too-many-peers",
        SignIn,
        Policy,
        "{peer} proved who it is, and {domain} talks with as many other servers as your plan allows at a time.",
        "Wait until others are no longer talked to, or ask the operator of this service for a larger plan.",
    ),
    (
        "ended-policy",
        SignIn,
        Policy,
        "{domain} was in contact with {peer} until it began to ask for more proof than {peer} had given.",
        "Nothing if that was meant: {peer} may come back with a certificate that proves it. Otherwise change the policy of {domain} back.",
    ),
    (
        "ended-pin",
        SignIn,
        Policy,
        "{domain} was in contact with {peer} until what you pinned for it was changed; what {peer} had shown counts no longer.",
        "Nothing if that was meant. Otherwise pin what {peer} really uses, or take the pin away.",
    ),
    (
        "ended-proof",
        SignIn,
        Theirs,
        "{domain} was in contact with {peer} until its proof ran out; looked at anew, nothing proved it.",
        "It is tried again with the next message; if that does not succeed, the attempt after this one says what {peer} has to mend.",
    ),
    (
        "ended-dialback",
        SignIn,
        Side::Nobody,
        "{domain} was in contact with {peer} for as long as what asking back (dialback) gives is believed.",
        "Nothing: it is asked back anew with the next message.",
    ),
    (
        "ended-revoked",
        SignIn,
        Theirs,
        "{domain} was in contact with {peer} until the authority of {peer} revoked its certificate.",
        "Ask its operator to replace certificate and key, and be careful with what came from there lately.",
    ),
    (
        "further-pair-refused",
        SignIn,
        Theirs,
        "{peer} took the connection for another domain of this service, but not for {domain}.",
        "Ask its operator what the server's log says about {domain}; a connection of its own is tried next.",
    ),
];

/// What a code means; an unknown one by its first word, then by whose fault it says it is.
pub(super) fn meaning(code: &str, fault: &str) -> Meaning {
    let of = |(_, place, side, why, fix): &Row| Meaning {
        place: *place,
        side: *side,
        why,
        fix,
    };
    if let Some(row) = MEANINGS.iter().find(|row| row.0 == code) {
        return of(row);
    }
    let word = code.split('-').next().unwrap_or_default();
    let (place, why, fix) = match word {
        "tlsa" | "dane" => (
            Identity,
            "The certificate of {peer} is not the one that its signed DNS announces (TLSA).",
            "Ask its operator to bring the TLSA records and the certificate together; each renewal must change both.",
        ),
        "posh" => (
            Identity,
            "No public authority vouches for the certificate of {peer}, and its website (POSH) does not help.",
            "Ask its operator for a certificate from a public authority that names {peer}.",
        ),
        "certificate" | "crl" | "ocsp" => (
            Identity,
            "The certificate of {peer} does not hold.",
            "Show its operator the exact words under \"Proofs\".",
        ),
        "dialback" => (
            SignIn,
            "Asking back (dialback) between {domain} and {peer} did not succeed.",
            "Show its operator the exact words of this page.",
        ),
        "dns" | "delegation" | "srv" => (
            Dns,
            "The DNS does not lead to {peer}.",
            "Ask the owner of {peer} to check its SRV and address records.",
        ),
        "tls" => (
            Tls,
            "No encryption could be agreed on with {peer}.",
            "Ask its operator to offer TLS 1.2 or 1.3.",
        ),
        _ => (
            SignIn,
            "{peer} and {domain} did not come together.",
            "Show its operator the exact words of this page.",
        ),
    };
    let side = match fault {
        "ours" => Ours,
        "dns" => Side::Dns,
        "network" => Network,
        "policy" => Policy,
        _ => Theirs,
    };
    Meaning {
        place,
        side,
        why,
        fix,
    }
}
