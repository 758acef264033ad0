//! `domicile check` as people run it: against the demo's own domains, and against zones that are broken on purpose.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::harness::demo::Demo;
use serde_json::Value;

static DEMO: LazyLock<Demo> = LazyLock::new(Demo::start);

/// Exit status and output. The sandbox's loopback is its whole internet.
fn check(domain: &str, more: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_domicile"))
        .arg("--data-dir")
        .arg(&DEMO.data_dir)
        .args(["check", domain])
        .args(more)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("domicile check runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code().expect("an exit status"), said)
}

fn json(domain: &str, more: &[&str]) -> (i32, Value) {
    let (status, said) = check(domain, &[more, &["--json"]].concat());
    let report = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{domain}: {e}: {said}"));
    (status, report)
}

fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter_map(|f| f["code"].as_str()).collect()
}

#[test]
fn a_live_domain_is_well_in_both_services() {
    let (status, report) = json("one.example", &[]);
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(report["critical"], 0);
    assert_eq!(report["services"].as_array().map(Vec::len), Some(2));
    for service in report["services"].as_array().expect("services") {
        for srv in service["srv"].as_array().expect("srv") {
            assert_eq!(srv["answer"], "found", "{srv}");
            assert_eq!(srv["dnssec"], "secure", "{srv}");
        }
        let targets = service["targets"].as_array().expect("targets");
        assert!(targets.iter().any(|target| target["direct"] == true));
        for visit in targets
            .iter()
            .flat_map(|t| t["visits"].as_array().expect("visits"))
        {
            assert_eq!(visit["trouble"], Value::Null, "{visit}");
            assert_eq!(visit["tls"], "TLS 1.3");
            assert_eq!(visit["accepts"]["tls12"], true);
            assert_eq!(visit["accepts"]["older"], false);
            assert!(visit["chain"][0]["days_left"].as_i64() > Some(0));
        }
        let holds = |prooftype: &str| {
            let verdicts = service["verdicts"].as_array().expect("verdicts");
            let found = verdicts.iter().find(|v| v["prooftype"] == prooftype);
            found
                .map_or("silent", |v| v["holds"].as_str().unwrap_or_default())
                .to_owned()
        };
        assert_eq!(holds("pkix"), "yes");
        if service["service"] == "server" {
            assert_eq!(holds("dialback"), "yes");
        }
    }
    let client = &report["services"][0]["targets"][0]["visits"][0]["offered"];
    let mechanisms = client["mechanisms"].as_array().expect("mechanisms");
    assert!(mechanisms.iter().any(|m| m == "SCRAM-SHA-256"), "{client}");
}

#[test]
fn one_service_may_be_asked_for_and_text_has_no_colours_in_a_pipe() {
    let (status, said) = check("two.example", &["--service", "client"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("Apps (client to server)"), "{said}");
    assert!(!said.contains("Other servers"), "{said}");
    assert!(said.contains("DNSSEC secure"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_bogus_zone_is_critical_and_says_so_first() {
    let (status, report) = json("bogus.example", &["--service", "server"]);
    assert_eq!(status, 1, "{report:#}");
    assert_eq!(codes(&report).first(), Some(&"dnssec-bogus"), "{report:#}");
    assert_eq!(report["services"][0]["srv"][0]["dnssec"], "bogus");
    assert_eq!(report["services"][0]["targets"], Value::Array(Vec::new()));
}

#[test]
fn an_unsigned_zone_without_records_is_insecure_and_led_nowhere() {
    let (status, report) = json("unsigned.example", &["--service", "client"]);
    assert_eq!(status, 1, "{report:#}");
    assert_eq!(report["services"][0]["fallback"], true);
    assert_eq!(report["services"][0]["srv"][0]["dnssec"], "insecure");
    assert!(codes(&report).contains(&"srv-missing"), "{report:#}");
}

#[test]
fn a_dns_that_does_not_answer_is_no_fault_of_the_domain() {
    // A port that nobody answers at: it is ours, and closed to questions over TCP and UDP alike.
    let port = TcpListener::bind("127.0.0.1:0").expect("bound");
    let at = port.local_addr().expect("an address").to_string();
    drop(port);
    let output = Command::new(env!("CARGO_BIN_EXE_domicile"))
        .arg("--data-dir")
        .arg(&DEMO.data_dir)
        .args(["check", "one.example", "--json", "--service", "server"])
        .env("DOMICILE_DNS_RESOLVERS", &at)
        .env("DOMICILE_DNS_TIMEOUT_SECONDS", "1")
        .output()
        .expect("domicile check runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&said)
        .unwrap_or_else(|e| panic!("{e}: {said} {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.code(), Some(2), "{report:#}");
    assert_eq!(report["unexamined"], true);
    assert_eq!(report["critical"], 0);
}

#[test]
fn what_is_no_domain_is_asked_wrongly() {
    assert_eq!(check("not a domain", &[]).0, 2);
    let (status, help) = check("--help", &[]);
    assert_eq!(status, 0);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("Exit status: 0 nothing critical; 1 critical findings; 2 could not examine.")
    );
}
