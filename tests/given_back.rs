//! What a start leaves behind goes back to the machine, and the server goes on with what is read anew.

use crate::harness::demo::{Demo, loopback};
use crate::harness::serve::Served;
use crate::harness::xmpp::between;

/// The start's end is in the log, with what was held before and after; then people come, talk and leave as ever.
#[test]
fn a_server_gives_back_what_only_its_start_needed_and_goes_on_serving() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());
    let words = "info,domicile::serve::rest=debug".to_owned();
    let mut served = Served::on(dir.path(), &info, &[("DOMICILE_LOG", words)]);
    let said = "memory given back";
    served.service.says(said);
    let log = served.service.text();
    let line = log.lines().find(|line| line.contains(said)).expect("said");
    let number = |name: &str| -> u64 {
        let text = between(line, name, " ").expect("it says so");
        text.parse().expect("a number")
    };
    let (before, after) = (number("before_kb="), number("after_kb="));
    let program = number("program_kb=");
    assert!(program > 1_000 && after < before, "{line}");

    let (alice, bob) = ("alice@one.example", "bob@two.example");
    let (mut one, mut two) = (served.online(alice, "a"), served.online(bob, "b"));
    one.message(&format!("{bob}/b"), "m1", "still there?");
    two.until("id='m1'");
    two.message(&format!("{alice}/a"), "m2", "as ever");
    one.until("id='m2'");
    served.service.end("TERM");
}
