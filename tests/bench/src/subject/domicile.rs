//! Ours: `domicile serve` on the demo's installation, with the world's DNS away and the limits of `domicile.toml`.

use std::process::Command;

use super::configure;
use crate::Outcome;
use crate::machine::Process;
use crate::world::{World, copy};

pub(super) fn start(world: &World) -> Outcome<(Process, String)> {
    let dir = world.fresh("domicile")?;
    copy(&world.home(), &dir)?;
    let address = world.address(2);
    let config = dir.join("domicile.toml");
    configure(
        "domicile.toml",
        &config,
        &[("ADDRESS", &address), ("DIR", &dir.to_string_lossy())],
    )?;
    let mut command = Command::new(&world.binary);
    command.arg("serve").arg("--config").arg(&config);
    Ok((
        Process::start(&mut command, &world.base.join("domicile.log"))?,
        address,
    ))
}
