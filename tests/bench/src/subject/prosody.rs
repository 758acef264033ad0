//! Debian's Prosody, accounts written as its internal storage keeps them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::configure;
use crate::Outcome;
use crate::authority::{self, Domains};
use crate::machine::Process;
use crate::scram;
use crate::world::{DOMAIN, PASSWORD, World, user};

/// One salt for all: the load hashes once.
const SALT: &str = "3f1d6a52-0c0e-4c52-9d5e-5a1f0a9be7c3";
/// Prosody's default.
const ITERATIONS: u32 = 10_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes accounts of a host into its internal storage, by their numbers.
pub(super) fn accounts(
    dir: &Path,
    host: &str,
    numbers: impl IntoIterator<Item = usize>,
) -> Outcome<()> {
    // The data directory has the host's name with everything but letters and digits escaped.
    let accounts = dir
        .join("data")
        .join(host.replace('.', "%2e"))
        .join("accounts");
    fs::create_dir_all(&accounts)?;
    let (stored, server) = scram::verifier(PASSWORD, SALT.as_bytes(), ITERATIONS);
    let account = format!(
        "return {{\n\t[\"stored_key\"] = \"{}\";\n\t[\"server_key\"] = \"{}\";\n\t[\"salt\"] = \"{SALT}\";\n\
         \t[\"iteration_count\"] = {ITERATIONS};\n}};\n",
        hex(&stored),
        hex(&server)
    );
    for number in numbers {
        fs::write(accounts.join(format!("{}.dat", user(number))), &account)?;
    }
    Ok(())
}

pub(super) fn start(
    world: &World,
    domains: Option<&Domains>,
    archive: bool,
) -> Outcome<(Process, String)> {
    let dir = world.fresh("prosody")?;
    let address = world.address(3);
    let (chain, key) = world.certificate();
    accounts(&dir, DOMAIN, 0..world.users)?;
    let config = dir.join("prosody.cfg.lua");
    configure(
        "prosody.cfg.lua",
        &config,
        &[
            ("ADDRESS", &address),
            ("DIR", &dir.to_string_lossy()),
            ("DOMAIN", DOMAIN),
            ("CHAIN", &chain.to_string_lossy()),
            ("KEY", &key.to_string_lossy()),
            ("ARCHIVE", if archive { "\"mam\"," } else { "" }),
        ],
    )?;
    if let Some(domains) = domains {
        let mut file = fs::OpenOptions::new().append(true).open(&config)?;
        for number in 0..domains.count {
            let (name, (chain, key)) = (authority::domain(number), domains.files(number));
            writeln!(file, "VirtualHost \"{name}\"")?;
            let (chain, key) = (chain.display(), key.display());
            writeln!(
                file,
                "    ssl = {{ certificate = \"{chain}\", key = \"{key}\" }}"
            )?;
        }
    }
    let mut command = Command::new("prosody");
    command.arg("--config").arg(&config).arg("-F");
    Ok((
        Process::start(&mut command, &world.base.join("prosody.log"))?,
        address,
    ))
}
