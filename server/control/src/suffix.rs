//! Public suffixes: below which names people register domains of their own.

/// The registered domain that a name in A-labels is, or lies under; `None`: it is a public suffix itself.
// The list is code, 0.7 MB of it, which is compiled into whoever asks: all ask here.
#[inline(never)]
pub(crate) fn registrable(ascii: &str) -> Option<&str> {
    psl::domain_str(ascii)
}

#[cfg(test)]
mod tests {
    use super::registrable;

    #[test]
    fn nobody_registers_a_public_suffix() {
        assert_eq!(registrable("chat.one.example.co.uk"), Some("example.co.uk"));
        assert_eq!(registrable("one.example"), Some("one.example"));
        assert_eq!(registrable("co.uk"), None);
        assert_eq!(registrable("com"), None);
    }
}
