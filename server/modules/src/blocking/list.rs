//! Whom an account has blocked, and whether an address is meant (XEP-0191 6).

use xmpp::jid::{BareJid, Jid};

/// Addresses, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockList(Vec<Jid>);

impl BlockList {
    /// As the store has it; what cannot be read any more blocks nobody.
    pub(crate) fn read(stored: Option<&str>) -> Self {
        let lines = stored.unwrap_or_default().lines();
        Self::of(lines.filter_map(|line| Jid::parse(line).ok()))
    }

    /// Of these.
    pub(crate) fn of(jids: impl Iterator<Item = Jid>) -> Self {
        let mut jids: Vec<Jid> = jids.collect();
        jids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        jids.dedup();
        Self(jids)
    }

    /// As the store is to have it; `None`: nobody is blocked.
    pub(crate) fn written(&self) -> Option<String> {
        let lines: Vec<&str> = self.0.iter().map(Jid::as_str).collect();
        // No address holds a line end (RFC 7622).
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Whether `other` is meant: by its full address, its bare one, or its domain.
    pub(crate) fn blocks(&self, other: &Jid) -> bool {
        !self.0.is_empty()
            && (self.has(other.as_str()) || self.has(other.bare_str()) || self.has(other.domain()))
    }

    /// Whether whoever has this bare address is meant, from wherever they write.
    pub(crate) fn blocks_person(&self, who: &BareJid) -> bool {
        !self.0.is_empty() && (self.has(who.as_str()) || self.has(who.domain()))
    }

    pub(crate) fn has(&self, jid: &str) -> bool {
        self.0.binary_search_by(|j| j.as_str().cmp(jid)).is_ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Jid> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// About what it occupies, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.0.iter().map(|jid| jid.as_str().len() + 40).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_16_every_kind_of_address_means_what_it_says() {
        let jid = |text: &str| Jid::parse(text).expect("an address");
        for (entry, blocked, not) in [
            (
                "a@b.example/x",
                vec!["a@b.example/x"],
                vec!["a@b.example", "a@b.example/y"],
            ),
            (
                "a@b.example",
                vec!["a@b.example", "a@b.example/x"],
                vec!["b.example", "c@b.example"],
            ),
            (
                "b.example/x",
                vec!["b.example/x"],
                vec!["b.example", "a@b.example/x", "b.example/y"],
            ),
            (
                "b.example",
                vec!["b.example", "a@b.example", "b.example/x", "a@b.example/x"],
                vec!["a@c.b.example", "b@c.example"],
            ),
        ] {
            let list = BlockList::of([jid(entry)].into_iter());
            assert_eq!(BlockList::read(list.written().as_deref()), list);
            for who in blocked {
                assert!(list.blocks(&jid(who)), "{entry}: {who}");
            }
            for who in not {
                assert!(!list.blocks(&jid(who)), "{entry}: {who}");
            }
        }
        assert_eq!(BlockList::default().written(), None);
        assert!(!BlockList::read(None).blocks(&jid("a@b.example")));
    }
}
