//! The life of domains and accounts while the server runs: they come, are stopped, go on and leave, by command line and by
//! API, and nobody else's session notices.

use std::time::{Duration, Instant};

use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::serve::Platform;
use crate::harness::tools::{domicile, domicile_with};
use crate::harness::xmpp::{Client, Connection};
use serde_json::{Value, json};

/// A command beside the running demo, which must do what it is told.
fn done(demo: &Demo, args: &[&str], input: &str) -> String {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile_with(&[args, &["--data-dir", &place]].concat(), input);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// What a new stream to the domain is told, as the whole answer to its header.
fn greeted(demo: &Demo, domain: &str) -> String {
    let mut connection = Connection::open(demo.info.c2s, domain);
    connection.header();
    connection.item()
}

/// Asks again until a new stream to the domain is told `word`, no faster than an address may connect.
fn until_greeted(demo: &Demo, domain: &str, word: &str) {
    let end = Instant::now() + crate::harness::DEADLINE;
    loop {
        let answer = greeted(demo, domain);
        if answer.contains(word) {
            return;
        }
        assert!(Instant::now() < end, "never {word}: {answer}");
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn ends_with_error(mut client: Client, condition: &str) {
    let rest = client.connection.rest();
    assert!(
        rest.contains("<stream:error") && rest.contains(&format!("<{condition}")),
        "expected {condition}: {rest}"
    );
    assert!(rest.ends_with("</stream:stream>"), "{rest}");
}

/// A session of another domain that has been there all along.
struct Witness(Client);

impl Witness {
    fn still_there(&mut self) {
        let own = self.0.jid.clone();
        self.0.message(&own, "witness", "to myself");
        self.0.until("id='witness'");
    }
}

#[test]
fn vhost_06_a_domain_comes_is_stopped_goes_on_and_leaves_while_others_stay() {
    let demo = Demo::start();
    let api = Api::operator(&demo.info);
    let mut witness = Witness(Client::online(&demo, "alice@one.example", "witness"));
    assert!(greeted(&demo, "third.example").contains("<host-unknown"));

    // By the API: added, published, live. The customer is the demo's.
    let tenants = api.get("/tenants").json();
    let tenant = &tenants[0]["id"];
    let added = api.post(
        "/domains",
        &json!({"domain": "third.example", "tenant": tenant}),
    );
    assert_eq!(added.status, 201, "{added:?}");
    assert!(
        greeted(&demo, "third.example").contains("<host-unknown"),
        "claimed is not hosted"
    );
    assert_eq!(
        api.post("/domains/third.example/publish", &Value::Null)
            .status,
        202
    );
    let end = Instant::now() + crate::harness::DEADLINE * 2;
    let mut shown = Value::Null;
    while shown["state"] != "live" {
        assert!(Instant::now() < end, "not live in time: {shown:#}");
        shown = api
            .post("/domains/third.example/check?wait=true", &Value::Null)
            .json();
    }
    let secret = "a-long-enough-secret-7";
    let new = json!({"local": "carol", "password": secret});
    assert_eq!(
        api.post("/domains/third.example/accounts", &new).status,
        201
    );
    let login = |resource: &str| {
        Client::login_with(&demo, "carol@third.example", secret, resource).available()
    };
    let mut carol = login("first");
    let own = witness.0.jid.clone();
    carol.message(&own, "hello", "from the third domain");
    witness.0.until("id='hello'");

    // Stopped by the command line, in another process: its sessions end with the reason, new ones are refused.
    done(
        &demo,
        &["domain", "suspend", "third.example", "--reason", "unpaid"],
        "",
    );
    ends_with_error(carol, "policy-violation");
    until_greeted(&demo, "third.example", "<policy-violation");
    witness.still_there();
    witness
        .0
        .message("carol@third.example", "into-the-void", "hello?");
    let error = witness.0.until("id='into-the-void'");
    assert!(error.contains("type='error'"), "{error}");

    // And again: by the command line, then the same by the API.
    done(&demo, &["domain", "resume", "third.example"], "");
    until_greeted(&demo, "third.example", "<starttls");
    let carol = login("second");
    let answer = api.post(
        "/domains/third.example/suspend",
        &json!({"reason": "again"}),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    ends_with_error(carol, "policy-violation");
    let answer = api.post("/domains/third.example/resume", &Value::Null);
    assert_eq!(answer.status, 200, "{answer:?}");
    until_greeted(&demo, "third.example", "<starttls");

    // Removed: whoever is there is told that the host is gone, and so is whoever comes.
    let carol = login("third");
    let answer = api.delete("/domains/third.example");
    assert_eq!(answer.status, 200, "{answer:?}");
    ends_with_error(carol, "host-gone");
    until_greeted(&demo, "third.example", "<host-gone");
    assert!(greeted(&demo, "never.example").contains("<host-unknown"));
    witness.still_there();

    // The other way round: a demo's own domain leaves by the command line.
    let bob = Client::online(&demo, "bob@two.example", "here");
    done(&demo, &["domain", "remove", "two.example", "--yes"], "");
    ends_with_error(bob, "host-gone");
    until_greeted(&demo, "two.example", "<host-gone");
    witness.still_there();
    witness.0.close();
}

#[test]
fn im_21_an_account_that_is_stopped_or_removed_loses_its_sessions_and_nobody_else() {
    let demo = Demo::start();
    let mut witness = Witness(Client::online(&demo, "alice@one.example", "witness"));
    let bob = Client::online(&demo, "bob@one.example", "here");
    done(&demo, &["user", "suspend", "bob@one.example"], "");
    let mut bob = bob;
    let rest = bob.connection.rest();
    assert!(
        rest.contains("<stream:error") && rest.ends_with("</stream:stream>"),
        "{rest}"
    );
    witness.still_there();
    done(&demo, &["user", "resume", "bob@one.example"], "");
    let mut bob = Client::online(&demo, "bob@one.example", "again");
    done(&demo, &["user", "remove", "bob@one.example", "--yes"], "");
    let rest = bob.connection.rest();
    assert!(
        rest.contains("<stream:error") && rest.ends_with("</stream:stream>"),
        "{rest}"
    );
    witness.still_there();
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, _, err) = domicile(&["user", "suspend", "bob@one.example", "--data-dir", &place]);
    assert_eq!(code, 3, "{err}");
}

/// A password set by another process: whoever logged in with the old one is out at once, and nobody else.
#[test]
fn ext_33_a_password_set_beside_the_server_ends_that_accounts_sessions() {
    let demo = Demo::start();
    let bob = "bob@one.example";
    let mut witness = Witness(Client::online(&demo, "alice@one.example", "witness"));
    let sessions = ["phone", "desk"].map(|resource| Client::online(&demo, bob, resource));
    let fresh = "another-long-secret-1";
    let line = format!("{fresh}\n");
    done(&demo, &["user", "passwd", bob, "--password-stdin"], &line);
    for session in sessions {
        ends_with_error(session, "not-authorized");
    }
    let mut connection = Connection::open(demo.info.c2s, "one.example");
    connection.negotiate_tls(demo.roots());
    connection.header();
    connection.item();
    let answer = connection.plain("bob", demo.password(bob));
    assert!(answer.contains("<not-authorized"), "{answer}");
    Client::login_with(&demo, bob, fresh, "again").close();
    witness.still_there();
}

/// The command's answer, at whatever stage it is.
fn command(admin: &mut Client, node: &str, session: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    let form = match fields.as_str() {
        "" => String::new(),
        fields => format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>"),
    };
    let session = match session {
        "" => String::new(),
        session => format!(" sessionid='{session}'"),
    };
    let node = format!("http://jabber.org/protocol/admin#{node}");
    let command = format!(
        "<command xmlns='http://jabber.org/protocol/commands' node='{node}'{session}>{form}</command>"
    );
    admin.iq("set", Some("one.example"), &command)
}

/// The admins of a domain look after its accounts from an app; everybody else hears that they may not, and the log has it.
#[test]
fn ext_35_an_admin_looks_after_accounts_from_an_app() {
    let demo = Demo::start();
    let mut alice = Client::online(&demo, "alice@one.example", "admin");
    let refused = command(&mut alice, "get-registered-users-list", "", &[]);
    assert!(refused.contains("<forbidden "), "{refused}");
    done(
        &demo,
        &[
            "domain",
            "set",
            "one.example",
            "--admins",
            "alice@one.example",
        ],
        "",
    );
    let end = Instant::now() + crate::harness::DEADLINE;
    while command(&mut alice, "get-registered-users-list", "", &[]).contains("<forbidden ") {
        assert!(Instant::now() < end, "never an admin");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let mut run = |node: &str, fields: &[(&str, &str)]| {
        let form = command(&mut alice, node, "", &[]);
        let session = crate::harness::xmpp::between(&form, "sessionid='", "'");
        let session = session.unwrap_or_else(|| panic!("{form}")).to_owned();
        command(&mut alice, node, &session, fields)
    };
    let dora = "dora@one.example";
    let password = "a long enough secret";
    let short = [
        ("accountjid", dora),
        ("password", "x"),
        ("password-verify", "x"),
    ];
    let told = run("add-user", &short);
    assert!(
        told.contains("<not-acceptable "),
        "the panel's rules: {told}"
    );
    let fields = [
        ("accountjid", dora),
        ("password", password),
        ("password-verify", password),
    ];
    let told = run("add-user", &fields);
    assert!(told.contains("status='completed'"), "{told}");
    let mut client = Client::login_with(&demo, dora, password, "first").available();
    let told = run("announce", &[("announcement", "Tea at five")]);
    assert!(told.contains("status='completed'"), "{told}");
    let heard = client.until("Tea at five");
    assert!(
        heard.contains("type='headline'") && heard.contains("from='one.example'"),
        "{heard}"
    );
    let told = run("end-user-session", &[("accountjids", dora)]);
    assert!(told.contains("status='completed'"), "{told}");
    ends_with_error(client, "policy-violation");
    let told = run("delete-user", &[("accountjids", dora)]);
    assert!(told.contains("status='completed'"), "{told}");
    let told = run("delete-user", &[("accountjids", "alice@two.example")]);
    assert!(told.contains("<bad-payload "), "another domain's: {told}");
    let listed = command(&mut alice, "get-registered-users-list", "", &[]);
    assert!(
        listed.contains("bob@one.example") && !listed.contains(dora),
        "{listed}"
    );
    let log = done(&demo, &["audit", "--domain", "one.example", "--json"], "");
    assert!(
        log.contains("account.remove") && log.contains("alice@one.example"),
        "{log}"
    );
}

#[test]
fn the_master_key_is_not_replaced_beside_a_server() {
    let demo = Demo::start();
    let mut platform = Platform::beside(&demo, "");
    let served = platform.serve();
    let operator = platform.settle();
    platform.host(&demo, &operator, "four.example");
    platform.user("juliet@four.example");
    let key = platform.dir.path().join("master.key");
    let read = || std::fs::read_to_string(&key).expect("a key");
    let first = read();
    let (code, out, err) = platform.command(&["keys", "rotate"], "");
    assert_eq!(code, 5, "{out}{err}");
    assert!(err.contains("a server works with this database"), "{err}");
    assert_eq!(read(), first);
    assert!(!platform.dir.path().join("master.key.next").exists());
    // Without it: the key is another one, and whoever starts then has all that was sealed with the old one.
    drop(served);
    platform.done(&["keys", "rotate"], "");
    assert_ne!(read(), first);
    let served = platform.serve();
    let password = platform.info.users[0].password.clone();
    let juliet = "juliet@four.example";
    let mut juliet = Client::login_at(served.info.c2s, demo.roots(), juliet, &password, "x");
    juliet.send("<presence/>");
    juliet.settle();
}
