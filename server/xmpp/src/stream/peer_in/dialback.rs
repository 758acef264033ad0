//! Dialback on a stream that a peer opened: keys for pairs, and questions about keys of ours (XEP-0220 2.2, XEP-0344).
//!
//! Refuses: answers nobody asked for (DIALBACK-12), more keys than a stream may cost us (DIALBACK-24).

use super::super::dialback::{self, DialbackError, Request};
use super::super::{
    Action, Actions, Ask, Event, Judgement, KeyOutcome, PairRefusal, StreamCondition,
};
use super::{Proved, Ready};
use crate::framing::RawElement;
use crate::jid::DomainName;
use crate::stanza::{Condition, StanzaError};

/// Pairs that one stream may carry or be busy proving (DIALBACK-24).
pub(super) const PAIRS: usize = 64;
/// Keys that may turn out wrong on one stream before no more are looked at: each costs us a connection.
pub(super) const REFUSED_KEYS: usize = 32;
/// Longest dialback key that is passed on; those of XEP-0185 have 64.
const KEY_BYTES: usize = 512;
/// Longest stream ID of somebody else's that is looked at.
const ID_BYTES: usize = 256;

/// A key that came and is not answered yet.
pub(super) struct Pending {
    local: DomainName,
    remote: DomainName,
    key: String,
}

impl Ready {
    pub(super) fn dialback(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        // A typed element answers a question; here none is ever asked (DIALBACK-12).
        if raw.attr("type").is_some() {
            return;
        }
        match Request::read(raw) {
            Ok(request) if request.verify => self.check(request, out),
            Ok(request) => self.result(request, out),
            Err(DialbackError) => {}
        }
    }

    /// Step 1 of somebody's dialback: a key for a pair.
    pub(super) fn result(&mut self, request: Request, out: &mut Actions) {
        let pair = Proved {
            local: request.to.clone(),
            remote: request.from.clone(),
        };
        if self.proved.contains(&pair) {
            return out.send_str(&request.reply("valid"));
        }
        if self.pending(&pair.local, &pair.remote).is_some() {
            // The first key is being verified, and its answer answers both.
            return;
        }
        if self.proved.len() + self.pending.len() >= PAIRS
            || self.refused_keys >= REFUSED_KEYS
            || request.key.len() > KEY_BYTES
        {
            return out.send_str(&request.reply_error(&Condition::ResourceConstraint.into()));
        }
        // Judged now and for the domains named here, not by what the header said (DIALBACK-22). Whoever judges knows whether
        // this channel, secured for one domain, may speak for another (VHOST-03).
        out.push(Action::AskAside(Ask::Judge {
            local: pair.local,
            remote: pair.remote,
        }));
        self.pending.push(Pending {
            local: request.to,
            remote: request.from,
            key: request.key,
        });
    }

    fn pending(&self, local: &DomainName, remote: &DomainName) -> Option<usize> {
        let same = |p: &Pending| p.local == *local && p.remote == *remote;
        self.pending.iter().position(same)
    }

    pub(super) fn judged(
        &mut self,
        local: DomainName,
        remote: DomainName,
        judgement: Judgement,
        out: &mut Actions,
    ) {
        let Some(at) = self.pending(&local, &remote) else {
            return;
        };
        if judgement.proven {
            // Dialback without dialling back (DIALBACK-21).
            self.pending.swap_remove(at);
            out.send_str(&dialback::result(&local, &remote, "valid"));
            return self.accept(local, remote, "certificate", out);
        }
        if judgement.dialback {
            return out.push(Action::AskAside(Ask::VerifyKey {
                stream: self.id.clone(),
                local,
                remote,
                key: self.pending[at].key.clone(),
            }));
        }
        self.pending.swap_remove(at);
        self.refused_keys += 1;
        let elsewhere = judgement
            .refused
            .as_ref()
            .is_some_and(|error| error.condition == StreamCondition::HostUnknown);
        let error = match elsewhere {
            // Not hosted, or hosted and not on this channel; never a reason to close (DIALBACK-17).
            true => Condition::ItemNotFound.into(),
            false => StanzaError::new(Condition::NotAuthorized)
                .with_text("a certificate that proves your domain is required"),
        };
        out.send_str(&dialback::result_error(&local, &remote, &error));
        let why = judgement.refused.as_ref().map(ToString::to_string);
        out.push(Action::Event(Event::PairRefused {
            local,
            remote,
            reason: PairRefusal::Judgement,
            why: why.unwrap_or_else(|| "policy asks for a certificate".to_owned()),
        }));
    }

    /// Step 4. `false`: the stream is to be closed.
    pub(super) fn verified(
        &mut self,
        local: DomainName,
        remote: DomainName,
        outcome: KeyOutcome,
        out: &mut Actions,
    ) -> bool {
        let Some(at) = self.pending(&local, &remote) else {
            // The pair is no longer asked for (DIALBACK-13).
            return true;
        };
        self.pending.swap_remove(at);
        self.refused_keys += usize::from(outcome != KeyOutcome::Valid);
        let (reason, why) = match outcome {
            KeyOutcome::Valid => {
                out.send_str(&dialback::result(&local, &remote, "valid"));
                self.accept(local, remote, "dialback", out);
                return true;
            }
            KeyOutcome::Invalid => {
                out.send_str(&dialback::result(&local, &remote, "invalid"));
                let why = "its own server says that the dialback key is not its own";
                (PairRefusal::KeyInvalid, why.to_owned())
            }
            KeyOutcome::Failed(error) => {
                out.send_str(&dialback::result_error(&local, &remote, &error));
                let text = error.text.as_deref().unwrap_or_default();
                let condition = error.condition.name();
                let why = format!("its dialback key could not be verified: {condition} {text}");
                (PairRefusal::KeyUnverified, why.trim_end().to_owned())
            }
        };
        out.push(Action::Event(Event::PairRefused {
            local,
            remote,
            reason,
            why,
        }));
        // DIALBACK-15
        !(reason == PairRefusal::KeyInvalid && self.proved.is_empty() && self.pending.is_empty())
    }

    /// Step 2, as authority: is this key ours?
    pub(super) fn check(&mut self, request: Request, out: &mut Actions) {
        let Some(id) = request.id.filter(|id| id.len() <= ID_BYTES) else {
            return;
        };
        out.push(Action::AskAside(Ask::CheckKey {
            stream: id,
            local: request.to,
            remote: request.from,
            key: request.key,
        }));
    }
}
