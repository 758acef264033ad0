//! Every shape of certificate, in both roles, under both policies (CERT-05 to CERT-10, CERT-30, DNA-05 to DNA-10).

use crate::lab::actor::Script;
use crate::lab::authority::Shape;
use crate::lab::meeting::{inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::world::{OPEN, STRICT, world};

/// Shape, and whether it proves its domain by PKIX.
const SHAPES: &[(Shape, bool)] = &[
    (Shape::ServerAuth, true),
    (Shape::ServerAndClientAuth, true),
    (Shape::NoUsage, true),
    (Shape::AnyUsage, true),
    (Shape::ClientAuth, false),
    (Shape::SrvId, true),
    (Shape::XmppAddr, true),
    (Shape::Wildcard, true),
    (Shape::CommonNameOnly, false),
    (Shape::WrongName, false),
    (Shape::Intermediate, true),
    (Shape::MissingIntermediate, false),
    (Shape::Expired, false),
    (Shape::NotYetValid, false),
    (Shape::SelfSigned, false),
    (Shape::Untrusted, false),
];

/// The four meetings of one shape.
fn meetings(shape: Shape, good: bool) -> Vec<Row> {
    let world = world();
    let mut rows = Vec::new();
    for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
        let actor = world.peer("shape", "signed.example", shape, Script::default());
        let met = inbound(world, local, &actor, Some(&actor.identity));
        let expected = match (good, local) {
            (true, _) => ("EXTERNAL", "pkix", "delivered"),
            (false, OPEN) => ("dialback", "dialback", "delivered"),
            (false, _) => ("none", "none", "refused: not-authorized"),
        };
        assert_eq!(met.said(), expected, "{shape:?} in, {policy}");
        rows.push(met.row("scripted", shape.words(), policy, "in"));

        let actor = world.peer("shape", "signed.example", shape, Script::default());
        let met = outbound(world, local, &actor);
        let expected = match (good, local) {
            (true, _) => ("EXTERNAL", "pkix", "delivered"),
            (false, OPEN) => ("EXTERNAL", "dialback", "delivered"),
            (false, _) => ("none", "none", "bounced: remote-server-timeout"),
        };
        assert_eq!(met.said(), expected, "{shape:?} out, {policy}");
        rows.push(met.row("scripted", shape.words(), policy, "out"));
    }
    rows
}

#[test]
fn cert_05_to_10_and_30_every_shape_in_both_directions() {
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running: Vec<_> = SHAPES
            .iter()
            .map(|(shape, good)| scope.spawn(|| meetings(*shape, *good)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("the meetings of a shape"))
            .collect()
    });
    check("certificates", &rows);
}
