//! A demo on either database: what is kept on SQLite is kept on PostgreSQL.

use std::net::Ipv4Addr;
use std::path::Path;

use super::demo::Demo;
use super::postgres::Postgres;

/// Where a demo keeps its facts.
pub enum Engine {
    /// A file in its directory.
    Sqlite,
    /// A PostgreSQL of the test's own.
    Postgres(Box<Postgres>),
}

impl Engine {
    /// With a new, empty cluster.
    pub fn postgres() -> Self {
        Self::Postgres(Box::new(Postgres::start()))
    }

    /// Starts the demo in a directory, for the first time or again; the database is the same every time.
    pub fn start(&self, listen: Ipv4Addr, dir: &Path) -> Demo {
        match self {
            Self::Sqlite => Demo::start_in(listen, dir, &[]),
            Self::Postgres(cluster) => Demo::start_in(listen, dir, &["--database", &cluster.url()]),
        }
    }
}

/// Two tests of each function of an [`Engine`]: `sqlite::NAME` and `postgres::NAME`.
macro_rules! on_both {
    ($($name:ident;)+) => {
        mod sqlite {
            use crate::harness::engine::Engine;
            $(#[test]
            fn $name() {
                super::$name(&Engine::Sqlite);
            })+
        }

        mod postgres {
            use crate::harness::engine::Engine;
            $(#[test]
            fn $name() {
                super::$name(&Engine::postgres());
            })+
        }
    };
}

pub(crate) use on_both;
