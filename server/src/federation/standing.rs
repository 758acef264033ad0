//! What a change of a hosted domain means to the streams that are open: pairs that it no longer allows come off them at once.
//!
//! The pair is what falls, not the stream. One connection may carry pairs of many tenants, and what one of them asks of its
//! peers is no matter of the others (DOS-10). A stream is closed where the pair was alone on it: with `policy-violation` where
//! the domain shuts the peer out or asks for more than it has shown, with `reset` where it may come back with another proof.
//! Refuses: waiting for look-ups before it acts. What the evidence at hand contradicts falls at once; what it leaves open is
//! judged again.

use std::sync::Arc;

use dna::{Fault, Policy, Prooftype, Refusal, Role};
use xmpp::jid::DomainName;
use xmpp::stream::{Order, StreamCondition, StreamError};

use super::attempts::{Attempt, Stage};
use super::channel::{Basis, Held};
use super::pair::{Next, Pair};
use super::{Federation, outbound, policy};
use crate::session::Outbox;
use crate::tenancy::Domain;

/// What peers and our own people read when a tenant has as many peers as it may.
pub(super) fn too_many_peers(most: u32) -> String {
    format!(
        "the domains of this one's owner talk with {most} other servers, as many as they may at a time; try again later"
    )
}

/// What becomes of a pair on a stream.
enum Standing {
    /// Nothing that matters to it has changed.
    Stays,
    /// It may stay; other evidence counts now than was looked at.
    Again,
    Falls(Fall),
}

/// Why a pair comes off a stream that it was on.
pub(super) struct Fall {
    /// For the peer.
    error: StreamError,
    /// For the domain's owner; what concerns the domain as a whole is not told for each of its peers.
    told: Option<Told>,
}

struct Told {
    code: &'static str,
    fault: Fault,
    why: String,
    /// What did not hold when it was looked at.
    refusals: Vec<Refusal>,
}

impl Fall {
    /// The tenant has as many peers as it may.
    pub(super) fn of_limit(most: u32) -> Self {
        let error = StreamError::new(StreamCondition::ResourceConstraint);
        Self {
            error: error.with_text(too_many_peers(most)),
            told: Some(Told {
                code: "too-many-peers",
                fault: Fault::Policy,
                why: too_many_peers(most),
                refusals: Vec::new(),
            }),
        }
    }

    /// Of a domain with all its pairs.
    fn of_domain(error: StreamError) -> Self {
        Self { error, told: None }
    }

    fn shut_out(refusal: Refusal) -> Self {
        Self {
            error: changed(),
            told: Some(Told {
                code: "ended-shut-out",
                fault: Fault::Policy,
                why: format!("the lists were changed: {}", refusal.text),
                refusals: vec![refusal],
            }),
        }
    }

    fn too_weak(by: Prooftype) -> Self {
        Self {
            error: changed(),
            told: Some(Told {
                code: "ended-policy",
                fault: Fault::Policy,
                why: format!(
                    "the policy was changed, and the proof by {} is not enough any more",
                    by.name()
                ),
                refusals: Vec::new(),
            }),
        }
    }

    fn pinned(refusals: Vec<Refusal>) -> Self {
        Self {
            error: prove_anew(),
            told: Some(Told {
                code: "ended-pin",
                fault: Fault::Policy,
                why: "the anchors pinned for it were changed, and its proof holds no longer".into(),
                refusals,
            }),
        }
    }

    /// Judged again, the evidence did not hold; `due`: because its time had come, else because pins were changed.
    pub(super) fn of_proof(due: bool, by: Prooftype, refusals: Vec<Refusal>) -> Self {
        if !due {
            return Self::pinned(refusals);
        }
        let revoked = refusals.iter().find(|r| r.code == "certificate-revoked");
        let (code, why) = match (revoked, by) {
            (Some(revoked), _) => ("ended-revoked", revoked.text.clone()),
            (None, Prooftype::Dialback) => (
                "ended-dialback",
                "what dialback gave has run out, and it is asked back anew".into(),
            ),
            (None, _) => (
                "ended-proof",
                format!(
                    "its proof by {} ran out, and looked at anew nothing proves it",
                    by.name()
                ),
            ),
        };
        Self {
            error: prove_anew(),
            told: Some(Told {
                code,
                fault: match code {
                    "ended-dialback" => Fault::Policy,
                    _ => Fault::Peer,
                },
                why,
                refusals,
            }),
        }
    }
}

impl Federation {
    /// A hosted domain was suspended or has gone: its pairs end with this.
    pub fn close_domain(&self, domain: &DomainName, error: &StreamError) {
        for (outbox, held) in self.held_by(domain) {
            self.drop_pair(&outbox, domain, held.proven.remote(), error);
        }
        if let Some(peers) = self.pairs.get(domain) {
            peers.values().for_each(|pair| pair.forget_patient());
        }
        self.verifiers
            .close_where(error, |local, _| local == domain);
    }

    /// A hosted domain's policy or pins may have changed; `before` is how it was. Pairs that it would no longer take end.
    pub fn recheck(&self, domain: &DomainName, before: Option<&Domain>) {
        let Some(row) = self.parts.tenancy.look(domain.as_str()) else {
            return;
        };
        let policy = policy(&row);
        for (outbox, held) in self.held_by(domain) {
            match self.standing(&row, &policy, before, &held) {
                Standing::Stays => {}
                Standing::Again => held.again.notify_one(),
                Standing::Falls(fall) => self.fell(&outbox, &held.basis, fall),
            }
        }
        self.verifiers.close_where(&changed(), |local, remote| {
            local == domain && policy.shuts_out(remote).is_some()
        });
    }

    /// Whether a pair that has just been put on a stream, judged `under` what its domain was then, may stay there. Asked
    /// behind registering it, so that no change slips between: either it is seen here, or the pair is seen by it.
    pub(super) fn still_holds(&self, held: &Held, under: &Arc<Domain>) -> Result<(), Box<Fall>> {
        let Some(row) = self.parts.tenancy.get(held.proven.local().as_str()) else {
            return Err(Box::new(Fall::of_domain(StreamCondition::HostGone.into())));
        };
        if !row.served {
            let error = StreamError::new(StreamCondition::PolicyViolation);
            let error = error.with_text("this domain is suspended");
            return Err(Box::new(Fall::of_domain(error)));
        }
        if Arc::ptr_eq(&row, under) {
            return Ok(());
        }
        match self.standing(&row, &policy(&row), Some(under), held) {
            Standing::Stays => Ok(()),
            Standing::Again => {
                held.again.notify_one();
                Ok(())
            }
            Standing::Falls(fall) => Err(Box::new(fall)),
        }
    }

    fn standing(
        &self,
        row: &Domain,
        policy: &Policy,
        before: Option<&Domain>,
        held: &Held,
    ) -> Standing {
        let (remote, by) = (held.proven.remote(), held.proven.by());
        if let Some(refusal) = policy.shuts_out(remote) {
            return Standing::Falls(Fall::shut_out(refusal));
        }
        if !policy.takes(by) {
            return Standing::Falls(Fall::too_weak(by));
        }
        let pin = |domain: &Domain| domain.pinned.get(remote).cloned();
        if before.is_some_and(|before| pin(before) == pin(row)) {
            return Standing::Stays;
        }
        // For a pinned peer nothing counts but its certificate, which is at hand (CERT-22).
        let (claim, evidence) = self.at_hand(row, &held.basis);
        let pinned = evidence.pinned.is_some();
        let verdict = dna::judge(&claim, &evidence, policy, crate::net::now());
        let settled = verdict.proven().is_none() && !verdict.is_open();
        match by {
            _ if settled => Standing::Falls(Fall::pinned(verdict.refusals().to_vec())),
            // A key that the peer's own server confirmed says nothing of anchors, and none are asked for.
            Prooftype::Dialback if !pinned => Standing::Stays,
            _ => Standing::Again,
        }
    }

    /// Every pair of a hosted domain on every stream.
    fn held_by(&self, domain: &DomainName) -> Vec<(Arc<Outbox>, Held)> {
        let streams = self.streams.lock();
        let mut found = Vec::new();
        for stream in streams.open.values() {
            let pairs = stream.pairs.lock();
            let its = pairs.iter().filter(|held| held.proven.local() == domain);
            found.extend(its.map(|held| (stream.outbox.clone(), held.clone())));
        }
        found
    }

    /// A pair is on a stream no longer that it was on: the domain's owner is told why (DNA-20).
    pub(super) fn fell(&self, outbox: &Arc<Outbox>, basis: &Basis, fall: Fall) {
        let (local, remote) = (&basis.local, &basis.remote);
        if let Some(told) = fall.told {
            let mut attempt = match (&basis.target, basis.role) {
                (Some(target), _) => Attempt::towards(target),
                (None, Role::Initiator) => Attempt::new("out"),
                (None, Role::Receiver) => Attempt::new("in"),
            };
            attempt.address = Some(basis.address.to_string());
            attempt.secured(&basis.tls);
            attempt.stage = Stage::Open;
            attempt.refusals = told.refusals;
            attempt.failed(told.code, told.fault, told.why);
            self.record(local, remote, &attempt);
        }
        self.drop_pair(outbox, local, remote, &fall.error);
    }

    /// Takes a pair off a stream. What waits there for it looks for another way, or bounces with why there is none.
    fn drop_pair(
        &self,
        outbox: &Arc<Outbox>,
        local: &DomainName,
        remote: &DomainName,
        error: &StreamError,
    ) {
        // Nothing comes aboard any more of a stream that has lost the pair it was opened for.
        for link in self.links.lock().iter() {
            if Arc::ptr_eq(&link.outbox, outbox)
                && link.basis.local == *local
                && link.basis.remote == *remote
            {
                link.close();
            }
        }
        if let Some(pair) = self.known_pair(local, remote) {
            let next = pair.leave(outbox);
            self.look_after(pair, next);
        }
        outbox.order(Order::DropPair {
            local: local.clone(),
            remote: remote.clone(),
            error: error.clone(),
        });
    }

    /// Does what a pair needs that has lost its stream.
    pub(super) fn look_after(&self, pair: Arc<Pair>, next: Next) {
        self.ledger.write(&pair.local, &pair.rows());
        match next {
            Next::Nothing => {}
            Next::Start => {
                if let Some(this) = self.this.upgrade() {
                    self.spawn(outbound::run(this, pair));
                }
            }
            Next::GiveUp(left) => outbound::keeps_ending(self, &pair, left),
        }
    }
}

fn changed() -> StreamError {
    StreamError::new(StreamCondition::PolicyViolation)
        .with_text("what this domain asks of its peers has changed")
}

/// A proof no longer counts, and another may.
fn prove_anew() -> StreamError {
    StreamError::new(StreamCondition::Reset)
        .with_text("what proved you to this domain no longer counts; prove it anew")
}
