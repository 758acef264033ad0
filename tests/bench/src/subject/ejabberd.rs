//! Debian's ejabberd, as one Erlang process without distribution, accounts written into its Mnesia table.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{configure, peers};
use crate::Outcome;
use crate::authority::{self, Domains};
use crate::machine::Process;
use crate::scram;
use crate::world::{DOMAIN, PASSWORD, World};

/// One salt for all: the load hashes once.
const SALT: &[u8] = b"0123456789abcdef";
/// ejabberd's default.
const ITERATIONS: u32 = 4_096;

pub(super) fn start(
    world: &World,
    domains: Option<&Domains>,
    archive: bool,
) -> Outcome<(Process, String)> {
    let dir = world.fresh("ejabberd")?;
    let address = world.address(4);
    let (chain, key) = world.certificate();
    let read = |path: &Path| fs::read_to_string(path);
    fs::write(dir.join("both.pem"), read(&chain)? + &read(&key)?)?;
    let config = dir.join("ejabberd.yml");
    configure(
        "ejabberd.yml",
        &config,
        &[
            ("ADDRESS", &address),
            ("DIR", &dir.to_string_lossy()),
            ("DOMAIN", DOMAIN),
            ("ROOTS", &world.roots().to_string_lossy()),
            (
                "ARCHIVE",
                if archive {
                    "mod_mam: {default: always}"
                } else {
                    "# no archive"
                },
            ),
        ],
    )?;
    if let Some(domains) = domains {
        let mut hosts = String::from(DOMAIN);
        for number in 0..domains.count {
            let (name, (chain, key)) = (authority::domain(number), domains.files(number));
            hosts += &format!("\", \"{name}");
            fs::write(
                dir.join(format!("{name}.pem")),
                read(&chain)? + &read(&key)?,
            )?;
        }
        let text = fs::read_to_string(&config)?;
        let text = text.replace(
            &format!("hosts: [\"{DOMAIN}\"]"),
            &format!("hosts: [\"{hosts}\"]"),
        );
        fs::write(&config, text.replace("/both.pem", "/*.pem"))?;
    }
    let (stored, server) = scram::verifier(PASSWORD, SALT, ITERATIONS);
    // #passwd{} with #scram{} inside, as ejabberd_auth_mnesia writes them.
    let accounts = format!(
        "lists:foreach(fun(N) -> U = iolist_to_binary(io_lib:format(\"u~6..0B\", [N])), \
         mnesia:dirty_write({{passwd, {{U, <<\"{DOMAIN}\">>}}, \
         {{scram, <<\"{}\">>, <<\"{}\">>, <<\"{}\">>, sha256, {ITERATIONS}}}}}) end, lists:seq(0, {})), \
         io:format(\"accounts ready~n\").",
        BASE64.encode(stored),
        BASE64.encode(server),
        BASE64.encode(SALT),
        world.users - 1,
    );
    let mut command = Command::new("erl");
    command
        .arg("-args_file")
        .arg(peers().join("ejabberd.args"))
        .args(["-noinput", "-start_epmd", "false", "-mnesia", "dir"])
        .arg(format!("\"{}/mnesia\"", dir.display()))
        .args(["-s", "ejabberd", "-eval", &accounts])
        .env("EJABBERD_CONFIG_PATH", &config)
        .env("ERL_LIBS", "/usr/lib/x86_64-linux-gnu")
        .env("ERL_CRASH_DUMP", dir.join("crash.dump"))
        .current_dir(&dir);
    let mut process = Process::start(&mut command, &world.base.join("ejabberd.log"))?;
    process.until("accounts", Duration::from_secs(120), |process| {
        process.said().contains("accounts ready")
    })?;
    Ok((process, address))
}
