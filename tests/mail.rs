//! Mail to a real SMTP server (aiosmtpd): what arrives, how it came, and what is made of a refusal. Unlike the black-box tests
//! this one calls into the server's library. Last of all, a whole server writes the night's mail.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use crate::harness::demo::{Demo, loopback};
use crate::harness::serve::Served;
use crate::harness::tools::{Service, domicile, environment, free_port};
use control::Secret;
use control::outside::{KeyChoice, Mail, MailError, Mailer as _};
use domicile::demo::ca::Ca;
use domicile::mail::{Relay, Security};

/// A server that wants STARTTLS and a login before anything else, and writes down what it takes.
const SERVER: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
from aiosmtpd.controller import Controller
host, port, chain, key, box = sys.argv[1:]
class Box:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        if address.startswith("busy@"):
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        seen = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
                "text": envelope.content.decode("utf8", "replace")}
        with open(box, "a") as file:
            file.write(json.dumps(seen) + "\n")
        return "250 taken"
def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"relay" and data.password == b"secret words")
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(chain, key)
controller = Controller(Box(), hostname=host, port=int(port), tls_context=context, require_starttls=True,
                        authenticator=login, auth_required=True)
controller.start()
print("ready", flush=True)
asyncio.new_event_loop().run_forever()
"#;

struct Post {
    at: SocketAddr,
    ca: Ca,
    dir: tempfile::TempDir,
    _service: Service,
}

impl Post {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let ca = Ca::open(&dir.path().join("ca"), None).expect("CA");
        let ip: IpAddr = [127, 0, 0, 1].into();
        let at = SocketAddr::new(ip, free_port(ip));
        let own = ca
            .leaf(&["localhost".into()], &KeyChoice::New)
            .expect("certificate");
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("file");
            path
        };
        let chain = file("chain.pem", &own.chain_pem);
        let key = file("key.pem", own.key_pem.expose());
        let script = file("server.py", SERVER);
        let mut command = Command::new(environment().join("python/bin/python"));
        command
            .arg(script)
            .args(["127.0.0.1", &at.port().to_string()])
            .args([chain, key, dir.path().join("box")]);
        let mut service = Service::start("aiosmtpd", &mut command, dir.path().join("smtp.log"));
        service.says("ready");
        Self {
            at,
            ca,
            dir,
            _service: service,
        }
    }

    fn relay(&self, password: &str, roots: &Path) -> Relay {
        Relay::new(
            ("localhost", self.at.port()),
            Security::StartTls,
            Some(("relay".into(), Secret::from(password.to_owned()))),
            "Chat <chat@hosting.example>",
            Some(roots),
        )
        .expect("a relay")
    }
}

fn mail(to: &str) -> Mail {
    Mail {
        to: to.into(),
        subject: "münchen.example: something needs a look".into(),
        text: "What has changed:\n.\nmünchen.example\n".into(),
        unsubscribe: Some("https://panel.example/unsubscribe/AbC-_9".into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_whole_over_tls_after_a_login() {
    let post = Post::start();
    let relay = post.relay("secret words", post.ca.root());
    relay.send(mail("me@example.org")).await.expect("taken");
    let text = std::fs::read_to_string(post.dir.path().join("box")).expect("the box");
    let seen: serde_json::Value = serde_json::from_str(text.trim()).expect("one message");
    assert_eq!(seen["from"], "chat@hosting.example");
    assert_eq!(seen["to"], serde_json::json!(["me@example.org"]));
    assert_eq!(seen["tls"], true);
    let whole = seen["text"].as_str().expect("text");
    for part in [
        "Auto-Submitted: auto-generated",
        "From: \"Chat\"",
        "Date: ",
        "Subject: ",
        "List-Unsubscribe: <https://panel.example/unsubscribe/AbC-_9>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ] {
        assert!(whole.contains(part) || part.starts_with("From"), "{whole}");
    }
    assert!(whole.contains("chat@hosting.example"), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_everything_else_is_not() {
    let post = Post::start();
    let relay = post.relay("secret words", post.ca.root());
    let refused = relay.send(mail("nobody@example.org")).await;
    assert!(matches!(refused, Err(MailError::Refused(_))), "{refused:?}");
    let busy = relay.send(mail("busy@example.org")).await;
    assert!(matches!(busy, Err(MailError::Unavailable(_))), "{busy:?}");
    // A stranger's certificate, a wrong password, nobody there: the mail is kept for later.
    let other = tempfile::tempdir().expect("temporary directory");
    let stranger = Ca::open(other.path(), None).expect("CA");
    let unknown = post.relay("secret words", stranger.root());
    let failed = unknown.send(mail("me@example.org")).await;
    assert!(
        matches!(failed, Err(MailError::Unavailable(_))),
        "{failed:?}"
    );
    let gone = SocketAddr::new(post.at.ip(), free_port(post.at.ip()));
    let relay = Relay::new(
        ("localhost", gone.port()),
        Security::Tls,
        None,
        "chat@hosting.example",
        Some(post.ca.root()),
    )
    .expect("a relay");
    let failed = relay.send(mail("me@example.org")).await;
    assert!(
        matches!(failed, Err(MailError::Unavailable(_))),
        "{failed:?}"
    );
    assert!(!post.dir.path().join("box").exists(), "nothing arrived");
}

/// `domicile serve` with a section `[mail]`: what happened to a domain is in its owner's mailbox the same night.
#[test]
fn a_served_platform_writes_to_the_owner_of_a_domain_that_was_stopped() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());
    let place = dir.path().to_string_lossy().into_owned();
    let stop = ["domain", "suspend", "one.example", "--reason", "unpaid"];
    let (code, out, err) = domicile(&[&stop[..], &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{out}{err}");

    let post = Post::start();
    let root = post.ca.root().display().to_string();
    let set = [
        ("RELAY", "localhost"),
        ("PORT", &post.at.port().to_string()),
        ("LOGIN", "relay"),
        ("PASSWORD", "secret words"),
        ("FROM", "Chat <chat@hosting.example>"),
        ("ROOTS", &root),
        ("HOUR", "0"),
    ]
    .map(|(key, value)| (format!("DOMICILE_MAIL_{key}"), value.to_owned()));
    let set: Vec<(&str, String)> = set
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let _served = Served::on(dir.path(), &info, &set);
    let file = post.dir.path().join("box");
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let text = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.ends_with('\n') {
            break text;
        }
        assert!(std::time::Instant::now() < end, "no mail came");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    };
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 1, "one mail: {text}");
    assert_eq!(lines[0]["to"], serde_json::json!([info.owner.login]));
    let said = lines[0]["text"].as_str().expect("text");
    assert!(said.contains("one.example"), "{said}");
}
