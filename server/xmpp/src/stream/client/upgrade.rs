//! Further verifiers of a password that was just proved (XEP-0480): an account that came from a server which kept SHA-1 alone gets
//! those of better hashes from its client, which has the password; we never see it (SASL-43).
//!
//! Only who has proved the password itself may add to it: by a token or a certificate nobody gets a password that lasts longer
//! than these. What is there is never replaced; a mechanism is offered once every account of the domain has a verifier for it.
//! Refuses: SHA-1.

use zeroize::Zeroizing;

use super::super::opening::Ending;
use super::super::{Action, Actions, Ask, Served, StreamCondition, Unavailable};
use super::{Client, State};
use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;
use crate::sasl::{self, DEFAULT_ITERATIONS, Hash, SaslFailure, ScramVerifier};

/// Hashes that may be added, best first.
const BETTER: [Hash; 2] = [Hash::Sha512, Hash::Sha256];

fn task(hash: Hash) -> String {
    format!("UPGR-SCRAM-{}", hash.name())
}

/// Those that accounts of the domain lack: where each account has a verifier of a hash, nothing is asked for it.
fn lacked(served: &Served) -> impl Iterator<Item = Hash> {
    BETTER
        .into_iter()
        .filter(|hash| !served.hashes.contains(hash))
}

/// `<upgrade/>` for each.
pub(super) fn features(served: &Served) -> impl Iterator<Item = Element> {
    lacked(served).map(|hash| Element::new("upgrade", ns::SASL_UPGRADE).text(task(hash)))
}

/// What a client asks for, without what is not offered.
pub(super) fn requested(authenticate: &Element, served: &Served) -> Vec<Hash> {
    let names: Vec<String> = authenticate
        .children()
        .filter(|child| child.name() == "upgrade" && child.ns() == ns::SASL_UPGRADE)
        .map(|child| child.text_content().trim().to_owned())
        .collect();
    lacked(served)
        .filter(|hash| names.contains(&task(*hash)))
        .collect()
}

/// How far it has come.
#[derive(Default)]
pub(super) struct Upgrading {
    /// Still to be done, the next one last.
    left: Vec<Hash>,
    now: Option<Now>,
}

enum Now {
    /// The client has been told which.
    Offered(Hash),
    /// It has been given salt and iterations, and computes.
    Salted(Hash, Vec<u8>),
    /// The store writes.
    Keeping,
}

impl Client {
    /// What the account has no verifier of.
    pub(super) fn lacking(&mut self, hashes: Result<Vec<Hash>, Unavailable>, out: &mut Actions) {
        if let State::Finishing(finishing) = &mut self.state {
            finishing.upgrading.left = hashes.unwrap_or_default();
            finishing.upgrading.left.reverse();
            self.next_upgrade(out);
        }
    }

    /// It is kept, or could not be: either way the client is who it is.
    pub(super) fn upgraded(&mut self, _: Result<(), Unavailable>, out: &mut Actions) {
        self.next_upgrade(out);
    }

    fn next_upgrade(&mut self, out: &mut Actions) {
        let State::Finishing(finishing) = &mut self.state else {
            return;
        };
        let Some(hash) = finishing.upgrading.left.pop() else {
            finishing.upgrading.now = None;
            return self.go_on(out);
        };
        let data = finishing.data.take();
        let data =
            data.map(|data| Element::new("additional-data", ns::SASL2).text(sasl::encode(&data)));
        let tasks = Element::new("tasks", ns::SASL2)
            .child(Element::new("task", ns::SASL2).text(task(hash)));
        let go_on = Element::new("continue", ns::SASL2)
            .child_opt(data)
            .child(tasks);
        out.send(|bytes| go_on.write(bytes, ns::CLIENT));
        finishing.upgrading.now = Some(Now::Offered(hash));
    }

    /// An element while what follows a proof is done: only an upgrade waits for one.
    pub(super) fn upgrade_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Finishing(finishing) = &mut self.state else {
            return;
        };
        let Some(now) = finishing.upgrading.now.take() else {
            return self.fail(StreamCondition::NotAuthorized.into(), out);
        };
        match (raw.name(), now) {
            _ if raw.ns() != ns::SASL2 => self.intruder(out),
            ("next", Now::Offered(hash))
                if raw.to_element().get_attr("task") == Some(&task(hash)) =>
            {
                let salt = self.reception.seed.token().into_bytes();
                let salt_element = Element::new("salt", ns::SCRAM_UPGRADE)
                    .attr("iterations", DEFAULT_ITERATIONS.to_string())
                    .text(sasl::encode(&salt));
                let data = Element::new("task-data", ns::SASL2).child(salt_element);
                out.send(|bytes| data.write(bytes, ns::CLIENT));
                finishing.upgrading.now = Some(Now::Salted(hash, salt));
            }
            ("task-data", Now::Salted(hash, salt)) => {
                let Some(verifier) = computed(&raw.to_element(), hash, &salt) else {
                    return self.refuse_upgrade(SaslFailure::MalformedRequest, out);
                };
                out.push(Action::Ask(Ask::Upgrade {
                    account: finishing.account.account.clone(),
                    verifier: Box::new(verifier),
                }));
                finishing.upgrading.now = Some(Now::Keeping);
            }
            ("abort", Now::Offered(_) | Now::Salted(..)) => {
                self.refuse_upgrade(SaslFailure::Aborted, out);
            }
            _ => self.intruder(out),
        }
    }

    /// Without `<success/>` nobody is authenticated; the client may come again without asking for this.
    fn refuse_upgrade(&mut self, reason: SaslFailure, out: &mut Actions) {
        out.send_str(&super::sasl2::failure(reason));
        self.fail(StreamCondition::NotAuthorized.into(), out);
    }
}

/// The verifier of the SaltedPassword in a client's `<task-data/>`.
fn computed(data: &Element, hash: Hash, salt: &[u8]) -> Option<ScramVerifier> {
    let text = data.find("hash", ns::SCRAM_UPGRADE)?.text_content();
    let salted = Zeroizing::new(sasl::decode(text.trim()).ok()??.to_vec());
    ScramVerifier::from_salted(hash, &salted, salt, DEFAULT_ITERATIONS)
}
