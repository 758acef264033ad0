//! `domicile export`, `domicile import`: what a domain's people have, in and out (XEP-0227).

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use control::portable::{PeopleExport, PeopleImport};
use control::{Actor, Control};
use store::Moved;
use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufWriter};

use super::output::{first_lines, show};
use super::{Failure, Outcome, unwritable};

/// What goes out.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Hosted domain
    domain: String,
    /// The file, made for its owner's eyes only; - for standard output
    file: PathBuf,
    /// Only this account: its local part
    #[arg(long, value_name = "LOCAL")]
    user: Option<String>,
    /// With archives
    #[arg(long)]
    archive: bool,
    /// With the verifiers of passwords, so that people log in elsewhere as they do here. Whoever reads the file may guess at
    /// the passwords
    #[arg(long)]
    passwords: bool,
}

/// What comes in.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Hosted domain
    domain: String,
    /// The files; - for standard input. Files that they include are read if they lie beside or below them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only this account: its local part
    #[arg(long, value_name = "LOCAL")]
    user: Option<String>,
    /// The domain as the files call it, where it had another name
    #[arg(long, value_name = "DOMAIN")]
    from: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn export(control: &Control, actor: &Actor, args: ExportArgs) -> Outcome {
    let standard = args.file.as_os_str() == "-";
    let mut out: Box<dyn AsyncWrite + Unpin + Send> = if standard {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true);
        let opened = options.open("/dev/stdout").await;
        Box::new(BufWriter::new(
            opened.map_err(|error| unwritable(&args.file, &error))?,
        ))
    } else {
        Box::new(BufWriter::with_capacity(
            256 << 10,
            private(&args.file).await?,
        ))
    };
    let wanted = PeopleExport {
        account: args.user,
        archive: args.archive,
        passwords: args.passwords,
    };
    let moved = control
        .people_export(actor, &args.domain, wanted, &mut *out, &told)
        .await?;
    out.shutdown()
        .await
        .map_err(|error| unwritable(&args.file, &error))?;
    if !standard {
        say!(
            "{}: {} accounts\n{}",
            args.file.display(),
            moved.accounts,
            things(&moved).trim_end()
        );
    }
    Ok(0)
}

pub(super) async fn import(control: &Control, actor: &Actor, args: ImportArgs) -> Outcome {
    let mut code = 0;
    for file in &args.files {
        let source: Box<dyn std::io::Read + Send> = if file.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            let opened = std::fs::File::open(file);
            Box::new(opened.map_err(|error| {
                let text = format!("{}: cannot be read: {error}", file.display());
                Failure::other(2, text, "Give a file as XEP-0227 describes it.")
            })?)
        };
        let wanted = PeopleImport {
            account: args.user.clone(),
            host: args.from.clone(),
            dir: directory(file),
        };
        let moved = control
            .people_import(actor, &args.domain, wanted, source, &told)
            .await?;
        if moved.ended.is_some() || !moved.skipped.is_empty() {
            code = 2;
        }
        show(args.json, &moved, |moved| report(file, moved))?;
    }
    Ok(code)
}

/// Where included files may lie.
fn directory(file: &Path) -> Option<PathBuf> {
    let parent = file.parent().filter(|_| file.as_os_str() != "-")?;
    let here = parent.as_os_str().is_empty();
    Some(if here {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    })
}

fn report(file: &Path, moved: &Moved) -> String {
    let mut text = format!(
        "{}: {} accounts added, {} there before\n{}",
        file.display(),
        moved.accounts,
        moved.known,
        things(moved)
    );
    if !moved.lacking.is_empty() {
        let hashes: Vec<&str> = moved.lacking.iter().copied().collect();
        text += &format!(
            "accounts came without verifiers for {}: the domain offers these no more (domicile domain set --scram)\n",
            hashes.join(", ")
        );
    }
    let lines = moved.skipped.iter().map(|skipped| {
        let who = if skipped.account.is_empty() {
            "-"
        } else {
            &skipped.account
        };
        format!("{who}: {}: {}", skipped.what, skipped.why)
    });
    if lines.len() > 0 {
        text += "not taken in:\n";
        text += &first_lines(lines);
    }
    if moved.more_skipped > 0 {
        text += &format!("and {} more\n", moved.more_skipped);
    }
    if let Some(ended) = &moved.ended {
        text += &format!("it ended early: {ended}\n");
    }
    text
}

fn things(moved: &Moved) -> String {
    let lines = moved
        .things
        .iter()
        .map(|(what, n)| format!("{what}: {n}\n"));
    lines.collect()
}

/// Says on a terminal how far it is.
fn told(accounts: u64) {
    if accounts.is_multiple_of(100) && std::io::stderr().is_terminal() {
        eprint!("\r{accounts} accounts");
    }
}

/// A new file that only its owner may read.
async fn private(path: &Path) -> Result<tokio::fs::File, Failure> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let opened = options.open(path).await;
    opened.map_err(|error| unwritable(path, &error))
}
