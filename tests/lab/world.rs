//! What all tests of the laboratory share, started once: zones, authority, site, and the house that is examined.

use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;

use crate::actor::{Actor, Script};
use crate::authority::{Authority, Identity, Shape};
use crate::house::{Hosted, House, unique};
use crate::http::Site;
use crate::kept::{directory, on_the_keeper};
use crate::zones::Zones;

/// Takes whoever is verified, over TLS: the default.
pub const OPEN: &str = "open.signed.example";
/// Takes whoever can prove itself by certificate, DANE or POSH.
pub const STRICT: &str = "strict.signed.example";

pub struct World {
    pub zones: Zones,
    pub ca: Authority,
    pub site: Site,
    pub house: House,
    pub roots: Arc<RootCertStore>,
}

/// The one laboratory of this process.
pub fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| on_the_keeper(World::start));
    &WORLD
}

impl World {
    fn start() -> Self {
        let dir = directory();
        let zones = Zones::start(&dir.join("dns"), "", &[]);
        let ca = Authority::new("Federation laboratory root");
        let hosted =
            [(OPEN, "encrypted"), (STRICT, "authenticated")].map(|(name, policy)| Hosted {
                name,
                policy,
                identity: ca.shaped(name, Shape::ServerAuth),
            });
        let house = House::start(&dir.join("house"), &zones, "on", &ca.root_pem, &hosted, "");
        Self {
            roots: ca.roots(),
            zones,
            ca,
            site: Site::start(),
            house,
        }
    }

    /// A scripted peer with its records in a zone, by a name of its own.
    pub fn peer(&self, what: &str, zone: &str, shape: Shape, script: Script) -> Actor {
        let domain = format!("{}.{zone}", unique(what));
        let identity = self.ca.shaped(&domain, shape);
        self.peer_with(&domain, identity, script)
    }

    pub fn peer_with(&self, domain: &str, identity: Identity, script: Script) -> Actor {
        let actor = Actor::start(domain, identity, script);
        self.zones.add(&actor.records());
        actor
    }
}
