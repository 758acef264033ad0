//! Clients as Debian has them, which share no code with those of the other tests: each signs in over STARTTLS with the domain's own
//! certificate, gets what was said while it was away, says something to somebody of another domain, and what else it shows.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::harness::demo::{Demo, wait};
use crate::harness::terminal::Terminal;
use crate::harness::tools::{Service, domicile_with, program, script};
use crate::harness::xmpp::Client;

/// One for all: the kernel ends it with this process.
static DEMO: LazyLock<Demo> = LazyLock::new(Demo::start);

const PASSWORD: &str = "tin-soldier-9";

/// An account, and a friend of theirs at another domain who is online.
fn people(demo: &Demo, local: &str) -> (String, Client) {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let jids = [
        format!("{local}@one.example"),
        format!("{local}.friend@two.example"),
    ];
    for jid in &jids {
        let add = ["user", "add", jid, "--password-stdin", "--data-dir", &place];
        let (code, out, err) = domicile_with(&add, &format!("{PASSWORD}\n"));
        assert_eq!(code, 0, "{out}{err}");
    }
    let [own, friend] = jids;
    let mut friend = Client::login_with(demo, &friend, PASSWORD, "friend").available();
    friend.message(&own, "early", "said-while-you-were-away");
    friend.settle();
    (own, friend)
}

/// A room that somebody's own account has opened, with their friend in it; it is there as long as the session that is returned.
fn room(demo: &Demo, own: &str, friend: &mut Client) -> (String, Client) {
    let (local, _) = own.split_once('@').expect("an address");
    let room = format!("{local}-room@rooms.one.example");
    let enter = |nick: &str| {
        format!(
            "<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
    };
    let mut opener = Client::login_with(demo, own, PASSWORD, "opener");
    opener.send(&enter("Opener"));
    opener.until("code='201'");
    opener.iq(
        "set",
        Some(&room),
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
    );
    friend.send(&enter("Friend"));
    friend.until("<subject");
    (room, opener)
}

fn server(demo: &Demo) -> (String, String) {
    (
        demo.info.c2s.ip().to_string(),
        demo.info.c2s.port().to_string(),
    )
}

/// Runs a program that reads its message from standard input.
fn says(demo: &Demo, name: &str, args: &[&str], message: &str) {
    let mut child = Command::new(program(name))
        .args(args)
        .env("SSL_CERT_FILE", &demo.info.ca)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut input = child.stdin.take().expect("piped");
    input.write_all(message.as_bytes()).expect("a message");
    drop(input);
    let ended = wait(&mut child, crate::harness::DEADLINE);
    if ended.is_none() {
        let _ = child.kill();
    }
    let out = child.wait_with_output().expect("output");
    assert!(
        ended.is_some_and(|status| status.success()),
        "{name} {args:?}: {out:?}"
    );
}

#[test]
fn go_sendxmpp_gets_what_waited_and_talks_to_a_contact_and_in_a_room() {
    let demo = &*DEMO;
    let (own, mut friend) = people(demo, "gopher");
    let (host, port) = server(demo);
    let server = format!("{host}:{port}");
    let account = ["-u", &own, "-p", PASSWORD, "-j", &server];
    let mut listening = Command::new(program("go-sendxmpp"));
    listening
        .args(account)
        .arg("-l")
        .env("SSL_CERT_FILE", &demo.info.ca);
    let log = demo.data_dir.join("go-sendxmpp.log");
    let mut listening = Service::start("go-sendxmpp", &mut listening, log);
    listening.says("said-while-you-were-away");
    friend.message(&own, "now", "and-now");
    listening.says("and-now");

    let with = friend.jid.split('/').next().unwrap_or_default().to_owned();
    says(
        demo,
        "go-sendxmpp",
        &[&account[..], &[&with]].concat(),
        "go says hello",
    );
    friend.until("go says hello");
    let (room, _opener) = room(demo, &own, &mut friend);
    let enter = ["-c", "-a", "Gopher", &room];
    says(
        demo,
        "go-sendxmpp",
        &[&account[..], &enter].concat(),
        "go says it to all",
    );
    friend.until("go says it to all");
}

/// It only sends; rooms it enters as groupchat 1.0 did, which is long gone (XEP-0045 7.2.1).
#[test]
fn sendxmpp_talks_to_a_contact() {
    let demo = &*DEMO;
    let (own, mut friend) = people(demo, "camel");
    let (host, port) = server(demo);
    let (user, domain) = own.split_once('@').expect("an address");
    let server = format!("{host}:{port}");
    let ca = demo.info.ca.to_string_lossy().into_owned();
    let with = friend.jid.split('/').next().unwrap_or_default().to_owned();
    let args = [
        "-t", "-a", &ca, "-u", user, "-p", PASSWORD, "-j", &server, "-o", domain, &with,
    ];
    says(demo, "sendxmpp", &args, "perl says hello");
    friend.until("perl says hello");
}

fn write(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
    std::fs::write(file, text).expect("a file");
}

/// Loudmouth with GnuTLS.
#[test]
fn mcabber_gets_what_waited_adds_a_contact_and_talks_in_a_room() {
    let demo = &*DEMO;
    let (own, mut friend) = people(demo, "crab");
    let (host, port) = server(demo);
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(".mcabber").join(name);
    let lines = format!(
        "set jid = {own}\nset password = {PASSWORD}\nset server = {host}\nset port = {port}\nset tls = 1\n\
         set ssl_ca = {}\nset nickname = Crab\nset carbons = 1\nset logging = 1\nset log_muc_conf = 1\n\
         set logging_dir = {}\nset tracelog_level = 1\nset tracelog_file = {}\n",
        demo.info.ca.display(),
        at("histo").display(),
        at("trace").display()
    );
    write(&at("mcabberrc"), &lines);
    std::fs::create_dir_all(at("histo")).expect("a directory");
    let mut screen = Terminal::start("mcabber", "mcabber", home.path(), &demo.info.ca);
    let with = friend.jid.split('/').next().unwrap_or_default().to_owned();
    screen.writes(&at("histo").join(&with), "said-while-you-were-away");
    screen.line(&format!("/say_to {with} crab says hello"));
    friend.until("crab says hello");

    screen.line(&format!("/add {with} Friend"));
    friend.until("type='subscribe'");
    friend.send(&format!("<presence type='subscribed' to='{own}'/>"));
    screen.writes(
        &at("trace"),
        &format!("<{with}> has allowed you to receive their presence updates"),
    );

    let (room, _opener) = room(demo, &own, &mut friend);
    screen.line(&format!("/room join {room}"));
    friend.until("/Crab'");
    screen.line(&format!("/say_to {room} crab says it to all"));
    friend.until("crab says it to all");
    friend.send(&format!(
        "<message type='groupchat' to='{room}'><body>welcome-crab</body></message>"
    ));
    screen.writes(&at("histo").join(&room), "welcome-crab");
}

/// Libstrophe with OpenSSL.
#[test]
fn profanity_gets_what_waited_and_talks_in_a_room() {
    let demo = &*DEMO;
    let (own, mut friend) = people(demo, "pirate");
    let (host, port) = server(demo);
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name);
    write(&at(".config/profanity/profrc"), "[logging]\nchlog=true\n");
    write(
        &at(".local/share/profanity/accounts"),
        &format!(
            "[{own}]\nenabled=true\njid={own}\nserver={host}\nport={port}\npassword={PASSWORD}\nresource=ship\n\
             muc.nick=Pirate\ntls.policy=force\n"
        ),
    );
    let log = at("log");
    let line = format!("profanity -l DEBUG -f {} -a {own}", log.display());
    let mut screen = Terminal::start("profanity", &line, home.path(), &demo.info.ca);
    // It tells of a message, and shows it once its window is looked at.
    screen.shows(&friend.jid);
    let with = friend.jid.split('/').next().unwrap_or_default().to_owned();
    screen.line(&format!("/msg {with} pirate says hello"));
    friend.until("pirate says hello");
    screen.shows("said-while-you-were-away");
    let (room, _opener) = room(demo, &own, &mut friend);
    screen.line(&format!("/join {room}"));
    friend.until("/Pirate'");
    screen.line("pirate says it to all");
    friend.until("pirate says it to all");
    friend.send(&format!(
        "<message type='groupchat' to='{room}'><body>welcome-pirate</body></message>"
    ));
    screen.shows("welcome-pirate");
}

/// EXT-18: what another device of the account has got already waits for nobody; a client that comes later reads it in the archive.
/// (Profanity reads archives too, but only where the domain's address says that it has one; here each account has its own.)
#[test]
fn xmppc_shows_from_the_archive_what_another_device_has_got() {
    let demo = &*DEMO;
    let (own, mut friend) = people(demo, "parrot");
    let with = friend.jid.split('/').next().unwrap_or_default().to_owned();
    let mut other = Client::login_with(demo, &own, PASSWORD, "other").available();
    other.until("said-while-you-were-away");
    friend.message(&own, "elsewhere", "said-to-another-device");
    other.until("said-to-another-device");
    other.settle();
    other.close();
    let home = tempfile::tempdir().expect("a directory");
    write(
        &home.path().join(".config/xmppc.conf"),
        &format!("[default]\njid={own}\npwd={PASSWORD}\n"),
    );
    // It takes no address of a server, and finds this one in a hosts file of its own, at the usual port.
    assert_eq!(demo.info.c2s.port(), 5222);
    let (_, domain) = own.split_once('@').expect("an address");
    let hosts = home.path().join("hosts");
    write(&hosts, &format!("{} {domain}\n", demo.info.c2s.ip()));
    let in_there = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let (hosts, client) = (hosts.to_string_lossy(), program("xmppc"));
    let client = client.to_string_lossy();
    let args = [
        "--mount", "--", "sh", "-c", in_there, &*hosts, &*client, "--mode", "mam", "list", &*with,
    ];
    let envs = [
        ("HOME", home.path()),
        ("SSL_CERT_FILE", demo.info.ca.as_path()),
    ];
    let envs = envs.map(|(name, path)| (name, path.to_string_lossy().into_owned()));
    let shown = script(
        &program("unshare"),
        &args.map(str::to_owned),
        &envs,
        crate::harness::DEADLINE,
    );
    for line in ["said-while-you-were-away", "said-to-another-device"] {
        assert!(shown.contains(&format!("<body>{line}</body>")), "{shown}");
    }
}
