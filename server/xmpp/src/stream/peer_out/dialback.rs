//! Dialback on a stream that we opened: further pairs, and questions about keys that others sent us (XEP-0220 2.1, 2.6).
//!
//! Refuses: answers to what was not asked on this very stream (DIALBACK-12).

use super::super::dialback::{self, Outcome, Request, Response};
use super::super::opening::Ending;
use super::super::{Action, Actions, Ask, Event, KeyOutcome, Order, PairRefusal};
use super::{Pair, PeerOut, Question, Stage, State};
use crate::framing::RawElement;
use crate::jid::DomainName;
use crate::stanza::{Condition, StanzaError};

/// Pairs that one stream may carry or be busy proving (DIALBACK-24).
const PAIRS: usize = 64;
/// Questions about keys that may be open on one stream.
const QUESTIONS: usize = 64;

impl PeerOut {
    pub(super) fn dialback(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        let Ok(response) = Response::read(raw) else {
            // A key of the peer's, or a question about one of ours. Where it may speak at all it is told that further
            // pairs are proved on streams of its own (BIDI-06); elsewhere it has nothing to ask.
            if ready.bidi
                && let Ok(request) = Request::read(raw)
            {
                let error = StanzaError::new(Condition::NotAllowed)
                    .with_text("prove further pairs on a stream that you open");
                out.send_str(&request.reply_error(&error));
            }
            return;
        };
        if response.verify {
            let open = ready.questions.iter().position(|q| {
                q.local == response.to
                    && q.remote == response.from
                    && Some(&q.stream) == response.id.as_ref()
            });
            // Unasked, or answered before (DIALBACK-12).
            let Some(open) = open else { return };
            let question = ready.questions.swap_remove(open);
            out.push(Action::Event(Event::KeyAnswered {
                stream: question.stream,
                local: question.local,
                remote: question.remote,
                outcome: match response.outcome {
                    Outcome::Valid => KeyOutcome::Valid,
                    Outcome::Invalid => KeyOutcome::Invalid,
                    Outcome::Error(error) => KeyOutcome::Failed(Box::new(upstream(&error))),
                },
            }));
            return;
        }
        let asked = ready.pairs.iter().position(|p| {
            p.local == response.to && p.remote == response.from && p.stage == Stage::Asked
        });
        let Some(asked) = asked else { return };
        let (reason, why) = match response.outcome {
            Outcome::Valid => {
                ready.pairs[asked].stage = Stage::Accepted;
                ready.barred.remove(&response.to, &response.from);
                if std::mem::take(&mut ready.offers_acks) {
                    // XEP-0220 2.1.1: once a pair is valid other features may be negotiated; XEP-0198 3: not before.
                    ready.acks.enable(out);
                }
                out.push(Action::Event(Event::PairAccepted {
                    local: response.to,
                    remote: response.from,
                    mechanism: "dialback",
                    bidi: ready.bidi,
                }));
                return;
            }
            Outcome::Invalid => {
                let why = "the peer was told that our dialback key is not ours";
                (PairRefusal::KeyInvalid, why.to_owned())
            }
            Outcome::Error(error) => {
                let condition = error.condition.name();
                let said = error.text.unwrap_or_default();
                let why = format!("the peer did not take our dialback key: {condition} {said}");
                (PairRefusal::KeyUnverified, why.trim_end().to_owned())
            }
        };
        ready.pairs.swap_remove(asked);
        let empty = ready.pairs.is_empty() && ready.questions.is_empty();
        out.push(Action::Event(Event::PairRefused {
            local: response.to,
            remote: response.from,
            reason,
            why,
        }));
        if empty {
            self.finish(out);
        }
    }

    pub(super) fn order(&mut self, order: Order, out: &mut Actions) {
        match &self.state {
            State::Closing(_) | State::Closed => return,
            State::Ready(_) => {}
            _ => return self.early.push(order),
        }
        match order {
            Order::AddPair { local, remote } => self.add_pair(local, remote, out),
            Order::DropPair {
                local,
                remote,
                error,
            } => {
                // Whether its key is out or it is accepted already.
                if let State::Ready(ready) = &mut self.state {
                    let (busy, pair) = (!ready.questions.is_empty(), (local, remote));
                    let pairs = &mut ready.pairs;
                    if let Err(error) = ready.barred.drop_pair(pairs, busy, pair, error, out) {
                        self.fail(error, out);
                    }
                }
            }
            Order::VerifyKey {
                stream,
                local,
                remote,
                key,
            } => {
                let State::Ready(ready) = &mut self.state else {
                    return;
                };
                if ready.questions.len() >= QUESTIONS {
                    return out.push(Action::Event(Event::KeyAnswered {
                        stream,
                        local,
                        remote,
                        outcome: KeyOutcome::Failed(Box::new(Condition::ResourceConstraint.into())),
                    }));
                }
                // DIALBACK-09
                out.send_str(&dialback::ask(&local, &remote, &stream, &key));
                ready.questions.push(Question {
                    stream,
                    local,
                    remote,
                });
            }
            Order::Close(_) | Order::Finish | Order::Yield => {}
        }
    }

    pub(super) fn add_pair(&mut self, local: DomainName, remote: DomainName, out: &mut Actions) {
        let State::Ready(ready) = &mut self.state else {
            return;
        };
        let known = ready
            .pairs
            .iter()
            .any(|p| p.local == local && p.remote == remote);
        if known {
            return;
        }
        if !ready.dialback || ready.pairs.len() >= PAIRS {
            return out.push(Action::Event(Event::PairRefused {
                local,
                remote,
                reason: PairRefusal::NoWay,
                why: "the stream takes no further pair".to_owned(),
            }));
        }
        ready.pairs.push(Pair {
            local: local.clone(),
            remote: remote.clone(),
            stage: Stage::Key,
        });
        out.push(Action::AskAside(Ask::MakeKey {
            stream: ready.id.clone(),
            local,
            remote,
        }));
    }
}

/// What step 4 says when step 3 was an error (C-17).
fn upstream(error: &StanzaError) -> StanzaError {
    let said = error.text.as_deref().unwrap_or_default();
    StanzaError::new(Condition::RemoteServerNotFound).with_text(
        format!(
            "your domain's server answered: {} {said}",
            error.condition.name()
        )
        .trim_end(),
    )
}
