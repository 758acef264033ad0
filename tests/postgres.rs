//! A whole running system on PostgreSQL: `domicile serve` as a second platform in a demo's internet, with domains that go
//! live there, people who chat and federate, and crashes of the server and of the database itself.

use std::process::Command;

use crate::harness::demo::Demo;
use crate::harness::postgres::Postgres;
use crate::harness::serve::{Platform, Served};
use crate::harness::tools::Service;
use crate::harness::xmpp::{Client, between};

const JULIET: &str = "juliet@four.example";
const ROMEO: &str = "romeo@five.example";

/// Messages kept for somebody who was away, in order, up to the last.
fn read_until(served: &Served, jid: &str, last: &str) -> Vec<String> {
    let mut reader = served.login(jid, "reader");
    reader.send("<presence/>");
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|id| id != last) {
        let message = reader.until("<message");
        seen.push(between(&message, " id='", "'").expect("id").to_owned());
    }
    seen
}

fn message_each_way(a: &mut Client, b: &mut Client, id: &str) {
    let (at_a, at_b) = (a.jid.clone(), b.jid.clone());
    a.message(&at_b, &format!("{id}-1"), "there");
    assert!(
        b.until(&format!("{id}-1"))
            .contains(&format!("from='{at_a}'"))
    );
    b.message(&at_a, &format!("{id}-2"), "and back");
    assert!(
        a.until(&format!("{id}-2"))
            .contains(&format!("from='{at_b}'"))
    );
}

#[test]
fn a_whole_system_runs_on_postgresql_and_loses_nothing_acknowledged() {
    let demo = Demo::start();
    let mut postgres = Postgres::start();
    let mut platform = Platform::beside(&demo, &postgres.url());
    let served = platform.serve();
    let api = platform.settle();
    for domain in ["four.example", "five.example"] {
        platform.host(&demo, &api, domain);
    }
    platform.user(JULIET);
    platform.user(ROMEO);
    drop(served);
    let served = platform.serve();

    // Between hosted domains, and with a server of somebody else, both ways, by certificate.
    let mut juliet = served.online(JULIET, "here");
    let mut romeo = served.online(ROMEO, "here");
    message_each_way(&mut juliet, &mut romeo, "hosted");
    let mut alice = Client::online(&demo, "alice@one.example", "there");
    message_each_way(&mut juliet, &mut alice, "federated");
    message_each_way(&mut alice, &mut romeo, "called");
    let contact =
        "<query xmlns='jabber:iq:roster'><item jid='romeo@five.example' name='Montague'/></query>";
    assert!(juliet.iq("set", None, contact).contains("type='result'"));
    romeo.close();

    // Acknowledged by the iq that follows (ROUTE-01), then the server dies, with more under way.
    let mut kept = Vec::new();
    for batch in 0..5 {
        for n in 0..10 {
            let id = format!("kept-{batch}-{n}");
            juliet.message(ROMEO, &id, "for later");
            kept.push(id);
        }
        juliet.settle();
    }
    for n in 0..100 {
        juliet.message(ROMEO, &format!("loose-{n}"), "not acknowledged");
    }
    served.service.kill_9();
    let mut served = platform.serve();
    assert_eq!(read_until(&served, ROMEO, "kept-4-9"), kept);
    let mut juliet = served.online(JULIET, "again");
    let roster = juliet.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    assert!(roster.contains("name='Montague'"), "{roster}");

    // Now the database dies: what it is needed for is refused for a while, the rest goes on.
    juliet.message(ROMEO, "before", "kept");
    juliet.settle();
    postgres.crash();
    juliet.message(ROMEO, "refused", "not kept");
    let error = juliet.until("id='refused'");
    assert!(
        error.contains("<resource-constraint") && error.contains("type='wait'"),
        "{error}"
    );
    api.get("/domains").problem(503, "unavailable");
    juliet.settle();
    postgres.again();
    // Connections that were cut are noticed one by one; each may cost one more refusal, none is silent.
    let mut sent = 0;
    let after = loop {
        let id = format!("after-{sent}");
        juliet.message(ROMEO, &id, "kept");
        if !juliet.settle().iter().any(|item| item.contains(&id)) {
            break id;
        }
        sent += 1;
        assert!(sent < 50, "the database is back, and not used");
    };
    let seen = read_until(&served, ROMEO, &after);
    let seen: Vec<_> = seen.iter().filter(|id| !id.starts_with("loose")).collect();
    assert_eq!(seen, ["before", &after]);
    while api.get("/domains").status != 200 {
        sent += 1;
        assert!(sent < 100, "the database is back, and not used");
    }

    // The process that was there has the lead again. Another one stands by; it opens no door, and has what the first one
    // leaves. So a new version is started before the old one is stopped.
    served.service.says("the lead is held again");
    let mut command = Command::new(env!("CARGO_BIN_EXE_domicile"));
    command
        .args(["serve", "--data-dir"])
        .arg(platform.dir.path());
    command.env("RUST_LOG", "info");
    let log = platform.dir.path().join("next.log");
    let mut next = Service::start("domicile-serve", &mut command, log);
    next.says("standing by until it ends");
    juliet.message(ROMEO, "handed-over", "for later");
    juliet.settle();
    served.service.end("TERM");
    next.says(": ready panel=");
    let served = Served {
        service: next,
        info: platform.info.clone(),
    };
    assert_eq!(read_until(&served, ROMEO, "handed-over"), ["handed-over"]);
}
