//! Hosted users and what is at other servers: rooms of a real Prosody and a real ejabberd, their users in rooms here, everything
//! beside words that passes between accounts, and a push service that is a program behind another server.

use serde_json::json;

use crate::clients::{account, at_peer, clients};
use crate::harness::demo::Demo;
use crate::harness::peers::{PUSH_SECRET, Peer, ejabberd_with_services, prosody_with_services};

const ALICE: &str = "alice@one.example";
const BOB: &str = "bob@two.example";

/// In a room of the peer, opened by its user, and in a room here, opened by ours, with the same people in another order.
fn meet_in_rooms_of_both(demo: &Demo, peer: &Peer) {
    let ours = [account(demo, ALICE, false), account(demo, BOB, true)];
    let [alice, bob] = ours;
    let theirs = at_peer(peer);
    let at_the_peer = format!("coven@rooms.{}", peer.domain);
    for (room, people) in [
        (at_the_peer.as_str(), [&theirs, &alice, &bob]),
        ("coven@rooms.one.example", [&alice, &theirs, &bob]),
        ("heath@rooms.one.example", [&alice, &bob, &theirs]),
    ] {
        let plan = json!({ "ca": demo.info.ca, "room": room, "people": people });
        let result = clients(demo, "meeting.py", &plan);
        assert_eq!(result, json!({ "people": 3, "history": 4 }), "{room}");
    }
}

/// EXT-23 to EXT-28, from the other side too.
#[test]
fn ext_23_people_meet_in_rooms_of_prosody_and_here() {
    let demo = Demo::start();
    let peer = prosody_with_services(&demo, "prosody.example");
    meet_in_rooms_of_both(&demo, &peer);
}

#[test]
fn ext_23_people_meet_in_rooms_of_ejabberd_and_here() {
    let demo = Demo::start();
    let peer = ejabberd_with_services(&demo, "ejabberd.example");
    meet_in_rooms_of_both(&demo, &peer);
}

/// EXT-06, EXT-12, EXT-15, EXT-18, EXT-19: events, receipts, ids, addresses of files; copies that stay where they belong, the
/// archive, and blocking.
#[test]
fn ext_06_what_crosses_between_accounts_here_and_at_prosody() {
    let demo = Demo::start();
    let peer = prosody_with_services(&demo, "prosody.example");
    let (ours, theirs) = (account(&demo, ALICE, false), at_peer(&peer));
    let plan = json!({ "ca": demo.info.ca, "ours": ours, "theirs": theirs });
    clients(&demo, "crossing.py", &plan);
}

#[test]
fn ext_06_what_crosses_between_accounts_here_and_at_ejabberd() {
    let demo = Demo::start();
    let peer = ejabberd_with_services(&demo, "ejabberd.example");
    let (ours, theirs) = (account(&demo, ALICE, false), at_peer(&peer));
    let plan = json!({ "ca": demo.info.ca, "ours": ours, "theirs": theirs, "room": "coven@rooms.one.example" });
    let result = clients(&demo, "messages.py", &plan);
    assert_eq!(result["messages"], json!(7), "{result}");
    clients(&demo, "crossing.py", &plan);
    let result = clients(&demo, "personal.py", &plan);
    assert_eq!(result["picture"], json!(true), "{result}");
    assert_eq!(result["memory"], json!([true, true]), "{result}");
}

/// E2E-01 to E2E-03, EXT-04: device lists and bundles (XEP-0384) are published, told and fetched across to ejabberd and back, what
/// is encrypted passes, and waits for whoever is away.
#[test]
fn e2e_02_what_is_encrypted_for_ejabberd_and_for_here_is_read_there_and_here() {
    let demo = Demo::start();
    let peer = ejabberd_with_services(&demo, "ejabberd.example");
    let (ours, theirs) = (account(&demo, ALICE, false), at_peer(&peer));
    let plan = json!({ "ca": demo.info.ca, "ours": ours, "theirs": theirs });
    let result = clients(&demo, "whispers.py", &plan);
    assert_eq!(result, json!({ "whispered": 15 }));
}

/// EXT-14
#[test]
fn ext_14_a_push_service_behind_a_prosody_wakes_and_forgets() {
    let demo = Demo::start();
    let peer = prosody_with_services(&demo, "prosody.example");
    wakes_and_forgets(&demo, &peer);
}

/// EXT-14
#[test]
fn ext_14_a_push_service_behind_an_ejabberd_wakes_and_forgets() {
    let demo = Demo::start();
    let peer = ejabberd_with_services(&demo, "ejabberd.example");
    wakes_and_forgets(&demo, &peer);
}

fn wakes_and_forgets(demo: &Demo, peer: &Peer) {
    let plan = json!({
        "ca": demo.info.ca, "phone": account(demo, ALICE, false), "friend": account(demo, BOB, true),
        "component": {
            "name": format!("push.{}", peer.domain), "secret": PUSH_SECRET,
            "host": peer.addr.to_string(), "port": 5347,
        },
    });
    let result = clients(demo, "push.py", &plan);
    assert_eq!(result, json!({ "published": true, "forgotten": true }));
}
