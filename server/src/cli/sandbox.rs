//! `domicile sandbox-cert`: certificates of a demo's authority for the peers of a test.

use std::path::PathBuf;

use clap::Args;
use control::outside::KeyChoice;
use xmpp::jid::DomainName;

use super::{Failure, Outcome, Place, unwritable};
use crate::demo::ca::{Ca, CaError};
use crate::demo::dns::files;

#[derive(Debug, Args)]
pub(super) struct SandboxCert {
    /// Names of the certificate, the first one names the files
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Directory for NAME.crt (leaf and intermediate) and NAME.key (PKCS#8)
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn certificate(place: &Place, command: &SandboxCert) -> Outcome {
    let dir = place.data_dir()?.join("ca");
    if !dir.is_dir() {
        return Err(Failure::other(
            3,
            format!("{}: there is no sandbox CA", dir.display()),
            "Give --data-dir the directory of a demo, as `domicile demo --data-dir DIR` was given it.",
        ));
    }
    let mut names = Vec::new();
    for name in &command.names {
        let parsed = DomainName::parse(name).map_err(|error| {
            Failure::other(
                2,
                format!("\"{name}\" is not a domain name: {error}"),
                "Give names such as prosody.example.",
            )
        })?;
        names.push(parsed.to_ascii().into_owned());
    }
    let fault = |error: CaError| Failure::other(6, error.to_string(), "");
    let issued = Ca::open(&dir, None)
        .and_then(|ca| ca.leaf(&names, &KeyChoice::New))
        .map_err(fault)?;
    std::fs::create_dir_all(&command.out).map_err(|error| unwritable(&command.out, &error))?;
    let stem = names.first().map(String::as_str).unwrap_or_default();
    for (extension, text, mode) in [
        ("crt", issued.chain_pem.as_str(), 0o644),
        ("key", issued.key_pem.expose(), 0o600),
    ] {
        let path = command.out.join(format!("{stem}.{extension}"));
        files::replace(&path, text.as_bytes(), mode).map_err(|error| {
            Failure::other(
                2,
                error.to_string(),
                "Choose a directory that this user may write to.",
            )
        })?;
        say!("{}", path.display());
    }
    Ok(0)
}
