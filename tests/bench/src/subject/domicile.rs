//! Ours: `domicile serve` on the demo's installation, with the world's DNS away and the limits of `domicile.toml`.

use std::path::Path;
use std::process::Command;

use super::postgres::{self, Database};
use super::{Options, archived, configure};
use crate::Outcome;
use crate::authority;
use crate::machine::Process;
use crate::world::{CUSTOMER, DOMAIN, World, copy};

/// How many milliseconds late it may be before it refuses whoever comes, when it refuses at all; the default.
const LATE: &str = "50";

fn configured(config: &Path, address: &str, dir: &Path, options: &Options<'_>) -> Outcome<()> {
    configure(
        "domicile.toml",
        config,
        &[
            ("ADDRESS", address),
            ("DIR", &dir.to_string_lossy()),
            ("LATE", if options.refuses { LATE } else { "0" }),
        ],
    )
}

/// Gives the installation in a directory the domains and modules that are asked for. It is SQLite's then; PostgreSQL gets the rows.
fn furnish(world: &World, dir: &Path, options: &Options<'_>) -> Outcome<()> {
    if let Some(domains) = options.domains {
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
            dir,
            &["domain", "import", &file, "--tenant", CUSTOMER, "--proven"],
        )?;
    }
    if !options.archive {
        let off = ["domain", "set", DOMAIN, "--modules-off", "archive"];
        world.command(dir, &off)?;
    }
    Ok(())
}

/// The same on a PostgreSQL of its own; the database is the second.
pub(super) fn start_on_postgres(
    world: &World,
    options: &Options<'_>,
) -> Outcome<(Process, Database, String)> {
    let dir = world.fresh("domicile-postgres")?;
    copy(&world.home(), &dir)?;
    let address = world.address(5);
    let config = dir.join("domicile.toml");
    configured(&config, &address, &dir, options)?;
    furnish(world, &dir, options)?;
    let database = postgres::start(&world.base.join("postgres.log"))?;
    let url = &database.url;
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("{text}\n[database]\nurl = \"{url}\"\n"))?;
    let command = |what| {
        let mut command = Command::new(&world.binary);
        command.arg(what).arg("--config").arg(&config);
        command
    };
    let migrated = command("migrate").output()?;
    if !migrated.status.success() {
        let said = String::from_utf8_lossy(&migrated.stderr);
        return Err(format!("domicile migrate: {said}").into());
    }
    postgres::fill(&database, &dir.join("domicile.db"))?;
    if options.archived > 0 {
        postgres::run(&database, &archived::postgres(options.archived))?;
        // An archive that has grown has been looked after; otherwise that is done, and counted, while it is asked.
        postgres::run(&database, "VACUUM (ANALYZE) archive")?;
    }
    let log = world.base.join("domicile-postgres.log");
    let process = Process::start(&mut command("serve"), &log)?;
    Ok((process, database, address))
}

pub(super) fn start(world: &World, options: &Options<'_>) -> Outcome<(Process, String)> {
    let dir = world.fresh("domicile")?;
    copy(&world.home(), &dir)?;
    let address = world.address(2);
    let config = dir.join("domicile.toml");
    configured(&config, &address, &dir, options)?;
    furnish(world, &dir, options)?;
    if options.archived > 0 {
        archived::into_sqlite(&dir.join("domicile.db"), options.archived)?;
    }
    let mut command = Command::new(&world.binary);
    command.arg("serve").arg("--config").arg(&config);
    let log = world.base.join("domicile.log");
    let process = match (&world.watched, world.counted) {
        (Some(profile), _) => Process::start_watched(&command, profile, &log)?,
        (None, true) => Process::start_counted(&command, &log)?,
        (None, false) => Process::start(&mut command, &log)?,
    };
    Ok((process, address))
}
