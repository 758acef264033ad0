//! `domicile serve` as a child process: on the directory that a demo left behind (the same domains, users, certificates and
//! addresses, but an internet that the test provides or withholds), or as a second platform in a demo's internet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::RootCertStore;
use serde_json::Value;

use super::demo::{Demo, Info, Operator, User, loopback, roots};
use super::http::Api;
use super::tools::{Service, domicile, domicile_with, nsupdate};
use super::xmpp::Client;

/// Owners are promised to be live so soon after the last record.
const PROMISED: std::time::Duration = std::time::Duration::from_secs(60);

/// A running `domicile serve`.
pub struct Served {
    pub service: Service,
    pub info: Info,
}

impl Served {
    /// Serves `dir`, with variables of the environment over the configuration there.
    pub fn on(dir: &Path, info: &Info, envs: &[(&str, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
        command.args(["serve", "--data-dir"]).arg(dir);
        command.envs(envs.iter().map(|(key, value)| (*key, value)));
        Self::start(command, info, dir.join("serve.log"))
    }

    /// The same by a command of the test's own, which ends in `domicile serve`.
    pub fn start(mut command: Command, info: &Info, log: PathBuf) -> Self {
        command.env("RUST_LOG", "info");
        let mut service = Service::start("domicile-serve", &mut command, log);
        service.says(": ready panel=");
        Self {
            service,
            info: info.clone(),
        }
    }

    /// What a client trusts.
    pub fn roots(&self) -> Arc<RootCertStore> {
        roots(&self.info.ca)
    }

    /// Logs in over STARTTLS; no presence yet.
    pub fn login(&self, jid: &str, resource: &str) -> Client {
        let password = self.info.password(jid);
        Client::login_at(self.info.c2s, self.roots(), jid, password, resource)
    }

    /// Login and initial presence.
    pub fn online(&self, jid: &str, resource: &str) -> Client {
        self.login(jid, resource).available()
    }
}

/// A second platform in a demo's internet: an installation of its own, with addresses and a database of its own, that shares
/// nothing with the demo but DNS and certificate authority.
pub struct Platform {
    pub dir: tempfile::TempDir,
    pub info: Info,
}

impl Platform {
    /// Writes its configuration; `database` is a URL, empty for SQLite.
    pub fn beside(demo: &Demo, database: &str) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ip = loopback();
        let mut info = demo.info.clone();
        let (place, world) = (dir.path().display(), &demo.info);
        let config = format!(
            r#"[server]
data_dir = "{place}"
[database]
url = "{database}"
[listen]
c2s = ["{ip}:5222"]
c2s_tls = ["{ip}:5223"]
s2s = ["{ip}:5269"]
s2s_tls = ["{ip}:5270"]
public = ["{ip}:5443"]
admin = ["{ip}:8080"]
internal = ["{ip}:9090"]
[platform]
zone = "second.hosting.example"
addresses = ["{ip}"]
private_addresses = true
[dns]
resolvers = ["{dns}"]
trust_anchor = "{anchor}"
authoritative_port = {dns_port}
[tls]
roots = "{ca}"
[acme]
directory = ""
[zone]
server = ["{dns}"]
apex = "hosting.example"
tsig_key_file = "{key}"
[panel]
url = "http://{ip}:8080"
"#,
            dns = world.dns,
            dns_port = world.dns.port(),
            anchor = world.trust_anchor.display(),
            ca = world.ca.display(),
            key = world.tsig_key.display(),
        );
        std::fs::write(dir.path().join("domicile.toml"), config).expect("configuration");
        info.c2s = (ip, 5222).into();
        info.c2s_tls = (ip, 5223).into();
        info.s2s = (ip, 5269).into();
        info.s2s_tls = (ip, 5270).into();
        info.panel = format!("http://{ip}:8080");
        info.internal = format!("http://{ip}:9090");
        info.domains.clear();
        info.users.clear();
        info.operator = Operator {
            login: "operator@second.example".into(),
            password: "correct horse battery staple".into(),
        };
        Self { dir, info }
    }

    /// Starts (or starts again) the server.
    pub fn serve(&self) -> Served {
        Served::on(self.dir.path(), &self.info, &[])
    }

    /// A command beside the running server.
    pub fn command(&self, args: &[&str], input: &str) -> (i32, String, String) {
        let place = self.dir.path().to_string_lossy().into_owned();
        domicile_with(&[args, &["--data-dir", &place]].concat(), input)
    }

    /// A command that must do what it is told; its output is returned.
    pub fn done(&self, args: &[&str], input: &str) -> String {
        let (code, out, err) = self.command(args, input);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    }

    /// The operator, a customer, and its API.
    pub fn settle(&self) -> Api {
        let password = format!("{}\n", self.info.operator.password);
        let login = self.info.operator.login.as_str();
        self.done(&["operator", "add", login, "--password-stdin"], &password);
        self.done(&["tenant", "add", "acme"], "");
        Api::operator(&self.info)
    }

    /// Takes a domain from its claim to live, with a certificate that its owner brings, as the owner and the operator would:
    /// by command line, by dynamic updates of the owner's zone, by the API. Live is waited for as long as owners are promised: a
    /// minute.
    pub fn host(&mut self, demo: &Demo, api: &Api, domain: &str) {
        self.done(&["domain", "add", domain, "--tenant", "acme"], "");
        self.done(&["domain", "set", domain, "--mode", "uploaded"], "");
        let fragment = self.done(&["domain", "records", domain, "--zone-file"], "");
        let records = fragment
            .lines()
            .filter(|l| !l.starts_with(';') && !l.is_empty());
        let records: Vec<String> = records.map(|line| format!("update add {line}")).collect();
        nsupdate(demo, domain, &records);
        let (out, data) = (
            self.dir.path().to_string_lossy(),
            demo.data_dir.to_string_lossy(),
        );
        let (code, _, err) =
            domicile(&["sandbox-cert", domain, "--out", &out, "--data-dir", &data]);
        assert_eq!(code, 0, "{err}");
        self.done(&["domain", "verify", domain], "");
        let (chain, key) = (format!("{out}/{domain}.crt"), format!("{out}/{domain}.key"));
        self.done(
            &["cert", "upload", domain, "--chain", &chain, "--key", &key],
            "",
        );
        let end = std::time::Instant::now() + PROMISED;
        let mut shown = Value::Null;
        while shown["state"] != "live" {
            assert!(
                std::time::Instant::now() < end,
                "not live in time: {shown:#}"
            );
            shown = api
                .post(&format!("/domains/{domain}/check?wait=true"), &Value::Null)
                .json();
        }
        self.info.domains.push(domain.into());
    }

    /// Adds an account.
    pub fn user(&mut self, jid: &str) {
        let password = format!("the secret of {jid}");
        let line = format!("{password}\n");
        self.done(&["user", "add", jid, "--password-stdin"], &line);
        self.info.users.push(User {
            jid: jid.into(),
            password,
        });
    }
}
