//! Peers that lie, replay, strip, stall and flood. Each test says what must not happen, and shows that the good peer beside
//! it is served all the while.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::lab::actor::{Actor, Answers, Script};
use crate::lab::authority::Shape;
use crate::lab::house::{PEER_STANZAS_PER_SECOND, unique};
use crate::lab::http::Page;
use crate::lab::meeting::{Met, call, dial_back, inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::wire::{STARTTLS, Wire, condition, header};
use crate::lab::world::{OPEN, POSH_PATH, STRICT, World, world};

/// A peer whose certificate proves nothing, so that dialback decides.
fn dialback_peer(world: &World, answers: Answers) -> Actor {
    let script = Script {
        answers,
        ..Script::default()
    };
    world.peer("hostile", "signed.example", Shape::SelfSigned, script)
}

/// A peer that everybody believes.
fn good_peer(world: &World) -> Actor {
    let script = Script::default();
    world.peer("good", "signed.example", Shape::ServerAuth, script)
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

/// DNA-10, DIALBACK-10 to DIALBACK-15: only `valid`, for the same domains and the same stream, proves anything.
#[test]
fn dialback_10_to_15_an_authority_that_lies_proves_nothing() {
    let world = world();
    let meet = |answers, presents| {
        let actor = dialback_peer(world, answers);
        let met = inbound(world, OPEN, &actor, None);
        assert_eq!(met.mechanism, "dialback");
        assert!(met.outcome.starts_with("refused"), "{presents}: {met:?}");
        actor.until("<db:verify");
        // What its owner has to mend is not the certificate.
        let told = world
            .house
            .attempt(OPEN, &actor.domain, |a| a["ok"] == false);
        assert_eq!(told["code"], "dialback-refused", "{told:#}");
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

/// A forged key is refuted by the true authority, and the forger's own server is never asked (DNA-09).
fn forged(world: &World) -> Met {
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
    let from = format!("romeo@{}/x", victim.domain);
    let end = says_in_vain(world, OPEN, &mut wire, &from);
    assert!(!end.contains("type='valid'"), "{end}");
    Met::new("dialback", "none", "refused: invalid")
}

/// A key that was good on one stream is worth nothing on another (DIALBACK-10).
fn replayed(world: &World) -> Met {
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
    let from = format!("romeo@{}/x", peer.domain);
    says_in_vain(world, OPEN, &mut second, &from);
    Met::new("dialback", "none", "refused: invalid")
}

/// Answers to questions that were never asked open nothing (DIALBACK-12).
fn unsolicited(world: &World) -> Met {
    let peer = dialback_peer(world, Answers::Honest);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&peer.domain, OPEN, None);
    for tag in ["result", "verify"] {
        wire.say(&format!(
            "<db:{tag} from='{}' to='{OPEN}' id='{}' type='valid'/>",
            peer.domain, opened.id
        ));
    }
    let from = format!("romeo@{}/x", peer.domain);
    let end = says_in_vain(world, OPEN, &mut wire, &from);
    assert_eq!(peer.connections(), 0, "nobody is asked");
    Met::new(
        "none",
        "none",
        &format!("stream closed: {}", condition(&end)),
    )
}

/// The key decides, whichever certificates the connection that brings it and the authority show: another one on each leg, or
/// the same, with which step 2 might be skipped (DIALBACK-23). It never is: all that would save is one question on a connection
/// that is open already.
fn shown(world: &World, shape: Shape, swapped: bool, good: bool) -> Met {
    let script = Script::default();
    let peer = world.peer("swapped", "signed.example", shape, script);
    let other = match swapped {
        true => world.ca.shaped(&peer.domain, Shape::SelfSigned),
        false => peer.identity.clone(),
    };
    let mut wire = Wire::connect_from(peer.ip(), world.house.s2s()).expect("connection");
    let opened = wire.secure(&peer.domain, OPEN, Some(&other));
    let key = match good {
        true => peer.key(&opened.id),
        false => "made-up".to_owned(),
    };
    let answer = dial_back(&mut wire, &peer.domain, OPEN, &key);
    let from = format!("romeo@{}/x", peer.domain);
    if good {
        assert!(answer.contains("type='valid'"), "{answer}");
        let mut alice = world.alice(OPEN);
        let id = unique("swapped");
        wire.say(&message(&from, &alice.jid, &id));
        alice.until(&id);
        alice.close();
        return Met::new("", "", "delivered").explained(world, OPEN, &peer.domain, "in");
    }
    assert!(answer.contains("type='invalid'"), "{answer}");
    says_in_vain(world, OPEN, &mut wire, &from);
    Met::new("dialback", "none", "refused: invalid")
}

#[test]
fn dialback_10_to_23_keys_that_are_not_what_they_seem() {
    let world = world();
    let rows: Vec<_> = [
        (
            "another's domain, with a key that its own server would confirm",
            forged(world),
        ),
        ("a key that was good on another stream", replayed(world)),
        (
            "answers to questions that nobody asked",
            unsolicited(world),
        ),
        (
            "a good key, over another certificate than its authority's",
            shown(world, Shape::SelfSigned, true, true),
        ),
        (
            "a made-up key, over another certificate than its authority's, which would prove the domain",
            shown(world, Shape::ServerAuth, true, false),
        ),
        (
            "a made-up key, over the very certificate of its authority, which proves nothing",
            shown(world, Shape::SelfSigned, false, false),
        ),
    ]
    .into_iter()
    .map(|(presents, met)| met.row("scripted", presents, "encrypted", "in"))
    .collect();
    check("keys", &rows);
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
fn smuggled(world: &World) -> Met {
    let peer = good_peer(world);
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
    let outcome = if wire.tls_client(Some(&peer.identity), OPEN, &[]).is_ok() {
        let opened = wire.open(&peer.domain, OPEN);
        assert!(opened.offers_external(), "{}", opened.features);
        "dropped"
    } else {
        "connection closed"
    };
    assert!(!alice.settle().iter().any(|item| item.contains(&id)));
    alice.close();
    Met::new("none", "none", outcome)
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
fn early(world: &World) -> Met {
    let peer = good_peer(world);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(&peer.domain, OPEN, Some(&peer.identity));
    assert!(opened.offers_external());
    let end = says_in_vain(world, OPEN, &mut wire, &format!("romeo@{}/x", peer.domain));
    assert!(end.contains("<stream:error"), "{end}");
    let closed = format!("stream closed: {}", condition(&end));
    Met::new("none", "none", &closed)
}

/// ROUTE-08: nobody on the outside speaks for a domain that is hosted here, whatever it shows and whatever the DNS says.
fn stolen(world: &World) -> Met {
    let stolen = world.ca.shaped(STRICT, Shape::ServerAuth);
    let mut wire = Wire::connect(world.house.s2s());
    let opened = wire.secure(STRICT, OPEN, Some(&stolen));
    assert!(
        opened.refused() && !opened.offers_external(),
        "{}",
        opened.features
    );
    let refused = format!("refused: {}", condition(&opened.features));
    Met::new("none", "none", &refused)
}

#[test]
fn dna_29_nothing_before_the_proof() {
    let world = world();
    let rows: Vec<_> = [
        (
            "a stanza before the proof, a good certificate",
            early(world),
        ),
        (
            "a stanza in the clear, behind its request for TLS",
            smuggled(world),
        ),
        ("a domain that we host, a good certificate", stolen(world)),
    ]
    .into_iter()
    .map(|(presents, met)| met.row("scripted", presents, "encrypted", "in"))
    .collect();
    check("early", &rows);
}

/// DOS-01, DOS-08: a thousand connections that say hello and no more, and the good peer does not notice.
#[test]
fn dos_01_a_thousand_half_open_streams_beside_a_good_one() {
    let world = world();
    let good = good_peer(world);
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
    let open = Met::new("", "", "delivered").explained(world, OPEN, &good.domain, "in");
    // … and a new good one comes about.
    let newcomer = good_peer(world);
    let met = inbound(world, OPEN, &newcomer, Some(&newcomer.identity));
    assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
    // None of them was worth a look-up: nothing has been proven or refused for the name they gave.
    assert!(
        world
            .house
            .attempts(OPEN, "nobody.signed.example")
            .is_empty()
    );
    let beside = "beside a thousand half-open streams";
    let mut rows = vec![
        open.row(
            "scripted",
            &format!("{beside}, a stream that was open"),
            "encrypted",
            "in",
        ),
        met.row(
            "scripted",
            &format!("{beside}, a new one"),
            "encrypted",
            "in",
        ),
    ];
    rows.extend(above_its_rate(world));
    check("flood", &rows);
}

/// DOS-07: a proven peer that writes faster than a peer may is read more slowly, by itself; nothing of it is lost, and nobody
/// is closed for it.
fn above_its_rate(world: &World) -> Vec<Row> {
    // Ten seconds' worth may come at once.
    const MESSAGES: usize = 20 * PEER_STANZAS_PER_SECOND;
    let (eager, good) = (good_peer(world), good_peer(world));
    let (mut wire, ..) = call(world, OPEN, &eager, Some(&eager.identity));
    let mut alice = world.alice(OPEN);
    let slowed = "domicile_limited_total{limit=\"peer_stanzas_per_second\"";
    let before = world.house.metric(slowed);
    let (from, word) = (format!("romeo@{}/x", eager.domain), unique("eager"));
    let to = alice.jid.clone();
    let beside = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..MESSAGES {
                assert!(wire.say(&message(&from, &to, &format!("{word}-{n}."))));
            }
        });
        alice.until(&format!("{word}-0."));
        let met = inbound(world, OPEN, &good, Some(&good.identity));
        let mut seen = alice.settle();
        // Alice's other devices come and go meanwhile.
        seen.retain(|item| item.contains(&word));
        let last = format!("{word}-{}.", MESSAGES - 1);
        let through = |item: &String| item.contains(&last);
        assert!(!seen.iter().any(through), "the good one waited for it");
        let mut seen = seen.into_iter();
        for n in 1..MESSAGES {
            // In order, and none is missing.
            let item = seen.next().unwrap_or_else(|| alice.until(&word));
            assert!(item.contains(&format!("{word}-{n}.")), "{n}: {item}");
        }
        writing.join().expect("everything is written");
        met
    });
    assert!(
        world.house.metric(slowed) > before,
        "{}",
        world.house.metrics()
    );
    alice.close();
    let eager = Met::new("", "", "delivered, slowed down").explained_as(
        world,
        OPEN,
        &eager.domain,
        "in",
        true,
    );
    vec![
        eager.row(
            "scripted",
            "far more than a peer may write",
            "encrypted",
            "in",
        ),
        beside.row("scripted", "a new one beside that", "encrypted", "in"),
    ]
}

/// Whatever is slow holds up who depends on it, and nobody else: a good peer calls and is called all the while.
fn beside_a_good_one(world: &World, slow: impl FnOnce() -> Met + Send) -> Met {
    std::thread::scope(|scope| {
        let slow = scope.spawn(slow);
        let mut met = 0;
        while met == 0 || !slow.is_finished() {
            let good = good_peer(world);
            let out = outbound(world, OPEN, &good);
            assert_eq!(out.said(), ("EXTERNAL", "pkix", "delivered"));
            let back = inbound(world, OPEN, &good, Some(&good.identity));
            assert_eq!(back.said(), ("EXTERNAL", "pkix", "delivered"));
            met += 1;
            std::thread::park_timeout(Duration::from_millis(250));
        }
        slow.join().expect("the slow one ends")
    })
}

/// DNA-21, POSH-46, DIALBACK-24: name servers and websites that are slow, silent, or never come to an end.
#[test]
fn posh_46_slow_name_servers_and_websites_hold_up_their_own_domain_only() {
    let world = world();
    let identity = |domain: &str| world.ca.shaped(domain, Shape::SelfSigned);
    let mut rows = Vec::new();
    let mut meet = |actor: &Actor, presents: &str, proof: (&str, &str)| {
        for (direction, proof) in [("in", proof.0), ("out", proof.1)] {
            let met = beside_a_good_one(world, || match direction {
                "in" => inbound(world, OPEN, actor, Some(&actor.identity)),
                _ => outbound(world, OPEN, actor),
            });
            assert_eq!(met.proof, proof, "{presents} {direction}: {met:?}");
            rows.push(met.row("scripted", presents, "encrypted", direction));
        }
    };

    let domain = format!("{}.silent.example", unique("slow"));
    let silent = Actor::start(&domain, identity(&domain), Script::default());
    meet(&silent, "its name servers never answer", ("none", "none"));
    let domain = format!("{}.slow.example", unique("slow"));
    let at = world.zones.slow_peers;
    let slow = Actor::start_at(at, &domain, identity(&domain), Script::default());
    let presents = "its name servers take their time over every answer";
    meet(&slow, presents, ("dialback", "dialback"));

    for (page, presents) in [
        (Page::Silence, "its website never answers"),
        (Page::Drip, "its website never comes to an end"),
    ] {
        let peer = dialback_peer(world, Answers::Honest);
        world.web(&peer.domain);
        world.site.page(&peer.domain, POSH_PATH, page);
        meet(&peer, presents, ("dialback", "dialback"));
        assert!(world.site.asked(&peer.domain) > 0, "{presents}");
    }
    check("slow", &rows);
}
