//! dna
