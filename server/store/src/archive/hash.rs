//! A stanza's id as a number, so that an index column need not hold what clients make up.

/// FNV-1a, 64 bits: the same in every process and version, since it is stored. 0 is no id. Ids of one conversation that share
/// a number are told apart by their text.
pub fn message_hash(id: &str) -> i64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::message_hash;

    #[test]
    fn it_is_the_published_function() {
        assert_eq!(message_hash("").cast_unsigned(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(message_hash("a").cast_unsigned(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(
            message_hash("foobar").cast_unsigned(),
            0x8594_4171_f739_67e8
        );
    }
}
