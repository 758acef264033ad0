//! The codes: what each means and what to do. A code never changes its meaning, and none is taken away while a version that
//! knows it may be running.

use serde::Serialize;

/// A code with what it means and the general remedy (a finding's own `fix` names the values).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Code {
    /// Stable.
    pub code: &'static str,
    /// What was seen.
    pub meaning: &'static str,
    /// What to do.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal $fix:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*
        /// Every code, documented. `ok` is the code of a good row.
        pub const CODES: &[Code] = &[$(Code { code: $code, meaning: $meaning, fix: $fix },)*];
    };
}

codes! {
    OK "ok" "What should be there is there." "Nothing to do.";
    DNSSEC_BOGUS "dnssec-bogus" "The zone's DNSSEC signatures do not validate, so everybody who checks them sees nothing at all." "Correct or remove the DS record at your registrar, or have your DNS host sign the zone again.";
    ZONE_MISSING "zone-missing" "The domain does not exist in the DNS." "Check the spelling, or register the domain and give it name servers.";
    LAME_SERVER "lame-server" "A name server that the zone names does not answer for it." "Remove the server from the domain's name servers, or have it serve the zone.";
    NAMESERVERS_DISAGREE "nameservers-disagree" "The zone's name servers give different answers." "Wait until the change has reached all of them; if it does not within an hour, ask your DNS host.";
    RESOLVER_UNKNOWN "resolver-unknown" "The question could not be asked." "Nothing to do: it is asked again by itself.";
    RESOLVER_STALE "resolver-stale" "Your name servers have the record; resolvers still remember the former answer." "Wait until the former answer's lifetime is over.";
    ALIAS_LOOP "alias-loop" "The name is an alias (CNAME) that leads in a circle, or through too many others, so nobody finds anything there." "Delete the alias, and publish the record itself.";
    ANSWER_TOO_LARGE "answer-too-large" "More stands at the name than is looked at: too many records, or one that is too long." "Delete what is not needed there.";
    OWNERSHIP_MISSING "ownership-missing" "The record that shows the domain is yours is not there." "Publish the TXT record.";
    OWNERSHIP_MISMATCH "ownership-mismatch" "The record that shows the domain is yours holds another token." "Replace its text by the one shown.";
    NAME_DOUBLED "name-doubled" "The DNS host has added the zone's name once more: the record's name (or target) ends in it twice." "Use the relative name, or end the name with a dot.";
    SRV_MISSING "srv-missing" "A record that leads to the service is not there." "Publish the SRV record.";
    SRV_WRONG_TARGET "srv-wrong-target" "The record points at another host." "Replace it by the one shown.";
    SRV_LEFTOVER "srv-leftover" "Beside our record an old one still leads somewhere else." "Delete the other SRV record of this name.";
    SRV_WRONG_PORT "srv-wrong-port" "The record names another port." "Correct the port.";
    SRV_SWAPPED_TLS "srv-swapped-tls" "The record for direct TLS names the STARTTLS port, or the other way round." "Correct the port: _xmpps-… and _xmpp-… differ.";
    SRV_TARGET_ALIAS "srv-target-alias" "The record points at a name that is an alias (CNAME), which RFC 2782 forbids." "Let it point at our host directly.";
    SRV_TARGET_PRIVATE "srv-target-private" "The record points at localhost or a private address, where nobody else can reach anything." "Let it point at our host.";
    SRV_SERVICE_OFF "srv-service-off" "The record says \".\": the service is decidedly not available." "Replace it by the one shown.";
    TARGET_UNRESOLVABLE "target-unresolvable" "The name of our own host does not resolve. This is ours to mend." "Nothing to do on your side; we have been told.";
    TARGET_DRIFT "target-drift" "The name of our own host has other addresses than the ones that we published; somebody else has changed them, or the service has just moved." "Nothing to do: we publish ours again by ourselves.";
    ACME_CNAME_MISSING "acme-cname-missing" "The alias that lets us obtain the certificate is not there." "Publish the CNAME record.";
    ACME_CNAME_WRONG "acme-cname-wrong" "The alias that lets us obtain the certificate points elsewhere." "Replace it by the one shown.";
    ACME_HIDDEN_TXT "acme-hidden-txt" "A TXT record stands beside (and may hide) the alias at the challenge name." "Delete the TXT record; a name with a CNAME must hold nothing else.";
    ACME_PERSIST_MISSING "acme-persist-missing" "The record that lets our account obtain the certificate is not there." "Publish the TXT record.";
    ACME_PERSIST_WRONG "acme-persist-wrong" "The record that lets an account obtain the certificate names another account, or cannot be read." "Let a TXT record of that name hold the text shown.";
    ACME_PERSIST_ENDS "acme-persist-ends" "The record that lets our account obtain the certificate ends soon, or has ended (persistUntil)." "Replace its text by the one shown, which does not end.";
    ACME_PERSIST_UNOFFERED "acme-persist-unoffered" "The certificate authority does not offer records that stand for ever (dns-persist-01)." "Choose another way to obtain the certificate.";
    ACME_HTTP_NO_ADDRESS "acme-http-no-address" "The name has no address, so no certificate authority can ask its website." "Give the name the address of a web server, or choose another way to obtain the certificate.";
    ACME_HTTP_NO_ANSWER "acme-http-no-answer" "No website answers where the certificate authority begins, at port 80." "Let a web server answer at port 80.";
    ACME_HTTP_PRIVATE "acme-http-private" "The website's address is not one of the internet, so no certificate authority reaches it." "Give the name an address that the internet can reach.";
    ACME_HTTP_ELSEWHERE "acme-http-elsewhere" "Another server answers the certificate authority's question." "Let your website redirect the address as shown on the records page.";
    ACME_HTTP_PATH_LOST "acme-http-path-lost" "The redirect leads to us, but loses what follows in the address." "Let the redirect keep what follows in the address.";
    ACME_HTTP_LOOP "acme-http-loop" "The website's redirects go round in circles, or are too many." "Let your website redirect the address straight to us.";
    ACME_HTTP_BAD_REDIRECT "acme-http-bad-redirect" "The website redirects to where no certificate authority goes: another port, an address without a name, another kind of address." "Let your website redirect the address straight to us.";
    CAA_FORBIDS "caa-forbids" "The zone's CAA records do not allow our certificate authority." "Add the CAA record shown.";
    CAA_FORBIDS_SECOND "caa-forbids-second" "The zone's CAA records do not allow the certificate authority that steps in when the first one cannot issue." "If you like, add the CAA record shown as well.";
    CERTIFICATE_MISSING "certificate-missing" "There is no certificate for the domain yet." "Publish the challenge record, or upload a certificate.";
    CERTIFICATE_EXPIRING "certificate-expiring" "The certificate ends soon and has not been renewed." "See what is in the way of renewal, or upload a new one.";
    CERTIFICATE_EXPIRED "certificate-expired" "The certificate has expired." "See what is in the way of renewal, or upload a new one.";
    CERTIFICATE_WRONG_NAME "certificate-wrong-name" "The certificate does not hold the domain's name." "Upload one that does, or let us order one.";
    CERTIFICATE_ORDER_FAILED "certificate-order-failed" "The certificate authority did not issue." "Read what it said; we try again by ourselves.";
    SERVICE_NAME_LEFT_OUT "service-name-left-out" "A service's name is not in the certificate." "Publish the service's challenge record.";
    PROBE_FAILED "probe-failed" "Going in by the public door as an app would, we were stopped." "If everything above is good, this is ours to mend; we have been told.";
    TTL_TOO_LONG "ttl-too-long" "The record may be remembered for more than a day, so a change takes as long to be seen." "Lower its TTL to an hour.";
    CLAIMED_ELSEWHERE "claimed-elsewhere" "Another customer of this service has shown that the domain is theirs." "Ask whoever set it up, or the operator of this service.";
    DANE_SRV_INSECURE "dane-srv-insecure" "The record that leads to the service is not signed (DNSSEC), so no server can use DANE with it." "Sign your zone, and have your registrar publish its DS record.";
    DANE_HOST_INSECURE "dane-host-insecure" "The addresses or TLSA records of our own host are not signed (DNSSEC). This is ours to mend." "Nothing to do on your side; we have been told.";
    TLSA_REFUSED "tlsa-refused" "The platform's name server did not take a change of the TLSA records. This is ours to mend." "Nothing to do: it is tried again by itself, and no key changes before.";
    TLSA_UNSEEN "tlsa-unseen" "A name server of our zone does not answer us, so nobody knows which TLSA records it tells others. This is ours to mend." "Nothing to do: it is asked again by itself, and no key changes before it was heard.";
    TLSA_MISSING "tlsa-missing" "The TLSA records of our host are not there." "Nothing to do: we publish them again by ourselves.";
    TLSA_MISMATCH "tlsa-mismatch" "The TLSA records of our host describe another key than the one in use, so servers with DANE refuse you." "Nothing to do: we publish the right ones by ourselves.";
    TLSA_DRIFT "tlsa-drift" "The TLSA records of our host are not the ones that we published; somebody else has changed them." "Nothing to do: we publish ours again by ourselves.";
    HOST_META_OTHER "host-meta-other" "Your website tells apps in browsers of another chat service, or of none that is ours." "Let the addresses lead to us, or publish the documents shown on the records page.";
    HOST_META_CLOSED "host-meta-closed" "Browsers may not read your website's host-meta, so apps in them do not find your chat service." "Send the header `Access-Control-Allow-Origin: *` with it, and with a redirect that leads to it.";
    POSH_MISSING "posh-missing" "Your website has no POSH document." "Let your website answer the address as shown on the records page.";
    POSH_BROKEN "posh-broken" "Your website's POSH document cannot be used." "Let your website answer the address as shown on the records page.";
    POSH_MISMATCH "posh-mismatch" "Your website's POSH document does not list the certificate in use, so servers that rely on it refuse you." "Let the address lead to us, or publish the document shown on the records page.";
    POSH_STALE "posh-stale" "Your website's POSH document does not list the next certificate yet, which is not used before it does." "Let the address lead to us, or publish the document shown on the records page.";
    ROLLOVER_LATE "rollover-late" "The next certificate is not known everywhere, and the one in use is about to end." "See what is in the way in the rows about TLSA and POSH.";
    NO_PROOF "no-proof" "No other server can verify the name by any proof: not by its certificate, not by signed DNS (DANE), not by a website (POSH)." "See what each proof lacks on the page of how others verify you.";
    OWNERSHIP_LAPSED "ownership-lapsed" "The record that shows the domain is yours has gone." "Publish it again before the date shown, or the domain is stopped.";
}
