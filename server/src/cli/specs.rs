//! `domicile specs`: what is implemented, specification by specification.

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::{show, table};
use crate::specifications;

/// How the list is written.
#[derive(Debug, Args)]
pub(super) struct Specs {
    /// Print a description of the project for directories (DOAP)
    #[arg(long, conflicts_with = "json")]
    doap: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    specification: String,
    about: String,
}

pub(super) fn run(command: &Specs) -> Outcome {
    if command.doap {
        say!("{}", specifications::doap().trim_end());
        return Ok(0);
    }
    let rows: Vec<Row> = specifications::all()
        .into_iter()
        .map(|(spec, about)| Row {
            specification: spec.to_string(),
            about,
        })
        .collect();
    show(command.json, &rows, |rows| {
        table(
            ["SPECIFICATION", "WHAT"],
            rows.iter()
                .map(|row| [row.specification.clone(), row.about.clone()]),
        )
    })
}
