//! `domicile zone`: what stands in the platform's zone, and whether anybody owns it.

use clap::Subcommand;
use control::{Actor, Control};

use super::Outcome;
use super::output::{show, table};

#[derive(Debug, Subcommand)]
pub(super) enum ZoneCommand {
    /// Look for names that no domain owns, after a crash or from a restored database
    ///
    /// The zone is transferred with the key that changes it. Names that do not look like a domain's, or hold what is never
    /// written here, are left alone. Ends with 1 when some were found and not taken away.
    Check {
        /// Take them away
        #[arg(long)]
        repair: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(control: &Control, actor: &Actor, command: ZoneCommand) -> Outcome {
    let ZoneCommand::Check { repair, json } = command;
    let check = control.zone_check(actor, repair).await?;
    let left = check
        .orphans
        .iter()
        .any(|orphan| orphan.kept.is_empty() && !check.repaired);
    show(json, &check, |check| {
        if check.orphans.is_empty() {
            return format!(
                "{} names of domains below {}, each with an owner",
                check.owned, check.zone
            );
        }
        let rows = check.orphans.iter().map(|orphan| {
            let records: Vec<String> = orphan
                .records
                .iter()
                .map(|(kind, value)| format!("{kind} {value}"))
                .collect();
            let what = match (orphan.kept.as_str(), check.repaired) {
                ("", true) => "taken away".to_owned(),
                ("", false) => "nobody's; --repair takes it away".to_owned(),
                (why, _) => format!("left alone: {why}"),
            };
            [orphan.name.clone(), records.join(", "), what]
        });
        table(["name", "records", "what"], rows)
    })?;
    Ok(u8::from(left))
}
