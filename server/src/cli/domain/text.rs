//! What `domicile domain` says to people.

use control::block_list::BlockListView;
use control::domain::{DomainShow, DomainView, DomainsImported, Seen, VerdictView};
use control::findings::{FindingView, Severity};
use control::kept::{RoomView, UploadsView};
use control::records::{
    DesiredRecord, Mode, ModeOffer, RecordView, RecordsPage, Standing, WebView,
};
use control::verdict::Foreseen;

use crate::cli::output::{first_lines, table};

pub(super) fn import(report: &DomainsImported) -> String {
    let lines = report.refused.iter().map(|refused| {
        format!(
            "line {}: {}: {}",
            refused.line, refused.domain, refused.problem
        )
    });
    format!(
        "{} added, {} not\n{}",
        report.added,
        report.refused.len(),
        first_lines(lines)
    )
}

pub(super) fn domains(domains: &[DomainView]) -> String {
    let row = |view: &DomainView| {
        [
            view.domain.clone(),
            view.state.as_str().to_owned(),
            view.accounts.to_string(),
            view.tenant.to_string(),
            view.status.clone(),
        ]
    };
    let headings = ["domain", "state", "accounts", "customer", "status"];
    table(headings, domains.iter().map(row))
}

pub(super) fn rooms(rooms: &[RoomView]) -> String {
    let row = |room: &RoomView| {
        let found = if room.listed { "yes" } else { "no" };
        let (people, bytes) = (room.people.to_string(), room.archive_bytes.to_string());
        let made = room.created.to_xep0082();
        let name = room.name.clone();
        [room.local.clone(), name, found.into(), people, bytes, made]
    };
    let headings = ["room", "name", "listed", "people", "bytes", "since"];
    table(headings, rooms.iter().map(row))
}

pub(super) fn block_lists(lists: &[BlockListView]) -> String {
    let row = |list: &BlockListView| {
        let read = list
            .read
            .map_or("never".to_owned(), |read| read.to_xep0082());
        let entries = list.entries.to_string();
        [list.list.clone(), entries, read, list.problem.clone()]
    };
    let headings = ["list", "entries", "read", "problem"];
    table(headings, lists.iter().map(row))
}

pub(super) fn uploads(uploads: &[UploadsView]) -> String {
    let row = |kept: &UploadsView| {
        let (files, bytes) = (kept.files.to_string(), kept.bytes.to_string());
        [kept.local.clone(), files, bytes, kept.latest.to_xep0082()]
    };
    let headings = ["account", "files", "bytes", "newest"];
    table(headings, uploads.iter().map(row))
}

pub(super) fn modes(offers: &[ModeOffer]) -> String {
    let texts = offers.iter().map(|offer| {
        let cost = &offer.cost;
        let (owner, held, issuable, accepted) =
            (cost.owner, cost.held, cost.issuable, cost.accepted);
        let here = match offer.unavailable {
            "" => String::new(),
            why => format!("  Not here: {why}.\n"),
        };
        format!(
            "{}: {}\n  {owner}\n  {held} {issuable}\n  {accepted}\n{here}",
            cost.mode, cost.title
        )
    });
    texts.collect()
}

pub(super) fn verdicts(found: &Foreseen) -> String {
    let row = |view: &VerdictView| {
        let accepted = match view.accepted {
            Seen::Yes => "yes",
            Seen::No => "no",
            Seen::Unknown => "unknown",
        };
        let (name, why) = (view.name.clone(), view.why.clone());
        let words = [view.who, view.prooftype, accepted].map(str::to_owned);
        let [who, by, accepted] = words;
        [name, who, by, accepted, why]
    };
    let headings = ["name", "who", "by", "accepted", "why"];
    let when = if found.foreseen {
        "would accept, once all that it wants is published"
    } else {
        "today"
    };
    let beside = [(found.dane, "dane"), (found.posh, "posh")];
    let beside: String = beside
        .into_iter()
        .filter(|(on, word)| *on && *word != found.mode.as_str())
        .map(|(_, word)| format!(" and {word}"))
        .collect();
    let matrix = table(headings, found.verdicts.iter().map(row));
    format!("{}{beside}, {when}:\n{matrix}", found.mode.as_str())
}

pub(super) fn verified(shown: &DomainShow) -> String {
    match shown.verified {
        Some(at) => format!("{}: proven at {}", shown.view.domain, at.to_xep0082()),
        None => format!(
            "{}: not proven yet\n{}",
            shown.view.domain,
            findings(&shown.checks)
        ),
    }
}

pub(super) fn records(page: &RecordsPage) -> String {
    let mut text = desired(page);
    for view in &page.web {
        text.push_str(&website(view));
    }
    let replaced = page.records.iter().filter(|view| !view.replaces.is_empty());
    for view in replaced {
        text.push_str(&format!(
            "\n{} {} replaces, so delete: {}",
            view.record.name,
            view.record.rtype,
            view.replaces.join("; ")
        ));
    }
    text
}

fn desired(page: &RecordsPage) -> String {
    let row = |view: &RecordView| {
        let standing = match view.standing {
            Standing::Seen => "seen",
            Standing::Missing if view.record.optional => "optional",
            Standing::Missing => "missing",
            Standing::Different => "different",
            Standing::Unknown => "?",
        };
        [
            standing.to_owned(),
            view.record.name.clone(),
            view.record.ttl_seconds.to_string(),
            view.record.rtype.to_owned(),
            view.record.value_text.clone(),
        ]
    };
    let headings = ["", "name", "ttl", "type", "data"];
    table(headings, page.records.iter().map(row))
}

fn website(view: &WebView) -> String {
    if view.document.is_empty() {
        let optional = if view.optional { " (optional)" } else { "" };
        return format!(
            "\n{}* redirects (302) to {}*{optional}",
            view.address, view.redirect
        );
    }
    let or = match view.redirect.as_str() {
        "" => String::new(),
        redirect => format!("redirects (302) to {redirect}, or "),
    };
    let header = match view.cross_origin {
        true => "\n  with the header Access-Control-Allow-Origin: *",
        false => "",
    };
    format!(
        "\n{} {or}answers ({}) {}{header}",
        view.address,
        view.content_type,
        view.document.trim_end(),
    )
}

pub(super) fn domain(shown: &DomainShow) -> String {
    let mut text = format!(
        "{}: {}. {}\n",
        shown.view.domain,
        shown.view.state.as_str(),
        shown.view.status
    );
    if shown.view.ascii != shown.view.domain {
        text.push_str(&format!("DNS name      {}\n", shown.view.ascii));
    }
    text.push_str(&format!(
        "SRV target    {}\nmode          {}{}{}\npolicy        {}\n",
        shown.target,
        shown.mode.as_str(),
        if shown.dane && shown.mode != Mode::Dane {
            " + dane"
        } else {
            ""
        },
        if shown.posh && shown.mode != Mode::Posh {
            " + posh"
        } else {
            ""
        },
        shown.policy
    ));
    if let Some(certificate) = &shown.certificate {
        text.push_str(&format!(
            "certificate   {}, until {} ({} days)\n",
            certificate.issuer,
            certificate.not_after.to_xep0082(),
            certificate.days_left
        ));
    }
    for station in &shown.stations {
        text.push_str(&format!(
            "{:<13} {}: {}\n",
            station.name, station.standing, station.text
        ));
    }
    text.push('\n');
    text.push_str(&findings(&shown.checks));
    text
}

fn findings(checks: &[FindingView]) -> String {
    let mut text = String::new();
    for check in checks {
        let word = match check.severity {
            Severity::Ok => "good    ",
            Severity::Info => "info    ",
            Severity::Unknown => "unknown ",
            Severity::Warning => "warning ",
            Severity::Critical => "CRITICAL",
        };
        text.push_str(&format!("{word}  {}  [{}]\n", check.subject, check.code));
        if check.severity != Severity::Ok {
            for (label, line) in [
                ("expected", &check.expected),
                ("observed", &check.observed),
                ("asked", &check.asked),
                ("fix", &check.fix),
            ] {
                if !line.is_empty() {
                    text.push_str(&format!("          {label}: {line}\n"));
                }
            }
        }
    }
    text
}

/// What the owner should take out of their zone, if anything.
pub(in crate::cli) fn dangling(records: &[DesiredRecord]) -> String {
    if records.is_empty() {
        return String::new();
    }
    let lines = records.iter().map(|record| {
        let (name, rtype, value) = (&record.name, record.rtype, &record.value_text);
        format!("\n  {name} {rtype} {value}")
    });
    let lines: String = lines.collect();
    format!(
        "These records in the owner's zone now point at nothing; the owner should delete them:{lines}"
    )
}
