//! Ours: `domicile serve` on the demo's installation, with the world's DNS away and the limits of `domicile.toml`.

use std::process::Command;

use super::configure;
use crate::Outcome;
use crate::authority::{self, Domains};
use crate::machine::Process;
use crate::world::{DOMAIN, World, copy};

/// The demo's tenant.
const CUSTOMER: &str = "Demo customer";

pub(super) fn start(
    world: &World,
    domains: Option<&Domains>,
    archive: bool,
) -> Outcome<(Process, String)> {
    let dir = world.fresh("domicile")?;
    copy(&world.home(), &dir)?;
    let address = world.address(2);
    let config = dir.join("domicile.toml");
    configure(
        "domicile.toml",
        &config,
        &[("ADDRESS", &address), ("DIR", &dir.to_string_lossy())],
    )?;
    if let Some(domains) = domains {
        let list: String = (0..domains.count)
            .map(|number| {
                let (name, (chain, key)) = (authority::domain(number), domains.files(number));
                format!("{name},{},{}\n", chain.display(), key.display())
            })
            .collect();
        let file = dir.join("domains.csv");
        std::fs::write(&file, list)?;
        let file = file.to_string_lossy();
        world.command(
            &dir,
            &["domain", "import", &file, "--tenant", CUSTOMER, "--proven"],
        )?;
    }
    if !archive {
        let off = ["domain", "set", DOMAIN, "--modules-off", "archive"];
        world.command(&dir, &off)?;
    }
    let mut command = Command::new(&world.binary);
    command.arg("serve").arg("--config").arg(&config);
    Ok((
        Process::start(&mut command, &world.base.join("domicile.log"))?,
        address,
    ))
}
