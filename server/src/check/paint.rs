//! A report as people read it in a terminal: what there is, who would believe it, what to do. Colour only where it is
//! wanted, and never as the only sign.

use std::fmt::Write as _;

use super::{
    Document, Finding, Grade, Holds, ProofVerdict, Report, ServiceReport, TargetReport, Visit,
};

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Write ANSI colours.
    pub colour: bool,
}

impl Paint {
    /// Colours on a terminal, unless `NO_COLOR` is set to anything (no-color.org).
    pub fn for_output(terminal: bool, no_color: Option<&str>) -> Self {
        Self {
            colour: terminal && no_color.is_none_or(str::is_empty),
        }
    }

    fn in_colour(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn strong(self, text: &str) -> String {
        self.in_colour("1", text)
    }

    fn soft(self, text: &str) -> String {
        self.in_colour("2", text)
    }

    fn good(self, text: &str) -> String {
        self.in_colour("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.in_colour("31", text)
    }

    fn grade(self, grade: Grade) -> String {
        match grade {
            Grade::Critical => self.in_colour("1;31", "CRITICAL"),
            Grade::Warning => self.in_colour("33", "warning "),
            Grade::Unknown => self.in_colour("2", "unknown "),
            Grade::Info => self.in_colour("36", "info    "),
        }
    }
}

/// The report as text.
pub fn text(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = if report.ascii == report.domain {
        writeln!(out, "{}", paint.strong(&report.domain))
    } else {
        writeln!(out, "{} ({})", paint.strong(&report.domain), report.ascii)
    };
    for report in &report.services {
        service(&mut out, report, paint);
    }
    let _ = writeln!(out, "\n{}", paint.strong("Website"));
    for (name, document) in [
        ("host-meta", &report.website.host_meta),
        ("host-meta.json", &report.website.host_meta_json),
    ] {
        line(&mut out, name, &said(document));
    }
    findings(&mut out, &report.findings, paint);
    let _ = writeln!(out, "\n{}", conclusion(report, paint));
    out
}

fn service(out: &mut String, service: &ServiceReport, paint: Paint) {
    let name = match service.service {
        "client" => "Apps (client to server)",
        _ => "Other servers (server to server)",
    };
    let _ = writeln!(out, "\n{}", paint.strong(name));
    for srv in &service.srv {
        let label = srv.name.split('.').next().unwrap_or_default();
        let dnssec = match srv.dnssec {
            "secure" => paint.good("DNSSEC secure"),
            "bogus" => paint.bad("DNSSEC bogus"),
            other => paint.soft(&format!("DNSSEC {other}")),
        };
        match srv.answer {
            "found" => {
                for record in &srv.records {
                    let said = format!(
                        "{} {} {} {}  {dnssec}",
                        record.priority, record.weight, record.port, record.target
                    );
                    line(out, label, &said);
                }
            }
            "none" => line(out, label, &format!("no record  {dnssec}")),
            "refused" => line(out, label, &format!("not offered  {dnssec}")),
            _ => line(out, label, &format!("{}  {dnssec}", srv.why)),
        }
    }
    for target in &service.targets {
        place(out, target, paint);
    }
    if !service.verdicts.is_empty() {
        let _ = writeln!(out, "  {}", paint.soft("who would believe it"));
        for verdict in &service.verdicts {
            proof(out, verdict, paint);
        }
    }
}

fn proof(out: &mut String, verdict: &ProofVerdict, paint: Paint) {
    let name = match verdict.prooftype {
        "pkix" => "certificate",
        "dane" => "DANE",
        "posh" => "POSH",
        other => other,
    };
    let holds = match verdict.holds {
        Holds::Yes if verdict.prooftype == "dialback" => paint.good("possible"),
        Holds::Yes => paint.good("yes     "),
        Holds::No => paint.bad("NO      "),
        Holds::Absent => paint.soft("none    "),
        Holds::Unknown => paint.soft("unknown "),
    };
    let _ = writeln!(out, "    {name:<12}  {holds}  {}", clean(&verdict.text));
}

fn place(out: &mut String, target: &TargetReport, paint: Paint) {
    let place = &target.place;
    let how = if place.direct {
        "direct TLS"
    } else {
        "STARTTLS"
    };
    let _ = writeln!(
        out,
        "  {}",
        paint.strong(&format!("{}:{} {how}", clean(&place.host), place.port))
    );
    if place.addresses.is_empty() {
        let why = if place.why.is_empty() {
            "no address"
        } else {
            &place.why
        };
        line(out, "  addresses", &paint.bad(&clean(why)));
    }
    match place.tlsa {
        "secure" => {
            for record in &place.tlsa_records {
                line(out, "  TLSA", &short(record));
            }
        }
        "off" | "absent" => {}
        other => line(out, "  TLSA", &paint.bad(other)),
    }
    for visit in &target.visits {
        self::visit(out, visit, paint);
    }
}

fn visit(out: &mut String, visit: &Visit, paint: Paint) {
    let address = format!("  {}", visit.address.ip());
    match &visit.trouble {
        Some(trouble) if trouble.code == "no-route" => {
            return line(out, &address, &paint.soft("no way there from this machine"));
        }
        Some(trouble) => {
            let said = format!("{}: {}", trouble.step, clean(&trouble.text));
            line(out, &address, &paint.bad(&said));
        }
        None => line(out, &address, &paint.good("reached")),
    }
    if visit.tls.is_empty() {
        return;
    }
    let mut tls = vec![format!("{} {}", visit.tls, visit.cipher)];
    tls.extend(
        visit
            .alpn
            .as_ref()
            .map(|alpn| format!("ALPN {}", clean(alpn))),
    );
    let also = [(visit.accepts.tls13, "1.3"), (visit.accepts.tls12, "1.2")];
    let takes: Vec<_> = also
        .iter()
        .filter(|(takes, _)| *takes == Some(true))
        .map(|(_, version)| *version)
        .collect();
    tls.push(match visit.accepts.older {
        Some(true) => format!("takes {} {}", takes.join(" and "), paint.bad("and older")),
        Some(false) => format!("takes {}, refuses older", takes.join(" and ")),
        None => format!("takes {}", takes.join(" and ")),
    });
    line(out, "    TLS", &tls.join(", "));
    if let Some(leaf) = visit.chain.first() {
        let left = if leaf.days_left < 0 {
            paint.bad(&format!("expired {} days ago", -leaf.days_left))
        } else {
            format!("{} days left", leaf.days_left)
        };
        line(
            out,
            "    certificate",
            &format!("{left}, {}, issued by {}", leaf.key, clean(&leaf.issuer)),
        );
        line(out, "    for", &clean(&leaf.names.join(", ")));
    }
    let offered = &visit.offered;
    if !offered.mechanisms.is_empty() {
        line(out, "    logins", &clean(&offered.mechanisms.join(" ")));
    }
    let mut also = Vec::new();
    for (has, name) in [
        (offered.dialback, "dialback"),
        (offered.bidi, "bidi"),
        (offered.stream_management, "stream management"),
        (offered.sasl2, "SASL2"),
        (offered.registration, "registration"),
    ] {
        if has {
            also.push(name.to_owned());
        }
    }
    also.extend(
        offered
            .max_bytes
            .map(|bytes| format!("stanzas up to {bytes} bytes")),
    );
    also.extend(
        offered
            .idle_seconds
            .map(|seconds| format!("idle up to {seconds} s")),
    );
    if !also.is_empty() {
        line(out, "    offers", &also.join(", "));
    }
}

fn findings(out: &mut String, findings: &[Finding], paint: Paint) {
    if findings.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.strong("Findings"));
    for finding in findings {
        let _ = writeln!(
            out,
            "  {}  {} {} {}: {}",
            paint.grade(finding.grade),
            finding.code,
            paint.soft(finding.about),
            clean(&finding.subject),
            clean(&finding.observed)
        );
        if !finding.fix.is_empty() {
            let _ = writeln!(out, "            {}", finding.fix);
        }
    }
}

fn conclusion(report: &Report, paint: Paint) -> String {
    let warnings = report
        .findings
        .iter()
        .filter(|finding| finding.grade == Grade::Warning)
        .count();
    match (report.unexamined, report.critical, warnings) {
        (true, ..) => paint.soft("Nothing could be examined: the DNS did not answer."),
        (_, 0, 0) => paint.good("All is well."),
        (_, 0, some) => format!("Nothing critical; {some} to look at."),
        (_, some, _) => paint.bad(&format!("{some} critical.")),
    }
}

fn said(document: &Document) -> String {
    match document.state {
        "found" => clean(&document.text),
        "none" => "none".into(),
        state => format!("{state}: {}", clean(&document.text)),
    }
}

fn line(out: &mut String, name: &str, said: &str) {
    let _ = writeln!(out, "  {name:<16}  {said}");
}

/// Data of a record, cut where it says nothing to people any more.
fn short(record: &str) -> String {
    match record.get(..28) {
        Some(start) if record.len() > 32 => format!("{start}…"),
        _ => record.to_owned(),
    }
}

/// What strangers wrote, without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
