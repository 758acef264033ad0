//! A hosted domain and a scripted peer meet, once in each direction, and what was seen becomes a row.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::lab::actor::Actor;
use crate::lab::authority::Identity;
use crate::lab::house::{House, unique};
use crate::lab::table::Row;
use crate::lab::wire::{Wire, condition};
use crate::lab::world::World;

/// How a meeting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    pub mechanism: String,
    pub proof: String,
    pub outcome: String,
    /// Code of what proved nothing on the way.
    pub refusal: String,
}

impl Met {
    pub fn new(mechanism: &str, proof: &str, outcome: &str) -> Self {
        Self {
            mechanism: mechanism.into(),
            proof: proof.into(),
            outcome: outcome.into(),
            refusal: String::new(),
        }
    }

    /// With what the diagnosis says about an attempt in this direction.
    pub fn explained(self, world: &World, local: &str, remote: &str, direction: &str) -> Self {
        let good = self.outcome == "delivered";
        self.explained_as(world, local, remote, direction, good)
    }

    /// The same, of an attempt that was `good` or not, whatever the outcome is called.
    pub fn explained_as(
        self,
        world: &World,
        local: &str,
        remote: &str,
        direction: &str,
        good: bool,
    ) -> Self {
        self.explained_by(&world.house, local, remote, direction, |a| a["ok"] == good)
    }

    /// The same, of an attempt that fits, in this direction or, for a good one, on a stream that goes both ways.
    pub fn explained_by(
        self,
        house: &House,
        local: &str,
        remote: &str,
        direction: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Self {
        let attempt = house.attempt(local, remote, |a| {
            let reversed = direction == "out" && a["bidi"] == true && a["ok"] == true;
            (a["direction"] == direction || reversed) && fits(a)
        });
        let reversed = attempt["direction"] != direction;
        let mut codes: Vec<&str> = attempt["refusals"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|refusal| refusal["code"].as_str())
            .collect();
        codes.dedup();
        if codes.is_empty() {
            codes.extend(attempt["code"].as_str());
        }
        let refusal = codes.join(", ");
        let mechanism = match self.mechanism.as_str() {
            _ if reversed => "bidi".to_owned(),
            "" => attempt["mechanism"].as_str().unwrap_or("none").to_owned(),
            _ => self.mechanism.clone(),
        };
        Self {
            mechanism,
            proof: attempt["prooftype"].as_str().unwrap_or("none").to_owned(),
            refusal,
            ..self
        }
    }

    /// What matters for an expectation: mechanism, proof, outcome.
    pub fn said(&self) -> (&str, &str, &str) {
        (&self.mechanism, &self.proof, &self.outcome)
    }

    pub fn row(self, peer: &str, presents: &str, policy: &str, direction: &'static str) -> Row {
        Row {
            peer: peer.into(),
            presents: presents.into(),
            policy: policy.into(),
            direction,
            mechanism: self.mechanism,
            proof: self.proof,
            outcome: self.outcome,
            refusal: self.refusal,
        }
    }
}

/// The peer calls `local` and proves itself as it is allowed to; gives the open stream if it came about.
pub fn call(
    world: &World,
    local: &str,
    actor: &Actor,
    identity: Option<&Identity>,
) -> (Wire, String, String) {
    let mut wire = Wire::connect_from(actor.ip(), world.house.s2s()).expect("a connection");
    let opened = wire.secure(&actor.domain, local, identity);
    let (mechanism, outcome) = if opened.refused() {
        ("none", format!("refused: {}", condition(&opened.features)))
    } else if opened.offers_external() {
        let answer = wire.external(&actor.domain);
        if answer.contains("<success") {
            let again = wire.open(&actor.domain, local);
            assert!(
                again.features.contains("<stream:features"),
                "{}",
                again.features
            );
            ("EXTERNAL", "open".to_owned())
        } else {
            ("EXTERNAL", format!("refused: {}", condition(&answer)))
        }
    } else if opened.offers_dialback() {
        let answer = dial_back(&mut wire, &actor.domain, local, &actor.key(&opened.id));
        let good = answer.starts_with("<db:result") && answer.contains("type='valid'");
        let outcome = match good {
            true => "open".to_owned(),
            false if answer.contains("type='invalid'") => "refused: invalid".to_owned(),
            false => format!("refused: {}", condition(&answer)),
        };
        ("dialback", outcome)
    } else {
        ("none", "refused: nothing is offered".to_owned())
    };
    (wire, mechanism.to_owned(), outcome)
}

/// Sends a key and gives what was said about it.
pub fn dial_back(wire: &mut Wire, from: &str, to: &str, key: &str) -> String {
    wire.say(&format!(
        "<db:result from='{from}' to='{to}'>{key}</db:result>"
    ));
    loop {
        let item = wire.item();
        if item.starts_with("<db:result") || item.contains("<stream:error") {
            return item;
        }
    }
}

/// The peer calls us and writes to Alice.
pub fn inbound(world: &World, local: &str, actor: &Actor, identity: Option<&Identity>) -> Met {
    let (mut wire, mechanism, outcome) = call(world, local, actor, identity);
    if outcome != "open" {
        return Met::new(&mechanism, "none", &outcome).explained(world, local, &actor.domain, "in");
    }
    let mut alice = world.alice(local);
    let id = unique("in");
    wire.say(&format!(
        "<message from='romeo@{}/x' to='{}' id='{id}' type='chat'><body>in</body></message>",
        actor.domain, alice.jid
    ));
    let got = alice.until(&id);
    assert!(
        got.contains(&format!("from='romeo@{}/x'", actor.domain)),
        "{got}"
    );
    alice.close();
    Met::new(&mechanism, "", "delivered").explained(world, local, &actor.domain, "in")
}

/// Alice writes to somebody at the peer.
pub fn outbound(world: &World, local: &str, actor: &Actor) -> Met {
    let met = outbound_to(world, local, actor, &actor.domain);
    Met {
        mechanism: actor.mechanism().to_owned(),
        ..met
    }
}

/// Alice writes to somebody at another domain that the peer serves; the mechanism is what our side says it was.
pub fn outbound_to(world: &World, local: &str, actor: &Actor, remote: &str) -> Met {
    written(world, local, remote, |id| actor.count(id) > 0)
}

/// Alice writes to somebody at `remote`; `arrived` says whether an item with this text has come there.
pub fn written(world: &World, local: &str, remote: &str, arrived: impl Fn(&str) -> bool) -> Met {
    let mut alice = world.alice(local);
    let id = unique("out");
    alice.message(&format!("romeo@{remote}"), &id, "out");
    let end = Instant::now() + DEADLINE;
    let bounced = loop {
        if arrived(&id) {
            break None;
        }
        let seen = alice.settle();
        if let Some(error) = seen.into_iter().find(|item| item.contains(&id)) {
            break Some(condition(&error));
        }
        assert!(
            Instant::now() < end,
            "neither delivered nor bounced; {}",
            world.house.log_tail()
        );
        std::thread::park_timeout(Duration::from_millis(20));
    };
    alice.close();
    let outcome = bounced.map_or_else(
        || "delivered".to_owned(),
        |condition| format!("bounced: {condition}"),
    );
    Met::new("", "", &outcome).explained(world, local, remote, "out")
}
