//! Every key there is, with its default and its meaning. The doc comments here are the comments of the generated
//! `domicile.example.toml`: write them for the operator.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Problem;
use super::value::{Secret, Value, words};
use crate::net::guard::Network;

words! {
    /// How answers of the DNS are judged.
    DnsMode {
        /// We validate DNSSEC ourselves.
        Validate = "validate",
        /// We believe the AD bit of a resolver on this machine.
        TrustAd = "trust-ad",
    } default Validate
}

words! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// For machines: one JSON object a line.
        Json = "json",
    } default Text
}

words! {
    /// What a new domain asks of other servers (XEP-0238).
    PolicyLevel {
        /// Whatever works.
        Permissive = "permissive",
        /// Dialback at least.
        Verified = "verified",
        /// TLS, and dialback at least.
        Encrypted = "encrypted",
        /// TLS and a certificate, DANE or POSH.
        Authenticated = "authenticated",
    } default Encrypted
}

macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Name:ident {
            $( $(#[doc = $doc:literal])+ $field:ident: $ty:ty = $default:expr, )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Name {
                $( $(#[doc = $doc])+ pub $field: $ty, )+
            }

            impl Default for $Name {
                fn default() -> Self {
                    Self { $( $field: $default, )+ }
                }
            }

            impl $Name {
                fn set(&mut self, key: &str, value: &toml::Value, problems: &mut Vec<Problem>) {
                    match key {
                        $( stringify!($field) => match Value::read(value) {
                            Some(v) => self.$field = v,
                            None => problems.push(Problem::value::<$ty>(stringify!($section), key, &value.to_string())),
                        }, )+
                        _ => problems.push(Problem::unknown_key(stringify!($section), key, &[$(stringify!($field)),+])),
                    }
                }

                fn set_text(&mut self, key: &str, text: &str, problems: &mut Vec<Problem>) {
                    match key {
                        $( stringify!($field) => match Value::read_text(text) {
                            Some(v) => self.$field = v,
                            None => problems.push(Problem::value::<$ty>(stringify!($section), key, text)),
                        }, )+
                        _ => problems.push(Problem::unknown_key(stringify!($section), key, &[$(stringify!($field)),+])),
                    }
                }

                fn example(out: &mut String) {
                    let default = Self::default();
                    $(
                        for line in [$($doc),+] {
                            out.push_str(format!("#{line}").trim_end());
                            out.push('\n');
                        }
                        out.push_str(&format!("#{} = {}\n\n", stringify!($field), default.$field.show()));
                    )+
                }
            }
        )+

        /// The whole configuration, a section per concern.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Name, )+
        }

        impl Config {
            pub(super) fn set(&mut self, section: &str, key: &str, value: &toml::Value, problems: &mut Vec<Problem>) {
                match section {
                    $( stringify!($section) => self.$section.set(key, value, problems), )+
                    _ => problems.push(Problem::unknown_section(section, &[$(stringify!($section)),+])),
                }
            }

            pub(super) fn set_text(&mut self, section: &str, key: &str, text: &str, problems: &mut Vec<Problem>) {
                match section {
                    $( stringify!($section) => self.$section.set_text(key, text, problems), )+
                    _ => problems.push(Problem::unknown_section(section, &[$(stringify!($section)),+])),
                }
            }

            pub(super) const SECTIONS: &[&str] = &[$(stringify!($section)),+];

            pub(super) fn example_sections(out: &mut String) {
                $(
                    for line in [$($section_doc),+] {
                        out.push_str(format!("#{line}").trim_end());
                        out.push('\n');
                    }
                    out.push_str(concat!("[", stringify!($section), "]\n\n"));
                    $Name::example(out);
                )+
            }
        }
    };
}

/// The wildcard address with a port, both families.
fn any(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::new(IpAddr::from([0u16; 8]), port)]
}

/// Loopback with a port.
fn local(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)]
}

sections! {
    /// The process itself.
    server: ServerSection {
        /// What the service calls itself in the panel and in texts.
        name: String = "Domicile".into(),
        /// Where files live. Relative paths below start here.
        data_dir: PathBuf = "/var/lib/domicile".into(),
        /// File with the master key that seals private keys in the database; made at the first start, mode 0600.
        /// Keep a copy apart from the database's backups: without it no key can be read again.
        master_key_file: PathBuf = "master.key".into(),
    }

    /// Where facts are kept: SQLite (one file) or PostgreSQL.
    database: DatabaseSection {
        /// "sqlite://PATH" or "postgres://USER:PASSWORD@HOST/NAME". Empty: domicile.db in server.data_dir.
        url: Secret = Secret::default(),
    }

    /// Addresses to listen at. Several per door are allowed, none switches a door off.
    listen: ListenSection {
        /// Clients, STARTTLS.
        c2s: Vec<SocketAddr> = any(5222),
        /// Clients, direct TLS (XEP-0368).
        c2s_tls: Vec<SocketAddr> = any(5223),
        /// Servers, STARTTLS.
        s2s: Vec<SocketAddr> = any(5269),
        /// Servers, direct TLS (XEP-0368).
        s2s_tls: Vec<SocketAddr> = any(5270),
        /// The public web door of the hosted domains: host-meta and the like, HTTPS with each domain's certificate.
        public: Vec<SocketAddr> = any(5443),
        /// Panel and JSON API, plain HTTP: put a web server with TLS in front of it.
        admin: Vec<SocketAddr> = local(8080),
        /// Health and metrics; not for the internet.
        internal: Vec<SocketAddr> = local(9090),
    }

    /// What customers' records point at.
    platform: PlatformSection {
        /// Zone in which every hosted domain gets a name of its own: "on.hosting.example.net". Required by `serve`.
        zone: String = String::new(),
        /// Addresses of this service as the world sees them: A and AAAA of those names. Required by `serve`.
        addresses: Vec<IpAddr> = Vec::new(),
        /// Ports as the world sees them, for SRV records: clients (STARTTLS).
        client_port: u16 = 5222,
        /// Clients (direct TLS).
        client_tls_port: u16 = 5223,
        /// Servers (STARTTLS).
        server_port: u16 = 5269,
        /// Servers (direct TLS).
        server_tls_port: u16 = 5270,
        /// TTL of records, ours and those we ask for.
        ttl_seconds: u32 = 300,
        /// May customers sign up by themselves?
        sign_up: bool = true,
        /// Accept private and loopback addresses, in checks and of peers: only where the whole internet is your own network.
        private_addresses: bool = false,
        /// Private networks that count as internet, for peers and for websites that we fetch from: "10.0.0.0/8". What
        /// strangers' names lead to is never connected to in any other.
        private_networks: Vec<Network> = Vec::new(),
    }

    /// How names are looked up.
    dns: DnsSection {
        /// Resolvers to ask, with port. Empty: those of the system.
        resolvers: Vec<SocketAddr> = Vec::new(),
        /// "validate": DNSSEC is validated here. "trust-ad": a validating resolver on this machine is believed; it must be
        /// on loopback.
        mode: DnsMode = DnsMode::Validate,
        /// Trust anchor of the root zone (DNSKEY or DS records in zone-file form). Empty: the internet's.
        trust_anchor: PathBuf = PathBuf::new(),
        /// How long one question may take.
        timeout_seconds: u32 = 5,
        /// Port at which authoritative servers are asked directly. Anything but 53 is for private worlds.
        authoritative_port: u16 = 53,
        /// Take a caller's certificate for proved when it matches a TLSA record of its domain's SRV targets. The RFCs say
        /// nothing about callers; without this they are called back.
        dane_inbound: bool = true,
        /// Let TLSA usage 0 (PKIX-TA) count.
        dane_pkix_ta: bool = false,
    }

    /// POSH: certificates for which a domain's own website vouches (RFC 7711).
    posh: PoshSection {
        /// Ask peers' websites when nothing else proves them.
        enabled: bool = true,
        /// PEM file with the trust anchors for websites' certificates. Empty: as tls.roots.
        roots: PathBuf = PathBuf::new(),
        /// How long one document may take.
        timeout_seconds: u32 = 5,
        /// Port of websites. Anything but 443 is for private worlds.
        port: u16 = 443,
    }

    /// Whom we believe.
    tls: TlsSection {
        /// PEM file with the trust anchors for other servers' certificates. Empty: those of the system.
        roots: PathBuf = PathBuf::new(),
        /// Look for peers' certificates in the lists of revoked ones that they name (CRL).
        crl: bool = true,
    }

    /// The certificate authority for customers' certificates (ACME, RFC 8555).
    acme: AcmeSection {
        /// Directory URL. Empty: no certificates are ordered, customers upload theirs.
        directory: String = "https://acme-v02.api.letsencrypt.org/directory".into(),
        /// PEM file with the anchor of the directory's own HTTPS certificate, for a private CA. Empty: as the system.
        root: PathBuf = PathBuf::new(),
        /// Where the CA may write to: "mailto:admin@example.net".
        contact: String = String::new(),
        /// You have read and agree to the CA's terms of service. Orders wait until this is true.
        terms_agreed: bool = false,
        /// Names that a CAA record may use for this CA.
        caa_identities: Vec<String> = vec!["letsencrypt.org".into()],
        /// External account binding, if the CA asks for one: key id …
        eab_key_id: String = String::new(),
        /// … and its HMAC key (base64url).
        eab_key: Secret = Secret::default(),
    }

    /// The name server of platform.zone: BIND, Knot or PowerDNS, changed by dynamic updates (RFC 2136) with TSIG.
    zone: ZoneSection {
        /// Primary server that takes updates, with port: "192.0.2.53:53". Empty: nothing is published for customers.
        server: Vec<SocketAddr> = Vec::new(),
        /// The zone's apex if platform.zone lies deeper: "hosting.example.net". Empty: platform.zone.
        apex: String = String::new(),
        /// File with the TSIG key, in the form that `tsig-keygen` writes.
        tsig_key_file: PathBuf = "tsig.key".into(),
    }

    /// The panel.
    panel: PanelSection {
        /// Its address as people type it: "https://panel.hosting.example.net".
        url: String = "http://127.0.0.1:8080".into(),
    }

    /// What one customer, account or address may take.
    limits: LimitsSection {
        /// Domains of a tenant.
        domains_per_tenant: u32 = 20,
        /// Accounts of a tenant, over all its domains.
        accounts_per_tenant: u32 = 10_000,
        /// Simultaneous connections from one address (RFC 6120 13.12).
        connections_per_address: u32 = 500,
        /// New connections from one address in a minute.
        connects_per_address_and_minute: u32 = 600,
        /// Sessions of one account.
        sessions_per_account: u32 = 20,
        /// Largest stanza, in bytes; never below 10000.
        stanza_bytes: u32 = 262_144,
        /// Bytes a client may send in a second, on average; above it is read more slowly.
        client_bytes_per_second: u32 = 1_000_000,
        /// Bytes a peer server may send in a second, on average.
        peer_bytes_per_second: u32 = 10_000_000,
        /// Bytes that may wait for a slow reader before its session ends.
        outbox_bytes: u32 = 1_048_576,
        /// Seconds until a connection must be authenticated.
        negotiation_seconds: u32 = 60,
    }

    /// Other servers.
    federation: FederationSection {
        /// What a new domain asks of them: "permissive", "verified", "encrypted" or "authenticated" (XEP-0238).
        policy: PolicyLevel = PolicyLevel::Encrypted,
        /// How long we try to reach a server before messages bounce.
        connect_seconds: u32 = 30,
        /// A stream without stanzas is closed after this time.
        idle_seconds: u32 = 600,
        /// Stanzas that may wait for a stream, per pair of domains.
        queue_stanzas: u32 = 1000,
    }

    /// The log, on standard error.
    log: LogSection {
        /// What is logged: "info", "warn", or "info,domicile::federation=debug".
        filter: String = "info".into(),
        /// "text" or "json".
        format: LogFormat = LogFormat::Text,
    }
}
