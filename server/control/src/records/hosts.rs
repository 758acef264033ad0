//! DNS hosts that are recognised by their name servers: how their forms want records, and where those forms are.

use crate::observe::ConnectView;

/// A host: its name, how its form wants records, where that form is (`{}`: the zone; empty: not known), and how its name servers
/// are called: by a suffix of whole labels, or by the beginning of a label (`awsdns-`).
struct Host {
    name: &'static str,
    hint: &'static str,
    panel: &'static str,
    servers: &'static [&'static str],
}

/// The host of a zone, as the page of records shows it; what is not known is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DnsHost {
    pub(super) name: String,
    pub(super) hint: String,
    /// Where its customers edit the zone.
    pub(super) panel: String,
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
        panel: "https://dash.cloudflare.com/?to=/:account/:zone/dns/records",
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
        panel: "",
        servers: &["awsdns-"],
    },
    Host {
        name: "Google Cloud DNS",
        hint: "It takes full names with the last dot; put TXT values into quotation marks.",
        panel: "",
        servers: &["googledomains.com"],
    },
    Host {
        name: "Azure DNS",
        hint: RELATIVE,
        panel: "",
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
        panel: "https://dcc.godaddy.com/manage/{}/dns",
        servers: &["domaincontrol.com"],
    },
    Host {
        name: "Namecheap",
        hint: PARTS,
        panel: "https://ap.www.namecheap.com/domains/domaincontrolpanel/{}/advancedns",
        servers: &["registrar-servers.com"],
    },
    Host {
        name: "Gandi",
        hint: DOTTED,
        panel: "",
        servers: &["gandi.net"],
    },
    Host {
        name: "OVHcloud",
        hint: DOTTED,
        panel: "",
        servers: &["ovh.net", "ovh.ca", "anycast.me"],
    },
    Host {
        name: "Hetzner",
        hint: DOTTED,
        panel: "",
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
        panel: "",
        servers: &["inwx.de", "inwx.eu", "inwx.com"],
    },
    Host {
        name: "IONOS",
        hint: PARTS,
        panel: "",
        servers: &["ui-dns.com", "ui-dns.org", "ui-dns.de", "ui-dns.biz"],
    },
    Host {
        name: "Strato",
        hint: RELATIVE,
        panel: "",
        servers: &["rzone.de"],
    },
    Host {
        name: "DigitalOcean",
        hint: "Use the relative names; it adds the domain to targets that do not end with a dot.",
        panel: "https://cloud.digitalocean.com/networking/domains/{}",
        servers: &["digitalocean.com"],
    },
    Host {
        name: "Linode",
        hint: PARTS,
        panel: "",
        servers: &["linode.com"],
    },
    Host {
        name: "Vultr",
        hint: RELATIVE,
        panel: "",
        servers: &["vultr.com"],
    },
    Host {
        name: "DNSimple",
        hint: RELATIVE,
        panel: "",
        servers: &["dnsimple.com", "dnsimple-edge.net", "dnsimple-edge.org"],
    },
    Host {
        name: "deSEC",
        hint: "Use the relative names; targets of SRV and CNAME records need the last dot, and TXT values quotation marks.",
        panel: "",
        servers: &["desec.io", "desec.org"],
    },
    Host {
        name: "Porkbun",
        hint: RELATIVE,
        panel: "",
        servers: &["ns.porkbun.com"],
    },
    Host {
        name: "NS1",
        hint: RELATIVE,
        panel: "",
        servers: &["nsone.net"],
    },
    Host {
        name: "Vercel",
        hint: RELATIVE,
        panel: "",
        servers: &["vercel-dns.com"],
    },
    Host {
        name: "bunny.net",
        hint: RELATIVE,
        panel: "",
        servers: &["bunny.net"],
    },
    Host {
        name: "Infomaniak",
        hint: RELATIVE,
        panel: "",
        servers: &["infomaniak.ch", "infomaniak.com"],
    },
    Host {
        name: "TransIP",
        hint: DOTTED,
        panel: "",
        servers: &["transip.net", "transip.nl", "transip.eu"],
    },
    Host {
        name: "Loopia",
        hint: RELATIVE,
        panel: "",
        servers: &["loopia.se"],
    },
    Host {
        name: "Hurricane Electric",
        hint: "It takes full names, without the last dot.",
        panel: "",
        servers: &["he.net"],
    },
];

/// The host that these name servers belong to. Where several hosts serve a zone, the one of the first name server. What a host
/// says of itself goes before what is known of it here.
pub(super) fn dns_host(name_servers: &[String], said: Option<&ConnectView>, zone: &str) -> DnsHost {
    let known = |server: &String| {
        let server = server.trim_end_matches('.').to_ascii_lowercase();
        HOSTS
            .iter()
            .find(|host| host.servers.iter().any(|mark| belongs(&server, mark)))
    };
    let mut host = match name_servers.iter().find_map(known) {
        Some(host) => DnsHost {
            name: host.name.to_owned(),
            hint: host.hint.to_owned(),
            panel: host.panel.replace("{}", zone),
        },
        None => DnsHost::default(),
    };
    if let Some(said) = said {
        host.panel.clone_from(&said.panel);
        if host.name.is_empty() {
            host.name.clone_from(&said.host);
        }
    }
    host
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

    fn of(servers: &[&str], said: Option<&ConnectView>) -> DnsHost {
        let servers: Vec<_> = servers.iter().map(|one| (*one).to_owned()).collect();
        dns_host(&servers, said, "example.com")
    }

    fn host(servers: &[&str]) -> String {
        of(servers, None).name
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
        let cloudflare = of(&["ada.ns.cloudflare.com"], None);
        assert!(cloudflare.hint.contains("DNS only"));
    }

    #[test]
    fn the_way_to_a_host_s_form_is_what_it_says_itself_or_what_is_known() {
        let ours = of(&["ns01.domaincontrol.com"], None);
        assert_eq!(ours.panel, "https://dcc.godaddy.com/manage/example.com/dns");
        let said = ConnectView {
            host: "DNS at Example".into(),
            panel: "https://panel.dns.example/example.com".into(),
        };
        let godaddy = of(&["ns01.domaincontrol.com"], Some(&said));
        assert_eq!(
            (godaddy.name.as_str(), godaddy.panel.as_str()),
            ("GoDaddy", said.panel.as_str())
        );
        let unknown = of(&["ns1.dns.example"], Some(&said));
        assert_eq!(
            (unknown.name, unknown.panel),
            (said.host.clone(), said.panel.clone())
        );
        assert_eq!(of(&["ns1.dns.example"], None), DnsHost::default());
        for host in HOSTS {
            let fits = host.panel.is_empty() || host.panel.starts_with("https://");
            assert!(fits, "{}", host.name);
        }
    }
}
