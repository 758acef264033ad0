//! Cases of fetching.
