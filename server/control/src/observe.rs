//! What the world shows of a domain, gathered concurrently and bounded, from authoritative servers and the validating resolver.
