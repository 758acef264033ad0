//! Streams whose clients wait until somebody has made an account on a page (XEP-0389 5.2).
//!
//! A stream is known by a name that cannot be guessed, in the address of the page that its client opens; the page says that name
//! when there is an account. In memory, and gone with the connection. Refuses: taking another domain's account for one of the
//! stream's.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::Mutex;
use xmpp::jid::DomainName;

/// Every stream that waits.
#[derive(Debug, Default)]
pub struct Waiting {
    streams: Mutex<HashMap<Box<str>, Stream, RandomState>>,
}

#[derive(Debug)]
struct Stream {
    domain: DomainName,
    done: bool,
}

impl Waiting {
    /// One more, for an account of this domain.
    pub(super) fn begin(self: &Arc<Self>, domain: DomainName) -> Ticket {
        let name: Box<str> = format!("{:032x}", rand::random::<u128>()).into();
        let stream = Stream {
            domain,
            done: false,
        };
        self.streams.lock().insert(name.clone(), stream);
        Ticket {
            name,
            of: self.clone(),
        }
    }

    /// There is an account of this domain, made on the page that this stream's client has opened.
    pub fn came(&self, domain: &DomainName, stream: &str) {
        let mut streams = self.streams.lock();
        if let Some(stream) = streams.get_mut(stream).filter(|s| s.domain == *domain) {
            stream.done = true;
        }
    }
}

/// A stream that waits, for as long as this is held.
#[derive(Debug)]
pub(super) struct Ticket {
    name: Box<str>,
    of: Arc<Waiting>,
}

impl Ticket {
    /// What the page is to say.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the page has said it.
    pub(super) fn is_done(&self) -> bool {
        let streams = self.of.streams.lock();
        streams.get(&self.name).is_some_and(|stream| stream.done)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.of.streams.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_33_a_page_ends_the_wait_of_its_stream_alone() {
        let domain = |name: &str| DomainName::parse(name).expect("a name");
        let waiting = Arc::<Waiting>::default();
        let (one, other) = (
            waiting.begin(domain("one.example")),
            waiting.begin(domain("one.example")),
        );
        assert_ne!(one.name(), other.name());
        waiting.came(&domain("two.example"), one.name());
        waiting.came(&domain("one.example"), "guessed");
        assert!(!one.is_done() && !other.is_done());
        waiting.came(&domain("one.example"), one.name());
        assert!(one.is_done() && !other.is_done());
        let name = one.name().to_owned();
        drop(one);
        waiting.came(&domain("one.example"), &name);
        assert_eq!(
            waiting.streams.lock().len(),
            1,
            "what has gone is forgotten"
        );
    }
}
