//! DNS hosts that are recognised by their name servers, and how their forms want names.

/// The host that these name servers belong to, and how its form wants names; empty if unknown.
pub(super) fn dns_host(name_servers: &[String]) -> (String, String) {
    const RELATIVE: &str = "Its form adds the domain by itself: use the relative names.";
    const HOSTS: &[(&str, &str, &str)] = &[
        (
            "cloudflare.com",
            "Cloudflare",
            "Use the relative names; leave the cloud grey (DNS only).",
        ),
        (
            "awsdns",
            "Amazon Route 53",
            "It takes relative and full names; put TXT values into quotation marks.",
        ),
        (
            "googledomains.com",
            "Google Cloud DNS",
            "It takes full names with the last dot.",
        ),
        ("azure-dns", "Azure DNS", RELATIVE),
        ("domaincontrol.com", "GoDaddy", RELATIVE),
        (
            "registrar-servers.com",
            "Namecheap",
            "Use the relative names; SRV records have a form of their own.",
        ),
        (
            "gandi.net",
            "Gandi",
            "Use the relative names; targets need the last dot.",
        ),
        (
            "ovh.net",
            "OVHcloud",
            "Use the relative names; targets need the last dot.",
        ),
        (
            "hetzner",
            "Hetzner",
            "Use the relative names; targets need the last dot.",
        ),
        ("inwx", "INWX", RELATIVE),
        ("ui-dns", "IONOS", RELATIVE),
        ("digitalocean.com", "DigitalOcean", RELATIVE),
        ("dnsimple.com", "DNSimple", RELATIVE),
        (
            "desec",
            "deSEC",
            "Use the relative names; targets need the last dot.",
        ),
        ("porkbun.com", "Porkbun", RELATIVE),
    ];
    HOSTS
        .iter()
        .find(|(mark, ..)| name_servers.iter().any(|server| server.contains(mark)))
        .map_or_else(Default::default, |(_, name, hint)| {
            ((*name).to_owned(), (*hint).to_owned())
        })
}
