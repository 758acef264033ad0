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
    /// How the mail relay is spoken to.
    MailSecurity {
        /// STARTTLS, and nothing without it.
        StartTls = "starttls",
        /// TLS from the first byte.
        Tls = "tls",
        /// In the clear: only a relay on this machine.
        None = "none",
    } default StartTls
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
        /// Components: programs that answer for names below the domains (XEP-0114); "127.0.0.1:5347", for one. At an address
        /// that is not loopback TLS comes first, with the certificate of the name that they ask for.
        components: Vec<SocketAddr> = Vec::new(),
        /// Plain HTTP, as in ["[::]:80"]: certificate authorities that check a name by HTTP begin there; everything else is led
        /// to HTTPS. Needed only where domains are proven by a redirect of their websites and platform.web is empty, or where
        /// their names lead here themselves.
        http: Vec<SocketAddr> = Vec::new(),
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
        /// Address of the public door under the platform's own name, to which owners' websites lead for POSH and for
        /// certificates by redirect: "https://web.hosting.example.net". tls.platform_certificate must be for that name, and for
        /// certificates it must be at port 443. Empty: owners publish the fingerprints themselves, anew for every certificate.
        web: String = String::new(),
        /// Port of the public door as the world sees it, for addresses under the domains' own names.
        web_port: u16 = 443,
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
        /// How long our own domains' documents may be believed. A new certificate waits that long before it is used, and a key
        /// that must go at once is believed that long.
        expires_seconds: u32 = 14_400,
    }

    /// Whom we believe.
    tls: TlsSection {
        /// PEM file with the trust anchors for other servers' certificates. Empty: those of the system.
        roots: PathBuf = PathBuf::new(),
        /// Look for peers' certificates in the lists of revoked ones that they name (CRL).
        crl: bool = true,
        /// Ask the responders that peers' certificates name whether they are revoked (OCSP), where no list has said so.
        ocsp: bool = true,
        /// Ask of other servers' certificates the full profile of RFC 6120 13.7.1.1: a subject in each, digitalSignature in
        /// its issuers' key usage, and a place to ask whether it is revoked. Public authorities issue no such
        /// certificates; for closed networks that have an authority of their own.
        full_profile: bool = false,
        /// PEM file with the authorities whose certificates prove clients (SASL EXTERNAL): the certificate names the account
        /// as XmppAddr. Empty: clients are asked for no certificate, unless their domain names authorities of its own.
        client_authorities: PathBuf = PathBuf::new(),
        /// PEM file with the platform's own certificate chain, leaf first: shown on direct TLS and HTTPS to whoever names
        /// nobody (no SNI) or one of the platform's own names. Read again when it changes. Empty: they get a TLS alert.
        platform_certificate: PathBuf = PathBuf::new(),
        /// PEM file with its key.
        platform_key: PathBuf = PathBuf::new(),
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
        /// Profile to order by, of those that the CA offers: "shortlived". Empty: its default.
        profile: String = String::new(),
        /// Chain to prefer where the CA has several, by a part of the name of its last issuer: "ISRG Root X1". Empty: its choice.
        chain: String = String::new(),
        /// Orders that the CA takes from one account …
        orders: u32 = 300,
        /// … within so many hours. These limits are Let's Encrypt's; 0 is no limit. Renewals that a CA announces itself (ARI)
        /// are not counted.
        orders_hours: u32 = 3,
        /// Certificates that it issues for names under one registered domain …
        certificates_per_registered_domain: u32 = 50,
        /// … and for exactly the same names …
        duplicates: u32 = 5,
        /// … within so many hours.
        certificates_hours: u32 = 168,
        /// Failed verifications of one name that it takes within an hour.
        failures_per_name_and_hour: u32 = 5,
        /// Names that may be under verification at a time.
        pending_authorizations: u32 = 300,
        /// Names in one certificate.
        names_per_certificate: u32 = 100,
        /// Port at which the CA asks websites (http-01). Anything but 80 is for private worlds.
        http_port: u16 = 80,
    }

    /// A second certificate authority, for when the first fails three times for a domain or does not answer. It has an account
    /// of its own; contact and limits are as in acme.
    acme_second: AcmeSecondSection {
        /// Directory URL. Empty: there is none.
        directory: String = String::new(),
        /// PEM file with the anchor of the directory's own HTTPS certificate, for a private CA. Empty: as the system.
        root: PathBuf = PathBuf::new(),
        /// You have read and agree to this CA's terms of service.
        terms_agreed: bool = false,
        /// Names that a CAA record may use for this CA.
        caa_identities: Vec<String> = Vec::new(),
        /// External account binding, if the CA asks for one: key id …
        eab_key_id: String = String::new(),
        /// … and its HMAC key (base64url).
        eab_key: Secret = Secret::default(),
        /// Profile to order by. Empty: its default.
        profile: String = String::new(),
        /// Chain to prefer, by a part of the name of its last issuer. Empty: its choice.
        chain: String = String::new(),
    }

    /// The name server of platform.zone: BIND, Knot or PowerDNS, changed by dynamic updates (RFC 2136) with TSIG.
    zone: ZoneSection {
        /// Primary server that takes updates, with port: "192.0.2.53:53". Empty: nothing is published for customers.
        server: Vec<SocketAddr> = Vec::new(),
        /// The zone's apex if platform.zone lies deeper: "hosting.example.net". Empty: platform.zone.
        apex: String = String::new(),
        /// File with the TSIG key, in the form that BIND's `tsig-keygen` or Knot's `keymgr -t` writes.
        tsig_key_file: PathBuf = "tsig.key".into(),
    }

    /// The panel.
    panel: PanelSection {
        /// Its address as people type it: "https://panel.hosting.example.net".
        url: String = "http://127.0.0.1:8080".into(),
        /// Operators of the platform must sign in with a second factor: whoever has none sets one up before anything else.
        /// Otherwise the panel warns them.
        operators_second_factor: bool = false,
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
        /// Connections from one address that nobody has logged in on yet.
        unauthenticated_per_address: u32 = 100,
        /// The same from all addresses. When it is reached, only addresses that have no other such connection get in, up to a
        /// quarter more.
        unauthenticated_connections: u32 = 10_000,
        /// Milliseconds that whoever is ready to be served may have to wait for a turn. When all have waited longer for half
        /// a second, new connections are refused until one does not: those who are let in get in before they give up.
        /// 0: never.
        late_milliseconds: u32 = 50,
        /// Sessions of one account.
        sessions_per_account: u32 = 20,
        /// Connections to one domain at a time, its clients' and its peers'.
        connections_per_domain: u32 = 50_000,
        /// Sessions of one domain at a time.
        sessions_per_domain: u32 = 50_000,
        /// Stanzas that the clients of one domain may send in a second, on average; above it each of them waits a little.
        stanzas_per_domain_and_second: u32 = 50_000,
        /// Connections to all domains of a tenant at a time. This and the other limits of a tenant are what holds
        /// where neither its plan (`domicile plan`) nor `domicile tenant set` says otherwise.
        connections_per_tenant: u32 = 50_000,
        /// Sessions of a tenant at a time.
        sessions_per_tenant: u32 = 50_000,
        /// Stanzas that the clients of a tenant may send in a second, on average.
        stanzas_per_tenant_and_second: u32 = 50_000,
        /// Other servers that the domains of a tenant talk with at a time, counted for each domain.
        peers_per_tenant: u32 = 50_000,
        /// Bytes of messages that wait for the users of a tenant.
        offline_bytes_per_tenant: u64 = 1 << 30,
        /// Bytes of files that the users of a tenant have uploaded.
        upload_bytes_per_tenant: u64 = 100 << 30,
        /// Largest stanza, in bytes; never below 10000.
        stanza_bytes: u32 = 262_144,
        /// Largest element before authentication, in bytes; never below 10000.
        unauthenticated_stanza_bytes: u32 = 16_384,
        /// Bytes that a connection may send in a second before authentication, on average.
        unauthenticated_bytes_per_second: u32 = 10_000,
        /// Bytes a client may send in a second, on average; above it is read more slowly.
        client_bytes_per_second: u32 = 1_000_000,
        /// Stanzas a client may send in a second, on average; ten seconds' worth may come at once, then the next ones wait.
        client_stanzas_per_second: u32 = 1_000,
        /// Bytes a peer server may send in a second, on average.
        peer_bytes_per_second: u32 = 10_000_000,
        /// Stanzas a peer server may send in a second on one connection, on average.
        peer_stanzas_per_second: u32 = 10_000,
        /// Addresses that one account may write to within recipients_seconds; further ones get `policy-violation`.
        recipients: u32 = 1_000,
        /// Length of that period.
        recipients_seconds: u32 = 600,
        /// Bytes that may wait for a slow reader before its session ends.
        outbox_bytes: u32 = 1_048_576,
        /// Seconds until a connection must be authenticated.
        negotiation_seconds: u32 = 60,
        /// Seconds that somebody has for what they are asked on a stream when they make an account (XEP-0389).
        registration_seconds: u32 = 600,
        /// Failed logins of an account that cost no time. The next one waits a second, each further one twice as long.
        login_failures_per_account: u32 = 5,
        /// Failed logins from an address that cost no time, whichever accounts they were for. An address from which an account
        /// has logged in before is counted together with that account alone.
        login_failures_per_address: u32 = 20,
        /// The longest such wait.
        login_delay_seconds: u32 = 20,
        /// One failure is forgiven in this time.
        login_forgiven_seconds: u32 = 60,
        /// Failures at which further logins are refused unseen, until some are forgiven.
        login_failures_at_most: u32 = 100,
        /// Attempts to get an account without being invited, from one address in an hour, where a domain is open (XEP-0077).
        registrations_per_address_and_hour: u32 = 10,
        /// Contacts in a roster; also what a tenant has unless it was set for it.
        roster_items: u32 = 2_000,
        /// Bytes of a contact's name.
        roster_name_bytes: u32 = 1_023,
        /// Groups of one contact.
        roster_groups: u32 = 50,
        /// Bytes of a group's name.
        roster_group_bytes: u32 = 1_023,
        /// Bytes of rosters kept in memory, all accounts together.
        roster_cache_bytes: u32 = 67_108_864,
        /// Subscription requests that wait for an account's answer.
        subscription_requests: u32 = 500,
        /// Bytes of such a request; of a longer one only the fact is kept.
        subscription_request_bytes: u32 = 4_096,
        /// Messages that wait for one account while nobody is there.
        offline_messages: u32 = 1_000,
        /// Bytes of messages in one account's archive; the oldest go when there are more. Looked at every hour.
        archive_bytes_per_account: u64 = 256 << 20,
        /// Bytes of messages in the archives of all users of a tenant; over it the oldest messages of the largest archives go,
        /// and for the minute that takes nothing more is archived.
        archive_bytes_per_tenant: u64 = 100 << 30,
        /// Days after which an archived message goes; 0: never. Looked at every hour.
        archive_days: u32 = 0,
        /// Nodes to which one account may publish (XEP-0060).
        pubsub_nodes: u32 = 200,
        /// Items that a node keeps, at most; what clients ask for as `max`.
        pubsub_items: u32 = 1_000,
        /// Bytes of one published item.
        pubsub_item_bytes: u32 = 200_000,
        /// Bytes of everything that one account publishes.
        pubsub_bytes_per_account: u32 = 20_971_520,
        /// Members and outcasts of a node, and as many subscribers.
        pubsub_people: u32 = 500,
        /// Notifications that one publication may bring about; further subscribers are not told.
        pubsub_notifications: u32 = 5_000,
        /// Bytes of nodes kept in memory, all accounts together.
        pubsub_cache_bytes: u32 = 33_554_432,
        /// Bytes of private XML (XEP-0049) that one account's clients keep.
        private_xml_bytes: u32 = 1_048_576,
        /// Bytes of one account's vCard (XEP-0054), its photo included.
        vcard_bytes: u32 = 262_144,
        /// Addresses to which one session may send directed presence.
        directed_presence: u32 = 1_000,
        /// Rooms (group chats) of a domain.
        rooms_per_domain: u32 = 1_000,
        /// Sessions in one room; a room's owner may choose fewer. Whoever enters is shown all of them at once, some 400 bytes
        /// each, which `outbox_bytes` must hold.
        room_occupants: u32 = 1_000,
        /// Members, admins, owners and outcasts of one room.
        room_people: u32 = 10_000,
        /// Messages of a room that are kept in memory for those who enter.
        room_history: u32 = 50,
        /// Bytes of those messages.
        room_history_bytes: u32 = 262_144,
        /// Copies a second that the rooms of a domain send of what one person says in them and shows of themselves; ten seconds'
        /// worth may come at once. In a room of a thousand, every message is a thousand.
        room_copies_per_second: u32 = 5_000,
        /// Bytes of an occupant's presence.
        room_presence_bytes: u32 = 16_384,
        /// Shortest password that a user may choose over XMPP, in characters.
        password_characters: u32 = 8,
    }

    /// Files that people share (XEP-0363), at the public door: under platform.web, or else under the domain's own name, which
    /// works where the domain's website is this service.
    uploads: UploadsSection {
        /// Where they are kept, if not in a bucket. A relative path starts in server.data_dir.
        dir: PathBuf = "uploads".into(),
        /// Bytes of one file.
        file_bytes: u64 = 104_857_600,
        /// Bytes of one account's files.
        bytes_per_account: u64 = 1 << 30,
        /// Bytes of all files of a domain.
        bytes_per_domain: u64 = 20 << 30,
        /// Days after which a file goes; 0: when its account goes.
        days: u32 = 60,
        /// Seconds within which a file must have begun to come once its address was given.
        slot_seconds: u32 = 300,
    }

    /// A bucket of S3-compatible storage, where new files of uploads are kept in place of uploads.dir. It needs the rights to put, get
    /// and delete objects; nobody but this service may write below the prefix. Files that are elsewhere stay there until they end.
    bucket: BucketSection {
        /// Where the storage is: "https://s3.eu-central-1.amazonaws.com"; http:// on this machine only. Empty: there is none.
        endpoint: String = String::new(),
        /// Name of the bucket.
        name: String = String::new(),
        /// Its region, as signatures name it.
        region: String = "us-east-1".into(),
        /// What the keys of objects begin with; behind it come customer, domain and file: "PREFIX/17/42/…".
        prefix: String = "domicile".into(),
        /// Whether the bucket's name stands in front of the endpoint's: "https://NAME.s3.…"; otherwise it stands in the path.
        virtual_host: bool = false,
        /// Who we are there …
        access_key: String = String::new(),
        /// … and what proves it; best in the environment, as DOMICILE_BUCKET_SECRET_KEY, …
        secret_key: Secret = Secret::default(),
        /// … or in a file of this path.
        secret_key_file: PathBuf = PathBuf::new(),
        /// PEM file with the anchors of the endpoint's certificate, for a private CA. Empty: as the system.
        roots: PathBuf = PathBuf::new(),
    }

    /// Streams of clients. Each domain may choose its own times (`domicile domain set`).
    clients: ClientsSection {
        /// Silence in both directions after which a space is sent, so that routers on the way do not forget the connection.
        keepalive_seconds: u32 = 300,
        /// Silence of the client after which it is pinged (XEP-0199). 0: never.
        ping_seconds: u32 = 900,
        /// How long it has to say anything at all then, or when it is asked to acknowledge what it was sent (XEP-0198).
        pong_seconds: u32 = 60,
        /// A stream over which nothing went for this long is closed. 0: never.
        idle_seconds: u32 = 0,
        /// How long a session waits for its client when the connection breaks (XEP-0198): so long its contacts see it, and what
        /// is sent to it waits. 0: sessions end with their connections.
        resume_seconds: u32 = 3_600,
        /// Where clients had best connect to then, if not where they were: "host" or "host:port".
        resume_location: String = String::new(),
        /// How long a client that has logged in can come back without its password (XEP-0484); each time it does, half way
        /// through, it gets as long again. 0: never.
        token_days: u32 = 21,
        /// Origins of the web pages that may connect through the public door: "https://chat.example.com". Empty: all; no cookie
        /// speaks for anybody there, so a page can do no more than whoever knows the password.
        web_origins: Vec<String> = Vec::new(),
    }

    /// Services for calls, which clients ask for (XEP-0215).
    external: ExternalSection {
        /// Where they are: "stun:HOST:PORT", "turn:HOST:PORT?transport=udp"; "stuns" and "turns" over TLS.
        services: Vec<String> = Vec::new(),
        /// What the TURN relays know too ("use-auth-secret" and "static-auth-secret" of coturn): credentials are made of it.
        turn_secret: Secret = Secret::default(),
        /// How long credentials hold.
        credential_seconds: u32 = 86_400,
    }

    /// What people's clients show when a domain does not answer (XEP-0455); announced with "domicile outage".
    outage: OutageSection {
        /// Where it can be read while this machine is down: "https://status.example.net/{domain}.json". The public door says it
        /// too, where platform.web names it; a domain may name addresses of its own.
        status: Vec<String> = Vec::new(),
    }

    /// Other servers.
    federation: FederationSection {
        /// What a new domain asks of them: "permissive", "verified", "encrypted" or "authenticated" (XEP-0238).
        policy: PolicyLevel = PolicyLevel::Encrypted,
        /// How long we try to reach a server before messages bounce.
        connect_seconds: u32 = 30,
        /// A stream without stanzas is closed after this time.
        idle_seconds: u32 = 600,
        /// Silence of a server after which it is asked whether it is there, where it can be asked. 0: never.
        ping_seconds: u32 = 300,
        /// How long it has to say anything at all then; what it has not acknowledged goes out on another connection.
        pong_seconds: u32 = 60,
        /// Stanzas that may wait for a stream, per pair of domains; those that people would miss do so in the database too.
        queue_stanzas: u32 = 1000,
    }

    /// Mail to the owners of domains: at most once a night, and only when something has changed.
    mail: MailSection {
        /// Your mail relay: "mail.example.net". Empty: no mail is written.
        relay: String = String::new(),
        /// Its port: 587 for "starttls", 465 for "tls".
        port: u16 = 587,
        /// "starttls", "tls", or "none" for a relay on this machine.
        security: MailSecurity = MailSecurity::StartTls,
        /// Login there, if it wants one …
        login: String = String::new(),
        /// … and its password.
        password: Secret = Secret::default(),
        /// Sender: "Chat at Example <chat@example.net>". Required with mail.relay.
        from: String = String::new(),
        /// PEM file with the anchor of the relay's certificate, for a private CA. Empty: as the system.
        roots: PathBuf = PathBuf::new(),
        /// Hour of the day (UTC) from which on the night's mail is written: 0 to 23.
        hour: u32 = 4,
    }

    /// The log, on standard error.
    log: LogSection {
        /// What is logged: "info", "warn", or "info,domicile::federation=debug".
        filter: String = "info".into(),
        /// "text" or "json".
        format: LogFormat = LogFormat::Text,
    }
}
