//! Names of `store` and `dna` until both have landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantId(pub i64);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperatorId(pub i64);
pub struct Store;
pub trait Lookup: Send + Sync {}
