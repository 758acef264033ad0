//! Ways to an account (XEP-0389): the words that a client's stream and whoever answers it share.
//!
//! What a flow asks for is the domain's affair; the stream knows its id, what people read of it, and which kinds of challenge
//! may come. Refuses: kinds of challenge that the specification does not have.

use super::Confided;
use crate::element::Element;

/// A kind of challenge, and what it is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A data form (XEP-0389 5.1), filled in.
    Form,
    /// Something to be done in a browser (XEP-0389 5.2), and nothing.
    Elsewhere,
}

impl Kind {
    /// The `type` of the challenge, which is the namespace of its payload.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "jabber:x:data",
            Self::Elsewhere => "jabber:x:oob",
        }
    }
}

/// A way to an account, as it is offered.
#[derive(Debug, PartialEq, Eq)]
pub struct Flow {
    /// By which a client chooses it.
    pub id: &'static str,
    /// What people read of it, in English.
    pub name: &'static str,
    /// The challenges that may come, each kind once.
    pub challenges: &'static [Kind],
}

/// What a client does in a flow.
#[derive(Debug)]
pub enum Step {
    /// It has chosen it.
    Begin,
    /// It responds to the last challenge: the element, with what that kind of challenge is answered with.
    Response(Confided<Element>),
}

/// What comes of it.
#[derive(Debug)]
pub enum Outcome {
    /// There is something to do first: the payload of the challenge.
    Challenge(Kind, Element),
    /// There is an account.
    Success,
    /// Nothing will come of this flow.
    Cancel,
}
