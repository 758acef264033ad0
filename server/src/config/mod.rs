//! `domicile.toml`: read once, checked whole, overridden by `DOMICILE_…` variables.
//!
//! All problems are reported in one go, each with path, value and what was expected. Unknown keys are refused, since a
//! misspelt limit is no limit. Secrets are hidden in every text.

mod bucket;
mod schema;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};

pub use schema::{
    AcmeSecondSection, AcmeSection, BucketSection, ClientsSection, Config, DatabaseSection,
    DnsMode, DnsSection, ExternalSection, FederationSection, LimitsSection, ListenSection,
    LogFormat, LogSection, MailSecurity, PanelSection, PlatformSection, PolicyLevel, ServerSection,
    TlsSection, UploadsSection, ZoneSection,
};
pub use value::Secret;

use value::Value;

/// Variables of the environment with this prefix override keys: `DOMICILE_LISTEN_C2S`, `DOMICILE_DATABASE_URL`.
pub const ENVIRONMENT_PREFIX: &str = "DOMICILE_";

/// Variables with the prefix that are not keys of the configuration.
const OTHER_VARIABLES: &[&str] = &["DOMICILE_MASTER_KEY", "DOMICILE_CONFIG", "DOMICILE_LOG"];

/// One thing that is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `listen.c2s`, or the file.
    pub path: String,
    /// What is wrong and what was expected.
    pub text: String,
}

impl Problem {
    fn value<T: Value>(section: &str, key: &str, given: &str) -> Self {
        // The text of a secret may be in the value, so a secret's value is never repeated.
        let secret = T::expected() == <Secret as Value>::expected() && is_secret(section, key);
        let given = if secret { "(hidden)" } else { given };
        Self {
            path: format!("{section}.{key}"),
            text: format!("{given} is not valid; expected {}", T::expected()),
        }
    }

    fn unknown_key(section: &str, key: &str, known: &[&str]) -> Self {
        let path = format!("{section}.{key}");
        Self {
            path,
            text: format!("there is no such key; {}", suggestion(key, known)),
        }
    }

    fn unknown_section(section: &str, known: &[&str]) -> Self {
        Self {
            path: section.into(),
            text: format!("there is no such section; {}", suggestion(section, known)),
        }
    }

    fn new(path: &str, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

fn is_secret(section: &str, key: &str) -> bool {
    matches!(
        (section, key),
        ("database", "url")
            | ("acme" | "acme_second", "eab_key")
            | ("external", "turn_secret")
            | ("bucket", "secret_key")
    )
}

/// The nearest known word, or all of them.
fn suggestion(word: &str, known: &[&str]) -> String {
    let near = known.iter().min_by_key(|k| distance(word, k));
    match near {
        Some(k) if distance(word, k) <= 3 => format!("did you mean \"{k}\"?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// Levenshtein distance over bytes: enough for keys.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut left_above = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (left_above + usize::from(x != y))
                .min(above + 1)
                .min(row[j] + 1);
            left_above = above;
        }
    }
    row[b.len()]
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Where it was read from.
    pub source: String,
    /// At least one.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.list.len();
        write!(
            f,
            "{}: {n} {} to mend",
            self.source,
            if n == 1 { "thing" } else { "things" }
        )?;
        for problem in &self.list {
            write!(f, "\n  {}: {}", problem.path, problem.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads a file (or only defaults) and the environment.
    ///
    /// # Errors
    /// Every problem at once: an unreadable file, TOML that does not parse (with line and column), unknown sections and
    /// keys, values of the wrong kind, and values that contradict each other.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let source = file.map_or_else(|| "the configuration".into(), |p| p.display().to_string());
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| Problems {
                source: source.clone(),
                list: vec![Problem::new(
                    "file",
                    format!(
                        "cannot be read ({error}); make one with `domicile config example > {}`",
                        path.display()
                    ),
                )],
            })?,
        };
        Self::parse(&source, &text, environment)
    }

    /// Like [`Config::load`], from text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        source: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut config = Self::default();
        match text.parse::<toml::Table>() {
            Ok(table) => config.read_table(&table, &mut problems),
            Err(error) => problems.push(Problem::new("file", syntax_error(text, &error))),
        }
        config.read_environment(environment, &mut problems);
        config.check(&mut problems);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems {
                source: source.into(),
                list: problems,
            })
        }
    }

    fn read_table(&mut self, table: &toml::Table, problems: &mut Vec<Problem>) {
        for (section, content) in table {
            match content {
                toml::Value::Table(keys) if Self::SECTIONS.contains(&section.as_str()) => {
                    for (key, value) in keys {
                        self.set(section, key, value, problems);
                    }
                }
                toml::Value::Table(_) => {
                    problems.push(Problem::unknown_section(section, Self::SECTIONS))
                }
                _ => problems.push(Problem::new(
                    section,
                    "stands outside of a section; expected [section] above it",
                )),
            }
        }
    }

    fn read_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            if OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            let lower = rest.to_ascii_lowercase();
            match lower.split_once('_') {
                Some((section, key)) => self.set_text(section, key, &text, problems),
                None => problems.push(Problem::new(
                    &name,
                    "expected DOMICILE_SECTION_KEY, as in DOMICILE_LISTEN_C2S",
                )),
            }
        }
    }

    /// Values that are fine by themselves and wrong together.
    fn check(&self, problems: &mut Vec<Problem>) {
        if self.limits.stanza_bytes < 10_000 {
            let text = format!(
                "{} is too small; RFC 6120 13.12 asks for 10000 at least",
                self.limits.stanza_bytes
            );
            problems.push(Problem::new("limits.stanza_bytes", text));
        }
        if self.limits.unauthenticated_stanza_bytes < 10_000 {
            let text = format!(
                "{} is too small; RFC 6120 13.12 asks for 10000 at least",
                self.limits.unauthenticated_stanza_bytes
            );
            problems.push(Problem::new("limits.unauthenticated_stanza_bytes", text));
        }
        for (key, value) in [
            ("clients.keepalive_seconds", self.clients.keepalive_seconds),
            ("clients.pong_seconds", self.clients.pong_seconds),
            ("federation.pong_seconds", self.federation.pong_seconds),
            (
                "limits.negotiation_seconds",
                self.limits.negotiation_seconds,
            ),
            (
                "limits.registration_seconds",
                self.limits.registration_seconds,
            ),
            ("limits.recipients_seconds", self.limits.recipients_seconds),
            (
                "limits.login_forgiven_seconds",
                self.limits.login_forgiven_seconds,
            ),
        ] {
            if value == 0 {
                problems.push(Problem::new(
                    key,
                    "0 is not valid; expected a time in seconds",
                ));
            }
        }
        let (chain, key) = (&self.tls.platform_certificate, &self.tls.platform_key);
        if chain.as_os_str().is_empty() != key.as_os_str().is_empty() {
            problems.push(Problem::new(
                "tls.platform_certificate",
                "goes together with tls.platform_key: set both or none",
            ));
        }
        if self.dns.mode == DnsMode::TrustAd {
            for resolver in self.dns.resolvers.iter().filter(|r| !r.ip().is_loopback()) {
                let text = format!(
                    "\"trust-ad\" believes a resolver on loopback only, and {resolver} is not; use \"validate\", or run a \
                     validating resolver on this machine"
                );
                problems.push(Problem::new("dns.mode", text));
            }
        }
        for (path, url) in [
            ("acme.directory", &self.acme.directory),
            ("acme_second.directory", &self.acme_second.directory),
            ("panel.url", &self.panel.url),
        ] {
            let given = !url.is_empty();
            if given && !(url.starts_with("https://") || url.starts_with("http://")) {
                problems.push(Problem::new(
                    path,
                    format!("\"{url}\" is not valid; expected a URL with https://"),
                ));
            }
        }
        for (path, name) in [
            ("platform.zone", &self.platform.zone),
            ("zone.apex", &self.zone.apex),
        ] {
            if !name.is_empty() && xmpp::jid::DomainName::parse(name).is_err() {
                let text = format!(
                    "\"{name}\" is not a domain name; expected one like \"on.hosting.example.net\""
                );
                problems.push(Problem::new(path, text));
            }
        }
        for service in &self.external.services {
            if modules::ExternalService::parse(service).is_none() {
                let text = format!(
                    "\"{service}\" is not valid; expected one like \"turn:turn.example.net:3478?transport=udp\""
                );
                problems.push(Problem::new("external.services", text));
            }
        }
        for address in &self.outage.status {
            if !address.starts_with("https://") {
                let text = format!(
                    "\"{address}\" is not an address that clients can read; expected one like \"https://status.example.net/{{domain}}.json\""
                );
                problems.push(Problem::new("outage.status", text));
            }
        }
        let (zone, apex) = (&self.platform.zone, &self.zone.apex);
        if !apex.is_empty()
            && !zone.is_empty()
            && zone != apex
            && !zone.ends_with(&format!(".{apex}"))
        {
            let text = format!("platform.zone \"{zone}\" does not lie in \"{apex}\"");
            problems.push(Problem::new("zone.apex", text));
        }
        bucket::check(&self.bucket, self.uploads.file_bytes, problems);
        if self.mail.hour > 23 {
            let text = format!("{} is no hour of the day: use 0 to 23", self.mail.hour);
            problems.push(Problem::new("mail.hour", text));
        }
        if !self.mail.relay.is_empty() && self.mail.from.is_empty() {
            let text = "is required with mail.relay: whom mail comes from, as in \"Chat <chat@example.net>\"";
            problems.push(Problem::new("mail.from", text));
        }
        if !self.database.url.is_empty() {
            let url = self.database.url.expose();
            if !["sqlite:", "postgres:", "postgresql:"]
                .iter()
                .any(|s| url.starts_with(s))
            {
                let text = "expected sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME";
                problems.push(Problem::new("database.url", text));
            }
        }
    }

    /// What `serve` needs beyond what any command needs.
    ///
    /// # Errors
    /// Every missing value.
    pub fn check_for_serve(&self, source: &str) -> Result<(), Problems> {
        let mut list = Vec::new();
        if self.platform.zone.is_empty() {
            list.push(Problem::new(
                "platform.zone",
                "is required: the zone in which hosted domains get their names",
            ));
        }
        if self.platform.addresses.is_empty() {
            let text = "is required: the public addresses of this service, as in [\"192.0.2.1\"]";
            list.push(Problem::new("platform.addresses", text));
        }
        if !self.acme.directory.is_empty() && !self.acme.terms_agreed {
            let text = "is false: read the terms of the certificate authority and set it to true, or set acme.directory \
                        to \"\" to work with uploaded certificates only";
            list.push(Problem::new("acme.terms_agreed", text));
        }
        if !self.acme_second.directory.is_empty() && !self.acme_second.terms_agreed {
            let text = "is false: read the terms of the second certificate authority and set it to true, or set \
                        acme_second.directory to \"\"";
            list.push(Problem::new("acme_second.terms_agreed", text));
        }
        if !self.acme.directory.is_empty() && self.zone.server.is_empty() {
            let text = "is required for dns-01: the name server of platform.zone that takes dynamic updates";
            list.push(Problem::new("zone.server", text));
        }
        if list.is_empty() {
            Ok(())
        } else {
            Err(Problems {
                source: source.into(),
                list,
            })
        }
    }

    /// A path of the configuration; relative ones start at the data directory.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.server.data_dir.join(path)
    }

    /// The database's URL with its default filled in.
    pub fn database_url(&self) -> Secret {
        if self.database.url.is_empty() {
            Secret::new(format!(
                "sqlite://{}",
                self.path(Path::new("domicile.db")).display()
            ))
        } else {
            self.database.url.clone()
        }
    }

    /// `domicile.example.toml`: every key with its default, commented out.
    pub fn example() -> String {
        let mut out = String::from(
            "# Domicile: every key with its default. Uncomment what you change.\n\
             # Each key can be set in the environment too: DOMICILE_SECTION_KEY, lists separated by commas.\n\
             # `domicile config check` says what is wrong. This file is generated by `domicile config example`.\n\n",
        );
        Self::example_sections(&mut out);
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

/// The parser's message with line and column, without the excerpt of the file: it may hold a secret.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else {
        return format!("is not valid TOML: {}", error.message());
    };
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!(
        "is not valid TOML at line {line}, column {column}: {}",
        error.message()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Problems> {
        Config::parse("domicile.toml", text, [])
    }

    fn problems(text: &str) -> String {
        parse(text).expect_err("problems").to_string()
    }

    #[test]
    fn nothing_is_the_defaults() {
        assert_eq!(parse("").expect("defaults"), Config::default());
    }

    #[test]
    fn the_example_is_the_defaults_and_every_line_works_uncommented() {
        let example = Config::example();
        assert_eq!(parse(&example).expect("valid"), Config::default());
        let uncommented: String = example
            .lines()
            .map(|l| {
                l.strip_prefix('#')
                    .filter(|r| r.contains(" = ") && !r.starts_with(' '))
                    .unwrap_or(l)
            })
            .map(|l| format!("{l}\n"))
            .collect();
        assert_eq!(parse(&uncommented).expect("valid"), Config::default());
    }

    #[test]
    fn every_problem_is_reported_at_once_with_path_value_and_expectation() {
        let said = problems(
            "[listen]\nc2s = [\"nowhere\"]\nc2s_tsl = []\n[limits]\nstanza_bytes = 500\n[lisen]\nx = 1\n[panel]\nurl = \"ftp://x\"",
        );
        for part in [
            "5 things to mend",
            "listen.c2s: [\"nowhere\"] is not valid; expected a list",
            "listen.c2s_tsl: there is no such key; did you mean \"c2s_tls\"?",
            "limits.stanza_bytes: 500 is too small",
            "lisen: there is no such section; did you mean \"listen\"?",
            "panel.url: \"ftp://x\" is not valid",
        ] {
            assert!(said.contains(part), "{part:?} in:\n{said}");
        }
    }

    #[test]
    fn broken_toml_says_where_and_repeats_nothing() {
        let said = problems("[database]\nurl = \"postgres://u:hunter2@h/d\nx = ");
        assert!(said.contains("line 2"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn secrets_are_hidden_in_problems_and_debug() {
        let said = problems("[database]\nurl = \"mysql://u:hunter2@h/d\"\n[acme]\neab_key = 12345");
        assert!(
            !said.contains("hunter2") && !said.contains("12345"),
            "{said}"
        );
        let config = parse("[database]\nurl = \"postgres://u:hunter2@h/d\"").expect("valid");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let environment = [
            (
                "DOMICILE_LISTEN_C2S".to_owned(),
                "127.0.0.1:1, [::1]:2".to_owned(),
            ),
            ("DOMICILE_PLATFORM_SIGN_UP".to_owned(), "false".to_owned()),
            (
                "DOMICILE_MASTER_KEY".to_owned(),
                "not a key of the file".to_owned(),
            ),
            ("PATH".to_owned(), "/bin".to_owned()),
        ];
        let config = Config::parse("t", "[listen]\nc2s = []", environment).expect("valid");
        assert_eq!(config.listen.c2s.len(), 2);
        assert!(!config.platform.sign_up);
        let wrong = Config::parse(
            "t",
            "",
            [("DOMICILE_LISTEN_C2X".to_owned(), "x".to_owned())],
        );
        assert!(
            wrong
                .expect_err("unknown")
                .to_string()
                .contains("listen.c2x")
        );
    }

    #[test]
    fn trust_ad_wants_loopback() {
        let said = problems("[dns]\nmode = \"trust-ad\"\nresolvers = [\"192.0.2.1:53\"]");
        assert!(said.contains("dns.mode"), "{said}");
        parse("[dns]\nmode = \"trust-ad\"\nresolvers = [\"127.0.0.1:53\"]")
            .expect("loopback is fine");
    }

    #[test]
    fn serve_says_all_that_is_missing() {
        let said = Config::default()
            .check_for_serve("domicile.toml")
            .expect_err("missing")
            .to_string();
        for part in [
            "platform.zone",
            "platform.addresses",
            "acme.terms_agreed",
            "zone.server",
        ] {
            assert!(said.contains(part), "{part} in:\n{said}");
        }
    }
}
