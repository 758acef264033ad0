//! From origin and address to session, module, peer or error (RFC 6120 10, RFC 6121 8).

use xmpp::stanza::Stanza;

/// The way to other servers; federation is behind it.
pub trait Remote: Send + Sync {
    /// Sends a stanza whose `from` is at a domain hosted here and whose `to` is at one that is not. The pair is
    /// (`from` domain, `to` domain), its order is kept (ROUTE-02, VHOST-07). Returns at once: the stanza is queued within
    /// the pair's bounds, and whatever fails later comes back through the router as an error from `to` (ROUTE-05).
    fn send(&self, stanza: Stanza);
}
