//! DNS hosts that are recognised by their name servers, and how their forms want records.

/// A host: its name, how its form wants records, and how its name servers are called: by a suffix of whole labels, or by the
/// beginning of a label (`awsdns-`).
struct Host {
    name: &'static str,
    hint: &'static str,
    servers: &'static [&'static str],
}

/// What most forms do.
const RELATIVE: &str = "Its form adds the domain by itself: use the relative names.";
/// Forms that take zone-file lines as they are.
const DOTTED: &str = "Use the relative names; targets of SRV and CNAME records need the last dot.";
/// Forms that ask for a service record in parts.
const PARTS: &str = "Use the relative names. Its form asks for an SRV record in parts: service and protocol with their underscores, then priority, weight, port and target.";

const HOSTS: &[Host] = &[
    Host {
        name: "Cloudflare",
        hint: "Use the relative names. Set the proxy status of the CNAME record to \"DNS only\" (the grey cloud): proxied, nobody sees where it leads.",
        servers: &[
            "ns.cloudflare.com",
            "foundationdns.com",
            "foundationdns.net",
            "foundationdns.org",
        ],
    },
    Host {
        name: "Amazon Route 53",
        hint: "It takes relative and full names; put TXT values into quotation marks, and the SRV values of one name into one record set.",
        servers: &["awsdns-"],
    },
    Host {
        name: "Google Cloud DNS",
        hint: "It takes full names with the last dot; put TXT values into quotation marks.",
        servers: &["googledomains.com"],
    },
    Host {
        name: "Azure DNS",
        hint: RELATIVE,
        servers: &[
            "azure-dns.com",
            "azure-dns.net",
            "azure-dns.org",
            "azure-dns.info",
        ],
    },
    Host {
        name: "GoDaddy",
        hint: PARTS,
        servers: &["domaincontrol.com"],
    },
    Host {
        name: "Namecheap",
        hint: PARTS,
        servers: &["registrar-servers.com"],
    },
    Host {
        name: "Gandi",
        hint: DOTTED,
        servers: &["gandi.net"],
    },
    Host {
        name: "OVHcloud",
        hint: DOTTED,
        servers: &["ovh.net", "ovh.ca", "anycast.me"],
    },
    Host {
        name: "Hetzner",
        hint: DOTTED,
        servers: &[
            "ns.hetzner.com",
            "ns.hetzner.de",
            "first-ns.de",
            "second-ns.de",
            "second-ns.com",
        ],
    },
    Host {
        name: "INWX",
        hint: RELATIVE,
        servers: &["inwx.de", "inwx.eu", "inwx.com"],
    },
    Host {
        name: "IONOS",
        hint: PARTS,
        servers: &["ui-dns.com", "ui-dns.org", "ui-dns.de", "ui-dns.biz"],
    },
    Host {
        name: "Strato",
        hint: RELATIVE,
        servers: &["rzone.de"],
    },
    Host {
        name: "DigitalOcean",
        hint: "Use the relative names; it adds the domain to targets that do not end with a dot.",
        servers: &["digitalocean.com"],
    },
    Host {
        name: "Linode",
        hint: PARTS,
        servers: &["linode.com"],
    },
    Host {
        name: "Vultr",
        hint: RELATIVE,
        servers: &["vultr.com"],
    },
    Host {
        name: "DNSimple",
        hint: RELATIVE,
        servers: &["dnsimple.com", "dnsimple-edge.net", "dnsimple-edge.org"],
    },
    Host {
        name: "deSEC",
        hint: "Use the relative names; targets of SRV and CNAME records need the last dot, and TXT values quotation marks.",
        servers: &["desec.io", "desec.org"],
    },
    Host {
        name: "Porkbun",
        hint: RELATIVE,
        servers: &["ns.porkbun.com"],
    },
    Host {
        name: "NS1",
        hint: RELATIVE,
        servers: &["nsone.net"],
    },
    Host {
        name: "Vercel",
        hint: RELATIVE,
        servers: &["vercel-dns.com"],
    },
    Host {
        name: "bunny.net",
        hint: RELATIVE,
        servers: &["bunny.net"],
    },
    Host {
        name: "Infomaniak",
        hint: RELATIVE,
        servers: &["infomaniak.ch", "infomaniak.com"],
    },
    Host {
        name: "TransIP",
        hint: DOTTED,
        servers: &["transip.net", "transip.nl", "transip.eu"],
    },
    Host {
        name: "Loopia",
        hint: RELATIVE,
        servers: &["loopia.se"],
    },
    Host {
        name: "Hurricane Electric",
        hint: "It takes full names, without the last dot.",
        servers: &["he.net"],
    },
];

/// The host that these name servers belong to, and how its form wants records; empty if unknown. Where several hosts serve a
/// zone, the one of the first name server.
pub(super) fn dns_host(name_servers: &[String]) -> (String, String) {
    let known = |server: &String| {
        let server = server.trim_end_matches('.').to_ascii_lowercase();
        HOSTS
            .iter()
            .find(|host| host.servers.iter().any(|mark| belongs(&server, mark)))
    };
    name_servers
        .iter()
        .find_map(known)
        .map_or_else(Default::default, |host| {
            (host.name.to_owned(), host.hint.to_owned())
        })
}

/// Is it one of these servers? Whole labels only: `notgandi.net` is not `gandi.net`.
fn belongs(server: &str, mark: &str) -> bool {
    if mark.ends_with('-') {
        return server.split('.').any(|label| label.starts_with(mark));
    }
    server == mark
        || server
            .strip_suffix(mark)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(servers: &[&str]) -> String {
        dns_host(
            &servers
                .iter()
                .map(|one| (*one).to_owned())
                .collect::<Vec<_>>(),
        )
        .0
    }

    #[test]
    fn hosts_are_known_by_the_name_servers_that_they_give() {
        for (servers, expected) in [
            (
                ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
                "Cloudflare",
            ),
            (
                ["blue.foundationdns.com", "blue.foundationdns.org"],
                "Cloudflare",
            ),
            (
                ["ns-2048.awsdns-64.com", "ns-2050.awsdns-66.co.uk"],
                "Amazon Route 53",
            ),
            (
                [
                    "ns-cloud-a1.googledomains.com",
                    "ns-cloud-a2.googledomains.com",
                ],
                "Google Cloud DNS",
            ),
            (
                ["ns1-01.azure-dns.com", "ns2-01.azure-dns.net"],
                "Azure DNS",
            ),
            (
                ["ns01.domaincontrol.com", "ns02.domaincontrol.com"],
                "GoDaddy",
            ),
            (
                ["dns1.registrar-servers.com", "dns2.registrar-servers.com"],
                "Namecheap",
            ),
            (["ns-12-a.gandi.net", "ns-34-b.gandi.net"], "Gandi"),
            (["dns10.ovh.net", "ns10.ovh.net"], "OVHcloud"),
            (
                ["hydrogen.ns.hetzner.com", "helium.ns.hetzner.de"],
                "Hetzner",
            ),
            (["ns1.first-ns.de", "robotns2.second-ns.de"], "Hetzner"),
            (["ns.inwx.de", "ns3.inwx.eu"], "INWX"),
            (["ns1045.ui-dns.com", "ns1045.ui-dns.biz"], "IONOS"),
            (["docks01.rzone.de", "shades01.rzone.de"], "Strato"),
            (
                ["ns1.digitalocean.com", "ns2.digitalocean.com"],
                "DigitalOcean",
            ),
            (["ns1.linode.com", "ns2.linode.com"], "Linode"),
            (["ns1.vultr.com", "ns2.vultr.com"], "Vultr"),
            (["ns1.dnsimple.com", "ns2.dnsimple-edge.net"], "DNSimple"),
            (["ns1.desec.io", "ns2.desec.org"], "deSEC"),
            (
                ["curitiba.ns.porkbun.com", "maceio.ns.porkbun.com"],
                "Porkbun",
            ),
            (["dns1.p01.nsone.net", "dns2.p01.nsone.net"], "NS1"),
            (["ns1.vercel-dns.com", "ns2.vercel-dns.com"], "Vercel"),
            (["kiki.bunny.net", "coco.bunny.net"], "bunny.net"),
            (["ns11.infomaniak.ch", "ns12.infomaniak.ch"], "Infomaniak"),
            (["ns0.transip.net", "ns1.transip.nl"], "TransIP"),
            (["ns1.loopia.se", "ns2.loopia.se"], "Loopia"),
            (["ns1.he.net", "ns5.he.net"], "Hurricane Electric"),
        ] {
            assert_eq!(host(&servers), expected);
        }
        for host in HOSTS {
            assert!(host.hint.ends_with('.'), "{}", host.name);
        }
    }

    #[test]
    fn whoever_only_sounds_like_a_host_is_none() {
        for server in [
            "ns1.example.com",
            "ns1.notgandi.net",
            "gandi.net.example.com",
            "ns.cloudflare.com.example.net",
            "myawsdns-1.example.com",
            "ns1.che.net",
        ] {
            assert_eq!(host(&[server]), "", "{server}");
        }
        assert_eq!(host(&[]), "");
        assert_eq!(
            host(&["ns1.example.com", "NS1.HE.NET."]),
            "Hurricane Electric"
        );
        assert!(
            dns_host(&["ada.ns.cloudflare.com".into()])
                .1
                .contains("DNS only")
        );
    }
}
