//! The demo: a whole small internet on loopback, with two hosted domains that went through the same onboarding as any
//! customer's.
//!
//! It starts the sandbox's DNS ([`dns`]) and certificate authority ([`ca`]), the server, the control worker and the panel, then
//! signs up a customer with two domains, publishes their records, waits until they are live, and says how to get in. All
//! facts are made through `control`; nothing is written behind its back. Everything lies in one directory, and with the same
//! directory it goes on where it stopped.
//!
//! It refuses to be a deployment: it listens on loopback unless told otherwise, and its passwords lie in `demo.json`.

pub mod ca;
pub mod dns;
mod onboarding;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use control::Pace;
use serde_json::json;

use crate::cli::{Failure, Outcome, say};
use crate::config::{Config, Secret};
use crate::running::{Running, Sandbox};
use crate::wiring;
use dns::{Dns, Signing};
use onboarding::People;

/// TTL of the records in the sandbox, in seconds.
const TTL_SECONDS: u32 = 10;

/// `domicile demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Address to listen at
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "IP")]
    listen: IpAddr,
    /// Print one line of JSON when ready, instead of words
    #[arg(long)]
    json: bool,
    /// Database, an empty one: postgres://USER:PASSWORD@HOST/NAME [default: SQLite, a file in the directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    #[command(flatten)]
    ports: Ports,
}

/// A port per door; 0 takes any free one, and so does the default if it is taken.
#[derive(Debug, Clone, Args)]
struct Ports {
    /// Panel and JSON API [default: 8080, or any free one]
    #[arg(long, value_name = "PORT")]
    panel_port: Option<u16>,
    /// Clients, STARTTLS [default: 5222, or any free one]
    #[arg(long, value_name = "PORT")]
    c2s_port: Option<u16>,
    /// Clients, direct TLS [default: 5223, or any free one]
    #[arg(long, value_name = "PORT")]
    c2s_tls_port: Option<u16>,
    /// Servers, STARTTLS [default: 5269, or any free one]
    #[arg(long, value_name = "PORT")]
    s2s_port: Option<u16>,
    /// Servers, direct TLS [default: 5270, or any free one]
    #[arg(long, value_name = "PORT")]
    s2s_tls_port: Option<u16>,
    /// Public web door of the hosted domains, HTTPS [default: 5443, or any free one]
    #[arg(long, value_name = "PORT")]
    public_port: Option<u16>,
    /// Components [default: 5347, or any free one]
    #[arg(long, value_name = "PORT")]
    component_port: Option<u16>,
    /// Health and metrics [default: 9090, or any free one]
    #[arg(long, value_name = "PORT")]
    internal_port: Option<u16>,
    /// The sandbox's DNS [default: 5300, or any free one]
    #[arg(long, value_name = "PORT")]
    dns_port: Option<u16>,
}

/// Runs the demo until it is told to stop.
pub async fn run(demo: Demo, data_dir: Option<PathBuf>) -> Outcome {
    let fresh = data_dir.is_none();
    let dir = data_dir.unwrap_or_else(fresh_dir);
    let outcome = in_dir(&demo, &dir, fresh).await;
    if fresh && let Err(error) = std::fs::remove_dir_all(&dir) {
        tracing::warn!(dir = %dir.display(), %error, "the demo's directory cannot be removed");
    }
    outcome
}

async fn in_dir(demo: &Demo, dir: &Path, fresh: bool) -> Outcome {
    wiring::make_dir(dir)?;
    let dir = std::fs::canonicalize(dir).map_err(|error| crate::cli::unwritable(dir, &error))?;
    let said = |error: &dyn std::error::Error| {
        Failure::other(
            6,
            chain(error),
            "Choose another port, address or directory; `domicile demo --help` shows how.",
        )
    };

    progress("starting the DNS and the certificate authority");
    let dns = Dns::start(
        &dir.join("dns"),
        demo.listen,
        free(demo.listen, demo.ports.dns_port, 5300),
    )
    .await
    .map_err(|error| said(&error))?;
    for (zone, signing) in [
        ("unsigned.example", Signing::Unsigned),
        ("bogus.example", Signing::Bogus),
    ] {
        dns.zone_add(zone, signing).map_err(|error| said(&error))?;
    }
    let ca =
        Arc::new(ca::Ca::open(&dir.join("ca"), Some(dns.address())).map_err(|error| said(&error))?);

    progress("starting the server");
    let config = configuration(demo, &dir, &dns, &ca);
    own_certificate(&config, &ca)?;
    let sandbox = Sandbox {
        issuer: ca.clone(),
        owner_zone: Arc::new(dns.clone()),
    };
    let running = Running::start(config, Pace::sandbox(), Some(sandbox)).await?;
    write_configuration(&running.config)?;

    let people = onboarding::prepare(&running, &dir).await;
    let people = match people {
        Ok(people) => people,
        Err(failure) => {
            running.stop().await;
            dns.stop();
            return Err(failure);
        }
    };
    let told = crate::running::told_to_stop();
    if demo.json {
        say!("{}", json_line(&running.config, &dns, &ca, &people, &dir));
    } else {
        say!(
            "{}",
            words(&running.config, &dns, &ca, &people, &dir, fresh)
        );
    }
    told.await;
    progress("stopping");
    running.stop().await;
    dns.stop();
    Ok(0)
}

/// The configuration of a demo: everything that the network decides points into the sandbox.
fn configuration(demo: &Demo, dir: &Path, dns: &Dns, ca: &ca::Ca) -> Config {
    let at = |given: Option<u16>, usual: u16| {
        vec![SocketAddr::new(
            demo.listen,
            free(demo.listen, given, usual),
        )]
    };
    let mut config = Config::default();
    config.server.name = "Domicile demo".into();
    config.server.data_dir = dir.to_path_buf();
    config.database.url = Secret::new(demo.database.clone().unwrap_or_default());
    config.listen.c2s = at(demo.ports.c2s_port, 5222);
    config.listen.c2s_tls = at(demo.ports.c2s_tls_port, 5223);
    config.listen.s2s = at(demo.ports.s2s_port, 5269);
    config.listen.s2s_tls = at(demo.ports.s2s_tls_port, 5270);
    config.listen.public = at(demo.ports.public_port, 5443);
    config.listen.components = at(demo.ports.component_port, 5347);
    config.listen.admin = at(demo.ports.panel_port, 8080);
    config.listen.internal = at(demo.ports.internal_port, 9090);
    config.platform.zone = format!("on.{}", dns::PLATFORM_ZONE);
    config.platform.addresses = vec![demo.listen];
    config.platform.private_addresses = true;
    config.platform.web_port = config.listen.public.first().map_or(443, SocketAddr::port);
    config.platform.ttl_seconds = TTL_SECONDS;
    config.dns.resolvers = vec![dns.address()];
    config.dns.trust_anchor = dns.trust_anchor();
    config.dns.authoritative_port = dns.address().port();
    config.tls.roots = ca.root().to_path_buf();
    config.tls.platform_certificate = dir.join("platform.pem");
    config.tls.platform_key = dir.join("platform.key");
    config.acme.directory = String::new();
    config.zone.server = vec![dns.address()];
    config.zone.apex = dns::PLATFORM_ZONE.into();
    config.zone.tsig_key_file = dns.tsig_key();
    config
}

/// The platform's own certificate, new at every start: what is shown to clients that name no domain (C-02).
fn own_certificate(config: &Config, ca: &ca::Ca) -> Result<(), Failure> {
    let names = [config.platform.zone.clone(), dns::PLATFORM_ZONE.to_owned()];
    let failed = |error: &dyn std::error::Error| {
        Failure::other(
            2,
            chain(error),
            "Choose a directory that this user may write to.",
        )
    };
    let own = ca
        .leaf(&names, &control::outside::KeyChoice::New)
        .map_err(|error| failed(&error))?;
    let write = |file: &Path, text: &str| {
        dns::files::replace(file, text.as_bytes(), 0o600).map_err(|error| failed(&error))
    };
    write(&config.tls.platform_key, own.key_pem.expose())?;
    write(&config.tls.platform_certificate, &own.chain_pem)
}

/// Leaves a file with which the command line finds this demo: `domicile user list one.example --data-dir DIR`.
fn write_configuration(config: &Config) -> Result<(), Failure> {
    let first = |addresses: &[SocketAddr]| {
        addresses
            .first()
            .map(SocketAddr::to_string)
            .unwrap_or_default()
    };
    let mut text = String::from("# Written by `domicile demo` at every start.\n");
    let mut section = |name: &str, keys: &[(&str, toml::Value)]| {
        text.push_str(&format!("\n[{name}]\n"));
        for (key, value) in keys {
            text.push_str(&format!("{key} = {value}\n"));
        }
    };
    let string = |text: String| toml::Value::String(text);
    let list = |text: String| toml::Value::Array(vec![toml::Value::String(text)]);
    let path = |path: &Path| toml::Value::String(path.display().to_string());
    let port = |port: u16| toml::Value::Integer(port.into());
    section(
        "server",
        &[
            ("name", string(config.server.name.clone())),
            ("data_dir", path(&config.server.data_dir)),
        ],
    );
    // The file is this user's alone, for the address may hold a password.
    section(
        "database",
        &[("url", string(config.database.url.expose().to_owned()))],
    );
    section(
        "listen",
        &[
            ("c2s", list(first(&config.listen.c2s))),
            ("c2s_tls", list(first(&config.listen.c2s_tls))),
            ("s2s", list(first(&config.listen.s2s))),
            ("s2s_tls", list(first(&config.listen.s2s_tls))),
            ("public", list(first(&config.listen.public))),
            ("components", list(first(&config.listen.components))),
            ("admin", list(first(&config.listen.admin))),
            ("internal", list(first(&config.listen.internal))),
        ],
    );
    section(
        "platform",
        &[
            ("zone", string(config.platform.zone.clone())),
            (
                "addresses",
                list(
                    config
                        .platform
                        .addresses
                        .first()
                        .map(IpAddr::to_string)
                        .unwrap_or_default(),
                ),
            ),
            ("client_port", port(config.platform.client_port)),
            ("client_tls_port", port(config.platform.client_tls_port)),
            ("server_port", port(config.platform.server_port)),
            ("server_tls_port", port(config.platform.server_tls_port)),
            (
                "ttl_seconds",
                toml::Value::Integer(config.platform.ttl_seconds.into()),
            ),
            ("web_port", port(config.platform.web_port)),
            ("private_addresses", toml::Value::Boolean(true)),
        ],
    );
    section(
        "dns",
        &[
            ("resolvers", list(first(&config.dns.resolvers))),
            ("trust_anchor", path(&config.dns.trust_anchor)),
            ("authoritative_port", port(config.dns.authoritative_port)),
        ],
    );
    section(
        "tls",
        &[
            ("roots", path(&config.tls.roots)),
            (
                "platform_certificate",
                path(&config.tls.platform_certificate),
            ),
            ("platform_key", path(&config.tls.platform_key)),
        ],
    );
    section("acme", &[("directory", string(String::new()))]);
    section(
        "zone",
        &[
            ("server", list(first(&config.zone.server))),
            ("apex", string(config.zone.apex.clone())),
            ("tsig_key_file", path(&config.zone.tsig_key_file)),
        ],
    );
    section("panel", &[("url", string(config.panel.url.clone()))]);
    let file = config.server.data_dir.join("domicile.toml");
    dns::files::replace(&file, text.as_bytes(), 0o600).map_err(|error| {
        Failure::other(
            2,
            chain(&error),
            "Choose a directory that this user may write to.",
        )
    })
}

/// The line of `--json`, in the form that tests and scripts rely on.
fn json_line(
    config: &Config,
    dns: &Dns,
    ca: &ca::Ca,
    people: &People,
    dir: &Path,
) -> serde_json::Value {
    let first = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::to_string);
    json!({
        "panel": config.panel.url,
        "api": format!("{}/api/v1", config.panel.url),
        "c2s": first(&config.listen.c2s),
        "c2s_tls": first(&config.listen.c2s_tls),
        "s2s": first(&config.listen.s2s),
        "s2s_tls": first(&config.listen.s2s_tls),
        "public": config.listen.public.first().map(|address| format!("https://{address}")),
        "components": first(&config.listen.components),
        "internal": config.listen.internal.first().map(|address| format!("http://{address}")),
        "dns": dns.address().to_string(),
        "trust_anchor": dns.trust_anchor(),
        "tsig_key": dns.tsig_key(),
        "ca": ca.root(),
        "data_dir": dir,
        "domains": onboarding::DOMAINS,
        "users": people.users.iter().map(|user| json!({"jid": user.login, "password": user.password})).collect::<Vec<_>>(),
        "operator": {"login": people.operator.login, "password": people.operator.password},
        "owner": {"login": people.owner.login, "password": people.owner.password},
    })
}

fn words(
    config: &Config,
    dns: &Dns,
    ca: &ca::Ca,
    people: &People,
    dir: &Path,
    fresh: bool,
) -> String {
    let ip = dns.address().ip();
    let port =
        |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port).unwrap_or_default();
    let users: Vec<String> = people
        .users
        .chunks(2)
        .map(|two| {
            let each = two
                .iter()
                .map(|user| format!("{}  {}", user.login, user.password));
            each.collect::<Vec<_>>().join("   ")
        })
        .collect();
    let keep = if fresh {
        "gone when it stops; --data-dir DIR keeps everything"
    } else {
        "the next start with it goes on from here"
    };
    format!(
        "Ready. Ctrl-C stops it.\n\
         \x20 panel     {}  (sign up as a new customer, or sign in as one of the next two)\n\
         \x20 operator  {}  {}\n\
         \x20 customer  {}  {}\n\
         \x20 users     {}\n\
         \x20 clients   server {ip}, port {} (STARTTLS) or {} (direct TLS), trusting {}\n\
         \x20 servers   peers find us in the DNS: {} (nsupdate -k {})\n\
         \x20 shell     domicile domain list --data-dir {}\n\
         \x20 files     {} ({keep})",
        config.panel.url,
        people.operator.login,
        people.operator.password,
        people.owner.login,
        people.owner.password,
        users.join("\n            "),
        port(&config.listen.c2s),
        port(&config.listen.c2s_tls),
        ca.root().display(),
        dns.address(),
        dns.tsig_key().display(),
        dir.display(),
        dir.display(),
    )
}

/// The given port, or the usual one if nobody has it, or any.
fn free(ip: IpAddr, given: Option<u16>, usual: u16) -> u16 {
    given.unwrap_or_else(|| TcpListener::bind((ip, usual)).map_or(0, |_| usual))
}

fn fresh_dir() -> PathBuf {
    std::env::temp_dir().join(format!(
        "domicile-demo-{}",
        data_encoding::HEXLOWER.encode(&rand::random::<[u8; 6]>())
    ))
}

pub(crate) fn progress(what: &str) {
    eprintln!("domicile: {what} …");
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
