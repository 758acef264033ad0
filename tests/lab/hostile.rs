//! Peers that lie, replay, strip, stall and flood. Each test says what must not happen, and shows that the good peer beside
//! it is served all the while.

use std::net::{IpAddr, Ipv4Addr};

use crate::actor::{Actor, Answers, Script};
use crate::authority::Shape;
use crate::house::unique;
use crate::meeting::{Met, call, dial_back, inbound, outbound};
use crate::table::check;
use crate::wire::{STARTTLS, Wire, condition, header};
use crate::world::{OPEN, STRICT, World, world};

/// A peer whose certificate proves nothing, so that dialback decides.
fn dialback_peer(world: &World, answers: Answers) -> Actor {
    let script = Script {
        answers,
        ..Script::default()
    };
    world.peer("hostile", "signed.example", Shape::SelfSigned, script)
}

fn message(from: &str, to: &str, id: &str) -> String {
    format!("<message from='{from}' to='{to}' id='{id}' type='chat'><body>x</body></message>")
}

/// Nothing that `wire` says reaches Alice; gives how the stream ended.
fn says_in_vain(world: &World, local: &str, wire: &mut Wire, from: &str) -> String {
    let mut alice = world.alice(local);
    let id = unique("vain");
    wire.say(&message(from, &alice.jid, &id));
    let end = wire.rest();
    let seen = alice.settle();
    assert!(!seen.iter().any(|item| item.contains(&id)), "{seen:?}");
    alice.close();
    end
}

#[test]
fn dialback_10_to_15_an_authority_that_lies_proves_nothing() {
    let world = world();
    let meet = |answers, presents| {
        let actor = dialback_peer(world, answers);
        let met = inbound(world, OPEN, &actor, None);
        assert_eq!(met.mechanism, "dialback");
        assert!(met.outcome.starts_with("refused"), "{presents}: {met:?}");
        actor.until("<db:verify");
        met.row("scripted", presents, "encrypted", "in")
    };
    let rows: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = [
            (Answers::AlwaysInvalid, "its authority refutes the key"),
            (
                Answers::OtherStream,
                "its authority answers for another stream",
            ),
            (
                Answers::OtherDomain,
                "its authority answers for another domain",
            ),
            (Answers::HangsUp, "its authority hangs up when asked"),
        ]
        .map(|(answers, presents)| scope.spawn(move || meet(answers, presents)))
        .into();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a meeting"))
            .collect()
    });
    check("authorities", &rows);
}

/// A forged key is refuted by the true authority, and the forger's own server is never asked.
#[test]
fn dna_09_who_claims_a_domain_is_checked_where_the_dns_says() {
    let world = world();
    let victim = dialback_peer(world, Answers::Honest);
    let forger = dialback_peer(world, Answers::AlwaysValid);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&victim.domain, OPEN, Some(&forger.identity));
    assert!(!opened.offers_external(), "{}", opened.features);
    let answer = dial_back(&mut wire, &victim.domain, OPEN, &forger.key(&opened.id));
    assert!(answer.contains("type='invalid'"), "{answer}");
    assert_eq!(
        forger.count("<db:verify"),
        0,
        "the forger's server is not asked"
    );
    let asked = victim.until("<db:verify");
    assert!(asked.contains(&format!("id='{}'", opened.id)), "{asked}");
    let end = says_in_vain(
        world,
        OPEN,
        &mut wire,
        &format!("romeo@{}/x", victim.domain),
    );
    assert!(!end.contains("type='valid'"), "{end}");
}

/// A key that was good on one stream is worth nothing on another.
#[test]
fn dialback_10_a_replayed_key_is_refuted() {
    let world = world();
    let peer = dialback_peer(world, Answers::Honest);
    let mut first = Wire::connect(world.house.s2s());
    let opened = first.secure(&peer.domain, OPEN, None);
    let key = peer.key(&opened.id);
    let answer = dial_back(&mut first, &peer.domain, OPEN, &key);
    assert!(answer.contains("type='valid'"), "{answer}");
    let mut second = Wire::connect(world.house.s2s());
    second.secure(&peer.domain, OPEN, None);
    let answer = dial_back(&mut second, &peer.domain, OPEN, &key);
    assert!(answer.contains("type='invalid'"), "{answer}");
    says_in_vain(
        world,
        OPEN,
        &mut second,
        &format!("romeo@{}/x", peer.domain),
    );
}

/// Answers to questions that were never asked open nothing (DIALBACK-12).
#[test]
fn dialback_12_unsolicited_answers_are_dropped() {
    let world = world();
    let peer = dialback_peer(world, Answers::Honest);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&peer.domain, OPEN, None);
    for tag in ["result", "verify"] {
        wire.say(&format!(
            "<db:{tag} from='{}' to='{OPEN}' id='{}' type='valid'/>",
            peer.domain, opened.id
        ));
    }
    says_in_vain(world, OPEN, &mut wire, &format!("romeo@{}/x", peer.domain));
}

/// We make keys for our own streams only: a key that somebody made up is not ours, for whichever stream and domain.
#[test]
fn dialback_10_we_refute_keys_that_we_did_not_make() {
    let world = world();
    let peer = dialback_peer(world, Answers::Honest);
    let mut wire = Wire::connect(world.house.s2s());
    wire.secure(&peer.domain, OPEN, None);
    wire.say(&format!(
        "<db:verify from='{}' to='{OPEN}' id='some-stream'>made-up</db:verify>",
        peer.domain
    ));
    let answer = wire.until("<db:verify");
    assert!(answer.contains("type='invalid'"), "{answer}");
    // DIALBACK-17: a domain that is not served here is an error, and no reason to close.
    wire.say(&format!(
        "<db:verify from='{}' to='not-here.signed.example' id='other'>made-up</db:verify>",
        peer.domain
    ));
    let answer = wire.until("<db:verify");
    assert!(
        answer.contains("type='error'") && answer.contains("<item-not-found"),
        "{answer}"
    );
}

/// Somebody between the servers takes STARTTLS away: TLS is tried all the same, and nothing is ever said in the clear.
#[test]
fn tls_15_and_42_stripping_starttls_gains_nothing() {
    let world = world();
    let mut rows = Vec::new();
    for (works, presents) in [
        (true, "STARTTLS stripped from its features"),
        (false, "STARTTLS stripped and refused"),
    ] {
        let script = Script {
            advertises_tls: false,
            identity_called: works,
            ..Script::default()
        };
        let peer = world.peer("stripped", "signed.example", Shape::ServerAuth, script);
        let met = outbound(world, OPEN, &peer);
        peer.until("<starttls");
        if works {
            assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
        } else {
            assert_eq!(met.mechanism, "none");
            assert!(met.outcome.starts_with("bounced"), "{met:?}");
            assert_eq!(
                peer.count("<db:result") + peer.count("<message"),
                0,
                "{:?}",
                peer.heard()
            );
        }
        rows.push(met.row("scripted", presents, "encrypted", "out"));
    }
    // And towards us: nothing but TLS is answered.
    let mut wire = Wire::connect(world.house.s2s());
    let peer = dialback_peer(world, Answers::Honest);
    let opened = wire.open(&peer.domain, OPEN);
    assert!(opened.features.contains("<required"), "{}", opened.features);
    assert!(
        !opened.offers_dialback() && !opened.offers_external(),
        "{}",
        opened.features
    );
    wire.say(&format!(
        "<db:result from='{}' to='{OPEN}'>k</db:result>",
        peer.domain
    ));
    let answer = wire.item();
    assert!(
        answer.contains("<policy-violation"),
        "DIALBACK-18: {answer}"
    );
    assert_eq!(peer.count("<db:verify"), 0, "nobody is asked");
    let refused = format!("refused: {}", condition(&answer));
    rows.push(Met::new("none", "none", &refused).row(
        "scripted",
        "dialback without TLS",
        "encrypted",
        "in",
    ));
    check("stripping", &rows);
}

/// TLS-08: what is written in the clear behind `<starttls/>` never becomes part of the stream.
#[test]
fn tls_08_nothing_is_smuggled_past_the_handshake() {
    let world = world();
    let peer = world.peer(
        "smuggler",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let mut wire = Wire::connect(world.house.s2s());
    wire.open(&peer.domain, OPEN);
    let mut alice = world.alice(OPEN);
    let id = unique("smuggled");
    let hidden = message(&format!("romeo@{}/x", peer.domain), &alice.jid, &id);
    wire.say(&format!(
        "{STARTTLS}{}{hidden}",
        header(&peer.domain, OPEN, None)
    ));
    wire.until("<proceed");
    // The server may hang up, or go on as if the bytes had never been there.
    if wire.tls_client(Some(&peer.identity), OPEN, &[]).is_ok() {
        let opened = wire.open(&peer.domain, OPEN);
        assert!(opened.offers_external(), "{}", opened.features);
    }
    assert!(!alice.settle().iter().any(|item| item.contains(&id)));
    alice.close();
}

/// A proven stream carries its own pair and nothing else (DNA-19, LAYER-06, LAYER-07): no relaying, in either name.
#[test]
fn dna_19_a_proven_peer_speaks_for_itself_only() {
    let world = world();
    let mut rows = Vec::new();
    for (from, to, presents) in [
        (
            "romeo@other.signed.example/x",
            OPEN,
            "a stanza from a domain it has not proven",
        ),
        (OPEN, OPEN, "a stanza from a domain that we host"),
        (
            "",
            STRICT,
            "a stanza to a hosted domain it was not proven to",
        ),
        (
            "",
            "elsewhere.signed.example",
            "a stanza to be relayed elsewhere",
        ),
    ] {
        let peer = world.peer(
            "pairs",
            "signed.example",
            Shape::ServerAuth,
            Script::default(),
        );
        let (mut wire, mechanism, outcome) = call(world, OPEN, &peer, Some(&peer.identity));
        assert_eq!((mechanism.as_str(), outcome.as_str()), ("EXTERNAL", "open"));
        let own = format!("romeo@{}/x", peer.domain);
        let from = match from {
            "" => own,
            OPEN => format!("alice@{OPEN}/x"),
            other => other.to_owned(),
        };
        let local = if to == STRICT { STRICT } else { OPEN };
        let mut alice = world.alice(local);
        let id = unique("wrong");
        let to = if to == local {
            alice.jid.clone()
        } else {
            format!("bob@{to}")
        };
        wire.say(&message(&from, &to, &id));
        let end = wire.rest();
        assert!(end.contains("<stream:error"), "{presents}: {end}");
        assert!(
            !alice.settle().iter().any(|item| item.contains(&id)),
            "{presents}"
        );
        alice.close();
        rows.push(
            Met::new(
                &mechanism,
                "pkix",
                &format!("stream closed: {}", condition(&end)),
            )
            .row("scripted", presents, "encrypted", "in"),
        );
    }
    check("pairs", &rows);
}

/// DNA-06, DNA-29: showing a certificate is not yet having proven anything.
#[test]
fn dna_29_no_stanza_before_the_proof() {
    let world = world();
    let peer = world.peer(
        "early",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&peer.domain, OPEN, Some(&peer.identity));
    assert!(opened.offers_external());
    let end = says_in_vain(world, OPEN, &mut wire, &format!("romeo@{}/x", peer.domain));
    assert!(end.contains("<stream:error"), "{end}");
}

/// ROUTE-08: nobody on the outside speaks for a domain that is hosted here, whatever the DNS says.
#[test]
fn route_08_hosted_domains_do_not_come_from_outside() {
    let world = world();
    let stolen = world.ca.shaped(STRICT, Shape::ServerAuth);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(STRICT, OPEN, Some(&stolen));
    assert!(
        opened.refused() && !opened.offers_external(),
        "{}",
        opened.features
    );
}

/// The certificate of the connection that brings the key is another one than the authority's: the key decides, and
/// the certificate short cut (DIALBACK-23) does not.
#[test]
fn dialback_23_certificates_swapped_between_the_legs() {
    let world = world();
    let peer = dialback_peer(world, Answers::Honest);
    let other = world.ca.shaped(&peer.domain, Shape::SelfSigned);
    // A good key with another certificate: valid, by the key.
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&peer.domain, OPEN, Some(&other));
    let answer = dial_back(&mut wire, &peer.domain, OPEN, &peer.key(&opened.id));
    assert!(answer.contains("type='valid'"), "{answer}");
    // A bad key with another certificate than the authority's, which would itself prove the domain.
    let proving = world.peer(
        "swapped",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let other = world.ca.shaped(&proving.domain, Shape::SelfSigned);
    let mut wire = Wire::connect(world.house.s2s());
    wire.secure(&proving.domain, OPEN, Some(&other));
    let answer = dial_back(&mut wire, &proving.domain, OPEN, "made-up");
    assert!(answer.contains("type='invalid'"), "{answer}");
    says_in_vain(
        world,
        OPEN,
        &mut wire,
        &format!("romeo@{}/x", proving.domain),
    );
}

/// DOS-01, DOS-08: a thousand connections that say hello and no more, and the good peer does not notice.
#[test]
fn dos_01_a_thousand_half_open_streams_beside_a_good_one() {
    let world = world();
    let good = world.peer(
        "good",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let (mut wire, mechanism, _) = call(world, OPEN, &good, Some(&good.identity));
    assert_eq!(mechanism, "EXTERNAL");
    let mut half_open = Vec::new();
    let mut turned_away = 0;
    for n in 0..1000u32 {
        // From a handful of addresses, so that what one address may hold is tried as well.
        let from = IpAddr::from(Ipv4Addr::new(127, 250, 0, 1 + (n % 4) as u8));
        match Wire::connect_from(from, world.house.s2s()) {
            Ok(mut stream) => {
                stream.say(&header("nobody.signed.example", OPEN, None));
                half_open.push(stream);
            }
            Err(_) => turned_away += 1,
        }
    }
    assert!(half_open.len() + turned_away == 1000);
    // The stream that is open goes on …
    let mut alice = world.alice(OPEN);
    let id = unique("beside");
    wire.say(&message(
        &format!("romeo@{}/x", good.domain),
        &alice.jid,
        &id,
    ));
    alice.until(&id);
    alice.close();
    // … and a new good one comes about.
    let newcomer = world.peer(
        "newcomer",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let met = inbound(world, OPEN, &newcomer, Some(&newcomer.identity));
    assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
    // None of them was worth a look-up: nothing has been proven or refused for the name they gave.
    assert!(
        world
            .house
            .attempts(OPEN, "nobody.signed.example")
            .is_empty()
    );
}

/// Name servers that never answer hold up who depends on them, and nobody else.
#[test]
fn dna_a_silent_name_server_holds_up_its_own_domain_only() {
    let world = world();
    let silent = world.ca.shaped("slow.silent.example", Shape::SelfSigned);
    let actor = Actor::start("slow.silent.example", silent, Script::default());
    let mut rows = Vec::new();
    let met = std::thread::scope(|scope| {
        let slow = scope.spawn(|| outbound(world, OPEN, &actor));
        let good = world.peer(
            "prompt",
            "signed.example",
            Shape::ServerAuth,
            Script::default(),
        );
        let met = outbound(world, OPEN, &good);
        assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
        slow.join().expect("the slow one ends")
    });
    assert!(met.outcome.starts_with("bounced"), "{met:?}");
    rows.push(met.row(
        "scripted",
        "its name servers never answer",
        "encrypted",
        "out",
    ));
    let met = inbound(world, OPEN, &actor, Some(&actor.identity));
    assert!(met.outcome.starts_with("refused"), "{met:?}");
    rows.push(met.row(
        "scripted",
        "its name servers never answer",
        "encrypted",
        "in",
    ));
    check("silent", &rows);
}
