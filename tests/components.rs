//! Components (XEP-0114): programs that answer for names below hosted domains, by raw XML and with slixmpp.

use crate::harness::demo::Demo;
use crate::harness::tools::{domicile, environment, repository, script};
use crate::harness::xmpp::{Client, between};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

/// A command beside the running demo, which must do what it is told.
fn done(demo: &Demo, args: &[&str]) -> String {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[args, &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

fn add(demo: &Demo, domain: &str, label: &str) -> String {
    let made: Value =
        serde_json::from_str(&done(demo, &["component", "add", domain, label, "--json"]))
            .expect("JSON");
    made["secret"].as_str().expect("a secret").to_owned()
}

fn hello(demo: &Demo, name: &str) -> (crate::harness::xmpp::Connection, String) {
    let mut wire = crate::harness::xmpp::Connection::open(demo.info.components, name);
    wire.send(&format!(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='{name}'>"
    ));
    let header = wire.item();
    (wire, header)
}

fn proof(header: &str, secret: &str) -> String {
    let id = between(header, " id='", "'").expect("an id");
    let hash = Sha1::digest(format!("{id}{secret}").as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tries until the server has heard of the change.
fn connected(demo: &Demo, name: &str, secret: &str) -> crate::harness::xmpp::Connection {
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    loop {
        let (mut wire, header) = hello(demo, name);
        wire.send(&format!(
            "<handshake>{}</handshake>",
            proof(&header, secret)
        ));
        let answer = wire.next().unwrap_or_default();
        if answer == "<handshake/>" {
            return wire;
        }
        assert!(std::time::Instant::now() < end, "never let in: {answer}");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

#[test]
fn comp_01_to_05_a_program_answers_for_a_name_below_a_domain() {
    let demo = Demo::start();
    let mut alice = Client::online(&demo, "alice@one.example", "tcp");
    // COMP-03: nobody knows the name yet.
    let (mut wire, header) = hello(&demo, "bridge.one.example");
    assert!(
        header.contains("xmlns='jabber:component:accept'"),
        "{header}"
    );
    assert!(wire.rest().contains("<host-unknown "));

    let secret = add(&demo, "one.example", "bridge");
    let mut wire = connected(&demo, "bridge.one.example", &secret);
    // A second one of the same name, and one that does not know the secret.
    let (mut second, header) = hello(&demo, "bridge.one.example");
    second.send(&format!(
        "<handshake>{}</handshake>",
        proof(&header, &secret)
    ));
    assert!(second.rest().contains("<conflict "));
    let (mut wrong, header) = hello(&demo, "bridge.one.example");
    wrong.send(&format!(
        "<handshake>{}</handshake>",
        proof(&header, "wrong")
    ));
    assert!(wrong.rest().contains("<not-authorized "));

    // To and fro, namespaces re-scoped (COMP-04).
    alice.send("<message to='#c@bridge.one.example/x' id='m1'><body>hi</body></message>");
    let got = wire.until("id='m1'");
    assert!(
        got.starts_with("<message ") && !got.contains("jabber:client"),
        "{got}"
    );
    assert!(got.contains("from='alice@one.example/tcp'"), "{got}");
    wire.send("<message from='#c@bridge.one.example' to='alice@one.example/tcp' id='m2'><body>ho</body></message>");
    alice.until("id='m2'");
    // Another domain of this server, too.
    let mut carol = Client::online(&demo, "alice@two.example", "tcp");
    wire.send("<message from='x@bridge.one.example' to='alice@two.example/tcp' id='m3'><body>ho</body></message>");
    carol.until("id='m3'");

    // In nobody else's name.
    wire.send(
        "<message from='bob@one.example' to='alice@one.example' id='m4'><body>lie</body></message>",
    );
    assert!(wire.rest().contains("<invalid-from "));
    let error = alice.iq(
        "get",
        Some("bridge.one.example"),
        "<ping xmlns='urn:xmpp:ping'/>",
    );
    assert!(error.contains("<service-unavailable "), "{error}");

    // COMP-05: neither a service's name nor a domain's own nor one below another customer's domain.
    let place = demo.data_dir.to_string_lossy().into_owned();
    for label in [
        "rooms",
        "upload",
        "one.example",
        "a.b",
        "bridge.two.example",
    ] {
        let args = [
            "component",
            "add",
            "one.example",
            label,
            "--data-dir",
            &place,
        ];
        let (code, out, err) = domicile(&args);
        assert_ne!(code, 0, "{label}: {out}{err}");
    }
    // Its name is taken away, and its connection with it.
    let mut wire = connected(&demo, "bridge.one.example", &secret);
    done(&demo, &["component", "remove", "one.example", "bridge"]);
    assert!(wire.rest().contains("<not-authorized "));
    let list = done(&demo, &["component", "list", "one.example", "--json"]);
    assert_eq!(list.trim(), "[]");
}

#[test]
fn slixmpp_answers_for_a_name_below_a_domain() {
    let demo = Demo::start();
    let secret = add(&demo, "one.example", "bridge");
    drop(connected(&demo, "bridge.one.example", &secret));
    let alice = "alice@one.example";
    let (c2s, own) = (demo.info.c2s, demo.info.components);
    let plan = json!({
        "ca": demo.info.ca,
        "account": {"jid": alice, "password": demo.password(alice), "host": c2s.ip().to_string(), "port": c2s.port()},
        "component": {"name": "bridge.one.example", "secret": secret, "host": own.ip().to_string(), "port": own.port()},
    });
    let file = demo.data_dir.join("component.json");
    std::fs::write(&file, plan.to_string()).expect("plan");
    let python = environment().join("python/bin/python");
    let args = [repository().join("tests/clients/component.py"), file]
        .map(|path| path.to_string_lossy().into_owned());
    script(&python, &args, &[], crate::harness::DEADLINE * 3);
}

/// Grants, by the JSON that the owner would send; the component hears of them where it is connected.
fn grant(demo: &Demo, args: &[&str]) {
    done(
        demo,
        &[&["component", "grant", "one.example", "bridge"], args].concat(),
    );
}

/// XEP-0356 with slixmpp: everything is refused until it is granted, by name.
#[test]
fn slixmpp_acts_for_accounts_as_the_owner_grants() {
    let demo = Demo::start();
    let secret = add(&demo, "one.example", "bridge");
    drop(connected(&demo, "bridge.one.example", &secret));
    let (c2s, own) = (demo.info.c2s, demo.info.components);
    let account = |jid: &str| json!({"jid": jid, "password": demo.password(jid), "host": c2s.ip().to_string(), "port": c2s.port()});
    let python = environment().join("python/bin/python");
    for granted in [false, true] {
        if granted {
            let all = [
                "--roster",
                "both",
                "--message",
                "outgoing",
                "--presence",
                "managed_entity",
                "--iq",
                "http://jabber.org/protocol/disco#info=get",
            ];
            grant(&demo, &all);
        }
        let plan = json!({
            "ca": demo.info.ca, "granted": granted,
            "accounts": [account("alice@one.example"), account("bob@one.example")],
            "component": {"name": "bridge.one.example", "secret": secret, "host": own.ip().to_string(), "port": own.port()},
        });
        let file = demo.data_dir.join("privileged.json");
        std::fs::write(&file, plan.to_string()).expect("plan");
        let args = [repository().join("tests/clients/privileged.py"), file]
            .map(|path| path.to_string_lossy().into_owned());
        script(&python, &args, &[], crate::harness::DEADLINE * 3);
    }
}

/// XEP-0355 by raw XML: what is delegated is the component's, whoever asks, and nothing when it is not there.
#[test]
fn a_component_answers_a_namespace_in_the_domain_s_place() {
    let demo = Demo::start();
    let secret = add(&demo, "one.example", "bridge");
    let mut wire = connected(&demo, "bridge.one.example", &secret);
    let mut alice = Client::online(&demo, "alice@one.example", "tcp");
    let ask = "<query xmlns='urn:example:weather' node='today'/>";
    assert!(alice.iq("get", None, ask).contains("<service-unavailable "));
    grant(&demo, &["--delegate", "urn:example:weather=node"]);
    let told = wire.until("urn:xmpp:delegation:2");
    assert!(
        told.contains(
            "<delegated namespace='urn:example:weather'><attribute name='node'/></delegated>"
        ),
        "{told}"
    );
    // To the server, and to a bare address, from another domain.
    let mut carol = Client::online(&demo, "alice@two.example", "tcp");
    for (client, id, to) in [
        (&mut alice, "a1", "one.example"),
        (&mut carol, "c1", "bob@one.example"),
    ] {
        client.send(&format!("<iq type='get' id='{id}' to='{to}'>{ask}</iq>"));
        let request = wire.until("urn:example:weather");
        assert!(
            request.starts_with("<iq ") && request.contains("from='one.example'"),
            "{request}"
        );
        let own = between(&request, " id='", "'").expect("an id");
        let from = client.jid.clone();
        wire.send(&format!(
            "<iq from='bridge.one.example' to='one.example' id='{own}' type='result'><delegation xmlns='urn:xmpp:delegation:2'>\
             <forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' from='{to}' to='{from}' id='{id}' type='result'>\
             <query xmlns='urn:example:weather'>rain</query></iq></forwarded></delegation></iq>"
        ));
        let answer = client.until(&format!("id='{id}'"));
        assert!(
            answer.contains(&format!("from='{to}'")) && answer.contains(">rain</query>"),
            "{answer}"
        );
    }
    // Without the attribute it is the domain's own affair; other domains have nothing to do with it.
    assert!(
        alice
            .iq("get", None, "<query xmlns='urn:example:weather'/>")
            .contains("<service-unavailable ")
    );
    assert!(carol.iq("get", None, ask).contains("<service-unavailable "));
    // What is under way ends with the component, and nothing new begins.
    alice.send(&format!(
        "<iq type='get' id='a2' to='one.example'>{ask}</iq>"
    ));
    wire.until("urn:example:weather");
    drop(wire);
    assert!(alice.until("id='a2'").contains("<service-unavailable "));
    assert!(alice.iq("get", None, ask).contains("<service-unavailable "));

    // Not every namespace, not by two, and only for who is there.
    add(&demo, "one.example", "robot");
    let place = demo.data_dir.to_string_lossy().into_owned();
    for args in [
        ["bridge", "--delegate", "jabber:iq:register"],
        ["bridge", "--iq", "urn:xmpp:privilege:2=get"],
        ["bridge", "--roster", "all"],
        ["bridge", "--presence", "roster"],
        ["robot", "--delegate", "urn:example:weather"],
        ["nobody", "--roster", "get"],
    ] {
        let args = [
            &["component", "grant", "one.example"],
            &args[..],
            &["--data-dir", &place],
        ]
        .concat();
        let (code, out, err) = domicile(&args);
        assert_ne!(code, 0, "{args:?}: {out}{err}");
    }
}
