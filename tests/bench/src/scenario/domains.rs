//! Many domains, each with a certificate of its own: what starting with them costs, what each takes while nobody comes, the
//! first handshake of each, and what it takes from then on.

use std::collections::BTreeMap;

use super::idle::{at_rest, quiet};
use super::{FURTHER, Sample, Scenario, Size, offline, online};
use crate::Outcome;
use crate::authority::{self, Domains};
use crate::client::Gate;
use crate::subject::{Kind, Options, Subject};
use crate::world::World;

/// Domains that are used, at most: it says enough.
const USED: usize = 1_000;

/// Samples by scenario: one procedure gives all of them.
pub type Found = BTreeMap<Scenario, Vec<Sample>>;

/// Starts the server with many domains, as often as asked for.
pub async fn run(kind: Kind, world: &World, size: &Size) -> Outcome<Found> {
    let domains = Domains::make(&world.fresh("domains")?, size.domains)?;
    let mut found = Found::new();
    for _ in 0..size.repeat {
        let empty = {
            let subject = Subject::start(kind, world)?;
            offline(online(&subject.gate, 0..1).await?).await?;
            at_rest(&subject.process).await?
        };
        once(kind, world, &domains, empty, &mut found).await?;
    }
    Ok(found)
}

/// What each domain takes that comes to those there are already, up to ten times as many: without what is taken once, whatever the
/// number.
pub(super) async fn slope(kind: Kind, world: &World, size: &Size) -> Outcome<Vec<Sample>> {
    let (few, many) = (size.domains, FURTHER * size.domains);
    let domains = Domains::make(&world.fresh("domains")?, many)?;
    let mut samples = Vec::new();
    for _ in 0..size.repeat {
        let mut held = Vec::new();
        for count in [few, many] {
            let some = domains.first(count);
            let options = Options {
                domains: Some(&some),
                ..Options::default()
            };
            let subject = Subject::start_with(kind, world, &options)?;
            offline(online(&subject.gate, 0..1).await?).await?;
            quiet(&subject.process).await?;
            held.push(at_rest(&subject.process).await?);
        }
        let further = many - few;
        samples.push(Sample {
            value: (held[1] - held[0]) / further as f64,
            units: further as u64,
            per_second: 0.0,
            database: 0.0,
        });
    }
    Ok(samples)
}

async fn once(
    kind: Kind,
    world: &World,
    domains: &Domains,
    empty: f64,
    found: &mut Found,
) -> Outcome<()> {
    let count = domains.count;
    let mut keep = |scenario, value, units: usize| {
        let sample = Sample {
            value,
            units: units as u64,
            per_second: 0.0,
            database: 0.0,
        };
        found.entry(scenario).or_default().push(sample);
    };
    let options = Options {
        domains: Some(domains),
        ..Options::default()
    };
    let subject = Subject::start_with(kind, world, &options)?;
    offline(online(&subject.gate, 0..1).await?).await?;
    let start = subject.process.used()?;
    keep(Scenario::Start, start.micros(), count);
    quiet(&subject.process).await?;
    let idle = at_rest(&subject.process).await?;
    keep(Scenario::DomainIdle, (idle - empty) / count as f64, count);

    let gate = Gate::new(
        subject.gate.server(),
        &authority::domain(0),
        &domains.roots(),
    )?;
    let used = count.min(USED);
    let before = subject.process.used()?;
    for number in 0..used {
        // Spread over all there are.
        let name = authority::domain(number * count / used);
        let (mut connection, _) = gate
            .to(&name)
            .greet()
            .await
            .map_err(|e| format!("{name}: {e}"))?;
        connection.close().await?;
    }
    let cost = subject.process.used()?.since(before);
    keep(Scenario::DomainFirst, cost.micros() / used as f64, used);
    let full = at_rest(&subject.process).await?;
    keep(Scenario::DomainUsed, (full - idle) / used as f64, used);
    Ok(())
}
