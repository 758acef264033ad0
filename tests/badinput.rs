//! What people and programs get wrong: configuration files, form fields, certificates, names. Each mistake gets an answer
//! that names the thing, the value and the remedy; nothing is changed, and the process goes on.

use std::path::Path;
use std::sync::LazyLock;

use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::tools::{domicile, free_port};
use crate::harness::xmpp::{Client, Connection};
use serde_json::{Value, json};

static DEMO: LazyLock<Demo> = LazyLock::new(Demo::start);

/// Writes a configuration and returns what `config check` and `serve` end with: both must say the same.
fn configured(text: &str) -> (i32, String) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let file = dir.path().join("domicile.toml");
    std::fs::write(&file, text).expect("configuration");
    let file = file.to_string_lossy().into_owned();
    let (code, out, said) = domicile(&["config", "check", "--config", &file]);
    assert_eq!(out, "", "what is wrong goes to standard error");
    let (served, _, also) = domicile(&["serve", "--config", &file]);
    assert_eq!(
        (served, &also),
        (code, &said),
        "serve and config check agree"
    );
    assert!(said.contains(&file), "the file is named: {said}");
    (code, said)
}

/// All that `serve` insists on, so that a test may break one thing.
const SERVES: &str = "[platform]\nzone = \"on.hosting.example\"\naddresses = [\"192.0.2.1\"]\n[acme]\ndirectory = \"\"\n";

#[test]
fn a_broken_configuration_is_refused_whole_with_place_value_and_remedy() {
    for (text, parts) in [
        (
            "[listen]\nc2s_tsl = [\"127.0.0.1:1\"]\n",
            &["listen.c2s_tsl", "no such key", "c2s_tls"][..],
        ),
        (
            "[lisen]\nc2s = []\n",
            &["lisen", "no such section", "\"listen\""],
        ),
        (
            "[platform]\nsign_up = \"perhaps\"\n",
            &["platform.sign_up", "\"perhaps\"", "expected"],
        ),
        (
            "[limits]\nstanza_bytes = \"many\"\n",
            &["limits.stanza_bytes", "\"many\"", "expected"],
        ),
        (
            "[limits]\nstanza_bytes = 12\n",
            &["limits.stanza_bytes", "12 is too small", "10000"],
        ),
        (
            "[listen]\nc2s = [\"example.net:5222\"]\n",
            &["listen.c2s", "example.net:5222", "expected"],
        ),
        (
            "[platform]\naddresses = [\"300.1.1.1\"]\n",
            &["platform.addresses", "300.1.1.1", "expected"],
        ),
        (
            "[dns]\nmode = \"believe\"\n",
            &["dns.mode", "\"believe\"", "validate"],
        ),
        (
            "[database]\nurl = \"mysql://u:hunter2@h/d\"\n",
            &["database.url", "postgres://", "sqlite://"],
        ),
        ("[server\nname = 1\n", &["not valid TOML", "line 1"]),
        ("name = \"x\"\n", &["name", "outside of a section"]),
    ] {
        let (code, said) = configured(text);
        assert_eq!(code, 78, "{text}: {said}");
        for part in parts {
            assert!(
                said.contains(part),
                "{part:?} is missing for {text:?}:\n{said}"
            );
        }
        assert!(!said.contains("hunter2"), "{said}");
    }
    // Several at once are reported at once.
    let (_, said) = configured("[listen]\nc2s = [\"x\"]\ns2s = [\"y\"]\n[log]\nformat = \"xml\"\n");
    for part in ["listen.c2s", "listen.s2s", "log.format"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let (code, out, said) = domicile(&["serve", "--config", "/nowhere/domicile.toml"]);
    assert_eq!((code, out.as_str()), (78, ""), "{said}");
    assert!(
        said.contains("/nowhere/domicile.toml") && said.contains("domicile config example"),
        "{said}"
    );

    let dir = tempfile::tempdir().expect("temporary directory");
    let place = dir.path().to_string_lossy().into_owned();
    let ip = crate::harness::demo::loopback();
    let mut doors = String::from("[listen]\n");
    for door in [
        "c2s", "c2s_tls", "s2s", "s2s_tls", "public", "admin", "internal",
    ] {
        doors.push_str(&format!("{door} = [\"{ip}:{}\"]\n", free_port(ip.into())));
    }
    for (lines, parts) in [
        (
            "[tls]\nroots = \"gone.pem\"\n",
            &["tls.roots", "gone.pem", "No such file"][..],
        ),
        (
            "[zone]\nserver = [\"127.0.0.1:53\"]\ntsig_key_file = \"gone.key\"\n",
            &["zone.tsig_key_file", "gone.key", "No such file"],
        ),
        (
            "[dns]\ntrust_anchor = \"gone.anchor\"\n",
            &["dns.trust_anchor", "gone.anchor", "No such file"],
        ),
        (
            "[database]\nurl = \"sqlite:///nowhere/at/all.db\"\n",
            &["/nowhere/at/all.db", "No such file"],
        ),
    ] {
        std::fs::write(
            dir.path().join("domicile.toml"),
            format!("{SERVES}{doors}{lines}"),
        )
        .expect("configuration");
        // What the configuration names is looked at before anything is started; the database only then.
        let mut commands = vec![&["serve"][..]];
        if !lines.starts_with("[database]") {
            commands.push(&["config", "check"]);
        }
        for command in commands {
            let (code, _, said) = domicile(&[command, &["--data-dir", &place]].concat());
            assert_eq!(code, 78, "{command:?} {lines}: {said}");
            for part in parts {
                assert!(
                    said.contains(part),
                    "{part:?} is missing for {lines:?}:\n{said}"
                );
            }
        }
    }
    // A database whose key is lost is not opened with a new one.
    std::fs::write(dir.path().join("domicile.toml"), SERVES).expect("configuration");
    let (code, ..) = domicile(&["migrate", "--data-dir", &place]);
    assert_eq!(code, 0);
    std::fs::remove_file(dir.path().join("master.key")).expect("the key");
    let (code, _, said) = domicile(&["tenant", "list", "--data-dir", &place]);
    assert_eq!(code, 78, "{said}");
    assert!(
        said.contains("master.key") && said.contains("put it back from your copy"),
        "{said}"
    );
}

#[test]
fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let place = dir.path().to_string_lossy().into_owned();
    let taken = DEMO.info.c2s;
    let text = format!("{SERVES}[listen]\nc2s = [\"{taken}\"]\n");
    std::fs::write(dir.path().join("domicile.toml"), text).expect("configuration");
    let (code, _, said) = domicile(&["serve", "--data-dir", &place]);
    assert_eq!(code, 6, "{said}");
    assert!(
        said.contains(&taken.to_string()) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn bad_fields_of_the_api_are_named_and_change_nothing() {
    let api = Api::operator(&DEMO.info);
    let before = api.get("/domains").json();
    let tenant = &api.get("/tenants").json()[0]["id"];
    let accounts = "/domains/one.example/accounts";
    for (path, body, field) in [
        (
            "/domains",
            json!({"domain": "not a name", "tenant": tenant}),
            "domain",
        ),
        (
            "/domains",
            json!({"domain": "co.uk", "tenant": tenant}),
            "domain",
        ),
        (
            "/domains",
            json!({"domain": "192.0.2.1", "tenant": tenant}),
            "domain",
        ),
        (
            "/domains",
            json!({"domain": format!("{}.example", "x".repeat(64)), "tenant": tenant}),
            "domain",
        ),
        (
            accounts,
            json!({"local": "a@b", "password": "a-long-enough-secret-1"}),
            "local",
        ),
        (
            accounts,
            json!({"local": "", "password": "a-long-enough-secret-1"}),
            "local",
        ),
        (
            accounts,
            json!({"local": "short", "password": "x"}),
            "password",
        ),
        (
            "/sign-up",
            json!({"email": "no address", "password": "correct horse battery staple", "domain": "new.example"}),
            "email",
        ),
    ] {
        let answer = api.post(path, &body);
        let problem = answer.problem(422, "invalid");
        assert_eq!(problem["field"], field, "{body}: {problem}");
        assert!(
            !answer.body.contains("a-long-enough-secret"),
            "{}",
            answer.body
        );
    }
    api.post(
        "/domains",
        &json!({"domain": "one.example", "tenant": tenant}),
    )
    .problem(409, "exists");
    api.get("/domains/never.example").problem(404, "not-found");
    api.delete("/domains/one.example/accounts/nobody")
        .problem(404, "not-found");
    let patch = json!({"policy": "trust-everybody"}).to_string();
    let answer = api.send(
        "PATCH",
        "/domains/one.example",
        "application/json",
        patch.as_bytes(),
    );
    assert_eq!(answer.problem(422, "invalid")["field"], "policy");
    assert_eq!(names(&api.get("/domains").json()), names(&before));
}

fn names(domains: &Value) -> Vec<String> {
    let list = domains.as_array().expect("a list").iter();
    list.map(|d| d["domain"].to_string() + &d["state"].to_string())
        .collect()
}

#[test]
fn bad_bodies_of_the_api_are_refused_in_words() {
    let api = Api::operator(&DEMO.info);
    let huge = vec![b'x'; 20 << 20];
    for (kind, body, statuses) in [
        ("application/json", &b"{\"domain\": "[..], &[400, 422][..]),
        ("application/json", b"[1, 2]", &[400, 422]),
        ("application/json", b"{\"domain\": 7}", &[400, 422]),
        (
            "application/json",
            b"{\"domain\": \"x.example\", \"surprise\": 1}",
            &[400, 422],
        ),
        ("application/json", b"\xff\xfe", &[400, 422]),
        ("text/plain", b"domain=x.example", &[415]),
        ("application/json", &huge, &[413]),
    ] {
        let answer = api.send("POST", "/domains", kind, body);
        assert!(
            statuses.contains(&answer.status),
            "{:?}: {answer:?}",
            &body[..body.len().min(40)]
        );
        let problem = answer.json();
        for part in ["code", "title", "detail", "remedy"] {
            assert!(
                !problem[part].as_str().unwrap_or_default().is_empty(),
                "no {part}: {problem}"
            );
        }
    }
    // Strangers learn nothing, not even whether the domain is there.
    let stranger = Api::stranger(&DEMO.info);
    let (there, nowhere) = (
        stranger.get("/domains/one.example"),
        stranger.get("/domains/never.example"),
    );
    assert_eq!((there.status, there.body), (401, nowhere.body));
    // The panel says it in a page.
    let page = stranger.raw(
        "POST",
        "/login",
        "application/x-www-form-urlencoded",
        b"login=x&password=y",
    );
    assert!(
        (400..500).contains(&page.status) && page.body.contains("<html"),
        "{page:?}"
    );
    let page = stranger.raw("GET", "/there/is/no/such/page", "text/html", b"");
    assert!(
        page.status == 404 && page.body.contains("<html"),
        "{page:?}"
    );
}

#[test]
fn wrong_certificates_are_refused_and_the_one_in_use_stays() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let out = dir.path().to_string_lossy().into_owned();
    let data = DEMO.data_dir.to_string_lossy().into_owned();
    for name in ["one.example", "other.example"] {
        let (code, _, err) = domicile(&["sandbox-cert", name, "--out", &out, "--data-dir", &data]);
        assert_eq!(code, 0, "{err}");
    }
    let garbage = dir.path().join("garbage.pem");
    std::fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("file");
    let file = |name: &str| dir.path().join(name);
    let secrets = ["one.example.key", "other.example.key"]
        .map(|name| std::fs::read_to_string(file(name)).expect("key"));
    let before = presented();
    let upload = |chain: &Path, key: &Path| {
        let (chain, key) = (
            chain.to_string_lossy().into_owned(),
            key.to_string_lossy().into_owned(),
        );
        domicile(&[
            "cert",
            "upload",
            "one.example",
            "--chain",
            &chain,
            "--key",
            &key,
            "--data-dir",
            &data,
        ])
    };
    for (chain, key, parts) in [
        (
            "other.example.crt",
            "other.example.key",
            &["other.example", "one.example"][..],
        ),
        ("one.example.crt", "other.example.key", &["key"]),
        ("garbage.pem", "one.example.key", &["certificate"]),
        (
            "one.example.key",
            "one.example.key",
            &["chain_pem", "private key"],
        ),
        ("one.example.crt", "garbage.pem", &["key"]),
        (
            "missing.crt",
            "one.example.key",
            &["missing.crt", "No such file"],
        ),
    ] {
        let (code, _, said) = upload(&file(chain), &file(key));
        assert_eq!(code, 2, "{chain} {key}: {said}");
        for part in parts {
            assert!(
                said.contains(part),
                "{part:?} is missing for {chain} with {key}: {said}"
            );
        }
        assert!(said.lines().count() >= 2, "a remedy follows: {said}");
        for secret in secrets
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !line.starts_with('-'))
        {
            assert!(!said.contains(secret), "a key is shown: {said}");
        }
    }
    let api = Api::operator(&DEMO.info);
    let body = json!({"chain_pem": "nothing", "key_pem": "of the kind"});
    let problem = api
        .post("/domains/one.example/certificates", &body)
        .problem(422, "invalid");
    assert!(
        problem["field"]
            .as_str()
            .is_some_and(|f| f.ends_with("_pem")),
        "{problem}"
    );
    assert_eq!(presented(), before, "the certificate in use is the same");
}

/// The certificate that a client of one.example sees now.
fn presented() -> Vec<u8> {
    let mut connection = Connection::open(DEMO.info.c2s, "one.example");
    connection.negotiate_tls(DEMO.roots());
    connection.peer_leaf()
}

#[test]
fn vhost_05_servers_that_ask_for_an_unknown_domain_get_host_unknown_and_no_certificate() {
    let mut connection = Connection::open(DEMO.info.s2s, "never.example");
    connection.send(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         from='peer.example' to='never.example' version='1.0'>",
    );
    let rest = connection.rest();
    assert!(
        rest.contains("<host-unknown") && !rest.contains("starttls"),
        "{rest}"
    );
    // And clients that name a wrong one in a stanza hear it from the router, on a stream that lives on.
    let mut alice = Client::online(&DEMO, "alice@one.example", "names");
    for to in ["a b@one.example", "@one.example", "x@", "x@y@z/", "x@-.-"] {
        alice.send(&format!(
            "<message to='{to}' id='bad'><body>x</body></message>"
        ));
        let error = alice.until("id='bad'");
        assert!(error.contains("<jid-malformed"), "{to}: {error}");
    }
    alice.close();
}
