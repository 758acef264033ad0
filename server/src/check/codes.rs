//! Every code of a finding, what it means and what to do. Codes are stable: scripts read them.

use serde::Serialize;

/// A code.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Code {
    /// Stable word.
    pub code: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do; `{domain}` stands for the domain. Empty: nothing.
    pub fix: &'static str,
}

const fn code(code: &'static str, meaning: &'static str, fix: &'static str) -> Code {
    Code { code, meaning, fix }
}

/// Every code, in the order in which things are looked at.
pub const CODES: &[Code] = &[
    code(
        "dnssec-bogus",
        "what the DNS says is wrongly signed",
        "Repair the zone's DNSSEC signatures, or the DS record at the registrar: whoever validates sees nothing at all.",
    ),
    code(
        "dns-unknown",
        "the DNS could not be asked",
        "Try again; if it stays so, look at the name servers of {domain}.",
    ),
    code(
        "service-not-offered",
        "the DNS says that this service is not offered",
        "",
    ),
    code(
        "srv-missing",
        "no SRV record says where the service is",
        "Publish SRV records: without them the world tries the addresses of {domain} itself.",
    ),
    code(
        "direct-tls-missing",
        "no SRV record for direct TLS (XEP-0368)",
        "Publish an _xmpps- SRV record as well: it saves round trips and passes strict firewalls.",
    ),
    code(
        "target-no-address",
        "the host that an SRV record names has no address",
        "Publish A or AAAA records for the host, or point the SRV record elsewhere.",
    ),
    code(
        "address-private",
        "the DNS leads to a private or loopback address",
        "Publish an address that the internet reaches.",
    ),
    code(
        "ipv6-missing",
        "no host has an IPv6 address",
        "Publish AAAA records: some mobile networks have no IPv4 of their own.",
    ),
    code(
        "no-route",
        "this machine has no way to such an address",
        "Run the check from a machine with that kind of network to see this address too.",
    ),
    code(
        "connect-failed",
        "nobody answers at the address",
        "Start the server there, and let the port through the firewall.",
    ),
    code(
        "starttls-missing",
        "STARTTLS is not offered",
        "Switch TLS on for {domain}.",
    ),
    code(
        "host-unknown",
        "the server does not host the domain",
        "Add {domain} to that server, or point its records to where it is hosted.",
    ),
    code(
        "stream-error",
        "the server refuses the stream",
        "Look for that condition in the server's log.",
    ),
    code(
        "stream-broken",
        "the stream ends or falls silent",
        "Look at that server's log at this time.",
    ),
    code(
        "tls-failed",
        "the TLS handshake fails",
        "Offer TLS 1.2 or 1.3 with a certificate for {domain} at this address.",
    ),
    code(
        "tls-old-accepted",
        "TLS 1.1 or older is accepted (RFC 8996 forbids it)",
        "Switch TLS 1.0 and 1.1 off: nothing current needs them.",
    ),
    code(
        "tls13-missing",
        "TLS 1.3 is not offered",
        "Update the server's TLS library, or switch TLS 1.3 on.",
    ),
    code(
        "certificate-missing",
        "no certificate is shown",
        "Configure a certificate for {domain}.",
    ),
    code(
        "certificate-expired",
        "the certificate has expired",
        "Renew it and reload the server; then see why the renewal did not run by itself.",
    ),
    code(
        "certificate-expires-soon",
        "the certificate ends soon",
        "Renew it now, and see why the renewal has not run by itself.",
    ),
    code(
        "certificate-not-yet-valid",
        "the certificate is not valid yet",
        "Check the clock of the machine that issued it.",
    ),
    code(
        "certificate-self-signed",
        "the certificate is self-signed",
        "Get one from a public authority, or announce it by DANE or POSH.",
    ),
    code(
        "certificate-issuer-unknown",
        "the issuer is not known, or an intermediate is missing",
        "Serve the whole chain (fullchain.pem), from a public authority.",
    ),
    code(
        "certificate-client-only",
        "the certificate is for clients only",
        "Get one for servers (serverAuth).",
    ),
    code(
        "certificate-name-mismatch",
        "the certificate names somebody else",
        "Serve a certificate whose names include {domain} itself; the SRV target's name does not count.",
    ),
    code(
        "certificate-revoked",
        "the certificate is revoked",
        "Replace certificate and key.",
    ),
    code(
        "certificate-invalid",
        "the certificate does not hold",
        "Serve a certificate for {domain} that chains to a public authority.",
    ),
    code(
        "tlsa-mismatch",
        "no TLSA record fits the certificate shown",
        "Publish a TLSA record for the certificate in use (3 1 1, and the next one's beside it) before each renewal: servers with DANE refuse {domain} now.",
    ),
    code(
        "tlsa-bogus",
        "the TLSA records are wrongly signed",
        "Repair the DNSSEC of the host's zone: servers with DANE do not connect.",
    ),
    code(
        "tlsa-unknown",
        "whether there are TLSA records could not be told",
        "Look at the name servers of the host's zone: servers with DANE do not connect while they fail.",
    ),
    code(
        "posh-mismatch",
        "no POSH fingerprint fits the certificate shown",
        "Publish the fingerprint of the certificate in use, and of the next one beside it, in the POSH document.",
    ),
    code(
        "posh-broken",
        "the POSH document cannot be used",
        "Serve it over HTTPS with status 200, as RFC 7711 describes.",
    ),
    code(
        "sasl-missing",
        "no way to log in is offered",
        "Switch on SCRAM-SHA-1 and SCRAM-SHA-256.",
    ),
    code(
        "scram-missing",
        "only weak ways to log in are offered",
        "Switch on SCRAM-SHA-1 and SCRAM-SHA-256, so that passwords need not be shown to the server.",
    ),
    code(
        "registration-open",
        "anybody may register an account in band",
        "Close it, or watch it: open registration draws spammers.",
    ),
    code("dialback-missing", "dialback is not offered", ""),
    code(
        "host-meta-missing",
        "no host-meta leads apps in browsers to the server",
        "",
    ),
    code(
        "host-meta-broken",
        "host-meta cannot be read",
        "Serve /.well-known/host-meta over HTTPS with status 200 and Access-Control-Allow-Origin: *.",
    ),
];

/// The code of this word; a word of the judge that is not listed stands for its kind.
pub(super) fn find(word: &str) -> &'static Code {
    let known = |word: &str| CODES.iter().find(|code| code.code == word);
    let kind = match word.split('-').next().unwrap_or_default() {
        "tlsa" => "tlsa-mismatch",
        "posh" => "posh-broken",
        "certificate" | "staple" => "certificate-invalid",
        _ => "stream-broken",
    };
    known(word).or_else(|| known(kind)).unwrap_or(&CODES[0])
}
