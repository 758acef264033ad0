//! A peer that is known: what another stream to it, or from it, asks the world.

use std::sync::atomic::Ordering;

use super::*;

impl House {
    /// Ends the streams that it has opened, and gives how many streams it has had.
    fn hang_up(&self) -> u64 {
        let streams = self.server.federation().streams.lock();
        for stream in streams.open.values().filter(|stream| stream.ours) {
            stream.outbox.order(Order::Finish);
        }
        streams.number()
    }

    fn has_streams(&self) -> bool {
        !self.server.federation().streams.lock().open.is_empty()
    }
}

/// A new stream between two servers that know each other makes no look-up on either side, whether certificates prove them or
/// dialback does.
#[tokio::test]
async fn a_stream_for_a_known_peer_makes_no_look_up() {
    for (trusting, mechanism) in [(true, "EXTERNAL"), (false, "dialback")] {
        let (one, two) = houses(trusting, trusting, false).await;
        let asked = || one.dns.3.load(Ordering::Relaxed);
        let (mut known, mut had) = (None, [0; 2]);
        // In the first round they come to know each other.
        for round in 0..3 {
            for (from, to) in [(&one, &two), (&two, &one)] {
                let id = format!("m{round}-{}", from.domain);
                from.send(to, &id).await;
                assert!(to.got().await.contains(&id));
                let attempt = from.attempts(to, |a| a["direction"] == "out").await;
                assert_eq!(attempt["mechanism"], mechanism, "{attempt}");
                let have = [&one, &two].map(House::hang_up);
                assert!(
                    have[0] > had[0] && have[1] > had[1],
                    "a stream of its own: {have:?}"
                );
                had = have;
                eventually(async || !one.has_streams() && !two.has_streams()).await;
            }
            match known {
                None => known = Some(asked()),
                Some(known) => assert_eq!(asked(), known, "{mechanism}, round {round}"),
            }
        }
        assert!(
            known.is_some_and(|known| known > 0),
            "the first were looked up"
        );
    }
}
